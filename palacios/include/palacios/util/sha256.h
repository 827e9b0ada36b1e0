/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file sha256.h
 * SHA-256 (FIPS 180-4), for the sections of an image container.
 */
#ifndef PALACIOS_UTIL_SHA256_H
#define PALACIOS_UTIL_SHA256_H

#include "palacios/types.h"

#define V3_SHA256_LEN 32

struct v3_sha256 {
	uint32_t state[8];
	uint64_t nbytes;   /* taken so far */
	uint8_t block[64]; /* the last, incomplete one */
};

/** Begin a message. any context. */
void v3_sha256_init(struct v3_sha256 *sha);
/** Take @p len more bytes; @p data may be NULL if @p len is 0. any context. */
void v3_sha256_update(struct v3_sha256 *sha, const void *data, size_t len);
/** End the message; @p sha must be initialised again before further use. any context. */
void v3_sha256_final(struct v3_sha256 *sha, uint8_t digest[V3_SHA256_LEN]);
/** All of it in one call. any context. */
void v3_sha256(const void *data, size_t len, uint8_t digest[V3_SHA256_LEN]);

#endif
