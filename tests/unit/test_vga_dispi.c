/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vga_dispi.c
 * Bochs' extension of the display: its registers by ports and by BAR 2, the display window in banks, the frame buffer in
 * BAR 0, and the pixels that come of it.
 */
#include "devices/display/vga.h"
#include "palacios/save.h"
#include "vga_rig.h"

#define FB    0xd0000000u
#define MMIO  0xd8000000u
#define XRES  1
#define YRES  2
#define BPP   3
#define ON    4
#define BANK  5
#define VIRT  6
#define VIRTH 7
#define X_OFF 8
#define Y_OFF 9
#define MEM   10

static void *host;

/* A VM with a PCI host bridge and the display in its first slot, both BARs answering. */
static bool pci_open(const char *keys)
{
	static char defs[128];
	int err;

	if (!pci_bench_open())
		return false;
	host = bench.dev;
	snprintf(defs, sizeof(defs), "slot = %u\n%s", VGA_SLOT, keys);
	bench.vm->ndevices = 1;
	bench.cls = &v3_device_vga;
	err = fake_device_create(bench.vm, &v3_device_vga, defs, &bench.dev);
	bench.vm->ndevices = 0;
	if (!CHECK_EQ(err, V3_OK))
		return false;
	bench_reset();
	cfg_write(VGA_SLOT, 0x10, 4, FB);
	cfg_write(VGA_SLOT, 0x18, 4, MMIO);
	cfg_write(VGA_SLOT, 0x04, 2, 3);
	return true;
}

static void fb_write(uint32_t off, unsigned size, uint64_t value)
{
	CHECK_EQ(fake_mmio_write(bench.vm, FB + off, size, value), V3_OK);
}

static void test_vga_dispi_registers(void)
{
	static const struct {
		uint16_t index, value, reads;
	} cases[] = {
		{XRES, 800, 800},
		{XRES, 0, 800},
		{XRES, V3_DISPLAY_WIDTH + 1, 800},
		{YRES, 600, 600},
		{YRES, 0, 600},
		{YRES, V3_DISPLAY_HEIGHT + 1, 600},
		{BPP, 24, 24},
		{BPP, 0, 24},
		{BPP, 33, 24},
		{BPP, 5, 24},
		{BANK, 15, 15},
		{BANK, 16, 15}, /* of 1 MiB */
		{BANK, 0xffff, 15},
		{X_OFF, 0xffff, 0xffff},
		{VIRT, 1024, 1024},
		{VIRTH, 7, 341}, /* 1 MiB / (1024 * 3) */
		{MEM, 0, 16},
		{11, 1, 0},
		{0xffff, 1, 0},
	};

	REQUIRE(bench_open(&v3_device_vga, "memory = \"1M\""));
	bench_reset();
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		vga_dispi(cases[i].index, cases[i].value);
		CHECK_MSG(vga_dispi_read(cases[i].index) == cases[i].reads, "case %u: %u", i,
			  vga_dispi_read(cases[i].index));
	}
}

static void test_vga_dispi_switches_on_and_off(void)
{
	REQUIRE(bench_open(&v3_device_vga, "memory = \"1M\""));
	bench_reset();
	CHECK(vga_size_is(720, 400));
	vga_dispi(BANK, 3);
	vga_dispi(X_OFF, 3);
	vga_dispi(VIRT, 3);
	vga_dispi_mode(320, 240, 16, 0);
	CHECK(vga_size_is(320, 240));
	CHECK_EQ(vga_dispi_read(BANK), 0);
	CHECK_EQ(vga_dispi_read(X_OFF), 0);
	CHECK_EQ(vga_dispi_read(VIRT), 320);
	vga_dispi(XRES, 400); /* not while it is on */
	vga_dispi(YRES, 400);
	vga_dispi(BPP, 8);
	CHECK(vga_size_is(320, 240));
	CHECK_EQ(vga_dispi_read(BPP), 16);
	vga_dispi(ON, 0x43); /* what is possible */
	CHECK_EQ(vga_dispi_read(XRES), V3_DISPLAY_WIDTH);
	CHECK_EQ(vga_dispi_read(YRES), V3_DISPLAY_HEIGHT);
	CHECK_EQ(vga_dispi_read(BPP), 32);
	vga_dispi(ON, 0);
	CHECK(vga_size_is(720, 400));
}

static void test_vga_dispi_banks(void)
{
	REQUIRE(bench_open(&v3_device_vga, "memory = \"512K\""));
	bench_reset();
	vga_dispi_mode(640, 480, 8, 0);
	for (uint16_t bank = 0; bank < 8; bank++) {
		vga_dispi(BANK, bank);
		CHECK_EQ(fake_mmio_write(bench.vm, 0xafffc, 4, 0x01010101u * bank), V3_OK);
	}
	vga_dispi(BANK, 3);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xafffc, 4), 0x03030303);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xb0000, 1), 0xff);
	out8(0x3c8, 3);
	out8(0x3c9, 63);
	CHECK_EQ(vga_pixel((0x3ffff % 640), 0x3ffff / 640), 0xff0000);
}

static void test_vga_dispi_clears_or_keeps(void)
{
	REQUIRE(pci_open("memory = \"1M\""));
	vga_dispi_mode(64, 64, 32, 0);
	fb_write(0, 4, 0x123456);
	fb_write(64 * 64 * 4, 4, 0x123456);
	vga_dispi_mode(64, 64, 32, 0x80);
	CHECK_EQ(vga_pixel(0, 0), 0x123456);
	vga_dispi_mode(64, 64, 32, 0);
	CHECK_EQ(vga_pixel(0, 0), 0);
	CHECK_EQ(fake_mmio_read(bench.vm, FB + 64 * 64 * 4, 4), 0x123456); /* not on the screen */
}

static void test_vga_dispi_depths(void)
{
	static const struct {
		uint16_t bpp;
		uint8_t size;
		uint32_t value, pixel;
	} cases[] = {
		{15, 2, 0x7c1f, 0xff00ff}, {15, 2, 0x0200, 0x008400},	{16, 2, 0xf81f, 0xff00ff},
		{16, 2, 0x0400, 0x008200}, {24, 3, 0xabcdef, 0xabcdef}, {32, 4, 0xabcdef, 0xabcdef},
	};

	REQUIRE(pci_open("memory = \"1M\""));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		uint32_t off = (100 * 320 + 7) * cases[i].size;

		vga_dispi_mode(320, 200, cases[i].bpp, 0);
		for (unsigned k = 0; k < cases[i].size; k++)
			fb_write(off + k, 1, cases[i].value >> (8 * k) & 0xff);
		CHECK_MSG(vga_pixel(7, 100) == cases[i].pixel, "case %u: %#x", i,
			  vga_pixel(7, 100));
		CHECK_EQ(vga_pixel(6, 100), 0);
		CHECK_EQ(vga_pixel(8, 100), 0);
	}
}

static void test_vga_dispi_palette_of_8_bits(void)
{
	REQUIRE(pci_open("memory = \"1M\""));
	vga_color(9, 0x3f, 0x20, 0x01);
	vga_dispi_mode(320, 200, 8, 0);
	fb_write(5, 1, 9);
	CHECK_EQ(vga_pixel(5, 0), 0xff8204);
	vga_dispi(ON, 0x61);
	CHECK_EQ(vga_pixel(5, 0), 0xfc8004); /* the same entries, converted */
	vga_color(9, 0xff, 0x81, 0x01);
	CHECK_EQ(vga_pixel(5, 0), 0xff8101);
	vga_dispi(ON, 0x41);
	CHECK_EQ(vga_pixel(5, 0), 0xff8200);
}

static void test_vga_dispi_planar(void)
{
	REQUIRE(pci_open("memory = \"1M\""));
	vga_dispi_mode(1024, 768, 4, 0);
	vga_index(0x3ce, 6, 0x05);
	vga_index(0x3ce, 5, 0x00);
	vga_color(5, 63, 0, 0);
	vga_attr(0x12, 0x0f);
	vga_attr(5, 5);
	vga_index(0x3c4, 2, 0x05);
	vga_dispi(BANK, 1);
	fake_mmio_write(bench.vm, 0xa0000 + 767 * 128 + 127 - 0x10000, 1, 0x01);
	CHECK_EQ(vga_pixel(1023, 767), 0xff0000);
	CHECK_EQ(vga_pixel(1022, 767), 0);
	vga_index(0x3ce, 4, 2);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xa0000 + 767 * 128 + 127 - 0x10000, 1), 0x01);
	CHECK_EQ(fake_mmio_read(bench.vm, FB + 4 * (767 * 128 + 127), 4), 0x00010001);
	vga_dispi(BANK, 15); /* planes have 256 KiB */
	CHECK_EQ(fake_mmio_read(bench.vm, 0xa0000, 1), 0xff);
	fake_mmio_write(bench.vm, 0xa0000, 4, 0x55555555);
}

static void test_vga_dispi_virtual_screen(void)
{
	REQUIRE(pci_open("memory = \"1M\""));
	vga_dispi_mode(64, 64, 32, 0);
	vga_dispi(VIRT, 100);
	CHECK_EQ(vga_dispi_read(VIRTH), 0x100000 / 400);
	fb_write((10 * 100 + 30) * 4, 4, 0xffffff);
	CHECK_EQ(vga_pixel(30, 10), 0xffffff);
	vga_dispi(X_OFF, 29);
	vga_dispi(Y_OFF, 9);
	CHECK_EQ(vga_pixel(1, 1), 0xffffff);
	vga_dispi(VIRT, 1); /* less than what is seen: as if not written */
	CHECK_EQ(vga_dispi_read(VIRTH), 0x100000 / 256);
	vga_dispi(Y_OFF, 0xffff); /* beyond the memory */
	CHECK_EQ(vga_pixel(0, 0), 0);
}

static void test_vga_dispi_larger_than_memory(void)
{
	REQUIRE(pci_open("memory = \"256K\""));
	vga_dispi_mode(V3_DISPLAY_WIDTH, V3_DISPLAY_HEIGHT, 32, 0);
	CHECK(vga_size_is(V3_DISPLAY_WIDTH, V3_DISPLAY_HEIGHT));
	fb_write(0x3fffc, 4, 0x00ff00);
	CHECK_EQ(vga_pixel(V3_DISPLAY_WIDTH - 1, 15), 0x00ff00);
	CHECK_EQ(vga_pixel(0, 16), 0);
	CHECK_EQ(vga_pixel(0, V3_DISPLAY_HEIGHT - 1), 0);
}

/* ---- PCI ---- */

static void test_vga_pci_function(void)
{
	REQUIRE(pci_open(""));
	CHECK_EQ(cfg_read(VGA_SLOT, 0x00, 4), 0x11111234);
	CHECK_EQ(cfg_read(VGA_SLOT, 0x08, 4) >> 8, 0x030000);
	cfg_write(VGA_SLOT, 0x10, 4, ~0u);
	CHECK_EQ(cfg_read(VGA_SLOT, 0x10, 4), 0xff000008); /* 16 MiB, prefetchable */
	cfg_write(VGA_SLOT, 0x18, 4, ~0u);
	CHECK_EQ(cfg_read(VGA_SLOT, 0x18, 4), 0xfffff000);
	CHECK_EQ(cfg_read(VGA_SLOT, 0x14, 4), 0);
	CHECK_EQ(vga_dispi_read(MEM), 256);
}

static void test_vga_pci_mmio(void)
{
	REQUIRE(pci_open(""));
	CHECK_EQ(fake_mmio_read(bench.vm, MMIO + 0x500, 2), 0xb0c0);
	CHECK_EQ(fake_mmio_read(bench.vm, MMIO + 0x514, 2), 256);
	CHECK_EQ(fake_mmio_read(bench.vm, MMIO + 0x501, 1), 0xb0);
	fake_mmio_write(bench.vm, MMIO + 0x502, 4, 400u << 16 | 600);
	CHECK_EQ(vga_dispi_read(XRES), 600);
	CHECK_EQ(vga_dispi_read(YRES), 400);
	fake_mmio_write(bench.vm, MMIO + 0x503, 2, 0x0101); /* not a register's address */
	fake_mmio_write(bench.vm, MMIO + 0x502, 1, 0x01);
	CHECK_EQ(vga_dispi_read(XRES), 600);
	fake_mmio_write(bench.vm, MMIO + 0x506, 2, 32);
	fake_mmio_write(bench.vm, MMIO + 0x508, 2, 0x41);
	CHECK(vga_size_is(600, 400));
	fake_mmio_write(bench.vm, MMIO + 0x404, 2, 0x0502); /* the map mask */
	CHECK_EQ(fake_mmio_read(bench.vm, MMIO + 0x405, 1), 0x05);
	out8(0x3c4, 2);
	CHECK_EQ(in8(0x3c5), 0x05);
	CHECK_EQ(fake_mmio_read(bench.vm, MMIO, 8), 0);
	CHECK_EQ(fake_mmio_read(bench.vm, MMIO + 0x600, 4), 0);
	CHECK_EQ(fake_mmio_read(bench.vm, MMIO + 0xff8, 8), 0);
	fake_mmio_write(bench.vm, MMIO + 0xff8, 8, ~0ull);
}

static void test_vga_pci_blanks_by_mmio(void)
{
	REQUIRE(pci_open(""));
	vga_dispi_mode(64, 64, 32, 0);
	fb_write(0, 4, 0xffffff);
	fake_mmio_read(bench.vm, MMIO + 0x41a, 1);
	fake_mmio_write(bench.vm, MMIO + 0x400, 1, 0);
	CHECK_EQ(vga_pixel(0, 0), 0);
	fake_mmio_read(bench.vm, MMIO + 0x41a, 1);
	fake_mmio_write(bench.vm, MMIO + 0x400, 1, 0x20);
	CHECK_EQ(vga_pixel(0, 0), 0xffffff);
}

/* What the window writes is in the frame buffer, and where the guest moves it. */
static void test_vga_pci_frame_buffer_moves(void)
{
	REQUIRE(pci_open(""));
	vga_dispi_mode(640, 480, 8, 0);
	fake_mmio_write(bench.vm, 0xa1234, 4, 0x11223344);
	CHECK_EQ(fake_mmio_read(bench.vm, FB + 0x1234, 4), 0x11223344);
	cfg_write(VGA_SLOT, 0x10, 4, FB + 0x3000000);
	CHECK_EQ(fake_mmio_read(bench.vm, FB + 0x1234, 4), 0xffffffff);
	CHECK_EQ(fake_mmio_read(bench.vm, FB + 0x3001234, 4), 0x11223344);
	bench_reset();
	CHECK_EQ(fake_mmio_read(bench.vm, FB + 0x3001234, 4), 0);
}

static uint8_t saved[0x60000];

static struct v3_save_buf save(void)
{
	struct v3_save_buf buf = {.data = saved, .size = sizeof(saved)};

	CHECK_EQ(v3_save_write(v3_device_vga.save, "vga", bench.dev, &buf), V3_OK);
	buf.size = buf.pos;
	buf.pos = 0;
	return buf;
}

/* The frame buffer is state; pages of zeros take no room. */
static void test_vga_dispi_saved(void)
{
	struct v3_save_buf buf;

	REQUIRE(pci_open("memory = \"1M\""));
	vga_dispi_mode(64, 64, 32, 0);
	vga_dispi(Y_OFF, 3);
	fb_write(64 * 4 * 3, 4, 0x123456);
	fb_write(0xffffc, 4, 0x654321);
	buf = save();
	CHECK(buf.size > 2 * V3_PAGE_SIZE && buf.size < 4 * V3_PAGE_SIZE);
	bench_reset();
	*v3_card_ptr(((struct vga *)bench.dev)->card, 0x80000) = 1;
	CHECK_EQ(v3_save_read(v3_device_vga.save, "vga", bench.dev, &buf), V3_OK);
	CHECK(vga_size_is(64, 64));
	CHECK_EQ(vga_pixel(0, 0), 0x123456);
	CHECK_EQ(fake_mmio_read(bench.vm, FB + 0xffffc, 4), 0x654321);
	CHECK_EQ(fake_mmio_read(bench.vm, FB + 0x80000, 4), 0);
}

static void test_vga_dispi_saved_refuses(void)
{
	static const struct {
		unsigned index;
		uint16_t value;
	} cases[] = {{0, 0xb0c6}, {XRES, 0}, {YRES, V3_DISPLAY_HEIGHT + 1}, {BPP, 7}, {BANK, 16}};
	struct vga *vga;

	REQUIRE(pci_open("memory = \"1M\""));
	vga = bench.dev;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		struct v3_save_buf buf;

		vga->dispi[cases[i].index] = cases[i].value;
		buf = save();
		bench_reset();
		CHECK_MSG(v3_save_read(v3_device_vga.save, "vga", vga, &buf) == V3_EINVAL,
			  "case %u", i);
		bench_reset();
	}
}

static void test_vga_pci_refuses(void)
{
	void *dev;

	bench.vm = fake_vm_bare(1, 16);
	REQUIRE(bench.vm);
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_vga, "slot = 3", &dev), V3_ENODEV);
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_vga, "bus = \"b\"", &dev), V3_ENODEV);
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_vga, "memory = \"3M\"", &dev), V3_EINVAL);
	CHECK(fake_log_contains("memory: expected a power of two"));
	CHECK(!bench.vm->mem.cards);
}

static int pci_create(void *arg)
{
	int err;

	bench.vm->ndevices = 1;
	err = v3_device_vga.create(bench.vm, arg, &bench.dev);
	bench.vm->ndevices = 0;
	return err;
}

static void pci_destroy(void *arg)
{
	(void)arg;
	v3_device_vga.destroy(bench.dev);
}

static void test_vga_pci_oom(void)
{
	const struct v3_cfg *cfg;

	REQUIRE(pci_bench_open());
	cfg = fake_cfg(&v3_device_vga, "memory = \"256K\"\nconsole = \"console\"");
	REQUIRE(cfg);
	CHECK(fake_host_oom_each_step(pci_create, pci_destroy, (void *)cfg) >= 64);
}

static const struct tap_test tests[] = {
	TAP(test_vga_dispi_registers),
	TAP(test_vga_dispi_switches_on_and_off),
	TAP(test_vga_dispi_banks),
	TAP(test_vga_dispi_clears_or_keeps),
	TAP(test_vga_dispi_depths),
	TAP(test_vga_dispi_palette_of_8_bits),
	TAP(test_vga_dispi_planar),
	TAP(test_vga_dispi_virtual_screen),
	TAP(test_vga_dispi_larger_than_memory),
	TAP(test_vga_pci_function),
	TAP(test_vga_pci_mmio),
	TAP(test_vga_pci_blanks_by_mmio),
	TAP(test_vga_pci_frame_buffer_moves),
	TAP(test_vga_dispi_saved),
	TAP(test_vga_dispi_saved_refuses),
	TAP(test_vga_pci_refuses),
	TAP(test_vga_pci_oom),
};
TAP_MAIN(tests)
