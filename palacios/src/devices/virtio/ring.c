/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ring.c
 * Virtqueues (virtio 1.2, 2.6 to 2.8) with indirect descriptors and event index: what both layouts have in common,
 * and the bytes of a chain. Called by the transport and by the devices while they run a queue; calls split.c or
 * packed.c, guest memory and v3_virtio_fail().
 *
 * Everything in the rings is the driver's and may change at any moment: each field is read once, by one atomic
 * load, and checked as read. Fields are reached by their own address each time, so the rings need not be
 * contiguous in the host; all are naturally aligned (v3_vq_check(), v3_vq_indirect()), so none crosses a page.
 */
#include "devices/virtio/ring.h"

#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/util/str.h"

/* Guest RAM stays where it is unless the guest gives it back, so the pages met last are remembered. */
void *v3_vq_find_page(struct v3_vq *q, v3_gpa_t gpa)
{
	struct v3_vq_page *page = &q->page[(gpa >> V3_PAGE_SHIFT) % V3_ARRAY_SIZE(q->page)];
	const v3_gpa_t start = gpa & V3_PAGE_MASK;
	uint8_t *p = v3_mem_ptr(q->dev->vm, start, V3_PAGE_SIZE);

	if (!p) {
		v3_virtio_fail(q->dev, "a ring lies outside RAM");
		return NULL;
	}
	page->gpa = start;
	page->hva = p;
	return p + (gpa - start);
}

void v3_vq_wrote(struct v3_vq *q, struct v3_vq_chain *chain)
{
	const struct v3_vq_cursor *in = &chain->in;

	if (!chain->lent)
		return;
	chain->lent = false;
	for (uint32_t i = chain->out.end; i < in->end && i <= in->seg; i++)
		v3_mem_wrote(q->dev->vm, chain->seg[i].gpa,
			     i < in->seg ? chain->seg[i].len : in->off);
}

/* ---- descriptors ---- */

/* The half with the flags comes first: in a packed ring they tell that the rest is valid. */
bool v3_vq_load(struct v3_vq *q, v3_gpa_t table, uint32_t n, uint32_t i, struct v3_vq_desc *d)
{
	const uint64_t *p;
	uint64_t word;

	if (!v3_vq_right(q, i < n ? NULL : "a descriptor index is out of range"))
		return false;
	p = v3_vq_field(q, table + (uint64_t)i * V3_DESC_LEN);
	if (!p)
		return false;
	word = __atomic_load_n(&p[1], __ATOMIC_ACQUIRE);
	d->addr = __atomic_load_n(&p[0], __ATOMIC_RELAXED);
	d->len = (uint32_t)word;
	if (v3_virtio_has(q->dev, VIRTIO_F_RING_PACKED)) {
		d->tag = (uint16_t)(word >> 32);
		d->flags = (uint16_t)(word >> 48);
	} else {
		d->flags = (uint16_t)(word >> 32);
		d->tag = (uint16_t)(word >> 48);
	}
	return true;
}

/* Empty buffers have no effect. */
const char *v3_vq_append(struct v3_vq *q, const struct v3_vq_desc *d)
{
	struct v3_vq_chain *chain = q->chain;
	struct v3_vq_cursor *half = &chain->out;

	if (d->flags & V3_DESC_F_WRITE) {
		half = &chain->in;
	} else if (chain->in.end != chain->out.end) {
		return "a readable buffer follows a writable one";
	}
	if (d->len && d->addr > ~0ull - d->len)
		return "a buffer wraps";
	if (chain->out.left + chain->in.left + d->len > V3_CHAIN_LEN_MAX)
		return "a chain is longer than 4 GiB";
	if (!d->len)
		return NULL;
	chain->seg[chain->in.end++] = (struct v3_vq_seg){.gpa = d->addr, .len = d->len};
	half->left += d->len;
	if (half == &chain->out) {
		chain->out.end = chain->in.end;
		chain->in.seg = chain->in.end;
	}
	return NULL;
}

const char *v3_vq_indirect(const struct v3_vq *q, const struct v3_vq_desc *d)
{
	if (!v3_virtio_has(q->dev, VIRTIO_F_INDIRECT_DESC))
		return "an indirect descriptor, but the feature was not accepted";
	if (d->flags & V3_DESC_F_NEXT)
		return "an indirect descriptor with a next one";
	if (!d->len || d->len % V3_DESC_LEN || (d->addr & (V3_DESC_LEN - 1)))
		return "an indirect table of odd size or address";
	if (d->addr > ~0ull - d->len)
		return "an indirect table wraps";
	return NULL;
}

/* ---- queues ---- */

static const struct v3_vq_layout *ring_layout(const struct v3_vq *q)
{
	return v3_virtio_has(q->dev, VIRTIO_F_RING_PACKED) ? &v3_vq_packed : &v3_vq_split;
}

void v3_vq_reset(struct v3_vq *q)
{
	q->size = VIRTIO_QUEUE_MAX;
	q->vector = VIRTIO_NO_VECTOR;
	q->enabled = false;
	q->again = false;
	q->polled = false;
	q->held = 0;
	q->desc = q->avail = q->used = 0;
	q->next_avail = q->next_used = q->published = 0;
	memset(q->chain, 0, offsetof(struct v3_vq_chain, seg));
}

const char *v3_vq_check(const struct v3_vq *q)
{
	uint64_t top = ~0ull - 0x10000; /* no ring is as long as that */

	if (!q->size || q->size > VIRTIO_QUEUE_MAX)
		return "queue size is not within the limit";
	if (q->desc > top || q->avail > top || q->used > top)
		return "a ring wraps";
	return ring_layout(q)->check(q);
}

/*
 * Is there a chain to take? The driver need not notify while the queue runs, and must when it has run dry: asks for
 * that first if there is none, and looks again.
 */
static bool ring_pending(struct v3_vq *q, const struct v3_vq_layout *layout)
{
	if (layout->pending(q))
		return true;
	if (q->polled || !v3_virtio_live(q->dev))
		return false;
	layout->want_notify(q, true);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!layout->pending(q))
		return false;
	layout->want_notify(q, false);
	return true;
}

bool v3_vq_pop(struct v3_vq *q)
{
	const struct v3_vq_layout *layout = ring_layout(q);
	struct v3_vq_chain *chain = q->chain;

	v3_vq_wrote(q, chain); /* if it was not put */
	if (!v3_virtio_live(q->dev))
		return false;
	if (q->budget == VIRTIO_RUN_BUDGET && !q->polled)
		layout->want_notify(q, false);
	if (!ring_pending(q, layout))
		return false;
	if (!q->budget) {
		q->more = true;
		return false;
	}
	q->budget--;
	memset(chain, 0, offsetof(struct v3_vq_chain, seg));
	if (!layout->take(q))
		return false;
	chain->in_len = chain->in.left;
	return true;
}

struct v3_vq_mark v3_vq_mark(const struct v3_vq *q)
{
	return (struct v3_vq_mark){.next_avail = q->next_avail, .budget = q->budget};
}

void v3_vq_rewind(struct v3_vq *q, struct v3_vq_mark mark)
{
	q->next_avail = mark.next_avail;
	q->budget = mark.budget;
}

void v3_vq_poll(struct v3_vq *q, bool on)
{
	if (on && !q->polled)
		ring_layout(q)->want_notify(q, false);
	q->polled =
		on; /* when off, the next v3_vq_pop() that finds nothing asks for notifications */
}

void v3_vq_put(struct v3_vq *q, uint16_t head, uint32_t written)
{
	v3_vq_wrote(q, q->chain);
	if (v3_virtio_live(q->dev))
		ring_layout(q)->put(q, head, written);
}

void v3_vq_publish(struct v3_vq *q)
{
	const struct v3_vq_layout *layout = ring_layout(q);
	bool interrupt;

	v3_vq_wrote(q, q->chain);
	if (q->published == q->next_used)
		return;
	layout->show(q);
	/* The driver sets its event, then looks for used entries. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	interrupt = layout->want_interrupt(q);
	q->published = q->next_used;
	if (interrupt)
		v3_virtio_interrupt(q);
}

/* ---- the bytes of a chain ---- */

/* @p n bytes on, which lie in one segment. */
static void ring_move(const struct v3_vq_chain *chain, struct v3_vq_cursor *c, uint32_t n)
{
	c->left -= n;
	c->off += n;
	if (c->off == chain->seg[c->seg].len) {
		c->seg++;
		c->off = 0;
	}
}

void *v3_vq_piece(struct v3_vq *q, bool in, uint32_t max, uint32_t *len)
{
	struct v3_vq_cursor *c = in ? &q->chain->in : &q->chain->out;
	uint32_t n, page;
	v3_gpa_t gpa;
	void *p;

	if (!c->left || !max)
		return NULL;
	gpa = q->chain->seg[c->seg].gpa + c->off;
	n = q->chain->seg[c->seg].len - c->off;
	if (n > max)
		n = max;
	p = v3_mem_ptr(q->dev->vm, gpa, n);
	page = (uint32_t)(V3_PAGE_SIZE - (gpa & (V3_PAGE_SIZE - 1)));
	if (!p && n > page) {
		n = page;
		p = v3_mem_ptr(q->dev->vm, gpa, n);
	}
	if (!p) {
		v3_virtio_fail(q->dev, "a buffer lies outside RAM");
		return NULL;
	}
	if (in)
		q->chain->lent = true;
	ring_move(q->chain, c, n);
	*len = n;
	return p;
}

bool v3_vq_read(struct v3_vq *q, void *buf, uint32_t len)
{
	uint8_t *to = buf;
	uint32_t n;
	void *p;

	if (q->chain->out.left < len)
		return false;
	for (; len; len -= n, to += n) {
		p = v3_vq_piece(q, false, len, &n);
		if (!p)
			return false;
		memcpy(to, p, n);
	}
	return true;
}

bool v3_vq_write(struct v3_vq *q, const void *buf, uint32_t len)
{
	const uint8_t *from = buf;
	uint32_t n;
	void *p;

	if (q->chain->in.left < len)
		return false;
	for (; len; len -= n, from += n) {
		p = v3_vq_piece(q, true, len, &n);
		if (!p)
			return false;
		memcpy(p, from, n);
	}
	return true;
}

bool v3_vq_skip(struct v3_vq *q, bool in, uint64_t len)
{
	struct v3_vq_cursor *c = in ? &q->chain->in : &q->chain->out;
	uint32_t n;

	if (c->left < len)
		return false;
	for (; len; len -= n) {
		n = q->chain->seg[c->seg].len - c->off;
		if (n > len)
			n = (uint32_t)len;
		ring_move(q->chain, c, n);
	}
	return true;
}

/* ---- saved state ---- */

static void ring_save_settle(void *state)
{
	struct v3_vq *q = state;

	q->due = __atomic_load_n(&q->work.queued, __ATOMIC_RELAXED);
}

static int ring_save_loaded(void *state)
{
	struct v3_vq *q = state;

	q->published = q->next_used; /* as after every run */
	memset(q->page, 0, sizeof(q->page));
	if (q->due)
		v3_virtio_run_later(q);
	return V3_OK;
}

static const struct v3_save_field ring_fields[] = {
	V3_SAVE_NOT(struct v3_vq, dev),
	V3_SAVE_NOT(struct v3_vq, index),
	V3_SAVE(struct v3_vq, size),
	V3_SAVE(struct v3_vq, vector),
	V3_SAVE(struct v3_vq, enabled),
	V3_SAVE(struct v3_vq, desc),
	V3_SAVE(struct v3_vq, avail),
	V3_SAVE(struct v3_vq, used),
	V3_SAVE_NOT(struct v3_vq, running),
	V3_SAVE_NOT(struct v3_vq, again),
	V3_SAVE_NOT(struct v3_vq, held),
	V3_SAVE(struct v3_vq, next_avail),
	V3_SAVE(struct v3_vq, next_used),
	V3_SAVE_NOT(struct v3_vq, published),
	V3_SAVE_NOT(struct v3_vq, first_flags), /* this and what follows: of a run, or of a chain */
	V3_SAVE_NOT(struct v3_vq, budget),
	V3_SAVE_NOT(struct v3_vq, more),
	V3_SAVE(struct v3_vq, polled),
	V3_SAVE_NOT(struct v3_vq, chain),
	V3_SAVE_NOT(struct v3_vq, page),
	V3_SAVE_NOT(struct v3_vq, page_count),
	V3_SAVE_NOT(struct v3_vq, ndesc),
	V3_SAVE_NOT(struct v3_vq, work),
	V3_SAVE(struct v3_vq, due),
	V3_SAVE_END,
};
const struct v3_save_table v3_vq_save = {
	.fields = ring_fields,
	.size = sizeof(struct v3_vq),
	.settle = ring_save_settle,
	.loaded = ring_save_loaded,
};
