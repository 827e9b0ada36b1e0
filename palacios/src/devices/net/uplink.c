/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file uplink.c
 * The way out of a network: a port of the switch (palacios/net.h) that is an interface of the host (palacios/packet.h). No
 * guest sees it. A worker of the host moves frames both ways; it is woken by the switch and by the interface.
 *
 * While it has something to do, it polls a single card at the other end of the network, so that the guest sends without
 * exits.
 *
 * What the interface has no room for is lost and counted. Towards the guests: if there is but one card, and it has no
 * room, the interface is not read any more until it has; with several of them the switch drops for that one alone.
 */
#include "devices/devices.h"
#include "palacios/error.h"
#include "palacios/file.h"
#include "palacios/log.h"
#include "palacios/net.h"
#include "palacios/packet.h"
#include "palacios/save.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "uplink"

#define UPLINK_BATCH 64u /* frames moved each way before the worker lets others have its CPU */

#define UPLINK_IDLE 16u /* times that the worker finds nothing to do before it ceases to poll */

/* For the largest frame; a power of two. */
#define UPLINK_PAGES 32u
_Static_assert(V3_NET_FRAME_MAX <= UPLINK_PAGES * V3_PAGE_SIZE, "a frame fits");

struct uplink {
	struct v3_vm *vm;	  /* not owned; outlives the device */
	const char *name;	  /* not owned: the definition's; of the interface */
	struct v3_worker *worker; /* owned */
	struct v3_net_port *port; /* owned */
	struct v3_packet *packet; /* owned */
	bool live;		  /* the worker may use all that; atomic */
	/* The worker's alone. */
	void *frame; /* owned: one that was read from the interface */
	struct v3_net_offload offload;
	uint32_t len;	  /* of it, while it waits to be sent; 0: none does */
	unsigned idle;	  /* times in a row that there was nothing to do */
	bool gone;	  /* the interface is */
	bool up;	  /* as told to the switch */
	uint64_t in;	  /* frames from the interface */
	uint64_t out;	  /* and to it */
	uint64_t lost;	  /* it had no room for them, or did not take them */
	uint64_t strange; /* frames from it that are none */
};

static void uplink_wake(void *arg)
{
	struct uplink *uplink = arg;

	v3_worker_wake(uplink->worker);
}

/* Send what was read. @return false: it has to wait */
static bool uplink_forward(struct uplink *uplink)
{
	const struct v3_net_piece piece = {uplink->frame, uplink->len};
	int err = v3_net_try_send(uplink->port, &uplink->offload, &piece, 1);

	if (err == V3_EAGAIN)
		return false;
	if (err)
		uplink->strange++;
	else
		uplink->in++;
	uplink->len = 0;
	return true;
}

/* From the interface to the switch. @return may there be more? */
static bool uplink_receive(struct uplink *uplink)
{
	unsigned n;
	int len;

	for (n = 0; n < UPLINK_BATCH && !uplink->gone; n++) {
		if (uplink->len && !uplink_forward(uplink))
			return false; /* the switch tells when it is worth trying again */
		len = v3_packet_read(uplink->packet, &uplink->offload, uplink->frame,
				     UPLINK_PAGES * (uint32_t)V3_PAGE_SIZE);
		if (len == V3_EAGAIN)
			return false;
		if (len < 0) {
			V3_WARN(uplink->vm, "%s: the interface is gone: %s", uplink->name,
				v3_strerror(len));
			uplink->gone = true;
			return false;
		}
		uplink->offload.flags &=
			V3_NET_NEEDS_CSUM; /* that sums were checked says nothing here */
		uplink->len = (uint32_t)len;
		if (!len)
			uplink->strange++;
	}
	return !uplink->gone;
}

/* From the switch to the interface. @return may there be more? */
static bool uplink_transmit(struct uplink *uplink)
{
	struct v3_net_offload offload;
	const void *frame;
	uint32_t len;
	unsigned n;

	for (n = 0; n < UPLINK_BATCH; n++) {
		frame = v3_net_peek(uplink->port, &offload, &len);
		if (!frame)
			return false;
		if (!uplink->gone && !v3_packet_write(uplink->packet, &offload, frame, len))
			uplink->out++;
		else
			uplink->lost++;
		v3_net_drop(uplink->port);
	}
	return true;
}

static void uplink_follow_link(struct uplink *uplink)
{
	bool up = !uplink->gone && v3_packet_up(uplink->packet);

	if (up == uplink->up)
		return;
	uplink->up = up;
	v3_net_set_link(uplink->port, up);
	V3_INFO(uplink->vm, "%s: link %s", uplink->name, up ? "up" : "down");
}

static void uplink_work(void *arg)
{
	struct uplink *uplink = arg;
	bool more;
	int polled;

	if (!__atomic_load_n(&uplink->live, __ATOMIC_ACQUIRE))
		return;
	more = uplink_receive(uplink);
	more |= uplink_transmit(uplink);
	uplink_follow_link(uplink);
	polled = v3_net_poll(uplink->port);
	uplink->idle = more || polled > 0 ? 0 : uplink->idle + 1;
	if (more || (polled >= 0 && uplink->idle < UPLINK_IDLE))
		v3_worker_wake(uplink->worker);
	else
		v3_net_poll_end(uplink->port);
}

/* First the worker comes to rest, then those who wake it go. */
static void uplink_destroy(void *state)
{
	struct uplink *uplink = state;

	__atomic_store_n(&uplink->live, false, __ATOMIC_RELEASE);
	if (uplink->worker)
		v3_worker_wait(uplink->worker);
	if (uplink->port)
		V3_INFO(uplink->vm, "%s: %llu frames in, %llu out, %llu lost, %llu malformed",
			uplink->name, (unsigned long long)uplink->in,
			(unsigned long long)uplink->out, (unsigned long long)uplink->lost,
			(unsigned long long)uplink->strange);
	v3_net_close(uplink->port);
	v3_packet_close(uplink->packet);
	v3_worker_destroy(uplink->worker);
	v3_free_pages(uplink->frame, UPLINK_PAGES);
	v3_free(uplink);
}

static int uplink_open(struct uplink *uplink, const char *network)
{
	int err;

	uplink->frame = v3_alloc_pages(UPLINK_PAGES);
	if (!uplink->frame)
		return V3_ENOMEM;
	err = v3_worker_create(uplink_work, uplink, &uplink->worker);
	if (!err)
		err = v3_packet_open(uplink->vm, uplink->name, uplink_wake, uplink,
				     &uplink->packet);
	if (!err)
		err = v3_net_open(uplink->vm, network, uplink_wake, uplink, &uplink->port);
	return err;
}

static int uplink_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct uplink *uplink;
	int err;

	uplink = v3_alloc(sizeof(*uplink));
	if (!uplink)
		return V3_ENOMEM;
	uplink->vm = vm;
	uplink->name = v3_cfg_string(cfg, "interface");
	uplink->up = true; /* as a port is at first */
	err = uplink_open(uplink, v3_cfg_string(cfg, "network"));
	if (err) {
		uplink_destroy(uplink);
		return err;
	}
	v3_net_set_takes(uplink->port, V3_NET_TAKES_CSUM | V3_NET_TAKES_TCPV4 | V3_NET_TAKES_TCPV6 |
					       V3_NET_TAKES_ECN);
	__atomic_store_n(&uplink->live, true, __ATOMIC_RELEASE);
	v3_worker_wake(uplink->worker);
	*state = uplink;
	return V3_OK;
}

static const struct v3_cfg_key uplink_keys[] = {
	{.name = "network", .type = V3_CFG_STRING, .high = 31, .def_str = "lan"},
	{.name = "interface",
	 .type = V3_CFG_STRING,
	 .required = true,
	 .host_file = V3_CFG_HOST_INTERFACE},
	{.name = NULL},
};

/* Nothing of it is the guest's; a frame on its way is lost, as frames may be. */
static const struct v3_save_field uplink_fields[] = {
	V3_SAVE_NOT(struct uplink, vm),
	V3_SAVE_NOT(struct uplink, name),
	V3_SAVE_NOT(struct uplink, worker),
	V3_SAVE_NOT(struct uplink, port),
	V3_SAVE_NOT(struct uplink, packet),
	V3_SAVE_NOT(struct uplink, live),
	V3_SAVE_NOT(struct uplink, frame),
	V3_SAVE_NOT(struct uplink, offload),
	V3_SAVE_NOT(struct uplink, len),
	V3_SAVE_NOT(struct uplink, idle),
	V3_SAVE_NOT(struct uplink, gone),
	V3_SAVE_NOT(struct uplink, up),
	V3_SAVE_NOT(struct uplink, in),
	V3_SAVE_NOT(struct uplink, out),
	V3_SAVE_NOT(struct uplink, lost),
	V3_SAVE_NOT(struct uplink, strange),
	V3_SAVE_END,
};
static const struct v3_save_table uplink_save = {
	.fields = uplink_fields,
	.size = sizeof(struct uplink),
};

const struct v3_device_class v3_device_uplink = {
	.name = "uplink",
	.save = &uplink_save,
	.keys = uplink_keys,
	.create = uplink_create,
	.destroy = uplink_destroy,
};
