/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_virtio_blk.c
 * The virtio block device: each request, its limits, and requests that are wrong.
 */
#include "virtio_rig.h"

#define T_IN	       0
#define T_OUT	       1
#define T_FLUSH	       4
#define T_GET_ID       8
#define T_DISCARD      11
#define T_WRITE_ZEROES 13
#define OK	       0
#define IOERR	       1
#define UNSUPP	       2

#define HEADER (RIG_DATA)
#define DATA   (RIG_DATA + 0x1000)
#define STATUS (RIG_DATA + 0x800)

#define SECTORS 128 /* of the 64 KiB disk */

static bool open_blk(const char *keys)
{
	void *dev;

	return rig_open(&v3_device_virtio_blk, keys, 0, &dev);
}

static void header(uint32_t type, uint64_t sector)
{
	rig_poke(HEADER, type, 8);
	rig_poke(HEADER + 8, sector, 8);
	rig_poke(STATUS, 0xee, 1);
}

static unsigned queue; /* that request() uses */

/* Header, data (none if @p len is 0) and status in buffers of their own. @return status; -1: not used */
static int request(uint32_t type, uint64_t sector, uint32_t len)
{
	bool in = type == T_IN || type == T_GET_ID;

	header(type, sector);
	rig_desc(queue, 0, HEADER, 16, RIG_NEXT, len ? 1 : 2);
	rig_desc(queue, 1, DATA, len, RIG_NEXT | (in ? RIG_WRITE : 0), 2);
	rig_desc(queue, 2, STATUS, 1, RIG_WRITE, 0);
	rig_offer(queue, 0);
	rig_kick(queue);
	return rig_used(queue, NULL) < 0 ? -1 : (int)rig_peek(STATUS, 1);
}

static void fill(uint8_t byte, uint32_t len)
{
	CHECK_EQ(v3_mem_set(bench.vm, DATA, byte, len), V3_OK);
}

static void test_virtio_blk_configuration(void)
{
	REQUIRE(open_blk("size = \"64K\"\n"));
	CHECK_EQ(cfg_read(RIG_SLOT, 0, 4), 0x10421af4);
	CHECK_EQ(rig_read(RIG_CONFIG, 4), SECTORS);
	CHECK_EQ(rig_read(RIG_CONFIG + 4, 4), 0);
	CHECK_EQ(rig_read(RIG_CONFIG + 12, 4), 126);
	CHECK_EQ(rig_read(RIG_CONFIG + 20, 4), 512);
	CHECK_EQ(rig_read(RIG_CONFIG + 34, 2), 1);
	CHECK_EQ(rig_offered() & 0xffffff, 0x6246);
	rig_write(RIG_CONFIG, 4, 5); /* read-only */
	CHECK_EQ(rig_read(RIG_CONFIG, 4), SECTORS);
}

static void test_virtio_blk_reads_what_it_wrote(void)
{
	REQUIRE(open_blk("size = \"64K\"\n"));
	fill(0x5a, 1024);
	CHECK_EQ(request(T_OUT, 7, 1024), OK);
	CHECK_EQ(pci_bench_vector(), 0x51);
	fill(0, 4096);
	CHECK_EQ(request(T_IN, 6, 2048), OK);
	CHECK_EQ(rig_peek(DATA + 511, 2), 0x5a00);
	CHECK_EQ(rig_peek(DATA + 512 + 1023, 2), 0x005a);
	CHECK_EQ(request(T_FLUSH, 0, 0), OK);
	rig_write(RIG_STATUS, 1, 0); /* contents survive a reset */
	REQUIRE(rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	fill(0, 512);
	CHECK_EQ(request(T_IN, 7, 512), OK);
	CHECK_EQ(rig_peek(DATA, 1), 0x5a);
}

/* Lengths written are those the specification allows a driver to rely on. */
static void test_virtio_blk_used_length(void)
{
	REQUIRE(open_blk("size = \"64K\"\n"));
	header(T_IN, 0);
	rig_desc(0, 0, HEADER, 16, RIG_NEXT, 1);
	rig_desc(0, 1, DATA, 512, RIG_NEXT | RIG_WRITE, 2);
	rig_desc(0, 2, STATUS, 1, RIG_WRITE, 0);
	rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 513);
	rig_poke(HEADER + 8, SECTORS, 8);
	rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL),
		 0); /* nothing but the status, behind data that was not written */
	CHECK_EQ(rig_peek(STATUS, 1), IOERR);
}

/* Any cut into buffers: header in two, data in odd pieces, status with the data (2.7.4.1). */
static void test_virtio_blk_any_layout(void)
{
	REQUIRE(open_blk("size = \"64K\"\n"));
	fill(0x77, 1024);
	header(T_OUT, 3);
	rig_desc(0, 0, HEADER, 5, RIG_NEXT, 1);
	rig_desc(0, 1, HEADER + 5, 11, RIG_NEXT, 2);
	rig_desc(0, 2, DATA, 1, RIG_NEXT, 3);
	rig_desc(0, 3, DATA + 1, 510, RIG_NEXT, 4);
	rig_desc(0, 4, DATA + 511, 513, RIG_NEXT, 5);
	rig_desc(0, 5, STATUS, 1, RIG_WRITE, 0);
	rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 1);
	CHECK_EQ(rig_peek(STATUS, 1), OK);
	fill(0xee, 1025);
	header(T_IN, 3);
	rig_desc(0, 0, HEADER, 16, RIG_NEXT, 1);
	rig_desc(0, 1, DATA, 1025, RIG_WRITE, 0);
	rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 1025);
	CHECK_EQ(rig_peek(DATA + 1023, 2), 0x0077);
}

static void test_virtio_blk_limits(void)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t len;
		int status;
	} cases[] = {
		{T_IN, SECTORS - 1, 512, OK},
		{T_IN, SECTORS, 512, IOERR},
		{T_IN, SECTORS - 1, 1024, IOERR},
		{T_IN, ~0ull, 512, IOERR},
		{T_IN, 1ull << 55, 512, IOERR}, /* times 512 wraps to 0 */
		{T_IN, 0, 513, IOERR},
		{T_IN, 0, 0, OK},
		{T_OUT, SECTORS, 512, IOERR},
		{T_OUT, 0, 100, IOERR},
		{T_OUT, SECTORS, 0, OK},
		{2, 0, 0, UNSUPP},
		{5, 0, 0, UNSUPP},
		{0xffffffff, 0, 512, UNSUPP},
		{T_GET_ID, 0, 19, IOERR},
		{T_GET_ID, 0, 0, IOERR},
		{T_DISCARD, 0, 0, IOERR},
		{T_DISCARD, 0, 17, IOERR},
		{T_DISCARD, 0, 16 * 17, IOERR},
	};

	REQUIRE(open_blk("size = \"64K\"\n"));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		int status;

		fill(0, 4096);
		status = request(cases[i].type, cases[i].sector, cases[i].len);
		CHECK_MSG(status == cases[i].status, "case %u: status %d", i, status);
	}
	CHECK_EQ(rig_status(), 0x0f);
}

/* More data than a request may have, in a disk that is large enough for it. */
static void test_virtio_blk_request_too_long(void)
{
	REQUIRE(open_blk("size = \"64M\"\n"));
	header(T_IN, 0);
	rig_desc(0, 0, HEADER, 16, RIG_NEXT, 1);
	for (unsigned i = 1; i <= 12; i++)
		rig_desc(0, i, DATA, 0x100000, RIG_WRITE | RIG_NEXT, (uint16_t)(i + 1));
	rig_desc(0, 13, STATUS, 1, RIG_WRITE, 0);
	rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), 0);
	CHECK_EQ(rig_peek(STATUS, 1), IOERR);
}

static void range(unsigned i, uint64_t sector, uint32_t n, uint32_t flags)
{
	rig_poke(DATA + 16 * i, sector, 8);
	rig_poke(DATA + 16 * i + 8, n, 4);
	rig_poke(DATA + 16 * i + 12, flags, 4);
}

static void test_virtio_blk_discard_and_zero(void)
{
	REQUIRE(open_blk("size = \"64K\"\n"));
	fill(0x11, 0x4000);
	CHECK_EQ(request(T_OUT, 0, 0x4000), OK);
	range(0, 1, 2, 0);
	range(1, 8, 1, 0);
	CHECK_EQ(request(T_DISCARD, 0, 32), OK);
	range(0, 10, 1, 1);
	CHECK_EQ(request(T_WRITE_ZEROES, 0, 16), OK);
	range(0, 12, 1, 0);
	CHECK_EQ(request(T_WRITE_ZEROES, 0, 16), OK);
	CHECK_EQ(request(T_IN, 0, 0x4000), OK);
	for (unsigned s = 0; s < 32; s++) {
		bool zero = s == 1 || s == 2 || s == 8 || s == 10 || s == 12;

		CHECK_MSG(rig_peek(DATA + 512 * s + 100, 1) == (zero ? 0 : 0x11), "sector %u", s);
	}
	range(0, 1, 1, 1);
	CHECK_EQ(request(T_DISCARD, 0, 16), UNSUPP); /* unmap is no flag of discard */
	range(0, 1, 1, 2);
	CHECK_EQ(request(T_WRITE_ZEROES, 0, 16), UNSUPP);
	range(0, SECTORS - 1, 2, 0);
	CHECK_EQ(request(T_DISCARD, 0, 16), IOERR);
	range(0, 1ull << 55, 1, 0);
	CHECK_EQ(request(T_DISCARD, 0, 16), IOERR);
	range(0, 0, 0xffffffff, 0);
	CHECK_EQ(request(T_WRITE_ZEROES, 0, 16), IOERR);
	CHECK_EQ(request(T_WRITE_ZEROES, 0, 16), IOERR);
}

/* A chain of 4 GiB, most of which no request has a use for: it is not looked at. One byte more is none (2.7.5.1). */
static void test_virtio_blk_long_chain(void)
{
	REQUIRE(open_blk("size = \"64K\"\n"));
	for (unsigned more = 0; more < 2; more++) {
		rig_poke(HEADER, 0xffffffff, 8);
		rig_poke(STATUS, 0xee, 1);
		rig_desc(0, 0, HEADER, 16, RIG_NEXT, 1);
		rig_desc(0, 1, 1ull << 40, 0xffffffef + more, RIG_NEXT | RIG_WRITE, 2); /* no RAM */
		rig_desc(0, 2, STATUS, 1, RIG_WRITE, 0);
		rig_offer(0, 0);
		rig_kick(0);
		CHECK_EQ(rig_peek(STATUS, 1), more ? 0xee : UNSUPP);
		CHECK_EQ(rig_status(), more ? 0x4f : 0x0f);
	}
}

static void test_virtio_blk_id(void)
{
	char id[21] = "";

	REQUIRE(open_blk("size = \"64K\"\nserial = \"disk-0\"\n"));
	fill(0xff, 64);
	CHECK_EQ(request(T_GET_ID, 0, 20), OK);
	CHECK_EQ(v3_mem_read(bench.vm, DATA, id, 20), V3_OK);
	CHECK_STR(id, "disk-0");
	CHECK_EQ(rig_peek(DATA + 6, 8), 0);
	CHECK_EQ(rig_peek(DATA + 20, 1), 0xff);
}

/* Requests whose frame is broken are the driver's fault: the device needs a reset. */
static void test_virtio_blk_broken_frames(void)
{
	REQUIRE(open_blk("size = \"64K\"\n"));
	CHECK_EQ(rig_request(0, 15, 1), -1); /* header too short */
	CHECK_EQ(rig_status(), 0x4f);
	REQUIRE(rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	CHECK_EQ(rig_request(0, 16, 0), -1); /* no room for the status */
	CHECK_EQ(rig_status(), 0x4f);
	CHECK(fake_log_contains("virtio_blk in slot 5 needs a reset: a request without header"));
	REQUIRE(rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	header(T_OUT, 0);
	rig_desc(0, 0, HEADER, 16, RIG_NEXT, 1);
	rig_desc(0, 1, 0xe0000000, 512, RIG_NEXT, 2); /* data that is not RAM */
	rig_desc(0, 2, STATUS, 1, RIG_WRITE, 0);
	rig_offer(0, 0);
	rig_kick(0);
	CHECK_EQ(rig_used(0, NULL), -1);
	CHECK_EQ(rig_status(), 0x4f);
	REQUIRE(rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	CHECK_EQ(request(T_IN, 0, 512), OK);
}

/* A disk with an image, as a whole definition makes it; BARs by a full PC's bus. */
static bool open_image(const char *keys)
{
	static uint8_t image[2048];
	struct fake_file file = {.name = "disk.img", .data = image, .len = sizeof(image)};
	char toml[512];

	memset(&bench, 0, sizeof(bench));
	memset(image, 0x42, sizeof(image));
	snprintf(toml, sizeof(toml),
		 "%s[[device]]\nclass = \"virtio_blk\"\nslot = %d\nimage = \"disk.img\"\n%s",
		 fake_pc_toml(1, 16), RIG_SLOT, keys);
	if (!CHECK_EQ(fake_vm_create(toml, &file, 1, &bench.vm), V3_OK))
		return false;
	rig_pci(false);
	return rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1));
}

static void test_virtio_blk_image_overlay(void)
{
	REQUIRE(open_image(""));
	CHECK_EQ(rig_read(RIG_CONFIG, 4), 4);
	CHECK_EQ(request(T_IN, 1, 512), OK);
	CHECK_EQ(rig_peek(DATA, 2), 0x4242);
	fill(0x43, 512);
	CHECK_EQ(request(T_OUT, 1, 512), OK);
	CHECK_EQ(request(T_IN, 0, 2048), OK);
	CHECK_EQ(rig_peek(DATA + 511, 2), 0x4342);
	CHECK_EQ(rig_peek(DATA + 1023, 2), 0x4243);
}

static void test_virtio_blk_read_only(void)
{
	REQUIRE(open_image("read_only = true\n"));
	CHECK_EQ(rig_offered() & 0xffffff, 0x266); /* RO instead of discard and write zeroes */
	CHECK_EQ(request(T_OUT, 1, 512), IOERR);
	range(0, 1, 1, 0);
	CHECK_EQ(request(T_DISCARD, 0, 16), IOERR);
	CHECK_EQ(request(T_IN, 1, 512), OK);
	CHECK_EQ(rig_peek(DATA, 2), 0x4242);
}

static void test_virtio_blk_queues(void)
{
	REQUIRE(open_blk("size = \"64K\"\nqueues = 3\n"));
	CHECK_EQ(rig_read(RIG_NUMQ, 2), 3);
	CHECK_EQ(rig_read(RIG_CONFIG + 34, 2), 3);
	CHECK_EQ(rig_offered() & 0xffffff, 0x7246); /* with MQ */
	for (queue = 0; queue < 3; queue++) {
		fill((uint8_t)(0x10 + queue), 512);
		CHECK_EQ(request(T_OUT, queue, 512), OK);
		CHECK_EQ(pci_bench_vector(), (int)(0x51 + queue));
	}
	queue = 0; /* one disk behind all of them */
	CHECK_EQ(request(T_IN, 0, 1536), OK);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(rig_peek(DATA + 512 * i, 1), 0x10 + i);
}

static void test_virtio_blk_packed(void)
{
	rig_extra = VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	test_virtio_blk_reads_what_it_wrote();
	test_virtio_blk_limits();
	test_virtio_blk_discard_and_zero();
	test_virtio_blk_id();
	rig_extra = 0;
}

static void test_virtio_blk_two_disks(void)
{
	struct v3_vm *vm;
	char toml[512];

	snprintf(toml, sizeof(toml),
		 "%s[[device]]\nclass = \"virtio_blk\"\nsize = \"1M\"\n"
		 "[[device]]\nclass = \"virtio_blk\"\nsize = \"2M\"\n",
		 fake_pc_toml(1, 16));
	REQUIRE_EQ(fake_vm_create(toml, NULL, 0, &vm), V3_OK);
	bench.vm = vm;
	CHECK_EQ(cfg_read(1, 0, 4), 0x70008086); /* the ISA bridge's slot */
	CHECK_EQ(cfg_read(2, 0, 4), 0x10421af4);
	CHECK_EQ(cfg_read(3, 0, 4), 0x10421af4);
	CHECK_EQ(cfg_read(4, 0, 4), 0xffffffff);
}

static void test_virtio_blk_create_refuses(void)
{
	void *dev;

	REQUIRE(pci_bench_open());
	bench.vm->ndevices++;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_virtio_blk, "", &dev), V3_EINVAL);
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_virtio_blk, "image = \"none\"\n", &dev),
		 V3_ENOENT);
	bench.vm->ndevices--;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_virtio_blk, "size = \"64K\"\n", &dev),
		 V3_ENODEV);
}

static int oom_create(void *arg)
{
	int err;

	(void)arg;
	bench.vm->ndevices++;
	err = v3_device_virtio_blk.create(bench.vm, bench_cfg, &bench.dev);
	bench.vm->ndevices--;
	return err;
}

static void oom_destroy(void *arg)
{
	(void)arg;
	v3_device_virtio_blk.destroy(bench.dev);
}

static void test_virtio_blk_oom(void)
{
	REQUIRE(pci_bench_open());
	bench_cfg = fake_cfg(&v3_device_virtio_blk, "size = \"64K\"\nqueues = 3\n");
	REQUIRE(bench_cfg);
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, NULL) >= 14);
}

#define BATCH 5

static unsigned batch_used;

static bool batch_done(void *arg)
{
	(void)arg;
	fake_service(bench.vm);
	while (rig_used(0, NULL) >= 0)
		batch_used++;
	return batch_used == BATCH;
}

/* Requests that the disk finishes later, several at a time and again and again: each is answered once. */
static void test_virtio_blk_on_a_file(void)
{
	static const uint8_t zeros[64 * 1024];
	size_t len;

	fake_file_add("disk.img", zeros, sizeof(zeros), false);
	REQUIRE(open_blk("file = \"disk.img\"\n"));
	for (unsigned round = 0; round < 20; round++) {
		batch_used = 0;
		fake_worker_hold(true);
		for (unsigned i = 0; i < BATCH; i++) {
			v3_gpa_t at = RIG_DATA + 0x2000 * i;

			rig_poke(at, T_OUT, 8);
			rig_poke(at + 8, i, 8);
			rig_poke(at + 16, 0xee, 1);
			CHECK_EQ(v3_mem_set(bench.vm, at + 0x1000, (uint8_t)(round + i + 1), 512),
				 V3_OK);
			rig_desc(0, 3 * i, at, 16, RIG_NEXT, (uint16_t)(3 * i + 1));
			rig_desc(0, 3 * i + 1, at + 0x1000, 512, RIG_NEXT, (uint16_t)(3 * i + 2));
			rig_desc(0, 3 * i + 2, at + 16, 1, RIG_WRITE, 0);
			rig_offer(0, (uint16_t)(3 * i));
		}
		rig_kick(0);
		CHECK(!batch_done(NULL));
		CHECK_EQ(batch_used, 0);
		fake_worker_hold(false);
		REQUIRE(fake_wait_until(batch_done, NULL, 20000));
		for (unsigned i = 0; i < BATCH; i++) {
			CHECK_EQ(rig_peek(RIG_DATA + 0x2000 * i + 16, 1), OK);
			CHECK_EQ(((const uint8_t *)fake_file_bytes("disk.img", &len))[512 * i],
				 round + i + 1);
		}
	}
}

/* Requests put together at random: the device answers each or needs a reset; the disk stays in its bounds. */
static void test_virtio_blk_hostile(void)
{
	static const uint32_t types[] = {T_IN,	    T_OUT,	    T_FLUSH, T_GET_ID,
					 T_DISCARD, T_WRITE_ZEROES, 3};
	unsigned answered = 0;

	REQUIRE(open_blk("size = \"256K\"\n"));
	for (unsigned i = 0; i < 20000 && !tap.failures; i++) {
		uint64_t r = tap_rand();
		unsigned n = 1 + (r & 3);

		header(types[(r >> 2) % V3_ARRAY_SIZE(types)],
		       r >> 8 & 1 ? r >> 40 & 0x3ff : tap_rand());
		range(0, r >> 9 & 0x3ff, (uint32_t)(r >> 20 & 0x3ff), (uint32_t)(r >> 30 & 1));
		rig_desc(0, 0, HEADER, r >> 32 & 7 ? 16 : (uint32_t)(r >> 33 & 31), RIG_NEXT, 1);
		for (unsigned k = 1; k <= n; k++)
			rig_desc(0, k, DATA + (tap_rand() & 0xfff),
				 (uint32_t)(r >> 50 & 1 ? 512 * (tap_rand() & 7)
							: tap_rand() & 0x3ff),
				 RIG_NEXT | (r >> (50 + k) & 1 && k > 1 ? RIG_WRITE
					     : r >> 55 & 1		? RIG_WRITE
									: 0),
				 (uint16_t)(k + 1));
		rig_desc(0, n + 1, STATUS, 1, r >> 60 & 15 ? RIG_WRITE : 0, 0);
		rig_offer(0, 0);
		rig_kick(0);
		answered += rig_used(0, NULL) >= 0;
		if (rig_status() & 0x40)
			REQUIRE(rig_init(VIRTIO_BIT(VIRTIO_F_VERSION_1)));
	}
	CHECK(answered > 1000);
	CHECK_EQ(request(T_FLUSH, 0, 0), OK);
}

static const struct tap_test tests[] = {
	TAP(test_virtio_blk_configuration),
	TAP(test_virtio_blk_reads_what_it_wrote),
	TAP(test_virtio_blk_used_length),
	TAP(test_virtio_blk_any_layout),
	TAP(test_virtio_blk_limits),
	TAP(test_virtio_blk_request_too_long),
	TAP(test_virtio_blk_discard_and_zero),
	TAP(test_virtio_blk_long_chain),
	TAP(test_virtio_blk_id),
	TAP(test_virtio_blk_broken_frames),
	TAP(test_virtio_blk_image_overlay),
	TAP(test_virtio_blk_read_only),
	TAP(test_virtio_blk_two_disks),
	TAP(test_virtio_blk_queues),
	TAP(test_virtio_blk_packed),
	TAP(test_virtio_blk_create_refuses),
	TAP(test_virtio_blk_oom),
	TAP(test_virtio_blk_hostile),
	TAP(test_virtio_blk_on_a_file),
};
TAP_MAIN(tests)
