/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file bus.c
 * The functions on the PCI buses: adding and removing them, the standard header, INTx. Called by the devices
 * (palacios/pci.h) and by host_bridge.c; calls the interrupt lines and bar.c, cap.c, msi.c. PCI Local Bus 3.0
 * chapter 6.
 */
#include "devices/pci/pci.h"

#include "devices/devices.h"
#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/log.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "pci"

/* Several lines may be routed to one ISA interrupt. Lock held. */
static void bus_drive_isa(struct pci_host *host, uint8_t isa)
{
	bool level = false;
	unsigned i;

	for (i = 0; i < PCI_NLINES; i++)
		level |= host->isa[i] == isa && host->asserted[i];
	if (isa)
		v3_irq_set(host->vm, isa, level);
}

/* Write the wires an INTx line is connected to. Lock held. */
static void bus_drive_line(struct pci_host *host, unsigned line)
{
	v3_irq_set(host->vm, V3_PC_INTX_GSI(line, 1), host->asserted[line] != 0);
	bus_drive_isa(host, host->isa[line]);
}

void v3_pci_bus_route(struct pci_host *host, unsigned line, uint8_t isa)
{
	uint8_t before = host->isa[line];

	host->isa[line] = isa;
	bus_drive_isa(host, before);
	bus_drive_isa(host, isa);
}

/* Each bridge swizzles: a pin of slot n is n pins further on its other side (PCI-to-PCI Bridge 1.2, 9.1). */
static unsigned bus_line(const struct v3_pci_func *func)
{
	unsigned line = func->desc.intx_pin - 1u;

	for (; func; func = func->bus->self)
		line += func->devfn / 8u;
	return line % PCI_NLINES;
}

/*
 * Count the function's pin in its line or not, after a change of the pin or of what gates it. Lock held.
 * @return whether the line may have changed
 */
static bool bus_count_intx(struct v3_pci_func *func)
{
	struct pci_host *host = func->host;
	bool gated = (pci_get16(func, PCI_COMMAND) & PCI_CMD_INTX_DISABLE) || v3_pci_msi_on(func) ||
		     !v3_pci_cap_powered(func);
	bool drive = func->intx && !gated;
	uint16_t *line = &host->asserted[bus_line(func)];

	func->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTX;
	if (func->intx)
		func->config[PCI_STATUS] |= PCI_STATUS_INTX;
	if (drive == func->driven)
		return false;
	func->driven = drive;
	*line = (uint16_t)(*line + (drive ? 1 : -1));
	return true;
}

static void bus_update_intx(struct v3_pci_func *func)
{
	if (bus_count_intx(func))
		bus_drive_line(func->host, bus_line(func));
}

void v3_pci_bus_settle(struct v3_pci_func *func)
{
	struct pci_bus *bus;
	unsigned i;

	bus_update_intx(func);
	v3_pci_bar_sync(func->host);
	v3_pci_msi_flush(func);
	if (func->desc.header_type != PCI_HEADER_BRIDGE)
		return;
	/* Messages of those behind it may have waited for it. */
	for (bus = func->host->root.next; bus; bus = bus->next) {
		for (i = 0; i < PCI_NFUNCS; i++) {
			if (bus->func[i])
				v3_pci_msi_flush(bus->func[i]);
		}
	}
}

void v3_pci_bus_write(struct v3_pci_func *func, unsigned off, unsigned size, uint32_t value)
{
	uint8_t state = v3_pci_cap_state(func);
	unsigned i;

	for (i = off; i < off + size; i++, value >>= 8) {
		uint8_t mask = func->writable[i];

		if (i == PCI_STATUS + 1) /* error bits: write one to clear, 6.2.3 */
			func->config[i] &= (uint8_t) ~(value & 0xf9);
		else
			func->config[i] = (uint8_t)((func->config[i] & ~mask) | (value & mask));
	}
	v3_pci_cap_keep_state(func, state);
	if (off < func->cap_end)
		v3_pci_bus_settle(func);
}

uint32_t v3_pci_bus_read(const struct v3_pci_func *func, unsigned off, unsigned size)
{
	uint32_t value = 0;
	unsigned i;

	for (i = 0; i < size; i++)
		value |= (uint32_t)func->config[off + i] << (8 * i);
	return value;
}

void v3_pci_bus_reset(struct v3_pci_func *func)
{
	unsigned i;

	func->intx = false;
	for (i = 0; i < PCI_CONFIG_SIZE; i++)
		func->config[i] &= (uint8_t)~func->writable[i];
	func->config[PCI_STATUS + 1] = 0;
	v3_pci_msi_reset(func);
	v3_pci_bus_settle(func);
}

void v3_pci_bus_init(struct v3_pci_func *func, struct pci_host *host, struct pci_bus *bus,
		     unsigned devfn, const struct v3_pci_desc *desc)
{
	unsigned i;

	func->host = host;
	func->bus = bus;
	func->devfn = (uint8_t)devfn;
	func->desc = *desc;
	func->cap_end = PCI_DEVICE_SPECIFIC;
	pci_put16(func->config, PCI_VENDOR, desc->vendor);
	pci_put16(func->config, PCI_DEVICE, desc->device);
	func->config[PCI_REVISION] = desc->revision;
	func->config[PCI_CLASS] = (uint8_t)desc->class_code;
	pci_put16(func->config, PCI_CLASS + 1, (uint16_t)(desc->class_code >> 8));
	func->config[PCI_HEADER_TYPE] = desc->header_type;
	pci_put16(func->config, PCI_SUBSYS_VENDOR, desc->subsys_vendor);
	pci_put16(func->config, PCI_SUBSYS, desc->subsys);
	func->config[PCI_INTR_PIN] = desc->intx_pin;

	/* Command: I/O, memory, master, parity response; SERR#, interrupt disable. */
	pci_put16(func->writable, PCI_COMMAND, 0x0547);
	func->writable[PCI_CACHE_LINE] = 0xff;
	func->writable[PCI_LATENCY] = 0xff;
	func->writable[PCI_INTR_LINE] = 0xff;
	for (i = PCI_DEVICE_SPECIFIC; i < PCI_CONFIG_SIZE; i++)
		func->writable[i] = 0xff;
}

/* Function 0 tells whether its device has others, 6.2.1. Lock held. */
static void bus_mark_multifunction(struct pci_bus *bus, unsigned slot)
{
	struct v3_pci_func **func = &bus->func[slot * 8];
	bool multi;
	unsigned i;

	if (!func[0])
		return;
	multi = func[0]->desc.header_type & PCI_MULTIFUNCTION;
	for (i = 1; i < 8; i++)
		multi |= func[i] != NULL;
	func[0]->config[PCI_HEADER_TYPE] &= (uint8_t)~PCI_MULTIFUNCTION;
	if (multi)
		func[0]->config[PCI_HEADER_TYPE] |= PCI_MULTIFUNCTION;
}

/* The first slot without any function, on bus 0 from 1 on; PCI_NSLOTS if there is none. */
static unsigned bus_free_slot(const struct pci_bus *bus)
{
	unsigned slot, i;

	for (slot = bus->self ? 0 : 1; slot < PCI_NSLOTS; slot++) {
		for (i = 0; i < 8 && !bus->func[slot * 8 + i]; i++)
			;
		if (i == 8)
			break;
	}
	return slot;
}

static struct pci_bus *bus_named(struct pci_host *host, const char *name)
{
	struct pci_bus *bus = &host->root;

	while (bus && v3_strcmp(bus->name, name ? name : ""))
		bus = bus->next;
	if (!bus)
		V3_ERR(host->vm, "bus: no pci_bridge \"%s\" before this device", name);
	return bus;
}

int v3_pci_add(struct v3_vm *vm, unsigned slot, unsigned fn, const struct v3_pci_desc *desc,
	       struct v3_pci_func **out)
{
	struct pci_host *host = v3_device_find(vm, &v3_device_pci_host);
	bool any = slot == V3_PCI_SLOT_ANY;
	struct v3_pci_func *func;
	unsigned long flags;
	struct pci_bus *bus;

	if (!host)
		return V3_ENODEV;
	bus = bus_named(host, desc->bus);
	if (!bus)
		return V3_ENOENT;
	if (any)
		slot = bus_free_slot(bus);
	if (any && slot == PCI_NSLOTS)
		return V3_ENOSPC;
	if (slot >= PCI_NSLOTS || fn >= 8 || desc->intx_pin > 4)
		return V3_EINVAL;
	if (bus->func[slot * 8 + fn])
		return V3_EEXIST;
	func = v3_alloc(sizeof(*func));
	if (!func)
		return V3_ENOMEM;
	v3_pci_bus_init(func, host, bus, slot * 8 + fn, desc);
	flags = v3_lock_acquire(&host->lock);
	bus->func[func->devfn] = func;
	bus_mark_multifunction(bus, slot);
	v3_lock_release(&host->lock, flags);
	*out = func;
	return V3_OK;
}

void v3_pci_remove(struct v3_pci_func *func)
{
	struct pci_host *host;
	unsigned long flags;

	if (!func)
		return;
	host = func->host;
	flags = v3_lock_acquire(&host->lock);
	func->intx = false;
	bus_update_intx(func);
	v3_pci_bar_detach(func);
	func->bus->func[func->devfn] = NULL;
	bus_mark_multifunction(func->bus, func->devfn / 8);
	v3_pci_bar_sync(host); /* somebody may have waited for the place of its BARs */
	v3_lock_release(&host->lock, flags);
	v3_free(func->msix);
	v3_free(func);
}

uint8_t *v3_pci_config(struct v3_pci_func *func)
{
	return func->config;
}

unsigned v3_pci_slot(const struct v3_pci_func *func)
{
	return func->devfn / 8u;
}

void v3_pci_set_intx(struct v3_pci_func *func, bool level)
{
	unsigned long flags;

	if (!func->desc.intx_pin)
		return;
	flags = v3_lock_acquire(&func->host->lock);
	func->intx = level;
	bus_update_intx(func);
	v3_lock_release(&func->host->lock, flags);
}

/* ---- saved state ---- */

/* Bits of a byte of configuration space that are neither constant nor follow from something else. */
static uint8_t bus_state_bits(const struct v3_pci_func *func, unsigned off)
{
	return v3_pci_msi_holds_pending(func, off) ? 0xff : func->writable[off];
}

static void bus_save_settle(void *state)
{
	struct v3_pci_func *func = state;
	unsigned long flags = v3_lock_acquire(&func->host->lock);
	unsigned i;

	for (i = 0; i < PCI_CONFIG_SIZE; i++)
		func->saved[i] = func->config[i] & bus_state_bits(func, i);
	func->answers = v3_pci_bar_mapped(func);
	v3_lock_release(&func->host->lock, flags);
}

/* Parents are loaded before those behind them, as they were created, so bridges decode by now. */
static int bus_save_loaded(void *state)
{
	struct v3_pci_func *func = state;
	unsigned long flags = v3_lock_acquire(&func->host->lock);
	uint8_t power = v3_pci_cap_state(func);
	unsigned i;

	for (i = 0; i < PCI_CONFIG_SIZE; i++) {
		uint8_t bits = bus_state_bits(func, i);

		func->config[i] = (uint8_t)((func->config[i] & ~bits) | (func->saved[i] & bits));
	}
	v3_pci_cap_keep_state(func, power);
	bus_count_intx(func);
	v3_pci_bar_map(func, func->answers);
	v3_lock_release(&func->host->lock, flags);
	return V3_OK;
}

static const struct v3_save_field bus_func_fields[] = {
	V3_SAVE_NOT(struct v3_pci_func, host),
	V3_SAVE_NOT(struct v3_pci_func, bus),
	V3_SAVE_NOT(struct v3_pci_func, devfn),
	V3_SAVE(struct v3_pci_func, intx),
	V3_SAVE_NOT(struct v3_pci_func, driven),
	V3_SAVE_NOT(struct v3_pci_func, desc),
	V3_SAVE_NOT(struct v3_pci_func, bar),
	V3_SAVE_NOT(struct v3_pci_func, cap_end),
	V3_SAVE_NOT(struct v3_pci_func, cap_last),
	V3_SAVE_NOT(struct v3_pci_func, pm),
	V3_SAVE_NOT(struct v3_pci_func, msi),
	V3_SAVE_NOT(struct v3_pci_func, msix_cap),
	V3_SAVE_PARTS_AT(struct v3_pci_func, msix, &v3_pci_msix_save),
	V3_SAVE_NOT(struct v3_pci_func, config),
	V3_SAVE_NOT(struct v3_pci_func, writable),
	V3_SAVE(struct v3_pci_func, saved),
	V3_SAVE(struct v3_pci_func, answers),
	V3_SAVE_END,
};
const struct v3_save_table v3_pci_func_save = {
	.fields = bus_func_fields,
	.size = sizeof(struct v3_pci_func),
	.settle = bus_save_settle,
	.loaded = bus_save_loaded,
};
