/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_yield.c
 * Yield policies: what a PAUSE exit and a halt do under each, and that all of them yield when the host asks.
 */
#include "cpu/yield.h"

#include "fake_vm.h"
#include "tap.h"

static struct v3_vm *policy_vm(const char *policy)
{
	struct v3_vm *vm = NULL;
	char toml[256];

	snprintf(toml, sizeof(toml),
		 "[vm]\nname='t'\nmemory='8M'\nvcpus=3\ncpus=[0, 0, "
		 "1]\nyield='%s'\nplatform='none'\n"
		 "[boot]\ntype='multiboot'\nkernel=\"kernel.elf\"\n",
		 policy);
	CHECK_EQ(fake_vm_create(toml, NULL, 0, &vm), V3_OK);
	return vm;
}

static unsigned yields_of_a_pause(struct v3_vm *vm)
{
	struct v3_exit exit = fake_exit(V3_EXIT_PAUSE, 2);
	unsigned before = fake_yields();

	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, NULL), V3_OK);
	return fake_yields() - before;
}

static void sleep_mark(struct v3_vm *vm, unsigned vcpu, uint32_t sleeping)
{
	vm->vcpu[vcpu]->sleeping = sleeping;
}

static void test_yield_pause_greedy(void)
{
	struct v3_vm *vm = policy_vm("greedy");

	REQUIRE(vm);
	CHECK(!v3_yield_wants_pause(vm));
	CHECK_EQ(yields_of_a_pause(vm), 0);
}

static void test_yield_pause_friendly(void)
{
	struct v3_vm *vm = policy_vm("friendly");

	REQUIRE(vm);
	CHECK(v3_yield_wants_pause(vm));
	sleep_mark(vm, 1, 1);
	CHECK_EQ(yields_of_a_pause(vm), 1);
}

/* Vcpu 1 shares the CPU, vcpu 2 does not. */
static void test_yield_pause_adaptive(void)
{
	struct v3_vm *vm = policy_vm("adaptive");

	REQUIRE(vm);
	CHECK(v3_yield_wants_pause(vm));
	CHECK_EQ(yields_of_a_pause(vm), 1);
	sleep_mark(vm, 1, 1);
	CHECK_EQ(yields_of_a_pause(vm), 0);
	sleep_mark(vm, 1, 0);
	CHECK_EQ(yields_of_a_pause(vm), 1);
}

/* A condition that becomes true when it was asked @n times; time passes meanwhile. */
struct wait {
	unsigned n, asked, slept_at;
	uint64_t step_ns;
};
static struct wait wait;

static bool wait_over(void *arg)
{
	const struct v3_vcpu *vcpu = arg;

	if (vcpu->sleeping && !wait.slept_at)
		wait.slept_at = wait.asked + 1;
	fake_clock_advance(wait.step_ns);
	return ++wait.asked >= wait.n;
}

/* @return how often the condition was looked at before the vcpu slept; 0: it did not sleep */
static unsigned halt(struct v3_vm *vm, unsigned n, uint64_t step_ns)
{
	wait = (struct wait){.n = n, .step_ns = step_ns};
	v3_yield_halt(vm->vcpu[0], wait_over);
	CHECK_EQ(wait.asked, n);
	CHECK_EQ(vm->vcpu[0]->sleeping, 0);
	return wait.slept_at ? wait.slept_at - 1 : 0;
}

static void test_yield_halt_friendly_sleeps_at_once(void)
{
	struct v3_vm *vm = policy_vm("friendly");

	REQUIRE(vm);
	wait = (struct wait){.n = 1};
	v3_yield_halt(vm->vcpu[0], wait_over);
	CHECK_EQ(wait.slept_at, 1);
}

static void test_yield_halt_greedy_waits_a_little(void)
{
	struct v3_vm *vm = policy_vm("greedy");

	REQUIRE(vm);
	CHECK_EQ(halt(vm, 40, 1000), 0);  /* 40 us: on the CPU */
	CHECK_EQ(halt(vm, 61, 1000), 50); /* 60 us: sleeps after 50 */
	fake_should_yield(true);
	CHECK_EQ(halt(vm, 40, 1000), 1); /* somebody else wants the CPU */
}

static void test_yield_halt_adaptive_learns(void)
{
	struct v3_vm *vm = policy_vm("adaptive");

	REQUIRE(vm);
	CHECK_EQ(halt(vm, 20, 1000), 1); /* knows nothing yet: sleeps */
	CHECK_EQ(halt(vm, 20, 1000), 0); /* the last one was short: it was worth to wait */
	CHECK_EQ(halt(vm, 200, 1000), 40);
	CHECK_EQ(halt(vm, 180, 1000), 0); /* never longer than 200 us */
	CHECK_EQ(halt(vm, 300, 1000), 200);
	CHECK_EQ(halt(vm, 500, 1000), 100); /* long halts: half as long each time */
	CHECK_EQ(halt(vm, 500, 1000), 50);
	for (unsigned i = 0; i < 20; i++)
		halt(vm, 300, 1000);
	CHECK_EQ(vm->vcpu[0]->poll_ns, 0);
}

static const struct tap_test tests[] = {
	TAP(test_yield_pause_greedy),
	TAP(test_yield_pause_friendly),
	TAP(test_yield_pause_adaptive),
	TAP(test_yield_halt_friendly_sleeps_at_once),
	TAP(test_yield_halt_greedy_waits_a_little),
	TAP(test_yield_halt_adaptive_learns),
};
TAP_MAIN(tests)
