/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_inflate.c
 * DEFLATE data: each kind of block by hand (RFC 1951), what gzip makes of many kinds of data, and what nobody should
 * have made.
 */
#include "devices/block/inflate.h"
#include "fake_host.h"
#include "palacios/error.h"
#include "store_rig.h"
#include "tap.h"

#define KIB 1024u

static struct v3_inflate work;

/* Bits as a stream has them: the first is the lowest of the first byte. */
static struct {
	uint8_t bytes[600];
	size_t n; /* bits */
} stream;

static void begin(void)
{
	memset(&stream, 0, sizeof(stream));
}

/* @p n bits of a number, lowest first */
static void put(uint32_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++, stream.n++)
		stream.bytes[stream.n / 8] |= (uint8_t)((value >> i & 1) << stream.n % 8);
}

/* A code, highest bit first */
static void code(uint32_t value, unsigned n)
{
	while (n--)
		put(value >> n & 1, 1);
}

/* A literal below 144 by the fixed codes, 3.2.6 */
static void literal(uint8_t c)
{
	code(0x30u + c, 8);
}

static size_t bytes(void)
{
	return (stream.n + 7) / 8;
}

static int unpack(void *out, size_t len)
{
	return v3_inflate(&work, stream.bytes, bytes(), out, len);
}

static void test_inflate_stored(void)
{
	char out[11];

	begin();
	put(0, 3);
	put(0, 5); /* the rest of the byte */
	put(5, 16);
	put(0xfffa, 16);
	for (const char *p = "hello"; *p; p++)
		put((uint8_t)*p, 8);
	put(1, 3); /* the last block */
	put(0, 5);
	put(6, 16);
	put(0xfff9, 16);
	for (const char *p = " world"; *p; p++)
		put((uint8_t)*p, 8);
	CHECK_EQ(unpack(out, 11), V3_OK);
	CHECK_MEM(out, "hello world", 11);
	CHECK_EQ(unpack(out, 8), V3_OK); /* what follows is not asked for */
	stream.bytes[3] ^= 1;		 /* the complement of the length */
	CHECK_EQ(unpack(out, 11), V3_EBADMSG);
}

static void test_inflate_fixed(void)
{
	char out[14];

	begin();
	put(1, 1);
	put(1, 2);
	literal('a');
	literal('b');
	code(8, 7);    /* length 10 ... */
	code(1, 5);    /* ... from 2 back */
	code(0xc0, 8); /* length 115 to 130: 4 more bits */
	put(0, 4);
	code(0, 5); /* of the last character; cut off by the end */
	CHECK_EQ(unpack(out, 14), V3_OK);
	CHECK_MEM(out, "abababababab", 12);
	CHECK_EQ(out[13], 'b');
}

/* One symbol of each set has a code: 1 bit. */
static void test_inflate_dynamic(void)
{
	char out[6];

	begin();
	put(1, 1);
	put(2, 2);
	put(1, 5);  /* 258 literals and lengths: 'x', the end, length 3 */
	put(0, 5);  /* 1 distance: 1 */
	put(14, 4); /* 18 kinds, in the order of 3.2.7 */
	/* 16 17 18  0  8  7  9  6 10  5 11  4 12  3 13  2 14  1 */
	for (const char *p = "001000000000000202"; *p; p++)
		put((uint32_t)*p - '0', 3);
	/* codes: 18 = 0, 1 = 10, 2 = 11 */
	code(0, 1);
	put(120 - 11, 7);
	code(2, 2); /* 'x': 1 bit */
	code(0, 1);
	put(135 - 11, 7);
	code(3, 2); /* the end: 2 bits */
	code(3, 2); /* length 3: 2 bits */
	code(2, 2); /* distance 1: 1 bit */
	/* the data: x = 0, end = 10, length 3 = 11; distance 1 = 0 */
	code(0, 1);
	code(3, 2);
	code(0, 1);
	code(0, 1);
	code(0, 1);
	code(2, 2);
	CHECK_EQ(unpack(out, 6), V3_OK);
	CHECK_MEM(out, "xxxxxx", 6);
}

static void test_inflate_refuses(void)
{
	uint8_t out[300];

	begin(); /* nothing */
	CHECK_EQ(v3_inflate(&work, stream.bytes, 0, out, 1), V3_EBADMSG);
	put(1, 1); /* no such kind of block */
	put(3, 2);
	CHECK_EQ(unpack(out, 1), V3_EBADMSG);
	begin();
	put(1, 1);
	put(1, 2);
	literal('a');
	CHECK_EQ(unpack(out, 1), V3_OK);
	CHECK_EQ(unpack(out, 2), V3_EBADMSG); /* too short */
	code(0, 7);
	CHECK_EQ(unpack(out, 2), V3_EBADMSG); /* the end, too early */
	begin();
	put(1, 1);
	put(1, 2);
	literal('a');
	code(1, 7);
	code(1, 5); /* from 2 back, where nothing is */
	CHECK_EQ(unpack(out, 4), V3_EBADMSG);
	begin();
	put(1, 1);
	put(1, 2);
	literal('a');
	code(1, 7);
	code(30, 5); /* no such distance */
	CHECK_EQ(unpack(out, 4), V3_EBADMSG);
	begin();
	put(1, 1);
	put(1, 2);
	literal('a');
	code(0xc6, 8); /* 286: no such length */
	code(0, 5);
	CHECK_EQ(unpack(out, 4), V3_EBADMSG);
	begin();
	put(1, 1);
	put(2, 2);
	put(30, 5); /* 287 literals and lengths */
	put(0, 5);
	put(0, 4);
	CHECK_EQ(unpack(out, 1), V3_EBADMSG);
	begin();
	put(1, 1);
	put(2, 2);
	put(0, 5);
	put(0, 5);
	put(0, 4);
	put(0x249, 12); /* 4 codes of 1 bit */
	CHECK_EQ(unpack(out, 1), V3_EBADMSG);
	begin();
	put(1, 1);
	put(2, 2);
	put(0, 5);
	put(0, 5);
	put(0, 4);
	put(1, 3); /* code 0 repeats the last length, and there is none */
	put(0, 9);
	code(0, 1);
	CHECK_EQ(unpack(out, 1), V3_EBADMSG);
}

/* Data of many kinds: what gzip packs, and the same cut off or with some bits changed. */
static void test_inflate_agrees_with_gzip(void)
{
	const uint32_t size = 200 * KIB;
	uint8_t *want = malloc(size), *got = malloc(size);

	for (unsigned n = 0; n < 27; n++) {
		const unsigned alphabet[] = {1, 3, 256}, run[] = {1, 40, 3000};
		struct rig_file packed = {.bytes = NULL};
		size_t at = 10; /* behind gzip's header */

		for (uint32_t i = 0; i < size;) {
			uint8_t c = (uint8_t)(tap_rand() % alphabet[n % 3]);
			uint32_t len = 1 + (uint32_t)(tap_rand() % run[n / 3 % 3]);

			for (; len && i < size; len--)
				want[i++] = c;
		}
		rig_file_save("data", want, size);
		CHECK_EQ(rig_run("gzip -nc -%u data >data.gz", n / 9 * 4 + 1), 0);
		rig_file_load(&packed, "data.gz");
		memset(got, 0xee, size);
		CHECK_EQ(v3_inflate(&work, packed.bytes + at, packed.len - at, got, size), V3_OK);
		CHECK_MEM(got, want, size);
		CHECK_EQ(v3_inflate(&work, packed.bytes + at, (packed.len - at) / 2, got, size),
			 V3_EBADMSG);
		for (unsigned i = 0; i < 20; i++) { /* only sanitizers judge */
			packed.bytes[at + tap_rand() % (packed.len - at)] ^= (uint8_t)tap_rand();
			v3_inflate(&work, packed.bytes + at, packed.len - at, got, size);
		}
		rig_file_free(&packed);
	}
	free(want);
	free(got);
}

static const struct tap_test tests[] = {
	TAP(test_inflate_stored),	    TAP(test_inflate_fixed),
	TAP(test_inflate_dynamic),	    TAP(test_inflate_refuses),
	TAP(test_inflate_agrees_with_gzip),
};
TAP_MAIN(tests)
