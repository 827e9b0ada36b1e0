/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file segment.c
 * Checks of one access through a segment register. Pure; for owners of the executor and of exit
 * handlers. Source: AMD APM vol. 2 4.5.3 (base), 4.7 (types), 4.8.1 (long mode), 4.12 (limits),
 * 5.3.1 (canonical form).
 */
#include "palacios/decode.h"
#include "palacios/error.h"
#include "palacios/mem.h"

#define SEG_CODE   0x8 /* type bits of code and data segments */
#define SEG_DOWN   0x4 /* data: expand-down */
#define SEG_RW	   0x2 /* data: writable; code: readable */
#define VA_BITS_LM 48

static bool segment_type_allows(const struct v3_seg *seg, unsigned access)
{
	if (!(seg->attr & V3_SEG_P) || !(seg->attr & V3_SEG_S))
		return false;
	if (access & V3_ACC_EXEC)
		return seg->attr & SEG_CODE;
	if (access & V3_ACC_WRITE)
		return (seg->attr & (SEG_CODE | SEG_RW)) == SEG_RW;
	return !(seg->attr & SEG_CODE) || (seg->attr & SEG_RW);
}

/* Offsets are at most 32 bits wide here, so nothing below wraps. */
static bool segment_limit_allows(const struct v3_seg *seg, uint64_t offset, size_t size)
{
	uint64_t last = offset + size - 1;

	if ((seg->attr & (SEG_CODE | SEG_DOWN)) == SEG_DOWN)
		return offset > seg->limit &&
		       last <= (seg->attr & V3_SEG_DB ? 0xffffffffu : 0xffffu);
	return last <= seg->limit;
}

static bool segment_canonical(uint64_t first, uint64_t last)
{
	unsigned shift = 64 - VA_BITS_LM;

	return (int64_t)(first << shift) >> shift == (int64_t)first &&
	       (int64_t)(last << shift) >> shift == (int64_t)last;
}

int v3_seg_linear(const struct v3_seg *seg, enum v3_seg_num num, unsigned bits, bool protect,
		  uint64_t offset, size_t size, unsigned access, v3_gva_t *linear)
{
	uint64_t addr = offset;

	if (bits == 64) {
		if (num == V3_FS || num == V3_GS)
			addr += seg->base;
		if (!segment_canonical(addr, addr + size - 1))
			return V3_EFAULT;
		*linear = addr;
		return V3_OK;
	}
	offset &= 0xffffffffu;
	if (protect && !segment_type_allows(seg, access))
		return V3_EFAULT;
	if (!segment_limit_allows(seg, offset, size))
		return V3_EFAULT;
	*linear = (uint32_t)(seg->base + offset);
	return V3_OK;
}
