/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file virtio_rig.h
 * A virtio driver for unit tests: finds the device through PCI, sets it up as virtio 1.2, 3.1.1 says, and works
 * its queues in guest RAM, split or packed as is negotiated. Each step can also be done wrongly. Around pci_bench.h.
 */
#ifndef TESTS_VIRTIO_RIG_H
#define TESTS_VIRTIO_RIG_H

#include "devices/virtio/virtio.h"
#include "palacios/mem.h"
#include "pci_bench.h"

#define RIG_SLOT     5
#define RIG_BAR	     0xd0000000u
#define RIG_TABLE    0xd0010000u
#define RIG_QSIZE    16
#define RIG_RINGS    0x200000u /* each queue has 64 KiB from here on: descriptors, available, used */
#define RIG_DESC(q)  (RIG_RINGS + (q)*0x10000u)
#define RIG_AVAIL(q) (RIG_DESC(q) + 0x4000u)
#define RIG_USED(q)  (RIG_DESC(q) + 0x8000u)
#define RIG_DATA     0x400000u

#define RIG_NEXT     1
#define RIG_WRITE    2
#define RIG_INDIRECT 4

/* Common configuration */
enum {
	RIG_DFSELECT = 0x00,
	RIG_DF = 0x04,
	RIG_GFSELECT = 0x08,
	RIG_GF = 0x0c,
	RIG_CFGVEC = 0x10,
	RIG_NUMQ = 0x12,
	RIG_STATUS = 0x14,
	RIG_GEN = 0x15,
	RIG_QSEL = 0x16,
	RIG_QLEN = 0x18,
	RIG_QVEC = 0x1a,
	RIG_QENABLE = 0x1c,
	RIG_QNOTIFY = 0x1e,
	RIG_QDESC = 0x20,
	RIG_QAVAIL = 0x28,
	RIG_QUSED = 0x30,
	RIG_ISR = 0x1000,
	RIG_CONFIG = 0x2000,
	RIG_NOTIFY = 0x3000,
};

/* The driver's side of each queue. Positions in a packed ring run to twice its size, as in packed.c. */
static struct {
	uint16_t avail, used;
	/* Packed: chains as a split ring would have them, and how many descriptors each one became. */
	struct {
		uint64_t gpa;
		uint32_t len;
		uint16_t flags, next, taken;
	} chain[32];
} rig_q[12];

static uint64_t rig_extra; /* features that every driver accepts besides */
static bool rig_packed;	   /* negotiated */

static inline uint32_t rig_read(unsigned off, unsigned size)
{
	return (uint32_t)fake_mmio_read(bench.vm, RIG_BAR + off, size);
}

static inline void rig_write(unsigned off, unsigned size, uint64_t value)
{
	CHECK_EQ(fake_mmio_write(bench.vm, RIG_BAR + off, size, value), V3_OK);
}

static inline void rig_poke(v3_gpa_t gpa, uint64_t value, unsigned size)
{
	CHECK_EQ(v3_mem_write(bench.vm, gpa, &value, size), V3_OK);
}

static inline uint64_t rig_peek(v3_gpa_t gpa, unsigned size)
{
	uint64_t value = 0;

	CHECK_EQ(v3_mem_read(bench.vm, gpa, &value, size), V3_OK);
	return value;
}

static inline void rig_desc_at(v3_gpa_t at, uint64_t gpa, uint32_t len, uint16_t flags,
			       uint16_t next)
{
	rig_poke(at, gpa, 8);
	rig_poke(at + 8, len, 4);
	rig_poke(at + 12, rig_packed ? next : flags, 2);
	rig_poke(at + 14, rig_packed ? flags : next, 2);
}

static inline void rig_desc(unsigned q, unsigned i, uint64_t gpa, uint32_t len, uint16_t flags,
			    uint16_t next)
{
	if (!rig_packed) {
		rig_desc_at(RIG_DESC(q) + 16 * i, gpa, len, flags, next);
		return;
	}
	rig_q[q].chain[i].gpa = gpa;
	rig_q[q].chain[i].len = len;
	rig_q[q].chain[i].flags = flags;
	rig_q[q].chain[i].next = next;
}

static inline uint16_t rig_after(uint16_t pos, unsigned n)
{
	return (uint16_t)((pos + n) % (2 * RIG_QSIZE));
}

/* Flags of a descriptor that is available, or used, at a position (2.8.1). */
static inline uint16_t rig_ring_flags(uint16_t pos, bool used)
{
	bool wrap = pos < RIG_QSIZE;

	return (uint16_t)((wrap ? 0x80 : 0) | ((used ? wrap : !wrap) ? 0x8000 : 0));
}

/* Chain @p head, one descriptor behind the other; its id is the head. */
static inline void rig_offer_packed(unsigned q, uint16_t head)
{
	uint16_t pos = rig_q[q].avail, i = head, flags, n = 0;

	do {
		flags = rig_q[q].chain[i % 32].flags;
		rig_desc_at(RIG_DESC(q) + 16 * (pos % RIG_QSIZE), rig_q[q].chain[i % 32].gpa,
			    rig_q[q].chain[i % 32].len,
			    (uint16_t)(flags | rig_ring_flags(pos, false)), head);
		i = rig_q[q].chain[i % 32].next;
		pos = rig_after(pos, 1);
		n++;
	} while (flags & RIG_NEXT && n < RIG_QSIZE);
	rig_q[q].chain[head % 32].taken = n;
	rig_q[q].avail = pos;
}

/* Make chain @p head available, without notification. */
static inline void rig_offer(unsigned q, uint16_t head)
{
	if (rig_packed) {
		rig_offer_packed(q, head);
		return;
	}
	rig_poke(RIG_AVAIL(q) + 4 + 2 * (rig_q[q].avail % RIG_QSIZE), head, 2);
	rig_poke(RIG_AVAIL(q) + 2, ++rig_q[q].avail, 2);
}

static inline void rig_kick(unsigned q)
{
	rig_write(RIG_NOTIFY + 4 * q, 2, q);
}

static inline long rig_used_packed(unsigned q, uint32_t *head)
{
	v3_gpa_t desc = RIG_DESC(q) + 16 * (rig_q[q].used % RIG_QSIZE);
	uint16_t id = (uint16_t)rig_peek(desc + 12, 2);

	if ((rig_peek(desc + 14, 2) & 0x8080) != rig_ring_flags(rig_q[q].used, true))
		return -1;
	if (head)
		*head = id;
	rig_q[q].used = rig_after(rig_q[q].used, rig_q[q].chain[id % 32].taken);
	return (long)rig_peek(desc + 8, 4);
}

/* The next used element. @return length written, -1: none */
static inline long rig_used(unsigned q, uint32_t *head)
{
	v3_gpa_t elem = RIG_USED(q) + 4 + 8 * (rig_q[q].used % RIG_QSIZE);

	if (rig_packed)
		return rig_used_packed(q, head);
	if ((uint16_t)rig_peek(RIG_USED(q) + 2, 2) == rig_q[q].used)
		return -1;
	rig_q[q].used++;
	if (head)
		*head = (uint32_t)rig_peek(elem, 4);
	return (long)rig_peek(elem + 4, 4);
}

/* One readable and one writable buffer (either length may be 0), to the end. @return bytes written, -1: not used */
static inline long rig_request(unsigned q, uint32_t out, uint32_t in)
{
	if (out)
		rig_desc(q, 0, RIG_DATA, out, in ? RIG_NEXT : 0, 1);
	if (in)
		rig_desc(q, out ? 1 : 0, RIG_DATA + 0x80000, in, RIG_WRITE, 0);
	rig_offer(q, 0);
	rig_kick(q);
	fake_service(bench.vm);
	return rig_used(q, NULL);
}

static inline uint8_t rig_status(void)
{
	return (uint8_t)rig_read(RIG_STATUS, 1);
}

static inline uint64_t rig_offered(void)
{
	uint64_t features;

	rig_write(RIG_DFSELECT, 4, 1);
	features = (uint64_t)rig_read(RIG_DF, 4) << 32;
	rig_write(RIG_DFSELECT, 4, 0);
	return features | rig_read(RIG_DF, 4);
}

static inline void rig_accept(uint64_t features)
{
	rig_write(RIG_GFSELECT, 4, 0);
	rig_write(RIG_GF, 4, (uint32_t)features);
	rig_write(RIG_GFSELECT, 4, 1);
	rig_write(RIG_GF, 4, features >> 32);
}

static inline void rig_queue(unsigned q)
{
	memset(&rig_q[q], 0, sizeof(rig_q[q]));
	CHECK_EQ(v3_mem_set(bench.vm, RIG_DESC(q), 0, 0x10000), V3_OK);
	rig_write(RIG_QSEL, 2, q);
	rig_write(RIG_QLEN, 2, RIG_QSIZE);
	rig_write(RIG_QVEC, 2, q + 1);
	rig_write(RIG_QDESC, 8, RIG_DESC(q));
	rig_write(RIG_QAVAIL, 4, RIG_AVAIL(q));
	rig_write(RIG_QAVAIL + 4, 4, 0);
	rig_write(RIG_QUSED, 8, RIG_USED(q));
	rig_write(RIG_QENABLE, 2, 1);
}

/* Assign the BARs and let the device work; MSI-X vector v is interrupt vector 0x50 + v. */
static inline void rig_pci(bool msix)
{
	unsigned cap = cfg_cap(RIG_SLOT, V3_PCI_CAP_MSIX);

	cfg_write(RIG_SLOT, 0x10, 4, RIG_BAR);
	cfg_write(RIG_SLOT, 0x14, 4, RIG_TABLE);
	cfg_write(RIG_SLOT, 0x04, 2, 6);
	cfg_write(RIG_SLOT, cap + 2, 2, msix ? 0x8000 : 0);
	for (unsigned v = 0; msix && v <= (cfg_read(RIG_SLOT, cap + 2, 2) & 0x7ff); v++) {
		fake_mmio_write(bench.vm, RIG_TABLE + 16 * v, 8, 0xfee00000);
		fake_mmio_write(bench.vm, RIG_TABLE + 16 * v + 8, 8, 0x50 + v);
	}
}

/* The driver is ready, and the device has looked at its queues. */
static inline void rig_driver_ok(void)
{
	rig_write(RIG_STATUS, 1, 0x0f);
	for (uint32_t i = 0; i < bench.vm->nvcpus; i++)
		fake_run_work(bench.vm->vcpu[i]);
}

/* Driver initialisation, 3.1.1, for a device whose BARs answer. @return false: reported */
static inline bool rig_init(uint64_t features)
{
	features |= rig_extra;
	rig_packed = features >> VIRTIO_F_RING_PACKED & 1;
	rig_write(RIG_STATUS, 1, 0);
	rig_write(RIG_STATUS, 1, VIRTIO_STATUS_ACKNOWLEDGE);
	rig_write(RIG_STATUS, 1, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	rig_accept(features);
	rig_write(RIG_STATUS, 1, 0x0b);
	if (!CHECK_EQ(rig_status(), 0x0b))
		return false;
	rig_write(RIG_CFGVEC, 2, 0);
	for (unsigned q = 0; q < rig_read(RIG_NUMQ, 2) && q < V3_ARRAY_SIZE(rig_q); q++)
		rig_queue(q);
	rig_driver_ok();
	return CHECK_EQ(rig_status(), 0x0f);
}

/*
 * The same with queue 0 alone, of @p len entries; @p reg, if not 0, is a ring's address that is @p gpa instead. For
 * drivers that do it in their own way.
 */
static inline void rig_init_by_hand(uint64_t features, uint16_t len, unsigned reg, uint64_t gpa)
{
	rig_write(RIG_STATUS, 1, 0);
	rig_accept(features);
	rig_write(RIG_STATUS, 1, 0x0b);
	rig_write(RIG_QSEL, 2, 0);
	rig_write(RIG_QLEN, 2, len);
	rig_write(RIG_QDESC, 8, RIG_DESC(0));
	rig_write(RIG_QAVAIL, 8, RIG_AVAIL(0));
	rig_write(RIG_QUSED, 8, RIG_USED(0));
	if (reg)
		rig_write(reg, 8, gpa);
	rig_write(RIG_QENABLE, 2, 1);
	CHECK_EQ(v3_mem_set(bench.vm, RIG_DESC(0), 0, 0x10000), V3_OK);
	rig_driver_ok();
}

/* A device of class @p cls in RIG_SLOT, ready to work. Its keys must say so. @return false: reported */
static inline bool rig_open(const struct v3_device_class *cls, const char *keys, uint64_t features,
			    void **dev)
{
	char text[256];
	int err;

	if (!pci_bench_open())
		return false;
	snprintf(text, sizeof(text), "slot = %d\n%s", RIG_SLOT, keys);
	bench.vm->ndevices++;
	err = fake_device_create(bench.vm, cls, text, dev);
	bench.vm->ndevices--;
	if (!CHECK_EQ(err, V3_OK))
		return false;
	rig_pci(true);
	return rig_init(features | VIRTIO_BIT(VIRTIO_F_VERSION_1));
}

#endif
