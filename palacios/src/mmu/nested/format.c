/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file format.c
 * The nested paging formats.
 */
#include "mmu/nested/format.h"

#include "arch/ops.h"

/*
 * NPT: the entries of long-mode page tables, APM vol. 2 5.3 and 15.25. Each nested access is a user access
 * (15.25.5), so U is set everywhere. Accessed and dirty are set from the start: nobody reads them, and the
 * CPU need not write the tables.
 */
#define NPT_P	  (1ull << 0)
#define NPT_W	  (1ull << 1)
#define NPT_U	  (1ull << 2)
#define NPT_A	  (1ull << 5)
#define NPT_D	  (1ull << 6)
#define NPT_LARGE (1ull << 7)
#define NPT_NX	  (1ull << 63)

static const struct v3_nested_fmt format_npt = {
	.present = NPT_P,
	.table = NPT_P | NPT_W | NPT_U | NPT_A,
	.leaf = NPT_P | NPT_U | NPT_A | NPT_D,
	.large = NPT_LARGE,
	.write = NPT_W,
	.no_exec = NPT_NX,
	.addr = 0x000ffffffffff000ull,
};

const struct v3_nested_fmt *const v3_nested_formats[2] = {[V3_NESTED_NPT] = &format_npt};
