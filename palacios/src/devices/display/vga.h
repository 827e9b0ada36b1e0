/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga.h
 * What the files of the VGA share. vga.c: registers, ports and the device; vga_dispi.c: Bochs' extension; vga_pci.c:
 * the PCI function; vga_mem.c: video memory through the display window; vga_image.c: the pixels on the screen;
 * vga_text.c: the text on the screen; vga_save.c: saved state. Register numbers and bits are those of IBM's PS/2 Hardware Interface
 * Technical Reference, "Video Subsystem".
 */
#ifndef V3_DEVICES_DISPLAY_VGA_H
#define V3_DEVICES_DISPLAY_VGA_H

#include "palacios/display.h"
#include "palacios/mem.h"
#include "palacios/vm.h"

struct v3_cfg;
struct v3_chr;
struct v3_io;
struct v3_pci_func;
struct v3_save_table;
struct v3_timer;
struct v3_vcpu;

#define VGA_PLANE      0x10000u /* bytes of each of the four planes */
#define VGA_PLANES     4
#define VGA_PORTS      0x3c0
#define VGA_DISPI_PORT 0x1ce /* index; data follows. 16 bits wide */
#define VGA_NSEQ       5
#define VGA_NCRTC      25
#define VGA_NGR	       9
#define VGA_NATTR      21
#define VGA_NDAC       256
#define VGA_NDISPI     11
#define VGA_LINE                                                                                   \
	(V3_DISPLAY_COLUMNS * 3 + 32) /* a row in UTF-8, with control sequences around it */

/* Bochs' extension */
#define DISPI_ID	  0
#define DISPI_XRES	  1
#define DISPI_YRES	  2
#define DISPI_BPP	  3
#define DISPI_ENABLE	  4
#define DISPI_ON	  0x01
#define DISPI_DAC8	  0x20 /* 8 bits per component */
#define DISPI_BANK	  5
#define DISPI_VIRT_WIDTH  6
#define DISPI_VIRT_HEIGHT 7
#define DISPI_X_OFFSET	  8
#define DISPI_Y_OFFSET	  9
#define DISPI_MEM_64K	  10

/* Sequencer */
#define SEQ_CLOCKING	    1
#define SEQ_CLOCKING_8	    0x01 /* characters are 8 dots wide, not 9 */
#define SEQ_CLOCKING_OFF    0x20
#define SEQ_MAP_MASK	    2
#define SEQ_FONTS	    3
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
#define GR_MODE_SHIFT2	 0x20 /* two bits a pixel */
#define GR_MODE_SHIFT8	 0x40 /* eight */
#define GR_MISC		 6
#define GR_MISC_GRAPHICS 0x01
#define GR_CARE		 7
#define GR_BIT_MASK	 8

/* CRT controller */
#define CRTC_COLUMNS	  0x01
#define CRTC_OVERFLOW	  0x07
#define CRTC_SCAN_LINE	  0x09
#define CRTC_DOUBLE	  0x80 /* of it: each line twice */
#define CRTC_CURSOR_START 0x0a
#define CRTC_CURSOR_OFF	  0x20
#define CRTC_CURSOR_END	  0x0b
#define CRTC_START_HIGH	  0x0c
#define CRTC_CURSOR_HIGH  0x0e
#define CRTC_PROTECT	  0x11
#define CRTC_END	  0x12
#define CRTC_OFFSET	  0x13
#define CRTC_UNDERLINE	  0x14
#define CRTC_DWORD	  0x40 /* of it */
#define CRTC_MODE	  0x17
#define CRTC_MODE_MA13	  0x01 /* clear: address bit 13 is bit 0 of the line in its row */
#define CRTC_MODE_MA14	  0x02 /* 14: bit 1 */
#define CRTC_MODE_MA15	  0x20 /* words: address bit 15, not 13, becomes bit 0 */
#define CRTC_MODE_BYTES	  0x40 /* clear: words */
#define CRTC_COMPARE	  0x18

/* Attribute controller */
#define ATTR_VIDEO	 0x20 /* of the index: the palette is the display's, not the CPU's */
#define ATTR_MODE	 0x10
#define ATTR_MODE_LINES	 0x04 /* the ninth dot of line graphics is the eighth once more */
#define ATTR_MODE_BLINK	 0x08
#define ATTR_MODE_SELECT 0x80 /* bits 4 and 5 of a color come from ATTR_SELECT */
#define ATTR_PLANES	 0x12
#define ATTR_SELECT	 0x14

struct vga {
	struct v3_vm *vm;	  /* not owned; outlives the device */
	struct v3_timer *timer;	  /* owned: the mirror's next look at the screen; NULL: no mirror */
	struct v3_chr *chr;	  /* owned: where the mirror goes; NULL: nowhere */
	struct v3_card *card;	  /* owned: the memory; byte o of plane p is at 4 * o + p */
	struct v3_pci_func *func; /* owned; NULL: on the ISA bus */

	struct v3_lock
		lock; /* guards all below; not the memory, which the guest writes when it likes */
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

/** The screen in a mode of Bochs' extension. */
struct vga_dispi_screen {
	unsigned pixel; /* bytes; 0: planar, 4 bits */
	unsigned pitch; /* bytes of memory from row to row, of all planes */
	uint64_t start; /* first byte in memory */
};

/** A byte of a plane; @p off is within the memory. */
static inline uint8_t *vga_byte(const struct vga *vga, uint32_t off, unsigned plane)
{
	return v3_card_ptr(vga->card, (uint64_t)off * VGA_PLANES + plane);
}

static inline bool vga_dispi_on(const struct vga *vga)
{
	return vga->dispi[DISPI_ENABLE] & DISPI_ON;
}

/* ---- vga.c: ports 0x3c0..0x3df by their numbers in color modes; lock held ---- */
uint8_t v3_vga_port_read(struct vga *vga, uint16_t port);
void v3_vga_port_write(struct vga *vga, uint16_t port, uint8_t value);

/* ---- vga_dispi.c ---- */
/** Handler of the two ports. */
int v3_vga_dispi_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv);
/** Lock held. */
uint16_t v3_vga_dispi_read(const struct vga *vga, unsigned index);
/** Lock held. @return true: v3_vga_dispi_clear() must follow when the lock has been given back */
bool v3_vga_dispi_write(struct vga *vga, unsigned index, uint16_t value);
/** A new mode begins black. Lock not held. */
void v3_vga_dispi_clear(struct vga *vga);
void v3_vga_dispi_reset(struct vga *vga);
/** Could the registers have these values, which were loaded? */
bool v3_vga_dispi_possible(const struct vga *vga);
/** Whether the mode is on or not. Lock held. */
void v3_vga_dispi_screen(const struct vga *vga, struct vga_dispi_screen *screen);

/* ---- vga_pci.c ---- */
/** Add the function if the VM has a PCI host bridge. @return V3_OK, also if it has none; else as v3_pci_add(). */
int v3_vga_pci_create(struct vga *vga, const struct v3_cfg *cfg);
/** Under which name of fw_cfg firmware finds its VGA BIOS. */
const char *v3_vga_pci_rom_name(const struct vga *vga);

/* ---- vga_save.c ---- */
extern const struct v3_save_table v3_vga_save;

/* ---- vga_image.c ---- */
/** v3_display_image() of a display. */
int v3_vga_image(struct vga *vga, struct v3_display_size *size, uint32_t first, uint32_t rows,
		 uint8_t *rgb);

/* ---- vga_mem.c, vga_text.c ---- */
/** To the state after power-on. Any vcpu, no lock held. */
void v3_vga_reset(struct vga *vga);

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
