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

#endif
