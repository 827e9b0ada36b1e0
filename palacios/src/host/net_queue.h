/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net_queue.h
 * Frames that wait at a port of a network: a ring of bytes. Those who send hold a lock of theirs; the one reader takes
 * none. Used by net.c only.
 */
#ifndef V3_HOST_NET_QUEUE_H
#define V3_HOST_NET_QUEUE_H

#include "palacios/net.h"

#define V3_NET_QUEUE_PAGES 128u
#define V3_NET_QUEUE_BYTES (V3_NET_QUEUE_PAGES * (uint32_t)V3_PAGE_SIZE)

/** Before each frame in a queue. */
struct v3_net_record {
	uint32_t len; /* of the frame */
	struct v3_net_offload offload;
};

struct v3_net_queue {
	uint8_t *bytes; /* owned */
	uint32_t in,
		out; /* bytes ever put in and taken out, modulo 2^32; in: senders, out: the reader */
	uint32_t begun; /* senders: in, before the record that is being made */
};

/** thread. @return V3_OK, V3_ENOMEM */
int v3_net_queue_init(struct v3_net_queue *q);
/** thread. A zeroed one is allowed. */
void v3_net_queue_fini(struct v3_net_queue *q);

/** Bytes that are taken now. any. */
static inline uint32_t v3_net_queue_used(const struct v3_net_queue *q)
{
	return __atomic_load_n(&q->in, __ATOMIC_RELAXED) -
	       __atomic_load_n(&q->out, __ATOMIC_SEQ_CST);
}

/* ---- sender ---- */

/** A record for a frame of @p len bytes behind it, which the reader does not see yet. @return NULL: no room */
struct v3_net_record *v3_net_queue_begin(struct v3_net_queue *q, uint32_t len);
/** Let the reader see it. @return may the reader have found the queue empty before? Then it must be told. */
bool v3_net_queue_end(struct v3_net_queue *q, const struct v3_net_record *record);

/* ---- reader ---- */

/** The oldest record, NULL: none. */
struct v3_net_record *v3_net_queue_front(struct v3_net_queue *q);
/** Remove it. */
void v3_net_queue_drop(struct v3_net_queue *q);
/** Remove all that are there. */
void v3_net_queue_flush(struct v3_net_queue *q);

#endif
