/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file split.c
 * The split layout of virtqueues (virtio 1.2, 2.7): descriptor table, available ring, used ring. Called by ring.c
 * only.
 */
#include "devices/virtio/ring.h"

/* Available ring, 2.7.6: flags, index, entries, used_event. Used ring, 2.7.8: flags, index, elements, avail_event. */
#define SPLIT_FLAGS	   0u
#define SPLIT_IDX	   2u
#define SPLIT_ENTRY	   4u
#define USED_ELEM_LEN	   8u
#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY	   1u

static v3_gpa_t split_used_event(const struct v3_vq *q)
{
	return q->avail + SPLIT_ENTRY + 2u * q->size;
}

static v3_gpa_t split_avail_event(const struct v3_vq *q)
{
	return q->used + SPLIT_ENTRY + USED_ELEM_LEN * q->size;
}

static const char *split_check(const struct v3_vq *q)
{
	if (q->size & (q->size - 1))
		return "queue size is not a power of two";
	if ((q->desc & 15) || (q->avail & 1) || (q->used & 3))
		return "a ring is not aligned";
	return NULL;
}

static bool split_pending(struct v3_vq *q)
{
	uint16_t idx, n;

	if (!v3_vq_get16(q, q->avail + SPLIT_IDX, &idx))
		return false;
	n = (uint16_t)(idx - q->next_avail);
	return v3_vq_right(q, n > q->size ? "the available index jumps" : NULL) && n;
}

/* Walk from q->chain->head. At most q->size buffers (2.7.5.3.1), so a loop ends. */
static bool split_walk(struct v3_vq *q)
{
	v3_gpa_t table = q->desc;
	uint32_t n = q->size, i = q->chain->head, count = 0;
	bool inside = false;
	struct v3_vq_desc d;
	const char *wrong;

	for (;;) {
		if (!v3_vq_load(q, table, n, i, &d))
			return false;
		if (d.flags & V3_DESC_F_INDIRECT) {
			wrong = inside ? "an indirect descriptor inside an indirect table"
				       : v3_vq_indirect(q, &d);
			table = d.addr;
			n = d.len / V3_DESC_LEN;
			i = 0;
			inside = true;
		} else {
			wrong = count++ < q->size ? v3_vq_append(q, &d)
						  : "a chain is longer than its queue";
			i = d.tag;
		}
		if (!v3_vq_right(q, wrong))
			return false;
		if (!(d.flags & (V3_DESC_F_NEXT | V3_DESC_F_INDIRECT)))
			return true;
	}
}

static bool split_take(struct v3_vq *q)
{
	v3_gpa_t entry = q->avail + SPLIT_ENTRY + 2u * (q->next_avail % q->size);

	if (!v3_vq_get16(q, entry, &q->chain->head))
		return false;
	q->next_avail++;
	return split_walk(q);
}

static void split_put(struct v3_vq *q, uint16_t head, uint32_t written)
{
	v3_gpa_t elem = q->used + SPLIT_ENTRY + USED_ELEM_LEN * (q->next_used % q->size);

	v3_vq_put32(q, elem, head);
	v3_vq_put32(q, elem + 4, written);
	q->next_used++;
}

static void split_show(struct v3_vq *q)
{
	v3_vq_put16(q, q->used + SPLIT_IDX, q->next_used);
}

static bool split_want_interrupt(struct v3_vq *q)
{
	uint16_t value;

	if (v3_virtio_has(q->dev, VIRTIO_F_EVENT_IDX))
		return v3_vq_get16(q, split_used_event(q), &value) &&
		       (uint16_t)(q->next_used - value - 1) <
			       (uint16_t)(q->next_used - q->published);
	return v3_vq_get16(q, q->avail + SPLIT_FLAGS, &value) && !(value & AVAIL_NO_INTERRUPT);
}

/* By the index at which the driver shall notify next, which just stays behind if it need not, or by a flag (2.7.10). */
static void split_want_notify(struct v3_vq *q, bool want)
{
	if (!v3_virtio_has(q->dev, VIRTIO_F_EVENT_IDX))
		v3_vq_put16(q, q->used + SPLIT_FLAGS, want ? 0 : USED_NO_NOTIFY);
	else if (want)
		v3_vq_put16(q, split_avail_event(q), q->next_avail);
}

const struct v3_vq_layout v3_vq_split = {
	.check = split_check,
	.pending = split_pending,
	.take = split_take,
	.put = split_put,
	.show = split_show,
	.want_interrupt = split_want_interrupt,
	.want_notify = split_want_notify,
};
