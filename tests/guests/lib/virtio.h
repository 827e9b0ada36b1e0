/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file virtio.h
 * A small virtio 1.2 driver for micro guests: one device at a time, its queues polled.
 */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "guest.h"

#define GV_NEXT	    1
#define GV_WRITE    2
#define GV_INDIRECT 4
#define GV_QSIZE    16

#define GV_BAR	 0xd0000000u /* where the driver puts the registers; the MSI-X table is 1 MiB above */
#define GV_TABLE 0xd0100000u

/* Registers, offsets in the first BAR (from the capabilities). */
enum { GV_STATUS = 0x14, GV_QSEL = 0x16, GV_CONFIG = 0x2000, GV_NOTIFY = 0x3000 };
#define GV_NEEDS_RESET 0x40

struct gv_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct gv_queue {
	struct gv_desc desc[GV_QSIZE];
	struct {
		uint16_t flags, idx, ring[GV_QSIZE], used_event;
	} avail;
	struct {
		volatile uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} elem[GV_QSIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
	uint16_t seen; /* of used.idx */
} __attribute__((aligned(4096)));

uint32_t gv_pci_read(unsigned slot, unsigned off);
void gv_pci_write(unsigned slot, unsigned off, uint32_t value);
/** Slot of the @p nth device of this virtio type; 0: there is none. */
unsigned gv_find(unsigned type, unsigned nth);
/** Offset of the capability, 0: none. */
unsigned gv_cap(unsigned slot, uint8_t id);
/** Put the BARs in place (@p bar, and 1 MiB above it); vector v of MSI-X becomes @p vector + v of this CPU. */
void gv_place(unsigned slot, uint32_t bar, uint8_t vector);
/** Reset it, accept @p features (and VERSION_1), set up @p n queues, go. @return status at the end */
uint8_t gv_init(uint32_t bar, uint32_t features, struct gv_queue *q, unsigned n);
/** Offer the chain that begins with @p head; gv_kick() tells the device. */
void gv_offer(struct gv_queue *q, uint16_t head);
void gv_kick(uint32_t bar, unsigned index);
/** Wait for the next used element. @return its length; -1: none within a while */
long gv_wait(struct gv_queue *q);

static inline uint8_t gv_status(uint32_t bar)
{
	return *(volatile uint8_t *)(uintptr_t)(bar + GV_STATUS);
}

#endif
