/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file host.h
 * The only caller of struct v3_host_ops: one thin wrapper per host function, for the core.
 * Contexts, units and ownership are those of palacios/host.h.
 */
#ifndef V3_HOST_HOST_H
#define V3_HOST_HOST_H

#include "palacios/host.h"
#include "palacios/palacios.h"
#include "palacios/vm.h"

#include "arch/ops.h"
#include "host/net.h"

/* What there is to do about an entry but to enter. */
#define V3_WATCH_TRACE	1u /* the host traces: v3_trace_enable() */
#define V3_WATCH_CHECKS 2u /* look for mistakes of ours before each entry */

/**
 * The library's only global: written by v3_init(), cleared by v3_fini(), read-only in between but for the count
 * of VMs and the networks between them.
 */
struct v3_library {
	struct v3_host_ops ops;
	const struct v3_device_class *const *devices;
	bool software_apic; /* v3_init_params */
	const struct v3_extension *const *extensions;
	const struct v3_arch_ops *arch; /* NULL before v3_init() */
	struct v3_arch_caps caps;
	void *arch_state; /* owned by arch */
	uint32_t ncpus;	  /* CPU numbers, of CPUs that are there or not */
	uint8_t *
		cpu_on; /* owned: by number, 1: virtualization is enabled there; atomic (vm/cpus.c) */
	bool enabled;	/* on every CPU that is there */
	uint32_t vms;	/* VMs that exist, atomic */
	struct v3_nets nets;
	uint8_t log_level; /* of lines about no VM */
	uint8_t watch;	   /* V3_WATCH_*: what there is to do about an entry but to enter; atomic */
};
extern struct v3_library v3_lib;

/** Check an embedder's table: every mandatory member there, api and size fit. Logs what is wrong. */
int v3_host_check(const struct v3_host_ops *ops);

#define V3_HOST_CALL(ret, name, params, args)                                                      \
	static inline ret v3_host_##name params                                                    \
	{                                                                                          \
		return v3_lib.ops.name args;                                                       \
	}

V3_HOST_CALL(v3_hpa_t, page_alloc, (uint32_t npages, int node), (npages, node))
V3_HOST_CALL(void, page_free, (v3_hpa_t pa, uint32_t npages), (pa, npages))
V3_HOST_CALL(v3_hpa_t, ram_alloc, (uint64_t npages, uint64_t align, int node),
	     (npages, align, node))
V3_HOST_CALL(void, ram_free, (v3_hpa_t pa, uint64_t npages), (pa, npages))
V3_HOST_CALL(void *, pa_to_va, (v3_hpa_t pa), (pa))
V3_HOST_CALL(v3_hpa_t, va_to_pa, (const void *va), (va))
V3_HOST_CALL(uint32_t, cpu_count, (void), ())
V3_HOST_CALL(uint32_t, cpu_id, (void), ())
V3_HOST_CALL(int, cpu_call, (uint32_t cpu, void (*fn)(void *), void *arg), (cpu, fn, arg))
V3_HOST_CALL(void, cpu_kick, (uint32_t cpu), (cpu))
V3_HOST_CALL(void *, thread_create, (const char *name, uint32_t cpu, void (*fn)(void *), void *arg),
	     (name, cpu, fn, arg))
V3_HOST_CALL(void, thread_join, (void *thread), (thread))
V3_HOST_CALL(int, thread_move, (void *thread, uint32_t cpu), (thread, cpu))
V3_HOST_CALL(void, yield, (void), ())
V3_HOST_CALL(bool, should_yield, (void), ())
V3_HOST_CALL(void *, wq_create, (void), ())
V3_HOST_CALL(void, wq_destroy, (void *wq), (wq))
V3_HOST_CALL(void, wq_sleep, (void *wq, bool (*cond)(void *), void *arg), (wq, cond, arg))
V3_HOST_CALL(void, wq_wake, (void *wq), (wq))
V3_HOST_CALL(void *, mutex_create, (void), ())
V3_HOST_CALL(void, mutex_destroy, (void *mutex), (mutex))
V3_HOST_CALL(void, mutex_lock, (void *mutex), (mutex))
V3_HOST_CALL(void, mutex_unlock, (void *mutex), (mutex))
V3_HOST_CALL(uint64_t, time_ns, (void), ())
V3_HOST_CALL(uint64_t, wall_clock_s, (void), ())
V3_HOST_CALL(uint32_t, tsc_khz, (void), ())
V3_HOST_CALL(void *, timer_create, (void (*fn)(void *), void *arg), (fn, arg))
V3_HOST_CALL(void, timer_destroy, (void *timer), (timer))
V3_HOST_CALL(void, timer_arm, (void *timer, uint64_t deadline_ns), (timer, deadline_ns))
V3_HOST_CALL(void, timer_cancel, (void *timer), (timer))
V3_HOST_CALL(void, irq_pass, (int vector), (vector))
V3_HOST_CALL(void, fpu_begin, (void), ())
V3_HOST_CALL(void, fpu_end, (void), ())
#undef V3_HOST_CALL

/** The optional file group; NULL if the host has none. */
static inline const struct v3_host_file_ops *v3_host_files(void)
{
	return v3_lib.ops.file;
}

/** The optional packet group; NULL if the host has none. */
static inline const struct v3_host_packet_ops *v3_host_packets(void)
{
	return v3_lib.ops.packet;
}

/** Whose VM it is: those of one owner share networks. */
static inline uint64_t v3_host_owner(void *host_ctx)
{
	return v3_lib.ops.owner ? v3_lib.ops.owner(host_ctx) : 0;
}

/** The host's console group, NULL if it has none. */
static inline const struct v3_host_console_ops *v3_host_console(void)
{
	return v3_lib.ops.console;
}

/** Does the host want to see what vcpus do? It has the trace group then. */
static inline bool v3_host_tracing(void)
{
	return __atomic_load_n(&v3_lib.watch, __ATOMIC_RELAXED) & V3_WATCH_TRACE;
}

static inline bool v3_host_checking(void)
{
	return __atomic_load_n(&v3_lib.watch, __ATOMIC_RELAXED) & V3_WATCH_CHECKS;
}

/** Is there more to do about an entry than to enter? */
static inline bool v3_host_watching(void)
{
	return __atomic_load_n(&v3_lib.watch, __ATOMIC_RELAXED);
}

#endif
