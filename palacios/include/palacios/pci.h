/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pci.h
 * PCI functions on bus 0 and behind bridges, by configuration mechanism 1 (PCI Local Bus 3.0).
 *
 * A device adds its function, then base address registers and capabilities, in its create; the bus keeps
 * configuration space, decodes what the guest programs, and sends interrupts. At power-on and reset every
 * register the guest can write is 0: BARs are unassigned and do not answer, interrupts are INTx. A guest's
 * firmware or kernel assigns them.
 *
 * Context: v3_pci_add*() and v3_pci_remove() are called while no vcpu runs. Everything else: any vcpu, atomic,
 * own locks of the device may be held.
 */
#ifndef PALACIOS_PCI_H
#define PALACIOS_PCI_H

#include "palacios/types.h"

struct v3_card;
struct v3_pci_func;
struct v3_save_table;
struct v3_vcpu;
struct v3_vm;

/** What a device asks of the bus. */
struct v3_pci_desc {
	uint16_t vendor, device;
	uint16_t subsys_vendor, subsys;
	uint32_t class_code; /* class << 16 | subclass << 8 | programming interface */
	uint8_t revision;
	uint8_t header_type;
	uint8_t intx_pin; /* 0 none, 1 INTA .. 4 INTD */
	const char *
		bus; /* name of the pci_bridge it is behind, which exists; NULL or empty: on bus 0 */
	/**
	 * Called for accesses to device-specific configuration space (offsets 0x40..0xff, one to four bytes
	 * within a doubleword), on the vcpu's thread with no lock of the bus held. NULL: plain storage.
	 *
	 * cfg_read gets what the bus would answer in @p value and returns what the guest sees; cfg_write is
	 * told after the bus has stored the bits the guest may change.
	 */
	uint32_t (*cfg_read)(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
			     uint32_t value);
	void (*cfg_write)(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
			  uint32_t value);
	/**
	 * The bridge above has reset its bus: to the state after power-on. Called on a vcpu's thread with no lock of
	 * the bus held, configuration space is reset already. NULL: there is nothing else to reset.
	 */
	void (*bus_reset)(struct v3_pci_func *func, void *priv);
	void *priv;
};

/**
 * Keys of the guest definition that say where a function is, for the key table of every class that has one: slot,
 * default the first empty one; bus: name of a pci_bridge.
 */
#define V3_PCI_KEYS                                                                                \
	{.name = "slot", .type = V3_CFG_UINT, .low = 1, .high = 31},                               \
	{                                                                                          \
		.name = "bus", .type = V3_CFG_STRING, .high = 31                                   \
	}

#define V3_PCI_SLOT_ANY (~0u) /* the first slot that is empty; on bus 0 from 1 on */

/**
 * Put a function on a bus.
 *
 * @param slot  0..31 or V3_PCI_SLOT_ANY
 * @param fn    0..7
 * @param desc  copied
 * @param func  the function, valid until v3_pci_remove()
 * @return V3_OK; V3_ENODEV: the VM has no PCI host bridge; V3_ENOENT: nor a bridge of that name; V3_EINVAL: slot, fn or pin out of range;
 *         V3_EEXIST: taken; V3_ENOSPC: no empty slot; V3_ENOMEM.
 */
int v3_pci_add(struct v3_vm *vm, unsigned slot, unsigned fn, const struct v3_pci_desc *desc,
	       struct v3_pci_func **func);
/** Take it off the bus with its BARs and capabilities, and free it. NULL is allowed. */
void v3_pci_remove(struct v3_pci_func *func);
/**
 * Its configuration space, 256 bytes, little-endian; for identity and device-specific bytes in create, and to
 * look at in callbacks. What the guest may write is changed by the bus under its own lock.
 */
uint8_t *v3_pci_config(struct v3_pci_func *func);
/** Slot (0..31) the function is in. */
unsigned v3_pci_slot(const struct v3_pci_func *func);
/**
 * State of a function (save.h), for the table of the device that has one, V3_SAVE_PARTS_AT(): what the guest may write
 * of configuration space, INTx, messages; BARs answer where they did. No interrupt line is driven by loading it.
 */
extern const struct v3_save_table v3_pci_func_save;

/* ---- base address registers (6.2.5) ---- */

#define V3_PCI_NBARS 6

enum v3_pci_bar_kind {
	V3_PCI_BAR_IO = 1,	 /* 4 to 256 bytes of I/O ports */
	V3_PCI_BAR_MEM32 = 0,	 /* memory below 4 GiB */
	V3_PCI_BAR_MEM64 = 4,	 /* memory anywhere; takes the next register, too */
	V3_PCI_BAR_PREFETCH = 8, /* or-ed to the memory kinds: no side effects of reading */
};

/** One guest access to what a BAR decodes. */
struct v3_pci_access {
	uint8_t bar;	 /* register number, 0..5 */
	uint8_t size;	 /* 1, 2, 4, and 8 for memory */
	bool write;	 /* true: @p value holds the data; false: the handler sets it */
	uint64_t offset; /* of the first byte; offset + size is within the BAR */
	uint64_t value;	 /* bits above size * 8 are zero for writes and ignored for reads */
};

/**
 * Handler of a BAR: as v3_io_fn of io.h, same context and results. Several vcpus may call it at once, and one
 * may still be in it for a moment after another vcpu has moved the BAR or switched it off.
 */
typedef int (*v3_pci_bar_fn)(struct v3_vcpu *vcpu, struct v3_pci_access *access, void *priv);

/**
 * Give the function a base address register. Sizing, assignment, relocation while vcpus run, the command
 * register's enable bits and the power state are the bus's affair.
 *
 * The BAR answers where the guest puts it, unless that is address 0, RAM, a device of the board, another BAR,
 * or beyond the VM's address width: there it does not answer, until what is in the way has moved.
 *
 * @param bar   0..5 (0..4 for MEM64)
 * @param kind  enum v3_pci_bar_kind
 * @param size  bytes, a power of two: I/O 4..256, memory at least a page, MEM32 at most 2 GiB
 * @param fn    called for each access
 * @param priv  passed to @p fn; must outlive the function
 * @return V3_OK; V3_EINVAL; V3_EEXIST: the register (or its upper half) is taken.
 */
int v3_pci_add_bar(struct v3_pci_func *func, unsigned bar, unsigned kind, uint64_t size,
		   v3_pci_bar_fn fn, void *priv);

/**
 * Give the function a base address register that shows a card's memory (mem.h): the guest uses it without exits.
 * Otherwise as v3_pci_add_bar().
 * @param kind  MEM32 or MEM64
 * @param card  its size is the register's; must outlive the function
 */
int v3_pci_add_card(struct v3_pci_func *func, unsigned bar, unsigned kind, struct v3_card *card);

/* ---- capabilities (6.7) ---- */

#define V3_PCI_CAP_PM	  0x01
#define V3_PCI_CAP_MSI	  0x05
#define V3_PCI_CAP_VENDOR 0x09
#define V3_PCI_CAP_MSIX	  0x11

/**
 * Append a capability to the function's list.
 *
 * @param id        capability id
 * @param body      @p len bytes that follow id and next pointer; copied
 * @param writable  @p len bytes with the bits the guest may change set; NULL: none
 * @return offset of the capability (>= 0x40); V3_ENOSPC: configuration space is full.
 */
int v3_pci_add_cap(struct v3_pci_func *func, uint8_t id, const void *body, const void *writable,
		   unsigned len);

/**
 * Power management capability (PCI PM 1.2): D0 and D3hot, registers kept. In D3hot the function decodes
 * nothing but configuration space and sends no interrupts. @return as v3_pci_add_cap().
 */
int v3_pci_add_pm(struct v3_pci_func *func);

/**
 * MSI capability (6.8.1) with 64-bit address and per-vector masking.
 * @param nvectors  1, 2, 4, 8, 16 or 32
 * @return as v3_pci_add_cap(); V3_EINVAL; V3_EEXIST.
 */
int v3_pci_add_msi(struct v3_pci_func *func, unsigned nvectors);

#define V3_PCI_MSIX_MAX 1024

/**
 * MSI-X capability (6.8.2); table and pending bits take a 32-bit memory BAR of their own, which the bus serves.
 * @param bar       0..5, free
 * @param nvectors  1..V3_PCI_MSIX_MAX
 * @return as v3_pci_add_cap(); V3_EINVAL; V3_EEXIST; V3_ENOMEM.
 */
int v3_pci_add_msix(struct v3_pci_func *func, unsigned bar, unsigned nvectors);

/** Has the guest switched MSI-X or MSI on (and so INTx off)? */
bool v3_pci_msi_enabled(struct v3_pci_func *func);
/**
 * Raise message @p vector by MSI-X or MSI. A masked one, and one that the function may not send now (bus master
 * bit clear, D3hot), stays pending. A vector that does not exist has no effect.
 * @return false: neither is enabled, use v3_pci_set_intx().
 */
bool v3_pci_notify(struct v3_pci_func *func, unsigned vector);
/** May the function read and write memory now: bus master bit set, in D0? */
bool v3_pci_may_dma(struct v3_pci_func *func);

/**
 * Assert (true) or release the function's INTx pin, a level. Lines shared by several functions are wired-OR;
 * interrupt disable bit, MSI, MSI-X and power state gate it, the status bit shows it. No effect without an
 * intx_pin.
 */
void v3_pci_set_intx(struct v3_pci_func *func, bool level);

#endif
