/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file qcow2.h
 * Disk images in QEMU's qcow2 format, versions 2 and 3, after its specification (docs/interop/qcow2.txt, here "the
 * specification"), on top of a store.
 *
 * The image may come from anybody: each offset in it is checked when it is used, never once and for all, since a
 * malicious image may let the guest write over its tables. What that breaks is the image and nothing else.
 *
 * What a crash finds. Reference counts and data are written at once; the entries of L1 and L2 tables that refer to
 * them are kept until v3_qcow2_publish(), which flushes first. What is not referred to any more is freed after the
 * next flush. So a table never refers to a cluster that is not counted or not filled; a crash can only leave
 * clusters that nobody uses.
 *
 * Compressed clusters are read; what is written to one goes to a cluster of its own, uncompressed.
 *
 * Files: qcow2_open.c header; qcow2_packed.c compressed clusters; qcow2_meta.c tables through a cache; qcow2_ref.c reference counts; qcow2.c the disk.
 */
#ifndef V3_DEVICES_BLOCK_QCOW2_H
#define V3_DEVICES_BLOCK_QCOW2_H

#include "devices/block/inflate.h"
#include "devices/block/store.h"
#include "palacios/types.h"

struct v3_qcow2;
struct v3_vm;

/** How to open one. */
struct v3_qcow2_params {
	struct v3_store file; /* the image; outlives it */
	/* What is below it, one of these or none; outlives it, and is not written: */
	struct v3_store backing; /* a disk as it is; ops NULL: none */
	struct v3_qcow2 *below;	 /* another image */
	bool read_only;
};

/**
 * Open an image. thread.
 * @return V3_OK; V3_EBADMSG: no qcow2 image, or a damaged one; V3_ENOTSUP: it needs something that is not here;
 *         V3_EINVAL: it has a backing file and none was given, or the reverse; V3_ENOMEM; what the store says. The
 *         log has a sentence.
 */
int v3_qcow2_open(struct v3_vm *vm, const struct v3_qcow2_params *params, struct v3_qcow2 **image);
/** Write what is kept, and close. thread. NULL is allowed. @return V3_OK, or what could not be written is lost */
int v3_qcow2_close(struct v3_qcow2 *image);

/* The disk inside; thread, one call at a time for the image and those below it. */
/** Bytes. */
uint64_t v3_qcow2_size(const struct v3_qcow2 *image);
/**
 * Read, write, make zeros, or say that a range is not needed any more: whole clusters of it are given back and read as
 * zeros, unless version 2 cannot say that over a backing file.
 * @return V3_OK; V3_ERANGE: not within the disk; V3_EPERM: read-only; V3_EIO: damaged; what the store says.
 */
int v3_qcow2_read(struct v3_qcow2 *image, uint64_t offset, void *buf, size_t len);
int v3_qcow2_write(struct v3_qcow2 *image, uint64_t offset, const void *buf, size_t len);
int v3_qcow2_zero(struct v3_qcow2 *image, uint64_t offset, uint64_t len);
int v3_qcow2_discard(struct v3_qcow2 *image, uint64_t offset, uint64_t len);
/** What was done before is on stable storage. */
int v3_qcow2_flush(struct v3_qcow2 *image);

/* ---- among the files of this format ---- */

#define QCOW2_SLICES 64u /* of tables, in memory */
#define QCOW2_FREED  64u
#define QCOW2_BOUNCE 0x10000u
#define QCOW2_NONE   (~0ull)

/* Entries of L1 and L2 tables */
#define QCOW2_ZERO	 1ull /* L2, version 3: reads as zeros */
#define QCOW2_OFFSET	 0x00fffffffffffe00ull
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_COPIED	 (1ull << 63) /* referred to once: may be written in place */

/* Header fields that are written, by offset */
#define QCOW2_H_REFTABLE  48
#define QCOW2_H_AUTOCLEAR 88

/* The last compressed cluster that was read. */
struct qcow2_packed {
	uint64_t entry; /* its L2 entry; 0: none */
	uint8_t *out;	/* owned: the cluster */
	uint8_t *in;	/* owned: what it was made of */
	struct v3_inflate w;
};

/* A piece of a table, as in the file but for what is dirty. */
struct qcow2_slice {
	uint64_t offset; /* QCOW2_NONE: empty */
	bool dirty;
};

struct v3_qcow2 {
	struct v3_vm *vm;	       /* not owned; outlives the image */
	struct v3_store file, backing; /* not owned; outlive it */
	struct v3_qcow2 *below;	       /* not owned; outlives it */
	bool read_only;
	uint32_t version;
	uint32_t cluster_bits; /* 9..21 */
	uint32_t ref_order;    /* 2^order bits per reference count */
	uint64_t cluster;      /* bytes */
	uint64_t size;	       /* of the disk */
	uint64_t backing_size;
	uint64_t l1_offset;
	uint64_t l1_entries; /* as many as the disk needs */
	uint64_t ref_offset; /* of the table of reference count blocks */
	uint64_t ref_entries;
	uint64_t end; /* of the file, as far as anything may refer to it: a multiple of cluster */
	uint64_t free_hint; /* cluster number: none below is free */
	uint32_t slice_bytes;
	uint32_t ndirty;
	struct qcow2_slice slice[QCOW2_SLICES];
	uint8_t *slices;	     /* owned: their bytes */
	uint8_t *bounce;	     /* owned: QCOW2_BOUNCE bytes */
	struct qcow2_packed *packed; /* owned; NULL: none was read yet */
	uint32_t nfreed;
	uint64_t freed
		[QCOW2_FREED]; /* clusters to be freed once nothing on stable storage refers to them */
};

static inline uint32_t v3_qcow2_be32(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}
static inline uint64_t v3_qcow2_be64(const void *p)
{
	return (uint64_t)v3_qcow2_be32(p) << 32 | v3_qcow2_be32((const uint8_t *)p + 4);
}
/** The low @p bytes bytes of @p value, most significant first. */
static inline void v3_qcow2_put_be(uint8_t *p, uint64_t value, unsigned bytes)
{
	while (bytes--) {
		p[bytes] = (uint8_t)value;
		value >>= 8;
	}
}
/** Can there be a cluster at @p offset? */
static inline bool v3_qcow2_is_cluster(const struct v3_qcow2 *q, uint64_t offset)
{
	return offset && !(offset & (q->cluster - 1)) && offset < q->end;
}

/** The image is damaged: a line in the log. @return V3_EIO */
int v3_qcow2_damaged(const struct v3_qcow2 *q, const char *what, uint64_t where);

/* qcow2_packed.c */
/** Where the data of a compressed cluster's L2 entry begin, and their bytes at most. @return V3_OK; V3_EIO: damaged */
int v3_qcow2_packed_place(const struct v3_qcow2 *q, uint64_t entry, uint64_t *at, uint64_t *len);
/** Bytes of the cluster that has this L2 entry. @return V3_OK; V3_EIO; V3_ENOMEM; what the store says */
int v3_qcow2_packed_read(struct v3_qcow2 *q, uint64_t entry, uint64_t offset, void *buf,
			 size_t len);
void v3_qcow2_packed_free(struct v3_qcow2 *q);

/* qcow2_meta.c; @p len at most 8, within an entry of a table */
int v3_qcow2_meta_read(struct v3_qcow2 *q, uint64_t offset, void *buf, uint32_t len);
/** @p later: keep it until v3_qcow2_publish() */
int v3_qcow2_meta_write(struct v3_qcow2 *q, uint64_t offset, const void *buf, uint32_t len,
			bool later);
int v3_qcow2_entry_get(struct v3_qcow2 *q, uint64_t offset, uint64_t *value);
int v3_qcow2_entry_put(struct v3_qcow2 *q, uint64_t offset, uint64_t value, bool later);
/** Forget what is kept of @p len bytes of the file, which get a new meaning. */
void v3_qcow2_meta_drop(struct v3_qcow2 *q, uint64_t offset, uint64_t len);
/** Flush, then write the entries that were kept. */
int v3_qcow2_publish(struct v3_qcow2 *q);

/* qcow2_ref.c */
int v3_qcow2_ref_get(struct v3_qcow2 *q, uint64_t cluster, uint64_t *count);
/** A free cluster, counted as used once; its bytes are whatever was there. @return V3_OK, V3_ENOSPC, ... */
int v3_qcow2_alloc(struct v3_qcow2 *q, uint64_t *offset);
/** One reference less, at once. */
int v3_qcow2_unref(struct v3_qcow2 *q, uint64_t offset);

#endif
