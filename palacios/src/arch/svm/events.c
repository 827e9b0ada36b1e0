/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file events.c
 * Event injection and the windows in which the guest can take one. AMD APM vol. 2 15.20, 15.21.
 */
#include "arch/svm/svm.h"

#include "exit/exit.h"
#include "palacios/error.h"
#include "state.h"

#define EVENTS_OWN_MASK                                                                            \
	((1u << V3_VEC_DB) | (1u << V3_VEC_UD) | (1u << V3_VEC_AC) | (1u << V3_VEC_MC))

static struct svm_vmcb *events_vmcb(struct v3_vcpu *vcpu)
{
	return ((struct svm_vcpu *)vcpu->arch_vcpu)->vmcb;
}

/* No shadow, and nothing injected yet. */
static bool events_free(const struct svm_vcpu *sv)
{
	return !(sv->vmcb->shadow & 1) && !(sv->vmcb->eventinj & SVM_EVENT_VALID) && !sv->virq;
}

bool v3_svm_intr_ready(struct v3_vcpu *vcpu)
{
	return (vcpu->regs.rflags & V3_RFLAGS_IF) && events_free(vcpu->arch_vcpu);
}

bool v3_svm_nmi_ready(struct v3_vcpu *vcpu)
{
	return !vcpu->nmi_blocked && events_free(vcpu->arch_vcpu);
}

/*
 * QEMU 7.2 (Q8) delivers an interrupt from EVENTINJ twice if its CPU thread is disturbed before the next exit: VMRUN
 * leaves the vector behind as if it were an exception still to be raised. There the interrupt becomes a virtual one
 * (15.21.4), taken at once because the guest is ready for it.
 */
static void events_deliver_virtually(struct svm_vcpu *sv, uint8_t vector)
{
	sv->virq = true;
	sv->vmcb->vintr |= SVM_VINTR_IRQ | SVM_VINTR_IGN_TPR | (uint64_t)vector << 32;
	sv->vmcb->misc1 &= ~SVM_MISC1_VINTR;
	sv->dirty |= SVM_CLEAN_TPR | SVM_CLEAN_INTERCEPTS;
}

int v3_svm_end_virq(struct svm_vcpu *sv)
{
	uint64_t vintr = sv->vmcb->vintr;

	if (!sv->virq)
		return V3_EAGAIN;
	sv->virq = false;
	sv->vmcb->vintr = vintr & ~(SVM_VINTR_IRQ | SVM_VINTR_VECTOR);
	sv->vmcb->misc1 |= SVM_MISC1_VINTR;
	sv->dirty |= SVM_CLEAN_TPR | SVM_CLEAN_INTERCEPTS;
	return vintr & SVM_VINTR_IRQ ? (int)(vintr >> 32 & 0xff) : V3_EAGAIN;
}

/* A virtual interrupt that is never taken: its intercept tells that it could be. TPR is ignored because
 * CR8 never reaches the hardware; the controllers have applied it already. */
void v3_svm_want_intr_window(struct v3_vcpu *vcpu, uint8_t vector)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;
	int waiting = v3_svm_end_virq(sv); /* the window needs V_IRQ */

	(void)vector;
	if (waiting >= 0)
		sv->vmcb->eventinj =
			(uint8_t)waiting | SVM_EVENT_TYPE(SVM_EVENT_INTR) | SVM_EVENT_VALID;
	sv->vmcb->vintr |= SVM_VINTR_IRQ | SVM_VINTR_IGN_TPR;
	sv->dirty |= SVM_CLEAN_TPR;
}

/* If one NMI is being handled, the next must wait for its IRET, whose intercept is armed. Otherwise only an
 * interrupt shadow or another event holds it back: whatever comes first of the guest taking interrupts and
 * the end of that event's handler is the window. */
void v3_svm_want_nmi_window(struct v3_vcpu *vcpu)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;

	if (vcpu->nmi_blocked)
		return;
	v3_svm_want_intr_window(vcpu, 0);
	sv->vmcb->misc1 |= SVM_MISC1_IRET;
	sv->dirty |= SVM_CLEAN_INTERCEPTS;
}

static const uint8_t events_types[] = {
	[V3_EVENT_INTR] = SVM_EVENT_INTR,
	[V3_EVENT_NMI] = SVM_EVENT_NMI,
	[V3_EVENT_EXCEPTION] = SVM_EVENT_EXCEPTION,
	[V3_EVENT_SOFT_INT] = SVM_EVENT_SOFT,
};

void v3_svm_inject(struct v3_vcpu *vcpu, const struct v3_event *ev)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;

	/* Up to 31, a delivery cut short could not be told from an exception's. */
	if (sv->svm->repeats_intr && ev->type == V3_EVENT_INTR && ev->vector > 31) {
		events_deliver_virtually(sv, ev->vector);
		return;
	}
	sv->vmcb->eventinj = ev->vector | SVM_EVENT_TYPE(events_types[ev->type]) | SVM_EVENT_VALID |
			     (ev->has_error ? SVM_EVENT_ERROR : 0) | (uint64_t)ev->error << 32;
	if (ev->type == V3_EVENT_EXCEPTION && ev->vector == V3_VEC_PF)
		v3_svm_set_cr(vcpu, 2, ev->cr2);
	if (ev->type == V3_EVENT_NMI) {
		sv->vmcb->misc1 |= SVM_MISC1_IRET;
		sv->dirty |= SVM_CLEAN_INTERCEPTS;
	}
}

void v3_svm_clear_shadow(struct v3_vcpu *vcpu)
{
	events_vmcb(vcpu)->shadow = 0;
}

/* #DB and #AC are always ours: their delivery can loop for ever inside the CPU, with no exit in between.
 * #MC is the host's. #UD may be the other vendor's hypercall. */
void v3_svm_set_exception_mask(struct v3_vcpu *vcpu, uint32_t mask)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;

	sv->vmcb->exceptions = mask | EVENTS_OWN_MASK;
	sv->dirty |= SVM_CLEAN_INTERCEPTS;
}
