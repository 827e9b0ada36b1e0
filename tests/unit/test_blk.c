/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_blk.c
 * Disks in memory: against a plain array under random reads, writes and zeroing, with and without an image below.
 */
#include "fake_vm.h"
#include "palacios/blk.h"
#include "palacios/save.h"
#include "palacios/vm.h"
#include "tap.h"

#define KIB 1024u
#define MIB (1024 * KIB)

static const struct v3_cfg_key keys[] = {V3_BLK_KEYS, {.name = NULL}};
static const struct v3_device_class disk = {.name = "disk", .keys = keys};

/* A VM whose container has the section "disk.img" of @p len bytes. */
static struct v3_vm *vm_with_image(const void *data, size_t len)
{
	struct fake_file file = {.name = "disk.img", .data = data, .len = len};
	struct v3_vm *vm = NULL;

	CHECK_EQ(fake_vm_create(fake_pc_toml(1, 16), &file, 1, &vm), V3_OK);
	return vm;
}

static int open_disk(struct v3_vm *vm, const char *text, struct v3_blk **blk)
{
	const struct v3_cfg *cfg = fake_cfg(&disk, text);

	return cfg ? v3_blk_open(vm, cfg, blk) : V3_EINVAL;
}

static int submit(struct v3_blk *blk, enum v3_blk_op op, uint64_t offset, const void *buf,
		  uint64_t len)
{
	struct v3_blk_piece piece = {(void *)(uintptr_t)buf, len};
	struct v3_blk_req req = {
		.op = op, .offset = offset, .len = len, .piece = &piece, .npieces = buf ? 1 : 0};

	return v3_blk_submit(blk, &req);
}

static int blk_read(struct v3_blk *blk, uint64_t offset, void *buf, size_t len)
{
	return submit(blk, V3_BLK_READ, offset, buf, len);
}

static int blk_write(struct v3_blk *blk, uint64_t offset, const void *buf, size_t len)
{
	return submit(blk, V3_BLK_WRITE, offset, buf, len);
}

static int blk_zero(struct v3_blk *blk, uint64_t offset, uint64_t len)
{
	return submit(blk, V3_BLK_ZERO, offset, NULL, len);
}

static void test_blk_open_refuses(void)
{
	struct v3_vm *vm = vm_with_image("", 0);
	struct v3_blk *blk;

	REQUIRE(vm);
	CHECK_EQ(open_disk(vm, "", &blk), V3_EINVAL);
	CHECK_EQ(open_disk(vm, "image = \"disk.img\"\n", &blk), V3_EINVAL); /* empty */
	CHECK_EQ(open_disk(vm, "image = \"other.img\"\n", &blk), V3_ENOENT);
	CHECK_EQ(open_disk(vm, "size = \"1M\"\nread_only = true\n", &blk), V3_EINVAL);
	v3_blk_close(NULL);
}

static void test_blk_size(void)
{
	static const uint8_t image[1000];
	struct v3_vm *vm = vm_with_image(image, sizeof(image));
	struct v3_blk *blk;

	REQUIRE(vm);
	REQUIRE_EQ(open_disk(vm, "image = \"disk.img\"\n", &blk), V3_OK);
	CHECK_EQ(v3_blk_size(blk), 1024);
	CHECK(!v3_blk_read_only(blk));
	v3_blk_close(blk);
	REQUIRE_EQ(open_disk(vm, "image = \"disk.img\"\nsize = \"8K\"\n", &blk), V3_OK);
	CHECK_EQ(v3_blk_size(blk), 8 * KIB);
	v3_blk_close(blk);
	REQUIRE_EQ(open_disk(vm, "size = \"128G\"\n", &blk), V3_OK);
	CHECK_EQ(v3_blk_size(blk), 128ull << 30);
	v3_blk_close(blk);
}

static void test_blk_ranges(void)
{
	static uint8_t buf[2 * KIB];
	struct v3_vm *vm = vm_with_image(buf, 4);
	struct v3_blk *blk;

	REQUIRE(vm);
	REQUIRE_EQ(open_disk(vm, "size = \"64K\"\n", &blk), V3_OK);
	CHECK_EQ(blk_read(blk, 64 * KIB - 1, buf, 1), V3_OK);
	CHECK_EQ(blk_read(blk, 64 * KIB, buf, 0), V3_OK);
	CHECK_EQ(blk_read(blk, 64 * KIB, buf, 1), V3_ERANGE);
	CHECK_EQ(blk_read(blk, 64 * KIB - 1, buf, 2), V3_ERANGE);
	CHECK_EQ(blk_write(blk, ~0ull, buf, 2), V3_ERANGE);
	CHECK_EQ(blk_zero(blk, 1, ~0ull), V3_ERANGE);
	CHECK_EQ(submit(blk, V3_BLK_FLUSH, ~0ull, NULL, 0), V3_OK);
	v3_blk_close(blk);
}

static void test_blk_read_only(void)
{
	static const uint8_t image[600] = {1, 2, 3};
	struct v3_vm *vm = vm_with_image(image, sizeof(image));
	uint8_t buf[1024];
	struct v3_blk *blk;

	REQUIRE(vm);
	REQUIRE_EQ(open_disk(vm, "image = \"disk.img\"\nread_only = true\n", &blk), V3_OK);
	CHECK(v3_blk_read_only(blk));
	CHECK_EQ(blk_write(blk, 0, "x", 1), V3_EPERM);
	CHECK_EQ(blk_zero(blk, 0, 512), V3_EPERM);
	memset(buf, 0xff, sizeof(buf));
	CHECK_EQ(blk_read(blk, 0, buf, sizeof(buf)), V3_OK);
	CHECK_MEM(buf, image, sizeof(image));
	for (unsigned i = sizeof(image); i < sizeof(buf); i++)
		CHECK_EQ(buf[i], 0);
	v3_blk_close(blk);
}

/* Random operations agree with an array; the image stays as it was, another overlay sees nothing. */
static void check_against_array(size_t image_len, uint64_t size, const char *text)
{
	uint8_t *image = malloc(image_len + 1), *saved = malloc(image_len + 1);
	uint8_t *want = calloc(1, size), *got = malloc(size);
	struct v3_blk *blk;
	struct v3_vm *vm;

	for (size_t i = 0; i < image_len; i++)
		image[i] = (uint8_t)tap_rand();
	memcpy(saved, image, image_len);
	memcpy(want, image, image_len);
	vm = vm_with_image(image, image_len);
	if (vm && CHECK_EQ(open_disk(vm, text, &blk), V3_OK)) {
		CHECK_EQ(v3_blk_size(blk), size);
		for (unsigned i = 0; i < 400; i++) {
			uint64_t r = tap_rand(), off = r % size;
			uint64_t len = (r >> 32) % (r >> 63 ? 300 * KIB : 3000);

			len = len < size - off ? len : size - off;
			if (r >> 62 & 1) {
				off &= ~0xffffull;
				len = r >> 61 & 1 ? size - off : len;
			}
			memset(got, (int)r, size);
			if (i % 4 == 0) {
				CHECK_EQ(blk_zero(blk, off, len), V3_OK);
				memset(want + off, 0, len);
			} else if (i % 4 == 1) {
				CHECK_EQ(blk_write(blk, off, got, len), V3_OK);
				memcpy(want + off, got, len);
			} else {
				CHECK_EQ(blk_read(blk, off, got, len), V3_OK);
				CHECK_MEM(got, want + off, len);
			}
		}
		CHECK_EQ(blk_read(blk, 0, got, size), V3_OK);
		CHECK_MEM(got, want, size);
		v3_blk_close(blk);
		CHECK_MEM(image, saved, image_len);
		CHECK_EQ(open_disk(vm, text, &blk), V3_OK);
		CHECK_EQ(blk_read(blk, 0, got, image_len), V3_OK);
		CHECK_MEM(got, saved, image_len);
		v3_blk_close(blk);
	}
	free(image);
	free(saved);
	free(want);
	free(got);
}

static void test_blk_ram_disk(void)
{
	check_against_array(0, MIB, "size = \"1M\"\n");
}

static void test_blk_overlay(void)
{
	check_against_array(700 * KIB, 700 * KIB, "image = \"disk.img\"\n");
}

static void test_blk_overlay_longer_than_image(void)
{
	check_against_array(300 * KIB + 77, 2 * MIB, "image = \"disk.img\"\nsize = \"2M\"\n");
}

static void test_blk_is_sparse(void)
{
	struct v3_vm *vm = vm_with_image("", 0);
	unsigned before, after;
	struct v3_blk *blk;
	char back[8];

	REQUIRE(vm);
	before = fake_host_live(FAKE_PAGES);
	REQUIRE_EQ(open_disk(vm, "size = \"100G\"\n", &blk), V3_OK);
	CHECK_EQ(blk_zero(blk, 0, 100ull << 30), V3_OK);
	CHECK_EQ(fake_host_live(FAKE_PAGES), before);
	CHECK_EQ(blk_write(blk, 99ull << 30, "palacios", 8), V3_OK);
	CHECK_EQ(blk_read(blk, 99ull << 30, back, 8), V3_OK);
	CHECK_MEM(back, "palacios", 8);
	after = fake_host_live(FAKE_PAGES);
	CHECK_EQ(after, before + 2);
	CHECK_EQ(blk_zero(blk, 99ull << 30, MIB), V3_OK);
	CHECK_EQ(fake_host_live(FAKE_PAGES), before + 1); /* the table stays */
	v3_blk_close(blk);
	CHECK_EQ(fake_host_live(FAKE_PAGES), before);
}

static void test_blk_host_without_memory(void)
{
	static uint8_t image[256 * KIB], back[512];
	struct v3_vm *vm;
	struct v3_blk *blk;

	memset(image, 7, sizeof(image));
	vm = vm_with_image(image, sizeof(image));
	REQUIRE(vm);
	REQUIRE_EQ(open_disk(vm, "image = \"disk.img\"\n", &blk), V3_OK);
	fake_host_fail_from(1);
	CHECK_EQ(blk_write(blk, 0, "x", 1), V3_ENOMEM);
	CHECK_EQ(blk_zero(blk, 0, 64 * KIB), V3_ENOMEM);
	CHECK_EQ(blk_zero(blk, 3, 100), V3_ENOMEM);
	fake_host_fail_at(2); /* the table, but no cluster */
	CHECK_EQ(blk_write(blk, 0, "x", 1), V3_ENOMEM);
	CHECK_EQ(blk_read(blk, 0, back, sizeof(back)), V3_OK);
	CHECK_EQ(back[0], 7);
	CHECK(fake_log_contains("no memory for what the guest writes"));
	fake_host_fail_at(0);
	CHECK_EQ(blk_write(blk, 0, "x", 1), V3_OK);
	CHECK_EQ(blk_read(blk, 0, back, sizeof(back)), V3_OK);
	CHECK_EQ(back[0], 'x');
	CHECK_EQ(back[1], 7);
	v3_blk_close(blk);
}

static struct v3_vm *oom_vm;
static const struct v3_cfg *oom_cfg;
static struct v3_blk *oom_blk;

static int oom_open(void *arg)
{
	(void)arg;
	return v3_blk_open(oom_vm, oom_cfg, &oom_blk);
}

static void oom_close(void *arg)
{
	(void)arg;
	v3_blk_close(oom_blk);
}

static void test_blk_oom(void)
{
	oom_vm = vm_with_image("data", 4);
	REQUIRE(oom_vm);
	oom_cfg = fake_cfg(&disk, "image = \"disk.img\"\n");
	REQUIRE(oom_cfg);
	CHECK(fake_host_oom_each_step(oom_open, oom_close, NULL) >= 2);
}

/* ---- contents that are saved ---- */

#define CLUSTER (64 * KIB)
#define RECORD	(2 + 4 + 4 + 8) /* of a chunk without bytes, and 8 more than the last one */

static uint8_t saved[MIB];

/* @return bytes of saved[] */
static size_t save_disk(struct v3_blk *blk)
{
	struct v3_save_buf buf = {.data = saved, .size = sizeof(saved)};

	v3_save_settle(&v3_blk_save, blk);
	CHECK_EQ(v3_save_write(&v3_blk_save, "disk", blk, &buf), V3_OK);
	return buf.pos;
}

static int load_disk(struct v3_blk *blk, size_t len)
{
	struct v3_save_buf buf = {.data = saved, .size = len};

	return v3_save_read(&v3_blk_save, "disk", blk, &buf);
}

/* Written clusters, zeroed ones over the image, one behind it; the others are the image's or zeros. */
static void test_blk_saved_overlay(void)
{
	static uint8_t image[200 * KIB], a[300 * KIB], b[sizeof(a)];
	struct v3_blk *from, *to;
	struct v3_vm *vm;
	size_t len;

	memset(image, 0xa5, sizeof(image));
	vm = vm_with_image(image, sizeof(image));
	REQUIRE(vm);
	REQUIRE_EQ(open_disk(vm, "image = \"disk.img\"\nsize = \"300K\"\n", &from), V3_OK);
	REQUIRE_EQ(open_disk(vm, "image = \"disk.img\"\nsize = \"300K\"\n", &to), V3_OK);
	CHECK_EQ(blk_write(from, CLUSTER + 100, "one", 3), V3_OK);
	CHECK_EQ(blk_zero(from, 2 * CLUSTER, CLUSTER), V3_OK);
	CHECK_EQ(blk_write(from, 300 * KIB - 4, "end", 4), V3_OK);
	CHECK_EQ(blk_write(to, 0, "not kept", 8), V3_OK);
	len = save_disk(from);
	CHECK_EQ(len, 3 * RECORD + 2 * CLUSTER + RECORD - 8);
	REQUIRE_EQ(load_disk(to, len), V3_OK);
	CHECK_EQ(blk_read(from, 0, a, sizeof(a)), V3_OK);
	CHECK_EQ(blk_read(to, 0, b, sizeof(b)), V3_OK);
	CHECK_MEM(a, b, sizeof(a));
	CHECK_EQ(b[2 * CLUSTER], 0);
	CHECK_EQ(save_disk(to), len);
	v3_blk_close(from);
	v3_blk_close(to);
}

static void test_blk_saved_sparse(void)
{
	struct v3_blk *from, *to;
	char text[8] = "";
	struct v3_vm *vm = vm_with_image("", 0);
	size_t len;

	REQUIRE(vm);
	REQUIRE_EQ(open_disk(vm, "size = \"96G\"\n", &from), V3_OK);
	REQUIRE_EQ(open_disk(vm, "size = \"96G\"\n", &to), V3_OK);
	CHECK_EQ(blk_write(from, (90ull << 30) + 512, "far", 4), V3_OK);
	CHECK_EQ(blk_write(from, CLUSTER * 512 - 4, "end", 4), V3_OK); /* of a leaf */
	len = save_disk(from);
	CHECK_EQ(len, 2 * RECORD + 2 * CLUSTER + RECORD - 8);
	REQUIRE_EQ(load_disk(to, len), V3_OK);
	CHECK_EQ(blk_read(to, (90ull << 30) + 512, text, 4), V3_OK);
	CHECK_STR(text, "far");
	CHECK_EQ(blk_read(to, CLUSTER * 512 - 4, text, 4), V3_OK);
	CHECK_STR(text, "end");
	v3_blk_close(from);
	v3_blk_close(to);
}

static void test_blk_saved_refused(void)
{
	struct v3_blk *rw, *ro;
	struct v3_vm *vm = vm_with_image("image", 6);
	size_t len;

	REQUIRE(vm);
	REQUIRE_EQ(open_disk(vm, "image = \"disk.img\"\n", &rw), V3_OK);
	REQUIRE_EQ(open_disk(vm, "image = \"disk.img\"\nread_only = true\n", &ro), V3_OK);
	CHECK_EQ(blk_write(rw, 0, "x", 1), V3_OK);
	len = save_disk(rw);
	CHECK_EQ(load_disk(ro, len), V3_EINVAL); /* it has the image, and nothing else */
	fake_host_fail_from(1);
	CHECK_EQ(load_disk(rw, len), V3_EINVAL);
	fake_host_fail_at(0);
	CHECK_EQ(load_disk(rw, len), V3_OK);
	saved[2 + 4 + 4] = 1; /* a cluster behind the end */
	CHECK_EQ(load_disk(rw, len), V3_EINVAL);
	v3_blk_close(rw);
	v3_blk_close(ro);
}

static const struct tap_test tests[] = {
	TAP(test_blk_open_refuses),  TAP(test_blk_size),
	TAP(test_blk_ranges),	     TAP(test_blk_read_only),
	TAP(test_blk_ram_disk),	     TAP(test_blk_overlay),
	TAP(test_blk_is_sparse),     TAP(test_blk_overlay_longer_than_image),
	TAP(test_blk_oom),	     TAP(test_blk_host_without_memory),
	TAP(test_blk_saved_overlay), TAP(test_blk_saved_sparse),
	TAP(test_blk_saved_refused),
};
TAP_MAIN(tests)
