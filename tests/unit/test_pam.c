/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_pam.c
 * The chipset around firmware: shadow RAM by the host bridge's PAM registers, and interrupt routing by the ISA
 * bridge.
 */
#include "pci_bench.h"

#define ROM	0xfffc0000
#define ROM_LEN 0x40000

/* A bridge in a VM with firmware ROM; each page of ROM and of shadow RAM begins with a number of its own. */
static bool pam_open(uint64_t rom_len)
{
	v3_gpa_t rom = 0x100000000ull - rom_len;
	struct v3_vm *vm;

	memset(&bench, 0, sizeof(bench));
	bench.cls = &v3_device_pci_host;
	bench.vm = vm = fake_vm_bare(1, 16);
	if (!CHECK(vm != NULL) || !CHECK_EQ(v3_mem_add_rom(vm, rom, rom_len), V3_OK))
		return false;
	for (uint32_t off = 0; off < 0x40000; off += 0x1000) {
		uint32_t ram = 0x1000000 + off, value = 0x2000000 + off;

		CHECK_EQ(v3_mem_write(vm, 0xc0000 + off, &ram, 4), V3_OK);
		if (off >= 0x40000 - rom_len)
			CHECK_EQ(v3_mem_write(vm, ROM + off, &value, 4), V3_OK);
	}
	return CHECK_EQ(fake_device_create(vm, bench.cls, "", &bench.dev), V3_OK);
}

static void test_pam_rom_at_reset(void)
{
	REQUIRE(pam_open(ROM_LEN));
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0000, 4), 0x2020000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xff000, 4), 0x203f000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xc0000, 4), 0xffffffff); /* no ROM answers there */
	CHECK_EQ(fake_mmio_read(bench.vm, 0xdf000, 4), 0xffffffff);
}

/* Each of the 13 attributes governs its piece, and nothing else. */
static void test_pam_pieces(void)
{
	static const struct {
		uint8_t reg, shift;
		uint32_t first, last; /* pages */
	} pieces[] = {
		{0x59, 4, 0xf0, 0xff}, {0x5a, 0, 0xc0, 0xc3}, {0x5a, 4, 0xc4, 0xc7},
		{0x5b, 0, 0xc8, 0xcb}, {0x5b, 4, 0xcc, 0xcf}, {0x5c, 0, 0xd0, 0xd3},
		{0x5c, 4, 0xd4, 0xd7}, {0x5d, 0, 0xd8, 0xdb}, {0x5d, 4, 0xdc, 0xdf},
		{0x5e, 0, 0xe0, 0xe3}, {0x5e, 4, 0xe4, 0xe7}, {0x5f, 0, 0xe8, 0xeb},
		{0x5f, 4, 0xec, 0xef},
	};

	REQUIRE(pam_open(ROM_LEN));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(pieces); i++) {
		cfg_write(0, pieces[i].reg, 1, 3u << pieces[i].shift);
		for (uint32_t page = 0xc0; page <= 0xff; page++) {
			bool ram = page >= pieces[i].first && page <= pieces[i].last;
			uint32_t value = (uint32_t)fake_mmio_read(bench.vm, page << 12, 4);

			CHECK_MSG((value >> 24 == 1) == ram, "piece %u, page %#x: %#x", i, page,
				  value);
		}
		cfg_write(0, pieces[i].reg, 1, 0);
	}
}

static void test_pam_attributes(void)
{
	REQUIRE(pam_open(ROM_LEN));
	cfg_write(0, 0x59, 1, 0x20); /* copy ROM to the RAM under it */
	fake_mmio_write(bench.vm, 0xf0000, 4, fake_mmio_read(bench.vm, 0xf0000, 4));
	cfg_write(0, 0x59, 1, 0x30);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf0000, 4), 0x2030000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf1000, 4), 0x1031000);
	fake_mmio_write(bench.vm, 0xf0000, 4, 1);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf0000, 4), 1);
	cfg_write(0, 0x59, 1, 0x10); /* and protect it */
	fake_mmio_write(bench.vm, 0xf0000, 4, 2);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf0000, 4), 1);
	cfg_write(0, 0x59, 1, 0x00);
	fake_mmio_write(bench.vm, 0xf0000, 4, 3);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf0000, 4), 0x2030000);
	cfg_write(0, 0x59, 1, 0x10);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf0000, 4), 1);
}

static void test_pam_wide_write(void)
{
	REQUIRE(pam_open(ROM_LEN));
	cfg_write(0, 0x58, 4, 0x33333000);
	cfg_write(0, 0x5c, 4, 0x33333333);
	for (uint32_t page = 0xc0; page <= 0xff; page++)
		CHECK_EQ(fake_mmio_read(bench.vm, page << 12, 4) >> 24, 1);
	bench_reset();
	CHECK_EQ(fake_mmio_read(bench.vm, 0xff000, 4), 0x203f000);
}

static void test_pam_small_rom(void)
{
	REQUIRE(pam_open(0x10000));
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf0000, 4), 0x2030000);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0000, 4), 0xffffffff);
	cfg_write(0, 0x5e, 1, 0x11);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xe0000, 4), 0x1020000);
}

/* Without firmware ROM all of it is RAM, whatever the registers say. */
static void test_pam_without_rom(void)
{
	uint32_t value = 5;

	REQUIRE(pci_bench_open());
	CHECK_EQ(v3_mem_write(bench.vm, 0xf0000, &value, 4), V3_OK);
	cfg_write(0, 0x59, 1, 0x10);
	CHECK_EQ(cfg_read(0, 0x59, 1), 0x10);
	fake_mmio_write(bench.vm, 0xf0000, 4, 6);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xf0000, 4), 6);
}

static void test_pam_hostile(void)
{
	REQUIRE(pam_open(ROM_LEN));
	for (unsigned i = 0; i < 2000; i++) {
		cfg_write(0, 0x58 + 4 * (tap_rand() & 1), 4, (uint32_t)tap_rand());
		fake_mmio_write(bench.vm, 0xc0000 + (tap_rand() & 0x3fff8), 8, tap_rand());
		fake_mmio_read(bench.vm, 0xc0000 + (tap_rand() & 0x3fff8), 8);
	}
	bench_reset();
	CHECK_EQ(fake_mmio_read(bench.vm, 0xff000, 4), 0x203f000);
}

/* ---- ISA bridge ---- */

static void *isa;

/* Bridges, and a function with INTA in slot 3. */
static bool isa_open(struct v3_pci_func **func)
{
	static const struct v3_pci_desc desc = {.vendor = 0x1234, .intx_pin = 1};
	int err;

	if (!pci_bench_open())
		return false;
	bench.vm->ndevices = 1;
	err = fake_device_create(bench.vm, &v3_device_piix3, "", &isa);
	if (!err)
		err = v3_pci_add(bench.vm, 3, 0, &desc, func);
	bench.vm->ndevices = 0;
	return CHECK_EQ(err, V3_OK);
}

static void test_isa_bridge_identity(void)
{
	struct v3_pci_func *func = NULL;

	REQUIRE(isa_open(&func));
	CHECK_EQ(cfg_read(1, 0, 4), 0x70008086);
	CHECK_EQ(cfg_read(1, 8, 4) >> 8, 0x060100);
	CHECK_EQ(cfg_read(1, 0x0e, 1), 0x80);
	v3_pci_remove(func);
}

/* Slot 3, INTA is PIRQC, see V3_PC_INTX_PIRQ; booted without firmware it is routed. */
static void test_isa_bridge_routes(void)
{
	struct v3_pci_func *func = NULL;

	REQUIRE(isa_open(&func));
	CHECK_EQ(cfg_read(1, 0x60, 4), 0x0b0b0a0a);
	v3_pci_set_intx(func, true);
	CHECK(bench.level[11] && bench.level[V3_PC_INTX_GSI(3, 1)] && !bench.level[10]);
	cfg_write(1, 0x62, 1, 0x05); /* moves while it is high */
	CHECK(!bench.level[11] && bench.level[5]);
	cfg_write(1, 0x62, 1, 0x85);
	CHECK(!bench.level[5] && bench.level[V3_PC_INTX_GSI(3, 1)]);
	cfg_write(1, 0x62, 1, 0x0d); /* reserved */
	CHECK(!bench.level[13]);
	cfg_write(1, 0x60, 4, 0x0a0a0a0a);
	CHECK(bench.level[10]);
	v3_pci_set_intx(func, false);
	CHECK(!bench.level[10] && !bench.level[V3_PC_INTX_GSI(3, 1)]);
	v3_pci_remove(func);
}

static void test_isa_bridge_shares(void)
{
	static const struct v3_pci_desc desc = {.vendor = 0x1234, .intx_pin = 1};
	struct v3_pci_func *a = NULL, *b = NULL;

	REQUIRE(isa_open(&a));
	REQUIRE_EQ(pci_bench_add(4, &desc, &b), V3_OK); /* PIRQD */
	v3_pci_set_intx(a, true);
	v3_pci_set_intx(b, true);
	CHECK(bench.level[11]);
	cfg_write(1, 0x62, 1, 0x0a);
	CHECK(bench.level[11] && bench.level[10]);
	v3_pci_set_intx(b, false);
	CHECK(!bench.level[11] && bench.level[10]);
	v3_pci_remove(b);
	v3_pci_remove(a);
	CHECK(!bench.level[10]);
}

/* Every slot and pin leads where ACPI says it does while the guest uses the 8259 pair. */
static void test_isa_bridge_agrees_with_platform(void)
{
	struct v3_pci_func *func = NULL;

	REQUIRE(isa_open(&func));
	v3_pci_remove(func);
	for (unsigned slot = 2; slot < 32; slot++) {
		for (uint8_t pin = 1; pin <= 4; pin++) {
			const struct v3_pci_desc desc = {.vendor = 0x1234, .intx_pin = pin};

			REQUIRE_EQ(pci_bench_add(slot, &desc, &func), V3_OK);
			v3_pci_set_intx(func, true);
			CHECK(bench.level[V3_PC_INTX_ISA(slot, pin)]);
			CHECK(!bench.level[21 - V3_PC_INTX_ISA(slot, pin)]);
			v3_pci_remove(func);
		}
	}
}

static void test_isa_bridge_reset(void)
{
	struct v3_pci_func *func = NULL;

	REQUIRE(isa_open(&func));
	cfg_write(1, 0x60, 4, 0x80808080);
	bench_reset();
	v3_device_piix3.reset(isa);
	CHECK_EQ(cfg_read(1, 0x60, 4), 0x0b0b0a0a);
	v3_pci_remove(func);
}

/* Firmware finds the routes switched off, as hardware leaves them. */
static void test_isa_bridge_under_firmware(void)
{
	REQUIRE(pam_open(ROM_LEN));
	bench.vm->device[0].cls = &v3_device_pci_host;
	bench.vm->device[0].state = bench.dev;
	bench.vm->ndevices = 1;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_piix3, "", &isa), V3_OK);
	bench.vm->ndevices = 0;
	CHECK_EQ(cfg_read(1, 0x60, 4), 0x80808080);
}

static void test_isa_bridge_needs_host_bridge(void)
{
	REQUIRE(pci_bench_open());
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_piix3, "", &isa), V3_ENODEV);
}

static void test_pam_oom(void)
{
	unsigned step;

	memset(&bench, 0, sizeof(bench));
	bench.cls = &v3_device_pci_host;
	bench.vm = fake_vm_bare(1, 16);
	REQUIRE(bench.vm);
	REQUIRE_EQ(v3_mem_add_rom(bench.vm, ROM, ROM_LEN), V3_OK);
	bench_cfg = fake_cfg(bench.cls, "");
	REQUIRE(bench_cfg);
	for (step = 1; step <= 4; step++) { /* the bridge, its lock, the window and its table */
		fake_host_fail_at(step);
		CHECK_EQ(bench_oom_create(NULL), V3_ENOMEM);
		CHECK(!bench.vm->mem.window);
	}
	fake_host_fail_at(0);
	CHECK_EQ(bench_oom_create(NULL), V3_OK);
	bench_oom_destroy(NULL);
}

static const struct tap_test tests[] = {
	TAP(test_pam_rom_at_reset),
	TAP(test_pam_pieces),
	TAP(test_pam_attributes),
	TAP(test_pam_wide_write),
	TAP(test_pam_small_rom),
	TAP(test_pam_without_rom),
	TAP(test_pam_hostile),
	TAP(test_pam_oom),
	TAP(test_isa_bridge_identity),
	TAP(test_isa_bridge_routes),
	TAP(test_isa_bridge_shares),
	TAP(test_isa_bridge_agrees_with_platform),
	TAP(test_isa_bridge_reset),
	TAP(test_isa_bridge_under_firmware),
	TAP(test_isa_bridge_needs_host_bridge),
};
TAP_MAIN(tests)
