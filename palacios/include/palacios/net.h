/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net.h
 * Networks that guests' network cards are plugged into. A network is a learning switch inside the VMM, made when
 * the first card names it and gone with the last one. Cards of several VMs of one host that name the same one meet in
 * it if the VMs have one owner (struct v3_host_ops).
 *
 * A network of two cards is a cable: the link of each is what the other says of its own, and a sender may wait until the
 * other has room. With more of them it is a switch: links are up, and nobody waits for one that does not read.
 *
 * A frame travels with what the sender left undone (checksum, segmentation). A port says what its card can take;
 * for those that cannot, checksums are completed and TCP frames cut into segments.
 */
#ifndef PALACIOS_NET_H
#define PALACIOS_NET_H

#include "palacios/types.h"

struct v3_net_port;
struct v3_vm;

#define V3_NET_MAC_LEN	 6
#define V3_NET_FRAME_MIN 14	 /* Ethernet header */
#define V3_NET_FRAME_MAX 0x10040 /* the largest segmentation offload: 64 KiB and headers */
#define V3_NET_FRAME_MTU 1518	 /* longest frame that leaves nothing undone; with VLAN tag */

/** What is left to be done for a frame, in the terms of virtio 1.2, 5.1.6. */
struct v3_net_offload {
	uint8_t flags;	  /* V3_NET_NEEDS_CSUM */
	uint8_t gso_type; /* V3_NET_GSO_* */
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start, csum_offset;
};
#define V3_NET_NEEDS_CSUM 1 /* sum from csum_start to the end, stored at csum_start + csum_offset */
#define V3_NET_GSO_NONE	  0
#define V3_NET_GSO_TCPV4  1
#define V3_NET_GSO_TCPV6  4
#define V3_NET_GSO_ECN	  0x80 /* or-ed to the TCP kinds */

/* What a port's card can take as it is. */
#define V3_NET_TAKES_CSUM  1u
#define V3_NET_TAKES_TCPV4 2u
#define V3_NET_TAKES_TCPV6 4u
#define V3_NET_TAKES_ECN   8u

/** A piece of a frame. */
struct v3_net_piece {
	const void *p;
	uint32_t len;
};

/** Counted since the port was opened; a reader may see one frame half counted. */
struct v3_net_stats {
	uint64_t sent, received; /* frames */
	uint64_t dropped;	 /* for this port: its queue was full, or its card cannot take it */
};

/**
 * Plug a card into the network @p name. thread.
 *
 * @param ready  called when a frame has arrived for an empty queue, when there is room again after
 *               v3_net_try_send(), when v3_net_link() may have changed: any context, under the network's lock; only
 *               queues work
 * @param arg    passed to @p ready; must outlive the port
 * @return V3_OK; V3_ENOMEM.
 */
int v3_net_open(struct v3_vm *vm, const char *name, void (*ready)(void *arg), void *arg,
		struct v3_net_port **port);

#define V3_NET_QUEUES 8 /* a card may have */

/**
 * Give the card of the port @p first one more queue, with a port of its own that all the functions below take. A
 * frame for the card goes to one of its queues in use: the one that has last sent something of the same flow, else
 * one that the flow chooses. At first only that of @p first is in use. thread.
 *
 * @return V3_OK; V3_ENOMEM; V3_ENOSPC: it has V3_NET_QUEUES.
 */
int v3_net_open_queue(struct v3_net_port *first, void (*ready)(void *arg), void *arg,
		      struct v3_net_port **port);
/** Use the first @p n queues of the card from now on; a number that it has not is ignored. any. */
void v3_net_use_queues(struct v3_net_port *first, unsigned n);
/** Unplug the card of the port @p first; no @p ready is called any more. thread. NULL is allowed. */
void v3_net_close(struct v3_net_port *first);
/** What the card can take by this port from now on, V3_NET_TAKES_*; 0 at first. any. */
void v3_net_set_takes(struct v3_net_port *port, unsigned takes);

/**
 * Send a frame to whom it is addressed; never blocks, drops what a receiver has no room for. The pieces may be
 * memory that the guest changes meanwhile. atomic.
 * @return V3_OK; V3_EINVAL: shorter than an Ethernet header, too long, or @p offload does not fit the frame.
 */
int v3_net_send(struct v3_net_port *port, const struct v3_net_offload *offload,
		const struct v3_net_piece *piece, unsigned npieces);

/**
 * The same for a sender that can wait: if the network has one other card, and that has no room, nothing is sent.
 * @return V3_EAGAIN then, and the port's ready() is called when it is worth trying again; or as v3_net_send().
 */
int v3_net_try_send(struct v3_net_port *port, const struct v3_net_offload *offload,
		    const struct v3_net_piece *piece, unsigned npieces);

/** Is what is behind the card of the port @p first connected? At first it is. any. */
void v3_net_set_link(struct v3_net_port *first, bool up);
/** Is somebody, or a switch, at the other end? any. */
bool v3_net_link(const struct v3_net_port *first);

/*
 * Polling. At one end of a cable somebody may have a thread of the host's to spend: it asks the card at the other end again
 * and again what it has to send. Meanwhile that one does not ask its driver to notify, so that sending costs no exit.
 */

/**
 * The card of the port @p first can be polled. thread.
 * @param poll  sends what its driver has made available, and v3_net_polled() says whether to ask the driver to
 *              notify. Called by any thread, no lock held, with the argument of ready(), which is called when polling has
 *              ended. @return did it send anything?
 */
void v3_net_on_poll(struct v3_net_port *first, bool (*poll)(void *arg));
/** Is the card of the port @p first being polled? any. */
bool v3_net_polled(const struct v3_net_port *first);
/**
 * Poll the card at the other end of the cable. From the first call on it relies on that, until v3_net_poll_end() or until
 * either end goes or a third one comes. thread.
 * @return V3_ENOENT: there is none that can be polled; 0: it had nothing to send; 1: it had
 */
int v3_net_poll(struct v3_net_port *self);
/** No longer. thread. */
void v3_net_poll_end(struct v3_net_port *self);

/**
 * The oldest frame that waits at the port. One caller at a time, atomic.
 * @return its bytes, valid until v3_net_drop(); NULL: none.
 */
const void *v3_net_peek(struct v3_net_port *port, struct v3_net_offload *offload, uint32_t *len);
/** Remove the frame that v3_net_peek() returned. Same caller. */
void v3_net_drop(struct v3_net_port *port);
/** Remove all that wait. Same caller. */
void v3_net_flush(struct v3_net_port *port);

/** any. */
void v3_net_get_stats(const struct v3_net_port *port, struct v3_net_stats *out);

#endif
