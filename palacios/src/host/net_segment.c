/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net_segment.c
 * Software segmentation of TCP over IPv4 and IPv6 (RFC 9293, 791, 8200), as a card would do it: each segment has the
 * headers of the whole with its own lengths, sequence number and flags. Called by the networks; calls nobody.
 */
#include "host/net_segment.h"

#include "palacios/util/str.h"

#define SEG_ETHER_LEN 14u
#define SEG_VLAN_LEN  4u
#define SEG_TYPE_IPV4 0x0800
#define SEG_TYPE_IPV6 0x86dd
#define SEG_TYPE_VLAN 0x8100
#define SEG_TYPE_QINQ 0x88a8
#define SEG_IPV4_MIN  20u
#define SEG_IPV6_LEN  40u
#define SEG_TCP_MIN   20u
#define SEG_TCP_CSUM  16u
#define SEG_PROTO_TCP 6u
#define SEG_MAX	      256u /* segments of a frame; there are 121 of the smallest that IPv4 has to take */
#define SEG_FIN_PSH   0x09 /* only the last segment has them */
#define SEG_CWR	      0x80 /* only the first one has it (RFC 3168) */

static uint32_t seg_get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void seg_put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

uint32_t v3_net_sum(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
	uint32_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += seg_get16(bytes + i);
	if (i < len)
		sum += (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Copy @p len bytes of the frame from @p offset on. */
static void seg_copy(const struct v3_net_segments *s, uint32_t offset, uint8_t *to, uint32_t len)
{
	const struct v3_net_piece *piece = s->piece;
	uint32_t n;

	for (; len && piece < s->piece + s->npieces; piece++) {
		if (offset >= piece->len) {
			offset -= piece->len;
			continue;
		}
		n = piece->len - offset < len ? piece->len - offset : len;
		memcpy(to, (const uint8_t *)piece->p + offset, n);
		offset = 0;
		to += n;
		len -= n;
	}
}

/* Where the IP header is, by the Ethernet header. @return false: something else than IP, or not the IP that is said */
static bool seg_find_ip(struct v3_net_segments *s)
{
	uint32_t at = SEG_ETHER_LEN, type = seg_get16(s->headers + at - 2);

	while ((type == SEG_TYPE_VLAN || type == SEG_TYPE_QINQ) &&
	       at <= SEG_ETHER_LEN + SEG_VLAN_LEN) {
		at += SEG_VLAN_LEN;
		type = seg_get16(s->headers + at - 2);
	}
	s->ip = at;
	return type == (s->is_v6 ? SEG_TYPE_IPV6 : SEG_TYPE_IPV4);
}

/* Do IP and TCP header lie one behind the other? What is between them in IPv6 is repeated as it is. */
static bool seg_check_ip(const struct v3_net_segments *s)
{
	const uint8_t *ip = s->headers + s->ip;

	if (s->is_v6)
		return ip[0] >> 4 == 6 && s->tcp >= s->ip + SEG_IPV6_LEN;
	return ip[0] >> 4 == 4 && (ip[0] & 15u) * 4 >= SEG_IPV4_MIN &&
	       s->ip + (ip[0] & 15u) * 4 == s->tcp && ip[9] == SEG_PROTO_TCP &&
	       !(seg_get16(ip + 6) & 0x3fff); /* no fragment */
}

bool v3_net_segments_begin(struct v3_net_segments *s, const struct v3_net_offload *o,
			   const struct v3_net_piece *piece, unsigned npieces, uint32_t len)
{
	uint32_t n = len < V3_NET_HEADERS_MAX ? len : V3_NET_HEADERS_MAX;

	memset(s, 0, sizeof(*s));
	s->piece = piece;
	s->npieces = npieces;
	s->is_v6 = (o->gso_type & ~V3_NET_GSO_ECN) == V3_NET_GSO_TCPV6;
	s->tcp = o->csum_start;
	s->size = o->gso_size;
	seg_copy(s, 0, s->headers, n);
	if (!seg_find_ip(s) || o->csum_offset != SEG_TCP_CSUM || s->tcp < s->ip + SEG_IPV4_MIN ||
	    s->tcp + SEG_TCP_MIN > n || !seg_check_ip(s))
		return false;
	s->headers_len = s->tcp + (s->headers[s->tcp + 12] >> 4) * 4u;
	if (s->headers_len < s->tcp + SEG_TCP_MIN || s->headers_len > n || s->headers_len >= len)
		return false;
	s->payload = len - s->headers_len;
	s->count = (s->payload + s->size - 1) / s->size;
	return s->count <= SEG_MAX;
}

static uint32_t seg_payload(const struct v3_net_segments *s, uint32_t i)
{
	uint32_t left = s->payload - i * s->size;

	return left < s->size ? left : s->size;
}

uint32_t v3_net_segment_len(const struct v3_net_segments *s, uint32_t i)
{
	return s->headers_len + seg_payload(s, i);
}

/* Lengths, and what else differs from segment to segment. */
static void seg_write_ip(const struct v3_net_segments *s, uint32_t i, uint8_t *ip, uint32_t len)
{
	uint32_t header = s->tcp - s->ip;

	if (s->is_v6) {
		seg_put16(ip + 4, len - SEG_IPV6_LEN);
		return;
	}
	seg_put16(ip + 2, len);
	seg_put16(ip + 4, seg_get16(ip + 4) + i); /* identification */
	seg_put16(ip + 10, 0);
	seg_put16(ip + 10, ~v3_net_sum(0, ip, header));
}

/* The sum of the pseudo header, in the place of the checksum. */
static uint32_t seg_pseudo_sum(const struct v3_net_segments *s, const uint8_t *ip, uint32_t tcp_len)
{
	uint32_t sum = s->is_v6 ? v3_net_sum(0, ip + 8, 32) : v3_net_sum(0, ip + 12, 8);

	sum += tcp_len + SEG_PROTO_TCP;
	return (sum & 0xffff) + (sum >> 16);
}

static void seg_write_tcp(const struct v3_net_segments *s, uint32_t i, uint8_t *tcp)
{
	uint32_t seq = (seg_get16(tcp + 4) << 16 | seg_get16(tcp + 6)) + i * s->size;

	seg_put16(tcp + 4, seq >> 16);
	seg_put16(tcp + 6, seq);
	if (i)
		tcp[13] &= (uint8_t)~SEG_CWR;
	if (i != s->count - 1)
		tcp[13] &= (uint8_t)~SEG_FIN_PSH;
}

void v3_net_segment_write(const struct v3_net_segments *s, uint32_t i, uint8_t *to,
			  struct v3_net_offload *o)
{
	uint32_t n = seg_payload(s, i), len = s->headers_len + n;

	memcpy(to, s->headers, s->headers_len);
	seg_copy(s, s->headers_len + i * s->size, to + s->headers_len, n);
	seg_write_ip(s, i, to + s->ip, len - s->ip);
	seg_write_tcp(s, i, to + s->tcp);
	seg_put16(to + s->tcp + SEG_TCP_CSUM, seg_pseudo_sum(s, to + s->ip, len - s->tcp));
	memset(o, 0, sizeof(*o));
	o->flags = V3_NET_NEEDS_CSUM;
	o->csum_start = (uint16_t)s->tcp;
	o->csum_offset = SEG_TCP_CSUM;
}

void v3_net_complete_csum(uint8_t *frame, uint32_t len, struct v3_net_offload *offload)
{
	uint32_t start = offload->csum_start;
	uint8_t *field = frame + start + offload->csum_offset;
	uint32_t sum = ~v3_net_sum(0, frame + start, len - start) & 0xffff;

	if (!sum)
		sum = 0xffff; /* UDP: 0 means none; in ones' complement both are zero (RFC 768) */
	field[0] = (uint8_t)(sum >> 8);
	field[1] = (uint8_t)sum;
	offload->flags &= (uint8_t)~V3_NET_NEEDS_CSUM;
	offload->csum_start = offload->csum_offset = 0;
}
