/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file bar.c
 * Base address registers (PCI Local Bus 3.0, 6.2.5): sizing falls out of the writable bits, and after each
 * change of a register that matters v3_pci_bar_sync() compares where every BAR of the bus is with where it
 * should be. Called by bus.c; calls the port and MMIO maps, which may change while vcpus run.
 */
#include "devices/pci/pci.h"

#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/vcpu.h"

#define V3_LOG_TAG "pci"

#define BAR_IO_MIN    4u
#define BAR_IO_MAX    256u /* 6.2.5.1 */
#define BAR_MEM32_MAX 0x80000000ull
#define BAR_MEM64_MAX (1ull << 40)

static unsigned bar_offset(const struct pci_bar *bar)
{
	return PCI_BAR0 + 4u * bar->index;
}

static bool bar_is_io(const struct pci_bar *bar)
{
	return bar->kind == V3_PCI_BAR_IO;
}

/* Address bits of the register. */
static uint64_t bar_address(const struct pci_bar *bar)
{
	const struct v3_pci_func *func = bar->func;
	uint64_t value = pci_get32(func, bar_offset(bar));

	if (bar->kind & V3_PCI_BAR_MEM64)
		value |= (uint64_t)pci_get32(func, bar_offset(bar) + 4) << 32;
	return value & ~(bar->size - 1);
}

/* A register of all ones: the guest asks for the size, many with the command register as it is (6.2.5.1). */
static bool bar_is_sized(const struct pci_bar *bar, uint64_t base)
{
	uint64_t ones = ~(bar->size - 1);

	return base == (uint32_t)ones || base >> 32 == ones >> 32;
}

/* Does this BAR answer, by command register, power state and the bridges above? Address 0: not assigned. */
static bool bar_wanted(const struct pci_bar *bar, uint64_t *base)
{
	uint16_t enable = bar_is_io(bar) ? PCI_CMD_IO : PCI_CMD_MEM;

	*base = bar_address(bar);
	return bar->size && *base && !bar_is_sized(bar, *base) &&
	       (pci_get16(bar->func, PCI_COMMAND) & enable) && v3_pci_cap_powered(bar->func) &&
	       v3_pci_bridge_forwards(bar->func->bus, bar_is_io(bar), *base, bar->size);
}

/* The offset comes from the address alone: sizes are powers of two and bases multiples of them, so a BAR that
 * moves between look-up and call does no harm. */
static int bar_call(struct v3_vcpu *vcpu, struct pci_bar *bar, struct v3_pci_access *access)
{
	access->bar = bar->index;
	access->offset &= bar->size - 1;
	if (access->size > bar->size - access->offset) { /* crosses the end */
		access->value = ~0ull;
		return V3_OK;
	}
	return bar->fn(vcpu, access, bar->priv);
}

static int bar_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct v3_pci_access access = {
		.size = io->size, .write = io->write, .offset = io->port, .value = io->value};
	int result = bar_call(vcpu, priv, &access);

	if (!io->write)
		io->value = (uint32_t)access.value;
	return result;
}

static int bar_mmio(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	struct v3_pci_access access = {.size = mmio->size,
				       .write = mmio->write,
				       .offset = mmio->gpa,
				       .value = mmio->value};
	int result = bar_call(vcpu, priv, &access);

	if (!mmio->write)
		mmio->value = access.value;
	return result;
}

/* @return true: v3_card_flush() must follow */
static bool bar_detach(struct pci_bar *bar)
{
	struct v3_vm *vm;

	if (!bar->mapped)
		return false;
	bar->mapped = false;
	vm = bar->func->host->vm;
	if (bar->card)
		return v3_card_detach(bar->card);
	if (bar_is_io(bar))
		v3_io_unregister(vm, (uint16_t)bar->base);
	else
		v3_mmio_unregister(vm, bar->base);
	return false;
}

static void bar_attach(struct pci_bar *bar, uint64_t base)
{
	struct v3_vm *vm = bar->func->host->vm;
	int err = V3_EINVAL;

	if (bar->card)
		err = v3_card_attach(bar->card, base);
	else if (!bar_is_io(bar))
		err = v3_mmio_attach(vm, base, bar->size, bar_mmio, bar);
	else if (base <= 0x10000 - bar->size)
		err = v3_io_register(vm, (uint16_t)base, (uint32_t)bar->size, bar_io, bar);
	bar->mapped = err == V3_OK;
	bar->base = base;
	if (err)
		V3_GUEST_WARN(vm, "%02x:%02x.%u BAR %u cannot answer at %#llx: %s",
			      v3_pci_bridge_number(bar->func->bus), bar->func->devfn / 8u,
			      bar->func->devfn % 8u, bar->index, (unsigned long long)base,
			      v3_strerror(err));
}

bool v3_pci_bar_detach(struct v3_pci_func *func)
{
	bool flush = false;
	unsigned i;

	for (i = 0; i < V3_PCI_NBARS; i++)
		flush |= bar_detach(&func->bar[i]);
	return flush;
}

/* Take the BAR out if it is not where it should be, or put it in if it is nowhere. */
static bool bar_move(struct pci_bar *bar, bool attach)
{
	uint64_t base;
	bool wanted;

	if (!bar->size)
		return false;
	wanted = bar_wanted(bar, &base);
	if (attach && wanted && !bar->mapped)
		bar_attach(bar, base);
	return !attach && bar->mapped && (!wanted || base != bar->base) && bar_detach(bar);
}

/* One pass over all BARs. */
static bool bar_pass(struct pci_host *host, bool attach)
{
	bool flush = false;
	struct pci_bus *bus;
	unsigned f, i;

	for (bus = &host->root; bus; bus = bus->next) {
		for (f = 0; f < PCI_NFUNCS; f++) {
			for (i = 0; bus->func[f] && i < V3_PCI_NBARS; i++)
				flush |= bar_move(&bus->func[f]->bar[i], attach);
		}
	}
	return flush;
}

bool v3_pci_bar_sync(struct pci_host *host)
{
	bool flush = bar_pass(host, false);

	bar_pass(host, true);
	return flush;
}

uint8_t v3_pci_bar_mapped(const struct v3_pci_func *func)
{
	unsigned i, which = 0;

	for (i = 0; i < V3_PCI_NBARS; i++)
		which |= func->bar[i].mapped ? 1u << i : 0;
	return (uint8_t)which;
}

void v3_pci_bar_map(struct v3_pci_func *func, uint8_t which)
{
	unsigned i;

	for (i = 0; i < V3_PCI_NBARS; i++)
		if (which >> i & 1)
			bar_move(&func->bar[i], true);
}

static bool bar_valid(unsigned bar, unsigned kind, uint64_t size)
{
	uint64_t low = V3_PAGE_SIZE, high = BAR_MEM32_MAX;
	unsigned nregs = 1;

	if (kind == V3_PCI_BAR_IO) {
		low = BAR_IO_MIN;
		high = BAR_IO_MAX;
	} else if (kind & ~(unsigned)(V3_PCI_BAR_MEM64 | V3_PCI_BAR_PREFETCH)) {
		return false;
	} else if (kind & V3_PCI_BAR_MEM64) {
		high = BAR_MEM64_MAX;
		nregs = 2;
	}
	return bar + nregs <= V3_PCI_NBARS && size >= low && size <= high && !(size & (size - 1));
}

/* @p what: index, kind, size and what answers. */
static int bar_add(struct v3_pci_func *func, const struct pci_bar *what)
{
	const unsigned index = what->index;
	bool wide = what->kind & V3_PCI_BAR_MEM64;
	struct pci_bar *bar;
	uint64_t mask;
	unsigned off;

	bar = &func->bar[index];
	if (bar->size || bar->upper || (wide && bar[1].size))
		return V3_EEXIST;
	*bar = *what;
	bar->func = func;
	mask = ~(bar->size - 1);
	off = bar_offset(bar);
	pci_put32(func->writable, off, (uint32_t)mask);
	func->config[off] = bar->kind;
	if (wide) {
		bar[1].upper = true;
		pci_put32(func->writable, off + 4, (uint32_t)(mask >> 32));
	}
	return V3_OK;
}

int v3_pci_add_bar(struct v3_pci_func *func, unsigned index, unsigned kind, uint64_t size,
		   v3_pci_bar_fn fn, void *priv)
{
	const struct pci_bar bar = {.fn = fn,
				    .priv = priv,
				    .size = size,
				    .index = (uint8_t)index,
				    .kind = (uint8_t)kind};

	if (!fn || index >= V3_PCI_NBARS || !bar_valid(index, kind, size))
		return V3_EINVAL;
	return bar_add(func, &bar);
}

int v3_pci_add_card(struct v3_pci_func *func, unsigned index, unsigned kind, struct v3_card *card)
{
	const struct pci_bar bar = {.card = card,
				    .size = v3_card_size(card),
				    .index = (uint8_t)index,
				    .kind = (uint8_t)kind};

	if ((kind & V3_PCI_BAR_IO) || index >= V3_PCI_NBARS || !bar_valid(index, kind, bar.size))
		return V3_EINVAL;
	return bar_add(func, &bar);
}
