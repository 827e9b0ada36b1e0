/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file blk.c
 * Disks as their controllers see them (palacios/blk.h): checks what every back end would have to check, and hands the
 * request on. Called by the disk controllers; calls the back end.
 */
#include "devices/block/blk.h"

#include "palacios/error.h"

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
