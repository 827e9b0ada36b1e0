/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file display.h
 * What a guest shows on its display, by the class "vga". Called by the embedder and by tests.
 */
#ifndef PALACIOS_DISPLAY_H
#define PALACIOS_DISPLAY_H

#include "palacios/types.h"

struct v3_vm;

#define V3_DISPLAY_COLUMNS 132 /* at most, in text mode */
#define V3_DISPLAY_ROWS	   60

/**
 * The text on the screen: rows in UTF-8 without blanks at their end, each with a newline, then a zero byte.
 * any thread.
 * @param buf   V3_DISPLAY_ROWS * (V3_DISPLAY_COLUMNS * 3 + 1) + 1 bytes are enough for any screen
 * @param size  bytes of @p buf
 * @return length without the zero byte; V3_ENODEV: no display; V3_ENOTSUP: a graphics mode; V3_E2BIG.
 */
int v3_display_text(struct v3_vm *vm, char *buf, size_t size);

#define V3_DISPLAY_WIDTH  4096 /* at most, in pixels */
#define V3_DISPLAY_HEIGHT 4096

struct v3_display_size {
	uint32_t width, height; /* pixels, never 0 */
};

/**
 * The picture on the screen, of any mode: rows of pixels as red, green and blue bytes. Worked out from the registers
 * and the memory at the moment of the call; a guest that draws meanwhile is seen drawing. A screen that is switched
 * off is black. any thread.
 *
 * @param size   with @p rows 0: set to the size of the picture. Else the size the caller has found so
 * @param first  first row wanted, from the top
 * @param rows   how many
 * @param rgb    3 * width * rows bytes
 * @return V3_OK; V3_ENODEV: no display; V3_EAGAIN: the size is another by now, begin again; V3_EINVAL: there are no
 *         such rows.
 */
int v3_display_image(struct v3_vm *vm, struct v3_display_size *size, uint32_t first, uint32_t rows,
		     uint8_t *rgb);

#endif
