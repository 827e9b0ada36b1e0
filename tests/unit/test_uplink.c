/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_uplink.c
 * The way out of a network: frames between an interface of the fake host and ports of the test's own, what is lost and
 * what waits, the link, an interface that goes, and one that sends rubbish.
 */
#include "devices/devices.h"
#include "fake_vm.h"
#include "host/host.h"
#include "palacios/net.h"
#include "tap.h"

#define UPLINK "interface = \"tap0\"\n"

static struct v3_vm *vm;
static void *uplink;
static struct v3_net_port *card;
static unsigned card_told; /* atomic */

static void card_ready(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&card_told, 1, __ATOMIC_SEQ_CST);
}

/* An uplink, and a card on the same network, which takes all offloads. */
static bool begin(void)
{
	vm = fake_vm_bare(1, 16);
	fake_packet_add();
	if (!vm || !CHECK_EQ(fake_device_create(vm, &v3_device_uplink, UPLINK, &uplink), V3_OK) ||
	    !CHECK_EQ(v3_net_open(vm, "lan", card_ready, NULL, &card), V3_OK))
		return false;
	v3_net_set_takes(card, ~0u);
	fake_worker_settle();
	card_told = 0;
	return true;
}

static void end(void)
{
	v3_net_close(card);
	fake_device_destroy(vm, uplink);
}

static void fill(uint8_t *frame, uint32_t len, uint8_t byte)
{
	memset(frame, byte, len);
	memset(frame, 0xff, 6);
	memset(frame + 6, 2, 6);
}

/* From the interface. */
static void comes(uint32_t len, uint8_t byte, const struct v3_net_offload *offload)
{
	static const struct v3_net_offload plain;
	static uint8_t frame[V3_NET_FRAME_MAX + 100];

	fill(frame, sizeof(frame), byte);
	fake_packet_send(offload ? offload : &plain, frame, len);
}

/* To the card. @return length, 0: none */
static uint32_t card_takes(uint8_t *byte, struct v3_net_offload *offload)
{
	struct v3_net_offload o;
	uint32_t len = 0;
	const uint8_t *frame = v3_net_peek(card, offload ? offload : &o, &len);

	if (!frame)
		return 0;
	*byte = frame[len - 1];
	v3_net_drop(card);
	return len;
}

static int card_sends(uint32_t len, uint8_t byte, const struct v3_net_offload *offload)
{
	static const struct v3_net_offload plain;
	static uint8_t frame[V3_NET_FRAME_MAX];
	struct v3_net_piece piece = {frame, len};

	fill(frame, sizeof(frame), byte);
	return v3_net_send(card, offload ? offload : &plain, &piece, 1);
}

static const struct v3_net_offload tso = {.flags = 1,
					  .gso_type = 1,
					  .gso_size = 1448,
					  .hdr_len = 54,
					  .csum_start = 34,
					  .csum_offset = 16};

static void test_uplink_moves_frames(void)
{
	static uint8_t frame[V3_NET_FRAME_MAX];
	struct v3_net_offload o;
	uint8_t byte;

	REQUIRE(begin());
	comes(60, 'a', NULL);
	comes(V3_NET_FRAME_MAX, 'b', NULL);
	fake_worker_settle();
	CHECK(card_told > 0);
	CHECK_EQ(card_takes(&byte, NULL), 60);
	CHECK_EQ(byte, 'a');
	CHECK_EQ(card_takes(&byte, NULL), V3_NET_FRAME_MAX);
	CHECK_EQ(byte, 'b');
	CHECK_EQ(card_sends(61, 'c', NULL), V3_OK);
	CHECK_EQ(card_sends(62, 'd', NULL), V3_OK);
	fake_worker_settle();
	CHECK_EQ(fake_packet_receive(&o, frame, sizeof(frame)), 61);
	CHECK_EQ(frame[60], 'c');
	CHECK_EQ(fake_packet_receive(&o, frame, sizeof(frame)), 62);
	CHECK_EQ(fake_packet_receive(&o, frame, sizeof(frame)), -1);
	end();
	CHECK(fake_log_contains("tap0: 2 frames in, 2 out, 0 lost, 0 malformed"));
}

/* What is left undone of a frame stays so, both ways. */
static void test_uplink_passes_offloads(void)
{
	static uint8_t frame[V3_NET_FRAME_MAX];
	struct v3_net_offload o = tso;
	uint8_t byte;

	REQUIRE(begin());
	CHECK_EQ(card_sends(20000, 1, &tso), V3_OK);
	fake_worker_settle();
	CHECK_EQ(fake_packet_receive(&o, frame, sizeof(frame)), 20000);
	CHECK_MEM(&o, &tso, sizeof(o));
	comes(30000, 2, &tso);
	o.flags = V3_NET_NEEDS_CSUM | 2; /* sums are checked, an interface may say */
	comes(40000, 3, &o);
	fake_worker_settle();
	CHECK_EQ(card_takes(&byte, &o), 30000);
	CHECK_MEM(&o, &tso, sizeof(o));
	CHECK_EQ(card_takes(&byte, &o), 40000);
	CHECK_EQ(o.flags, V3_NET_NEEDS_CSUM);
	end();
}

/* The host's own stack is trusted no more than a guest. */
static void test_uplink_drops_rubbish(void)
{
	static const struct v3_net_offload bad[] = {
		{.flags = 1, .csum_start = 90, .csum_offset = 9},
		{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff},
		{.flags = 1, .gso_type = 1},
		{.flags = 0, .gso_type = 1, .gso_size = 100},
		{.flags = 1, .gso_type = 3, .gso_size = 100},
		{.flags = 1, .gso_type = 0x80, .gso_size = 100},
		{.flags = 1, .gso_type = 4, .gso_size = 100, .hdr_len = 101},
	};
	uint8_t byte;

	REQUIRE(begin());
	comes(0, 0, NULL);
	comes(13, 0, NULL);
	comes(V3_NET_FRAME_MAX + 1, 0, NULL);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(bad); i++)
		comes(100, 0, &bad[i]);
	comes(100, 'z', NULL);
	fake_worker_settle();
	CHECK_EQ(card_takes(&byte, NULL), 100);
	CHECK_EQ(byte, 'z');
	CHECK_EQ(card_takes(&byte, NULL), 0);
	end();
	CHECK(fake_log_contains("tap0: 1 frames in, 0 out, 0 lost, 10 malformed"));
}

static void test_uplink_loses_what_has_no_room(void)
{
	static uint8_t frame[V3_NET_FRAME_MAX];
	struct v3_net_offload o;
	unsigned i, got = 0;

	REQUIRE(begin());
	fake_packet_room(3);
	for (i = 0; i < 10; i++)
		CHECK_EQ(card_sends(100, (uint8_t)i, NULL), V3_OK);
	fake_worker_settle();
	for (; fake_packet_receive(&o, frame, sizeof(frame)) == 100; got++)
		CHECK_EQ(frame[99], got);
	CHECK_EQ(got, 3);
	CHECK_EQ(card_sends(100, 77, NULL), V3_OK); /* and it goes on */
	fake_worker_settle();
	CHECK_EQ(fake_packet_receive(&o, frame, sizeof(frame)), 100);
	CHECK_EQ(frame[99], 77);
	end();
	CHECK(fake_log_contains("tap0: 0 frames in, 4 out, 7 lost, 0 malformed"));
}

/* One card that does not read: the interface is left alone. Nothing is lost, and all comes in order. */
static void test_uplink_waits_for_the_only_card(void)
{
	struct v3_net_stats stats;
	unsigned i, left;
	uint8_t byte;

	REQUIRE(begin());
	for (i = 0; i < 30; i++)
		comes(60000, (uint8_t)i, NULL);
	fake_worker_settle();
	left = fake_packet_unread();
	CHECK_MSG(left > 15 && left < 28, "%u frames were not read", left);
	for (i = 0; i < 30; i++) {
		CHECK_EQ(card_takes(&byte, NULL), 60000);
		CHECK_EQ(byte, i);
		fake_worker_settle();
	}
	CHECK_EQ(fake_packet_unread(), 0);
	v3_net_get_stats(card, &stats);
	CHECK_EQ(stats.dropped, 0);
	/* All at once: a driver that is reset forgets what waits. */
	for (i = 0; i < 30; i++)
		comes(60000, (uint8_t)i, NULL);
	fake_worker_settle();
	left = fake_packet_unread();
	CHECK_MSG(left > 15 && left < 28, "%u frames were not read", left);
	v3_net_flush(card);
	fake_worker_settle();
	CHECK(fake_packet_unread() < left);
	end();
}

/* With two of them nobody waits for the slower one; that it comes or goes is noticed. */
static void test_uplink_does_not_wait_for_one_of_two(void)
{
	struct v3_net_port *second;
	struct v3_net_stats stats;
	unsigned i;

	REQUIRE(begin());
	for (i = 0; i < 30; i++)
		comes(60000, (uint8_t)i, NULL);
	fake_worker_settle();
	CHECK(fake_packet_unread() > 0);
	REQUIRE_EQ(v3_net_open(vm, "lan", card_ready, NULL, &second), V3_OK);
	fake_worker_settle();
	CHECK_EQ(fake_packet_unread(), 0);
	v3_net_get_stats(card, &stats);
	CHECK(stats.dropped > 10);
	v3_net_close(second);
	for (i = 0; i < 5; i++)
		comes(60000, (uint8_t)i, NULL);
	fake_worker_settle();
	CHECK_EQ(fake_packet_unread(), 4); /* one is read, and waits */
	v3_net_close(card);		   /* nobody is left to wait for */
	fake_worker_settle();
	CHECK_EQ(fake_packet_unread(), 0);
	fake_device_destroy(vm, uplink);
}

static void test_uplink_link(void)
{
	struct v3_net_port *second;

	REQUIRE(begin());
	CHECK(v3_net_link(card));
	fake_packet_up(false);
	fake_worker_settle();
	CHECK(!v3_net_link(card));
	CHECK(card_told > 0);
	CHECK(fake_log_contains("tap0: link down"));
	REQUIRE_EQ(v3_net_open(vm, "lan", card_ready, NULL, &second), V3_OK);
	CHECK(v3_net_link(card)); /* to the switch that it is now */
	CHECK(v3_net_link(second));
	v3_net_close(second);
	CHECK(!v3_net_link(card));
	card_told = 0;
	fake_packet_up(true);
	fake_worker_settle();
	CHECK(v3_net_link(card));
	CHECK(card_told > 0);
	CHECK(fake_log_contains("tap0: link up"));
	end();
}

/* Somebody takes the interface away; guests live on. */
static void test_uplink_interface_goes(void)
{
	uint8_t byte;

	REQUIRE(begin());
	comes(60, 1, NULL);
	fake_packet_remove();
	fake_worker_settle();
	CHECK_EQ(card_takes(&byte, NULL), 60);
	CHECK(!v3_net_link(card));
	CHECK_EQ(fake_log_count("tap0: the interface is gone"), 1);
	CHECK_EQ(card_sends(60, 1, NULL), V3_OK);
	CHECK_EQ(card_sends(60, 1, NULL), V3_OK);
	fake_worker_settle();
	CHECK_EQ(fake_log_count("tap0: the interface is gone"), 1);
	end();
	CHECK(fake_log_contains("tap0: 1 frames in, 0 out, 2 lost"));
}

static void test_uplink_refusals(void)
{
	vm = fake_vm_bare(1, 16);
	REQUIRE(vm);
	CHECK_EQ(fake_device_create(vm, &v3_device_uplink, UPLINK, &uplink), V3_ENOENT);
	CHECK(fake_log_contains("tap0: the interface cannot be opened"));
	v3_lib.ops.packet = NULL;
	CHECK_EQ(fake_device_create(vm, &v3_device_uplink, UPLINK, &uplink), V3_ENOTSUP);
	CHECK(fake_log_contains("tap0: this host has no network for guests"));
}

static int oom_create(void *cfg)
{
	return v3_device_uplink.create(vm, cfg, &uplink);
}

static void oom_destroy(void *arg)
{
	(void)arg;
	v3_device_uplink.destroy(uplink);
}

static void test_uplink_oom(void)
{
	const struct v3_cfg *cfg;

	vm = fake_vm_bare(1, 16);
	fake_packet_add();
	cfg = fake_cfg(&v3_device_uplink, UPLINK);
	REQUIRE(vm && cfg);
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, (void *)cfg) >= 5);
}

/* Frames come and go while it does. */
static void test_uplink_goes_while_busy(void)
{
	const struct v3_cfg *cfg;

	vm = fake_vm_bare(1, 16);
	fake_packet_add();
	cfg = fake_cfg(&v3_device_uplink, UPLINK);
	REQUIRE(vm && cfg);
	REQUIRE_EQ(v3_net_open(vm, "lan", card_ready, NULL, &card), V3_OK);
	for (unsigned i = 0; i < 50; i++) {
		REQUIRE_EQ(oom_create((void *)cfg), V3_OK);
		for (unsigned k = 0; k < i; k++) {
			comes(1000, (uint8_t)k, NULL);
			CHECK_EQ(card_sends(1000, (uint8_t)k, NULL), V3_OK);
		}
		oom_destroy(NULL);
		v3_net_flush(card);
		fake_packet_add(); /* anew: what waits is forgotten */
	}
	v3_net_close(card);
}

static const struct tap_test tests[] = {
	TAP(test_uplink_moves_frames),
	TAP(test_uplink_passes_offloads),
	TAP(test_uplink_drops_rubbish),
	TAP(test_uplink_loses_what_has_no_room),
	TAP(test_uplink_waits_for_the_only_card),
	TAP(test_uplink_does_not_wait_for_one_of_two),
	TAP(test_uplink_link),
	TAP(test_uplink_interface_goes),
	TAP(test_uplink_refusals),
	TAP(test_uplink_oom),
	TAP(test_uplink_goes_while_busy),
};
TAP_MAIN(tests)
