/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_save_net.c
 * Virtio console and network devices that move to another VM: bytes that are half sent or half received, control
 * messages that are not told yet, the card's address, filters and queues; images that somebody has changed.
 */
#include "palacios/net.h"
#include "virtio_console_rig.h"
#include "virtio_net_rig.h"

#include "save_virtio.h"

#define V1	  VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define PACKED	  VIRTIO_BIT(VIRTIO_F_RING_PACKED)
#define MULTIPORT VIRTIO_BIT(1)

/* ---- console ---- */

#define TWO_PORTS "console = \"console\"\nports = [\"debug\"]\n"

static bool open_console(const char *keys, uint64_t features)
{
	return save_virtio_open(&v3_device_virtio_console, keys, features);
}

/* A chain of which the stream took a part is sent on where it was, and used once; after it the next one. */
static void test_save_net_console_half_sent(void)
{
	static const uint64_t rings[] = {0, PACKED};
	char text[1000];

	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	for (unsigned k = 0; k < V3_ARRAY_SIZE(rings); k++) {
		REQUIRE(open_console("console = \"console\"\n", rings[k]));
		fake_console_limit("console", 300);
		send(TX, text, sizeof(text));
		rig_desc(TX, 1, BUF(TX, 0), 3, 0, 0);
		rig_offer(TX, 1);
		CHECK_EQ(strlen(fake_console_output("console")), 300);
		REQUIRE(save_virtio_move());
		fake_console_limit("console", 100);
		bench_run(3 * BENCH_MS);
		CHECK_EQ(rig_used(TX, NULL), -1);
		CHECK_MEM(fake_console_output("console"), text + 300, 100);
		REQUIRE(save_virtio_move());
		bench_run(3 * BENCH_MS);
		CHECK_EQ(rig_used(TX, NULL), 0);
		CHECK_EQ(rig_used(TX, NULL), 0);
		CHECK_EQ(rig_used(TX, NULL), -1);
		CHECK_EQ(strlen(fake_console_output("console")), 603);
		CHECK_MEM(fake_console_output("console"), text + 400, 600);
		CHECK_STR(fake_console_output("console") + 600, "abc");
		fake_vm_destroy(bench.vm);
	}
}

/* Bytes that the device has read and the driver had no room for come before those of the new stream. */
static void test_save_net_console_half_received(void)
{
	REQUIRE(open_console("console = \"console\"\n", 0));
	feed("console", "abcdefghij");
	offer(RX, 0, 1, 4);
	CHECK_STR(received(RX), "abcd");
	REQUIRE(save_virtio_move());
	offer(RX, 1, 1, 4);
	CHECK_STR(received(RX), "efgh");
	feed("console", "klm");
	offer(RX, 2, 2, 4);
	CHECK_STR(received(RX), "ijkl");
	CHECK_STR(received(RX), "m");
}

/* Messages that the driver had no buffer for are told, once, and open ports stay open. */
static void test_save_net_console_control(void)
{
	REQUIRE(open_console(TWO_PORTS, MULTIPORT));
	offer(CTL_RX, 0, 1, 64);
	control(0, 0, 1);
	CHECK_EQ(told(), 0 << 16 | 1);
	control(1, 6, 1);
	REQUIRE(save_virtio_move());
	CHECK_EQ(told(), -1);
	offer(CTL_RX, 1, 2, 64);
	CHECK_EQ(told(), 1 << 16 | 1);
	CHECK_EQ(told(), -1);
	offer(RX1, 0, 1, 64);
	feed("debug", "open");
	CHECK_STR(received(RX1), "open");
	send(TX1, "from port 1", 11);
	CHECK_STR(fake_console_output("debug"), "from port 1");
}

/* ---- network ---- */

#define HDR	   12
#define BCAST	   "\xff\xff\xff\xff\xff\xff"
#define OWN	   "\x02\x00\x00\x00\x00\x01"
#define OTHER	   "\x02\x00\x00\x00\x00\x02"
#define GROUP	   "\x01\x00\x5e\x00\x00\x01"
#define GUEST_CSUM VIRTIO_BIT(1)
#define CARD	   "mac = \"02:00:00:00:00:01\"\n"

static struct v3_net_port *peer;

static void peer_ready(void *arg)
{
	(void)arg;
}

/* The test's own port on the network of the card, of the VM that is now. */
static bool join(void)
{
	return CHECK_EQ(v3_net_open(bench.vm, "lan", peer_ready, NULL, &peer), V3_OK);
}

static bool move_net(void)
{
	v3_net_close(peer);
	return save_virtio_move() && join();
}

static bool open_net(const char *keys, uint64_t features)
{
	return save_virtio_open(&v3_device_virtio_net, keys, features) && join();
}

static void peer_send(const char *to, unsigned vlan, uint8_t flow, bool partial)
{
	struct v3_net_offload offload = {0};
	uint8_t frame[64] = {0};
	struct v3_net_piece piece = {frame, sizeof(frame)};

	memcpy(frame, to, 6);
	frame[6] = 2;
	frame[12] = vlan ? 0x81 : 8;
	frame[14] = vlan ? 0 : 0x45;
	frame[15] = (uint8_t)vlan;
	frame[23] = 17;
	frame[37] = flow;
	if (partial)
		offload = (struct v3_net_offload){
			.flags = V3_NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	CHECK_EQ(v3_net_send(peer, &offload, &piece, 1), V3_OK);
	fake_service(bench.vm);
}

/* Is a frame to this address received? */
static bool arrives(const char *to, unsigned vlan)
{
	bool yes;

	offer(RX, 0, 1, 2048);
	peer_send(to, vlan, 0, false);
	yes = rig_used(RX, NULL) > 0;
	if (!yes) { /* a broadcast uses the buffer up */
		peer_send(BCAST, 0, 0, false);
		CHECK_EQ(rig_used(RX, NULL), HDR + 64);
	}
	return yes;
}

static void test_save_net_filters(void)
{
	REQUIRE(open_net(CARD, CTRL_BITS));
	CHECK_EQ(net_control(CTRL, 0, 0, "\0", 1), 0); /* not promiscuous */
	CHECK_EQ(net_control(CTRL, 1, 0, "\1\0\0\0" OTHER "\1\0\0\0" GROUP, 20), 0);
	CHECK_EQ(net_control(CTRL, 2, 0, "\5", 2), 0);
	CHECK_EQ(net_control(CTRL, 1, 1, "\x02\0\0\0\0\x77", 6), 0);
	REQUIRE(move_net());
	CHECK_EQ(rig_read(RIG_CONFIG + 5, 1), 0x77);
	CHECK(!arrives(OWN, 0));
	CHECK(arrives("\x02\0\0\0\0\x77", 0));
	CHECK(arrives(OTHER, 0));
	CHECK(arrives(GROUP, 0));
	CHECK(!arrives("\x02\0\0\0\0\3", 0));
	CHECK(!arrives("\x01\0\x5e\0\0\2", 0));
	CHECK(arrives(BCAST, 5));
	CHECK(!arrives(BCAST, 6));
	rig_write(RIG_STATUS, 1, 0); /* its own address again */
	CHECK_EQ(rig_read(RIG_CONFIG + 5, 1), 1);
	v3_net_close(peer);
}

/* Where it is loaded nobody polls the card: its driver is asked to notify again. */
static void test_save_net_polled(void)
{
	REQUIRE(open_net(CARD, 0));
	bench.vm->state = V3_VM_RUNNING;
	CHECK_EQ(v3_net_poll(peer), 0);
	CHECK_EQ(rig_peek(RIG_USED(TX), 2), 1); /* no need to notify */
	bench.vm->state = V3_VM_PAUSED;
	REQUIRE(move_net());
	fake_service(bench.vm);
	CHECK_EQ(rig_peek(RIG_USED(TX), 2), 0);
	v3_net_close(peer);
}

/* There the link may be another one. */
static void test_save_net_link(void)
{
	REQUIRE(open_net(CARD, 0));
	offer(RX, 0, 1, 2048);
	v3_net_set_link(peer, false);
	fake_service(bench.vm);
	CHECK_EQ(rig_read(RIG_CONFIG + 6, 2), 0);
	REQUIRE(move_net());
	fake_service(bench.vm);
	CHECK_EQ(rig_read(RIG_CONFIG + 6, 2), 1);
	v3_net_close(peer);
}

/* More addresses than there is room for: all are let through. */
static void test_save_net_filter_overflow(void)
{
	static const uint8_t macs[8 + 33 * 6] = {33};

	REQUIRE(open_net(CARD, CTRL_BITS));
	CHECK_EQ(net_control(CTRL, 0, 0, "\0", 1), 0);
	CHECK_EQ(net_control(CTRL, 1, 0, macs, sizeof(macs)), 0);
	REQUIRE(move_net());
	CHECK(arrives("\x02\0\0\0\0\3", 0));
	CHECK(!arrives("\x01\0\x5e\0\0\2", 0));
	v3_net_close(peer);
}

/* The network is told again how many queues there are, and what the driver takes. */
static void test_save_net_queues(void)
{
	unsigned used = 0;

	REQUIRE(open_net(CARD "queues = 4\n", CTRL_BITS | MQ | GUEST_CSUM));
	CHECK_EQ(net_control(8, 4, 0, "\4", 2), 0);
	REQUIRE(move_net());
	for (unsigned q = 0; q < 8; q += 2)
		offer(q, 0, 16, 2048);
	for (unsigned i = 0; i < 16; i++)
		peer_send(BCAST, 0, (uint8_t)i, true);
	for (unsigned q = 0; q < 8; q += 2) {
		uint32_t head;

		while (rig_used(q, &head) > 0) {
			used |= 1u << q;
			CHECK_EQ(rig_peek(BUF(q, head), 1), V3_NET_NEEDS_CSUM);
		}
	}
	CHECK_EQ(used, 0x55);
	v3_net_close(peer);
}

/* Frames sent before and after; buffers that wait for frames. */
static void test_save_net_both_ways(void)
{
	struct v3_net_offload o;
	uint32_t len;

	REQUIRE(open_net(CARD, PACKED));
	offer(RX, 0, 4, 2048);
	peer_send(OWN, 0, 0, false);
	CHECK_EQ(rig_used(RX, NULL), HDR + 64);
	REQUIRE(move_net());
	peer_send(OWN, 0, 0, false);
	CHECK_EQ(rig_used(RX, NULL), HDR + 64);
	CHECK_EQ(v3_mem_set(bench.vm, BUF(TX, 0), 0, HDR), V3_OK);
	CHECK_EQ(v3_mem_set(bench.vm, BUF(TX, 0) + HDR, 0xff, 60), V3_OK);
	rig_desc(TX, 0, BUF(TX, 0), HDR + 60, 0, 0);
	rig_offer(TX, 0);
	rig_kick(TX);
	CHECK_EQ(rig_used(TX, NULL), 0);
	CHECK(v3_net_peek(peer, &o, &len));
	CHECK_EQ(len, 60);
	v3_net_drop(peer);
	v3_net_close(peer);
}

/* ---- images ---- */

static void refuse(const char *path, uint32_t value)
{
	uint8_t *at = save_rig_field(path);
	uint32_t right;

	REQUIRE(at);
	memcpy(&right, at, sizeof(right));
	memcpy(at, &value, sizeof(value));
	CHECK_MSG(save_rig_load() == V3_EINVAL, "%s", path);
	memcpy(at, &right, sizeof(right));
	CHECK_EQ(save_rig_load(), V3_OK);
}

static void test_save_net_refuses(void)
{
	REQUIRE(open_console(TWO_PORTS, 0));
	feed("console", "abcdefghij");
	offer(RX, 0, 1, 4);
	REQUIRE(save_rig_save());
	refuse(".port[0].in.len", 257);
	refuse(".port[0].in.pos", 11);
	fake_vm_destroy(bench.vm);
	REQUIRE(open_net(CARD "queues = 2\n", CTRL_BITS | MQ));
	REQUIRE(save_rig_save());
	refuse(".filter.unicast.n", 33);
	refuse(".filter.multicast.n", ~0u);
	refuse(".nused", 3);
	refuse(".nused", 0);
	v3_net_close(peer);
}

/* Of a state that was refused nothing is left behind. */
static void test_save_net_console_after_refusal(void)
{
	uint8_t *pos;

	REQUIRE(open_console(TWO_PORTS, 0));
	fake_console_feed("console", "abcdefghij");
	fake_service(bench.vm);
	offer(RX, 0, 1, 4);
	REQUIRE(save_rig_save());
	pos = save_rig_field(".port[0].in.pos");
	REQUIRE(pos);
	*pos = 11;
	pos = save_rig_field(".config");
	REQUIRE(pos);
	pos[4] = 99; /* ports */
	CHECK_EQ(save_rig_load(), V3_EINVAL);
	rig_pci(true);
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 4), 2);
	REQUIRE(rig_init(V1));
	fake_console_feed("console", "z");
	fake_service(bench.vm);
	offer(RX, 0, 1, 4);
	CHECK_EQ(rig_used(RX, NULL), 1);
	CHECK_EQ(rig_peek(BUF(RX, 0), 1), 'z');
}

static void test_save_net_hostile(void)
{
	unsigned taken = 0;

	REQUIRE(open_net(CARD "queues = 2\n", CTRL_BITS | MQ));
	v3_log_set_level(bench.vm, V3_LOG_ERR);
	for (unsigned i = 0; i < 100 && !tap.failures; i++) {
		save_rig_power_on();
		rig_pci(true);
		REQUIRE(rig_init(V1 | CTRL_BITS | MQ | (i & 1 ? PACKED : 0)));
		net_control(4, 1, 0, "\1\0\0\0" OTHER "\1\0\0\0" GROUP, 20);
		REQUIRE(save_rig_save());
		save_tamper(rig_saved.image, rig_saved.len, 2 + (unsigned)(tap_rand() % 100));
		taken += save_rig_load() == V3_OK;
		peer_send(OWN, 0, 1, true);
		peer_send(GROUP, 3, 2, false);
		for (unsigned q = 0; q < 5; q++)
			rig_kick(q);
		fake_service(bench.vm);
	}
	CHECK(taken);
	v3_net_close(peer);
}

static void test_save_net_console_hostile(void)
{
	unsigned taken = 0;

	REQUIRE(open_console(TWO_PORTS, MULTIPORT));
	v3_log_set_level(bench.vm, V3_LOG_ERR);
	for (unsigned i = 0; i < 100 && !tap.failures; i++) {
		save_rig_power_on();
		rig_pci(true);
		REQUIRE(rig_init(V1 | MULTIPORT | (i & 1 ? PACKED : 0)));
		control(1, 3, 1);
		control(1, 6, 1);
		fake_console_feed("debug", "some input");
		offer(RX1, 0, 3, 4);
		offer(CTL_RX, 0, 2, 64);
		fake_console_limit("debug", 3);
		send(TX1, "some output", 11);
		REQUIRE(save_rig_save());
		save_tamper(rig_saved.image, rig_saved.len, 2 + (unsigned)(tap_rand() % 100));
		taken += save_rig_load() == V3_OK;
		for (unsigned q = 0; q < 6; q++)
			rig_kick(q);
		bench_run(3 * BENCH_MS);
	}
	CHECK(taken);
}

static const struct tap_test tests[] = {
	TAP(test_save_net_console_half_sent),
	TAP(test_save_net_console_half_received),
	TAP(test_save_net_console_control),
	TAP(test_save_net_filters),
	TAP(test_save_net_filter_overflow),
	TAP(test_save_net_polled),
	TAP(test_save_net_link),
	TAP(test_save_net_queues),
	TAP(test_save_net_both_ways),
	TAP(test_save_net_refuses),
	TAP(test_save_net_console_after_refusal),
	TAP(test_save_net_hostile),
	TAP(test_save_net_console_hostile),
};
TAP_MAIN(tests)
