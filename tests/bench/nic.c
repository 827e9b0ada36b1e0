/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file nic.c
 * The sending half of a virtio-net driver (virtio 1.2, 5.1), for nic.h, with the event index (2.7.10).
 */
#include "nic.h"

#include "virtio.h"

#define SLOT	  3
#define TX	  1
#define QSIZE	  128
#define EVENT_IDX (1u << 29)

static VIRTIO_QUEUE(QSIZE) queue __attribute__((aligned(16)));
static uint8_t header[12];
static uint8_t frame[64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};
static unsigned notified;

/* Every frame is one chain, of header and data; there are as many chains as in a burst. */
bool bench_nic_open(void)
{
	unsigned i;

	if (!virtio_open(SLOT, 0x10411af4, EVENT_IDX))
		return false;
	virtio_queue(SLOT, TX, QSIZE, queue.desc, &queue.avail, &queue.used);
	virtio_put8(SLOT, VIRTIO_STATUS, 0x0f);
	for (i = 0; i < QSIZE; i += 2) {
		queue.desc[i].addr = (uintptr_t)header;
		queue.desc[i].len = sizeof(header);
		queue.desc[i].flags = VIRTIO_NEXT;
		queue.desc[i].next = (uint16_t)(i + 1);
		queue.desc[i + 1].addr = (uintptr_t)frame;
		queue.desc[i + 1].len = sizeof(frame);
	}
	queue.avail.used_event = 0x8000; /* no interrupts: far from all that is sent */
	return true;
}

void bench_nic_send(void)
{
	uint16_t before = queue.avail.idx, idx = before;
	unsigned i;

	for (i = 0; i < BENCH_NIC_BURST; i++)
		queue.avail.ring[idx++ % QSIZE] = (uint16_t)(2 * i);
	queue.avail.idx = idx;
	asm volatile("mfence" : : : "memory");
	if ((uint16_t)(idx - queue.used.avail_event - 1) < (uint16_t)(idx - before)) {
		notified++;
		virtio_put16(SLOT, VIRTIO_NOTIFY + 4 * TX, TX);
	}
	while (queue.used.idx != idx)
		asm volatile("pause");
}

unsigned bench_nic_notified(void)
{
	return notified;
}
