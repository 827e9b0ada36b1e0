/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cpuid_topology.c
 * What CPUID says of sockets, cores, threads and the caches they share. Called by cpuid.c; the numbers are those of
 * palacios/topology.h. Leaves 1, 4, 0xb, 0x1f: SDM 2A "CPUID"; 0x80000001, 0x80000008, 0x8000001d, 0x8000001e: APM
 * vol. 3 appendix E.
 */
#include "cpu/cpuid.h"

#include "host/x86.h"
#include "state.h"

#define TOPO_AUTH	  0x68747541u /* the first letters of "AuthenticAMD" */
#define TOPO_HYGO	  0x6f677948u /* and of "HygonGenuine", the same architecture */
#define TOPO_HTT	  (1u << 28)
#define TOPO_CMP_LEGACY	  (1u << 1)  /* 0x80000001 ECX: HTT means cores */
#define TOPO_TOPOEXT	  (1u << 22) /* there: leaves 0x8000001d and 0x8000001e */
#define TOPO_BASIC_LAST	  0x1fu
#define TOPO_EXT_LAST	  0x8000001eu
#define TOPO_MAX_CACHES	  8
#define TOPO_CACHE_TYPE	  0x1fu
#define TOPO_CACHE_LEVEL  (7u << 5)
#define TOPO_CACHE_SHARED (0xfffu << 14)
#define TOPO_LEVEL(n)	  ((n) << 5)

/* All other vendors follow Intel. */
static bool topo_is_amd(struct v3_vcpu *vcpu)
{
	uint32_t vendor = v3_cpuid_leaf(vcpu, 0)->ebx;

	return vendor == TOPO_AUTH || vendor == TOPO_HYGO;
}

/*
 * Leaf 1 counts addressable ids on Intel's CPUs (software rounds up to a power of two) and threads on AMD's; both are
 * right with the ids that threads are rounded to.
 */
void v3_cpuid_set_topology(struct v3_vcpu *vcpu)
{
	const struct v3_topology *t = &vcpu->vm->topology;
	uint32_t shift = v3_topology_socket_shift(t);
	struct v3_cpuid_regs *r = v3_cpuid_leaf(vcpu, 1);

	r->ebx |= v3_topology_apic_id(t, vcpu->index) << 24;
	r->ebx |= t->cores << v3_topology_core_shift(t) << 16;
	if (t->cores * t->threads > 1)
		r->edx |= TOPO_HTT; /* the count above is valid */
	if (!topo_is_amd(vcpu)) {
		v3_cpuid_leaf(vcpu, 0)->eax = TOPO_BASIC_LAST;
		return;
	}
	v3_cpuid_leaf(vcpu, 0x80000000u)->eax = TOPO_EXT_LAST;
	r = v3_cpuid_leaf(vcpu, 0x80000001u);
	r->ecx |= TOPO_TOPOEXT | (t->cores * t->threads > 1 ? TOPO_CMP_LEGACY : 0);
	r = v3_cpuid_leaf(vcpu, 0x80000008u);
	r->ecx = (t->cores * t->threads - 1) | shift << 12;
	r = v3_cpuid_leaf(vcpu, TOPO_EXT_LAST);
	r->eax = v3_topology_apic_id(t, vcpu->index);
	r->ebx = vcpu->index / t->threads % t->cores | (t->threads - 1) << 8;
	r->ecx = vcpu->index / (t->threads * t->cores); /* one node per socket */
}

/* Leaves 0xb and 0x1f: level 0 is threads of a core, level 1 cores of a socket. */
void v3_cpuid_levels(const struct v3_vcpu *vcpu, uint32_t sub, struct v3_cpuid_regs *r)
{
	const struct v3_topology *t = &vcpu->vm->topology;

	r->ecx = sub & 0xff;
	r->edx = v3_topology_apic_id(t, vcpu->index);
	if (sub == 0) {
		r->eax = v3_topology_core_shift(t);
		r->ebx = t->threads;
		r->ecx |= 1u << 8;
	} else if (sub == 1) {
		r->eax = v3_topology_socket_shift(t);
		r->ebx = t->threads * t->cores;
		r->ecx |= 2u << 8;
	}
}

/*
 * The host's caches, shared as the guest's topology says: the first two levels belong to a core, the others to a
 * socket. Leaf 4 is Intel's and 0x8000001d AMD's; they differ in what EAX says above bit 25.
 */
void v3_cpuid_caches(struct v3_vcpu *vcpu, uint32_t leaf, uint32_t sub, struct v3_cpuid_regs *r)
{
	const struct v3_topology *t = &vcpu->vm->topology;
	bool amd = leaf >> 31;
	uint32_t sharing, max, b, c, d;

	v3_cpuid(leaf & 0x80000000u, 0, &max, &b, &c, &d);
	if (amd != topo_is_amd(vcpu) || max < leaf || sub >= TOPO_MAX_CACHES)
		return;
	v3_cpuid(leaf, sub, &r->eax, &r->ebx, &r->ecx, &r->edx);
	if (!(r->eax & TOPO_CACHE_TYPE)) {
		*r = (struct v3_cpuid_regs){0};
		return;
	}
	sharing = t->threads;
	if ((r->eax & TOPO_CACHE_LEVEL) > TOPO_LEVEL(2))
		sharing = t->cores << v3_topology_core_shift(t);
	if (!amd)
		sharing = 1u << v3_topology_bits(sharing);
	r->eax &= ~(TOPO_CACHE_SHARED | 0xfc000000u);
	r->eax |= (sharing - 1) << 14;
	if (!amd)
		r->eax |= ((1u << v3_topology_bits(t->cores)) - 1) << 26;
}
