/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Boundary and random values into MSRs, known and unknown, xAPIC and x2APIC: each write is taken or raises #GP(0).
 * Left out is what may legally destroy this guest: INIT and start-up commands, a clock page inside its own image.
 */
#include "guest.h"

static unsigned faults, taken;

static bool spared(uint32_t msr)
{
	return msr == MSR_APIC_BASE || msr == 0x830; /* ICR: see icr() */
}

static uint64_t value(unsigned i)
{
	static const uint64_t edges[] = {0,	     ~0ull,	 1ull << 63,
					 1ull << 32, 0xffffffff, 0x00008000deadb000ull};

	return i % 2 ? edges[i / 2 % G_NELEM(edges)] : g_random();
}

static void try_msr(uint32_t msr, unsigned i)
{
	uint64_t v, old;
	int readable = try_rdmsr(msr, &old) == X_NONE;

	CHECK(g_fault == X_NONE || (g_fault == X_GP && g_fault_error == 0));
	if (spared(msr))
		return;
	v = value(i);
	if (msr >> 4 == 0x4b564d0 || msr == 0x11 || msr == 0x12)
		v |= 1ull << 45; /* no page of ours */
	if (try_wrmsr(msr, v) == X_NONE)
		taken++;
	else
		faults++;
	CHECK_M(g_fault == X_NONE || (g_fault == X_GP && g_fault_error == 0),
		"wrmsr %x: vector %d error %lx\n", msr, g_fault, g_fault_error);
	if (readable && (msr < 0x800 || msr > 0x8ff))
		(void)try_wrmsr(msr, old);
}

static void ranges(void)
{
	static const struct {
		uint32_t first, count;
	} known[] = {{0, 0x800},	 {0x800, 0x100},      {0xc80, 0x20},
		     {0xd90, 0x20},	 {0x40000000, 0x110}, {0x4b564d00, 0x10},
		     {0xc0000080, 0x90}, {0xc0000100, 0x10},  {0xc0010000, 0x120},
		     {0xc0011000, 0x40}};
	unsigned i, k;

	for (i = 0; i < G_NELEM(known); i++)
		for (k = 0; k < known[i].count; k++)
			try_msr(known[i].first + k, i + k);
	for (i = 0; i < 1000; i++)
		try_msr((uint32_t)g_random(), i);
	/* twice and more into what is known to be there */
	for (i = 0; i < 2000; i++) {
		static const uint32_t live[] = {
			0x10,	    0x174,	0x175,	    0x176,	0x1d9,	    0x200,
			0x201,	    0x250,	0x277,	    0x2ff,	0x6e0,	    0x3a,
			0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000102, 0xc0000103,
			0x4b564d00, 0x4b564d01, 0x4b564d03, 0x4b564d04};

		try_msr(live[g_random() % G_NELEM(live)], i);
	}
}

/* Any command but INIT, start-up, NMI and SMI. */
static void icr(void)
{
	unsigned i;

	for (i = 0; i < 500; i++)
		(void)try_wrmsr(0x830, g_random() & ~0x700ull);
}

static void ignore(struct g_frame *f)
{
	(void)f;
}

int main(void)
{
	uint64_t seed = 0x5eed0002;

	g_seed(seed);
	g_print("# seed %lx\n", seed);
	g_handler[X_NMI] = ignore;
	ranges();
	g_x2apic_enable();
	ranges();
	icr();
	g_print("# %u writes taken, %u refused\n", taken, faults);
	CHECK(taken > 100 && faults > 1000);
	return g_result();
}
