/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net_port.h
 * What the two files of the networks share: net.c moves frames, net_port.c has ports come and go, and cables.
 */
#ifndef V3_HOST_NET_PORT_H
#define V3_HOST_NET_PORT_H

#include "host/net_queue.h"

#define V3_NET_NAME_LEN 32
#define V3_NET_MACS	64 /* addresses a network remembers; a power of two */
#define V3_NET_FLOWS	64 /* flows a card with several queues remembers; a power of two */

/** The ports of one card. The lock of the library guards it. */
struct v3_net_card {
	uint32_t nports, active;
	struct v3_net_port *port[V3_NET_QUEUES]; /* owned but for the first, which owns this */
	uint8_t flow[V3_NET_FLOWS]; /* port that sent it last, from 1 on; 0: none has */
};

struct v3_net_port {
	struct v3_net *net;	  /* not owned; outlives the port */
	struct v3_net_port *next; /* of the network */
	struct v3_net_card *card; /* owned by its first port; NULL: the port is all of its card */
	uint8_t index;		  /* in the card */
	void (*ready)(void *arg);
	void *arg;
	uint32_t takes;		 /* V3_NET_TAKES_* */
	bool (*poll)(void *arg); /* NULL: it need not be polled; lock */
	uint32_t
		pollers; /* calls of poll() that have not returned; changed under the lock, atomic */
	bool polled;	 /* v3_net_polled(); atomic */
	bool waits;	 /* for room at the other card; lock */
	bool awaited;	 /* somebody waits for room in this queue; atomic */
	bool down;	 /* what is behind it is not connected; lock */
	bool carrier;	 /* v3_net_link(); atomic */
	struct v3_net_queue queue;
	struct v3_net_stats stats;
};

struct v3_net {
	struct v3_net *next;
	struct v3_net_port *ports;
	uint32_t steered; /* cards with several queues: flows count */
	uint64_t owner;	  /* of the VMs */
	char name[V3_NET_NAME_LEN];
	struct {
		uint8_t mac[V3_NET_MAC_LEN];
		struct v3_net_port *port; /* NULL: free */
	} seen[V3_NET_MACS];
};

/** Somebody who waits for room, or shall look at his link or driver again. Lock held. */
static inline void v3_net_tell(struct v3_net_port *port)
{
	port->waits = false;
	port->ready(port->arg);
}

/** The other card of a network of two; NULL: there is none, or more. Lock held. */
struct v3_net_port *v3_net_other(const struct v3_net_port *self);

#endif
