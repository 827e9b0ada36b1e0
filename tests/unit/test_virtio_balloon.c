/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_virtio_balloon.c
 * The virtio memory balloon: pages that the driver gives back and takes again, free pages that it reports, targets and
 * statistics; and drivers that give away what they should not.
 */
#include "host/host.h"
#include "palacios/balloon.h"
#include "virtio_rig.h"

#define PAGE	  V3_PAGE_SIZE
#define VERSION_1 VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define FEATURES  0x27	    /* all that is offered beside the ring's */
#define NEEDS	  0x4f	    /* device status after a mistake of the driver */
#define FREE	  0x600000u /* memory of the guest that it does not use; 2 MiB */
#define Q_INFLATE 0
#define Q_DEFLATE 1
#define Q_STATS	  2
#define UNKNOWN	  V3_BALLOON_UNKNOWN

static void *device;

static bool open_balloon(const char *keys, uint64_t features)
{
	if (!rig_open(&v3_device_virtio_balloon, keys, FEATURES | features, &device))
		return false;
	bench.vm->device[bench.vm->ndevices].cls = &v3_device_virtio_balloon;
	bench.vm->device[bench.vm->ndevices].state = device;
	return true;
}

static struct v3_balloon get(void)
{
	struct v3_balloon b = {.told = 99};

	bench.vm->ndevices++;
	CHECK_EQ(v3_balloon_get(bench.vm, &b), V3_OK);
	bench.vm->ndevices--;
	return b;
}

static int set(uint64_t bytes)
{
	int err;

	bench.vm->ndevices++;
	err = v3_balloon_set(bench.vm, bytes);
	bench.vm->ndevices--;
	return err;
}

static void check_released(uint64_t npages)
{
	struct v3_balloon b = get();

	CHECK_EQ(b.released, npages * PAGE);
	CHECK_EQ(b.freed, npages * PAGE);
}

/* Page numbers in a buffer of @p bytes bytes, to the end. @return as rig_used() */
static long send_pages(unsigned q, const uint32_t *pfn, unsigned n, uint32_t bytes)
{
	for (unsigned i = 0; i < n; i++)
		rig_poke(RIG_DATA + 4 * i, pfn[i], 4);
	rig_desc(q, 0, RIG_DATA, bytes, 0, 0);
	rig_offer(q, 0);
	rig_kick(q);
	fake_service(bench.vm);
	fake_service(bench.vm);
	return rig_used(q, NULL);
}

static void test_virtio_balloon_identity(void)
{
	REQUIRE(open_balloon("", 0));
	CHECK_EQ(cfg_read(RIG_SLOT, 0, 4), 0x10451af4);
	CHECK_EQ(rig_offered() & 0xffffff, FEATURES);
	CHECK_EQ(rig_read(RIG_NUMQ, 2), 5);
	CHECK_EQ(rig_read(RIG_CONFIG, 4), 0);
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 4), 0);
	CHECK_EQ(rig_read(RIG_CONFIG + 8, 4), 0); /* not there */
}

/* The driver gives pages back, the host has them, and the guest finds them empty when it uses them again. */
static void balloon_inflates(uint64_t features)
{
	static const uint32_t pfn[] = {FREE >> 12, (FREE >> 12) + 1, (FREE >> 12) + 7,
				       (FREE >> 12) + 5, (FREE >> 12) + 5};
	uint64_t used;

	REQUIRE(open_balloon("", features));
	used = fake_ram_used();
	rig_poke(FREE, 0x1111, 8);
	rig_poke(FREE + 2 * PAGE, 0x2222, 8);
	rig_poke(FREE + 7 * PAGE, 0x3333, 8);
	CHECK_EQ(send_pages(Q_INFLATE, pfn, 5, 20), 0);
	check_released(4);
	CHECK_EQ(fake_ram_used(), used - 4 * PAGE);
	CHECK_EQ(send_pages(Q_INFLATE, pfn, 2, 8), 0); /* once more: nothing */
	check_released(4);
	rig_write(RIG_CONFIG + 4, 4, 4);
	CHECK_EQ(get().actual, 4 * PAGE);
	CHECK_EQ(rig_peek(FREE + 2 * PAGE, 8), 0x2222);
	CHECK_EQ(send_pages(Q_DEFLATE, pfn, 5, 20), 0);
	check_released(4); /* nothing is allocated before it is touched */
	rig_poke(FREE + 7 * PAGE + 8, 0x4444, 8);
	CHECK_EQ(rig_peek(FREE + 7 * PAGE, 8), 0);
	CHECK_EQ(rig_peek(FREE, 8), 0);
	check_released(2);
	CHECK_EQ(rig_status(), 0x0f);
}

static void test_virtio_balloon_inflates(void)
{
	balloon_inflates(0);
}

static void test_virtio_balloon_inflates_packed(void)
{
	balloon_inflates(VIRTIO_BIT(VIRTIO_F_RING_PACKED));
}

static void test_virtio_balloon_long_runs(void)
{
	static uint32_t pfn[1000];

	REQUIRE(open_balloon("", 0));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(pfn); i++)
		pfn[i] = (FREE >> 12) + (i ^ 3);
	CHECK_EQ(send_pages(Q_INFLATE, pfn, V3_ARRAY_SIZE(pfn), sizeof(pfn)), 0);
	check_released(1000);
	CHECK_EQ(rig_status(), 0x0f);
}

static void check_refused(const uint32_t *pfn, unsigned n, uint32_t bytes)
{
	CHECK_EQ(send_pages(Q_INFLATE, pfn, n, bytes), -1);
	CHECK_EQ(rig_status(), NEEDS);
	REQUIRE(rig_init(VERSION_1 | FEATURES));
}

/* Whatever page it names: the device needs a reset or the guest has an empty page, and that is all. */
static void test_virtio_balloon_hostile_pages(void)
{
	static const uint32_t wrong[] = {0x1000 /* the end of RAM */, 0xfee00, 0xffffffff,
					 0x80000000};
	static const uint32_t row[] = {FREE >> 12, 0xfff, 0x1000};

	REQUIRE(open_balloon("", 0));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(wrong); i++)
		check_refused(&wrong[i], 1, 4);
	CHECK(fake_log_contains("virtio_balloon in slot 5 needs a reset"));
	check_refused(row, 3, 12);
	check_refused(row, 2, 6);
	check_refused(row, 2, 65536 + 4);
	CHECK_EQ(send_pages(Q_INFLATE, row, 0, 0), 0);
	CHECK_EQ(send_pages(Q_INFLATE, row, 2, 8), 0);
	CHECK_EQ(rig_status(), 0x0f);
}

/* The rings themselves: they are empty the next time they are looked at. */
static void test_virtio_balloon_own_rings(void)
{
	static const uint32_t pfn[] = {RIG_DESC(0) >> 12,  RIG_AVAIL(0) >> 12, RIG_USED(0) >> 12,
				       RIG_AVAIL(1) >> 12, RIG_USED(1) >> 12,  RIG_DATA >> 12};

	REQUIRE(open_balloon("", 0));
	CHECK_EQ(send_pages(Q_DEFLATE, pfn, 6, 24), 0); /* the device remembers where these are */
	send_pages(Q_INFLATE, pfn, 6, 24);
	CHECK_EQ(rig_status(), NEEDS); /* the available index is 0 again */
	CHECK_EQ(get().released, get().freed);
	CHECK(get().freed);
	REQUIRE(rig_init(VERSION_1 | FEATURES));
	CHECK_EQ(send_pages(Q_DEFLATE, pfn, 6, 24), 0);
}

/* ---- free page reporting ---- */

static void report(unsigned q, uint64_t gpa, uint32_t len, long want)
{
	rig_desc(q, 0, gpa, len, RIG_WRITE, 0);
	rig_offer(q, 0);
	rig_kick(q);
	fake_service(bench.vm);
	fake_service(bench.vm);
	CHECK_EQ(rig_used(q, NULL), want);
}

static void test_virtio_balloon_reported_pages(void)
{
	uint64_t used;

	REQUIRE(open_balloon("", 0));
	used = fake_ram_used();
	for (unsigned q = 3; q <= 4; q++) { /* drivers do not agree on its number */
		rig_poke(FREE + 0x100000, q, 8);
		report(q, FREE, 0x200000, 0);
		check_released(512);
		CHECK_EQ(fake_ram_used(), used - 0x200000);
		CHECK_EQ(v3_mem_set(bench.vm, FREE, 0, 0x200000), V3_OK);
		check_released(0);
	}
	rig_poke(FREE, 1, 8);
	rig_poke(FREE + 3 * PAGE, 2, 8);
	report(3, FREE + 1, 3 * PAGE, 0); /* two pages of it are whole */
	check_released(2);
	report(3, FREE + 5 * PAGE + 100, PAGE, 0);
	report(3, FREE + 5 * PAGE, PAGE - 1, 0);
	check_released(2);
	CHECK_EQ(rig_peek(FREE, 8), 1);
	CHECK_EQ(rig_peek(FREE + 3 * PAGE, 8), 2);
	report(3, 0xfff000, 2 * PAGE, -1);
	CHECK_EQ(rig_status(), NEEDS);
	REQUIRE(rig_init(VERSION_1 | FEATURES));
	report(4, ~0ull - 0x3000, 0x2000, -1);
	CHECK_EQ(rig_status(), NEEDS);
}

/* ---- control ---- */

static void test_virtio_balloon_target(void)
{
	struct v3_balloon b;

	REQUIRE(open_balloon("target = \"2M\"\n", 0));
	CHECK_EQ(rig_read(RIG_CONFIG, 4), 512);
	CHECK(get().driver);
	pci_bench_vector();
	CHECK_EQ(set(0x300000), V3_OK);
	CHECK_EQ(pci_bench_vector(), 0x50); /* the configuration has changed */
	CHECK_EQ(rig_read(RIG_CONFIG, 4), 768);
	CHECK_EQ(rig_read(RIG_GEN, 1), 2);
	rig_write(RIG_CONFIG + 4, 4, 700);
	rig_write(RIG_CONFIG, 4, 5); /* not the driver's to write */
	b = get();
	CHECK_EQ(b.target, 0x300000);
	CHECK_EQ(b.actual, 700 * PAGE);
	CHECK_EQ(set((16u << 20) + PAGE), V3_ERANGE);
	CHECK_EQ(set(1ull << 50), V3_ERANGE);
	CHECK_EQ(set(16u << 20), V3_OK);
	bench_reset();
	v3_device_virtio_balloon.reset(device);
	b = get();
	CHECK_EQ(b.target, 16u << 20);
	CHECK_EQ(b.actual, 0);
	CHECK(!b.driver);
	CHECK_EQ(v3_balloon_set(bench.vm, 0), V3_ENODEV);
	CHECK_EQ(v3_balloon_get(bench.vm, &b), V3_ENODEV);
}

static void tell(unsigned i, uint16_t tag, uint64_t value)
{
	rig_poke(RIG_DATA + 10 * i, tag, 2);
	rig_poke(RIG_DATA + 10 * i + 2, value, 8);
}

static void test_virtio_balloon_statistics(void)
{
	struct v3_balloon b;

	REQUIRE(open_balloon("", 0));
	b = get();
	CHECK_EQ(b.told, 0);
	CHECK_EQ(b.stat[V3_BALLOON_FREE], UNKNOWN);
	tell(0, 4, 1000);
	tell(1, 77, 1);
	tell(2, 9, 5);
	rig_desc(Q_STATS, 0, RIG_DATA, 35, 0, 0); /* three, and a part of another */
	rig_offer(Q_STATS, 0);
	rig_kick(Q_STATS);
	CHECK_EQ(rig_used(Q_STATS, NULL), -1); /* kept until somebody asks */
	b = get();
	CHECK_EQ(b.told, 1);
	CHECK_EQ(b.stat[V3_BALLOON_FREE], 1000);
	CHECK_EQ(b.stat[V3_BALLOON_HUGE_FAILURES], 5);
	CHECK_EQ(b.stat[V3_BALLOON_TOTAL], UNKNOWN);
	pci_bench_vector();
	fake_service(bench.vm);
	CHECK_EQ(rig_used(Q_STATS, NULL), 0);
	CHECK_EQ(pci_bench_vector(), 0x50 + Q_STATS + 1);
	tell(0, 5, 2000);
	rig_desc(Q_STATS, 1, RIG_DATA, 10, 0, 0);
	rig_offer(Q_STATS, 1);
	rig_offer(Q_STATS, 1); /* one is enough */
	rig_kick(Q_STATS);
	b = get();
	CHECK_EQ(b.told, 2);
	CHECK_EQ(b.stat[V3_BALLOON_FREE], UNKNOWN);
	CHECK_EQ(b.stat[V3_BALLOON_TOTAL], 2000);
	REQUIRE(rig_init(VERSION_1 | FEATURES)); /* the driver forgets it, the device, too */
	fake_service(bench.vm);
	CHECK_EQ(rig_used(Q_STATS, NULL), -1);
	CHECK_EQ(rig_status(), 0x0f);
}

/* ---- create ---- */

static void test_virtio_balloon_one_per_vm(void)
{
	void *second;

	REQUIRE(open_balloon("", 0));
	bench.vm->ndevices++;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_virtio_balloon, "", &second), V3_EEXIST);
	bench.vm->ndevices--;
}

static void test_virtio_balloon_refusals(void)
{
	REQUIRE(pci_bench_open());
	bench.vm->ndevices++;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_virtio_balloon, "target = \"17M\"\n",
				    &device),
		 V3_ERANGE);
	bench.vm->ndevices--;
}

static void test_virtio_balloon_host_that_takes_nothing(void)
{
	REQUIRE(pci_bench_open());
	v3_lib.ops.ram_free_part = NULL;
	bench.vm->ndevices++;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_virtio_balloon, "", &device), V3_ENOTSUP);
	bench.vm->ndevices--;
}

static void test_virtio_balloon_legacy(void)
{
	REQUIRE(pci_bench_open());
	bench.vm->ndevices++;
	REQUIRE_EQ(fake_device_create(bench.vm, &v3_device_virtio_balloon,
				      "slot = 5\ntransitional = true\ntarget = \"4K\"\n", &device),
		   V3_OK);
	bench.vm->ndevices--;
	CHECK_EQ(cfg_read(RIG_SLOT, 0, 4), 0x10021af4);
	cfg_write(RIG_SLOT, 0x10, 4, 0xc000);
	cfg_write(RIG_SLOT, 0x04, 2, 5);
	CHECK_EQ(fake_in(bench.vm, 0xc000, 4) & 0xff, FEATURES);
	CHECK_EQ(fake_in(bench.vm, 0xc014, 4), 1); /* num_pages, little-endian as the guest */
	CHECK_EQ(fake_out(bench.vm, 0xc018, 4, 1), V3_OK);
	CHECK_EQ(fake_in(bench.vm, 0xc018, 4), 1);
}

static int oom_create(void *arg)
{
	int err;

	(void)arg;
	bench.vm->ndevices++;
	err = v3_device_virtio_balloon.create(bench.vm, bench_cfg, &bench.dev);
	bench.vm->ndevices--;
	return err;
}

/* Memory that is given back stays enabled. */
static void oom_destroy(void *arg)
{
	(void)arg;
	v3_device_virtio_balloon.destroy(bench.dev);
}

static void test_virtio_balloon_oom(void)
{
	REQUIRE(pci_bench_open());
	bench_cfg = fake_cfg(&v3_device_virtio_balloon, "");
	REQUIRE(bench_cfg);
	fake_host_fail_at(3);
	CHECK_EQ(oom_create(NULL), V3_ENOMEM); /* the one that the VM keeps */
	fake_host_fail_at(0);
	REQUIRE_EQ(v3_mem_release_enable(bench.vm), V3_OK);
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, NULL) >= 6);
}

static const struct tap_test tests[] = {
	TAP(test_virtio_balloon_identity),	  TAP(test_virtio_balloon_inflates),
	TAP(test_virtio_balloon_inflates_packed), TAP(test_virtio_balloon_long_runs),
	TAP(test_virtio_balloon_hostile_pages),	  TAP(test_virtio_balloon_own_rings),
	TAP(test_virtio_balloon_reported_pages),  TAP(test_virtio_balloon_target),
	TAP(test_virtio_balloon_statistics),	  TAP(test_virtio_balloon_one_per_vm),
	TAP(test_virtio_balloon_refusals),	  TAP(test_virtio_balloon_host_that_takes_nothing),
	TAP(test_virtio_balloon_legacy),	  TAP(test_virtio_balloon_oom),
};
TAP_MAIN(tests)
