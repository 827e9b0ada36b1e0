/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_log.c
 * Log lines: form, levels, length, and the limit for what a guest can trigger at will.
 */
#include "palacios/log.h"

#include "fake_vm.h"
#include "tap.h"

#define V3_LOG_TAG "tag"

static void test_log_form(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	V3_INFO(vm, "value %#x", 0x12);
	CHECK(fake_log_contains("v3[bare] tag: value 0x12"));
	V3_WARN(NULL, "no vm");
	CHECK(fake_log_contains("v3 tag: no vm"));
	CHECK_EQ(fake_log_level("no vm"), V3_LOG_WARN);
}

static void test_log_levels(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	V3_DEBUG(vm, "one");
	CHECK(!fake_log_contains("one"));
	v3_log_set_level(vm, V3_LOG_DEBUG);
	V3_DEBUG(vm, "two");
	CHECK(fake_log_contains("two"));
	v3_log_set_level(vm, V3_LOG_ERR);
	V3_WARN(vm, "three");
	V3_ERR(vm, "four");
	CHECK(!fake_log_contains("three"));
	CHECK(fake_log_contains("four"));
}

static void test_log_level_of_the_library(void)
{
	fake_lib_install();
	v3_log_set_level(NULL, V3_LOG_DEBUG);
	V3_DEBUG(NULL, "one");
	CHECK(fake_log_contains("one"));
	v3_log_set_level(NULL, V3_LOG_ERR);
	V3_INFO(NULL, "two");
	CHECK(!fake_log_contains("two"));
}

static void test_log_long_lines_are_cut(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	char text[400];

	REQUIRE(vm);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	fake_log_clear();
	V3_INFO(vm, "%s", text); /* the fake host refuses more than 255 bytes */
	CHECK_EQ(fake_log_count("xxxx"), 1);
	text[230] = 0;
	CHECK(!fake_log_contains(text));
	text[200] = 0;
	CHECK(fake_log_contains(text));
}

static void warn(struct v3_vm *vm, unsigned i)
{
	V3_GUEST_WARN(vm, "guest did %u", i);
}

/* The 1st to 4th and then each power of two. */
static void test_log_limit(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	for (unsigned i = 1; i <= 1000; i++)
		warn(vm, i);
	CHECK_EQ(fake_log_count("guest did"), 4 + 7); /* 1 2 3 4 8 16 .. 512 */
	CHECK(fake_log_contains("guest did 3"));
	CHECK(fake_log_contains("guest did 512"));
	CHECK(!fake_log_contains("guest did 513"));
}

static void test_log_limit_is_per_vm(void)
{
	struct v3_vm *a = fake_vm_bare(1, 8), *b = fake_vm_bare(1, 8);

	REQUIRE(a && b);
	for (unsigned i = 1; i <= 100; i++)
		warn(a, i);
	fake_log_clear();
	warn(b, 1);
	CHECK_EQ(fake_log_count("guest did"), 1);
}

static void test_log_limit_is_per_site(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	static const char one[] = "one", two[] = "two";

	REQUIRE(vm);
	for (int i = 0; i < 100; i++)
		v3_log_allow(vm, one);
	CHECK(v3_log_allow(vm, two));
}

/* More sites than counters: still limited, nothing written past the table. */
static void test_log_limit_with_many_sites(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	static const char sites[1000][16];
	unsigned allowed = 0;

	REQUIRE(vm);
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 1000; i++)
			allowed += v3_log_allow(vm, sites[i]);
	}
	CHECK(allowed > 64);
	CHECK(allowed < 5000);
}

static const struct tap_test tests[] = {
	TAP(test_log_form),
	TAP(test_log_levels),
	TAP(test_log_level_of_the_library),
	TAP(test_log_long_lines_are_cut),
	TAP(test_log_limit),
	TAP(test_log_limit_is_per_vm),
	TAP(test_log_limit_is_per_site),
	TAP(test_log_limit_with_many_sites),
};
TAP_MAIN(tests)
