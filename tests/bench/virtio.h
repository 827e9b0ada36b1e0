/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file virtio.h
 * What the bench guest's virtio drivers share (virtio 1.2, 2.7 and 4.1): finding a device in a PCI slot, and split
 * queues. Knows where the VMM's devices have their registers instead of looking at the capabilities. For disk.c and
 * nic.c.
 */
#ifndef BENCH_VIRTIO_H
#define BENCH_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_BAR(slot) (0xfe000000ul + 0x10000ul * (slot)) /* mapped by boot.S */
#define VIRTIO_STATUS	 0x14
#define VIRTIO_NOTIFY	 0x3000

#define VIRTIO_NEXT  1
#define VIRTIO_WRITE 2

/* A queue of SIZE entries, for one that is static and aligned to 16 bytes. */
#define VIRTIO_QUEUE(SIZE)                                                                         \
	struct {                                                                                   \
		struct {                                                                           \
			uint64_t addr;                                                             \
			uint32_t len;                                                              \
			uint16_t flags, next;                                                      \
		} desc[SIZE];                                                                      \
		struct {                                                                           \
			uint16_t flags;                                                            \
			volatile uint16_t idx;                                                     \
			uint16_t ring[SIZE], used_event;                                           \
		} avail;                                                                           \
		struct {                                                                           \
			uint16_t flags;                                                            \
			volatile uint16_t idx;                                                     \
			uint32_t elem[2 * (SIZE)];                                                 \
			volatile uint16_t avail_event;                                             \
		} used __attribute__((aligned(4)));                                                \
	}

static inline void virtio_out32(uint16_t port, uint32_t v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint32_t virtio_in32(uint16_t port)
{
	uint32_t v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void virtio_pci_write(unsigned slot, unsigned off, uint32_t v)
{
	virtio_out32(0xcf8, 0x80000000u | slot << 11 | off);
	virtio_out32(0xcfc, v);
}

static inline void virtio_put8(unsigned slot, unsigned off, uint8_t v)
{
	*(volatile uint8_t *)(VIRTIO_BAR(slot) + off) = v;
}

static inline void virtio_put16(unsigned slot, unsigned off, uint16_t v)
{
	*(volatile uint16_t *)(VIRTIO_BAR(slot) + off) = v;
}

static inline void virtio_put32(unsigned slot, unsigned off, uint32_t v)
{
	*(volatile uint32_t *)(VIRTIO_BAR(slot) + off) = v;
}

/* Up to FEATURES_OK. @return false: no device of this PCI id in the slot */
static inline bool virtio_open(unsigned slot, uint32_t id, uint32_t features)
{
	virtio_out32(0xcf8, 0x80000000u | slot << 11);
	if (virtio_in32(0xcfc) != id)
		return false;
	virtio_pci_write(slot, 0x10, (uint32_t)VIRTIO_BAR(slot));
	virtio_pci_write(slot, 0x04, 6);
	virtio_put8(slot, VIRTIO_STATUS, 0);
	virtio_put8(slot, VIRTIO_STATUS, 3);
	virtio_put32(slot, 0x0c, features);
	virtio_put32(slot, 0x08, 1);
	virtio_put32(slot, 0x0c, 1); /* VERSION_1 */
	virtio_put8(slot, VIRTIO_STATUS, 0x0b);
	return true;
}

static inline void virtio_queue(unsigned slot, unsigned queue, uint16_t size, const void *desc,
				const volatile void *avail, const volatile void *used)
{
	virtio_put16(slot, 0x16, (uint16_t)queue);
	virtio_put16(slot, 0x18, size);
	virtio_put32(slot, 0x20, (uint32_t)(uintptr_t)desc);
	virtio_put32(slot, 0x28, (uint32_t)(uintptr_t)avail);
	virtio_put32(slot, 0x30, (uint32_t)(uintptr_t)used);
	virtio_put16(slot, 0x1c, 1);
}

#endif
