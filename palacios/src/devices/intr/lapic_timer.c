// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file lapic_timer.c
 * The local APIC's timer: one-shot, periodic and TSC-deadline mode; SDM 3A 10.5.4. Called by
 * lapic.c for register accesses and by the vcpu's timer queue; calls v3_timer_*, v3_time_* and
 * lapic_bus.c.
 *
 * Nothing ticks: the count is computed from the next expiry when it is read, and the host's timer
 * is armed only while the entry is unmasked, so a masked or stopped timer causes no exit.
 */
#include "lapic.h"

#include "palacios/error.h"
#include "palacios/timer.h"
#include "palacios/vcpu.h"

/* The clock the divider divides: 1 GHz, so that one undivided count is a nanosecond. CPUID leaf
 * 0x15 need not tell: guests calibrate the timer or use TSC-deadline mode. */
#define LAPIC_COUNT_NS	    1u
/* A shorter period than this is stretched to it: otherwise a guest that asks for a tick every few
 * nanoseconds would never get past its own handler, nor let its vcpu's thread rest. */
#define LAPIC_MIN_PERIOD_NS 20000u

static enum lapic_timer_mode lapic_timer_mode(const struct lapic *l)
{
	return (enum lapic_timer_mode)LAPIC_LVT_TMODE(l->lvt[LAPIC_LVT_TIMER]);
}

/**
 * Divide configuration, bits 3, 1, 0: 000 = 2, 001 = 4 ... 110 = 128, 111 = 1; SDM 3A figure 10-10.
 */
static unsigned lapic_timer_shift(const struct lapic *l)
{
	unsigned code = ((l->dcr >> 1) & 4) | (l->dcr & 3);

	return (code + 1) & 7;
}

static uint64_t lapic_timer_ns(const struct lapic *l, uint32_t count)
{
	return ((uint64_t)count * LAPIC_COUNT_NS) << lapic_timer_shift(l);
}

static uint64_t lapic_timer_period(const struct lapic *l)
{
	uint64_t ns = lapic_timer_ns(l, l->initial);

	return ns < LAPIC_MIN_PERIOD_NS ? LAPIC_MIN_PERIOD_NS : ns;
}

static uint64_t lapic_timer_now(const struct lapic *l)
{
	return v3_time_ns(l->set->vm);
}

/** Have the host wake us at the next expiry if that is of any use. */
static void lapic_timer_program(struct lapic *l)
{
	if (l->running && !(l->lvt[LAPIC_LVT_TIMER] & LAPIC_LVT_MASKED))
		v3_timer_arm(l->timer, l->deadline);
	else if (v3_timer_armed(l->timer))
		v3_timer_cancel(l->timer);
}

static void lapic_timer_stop(struct lapic *l)
{
	l->running = false;
	l->deadline = 0;
	l->tsc_deadline = 0;
}

/**
 * Account for an expiry that is due: raise the interrupt (a masked entry loses it) and move on.
 * Periods that passed unserved are merged into this one; the next is a whole number of periods
 * after the first.
 */
static void lapic_timer_poll(struct lapic *l)
{
	uint64_t now, late;

	if (!l->running)
		return;
	now = lapic_timer_now(l);
	if (now < l->deadline)
		return;
	if (lapic_timer_mode(l) == LAPIC_PERIODIC) {
		late = now - l->deadline;
		l->deadline += lapic_timer_period(l) * (1 + late / lapic_timer_period(l));
	} else {
		lapic_timer_stop(l);
	}
	v3_lapic_local(l, LAPIC_LVT_TIMER);
}

void v3_lapic_timer_fire(struct v3_vcpu *vcpu, void *priv)
{
	struct lapic *l = priv;

	/* The guest may have set its TSC back since it chose the deadline. */
	if (l->running && lapic_timer_mode(l) == LAPIC_TSC_DEADLINE) {
		uint64_t at = v3_time_of_tsc(vcpu, l->tsc_deadline);

		if (at > l->deadline)
			l->deadline = at;
	}
	lapic_timer_poll(l);
	lapic_timer_program(l);
}

void v3_lapic_timer_reset(struct lapic *l)
{
	lapic_timer_stop(l);
	l->initial = 0;
	l->dcr = 0;
	v3_timer_cancel(l->timer);
}

void v3_lapic_timer_set_lvt(struct lapic *l, uint32_t lvt)
{
	uint32_t old = l->lvt[LAPIC_LVT_TIMER];

	lapic_timer_poll(l);
	lapic_store32(&l->lvt[LAPIC_LVT_TIMER], lvt);
	/* A change of mode disarms the timer, SDM 3A 10.5.4.1. */
	if (LAPIC_LVT_TMODE(old) != LAPIC_LVT_TMODE(lvt))
		lapic_timer_stop(l);
	lapic_timer_program(l);
}

void v3_lapic_timer_set_initial(struct lapic *l, uint32_t value)
{
	/* Ignored in TSC-deadline mode, SDM 3A 10.5.4.1; mode 3 does not exist and never counts. */
	if (lapic_timer_mode(l) > LAPIC_PERIODIC)
		return;
	l->initial = value;
	if (value) {
		l->running = true;
		l->deadline = lapic_timer_now(l) + (lapic_timer_mode(l) == LAPIC_PERIODIC
							    ? lapic_timer_period(l)
							    : lapic_timer_ns(l, value));
	} else {
		lapic_timer_stop(l);
	}
	lapic_timer_program(l);
}

uint32_t v3_lapic_timer_count(struct lapic *l)
{
	uint64_t now, left, period;
	unsigned shift = lapic_timer_shift(l);

	if (!l->running || lapic_timer_mode(l) > LAPIC_PERIODIC)
		return 0;
	now = lapic_timer_now(l);
	if (now < l->deadline) {
		left = l->deadline - now;
	} else if (lapic_timer_mode(l) == LAPIC_PERIODIC) {
		/* Expired but not yet served: the count was reloaded at the deadline. */
		period = lapic_timer_period(l);
		left = period - (now - l->deadline) % period;
	} else {
		return 0;
	}
	left = (left + (LAPIC_COUNT_NS << shift) - 1) / (LAPIC_COUNT_NS << shift);
	/* Only a stretched period is longer than the count can say. */
	return left < l->initial ? (uint32_t)left : l->initial;
}

void v3_lapic_timer_set_divide(struct lapic *l, uint32_t value)
{
	uint32_t left;

	lapic_timer_poll(l);
	left = v3_lapic_timer_count(l);
	l->dcr = value;
	if (l->running && lapic_timer_mode(l) != LAPIC_TSC_DEADLINE) {
		l->deadline = lapic_timer_now(l) + lapic_timer_ns(l, left);
		lapic_timer_program(l);
	}
}

int v3_lapic_timer_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	struct lapic_set *set = priv;
	struct lapic *l = set->cpu[v3_vcpu_index(vcpu)];

	(void)msr;
	/* Ignored in the other modes, SDM 3A 10.5.4.1. */
	if (lapic_timer_mode(l) != LAPIC_TSC_DEADLINE)
		return V3_OK;
	lapic_timer_stop(l);
	if (value) {
		l->tsc_deadline = value;
		l->deadline = v3_time_of_tsc(vcpu, value);
		l->running = true;
		/* 0: the time is past; raise it now rather than by way of the timer queue. */
		if (!l->deadline)
			lapic_timer_poll(l);
	}
	lapic_timer_program(l);
	return V3_OK;
}

int v3_lapic_timer_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	struct lapic_set *set = priv;
	struct lapic *l = set->cpu[v3_vcpu_index(vcpu)];

	(void)msr;
	/* A masked timer is not served by the host: it may have expired since. */
	if (l->lvt[LAPIC_LVT_TIMER] & LAPIC_LVT_MASKED)
		lapic_timer_poll(l);
	*value = l->tsc_deadline;
	return V3_OK;
}
