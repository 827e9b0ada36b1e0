/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file sha256.c
 * SHA-256 as FIPS 180-4 section 6.2 gives it. A container may hold tens of megabytes that an
 * emulated machine checks before every boot, so the 64 steps are written out: the eight working
 * variables change their roles by argument order instead of being moved, and the message schedule
 * is a ring of 16 words.
 */
#include "palacios/util/sha256.h"

#include "palacios/util/str.h"

/* FIPS 180-4 4.2.2: fractional parts of the cube roots of the first 64 primes. */
static const uint32_t sha256_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static inline uint32_t sha256_ror(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

/* The three rotations of each sum are nested, which saves copies: ror(x,2)^ror(x,13)^ror(x,22) is
 * ror(x ^ ror(x ^ ror(x,9), 11), 2), and likewise 6, 11, 25. */
#define SUM0(x)	     sha256_ror((x) ^ sha256_ror((x) ^ sha256_ror(x, 9), 11), 2)
#define SUM1(x)	     sha256_ror((x) ^ sha256_ror((x) ^ sha256_ror(x, 14), 5), 6)
#define SIGMA0(x)    (sha256_ror((x) ^ sha256_ror(x, 11), 7) ^ (x) >> 3)
#define SIGMA1(x)    (sha256_ror((x) ^ sha256_ror(x, 2), 17) ^ (x) >> 10)
#define CH(x, y, z)  ((z) ^ ((x) & ((y) ^ (z))))
#define MAJ(x, y, z) ((y) ^ (((x) ^ (y)) & ((y) ^ (z))))

#define STEP(a, b, c, d, e, f, g, h, kw)                                                           \
	do {                                                                                       \
		h += SUM1(e) + CH(e, f, g) + (kw);                                                 \
		d += h;                                                                            \
		h += SUM0(a) + MAJ(a, b, c);                                                       \
	} while (0)

#define LOAD(i) (w[i] = __builtin_bswap32(w[i]))
#define MORE(i) (w[i] += SIGMA1(w[((i) + 14) & 15]) + w[((i) + 9) & 15] + SIGMA0(w[((i) + 1) & 15]))

#define STEPS8(W, i)                                                                               \
	do {                                                                                       \
		STEP(a, b, c, d, e, f, g, h, k[(i)] + W((i)));                                     \
		STEP(h, a, b, c, d, e, f, g, k[(i) + 1] + W((i) + 1));                             \
		STEP(g, h, a, b, c, d, e, f, k[(i) + 2] + W((i) + 2));                             \
		STEP(f, g, h, a, b, c, d, e, k[(i) + 3] + W((i) + 3));                             \
		STEP(e, f, g, h, a, b, c, d, k[(i) + 4] + W((i) + 4));                             \
		STEP(d, e, f, g, h, a, b, c, k[(i) + 5] + W((i) + 5));                             \
		STEP(c, d, e, f, g, h, a, b, k[(i) + 6] + W((i) + 6));                             \
		STEP(b, c, d, e, f, g, h, a, k[(i) + 7] + W((i) + 7));                             \
	} while (0)

static void sha256_block(uint32_t state[8], const uint8_t *data)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
	const uint32_t *k = sha256_k;
	uint32_t w[16];

	memcpy(w, data, sizeof(w));
	STEPS8(LOAD, 0);
	STEPS8(LOAD, 8);
	for (k += 16; k < sha256_k + 64; k += 16) {
		STEPS8(MORE, 0);
		STEPS8(MORE, 8);
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

void v3_sha256_init(struct v3_sha256 *sha)
{
	/* FIPS 180-4 5.3.3: square roots of the first 8 primes. */
	static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memcpy(sha->state, initial, sizeof(sha->state));
	sha->nbytes = 0;
}

void v3_sha256_update(struct v3_sha256 *sha, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t fill = sha->nbytes & 63, room = 64 - fill;

	sha->nbytes += len;
	if (fill && len >= room) {
		memcpy(sha->block + fill, p, room);
		sha256_block(sha->state, sha->block);
		p += room;
		len -= room;
		fill = 0;
	}
	if (!fill) {
		for (; len >= 64; p += 64, len -= 64)
			sha256_block(sha->state, p);
	}
	if (len)
		memcpy(sha->block + fill, p, len);
}

void v3_sha256_final(struct v3_sha256 *sha, uint8_t digest[V3_SHA256_LEN])
{
	static const uint8_t pad[64] = {0x80};
	uint64_t nbits = __builtin_bswap64(sha->nbytes * 8);
	size_t fill = sha->nbytes & 63;
	unsigned i;
	uint32_t word;

	v3_sha256_update(sha, pad, fill < 56 ? 56 - fill : 120 - fill);
	v3_sha256_update(sha, &nbits, sizeof(nbits));
	for (i = 0; i < 8; i++) {
		word = __builtin_bswap32(sha->state[i]);
		memcpy(digest + 4 * i, &word, 4);
	}
}

void v3_sha256(const void *data, size_t len, uint8_t digest[V3_SHA256_LEN])
{
	struct v3_sha256 sha;

	v3_sha256_init(&sha);
	v3_sha256_update(&sha, data, len);
	v3_sha256_final(&sha, digest);
}
