/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file insn.h
 * Takes the place of palacios/src/arch/vmx/insn.h in unit tests: the same functions, answered by the simulated
 * CPU of tests/unit/vmx_cpu.c.
 */
#ifndef TESTS_FAKE_VMX_INSN_H
#define TESTS_FAKE_VMX_INSN_H

#include "palacios/types.h"

struct vmx_dtr {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

uint64_t vmx_read(uint32_t field);
void vmx_write(uint32_t field, uint64_t value);
bool vmx_on(v3_hpa_t pa);
void vmx_off(void);
void vmx_ptrld(v3_hpa_t pa);
void vmx_clear(v3_hpa_t pa);
void vmx_invept(uint64_t type, uint64_t eptp);
void vmx_invvpid(uint64_t type, uint16_t vpid);
unsigned long vmx_irq_save(void);
void vmx_irq_restore(unsigned long flags);
void vmx_raise_nmi(void);
uint64_t vmx_read_cr0(void);
uint64_t vmx_read_cr2(void);
uint64_t vmx_read_cr3(void);
void vmx_write_cr2(uint64_t v);
void vmx_write_cr4(uint64_t v);
uint16_t vmx_read_es(void);
uint16_t vmx_read_cs(void);
uint16_t vmx_read_ss(void);
uint16_t vmx_read_ds(void);
uint16_t vmx_read_tr(void);
struct vmx_dtr vmx_read_gdtr(void);
struct vmx_dtr vmx_read_idtr(void);
void vmx_load_gdtr(struct vmx_dtr d);
void vmx_load_idtr(struct vmx_dtr d);

#endif
