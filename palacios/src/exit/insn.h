/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file insn.h
 * Finishing the exiting instruction: how long it is, and moving RIP past it.
 */
#ifndef V3_EXIT_INSN_H
#define V3_EXIT_INSN_H

#include "palacios/decode.h"
#include "palacios/types.h"

struct v3_exit;
struct v3_vcpu;

/* Instructions that exit with operands in fixed places: only their length may be unknown. */
enum v3_insn_op {
	V3_OP_CPUID,
	V3_OP_RDMSR,
	V3_OP_WRMSR,
	V3_OP_HLT,
	V3_OP_HYPERCALL,
	V3_OP_PAUSE,
	V3_OP_RDTSC,
	V3_OP_RDTSCP,
	V3_OP_CACHE,
	V3_OP_XSETBV,
	V3_OP_INVLPG
};

/**
 * Length of the exiting instruction: from the hardware, else decoded. Own thread.
 * @param op  what it must be; the plain encoding is recognised without the decoder
 * @return 1..15; 0: its bytes cannot be read now or are no longer that instruction (another vcpu changed
 *         them): enter again, the guest will run what is there
 */
unsigned v3_insn_len(struct v3_vcpu *vcpu, const struct v3_exit *exit, enum v3_insn_op op);

/** Move RIP @p len bytes on: ends the interrupt shadow, single-step trap if RFLAGS.TF. Own thread. */
void v3_insn_retire(struct v3_vcpu *vcpu, unsigned len);

/**
 * v3_insn_len() and v3_insn_retire() at once.
 * @return V3_OK: RIP is past it; V3_LEAVE: not done: the handler returns V3_OK to enter again
 */
int v3_insn_skip(struct v3_vcpu *vcpu, const struct v3_exit *exit, enum v3_insn_op op);

/** Instructions decoded lately (insn.c), by address. Own thread. */
#define V3_INSN_MEMOS 16
struct v3_insn_memo {
	uint64_t bytes[2];   /* what was decoded, as fetched */
	struct v3_insn insn; /* length 0: nothing here */
};

/**
 * Fetch and decode the instruction at RIP. Own thread.
 * @return the instruction, good until the next call for this vcpu; NULL: it cannot be fetched, or it is none, and
 *         #PF, #UD or #GP was queued unless another vcpu has just changed that: return V3_OK to enter again
 */
const struct v3_insn *v3_insn_decode(struct v3_vcpu *vcpu, const struct v3_exit *exit);

#endif
