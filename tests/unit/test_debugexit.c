/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_debugexit.c
 * Ports 0xf4 (debugexit) and 0xe9 (debugcon).
 */
#include "device_bench.h"

static void test_debugexit_status(void)
{
	int status = -1;

	REQUIRE(bench_open(&v3_device_debugexit, ""));
	CHECK_EQ(v3_vm_stop_reason(bench.vm, NULL), V3_STOP_NONE);
	out8(V3_PC_PORT_DEBUGEXIT, 0x21);
	CHECK_EQ(v3_vm_stop_reason(bench.vm, &status), V3_STOP_EXIT);
	CHECK_EQ(status, 0x43);
}

static void test_debugexit_sizes(void)
{
	static const struct {
		unsigned off, size;
		uint32_t value;
		int status;
	} cases[] = {
		{0, 1, 0, 1},
		{0, 2, 0x1234, 0x2469},
		{0, 4, 0x10203040, 0x20406081},
		{3, 1, 5, 11},
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		int status = -1;

		REQUIRE(bench_open(&v3_device_debugexit, ""));
		CHECK_EQ(fake_out(bench.vm, (uint16_t)(V3_PC_PORT_DEBUGEXIT + cases[i].off),
				  cases[i].size, cases[i].value),
			 V3_OK);
		CHECK_EQ(v3_vm_stop_reason(bench.vm, &status), V3_STOP_EXIT);
		CHECK_EQ(status, cases[i].status);
		fake_vm_destroy(bench.vm);
	}
}

static void test_debugexit_read_does_nothing(void)
{
	REQUIRE(bench_open(&v3_device_debugexit, ""));
	CHECK_EQ(fake_in(bench.vm, V3_PC_PORT_DEBUGEXIT, 4), 0);
	CHECK_EQ(v3_vm_stop_reason(bench.vm, NULL), V3_STOP_NONE);
}

static void test_debugexit_ports(void)
{
	bench_ports_released(&v3_device_debugexit, "", V3_PC_PORT_DEBUGEXIT + 3);
}

static void test_debugexit_hostile(void)
{
	REQUIRE(bench_open(&v3_device_debugexit, ""));
	bench_hostile(V3_PC_PORT_DEBUGEXIT, 4, 100000);
}

static void test_debugcon_writes_at_once(void)
{
	REQUIRE(bench_open(&v3_device_debugcon, ""));
	CHECK_EQ(in8(V3_PC_PORT_DEBUGCON), 0xe9);
	out8(V3_PC_PORT_DEBUGCON, 'H');
	CHECK_STR(fake_console_output("console"), "H");
	out8(V3_PC_PORT_DEBUGCON, 'i');
	CHECK_STR(fake_console_output("console"), "Hi");
	CHECK_EQ(bench_next(), 0);
}

static void test_debugcon_wide_write_is_one_byte(void)
{
	REQUIRE(bench_open(&v3_device_debugcon, ""));
	fake_out(bench.vm, V3_PC_PORT_DEBUGCON, 4, 'D' << 24 | 'C' << 16 | 'B' << 8 | 'A');
	CHECK_STR(fake_console_output("console"), "A");
	CHECK_EQ(fake_in(bench.vm, V3_PC_PORT_DEBUGCON, 4), 0xffffffe9);
}

static void test_debugcon_named_stream(void)
{
	fake_console_add("dbg");
	REQUIRE(bench_open(&v3_device_debugcon, "console = \"dbg\"\n"));
	out8(V3_PC_PORT_DEBUGCON, 'x');
	CHECK_STR(fake_console_output("dbg"), "x");
	CHECK_STR(fake_console_output("console"), "");
}

static void test_debugcon_without_stream(void)
{
	REQUIRE(bench_open(&v3_device_debugcon, "console = \"\"\n"));
	out8(V3_PC_PORT_DEBUGCON, 'x');
	CHECK_EQ(in8(V3_PC_PORT_DEBUGCON), 0xe9);
	CHECK_STR(fake_console_output("console"), "");
}

static void test_debugcon_unknown_stream(void)
{
	void *dev;

	memset(&bench, 0, sizeof(bench));
	bench.vm = fake_vm_bare(1, 16);
	REQUIRE(bench.vm);
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_debugcon, "console = \"nope\"\n", &dev),
		 V3_ENOENT);
	CHECK_EQ(v3_io_register(bench.vm, V3_PC_PORT_DEBUGCON, 1, NULL, NULL), V3_OK);
	v3_io_unregister(bench.vm, V3_PC_PORT_DEBUGCON);
}

static void test_debugcon_full_stream_is_logged(void)
{
	REQUIRE(bench_open(&v3_device_debugcon, ""));
	fake_console_limit("console", 3);
	for (int i = 0; i < 100; i++)
		out8(V3_PC_PORT_DEBUGCON, (uint8_t)('a' + i % 26));
	CHECK_STR(fake_console_output("console"), "abc");
	CHECK(fake_log_contains("output lost"));
	CHECK(fake_log_count("output lost") < 20);
}

static void test_debugcon_oom(void)
{
	bench_oom(&v3_device_debugcon, "", 2);
}

static void test_debugcon_hostile(void)
{
	REQUIRE(bench_open(&v3_device_debugcon, ""));
	fake_console_limit("console", 1000);
	bench_hostile(V3_PC_PORT_DEBUGCON, 1, 100000);
}

static const struct tap_test tests[] = {
	TAP(test_debugexit_status),
	TAP(test_debugexit_sizes),
	TAP(test_debugexit_read_does_nothing),
	TAP(test_debugexit_ports),
	TAP(test_debugexit_hostile),
	TAP(test_debugcon_writes_at_once),
	TAP(test_debugcon_wide_write_is_one_byte),
	TAP(test_debugcon_named_stream),
	TAP(test_debugcon_without_stream),
	TAP(test_debugcon_unknown_stream),
	TAP(test_debugcon_full_stream_is_logged),
	TAP(test_debugcon_oom),
	TAP(test_debugcon_hostile),
};
TAP_MAIN(tests)
