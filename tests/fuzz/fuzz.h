/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz.h
 * What all harnesses share: libFuzzer's two entry points, and the input as a stream of numbers. Include it once per
 * program.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, taken from the front; zeros behind its end. */
static struct {
	const uint8_t *p;
	size_t left;
} fuzz_in;

static inline void fuzz_begin(const uint8_t *data, size_t size)
{
	fuzz_in.p = data;
	fuzz_in.left = size;
}

/* The next @p n bytes (at most 8) as a little-endian number. */
static inline uint64_t take(unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n && fuzz_in.left; i++, fuzz_in.left--)
		value |= (uint64_t)*fuzz_in.p++ << 8 * i;
	return value;
}

#endif
