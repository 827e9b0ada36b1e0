/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_flash.c
 * Flash chip with the firmware's variables: the commands of its set, where it lies, and that what is programmed reaches
 * the disk behind it, also if that is slow, through resets and to the end.
 */
#include "device_bench.h"
#include "palacios/save.h"
#include "slow_disk.h"

#define ROM_LEN 0x10000
#define SIZE	0x4000
#define BASE	(0x100000000ull - ROM_LEN - SIZE)
#define BLOCK	0x1000

/* A VM with ROM, whose container has the section "vars": ones, and one zero at 3. */
static struct v3_vm *vm_with_rom(void)
{
	static uint8_t image[BLOCK];
	struct fake_file file = {.name = "vars", .data = image, .len = sizeof(image)};
	struct v3_vm *vm = NULL;

	memset(image, 0xff, sizeof(image));
	image[3] = 0;
	CHECK_EQ(fake_vm_create(
			 "[vm]\nname = \"f\"\nplatform = \"none\"\nmemory = \"16M\"\nvcpus = 1\n"
			 "[boot]\ntype = \"multiboot\"\nkernel = \"kernel.elf\"\n",
			 &file, 1, &vm),
		 V3_OK);
	if (vm)
		CHECK_EQ(v3_mem_add_rom(vm, 0x100000000ull - ROM_LEN, ROM_LEN), V3_OK);
	return vm;
}

/* A chip that is erased. */
static bool flash_open_as(const char *keys)
{
	memset(&bench, 0, sizeof(bench));
	memset(&slow, 0, sizeof(slow));
	bench.cls = &v3_device_flash;
	bench.vm = vm_with_rom();
	return bench.vm &&
	       CHECK_EQ(fake_device_create(bench.vm, bench.cls, keys, &bench.dev), V3_OK);
}

static void put(uint32_t off, uint8_t value)
{
	fake_mmio_write(bench.vm, BASE + off, 1, value);
}

static uint8_t get(uint32_t off)
{
	return (uint8_t)fake_mmio_read(bench.vm, BASE + off, 1);
}

static void command(uint32_t off, uint8_t first, uint8_t second)
{
	put(off, first);
	put(off, second);
}

static void erase(uint32_t off)
{
	command(off, 0x20, 0xd0);
	CHECK_EQ(get(off), 0x80);
	put(off, 0xff);
}

static void program(uint32_t off, uint8_t value)
{
	command(off, 0x10, value);
	CHECK_EQ(get(0), 0x80);
	put(off, 0xff);
}

static bool flash_open(void)
{
	if (!flash_open_as("size = \"16K\"\n"))
		return false;
	for (uint32_t off = 0; off < SIZE; off += BLOCK)
		erase(off);
	return true;
}

static uint8_t on_disk(uint32_t off)
{
	uint8_t byte = 0x77;
	struct v3_blk_piece piece = {.p = &byte, .len = 1};
	struct v3_blk_req req = {
		.op = V3_BLK_READ, .offset = off, .len = 1, .piece = &piece, .npieces = 1};

	CHECK_EQ(v3_blk_submit(slow.below, &req), V3_OK);
	return byte;
}

static void test_flash_erase_and_program(void)
{
	REQUIRE(flash_open());
	program(0x1234, 0x5f);
	CHECK_EQ(get(0x1234), 0x5f);
	program(0x1234, 0xf0); /* bits only become 0 */
	CHECK_EQ(get(0x1234), 0x50);
	CHECK_EQ(get(0x1233), 0xff);
	CHECK_EQ(get(0x1235), 0xff);
	program(0x0fff, 0x01);
	program(0x2000, 0x02);
	command(0x1fff, 0x20, 0xd0); /* the whole block, and no other */
	put(0, 0xff);
	CHECK_EQ(get(0x1234), 0xff);
	CHECK_EQ(get(0x0fff), 0x01);
	CHECK_EQ(get(0x2000), 0x02);
	command(0x2001, 0x40, 0x03);
	put(0, 0xff);
	CHECK_EQ(get(0x2001), 0x03);
}

static void test_flash_wide_accesses(void)
{
	REQUIRE(flash_open());
	program(0x100, 0x11);
	program(0x101, 0x22);
	program(0x107, 0x88);
	CHECK_EQ(fake_mmio_read(bench.vm, BASE + 0x100, 8), 0x88ffffffffff2211);
	CHECK_EQ(fake_mmio_read(bench.vm, BASE + 0x100, 2), 0x2211);
	fake_mmio_write(bench.vm, BASE + 0x200, 4,
			0xff33ff10); /* programs ff, then a command 33, then ff */
	CHECK_EQ(get(0x201), 0xff);
	fake_mmio_write(bench.vm, BASE + 0x200, 2, 0x4410);
	put(0, 0xff);
	CHECK_EQ(get(0x201), 0x44);
}

static void test_flash_status(void)
{
	REQUIRE(flash_open());
	put(0, 0x70);
	CHECK_EQ(get(0x3fff), 0x80);
	put(0, 0x50);
	CHECK_EQ(get(0), 0x00); /* how firmware knows it */
	put(0, 0xff);
	CHECK_EQ(get(0), 0xff);
	put(0, 0x50); /* what is shown stays */
	CHECK_EQ(get(0), 0xff);
	program(0, 0);
	command(0, 0x20, 0x20);
	CHECK_EQ(get(0), 0xb0); /* not confirmed */
	put(0, 0xff);
	CHECK_EQ(get(0), 0x00); /* nor erased */
	put(0, 0x70);
	CHECK_EQ(get(0), 0xb0); /* until it is cleared */
	put(0, 0x50);
	command(0, 0x60, 0x01); /* lock bits: accepted, without effect */
	CHECK_EQ(get(0), 0x80);
	erase(0);
	put(0, 0x33); /* no such command */
	CHECK_EQ(get(0), 0xff);
}

static void test_flash_identity(void)
{
	static const uint8_t want[] = {'Q', 'R', 'Y', 1, 0, 0x31, 0};

	REQUIRE(flash_open());
	put(0, 0x90);
	CHECK_EQ(get(0), 0x89);
	CHECK_EQ(get(1), 0x18);
	CHECK_EQ(get(BLOCK + 2), 0); /* not locked */
	put(0x55, 0x98);
	for (uint32_t i = 0; i < sizeof(want); i++)
		CHECK_EQ(get(0x10 + i), want[i]);
	CHECK_EQ(get(0x27), 14);
	CHECK_EQ(get(0x2c), 1);
	CHECK_EQ(fake_mmio_read(bench.vm, BASE + 0x2d, 4),
		 0x00100003); /* four blocks of 16 times 256 bytes */
	CHECK_EQ(get(0x31), 'P');
	CHECK_EQ(get(0x34), '1');
	CHECK_EQ(get(0x36), 0);
	CHECK_EQ(get(0x0f), 0);
	CHECK_EQ(get(SIZE - 1), 0);
}

static void test_flash_reset(void)
{
	REQUIRE(flash_open());
	program(5, 0x42);
	command(0, 0x50, 0x10); /* a byte is expected */
	bench_reset();
	CHECK_EQ(get(5), 0x42);
	put(0, 0x70);
	CHECK_EQ(get(0), 0x80);
}

static void test_flash_writes_through(void)
{
	REQUIRE(flash_open());
	slow.ops = 0;
	program(0x1ffe, 0x12);
	CHECK_EQ(on_disk(0x1ffe), 0x12);
	CHECK_EQ(on_disk(0x1fff), 0xff);
	CHECK_EQ(slow.ops, 1u << V3_BLK_WRITE | 1u << V3_BLK_FLUSH);
}

/* One request at a time; what changes meanwhile is the next one. */
static void test_flash_slow_disk(void)
{
	REQUIRE(flash_open());
	slow.on = true;
	slow.ops = 0;
	program(0x100, 1);
	CHECK_EQ(slow.n, 1);
	program(0x200, 2);
	program(0x180, 3);
	CHECK_EQ(slow.n, 1);
	CHECK_EQ(on_disk(0x200), 0xff);
	slow_finish(0);
	fake_service(bench.vm);
	CHECK_EQ(slow.n, 1);
	slow_finish(0);
	CHECK_EQ(on_disk(0x100), 1);
	CHECK_EQ(on_disk(0x180), 3);
	CHECK_EQ(on_disk(0x200), 2);
	CHECK_EQ(slow.ops, 1u << V3_BLK_WRITE);
	fake_service(bench.vm);
	CHECK_EQ(slow.ops, 1u << V3_BLK_WRITE | 1u << V3_BLK_FLUSH);
	slow_finish(0);
	fake_service(bench.vm);
	CHECK_EQ(slow.n, 0);
	program(0x300, 4);
	CHECK_EQ(slow.n, 1);
}

/* The reset waits for the disk; the work that was queued comes after it and finds nothing to do, or the next one. */
static void test_flash_reset_while_saving(void)
{
	REQUIRE(flash_open());
	slow.on = true;
	program(0x100, 1);
	program(0x200, 2);
	bench_reset();
	CHECK_EQ(on_disk(0x100), 1);
	CHECK_EQ(slow.n, 1); /* the rest */
	fake_service(bench.vm);
	CHECK_EQ(slow.n, 1);
	slow_finish(0);
	CHECK_EQ(on_disk(0x200), 2);
	fake_service(bench.vm);
	CHECK_EQ(slow.n, 1); /* flush */
}

static void test_flash_destroy_saves(void)
{
	REQUIRE(flash_open());
	slow.on = true;
	program(0x100, 1);
	program(0x200, 0x5a);
	slow.ops = 0;
	fake_device_destroy(bench.vm, bench.dev);
	CHECK_EQ(slow.last, 0x5a);
	CHECK_EQ(slow.ops, 1u << V3_BLK_WRITE | 1u << V3_BLK_FLUSH);
	CHECK_EQ(slow.n, 0);
}

static void test_flash_failing_disk(void)
{
	REQUIRE(flash_open());
	slow.fail = V3_EIO;
	program(0x100, 1);
	CHECK_EQ(get(0x100), 1);
	CHECK(fake_log_contains("cannot save what was written"));
	slow.fail = 0;
	slow.on = true;
	program(0x101, 2);
	slow.fail = V3_ENOSPC;
	slow_finish(0);
	fake_service(bench.vm);
	slow.fail = 0;
	CHECK_EQ(on_disk(0x101), 0xff);
}

static void test_flash_read_only(void)
{
	const uint32_t at = SIZE - BLOCK; /* it is one block */

	REQUIRE(flash_open_as("image = \"vars\"\nread_only = true\n"));
	CHECK_EQ(get(at + 3), 0);
	command(at, 0x10, 0);
	CHECK_EQ(get(at), 0x92);
	put(at, 0x50);
	command(at, 0x20, 0xd0);
	CHECK_EQ(get(at), 0xa2);
	put(at, 0xff);
	CHECK_EQ(get(at), 0xff);
	CHECK_EQ(get(at + 3), 0);
}

/* Where there is no firmware, and sizes that are none. */
static void test_flash_refused(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	void *dev;

	memset(&slow, 0, sizeof(slow));
	REQUIRE(vm);
	CHECK_EQ(fake_device_create(vm, &v3_device_flash, "size = \"16K\"\n", &dev), V3_EINVAL);
	CHECK(fake_log_contains("there is no firmware"));
	vm = vm_with_rom();
	REQUIRE(vm);
	CHECK_EQ(fake_device_create(vm, &v3_device_flash, "size = \"5K\"\n", &dev), V3_EINVAL);
	CHECK_EQ(fake_device_create(vm, &v3_device_flash, "size = \"2052K\"\n", &dev), V3_EINVAL);
	CHECK(fake_log_contains("expected a multiple of 4 KiB up to 2 MiB"));
	CHECK_EQ(fake_device_create(vm, &v3_device_flash, "", &dev), V3_EINVAL);
	CHECK_EQ(fake_device_create(vm, &v3_device_flash, "size = \"2M\"\n", &dev), V3_OK);
	CHECK_EQ(fake_device_create(vm, &v3_device_flash, "size = \"4K\"\n", &dev), V3_EEXIST);
}

static void test_flash_unreadable(void)
{
	void *dev;

	memset(&slow, 0, sizeof(slow));
	bench.vm = vm_with_rom();
	REQUIRE(bench.vm);
	slow.fail = V3_EIO;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_flash, "size = \"4K\"\n", &dev), V3_EIO);
	slow.fail = 0;
	slow.on = true; /* and one that takes its time */
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_flash, "size = \"4K\"\n", &dev), V3_OK);
	CHECK_EQ(slow.n, 0);
}

static void test_flash_oom(void)
{
	memset(&bench, 0, sizeof(bench));
	memset(&slow, 0, sizeof(slow));
	bench.cls = &v3_device_flash;
	bench.vm = vm_with_rom();
	REQUIRE(bench.vm);
	bench_cfg = fake_cfg(bench.cls, "size = \"16K\"\n");
	REQUIRE(bench_cfg);
	CHECK(fake_host_oom_each_step(bench_oom_create, bench_oom_destroy, NULL) >= 4);
}

static void test_flash_hostile(void)
{
	static const uint8_t codes[] = {0xff, 0x70, 0x90, 0x98, 0x10, 0x40, 0x20, 0x60, 0xd0, 0x50};

	REQUIRE(flash_open());
	for (unsigned i = 0; i < 50000 && !tap.failures; i++) {
		uint64_t r = tap_rand();
		unsigned size = 1u << (r >> 32 & 3);
		uint64_t gpa = BASE + (r % SIZE & -(uint64_t)size);

		slow.on = r >> 34 & 1;
		if (r >> 35 & 1)
			fake_mmio_read(bench.vm, gpa, size);
		else
			fake_mmio_write(bench.vm, gpa, size,
					r >> 36 & 1 ? codes[(r >> 40) % 10] : (uint8_t)(r >> 48));
		if (slow.n && (r >> 37 & 1))
			slow_finish(0);
		if (r >> 38 & 1)
			fake_service(bench.vm);
	}
	slow.on = false;
	bench_reset();
	for (uint32_t off = 0; off < SIZE; off++)
		CHECK_EQ(on_disk(off), get(off));
}

/* What a slow disk does not have yet is in the saved state, and a command that waits for its second cycle goes on. */
static void test_flash_saved(void)
{
	static uint8_t bytes[1u << 18];
	struct v3_save_buf buf = {.data = bytes, .size = sizeof(bytes)};
	const struct v3_save_table *table = v3_device_flash.save;

	REQUIRE(flash_open());
	slow.on = true;
	program(0x100, 1);
	program(0x2fff, 2);
	put(0x300, 0x40);
	v3_save_settle(table, bench.dev);
	CHECK_EQ(slow.n, 0);
	REQUIRE_EQ(v3_save_write(table, "flash", bench.dev, &buf), V3_OK);
	fake_vm_destroy(bench.vm);

	REQUIRE(flash_open_as("size = \"16K\"\n"));
	buf = (struct v3_save_buf){.data = bytes, .size = buf.pos};
	CHECK_MSG(v3_save_read(table, "flash", bench.dev, &buf) == V3_OK, "%s", buf.why);
	put(0x300, 3);
	CHECK_EQ(get(0), 0x80);
	put(0, 0xff);
	CHECK_EQ(get(0x100), 1);
	CHECK_EQ(get(0x101), 0xff);
	CHECK_EQ(get(0x2fff), 2);
	CHECK_EQ(get(0x300), 3);
}

/* A reset leaves the disk with a request; what is loaded next waits for it. */
static void test_flash_loads_while_saving(void)
{
	static uint8_t bytes[1u << 18];
	struct v3_save_buf buf = {.data = bytes, .size = sizeof(bytes)};
	const struct v3_save_table *table = v3_device_flash.save;

	REQUIRE(flash_open());
	program(0x100, 1);
	REQUIRE_EQ(v3_save_write(table, "flash", bench.dev, &buf), V3_OK);
	slow.on = true;
	program(0x100, 0);
	bench_reset();
	CHECK_EQ(slow.n, 1); /* flush */
	buf = (struct v3_save_buf){.data = bytes, .size = buf.pos};
	CHECK_MSG(v3_save_read(table, "flash", bench.dev, &buf) == V3_OK, "%s", buf.why);
	CHECK_EQ(slow.n, 0);
	fake_service(bench.vm);
	CHECK_EQ(slow.n, 0);
	CHECK_EQ(get(0x100), 1);
	program(0x101, 2);
	CHECK_EQ(slow.n, 1);
}

static void test_flash_saved_refused(void)
{
	static uint8_t bytes[1u << 18];
	struct v3_save_buf buf = {.data = bytes, .size = sizeof(bytes)};
	const struct v3_save_table *table = v3_device_flash.save;
	static const char path[] = "flash.mode";
	uint8_t *at;

	REQUIRE(flash_open());
	REQUIRE_EQ(v3_save_write(table, "flash", bench.dev, &buf), V3_OK);
	at = memmem(bytes, buf.pos, path, strlen(path));
	REQUIRE(at);
	at[strlen(path) + 4] = 4;
	buf = (struct v3_save_buf){.data = bytes, .size = buf.pos};
	CHECK_EQ(v3_save_read(table, "flash", bench.dev, &buf), V3_EINVAL);
	CHECK_STR(buf.why, "flash: the device cannot be in such a state");
}

static const struct tap_test tests[] = {
	TAP(test_flash_erase_and_program),
	TAP(test_flash_wide_accesses),
	TAP(test_flash_status),
	TAP(test_flash_identity),
	TAP(test_flash_reset),
	TAP(test_flash_writes_through),
	TAP(test_flash_slow_disk),
	TAP(test_flash_reset_while_saving),
	TAP(test_flash_destroy_saves),
	TAP(test_flash_failing_disk),
	TAP(test_flash_read_only),
	TAP(test_flash_refused),
	TAP(test_flash_unreadable),
	TAP(test_flash_oom),
	TAP(test_flash_hostile),
	TAP(test_flash_saved),
	TAP(test_flash_loads_while_saving),
	TAP(test_flash_saved_refused),
};
TAP_MAIN(tests)
