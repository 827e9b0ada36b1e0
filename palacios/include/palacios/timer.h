/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file timer.h
 * Guest time and one-shot timers whose callbacks run on a vcpu's thread.
 */
#ifndef PALACIOS_TIMER_H
#define PALACIOS_TIMER_H

#include "palacios/types.h"

struct v3_timer;
struct v3_vcpu;
struct v3_vm;

/** Nanoseconds of guest time: 0 at start, stands still while the VM is paused. any context. */
uint64_t v3_time_ns(struct v3_vm *vm);
/** The guest's time stamp counter now, as RDTSC in it would read. Own thread. */
uint64_t v3_time_guest_tsc(struct v3_vcpu *vcpu);
/** Frequency of the guest's time stamp counter, kHz. any. */
uint32_t v3_time_tsc_khz(struct v3_vm *vm);
/** Guest time (v3_time_ns) at which the guest's TSC reads @p tsc; 0 if that is past. Own thread. */
uint64_t v3_time_of_tsc(struct v3_vcpu *vcpu, uint64_t tsc);
/** Seconds since 1970 UTC for the real-time clock; advances with guest time. any. */
uint64_t v3_time_wall_s(struct v3_vm *vm);

/** Runs on the thread of the timer's vcpu, between two entries. May arm again. */
typedef void (*v3_timer_fn)(struct v3_vcpu *vcpu, void *priv);

/**
 * Create a timer for a vcpu (NULL: for the boot vcpu, what board devices use). thread.
 * @return V3_OK, V3_ENOMEM.
 */
int v3_timer_create(struct v3_vm *vm, struct v3_vcpu *vcpu, v3_timer_fn fn, void *priv,
		    struct v3_timer **timer);
/** Disarm and free. VM not running. NULL is allowed. */
void v3_timer_destroy(struct v3_timer *timer);
/** Arm for v3_time_ns() >= @p deadline_ns, replacing an earlier deadline. thread or atomic, any vcpu. */
void v3_timer_arm(struct v3_timer *timer, uint64_t deadline_ns);
/** Disarm. any vcpu; the callback may run once more if another vcpu owns it. */
void v3_timer_cancel(struct v3_timer *timer);
/** Is it armed? */
bool v3_timer_armed(const struct v3_timer *timer);
/** What an armed one is armed for. No vcpu runs. */
uint64_t v3_timer_deadline(const struct v3_timer *timer);

#endif
