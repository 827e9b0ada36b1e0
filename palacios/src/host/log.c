/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file log.c
 * Log lines: prefix, level, and the rate limit for what a guest can trigger at will.
 */
#include "host/host.h"
#include "state.h"

#include "palacios/util/fmt.h"

#include <stdarg.h>

#define LOG_LINE 240

void v3_log(struct v3_vm *vm, enum v3_log_level level, const char *tag, const char *fmt, ...)
{
	char line[LOG_LINE];
	va_list ap;
	int n;

	if (!v3_lib.ops.log || level > (vm ? vm->log_level : v3_lib.log_level))
		return;
	if (vm)
		n = v3_snprintf(line, sizeof(line), "v3[%s] %s: ", vm->name, tag);
	else
		n = v3_snprintf(line, sizeof(line), "v3 %s: ", tag);
	va_start(ap, fmt);
	v3_vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	v3_lib.ops.log((int)level, line);
}

void v3_log_set_level(struct v3_vm *vm, enum v3_log_level level)
{
	if (vm)
		vm->log_level = (uint8_t)level;
	else
		v3_lib.log_level = (uint8_t)level;
}

/* The slot a call site counts in: its own if it has one, else a free one, else a shared one. */
static struct v3_log_site *log_site(struct v3_vm *vm, const void *site)
{
	unsigned n = V3_ARRAY_SIZE(vm->log_sites);
	unsigned h = (unsigned)((uintptr_t)site >> 3) % n;
	const void *empty;
	unsigned i;

	for (i = 0; i < 8; i++) {
		struct v3_log_site *s = &vm->log_sites[(h + i) % n];

		empty = NULL;
		if (__atomic_load_n(&s->site, __ATOMIC_RELAXED) == site ||
		    __atomic_compare_exchange_n(&s->site, &empty, site, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED) ||
		    empty == site)
			return s;
	}
	return &vm->log_sites[h];
}

bool v3_log_allow(struct v3_vm *vm, const void *site)
{
	struct v3_log_site *s = log_site(vm, site);
	uint32_t count = __atomic_add_fetch(&s->count, 1, __ATOMIC_RELAXED);

	return count <= 4 || (count & (count - 1)) == 0;
}
