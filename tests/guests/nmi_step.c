/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NMIs and single-stepping do not get into each other's way. One NMI becomes pending together with a trap of the
 * guest's own TF and must come once, after the #DB; and the way the VMM finds the end of an NMI handler leaves
 * no trace in DR6. AMD APM 24593 r3.42 sections 8.5, 13.1.1.3 and 15.20.
 */
#include "guest.h"

#define DR6_RESET 0xffff0ff0ull
#define DR6_BS	  (1u << 14)
#define ICR_HIGH  0x310
#define ASSERT	  0x4000

static volatile unsigned nmis, traps;

static void on_nmi(struct g_frame *f)
{
	(void)f;
	nmis++;
}

static void on_db(struct g_frame *f)
{
	(void)f;
	traps++;
}

static uint64_t dr6(void)
{
	uint64_t v;

	__asm__ volatile("mov %%db6, %0" : "=r"(v));
	return v;
}

static void exits(void)
{
	unsigned i;

	for (i = 0; i < 100; i++)
		(void)cpuid(0, 0);
}

int main(void)
{
	uint32_t id;

	g_apic_enable();
	id = g_apic_read(APIC_ID) >> 24;
	g_handler[X_NMI] = on_nmi;
	g_handler[X_DB] = on_db;

	__asm__ volatile("mov %0, %%db6" : : "r"(DR6_RESET));
	g_apic_icr(id, ASSERT | ICR_NMI);
	exits();
	CHECK(nmis == 1);
	CHECK(!(dr6() & DR6_BS));

	nmis = 0;
	g_apic_write(ICR_HIGH, id << 24);
	/* The store exits, is emulated, sends the NMI and traps, all at once. */
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq\n"
			 "movl %0, (%1)\n"
			 "pushfq; andl $~0x100, (%%rsp); popfq\n"
			 :
			 : "r"(ASSERT | ICR_NMI), "r"(0xfee00300ull)
			 : "memory", "cc");
	exits();
	CHECK(traps >= 1);
	CHECK(nmis == 1);
	sti();
	exits();
	CHECK(nmis == 1);
	return g_result();
}
