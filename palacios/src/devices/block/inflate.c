/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file inflate.c
 * Unpacks DEFLATE data (RFC 1951; section numbers are its). Called by image formats; calls nothing.
 *
 * Bits that are taken behind the end of the data are zeros; once one of them has been used, the data are bad. So there
 * is one place that notices the end.
 */
#include "devices/block/inflate.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define INFLATE_END	 256 /* of a block */
#define INFLATE_NLENGTHS 29
#define INFLATE_NDISTS	 30
#define INFLATE_NKINDS	 19 /* codes for lengths of codes */

/* ---- bits ---- */

/* Have at least 48 bits in w->bits. */
static void inflate_refill(struct v3_inflate *w)
{
	while (w->nbits <= 56) {
		if (w->in < w->in_end)
			w->bits |= (uint64_t)*w->in++ << w->nbits;
		else
			w->excess += 8;
		w->nbits += 8;
	}
}

static void inflate_drop(struct v3_inflate *w, unsigned n)
{
	w->bits >>= n;
	w->nbits -= n;
}

/* The next @p n bits, at most 16. */
static unsigned inflate_take(struct v3_inflate *w, unsigned n)
{
	unsigned value;

	inflate_refill(w);
	value = (unsigned)(w->bits & ((1u << n) - 1));
	inflate_drop(w, n);
	return value;
}

/* Has something been used that was not there? */
static bool inflate_ended(const struct v3_inflate *w)
{
	return w->excess > w->nbits;
}

/* ---- codes (3.2.2) ---- */

static unsigned inflate_reverse(unsigned code, unsigned len)
{
	unsigned out = 0;

	for (; len; len--, code >>= 1)
		out = out << 1 | (code & 1);
	return out;
}

/* Every value of the next INFLATE_QUICK bits that begins with a code of @p len bits. */
static void inflate_add_quick(struct inflate_codes *c, unsigned code, unsigned len, unsigned symbol)
{
	unsigned i;

	for (i = inflate_reverse(code, len); i < V3_ARRAY_SIZE(c->quick); i += 1u << len)
		c->quick[i] = (uint16_t)(symbol << 4 | len);
}

/* @return V3_EBADMSG: more codes than there can be. Fewer are allowed: a missing one is noticed if it is used. */
static int inflate_make_codes(struct inflate_codes *c, const uint8_t *length, unsigned n)
{
	unsigned code = 0, next[INFLATE_MAX_BITS + 1], at[INFLATE_MAX_BITS + 1], len, i, index = 0;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < n; i++)
		c->count[length[i]]++;
	c->count[0] = 0;
	for (len = 1; len <= INFLATE_MAX_BITS; len++) {
		code <<= 1;
		next[len] = code;
		at[len] = index;
		code += c->count[len];
		index += c->count[len];
		if (code > 1u << len)
			return V3_EBADMSG;
	}
	for (i = 0; i < n; i++) {
		len = length[i];
		if (!len)
			continue;
		if (len <= INFLATE_QUICK)
			inflate_add_quick(c, next[len]++, len, i);
		c->symbol[at[len]++] = (uint16_t)i;
	}
	return V3_OK;
}

/* @return the next symbol; negative: there is no such code */
static int inflate_symbol(struct v3_inflate *w, const struct inflate_codes *c)
{
	unsigned code = 0, first = 0, index = 0, len, quick;

	inflate_refill(w);
	quick = c->quick[w->bits & (V3_ARRAY_SIZE(c->quick) - 1)];
	if (quick) {
		inflate_drop(w, quick & 15);
		return (int)(quick >> 4);
	}
	for (len = 1; len <= INFLATE_MAX_BITS; len++) {
		code |= w->bits >> (len - 1) & 1;
		if (code - first < c->count[len]) {
			inflate_drop(w, len);
			return c->symbol[index + (code - first)];
		}
		index += c->count[len];
		first = (first + c->count[len]) << 1;
		code <<= 1;
	}
	return V3_EBADMSG;
}

/* ---- blocks ---- */

/* 3.2.4 */
static int inflate_stored(struct v3_inflate *w)
{
	unsigned len;

	inflate_drop(w, w->nbits & 7);
	len = inflate_take(w, 16);
	if (inflate_take(w, 16) != (len ^ 0xffff))
		return V3_EBADMSG;
	for (; len && w->out < w->out_end && !inflate_ended(w); len--)
		*w->out++ = (uint8_t)inflate_take(w, 8);
	return V3_OK;
}

/* 3.2.5: what a code stands for, and how many bits are added to it. */
struct inflate_base {
	uint16_t value;
	uint8_t extra;
};
static const struct inflate_base inflate_lengths[INFLATE_NLENGTHS] = {
	{3, 0},	  {4, 0},   {5, 0},   {6, 0},	{7, 0},	  {8, 0},  {9, 0},  {10, 0},
	{11, 1},  {13, 1},  {15, 1},  {17, 1},	{19, 2},  {23, 2}, {27, 2}, {31, 2},
	{35, 3},  {43, 3},  {51, 3},  {59, 3},	{67, 4},  {83, 4}, {99, 4}, {115, 4},
	{131, 5}, {163, 5}, {195, 5}, {227, 5}, {258, 0},
};
static const struct inflate_base inflate_dists[INFLATE_NDISTS] = {
	{1, 0},	    {2, 0},	{3, 0},	    {4, 0},	 {5, 1},      {7, 1},
	{9, 2},	    {13, 2},	{17, 3},    {25, 3},	 {33, 4},     {49, 4},
	{65, 5},    {97, 5},	{129, 6},   {193, 6},	 {257, 7},    {385, 7},
	{513, 8},   {769, 8},	{1025, 9},  {1537, 9},	 {2049, 10},  {3073, 10},
	{4097, 11}, {6145, 11}, {8193, 12}, {12289, 12}, {16385, 13}, {24577, 13},
};

/* Repeat what was put out before. */
static int inflate_repeat(struct v3_inflate *w, unsigned length_code)
{
	const struct inflate_base *base;
	unsigned len, dist;
	int symbol;

	if (length_code >= INFLATE_NLENGTHS)
		return V3_EBADMSG;
	base = &inflate_lengths[length_code];
	len = base->value + inflate_take(w, base->extra);
	symbol = inflate_symbol(w, &w->distances);
	if (symbol < 0 || symbol >= INFLATE_NDISTS)
		return V3_EBADMSG;
	base = &inflate_dists[symbol];
	dist = base->value + inflate_take(w, base->extra);
	if (dist > (size_t)(w->out - w->out_start))
		return V3_EBADMSG;
	for (; len && w->out < w->out_end; len--, w->out++)
		*w->out = w->out[-(ptrdiff_t)dist];
	return V3_OK;
}

/* The symbols of a block, with the codes that were made for it. */
static int inflate_symbols(struct v3_inflate *w)
{
	int symbol, err = V3_OK;

	while (!err && w->out < w->out_end && !inflate_ended(w)) {
		symbol = inflate_symbol(w, &w->literals);
		if (symbol < 0 || symbol == INFLATE_END)
			return symbol < 0 ? symbol : V3_OK;
		if (symbol < INFLATE_END)
			*w->out++ = (uint8_t)symbol;
		else
			err = inflate_repeat(w, (unsigned)symbol - INFLATE_END - 1);
	}
	return err;
}

/* 3.2.6 */
static int inflate_fixed(struct v3_inflate *w)
{
	int err;

	memset(w->length, 8, 144);
	memset(w->length + 144, 9, 112);
	memset(w->length + 256, 7, 24);
	memset(w->length + 280, 8, 8);
	err = inflate_make_codes(&w->literals, w->length, INFLATE_SYMBOLS);
	memset(w->length, 5, 32);
	if (!err)
		err = inflate_make_codes(&w->distances, w->length, 32);
	return err ? err : inflate_symbols(w);
}

/* Lengths of @p n codes, in w->length; w->literals has the codes they are written in. 3.2.7 */
static int inflate_read_lengths(struct v3_inflate *w, unsigned n)
{
	unsigned i = 0, times;
	uint8_t value;
	int symbol;

	while (i < n) {
		symbol = inflate_symbol(w, &w->literals);
		if (symbol < 0 || inflate_ended(w))
			return V3_EBADMSG;
		value = 0;
		times = 1;
		if (symbol < 16) {
			value = (uint8_t)symbol;
		} else if (symbol == 16) {
			if (!i)
				return V3_EBADMSG;
			value = w->length[i - 1];
			times = 3 + inflate_take(w, 2);
		} else {
			times = symbol == 17 ? 3 + inflate_take(w, 3) : 11 + inflate_take(w, 7);
		}
		if (times > n - i)
			return V3_EBADMSG;
		memset(w->length + i, value, times);
		i += times;
	}
	return V3_OK;
}

/* 3.2.7 */
static int inflate_dynamic(struct v3_inflate *w)
{
	static const uint8_t order[INFLATE_NKINDS] = {16, 17, 18, 0, 8,	 7, 9,	6, 10, 5,
						      11, 4,  12, 3, 13, 2, 14, 1, 15};
	unsigned nliterals = 257 + inflate_take(w, 5), ndists = 1 + inflate_take(w, 5);
	unsigned nkinds = 4 + inflate_take(w, 4), i;
	int err;

	if (nliterals > 286)
		return V3_EBADMSG;
	memset(w->length, 0, INFLATE_NKINDS);
	for (i = 0; i < nkinds; i++)
		w->length[order[i]] = (uint8_t)inflate_take(w, 3);
	err = inflate_make_codes(&w->literals, w->length, INFLATE_NKINDS);
	if (!err)
		err = inflate_read_lengths(w, nliterals + ndists);
	if (!err)
		err = inflate_make_codes(&w->distances, w->length + nliterals, ndists);
	if (!err)
		err = inflate_make_codes(&w->literals, w->length, nliterals);
	return err ? err : inflate_symbols(w);
}

static int inflate_block(struct v3_inflate *w)
{
	switch (inflate_take(w, 2)) {
	case 0:
		return inflate_stored(w);
	case 1:
		return inflate_fixed(w);
	case 2:
		return inflate_dynamic(w);
	default:
		return V3_EBADMSG;
	}
}

int v3_inflate(struct v3_inflate *w, const void *in, size_t in_len, void *out, size_t out_len)
{
	bool last = false;
	int err = V3_OK;

	w->in = in;
	w->in_end = w->in + in_len;
	w->out = w->out_start = out;
	w->out_end = w->out + out_len;
	w->bits = 0;
	w->nbits = w->excess = 0;
	while (!err && !last && w->out < w->out_end && !inflate_ended(w)) {
		last = inflate_take(w, 1);
		err = inflate_block(w);
	}
	return !err && w->out == w->out_end && !inflate_ended(w) ? V3_OK : V3_EBADMSG;
}
