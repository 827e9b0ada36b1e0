/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net.c
 * Networks of guests: learning switches (palacios/net.h). Called by network cards of any VM; calls their ready
 * functions.
 *
 * One lock per library, held while a frame is copied into the queues of its receivers: at most 64 KiB, so it is
 * held for microseconds, and a port cannot go away meanwhile. A port's queue is a ring of bytes with one reader,
 * which takes the lock only if somebody waits for room.
 *
 * A card with several queues has a port for each. The first one is the card's in the network; what is delivered to it
 * goes to the port that last sent something of the same flow, or to one chosen by the flow alone.
 */
#include "palacios/net.h"

#include "host/host.h"
#include "host/net_flow.h"
#include "host/net_port.h"
#include "host/net_segment.h"
#include "palacios/error.h"
#include "palacios/util/str.h"

/* Bytes in a queue: with more, who can wait does, until there are no more than that. One frame fits above, cut or not. */
#define NET_HIGH (V3_NET_QUEUE_BYTES / 2)
#define NET_LOW	 (V3_NET_QUEUE_BYTES / 4)

/* ---- addresses ---- */

static unsigned net_hash(const uint8_t *mac)
{
	return (mac[5] ^ mac[4] << 1 ^ mac[3] << 2) & (V3_NET_MACS - 1);
}

/* Remember where a sender is. Two addresses with one hash push each other out: their frames are flooded. */
static void net_learn(struct v3_net *net, const uint8_t *mac, struct v3_net_port *port)
{
	unsigned i = net_hash(mac);

	if (mac[0] & 1) /* a group address is nobody's */
		return;
	memcpy(net->seen[i].mac, mac, V3_NET_MAC_LEN);
	net->seen[i].port = port;
}

/* The port behind an address; NULL: all of them. */
static struct v3_net_port *net_find(struct v3_net *net, const uint8_t *mac)
{
	unsigned i = net_hash(mac);

	if ((mac[0] & 1) || memcmp(net->seen[i].mac, mac, V3_NET_MAC_LEN))
		return NULL;
	return net->seen[i].port;
}

/* ---- a port's reader ---- */

/* The reader has made room: tell who waits for it. */
static void net_made_room(struct v3_net_port *port)
{
	struct v3_net_port *sender;
	unsigned long flags;

	if (!__atomic_load_n(&port->awaited, __ATOMIC_SEQ_CST) ||
	    v3_net_queue_used(&port->queue) > NET_LOW)
		return;
	flags = v3_lock_acquire(&v3_lib.nets.lock);
	__atomic_store_n(&port->awaited, false, __ATOMIC_RELAXED);
	for (sender = port->net->ports; sender; sender = sender->next) {
		if (sender->waits)
			v3_net_tell(sender);
	}
	v3_lock_release(&v3_lib.nets.lock, flags);
}

const void *v3_net_peek(struct v3_net_port *port, struct v3_net_offload *offload, uint32_t *len)
{
	struct v3_net_record *record = v3_net_queue_front(&port->queue);

	if (!record)
		return NULL;
	*offload = record->offload;
	*len = record->len;
	return record + 1;
}

void v3_net_drop(struct v3_net_port *port)
{
	v3_net_queue_drop(&port->queue);
	net_made_room(port);
}

void v3_net_flush(struct v3_net_port *port)
{
	v3_net_queue_flush(&port->queue);
	net_made_room(port);
}

/* ---- frames ---- */

/* Can the port's card take the frame with segmentation undone? */
static bool net_takes_gso(const struct v3_net_port *port, uint8_t type)
{
	uint32_t need = 0;

	if (type & V3_NET_GSO_ECN)
		need |= V3_NET_TAKES_ECN;
	if ((type & ~V3_NET_GSO_ECN) == V3_NET_GSO_TCPV4)
		need |= V3_NET_TAKES_TCPV4;
	if ((type & ~V3_NET_GSO_ECN) == V3_NET_GSO_TCPV6)
		need |= V3_NET_TAKES_TCPV6;
	return !(need & ~__atomic_load_n(&port->takes, __ATOMIC_RELAXED));
}

/* A record for @p len bytes, not yet seen by the reader; NULL: no room, the frame is dropped. */
static struct v3_net_record *net_begin(struct v3_net_port *port, uint32_t len)
{
	struct v3_net_record *record = v3_net_queue_begin(&port->queue, len);

	if (!record)
		port->stats.dropped++;
	return record;
}

/* Complete what the port's card cannot, and let the reader see it. */
static void net_end(struct v3_net_port *port, struct v3_net_record *record)
{
	uint32_t takes = __atomic_load_n(&port->takes, __ATOMIC_RELAXED);

	if ((record->offload.flags & V3_NET_NEEDS_CSUM) && !(takes & V3_NET_TAKES_CSUM))
		v3_net_complete_csum((uint8_t *)(record + 1), record->len, &record->offload);
	port->stats.received++;
	if (v3_net_queue_end(&port->queue, record))
		port->ready(port->arg);
}

/* Put it into the port's queue in segments: its card takes no longer ones. Lock held. */
static void net_deliver_segments(struct v3_net_port *port, const struct v3_net_offload *offload,
				 const struct v3_net_piece *piece, unsigned npieces, uint32_t len)
{
	struct v3_net_segments segments;
	struct v3_net_record *record;
	uint32_t i;

	if (!v3_net_segments_begin(&segments, offload, piece, npieces, len)) {
		port->stats.dropped++;
		return;
	}
	for (i = 0; i < segments.count; i++) {
		record = net_begin(port, v3_net_segment_len(&segments, i));
		if (!record)
			return; /* the sender repeats the rest */
		v3_net_segment_write(&segments, i, (uint8_t *)(record + 1), &record->offload);
		net_end(port, record);
	}
}

/* Put the frame into the port's queue. Lock held. */
static void net_deliver(struct v3_net_port *port, const struct v3_net_offload *offload,
			const struct v3_net_piece *piece, unsigned npieces, uint32_t len)
{
	struct v3_net_record *record;
	uint32_t done = 0;
	unsigned i;

	if (!net_takes_gso(port, offload->gso_type)) {
		net_deliver_segments(port, offload, piece, npieces, len);
		return;
	}
	record = net_begin(port, len);
	if (!record)
		return;
	record->offload = *offload;
	for (i = 0; i < npieces; done += piece[i++].len)
		memcpy((uint8_t *)(record + 1) + done, piece[i].p, piece[i].len);
	net_end(port, record);
}

/* Does what is left to be done make sense for a frame of @p len bytes? */
static bool net_offload_valid(const struct v3_net_offload *o, uint32_t len)
{
	uint8_t type = o->gso_type & (uint8_t)~V3_NET_GSO_ECN;

	if (o->flags & ~V3_NET_NEEDS_CSUM)
		return false;
	if ((o->flags & V3_NET_NEEDS_CSUM) && (uint32_t)o->csum_start + o->csum_offset + 2 > len)
		return false;
	if (o->gso_type == V3_NET_GSO_NONE)
		return true;
	return (type == V3_NET_GSO_TCPV4 || type == V3_NET_GSO_TCPV6) && o->gso_size &&
	       (o->flags & V3_NET_NEEDS_CSUM) && o->hdr_len <= len;
}

/* The first @p len bytes of a frame, wherever its pieces are cut; copied, so that they stay as they are. */
static void net_head(const struct v3_net_piece *piece, uint8_t *head, uint32_t len)
{
	uint32_t done = 0, n;

	for (; done < len; done += n, piece++) {
		n = len - done;
		if (n > piece->len)
			n = piece->len;
		memcpy(head + done, piece->p, n);
	}
}

/* Remember which port of a card has sent something of a flow. Lock held. */
static void net_learn_flow(struct v3_net_port *port, const uint8_t *head, uint32_t len)
{
	if (port->card)
		port->card->flow[v3_net_flow(head, len) % V3_NET_FLOWS] = port->index + 1;
}

/* The port of a card that gets the frame. Lock held. */
static struct v3_net_port *net_steer(struct v3_net_port *to, const uint8_t *head, uint32_t len)
{
	struct v3_net_card *card = to->card;
	uint32_t flow, port;

	if (!card || card->active == 1)
		return to;
	flow = v3_net_flow(head, len);
	port = card->flow[flow % V3_NET_FLOWS];
	return card->port[port && port <= card->active ? port - 1 : flow % card->active];
}

static bool net_is_full(const struct v3_net_port *port)
{
	return v3_net_queue_used(&port->queue) > NET_HIGH;
}

/*
 * Shall the sender wait for room at the only other card? Its reader removes a frame, then looks whether it is awaited;
 * so one of the two sees the other. Lock held.
 */
static bool net_must_wait(struct v3_net_port *self, const uint8_t *head, uint32_t len)
{
	struct v3_net_port *to = v3_net_other(self);

	if (!to)
		return false;
	to = net_steer(to, head, len);
	if (!net_is_full(to))
		return false;
	__atomic_store_n(&to->awaited, true, __ATOMIC_SEQ_CST);
	self->waits = net_is_full(to);
	return self->waits;
}

/* Bytes of the frame; 0: it is none, or @p offload does not fit it. */
static uint32_t net_frame_len(const struct v3_net_offload *offload,
			      const struct v3_net_piece *piece, unsigned npieces)
{
	uint64_t len = 0;
	unsigned i;

	for (i = 0; i < npieces; i++)
		len += piece[i].len;
	if (len < V3_NET_FRAME_MIN || len > V3_NET_FRAME_MAX ||
	    !net_offload_valid(offload, (uint32_t)len))
		return 0;
	return (uint32_t)len;
}

/* @param waits  can the sender wait? */
static int net_send(struct v3_net_port *port, const struct v3_net_offload *offload,
		    const struct v3_net_piece *piece, unsigned npieces, bool waits)
{
	struct v3_net_port *to, *only, *self = port->card ? port->card->port[0] : port;
	uint32_t nhead = 2 * V3_NET_MAC_LEN, len = net_frame_len(offload, piece, npieces);
	uint8_t head[V3_NET_FLOW_HEAD];
	unsigned long flags;

	if (!len)
		return V3_EINVAL;
	if (__atomic_load_n(&port->net->steered, __ATOMIC_RELAXED))
		nhead = len < sizeof(head) ? len : (uint32_t)sizeof(head);
	net_head(piece, head, nhead);
	flags = v3_lock_acquire(&v3_lib.nets.lock);
	if (waits && net_must_wait(self, head, nhead)) {
		v3_lock_release(&v3_lib.nets.lock, flags);
		return V3_EAGAIN;
	}
	port->stats.sent++;
	net_learn(port->net, head + V3_NET_MAC_LEN, self);
	net_learn_flow(port, head, nhead);
	only = net_find(port->net, head);
	for (to = port->net->ports; to; to = to->next) {
		if (to != self && (!only || only == to))
			net_deliver(net_steer(to, head, nhead), offload, piece, npieces, len);
	}
	v3_lock_release(&v3_lib.nets.lock, flags);
	return V3_OK;
}

int v3_net_send(struct v3_net_port *port, const struct v3_net_offload *offload,
		const struct v3_net_piece *piece, unsigned npieces)
{
	return net_send(port, offload, piece, npieces, false);
}

int v3_net_try_send(struct v3_net_port *port, const struct v3_net_offload *offload,
		    const struct v3_net_piece *piece, unsigned npieces)
{
	return net_send(port, offload, piece, npieces, true);
}

void v3_net_set_takes(struct v3_net_port *port, unsigned takes)
{
	__atomic_store_n(&port->takes, takes, __ATOMIC_RELAXED);
}

void v3_net_get_stats(const struct v3_net_port *port, struct v3_net_stats *out)
{
	*out = port->stats;
}
