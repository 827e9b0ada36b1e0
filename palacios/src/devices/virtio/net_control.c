/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net_control.c
 * Control queue of the virtio network device (virtio 1.2, 5.1.6.5): which frames the card receives, its address, and
 * how many pairs of queues are in use. Called by net.c; calls the network.
 */
#include "devices/virtio/net.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define CTRL_OK	 0
#define CTRL_ERR 1

/* Classes and their commands. */
#define CTRL_RX	      0
#define CTRL_MAC      1
#define CTRL_VLAN     2
#define CTRL_MQ	      4
#define CTRL_MAC_SET  0 /* tables of addresses */
#define CTRL_MAC_OWN  1 /* the card's address */
#define CTRL_VLAN_ADD 0
#define CTRL_VLAN_DEL 1
#define CTRL_MQ_PAIRS 0

/* Indexes of vnet_filter.mode. */
#define MODE_PROMISC  0
#define MODE_ALLMULTI 1
#define MODE_ALLUNI   2
#define MODE_NOMULTI  3
#define MODE_NOUNI    4
#define MODE_NOBCAST  5

#define ETH_TYPE      12
#define ETH_TYPE_VLAN 0x8100 /* IEEE 802.1Q */

/* ---- what is received ---- */

void v3_vnet_control_reset(struct vnet *vnet, bool live)
{
	unsigned long flags = v3_lock_acquire(&vnet->lock);
	bool vlans = v3_virtio_has(vnet->dev, VNET_F_CTRL_VLAN);

	memset(&vnet->filter, 0, sizeof(vnet->filter));
	vnet->filter.mode[MODE_PROMISC] = 1;
	memset(vnet->filter.vlan, vlans ? 0 : 0xff, sizeof(vnet->filter.vlan));
	if (!live) {
		memcpy(vnet->mac, vnet->own, sizeof(vnet->mac));
		memcpy(vnet->dev->config, vnet->own, sizeof(vnet->own));
	}
	v3_lock_release(&vnet->lock, flags);
}

void v3_vnet_use_pairs(struct vnet *vnet, unsigned n)
{
	vnet->nused = n;
	v3_net_use_queues(vnet->pair[0]->port, n);
}

void v3_vnet_set_mac(struct vnet *vnet, const uint8_t mac[V3_NET_MAC_LEN])
{
	unsigned long flags = v3_lock_acquire(&vnet->lock);

	memcpy(vnet->mac, mac, sizeof(vnet->mac));
	v3_lock_release(&vnet->lock, flags);
}

static bool control_listed(const struct vnet_macs *macs, const uint8_t *mac)
{
	uint32_t i;

	for (i = 0; i < macs->n; i++) {
		if (!memcmp(macs->mac[i], mac, V3_NET_MAC_LEN))
			return true;
	}
	return macs->all;
}

static bool control_vlan_wanted(const struct vnet_filter *f, const uint8_t *frame, uint32_t len)
{
	unsigned vlan;

	if (len < ETH_TYPE + 4 || (frame[ETH_TYPE] << 8 | frame[ETH_TYPE + 1]) != ETH_TYPE_VLAN)
		return true;
	vlan = (frame[ETH_TYPE + 2] & 15u) << 8 | frame[ETH_TYPE + 3];
	return f->vlan[vlan / 8] >> vlan % 8 & 1;
}

static bool control_address_wanted(const struct vnet *vnet, const uint8_t *mac)
{
	static const uint8_t broadcast[V3_NET_MAC_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct vnet_filter *f = &vnet->filter;

	if (f->mode[MODE_PROMISC])
		return true;
	if (!memcmp(mac, broadcast, sizeof(broadcast)))
		return !f->mode[MODE_NOBCAST];
	if (mac[0] & 1)
		return !f->mode[MODE_NOMULTI] &&
		       (f->mode[MODE_ALLMULTI] || control_listed(&f->multicast, mac));
	return !f->mode[MODE_NOUNI] &&
	       (f->mode[MODE_ALLUNI] || !memcmp(mac, vnet->mac, V3_NET_MAC_LEN) ||
		control_listed(&f->unicast, mac));
}

bool v3_vnet_wants(struct vnet *vnet, const uint8_t *frame, uint32_t len)
{
	unsigned long flags = v3_lock_acquire(&vnet->lock);
	bool wanted = control_address_wanted(vnet, frame) &&
		      control_vlan_wanted(&vnet->filter, frame, len);

	v3_lock_release(&vnet->lock, flags);
	return wanted;
}

/* ---- commands; q->chain is behind class and command. @return done as the driver wanted? ---- */

static bool control_mode(struct vnet *vnet, struct v3_vq *q, uint8_t command)
{
	unsigned feature = command > MODE_ALLMULTI ? VNET_F_CTRL_RX_EXTRA : VNET_F_CTRL_RX;
	unsigned long flags;
	uint8_t on;

	if (command > MODE_NOBCAST || !v3_virtio_has(vnet->dev, feature) ||
	    !v3_vq_read(q, &on, sizeof(on)))
		return false;
	flags = v3_lock_acquire(&vnet->lock);
	vnet->filter.mode[command] = on;
	v3_lock_release(&vnet->lock, flags);
	return true;
}

/* A count and as many addresses; those beyond the room for them are left out, then all are let through. */
static bool control_read_macs(struct v3_vq *q, struct vnet_macs *macs)
{
	uint32_t n, i;

	if (!v3_vq_read(q, &n, sizeof(n)) || n > q->chain->out.left / V3_NET_MAC_LEN)
		return false;
	macs->all = n > VNET_MACS;
	macs->n = macs->all ? VNET_MACS : n;
	for (i = 0; i < macs->n; i++) {
		if (!v3_vq_read(q, macs->mac[i], V3_NET_MAC_LEN))
			return false;
	}
	return v3_vq_skip(q, false, (uint64_t)(n - macs->n) * V3_NET_MAC_LEN);
}

static bool control_tables(struct vnet *vnet, struct v3_vq *q)
{
	struct vnet_macs unicast, multicast;
	unsigned long flags;

	if (!v3_virtio_has(vnet->dev, VNET_F_CTRL_RX) || !control_read_macs(q, &unicast) ||
	    !control_read_macs(q, &multicast))
		return false;
	flags = v3_lock_acquire(&vnet->lock);
	vnet->filter.unicast = unicast;
	vnet->filter.multicast = multicast;
	v3_lock_release(&vnet->lock, flags);
	return true;
}

static bool control_own(struct vnet *vnet, struct v3_vq *q)
{
	uint8_t mac[V3_NET_MAC_LEN];

	if (!v3_virtio_has(vnet->dev, VNET_F_CTRL_MAC_ADDR) || !v3_vq_read(q, mac, sizeof(mac)) ||
	    (mac[0] & 1))
		return false;
	v3_vnet_set_mac(vnet, mac);
	v3_virtio_set_config(vnet->dev, 0, mac, sizeof(mac));
	return true;
}

static bool control_mac(struct vnet *vnet, struct v3_vq *q, uint8_t command)
{
	if (command == CTRL_MAC_SET)
		return control_tables(vnet, q);
	return command == CTRL_MAC_OWN && control_own(vnet, q);
}

static bool control_vlan(struct vnet *vnet, struct v3_vq *q, uint8_t command)
{
	unsigned long flags;
	uint16_t vlan;

	if (command > CTRL_VLAN_DEL || !v3_virtio_has(vnet->dev, VNET_F_CTRL_VLAN) ||
	    !v3_vq_read(q, &vlan, sizeof(vlan)) || vlan >= VNET_VLANS)
		return false;
	flags = v3_lock_acquire(&vnet->lock);
	if (command == CTRL_VLAN_ADD)
		vnet->filter.vlan[vlan / 8] |= (uint8_t)(1u << vlan % 8);
	else
		vnet->filter.vlan[vlan / 8] &= (uint8_t) ~(1u << vlan % 8);
	v3_lock_release(&vnet->lock, flags);
	return true;
}

static bool control_pairs(struct vnet *vnet, struct v3_vq *q, uint8_t command)
{
	uint16_t n;

	if (command != CTRL_MQ_PAIRS || !v3_virtio_has(vnet->dev, VNET_F_MQ) ||
	    !v3_vq_read(q, &n, sizeof(n)) || !n || n > vnet->npairs)
		return false;
	v3_vnet_use_pairs(vnet, n);
	return true;
}

static bool control_command(struct vnet *vnet, struct v3_vq *q)
{
	uint8_t header[2]; /* class, command */

	if (!v3_vq_read(q, header, sizeof(header)))
		return false;
	switch (header[0]) {
	case CTRL_RX:
		return control_mode(vnet, q, header[1]);
	case CTRL_MAC:
		return control_mac(vnet, q, header[1]);
	case CTRL_VLAN:
		return control_vlan(vnet, q, header[1]);
	case CTRL_MQ:
		return control_pairs(vnet, q, header[1]);
	default:
		return false;
	}
}

void v3_vnet_control(struct vnet *vnet, struct v3_vq *q)
{
	uint8_t ack;

	while (v3_vq_pop(q)) {
		ack = control_command(vnet, q) ? CTRL_OK : CTRL_ERR;
		v3_vq_write(q, &ack, sizeof(ack));
		v3_vq_put(q, q->chain->head, v3_vq_written(q));
	}
}

/* ---- saved state ---- */

static int control_macs_loaded(void *state)
{
	const struct vnet_macs *macs = state;

	return macs->n <= VNET_MACS ? V3_OK : V3_EINVAL;
}

static const struct v3_save_field control_macs_fields[] = {
	V3_SAVE(struct vnet_macs, n),
	V3_SAVE(struct vnet_macs, all),
	V3_SAVE(struct vnet_macs, mac),
	V3_SAVE_END,
};
static const struct v3_save_table control_macs_save = {.fields = control_macs_fields,
						       .size = sizeof(struct vnet_macs),
						       .loaded = control_macs_loaded};

static const struct v3_save_field control_filter_fields[] = {
	V3_SAVE(struct vnet_filter, mode),
	V3_SAVE_PARTS(struct vnet_filter, unicast, &control_macs_save),
	V3_SAVE_PARTS(struct vnet_filter, multicast, &control_macs_save),
	V3_SAVE(struct vnet_filter, vlan),
	V3_SAVE_END,
};
const struct v3_save_table v3_vnet_filter_save = {.fields = control_filter_fields,
						  .size = sizeof(struct vnet_filter)};
