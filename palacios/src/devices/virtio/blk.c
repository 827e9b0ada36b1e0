/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file blk.c
 * virtio block device (virtio 1.2, 5.2) with flush, discard, write-zeroes and get-id, on a disk of palacios/blk.h.
 * Called by the transport; calls the disk.
 */
#include "devices/virtio/virtio.h"

#include "devices/devices.h"
#include "palacios/blk.h"
#include "palacios/error.h"
#include "palacios/util/str.h"

#define VBLK_ID	       2
#define VBLK_PCI_CLASS 0x018000 /* mass storage, other */

#define VBLK_F_SIZE_MAX	    1
#define VBLK_F_SEG_MAX	    2
#define VBLK_F_RO	    5
#define VBLK_F_BLK_SIZE	    6
#define VBLK_F_FLUSH	    9
#define VBLK_F_MQ	    12
#define VBLK_F_DISCARD	    13
#define VBLK_F_WRITE_ZEROES 14

#define VBLK_T_IN	    0
#define VBLK_T_OUT	    1
#define VBLK_T_FLUSH	    4
#define VBLK_T_GET_ID	    8
#define VBLK_T_DISCARD	    11
#define VBLK_T_WRITE_ZEROES 13

#define VBLK_S_OK     0
#define VBLK_S_IOERR  1
#define VBLK_S_UNSUPP 2

#define VBLK_ID_LEN 20 /* 5.2.6 */
#define VBLK_QUEUES 8  /* at most */

/* What one request may do, so that none keeps a vcpu busy for long; the driver is told all of it. */
#define VBLK_SEG_MAX	   126
#define VBLK_SIZE_MAX	   0x10000u
#define VBLK_DATA_MAX	   (VBLK_SEG_MAX * (uint64_t)VBLK_SIZE_MAX)
#define VBLK_RANGE_SECTORS 0x400000u /* 2 GiB to discard or zero */
#define VBLK_RANGES	   16

/* Device configuration, 5.2.4 */
struct vblk_config {
	uint64_t capacity; /* sectors */
	uint32_t size_max;
	uint32_t seg_max;
	uint16_t cylinders; /* geometry is not offered */
	uint8_t heads, sectors;
	uint32_t blk_size;
	uint8_t topology[8]; /* not offered */
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
};
_Static_assert(sizeof(struct vblk_config) <= VIRTIO_CONFIG_MAX, "fits the transport");
_Static_assert(offsetof(struct vblk_config, max_discard_sectors) == 36, "5.2.4");
_Static_assert(offsetof(struct vblk_config, write_zeroes_may_unmap) == 56, "5.2.4");

struct vblk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

/* One range to discard or to fill with zeros, 5.2.6 */
struct vblk_range {
	uint64_t sector;
	uint32_t nsectors;
	uint32_t flags;
};
#define VBLK_RANGE_UNMAP 1u

/* Requests of a queue that the disk may have at a time, and pieces of memory in one step of a request. */
#define VBLK_REQS   32
#define VBLK_PIECES 128

/* A request that is being done, in steps: what it needs is gathered from its chain as far as there is room. */
struct vblk_req {
	struct v3_blk_req blk;	   /* the step; blk.next is that of the list it is in */
	struct v3_vq *q;	   /* not owned; where it came from */
	struct v3_vq_chain *chain; /* owned: its chain while the disk has it */
	uint64_t left;		   /* bytes to move, ranges to zero, or 1 to flush */
	int err;		   /* of the step */
	uint8_t status;
	struct v3_blk_piece piece[VBLK_PIECES];
};

/* The requests of a queue. */
struct vblk_pool {
	struct v3_blk_req *done; /* pushed by the disk in any context, taken whole by the runner */
	/* The runner's alone. */
	struct v3_blk_req *spare; /* owned */
	unsigned nreqs;		  /* that exist, in use or not */
};

struct vblk {
	struct v3_blk *blk;    /* owned */
	struct v3_virtio *dev; /* owned */
	char serial[VBLK_ID_LEN];
	unsigned npools;
	struct vblk_pool pool[]; /* by queue */
};

static uint8_t vblk_status(int err)
{
	return err ? VBLK_S_IOERR : VBLK_S_OK;
}

static struct vblk_req *vblk_req_of(struct v3_blk_req *blk)
{
	return V3_CONTAINER(blk, struct vblk_req, blk);
}

/* ---- the pool of requests ---- */

/* The disk is done with a step of a request. Any context. */
static void vblk_done(struct v3_blk_req *blk, int err)
{
	struct vblk_req *req = vblk_req_of(blk);
	struct vblk_pool *pool = blk->priv;

	req->err = err;
	blk->next = __atomic_load_n(&pool->done, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&pool->done, &blk->next, blk, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	v3_virtio_run_later(req->q);
}

static struct v3_blk_req *vblk_take_done(struct vblk_pool *pool)
{
	return __atomic_exchange_n(&pool->done, NULL, __ATOMIC_ACQUIRE);
}

static void vblk_put_spare(struct vblk_pool *pool, struct vblk_req *req)
{
	req->blk.next = pool->spare;
	pool->spare = &req->blk;
}

static int vblk_add_req(struct vblk_pool *pool)
{
	struct vblk_req *req = v3_alloc(sizeof(*req));

	if (!req)
		return V3_ENOMEM;
	req->chain = v3_alloc(sizeof(*req->chain));
	if (!req->chain) {
		v3_free(req);
		return V3_ENOMEM;
	}
	req->blk.done = vblk_done;
	req->blk.priv = pool;
	req->blk.piece = req->piece;
	vblk_put_spare(pool, req);
	pool->nreqs++;
	return V3_OK;
}

static void vblk_free_pool(struct vblk_pool *pool)
{
	struct vblk_req *req;

	while (pool->spare) {
		req = vblk_req_of(pool->spare);
		pool->spare = req->blk.next;
		v3_free(req->chain);
		v3_free(req);
	}
}

/* A request to use, still in the list of spare ones. NULL: as many are pending as there may be, but not none. */
static struct vblk_req *vblk_spare(struct vblk_pool *pool)
{
	if (!pool->spare && (pool->nreqs == VBLK_REQS || vblk_add_req(pool)))
		return NULL;
	return vblk_req_of(pool->spare);
}

/* ---- one request ---- */

static bool vblk_begin_transfer(struct vblk *vblk, struct v3_vq *q, struct vblk_req *req,
				uint64_t sector, bool in)
{
	uint64_t left = in ? q->chain->in.left - 1 : q->chain->out.left;
	uint64_t size = v3_blk_size(vblk->blk), offset = sector * V3_BLK_SECTOR;

	if (left % V3_BLK_SECTOR || left > VBLK_DATA_MAX || sector > size / V3_BLK_SECTOR ||
	    left > size - offset || (!in && v3_blk_read_only(vblk->blk)))
		return false;
	req->blk.op = in ? V3_BLK_READ : V3_BLK_WRITE;
	req->blk.offset = offset;
	req->left = left;
	return true;
}

static bool vblk_begin_ranges(struct v3_vq *q, struct vblk_req *req, enum v3_blk_op op)
{
	uint64_t len = q->chain->out.left;

	req->blk.op = op;
	req->left = len / sizeof(struct vblk_range);
	return req->left && len % sizeof(struct vblk_range) == 0 && req->left <= VBLK_RANGES;
}

static bool vblk_get_id(struct vblk *vblk, struct v3_vq *q)
{
	if (q->chain->in.left != VBLK_ID_LEN + 1)
		return false;
	v3_vq_write(q, vblk->serial, VBLK_ID_LEN);
	return true;
}

/* Make a request of a chain whose header has been read. @return false: it is wrong */
static bool vblk_begin(struct vblk *vblk, struct v3_vq *q, struct vblk_req *req,
		       const struct vblk_header *header)
{
	req->q = q;
	req->status = VBLK_S_OK;
	req->left = 0;
	switch (header->type) {
	case VBLK_T_IN:
		return vblk_begin_transfer(vblk, q, req, header->sector, true);
	case VBLK_T_OUT:
		return vblk_begin_transfer(vblk, q, req, header->sector, false);
	case VBLK_T_FLUSH:
		req->blk.op = V3_BLK_FLUSH;
		req->left = 1;
		return true;
	case VBLK_T_GET_ID:
		return vblk_get_id(vblk, q);
	case VBLK_T_DISCARD:
		return vblk_begin_ranges(q, req, V3_BLK_DISCARD);
	case VBLK_T_WRITE_ZEROES:
		return vblk_begin_ranges(q, req, V3_BLK_ZERO);
	default:
		req->status = VBLK_S_UNSUPP;
		return true;
	}
}

/* The next pieces to move, in place. @return false: an address is not RAM, the device has failed */
static bool vblk_next_pieces(struct v3_vq *q, struct vblk_req *req)
{
	struct v3_blk_req *blk = &req->blk;
	const bool in = blk->op == V3_BLK_READ;
	uint32_t n;
	void *p;

	blk->len = 0;
	for (blk->npieces = 0; req->left && blk->npieces < VBLK_PIECES; blk->npieces++) {
		p = v3_vq_piece(q, in, (uint32_t)req->left, &n);
		if (!p)
			return false;
		req->piece[blk->npieces] = (struct v3_blk_piece){p, n};
		blk->len += n;
		req->left -= n;
	}
	return true;
}

/* The next range to discard or to zero. @return status */
static uint8_t vblk_next_range(struct vblk *vblk, struct v3_vq *q, struct vblk_req *req)
{
	const uint32_t flags = req->blk.op == V3_BLK_ZERO ? VBLK_RANGE_UNMAP : 0;
	struct vblk_range range;

	req->left--;
	if (!v3_vq_read(q, &range, sizeof(range)))
		return VBLK_S_IOERR;
	if (range.flags & ~flags)
		return VBLK_S_UNSUPP; /* 5.2.6.2 */
	if (range.nsectors > VBLK_RANGE_SECTORS ||
	    range.sector > v3_blk_size(vblk->blk) / V3_BLK_SECTOR)
		return VBLK_S_IOERR;
	req->blk.offset = range.sector * V3_BLK_SECTOR;
	req->blk.len = (uint64_t)range.nsectors * V3_BLK_SECTOR;
	return VBLK_S_OK;
}

/* Prepare the next step. @return false: there is none, or the request has failed */
static bool vblk_next(struct vblk *vblk, struct v3_vq *q, struct vblk_req *req)
{
	if (req->status != VBLK_S_OK || !req->left)
		return false;
	switch (req->blk.op) {
	case V3_BLK_READ:
	case V3_BLK_WRITE:
		if (!vblk_next_pieces(q, req))
			req->status = VBLK_S_IOERR;
		break;
	case V3_BLK_ZERO:
	case V3_BLK_DISCARD:
		req->status = vblk_next_range(vblk, q, req);
		break;
	case V3_BLK_FLUSH:
		req->left = 0;
		break;
	}
	return req->status == VBLK_S_OK;
}

static void vblk_end_step(struct vblk_req *req, int err)
{
	req->status = vblk_status(err);
	req->blk.offset += req->blk.len;
}

/* Do the steps that are left. @return false: the disk has the request now */
static bool vblk_work(struct vblk *vblk, struct v3_vq *q, struct vblk_req *req)
{
	int err;

	while (vblk_next(vblk, q, req)) {
		err = v3_blk_submit(vblk->blk, &req->blk);
		if (err == V3_BLK_PENDING)
			return false;
		vblk_end_step(req, err);
	}
	return true;
}

/* Tell the driver, in the last byte. */
static void vblk_end(struct v3_vq *q, uint8_t status)
{
	/* Counts from the first writable byte on: not over data that a failed read left alone. */
	uint32_t written = v3_vq_written(q);

	if (q->chain->in.left == 1)
		written++;
	if (v3_vq_skip(q, true, q->chain->in.left - 1) && v3_vq_write(q, &status, 1))
		v3_vq_put(q, q->chain->head, written);
}

/* Header, data, and in the last byte the status; how they are cut into buffers is the driver's affair (2.7.4.1). */
static void vblk_chain(struct vblk *vblk, struct v3_vq *q, struct vblk_req *req)
{
	struct vblk_pool *pool = &vblk->pool[q->index];
	struct vblk_header header;

	if (q->chain->out.left < sizeof(header) || !q->chain->in.left) {
		v3_virtio_fail(vblk->dev, "a request without header or status");
		return;
	}
	if (!v3_vq_read(q, &header, sizeof(header)))
		return;
	if (!vblk_begin(vblk, q, req, &header))
		req->status = VBLK_S_IOERR;
	pool->spare = req->blk.next; /* the disk uses that while it has the request */
	if (vblk_work(vblk, q, req)) {
		vblk_end(q, req->status);
		vblk_put_spare(pool, req);
		return;
	}
	v3_vq_hold(q, &req->chain);
}

static void vblk_process(void *priv, struct v3_vq *q)
{
	struct vblk *vblk = priv;
	struct vblk_req *req;

	while ((req = vblk_spare(&vblk->pool[q->index])) && v3_vq_pop(q))
		vblk_chain(vblk, q, req);
}

/* Requests that the disk had: the next step, or the end. */
static void vblk_finish(void *priv, struct v3_vq *q)
{
	struct vblk *vblk = priv;
	struct vblk_pool *pool = &vblk->pool[q->index];
	struct v3_blk_req *blk, *next;

	for (blk = vblk_take_done(pool); blk; blk = next) {
		struct vblk_req *req = vblk_req_of(blk);

		next = blk->next;
		v3_vq_swap(q, &req->chain);
		vblk_end_step(req, req->err);
		if (!vblk_work(vblk, q, req)) {
			v3_vq_swap(q, &req->chain);
			continue;
		}
		vblk_end(q, req->status);
		v3_vq_release(q);
		vblk_put_spare(pool, req);
	}
}

static const struct v3_virtio_class vblk_class = {
	.name = "virtio_blk",
	.id = VBLK_ID,
	.pci_class = VBLK_PCI_CLASS,
	.process = vblk_process,
	.finish = vblk_finish,
};

/* What the disk still has comes to its end and is forgotten: its chains mean nothing after a reset. */
static void vblk_drain(struct vblk *vblk)
{
	struct v3_blk_req *blk, *next;
	struct vblk_pool *pool;

	v3_blk_drain(vblk->blk);
	for (pool = vblk->pool; pool < vblk->pool + vblk->npools; pool++) {
		for (blk = vblk_take_done(pool); blk; blk = next) {
			struct vblk_req *req = vblk_req_of(blk);

			next = blk->next;
			v3_vq_wrote(req->q, req->chain);
			vblk_put_spare(pool, req);
		}
	}
}

static void vblk_configure(struct vblk *vblk)
{
	struct vblk_config config = {
		.capacity = v3_blk_size(vblk->blk) / V3_BLK_SECTOR,
		.size_max = VBLK_SIZE_MAX,
		.seg_max = VBLK_SEG_MAX,
		.blk_size = V3_BLK_SECTOR,
		.num_queues = (uint16_t)vblk->npools,
		.max_discard_sectors = VBLK_RANGE_SECTORS,
		.max_discard_seg = VBLK_RANGES,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = VBLK_RANGE_SECTORS,
		.max_write_zeroes_seg = VBLK_RANGES,
		.write_zeroes_may_unmap = 1,
	};

	v3_virtio_set_config(vblk->dev, 0, &config, sizeof(config));
}

/* What it says of the disk is mended if a saved state that was refused said otherwise. */
static void vblk_reset(void *state)
{
	struct vblk *vblk = state;

	vblk_drain(vblk);
	v3_virtio_reset(vblk->dev);
	vblk_configure(vblk);
}

/* One request for each queue, so that it can always go on. */
static int vblk_make_pools(struct vblk *vblk, unsigned n)
{
	int err = V3_OK;

	while (!err && vblk->npools < n)
		err = vblk_add_req(&vblk->pool[vblk->npools++]);
	return err;
}

static void vblk_free(struct vblk *vblk)
{
	unsigned i;

	for (i = 0; i < vblk->npools; i++)
		vblk_free_pool(&vblk->pool[i]);
	v3_free(vblk);
}

static int vblk_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct v3_virtio_params params = {
		.nqueues = (unsigned)v3_cfg_uint(cfg, "queues"),
		.config_len = sizeof(struct vblk_config),
		.cfg = cfg,
		.features = VIRTIO_BIT(VBLK_F_SIZE_MAX) | VIRTIO_BIT(VBLK_F_SEG_MAX) |
			    VIRTIO_BIT(VBLK_F_BLK_SIZE) | VIRTIO_BIT(VBLK_F_FLUSH),
	};
	const char *serial = v3_cfg_string(cfg, "serial");
	struct vblk *vblk;
	int err;

	vblk = v3_alloc(sizeof(*vblk) + params.nqueues * sizeof(vblk->pool[0]));
	if (!vblk)
		return V3_ENOMEM;
	memcpy(vblk->serial, serial, v3_strlen(serial));
	err = vblk_make_pools(vblk, params.nqueues);
	if (err)
		goto free_vblk;
	err = v3_blk_open(vm, cfg, &vblk->blk);
	if (err)
		goto free_vblk;
	if (params.nqueues > 1)
		params.features |= VIRTIO_BIT(VBLK_F_MQ);
	params.features |= v3_blk_read_only(vblk->blk)
				   ? VIRTIO_BIT(VBLK_F_RO)
				   : VIRTIO_BIT(VBLK_F_DISCARD) | VIRTIO_BIT(VBLK_F_WRITE_ZEROES);
	err = v3_virtio_create(vm, &vblk_class, &params, vblk, &vblk->dev);
	if (err)
		goto close_blk;
	vblk_configure(vblk);
	*state = vblk;
	return V3_OK;

close_blk:
	v3_blk_close(vblk->blk);
free_vblk:
	vblk_free(vblk);
	return err;
}

static void vblk_destroy(void *state)
{
	struct vblk *vblk = state;

	vblk_drain(vblk);
	v3_virtio_destroy(vblk->dev);
	v3_blk_close(vblk->blk);
	vblk_free(vblk);
}

/* Requests that the disk has come to their end, and the driver is told. */
static void vblk_save_settle(void *state)
{
	struct vblk *vblk = state;

	do
		v3_blk_drain(vblk->blk);
	while (v3_virtio_finish_held(vblk->dev));
}

static const struct v3_save_field vblk_fields[] = {
	V3_SAVE_PARTS_AT(struct vblk, blk, &v3_blk_save),
	V3_SAVE_PARTS_AT(struct vblk, dev, &v3_virtio_save),
	V3_SAVE_NOT(struct vblk, serial),
	V3_SAVE_NOT(struct vblk, npools),
	V3_SAVE_NOT(struct vblk, pool), /* nothing but spare requests */
	V3_SAVE_END,
};
static const struct v3_save_table vblk_save = {
	.fields = vblk_fields, .size = sizeof(struct vblk), .settle = vblk_save_settle};

static const struct v3_cfg_key vblk_keys[] = {
	VIRTIO_KEYS,
	V3_BLK_KEYS,
	{.name = "queues", .type = V3_CFG_UINT, .low = 1, .high = VBLK_QUEUES, .def = 1},
	{.name = "serial", .type = V3_CFG_STRING, .high = VBLK_ID_LEN},
	{.name = NULL},
};

const struct v3_device_class v3_device_virtio_blk = {
	.name = "virtio_blk",
	.save = &vblk_save,
	.keys = vblk_keys,
	.create = vblk_create,
	.reset = vblk_reset,
	.destroy = vblk_destroy,
};
