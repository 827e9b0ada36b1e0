/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file msi.c
 * Message-signalled interrupts of PCI functions: MSI and MSI-X (PCI Local Bus 3.0, 6.8). A raised message is
 * first noted as pending, then sent if nothing masks it; unmasking looks again. Called by devices, bus.c and the
 * guest's accesses to the MSI-X table; calls v3_msi_send().
 */
#include "devices/pci/pci.h"

#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/save.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"

/* MSI, 6.8.1: offsets from the capability in the 64-bit, maskable form. */
#define MSI_CONTROL	0x02
#define MSI_ADDRESS	0x04
#define MSI_DATA	0x0c
#define MSI_MASK	0x10
#define MSI_PENDING	0x14
#define MSI_LEN		0x18
#define MSI_CTL_ENABLE	0x0001
#define MSI_CTL_COUNT	4 /* shift: log2 of the vectors in use */
#define MSI_CTL_OFFERED 1 /* shift: log2 of the vectors there are */
#define MSI_CTL_64BIT	0x0080
#define MSI_CTL_MASKING 0x0100
#define MSI_LOG2_MAX	5

/* MSI-X, 6.8.2 */
#define MSIX_CONTROL	0x02
#define MSIX_TABLE	0x04
#define MSIX_PBA	0x08
#define MSIX_LEN	0x0c
#define MSIX_CTL_ENABLE 0x8000
#define MSIX_CTL_MASK	0x4000
#define MSIX_ENTRY_LEN	16u
#define MSIX_ENTRY_CTL	3 /* doubleword of an entry: vector control */
#define MSIX_ENTRY_MASK 1u

/* The table is the first half of the BAR, the pending bits begin the second. */
struct pci_msix {
	uint32_t nvectors;
	uint32_t pba_offset;
	uint32_t pba[V3_PCI_MSIX_MAX / 32];
	uint32_t table[][4]; /* address, upper address, data, vector control */
};

static bool msi_msix_on(const struct v3_pci_func *func)
{
	return func->msix &&
	       (pci_get16(func, func->msix_cap + MSIX_CONTROL) & MSIX_CTL_ENABLE) != 0;
}

static bool msi_plain_on(const struct v3_pci_func *func)
{
	return func->msi && (pci_get16(func, func->msi + MSI_CONTROL) & MSI_CTL_ENABLE) != 0;
}

bool v3_pci_msi_on(const struct v3_pci_func *func)
{
	return msi_msix_on(func) || msi_plain_on(func);
}

/* Vectors the guest gave to MSI: never more than it was offered. */
static unsigned msi_count(const struct v3_pci_func *func)
{
	uint16_t ctl = pci_get16(func, func->msi + MSI_CONTROL);
	unsigned given = ctl >> MSI_CTL_COUNT & 7, offered = ctl >> MSI_CTL_OFFERED & 7;

	return 1u << (given < offered ? given : offered);
}

/* Send what is in @p pending and not masked. @return what stays */
static uint32_t msi_flush_plain(struct v3_pci_func *func, uint32_t pending)
{
	uint32_t ready = pending & ~pci_get32(func, func->msi + MSI_MASK);
	uint64_t addr = pci_get32(func, func->msi + MSI_ADDRESS) |
			(uint64_t)pci_get32(func, func->msi + MSI_ADDRESS + 4) << 32;
	uint32_t data = pci_get16(func, func->msi + MSI_DATA);
	unsigned count = msi_count(func), v;

	for (v = 0; v < count; v++) {
		if (ready >> v & 1)
			v3_msi_send(func->host->vm, addr, (data & ~(count - 1)) | v);
	}
	return pending & ~ready;
}

static void msi_flush_msix(struct v3_pci_func *func)
{
	struct pci_msix *msix = func->msix;
	uint32_t v, bit;

	for (v = 0; v < msix->nvectors; v++) {
		const uint32_t *e = msix->table[v];

		bit = 1u << v % 32;
		if (!(msix->pba[v / 32] & bit) || (e[MSIX_ENTRY_CTL] & MSIX_ENTRY_MASK))
			continue;
		msix->pba[v / 32] &= ~bit;
		v3_msi_send(func->host->vm, e[0] | (uint64_t)e[1] << 32, e[2]);
	}
}

/* A message is a memory write of the function's: it needs power, the bus master bit, and that of each bridge above. */
static bool msi_may_send(const struct v3_pci_func *func)
{
	return (pci_get16(func, PCI_COMMAND) & PCI_CMD_MASTER) && v3_pci_cap_powered(func) &&
	       v3_pci_bridge_masters(func->bus);
}

void v3_pci_msi_flush(struct v3_pci_func *func)
{
	uint32_t pending;

	if (!msi_may_send(func))
		return;
	if (msi_msix_on(func)) {
		if (!(pci_get16(func, func->msix_cap + MSIX_CONTROL) & MSIX_CTL_MASK))
			msi_flush_msix(func);
	} else if (msi_plain_on(func)) {
		pending = pci_get32(func, func->msi + MSI_PENDING);
		if (pending)
			pci_put32(func->config, func->msi + MSI_PENDING,
				  msi_flush_plain(func, pending));
	}
}

bool v3_pci_msi_enabled(struct v3_pci_func *func)
{
	unsigned long flags = v3_lock_acquire(&func->host->lock);
	bool on = v3_pci_msi_on(func);

	v3_lock_release(&func->host->lock, flags);
	return on;
}

bool v3_pci_notify(struct v3_pci_func *func, unsigned vector)
{
	unsigned long flags = v3_lock_acquire(&func->host->lock);
	bool on = v3_pci_msi_on(func);
	uint32_t pending;

	if (msi_msix_on(func)) {
		if (vector < func->msix->nvectors)
			func->msix->pba[vector / 32] |= 1u << vector % 32;
	} else if (on) {
		pending = pci_get32(func, func->msi + MSI_PENDING);
		if (vector < msi_count(func))
			pci_put32(func->config, func->msi + MSI_PENDING, pending | 1u << vector);
	}
	if (on)
		v3_pci_msi_flush(func);
	v3_lock_release(&func->host->lock, flags);
	return on;
}

void v3_pci_msi_reset(struct v3_pci_func *func)
{
	struct pci_msix *msix = func->msix;
	uint32_t v;

	if (func->msi)
		pci_put32(func->config, func->msi + MSI_PENDING, 0);
	if (!msix)
		return;
	memset(msix->pba, 0, sizeof(msix->pba));
	memset(msix->table, 0, msix->nvectors * MSIX_ENTRY_LEN);
	for (v = 0; v < msix->nvectors; v++)
		msix->table[v][MSIX_ENTRY_CTL] = MSIX_ENTRY_MASK;
}

/* ---- saved state ---- */

bool v3_pci_msi_holds_pending(const struct v3_pci_func *func, unsigned off)
{
	return func->msi && off - func->msi - MSI_PENDING < MSI_LEN - MSI_PENDING;
}

static int msi_msix_loaded(void *state)
{
	const struct pci_msix *msix = state;
	uint32_t v;

	for (v = 0; v < msix->nvectors; v++)
		if (msix->table[v][MSIX_ENTRY_CTL] & ~MSIX_ENTRY_MASK)
			return V3_EINVAL;
	return V3_OK;
}

static const struct v3_save_field msi_msix_fields[] = {
	V3_SAVE_NOT(struct pci_msix, nvectors),
	V3_SAVE_NOT(struct pci_msix, pba_offset),
	V3_SAVE(struct pci_msix, pba),
	V3_SAVE_N(struct pci_msix, table, nvectors),
	V3_SAVE_END,
};
const struct v3_save_table v3_pci_msix_save = {
	.fields = msi_msix_fields,
	.size = sizeof(struct pci_msix),
	.loaded = msi_msix_loaded,
};

/* ---- capabilities ---- */

int v3_pci_add_msi(struct v3_pci_func *func, unsigned nvectors)
{
	uint8_t body[MSI_LEN] = {0}, writable[MSI_LEN] = {0}; /* with the two bytes of the list */
	unsigned log2 = 0;
	int off;

	while (log2 < MSI_LOG2_MAX && 1u << log2 < nvectors)
		log2++;
	if (nvectors != 1u << log2)
		return V3_EINVAL;
	if (func->msi)
		return V3_EEXIST;
	pci_put16(body, MSI_CONTROL,
		  (uint16_t)(log2 << MSI_CTL_OFFERED | MSI_CTL_64BIT | MSI_CTL_MASKING));
	pci_put16(writable, MSI_CONTROL, 7 << MSI_CTL_COUNT | MSI_CTL_ENABLE);
	pci_put32(writable, MSI_ADDRESS, 0xfffffffc);
	pci_put32(writable, MSI_ADDRESS + 4, 0xffffffff);
	pci_put16(writable, MSI_DATA, 0xffff);
	pci_put32(writable, MSI_MASK, nvectors == 32 ? ~0u : (1u << nvectors) - 1);
	off = v3_pci_add_cap(func, V3_PCI_CAP_MSI, body + 2, writable + 2, MSI_LEN - 2);
	if (off > 0)
		func->msi = (uint8_t)off;
	return off;
}

static uint64_t msix_read(const struct pci_msix *msix, uint64_t off, unsigned size)
{
	const uint8_t *from = NULL;
	uint64_t value = 0;

	if (off + size <= msix->nvectors * MSIX_ENTRY_LEN)
		from = (const uint8_t *)msix->table + off;
	else if (off >= msix->pba_offset && off + size <= msix->pba_offset + sizeof(msix->pba))
		from = (const uint8_t *)msix->pba + (off - msix->pba_offset);
	if (from)
		memcpy(&value, from, size);
	return value;
}

/* Only aligned doublewords and quadwords are allowed (6.8.2); others, and the pending bits, do not change. */
static void msix_write(struct pci_msix *msix, const struct v3_pci_access *a)
{
	uint32_t word = (uint32_t)(a->offset / 4), i;

	if (a->size < 4 || a->offset % a->size ||
	    a->offset + a->size > msix->nvectors * MSIX_ENTRY_LEN)
		return;
	for (i = 0; i < a->size / 4u; i++, word++) {
		uint32_t value = (uint32_t)(a->value >> (32 * i));

		msix->table[word / 4][word % 4] =
			word % 4 == MSIX_ENTRY_CTL ? value & MSIX_ENTRY_MASK : value;
	}
}

static int msix_access(struct v3_vcpu *vcpu, struct v3_pci_access *access, void *priv)
{
	struct v3_pci_func *func = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&func->host->lock);
	if (access->write) {
		msix_write(func->msix, access);
		v3_pci_msi_flush(func);
	} else {
		access->value = msix_read(func->msix, access->offset, access->size);
	}
	v3_lock_release(&func->host->lock, flags);
	return V3_OK;
}

int v3_pci_add_msix(struct v3_pci_func *func, unsigned bar, unsigned nvectors)
{
	uint8_t body[MSIX_LEN] = {0}, writable[MSIX_LEN] = {0};
	uint32_t half = V3_PAGE_SIZE / 2;
	struct pci_msix *msix;
	int off;

	if (!nvectors || nvectors > V3_PCI_MSIX_MAX || bar >= V3_PCI_NBARS)
		return V3_EINVAL;
	if (func->msix || func->bar[bar].size || func->bar[bar].upper)
		return V3_EEXIST;
	while (half < nvectors * MSIX_ENTRY_LEN)
		half *= 2;
	msix = v3_alloc(sizeof(*msix) + nvectors * MSIX_ENTRY_LEN);
	if (!msix)
		return V3_ENOMEM;
	msix->nvectors = nvectors;
	msix->pba_offset = half;
	pci_put16(body, MSIX_CONTROL, (uint16_t)(nvectors - 1));
	pci_put32(body, MSIX_TABLE, bar);
	pci_put32(body, MSIX_PBA, half | bar);
	pci_put16(writable, MSIX_CONTROL, MSIX_CTL_ENABLE | MSIX_CTL_MASK);
	off = v3_pci_add_cap(func, V3_PCI_CAP_MSIX, body + 2, writable + 2, MSIX_LEN - 2);
	if (off < 0) {
		v3_free(msix);
		return off;
	}
	func->msix = msix;
	func->msix_cap = (uint8_t)off;
	v3_pci_msi_reset(func);
	/* Cannot fail: everything it checks has been checked. */
	v3_pci_add_bar(func, bar, V3_PCI_BAR_MEM32, 2ull * half, msix_access, func);
	return off;
}
