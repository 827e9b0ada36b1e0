/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file store.h
 * Bytes that can be read and written at an offset, and that may sleep while they are: a file of the host, or of
 * a test. Image formats are on top of one (qcow2.h). The user of a store makes one call at a time.
 */
#ifndef V3_DEVICES_BLOCK_STORE_H
#define V3_DEVICES_BLOCK_STORE_H

#include "palacios/types.h"

/** All are mandatory; thread. Results: V3_OK; V3_EIO, V3_ENOSPC, or what else the back end says. */
struct v3_store_ops {
	/** What is behind the end reads as zeros. */
	int (*read)(void *priv, uint64_t offset, void *buf, size_t len);
	/** A file grows if need be; a disk does not: V3_ERANGE. */
	int (*write)(void *priv, uint64_t offset, const void *buf, size_t len);
	/** As if zeros were written. */
	int (*zero)(void *priv, uint64_t offset, uint64_t len);
	/** What was written before is on stable storage. */
	int (*flush)(void *priv);
	/** Bytes now. */
	uint64_t (*size)(void *priv);
};

struct v3_store {
	const struct v3_store_ops *ops; /* NULL: none */
	void *priv;
};

static inline int v3_store_read(const struct v3_store *s, uint64_t offset, void *buf, size_t len)
{
	return s->ops->read(s->priv, offset, buf, len);
}
static inline int v3_store_write(const struct v3_store *s, uint64_t offset, const void *buf,
				 size_t len)
{
	return s->ops->write(s->priv, offset, buf, len);
}
static inline int v3_store_zero(const struct v3_store *s, uint64_t offset, uint64_t len)
{
	return s->ops->zero(s->priv, offset, len);
}
static inline int v3_store_flush(const struct v3_store *s)
{
	return s->ops->flush(s->priv);
}
static inline uint64_t v3_store_size(const struct v3_store *s)
{
	return s->ops->size(s->priv);
}

#endif
