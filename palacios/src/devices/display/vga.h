/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga.h
 * What the files of the VGA share. vga.c: registers, ports and the device; vga_mem.c: video memory as the CPU sees
 * it; vga_text.c: the text on the screen. Register numbers and bits are those of IBM's PS/2 Hardware Interface
 * Technical Reference, "Video Subsystem".
 */
#ifndef V3_DEVICES_DISPLAY_VGA_H
#define V3_DEVICES_DISPLAY_VGA_H

#include "palacios/display.h"
#include "palacios/vm.h"

struct v3_chr;
struct v3_mmio;
struct v3_timer;
struct v3_vcpu;

#define VGA_PLANE     0x10000u /* bytes of each of the four planes */
#define VGA_PLANES    4
#define VGA_MEM_PAGES (VGA_PLANE * VGA_PLANES / V3_PAGE_SIZE)
#define VGA_NSEQ      5
#define VGA_NCRTC     25
#define VGA_NGR	      9
#define VGA_NATTR     21
#define VGA_NDAC      256
#define VGA_NDISPI    16
#define VGA_LINE                                                                                   \
	(V3_DISPLAY_COLUMNS * 3 + 32) /* a row in UTF-8, with control sequences around it */

/* Sequencer */
#define SEQ_MAP_MASK	    2
#define SEQ_MODE	    4
#define SEQ_MODE_SEQUENTIAL 0x04 /* clear: odd/even */
#define SEQ_MODE_CHAIN4	    0x08

/* Graphics controller */
#define GR_SET_RESET	 0
#define GR_ENABLE_SR	 1
#define GR_COMPARE	 2
#define GR_ROTATE	 3 /* rotate count, function */
#define GR_READ_MAP	 4
#define GR_MODE		 5
#define GR_MODE_WRITE	 0x03
#define GR_MODE_COMPARE	 0x08
#define GR_MODE_ODDEVEN	 0x10
#define GR_MISC		 6
#define GR_MISC_GRAPHICS 0x01
#define GR_CARE		 7
#define GR_BIT_MASK	 8

/* CRT controller */
#define CRTC_COLUMNS	  0x01
#define CRTC_OVERFLOW	  0x07
#define CRTC_SCAN_LINE	  0x09
#define CRTC_CURSOR_START 0x0a
#define CRTC_START_HIGH	  0x0c
#define CRTC_CURSOR_HIGH  0x0e
#define CRTC_PROTECT	  0x11
#define CRTC_END	  0x12
#define CRTC_OFFSET	  0x13

struct vga {
	struct v3_vm *vm;	/* not owned; outlives the device */
	struct v3_timer *timer; /* owned: the mirror's next look at the screen; NULL: no mirror */
	struct v3_chr *chr;	/* owned: where the mirror goes; NULL: nowhere */
	uint8_t *mem;		/* owned, VGA_MEM_PAGES: byte o of plane p is at 4 * o + p */

	struct v3_lock lock; /* guards all below, and the memory */
	uint8_t latch[VGA_PLANES];
	uint8_t misc, feature;
	uint8_t seq_index, seq[VGA_NSEQ];
	uint8_t crtc_index, crtc[VGA_NCRTC];
	uint8_t gr_index, gr[VGA_NGR];
	uint8_t attr_index, attr[VGA_NATTR];
	bool attr_data; /* the next write to 0x3c0 is data */
	uint8_t dac[VGA_NDAC][3];
	uint8_t dac_mask, dac_read, dac_write, dac_component;
	bool dac_reading;
	uint16_t dispi_index, dispi[VGA_NDISPI];

	/* the mirror */
	bool dirty;			    /* the screen may have changed since it looked */
	uint16_t shown_columns, shown_rows; /* 0: nothing shown yet */
	uint8_t shown[V3_DISPLAY_ROWS][V3_DISPLAY_COLUMNS]; /* characters */
	char line[VGA_LINE]; /* bytes that the stream did not take yet */
	uint16_t line_len, line_off;
};

/** The screen in text mode, worked out of the registers. */
struct vga_screen {
	unsigned columns, rows; /* 0: no text mode, or none that makes sense */
	unsigned start, pitch;	/* first character in memory, characters from row to row */
};

/** Handler of the display window. */
int v3_vga_mem_access(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv);

/** Lock held. */
void v3_vga_text_screen(const struct vga *vga, struct vga_screen *screen);
/** The screen may have changed: the mirror shall look in a while. Lock held. */
void v3_vga_text_touch(struct vga *vga);
/** Forget what the mirror has shown: all of the screen is new. Lock held, or VM not running. */
void v3_vga_text_restart(struct vga *vga);
/** Timer of the mirror. */
void v3_vga_text_fire(struct v3_vcpu *vcpu, void *priv);
/** v3_display_text() of a display. */
int v3_vga_text_copy(struct vga *vga, char *buf, size_t size);

#endif
