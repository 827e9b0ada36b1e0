/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_virtio.c
 * Split rings and the PCI transport on a device that sends back what it gets: initialisation, notification and
 * interrupt suppression, indirect descriptors, and drivers that break every rule.
 */
#include "virtio_echo.h"

#include "devices/pci/pci.h"
#include "host/host.h"

#include <pthread.h>

/* ---- transport ---- */

static void test_virtio_pci_identity(void)
{
	REQUIRE(open_echo(0));
	CHECK_EQ(cfg_read(RIG_SLOT, 0x00, 4), 0x10681af4);
	CHECK_EQ(cfg_read(RIG_SLOT, 0x08, 4), 0xff000001);
	CHECK_EQ(cfg_read(RIG_SLOT, 0x2c, 4), 0x10681af4);
	CHECK(cfg_cap(RIG_SLOT, V3_PCI_CAP_PM) != 0);
}

/* Every structure a driver looks for is there once, in BAR 0, 4.1.4. */
static void test_virtio_pci_capabilities(void)
{
	static const struct {
		uint32_t offset, length;
	} want[] = {[1] = {0, 0x38}, [2] = {0x3000, 8}, [3] = {0x1000, 1}, [4] = {0x2000, 12}};
	unsigned seen = 0;

	REQUIRE(open_echo(0));
	for (unsigned off = cfg_read(RIG_SLOT, 0x34, 1); off;
	     off = cfg_read(RIG_SLOT, off + 1, 1)) {
		unsigned type = cfg_read(RIG_SLOT, off + 3, 1);

		if (cfg_read(RIG_SLOT, off, 1) != V3_PCI_CAP_VENDOR)
			continue;
		CHECK(!(seen & 1u << type));
		seen |= 1u << type;
		CHECK_EQ(cfg_read(RIG_SLOT, off + 2, 1), type == 2 || type == 5 ? 20 : 16);
		CHECK_EQ(cfg_read(RIG_SLOT, off + 4, 1), 0);
		if (type == 5)
			continue;
		CHECK_EQ(cfg_read(RIG_SLOT, off + 8, 4), want[type].offset);
		CHECK_EQ(cfg_read(RIG_SLOT, off + 12, 4), want[type].length);
		if (type == 2)
			CHECK_EQ(cfg_read(RIG_SLOT, off + 16, 4), 4);
	}
	CHECK_EQ(seen, 0x3e);
}

static void test_virtio_features(void)
{
	REQUIRE(open_echo(VIRTIO_BIT(FEATURE)));
	CHECK_EQ(rig_offered(), V1 | PACKED | EVENT | INDIRECT | VIRTIO_BIT(FEATURE));
	CHECK(v3_virtio_has(echo.dev, FEATURE));
	CHECK(!v3_virtio_has(echo.dev, VIRTIO_F_EVENT_IDX));
	rig_accept(V1 | EVENT); /* too late */
	CHECK_EQ(echo.dev->features, V1 | VIRTIO_BIT(FEATURE));
	rig_write(RIG_DFSELECT, 4, 2);
	CHECK_EQ(rig_read(RIG_DF, 4), 0);
	rig_write(RIG_GFSELECT, 4, 0xffffffff);
	CHECK_EQ(rig_read(RIG_GF, 4), 0);
}

static void test_virtio_features_refused(void)
{
	static const uint64_t bad[] = {0, VIRTIO_BIT(FEATURE), V1 | VIRTIO_BIT(4), V1 | 1ull << 63};

	REQUIRE(open_echo(0));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(bad); i++) {
		rig_write(RIG_STATUS, 1, 0);
		CHECK_EQ(rig_status(), 0);
		rig_accept(bad[i]);
		rig_write(RIG_STATUS, 1, 0x0b);
		CHECK_EQ(rig_status(), 0x03);
		rig_write(RIG_STATUS, 1, 0x0f); /* cannot go live without */
		CHECK_EQ(rig_status(), 0x03);
	}
}

static void test_virtio_status_grows_only(void)
{
	REQUIRE(open_echo(0));
	rig_write(RIG_STATUS, 1, 0x01);
	CHECK_EQ(rig_status(), 0x0f);
	rig_write(RIG_STATUS, 1, 0xff);
	CHECK_EQ(rig_status(), 0x8f); /* NEEDS_RESET is the device's, reserved bits are nobody's */
	rig_write(RIG_STATUS, 1, 0);
	CHECK_EQ(rig_status(), 0);
	CHECK(!echo.live);
	CHECK_EQ(rig_read(RIG_CFGVEC, 2), 0xffff);
	rig_write(RIG_QSEL, 2, 1);
	CHECK_EQ(rig_read(RIG_QENABLE, 2), 0);
	CHECK_EQ(rig_read(RIG_QLEN, 2), 256);
	CHECK_EQ(rig_read(RIG_QVEC, 2), 0xffff);
}

static void test_virtio_queue_registers(void)
{
	REQUIRE(open_echo(0));
	CHECK_EQ(rig_read(RIG_NUMQ, 2), 2);
	rig_write(RIG_QSEL, 2, 1);
	CHECK_EQ(rig_read(RIG_QNOTIFY, 2), 1);
	CHECK_EQ(rig_read(RIG_QDESC, 4), RIG_DESC(1));
	CHECK_EQ(fake_mmio_read(bench.vm, RIG_BAR + RIG_QUSED, 8), RIG_USED(1));
	rig_write(RIG_QDESC, 4, 0x1000); /* enabled: fixed */
	rig_write(RIG_QLEN, 2, 8);
	rig_write(RIG_QENABLE, 2, 0);
	CHECK_EQ(rig_read(RIG_QDESC, 4), RIG_DESC(1));
	CHECK_EQ(rig_read(RIG_QLEN, 2), RIG_QSIZE);
	CHECK_EQ(rig_read(RIG_QENABLE, 2), 1);
	rig_write(RIG_QVEC, 2, 3); /* vectors 0..2 exist */
	CHECK_EQ(rig_read(RIG_QVEC, 2), 0xffff);
	rig_write(RIG_CFGVEC, 2, 2);
	CHECK_EQ(rig_read(RIG_CFGVEC, 2), 2);
	rig_write(RIG_QSEL, 2, 2);
	CHECK_EQ(rig_read(RIG_QLEN, 2), 0);
	rig_write(RIG_QLEN, 2, 8);
	rig_write(RIG_QENABLE, 2, 1);
	CHECK_EQ(rig_read(RIG_QENABLE, 2), 0);
	rig_write(RIG_QSEL, 2, 0xffff);
	CHECK_EQ(rig_read(RIG_QNOTIFY, 2), 0);
}

/* A part of a field can be read. What else is not a field of that width reads 0 and writes nothing, 4.1.3.1. */
static void test_virtio_register_widths(void)
{
	REQUIRE(open_echo(0));
	CHECK_EQ(rig_read(RIG_STATUS, 2), 0);
	CHECK_EQ(rig_read(RIG_STATUS, 4), 0);
	rig_write(RIG_DFSELECT, 4, 1);
	CHECK_EQ(rig_read(RIG_DF, 2), (uint16_t)(rig_read(RIG_DF, 4)));
	CHECK(rig_read(RIG_DF, 2) != 0);
	rig_write(RIG_QSEL, 2, 1);
	CHECK_EQ(rig_read(RIG_QDESC + 1, 1), RIG_DESC(1) >> 8 & 0xff);
	CHECK_EQ(rig_read(RIG_QDESC + 2, 2), RIG_DESC(1) >> 16);
	CHECK_EQ(rig_read(RIG_QDESC + 2, 4), 0); /* two fields */
	rig_write(RIG_QLEN, 1, 0);
	CHECK_EQ(rig_read(RIG_QLEN, 2), RIG_QSIZE);
	rig_write(RIG_STATUS, 4, 0);
	rig_write(RIG_STATUS, 2, 0);
	CHECK_EQ(rig_status(), 0x0f);
	CHECK_EQ(rig_read(0x38, 4), 0);
	CHECK_EQ(rig_read(0xffc, 4), 0);
	CHECK_EQ(rig_read(RIG_ISR + 1, 1), 0);
	CHECK_EQ(rig_read(RIG_NOTIFY, 4), 0);
	rig_write(RIG_NOTIFY + 8, 2, 2); /* no such queue */
	rig_write(0x3ffc, 4, 0);
	CHECK_EQ(echo.runs, 0);
}

static void test_virtio_queue_setup_mistakes(void)
{
	static const struct {
		uint16_t len;
		uint64_t desc, avail, used;
	} bad[] = {
		{0, RIG_DESC(0), RIG_AVAIL(0), RIG_USED(0)},
		{7, RIG_DESC(0), RIG_AVAIL(0), RIG_USED(0)},
		{512, RIG_DESC(0), RIG_AVAIL(0), RIG_USED(0)},
		{0x8000, RIG_DESC(0), RIG_AVAIL(0), RIG_USED(0)},
		{16, RIG_DESC(0) + 8, RIG_AVAIL(0), RIG_USED(0)},
		{16, RIG_DESC(0), RIG_AVAIL(0) + 1, RIG_USED(0)},
		{16, RIG_DESC(0), RIG_AVAIL(0), RIG_USED(0) + 2},
		{16, ~0ull & ~15ull, RIG_AVAIL(0), RIG_USED(0)},
		{16, RIG_DESC(0), ~1ull, RIG_USED(0)},
		{16, RIG_DESC(0), RIG_AVAIL(0), ~3ull},
	};

	REQUIRE(open_echo(0));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(bad); i++) {
		rig_write(RIG_STATUS, 1, 0);
		rig_accept(V1);
		rig_write(RIG_STATUS, 1, 0x0b);
		rig_write(RIG_QSEL, 2, 0);
		rig_write(RIG_QLEN, 2, bad[i].len);
		rig_write(RIG_QDESC, 8, bad[i].desc);
		rig_write(RIG_QAVAIL, 8, bad[i].avail);
		rig_write(RIG_QUSED, 8, bad[i].used);
		rig_write(RIG_QENABLE, 2, 1);
		CHECK_MSG(rig_status() == 0x4b, "case %u: status %#x", i, rig_status());
		CHECK_EQ(rig_read(RIG_QENABLE, 2), 0);
		rig_write(RIG_STATUS, 1, 0x0f);
		rig_kick(0);
	}
	CHECK_EQ(echo.runs, 0);
	REQUIRE(rig_init(V1)); /* and works again after a reset */
	CHECK_EQ(rig_request(0, 4, 4), 4);
}

static void test_virtio_device_config(void)
{
	uint32_t value = 0x11223344;

	REQUIRE(open_echo(0));
	CHECK_EQ(rig_read(RIG_GEN, 1), 0);
	v3_virtio_set_config(echo.dev, 8, &value, 4);
	CHECK_EQ(rig_read(RIG_GEN, 1), 1);
	CHECK_EQ(pci_bench_vector(), 0x50); /* configuration change */
	CHECK_EQ(rig_read(RIG_CONFIG + 8, 4), value);
	CHECK_EQ(rig_read(RIG_CONFIG + 9, 2), 0x2233);
	CHECK_EQ(rig_read(RIG_CONFIG + 10, 4), 0); /* past the end */
	CHECK_EQ(fake_mmio_read(bench.vm, RIG_BAR + RIG_CONFIG + 4, 8), (uint64_t)value << 32);
	rig_write(RIG_CONFIG + 2, 2, 0xbeef);
	CHECK_EQ(echo.config_write[0], 2);
	CHECK_EQ(echo.config_write[1], 2);
	CHECK_EQ(echo.config_write[2], 0xbeef);
	rig_write(RIG_CONFIG + 12, 1, 1);
	CHECK_EQ(echo.config_write[0], 2);
}

static unsigned pci_cfg_cap(void)
{
	for (unsigned off = cfg_read(RIG_SLOT, 0x34, 1); off; off = cfg_read(RIG_SLOT, off + 1, 1))
		if (cfg_read(RIG_SLOT, off, 1) == V3_PCI_CAP_VENDOR &&
		    cfg_read(RIG_SLOT, off + 3, 1) == 5)
			return off;
	FAIL("no configuration access capability");
	return 0x40;
}

/* What firmware without access to memory BARs uses, 4.1.4.9. */
static void test_virtio_access_through_configuration_space(void)
{
	unsigned cap;

	REQUIRE(open_echo(0));
	cap = pci_cfg_cap();
	cfg_write(RIG_SLOT, 0x04, 2, 4); /* BARs off */
	cfg_write(RIG_SLOT, cap + 8, 4, RIG_STATUS);
	cfg_write(RIG_SLOT, cap + 12, 4, 1);
	CHECK_EQ(cfg_read(RIG_SLOT, cap + 16, 4), 0x0f);
	cfg_write(RIG_SLOT, cap + 16, 4, 0xffffff80);
	CHECK_EQ(cfg_read(RIG_SLOT, cap + 16, 1), 0x8f);
	cfg_write(RIG_SLOT, cap + 8, 4, RIG_NOTIFY);
	cfg_write(RIG_SLOT, cap + 12, 4, 2);
	cfg_write(RIG_SLOT, cap + 16, 2, 0);
	CHECK_EQ(echo.runs, 1);
	/* what the capability must not describe is plain storage */
	cfg_write(RIG_SLOT, cap + 12, 4, 4);
	cfg_write(RIG_SLOT, cap + 16, 1, 0); /* narrower than the access */
	cfg_write(RIG_SLOT, cap + 12, 4, 3);
	cfg_write(RIG_SLOT, cap + 16, 4, 0);
	cfg_write(RIG_SLOT, cap + 12, 4, 0);
	cfg_write(RIG_SLOT, cap + 16, 4, 0x12345678);
	CHECK_EQ(cfg_read(RIG_SLOT, cap + 16, 4), 0x12345678);
	cfg_write(RIG_SLOT, cap + 12, 4, 4);
	cfg_write(RIG_SLOT, cap + 8, 4, 0x4000); /* past the BAR */
	cfg_write(RIG_SLOT, cap + 16, 4, 0);
	cfg_write(RIG_SLOT, cap + 8, 4, 0xfffffffe);
	cfg_write(RIG_SLOT, cap + 16, 4, 0);
	cfg_write(RIG_SLOT, cap + 8, 4, RIG_NOTIFY);
	cfg_write(RIG_SLOT, cap + 4, 1, 1); /* another BAR */
	cfg_write(RIG_SLOT, cap + 16, 4, 0);
	CHECK_EQ(echo.runs, 1);
}

static void test_virtio_intx_and_isr(void)
{
	unsigned gsi = V3_PC_INTX_GSI(RIG_SLOT, 1);
	uint8_t byte = 1;

	REQUIRE(open_echo(0));
	rig_pci(false);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK(bench.level[gsi]);
	CHECK_EQ(rig_read(RIG_ISR, 1), 1);
	CHECK(!bench.level[gsi]);
	CHECK_EQ(rig_read(RIG_ISR, 1), 0);
	v3_virtio_set_config(echo.dev, 0, &byte, 1);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	rig_write(RIG_ISR, 1, 0);
	CHECK_EQ(rig_read(RIG_ISR, 1), 3);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	rig_write(RIG_STATUS, 1, 0);
	CHECK(!bench.level[gsi]);
	CHECK_EQ(pci_bench_vector(), -1);
}

/* The host's log is slow, and another vcpu resets the device meanwhile. */
static void reset_while_logging(int level, const char *line)
{
	v3_lib.ops = fake_host_ops;
	v3_lib.ops.log(level, line);
	rig_write(RIG_STATUS, 1, 0);
}

/* What the device has to say before a reset it does not say after it: nobody would take the interrupt back. */
static void test_virtio_intx_and_reset(void)
{
	REQUIRE(open_echo(0));
	rig_pci(false);
	rig_init_by_hand(V1, RIG_QSIZE, 0, 0);
	v3_lib.ops.log = reset_while_logging;
	rig_write(RIG_QSEL, 2, 1);
	rig_write(RIG_QLEN, 2, 3);
	rig_write(RIG_QENABLE, 2, 1); /* not a power of two: needs a reset */
	CHECK(v3_lib.ops.log != reset_while_logging);
	CHECK_EQ(rig_status(), 0);
	CHECK(!bench.level[V3_PC_INTX_GSI(RIG_SLOT, 1)]);
	CHECK_EQ(rig_read(RIG_ISR, 1), 0);
}

static void test_virtio_without_bus_master(void)
{
	REQUIRE(open_echo(0));
	cfg_write(RIG_SLOT, 0x04, 2, 2);
	CHECK_EQ(rig_request(0, 4, 4), -1);
	CHECK_EQ(echo.runs, 0);
	cfg_write(RIG_SLOT, 0x04, 2, 6);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 4);
}

static void test_virtio_device_reset(void)
{
	REQUIRE(open_echo(EVENT));
	CHECK_EQ(rig_request(1, 8, 8), 8);
	echo_reset(echo.dev);
	CHECK_EQ(rig_status(), 0);
	CHECK_EQ(echo.dev->features, 0);
	CHECK(!echo.live);
	REQUIRE(rig_init(V1));
	CHECK_EQ(rig_request(1, 8, 8), 8);
}

/* ---- rings ---- */

static void test_virtio_ring_round_trip(void)
{
	REQUIRE(open_echo(0));
	echo_round_trip();
}

static void test_virtio_ring_wraps_around(void)
{
	REQUIRE(open_echo(0));
	rig_q[0].avail = rig_q[0].used = 0;
	for (unsigned i = 0; i < 0x10000 + 40; i++) {
		uint32_t head = 99;

		rig_desc(0, i % RIG_QSIZE, RIG_DATA, 4, RIG_NEXT, (i + 1) % RIG_QSIZE);
		rig_desc(0, (i + 1) % RIG_QSIZE, RIG_DATA + 64, 4, RIG_WRITE, 0);
		rig_offer(0, i % RIG_QSIZE);
		rig_kick(0);
		if (!CHECK_EQ(rig_used(0, &head), 4) || !CHECK_EQ(head, i % RIG_QSIZE))
			break;
	}
	CHECK_EQ(rig_status(), 0x0f);
}

/* Buffers that cross pages and 2 MiB boundaries of host memory that is in pieces of a page. */
static void test_virtio_ring_fragmented_memory(void)
{
	uint8_t data[9000], back[9000];

	fake_ram_fragment(4096);
	REQUIRE(open_echo(0));
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)tap_rand();
	CHECK_EQ(v3_mem_write(bench.vm, 0x5ffff3, data, sizeof(data)), V3_OK);
	rig_desc(0, 0, 0x5ffff3, sizeof(data), RIG_NEXT, 1);
	rig_desc(0, 1, 0x6ff801, sizeof(back), RIG_WRITE, 0);
	rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), sizeof(back));
	CHECK_EQ(v3_mem_read(bench.vm, 0x6ff801, back, sizeof(back)), V3_OK);
	for (unsigned i = 0; i < sizeof(data); i++)
		back[i] = (uint8_t)~back[i];
	CHECK_MEM(back, data, sizeof(data));
}

static void test_virtio_ring_indirect(void)
{
	REQUIRE(open_echo(INDIRECT));
	rig_poke(RIG_DATA, 0x55aa, 2);
	for (unsigned i = 0; i < 15; i++) /* as many as the queue is long, with the two below */
		rig_desc_at(RIG_DATA + 0x10000 + 16 * i, RIG_DATA + 2 * i, 2, RIG_NEXT,
			    (uint16_t)(i + 1));
	rig_desc_at(RIG_DATA + 0x10000 + 16 * 15, RIG_DATA + 0x1000, 64, RIG_WRITE, 3);
	rig_desc(0, 4, RIG_DATA + 0x10000, 256, RIG_INDIRECT | RIG_WRITE, 0);
	rig_offer(0, 4);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 30);
	CHECK_EQ(rig_peek(RIG_DATA + 0x1000, 2), 0xaa55);
	/* after an ordinary one */
	rig_desc_at(RIG_DATA + 0x10000, RIG_DATA + 0x1000, 64, RIG_WRITE, 3);
	rig_desc(0, 1, RIG_DATA, 2, RIG_NEXT, 2);
	rig_desc(0, 2, RIG_DATA + 0x10000, 16, RIG_INDIRECT, 0);
	rig_offer(0, 1);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 2);
	CHECK_EQ(rig_status(), 0x0f);
}

static void test_virtio_ring_empty_buffers(void)
{
	REQUIRE(open_echo(0));
	rig_desc(0, 0, ~0ull, 0, RIG_NEXT, 1);
	rig_desc(0, 1, RIG_DATA, 2, RIG_NEXT, 2);
	rig_desc(0, 2, 0, 0, RIG_NEXT | RIG_WRITE, 3);
	rig_desc(0, 3, RIG_DATA, 2, RIG_WRITE, 0);
	rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 2);
	rig_desc(0, 0, RIG_DATA, 0, 0, 0); /* nothing at all */
	rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 0);
}

static void test_virtio_ring_interrupt_flag(void)
{
	REQUIRE(open_echo(0));
	rig_poke(RIG_AVAIL(0), 1, 2); /* no interrupt, please */
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), -1);
	rig_poke(RIG_AVAIL(0), 0, 2);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), 0x51);
	CHECK_EQ(rig_peek(RIG_USED(0), 2), 0); /* and notifications are wanted */
	rig_write(RIG_QSEL, 2, 0);
	rig_write(RIG_QVEC, 2, 0xffff);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), -1);
}

static void test_virtio_ring_event_index(void)
{
	v3_gpa_t used_event = RIG_AVAIL(0) + 4 + 2 * RIG_QSIZE;

	REQUIRE(open_echo(EVENT));
	rig_poke(RIG_AVAIL(0), 1, 2); /* the flag has no meaning now */
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), 0x51); /* used_event is 0: entry 0 */
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), -1);
	rig_poke(used_event, 4, 2);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), -1);
	CHECK_EQ(rig_request(0, 4, 4), 4);
	CHECK_EQ(pci_bench_vector(), 0x51);
	/* several at once, the event among them */
	rig_poke(used_event, 6, 2);
	for (unsigned i = 0; i < 4; i++)
		rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(pci_bench_vector(), 0x51);
	/* notify at the entry behind the last one taken */
	CHECK_EQ(rig_peek(RIG_USED(0) + 4 + 8 * RIG_QSIZE, 2), 9);
	CHECK_EQ(rig_peek(RIG_USED(0), 2), 0);
}

static void offer_one_more(void)
{
	if (echo.runs == 1)
		rig_kick(0);
}

/* A notification while the queue runs is not lost, and does not run it twice. */
static void test_virtio_ring_kick_while_running(void)
{
	REQUIRE(open_echo(0));
	echo.inside = offer_one_more;
	echo.stall = true;
	CHECK_EQ(rig_request(0, 4, 4), -1);
	CHECK_EQ(echo.runs, 2); /* the second by queued work */
	fake_service(bench.vm);
	CHECK_EQ(echo.runs, 2);
	echo.inside = NULL;
	echo.stall = false;
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 4);
}

static void reset_inside(void)
{
	rig_write(RIG_STATUS, 1, 0);
	CHECK_EQ(rig_status(), 0x0f); /* not yet */
	rig_write(RIG_STATUS, 1, 1);  /* and nothing else counts meanwhile */
	CHECK_EQ(echo.states, 0);
}

/* A reset waits for the queue that runs. */
static void test_virtio_ring_reset_while_running(void)
{
	REQUIRE(open_echo(0));
	echo.states = 0;
	echo.inside = reset_inside;
	CHECK_EQ(rig_request(0, 4, 4), -1);
	CHECK_EQ(echo.chains, 0);
	CHECK_EQ(rig_status(), 0);
	CHECK_EQ(echo.states, 1);
	fake_service(bench.vm);
	CHECK_EQ(echo.runs, 1);
	echo.inside = NULL;
	REQUIRE(rig_init(V1));
	CHECK_EQ(rig_request(0, 4, 4), 4);
}

/* What a bridge does to what is behind it is to the device as if its driver reset it. */
static void test_virtio_bus_reset(void)
{
	REQUIRE(open_echo(0));
	CHECK_EQ(rig_request(0, 4, 4), 4);
	echo.dev->func->desc.bus_reset(echo.dev->func, echo.dev);
	CHECK_EQ(rig_status(), 0);
	CHECK(!echo.live);
	rig_write(RIG_QSEL, 2, 0);
	CHECK_EQ(rig_read(RIG_QENABLE, 2), 0);
	REQUIRE(rig_init(V1));
	CHECK_EQ(rig_request(0, 4, 4), 4);
}

static void test_virtio_ring_budget(void)
{
	REQUIRE(open_echo(0));
	rig_init_by_hand(V1, 256, 0, 0);
	rig_poke(RIG_AVAIL(0) + 2, 256, 2); /* the same chain 256 times */
	rig_kick(0);
	CHECK_EQ(echo.chains, VIRTIO_RUN_BUDGET);
	CHECK_EQ(rig_peek(RIG_USED(0) + 2, 2), VIRTIO_RUN_BUDGET);
	fake_service(bench.vm);
	fake_service(bench.vm);
	fake_service(bench.vm);
	CHECK_EQ(echo.chains, 256);
	CHECK_EQ(rig_peek(RIG_USED(0), 2), 0);
	CHECK_EQ(rig_status(), 0x0f);
}

/* ---- drivers that break the rules ---- */

static void bad_avail_jump(void)
{
	rig_poke(RIG_AVAIL(0) + 2, RIG_QSIZE + 1, 2);
}
static void bad_head(void)
{
	rig_offer(0, RIG_QSIZE);
}
static void bad_next(void)
{
	rig_desc(0, 0, RIG_DATA, 4, RIG_NEXT, RIG_QSIZE);
	rig_offer(0, 0);
}
static void bad_loop(void)
{
	rig_desc(0, 0, RIG_DATA, 4, RIG_NEXT, 1);
	rig_desc(0, 1, RIG_DATA, 4, RIG_NEXT, 0);
	rig_offer(0, 0);
}
static void bad_order(void)
{
	rig_desc(0, 0, RIG_DATA, 4, RIG_NEXT | RIG_WRITE, 1);
	rig_desc(0, 1, RIG_DATA, 4, 0, 0);
	rig_offer(0, 0);
}
static void bad_wrap(void)
{
	rig_desc(0, 0, ~0ull - 2, 4, 0, 0);
	rig_offer(0, 0);
}
static void bad_not_ram(void)
{
	rig_desc(0, 0, 0x80000000, 4, 0, 0);
	rig_offer(0, 0);
}
static void bad_end_not_ram(void)
{
	rig_desc(0, 0, RIG_DATA, 64, RIG_NEXT, 1);
	rig_desc(0, 1, 0xfffff0, 32, RIG_WRITE, 0);
	rig_offer(0, 0);
}
static void bad_indirect(uint64_t table, uint32_t len, uint16_t flags)
{
	rig_desc_at(RIG_DATA, RIG_DATA + 64, 4, 0, 0);
	rig_desc(0, 0, table, len, RIG_INDIRECT | flags, 1);
	rig_offer(0, 0);
}
static void bad_indirect_len(void)
{
	bad_indirect(RIG_DATA, 17, 0);
}
static void bad_indirect_empty(void)
{
	bad_indirect(RIG_DATA, 0, 0);
}
static void bad_indirect_align(void)
{
	bad_indirect(RIG_DATA + 4, 16, 0);
}
static void bad_indirect_next(void)
{
	bad_indirect(RIG_DATA, 16, RIG_NEXT);
}
static void bad_indirect_wrap(void)
{
	bad_indirect(~0ull & ~15ull, 32, 0);
}
static void bad_indirect_not_ram(void)
{
	bad_indirect(0x80000000, 32, 0);
}
static void bad_indirect_nested(void)
{
	rig_desc_at(RIG_DATA, RIG_DATA + 64, 16, RIG_INDIRECT, 0);
	rig_desc(0, 0, RIG_DATA, 16, RIG_INDIRECT, 0);
	rig_offer(0, 0);
}
static void bad_indirect_index(void)
{
	rig_desc_at(RIG_DATA, RIG_DATA + 64, 4, RIG_NEXT, 1);
	rig_desc(0, 0, RIG_DATA, 16, RIG_INDIRECT, 0);
	rig_offer(0, 0);
}
static void bad_indirect_long(void)
{
	for (unsigned i = 0; i <= RIG_QSIZE; i++)
		rig_desc_at(RIG_DATA + 16 * i, RIG_DATA, 4, i < RIG_QSIZE ? RIG_NEXT : 0,
			    (uint16_t)(i + 1));
	rig_desc(0, 0, RIG_DATA, 16 * (RIG_QSIZE + 1), RIG_INDIRECT, 0);
	rig_offer(0, 0);
}

static const struct {
	void (*setup)(void);
	const char *why;
} bad_drivers[] = {
	{bad_avail_jump, "index jumps"},
	{bad_head, "index is out of range"},
	{bad_next, "index is out of range"},
	{bad_loop, "longer than its queue"},
	{bad_order, "readable buffer follows"},
	{bad_wrap, "buffer wraps"},
	{bad_not_ram, "buffer lies outside RAM"},
	{bad_end_not_ram, "buffer lies outside RAM"},
	{bad_indirect_len, "odd size or address"},
	{bad_indirect_empty, "odd size or address"},
	{bad_indirect_align, "odd size or address"},
	{bad_indirect_next, "with a next one"},
	{bad_indirect_wrap, "table wraps"},
	{bad_indirect_not_ram, "ring lies outside RAM"},
	{bad_indirect_nested, "inside an indirect table"},
	{bad_indirect_index, "index is out of range"},
	{bad_indirect_long, "longer than its queue"},
};

/* The device needs a reset, says so by a configuration interrupt, and is as good as new after one. */
static void test_virtio_ring_bad_drivers(void)
{
	REQUIRE(open_echo(INDIRECT));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(bad_drivers); i++) {
		REQUIRE(rig_init(V1 | INDIRECT));
		sent.n = 0;
		fake_log_clear();
		bad_drivers[i].setup();
		rig_kick(0);
		CHECK_MSG(rig_status() == 0x4f, "case %u: status %#x", i, rig_status());
		CHECK_MSG(sent.n > 0 && sent.msg[0].vector == 0x50, "case %u: no interrupt", i);
		if (i < 3) /* further lines of one call site are rationed */
			CHECK(fake_log_contains(bad_drivers[i].why));
		rig_write(RIG_STATUS, 1, 0x0f); /* cannot be talked out of it */
		CHECK_EQ(rig_status(), 0x4f);
		echo.runs = 0;
		rig_kick(1);
		CHECK_EQ(echo.runs, 0);
	}
	REQUIRE(rig_init(V1));
	CHECK_EQ(rig_request(0, 4, 4), 4);
}

static void test_virtio_ring_indirect_needs_its_feature(void)
{
	REQUIRE(open_echo(0));
	bad_indirect(RIG_DATA, 16, 0);
	rig_kick(0);
	CHECK_EQ(rig_status(), 0x4f);
	CHECK(fake_log_contains("feature was not accepted"));
}

static void test_virtio_ring_rings_outside_ram(void)
{
	static const unsigned reg[] = {RIG_QDESC, RIG_QAVAIL, RIG_QUSED};

	REQUIRE(open_echo(0));
	for (unsigned i = 0; i < 3; i++) {
		rig_init_by_hand(V1, RIG_QSIZE, reg[i], 0xc0000000);
		rig_q[0].avail = 0;
		rig_desc(0, 0, RIG_DATA, 4, 0, 0);
		rig_offer(0, 0);
		rig_kick(0);
		CHECK_EQ(rig_status(), 0x4f);
	}
}

/* Random descriptors, rings, registers and notifications, with resets now and then. */
static void hostile_step(void)
{
	static const uint64_t bases[] = {RIG_DATA, RIG_DESC(0), RIG_AVAIL(0), 0xfff000, ~0ull - 64};
	uint64_t r = tap_rand();
	unsigned q = r & 1;

	switch (r >> 1 & 15) {
	case 0:
		rig_write((unsigned)(r >> 8 & 0x3f), 1u << (r >> 16 & 3), tap_rand());
		break;
	case 1:
		rig_poke(RIG_AVAIL(q) + 2, r >> 16 & 0xffff, 2);
		break;
	case 2:
		rig_poke(RIG_AVAIL(q) + 4 + (r >> 8 & 30), r >> 16 & 0x1f, 2);
		break;
	case 3:
		if (!(r >> 8 & 7) || rig_status() & 0x40 || !(rig_status() & 4)) {
			rig_write(RIG_STATUS, 1, 0);
			if (rig_status() == 0)
				rig_init(V1 | (r >> 32 & 1 ? INDIRECT : 0) |
					 (r >> 33 & 1 ? EVENT : 0));
		}
		break;
	case 4:
	case 5:
	case 6:
		rig_offer(q, (uint16_t)(r >> 16 & (RIG_QSIZE - 1)));
		rig_kick(q);
		break;
	case 7:
		fake_service(bench.vm);
		break;
	default:
		rig_desc(q, (unsigned)(r >> 8 & 15),
			 bases[(r >> 12 & 0xff) % 5] + (r >> 20 & 0xff0),
			 (uint32_t)(r >> 32 & 1 ? r >> 33 & 0x3f : 16 * (r >> 33 & 7)),
			 (uint16_t)(r >> 48 & 7), (uint16_t)(r >> 52 & (r >> 63 ? 31 : 15)));
		break;
	}
}

static void test_virtio_ring_hostile(void)
{
	REQUIRE(open_echo(EVENT | INDIRECT));
	for (unsigned i = 0; i < 60000 && !tap.failures; i++)
		hostile_step();
	CHECK(echo.chains > 100); /* it was not all refused */
	rig_write(RIG_STATUS, 1, 0);
	CHECK_EQ(rig_status(), 0);
	REQUIRE(rig_init(V1));
	CHECK_EQ(rig_request(0, 4, 4), 4);
}

static volatile bool stop;

/* Another vcpu that kicks and resets while the first one does. */
static void *meddler(void *arg)
{
	struct v3_vcpu *vcpu = arg;
	uint32_t n = 0;

	while (!stop) {
		fake_vcpu_mmio_write(vcpu, RIG_BAR + RIG_NOTIFY + 4 * (n++ & 1), 2, 0);
		if (!(n & 63))
			fake_vcpu_mmio_write(vcpu, RIG_BAR + RIG_STATUS, 1, 0);
		fake_vcpu_mmio_read(vcpu, RIG_BAR + RIG_STATUS, 1);
	}
	return NULL;
}

static void test_virtio_ring_two_vcpus(void)
{
	struct v3_pci_func *func;
	pthread_t thread;
	void *dev;

	memset(&echo, 0, sizeof(echo));
	memset(&bench, 0, sizeof(bench));
	REQUIRE_EQ(fake_vm_create(fake_pc_toml(2, 16), NULL, 0, &bench.vm), V3_OK);
	bench_cfg = fake_cfg(&echo_device, "slot = 5\n");
	REQUIRE(bench_cfg);
	REQUIRE_EQ(echo_create(bench.vm, bench_cfg, &dev), V3_OK);
	func = echo.dev->func;
	CHECK_EQ(v3_pci_slot(func), RIG_SLOT);
	rig_pci(false);
	stop = false;
	REQUIRE_EQ(pthread_create(&thread, NULL, meddler, bench.vm->vcpu[1]), 0);
	for (unsigned i = 0; i < 300; i++) {
		rig_write(RIG_STATUS, 1, 0);
		rig_accept(V1);
		rig_write(RIG_STATUS, 1, 0x0b);
		rig_queue(0);
		rig_write(RIG_STATUS, 1, 0x0f);
		for (unsigned k = 0; k < 20; k++) {
			rig_desc(0, 0, RIG_DATA, 64, RIG_NEXT, 1);
			rig_desc(0, 1, RIG_DATA + 64, 64, RIG_WRITE, 0);
			rig_offer(0, 0);
			rig_kick(0);
		}
	}
	stop = true;
	pthread_join(thread, NULL);
	fake_service(bench.vm);
	rig_write(RIG_STATUS, 1, 0);
	CHECK_EQ(rig_status(), 0);
	CHECK_EQ(echo.dev->running, 0);
	REQUIRE(rig_init(V1));
	CHECK_EQ(rig_request(0, 4, 4), 4);
	v3_virtio_destroy(echo.dev);
}

/* ---- create ---- */

static int oom_create(void *arg)
{
	int err;

	(void)arg;
	bench.vm->ndevices++;
	err = echo_create(bench.vm, bench_cfg, &bench.dev);
	bench.vm->ndevices--;
	return err;
}

static void oom_destroy(void *arg)
{
	(void)arg;
	v3_virtio_destroy(echo.dev);
}

static void test_virtio_oom(void)
{
	memset(&echo, 0, sizeof(echo));
	REQUIRE(pci_bench_open());
	bench_cfg = fake_cfg(&echo_device, "transitional = true\n");
	REQUIRE(bench_cfg);
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, NULL) >= 5);
	v3_virtio_destroy(NULL);
}

static int create_at(const char *keys)
{
	int err;

	bench.vm->ndevices++;
	err = fake_device_create(bench.vm, &echo_device, keys, &bench.dev);
	bench.vm->ndevices--;
	return err;
}

static void test_virtio_create_refuses(void)
{
	struct v3_virtio_params params = {.nqueues = 1};
	struct v3_virtio *dev;
	void *first;

	bench.vm = fake_vm_bare(1, 16);
	REQUIRE(bench.vm);
	CHECK_EQ(fake_device_create(bench.vm, &echo_device, "", &first), V3_ENODEV);
	REQUIRE(open_echo(0));
	CHECK_EQ(create_at("slot = 5\n"), V3_EEXIST);
	CHECK_EQ(create_at(""), V3_OK);
	CHECK_EQ(v3_pci_slot(echo.dev->func), 1);
	params.cfg = fake_cfg(&echo_device, "transitional = true\n");
	REQUIRE(params.cfg);
	bench.vm->ndevices++;
	CHECK_EQ(v3_virtio_create(bench.vm, &echo_class, &params, &echo, &dev), V3_EINVAL);
	bench.vm->ndevices--;
	CHECK(fake_log_contains("echo has no transitional form"));
}

static const struct tap_test tests[] = {
	TAP(test_virtio_pci_identity),
	TAP(test_virtio_pci_capabilities),
	TAP(test_virtio_features),
	TAP(test_virtio_features_refused),
	TAP(test_virtio_status_grows_only),
	TAP(test_virtio_queue_registers),
	TAP(test_virtio_register_widths),
	TAP(test_virtio_queue_setup_mistakes),
	TAP(test_virtio_device_config),
	TAP(test_virtio_access_through_configuration_space),
	TAP(test_virtio_intx_and_isr),
	TAP(test_virtio_intx_and_reset),
	TAP(test_virtio_without_bus_master),
	TAP(test_virtio_device_reset),
	TAP(test_virtio_ring_round_trip),
	TAP(test_virtio_ring_wraps_around),
	TAP(test_virtio_ring_fragmented_memory),
	TAP(test_virtio_ring_indirect),
	TAP(test_virtio_ring_empty_buffers),
	TAP(test_virtio_ring_interrupt_flag),
	TAP(test_virtio_ring_event_index),
	TAP(test_virtio_ring_kick_while_running),
	TAP(test_virtio_ring_reset_while_running),
	TAP(test_virtio_bus_reset),
	TAP(test_virtio_ring_budget),
	TAP(test_virtio_ring_bad_drivers),
	TAP(test_virtio_ring_indirect_needs_its_feature),
	TAP(test_virtio_ring_rings_outside_ram),
	TAP(test_virtio_ring_hostile),
	TAP(test_virtio_ring_two_vcpus),
	TAP(test_virtio_oom),
	TAP(test_virtio_create_refuses),
};
TAP_MAIN(tests)
