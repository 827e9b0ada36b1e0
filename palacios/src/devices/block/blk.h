/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file blk.h
 * What a disk's back end implements (palacios/blk.h is what the disk controllers see). A back end is a file of this
 * folder with an open function below, which open.c chooses by the keys of the definition.
 */
#ifndef V3_DEVICES_BLOCK_BLK_H
#define V3_DEVICES_BLOCK_BLK_H

#include "palacios/blk.h"
#include "palacios/save.h"

struct v3_blk_ops {
	/**
	 * Do a request or begin to; results as v3_blk_submit(). Range and permission have been checked, the length
	 * is not. Atomic, possibly on several vcpus at once: the back end locks. What has to sleep is left to a
	 * thread of the host, which calls req->done() with none of the back end's locks held.
	 */
	int (*submit)(struct v3_blk *blk, struct v3_blk_req *req);
	/** As v3_blk_drain(). NULL: submit never leaves a request pending. */
	void (*drain)(struct v3_blk *blk);
	/** What the guest has written, if nobody else has it: v3_save_table.chunks of struct v3_blk. NULL: a file has */
	const struct v3_save_chunks *contents;
	/** Free everything, the disk, too. Nothing is pending. */
	void (*close)(struct v3_blk *blk);
};

/** The part of a disk that all have; a back end's own structure begins with it. */
struct v3_blk {
	const struct v3_blk_ops *ops; /* not owned, static */
	struct v3_vm *vm;	      /* not owned; outlives the disk */
	uint64_t size;
	bool read_only;
};

/** The disk that "file" describes; as v3_blk_open(). */
int v3_blk_file_open(struct v3_vm *vm, const struct v3_cfg *cfg, struct v3_blk **blk);
/** The disk that "image" and "size" describe; as v3_blk_open(). */
int v3_blk_memory_open(struct v3_vm *vm, const struct v3_cfg *cfg, struct v3_blk **blk);

#endif
