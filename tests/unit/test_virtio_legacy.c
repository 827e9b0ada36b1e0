/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_virtio_legacy.c
 * Transitional devices under a driver older than virtio 1.0: the legacy registers (virtio 1.2, 4.1.4.10), queues by
 * page number, and what happens if a driver mixes both sets of registers. The device sends back what it gets.
 */
#include "virtio_echo.h"

#define PORT	0xc000
#define QPAGE	(RIG_RINGS >> 12)
#define QSIZE	256
#define L_AVAIL (RIG_RINGS + 16 * QSIZE)
#define L_USED	((L_AVAIL + 6 + 2 * QSIZE + 0xfff) & ~0xfffull)

enum { L_OFFERED = 0, L_FEATURES = 4, L_PAGE = 8, L_SIZE = 12, L_SELECT = 14, L_NOTIFY = 16 };
enum { L_STATUS = 18, L_ISR = 19, L_CFGVEC = 20, L_QVEC = 22, L_CONFIG = 20, L_CONFIG_MSIX = 24 };

static uint32_t get(unsigned off, unsigned size)
{
	return fake_in(bench.vm, (uint16_t)(PORT + off), size);
}

static void put(unsigned off, unsigned size, uint32_t value)
{
	CHECK_EQ(fake_out(bench.vm, (uint16_t)(PORT + off), size, value), V3_OK);
}

static void msix(bool on)
{
	unsigned cap = cfg_cap(RIG_SLOT, V3_PCI_CAP_MSIX);

	cfg_write(RIG_SLOT, cap + 2, 2, on ? 0x8000 : 0);
	for (unsigned v = 0; v < 3; v++) {
		fake_mmio_write(bench.vm, RIG_TABLE + 16 * v, 8, 0xfee00000);
		fake_mmio_write(bench.vm, RIG_TABLE + 16 * v + 8, 8, 0x50 + v);
	}
}

/* The device with its three BARs, no driver yet. */
static bool open_legacy(void)
{
	void *dev;

	memset(&echo, 0, sizeof(echo));
	rig_packed = false;
	if (!pci_bench_open())
		return false;
	bench.vm->ndevices++;
	CHECK_EQ(
		fake_device_create(bench.vm, &echo_device, "slot = 5\ntransitional = true\n", &dev),
		V3_OK);
	bench.vm->ndevices--;
	cfg_write(RIG_SLOT, 0x10, 4, PORT);
	cfg_write(RIG_SLOT, 0x14, 4, RIG_TABLE);
	cfg_write(RIG_SLOT, 0x18, 4, RIG_BAR);
	cfg_write(RIG_SLOT, 0x04, 2, 7);
	return echo.dev != NULL;
}

/* As a driver of old times does; queue 0 alone. */
static void init_legacy(uint32_t features)
{
	put(L_STATUS, 1, 0);
	put(L_STATUS, 1, 1);
	put(L_STATUS, 1, 3);
	put(L_FEATURES, 4, features);
	put(L_SELECT, 2, 0);
	CHECK_EQ(get(L_PAGE, 4), 0);
	CHECK_EQ(v3_mem_set(bench.vm, RIG_RINGS, 0, 0x10000), V3_OK);
	put(L_PAGE, 4, QPAGE);
}

static long request(unsigned n)
{
	rig_desc(0, 0, RIG_DATA, 4, RIG_NEXT, 1);
	rig_desc(0, 1, RIG_DATA + 64, 4, RIG_WRITE, 0);
	rig_poke(L_AVAIL + 4 + 2 * ((n - 1) % QSIZE), 0, 2);
	rig_poke(L_AVAIL + 2, n, 2);
	put(L_NOTIFY, 2, 0);
	if ((uint16_t)rig_peek(L_USED + 2, 2) != n)
		return -1;
	return (long)rig_peek(L_USED + 4 + 8 * ((n - 1) % QSIZE) + 4, 4);
}

static void test_virtio_legacy_identity(void)
{
	REQUIRE(open_legacy());
	CHECK_EQ(cfg_read(RIG_SLOT, 0x00, 4), 0x10021af4); /* 4.1.2.1 */
	CHECK_EQ(cfg_read(RIG_SLOT, 0x08, 1), 0);
	CHECK_EQ(cfg_read(RIG_SLOT, 0x2c, 4), 0x00051af4);
	CHECK_EQ(cfg_read(RIG_SLOT, 0x10, 4), PORT | 1);
	for (unsigned off = cfg_read(RIG_SLOT, 0x34, 1); off;
	     off = cfg_read(RIG_SLOT, off + 1, 1)) {
		if (cfg_read(RIG_SLOT, off, 1) == V3_PCI_CAP_VENDOR)
			CHECK_EQ(cfg_read(RIG_SLOT, off + 4, 1), 2);
	}
}

static void test_virtio_legacy_registers(void)
{
	uint32_t value = 0x11223344;

	REQUIRE(open_legacy());
	v3_virtio_set_config(echo.dev, 0, &value, 4);
	CHECK_EQ(get(L_OFFERED, 4),
		 (uint32_t)(EVENT | INDIRECT | VIRTIO_BIT(27) | VIRTIO_BIT(FEATURE)));
	put(L_FEATURES, 4, 0xffffffff);
	CHECK_EQ(get(L_FEATURES, 4), get(L_OFFERED, 4));
	CHECK_EQ(get(L_SIZE, 2), QSIZE);
	put(L_SIZE, 2, 8); /* the device's choice alone */
	CHECK_EQ(get(L_SIZE, 2), QSIZE);
	put(L_SELECT, 2, 2);
	CHECK_EQ(get(L_SELECT, 2), 2);
	CHECK_EQ(get(L_SIZE, 2), 0);
	CHECK_EQ(get(L_PAGE, 4), 0);
	put(L_PAGE, 4, 1);
	put(L_NOTIFY, 2, 2);
	CHECK_EQ(get(L_NOTIFY, 2), 0);
	CHECK_EQ(get(L_STATUS, 2), 0); /* not a register's width */
	put(L_STATUS, 2, 3);
	CHECK_EQ(get(L_STATUS, 1), 0);
	CHECK_EQ(get(L_CONFIG, 4), value);
	CHECK_EQ(get(L_CONFIG + 1, 1), 0x33);
	put(L_CONFIG + 2, 2, 0xbeef);
	CHECK_EQ(echo.config_write[0], 2);
	CHECK_EQ(echo.config_write[2], 0xbeef);
	CHECK_EQ(get(L_CONFIG + 12, 4), 0);
	CHECK_EQ(get(100, 4), 0);
	msix(true);
	CHECK_EQ(get(L_CFGVEC, 2), 0xffff);
	put(L_CFGVEC, 2, 2);
	CHECK_EQ(get(L_CFGVEC, 2), 2);
	put(L_QVEC, 2, 1); /* of no queue */
	CHECK_EQ(get(L_QVEC, 2), 0xffff);
	put(L_SELECT, 2, 1);
	put(L_QVEC, 2, 3); /* no such vector */
	CHECK_EQ(get(L_QVEC, 2), 0xffff);
	put(L_QVEC, 2, 1);
	CHECK_EQ(get(L_QVEC, 2), 1);
	CHECK_EQ(get(L_CONFIG_MSIX, 4), value);
}

static void test_virtio_legacy_round_trip(void)
{
	REQUIRE(open_legacy());
	init_legacy(1u << FEATURE);
	CHECK_EQ(get(L_PAGE, 4), QPAGE);
	CHECK(!echo.live);
	put(L_STATUS, 1, 7);
	CHECK(echo.live);
	CHECK_EQ(get(L_STATUS, 1), 7); /* FEATURES_OK is nothing it knows */
	CHECK(v3_virtio_has(echo.dev, FEATURE));
	CHECK(!v3_virtio_has(echo.dev, VIRTIO_F_VERSION_1));
	put(L_FEATURES, 4, 0); /* too late */
	CHECK(v3_virtio_has(echo.dev, FEATURE));
	for (unsigned n = 1; n < 600; n++)
		CHECK_EQ(request(n), 4);
	CHECK(bench.level[V3_PC_INTX_GSI(RIG_SLOT, 1)]);
	CHECK_EQ(get(L_ISR, 1), 1);
	CHECK(!bench.level[V3_PC_INTX_GSI(RIG_SLOT, 1)]);
	CHECK_EQ(get(L_ISR, 1), 0);
	put(L_PAGE, 4, 0); /* gives the queue up */
	CHECK_EQ(get(L_PAGE, 4), 0);
	echo.runs = 0;
	put(L_NOTIFY, 2, 0);
	CHECK_EQ(echo.runs, 0);
	put(L_STATUS, 1, 0);
	CHECK_EQ(get(L_STATUS, 1), 0);
	CHECK(!echo.live);
}

static void test_virtio_legacy_messages(void)
{
	REQUIRE(open_legacy());
	msix(true);
	init_legacy(0);
	put(L_QVEC, 2, 1);
	put(L_STATUS, 1, 7);
	CHECK_EQ(get(L_QVEC, 2), 1);
	CHECK_EQ(request(1), 4);
	CHECK_EQ(pci_bench_vector(), 0x51);
}

/* Drivers that use the device while they are still looking at it. */
static void test_virtio_legacy_notifies_early(void)
{
	REQUIRE(open_legacy());
	init_legacy(0);
	CHECK_EQ(request(1), 4);
	CHECK(echo.live);
	put(L_STATUS, 1, 7);
	CHECK_EQ(request(2), 4);
	put(L_STATUS, 1, 0);
	put(L_STATUS, 1, 1); /* no driver yet */
	put(L_PAGE, 4, QPAGE);
	put(L_NOTIFY, 2, 0);
	CHECK(!echo.live);
}

static void move_inside(void)
{
	put(L_SELECT, 2, 0);
	put(L_PAGE, 4, QPAGE + 16);
}

static void test_virtio_legacy_bad_drivers(void)
{
	REQUIRE(open_legacy());
	init_legacy(0);
	put(L_PAGE, 4, 0xfffffff); /* no RAM there */
	put(L_STATUS, 1, 7);
	put(L_NOTIFY, 2, 0);
	CHECK_EQ(get(L_STATUS, 1), 0x47);
	init_legacy(0);
	put(L_STATUS, 1, 7);
	echo.inside = move_inside;
	put(L_NOTIFY, 2, 0);
	echo.inside = NULL;
	CHECK_EQ(get(L_STATUS, 1), 0x47);
	CHECK(fake_log_contains("moved while it runs"));
	init_legacy(0);
	CHECK_EQ(request(1), 4);
}

/* Features and queues by the modern registers, the rest by the legacy ones: then the legacy rules hold. */
static void test_virtio_legacy_mixed(void)
{
	REQUIRE(open_legacy());
	rig_write(RIG_STATUS, 1, 3);
	rig_accept(V1 | PACKED | VIRTIO_BIT(FEATURE));
	rig_write(RIG_QSEL, 2, 0);
	rig_write(RIG_QLEN, 2, 3); /* good for a packed ring only */
	rig_write(RIG_QENABLE, 2, 1);
	CHECK_EQ(rig_read(RIG_QENABLE, 2), 1);
	put(L_STATUS, 1, 7);
	CHECK_EQ(get(L_STATUS, 1), 3);
	CHECK(!echo.live);
	put(L_STATUS, 1, 0);
	REQUIRE(rig_init(V1 | PACKED)); /* a modern driver is as good */
	CHECK_EQ(rig_request(0, 4, 4), 4);
}

static void test_virtio_legacy_hostile(void)
{
	REQUIRE(open_legacy());
	for (unsigned i = 0; i < 40000 && !tap.failures; i++) {
		uint64_t r = tap_rand();
		unsigned off = r >> 8 & 31, size = 1u << (r >> 16 & 1) << (r >> 17 & 1);

		switch (r & 7) {
		case 0:
			get(off, size);
			break;
		case 1:
			put(off, size, bench_hostile_value() & (~0u >> (32 - 8 * size)));
			break;
		case 2:
			rig_write((unsigned)(r >> 24 & 0x3f), 1u << (r >> 32 & 3), tap_rand());
			break;
		case 3:
			init_legacy((uint32_t)(r >> 24));
			break;
		case 4:
			rig_poke(L_AVAIL + (r >> 24 & 0x3e), r >> 32 & 0xff, 2);
			break;
		default:
			request(1);
			break;
		}
	}
	CHECK(echo.chains > 100);
	put(L_STATUS, 1, 0);
	cfg_write(RIG_SLOT, 0x04, 2, 7);
	msix(false);
	init_legacy(0);
	CHECK_EQ(request(1), 4);
}

static const struct tap_test tests[] = {
	TAP(test_virtio_legacy_identity),	TAP(test_virtio_legacy_registers),
	TAP(test_virtio_legacy_round_trip),	TAP(test_virtio_legacy_messages),
	TAP(test_virtio_legacy_notifies_early), TAP(test_virtio_legacy_bad_drivers),
	TAP(test_virtio_legacy_mixed),		TAP(test_virtio_legacy_hostile),
};
TAP_MAIN(tests)
