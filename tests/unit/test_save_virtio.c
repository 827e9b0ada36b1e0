/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_save_virtio.c
 * Virtio transport, disk and entropy device that move to another VM while a driver works: rings of both layouts at any
 * position, requests that the disk has or that wait, half an initialisation; images that somebody has changed.
 */
#include "slow_disk.h"
#include "virtio_blk_rig.h"
#include "virtio_echo.h"

#include "save_virtio.h"

#define TABLE(i) (RIG_DATA + 0x40000u + (i)*0x100u)

/* Features of the rings: each driver works with each of them. */
static const uint64_t rings[] = {0,	 EVENT,		 INDIRECT | EVENT,
				 PACKED, PACKED | EVENT, PACKED | INDIRECT | EVENT};

static bool open_as(const struct v3_device_class *cls, const char *keys, uint64_t features)
{
	memset(&slow, 0, sizeof(slow));
	memset(&echo, 0, sizeof(echo));
	return save_virtio_open(cls, keys, features);
}

/* ---- rings and transport, by a device whose state is all the transport's ---- */

static const struct v3_device_class echo_saved = {.name = "echo",
						  .keys = echo_keys,
						  .create = echo_create,
						  .reset = echo_reset,
						  .destroy = echo_destroy,
						  .save = &v3_virtio_save};

/* @p n chains of two descriptors, or of one with a table of two. */
static void echo_many(unsigned n)
{
	for (unsigned i = 0; i < n && !tap.failures; i++) {
		uint16_t head = (uint16_t)(i * 5 % RIG_QSIZE);
		uint32_t used = 99;

		rig_poke(RIG_DATA, i * 0x01010101u, 4);
		rig_poke(RIG_DATA + 0x1000, 0, 4);
		if (save_virtio.features & INDIRECT) {
			rig_desc_at(TABLE(0), RIG_DATA, 4, rig_packed ? 0 : RIG_NEXT, 1);
			rig_desc_at(TABLE(0) + 16, RIG_DATA + 0x1000, 4, RIG_WRITE, 0);
			rig_desc(0, head, TABLE(0), 32, RIG_INDIRECT, 0);
		} else {
			rig_desc(0, head, RIG_DATA, 4, RIG_NEXT, head ^ 1);
			rig_desc(0, head ^ 1, RIG_DATA + 0x1000, 4, RIG_WRITE, 0);
		}
		rig_offer(0, head);
		rig_kick(0);
		CHECK_EQ(rig_used(0, &used), 4);
		CHECK_EQ(used, head);
		CHECK_EQ(rig_peek(RIG_DATA + 0x1000, 4), (uint32_t) ~(i * 0x01010101u));
	}
}

/* From any position, with either wrap counter. */
static void test_save_virtio_rings(void)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(rings); i++) {
		REQUIRE(open_as(&echo_saved, "", rings[i]));
		for (unsigned k = 0; k < 7; k++) {
			echo_many(k + 1);
			REQUIRE(save_virtio_move());
			CHECK_EQ(rig_status(), 0x0f);
			CHECK_EQ(rig_used(0, NULL), -1);
		}
		echo_many(40);
		fake_vm_destroy(bench.vm);
	}
}

/* An interrupt is sent for what is used from now on, and for nothing that was used before. */
static void test_save_virtio_events(void)
{
	REQUIRE(open_as(&echo_saved, "", EVENT));
	for (unsigned i = 0; i < 3; i++) {
		rig_poke(RIG_AVAIL(0) + 4 + 2 * RIG_QSIZE, 5, 2); /* used_event */
		rig_request(0, 4, 0);
		CHECK_EQ(pci_bench_vector(), -1);
		REQUIRE(save_virtio_move());
	}
	rig_request(0, 4, 0);
	CHECK_EQ(pci_bench_vector(), -1);
	rig_request(0, 4, 0);
	CHECK_EQ(pci_bench_vector(), -1);
	rig_request(0, 4, 0);
	CHECK_EQ(pci_bench_vector(), 0x51);
}

/* What the driver announced is done; what it has only put into the ring is not looked at before it says so. */
static void test_save_virtio_due(void)
{
	REQUIRE(open_as(&echo_saved, "", 0));
	rig_desc(0, 0, RIG_DATA, 4, 0, 0);
	rig_offer(0, 0);
	REQUIRE(save_virtio_move());
	fake_service(bench.vm);
	CHECK_EQ(rig_used(0, NULL), -1);
	v3_virtio_run_later(&echo.dev->queue[0]);
	REQUIRE(save_virtio_move());
	REQUIRE(save_virtio_move());
	fake_service(bench.vm);
	CHECK_EQ(rig_used(0, NULL), 0);
	CHECK_EQ(rig_used(0, NULL), -1);
}

static void echo_poll(void)
{
	v3_vq_poll(&echo.dev->queue[0], true);
}

/* A queue that is polled stays so: the driver is not asked to notify. */
static void test_save_virtio_polled(void)
{
	REQUIRE(open_as(&echo_saved, "", 0));
	echo.inside = echo_poll;
	rig_request(0, 4, 0);
	CHECK_EQ(rig_peek(RIG_USED(0), 2), 1);
	REQUIRE(save_virtio_move());
	echo.inside = NULL;
	rig_request(0, 4, 0);
	CHECK_EQ(rig_peek(RIG_USED(0), 2), 1);
}

/* A driver in the middle of its initialisation. */
static void test_save_virtio_half_initialised(void)
{
	REQUIRE(open_as(&echo_saved, "", 0));
	rig_write(RIG_STATUS, 1, 0);
	rig_write(RIG_STATUS, 1, 3);
	rig_write(RIG_DFSELECT, 4, 1);
	rig_write(RIG_GFSELECT, 4, 1);
	rig_write(RIG_GF, 4, V1 >> 32);
	rig_write(RIG_CFGVEC, 2, 2);
	rig_write(RIG_QSEL, 2, 1);
	rig_write(RIG_QLEN, 2, 8);
	rig_write(RIG_QVEC, 2, 1);
	rig_write(RIG_QDESC, 8, RIG_DESC(1));
	rig_write(RIG_QAVAIL, 8, RIG_AVAIL(1));
	REQUIRE(save_virtio_move());
	CHECK_EQ(rig_status(), 3);
	CHECK_EQ(rig_read(RIG_DFSELECT, 4), 1);
	CHECK_EQ(rig_read(RIG_GFSELECT, 4), 1);
	CHECK_EQ(rig_read(RIG_GF, 4), V1 >> 32);
	CHECK_EQ(rig_read(RIG_CFGVEC, 2), 2);
	CHECK_EQ(rig_read(RIG_QSEL, 2), 1);
	CHECK_EQ(rig_read(RIG_QLEN, 2), 8);
	CHECK_EQ(rig_read(RIG_QVEC, 2), 1);
	CHECK_EQ(rig_read(RIG_QDESC, 4), RIG_DESC(1));
	CHECK_EQ(rig_read(RIG_QAVAIL, 4), RIG_AVAIL(1));
	CHECK_EQ(rig_read(RIG_QENABLE, 2), 0);
	rig_write(RIG_QUSED, 8, RIG_USED(1));
	rig_write(RIG_QENABLE, 2, 1);
	rig_write(RIG_STATUS, 1, 0x0b);
	rig_write(RIG_STATUS, 1, 0x0f);
	CHECK_EQ(rig_status(), 0x0f);
	CHECK(echo.dev->queue[1].enabled);
	REQUIRE(save_virtio_move());
	CHECK(echo.dev->queue[1].enabled);
}

/* Configuration that has changed, its interrupt, and a device that has failed. */
static void test_save_virtio_configuration(void)
{
	REQUIRE(open_as(&echo_saved, "", 0));
	cfg_write(RIG_SLOT, cfg_cap(RIG_SLOT, V3_PCI_CAP_MSIX) + 2, 2, 0); /* INTx and ISR */
	v3_virtio_set_config(echo.dev, 4, "abcd", 4);
	rig_request(0, 4, 0);
	CHECK(bench.level[V3_PC_INTX_GSI(RIG_SLOT, 1)]);
	REQUIRE(save_virtio_move());
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 4), 0x64636261);
	CHECK_EQ(rig_read(RIG_GEN, 1), 1);
	CHECK_EQ(rig_read(RIG_ISR, 1), 3);
	CHECK(!bench.level[V3_PC_INTX_GSI(RIG_SLOT, 1)]);
	CHECK_EQ(rig_read(RIG_ISR, 1), 0);
	v3_virtio_fail(echo.dev, "a test");
	REQUIRE(save_virtio_move());
	CHECK_EQ(rig_status(), 0x4f);
	CHECK_EQ(rig_request(0, 4, 0), -1);
	REQUIRE(rig_init(V1));
	CHECK_EQ(rig_request(0, 4, 0), 0);
}

/* ---- the disk ---- */

static bool open_disk(uint64_t features)
{
	if (!open_as(&v3_device_virtio_blk, "size = \"256K\"\n", features))
		return false;
	slow.on = true;
	return true;
}

/* Offer request @p i with @p len bytes of data, in a table of its own if the driver may have one. */
static void ask(unsigned i, uint32_t type, uint64_t sector, uint32_t len)
{
	const bool indirect = save_virtio.features & INDIRECT, packed = rig_packed;
	unsigned d = 4 * i;

	rig_poke(HEADER(i), type, 8);
	rig_poke(HEADER(i) + 8, sector, 8);
	rig_poke(STATUS(i), 0xee, 1);
	for (unsigned k = 0; k < 3; k++) {
		uint64_t gpa = k == 0 ? HEADER(i) : k == 1 ? DATA(i) : STATUS(i);
		uint32_t n = k == 0 ? 16 : k == 1 ? len : 1;
		bool in = k == 2 || (k == 1 && type == T_IN);
		uint16_t flags = (uint16_t)((in ? RIG_WRITE : 0) | (k < 2 ? RIG_NEXT : 0));

		if (indirect)
			rig_desc_at(TABLE(i) + 16 * k, gpa, n, packed ? flags & RIG_WRITE : flags,
				    (uint16_t)(k + 1));
		else
			rig_desc(0, d + k, gpa, n, flags, (uint16_t)(d + k + 1));
	}
	if (indirect)
		rig_desc(0, d, TABLE(i), 48, RIG_INDIRECT, 0);
	rig_offer(0, (uint16_t)d);
	rig_kick(0);
}

/* A bit for each request that is done; no one twice. */
static unsigned done(void)
{
	unsigned all = 0;
	uint32_t head;

	while (rig_used(0, &head) >= 0) {
		CHECK(!(all & 1u << head / 4));
		all |= 1u << head / 4;
	}
	return all;
}

static void fill(unsigned i, uint8_t byte, uint32_t len)
{
	CHECK_EQ(v3_mem_set(bench.vm, DATA(i), byte, len), V3_OK);
}

static void test_save_virtio_blk_under_way(void)
{
	for (unsigned k = 0; k < V3_ARRAY_SIZE(rings); k++) {
		REQUIRE(open_disk(rings[k]));
		fill(0, 0x11, 512);
		fill(1, 0x22, 0x2000);
		slow.on = false;
		ask(0, T_OUT, 7, 512);
		slow.on = true;
		ask(1, T_OUT, 64, 0x2000);
		ask(2, T_IN, 7, 512);
		ask(3, T_FLUSH, 0, 0);
		CHECK_EQ(slow.n, 3);
		REQUIRE(save_virtio_move());
		CHECK_EQ(slow.n, 0);
		fake_service(bench.vm);
		CHECK_EQ(done(), 15);
		for (unsigned i = 0; i < NREQS; i++)
			CHECK_EQ(rig_peek(STATUS(i), 1), 0);
		CHECK_EQ(rig_peek(DATA(2) + 511, 1), 0x11);
		slow.on = false;
		ask(0, T_IN, 64, 0x2000);
		CHECK_EQ(done(), 1);
		CHECK_EQ(rig_peek(DATA(0) + 0x1fff, 1), 0x22);
		CHECK_EQ(rig_status(), 0x0f);
		fake_vm_destroy(bench.vm);
	}
}

/* To finish a request interrupts, in the VM that is saved: before anything of it is. */
static void test_save_virtio_blk_interrupt(void)
{
	REQUIRE(open_disk(0));
	ask(0, T_FLUSH, 0, 0);
	CHECK_EQ(pci_bench_vector(), -1);
	REQUIRE(save_rig_save());
	CHECK_EQ(pci_bench_vector(), 0x51);
	CHECK_EQ(done(), 1);
	fake_service(bench.vm); /* and that VM goes on */
	ask(1, T_FLUSH, 0, 0);
	CHECK_EQ(slow.n, 1);
	cfg_write(RIG_SLOT, cfg_cap(RIG_SLOT, V3_PCI_CAP_MSIX) + 2, 2, 0);
	REQUIRE(save_virtio_move());
	CHECK(bench.level[V3_PC_INTX_GSI(RIG_SLOT, 1)]);
	CHECK_EQ(rig_read(RIG_ISR, 1), 1);
	CHECK_EQ(done(), 2);
}

/* Each range is a step, all of which are done. */
static void test_save_virtio_blk_steps(void)
{
	REQUIRE(open_disk(0));
	fill(1, 0x77, 0x1000);
	slow.on = false;
	ask(1, T_OUT, 0, 0x1000);
	slow.on = true;
	for (unsigned i = 0; i < 3; i++) {
		rig_poke(DATA(0) + 16 * i, 2 * i, 8);
		rig_poke(DATA(0) + 16 * i + 8, 1, 8);
	}
	ask(0, T_DISCARD, 0, 48);
	CHECK_EQ(slow.n, 1);
	REQUIRE(save_virtio_move());
	CHECK_EQ(done(), 3);
	slow.on = false;
	ask(1, T_IN, 0, 0x1000);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(rig_peek(DATA(1) + 512 * i, 1), i < 6 && !(i & 1) ? 0 : 0x77);
}

/* Requests that wait in the ring for one that the disk has are begun after the move. */
static void test_save_virtio_blk_waiting(void)
{
	REQUIRE(open_disk(0));
	fake_host_fail_from(1); /* no memory for more than one request */
	for (unsigned i = 0; i < 3; i++)
		ask(i, T_FLUSH, i, 0);
	CHECK_EQ(slow.n, 1);
	fake_host_fail_at(0);
	REQUIRE(save_virtio_move());
	CHECK_EQ(done(), 1);
	slow.on = false;
	fake_service(bench.vm);
	CHECK_EQ(done(), 6);
}

/*
 * The guest gave the page of a ring back while the disk had the request. Its pin is gone, so the host has got the page; what
 * the queue remembers of it is forgotten before the request ends.
 */
static void test_save_virtio_blk_ring_is_gone(void)
{
	const v3_gpa_t ring = RIG_USED(0) + V3_PAGE_SIZE; /* remembered beside the other ones */
	struct v3_mem_stats stats;
	unsigned pin;

	REQUIRE(open_disk(0));
	REQUIRE_EQ(v3_mem_release_enable(bench.vm), V3_OK);
	rig_init_by_hand(V1, RIG_QSIZE, RIG_QUSED, ring);
	memset(rig_q, 0, sizeof(rig_q));
	pin = v3_mem_pin(bench.vm); /* as disks on files do */
	ask(0, T_FLUSH, 0, 0);
	CHECK_EQ(slow.n, 1);
	CHECK_EQ(v3_mem_release(bench.vm, ring, 1), V3_OK);
	v3_mem_release_end(bench.vm);
	fake_service(bench.vm);
	v3_mem_unpin(bench.vm, pin);
	fake_service(bench.vm);
	v3_mem_get_stats(bench.vm, &stats);
	CHECK_EQ(stats.freed, V3_PAGE_SIZE);
	REQUIRE(save_rig_save());
	CHECK_EQ(rig_peek(ring + 2, 2), 1);
	CHECK_EQ(rig_peek(STATUS(0), 1), 0);
}

/* A reset by the driver that waits for the disk has taken place. */
static void test_save_virtio_blk_reset(void)
{
	REQUIRE(open_disk(0));
	ask(0, T_FLUSH, 0, 0);
	rig_write(RIG_STATUS, 1, 0);
	CHECK_EQ(rig_status(), 0x0f);
	REQUIRE(save_virtio_move());
	CHECK_EQ(rig_status(), 0);
	fake_service(bench.vm);
	CHECK_EQ(done(), 0);
	REQUIRE(rig_init(V1));
	slow.on = false;
	ask(0, T_FLUSH, 0, 0);
	CHECK_EQ(done(), 1);
}

/* ---- the balloon ---- */

/* Figures that were told are kept, and the buffer that they came in is still there to be asked by. */
static void test_save_virtio_balloon(void)
{
	REQUIRE(open_as(&v3_device_virtio_balloon, "target = \"2M\"\n", VIRTIO_BIT(1)));
	rig_poke(RIG_DATA, 4, 2);
	rig_poke(RIG_DATA + 2, 1000, 8);
	rig_desc(2, 0, RIG_DATA, 10, 0, 0);
	rig_offer(2, 0);
	rig_kick(2);
	CHECK_EQ(rig_used(2, NULL), -1);
	rig_write(RIG_CONFIG + 4, 4, 7);
	REQUIRE(save_virtio_move());
	CHECK_EQ(rig_read(RIG_CONFIG, 4), 512);
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 4), 7);
	rig_kick(2);
	CHECK_EQ(rig_used(2, NULL), -1);
	rig_poke(RIG_DATA, 0x600, 4);
	CHECK_EQ(rig_request(0, 4, 0), 0);
	CHECK_EQ(rig_status(), 0x0f);
}

/* ---- the entropy device ---- */

static void test_save_virtio_rng(void)
{
	REQUIRE(open_as(&v3_device_virtio_rng, "", 0));
	fake_random_limit(0);
	CHECK_EQ(rig_request(0, 0, 16), -1);
	REQUIRE(save_virtio_move());
	fake_random_limit(7);
	bench_run(9 * BENCH_MS);
	CHECK_EQ(rig_used(0, NULL), -1);
	bench_run(2 * BENCH_MS);
	CHECK_EQ(rig_used(0, NULL), 7);
}

/* ---- images ---- */

static void test_save_virtio_refuses(void)
{
	static const struct {
		const char *path;
		uint64_t value;
		unsigned size;
	} cases[] = {
		{".features", 1ull << 63 | 1ull << 32, 8},
		{".status", 0x1f, 1},
		{".status", 0x07, 1},
		{".queue[0].size", 257, 2},
		{".queue[0].size", 0, 2},
		{".queue[1].desc", 8, 8},
		{".queue[1].avail", ~0ull - 7, 8},
		{".queue[1].next_avail", 2 * RIG_QSIZE, 2},
		{".queue[0].next_used", 2 * RIG_QSIZE, 2},
		{".queue[0].enabled", 0, 1}, /* but its positions are somewhere */
		{".queue[0].enabled", 2, 1},
	};

	REQUIRE(open_as(&echo_saved, "", PACKED));
	echo_many(3);
	REQUIRE(save_rig_save());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		uint8_t *at = save_rig_field(cases[i].path), right[8];

		REQUIRE(at);
		memcpy(right, at, cases[i].size);
		memcpy(at, &cases[i].value, cases[i].size);
		CHECK_MSG(save_rig_load() == V3_EINVAL, "case %u", i);
		memcpy(at, right, cases[i].size);
		CHECK_EQ(echo.dev->status, 0);
	}
	CHECK_EQ(save_rig_load(), V3_OK);
	echo_many(3);
}

/* Of a state that was refused nothing is left behind: the disk is as large as it is. */
static void test_save_virtio_blk_after_refusal(void)
{
	uint8_t *at;

	REQUIRE(open_disk(0));
	REQUIRE(save_rig_save());
	at = save_rig_field(".config");
	REQUIRE(at);
	CHECK_EQ(*at, 0);
	memset(at, 0x77, 8); /* the capacity */
	at = save_rig_field(".queue.size");
	REQUIRE(at);
	memset(at, 0xff, 2);
	CHECK_EQ(save_rig_load(), V3_EINVAL);
	rig_pci(true);
	CHECK_EQ(rig_read(RIG_CONFIG, 4), 512);
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 4), 0);
}

/* Whatever is loaded does no harm, and the driver can always begin again. */
static void test_save_virtio_hostile(void)
{
	unsigned taken = 0;

	REQUIRE(open_disk(0));
	v3_log_set_level(bench.vm, V3_LOG_ERR);
	for (unsigned i = 0; i < 200 && !tap.failures; i++) {
		save_virtio.features = rings[i % V3_ARRAY_SIZE(rings)];
		save_rig_power_on();
		rig_pci(true);
		REQUIRE(rig_init(V1 | save_virtio.features));
		slow.on = true;
		ask(0, T_OUT, 1, 512);
		ask(1, T_IN, 1, 512);
		REQUIRE(save_rig_save());
		CHECK_EQ(done(), 3);
		save_tamper(rig_saved.image, rig_saved.len, 2 + (unsigned)(tap_rand() % 100));
		taken += save_rig_load() == V3_OK;
		slow.on = false;
		for (unsigned q = 0; q < 4; q++)
			rig_kick(0);
		fake_service(bench.vm);
	}
	CHECK(taken);
}

static const struct tap_test tests[] = {
	TAP(test_save_virtio_rings),
	TAP(test_save_virtio_events),
	TAP(test_save_virtio_due),
	TAP(test_save_virtio_polled),
	TAP(test_save_virtio_half_initialised),
	TAP(test_save_virtio_configuration),
	TAP(test_save_virtio_blk_under_way),
	TAP(test_save_virtio_blk_interrupt),
	TAP(test_save_virtio_blk_steps),
	TAP(test_save_virtio_blk_waiting),
	TAP(test_save_virtio_blk_ring_is_gone),
	TAP(test_save_virtio_blk_reset),
	TAP(test_save_virtio_balloon),
	TAP(test_save_virtio_rng),
	TAP(test_save_virtio_refuses),
	TAP(test_save_virtio_blk_after_refusal),
	TAP(test_save_virtio_hostile),
};
TAP_MAIN(tests)
