/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file rtc.c
 * Real-time clock and CMOS memory (Motorola MC146818A data sheet) at ports 0x70 and 0x71.
 *
 * The clock is the host's UTC time plus an offset that the guest changes by setting the clock. Nothing ticks:
 * time registers and flags are worked out when they are looked at, and a host timer is armed only while the
 * guest has an interrupt enabled whose flag is not set yet.
 *
 * The clock and the memory are backed by a battery: they survive a reset.
 */
#include "devices/devices.h"
#include "devices/port8.h"
#include "devices/timer/calendar.h"
#include "devices/timer/timers.h"
#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/timer.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define RTC_NPORTS   2
#define RTC_NREGS    128
#define RTC_NS_PER_S 1000000000ull

/* Registers */
#define RTC_SEC	       0x00
#define RTC_SEC_ALARM  0x01
#define RTC_MIN	       0x02
#define RTC_MIN_ALARM  0x03
#define RTC_HOUR       0x04
#define RTC_HOUR_ALARM 0x05
#define RTC_WEEKDAY    0x06 /* Sunday is 1 */
#define RTC_DAY	       0x07
#define RTC_MONTH      0x08
#define RTC_YEAR       0x09
#define RTC_A	       0x0a
#define RTC_B	       0x0b
#define RTC_C	       0x0c
#define RTC_D	       0x0d
#define RTC_CENTURY    0x32 /* PC convention, always BCD */

#define RTC_A_UIP      0x80 /* update in progress */
#define RTC_A_DIV      0x70
#define RTC_A_DIV_32K  0x20 /* the only divider setting at which a PC's clock runs */
#define RTC_A_RATE     0x0f
#define RTC_A_POWER_ON 0x26 /* clock runs, 1024 Hz */
#define RTC_B_SET      0x80 /* the guest sets the clock: no updates */
#define RTC_B_PIE      0x40
#define RTC_B_AIE      0x20
#define RTC_B_UIE      0x10
#define RTC_B_SQWE     0x08
#define RTC_B_BINARY   0x04
#define RTC_B_24H      0x02
#define RTC_C_IRQF     0x80
#define RTC_FLAGS      0x70 /* C: PF AF UF, at the positions of the enable bits in B */
#define RTC_D_VRT      0x80 /* battery is good */
#define RTC_HOUR_PM    0x80
#define RTC_ALARM_ANY  0xc0 /* an alarm byte with both bits set matches everything */

/* UIP goes up 244 us before an update, which takes 1984 us with a 32768 Hz crystal ("Update cycle"). */
#define RTC_UIP_NS 2228000u

/* Memory bytes whose meaning is PC convention: sizes for firmware that asks the CMOS */
#define RTC_BASE_KIB  0x15 /* 2 bytes: KiB below 640 KiB */
#define RTC_EXT_KIB   0x17 /* 2 bytes: KiB above 1 MiB, saturating */
#define RTC_EXT_KIB2  0x30 /* the same */
#define RTC_ABOVE_16M 0x34 /* 2 bytes: 64 KiB units between 16 MiB and 4 GiB */
#define RTC_ABOVE_4G  0x5b /* 3 bytes: 64 KiB units above 4 GiB */
#define RTC_CPUS      0x5f /* vcpus - 1 */

struct rtc {
	struct v3_vm *vm;	/* not owned; outlives the device */
	struct v3_timer *timer; /* owned: next interrupt */
	struct v3_lock lock;	/* guards all below */
	uint8_t index;
	uint8_t reg[RTC_NREGS];	 /* time registers: valid only while the clock is held */
	int64_t offset_s;	 /* guest's clock minus v3_time_wall_s() */
	unsigned weekday_offset; /* as set by the guest, minus the true one, mod 7 */
	int64_t seen_s;		 /* clock up to which AF and UF are worked out */
	uint64_t seen_tick;	 /* 32768 Hz ticks up to which PF is */
	bool level;		 /* state of the interrupt line */
	bool unwired;		 /* which the HPET has */
};

/* ---- register formats ---- */

static uint8_t rtc_bcd(unsigned n)
{
	return (uint8_t)(n / 10 % 10 << 4 | n % 10);
}

static uint8_t rtc_encode(const struct rtc *rtc, unsigned n)
{
	return rtc->reg[RTC_B] & RTC_B_BINARY ? (uint8_t)n : rtc_bcd(n);
}

static unsigned rtc_unbcd(uint8_t v)
{
	return (v >> 4) * 10u + (v & 15);
}

static unsigned rtc_decode(const struct rtc *rtc, uint8_t v)
{
	return rtc->reg[RTC_B] & RTC_B_BINARY ? v : rtc_unbcd(v);
}

static uint8_t rtc_encode_hour(const struct rtc *rtc, unsigned hour)
{
	if (rtc->reg[RTC_B] & RTC_B_24H)
		return rtc_encode(rtc, hour);
	return rtc_encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? RTC_HOUR_PM : 0);
}

static unsigned rtc_decode_hour(const struct rtc *rtc, uint8_t v)
{
	if (rtc->reg[RTC_B] & RTC_B_24H)
		return rtc_decode(rtc, v);
	return rtc_decode(rtc, v & (uint8_t)~RTC_HOUR_PM) % 12 + (v & RTC_HOUR_PM ? 12 : 0);
}

/* ---- the clock ---- */

/* The clock stands still while the guest sets it or stops the divider. */
static bool rtc_held(const struct rtc *rtc)
{
	return (rtc->reg[RTC_B] & RTC_B_SET) || (rtc->reg[RTC_A] & RTC_A_DIV) != RTC_A_DIV_32K;
}

static int64_t rtc_now(const struct rtc *rtc)
{
	return (int64_t)v3_time_wall_s(rtc->vm) + rtc->offset_s;
}

/* Is the clock where the calendar reaches? What a guest sets lies in the years 1600 to 9999, and runs on from there. */
static bool rtc_is_sane(const struct rtc *rtc)
{
	int64_t far = 2 * V3_CALENDAR_LAST_S;

	return rtc->offset_s > -far && rtc->offset_s < far && v3_calendar_has(rtc_now(rtc));
}

/* Fill the time registers from the clock. */
static void rtc_show(struct rtc *rtc)
{
	int64_t now = rtc_now(rtc);
	struct v3_calendar t;

	v3_calendar_from_seconds(now, &t);
	rtc->reg[RTC_SEC] = rtc_encode(rtc, t.sec);
	rtc->reg[RTC_MIN] = rtc_encode(rtc, t.min);
	rtc->reg[RTC_HOUR] = rtc_encode_hour(rtc, t.hour);
	rtc->reg[RTC_WEEKDAY] = (uint8_t)((v3_calendar_weekday(now) + rtc->weekday_offset) % 7 + 1);
	rtc->reg[RTC_DAY] = rtc_encode(rtc, t.day);
	rtc->reg[RTC_MONTH] = rtc_encode(rtc, t.month);
	rtc->reg[RTC_YEAR] = rtc_encode(rtc, (unsigned)t.year % 100);
	rtc->reg[RTC_CENTURY] = rtc_bcd((unsigned)t.year / 100);
}

static unsigned rtc_limit(unsigned value, unsigned low, unsigned high)
{
	if (value < low)
		return low;
	return value > high ? high : value;
}

/* Set the clock from the time registers; nonsense is limited to the nearest value that exists. */
static void rtc_take(struct rtc *rtc)
{
	const uint8_t *reg = rtc->reg;
	struct v3_calendar t;
	int64_t s;

	t.year = (int)(rtc_limit(rtc_unbcd(reg[RTC_CENTURY]), 16, 99) * 100 +
		       rtc_limit(rtc_decode(rtc, reg[RTC_YEAR]), 0, 99));
	t.month = rtc_limit(rtc_decode(rtc, reg[RTC_MONTH]), 1, 12);
	t.day = rtc_limit(rtc_decode(rtc, reg[RTC_DAY]), 1, 31);
	t.hour = rtc_limit(rtc_decode_hour(rtc, reg[RTC_HOUR]), 0, 23);
	t.min = rtc_limit(rtc_decode(rtc, reg[RTC_MIN]), 0, 59);
	t.sec = rtc_limit(rtc_decode(rtc, reg[RTC_SEC]), 0, 59);
	s = v3_calendar_to_seconds(&t);
	rtc->offset_s = s - (int64_t)v3_time_wall_s(rtc->vm);
	rtc->weekday_offset = ((reg[RTC_WEEKDAY] & 7u) + 6 + 7 - v3_calendar_weekday(s)) % 7;
	rtc->seen_s = s;
}

static uint64_t rtc_ticks(uint64_t ns)
{
	return ns / 15625000 * 512 + ns % 15625000 * 512 / 15625000; /* 32768 Hz */
}

static uint64_t rtc_ticks_to_ns(uint64_t ticks)
{
	return ticks / 512 * 15625000 + (ticks % 512 * 15625000 + 511) / 512;
}

/* log2 of the 32768 Hz ticks in one period, register A bits 3..0; 0: no periodic interrupt. */
static unsigned rtc_period_shift(const struct rtc *rtc)
{
	unsigned rate = rtc->reg[RTC_A] & RTC_A_RATE;

	if (!rate || (rtc->reg[RTC_A] & RTC_A_DIV) != RTC_A_DIV_32K)
		return 0;
	return rate < 3 ? rate + 6 : rate - 1; /* 1 and 2 are 256 and 128 Hz, as 8 and 9 */
}

/* Does one alarm byte match @p value? */
static bool rtc_alarm_match(uint8_t alarm, uint8_t value)
{
	return (alarm & RTC_ALARM_ANY) == RTC_ALARM_ANY || alarm == value;
}

/*
 * First second after @p after at which the alarm goes off; -1: never (the bytes are no time).
 * A time of day that does not match is left in steps of what does not match: at most 24 + 60 + 60 steps.
 */
static int64_t rtc_next_alarm(const struct rtc *rtc, int64_t after)
{
	int64_t s = after + 1, last = after + 86400;
	struct v3_calendar t;

	while (s <= last) {
		v3_calendar_from_seconds(s, &t);
		if (!rtc_alarm_match(rtc->reg[RTC_HOUR_ALARM], rtc_encode_hour(rtc, t.hour)))
			s += 3600 - t.min * 60 - t.sec;
		else if (!rtc_alarm_match(rtc->reg[RTC_MIN_ALARM], rtc_encode(rtc, t.min)))
			s += 60 - t.sec;
		else if (!rtc_alarm_match(rtc->reg[RTC_SEC_ALARM], rtc_encode(rtc, t.sec)))
			s++;
		else
			return s;
	}
	return -1;
}

/* ---- flags and interrupt ---- */

/* Drive the line as the flags say. Lock held. */
static void rtc_drive(struct rtc *rtc)
{
	bool level = rtc->reg[RTC_C] & rtc->reg[RTC_B] & RTC_FLAGS;

	if (level == rtc->level)
		return;
	rtc->level = level;
	if (!rtc->unwired)
		v3_irq_set(rtc->vm, V3_PC_IRQ_RTC, level);
}

/* Bring the flags of register C up to date and drive the line. Lock held. */
static void rtc_sync(struct rtc *rtc)
{
	uint64_t tick = rtc_ticks(v3_time_ns(rtc->vm));
	unsigned shift = rtc_period_shift(rtc);
	int64_t now = rtc_now(rtc), alarm;

	if (shift && tick >> shift != rtc->seen_tick >> shift)
		rtc->reg[RTC_C] |= RTC_B_PIE;
	rtc->seen_tick = tick;
	if (!rtc_held(rtc) && now != rtc->seen_s) {
		rtc->reg[RTC_C] |= RTC_B_UIE;
		alarm = rtc->reg[RTC_C] & RTC_B_AIE ? -1 : rtc_next_alarm(rtc, rtc->seen_s);
		if (alarm >= 0 && alarm <= now)
			rtc->reg[RTC_C] |= RTC_B_AIE;
	}
	rtc->seen_s = now;
	rtc_drive(rtc);
}

/*
 * Arm for the earliest enabled interrupt whose flag is down. While one is up the line is high and no further
 * edge can come, so nothing is armed until the guest reads register C. Lock held, synced.
 */
static void rtc_arm(struct rtc *rtc)
{
	uint8_t want = rtc->reg[RTC_B] & RTC_FLAGS;
	uint64_t ns = v3_time_ns(rtc->vm), due = ~0ull, at;
	unsigned shift = rtc_period_shift(rtc);
	int64_t alarm;

	if (want && !rtc->level) {
		if ((want & RTC_B_PIE) && shift)
			due = rtc_ticks_to_ns(((rtc->seen_tick >> shift) + 1) << shift);
		at = (ns / RTC_NS_PER_S + 1) * RTC_NS_PER_S; /* the next update ... */
		if (rtc_now(rtc) != rtc->seen_s)
			at = ns; /* ... which has been since the flags were looked at */
		if ((want & RTC_B_UIE) && !rtc_held(rtc) && at < due)
			due = at;
		alarm = (want & RTC_B_AIE) && !rtc_held(rtc) ? rtc_next_alarm(rtc, rtc->seen_s)
							     : -1;
		at += (uint64_t)(alarm - rtc->seen_s - 1) * RTC_NS_PER_S;
		if (alarm >= 0 && at < due)
			due = at;
	}
	if (due == ~0ull)
		v3_timer_cancel(rtc->timer);
	else
		v3_timer_arm(rtc->timer, due);
}

static void rtc_fire(struct v3_vcpu *vcpu, void *priv)
{
	struct rtc *rtc = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&rtc->lock);
	rtc_sync(rtc);
	rtc_arm(rtc);
	v3_lock_release(&rtc->lock, flags);
}

/* ---- ports ---- */

static bool rtc_is_time(unsigned reg)
{
	return reg == RTC_SEC || reg == RTC_MIN || reg == RTC_HOUR ||
	       (reg >= RTC_WEEKDAY && reg <= RTC_YEAR) || reg == RTC_CENTURY;
}

static uint8_t rtc_read_a(const struct rtc *rtc)
{
	uint64_t rest = v3_time_ns(rtc->vm) % RTC_NS_PER_S;
	bool updating = !rtc_held(rtc) && rest >= RTC_NS_PER_S - RTC_UIP_NS;

	return rtc->reg[RTC_A] | (updating ? RTC_A_UIP : 0);
}

static uint8_t rtc_read_c(struct rtc *rtc)
{
	uint8_t value;

	rtc_sync(rtc);
	value = rtc->reg[RTC_C] | (rtc->level ? RTC_C_IRQF : 0);
	rtc->reg[RTC_C] = 0; /* reading acknowledges */
	rtc_drive(rtc);	     /* down, even if a period has ended since: that is another edge */
	rtc_sync(rtc);
	rtc_arm(rtc);
	return value;
}

static uint8_t rtc_read8(void *dev, unsigned off)
{
	struct rtc *rtc = dev;
	unsigned reg = rtc->index;

	if (off == 0)
		return 0xff; /* the index cannot be read */
	if (rtc_is_time(reg) && !rtc_held(rtc))
		rtc_show(rtc);
	switch (reg) {
	case RTC_A:
		return rtc_read_a(rtc);
	case RTC_C:
		return rtc_read_c(rtc);
	case RTC_D:
		return RTC_D_VRT;
	default:
		return rtc->reg[reg];
	}
}

/* Write A or B: either may hold the clock or let it go, or change the format of the time registers. */
static void rtc_write_control(struct rtc *rtc, unsigned reg, uint8_t value)
{
	bool held = rtc_held(rtc);

	rtc_sync(rtc);
	if (!held)
		rtc_show(rtc); /* what the registers hold if this write stops the clock */
	rtc->reg[reg] = value;
	if (reg == RTC_B && (value & RTC_B_SET))
		rtc->reg[RTC_B] &= (uint8_t)~RTC_B_UIE; /* SET going up clears UIE, "Register B" */
	if (held && !rtc_held(rtc))
		rtc_take(rtc);
	rtc_sync(rtc);
	rtc_arm(rtc);
}

static void rtc_write_reg(struct rtc *rtc, unsigned reg, uint8_t value)
{
	if (reg == RTC_A) {
		rtc_write_control(rtc, reg, value & (uint8_t)~RTC_A_UIP);
	} else if (reg == RTC_B) {
		rtc_write_control(rtc, reg, value);
	} else if (rtc_is_time(reg)) {
		if (rtc_held(rtc)) {
			rtc->reg[reg] = value;
			return;
		}
		rtc_sync(rtc);
		rtc_show(rtc);
		rtc->reg[reg] = value;
		rtc_take(rtc);
		rtc_arm(rtc);
	} else if (reg != RTC_C && reg != RTC_D) {
		rtc_sync(rtc); /* an alarm byte counts from now on */
		rtc->reg[reg] = value;
		if (reg <= RTC_HOUR_ALARM)
			rtc_arm(rtc);
	}
}

static void rtc_write8(void *dev, unsigned off, uint8_t value)
{
	struct rtc *rtc = dev;

	if (off == 0)
		rtc->index = value & (RTC_NREGS - 1); /* bit 7 masks NMI on a PC: not supported */
	else
		rtc_write_reg(rtc, rtc->index, value);
}

static int rtc_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct rtc *rtc = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&rtc->lock);
	v3_port8_access(io, rtc, V3_PC_PORT_RTC, RTC_NPORTS, rtc_read8, rtc_write8);
	v3_lock_release(&rtc->lock, flags);
	return V3_OK;
}

/* ---- device ---- */

static void rtc_store(struct rtc *rtc, unsigned reg, unsigned bytes, uint64_t value)
{
	uint64_t top = (1ull << (8 * bytes)) - 1;
	unsigned i;

	if (value > top)
		value = top;
	for (i = 0; i < bytes; i++)
		rtc->reg[reg + i] = (uint8_t)(value >> (8 * i));
}

/* What firmware expects to find about the machine. */
static void rtc_store_sizes(struct rtc *rtc)
{
	uint64_t low_end = 0, above_4g = 0;
	struct v3_mem_range range;
	unsigned i;

	for (i = 0; v3_mem_range(rtc->vm, i, &range) == V3_OK; i++) {
		if (!range.ram)
			continue;
		if (range.gpa >= V3_PC_RAM_HIGH_BASE)
			above_4g += range.size;
		else if (range.gpa + range.size > low_end)
			low_end = range.gpa + range.size;
	}
	rtc_store(rtc, RTC_BASE_KIB, 2, V3_PC_LOW_RAM_END / 1024);
	rtc_store(rtc, RTC_EXT_KIB, 2,
		  low_end > V3_PC_HIGH_RAM_BASE ? (low_end - V3_PC_HIGH_RAM_BASE) / 1024 : 0);
	rtc_store(rtc, RTC_EXT_KIB2, 2,
		  low_end > V3_PC_HIGH_RAM_BASE ? (low_end - V3_PC_HIGH_RAM_BASE) / 1024 : 0);
	rtc_store(rtc, RTC_ABOVE_16M, 2, low_end > 0x1000000 ? (low_end - 0x1000000) / 0x10000 : 0);
	rtc_store(rtc, RTC_ABOVE_4G, 3, above_4g / 0x10000);
	rtc_store(rtc, RTC_CPUS, 1, v3_vm_vcpu_count(rtc->vm) - 1);
}

/* The RESET pin clears interrupt enables and flags; a clock left in the middle of being set runs again. */
void v3_rtc_wire(void *state, bool wired)
{
	struct rtc *rtc = state;
	unsigned long flags = v3_lock_acquire(&rtc->lock);

	if (rtc->unwired == wired) {
		rtc->unwired = !wired;
		v3_irq_set(rtc->vm, V3_PC_IRQ_RTC, wired && rtc->level);
	}
	v3_lock_release(&rtc->lock, flags);
}

static void rtc_reset(void *state)
{
	struct rtc *rtc = state;
	unsigned long flags;

	flags = v3_lock_acquire(&rtc->lock);
	v3_timer_cancel(rtc->timer);
	if (rtc_held(rtc))
		rtc_take(rtc);
	if (!rtc_is_sane(rtc)) /* of a saved state that was refused */
		rtc->offset_s = 0;
	rtc->index = 0;
	rtc->reg[RTC_A] = RTC_A_POWER_ON;
	rtc->reg[RTC_B] = RTC_B_24H;
	rtc->reg[RTC_C] = 0;
	rtc->unwired = false;
	rtc->seen_s = rtc_now(rtc);
	rtc->seen_tick = rtc_ticks(v3_time_ns(rtc->vm));
	rtc_store_sizes(rtc);
	rtc_sync(rtc);
	v3_lock_release(&rtc->lock, flags);
}

static int rtc_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct rtc *rtc;
	int err;

	(void)cfg;
	rtc = v3_alloc(sizeof(*rtc));
	if (!rtc)
		return V3_ENOMEM;
	rtc->vm = vm;
	rtc->reg[RTC_A] = RTC_A_POWER_ON; /* running, with the host's time */
	err = v3_lock_init(&rtc->lock);
	if (err)
		goto free_rtc;
	err = v3_timer_create(vm, NULL, rtc_fire, rtc, &rtc->timer);
	if (err)
		goto destroy_lock;
	err = v3_io_register(vm, V3_PC_PORT_RTC, RTC_NPORTS, rtc_io, rtc);
	if (err)
		goto destroy_timer;
	*state = rtc;
	return V3_OK;

destroy_timer:
	v3_timer_destroy(rtc->timer);
destroy_lock:
	v3_lock_destroy(&rtc->lock);
free_rtc:
	v3_free(rtc);
	return err;
}

static void rtc_destroy(void *state)
{
	struct rtc *rtc = state;

	v3_io_unregister(rtc->vm, V3_PC_PORT_RTC);
	v3_timer_destroy(rtc->timer);
	v3_lock_destroy(&rtc->lock);
	v3_free(rtc);
}

/* ---- saved state ---- */

static int rtc_loaded(void *state)
{
	const struct rtc *rtc = state;

	return rtc->index < RTC_NREGS && rtc_is_sane(rtc) && v3_calendar_has(rtc->seen_s)
		       ? V3_OK
		       : V3_EINVAL;
}

static const struct v3_save_field rtc_fields[] = {
	V3_SAVE_NOT(struct rtc, vm),
	V3_SAVE_TIMER(struct rtc, timer),
	V3_SAVE_NOT(struct rtc, lock),
	V3_SAVE(struct rtc, index),
	V3_SAVE(struct rtc, reg),
	V3_SAVE(struct rtc, offset_s),
	V3_SAVE(struct rtc, weekday_offset),
	V3_SAVE(struct rtc, seen_s),
	V3_SAVE(struct rtc, seen_tick),
	V3_SAVE(struct rtc, level),
	V3_SAVE(struct rtc, unwired),
	V3_SAVE_END,
};
static const struct v3_save_table rtc_save = {
	.fields = rtc_fields,
	.size = sizeof(struct rtc),
	.loaded = rtc_loaded,
};

const struct v3_device_class v3_device_rtc = {
	.name = "rtc",
	.save = &rtc_save,
	.create = rtc_create,
	.reset = rtc_reset,
	.destroy = rtc_destroy,
};
