/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cr.h
 * Guest writes to control registers and EFER, with all architectural checks. Own vcpu thread.
 */
#ifndef V3_CPU_CR_H
#define V3_CPU_CR_H

#include "palacios/decode.h"
#include "palacios/types.h"

struct v3_vcpu;

/** @return V3_OK; V3_EINVAL: the guest deserves #GP(0), nothing changed. */
int v3_cr0_write(struct v3_vcpu *vcpu, uint64_t value);
int v3_cr4_write(struct v3_vcpu *vcpu, uint64_t value);
int v3_efer_write(struct v3_vcpu *vcpu, uint64_t value);

/** Number of the control register a MOV names. LOCK MOV CR0 means CR8 on AMD; APM vol. 3 "MOV CRn". */
static inline unsigned v3_cr_operand(const struct v3_insn *insn)
{
	return insn->reg + (insn->prefix & V3_PFX_LOCK ? 8 : 0);
}

#endif
