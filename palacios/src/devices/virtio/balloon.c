/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file balloon.c
 * virtio memory balloon (virtio 1.2, 5.5): the guest gives pages back, because it is asked to or because they are free
 * just now (free page reporting), and takes them again by using them. Called by the transport and, through
 * palacios/balloon.h, by the embedder; calls the memory map (v3_mem_release()).
 *
 * Page poisoning and free page hints are not offered: Linux does not report free pages if it needs their contents, and
 * hints are for migration.
 */
#include "palacios/balloon.h"

#include "devices/devices.h"
#include "devices/virtio/virtio.h"
#include "palacios/error.h"

#define VBAL_ID	       5
#define VBAL_PCI_CLASS 0x00ff00 /* unclassified */

/* 5.5.3 */
#define VBAL_F_MUST_TELL_HOST 0
#define VBAL_F_STATS_VQ	      1
#define VBAL_F_DEFLATE_ON_OOM 2
#define VBAL_F_REPORTING      5

/*
 * Queues, 5.5.2. Number 3 is that of hints, which are not offered: drivers that do not leave it out (Linux before
 * 6.11) report free pages there.
 */
enum vbal_queue {
	VBAL_INFLATE,
	VBAL_DEFLATE,
	VBAL_STATS,
	VBAL_REPORTING_OLD,
	VBAL_REPORTING,
	VBAL_NQUEUES
};

#define VBAL_BATCH 256u
#define VBAL_PAGES 16384u /* in one buffer: what is done at one go must end soon */

struct vbal_config {
	uint32_t num_pages;
	uint32_t actual; /* the driver's */
};
_Static_assert(sizeof(struct vbal_config) == 8, "5.5.4");

/* 5.5.6.3 */
struct vbal_stat {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));
_Static_assert(sizeof(struct vbal_stat) == 10, "5.5.6.3");

struct vbal {
	struct v3_vm *vm;	   /* not owned; outlives the device */
	struct v3_virtio *dev;	   /* owned */
	uint32_t page[VBAL_BATCH]; /* the inflating queue's runner's */
	bool holding;	     /* the next buffer of statistics has been read; its queue's runner's */
	uint32_t ask;	     /* give it back; atomic */
	struct v3_lock lock; /* guards told and stat */
	uint32_t told;
	uint64_t stat[V3_BALLOON_NSTATS];
};

/* ---- pages ---- */

/* Pages that cannot be given back now stay where they are: nothing is lost but memory. @return false: failed */
static bool vbal_release(struct vbal *b, v3_gpa_t gpa, uint64_t npages)
{
	if (v3_mem_release(b->vm, gpa, npages) != V3_EINVAL)
		return true;
	v3_virtio_fail(b->dev, "a page that is not RAM was given back");
	return false;
}

/* @p n page numbers; those in a row are released together. */
static bool vbal_release_batch(struct vbal *b, uint32_t n)
{
	uint32_t i, first = 0;

	for (i = 1; i <= n; i++) {
		if (i < n && b->page[i] == b->page[i - 1] + 1 && b->page[i])
			continue;
		if (!vbal_release(b, (v3_gpa_t)b->page[first] << V3_PAGE_SHIFT, i - first))
			return false;
		first = i;
	}
	return true;
}

/* A buffer of page numbers, 5.5.6. @return false: failed */
static bool vbal_take_pages(struct vbal *b, struct v3_vq *q)
{
	uint64_t left = q->chain->out.left / sizeof(b->page[0]);
	uint32_t n;

	if (q->chain->out.left % sizeof(b->page[0]) || left > VBAL_PAGES) {
		v3_virtio_fail(b->dev, "a buffer of page numbers that is cut off or too long");
		return false;
	}
	for (; left; left -= n) {
		n = left < VBAL_BATCH ? (uint32_t)left : VBAL_BATCH;
		if (!v3_vq_read(q, b->page, n * (uint32_t)sizeof(b->page[0])) ||
		    !vbal_release_batch(b, n))
			return false;
	}
	return true;
}

/* Buffers whose own memory is free, 5.5.6.7. What they reach of a page only in part stays. */
static bool vbal_take_buffers(struct vbal *b, struct v3_vq *q)
{
	const struct v3_vq_chain *chain = q->chain;
	uint32_t i;

	for (i = chain->out.end; i < chain->in.end; i++) {
		const struct v3_vq_seg *seg = &chain->seg[i];
		v3_gpa_t end = (seg->gpa + seg->len) & V3_PAGE_MASK;
		v3_gpa_t gpa = (seg->gpa + V3_PAGE_SIZE - 1) & V3_PAGE_MASK;

		if (gpa < end && gpa >= seg->gpa &&
		    !vbal_release(b, gpa, (end - gpa) >> V3_PAGE_SHIFT))
			return false;
	}
	return true;
}

/* The driver sees its buffers after process(): by then nobody uses the pages any more. */
static void vbal_take_all(struct vbal *b, struct v3_vq *q,
			  bool (*take)(struct vbal *b, struct v3_vq *q))
{
	bool any = false;

	while (v3_vq_pop(q)) {
		any = true;
		if (!take(b, q))
			break;
		v3_vq_put(q, q->chain->head, 0);
	}
	if (any)
		v3_mem_release_end(b->vm);
}

/* Taken back: a page is there as soon as it is used. */
static bool vbal_give(struct vbal *b, struct v3_vq *q)
{
	(void)b;
	(void)q;
	return true;
}

/* ---- statistics ---- */

/* Tags that are not known are left out, 5.5.6.3.2. */
static void vbal_read_stats(struct vbal *b, struct v3_vq *q)
{
	uint64_t stat[V3_BALLOON_NSTATS];
	struct vbal_stat s;
	unsigned long flags;
	unsigned i, n;

	for (i = 0; i < V3_BALLOON_NSTATS; i++)
		stat[i] = V3_BALLOON_UNKNOWN;
	for (n = 0; n < VBAL_BATCH && v3_vq_read(q, &s, sizeof(s)); n++)
		if (s.tag < V3_BALLOON_NSTATS)
			stat[s.tag] = s.value;
	flags = v3_lock_acquire(&b->lock);
	memcpy(b->stat, stat, sizeof(b->stat));
	b->told++;
	v3_lock_release(&b->lock, flags);
}

/*
 * A buffer that has been read stays in the ring until somebody asks: to take it is to ask the driver for the next one
 * (5.5.6.3).
 */
static void vbal_stats(struct vbal *b, struct v3_vq *q)
{
	struct v3_vq_mark start;

	if (b->holding) {
		if (!__atomic_exchange_n(&b->ask, 0, __ATOMIC_SEQ_CST))
			return;
		b->holding = false;
		if (v3_vq_pop(q))
			v3_vq_put(q, q->chain->head, 0);
	}
	start = v3_vq_mark(q);
	if (!v3_vq_pop(q))
		return;
	vbal_read_stats(b, q);
	v3_vq_rewind(q, start);
	b->holding = true;
	__atomic_store_n(&b->ask, 0, __ATOMIC_SEQ_CST);
}

/* ---- device ---- */

static void vbal_process(void *priv, struct v3_vq *q)
{
	struct vbal *b = priv;

	switch ((enum vbal_queue)q->index) {
	case VBAL_INFLATE:
		vbal_take_all(b, q, vbal_take_pages);
		break;
	case VBAL_DEFLATE:
		vbal_take_all(b, q, vbal_give);
		break;
	case VBAL_STATS:
		vbal_stats(b, q);
		break;
	case VBAL_REPORTING_OLD:
	case VBAL_REPORTING:
		vbal_take_all(b, q, vbal_take_buffers);
		break;
	case VBAL_NQUEUES:
		break;
	}
}

/* Who has forgotten its balloon has no balloon: its pages are there as soon as they are used. */
static void vbal_state(void *priv, bool live)
{
	struct vbal *b = priv;

	if (live)
		return;
	memset(b->dev->config + offsetof(struct vbal_config, actual), 0, sizeof(uint32_t));
	b->holding = false;
	b->ask = 0;
}

static void vbal_config_write(void *priv, unsigned off, unsigned size, uint32_t value)
{
	struct vbal *b = priv;

	if (off >= offsetof(struct vbal_config, actual))
		memcpy(b->dev->config + off, &value, size);
}

static const struct v3_virtio_class vbal_class = {
	.name = "virtio_balloon",
	.id = VBAL_ID,
	.pci_class = VBAL_PCI_CLASS,
	.process = vbal_process,
	.state = vbal_state,
	.config_write = vbal_config_write,
};

/* ---- palacios/balloon.h ---- */

static uint64_t vbal_pages_to_bytes(uint32_t npages)
{
	return (uint64_t)npages << V3_PAGE_SHIFT;
}

int v3_balloon_get(struct v3_vm *vm, struct v3_balloon *out)
{
	struct vbal *b = v3_device_find(vm, &v3_device_virtio_balloon);
	struct vbal_config config;
	struct v3_mem_stats mem;
	unsigned long flags;

	if (!b)
		return V3_ENODEV;
	v3_mem_get_stats(vm, &mem);
	flags = v3_lock_acquire(&b->dev->lock);
	memcpy(&config, b->dev->config, sizeof(config));
	v3_lock_release(&b->dev->lock, flags);
	*out = (struct v3_balloon){.target = vbal_pages_to_bytes(config.num_pages),
				   .actual = vbal_pages_to_bytes(config.actual),
				   .released = mem.released,
				   .freed = mem.freed,
				   .driver = v3_virtio_live(b->dev)};
	flags = v3_lock_acquire(&b->lock);
	out->told = b->told;
	memcpy(out->stat, b->stat, sizeof(out->stat));
	v3_lock_release(&b->lock, flags);
	__atomic_store_n(&b->ask, 1, __ATOMIC_SEQ_CST);
	v3_virtio_run_later(&b->dev->queue[VBAL_STATS]);
	return V3_OK;
}

static int vbal_set_target(struct vbal *b, uint64_t bytes)
{
	struct v3_mem_stats mem;
	uint32_t npages;

	v3_mem_get_stats(b->vm, &mem);
	if (bytes > mem.ram_bytes || bytes >> V3_PAGE_SHIFT > ~0u)
		return V3_ERANGE;
	npages = (uint32_t)(bytes >> V3_PAGE_SHIFT);
	v3_virtio_set_config(b->dev, offsetof(struct vbal_config, num_pages), &npages,
			     sizeof(npages));
	return V3_OK;
}

int v3_balloon_set(struct v3_vm *vm, uint64_t bytes)
{
	struct vbal *b = v3_device_find(vm, &v3_device_virtio_balloon);

	return b ? vbal_set_target(b, bytes) : V3_ENODEV;
}

/* ---- class ---- */

static void vbal_reset(void *state)
{
	struct vbal *b = state;

	v3_virtio_reset(b->dev);
}

static void vbal_destroy(void *state)
{
	struct vbal *b = state;

	v3_virtio_destroy(b->dev);
	v3_lock_destroy(&b->lock);
	v3_free(b);
}

static int vbal_create_parts(struct vbal *b, const struct v3_cfg *cfg)
{
	const struct v3_virtio_params params = {
		.nqueues = VBAL_NQUEUES,
		.config_len = sizeof(struct vbal_config),
		.cfg = cfg,
		.features = VIRTIO_BIT(VBAL_F_MUST_TELL_HOST) | VIRTIO_BIT(VBAL_F_STATS_VQ) |
			    VIRTIO_BIT(VBAL_F_DEFLATE_ON_OOM) | VIRTIO_BIT(VBAL_F_REPORTING),
	};
	int err = v3_lock_init(&b->lock);

	if (!err)
		err = v3_mem_release_enable(b->vm);
	if (!err)
		err = v3_virtio_create(b->vm, &vbal_class, &params, b, &b->dev);
	return err ? err : vbal_set_target(b, v3_cfg_uint(cfg, "target"));
}

static int vbal_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct vbal *b;
	int err;

	if (v3_device_find(vm, &v3_device_virtio_balloon))
		return V3_EEXIST;
	b = v3_alloc(sizeof(*b));
	if (!b)
		return V3_ENOMEM;
	b->vm = vm;
	memset(b->stat, 0xff, sizeof(b->stat)); /* V3_BALLOON_UNKNOWN */
	err = vbal_create_parts(b, cfg);
	if (err) {
		vbal_destroy(b);
		return err;
	}
	*state = b;
	return V3_OK;
}

static const struct v3_cfg_key vbal_keys[] = {
	VIRTIO_KEYS,
	{.name = "target", .type = V3_CFG_SIZE, .high = 1ull << 40},
	{.name = NULL},
};

static const struct v3_save_field vbal_fields[] = {
	V3_SAVE_NOT(struct vbal, vm),
	V3_SAVE_PARTS_AT(struct vbal, dev, &v3_virtio_save),
	V3_SAVE_NOT(struct vbal, page),
	V3_SAVE(struct vbal, holding),
	V3_SAVE_NOT(struct vbal, ask),
	V3_SAVE_NOT(struct vbal, lock),
	V3_SAVE(struct vbal, told),
	V3_SAVE(struct vbal, stat),
	V3_SAVE_END,
};
static const struct v3_save_table vbal_save = {
	.fields = vbal_fields,
	.size = sizeof(struct vbal),
};

const struct v3_device_class v3_device_virtio_balloon = {
	.name = "virtio_balloon",
	.save = &vbal_save,
	.keys = vbal_keys,
	.create = vbal_create,
	.reset = vbal_reset,
	.destroy = vbal_destroy,
};
