/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_virtio_blk_slow.c
 * The virtio block device on a disk that takes its time: requests that are pending while the driver goes on, resets or
 * breaks rules.
 */
#include "slow_disk.h"
#include "virtio_blk_rig.h"

static void *device;

static bool open_slow(void)
{
	memset(&slow, 0, sizeof(slow));
	if (!rig_open(&v3_device_virtio_blk, "size = \"64K\"\n", 0, &device))
		return false;
	slow.on = true;
	return true;
}

/* Offer request @p i with @p len bytes of data. */
static void ask(unsigned i, uint32_t type, uint64_t sector, uint32_t len)
{
	unsigned d = 4 * i;

	rig_poke(HEADER(i), type, 8);
	rig_poke(HEADER(i) + 8, sector, 8);
	rig_poke(STATUS(i), 0xee, 1);
	rig_desc(0, d, HEADER(i), 16, RIG_NEXT, (uint16_t)(len ? d + 1 : d + 2));
	rig_desc(0, d + 1, DATA(i), len, (uint16_t)(RIG_NEXT | (type == T_IN ? RIG_WRITE : 0)),
		 (uint16_t)(d + 2));
	rig_desc(0, d + 2, STATUS(i), 1, RIG_WRITE, 0);
	rig_offer(0, (uint16_t)d);
	rig_kick(0);
}

/* One request is done, and vcpu 0 looks after it. */
static void finish(unsigned i)
{
	slow_finish(i);
	fake_service(bench.vm);
}

/* The next used chain: number of the request, -1: none. */
static int used(void)
{
	uint32_t head;

	return rig_used(0, &head) < 0 ? -1 : (int)head / 4;
}

static void test_virtio_blk_slow_read(void)
{
	REQUIRE(open_slow());
	CHECK_EQ(v3_mem_set(bench.vm, DATA(0), 0x55, 512), V3_OK);
	ask(0, T_IN, 0, 512);
	fake_service(bench.vm);
	CHECK_EQ(used(), -1);
	CHECK_EQ(pci_bench_vector(), -1);
	CHECK_EQ(rig_peek(DATA(0), 1), 0x55);
	slow_finish(0);
	CHECK_EQ(used(), -1); /* the ring is vcpu 0's affair */
	fake_service(bench.vm);
	CHECK_EQ(used(), 0);
	CHECK_EQ(pci_bench_vector(), 0x51);
	CHECK_EQ(rig_peek(STATUS(0), 1), 0);
	CHECK_EQ(rig_peek(DATA(0), 1), 0);
}

static void test_virtio_blk_slow_out_of_order(void)
{
	REQUIRE(open_slow());
	for (unsigned i = 0; i < NREQS; i++) {
		CHECK_EQ(v3_mem_set(bench.vm, DATA(i), (uint8_t)(0x10 + i), 512), V3_OK);
		ask(i, T_OUT, i, 512);
	}
	CHECK_EQ(slow.n, NREQS);
	finish(2);
	CHECK_EQ(used(), 2);
	finish(0);
	CHECK_EQ(used(), 0);
	slow_finish(1);
	finish(0);
	CHECK((1 << used() | 1 << used()) == (1 << 1 | 1 << 3));
	CHECK_EQ(used(), -1);
	slow.on = false;
	ask(0, T_IN, 0, 2048);
	CHECK_EQ(used(), 0);
	for (unsigned i = 0; i < NREQS; i++)
		CHECK_EQ(rig_peek(DATA(0) + 512 * i, 1), 0x10 + i);
}

static void test_virtio_blk_slow_failure(void)
{
	REQUIRE(open_slow());
	ask(0, T_FLUSH, 0, 0);
	slow.fail = V3_EIO;
	finish(0);
	CHECK_EQ(used(), 0);
	CHECK_EQ(rig_peek(STATUS(0), 1), 1);
}

/* Each range is a step of its own. */
static void test_virtio_blk_slow_steps(void)
{
	REQUIRE(open_slow());
	for (unsigned i = 0; i < 3; i++) {
		rig_poke(DATA(0) + 16 * i, 2 * i, 8);
		rig_poke(DATA(0) + 16 * i + 8, 1, 8);
	}
	ask(0, T_DISCARD, 0, 48);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(used(), -1);
		REQUIRE_EQ(slow.n, 1);
		CHECK_EQ(slow.held[0].req->op, V3_BLK_DISCARD);
		CHECK_EQ(slow.held[0].req->offset, 1024 * i);
		finish(0);
	}
	CHECK_EQ(used(), 0);
	CHECK_EQ(rig_peek(STATUS(0), 1), 0);
}

/* With memory for one request only, the next one waits for it. */
static void test_virtio_blk_slow_without_memory(void)
{
	REQUIRE(open_slow());
	fake_host_fail_from(1);
	for (unsigned i = 0; i < 3; i++)
		ask(i, T_OUT, i, 512);
	CHECK_EQ(slow.n, 1);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(slow.n, 1);
		slow.fail = V3_EIO; /* no memory for a cluster, either */
		finish(0);
		CHECK_EQ(used(), i);
	}
	fake_host_fail_at(0);
	CHECK_EQ(slow.n, 0);
}

/* A reset by the driver is not done before the disk has given everything back. */
static void test_virtio_blk_slow_driver_reset(void)
{
	REQUIRE(open_slow());
	ask(0, T_IN, 0, 512);
	ask(1, T_OUT, 0, 512);
	rig_write(RIG_STATUS, 1, 0);
	CHECK_EQ(rig_status(), 0x0f);
	finish(0);
	CHECK_EQ(rig_status(), 0x0f);
	finish(0);
	CHECK_EQ(rig_status(), 0);
	CHECK_EQ(used(), -1);
	slow.on = false;
	REQUIRE(rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	ask(0, T_IN, 0, 512);
	CHECK_EQ(used(), 0);
}

/* A device that has failed finishes what it has, shows nothing, and can be reset. */
static void test_virtio_blk_slow_failed_device(void)
{
	REQUIRE(open_slow());
	ask(0, T_IN, 0, 512);
	CHECK_EQ(rig_request(0, 15, 1), -1); /* header too short */
	CHECK_EQ(rig_status(), 0x4f);
	finish(0);
	CHECK_EQ(used(), -1);
	rig_write(RIG_STATUS, 1, 0);
	CHECK_EQ(rig_status(), 0);
}

/* A reset of the VM forgets what was pending: nothing is used afterwards. */
static void test_virtio_blk_slow_vm_reset(void)
{
	REQUIRE(open_slow());
	ask(0, T_IN, 0, 512);
	ask(1, T_IN, 0, 512);
	slow_finish(1); /* done, but not seen by vcpu 0 yet */
	bench_reset();
	v3_device_virtio_blk.reset(device);
	CHECK_EQ(slow.n, 0);
	fake_service(bench.vm);
	CHECK_EQ(used(), -1);
	rig_pci(true);
	slow.on = false;
	REQUIRE(rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	ask(0, T_IN, 0, 512);
	CHECK_EQ(used(), 0);
}

/* Without the bus master bit no new chain is taken. */
static void test_virtio_blk_slow_without_dma(void)
{
	REQUIRE(open_slow());
	ask(0, T_IN, 0, 512);
	cfg_write(RIG_SLOT, 0x04, 2, 2);
	ask(1, T_IN, 0, 512);
	CHECK_EQ(slow.n, 1);
	finish(0);
	CHECK_EQ(used(), 0);
	CHECK_EQ(slow.n, 0);
	cfg_write(RIG_SLOT, 0x04, 2, 6);
	rig_kick(0);
	finish(0);
	CHECK_EQ(used(), 1);
}

/* The end of the VM waits for what is pending; leaks and late calls would show. */
static void test_virtio_blk_slow_destroy(void)
{
	REQUIRE(open_slow());
	ask(0, T_IN, 0, 512);
	ask(1, T_IN, 0, 512);
	slow_finish(0);
	fake_device_destroy(bench.vm, device);
	CHECK_EQ(slow.n, 0);
}

static const struct tap_test tests[] = {
	TAP(test_virtio_blk_slow_read),		  TAP(test_virtio_blk_slow_out_of_order),
	TAP(test_virtio_blk_slow_failure),	  TAP(test_virtio_blk_slow_steps),
	TAP(test_virtio_blk_slow_without_memory), TAP(test_virtio_blk_slow_driver_reset),
	TAP(test_virtio_blk_slow_failed_device),  TAP(test_virtio_blk_slow_vm_reset),
	TAP(test_virtio_blk_slow_without_dma),	  TAP(test_virtio_blk_slow_destroy),
};
TAP_MAIN(tests)
