/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_hpet.c
 * The high precision event timer: registers, one-shot and periodic timers of both widths, level interrupts, legacy
 * replacement of the i8254 and the RTC, and what a hostile driver can do.
 */
#include "device_bench.h"

#include "palacios/platform.h"

#define BASE	  V3_PC_HPET_BASE
#define CONFIG	  0x010
#define STATUS	  0x020
#define COUNTER	  0x0f0
#define T(n)	  (0x100 + 0x20 * (n))
#define T_CMP(n)  (T(n) + 8)
#define LEVEL	  (1u << 1)
#define ENABLE	  (1u << 2)
#define PERIODIC  (1u << 3)
#define SET	  (1u << 6)
#define MODE32	  (1u << 8)
#define ROUTE(g)  ((g) << 9)
#define TICKS(ns) ((ns) / 10)

static uint64_t get(unsigned reg)
{
	return fake_mmio_read(bench.vm, BASE + reg, 8);
}

static void set(unsigned reg, uint64_t value)
{
	CHECK_EQ(fake_mmio_write(bench.vm, BASE + reg, 8, value), V3_OK);
}

static bool begin(void)
{
	return bench_open(&v3_device_hpet, "");
}

static void test_hpet_identity(void)
{
	REQUIRE(begin());
	CHECK_EQ(get(0),
		 0x009896808086a201ull); /* 10 ns, revision 1, three timers, 64 bits, legacy */
	CHECK_EQ(fake_mmio_read(bench.vm, BASE + 4, 4), 10000000);
	CHECK_EQ(get(T(0)), 0x00f0000000000030ull);
	CHECK_EQ(get(T_CMP(2)), ~0ull);
	set(0, 0);
	CHECK_EQ(get(0), 0x009896808086a201ull);
	CHECK_EQ(get(T(3)), 0);
	CHECK_EQ(get(0x3f8), 0);
}

static void test_hpet_counter(void)
{
	REQUIRE(begin());
	CHECK_EQ(get(COUNTER), 0);
	bench_run(BENCH_MS);
	CHECK_EQ(get(COUNTER), 0); /* stands until enabled */
	set(CONFIG, 1);
	bench_run(BENCH_MS);
	CHECK_EQ(get(COUNTER), TICKS(BENCH_MS));
	set(CONFIG, 0);
	bench_run(BENCH_MS);
	CHECK_EQ(get(COUNTER), TICKS(BENCH_MS));
	set(COUNTER, 0xfffffffffffffff0ull);
	set(CONFIG, 1);
	bench_run(1000);
	CHECK_EQ(get(COUNTER), 100 - 16);
	set(CONFIG, 0);
	CHECK_EQ(fake_mmio_write(bench.vm, BASE + COUNTER + 4, 4, 7), V3_OK); /* halves */
	CHECK_EQ(get(COUNTER) >> 32, 7);
	CHECK_EQ(fake_mmio_read(bench.vm, BASE + COUNTER, 4), 84);
}

static void test_hpet_other_sizes(void)
{
	REQUIRE(begin());
	set(CONFIG, 1);
	bench_run(1000);
	CHECK_EQ(fake_mmio_read(bench.vm, BASE + COUNTER, 2), 0);
	CHECK_EQ(fake_mmio_read(bench.vm, BASE + COUNTER, 1), 0);
	CHECK_EQ(fake_mmio_write(bench.vm, BASE + CONFIG, 1, 0), V3_OK);
	CHECK_EQ(get(CONFIG), 1);
}

static void test_hpet_one_shot(void)
{
	REQUIRE(begin());
	set(T(2), ENABLE | ROUTE(20));
	set(T_CMP(2), TICKS(3 * BENCH_MS));
	CHECK_EQ(bench_next(), 0); /* the counter stands */
	set(CONFIG, 1);
	CHECK(bench_next());
	bench_run(3 * BENCH_MS - 10);
	CHECK_EQ(bench.rises[20], 0);
	bench_run(10);
	CHECK_EQ(bench.rises[20], 1);
	CHECK(!bench.level[20]);
	CHECK_EQ(get(STATUS), 0);  /* edges leave no status */
	CHECK_EQ(bench_next(), 0); /* no next match within the life of the universe */
	set(T_CMP(2), get(COUNTER) + 100);
	set(T(2), ROUTE(20));
	CHECK_EQ(bench_next(), 0);
	bench_run(BENCH_MS);
	CHECK_EQ(bench.rises[20], 1);
}

static void test_hpet_32_bits_wrap(void)
{
	REQUIRE(begin());
	set(CONFIG, 1);
	set(T(0), ENABLE | MODE32 | ROUTE(21));
	set(T_CMP(0), 0xffffffff00000000ull | TICKS(BENCH_MS));
	CHECK_EQ(get(T_CMP(0)), TICKS(BENCH_MS));
	bench_run(2 * BENCH_MS);
	CHECK_EQ(bench.rises[21], 1);
	bench_run((1ull << 32) * 10);
	CHECK_EQ(bench.rises[21], 2);
}

static void test_hpet_periodic(void)
{
	REQUIRE(begin());
	set(CONFIG, 1);
	set(T(1), ENABLE | PERIODIC | SET | ROUTE(22));
	CHECK_EQ(get(T(1)) & SET, 0);
	set(T_CMP(1), TICKS(5 * BENCH_MS)); /* first match */
	set(T_CMP(1), TICKS(BENCH_MS));	    /* then the period */
	CHECK_EQ(get(T_CMP(1)), TICKS(5 * BENCH_MS));
	bench_run(5 * BENCH_MS);
	CHECK_EQ(bench.rises[22], 1);
	CHECK_EQ(get(T_CMP(1)), TICKS(6 * BENCH_MS));
	bench_run(10 * BENCH_MS);
	CHECK_EQ(bench.rises[22], 11);
	/* nobody looked for a while: no burst of what was missed */
	fake_clock_advance(100 * BENCH_MS + 500000);
	fake_service(bench.vm);
	CHECK_EQ(bench.rises[22], 12);
	CHECK_EQ(get(T_CMP(1)), TICKS(116 * BENCH_MS));
}

static void set32(unsigned reg, uint32_t value)
{
	CHECK_EQ(fake_mmio_write(bench.vm, BASE + reg, 4, value), V3_OK);
}

/* Software of 32 bits writes registers by halves, and the one that is not written keeps what it has (2.3.9.2.2). */
static void test_hpet_periodic_by_halves(void)
{
	REQUIRE(begin());
	set(CONFIG, 1);
	set32(T(1), ENABLE | PERIODIC | SET | ROUTE(22));
	set32(T(1) + 4, 0); /* the bit waits for the comparator */
	set32(T_CMP(1), TICKS(5 * BENCH_MS));
	set32(T(1), ENABLE | PERIODIC | SET | ROUTE(22));
	set32(T_CMP(1) + 4, 0);
	CHECK_EQ(get(T_CMP(1)), TICKS(5 * BENCH_MS));
	set32(T_CMP(1), TICKS(BENCH_MS)); /* the period alone */
	set32(T_CMP(1) + 4, 0);
	CHECK_EQ(get(T_CMP(1)), TICKS(5 * BENCH_MS));
	bench_run(8 * BENCH_MS + BENCH_MS / 2);
	CHECK_EQ(bench.rises[22], 4);
	CHECK_EQ(get(T_CMP(1)), TICKS(9 * BENCH_MS));
}

static void test_hpet_too_fast(void)
{
	REQUIRE(begin());
	set(CONFIG, 1);
	set(T(1), ENABLE | PERIODIC | SET | ROUTE(22));
	set(T_CMP(1), 1);
	bench_run(BENCH_S / 100);
	CHECK_MSG(bench.rises[22] <= 201, "%u interrupts in 10 ms", bench.rises[22]);
	CHECK(bench.rises[22] > 100);
}

static void test_hpet_level(void)
{
	REQUIRE(begin());
	set(CONFIG, 1);
	set(T(0), ENABLE | LEVEL | ROUTE(23));
	set(T_CMP(0), 100);
	bench_run(1000);
	CHECK(bench.level[23]);
	CHECK_EQ(get(STATUS), 1);
	set(STATUS, 6);
	CHECK(bench.level[23]);
	set(STATUS, 1);
	CHECK(!bench.level[23]);
	CHECK_EQ(get(STATUS), 0);
	set(T_CMP(0), get(COUNTER) + 100);
	bench_run(1000);
	CHECK(bench.level[23]);
	set(T(0), ENABLE | LEVEL | ROUTE(20)); /* another route: the old line falls */
	CHECK(!bench.level[23]);
	CHECK(!bench.level[20]);
}

static void test_hpet_route_not_offered(void)
{
	REQUIRE(begin());
	set(CONFIG, 1);
	set(T(0), ENABLE | ROUTE(4));
	set(T_CMP(0), 100);
	bench_run(1000);
	CHECK_EQ(bench.rises[4], 0);
}

/* A whole PC: the i8254 has line 0, the RTC line 8. */
static bool begin_pc(void)
{
	char text[600];

	memset(&bench, 0, sizeof(bench));
	snprintf(text, sizeof(text), "%s[[device]]\nclass = \"hpet\"\n", fake_pc_toml(1, 8));
	if (!CHECK_EQ(fake_vm_create(text, NULL, 0, &bench.vm), V3_OK))
		return false;
	v3_time_continue(bench.vm);
	return CHECK_EQ(v3_irq_sink_register(bench.vm, bench_irq, &bench), V3_OK);
}

static void test_hpet_legacy_replacement(void)
{
	REQUIRE(begin_pc());
	out8(0x43, 0x34);
	out8(0x40, 0xa9); /* 1193 clocks: 1 ms */
	out8(0x40, 0x04);
	out8(0x70, 0x0b);
	out8(0x71, 0x42); /* RTC: periodic, 1024 Hz; its line stays high until register C is read */
	bench_run(10 * BENCH_MS);
	CHECK(bench.rises[0] >= 9);
	CHECK(bench.level[8]);
	set(CONFIG, 3);
	CHECK(!bench.level[8]);
	memset(bench.rises, 0, sizeof(bench.rises));
	set(T(0), ENABLE | PERIODIC | SET);
	set(T_CMP(0), TICKS(2 * BENCH_MS));
	set(T(1), ENABLE);
	set(T_CMP(1), TICKS(3 * BENCH_MS));
	bench_run(10 * BENCH_MS);
	CHECK_EQ(bench.rises[0], 5);
	CHECK_EQ(bench.rises[8], 1);
	memset(bench.rises, 0, sizeof(bench.rises));
	set(CONFIG, 1);
	CHECK(bench.level[8]); /* the RTC's, which waited */
	bench_run(10 * BENCH_MS);
	CHECK(bench.rises[0] >= 9 && bench.rises[0] <= 11);
}

static void test_hpet_reset(void)
{
	REQUIRE(begin());
	set(CONFIG, 3);
	set(T(0), ENABLE | LEVEL);
	set(T_CMP(0), 100);
	bench_run(1000);
	CHECK(bench.level[0]);
	bench_reset();
	CHECK(!bench.level[0]);
	CHECK_EQ(get(CONFIG), 0);
	CHECK_EQ(get(COUNTER), 0);
	CHECK_EQ(get(T(0)), 0x00f0000000000030ull);
	CHECK_EQ(bench_next(), 0);
}

static void test_hpet_hostile(void)
{
	static const unsigned regs[] = {0,	  CONFIG, STATUS,   COUNTER, T(0),
					T_CMP(0), T(1),	  T_CMP(1), T(2),    T_CMP(2)};

	REQUIRE(begin());
	for (unsigned i = 0; i < 50000; i++) {
		uint64_t r = tap_rand();
		unsigned size = 1u << (r & 3);
		v3_gpa_t gpa =
			BASE + ((r & 4 ? regs[r % V3_ARRAY_SIZE(regs)] : r >> 8 & 0xfff) & -size);

		if (r & 8)
			CHECK_EQ(fake_mmio_write(bench.vm, gpa, size,
						 r & 16 ? tap_rand() : bench_hostile_value()),
				 V3_OK);
		else
			fake_mmio_read(bench.vm, gpa, size);
		if (!(r >> 20 & 63))
			bench_run(tap_rand() % 100000);
	}
}

static void test_hpet_no_memory(void)
{
	bench_oom(&v3_device_hpet, "", 5);
}

static const struct tap_test tests[] = {
	TAP(test_hpet_identity),
	TAP(test_hpet_counter),
	TAP(test_hpet_other_sizes),
	TAP(test_hpet_one_shot),
	TAP(test_hpet_32_bits_wrap),
	TAP(test_hpet_periodic),
	TAP(test_hpet_periodic_by_halves),
	TAP(test_hpet_too_fast),
	TAP(test_hpet_level),
	TAP(test_hpet_route_not_offered),
	TAP(test_hpet_legacy_replacement),
	TAP(test_hpet_reset),
	TAP(test_hpet_hostile),
	TAP(test_hpet_no_memory),
};
TAP_MAIN(tests)
