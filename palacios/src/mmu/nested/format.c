/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file format.c
 * The nested paging formats.
 */
#include "mmu/nested/format.h"

#include "arch/ops.h"

#define FORMAT_ADDR 0x000ffffffffff000ull

/*
 * NPT: the entries of long-mode page tables, APM vol. 2 5.3 and 15.25. Each nested access is a user access
 * (15.25.5), so U is set everywhere. Accessed and dirty are set from the start, so that the CPU need not write
 * the tables, but for dirty where written pages are tracked. Bits 11:9 are ours.
 */
#define NPT_P	  (1ull << 0)
#define NPT_W	  (1ull << 1)
#define NPT_U	  (1ull << 2)
#define NPT_PWT	  (1ull << 3) /* with PCD: entry 3 of the host's PAT, uncacheable; 15.25.8 */
#define NPT_PCD	  (1ull << 4)
#define NPT_A	  (1ull << 5)
#define NPT_D	  (1ull << 6)
#define NPT_LARGE (1ull << 7)
#define NPT_AVL	  (1ull << 11)
#define NPT_NX	  (1ull << 63)

static const struct v3_nested_fmt format_npt = {
	.present = NPT_P,
	.table = NPT_P | NPT_W | NPT_U | NPT_A,
	.leaf = NPT_P | NPT_U | NPT_A,
	.dirty = NPT_D,
	.tracked = NPT_AVL,
	.large = NPT_LARGE,
	.write = NPT_W,
	.no_exec = NPT_NX,
	.uncached = NPT_PWT | NPT_PCD,
	.addr = FORMAT_ADDR,
};

/*
 * EPT: SDM 3C 29.3.2. An entry with none of read, write and execute is not present; write without read is a
 * misconfiguration, which no caller asks for. The memory type stands in the leaf, and the guest's own PAT is
 * combined with it. Accessed and dirty are set as above; the CPU ignores them where EPTP does not enable them,
 * and always bit 11.
 */
#define EPT_R	  (1ull << 0)
#define EPT_W	  (1ull << 1)
#define EPT_X	  (1ull << 2)
#define EPT_WB	  (6ull << 3)
#define EPT_LARGE (1ull << 7)
#define EPT_A	  (1ull << 8)
#define EPT_D	  (1ull << 9)
#define EPT_AVL	  (1ull << 11)

static const struct v3_nested_fmt format_ept = {
	.present = EPT_R | EPT_W | EPT_X,
	.table = EPT_R | EPT_W | EPT_X | EPT_A,
	.leaf = EPT_A,
	.dirty = EPT_D,
	.tracked = EPT_AVL,
	.large = EPT_LARGE,
	.read = EPT_R,
	.write = EPT_W,
	.exec = EPT_X,
	.cached = EPT_WB,
	.addr = FORMAT_ADDR,
};

const struct v3_nested_fmt *const v3_nested_formats[V3_NESTED_FORMATS] = {
	[V3_NESTED_NPT] = &format_npt,
	[V3_NESTED_EPT] = &format_ept,
};
