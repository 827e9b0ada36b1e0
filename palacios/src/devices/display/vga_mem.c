/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga_mem.c
 * Video memory through the display window 0xa0000..0xbffff: four planes of 64 KiB behind latches, the write modes 0
 * to 3 and read modes 0 and 1 (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem", graphics
 * controller). Called for each access of the guest; marks the text screen as changed.
 */
#include "devices/display/vga.h"

#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/platform.h"

/* The part of the window that answers, by bits 2 and 3 of the miscellaneous register. */
static const struct {
	uint32_t first, size;
} vga_windows[4] = {{0x00000, 0x20000}, {0x00000, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};

/* Where an address leads. */
struct vga_place {
	uint32_t off;	 /* in the planes */
	unsigned planes; /* mask of those addressed */
};

/* @return false: nobody answers there */
static bool vga_mem_place(const struct vga *vga, uint32_t addr, struct vga_place *place)
{
	unsigned window = vga->gr[GR_MISC] >> 2 & 3;

	addr -= vga_windows[window].first;
	if (addr >= vga_windows[window].size)
		return false;
	addr %= VGA_PLANE;
	place->off = addr;
	place->planes = 15;
	if (vga->seq[SEQ_MODE] & SEQ_MODE_CHAIN4) {
		place->off = addr & ~3u;
		place->planes = 1u << (addr & 3);
	} else if (!(vga->seq[SEQ_MODE] & SEQ_MODE_SEQUENTIAL)) {
		place->off = addr & ~1u;
		place->planes = addr & 1 ? 10 : 5; /* odd addresses: planes 1 and 3 */
	}
	return true;
}

static uint8_t vga_mem_rotate(const struct vga *vga, uint8_t value)
{
	unsigned n = vga->gr[GR_ROTATE] & 7;

	return (uint8_t)(value >> n | value << (8 - n));
}

/* The function of the ALU: replace, AND, OR, XOR with the latch. */
static uint8_t vga_mem_alu(const struct vga *vga, uint8_t value, uint8_t latch)
{
	switch (vga->gr[GR_ROTATE] >> 3 & 3) {
	case 0:
		return value;
	case 1:
		return value & latch;
	case 2:
		return value | latch;
	default:
		return value ^ latch;
	}
}

/* What a write of @p value stores in one plane. */
static uint8_t vga_mem_compose(const struct vga *vga, unsigned plane, uint8_t value)
{
	uint8_t latch = vga->latch[plane], mask = vga->gr[GR_BIT_MASK];
	uint8_t fill = vga->gr[GR_SET_RESET] >> plane & 1 ? 0xff : 0;

	switch (vga->gr[GR_MODE] & GR_MODE_WRITE) {
	case 0:
		value = vga->gr[GR_ENABLE_SR] >> plane & 1 ? fill : vga_mem_rotate(vga, value);
		value = vga_mem_alu(vga, value, latch);
		break;
	case 1:
		return latch;
	case 2:
		value = vga_mem_alu(vga, value >> plane & 1 ? 0xff : 0, latch);
		break;
	default:
		mask &= vga_mem_rotate(vga, value);
		value = fill;
		break;
	}
	return (value & mask) | (latch & (uint8_t)~mask);
}

static void vga_mem_write8(struct vga *vga, uint32_t addr, uint8_t value)
{
	struct vga_place place;
	unsigned plane;

	if (!vga_mem_place(vga, addr, &place))
		return;
	place.planes &= vga->seq[SEQ_MAP_MASK];
	for (plane = 0; plane < VGA_PLANES; plane++)
		if (place.planes >> plane & 1)
			vga->mem[place.off * VGA_PLANES + plane] =
				vga_mem_compose(vga, plane, value);
	if (place.planes & 1) /* plane 0 holds the characters */
		v3_vga_text_touch(vga);
}

/* Read mode 1: which of the eight pixels have the color to compare with? */
static uint8_t vga_mem_compare(const struct vga *vga)
{
	uint8_t differ = 0;
	unsigned plane;

	for (plane = 0; plane < VGA_PLANES; plane++) {
		uint8_t want = vga->gr[GR_COMPARE] >> plane & 1 ? 0xff : 0;

		if (vga->gr[GR_CARE] >> plane & 1)
			differ |= vga->latch[plane] ^ want;
	}
	return (uint8_t)~differ;
}

static uint8_t vga_mem_read8(struct vga *vga, uint32_t addr)
{
	struct vga_place place;
	unsigned plane = vga->gr[GR_READ_MAP] & 3;

	if (!vga_mem_place(vga, addr, &place))
		return 0xff;
	if (vga->seq[SEQ_MODE] & SEQ_MODE_CHAIN4)
		plane = addr & 3;
	else if (vga->gr[GR_MODE] & GR_MODE_ODDEVEN)
		plane = (plane & 2) | (addr & 1);
	for (unsigned p = 0; p < VGA_PLANES; p++)
		vga->latch[p] = vga->mem[place.off * VGA_PLANES + p];
	if (vga->gr[GR_MODE] & GR_MODE_COMPARE)
		return vga_mem_compare(vga);
	return vga->latch[plane];
}

int v3_vga_mem_access(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	struct vga *vga = priv;
	uint32_t addr = (uint32_t)(mmio->gpa - V3_PC_VGA_BASE);
	unsigned long flags;
	uint64_t value = 0;
	unsigned i;

	(void)vcpu;
	flags = v3_lock_acquire(&vga->lock);
	for (i = 0; i < mmio->size; i++) {
		if (mmio->write)
			vga_mem_write8(vga, addr + i, (uint8_t)(mmio->value >> (8 * i)));
		else
			value |= (uint64_t)vga_mem_read8(vga, addr + i) << (8 * i);
	}
	if (!mmio->write)
		mmio->value = value;
	v3_lock_release(&vga->lock, flags);
	return V3_OK;
}
