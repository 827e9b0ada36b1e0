/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net_flow.c
 * Recognises flows: Ethernet (IEEE 802.3, 802.1Q), IPv4 (RFC 791), IPv6 (RFC 8200), ports of TCP and UDP. Called by
 * net.c; calls nobody. A frame that is cut short, or of another kind, counts by what is there.
 */
#include "host/net_flow.h"

#define FLOW_ETH_TYPE	12
#define FLOW_TYPE_IPV4	0x0800
#define FLOW_TYPE_IPV6	0x86dd
#define FLOW_TYPE_VLAN	0x8100
#define FLOW_TCP	6
#define FLOW_UDP	17
#define FLOW_FRAGMENTED 0x3fff /* more fragments, or an offset (RFC 791) */

static uint32_t flow_get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* A number for an address (FNV-1a). */
static uint32_t flow_hash(const uint8_t *p, uint32_t len)
{
	uint32_t hash = 0x811c9dc5, i;

	for (i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 0x01000193;
	return hash;
}

/* The same for both directions: source and destination, @p len bytes each, are added. */
static uint32_t flow_pair(const uint8_t *p, uint32_t len)
{
	return flow_hash(p, len) + flow_hash(p + len, len);
}

uint32_t v3_net_flow(const uint8_t *head, uint32_t len)
{
	uint32_t at = FLOW_ETH_TYPE, type, protocol = 0, sum, ports = 0;

	if (len < at + 2)
		return 0;
	if (flow_get16(head + at) == FLOW_TYPE_VLAN && len >= at + 6)
		at += 4;
	type = flow_get16(head + at);
	at += 2;
	sum = flow_pair(head, 6);
	if (type == FLOW_TYPE_IPV4 && len >= at + 20) {
		sum = flow_pair(head + at + 12, 4);
		ports = at + 4u * (head[at] & 15);
		if (!(flow_get16(head + at + 6) & FLOW_FRAGMENTED))
			protocol = head[at + 9];
	} else if (type == FLOW_TYPE_IPV6 && len >= at + 40) {
		sum = flow_pair(head + at + 8, 16);
		ports = at + 40;
		protocol = head[at + 6];
	}
	if ((protocol == FLOW_TCP || protocol == FLOW_UDP) && len >= ports + 4)
		sum += flow_pair(head + ports, 2);
	return sum ^ sum >> 16;
}
