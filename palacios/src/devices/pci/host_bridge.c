/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file host_bridge.c
 * Configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2) in front of the PCI buses, and the host bridge at 00:00.0,
 * which looks like an Intel 440FX (pam.c: its shadow RAM). Other devices add their functions through palacios/pci.h
 * (bus.c).
 *
 * CONFIG_ADDRESS answers 32-bit accesses at 0xcf8 only; the byte port 0xcf9 inside it is the reset device's.
 */
#include "devices/pci/pci.h"

#include "devices/devices.h"
#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/vcpu.h"

#define PCI_ADDR_ENABLE	   0x80000000u
#define PCI_ADDR_STORED	   0x80fffffcu
#define PCI_ADDR_BUS(a)	   (((a) >> 16) & 0xff)
#define PCI_ADDR_DEVFN(a)  (((a) >> 8) & 0xff)
#define PCI_ADDR_OFFSET(a) ((a)&0xfc)

static const struct v3_pci_desc pci_bridge_desc = {
	.vendor = 0x8086,
	.device = 0x1237,
	.class_code = 0x060000,
	.revision = 2,
	.cfg_write = v3_pci_pam_cfg_write,
};

/* ---- ports ---- */

static int pci_addr_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct pci_host *host = priv;
	unsigned long flags;

	(void)vcpu;
	if (io->size != 4) { /* passes the bridge as an ordinary access that nobody answers */
		io->value = ~0u;
		return V3_OK;
	}
	flags = v3_lock_acquire(&host->lock);
	if (io->write)
		host->addr = io->value & PCI_ADDR_STORED;
	else
		io->value = host->addr;
	v3_lock_release(&host->lock, flags);
	return V3_OK;
}

/* The function CONFIG_ADDRESS points to and the offset of its doubleword; NULL: nobody there. */
static struct v3_pci_func *pci_selected(struct pci_host *host, unsigned *off)
{
	struct pci_bus *bus = &host->root;

	*off = PCI_ADDR_OFFSET(host->addr);
	if (!(host->addr & PCI_ADDR_ENABLE))
		return NULL;
	if (PCI_ADDR_BUS(host->addr))
		bus = v3_pci_bridge_find(host, PCI_ADDR_BUS(host->addr));
	return bus ? bus->func[PCI_ADDR_DEVFN(host->addr)] : NULL;
}

static int pci_data_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct pci_host *host = priv;
	unsigned lane = io->port - V3_PC_PORT_PCI_DATA;
	unsigned size = lane + io->size > 4 ? 4 - lane : io->size;
	struct v3_pci_func *func;
	uint32_t value = ~0u; /* nobody there: master abort */
	unsigned long flags;
	bool flush = false;
	unsigned off;

	flags = v3_lock_acquire(&host->lock);
	func = pci_selected(host, &off);
	off += lane;
	if (func && io->write)
		flush = v3_pci_bus_write(func, off, size, io->value);
	else if (func)
		value = v3_pci_bus_read(func, off, size);
	v3_lock_release(&host->lock, flags);
	if (flush)
		v3_card_flush(host->vm);

	if (func && io->write)
		v3_pci_bridge_written(func, off, size);
	/* The device's own word, without the lock: functions stay while vcpus run. */
	if (func && off >= PCI_DEVICE_SPECIFIC) {
		if (io->write && func->desc.cfg_write)
			func->desc.cfg_write(vcpu, func->desc.priv, off, size, io->value);
		if (!io->write && func->desc.cfg_read)
			value = func->desc.cfg_read(vcpu, func->desc.priv, off, size, value);
	}
	if (!io->write)
		io->value = size < io->size ? value | ~0u << (8 * size) : value;
	return V3_OK;
}

/* ---- device ---- */

static void pci_reset(void *state)
{
	struct pci_host *host = state;
	unsigned long flags;
	bool flush = false;
	struct pci_bus *bus;
	unsigned i;

	flags = v3_lock_acquire(&host->lock);
	host->addr = 0;
	for (bus = &host->root; bus; bus = bus->next) {
		for (i = 0; i < PCI_NFUNCS; i++) {
			if (bus->func[i])
				flush |= v3_pci_bus_reset(bus->func[i]);
		}
	}
	/* The bridge always lets memory and bus masters through; its own registers are plain storage. */
	host->bridge.config[PCI_COMMAND] = PCI_CMD_MEM | PCI_CMD_MASTER;
	v3_lock_release(&host->lock, flags);
	if (flush)
		v3_card_flush(host->vm);
	v3_pci_pam_sync(host);
}

static int pci_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct pci_host *host;
	unsigned i;
	int err;

	(void)cfg;
	host = v3_alloc(sizeof(*host));
	if (!host)
		return V3_ENOMEM;
	host->vm = vm;
	for (i = 0; i < PCI_NLINES; i++) /* stays so without an ISA bridge */
		host->isa[i] = V3_PC_INTX_ISA(i, 1);
	v3_pci_bus_init(&host->bridge, host, &host->root, 0, &pci_bridge_desc);
	host->bridge.desc.priv = host;
	host->root.func[0] = &host->bridge;
	err = v3_lock_init(&host->lock);
	if (err)
		goto free_host;
	err = v3_io_register(vm, V3_PC_PORT_PCI_ADDR, 1, pci_addr_io, host);
	if (err)
		goto destroy_lock;
	err = v3_io_register(vm, V3_PC_PORT_PCI_DATA, 4, pci_data_io, host);
	if (err)
		goto release_addr;
	err = v3_pci_pam_create(host); /* the last: it stays as long as the VM */
	if (err)
		goto release_data;
	*state = host;
	return V3_OK;

release_data:
	v3_io_unregister(vm, V3_PC_PORT_PCI_DATA);
release_addr:
	v3_io_unregister(vm, V3_PC_PORT_PCI_ADDR);
destroy_lock:
	v3_lock_destroy(&host->lock);
free_host:
	v3_free(host);
	return err;
}

/* Devices are destroyed in reverse order of creation, so their functions are gone by now. */
static void pci_destroy(void *state)
{
	struct pci_host *host = state;

	v3_io_unregister(host->vm, V3_PC_PORT_PCI_DATA);
	v3_io_unregister(host->vm, V3_PC_PORT_PCI_ADDR);
	v3_lock_destroy(&host->lock);
	v3_free(host);
}

/* ---- saved state ---- */

static int pci_loaded(void *state)
{
	struct pci_host *host = state;

	if (host->addr & ~PCI_ADDR_STORED)
		return V3_EINVAL;
	v3_pci_pam_sync(host);
	return V3_OK;
}

static const struct v3_save_field pci_fields[] = {
	V3_SAVE_NOT(struct pci_host, vm),
	V3_SAVE_NOT(struct pci_host, lock),
	V3_SAVE(struct pci_host, addr),
	V3_SAVE_NOT(struct pci_host, asserted), /* each function counts itself in */
	V3_SAVE_NOT(struct pci_host, isa),	/* the ISA bridge's registers say so */
	V3_SAVE_NOT(struct pci_host, root),
	V3_SAVE_PARTS(struct pci_host, bridge, &v3_pci_func_save),
	V3_SAVE_NOT(struct pci_host, shadow),
	V3_SAVE_NOT(struct pci_host, pam_busy),
	V3_SAVE_NOT(struct pci_host, pam_again),
	V3_SAVE_NOT(struct pci_host, pam),
	V3_SAVE_END,
};
static const struct v3_save_table pci_save = {
	.fields = pci_fields, .size = sizeof(struct pci_host), .loaded = pci_loaded};

const struct v3_device_class v3_device_pci_host = {
	.name = "pci_host",
	.save = &pci_save,
	.create = pci_create,
	.reset = pci_reset,
	.destroy = pci_destroy,
};
