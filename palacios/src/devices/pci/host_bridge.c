/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file host_bridge.c
 * PCI bus 0 with configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2) and the host bridge at 00:00.0,
 * which looks like an Intel 440FX. Other devices add their functions through palacios/pci.h.
 *
 * CONFIG_ADDRESS answers 32-bit accesses at 0xcf8 only; the byte port 0xcf9 inside it is the reset device's.
 */
#include "devices/devices.h"
#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/io.h"
#include "palacios/pci.h"
#include "palacios/platform.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define PCI_NSLOTS 32
#define PCI_NFUNCS (PCI_NSLOTS * 8)
#define PCI_NLINES 4

#define PCI_ADDR_ENABLE	   0x80000000u
#define PCI_ADDR_STORED	   0x80fffffcu
#define PCI_ADDR_BUS(a)	   (((a) >> 16) & 0xff)
#define PCI_ADDR_DEVFN(a)  (((a) >> 8) & 0xff)
#define PCI_ADDR_OFFSET(a) ((a)&0xfc)

/* Configuration header, PCI Local Bus 3.0 6.1 and 6.2 */
#define PCI_VENDOR	    0x00
#define PCI_DEVICE	    0x02
#define PCI_COMMAND	    0x04
#define PCI_STATUS	    0x06
#define PCI_REVISION	    0x08
#define PCI_CLASS	    0x09 /* 3 bytes */
#define PCI_CACHE_LINE	    0x0c
#define PCI_LATENCY	    0x0d
#define PCI_HEADER_TYPE	    0x0e
#define PCI_SUBSYS_VENDOR   0x2c
#define PCI_SUBSYS	    0x2e
#define PCI_INTR_LINE	    0x3c
#define PCI_INTR_PIN	    0x3d
#define PCI_DEVICE_SPECIFIC 0x40

#define PCI_CMD_MEM_MASTER   0x06
#define PCI_CMD_INTX_DISABLE 0x0400
#define PCI_STATUS_INTX	     0x08
#define PCI_MULTIFUNCTION    0x80

struct pci_host;

struct v3_pci_func {
	struct pci_host *host; /* not owned; outlives the function */
	uint8_t devfn;
	bool intx;   /* the device asserts its INTx pin */
	bool driven; /* the pin is counted in the line, that is, not disabled */
	struct v3_pci_desc desc;
	uint8_t config[256];
};

struct pci_host {
	struct v3_vm *vm;		      /* not owned; outlives the device */
	struct v3_lock lock;		      /* guards all below, and every function */
	uint32_t addr;			      /* CONFIG_ADDRESS */
	uint16_t asserted[PCI_NLINES];	      /* functions that drive each INTx line */
	struct v3_pci_func *func[PCI_NFUNCS]; /* by devfn; owned but for the bridge */
	struct v3_pci_func bridge;
};

static const struct v3_pci_desc pci_bridge_desc = {
	.vendor = 0x8086,
	.device = 0x1237,
	.class_code = 0x060000,
	.revision = 2,
};

/* ---- configuration space ---- */

/* Bits of the standard header that can be written. There are no base address registers yet: they read 0. */
static uint8_t pci_writable(unsigned off)
{
	switch (off) {
	case PCI_COMMAND:
		return 0x47; /* I/O, memory, master, parity response */
	case PCI_COMMAND + 1:
		return 0x05; /* SERR#, interrupt disable */
	case PCI_CACHE_LINE:
	case PCI_LATENCY:
	case PCI_INTR_LINE:
		return 0xff;
	default:
		return 0;
	}
}

/* Write the wires an INTx line is connected to. Lock held. */
static void pci_drive_line(struct pci_host *host, unsigned line)
{
	/* The ISA interrupt a line is routed to is shared with every second line, see V3_PC_INTX_ISA. */
	bool isa = host->asserted[line] || host->asserted[(line + 2) % PCI_NLINES];

	v3_irq_set(host->vm, V3_PC_INTX_GSI(line, 1), host->asserted[line] != 0);
	v3_irq_set(host->vm, V3_PC_INTX_ISA(line, 1), isa);
}

/* Count the function's pin in its line or not, after a change of pin or command register. Lock held. */
static void pci_update_intx(struct v3_pci_func *func)
{
	struct pci_host *host = func->host;
	uint16_t command =
		(uint16_t)(func->config[PCI_COMMAND] | func->config[PCI_COMMAND + 1] << 8);
	bool drive = func->intx && !(command & PCI_CMD_INTX_DISABLE);
	unsigned line = (func->devfn / 8u + func->desc.intx_pin - 1u) % PCI_NLINES;

	func->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTX;
	if (func->intx)
		func->config[PCI_STATUS] |= PCI_STATUS_INTX;
	if (drive == func->driven)
		return;
	func->driven = drive;
	host->asserted[line] = (uint16_t)(host->asserted[line] + (drive ? 1 : -1));
	pci_drive_line(host, line);
}

/* Write one byte of the standard header. */
static void pci_write_header(struct v3_pci_func *func, unsigned off, uint8_t value)
{
	uint8_t mask = pci_writable(off);

	if (off == PCI_STATUS + 1) /* error bits: write one to clear, 6.2.3 */
		func->config[off] &= (uint8_t) ~(value & 0xf9);
	else
		func->config[off] = (uint8_t)((func->config[off] & ~mask) | (value & mask));
}

/* @p off and @p size lie within one doubleword. Lock held. */
static void pci_config_write(struct v3_pci_func *func, unsigned off, unsigned size, uint32_t value)
{
	unsigned i;

	if (off >= PCI_DEVICE_SPECIFIC && func->desc.cfg_write) {
		func->desc.cfg_write(func->desc.priv, off, size, value);
		return;
	}
	for (i = 0; i < size; i++, value >>= 8) {
		if (off + i >= PCI_DEVICE_SPECIFIC)
			func->config[off + i] = (uint8_t)value;
		else
			pci_write_header(func, off + i, (uint8_t)value);
	}
	if (off / 4 == PCI_COMMAND / 4)
		pci_update_intx(func);
}

static uint32_t pci_config_read(struct v3_pci_func *func, unsigned off, unsigned size)
{
	uint32_t value = 0;
	unsigned i;

	if (off >= PCI_DEVICE_SPECIFIC && func->desc.cfg_read)
		return func->desc.cfg_read(func->desc.priv, off, size);
	for (i = 0; i < size; i++)
		value |= (uint32_t)func->config[off + i] << (8 * i);
	return value;
}

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

static int pci_data_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct pci_host *host = priv;
	unsigned lane = io->port - V3_PC_PORT_PCI_DATA;
	unsigned size = lane + io->size > 4 ? 4 - lane : io->size;
	struct v3_pci_func *func = NULL;
	unsigned long flags;
	unsigned off;

	(void)vcpu;
	flags = v3_lock_acquire(&host->lock);
	off = PCI_ADDR_OFFSET(host->addr) + lane;
	if ((host->addr & PCI_ADDR_ENABLE) && PCI_ADDR_BUS(host->addr) == 0)
		func = host->func[PCI_ADDR_DEVFN(host->addr)];
	if (!io->write) {
		io->value = ~0u; /* nobody there: master abort */
		if (func)
			io->value = pci_config_read(func, off, size);
		if (func && size < io->size)
			io->value |= ~0u << (8 * size);
	} else if (func) {
		pci_config_write(func, off, size, io->value);
	}
	v3_lock_release(&host->lock, flags);
	return V3_OK;
}

/* ---- functions ---- */

static void pci_put16(uint8_t *config, unsigned off, uint16_t value)
{
	config[off] = (uint8_t)value;
	config[off + 1] = (uint8_t)(value >> 8);
}

/* Header registers a reset clears. Lock held. */
static void pci_reset_header(struct v3_pci_func *func)
{
	func->intx = false;
	pci_put16(func->config, PCI_COMMAND, 0);
	func->config[PCI_STATUS + 1] = 0;
	func->config[PCI_CACHE_LINE] = 0;
	func->config[PCI_LATENCY] = 0;
	func->config[PCI_INTR_LINE] = 0;
	pci_update_intx(func);
}

static void pci_init_func(struct v3_pci_func *func, struct pci_host *host, unsigned devfn,
			  const struct v3_pci_desc *desc)
{
	func->host = host;
	func->devfn = (uint8_t)devfn;
	func->desc = *desc;
	pci_put16(func->config, PCI_VENDOR, desc->vendor);
	pci_put16(func->config, PCI_DEVICE, desc->device);
	func->config[PCI_REVISION] = desc->revision;
	func->config[PCI_CLASS] = (uint8_t)desc->class_code;
	pci_put16(func->config, PCI_CLASS + 1, (uint16_t)(desc->class_code >> 8));
	func->config[PCI_HEADER_TYPE] = desc->header_type;
	pci_put16(func->config, PCI_SUBSYS_VENDOR, desc->subsys_vendor);
	pci_put16(func->config, PCI_SUBSYS, desc->subsys);
	func->config[PCI_INTR_PIN] = desc->intx_pin;
}

/* Function 0 tells whether its device has others, 6.2.1. Lock held. */
static void pci_mark_multifunction(struct pci_host *host, unsigned slot)
{
	struct v3_pci_func **func = &host->func[slot * 8];
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

int v3_pci_add(struct v3_vm *vm, unsigned slot, unsigned fn, const struct v3_pci_desc *desc,
	       struct v3_pci_func **out)
{
	struct pci_host *host = v3_device_find(vm, &v3_device_pci_host);
	struct v3_pci_func *func;
	unsigned long flags;

	if (!host)
		return V3_ENODEV;
	if (slot >= PCI_NSLOTS || fn >= 8 || desc->intx_pin > 4)
		return V3_EINVAL;
	if (host->func[slot * 8 + fn])
		return V3_EEXIST;
	func = v3_alloc(sizeof(*func));
	if (!func)
		return V3_ENOMEM;
	pci_init_func(func, host, slot * 8 + fn, desc);
	flags = v3_lock_acquire(&host->lock);
	host->func[func->devfn] = func;
	pci_mark_multifunction(host, slot);
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
	pci_update_intx(func);
	host->func[func->devfn] = NULL;
	pci_mark_multifunction(host, func->devfn / 8);
	v3_lock_release(&host->lock, flags);
	v3_free(func);
}

uint8_t *v3_pci_config(struct v3_pci_func *func)
{
	return func->config;
}

void v3_pci_set_intx(struct v3_pci_func *func, bool level)
{
	unsigned long flags;

	if (!func->desc.intx_pin)
		return;
	flags = v3_lock_acquire(&func->host->lock);
	func->intx = level;
	pci_update_intx(func);
	v3_lock_release(&func->host->lock, flags);
}

/* ---- device ---- */

static void pci_reset(void *state)
{
	struct pci_host *host = state;
	unsigned long flags;
	unsigned i;

	flags = v3_lock_acquire(&host->lock);
	host->addr = 0;
	for (i = 0; i < PCI_NFUNCS; i++) {
		if (host->func[i])
			pci_reset_header(host->func[i]);
	}
	/* The bridge always lets memory and bus masters through; its own registers are plain storage. */
	host->bridge.config[PCI_COMMAND] = PCI_CMD_MEM_MASTER;
	for (i = PCI_DEVICE_SPECIFIC; i < sizeof(host->bridge.config); i++)
		host->bridge.config[i] = 0;
	v3_lock_release(&host->lock, flags);
}

static int pci_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct pci_host *host;
	int err;

	(void)cfg;
	host = v3_alloc(sizeof(*host));
	if (!host)
		return V3_ENOMEM;
	host->vm = vm;
	pci_init_func(&host->bridge, host, 0, &pci_bridge_desc);
	host->func[0] = &host->bridge;
	err = v3_lock_init(&host->lock);
	if (err)
		goto free_host;
	err = v3_io_register(vm, V3_PC_PORT_PCI_ADDR, 1, pci_addr_io, host);
	if (err)
		goto destroy_lock;
	err = v3_io_register(vm, V3_PC_PORT_PCI_DATA, 4, pci_data_io, host);
	if (err)
		goto release_addr;
	*state = host;
	return V3_OK;

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

const struct v3_device_class v3_device_pci_host = {
	.name = "pci_host",
	.create = pci_create,
	.reset = pci_reset,
	.destroy = pci_destroy,
};
