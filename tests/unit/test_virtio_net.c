/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_virtio_net.c
 * The virtio network device against a port of the test's own on the same network: frames both ways, mergeable
 * buffers, offloads, and drivers that are wrong.
 */
#include "devices/virtio/net.h"
#include "palacios/net.h"
#include "virtio_net_rig.h"

#define V1   VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define CSUM VIRTIO_BIT(0)
#define TSO4 VIRTIO_BIT(11)
#define MRG  VIRTIO_BIT(15)
#define RX   0
#define TX   1
#define HDR  12

#define BUF(i) (RIG_DATA + 0x100000 + 0x10000 * (i))

static void *card;
static struct v3_net_port *peer;
static void (*peer_hook)(void); /* when a frame has come; NULL: nothing */

static void peer_ready(void *arg)
{
	(void)arg;
	if (peer_hook)
		peer_hook();
}

/* The port is closed by close_net(); the device by the rig. */
static bool open_net(const char *keys, uint64_t features)
{
	peer = NULL;
	return rig_open(&v3_device_virtio_net, keys, features, &card) &&
	       CHECK_EQ(v3_net_open(bench.vm, "lan", peer_ready, NULL, &peer), V3_OK);
}

/* Of the card's first pair of queues. */
static struct v3_net_port *card_port(void)
{
	return ((struct vnet *)card)->pair[0]->port;
}

static void close_net(void)
{
	v3_net_close(peer);
}

static int peer_send(uint32_t len, const struct v3_net_offload *offload)
{
	static const struct v3_net_offload plain;
	static uint8_t frame[V3_NET_FRAME_MAX];
	struct v3_net_piece piece = {frame, len};
	int err;

	for (uint32_t i = 0; i < len; i++)
		frame[i] = i < 12 ? 0xff : (uint8_t)(i * 7);
	frame[6] = 2;
	err = v3_net_send(peer, offload ? offload : &plain, &piece, 1);
	fake_service(bench.vm);
	return err;
}

/* Offer receive buffers @p first .. @p first + @p n - 1 of @p len bytes each. */
static void offer_rx(unsigned first, unsigned n, uint32_t len)
{
	for (unsigned i = first; i < first + n; i++) {
		rig_desc(RX, i, BUF(i), len, RIG_WRITE, 0);
		rig_offer(RX, (uint16_t)i);
	}
	rig_kick(RX);
	fake_service(bench.vm);
}

static void test_virtio_net_configuration(void)
{
	REQUIRE(open_net("mac = \"02:0a:bC:Ff:00:01\"\n", 0));
	CHECK_EQ(cfg_read(RIG_SLOT, 0, 4), 0x10411af4);
	CHECK_EQ(cfg_read(RIG_SLOT, 0x08, 4) >> 8, 0x020000);
	CHECK_EQ(rig_read(RIG_CONFIG, 4), 0xffbc0a02);
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 2), 0x0100);
	CHECK_EQ(rig_read(RIG_CONFIG + 6, 2), 1); /* link up */
	CHECK_EQ(rig_read(RIG_CONFIG + 8, 2), 1);
	CHECK_EQ(rig_read(RIG_NUMQ, 2), 3);
	CHECK_EQ(rig_offered() & 0xffffff, 0x9fbba3); /* no MQ with one pair */
	close_net();
}

static void test_virtio_net_mac(void)
{
	static const char *const bad[] = {"",
					  "02:00:00:00:00",
					  "02:00:00:00:00:0",
					  "02-00-00-00-00-01",
					  "03:00:00:00:00:01",
					  "02:00:00:00:00:0g",
					  "2:0:0:0:0:1"};
	char text[64];
	void *dev;

	REQUIRE(open_net("", 0));
	CHECK_EQ(rig_read(RIG_CONFIG, 1), 2);
	CHECK_EQ(rig_read(RIG_CONFIG + 5, 1), RIG_SLOT);
	close_net();
	for (unsigned i = 0; i < V3_ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "mac = \"%s\"\n", bad[i]);
		bench.vm->ndevices++;
		CHECK_EQ(fake_device_create(bench.vm, &v3_device_virtio_net, text, &dev),
			 V3_EINVAL);
		bench.vm->ndevices--;
	}
	CHECK(fake_log_contains("mac: expected a card's address"));
}

/* An embedder renames the second VM of a definition: its card must not have the address of the first one's. */
static void test_virtio_net_mac_follows_the_name(void)
{
	static const char *const given[] = {"", "mac = \"02:00:00:00:00:01\"\n"};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(given); i++) {
		uint8_t first[V3_NET_MAC_LEN], *mac;
		struct v3_vm *vm = NULL;
		struct vnet *vnet;
		char toml[640];

		snprintf(toml, sizeof(toml), "%s[[device]]\nclass = \"virtio_net\"\n%s",
			 fake_pc_toml(1, 16), given[i]);
		REQUIRE_EQ(fake_vm_create(toml, NULL, 0, &vm), V3_OK);
		vnet = v3_device_find(vm, &v3_device_virtio_net);
		REQUIRE(vnet);
		mac = vnet->dev->config;
		memcpy(first, mac, sizeof(first));
		v3_vm_set_name(vm, "pc-2");
		CHECK_EQ(!memcmp(mac, first, sizeof(first)), i == 1);
		CHECK_EQ(mac[0], 2);
		CHECK(mac[5] == first[5]);
		fake_vm_destroy(vm);
	}
}

/* Header and frame at RIG_DATA; @return bytes of the frame that the peer got, 0: none */
static uint32_t transmit(uint32_t len, uint8_t flags, uint8_t gso, struct v3_net_offload *offload)
{
	uint32_t got = 0;

	rig_poke(RIG_DATA, flags | gso << 8 | 54ull << 16 | 1448ull << 32 | 34ull << 48, 8);
	rig_poke(RIG_DATA + 8, 16, 4);
	CHECK_EQ(v3_mem_set(bench.vm, RIG_DATA + HDR, 0xff, 12), V3_OK);
	rig_desc(TX, 0, RIG_DATA, HDR, RIG_NEXT, 1);
	rig_desc(TX, 1, RIG_DATA + HDR, len, 0, 0);
	rig_offer(TX, 0);
	rig_kick(TX);
	CHECK_EQ(rig_used(TX, NULL), 0);
	if (v3_net_peek(peer, offload, &got))
		v3_net_drop(peer);
	return got;
}

static void test_virtio_net_transmits(void)
{
	struct v3_net_offload o;

	REQUIRE(open_net("", CSUM | TSO4));
	CHECK_EQ(transmit(60, 0, 0, &o), 60);
	CHECK_EQ(pci_bench_vector(), 0x52);
	CHECK_EQ(transmit(1514, 0, 0, &o), 1514);
	CHECK_EQ(transmit(13, 0, 0, &o), 0);  /* no frame */
	CHECK_EQ(transmit(60, 2, 0, &o), 60); /* DATA_VALID says nothing when sent */
	v3_net_set_takes(peer, ~0u);
	CHECK_EQ(transmit(30000, 1, 1, &o), 30000);
	CHECK_EQ(o.flags, 1);
	CHECK_EQ(o.gso_type, 1);
	CHECK_EQ(o.hdr_len, 54);
	CHECK_EQ(o.gso_size, 1448);
	CHECK_EQ(o.csum_start, 34);
	CHECK_EQ(o.csum_offset, 16);
	CHECK_EQ(transmit(3000, 1, 4, &o), 0);	  /* TCP over IPv6 was not negotiated */
	CHECK_EQ(transmit(3000, 1, 0x81, &o), 0); /* nor ECN */
	CHECK_EQ(transmit(3000, 1, 7, &o), 0);
	CHECK_EQ(transmit(40, 1, 0, &o), 0); /* checksum field past the end */
	CHECK_EQ(rig_status(), 0x0f);
	close_net();
}

static void test_virtio_net_offloads_need_negotiation(void)
{
	struct v3_net_offload o;

	REQUIRE(open_net("", 0));
	v3_net_set_takes(peer, ~0u);
	CHECK_EQ(transmit(1000, 1, 0, &o), 0);
	CHECK_EQ(transmit(3000, 1, 1, &o), 0);
	CHECK(fake_log_contains("slot 5: a malformed frame, dropped"));
	close_net();
}

static void test_virtio_net_transmit_layouts(void)
{
	struct v3_net_offload o;
	uint32_t len;

	REQUIRE(open_net("", 0));
	v3_mem_set(bench.vm, RIG_DATA, 0, 200);
	v3_mem_set(bench.vm, RIG_DATA + HDR, 0xff, 6);
	rig_desc(TX, 0, RIG_DATA, 5, RIG_NEXT, 1);
	rig_desc(TX, 1, RIG_DATA + 5, 10, RIG_NEXT, 2); /* end of the header, start of the frame */
	rig_desc(TX, 2, RIG_DATA + 15, 57, 0, 0);
	rig_offer(TX, 0);
	rig_kick(TX);
	CHECK(v3_net_peek(peer, &o, &len));
	CHECK_EQ(len, 60);
	v3_net_drop(peer);
	rig_desc(TX, 3, RIG_DATA, 11, 0, 0); /* less than a header */
	rig_offer(TX, 3);
	rig_desc(TX, 4, RIG_DATA, 100, RIG_WRITE, 0); /* nothing to read */
	rig_offer(TX, 4);
	rig_kick(TX);
	CHECK(!v3_net_peek(peer, &o, &len));
	CHECK_EQ(rig_used(TX, NULL), 0);
	CHECK_EQ(rig_used(TX, NULL), 0);
	CHECK_EQ(rig_used(TX, NULL), 0);
	CHECK_EQ(rig_status(), 0x0f);
	close_net();
}

static void test_virtio_net_receives(void)
{
	uint8_t frame[60];

	REQUIRE(open_net("", 0));
	offer_rx(0, 2, 2048);
	CHECK_EQ(rig_used(RX, NULL), -1);
	CHECK_EQ(peer_send(60, NULL), V3_OK);
	CHECK_EQ(pci_bench_vector(), 0x51);
	CHECK_EQ(rig_used(RX, NULL), HDR + 60);
	CHECK_EQ(rig_peek(BUF(0), 8), 0);
	CHECK_EQ(rig_peek(BUF(0) + 8, 4), 0x10000); /* one buffer */
	CHECK_EQ(v3_mem_read(bench.vm, BUF(0) + HDR, frame, 60), V3_OK);
	CHECK_EQ(frame[59], (uint8_t)(59 * 7));
	CHECK_EQ(peer_send(2048, NULL), V3_OK); /* does not fit a buffer, and may not be spread */
	CHECK_EQ(rig_used(RX, NULL), -1);
	CHECK_EQ(peer_send(2036, NULL), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), 2048);
	CHECK_EQ(rig_status(), 0x0f);
	close_net();
}

/* Frames wait for buffers, in order, and the driver is asked to tell when there are some. */
static void test_virtio_net_waits_for_buffers(void)
{
	REQUIRE(open_net("", VIRTIO_BIT(VIRTIO_F_EVENT_IDX)));
	CHECK_EQ(peer_send(60, NULL), V3_OK);
	CHECK_EQ(peer_send(61, NULL), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), -1);
	CHECK_EQ(rig_peek(RIG_USED(RX) + 4 + 8 * RIG_QSIZE, 2), 0);
	offer_rx(0, 1, 2048);
	CHECK_EQ(rig_used(RX, NULL), HDR + 60);
	CHECK_EQ(rig_peek(RIG_USED(RX) + 4 + 8 * RIG_QSIZE, 2), 1);
	CHECK_EQ(rig_used(RX, NULL), -1);
	offer_rx(1, 1, 2048);
	CHECK_EQ(rig_used(RX, NULL), HDR + 61);
	close_net();
}

static void test_virtio_net_merges_buffers(void)
{
	uint8_t data[1000];
	uint32_t total = 0;

	REQUIRE(open_net("", MRG));
	offer_rx(0, 3, 500);
	CHECK_EQ(peer_send(1600, NULL), V3_OK); /* needs four */
	CHECK_EQ(rig_used(RX, NULL), -1);
	offer_rx(3, 3, 500);
	CHECK_EQ(rig_peek(BUF(0) + 10, 2), 4);
	for (unsigned i = 0; i < 4; i++) {
		uint32_t head = 99;
		long n = rig_used(RX, &head);

		CHECK_EQ(head, i);
		CHECK_EQ(n, i < 3 ? 500 : HDR + 1600 - 1500);
		CHECK_EQ(v3_mem_read(bench.vm, BUF(i), data, (size_t)n), V3_OK);
		for (long k = i ? 0 : HDR + 12; k < n; k++)
			CHECK_EQ(data[k], (uint8_t)((total + k - HDR) * 7));
		total += (uint32_t)n;
	}
	CHECK_EQ(rig_used(RX, NULL), -1);
	CHECK_EQ(peer_send(60, NULL), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), HDR + 60);
	CHECK_EQ(rig_peek(BUF(4) + 10, 2), 1);
	/* more than the whole queue can hold: dropped */
	offer_rx(6, 10, 500);
	offer_rx(0, 5, 500);
	CHECK_EQ(peer_send(9000, NULL), V3_OK);
	CHECK_EQ(peer_send(62, NULL), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), HDR + 62);
	close_net();
}

static void test_virtio_net_passes_offloads(void)
{
	static const struct v3_net_offload tso = {.flags = 1,
						  .gso_type = 1,
						  .gso_size = 1448,
						  .hdr_len = 54,
						  .csum_start = 34,
						  .csum_offset = 16};

	REQUIRE(open_net("", VIRTIO_BIT(1) | VIRTIO_BIT(7)));
	offer_rx(0, 4, 0x8000);
	CHECK_EQ(peer_send(20000, &tso), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), HDR + 20000);
	CHECK_EQ(rig_peek(BUF(0), 8), 0x002205a800360101ull);
	REQUIRE(rig_init(V1 | VIRTIO_BIT(1))); /* without GUEST_TSO4 */
	offer_rx(0, 4, 0x8000);
	CHECK_EQ(peer_send(20000, &tso), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), -1);
	CHECK_EQ(peer_send(100, NULL), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), HDR + 100);
	close_net();
}

/* What came before the driver was ready is not for it. */
/* Frames that it does not want, or cannot receive, take no buffers: one run ends soon, however many there are. */
static void test_virtio_net_many_unwanted(void)
{
	static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
	static const struct v3_net_offload plain;
	const struct v3_net_piece piece = {frame, sizeof(frame)};
	struct v3_net_offload o;
	uint32_t len;

	REQUIRE(open_net("", 0));
	offer_rx(0, 1, HDR + 59); /* too short for all of them */
	for (unsigned i = 0; i < 1000; i++)
		CHECK_EQ(v3_net_send(peer, &plain, &piece, 1), V3_OK);
	rig_kick(RX);
	for (unsigned i = 0; i < 7; i++) {
		CHECK(v3_net_peek(card_port(), &o, &len));
		fake_service(bench.vm);
	}
	CHECK(!v3_net_peek(card_port(), &o, &len));
	CHECK_EQ(rig_used(RX, NULL), -1);
	CHECK_EQ(rig_status(), 0x0f);
	close_net();
}

static void test_virtio_net_reset_forgets(void)
{
	REQUIRE(open_net("", 0));
	CHECK_EQ(peer_send(60, NULL), V3_OK);
	rig_write(RIG_STATUS, 1, 0);
	CHECK_EQ(peer_send(61, NULL), V3_OK);
	REQUIRE(rig_init(V1));
	offer_rx(0, 2, 2048);
	CHECK_EQ(rig_used(RX, NULL), -1);
	CHECK_EQ(peer_send(62, NULL), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), HDR + 62);
	close_net();
}

static void test_virtio_net_bad_buffers(void)
{
	REQUIRE(open_net("", MRG));
	rig_desc(RX, 0, BUF(0), 11, RIG_WRITE, 0); /* shorter than the header */
	rig_desc(RX, 1, BUF(1), 500, RIG_WRITE, 0);
	rig_offer(RX, 0);
	rig_offer(RX, 1);
	CHECK_EQ(peer_send(60, NULL), V3_OK);
	CHECK_EQ(rig_status(), 0x4f);
	REQUIRE(rig_init(V1));
	rig_desc(RX, 0, BUF(0), 2048, 0, 0); /* readable: of no use */
	rig_offer(RX, 0);
	CHECK_EQ(peer_send(60, NULL), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), -1);
	REQUIRE(rig_init(V1));
	rig_desc(RX, 0, 0xffff00, 2048, RIG_WRITE, 0); /* reaches past RAM */
	rig_offer(RX, 0);
	CHECK_EQ(peer_send(1000, NULL), V3_OK);
	CHECK_EQ(rig_status(), 0x4f);
	REQUIRE(rig_init(V1));
	offer_rx(0, 1, 2048);
	CHECK_EQ(peer_send(60, NULL), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), HDR + 60);
	close_net();
}

/* Two guests' cards on one network. */
static void test_virtio_net_two_cards(void)
{
	struct v3_vm *a = NULL, *b = NULL;
	char toml[512];

	memset(&bench, 0, sizeof(bench));
	snprintf(toml, sizeof(toml), "%s[[device]]\nclass = \"virtio_net\"\nslot = %d\n",
		 fake_pc_toml(1, 16), RIG_SLOT);
	REQUIRE_EQ(fake_vm_create(toml, NULL, 0, &a), V3_OK);
	REQUIRE_EQ(fake_vm_create(toml, NULL, 0, &b), V3_OK);
	bench.vm = b;
	rig_pci(false);
	REQUIRE(rig_init(V1));
	offer_rx(0, 2, 2048);
	bench.vm = a;
	rig_pci(false);
	REQUIRE(rig_init(V1));
	v3_mem_set(bench.vm, RIG_DATA, 0, 12);
	v3_mem_set(bench.vm, RIG_DATA + 12, 0xff, 100);
	rig_desc(TX, 0, RIG_DATA, HDR + 100, 0, 0);
	rig_offer(TX, 0);
	rig_kick(TX);
	CHECK_EQ(rig_used(TX, NULL), 0);
	fake_vm_destroy(a);
	bench.vm = b;
	fake_service(b);
	rig_q[RX].used = 0;
	CHECK_EQ(rig_used(RX, NULL), HDR + 100);
}

/* ---- control queue ---- */

static int control_byte(uint8_t class, uint8_t command, uint8_t value)
{
	return net_control(CTRL, class, command, &value, 1);
}

/* Is a frame to this address received, with this VLAN tag (0: none)? */
static bool arrives(const char *to, unsigned vlan)
{
	static const struct v3_net_offload plain;
	uint8_t frame[64] = {0};
	struct v3_net_piece piece = {frame, sizeof(frame)};

	memcpy(frame, to, 6);
	frame[6] = 2;
	if (vlan) {
		frame[12] = 0x81;
		frame[14] = (uint8_t)(0xe0 | vlan >> 8); /* priority does not count */
		frame[15] = (uint8_t)vlan;
	}
	offer_rx(0, 1, 2048);
	CHECK_EQ(v3_net_send(peer, &plain, &piece, 1), V3_OK);
	fake_service(bench.vm);
	if (rig_used(RX, NULL) > 0)
		return true;
	CHECK_EQ(peer_send(60, NULL), V3_OK); /* a broadcast uses the buffer up */
	CHECK_EQ(rig_used(RX, NULL), HDR + 60);
	return false;
}

#define OWN   "\x02\x00\x00\x00\x00\x01"
#define OTHER "\x02\x00\x00\x00\x00\x02"
#define GROUP "\x01\x00\x5e\x00\x00\x01"
#define ALL   "\xff\xff\xff\xff\xff\xff"

static void test_virtio_net_receive_modes(void)
{
	REQUIRE(open_net("mac = \"02:00:00:00:00:01\"\n", CTRL_BITS));
	CHECK(arrives(OTHER, 0)); /* promiscuous until the driver says otherwise */
	CHECK_EQ(control_byte(0, 0, 0), 0);
	CHECK(!arrives(OTHER, 0));
	CHECK(!arrives(GROUP, 0));
	CHECK(arrives(OWN, 0));
	CHECK(arrives(ALL, 0));
	CHECK_EQ(control_byte(0, 1, 1), 0); /* all multicast */
	CHECK(arrives(GROUP, 0));
	CHECK_EQ(control_byte(0, 3, 1), 0); /* none */
	CHECK(!arrives(GROUP, 0));
	CHECK_EQ(control_byte(0, 2, 1), 0); /* all unicast */
	CHECK(arrives(OTHER, 0));
	CHECK_EQ(control_byte(0, 4, 1), 0); /* none */
	CHECK(!arrives(OWN, 0));
	CHECK_EQ(control_byte(0, 6, 1), 1); /* no such command */
	CHECK_EQ(net_control(CTRL, 0, 0, NULL, 0), 1);
	CHECK_EQ(control_byte(9, 0, 1), 1); /* no such class */
	REQUIRE(rig_init(V1 | CTRL_BITS));
	CHECK(arrives(OTHER, 0));
	close_net();
}

static void test_virtio_net_address_tables(void)
{
	static const uint8_t tables[] = "\1\0\0\0" OTHER "\1\0\0\0" GROUP;
	uint8_t many[4 + 40 * 6 + 4] = {40};

	REQUIRE(open_net("mac = \"02:00:00:00:00:01\"\n", CTRL_BITS));
	CHECK_EQ(control_byte(0, 0, 0), 0);
	CHECK_EQ(net_control(CTRL, 1, 0, tables, sizeof(tables) - 1), 0);
	CHECK(arrives(OTHER, 0));
	CHECK(arrives(GROUP, 0));
	CHECK(!arrives("\x02\0\0\0\0\x03", 0));
	CHECK_EQ(net_control(CTRL, 1, 0, tables, sizeof(tables) - 2),
		 1); /* cut short: nothing changes */
	CHECK(arrives(OTHER, 0));
	CHECK_EQ(net_control(CTRL, 1, 0, "\xff\xff\xff\xff", 4), 1);
	CHECK_EQ(net_control(CTRL, 1, 0, many, sizeof(many)),
		 0); /* too many to remember: all of the kind */
	CHECK(arrives(OTHER, 0));
	CHECK(!arrives(GROUP, 0));
	CHECK_EQ(net_control(CTRL, 1, 0, "\0\0\0\0\0\0\0", 8), 0);
	CHECK(!arrives(OTHER, 0));
	CHECK_EQ(net_control(CTRL, 1, 1, OTHER, 6), 0); /* the card's own */
	CHECK(arrives(OTHER, 0));
	CHECK(!arrives(OWN, 0));
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 2), 0x0200);
	CHECK_EQ(net_control(CTRL, 1, 1, GROUP, 6), 1);
	CHECK_EQ(net_control(CTRL, 1, 2, OTHER, 6), 1);
	rig_write(RIG_STATUS, 1, 0);
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 2), 0x0100); /* a reset gives it its own back */
	close_net();
}

/* Addresses that are not remembered are not looked at, so no table takes long, be it of 4 GiB. */
static void test_virtio_net_long_table(void)
{
	const uint32_t extra = 0x20000000;

	REQUIRE(open_net("mac = \"02:00:00:00:00:01\"\n", CTRL_BITS));
	CHECK_EQ(control_byte(0, 0, 0), 0);
	CHECK_EQ(v3_mem_set(bench.vm, CMD, 0, 0x1000), V3_OK);
	rig_poke(CMD, 1, 2);
	rig_poke(CMD + 2, 32 + extra, 4);
	rig_desc(CTRL, 0, CMD, 2 + 4 + 32 * 6, RIG_NEXT, 1);
	rig_desc(CTRL, 1, 1ull << 40, extra * 6, RIG_NEXT, 2); /* no RAM */
	rig_desc(CTRL, 2, CMD + 0x800, 4, RIG_NEXT, 3);
	rig_desc(CTRL, 3, CMD + 0x1000, 1, RIG_WRITE, 0);
	rig_poke(CMD + 0x1000, 0xee, 1);
	rig_offer(CTRL, 0);
	rig_kick(CTRL);
	CHECK_EQ(rig_used(CTRL, NULL), 1);
	CHECK_EQ(rig_peek(CMD + 0x1000, 1), 0);
	CHECK(arrives(OTHER, 0)); /* all of the kind */
	CHECK(!arrives(GROUP, 0));
	CHECK_EQ(rig_status(), 0x0f);
	close_net();
}

static void test_virtio_net_vlans(void)
{
	REQUIRE(open_net("", CTRL_BITS));
	CHECK(!arrives(ALL, 5)); /* the driver will say which */
	CHECK(arrives(ALL, 0));
	CHECK_EQ(net_control(CTRL, 2, 0, "\5", 2), 0);
	CHECK(arrives(ALL, 5));
	CHECK(!arrives(ALL, 0x105));
	CHECK_EQ(net_control(CTRL, 2, 0, "\xff\x0f", 2), 0);
	CHECK(arrives(ALL, 4095));
	CHECK_EQ(net_control(CTRL, 2, 1, "\5", 2), 0);
	CHECK(!arrives(ALL, 5));
	CHECK_EQ(net_control(CTRL, 2, 0, "\0\x10", 2), 1); /* 4096 */
	CHECK_EQ(net_control(CTRL, 2, 2, "\5", 2), 1);
	REQUIRE(rig_init(V1)); /* without the feature all are received */
	CHECK(arrives(ALL, 5));
	close_net();
}

static void test_virtio_net_control_needs_negotiation(void)
{
	REQUIRE(open_net("queues = 2\n", 0));
	CHECK_EQ(net_control(CTRL, 0, 0, "", 1), -1); /* no control queue at all */
	REQUIRE(rig_init(V1 | VIRTIO_BIT(17)));
	CHECK_EQ(net_control(CTRL, 0, 0, "", 1), 1);
	CHECK_EQ(net_control(CTRL, 0, 2, "", 1), 1);
	CHECK_EQ(net_control(CTRL, 1, 0, "\0\0\0\0\0\0\0", 8), 1);
	CHECK_EQ(net_control(CTRL, 1, 1, OTHER, 6), 1);
	CHECK_EQ(net_control(CTRL, 2, 0, "\5", 2), 1);
	CHECK_EQ(net_control(CTRL, 4, 0, "\2", 2), 1);
	CHECK_EQ(net_control(4, 0, 0, "", 1), -1); /* its place with several pairs */
	rig_offer(3, 0);
	rig_kick(3); /* a queue that means nothing now */
	CHECK_EQ(rig_status(), 0x0f);
	close_net();
}

/* A UDP frame of the flow @p port, from the peer or (@p q not 0) by that transmit queue. */
static void flow_frame(unsigned q, uint8_t port)
{
	static const struct v3_net_offload plain;
	uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 0, 0x45};
	struct v3_net_piece piece = {frame, sizeof(frame)};
	struct v3_net_offload o;
	uint32_t len;

	frame[11] = q ? 8 : 9;
	frame[23] = 17;
	frame[29] = q ? 1 : 2; /* addresses and ports are exchanged in the other direction */
	frame[33] = q ? 2 : 1;
	frame[35] = q ? port : 200;
	frame[37] = q ? 200 : port;
	if (!q) {
		CHECK_EQ(v3_net_send(peer, &plain, &piece, 1), V3_OK);
		fake_service(bench.vm);
		return;
	}
	v3_mem_set(bench.vm, RIG_DATA, 0, HDR);
	CHECK_EQ(v3_mem_write(bench.vm, RIG_DATA + HDR, frame, sizeof(frame)), V3_OK);
	rig_desc(q, 0, RIG_DATA, HDR + sizeof(frame), 0, 0);
	rig_offer(q, 0);
	rig_kick(q);
	CHECK_EQ(rig_used(q, NULL), 0);
	CHECK(v3_net_peek(peer, &o, &len));
	v3_net_drop(peer);
}

static void offer_rx_all(void)
{
	for (unsigned q = 0; q < 8; q += 2) {
		for (uint16_t i = 0; i < RIG_QSIZE; i++) {
			rig_desc(q, i, BUF(i), 2048, RIG_WRITE, 0);
			rig_offer(q, i);
		}
		rig_kick(q);
	}
}

static void test_virtio_net_queues(void)
{
	unsigned count[4] = {0};

	REQUIRE(open_net("queues = 4\n", CTRL_BITS | MQ));
	CHECK_EQ(rig_read(RIG_NUMQ, 2), 9);
	CHECK_EQ(rig_read(RIG_CONFIG + 8, 2), 4);
	offer_rx_all();
	for (uint8_t port = 1; port <= 5; port++) /* one pair until the driver says otherwise */
		flow_frame(0, port);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(rig_used(0, NULL), HDR + 60);
	CHECK_EQ(net_control(8, 4, 0, "\0", 2), 1);
	CHECK_EQ(net_control(8, 4, 0, "\5", 2), 1);
	CHECK_EQ(net_control(8, 4, 1, "\4", 2), 1);
	CHECK_EQ(net_control(8, 4, 0, "\4", 2), 0);
	for (uint8_t port = 1; port <= 40; port++)
		flow_frame(0, port);
	for (unsigned q = 0; q < 4; q++) {
		sent.n = 0;
		while (rig_used(2 * q, NULL) > 0)
			count[q]++;
		CHECK_MSG(count[q] >= 3, "queue %u: %u frames", q, count[q]);
	}
	CHECK_EQ(count[0] + count[1] + count[2] + count[3], 40);
	/* where a flow's frames are sent, its answers arrive, with that queue's vector */
	REQUIRE(rig_init(V1 | CTRL_BITS | MQ));
	CHECK_EQ(net_control(8, 4, 0, "\4", 2), 0);
	offer_rx_all();
	for (unsigned q = 0; q < 4; q++) {
		flow_frame(2 * q + 1, 77);
		sent.n = 0;
		flow_frame(0, 77);
		CHECK_EQ(rig_used(2 * q, NULL), HDR + 60);
		CHECK_EQ(pci_bench_vector(), (int)(0x51 + 2 * q));
	}
	CHECK_EQ(net_control(8, 4, 0, "\2", 2),
		 0); /* fewer: no flow goes to those that are not in use */
	for (uint8_t port = 70; port <= 79; port++)
		flow_frame(0, port);
	CHECK_EQ(rig_used(4, NULL), -1);
	CHECK_EQ(rig_used(6, NULL), -1);
	close_net();
}

/* The same over packed rings, with buffers that are given back and taken again. */
static void test_virtio_net_packed(void)
{
	rig_extra = VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	test_virtio_net_transmits();
	test_virtio_net_receives();
	test_virtio_net_passes_offloads();
	test_virtio_net_reset_forgets();
	test_virtio_net_queues();
	rig_extra = 0;
}

static void test_virtio_net_packed_merges_buffers(void)
{
	rig_extra = VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	test_virtio_net_merges_buffers();
	test_virtio_net_bad_buffers();
	rig_extra = 0;
}

/* A legacy driver's header is shorter as long as it does not merge buffers, and it writes the card's address. */
static void test_virtio_net_legacy(void)
{
	const uint32_t used = (0x1000 + 6 + 2 * 256 + 0xfff) & ~0xfffu;
	void *dev;

	REQUIRE(pci_bench_open());
	bench.vm->ndevices++;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_virtio_net,
				    "slot = 5\ntransitional = true\nmac = \"02:00:00:00:00:01\"\n",
				    &dev),
		 V3_OK);
	bench.vm->ndevices--;
	REQUIRE_EQ(v3_net_open(bench.vm, "lan", peer_ready, NULL, &peer), V3_OK);
	CHECK_EQ(cfg_read(RIG_SLOT, 0, 4), 0x10001af4);
	cfg_write(RIG_SLOT, 0x10, 4, 0xc000);
	cfg_write(RIG_SLOT, 0x04, 2, 5);
	fake_out(bench.vm, 0xc012, 1, 3);
	fake_out(bench.vm, 0xc008, 4, RIG_RINGS >> 12);
	fake_out(bench.vm, 0xc012, 1, 7);
	rig_packed = false;
	rig_desc(RX, 0, BUF(0), 2048, RIG_WRITE, 0);
	rig_poke(RIG_RINGS + 0x1002, 1, 2);
	fake_out(bench.vm, 0xc010, 2, 0);
	CHECK_EQ(peer_send(60, NULL), V3_OK);
	CHECK_EQ(rig_peek(RIG_RINGS + used + 8, 4), 10 + 60);
	CHECK_EQ(rig_peek(BUF(0) + 10, 4), 0xffffffff); /* the frame begins */
	CHECK_EQ(fake_in(bench.vm, 0xc014, 4), 2);
	fake_out(bench.vm, 0xc019, 1, 9);
	CHECK_EQ(fake_in(bench.vm, 0xc018, 2), 0x0900);
	fake_out(bench.vm, 0xc01a, 1, 0); /* the link's state is not the driver's */
	CHECK_EQ(fake_in(bench.vm, 0xc01a, 1), 1);
	close_net();
}

/* On a cable the link is what the other end says; the driver is told by an interrupt. */
/*
 * A driver that posts its buffers before it says DRIVER_OK, and need not notify afterwards: frames that came in between were
 * not looked at, and those behind them do not say that they are there.
 */
static void test_virtio_net_frames_before_driver(void)
{
	REQUIRE(open_net("", 0));
	rig_write(RIG_STATUS, 1, 0);
	rig_write(RIG_STATUS, 1, 0x03);
	rig_accept(V1);
	rig_write(RIG_STATUS, 1, 0x0b);
	rig_queue(RX);
	offer_rx(0, 3, 2048);
	peer_send(60, NULL);
	CHECK_EQ(rig_used(RX, NULL), -1);
	rig_write(RIG_STATUS, 1, 0x0f);
	fake_service(bench.vm);
	CHECK_EQ(rig_used(RX, NULL), HDR + 60);
	peer_send(61, NULL);
	CHECK_EQ(rig_used(RX, NULL), HDR + 61);
	close_net();
}

static void test_virtio_net_link(void)
{
	struct v3_net_port *third;

	REQUIRE(open_net("", 0));
	rig_write(RIG_CFGVEC, 2, 0);
	offer_rx(0, 2, 2048);
	CHECK_EQ(rig_read(RIG_CONFIG + 6, 2), 1);
	v3_net_set_link(peer, false);
	fake_service(bench.vm);
	CHECK_EQ(rig_read(RIG_CONFIG + 6, 2), 0);
	CHECK_EQ(pci_bench_vector(), 0x50);
	fake_service(bench.vm);
	CHECK_EQ(pci_bench_vector(), -1); /* once */
	REQUIRE_EQ(v3_net_open(bench.vm, "lan", peer_ready, NULL, &third), V3_OK);
	fake_service(bench.vm);
	CHECK_EQ(rig_read(RIG_CONFIG + 6, 2), 1); /* a switch now */
	CHECK_EQ(pci_bench_vector(), 0x50);
	v3_net_close(third);
	fake_service(bench.vm);
	CHECK_EQ(rig_read(RIG_CONFIG + 6, 2), 0);
	v3_net_set_link(peer, true);
	fake_service(bench.vm);
	CHECK_EQ(rig_read(RIG_CONFIG + 6, 2), 1);
	CHECK_EQ(peer_send(60, NULL), V3_OK);
	CHECK_EQ(rig_used(RX, NULL), HDR + 60);
	close_net();
}

/* What changes before there is a driver it learns when it begins. */
static void test_virtio_net_link_before_driver(void)
{
	REQUIRE(open_net("", 0));
	rig_write(RIG_STATUS, 1, 0);
	v3_net_set_link(peer, false);
	fake_service(bench.vm);
	REQUIRE(rig_init(V1));
	offer_rx(0, 1, 2048);
	CHECK_EQ(rig_read(RIG_CONFIG + 6, 2), 0);
	close_net();
}

/* ---- polled ---- */

#define EVENT_IDX VIRTIO_BIT(VIRTIO_F_EVENT_IDX)

/* A frame of @p len bytes in descriptor @p i, without notification. */
static void offer_tx(unsigned i, uint32_t len)
{
	v3_mem_set(bench.vm, BUF(i), 0, HDR);
	v3_mem_set(bench.vm, BUF(i) + HDR, 0xff, len);
	rig_desc(TX, i, BUF(i), HDR + len, 0, 0);
	rig_offer(TX, (uint16_t)i);
}

/* Does the driver have to notify of the next frame? Split rings: by flag or by event. */
static bool must_notify(uint64_t features)
{
	if (features & EVENT_IDX)
		return rig_peek(RIG_USED(TX) + 4 + 8 * RIG_QSIZE, 2) == rig_q[TX].avail;
	return !(rig_peek(RIG_USED(TX), 2) & 1);
}

static uint32_t peer_gets(void)
{
	struct v3_net_offload o;
	uint32_t len = 0;

	if (v3_net_peek(peer, &o, &len))
		v3_net_drop(peer);
	return len;
}

/* The network polls: frames leave the guest without an exit, and it is asked to notify again when that ends. */
static void check_polled(uint64_t features)
{
	REQUIRE(open_net("", features));
	bench.vm->state = V3_VM_RUNNING;
	offer_tx(0, 60);
	rig_kick(TX);
	CHECK_EQ(peer_gets(), 60);
	CHECK(must_notify(features));
	CHECK_EQ(v3_net_poll(peer), 0); /* nothing there, but from now on we look */
	if (!(features & EVENT_IDX))
		CHECK(!must_notify(features));
	for (unsigned i = 1; i < 5; i++) {
		offer_tx(i, 60 + i);
		CHECK(!must_notify(features));
		CHECK_EQ(v3_net_poll(peer), 1);
		CHECK_EQ(peer_gets(), 60 + i);
		CHECK_EQ(rig_used(TX, NULL), 0);
	}
	CHECK_EQ(v3_net_poll(peer), 0);
	offer_tx(5, 70); /* comes just when it ends */
	v3_net_poll_end(peer);
	fake_service(bench.vm);
	CHECK_EQ(peer_gets(), 70);
	CHECK(must_notify(features));
	CHECK_EQ(rig_status(), 0x0f);
	close_net();
}

static void test_virtio_net_is_polled(void)
{
	check_polled(0);
}

static void test_virtio_net_is_polled_with_events(void)
{
	check_polled(EVENT_IDX);
}

/* A VM that stands still is left alone; its driver is asked to notify before it runs on. */
static void test_virtio_net_is_not_polled_while_paused(void)
{
	REQUIRE(open_net("", 0));
	bench.vm->state = V3_VM_PAUSED;
	offer_tx(0, 60);
	CHECK_EQ(v3_net_poll(peer), 0);
	CHECK_EQ(peer_gets(), 0);
	CHECK_EQ(rig_used(TX, NULL), -1);
	v3_net_poll_end(peer);
	rig_kick(TX);
	CHECK_EQ(peer_gets(), 60);
	CHECK(must_notify(0));
	close_net();
}

/* Of the page of the frame that is being sent: what was released, what the host has got. */
static struct v3_mem_stats given;

/* The guest gives the page back, and all its vcpus are between two handlers after that. */
static void give_frame_back(void)
{
	CHECK_EQ(v3_mem_release(bench.vm, BUF(0) & V3_PAGE_MASK, 1), V3_OK);
	v3_mem_release_end(bench.vm);
	fake_service(bench.vm);
	v3_mem_get_stats(bench.vm, &given);
}

/* Who polls is no vcpu, and keeps the memory that it uses all the same. */
static void test_virtio_net_polled_memory_stays(void)
{
	REQUIRE(open_net("", 0));
	REQUIRE_EQ(v3_mem_release_enable(bench.vm), V3_OK);
	bench.vm->state = V3_VM_RUNNING;
	offer_tx(0, 60);
	peer_hook = give_frame_back;
	CHECK_EQ(v3_net_poll(peer), 1);
	peer_hook = NULL;
	CHECK_EQ(given.released, V3_PAGE_SIZE);
	CHECK_EQ(given.freed, 0);
	fake_service(bench.vm);
	v3_mem_get_stats(bench.vm, &given);
	CHECK_EQ(given.freed, V3_PAGE_SIZE);
	v3_net_poll_end(peer);
	close_net();
}

static int oom_create(void *arg)
{
	int err;

	(void)arg;
	bench.vm->ndevices++;
	err = v3_device_virtio_net.create(bench.vm, bench_cfg, &bench.dev);
	bench.vm->ndevices--;
	return err;
}

static void oom_destroy(void *arg)
{
	(void)arg;
	v3_device_virtio_net.destroy(bench.dev);
}

static void test_virtio_net_oom(void)
{
	REQUIRE(pci_bench_open());
	bench_cfg = fake_cfg(&v3_device_virtio_net, "queues = 3\n");
	REQUIRE(bench_cfg);
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, NULL) >= 18);
}

static void test_virtio_net_hostile(void)
{
	struct v3_net_offload o;
	unsigned sent_frames = 0;
	uint32_t len;

	REQUIRE(open_net("", MRG | CSUM | TSO4));
	v3_net_set_takes(peer, ~0u);
	for (unsigned i = 0; i < 15000 && !tap.failures; i++) {
		uint64_t r = tap_rand();
		unsigned q = r & 1;

		rig_poke(RIG_DATA, r >> 8 & 1 ? tap_rand() : 0, 8);
		for (unsigned k = 0; k < 4; k++) {
			uint64_t d = tap_rand();

			rig_desc(q, (unsigned)(d & 15),
				 d >> 4 & 15 ? RIG_DATA + (d >> 8 & 0xff) : d,
				 (uint32_t)(d >> 16 & 0x7ff),
				 (uint16_t)((d >> 32 & 1) | (q ? 0 : 2)), (uint16_t)(d >> 33 & 15));
		}
		rig_offer(q, (uint16_t)(r >> 16 & 15));
		rig_kick(q);
		if (!(r >> 20 & 3))
			peer_send(14 + (uint32_t)(r >> 24 & 0xfff), NULL);
		while (v3_net_peek(peer, &o, &len)) {
			sent_frames++;
			v3_net_drop(peer);
		}
		if (rig_status() & 0x40 || !(r >> 40 & 0xff))
			REQUIRE(rig_init(V1 | CSUM | TSO4 | (r >> 50 & 1 ? MRG : 0)));
	}
	CHECK(sent_frames > 50);
	REQUIRE(rig_init(V1));
	CHECK_EQ(transmit(60, 0, 0, &o), 60);
	close_net();
}

static const struct tap_test tests[] = {
	TAP(test_virtio_net_configuration),
	TAP(test_virtio_net_mac),
	TAP(test_virtio_net_mac_follows_the_name),
	TAP(test_virtio_net_transmits),
	TAP(test_virtio_net_offloads_need_negotiation),
	TAP(test_virtio_net_transmit_layouts),
	TAP(test_virtio_net_receives),
	TAP(test_virtio_net_waits_for_buffers),
	TAP(test_virtio_net_merges_buffers),
	TAP(test_virtio_net_passes_offloads),
	TAP(test_virtio_net_many_unwanted),
	TAP(test_virtio_net_reset_forgets),
	TAP(test_virtio_net_bad_buffers),
	TAP(test_virtio_net_two_cards),
	TAP(test_virtio_net_receive_modes),
	TAP(test_virtio_net_address_tables),
	TAP(test_virtio_net_long_table),
	TAP(test_virtio_net_vlans),
	TAP(test_virtio_net_control_needs_negotiation),
	TAP(test_virtio_net_queues),
	TAP(test_virtio_net_packed),
	TAP(test_virtio_net_packed_merges_buffers),
	TAP(test_virtio_net_legacy),
	TAP(test_virtio_net_frames_before_driver),
	TAP(test_virtio_net_link),
	TAP(test_virtio_net_link_before_driver),
	TAP(test_virtio_net_is_polled),
	TAP(test_virtio_net_is_polled_with_events),
	TAP(test_virtio_net_is_not_polled_while_paused),
	TAP(test_virtio_net_polled_memory_stays),
	TAP(test_virtio_net_oom),
	TAP(test_virtio_net_hostile),
};
TAP_MAIN(tests)
