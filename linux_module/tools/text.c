/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file text.c
 * Numbers to text and back: sizes, users, histograms. Pure but for /etc/passwd and the environment.
 */
#include "v3.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *v3_size_text(char out[16], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned u = 0, tenths;
	uint64_t whole = bytes, rest = 0;

	while (whole >= 1024 && u < sizeof(units) / sizeof(units[0]) - 1) {
		rest = whole & 1023;
		whole >>= 10;
		u++;
	}
	tenths = (unsigned)(rest * 10 / 1024);
	if (tenths && whole < 100)
		snprintf(out, 16, "%u.%u %s", (unsigned)whole, tenths, units[u]);
	else
		snprintf(out, 16, "%u %s", (unsigned)whole, units[u]);
	return out;
}

/* getpwuid() would load libraries at run time, which a static program had better not do. */
const char *v3_user_text(char out[32], uint32_t uid)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *p;

	snprintf(out, 32, "%u", uid);
	while (f && (p = fgetpwent(f)) != NULL) {
		if (p->pw_uid == uid) {
			snprintf(out, 32, "%s", p->pw_name);
			break;
		}
	}
	if (f)
		fclose(f);
	return out;
}

/* Does the terminal show UTF-8? As setlocale() would find out, without its tables. */
static bool text_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	const char *value = NULL;
	unsigned i;

	for (i = 0; i < 3 && (!value || !*value); i++)
		value = getenv(names[i]);
	return value && (strcasestr(value, "utf-8") || strcasestr(value, "utf8"));
}

void v3_histogram_text(char *out, const uint32_t *buckets, unsigned n)
{
	static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[] = {" ", ".", ":", "-", "=", "+", "*", "%", "#"};
	const char *const *marks = text_is_utf8() ? blocks : ascii;
	uint32_t most = 0;
	unsigned i, level;

	for (i = 0; i < n; i++)
		most = buckets[i] > most ? buckets[i] : most;
	*out = 0;
	for (i = 0; i < n; i++) {
		level = buckets[i] ? (unsigned)((uint64_t)buckets[i] * 7 / most) + 1 : 0;
		out = stpcpy(out, marks[level]);
	}
	while (n-- && out[-1] == ' ') /* nothing beyond the last one */
		*--out = 0;
}

bool v3_number_parse(const char *text, uint64_t *value)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned shift;
	char *end;

	errno = 0;
	if (*text < '0' || *text > '9')
		return false;
	*value = strtoull(text, &end, text[1] == 'x' ? 16 : 10);
	if (errno)
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		if (*value >> (64 - shift))
			return false;
		*value <<= shift;
		end++;
	}
	return !*end;
}

int64_t v3_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}
