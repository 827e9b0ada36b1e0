/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NMI by the local APIC: comes with IF off, once, not inside an NMI handler but right after its IRET, and
 * wakes from HLT. AMD APM 24593 r3.42 section 8.2.3.
 */
#include "guest.h"

static volatile unsigned nmis, depth, nested;
static volatile bool send_more;
static uint32_t id;

static void send_nmi(void)
{
	g_apic_icr(id, 0x4000 | ICR_NMI);
}

static void handler(struct g_frame *f)
{
	(void)f;
	nmis++;
	if (depth++)
		nested++;
	if (send_more) {
		send_more = false;
		send_nmi();
		send_nmi(); /* no third one: the latch holds one */
		(void)cpuid(0, 0);
		__asm__ volatile("nop; nop; nop");
	}
	depth--;
}

int main(void)
{
	g_apic_enable();
	id = g_apic_read(APIC_ID) >> 24;
	g_handler[X_NMI] = handler;
	send_nmi();
	__asm__ volatile("nop; nop");
	CHECK(nmis == 1);
	send_nmi();
	(void)cpuid(0, 0);
	CHECK(nmis == 2);

	send_more = true;
	send_nmi();
	__asm__ volatile("nop; nop");
	(void)cpuid(0, 0);
	CHECK_M(nmis == 4, "%u NMIs\n", nmis);
	CHECK(nested == 0);

	/* a periodic timer interrupt comes on as well, NMIs do not upset it */
	g_handler[0x50] = g_count_apic;
	g_apic_write(APIC_TDCR, 0xb);
	g_apic_write(APIC_LVT_TIMER, 0x50);
	g_apic_write(APIC_TMICT, 1000000);
	sti();
	while (!g_irq_count[0x50]) {
		send_nmi();
		(void)inb(0x80);
	}
	cli();
	CHECK(g_irq_count[0x50] == 1);
	CHECK(nested == 0 && nmis > 4);
	return g_result();
}
