/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CPUID: our signature, what a guest must see and must not see, and bits that follow the CPU's state.
 * AMD APM 24594 r3.34 appendix E; SDM 2A CPUID. The policy is the VMM's (palacios/doc).
 */
#include "guest.h"

#include "hypercall.h"

static bool text_is(uint32_t v, const char *s)
{
	return v == *(const uint32_t *)s;
}

static void check_signature(void)
{
	struct g_regs r = cpuid(V3_CPUID_SIGNATURE, 0);

	CHECK(text_is(r.b, "V3VE") && text_is(r.c, "EV3V") && text_is(r.d, "EEV3"));
	CHECK(r.a >= V3_CPUID_VERSION && r.a < 0x40000100);
	CHECK(cpuid(V3_CPUID_VERSION, 0).a == V3_ABI_VERSION);
	r = cpuid(V3_CPUID_KVM_BASE, 0);
	CHECK(text_is(r.b, "KVMK") && text_is(r.c, "VMKV") && text_is(r.d, "M\0\0\0"));
	CHECK(r.a >= V3_CPUID_KVM_BASE + 1);
	CHECK(cpuid(V3_CPUID_KVM_BASE + 1, 0).a & 1u << 3); /* clock source, new MSRs */
}

static void check_hidden(void)
{
	struct g_regs r = cpuid(1, 0);

	CHECK(r.c & 1u << 31);	 /* hypervisor present */
	CHECK(!(r.c & 1u << 5)); /* VMX */
	CHECK(!(r.c & 1u << 3)); /* MONITOR */
	CHECK(!(r.c & 1u << 6)); /* SMX */
	CHECK(r.c & 1u << 21);	 /* x2APIC */
	CHECK(r.c & 1u << 24);	 /* TSC deadline */
	CHECK(r.d & 1u << 9);	 /* APIC */
	CHECK((r.b >> 24) == g_apic_read(APIC_ID) >> 24);
	r = cpuid(0x80000001, 0);
	CHECK(!(r.c & 1u << 2));  /* SVM */
	CHECK(!(r.c & 1u << 29)); /* MWAITX */
	CHECK(r.d & 1u << 29);	  /* long mode */
	if (cpuid(0x80000000, 0).a >= 0x8000000a) {
		r = cpuid(0x8000000a, 0);
		CHECK(!r.a && !r.b && !r.d);
	}
	CHECK((cpuid(0x80000008, 0).a & 0xff) >= 36 && (cpuid(0x80000008, 0).a & 0xff) <= 52);
}

/* OSXSAVE repeats CR4; the XSAVE leaf's sizes follow XCR0. */
static void check_xsave(void)
{
	uint64_t cr4 = read_cr4();
	struct g_regs r = cpuid(1, 0);

	if (!(r.c & 1u << 26)) {
		CHECK(!(r.c & 1u << 27));
		CHECK(!(r.c & 1u << 28)); /* AVX needs XSAVE */
		CHECK(try_write_cr4(cr4 | 1u << 18) == X_GP);
		return;
	}
	CHECK(!(r.c & 1u << 27));
	CHECK(try_write_cr4(cr4 | 1u << 18) == X_NONE);
	CHECK(cpuid(1, 0).c & 1u << 27);
	CHECK(try_xsetbv(0, 3) == X_NONE);
	r = cpuid(0xd, 0);
	CHECK((r.a & 3) == 3);
	CHECK_M(r.b == 576, "enabled size %u\n", r.b);
	CHECK(r.c >= r.b);
	if (r.a & 4) {
		CHECK(try_xsetbv(0, 7) == X_NONE);
		CHECK(cpuid(0xd, 0).b == 832);
		CHECK(cpuid(0xd, 2).a == 256 && cpuid(0xd, 2).b == 576);
	}
	CHECK(try_write_cr4(cr4) == X_NONE);
	CHECK(!(cpuid(1, 0).c & 1u << 27));
}

static void check_apic_bit(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	wrmsr(MSR_APIC_BASE, base & ~0x800ull);
	CHECK(!(cpuid(1, 0).d & 1u << 9));
	wrmsr(MSR_APIC_BASE, base);
	CHECK(cpuid(1, 0).d & 1u << 9);
}

int main(void)
{
	CHECK(cpuid(0, 0).a >= 1);
	CHECK(cpuid(0x80000000, 0).a >= 0x80000008);
	check_signature();
	check_hidden();
	check_xsave();
	check_apic_bit();
	return g_result();
}
