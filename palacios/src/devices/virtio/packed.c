/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file packed.c
 * The packed layout of virtqueues (virtio 1.2, 2.8): one ring of descriptors that both sides write, and a word of
 * event suppression for each side. Called by ring.c only.
 *
 * Positions count from 0 to twice the size: in the first half the wrap counter is 1, in the second it is 0.
 */
#include "devices/virtio/ring.h"

/* 2.8.1 */
#define PACKED_F_AVAIL 0x0080u
#define PACKED_F_USED  0x8000u

/* Descriptor: address, length, id, flags. */
#define PACKED_LEN   8u
#define PACKED_ID    12u
#define PACKED_FLAGS 14u

/* Event suppression, 2.8.10: position and wrap counter in the low half, what is wanted in the high one. */
#define PACKED_EVENT_ENABLE  0u
#define PACKED_EVENT_DISABLE 1u
#define PACKED_EVENT_DESC    2u
#define PACKED_EVENT_SHIFT   16
#define PACKED_EVENT_WRAP    0x8000u

static uint16_t packed_index(const struct v3_vq *q, uint16_t pos)
{
	return pos < q->size ? pos : (uint16_t)(pos - q->size);
}

static uint16_t packed_after(const struct v3_vq *q, uint16_t pos, uint16_t n)
{
	unsigned after = (unsigned)pos + n;

	return (uint16_t)(after < 2u * q->size ? after : after - 2u * q->size);
}

static v3_gpa_t packed_desc(const struct v3_vq *q, uint16_t pos)
{
	return q->desc + V3_DESC_LEN * packed_index(q, pos);
}

static const char *packed_check(const struct v3_vq *q)
{
	return (q->desc & 15) || (q->avail & 3) || (q->used & 3) ? "a ring is not aligned" : NULL;
}

/* Available: the one flag is as the wrap counter says and the other is not. */
static bool packed_pending(struct v3_vq *q)
{
	bool wrap = q->next_avail < q->size;
	uint16_t flags;

	return v3_vq_get16(q, packed_desc(q, q->next_avail) + PACKED_FLAGS, &flags) &&
	       !!(flags & PACKED_F_AVAIL) == wrap && !!(flags & PACKED_F_USED) != wrap;
}

/* All entries of an indirect table are buffers; only their WRITE flag counts (2.8.8). */
static bool packed_table(struct v3_vq *q, const struct v3_vq_desc *table)
{
	uint32_t n = table->len / V3_DESC_LEN, i;
	struct v3_vq_desc d;

	if (n > q->size)
		return v3_vq_right(q, "a chain is longer than its queue");
	for (i = 0; i < n; i++) {
		if (!v3_vq_load(q, table->addr, n, i, &d))
			return false;
		if (!v3_vq_right(q, d.flags & V3_DESC_F_INDIRECT
					    ? "an indirect descriptor inside an indirect table"
					    : v3_vq_append(q, &d)))
			return false;
	}
	return true;
}

/* The descriptors of a chain follow one another; the last one has its id (2.8.6). At most q->size. */
static bool packed_take(struct v3_vq *q)
{
	uint16_t n = 0, pos = q->next_avail;
	const char *wrong = NULL;
	struct v3_vq_desc d;

	do {
		if (n == q->size)
			return v3_vq_right(q, "a chain is longer than its queue");
		if (!v3_vq_load(q, q->desc, q->size, packed_index(q, pos), &d))
			return false;
		if (!(d.flags & V3_DESC_F_INDIRECT))
			wrong = v3_vq_append(q, &d);
		else
			wrong = n ? "an indirect descriptor in a chain" : v3_vq_indirect(q, &d);
		if (!v3_vq_right(q, wrong))
			return false;
		n++;
		pos = packed_after(q, pos, 1);
	} while (d.flags & V3_DESC_F_NEXT);
	if ((d.flags & V3_DESC_F_INDIRECT) && !packed_table(q, &d))
		return false;
	if (d.tag >= VIRTIO_QUEUE_MAX)
		return v3_vq_right(q, "a buffer id is out of range");
	q->chain->head = d.tag;
	q->ndesc[d.tag] = n;
	q->next_avail = pos;
	return true;
}

/* The flags of the first entry that was not shown yet come last, in packed_show(): the driver looks no further. */
static void packed_put(struct v3_vq *q, uint16_t id, uint32_t written)
{
	uint16_t flags = q->next_used < q->size ? PACKED_F_AVAIL | PACKED_F_USED : 0;
	v3_gpa_t desc = packed_desc(q, q->next_used);

	if (written)
		flags |= V3_DESC_F_WRITE;
	v3_vq_put32(q, desc + PACKED_LEN, written);
	v3_vq_put16(q, desc + PACKED_ID, id);
	if (q->next_used == q->published)
		q->first_flags = flags;
	else
		v3_vq_put16(q, desc + PACKED_FLAGS, flags);
	q->next_used = packed_after(q, q->next_used, q->ndesc[id]);
}

static void packed_show(struct v3_vq *q)
{
	v3_vq_put16(q, packed_desc(q, q->published) + PACKED_FLAGS, q->first_flags);
}

static bool packed_want_interrupt(struct v3_vq *q)
{
	uint32_t event, pos, round = 2u * q->size;

	if (!v3_vq_get32(q, q->avail, &event))
		return false;
	if (event >> PACKED_EVENT_SHIFT != PACKED_EVENT_DESC ||
	    !v3_virtio_has(q->dev, VIRTIO_F_EVENT_IDX))
		return event >> PACKED_EVENT_SHIFT != PACKED_EVENT_DISABLE;
	pos = event & (PACKED_EVENT_WRAP - 1);
	if (pos >= q->size) /* no entry of the ring: rather once too often */
		return true;
	if (!(event & PACKED_EVENT_WRAP))
		pos += q->size;
	return (pos + round - q->published) % round < (q->next_used + round - q->published) % round;
}

static void packed_want_notify(struct v3_vq *q, bool want)
{
	uint32_t event = PACKED_EVENT_DISABLE << PACKED_EVENT_SHIFT;

	if (want && v3_virtio_has(q->dev, VIRTIO_F_EVENT_IDX))
		event = PACKED_EVENT_DESC << PACKED_EVENT_SHIFT | packed_index(q, q->next_avail) |
			(q->next_avail < q->size ? PACKED_EVENT_WRAP : 0);
	else if (want)
		event = PACKED_EVENT_ENABLE << PACKED_EVENT_SHIFT;
	v3_vq_put32(q, q->used, event);
}

const struct v3_vq_layout v3_vq_packed = {
	.check = packed_check,
	.pending = packed_pending,
	.take = packed_take,
	.put = packed_put,
	.show = packed_show,
	.want_interrupt = packed_want_interrupt,
	.want_notify = packed_want_notify,
};
