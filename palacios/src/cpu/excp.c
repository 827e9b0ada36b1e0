/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file excp.c
 * Exceptions: queueing, merging, delivery, and the exits they cause. AMD APM vol. 2 8.2, 8.4.
 */
#include "cpu/excp.h"

#include "cpu/handlers.h"
#include "exit/exit.h"
#include "exit/trace.h"
#include "state.h"

#define V3_LOG_TAG "excp"

#define EXCP_DR6_BS (1ull << 14)

/* Vectors that make a double fault of each other, table 8-3. */
#define EXCP_CONTRIBUTORY                                                                          \
	((1u << V3_VEC_DE) | (1u << V3_VEC_TS) | (1u << V3_VEC_NP) | (1u << V3_VEC_SS) |           \
	 (1u << V3_VEC_GP))

static void excp_queue(struct v3_vcpu *vcpu, const struct v3_event *ev)
{
	vcpu->pending = *ev;
	v3_vcpu_request_self(vcpu, V3_REQ_EVENT);
}

void v3_event_requeue(struct v3_vcpu *vcpu, const struct v3_event *ev)
{
	/* A delivery that did not complete blocks no NMI. */
	if (ev->type == V3_EVENT_NMI)
		vcpu->nmi_blocked = false;
	excp_queue(vcpu, ev);
}

static bool excp_is(uint8_t vector, uint32_t set)
{
	return vector < 32 && (set >> vector & 1);
}

/* Does @second, raised while @first was delivered, make a double fault? 8.2.9. */
static bool excp_doubles(uint8_t first, uint8_t second)
{
	if (first == V3_VEC_PF)
		return second == V3_VEC_PF || excp_is(second, EXCP_CONTRIBUTORY);
	return excp_is(first, EXCP_CONTRIBUTORY) && excp_is(second, EXCP_CONTRIBUTORY);
}

static void excp_raise(struct v3_vcpu *vcpu, struct v3_event *ev)
{
	const struct v3_event *first = &vcpu->pending;

	if (first->type == V3_EVENT_EXCEPTION && first->vector == V3_VEC_DF &&
	    (ev->vector == V3_VEC_PF || excp_is(ev->vector, EXCP_CONTRIBUTORY))) {
		v3_vm_request_reset(vcpu->vm, "triple fault");
		return;
	}
	if (first->type == V3_EVENT_EXCEPTION && excp_doubles(first->vector, ev->vector)) {
		ev->vector = V3_VEC_DF;
		ev->has_error = true;
		ev->error = 0;
	}
	excp_queue(vcpu, ev);
}

void v3_vcpu_inject(struct v3_vcpu *vcpu, enum v3_vector vector, bool has_error, uint32_t error)
{
	struct v3_event ev = {.type = V3_EVENT_EXCEPTION,
			      .vector = (uint8_t)vector,
			      .has_error = has_error,
			      .error = has_error ? error : 0};

	/* No error codes in real mode; 8.4. */
	if (!(vcpu->cr0 & V3_CR0_PE))
		ev.has_error = ev.error = 0;
	excp_raise(vcpu, &ev);
}

void v3_vcpu_inject_ud(struct v3_vcpu *vcpu)
{
	v3_vcpu_inject(vcpu, V3_VEC_UD, false, 0);
}

void v3_vcpu_inject_gp(struct v3_vcpu *vcpu, uint32_t error)
{
	v3_vcpu_inject(vcpu, V3_VEC_GP, true, error);
}

void v3_vcpu_inject_pf(struct v3_vcpu *vcpu, v3_gva_t addr, uint32_t error)
{
	struct v3_event ev = {.type = V3_EVENT_EXCEPTION,
			      .vector = V3_VEC_PF,
			      .has_error = true,
			      .error = error,
			      .cr2 = addr};

	excp_raise(vcpu, &ev);
}

void v3_event_service(struct v3_vcpu *vcpu)
{
	if (vcpu->pending.type == V3_EVENT_NONE)
		return;
	V3_TRACE(inject, vcpu, &vcpu->pending);
	vcpu->arch->inject(vcpu, &vcpu->pending);
	if (vcpu->pending.type == V3_EVENT_NMI)
		vcpu->nmi_blocked = true;
	vcpu->pending.type = V3_EVENT_NONE;
}

void v3_nmi_service(struct v3_vcpu *vcpu)
{
	static const struct v3_event nmi = {.type = V3_EVENT_NMI, .vector = V3_VEC_NMI};

	if (!vcpu->arch->nmi_ready(vcpu)) {
		vcpu->nmi_pending = true;
		vcpu->arch->want_nmi_window(vcpu);
		return;
	}
	vcpu->nmi_pending = false;
	vcpu->nmi_blocked = true;
	V3_TRACE(inject, vcpu, &nmi);
	vcpu->arch->inject(vcpu, &nmi);
}

int v3_nmi_window_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)exit;
	if (vcpu->nmi_pending)
		v3_vcpu_request_self(vcpu, V3_REQ_NMI);
	return V3_OK;
}

void v3_excp_after_insn(struct v3_vcpu *vcpu)
{
	bool trap = vcpu->regs.rflags & V3_RFLAGS_TF;

	vcpu->regs.rflags &= ~V3_RFLAGS_RF;
	if (!trap)
		return;
	vcpu->arch->set_dr(vcpu, 6, vcpu->arch->get_dr(vcpu, 6) | EXCP_DR6_BS);
	v3_vcpu_inject(vcpu, V3_VEC_DB, false, 0);
}

/* Vectors the back end takes because their delivery could loop inside the CPU go back to the guest. */
int v3_excp_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	uint8_t vector = exit->u.excp.vector;

	switch (vector) {
	case V3_VEC_DB:
		v3_vcpu_inject(vcpu, V3_VEC_DB, false, 0);
		return V3_OK;
	case V3_VEC_AC:
		v3_vcpu_inject(vcpu, V3_VEC_AC, true, 0);
		return V3_OK;
	case V3_VEC_MC:
		V3_ERR(vcpu->vm, "machine check of the host CPU while the guest ran");
		return V3_EIO;
	default:
		return v3_broken_exit(vcpu, exit);
	}
}

int v3_triple_fault_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)exit;
	v3_vm_request_reset(vcpu->vm, "triple fault");
	return V3_OK;
}

/* An exit that no guest can cause: a bug of ours. */
int v3_broken_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)vcpu;
	(void)exit;
	return V3_EIO;
}
