/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga_mem.c
 * Video memory through the display window 0xa0000..0xbffff: four planes of 64 KiB behind latches, the write modes 0
 * to 3 and read modes 0 and 1 (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem", graphics
 * controller); in modes of Bochs' extension a bank of the memory, as it is, or of larger planes. Called for each access of the guest; marks the text screen as changed.
 */
#include "devices/display/vga.h"

#include "palacios/error.h"
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
	if (vga_dispi_on(vga)) { /* 4 bits a pixel */
		place->off += vga->dispi[DISPI_BANK] * VGA_PLANE;
		return (uint64_t)place->off * VGA_PLANES < v3_card_size(vga->card);
	}
	if (vga->seq[SEQ_MODE] & SEQ_MODE_CHAIN4) {
		place->off =
			(addr & ~3u) | addr >> 14; /* A14 and A15 take the places of A0 and A1 */
		place->planes = 1u << (addr & 3);
	} else if (!(vga->seq[SEQ_MODE] & SEQ_MODE_SEQUENTIAL)) {
		place->off = addr & ~1u;
		place->planes = addr & 1 ? 10 : 5; /* odd addresses: planes 1 and 3 */
	}
	return true;
}

/* In modes with whole bytes for a pixel the window shows the memory as it is. */
static bool vga_mem_is_packed(const struct vga *vga)
{
	return vga_dispi_on(vga) && vga->dispi[DISPI_BPP] > 4;
}

/* @return NULL: nobody answers there. The bank begins within the memory, whose size is a multiple of it. */
static uint8_t *vga_mem_packed(const struct vga *vga, uint32_t addr)
{
	if (addr >= VGA_PLANE)
		return NULL;
	return v3_card_ptr(vga->card, (uint64_t)vga->dispi[DISPI_BANK] * VGA_PLANE + addr);
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
	uint8_t *packed;

	if (vga_mem_is_packed(vga)) {
		packed = vga_mem_packed(vga, addr);
		if (packed)
			*packed = value;
		return;
	}
	if (!vga_mem_place(vga, addr, &place))
		return;
	place.planes &= vga->seq[SEQ_MAP_MASK];
	for (plane = 0; plane < VGA_PLANES; plane++)
		if (place.planes >> plane & 1)
			*vga_byte(vga, place.off, plane) = vga_mem_compose(vga, plane, value);
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

/* Read mode 0: the plane that is read. */
static unsigned vga_mem_read_plane(const struct vga *vga, uint32_t addr)
{
	const unsigned plane = vga->gr[GR_READ_MAP] & 3;

	if (vga_dispi_on(vga))
		return plane;
	if (vga->seq[SEQ_MODE] & SEQ_MODE_CHAIN4)
		return addr & 3;
	if (vga->gr[GR_MODE] & GR_MODE_ODDEVEN)
		return (plane & 2) | (addr & 1);
	return plane;
}

static uint8_t vga_mem_read8(struct vga *vga, uint32_t addr)
{
	struct vga_place place;
	const uint8_t *packed;

	if (vga_mem_is_packed(vga)) {
		packed = vga_mem_packed(vga, addr);
		return packed ? *packed : 0xff;
	}
	if (!vga_mem_place(vga, addr, &place))
		return 0xff;
	for (unsigned p = 0; p < VGA_PLANES; p++)
		vga->latch[p] = *vga_byte(vga, place.off, p);
	if (vga->gr[GR_MODE] & GR_MODE_COMPARE)
		return vga_mem_compare(vga);
	return vga->latch[vga_mem_read_plane(vga, addr)];
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
