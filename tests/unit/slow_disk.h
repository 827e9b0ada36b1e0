/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file slow_disk.h
 * Disks for the tests of disk controllers, in the place of palacios/src/devices/block/open.c: disks in memory that
 * keep requests pending, if told so, until the test lets them be done, in any order and with any result.
 */
#ifndef TESTS_SLOW_DISK_H
#define TESTS_SLOW_DISK_H

#include "devices/block/blk.h"
#include "fake_host.h"
#include "palacios/error.h"
#include "tap.h"

#define SLOW_MAX 64

/* Of all disks; zeroed by the test. */
static struct {
	bool on;	      /* requests stay pending */
	int fail;	      /* result of every request from now on, if not V3_OK */
	unsigned ops;	      /* requests submitted, by kind: bit op is set */
	uint8_t last;	      /* last byte of the last write */
	struct v3_blk *below; /* of the disk that was opened last: what it really holds */
	unsigned n;	      /* pending */
	struct {
		struct v3_blk *below;
		struct v3_blk_req *req;
	} held[SLOW_MAX];
} slow;

struct slow_disk {
	struct v3_blk blk;
	struct v3_blk *below;
};

/* Let pending request @p i be done, counted from the oldest. */
static inline void slow_finish(unsigned i)
{
	struct v3_blk_req *req = slow.held[i].req;
	struct v3_blk *below = slow.held[i].below;

	REQUIRE(i < slow.n);
	slow.n--;
	memmove(&slow.held[i], &slow.held[i + 1], (slow.n - i) * sizeof(slow.held[0]));
	req->done(req, slow.fail ? slow.fail : v3_blk_submit(below, req));
}

static inline int slow_submit(struct v3_blk *blk, struct v3_blk_req *req)
{
	struct v3_blk *below = V3_CONTAINER(blk, struct slow_disk, blk)->below;

	slow.ops |= 1u << req->op;
	if (req->op == V3_BLK_WRITE && req->npieces) {
		const struct v3_blk_piece *piece = &req->piece[req->npieces - 1];

		slow.last = ((const uint8_t *)piece->p)[piece->len - 1];
	}
	if (!slow.on)
		return slow.fail ? slow.fail : v3_blk_submit(below, req);
	if (!CHECK(slow.n < SLOW_MAX))
		return V3_EIO;
	for (unsigned i = 0; i < slow.n; i++)
		if (!CHECK(slow.held[i].req != req)) /* it is the disk's */
			return V3_EIO;
	slow.held[slow.n].below = below;
	slow.held[slow.n++].req = req;
	return V3_BLK_PENDING;
}

static inline void slow_drain(struct v3_blk *blk)
{
	(void)blk;
	while (slow.n)
		slow_finish(slow.n - 1);
}

static inline void slow_close(struct v3_blk *blk)
{
	struct slow_disk *disk = V3_CONTAINER(blk, struct slow_disk, blk);

	CHECK_EQ(slow.n, 0);
	v3_blk_close(disk->below);
	free(disk);
}

/* Contents, of the disk below. */
static inline struct v3_blk *slow_below(void *state)
{
	return V3_CONTAINER((struct v3_blk *)state, struct slow_disk, blk)->below;
}

static inline bool slow_next(void *state, struct v3_save_chunk *c)
{
	return slow_below(state)->ops->contents->next(slow_below(state), c);
}

static inline void slow_clear(void *state)
{
	slow_below(state)->ops->contents->clear(slow_below(state));
}

static inline int slow_put(void *state, const struct v3_save_chunk *c)
{
	return slow_below(state)->ops->contents->put(slow_below(state), c);
}

int v3_blk_open(struct v3_vm *vm, const struct v3_cfg *cfg, struct v3_blk **blk)
{
	static const struct v3_save_chunks contents = {
		.size = 0x10000, .next = slow_next, .clear = slow_clear, .put = slow_put};
	static const struct v3_blk_ops ops = {.submit = slow_submit,
					      .drain = slow_drain,
					      .contents = &contents,
					      .close = slow_close};
	struct slow_disk *disk = calloc(1, sizeof(*disk));
	int err = v3_blk_memory_open(vm, cfg, &disk->below);

	if (err) {
		free(disk);
		return err;
	}
	slow.below = disk->below;
	disk->blk = *disk->below;
	disk->blk.ops = &ops;
	*blk = &disk->blk;
	return V3_OK;
}

#endif
