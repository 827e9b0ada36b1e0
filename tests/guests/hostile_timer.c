/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every timer at the highest rate it takes, interrupts closed and open: the guest still gets on with its work,
 * and so does the host (this guest ends).
 */
#include "guest.h"

static void work(void)
{
	uint64_t n = 20000000;

	__asm__ volatile("1: decq %0; jnz 1b" : "+r"(n) : : "cc");
	CHECK(n == 0);
}

static void on_irq8(struct g_frame *f)
{
	g_irq_count[f->vector]++;
	outb(0x70, 0x8c);
	(void)inb(0x71);
	g_pic_eoi(8);
}

int main(void)
{
	unsigned i, open;

	g_apic_enable();
	g_pic_init(0x20);
	for (i = 0x30; i < 0x100; i++)
		g_handler[i] = g_count_apic;
	for (i = 0x20; i < 0x30; i++)
		g_handler[i] = g_count_pic;
	g_handler[0x28] = on_irq8;
	for (open = 0; open < 2; open++) {
		g_pit_start(2, 2);
		g_pic_mask(0);
		outb(0x70, 0x8a);
		outb(0x71, 0x23); /* 8192 Hz */
		outb(0x70, 0x8b);
		outb(0x71, 0x72); /* periodic, alarm, update */
		g_apic_write(APIC_TDCR, 0xb);
		g_apic_write(APIC_LVT_TIMER, LVT_PERIODIC | 0x50);
		g_apic_write(APIC_TMICT, 1);
		if (open)
			sti();
		work();
		cli();
		g_apic_write(APIC_LVT_TIMER, LVT_DEADLINE | 0x51);
		for (i = 0; i < 100; i++)
			wrmsr(MSR_TSC_DEADLINE, i);
		if (open)
			sti();
		work();
		cli();
		g_print("# lapic %u pit %u rtc %u\n", g_irq_count[0x50], g_irq_count[0x20],
			g_irq_count[0x28]);
	}
	CHECK(g_irq_count[0x50] > 0);
	CHECK(g_irq_count[0x20] > 0);
	return g_result();
}
