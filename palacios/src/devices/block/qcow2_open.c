/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file qcow2_open.c
 * Opening and closing a qcow2 image: its header and header extensions (specification, "Header"), checked in full
 * before anything is written. Called by whoever opens disks; calls the store.
 */
#include "devices/block/qcow2.h"

#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/util/str.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "qcow2"

#define OPEN_MAGIC	  0x514649fbu /* "QFI\xfb" */
#define OPEN_V2_LEN	  72u
#define OPEN_V3_LEN	  104u
#define OPEN_MIN_CLUSTER  9u
#define OPEN_MAX_CLUSTER  21u
#define OPEN_MAX_TABLE	  (32ull << 20) /* bytes of the L1 table */
#define OPEN_MAX_REFTABLE (8ull << 20)
#define OPEN_MAX_NAME	  1023u
#define OPEN_MAX_SIZE	  (1ull << 50)

#define OPEN_INCOMPATIBLE_DIRTY	      (1ull << 0)
#define OPEN_INCOMPATIBLE_CORRUPT     (1ull << 1)
/* the compression type is not 0, deflate */
#define OPEN_INCOMPATIBLE_COMPRESSION (1ull << 3)

/* The header in the order of the file. */
struct qcow2_header {
	uint32_t version;
	uint64_t backing_offset;
	uint32_t backing_len;
	uint32_t cluster_bits;
	uint64_t size;
	uint32_t crypt;
	uint32_t l1_entries;
	uint64_t l1_offset;
	uint64_t ref_offset;
	uint32_t ref_clusters;
	uint64_t incompatible, autoclear;
	uint32_t ref_order;
	uint32_t len;
};

static void qcow2_open_parse(struct qcow2_header *h, const uint8_t *p)
{
	h->version = v3_qcow2_be32(p + 4);
	h->backing_offset = v3_qcow2_be64(p + 8);
	h->backing_len = v3_qcow2_be32(p + 16);
	h->cluster_bits = v3_qcow2_be32(p + 20);
	h->size = v3_qcow2_be64(p + 24);
	h->crypt = v3_qcow2_be32(p + 32);
	h->l1_entries = v3_qcow2_be32(p + 36);
	h->l1_offset = v3_qcow2_be64(p + 40);
	h->ref_offset = v3_qcow2_be64(p + 48);
	h->ref_clusters = v3_qcow2_be32(p + 56);
	h->incompatible = h->autoclear = 0;
	h->ref_order = 4;
	h->len = OPEN_V2_LEN;
	if (h->version < 3)
		return;
	h->incompatible = v3_qcow2_be64(p + 72);
	h->autoclear = v3_qcow2_be64(p + QCOW2_H_AUTOCLEAR);
	h->ref_order = v3_qcow2_be32(p + 96);
	h->len = v3_qcow2_be32(p + 100);
}

static int qcow2_open_bad(const struct v3_qcow2 *q, const char *what, uint64_t value)
{
	V3_ERR(q->vm, "not a sound qcow2 image: %s %#llx", what, (unsigned long long)value);
	return V3_EBADMSG;
}

/* Is it a version and a kind that we know, with features that we have? */
static int qcow2_open_check_kind(const struct v3_qcow2 *q, const struct qcow2_header *h)
{
	const uint64_t suspect = OPEN_INCOMPATIBLE_DIRTY | OPEN_INCOMPATIBLE_CORRUPT;
	unsigned bit;

	if (h->version != 2 && h->version != 3) {
		V3_ERR(q->vm, "qcow2 version %u: only 2 and 3 are known", h->version);
		return V3_ENOTSUP;
	}
	if (h->crypt) {
		V3_ERR(q->vm, "qcow2 image is encrypted (method %u)", h->crypt);
		return V3_ENOTSUP;
	}
	if (h->incompatible & OPEN_INCOMPATIBLE_COMPRESSION) {
		V3_ERR(q->vm, "qcow2 image is compressed by zstd or another method that is not "
			      "here: write "
			      "it anew with \"qemu-img convert -O qcow2\"");
		return V3_ENOTSUP;
	}
	for (bit = 0; bit < 64; bit++) {
		if (!((h->incompatible & ~suspect) >> bit & 1))
			continue;
		V3_ERR(q->vm, "qcow2 image needs incompatible feature %u, which is not here", bit);
		return V3_ENOTSUP;
	}
	if (h->incompatible && !q->read_only) {
		V3_ERR(q->vm,
		       "qcow2 image was not closed properly or is damaged (feature bits %#llx): "
		       "repair it with \"qemu-img check -r all\", or open it read-only",
		       (unsigned long long)h->incompatible);
		return V3_EBADMSG;
	}
	return V3_OK;
}

/* Is a table of @p len bytes at @p offset inside the file? */
static bool qcow2_open_has(const struct v3_qcow2 *q, uint64_t offset, uint64_t len)
{
	return offset && !(offset & (q->cluster - 1)) && offset < q->end && len <= q->end - offset;
}

/* Sizes and places of everything that the header names. */
static int qcow2_open_check_layout(struct v3_qcow2 *q, const struct qcow2_header *h)
{
	uint64_t per_l2, ref_len;

	if (h->cluster_bits < OPEN_MIN_CLUSTER || h->cluster_bits > OPEN_MAX_CLUSTER)
		return qcow2_open_bad(q, "cluster bits", h->cluster_bits);
	if (h->ref_order > 6)
		return qcow2_open_bad(q, "reference count order", h->ref_order);
	if (!h->size || h->size > OPEN_MAX_SIZE)
		return qcow2_open_bad(q, "disk size", h->size);
	q->version = h->version;
	q->cluster_bits = h->cluster_bits;
	q->cluster = 1ull << h->cluster_bits;
	q->ref_order = h->ref_order;
	q->size = h->size;
	q->end = (v3_store_size(&q->file) + q->cluster - 1) & ~(q->cluster - 1);
	if (h->len < (h->version < 3 ? OPEN_V2_LEN : OPEN_V3_LEN) || h->len % 8 ||
	    h->len > q->cluster)
		return qcow2_open_bad(q, "header length", h->len);
	per_l2 = q->cluster << (q->cluster_bits - 3);
	q->l1_offset = h->l1_offset;
	q->l1_entries = (q->size + per_l2 - 1) / per_l2;
	if (h->l1_entries < q->l1_entries || q->l1_entries * 8 > OPEN_MAX_TABLE)
		return qcow2_open_bad(q, "L1 entries", h->l1_entries);
	if (!qcow2_open_has(q, h->l1_offset, q->l1_entries * 8))
		return qcow2_open_bad(q, "L1 table at", h->l1_offset);
	ref_len = (uint64_t)h->ref_clusters << q->cluster_bits;
	q->ref_offset = h->ref_offset;
	q->ref_entries = ref_len / 8;
	if (!h->ref_clusters || ref_len > OPEN_MAX_REFTABLE)
		return qcow2_open_bad(q, "reference table clusters", h->ref_clusters);
	if (!qcow2_open_has(q, h->ref_offset, ref_len))
		return qcow2_open_bad(q, "reference table at", h->ref_offset);
	return V3_OK;
}

/* Extensions are passed over: none of them is needed unless an incompatible feature says so. */
static int qcow2_open_check_extensions(const struct v3_qcow2 *q, const struct qcow2_header *h)
{
	uint64_t at = h->len, end = h->backing_offset ? h->backing_offset : q->cluster;
	uint8_t head[8];
	uint32_t len;
	int err;

	while (at + sizeof(head) <= end) {
		err = v3_store_read(&q->file, at, head, sizeof(head));
		if (err)
			return err;
		if (!v3_qcow2_be32(head)) /* end of the extensions */
			return V3_OK;
		at += sizeof(head);
		len = v3_qcow2_be32(head + 4);
		if (len > end - at)
			return qcow2_open_bad(q, "header extension of length", len);
		at += ((uint64_t)len + 7) & ~7ull;
	}
	return V3_OK;
}

/* The image names its backing file; which file that is says the definition, not the image. */
static int qcow2_open_check_backing(struct v3_qcow2 *q, const struct qcow2_header *h)
{
	char name[128];
	uint32_t i, len = h->backing_len < sizeof(name) - 1 ? h->backing_len : sizeof(name) - 1;
	bool given = q->backing.ops || q->below;
	int err;

	if (!h->backing_offset && given) {
		V3_ERR(q->vm, "qcow2 image has no backing file, but the definition names one");
		return V3_EINVAL;
	}
	if (!h->backing_offset)
		return V3_OK;
	if (h->backing_len > OPEN_MAX_NAME || h->backing_offset < h->len ||
	    h->backing_offset > q->cluster || h->backing_len > q->cluster - h->backing_offset)
		return qcow2_open_bad(q, "backing file name at", h->backing_offset);
	if (given) {
		q->backing_size = q->below ? q->below->size : v3_store_size(&q->backing);
		return V3_OK;
	}
	err = v3_store_read(&q->file, h->backing_offset, name, len);
	if (err)
		return err;
	for (i = 0; i < len; i++)
		name[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
	name[len] = '\0';
	V3_ERR(q->vm, "qcow2 image has the backing file \"%s\": the definition must name it", name);
	return V3_EINVAL;
}

/* What was kept in step by those who knew the feature is not any more (specification, "Autoclear feature bits"). */
static int qcow2_open_clear_features(struct v3_qcow2 *q, const struct qcow2_header *h)
{
	static const uint8_t none[8];
	uint64_t count;
	int err;

	if (q->read_only)
		return V3_OK;
	err = v3_qcow2_ref_get(q, 0, &count);
	if (!err && !count)
		return qcow2_open_bad(q, "references to the header", count);
	if (err || !h->autoclear)
		return err;
	err = v3_store_write(&q->file, QCOW2_H_AUTOCLEAR, none, sizeof(none));
	return err ? err : v3_store_flush(&q->file);
}

static uint32_t qcow2_open_slice_pages(const struct v3_qcow2 *q)
{
	uint32_t bytes = q->slice_bytes * QCOW2_SLICES;

	return (bytes + (uint32_t)V3_PAGE_SIZE - 1) / (uint32_t)V3_PAGE_SIZE;
}

static int qcow2_open_cache(struct v3_qcow2 *q)
{
	unsigned i;

	q->slice_bytes = q->cluster < V3_PAGE_SIZE ? (uint32_t)q->cluster : (uint32_t)V3_PAGE_SIZE;
	for (i = 0; i < QCOW2_SLICES; i++)
		q->slice[i].offset = QCOW2_NONE;
	q->slices = v3_alloc_pages(qcow2_open_slice_pages(q));
	q->bounce = v3_alloc_pages(QCOW2_BOUNCE / (uint32_t)V3_PAGE_SIZE);
	return q->slices && q->bounce ? V3_OK : V3_ENOMEM;
}

static void qcow2_open_free(struct v3_qcow2 *q)
{
	v3_free_pages(q->slices, qcow2_open_slice_pages(q));
	v3_qcow2_packed_free(q);
	v3_free_pages(q->bounce, QCOW2_BOUNCE / (uint32_t)V3_PAGE_SIZE);
	v3_free(q);
}

static int qcow2_open_image(struct v3_qcow2 *q)
{
	uint8_t bytes[OPEN_V3_LEN];
	struct qcow2_header h;
	int err;

	err = v3_store_read(&q->file, 0, bytes, sizeof(bytes));
	if (err)
		return err;
	if (v3_qcow2_be32(bytes) != OPEN_MAGIC)
		return qcow2_open_bad(q, "magic number", v3_qcow2_be32(bytes));
	qcow2_open_parse(&h, bytes);
	err = qcow2_open_check_kind(q, &h);
	if (!err)
		err = qcow2_open_check_layout(q, &h);
	if (!err)
		err = qcow2_open_check_backing(q, &h);
	if (!err)
		err = qcow2_open_check_extensions(q, &h);
	if (!err)
		err = qcow2_open_cache(q);
	return err ? err : qcow2_open_clear_features(q, &h);
}

int v3_qcow2_open(struct v3_vm *vm, const struct v3_qcow2_params *params, struct v3_qcow2 **image)
{
	struct v3_qcow2 *q = v3_alloc(sizeof(*q));
	int err;

	if (!q)
		return V3_ENOMEM;
	q->vm = vm;
	q->file = params->file;
	q->backing = params->backing;
	q->below = params->below;
	q->read_only = params->read_only;
	err = qcow2_open_image(q);
	if (err) {
		qcow2_open_free(q);
		return err;
	}
	*image = q;
	return V3_OK;
}

int v3_qcow2_close(struct v3_qcow2 *q)
{
	int err = V3_OK;

	if (!q)
		return V3_OK;
	if (!q->read_only)
		err = v3_qcow2_flush(q);
	qcow2_open_free(q);
	return err;
}

int v3_qcow2_damaged(const struct v3_qcow2 *q, const char *what, uint64_t where)
{
	V3_GUEST_WARN(q->vm, "damaged image: %s %#llx", what, (unsigned long long)where);
	return V3_EIO;
}
