/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * x2APIC: registers by MSR, 64-bit ICR, self-IPI register, what raises #GP. SDM 3A section 10.12; AMD APM
 * 24593 r3.42 section 16.9 - 16.12.
 */
#include "guest.h"

#define VECTOR 0x61

int main(void)
{
	uint32_t xapic_id, version;
	uint64_t v;

	g_apic_enable();
	g_handler[VECTOR] = g_count_apic;
	xapic_id = g_apic_read(APIC_ID) >> 24;
	version = g_apic_read(APIC_VERSION);
	CHECK(try_rdmsr(0x802, &v) == X_GP); /* not in xAPIC mode */
	g_x2apic_enable();
	CHECK(rdmsr(0x802) == xapic_id);
	CHECK(rdmsr(0x803) == version);
	CHECK(cpuid(0xb, 0).d == xapic_id || cpuid(0, 0).a < 0xb);
	CHECK(rdmsr(0x80d) == ((uint64_t)(xapic_id >> 4) << 16 | 1u << (xapic_id & 15))); /* LDR */
	CHECK(try_wrmsr(0x802, 0) == X_GP); /* read-only */
	CHECK(try_wrmsr(0x803, 0) == X_GP);
	CHECK(try_wrmsr(0x80d, 0) == X_GP);
	CHECK(try_wrmsr(0x80a, 0) == X_GP);
	CHECK(try_wrmsr(0x810, 0) == X_GP);	/* ISR */
	CHECK(try_wrmsr(0x839, 0) == X_GP);	/* current count */
	CHECK(try_rdmsr(0x80b, &v) == X_GP);	/* EOI is write-only */
	CHECK(try_rdmsr(0x83f, &v) == X_GP);	/* and so is self-IPI */
	CHECK(try_rdmsr(0x80e, &v) == X_GP);	/* no DFR */
	CHECK(try_rdmsr(0x831, &v) == X_GP);	/* no second half of the ICR */
	CHECK(try_wrmsr(0x80b, 1) == X_GP);	/* EOI takes 0 only */
	CHECK(try_wrmsr(0x808, 0x100) == X_GP); /* reserved bits of TPR */
	CHECK(try_wrmsr(0x808, 1ull << 32) == X_GP);
	CHECK(try_wrmsr(0x83f, 0x100 | VECTOR) == X_GP);

	wrmsr(0x83f, VECTOR);
	CHECK(rdmsr(0x820 + VECTOR / 32) == 1u << VECTOR % 32); /* IRR */
	sti();
	__asm__ volatile("nop; nop");
	cli();
	CHECK(g_irq_count[VECTOR] == 1);
	wrmsr(0x830, (uint64_t)xapic_id << 32 | 0x4000 | VECTOR);
	sti();
	__asm__ volatile("nop; nop");
	cli();
	CHECK(g_irq_count[VECTOR] == 2);
	wrmsr(0x830, ICR_SELF | VECTOR);
	sti();
	__asm__ volatile("nop; nop");
	cli();
	CHECK(g_irq_count[VECTOR] == 3);
	CHECK(mmio_read(LAPIC + APIC_VERSION) != version); /* the memory page is off in this mode */
	return g_result();
}
