/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file packet.h
 * Interfaces of the host's own network (the optional group "packet" of palacios/host.h). For what connects networks of
 * guests with them.
 */
#ifndef PALACIOS_PACKET_H
#define PALACIOS_PACKET_H

#include "palacios/types.h"

struct v3_net_offload;
struct v3_packet;
struct v3_vm;

/**
 * Open the interface @p name of the definition. thread.
 * @param ready  as the member open() of struct v3_host_packet_ops says
 * @return V3_OK; V3_ENOTSUP: the host has no network for guests; V3_ENOENT, V3_ENOMEM: as its open() says. The log has
 *         a line.
 */
int v3_packet_open(struct v3_vm *vm, const char *name, void (*ready)(void *arg), void *arg,
		   struct v3_packet **packet);
/** No @p ready is called any more. thread. NULL is allowed. */
void v3_packet_close(struct v3_packet *packet);
/* As the members of struct v3_host_packet_ops. */
bool v3_packet_up(struct v3_packet *packet);
int v3_packet_read(struct v3_packet *packet, struct v3_net_offload *offload, void *frame,
		   uint32_t size);
int v3_packet_write(struct v3_packet *packet, const struct v3_net_offload *offload,
		    const void *frame, uint32_t len);

#endif
