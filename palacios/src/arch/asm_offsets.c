/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file asm_offsets.c
 * Compiled to assembly only: the build turns its markers into generated/asm_offsets.h for .S files.
 */
#include "arch/vmx/vmcs.h"
#include "state.h"

#define V3_CONSTANT(name, value)      __asm__ volatile("\n->" #name " %c0" ::"i"(value))
#define V3_OFFSET(name, type, member) V3_CONSTANT(name, offsetof(type, member))

void v3_asm_offsets(void);
void v3_asm_offsets(void)
{
	V3_OFFSET(VCPU_RAX, struct v3_vcpu, regs.gpr[V3_RAX]);
	V3_OFFSET(VCPU_RCX, struct v3_vcpu, regs.gpr[V3_RCX]);
	V3_OFFSET(VCPU_RDX, struct v3_vcpu, regs.gpr[V3_RDX]);
	V3_OFFSET(VCPU_RBX, struct v3_vcpu, regs.gpr[V3_RBX]);
	V3_OFFSET(VCPU_RBP, struct v3_vcpu, regs.gpr[V3_RBP]);
	V3_OFFSET(VCPU_RSI, struct v3_vcpu, regs.gpr[V3_RSI]);
	V3_OFFSET(VCPU_RDI, struct v3_vcpu, regs.gpr[V3_RDI]);
	V3_OFFSET(VCPU_R8, struct v3_vcpu, regs.gpr[V3_R8]);
	V3_OFFSET(VCPU_R9, struct v3_vcpu, regs.gpr[V3_R9]);
	V3_OFFSET(VCPU_R10, struct v3_vcpu, regs.gpr[V3_R10]);
	V3_OFFSET(VCPU_R11, struct v3_vcpu, regs.gpr[V3_R11]);
	V3_OFFSET(VCPU_R12, struct v3_vcpu, regs.gpr[V3_R12]);
	V3_OFFSET(VCPU_R13, struct v3_vcpu, regs.gpr[V3_R13]);
	V3_OFFSET(VCPU_R14, struct v3_vcpu, regs.gpr[V3_R14]);
	V3_OFFSET(VCPU_R15, struct v3_vcpu, regs.gpr[V3_R15]);
	V3_OFFSET(VCPU_REQUESTS, struct v3_vcpu, requests);
	V3_OFFSET(VCPU_IN_GUEST, struct v3_vcpu, in_guest);
	V3_CONSTANT(VMX_HOST_RSP, VMCS_HOST_RSP);
}
