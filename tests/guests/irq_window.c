/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pending interrupt comes exactly when the guest can take it: after STI, POPF, IRET, a lower TPR; never
 * before. Many rounds, with exits of other kinds in between.
 */
#include "guest.h"

#define VECTOR 0x70

static void window_sti(void)
{
	sti();
	__asm__ volatile("nop; nop");
	cli();
}

static void window_popf(void)
{
	__asm__ volatile("pushfq; orl $0x200, (%%rsp); popfq; nop; cli" : : : "memory", "cc");
}

static void window_iret(void)
{
	uint64_t rsp;

	__asm__ volatile("movq %%rsp, %0\n"
			 "pushq $0x10\n"
			 "pushq %0\n"
			 "pushq $0x202\n"
			 "pushq $0x08\n"
			 "pushq $1f\n"
			 "iretq\n"
			 "1: nop; cli"
			 : "=&r"(rsp)
			 :
			 : "memory");
}

static void window_cr8(void)
{
	CHECK(try_write_cr8(15) == X_NONE);
	sti();
	__asm__ volatile("nop; nop");
	(void)cpuid(0, 0);
	CHECK(g_irq_count[VECTOR] % 4 == 3); /* class 7 is held back */
	CHECK(try_write_cr8(7) == X_NONE);
	__asm__ volatile("nop");
	CHECK(g_irq_count[VECTOR] % 4 == 3);
	CHECK(try_write_cr8(6) == X_NONE);
	__asm__ volatile("nop");
	cli();
	CHECK(try_write_cr8(0) == X_NONE);
}

int main(void)
{
	static void (*const windows[])(void) = {window_sti, window_popf, window_iret, window_cr8};
	uint32_t i, k;

	g_apic_enable();
	g_handler[VECTOR] = g_count_apic;
	for (i = 0; i < 100; i++) {
		for (k = 0; k < G_NELEM(windows); k++) {
			g_apic_icr(0, ICR_SELF | VECTOR);
			if (i % 3 == 1)
				(void)cpuid(i, 0);
			if (i % 3 == 2)
				(void)inb(0x80);
			CHECK(g_irq_count[VECTOR] == 4 * i + k);
			windows[k]();
			CHECK_M(g_irq_count[VECTOR] == 4 * i + k + 1, "round %u, window %u: %u\n",
				i, k, g_irq_count[VECTOR]);
			if (g_irq_count[VECTOR] != 4 * i + k + 1)
				return g_result();
		}
	}
	return g_result();
}
