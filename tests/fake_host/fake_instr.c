/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_instr.c
 * The simulated CPU behind instr/host/x86.h: CPUID by a table (a Zen-like CPU, with features that a
 * guest must not be shown), XCR0 and TSC_AUX per thread, debug registers, and other MSRs as far as a
 * test sets them. XSAVE itself is executed for real.
 */
#include "fake_arch.h" /* fake_cpuid_set() */

#include "host/x86.h"
#include "fake_priv.h"
#include "palacios/regs.h"

#define INSTR_XCR0_ALL 0x207u  /* x87, SSE, AVX, protection keys */
#define INSTR_XSS      0x1800u /* the host's: CET */
#define INSTR_MAX_SET  32
#define INSTR_MAX_MSRS 128
#define INSTR_DR7_IDLE 0x400ull
#define INSTR_CR4                                                                                  \
	(V3_CR4_PAE | V3_CR4_PGE | V3_CR4_OSFXSR | V3_CR4_OSXMMEXCPT | V3_CR4_OSXSAVE |            \
	 V3_CR4_FSGSBASE)

struct instr_leaf {
	uint32_t leaf, sub;
	uint32_t r[4]; /* EAX, EBX, ECX, EDX */
};

static const struct instr_leaf instr_leaves[] = {
	{0x00, 0, {0x10, 0x68747541, 0x444d4163, 0x69746e65}}, /* AuthenticAMD */
	{0x01,
	 0,
	 {0x00a20f10, 0x01020800, 0x7efa320b,
	  0x178bfbff}}, /* APIC id 1, 2 threads, MONITOR, MCA, HTT */
	{0x06, 0, {0x00000004, 0, 1, 0}},
	{0x07, 0, {0, 0x219c97ab, 0x0040068c, 0x00000010}}, /* PKU, PQM, RDT ... */
	{0x0d, 0, {INSTR_XCR0_ALL, 832, 2696, 0}},
	{0x0d, 1, {0x0f, 832, 0x1800, 0}},
	{0x0d, 2, {256, 576, 0, 0}},
	{0x0d, 9, {8, 2688, 0, 0}},
	{0x80000000, 0, {0x80000023, 0x68747541, 0x444d4163, 0x69746e65}},
	{0x80000001, 0, {0x00a20f10, 0x20000000, 0x75c237ff, 0x2fd3fbff}}, /* SVM, TOPOEXT ... */
	{0x80000002,
	 0,
	 {0x656b6146, 0x55504320, 0x726f6620, 0x696e7520}}, /* Fake CPU for unit tests */
	{0x80000003, 0, {0x65742074, 0x20737473, 0x20202020, 0x20202020}},
	{0x80000004, 0, {0x20202020, 0x20202020, 0x20202020, 0x00202020}},
	{0x80000005, 0, {0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140}},
	{0x80000006, 0, {0x48002200, 0x68004200, 0x02006140, 0x01009140}},
	{0x80000007, 0, {0, 0x3b, 0, 0x00006799}},
	{0x80000008, 0, {0x00003030, 0x111ef657, 0x0000400f, 0}},
	{0x8000000a, 0, {1, 0x8000, 0, 0x121bbcff}},
};

static struct instr_leaf instr_set[INSTR_MAX_SET];
static unsigned instr_nset;

static _Thread_local uint64_t instr_xcr0, instr_tsc_aux, instr_xss = INSTR_XSS;

/* MSRs that a test has set, by CPU. */
static struct instr_msr {
	uint32_t cpu, msr;
	uint64_t value;
	unsigned writes;
} instr_msr[INSTR_MAX_MSRS];
static unsigned instr_nmsrs;
static uint64_t instr_cr4;
static uint64_t instr_dr[8]; /* one CPU's: tests of them use one thread */
static unsigned instr_dr_live;
static uint64_t instr_seed, instr_random;

void fake_instr_reset(void)
{
	instr_nset = 0;
	instr_xcr0 = 0;
	instr_xss = INSTR_XSS;
	instr_nmsrs = 0;
	instr_cr4 = INSTR_CR4;
	memset(instr_dr, 0, sizeof(instr_dr));
	instr_dr[7] = INSTR_DR7_IDLE;
	instr_dr_live = 0;
	instr_seed = instr_random = 0;
}

void fake_cpuid_set(uint32_t leaf, uint32_t sub, const uint32_t regs[4])
{
	if (instr_nset == INSTR_MAX_SET)
		abort();
	instr_set[instr_nset].leaf = leaf;
	instr_set[instr_nset].sub = sub;
	memcpy(instr_set[instr_nset++].r, regs, 4 * sizeof(*regs));
}

static bool instr_has_subleaves(uint32_t leaf)
{
	return leaf == 0xd || leaf == 7 || leaf == 4 || leaf == 0x8000001d;
}

/* Leaves without subleaves answer any. */
static const struct instr_leaf *instr_find(const struct instr_leaf *table, unsigned n,
					   uint32_t leaf, uint32_t sub)
{
	while (n-- > 0) {
		if (table[n].leaf == leaf && (table[n].sub == sub || !instr_has_subleaves(leaf)))
			return &table[n];
	}
	return NULL;
}

void fake_instr_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	const struct instr_leaf *found = instr_find(instr_set, instr_nset, leaf, subleaf);

	if (!found)
		found = instr_find(instr_leaves, V3_ARRAY_SIZE(instr_leaves), leaf, subleaf);
	if (found)
		memcpy(out, found->r, sizeof(found->r));
	else
		memset(out, 0, 4 * sizeof(*out));
}

uint64_t fake_instr_cr4(void)
{
	return instr_cr4;
}

void fake_cr4_set(uint64_t value)
{
	instr_cr4 = value;
}

uint64_t fake_instr_read_dr(unsigned n)
{
	return instr_dr[n];
}

void fake_instr_write_dr(unsigned n, uint64_t value)
{
	if (n < 4 && (instr_dr[7] & 0xff))
		instr_dr_live++;
	instr_dr[n] = value;
}

unsigned fake_dr_live_writes(void)
{
	return instr_dr_live;
}

static struct instr_msr *instr_find_msr(uint32_t msr)
{
	for (unsigned i = 0; i < instr_nmsrs; i++) {
		if (instr_msr[i].cpu == fake_self.cpu && instr_msr[i].msr == msr)
			return &instr_msr[i];
	}
	return NULL;
}

void fake_msr_set(uint32_t msr, uint64_t value)
{
	struct instr_msr *m = instr_find_msr(msr);

	if (!m) {
		if (instr_nmsrs == INSTR_MAX_MSRS)
			abort();
		m = &instr_msr[instr_nmsrs++];
		m->cpu = fake_self.cpu;
		m->msr = msr;
	}
	m->value = value;
	m->writes = 0;
}

uint64_t fake_msr_get(uint32_t msr)
{
	const struct instr_msr *m = instr_find_msr(msr);

	return m ? m->value : 0;
}

unsigned fake_msr_writes(uint32_t msr)
{
	const struct instr_msr *m = instr_find_msr(msr);

	return m ? m->writes : 0;
}

/* RDRAND counts; RDSEED has nothing until a test gives it something, once. */
bool fake_instr_random(bool seed, uint64_t *value)
{
	bool ready = !seed || instr_seed;

	*value = seed ? instr_seed : ++instr_random;
	if (seed)
		instr_seed = 0;
	return ready;
}

void fake_seed_set(uint64_t value)
{
	instr_seed = value;
}

/* Whose XCR0 it is: the host's until a thread changes it. */
uint64_t fake_instr_xgetbv(void)
{
	return instr_xcr0 ? instr_xcr0 : INSTR_XCR0_ALL;
}

void fake_instr_xsetbv(uint64_t value)
{
	if (!(value & 1) || value & ~(uint64_t)INSTR_XCR0_ALL || (value & 6) == 4)
		fake_violation("XSETBV %#llx: #GP", (unsigned long long)value);
	if (!fake_self.fpu)
		fake_violation("XSETBV outside fpu_begin() .. fpu_end()");
	instr_xcr0 = value;
}

bool fake_instr_xcr0_is_host(void)
{
	return fake_instr_xgetbv() == INSTR_XCR0_ALL && instr_xss == INSTR_XSS;
}

uint64_t fake_instr_rdmsr(uint32_t msr)
{
	const struct instr_msr *m = instr_find_msr(msr);

	if (m)
		return m->value;
	if (msr == V3_MSR_XSS)
		return instr_xss;
	if (msr != V3_MSR_TSC_AUX)
		fake_violation("RDMSR %#x by code that runs with interrupts on", msr);
	return instr_tsc_aux;
}

void fake_instr_wrmsr(uint32_t msr, uint64_t value)
{
	struct instr_msr *m = instr_find_msr(msr);

	if (m) {
		m->value = value;
		m->writes++;
		return;
	}
	if (msr == V3_MSR_XSS) {
		if (!fake_self.fpu)
			fake_violation("WRMSR of IA32_XSS outside fpu_begin() .. fpu_end()");
		instr_xss = value;
		return;
	}
	if (msr != V3_MSR_TSC_AUX)
		fake_violation("WRMSR %#x by code that runs with interrupts on", msr);
	instr_tsc_aux = value;
}
