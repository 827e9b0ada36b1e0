/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pci.h
 * PCI functions on bus 0, behind configuration mechanism 1.
 */
#ifndef PALACIOS_PCI_H
#define PALACIOS_PCI_H

#include "palacios/types.h"

struct v3_pci_func;
struct v3_vm;

/** What a device asks of the bus. */
struct v3_pci_desc {
	uint16_t vendor, device;
	uint16_t subsys_vendor, subsys;
	uint32_t class_code; /* class << 16 | subclass << 8 | programming interface */
	uint8_t revision;
	uint8_t header_type;
	uint8_t intx_pin; /* 0 none, 1 INTA .. 4 INTD */
	/** Reads or writes of device-specific configuration space (offsets 0x40..0xff); NULL: plain storage */
	uint32_t (*cfg_read)(void *priv, unsigned off, unsigned size);
	void (*cfg_write)(void *priv, unsigned off, unsigned size, uint32_t value);
	void *priv;
};

/**
 * Put a function on bus 0. Before the VM runs, thread.
 * @param slot  0..31; @param fn 0..7
 * @return V3_OK; V3_ENODEV: the VM has no PCI host bridge; V3_EINVAL; V3_EEXIST; V3_ENOMEM.
 */
int v3_pci_add(struct v3_vm *vm, unsigned slot, unsigned fn, const struct v3_pci_desc *desc,
	       struct v3_pci_func **func);
void v3_pci_remove(struct v3_pci_func *func);
/** Its configuration space, 256 bytes, little-endian. Own locking: bus lock held in callbacks. */
uint8_t *v3_pci_config(struct v3_pci_func *func);

/**
 * Assert (true) or release the function's INTx pin, a level. Lines shared by several functions are wired-OR;
 * the guest's interrupt disable bit and the status bit are respected. No effect without an intx_pin. any
 * vcpu; not from within the configuration callbacks.
 */
void v3_pci_set_intx(struct v3_pci_func *func, bool level);

#endif
