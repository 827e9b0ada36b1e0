/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net.c
 * virtio network device (virtio 1.2, 5.1): pairs of queues, mergeable receive buffers, checksum and TCP segmentation
 * offloads, on ports of palacios/net.h. Called by the transport and, when frames arrive, by the network; calls the
 * network and net_control.c.
 */
#include "devices/virtio/net.h"

#include "devices/devices.h"
#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "virtio_net"

#define VNET_ID	       1
#define VNET_PCI_CLASS 0x020000 /* Ethernet */
#define VNET_FEATURES                                                                              \
	(VIRTIO_BIT(VNET_F_CSUM) | VIRTIO_BIT(VNET_F_GUEST_CSUM) | VIRTIO_BIT(VNET_F_MAC) |        \
	 VIRTIO_BIT(VNET_F_GUEST_TSO4) | VIRTIO_BIT(VNET_F_GUEST_TSO6) |                           \
	 VIRTIO_BIT(VNET_F_GUEST_ECN) | VIRTIO_BIT(VNET_F_HOST_TSO4) |                             \
	 VIRTIO_BIT(VNET_F_HOST_TSO6) | VIRTIO_BIT(VNET_F_HOST_ECN) |                              \
	 VIRTIO_BIT(VNET_F_MRG_RXBUF) | VIRTIO_BIT(VNET_F_STATUS) | VIRTIO_BIT(VNET_F_CTRL_VQ) |   \
	 VIRTIO_BIT(VNET_F_CTRL_RX) | VIRTIO_BIT(VNET_F_CTRL_VLAN) |                               \
	 VIRTIO_BIT(VNET_F_CTRL_RX_EXTRA) | VIRTIO_BIT(VNET_F_CTRL_MAC_ADDR))

#define VNET_LINK_UP   1
/* Buffers of one frame; they are taken twice in one run. */
#define VNET_MERGE_MAX (VIRTIO_RUN_BUDGET / 2)

/* Before each frame, 5.1.6. */
struct vnet_header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	uint16_t num_buffers;
};
_Static_assert(sizeof(struct vnet_header) == 12, "5.1.6");
_Static_assert(offsetof(struct vnet_header, num_buffers) == sizeof(struct v3_net_offload),
	       "what comes before is the network's own record");

/* Device configuration, 5.1.4 */
struct vnet_config {
	uint8_t mac[V3_NET_MAC_LEN];
	uint16_t status;
	uint16_t max_pairs; /* of queues */
};

/* A legacy driver has no number of buffers in its header unless it merges them (5.1.6.1). */
static uint32_t vnet_header_len(const struct v3_virtio *dev)
{
	bool full = v3_virtio_has(dev, VIRTIO_F_VERSION_1) || v3_virtio_has(dev, VNET_F_MRG_RXBUF);

	return full ? sizeof(struct vnet_header) : offsetof(struct vnet_header, num_buffers);
}

/* ---- sending ---- */

/* What a driver leaves undone without having asked whether it may is not done for it. */
static bool vnet_may_offload(const struct v3_virtio *dev, const struct v3_net_offload *o)
{
	uint8_t type = o->gso_type & (uint8_t)~V3_NET_GSO_ECN;

	if ((o->flags & V3_NET_NEEDS_CSUM) && !v3_virtio_has(dev, VNET_F_CSUM))
		return false;
	if ((o->gso_type & V3_NET_GSO_ECN) && !v3_virtio_has(dev, VNET_F_HOST_ECN))
		return false;
	return type == V3_NET_GSO_NONE ||
	       (type == V3_NET_GSO_TCPV4 && v3_virtio_has(dev, VNET_F_HOST_TSO4)) ||
	       (type == V3_NET_GSO_TCPV6 && v3_virtio_has(dev, VNET_F_HOST_TSO6));
}

/* Send the rest of the chain as a frame. @return false: it is none, dropped */
static bool vnet_send(struct vnet_pair *pair, struct v3_vq *q, const struct v3_net_offload *offload)
{
	unsigned n = 0;
	uint32_t len;
	const void *p;

	while (n < VNET_PIECES && (p = v3_vq_piece(q, false, V3_NET_FRAME_MAX, &len)) != NULL)
		pair->piece[n++] = (struct v3_net_piece){.p = p, .len = len};
	if (q->chain->out.left)
		return false;
	return v3_net_send(pair->port, offload, pair->piece, n) == V3_OK;
}

/*
 * Need the driver notify? Who ends the polling says so, then looks whether we rely on it (vnet_ready()); so one of the two
 * sees the other.
 */
static void vnet_follow_poll(struct vnet *vnet, struct v3_vq *q)
{
	bool polled = v3_net_polled(vnet->pair[0]->port);

	if (polled) {
		__atomic_store_n(&vnet->polled, true, __ATOMIC_SEQ_CST);
		polled = v3_net_polled(vnet->pair[0]->port);
	}
	v3_vq_poll(q, polled);
}

static void vnet_send_all(struct vnet_pair *pair, struct v3_vq *q)
{
	struct vnet *vnet = pair->vnet;
	struct v3_net_offload offload;
	struct vnet_header header;

	vnet_follow_poll(vnet, q);
	while (v3_vq_pop(q)) {
		memset(&header, 0, sizeof(header));
		if (!v3_vq_read(q, &header, vnet_header_len(q->dev)))
			header.flags = 0xff; /* no frame at all */
		memcpy(&offload, &header, sizeof(offload));
		offload.flags &=
			V3_NET_NEEDS_CSUM | 0xf8; /* DATA_VALID and RSC are for reception */
		if (!vnet_may_offload(vnet->dev, &offload) || !vnet_send(pair, q, &offload))
			V3_GUEST_WARN(vnet->vm, "slot %u: a malformed frame, dropped",
				      v3_pci_slot(vnet->dev->func));
		v3_vq_put(q, q->chain->head, 0);
	}
}

/* ---- receiving ---- */

/*
 * Take as many chains as @p total bytes need: one, or several that are merged (5.1.6.4).
 * @return how many, with the last one in q->chain; 0: not enough there; -1: it cannot be received
 */
static int vnet_take_buffers(struct v3_vq *q, uint64_t total, struct v3_vq_mark start)
{
	bool merge = v3_virtio_has(q->dev, VNET_F_MRG_RXBUF);
	uint64_t room = 0;
	int n = 0;

	while (room < total) {
		if ((n && !merge) || n == VNET_MERGE_MAX || n == q->size) {
			v3_vq_rewind(q, start);
			return -1;
		}
		if (!v3_vq_pop(q)) {
			v3_vq_rewind(q, start);
			return 0;
		}
		room += q->chain->in_len;
		n++;
	}
	return n;
}

/* Write what fits into the chain, from @p done on. @return bytes */
static uint32_t vnet_fill(struct v3_vq *q, const uint8_t *frame, uint32_t len)
{
	uint32_t n = q->chain->in.left < len ? (uint32_t)q->chain->in.left : len;

	return v3_vq_write(q, frame, n) ? n : 0;
}

/* Copy header and frame into the chains after @p start; the one in q->chain if num_buffers is 1. */
static void vnet_fill_buffers(struct v3_vq *q, struct v3_vq_mark start,
			      const struct vnet_header *header, const uint8_t *frame, uint32_t len)
{
	uint32_t done = 0, n = header->num_buffers, i;

	if (n > 1)
		v3_vq_rewind(q, start);
	for (i = 0; i < n; i++) {
		if (n > 1 && !v3_vq_pop(q))
			return;
		if (i == 0 && !v3_vq_write(q, header, vnet_header_len(q->dev))) {
			v3_virtio_fail(q->dev, "a receive buffer shorter than its header");
			return;
		}
		done += vnet_fill(q, frame + done, len - done);
		v3_vq_put(q, q->chain->head, v3_vq_written(q));
	}
	if (done < len)
		v3_virtio_fail(q->dev, "receive buffers changed while they were filled");
}

/* The link is what the network says it is (5.1.4.2). */
static uint16_t vnet_link_now(const struct vnet *vnet)
{
	return v3_net_link(vnet->pair[0]->port) ? VNET_LINK_UP : 0;
}

/* By the runner of the first receive queue. */
static void vnet_follow_link(struct vnet *vnet)
{
	uint16_t status = vnet_link_now(vnet);

	if (status == vnet->link)
		return;
	vnet->link = status;
	v3_virtio_set_config(vnet->dev, offsetof(struct vnet_config, status), &status,
			     sizeof(status));
}

static void vnet_receive_all(struct vnet_pair *pair, struct v3_vq *q)
{
	struct vnet_header header = {0};
	struct v3_net_offload offload;
	struct v3_vq_mark start;
	unsigned left = VIRTIO_RUN_BUDGET; /* frames to look at: not all of them cost a chain */
	const uint8_t *frame;
	uint32_t len;
	int n;

	for (; v3_virtio_live(q->dev) && (frame = v3_net_peek(pair->port, &offload, &len)) != NULL;
	     left--) {
		if (!left) {
			v3_virtio_run_later(q);
			return;
		}
		if (!v3_vnet_wants(pair->vnet, frame, len)) {
			v3_net_drop(pair->port);
			continue;
		}
		start = v3_vq_mark(q);
		n = vnet_take_buffers(q, vnet_header_len(q->dev) + (uint64_t)len, start);
		if (!n)
			return; /* the driver tells when there are buffers again */
		memcpy(&header, &offload, sizeof(offload));
		header.num_buffers = (uint16_t)n;
		if (n > 0)
			vnet_fill_buffers(q, start, &header, frame, len);
		v3_net_drop(pair->port);
	}
}

/* Pairs of queues, then the control queue: behind the first pair if the driver does not know of others (5.1.2). */
static unsigned vnet_control_index(const struct vnet *vnet)
{
	return v3_virtio_has(vnet->dev, VNET_F_MQ) ? 2 * vnet->npairs : VNET_CTRL_QUEUE;
}

static void vnet_process(void *priv, struct v3_vq *q)
{
	struct vnet *vnet = priv;
	struct vnet_pair *pair;

	if (q->index >= vnet_control_index(vnet)) {
		if (q->index == vnet_control_index(vnet) &&
		    v3_virtio_has(vnet->dev, VNET_F_CTRL_VQ))
			v3_vnet_control(vnet, q);
		return;
	}
	pair = vnet->pair[q->index / 2];
	if (!q->index)
		vnet_follow_link(vnet);
	if (q->index & 1)
		vnet_send_all(pair, q);
	else
		vnet_receive_all(pair, q);
}

/* By the network, in any context. If polling has ended, drivers must notify again. */
static void vnet_ready(void *arg)
{
	struct vnet_pair *pair = arg;
	struct vnet *vnet = pair->vnet;
	unsigned i;

	v3_virtio_run_later(&vnet->dev->queue[2 * pair->index]);
	if (!__atomic_load_n(&vnet->polled, __ATOMIC_SEQ_CST) || v3_net_polled(vnet->pair[0]->port))
		return;
	__atomic_store_n(&vnet->polled, false, __ATOMIC_SEQ_CST);
	for (i = 0; i < vnet->npairs; i++)
		v3_virtio_run_later(&vnet->dev->queue[2 * i + 1]);
}

/*
 * By the network, on a thread of the host's, in place of the vcpus; unlike theirs, its host addresses of rings and
 * frames need a pin.
 */
static bool vnet_poll(void *arg)
{
	struct vnet *vnet = ((struct vnet_pair *)arg)->vnet;
	uint64_t before = 0, after = 0;
	struct v3_net_stats stats;
	unsigned i, pin;

	if (!v3_vm_enter(vnet->vm))
		return false;
	pin = v3_mem_pin(vnet->vm);
	for (i = 0; i < vnet->npairs; i++) {
		v3_net_get_stats(vnet->pair[i]->port, &stats);
		before += stats.sent;
		v3_virtio_run(v3_vm_vcpu(vnet->vm, i % v3_vm_vcpu_count(vnet->vm)),
			      &vnet->dev->queue[2 * i + 1]);
		v3_net_get_stats(vnet->pair[i]->port, &stats);
		after += stats.sent;
	}
	v3_mem_unpin(vnet->vm, pin);
	v3_vm_leave(vnet->vm);
	return after != before;
}

/* ---- device ---- */

/* The network leaves to the card what the driver's features say, once they are settled. */
static void vnet_set_takes(struct vnet *vnet, bool live)
{
	static const struct {
		unsigned feature, takes;
	} map[] = {
		{VNET_F_GUEST_CSUM, V3_NET_TAKES_CSUM},
		{VNET_F_GUEST_TSO4, V3_NET_TAKES_TCPV4},
		{VNET_F_GUEST_TSO6, V3_NET_TAKES_TCPV6},
		{VNET_F_GUEST_ECN, V3_NET_TAKES_ECN},
	};
	unsigned takes = 0, i;

	for (i = 0; live && i < V3_ARRAY_SIZE(map); i++) {
		if (v3_virtio_has(vnet->dev, map[i].feature))
			takes |= map[i].takes;
	}
	for (i = 0; i < vnet->npairs; i++)
		v3_net_set_takes(vnet->pair[i]->port, takes);
}

/* Of a text (FNV-1a), after another one. */
static uint32_t vnet_hash(uint32_t hash, const char *text)
{
	while (*text)
		hash = (hash ^ (uint8_t)*text++) * 0x01000193;
	return hash;
}

/* A locally administered address, the same for each start of a VM of that name. */
static void vnet_make_mac(struct vnet *vnet)
{
	uint32_t hash = vnet_hash(vnet->bus, v3_vm_name(vnet->vm));

	vnet->own[0] = 0x02;
	memcpy(vnet->own + 1, &hash, sizeof(hash));
	vnet->own[5] = (uint8_t)v3_pci_slot(vnet->dev->func);
}

static void vnet_state(void *priv, bool live)
{
	struct vnet *vnet = priv;
	unsigned i;

	if (!live && vnet->bus)
		vnet_make_mac(vnet); /* the VM may have another name now */
	vnet_set_takes(vnet, live);
	for (i = 0; i < vnet->npairs; i++)
		v3_net_flush(vnet->pair[i]->port);
	v3_vnet_use_pairs(vnet, 1);
	v3_vnet_control_reset(vnet, live);
}

/* A driver of old times without CTRL_MAC_ADDR changes the card's address here, byte by byte (5.1.4.1). */
static void vnet_config_write(void *priv, unsigned off, unsigned size, uint32_t value)
{
	struct vnet *vnet = priv;

	if (v3_virtio_has(vnet->dev, VIRTIO_F_VERSION_1) || off + size > V3_NET_MAC_LEN)
		return;
	memcpy(vnet->dev->config + off, &value, size);
	v3_vnet_set_mac(vnet, vnet->dev->config);
}

static const struct v3_virtio_class vnet_class = {
	.name = "virtio_net",
	.id = VNET_ID,
	.pci_class = VNET_PCI_CLASS,
	.process = vnet_process,
	.state = vnet_state,
	.config_write = vnet_config_write,
};

static int vnet_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "02:00:00:00:00:01" */
static bool vnet_parse_mac(const char *text, uint8_t mac[V3_NET_MAC_LEN])
{
	unsigned i;
	int high, low;

	for (i = 0; i < V3_NET_MAC_LEN; i++, text += 3) {
		high = vnet_hex(text[0]);
		low = high < 0 ? -1 : vnet_hex(text[1]);
		if (low < 0 || text[2] != (i < V3_NET_MAC_LEN - 1 ? ':' : '\0'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return !(mac[0] & 1); /* a group address is no card's */
}

static int vnet_configure(struct vnet *vnet, const struct v3_cfg *cfg)
{
	struct vnet_config config = {.status = VNET_LINK_UP, .max_pairs = (uint16_t)vnet->npairs};

	if (!v3_cfg_has(cfg, "mac")) {
		vnet->bus = vnet_hash(0x811c9dc5, v3_cfg_string(cfg, "bus"));
		vnet_make_mac(vnet);
	} else if (!vnet_parse_mac(v3_cfg_string(cfg, "mac"), vnet->own)) {
		V3_ERR(vnet->vm, "mac: expected a card's address such as \"02:00:00:00:00:01\"");
		return V3_EINVAL;
	}
	memcpy(config.mac, vnet->own, sizeof(vnet->own));
	vnet->link = config.status;
	v3_vnet_set_mac(vnet, vnet->own);
	v3_virtio_set_config(vnet->dev, 0, &config, sizeof(config));
	return V3_OK;
}

static int vnet_open_ports(struct vnet *vnet, const char *network)
{
	struct vnet_pair *pair;
	unsigned i;
	int err;

	for (i = 0; i < vnet->npairs; i++) {
		pair = vnet->pair[i] = v3_alloc(sizeof(*pair));
		if (!pair)
			return V3_ENOMEM;
		pair->vnet = vnet;
		pair->index = (uint16_t)i;
		if (i == 0)
			err = v3_net_open(vnet->vm, network, vnet_ready, pair, &pair->port);
		else
			err = v3_net_open_queue(vnet->pair[0]->port, vnet_ready, pair, &pair->port);
		if (err)
			return err;
	}
	v3_net_on_poll(vnet->pair[0]->port, vnet_poll);
	return V3_OK;
}

static void vnet_reset(void *state)
{
	struct vnet *vnet = state;

	v3_virtio_reset(vnet->dev);
}

/* The port goes first: from then on nobody calls vnet_ready(). */
static void vnet_destroy(void *state)
{
	struct vnet *vnet = state;
	unsigned i;

	if (vnet->pair[0])
		v3_net_close(vnet->pair[0]->port);
	v3_virtio_destroy(vnet->dev);
	for (i = 0; i < vnet->npairs; i++)
		v3_free(vnet->pair[i]);
	v3_lock_destroy(&vnet->lock);
	v3_free(vnet);
}

static int vnet_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	unsigned npairs = (unsigned)v3_cfg_uint(cfg, "queues");
	struct v3_virtio_params params = {
		.nqueues = 2 * npairs + 1,
		.config_len = sizeof(struct vnet_config),
		.cfg = cfg,
		.features = VNET_FEATURES,
	};
	struct vnet *vnet;
	int err;

	vnet = v3_alloc(sizeof(*vnet));
	if (!vnet)
		return V3_ENOMEM;
	vnet->vm = vm;
	vnet->npairs = npairs;
	if (npairs > 1)
		params.features |= VIRTIO_BIT(VNET_F_MQ);
	err = v3_lock_init(&vnet->lock);
	if (!err)
		err = v3_virtio_create(vm, &vnet_class, &params, vnet, &vnet->dev);
	if (!err)
		err = vnet_configure(vnet, cfg);
	if (!err)
		err = vnet_open_ports(vnet, v3_cfg_string(cfg, "network"));
	if (err) {
		vnet_destroy(vnet);
		return err;
	}
	*state = vnet;
	return V3_OK;
}

/*
 * The network was told of the driver's choices when it made them: now it is told again. Another one may have another link,
 * and it does not poll: the drivers have to be told.
 */
static int vnet_save_loaded(void *state)
{
	struct vnet *vnet = state;
	unsigned i;

	if (!vnet->nused || vnet->nused > vnet->npairs)
		return V3_EINVAL;
	memcpy(&vnet->link, vnet->dev->config + offsetof(struct vnet_config, status),
	       sizeof(vnet->link));
	if (vnet->link != vnet_link_now(vnet))
		v3_virtio_run_later(&vnet->dev->queue[0]);
	for (i = 0; i < vnet->npairs; i++) {
		if (vnet->dev->queue[2 * i + 1].polled)
			v3_virtio_run_later(&vnet->dev->queue[2 * i + 1]);
	}
	vnet_set_takes(vnet, vnet->dev->status & VIRTIO_STATUS_FEATURES_OK);
	v3_vnet_use_pairs(vnet, vnet->nused);
	return V3_OK;
}

static const struct v3_save_field vnet_fields[] = {
	V3_SAVE_NOT(struct vnet, vm),
	V3_SAVE_PARTS_AT(struct vnet, dev, &v3_virtio_save),
	V3_SAVE_NOT(struct vnet, lock),
	V3_SAVE(struct vnet, mac),
	V3_SAVE_NOT(struct vnet, own),
	V3_SAVE_NOT(struct vnet, bus),
	V3_SAVE_PARTS(struct vnet, filter, &v3_vnet_filter_save),
	V3_SAVE_NOT(struct vnet, npairs),
	V3_SAVE(struct vnet, nused),
	V3_SAVE_NOT(struct vnet, polled),
	V3_SAVE_NOT(struct vnet, link),
	V3_SAVE_NOT(struct vnet, pair),
	V3_SAVE_END,
};
static const struct v3_save_table vnet_save = {
	.fields = vnet_fields, .size = sizeof(struct vnet), .loaded = vnet_save_loaded};

static const struct v3_cfg_key vnet_keys[] = {
	VIRTIO_KEYS,
	{.name = "network", .type = V3_CFG_STRING, .high = 31, .def_str = "lan"},
	{.name = "mac", .type = V3_CFG_STRING, .high = 17},
	{.name = "queues", .type = V3_CFG_UINT, .low = 1, .high = V3_NET_QUEUES, .def = 1},
	{.name = NULL},
};

const struct v3_device_class v3_device_virtio_net = {
	.name = "virtio_net",
	.save = &vnet_save,
	.keys = vnet_keys,
	.create = vnet_create,
	.reset = vnet_reset,
	.destroy = vnet_destroy,
};
