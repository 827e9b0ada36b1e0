/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file virtio.c
 * A polled virtio driver over PCI, virtio 1.2 section 4.1, for virtio.h.
 */
#include "virtio.h"

static void put8(uint64_t pa, uint8_t v)
{
	*(volatile uint8_t *)pa = v;
}

static void put16(uint64_t pa, uint16_t v)
{
	*(volatile uint16_t *)pa = v;
}

uint32_t gv_pci_read(unsigned slot, unsigned off)
{
	outl(0xcf8, 0x80000000u | slot << 11 | (off & 0xfc));
	return inl(0xcfc) >> 8 * (off & 3);
}

void gv_pci_write(unsigned slot, unsigned off, uint32_t value)
{
	outl(0xcf8, 0x80000000u | slot << 11 | off);
	outl(0xcfc, value);
}

unsigned gv_find(unsigned type, unsigned nth)
{
	unsigned slot;

	for (slot = 1; slot < 32; slot++) {
		if (gv_pci_read(slot, 0) == ((0x1040u + type) << 16 | 0x1af4) && !nth--)
			return slot;
	}
	return 0;
}

unsigned gv_cap(unsigned slot, uint8_t id)
{
	unsigned off = gv_pci_read(slot, 0x34) & 0xff;

	while (off && (gv_pci_read(slot, off) & 0xff) != id)
		off = gv_pci_read(slot, off + 1) & 0xff;
	return off;
}

void gv_place(unsigned slot, uint32_t bar, uint8_t vector)
{
	uint32_t table = bar + 0x100000;
	unsigned cap = gv_cap(slot, 0x11), v, n;

	gv_pci_write(slot, 0x04, 0);
	gv_pci_write(slot, 0x10, bar);
	gv_pci_write(slot, 0x14, table);
	gv_pci_write(slot, 0x04, 6);
	n = (gv_pci_read(slot, cap + 2) & 0x7ff) + 1;
	for (v = 0; v < n; v++) {
		mmio_write(table + 16 * v, LAPIC);
		mmio_write(table + 16 * v + 4, 0);
		mmio_write(table + 16 * v + 8, vector + v);
		mmio_write(table + 16 * v + 12, 0);
	}
	gv_pci_write(slot, cap, gv_pci_read(slot, cap) | 0x80000000u);
}

static void init_queue(uint32_t bar, struct gv_queue *q, unsigned index)
{
	uint8_t *p = (uint8_t *)q;
	unsigned i;

	for (i = 0; i < sizeof(*q); i++)
		p[i] = 0;
	put16(bar + 0x16, (uint16_t)index);
	put16(bar + 0x18, GV_QSIZE);
	put16(bar + 0x1a, (uint16_t)(index + 1));
	mmio_write(bar + 0x20, (uint32_t)(uintptr_t)q->desc);
	mmio_write(bar + 0x24, 0);
	mmio_write(bar + 0x28, (uint32_t)(uintptr_t)&q->avail);
	mmio_write(bar + 0x2c, 0);
	mmio_write(bar + 0x30, (uint32_t)(uintptr_t)&q->used);
	mmio_write(bar + 0x34, 0);
	put16(bar + 0x1c, 1);
}

uint8_t gv_init(uint32_t bar, uint32_t features, struct gv_queue *q, unsigned n)
{
	unsigned i;

	put8(bar + GV_STATUS, 0);
	while (gv_status(bar))
		relax();
	put8(bar + GV_STATUS, 1);
	put8(bar + GV_STATUS, 3);
	mmio_write(bar + 0x08, 0);
	mmio_write(bar + 0x0c, features);
	mmio_write(bar + 0x08, 1);
	mmio_write(bar + 0x0c, 1); /* VERSION_1 */
	put8(bar + GV_STATUS, 0x0b);
	put16(bar + 0x10, 0);
	for (i = 0; i < n; i++)
		init_queue(bar, &q[i], i);
	put8(bar + GV_STATUS, 0x0f);
	return gv_status(bar);
}

void gv_offer(struct gv_queue *q, uint16_t head)
{
	q->avail.ring[q->avail.idx % GV_QSIZE] = head;
	__asm__ volatile("" : : : "memory");
	*(volatile uint16_t *)&q->avail.idx = (uint16_t)(q->avail.idx + 1);
}

void gv_kick(uint32_t bar, unsigned index)
{
	put16(bar + GV_NOTIFY + 4 * index, (uint16_t)index);
}

long gv_wait(struct gv_queue *q)
{
	unsigned patience = 1000000;

	while (q->used.idx == q->seen && --patience)
		relax();
	if (!patience)
		return -1;
	return q->used.elem[q->seen++ % GV_QSIZE].len;
}
