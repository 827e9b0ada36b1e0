/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pv.h
 * KVM-compatible aids for guests whose vcpus do not always run: steal time, "this vcpu does not run", kicks.
 */
#ifndef V3_CPU_PV_H
#define V3_CPU_PV_H

#include "palacios/types.h"

struct v3_vcpu;
struct v3_vm;

/** Per-vcpu state. */
struct v3_pv {
	uint64_t steal_msr; /* MSR_KVM_STEAL_TIME as written */
	uint64_t steal_ns;  /* time since reset that the vcpu could have run and did not */
	uint64_t out_ns;    /* host time of v3_pv_out() */
	uint32_t kicked;    /* a kick that has not ended a HLT yet; atomic */
};

/** Register the MSR. thread, VM being made. */
int v3_pv_register(struct v3_vm *vm);
/** Power-on and reset. Own thread, or a VM that does not run. */
void v3_pv_reset(struct v3_vcpu *vcpu);
/** The thread is about to give its CPU away, outside the guest. Own thread. */
void v3_pv_out(struct v3_vcpu *vcpu);
/** It has it again. @param stolen  the vcpu could have run meanwhile. Own thread. */
void v3_pv_in(struct v3_vcpu *vcpu, bool stolen);
/** End the vcpu's HLT, or its next one, whatever its interrupt flag says. any context. */
void v3_pv_kick(struct v3_vcpu *vcpu);
/** Take a kick. Own thread. @return was there one? */
bool v3_pv_take_kick(struct v3_vcpu *vcpu);

#endif
