/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file qcow2.c
 * The disk in a qcow2 image: from its offsets through L1 and L2 tables to clusters (specification, "Cluster mapping").
 * A cluster that may not be written in place - not there, compressed, below in the backing file, shared with a snapshot - is
 * made anew. Called by disks on files; calls the stores.
 */
#include "devices/block/qcow2.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

/* Where the cluster of an offset of the disk is described. */
struct qcow2_map {
	uint64_t l1_at;	   /* L1 entry's place in the file */
	uint64_t l1;	   /* its value */
	uint64_t entry_at; /* L2 entry's place; 0: there is no L2 table */
	uint64_t entry;	   /* its value; 0: not allocated */
	uint64_t cluster;  /* where its data are, 0: nowhere */
	uint64_t len;	   /* bytes of the file that they use; 0: nothing */
};

static bool qcow2_offset_bad(const struct v3_qcow2 *q, uint64_t offset)
{
	return offset && !v3_qcow2_is_cluster(q, offset);
}

/* What the L2 entry says. */
static int qcow2_parse_entry(const struct v3_qcow2 *q, struct qcow2_map *m)
{
	uint64_t known = QCOW2_OFFSET | QCOW2_COPIED | (q->version >= 3 ? QCOW2_ZERO : 0);

	if (m->entry & QCOW2_COMPRESSED)
		return v3_qcow2_packed_place(q, m->entry, &m->cluster, &m->len);
	m->cluster = m->entry & QCOW2_OFFSET;
	m->len = m->cluster ? q->cluster : 0;
	if ((m->entry & ~known) || qcow2_offset_bad(q, m->cluster))
		return v3_qcow2_damaged(q, "L2 entry", m->entry);
	return V3_OK;
}

/* It reads as zeros. Bit 0 of a compressed cluster's entry means something else. */
static bool qcow2_is_zero(const struct qcow2_map *m)
{
	return (m->entry & (QCOW2_ZERO | QCOW2_COMPRESSED)) == QCOW2_ZERO;
}

/* The L2 entry for an offset, given the table. */
static uint64_t qcow2_entry_at(const struct v3_qcow2 *q, uint64_t table, uint64_t offset)
{
	return table + (offset >> q->cluster_bits & (q->cluster / 8 - 1)) * 8;
}

static int qcow2_find(struct v3_qcow2 *q, uint64_t offset, struct qcow2_map *m)
{
	uint64_t table;
	int err;

	memset(m, 0, sizeof(*m));
	m->l1_at = q->l1_offset + (offset >> (2 * q->cluster_bits - 3)) * 8;
	err = v3_qcow2_entry_get(q, m->l1_at, &m->l1);
	if (err)
		return err;
	table = m->l1 & QCOW2_OFFSET;
	if ((m->l1 & ~(QCOW2_OFFSET | QCOW2_COPIED)) || qcow2_offset_bad(q, table))
		return v3_qcow2_damaged(q, "L1 entry", m->l1);
	if (!table)
		return V3_OK;
	m->entry_at = qcow2_entry_at(q, table, offset);
	err = v3_qcow2_entry_get(q, m->entry_at, &m->entry);
	return err ? err : qcow2_parse_entry(q, m);
}

/* Bytes from @p offset to the end of its cluster, at most @p len. */
static size_t qcow2_piece(const struct v3_qcow2 *q, uint64_t offset, uint64_t len)
{
	uint64_t left = q->cluster - (offset & (q->cluster - 1));

	return left < len ? left : len;
}

static int qcow2_check(const struct v3_qcow2 *q, uint64_t offset, uint64_t len, bool write)
{
	if (offset > q->size || len > q->size - offset)
		return V3_ERANGE;
	return write && q->read_only ? V3_EPERM : V3_OK;
}

/* ---- reading ---- */

/* What is below all images; zeros behind its end. */
static int qcow2_read_backing(const struct v3_qcow2 *q, uint64_t offset, uint8_t *buf, size_t len)
{
	size_t n = offset < q->backing_size && q->backing.ops ? q->backing_size - offset : 0;

	if (n > len)
		n = len;
	memset(buf + n, 0, len - n);
	return n ? v3_store_read(&q->backing, offset, buf, n) : V3_OK;
}

/* Read from the uppermost image that has something there. @p len in: at most, out: so much was read */
static int qcow2_read_some(struct v3_qcow2 *q, uint64_t offset, uint8_t *buf, size_t *len)
{
	struct qcow2_map m = {.entry = 0};
	int err = V3_OK;

	for (;; q = q->below) {
		*len = qcow2_piece(q, offset, *len);
		err = qcow2_find(q, offset, &m);
		if (err || qcow2_is_zero(&m) || m.cluster || !q->below)
			break;
		if (offset >= q->below->size) {
			m.entry = QCOW2_ZERO;
			break;
		}
		if (*len > q->below->size - offset)
			*len = q->below->size - offset;
	}
	if (err)
		return err;
	if (m.entry & QCOW2_COMPRESSED)
		return v3_qcow2_packed_read(q, m.entry, offset & (q->cluster - 1), buf, *len);
	if (m.cluster && !qcow2_is_zero(&m))
		return v3_store_read(&q->file, m.cluster + (offset & (q->cluster - 1)), buf, *len);
	if (!qcow2_is_zero(&m))
		return qcow2_read_backing(q, offset, buf, *len);
	memset(buf, 0, *len);
	return V3_OK;
}

int v3_qcow2_read(struct v3_qcow2 *q, uint64_t offset, void *buf, size_t len)
{
	int err = qcow2_check(q, offset, len, false);
	uint8_t *to = buf;
	size_t n;

	for (; !err && len; len -= n, offset += n, to += n) {
		n = len;
		err = qcow2_read_some(q, offset, to, &n);
	}
	return err;
}

/* ---- freeing ---- */

/* Everything kept is written, and what was given up is free. */
static int qcow2_settle(struct v3_qcow2 *q)
{
	int err = v3_qcow2_publish(q);

	if (!err && q->nfreed)
		err = v3_store_flush(&q->file);
	while (!err && q->nfreed)
		err = v3_qcow2_unref(q, q->freed[--q->nfreed]);
	return err;
}

/* One reference less to each cluster of the file that has some of the @p len bytes, once nothing on stable storage
 * refers to them. There is room: qcow2_make_room(). */
static void qcow2_give_up(struct v3_qcow2 *q, uint64_t offset, uint64_t len)
{
	uint64_t at;

	for (at = offset & ~(q->cluster - 1); at < offset + len; at += q->cluster)
		q->freed[q->nfreed++] = at;
}

/* Room for what one cluster's change gives up: an L2 table, and the cluster, which if compressed is in up to 3. */
static int qcow2_make_room(struct v3_qcow2 *q)
{
	return q->nfreed + 4 > QCOW2_FREED ? qcow2_settle(q) : V3_OK;
}

/* ---- writing ---- */

/* Copy from one place of the file to another. */
static int qcow2_copy_cluster(struct v3_qcow2 *q, uint64_t from, uint64_t to)
{
	uint64_t i, n;
	int err = V3_OK;

	for (i = 0; i < q->cluster && !err; i += n) {
		n = q->cluster - i < QCOW2_BOUNCE ? q->cluster - i : QCOW2_BOUNCE;
		err = v3_store_read(&q->file, from + i, q->bounce, n);
		if (!err)
			err = v3_store_write(&q->file, to + i, q->bounce, n);
	}
	return err;
}

/* Have an L2 table of our own for the cluster of @p offset: new, or a copy of the shared one. */
static int qcow2_own_table(struct v3_qcow2 *q, uint64_t offset, struct qcow2_map *m)
{
	uint64_t old = m->l1 & QCOW2_OFFSET, table;
	int err;

	if (old && (m->l1 & QCOW2_COPIED))
		return V3_OK;
	err = v3_qcow2_publish(q); /* the copy is made of what is in the file */
	if (!err)
		err = v3_qcow2_alloc(q, &table);
	if (err)
		return err;
	err = old ? qcow2_copy_cluster(q, old, table) : v3_store_zero(&q->file, table, q->cluster);
	if (!err)
		err = v3_qcow2_entry_put(q, m->l1_at, table | QCOW2_COPIED, true);
	if (err)
		return err; /* a cluster that nobody uses */
	qcow2_give_up(q, old, old ? q->cluster : 0);
	m->l1 = table | QCOW2_COPIED;
	m->entry_at = qcow2_entry_at(q, table, offset);
	return V3_OK;
}

/* Fill @p len bytes at @p to in the file with what the disk shows at @p offset; zeros behind its end. */
static int qcow2_fill(struct v3_qcow2 *q, uint64_t offset, uint64_t len, uint64_t to)
{
	uint64_t shown = offset < q->size ? q->size - offset : 0;
	size_t n;
	int err = V3_OK;

	if (shown < len)
		err = v3_store_zero(&q->file, to + shown, len - shown);
	else
		shown = len;
	for (; shown && !err; shown -= n, offset += n, to += n) {
		n = shown < QCOW2_BOUNCE ? shown : QCOW2_BOUNCE;
		err = qcow2_read_some(q, offset, q->bounce, &n);
		if (!err)
			err = v3_store_write(&q->file, to, q->bounce, n);
	}
	return err;
}

/* @p buf  NULL: zeros */
static int qcow2_put_data(struct v3_qcow2 *q, uint64_t at, const uint8_t *buf, size_t len)
{
	return buf ? v3_store_write(&q->file, at, buf, len) : v3_store_zero(&q->file, at, len);
}

/* Write a part of a cluster to a new one, the rest of which shows what the old one did. */
static int qcow2_write_new(struct v3_qcow2 *q, uint64_t offset, const uint8_t *buf, size_t len,
			   uint64_t to)
{
	uint64_t head = offset & (q->cluster - 1), tail = head + len;
	int err = qcow2_fill(q, offset - head, head, to);

	if (!err)
		err = qcow2_put_data(q, to + head, buf, len);
	if (!err)
		err = qcow2_fill(q, offset + len, q->cluster - tail, to + tail);
	return err;
}

/* Within one cluster. @p buf NULL: zeros */
static int qcow2_write_piece(struct v3_qcow2 *q, uint64_t offset, const uint8_t *buf, size_t len)
{
	struct qcow2_map m;
	uint64_t to;
	int err = qcow2_find(q, offset, &m);

	if (err)
		return err;
	if (m.cluster && (m.entry & QCOW2_COPIED) && (m.l1 & QCOW2_COPIED) && !qcow2_is_zero(&m))
		return qcow2_put_data(q, m.cluster + (offset & (q->cluster - 1)), buf, len);
	err = qcow2_make_room(q);
	if (!err)
		err = qcow2_own_table(q, offset, &m);
	if (!err)
		err = v3_qcow2_alloc(q, &to);
	if (err)
		return err;
	err = qcow2_write_new(q, offset, buf, len, to);
	if (!err)
		err = v3_qcow2_entry_put(q, m.entry_at, to | QCOW2_COPIED, true);
	if (err)
		return v3_qcow2_unref(q, to) ? V3_EIO : err;
	qcow2_give_up(q, m.cluster, m.len);
	return V3_OK;
}

int v3_qcow2_write(struct v3_qcow2 *q, uint64_t offset, const void *buf, size_t len)
{
	int err = qcow2_check(q, offset, len, true);
	const uint8_t *from = buf;
	size_t n;

	for (; !err && len; len -= n, offset += n, from += n) {
		n = qcow2_piece(q, offset, len);
		err = qcow2_write_piece(q, offset, from, n);
	}
	return err;
}

/* ---- zeros ---- */

/* Give a whole cluster up and have it read as zeros. @p discard: or leave it, where that takes an allocation */
static int qcow2_clear_cluster(struct v3_qcow2 *q, uint64_t offset, size_t len, bool discard)
{
	bool covers = offset < q->backing_size; /* something below would show */
	struct qcow2_map m;
	int err = qcow2_find(q, offset, &m);

	if (err || (!m.cluster && (!covers || qcow2_is_zero(&m))))
		return err;
	if (covers && q->version < 3)
		return discard ? V3_OK : qcow2_write_piece(q, offset, NULL, len);
	err = qcow2_make_room(q);
	if (!err)
		err = qcow2_own_table(q, offset, &m);
	if (!err)
		err = v3_qcow2_entry_put(q, m.entry_at, covers ? QCOW2_ZERO : 0, true);
	if (!err)
		qcow2_give_up(q, m.cluster, m.len);
	return err;
}

/* Make a part of a cluster zeros, unless it shows them already. */
static int qcow2_clear_part(struct v3_qcow2 *q, uint64_t offset, size_t len)
{
	struct qcow2_map m;
	int err = qcow2_find(q, offset, &m);

	if (err || qcow2_is_zero(&m) || (!m.cluster && offset >= q->backing_size))
		return err;
	return qcow2_write_piece(q, offset, NULL, len);
}

static int qcow2_clear(struct v3_qcow2 *q, uint64_t offset, uint64_t len, bool discard)
{
	int err = qcow2_check(q, offset, len, true);
	size_t n;

	for (; !err && len; len -= n, offset += n) {
		n = qcow2_piece(q, offset, len);
		/* What is behind the end of the disk may go with its last cluster. */
		if (n == q->cluster || (!(offset & (q->cluster - 1)) && offset + n == q->size))
			err = qcow2_clear_cluster(q, offset, n, discard);
		else if (!discard)
			err = qcow2_clear_part(q, offset, n);
	}
	return err;
}

int v3_qcow2_zero(struct v3_qcow2 *q, uint64_t offset, uint64_t len)
{
	return qcow2_clear(q, offset, len, false);
}

int v3_qcow2_discard(struct v3_qcow2 *q, uint64_t offset, uint64_t len)
{
	return qcow2_clear(q, offset, len, true);
}

int v3_qcow2_flush(struct v3_qcow2 *q)
{
	int err = qcow2_settle(q);

	return err ? err : v3_store_flush(&q->file);
}

uint64_t v3_qcow2_size(const struct v3_qcow2 *q)
{
	return q->size;
}
