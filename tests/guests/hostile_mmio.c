/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random values into every register of the local and the I/O APIC, by every width and alignment, and into the
 * holes around them. INIT and start-up commands are left out: they would legally end this guest.
 */
#include "guest.h"

static void ignore(struct g_frame *f)
{
	(void)f;
}

static uint32_t tame(uint64_t pa, uint32_t v)
{
	uint64_t reg = pa & 0xff0;

	if (pa >> 12 != LAPIC >> 12)
		return v;
	if (reg == APIC_ICR)
		return v & ~0x700u; /* fixed delivery only */
	if (reg == APIC_LVT_LINT0 || reg == APIC_LVT_LINT1)
		return v | LVT_MASKED;
	return v;
}

static void poke(uint64_t pa, unsigned form)
{
	uint32_t v = tame(pa, (uint32_t)g_random());
	uint64_t wide = v | (uint64_t)v << 32;
	bool tamed = (pa >> 12 == LAPIC >> 12) &&
		     ((pa & 0xff0) == APIC_ICR || ((pa + 16) & 0xff0) == APIC_ICR ||
		      (pa & 0xff0) == APIC_LVT_LINT0 || (pa & 0xff0) == APIC_LVT_LINT1 ||
		      ((pa + 16) & 0xff0) == APIC_LVT_LINT0);

	switch (form) {
	case 0:
		(void)mmio_read(pa);
		break;
	case 1:
		mmio_write(pa, v);
		break;
	case 2:
		(void)*(volatile uint8_t *)pa;
		break;
	case 3:
		(void)*(volatile uint64_t *)pa;
		break;
	case 4:
		if (!tamed)
			*(volatile uint8_t *)pa = (uint8_t)v;
		break;
	case 5:
		if (!tamed)
			*(volatile uint16_t *)pa = (uint16_t)v;
		break;
	case 6:
		if (!tamed)
			*(volatile uint64_t *)pa = wide;
		break;
	default:
		if (!tamed)
			__asm__ volatile(G_TRY("lock xaddl %0, (%1)")
					 : "+r"(v)
					 : "r"(pa)
					 : "memory");
	}
}

int main(void)
{
	uint64_t seed = 0x5eed0004, pa;
	unsigned i;

	g_seed(seed);
	g_print("# seed %lx\n", seed);
	g_handler[X_NMI] = ignore;
	g_apic_enable();
	for (i = 0; i < 1024; i++)
		poke(LAPIC + 4 * i, i & 1);
	for (i = 0; i < 256; i++) {
		mmio_write(IOAPIC, i);
		(void)mmio_read(IOAPIC + 0x10);
		mmio_write(IOAPIC + 0x10, (uint32_t)g_random() | LVT_MASKED);
	}
	for (i = 0; i < 6000; i++) {
		switch (g_random() % 4) {
		case 0:
			pa = IOAPIC + g_random() % 0x1000;
			break;
		case 1:
			pa = 0xfed00000 + g_random() % 0x100000;
			break;
		default:
			pa = LAPIC + g_random() % 0xff0;
		}
		if (i % 2)
			pa &= ~0xfull;
		poke(pa, (unsigned)(g_random() % 8));
	}
	/* nothing of it may have touched RAM; and a sane configuration works again */
	g_apic_write(APIC_LVT_TIMER, LVT_MASKED);
	g_apic_write(APIC_TMICT, 0);
	for (i = 0; i < 24; i++)
		g_ioapic_write(0x10 + 2 * i, LVT_MASKED);
	g_apic_enable();
	for (i = 0x10; i < 0x100; i++)
		if (i >= 32)
			g_handler[i] = g_count_apic;
	sti(); /* let everything in that is still pending */
	g_delay_us(2000);
	cli();
	for (i = 0; i < 256 && (g_apic_read(APIC_PPR) & 0xf0); i++)
		g_apic_eoi();
	g_irq_count[0x77] = 0;
	g_apic_icr(0, ICR_SELF | 0x77);
	sti_hlt();
	CHECK(g_irq_count[0x77] == 1);
	return g_result();
}
