/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file topology.h
 * How a guest's vcpus lie in sockets, cores and threads, and the APIC ids that follow from it. Set in the
 * definition; CPUID (cpu/cpuid.c), the local APICs and the ACPI tables all take their numbers from here, so they
 * cannot disagree. SDM 3A 9.9 "Hierarchical mapping of shared resources"; APM vol. 3 appendix E.4.
 */
#ifndef PALACIOS_TOPOLOGY_H
#define PALACIOS_TOPOLOGY_H

#include "palacios/types.h"

/* Threads of a core are numbered first, then cores, then sockets. The product is the number of vcpus. */
struct v3_topology {
	uint32_t sockets, cores, threads; /* cores of a socket, threads of a core; each 1..32 */
};

/* 32 vcpus, and neither of two fields of an id takes more than twice the numbers it needs. */
#define V3_MAX_APIC_IDS 128

/** Bits that @p n different numbers take. */
static inline uint32_t v3_topology_bits(uint32_t n)
{
	return n > 1 ? 32 - (uint32_t)__builtin_clz(n - 1) : 0;
}

/** Bits of an APIC id below the core's number, and below the socket's. */
static inline uint32_t v3_topology_core_shift(const struct v3_topology *t)
{
	return v3_topology_bits(t->threads);
}

static inline uint32_t v3_topology_socket_shift(const struct v3_topology *t)
{
	return v3_topology_bits(t->threads) + v3_topology_bits(t->cores);
}

/**
 * APIC id of vcpu @p index: thread, core and socket in fields of whole bits. Where the threads are a power of two, and
 * the cores, too, unless there is only one socket, that is the index itself; else some ids are left out.
 */
static inline uint32_t v3_topology_apic_id(const struct v3_topology *t, uint32_t index)
{
	uint32_t thread = index % t->threads, core = index / t->threads % t->cores;

	return index / (t->threads * t->cores) << v3_topology_socket_shift(t) |
	       core << v3_topology_core_shift(t) | thread;
}

#endif
