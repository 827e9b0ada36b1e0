/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file excp.h
 * The one event waiting to be delivered to a vcpu: an exception queued by a handler, or an event whose
 * delivery an exit interrupted.
 */
#ifndef V3_CPU_EXCP_H
#define V3_CPU_EXCP_H

#include "palacios/types.h"

struct v3_event;
struct v3_vcpu;

/** An exit interrupted the delivery of @p ev: deliver it again before the next entry. Own thread. */
void v3_event_requeue(struct v3_vcpu *vcpu, const struct v3_event *ev);
/** Hand the waiting event to the hardware. Own thread (V3_REQ_EVENT). */
void v3_event_service(struct v3_vcpu *vcpu);
/** Deliver a pending NMI or ask for the window. Own thread (V3_REQ_NMI). */
void v3_nmi_service(struct v3_vcpu *vcpu);
/** An instruction was completed by us: RF ends, TF traps. Own thread. */
void v3_excp_after_insn(struct v3_vcpu *vcpu);

#endif
