/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz_qcow2.c
 * A malicious qcow2 image for libFuzzer. The input says what is changed in a small sound image of 512-byte clusters,
 * then what the guest does with the disk. Sanitizers and the fake host judge; so does the length of the file, which
 * has a limit.
 */
#include "devices/block/qcow2.h"
#include "fake_vm.h"
#include "palacios/error.h"
#include "palacios/vm.h"
#include "tap.h"

#define FUZZ_CLUSTER 512u
#define FUZZ_LIMIT   (1u << 20) /* bytes of the file */
#define FUZZ_DISK    0x10000u

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct v3_vm *vm;
static uint8_t file[FUZZ_LIMIT], buf[FUZZ_DISK];
static uint64_t file_len;

/* The input, taken from the front; zeros behind its end. */
static struct {
	const uint8_t *p;
	size_t left;
} in;

static uint32_t take(unsigned n)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < n && in.left; i++, in.left--)
		value |= (uint32_t)*in.p++ << 8 * i;
	return value;
}

static int fuzz_read(void *priv, uint64_t offset, void *to, size_t len)
{
	uint64_t n = offset < file_len ? file_len - offset : 0;

	(void)priv;
	n = n < len ? n : len;
	memcpy(to, file + (n ? offset : 0), n);
	memset((uint8_t *)to + n, 0, len - n);
	return V3_OK;
}

static int fuzz_write(void *priv, uint64_t offset, const void *from, size_t len)
{
	(void)priv;
	if (offset > FUZZ_LIMIT || len > FUZZ_LIMIT - offset)
		return V3_ENOSPC;
	if (from)
		memcpy(file + offset, from, len);
	else
		memset(file + offset, 0, len);
	if (file_len < offset + len)
		file_len = offset + len;
	return V3_OK;
}

static int fuzz_zero(void *priv, uint64_t offset, uint64_t len)
{
	return fuzz_write(priv, offset, NULL, len);
}

static int fuzz_flush(void *priv)
{
	(void)priv;
	return V3_OK;
}

static uint64_t fuzz_size(void *priv)
{
	(void)priv;
	return file_len;
}

static const struct v3_store_ops fuzz_ops = {
	.read = fuzz_read,
	.write = fuzz_write,
	.zero = fuzz_zero,
	.flush = fuzz_flush,
	.size = fuzz_size,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fake_host_test_begin();
	if (fake_vm_create(fake_pc_toml(1, 16), NULL, 0, &vm))
		abort();
	return 0;
}

/* Header, reference table, its block, L1, one L2, one data cluster: a cluster each, in this order. */
static void fuzz_make(void)
{
	memset(file, 0, file_len); /* only that much was used */
	memcpy(file, "QFI\xfb", 4);
	v3_qcow2_put_be(file + 4, 3, 4);
	v3_qcow2_put_be(file + 20, 9, 4);
	v3_qcow2_put_be(file + 24, FUZZ_DISK, 8);
	v3_qcow2_put_be(file + 36, 2, 4);
	v3_qcow2_put_be(file + 40, 3 * FUZZ_CLUSTER, 8);
	v3_qcow2_put_be(file + 48, FUZZ_CLUSTER, 8);
	v3_qcow2_put_be(file + 56, 1, 4);
	v3_qcow2_put_be(file + 96, 4, 4);
	v3_qcow2_put_be(file + 100, 104, 4);
	v3_qcow2_put_be(file + FUZZ_CLUSTER, 2 * FUZZ_CLUSTER, 8);
	for (unsigned i = 0; i < 6; i++)
		v3_qcow2_put_be(file + 2 * FUZZ_CLUSTER + 2 * i, 1, 2);
	v3_qcow2_put_be(file + 3 * FUZZ_CLUSTER, QCOW2_COPIED | 4 * FUZZ_CLUSTER, 8);
	v3_qcow2_put_be(file + 4 * FUZZ_CLUSTER, QCOW2_COPIED | 5 * FUZZ_CLUSTER, 8);
	file_len = 6 * FUZZ_CLUSTER;
}

static void fuzz_change(void)
{
	for (unsigned n = take(1) & 31; n; n--) {
		unsigned at = take(2) % (6 * FUZZ_CLUSTER), kind = take(1);

		if (kind & 1)
			v3_qcow2_put_be(file + at, take(1), 1);
		else if (kind & 2)
			v3_qcow2_put_be(file + (at & ~7u), (uint64_t)take(1) << 56 | take(3), 8);
		else
			v3_qcow2_put_be(file + (at & ~7u), take(2) * (uint64_t)FUZZ_CLUSTER, 8);
	}
}

static void fuzz_step(struct v3_qcow2 *disk, uint64_t size)
{
	unsigned op = take(1);
	uint64_t off = (uint64_t)take(2) * (op & 8 ? 512 : 1) % size;
	uint64_t len = take(2);

	len = len < size - off ? len : size - off;
	switch (op & 7) {
	case 0:
		v3_qcow2_read(disk, off, buf, len);
		break;
	case 1:
		v3_qcow2_zero(disk, off, len);
		break;
	case 2:
		v3_qcow2_discard(disk, off, len);
		break;
	case 3:
		v3_qcow2_flush(disk);
		break;
	default: /* the guest writes what could be tables */
		memset(buf, 0, len);
		for (uint64_t i = 0; i + 8 <= len && i < 64; i += 8)
			v3_qcow2_put_be(buf + i, (uint64_t)take(1) << 56 | take(2) << 9, 8);
		v3_qcow2_write(disk, off, buf, len);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct v3_qcow2_params params = {.file = {&fuzz_ops, NULL}};
	struct v3_qcow2 *image;
	unsigned flags;

	in.p = data;
	in.left = size;
	fake_log_clear();
	fuzz_make();
	fuzz_change();
	flags = take(1);
	params.read_only = !(flags & 15);
	if (flags & 16) /* itself below itself: only that it is not trusted counts */
		params.backing = params.file;
	if (v3_qcow2_open(vm, &params, &image) == V3_OK) {
		for (unsigned i = 0; i < 40 && in.left; i++)
			fuzz_step(image, v3_qcow2_size(image));
		v3_qcow2_close(image);
	}
	if (tap.failures)
		abort();
	return 0;
}
