/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_fmt.c
 * v3_snprintf() against the C library's own, and where the two differ against fixed texts.
 */
#include "palacios/util/fmt.h"

#include "palacios/error.h"
#include "palacios/util/str.h"
#include "tap.h"

/* Formats are checked one by one, so not literals here. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat"

/* The same call to both; text and result must agree. */
#define SAME(...)                                                                                  \
	do {                                                                                       \
		char ours_[256], libc_[256];                                                       \
		CHECK_EQ(v3_snprintf(ours_, sizeof(ours_), __VA_ARGS__),                           \
			 snprintf(libc_, sizeof(libc_), __VA_ARGS__));                             \
		CHECK_STR(ours_, libc_);                                                           \
	} while (0)

static void test_fmt_decimal(void)
{
	SAME("%d|%i|%u", -5, 7, 9u);
	SAME("%d %d %d", 0, INT32_MAX, INT32_MIN);
	SAME("%+d %+d %+i", 4, -4, 0);
	SAME("[%5d][%-5d][%05d][%+5d]", 42, 42, 42, 42);
	SAME("[%05d][%-05d]", -42, -42);
	SAME("[%.3d][%8.3d][%-8.3d][%08.3d]", 7, -7, -7, 7);
	SAME("[%.0d][%.0d][%.d]", 0, 1, 0);
	SAME("%u %u", UINT32_MAX, 0u);
}

static void test_fmt_hexadecimal(void)
{
	SAME("%x %X %#x %#X", 0xbeefu, 0xbeefu, 0xbeefu, 0xbeefu);
	SAME("[%8x][%-8x][%08x][%#8x][%-#8x][%#010x]", 0xabcu, 0xabcu, 0xabcu, 0xabcu, 0xabcu,
	     0xabcu);
	SAME("%#x|%#.0x|%.0x", 0u, 0u, 0u);
	SAME("[%#10.5x]", 0x12u);
}

static void test_fmt_lengths(void)
{
	SAME("%hhd %hhu %hhx", -1, 511, 0x1ff);
	SAME("%hd %hu %hx", -1, 65537, 0x1ffff);
	SAME("%ld %lu %lx", -1l, ~0ul, ~0ul);
	SAME("%lld %llu %llx %#llx", INT64_MIN, UINT64_MAX, UINT64_MAX, 1ull << 63);
	SAME("%zu %zx %zd", SIZE_MAX, SIZE_MAX, (ssize_t)-3);
}

static void test_fmt_texts(void)
{
	SAME("%s|%10s|%-10s|%.2s|%10.2s|%-10.2s|%.0s", "abc", "abc", "abc", "abc", "abc", "abc",
	     "abc");
	SAME("%c|%5c|%-5c|%%|%c", 'a', 'b', 'c', 0x7f);
	SAME("%s", "");
	SAME("no conversion");
}

static void test_fmt_width_from_arguments(void)
{
	SAME("[%*d][%-*d][%*d]", 6, 1, 6, 2, -6, 3);
	SAME("[%.*d][%.*d][%*.*d]", 4, 1, -4, 2, 8, 4, 3);
	SAME("[%*s][%.*s][%*.*s]", 5, "ab", 1, "ab", 5, 1, "ab");
}

static void test_fmt_text_without_terminator(void)
{
	const char raw[3] = {'x', 'y', 'z'}; /* the address sanitizer watches the byte behind */
	char buf[16];

	CHECK_EQ(v3_snprintf(buf, sizeof(buf), "%.3s", raw), 3);
	CHECK_STR(buf, "xyz");
}

static void test_fmt_null_text(void)
{
	const char *volatile none = NULL; /* the compiler would complain about a literal one */
	char buf[16];

	CHECK_EQ(v3_snprintf(buf, sizeof(buf), "%s", none), 6);
	CHECK_STR(buf, "(null)");
}

static void test_fmt_pointer(void)
{
	char buf[32];

	v3_snprintf(buf, sizeof(buf), "%p %p", (void *)(uintptr_t)0xffff800012345678ull,
		    (void *)NULL);
	CHECK_STR(buf, "0xffff800012345678 0");
}

static void test_fmt_cuts_and_terminates(void)
{
	char buf[8];

	memset(buf, 'z', sizeof(buf));
	CHECK_EQ(v3_snprintf(buf, 5, "%s", "abcdefgh"), 8);
	CHECK_MEM(buf, "abcd\0zzz", 8);
	CHECK_EQ(v3_snprintf(buf, 1, "%d", 12345), 5);
	CHECK_MEM(buf, "\0bcd\0zzz", 8);
	CHECK_EQ(v3_snprintf(NULL, 0, "%d", 12345), 5);
	CHECK_EQ(v3_snprintf(buf, 8, "%s", "1234567"), 7);
	CHECK_STR(buf, "1234567");
	CHECK_EQ(v3_snprintf(buf, 8, "%s", "12345678"), 8);
	CHECK_STR(buf, "1234567");
}

static void test_fmt_unknown_conversion_shows(void)
{
	char buf[32];

	v3_snprintf(buf, sizeof(buf), "a%qb");
	CHECK_STR(buf, "a%qb");
	v3_snprintf(buf, sizeof(buf), "end%");
	CHECK_STR(buf, "end");
	v3_snprintf(buf, sizeof(buf), "end%-5l");
	CHECK_STR(buf, "end");
}

/* Every combination of flags, widths, precisions and lengths that C defines, on random numbers. */
static void test_fmt_random_integers(void)
{
	static const char *const lengths[] = {"hh", "h", "", "l", "ll", "z"};
	static const char conv[] = "diuxX";
	char fmt[32], ours[512], libc[512];

	for (int i = 0; i < 20000; i++) {
		uint64_t r = tap_rand(), v = tap_rand() >> (tap_rand() & 63);
		const char *length = lengths[r % 6];
		int width = (int)(r >> 8) % 30, prec = (int)(r >> 16) % 30, a, b;
		char c = conv[(r >> 24 & 0xff) % 5];

		snprintf(fmt, sizeof(fmt), "<%%%s%s%s%s*.*%s%c>", r >> 32 & 1 ? "-" : "",
			 r >> 33 & 1 ? "0" : "", (r >> 34 & 1) && c >= 'x' ? "#" : "",
			 (r >> 35 & 1) && c == 'd' ? "+" : "", length, c);
		if (*length == 'l' || *length == 'z') {
			a = v3_snprintf(ours, sizeof(ours), fmt, width, prec, v);
			b = snprintf(libc, sizeof(libc), fmt, width, prec, v);
		} else {
			a = v3_snprintf(ours, sizeof(ours), fmt, width, prec, (int)v);
			b = snprintf(libc, sizeof(libc), fmt, width, prec, (int)v);
		}
		CHECK_MSG(a == b && !strcmp(ours, libc),
			  "\"%s\" of %#llx: \"%s\" (%d), expected \"%s\" (%d)", fmt,
			  (unsigned long long)v, ours, a, libc, b);
	}
}

static void test_str_strlen_and_strcmp(void)
{
	CHECK_EQ(v3_strlen(""), 0);
	CHECK_EQ(v3_strlen("abc"), 3);
	CHECK_EQ(v3_strcmp("abc", "abc"), 0);
	CHECK_EQ(v3_strcmp("", ""), 0);
	CHECK(v3_strcmp("abc", "abd") < 0);
	CHECK(v3_strcmp("abc", "ab") > 0);
	CHECK(v3_strcmp("ab", "abc") < 0);
	CHECK(v3_strcmp("\xff", "a") > 0); /* bytes are unsigned */
}

static void test_str_strlcpy(void)
{
	char buf[4] = "zzz";

	CHECK_EQ(v3_strlcpy(buf, "ab", sizeof(buf)), 2);
	CHECK_STR(buf, "ab");
	CHECK_EQ(v3_strlcpy(buf, "abc", sizeof(buf)), 3);
	CHECK_STR(buf, "abc");
	CHECK_EQ(v3_strlcpy(buf, "abcdef", sizeof(buf)), 6);
	CHECK_STR(buf, "abc");
	CHECK_EQ(v3_strlcpy(buf, "q", 1), 1);
	CHECK_STR(buf, "");
}

static void test_str_strerror(void)
{
	CHECK_STR(v3_strerror(V3_OK), "V3_OK");
	CHECK_STR(v3_strerror(V3_ENOMEM), "V3_ENOMEM");
	CHECK_STR(v3_strerror(V3_ETIMEDOUT), "V3_ETIMEDOUT");
	CHECK_STR(v3_strerror(-4711), "V3_E?");
	CHECK_STR(v3_strerror(1), "V3_E?");
}

static const struct tap_test tests[] = {
	TAP(test_fmt_decimal),
	TAP(test_fmt_hexadecimal),
	TAP(test_fmt_lengths),
	TAP(test_fmt_texts),
	TAP(test_fmt_width_from_arguments),
	TAP(test_fmt_text_without_terminator),
	TAP(test_fmt_null_text),
	TAP(test_fmt_pointer),
	TAP(test_fmt_cuts_and_terminates),
	TAP(test_fmt_unknown_conversion_shows),
	TAP(test_fmt_random_integers),
	TAP(test_str_strlen_and_strcmp),
	TAP(test_str_strlcpy),
	TAP(test_str_strerror),
};
TAP_MAIN(tests)
