/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random and single-bit values into CR0, CR4, CR8, EFER and XCR0: taken, or #GP(0) and unchanged; and whatever is
 * taken can be read back. CR3 is left out: a random page table is a triple fault by right.
 */
#include "guest.h"

static unsigned faults, taken;

static void judge(int vector, uint64_t before, uint64_t after)
{
	if (vector == X_NONE) {
		taken++;
		return;
	}
	faults++;
	CHECK_M(vector == X_GP && g_fault_error == 0 && before == after,
		"vector %d, %lx became %lx\n", vector, before, after);
}

static uint64_t value(unsigned i, uint64_t old)
{
	switch (i % 4) {
	case 0:
		return old ^ 1ull << g_random() % 64;
	case 1:
		return old ^ 1ull << g_random() % 32;
	case 2:
		return old ^ (g_random() & g_random() & g_random() & 0xffffffff);
	default:
		return g_random();
	}
}

#define CR0_UPPER_CHECKED 0xffffffffull /* QEMU's CPU does not look at the rest, see cr.c */

int main(void)
{
	uint64_t seed = 0x5eed0003, cr0 = read_cr0(), cr4 = read_cr4(), efer = rdmsr(MSR_EFER), old,
		 v;
	bool xsave = cpuid(1, 0).c >> 26 & 1;
	unsigned i;

	g_seed(seed);
	g_print("# seed %lx\n", seed);
	for (i = 0; i < 1000; i++) {
		old = read_cr0();
		judge(try_write_cr0(value(i, old) & CR0_UPPER_CHECKED), old, read_cr0());
		if (i % 8 == 0)
			CHECK(try_write_cr0(cr0) == X_NONE);

		old = read_cr4();
		/* SMEP, SMAP and CET with our own pages are fine; what stays on must not trap our own RDTSC */
		judge(try_write_cr4(value(i, old)), old, read_cr4());
		if (i % 8 == 0)
			CHECK(try_write_cr4(cr4) == X_NONE);

		old = read_cr8();
		v = value(i, old);
		judge(try_write_cr8(v), old, read_cr8());
		CHECK(g_fault != X_NONE || read_cr8() == v);

		old = rdmsr(MSR_EFER);
		judge(try_wrmsr(MSR_EFER, value(i, old) | 0x800), old, rdmsr(MSR_EFER));
		(void)try_wrmsr(MSR_EFER, efer);
		if (!xsave || try_write_cr4(cr4 | 1u << 18) != X_NONE)
			continue;
		if (try_xsetbv((uint32_t)g_random() % 3, i & 1 ? g_random() : g_random() & 0xff) ==
		    X_NONE)
			taken++;
		else
			CHECK(g_fault == X_GP);
		CHECK(try_write_cr4(cr4) == X_NONE);
	}
	CHECK(try_write_cr0(cr0) == X_NONE);
	CHECK(try_write_cr8(0) == X_NONE);
	CHECK(taken > 100 && faults > 1000);
	g_print("# %u taken, %u refused\n", taken, faults);
	return g_result();
}
