/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A time stamp counter of another frequency than the machine's: 37 MHz, by the definition (guests.list). Measured against
 * the PM timer, which knows nothing of it; the TSC deadline and kvmclock count the same ticks. A reset of the counter
 * does not change its rate.
 */
#include "guest.h"

#define KHZ	   37000
#define VECTOR	   0x50
#define MSR_SYSTEM 0x4b564d01

#define PORT_PM_TIMER 0x608
#define PM_TIMER_HZ   3579545

static struct {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
} clock __attribute__((aligned(64)));

static uint32_t pm_timer(void)
{
	return inl(PORT_PM_TIMER);
}

/* Microseconds of the PM timer that it took. */
static uint64_t deadline_us(uint64_t ticks)
{
	uint32_t start = pm_timer(), count = g_irq_count[VECTOR];

	wrmsr(MSR_TSC_DEADLINE, rdtsc() + ticks);
	while (g_irq_count[VECTOR] == count)
		sti_hlt();
	return ((pm_timer() - start)) * 1000000ull / PM_TIMER_HZ;
}

static void check_clock(void)
{
	uint64_t ns;

	wrmsr(MSR_SYSTEM, (uint64_t)&clock | 1);
	ns = KHZ * 1000ull;
	ns = clock.shift < 0 ? ns >> -clock.shift : ns << clock.shift;
	ns = (uint64_t)((unsigned __int128)ns * clock.mul >> 32);
	CHECK_M(ns > 999999000 && ns < 1000001000, "a second has %lu ns\n", ns);
	CHECK(rdtsc() - clock.tsc < KHZ * 1000ull);
}

int main(void)
{
	uint32_t khz = g_tsc_khz();
	uint64_t us;

	g_handler[VECTOR] = g_count_apic;
	g_apic_enable();
	g_apic_write(APIC_LVT_TIMER, LVT_DEADLINE | VECTOR);
	CHECK_M(khz > KHZ * 97 / 100 && khz < KHZ * 103 / 100, "%u kHz\n", khz);
	us = deadline_us(KHZ * 10);
	CHECK_M(us >= 9990 && us < 13000, "10 ms took %lu us\n", us);
	wrmsr(MSR_TSC, 1ull << 60);
	CHECK(rdtsc() >= 1ull << 60 && rdtsc() < (1ull << 60) + KHZ * 1000ull);
	us = deadline_us(KHZ * 10);
	CHECK_M(us >= 9990 && us < 13000, "10 ms took %lu us\n", us);
	check_clock();
	g_print("# %u kHz\n", khz);
	return g_result();
}
