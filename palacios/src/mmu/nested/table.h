/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file table.h
 * One nested table: enter, split and remove leaves. Knows nothing of what may be mapped; callers hold
 * v3_mem.lock. Entries are written whole, so the CPUs that walk the table meanwhile see the old or the new.
 */
#ifndef V3_MMU_NESTED_TABLE_H
#define V3_MMU_NESTED_TABLE_H

#include "mmu/mmu.h"

/* Beside V3_ACC_*: */
#define V3_NESTED_UC 0x100u /* not RAM, must not be cached */
#define V3_NESTED_TRACKED                                                                          \
	0x200u		       /* 4 KiB: writable or dirty (CLEAN) says that the page was written */
#define V3_NESTED_CLEAN 0x400u /* the CPU will set the dirty bit */

/** Make an empty table in the back end's format. @return V3_OK, V3_ENOMEM, V3_ENOTSUP. */
int v3_nested_init(struct v3_nested *table, struct v3_mem *mem);
/** Free all its pages. Nobody may walk it any more. A zeroed table is allowed. */
void v3_nested_fini(struct v3_nested *table);

/**
 * Map the page of @p gpa to @p hpa with a leaf of at most @p level (0: 4 KiB, 1: 2 MiB, 2: 1 GiB); at a
 * lower level where smaller leaves exist already. For a large leaf gpa and hpa must be congruent.
 * A larger leaf that allows less is split; with V3_NESTED_CLEAN, which is for the lowest level, all pages of the
 * 2 MiB get what the page gets.
 * @p perm: V3_ACC_*, never write without read, and V3_NESTED_*.
 * Present leaves may only be given more permissions; tracked ones keep what they have. @return V3_OK, V3_ENOMEM.
 */
int v3_nested_map(struct v3_nested *table, v3_gpa_t gpa, v3_hpa_t hpa, unsigned perm,
		  unsigned level);

/**
 * Remove [gpa, gpa + size); page-aligned, not empty, no wrap. A large leaf that is only partly inside is
 * split, or removed whole if there is no page for that (the next access brings it back).
 * @return true if anything was removed
 */
bool v3_nested_drop(struct v3_nested *table, v3_gpa_t gpa, uint64_t size);

/**
 * Take out the table of 4 KiB leaves that covers @p gpa, if there is one, and put it on @p list (V3_NESTED_NONE
 * at first). Tracked leaves in it are forgotten. @return true if taken out: flush, then v3_nested_reap().
 */
bool v3_nested_retire(struct v3_nested *table, v3_gpa_t gpa, v3_hpa_t *list);
#define V3_NESTED_NONE 0
/** Free the table pages on the list. */
void v3_nested_reap(v3_hpa_t list);

/** v3_mmu_clean() for one table. */
bool v3_nested_clean(struct v3_nested *table, v3_gpa_t gpa, uint64_t *words);

/** The leaf entry that translates @p gpa, 0 if none. @p level set to its level. */
uint64_t v3_nested_lookup(const struct v3_nested *table, v3_gpa_t gpa, unsigned *level);

/**
 * The entries on the way to @p gpa, root first, as the CPU reads them. Ends at a leaf, at an entry that is not
 * present, and at one that is not as v3_nested_map() writes them: where that points to is not looked at.
 * @return how many
 */
unsigned v3_nested_path(const struct v3_nested *table, v3_gpa_t gpa,
			uint64_t entry[V3_WALK_MAX_LEVELS]);

#endif
