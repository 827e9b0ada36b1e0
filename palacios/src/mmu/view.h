/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file view.h
 * A view inside: its own nested table and the pages it treats specially.
 */
#ifndef V3_MMU_VIEW_H
#define V3_MMU_VIEW_H

#include "mem/mem.h"
#include "mmu/mmu.h"

struct v3_view {
	struct v3_vm *vm;	/* not owned; outlives the view */
	struct v3_view *next;	/* v3_mmu.views */
	v3_view_fault_fn fault; /* never NULL */
	void *priv;
	struct v3_nested table; /* filled on demand; under v3_mem.lock */
	struct v3_pagemap
		pages; /* slot: own host page | VIEW_* | V3_ACC_*; changed under v3_mem.lock */
};

/** Take the view out of its VM and free it; no vcpu may be on it. */
void v3_view_free(struct v3_view *view);

#endif
