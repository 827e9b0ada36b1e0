/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_priv.h
 * What the files of the fake host share.
 */
#ifndef TESTS_FAKE_PRIV_H
#define TESTS_FAKE_PRIV_H

#include "fake_host.h"
#include "palacios/error.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_MAX_CPUS 64

/* What the calling thread is doing. */
struct fake_self {
	uint32_t cpu;
	unsigned spins; /* spinlocks held */
	unsigned irq;	/* inside a timer callback or cpu_call() function */
	bool fpu;	/* between fpu_begin() and fpu_end() */
};
extern _Thread_local struct fake_self fake_self;

/** The library broke the host contract: reported with its call chain, fails the test. */
void fake_violation(const char *fmt, ...) V3_PRINTF(1, 2);
/** Checks of the caller's context, named as in palacios/host.h. */
void fake_need_thread(const char *op);
void fake_need_atomic(const char *op);

/** May this request be granted? Counts it. */
bool fake_grant(enum fake_kind kind);
/** Note that @p id (a pointer or physical address) of @p size is in use, with the call chain. */
void fake_track(enum fake_kind kind, uint64_t id, uint64_t size);
/**
 * It is given back; reports it if it was not in use, or with another size (0: any). @return found
 */
bool fake_untrack(enum fake_kind kind, uint64_t id, uint64_t size);
bool fake_tracked(enum fake_kind kind, uint64_t id);

/* Reset to what a test begins with. */
void fake_mem_reset(void);
void fake_thread_reset(void);
void fake_clock_reset(void);
void fake_console_reset(void);
void fake_trace_reset(void);
void fake_file_reset(void);
void fake_packet_reset(void);

/* The simulated CPU, fake_instr.c. */
void fake_instr_reset(void);
bool fake_instr_xcr0_is_host(void);

/* The members of struct v3_host_ops, by file. */
v3_hpa_t fake_page_alloc(uint32_t npages, int node);
void fake_page_free(v3_hpa_t pa, uint32_t npages);
v3_hpa_t fake_ram_alloc(uint64_t npages, uint64_t align, int node);
void fake_ram_free(v3_hpa_t pa, uint64_t npages);
void *fake_alloc(size_t size);
void fake_free(void *p);
void *fake_pa_to_va(v3_hpa_t pa);
v3_hpa_t fake_va_to_pa(const void *va);

uint32_t fake_op_cpu_count(void);
uint32_t fake_op_cpu_id(void);
int fake_op_cpu_call(uint32_t cpu, void (*fn)(void *arg), void *arg);
void fake_op_cpu_kick(uint32_t cpu);
void *fake_thread_create(const char *name, uint32_t cpu, void (*fn)(void *arg), void *arg);
void fake_thread_join(void *thread);
int fake_thread_move(void *thread, uint32_t cpu);
void fake_yield(void);
bool fake_op_should_yield(void);
void *fake_wq_create(void);
void fake_wq_destroy(void *wq);
void fake_wq_sleep(void *wq, bool (*cond)(void *arg), void *arg);
void fake_wq_wake(void *wq);
void *fake_mutex_create(void);
void fake_mutex_destroy(void *mutex);
void fake_mutex_lock(void *mutex);
void fake_mutex_unlock(void *mutex);
void *fake_spin_create(void);
void fake_spin_destroy(void *lock);
unsigned long fake_spin_lock(void *lock);
void fake_spin_unlock(void *lock, unsigned long flags);
void fake_irq_pass(int vector);
void fake_fpu_begin(void);
void fake_fpu_end(void);

uint64_t fake_op_time_ns(void);
uint64_t fake_op_wall_clock_s(void);
uint32_t fake_op_tsc_khz(void);
void *fake_timer_create(void (*fn)(void *arg), void *arg);
void fake_timer_destroy(void *timer);
void fake_timer_arm(void *timer, uint64_t deadline_ns);
void fake_timer_cancel(void *timer);

extern const struct v3_host_console_ops fake_console_ops;
extern const struct v3_host_trace_ops fake_trace_ops;
extern const struct v3_host_file_ops fake_file_ops;
extern const struct v3_host_packet_ops fake_packet_ops;
uint64_t fake_op_owner(void *host_ctx);

#endif
