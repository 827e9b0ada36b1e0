/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_cpus.c
 * Host CPUs that come and go, virtualization on demand, vcpus that move.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "tap.h"

static void guest_halts(struct fake_guest *g, void *arg)
{
	(void)arg;
	g_sti(g);
	for (;;)
		g_hlt(g);
}

static void guest_computes(struct fake_guest *g, void *arg)
{
	(void)arg;
	for (;;)
		g_compute(g);
}

static struct v3_vm *cpus_vm(const char *toml)
{
	struct v3_vm *vm = NULL;

	return CHECK_EQ(fake_vm_create(toml, NULL, 0, &vm), V3_OK) ? vm : NULL;
}

static uint32_t cpu_of(struct v3_vm *vm, uint32_t vcpu)
{
	struct v3_vcpu_info info = {.cpu = ~0u};

	CHECK_EQ(v3_vcpu_info(vm, vcpu, &info), V3_OK);
	return info.cpu;
}

/* ---- enabling ---- */

static void test_cpus_offline_ones_are_left_out(void)
{
	struct v3_vm *vm;

	fake_cpu_count(4);
	fake_cpu_offline(0, true);
	fake_cpu_offline(2, true);
	REQUIRE_EQ(fake_lib_init(), V3_OK);
	CHECK_EQ(v3_cpus_usable(), 2);
	CHECK(!v3_cpu_usable(0) && v3_cpu_usable(1) && !v3_cpu_usable(2) && v3_cpu_usable(3));
	CHECK(!v3_cpu_usable(4) && !v3_cpu_usable(~0u));
	vm = cpus_vm(fake_pc_toml(3, 8));
	REQUIRE(vm);
	CHECK_EQ(cpu_of(vm, 0), 1);
	CHECK_EQ(cpu_of(vm, 1), 3);
	CHECK_EQ(cpu_of(vm, 2), 1);
}

static void test_cpus_none_is_refused(void)
{
	fake_cpu_count(1);
	fake_cpu_offline(0, true);
	CHECK_EQ(fake_lib_init(), V3_ENODEV);
}

static void test_cpus_on_demand(void)
{
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(fake_lib_init(), V3_OK);
	CHECK_EQ(v3_disable(), V3_OK);
	CHECK_EQ(v3_cpus_usable(), 0);
	CHECK_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_ENODEV);
	CHECK_EQ(v3_disable(), V3_OK);
	CHECK_EQ(v3_enable(), V3_OK);
	CHECK_EQ(v3_enable(), V3_OK);
	vm = cpus_vm(fake_pc_toml(1, 8));
	REQUIRE(vm);
	CHECK_EQ(v3_disable(), V3_EBUSY);
	CHECK(v3_cpus_usable() > 0);
}

static void test_cpus_come_and_go(void)
{
	fake_cpu_count(3);
	fake_cpu_offline(2, true);
	REQUIRE_EQ(fake_lib_init(), V3_OK);
	CHECK_EQ(v3_cpu_up(2), V3_ENODEV); /* not yet */
	fake_cpu_offline(2, false);
	CHECK_EQ(v3_cpu_up(2), V3_OK);
	CHECK_EQ(v3_cpu_up(2), V3_OK);
	CHECK(v3_cpu_usable(2));
	CHECK_EQ(v3_cpu_up(3), V3_ENODEV);
	v3_cpu_down(1);
	v3_cpu_down(1);
	v3_cpu_down(77);
	CHECK(!v3_cpu_usable(1));
	CHECK_EQ(v3_cpus_usable(), 2);
	/* Given back: what comes up now stays as it is until virtualization is wanted. */
	CHECK_EQ(v3_disable(), V3_OK);
	CHECK_EQ(v3_cpu_up(1), V3_OK);
	CHECK(!v3_cpu_usable(1));
	CHECK_EQ(v3_enable(), V3_OK);
	CHECK_EQ(v3_cpus_usable(), 3);
}

static void test_cpus_definition_names_an_offline_one(void)
{
	static const char toml[] = "[vm]\nname = \"t\"\nmemory = \"8M\"\ncpus = [1]\n"
				   "platform = \"none\"\n[boot]\ntype = \"multiboot\"\n"
				   "kernel = \"kernel\"\n";
	struct v3_vm *vm = NULL;

	fake_cpu_count(2);
	fake_cpu_offline(1, true);
	CHECK_EQ(fake_vm_create(toml, NULL, 0, &vm), V3_ERANGE);
	CHECK(fake_log_contains("vcpu 0 wants CPU 1, which is offline"));
}

/* ---- moving ---- */

static void test_cpus_move_in_every_state(void)
{
	struct v3_vm *vm;

	fake_cpu_count(4);
	vm = cpus_vm(fake_pc_toml(2, 8));
	REQUIRE(vm);
	fake_program(vm, 0, guest_computes, NULL);
	CHECK_EQ(v3_vcpu_move(vm, 0, 3), V3_OK);
	CHECK_EQ(cpu_of(vm, 0), 3);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	for (uint32_t cpu = 0; cpu < 4; cpu++) {
		CHECK_EQ(v3_vcpu_move(vm, 0, cpu), V3_OK);
		CHECK_EQ(__atomic_load_n(&vm->vcpu[0]->host_cpu, __ATOMIC_SEQ_CST), cpu);
		CHECK_EQ(v3_vcpu_move(vm, 1, cpu), V3_OK); /* waits for SIPI */
		CHECK_EQ(__atomic_load_n(&vm->vcpu[1]->host_cpu, __ATOMIC_SEQ_CST), cpu);
	}
	CHECK_EQ(v3_vm_pause(vm), V3_OK);
	CHECK_EQ(v3_vcpu_move(vm, 0, 1), V3_OK);
	CHECK_EQ(cpu_of(vm, 0), 1);
	CHECK_EQ(v3_vm_continue(vm), V3_OK);
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
	CHECK_EQ(v3_vcpu_move(vm, 0, 2), V3_OK);
}

static void test_cpus_move_refuses(void)
{
	struct v3_vm *vm;

	fake_cpu_count(3);
	vm = cpus_vm(fake_pc_toml(1, 8));
	REQUIRE(vm);
	v3_cpu_down(2);
	CHECK_EQ(v3_vcpu_move(vm, 0, 2), V3_ENODEV);
	CHECK_EQ(v3_vcpu_move(vm, 0, 3), V3_ENODEV);
	CHECK_EQ(v3_vcpu_move(vm, 0, ~0u), V3_ENODEV);
	CHECK_EQ(v3_vcpu_move(vm, 1, 0), V3_ERANGE);
	CHECK_EQ(cpu_of(vm, 0), 0);
	CHECK_EQ(v3_vcpu_info(vm, 1, &(struct v3_vcpu_info){.cpu = 0}), V3_ERANGE);
}

static bool is_halted(void *arg)
{
	struct v3_vcpu_info info;

	return v3_vcpu_info(arg, 0, &info) == V3_OK && info.state == V3_VCPU_HALTED;
}

/* A halted vcpu with a timer: the timer is armed anew, where the vcpu is now. */
static void test_cpus_move_takes_the_timer_along(void)
{
	struct v3_vm *vm = cpus_vm(fake_pc_toml(1, 8));
	unsigned arms;

	REQUIRE(vm);
	fake_program(vm, 0, guest_halts, NULL);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	REQUIRE(fake_wait_until(is_halted, vm, 10000));
	arms = fake_clock_arms();
	CHECK_EQ(v3_vcpu_move(vm, 0, 1), V3_OK);
	CHECK_EQ(v3_vm_pause(vm), V3_OK); /* what the move asked for has been served before */
	if (fake_clock_next())
		CHECK(fake_clock_arms() > arms);
	CHECK_EQ(cpu_of(vm, 0), 1);
}

static const struct tap_test tests[] = {
	TAP(test_cpus_offline_ones_are_left_out),
	TAP(test_cpus_none_is_refused),
	TAP(test_cpus_on_demand),
	TAP(test_cpus_come_and_go),
	TAP(test_cpus_definition_names_an_offline_one),
	TAP(test_cpus_move_in_every_state),
	TAP(test_cpus_move_refuses),
	TAP(test_cpus_move_takes_the_timer_along),
};
TAP_MAIN(tests)
