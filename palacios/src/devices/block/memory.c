/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file memory.c
 * Disks in memory, done at once. One table of clusters serves every kind: a cluster that was never written
 * shows the image, or zeros where there is none. So a RAM disk is an overlay over nothing, and a read-only disk
 * one whose table stays empty. Called by blk.c; calls the host's page allocator.
 *
 * The lock is held for one cluster at a time: while its memory is looked up, copied and perhaps given back.
 */
#include "devices/block/blk.h"

#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/util/str.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "blk"

#define MEMORY_CLUSTER	     0x10000u
#define MEMORY_CLUSTER_PAGES (MEMORY_CLUSTER / (uint32_t)V3_PAGE_SIZE)
#define MEMORY_PER_LEAF	     512u /* clusters: one page of pointers */
#define MEMORY_LEAF_BYTES    ((uint64_t)MEMORY_PER_LEAF * MEMORY_CLUSTER)

_Static_assert(V3_BLK_MAX_SIZE / MEMORY_LEAF_BYTES * sizeof(void *) <= 32768, "one v3_alloc()");

struct memory {
	struct v3_blk blk;
	const uint8_t *base; /* not owned, the container's; NULL: none */
	uint64_t base_len;
	uint32_t nleaves;
	struct v3_lock lock; /* guards the table and what it points to */
	/* owned: pages of MEMORY_PER_LEAF pointers to clusters, NULL: none written there */
	uint8_t ***leaf;
};

static struct memory *memory_of(void *state)
{
	return V3_CONTAINER((struct v3_blk *)state, struct memory, blk);
}

/* Instead of a pointer to a cluster: reads as zeros, whatever the image has there. */
static uint8_t *memory_zeroed(void)
{
	static const uint8_t zeroed;

	return (uint8_t *)(uintptr_t)&zeroed;
}

/* Where the table has the cluster's pointer; NULL: its leaf does not exist and was not asked for or not to be had. */
static uint8_t **memory_slot(struct memory *m, uint64_t cluster, bool make)
{
	uint8_t ***leaf = &m->leaf[cluster / MEMORY_PER_LEAF];

	if (!*leaf && make)
		*leaf = v3_alloc_pages(1);
	return *leaf ? *leaf + cluster % MEMORY_PER_LEAF : NULL;
}

static uint8_t *memory_cluster(struct memory *m, uint64_t cluster)
{
	uint8_t **slot = memory_slot(m, cluster, false);

	return slot ? *slot : NULL;
}

/* Copy what the image has at @p offset; zeros behind its end. */
static void memory_copy_base(const struct memory *m, uint64_t offset, uint8_t *buf, size_t len)
{
	size_t n = offset < m->base_len ? m->base_len - offset : 0;

	if (n > len)
		n = len;
	if (n)
		memcpy(buf, m->base + offset, n);
	memset(buf + n, 0, len - n);
}

/* The cluster's own memory, made on first use with what it showed before. NULL: the host has none. */
static uint8_t *memory_own(struct memory *m, uint64_t cluster)
{
	uint8_t **slot = memory_slot(m, cluster, true);
	uint8_t *data;

	if (slot && *slot && *slot != memory_zeroed())
		return *slot;
	data = slot ? v3_alloc_pages(MEMORY_CLUSTER_PAGES) : NULL;
	if (!data) {
		V3_GUEST_WARN(m->blk.vm, "no memory for what the guest writes at %#llx",
			      (unsigned long long)(cluster * MEMORY_CLUSTER));
		return NULL;
	}
	if (!*slot)
		memory_copy_base(m, cluster * MEMORY_CLUSTER, data, MEMORY_CLUSTER);
	*slot = data;
	return data;
}

/* Make a whole cluster zeros. */
static int memory_zero_cluster(struct memory *m, uint64_t cluster)
{
	bool over_base = cluster * MEMORY_CLUSTER < m->base_len;
	uint8_t **slot = memory_slot(m, cluster, over_base);

	if (!slot)
		return over_base ? V3_ENOMEM : V3_OK;
	if (*slot && *slot != memory_zeroed())
		v3_free_pages(*slot, MEMORY_CLUSTER_PAGES);
	*slot = over_base ? memory_zeroed() : NULL;
	return V3_OK;
}

/* Make a part of a cluster zeros; it stays without memory if it reads as zeros already. */
static int memory_zero_part(struct memory *m, uint64_t offset, size_t len)
{
	uint64_t cluster = offset / MEMORY_CLUSTER;
	uint8_t *data = memory_cluster(m, cluster);

	if (data == memory_zeroed() || (!data && cluster * MEMORY_CLUSTER >= m->base_len))
		return V3_OK;
	data = memory_own(m, cluster);
	if (!data)
		return V3_ENOMEM;
	memset(data + offset % MEMORY_CLUSTER, 0, len);
	return V3_OK;
}

/* What is done to one cluster. @param p  host memory of READ and WRITE */
static int memory_cluster_op(struct memory *m, enum v3_blk_op op, uint64_t offset, uint8_t *p,
			     size_t len)
{
	uint64_t cluster = offset / MEMORY_CLUSTER;
	uint8_t *data;

	switch (op) {
	case V3_BLK_READ:
		data = memory_cluster(m, cluster);
		if (!data)
			memory_copy_base(m, offset, p, len);
		else if (data == memory_zeroed())
			memset(p, 0, len);
		else
			memcpy(p, data + offset % MEMORY_CLUSTER, len);
		return V3_OK;
	case V3_BLK_WRITE:
		data = memory_own(m, cluster);
		if (!data)
			return V3_ENOMEM;
		memcpy(data + offset % MEMORY_CLUSTER, p, len);
		return V3_OK;
	default:
		/* What is behind the end of the disk may go with its last cluster. */
		if (len == MEMORY_CLUSTER ||
		    (offset % MEMORY_CLUSTER == 0 && offset + len == m->blk.size))
			return memory_zero_cluster(m, cluster);
		return memory_zero_part(m, offset, len);
	}
}

/* Do @p op to a range, cluster by cluster. @param p  as above, NULL if there is none */
static int memory_range(struct memory *m, enum v3_blk_op op, uint64_t offset, uint8_t *p,
			uint64_t len)
{
	unsigned long flags;
	int err = V3_OK;
	size_t n;

	for (; !err && len; len -= n, offset += n) {
		n = MEMORY_CLUSTER - offset % MEMORY_CLUSTER;
		if (n > len)
			n = len;
		flags = v3_lock_acquire(&m->lock);
		err = memory_cluster_op(m, op, offset, p, n);
		v3_lock_release(&m->lock, flags);
		if (p)
			p += n;
	}
	return err;
}

static int memory_submit(struct v3_blk *blk, struct v3_blk_req *req)
{
	struct memory *m = memory_of(blk);
	uint64_t offset = req->offset;
	int err = V3_OK;
	uint32_t i;

	switch (req->op) {
	case V3_BLK_READ:
	case V3_BLK_WRITE:
		for (i = 0; !err && i < req->npieces; i++) {
			err = memory_range(m, req->op, offset, req->piece[i].p, req->piece[i].len);
			offset += req->piece[i].len;
		}
		return err;
	case V3_BLK_ZERO:
	case V3_BLK_DISCARD:
		return memory_range(m, req->op, offset, NULL, req->len);
	case V3_BLK_FLUSH: /* memory is as safe as it ever gets */
		return V3_OK;
	}
	return V3_EINVAL;
}

/* ---- contents, for who saves or loads them, while nobody uses the disk ---- */

/* The image again, as if nothing had ever been written. */
static void memory_clear(void *state)
{
	struct memory *m = memory_of(state);
	uint32_t i, k;

	for (i = 0; i < m->nleaves; i++) {
		for (k = 0; m->leaf[i] && k < MEMORY_PER_LEAF; k++) {
			uint8_t *data = m->leaf[i][k];

			if (data && data != memory_zeroed())
				v3_free_pages(data, MEMORY_CLUSTER_PAGES);
		}
		if (m->leaf[i])
			v3_free_pages(m->leaf[i], 1);
		m->leaf[i] = NULL;
	}
}

static bool memory_has(const struct memory *m, uint64_t cluster)
{
	return cluster < (m->blk.size + MEMORY_CLUSTER - 1) / MEMORY_CLUSTER;
}

static bool memory_next(void *state, struct v3_save_chunk *c)
{
	struct memory *m = memory_of(state);
	const uint8_t *data = NULL;

	for (; memory_has(m, c->number) && !data; c->number += !data) {
		if (!m->leaf[c->number / MEMORY_PER_LEAF]) /* to the last one of the leaf */
			c->number |= MEMORY_PER_LEAF - 1;
		else
			data = memory_cluster(m, c->number);
	}
	c->bytes = data == memory_zeroed() ? NULL : data;
	return data != NULL;
}

static int memory_put(void *state, const struct v3_save_chunk *c)
{
	struct memory *m = memory_of(state);
	uint8_t *data;

	if (!memory_has(m, c->number) || m->blk.read_only)
		return V3_EINVAL;
	if (!c->bytes)
		return memory_zero_cluster(m, c->number);
	data = memory_own(m, c->number);
	if (!data)
		return V3_ENOMEM;
	memcpy(data, c->bytes, MEMORY_CLUSTER);
	return V3_OK;
}

static const struct v3_save_chunks memory_contents = {
	.size = MEMORY_CLUSTER,
	.next = memory_next,
	.clear = memory_clear,
	.put = memory_put,
};

/* ---- open and close ---- */

static void memory_close(struct v3_blk *blk)
{
	struct memory *m = memory_of(blk);

	if (m->leaf)
		memory_clear(blk);
	v3_free(m->leaf);
	v3_lock_destroy(&m->lock);
	v3_free(m);
}

static int memory_configure(struct memory *m, const struct v3_cfg *cfg)
{
	uint64_t size = v3_cfg_uint(cfg, "size");
	struct v3_blk *blk = &m->blk;
	size_t len = 0;

	blk->read_only = v3_cfg_bool(cfg, "read_only");
	if (v3_cfg_has(cfg, "image")) {
		m->base = v3_vm_file(blk->vm, v3_cfg_string(cfg, "image"), &len);
		if (!m->base)
			return V3_ENOENT;
		m->base_len = len;
	}
	blk->size = (len + V3_BLK_SECTOR - 1) & ~(uint64_t)(V3_BLK_SECTOR - 1);
	if (blk->size < size)
		blk->size = size & ~(uint64_t)(V3_BLK_SECTOR - 1);
	if (blk->size > V3_BLK_MAX_SIZE)
		return V3_E2BIG;
	if (!blk->size || (blk->read_only && !m->base)) {
		V3_ERR(blk->vm, "a disk needs an image that is not empty, or a size to write to");
		return V3_EINVAL;
	}
	return V3_OK;
}

int v3_blk_memory_open(struct v3_vm *vm, const struct v3_cfg *cfg, struct v3_blk **out)
{
	static const struct v3_blk_ops ops = {
		.submit = memory_submit, .contents = &memory_contents, .close = memory_close};
	struct memory *m;
	int err;

	m = v3_alloc(sizeof(*m));
	if (!m)
		return V3_ENOMEM;
	m->blk.ops = &ops;
	m->blk.vm = vm;
	err = memory_configure(m, cfg);
	if (!err)
		err = v3_lock_init(&m->lock);
	if (!err) {
		m->nleaves = (uint32_t)((m->blk.size + MEMORY_LEAF_BYTES - 1) / MEMORY_LEAF_BYTES);
		m->leaf = v3_alloc(m->nleaves * sizeof(m->leaf[0]));
		if (!m->leaf)
			err = V3_ENOMEM;
	}
	if (err) {
		memory_close(&m->blk);
		return err;
	}
	*out = &m->blk;
	return V3_OK;
}
