/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * 16550 UART at 0x3f8: registers, FIFO identification, loopback, transmitter-empty and receive interrupts by
 * IRQ 4 through the I/O APIC. PC16550D data sheet.
 */
#include "guest.h"

#define COM1   0x3f8
#define VECTOR 0x44

static volatile uint8_t last_iir;

static void on_irq(struct g_frame *f)
{
	last_iir = inb(COM1 + 2);
	g_irq_count[f->vector]++;
	g_apic_eoi();
}

static void check_registers(void)
{
	unsigned i;

	for (i = 0; i < 256; i += 51) {
		outb(COM1 + 7, (uint8_t)i);
		CHECK(inb(COM1 + 7) == i);
	}
	outb(COM1 + 1, 0xff);
	CHECK(inb(COM1 + 1) == 0x0f);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x80);
	outb(COM1, 0x34);
	outb(COM1 + 1, 0x12);
	CHECK(inb(COM1) == 0x34 && inb(COM1 + 1) == 0x12);
	outb(COM1, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x03);
	CHECK(inb(COM1 + 3) == 0x03);
	outb(COM1 + 2, 0x07);
	CHECK((inb(COM1 + 2) & 0xc0) == 0xc0);
	outb(COM1 + 2, 0);
	CHECK((inb(COM1 + 2) & 0xc0) == 0);
	outb(COM1 + 2, 0x07);
	CHECK((inb(COM1 + 5) & 0x60) == 0x60);
}

static void check_loopback(void)
{
	unsigned i;

	outb(COM1 + 4, 0x1f); /* loop, and all outputs */
	CHECK((inb(COM1 + 6) & 0xf0) == 0xf0);
	outb(COM1 + 4, 0x10);
	CHECK((inb(COM1 + 6) & 0xf0) == 0);
	outb(COM1 + 2, 0x07);
	for (i = 0; i < 10; i++) {
		outb(COM1, (uint8_t)(0x41 + i));
		g_delay_us(200);
	}
	for (i = 0; i < 10; i++) {
		CHECK(inb(COM1 + 5) & 1);
		CHECK(inb(COM1) == 0x41 + i);
	}
	CHECK(!(inb(COM1 + 5) & 1));
}

static void check_interrupts(void)
{
	g_handler[VECTOR] = on_irq;
	g_ioapic_route(4, VECTOR, g_apic_read(APIC_ID) >> 24);
	outb(COM1 + 2, 0x07);
	outb(COM1 + 4, 0x18); /* loop, OUT2 (which keeps the line open on a PC) */
	outb(COM1 + 1, 0x01);
	outb(COM1, 'x');
	sti();
	g_delay_us(5000);
	cli();
	CHECK(inb(COM1) == 'x');
	outb(COM1 + 1, 0);
	outb(COM1 + 4, 0x0b); /* RTS, DTR, OUT2 */
	g_irq_count[VECTOR] = 0;
	outb(COM1 + 1, 0x02); /* the transmitter is empty: comes at once */
	sti();
	g_delay_us(2000);
	cli();
	CHECK(g_irq_count[VECTOR] >= 1);
	CHECK((last_iir & 0x0f) == 0x02);
	g_irq_count[VECTOR] = 0;
	outb(COM1, 'u');
	sti_hlt();
	CHECK(g_irq_count[VECTOR] == 1);
	outb(COM1, '\n');
	sti_hlt();
	outb(COM1 + 1, 0);
	CHECK(inb(COM1 + 2) & 1); /* nothing pending */
}

int main(void)
{
	g_apic_enable();
	check_registers();
	check_loopback();
	check_interrupts();
	return g_result();
}
