/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cpuid.c
 * The CPUID policy: what of the host's CPU a guest is shown. Everything not listed reads as zero.
 * AMD APM vol. 3 appendix E; Intel SDM 2A "CPUID"; KVM's paravirtual leaves: Linux kernel documentation,
 * virt/kvm/x86/cpuid.rst.
 */
#include "cpu/cpuid.h"

#include "host/host.h"
#include "host/x86.h"
#include "cpu/fpu.h"
#include "cpu/handlers.h"
#include "exit/exit.h"
#include "exit/insn.h"
#include "palacios/abi/hypercall.h"
#include "palacios/util/str.h"
#include "state.h"

#define B(n) (1u << (n))

/* A leaf: the bits that pass from the host, and bits that are set whatever the host has. */
struct cpuid_policy {
	uint32_t leaf;
	struct v3_cpuid_regs pass, set;
};

#define CPUID_ALL 0xffffffffu
#define CPUID_PASS_ALL                                                                             \
	{                                                                                          \
		CPUID_ALL, CPUID_ALL, CPUID_ALL, CPUID_ALL                                         \
	}

/* Leaf 1 EDX and 0x80000001 EDX share these: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC MTRR PGE CMOV PAT PSE36
 * MMX FXSR. Machine-check banks (MCA) are not offered. */
#define CPUID_EDX_COMMON                                                                           \
	(B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(12) | B(13) |     \
	 B(15) | B(16) | B(17) | B(23) | B(24))
/* SSE3 PCLMULQDQ SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND; not MONITOR */
#define CPUID_1_ECX                                                                                \
	(B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) |      \
	 B(26) | B(28) | B(29) | B(30))
/* x2APIC, TSC deadline, hypervisor: ours, whatever the host has */
#define CPUID_1_ECX_SET (B(21) | B(24) | B(31))
/* SEP CLFSH SSE SSE2 */
#define CPUID_1_EDX	(CPUID_EDX_COMMON | B(11) | B(19) | B(25) | B(26))
/* FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID RDSEED ADX SMAP CLFLUSHOPT CLWB SHA. Not LA57 or protection keys. */
#define CPUID_7_EBX                                                                                \
	(B(0) | B(3) | B(5) | B(7) | B(8) | B(9) | B(10) | B(18) | B(19) | B(20) | B(23) | B(24) | \
	 B(29))
/* UMIP VAES VPCLMULQDQ RDPID */
#define CPUID_7_ECX   (B(2) | B(9) | B(10) | B(22))
/* FSRM */
#define CPUID_7_EDX   B(4)
/* LAHF AltMovCr8 ABM SSE4A MisAlignSse 3DNowPrefetch; not SVM, FMA4/XOP/TBM or the counters */
#define CPUID_8_1_ECX (B(0) | B(4) | B(5) | B(6) | B(7) | B(8))
/* SYSCALL NX MmxExt FFXSR Page1GB RDTSCP LM 3DNowExt 3DNow */
#define CPUID_8_1_EDX                                                                              \
	(CPUID_EDX_COMMON | B(11) | B(20) | B(22) | B(25) | B(26) | B(27) | B(29) | B(30) | B(31))

static const struct cpuid_policy cpuid_policies[] = {
	{0x00000000u, CPUID_PASS_ALL, {0}},
	{0x00000001u,
	 {CPUID_ALL, 0x0000ffffu, CPUID_1_ECX, CPUID_1_EDX},
	 {0, 0, CPUID_1_ECX_SET, 0}},
	{0x00000006u, {0}, {B(2), 0, 0, 0}}, /* ARAT: our APIC timer runs in every state */
	{0x00000007u,
	 {0, CPUID_7_EBX, CPUID_7_ECX, CPUID_7_EDX},
	 {0, B(1), 0, 0}}, /* TSC_ADJUST: kernels that see it need not watch the TSC */
	{0x80000000u, CPUID_PASS_ALL, {0}},
	{0x80000001u, {CPUID_ALL, CPUID_ALL, CPUID_8_1_ECX, CPUID_8_1_EDX}, {0}},
	{0x80000002u, CPUID_PASS_ALL, {0}},
	{0x80000003u, CPUID_PASS_ALL, {0}},
	{0x80000004u, CPUID_PASS_ALL, {0}},
	{0x80000005u, CPUID_PASS_ALL, {0}},
	{0x80000006u, CPUID_PASS_ALL, {0}},
	{0x80000007u, {0}, {0, 0, 0, B(8)}},		  /* invariant TSC: a host requirement */
	{0x80000008u, {0xffffu, B(0) | B(2), 0, 0}, {0}}, /* address widths; CLZERO, XSAVEERPTR */
};

#define CPUID_LEAF_XSAVE       0xdu
#define CPUID_LEAF_CACHES      0x4u
#define CPUID_LEAF_CACHES_AMD  0x8000001du
#define CPUID_LEAF_TOPO	       0xbu
#define CPUID_LEAF_TOPO2       0x1fu
#define CPUID_XSAVE_SUB1       (B(0) | B(1) | B(2)) /* XSAVEOPT XSAVEC XGETBV1 */
#define CPUID_XSAVES	       B(3)
#define CPUID_APIC	       B(9)
#define CPUID_OSXSAVE	       B(27)
#define CPUID_GENU	       0x756e6547u /* the first letters of "GenuineIntel" */
#define CPUID_LEAF_EXT2	       0x80000021u
#define CPUID_NULL_CLEARS_BASE B(6)

/* KVM-compatible features: CLOCKSOURCE, NOP_IO_DELAY, CLOCKSOURCE2, STEAL_TIME, PV_UNHALT, PV_TLB_FLUSH,
 * CLOCKSOURCE_STABLE; and what needs local APICs: PV_SEND_IPI, and PV_EOI unless an EOI costs no exit anyway */
#define CPUID_KVM_FEATURES (B(0) | B(1) | B(3) | B(5) | B(7) | B(9) | B(24))
#define CPUID_KVM_APIC	   B(11)
#define CPUID_KVM_EOI	   B(6)

struct v3_cpuid_regs *v3_cpuid_leaf(struct v3_vcpu *vcpu, uint32_t leaf)
{
	uint32_t n = leaf & 0x7fffffffu;

	if (n >= V3_CPUID_BASIC_MAX)
		return NULL;
	return &vcpu->cpu.cpuid[(leaf >> 31) * V3_CPUID_BASIC_MAX + n];
}

static void cpuid_filter(struct v3_vcpu *vcpu, const struct cpuid_policy *p, uint32_t host_max)
{
	struct v3_cpuid_regs *r = v3_cpuid_leaf(vcpu, p->leaf);

	if (p->leaf <= host_max)
		v3_cpuid(p->leaf, 0, &r->eax, &r->ebx, &r->ecx, &r->edx);
	r->eax = (r->eax & p->pass.eax) | p->set.eax;
	r->ebx = (r->ebx & p->pass.ebx) | p->set.ebx;
	r->ecx = (r->ecx & p->pass.ecx) | p->set.ecx;
	r->edx = (r->edx & p->pass.edx) | p->set.edx;
}

static const struct {
	uint32_t leaf;
	uint8_t reg; /* 1 EBX, 2 ECX, 3 EDX */
	uint8_t bit;
	uint64_t cr4;
} cpuid_cr4[] = {
	{1, 3, 1, V3_CR4_VME | V3_CR4_PVI},
	{1, 3, 2, V3_CR4_DE},
	{1, 3, 3, V3_CR4_PSE},
	{1, 3, 4, V3_CR4_TSD},
	{1, 3, 6, V3_CR4_PAE},
	{1, 3, 7, V3_CR4_MCE},
	{1, 3, 13, V3_CR4_PGE},
	{1, 3, 24, V3_CR4_OSFXSR},
	{1, 3, 25, V3_CR4_OSXMMEXCPT},
	{1, 3, 5, V3_CR4_PCE},
	{1, 2, 17, V3_CR4_PCIDE},
	{1, 2, 26, V3_CR4_OSXSAVE},
	{7, 1, 0, V3_CR4_FSGSBASE},
	{7, 1, 7, V3_CR4_SMEP},
	{7, 1, 20, V3_CR4_SMAP},
	{7, 2, 2, V3_CR4_UMIP},
};

/* What the guest may set in CR4 and EFER, and some encodings, follow from the features it is shown. */
static void cpuid_derive(struct v3_vcpu *vcpu)
{
	const struct v3_cpuid_regs *ext = v3_cpuid_leaf(vcpu, 0x80000001u);
	const uint32_t leaf7 = v3_cpuid_leaf(vcpu, 7)->ebx;
	unsigned i;

	for (i = 0; i < V3_ARRAY_SIZE(cpuid_cr4); i++) {
		const struct v3_cpuid_regs *r = v3_cpuid_leaf(vcpu, cpuid_cr4[i].leaf);

		if ((&r->eax)[cpuid_cr4[i].reg] & B(cpuid_cr4[i].bit))
			vcpu->cpu.cr4_allowed |= cpuid_cr4[i].cr4;
	}
	vcpu->cpu.efer_allowed =
		(ext->edx & B(11) ? V3_EFER_SCE : 0) | (ext->edx & B(20) ? V3_EFER_NXE : 0) |
		(ext->edx & B(25) ? V3_EFER_FFXSR : 0) | (ext->edx & B(29) ? V3_EFER_LME : 0);
	vcpu->cpu.has_tsc_aux = ext->edx & B(27);
	vcpu->cpu.emul_features =
		(ext->ecx & B(5) ? V3_EMUL_LZCNT : 0) | (leaf7 & B(3) ? V3_EMUL_BMI1 : 0) |
		(leaf7 & B(10) ? V3_EMUL_INVPCID : 0) | (leaf7 & B(18) ? V3_EMUL_RDSEED : 0) |
		(v3_cpuid_leaf(vcpu, 1)->ecx & B(30) ? V3_EMUL_RDRAND : 0);
}

/*
 * Does a null selector clear the base of FS and GS? Intel's CPUs always did; AMD's tell it (leaf 0x80000021).
 * The guest finds it out by trying, on the hardware: what we emulate must be the same.
 */
static bool cpuid_null_clears_base(struct v3_vcpu *vcpu, uint32_t ext_max)
{
	uint32_t a, b, c, d;

	if (v3_cpuid_leaf(vcpu, 0)->ebx == CPUID_GENU)
		return true;
	if (ext_max < CPUID_LEAF_EXT2)
		return false;
	v3_cpuid(CPUID_LEAF_EXT2, 0, &a, &b, &c, &d);
	return a & CPUID_NULL_CLEARS_BASE;
}

int v3_cpuid_init(struct v3_vcpu *vcpu)
{
	uint32_t max, ext_max, b, c, d;
	unsigned i;

	vcpu->cpu.cpuid =
		v3_alloc((V3_CPUID_BASIC_MAX + V3_CPUID_EXT_MAX) * sizeof(struct v3_cpuid_regs));
	if (!vcpu->cpu.cpuid)
		return V3_ENOMEM;
	v3_cpuid(0, 0, &max, &b, &c, &d);
	v3_cpuid(0x80000000u, 0, &ext_max, &b, &c, &d);
	for (i = 0; i < V3_ARRAY_SIZE(cpuid_policies); i++)
		cpuid_filter(vcpu, &cpuid_policies[i],
			     cpuid_policies[i].leaf >> 31 ? ext_max : max);
	v3_cpuid_leaf(vcpu, 0)->eax = CPUID_LEAF_XSAVE;
	if (v3_cpuid_leaf(vcpu, 0x80000000u)->eax > 0x80000008u)
		v3_cpuid_leaf(vcpu, 0x80000000u)->eax = 0x80000008u;
	v3_cpuid_set_topology(vcpu);
	cpuid_derive(vcpu);
	vcpu->cpu.null_clears_base = cpuid_null_clears_base(vcpu, ext_max);
	return V3_OK;
}

void v3_cpuid_fini(struct v3_vcpu *vcpu)
{
	v3_free(vcpu->cpu.cpuid);
	vcpu->cpu.cpuid = NULL;
}

static void cpuid_text(struct v3_cpuid_regs *r, const char text[12])
{
	memcpy(&r->ebx, text, 4);
	memcpy(&r->ecx, text + 4, 4);
	memcpy(&r->edx, text + 8, 4);
}

static void cpuid_hypervisor(uint32_t leaf, bool lapic, struct v3_cpuid_regs *r)
{
	switch (leaf) {
	case V3_CPUID_SIGNATURE:
		r->eax = V3_CPUID_VERSION;
		cpuid_text(r, "V3VEEV3VEEV3");
		break;
	case V3_CPUID_VERSION:
		r->eax = V3_ABI_VERSION;
		break;
	case V3_CPUID_KVM_BASE:
		r->eax = V3_CPUID_KVM_BASE + 1;
		cpuid_text(r, "KVMKVMKVM\0\0\0");
		break;
	case V3_CPUID_KVM_BASE + 1:
		r->eax = CPUID_KVM_FEATURES | (lapic ? CPUID_KVM_APIC : 0);
		if (lapic && !(v3_lib.caps.eoi_by_cpu && !v3_lib.software_apic))
			r->eax |= CPUID_KVM_EOI;
		break;
	default:
		break;
	}
}

static void cpuid_xsave(struct v3_vcpu *vcpu, uint32_t sub, struct v3_cpuid_regs *r)
{
	uint64_t offered = vcpu->cpu.xcr0_offered;
	uint32_t b, c, d;

	if (!offered)
		return;
	if (sub == 0) {
		r->eax = (uint32_t)offered;
		r->edx = (uint32_t)(offered >> 32);
		r->ebx = v3_fpu_image_size(v3_fpu_xcr0(vcpu));
		r->ecx = v3_fpu_image_size(offered);
	} else if (sub == 1) {
		v3_cpuid(CPUID_LEAF_XSAVE, 1, &r->eax, &b, &c, &d);
		r->eax &= CPUID_XSAVE_SUB1 | (vcpu->cpu.has_xss ? CPUID_XSAVES : 0);
		r->ebx = v3_fpu_image_size(v3_fpu_xcr0(vcpu));
	} else if (sub < 63 && (offered >> sub & 1)) {
		v3_cpuid(CPUID_LEAF_XSAVE, sub, &r->eax, &r->ebx, &c, &d);
	}
}

/* Bits that follow the guest's state. */
static void cpuid_dynamic(struct v3_vcpu *vcpu, struct v3_cpuid_regs *r)
{
	const struct v3_intr *intr = &vcpu->vm->intr;

	if (vcpu->cr4 & V3_CR4_OSXSAVE)
		r->ecx |= CPUID_OSXSAVE;
	if (!intr->lapic || !intr->lapic->enabled(intr->lapic_priv, vcpu))
		r->edx &= ~CPUID_APIC;
}

/* Entries of the table that are not the answer, by position: 4, 7, 0xb, 0xd, 0x1f, 0x8000001d. */
#define CPUID_COMPUTED                                                                             \
	(1ull << 4 | 1ull << 7 | 1ull << 0xb | 1ull << 0xd | 1ull << 0x1f |                        \
	 1ull << (V3_CPUID_BASIC_MAX + 0x1d))

void v3_cpuid_read(struct v3_vcpu *vcpu, uint32_t leaf, uint32_t sub, struct v3_cpuid_regs *r)
{
	const struct v3_cpuid_regs *entry = v3_cpuid_leaf(vcpu, leaf);

	_Static_assert(V3_CPUID_BASIC_MAX + V3_CPUID_EXT_MAX <= 64, "a bit each");
	if (V3_LIKELY(entry && !(CPUID_COMPUTED >> (entry - vcpu->cpu.cpuid) & 1))) {
		*r = *entry;
		if (leaf == 1)
			cpuid_dynamic(vcpu, r);
		return;
	}
	*r = (struct v3_cpuid_regs){0};
	if (leaf == CPUID_LEAF_TOPO || leaf == CPUID_LEAF_TOPO2)
		v3_cpuid_levels(vcpu, sub, r);
	else if (leaf == CPUID_LEAF_CACHES || leaf == CPUID_LEAF_CACHES_AMD)
		v3_cpuid_caches(vcpu, leaf, sub, r);
	else if (leaf == CPUID_LEAF_XSAVE)
		cpuid_xsave(vcpu, sub, r);
	else if (leaf >> 28 == 4)
		cpuid_hypervisor(leaf, vcpu->vm->intr.lapic != NULL, r);
	else if (leaf == 7 && sub == 0)
		*r = *entry;
}

int v3_cpuid_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	uint64_t *gpr = vcpu->regs.gpr;
	struct v3_cpuid_regs r;

	if (v3_insn_skip(vcpu, exit, V3_OP_CPUID) != V3_OK)
		return V3_OK;
	v3_cpuid_read(vcpu, (uint32_t)gpr[V3_RAX], (uint32_t)gpr[V3_RCX], &r);
	gpr[V3_RAX] = r.eax;
	gpr[V3_RBX] = r.ebx;
	gpr[V3_RCX] = r.ecx;
	gpr[V3_RDX] = r.edx;
	return V3_OK;
}
