/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A level-triggered line of the I/O APIC that stays up: each EOI brings its interrupt back, until it goes down; the
 * EOI of an edge-triggered one in between does not count. Memory-mapped and by MSR. SDM 3A sections 10.8.4, 10.8.5;
 * Intel 82093AA data sheet.
 */
#include "guest.h"

#define LEVEL	   0x52
#define EDGE	   0x91
#define IRQ	   4 /* the UART: its transmitter is always empty */
#define IER	   (0x3f8 + 1)
#define MCR	   (0x3f8 + 4)
#define REMOTE_IRR 0x4000u
#define TIMES	   5

static uint32_t entry(void)
{
	return g_ioapic_read(0x10 + 2 * IRQ);
}

static bool bit_of(uint32_t reg, unsigned vector)
{
	return g_apic_read(reg + 0x10 * (vector / 32)) >> vector % 32 & 1;
}

static void edge(struct g_frame *f)
{
	CHECK(bit_of(APIC_ISR, LEVEL) && bit_of(APIC_ISR, EDGE));
	CHECK(!bit_of(APIC_TMR, EDGE));
	g_irq_count[f->vector]++;
	g_apic_eoi();
	CHECK(entry() & REMOTE_IRR);
}

static void level(struct g_frame *f)
{
	CHECK(entry() & REMOTE_IRR);
	CHECK(bit_of(APIC_TMR, LEVEL));
	g_apic_icr(0, ICR_SELF | EDGE);
	sti();
	__asm__ volatile("nop; nop");
	cli();
	if (++g_irq_count[f->vector] % TIMES == 0)
		outb(IER, 0); /* down */
	g_apic_eoi();
}

static void run(void)
{
	uint32_t levels = g_irq_count[LEVEL], edges = g_irq_count[EDGE];

	g_ioapic_route(IRQ, 0x8000 | LEVEL, 0);
	outb(IER, 0x02);
	while (g_irq_count[LEVEL] < levels + TIMES)
		sti_hlt();
	sti();
	__asm__ volatile("nop; nop");
	cli();
	CHECK(g_irq_count[LEVEL] == levels + TIMES);
	CHECK(g_irq_count[EDGE] == edges + TIMES);
	CHECK(!(entry() & REMOTE_IRR));
	g_ioapic_route(IRQ, LVT_MASKED, 0);
}

int main(void)
{
	g_apic_enable();
	g_handler[LEVEL] = level;
	g_handler[EDGE] = edge;
	outb(MCR, 0x08);
	run();
	if (cpuid(1, 0).c >> 21 & 1) {
		g_x2apic_enable();
		run();
	}
	return g_result();
}
