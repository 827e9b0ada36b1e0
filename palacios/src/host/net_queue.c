/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net_queue.c
 * The ring of bytes with one reader in which frames wait at a port (net_queue.h). Called by net.c; calls nobody but for
 * its memory.
 */
#include "host/net_queue.h"

#include "palacios/error.h"
#include "palacios/vm.h"

#define QUEUE_ALIGN 8u
#define QUEUE_WRAP  ~0u /* as a record's length: the next one is at the beginning of the queue */

int v3_net_queue_init(struct v3_net_queue *q)
{
	q->bytes = v3_alloc_pages(V3_NET_QUEUE_PAGES);
	return q->bytes ? V3_OK : V3_ENOMEM;
}

void v3_net_queue_fini(struct v3_net_queue *q)
{
	v3_free_pages(q->bytes, V3_NET_QUEUE_PAGES);
}

/* With its record. */
static uint32_t queue_need(uint32_t frame)
{
	return ((uint32_t)sizeof(struct v3_net_record) + frame + QUEUE_ALIGN - 1) &
	       ~(QUEUE_ALIGN - 1);
}

/* A record and its frame lie in one piece. */
struct v3_net_record *v3_net_queue_begin(struct v3_net_queue *q, uint32_t len)
{
	uint32_t need = queue_need(len);
	uint32_t used = q->in - __atomic_load_n(&q->out, __ATOMIC_ACQUIRE);
	uint32_t at = q->in % V3_NET_QUEUE_BYTES, tail = V3_NET_QUEUE_BYTES - at;
	uint32_t skip = tail < need ? tail : 0;
	struct v3_net_record *record;

	if (V3_NET_QUEUE_BYTES - used < need + skip)
		return NULL;
	q->begun = q->in;
	if (skip) {
		((struct v3_net_record *)(q->bytes + at))->len = QUEUE_WRAP;
		__atomic_store_n(&q->in, q->in + skip, __ATOMIC_RELEASE);
	}
	record = (struct v3_net_record *)(q->bytes + q->in % V3_NET_QUEUE_BYTES);
	record->len = len;
	return record;
}

bool v3_net_queue_end(struct v3_net_queue *q, const struct v3_net_record *record)
{
	uint32_t start = q->in, out;

	__atomic_store_n(&q->in, start + queue_need(record->len), __ATOMIC_SEQ_CST);
	/* The reader empties the queue, then looks again, so one of the two sees the other. What is skipped at the
	 * end of the queue may have been read over or not. */
	out = __atomic_load_n(&q->out, __ATOMIC_SEQ_CST);
	return out == q->begun || out == start;
}

struct v3_net_record *v3_net_queue_front(struct v3_net_queue *q)
{
	uint32_t in = __atomic_load_n(&q->in, __ATOMIC_SEQ_CST), at;
	struct v3_net_record *record;

	while (q->out != in) {
		at = q->out % V3_NET_QUEUE_BYTES;
		record = (struct v3_net_record *)(q->bytes + at);
		if (record->len != QUEUE_WRAP)
			return record;
		__atomic_store_n(&q->out, q->out + V3_NET_QUEUE_BYTES - at, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

void v3_net_queue_drop(struct v3_net_queue *q)
{
	struct v3_net_record *record = v3_net_queue_front(q);

	if (record)
		__atomic_store_n(&q->out, q->out + queue_need(record->len), __ATOMIC_SEQ_CST);
}

void v3_net_queue_flush(struct v3_net_queue *q)
{
	__atomic_store_n(&q->out, __atomic_load_n(&q->in, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
}
