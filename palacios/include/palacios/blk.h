/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file blk.h
 * Disks: what is behind a disk controller. A disk's contents come from a file packed with the guest definition,
 * from memory, or from both: what the guest writes is kept in memory, over the file, until the VM is destroyed
 * (a reset keeps it). Or they are in a file of the host, which changes.
 *
 * A disk is used by requests; a disk that has to wait for something finishes them later, on another thread.
 *
 * Context: v3_blk_open() and v3_blk_close() while no vcpu runs. Requests may be submitted by several vcpus at once.
 */
#ifndef PALACIOS_BLK_H
#define PALACIOS_BLK_H

#include "palacios/config.h"
#include "palacios/types.h"

struct v3_blk;
struct v3_save_table;
struct v3_vm;

#define V3_BLK_SECTOR	512u
#define V3_BLK_MAX_SIZE (128ull << 30)

/**
 * Keys of the guest definition that describe a disk, for the key table of every class that has one:
 * image: file the disk begins with; size: at least this large, zeros behind the image; read_only; or file: file of
 * the host; format: how it holds the disk, "raw" or "qcow2"; backing: files below it, the next one first, images but
 * for the last one, whose format is backing_format.
 */
#define V3_BLK_KEYS                                                                                \
	{.name = "image", .type = V3_CFG_FILE},                                                    \
		{.name = "size", .type = V3_CFG_SIZE, .low = 4096, .high = V3_BLK_MAX_SIZE},       \
		{.name = "file", .type = V3_CFG_STRING, .host_file = V3_CFG_HOST_WRITE},           \
		{.name = "format", .type = V3_CFG_STRING, .high = 8, .def_str = "raw"},            \
		{.name = "backing", .type = V3_CFG_STRINGS, .host_file = V3_CFG_HOST_READ},        \
		{.name = "backing_format", .type = V3_CFG_STRING, .high = 8, .def_str = "raw"},    \
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
 * @return V3_OK; V3_EINVAL: neither file nor image nor size, an empty image, or read_only without an image; V3_ENOENT:
 *         no such file in the container or on the host; V3_E2BIG: longer than V3_BLK_MAX_SIZE; V3_ENOTSUP: the host
 *         has no files, or the image needs what is not here; V3_EBADMSG: the image is damaged; V3_ENOMEM; what the
 *         host says about the file.
 */
int v3_blk_open(struct v3_vm *vm, const struct v3_cfg *cfg, struct v3_blk **blk);
/** Forget it, and what was written to memory. Nothing is pending (v3_blk_drain()). NULL is allowed. */
void v3_blk_close(struct v3_blk *blk);

/** Length in bytes, a multiple of V3_BLK_SECTOR. */
uint64_t v3_blk_size(const struct v3_blk *blk);
/** Are writes refused? */
bool v3_blk_read_only(const struct v3_blk *blk);

/* ---- requests ---- */

/** What is asked of a disk. */
enum v3_blk_op {
	V3_BLK_READ,
	V3_BLK_WRITE,
	V3_BLK_ZERO, /* make a range read as zeros, and give its room back where that is possible */
	V3_BLK_DISCARD, /* what is in the range does not matter any more: it reads as zeros or as before */
	V3_BLK_FLUSH, /* all writes that were done before are as safe as they get; no range */
};

/** Consecutive bytes of host memory that a request fills or writes. */
struct v3_blk_piece {
	void *p;
	size_t len;
};

/** One request. Its owner keeps it, its pieces and the memory they name until it is done. */
struct v3_blk_req {
	enum v3_blk_op op;
	uint64_t offset;		  /* any alignment */
	uint64_t len;			  /* bytes; of READ and WRITE the sum of the pieces */
	const struct v3_blk_piece *piece; /* READ and WRITE */
	uint32_t npieces;
	/**
	 * The request is done: @p err is V3_OK or a failure as from v3_blk_submit(). Called once, if and only if
	 * v3_blk_submit() returned V3_BLK_PENDING, perhaps even before it returns. Any context but a host
	 * interrupt, no lock of the disk held; several may be called at once. It takes note, perhaps under a
	 * spinlock, and queues work to a vcpu; it does not sleep and submits nothing.
	 */
	void (*done)(struct v3_blk_req *req, int err);
	void *priv;		 /* the owner's */
	struct v3_blk_req *next; /* whoever has it: the disk while it is pending, else the owner */
};

#define V3_BLK_PENDING 1

/**
 * Start a request. A disk in memory does it at once; others may take their time and do requests in any order, so
 * that of two that overlap, neither waited for, either may be first. atomic; locks of the owner may be held, but
 * none that @p done takes, unless the result is awaited after they are released.
 *
 * @return V3_OK: it is done; V3_BLK_PENDING: @p done will be called; else it failed and is done: V3_ERANGE: not
 *         within the disk (nothing happened); V3_EPERM: the disk is read-only; V3_ENOMEM: the host has no memory
 *         left for what is written (a part may have been); V3_ENOSPC: no room left where it is kept; V3_EIO.
 */
int v3_blk_submit(struct v3_blk *blk, struct v3_blk_req *req);
/**
 * Wait until no request is pending: every @p done has been called and has returned. For reset and destroy of the
 * owner, which then forgets what is done. thread, no vcpu runs; may sleep. The owner submits nothing meanwhile.
 */
void v3_blk_drain(struct v3_blk *blk);

/**
 * State of a disk (save.h), for the table of its owner, whose settle() leaves no request behind. What was written to
 * memory is a part of it. What was written to a file is in the file by then, as after a flush: who loads the state has
 * the same file, or a copy made while the VM stood still.
 */
extern const struct v3_save_table v3_blk_save;

#endif
