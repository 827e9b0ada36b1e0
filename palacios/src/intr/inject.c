// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file inject.c
 * From a controller's pending interrupt to the guest's vector. Called by the run loop (vm/run.c)
 * and by the HLT handler on the vcpu's own thread; calls the controllers and the vendor back end.
 *
 * No interrupt is forgotten: whoever makes one deliverable (a message into an IRR, an EOI, a lower
 * task priority, the 8259's INTR output, an unmasked LINT0) sets V3_REQ_IRQ; what is deliverable
 * but cannot be taken by the guest now is watched by an interrupt window, whose exit sets
 * V3_REQ_IRQ again.
 */
#include "intr/intr.h"

#include "exit/trace.h"
#include "palacios/error.h"
#include "state.h"

/* The 8259's INTA cycle gives the vector only when it is acknowledged; until then the window is
 * asked for with the highest priority, because task priority does not hold ExtINT back (SDM 3A
 * 10.8.3). */
#define INJECT_EXTINT_WINDOW 0xff

/** Is the 8259 pair asking, and does this vcpu listen? Its INTR output is wired to vcpu 0 only. */
static bool inject_extint_pending(struct v3_vcpu *vcpu)
{
	const struct v3_intr *intr = &vcpu->vm->intr;

	if (vcpu->index != 0 || !intr->extint || !intr->extint->pending(intr->extint_priv))
		return false;
	return !intr->lapic || intr->lapic->accepts_extint(intr->lapic_priv, vcpu);
}

/** Vector the local APIC wants to deliver, or V3_EAGAIN. */
static int inject_apic_pending(struct v3_vcpu *vcpu)
{
	const struct v3_intr *intr = &vcpu->vm->intr;

	return intr->lapic ? intr->lapic->pending(intr->lapic_priv, vcpu) : V3_EAGAIN;
}

/** Ask for an exit when the guest can take the interrupt that waits, if one does. */
static void inject_watch(struct v3_vcpu *vcpu, int apic_vector)
{
	if (inject_extint_pending(vcpu))
		vcpu->arch->want_intr_window(vcpu, INJECT_EXTINT_WINDOW);
	else if (apic_vector >= 0)
		vcpu->arch->want_intr_window(vcpu, (uint8_t)apic_vector);
}

void v3_intr_service(struct v3_vcpu *vcpu)
{
	const struct v3_intr *intr = &vcpu->vm->intr;
	struct v3_event ev = {.type = V3_EVENT_INTR};
	int vector = inject_apic_pending(vcpu);

	if (V3_UNLIKELY(vcpu->apic_by_cpu)) { /* it takes what is pending in its own time */
		vcpu->arch->sync_apic(vcpu);
		vector = V3_EAGAIN;
	}
	if (vector < 0 && !inject_extint_pending(vcpu))
		return;
	/* A queued exception or aborted event goes first (APM vol. 2 8.5, 15.20). */
	if (vcpu->pending.type != V3_EVENT_NONE || !vcpu->arch->intr_ready(vcpu)) {
		inject_watch(vcpu, vector);
		return;
	}
	if (vector >= 0) {
		intr->lapic->ack(intr->lapic_priv, vcpu, (uint8_t)vector);
		ev.vector = (uint8_t)vector;
	} else {
		ev.vector = intr->extint->ack(intr->extint_priv);
	}
	V3_TRACE(inject, vcpu, &ev);
	vcpu->arch->inject(vcpu, &ev);
	/* The local APIC gave its highest vector, which now holds back the others; ExtINT is not
	 * held back. */
	inject_watch(vcpu, V3_EAGAIN);
}

int v3_apic_write_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	const struct v3_intr *intr = &vcpu->vm->intr;

	intr->lapic->written(intr->lapic_priv, vcpu, exit->u.apic);
	return V3_OK;
}

int v3_apic_eoi_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	const struct v3_intr *intr = &vcpu->vm->intr;

	intr->lapic->ended(intr->lapic_priv, vcpu, (uint8_t)exit->u.apic);
	return V3_OK;
}

int v3_intr_window_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)exit;
	v3_vcpu_request_self(vcpu, V3_REQ_IRQ | (vcpu->nmi_pending ? V3_REQ_NMI : 0));
	return V3_OK;
}

bool v3_intr_deliverable(struct v3_vcpu *vcpu)
{
	if (!(vcpu->regs.rflags & V3_RFLAGS_IF))
		return false;
	return inject_apic_pending(vcpu) >= 0 || inject_extint_pending(vcpu);
}
