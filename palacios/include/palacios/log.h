/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file log.h
 * One line of text to the host's log. A file that logs defines V3_LOG_TAG first (its unit name in quotes).
 */
#ifndef PALACIOS_LOG_H
#define PALACIOS_LOG_H

#include "palacios/types.h"

struct v3_vm;

enum v3_log_level { V3_LOG_ERR = 0, V3_LOG_WARN = 1, V3_LOG_INFO = 2, V3_LOG_DEBUG = 3 };

/**
 * Format one line and hand it to the host, prefixed "v3[<vm>] <tag>: ".
 *
 * Any context in which the host's log op may be called (never with GIF clear).
 * Lines longer than 239 bytes, prefix included, are cut. No newline at the end of @p fmt.
 *
 * @param vm     VM the line is about; NULL for the library itself
 * @param level  lines above the VM's level (default V3_LOG_INFO) are dropped
 * @param tag    unit name
 * @param fmt    see v3_snprintf() for the conversions
 */
void v3_log(struct v3_vm *vm, enum v3_log_level level, const char *tag, const char *fmt, ...)
	V3_PRINTF(4, 5);

/**
 * May a line that a guest can trigger at will be logged once more?
 *
 * Counts calls per (vm, site); true for the 1st to 4th and then at each power of two.
 * Any context, lock-free.
 *
 * @param site  address that identifies the call site (the format string)
 */
bool v3_log_allow(struct v3_vm *vm, const void *site);

/** Set the most verbose level that is logged for @p vm (NULL: for the library). Any context. */
void v3_log_set_level(struct v3_vm *vm, enum v3_log_level level);

#define V3_ERR(vm, ...)	  v3_log(vm, V3_LOG_ERR, V3_LOG_TAG, __VA_ARGS__)
#define V3_WARN(vm, ...)  v3_log(vm, V3_LOG_WARN, V3_LOG_TAG, __VA_ARGS__)
#define V3_INFO(vm, ...)  v3_log(vm, V3_LOG_INFO, V3_LOG_TAG, __VA_ARGS__)
#define V3_DEBUG(vm, ...) v3_log(vm, V3_LOG_DEBUG, V3_LOG_TAG, __VA_ARGS__)

/* For anything a guest can trigger repeatedly; @p fmt must be a literal. */
#define V3_GUEST_WARN(vm, fmt, ...)                                                                \
	do {                                                                                       \
		static const char site_[] = fmt;                                                   \
		if (v3_log_allow(vm, site_))                                                       \
			v3_log(vm, V3_LOG_WARN, V3_LOG_TAG, fmt, ##__VA_ARGS__);                   \
	} while (0)

#endif
