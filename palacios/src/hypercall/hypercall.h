/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file hypercall.h
 * Hypercall dispatch.
 */
#ifndef V3_HYPERCALL_HYPERCALL_H
#define V3_HYPERCALL_HYPERCALL_H

#include "palacios/hypercall.h"

struct v3_exit;

#define V3_MAX_HYPERCALL_RANGES 16

struct v3_hypercalls {
	struct v3_hypercall_range {
		uint64_t first, last; /* inclusive */
		v3_hypercall_fn fn;
		void *priv;
	} range[V3_MAX_HYPERCALL_RANGES];
	uint32_t nranges;
};

/** Is one of the two vendors' hypercall instructions at RIP? Own thread. */
bool v3_hypercall_at_rip(struct v3_vcpu *vcpu);
int v3_hypercall_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);

#endif
