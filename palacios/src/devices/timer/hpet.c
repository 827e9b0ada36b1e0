/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file hpet.c
 * High precision event timer: IA-PC HPET specification 1.0a. One block of three timers, each one-shot or periodic,
 * with a counter of 100 MHz that is a function of guest time. Called by MMIO dispatch and by its timers; calls
 * v3_irq_set() and, when the guest turns legacy replacement on, the i8254 and the RTC.
 *
 * No timer of the host is armed but for a comparator whose interrupt the guest has enabled.
 */
#include "devices/devices.h"
#include "devices/timer/timers.h"
#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/timer.h"
#include "palacios/vm.h"

#define HPET_NTIMERS   3
#define HPET_PERIOD_NS 10

/* Registers, 2.3. Each is 64 bits wide. */
#define HPET_REG_ID	 0x000
#define HPET_REG_CONFIG	 0x010
#define HPET_REG_STATUS	 0x020
#define HPET_REG_COUNTER 0x0f0
#define HPET_REG_TIMERS	 0x100
#define HPET_TIMER_LEN	 0x20 /* configuration, comparator, message route */

/* Capabilities; period in femtoseconds. */
#define HPET_ID (V3_PC_HPET_ID | HPET_PERIOD_NS * 1000000ull << 32)
_Static_assert((V3_PC_HPET_ID >> 8 & 31) + 1 == HPET_NTIMERS, "number of timers");

#define HPET_ENABLE 1u
#define HPET_LEGACY 2u

/* Timer configuration, 2.3.8. */
#define HPET_T_LEVEL	(1u << 1)
#define HPET_T_ENABLE	(1u << 2)
#define HPET_T_PERIODIC (1u << 3)
#define HPET_T_CAN	(1u << 4 | 1u << 5) /* periodic, 64 bits */
#define HPET_T_SET	(1u << 6)
#define HPET_T_32	(1u << 8)
#define HPET_T_ROUTE(c) ((unsigned)(c) >> 9 & 31)
#define HPET_T_WRITABLE 0x3f4eull /* as 1 << 6 is no storage, 0x3f0e of it is kept */
#define HPET_T_KEPT	(HPET_T_WRITABLE & ~(uint64_t)HPET_T_SET)
#define HPET_ROUTES	(0xf0ull << 16) /* I/O APIC pins 20 to 23: no other device has them */

struct hpet_timer {
	struct hpet *hpet;
	struct v3_timer *timer; /* owned */
	uint64_t config;	/* what is kept of it */
	uint64_t compare, period;
	uint64_t due_ns; /* guest time of the next match; 0: none is waited for */
	bool set; /* the next write of the comparator changes it although the timer is periodic */
};

struct hpet {
	struct v3_vm *vm;    /* not owned; outlives the device */
	struct v3_lock lock; /* guards all below */
	uint64_t config, status;
	uint64_t count;	   /* of the counter when it was started, or since it stands */
	uint64_t start_ns; /* guest time of its start */
	struct hpet_timer timer[HPET_NTIMERS];
};

/* ---- counter and comparators; lock held ---- */

static uint64_t hpet_counter(const struct hpet *h, uint64_t ns)
{
	return h->config & HPET_ENABLE ? h->count + (ns - h->start_ns) / HPET_PERIOD_NS : h->count;
}

static uint64_t hpet_width(const struct hpet_timer *t)
{
	return t->config & HPET_T_32 ? 0xffffffffull : ~0ull;
}

static bool hpet_is_legacy(const struct hpet *h, unsigned n)
{
	return n < 2 && (h->config & HPET_LEGACY);
}

static unsigned hpet_gsi(const struct hpet *h, unsigned n)
{
	if (hpet_is_legacy(h, n))
		return n ? V3_PC_IRQ_RTC : V3_PC_IRQ_TIMER;
	return HPET_T_ROUTE(h->timer[n].config);
}

/* Has the interrupt a place to go? A route that is not offered stays silent. */
static bool hpet_is_wired(const struct hpet *h, unsigned n)
{
	return hpet_is_legacy(h, n) || (HPET_ROUTES >> hpet_gsi(h, n) & 1);
}

/* Wait for the next match after now, if its interrupt is wanted. */
static void hpet_arm(struct hpet *h, unsigned n, uint64_t ns)
{
	struct hpet_timer *t = &h->timer[n];
	uint64_t ticks = (t->compare - hpet_counter(h, ns) - 1) & hpet_width(t);

	t->due_ns = 0;
	if (!(h->config & HPET_ENABLE) || !(t->config & HPET_T_ENABLE) ||
	    ticks >= (~0ull - ns) / HPET_PERIOD_NS - 1) { /* not in this universe */
		v3_timer_cancel(t->timer);
		return;
	}
	t->due_ns = ns + (ticks + 1) * HPET_PERIOD_NS - (ns - h->start_ns) % HPET_PERIOD_NS;
	v3_timer_arm(t->timer, t->due_ns);
}

/* A periodic comparator steps to its next match; matches that were missed are not made up for. */
static void hpet_step(struct hpet_timer *t, uint64_t counter)
{
	uint64_t least = V3_PC_HPET_MIN_TICKS, width = hpet_width(t), passed;

	if (!(t->config & HPET_T_PERIODIC) || !t->period)
		return;
	passed = (counter - t->compare) & width;
	t->compare = (t->compare + (passed / t->period + 1) * t->period) & width;
	if (t->period < least)
		t->compare = (counter + least) & width;
}

static void hpet_lower(struct hpet *h, unsigned n)
{
	if (!(h->status & 1u << n))
		return;
	h->status &= ~(1ull << n);
	v3_irq_set(h->vm, hpet_gsi(h, n), false);
}

static void hpet_raise(struct hpet *h, unsigned n)
{
	unsigned gsi = hpet_gsi(h, n);

	if (!hpet_is_wired(h, n))
		return;
	v3_irq_set(h->vm, gsi, true);
	if (h->timer[n].config & HPET_T_LEVEL)
		h->status |= 1u << n;
	else
		v3_irq_set(h->vm, gsi, false);
}

static void hpet_fire(struct v3_vcpu *vcpu, void *priv)
{
	struct hpet_timer *t = priv;
	struct hpet *h = t->hpet;
	unsigned n = (unsigned)(t - h->timer);
	unsigned long flags;
	uint64_t ns;

	(void)vcpu;
	flags = v3_lock_acquire(&h->lock);
	ns = v3_time_ns(h->vm);
	/* Otherwise the guest has changed it since: the timer is disarmed or armed anew. */
	if (t->due_ns && ns >= t->due_ns) {
		hpet_raise(h, n);
		hpet_step(t, hpet_counter(h, ns));
		hpet_arm(h, n, ns);
	}
	v3_lock_release(&h->lock, flags);
}

/* ---- registers; lock held ---- */

static struct hpet_timer *hpet_timer_at(struct hpet *h, unsigned off)
{
	unsigned n = (off - HPET_REG_TIMERS) / HPET_TIMER_LEN;

	return off >= HPET_REG_TIMERS && n < HPET_NTIMERS ? &h->timer[n] : NULL;
}

static uint64_t hpet_read(struct hpet *h, unsigned off)
{
	struct hpet_timer *t = hpet_timer_at(h, off);

	switch (off) {
	case HPET_REG_ID:
		return HPET_ID;
	case HPET_REG_CONFIG:
		return h->config;
	case HPET_REG_STATUS:
		return h->status;
	case HPET_REG_COUNTER:
		return hpet_counter(h, v3_time_ns(h->vm));
	default:
		break;
	}
	if (t && off % HPET_TIMER_LEN == 0)
		return t->config | HPET_T_CAN | HPET_ROUTES << 32;
	if (t && off % HPET_TIMER_LEN == 8)
		return t->compare;
	return 0; /* reserved, or a message route, which is not offered */
}

/* What a register has besides the half that is written: the bit and the period that reading does not show. */
static uint64_t hpet_kept(struct hpet *h, unsigned off)
{
	struct hpet_timer *t = hpet_timer_at(h, off);

	if (t && off % HPET_TIMER_LEN == 0)
		return t->config | (t->set ? HPET_T_SET : 0);
	if (t && off % HPET_TIMER_LEN == 8 && (t->config & HPET_T_PERIODIC) && !t->set)
		return t->period;
	return hpet_read(h, off);
}

static void hpet_arm_all(struct hpet *h, uint64_t ns)
{
	for (unsigned n = 0; n < HPET_NTIMERS; n++)
		hpet_arm(h, n, ns);
}

/* The lines of the i8254 and the RTC belong to timers 0 and 1, or to them. */
static void hpet_wire_legacy(struct hpet *h)
{
	bool own = !(h->config & HPET_LEGACY);
	void *pit = v3_device_find(h->vm, &v3_device_i8254);
	void *rtc = v3_device_find(h->vm, &v3_device_rtc);

	if (pit)
		v3_i8254_wire(pit, own);
	if (rtc)
		v3_rtc_wire(rtc, own);
}

static void hpet_write_config(struct hpet *h, uint64_t value)
{
	uint64_t ns = v3_time_ns(h->vm),
		 changed = (h->config ^ value) & (HPET_ENABLE | HPET_LEGACY);

	if (changed & HPET_LEGACY) {
		hpet_lower(h, 0);
		hpet_lower(h, 1);
	}
	h->count = hpet_counter(h, ns);
	h->start_ns = ns;
	h->config ^= changed;
	if (changed & HPET_LEGACY)
		hpet_wire_legacy(h);
	hpet_arm_all(h, ns);
}

static void hpet_write_counter(struct hpet *h, uint64_t value)
{
	uint64_t ns = v3_time_ns(h->vm);

	h->count = value;
	h->start_ns = ns;
	hpet_arm_all(h, ns);
}

static void hpet_write_timer(struct hpet *h, struct hpet_timer *t, uint64_t value)
{
	unsigned n = (unsigned)(t - h->timer);

	/* What was raised by the old route must not stay up for ever. */
	if ((t->config ^ value) & (HPET_T_KEPT & ~(uint64_t)HPET_T_ENABLE))
		hpet_lower(h, n);
	t->config = value & HPET_T_KEPT;
	t->set = value & HPET_T_SET;
	t->compare &= hpet_width(t);
	t->period &= hpet_width(t);
	hpet_arm(h, n, v3_time_ns(h->vm));
}

/* 2.3.9.2.2: of a periodic timer the comparator itself only after VAL_SET, else the period alone. */
static void hpet_write_compare(struct hpet *h, struct hpet_timer *t, uint64_t value)
{
	value &= hpet_width(t);
	if (!(t->config & HPET_T_PERIODIC) || t->set)
		t->compare = value;
	if (t->config & HPET_T_PERIODIC)
		t->period = value;
	t->set = false;
	hpet_arm(h, (unsigned)(t - h->timer), v3_time_ns(h->vm));
}

static void hpet_write(struct hpet *h, unsigned off, uint64_t value)
{
	struct hpet_timer *t = hpet_timer_at(h, off);

	if (off == HPET_REG_CONFIG)
		hpet_write_config(h, value);
	else if (off == HPET_REG_COUNTER)
		hpet_write_counter(h, value);
	else if (t && off % HPET_TIMER_LEN == 0)
		hpet_write_timer(h, t, value);
	else if (t && off % HPET_TIMER_LEN == 8)
		hpet_write_compare(h, t, value);
}

static void hpet_write_status(struct hpet *h, uint64_t value)
{
	for (unsigned n = 0; n < HPET_NTIMERS; n++)
		if (value >> n & 1)
			hpet_lower(h, n);
}

/* Registers take 32 and 64 bits (2.3.2); anything else reads 0 and changes nothing. */
static void hpet_access(struct hpet *h, unsigned off, struct v3_mmio *mmio)
{
	unsigned shift = (off & 4) * 8;
	uint64_t mask = (mmio->size == 8 ? ~0ull : 0xffffffffull) << shift;
	bool aligned = mmio->size >= 4 && !(off & (mmio->size - 1u));

	off &= ~7u;
	if (!mmio->write)
		mmio->value = aligned ? hpet_read(h, off) >> shift : 0;
	else if (aligned && off == HPET_REG_STATUS)
		hpet_write_status(h, mmio->value << shift);
	else if (aligned)
		hpet_write(h, off, (hpet_kept(h, off) & ~mask) | (mmio->value << shift & mask));
}

static int hpet_mmio(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	struct hpet *h = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&h->lock);
	hpet_access(h, (unsigned)(mmio->gpa - V3_PC_HPET_BASE), mmio);
	v3_lock_release(&h->lock, flags);
	return V3_OK;
}

/* ---- device ---- */

static void hpet_reset(void *state)
{
	struct hpet *h = state;
	unsigned long flags = v3_lock_acquire(&h->lock);

	for (unsigned n = 0; n < HPET_NTIMERS; n++) {
		struct hpet_timer *t = &h->timer[n];

		hpet_lower(h, n);
		v3_timer_cancel(t->timer);
		*t = (struct hpet_timer){.hpet = h, .timer = t->timer, .compare = ~0ull};
	}
	h->config = 0;
	h->count = 0;
	hpet_wire_legacy(h);
	v3_lock_release(&h->lock, flags);
}

static void hpet_destroy(void *state)
{
	struct hpet *h = state;

	v3_mmio_unregister(h->vm, V3_PC_HPET_BASE);
	for (unsigned n = 0; n < HPET_NTIMERS; n++)
		v3_timer_destroy(h->timer[n].timer);
	v3_lock_destroy(&h->lock);
	v3_free(h);
}

static int hpet_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct hpet *h = v3_alloc(sizeof(*h));
	unsigned n;
	int err;

	(void)cfg;
	if (!h)
		return V3_ENOMEM;
	h->vm = vm;
	err = v3_lock_init(&h->lock);
	if (err)
		goto free_hpet;
	for (n = 0; !err && n < HPET_NTIMERS; n++) {
		h->timer[n].hpet = h;
		err = v3_timer_create(vm, NULL, hpet_fire, &h->timer[n], &h->timer[n].timer);
	}
	if (!err)
		err = v3_mmio_register(vm, V3_PC_HPET_BASE, V3_PAGE_SIZE, hpet_mmio, h);
	if (err)
		goto destroy_timers;
	*state = h;
	return V3_OK;

destroy_timers:
	for (n = 0; n < HPET_NTIMERS; n++)
		v3_timer_destroy(h->timer[n].timer);
	v3_lock_destroy(&h->lock);
free_hpet:
	v3_free(h);
	return err;
}

static const struct v3_save_field hpet_timer_fields[] = {
	V3_SAVE_NOT(struct hpet_timer, hpet), V3_SAVE_TIMER(struct hpet_timer, timer),
	V3_SAVE(struct hpet_timer, config),   V3_SAVE(struct hpet_timer, compare),
	V3_SAVE(struct hpet_timer, period),   V3_SAVE(struct hpet_timer, due_ns),
	V3_SAVE(struct hpet_timer, set),      V3_SAVE_END,
};
static const struct v3_save_table hpet_timer_save = {
	.fields = hpet_timer_fields,
	.size = sizeof(struct hpet_timer),
};

/* That the i8254 and the RTC are unwired is state of theirs. */
static const struct v3_save_field hpet_fields[] = {
	V3_SAVE_NOT(struct hpet, vm),
	V3_SAVE_NOT(struct hpet, lock),
	V3_SAVE(struct hpet, config),
	V3_SAVE(struct hpet, status),
	V3_SAVE(struct hpet, count),
	V3_SAVE(struct hpet, start_ns),
	V3_SAVE_PARTS(struct hpet, timer, &hpet_timer_save),
	V3_SAVE_END,
};
static const struct v3_save_table hpet_save = {
	.fields = hpet_fields,
	.size = sizeof(struct hpet),
};

const struct v3_device_class v3_device_hpet = {
	.name = "hpet",
	.save = &hpet_save,
	.create = hpet_create,
	.reset = hpet_reset,
	.destroy = hpet_destroy,
};
