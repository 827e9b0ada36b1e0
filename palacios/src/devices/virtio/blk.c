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

struct vblk {
	struct v3_blk *blk;    /* owned */
	struct v3_virtio *dev; /* owned */
	char serial[VBLK_ID_LEN];
};

static uint8_t vblk_status(int err)
{
	return err ? VBLK_S_IOERR : VBLK_S_OK;
}

/* Move @p len bytes between the chain and the disk, in place. @return status */
static uint8_t vblk_transfer(struct vblk *vblk, struct v3_vq *q, uint64_t sector, bool in)
{
	uint64_t left = in ? q->chain->in.left - 1 : q->chain->out.left;
	uint64_t size = v3_blk_size(vblk->blk), offset = sector * V3_BLK_SECTOR;
	uint32_t n;
	void *p;
	int err = V3_OK;

	if (left % V3_BLK_SECTOR || left > VBLK_DATA_MAX || sector > size / V3_BLK_SECTOR ||
	    left > size - offset || (!in && v3_blk_read_only(vblk->blk)))
		return VBLK_S_IOERR;
	for (; !err && left; left -= n, offset += n) {
		p = v3_vq_piece(q, in, (uint32_t)left, &n);
		if (!p)
			return VBLK_S_IOERR; /* and the device has failed */
		err = in ? v3_blk_read(vblk->blk, offset, p, n)
			 : v3_blk_write(vblk->blk, offset, p, n);
	}
	return vblk_status(err);
}

static uint8_t vblk_range(struct vblk *vblk, const struct vblk_range *range, uint32_t flags)
{
	if (range->flags & ~flags)
		return VBLK_S_UNSUPP; /* 5.2.6.2 */
	if (range->nsectors > VBLK_RANGE_SECTORS ||
	    range->sector > v3_blk_size(vblk->blk) / V3_BLK_SECTOR)
		return VBLK_S_IOERR;
	return vblk_status(v3_blk_zero(vblk->blk, range->sector * V3_BLK_SECTOR,
				       (uint64_t)range->nsectors * V3_BLK_SECTOR));
}

/* Discarded sectors read as zeros here, so both requests are one. @param flags those that are allowed */
static uint8_t vblk_ranges(struct vblk *vblk, struct v3_vq *q, uint32_t flags)
{
	uint64_t len = q->chain->out.left;
	uint8_t status = VBLK_S_OK;
	struct vblk_range range;

	if (!len || len % sizeof(range) || len / sizeof(range) > VBLK_RANGES)
		return VBLK_S_IOERR;
	while (status == VBLK_S_OK && v3_vq_read(q, &range, sizeof(range)))
		status = vblk_range(vblk, &range, flags);
	return status;
}

static uint8_t vblk_get_id(struct vblk *vblk, struct v3_vq *q)
{
	if (q->chain->in.left != VBLK_ID_LEN + 1)
		return VBLK_S_IOERR;
	v3_vq_write(q, vblk->serial, VBLK_ID_LEN);
	return VBLK_S_OK;
}

static uint8_t vblk_request(struct vblk *vblk, struct v3_vq *q, const struct vblk_header *header)
{
	switch (header->type) {
	case VBLK_T_IN:
		return vblk_transfer(vblk, q, header->sector, true);
	case VBLK_T_OUT:
		return vblk_transfer(vblk, q, header->sector, false);
	case VBLK_T_FLUSH:
		return vblk_status(v3_blk_flush(vblk->blk));
	case VBLK_T_GET_ID:
		return vblk_get_id(vblk, q);
	case VBLK_T_DISCARD:
		return vblk_ranges(vblk, q, 0);
	case VBLK_T_WRITE_ZEROES:
		return vblk_ranges(vblk, q, VBLK_RANGE_UNMAP);
	default:
		return VBLK_S_UNSUPP;
	}
}

/* Header, data, and in the last byte the status; how they are cut into buffers is the driver's affair (2.7.4.1). */
static void vblk_chain(struct vblk *vblk, struct v3_vq *q)
{
	struct vblk_header header;
	uint32_t written;
	uint8_t status;

	if (q->chain->out.left < sizeof(header) || !q->chain->in.left) {
		v3_virtio_fail(vblk->dev, "a request without header or status");
		return;
	}
	if (!v3_vq_read(q, &header, sizeof(header)))
		return;
	status = vblk_request(vblk, q, &header);
	/* Counts from the first writable byte on: not over data that a failed read left alone. */
	written = v3_vq_written(q);
	if (q->chain->in.left == 1)
		written++;
	if (v3_vq_skip(q, q->chain->in.left - 1) && v3_vq_write(q, &status, 1))
		v3_vq_put(q, q->chain->head, written);
}

static void vblk_process(void *priv, struct v3_vq *q)
{
	while (v3_vq_pop(q))
		vblk_chain(priv, q);
}

static const struct v3_virtio_class vblk_class = {
	.name = "virtio_blk",
	.id = VBLK_ID,
	.pci_class = VBLK_PCI_CLASS,
	.process = vblk_process,
};

static void vblk_reset(void *state)
{
	struct vblk *vblk = state;

	v3_virtio_reset(vblk->dev);
}

static void vblk_configure(struct vblk *vblk)
{
	struct vblk_config config = {
		.capacity = v3_blk_size(vblk->blk) / V3_BLK_SECTOR,
		.size_max = VBLK_SIZE_MAX,
		.seg_max = VBLK_SEG_MAX,
		.blk_size = V3_BLK_SECTOR,
		.num_queues = 1,
		.max_discard_sectors = VBLK_RANGE_SECTORS,
		.max_discard_seg = VBLK_RANGES,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = VBLK_RANGE_SECTORS,
		.max_write_zeroes_seg = VBLK_RANGES,
		.write_zeroes_may_unmap = 1,
	};

	v3_virtio_set_config(vblk->dev, 0, &config, sizeof(config));
}

static int vblk_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct v3_virtio_params params = {
		.nqueues = 1,
		.config_len = sizeof(struct vblk_config),
		.cfg = cfg,
		.features = VIRTIO_BIT(VBLK_F_SIZE_MAX) | VIRTIO_BIT(VBLK_F_SEG_MAX) |
			    VIRTIO_BIT(VBLK_F_BLK_SIZE) | VIRTIO_BIT(VBLK_F_FLUSH),
	};
	const char *serial = v3_cfg_string(cfg, "serial");
	struct vblk *vblk;
	int err;

	vblk = v3_alloc(sizeof(*vblk));
	if (!vblk)
		return V3_ENOMEM;
	memcpy(vblk->serial, serial, v3_strlen(serial));
	err = v3_blk_open(vm, cfg, &vblk->blk);
	if (err)
		goto free_vblk;
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
	v3_free(vblk);
	return err;
}

static void vblk_destroy(void *state)
{
	struct vblk *vblk = state;

	v3_virtio_destroy(vblk->dev);
	v3_blk_close(vblk->blk);
	v3_free(vblk);
}

static const struct v3_cfg_key vblk_keys[] = {
	VIRTIO_KEYS,
	V3_BLK_KEYS,
	{.name = "serial", .type = V3_CFG_STRING, .high = VBLK_ID_LEN},
	{.name = NULL},
};

const struct v3_device_class v3_device_virtio_blk = {
	.name = "virtio_blk",
	.keys = vblk_keys,
	.create = vblk_create,
	.reset = vblk_reset,
	.destroy = vblk_destroy,
};
