/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Self-IPIs in xAPIC mode: IRR, ISR, priorities, delivery when IF opens, one at a time, edge semantics; wake
 * from HLT. AMD APM 24593 r3.42 sections 16.5, 16.6.
 */
#include "guest.h"

static volatile uint8_t order[8];
static volatile unsigned n;

static void note(struct g_frame *f)
{
	order[n++ & 7] = (uint8_t)f->vector;
	g_apic_eoi();
}

static void nested_high(struct g_frame *f)
{
	order[n++ & 7] = (uint8_t)f->vector;
	g_apic_eoi();
}

/* In a handler of class 4: another of the same class waits, one of class 8 comes in at once. */
static void nested_low(struct g_frame *f)
{
	order[n++ & 7] = (uint8_t)f->vector;
	CHECK(g_apic_read(APIC_ISR + 0x10 * (f->vector / 32)) & 1u << f->vector % 32);
	CHECK(g_apic_read(APIC_PPR) == (f->vector & 0xf0));
	g_apic_icr(0, ICR_SELF | 0x48);
	g_apic_icr(0, ICR_SELF | 0x80);
	sti();
	__asm__ volatile("nop; nop; nop");
	cli();
	CHECK(n == 2);
	g_apic_eoi();
}

int main(void)
{
	unsigned i;

	g_apic_enable();
	for (i = 0x31; i < 0x100; i++)
		g_handler[i] = note;
	/* three pending with IF off come in the order of priority */
	g_apic_icr(0, ICR_SELF | 0x45);
	g_apic_icr(0, ICR_SELF | 0x91);
	g_apic_icr(0, ICR_SELF | 0x62);
	g_apic_icr(0, ICR_SELF | 0x62); /* the second of a kind merges */
	CHECK(n == 0);
	CHECK(g_apic_read(APIC_IRR + 0x20) == 1u << 5);
	CHECK(g_apic_read(APIC_IRR + 0x40) == 1u << 0x11);
	sti();
	__asm__ volatile("nop; nop");
	cli();
	CHECK_M(n == 3 && order[0] == 0x91 && order[1] == 0x62 && order[2] == 0x45,
		"%u: %x %x %x\n", n, order[0], order[1], order[2]);
	for (i = 0; i < 8; i++)
		CHECK(g_apic_read(APIC_IRR + 16 * i) == 0 && g_apic_read(APIC_ISR + 16 * i) == 0);

	n = 0;
	g_handler[0x41] = nested_low;
	g_handler[0x80] = nested_high;
	g_apic_icr(0, ICR_SELF | 0x41);
	sti();
	__asm__ volatile("nop; nop");
	cli();
	CHECK_M(n == 3 && order[0] == 0x41 && order[1] == 0x80 && order[2] == 0x48,
		"%u: %x %x %x\n", n, order[0], order[1], order[2]);

	/* HLT with one already pending does not sleep */
	n = 0;
	g_apic_icr(0, ICR_SELF | 0x55);
	sti_hlt();
	CHECK(n == 1);
	/* a vector below 16 is an error of the sender */
	g_apic_write(APIC_ESR, 0);
	g_apic_icr(0, ICR_SELF | 0x05);
	g_apic_write(APIC_ESR, 0);
	CHECK(g_apic_read(APIC_ESR) & 0x60);
	CHECK(n == 1);
	/* a software-disabled APIC takes no interrupts */
	g_apic_write(APIC_SVR, 0xff);
	g_apic_icr(0, ICR_SELF | 0x55);
	sti();
	__asm__ volatile("nop; nop");
	cli();
	CHECK(n == 1);
	return g_result();
}
