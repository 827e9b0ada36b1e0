/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_rtc.c
 * The MC146818: calendar against the C library's, formats, setting the clock, UIP, the three interrupts.
 */
#include "device_bench.h"

#define IRQ8  bench.level[8]
#define EDGES bench.rises[8]

enum {
	SEC,
	SEC_ALARM,
	MIN,
	MIN_ALARM,
	HOUR,
	HOUR_ALARM,
	WEEKDAY,
	DAY,
	MONTH,
	YEAR,
	A,
	B,
	C,
	D,
	CENTURY = 0x32
};

static void wr(uint8_t reg, uint8_t value)
{
	out8(0x70, reg);
	out8(0x71, value);
}

static uint8_t rd(uint8_t reg)
{
	out8(0x70, reg);
	return in8(0x71);
}

/* A clock that says @p utc at guest time 0. */
static bool rtc_open_at(uint64_t utc)
{
	fake_wall_clock(utc - fake_clock_now() / BENCH_S);
	return bench_open(&v3_device_rtc, "");
}

static void check_time(time_t t, bool bcd)
{
	struct tm tm;
	uint8_t expected[7], reg[7] = {SEC, MIN, HOUR, WEEKDAY, DAY, MONTH, YEAR};
	unsigned year;

	gmtime_r(&t, &tm);
	year = (unsigned)tm.tm_year + 1900;
	expected[0] = (uint8_t)tm.tm_sec;
	expected[1] = (uint8_t)tm.tm_min;
	expected[2] = (uint8_t)tm.tm_hour;
	expected[3] = (uint8_t)(tm.tm_wday + 1);
	expected[4] = (uint8_t)tm.tm_mday;
	expected[5] = (uint8_t)(tm.tm_mon + 1);
	expected[6] = (uint8_t)(year % 100);
	for (unsigned i = 0; i < 7; i++) {
		if (bcd)
			expected[i] = (uint8_t)(expected[i] / 10 << 4 | expected[i] % 10);
		CHECK_MSG(rd(reg[i]) == expected[i], "%lld: register %u is %#x, expected %#x",
			  (long long)t, reg[i], rd(reg[i]), expected[i]);
	}
	CHECK_EQ(rd(CENTURY), year / 1000 << 4 | year / 100 % 10);
}

static void test_rtc_power_on_values(void)
{
	REQUIRE(rtc_open_at(1700000000));
	CHECK_EQ(rd(A), 0x26);
	CHECK_EQ(rd(B), 0x02);
	CHECK_EQ(rd(C), 0x00);
	CHECK_EQ(rd(D), 0x80);
	CHECK(!IRQ8);
	CHECK_EQ(bench_next(), 0);
	CHECK_EQ(in8(0x70), 0xff);
}

static void test_rtc_shows_the_wall_clock(void)
{
	REQUIRE(rtc_open_at(1700000000));
	check_time(1700000000, true);
	bench_run(86399 * BENCH_S);
	check_time(1700086399, true);
	CHECK_EQ(fake_clock_arms(), 0);
}

/* Seconds before and after month ends and leap days, then 1,000 moments over some 270 years. */
static void test_rtc_calendar(void)
{
	static const uint64_t moments[] = {
		5097600,    68169600,	68256000,   951782400,	951868800,  1709164800,
		1709251200, 1735689600, 2147483648, 4102444800, 4107456000, 4107542400,
	};
	uint64_t now = 1000000;

	REQUIRE(rtc_open_at(now));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(moments); i++) {
		fake_clock_advance((moments[i] - 1 - now) * BENCH_S);
		check_time((time_t)moments[i] - 1, true);
		fake_clock_advance(BENCH_S);
		check_time((time_t)moments[i], true);
		now = moments[i];
	}
	wr(B, 0x06);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t step = tap_rand() % (100 * 86400);

		fake_clock_advance(step * BENCH_S);
		now += step;
		check_time((time_t)now, false);
	}
}

static void test_rtc_binary_and_12_hours(void)
{
	static const struct {
		unsigned hour;
		uint8_t bcd12, bin12;
	} cases[] = {
		{0, 0x12, 0x0c},  {1, 0x01, 0x01},  {11, 0x11, 0x0b},
		{12, 0x92, 0x8c}, {13, 0x81, 0x81}, {23, 0x91, 0x8b},
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		REQUIRE(rtc_open_at(1700006400 + cases[i].hour * 3600)); /* 2023-11-15 */
		wr(B, 0x00);
		CHECK_EQ(rd(HOUR), cases[i].bcd12);
		wr(B, 0x04);
		CHECK_EQ(rd(HOUR), cases[i].bin12);
		wr(B, 0x06);
		CHECK_EQ(rd(HOUR), cases[i].hour);
		fake_vm_destroy(bench.vm);
	}
}

static void set_clock(unsigned century, unsigned y, unsigned mo, unsigned d, unsigned h,
		      unsigned mi, unsigned s)
{
	wr(YEAR, (uint8_t)y);
	wr(MONTH, (uint8_t)mo);
	wr(DAY, (uint8_t)d);
	wr(HOUR, (uint8_t)h);
	wr(MIN, (uint8_t)mi);
	wr(SEC, (uint8_t)s);
	wr(CENTURY, (uint8_t)century);
}

static void test_rtc_set_keeps_running_from_there(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(B, 0x86);
	set_clock(0x19, 99, 12, 31, 23, 59, 58);
	bench_run(5 * BENCH_S); /* held: no second passes */
	CHECK_EQ(rd(SEC), 58);
	CHECK_EQ(rd(A) & 0x80, 0);
	wr(WEEKDAY, 6);
	wr(B, 0x06);
	bench_run(3 * BENCH_S);
	check_time(946684801, false); /* 2000-01-01 00:00:01 */
}

static void test_rtc_set_while_running(void)
{
	REQUIRE(rtc_open_at(1700000000)); /* 2023-11-14 22:13:20, a Tuesday */
	wr(HOUR, 0x10);
	check_time(1700000000 - 12 * 3600, true);
	wr(SEC, 0x59);
	bench_run(BENCH_S);
	check_time(1700000000 - 12 * 3600 + 40, true);
}

static void test_rtc_divider_reset_holds(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(A, 0x76); /* as Linux does while it sets the clock */
	bench_run(10 * BENCH_S);
	CHECK_EQ(rd(SEC), 0x20);
	wr(A, 0x26);
	bench_run(10 * BENCH_S);
	CHECK_EQ(rd(SEC), 0x30);
}

static void test_rtc_nonsense_is_limited(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(B, 0x86);
	for (unsigned i = 0; i < 10; i++)
		wr((uint8_t)i, 0xff);
	wr(CENTURY, 0xff);
	wr(B, 0x06);
	CHECK_EQ(rd(SEC), 59);
	CHECK_EQ(rd(MIN), 59);
	CHECK_EQ(rd(HOUR), 23);
	CHECK_EQ(rd(DAY), 31);
	CHECK_EQ(rd(MONTH), 12);
	CHECK_EQ(rd(YEAR), 99);
	CHECK_EQ(rd(CENTURY), 0x99);
	bench_run(BENCH_S);
	CHECK_EQ(rd(SEC), 0);
}

static void test_rtc_set_before_1970(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(B, 0x86);
	set_clock(0x19, 1, 3, 1, 18, 30, 15);
	wr(WEEKDAY, 6); /* Friday */
	wr(B, 0x06);
	check_time(-2172288585, false);
	bench_run(86400 * BENCH_S);
	check_time(-2172288585 + 86400, false);
}

/* The day of the week is a counter of its own: what the guest sets goes on from there. */
static void test_rtc_day_of_week(void)
{
	REQUIRE(rtc_open_at(1700000000));
	CHECK_EQ(rd(WEEKDAY), 3);
	wr(WEEKDAY, 6);
	CHECK_EQ(rd(WEEKDAY), 6);
	CHECK_EQ(rd(DAY), 0x14);
	bench_run(86400 * BENCH_S);
	CHECK_EQ(rd(WEEKDAY), 7);
	bench_run(86400 * BENCH_S);
	CHECK_EQ(rd(WEEKDAY), 1);
}

/* Setting the clock over the time of the alarm is no alarm, and no end of an update. */
static void test_rtc_setting_raises_no_flags(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(A, 0x20);
	wr(HOUR_ALARM, 0x22);
	wr(MIN_ALARM, 0x15);
	wr(SEC_ALARM, 0x00);
	wr(B, 0x22);
	rd(C);
	wr(MIN, 0x30);
	CHECK_EQ(rd(C), 0);
	wr(B, 0xa2);
	wr(HOUR, 0x23);
	wr(B, 0x22);
	CHECK_EQ(rd(C), 0);
	bench_run(BENCH_S / 2);
	CHECK(!IRQ8);
}

static void test_rtc_survives_reset(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(HOUR, 0x10);
	wr(0x40, 0x5a);
	wr(B, 0x7e);
	bench_reset();
	CHECK_EQ(rd(HOUR), 0x10);
	CHECK_EQ(rd(0x40), 0x5a);
	CHECK_EQ(rd(B), 0x02);
	CHECK_EQ(rd(C), 0);
	CHECK(!IRQ8);
	CHECK_EQ(bench_next(), 0);
}

static void test_rtc_update_in_progress(void)
{
	REQUIRE(rtc_open_at(1700000000));
	CHECK_EQ(rd(A) & 0x80, 0);
	fake_clock_advance(BENCH_S - 2228000 - 1);
	CHECK_EQ(rd(A) & 0x80, 0);
	CHECK_EQ(rd(SEC), 0x20);
	fake_clock_advance(1);
	CHECK_EQ(rd(A) & 0x80, 0x80);
	fake_clock_advance(2228000 - 1);
	CHECK_EQ(rd(A) & 0x80, 0x80);
	fake_clock_advance(1);
	CHECK_EQ(rd(A) & 0x80, 0);
	CHECK_EQ(rd(SEC), 0x21);
}

static void test_rtc_periodic_rates(void)
{
	/* register A rate -> interrupts per second */
	static const unsigned hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
					256, 128, 64,  32,   16,   8,	 4,    2};

	for (unsigned rate = 0; rate < 16; rate++) {
		unsigned n = 0;

		REQUIRE(rtc_open_at(1700000000));
		wr(A, (uint8_t)(0x20 | rate));
		wr(B, 0x42);
		for (uint64_t end = fake_clock_now() + BENCH_S; hz[rate];) {
			uint64_t next = bench_next();

			if (!CHECK(next != 0) || next > end)
				break;
			bench_run(next - fake_clock_now());
			if (!CHECK(IRQ8))
				break;
			CHECK_EQ(rd(C), 0xc0 | (v3_time_ns(bench.vm) == BENCH_S ? 0x10 : 0));
			CHECK(!IRQ8);
			n++;
		}
		CHECK_MSG(n == hz[rate], "rate %u: %u interrupts in a second, expected %u", rate, n,
			  hz[rate]);
		if (!hz[rate])
			CHECK_EQ(bench_next(), 0);
		fake_vm_destroy(bench.vm);
	}
}

static void test_rtc_no_timer_while_unacknowledged(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(B, 0x42);
	bench_run(BENCH_S);
	CHECK(IRQ8);
	CHECK_EQ(EDGES, 1);
	CHECK_EQ(bench_next(), 0);
	CHECK_EQ(rd(C), 0xd0); /* the second's end has been noted, too */
	CHECK(bench_next() != 0);
	wr(B, 0x02);
	CHECK_EQ(bench_next(), 0);
}

/* A period that ends while register C is being read: the line goes down and up, or the guest waits for ever. */
static void test_rtc_period_ends_in_acknowledgement(void)
{
	unsigned edges, again = 0;

	REQUIRE(rtc_open_at(1700000000));
	wr(A, 0x23); /* 122 us */
	wr(B, 0x42);
	fake_clock_step(25000);
	for (unsigned i = 0; i < 100; i++) {
		if (!IRQ8)
			bench_run(BENCH_MS);
		REQUIRE(IRQ8);
		edges = EDGES;
		CHECK_EQ(rd(C) & 0xc0, 0xc0);
		CHECK(!IRQ8 || EDGES == edges + 1);
		again += IRQ8;
	}
	CHECK(again); /* or nothing was tried */
}

/* A second that ends between the look at the flags and the arming of the timer is not left out. */
static void test_rtc_second_ends_in_acknowledgement(void)
{
	unsigned late = 0;

	for (unsigned before = 0; before < 400; before += 25) {
		uint8_t flags;

		REQUIRE(rtc_open_at(1700000000));
		wr(B, 0x12);
		bench_run(BENCH_S);
		rd(C);
		bench_run(BENCH_S - before * 1000);
		fake_clock_step(50000);
		flags = rd(C);
		fake_clock_step(0);
		bench_next();
		if (v3_time_ns(bench.vm) >= 2 * BENCH_S) {
			CHECK_MSG((flags & 0x10) || IRQ8, "%u us before: the second is left out",
				  before);
			late += IRQ8;
		}
		fake_vm_destroy(bench.vm);
	}
	CHECK(late);
}

static void test_rtc_update_ended_interrupt(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(B, 0x12);
	bench_run(BENCH_S - 1);
	CHECK(!IRQ8);
	bench_run(1);
	CHECK(IRQ8);
	CHECK_EQ(rd(C) & 0x90, 0x90);
	bench_run(BENCH_S - 1);
	CHECK(!IRQ8);
	bench_run(1);
	CHECK(IRQ8);
	CHECK_EQ(rd(C) & 0x90, 0x90);
	wr(B, 0x92); /* SET clears the enable */
	CHECK_EQ(rd(B), 0x82);
	CHECK_EQ(bench_next(), 0);
}

static void test_rtc_flags_without_enables(void)
{
	REQUIRE(rtc_open_at(1700000000));
	rd(C);
	bench_run(BENCH_S);
	CHECK_EQ(rd(C), 0x50); /* PF and UF, no IRQF */
	CHECK_EQ(rd(C), 0x00);
	CHECK_EQ(EDGES, 0);
	wr(A, 0x20);
	rd(C);
	bench_run(BENCH_S / 2);
	CHECK_EQ(rd(C), 0x00);
}

static void test_rtc_flag_then_enable(void)
{
	REQUIRE(rtc_open_at(1700000000));
	bench_run(BENCH_S);
	CHECK(!IRQ8);
	wr(B, 0x12);
	CHECK(IRQ8); /* the flag is up already */
}

/* Alarm bytes, seconds from 2023-11-14 22:13:20 until the first and the second alarm. */
static void test_rtc_alarm(void)
{
	static const struct {
		uint8_t h, m, s;
		unsigned first, second;
	} cases[] = {
		{0x22, 0x13, 0x25, 5, 86405},
		{0x22, 0x13, 0x20, 86400, 2 * 86400}, /* now is over */
		{0x22, 0x13, 0x19, 86399, 86399 + 86400},
		{0xff, 0xff, 0x30, 10, 70},
		{0xff, 0x00, 0x00, 46 * 60 + 40, 106 * 60 + 40},
		{0xff, 0xff, 0xff, 1, 2},
		{0x22, 0xc0, 0xc5, 1, 2},
		{0x00, 0x00, 0x00, 3600 + 46 * 60 + 40, 86400 + 3600 + 46 * 60 + 40},
		{0x23, 0xff, 0x00, 46 * 60 + 40, 47 * 60 + 40},
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		unsigned arms;

		REQUIRE(rtc_open_at(1700000000));
		wr(HOUR_ALARM, cases[i].h);
		wr(MIN_ALARM, cases[i].m);
		wr(SEC_ALARM, cases[i].s);
		wr(B, 0x22);
		arms = fake_clock_arms();
		bench_run(cases[i].first * BENCH_S - 1);
		CHECK_MSG(!IRQ8, "case %u: early", i);
		bench_run(1);
		CHECK_MSG(IRQ8, "case %u: no alarm", i);
		CHECK_EQ(rd(C) & 0xa0, 0xa0);
		bench_run((cases[i].second - cases[i].first) * BENCH_S - 1);
		CHECK_MSG(!IRQ8, "case %u: second alarm early", i);
		bench_run(1);
		CHECK_MSG(IRQ8, "case %u: no second alarm", i);
		CHECK(fake_clock_arms() - arms < 20);
		fake_vm_destroy(bench.vm);
	}
}

static void test_rtc_alarm_in_other_formats(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(B, 0x20);	      /* BCD, 12 hours */
	wr(HOUR_ALARM, 0x90); /* 10 pm */
	wr(MIN_ALARM, 0x13);
	wr(SEC_ALARM, 0x21);
	bench_run(BENCH_S);
	CHECK(IRQ8);
	rd(C);
	wr(B, 0x26); /* binary, 24 hours */
	wr(HOUR_ALARM, 22);
	wr(MIN_ALARM, 13);
	wr(SEC_ALARM, 25);
	bench_run(3 * BENCH_S);
	CHECK(!IRQ8);
	bench_run(BENCH_S);
	CHECK(IRQ8);
}

static void test_rtc_alarm_that_never_comes(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(HOUR_ALARM, 0x25);
	wr(B, 0x22);
	CHECK_EQ(bench_next(), 0);
	bench_run(2 * 86400 * BENCH_S);
	CHECK(!IRQ8);
}

static void test_rtc_alarm_follows_a_set_clock(void)
{
	REQUIRE(rtc_open_at(1700000000));
	wr(HOUR_ALARM, 0x08);
	wr(MIN_ALARM, 0x00);
	wr(SEC_ALARM, 0x00);
	wr(B, 0x22);
	wr(B, 0xa2);
	wr(HOUR, 0x07);
	wr(MIN, 0x59);
	wr(SEC, 0x50);
	wr(B, 0x22);
	bench_run(9 * BENCH_S);
	CHECK(!IRQ8);
	bench_run(BENCH_S);
	CHECK(IRQ8);
}

static void test_rtc_memory(void)
{
	REQUIRE(rtc_open_at(1700000000));
	for (unsigned i = 0x0e; i < 0x80; i++) {
		if (i != CENTURY)
			wr((uint8_t)i, (uint8_t)(i * 7));
	}
	for (unsigned i = 0x0e; i < 0x80; i++) {
		if (i != CENTURY)
			CHECK_EQ(rd((uint8_t)i), (uint8_t)(i * 7));
	}
	out8(0x70, 0x80 | 0x40); /* the NMI mask is ignored */
	CHECK_EQ(in8(0x71), (uint8_t)(0x40 * 7));
	fake_out(bench.vm, 0x70, 2, 0x9941); /* index and data at once */
	CHECK_EQ(rd(0x41), 0x99);
}

static void test_rtc_memory_sizes(void)
{
	static const struct {
		unsigned mb, ext_kib, above_16m;
	} cases[] = {
		{16, 15 * 1024, 0},
		{24, 23 * 1024, 128},
		{256, 65535, 240 * 16},
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		memset(&bench, 0, sizeof(bench));
		bench.vm = fake_vm_bare(1, cases[i].mb);
		REQUIRE(bench.vm);
		REQUIRE_EQ(fake_device_create(bench.vm, &v3_device_rtc, "", &bench.dev), V3_OK);
		CHECK_EQ(rd(0x15) | rd(0x16) << 8, 640);
		CHECK_EQ(rd(0x17) | rd(0x18) << 8, cases[i].ext_kib);
		CHECK_EQ(rd(0x30) | rd(0x31) << 8, cases[i].ext_kib);
		CHECK_EQ(rd(0x34) | rd(0x35) << 8, cases[i].above_16m);
		CHECK_EQ(rd(0x5b) | rd(0x5c) << 8 | rd(0x5d) << 16, 0);
		CHECK_EQ(rd(0x5f), v3_vm_vcpu_count(bench.vm) - 1);
		fake_vm_destroy(bench.vm);
	}
}

static void test_rtc_unknown_date(void)
{
	fake_wall_clock(0);
	REQUIRE(bench_open(&v3_device_rtc, ""));
	CHECK_EQ(rd(CENTURY), 0x19);
	CHECK_EQ(rd(YEAR), 0x70);
}

static void test_rtc_ports(void)
{
	bench_ports_released(&v3_device_rtc, "", 0x71);
}

static void test_rtc_oom(void)
{
	bench_oom(&v3_device_rtc, "", 3);
}

static void test_rtc_hostile(void)
{
	REQUIRE(rtc_open_at(1700000000));
	for (unsigned i = 0; i < 200; i++) {
		bench_hostile(0x70, 2, 400);
		out8(0x70, (uint8_t)(tap_rand() % 14)); /* mostly the clock itself */
		bench_hostile(0x71, 1, 100);
		bench_run(tap_rand() % (2 * BENCH_S));
	}
	bench_reset();
	CHECK(rd(MONTH) >= 1 && rd(MONTH) <= 0x12);
	CHECK(rd(SEC) <= 0x59);
}

static const struct tap_test tests[] = {
	TAP(test_rtc_power_on_values),
	TAP(test_rtc_shows_the_wall_clock),
	TAP(test_rtc_calendar),
	TAP(test_rtc_binary_and_12_hours),
	TAP(test_rtc_set_keeps_running_from_there),
	TAP(test_rtc_set_while_running),
	TAP(test_rtc_divider_reset_holds),
	TAP(test_rtc_nonsense_is_limited),
	TAP(test_rtc_set_before_1970),
	TAP(test_rtc_day_of_week),
	TAP(test_rtc_setting_raises_no_flags),
	TAP(test_rtc_survives_reset),
	TAP(test_rtc_update_in_progress),
	TAP(test_rtc_periodic_rates),
	TAP(test_rtc_no_timer_while_unacknowledged),
	TAP(test_rtc_period_ends_in_acknowledgement),
	TAP(test_rtc_second_ends_in_acknowledgement),
	TAP(test_rtc_update_ended_interrupt),
	TAP(test_rtc_flags_without_enables),
	TAP(test_rtc_flag_then_enable),
	TAP(test_rtc_alarm),
	TAP(test_rtc_alarm_in_other_formats),
	TAP(test_rtc_alarm_that_never_comes),
	TAP(test_rtc_alarm_follows_a_set_clock),
	TAP(test_rtc_memory),
	TAP(test_rtc_memory_sizes),
	TAP(test_rtc_unknown_date),
	TAP(test_rtc_ports),
	TAP(test_rtc_oom),
	TAP(test_rtc_hostile),
};
TAP_MAIN(tests)
