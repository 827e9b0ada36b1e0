/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file blk.c
 * Disks as their controllers see them (palacios/blk.h): checks what every back end would have to check, and hands the
 * request on. Called by the disk controllers; calls the back end.
 */
#include "devices/block/blk.h"

#include "palacios/error.h"
#include "palacios/log.h"

#define V3_LOG_TAG "blk"

int v3_blk_submit(struct v3_blk *blk, struct v3_blk_req *req)
{
	if (req->op != V3_BLK_FLUSH) {
		if (req->offset > blk->size || req->len > blk->size - req->offset)
			return V3_ERANGE;
		if (req->op != V3_BLK_READ && blk->read_only)
			return V3_EPERM;
	}
	return blk->ops->submit(blk, req);
}

void v3_blk_drain(struct v3_blk *blk)
{
	if (blk->ops->drain)
		blk->ops->drain(blk);
}

uint64_t v3_blk_size(const struct v3_blk *blk)
{
	return blk->size;
}

bool v3_blk_read_only(const struct v3_blk *blk)
{
	return blk->read_only;
}

void v3_blk_close(struct v3_blk *blk)
{
	if (blk)
		blk->ops->close(blk);
}

/* ---- saved state ---- */

static void blk_flushed(struct v3_blk_req *req, int err)
{
	*(int *)req->priv = err;
}

/* A flush is for what was done before: that comes first. */
static void blk_save_settle(void *state)
{
	int err, result = V3_OK;
	struct v3_blk_req req = {.op = V3_BLK_FLUSH, .done = blk_flushed, .priv = &result};
	struct v3_blk *blk = state;

	v3_blk_drain(blk);
	err = v3_blk_submit(blk, &req);
	v3_blk_drain(blk);
	if (err == V3_BLK_PENDING)
		err = result;
	if (err)
		V3_ERR(blk->vm, "what is saved may not fit the disk, its flush failed: %s",
		       v3_strerror(err));
}

static const struct v3_save_chunks *blk_chunks(void *state)
{
	const struct v3_blk *blk = state;

	return blk->ops->contents;
}

static const struct v3_save_field blk_fields[] = {
	V3_SAVE_NOT(struct v3_blk, ops),
	V3_SAVE_NOT(struct v3_blk, vm),
	V3_SAVE_NOT(struct v3_blk, size),
	V3_SAVE_NOT(struct v3_blk, read_only),
	V3_SAVE_END,
};
const struct v3_save_table v3_blk_save = {
	.fields = blk_fields,
	.size = sizeof(struct v3_blk),
	.settle = blk_save_settle,
	.chunks = blk_chunks,
};
