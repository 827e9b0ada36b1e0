/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file qcow2_packed.c
 * Compressed clusters of a qcow2 image (specification, "Compressed Clusters Descriptor"): DEFLATE data at any byte, in
 * as many sectors of 512 bytes as the entry says. The last one that was read is kept, because disks are read in small
 * pieces. Called by qcow2.c and qcow2_open.c; calls the store.
 */
#include "devices/block/qcow2.h"

#include "palacios/error.h"
#include "palacios/util/str.h"
#include "palacios/vm.h"

#define PACKED_SECTOR 512u

int v3_qcow2_packed_place(const struct v3_qcow2 *q, uint64_t entry, uint64_t *at, uint64_t *len)
{
	const unsigned shift = 62 - (q->cluster_bits - 8); /* where the number of sectors begins */
	uint64_t sectors = (entry & ~QCOW2_COMPRESSED) >> shift;

	*at = entry & ((1ull << shift) - 1);
	*len = (sectors + 1) * PACKED_SECTOR - (*at & (PACKED_SECTOR - 1));
	/* The last sector may be the file's, which need not be whole. */
	if ((entry & QCOW2_COPIED) || *at < q->cluster || *at >= q->end || *len > q->end - *at)
		return v3_qcow2_damaged(q, "L2 entry", entry);
	return V3_OK;
}

static uint32_t qcow2_packed_pages(const struct v3_qcow2 *q)
{
	return (uint32_t)((q->cluster + V3_PAGE_SIZE - 1) / V3_PAGE_SIZE);
}

void v3_qcow2_packed_free(struct v3_qcow2 *q)
{
	if (!q->packed)
		return;
	v3_free_pages(q->packed->in, qcow2_packed_pages(q));
	v3_free_pages(q->packed->out, qcow2_packed_pages(q));
	v3_free(q->packed);
	q->packed = NULL;
}

static int qcow2_packed_begin(struct v3_qcow2 *q)
{
	if (q->packed)
		return V3_OK;
	q->packed = v3_alloc(sizeof(*q->packed));
	if (!q->packed)
		return V3_ENOMEM;
	q->packed->in = v3_alloc_pages(qcow2_packed_pages(q));
	q->packed->out = v3_alloc_pages(qcow2_packed_pages(q));
	if (q->packed->in && q->packed->out)
		return V3_OK;
	v3_qcow2_packed_free(q);
	return V3_ENOMEM;
}

/* Nobody writes to where compressed data lie as long as an entry refers to them: what is kept stays true. */
static int qcow2_packed_load(struct v3_qcow2 *q, uint64_t entry)
{
	uint64_t at = 0, len = 0;
	int err = v3_qcow2_packed_place(q, entry, &at, &len);

	if (!err)
		err = qcow2_packed_begin(q);
	if (err || q->packed->entry == entry)
		return err;
	q->packed->entry = 0;
	/* The sectors may be more than a cluster, the data are not: such a cluster is stored as it is. */
	if (len > q->cluster)
		len = q->cluster;
	err = v3_store_read(&q->file, at, q->packed->in, len);
	if (err)
		return err;
	if (v3_inflate(&q->packed->w, q->packed->in, len, q->packed->out, q->cluster) != V3_OK)
		return v3_qcow2_damaged(q, "compressed cluster at", at);
	q->packed->entry = entry;
	return V3_OK;
}

int v3_qcow2_packed_read(struct v3_qcow2 *q, uint64_t entry, uint64_t offset, void *buf, size_t len)
{
	int err = qcow2_packed_load(q, entry);

	if (!err)
		memcpy(buf, q->packed->out + offset, len);
	return err;
}
