/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A second vcpu: starts by INIT and start-up IPI, takes fixed interrupts and NMIs, sees the same memory and
 * TSC, HLTs and wakes; a third IPI form: broadcast. MADT and CPUID know how many there are.
 */
#include "guest.h"

#define VECTOR 0x60
#define REPLY  0x61

static volatile uint32_t pings, second_id, nmis, locked;
static volatile uint64_t second_tsc;

static void on_ping(struct g_frame *f)
{
	(void)f;
	__atomic_add_fetch(&pings, 1, __ATOMIC_SEQ_CST);
	g_apic_eoi();
	g_apic_icr(0, 0x4000 | REPLY);
}

static void on_nmi(struct g_frame *f)
{
	(void)f;
	nmis++;
}

static void second(void)
{
	uint32_t i;

	g_apic_enable();
	second_tsc = rdtsc();
	for (i = 0; i < 20000; i++)
		__atomic_add_fetch(&locked, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&second_id, (g_apic_read(APIC_ID) >> 24) + 100, __ATOMIC_SEQ_CST);
	for (;;)
		sti_hlt();
}

static void wait_for(volatile uint32_t *what, uint32_t value)
{
	uint64_t end = rdtsc() + (uint64_t)g_tsc_khz() * 20000;

	while (__atomic_load_n(what, __ATOMIC_SEQ_CST) < value && rdtsc() < end)
		relax();
	CHECK_M(*what >= value, "still %u, expected %u\n", *what, value);
}

static unsigned madt_cpus(void)
{
	const uint8_t *madt = g_acpi_table("APIC"), *p, *end;
	unsigned n = 0;

	if (!madt)
		return 0;
	end = madt + *(const uint32_t *)(madt + 4);
	for (p = madt + 44; p + 2 <= end && p[1] >= 2; p += p[1])
		if (p[0] == 0 && p[4] & 1)
			n++;
	return n;
}

int main(void)
{
	uint32_t i;
	uint64_t tsc;

	g_apic_enable();
	g_handler[VECTOR] = on_ping;
	g_handler[REPLY] = g_count_apic;
	g_handler[X_NMI] = on_nmi;
	CHECK(madt_cpus() == 2);
	CHECK((cpuid(1, 0).b >> 16 & 0xff) >= 2 &&
	      cpuid(1, 0).d >> 28 & 1);	     /* logical processors, HTT */
	CHECK(rdmsr(MSR_APIC_BASE) & 0x100); /* this is the boot CPU */
	tsc = rdtsc();
	g_start_ap(1, second);
	for (i = 0; i < 20000; i++)
		__atomic_add_fetch(&locked, 1, __ATOMIC_SEQ_CST);
	wait_for(&second_id, 101);
	CHECK(second_id == 101);
	CHECK(locked == 40000);
	CHECK(second_tsc >= tsc && second_tsc <= rdtsc());

	for (i = 1; i <= 100; i++) {
		g_apic_icr(1, 0x4000 | VECTOR);
		while (g_irq_count[REPLY] < i)
			sti_hlt();
	}
	CHECK(pings == 100);
	g_apic_icr(0, ICR_ALL_BUT_SELF | 0x4000 | VECTOR);
	while (g_irq_count[REPLY] < 101)
		sti_hlt();
	CHECK(pings == 101);
	g_apic_icr(1, 0x4000 | ICR_NMI);
	wait_for(&nmis, 1);
	CHECK(nmis == 1);

	/* INIT stops it; it starts again with nothing left of before */
	g_apic_icr(1, 0x4500);
	second_id = 0;
	locked = 20000;
	g_start_ap(1, second);
	wait_for(&second_id, 101);
	CHECK(locked == 40000);
	return g_result();
}
