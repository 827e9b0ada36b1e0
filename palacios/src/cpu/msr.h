/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file msr.h
 * The CPU model's own MSRs.
 */
#ifndef V3_CPU_MSR_H
#define V3_CPU_MSR_H

#include "cpu/cpu.h"

/** Register them. thread, VM being made. @return V3_OK, or what v3_msr_register() says. */
int v3_msr_vm_init(struct v3_vm *vm);
/** mtrr.c: the memory-type range registers. */
int v3_mtrr_register(struct v3_vm *vm);
/** As firmware leaves them: write-back, legacy video hole uncached. */
void v3_mtrr_reset(struct v3_vcpu *vcpu);

#endif
