/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file disk.c
 * The smallest virtio-blk driver (virtio 1.2, 4.1 and 5.2), for disk.h.
 */
#include "disk.h"

#include "virtio.h"

#define SLOT  2
#define QSIZE 4

static VIRTIO_QUEUE(QSIZE) queue __attribute__((aligned(16)));

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static uint8_t data[4096] __attribute__((aligned(4096)));
static volatile uint8_t status;

static void describe(unsigned i, volatile void *p, uint32_t len, uint16_t flags)
{
	queue.desc[i].addr = (uintptr_t)p;
	queue.desc[i].len = len;
	queue.desc[i].flags = flags;
	queue.desc[i].next = (uint16_t)(i + 1);
}

bool bench_disk_open(void)
{
	if (!virtio_open(SLOT, 0x10421af4, 0))
		return false;
	virtio_queue(SLOT, 0, QSIZE, queue.desc, &queue.avail, &queue.used);
	virtio_put8(SLOT, VIRTIO_STATUS, 0x0f);
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
	virtio_put16(SLOT, VIRTIO_NOTIFY, 0);
	while (queue.used.idx != idx)
		asm volatile("pause");
}

bool bench_disk_good(void)
{
	return status == 0;
}
