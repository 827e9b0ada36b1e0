/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file packet.c
 * Interfaces of the host's network (palacios/packet.h) over its optional group: the handles are the host's own. Called by
 * the uplinks of networks; calls the host.
 */
#include "palacios/packet.h"

#include "host/host.h"
#include "palacios/error.h"
#include "palacios/log.h"

#define V3_LOG_TAG "packet"

int v3_packet_open(struct v3_vm *vm, const char *name, void (*ready)(void *arg), void *arg,
		   struct v3_packet **out)
{
	const struct v3_host_packet_ops *packets = v3_host_packets();
	void *interface = NULL;
	int err;

	if (!packets) {
		V3_ERR(vm, "%s: this host has no network for guests", name);
		return V3_ENOTSUP;
	}
	err = packets->open(v3_vm_host_ctx(vm), name, ready, arg, &interface);
	if (err) {
		V3_ERR(vm, "%s: the interface cannot be opened: %s", name, v3_strerror(err));
		return err;
	}
	*out = interface;
	return V3_OK;
}

void v3_packet_close(struct v3_packet *packet)
{
	if (packet)
		v3_host_packets()->close(packet);
}

bool v3_packet_up(struct v3_packet *packet)
{
	return v3_host_packets()->up(packet);
}

int v3_packet_read(struct v3_packet *packet, struct v3_net_offload *offload, void *frame,
		   uint32_t size)
{
	return v3_host_packets()->read(packet, offload, frame, size);
}

int v3_packet_write(struct v3_packet *packet, const struct v3_net_offload *offload,
		    const void *frame, uint32_t len)
{
	return v3_host_packets()->write(packet, offload, frame, len);
}
