/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_dump.c
 * v3_vm_dump() in every state, and what a failed VM keeps.
 */
#include "exit/stats.h"
#include "fake_vm.h"
#include "tap.h"

#include <string.h>

static char dumped[256 * 1024];

static void dump_line(void *priv, const char *line)
{
	(void)priv;
	CHECK(!strchr(line, '\n'));
	strncat(dumped, line, sizeof(dumped) - strlen(dumped) - 2);
	strcat(dumped, "\n");
}

static const char *dump(struct v3_vm *vm)
{
	const struct v3_text text = {dump_line, NULL};

	dumped[0] = '\0';
	v3_vm_dump(vm, &text);
	return dumped;
}

#define CHECK_HAS(text, part) CHECK_MSG(strstr(text, part), "\"%s\" missing in:\n%s", part, text)

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)) != NULL; text++)
		n++;
	return n;
}

static void guest_does_io(struct fake_guest *g, void *arg)
{
	(void)arg;
	for (;;)
		g_out(g, 0x80, 1, 1);
}

static bool many_entries(void *arg)
{
	struct v3_vcpu_info info;

	return v3_vcpu_info(arg, 0, &info) == V3_OK && info.entries > 3 * V3_EXIT_RECORDS;
}

static void test_dump_ready(void)
{
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(2, 8), NULL, 0, &vm), V3_OK);
	CHECK_HAS(dump(vm), "pc: ready\n");
	CHECK_HAS(dumped, "2 vcpus, 8 MiB, 0 resets");
	CHECK_HAS(dumped, "vcpu 0: runnable, rip 0x");
	CHECK_HAS(dumped, "vcpu 1: waits for SIPI, rip 0xfff0");
	CHECK_HAS(dumped, "last 0 of 0 exits");
}

static void test_dump_running_and_paused(void)
{
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(2, 8), NULL, 0, &vm), V3_OK);
	fake_program(vm, 0, guest_does_io, NULL);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	REQUIRE(fake_wait_until(many_entries, vm, 20000));
	CHECK_HAS(dump(vm), "pc: running\n");
	CHECK_HAS(dumped, "last 64 of ");
	CHECK_HAS(dumped, "out port 0x80 size 1");
	CHECK_EQ(count(dumped, "\n  fake: "), 2);
	CHECK(count(dumped, " code ") >= V3_EXIT_RECORDS);
	CHECK_EQ(v3_vm_pause(vm), V3_OK);
	CHECK_HAS(dump(vm), "pc: paused\n");
	CHECK_HAS(dumped, "last 64 of ");
	CHECK_EQ(count(dumped, "\n  fake: "), 2);
	CHECK_EQ(v3_vm_continue(vm), V3_OK);
	CHECK_HAS(dump(vm), "pc: running\n");
	CHECK_EQ(v3_vm_stop(vm), V3_OK);
	CHECK_HAS(dump(vm), "pc: stopped: power-off\n");
	CHECK_HAS(dumped, "vcpu 1: has ended after ");
}

static bool unknown_exit(struct v3_vcpu *vcpu, struct v3_exit *exit, void *arg)
{
	(void)arg;
	vcpu->regs.gpr[V3_R9] = 0x1122334455667788;
	exit->kind = V3_EXIT_UNKNOWN;
	exit->code = 0x4711;
	return true;
}

/* Of an address where RAM is mapped by now. */
static bool bad_nested_entry(struct v3_vcpu *vcpu, struct v3_exit *exit, void *arg)
{
	bool *touched = arg;

	(void)vcpu;
	exit->kind = *touched ? V3_EXIT_NESTED_BAD : V3_EXIT_NESTED_FAULT;
	exit->u.fault.gpa = 0x301000;
	exit->u.fault.access = V3_ACC_READ;
	*touched = true;
	return true;
}

static struct v3_vm *failed_vm(fake_step_fn step, void *arg)
{
	struct v3_vm *vm = NULL;

	if (!CHECK_EQ(fake_vm_create(fake_pc_toml(2, 8), NULL, 0, &vm), V3_OK))
		return NULL;
	fake_set_step(fake_cpu(vm, 0), step, arg);
	if (!CHECK_EQ(v3_vm_start(vm), V3_OK))
		return NULL;
	v3_vm_wait(vm);
	return vm;
}

static void test_dump_keeps_the_moment_of_failure(void)
{
	struct v3_vm *vm = failed_vm(unknown_exit, NULL);

	REQUIRE(vm);
	CHECK_EQ(fake_log_count("failed"), 1); /* one line in the log, the rest is here */
	CHECK_HAS(dump(vm), "pc: stopped: failure\n  V3_EIO\n");
	CHECK_HAS(dumped, "1122334455667788");
	CHECK_HAS(dumped, "unknown      code 0x4711");
	CHECK_EQ(count(dumped, "\n  fake: "), 2); /* the innocent vcpu, too */
	CHECK_EQ(strcmp(strdupa(dumped), dump(vm)), 0);
}

/* Which entry it was that the CPU could not use, level by level. */
static void test_dump_shows_bad_nested_entries(void)
{
	bool touched = false;
	struct v3_vm *vm = failed_vm(bad_nested_entry, &touched);

	REQUIRE(vm);
	CHECK_HAS(dump(vm), "nested tables at gpa 0x301000:\n    level 4 entry 0x");
	CHECK_HAS(dumped, "\n    level 3 entry 0x");
	CHECK_EQ(count(dumped, "\n    level 2 entry 0x"), 1);
	CHECK_EQ(count(dumped, "\n    level 1 entry 0x"), 0); /* 2 MiB of RAM are one leaf */
	CHECK_EQ(count(dumped, "nested_bad   code"), 1);
}

/* No memory to keep it: the VM stops all the same, and the dump says less. */
static void test_dump_without_memory_to_keep_it(void)
{
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_OK);
	fake_set_step(fake_cpu(vm, 0), unknown_exit, NULL);
	fake_host_fail_at(2); /* the first is the thread */
	CHECK_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	fake_host_fail_at(0);
	CHECK_HAS(dump(vm), "pc: stopped: failure\n");
	CHECK_HAS(dumped, "vcpu 0: has ended after 1 entries");
}

static const struct tap_test tests[] = {
	TAP(test_dump_ready),
	TAP(test_dump_running_and_paused),
	TAP(test_dump_keeps_the_moment_of_failure),
	TAP(test_dump_shows_bad_nested_entries),
	TAP(test_dump_without_memory_to_keep_it),
};
TAP_MAIN(tests)
