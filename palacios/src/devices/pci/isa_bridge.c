/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file isa_bridge.c
 * The bridge to ISA, function 0 of an Intel PIIX3 (82371SB data sheet, 2.2): the PIRQ route control registers say
 * which ISA interrupts the PCI lines PIRQA..PIRQD lead to. Everything else of it is plain storage or a device of
 * its own (8259 pair with ELCR, reset control register, timers). Calls bus.c.
 *
 * Firmware programs the routes. For kernels that are booted without any, the VMM does in its place.
 */
#include "devices/pci/pci.h"

#include "devices/devices.h"
#include "palacios/device.h"
#include "palacios/error.h"
#include "palacios/platform.h"
#include "palacios/save.h"

#define PIIX3_PIRQRC	 0x60 /* four registers: PIRQRCA..PIRQRCD */
#define PIIX3_PIRQ_OFF	 0x80 /* not routed */
#define PIIX3_PIRQ_LINE	 0x0f
/* ISA lines that can be a target; a route to another one ("reserved") leads nowhere. */
#define PIIX3_PIRQ_LINES 0xdef8u

struct isa_bridge {
	struct v3_pci_func *func; /* owned */
};

/* The ISA line of a route control register; 0: none. */
static uint8_t isa_bridge_route(uint8_t reg)
{
	uint8_t line = reg & PIIX3_PIRQ_LINE;

	return !(reg & PIIX3_PIRQ_OFF) && (PIIX3_PIRQ_LINES >> line & 1) ? line : 0;
}

/* Where a line leads to as the registers say; 0: nowhere. */
static uint8_t isa_bridge_target(const struct v3_pci_func *func, unsigned line)
{
	return isa_bridge_route(func->config[PIIX3_PIRQRC + V3_PC_INTX_PIRQ(line, 1)]);
}

/* Routes as the registers say. Bus lock held. */
static void isa_bridge_sync(struct v3_pci_func *func)
{
	unsigned line;

	for (line = 0; line < PCI_NLINES; line++)
		v3_pci_bus_route(func->host, line, isa_bridge_target(func, line));
}

static void isa_bridge_cfg_write(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
				 uint32_t value)
{
	struct isa_bridge *isa = priv;
	unsigned long flags;

	(void)vcpu;
	(void)size;
	(void)value;
	if ((off & ~3u) != PIIX3_PIRQRC)
		return;
	flags = v3_lock_acquire(&isa->func->host->lock);
	isa_bridge_sync(isa->func);
	v3_lock_release(&isa->func->host->lock, flags);
}

/* The host bridge was created, and therefore reset, before. */
static void isa_bridge_reset(void *state)
{
	struct isa_bridge *isa = state;
	struct v3_pci_func *func = isa->func;
	unsigned long flags;
	unsigned line;

	flags = v3_lock_acquire(&func->host->lock);
	for (line = 0; line < PCI_NLINES; line++)
		func->config[PIIX3_PIRQRC + V3_PC_INTX_PIRQ(line, 1)] =
			func->host->shadow ? PIIX3_PIRQ_OFF : V3_PC_INTX_ISA(line, 1);
	isa_bridge_sync(func);
	v3_lock_release(&func->host->lock, flags);
}

static int isa_bridge_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	static const struct v3_pci_desc desc = {
		.vendor = 0x8086,
		.device = 0x7000,
		.class_code = 0x060100,
		.header_type = PCI_MULTIFUNCTION,
		.cfg_write = isa_bridge_cfg_write,
	};
	struct v3_pci_desc own = desc;
	struct isa_bridge *isa;
	int err;

	(void)cfg;
	isa = v3_alloc(sizeof(*isa));
	if (!isa)
		return V3_ENOMEM;
	own.priv = isa;
	err = v3_pci_add(vm, V3_PC_ISA_BRIDGE_SLOT, 0, &own, &isa->func);
	if (err) {
		v3_free(isa);
		return err;
	}
	*state = isa;
	return V3_OK;
}

static void isa_bridge_destroy(void *state)
{
	struct isa_bridge *isa = state;

	v3_pci_remove(isa->func);
	v3_free(isa);
}

/* The registers have been loaded. The lines of the interrupt controllers are loaded, too: they are not driven. */
static int isa_bridge_loaded(void *state)
{
	struct isa_bridge *isa = state;
	struct pci_host *host = isa->func->host;
	unsigned long flags = v3_lock_acquire(&host->lock);
	unsigned line;

	for (line = 0; line < PCI_NLINES; line++)
		host->isa[line] = isa_bridge_target(isa->func, line);
	v3_lock_release(&host->lock, flags);
	return V3_OK;
}

static const struct v3_save_field isa_bridge_fields[] = {
	V3_SAVE_PARTS_AT(struct isa_bridge, func, &v3_pci_func_save),
	V3_SAVE_END,
};
static const struct v3_save_table isa_bridge_save = {.fields = isa_bridge_fields,
						     .size = sizeof(struct isa_bridge),
						     .loaded = isa_bridge_loaded};

const struct v3_device_class v3_device_piix3 = {
	.name = "piix3",
	.save = &isa_bridge_save,
	.create = isa_bridge_create,
	.reset = isa_bridge_reset,
	.destroy = isa_bridge_destroy,
};
