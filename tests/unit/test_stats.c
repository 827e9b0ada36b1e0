/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_stats.c
 * Exit statistics: counts, totals, histogram, and what is printed.
 */
#include "exit/stats.h"

#include "fake_vm.h"
#include "palacios/platform.h"
#include "tap.h"

static void test_stats_names(void)
{
	CHECK_STR(v3_exit_name(V3_EXIT_CPUID), "cpuid");
	CHECK_STR(v3_exit_name(V3_EXIT_UNKNOWN), "unknown");
	CHECK_STR(v3_exit_name(V3_EXIT_NKINDS), "?");
	CHECK_STR(v3_exit_name((enum v3_exit_kind) - 1), "?");
	for (int i = 0; i < V3_EXIT_NKINDS; i++) {
		for (int k = 0; k < i; k++)
			CHECK(strcmp(v3_exit_name(i), v3_exit_name(k)));
	}
}

static void test_stats_count_and_histogram(void)
{
	struct v3_exit_stat kinds[V3_EXIT_NKINDS] = {0};
	struct v3_vcpu_stats stats = {.kind = kinds};
	struct v3_exit_stat *s = &kinds[V3_EXIT_IO];

	v3_stats_count(&stats, V3_EXIT_IO, 0);
	v3_stats_count(&stats, V3_EXIT_IO, 1);
	v3_stats_count(&stats, V3_EXIT_IO, 2);
	v3_stats_count(&stats, V3_EXIT_IO, 3);
	v3_stats_count(&stats, V3_EXIT_IO, 1000);
	v3_stats_count(&stats, V3_EXIT_IO, ~0ull);
	CHECK_EQ(s->count, 6);
	CHECK_EQ(s->max_cycles, ~0ull);
	CHECK_EQ(s->cycles, 1005); /* 1006 + 2^64 - 1 */
	CHECK_EQ(s->histogram[0], 2);
	CHECK_EQ(s->histogram[1], 2);
	CHECK_EQ(s->histogram[9], 1);
	CHECK_EQ(s->histogram[31], 1);
	CHECK_EQ(kinds[V3_EXIT_CPUID].count, 0);
}

static void guest(struct fake_guest *g, void *arg)
{
	uint32_t r[4], value;

	(void)arg;
	for (int i = 0; i < 10; i++)
		g_cpuid(g, 0, 0, r);
	for (int i = 0; i < 7; i++)
		g_in(g, 0x80, 1, &value);
	g_out(g, V3_PC_PORT_DEBUGEXIT, 1, 0);
}

static void test_stats_of_a_guest(void)
{
	struct v3_exit_stat s;
	struct v3_vm *vm = NULL;
	uint64_t n = 0;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 8), NULL, 0, &vm), V3_OK);
	fake_program(vm, 0, guest, NULL);
	REQUIRE_EQ(v3_vm_start(vm), V3_OK);
	v3_vm_wait(vm);
	CHECK_EQ(v3_vm_exit_stat(vm, 0, V3_EXIT_CPUID, &s), V3_OK);
	CHECK_EQ(s.count, 10);
	CHECK(s.cycles > 0 && s.max_cycles <= s.cycles && s.max_cycles >= s.cycles / 10);
	for (int b = 0; b < V3_STAT_BUCKETS; b++)
		n += s.histogram[b];
	CHECK_EQ(n, 10);
	CHECK_EQ(v3_vm_exit_stat(vm, 0, V3_EXIT_IO, &s), V3_OK);
	CHECK_EQ(s.count, 8);
	CHECK_EQ(vm->vcpu[0]->stats.entries, fake_cpu(vm, 0)->entries);
}

static void test_stats_rejects_wrong_numbers(void)
{
	struct v3_vm *vm = fake_vm_bare(2, 8);
	struct v3_exit_stat s;

	REQUIRE(vm);
	CHECK_EQ(v3_vm_exit_stat(vm, 1, V3_EXIT_IO, &s), V3_OK);
	CHECK_EQ(v3_vm_exit_stat(vm, 2, V3_EXIT_IO, &s), V3_EINVAL);
	CHECK_EQ(v3_vm_exit_stat(vm, 0, V3_EXIT_NKINDS, &s), V3_EINVAL);
	CHECK_EQ(v3_vm_exit_stat(vm, 0, (enum v3_exit_kind) - 1, &s), V3_EINVAL);
}

static void test_stats_print(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	v3_stats_count(&vm->vcpu[0]->stats, V3_EXIT_CPUID, 1000);
	v3_stats_count(&vm->vcpu[0]->stats, V3_EXIT_CPUID, 3000);
	v3_vm_print_stats(vm);
	CHECK(fake_log_contains("cpuid"));
	CHECK(fake_log_contains("4000"));
	CHECK(fake_log_contains("2000")); /* mean */
	CHECK(!fake_log_contains("rdmsr"));
	CHECK(fake_log_contains("ram 8388608"));
	CHECK(fake_log_contains("2^9"));
	CHECK(fake_log_contains("2^11"));
}

static const struct tap_test tests[] = {
	TAP(test_stats_names),	    TAP(test_stats_count_and_histogram),
	TAP(test_stats_of_a_guest), TAP(test_stats_rejects_wrong_numbers),
	TAP(test_stats_print),
};
TAP_MAIN(tests)
