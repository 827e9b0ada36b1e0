/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fmt.h
 * Formatting into a buffer, for log lines and reports.
 */
#ifndef PALACIOS_UTIL_FMT_H
#define PALACIOS_UTIL_FMT_H

#include "palacios/types.h"

#include <stdarg.h>

/**
 * Format into @p buf. any context.
 *
 * Conversions: %d %i %u %x %X %c %s %p %%, length h hh l ll z, flags '-' '0' '#' '+', width and precision as
 * digits or '*'. Always terminates @p buf (unless @p size is 0).
 *
 * @return length the whole text has or would have had, without the terminator
 */
int v3_snprintf(char *buf, size_t size, const char *fmt, ...) V3_PRINTF(3, 4);
int v3_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);

#endif
