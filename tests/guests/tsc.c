/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time stamp counter: monotonic by every way of reading it, settable, readable with RDTSCP and its AUX value,
 * guarded by CR4.TSD. AMD APM 24594 r3.34 RDTSC; SDM 3B section 17.17.
 */
#include "guest.h"

static uint64_t rdtscp(uint32_t *aux)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(*aux));
	return lo | (uint64_t)hi << 32;
}

int main(void)
{
	bool has_rdtscp = cpuid(0x80000001, 0).d >> 27 & 1;
	uint64_t last = rdtsc(), now;
	uint32_t aux, i;

	for (i = 0; i < 300; i++) {
		now = rdtsc();
		CHECK(now >= last);
		last = now;
		now = rdmsr(MSR_TSC);
		CHECK(now >= last);
		last = now;
		if (has_rdtscp) {
			now = rdtscp(&aux);
			CHECK(now >= last);
			last = now;
		}
		(void)cpuid(0, 0);
	}
	if (has_rdtscp) {
		CHECK(try_wrmsr(0xc0000103, 0x1234) == X_NONE);
		(void)cpuid(0, 0);
		(void)rdtscp(&aux);
		CHECK(aux == 0x1234);
		CHECK(rdmsr(0xc0000103) == 0x1234);
	}
	now = 0x7700000000000000ull;
	CHECK(try_wrmsr(MSR_TSC, now) == X_NONE);
	CHECK(rdtsc() >= now && rdtsc() - now < 1ull << 40);
	(void)inb(0x80);
	CHECK(rdmsr(MSR_TSC) - now < 1ull << 40);
	CHECK(try_wrmsr(MSR_TSC, 0) == X_NONE);
	CHECK(rdtsc() < 1ull << 40);
	return g_result();
}
