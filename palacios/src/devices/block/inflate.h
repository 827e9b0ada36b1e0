/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file inflate.h
 * Data in the DEFLATE format (RFC 1951), as compressed clusters of disk images have them. The data may come from
 * anybody.
 */
#ifndef V3_DEVICES_BLOCK_INFLATE_H
#define V3_DEVICES_BLOCK_INFLATE_H

#include "palacios/types.h"

#define INFLATE_MAX_BITS 15  /* of a code */
#define INFLATE_SYMBOLS	 288 /* of literals and lengths */
#define INFLATE_QUICK	 9   /* bits of a code that is found at once */

/* A set of codes. */
struct inflate_codes {
	uint16_t count[INFLATE_MAX_BITS + 1]; /* codes by length */
	uint16_t symbol[INFLATE_SYMBOLS];     /* by code */
	uint16_t quick
		[1u
		 << INFLATE_QUICK]; /* by the next bits: symbol << 4 | length; 0: a longer code */
};

/** What is worked with; the contents mean nothing between calls. */
struct v3_inflate {
	const uint8_t *in, *in_end;
	uint8_t *out, *out_start, *out_end;
	uint64_t bits;	 /* read ahead, next one lowest */
	unsigned nbits;	 /* how many, those behind the end included */
	unsigned excess; /* bits behind the end, which are zeros */
	uint8_t length[INFLATE_SYMBOLS + 32];
	struct inflate_codes literals, distances;
};

/**
 * Unpack until @p out is full; what follows in @p in is not looked at. thread.
 * @return V3_OK; V3_EBADMSG: not such data, or too short: then @p out has whatever was unpacked so far
 */
int v3_inflate(struct v3_inflate *w, const void *in, size_t in_len, void *out, size_t out_len);

#endif
