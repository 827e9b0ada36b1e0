/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file open.c
 * Chooses the back end of a disk by the keys of its definition. Called by the disk controllers in create; calls the
 * back ends. A file of its own, so that a unit test can put a back end of its own in the place of all of them.
 */
#include "devices/block/blk.h"

int v3_blk_open(struct v3_vm *vm, const struct v3_cfg *cfg, struct v3_blk **blk)
{
	return v3_cfg_has(cfg, "file") ? v3_blk_file_open(vm, cfg, blk)
				       : v3_blk_memory_open(vm, cfg, blk);
}
