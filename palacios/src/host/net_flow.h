/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net_flow.h
 * Which flow a frame belongs to, for cards with several queues. Used by net.c only.
 */
#ifndef V3_HOST_NET_FLOW_H
#define V3_HOST_NET_FLOW_H

#include "palacios/types.h"

/** Bytes of a frame that v3_net_flow() wants to see: Ethernet with a VLAN tag, IPv6, ports. */
#define V3_NET_FLOW_HEAD (18 + 40 + 4)

/**
 * A number that is the same for all frames of a flow, in both directions, and differs for most others; addresses
 * and, of TCP and UDP, ports count.
 * @param head  the first @p len bytes of the frame
 */
uint32_t v3_net_flow(const uint8_t *head, uint32_t len);

#endif
