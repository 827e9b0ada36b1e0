/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Odd accesses to memory-mapped registers: byte and 8-byte sizes, page-crossing, execution from the APIC page.
 * None may stop the VM; each gives data or an exception to the guest. The sizes' results are undefined by the
 * manuals (SDM 3A 10.4.1), so only survival and the neighbours' values are checked.
 */
#include "guest.h"

int main(void)
{
	uint32_t lvt;
	uint64_t q;
	unsigned i;

	g_apic_enable();
	g_apic_write(APIC_LVT_LINT1, LVT_MASKED | 0x55);
	lvt = g_apic_read(APIC_LVT_LINT1);
	CHECK(lvt == (LVT_MASKED | 0x55));
	for (i = 0; i < 16; i++) {
		(void)*(volatile uint8_t *)(LAPIC + APIC_VERSION + i);
		(void)*(volatile uint16_t *)(LAPIC + APIC_VERSION + i);
		(void)*(volatile uint64_t *)(LAPIC + APIC_VERSION + i);
		(void)*(volatile uint8_t *)(IOAPIC + i);
		(void)*(volatile uint64_t *)(IOAPIC + i);
	}
	__asm__ volatile(G_TRY("movq (%0), %%rax") : : "r"(LAPIC + 0xffc) : "rax", "memory");
	__asm__ volatile(G_TRY("movq %%rax, (%0)") : : "r"(LAPIC + 0xffc) : "rax", "memory");
	__asm__ volatile(G_TRY("movups (%0), %%xmm0") : : "r"(LAPIC + 0x30) : "memory");
	__asm__ volatile(G_TRY("fnstcw (%0)") : : "r"(LAPIC + 0xff0) : "memory");
	__asm__ volatile(G_TRY("fxsave (%0)") : : "r"(LAPIC + 0x800) : "memory");
	__asm__ volatile(G_TRY("cmpxchg16b (%0)") : : "r"(LAPIC + 0x800) : "rax", "rdx", "memory");
	__asm__ volatile(G_TRY("movq (%1), %0")
			 : "=r"(q)
			 : "r"(0xc0000000ull)
			 : "memory"); /* nothing there */
	CHECK(g_fault == X_NONE && q == ~0ull);
	CHECK(g_apic_read(APIC_LVT_LINT1) == lvt);
	CHECK((g_apic_read(APIC_VERSION) & 0xff) >= 0x10);
	return g_result();
}
