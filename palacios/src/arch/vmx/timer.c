/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file timer.c
 * The preemption timer: it ends the guest at a moment of the host's TSC, so that no timer of the host need be armed
 * while the guest runs. Called by time/timer.c and run.c. SDM 3C 26.5.1, 27.7.4; A.6 for its rate.
 */
#include "arch/vmx/vmx.h"

#include "host/host.h"
#include "state.h"

#define TIMER_BITS 32

/* It counts whenever bit n of the TSC changes: the changes from @p now until the TSC is @p tsc or later. */
static uint64_t timer_count(const struct vmx_state *vmx, uint64_t now, uint64_t tsc)
{
	const unsigned shift = vmx->timer_shift;
	const uint64_t part = tsc & ((1ull << shift) - 1) ? 1 : 0;

	return tsc <= now ? 0 : (tsc >> shift) - (now >> shift) + part;
}

bool v3_vmx_set_deadline(struct v3_vcpu *vcpu, uint64_t tsc)
{
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	bool reaches =
		vv->vmx->has_timer &&
		(tsc == V3_NO_DEADLINE || timer_count(vv->vmx, v3_rdtsc(), tsc) >> TIMER_BITS == 0);

	vv->deadline = reaches ? tsc : V3_NO_DEADLINE;
	vv->timer = vv->timer_on || vv->deadline != V3_NO_DEADLINE;
	return reaches;
}

/* An entry starts the timer with the count in the VMCS, which an exit does not change. */
void v3_vmx_prepare_timer(struct vmx_vcpu *vv)
{
	const bool on = vv->deadline != V3_NO_DEADLINE;

	if (on != vv->timer_on) {
		vv->timer_on = on;
		vmx_write(VMCS_PIN_CONTROLS,
			  vv->vmx->ctl.pin | (on ? VMX_PIN_PREEMPTION_TIMER : 0));
	}
	vv->timer = on;
	if (on)
		vmx_write(VMCS_PREEMPTION_TIMER, timer_count(vv->vmx, v3_rdtsc(), vv->deadline));
}
