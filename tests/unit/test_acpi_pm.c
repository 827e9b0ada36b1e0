/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_acpi_pm.c
 * ACPI fixed hardware: registers, SCI, power-off, power button and the PM timer against plain arithmetic.
 */
#include "device_bench.h"

#define STS V3_PC_PM1_EVT
#define EN  (V3_PC_PM1_EVT + 2)
#define CNT V3_PC_PM1_CNT
#define TMR V3_PC_PM_TMR
#define GPE V3_PC_GPE0
#define SCI bench.level[V3_PC_IRQ_SCI]

static unsigned in16(uint16_t port)
{
	return fake_in(bench.vm, port, 2);
}

static void out16(uint16_t port, unsigned value)
{
	CHECK_EQ(fake_out(bench.vm, port, 2, value), V3_OK);
}

static void test_acpi_pm_power_on_values(void)
{
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	CHECK_EQ(in16(STS), 0);
	CHECK_EQ(in16(EN), 0);
	CHECK_EQ(in16(CNT), V3_PC_PM1_CNT_SCI_EN);
	CHECK_EQ(fake_in(bench.vm, GPE, 4), 0);
	CHECK(!SCI);
	CHECK_EQ(bench_next(), 0);
}

static void test_acpi_pm_writable_bits(void)
{
	static const struct {
		uint16_t port, written, read;
	} cases[] = {
		{EN, 0xffff, 0x0721},
		{EN, 0x0000, 0x0000},
		{CNT, 0x1fff, 0x1c03}, /* SCI_EN is fixed, GBL_RLS and the reserved bits read 0 */
		{CNT, 0x0000, 0x0001},
	};

	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		out16(cases[i].port, cases[i].written);
		CHECK_EQ(in16(cases[i].port), cases[i].read);
	}
}

static void test_acpi_pm_byte_lanes(void)
{
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	out8(EN + 1, 0x01);
	out8(EN, 0x21);
	CHECK_EQ(in16(EN), 0x0121);
	CHECK_EQ(in8(EN), 0x21);
	CHECK_EQ(in8(EN + 1), 0x01);
	CHECK_EQ(fake_in(bench.vm, STS, 4), 0x01210000);
	fake_out(bench.vm, STS, 4, 0x01000000);
	CHECK_EQ(in16(EN), 0x0100);
}

static void test_acpi_pm_poweroff(void)
{
	int status = -1;

	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	out16(CNT, V3_PC_PM1_CNT_SLP_TYP(V3_PC_SLP_TYP_S5));
	CHECK_EQ(v3_vm_stop_reason(bench.vm, NULL), V3_STOP_NONE);
	out16(CNT, V3_PC_PM1_CNT_SLP_TYP(V3_PC_SLP_TYP_S5) | V3_PC_PM1_CNT_SLP_EN);
	CHECK_EQ(v3_vm_stop_reason(bench.vm, &status), V3_STOP_POWEROFF);
	CHECK_EQ(status, 0);
	CHECK_EQ(in16(CNT) & V3_PC_PM1_CNT_SLP_EN, 0);
}

static void test_acpi_pm_poweroff_by_high_byte(void)
{
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	out8(CNT + 1, (V3_PC_PM1_CNT_SLP_TYP(V3_PC_SLP_TYP_S5) | V3_PC_PM1_CNT_SLP_EN) >> 8);
	CHECK_EQ(v3_vm_stop_reason(bench.vm, NULL), V3_STOP_POWEROFF);
}

static void test_acpi_pm_other_sleep_types_wake_at_once(void)
{
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	for (unsigned type = 0; type < 8; type++) {
		if (type == V3_PC_SLP_TYP_S5)
			continue;
		out16(CNT, V3_PC_PM1_CNT_SLP_TYP(type) | V3_PC_PM1_CNT_SLP_EN);
		CHECK_EQ(in16(STS), V3_PC_PM1_STS_WAK);
		out16(STS, V3_PC_PM1_STS_WAK);
		CHECK_EQ(in16(STS), 0);
	}
	CHECK_EQ(v3_vm_stop_reason(bench.vm, NULL), V3_STOP_NONE);
	CHECK(fake_log_contains("not offered"));
}

static void test_acpi_pm_power_button(void)
{
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	v3_device_acpi_pm.power_button(bench.dev);
	CHECK_EQ(in16(STS), V3_PC_PM1_STS_PWRBTN);
	CHECK(!SCI); /* not enabled */
	out16(EN, V3_PC_PM1_STS_PWRBTN);
	CHECK(SCI);
	out16(STS, 0);
	CHECK(SCI);
	out16(STS, V3_PC_PM1_STS_PWRBTN);
	CHECK(!SCI);
	v3_device_acpi_pm.power_button(bench.dev);
	CHECK(SCI);
	out16(EN, 0);
	CHECK(!SCI);
	CHECK_EQ(bench.rises[V3_PC_IRQ_SCI], 2);
}

static uint32_t reference_ticks(uint64_t ns)
{
	return (uint32_t)((unsigned __int128)ns * 3579545 / 1000000000);
}

static void test_acpi_pm_timer_counts(void)
{
	static const uint64_t steps[] = {1,
					 279,
					 280,
					 1000,
					 999999,
					 1000000,
					 123456789,
					 86400 * BENCH_S,
					 1000ull * 86400 * BENCH_S};

	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(steps); i++) {
		fake_clock_advance(steps[i]);
		CHECK_EQ(fake_in(bench.vm, TMR, 4), reference_ticks(v3_time_ns(bench.vm)));
		CHECK_EQ(in16(TMR), reference_ticks(v3_time_ns(bench.vm)) & 0xffff);
		CHECK_EQ(in8(TMR + 3), reference_ticks(v3_time_ns(bench.vm)) >> 24);
	}
	CHECK_EQ(bench_next(), 0);
}

static void test_acpi_pm_timer_is_read_only(void)
{
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	fake_clock_advance(BENCH_S);
	fake_out(bench.vm, TMR, 4, 0);
	CHECK_EQ(fake_in(bench.vm, TMR, 4), 3579545);
}

static void test_acpi_pm_timer_status_toggles(void)
{
	/* the highest bit changes every 2^31 ticks = 599.93 s */
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	fake_clock_advance(599 * BENCH_S);
	CHECK_EQ(in16(STS), 0);
	fake_clock_advance(1 * BENCH_S);
	CHECK_EQ(in16(STS), V3_PC_PM1_STS_TMR);
	CHECK(!SCI);
	out16(STS, V3_PC_PM1_STS_TMR);
	CHECK_EQ(in16(STS), 0);
	fake_clock_advance(600 * BENCH_S);
	CHECK_EQ(in16(STS), V3_PC_PM1_STS_TMR);
}

static void test_acpi_pm_timer_interrupt(void)
{
	uint64_t due = ((1ull << 31) * 1000000000ull + 3579544) / 3579545;

	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	out16(EN, V3_PC_PM1_STS_TMR);
	CHECK(bench_next() != 0);
	bench_run(due - v3_time_ns(bench.vm) - 1);
	CHECK(!SCI);
	bench_run(1);
	CHECK(SCI);
	CHECK_EQ(bench_next(), 0); /* nothing is armed while the status waits */
	out16(STS, V3_PC_PM1_STS_TMR);
	CHECK(!SCI);
	bench_run(due);
	CHECK(SCI);
	out16(EN, 0);
	out16(STS, V3_PC_PM1_STS_TMR);
	CHECK_EQ(bench_next(), 0);
}

static void test_acpi_pm_gpe_registers(void)
{
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	fake_out(bench.vm, GPE, 4, 0xffffffff);
	CHECK_EQ(fake_in(bench.vm, GPE, 4), 0xffff0000);
	CHECK_EQ(in8(GPE + 2), 0xff);
	CHECK(!SCI);
}

/* An access that crosses the timer's edges gets each byte from where it is. */
static void test_acpi_pm_wide_accesses(void)
{
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	fake_clock_advance(3000 * BENCH_S);
	fake_out(bench.vm, GPE + 2, 2, 0x1234);
	CHECK_EQ(fake_in(bench.vm, TMR - 2, 4), (uint64_t)in16(TMR) << 16);
	CHECK_EQ(fake_in(bench.vm, GPE, 4), 0x12340000);
	CHECK_EQ(fake_in(bench.vm, TMR + 2, 4), in16(TMR + 2));
	CHECK_EQ(fake_in(bench.vm, V3_PC_PM_BASE + V3_PC_PM_LEN - 2, 4), 0xffff0000);
	CHECK_EQ(fake_in(bench.vm, GPE + 4, 4), 0);
}

static void test_acpi_pm_reset(void)
{
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	bench_hostile(V3_PC_PM_BASE, 12, 2000);
	out16(EN, 0xffff);
	v3_device_acpi_pm.power_button(bench.dev);
	CHECK(SCI);
	bench_reset();
	CHECK(!SCI);
	CHECK_EQ(in16(STS), 0);
	CHECK_EQ(in16(EN), 0);
	CHECK_EQ(in16(CNT), 1);
	CHECK_EQ(fake_in(bench.vm, GPE, 4), 0);
	CHECK_EQ(bench_next(), 0);
}

static void test_acpi_pm_ports(void)
{
	bench_ports_released(&v3_device_acpi_pm, "", GPE);
}

static void test_acpi_pm_oom(void)
{
	bench_oom(&v3_device_acpi_pm, "", 3);
}

static void test_acpi_pm_hostile(void)
{
	REQUIRE(bench_open(&v3_device_acpi_pm, ""));
	bench_hostile(V3_PC_PM_BASE, V3_PC_PM_LEN + 4, 100000);
	CHECK_EQ(in16(EN) & ~0x0721, 0);
	CHECK_EQ(in16(CNT) & ~0x1c03, 0);
}

static const struct tap_test tests[] = {
	TAP(test_acpi_pm_power_on_values),
	TAP(test_acpi_pm_writable_bits),
	TAP(test_acpi_pm_byte_lanes),
	TAP(test_acpi_pm_poweroff),
	TAP(test_acpi_pm_poweroff_by_high_byte),
	TAP(test_acpi_pm_other_sleep_types_wake_at_once),
	TAP(test_acpi_pm_power_button),
	TAP(test_acpi_pm_timer_counts),
	TAP(test_acpi_pm_timer_is_read_only),
	TAP(test_acpi_pm_timer_status_toggles),
	TAP(test_acpi_pm_timer_interrupt),
	TAP(test_acpi_pm_gpe_registers),
	TAP(test_acpi_pm_wide_accesses),
	TAP(test_acpi_pm_reset),
	TAP(test_acpi_pm_ports),
	TAP(test_acpi_pm_oom),
	TAP(test_acpi_pm_hostile),
};
TAP_MAIN(tests)
