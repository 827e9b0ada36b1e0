/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_reset.c
 * Ports 0xcf9 and 0x92: which writes reset the VM, and what reads back.
 */
#include "device_bench.h"

#define CF9    0xcf9
#define PORT92 0x92

static bool was_reset(void)
{
	return __atomic_exchange_n(&bench.vm->reset_why, NULL, __ATOMIC_SEQ_CST) != NULL;
}

struct step {
	uint16_t port;
	uint8_t value;
	bool reset;
	uint8_t read; /* of the same port, afterwards */
};

static void run_steps(const struct step *step, unsigned n)
{
	REQUIRE(bench_open(&v3_device_reset, ""));
	for (unsigned i = 0; i < n; i++) {
		out8(step[i].port, step[i].value);
		CHECK_MSG(was_reset() == step[i].reset, "step %u: reset is not %d", i,
			  step[i].reset);
		CHECK_MSG(in8(step[i].port) == step[i].read, "step %u: reads %#x, expected %#x", i,
			  in8(step[i].port), step[i].read);
	}
	fake_vm_destroy(bench.vm);
}

#define RUN_STEPS(...)                                                                             \
	do {                                                                                       \
		static const struct step steps[] = {__VA_ARGS__};                                  \
		run_steps(steps, V3_ARRAY_SIZE(steps));                                            \
	} while (0)

static void test_reset_cf9_rising_bit_2(void)
{
	RUN_STEPS({CF9, 0x00, false, 0x00}, {CF9, 0x02, false, 0x02}, {CF9, 0x06, true, 0x06},
		  {CF9, 0x06, false, 0x06}, {CF9, 0x02, false, 0x02}, {CF9, 0x0e, true, 0x0e},
		  {CF9, 0x00, false, 0x00}, {CF9, 0x04, true, 0x04});
}

static void test_reset_cf9_single_write(void)
{
	RUN_STEPS({CF9, V3_PC_RESET_VALUE, true, V3_PC_RESET_VALUE});
}

static void test_reset_cf9_reserved_bits(void)
{
	RUN_STEPS({CF9, 0xf1, false, 0x00}, {CF9, 0xfb, false, 0x0a});
}

static void test_reset_port92(void)
{
	RUN_STEPS({PORT92, 0x00, false, 0x00}, {PORT92, 0xfe, false, 0x02},
		  {PORT92, 0x03, true, 0x03}, {PORT92, 0x03, false, 0x03},
		  {PORT92, 0x02, false, 0x02}, {PORT92, 0x01, true, 0x01});
}

static void test_reset_power_on_values(void)
{
	REQUIRE(bench_open(&v3_device_reset, ""));
	bench_hostile(CF9, 1, 300);
	bench_hostile(PORT92, 1, 300);
	was_reset();
	bench_reset();
	CHECK_EQ(in8(CF9), 0);
	CHECK_EQ(in8(PORT92), 0x02);
	CHECK(!was_reset());
}

static void test_reset_wide_accesses(void)
{
	REQUIRE(bench_open(&v3_device_reset, ""));
	fake_out(bench.vm, CF9, 4, 0xffffff02);
	CHECK(!was_reset());
	CHECK_EQ(fake_in(bench.vm, CF9, 4), 0xffffff02);
	fake_out(bench.vm, CF9, 2, 0x0006);
	CHECK(was_reset());
}

static void test_reset_ports(void)
{
	static const uint16_t ports[] = {CF9, PORT92};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(ports); i++) {
		bench_ports_released(&v3_device_reset, "", ports[i]);
		fake_vm_destroy(bench.vm);
	}
}

/* Whichever of its ports is taken, create leaves the others free. */
static void test_reset_port_taken(void)
{
	static const uint16_t ports[] = {CF9, PORT92};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(ports); i++) {
		void *dev;

		bench.vm = fake_vm_bare(1, 16);
		REQUIRE(bench.vm);
		CHECK_EQ(v3_io_register(bench.vm, ports[i], 1, NULL, NULL), V3_OK);
		CHECK_EQ(fake_device_create(bench.vm, &v3_device_reset, "", &dev), V3_EEXIST);
		v3_io_unregister(bench.vm, ports[i]);
		CHECK_EQ(fake_device_create(bench.vm, &v3_device_reset, "", &dev), V3_OK);
		fake_vm_destroy(bench.vm);
	}
}

static void test_reset_oom(void)
{
	bench_oom(&v3_device_reset, "", 2);
}

static void test_reset_hostile(void)
{
	REQUIRE(bench_open(&v3_device_reset, ""));
	bench_hostile(CF9, 1, 25000);
	bench_hostile(PORT92, 1, 25000);
}

static const struct tap_test tests[] = {
	TAP(test_reset_cf9_rising_bit_2),
	TAP(test_reset_cf9_single_write),
	TAP(test_reset_cf9_reserved_bits),
	TAP(test_reset_port92),
	TAP(test_reset_power_on_values),
	TAP(test_reset_wide_accesses),
	TAP(test_reset_ports),
	TAP(test_reset_port_taken),
	TAP(test_reset_oom),
	TAP(test_reset_hostile),
};
TAP_MAIN(tests)
