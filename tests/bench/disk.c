/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file disk.c
 * The smallest virtio-blk driver (virtio 1.2, 4.1 and 5.2), for disk.h. Knows where the VMM's devices have their
 * registers instead of looking at the capabilities.
 */
#include "disk.h"

#include <stdint.h>

#define SLOT   2
#define BAR    0xfe000000ul /* mapped by boot.S */
#define STATUS 0x14
#define NOTIFY 0x3000
#define QSIZE  4

static struct {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[QSIZE];
	struct {
		uint16_t flags;
		volatile uint16_t idx;
		uint16_t ring[QSIZE], used_event;
	} avail;
	struct {
		uint16_t flags;
		volatile uint16_t idx;
		uint32_t elem[2 * QSIZE];
	} used __attribute__((aligned(4)));
} queue __attribute__((aligned(16)));

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static uint8_t data[4096] __attribute__((aligned(4096)));
static volatile uint8_t status;

static void out32(uint16_t port, uint32_t v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static uint32_t in32(uint16_t port)
{
	uint32_t v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void pci_write(unsigned off, uint32_t v)
{
	out32(0xcf8, 0x80000000u | SLOT << 11 | off);
	out32(0xcfc, v);
}

static void put8(unsigned off, uint8_t v)
{
	*(volatile uint8_t *)(BAR + off) = v;
}

static void put16(unsigned off, uint16_t v)
{
	*(volatile uint16_t *)(BAR + off) = v;
}

static void put32(unsigned off, uint32_t v)
{
	*(volatile uint32_t *)(BAR + off) = v;
}

static void describe(unsigned i, volatile void *p, uint32_t len, uint16_t flags)
{
	queue.desc[i].addr = (uintptr_t)p;
	queue.desc[i].len = len;
	queue.desc[i].flags = flags;
	queue.desc[i].next = (uint16_t)(i + 1);
}

bool bench_disk_open(void)
{
	out32(0xcf8, 0x80000000u | SLOT << 11);
	if (in32(0xcfc) != 0x10421af4)
		return false;
	pci_write(0x10, BAR);
	pci_write(0x04, 6);
	put8(STATUS, 0);
	put8(STATUS, 3);
	put32(0x08, 1);
	put32(0x0c, 1); /* VERSION_1 */
	put8(STATUS, 0x0b);
	put16(0x18, QSIZE);
	put32(0x20, (uint32_t)(uintptr_t)queue.desc);
	put32(0x28, (uint32_t)(uintptr_t)&queue.avail);
	put32(0x30, (uint32_t)(uintptr_t)&queue.used);
	put16(0x1c, 1);
	put8(STATUS, 0x0f);
	describe(0, &header, sizeof(header), 1);
	describe(1, data, sizeof(data), 1);
	describe(2, &status, 1, 2);
	queue.avail.flags = 1; /* no interrupts */
	header.type = 1;       /* write, so that there is something to read */
	bench_disk_read();
	header.type = 0;
	queue.desc[1].flags = 3;
	return bench_disk_good();
}

/* Once to write, then to read what header and descriptors say. */
void bench_disk_read(void)
{
	uint16_t idx = queue.avail.idx;

	status = 0xff;
	queue.avail.ring[idx % QSIZE] = 0;
	queue.avail.idx = ++idx;
	put16(NOTIFY, 0);
	while (queue.used.idx != idx)
		asm volatile("pause");
}

bool bench_disk_good(void)
{
	return status == 0;
}
