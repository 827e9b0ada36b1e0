/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file yield.c
 * The policies of yield.h. Called by vm/run.c (halts, a host that asks) and cpu/misc.c (PAUSE exits); calls the host.
 */
#include "cpu/yield.h"

#include "cpu/pv.h"
#include "host/host.h"
#include "state.h"

#define YIELD_POLL_NS	  50000u  /* greedy: always */
#define YIELD_POLL_MAX_NS 200000u /* adaptive: at most */

bool v3_yield_wants_pause(const struct v3_vm *vm)
{
	return vm->yield != V3_YIELD_GREEDY;
}

void v3_yield_now(struct v3_vcpu *vcpu)
{
	v3_vcpu_may_sleep(vcpu);
	v3_pv_out(vcpu);
	v3_host_yield();
	v3_pv_in(vcpu, true);
}

/* Does another vcpu of the VM want to run on the CPU that this one has? Perhaps it holds the lock. */
static bool yield_is_awaited(struct v3_vcpu *vcpu)
{
	const struct v3_vm *vm = vcpu->vm;
	uint32_t i;

	for (i = 0; i < vm->nvcpus; i++) {
		const struct v3_vcpu *other = vm->vcpu[i];

		if (other != vcpu &&
		    __atomic_load_n(&other->host_cpu, __ATOMIC_RELAXED) == vcpu->host_cpu &&
		    !__atomic_load_n(&other->sleeping, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

void v3_yield_pause(struct v3_vcpu *vcpu)
{
	if (vcpu->vm->yield == V3_YIELD_FRIENDLY ||
	    (vcpu->vm->yield == V3_YIELD_ADAPTIVE && yield_is_awaited(vcpu)))
		v3_yield_now(vcpu);
}

/* How long to wait on the CPU for the end of a halt. */
static uint32_t yield_poll_ns(const struct v3_vcpu *vcpu)
{
	return vcpu->vm->yield == V3_YIELD_GREEDY ? YIELD_POLL_NS : vcpu->poll_ns;
}

/* What comes soon is not worth a sleep and a wake-up; who else wants the CPU has it at once. */
static bool yield_poll(struct v3_vcpu *vcpu, bool (*cond)(void *arg), uint64_t end)
{
	while (!cond(vcpu)) {
		if (v3_host_should_yield() || v3_host_time_ns() >= end)
			return false;
		__asm__ volatile("pause" : : : "memory");
	}
	return true;
}

/* The next window covers twice a halt that was short; long halts close it. */
static void yield_adapt(struct v3_vcpu *vcpu, uint64_t halted_ns)
{
	if (halted_ns > YIELD_POLL_MAX_NS)
		vcpu->poll_ns /= 2;
	else
		vcpu->poll_ns = 2 * halted_ns < YIELD_POLL_MAX_NS ? (uint32_t)(2 * halted_ns)
								  : YIELD_POLL_MAX_NS;
}

void v3_yield_halt(struct v3_vcpu *vcpu, bool (*cond)(void *arg))
{
	bool timed = vcpu->vm->yield != V3_YIELD_FRIENDLY;
	uint64_t start = timed ? v3_host_time_ns() : 0;

	v3_vcpu_may_sleep(vcpu);
	v3_time_sleep(vcpu);
	v3_pv_out(vcpu);
	if (!timed || !yield_poll(vcpu, cond, start + yield_poll_ns(vcpu))) {
		__atomic_store_n(&vcpu->sleeping, 1, __ATOMIC_SEQ_CST);
		v3_host_wq_sleep(vcpu->wq, cond, vcpu);
		__atomic_store_n(&vcpu->sleeping, 0, __ATOMIC_RELAXED);
	}
	v3_pv_in(vcpu, false);
	if (timed)
		yield_adapt(vcpu, v3_host_time_ns() - start);
}
