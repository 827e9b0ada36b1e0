/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file bridge.c
 * PCI-to-PCI bridges (PCI-to-PCI Bridge Architecture 1.2, chapter 3): a function with a type 1 header and the bus
 * behind it. The guest assigns bus numbers and windows; functions behind answer configuration accesses and decode
 * their BARs by them. Created from the guest definition; called by bus.c, bar.c, msi.c and host_bridge.c.
 *
 * Of bridge control there is the reset of the bus behind it; there are no VGA and ISA modes.
 */
#include "devices/pci/pci.h"

#include "devices/devices.h"
#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/save.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "pci"

/* Header, 3.2 */
#define BRIDGE_PRIMARY	      0x18
#define BRIDGE_SECONDARY      0x19
#define BRIDGE_SUBORDINATE    0x1a
#define BRIDGE_LATENCY	      0x1b
#define BRIDGE_IO_BASE	      0x1c
#define BRIDGE_IO_LIMIT	      0x1d
#define BRIDGE_MEM_BASE	      0x20
#define BRIDGE_MEM_LIMIT      0x22
#define BRIDGE_PREF_BASE      0x24
#define BRIDGE_PREF_LIMIT     0x26
#define BRIDGE_PREF_BASE_HIGH 0x28
#define BRIDGE_PREF_LIM_HIGH  0x2c
#define BRIDGE_CONTROL	      0x3e
#define BRIDGE_RESET	      0x40 /* of the bus behind it, 3.2.5.17 */
#define BRIDGE_PREF_64	      0x01 /* capability of the prefetchable window: 64-bit addresses */

struct pci_bridge {
	struct v3_pci_func *func; /* owned */
	struct pci_bus bus;
};

static const struct v3_pci_desc bridge_desc = {
	.vendor = 0x1b36,
	.device = 0x0001,
	.class_code = 0x060400,
	.header_type = PCI_HEADER_BRIDGE,
};

/* ---- decoding; lock held ---- */

unsigned v3_pci_bridge_number(const struct pci_bus *bus)
{
	return bus->self ? bus->self->config[BRIDGE_SECONDARY] : 0;
}

/* The bridge on @p bus that takes accesses to bus @p number; a secondary number 0 is none. What is held in reset does
 * not answer. */
static struct pci_bus *bridge_towards(struct pci_bus *bus, unsigned number)
{
	struct pci_bus *child;

	for (child = bus->next; child; child = child->next) {
		const uint8_t *config = child->self->config;

		if (child->self->bus == bus && config[BRIDGE_SECONDARY] &&
		    !(config[BRIDGE_CONTROL] & BRIDGE_RESET) &&
		    config[BRIDGE_SECONDARY] <= number && number <= config[BRIDGE_SUBORDINATE])
			break;
	}
	return child;
}

struct pci_bus *v3_pci_bridge_find(struct pci_host *host, unsigned number)
{
	struct pci_bus *bus = bridge_towards(&host->root, number);

	while (bus && v3_pci_bridge_number(bus) != number)
		bus = bridge_towards(bus, number);
	return bus;
}

static bool bridge_within(uint64_t first, uint64_t last, uint64_t base, uint64_t size)
{
	return base >= first && base <= last && size - 1 <= last - base;
}

static bool bridge_io(const struct v3_pci_func *func, uint64_t base, uint64_t size)
{
	uint64_t first = (func->config[BRIDGE_IO_BASE] & 0xf0u) << 8;
	uint64_t last = (func->config[BRIDGE_IO_LIMIT] & 0xf0u) << 8 | 0xfff;

	return bridge_within(first, last, base, size);
}

static bool bridge_memory(const struct v3_pci_func *func, uint64_t base, uint64_t size)
{
	uint64_t first = (pci_get16(func, BRIDGE_MEM_BASE) & 0xfff0ull) << 16;
	uint64_t last = (pci_get16(func, BRIDGE_MEM_LIMIT) & 0xfff0ull) << 16 | 0xfffff;

	if (bridge_within(first, last, base, size))
		return true;
	first = (pci_get16(func, BRIDGE_PREF_BASE) & 0xfff0ull) << 16 |
		(uint64_t)pci_get32(func, BRIDGE_PREF_BASE_HIGH) << 32;
	last = (pci_get16(func, BRIDGE_PREF_LIMIT) & 0xfff0ull) << 16 | 0xfffff |
	       (uint64_t)pci_get32(func, BRIDGE_PREF_LIM_HIGH) << 32;
	return bridge_within(first, last, base, size);
}

bool v3_pci_bridge_forwards(const struct pci_bus *bus, bool io, uint64_t base, uint64_t size)
{
	const struct v3_pci_func *func;

	for (func = bus->self; func; func = func->bus->self) {
		if (!(pci_get16(func, PCI_COMMAND) & (io ? PCI_CMD_IO : PCI_CMD_MEM)) ||
		    !(io ? bridge_io(func, base, size) : bridge_memory(func, base, size)))
			return false;
	}
	return true;
}

bool v3_pci_bridge_masters(const struct pci_bus *bus)
{
	const struct v3_pci_func *func;

	for (func = bus->self; func; func = func->bus->self) {
		if (!(pci_get16(func, PCI_COMMAND) & PCI_CMD_MASTER))
			return false;
	}
	return true;
}

/* ---- reset of the bus behind; no lock held ---- */

static bool bridge_is_above(const struct v3_pci_func *bridge, const struct pci_bus *bus)
{
	const struct v3_pci_func *func = bus->self;

	while (func && func != bridge)
		func = func->bus->self;
	return func;
}

static void bridge_reset_func(struct v3_pci_func *func)
{
	unsigned long flags = v3_lock_acquire(&func->host->lock);
	bool flush = v3_pci_bus_reset(func);

	v3_lock_release(&func->host->lock, flags);
	if (flush)
		v3_card_flush(func->host->vm);
	if (func->desc.bus_reset)
		func->desc.bus_reset(func, func->desc.priv);
}

/* Buses and functions stay while vcpus run. */
void v3_pci_bridge_written(struct v3_pci_func *bridge, unsigned off, unsigned size)
{
	struct pci_bus *bus;
	unsigned i;

	if (bridge->desc.header_type != PCI_HEADER_BRIDGE || off > BRIDGE_CONTROL ||
	    off + size <= BRIDGE_CONTROL || !(bridge->config[BRIDGE_CONTROL] & BRIDGE_RESET))
		return;
	for (bus = bridge->host->root.next; bus; bus = bus->next) {
		for (i = 0; i < PCI_NFUNCS; i++) {
			if (bus->func[i] && bridge_is_above(bridge, bus))
				bridge_reset_func(bus->func[i]);
		}
	}
}

/* ---- device ---- */

/* What a guest may write of the header; the function is not in use yet. */
static void bridge_set_header(struct v3_pci_func *func)
{
	uint8_t *w = func->writable;

	w[BRIDGE_PRIMARY] = w[BRIDGE_SECONDARY] = w[BRIDGE_SUBORDINATE] = 0xff;
	w[BRIDGE_LATENCY] = 0xff;
	w[BRIDGE_IO_BASE] = w[BRIDGE_IO_LIMIT] =
		0xf0; /* 16-bit decoding, as there are no more ports */
	pci_put16(w, BRIDGE_MEM_BASE, 0xfff0);
	pci_put16(w, BRIDGE_MEM_LIMIT, 0xfff0);
	pci_put16(w, BRIDGE_PREF_BASE, 0xfff0);
	pci_put16(w, BRIDGE_PREF_LIMIT, 0xfff0);
	pci_put32(w, BRIDGE_PREF_BASE_HIGH, ~0u);
	pci_put32(w, BRIDGE_PREF_LIM_HIGH, ~0u);
	w[BRIDGE_CONTROL] = BRIDGE_RESET;
	func->config[BRIDGE_PREF_BASE] = BRIDGE_PREF_64;
	func->config[BRIDGE_PREF_LIMIT] = BRIDGE_PREF_64;
}

static int bridge_check_name(struct v3_vm *vm, const struct pci_host *host, const char *name)
{
	const struct pci_bus *bus;

	for (bus = &host->root; bus; bus = bus->next) {
		if (!v3_strcmp(bus->name, name)) { /* bus 0 has the empty name */
			V3_ERR(vm, "name: a pci_bridge needs one of its own, \"%s\" is %s", name,
			       name[0] ? "taken" : "none");
			return V3_EINVAL;
		}
	}
	return V3_OK;
}

/* Behind all others, so that parents come first. */
static void bridge_link(struct pci_host *host, struct pci_bus *bus)
{
	unsigned long flags = v3_lock_acquire(&host->lock);
	struct pci_bus *last = &host->root;

	while (last->next)
		last = last->next;
	last->next = bus;
	v3_lock_release(&host->lock, flags);
}

static void bridge_unlink(struct pci_host *host, struct pci_bus *bus)
{
	unsigned long flags = v3_lock_acquire(&host->lock);
	struct pci_bus *before = &host->root;

	while (before->next != bus)
		before = before->next;
	before->next = bus->next;
	v3_lock_release(&host->lock, flags);
}

static int bridge_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct pci_host *host = v3_device_find(vm, &v3_device_pci_host);
	unsigned slot = (unsigned)v3_cfg_uint(cfg, "slot");
	struct v3_pci_desc desc = bridge_desc;
	struct pci_bridge *bridge;
	int err;

	if (!host)
		return V3_ENODEV;
	err = bridge_check_name(vm, host, v3_cfg_string(cfg, "name"));
	if (err)
		return err;
	bridge = v3_alloc(sizeof(*bridge));
	if (!bridge)
		return V3_ENOMEM;
	desc.bus = v3_cfg_string(cfg, "bus");
	err = v3_pci_add(vm, slot ? slot : V3_PCI_SLOT_ANY, 0, &desc, &bridge->func);
	if (err) {
		v3_free(bridge);
		return err;
	}
	bridge_set_header(bridge->func);
	bridge->bus.self = bridge->func;
	v3_strlcpy(bridge->bus.name, v3_cfg_string(cfg, "name"), sizeof(bridge->bus.name));
	bridge_link(host, &bridge->bus);
	*state = bridge;
	return V3_OK;
}

/* Devices are destroyed in reverse order of creation, so nothing is behind it any more. */
static void bridge_destroy(void *state)
{
	struct pci_bridge *bridge = state;

	bridge_unlink(bridge->func->host, &bridge->bus);
	v3_pci_remove(bridge->func);
	v3_free(bridge);
}

static const struct v3_save_field bridge_fields[] = {
	V3_SAVE_PARTS_AT(struct pci_bridge, func, &v3_pci_func_save),
	V3_SAVE_NOT(struct pci_bridge, bus),
	V3_SAVE_END,
};
static const struct v3_save_table bridge_save = {.fields = bridge_fields,
						 .size = sizeof(struct pci_bridge)};

static const struct v3_cfg_key bridge_keys[] = {
	V3_PCI_KEYS,
	{.name = "name", .type = V3_CFG_STRING, .high = PCI_BUS_NAME - 1, .required = true},
	{.name = NULL},
};

const struct v3_device_class v3_device_pci_bridge = {
	.name = "pci_bridge",
	.save = &bridge_save,
	.keys = bridge_keys,
	.create = bridge_create,
	.destroy = bridge_destroy,
};
