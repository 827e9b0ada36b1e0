/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * INTx of a PCI function through the 8259 pair: the ISA bridge's PIRQ route control registers say at which IRQ it
 * arrives (Intel 82371SB data sheet 2.2.7). The function is a virtio disk without MSI-X.
 */
#include "virtio.h"

#define BASE	    0x20
#define ISA_BRIDGE  1	 /* slot */
#define PIRQRC	    0x60 /* four registers, PIRQA first */
#define PIRQ_OFF    0x80
#define VIRTIO_ISR  0x1000 /* offset in the first BAR; reading it releases the pin */
#define PATIENCE_US 20000

static struct gv_queue queue;
static struct {
	uint32_t type, reserved;
	uint64_t sector;
} header;
static uint8_t sector[512], status;
static unsigned pirq;

static uint8_t read_isr(void)
{
	return *(volatile uint8_t *)(uintptr_t)(GV_BAR + VIRTIO_ISR);
}

/* Level: what is acknowledged without the pin going down comes again. */
static void disk_irq(struct g_frame *f)
{
	g_irq_count[f->vector]++;
	(void)read_isr();
	g_pic_eoi(f->vector - BASE);
}

static void route(uint8_t value)
{
	uint32_t all = gv_pci_read(ISA_BRIDGE, PIRQRC);

	all &= ~(0xffu << 8 * pirq);
	gv_pci_write(ISA_BRIDGE, PIRQRC, all | (uint32_t)value << 8 * pirq);
}

static void read_sector(void)
{
	queue.desc[0] = (struct gv_desc){(uintptr_t)&header, sizeof(header), GV_NEXT, 1};
	queue.desc[1] = (struct gv_desc){(uintptr_t)sector, sizeof(sector), GV_NEXT | GV_WRITE, 2};
	queue.desc[2] = (struct gv_desc){(uintptr_t)&status, 1, GV_WRITE, 0};
	status = 0xee;
	gv_offer(&queue, 0);
	gv_kick(GV_BAR, 0);
	CHECK(gv_wait(&queue) >= 0 && *(volatile uint8_t *)&status == 0);
}

/* One request, one interrupt, at @p irq. */
static void check_irq(unsigned irq)
{
	unsigned i;

	for (i = 0; i < 16; i++)
		g_irq_count[BASE + i] = 0;
	read_sector();
	sti();
	g_delay_us(PATIENCE_US);
	cli();
	for (i = 0; i < 16; i++)
		CHECK_M(g_irq_count[BASE + i] == (i == irq), "IRQ %u: %u times\n", i,
			g_irq_count[BASE + i]);
}

int main(void)
{
	unsigned slot = gv_find(2, 0), i;

	CHECK(slot != 0 && gv_pci_read(ISA_BRIDGE, 0) == 0x70008086);
	if (!slot)
		return g_result();
	pirq = (slot + 3) & 3; /* pin A */
	g_apic_enable();
	g_pic_init(BASE);
	for (i = 0; i < 16; i++)
		g_handler[BASE + i] = disk_irq;
	g_pic_mask(0xffff & ~(1u << 2 | 1u << 5 | 1u << 10 | 1u << 11));
	outb(0x4d0, 1u << 5); /* level-triggered */
	outb(0x4d1, 1u << (10 - 8) | 1u << (11 - 8));
	gv_pci_write(slot, 0x04, 0);
	gv_pci_write(slot, 0x10, GV_BAR);
	gv_pci_write(slot, 0x14, GV_TABLE);
	gv_pci_write(slot, 0x04, 6);
	CHECK(gv_init(GV_BAR, 0, &queue, 1) == 0x0f);

	check_irq(pirq < 2 ? 10 : 11); /* as if firmware had been here */
	route(5);
	check_irq(5);
	route(11);
	check_irq(11);
	route(PIRQ_OFF);
	check_irq(16); /* none of them */
	CHECK(read_isr() == 1);
	read_sector();
	route(10); /* the pin is high already */
	sti();
	g_delay_us(PATIENCE_US);
	cli();
	CHECK(g_irq_count[BASE + 10] == 1);
	return g_result();
}
