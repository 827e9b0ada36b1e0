/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file io.h
 * Port dispatch: a sorted table of ranges and a direct-mapped index of the busy low ports.
 */
#ifndef V3_IO_IO_H
#define V3_IO_IO_H

#include "palacios/io.h"
#include "palacios/vm.h"

struct v3_exit;

#define V3_IO_MAX_RANGES 127 /* fits page[] */

struct v3_io_range {
	uint16_t first;
	uint16_t last; /* inclusive: a range may end at port 65535 */
	v3_io_fn fn;
	void *priv;
};

/* Ranges sorted by first port. page[p >> 4] is the number + 1 of the first range that ends at or above the
 * 16-port block, so that a look-up scans only the ranges of one block. */
struct v3_io_map {
	struct v3_lock lock; /* guards changes of all below */
	uint32_t seq;	     /* odd during a change; look-ups take no lock */
	struct v3_io_range range[V3_IO_MAX_RANGES];
	uint8_t nranges;
	uint8_t page[4096];
};

/** Set up an empty map; it must be zeroed. thread. @return V3_OK, V3_ENOMEM. */
int v3_io_init(struct v3_io_map *map);
/** thread. A zeroed map is allowed. */
void v3_io_fini(struct v3_io_map *map);

/**
 * Perform one guest access. Own thread. Unclaimed ports read as all ones.
 * @return as v3_io_fn
 */
int v3_io_access(struct v3_vcpu *vcpu, struct v3_io *io);

/** Exit handler (exit/dispatch.c). */
int v3_io_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);

#endif
