/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file events.c
 * Event injection and the windows in which the guest can take one. SDM 3C 25.8.3, 27.6, 26.2 (windows).
 */
#include "arch/vmx/vmx.h"

#include "exit/exit.h"
#include "state.h"

#define EVENTS_OWN_MASK                                                                            \
	((1u << V3_VEC_DB) | (1u << V3_VEC_UD) | (1u << V3_VEC_AC) | (1u << V3_VEC_MC))

/* Exceptions that push an error code; an entry fails unless the information agrees with that. */
#define EVENTS_ERROR_MASK                                                                          \
	((1u << V3_VEC_DF) | (1u << V3_VEC_TS) | (1u << V3_VEC_NP) | (1u << V3_VEC_SS) |           \
	 (1u << V3_VEC_GP) | (1u << V3_VEC_PF) | (1u << V3_VEC_AC))

#define EVENTS_INT_N_LEN 2

static struct vmx_vcpu *events_vv(struct v3_vcpu *vcpu)
{
	return vcpu->arch_vcpu;
}

static bool events_none_queued(const struct vmx_vcpu *vv)
{
	return !(vv->value[VMX_INJECT] & VMX_INTR_VALID);
}

bool v3_vmx_intr_ready(struct v3_vcpu *vcpu)
{
	struct vmx_vcpu *vv = events_vv(vcpu);

	return (vcpu->regs.rflags & V3_RFLAGS_IF) && events_none_queued(vv) &&
	       !(v3_vmx_get(vv, VMX_BLOCKING) & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS));
}

bool v3_vmx_nmi_ready(struct v3_vcpu *vcpu)
{
	struct vmx_vcpu *vv = events_vv(vcpu);

	return events_none_queued(vv) &&
	       !(v3_vmx_get(vv, VMX_BLOCKING) & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS | VMX_BLOCK_NMI));
}

/* TPR is ignored: CR8 never reaches the hardware; the controllers have applied it already. */
void v3_vmx_want_intr_window(struct v3_vcpu *vcpu, uint8_t vector)
{
	struct vmx_vcpu *vv = events_vv(vcpu);

	(void)vector;
	v3_vmx_set(vv, VMX_PROC, vv->value[VMX_PROC] | VMX_PROC_INTR_WINDOW);
}

void v3_vmx_want_nmi_window(struct v3_vcpu *vcpu)
{
	struct vmx_vcpu *vv = events_vv(vcpu);

	v3_vmx_set(vv, VMX_PROC, vv->value[VMX_PROC] | VMX_PROC_NMI_WINDOW);
}

static uint32_t events_exception(struct v3_vcpu *vcpu, struct vmx_vcpu *vv,
				 const struct v3_event *ev)
{
	bool has_error =
		(vcpu->cr0 & V3_CR0_PE) && ev->vector < 32 && (EVENTS_ERROR_MASK >> ev->vector & 1);

	if (has_error)
		v3_vmx_set(vv, VMX_INJECT_ERROR, ev->error);
	if (ev->vector == V3_VEC_PF)
		v3_vmx_set_cr(vcpu, 2, ev->cr2);
	return VMX_INTR_TYPE(VMX_INTR_EXCEPTION) | (has_error ? VMX_INTR_ERROR : 0);
}

void v3_vmx_inject(struct v3_vcpu *vcpu, const struct v3_event *ev)
{
	struct vmx_vcpu *vv = events_vv(vcpu);
	uint32_t info = VMX_INTR_TYPE(VMX_INTR_EXTERNAL);

	switch (ev->type) {
	case V3_EVENT_NMI: /* an NMI whose delivery failed still blocks others: 27.3.1.5 wants it undone */
		info = VMX_INTR_TYPE(VMX_INTR_NMI);
		v3_vmx_set(vv, VMX_BLOCKING, v3_vmx_get(vv, VMX_BLOCKING) & ~VMX_BLOCK_NMI);
		break;
	case V3_EVENT_EXCEPTION:
		info = events_exception(vcpu, vv, ev);
		break;
	case V3_EVENT_SOFT_INT:
		info = VMX_INTR_TYPE(VMX_INTR_SOFT_INTR);
		v3_vmx_set(vv, VMX_INJECT_LEN, ev->insn_len ? ev->insn_len : EVENTS_INT_N_LEN);
		break;
	default: /* V3_EVENT_INTR */
		break;
	}
	v3_vmx_set(vv, VMX_INJECT, info | ev->vector | VMX_INTR_VALID);
}

/* What the shadow held back (single step, a data breakpoint of the MOV SS) is raised by who completed the
 * instruction. */
void v3_vmx_clear_shadow(struct v3_vcpu *vcpu)
{
	struct vmx_vcpu *vv = events_vv(vcpu);
	uint64_t blocking = v3_vmx_get(vv, VMX_BLOCKING);

	if (V3_LIKELY(!(blocking & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS))))
		return;
	v3_vmx_set(vv, VMX_BLOCKING, blocking & ~(uint64_t)(VMX_BLOCK_STI | VMX_BLOCK_MOV_SS));
	v3_vmx_set(vv, VMX_PENDING_DEBUG, 0);
}

/* #DB and #AC are always ours: their delivery can loop for ever inside the CPU, with no exit in between.
 * #MC is the host's. #UD may be the other vendor's hypercall. */
void v3_vmx_set_exception_mask(struct v3_vcpu *vcpu, uint32_t mask)
{
	v3_vmx_set(events_vv(vcpu), VMX_EXCEPTIONS, mask | EVENTS_OWN_MASK);
}
