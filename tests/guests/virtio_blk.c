/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio disk, polled and by MSI-X: requests, a BAR that moves, and a driver that breaks the rules. Virtio 1.2
 * sections 2.1.2, 2.7, 4.1, 5.2. The command line's "hostile" does the last at random, for long.
 */
#include "virtio.h"

#define VECTOR	 0x50 /* configuration change; 0x51 is queue 0's */
#define INDIRECT (1u << 28)
#define OTHER	 0xd0800000u

#define IN    0
#define OUT   1
#define FLUSH 4

static struct gv_queue queue;
static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static uint8_t data[8192], status;
static uint32_t bar = GV_BAR;

static void describe(unsigned i, const volatile void *p, uint32_t len, uint16_t flags)
{
	queue.desc[i] = (struct gv_desc){
		.addr = (uintptr_t)p, .len = len, .flags = flags, .next = (uint16_t)(i + 1)};
}

/* @return status byte, -1: no answer */
static int request(uint32_t type, uint64_t sector, uint32_t len)
{
	header.type = type;
	header.sector = sector;
	status = 0xee;
	describe(0, &header, sizeof(header), GV_NEXT);
	if (len)
		describe(1, data, len, GV_NEXT | (type == IN ? GV_WRITE : 0));
	describe(len ? 2 : 1, &status, 1, GV_WRITE);
	gv_offer(&queue, 0);
	gv_kick(bar, 0);
	return gv_wait(&queue) < 0 ? -1 : *(volatile uint8_t *)&status;
}

static void fill(uint8_t seed)
{
	unsigned i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(seed + i * 7);
}

static bool filled(uint8_t seed)
{
	unsigned i;

	for (i = 0; i < sizeof(data) && data[i] == (uint8_t)(seed + i * 7); i++)
		;
	return i == sizeof(data);
}

static void test_requests(void)
{
	uint32_t sectors = mmio_read(bar + GV_CONFIG), i;

	CHECK(sectors == 2048);
	for (i = 0; i < 8; i++) {
		fill((uint8_t)i);
		CHECK(request(OUT, i * 100, sizeof(data)) == 0);
	}
	CHECK(request(FLUSH, 0, 0) == 0);
	for (i = 0; i < 8; i++) {
		fill(0x99);
		CHECK(request(IN, i * 100, sizeof(data)) == 0);
		CHECK(filled((uint8_t)i));
	}
	CHECK(request(IN, sectors - 1, 512) == 0);
	CHECK(request(IN, sectors, 512) == 1);
	CHECK(request(IN, ~0ull, 512) == 1);
	CHECK(request(99, 0, 512) == 2);
}

static void test_interrupt(void)
{
	uint32_t before = g_irq_count[VECTOR + 1];

	CHECK(request(IN, 0, 512) == 0);
	sti();
	while (g_irq_count[VECTOR + 1] == before)
		relax();
	cli();
	CHECK(g_irq_count[VECTOR + 1] > before);
}

static void test_move(unsigned slot)
{
	CHECK(gv_status(bar) == 0x0f);
	gv_pci_write(slot, 0x10, OTHER);
	CHECK(gv_status(bar) == 0xff); /* nobody there any more */
	bar = OTHER;
	CHECK(gv_status(bar) == 0x0f);
	CHECK(request(IN, 100, sizeof(data)) == 0);
	CHECK(filled(1));
	gv_pci_write(slot, 0x10, 0x00200000); /* RAM wins */
	CHECK(request(IN, 100, 512) == -1);
	gv_pci_write(slot, 0x10, GV_BAR);
	bar = GV_BAR;
	gv_kick(bar, 0);
	CHECK(gv_wait(&queue) == 513);
}

static void test_needs_reset(void)
{
	uint32_t before = g_irq_count[VECTOR];

	describe(0, &header, sizeof(header), GV_NEXT);
	queue.desc[0].next = 0; /* for ever */
	gv_offer(&queue, 0);
	gv_kick(bar, 0);
	CHECK(gv_status(bar) == (0x0f | GV_NEEDS_RESET));
	sti();
	while (g_irq_count[VECTOR] == before)
		relax();
	cli();
	CHECK(gv_init(bar, 0, &queue, 1) == 0x0f);
	CHECK(request(IN, 100, sizeof(data)) == 0);
	CHECK(filled(1));
}

/* One field of one descriptor becomes anything. */
static void spoil(uint64_t r)
{
	struct gv_desc *d = &queue.desc[r >> 2 & 3];

	switch (r & 3) {
	case 0:
		d->addr = g_random();
		break;
	case 1:
		d->len = (uint32_t)(r >> 8 & 0xfff);
		break;
	case 2:
		d->flags = (uint16_t)(r >> 8 & 7);
		break;
	default:
		d->next = (uint16_t)(r >> 8 & 31);
		break;
	}
}

/*
 * Requests with something wrong in most of them, indices and registers at random; the device answers or needs a
 * reset, and works again after one.
 */
static void test_hostile(void)
{
	unsigned i, k, resets = 0, used = 0;

	for (i = 0; i < 3000; i++) {
		uint64_t r = g_random();

		header.type = (uint32_t)(r & 15);
		header.sector = r >> 8 & 0xfff;
		describe(0, &header, sizeof(header), GV_NEXT);
		describe(1, data, (uint32_t)(r >> 52 & 15) * 512, GV_NEXT | (r & 1 ? 0 : GV_WRITE));
		describe(2, &status, 1, GV_WRITE);
		for (k = 0; k < (r >> 24 & 3); k++)
			spoil(g_random());
		gv_offer(&queue, (uint16_t)(r >> 60 ? 0 : r >> 32));
		if (!(r >> 20 & 63))
			queue.avail.idx = (uint16_t)(r >> 40);
		if (!(r >> 26 & 15))
			*(volatile uint16_t *)(uintptr_t)(bar + 2 * (r >> 44 & 31)) =
				(uint16_t)g_random();
		gv_kick(bar, 0);
		used += queue.used.idx != queue.seen;
		queue.seen = queue.used.idx;
		if ((gv_status(bar) & 0x4f) != 0x0f) {
			resets++;
			gv_init(bar, r >> 50 & 1 ? INDIRECT : 0, &queue, 1);
		}
	}
	CHECK(resets > 100);
	CHECK(used > 100);
	CHECK(gv_init(bar, 0, &queue, 1) == 0x0f);
	CHECK(request(FLUSH, 0, 0) == 0);
}

int main(void)
{
	unsigned slot = gv_find(2, 0);

	CHECK(slot != 0);
	if (!slot)
		return g_result();
	g_apic_enable();
	g_handler[VECTOR] = g_count_apic;
	g_handler[VECTOR + 1] = g_count_apic;
	gv_place(slot, bar, VECTOR);
	CHECK(gv_init(bar, 0, &queue, 1) == 0x0f);
	if (g_cmdline_has("hostile")) {
		test_hostile();
		return g_result();
	}
	test_requests();
	test_interrupt();
	test_move(slot);
	test_needs_reset();
	return g_result();
}
