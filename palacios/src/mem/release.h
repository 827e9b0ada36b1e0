/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file release.h
 * What release.c and grace.c share: RAM that the guest has given back, and when nobody can use it any more.
 */
#ifndef V3_MEM_RELEASE_H
#define V3_MEM_RELEASE_H

#include "palacios/types.h"
#include "palacios/vcpu.h"
#include "state.h"

/**
 * A grace period: every vcpu has been between two handlers, and every pin that may be older than it is gone. Pins are
 * counted on one of two sides; a period waits until the other side, where latecomers may have gone on, is empty,
 * turns new pins there, and waits for the first.
 */
struct v3_grace {
	struct v3_vm *vm;   /* not owned; holds this */
	uint32_t pins[2];   /* atomic */
	uint32_t side;	    /* where new pins go; atomic */
	uint32_t waiting;   /* a period is under way; atomic, set under v3_mem.lock */
	uint32_t left;	    /* vcpus that it still waits for; atomic */
	bool turned;	    /* v3_mem.lock */
	struct v3_work ask; /* is it over? */
	struct v3_work pass[V3_MAX_VCPUS];
};

/** Chunks first .. end - 1; empty if they are equal. */
struct v3_release_span {
	uint64_t first, end;
};

struct v3_release {
	struct v3_grace grace;
	v3_hpa_t
		spare; /* owned: page for those who cannot fail, when there is no memory and the VM stops */
	uint32_t failed; /* it does; atomic */
	uint32_t count;	 /* v3_mem_release_count(); atomic, changed under v3_mem.lock */
	/* v3_mem.lock */
	uint8_t epoch; /* of pages that are released now; those of the other one wait for the period */
	struct v3_release_span span[2]; /* by epoch: where LIMBO pages are */
	bool busy; /* from the beginning of a period until its pages are with the host */
	uint64_t released, freed; /* pages */
};

/* ---- grace.c ---- */

void v3_grace_init(struct v3_grace *grace, struct v3_vm *vm);
/** Begin a period; none is under way. Under v3_mem.lock. */
void v3_grace_begin(struct v3_grace *grace);

/* ---- release.c ---- */

/** The period is over. On a vcpu's thread, between two handlers. */
void v3_release_ripe(struct v3_release *r);

#endif
