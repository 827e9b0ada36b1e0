// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file test_lapic_timer.c
 * The local APIC's timer on a simulated clock; SDM 3A 10.5.4. One undivided count is a nanosecond.
 */
#include "intr_rig.h"

#define SVR  0x0f
#define LVTT 0x32
#define TICR 0x38
#define TCCR 0x39
#define DCR  0x3e

#define MASKED	     0x10000
#define ONE_SHOT     (0u << 17)
#define PERIODIC     (1u << 17)
#define TSC_DEADLINE (2u << 17)
#define DIV_1	     0xb
#define VEC	     0x40

/** A VM whose vcpu 0 has its timer set up with divider 1. */
static struct v3_vm *open_timer(uint32_t lvt)
{
	struct v3_vm *vm = rig_open(1);

	rig_x_write(vm, 0, DCR, DIV_1);
	rig_x_write(vm, 0, LVTT, lvt);
	return vm;
}

static void test_lapic_timer_one_shot(void)
{
	struct v3_vm *vm = open_timer(ONE_SHOT | VEC);

	rig_x_write(vm, 0, TICR, 1000000);
	CHECK_EQ(rig_x_read(vm, 0, TICR), 1000000);
	CHECK_EQ(rig_x_read(vm, 0, TCCR), 1000000);
	rig_advance(vm, 999999);
	CHECK_EQ(rig_x_read(vm, 0, TCCR), 1);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_advance(vm, 1);
	CHECK_EQ(rig_serve(vm, 0), VEC);
	CHECK_EQ(rig_x_read(vm, 0, TCCR), 0);
	CHECK(!rig_timer_armed(vm));
	rig_advance(vm, 10000000);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	/* Zero stops it; a new count starts over. */
	rig_x_write(vm, 0, TICR, 50000);
	rig_advance(vm, 20000);
	rig_x_write(vm, 0, TICR, 0);
	CHECK(!rig_timer_armed(vm));
	CHECK_EQ(rig_x_read(vm, 0, TCCR), 0);
	rig_x_write(vm, 0, TICR, 50000);
	rig_advance(vm, 49999);
	rig_x_write(vm, 0, TICR, 50000);
	rig_advance(vm, 49999);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_advance(vm, 1);
	CHECK_EQ(rig_serve(vm, 0), VEC);
	rig_close(vm);
}

static void test_lapic_timer_divide_values(void)
{
	static const struct {
		uint32_t dcr;
		unsigned divide;
	} t[] = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
		 {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		struct v3_vm *vm = open_timer(ONE_SHOT | VEC);
		uint64_t ns = 30000ull * t[i].divide;

		rig_x_write(vm, 0, DCR, t[i].dcr);
		CHECK_EQ(rig_x_read(vm, 0, DCR), t[i].dcr);
		rig_x_write(vm, 0, TICR, 30000);
		rig_advance(vm, ns / 2);
		CHECK_EQ(rig_x_read(vm, 0, TCCR), 15000);
		rig_advance(vm, ns / 2 - 1);
		CHECK_EQ(rig_x_read(vm, 0, TCCR), 1);
		CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
		rig_advance(vm, 1);
		CHECK_MSG(rig_serve(vm, 0) == VEC, "divide by %u", t[i].divide);
		rig_close(vm);
	}
}

static void test_lapic_timer_longest_count(void)
{
	struct v3_vm *vm = open_timer(ONE_SHOT | VEC);
	uint64_t ns = 0xffffffffull * 128;

	rig_x_write(vm, 0, DCR, 0xa);
	rig_x_write(vm, 0, TICR, 0xffffffff);
	CHECK_EQ(rig_x_read(vm, 0, TCCR), 0xffffffff);
	rig_advance(vm, ns - 1);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_advance(vm, 1);
	CHECK_EQ(rig_serve(vm, 0), VEC);
	rig_close(vm);
}

static void test_lapic_timer_periodic_does_not_drift(void)
{
	struct v3_vm *vm = open_timer(PERIODIC | VEC);
	uint64_t elapsed = 0;
	unsigned ticks = 0;

	rig_x_write(vm, 0, TICR, 1000000);
	/* Served late by odd amounts, tick n still belongs to time n * period. */
	while (elapsed < 500 * 1000000ull) {
		uint64_t step = 1000 + tap_rand() % 300000;

		rig_jump(vm, step);
		elapsed += step;
		if (rig_serve(vm, 0) == VEC)
			ticks++;
		CHECK_EQ(ticks, elapsed / 1000000);
		CHECK_EQ(rig_x_read(vm, 0, TCCR), 1000000 - elapsed % 1000000);
	}
	rig_close(vm);
}

static void test_lapic_timer_periodic_merges_lost_ticks(void)
{
	struct v3_vm *vm = open_timer(PERIODIC | VEC);

	rig_x_write(vm, 0, TICR, 100000);
	rig_jump(vm, 1050000); /* ten ticks late */
	CHECK_EQ(rig_serve(vm, 0), VEC);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_advance(vm, 49999);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_advance(vm, 1); /* 1,100,000: the eleventh keeps its place */
	CHECK_EQ(rig_serve(vm, 0), VEC);
	/* Merging takes no time per tick: a week late here. */
	rig_jump(vm, 7ull * 86400 * 1000000000 + 50000);
	CHECK_EQ(rig_serve(vm, 0), VEC);
	CHECK_EQ(rig_x_read(vm, 0, TCCR), 50000);
	rig_close(vm);
}

static void test_lapic_timer_short_periods_are_stretched(void)
{
	struct v3_vm *vm = open_timer(PERIODIC | VEC);
	unsigned ticks = 0;

	rig_x_write(vm, 0, TICR, 1);
	for (unsigned i = 0; i < 1000; i++) {
		rig_advance(vm, 1000);
		ticks += rig_serve(vm, 0) == VEC;
		CHECK(rig_x_read(vm, 0, TCCR) <= 1);
	}
	CHECK_EQ(ticks, 50); /* 1 ms / 20 us */
	rig_close(vm);
}

static void test_lapic_timer_masked_costs_nothing_and_loses_ticks(void)
{
	struct v3_vm *vm = open_timer(PERIODIC | MASKED | VEC);

	rig_x_write(vm, 0, TICR, 100000);
	CHECK(!rig_timer_armed(vm));
	rig_advance(vm, 250000);
	CHECK_EQ(rig_x_read(vm, 0, TCCR), 50000); /* it counts all the same */
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_x_write(vm, 0, LVTT, PERIODIC | VEC);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	CHECK(rig_timer_armed(vm));
	rig_advance(vm, 50000);
	CHECK_EQ(rig_serve(vm, 0), VEC);
	rig_x_write(vm, 0, LVTT, PERIODIC | MASKED | VEC);
	CHECK(!rig_timer_armed(vm));
	/* One-shot that expires while masked is gone. */
	rig_x_write(vm, 0, LVTT, ONE_SHOT | MASKED | VEC);
	rig_x_write(vm, 0, TICR, 1000);
	rig_advance(vm, 2000);
	rig_x_write(vm, 0, LVTT, ONE_SHOT | VEC);
	rig_advance(vm, 100000);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_close(vm);
}

static void test_lapic_timer_software_disable_masks_it(void)
{
	struct v3_vm *vm = open_timer(PERIODIC | VEC);

	rig_x_write(vm, 0, TICR, 100000);
	rig_x_write(vm, 0, SVR, 0xff);
	CHECK(!rig_timer_armed(vm));
	rig_advance(vm, 500000);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_close(vm);
}

static void test_lapic_timer_mode_change_disarms(void)
{
	static const uint32_t modes[] = {ONE_SHOT, PERIODIC, TSC_DEADLINE};

	for (unsigned from = 0; from < 3; from++) {
		for (unsigned to = 0; to < 3; to++) {
			struct v3_vm *vm = open_timer(modes[from] | VEC);

			rig_x_write(vm, 0, TICR, 100000);
			rig_wrmsr(vm, 0, V3_MSR_TSC_DEADLINE, ~0ull >> 8);
			CHECK(rig_timer_armed(vm));
			rig_x_write(vm, 0, LVTT, modes[to] | (VEC + 1));
			CHECK_MSG(rig_timer_armed(vm) == (from == to), "mode %u to %u", from, to);
			rig_close(vm);
		}
	}
}

static void test_lapic_timer_reserved_mode_never_counts(void)
{
	struct v3_vm *vm = open_timer(3u << 17 | VEC);

	rig_x_write(vm, 0, TICR, 100000);
	rig_wrmsr(vm, 0, V3_MSR_TSC_DEADLINE, 1);
	CHECK(!rig_timer_armed(vm));
	CHECK_EQ(rig_x_read(vm, 0, TCCR), 0);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_close(vm);
}

static void test_lapic_timer_new_divider_keeps_the_count(void)
{
	struct v3_vm *vm = open_timer(ONE_SHOT | VEC);

	rig_x_write(vm, 0, TICR, 100000);
	rig_advance(vm, 40000);
	rig_x_write(vm, 0, DCR, 0x1); /* by 4: 60000 counts are 240000 ns */
	CHECK_EQ(rig_x_read(vm, 0, TCCR), 60000);
	rig_advance(vm, 239999);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_advance(vm, 1);
	CHECK_EQ(rig_serve(vm, 0), VEC);
	rig_close(vm);
}

static uint64_t deadline(struct v3_vm *vm)
{
	uint64_t value = ~0ull;

	CHECK_EQ(rig_rdmsr(vm, 0, V3_MSR_TSC_DEADLINE, &value), V3_OK);
	return value;
}

static void test_lapic_timer_deadline_in_the_past_fires_at_once(void)
{
	struct v3_vm *vm = open_timer(TSC_DEADLINE | VEC);

	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_TSC_DEADLINE, 1), V3_OK);
	CHECK_EQ(rig_take(vm, 0, V3_REQ_IRQ), V3_REQ_IRQ);
	CHECK_EQ(rig_serve(vm, 0), VEC);
	CHECK_EQ(deadline(vm), 0);
	CHECK(!rig_timer_armed(vm));
	rig_close(vm);
}

static void test_lapic_timer_deadline_ahead(void)
{
	struct v3_vm *vm = open_timer(TSC_DEADLINE | VEC);
	/* The TSC is the machine's own while the clock is simulated: an hour ahead stays ahead. */
	uint64_t hour = 3600000ull * v3_time_tsc_khz(vm);
	uint64_t tsc = v3_time_guest_tsc(vm->vcpu[0]) + hour;

	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_TSC_DEADLINE, tsc), V3_OK);
	CHECK_EQ(deadline(vm), tsc);
	CHECK(rig_timer_armed(vm));
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	/* The timer counts in no other way meanwhile. */
	rig_x_write(vm, 0, TICR, 1000);
	CHECK_EQ(rig_x_read(vm, 0, TICR), 0);
	CHECK_EQ(rig_x_read(vm, 0, TCCR), 0);
	/* Time is up by the clock, not by the TSC (as after the guest set it back): not yet. */
	rig_advance(vm, 3600ull * 1000000000);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	CHECK(rig_timer_armed(vm));
	/* A new value replaces it, 0 disarms. */
	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_TSC_DEADLINE, 0), V3_OK);
	CHECK_EQ(deadline(vm), 0);
	CHECK(!rig_timer_armed(vm));
	rig_close(vm);
}

static void test_lapic_timer_deadline_fires(void)
{
	struct v3_vm *vm = open_timer(TSC_DEADLINE | VEC);
	uint64_t ms = v3_time_tsc_khz(vm);
	uint64_t tsc = v3_time_guest_tsc(vm->vcpu[0]) + 20 * ms;

	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_TSC_DEADLINE, tsc), V3_OK);
	rig_advance(vm, 1000);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	while (v3_time_guest_tsc(vm->vcpu[0]) <= tsc)
		;
	rig_advance(vm, 20000000);
	CHECK_EQ(rig_serve(vm, 0), VEC);
	CHECK_EQ(deadline(vm), 0);
	CHECK(!rig_timer_armed(vm));
	rig_close(vm);
}

static void test_lapic_timer_deadline_msr_ignored_in_other_modes(void)
{
	struct v3_vm *vm = open_timer(ONE_SHOT | VEC);

	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_TSC_DEADLINE, 1), V3_OK);
	CHECK_EQ(deadline(vm), 0);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_x_write(vm, 0, TICR, 1000);
	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_TSC_DEADLINE, 0), V3_OK);
	CHECK(rig_timer_armed(vm)); /* not disturbed */
	rig_close(vm);
}

static void test_lapic_timer_masked_deadline_passes(void)
{
	struct v3_vm *vm = open_timer(TSC_DEADLINE | MASKED | VEC);

	uint64_t tsc = v3_time_guest_tsc(vm->vcpu[0]) + 20ull * v3_time_tsc_khz(vm);

	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_TSC_DEADLINE, 1), V3_OK);
	CHECK_EQ(deadline(vm), 0);
	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_TSC_DEADLINE, tsc), V3_OK);
	CHECK_EQ(deadline(vm), tsc);
	CHECK(!rig_timer_armed(vm));
	rig_advance(vm, 20000001);
	CHECK_EQ(deadline(vm), 0);
	rig_x_write(vm, 0, LVTT, TSC_DEADLINE | VEC);
	CHECK_EQ(rig_serve(vm, 0), V3_EAGAIN);
	rig_close(vm);
}

static const struct tap_test tests[] = {
	TAP(test_lapic_timer_one_shot),
	TAP(test_lapic_timer_divide_values),
	TAP(test_lapic_timer_longest_count),
	TAP(test_lapic_timer_periodic_does_not_drift),
	TAP(test_lapic_timer_periodic_merges_lost_ticks),
	TAP(test_lapic_timer_short_periods_are_stretched),
	TAP(test_lapic_timer_masked_costs_nothing_and_loses_ticks),
	TAP(test_lapic_timer_software_disable_masks_it),
	TAP(test_lapic_timer_mode_change_disarms),
	TAP(test_lapic_timer_reserved_mode_never_counts),
	TAP(test_lapic_timer_new_divider_keeps_the_count),
	TAP(test_lapic_timer_deadline_in_the_past_fires_at_once),
	TAP(test_lapic_timer_deadline_ahead),
	TAP(test_lapic_timer_deadline_fires),
	TAP(test_lapic_timer_deadline_msr_ignored_in_other_modes),
	TAP(test_lapic_timer_masked_deadline_passes),
};
TAP_MAIN(tests)
