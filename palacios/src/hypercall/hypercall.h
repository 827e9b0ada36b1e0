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

/* kvm.c: arguments and results as palacios/hypercall.h says. Own thread. */

/** End the HLT of the vcpu with that APIC id. @return 0, V3_EINVAL */
int64_t v3_kvm_kick_cpu(struct v3_vm *vm, const uint64_t args[4]);
/** Send an interprocessor interrupt to several. @return to how many, V3_EINVAL */
int64_t v3_kvm_send_ipi(struct v3_vcpu *vcpu, const uint64_t args[4]);

/** Is one of the two vendors' hypercall instructions at RIP? Own thread. */
bool v3_hypercall_at_rip(struct v3_vcpu *vcpu);
int v3_hypercall_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);

#endif
