/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pci.h
 * What the files of the PCI bus share. bus.c: functions, the standard header, INTx. bar.c: base address
 * registers. cap.c: capability list and power management. msi.c: MSI and MSI-X. host_bridge.c: the ports in
 * front and the device class. bridge.c: bridges to further buses. Section numbers are those of PCI Local Bus 3.0.
 *
 * Configuration space is an array of bytes with a mask of the bits that the guest may write; a write is stored
 * through the mask first, then v3_pci_bus_settle() makes everything else follow what the registers say.
 */
#ifndef V3_DEVICES_PCI_PCI_H
#define V3_DEVICES_PCI_PCI_H

#include "palacios/pci.h"
#include "palacios/vm.h"

#define PCI_NSLOTS 32
#define PCI_NFUNCS (PCI_NSLOTS * 8)
#define PCI_NLINES 4

/* Configuration header, 6.1 and 6.2 */
#define PCI_VENDOR	    0x00
#define PCI_DEVICE	    0x02
#define PCI_COMMAND	    0x04
#define PCI_STATUS	    0x06
#define PCI_REVISION	    0x08
#define PCI_CLASS	    0x09 /* 3 bytes */
#define PCI_CACHE_LINE	    0x0c
#define PCI_LATENCY	    0x0d
#define PCI_HEADER_TYPE	    0x0e
#define PCI_BAR0	    0x10
#define PCI_SUBSYS_VENDOR   0x2c
#define PCI_SUBSYS	    0x2e
#define PCI_CAPABILITIES    0x34
#define PCI_INTR_LINE	    0x3c
#define PCI_INTR_PIN	    0x3d
#define PCI_DEVICE_SPECIFIC 0x40
#define PCI_CONFIG_SIZE	    0x100

#define PCI_CMD_IO	     0x0001
#define PCI_CMD_MEM	     0x0002
#define PCI_CMD_MASTER	     0x0004
#define PCI_CMD_INTX_DISABLE 0x0400
#define PCI_STATUS_INTX	     0x08
#define PCI_STATUS_CAPS	     0x10
#define PCI_MULTIFUNCTION    0x80
#define PCI_HEADER_BRIDGE    0x01 /* header type of a bridge */

struct pci_host;
struct pci_msix;

/* One base address register; size 0: none. */
struct pci_bar {
	struct v3_pci_func *func; /* not owned; holds this */
	v3_pci_bar_fn fn;
	void *priv; /* not owned; outlives the function */
	struct v3_card
		*card; /* not owned; outlives the function. What is seen there; NULL: fn answers */
	uint64_t size;
	uint64_t base; /* where it answers now, if mapped */
	uint8_t index;
	uint8_t kind;
	bool upper; /* the upper half of the register before it */
	bool mapped;
};

struct v3_pci_func {
	struct pci_host *host; /* not owned; outlives the function */
	struct pci_bus *bus;   /* not owned; outlives the function */
	uint8_t devfn;
	bool intx;   /* the device asserts its INTx pin */
	bool driven; /* the pin is counted in the line, that is, not gated */
	struct v3_pci_desc desc;
	struct pci_bar bar[V3_PCI_NBARS];
	uint16_t cap_end;	   /* first byte behind the capabilities */
	uint8_t cap_last;	   /* offset of the last capability; 0: none */
	uint8_t pm, msi, msix_cap; /* offset of the capability; 0: none */
	struct pci_msix *msix;	   /* owned; NULL: none */
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits of config[] the guest may change */
	/* For saved state: what of config[] is state, other bits 0; BARs that are mapped, a bit each. */
	uint8_t saved[PCI_CONFIG_SIZE];
	uint8_t answers;
};

#define PCI_NPAM     13 /* pieces of 0xc0000..0xfffff that can be shadowed */
#define PCI_BUS_NAME 32

/* One bus: that of the host bridge, or one behind a bridge (bridge.c). */
struct pci_bus {
	struct pci_bus *next;	  /* of the host's list; parents come before their children */
	struct v3_pci_func *self; /* the bridge, not owned, outlives this; NULL: bus 0 */
	struct v3_pci_func *func[PCI_NFUNCS]; /* by devfn; owned but for the host bridge */
	char name[PCI_BUS_NAME];
};

struct pci_host {
	struct v3_vm *vm;	       /* not owned; outlives the device */
	struct v3_lock lock;	       /* guards all below, and every function */
	uint32_t addr;		       /* CONFIG_ADDRESS */
	uint16_t asserted[PCI_NLINES]; /* functions that drive each INTx line */
	uint8_t isa[PCI_NLINES];       /* ISA line each is routed to; 0: none */
	struct pci_bus root;
	struct v3_pci_func bridge;
	bool shadow; /* there is firmware ROM: the PAM registers work */
	bool pam_busy,
		pam_again; /* somebody makes the memory follow the registers; and shall look again */
	uint8_t pam[PCI_NPAM]; /* what the memory shows: only who is busy */
};

static inline uint16_t pci_get16(const struct v3_pci_func *func, unsigned off)
{
	return (uint16_t)(func->config[off] | func->config[off + 1] << 8);
}

static inline uint32_t pci_get32(const struct v3_pci_func *func, unsigned off)
{
	return pci_get16(func, off) | (uint32_t)pci_get16(func, off + 2) << 16;
}

static inline void pci_put16(uint8_t *bytes, unsigned off, uint16_t value)
{
	bytes[off] = (uint8_t)value;
	bytes[off + 1] = (uint8_t)(value >> 8);
}

static inline void pci_put32(uint8_t *bytes, unsigned off, uint32_t value)
{
	pci_put16(bytes, off, (uint16_t)value);
	pci_put16(bytes, off + 2, (uint16_t)(value >> 16));
}

/* ---- bus.c; the bus lock is held unless said otherwise ---- */

/** Fill a function in; it is not on the bus yet. No lock needed. */
void v3_pci_bus_init(struct v3_pci_func *func, struct pci_host *host, struct pci_bus *bus,
		     unsigned devfn, const struct v3_pci_desc *desc);
/** Read configuration space; @p off and @p size lie within one doubleword. */
uint32_t v3_pci_bus_read(const struct v3_pci_func *func, unsigned off, unsigned size);
/*
 * These @return true: a card's memory (v3_pci_add_card()) is not where it was any more, so v3_card_flush() must follow
 * when the lock has been given back.
 */
/** Write configuration space; @p off and @p size lie within one doubleword. */
bool v3_pci_bus_write(struct v3_pci_func *func, unsigned off, unsigned size, uint32_t value);
/** Registers changed: pins, BARs and messages follow. */
bool v3_pci_bus_settle(struct v3_pci_func *func);
/** Power-on state: every bit the guest can write is 0. */
bool v3_pci_bus_reset(struct v3_pci_func *func);
/** Route an INTx line (0..3) to an ISA line, 0: none. Bus lock held. */
void v3_pci_bus_route(struct pci_host *host, unsigned line, uint8_t isa);

/* ---- pam.c; no lock held ---- */

/** Have shadow RAM if the VM has firmware ROM. Before the VM runs. @return V3_OK; V3_ENOMEM. */
int v3_pci_pam_create(struct pci_host *host);
/** The PAM registers may have changed: the memory follows. */
void v3_pci_pam_sync(struct pci_host *host);
/** Configuration space of the bridge from 0x40 on was written. */
void v3_pci_pam_cfg_write(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
			  uint32_t value);

/* ---- bar.c ---- */

/** Take every BAR of the bus that moved out, then put those in that have a place. Bus lock held. @return as above */
bool v3_pci_bar_sync(struct pci_host *host);
/** Take the function's BARs out. Bus lock held. @return as above */
bool v3_pci_bar_detach(struct v3_pci_func *func);
/** Which of the function's BARs are mapped, a bit each. Bus lock held. */
uint8_t v3_pci_bar_mapped(const struct v3_pci_func *func);
/** Map those of them that registers and bridges let answer; none is. Bus lock held. */
void v3_pci_bar_map(struct v3_pci_func *func, uint8_t which);

/* ---- cap.c ---- */

/** Power state: 0 is D0, 3 is D3hot. Bus lock held. */
uint8_t v3_pci_cap_state(const struct v3_pci_func *func);
/** After a write: stay in state @p before if the new one does not exist. Bus lock held. */
void v3_pci_cap_keep_state(struct v3_pci_func *func, uint8_t before);
/** Is the function in D0? Bus lock held. */
bool v3_pci_cap_powered(const struct v3_pci_func *func);

/* ---- bridge.c; bus lock held ---- */

/** The bus that configuration accesses to bus @p number reach (PCI-to-PCI Bridge 1.2, 3.1.2.1.3); NULL: none. */
struct pci_bus *v3_pci_bridge_find(struct pci_host *host, unsigned number);
/** Number of a bus as the guest has assigned it. */
unsigned v3_pci_bridge_number(const struct pci_bus *bus);
/** Do all bridges above forward addresses from @p base on to this bus? */
bool v3_pci_bridge_forwards(const struct pci_bus *bus, bool io, uint64_t base, uint64_t size);
/** Do all of them forward what the functions of this bus read and write by themselves? */
bool v3_pci_bridge_masters(const struct pci_bus *bus);
/** After a write to a function: if it is a bridge that was told so, reset all that is behind it. No lock held. */
void v3_pci_bridge_written(struct v3_pci_func *bridge, unsigned off, unsigned size);

/* ---- msi.c; bus lock held ---- */

bool v3_pci_msi_on(const struct v3_pci_func *func);
/** Send what is pending and may go now. */
void v3_pci_msi_flush(struct v3_pci_func *func);
/** Table masked and empty, nothing pending. */
void v3_pci_msi_reset(struct v3_pci_func *func);
/** Is this byte of configuration space one of the pending bits of MSI? */
bool v3_pci_msi_holds_pending(const struct v3_pci_func *func, unsigned off);

extern const struct v3_save_table v3_pci_msix_save; /* of struct pci_msix */

#endif
