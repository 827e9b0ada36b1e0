/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cap.c
 * The list of capabilities (PCI Local Bus 3.0, 6.7) and the power management capability (PCI Bus Power Management
 * Interface 1.2, chapter 3). Called by devices in create, by msi.c and bus.c.
 */
#include "devices/pci/pci.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define CAP_ALIGN 4u

/* Power management: capabilities, control and status (3.2.3, 3.2.4). */
#define PM_CSR	       4 /* offset from the capability */
#define PM_VERSION     3
#define PM_STATE       0x03
#define PM_STATE_D3HOT 3
#define PM_KEEPS_STATE 0x08 /* No_Soft_Reset */

int v3_pci_add_cap(struct v3_pci_func *func, uint8_t id, const void *body, const void *writable,
		   unsigned len)
{
	unsigned off = func->cap_end, end = off + 2 + len;
	uint8_t *config = func->config;

	if (len > PCI_CONFIG_SIZE || end > PCI_CONFIG_SIZE)
		return V3_ENOSPC;
	config[off] = id;
	config[off + 1] = 0;
	func->writable[off] = 0;
	func->writable[off + 1] = 0;
	memcpy(config + off + 2, body, len);
	if (writable)
		memcpy(func->writable + off + 2, writable, len);
	else
		memset(func->writable + off + 2, 0, len);
	config[func->cap_last ? func->cap_last + 1u : PCI_CAPABILITIES] = (uint8_t)off;
	config[PCI_STATUS] |= PCI_STATUS_CAPS;
	func->cap_last = (uint8_t)off;
	/* The next one begins at a multiple of four; what is left over of this one cannot be written. */
	func->cap_end = (uint16_t)((end + CAP_ALIGN - 1) & ~(CAP_ALIGN - 1));
	memset(func->writable + end, 0, func->cap_end - end);
	return (int)off;
}

int v3_pci_add_pm(struct v3_pci_func *func)
{
	static const uint8_t body[] = {PM_VERSION, 0, PM_KEEPS_STATE, 0, 0, 0};
	static const uint8_t writable[] = {0, 0, PM_STATE, 0, 0, 0};
	int off;

	if (func->pm)
		return V3_EEXIST;
	off = v3_pci_add_cap(func, V3_PCI_CAP_PM, body, writable, sizeof(body));
	if (off > 0)
		func->pm = (uint8_t)off;
	return off;
}

uint8_t v3_pci_cap_state(const struct v3_pci_func *func)
{
	return func->pm ? func->config[func->pm + PM_CSR] & PM_STATE : 0;
}

/* D1 and D2 do not exist: a write that asks for one is discarded (3.2.4). */
void v3_pci_cap_keep_state(struct v3_pci_func *func, uint8_t before)
{
	uint8_t now = v3_pci_cap_state(func);

	if (now != 0 && now != PM_STATE_D3HOT)
		func->config[func->pm + PM_CSR] ^= now ^ before;
}

bool v3_pci_cap_powered(const struct v3_pci_func *func)
{
	return v3_pci_cap_state(func) != PM_STATE_D3HOT;
}

bool v3_pci_may_dma(struct v3_pci_func *func)
{
	unsigned long flags = v3_lock_acquire(&func->host->lock);
	bool may = (pci_get16(func, PCI_COMMAND) & PCI_CMD_MASTER) && v3_pci_cap_powered(func) &&
		   v3_pci_bridge_masters(func->bus);

	v3_lock_release(&func->host->lock, flags);
	return may;
}
