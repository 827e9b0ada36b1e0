/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vga_image.c
 * The pixels on the screen in every kind of mode. The values of registers are those of the standard modes in IBM's PS/2
 * Hardware Interface Technical Reference, "Video Subsystem".
 */
#include "vga_rig.h"

/* What differs between standard modes. */
struct mode {
	uint8_t misc, seq1, seq4, gr5, gr6;
	uint8_t crtc1, crtc7, crtc9, crtc12, crtc13, crtc14, crtc17;
	uint8_t attr10, planes;
};

static const struct mode mode_3 = {0x67, 0x00, 0x02, 0x10, 0x0e, 0x4f, 0x1f,
				   0x4f, 0x8f, 0x28, 0x1f, 0xa3, 0x0c, 0x0f};
static const struct mode mode_4 = {0x63, 0x09, 0x02, 0x30, 0x0f, 0x27, 0x1f,
				   0xc1, 0x8f, 0x14, 0x00, 0xa2, 0x01, 0x03};
static const struct mode mode_6 = {0x63, 0x01, 0x06, 0x00, 0x0d, 0x4f, 0x1f,
				   0xc1, 0x8f, 0x28, 0x00, 0xc2, 0x01, 0x01};
static const struct mode mode_d = {0x63, 0x09, 0x06, 0x00, 0x05, 0x27, 0x1f,
				   0xc0, 0x8f, 0x14, 0x00, 0xe3, 0x01, 0x0f};
static const struct mode mode_12 = {0xe3, 0x01, 0x06, 0x00, 0x05, 0x4f, 0x3e,
				    0x40, 0xdf, 0x28, 0x00, 0xe3, 0x01, 0x0f};
static const struct mode mode_13 = {0x63, 0x01, 0x0e, 0x40, 0x05, 0x4f, 0x1f,
				    0x41, 0x8f, 0x28, 0x40, 0xa3, 0x41, 0x0f};
/* Mode 13h as games change it: unchained, each byte of the planes a pixel. */
static const struct mode mode_x = {0x63, 0x01, 0x06, 0x40, 0x05, 0x4f, 0x1f,
				   0x41, 0x8f, 0x28, 0x00, 0xe3, 0x41, 0x0f};

static bool mode_set(const struct mode *m)
{
	if (!bench_open(&v3_device_vga, "memory = \"256K\""))
		return false;
	out8(0x3c2, m->misc);
	vga_index(0x3c4, 1, m->seq1);
	vga_index(0x3c4, 2, 0x0f);
	vga_index(0x3c4, 4, m->seq4);
	vga_index(0x3ce, 5, m->gr5);
	vga_index(0x3ce, 6, m->gr6);
	vga_index(0x3d4, 0x11, 0x0e); /* unprotected */
	vga_index(0x3d4, 0x01, m->crtc1);
	vga_index(0x3d4, 0x07, m->crtc7);
	vga_index(0x3d4, 0x09, m->crtc9);
	vga_index(0x3d4, 0x12, m->crtc12);
	vga_index(0x3d4, 0x13, m->crtc13);
	vga_index(0x3d4, 0x14, m->crtc14);
	vga_index(0x3d4, 0x17, m->crtc17);
	vga_attr(0x10, m->attr10);
	vga_attr(0x12, m->planes);
	for (uint8_t i = 0; i < 16; i++)
		vga_attr(i, i);
	for (unsigned i = 0; i < 64; i++) /* color n: red n, green 63 - n, blue 0 */
		vga_color((uint8_t)i, (uint8_t)i, (uint8_t)(63 - i), 0);
	return true;
}

/* The color n of mode_set(). */
static uint32_t color(unsigned n)
{
	unsigned green = 63 - n;

	return (n << 2 | n >> 4) << 16 | (green << 2 | green >> 4) << 8;
}

static void poke(uint32_t gpa, uint8_t value)
{
	CHECK_EQ(fake_mmio_write(bench.vm, gpa, 1, value), V3_OK);
}

/* ---- text ---- */

/* A font of one character: 'A' has the dots of its line number, 0xc4 all of them. */
static void load_font(uint8_t where)
{
	static const uint16_t bases[8] = {0,	  0x4000, 0x8000, 0xc000,
					  0x2000, 0x6000, 0xa000, 0xe000};

	vga_index(0x3c4, 2, 0x04);
	vga_index(0x3c4, 4, 0x06);
	vga_index(0x3ce, 5, 0x00);
	vga_index(0x3ce, 6, 0x04);
	for (unsigned line = 0; line < 16; line++) {
		poke(0xa0000u + bases[where] + 'A' * 32 + line, (uint8_t)(0x80 | line));
		poke(0xa0000u + bases[where] + 0xc4 * 32 + line, 0xff);
	}
	vga_index(0x3c4, 2, 0x03);
	vga_index(0x3c4, 4, 0x02);
	vga_index(0x3ce, 5, 0x10);
	vga_index(0x3ce, 6, 0x0e);
}

static void put(unsigned row, unsigned column, uint8_t c, uint8_t attr)
{
	fake_mmio_write(bench.vm, 0xb8000 + 2 * (80 * row + column), 2, (uint64_t)attr << 8 | c);
}

static void test_vga_image_text(void)
{
	REQUIRE(mode_set(&mode_3));
	load_font(0);
	CHECK(vga_size_is(720, 400));
	put(2, 3, 'A', 0x1e);
	vga_index(0x3d4, 0x0a, 0x20); /* no cursor */
	for (unsigned line = 0; line < 16; line++) {
		for (unsigned dot = 0; dot < 9; dot++) {
			bool lit = (0x100 | line << 1) >> (8 - dot) & 1;

			CHECK_MSG(vga_pixel(27 + dot, 32 + line) == color(lit ? 14 : 1), "%u,%u",
				  dot, line);
		}
	}
	CHECK_EQ(vga_pixel(26, 32), color(0));
	vga_index(0x3c4, 1, 0x01); /* 8 dots */
	CHECK(vga_size_is(640, 400));
	CHECK_EQ(vga_pixel(24, 32), color(14));
	CHECK_EQ(vga_pixel(25, 32), color(1));
}

static void test_vga_image_ninth_dot(void)
{
	REQUIRE(mode_set(&mode_3));
	load_font(0);
	put(0, 0, 0xc4, 0x07);
	CHECK_EQ(vga_pixel(7, 0), color(7));
	CHECK_EQ(vga_pixel(8, 0), color(7));
	vga_attr(0x10, 0x08);
	CHECK_EQ(vga_pixel(8, 0), color(0));
}

static void test_vga_image_blink_or_bright(void)
{
	REQUIRE(mode_set(&mode_3));
	put(0, 0, ' ', 0xc7);
	CHECK_EQ(vga_pixel(0, 0), color(4));
	vga_attr(0x10, 0x04);
	CHECK_EQ(vga_pixel(0, 0), color(12));
}

static void test_vga_image_cursor(void)
{
	REQUIRE(mode_set(&mode_3));
	put(1, 1, ' ', 0x07);
	vga_index(0x3d4, 0x0a, 13);
	vga_index(0x3d4, 0x0b, 14);
	vga_index(0x3d4, 0x0f, 81);
	CHECK_EQ(vga_pixel(9, 16 + 12), color(0));
	CHECK_EQ(vga_pixel(9, 16 + 13), color(7));
	CHECK_EQ(vga_pixel(17, 16 + 14), color(7));
	CHECK_EQ(vga_pixel(18, 16 + 14), color(0));
	CHECK_EQ(vga_pixel(9, 16 + 15), color(0));
	vga_index(0x3d4, 0x0a, 0x20 | 13);
	CHECK_EQ(vga_pixel(9, 16 + 13), color(0));
}

static void test_vga_image_fonts(void)
{
	static const struct {
		uint8_t where, attr, fonts;
	} cases[] = {{1, 0x07, 0x01}, {7, 0x07, 0x13}, {3, 0x0f, 0x0c}, {4, 0x0f, 0x20}};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		REQUIRE(mode_set(&mode_3));
		load_font(cases[i].where);
		put(0, 0, 'A', cases[i].attr);
		CHECK_EQ(vga_pixel(0, 5), color(0));
		vga_index(0x3c4, 3, cases[i].fonts);
		CHECK_MSG(vga_pixel(0, 5) == color(cases[i].attr & 15), "case %u", i);
		fake_device_destroy(bench.vm, bench.dev);
		fake_vm_destroy(bench.vm);
	}
}

static void test_vga_image_scrolled_and_split(void)
{
	REQUIRE(mode_set(&mode_3));
	put(0, 0, ' ', 0x10);
	put(5, 0, ' ', 0x50);
	vga_index(0x3d4, 0x0d, 0x90);
	vga_index(0x3d4, 0x0c, 0x01); /* the fifth row first */
	CHECK_EQ(vga_pixel(0, 0), color(5));
	vga_index(0x3d4, 0x18, 199);
	vga_index(0x3d4, 0x07, 0x0f);
	vga_index(0x3d4, 0x09, 0x0f);
	CHECK_EQ(vga_pixel(0, 199), color(0));
	CHECK_EQ(vga_pixel(0, 200), color(1));
	CHECK_EQ(vga_pixel(0, 15), color(5));
}

/* ---- graphics ---- */

static void test_vga_image_cga_4_colors(void)
{
	REQUIRE(mode_set(&mode_4));
	CHECK(vga_size_is(320, 200));
	poke(0xb8000, 0x1b); /* colors 0 1 2 3 */
	poke(0xb8001, 0xe4); /* 3 2 1 0 */
	poke(0xba000 + 79, 0x03);
	poke(0xb8000 + 80, 0x80);
	for (unsigned x = 0; x < 4; x++) {
		CHECK_EQ(vga_pixel(x, 0), color(x));
		CHECK_EQ(vga_pixel(4 + x, 0), color(3 - x));
	}
	CHECK_EQ(vga_pixel(319, 1), color(3));
	CHECK_EQ(vga_pixel(318, 1), color(0));
	CHECK_EQ(vga_pixel(0, 2), color(2));
}

static void test_vga_image_cga_2_colors(void)
{
	REQUIRE(mode_set(&mode_6));
	vga_index(0x3c4, 2, 0x01);
	CHECK(vga_size_is(640, 200));
	poke(0xb8000, 0x81);
	poke(0xba000, 0x40);
	CHECK_EQ(vga_pixel(0, 0), color(1));
	CHECK_EQ(vga_pixel(1, 0), color(0));
	CHECK_EQ(vga_pixel(7, 0), color(1));
	CHECK_EQ(vga_pixel(1, 1), color(1));
}

static void paint_planar(uint32_t off, uint8_t bits, unsigned n)
{
	for (unsigned plane = 0; plane < 4; plane++) {
		vga_index(0x3c4, 2, (uint8_t)(1u << plane));
		poke(0xa0000 + off, n >> plane & 1 ? bits : 0);
	}
}

static void test_vga_image_16_colors(void)
{
	REQUIRE(mode_set(&mode_12));
	CHECK(vga_size_is(640, 480));
	paint_planar(80 * 479 + 79, 0x01, 13);
	CHECK_EQ(vga_pixel(639, 479), color(13));
	CHECK_EQ(vga_pixel(638, 479), color(0));
	vga_attr(13, 0x2a);
	CHECK_EQ(vga_pixel(639, 479), color(42));
	vga_attr(0x10, 0x81); /* two bits from the color select register */
	vga_attr(0x14, 0x01);
	CHECK_EQ(vga_pixel(639, 479), color(0x1a));
	vga_attr(0x10, 0x01);
	vga_attr(0x12, 0x05); /* planes 0 and 2 only */
	vga_attr(5, 5);
	vga_attr(0x14, 0x00);
	CHECK_EQ(vga_pixel(639, 479), color(5));
	out8(0x3c6, 0x04); /* the DAC's mask */
	CHECK_EQ(vga_pixel(639, 479), color(4));
}

static void test_vga_image_low_resolution(void)
{
	REQUIRE(mode_set(&mode_d));
	CHECK(vga_size_is(320, 200));
	paint_planar(40 * 199 + 39, 0x01, 9);
	CHECK_EQ(vga_pixel(319, 199), color(9));
}

static void test_vga_image_256_colors(void)
{
	REQUIRE(mode_set(&mode_13));
	CHECK(vga_size_is(320, 200));
	for (unsigned x = 0; x < 320; x++)
		poke(0xa0000 + 320 * 199 + x, (uint8_t)(x & 63));
	for (unsigned x = 0; x < 320; x += 7)
		CHECK_EQ(vga_pixel(x, 199), color(x & 63));
	CHECK_EQ(vga_pixel(0, 198), color(0));
	vga_color(63, 63, 63, 63);
	CHECK_EQ(vga_pixel(63, 199), 0xffffff);
}

static void test_vga_image_unchained(void)
{
	REQUIRE(mode_set(&mode_x));
	CHECK(vga_size_is(320, 200));
	vga_index(0x3c4, 2, 0x04); /* plane 2: pixels 2, 6 ... */
	poke(0xa0000 + 80 * 3 + 5, 33);
	CHECK_EQ(vga_pixel(22, 3), color(33));
	CHECK_EQ(vga_pixel(21, 3), color(0));
	vga_index(0x3d4, 0x0d, 80); /* a row further */
	CHECK_EQ(vga_pixel(22, 2), color(33));
}

static void test_vga_image_switched_off(void)
{
	REQUIRE(mode_set(&mode_13));
	poke(0xa0000, 5);
	CHECK_EQ(vga_pixel(0, 0), color(5));
	in8(0x3da);
	out8(0x3c0, 0);
	CHECK_EQ(vga_pixel(0, 0), 0);
	out8(0x3c0, 0);
	out8(0x3c0, 0x20);
	CHECK_EQ(vga_pixel(0, 0), color(5));
	vga_index(0x3c4, 1, 0x21);
	CHECK_EQ(vga_pixel(0, 0), 0);
}

/* ---- the call ---- */

static void test_vga_image_rows(void)
{
	static uint8_t rgb[3 * 320 * 200 + 1];
	struct v3_display_size size;

	REQUIRE(mode_set(&mode_13));
	poke(0xa0000 + 320 * 2, 7);
	CHECK_EQ(vga_image(&size, 0, 0, NULL), V3_OK);
	memset(rgb, 0xa5, sizeof(rgb));
	CHECK_EQ(vga_image(&size, 1, 199, rgb), V3_OK);
	CHECK_EQ(rgb[3 * 320], color(7) >> 16);
	CHECK_EQ(rgb[3 * 320 * 199], 0xa5);
	CHECK_EQ(vga_image(&size, 0, 201, rgb), V3_EINVAL);
	CHECK_EQ(vga_image(&size, 200, 1, rgb), V3_EINVAL);
	CHECK_EQ(vga_image(&size, 1, ~0u, rgb), V3_EINVAL);
	vga_index(0x3d4, 0x01, 0x27);
	CHECK_EQ(vga_image(&size, 0, 1, rgb), V3_EAGAIN);
	CHECK_EQ(v3_display_image(bench.vm, &size, 0, 0, NULL), V3_ENODEV);
}

/* Any registers and any memory give some picture. */
static void test_vga_image_hostile(void)
{
	static uint8_t row[3 * V3_DISPLAY_WIDTH];
	struct v3_display_size size;

	REQUIRE(bench_open(&v3_device_vga, "memory = \"1M\""));
	for (unsigned i = 0; i < 3000 && !tap.failures; i++) {
		out8(0x3c2, 0x67);
		bench_hostile(0x3c0, 16, 20);
		bench_hostile(0x3d4, 2, 20);
		bench_hostile(0x1ce, 2, 20);
		if (!(i & 15)) {
			vga_index(0x3d4, 0x11, 0);
			vga_dispi_mode((uint16_t)tap_rand(), (uint16_t)tap_rand(),
				       (uint16_t)(tap_rand() & 63), 0x80);
			vga_dispi(6 + (tap_rand() & 3), (uint16_t)tap_rand());
		}
		fake_mmio_write(bench.vm, 0xa0000 + (tap_rand() & 0x1fff8), 8, tap_rand());
		CHECK_EQ(vga_image(&size, 0, 0, NULL), V3_OK);
		CHECK(size.width > 0 && size.width <= V3_DISPLAY_WIDTH);
		CHECK(size.height > 0 && size.height <= V3_DISPLAY_HEIGHT);
		CHECK_EQ(vga_image(&size, (uint32_t)tap_rand() % size.height, 1, row), V3_OK);
		CHECK_EQ(vga_image(&size, size.height - 1, 1, row), V3_OK);
	}
}

static const struct tap_test tests[] = {
	TAP(test_vga_image_text),
	TAP(test_vga_image_ninth_dot),
	TAP(test_vga_image_blink_or_bright),
	TAP(test_vga_image_cursor),
	TAP(test_vga_image_fonts),
	TAP(test_vga_image_scrolled_and_split),
	TAP(test_vga_image_cga_4_colors),
	TAP(test_vga_image_cga_2_colors),
	TAP(test_vga_image_16_colors),
	TAP(test_vga_image_low_resolution),
	TAP(test_vga_image_256_colors),
	TAP(test_vga_image_unchained),
	TAP(test_vga_image_switched_off),
	TAP(test_vga_image_rows),
	TAP(test_vga_image_hostile),
};
TAP_MAIN(tests)
