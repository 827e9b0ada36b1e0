/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file i8254.c
 * Interval timer (Intel 82C54 data sheet, 231244) and port 0x61. Section names below are that data sheet's.
 *
 * No counter is ever stepped: a channel remembers the clock tick at which its counting began, and counter
 * value and output follow from the ticks that have passed, so reading costs no exit but its own and there
 * is no drift. A host timer is armed only for the next rising edge of channel 0's output. The falling
 * edge is made together with the next rising one, since nobody sees the line in between.
 *
 * A channel 0 faster than PIT_MIN_PERIOD_NS interrupts at that rate only; its counter stays exact. A tick
 * the guest was too late for is lost, as in hardware; the grid of the others does not move.
 */
#include "devices/devices.h"
#include "devices/port8.h"
#include "devices/timer/timers.h"
#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/timer.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define PIT_NPORTS   4
#define PIT_NCHANNEL 3
#define PIT_CONTROL  3 /* offset of the control word register */

#define PIT_MIN_PERIOD_NS 50000ull /* at most 20,000 interrupts per second */

/* 1193182 Hz / 1e9 ns in lowest terms */
#define PIT_TICKS_MUL 596591u
#define PIT_TICKS_DIV 500000000u

#define PIT_REFRESH_NS 15085u /* port 0x61 bit 4 changes with each memory refresh */

/* Port 0x61, system control port B */
#define PIT_SPK_GATE	0x01 /* gate of channel 2 */
#define PIT_SPK_STORED	0x0f
#define PIT_SPK_REFRESH 0x10
#define PIT_SPK_OUT	0x20 /* output of channel 2 */

/* "Control word format" */
#define PIT_CW_CHANNEL(v)     ((v) >> 6) /* 3: read-back command */
#define PIT_CW_RW(v)	      (((v) >> 4) & 3)
#define PIT_CW_MODE(v)	      (((v) >> 1) & 7)
#define PIT_CW_BCD	      0x01
#define PIT_CW_STORED	      0x3f
#define PIT_READBACK	      3
#define PIT_RB_NO_COUNT	      0x20
#define PIT_RB_NO_STATUS      0x10
#define PIT_RB_SELECTED(v, n) ((v) & (2u << (n)))
enum { PIT_RW_LATCH, PIT_RW_LOW, PIT_RW_HIGH, PIT_RW_BOTH };

#define PIT_ST_OUT  0x80
#define PIT_ST_NULL 0x40

enum {
	PIT_MODE_TERMINAL,  /* 0: interrupt on terminal count */
	PIT_MODE_ONE_SHOT,  /* 1: started by the gate */
	PIT_MODE_RATE,	    /* 2: rate generator */
	PIT_MODE_SQUARE,    /* 3: square wave */
	PIT_MODE_SW_STROBE, /* 4 */
	PIT_MODE_HW_STROBE, /* 5: started by the gate */
};

struct pit_channel {
	uint8_t control; /* low six bits of the control word, as status shows them */
	uint8_t mode;
	bool gate;
	bool loaded;	 /* the counting element holds a count */
	bool stopped;	 /* the gate holds the counting at held */
	bool null_count; /* a count was written that is not yet being counted */
	bool has_next;	 /* next_count is to be loaded */
	bool armed;	 /* has_next waits for the gate (modes 1 and 5), not for next_at */
	uint32_t count;	 /* initial count, 1..65536 */
	uint64_t start;	 /* tick at which it was loaded */
	uint64_t held;	 /* ticks counted when the gate stopped it */
	uint32_t next_count;
	uint64_t next_at;    /* tick at which next_count is loaded */
	uint64_t next_start; /* start from then on */

	uint8_t write_low;
	bool write_high; /* the next write is the high byte of a pair */
	bool read_high;
	bool count_latched, status_latched;
	uint16_t latch;
	uint8_t status;
};

struct pit {
	struct v3_vm *vm;	/* not owned; outlives the device */
	struct v3_timer *timer; /* owned: next rising edge of channel 0 */
	struct v3_lock lock;	/* guards all below */
	uint8_t speaker;	/* stored bits of port 0x61 */
	uint64_t edge_ns;	/* guest time of the last interrupt */
	uint64_t due_ns;	/* guest time of the next one; 0: none will come */
	bool unwired;		/* the HPET has the interrupt line */
	struct pit_channel ch[PIT_NCHANNEL];
};

/* Split so that no product exceeds 64 bits; exact for all of a 64-bit nanosecond count. */
static uint64_t pit_ticks(uint64_t ns)
{
	return ns / PIT_TICKS_DIV * PIT_TICKS_MUL +
	       ns % PIT_TICKS_DIV * PIT_TICKS_MUL / PIT_TICKS_DIV;
}

/* First nanosecond at which pit_ticks() is at least @p ticks. */
static uint64_t pit_ticks_to_ns(uint64_t ticks)
{
	uint64_t rest = ticks % PIT_TICKS_MUL * PIT_TICKS_DIV;

	return ticks / PIT_TICKS_MUL * PIT_TICKS_DIV + (rest + PIT_TICKS_MUL - 1) / PIT_TICKS_MUL;
}

/* ---- one channel ---- */

/* Count of a written value, 0 being the largest: "Write operations". */
static uint32_t pit_decode(const struct pit_channel *ch, uint16_t value)
{
	uint32_t n = value;

	if (ch->control & PIT_CW_BCD)
		n = ((value >> 12) * 1000u + ((value >> 8) & 15) * 100u +
		     ((value >> 4) & 15) * 10u + (value & 15)) %
		    10000;
	if (n)
		return n;
	return ch->control & PIT_CW_BCD ? 10000 : 65536;
}

static uint16_t pit_encode(const struct pit_channel *ch, uint32_t n)
{
	if (!(ch->control & PIT_CW_BCD))
		return (uint16_t)n;
	return (uint16_t)((n / 1000 % 10) << 12 | (n / 100 % 10) << 8 | (n / 10 % 10) << 4 |
			  n % 10);
}

/* Length of the high part of a square wave: the longer one if the count is odd, "Mode 3". */
static uint32_t pit_high_part(uint32_t count)
{
	return (count + 1) / 2;
}

static uint64_t pit_elapsed(const struct pit_channel *ch, uint64_t now)
{
	return ch->stopped ? ch->held : now - ch->start;
}

/* Load a waiting count whose time has come. */
static void pit_sync(struct pit_channel *ch, uint64_t now)
{
	if (!ch->has_next || ch->armed || ch->stopped || now < ch->next_at)
		return;
	ch->count = ch->next_count;
	ch->start = ch->next_start;
	ch->has_next = false;
	ch->null_count = false;
}

/* The counting element as the guest reads it. Synced. */
static uint16_t pit_value(const struct pit_channel *ch, uint64_t now)
{
	uint32_t wrap = ch->control & PIT_CW_BCD ? 10000 : 65536;
	uint32_t high = pit_high_part(ch->count);
	uint64_t gone;

	if (!ch->loaded)
		return 0; /* undefined until a count is loaded */
	gone = pit_elapsed(ch, now);
	switch (ch->mode) {
	case PIT_MODE_RATE:
		return pit_encode(ch, ch->count - (uint32_t)(gone % ch->count));
	case PIT_MODE_SQUARE: /* counts by two, from an even number, once per part */
		gone %= ch->count;
		if (gone >= high)
			gone -= high;
		return pit_encode(ch, (ch->count & ~1u) - 2 * (uint32_t)gone);
	default: /* goes on from the top after the end */
		return pit_encode(ch, (ch->count + wrap - (uint32_t)(gone % wrap)) % wrap);
	}
}

/* The OUT pin. Synced. */
static bool pit_out(const struct pit_channel *ch, uint64_t now)
{
	uint64_t gone;

	if (!ch->loaded)
		return ch->mode != PIT_MODE_TERMINAL;
	gone = pit_elapsed(ch, now);
	switch (ch->mode) {
	case PIT_MODE_TERMINAL:
	case PIT_MODE_ONE_SHOT:
		return gone >= ch->count;
	case PIT_MODE_RATE: /* low for the last tick; the gate forces it high */
		return ch->stopped || gone % ch->count != ch->count - 1;
	case PIT_MODE_SQUARE:
		return ch->stopped || gone % ch->count < pit_high_part(ch->count);
	default: /* strobes: low for one tick */
		return gone != ch->count;
	}
}

/* Modes whose counting a rising gate starts; in the others a low gate stops it, "Gate pin operations". */
static bool pit_gate_starts(const struct pit_channel *ch)
{
	return ch->mode == PIT_MODE_ONE_SHOT || ch->mode == PIT_MODE_HW_STROBE;
}

/* Start counting @p count at @p now. */
static void pit_start(struct pit_channel *ch, uint32_t count, uint64_t now)
{
	ch->count = count;
	ch->start = now;
	ch->held = 0;
	ch->loaded = true;
	ch->has_next = false;
	ch->null_count = false;
	ch->stopped = !ch->gate && !pit_gate_starts(ch);
}

/* A periodic mode takes a new count at the end of the period, or of the part of a square wave. Synced. */
static void pit_start_later(struct pit_channel *ch, uint32_t count, uint64_t now)
{
	uint64_t gone = pit_elapsed(ch, now);
	uint64_t period = ch->start + gone / ch->count * ch->count;

	ch->has_next = true;
	ch->armed = false;
	ch->null_count = true;
	ch->next_count = count;
	ch->next_at = period + ch->count;
	ch->next_start = ch->next_at;
	if (ch->mode == PIT_MODE_SQUARE && gone % ch->count < pit_high_part(ch->count)) {
		ch->next_at = period + pit_high_part(ch->count);
		ch->next_start = ch->next_at - pit_high_part(count);
	}
}

/* A whole count was written. */
static void pit_write_count(struct pit_channel *ch, uint16_t value, uint64_t now)
{
	uint32_t count = pit_decode(ch, value);

	if (pit_gate_starts(ch)) {
		ch->has_next = true;
		ch->armed = true;
		ch->null_count = true;
		ch->next_count = count;
	} else if (ch->loaded && (ch->mode == PIT_MODE_RATE || ch->mode == PIT_MODE_SQUARE)) {
		pit_start_later(ch, count, now);
	} else {
		pit_start(ch, count, now);
	}
}

static void pit_set_gate(struct pit_channel *ch, bool gate, uint64_t now)
{
	if (gate == ch->gate)
		return;
	ch->gate = gate;
	if (!gate) {
		ch->stopped = ch->loaded && !pit_gate_starts(ch);
		ch->held = now - ch->start;
	} else if (ch->mode == PIT_MODE_TERMINAL || ch->mode == PIT_MODE_SW_STROBE) {
		ch->stopped = false; /* goes on where it was held */
		ch->start = now - ch->held;
	} else if (ch->loaded || ch->has_next) { /* starts over, with the count written last */
		pit_start(ch, ch->has_next ? ch->next_count : ch->count, now);
	}
}

static void pit_latch_count(struct pit_channel *ch, uint64_t now)
{
	if (ch->count_latched)
		return; /* the first one stays until it is read, "Counter latch command" */
	ch->latch = pit_value(ch, now);
	ch->count_latched = true;
}

static void pit_latch_status(struct pit_channel *ch, uint64_t now)
{
	if (ch->status_latched)
		return;
	ch->status = (uint8_t)(ch->control | (pit_out(ch, now) ? PIT_ST_OUT : 0) |
			       (ch->null_count ? PIT_ST_NULL : 0));
	ch->status_latched = true;
}

static void pit_program(struct pit_channel *ch, uint8_t control)
{
	uint8_t mode = PIT_CW_MODE(control);

	ch->control = control & PIT_CW_STORED;
	ch->mode =
		mode > PIT_MODE_HW_STROBE ? mode - 4 : mode; /* bit 2 is "don't care" for 2 and 3 */
	ch->loaded = false;
	ch->stopped = false;
	ch->has_next = false;
	ch->null_count = true;
	ch->write_high = false;
	ch->read_high = false;
	ch->count_latched = false;
	ch->status_latched = false;
}

static uint8_t pit_read_channel(struct pit_channel *ch, uint64_t now)
{
	uint16_t value;
	bool high;

	if (ch->status_latched) {
		ch->status_latched = false;
		return ch->status;
	}
	value = ch->count_latched ? ch->latch : pit_value(ch, now);
	high = PIT_CW_RW(ch->control) == PIT_RW_HIGH || ch->read_high;
	if (PIT_CW_RW(ch->control) == PIT_RW_BOTH)
		ch->read_high = !high;
	if (!ch->read_high) /* the last byte was read */
		ch->count_latched = false;
	return (uint8_t)(high ? value >> 8 : value);
}

static void pit_write_channel(struct pit_channel *ch, uint8_t value, uint64_t now)
{
	switch (PIT_CW_RW(ch->control)) {
	case PIT_RW_LOW:
		pit_write_count(ch, value, now);
		break;
	case PIT_RW_HIGH:
		pit_write_count(ch, (uint16_t)(value << 8), now);
		break;
	case PIT_RW_BOTH:
		ch->write_high = !ch->write_high;
		if (!ch->write_high) {
			pit_write_count(ch, (uint16_t)(value << 8 | ch->write_low), now);
			break;
		}
		ch->write_low = value;
		ch->null_count = true;
		if (ch->mode == PIT_MODE_TERMINAL) /* the first byte stops it, "Mode 0" */
			ch->loaded = false;
		break;
	default:
		break; /* never programmed */
	}
}

/* ---- channel 0 and its interrupt ---- */

/* Tick of the next rising edge of the output after @p now; 0 if none will come. Synced. */
static uint64_t pit_next_rise(const struct pit_channel *ch, uint64_t now)
{
	uint64_t gone, rise;

	if (!ch->loaded || ch->stopped)
		return 0;
	gone = now - ch->start;
	switch (ch->mode) {
	case PIT_MODE_RATE:
	case PIT_MODE_SQUARE:
		rise = ch->start + (gone / ch->count + 1) * ch->count;
		if (ch->has_next && ch->next_at < rise)
			return ch->next_start + ch->next_count;
		return rise;
	case PIT_MODE_SW_STROBE:
	case PIT_MODE_HW_STROBE:
		return gone <= ch->count ? ch->start + ch->count + 1 : 0;
	default:
		return gone < ch->count ? ch->start + ch->count : 0;
	}
}

/* Arm for the next interrupt. Lock held, channel 0 synced. */
static void pit_arm(struct pit *pit, uint64_t now)
{
	uint64_t rise = pit_next_rise(&pit->ch[0], now);

	pit->due_ns = 0;
	if (!rise || pit->unwired) {
		v3_timer_cancel(pit->timer);
		return;
	}
	pit->due_ns = pit_ticks_to_ns(rise);
	if (pit->due_ns < pit->edge_ns + PIT_MIN_PERIOD_NS)
		pit->due_ns = pit->edge_ns + PIT_MIN_PERIOD_NS;
	v3_timer_arm(pit->timer, pit->due_ns);
}

static void pit_fire(struct v3_vcpu *vcpu, void *priv)
{
	struct pit *pit = priv;
	unsigned long flags;
	uint64_t ns;

	(void)vcpu;
	flags = v3_lock_acquire(&pit->lock);
	ns = v3_time_ns(pit->vm);
	/* Otherwise the guest has reprogrammed the channel since: the timer is disarmed or armed anew. */
	if (pit->due_ns && ns >= pit->due_ns) {
		pit_sync(&pit->ch[0], pit_ticks(ns));
		pit->edge_ns = ns;
		/* falls and rises, and stays high: the end of a count is a rising edge in every mode */
		v3_irq_set(pit->vm, V3_PC_IRQ_TIMER, false);
		v3_irq_set(pit->vm, V3_PC_IRQ_TIMER, true);
		pit_arm(pit, pit_ticks(ns));
	}
	v3_lock_release(&pit->lock, flags);
}

/* ---- ports ---- */

static void pit_read_back(struct pit *pit, uint8_t value, uint64_t now)
{
	unsigned i;

	for (i = 0; i < PIT_NCHANNEL; i++) {
		if (!PIT_RB_SELECTED(value, i))
			continue;
		pit_sync(&pit->ch[i], now);
		if (!(value & PIT_RB_NO_COUNT))
			pit_latch_count(&pit->ch[i], now);
		if (!(value & PIT_RB_NO_STATUS))
			pit_latch_status(&pit->ch[i], now);
	}
}

static void pit_write_control(struct pit *pit, uint8_t value, uint64_t now)
{
	unsigned n = PIT_CW_CHANNEL(value);

	if (n == PIT_READBACK) {
		pit_read_back(pit, value, now);
		return;
	}
	pit_sync(&pit->ch[n], now);
	if (PIT_CW_RW(value) == PIT_RW_LATCH) {
		pit_latch_count(&pit->ch[n], now);
		return;
	}
	pit_program(&pit->ch[n], value);
	if (n == 0) {
		if (!pit->unwired)
			v3_irq_set(pit->vm, V3_PC_IRQ_TIMER, false);
		pit_arm(pit, now);
	}
}

static uint8_t pit_read8(void *dev, unsigned off)
{
	struct pit *pit = dev;
	uint64_t now;

	if (off == PIT_CONTROL)
		return 0xff; /* cannot be read */
	now = pit_ticks(v3_time_ns(pit->vm));
	pit_sync(&pit->ch[off], now);
	return pit_read_channel(&pit->ch[off], now);
}

static void pit_write8(void *dev, unsigned off, uint8_t value)
{
	struct pit *pit = dev;
	uint64_t now = pit_ticks(v3_time_ns(pit->vm));

	if (off == PIT_CONTROL) {
		pit_write_control(pit, value, now);
		return;
	}
	pit_sync(&pit->ch[off], now);
	pit_write_channel(&pit->ch[off], value, now);
	if (off == 0)
		pit_arm(pit, now);
}

static int pit_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct pit *pit = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&pit->lock);
	v3_port8_access(io, pit, V3_PC_PORT_PIT, PIT_NPORTS, pit_read8, pit_write8);
	v3_lock_release(&pit->lock, flags);
	return V3_OK;
}

static uint8_t pit_speaker_read8(void *dev, unsigned off)
{
	struct pit *pit = dev;
	uint64_t ns = v3_time_ns(pit->vm), now = pit_ticks(ns);

	(void)off;
	pit_sync(&pit->ch[2], now);
	return (uint8_t)(pit->speaker | (ns / PIT_REFRESH_NS & 1 ? PIT_SPK_REFRESH : 0) |
			 (pit_out(&pit->ch[2], now) ? PIT_SPK_OUT : 0));
}

static void pit_speaker_write8(void *dev, unsigned off, uint8_t value)
{
	struct pit *pit = dev;
	uint64_t now = pit_ticks(v3_time_ns(pit->vm));

	(void)off;
	pit->speaker = value & PIT_SPK_STORED;
	pit_sync(&pit->ch[2], now);
	pit_set_gate(&pit->ch[2], value & PIT_SPK_GATE, now);
}

static int pit_speaker_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct pit *pit = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&pit->lock);
	v3_port8_access(io, pit, V3_PC_PORT_SPEAKER, 1, pit_speaker_read8, pit_speaker_write8);
	v3_lock_release(&pit->lock, flags);
	return V3_OK;
}

void v3_i8254_wire(void *state, bool wired)
{
	struct pit *pit = state;
	unsigned long flags = v3_lock_acquire(&pit->lock);
	uint64_t now = pit_ticks(v3_time_ns(pit->vm));

	if (pit->unwired == wired) {
		v3_irq_set(pit->vm, V3_PC_IRQ_TIMER, false);
		pit->unwired = !wired;
		pit_sync(&pit->ch[0], now);
		pit_arm(pit, now);
	}
	v3_lock_release(&pit->lock, flags);
}

/* ---- device ---- */

/* Power-on leaves a real chip undefined; here nothing counts until it is programmed. */
static void pit_reset(void *state)
{
	struct pit *pit = state;
	unsigned long flags;
	unsigned i;

	flags = v3_lock_acquire(&pit->lock);
	v3_timer_cancel(pit->timer);
	pit->speaker = 0;
	pit->edge_ns = 0;
	pit->due_ns = 0;
	pit->unwired = false;
	for (i = 0; i < PIT_NCHANNEL; i++) {
		pit->ch[i] = (struct pit_channel){.gate = i != 2};
		pit_program(&pit->ch[i], PIT_RW_BOTH << 4 | PIT_MODE_SQUARE << 1);
	}
	v3_irq_set(pit->vm, V3_PC_IRQ_TIMER, false);
	v3_lock_release(&pit->lock, flags);
}

static int pit_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct pit *pit;
	int err;

	(void)cfg;
	pit = v3_alloc(sizeof(*pit));
	if (!pit)
		return V3_ENOMEM;
	pit->vm = vm;
	err = v3_lock_init(&pit->lock);
	if (err)
		goto free_pit;
	err = v3_timer_create(vm, NULL, pit_fire, pit, &pit->timer);
	if (err)
		goto destroy_lock;
	err = v3_io_register(vm, V3_PC_PORT_PIT, PIT_NPORTS, pit_io, pit);
	if (err)
		goto destroy_timer;
	err = v3_io_register(vm, V3_PC_PORT_SPEAKER, 1, pit_speaker_io, pit);
	if (err)
		goto release_pit;
	*state = pit;
	return V3_OK;

release_pit:
	v3_io_unregister(vm, V3_PC_PORT_PIT);
destroy_timer:
	v3_timer_destroy(pit->timer);
destroy_lock:
	v3_lock_destroy(&pit->lock);
free_pit:
	v3_free(pit);
	return err;
}

static void pit_destroy(void *state)
{
	struct pit *pit = state;

	v3_io_unregister(pit->vm, V3_PC_PORT_SPEAKER);
	v3_io_unregister(pit->vm, V3_PC_PORT_PIT);
	v3_timer_destroy(pit->timer);
	v3_lock_destroy(&pit->lock);
	v3_free(pit);
}

/* ---- saved state ---- */

static bool pit_counts(uint32_t count)
{
	return count && count <= 65536;
}

static int pit_channel_loaded(void *state)
{
	const struct pit_channel *ch = state;

	if (ch->mode > PIT_MODE_HW_STROBE || (ch->loaded && !pit_counts(ch->count)) ||
	    (ch->has_next && !pit_counts(ch->next_count)))
		return V3_EINVAL;
	return V3_OK;
}

static const struct v3_save_field pit_channel_fields[] = {
	V3_SAVE(struct pit_channel, control),	     V3_SAVE(struct pit_channel, mode),
	V3_SAVE(struct pit_channel, gate),	     V3_SAVE(struct pit_channel, loaded),
	V3_SAVE(struct pit_channel, stopped),	     V3_SAVE(struct pit_channel, null_count),
	V3_SAVE(struct pit_channel, has_next),	     V3_SAVE(struct pit_channel, armed),
	V3_SAVE(struct pit_channel, count),	     V3_SAVE(struct pit_channel, start),
	V3_SAVE(struct pit_channel, held),	     V3_SAVE(struct pit_channel, next_count),
	V3_SAVE(struct pit_channel, next_at),	     V3_SAVE(struct pit_channel, next_start),
	V3_SAVE(struct pit_channel, write_low),	     V3_SAVE(struct pit_channel, write_high),
	V3_SAVE(struct pit_channel, read_high),	     V3_SAVE(struct pit_channel, count_latched),
	V3_SAVE(struct pit_channel, status_latched), V3_SAVE(struct pit_channel, latch),
	V3_SAVE(struct pit_channel, status),	     V3_SAVE_END,
};
static const struct v3_save_table pit_channel_save = {
	.fields = pit_channel_fields,
	.size = sizeof(struct pit_channel),
	.loaded = pit_channel_loaded,
};

static const struct v3_save_field pit_fields[] = {
	V3_SAVE_NOT(struct pit, vm),
	V3_SAVE_TIMER(struct pit, timer),
	V3_SAVE_NOT(struct pit, lock),
	V3_SAVE(struct pit, speaker),
	V3_SAVE(struct pit, edge_ns),
	V3_SAVE(struct pit, due_ns),
	V3_SAVE(struct pit, unwired),
	V3_SAVE_PARTS(struct pit, ch, &pit_channel_save),
	V3_SAVE_END,
};
static const struct v3_save_table pit_save = {.fields = pit_fields, .size = sizeof(struct pit)};

const struct v3_device_class v3_device_i8254 = {
	.name = "i8254",
	.save = &pit_save,
	.create = pit_create,
	.reset = pit_reset,
	.destroy = pit_destroy,
};
