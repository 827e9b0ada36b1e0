/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_virtio_packed.c
 * Packed rings on a device that sends back what it gets: wrap counters, event suppression in each form, indirect
 * descriptors, queues that are polled, and drivers that break every rule.
 */
#include "virtio_echo.h"

#define ENABLE	0u
#define DISABLE (1u << 16)
#define DESC	(2u << 16)
#define WRAP	0x8000u

static bool open_packed(uint64_t features)
{
	return open_echo(PACKED | features);
}

static void test_virtio_packed_round_trip(void)
{
	REQUIRE(open_packed(0));
	echo_round_trip();
	CHECK_EQ(rig_peek(RIG_DESC(0) + 14, 2), 0x8082); /* used, written to */
	CHECK_EQ(rig_request(0, 4, 0), 0);		 /* at 3, where the chain ended */
	CHECK_EQ(rig_peek(RIG_DESC(0) + 3 * 16 + 14, 2), 0x8080);
}

/* Chains of one to three descriptors, so that each position of the ring is met with each wrap counter. */
static void test_virtio_packed_wraps_around(void)
{
	REQUIRE(open_packed(0));
	for (unsigned i = 0; i < 2000; i++) {
		uint16_t id = (uint16_t)(i * 5 % RIG_QSIZE);
		uint32_t head = 99;

		rig_desc(0, id, RIG_DATA, 4, RIG_NEXT, 16);
		rig_desc(0, 16, RIG_DATA + 64, 3, i & 1 ? RIG_WRITE | RIG_NEXT : RIG_WRITE, 17);
		rig_desc(0, 17, RIG_DATA + 96, 4, RIG_WRITE, 0);
		rig_offer(0, id);
		rig_kick(0);
		if (!CHECK_EQ(rig_used(0, &head), i & 1 ? 4 : 3) || !CHECK_EQ(head, id))
			break;
	}
	CHECK_EQ(rig_status(), 0x0f);
}

/* The driver sees nothing of a run before all of it, first entry last. */
static void test_virtio_packed_several_at_once(void)
{
	REQUIRE(open_packed(0));
	for (uint16_t i = 0; i < 5; i++) {
		rig_desc(0, i, RIG_DATA, 4, 0, 0);
		rig_offer(0, i);
	}
	rig_kick(0);
	CHECK_EQ(echo.chains, 5);
	CHECK_EQ(pci_bench_vector(), 0x51);
	for (uint32_t i = 0, head = 99; i < 5; i++) {
		CHECK_EQ(rig_used(0, &head), 0);
		CHECK_EQ(head, i);
	}
	CHECK_EQ(rig_used(0, NULL), -1);
}

/* A size that is no power of two is good for a packed ring only, 2.8. */
static void test_virtio_packed_any_size(void)
{
	REQUIRE(open_packed(0));
	rig_init_by_hand(V1 | PACKED, 3, 0, 0);
	for (unsigned i = 0; i < 12; i++) {
		uint16_t avail = i / 3 & 1 ? 0x8000 : 0x80, used = i / 3 & 1 ? 0 : 0x8080;

		rig_desc_at(RIG_DESC(0) + i % 3 * 16, RIG_DATA, 4, avail, (uint16_t)(200 + i));
		rig_kick(0);
		CHECK_EQ(rig_peek(RIG_DESC(0) + i % 3 * 16 + 12, 4),
			 (uint32_t)used << 16 | (200 + i));
	}
	CHECK_EQ(echo.chains, 12);
}

static void test_virtio_packed_indirect(void)
{
	REQUIRE(open_packed(INDIRECT));
	rig_poke(RIG_DATA, 0x55aa, 2);
	for (unsigned i = 0; i < 15; i++) /* NEXT and the id mean nothing in a table */
		rig_desc_at(RIG_DATA + 0x10000 + 16 * i, RIG_DATA + 2 * i, 2, i & 1 ? RIG_NEXT : 0,
			    0xffff);
	rig_desc_at(RIG_DATA + 0x10000 + 16 * 15, RIG_DATA + 0x1000, 64, RIG_WRITE, 3);
	rig_desc(0, 4, RIG_DATA + 0x10000, 256, RIG_INDIRECT, 0);
	rig_offer(0, 4);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 30);
	CHECK_EQ(rig_peek(RIG_DATA + 0x1000, 2), 0xaa55);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(rig_status(), 0x0f);
}

static void test_virtio_packed_interrupt_flags(void)
{
	REQUIRE(open_packed(0));
	rig_poke(RIG_AVAIL(0), DISABLE, 4);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), -1);
	rig_poke(RIG_AVAIL(0), ENABLE, 4);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), 0x51);
	rig_poke(RIG_AVAIL(0), DESC, 4); /* not without EVENT_IDX: then rather once too often */
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), 0x51);
	CHECK_EQ(rig_peek(RIG_USED(0), 4), ENABLE);
}

static void test_virtio_packed_event_index(void)
{
	REQUIRE(open_packed(EVENT));
	rig_poke(RIG_AVAIL(0), DESC | WRAP | 4, 4);
	CHECK_EQ(rig_request(0, 4, 4), 4); /* entries 0 and 1 */
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), -1);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), 0x51);
	CHECK_EQ(rig_peek(RIG_USED(0), 4), DESC | WRAP | 6); /* notify at the next one */
	rig_poke(RIG_AVAIL(0), DESC | 1, 4);		     /* in the next round */
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), -1);
	CHECK_EQ(rig_peek(RIG_USED(0), 4), DESC | 0);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), 0x51);
	rig_poke(RIG_AVAIL(0), DESC | RIG_QSIZE, 4); /* no such entry */
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), 0x51);
	rig_poke(RIG_AVAIL(0), DISABLE, 4);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), -1);
}

static void look_at_suppression(void)
{
	if (echo.runs == 1)
		CHECK_EQ(rig_peek(RIG_USED(0), 4), ENABLE); /* as it was before */
}

/* While a device looks by itself nobody has to notify it, in either layout. */
static void test_virtio_packed_polled(void)
{
	static const uint64_t features[] = {0, EVENT, PACKED, PACKED | EVENT};

	REQUIRE(open_packed(0));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(features); i++) {
		v3_gpa_t event = RIG_USED(0) + (features[i] == EVENT ? 4 + 8 * RIG_QSIZE : 0);
		struct v3_vq *q = &echo.dev->queue[0];
		unsigned len = features[i] & PACKED ? 4 : 2;
		uint64_t before;

		echo.runs = 0;
		REQUIRE(rig_init(V1 | features[i]));
		echo.inside = i == 2 ? look_at_suppression : NULL;
		CHECK_EQ(rig_request(0, 4, 4), 4);
		v3_vq_poll(q, true);
		before = rig_peek(event, len);
		CHECK_MSG(features[i] == EVENT || before == (features[i] & PACKED ? DISABLE : 1),
			  "case %u: %#llx", i, (unsigned long long)before);
		for (unsigned k = 0; k < 3; k++) {
			rig_desc(0, 0, RIG_DATA, 4, RIG_NEXT, 1);
			rig_desc(0, 1, RIG_DATA + 64, 4, RIG_WRITE, 0);
			rig_offer(0, 0);
			v3_virtio_run(bench.vm->vcpu[0], q);
			CHECK_EQ(rig_used(0, NULL), 4);
			CHECK_EQ(rig_peek(event, len), before);
		}
		v3_vq_poll(q, false);
		v3_virtio_run(bench.vm->vcpu[0], q);
		CHECK_MSG(rig_peek(event, len) != before, "case %u: no notification wanted", i);
		CHECK_EQ(rig_request(0, 4, 4), 4);
	}
}

/* ---- drivers that break the rules ---- */

static void offer_two(uint64_t gpa, uint32_t len, uint16_t flags, uint16_t second)
{
	rig_desc(0, 0, gpa, len, flags, 1);
	rig_desc(0, 1, RIG_DATA, 4, second, 2);
	rig_desc(0, 2, RIG_DATA, 4, 0, 0);
	rig_offer(0, 0);
}

static void bad_long(void)
{
	rig_desc(0, 0, RIG_DATA, 4, RIG_NEXT, 0);
	rig_offer(0, 0);
}
static void bad_order(void)
{
	offer_two(RIG_DATA, 4, RIG_NEXT | RIG_WRITE, 0);
}
static void bad_wrap(void)
{
	offer_two(~0ull - 2, 4, 0, 0);
}
static void bad_not_ram(void)
{
	offer_two(0x80000000, 4, 0, 0);
}
static void bad_id(void)
{
	rig_desc_at(RIG_DESC(0), RIG_DATA, 4, 0x80, VIRTIO_QUEUE_MAX);
}
static void bad_indirect_len(void)
{
	offer_two(RIG_DATA, 24, RIG_INDIRECT, 0);
}
static void bad_indirect_empty(void)
{
	offer_two(RIG_DATA, 0, RIG_INDIRECT, 0);
}
static void bad_indirect_wrap(void)
{
	offer_two(~0ull - 15, 32, RIG_INDIRECT, 0);
}
static void bad_indirect_not_ram(void)
{
	offer_two(0x80000000, 32, RIG_INDIRECT, 0);
}
static void bad_indirect_next(void)
{
	offer_two(RIG_DATA, 32, RIG_INDIRECT | RIG_NEXT, 0);
}
static void bad_indirect_in_chain(void)
{
	offer_two(RIG_DATA, 32, RIG_NEXT, RIG_INDIRECT);
}
static void bad_indirect_nested(void)
{
	rig_desc_at(RIG_DATA, RIG_DATA, 16, RIG_INDIRECT, 0);
	offer_two(RIG_DATA, 16, RIG_INDIRECT, 0);
}
static void bad_indirect_long(void)
{
	offer_two(RIG_DATA, 16 * (RIG_QSIZE + 1), RIG_INDIRECT, 0);
}

static const struct {
	void (*setup)(void);
	const char *why;
} bad_drivers[] = {
	{bad_long, "longer than its queue"},
	{bad_order, "readable buffer follows"},
	{bad_wrap, "buffer wraps"},
	{bad_not_ram, "buffer lies outside RAM"},
	{bad_id, "id is out of range"},
	{bad_indirect_len, "odd size or address"},
	{bad_indirect_empty, "odd size or address"},
	{bad_indirect_wrap, "table wraps"},
	{bad_indirect_not_ram, "ring lies outside RAM"},
	{bad_indirect_next, "with a next one"},
	{bad_indirect_in_chain, "indirect descriptor in a chain"},
	{bad_indirect_nested, "inside an indirect table"},
	{bad_indirect_long, "longer than its queue"},
};

static void test_virtio_packed_bad_drivers(void)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(bad_drivers); i++) {
		REQUIRE(open_packed(INDIRECT));
		bad_drivers[i].setup();
		rig_kick(0);
		CHECK_MSG(rig_status() == 0x4f, "case %u: status %#x", i, rig_status());
		CHECK_MSG(fake_log_contains(bad_drivers[i].why), "case %u: %s", i,
			  bad_drivers[i].why);
		CHECK_MSG(sent.n > 0 && sent.msg[0].vector == 0x50, "case %u: no interrupt", i);
		REQUIRE(rig_init(V1 | PACKED));
		CHECK_EQ(rig_request(0, 4, 4), 4);
		fake_log_clear();
		fake_vm_destroy(bench.vm);
	}
}

/* Enabled before the layout was chosen, by rules that the other one has not. */
static void test_virtio_packed_enabled_too_early(void)
{
	REQUIRE(open_packed(0));
	rig_write(RIG_STATUS, 1, 0);
	rig_write(RIG_QSEL, 2, 0);
	rig_write(RIG_QLEN, 2, RIG_QSIZE);
	rig_write(RIG_QDESC, 8, RIG_DESC(0));
	rig_write(RIG_QAVAIL, 8, RIG_AVAIL(0) + 2);
	rig_write(RIG_QUSED, 8, RIG_USED(0));
	rig_write(RIG_QENABLE, 2, 1);
	CHECK_EQ(rig_read(RIG_QENABLE, 2), 1);
	rig_accept(V1 | PACKED);
	rig_write(RIG_STATUS, 1, 0x0b);
	CHECK_EQ(rig_status(), 0x03);
	rig_accept(V1);
	rig_write(RIG_STATUS, 1, 0x0b);
	CHECK_EQ(rig_status(), 0x0b);
}

static void test_virtio_packed_rings_outside_ram(void)
{
	static const unsigned reg[] = {RIG_QDESC, RIG_QAVAIL, RIG_QUSED};

	REQUIRE(open_packed(0));
	for (unsigned i = 0; i < 3; i++) {
		rig_init_by_hand(V1 | PACKED, RIG_QSIZE, reg[i], 0xc0000000);
		rig_desc_at(RIG_DESC(0), RIG_DATA, 4, 0x80, 0);
		rig_kick(0);
		CHECK_EQ(rig_status(), 0x4f);
	}
}

/* Random descriptors straight into the ring, and requests that are right in between. */
static void hostile_step(void)
{
	static const uint64_t bases[] = {RIG_DATA, RIG_DESC(0), RIG_AVAIL(0), 0xfff000, ~0ull - 64};
	uint64_t r = tap_rand();
	unsigned q = r & 1;

	switch (r >> 1 & 7) {
	case 0:
		rig_poke(RIG_AVAIL(q), r >> 8, 4);
		break;
	case 1:
		if (rig_status() & 0x40 || !(r >> 8 & 31))
			rig_init(V1 | PACKED | (r >> 32 & 1 ? INDIRECT : 0) |
				 (r >> 33 & 1 ? EVENT : 0));
		break;
	case 2:
	case 3:
		rig_offer(q, (uint16_t)(r >> 16 & 15));
		rig_kick(q);
		break;
	case 4:
		rig_desc_at(RIG_DESC(q) + 16 * (r >> 8 & 15), RIG_DATA + (r >> 12 & 0xff0),
			    (uint32_t)(r >> 24 & 0x7f), (uint16_t)(r >> 32 & 0x8087),
			    (uint16_t)(r >> 48 & (r >> 63 ? 0x1ff : 15)));
		rig_kick(q);
		break;
	default:
		rig_desc(q, (unsigned)(r >> 8 & 15),
			 bases[r >> 56 & 15 ? 0 : (r >> 12 & 0xff) % 5] + (r >> 20 & 0xff0),
			 (uint32_t)(r >> 32 & 1 ? r >> 33 & 0x3f : 16 * (r >> 33 & 7)),
			 (uint16_t)(r >> 48 & 7), (uint16_t)(r >> 52 & 15));
		break;
	}
}

static void test_virtio_packed_hostile(void)
{
	REQUIRE(open_packed(EVENT | INDIRECT));
	for (unsigned i = 0; i < 60000 && !tap.failures; i++)
		hostile_step();
	CHECK(echo.chains > 100); /* it was not all refused */
	REQUIRE(rig_init(V1 | PACKED));
	CHECK_EQ(rig_request(0, 4, 4), 4);
}

static const struct tap_test tests[] = {
	TAP(test_virtio_packed_round_trip),	   TAP(test_virtio_packed_wraps_around),
	TAP(test_virtio_packed_several_at_once),   TAP(test_virtio_packed_any_size),
	TAP(test_virtio_packed_indirect),	   TAP(test_virtio_packed_interrupt_flags),
	TAP(test_virtio_packed_event_index),	   TAP(test_virtio_packed_polled),
	TAP(test_virtio_packed_bad_drivers),	   TAP(test_virtio_packed_enabled_too_early),
	TAP(test_virtio_packed_rings_outside_ram), TAP(test_virtio_packed_hostile),
};
TAP_MAIN(tests)
