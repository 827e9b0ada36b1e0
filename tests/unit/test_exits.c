/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_exits.c
 * Exits that no guest of this repository can cause on demand: the host's own events, instructions that are
 * not intercepted now, and the CPU refusing an entry. Each through the real dispatch table.
 */
#include "fake_arch.h"
#include "fake_host.h"
#include "fake_vm.h"
#include "tap.h"

#include "state.h"

static void test_exits_host_events_change_nothing(void)
{
	static const enum v3_exit_kind kinds[] = {V3_EXIT_INTR, V3_EXIT_NMI, V3_EXIT_SMI,
						  V3_EXIT_INIT};
	struct v3_vm *vm = fake_vm_bare(1, 2);
	struct v3_vcpu *vcpu;
	struct v3_event ev;
	unsigned i;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	for (i = 0; i < V3_ARRAY_SIZE(kinds); i++) {
		struct v3_regs before = vcpu->regs;
		struct v3_exit exit = fake_exit(kinds[i], 0);

		exit.u.host_vector = -1;
		CHECK_EQ(fake_dispatch(vcpu, &exit, &ev), V3_OK);
		CHECK_EQ(ev.type, V3_EVENT_NONE);
		CHECK_MEM(&vcpu->regs, &before, sizeof(before));
	}
}

static void test_exits_rdtscp_returns_time_and_aux(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 2);
	struct v3_exit exit = fake_exit(V3_EXIT_RDTSCP, 3);
	struct v3_vcpu *vcpu;
	struct v3_event ev;
	uint64_t rip, before;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	vcpu->cpu.tsc_aux = 0x1234;
	rip = vcpu->regs.rip;
	before = v3_time_guest_tsc(vcpu);
	REQUIRE_EQ(fake_dispatch(vcpu, &exit, &ev), V3_OK);
	CHECK_EQ(vcpu->regs.rip, rip + 3);
	CHECK_EQ(vcpu->regs.gpr[V3_RCX], 0x1234);
	CHECK((vcpu->regs.gpr[V3_RDX] << 32 | vcpu->regs.gpr[V3_RAX]) >= before);
	CHECK((vcpu->regs.gpr[V3_RDX] << 32 | vcpu->regs.gpr[V3_RAX]) <= v3_time_guest_tsc(vcpu));
}

static void test_exits_that_only_tell_something(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 2);
	struct v3_exit exit = fake_exit(V3_EXIT_STEP, 0);
	struct v3_vcpu *vcpu;
	struct v3_event ev;
	struct v3_regs before;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	before = vcpu->regs;
	fake_take_requests(vcpu);
	CHECK_EQ(fake_dispatch(vcpu, &exit, &ev), V3_OK);
	CHECK_EQ(fake_take_requests(vcpu), 0);
	exit = fake_exit(V3_EXIT_TIMER, 0);
	CHECK_EQ(fake_dispatch(vcpu, &exit, &ev), V3_OK);
	CHECK_EQ(fake_take_requests(vcpu), V3_REQ_TIMER);
	exit = fake_exit(V3_EXIT_STALLED, 0);
	CHECK_EQ(fake_dispatch(vcpu, &exit, &ev), V3_OK);
	CHECK_MEM(&vcpu->regs, &before, sizeof(before));
	exit.u.context_lost = true;
	CHECK_EQ(fake_dispatch(vcpu, &exit, &ev), V3_EIO);
	CHECK(fake_log_contains("its state was lost"));
}

/* Whoever locks the bus gives the CPU away. */
static void test_exits_bus_lock_yields(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 2);
	struct v3_exit exit = fake_exit(V3_EXIT_BUS_LOCK, 0);
	struct v3_event ev;
	unsigned yields = fake_yields();

	REQUIRE(vm);
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, &ev), V3_OK);
	CHECK_EQ(ev.type, V3_EVENT_NONE);
	CHECK_EQ(fake_yields(), yields + 1);
}

/* Our bug, not the guest's: the VM stops. What the log says: test_vm_our_failure_stops_with_a_dump. */
static void test_exits_refused_entry_is_a_failure(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 2);
	struct v3_exit exit = fake_exit(V3_EXIT_ENTRY_FAILED, 0);
	struct v3_event ev;

	REQUIRE(vm);
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, &ev), V3_EIO);
	CHECK(!vm->vcpu[0]->failed_rule);
	fake_arch_rule = "section 1.2: a rule";
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, &ev), V3_EIO);
	CHECK_STR(vm->vcpu[0]->failed_rule, "section 1.2: a rule");
}

static const struct tap_test tests[] = {
	TAP(test_exits_host_events_change_nothing), TAP(test_exits_rdtscp_returns_time_and_aux),
	TAP(test_exits_that_only_tell_something),   TAP(test_exits_bus_lock_yields),
	TAP(test_exits_refused_entry_is_a_failure),
};
TAP_MAIN(tests)
