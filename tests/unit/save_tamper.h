/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file save_tamper.h
 * Saved state (palacios/save.h) that somebody has changed: the bytes of some fields, not their names and lengths.
 */
#ifndef TESTS_SAVE_TAMPER_H
#define TESTS_SAVE_TAMPER_H

#include "tap.h"

static inline uint64_t hostile_value(void)
{
	uint64_t r = tap_rand();

	switch (r & 3) {
	case 0:
		return r >> 8 & 0xff;
	case 1:
		return 1ull << (r >> 8 & 63);
	case 2:
		return ~0ull;
	default:
		return tap_rand();
	}
}

/* The record at @p p: its bytes and their number. @return the record behind it */
static inline uint8_t *save_record(uint8_t *p, uint8_t **bytes, uint32_t *len)
{
	uint16_t path;

	memcpy(&path, p, sizeof(path));
	p += sizeof(path) + path;
	memcpy(len, p, sizeof(*len));
	*bytes = p + sizeof(*len);
	return *bytes + *len;
}

/* One byte of every @p odds th field, about. */
static inline void save_tamper(uint8_t *image, size_t image_len, unsigned odds)
{
	uint8_t *p = image, *bytes;
	uint32_t len;

	while (p < image + image_len) {
		p = save_record(p, &bytes, &len);
		if (len && tap_rand() % odds == 0)
			bytes[tap_rand() % len] = (uint8_t)hostile_value();
	}
}

#endif
