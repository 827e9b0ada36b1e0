/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vmx_timer.c
 * VMX back end, the preemption timer: when it is on, what it counts from, how far it reaches. SDM 3C 26.5.1.
 */
#include "host/host.h"
#include "tap.h"
#include "vmx_rig.h"

static bool timer_on(void)
{
	return vrig_entered(VMCS_PIN_CONTROLS) & VMX_PIN_PREEMPTION_TIMER;
}

static bool set(uint64_t tsc)
{
	return vrig.ops->set_deadline(&vrig.vcpu[0], tsc);
}

static void test_vmx_timer_is_off_at_first(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!timer_on());
	CHECK(set(V3_NO_DEADLINE));
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!timer_on());
}

/* The CPU starts from the VMCS at each entry: the count must be what is left. */
static void test_vmx_timer_counts_what_is_left(void)
{
	uint64_t first, second, deadline;

	REQUIRE(vrig_init());
	deadline = v3_rdtsc() + 0x80000000;
	CHECK(set(deadline));
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(timer_on());
	first = vrig_entered(VMCS_PREEMPTION_TIMER);
	CHECK(first <= 0x80000000 && first >= deadline - v3_rdtsc());
	CHECK_EQ(vrig_enter(0), V3_OK);
	second = vrig_entered(VMCS_PREEMPTION_TIMER);
	CHECK(second < first && second >= deadline - v3_rdtsc());
	CHECK(set(1)); /* long ago */
	CHECK_EQ(vrig_exit(VMX_EXIT_PREEMPTION_TIMER, 0).kind, V3_EXIT_TIMER);
	CHECK_EQ(vrig_entered(VMCS_PREEMPTION_TIMER), 0);
	CHECK(set(V3_NO_DEADLINE));
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!timer_on());
}

/* Without a deadline an entry writes as little as ever. */
static void test_vmx_timer_costs_nothing_while_off(void)
{
	REQUIRE(vrig_init());
	CHECK(set(v3_rdtsc() + 1000000));
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(set(V3_NO_DEADLINE));
	CHECK_EQ(vrig_enter(0), V3_OK);
	vrig_machine.writes = 0;
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(vrig_machine.writes <= 1);
}

static void test_vmx_timer_reach(void)
{
	REQUIRE(vrig_init());
	CHECK(set(v3_rdtsc() + 0xf0000000));
	CHECK(!set(v3_rdtsc() + 0x180000000));
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!timer_on());
	vrig_vv(0)->vmx->timer_shift = 5;
	CHECK(set(v3_rdtsc() + 0x180000000));
	CHECK(!set(V3_NO_DEADLINE - 1));
	vrig_vv(0)->vmx->has_timer = false;
	CHECK(!set(v3_rdtsc() + 1000));
	CHECK(!set(V3_NO_DEADLINE));
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!timer_on());
}

/* It counts whenever a bit of the TSC changes: never fewer changes than there are until the deadline. */
static void test_vmx_timer_shift(void)
{
	uint64_t base, count, after;

	REQUIRE(vrig_init());
	vrig_vv(0)->vmx->timer_shift = 5;
	for (unsigned i = 0; i < 64; i++) {
		base = v3_rdtsc();
		CHECK(set(base + 0x10000000 + i));
		CHECK_EQ(vrig_enter(0), V3_OK);
		after = v3_rdtsc();
		count = vrig_entered(VMCS_PREEMPTION_TIMER);
		CHECK(((after >> 5) + count) << 5 >= base + 0x10000000 + i);
		CHECK(((base >> 5) + count) << 5 < base + 0x10000000 + i + 32);
	}
}

/* What the VMCS says lives on when it rests. */
static void test_vmx_timer_across_put(void)
{
	REQUIRE(vrig_init());
	CHECK(set(v3_rdtsc() + 0x80000000));
	CHECK_EQ(vrig_enter(0), V3_OK);
	vrig.ops->put(&vrig.vcpu[0]);
	CHECK(set(V3_NO_DEADLINE));
	vrig.ops->load(&vrig.vcpu[1]);
	CHECK_EQ(vrig_enter(1), V3_OK);
	CHECK(!timer_on());
	vrig.ops->put(&vrig.vcpu[1]);
	vrig.ops->load(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!timer_on());
}

static const struct tap_test tests[] = {
	TAP(test_vmx_timer_is_off_at_first),
	TAP(test_vmx_timer_counts_what_is_left),
	TAP(test_vmx_timer_costs_nothing_while_off),
	TAP(test_vmx_timer_reach),
	TAP(test_vmx_timer_shift),
	TAP(test_vmx_timer_across_put),
};
TAP_MAIN(tests)
