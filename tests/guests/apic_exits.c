/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many times what a kernel does with its local APIC: task priority by CR8, by memory and by MSR, self-IPI and EOI.
 * What exits it costs is told by the VMM's statistics; the word on the command line says which of them to do.
 * SDM 3A chapter 10.
 */
#include "guest.h"

#define VECTOR 0x61
#define TIMES  1000

/* Not by lib/apic.c, which asks IA32_APIC_BASE each time. */
static bool x2;

static void write_tpr(uint32_t value)
{
	if (x2)
		wrmsr(0x808, value);
	else
		mmio_write(LAPIC + APIC_TPR, value);
}

static void handler(struct g_frame *f)
{
	g_irq_count[f->vector]++;
	if (x2)
		wrmsr(0x80b, 0);
	else
		mmio_write(LAPIC + APIC_EOI, 0);
}

static void interrupts(void)
{
	unsigned i;

	sti();
	for (i = 0; i < TIMES; i++) {
		if (x2)
			wrmsr(0x83f, VECTOR);
		else
			mmio_write(LAPIC + APIC_ICR, ICR_SELF | VECTOR);
		__asm__ volatile("nop; nop");
		CHECK(g_irq_count[VECTOR] == i + 1);
	}
	cli();
}

static void priorities(void)
{
	unsigned i;

	for (i = 0; i < TIMES; i++) {
		write_tpr((i & 15) << 4);
		CHECK(read_cr8() == (i & 15));
	}
	write_tpr(0);
}

int main(void)
{
	unsigned i;

	g_apic_enable();
	g_handler[VECTOR] = handler;
	if (g_cmdline_has("x2apic")) {
		g_x2apic_enable();
		x2 = true;
	}
	if (g_cmdline_has("cr8"))
		for (i = 0; i < TIMES; i++)
			CHECK(try_write_cr8(i & 15) == X_NONE);
	CHECK(try_write_cr8(0) == X_NONE);
	if (g_cmdline_has("tpr"))
		priorities();
	if (g_cmdline_has("irq"))
		interrupts();
	return g_result();
}
