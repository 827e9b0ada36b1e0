/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga_pci.c
 * The PCI function in front of the VGA, as guests know it from Bochs and QEMU (QEMU's "standard VGA" specification):
 * 1234:1111, the frame buffer in BAR 0, and in BAR 2 the VGA's ports and the dispi registers once more. Its VGA BIOS
 * comes to SeaBIOS by a name of fw_cfg that says which function it is for.
 */
#include "devices/display/vga.h"

#include "palacios/config.h"
#include "palacios/error.h"
#include "palacios/fw_cfg.h"
#include "palacios/mem.h"
#include "palacios/pci.h"

#define PCI_MMIO_SIZE  0x1000u
#define PCI_MMIO_VGA   0x400u /* ports 0x3c0..0x3df */
#define PCI_MMIO_NVGA  0x20u
#define PCI_MMIO_DISPI 0x500u /* 16 bits each, by index */

static void pci_vga_bus_reset(struct v3_pci_func *func, void *priv)
{
	(void)func;
	v3_vga_reset(priv);
}

static const struct v3_pci_desc pci_vga_desc = {
	.vendor = 0x1234,
	.device = 0x1111,
	.class_code = 0x030000,
	.revision = 2,
	.subsys_vendor = 0x1af4,
	.subsys = 0x1100,
	.bus_reset = pci_vga_bus_reset,
};

static uint8_t pci_vga_read8(struct vga *vga, uint64_t off)
{
	if (off - PCI_MMIO_VGA < PCI_MMIO_NVGA)
		return v3_vga_port_read(vga, (uint16_t)(VGA_PORTS + off - PCI_MMIO_VGA));
	off -= PCI_MMIO_DISPI;
	if (off < 2 * VGA_NDISPI)
		return (uint8_t)(v3_vga_dispi_read(vga, (unsigned)off / 2) >> (off % 2 * 8));
	return 0; /* no EDID, no extensions */
}

/* Dispi registers are written whole. @return true: the screen must be cleared */
static bool pci_vga_write(struct vga *vga, const struct v3_pci_access *access)
{
	uint64_t off = access->offset - PCI_MMIO_DISPI;
	bool clear = false;
	unsigned i;

	if (off < 2 * VGA_NDISPI) {
		for (i = 0; !(off & 1) && i + 1 < access->size; i += 2)
			clear |= v3_vga_dispi_write(vga, (unsigned)(off + i) / 2,
						    (uint16_t)(access->value >> (8 * i)));
		return clear;
	}
	for (i = 0; i < access->size; i++) {
		off = access->offset + i - PCI_MMIO_VGA;
		if (off < PCI_MMIO_NVGA)
			v3_vga_port_write(vga, (uint16_t)(VGA_PORTS + off),
					  (uint8_t)(access->value >> (8 * i)));
	}
	return false;
}

static int pci_vga_bar2(struct v3_vcpu *vcpu, struct v3_pci_access *access, void *priv)
{
	struct vga *vga = priv;
	bool clear = false;
	unsigned long flags;
	unsigned i;

	(void)vcpu;
	flags = v3_lock_acquire(&vga->lock);
	if (access->write) {
		clear = pci_vga_write(vga, access);
	} else {
		access->value = 0;
		for (i = 0; i < access->size; i++)
			access->value |= (uint64_t)pci_vga_read8(vga, access->offset + i)
					 << (8 * i);
	}
	v3_lock_release(&vga->lock, flags);
	if (clear)
		v3_vga_dispi_clear(vga);
	return V3_OK;
}

int v3_vga_pci_create(struct vga *vga, const struct v3_cfg *cfg)
{
	struct v3_pci_desc desc = pci_vga_desc;
	unsigned slot = (unsigned)v3_cfg_uint(cfg, "slot");
	int err;

	desc.bus = v3_cfg_string(cfg, "bus");
	desc.priv = vga;
	err = v3_pci_add(vga->vm, slot ? slot : V3_PCI_SLOT_ANY, 0, &desc, &vga->func);
	if (err == V3_ENODEV && !slot && !desc.bus[0]) /* no PCI bus: it is on the ISA bus */
		return V3_OK;
	if (!err)
		err = v3_pci_add_card(vga->func, 0, V3_PCI_BAR_MEM32 | V3_PCI_BAR_PREFETCH,
				      vga->card);
	if (!err)
		err = v3_pci_add_bar(vga->func, 2, V3_PCI_BAR_MEM32, PCI_MMIO_SIZE, pci_vga_bar2,
				     vga);
	return err;
}

const char *v3_vga_pci_rom_name(const struct vga *vga)
{
	return vga->func ? "pci1234,1111.rom" : "vgaroms/vga.rom";
}
