/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file insn.h
 * Instructions of the physical CPU that only the VMX back end needs. Unit tests have a simulated CPU in its
 * place (tests/fake_host/instr). SDM 3C chapter 31; 2A, 2B.
 */
#ifndef V3_VMX_INSN_H
#define V3_VMX_INSN_H

#include "palacios/types.h"

/* A descriptor-table register as LGDT takes it. */
struct vmx_dtr {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));
_Static_assert(sizeof(struct vmx_dtr) == 10, "SDM 3A 2.4.1");

/* Fields of the current VMCS. A field that the CPU does not have reads as 0 and ignores writes. */
static inline uint64_t vmx_read(uint32_t field)
{
	uint64_t value = 0;

	__asm__ volatile("vmread %1, %0" : "+r"(value) : "r"((uint64_t)field) : "cc");
	return value;
}

static inline void vmx_write(uint32_t field, uint64_t value)
{
	__asm__ volatile("vmwrite %0, %1" ::"r"(value), "r"((uint64_t)field) : "cc");
}

/* @return false: the CPU refused (31.2, VMfail) */
static inline bool vmx_on(v3_hpa_t pa)
{
	bool above; /* neither CF nor ZF */

	__asm__ volatile("vmxon %1" : "=@cca"(above) : "m"(pa) : "memory");
	return above;
}

static inline void vmx_off(void)
{
	__asm__ volatile("vmxoff" ::: "cc", "memory");
}

static inline void vmx_ptrld(v3_hpa_t pa)
{
	__asm__ volatile("vmptrld %0" ::"m"(pa) : "cc", "memory");
}

static inline void vmx_clear(v3_hpa_t pa)
{
	__asm__ volatile("vmclear %0" ::"m"(pa) : "cc", "memory");
}

static inline void vmx_invept(uint64_t type, uint64_t eptp)
{
	const uint64_t desc[2] = {eptp, 0};

	__asm__ volatile("invept %0, %1" ::"m"(desc), "r"(type) : "cc", "memory");
}

static inline void vmx_invvpid(uint64_t type, uint16_t vpid)
{
	const uint64_t desc[2] = {vpid, 0};

	__asm__ volatile("invvpid %0, %1" ::"m"(desc), "r"(type) : "cc", "memory");
}

static inline unsigned long vmx_irq_save(void)
{
	unsigned long flags;

	__asm__ volatile("pushf; pop %0; cli" : "=r"(flags)::"memory");
	return flags;
}

static inline void vmx_irq_restore(unsigned long flags)
{
	__asm__ volatile("push %0; popf" ::"r"(flags) : "memory", "cc");
}

/* Hand an NMI that ended the guest to the host: its handler's IRET unblocks NMIs again. */
static inline void vmx_raise_nmi(void)
{
	__asm__ volatile("int $2");
}

#define VMX_DEFINE_CR(n)                                                                           \
	static inline uint64_t vmx_read_cr##n(void)                                                \
	{                                                                                          \
		uint64_t v;                                                                        \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v)::"memory");                        \
		return v;                                                                          \
	}
VMX_DEFINE_CR(0)
VMX_DEFINE_CR(2)
VMX_DEFINE_CR(3)
#undef VMX_DEFINE_CR

static inline void vmx_write_cr2(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr2" ::"r"(v) : "memory");
}

static inline void vmx_write_cr4(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr4" ::"r"(v) : "memory");
}

#define VMX_DEFINE_SEL(insn, name)                                                                 \
	static inline uint16_t vmx_read_##name(void)                                               \
	{                                                                                          \
		uint16_t v;                                                                        \
		__asm__ volatile(insn : "=r"(v));                                                  \
		return v;                                                                          \
	}
VMX_DEFINE_SEL("mov %%es, %0", es)
VMX_DEFINE_SEL("mov %%cs, %0", cs)
VMX_DEFINE_SEL("mov %%ss, %0", ss)
VMX_DEFINE_SEL("mov %%ds, %0", ds)
VMX_DEFINE_SEL("str %0", tr)
#undef VMX_DEFINE_SEL

static inline struct vmx_dtr vmx_read_gdtr(void)
{
	struct vmx_dtr d;

	__asm__ volatile("sgdt %0" : "=m"(d));
	return d;
}

static inline struct vmx_dtr vmx_read_idtr(void)
{
	struct vmx_dtr d;

	__asm__ volatile("sidt %0" : "=m"(d));
	return d;
}

static inline void vmx_load_gdtr(struct vmx_dtr d)
{
	__asm__ volatile("lgdt %0" ::"m"(d));
}

static inline void vmx_load_idtr(struct vmx_dtr d)
{
	__asm__ volatile("lidt %0" ::"m"(d));
}

#endif
