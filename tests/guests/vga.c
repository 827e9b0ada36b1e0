/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga.c
 * Draws on the display's frame buffer, which costs no exits, and moves it about. The host draws what it sees in the end
 * (option "screen"), with the checksum that is worked out here.
 *
 * Command line: "smp": a second vcpu draws while the first moves the frame buffer.
 */
#include "virtio.h"

#define FB     0xd0000000u
#define FB2    0xd8000000u
#define WIDTH  320u
#define HEIGHT 200u
#define MOVES  300

static uint32_t crc = ~0u;

static void dispi(uint16_t index, uint16_t value)
{
	outw(0x1ce, index);
	outw(0x1cf, value);
}

static unsigned find_display(void)
{
	unsigned slot;

	for (slot = 1; slot < 32 && gv_pci_read(slot, 0) != 0x11111234; slot++)
		;
	return slot;
}

static void crc_byte(uint8_t byte)
{
	crc ^= byte;
	for (unsigned bit = 0; bit < 8; bit++)
		crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
}

/* A picture that is different in each corner: a frame, two diagonals, shades. */
static uint32_t pixel(uint32_t x, uint32_t y)
{
	if (x < 16 || y < 16 || x >= WIDTH - 16 || y >= HEIGHT - 16)
		return 0xffffff;
	if (x * HEIGHT / WIDTH / 16 == y / 16)
		return 0xffff00;
	return (x & 0xff) << 16 | (y & 0xff) << 8;
}

static void draw(uint32_t base)
{
	volatile uint32_t *fb = (uint32_t *)(uintptr_t)base;

	for (uint32_t y = 0; y < HEIGHT; y++) {
		for (uint32_t x = 0; x < WIDTH; x++) {
			uint32_t p = pixel(x, y);

			fb[y * WIDTH + x] = p;
			crc_byte((uint8_t)(p >> 16));
			crc_byte((uint8_t)(p >> 8));
			crc_byte((uint8_t)p);
		}
	}
}

static uint32_t read32(uint32_t gpa)
{
	return *(volatile uint32_t *)(uintptr_t)gpa;
}

static void move(unsigned slot, uint32_t base)
{
	gv_pci_write(slot, 0x10, base);
}

/* What was drawn is where the frame buffer is, and nowhere else. */
static void check_moves(unsigned slot)
{
	move(slot, FB2);
	CHECK(read32(FB2) == 0xffffff && read32(FB2 + 4 * (100 * WIDTH + 20)) == pixel(20, 100));
	CHECK(read32(FB + 4 * (100 * WIDTH + 20)) == 0xffffffff);
	move(slot, 0x1000000); /* RAM */
	*(volatile uint32_t *)0x1000000 = 0x12345678;
	CHECK(read32(0x1000000) == 0x12345678);
	CHECK(read32(FB2) == 0xffffffff);
	move(slot, FB);
	CHECK(read32(FB) == 0xffffff);
	gv_pci_write(slot, 0x04, 0);
	CHECK(read32(FB) == 0xffffffff);
	gv_pci_write(slot, 0x04, 2);
	CHECK(read32(FB) == 0xffffff);
}

static volatile bool stop, stopped;
static volatile uint32_t rounds;

/* Behind the picture. What is read is what was written last, or before if nobody was there just then, or nobody is. */
static void painter(void)
{
	volatile uint32_t *a = (uint32_t *)(uintptr_t)(FB + 0x800000);
	volatile uint32_t *b = (uint32_t *)(uintptr_t)(FB2 + 0x800000);

	for (uint32_t n = 0; !stop; n++, rounds++) {
		volatile uint32_t *p = (n & 1 ? a : b) + n * 1021 % 0x100000;
		uint32_t v;

		*p = n;
		v = *p;
		CHECK(v <= n || v == 0xffffffff);
	}
	stopped = true;
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void move_under_painter(unsigned slot)
{
	g_start_ap(1, painter);
	while (rounds < 100)
		__asm__ volatile("pause");
	for (unsigned i = 0; i < MOVES; i++) {
		uint32_t here = i & 1 ? FB : FB2, gone = i & 1 ? FB2 : FB;

		move(slot, here);
		CHECK(read32(here) == 0xffffff);
		CHECK(read32(gone) == 0xffffffff);
	}
	stop = true;
	while (!stopped)
		__asm__ volatile("pause");
}

int main(void)
{
	unsigned slot = find_display();

	CHECK(slot < 32);
	if (slot == 32)
		return G_FAIL;
	gv_pci_write(slot, 0x10, FB);
	gv_pci_write(slot, 0x04, 2);
	dispi(4, 0);
	dispi(1, WIDTH);
	dispi(2, HEIGHT);
	dispi(3, 32);
	dispi(4, 0x41);
	draw(FB);
	g_print("drawn: %ux%u crc %08x\n", WIDTH, HEIGHT, ~crc);
	check_moves(slot);
	if (g_cmdline_has("smp"))
		move_under_painter(slot);
	return g_result();
}
