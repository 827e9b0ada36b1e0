/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file balloon.h
 * Memory that a running guest gives back to the host, by the class "virtio_balloon". Called by the embedder and by
 * tests.
 */
#ifndef PALACIOS_BALLOON_H
#define PALACIOS_BALLOON_H

#include "palacios/types.h"

struct v3_vm;

/** What a guest tells of its memory (virtio 1.2, 5.5.6.4). */
enum v3_balloon_stat {
	V3_BALLOON_SWAP_IN,	  /* bytes, since it started */
	V3_BALLOON_SWAP_OUT,	  /* bytes, since it started */
	V3_BALLOON_MAJOR_FAULTS,  /* since it started */
	V3_BALLOON_MINOR_FAULTS,  /* since it started */
	V3_BALLOON_FREE,	  /* bytes without any use */
	V3_BALLOON_TOTAL,	  /* bytes */
	V3_BALLOON_AVAILABLE,	  /* bytes, for new programs without swapping */
	V3_BALLOON_CACHES,	  /* bytes, given up at once if need be */
	V3_BALLOON_HUGE_PAGES,	  /* huge pages allocated */
	V3_BALLOON_HUGE_FAILURES, /* that could not be */
	V3_BALLOON_NSTATS
};

#define V3_BALLOON_UNKNOWN (~0ull) /* it has not told */

/** The balloon now. */
struct v3_balloon {
	uint64_t target; /* bytes that the guest is to give back */
	uint64_t actual; /* bytes it says it has given back for that */
	uint64_t
		released; /* bytes of RAM that are given back, free pages that it reported included */
	uint64_t freed;	  /* of these, what the host has already */
	bool driver;	  /* the guest has a driver that runs */
	uint32_t told;	  /* how often the guest has told the figures below */
	uint64_t stat[V3_BALLOON_NSTATS];
};

/**
 * How far is it? The guest is asked for new figures, too: they are there when "told" has changed. any thread.
 * @return V3_OK; V3_ENODEV: the VM has no balloon
 */
int v3_balloon_get(struct v3_vm *vm, struct v3_balloon *out);
/**
 * Ask the guest to give @p bytes of its memory back, in all: fewer than now means that it takes some again. It does so
 * as fast and as far as it can. Stays over resets. any thread.
 * @return V3_OK; V3_ENODEV: the VM has no balloon; V3_ERANGE: it has less memory than that
 */
int v3_balloon_set(struct v3_vm *vm, uint64_t bytes);

#endif
