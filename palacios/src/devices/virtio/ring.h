/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ring.h
 * What the files of the virtqueues share: ring.c has what is the same for all, split.c and packed.c the two
 * layouts of virtio 1.2 (2.7 and 2.8). A device has one layout, chosen with its features.
 */
#ifndef V3_DEVICES_VIRTIO_RING_H
#define V3_DEVICES_VIRTIO_RING_H

#include "devices/virtio/virtio.h"
#include "palacios/mem.h"

/* Descriptors: both layouts have 16 bytes and these flags (2.7.5, 2.8.1). */
#define V3_DESC_LEN	   16u
#define V3_DESC_F_NEXT	   1u
#define V3_DESC_F_WRITE	   2u
#define V3_DESC_F_INDIRECT 4u

#define V3_CHAIN_LEN_MAX (1ull << 32) /* bytes of all buffers of a chain (2.7.5.1) */

struct v3_vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t tag; /* next descriptor; in a packed ring the buffer's id */
};

/** A layout. All but check() are the runner's, and let the device fail if the driver broke a rule. */
struct v3_vq_layout {
	/* As v3_vq_check(). Alignment only: sizes and wraps are checked by the caller. */
	const char *(*check)(const struct v3_vq *q);
	/* Is there a chain to take? */
	bool (*pending)(struct v3_vq *q);
	/* Take it: position moved, q->chain filled. false: the device has failed */
	bool (*take)(struct v3_vq *q);
	/* Write the used entry; the driver need not see it yet. */
	void (*put)(struct v3_vq *q, uint16_t head, uint32_t written);
	/* Let the driver see all entries that were put. */
	void (*show)(struct v3_vq *q);
	/* Does the driver want an interrupt for the entries from q->published to q->next_used? */
	bool (*want_interrupt)(struct v3_vq *q);
	/* Ask the driver to notify, or not to. */
	void (*want_notify)(struct v3_vq *q, bool want);
};

extern const struct v3_vq_layout v3_vq_split, v3_vq_packed;

/* ---- ring.c ---- */

/** v3_vq_field() for a page that is not remembered. */
void *v3_vq_find_page(struct v3_vq *q, v3_gpa_t gpa);
/**
 * Host address of a field, which is naturally aligned and so within one page. NULL: there is none, the device has
 * failed.
 */
static inline void *v3_vq_field(struct v3_vq *q, v3_gpa_t gpa)
{
	struct v3_vq_page *page = &q->page[(gpa >> V3_PAGE_SHIFT) % V3_ARRAY_SIZE(q->page)];
	const v3_gpa_t start = gpa & V3_PAGE_MASK;

	if (V3_UNLIKELY(!page->hva || page->gpa != start))
		return v3_vq_find_page(q, gpa);
	return page->hva + (gpa - start);
}

static inline bool v3_vq_get16(struct v3_vq *q, v3_gpa_t gpa, uint16_t *value)
{
	uint16_t *p = v3_vq_field(q, gpa);

	if (p)
		*value = __atomic_load_n(p, __ATOMIC_ACQUIRE);
	return p != NULL;
}

static inline void v3_vq_put16(struct v3_vq *q, v3_gpa_t gpa, uint16_t value)
{
	uint16_t *p = v3_vq_field(q, gpa);

	if (!p)
		return;
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
	v3_mem_wrote(q->dev->vm, gpa, sizeof(value));
}

static inline bool v3_vq_get32(struct v3_vq *q, v3_gpa_t gpa, uint32_t *value)
{
	uint32_t *p = v3_vq_field(q, gpa);

	if (p)
		*value = __atomic_load_n(p, __ATOMIC_ACQUIRE);
	return p != NULL;
}

static inline void v3_vq_put32(struct v3_vq *q, v3_gpa_t gpa, uint32_t value)
{
	uint32_t *p = v3_vq_field(q, gpa);

	if (!p)
		return;
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
	v3_mem_wrote(q->dev->vm, gpa, sizeof(value));
}

/** The device fails if @p wrong is not NULL. @return whether it is NULL */
static inline bool v3_vq_right(struct v3_vq *q, const char *wrong)
{
	if (V3_UNLIKELY(wrong != NULL))
		v3_virtio_fail(q->dev, wrong);
	return !wrong;
}

/** Entry @p i of a table of @p n descriptors, copied. false: failed */
bool v3_vq_load(struct v3_vq *q, v3_gpa_t table, uint32_t n, uint32_t i, struct v3_vq_desc *d);
/** Append the buffer of a descriptor to q->chain. @return what is wrong with it, NULL */
const char *v3_vq_append(struct v3_vq *q, const struct v3_vq_desc *d);
/** May this descriptor stand for a table of others (2.7.5.3)? @return what is wrong with it, NULL */
const char *v3_vq_indirect(const struct v3_vq *q, const struct v3_vq_desc *d);
#endif
