/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * More vcpus than CPUs, all at one fair lock: whoever is next may not run, and the others spin. Every vcpu gets the
 * lock as often as it wants it, and nobody else is in at the same time.
 */
#include "guest.h"

#define VCPUS	 4
#define TURNS	 10
#define MAX_WAIT 100000 /* ms */

static volatile uint32_t next_ticket, now_serving, inside, turns[VCPUS], overlaps, done;

static void lock(void)
{
	uint32_t ticket = __atomic_fetch_add(&next_ticket, 1, __ATOMIC_SEQ_CST);

	while (__atomic_load_n(&now_serving, __ATOMIC_SEQ_CST) != ticket)
		relax();
}

static void unlock(void)
{
	__atomic_store_n(&now_serving, now_serving + 1, __ATOMIC_SEQ_CST);
}

static void work(unsigned self)
{
	unsigned i;

	for (i = 0; i < TURNS; i++) {
		lock();
		overlaps += inside++ != 0;
		turns[self]++;
		inside--;
		unlock();
	}
	__atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
}

static void other(void)
{
	g_apic_enable();
	work(cpuid(0xb, 0).d);
	for (;;)
		sti_hlt();
}

int main(void)
{
	uint64_t end;
	unsigned i;

	g_apic_enable();
	for (i = 1; i < VCPUS; i++)
		g_start_ap(i, other);
	work(0);
	end = rdtsc() + (uint64_t)g_tsc_khz() * MAX_WAIT;
	while (done < VCPUS && rdtsc() < end)
		relax();
	for (i = 0; i < VCPUS; i++)
		CHECK_M(turns[i] == TURNS, "vcpu %u: %u turns\n", i, turns[i]);
	CHECK(overlaps == 0);
	CHECK(done == VCPUS);
	return g_result();
}
