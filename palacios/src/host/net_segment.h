/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net_segment.h
 * Cutting a TCP frame that was sent with segmentation undone, for a receiver that cannot take it so. Pure: net_segment.c
 * reads the frame and writes segments, nothing else.
 */
#ifndef V3_HOST_NET_SEGMENT_H
#define V3_HOST_NET_SEGMENT_H

#include "palacios/net.h"

#define V3_NET_HEADERS_MAX 192 /* Ethernet with VLAN tags, IP, TCP with options */

/** A frame that is being cut. */
struct v3_net_segments {
	const struct v3_net_piece *piece; /* not owned; the frame */
	unsigned npieces;
	uint32_t count;	      /* segments */
	uint32_t payload;     /* bytes behind the headers */
	uint32_t headers_len; /* of each segment */
	uint32_t ip, tcp;     /* offsets of these headers */
	uint16_t size;	      /* payload of all segments but the last */
	bool is_v6;
	uint8_t headers[V3_NET_HEADERS_MAX]; /* copied once: the guest may change its own */
};

/**
 * Look at a frame of @p len bytes whose offload record is valid (palacios/net.h).
 * @return false: it is not the TCP frame that @p o says
 */
bool v3_net_segments_begin(struct v3_net_segments *s, const struct v3_net_offload *o,
			   const struct v3_net_piece *piece, unsigned npieces, uint32_t len);
/** Bytes of segment @p i, of s->count. */
uint32_t v3_net_segment_len(const struct v3_net_segments *s, uint32_t i);
/** Write segment @p i; @p o says what is left undone of it: the TCP checksum. */
void v3_net_segment_write(const struct v3_net_segments *s, uint32_t i, uint8_t *to,
			  struct v3_net_offload *o);

/** Add @p len bytes to a ones' complement sum (RFC 1071) of 16-bit words, the first one at an even place. */
uint32_t v3_net_sum(uint32_t sum, const uint8_t *bytes, uint32_t len);
/**
 * Store the Internet checksum that the sender of a frame left out; its field holds the sum of the pseudo header. The
 * offload record, which is valid, says where, and that it is done.
 */
void v3_net_complete_csum(uint8_t *frame, uint32_t len, struct v3_net_offload *offload);

#endif
