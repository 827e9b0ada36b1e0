/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pam.c
 * Shadow RAM of the host bridge: the programmable attribute map says, for 13 pieces of 0xc0000..0xfffff, whether
 * reads and writes go to RAM or to the bus, where the firmware's ROM answers (Intel 82441FX data sheet 3.2.19).
 * Works in VMs that boot firmware; elsewhere that memory is RAM and the registers are plain storage. Called by
 * host_bridge.c; calls the memory window of palacios/mem.h.
 */
#include "devices/pci/pci.h"

#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/platform.h"

#define V3_LOG_TAG "pci"

#define PAM_FIRST                                                                                  \
	0x59 /* seven registers of two attributes; the lower half of the first has no function */
#define PAM_LAST  0x5f
#define PAM_READ  1 /* reads go to RAM */
#define PAM_WRITE 2 /* writes go to RAM */
#define PAM_MASK  (PAM_READ | PAM_WRITE)
#define PAM_NEVER 0xff /* not known what is shown */

#define PAM_BASE     V3_PC_ROM_BASE
#define PAM_SIZE     0x40000
#define PAM_TOP	     0xf0000 /* the piece of PAM0; the others are of 16 KiB and begin at PAM_BASE */
#define PAM_TOP_SIZE 0x10000
#define PAM_PIECE    0x4000

static const enum v3_window_writes pam_writes[] = {
	[0] = V3_WINDOW_DROP,
	[PAM_READ] = V3_WINDOW_DROP,
	[PAM_WRITE] = V3_WINDOW_UNDER,
	[PAM_READ | PAM_WRITE] = V3_WINDOW_STORE,
};

/* Attributes of a piece, ascending by address as the registers are: 0 for 0xc0000 .. 11, then 12 for 0xf0000. */
static uint8_t pam_attr(const struct v3_pci_func *bridge, unsigned piece)
{
	if (piece == PCI_NPAM - 1)
		return bridge->config[PAM_FIRST] >> 4 & PAM_MASK;
	return bridge->config[PAM_FIRST + 1 + piece / 2] >> (piece % 2 * 4) & PAM_MASK;
}

/* The ROM's end is at 1 MiB, too; nothing answers below it. */
static v3_gpa_t pam_rom(v3_gpa_t gpa)
{
	if (gpa < V3_PC_HIGH_RAM_BASE - V3_PC_ROM_ALIAS)
		return V3_GPA_NONE;
	return V3_PC_ROM_END - (V3_PC_HIGH_RAM_BASE - gpa);
}

static void pam_show(struct pci_host *host, unsigned piece, uint8_t attr)
{
	const bool top = piece == PCI_NPAM - 1;
	const v3_gpa_t gpa = top ? PAM_TOP : PAM_BASE + piece * PAM_PIECE;
	const v3_gpa_t rom = pam_rom(gpa);
	const uint64_t size = top ? PAM_TOP_SIZE : PAM_PIECE;
	int err;

	err = v3_mem_window_show(host->vm, gpa, size, attr & PAM_READ ? gpa : rom,
				 pam_writes[attr]);
	if (err == V3_ENOENT) /* ROM of 64 KiB ends above this piece */
		err = v3_mem_window_show(host->vm, gpa, size, V3_GPA_NONE, pam_writes[attr]);
	if (err)
		V3_ERR(host->vm, "shadow RAM at %#llx: %s", (unsigned long long)gpa,
		       v3_strerror(err));
	host->pam[piece] = attr;
}

/*
 * To switch memory waits for the other vcpus, so it is done without the lock, by one vcpu at a time: one that comes
 * meanwhile leaves its change to the one that is at it.
 */
void v3_pci_pam_sync(struct pci_host *host)
{
	uint8_t attr[PCI_NPAM];
	unsigned long flags;
	unsigned i;

	if (!host->shadow)
		return;
	flags = v3_lock_acquire(&host->lock);
	host->pam_again = true;
	while (host->pam_again && !host->pam_busy) {
		host->pam_again = false;
		host->pam_busy = true;
		for (i = 0; i < PCI_NPAM; i++)
			attr[i] = pam_attr(&host->bridge, i);
		v3_lock_release(&host->lock, flags);
		for (i = 0; i < PCI_NPAM; i++)
			if (attr[i] != host->pam[i])
				pam_show(host, i, attr[i]);
		flags = v3_lock_acquire(&host->lock);
		host->pam_busy = false;
	}
	v3_lock_release(&host->lock, flags);
}

void v3_pci_pam_cfg_write(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
			  uint32_t value)
{
	(void)vcpu;
	(void)value;
	if (off <= PAM_LAST && off + size > PAM_FIRST)
		v3_pci_pam_sync(priv);
}

int v3_pci_pam_create(struct pci_host *host)
{
	struct v3_mem_range range;
	unsigned i;

	for (i = 0; v3_mem_range(host->vm, i, &range) == V3_OK; i++)
		host->shadow |= !range.ram && range.gpa + range.size == V3_PC_ROM_END;
	for (i = 0; i < PCI_NPAM; i++)
		host->pam[i] = PAM_NEVER;
	return host->shadow ? v3_mem_window_create(host->vm, PAM_BASE, PAM_SIZE) : V3_OK;
}
