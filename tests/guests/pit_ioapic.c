/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The i8254 through the I/O APIC: redirection entries, mask, EOI of an edge interrupt, ID and version
 * registers. Intel 82093AA data sheet; the MADT says which pin IRQ 0 is on (ACPI 6.4 section 5.2.12.5).
 */
#include "guest.h"

#define VECTOR 0x41

/* Global interrupt of ISA IRQ @irq by the MADT's source overrides. */
static unsigned madt_pin(unsigned irq)
{
	const uint8_t *madt = g_acpi_table("APIC"), *p, *end;

	if (!madt)
		return irq;
	end = madt + *(const uint32_t *)(madt + 4);
	for (p = madt + 44; p + 2 <= end && p[1] >= 2; p += p[1])
		if (p[0] == 2 && p[3] == irq)
			return *(const uint32_t *)(p + 4);
	return irq;
}

int main(void)
{
	unsigned pin = madt_pin(0), pins;
	uint32_t before;

	CHECK(g_acpi_table("APIC"));
	g_apic_enable();
	g_handler[VECTOR] = g_count_apic;
	CHECK((g_ioapic_read(1) & 0xff) >= 0x11);
	pins = (g_ioapic_read(1) >> 16 & 0xff) + 1;
	CHECK_M(pins == 24, "%u pins\n", pins);
	g_ioapic_write(
		0x10 + 2 * 20,
		0x1a055); /* what can be written can be read, status bits cannot be written */
	CHECK((g_ioapic_read(0x10 + 2 * 20) & ~0x5000u) == 0x1a055);
	g_ioapic_write(0x10 + 2 * 20, LVT_MASKED);

	g_pit_start(2, 1193);
	g_ioapic_route(pin, VECTOR, g_apic_read(APIC_ID) >> 24);
	while (g_irq_count[VECTOR] < 10)
		sti_hlt();
	CHECK((g_ioapic_read(0x10 + 2 * pin) & 0x1ffff) == VECTOR);
	g_ioapic_route(pin, LVT_MASKED | VECTOR, 0);
	sti();
	g_delay_us(3000);
	before = g_irq_count[VECTOR];
	g_delay_us(5000);
	CHECK(g_irq_count[VECTOR] == before);

	/* logical destination, flat: LDR bit 1 */
	g_apic_write(APIC_LDR, 0x02000000);
	g_apic_write(APIC_DFR, 0xffffffff);
	g_ioapic_route(pin, 0x800 | VECTOR, 0x02);
	cli();
	while (g_irq_count[VECTOR] < before + 5)
		sti_hlt();
	g_ioapic_route(pin, 0x800 | VECTOR, 0x04); /* to nobody */
	before = g_irq_count[VECTOR];
	sti();
	g_delay_us(5000);
	CHECK(g_irq_count[VECTOR] <= before + 1);
	return g_result();
}
