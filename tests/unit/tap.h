/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file tap.h
 * A producer of TAP (Test Anything Protocol) for unit tests in C, all in this header. A test
 * program:
 *
 *     #include "tap.h"
 *
 *     static void test_io_register_rejects_overlap(void)
 *     {
 *             CHECK_EQ(v3_io_register(vm, 0x40, 4, fn, NULL), V3_OK);
 *             CHECK_EQ(v3_io_register(vm, 0x43, 1, fn, NULL), V3_EEXIST);
 *     }
 *
 *     static const struct tap_test tests[] = {
 *             TAP(test_io_register_rejects_overlap),
 *             { "io_register_wraps", test_io_register_wraps },
 *     };
 *     TAP_MAIN(tests)
 *
 * Each test gives one line "ok N - name" (a leading "test_" is left out). A failed check prints
 * "# file:line: what" and lets the test go on; REQUIRE* return from the function they are in.
 * After each test the fake host, if the program uses it, counts what was not given back; anything
 * left fails the test.
 *
 * Environment: TEST=text runs only tests whose name contains it. SEED=number repeats a run of
 * tap_rand(); its value is printed. TAP_TIMEOUT=seconds per test (default 120); a test that takes
 * longer ends the program.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct tap_test {
	const char *name;
	void (*fn)(void);
};

#define TAP(fn)                                                                                    \
	{                                                                                          \
#fn, fn                                                                            \
	}

/* What fake_host.c adds, if it is linked. @return number of things left over, each printed. */
extern void fake_host_test_begin(void) __attribute__((weak));
extern unsigned fake_host_test_end(void) __attribute__((weak));

#define TAP_MAX_REPORTS 20 /* failed checks printed per test */

/* One per program: tap.h is included by the test's file alone or by helpers that only use CHECK*.
 * */
struct tap_state {
	unsigned failures;   /* of the running test, atomic: checks may be made in threads */
	const char *skipped; /* reason */
	const char *name;
	uint64_t seed, rnd;
};
__attribute__((weak)) struct tap_state tap;

/** Report a failed check. Used by the macros. Any thread. @return false */
__attribute__((format(printf, 3, 4), unused)) static bool tap_fail(const char *file, int line,
								   const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (__atomic_fetch_add(&tap.failures, 1, __ATOMIC_SEQ_CST) >= TAP_MAX_REPORTS)
		return false;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("# %s:%d: %s\n", file, line, text);
	fflush(stdout);
	return false;
}

/** Leave the test out, e.g. when the machine lacks something: return after it. */
__attribute__((unused)) static void tap_skip(const char *why)
{
	tap.skipped = why;
}

/** 64 random bits; the sequence follows from SEED. */
__attribute__((unused)) static uint64_t tap_rand(void)
{
	uint64_t z = (tap.rnd += 0x9e3779b97f4a7c15ull); /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

__attribute__((unused)) static bool tap_check_int(const char *file, int line, const char *a_text,
						  const char *b_text, long long a, long long b)
{
	if (a == b)
		return true;
	tap_fail(file, line, "%s is %lld (%#llx), expected %s = %lld (%#llx)", a_text, a,
		 (unsigned long long)a, b_text, b, (unsigned long long)b);
	return false;
}

__attribute__((unused)) static bool tap_check_str(const char *file, int line, const char *a_text,
						  const char *a, const char *b)
{
	if (a && b && !strcmp(a, b))
		return true;
	tap_fail(file, line, "%s is \"%s\", expected \"%s\"", a_text, a ? a : "(null)",
		 b ? b : "(null)");
	return false;
}

__attribute__((unused)) static bool tap_check_mem(const char *file, int line, const char *a_text,
						  const void *a, const void *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (((const uint8_t *)a)[i] == ((const uint8_t *)b)[i])
			continue;
		tap_fail(file, line, "%s[%zu] is %#x, expected %#x", a_text, i,
			 ((const uint8_t *)a)[i], ((const uint8_t *)b)[i]);
		return false;
	}
	return true;
}

/* Each is an expression: true if the check held. */
#define CHECK(cond)	     ((cond) ? true : tap_fail(__FILE__, __LINE__, "not true: %s", #cond))
#define CHECK_EQ(a, b)	     tap_check_int(__FILE__, __LINE__, #a, #b, (long long)(a), (long long)(b))
#define CHECK_STR(a, b)	     tap_check_str(__FILE__, __LINE__, #a, a, b)
#define CHECK_MEM(a, b, len) tap_check_mem(__FILE__, __LINE__, #a, a, b, len)
/** As CHECK() with a message of your own, e.g. the case of a table. */
#define CHECK_MSG(cond, ...) ((cond) ? true : tap_fail(__FILE__, __LINE__, __VA_ARGS__))
/** Fail the test: this point must not be reached. */
#define FAIL(...)	     tap_fail(__FILE__, __LINE__, __VA_ARGS__)

/* Return from a void function if the check fails. */
#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!CHECK(cond))                                                                  \
			return;                                                                    \
	} while (0)
#define REQUIRE_EQ(a, b)                                                                           \
	do {                                                                                       \
		if (!CHECK_EQ(a, b))                                                               \
			return;                                                                    \
	} while (0)

__attribute__((unused)) static void tap_alarm(int sig)
{
	static const char text[] = "Bail out! a test took longer than TAP_TIMEOUT\n";

	(void)sig;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

__attribute__((unused)) static void tap_run(const struct tap_test *test, unsigned number,
					    unsigned timeout)
{
	const char *name = strncmp(test->name, "test_", 5) ? test->name : test->name + 5;
	bool ok;

	tap.failures = 0;
	tap.skipped = NULL;
	tap.name = name;
	alarm(timeout);
	if (fake_host_test_begin)
		fake_host_test_begin();
	test->fn();
	if (fake_host_test_end && fake_host_test_end())
		tap.failures++;
	alarm(0);
	ok = !tap.failures;
	if (tap.failures > TAP_MAX_REPORTS)
		printf("# ... %u failed checks in all\n", tap.failures);
	if (tap.skipped)
		printf("%sok %u - %s # SKIP %s\n", ok ? "" : "not ", number, name, tap.skipped);
	else
		printf("%sok %u - %s\n", ok ? "" : "not ", number, name);
	fflush(stdout);
}

__attribute__((unused)) static int tap_main(const struct tap_test *tests, size_t ntests)
{
	const char *only = getenv("TEST"), *seed = getenv("SEED"), *limit = getenv("TAP_TIMEOUT");
	unsigned timeout = limit ? (unsigned)atoi(limit) : 120, number = 0, failed = 0;

	signal(SIGALRM, tap_alarm);
	tap.seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) << 16 ^ (uint64_t)getpid();
	printf("# seed %#" PRIx64 "\n", tap.seed);
	for (size_t i = 0; i < ntests; i++) {
		if (only && !strstr(tests[i].name, only))
			continue;
		tap.rnd = tap.seed; /* so that TEST= repeats what the whole run did */
		tap_run(&tests[i], ++number, timeout);
		failed += tap.failures != 0;
	}
	printf("1..%u\n", number);
	return failed ? 1 : 0;
}

#define TAP_MAIN(tests)                                                                            \
	int main(void)                                                                             \
	{                                                                                          \
		return tap_main(tests, sizeof(tests) / sizeof((tests)[0]));                        \
	}

#endif
