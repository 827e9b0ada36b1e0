/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ring.c
 * Split virtqueues (virtio 1.2, 2.7) with indirect descriptors and event index. Called by pci.c and by the
 * devices while they run a queue; calls guest memory and v3_virtio_fail().
 *
 * Everything in the rings is the driver's and may change at any moment: each field is read once, by one atomic
 * load, and checked as read. Fields are reached by their own address each time, so the rings need not be
 * contiguous in the host; all are naturally aligned (v3_vq_check(), desc_indirect()), so none crosses a page.
 */
#include "devices/virtio/virtio.h"

#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/util/str.h"

/* Descriptors, 2.7.5 */
#define DESC_LEN	16u
#define DESC_F_NEXT	1u
#define DESC_F_WRITE	2u
#define DESC_F_INDIRECT 4u

/* Available ring, 2.7.6: flags, index, entries, used_event. Used ring, 2.7.8: flags, index, elements, avail_event. */
#define RING_FLAGS	   0u
#define RING_IDX	   2u
#define RING_ENTRY	   4u
#define USED_ELEM_LEN	   8u
#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY	   1u

struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/*
 * Host address of a field, which is within one page; the device fails if there is none. Guest RAM stays where it is
 * as long as the VM exists, so the pages met last are remembered.
 */
static void *ring_field(struct v3_vq *q, v3_gpa_t gpa)
{
	struct v3_vq_page *page = &q->page[(gpa >> V3_PAGE_SHIFT) % V3_ARRAY_SIZE(q->page)];
	const v3_gpa_t start = gpa & V3_PAGE_MASK;
	uint8_t *p;

	if (V3_UNLIKELY(!page->hva || page->gpa != start)) {
		p = v3_mem_ptr(q->dev->vm, start, V3_PAGE_SIZE);
		if (!p) {
			v3_virtio_fail(q->dev, "a ring lies outside RAM");
			return NULL;
		}
		page->gpa = start;
		page->hva = p;
	}
	return page->hva + (gpa - start);
}

static bool ring_get16(struct v3_vq *q, v3_gpa_t gpa, uint16_t *value)
{
	uint16_t *p = ring_field(q, gpa);

	if (p)
		*value = __atomic_load_n(p, __ATOMIC_ACQUIRE);
	return p != NULL;
}

static void ring_put16(struct v3_vq *q, v3_gpa_t gpa, uint16_t value)
{
	uint16_t *p = ring_field(q, gpa);

	if (p)
		__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static void ring_put32(struct v3_vq *q, v3_gpa_t gpa, uint32_t value)
{
	uint32_t *p = ring_field(q, gpa);

	if (p)
		__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

static v3_gpa_t ring_used_event(const struct v3_vq *q)
{
	return q->avail + RING_ENTRY + 2u * q->size;
}

static v3_gpa_t ring_avail_event(const struct v3_vq *q)
{
	return q->used + RING_ENTRY + USED_ELEM_LEN * q->size;
}

void v3_vq_reset(struct v3_vq *q)
{
	q->size = VIRTIO_QUEUE_MAX;
	q->vector = VIRTIO_NO_VECTOR;
	q->enabled = false;
	q->again = false;
	q->held = 0;
	q->desc = q->avail = q->used = 0;
	q->next_avail = q->next_used = q->published = 0;
	memset(q->chain, 0, offsetof(struct v3_vq_chain, seg));
}

const char *v3_vq_check(const struct v3_vq *q)
{
	uint64_t top = ~0ull - 0x10000; /* no ring is as long as that */

	if (!q->size || (q->size & (q->size - 1)) || q->size > VIRTIO_QUEUE_MAX)
		return "queue size is not a power of two within the limit";
	if ((q->desc & 15) || (q->avail & 1) || (q->used & 3))
		return "a ring is not aligned";
	if (q->desc > top || q->avail > top || q->used > top)
		return "a ring wraps";
	return NULL;
}

/* ---- descriptors ---- */

/* Entry @p i of a table of @p n. */
static bool desc_load(struct v3_vq *q, v3_gpa_t table, uint32_t n, uint32_t i, struct ring_desc *d)
{
	const uint64_t *p;
	uint64_t word;

	if (i >= n) {
		v3_virtio_fail(q->dev, "a descriptor index is out of range");
		return false;
	}
	p = ring_field(q, table + (uint64_t)i * DESC_LEN);
	if (!p)
		return false;
	d->addr = __atomic_load_n(&p[0], __ATOMIC_RELAXED);
	word = __atomic_load_n(&p[1], __ATOMIC_RELAXED);
	d->len = (uint32_t)word;
	d->flags = (uint16_t)(word >> 32);
	d->next = (uint16_t)(word >> 48);
	return true;
}

/* Append the buffer of a descriptor to the chain. Empty ones have no effect. @return what is wrong, NULL */
static const char *desc_append(struct v3_vq_chain *chain, const struct ring_desc *d)
{
	struct v3_vq_cursor *half = &chain->out;

	if (d->flags & DESC_F_WRITE) {
		half = &chain->in;
	} else if (chain->in.end != chain->out.end) {
		return "a readable buffer follows a writable one";
	}
	if (d->len && d->addr > ~0ull - d->len)
		return "a buffer wraps";
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

/* A descriptor that stands for a table of others: the last of its chain (2.7.5.3). @return what is wrong, NULL */
static const char *desc_indirect(const struct v3_vq *q, const struct ring_desc *d, bool inside)
{
	if (!v3_virtio_has(q->dev, VIRTIO_F_INDIRECT_DESC))
		return "an indirect descriptor, but the feature was not accepted";
	if (inside)
		return "an indirect descriptor inside an indirect table";
	if (d->flags & DESC_F_NEXT)
		return "an indirect descriptor with a next one";
	if (!d->len || d->len % DESC_LEN || (d->addr & (DESC_LEN - 1)))
		return "an indirect table of odd size or address";
	if (d->addr > ~0ull - d->len)
		return "an indirect table wraps";
	return NULL;
}

/* Walk from q->chain->head. At most q->size buffers (2.7.5.3.1), so a loop ends. */
static bool chain_walk(struct v3_vq *q)
{
	struct v3_vq_chain *chain = q->chain;
	v3_gpa_t table = q->desc;
	uint32_t n = q->size, i = chain->head, count = 0;
	bool inside = false;
	struct ring_desc d;
	const char *wrong;

	for (;;) {
		if (!desc_load(q, table, n, i, &d))
			return false;
		if (d.flags & DESC_F_INDIRECT) {
			wrong = desc_indirect(q, &d, inside);
			table = d.addr;
			n = d.len / DESC_LEN;
			i = 0;
			inside = true;
		} else {
			wrong = count++ < q->size ? desc_append(chain, &d)
						  : "a chain is longer than its queue";
			i = d.next;
		}
		if (wrong) {
			v3_virtio_fail(q->dev, wrong);
			return false;
		}
		if (!(d.flags & (DESC_F_NEXT | DESC_F_INDIRECT)))
			break;
	}
	chain->in_len = chain->in.left;
	return true;
}

/* ---- available ring ---- */

/*
 * The driver need not notify while the queue runs, and must when it has run dry (2.7.10): by the index at which it
 * shall notify next, which just stays behind meanwhile, or by a flag.
 */
static void ring_want_notify(struct v3_vq *q, bool want)
{
	if (!v3_virtio_has(q->dev, VIRTIO_F_EVENT_IDX))
		ring_put16(q, q->used + RING_FLAGS, want ? 0 : USED_NO_NOTIFY);
	else if (want)
		ring_put16(q, ring_avail_event(q), q->next_avail);
}

/* Is there an entry to take? Asks for a notification first if there is none, and looks again. */
static bool ring_pending(struct v3_vq *q)
{
	uint16_t idx, n;
	int look;

	for (look = 0; look < 2; look++) {
		if (!ring_get16(q, q->avail + RING_IDX, &idx))
			return false;
		n = (uint16_t)(idx - q->next_avail);
		if (n > q->size) {
			v3_virtio_fail(q->dev, "the available index jumps");
			return false;
		}
		if (n) {
			if (look)
				ring_want_notify(q, false);
			return true;
		}
		if (!look) {
			ring_want_notify(q, true);
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
		}
	}
	return false;
}

bool v3_vq_pop(struct v3_vq *q)
{
	struct v3_vq_chain *chain = q->chain;

	if (!v3_virtio_live(q->dev))
		return false;
	if (q->budget == VIRTIO_RUN_BUDGET)
		ring_want_notify(q, false);
	if (!ring_pending(q))
		return false;
	if (!q->budget) {
		q->more = true;
		return false;
	}
	q->budget--;
	memset(chain, 0, offsetof(struct v3_vq_chain, seg));
	if (!ring_get16(q, q->avail + RING_ENTRY + 2u * (q->next_avail % q->size), &chain->head))
		return false;
	q->next_avail++;
	return chain_walk(q);
}

void v3_vq_unpop(struct v3_vq *q, unsigned n)
{
	q->next_avail = (uint16_t)(q->next_avail - n);
	q->budget = (uint16_t)(q->budget + n);
}

/* ---- used ring ---- */

void v3_vq_put(struct v3_vq *q, uint16_t head, uint32_t written)
{
	v3_gpa_t elem = q->used + RING_ENTRY + USED_ELEM_LEN * (q->next_used % q->size);

	if (!v3_virtio_live(q->dev))
		return;
	ring_put32(q, elem, head);
	ring_put32(q, elem + 4, written);
	q->next_used++;
}

/* Does the driver want an interrupt for the entries from q->published to q->next_used (2.7.7)? */
static bool ring_want_interrupt(struct v3_vq *q)
{
	uint16_t value;

	if (v3_virtio_has(q->dev, VIRTIO_F_EVENT_IDX))
		return ring_get16(q, ring_used_event(q), &value) &&
		       (uint16_t)(q->next_used - value - 1) <
			       (uint16_t)(q->next_used - q->published);
	return ring_get16(q, q->avail + RING_FLAGS, &value) && !(value & AVAIL_NO_INTERRUPT);
}

void v3_vq_publish(struct v3_vq *q)
{
	bool interrupt;

	if (q->published == q->next_used)
		return;
	ring_put16(q, q->used + RING_IDX, q->next_used);
	__atomic_thread_fence(
		__ATOMIC_SEQ_CST); /* the driver sets its event, then reads the index */
	interrupt = ring_want_interrupt(q);
	q->published = q->next_used;
	if (interrupt)
		v3_virtio_interrupt(q);
}

/* ---- the bytes of a chain ---- */

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
	c->left -= n;
	c->off += n;
	if (c->off == q->chain->seg[c->seg].len) {
		c->seg++;
		c->off = 0;
	}
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

bool v3_vq_skip(struct v3_vq *q, uint64_t len)
{
	uint32_t n;

	if (q->chain->in.left < len)
		return false;
	for (; len; len -= n) {
		if (!v3_vq_piece(q, true, len < ~0u ? (uint32_t)len : ~0u, &n))
			return false;
	}
	return true;
}
