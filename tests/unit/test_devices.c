/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_devices.c
 * All devices of the PC platform together: the list of classes, one device finding another, and accesses to
 * every port from several vcpus at once.
 */
#include "device_bench.h"
#include "host/host.h"
#include "palacios/chr.h"

#include <pthread.h>

#define NVCPUS 4

static void test_devices_list_is_complete(void)
{
	static const char *const names[] = {
		"lapic",      "ioapic",		"i8259",      "i8254",	    "rtc",
		"hpet",	      "uart",		"acpi_pm",    "reset",	    "pci_host",
		"fw_cfg",     "debugcon",	"debugexit",  "pci_bridge", "virtio_blk",
		"virtio_net", "virtio_console", "virtio_rng", "uplink",	    "piix3",
		"piix4_pm",   "i8042",		"vga",	      "flash",	    "ide",
	};
	unsigned n = 0;

	for (unsigned i = 0; v3_pc_devices[i]; i++, n++) {
		CHECK(v3_pc_devices[i]->create && v3_pc_devices[i]->destroy);
		for (unsigned k = 0; k < i; k++)
			CHECK(strcmp(v3_pc_devices[i]->name, v3_pc_devices[k]->name) != 0);
	}
	CHECK_EQ(n, V3_ARRAY_SIZE(names));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(names); i++) {
		unsigned k;

		for (k = 0; v3_pc_devices[k] && strcmp(v3_pc_devices[k]->name, names[i]); k++)
			;
		CHECK_MSG(v3_pc_devices[k], "no class \"%s\"", names[i]);
	}
}

static void test_devices_find(void)
{
	struct v3_vm *vm = NULL;

	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 16), NULL, 0, &vm), V3_OK);
	CHECK(v3_device_find(vm, &v3_device_rtc) != NULL);
	CHECK(v3_device_find(vm, &v3_device_uart) != v3_device_find(vm, &v3_device_rtc));
	fake_vm_destroy(vm);
	vm = fake_vm_bare(1, 16);
	REQUIRE(vm);
	CHECK(v3_device_find(vm, &v3_device_rtc) == NULL);
}

static void test_devices_host_without_console(void)
{
	void *dev;

	bench.vm = fake_vm_bare(1, 16);
	REQUIRE(bench.vm);
	v3_lib.ops.console = NULL;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_uart, "", &dev), V3_ENOTSUP);
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_debugcon, "", &dev), V3_ENOTSUP);
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_uart, "console = \"\"\n", &dev), V3_OK);
	out8(V3_PC_PORT_COM1, 'x');
	CHECK_EQ(in8(V3_PC_PORT_COM1), 0);
}

/* A stream that is not there: output disappears, input never comes. */
static void test_devices_null_stream(void)
{
	uint8_t byte;

	CHECK_EQ(v3_chr_write(NULL, "abc", 3), 3);
	CHECK_EQ(v3_chr_read(NULL, &byte, 1), 0);
	v3_chr_close(NULL);
}

/* Ports with a device behind them, and their neighbours. */
static uint16_t some_port(void)
{
	static const struct {
		uint16_t first, count;
	} ranges[] = {
		{0x20, 2},   {0xa0, 2},	  {0x4d0, 2},  {0x40, 4},   {0x60, 5},
		{0x70, 2},   {0x92, 1},	  {0xe9, 1},   {0x3f8, 8},  {0xcf8, 8},
		{0x600, 64}, {0x700, 16}, {0x510, 12}, {0x3f0, 32}, {0xcf0, 32},
	};
	uint64_t r = tap_rand();
	unsigned i = (unsigned)(r % V3_ARRAY_SIZE(ranges));

	return (uint16_t)(ranges[i].first + (r >> 8) % ranges[i].count);
}

static void random_access(struct v3_vcpu *vcpu)
{
	static const unsigned sizes[] = {1, 1, 1, 2, 4, 4};
	uint16_t port = some_port();
	unsigned size = sizes[tap_rand() % V3_ARRAY_SIZE(sizes)];

	if (tap_rand() & 1)
		CHECK_EQ(fake_vcpu_out(vcpu, port, size,
				       bench_hostile_value() & (~0u >> (32 - 8 * size))),
			 V3_OK);
	else
		fake_vcpu_in(vcpu, port, size);
}

static void *vcpu_thread(void *arg)
{
	for (unsigned i = 0; i < 25000 && !tap.failures; i++)
		random_access(arg);
	return NULL;
}

static void test_devices_hostile_vcpus_at_once(void)
{
	pthread_t thread[NVCPUS];

	memset(&bench, 0, sizeof(bench));
	REQUIRE_EQ(fake_vm_create(fake_pc_toml(NVCPUS, 32), NULL, 0, &bench.vm), V3_OK);
	v3_time_continue(bench.vm);
	fake_console_limit("console", 30000);
	for (unsigned i = 1; i < NVCPUS; i++)
		REQUIRE_EQ(pthread_create(&thread[i], NULL, vcpu_thread, bench.vm->vcpu[i]), 0);
	for (unsigned i = 0; i < 25000 && !tap.failures; i++) {
		random_access(bench.vm->vcpu[0]);
		if (i % 16 == 0) {
			fake_clock_advance(tap_rand() % (100 * 1000));
			fake_service(bench.vm);
		}
		if (i % 1024 == 0)
			fake_console_feed("console", "input for everybody\n");
	}
	for (unsigned i = 1; i < NVCPUS; i++)
		pthread_join(thread[i], NULL);
	/* the machine is still one */
	for (uint32_t i = 0; i < bench.vm->ndevices; i++)
		bench.vm->device[i].cls->reset(bench.vm->device[i].state);
	CHECK_EQ(in8(V3_PC_PORT_COM1 + 5) & 0xfe, 0x60);
	out8(V3_PC_PORT_RTC, 0x0d);
	CHECK_EQ(in8(V3_PC_PORT_RTC + 1), 0x80);
	fake_out(bench.vm, V3_PC_PORT_PCI_ADDR, 4, 0x80000000);
	CHECK_EQ(fake_in(bench.vm, V3_PC_PORT_PCI_DATA, 4), 0x12378086);
}

static const struct tap_test tests[] = {
	TAP(test_devices_list_is_complete),	 TAP(test_devices_find),
	TAP(test_devices_host_without_console),	 TAP(test_devices_null_stream),
	TAP(test_devices_hostile_vcpus_at_once),
};
TAP_MAIN(tests)
