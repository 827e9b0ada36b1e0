/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file format.h
 * What differs between nested paging formats: where the bits of an entry are. Everything else about nested
 * tables (512 entries of 8 bytes, 9 address bits a level, leaves of 4 KiB, 2 MiB, 1 GiB) is common.
 */
#ifndef V3_MMU_NESTED_FORMAT_H
#define V3_MMU_NESTED_FORMAT_H

#include "mmu/nested/table.h"
#include "palacios/mem.h"
#include "palacios/types.h"

struct v3_nested_fmt {
	uint64_t present; /* an entry is in use if any of these bits is set */
	uint64_t table;	  /* bits of an entry that points to a table: everything allowed */
	uint64_t leaf;	  /* bits of every leaf */
	uint64_t dirty;	  /* set by the CPU at a write; from the start where nobody wants to know */
	uint64_t
		tracked; /* ours, ignored by the CPU: the entry tells whether the page was written */
	uint64_t large;	 /* leaf above the lowest level */
	uint64_t read, write, exec; /* set to allow */
	uint64_t no_exec;	    /* set to forbid */
	uint64_t cached, uncached;  /* memory type of a leaf: write-back, uncacheable */
	uint64_t addr;		    /* address field */
};

#define V3_NESTED_FORMATS 2

/** By enum v3_nested_format. */
extern const struct v3_nested_fmt *const v3_nested_formats[V3_NESTED_FORMATS];

/** Permission and attribute bits of a leaf at @p level (0: 4 KiB). @p perm: as for v3_nested_map(). */
static inline uint64_t v3_nested_leaf_bits(const struct v3_nested_fmt *fmt, unsigned perm,
					   unsigned level)
{
	return fmt->leaf | (level ? fmt->large : 0) | (perm & V3_ACC_READ ? fmt->read : 0) |
	       (perm & V3_NESTED_CLEAN ? 0 : fmt->dirty) |
	       (perm & V3_NESTED_TRACKED ? fmt->tracked : 0) |
	       (perm & V3_ACC_WRITE ? fmt->write : 0) |
	       (perm & V3_ACC_EXEC ? fmt->exec : fmt->no_exec) |
	       (perm & V3_NESTED_UC ? fmt->uncached : fmt->cached);
}

#endif
