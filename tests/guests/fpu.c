/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * x87, SSE and AVX state is this vcpu's own: it survives every kind of exit, HLT, and another vcpu that fills
 * all registers with something else on the same CPU ("smp" on the command line: two vcpus do it).
 */
#include "guest.h"

#define VECTOR 0x50

static bool avx;
static volatile uint32_t done, wrong;

struct fpu_image {
	uint64_t ymm[16][4];
	uint64_t st[8];
	uint16_t control;
	uint32_t mxcsr;
} __attribute__((aligned(32)));

#define EACH16(M)                                                                                  \
	M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15)

static void fpu_load(const struct fpu_image *f)
{
#define LOAD(n)                                                                                    \
	if (avx)                                                                                   \
		__asm__ volatile("vmovups %0, %%ymm" #n : : "m"(*(const char(*)[32])f->ymm[n]));   \
	else                                                                                       \
		__asm__ volatile("movups %0, %%xmm" #n : : "m"(*(const char(*)[16])f->ymm[n]));
	EACH16(LOAD)
	__asm__ volatile("fninit; fldcw %0; ldmxcsr %1" : : "m"(f->control), "m"(f->mxcsr));
	__asm__ volatile("fildll %0; fildll %1; fildll %2"
			 :
			 : "m"(f->st[2]), "m"(f->st[1]), "m"(f->st[0]));
}

static void fpu_store(struct fpu_image *f)
{
#define STORE(n)                                                                                   \
	if (avx)                                                                                   \
		__asm__ volatile("vmovups %%ymm" #n ", %0" : "=m"(*(char(*)[32])f->ymm[n]));       \
	else                                                                                       \
		__asm__ volatile("movups %%xmm" #n ", %0" : "=m"(*(char(*)[16])f->ymm[n]));
	EACH16(STORE)
	__asm__ volatile("fnstcw %0; stmxcsr %1" : "=m"(f->control), "=m"(f->mxcsr));
	__asm__ volatile("fistpll %0; fistpll %1; fistpll %2"
			 : "=m"(f->st[0]), "=m"(f->st[1]), "=m"(f->st[2]));
}

static bool same_image(const struct fpu_image *a, const struct fpu_image *b)
{
	unsigned i, k;

	for (i = 0; i < 16; i++)
		for (k = 0; k < (avx ? 4u : 2u); k++)
			if (a->ymm[i][k] != b->ymm[i][k])
				return false;
	return a->st[0] == b->st[0] && a->st[1] == b->st[1] && a->st[2] == b->st[2] &&
	       a->control == b->control && a->mxcsr == b->mxcsr;
}

static void disturb(unsigned i)
{
	switch (i % 6) {
	case 0:
		(void)cpuid(0, 0);
		break;
	case 1:
		(void)inb(0x80);
		break;
	case 2:
		(void)g_apic_read(APIC_VERSION);
		break;
	case 3:
		(void)rdmsr(MSR_APIC_BASE);
		break;
	case 4:
		g_apic_write(APIC_LVT_TIMER, VECTOR);
		g_apic_write(APIC_TMICT, 100000);
		sti_hlt();
		break;
	default:
		for (i = 0; i < 2000; i++)
			relax();
	}
}

static void fill(struct fpu_image *f, uint64_t seed, unsigned r)
{
	unsigned i, k;

	for (i = 0; i < 16; i++)
		for (k = 0; k < 4; k++)
			f->ymm[i][k] = seed * (r + 1) + i * 4 + k;
	f->st[0] = seed + r;
	f->st[1] = seed ^ r;
	f->st[2] = r;
	f->control = r & 1 ? 0x37f : 0x77f;
	f->mxcsr = r & 1 ? 0x1f80 : 0x3f80;
}

static void rounds(uint64_t seed, unsigned n)
{
	struct fpu_image in, out;
	unsigned r;

	for (r = 0; r < n; r++) {
		fill(&in, seed, r);
		fpu_load(&in);
		disturb(r);
		fpu_store(&out);
		if (!same_image(&in, &out))
			__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
	}
}

static void enable(void)
{
	uint32_t want;

	g_apic_enable();
	g_apic_write(APIC_TDCR, 0xb);
	if (!(cpuid(1, 0).c & 1u << 26))
		return;
	CHECK(try_write_cr4(read_cr4() | 1u << 18) == X_NONE);
	want = cpuid(0xd, 0).a & 7;
	CHECK(try_xsetbv(0, want) == X_NONE);
	avx = want & 4;
}

/* x87 and SSE only: Bochs 2.7 puts AVX state of the compact format where the header is (B12). */
#define XSAVES_MASK 3

static int try_xsaves(void *area)
{
	__asm__ volatile(G_TRY("xsaves64 (%0)") : : "r"(area), "a"(XSAVES_MASK), "d"(0) : "memory");
	return g_fault;
}

static int try_xrstors(const void *area)
{
	__asm__ volatile(G_TRY("xrstors64 (%0)")
			 :
			 : "r"(area), "a"(XSAVES_MASK), "d"(0)
			 : "memory");
	return g_fault;
}

/* The compact format, across an exit; no supervisor component is there to be enabled. */
static void use_xsaves(void)
{
	static uint64_t area[512] __attribute__((aligned(64)));
	const uint64_t compact = 1ull << 63;
	struct fpu_image in, out;
	uint64_t value = 1;
	unsigned bit, i;

	CHECK(cpuid(0xd, 1).c == 0 && cpuid(0xd, 1).d == 0);
	CHECK(try_rdmsr(MSR_XSS, &value) == X_NONE && value == 0);
	CHECK(try_wrmsr(MSR_XSS, 0) == X_NONE);
	for (bit = 0; bit < 64; bit++)
		CHECK(try_wrmsr(MSR_XSS, 1ull << bit) == X_GP);
	fill(&in, 0x7777000000000000ull, 1);
	fpu_load(&in);
	CHECK(try_xsaves(area) == X_NONE);
	CHECK(area[65] == (compact | XSAVES_MASK));
	fill(&out, 0x1111000000000000ull, 2);
	fpu_load(&out);
	(void)inb(0x80);
	CHECK(try_xrstors(area) == X_NONE);
	fpu_store(&out);
	for (i = 0; i < 16; i++)
		CHECK(out.ymm[i][0] == in.ymm[i][0] && out.ymm[i][1] == in.ymm[i][1]);
	CHECK(out.st[0] == in.st[0] && out.control == in.control && out.mxcsr == in.mxcsr);
	area[65] |= 1ull << 11; /* a supervisor component in the image */
	CHECK(try_xrstors(area) == X_GP);
}

/* Where it is hidden there is nothing at all. */
static void check_xsaves(void)
{
	static uint64_t area[512] __attribute__((aligned(64)));
	bool offered = (cpuid(1, 0).c & 1u << 26) && (cpuid(0xd, 1).a & 1u << 3);
	uint64_t value;

	g_print("# xsaves %d\n", offered);
	if (offered) {
		use_xsaves();
		return;
	}
	CHECK(try_rdmsr(MSR_XSS, &value) == X_GP);
	CHECK(try_wrmsr(MSR_XSS, 0) == X_GP);
	CHECK(try_xsaves(area) == X_UD);
}

static void second(void)
{
	enable();
	rounds(0x5555000000000000ull, 300);
	__atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
	for (;;)
		__asm__ volatile("cli; hlt");
}

int main(void)
{
	g_handler[VECTOR] = g_count_apic;
	enable();
	check_xsaves();
	if (g_cmdline_has("smp"))
		g_start_ap(1, second);
	else
		done = 1;
	rounds(0x1234560000000000ull, 300);
	while (!done)
		relax();
	CHECK_M(!wrong, "%u images damaged\n", wrong);
	g_print("# avx %d\n", avx);
	return g_result();
}
