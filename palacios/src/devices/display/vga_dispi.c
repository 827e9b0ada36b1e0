/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga_dispi.c
 * Bochs' VBE extension ("dispi"): modes of up to 32 bits a pixel, a virtual screen larger than the visible one, and
 * banks of 64 KiB for the display window (documentation "Bochs VBE Extensions"). Reached by two ports, and by the
 * second BAR of the PCI function (vga_pci.c).
 */
#include "devices/display/vga.h"

#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/mem.h"
#include "palacios/util/str.h"

#define DISPI_ID0	0xb0c0 /* .. 0xb0c5: versions of the interface */
#define DISPI_GETCAPS	0x02   /* resolution and depth read as the largest there are */
#define DISPI_NOCLEAR	0x80
#define DISPI_WRITABLE	0xe3 /* bits of the enable register */
#define DISPI_BPP_MAX	32
#define DISPI_BANK_SIZE 0x10000u

/* Bytes of a pixel; planar modes have none of their own. 0: there is no such depth. */
static unsigned dispi_pixel(unsigned bpp)
{
	switch (bpp) {
	case 8:
	case 24:
	case 32:
		return bpp / 8;
	case 15:
	case 16:
		return 2;
	default:
		return 0;
	}
}

void v3_vga_dispi_screen(const struct vga *vga, struct vga_dispi_screen *screen)
{
	const uint16_t *reg = vga->dispi;
	const unsigned virt =
		reg[DISPI_VIRT_WIDTH] > reg[DISPI_XRES] ? reg[DISPI_VIRT_WIDTH] : reg[DISPI_XRES];

	screen->pixel = dispi_pixel(reg[DISPI_BPP]);
	screen->pitch = screen->pixel ? virt * screen->pixel : (virt + 7) / 8 * VGA_PLANES;
	screen->start = (uint64_t)reg[DISPI_Y_OFFSET] * screen->pitch;
	if (screen->pixel)
		screen->start += reg[DISPI_X_OFFSET] * screen->pixel;
	else
		screen->start += reg[DISPI_X_OFFSET] / 8 * VGA_PLANES;
}

static uint16_t dispi_virt_height(const struct vga *vga)
{
	struct vga_dispi_screen screen;
	uint64_t rows;

	v3_vga_dispi_screen(vga, &screen);
	rows = v3_card_size(vga->card) / screen.pitch;
	return rows < 0xffff ? (uint16_t)rows : 0xffff;
}

uint16_t v3_vga_dispi_read(const struct vga *vga, unsigned index)
{
	const bool caps = vga->dispi[DISPI_ENABLE] & DISPI_GETCAPS;

	switch (index) {
	case DISPI_XRES:
		return caps ? V3_DISPLAY_WIDTH : vga->dispi[index];
	case DISPI_YRES:
		return caps ? V3_DISPLAY_HEIGHT : vga->dispi[index];
	case DISPI_BPP:
		return caps ? DISPI_BPP_MAX : vga->dispi[index];
	case DISPI_VIRT_HEIGHT:
		return dispi_virt_height(vga);
	case DISPI_MEM_64K:
		return (uint16_t)(v3_card_size(vga->card) / 0x10000);
	default:
		return index < VGA_NDISPI ? vga->dispi[index] : 0;
	}
}

/* The palette keeps its colors when the width of its entries changes. */
static void dispi_convert_dac(struct vga *vga, bool wide)
{
	for (unsigned i = 0; i < VGA_NDAC; i++)
		for (unsigned k = 0; k < 3; k++)
			vga->dac[i][k] =
				(uint8_t)(wide ? vga->dac[i][k] << 2 : vga->dac[i][k] >> 2);
}

/* @return true: the screen must be cleared */
static bool dispi_enable(struct vga *vga, uint16_t value)
{
	const uint16_t before = vga->dispi[DISPI_ENABLE];

	value &= DISPI_WRITABLE;
	if (!(value & DISPI_ON))
		value &= (uint16_t)~DISPI_DAC8;
	if ((value ^ before) & DISPI_DAC8)
		dispi_convert_dac(vga, value & DISPI_DAC8);
	vga->dispi[DISPI_ENABLE] = value;
	if (!((value ^ before) & DISPI_ON))
		return false;
	v3_vga_text_touch(vga);
	vga->dispi[DISPI_BANK] = 0;
	vga->dispi[DISPI_X_OFFSET] = vga->dispi[DISPI_Y_OFFSET] = 0;
	vga->dispi[DISPI_VIRT_WIDTH] = vga->dispi[DISPI_XRES];
	return (value & DISPI_ON) && !(value & DISPI_NOCLEAR);
}

/* Can the register hold that? Not those that are read-only, or nothing. */
static bool dispi_valid(const struct vga *vga, unsigned index, uint16_t value)
{
	switch (index) {
	case DISPI_ID:
		return value >= DISPI_ID0 && value <= DISPI_ID0 + 5;
	case DISPI_XRES:
		return value && value <= V3_DISPLAY_WIDTH;
	case DISPI_YRES:
		return value && value <= V3_DISPLAY_HEIGHT;
	case DISPI_BPP:
		return value == 4 || dispi_pixel(value);
	case DISPI_BANK:
		return (uint64_t)value * DISPI_BANK_SIZE < v3_card_size(vga->card);
	case DISPI_VIRT_WIDTH:
	case DISPI_X_OFFSET:
	case DISPI_Y_OFFSET:
		return true;
	default:
		return false;
	}
}

bool v3_vga_dispi_possible(const struct vga *vga)
{
	static const uint8_t matter[] = {DISPI_ID, DISPI_XRES, DISPI_YRES, DISPI_BPP, DISPI_BANK};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(matter); i++)
		if (!dispi_valid(vga, matter[i], vga->dispi[matter[i]]))
			return false;
	return true;
}

/* Resolution and depth stay as they are while the mode is on. */
bool v3_vga_dispi_write(struct vga *vga, unsigned index, uint16_t value)
{
	const bool fixed = index >= DISPI_XRES && index <= DISPI_BPP && vga_dispi_on(vga);

	if (index == DISPI_ENABLE)
		return dispi_enable(vga, value);
	if (!fixed && dispi_valid(vga, index, value))
		vga->dispi[index] = value;
	return false;
}

/* A new mode begins black. Not under the lock: it takes a while. */
void v3_vga_dispi_clear(struct vga *vga)
{
	struct vga_dispi_screen screen;
	unsigned long flags;
	uint64_t size;

	flags = v3_lock_acquire(&vga->lock);
	v3_vga_dispi_screen(vga, &screen);
	size = (uint64_t)screen.pitch * vga->dispi[DISPI_YRES];
	v3_lock_release(&vga->lock, flags);
	v3_card_set(vga->card, 0, size, 0);
}

int v3_vga_dispi_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct vga *vga = priv;
	bool clear = false;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&vga->lock);
	if (!io->write)
		io->value = io->port == VGA_DISPI_PORT ? vga->dispi_index
						       : v3_vga_dispi_read(vga, vga->dispi_index);
	else if (io->port == VGA_DISPI_PORT)
		vga->dispi_index = (uint16_t)io->value;
	else
		clear = v3_vga_dispi_write(vga, vga->dispi_index, (uint16_t)io->value);
	v3_lock_release(&vga->lock, flags);
	if (clear)
		v3_vga_dispi_clear(vga);
	return V3_OK;
}

void v3_vga_dispi_reset(struct vga *vga)
{
	static const uint16_t dispi0[VGA_NDISPI] = {[DISPI_ID] = DISPI_ID0,
						    [DISPI_XRES] = 640,
						    [DISPI_YRES] = 480,
						    [DISPI_BPP] = 8,
						    [DISPI_VIRT_WIDTH] = 640};

	memcpy(vga->dispi, dispi0, sizeof(vga->dispi));
	vga->dispi_index = 0;
}
