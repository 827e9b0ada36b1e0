/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Task priority: CR8 and the TPR register are one thing; classes at or below it wait. AMD APM 24593 r3.42
 * section 16.6.4; SDM 3A section 10.8.6.
 */
#include "guest.h"

static void open_window(void)
{
	sti();
	__asm__ volatile("nop; nop");
	(void)cpuid(0, 0);
	cli();
}

static void check_classes(void)
{
	unsigned class, tpr;
	uint32_t before;

	for (class = 3; class < 16; class += 4) {
		for (tpr = 0; tpr < 16; tpr++) {
			uint8_t vector = (uint8_t)(class << 4 | 1);

			before = g_irq_count[vector];
			CHECK(try_write_cr8(tpr) == X_NONE);
			g_apic_icr(0, ICR_SELF | vector);
			open_window();
			CHECK_M(g_irq_count[vector] == before + (class > tpr), "class %u, tpr %u\n",
				class, tpr);
			CHECK(try_write_cr8(0) == X_NONE);
			open_window();
			CHECK(g_irq_count[vector] == before + 1);
		}
	}
}

int main(void)
{
	unsigned i;

	g_apic_enable();
	for (i = 0x30; i < 0x100; i++)
		g_handler[i] = g_count_apic;
	for (i = 0; i < 16; i++) {
		CHECK(try_write_cr8(i) == X_NONE);
		CHECK(g_apic_read(APIC_TPR) == i << 4);
		CHECK(g_apic_read(APIC_PPR) == i << 4);
		g_apic_write(APIC_TPR, (15 - i) << 4 | 5);
		CHECK(read_cr8() == 15 - i);
		CHECK(g_apic_read(APIC_TPR) == ((15 - i) << 4 | 5));
	}
	CHECK(try_write_cr8(0) == X_NONE);
	check_classes();
	return g_result();
}
