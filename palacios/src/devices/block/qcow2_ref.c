/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file qcow2_ref.c
 * Reference counts of a qcow2 image: a table of blocks of counts (specification, "Host cluster management"). Counts
 * are written at once; a new block or table is on stable storage before anything refers to it. Called by the rest of
 * qcow2; calls the store.
 */
#include "devices/block/qcow2.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define REF_TABLE_MAX (8ull << 20) /* bytes */
#define REF_LOOK_MAX                                                                               \
	(1ull << 20) /* clusters behind the end of the file that may be counted as used */

/* Clusters whose counts are in one block. */
static uint64_t qcow2_ref_per_block(const struct v3_qcow2 *q)
{
	return q->cluster * 8 >> q->ref_order;
}

/* Where the block with the count of @p cluster is; 0: there is none, the count is 0. */
static int qcow2_ref_block(struct v3_qcow2 *q, uint64_t cluster, uint64_t *block)
{
	uint64_t index = cluster / qcow2_ref_per_block(q);
	int err;

	*block = 0;
	if (index >= q->ref_entries)
		return V3_OK;
	err = v3_qcow2_entry_get(q, q->ref_offset + index * 8, block);
	if (!err && *block && !v3_qcow2_is_cluster(q, *block))
		err = v3_qcow2_damaged(q, "reference count block", *block);
	return err;
}

/* Count number @p i of a block: which bytes have it, and from which bit on (counts of less than a byte). */
static uint64_t qcow2_ref_place(const struct v3_qcow2 *q, uint64_t block, uint64_t i,
				uint32_t *bytes, unsigned *shift)
{
	unsigned per_byte;

	if (q->ref_order >= 3) {
		*bytes = 1u << (q->ref_order - 3);
		*shift = 0;
		return block + i * *bytes;
	}
	per_byte = 8u >> q->ref_order;
	*bytes = 1;
	*shift = (unsigned)(i % per_byte) << q->ref_order;
	return block + i / per_byte;
}

static uint64_t qcow2_ref_mask(const struct v3_qcow2 *q)
{
	return q->ref_order == 6 ? ~0ull : (1ull << (1u << q->ref_order)) - 1;
}

/* What the bytes around a count say. */
static int qcow2_ref_load(struct v3_qcow2 *q, uint64_t at, uint32_t bytes, uint64_t *value)
{
	uint8_t buf[8] = {0};
	int err = v3_qcow2_meta_read(q, at, buf + 8 - bytes, bytes);

	*value = v3_qcow2_be64(buf);
	return err;
}

int v3_qcow2_ref_get(struct v3_qcow2 *q, uint64_t cluster, uint64_t *count)
{
	uint64_t block, at;
	unsigned shift;
	uint32_t bytes;
	int err = qcow2_ref_block(q, cluster, &block);

	*count = 0;
	if (err || !block)
		return err;
	at = qcow2_ref_place(q, block, cluster % qcow2_ref_per_block(q), &bytes, &shift);
	err = qcow2_ref_load(q, at, bytes, count);
	*count = *count >> shift & qcow2_ref_mask(q);
	return err;
}

/* Set count number @p i of a block. */
static int qcow2_ref_put(struct v3_qcow2 *q, uint64_t block, uint64_t i, uint64_t count)
{
	uint8_t buf[8];
	unsigned shift;
	uint32_t bytes;
	uint64_t value, at = qcow2_ref_place(q, block, i, &bytes, &shift);
	int err = qcow2_ref_load(q, at, bytes, &value);

	if (err)
		return err;
	value = (value & ~(qcow2_ref_mask(q) << shift)) | count << shift;
	v3_qcow2_put_be(buf, value, bytes);
	return v3_qcow2_meta_write(q, at, buf, bytes, false);
}

/* @p n clusters from number @p first on become part of the file, with a new meaning; zeros. */
static int qcow2_ref_claim(struct v3_qcow2 *q, uint64_t first, uint64_t n)
{
	uint64_t offset = first << q->cluster_bits, len = n << q->cluster_bits;

	v3_qcow2_meta_drop(q, offset, len);
	if (q->end < offset + len)
		q->end = offset + len;
	return v3_store_zero(&q->file, offset, len);
}

/* A block for a stretch of the file that has none: its first cluster becomes that block. */
static int qcow2_ref_new_block(struct v3_qcow2 *q, uint64_t index)
{
	uint64_t first = index * qcow2_ref_per_block(q), block = first << q->cluster_bits;
	int err;

	if (!first)
		return v3_qcow2_damaged(q, "the header is not counted, cluster", first);
	err = qcow2_ref_claim(q, first, 1);
	if (!err)
		err = qcow2_ref_put(q, block, 0, 1);
	if (!err)
		err = v3_store_flush(&q->file);
	if (!err)
		err = v3_qcow2_entry_put(q, q->ref_offset + index * 8, block, false);
	return err;
}

/* A larger table, and where it goes: behind all clusters that the old one can count. */
struct qcow2_ref_plan {
	uint64_t first;	  /* cluster: nblocks new blocks, which count themselves and ... */
	uint64_t nblocks; /* */
	uint64_t ntable;  /* ... the clusters of the table behind them */
};

static int qcow2_ref_make_plan(const struct v3_qcow2 *q, struct qcow2_ref_plan *plan)
{
	uint64_t entries = q->ref_entries + q->ref_entries / 2 + 8;
	uint64_t per = qcow2_ref_per_block(q);

	plan->first = q->ref_entries * per;
	plan->ntable = (entries * 8 + q->cluster - 1) >> q->cluster_bits;
	for (plan->nblocks = 1; plan->nblocks * per < plan->nblocks + plan->ntable;)
		plan->nblocks++;
	if (plan->ntable << q->cluster_bits > REF_TABLE_MAX ||
	    (plan->first + plan->nblocks + plan->ntable) << q->cluster_bits > QCOW2_OFFSET)
		return V3_ENOSPC;
	return V3_OK;
}

/* Write the new blocks and the new table. */
static int qcow2_ref_write_table(struct v3_qcow2 *q, const struct qcow2_ref_plan *plan)
{
	uint64_t per = qcow2_ref_per_block(q), i, n, old = q->ref_entries * 8;
	uint64_t blocks = plan->first << q->cluster_bits;
	uint64_t table = blocks + (plan->nblocks << q->cluster_bits);
	int err = qcow2_ref_claim(q, plan->first, plan->nblocks + plan->ntable);

	for (i = 0; i < plan->nblocks + plan->ntable && !err; i++)
		err = qcow2_ref_put(q, blocks + (i / per << q->cluster_bits), i % per, 1);
	for (i = 0; i < old && !err; i += n) {
		n = old - i < QCOW2_BOUNCE ? old - i : QCOW2_BOUNCE;
		err = v3_store_read(&q->file, q->ref_offset + i, q->bounce, n);
		if (!err)
			err = v3_store_write(&q->file, table + i, q->bounce, n);
	}
	for (i = 0; i < plan->nblocks && !err; i++)
		err = v3_qcow2_entry_put(q, table + old + i * 8, blocks + (i << q->cluster_bits),
					 false);
	return err ? err : v3_store_flush(&q->file);
}

/* Have the header refer to the new table, then free the old one. */
static int qcow2_ref_use_table(struct v3_qcow2 *q, const struct qcow2_ref_plan *plan)
{
	uint64_t old = q->ref_offset, old_len = q->ref_entries * 8, i;
	uint64_t table = (plan->first + plan->nblocks) << q->cluster_bits;
	uint8_t fields[12];
	int err;

	v3_qcow2_put_be(fields, table, 8);
	v3_qcow2_put_be(fields + 8, plan->ntable, 4);
	err = v3_store_write(&q->file, QCOW2_H_REFTABLE, fields, sizeof(fields));
	if (!err)
		err = v3_store_flush(&q->file);
	if (err)
		return err;
	q->ref_offset = table;
	q->ref_entries = (plan->ntable << q->cluster_bits) / 8;
	for (i = 0; i < old_len && !err; i += q->cluster)
		err = v3_qcow2_unref(q, old + i);
	return err;
}

static int qcow2_ref_grow(struct v3_qcow2 *q)
{
	struct qcow2_ref_plan plan;
	int err = qcow2_ref_make_plan(q, &plan);

	if (!err)
		err = qcow2_ref_write_table(q, &plan);
	if (!err)
		err = qcow2_ref_use_table(q, &plan);
	return err;
}

/* The first free cluster. What is not counted is free; behind the end of the file there must be something soon. */
static int qcow2_ref_find(struct v3_qcow2 *q, uint64_t *cluster)
{
	uint64_t c, limit = (q->end >> q->cluster_bits) + REF_LOOK_MAX, count = 1;
	int err = V3_OK;

	for (c = q->free_hint; c < limit; c++) {
		err = v3_qcow2_ref_get(q, c, &count);
		if (err || !count)
			break;
	}
	if (!err && count)
		err = v3_qcow2_damaged(q, "reference counts behind the end", limit);
	q->free_hint = *cluster = c;
	return err;
}

int v3_qcow2_alloc(struct v3_qcow2 *q, uint64_t *offset)
{
	uint64_t cluster = 0, block = 0, index;
	unsigned tries;
	int err;

	/* A new block or table takes clusters itself, then we look again. */
	for (tries = 0; tries < 4; tries++) {
		err = qcow2_ref_find(q, &cluster);
		if (!err)
			err = qcow2_ref_block(q, cluster, &block);
		if (err || block)
			break;
		index = cluster / qcow2_ref_per_block(q);
		err = index < q->ref_entries ? qcow2_ref_new_block(q, index) : qcow2_ref_grow(q);
		if (err)
			break;
	}
	if (!err && !block)
		err = v3_qcow2_damaged(q, "reference counts do not grow, cluster", cluster);
	if (!err)
		err = qcow2_ref_put(q, block, cluster % qcow2_ref_per_block(q), 1);
	if (err)
		return err;
	q->free_hint = cluster + 1;
	*offset = cluster << q->cluster_bits;
	v3_qcow2_meta_drop(q, *offset, q->cluster);
	if (q->end < *offset + q->cluster)
		q->end = *offset + q->cluster;
	return V3_OK;
}

int v3_qcow2_unref(struct v3_qcow2 *q, uint64_t offset)
{
	uint64_t cluster = offset >> q->cluster_bits, block, count;
	int err = v3_qcow2_ref_get(q, cluster, &count);

	if (err)
		return err;
	if (!count)
		return v3_qcow2_damaged(q, "a used cluster is not counted", offset);
	err = qcow2_ref_block(q, cluster, &block);
	if (!err)
		err = qcow2_ref_put(q, block, cluster % qcow2_ref_per_block(q), count - 1);
	if (!err && count == 1 && cluster < q->free_hint)
		q->free_hint = cluster;
	return err;
}
