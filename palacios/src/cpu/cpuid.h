/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cpuid.h
 * The vcpu's CPUID table.
 */
#ifndef V3_CPU_CPUID_H
#define V3_CPU_CPUID_H

#include "cpu/cpu.h"

struct v3_vcpu;

/** Build the table from the host CPU and the policy; also the CR4 and EFER bits offered. thread. V3_ENOMEM. */
int v3_cpuid_init(struct v3_vcpu *vcpu);
void v3_cpuid_fini(struct v3_vcpu *vcpu);
/** Table entry of a leaf without sub-leaves, 0..0x1f and 0x80000000..0x8000001f. NULL: outside. */
struct v3_cpuid_regs *v3_cpuid_leaf(struct v3_vcpu *vcpu, uint32_t leaf);
/** What CPUID returns to the guest. Own thread. */
void v3_cpuid_read(struct v3_vcpu *vcpu, uint32_t leaf, uint32_t sub, struct v3_cpuid_regs *r);

/* cpuid_topology.c */

/** Leaves of the table that tell the topology, and the largest leaves. While the table is built. */
void v3_cpuid_set_topology(struct v3_vcpu *vcpu);
/** Leaves 0xb and 0x1f. */
void v3_cpuid_levels(const struct v3_vcpu *vcpu, uint32_t sub, struct v3_cpuid_regs *r);
/** Leaves 4 and 0x8000001d; @p r zeroed before, stays so if the CPU has no such leaf. */
void v3_cpuid_caches(struct v3_vcpu *vcpu, uint32_t leaf, uint32_t sub, struct v3_cpuid_regs *r);

#endif
