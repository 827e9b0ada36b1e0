/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file file.c
 * Disks on files of the host: as they are, or in qcow2 images with what is below them. Requests are pushed to a list
 * in any context; one worker takes them in the order they came, does them one after another and says so. Called
 * through blk.c; calls the host's files (palacios/file.h) and qcow2.
 */
#include "devices/block/blk.h"
#include "devices/block/qcow2.h"

#include "palacios/error.h"
#include "palacios/file.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/util/str.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "disk"

#define FILE_LAYERS 8u /* the disk's own file and those below it */

struct file_disk {
	struct v3_blk blk;
	struct v3_worker *worker; /* owned */
	struct v3_blk_req *queue; /* pushed by anybody, newest first; taken whole by the worker */
	uint32_t nlayers;	  /* 0 is the disk's own */
	struct v3_file *file[FILE_LAYERS];   /* owned */
	struct v3_qcow2 *image[FILE_LAYERS]; /* owned; NULL: the file as it is */
};

static struct file_disk *file_of(struct v3_blk *blk)
{
	return V3_CONTAINER(blk, struct file_disk, blk);
}

/* ---- a file as a store ---- */

static int file_store_read(void *priv, uint64_t offset, void *buf, size_t len)
{
	return v3_file_read(priv, offset, buf, len);
}

static int file_store_write(void *priv, uint64_t offset, const void *buf, size_t len)
{
	return v3_file_write(priv, offset, buf, len);
}

static int file_store_zero(void *priv, uint64_t offset, uint64_t len)
{
	return v3_file_zero(priv, offset, len);
}

static int file_store_flush(void *priv)
{
	return v3_file_flush(priv);
}

static uint64_t file_store_size(void *priv)
{
	return v3_file_size(priv);
}

static struct v3_store file_store(struct v3_file *file)
{
	static const struct v3_store_ops ops = {
		.read = file_store_read,
		.write = file_store_write,
		.zero = file_store_zero,
		.flush = file_store_flush,
		.size = file_store_size,
	};

	return (struct v3_store){.ops = &ops, .priv = file};
}

/* ---- requests ---- */

static int file_move(struct file_disk *d, const struct v3_blk_req *req)
{
	struct v3_qcow2 *image = d->image[0];
	struct v3_file *file = d->file[0];
	uint64_t offset = req->offset;
	int err = V3_OK;
	uint32_t i;

	for (i = 0; i < req->npieces && !err; offset += req->piece[i++].len) {
		void *p = req->piece[i].p;
		size_t len = req->piece[i].len;

		if (req->op == V3_BLK_READ)
			err = image ? v3_qcow2_read(image, offset, p, len)
				    : v3_file_read(file, offset, p, len);
		else
			err = image ? v3_qcow2_write(image, offset, p, len)
				    : v3_file_write(file, offset, p, len);
	}
	return err;
}

static int file_do(struct file_disk *d, const struct v3_blk_req *req)
{
	struct v3_qcow2 *image = d->image[0];
	struct v3_file *file = d->file[0];

	switch (req->op) {
	case V3_BLK_READ:
	case V3_BLK_WRITE:
		return file_move(d, req);
	case V3_BLK_ZERO:
		return image ? v3_qcow2_zero(image, req->offset, req->len)
			     : v3_file_zero(file, req->offset, req->len);
	case V3_BLK_DISCARD:
		return image ? v3_qcow2_discard(image, req->offset, req->len)
			     : v3_file_discard(file, req->offset, req->len);
	case V3_BLK_FLUSH:
		if (d->blk.read_only)
			return V3_OK;
		return image ? v3_qcow2_flush(image) : v3_file_flush(file);
	}
	return V3_EINVAL;
}

/* Errors of the host that no disk has are I/O errors. */
static int file_result(struct file_disk *d, const struct v3_blk_req *req, int err)
{
	if (!err || err == V3_ENOMEM)
		return err;
	V3_GUEST_WARN(d->blk.vm, "request %u at %#llx: %s", req->op,
		      (unsigned long long)req->offset, v3_strerror(err));
	return err == V3_ENOSPC ? err : V3_EIO;
}

/* The worker. */
static void file_work(void *arg)
{
	struct file_disk *d = arg;
	struct v3_blk_req *req = __atomic_exchange_n(&d->queue, NULL, __ATOMIC_ACQUIRE);
	struct v3_blk_req *first = NULL, *next;

	for (; req; req = next) {
		next = req->next;
		req->next = first;
		first = req;
	}
	for (req = first; req; req = next) {
		int err = file_result(d, req, file_do(d, req));

		v3_mem_unpin(d->blk.vm, req->pin);
		next = req->next; /* the request is its owner's again once it is done */
		req->done(req, err);
	}
}

static int file_submit(struct v3_blk *blk, struct v3_blk_req *req)
{
	struct file_disk *d = file_of(blk);

	req->pin = v3_mem_pin(blk->vm); /* its pieces are guest memory */
	req->next = __atomic_load_n(&d->queue, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&d->queue, &req->next, req, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	v3_worker_wake(d->worker);
	return V3_BLK_PENDING;
}

static void file_drain(struct v3_blk *blk)
{
	v3_worker_wait(file_of(blk)->worker);
}

/* ---- open and close ---- */

/* The worker goes first, then images from the top down: closing one may write to its file. */
static void file_close(struct v3_blk *blk)
{
	struct file_disk *d = file_of(blk);
	uint32_t i;

	v3_worker_destroy(d->worker);
	for (i = 0; i < FILE_LAYERS; i++) {
		if (v3_qcow2_close(d->image[i]))
			V3_ERR(blk->vm, "what was not flushed could not be written");
		v3_file_close(d->file[i]);
	}
	v3_free(d);
}

/* Is the text "qcow2" (or "raw")? An image's format is what the definition says, never what its bytes look like. */
static int file_is_qcow2(struct v3_vm *vm, const char *format, bool *yes)
{
	*yes = !v3_strcmp(format, "qcow2");
	if (*yes || !v3_strcmp(format, "raw"))
		return V3_OK;
	V3_ERR(vm, "%s: expected the format \"raw\" or \"qcow2\"", format);
	return V3_EINVAL;
}

/* Is layer @p i an image? All that have something below them must be. */
static int file_layer_kind(struct file_disk *d, const struct v3_cfg *cfg, uint32_t i, bool *qcow2)
{
	const char *format = v3_cfg_string(cfg, i ? "backing_format" : "format");
	int err;

	err = file_is_qcow2(d->blk.vm, format, qcow2);
	if (err || i == d->nlayers - 1)
		return err;
	if (i == 0 && !*qcow2) {
		V3_ERR(d->blk.vm, "only a qcow2 image has something below it");
		return V3_EINVAL;
	}
	*qcow2 = true;
	return V3_OK;
}

static int file_open_layer(struct file_disk *d, const struct v3_cfg *cfg, uint32_t i)
{
	struct v3_qcow2_params params = {.read_only = i || d->blk.read_only};
	const char *name = i ? v3_cfg_string_at(cfg, "backing", i - 1) : v3_cfg_string(cfg, "file");
	bool qcow2;
	int err;

	err = file_layer_kind(d, cfg, i, &qcow2);
	if (!err)
		err = v3_file_open(d->blk.vm, name, !params.read_only, &d->file[i]);
	if (err || !qcow2)
		return err;
	params.file = file_store(d->file[i]);
	if (i + 1 < d->nlayers) {
		params.below = d->image[i + 1];
		if (!params.below)
			params.backing = file_store(d->file[i + 1]);
	}
	return v3_qcow2_open(d->blk.vm, &params, &d->image[i]);
}

static int file_configure(struct file_disk *d, const struct v3_cfg *cfg)
{
	struct v3_blk *blk = &d->blk;
	uint32_t i;
	int err = V3_OK;

	if (v3_cfg_has(cfg, "image") || v3_cfg_has(cfg, "size")) {
		V3_ERR(blk->vm, "a disk on a file has neither image nor size of its own");
		return V3_EINVAL;
	}
	blk->read_only = v3_cfg_bool(cfg, "read_only");
	d->nlayers = 1 + v3_cfg_count(cfg, "backing");
	if (d->nlayers > FILE_LAYERS) {
		V3_ERR(blk->vm, "at most %u files below one another", FILE_LAYERS);
		return V3_EINVAL;
	}
	for (i = d->nlayers; i-- && !err;)
		err = file_open_layer(d, cfg, i);
	if (err)
		return err;
	blk->size = d->image[0] ? v3_qcow2_size(d->image[0]) : v3_file_size(d->file[0]);
	if (blk->size > V3_BLK_MAX_SIZE)
		return V3_E2BIG;
	/* An image cannot hold a part of a sector more than it has, a file can. */
	if (!d->image[0])
		blk->size += V3_BLK_SECTOR - 1;
	blk->size &= ~(uint64_t)(V3_BLK_SECTOR - 1);
	if (blk->size)
		return V3_OK;
	V3_ERR(blk->vm, "%s is empty", v3_cfg_string(cfg, "file"));
	return V3_EINVAL;
}

int v3_blk_file_open(struct v3_vm *vm, const struct v3_cfg *cfg, struct v3_blk **out)
{
	static const struct v3_blk_ops ops = {
		.submit = file_submit,
		.drain = file_drain,
		.close = file_close,
	};
	struct file_disk *d = v3_alloc(sizeof(*d));
	int err;

	if (!d)
		return V3_ENOMEM;
	d->blk.ops = &ops;
	d->blk.vm = vm;
	err = file_configure(d, cfg);
	if (!err)
		err = v3_worker_create(file_work, d, &d->worker);
	if (err) {
		file_close(&d->blk);
		return err;
	}
	*out = &d->blk;
	return V3_OK;
}
