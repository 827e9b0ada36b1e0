/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file screen.c
 * The option "screen": what a guest's display shows, drawn in characters, and a checksum of its pixels for tests that
 * know them. Called by main.c when the guest has ended; calls v3_display_image() row by row.
 */
#include "baremetal.h"

#include "palacios/display.h"
#include "palacios/error.h"
#include "palacios/util/str.h"

#define SCREEN_COLUMNS 72
#define SCREEN_LINES   24

/* The picture is cut into cells of equal size, each of which becomes a character. */
static struct {
	struct v3_display_size size;
	uint32_t crc; /* of all pixels so far */
	uint32_t bright
		[SCREEN_COLUMNS]; /* sums over the rows of the line of cells so far, of all three colors */
	uint32_t pixels[SCREEN_COLUMNS];
	uint8_t row[3 * V3_DISPLAY_WIDTH];
} screen;

/* CRC-32 of IEEE 802.3, bit by bit: a picture is not large. */
static uint32_t screen_crc(uint32_t crc, const uint8_t *p, uint32_t n)
{
	while (n--) {
		crc ^= *p++;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return crc;
}

static void screen_line(void)
{
	static const char shades[] = " .:-=+*#%@";
	char line[SCREEN_COLUMNS + 1];
	unsigned i;

	for (i = 0; i < SCREEN_COLUMNS; i++) { /* rounded up: text is thin */
		const uint64_t most = screen.pixels[i] * 3ull * 255;
		const uint64_t shade = screen.bright[i] * (sizeof(shades) - 2) + most;

		line[i] = most ? shades[(shade - 1) / most] : ' ';
	}
	line[i] = '\0';
	bm_print("screen| %s", line);
	memset(screen.bright, 0, sizeof(screen.bright));
	memset(screen.pixels, 0, sizeof(screen.pixels));
}

static void screen_row(uint32_t y)
{
	const uint32_t width = screen.size.width, height = screen.size.height;

	screen.crc = screen_crc(screen.crc, screen.row, 3 * width);
	for (uint32_t x = 0; x < width; x++) {
		const uint8_t *p = &screen.row[3 * x];
		unsigned cell = x * SCREEN_COLUMNS / width;

		screen.bright[cell] += (uint32_t)p[0] + p[1] + p[2];
		screen.pixels[cell]++;
	}
	if (y * SCREEN_LINES / height != (y + 1) * SCREEN_LINES / height)
		screen_line();
}

void bm_screen_print(struct v3_vm *vm)
{
	int err = v3_display_image(vm, &screen.size, 0, 0, NULL);

	screen.crc = ~0u;
	for (uint32_t y = 0; !err && y < screen.size.height; y++) {
		err = v3_display_image(vm, &screen.size, y, 1, screen.row);
		if (!err)
			screen_row(y);
	}
	if (err)
		bm_print("screen: %s", v3_strerror(err));
	else
		bm_print("screen: %ux%u crc %08x", screen.size.width, screen.size.height,
			 ~screen.crc);
}
