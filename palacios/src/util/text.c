/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file text.c
 * Lines of a report.
 */
#include "palacios/util/text.h"

#include "palacios/util/fmt.h"

#include <stdarg.h>

#define TEXT_LINE 160

void v3_text_line(const struct v3_text *text, const char *fmt, ...)
{
	char line[TEXT_LINE];
	va_list ap;

	va_start(ap, fmt);
	v3_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	text->line(text->priv, line);
}
