/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga.c
 * A VGA: registers and ports (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"), its ROM for the
 * firmware, and the device class. On the PCI bus if there is one (vga_pci.c), else on the ISA bus. vga.h tells what
 * the other files do.
 */
#include "devices/display/vga.h"

#include "devices/devices.h"
#include "devices/port8.h"
#include "palacios/chr.h"
#include "palacios/error.h"
#include "palacios/fw_cfg.h"
#include "palacios/io.h"
#include "palacios/log.h"
#include "palacios/pci.h"
#include "palacios/platform.h"
#include "palacios/timer.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"

#define V3_LOG_TAG "vga"

/* Ports; those of the CRT controller and the status are at 0x3bX instead if bit 0 of the misc register is 0 */
#define VGA_ATTR       0x3c0 /* index and data in turn */
#define VGA_ATTR_READ  0x3c1
#define VGA_MISC_WRITE 0x3c2 /* reads: input status 0 */
#define VGA_SEQ_INDEX  0x3c4
#define VGA_SEQ_DATA   0x3c5
#define VGA_DAC_MASK   0x3c6
#define VGA_DAC_READ   0x3c7 /* reads: state */
#define VGA_DAC_WRITE  0x3c8
#define VGA_DAC_DATA   0x3c9
#define VGA_FEATURE    0x3ca
#define VGA_MISC_READ  0x3cc
#define VGA_GR_INDEX   0x3ce
#define VGA_GR_DATA    0x3cf
#define VGA_CRTC_INDEX 0x3d4
#define VGA_CRTC_DATA  0x3d5
#define VGA_STATUS     0x3da /* writes: feature control */
#define VGA_MONO       0x20  /* from a color port down to its monochrome one */

#define VGA_MISC_COLOR	  0x01
#define VGA_CRTC_PROTECT  0x80
#define VGA_CRTC_COMPARE8 0x10 /* of the overflow register: not protected */
#define VGA_ST_BLANK	  0x01
#define VGA_ST_RETRACE	  0x08

/* 640x400 at 70 Hz: 449 lines of 31.77 us, the last 49 without picture; of each line the last fifth */
#define VGA_LINE_NS    31778u
#define VGA_LINES      449u
#define VGA_LINES_SEEN 400u
#define VGA_LINE_SEEN  25422u

/* Text mode 3: what firmware leaves behind, and what a display without firmware begins with. */
static const uint8_t vga_seq3[VGA_NSEQ] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t vga_crtc3[VGA_NCRTC] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
					     0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
					     0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
static const uint8_t vga_gr3[VGA_NGR] = {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff};
static const uint8_t vga_attr3[VGA_NATTR] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14,
					     0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
					     0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
#define VGA_MISC3 0x67

#define VGA_MEMORY     0x1000000u /* if the definition does not say */
#define VGA_MEMORY_MAX 0x10000000u

/* ---- registers; lock held ---- */

static uint8_t vga_dac_data_read(struct vga *vga)
{
	uint8_t value = vga->dac[vga->dac_read][vga->dac_component];

	if (++vga->dac_component == 3) {
		vga->dac_component = 0;
		vga->dac_read++;
	}
	return value;
}

static void vga_dac_data_write(struct vga *vga, uint8_t value)
{
	if (!(vga->dispi[DISPI_ENABLE] & DISPI_DAC8))
		value &= 0x3f;
	vga->dac[vga->dac_write][vga->dac_component] = value;
	if (++vga->dac_component == 3) {
		vga->dac_component = 0;
		vga->dac_write++;
	}
}

/* Input status 1: a beam that nobody sees, for guests that wait for it. */
static uint8_t vga_status(struct vga *vga)
{
	uint64_t ns = v3_time_ns(vga->vm);
	bool retrace = ns / VGA_LINE_NS % VGA_LINES >= VGA_LINES_SEEN;

	vga->attr_data = false;
	if (retrace)
		return VGA_ST_BLANK | VGA_ST_RETRACE;
	return ns % VGA_LINE_NS >= VGA_LINE_SEEN ? VGA_ST_BLANK : 0;
}

/* A register by its index; those that do not exist read as ones. */
static uint8_t vga_indexed(const uint8_t *reg, unsigned n, uint8_t index)
{
	return index < n ? reg[index] : 0xff;
}

uint8_t v3_vga_port_read(struct vga *vga, uint16_t port)
{
	switch (port) {
	case VGA_ATTR:
		return vga->attr_index;
	case VGA_ATTR_READ:
		return vga_indexed(vga->attr, VGA_NATTR, vga->attr_index & 0x1f);
	case VGA_MISC_WRITE: /* input status 0: no interrupt, the monitor is there */
		return 0x10;
	case VGA_SEQ_INDEX:
		return vga->seq_index;
	case VGA_SEQ_DATA:
		return vga_indexed(vga->seq, VGA_NSEQ, vga->seq_index);
	case VGA_DAC_MASK:
		return vga->dac_mask;
	case VGA_DAC_READ:
		return vga->dac_reading ? 3 : 0;
	case VGA_DAC_WRITE:
		return vga->dac_write;
	case VGA_DAC_DATA:
		return vga_dac_data_read(vga);
	case VGA_FEATURE:
		return vga->feature;
	case VGA_MISC_READ:
		return vga->misc;
	case VGA_GR_INDEX:
		return vga->gr_index;
	case VGA_GR_DATA:
		return vga_indexed(vga->gr, VGA_NGR, vga->gr_index);
	case VGA_CRTC_INDEX:
		return vga->crtc_index;
	case VGA_CRTC_DATA:
		return vga_indexed(vga->crtc, VGA_NCRTC, vga->crtc_index);
	case VGA_STATUS:
		return vga_status(vga);
	default:
		return 0xff;
	}
}

static void vga_attr_write(struct vga *vga, uint8_t value)
{
	uint8_t index = vga->attr_index & 0x1f;

	if (!vga->attr_data)
		vga->attr_index = value & (0x1f | ATTR_VIDEO);
	else if (index < VGA_NATTR && (index >= 16 || !(vga->attr_index & ATTR_VIDEO)))
		vga->attr[index] = value;
	vga->attr_data = !vga->attr_data;
}

static void vga_crtc_write(struct vga *vga, uint8_t value)
{
	uint8_t index = vga->crtc_index, before;

	if (index >= VGA_NCRTC)
		return;
	before = vga->crtc[index];
	if ((vga->crtc[CRTC_PROTECT] & VGA_CRTC_PROTECT) && index <= CRTC_OVERFLOW) {
		if (index != CRTC_OVERFLOW)
			return;
		value = (before & (uint8_t)~VGA_CRTC_COMPARE8) | (value & VGA_CRTC_COMPARE8);
	}
	vga->crtc[index] = value;
	if (value != before && (index < CRTC_CURSOR_HIGH || index > CRTC_CURSOR_HIGH + 1))
		v3_vga_text_touch(vga);
}

static void vga_dac_write(struct vga *vga, uint16_t port, uint8_t value)
{
	vga->dac_component = 0;
	vga->dac_reading = port == VGA_DAC_READ;
	if (vga->dac_reading)
		vga->dac_read = value;
	else
		vga->dac_write = value;
}

static void vga_gr_write(struct vga *vga, uint8_t value)
{
	if (vga->gr_index >= VGA_NGR)
		return;
	vga->gr[vga->gr_index] = value;
	if (vga->gr_index == GR_MISC)
		v3_vga_text_touch(vga);
}

void v3_vga_port_write(struct vga *vga, uint16_t port, uint8_t value)
{
	switch (port) {
	case VGA_ATTR:
		vga_attr_write(vga, value);
		break;
	case VGA_MISC_WRITE:
		vga->misc = value;
		break;
	case VGA_SEQ_INDEX:
		vga->seq_index = value & 7;
		break;
	case VGA_SEQ_DATA:
		if (vga->seq_index < VGA_NSEQ)
			vga->seq[vga->seq_index] = value;
		break;
	case VGA_DAC_MASK:
		vga->dac_mask = value;
		break;
	case VGA_DAC_READ:
	case VGA_DAC_WRITE:
		vga_dac_write(vga, port, value);
		break;
	case VGA_DAC_DATA:
		vga_dac_data_write(vga, value);
		break;
	case VGA_GR_INDEX:
		vga->gr_index = value & 15;
		break;
	case VGA_GR_DATA:
		vga_gr_write(vga, value);
		break;
	case VGA_CRTC_INDEX:
		vga->crtc_index = value & 0x3f;
		break;
	case VGA_CRTC_DATA:
		vga_crtc_write(vga, value);
		break;
	case VGA_STATUS:
		vga->feature = value;
		break;
	default: /* reserved, or read-only */
		break;
	}
}

/* ---- ports ---- */

/* Ranges of ports: those of color and monochrome displays are both there, one of them answers at a time. */
static const struct vga_range {
	uint16_t first, count;
	bool moves; /* answers there only in color, or only in monochrome mode */
} vga_ranges[] = {
	{VGA_ATTR, 16, false},
	{VGA_CRTC_INDEX, 2, true},
	{VGA_STATUS, 1, true},
	{VGA_CRTC_INDEX - VGA_MONO, 2, true},
	{VGA_STATUS - VGA_MONO, 1, true},
};

static const struct vga_range *vga_range_of(uint16_t port)
{
	const struct vga_range *r = vga_ranges;

	while (port < r->first || port - r->first >= r->count)
		r++; /* handlers are called for their own ports only */
	return r;
}

static uint8_t vga_read8(void *dev, unsigned port)
{
	return v3_vga_port_read(dev, (uint16_t)port);
}

static void vga_write8(void *dev, unsigned port, uint8_t value)
{
	v3_vga_port_write(dev, (uint16_t)port, value);
}

static int vga_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	const struct vga_range *range = vga_range_of(io->port);
	struct vga *vga = priv;
	struct v3_io at = *io;
	unsigned long flags;
	bool mono;

	(void)vcpu;
	mono = range->first < VGA_ATTR;
	if (mono)
		at.port += VGA_MONO;
	flags = v3_lock_acquire(&vga->lock);
	if (!range->moves || mono != !!(vga->misc & VGA_MISC_COLOR))
		v3_port8_access(&at, vga, 0, range->first + range->count + (mono ? VGA_MONO : 0u),
				vga_read8, vga_write8);
	else
		at.value = ~0u;
	if (!io->write)
		io->value = at.value;
	v3_lock_release(&vga->lock, flags);
	return V3_OK;
}

/* ---- device ---- */

void v3_vga_reset(struct vga *vga)
{
	unsigned long flags;

	v3_card_set(vga->card, 0, v3_card_size(vga->card), 0);
	flags = v3_lock_acquire(&vga->lock);
	memset(vga->latch, 0, sizeof(vga->latch));
	memset(vga->dac, 0, sizeof(vga->dac));
	memcpy(vga->seq, vga_seq3, sizeof(vga->seq));
	memcpy(vga->crtc, vga_crtc3, sizeof(vga->crtc));
	memcpy(vga->gr, vga_gr3, sizeof(vga->gr));
	memcpy(vga->attr, vga_attr3, sizeof(vga->attr));
	vga->misc = VGA_MISC3;
	vga->feature = 0;
	vga->seq_index = vga->crtc_index = vga->gr_index = 0;
	vga->attr_index = ATTR_VIDEO;
	vga->attr_data = vga->dac_reading = false;
	vga->dac_mask = 0xff;
	vga->dac_read = vga->dac_write = vga->dac_component = 0;
	v3_vga_dispi_reset(vga);
	v3_vga_text_touch(vga);
	v3_lock_release(&vga->lock, flags);
}

static void vga_reset(void *state)
{
	v3_vga_reset(state);
}

static void vga_release_ports(struct vga *vga, size_t n)
{
	while (n--)
		v3_io_unregister(vga->vm, vga_ranges[n].first);
}

static int vga_claim(struct vga *vga)
{
	struct v3_vm *vm = vga->vm;
	size_t i;
	int err = V3_OK;

	for (i = 0; i < V3_ARRAY_SIZE(vga_ranges) && !err; i++)
		err = v3_io_register(vm, vga_ranges[i].first, vga_ranges[i].count, vga_io, vga);
	if (err) {
		vga_release_ports(vga, i - 1);
		return err;
	}
	err = v3_io_register(vm, VGA_DISPI_PORT, 2, v3_vga_dispi_io, vga);
	if (err)
		goto release_ports;
	v3_mmio_unregister(vm, V3_PC_VGA_BASE); /* what answers there without a display */
	err = v3_mmio_register(vm, V3_PC_VGA_BASE, V3_PC_VGA_SIZE, v3_vga_mem_access, vga);
	if (err)
		goto release_dispi;
	return V3_OK;

release_dispi:
	v3_io_unregister(vm, VGA_DISPI_PORT);
release_ports:
	vga_release_ports(vga, V3_ARRAY_SIZE(vga_ranges));
	return err;
}

/* Stream and timer of the mirror, and the ROM, each if it is wanted. */
static int vga_options(struct vga *vga, const struct v3_cfg *cfg)
{
	const char *console = v3_cfg_string(cfg, "console");
	const void *rom;
	size_t len = 0;
	int err = V3_OK;

	if (console[0])
		err = v3_chr_open(vga->vm, console, NULL, NULL, &vga->chr);
	if (!err && console[0])
		err = v3_timer_create(vga->vm, NULL, v3_vga_text_fire, vga, &vga->timer);
	if (err || !v3_cfg_has(cfg, "rom"))
		return err;
	rom = v3_vm_file(vga->vm, v3_cfg_string(cfg, "rom"), &len);
	err = rom ? v3_fw_cfg_add_file(vga->vm, v3_vga_pci_rom_name(vga), rom, len) : V3_ENOENT;
	if (err)
		V3_ERR(vga->vm, "rom: cannot be offered to the firmware: %s", v3_strerror(err));
	return err;
}

static int vga_memory(struct vga *vga, uint64_t size)
{
	if (size & (size - 1)) {
		V3_ERR(vga->vm, "memory: expected a power of two");
		return V3_EINVAL;
	}
	return v3_card_create(vga->vm, size, &vga->card);
}

static void vga_free(struct vga *vga)
{
	v3_pci_remove(vga->func);
	v3_timer_destroy(vga->timer);
	v3_chr_close(vga->chr);
	v3_lock_destroy(&vga->lock);
	v3_card_destroy(vga->card);
	v3_free(vga);
}

static int vga_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct vga *vga;
	int err;

	vga = v3_alloc(sizeof(*vga));
	if (!vga)
		return V3_ENOMEM;
	vga->vm = vm;
	err = vga_memory(vga, v3_cfg_uint(cfg, "memory"));
	if (!err)
		err = v3_lock_init(&vga->lock);
	if (!err)
		err = v3_vga_pci_create(vga, cfg);
	if (!err)
		err = vga_options(vga, cfg);
	if (!err)
		err = vga_claim(vga);
	if (err) {
		vga_free(vga);
		return err;
	}
	*state = vga;
	return V3_OK;
}

static void vga_destroy(void *state)
{
	struct vga *vga = state;

	v3_mmio_unregister(vga->vm, V3_PC_VGA_BASE);
	v3_io_unregister(vga->vm, VGA_DISPI_PORT);
	vga_release_ports(vga, V3_ARRAY_SIZE(vga_ranges));
	vga_free(vga);
}

static const struct v3_cfg_key vga_keys[] = {
	{.name = "rom", .type = V3_CFG_FILE},
	{.name = "console", .type = V3_CFG_STRING, .high = 31},
	{.name = "memory",
	 .type = V3_CFG_SIZE,
	 .low = VGA_PLANE * VGA_PLANES,
	 .high = VGA_MEMORY_MAX,
	 .def = VGA_MEMORY},
	V3_PCI_KEYS,
	{.name = NULL},
};

const struct v3_device_class v3_device_vga = {
	.name = "vga",
	.save = &v3_vga_save,
	.keys = vga_keys,
	.create = vga_create,
	.reset = vga_reset,
	.destroy = vga_destroy,
};

int v3_display_text(struct v3_vm *vm, char *buf, size_t size)
{
	struct vga *vga = v3_device_find(vm, &v3_device_vga);

	return vga ? v3_vga_text_copy(vga, buf, size) : V3_ENODEV;
}

int v3_display_image(struct v3_vm *vm, struct v3_display_size *size, uint32_t first, uint32_t rows,
		     uint8_t *rgb)
{
	struct vga *vga = v3_device_find(vm, &v3_device_vga);

	return vga ? v3_vga_image(vga, size, first, rows, rgb) : V3_ENODEV;
}
