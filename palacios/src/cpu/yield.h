/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file yield.h
 * When a vcpu lets others have its CPU. Whenever the host asks, after an exit, in any case; the definition's "yield"
 * says what happens beyond that:
 *
 *             | guest spins (PAUSE exit)                         | guest halts (HLT)
 *   greedy    | no such exits                                    | waits up to 50 us on the CPU, then sleeps
 *   friendly  | yields                                           | sleeps
 *   adaptive  | yields if a vcpu of this VM waits for the CPU    | waits as long as that was worth it lately
 */
#ifndef V3_CPU_YIELD_H
#define V3_CPU_YIELD_H

#include "palacios/types.h"

struct v3_vcpu;
struct v3_vm;

/** Shall a guest that spins exit, where the CPU can find that out? For the vendor back ends. */
bool v3_yield_wants_pause(const struct v3_vm *vm);
/** Let other threads of this CPU run; returns when it is this vcpu's turn again. Own thread. */
void v3_yield_now(struct v3_vcpu *vcpu);
/** The guest spins. Own thread. */
void v3_yield_pause(struct v3_vcpu *vcpu);
/** The vcpu is halted: wait until @p cond(vcpu) is true, on the CPU as long as the policy says. Own thread. */
void v3_yield_halt(struct v3_vcpu *vcpu, bool (*cond)(void *arg));

#endif
