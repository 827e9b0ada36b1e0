/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file intr.h
 * What interrupt routing keeps per VM (vm->intr), and what the run loop calls to deliver.
 * Written only while devices are created or destroyed; read by every vcpu without a lock.
 */
#ifndef V3_INTR_INTR_H
#define V3_INTR_INTR_H

#include "palacios/intr.h"

#define V3_INTR_SINKS 4

struct v3_exit;
struct v3_vcpu;

struct v3_intr {
	struct v3_irq_sink {
		v3_irq_sink_fn fn; /* NULL: free */
		void *priv;	   /* not owned, outlives the registration */
	} sink[V3_INTR_SINKS];
	const struct v3_lapic_ops *lapic; /* NULL: the VM has no local APICs */
	void *lapic_priv;		  /* not owned, as the next two */
	const struct v3_extint_ops *extint;
	void *extint_priv;
	v3_eoi_fn eoi;
	void *eoi_priv;
};

/**
 * Deliver what the controllers hold, or arrange to be asked again as soon as the guest can take it.
 * The run loop calls it on the vcpu's own thread when V3_REQ_IRQ was set (the bit is already
 * clear). At most one interrupt is injected; if more wait, an interrupt window is asked for.
 */
void v3_intr_service(struct v3_vcpu *vcpu);

/** Exit: the guest can take an interrupt now. @return V3_OK. Own thread. */
int v3_intr_window_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);

/** CR8: the local APIC's task priority, if there is one. Own thread. */
uint64_t v3_intr_cr8(struct v3_vcpu *vcpu);

/** Exits of a CPU that virtualizes the local APIC. @return V3_OK. Own thread. */
int v3_apic_write_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_apic_eoi_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);

/**
 * Would an interrupt end HLT now: one is pending, passes the task priority, and RFLAGS.IF is set?
 * Own thread; changes nothing.
 */
bool v3_intr_deliverable(struct v3_vcpu *vcpu);

#endif
