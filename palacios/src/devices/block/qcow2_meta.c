/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file qcow2_meta.c
 * Tables of a qcow2 image through a small cache of slices, each at one place only. Slices never reach over the end of
 * a cluster, so each belongs to one table. Called by the rest of qcow2; calls the store.
 */
#include "devices/block/qcow2.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

static uint8_t *qcow2_slice_bytes(const struct v3_qcow2 *q, unsigned i)
{
	return q->slices + (size_t)i * q->slice_bytes;
}

/* Where the slice at @p offset is kept if it is. */
static unsigned qcow2_slice_index(const struct v3_qcow2 *q, uint64_t offset)
{
	return (unsigned)((offset / q->slice_bytes * 0x9e3779b97f4a7c15ull) >> 58) % QCOW2_SLICES;
}

static uint64_t qcow2_slice_offset(const struct v3_qcow2 *q, uint64_t offset)
{
	return offset & ~(uint64_t)(q->slice_bytes - 1);
}

int v3_qcow2_publish(struct v3_qcow2 *q)
{
	unsigned i;
	int err;

	if (!q->ndirty)
		return V3_OK;
	err = v3_store_flush(&q->file);
	for (i = 0; i < QCOW2_SLICES && !err; i++) {
		if (!q->slice[i].dirty)
			continue;
		err = v3_store_write(&q->file, q->slice[i].offset, qcow2_slice_bytes(q, i),
				     q->slice_bytes);
		if (err)
			break;
		q->slice[i].dirty = false;
		q->ndirty--;
	}
	return err;
}

/* The bytes at @p offset and the index of their slice; valid until the next call. */
static int qcow2_slice_load(struct v3_qcow2 *q, uint64_t offset, unsigned *index, uint8_t **bytes)
{
	uint64_t at = qcow2_slice_offset(q, offset);
	unsigned i = qcow2_slice_index(q, offset);
	struct qcow2_slice *slice = &q->slice[i];
	int err = V3_OK;

	*index = i;
	*bytes = qcow2_slice_bytes(q, i) + (offset - at);
	if (slice->offset == at)
		return V3_OK;
	if (slice->dirty)
		err = v3_qcow2_publish(q);
	if (err)
		return err;
	slice->offset = QCOW2_NONE;
	err = v3_store_read(&q->file, at, qcow2_slice_bytes(q, i), q->slice_bytes);
	if (!err)
		slice->offset = at;
	return err;
}

int v3_qcow2_meta_read(struct v3_qcow2 *q, uint64_t offset, void *buf, uint32_t len)
{
	uint8_t *bytes;
	unsigned i;
	int err = qcow2_slice_load(q, offset, &i, &bytes);

	if (!err)
		memcpy(buf, bytes, len);
	return err;
}

int v3_qcow2_meta_write(struct v3_qcow2 *q, uint64_t offset, const void *buf, uint32_t len,
			bool later)
{
	uint8_t *bytes;
	unsigned i;
	int err = qcow2_slice_load(q, offset, &i, &bytes);

	if (!err && !later)
		err = v3_store_write(&q->file, offset, buf, len);
	if (err)
		return err;
	memcpy(bytes, buf, len);
	if (later && !q->slice[i].dirty) {
		q->slice[i].dirty = true;
		q->ndirty++;
	}
	return V3_OK;
}

int v3_qcow2_entry_get(struct v3_qcow2 *q, uint64_t offset, uint64_t *value)
{
	uint8_t bytes[8];
	int err = v3_qcow2_meta_read(q, offset, bytes, sizeof(bytes));

	if (!err)
		*value = v3_qcow2_be64(bytes);
	return err;
}

int v3_qcow2_entry_put(struct v3_qcow2 *q, uint64_t offset, uint64_t value, bool later)
{
	uint8_t bytes[8];

	v3_qcow2_put_be(bytes, value, sizeof(bytes));
	return v3_qcow2_meta_write(q, offset, bytes, sizeof(bytes), later);
}

void v3_qcow2_meta_drop(struct v3_qcow2 *q, uint64_t offset, uint64_t len)
{
	unsigned i;

	for (i = 0; i < QCOW2_SLICES; i++) {
		if (q->slice[i].offset - offset >= len)
			continue;
		q->slice[i].offset = QCOW2_NONE;
		if (q->slice[i].dirty)
			q->ndirty--;
		q->slice[i].dirty = false;
	}
}
