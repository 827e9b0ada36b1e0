/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control registers: every illegal combination raises #GP(0) and changes nothing, legal ones take effect.
 * AMD APM 24593 r3.42 section 3.1; SDM 3A section 2.5.
 *
 * With "strict" on the command line also what the VMM leaves to the CPU to check, and QEMU's CPU does not: the
 * upper half of CR0 (its selective intercept compares 32 bits) and reserved bits of CR3.
 */
#include "guest.h"

#define PE (1ull << 0)
#define EM (1ull << 2)
#define TS (1ull << 3)
#define WP (1ull << 16)
#define NW (1ull << 29)
#define CD (1ull << 30)
#define PG (1ull << 31)

static void refused(int vector, const char *what)
{
	CHECK_M(vector == X_GP && g_fault_error == 0, "%s: vector %d error %lx\n", what, vector,
		g_fault_error);
}

static void check_cr0(void)
{
	uint64_t old = read_cr0();

	refused(try_write_cr0(old & ~PG), "CR0.PG off in 64-bit mode");
	refused(try_write_cr0(old & ~PE), "CR0.PE off with PG on");
	refused(try_write_cr0(old | NW), "CR0.NW without CD");
	if (g_cmdline_has("strict")) {
		refused(try_write_cr0(old | 1ull << 32), "CR0 bit 32");
		refused(try_write_cr0(old | 1ull << 63), "CR0 bit 63");
	}
	CHECK(read_cr0() == old);
	CHECK(try_write_cr0(old | CD) == X_NONE);
	CHECK(read_cr0() == (old | CD));
	CHECK(try_write_cr0(old | CD | NW) == X_NONE);
	CHECK(read_cr0() == (old | CD | NW));
	CHECK(try_write_cr0(old & ~WP) == X_NONE);
	CHECK(read_cr0() == (old & ~WP));
	CHECK(try_write_cr0(old) == X_NONE);
	CHECK(read_cr0() == old);
}

static void check_lmsw_clts(void)
{
	uint64_t old = read_cr0();
	uint16_t msw;

	__asm__ volatile("smsw %0" : "=r"(msw));
	CHECK(msw == (uint16_t)old);
	__asm__ volatile("lmsw %0" : : "r"((uint16_t)(old | TS)) : "memory");
	CHECK(read_cr0() == (old | TS));
	__asm__ volatile("lmsw %0"
			 :
			 : "r"((uint16_t)(old & 0xe & ~TS))
			 : "memory"); /* cannot clear PE */
	CHECK(read_cr0() == old);
	CHECK(try_write_cr0(old | TS) == X_NONE);
	__asm__ volatile(G_TRY("fnop") : : : "memory");
	CHECK(g_fault == X_NM);
	__asm__ volatile("clts" : : : "memory");
	CHECK(read_cr0() == old);
	__asm__ volatile(G_TRY("fnop") : : : "memory");
	CHECK(g_fault == X_NONE);
}

static void check_cr4(void)
{
	uint64_t old = read_cr4();
	struct g_regs ext = cpuid(7, 0), one = cpuid(1, 0);
	unsigned bit;

	refused(try_write_cr4(old & ~(1ull << 5)), "CR4.PAE off in long mode");
	refused(try_write_cr4(old | 1ull << 13), "CR4.VMXE without VMX");
	refused(try_write_cr4(old | 1ull << 14), "CR4.SMXE without SMX");
	refused(try_write_cr4(old | 1ull << 15), "CR4 bit 15");
	refused(try_write_cr4(old ^ 1ull << 12), "CR4.LA57 in long mode");
	for (bit = 25; bit < 64; bit += 3)
		refused(try_write_cr4(old | 1ull << bit), "reserved CR4 bit");
	if (!(one.c & 1u << 17))
		refused(try_write_cr4(old | 1ull << 17), "CR4.PCIDE without PCID");
	if (!(ext.b & 1u << 7))
		refused(try_write_cr4(old | 1ull << 20), "CR4.SMEP without SMEP");
	if (!(ext.b & 1u << 20))
		refused(try_write_cr4(old | 1ull << 21), "CR4.SMAP without SMAP");
	if (!(ext.b & 1u << 0))
		refused(try_write_cr4(old | 1ull << 16), "CR4.FSGSBASE without FSGSBASE");
	CHECK(read_cr4() == old);
	CHECK(try_write_cr4(old | 1ull << 2 | 1ull << 7) == X_NONE); /* TSD, PGE */
	CHECK(read_cr4() == (old | 1ull << 2 | 1ull << 7));
	CHECK(try_write_cr4(old) == X_NONE);
	CHECK(read_cr4() == old);
}

static void check_cr3(void)
{
	unsigned width = cpuid(0x80000008, 0).a & 0xff;
	uint64_t old = read_cr3();

	if (g_cmdline_has("strict"))
		refused(try_write_cr3(old | 1ull << 62), "CR3 bit 62");
	if (g_cmdline_has("strict") && width < 52)
		refused(try_write_cr3(old | 1ull << width), "CR3 above the physical address width");
	CHECK(read_cr3() == old);
	CHECK(try_write_cr3(old | 0x18) == X_NONE); /* PWT, PCD */
	CHECK(read_cr3() == (old | 0x18));
	CHECK(try_write_cr3(old) == X_NONE);
	CHECK(try_write_cr2(0x123456789abcull) == X_NONE);
	(void)cpuid(0, 0);
	CHECK(read_cr2() == 0x123456789abcull);
}

static void check_cr8(void)
{
	uint64_t v;

	for (v = 0; v < 16; v++) {
		CHECK(try_write_cr8(v) == X_NONE);
		CHECK(read_cr8() == v);
	}
	refused(try_write_cr8(16), "CR8 bit 4");
	refused(try_write_cr8(1ull << 63), "CR8 bit 63");
	CHECK(try_write_cr8(0) == X_NONE);
}

static void check_missing(void)
{
	__asm__ volatile(G_TRY(".byte 0x0f, 0x22, 0xc8") : : : "memory"); /* mov %rax, %cr1 */
	CHECK(g_fault == X_UD);
	__asm__ volatile(G_TRY(".byte 0x0f, 0x20, 0xe8")
			 :
			 :
			 : "rax", "memory"); /* mov %cr5, %rax */
	CHECK(g_fault == X_UD);
	__asm__ volatile(G_TRY(".byte 0x0f, 0x22, 0xf8") : : : "memory"); /* mov %rax, %cr7 */
	CHECK(g_fault == X_UD);
}

static void check_xcr0(void)
{
	uint64_t cr4 = read_cr4();
	uint32_t supported, lo, hi;

	if (!(cpuid(1, 0).c & 1u << 26)) {
		CHECK(try_xsetbv(0, 3) == X_UD);
		return;
	}
	CHECK(try_xsetbv(0, 3) == X_UD); /* CR4.OSXSAVE is off */
	CHECK(try_write_cr4(cr4 | 1u << 18) == X_NONE);
	supported = cpuid(0xd, 0).a;
	refused(try_xsetbv(0, 2), "XCR0 without x87");
	refused(try_xsetbv(0, 1ull << 62 | 3), "XCR0 reserved bit");
	refused(try_xsetbv(1, 3), "XCR1");
	if (supported & 4)
		refused(try_xsetbv(0, 5), "XCR0: AVX without SSE");
	CHECK(try_xsetbv(0, supported & 7) == X_NONE);
	(void)cpuid(0, 0);
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	CHECK(lo == (supported & 7) && hi == 0);
	CHECK(try_xsetbv(0, 1) == X_NONE);
	CHECK(try_write_cr4(cr4) == X_NONE);
}

int main(void)
{
	check_cr0();
	check_lmsw_clts();
	check_cr4();
	check_cr3();
	check_cr8();
	check_missing();
	check_xcr0();
	return g_result();
}
