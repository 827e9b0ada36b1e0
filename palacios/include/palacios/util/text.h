/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file text.h
 * Where lines of a report go: the reader decides.
 */
#ifndef PALACIOS_UTIL_TEXT_H
#define PALACIOS_UTIL_TEXT_H

#include "palacios/types.h"

struct v3_text {
	/** One whole line without newline. Context: as the function that writes the report says. */
	void (*line)(void *priv, const char *line);
	void *priv;
};

/** Format one line, at most 159 bytes of it, and pass it on. See v3_snprintf() for the conversions. */
void v3_text_line(const struct v3_text *text, const char *fmt, ...) V3_PRINTF(2, 3);

#endif
