/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga_rig.h
 * A display as a guest programs it, and the pixels that it shows. Around pci_bench.h.
 */
#ifndef TESTS_VGA_RIG_H
#define TESTS_VGA_RIG_H

#include "palacios/display.h"
#include "pci_bench.h"

#define VGA_SLOT 1

static inline void vga_index(uint16_t port, uint8_t index, uint8_t value)
{
	CHECK_EQ(fake_out(bench.vm, port, 2, (uint32_t)value << 8 | index), V3_OK);
}

static inline void vga_attr(uint8_t index, uint8_t value)
{
	in8(0x3da);
	out8(0x3c0, index);
	out8(0x3c0, value);
	out8(0x3c0, 0x20);
}

static inline void vga_color(uint8_t n, uint8_t red, uint8_t green, uint8_t blue)
{
	out8(0x3c8, n);
	out8(0x3c9, red);
	out8(0x3c9, green);
	out8(0x3c9, blue);
}

static inline void vga_dispi(uint16_t index, uint16_t value)
{
	fake_out(bench.vm, 0x1ce, 2, index);
	fake_out(bench.vm, 0x1cf, 2, value);
}

static inline uint32_t vga_dispi_read(uint16_t index)
{
	fake_out(bench.vm, 0x1ce, 2, index);
	return fake_in(bench.vm, 0x1cf, 2);
}

static inline void vga_dispi_mode(uint16_t width, uint16_t height, uint16_t bpp, uint16_t flags)
{
	vga_dispi(4, 0);
	vga_dispi(1, width);
	vga_dispi(2, height);
	vga_dispi(3, bpp);
	vga_dispi(4, 0x41 | flags);
}

/* With the display as the only device of the VM, so that it is found. */
static inline int vga_image(struct v3_display_size *size, uint32_t first, uint32_t rows,
			    uint8_t *rgb)
{
	int err;

	bench.vm->device[0].cls = &v3_device_vga;
	bench.vm->device[0].state = bench.dev;
	bench.vm->ndevices = 1;
	err = v3_display_image(bench.vm, size, first, rows, rgb);
	bench.vm->ndevices = 0;
	return err;
}

/* A pixel as 0xrrggbb; ~0: there is none. */
static inline uint32_t vga_pixel(uint32_t x, uint32_t y)
{
	static uint8_t row[3 * V3_DISPLAY_WIDTH];
	struct v3_display_size size;

	if (!CHECK_EQ(vga_image(&size, 0, 0, NULL), V3_OK) || x >= size.width ||
	    vga_image(&size, y, 1, row) != V3_OK)
		return ~0u;
	return (uint32_t)row[3 * x] << 16 | (uint32_t)row[3 * x + 1] << 8 | row[3 * x + 2];
}

static inline bool vga_size_is(uint32_t width, uint32_t height)
{
	struct v3_display_size size = {0};

	return CHECK_EQ(vga_image(&size, 0, 0, NULL), V3_OK) && CHECK_EQ(size.width, width) &&
	       CHECK_EQ(size.height, height);
}

#endif
