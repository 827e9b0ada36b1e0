/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSRs: unknown ones raise #GP(0), known ones check what is written to them.
 * AMD APM 24593 r3.42 appendix A, sections 3.2, 7.7, 7.8; SDM 3A 10.12.5 (APIC base).
 */
#include "guest.h"

#define PAT	  0x277
#define MTRR_DEF  0x2ff
#define EFER_SCE  0x001u
#define EFER_LME  0x100u
#define EFER_LMA  0x400u
#define EFER_NXE  0x800u
#define EFER_SVME 0x1000u

static void check_unknown(void)
{
	static const uint32_t unknown[] = {0x5,	       0x1234,	   0x9999,     0x40000000,
					   0x400000ff, 0x4b564dff, 0xc0001000, 0xc0011fff,
					   0xfffffffe, 0xffffffff};
	uint64_t v;
	unsigned i;

	for (i = 0; i < G_NELEM(unknown); i++) {
		CHECK_M(try_rdmsr(unknown[i], &v) == X_GP, "rdmsr %x\n", unknown[i]);
		CHECK(g_fault_error == 0);
		CHECK_M(try_wrmsr(unknown[i], 0) == X_GP, "wrmsr %x\n", unknown[i]);
		CHECK(g_fault_error == 0);
	}
}

static void check_readable(void)
{
	static const uint32_t known[] = {MSR_TSC,    MSR_APIC_BASE, PAT,	MTRR_DEF,
					 0xfe,	     0x250,	    0x174,	0x175,
					 0x176,	     MSR_EFER,	    0xc0000081, 0xc0000082,
					 0xc0000083, 0xc0000084,    0xc0000100, 0xc0000101,
					 0xc0000102, 0x200,	    0x201,	MSR_TSC_DEADLINE};
	uint64_t v;
	unsigned i;

	for (i = 0; i < G_NELEM(known); i++)
		CHECK_M(try_rdmsr(known[i], &v) == X_NONE, "rdmsr %x\n", known[i]);
}

/* Plain storage keeps what is written. */
static void check_storage(void)
{
	static const uint32_t canonical[] = {0xc0000081, 0xc0000082, 0xc0000083, 0xc0000100,
					     0xc0000101, 0xc0000102, 0x175,	 0x176};
	uint64_t old, v, pattern;
	unsigned i;

	for (i = 0; i < G_NELEM(canonical); i++) {
		pattern = 0x00007edcba987000ull + i;
		old = rdmsr(canonical[i]);
		CHECK(try_wrmsr(canonical[i], pattern) == X_NONE);
		(void)cpuid(0, 0); /* an exit in between must not lose it */
		v = rdmsr(canonical[i]);
		wrmsr(canonical[i], old);
		CHECK_M(v == pattern, "msr %x: %lx\n", canonical[i], v);
	}
}

static void check_pat(void)
{
	uint64_t old = rdmsr(PAT);

	CHECK_M(old == 0x0007040600070406ull, "PAT after reset: %lx\n", old);
	CHECK(try_wrmsr(PAT, 0x0007040600070402ull) == X_GP);
	CHECK(try_wrmsr(PAT, 0x0307040600070406ull) == X_GP);
	CHECK(try_wrmsr(PAT, 0x0807040600070406ull) == X_GP);
	CHECK(try_wrmsr(PAT, 0x0007010600070106ull) == X_NONE);
	CHECK(rdmsr(PAT) == 0x0007010600070106ull);
	wrmsr(PAT, old);
}

static void check_mtrr(void)
{
	uint64_t old = rdmsr(MTRR_DEF);

	CHECK(try_wrmsr(MTRR_DEF, 0x802) == X_GP); /* no such type */
	CHECK(try_wrmsr(MTRR_DEF, old | 1ull << 63) == X_GP);
	CHECK(try_wrmsr(MTRR_DEF, 0x806) == X_NONE);
	CHECK(rdmsr(MTRR_DEF) == 0x806);
	wrmsr(MTRR_DEF, old);
	CHECK(try_wrmsr(0xfe, 0) == X_GP); /* read-only */
}

static void check_efer(void)
{
	uint64_t old = rdmsr(MSR_EFER);

	CHECK((old & (EFER_LME | EFER_LMA | EFER_NXE)) == (EFER_LME | EFER_LMA | EFER_NXE));
	CHECK(try_wrmsr(MSR_EFER, old & ~EFER_LME) == X_GP); /* paging is on */
	CHECK(try_wrmsr(MSR_EFER, old | 1ull << 63) == X_GP);
	CHECK(try_wrmsr(MSR_EFER, old | 1u << 1) == X_GP);
	CHECK(try_wrmsr(MSR_EFER, old | EFER_SVME) == X_GP); /* CPUID says there is no SVM */
	CHECK(rdmsr(MSR_EFER) == old);
	CHECK(try_wrmsr(MSR_EFER, old | EFER_SCE) == X_NONE);
	CHECK(rdmsr(MSR_EFER) == (old | EFER_SCE));
	wrmsr(MSR_EFER, old);
}

static void check_apic_base(void)
{
	uint64_t old = rdmsr(MSR_APIC_BASE);

	CHECK_M(old == 0xfee00900, "APIC base %lx\n", old);
	CHECK(try_wrmsr(MSR_APIC_BASE, old | 1) == X_GP);
	CHECK(try_wrmsr(MSR_APIC_BASE, old | 1ull << 60) == X_GP);
	CHECK(try_wrmsr(MSR_APIC_BASE, (old & ~0x800ull) | 0x400) ==
	      X_GP); /* x2APIC without enable */
	CHECK(rdmsr(MSR_APIC_BASE) == old);
	CHECK(try_wrmsr(MSR_APIC_BASE, old | 0x400) == X_NONE);
	CHECK(try_wrmsr(MSR_APIC_BASE, old) == X_GP); /* from x2APIC only to off */
	CHECK(try_wrmsr(MSR_APIC_BASE, old & ~0xc00ull) == X_NONE);
	CHECK(try_wrmsr(MSR_APIC_BASE, old) == X_NONE);
	CHECK(rdmsr(MSR_APIC_BASE) == old);
}

int main(void)
{
	check_unknown();
	check_readable();
	check_storage();
	check_pat();
	check_mtrr();
	check_efer();
	check_apic_base();
	return g_result();
}
