/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net.h
 * What the files of the virtio network device share: net.c has the frames, net_control.c the control queue and the
 * filters that a driver sets by it. Section numbers are those of virtio 1.2.
 */
#ifndef V3_DEVICES_VIRTIO_NET_H
#define V3_DEVICES_VIRTIO_NET_H

#include "devices/virtio/virtio.h"
#include "palacios/net.h"

#define VNET_F_CSUM	     0
#define VNET_F_GUEST_CSUM    1
#define VNET_F_MAC	     5
#define VNET_F_GUEST_TSO4    7
#define VNET_F_GUEST_TSO6    8
#define VNET_F_GUEST_ECN     9
#define VNET_F_HOST_TSO4     11
#define VNET_F_HOST_TSO6     12
#define VNET_F_HOST_ECN	     13
#define VNET_F_MRG_RXBUF     15
#define VNET_F_STATUS	     16
#define VNET_F_CTRL_VQ	     17
#define VNET_F_CTRL_RX	     18
#define VNET_F_CTRL_VLAN     19
#define VNET_F_CTRL_RX_EXTRA 20
#define VNET_F_MQ	     22
#define VNET_F_CTRL_MAC_ADDR 23

#define VNET_PIECES	VIRTIO_QUEUE_MAX
#define VNET_MACS	32 /* addresses of each kind that a driver may set; more: all are let through */
#define VNET_VLANS	4096 /* IEEE 802.1Q */
#define VNET_CTRL_QUEUE 2u   /* if there is but one pair of queues (5.1.2) */

/** Addresses that are let through. */
struct vnet_macs {
	uint32_t n;
	bool all; /* more than there is room for */
	uint8_t mac[VNET_MACS][V3_NET_MAC_LEN];
};

/** What the card receives (5.1.6.5.1 to 5.1.6.5.3). */
struct vnet_filter {
	uint8_t mode
		[6]; /* by command of class RX: promiscuous, all multicast, all unicast, no multicast ... */
	struct vnet_macs unicast, multicast;
	uint8_t vlan[VNET_VLANS / 8];
};

/** A receive and a transmit queue. */
struct vnet_pair {
	struct vnet *vnet;	  /* not owned; owns this */
	struct v3_net_port *port; /* owned by the card */
	uint16_t index;
	struct v3_net_piece
		piece[VNET_PIECES]; /* of the frame being sent; the runner of the TX queue's */
};

struct vnet {
	struct v3_vm *vm;				  /* not owned; outlives the device */
	struct v3_virtio *dev;				  /* owned */
	struct v3_lock lock;				  /* guards mac and filter */
	uint8_t mac[V3_NET_MAC_LEN], own[V3_NET_MAC_LEN]; /* now; after a reset */
	uint32_t bus; /* hash of its name, of which own is made; 0: the definition has that */
	struct vnet_filter filter;
	unsigned npairs, nused; /* pairs there are, and that are in use */
	bool polled; /* drivers may not have been asked to notify, because the network polls; atomic */
	uint16_t link; /* status the driver was told; the first receive queue's runner's */
	struct vnet_pair *pair[V3_NET_QUEUES]; /* owned */
};

/**
 * The driver's features are settled (@p live), or nothing is known of it any more, so that the card has its own address
 * again. All is let through, but for tagged frames if the driver will name its VLANs. Device lock held.
 */
void v3_vnet_control_reset(struct vnet *vnet, bool live);
/** Use the first @p n pairs of queues from now on, 1..npairs. Any vcpu, one at a time. */
void v3_vnet_use_pairs(struct vnet *vnet, unsigned n);
extern const struct v3_save_table v3_vnet_filter_save; /* of struct vnet_filter */
/** Does the card receive this frame of @p len bytes, at least an Ethernet header? Any vcpu, no lock held. */
bool v3_vnet_wants(struct vnet *vnet, const uint8_t *frame, uint32_t len);
/** Serve the control queue; as process(). */
void v3_vnet_control(struct vnet *vnet, struct v3_vq *q);
/** The card's address is @p mac from now on. Device lock held or not. */
void v3_vnet_set_mac(struct vnet *vnet, const uint8_t mac[V3_NET_MAC_LEN]);

#endif
