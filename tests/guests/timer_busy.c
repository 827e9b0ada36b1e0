/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TSC deadlines of a guest that computes until they come, also with interrupts off: none is early, none is missed, one
 * that was taken back does not come. How the VMM learns of them is in its counters (guests.list).
 */
#include "guest.h"

#define VECTOR 0x50
#define ROUNDS 50

static volatile uint64_t fired_at;

static void fired(struct g_frame *f)
{
	(void)f;
	fired_at = rdtsc();
	g_irq_count[VECTOR]++;
	g_apic_eoi();
}

int main(void)
{
	uint64_t step = g_tsc_khz() / 2, deadline; /* half a millisecond */
	unsigned i;

	g_apic_enable();
	g_handler[VECTOR] = fired;
	g_apic_write(APIC_LVT_TIMER, LVT_DEADLINE | VECTOR);
	sti();
	for (i = 1; i <= ROUNDS; i++) {
		deadline = rdtsc() + step;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		while (g_irq_count[VECTOR] < i && rdtsc() < deadline + 1000 * step)
			;
		CHECK(g_irq_count[VECTOR] == i && fired_at >= deadline);
	}
	for (i = 1; i <= ROUNDS; i++) {
		cli();
		deadline = rdtsc() + step;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		while (rdtsc() < deadline + step)
			;
		CHECK(g_irq_count[VECTOR] == ROUNDS + i - 1);
		sti();
		while (g_irq_count[VECTOR] < ROUNDS + i && rdtsc() < deadline + 1000 * step)
			;
		CHECK(g_irq_count[VECTOR] == ROUNDS + i);
	}
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + step);
	wrmsr(MSR_TSC_DEADLINE, 0);
	g_delay_us(2000);
	CHECK(g_irq_count[VECTOR] == 2 * ROUNDS);
	return g_result();
}
