/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_net.c
 * The switch between network cards: learning, flooding, queues that wrap and fill, offloads that a receiver cannot
 * take, ports that come and go while others send.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "host/net_flow.h"
#include "palacios/net.h"
#include "tap.h"

#include <pthread.h>
#include <sched.h>

struct card {
	struct v3_net_port *port;
	unsigned ready;
};

static struct v3_vm *vm;

static void card_ready(void *arg)
{
	__atomic_fetch_add(&((struct card *)arg)->ready, 1, __ATOMIC_SEQ_CST);
}

static bool open_cards(struct card *cards, unsigned n, const char *name)
{
	if (!vm || !n)
		return false;
	for (unsigned i = 0; i < n; i++) {
		cards[i].ready = 0;
		if (!CHECK_EQ(v3_net_open(vm, name, card_ready, &cards[i], &cards[i].port), V3_OK))
			return false;
	}
	return true;
}

static void close_cards(struct card *cards, unsigned n)
{
	while (n)
		v3_net_close(cards[--n].port);
}

/* A frame from card @p from to card @p to (0xff: broadcast), filled with @p byte. */
static void make_frame(uint8_t *frame, uint8_t from, uint8_t to, uint32_t len, uint8_t byte)
{
	memset(frame, byte, len);
	memset(frame, to == 0xff ? 0xff : 0x02, 6);
	memset(frame + 6, 0x02, 6);
	frame[5] = to;
	frame[11] = from;
}

static int send_frame(struct card *card, uint8_t from, uint8_t to, uint32_t len, uint8_t byte)
{
	static const struct v3_net_offload plain;
	static uint8_t frame[V3_NET_FRAME_MAX + 1];
	struct v3_net_piece piece = {frame, len};

	make_frame(frame, from, to, len, byte);
	return v3_net_send(card->port, &plain, &piece, 1);
}

/* Length of the next frame, which is taken; 0: none. @p byte: its last one */
static uint32_t take(struct card *card, uint8_t *byte)
{
	struct v3_net_offload offload;
	uint32_t len = 0;
	const uint8_t *frame = v3_net_peek(card->port, &offload, &len);

	if (!frame)
		return 0;
	if (byte)
		*byte = frame[len - 1];
	v3_net_drop(card->port);
	return len;
}

static void test_net_learns(void)
{
	struct card c[3];
	uint8_t byte;

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(c, 3, "lan"));
	CHECK_EQ(send_frame(&c[0], 0, 1, 60, 'a'), V3_OK); /* nobody knows 1: to all others */
	CHECK_EQ(take(&c[0], NULL), 0);
	CHECK_EQ(take(&c[1], &byte), 60);
	CHECK_EQ(byte, 'a');
	CHECK_EQ(take(&c[2], NULL), 60);
	CHECK_EQ(send_frame(&c[1], 1, 0, 61, 'b'), V3_OK); /* 0 is known */
	CHECK_EQ(take(&c[0], &byte), 61);
	CHECK_EQ(take(&c[2], NULL), 0);
	CHECK_EQ(send_frame(&c[2], 1, 0, 62, 'c'), V3_OK); /* 1 has moved */
	CHECK_EQ(take(&c[0], NULL), 62);
	CHECK_EQ(send_frame(&c[0], 0, 1, 63, 'd'), V3_OK);
	CHECK_EQ(take(&c[1], NULL), 0);
	CHECK_EQ(take(&c[2], NULL), 63);
	CHECK_EQ(send_frame(&c[0], 0, 0xff, 64, 'e'), V3_OK);
	CHECK_EQ(take(&c[1], NULL), 64);
	CHECK_EQ(take(&c[2], NULL), 64);
	CHECK_EQ(send_frame(&c[0], 0, 0, 65, 'f'), V3_OK); /* to itself */
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(take(&c[i], NULL), 0);
	close_cards(c, 3);
}

static void test_net_names_are_apart(void)
{
	struct card a[2], b[1];

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(a, 2, "lan") && open_cards(b, 1, "wan"));
	CHECK_EQ(send_frame(&a[0], 0, 0xff, 60, 0), V3_OK);
	CHECK_EQ(take(&a[1], NULL), 60);
	CHECK_EQ(take(&b[0], NULL), 0);
	close_cards(b, 1);
	close_cards(a, 2);
	CHECK(v3_lib.nets.first == NULL);
}

/* A port that is gone is forgotten. */
static void test_net_port_goes(void)
{
	struct card c[3];

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(c, 3, "lan"));
	CHECK_EQ(send_frame(&c[1], 1, 0xff, 60, 0), V3_OK);
	CHECK_EQ(take(&c[2], NULL), 60);
	v3_net_close(c[1].port);
	CHECK_EQ(send_frame(&c[0], 0, 1, 60, 0), V3_OK); /* flooded again */
	CHECK_EQ(take(&c[2], NULL), 60);
	v3_net_close(c[2].port);
	CHECK_EQ(send_frame(&c[0], 0, 1, 60, 0), V3_OK);
	v3_net_close(c[0].port);
	v3_net_close(NULL);
	CHECK(v3_lib.nets.first == NULL);
}

static void test_net_frame_lengths(void)
{
	struct card c[2];

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(c, 2, "lan"));
	CHECK_EQ(send_frame(&c[0], 0, 1, 13, 0), V3_EINVAL);
	CHECK_EQ(send_frame(&c[0], 0, 1, V3_NET_FRAME_MAX + 1, 0), V3_EINVAL);
	CHECK_EQ(v3_net_send(c[0].port, &(struct v3_net_offload){0}, NULL, 0), V3_EINVAL);
	CHECK_EQ(send_frame(&c[0], 0, 1, 14, 0), V3_OK);
	CHECK_EQ(take(&c[1], NULL), 14);
	CHECK_EQ(send_frame(&c[0], 0, 1, V3_NET_FRAME_MAX, 0), V3_OK);
	CHECK_EQ(take(&c[1], NULL), V3_NET_FRAME_MAX);
	close_cards(c, 2);
}

static void test_net_pieces(void)
{
	static const struct v3_net_offload plain;
	uint8_t frame[100], got[100];
	struct v3_net_piece piece[100];
	struct v3_net_offload offload;
	struct card c[2];
	uint32_t len;

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(c, 2, "lan"));
	make_frame(frame, 0, 1, sizeof(frame), 3);
	for (unsigned i = 0; i < 100; i++) {
		frame[i] = i < 12 ? frame[i] : (uint8_t)i;
		piece[i] = (struct v3_net_piece){frame + i, 1};
	}
	CHECK_EQ(v3_net_send(c[0].port, &plain, piece, 100), V3_OK);
	REQUIRE(v3_net_peek(c[1].port, &offload, &len));
	CHECK_EQ(len, 100);
	memcpy(got, v3_net_peek(c[1].port, &offload, &len), len);
	CHECK_MEM(got, frame, sizeof(frame));
	v3_net_flush(c[1].port);
	CHECK_EQ(take(&c[1], NULL), 0);
	close_cards(c, 2);
}

/* Queues fill, drop, and go on; whenever a frame comes to an empty queue the card is told, wrap or not. */
static void test_net_queue_wraps(void)
{
	struct v3_net_stats stats;
	struct card c[2];
	uint8_t byte;

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(c, 2, "lan"));
	for (unsigned i = 0; i < 5000; i++) {
		uint32_t len = 14 + (uint32_t)(tap_rand() % (i & 1 ? 60000 : 1500));
		unsigned ready = c[1].ready;

		CHECK_EQ(send_frame(&c[0], 0, 1, len, (uint8_t)i), V3_OK);
		if (!CHECK_EQ(c[1].ready, ready + 1) || !CHECK_EQ(take(&c[1], &byte), len) ||
		    !CHECK_EQ(byte, (uint8_t)i))
			break;
	}
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(send_frame(&c[0], 0, 1, 60000, (uint8_t)i), V3_OK);
	v3_net_get_stats(c[1].port, &stats);
	CHECK(stats.dropped >= 12 && stats.dropped < 20);
	CHECK_EQ(stats.received, 5000 + 20 - stats.dropped);
	for (unsigned i = 0; i < 20 - stats.dropped; i++) {
		CHECK_EQ(take(&c[1], &byte), 60000);
		CHECK_EQ(byte, i);
	}
	CHECK_EQ(take(&c[1], NULL), 0);
	v3_net_get_stats(c[0].port, &stats);
	CHECK_EQ(stats.sent, 5020);
	close_cards(c, 2);
}

/* ---- offloads ---- */

static int send_offload(struct card *card, const struct v3_net_offload *offload, uint32_t len)
{
	static uint8_t frame[2000];
	struct v3_net_piece piece = {frame, len};

	make_frame(frame, 0, 1, len, 0x11);
	return v3_net_send(card->port, offload, &piece, 1);
}

static void test_net_offload_validity(void)
{
	static const struct {
		struct v3_net_offload o;
		int err;
	} cases[] = {
		{{.flags = 1, .csum_start = 34, .csum_offset = 16}, V3_OK},
		{{.flags = 1, .csum_start = 82, .csum_offset = 16}, V3_OK},
		{{.flags = 1, .csum_start = 83, .csum_offset = 16}, V3_EINVAL},
		{{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, V3_EINVAL},
		{{.flags = 2}, V3_EINVAL},
		{{.csum_start = 0xffff}, V3_OK}, /* has no meaning */
		{{.flags = 1, .gso_type = 1, .gso_size = 1448, .hdr_len = 54}, V3_OK},
		{{.flags = 1, .gso_type = 4, .gso_size = 1448, .hdr_len = 54}, V3_OK},
		{{.flags = 1, .gso_type = 0x81, .gso_size = 1448, .hdr_len = 54}, V3_OK},
		{{.flags = 1, .gso_type = 0x80, .gso_size = 1448, .hdr_len = 54}, V3_EINVAL},
		{{.flags = 0, .gso_type = 1, .gso_size = 1448, .hdr_len = 54}, V3_EINVAL},
		{{.flags = 1, .gso_type = 1, .gso_size = 0, .hdr_len = 54}, V3_EINVAL},
		{{.flags = 1, .gso_type = 1, .gso_size = 1448, .hdr_len = 101}, V3_EINVAL},
		{{.flags = 1, .gso_type = 3, .gso_size = 1448}, V3_EINVAL}, /* UDP */
		{{.flags = 1, .gso_type = 5, .gso_size = 1448}, V3_EINVAL},
	};
	struct card c[2];

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(c, 2, "lan"));
	v3_net_set_takes(c[1].port, ~0u);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		int err = send_offload(&c[0], &cases[i].o, 100);

		CHECK_MSG(err == cases[i].err, "case %u: %d", i, err);
		CHECK_EQ(take(&c[1], NULL), err ? 0 : 100);
	}
	close_cards(c, 2);
}

/* Frames pass as they are to a card that can take them. */
static void test_net_offload_passes(void)
{
	static const struct v3_net_offload tso = {.flags = 1,
						  .gso_type = 0x84,
						  .gso_size = 1448,
						  .hdr_len = 54,
						  .csum_start = 34,
						  .csum_offset = 16};
	struct v3_net_offload got;
	struct card c[2];
	uint32_t len;

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(c, 2, "lan"));
	CHECK_EQ(send_offload(&c[0], &tso, 1999), V3_OK); /* no TCP in fact: cannot be cut */
	CHECK_EQ(take(&c[1], NULL), 0);
	v3_net_set_takes(c[1].port, V3_NET_TAKES_CSUM | V3_NET_TAKES_TCPV4 | V3_NET_TAKES_ECN);
	CHECK_EQ(send_offload(&c[0], &tso, 1999), V3_OK);
	CHECK_EQ(take(&c[1], NULL), 0);
	v3_net_set_takes(c[1].port, V3_NET_TAKES_CSUM | V3_NET_TAKES_TCPV6);
	CHECK_EQ(send_offload(&c[0], &tso, 1999), V3_OK);
	CHECK_EQ(take(&c[1], NULL), 0);
	v3_net_set_takes(c[1].port, V3_NET_TAKES_CSUM | V3_NET_TAKES_TCPV6 | V3_NET_TAKES_ECN);
	CHECK_EQ(send_offload(&c[0], &tso, 1999), V3_OK);
	REQUIRE(v3_net_peek(c[1].port, &got, &len));
	CHECK_EQ(len, 1999);
	CHECK_MEM(&got, &tso, sizeof(tso));
	close_cards(c, 2);
}

/* RFC 1071 with a word-wise reference; also of odd length. */
static void test_net_checksum_completed(void)
{
	for (uint32_t len = 60; len < 64; len++) {
		const struct v3_net_offload csum = {.flags = 1, .csum_start = 34, .csum_offset = 6};
		struct v3_net_offload got;
		const uint8_t *frame;
		struct card c[2];
		uint32_t sum = 0, n;

		vm = fake_vm_bare(1, 16);
		REQUIRE(open_cards(c, 2, "lan"));
		CHECK_EQ(send_offload(&c[0], &csum, len), V3_OK);
		frame = v3_net_peek(c[1].port, &got, &n);
		REQUIRE(frame);
		CHECK_EQ(got.flags, 0);
		CHECK_EQ(got.csum_start, 0);
		for (uint32_t i = 34; i < len; i++) /* with the field taken back to what it held */
			sum += (uint32_t)(i == 40 || i == 41 ? 0x11 : frame[i]) << (i & 1 ? 0 : 8);
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		CHECK_EQ(frame[40] << 8 | frame[41], ~sum & 0xffff);
		close_cards(c, 2);
		fake_vm_destroy(vm);
	}
}

/* ---- segmentation ---- */

#define TCP_PAYLOAD 5000u

/* A kind of TCP frame. */
struct tcp_kind {
	const char *what;
	bool v6;
	unsigned vlans, options; /* 4 bytes each, between TCP header and payload */
	unsigned extra;		 /* bytes between IPv6 and TCP header */
	uint16_t size;
};

static unsigned put(uint8_t *p, const char *hex)
{
	unsigned n = 0, byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		p[n++] = (uint8_t)byte;
	return n;
}

/* Headers as a driver leaves them, payload random. @return length; @p o to go with it */
static uint32_t make_tcp(uint8_t *f, const struct tcp_kind *k, struct v3_net_offload *o)
{
	uint8_t *start = f;
	uint32_t tcp_len = 20 + 4 * k->options + TCP_PAYLOAD, total;

	f += put(f, "020000000001020000000000");
	for (unsigned i = 0; i < k->vlans; i++)
		f += put(f, "81000005");
	f += put(f, k->v6 ? "86dd" : "0800");
	total = tcp_len + (k->v6 ? k->extra : 20);
	if (k->v6) {
		f += put(f, "60000000"
			    "0000"
			    "0640"
			    "fe800000000000000000000000000001"
			    "fe800000000000000000000000000002");
		f[-36] = (uint8_t)(total >> 8);
		f[-35] = (uint8_t)total;
		memset(f, 0, k->extra);
		f += k->extra;
	} else {
		f += put(f, "45000000"
			    "fffe"
			    "4000"
			    "4006"
			    "dead"
			    "0a000001"
			    "0a000002");
		f[-18] = (uint8_t)(total >> 8);
		f[-17] = (uint8_t)total;
	}
	*o = (struct v3_net_offload){.flags = 1,
				     .gso_type = k->v6 ? V3_NET_GSO_TCPV6 : V3_NET_GSO_TCPV4,
				     .gso_size = k->size,
				     .csum_start = (uint16_t)(f - start),
				     .csum_offset = 16};
	f += put(f, "30390050"
		    "fffff000"
		    "00000001"
		    "5099"
		    "ffff"
		    "beef"
		    "0000"); /* CWR ACK PSH FIN */
	f[-8] = (uint8_t)((5 + k->options) << 4);
	memset(f, 1, 4 * k->options);
	f += 4 * k->options;
	for (unsigned i = 0; i < TCP_PAYLOAD; i++)
		*f++ = (uint8_t)tap_rand();
	return (uint32_t)(f - start);
}

static uint32_t word(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t sum_of(const uint8_t *p, uint32_t len, uint64_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += (uint32_t)p[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint32_t)sum;
}

/* One segment against the whole; all checksums are right. @return bytes of payload */
static uint32_t check_segment(const uint8_t *f, uint32_t len, const uint8_t *whole,
			      const struct tcp_kind *k, uint32_t done)
{
	uint32_t ip = 14 + 4 * k->vlans, tcp = ip + (k->v6 ? 40 + k->extra : 20);
	uint32_t data = tcp + 20 + 4 * k->options, n = len - data;
	bool last = done + n == TCP_PAYLOAD;

	CHECK_EQ(n, last ? TCP_PAYLOAD - done : k->size);
	CHECK_MEM(f, whole, ip);
	CHECK_MEM(f + data, whole + data + done, n);
	if (k->v6) {
		CHECK_EQ(word(f + ip + 4), len - ip - 40);
		CHECK_EQ(sum_of(f + tcp, len - tcp, sum_of(f + ip + 8, 32, len - tcp + 6)), 0xffff);
	} else {
		CHECK_EQ(word(f + ip + 2), len - ip);
		CHECK_EQ(word(f + ip + 4), (0xfffe + done / k->size) & 0xffff);
		CHECK_EQ(sum_of(f + ip, 20, 0), 0xffff);
		CHECK_EQ(sum_of(f + tcp, len - tcp, sum_of(f + ip + 12, 8, len - tcp + 6)), 0xffff);
	}
	CHECK_EQ((uint32_t)(word(f + tcp + 4) << 16 | word(f + tcp + 6)), 0xfffff000u + done);
	CHECK_EQ(f[tcp + 13], 0x10 | (last ? 0x09 : 0) | (done ? 0 : 0x80));
	CHECK_MEM(f + tcp + 8, whole + tcp + 8, 5);
	CHECK_MEM(f + tcp + 20, whole + tcp + 20, 4 * k->options);
	return n;
}

static const struct tcp_kind tcp_kinds[] = {
	{"IPv4", false, 0, 0, 0, 1448},	     {"IPv4, options", false, 0, 3, 0, 1000},
	{"IPv4, VLAN", false, 1, 0, 0, 999}, {"IPv4, one segment", false, 0, 0, 0, 5000},
	{"IPv6", true, 0, 3, 0, 1428},	     {"IPv6, tags, extension", true, 2, 10, 8, 1250},
};

/* Send the frame in pieces that are cut anywhere. */
static int send_tcp(struct card *card, const uint8_t *frame, uint32_t len,
		    const struct v3_net_offload *o)
{
	const struct v3_net_piece pieces[] = {
		{frame, 7}, {frame + 7, 60}, {frame + 67, 1500}, {frame + 1567, len - 1567}};

	return v3_net_send(card->port, o, pieces, 4);
}

static void test_net_segments_tcp(void)
{
	static uint8_t frame[TCP_PAYLOAD + 256];
	struct v3_net_offload o, got;
	const uint8_t *segment;
	struct card c[3];
	uint32_t len, n, done;

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(c, 3, "lan"));
	v3_net_set_takes(c[2].port, V3_NET_TAKES_CSUM);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(tcp_kinds); i++) {
		unsigned failed = tap.failures;

		len = make_tcp(frame, &tcp_kinds[i], &o);
		CHECK_EQ(send_tcp(&c[0], frame, len, &o), V3_OK);
		for (done = 0; (segment = v3_net_peek(c[1].port, &got, &n)) != NULL;) {
			CHECK_EQ(got.flags, 0);
			CHECK_EQ(got.gso_type, 0);
			done += check_segment(segment, n, frame, &tcp_kinds[i], done);
			v3_net_drop(c[1].port);
		}
		CHECK_EQ(done, TCP_PAYLOAD);
		/* Who completes checksums himself is left them: the pseudo header's sum is there. */
		for (done = 0; (segment = v3_net_peek(c[2].port, &got, &n)) != NULL; done++) {
			uint32_t tcp = o.csum_start, ip = 14 + 4 * tcp_kinds[i].vlans;

			CHECK_EQ(got.flags, V3_NET_NEEDS_CSUM);
			CHECK_EQ(got.csum_start, tcp);
			CHECK_EQ(got.csum_offset, 16);
			CHECK_EQ(word(segment + tcp + 16),
				 tcp_kinds[i].v6 ? sum_of(segment + ip + 8, 32, n - tcp + 6)
						 : sum_of(segment + ip + 12, 8, n - tcp + 6));
			v3_net_drop(c[2].port);
		}
		CHECK_EQ(done, (TCP_PAYLOAD + tcp_kinds[i].size - 1) / tcp_kinds[i].size);
		if (tap.failures != failed)
			printf("# %s\n", tcp_kinds[i].what);
	}
	close_cards(c, 3);
}

/* What is wrong with the frame; it is dropped then, for whoever cannot take it whole. */
static void test_net_segments_refuse(void)
{
	static const struct {
		const char *what;
		unsigned offset, value; /* a byte of the frame */
		bool v6;
	} wrong[] = {
		{"ARP", 13, 6, false},
		{"IPv6 in IPv4's place", 14, 0x65, false},
		{"header too short", 14, 0x44, false},
		{"options, but not before TCP", 14, 0x46, false},
		{"UDP", 23, 17, false},
		{"a fragment", 20, 0x20, false},
		{"TCP header too short", 46, 0x40, false},
		{"IPv4's type", 12, 8, true},
		{"version 4", 14, 0x45, true},
	};
	static uint8_t frame[TCP_PAYLOAD + 256];
	struct v3_net_offload o, bad;
	struct v3_net_stats stats;
	unsigned dropped = 0;
	struct card c[2];
	uint32_t len;

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(c, 2, "lan"));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(wrong); i++) {
		len = make_tcp(frame, &tcp_kinds[wrong[i].v6 ? 4 : 0], &o);
		frame[wrong[i].offset] = (uint8_t)wrong[i].value;
		CHECK_EQ(send_tcp(&c[0], frame, len, &o), V3_OK);
		CHECK_MSG(take(&c[1], NULL) == 0, "%s", wrong[i].what);
		dropped++;
	}
	len = make_tcp(frame, &tcp_kinds[0], &o);
	bad = o;
	bad.csum_offset = 6;
	CHECK_EQ(send_tcp(&c[0], frame, len, &bad), V3_OK);
	bad = o;
	bad.csum_start = (uint16_t)(len - 18); /* TCP beyond what headers may be */
	CHECK_EQ(send_tcp(&c[0], frame, len, &bad), V3_OK);
	bad = o;
	bad.csum_start = 0;
	CHECK_EQ(send_tcp(&c[0], frame, len, &bad), V3_OK);
	bad = o;
	bad.gso_size = 1; /* thousands of segments */
	CHECK_EQ(send_tcp(&c[0], frame, len, &bad), V3_OK);
	CHECK_EQ(v3_net_send(c[0].port, &o, &(struct v3_net_piece){frame, 54}, 1),
		 V3_OK); /* empty */
	CHECK_EQ(take(&c[1], NULL), 0);
	v3_net_get_stats(c[1].port, &stats);
	CHECK_EQ(stats.dropped, dropped + 5);
	/* The queue is full at some time; what was cut before is there. */
	for (unsigned i = 0; i < 200; i++)
		CHECK_EQ(send_tcp(&c[0], frame, len, &o), V3_OK);
	v3_net_get_stats(c[1].port, &stats);
	CHECK(stats.dropped > dropped + 5 && stats.received > 300);
	close_cards(c, 2);
}

/* ---- at once ---- */

static volatile bool stop;

static void *sender(void *arg)
{
	struct card *card = arg;
	static const struct v3_net_offload plain;
	uint8_t frame[1500];
	struct v3_net_piece piece = {frame, sizeof(frame)};

	while (!stop) {
		make_frame(frame, 7, 0xff, sizeof(frame), 0x5a);
		CHECK_EQ(v3_net_send(card->port, &plain, &piece, 1), V3_OK);
	}
	return NULL;
}

static void test_net_ports_come_and_go(void)
{
	struct card from, to;
	pthread_t thread;

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(&from, 1, "lan"));
	stop = false;
	REQUIRE_EQ(pthread_create(&thread, NULL, sender, &from), 0);
	for (unsigned i = 0; i < 200; i++) {
		uint8_t byte = 0;

		if (!open_cards(&to, 1, "lan"))
			break;
		for (unsigned k = 0; k < i % 8; k++) {
			while (!take(&to, &byte))
				sched_yield();
			CHECK_EQ(byte, 0x5a);
		}
		v3_net_close(to.port);
	}
	stop = true;
	pthread_join(thread, NULL);
	close_cards(&from, 1);
}

/* ---- several VMs ---- */

static uint64_t owner_by_ctx(void *host_ctx)
{
	return (uintptr_t)host_ctx;
}

/* What is a VM's here is its embedder's pointer. */
static int owned_vm(uintptr_t owner, struct v3_vm **out)
{
	size_t len;
	const void *image = fake_image(fake_pc_toml(1, 16), NULL, 0, &len);

	return v3_vm_create(image, len, (void *)owner, out);
}

/* VMs of one owner meet in a network, another's do not, whatever the name. */
static void test_net_owners_are_apart(void)
{
	struct v3_vm *vms[3];
	struct card a, b, other;

	REQUIRE_EQ(fake_lib_init(), V3_OK);
	fake_owner_set(owner_by_ctx);
	for (unsigned i = 0; i < 3; i++)
		REQUIRE_EQ(owned_vm(i < 2 ? 1000 : 1001, &vms[i]), V3_OK);
	vm = vms[0];
	REQUIRE(open_cards(&a, 1, "lan"));
	vm = vms[1];
	REQUIRE(open_cards(&b, 1, "lan"));
	vm = vms[2];
	REQUIRE(open_cards(&other, 1, "lan"));
	CHECK_EQ(send_frame(&a, 0, 0xff, 60, 0), V3_OK);
	CHECK_EQ(take(&b, NULL), 60);
	CHECK_EQ(take(&other, NULL), 0);
	CHECK_EQ(send_frame(&other, 1, 0, 61, 0), V3_OK); /* knows the address, but not the way */
	CHECK_EQ(take(&a, NULL), 0);
	close_cards(&a, 1);
	close_cards(&b, 1);
	close_cards(&other, 1);
	CHECK(v3_lib.nets.first == NULL);
	for (unsigned i = 0; i < 3; i++)
		v3_vm_destroy(vms[i]);
}

/* VMs with a card come and go while one of another VM sends to them; what is left of the network is the sender's. */
static void test_net_vm_destroyed_while_another_sends(void)
{
	struct v3_vm *first, *second;
	struct v3_net_stats stats;
	struct card from;
	pthread_t thread;
	char toml[1024];

	snprintf(toml, sizeof(toml), "%s[[device]]\nclass = \"virtio_net\"\n", fake_pc_toml(1, 16));
	REQUIRE_EQ(fake_vm_create(fake_pc_toml(1, 16), NULL, 0, &first), V3_OK);
	vm = first;
	REQUIRE(open_cards(&from, 1, "lan"));
	stop = false;
	REQUIRE_EQ(pthread_create(&thread, NULL, sender, &from), 0);
	for (unsigned i = 0; i < 20; i++) {
		if (!CHECK_EQ(fake_vm_create(toml, NULL, 0, &second), V3_OK))
			break;
		fake_service(second);
		fake_vm_destroy(second);
	}
	stop = true;
	pthread_join(thread, NULL);
	v3_net_get_stats(from.port, &stats);
	CHECK(stats.sent > 0);
	CHECK(v3_lib.nets.first != NULL);
	close_cards(&from, 1);
	CHECK(v3_lib.nets.first == NULL);
	fake_vm_destroy(first);
}

/* ---- polling ---- */

static struct card polled; /* the card that is */
static unsigned polls;	   /* atomic */
static bool poll_held;	   /* the card takes its time; atomic */

static bool card_poll(void *arg)
{
	unsigned n = __atomic_add_fetch(&polls, 1, __ATOMIC_SEQ_CST);

	CHECK(arg == &polled);
	CHECK(v3_net_polled(polled.port));
	while (__atomic_load_n(&poll_held, __ATOMIC_SEQ_CST))
		sched_yield();
	return n & 1;
}

static void test_net_poll_on_a_cable(void)
{
	struct card poller, third;

	vm = fake_vm_bare(1, 16);
	polls = 0;
	REQUIRE(open_cards(&poller, 1, "lan"));
	CHECK_EQ(v3_net_poll(poller.port), V3_ENOENT); /* nobody is there */
	REQUIRE(open_cards(&polled, 1, "lan"));
	CHECK_EQ(v3_net_poll(poller.port), V3_ENOENT); /* it cannot be polled */
	CHECK(!v3_net_polled(polled.port));
	v3_net_on_poll(polled.port, card_poll);
	CHECK_EQ(v3_net_poll(poller.port), 1);
	CHECK_EQ(v3_net_poll(poller.port), 0);
	CHECK(v3_net_polled(polled.port));
	CHECK_EQ(polled.ready, 0);
	v3_net_poll_end(poller.port);
	CHECK(!v3_net_polled(polled.port));
	CHECK_EQ(polled.ready, 1); /* told that it has to see for itself */
	v3_net_poll_end(poller.port);
	CHECK_EQ(polled.ready, 1);
	/* A third one: nobody is polled on a switch. */
	CHECK_EQ(v3_net_poll(poller.port), 1);
	REQUIRE(open_cards(&third, 1, "lan"));
	CHECK(!v3_net_polled(polled.port));
	CHECK_EQ(polled.ready, 2);
	CHECK_EQ(v3_net_poll(poller.port), V3_ENOENT);
	close_cards(&third, 1);
	/* The poller goes. */
	CHECK_EQ(v3_net_poll(poller.port), 0);
	close_cards(&poller, 1);
	CHECK(!v3_net_polled(polled.port));
	CHECK_EQ(polled.ready, 3);
	CHECK_EQ(polls, 4);
	close_cards(&polled, 1);
}

static void *poll_thread(void *arg)
{
	CHECK_EQ(v3_net_poll(((struct card *)arg)->port), 1);
	return NULL;
}

static bool is_polling(void *arg)
{
	(void)arg;
	return __atomic_load_n(&polls, __ATOMIC_SEQ_CST);
}

static void *close_thread(void *arg)
{
	close_cards(arg, 1);
	return NULL;
}

static bool has_left(void *arg)
{
	unsigned long flags = v3_lock_acquire(&v3_lib.nets.lock);
	bool left = !v3_net_link(((struct card *)arg)->port) || !v3_lib.nets.first;

	v3_lock_release(&v3_lib.nets.lock, flags);
	return left;
}

/* A card that is being polled is closed when that is over. */
static void test_net_close_waits_for_the_poller(void)
{
	pthread_t poll, closer;
	struct card poller;

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(&poller, 1, "lan") && open_cards(&polled, 1, "lan"));
	v3_net_on_poll(polled.port, card_poll);
	polls = 0;
	poll_held = true;
	REQUIRE_EQ(pthread_create(&poll, NULL, poll_thread, &poller), 0);
	CHECK(fake_wait_until(is_polling, NULL, 10000));
	v3_net_set_link(polled.port,
			false); /* so that it shows when that card has left the network */
	CHECK(!v3_net_link(poller.port));
	REQUIRE_EQ(pthread_create(&closer, NULL, close_thread, &polled), 0);
	while (has_left(&poller))
		sched_yield();
	CHECK(fake_host_live(FAKE_PAGES) >= 2); /* both queues are still there */
	__atomic_store_n(&poll_held, false, __ATOMIC_SEQ_CST);
	pthread_join(poll, NULL);
	pthread_join(closer, NULL);
	close_cards(&poller, 1);
}

static struct card oom_card;

static int oom_open(void *arg)
{
	(void)arg;
	return v3_net_open(vm, "lan", card_ready, &oom_card, &oom_card.port);
}

static void oom_close(void *arg)
{
	(void)arg;
	v3_net_close(oom_card.port);
}

static void test_net_oom(void)
{
	vm = fake_vm_bare(1, 16);
	REQUIRE(vm);
	CHECK(fake_host_oom_each_step(oom_open, oom_close, NULL) >= 3);
}

/* ---- flows ---- */

/* Kinds of headers in front of two addresses, and of ports behind them; as 0x45, say, in hexadecimal. */
static const struct {
	const char *what, *front, *behind;
	uint8_t address; /* length */
	bool ports;	 /* count */
} kinds[] = {
	{"TCP over IPv4",
	 "0800"
	 "4500002800000000"
	 "40060000",
	 "", 4, true},
	{"UDP over IPv4",
	 "0800"
	 "4500002800004000"
	 "40110000",
	 "", 4, true},
	{"options",
	 "0800"
	 "4600002800000000"
	 "40060000",
	 "01010101", 4, true},
	{"a VLAN",
	 "8100e005"
	 "0800"
	 "4500002800000000"
	 "40060000",
	 "", 4, true},
	{"TCP over IPv6",
	 "86dd"
	 "60000000"
	 "0014"
	 "0640",
	 "", 16, true},
	{"ICMP",
	 "0800"
	 "4500002800000000"
	 "40010000",
	 "", 4, false},
	{"a first fragment",
	 "0800"
	 "4500002800002000"
	 "40060000",
	 "", 4, false},
	{"a later fragment",
	 "0800"
	 "4500002800000010"
	 "40060000",
	 "", 4, false},
	{"another protocol",
	 "88b5"
	 "4500002800000000"
	 "40060000",
	 "", 4, false},
};

static uint32_t put_hex(uint8_t *p, const char *hex)
{
	uint32_t n = 0;
	unsigned byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		p[n++] = (uint8_t)byte;
	return n;
}

/* @return the flow of a frame of @p kind from @p a, port @p pa, to @p b, port @p pb */
static uint32_t flow_of(unsigned kind, uint8_t a, uint8_t pa, uint8_t b, uint8_t pb)
{
	uint8_t frame[V3_NET_FLOW_HEAD + 8] = {2, 0, 0, 0, 0, b, 2, 0, 0, 0, 0, a};
	uint32_t at = 12;

	at += put_hex(frame + at, kinds[kind].front);
	memset(frame + at, a, kinds[kind].address);
	at += kinds[kind].address;
	memset(frame + at, b, kinds[kind].address);
	at += kinds[kind].address;
	at += put_hex(frame + at, kinds[kind].behind);
	frame[at + 1] = pa;
	frame[at + 3] = pb;
	return v3_net_flow(frame, V3_NET_FLOW_HEAD);
}

static void test_net_flow_kinds(void)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(kinds); i++) {
		uint32_t flow = flow_of(i, 1, 10, 2, 80);

		CHECK_MSG(flow_of(i, 2, 80, 1, 10) == flow, "%s: not the same back", kinds[i].what);
		CHECK_MSG((flow_of(i, 1, 11, 2, 80) != flow) == kinds[i].ports, "%s: ports",
			  kinds[i].what);
		CHECK_MSG(flow_of(i, 1, 10, 3, 80) != flow, "%s: addresses", kinds[i].what);
	}
}

/* Frames that end anywhere: only what is there is looked at (the sanitizer watches). */
static void test_net_flow_short_frames(void)
{
	for (uint32_t len = 0; len <= V3_NET_FLOW_HEAD; len++) {
		uint8_t *frame = malloc(len ? len : 1);

		REQUIRE(frame);
		for (unsigned round = 0; round < 50; round++) {
			for (uint32_t i = 0; i < len; i++)
				frame[i] = (uint8_t)tap_rand();
			if (len >= 24) {
				memcpy(frame + 12, round & 1 ? "\x08\x00\x4f" : "\x86\xdd\x60", 3);
				frame[round & 1 ? 23 : 20] = round & 2 ? 6 : 17;
			}
			v3_net_flow(frame, len);
		}
		free(frame);
	}
}

/* A card with several queues is one card: it hears nothing of its own, and others hear it once. */
static void test_net_queues_are_one_card(void)
{
	struct card a[V3_NET_QUEUES], b[1], spare;
	unsigned got = 0;

	vm = fake_vm_bare(1, 16);
	REQUIRE(open_cards(a, 1, "lan") && open_cards(b, 1, "lan"));
	for (unsigned i = 1; i < V3_NET_QUEUES; i++) {
		a[i].ready = 0;
		REQUIRE_EQ(v3_net_open_queue(a[0].port, card_ready, &a[i], &a[i].port), V3_OK);
	}
	CHECK_EQ(v3_net_open_queue(a[0].port, card_ready, &spare, &spare.port), V3_ENOSPC);
	v3_net_use_queues(a[0].port, V3_NET_QUEUES);
	v3_net_use_queues(a[0].port, V3_NET_QUEUES + 1); /* has no effect */
	v3_net_use_queues(a[0].port, 0);
	v3_net_use_queues(b[0].port, 1);
	CHECK_EQ(send_frame(&a[3], 1, 2, 60, 7), V3_OK);
	CHECK_EQ(take(&b[0], NULL), 60);
	CHECK_EQ(take(&b[0], NULL), 0);
	for (unsigned i = 0; i < V3_NET_QUEUES; i++)
		CHECK_EQ(take(&a[i], NULL), 0);
	CHECK_EQ(send_frame(&b[0], 2, 1, 61, 7), V3_OK); /* an answer goes where it was asked */
	CHECK_EQ(a[3].ready, 1);
	CHECK_EQ(take(&a[3], NULL), 61);
	for (uint8_t from = 10; from < 50; from++)
		CHECK_EQ(send_frame(&b[0], from, 1, 60, 7), V3_OK);
	for (unsigned i = 0; i < V3_NET_QUEUES; i++) {
		CHECK(a[i].ready > 0);
		while (take(&a[i], NULL))
			got++;
	}
	CHECK_EQ(got, 40);
	close_cards(b, 1);
	v3_net_close(a[0].port);
}

static const struct tap_test tests[] = {
	TAP(test_net_learns),
	TAP(test_net_names_are_apart),
	TAP(test_net_port_goes),
	TAP(test_net_frame_lengths),
	TAP(test_net_pieces),
	TAP(test_net_queue_wraps),
	TAP(test_net_offload_passes),
	TAP(test_net_offload_validity),
	TAP(test_net_oom),
	TAP(test_net_poll_on_a_cable),
	TAP(test_net_close_waits_for_the_poller),
	TAP(test_net_checksum_completed),
	TAP(test_net_segments_tcp),
	TAP(test_net_segments_refuse),
	TAP(test_net_ports_come_and_go),
	TAP(test_net_owners_are_apart),
	TAP(test_net_vm_destroyed_while_another_sends),
	TAP(test_net_flow_kinds),
	TAP(test_net_flow_short_frames),
	TAP(test_net_queues_are_one_card),
};
TAP_MAIN(tests)
