/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vga.c
 * The display: registers, video memory in text and planar modes, the text on the screen and its mirror.
 */
#include "device_bench.h"
#include "palacios/display.h"
#include "palacios/save.h"
#include "palacios/fw_cfg.h"

#define TEXT 0xb8000

static char screen[V3_DISPLAY_ROWS * (V3_DISPLAY_COLUMNS * 3 + 1) + 1];

static int text(size_t size)
{
	int n;

	bench.vm->device[0].cls = &v3_device_vga;
	bench.vm->device[0].state = bench.dev;
	bench.vm->ndevices = 1;
	n = v3_display_text(bench.vm, screen, size);
	bench.vm->ndevices = 0;
	return n;
}

static void put(unsigned row, unsigned column, const char *s)
{
	for (; *s; s++, column++)
		CHECK_EQ(fake_mmio_write(bench.vm, TEXT + 2 * (80 * row + column), 2,
					 0x0700 | (uint8_t)*s),
			 V3_OK);
}

static void index_write(uint16_t port, uint8_t index, uint8_t value)
{
	CHECK_EQ(fake_out(bench.vm, port, 2, (uint32_t)value << 8 | index), V3_OK);
}

static uint8_t index_read(uint16_t port, uint8_t index)
{
	out8(port, index);
	return in8(port + 1);
}

static void test_vga_begins_in_text_mode(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	CHECK_EQ(text(sizeof(screen)), 25);
	for (unsigned i = 0; i < 25; i++)
		CHECK_EQ(screen[i], '\n');
	CHECK_EQ(index_read(0x3d4, 0x01), 79);
	CHECK_EQ(in8(0x3cc), 0x67);
}

static void test_vga_text(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	put(0, 0, "Hello");
	put(1, 75, "right");
	put(24, 0, " x \x81\xc4\x01");
	CHECK(text(sizeof(screen)) > 0);
	CHECK(!memcmp(screen, "Hello\n", 6));
	CHECK(!memcmp(screen + 6 + 75, "right\n\n", 7));
	CHECK_STR(strstr(screen, " x "), " x \u00fc\u2500\n");
	CHECK_EQ(fake_mmio_read(bench.vm, TEXT, 8), 0x076c076c07650748);
	CHECK_EQ(fake_mmio_read(bench.vm, TEXT + 1, 1), 0x07);
}

static void test_vga_text_scrolled_by_start_address(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	put(3, 0, "third");
	index_write(0x3d4, 0x0d, 240);
	CHECK(text(sizeof(screen)) > 0);
	CHECK(!memcmp(screen, "third\n", 6));
	index_write(0x3d4, 0x0c, 0xff); /* wraps at the end of a plane */
	CHECK(text(sizeof(screen)) > 0);
}

static void test_vga_text_buffer_too_small(void)
{
	int n;

	REQUIRE(bench_open(&v3_device_vga, ""));
	put(2, 0, "\x81");
	n = text(sizeof(screen));
	CHECK_EQ(n, 27);
	CHECK_EQ(text((size_t)n + 1), n);
	for (int size = 0; size <= n; size++)
		CHECK_EQ(text((size_t)size), V3_E2BIG);
	CHECK_EQ(v3_display_text(bench.vm, screen, sizeof(screen)), V3_ENODEV);
}

static void test_vga_no_text_in_graphics(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	index_write(0x3ce, 6, 0x05);
	CHECK_EQ(text(sizeof(screen)), V3_ENOTSUP);
	index_write(0x3ce, 6, 0x0e);
	index_write(0x3d4, 0x11, 0x0e); /* unprotected */
	index_write(0x3d4, 0x01, 0xff); /* more columns than there can be */
	CHECK_EQ(text(sizeof(screen)), V3_ENOTSUP);
}

static void test_vga_registers(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	index_write(0x3c4, 2, 0x05);
	CHECK_EQ(index_read(0x3c4, 2), 0x05);
	index_write(0x3ce, 8, 0x3c);
	CHECK_EQ(index_read(0x3ce, 8), 0x3c);
	CHECK_EQ(index_read(0x3ce, 9), 0xff);
	CHECK_EQ(index_read(0x3c4, 7), 0xff);
	CHECK_EQ(index_read(0x3d4, 0x30), 0xff);
	out8(0x3c6, 0x0f);
	CHECK_EQ(in8(0x3c6), 0x0f);
	out8(0x3da, 3);
	CHECK_EQ(in8(0x3ca), 3);
}

static void test_vga_crtc_protection(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	index_write(0x3d4, 0x00, 0x11);
	CHECK_EQ(index_read(0x3d4, 0x00), 0x5f);
	index_write(0x3d4, 0x07, 0x00);
	CHECK_EQ(index_read(0x3d4, 0x07), 0x0f); /* only bit 4 */
	index_write(0x3d4, 0x11, 0x0e);
	index_write(0x3d4, 0x00, 0x11);
	CHECK_EQ(index_read(0x3d4, 0x00), 0x11);
}

static void test_vga_attribute_flip_flop(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	in8(0x3da);
	out8(0x3c0, 0x05); /* index, palette to the CPU */
	out8(0x3c0, 0x3a); /* data */
	CHECK_EQ(in8(0x3c1), 0x3a);
	out8(0x3c0, 0x25);
	out8(0x3c0, 0x11); /* the palette is the display's: not changed */
	CHECK_EQ(in8(0x3c1), 0x3a);
	CHECK_EQ(in8(0x3c0), 0x25);
	out8(0x3c0, 0x31);
	in8(0x3da);
	out8(0x3c0, 0x33); /* an index again */
	CHECK_EQ(in8(0x3c0), 0x33);
}

static void test_vga_palette(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	out8(0x3c8, 0xff);
	CHECK_EQ(in8(0x3c7), 0);
	for (uint8_t i = 1; i <= 6; i++)
		out8(0x3c9, (uint8_t)(i | 0xc0));
	out8(0x3c7, 0xff);
	CHECK_EQ(in8(0x3c7), 3);
	for (uint8_t i = 1; i <= 6; i++)
		CHECK_EQ(in8(0x3c9), i);
	CHECK_EQ(in8(0x3c8), 1); /* wrapped */
}

static void test_vga_color_and_mono_ports(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	CHECK_EQ(in8(0x3b5), 0xff);
	CHECK_EQ(fake_in(bench.vm, 0x3b4, 4), 0xffffffff);
	out8(0x3c2, 0x66);
	CHECK_EQ(index_read(0x3b4, 0x01), 79);
	CHECK_EQ(in8(0x3d5), 0xff);
	index_write(0x3d4, 0x0d, 80); /* nobody listens */
	CHECK_EQ(index_read(0x3b4, 0x0d), 0);
	CHECK(in8(0x3ba) != 0xff);
}

static void test_vga_retrace_comes_and_goes(void)
{
	unsigned on = 0, changes = 0;
	uint8_t last = 0;

	REQUIRE(bench_open(&v3_device_vga, ""));
	for (unsigned i = 0; i < 10000; i++) { /* 100 ms: 7 frames */
		uint8_t now = in8(0x3da) & 8;

		on += now != 0;
		changes += now != last;
		last = now;
		fake_clock_advance(10000);
	}
	CHECK(on > 500 && on < 2000);
	CHECK(changes >= 13 && changes <= 15);
}

static void planar(void)
{
	index_write(0x3c4, 4, 0x06); /* sequential */
	index_write(0x3c4, 2, 0x0f);
	index_write(0x3ce, 5, 0x00);
	index_write(0x3ce, 6, 0x05); /* 0xa0000, 64 KiB */
}

static uint8_t plane(unsigned n, uint32_t off)
{
	index_write(0x3ce, 4, (uint8_t)n);
	return (uint8_t)fake_mmio_read(bench.vm, 0xa0000 + off, 1);
}

static void poke(uint32_t off, uint8_t value)
{
	CHECK_EQ(fake_mmio_write(bench.vm, 0xa0000 + off, 1, value), V3_OK);
}

static void test_vga_windows(void)
{
	static const struct {
		uint8_t misc;
		uint32_t first, last;
	} cases[] = {{0x01, 0xa0000, 0xbffff},
		     {0x05, 0xa0000, 0xaffff},
		     {0x09, 0xb0000, 0xb7fff},
		     {0x0d, 0xb8000, 0xbffff}};

	REQUIRE(bench_open(&v3_device_vga, ""));
	planar();
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		index_write(0x3ce, 6, cases[i].misc);
		for (uint32_t gpa = 0xa0000; gpa < 0xc0000; gpa += 0x7ff) {
			bool there = gpa >= cases[i].first && gpa <= cases[i].last;

			fake_mmio_write(bench.vm, gpa, 1, 0x5a);
			CHECK_MSG(fake_mmio_read(bench.vm, gpa, 1) == (there ? 0x5a : 0xff),
				  "case %u, %#x", i, gpa);
		}
	}
}

static void test_vga_write_mode_0(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	planar();
	index_write(0x3c4, 2, 0x03);
	poke(5, 0xf0);
	CHECK_EQ(plane(0, 5), 0xf0);
	CHECK_EQ(plane(1, 5), 0xf0);
	CHECK_EQ(plane(2, 5), 0x00);
	index_write(0x3ce, 8, 0x0f); /* only the low half, the rest from the latches */
	poke(5, 0x33);
	CHECK_EQ(plane(0, 5), 0xf3);
	index_write(0x3ce, 8, 0xff);
	index_write(0x3ce, 0, 0x01); /* plane 0 is filled, plane 1 gets data */
	index_write(0x3ce, 1, 0x01);
	poke(6, 0x42);
	CHECK_EQ(plane(0, 6), 0xff);
	CHECK_EQ(plane(1, 6), 0x42);
	index_write(0x3ce, 1, 0x00);
	index_write(0x3ce, 3, 0x04); /* rotate by 4 */
	poke(7, 0x1e);
	CHECK_EQ(plane(0, 7), 0xe1);
}

static void test_vga_functions(void)
{
	static const struct {
		uint8_t function, result;
	} cases[] = {{0x08, 0x0c & 0x0a}, {0x10, 0x0c | 0x0a}, {0x18, 0x0c ^ 0x0a}};

	REQUIRE(bench_open(&v3_device_vga, ""));
	planar();
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		index_write(0x3ce, 3, 0);
		poke(0, 0x0c);
		plane(0, 0); /* loads the latches */
		index_write(0x3ce, 3, cases[i].function);
		poke(0, 0x0a);
		CHECK_EQ(plane(0, 0), cases[i].result);
	}
}

static void test_vga_write_modes_1_2_3(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	planar();
	index_write(0x3c4, 2, 0x01);
	poke(0, 0x11);
	index_write(0x3c4, 2, 0x02);
	poke(0, 0x22);
	index_write(0x3c4, 2, 0x0f);
	plane(0, 0);
	index_write(0x3ce, 5, 0x01); /* copies the latches */
	poke(9, 0);
	CHECK_EQ(plane(0, 9), 0x11);
	CHECK_EQ(plane(1, 9), 0x22);
	index_write(0x3ce, 5, 0x02); /* a bit per plane */
	poke(10, 0x05);
	CHECK_EQ(plane(0, 10), 0xff);
	CHECK_EQ(plane(1, 10), 0x00);
	CHECK_EQ(plane(2, 10), 0xff);
	index_write(0x3ce, 5, 0x03); /* data is a bit mask for the color */
	index_write(0x3ce, 0, 0x02);
	plane(0, 11);
	poke(11, 0x3c);
	CHECK_EQ(plane(0, 11), 0x00);
	CHECK_EQ(plane(1, 11), 0x3c);
}

static void test_vga_read_mode_1(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	planar();
	index_write(0x3ce, 5, 0x02);
	index_write(0x3ce, 8, 0xf0);
	plane(0, 0);
	poke(0, 0x05); /* color 5 in the left four pixels, 0 in the others */
	index_write(0x3ce, 5, 0x08);
	index_write(0x3ce, 7, 0x0f);
	index_write(0x3ce, 2, 0x05);
	CHECK_EQ(plane(0, 0), 0xf0);
	index_write(0x3ce, 2, 0x00);
	CHECK_EQ(plane(0, 0), 0x0f);
	index_write(0x3ce, 7, 0x02); /* plane 1 alone counts */
	CHECK_EQ(plane(0, 0), 0xff);
}

static void test_vga_chain_4(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	planar();
	index_write(0x3c4, 4, 0x0e);
	fake_mmio_write(bench.vm, 0xa0004, 4, 0x44332211);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xa0004, 4), 0x44332211);
	index_write(0x3c4, 4, 0x06);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(plane(i, 4), 0x11 * (i + 1));
}

static void test_vga_dispi(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	fake_out(bench.vm, 0x1ce, 2, 0);
	CHECK_EQ(fake_in(bench.vm, 0x1cf, 2), 0xb0c0);
	fake_out(bench.vm, 0x1cf, 2, 0xb0c5);
	CHECK_EQ(fake_in(bench.vm, 0x1cf, 2), 0xb0c5);
	fake_out(bench.vm, 0x1cf, 2, 0xb0c6);
	CHECK_EQ(fake_in(bench.vm, 0x1cf, 2), 0xb0c5);
	fake_out(bench.vm, 0x1ce, 2, 10);
	CHECK_EQ(fake_in(bench.vm, 0x1cf, 2), 4); /* 256 KiB */
	fake_out(bench.vm, 0x1ce, 2, 0x1234);
	fake_out(bench.vm, 0x1cf, 2, 1);
	CHECK_EQ(fake_in(bench.vm, 0x1cf, 2), 0);
	CHECK_EQ(fake_in(bench.vm, 0x1ce, 2), 0x1234);
}

static void test_vga_mirror(void)
{
	REQUIRE(bench_open(&v3_device_vga, "console = \"console\"\n"));
	bench_run(BENCH_S);
	CHECK_STR(fake_console_output("console"), "\x1b[H\x1b[2J");
	put(1, 0, "one");
	put(2, 2, "two");
	CHECK_STR(fake_console_output("console"), "\x1b[H\x1b[2J");
	bench_run(BENCH_S);
	CHECK_STR(fake_console_output("console"),
		  "\x1b[H\x1b[2J\x1b[2;1Hone\x1b[K\x1b[3;1H  two\x1b[K");
	CHECK_EQ(bench_next(), 0); /* a screen that stands still costs nothing */
	put(1, 0, "one");
	bench_run(BENCH_S);
	CHECK_STR(fake_console_output("console"),
		  "\x1b[H\x1b[2J\x1b[2;1Hone\x1b[K\x1b[3;1H  two\x1b[K");
}

/* Whoever loads a screen has a stream that has shown nothing of it. */
static void test_vga_mirror_begins_anew_after_load(void)
{
	static uint8_t image[0x50000];
	struct v3_save_buf buf = {.data = image, .size = sizeof(image)};

	REQUIRE(bench_open(&v3_device_vga, "console = \"console\"\n"));
	put(1, 0, "one");
	bench_run(BENCH_S);
	CHECK_STR(fake_console_output("console"), "\x1b[H\x1b[2J\x1b[2;1Hone\x1b[K");
	REQUIRE_EQ(v3_save_write(v3_device_vga.save, "vga", bench.dev, &buf), V3_OK);
	bench.cls->reset(bench.dev);
	buf = (struct v3_save_buf){.data = image, .size = sizeof(image)};
	REQUIRE_EQ(v3_save_read(v3_device_vga.save, "vga", bench.dev, &buf), V3_OK);
	bench_run(BENCH_S);
	CHECK_STR(fake_console_output("console"), "\x1b[H\x1b[2J\x1b[2;1Hone\x1b[K"
						  "\x1b[H\x1b[2J\x1b[2;1Hone\x1b[K");
}

static void test_vga_without_mirror(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	put(0, 0, "x");
	CHECK_EQ(bench_next(), 0);
}

static void test_vga_reset(void)
{
	REQUIRE(bench_open(&v3_device_vga, ""));
	put(0, 0, "x");
	bench_hostile(0x3c0, 16, 3000);
	bench_reset();
	CHECK_EQ(text(sizeof(screen)), 25);
	CHECK_EQ(in8(0x3cc), 0x67);
}

static void test_vga_takes_the_window(void)
{
	bench_ports_released(&v3_device_vga, "", 0x3c0);
	CHECK_EQ(v3_mmio_register(bench.vm, 0xa0000, 0x20000, NULL, NULL), V3_EINVAL);
	fake_device_destroy(bench.vm, bench.dev);
	CHECK_EQ(fake_mmio_read(bench.vm, 0xa0000, 4), 0); /* RAM, in this VM */
}

static void test_vga_ports_taken(void)
{
	static const uint16_t ports[] = {0x3c5, 0x3d4, 0x3da, 0x3b5, 0x3ba, 0x1ce};
	void *dev;

	bench.vm = fake_vm_bare(1, 16);
	REQUIRE(bench.vm);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(ports); i++) {
		CHECK_EQ(v3_io_register(bench.vm, ports[i], 1, NULL, NULL), V3_OK);
		CHECK_EQ(fake_device_create(bench.vm, &v3_device_vga, "", &dev), V3_EEXIST);
		v3_io_unregister(bench.vm, ports[i]);
	}
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_vga, "", &dev), V3_OK);
}

static void test_vga_oom(void)
{
	bench_oom(&v3_device_vga, "console = \"console\"\n", 5);
}

static void test_vga_hostile(void)
{
	REQUIRE(bench_open(&v3_device_vga, "console = \"console\"\n"));
	for (unsigned i = 0; i < 300; i++) {
		bench_hostile(0x3c0, 16, 100);
		bench_hostile(0x3d4, 2, 100);
		bench_hostile(0x1ce, 2, 10);
		for (unsigned k = 0; k < 50; k++) {
			fake_mmio_write(bench.vm, 0xa0000 + (tap_rand() & 0x1fff8), 8, tap_rand());
			fake_mmio_read(bench.vm, 0xa0000 + (tap_rand() & 0x1fff8), 8);
		}
		text(tap_rand() % sizeof(screen));
		bench_run(BENCH_S / 10);
	}
}

static const struct tap_test tests[] = {
	TAP(test_vga_begins_in_text_mode),
	TAP(test_vga_text),
	TAP(test_vga_text_scrolled_by_start_address),
	TAP(test_vga_text_buffer_too_small),
	TAP(test_vga_no_text_in_graphics),
	TAP(test_vga_registers),
	TAP(test_vga_crtc_protection),
	TAP(test_vga_attribute_flip_flop),
	TAP(test_vga_palette),
	TAP(test_vga_color_and_mono_ports),
	TAP(test_vga_retrace_comes_and_goes),
	TAP(test_vga_windows),
	TAP(test_vga_write_mode_0),
	TAP(test_vga_functions),
	TAP(test_vga_write_modes_1_2_3),
	TAP(test_vga_read_mode_1),
	TAP(test_vga_chain_4),
	TAP(test_vga_dispi),
	TAP(test_vga_mirror),
	TAP(test_vga_mirror_begins_anew_after_load),
	TAP(test_vga_without_mirror),
	TAP(test_vga_reset),
	TAP(test_vga_takes_the_window),
	TAP(test_vga_ports_taken),
	TAP(test_vga_oom),
	TAP(test_vga_hostile),
};
TAP_MAIN(tests)
