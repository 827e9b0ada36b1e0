/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_qcow2.c
 * qcow2 images, judged by QEMU's own tools: qemu-img makes, checks and compares them, a plain array says what is on
 * the disk. Also what happens to them when the store fails and when the power does.
 */
#include "devices/block/qcow2.h"
#include "fake_vm.h"
#include "palacios/vm.h"
#include "store_rig.h"

#define KIB 1024u
#define MIB (1024 * KIB)

/* A kind of image. */
struct kind {
	const char *options; /* of qemu-img create */
	uint32_t size;
	uint32_t backing; /* bytes of a backing file, 0: none */
	bool qcow2_below; /* the backing file is an image, too */
};

static const struct kind kinds[] = {
	{"compat=1.1", 3 * MIB + 512, 0, false},
	{"compat=0.10", 3 * MIB, 0, false},
	{"compat=1.1,cluster_size=512", 1 * MIB, 0, false},
	{"compat=1.1,cluster_size=512,refcount_bits=64", 3 * MIB, 0, false},
	{"compat=1.1,cluster_size=4k,refcount_bits=1", 2 * MIB, 0, false},
	{"compat=1.1,cluster_size=4k,refcount_bits=2", 2 * MIB, 0, false},
	{"compat=1.1,cluster_size=1k,refcount_bits=4", 2 * MIB, 0, false},
	{"compat=1.1,cluster_size=1k,refcount_bits=8", 2 * MIB, 0, false},
	{"compat=1.1,cluster_size=4k,refcount_bits=32", 2 * MIB, 0, false},
	{"compat=1.1,cluster_size=2M", 9 * MIB, 0, false},
	{"compat=1.1,cluster_size=4k", 2 * MIB, 1 * MIB + 700, false},
	{"compat=0.10,cluster_size=4k", 2 * MIB, 1 * MIB + 700, false},
	{"compat=1.1,cluster_size=4k", 2 * MIB, 1 * MIB, true},
	{"compat=1.1,lazy_refcounts=on", 2 * MIB, 0, false},
	{"compat=1.1,preallocation=metadata,cluster_size=4k", 1 * MIB, 0, false},
};

static struct v3_vm *vm;
static struct rig_file file, below;
static struct v3_qcow2 *image, *below_image;
static uint8_t *want; /* what is on the disk */

static bool begin(void)
{
	return CHECK_EQ(fake_vm_create(fake_pc_toml(1, 16), NULL, 0, &vm), V3_OK);
}

/* @param over  with what is below */
static int open_with(bool over, bool read_only)
{
	struct v3_qcow2_params params = {
		.file = rig_file_store(&file),
		.read_only = read_only,
	};

	if (over && below_image)
		params.below = below_image;
	else if (over)
		params.backing = rig_file_store(&below);
	return v3_qcow2_open(vm, &params, &image);
}

static void make_below(const struct kind *k)
{
	struct v3_qcow2_params params = {.read_only = true};

	for (uint32_t i = 0; i < k->backing; i++)
		want[i] = (uint8_t)tap_rand();
	rig_file_save("below.raw", want, k->backing);
	if (!k->qcow2_below) {
		rig_file_load(&below, "below.raw");
		return;
	}
	CHECK_EQ(rig_run("qemu-img convert -f raw -O qcow2 below.raw below.img"), 0);
	rig_file_load(&below, "below.img");
	params.file = rig_file_store(&below);
	CHECK_EQ(v3_qcow2_open(vm, &params, &below_image), V3_OK);
}

/* Make an image with qemu-img and open it. */
static bool open_kind(const struct kind *k)
{
	char base[80] = "";

	want = calloc(1, k->size);
	if (k->backing) {
		make_below(k);
		snprintf(base, sizeof(base),
			 k->qcow2_below ? "-b below.img -F qcow2" : "-b below.raw -F raw");
	}
	if (!CHECK_EQ(rig_run("qemu-img create -q -f qcow2 -o %s %s disk.img %u", k->options, base,
			      k->size),
		      0))
		return false;
	rig_file_load(&file, "disk.img");
	return CHECK_EQ(open_with(k->backing, false), V3_OK) &&
	       CHECK_EQ(v3_qcow2_size(image), k->size);
}

static void drop_all(void)
{
	v3_qcow2_close(below_image);
	below_image = NULL;
	rig_file_free(&file);
	rig_file_free(&below);
	free(want);
	want = NULL;
}

/* What qemu-img says to the file as it is; with @p size, also to its contents. */
static void judge(uint32_t size)
{
	rig_file_save("disk.img", file.bytes, file.len);
	CHECK_EQ(rig_run("qemu-img check -q -f qcow2 disk.img"), 0);
	if (!size)
		return;
	rig_file_save("want.raw", want, size);
	CHECK_EQ(rig_run("qemu-img compare -q -f qcow2 -F raw disk.img want.raw"), 0);
}

/* One random operation on disk and array. @return what it said */
static int step(uint32_t size, uint32_t longest, bool check)
{
	uint64_t r = tap_rand(), off = r % size, len = (r >> 32) % longest;
	uint8_t *buf;
	int err;

	len = len < size - off ? len : size - off;
	if (r >> 60 & 1)
		off &= ~0xfffull;
	switch (r >> 61) {
	case 0:
		err = v3_qcow2_zero(image, off, len);
		memset(want + off, 0, err ? 0 : len);
		return err;
	case 1:
		off &= ~0xffffull;
		len = size - off < 0x20000 ? size - off : 0x20000;
		err = v3_qcow2_zero(image, off, len);
		memset(want + off, 0, err ? 0 : len);
		return err;
	case 2:
		return r >> 59 & 1 ? v3_qcow2_flush(image) : V3_OK;
	case 3:
	case 4:
		buf = malloc(len + 1);
		err = v3_qcow2_read(image, off, buf, len);
		if (!err && check)
			CHECK_MEM(buf, want + off, len);
		free(buf);
		return err;
	default:
		buf = malloc(len + 1);
		for (uint64_t i = 0; i < len; i++)
			buf[i] = (uint8_t)tap_rand();
		err = v3_qcow2_write(image, off, buf, len);
		memcpy(want + off, buf, err ? 0 : len);
		free(buf);
		return err;
	}
}

static void check_whole(uint32_t size)
{
	uint8_t *got = malloc(size);

	CHECK_EQ(v3_qcow2_read(image, 0, got, size), V3_OK);
	CHECK_MEM(got, want, size);
	free(got);
}

static void test_qcow2_agrees_with_qemu(void)
{
	REQUIRE(begin());
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (!open_kind(&kinds[k])) {
			tap_fail(__FILE__, __LINE__, "%s", kinds[k].options);
			drop_all();
			return;
		}
		for (unsigned i = 0; i < 150; i++)
			CHECK_EQ(step(kinds[k].size, i % 8 ? 9000 : 300 * KIB, true), V3_OK);
		check_whole(kinds[k].size);
		CHECK_EQ(v3_qcow2_close(image), V3_OK);
		judge(kinds[k].size);
		if (tap.failures)
			printf("# %s\n", kinds[k].options);
		if (CHECK_EQ(open_with(kinds[k].backing, true), V3_OK)) {
			check_whole(kinds[k].size);
			CHECK_EQ(v3_qcow2_write(image, 0, "x", 1), V3_EPERM);
			CHECK_EQ(v3_qcow2_close(image), V3_OK);
		}
		drop_all();
	}
}

/* Every cluster of a disk whose counts need many more blocks, and then a larger table, than the image has. */
static void test_qcow2_counts_grow(void)
{
	const struct kind k = {"cluster_size=512,refcount_bits=64", 6 * MIB, 0, false};
	uint64_t table;

	REQUIRE(begin() && open_kind(&k));
	table = image->ref_entries;
	for (uint32_t i = 0; i < k.size; i++)
		want[i] = (uint8_t)tap_rand();
	CHECK_EQ(v3_qcow2_write(image, 0, want, k.size), V3_OK);
	CHECK(image->ref_entries > table);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	judge(k.size);
	drop_all();
}

/* What is discarded is used again: the file does not grow for ever. */
static void test_qcow2_discard_frees(void)
{
	const struct kind k = {"cluster_size=4k", 4 * MIB, 0, false};
	uint64_t len = 0;

	REQUIRE(begin() && open_kind(&k));
	for (unsigned i = 0; i < 8; i++) {
		memset(want, (int)i + 1, k.size);
		CHECK_EQ(v3_qcow2_write(image, 0, want, k.size), V3_OK);
		CHECK_EQ(v3_qcow2_discard(image, 100, 10 * KIB), V3_OK); /* 2 whole clusters */
		CHECK_EQ(v3_qcow2_discard(image, MIB, 3 * MIB), V3_OK);
		CHECK_EQ(v3_qcow2_flush(image), V3_OK);
		memset(want + 4 * KIB, 0, 4 * KIB);
		memset(want + MIB, 0, 3 * MIB);
		len = len ? len : file.len;
	}
	CHECK(file.len <= len + 64 * KIB);
	check_whole(k.size);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	judge(k.size);
	drop_all();
}

/* Over a backing file a discarded cluster must not show what is below. */
static void test_qcow2_discard_hides_backing(void)
{
	const struct kind k = {"cluster_size=4k", 1 * MIB, 1 * MIB, false};

	REQUIRE(begin() && open_kind(&k));
	CHECK_EQ(v3_qcow2_discard(image, 8 * KIB, 16 * KIB), V3_OK);
	memset(want + 8 * KIB, 0, 16 * KIB);
	check_whole(k.size);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	judge(k.size);
	drop_all();
}

static void test_qcow2_reads_what_qemu_wrote(void)
{
	const struct kind k = {"cluster_size=4k", 1 * MIB, 512 * KIB, false};

	REQUIRE(begin() && open_kind(&k));
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	rig_file_free(&file);
	CHECK_EQ(rig_run("qemu-io -f qcow2 -c 'write -P 7 1000 9000' -c 'write -z 64k 64k' "
			 "-c 'write -P 9 600k 100k' -c 'discard 640k 8k' disk.img"),
		 0);
	memset(want + 1000, 7, 9000);
	memset(want + 64 * KIB, 0, 64 * KIB);
	memset(want + 600 * KIB, 9, 100 * KIB);
	memset(want + 640 * KIB, 0, 8 * KIB);
	rig_file_load(&file, "disk.img");
	REQUIRE_EQ(open_with(true, false), V3_OK);
	check_whole(k.size);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(step(k.size, 20000, true), V3_OK);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	judge(k.size);
	drop_all();
}

/* A snapshot inside the image shares tables and clusters with the disk, and stays as it was. */
/* qemu-img makes a snapshot of the closed image; writing goes on, and it stays as it was. */
static void check_snapshot_survives(uint64_t size)
{
	CHECK_EQ(rig_run("qemu-img snapshot -c before disk.img && cp want.raw before.raw"), 0);
	rig_file_free(&file);
	rig_file_load(&file, "disk.img");
	REQUIRE_EQ(open_with(false, false), V3_OK);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(step(size, 40000, true), V3_OK);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	judge(size);
	CHECK_EQ(rig_run("qemu-img convert -f qcow2 -l before -O raw disk.img old.raw && "
			 "cmp old.raw before.raw"),
		 0);
	drop_all();
}

static void test_qcow2_leaves_snapshots_alone(void)
{
	const struct kind k = {"cluster_size=4k", 4 * MIB, 0, false};

	REQUIRE(begin() && open_kind(&k));
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(step(k.size, 40000, true), V3_OK);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	judge(k.size);
	check_snapshot_survives(k.size);
}

/* The power fails again and again: nothing but unused clusters is lost, and never what was flushed. */
static void test_qcow2_survives_crashes(void)
{
	static const struct kind some[] = {
		{"cluster_size=512,refcount_bits=64", 4 * MIB, 0, false},
		{"cluster_size=4k,refcount_bits=1", 2 * MIB, 0, false},
		{"cluster_size=64k", 4 * MIB, 0, false},
	};
	uint8_t *buf = malloc(64 * KIB);

	REQUIRE(begin());
	for (unsigned n = 0; n < 24 && !tap.failures; n++) {
		const struct kind *k = &some[n % 3];
		uint64_t half = k->size / 2;
		int status;

		REQUIRE(open_kind(k));
		file.track = true;
		/* The lower half is written and flushed, the upper half then changes until the lights go out. */
		for (unsigned i = 0; i < 40; i++)
			step((uint32_t)half, 30000, true);
		CHECK_EQ(v3_qcow2_flush(image), V3_OK);
		for (unsigned i = 0; i < 10 + n * 4; i++) {
			uint64_t off = half + tap_rand() % (half - 64 * KIB);

			memset(buf, (int)i + 1, 64 * KIB);
			if (i % 3 == 2)
				v3_qcow2_discard(image, off & ~0xfffull, 64 * KIB);
			else
				v3_qcow2_write(image, off, buf, tap_rand() % (60 * KIB));
			if (i % 7 == 6)
				v3_qcow2_flush(image);
		}
		rig_file_crash(&file);
		file.track = false;
		rig_file_save("disk.img", file.bytes, file.len);
		v3_qcow2_close(image); /* what it writes now is not in disk.img */
		status = rig_run("qemu-img check -q -f qcow2 disk.img");
		if (status != 0 && status != 3)
			tap_fail(__FILE__, __LINE__, "%s: check says %d after crash %u", k->options,
				 status, n);
		rig_file_free(&file);
		rig_file_load(&file, "disk.img");
		if (CHECK_EQ(open_with(false, true), V3_OK)) {
			check_whole((uint32_t)half);
			v3_qcow2_close(image);
		}
		drop_all();
	}
	free(buf);
}

/* Each call of the store fails once: the disk says so, and the image stays sound. */
static void test_qcow2_io_errors(void)
{
	const struct kind k = {"cluster_size=512,refcount_bits=64", 2 * MIB, 0, false};
	uint64_t seed = tap.rnd;

	REQUIRE(begin());
	for (unsigned at = 1, calls = 0; !calls || at < calls; at += 1 + at / 4) {
		int status;

		tap.rnd = seed;
		REQUIRE(open_kind(&k));
		file.calls = 0;
		file.fail_at = at;
		for (unsigned i = 0; i < 30; i++)
			step(k.size, 60000, false);
		calls = file.calls;
		file.fail_at = 0;
		CHECK_EQ(v3_qcow2_flush(image), V3_OK);
		v3_qcow2_close(image);
		rig_file_save("disk.img", file.bytes, file.len);
		status = rig_run("qemu-img check -q -f qcow2 disk.img");
		if (status != 0 && status != 3)
			tap_fail(__FILE__, __LINE__, "check says %d after call %u failed", status,
				 at);
		drop_all();
	}
}

static const struct kind small = {"cluster_size=4k", 1 * MIB, 0, false};

/* What is changed in a good header, and the answer. */
static const struct {
	const char *what;
	unsigned offset, bytes;
	uint64_t value;
	int err;
	const char *log;
} changes[] = {
	{"magic", 0, 4, 0x12345678, V3_EBADMSG, "magic number"},
	{"version 1", 4, 4, 1, V3_ENOTSUP, "qcow2 version 1"},
	{"version 4", 4, 4, 4, V3_ENOTSUP, "qcow2 version 4"},
	{"small clusters", 20, 4, 8, V3_EBADMSG, "cluster bits"},
	{"large clusters", 20, 4, 22, V3_EBADMSG, "cluster bits"},
	{"silly clusters", 20, 4, ~0u, V3_EBADMSG, "cluster bits"},
	{"no disk", 24, 8, 0, V3_EBADMSG, "disk size"},
	{"endless disk", 24, 8, ~0ull, V3_EBADMSG, "disk size"},
	{"L1 too small", 24, 8, 1ull << 40, V3_EBADMSG, "L1 entries"},
	{"encrypted", 32, 4, 1, V3_ENOTSUP, "encrypted"},
	{"L1 at 0", 40, 8, 0, V3_EBADMSG, "L1 table"},
	{"L1 not aligned", 40, 8, 0x3008, V3_EBADMSG, "L1 table"},
	{"L1 outside", 40, 8, 0x7fffffff000, V3_EBADMSG, "L1 table"},
	{"L1 wraps", 40, 8, ~0xfffull, V3_EBADMSG, "L1 table"},
	{"reference table outside", 48, 8, 0x7fffffff000, V3_EBADMSG, "reference table"},
	{"no reference table", 56, 4, 0, V3_EBADMSG, "reference table"},
	{"endless reference table", 56, 4, ~0u, V3_EBADMSG, "reference table"},
	{"dirty", 72, 8, 1, V3_EBADMSG, "not closed properly"},
	{"corrupt", 72, 8, 2, V3_EBADMSG, "damaged"},
	{"external data", 72, 8, 4, V3_ENOTSUP, "incompatible feature 2"},
	{"unknown feature", 72, 8, 1ull << 63, V3_ENOTSUP, "incompatible feature 63"},
	{"wide counts", 96, 4, 7, V3_EBADMSG, "reference count order"},
	{"short header", 100, 4, 96, V3_EBADMSG, "header length"},
	{"long header", 100, 4, 0x100000, V3_EBADMSG, "header length"},
	{"endless extension", 112, 8, 0x6803f857ffffffffull, V3_EBADMSG, "header extension"},
	{"backing name outside", 8, 8, 0xfffff, V3_EBADMSG, "backing file name"},
};

static void test_qcow2_refuses_headers(void)
{
	uint8_t saved[4096];

	REQUIRE(begin() && open_kind(&small));
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	memcpy(saved, file.bytes, sizeof(saved));
	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		v3_qcow2_put_be(file.bytes + changes[i].offset, changes[i].value, changes[i].bytes);
		fake_log_clear();
		if (!CHECK_EQ(open_with(false, false), changes[i].err) ||
		    !CHECK(fake_log_contains(changes[i].log)))
			printf("# %s\n", changes[i].what);
		memcpy(file.bytes, saved, sizeof(saved));
	}
	/* Read-only, one whose counts are not to be trusted will do. */
	v3_qcow2_put_be(file.bytes + 72, 3, 8);
	REQUIRE_EQ(open_with(false, true), V3_OK);
	check_whole(small.size);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	drop_all();
}

/* A disk that qemu-img compressed: some clusters shrink much, some little, some not at all, some are zeros. */
static bool open_compressed(const struct kind *k)
{
	want = calloc(1, k->size);
	for (uint32_t i = 0; i < k->size; i++) {
		uint32_t what = i / (24 * KIB) % 4;

		want[i] = what == 0 ? 0
				    : (uint8_t)(tap_rand() % (what == 1	  ? 4
							      : what == 2 ? 120
									  : 256));
	}
	rig_file_save("want.raw", want, k->size);
	if (!CHECK_EQ(rig_run("qemu-img convert -c -f raw -O qcow2 -o %s want.raw disk.img",
			      k->options),
		      0))
		return false;
	rig_file_load(&file, "disk.img");
	return CHECK_EQ(open_with(false, false), V3_OK);
}

static const struct kind packed_kinds[] = {
	{"compat=1.1", 3 * MIB + 512, 0, false},
	{"compat=0.10", 2 * MIB, 0, false},
	{"compat=1.1,cluster_size=512", 1 * MIB, 0, false},
	{"compat=1.1,cluster_size=4k", 2 * MIB, 0, false},
	{"compat=1.1,cluster_size=2M", 9 * MIB, 0, false},
};

/* Read, then written anew: the counts of clusters that several compressed ones share are judged by qemu-img. */
static void test_qcow2_compressed(void)
{
	REQUIRE(begin());
	for (unsigned n = 0; n < V3_ARRAY_SIZE(packed_kinds) && !tap.failures; n++) {
		const struct kind *k = &packed_kinds[n];

		REQUIRE(open_compressed(k));
		CHECK(image->packed == NULL);
		check_whole(k->size);
		CHECK(image->packed != NULL); /* there was something compressed */
		for (unsigned i = 0; i < 150; i++)
			CHECK_EQ(step(k->size, i % 8 ? 9000 : 300 * KIB, true), V3_OK);
		check_whole(k->size);
		CHECK_EQ(v3_qcow2_close(image), V3_OK);
		judge(k->size);
		if (tap.failures)
			printf("# %s\n", k->options);
		drop_all();
	}
}

static void test_qcow2_compressed_and_snapshot(void)
{
	const struct kind k = {"cluster_size=4k", 2 * MIB, 0, false};

	REQUIRE(begin() && open_compressed(&k));
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	check_snapshot_survives(k.size);
}

/* Place in the file of the first compressed cluster's L2 entry. */
static uint64_t find_packed(uint64_t *entry)
{
	uint64_t l2 = v3_qcow2_be64(file.bytes + image->l1_offset) & QCOW2_OFFSET;

	for (uint64_t at = l2; at < l2 + image->cluster; at += 8) {
		*entry = v3_qcow2_be64(file.bytes + at);
		if (*entry & QCOW2_COMPRESSED)
			return at;
	}
	FAIL("no compressed cluster");
	return l2;
}

/* Bad data are an I/O error for that cluster, and a line that says where; the rest of the disk goes on. */
static void test_qcow2_compressed_damaged(void)
{
	const struct kind k = {"cluster_size=4k", 1 * MIB, 0, false};
	uint64_t entry = 0, at, offset;
	uint8_t byte;

	REQUIRE(begin() && open_compressed(&k));
	at = find_packed(&entry);
	offset = (at & 0xfff) / 8 * 4096;
	memset(file.bytes + (entry & 0x3fffffffffffff), 0xff, 2); /* no such kind of block */
	CHECK_EQ(v3_qcow2_read(image, offset, &byte, 1), V3_EIO);
	CHECK(fake_log_contains("damaged image: compressed cluster at"));
	CHECK_EQ(v3_qcow2_write(image, offset, &byte, 1),
		 V3_EIO); /* the rest of it cannot be kept */
	CHECK_EQ(v3_qcow2_read(image, 0, &byte, 1), V3_OK);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	judge(0);
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t bad[] = {entry | QCOW2_COPIED, QCOW2_COMPRESSED | file.len,
					QCOW2_COMPRESSED | (uint64_t)15 << 58 | (file.len - 600)};

		v3_qcow2_put_be(file.bytes + at, bad[i], 8);
		REQUIRE_EQ(open_with(false, true), V3_OK);
		CHECK_EQ(v3_qcow2_read(image, offset, &byte, 1), V3_EIO);
		CHECK_EQ(v3_qcow2_close(image), V3_OK);
	}
	CHECK(fake_log_contains("damaged image: L2 entry"));
	drop_all();
}

/* The memory for unpacking is asked for when it is needed. */
static void test_qcow2_compressed_out_of_memory(void)
{
	const struct kind k = {"cluster_size=4k", 1 * MIB, 0, false};

	REQUIRE(begin() && open_compressed(&k));
	for (unsigned refused = 1; refused <= 3; refused++) {
		fake_host_fail_at(refused);
		CHECK_EQ(v3_qcow2_read(image, 24 * KIB, want, 1), V3_ENOMEM);
		CHECK(image->packed == NULL);
	}
	fake_host_fail_at(0);
	check_whole(k.size);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	drop_all();
}

/* Another method is refused by name. */
static void test_qcow2_refuses_zstd(void)
{
	REQUIRE(begin());
	CHECK_EQ(rig_run("qemu-img create -f qcow2 -o compression_type=zstd disk.img 1M"), 0);
	rig_file_load(&file, "disk.img");
	CHECK_EQ(open_with(false, true), V3_ENOTSUP);
	CHECK(fake_log_contains("zstd"));
	drop_all();
}

/* The image does not decide which file of the host is read. */
static void test_qcow2_backing_is_named_by_the_definition(void)
{
	const struct kind k = {"cluster_size=4k", 1 * MIB, 4 * KIB, false};

	REQUIRE(begin() && open_kind(&k));
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	CHECK_EQ(open_with(false, false), V3_EINVAL);
	CHECK(fake_log_contains("backing file \"below.raw\""));
	drop_all();
	REQUIRE(open_kind(&small));
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	CHECK_EQ(open_with(true, false), V3_EINVAL);
	drop_all();
}

/* Features that we do not keep in step are marked so; others' data are left alone. */
static void test_qcow2_clears_autoclear(void)
{
	REQUIRE(begin() && open_kind(&small));
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	rig_file_free(&file);
	CHECK_EQ(rig_run("qemu-img bitmap --add disk.img dirty"), 0);
	rig_file_load(&file, "disk.img");
	CHECK(v3_qcow2_be64(file.bytes + QCOW2_H_AUTOCLEAR) != 0);
	REQUIRE_EQ(open_with(false, true), V3_OK);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	CHECK(v3_qcow2_be64(file.bytes + QCOW2_H_AUTOCLEAR) != 0);
	REQUIRE_EQ(open_with(false, false), V3_OK);
	CHECK_EQ(v3_qcow2_write(image, 5000, "x", 1), V3_OK);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	CHECK_EQ(v3_qcow2_be64(file.bytes + QCOW2_H_AUTOCLEAR), 0);
	drop_all();
}

/* Tables that refer to nonsense: an I/O error for the guest, each time. */
static void test_qcow2_refuses_entries(void)
{
	static const uint64_t bad[] = {
		0x1000001ull,			/* beyond the end */
		QCOW2_COPIED | 0x7ffffff000ull, /* beyond the end */
		0x1200,				/* not aligned */
		1ull << 56,			/* reserved */
		1ull << 61 | QCOW2_COPIED,
	};
	uint64_t l2;
	uint8_t b;

	REQUIRE(begin() && open_kind(&small));
	CHECK_EQ(v3_qcow2_write(image, 0, "x", 1), V3_OK);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t *l1 = file.bytes + v3_qcow2_be64(file.bytes + 40), saved[8];

		l2 = v3_qcow2_be64(l1) & QCOW2_OFFSET;
		memcpy(saved, file.bytes + l2, 8);
		v3_qcow2_put_be(file.bytes + l2, bad[i], 8);
		REQUIRE_EQ(open_with(false, false), V3_OK);
		CHECK_EQ(v3_qcow2_read(image, 0, &b, 1), V3_EIO);
		CHECK_EQ(v3_qcow2_write(image, 0, "y", 1), V3_EIO);
		CHECK_EQ(v3_qcow2_zero(image, 0, 4096), V3_EIO);
		CHECK_EQ(v3_qcow2_read(image, 4096, &b, 1), V3_OK);
		v3_qcow2_close(image);
		memcpy(file.bytes + l2, saved, 8);
		memcpy(saved, l1, 8);
		v3_qcow2_put_be(l1, bad[i] & ~QCOW2_ZERO, 8);
		if (i) {
			REQUIRE_EQ(open_with(false, false), V3_OK);
			CHECK_EQ(v3_qcow2_read(image, 0, &b, 1), V3_EIO);
			v3_qcow2_close(image);
		}
		memcpy(l1, saved, 8);
	}
	drop_all();
}

static void test_qcow2_ranges(void)
{
	uint8_t b[2];

	REQUIRE(begin() && open_kind(&small));
	CHECK_EQ(v3_qcow2_read(image, MIB - 1, b, 1), V3_OK);
	CHECK_EQ(v3_qcow2_read(image, MIB - 1, b, 2), V3_ERANGE);
	CHECK_EQ(v3_qcow2_write(image, ~0ull, b, 2), V3_ERANGE);
	CHECK_EQ(v3_qcow2_zero(image, 1, ~0ull), V3_ERANGE);
	CHECK_EQ(v3_qcow2_discard(image, MIB, 1), V3_ERANGE);
	CHECK_EQ(v3_qcow2_close(image), V3_OK);
	CHECK_EQ(v3_qcow2_close(NULL), V3_OK);
	drop_all();
}

static int oom_create(void *arg)
{
	(void)arg;
	return open_with(false, false);
}

static void oom_destroy(void *arg)
{
	(void)arg;
	v3_qcow2_close(image);
}

static void test_qcow2_open_out_of_memory(void)
{
	REQUIRE(begin() && open_kind(&small));
	v3_qcow2_close(image);
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, NULL) >= 3);
	drop_all();
}

static const struct tap_test tests[] = {
	TAP(test_qcow2_agrees_with_qemu),
	TAP(test_qcow2_counts_grow),
	TAP(test_qcow2_discard_frees),
	TAP(test_qcow2_discard_hides_backing),
	TAP(test_qcow2_reads_what_qemu_wrote),
	TAP(test_qcow2_leaves_snapshots_alone),
	TAP(test_qcow2_survives_crashes),
	TAP(test_qcow2_io_errors),
	TAP(test_qcow2_refuses_headers),
	TAP(test_qcow2_compressed),
	TAP(test_qcow2_compressed_and_snapshot),
	TAP(test_qcow2_compressed_damaged),
	TAP(test_qcow2_compressed_out_of_memory),
	TAP(test_qcow2_refuses_zstd),
	TAP(test_qcow2_backing_is_named_by_the_definition),
	TAP(test_qcow2_clears_autoclear),
	TAP(test_qcow2_refuses_entries),
	TAP(test_qcow2_ranges),
	TAP(test_qcow2_open_out_of_memory),
};
TAP_MAIN(tests)
