/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Local APIC timer: one-shot, periodic and TSC-deadline mode, mask, current count, divider, and HLT woken by
 * each; in xAPIC and x2APIC mode. SDM 3A section 10.5.4; AMD APM 24593 r3.42 section 16.4.1.
 */
#include "guest.h"

#define VECTOR 0x50

static uint32_t apic_khz; /* timer ticks at divider 1 */

static void measure(void)
{
	uint64_t start;
	uint32_t ticks;

	g_apic_write(APIC_TDCR, 0xb);
	g_apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR);
	g_apic_write(APIC_TMICT, 0xffffffff);
	start = rdtsc();
	g_delay_us(10000);
	ticks = 0xffffffff - g_apic_read(APIC_TMCCT);
	apic_khz = (uint32_t)((uint64_t)ticks * g_tsc_khz() / (rdtsc() - start));
	g_apic_write(APIC_TMICT, 0);
	CHECK_M(apic_khz > 1000, "timer runs at %u kHz\n", apic_khz);
	g_print("# timer %u kHz, TSC %u kHz\n", apic_khz, g_tsc_khz());
}

static uint64_t us_since(uint64_t tsc)
{
	return (rdtsc() - tsc) * 1000 / g_tsc_khz();
}

static void one_shot(void)
{
	uint64_t start, us;
	unsigned i;

	for (i = 1; i <= 5; i++) {
		g_irq_count[VECTOR] = 0;
		g_apic_write(APIC_LVT_TIMER, VECTOR);
		start = rdtsc();
		g_apic_write(APIC_TMICT, apic_khz * i);
		sti_hlt();
		us = us_since(start);
		CHECK(g_irq_count[VECTOR] == 1);
		CHECK_M(us >= 990 * i, "%u ms timer fired after %lu us\n", i, us);
		CHECK(g_apic_read(APIC_TMCCT) == 0);
		CHECK(g_apic_read(APIC_TMICT) == apic_khz * i);
	}
	sti();
	g_delay_us(5000);
	cli();
	CHECK(g_irq_count[VECTOR] == 1);
}

static void periodic(void)
{
	uint64_t start, us;

	g_irq_count[VECTOR] = 0;
	g_apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR);
	start = rdtsc();
	g_apic_write(APIC_TMICT, apic_khz);
	while (g_irq_count[VECTOR] < 20)
		sti_hlt();
	us = us_since(start);
	CHECK_M(us >= 19000, "20 periods of 1 ms took %lu us\n", us);
	CHECK(g_apic_read(APIC_TMCCT) <= apic_khz);
	g_apic_write(APIC_LVT_TIMER, LVT_MASKED | LVT_PERIODIC | VECTOR);
	g_irq_count[VECTOR] = 0;
	sti();
	g_delay_us(5000);
	cli();
	CHECK(g_irq_count[VECTOR] <= 1); /* masked; one may have been pending */
	g_apic_write(APIC_TMICT, 0);	 /* stop */
	CHECK(g_apic_read(APIC_TMCCT) == 0);
}

static void divider(void)
{
	uint64_t start, us;

	g_apic_write(APIC_TDCR, 0x3); /* by 16 */
	CHECK(g_apic_read(APIC_TDCR) == 0x3);
	g_irq_count[VECTOR] = 0;
	g_apic_write(APIC_LVT_TIMER, VECTOR);
	start = rdtsc();
	g_apic_write(APIC_TMICT, apic_khz / 8); /* 2 ms */
	sti_hlt();
	us = us_since(start);
	CHECK_M(g_irq_count[VECTOR] == 1 && us >= 1980, "2 ms by 16 took %lu us\n", us);
	g_apic_write(APIC_TDCR, 0xb);
}

static void deadline(void)
{
	uint64_t target;
	unsigned i;

	if (!(cpuid(1, 0).c & 1u << 24)) {
		CHECK(!"TSC-deadline mode is offered");
		return;
	}
	g_apic_write(APIC_LVT_TIMER, LVT_DEADLINE | VECTOR);
	g_apic_write(APIC_TMICT, 1000); /* ignored in this mode */
	CHECK(g_apic_read(APIC_TMCCT) == 0);
	for (i = 1; i <= 5; i++) {
		g_irq_count[VECTOR] = 0;
		target = rdtsc() + g_tsc_khz() * i;
		wrmsr(MSR_TSC_DEADLINE, target);
		CHECK(rdmsr(MSR_TSC_DEADLINE) == target);
		sti_hlt();
		CHECK(rdtsc() >= target);
		CHECK(g_irq_count[VECTOR] == 1);
		CHECK(rdmsr(MSR_TSC_DEADLINE) == 0);
	}
	g_irq_count[VECTOR] = 0;
	wrmsr(MSR_TSC_DEADLINE, 1); /* long ago: at once */
	sti();
	g_delay_us(1000);
	CHECK(g_irq_count[VECTOR] == 1);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + g_tsc_khz() * 2);
	wrmsr(MSR_TSC_DEADLINE, 0); /* disarmed */
	g_delay_us(5000);
	cli();
	CHECK(g_irq_count[VECTOR] == 1);
	/* writes are ignored in the other modes */
	g_apic_write(APIC_LVT_TIMER, VECTOR);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 1000);
	CHECK(rdmsr(MSR_TSC_DEADLINE) == 0);
}

int main(void)
{
	g_apic_enable();
	g_handler[VECTOR] = g_count_apic;
	measure();
	one_shot();
	periodic();
	divider();
	deadline();
	g_x2apic_enable();
	CHECK(rdmsr(MSR_APIC_BASE) & 0x400);
	one_shot();
	periodic();
	deadline();
	return g_result();
}
