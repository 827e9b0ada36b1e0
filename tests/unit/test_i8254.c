/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_i8254.c
 * The interval timer. Counter values and outputs are compared with a reference that steps a counter clock by
 * clock as the data sheet tells it (Intel 231244, "Mode definitions"); the device never steps.
 */
#include "device_bench.h"

#define CONTROL 0x43
#define SPEAKER 0x61
#define IRQ0	bench.level[0]
#define TICKS	bench.rises[0]

static uint64_t ticks_at(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * 1193182 / 1000000000);
}

static uint64_t now_ticks(void)
{
	return ticks_at(v3_time_ns(bench.vm));
}

/* Let exactly @p n clock ticks pass. */
static void pass_ticks(uint64_t n)
{
	uint64_t target = now_ticks() + n;
	uint64_t ns = (uint64_t)(((unsigned __int128)target * 1000000000 + 1193181) / 1193182);

	bench_run(ns - v3_time_ns(bench.vm));
	CHECK_EQ(now_ticks(), target);
}

static void load(unsigned ch, unsigned mode, uint16_t count)
{
	out8(CONTROL, (uint8_t)(ch << 6 | 0x30 | mode << 1));
	out8((uint16_t)(0x40 + ch), (uint8_t)count);
	out8((uint16_t)(0x40 + ch), (uint8_t)(count >> 8));
}

static unsigned read_count(unsigned ch)
{
	unsigned low;

	out8(CONTROL, (uint8_t)(ch << 6)); /* latch */
	low = in8((uint16_t)(0x40 + ch));
	return low | (unsigned)in8((uint16_t)(0x40 + ch)) << 8;
}

static uint8_t read_status(unsigned ch)
{
	out8(CONTROL, (uint8_t)(0xe0 | 2u << ch));
	return in8((uint16_t)(0x40 + ch));
}

/* ---- the reference ---- */

struct ref {
	unsigned mode;
	bool bcd, gate;
	bool loaded;	 /* counting */
	uint32_t reload; /* initial count, 65536 or 10000 for 0 */
	uint32_t value;
	bool out;
	bool strobed;
};

static void ref_program(struct ref *r, unsigned mode, bool bcd, bool gate)
{
	*r = (struct ref){.mode = mode, .bcd = bcd, .gate = gate, .out = mode != 0};
}

static uint32_t ref_top(const struct ref *r)
{
	return r->bcd ? 10000 : 65536;
}

static void ref_begin(struct ref *r)
{
	r->loaded = true;
	r->strobed = false;
	r->value = r->reload;
	if (r->mode == 3)
		r->value &= ~1u;
	if (r->mode == 0 || r->mode == 1)
		r->out = false;
	else
		r->out = true;
}

static void ref_write(struct ref *r, uint32_t count)
{
	r->reload = count ? count : ref_top(r);
	if (r->mode == 1 || r->mode == 5)
		return; /* the gate starts it */
	if (!r->loaded || r->mode == 0 || r->mode == 4)
		ref_begin(r);
}

static void ref_gate(struct ref *r, bool gate)
{
	bool rising = gate && !r->gate;

	r->gate = gate;
	if (rising && r->reload && r->mode != 0 && r->mode != 4)
		ref_begin(r);
	if (!gate && (r->mode == 2 || r->mode == 3) && r->loaded)
		r->out = true;
}

/* One clock pulse. */
static void ref_clock(struct ref *r)
{
	if (!r->loaded || (!r->gate && r->mode != 1 && r->mode != 5))
		return;
	switch (r->mode) {
	case 0:
	case 1:
		r->value = (r->value ? r->value : ref_top(r)) - 1;
		if (r->value == 0)
			r->out = true;
		break;
	case 2:
		r->value--;
		if (r->value == 0)
			r->value = r->reload;
		r->out = r->value != 1;
		break;
	case 3:
		/* one extra clock in the high part of an odd count */
		if (r->out && (r->reload & 1)) {
			if (r->value) {
				r->value -= 2;
				break;
			}
		} else {
			r->value -= 2;
			if (r->value)
				break;
		}
		r->value = r->reload & ~1u;
		r->out = !r->out;
		break;
	default:
		r->value = (r->value ? r->value : ref_top(r)) - 1;
		r->out = r->value != 0 || r->strobed;
		if (r->value == 0)
			r->strobed = true;
		break;
	}
}

static unsigned ref_shown(const struct ref *r)
{
	uint32_t v = r->value % ref_top(r);

	if (!r->bcd)
		return v;
	return v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
}

/* ---- modes ---- */

static uint16_t to_bcd(unsigned n)
{
	return (uint16_t)(n / 1000 % 10 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10);
}

/* Channel 2 in @p mode, with the gate played with, against the reference. */
static void compare_mode(unsigned mode, bool bcd, unsigned count, bool play_gate)
{
	struct ref ref;

	REQUIRE(bench_open(&v3_device_i8254, ""));
	out8(SPEAKER, 1);
	out8(CONTROL, (uint8_t)(0x80 | 0x30 | mode << 1 | bcd));
	ref_program(&ref, mode, bcd, true);
	out8(0x42, (uint8_t)(bcd ? to_bcd(count) : count));
	out8(0x42, (uint8_t)((bcd ? to_bcd(count) : count) >> 8));
	ref_write(&ref, count);
	if (mode == 1 || mode == 5) {
		CHECK_EQ(in8(SPEAKER) & 0x20, 0x20); /* waits for the gate */
		out8(SPEAKER, 0);
		out8(SPEAKER, 1);
		ref_gate(&ref, false);
		ref_gate(&ref, true);
	}
	for (unsigned i = 0; i < 400 && !tap.failures; i++) {
		unsigned n = (unsigned)(tap_rand() % (i % 8 ? 3 : 2 * count + 5));

		if (play_gate && !(tap_rand() & 7)) {
			out8(SPEAKER, !ref.gate);
			ref_gate(&ref, !ref.gate);
		}
		pass_ticks(n);
		while (n--)
			ref_clock(&ref);
		CHECK_MSG(read_count(2) == ref_shown(&ref),
			  "mode %u count %u step %u: %#x, expected %#x", mode, count, i,
			  read_count(2), ref_shown(&ref));
		CHECK_MSG(!!(in8(SPEAKER) & 0x20) == ref.out,
			  "mode %u count %u step %u: out is not %d", mode, count, i, ref.out);
		CHECK_MSG(!!(read_status(2) & 0x80) == ref.out,
			  "mode %u count %u step %u: status out", mode, count, i);
	}
	fake_vm_destroy(bench.vm);
}

static void test_i8254_modes_follow_the_data_sheet(void)
{
	static const unsigned counts[] = {2, 3, 4, 7, 10, 101, 1000};

	for (unsigned mode = 0; mode < 6; mode++) {
		for (unsigned i = 0; i < V3_ARRAY_SIZE(counts) && !tap.failures; i++)
			compare_mode(mode, false, counts[i], false);
	}
}

static void test_i8254_modes_with_gate(void)
{
	static const unsigned counts[] = {3, 10, 100};

	for (unsigned mode = 0; mode < 6; mode++) {
		for (unsigned i = 0; i < V3_ARRAY_SIZE(counts) && !tap.failures; i++)
			compare_mode(mode, false, counts[i], true);
	}
}

static void test_i8254_modes_in_bcd(void)
{
	for (unsigned mode = 0; mode < 6 && !tap.failures; mode++) {
		compare_mode(mode, true, 1234, false);
		compare_mode(mode, true, 10, true);
	}
}

static void test_i8254_count_zero_is_the_largest(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	out8(SPEAKER, 1);
	load(2, 0, 0);
	pass_ticks(1);
	CHECK_EQ(read_count(2), 0xffff);
	pass_ticks(65534);
	CHECK_EQ(read_count(2), 1);
	CHECK_EQ(in8(SPEAKER) & 0x20, 0);
	pass_ticks(1);
	CHECK_EQ(in8(SPEAKER) & 0x20, 0x20);
	pass_ticks(1);
	CHECK_EQ(read_count(2), 0xffff);
	out8(CONTROL, 0xb1);
	out8(0x42, 0);
	out8(0x42, 0);
	pass_ticks(1);
	CHECK_EQ(read_count(2), 0x9999);
}

/* A new count in a periodic mode waits for the end of the period, or of the part of a square wave. */
static void test_i8254_new_count_takes_effect_at_the_end(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	out8(SPEAKER, 1);
	load(2, 2, 100);
	pass_ticks(30);
	out8(0x42, 50);
	out8(0x42, 0);
	CHECK_EQ(read_status(2) & 0x40, 0x40); /* null count */
	CHECK_EQ(read_count(2), 70);
	pass_ticks(69);
	CHECK_EQ(read_count(2), 1);
	pass_ticks(1);
	CHECK_EQ(read_status(2) & 0x40, 0);
	CHECK_EQ(read_count(2), 50);
	pass_ticks(50);
	CHECK_EQ(read_count(2), 50);

	load(2, 3, 100);
	pass_ticks(10);
	out8(0x42, 40);
	out8(0x42, 0);
	CHECK_EQ(read_count(2), 80);
	pass_ticks(39);
	CHECK_EQ(in8(SPEAKER) & 0x20, 0x20);
	pass_ticks(1); /* low part with the new count: 20 ticks */
	CHECK_EQ(in8(SPEAKER) & 0x20, 0);
	CHECK_EQ(read_count(2), 40);
	pass_ticks(19);
	CHECK_EQ(in8(SPEAKER) & 0x20, 0);
	pass_ticks(1);
	CHECK_EQ(in8(SPEAKER) & 0x20, 0x20);
	pass_ticks(20);
	CHECK_EQ(in8(SPEAKER) & 0x20, 0);
}

/* ---- access ---- */

static void test_i8254_low_and_high_access(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	out8(SPEAKER, 1);
	out8(CONTROL, 0x90); /* channel 2, low byte, mode 0 */
	out8(0x42, 0x34);
	pass_ticks(4);
	CHECK_EQ(in8(0x42), 0x30);
	CHECK_EQ(in8(0x42), 0x30);
	out8(CONTROL, 0xa0); /* high byte */
	out8(0x42, 0x12);
	pass_ticks(1);
	CHECK_EQ(in8(0x42), 0x11);
	CHECK_EQ(in8(0x42), 0x11);
	load(2, 0, 0x1234); /* both */
	CHECK_EQ(in8(0x42), 0x34);
	CHECK_EQ(in8(0x42), 0x12);
	CHECK_EQ(in8(0x42), 0x34);
}

static void test_i8254_latch_holds_until_read(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	load(0, 0, 1000);
	pass_ticks(100);
	out8(CONTROL, 0x00);
	pass_ticks(100);
	out8(CONTROL, 0x00); /* ignored: the first latch has not been read */
	CHECK_EQ(in8(0x40), (900 & 0xff));
	CHECK_EQ(in8(0x40), 900 >> 8);
	CHECK_EQ(in8(0x40), (800 & 0xff));
}

static void test_i8254_read_back(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	load(0, 2, 1000);
	load(1, 3, 2000);
	pass_ticks(10);
	out8(CONTROL, 0xc6); /* status and count of channels 0 and 1 */
	pass_ticks(5);
	CHECK_EQ(in8(0x40), 0xb4);
	CHECK_EQ(in8(0x40), (990 & 0xff));
	CHECK_EQ(in8(0x40), 990 >> 8);
	CHECK_EQ(in8(0x41), 0xb6);
	CHECK_EQ(in8(0x41), (1980 & 0xff));
	CHECK_EQ(in8(0x41), 1980 >> 8);
	CHECK_EQ(read_count(0), 985);
}

static void test_i8254_status_shows_null_count(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	out8(CONTROL, 0x30);
	CHECK_EQ(read_status(0), 0x70); /* out low, null, both bytes, mode 0 */
	out8(0x40, 10);
	CHECK_EQ(read_status(0), 0x70);
	out8(0x40, 0);
	CHECK_EQ(read_status(0), 0x30);
	out8(CONTROL, 0x3e); /* mode 7 is mode 3 */
	CHECK_EQ(read_status(0), 0xfe);
}

static void test_i8254_first_byte_stops_mode_0(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	load(0, 0, 100);
	out8(0x40, 50);
	pass_ticks(500);
	CHECK_EQ(TICKS, 0);
	CHECK_EQ(bench_next(), 0);
	out8(0x40, 0);
	pass_ticks(49);
	CHECK_EQ(TICKS, 0);
	pass_ticks(1);
	CHECK_EQ(TICKS, 1);
}

static void test_i8254_control_is_write_only(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	CHECK_EQ(in8(CONTROL), 0xff);
}

/* ---- interrupts ---- */

static void test_i8254_unprogrammed_is_silent(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	bench_run(10 * BENCH_S);
	CHECK_EQ(TICKS, 0);
	CHECK_EQ(fake_clock_arms(), 0);
}

static void test_i8254_one_shot_interrupt(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	load(0, 0, 1193);
	CHECK(!IRQ0);
	pass_ticks(1192);
	CHECK_EQ(TICKS, 0);
	pass_ticks(1);
	CHECK_EQ(TICKS, 1);
	CHECK(IRQ0);
	bench_run(BENCH_S);
	CHECK_EQ(TICKS, 1);
	CHECK_EQ(bench_next(), 0);
}

static void test_i8254_strobe_interrupt(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	load(0, 4, 100);
	pass_ticks(100);
	CHECK_EQ(TICKS, 0);
	pass_ticks(1); /* the end of the pulse */
	CHECK_EQ(TICKS, 1);
	bench_run(BENCH_S);
	CHECK_EQ(TICKS, 1);
}

/* Exactly one interrupt per period for a long time: no drift. */
static void periodic(unsigned mode, uint16_t count, unsigned seconds)
{
	uint64_t start, expected;

	REQUIRE(bench_open(&v3_device_i8254, ""));
	bench_run(12345);
	start = now_ticks();
	load(0, mode, count);
	bench_run(seconds * BENCH_S);
	expected = (now_ticks() - start) / (count ? count : 65536);
	CHECK_EQ(TICKS, expected);
	CHECK_EQ(ticks_at(bench.rise_ns[0]), start + expected * (count ? count : 65536));
	fake_vm_destroy(bench.vm);
}

static void test_i8254_periodic_interrupts_do_not_drift(void)
{
	periodic(2, 11932, 100);
	periodic(3, 11931, 100);
	periodic(2, 0, 600);
	periodic(3, 1193, 10);
}

static void test_i8254_gate_modes_never_interrupt(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	load(0, 1, 100);
	bench_run(BENCH_S);
	load(0, 5, 100);
	bench_run(BENCH_S);
	CHECK_EQ(TICKS, 0);
}

static void test_i8254_new_period(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	load(0, 2, 1000);
	pass_ticks(500);
	out8(0x40, (uint8_t)2000);
	out8(0x40, 2000 >> 8);
	pass_ticks(499);
	CHECK_EQ(TICKS, 0);
	pass_ticks(1);
	CHECK_EQ(TICKS, 1);
	pass_ticks(1999);
	CHECK_EQ(TICKS, 1);
	pass_ticks(1);
	CHECK_EQ(TICKS, 2);
}

static void test_i8254_new_period_in_the_high_part(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	load(0, 3, 1000);
	pass_ticks(100);
	out8(0x40, 200);
	out8(0x40, 0);
	pass_ticks(400); /* the high part ends; 100 low ticks of the new wave */
	CHECK_EQ(TICKS, 0);
	pass_ticks(99);
	CHECK_EQ(TICKS, 0);
	pass_ticks(1);
	CHECK_EQ(TICKS, 1);
	pass_ticks(200);
	CHECK_EQ(TICKS, 2);
}

static void test_i8254_stopping_a_period(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	load(0, 2, 1000);
	pass_ticks(2500);
	CHECK_EQ(TICKS, 2);
	out8(CONTROL, 0x30); /* as Linux shuts it down: mode 0 without a count */
	CHECK(!IRQ0);
	CHECK_EQ(bench_next(), 0);
	bench_run(BENCH_S);
	CHECK_EQ(TICKS, 2);
}

/* A period of one microsecond does not flood the guest: 20,000 interrupts per second at most. */
static void test_i8254_hostile_period_is_limited(void)
{
	static const uint16_t counts[] = {1, 2, 3};

	for (unsigned mode = 2; mode < 4; mode++) {
		for (unsigned i = 0; i < V3_ARRAY_SIZE(counts); i++) {
			REQUIRE(bench_open(&v3_device_i8254, ""));
			load(0, mode, counts[i]);
			bench_run(BENCH_S / 10);
			CHECK(TICKS <= 2000);
			CHECK(TICKS >= 1900);
			fake_vm_destroy(bench.vm);
		}
	}
}

/* Reprogramming in a loop does not get around the limit either. */
static void test_i8254_hostile_reprogramming_is_limited(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	for (unsigned i = 0; i < 10000; i++) {
		load(0, 0, 1);
		bench_run(2000);
	}
	CHECK(TICKS <= 401);
}

/* Ticks missed while the vcpu did not run are lost, the grid stays. */
static void test_i8254_late_vcpu(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	load(0, 2, 1193);
	pass_ticks(1193);
	CHECK_EQ(TICKS, 1);
	fake_clock_advance(10 * BENCH_MS);
	fake_service(bench.vm);
	CHECK_EQ(TICKS, 2);
	bench_run(BENCH_MS);
	CHECK_EQ(TICKS, 3);
	CHECK_EQ((ticks_at(bench.rise_ns[0])) % 1193, 0);
}

/* ---- port 0x61 ---- */

static void test_i8254_speaker_port(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	CHECK_EQ(in8(SPEAKER) & 0xcf, 0x00);
	out8(SPEAKER, 0xff);
	CHECK_EQ(in8(SPEAKER) & 0xcf, 0x0f);
	out8(SPEAKER, 0x02);
	CHECK_EQ(in8(SPEAKER) & 0xcf, 0x02);
}

static void test_i8254_refresh_toggle(void)
{
	unsigned changes = 0;
	uint8_t last;

	REQUIRE(bench_open(&v3_device_i8254, ""));
	last = in8(SPEAKER) & 0x10;
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t bit;

		fake_clock_advance(1000);
		bit = in8(SPEAKER) & 0x10;
		changes += bit != last;
		last = bit;
	}
	CHECK(changes >= 65 && changes <= 67); /* 1 ms / 15.085 us */
}

/* How Linux measures the CPU's speed: mode 0 on channel 2, watching its high byte. */
static void test_i8254_calibration(void)
{
	unsigned seen = 0;
	uint8_t last = 0xff;

	REQUIRE(bench_open(&v3_device_i8254, ""));
	out8(SPEAKER, (uint8_t)((in8(SPEAKER) & ~2) | 1));
	out8(CONTROL, 0xb0);
	out8(0x42, 0xff);
	out8(0x42, 0xff);
	in8(0x42);
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t high;

		high = in8(0x42);
		in8(0x42);
		if (high != last)
			seen++;
		last = high;
		fake_clock_advance(1000);
	}
	CHECK(seen >= 90 && seen <= 95); /* 20 ms / (256 / 1193182 Hz) */
}

/* ---- device ---- */

static void test_i8254_reset(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	bench_hostile(0x40, 4, 5000);
	load(0, 2, 1000);
	out8(SPEAKER, 0x0f);
	pass_ticks(1000);
	CHECK(IRQ0);
	bench_reset();
	CHECK(!IRQ0);
	CHECK_EQ(bench_next(), 0);
	CHECK_EQ(in8(SPEAKER) & 0xcf, 0);
	for (unsigned ch = 0; ch < 3; ch++)
		CHECK_EQ(read_status(ch), 0xf6);
	bench_run(BENCH_S);
	CHECK(!IRQ0);
}

static void test_i8254_ports(void)
{
	bench_ports_released(&v3_device_i8254, "", SPEAKER);
}

static void test_i8254_oom(void)
{
	bench_oom(&v3_device_i8254, "", 3);
}

static void test_i8254_hostile(void)
{
	REQUIRE(bench_open(&v3_device_i8254, ""));
	for (unsigned i = 0; i < 100; i++) {
		bench_hostile(0x40, 4, 900);
		bench_hostile(SPEAKER, 1, 100);
		/* after all that it still works */
		out8(SPEAKER, 1);
		load(2, 0, 1000);
		pass_ticks(100);
		CHECK_EQ(read_count(2), 900);
	}
}

static const struct tap_test tests[] = {
	TAP(test_i8254_modes_follow_the_data_sheet),
	TAP(test_i8254_modes_with_gate),
	TAP(test_i8254_modes_in_bcd),
	TAP(test_i8254_count_zero_is_the_largest),
	TAP(test_i8254_new_count_takes_effect_at_the_end),
	TAP(test_i8254_low_and_high_access),
	TAP(test_i8254_latch_holds_until_read),
	TAP(test_i8254_read_back),
	TAP(test_i8254_status_shows_null_count),
	TAP(test_i8254_first_byte_stops_mode_0),
	TAP(test_i8254_control_is_write_only),
	TAP(test_i8254_unprogrammed_is_silent),
	TAP(test_i8254_one_shot_interrupt),
	TAP(test_i8254_strobe_interrupt),
	TAP(test_i8254_periodic_interrupts_do_not_drift),
	TAP(test_i8254_gate_modes_never_interrupt),
	TAP(test_i8254_new_period),
	TAP(test_i8254_new_period_in_the_high_part),
	TAP(test_i8254_stopping_a_period),
	TAP(test_i8254_hostile_period_is_limited),
	TAP(test_i8254_hostile_reprogramming_is_limited),
	TAP(test_i8254_late_vcpu),
	TAP(test_i8254_speaker_port),
	TAP(test_i8254_refresh_toggle),
	TAP(test_i8254_calibration),
	TAP(test_i8254_reset),
	TAP(test_i8254_ports),
	TAP(test_i8254_oom),
	TAP(test_i8254_hostile),
};
TAP_MAIN(tests)
