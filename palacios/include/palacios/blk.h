/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file blk.h
 * Disks: what is behind a disk controller. A disk's contents come from a file packed with the guest definition,
 * from memory, or from both: what the guest writes is kept in memory, over the file, until the VM is destroyed
 * (a reset keeps it).
 *
 * Context: v3_blk_open() and v3_blk_close() while no vcpu runs. The others: thread or atomic, never sleeping; the
 * owner of a disk makes one call at a time.
 */
#ifndef PALACIOS_BLK_H
#define PALACIOS_BLK_H

#include "palacios/config.h"
#include "palacios/types.h"

struct v3_blk;
struct v3_vm;

#define V3_BLK_SECTOR	512u
#define V3_BLK_MAX_SIZE (128ull << 30)

/**
 * Keys of the guest definition that describe a disk, for the key table of every class that has one:
 * image: file the disk begins with; size: at least this large, zeros behind the image; read_only.
 */
#define V3_BLK_KEYS                                                                                \
	{.name = "image", .type = V3_CFG_FILE},                                                    \
		{.name = "size", .type = V3_CFG_SIZE, .low = 4096, .high = V3_BLK_MAX_SIZE},       \
	{                                                                                          \
		.name = "read_only", .type = V3_CFG_BOOL                                           \
	}

/**
 * Make the disk that a table of the definition describes.
 *
 * It is as long as the image, rounded up to a sector, or as "size" says if that is more. Memory is taken as the
 * guest writes, 64 KiB at a time.
 *
 * @param cfg  a table checked against keys with V3_BLK_KEYS among them
 * @param blk  the disk
 * @return V3_OK; V3_EINVAL: neither image nor size, an empty image, or read_only without an image; V3_ENOENT: no
 *         such file in the container; V3_E2BIG: the image is longer than V3_BLK_MAX_SIZE; V3_ENOMEM.
 */
int v3_blk_open(struct v3_vm *vm, const struct v3_cfg *cfg, struct v3_blk **blk);
/** Forget it and everything written to it. NULL is allowed. */
void v3_blk_close(struct v3_blk *blk);

/** Length in bytes, a multiple of V3_BLK_SECTOR. */
uint64_t v3_blk_size(const struct v3_blk *blk);
/** Are writes refused? */
bool v3_blk_read_only(const struct v3_blk *blk);

/**
 * Copy from or to the disk; any alignment.
 * @return V3_OK; V3_ERANGE: not within the disk (nothing is done); V3_EPERM: read-only; V3_ENOMEM: the host has no
 *         memory left for what is written (a part may have been).
 */
int v3_blk_read(struct v3_blk *blk, uint64_t offset, void *buf, size_t len);
int v3_blk_write(struct v3_blk *blk, uint64_t offset, const void *buf, size_t len);
/** Make a range read as zeros and give its memory back where that is possible. Same results. */
int v3_blk_zero(struct v3_blk *blk, uint64_t offset, uint64_t len);
/** Everything written so far is as safe as it gets. @return V3_OK; V3_EIO. */
int v3_blk_flush(struct v3_blk *blk);

#endif
