// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file lapic_bus.c
 * Messages between APICs: choosing destinations, accepting interrupts, interprocessor interrupts;
 * SDM 3A 10.6 to 10.8. Called by lapic.c and, through v3_apic_send(), by the I/O APIC and
 * message-signalled devices on any vcpu's thread. Lock-free: a sender only sets bits in the
 * receiver's IRR and TMR.
 */
#include "lapic.h"

#include "palacios/log.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "lapic"

/* ICR fields, SDM 3A figure 10-12 and 10-28. */
#define ICR_LOGICAL  (1u << 11)
#define ICR_ASSERT   (1u << 14)
#define ICR_LEVEL    (1u << 15)
#define ICR_SHORT(v) (((v) >> 18) & 3)

enum icr_shorthand { ICR_NO_SHORTHAND, ICR_SELF, ICR_ALL, ICR_OTHERS };

#define DFR_FLAT    0xfu
#define DFR_CLUSTER 0x0u

/** Set a vector in IRR and ask the vcpu to look. Any vcpu. */
static void lapic_bus_set_irr(struct lapic *l, uint8_t vector, bool level)
{
	uint64_t bit = 1ull << (vector & 63);
	unsigned w = vector >> 6;

	/* A software-disabled APIC takes no fixed interrupts, SDM 3A 10.4.7.2. */
	if (!(lapic_load32(&l->svr) & LAPIC_SVR_ENABLE) || !lapic_enabled(l))
		return;
	if (level)
		__atomic_fetch_or(&l->tmr[w], bit, __ATOMIC_RELAXED);
	else if (lapic_load64(&l->tmr[w]) & bit)
		__atomic_fetch_and(&l->tmr[w], ~bit, __ATOMIC_RELAXED);
	/* If the bit was set already, whoever set it has asked or is about to. */
	if (!(__atomic_fetch_or(&l->irr[w], bit, __ATOMIC_SEQ_CST) & bit))
		v3_vcpu_irq_request(l->vcpu);
}

void v3_lapic_post(struct lapic *l, uint8_t vector, bool level)
{
	if (V3_LIKELY(vector >= 16))
		lapic_bus_set_irr(l, vector, level);
	else
		v3_lapic_error(l, LAPIC_ESR_RECV_ILL);
}

void v3_lapic_error(struct lapic *l, uint32_t bits)
{
	uint32_t lvt = lapic_load32(&l->lvt[LAPIC_LVT_ERROR]);

	/* A write to ESR re-arms the interrupt, SDM 3A 10.5.3: only the first error counts. */
	if (__atomic_fetch_or(&l->esr_pending, bits, __ATOMIC_RELAXED) || (lvt & LAPIC_LVT_MASKED))
		return;
	/* An error entry with an illegal vector would be the next error: recorded, not raised. */
	if ((uint8_t)lvt < 16)
		__atomic_fetch_or(&l->esr_pending, LAPIC_ESR_RECV_ILL, __ATOMIC_RELAXED);
	else
		lapic_bus_set_irr(l, (uint8_t)lvt, false);
}

void v3_lapic_local(struct lapic *l, enum lapic_lvt_num n)
{
	uint32_t lvt = l->lvt[n];

	if (!(lvt & LAPIC_LVT_MASKED))
		v3_lapic_post(l, (uint8_t)lvt, false);
}

/** Logical destination, SDM 3A 10.6.2.2 and 10.12.10.2. */
static bool lapic_bus_match_logical(const struct lapic *l, uint32_t dest)
{
	uint32_t ldr;

	if (lapic_is_x2(l)) {
		ldr = lapic_x2_ldr(l);
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	}
	if (dest > 0xff)
		return false;
	ldr = lapic_load32(&l->ldr) >> 24;
	switch (lapic_load32(&l->dfr) >> 28) {
	case DFR_FLAT:
		return (dest & ldr) != 0;
	case DFR_CLUSTER:
		return dest >> 4 == ldr >> 4 && (dest & ldr & 0xf);
	default:
		return false; /* a model the manual does not define */
	}
}

static bool lapic_bus_match(const struct lapic *l, const struct v3_apic_msg *msg)
{
	if (!lapic_enabled(l) || l->vcpu == msg->except)
		return false;
	if (msg->broadcast)
		return true;
	return msg->logical ? lapic_bus_match_logical(l, msg->dest) : msg->dest == l->id;
}

static void lapic_bus_accept(struct lapic *l, const struct v3_apic_msg *msg)
{
	switch (msg->mode) {
	case V3_DELIVER_FIXED:
	case V3_DELIVER_LOWEST:
		v3_lapic_post(l, msg->vector, msg->level);
		return;
	case V3_DELIVER_NMI:
		v3_vcpu_nmi(l->vcpu);
		return;
	case V3_DELIVER_INIT:
		v3_vcpu_init(l->vcpu);
		return;
	case V3_DELIVER_SIPI:
		v3_vcpu_sipi(l->vcpu, msg->vector);
		return;
	case V3_DELIVER_SMI:
		/* No system-management mode is offered: there is no handler to run. */
		V3_GUEST_WARN(l->set->vm, "system-management interrupt dropped");
		return;
	case V3_DELIVER_EXTINT:
		/* The 8259 pair's output is wired to LINT0 only: there would be nothing to
		 * acknowledge. */
		V3_GUEST_WARN(l->set->vm, "ExtINT message dropped");
		return;
	}
	V3_GUEST_WARN(l->set->vm, "message with reserved delivery mode %u dropped",
		      (unsigned)msg->mode);
}

/**
 * One of the destinations, of those with the lowest processor priority each in turn; SDM 3A
 * 10.6.2.4.
 */
static struct lapic *lapic_bus_lowest(struct lapic_set *set, const struct v3_apic_msg *msg)
{
	uint32_t i = __atomic_fetch_add(&set->turn, 1, __ATOMIC_RELAXED) % set->n;
	uint32_t best_ppr = ~0u;
	struct lapic *best = NULL;

	for (uint32_t k = 0; k < set->n; k++) {
		struct lapic *l = set->cpu[i];

		i = i + 1 == set->n ? 0 : i + 1;
		if (!lapic_bus_match(l, msg) || !(lapic_load32(&l->svr) & LAPIC_SVR_ENABLE))
			continue;
		if (lapic_load32(&l->ppr) < best_ppr) {
			best_ppr = lapic_load32(&l->ppr);
			best = l;
		}
	}
	return best;
}

void v3_lapic_send(void *priv, const struct v3_apic_msg *msg)
{
	struct lapic_set *set = priv;
	struct lapic *l;

	if (!msg->broadcast && !msg->logical) {
		l = msg->dest < V3_MAX_APIC_IDS ? set->by_id[msg->dest] : NULL;
		if (l && lapic_bus_match(l, msg))
			lapic_bus_accept(l, msg);
		return;
	}
	if (msg->mode == V3_DELIVER_LOWEST) {
		l = lapic_bus_lowest(set, msg);
		if (l)
			lapic_bus_accept(l, msg);
		return;
	}
	for (uint32_t i = 0; i < set->n; i++) {
		if (lapic_bus_match(set->cpu[i], msg))
			lapic_bus_accept(set->cpu[i], msg);
	}
}

/**
 * Can an ICR name this mode with this shorthand? SDM 3A table 10-3; NMI to oneself is harmless,
 * allowed.
 */
static bool lapic_bus_icr_valid(enum v3_delivery mode, unsigned shorthand)
{
	if ((unsigned)mode == 3 || mode == V3_DELIVER_EXTINT)
		return false;
	if (shorthand == ICR_SELF || shorthand == ICR_ALL)
		return mode == V3_DELIVER_FIXED || mode == V3_DELIVER_NMI;
	return true;
}

/** Destination fields of an ICR value; SDM 3A 10.6.1 and 10.12.9. */
static void lapic_bus_icr_dest(const struct lapic *l, uint64_t icr, struct v3_apic_msg *msg)
{
	uint32_t all = lapic_is_x2(l) ? 0xffffffff : 0xff;

	switch (ICR_SHORT(icr)) {
	case ICR_SELF:
		msg->dest = l->id;
		return;
	case ICR_ALL:
		msg->broadcast = true;
		return;
	case ICR_OTHERS:
		msg->broadcast = true;
		msg->except = l->vcpu;
		return;
	}
	msg->dest = (uint32_t)(lapic_is_x2(l) ? icr >> 32 : icr >> 56);
	msg->logical = (icr & ICR_LOGICAL) != 0;
	msg->broadcast = msg->dest == all;
}

void v3_lapic_send_icr(struct lapic *l, uint64_t icr)
{
	struct v3_apic_msg msg = {
		.vector = (uint8_t)icr,
		.mode = (enum v3_delivery)((icr >> 8) & 7),
	};

	/* What kernels send most; the general way below would do the same. */
	if (ICR_SHORT(icr) == ICR_SELF && msg.mode == V3_DELIVER_FIXED && msg.vector >= 16) {
		v3_lapic_post(l, msg.vector, false);
		return;
	}
	/* INIT level de-assert only exists for compatibility and does nothing, SDM 3A 10.6.1. */
	if (msg.mode == V3_DELIVER_INIT && (icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
		return;
	if (!lapic_bus_icr_valid(msg.mode, ICR_SHORT(icr))) {
		V3_GUEST_WARN(l->set->vm, "apic %u: invalid command %#llx dropped", l->id,
			      (unsigned long long)icr);
		return;
	}
	if (msg.mode <= V3_DELIVER_LOWEST && msg.vector < 16) {
		v3_lapic_error(l, LAPIC_ESR_SEND_ILL);
		return;
	}
	lapic_bus_icr_dest(l, icr, &msg);
	v3_lapic_send(l->set, &msg);
}
