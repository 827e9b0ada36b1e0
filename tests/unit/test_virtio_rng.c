/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_virtio_rng.c
 * The virtio entropy device: buffers are filled, wait when the host's source runs dry, and hosts without one.
 */
#include "host/host.h"
#include "palacios/random.h"
#include "virtio_rig.h"

#define BUF (RIG_DATA + 0x80000) /* where rig_request() lets the device write */

static bool open_rng(void)
{
	void *dev;

	return rig_open(&v3_device_virtio_rng, "", 0, &dev);
}

static void test_virtio_rng_fills(void)
{
	uint8_t want[5000], got[5000];

	REQUIRE(open_rng());
	CHECK_EQ(cfg_read(RIG_SLOT, 0, 4), 0x10441af4);
	fake_random_peek(want, sizeof(want));
	CHECK_EQ(rig_request(0, 0, 100), 100);
	CHECK_EQ(v3_mem_read(bench.vm, BUF, got, 100), V3_OK);
	CHECK_MEM(got, want, 100);
	CHECK_EQ(rig_request(0, 0, 5000), 4096); /* as much as is given at once */
	CHECK_EQ(v3_mem_read(bench.vm, BUF, got, 4096), V3_OK);
	CHECK_MEM(got, want + 100, 4096);
	CHECK_EQ(rig_peek(BUF + 4096, 8), 0);
}

static void test_virtio_rng_waits_for_the_source(void)
{
	REQUIRE(open_rng());
	fake_random_limit(0);
	CHECK_EQ(rig_request(0, 0, 16), -1);
	bench_run(50 * BENCH_MS);
	CHECK_EQ(rig_used(0, NULL), -1);
	fake_random_limit(7);
	bench_run(50 * BENCH_MS);
	CHECK_EQ(rig_used(0, NULL), 7);
	CHECK_EQ(rig_request(0, 0, 16), -1);
	rig_write(RIG_STATUS, 1, 0); /* reset meanwhile */
	fake_random_limit(1000);
	bench_run(50 * BENCH_MS);
	REQUIRE(rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	CHECK_EQ(rig_request(0, 0, 16), 16);
}

static void test_virtio_rng_odd_buffers(void)
{
	REQUIRE(open_rng());
	CHECK_EQ(rig_request(0, 16, 0), 0); /* nothing to write to */
	CHECK_EQ(rig_request(0, 16, 16), 16);
	rig_desc(0, 0, 0xfffff0, 64, RIG_WRITE, 0); /* past the end of RAM */
	rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), -1);
	CHECK_EQ(rig_status(), 0x4f);
	REQUIRE(rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	CHECK_EQ(rig_request(0, 0, 16), 16);
}

/* Pages of the first 16 MiB that were written since the last call. */
static uint64_t *harvest(int count)
{
	static uint64_t bitmap[64];

	CHECK_EQ(v3_dirty_harvest(bench.vm, 0, 16u << 20, bitmap), count);
	return bitmap;
}

static bool written(const uint64_t *bitmap, v3_gpa_t gpa)
{
	return bitmap[gpa >> V3_PAGE_SHIFT >> 6] >> (gpa >> V3_PAGE_SHIFT & 63) & 1;
}

/* What a device writes, buffers and rings, is noted as if the guest had done it; what it only could have, is not. */
static void test_virtio_rng_written_pages(void)
{
	const uint64_t *pages;

	REQUIRE(open_rng());
	REQUIRE_EQ(v3_dirty_start(bench.vm, 0, 16u << 20), V3_OK);
	rig_desc(0, 0, BUF + 4000, 200, RIG_WRITE | RIG_NEXT, 1);
	rig_desc(0, 1, BUF + 0x10000, 8000, RIG_WRITE, 0);
	rig_offer(0, 0);
	pages = harvest(2); /* what the driver wrote: descriptors, available ring */
	CHECK(written(pages, RIG_DESC(0)) && written(pages, RIG_AVAIL(0)));
	rig_kick(0);
	fake_service(bench.vm);
	CHECK_EQ(rig_used(0, NULL), 4096);
	pages = harvest(4);
	CHECK(written(pages, BUF) && written(pages, BUF + 4096) && written(pages, BUF + 0x10000));
	CHECK(written(pages, RIG_USED(0)));
	rig_kick(0); /* nothing to do */
	fake_service(bench.vm);
	pages = harvest(1);
	CHECK(written(pages, RIG_USED(0))); /* its flags */
	v3_dirty_stop(bench.vm);
}

static void test_virtio_rng_host_without_source(void)
{
	void *dev;

	REQUIRE(pci_bench_open());
	v3_lib.ops.random = NULL;
	CHECK(!v3_random_offered());
	CHECK_EQ(v3_random(&dev, sizeof(dev)), 0);
	bench.vm->ndevices++;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_virtio_rng, "", &dev), V3_ENOTSUP);
	bench.vm->ndevices--;
}

static int oom_create(void *arg)
{
	int err;

	(void)arg;
	bench.vm->ndevices++;
	err = v3_device_virtio_rng.create(bench.vm, bench_cfg, &bench.dev);
	bench.vm->ndevices--;
	return err;
}

static void oom_destroy(void *arg)
{
	(void)arg;
	v3_device_virtio_rng.destroy(bench.dev);
}

static void test_virtio_rng_oom(void)
{
	REQUIRE(pci_bench_open());
	bench_cfg = fake_cfg(&v3_device_virtio_rng, "");
	REQUIRE(bench_cfg);
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, NULL) >= 6);
}

static const struct tap_test tests[] = {
	TAP(test_virtio_rng_fills),
	TAP(test_virtio_rng_waits_for_the_source),
	TAP(test_virtio_rng_odd_buffers),
	TAP(test_virtio_rng_written_pages),
	TAP(test_virtio_rng_host_without_source),
	TAP(test_virtio_rng_oom),
};
TAP_MAIN(tests)
