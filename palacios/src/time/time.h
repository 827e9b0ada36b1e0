/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file time.h
 * Guest time. The guest's TSC is the host's, scaled if the definition says so, plus an offset; guest nanoseconds are host nanoseconds minus
 * the time the VM did not run. Each vcpu has one host one-shot timer for the earliest of its v3_timers. It is not
 * armed while the vcpu is in the guest if the hardware ends the guest in time (v3_arch_ops.set_deadline).
 */
#ifndef V3_TIME_TIME_H
#define V3_TIME_TIME_H

#include "palacios/timer.h"
#include "palacios/vm.h"

struct v3_timer {
	struct v3_vcpu *vcpu; /* not owned: the callback's thread */
	v3_timer_fn fn;
	void *priv;
	uint64_t deadline_ns;  /* guest time; guarded by the queue's lock */
	struct v3_timer *next; /* in the queue, by deadline; guarded */
	bool armed;	       /* guarded */
};

struct v3_vm_time {
	uint64_t base_ns;     /* host time at guest time 0, moved forward by pauses */
	uint64_t paused_ns;   /* guest time at which the VM stands still; valid while paused */
	uint64_t wall_base_s; /* UTC seconds at guest time 0 */
	uint64_t paused_tsc;  /* host TSC then */
	uint64_t ns_per_tick; /* of the guest's TSC, 32.32 fixed point */
	uint64_t tick_per_ns; /* of the host's */
	uint64_t
		tsc_ratio; /* guest's to host's, v3_arch_caps.tsc_frac_bits of fraction; 0: not scaled */
	uint32_t tsc_khz; /* guest's */
	bool paused;
};

struct v3_vcpu_time {
	struct v3_lock lock;	/* guards queue */
	struct v3_timer *queue; /* not owned, earliest first */
	void *host_timer;	/* owned */
	bool fired;		/* the host timer has; set in interrupt context, atomic */
	uint64_t armed_ns;	/* host deadline that is armed, 0 = none; own thread */
	uint64_t tsc_offset;	/* guest TSC = host TSC, scaled, + this */
	uint64_t tsc_adjust;	/* what the guest has added since the reset: IA32_TSC_ADJUST */
};

/**
 * Guest time at 0, standing still. thread.
 * @param tsc_khz  what the guest's TSC is to count, 0: as the host's
 * @return V3_OK; V3_EINVAL: the host does not know its own; V3_ENOTSUP: the CPU cannot do @p tsc_khz, logged
 */
int v3_time_vm_init(struct v3_vm *vm, uint32_t tsc_khz);
int v3_time_vcpu_init(struct v3_vcpu *vcpu);
void v3_time_vcpu_fini(struct v3_vcpu *vcpu);
/** Guest time stands still, runs on. The VM's vcpus are outside the guest. */
void v3_time_pause(struct v3_vm *vm);
void v3_time_continue(struct v3_vm *vm);
/** Run what is due and see to it that what comes next is noticed. Own thread (V3_REQ_TIMER). */
void v3_time_service(struct v3_vcpu *vcpu);
/** The vcpu will not enter the guest until it is woken: only a host timer can do that. Own thread. */
void v3_time_sleep(struct v3_vcpu *vcpu);
/** The vcpu has moved to another CPU: its host timer must be armed there. Own thread. */
void v3_time_rearm(struct v3_vcpu *vcpu);
/** All TSCs of the guest read 0 now, and so stay equal; the vcpus are outside the guest. */
void v3_time_reset_tsc(struct v3_vm *vm);
/** Set the guest's TSC of one vcpu to @p value now. Own thread. */
void v3_time_set_tsc(struct v3_vcpu *vcpu, uint64_t value);
/** The guest writes its IA32_TSC_ADJUST: its TSC moves by what that changes. Own thread. */
void v3_time_adjust_tsc(struct v3_vcpu *vcpu, uint64_t adjust);

static inline uint64_t v3_rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return ((uint64_t)hi << 32) | lo;
}

#endif
