/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file blk.c
 * Disks in memory (palacios/blk.h). One table of clusters serves every kind: a cluster that was never written
 * shows the image, or zeros where there is none. So a RAM disk is an overlay over nothing, and a read-only disk
 * one whose table stays empty. Called by the disk controllers; calls the host's page allocator.
 */
#include "palacios/blk.h"

#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/util/str.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "blk"

#define BLK_CLUSTER	  0x10000u
#define BLK_CLUSTER_PAGES (BLK_CLUSTER / (uint32_t)V3_PAGE_SIZE)
#define BLK_PER_LEAF	  512u /* clusters: one page of pointers */
#define BLK_LEAF_BYTES	  ((uint64_t)BLK_PER_LEAF * BLK_CLUSTER)

_Static_assert(V3_BLK_MAX_SIZE / BLK_LEAF_BYTES * sizeof(void *) <= 32768, "one v3_alloc()");

struct v3_blk {
	struct v3_vm *vm;    /* not owned; outlives the disk */
	const uint8_t *base; /* not owned, the container's; NULL: none */
	uint64_t base_len;
	uint64_t size;
	bool read_only;
	uint32_t nleaves;
	uint8_t ***
		leaf; /* owned: pages of BLK_PER_LEAF pointers to clusters, NULL: none written there */
};

/* Instead of a pointer to a cluster: reads as zeros, whatever the image has there. */
static uint8_t *blk_zeroed(void)
{
	static const uint8_t zeroed;

	return (uint8_t *)(uintptr_t)&zeroed;
}

/* Where the table has the cluster's pointer; NULL: its leaf does not exist and was not asked for or not to be had. */
static uint8_t **blk_slot(struct v3_blk *blk, uint64_t cluster, bool make)
{
	uint8_t ***leaf = &blk->leaf[cluster / BLK_PER_LEAF];

	if (!*leaf && make)
		*leaf = v3_alloc_pages(1);
	return *leaf ? *leaf + cluster % BLK_PER_LEAF : NULL;
}

static uint8_t *blk_cluster(struct v3_blk *blk, uint64_t cluster)
{
	uint8_t **slot = blk_slot(blk, cluster, false);

	return slot ? *slot : NULL;
}

/* Copy what the image has at @p offset; zeros behind its end. */
static void blk_copy_base(const struct v3_blk *blk, uint64_t offset, uint8_t *buf, size_t len)
{
	size_t n = offset < blk->base_len ? blk->base_len - offset : 0;

	if (n > len)
		n = len;
	if (n)
		memcpy(buf, blk->base + offset, n);
	memset(buf + n, 0, len - n);
}

/* The cluster's own memory, made on first use with what it showed before. NULL: the host has none. */
static uint8_t *blk_own(struct v3_blk *blk, uint64_t cluster)
{
	uint8_t **slot = blk_slot(blk, cluster, true);
	uint8_t *data;

	if (slot && *slot && *slot != blk_zeroed())
		return *slot;
	data = slot ? v3_alloc_pages(BLK_CLUSTER_PAGES) : NULL;
	if (!data) {
		V3_GUEST_WARN(blk->vm, "no memory for what the guest writes at %#llx",
			      (unsigned long long)(cluster * BLK_CLUSTER));
		return NULL;
	}
	if (!*slot)
		blk_copy_base(blk, cluster * BLK_CLUSTER, data, BLK_CLUSTER);
	*slot = data;
	return data;
}

/* Make a whole cluster zeros. */
static int blk_zero_cluster(struct v3_blk *blk, uint64_t cluster)
{
	bool over_base = cluster * BLK_CLUSTER < blk->base_len;
	uint8_t **slot = blk_slot(blk, cluster, over_base);

	if (!slot)
		return over_base ? V3_ENOMEM : V3_OK;
	if (*slot && *slot != blk_zeroed())
		v3_free_pages(*slot, BLK_CLUSTER_PAGES);
	*slot = over_base ? blk_zeroed() : NULL;
	return V3_OK;
}

/* Make a part of a cluster zeros; it stays without memory if it reads as zeros already. */
static int blk_zero_part(struct v3_blk *blk, uint64_t offset, size_t len)
{
	uint64_t cluster = offset / BLK_CLUSTER;
	uint8_t *data = blk_cluster(blk, cluster);

	if (data == blk_zeroed() || (!data && cluster * BLK_CLUSTER >= blk->base_len))
		return V3_OK;
	data = blk_own(blk, cluster);
	if (!data)
		return V3_ENOMEM;
	memset(data + offset % BLK_CLUSTER, 0, len);
	return V3_OK;
}

/* Bytes from @p offset to the end of its cluster, at most @p len. */
static size_t blk_piece(uint64_t offset, uint64_t len)
{
	uint64_t left = BLK_CLUSTER - offset % BLK_CLUSTER;

	return left < len ? left : len;
}

static int blk_check(const struct v3_blk *blk, uint64_t offset, uint64_t len, bool write)
{
	if (offset > blk->size || len > blk->size - offset)
		return V3_ERANGE;
	return write && blk->read_only ? V3_EPERM : V3_OK;
}

int v3_blk_read(struct v3_blk *blk, uint64_t offset, void *buf, size_t len)
{
	int err = blk_check(blk, offset, len, false);
	uint8_t *to = buf, *data;
	size_t n;

	for (; !err && len; len -= n, offset += n, to += n) {
		n = blk_piece(offset, len);
		data = blk_cluster(blk, offset / BLK_CLUSTER);
		if (!data)
			blk_copy_base(blk, offset, to, n);
		else if (data == blk_zeroed())
			memset(to, 0, n);
		else
			memcpy(to, data + offset % BLK_CLUSTER, n);
	}
	return err;
}

int v3_blk_write(struct v3_blk *blk, uint64_t offset, const void *buf, size_t len)
{
	int err = blk_check(blk, offset, len, true);
	const uint8_t *from = buf;
	uint8_t *data;
	size_t n;

	for (; !err && len; len -= n, offset += n, from += n) {
		n = blk_piece(offset, len);
		data = blk_own(blk, offset / BLK_CLUSTER);
		if (!data)
			return V3_ENOMEM;
		memcpy(data + offset % BLK_CLUSTER, from, n);
	}
	return err;
}

int v3_blk_zero(struct v3_blk *blk, uint64_t offset, uint64_t len)
{
	int err = blk_check(blk, offset, len, true);
	size_t n;

	for (; !err && len; len -= n, offset += n) {
		n = blk_piece(offset, len);
		/* What is behind the end of the disk may go with its last cluster. */
		if (n == BLK_CLUSTER || (offset % BLK_CLUSTER == 0 && offset + n == blk->size))
			err = blk_zero_cluster(blk, offset / BLK_CLUSTER);
		else
			err = blk_zero_part(blk, offset, n);
	}
	return err;
}

/* Memory is as safe as it ever gets. */
int v3_blk_flush(struct v3_blk *blk)
{
	(void)blk;
	return V3_OK;
}

uint64_t v3_blk_size(const struct v3_blk *blk)
{
	return blk->size;
}

bool v3_blk_read_only(const struct v3_blk *blk)
{
	return blk->read_only;
}

/* ---- open and close ---- */

static int blk_configure(struct v3_blk *blk, const struct v3_cfg *cfg)
{
	uint64_t size = v3_cfg_uint(cfg, "size");
	size_t len = 0;

	blk->read_only = v3_cfg_bool(cfg, "read_only");
	if (v3_cfg_has(cfg, "image")) {
		blk->base = v3_vm_file(blk->vm, v3_cfg_string(cfg, "image"), &len);
		if (!blk->base)
			return V3_ENOENT;
		blk->base_len = len;
	}
	blk->size = (len + V3_BLK_SECTOR - 1) & ~(uint64_t)(V3_BLK_SECTOR - 1);
	if (blk->size < size)
		blk->size = size & ~(uint64_t)(V3_BLK_SECTOR - 1);
	if (blk->size > V3_BLK_MAX_SIZE)
		return V3_E2BIG;
	if (!blk->size || (blk->read_only && !blk->base)) {
		V3_ERR(blk->vm, "a disk needs an image that is not empty, or a size to write to");
		return V3_EINVAL;
	}
	return V3_OK;
}

int v3_blk_open(struct v3_vm *vm, const struct v3_cfg *cfg, struct v3_blk **out)
{
	struct v3_blk *blk;
	int err;

	blk = v3_alloc(sizeof(*blk));
	if (!blk)
		return V3_ENOMEM;
	blk->vm = vm;
	err = blk_configure(blk, cfg);
	if (err)
		goto free_blk;
	blk->nleaves = (uint32_t)((blk->size + BLK_LEAF_BYTES - 1) / BLK_LEAF_BYTES);
	blk->leaf = v3_alloc(blk->nleaves * sizeof(blk->leaf[0]));
	if (!blk->leaf) {
		err = V3_ENOMEM;
		goto free_blk;
	}
	*out = blk;
	return V3_OK;

free_blk:
	v3_free(blk);
	return err;
}

void v3_blk_close(struct v3_blk *blk)
{
	uint32_t i, k;

	if (!blk)
		return;
	for (i = 0; i < blk->nleaves; i++) {
		for (k = 0; blk->leaf[i] && k < BLK_PER_LEAF; k++) {
			uint8_t *data = blk->leaf[i][k];

			if (data && data != blk_zeroed())
				v3_free_pages(data, BLK_CLUSTER_PAGES);
		}
		if (blk->leaf[i])
			v3_free_pages(blk->leaf[i], 1);
	}
	v3_free(blk->leaf);
	v3_free(blk);
}
