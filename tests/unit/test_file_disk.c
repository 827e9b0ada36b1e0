/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_file_disk.c
 * Disks on files of the host: requests go to a worker and come back from it, whatever the file's format; what the
 * definition may say; what happens when the host fails. What is inside qcow2 images is test_qcow2.c's.
 */
#include "config/vm_cfg.h"
#include "fake_vm.h"
#include "host/host.h"
#include "palacios/blk.h"
#include "palacios/save.h"
#include "palacios/vm.h"
#include "store_rig.h"

#define KIB 1024u
#define MIB (1024 * KIB)

static const struct v3_cfg_key keys[] = {V3_BLK_KEYS, {.name = NULL}};
static const struct v3_device_class disk_class = {.name = "disk", .keys = keys};

static struct v3_vm *vm;

static bool begin(void)
{
	return CHECK_EQ(fake_vm_create(fake_pc_toml(1, 16), NULL, 0, &vm), V3_OK);
}

static int open_disk(const char *text, struct v3_blk **blk)
{
	const struct v3_cfg *cfg = fake_cfg(&disk_class, text);

	return cfg ? v3_blk_open(vm, cfg, blk) : V3_EBADMSG;
}

/* ---- a request and its end ---- */

struct job {
	struct v3_blk_req req;
	struct v3_blk_piece piece[2];
	int err;
	unsigned done, order; /* atomic */
};

static unsigned jobs_done; /* atomic */

static void job_done(struct v3_blk_req *req, int err)
{
	struct job *job = req->priv;

	job->err = err;
	job->order = __atomic_add_fetch(&jobs_done, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&job->done, 1, __ATOMIC_SEQ_CST);
}

/* In two pieces if that is possible. */
static void job_make(struct job *job, enum v3_blk_op op, uint64_t offset, void *buf, size_t len)
{
	memset(job, 0, sizeof(*job));
	job->piece[0] = (struct v3_blk_piece){buf, len / 2};
	job->piece[1] = (struct v3_blk_piece){(uint8_t *)buf + len / 2, len - len / 2};
	job->req.op = op;
	job->req.offset = offset;
	job->req.len = len;
	job->req.piece = job->piece;
	job->req.npieces = 2;
	job->req.done = job_done;
	job->req.priv = job;
}

static int run(struct v3_blk *blk, enum v3_blk_op op, uint64_t offset, void *buf, size_t len)
{
	struct job job;
	int err;

	job_make(&job, op, offset, buf, len);
	err = v3_blk_submit(blk, &job.req);
	if (err != V3_BLK_PENDING)
		return err;
	v3_blk_drain(blk);
	CHECK_EQ(job.done, 1);
	return job.err;
}

/* ---- tests ---- */

static void test_file_disk_raw(void)
{
	uint8_t buf[1000], got[1000];
	const uint8_t *bytes;
	struct v3_blk *blk;
	size_t len;

	REQUIRE(begin());
	memset(buf, 0x5a, sizeof(buf));
	fake_file_add("disk.img", "0123456789", 10, false);
	REQUIRE_EQ(open_disk("file = \"disk.img\"\n", &blk), V3_OK);
	CHECK_EQ(v3_blk_size(blk), 512);
	CHECK(!v3_blk_read_only(blk));
	CHECK_EQ(run(blk, V3_BLK_READ, 0, got, 512), V3_OK);
	CHECK_MEM(got, "0123456789", 11); /* then zeros */
	CHECK_EQ(run(blk, V3_BLK_WRITE, 3, buf, 5), V3_OK);
	CHECK_EQ(run(blk, V3_BLK_ZERO, 1, NULL, 1), V3_OK);
	CHECK_EQ(run(blk, V3_BLK_READ, 0, got, 12), V3_OK);
	CHECK_MEM(got, "0\0002ZZZZZ89\0\0", 12);
	CHECK_EQ(run(blk, V3_BLK_READ, 1, got, 512), V3_ERANGE);
	CHECK_EQ(run(blk, V3_BLK_DISCARD, 0, NULL, 512), V3_OK);
	CHECK_EQ(fake_file_flushes(), 0);
	CHECK_EQ(run(blk, V3_BLK_FLUSH, 0, NULL, 0), V3_OK);
	CHECK_EQ(fake_file_flushes(), 1);
	v3_blk_close(blk);
	bytes = fake_file_bytes("disk.img", &len);
	CHECK_EQ(len, 10);
	CHECK_EQ(bytes[4], 0);
}

static void test_file_disk_qcow2(void)
{
	static uint8_t buf[200 * KIB], got[200 * KIB];
	struct rig_file file = {0};
	struct v3_blk *blk;
	const void *bytes;
	size_t len;

	REQUIRE(begin());
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)tap_rand();
	rig_file_save("base.raw", buf, sizeof(buf));
	CHECK_EQ(rig_run("qemu-img create -q -f qcow2 -b base.raw -F raw mid.img 1M && "
			 "qemu-io -f qcow2 -c 'write -P 3 64k 64k' mid.img && "
			 "qemu-img create -q -f qcow2 -b mid.img -F qcow2 top.img 1M"),
		 0);
	memset(buf + 64 * KIB, 3, 64 * KIB);
	fake_file_add("base.raw", buf, 64 * KIB, true); /* the rest reads as zeros */
	memset(buf + 128 * KIB, 0, sizeof(buf) - 128 * KIB);
	rig_file_load(&file, "mid.img");
	fake_file_add("mid.img", file.bytes, file.len, true);
	rig_file_free(&file);
	rig_file_load(&file, "top.img");
	fake_file_add("top.img", file.bytes, file.len, false);
	rig_file_free(&file);
	REQUIRE_EQ(open_disk("file = \"top.img\"\nformat = \"qcow2\"\n"
			     "backing = [\"mid.img\", \"base.raw\"]\n",
			     &blk),
		   V3_OK);
	CHECK_EQ(v3_blk_size(blk), MIB);
	CHECK_EQ(run(blk, V3_BLK_READ, 0, got, sizeof(got)), V3_OK);
	CHECK_MEM(got, buf, sizeof(got));
	memset(buf + 1000, 9, 70 * KIB);
	CHECK_EQ(run(blk, V3_BLK_WRITE, 1000, buf + 1000, 70 * KIB), V3_OK);
	CHECK_EQ(run(blk, V3_BLK_ZERO, 64 * KIB, NULL, 64 * KIB), V3_OK);
	memset(buf + 64 * KIB, 0, 64 * KIB);
	CHECK_EQ(run(blk, V3_BLK_READ, 0, got, sizeof(got)), V3_OK);
	CHECK_MEM(got, buf, sizeof(got));
	v3_blk_close(blk); /* writes what was kept */
	bytes = fake_file_bytes("top.img", &len);
	rig_file_save("top.img", bytes, len);
	CHECK_EQ(rig_run("qemu-img check -q top.img"), 0);
	CHECK_EQ(fake_host_live(FAKE_FILE), 0);
}

/* All are done, each once, in the order they were asked for. */
static void test_file_disk_keeps_order(void)
{
	static struct job jobs[100];
	static uint8_t buf[512];
	struct v3_blk *blk;

	REQUIRE(begin());
	fake_file_add("disk.img", buf, sizeof(buf), false);
	REQUIRE_EQ(open_disk("file = \"disk.img\"\n", &blk), V3_OK);
	jobs_done = 0;
	for (unsigned i = 0; i < 100; i++) {
		job_make(&jobs[i], V3_BLK_WRITE, 0, buf, 512);
		CHECK_EQ(v3_blk_submit(blk, &jobs[i].req), V3_BLK_PENDING);
	}
	v3_blk_drain(blk);
	for (unsigned i = 0; i < 100; i++) {
		CHECK_EQ(jobs[i].done, 1);
		CHECK_EQ(jobs[i].order, i + 1);
	}
	v3_blk_close(blk);
}

/* Who submits does not wait, whatever the host does. */
static void test_file_disk_does_not_wait(void)
{
	static uint8_t buf[512];
	struct v3_blk *blk;
	struct job job;

	REQUIRE(begin());
	fake_file_add("disk.img", buf, sizeof(buf), false);
	REQUIRE_EQ(open_disk("file = \"disk.img\"\n", &blk), V3_OK);
	fake_worker_hold(true);
	job_make(&job, V3_BLK_READ, 0, buf, 512);
	CHECK_EQ(v3_blk_submit(blk, &job.req), V3_BLK_PENDING);
	CHECK_EQ(job.done, 0);
	fake_worker_hold(false);
	v3_blk_drain(blk);
	CHECK_EQ(job.done, 1);
	v3_blk_close(blk);
}

static void test_file_disk_host_fails(void)
{
	static uint8_t buf[512];
	struct v3_blk *blk;

	REQUIRE(begin());
	fake_file_add("disk.img", buf, sizeof(buf), false);
	REQUIRE_EQ(open_disk("file = \"disk.img\"\n", &blk), V3_OK);
	fake_file_fail_at(2, V3_EPERM); /* no error that disks have; in the second piece */
	CHECK_EQ(run(blk, V3_BLK_WRITE, 0, buf, 512), V3_EIO);
	CHECK(fake_log_contains("disk: request"));
	fake_file_fail_at(1, V3_ENOSPC);
	CHECK_EQ(run(blk, V3_BLK_WRITE, 0, buf, 512), V3_ENOSPC);
	fake_file_fail_at(1, V3_EIO);
	CHECK_EQ(run(blk, V3_BLK_FLUSH, 0, NULL, 0), V3_EIO);
	CHECK_EQ(run(blk, V3_BLK_FLUSH, 0, NULL, 0), V3_OK);
	v3_blk_close(blk);
}

static void test_file_disk_read_only(void)
{
	static uint8_t buf[512] = "x";
	struct v3_blk *blk;

	REQUIRE(begin());
	fake_file_add("disk.img", buf, sizeof(buf), true);
	CHECK_EQ(open_disk("file = \"disk.img\"\n", &blk), V3_EPERM);
	REQUIRE_EQ(open_disk("file = \"disk.img\"\nread_only = true\n", &blk), V3_OK);
	CHECK(v3_blk_read_only(blk));
	CHECK_EQ(run(blk, V3_BLK_WRITE, 0, buf, 512), V3_EPERM);
	CHECK_EQ(run(blk, V3_BLK_FLUSH, 0, NULL, 0), V3_OK);
	CHECK_EQ(run(blk, V3_BLK_READ, 0, buf, 512), V3_OK);
	v3_blk_close(blk);
}

static void test_file_disk_refuses(void)
{
	static const struct {
		const char *text;
		int err;
	} wrong[] = {
		{"file = \"none\"\n", V3_ENOENT},
		{"file = \"empty\"\n", V3_EINVAL},
		{"file = \"raw\"\nformat = \"vmdk\"\n", V3_EINVAL},
		{"file = \"raw\"\nformat = \"qcow2\"\n", V3_EBADMSG},
		{"file = \"raw\"\nsize = \"1M\"\n", V3_EINVAL},
		{"file = \"raw\"\nimage = \"disk.img\"\n", V3_EINVAL},
		{"file = \"raw\"\nbacking = [\"raw\"]\n", V3_EINVAL},
		{"file = \"raw\"\nformat = \"qcow2\"\nbacking = [\"raw\"]\nbacking_format = "
		 "\"x\"\n",
		 V3_EINVAL},
		{"file = \"raw\"\nformat = \"qcow2\"\nbacking = [\"raw\", \"raw\"]\n", V3_EBADMSG},
		{"file = \"raw\"\nformat = \"qcow2\"\n"
		 "backing = [\"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\"]\n",
		 V3_EINVAL},
	};
	struct v3_blk *blk;

	REQUIRE(begin());
	fake_file_add("raw", "0123", 4, false);
	fake_file_add("empty", "", 0, false);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (!CHECK_EQ(open_disk(wrong[i].text, &blk), wrong[i].err))
			printf("# %s\n", wrong[i].text);
	}
	CHECK_EQ(fake_host_live(FAKE_FILE), 0);
}

static void test_file_disk_needs_a_host_with_files(void)
{
	struct v3_blk *blk;

	REQUIRE(begin());
	v3_lib.ops.file = NULL;
	CHECK_EQ(open_disk("file = \"disk.img\"\n", &blk), V3_ENOTSUP);
	CHECK(fake_log_contains("disk.img: this host has no files for guests"));
}

/* A raw file whose bytes look like an image is a raw file. */
static void test_file_disk_format_is_not_guessed(void)
{
	struct rig_file file = {0};
	struct v3_blk *blk;

	REQUIRE(begin());
	CHECK_EQ(rig_run("qemu-img create -q -f qcow2 disk.img 64M"), 0);
	rig_file_load(&file, "disk.img");
	fake_file_add("disk.img", file.bytes, file.len, false);
	REQUIRE_EQ(open_disk("file = \"disk.img\"\n", &blk), V3_OK);
	CHECK_EQ(v3_blk_size(blk), (file.len + 511) & ~511ull);
	v3_blk_close(blk);
	rig_file_free(&file);
}

static struct v3_blk *oom_blk;
static const struct v3_cfg *oom_cfg;

static int oom_open(void *arg)
{
	(void)arg;
	return v3_blk_open(vm, oom_cfg, &oom_blk);
}

static void oom_close(void *arg)
{
	(void)arg;
	v3_blk_close(oom_blk);
}

static void test_file_disk_out_of_memory(void)
{
	struct rig_file file = {0};

	REQUIRE(begin());
	CHECK_EQ(rig_run("qemu-img create -q -f qcow2 disk.img 1M"), 0);
	rig_file_load(&file, "disk.img");
	fake_file_add("disk.img", file.bytes, file.len, false);
	rig_file_free(&file);
	oom_cfg = fake_cfg(&disk_class, "file = \"disk.img\"\nformat = \"qcow2\"\n");
	CHECK(fake_host_oom_each_step(oom_open, oom_close, NULL) >= 5);
}

/* ---- the definition ---- */

static int parse(const char *devices, struct v3_vm_cfg **cfg, struct v3_cfg_error *err)
{
	char text[1000];

	snprintf(text, sizeof(text),
		 "[vm]\nname = \"x\"\nmemory = \"16M\"\n"
		 "[boot]\ntype = \"multiboot\"\nkernel = \"k\"\n%s",
		 devices);
	return v3_vm_cfg_parse(text, strlen(text), "t", v3_pc_devices, cfg, err);
}

#define DISK "[[device]]\nclass = \"virtio_blk\"\n"

static void test_file_disk_definition(void)
{
	struct v3_cfg_error err;
	struct v3_vm_cfg *cfg;

	fake_lib_install();
	REQUIRE_EQ(parse(DISK "file = \"a\"\n" DISK
			      "file = \"b\"\nread_only = true\nbacking = [\"c\", \"d\"]\n" DISK
			      "file = \"b\"\nread_only = true\nbacking = [\"d\"]\n",
			 &cfg, &err),
		   V3_OK);
	REQUIRE_EQ(cfg->nhost_files, 4);
	CHECK_STR(cfg->host_files[0].name, "a");
	CHECK_EQ(cfg->host_files[0].use, V3_CFG_HOST_WRITE);
	CHECK_STR(cfg->host_files[1].name, "b");
	CHECK_EQ(cfg->host_files[1].use, V3_CFG_HOST_READ);
	CHECK_STR(cfg->host_files[3].name, "d");
	CHECK_EQ(cfg->host_files[3].use, V3_CFG_HOST_READ);
	CHECK_EQ(cfg->nfiles, 1); /* the kernel: nothing else is packed */
	v3_vm_cfg_free(cfg);
	CHECK_EQ(parse(DISK "file = \"a\"\n" DISK "file = \"a\"\n", &cfg, &err), V3_EBADMSG);
	CHECK_STR(err.message, "file: the file is used twice, and written at least once");
	CHECK_EQ(parse(DISK "file = \"a\"\nbacking = [\"a\"]\n", &cfg, &err), V3_EBADMSG);
	CHECK_EQ(parse(DISK "file = \"\"\n", &cfg, &err), V3_EBADMSG);
	CHECK_EQ(parse(DISK "file = \"a\\nb\"\n", &cfg, &err), V3_EBADMSG);
	CHECK_STR(err.message, "file: control character in a file name");
}

/* The file has all of it by then, so nothing is in the saved state. */
static void test_file_disk_saved(void)
{
	static uint8_t zeros[64 * KIB];
	struct v3_save_buf buf = {.data = NULL};
	struct v3_blk *blk;

	REQUIRE(begin());
	fake_file_add("disk", zeros, sizeof(zeros), false);
	REQUIRE_EQ(open_disk("file = \"disk\"\n", &blk), V3_OK);
	CHECK_EQ(run(blk, V3_BLK_WRITE, 0, zeros, 512), V3_OK);
	CHECK_EQ(fake_file_flushes(), 0);
	v3_save_settle(&v3_blk_save, blk);
	CHECK_EQ(fake_file_flushes(), 1);
	CHECK_EQ(v3_save_write(&v3_blk_save, "disk", blk, &buf), V3_OK);
	CHECK_EQ(buf.pos, 0);
	fake_file_fail_at(1, V3_EIO);
	v3_save_settle(&v3_blk_save, blk);
	CHECK(fake_log_contains("its flush failed: V3_EIO"));
	v3_blk_close(blk);
}

static const struct tap_test tests[] = {
	TAP(test_file_disk_raw),
	TAP(test_file_disk_qcow2),
	TAP(test_file_disk_keeps_order),
	TAP(test_file_disk_does_not_wait),
	TAP(test_file_disk_host_fails),
	TAP(test_file_disk_read_only),
	TAP(test_file_disk_refuses),
	TAP(test_file_disk_needs_a_host_with_files),
	TAP(test_file_disk_format_is_not_guessed),
	TAP(test_file_disk_out_of_memory),
	TAP(test_file_disk_definition),
	TAP(test_file_disk_saved),
};
TAP_MAIN(tests)
