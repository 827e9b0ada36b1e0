/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fpu.c
 * Switching of extended state between host and guest, XSETBV, vector registers for the emulator.
 * AMD APM vol. 2 11.5 (XSAVE); SDM 1 ch. 13.
 *
 * Supervisor components: a guest may use XSAVES and XRSTORS, for the compact format and what they leave out, but it is
 * offered no component of IA32_XSS. So that register is 0 while it runs, and the host's own supervisor state stays
 * where it is.
 */
#include "cpu/fpu.h"

#include "host/x86.h"
#include "cpu/handlers.h"
#include "exit/exit.h"
#include "exit/insn.h"
#include "host/host.h"
#include "palacios/util/str.h"
#include "state.h"

#define FPU_CPUID_XSAVE 0xdu
#define FPU_CPUID_XSS	(1u << 3) /* subleaf 1, EAX: XSAVES, XRSTORS, IA32_XSS */
#define FPU_LEGACY_SIZE 512u
#define FPU_HEADER_SIZE 64u
#define FPU_AVX_OFFSET	576u /* of YMM_Hi128, fixed by the architecture for component 2 */
#define FPU_XMM_OFFSET	160u
#define FPU_MXCSR	24u
#define FPU_XSTATE_BV	512u
#define FPU_FCW_RESET	0x0040u
#define FPU_MXCSR_RESET 0x1f80u

/* What a guest is offered. Not AVX-512 (the emulator cannot clear its upper halves) nor protection keys
 * (the page walker does not check them). */
#define FPU_OFFERED (V3_XCR0_X87 | V3_XCR0_SSE | V3_XCR0_AVX)

static uint64_t fpu_host_components(void)
{
	uint32_t a, b, c, d;

	v3_cpuid(1, 0, &a, &b, &c, &d);
	if (!(c & (1u << 26)) || !(v3_read_cr4() & V3_CR4_OSXSAVE))
		return 0;
	v3_cpuid(FPU_CPUID_XSAVE, 0, &a, &b, &c, &d);
	return ((uint64_t)d << 32) | a;
}

static bool fpu_has_xss(void)
{
	uint32_t a, b, c, d;

	v3_cpuid(FPU_CPUID_XSAVE, 1, &a, &b, &c, &d);
	return v3_lib.caps.xsaves && (a & FPU_CPUID_XSS);
}

uint32_t v3_fpu_image_size(uint64_t xcr0)
{
	uint32_t size = FPU_LEGACY_SIZE + FPU_HEADER_SIZE;
	uint32_t len, offset, c, d;
	unsigned i;

	for (i = 2; i < 63; i++) {
		if (!(xcr0 >> i & 1))
			continue;
		v3_cpuid(FPU_CPUID_XSAVE, i, &len, &offset, &c, &d);
		if (offset + len > size)
			size = offset + len;
	}
	return size;
}

int v3_fpu_init(struct v3_vcpu *vcpu)
{
	struct v3_cpu *cpu = &vcpu->cpu;
	uint32_t bytes;
	v3_hpa_t pa;

	/* All the host has is switched, so that nothing a guest manages to enable leaks to anyone. */
	cpu->xcr0_mask = fpu_host_components();
	cpu->fpu_xsave = cpu->xcr0_mask != 0;
	cpu->xcr0_offered = cpu->xcr0_mask & FPU_OFFERED;
	cpu->has_xss = cpu->fpu_xsave && fpu_has_xss();
	bytes = cpu->fpu_xsave ? v3_fpu_image_size(cpu->xcr0_mask) : FPU_LEGACY_SIZE;
	cpu->fpu_pages = 1;
	while (cpu->fpu_pages * V3_PAGE_SIZE < bytes)
		cpu->fpu_pages *= 2;
	pa = v3_host_page_alloc(cpu->fpu_pages, V3_NODE_ANY);
	if (pa == V3_HPA_NONE)
		return V3_ENOMEM;
	cpu->fpu_area = v3_host_pa_to_va(pa);
	return V3_OK;
}

void v3_fpu_fini(struct v3_vcpu *vcpu)
{
	if (vcpu->cpu.fpu_area)
		v3_host_page_free(v3_host_va_to_pa(vcpu->cpu.fpu_area), vcpu->cpu.fpu_pages);
	vcpu->cpu.fpu_area = NULL;
}

void v3_fpu_reset(struct v3_vcpu *vcpu)
{
	struct v3_cpu *cpu = &vcpu->cpu;
	uint16_t fcw = FPU_FCW_RESET;
	uint32_t mxcsr = FPU_MXCSR_RESET;
	uint64_t present = V3_XCR0_X87 | V3_XCR0_SSE;

	memset(cpu->fpu_area, 0, cpu->fpu_pages * V3_PAGE_SIZE);
	memcpy(cpu->fpu_area, &fcw, sizeof(fcw));
	memcpy((char *)cpu->fpu_area + FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	if (cpu->fpu_xsave)
		memcpy((char *)cpu->fpu_area + FPU_XSTATE_BV, &present, sizeof(present));
	cpu->xcr0 = V3_XCR0_X87;
}

void v3_fpu_load(struct v3_vcpu *vcpu)
{
	struct v3_cpu *cpu = &vcpu->cpu;

	if (cpu->fpu_loaded)
		return;
	v3_host_fpu_begin();
	/* Until fpu_end() the thread stays on this CPU: that is where to kick it. */
	__atomic_store_n(&vcpu->host_cpu, v3_host_cpu_id(), __ATOMIC_RELAXED);
	if (cpu->fpu_xsave) {
		cpu->host_xcr0 = v3_xgetbv();
		v3_xsetbv(cpu->xcr0_mask);
		__asm__ volatile("xrstor64 (%0)" ::"r"(cpu->fpu_area),
				 "a"((uint32_t)cpu->xcr0_mask),
				 "d"((uint32_t)(cpu->xcr0_mask >> 32))
				 : "memory");
		v3_xsetbv(cpu->xcr0);
	} else {
		__asm__ volatile("fxrstor64 (%0)" ::"r"(cpu->fpu_area) : "memory");
	}
	if (cpu->has_xss) {
		cpu->host_xss = v3_rdmsr(V3_MSR_XSS);
		if (cpu->host_xss)
			v3_wrmsr(V3_MSR_XSS, 0);
	}
	if (cpu->has_tsc_aux) {
		cpu->host_tsc_aux = v3_rdmsr(V3_MSR_TSC_AUX);
		v3_wrmsr(V3_MSR_TSC_AUX, cpu->tsc_aux);
	}
	if (vcpu->arch->load)
		vcpu->arch->load(vcpu);
	cpu->fpu_loaded = true;
}

void v3_fpu_put(struct v3_vcpu *vcpu)
{
	struct v3_cpu *cpu = &vcpu->cpu;

	if (!cpu->fpu_loaded)
		return;
	if (cpu->fpu_xsave) {
		/* Not what we wrote: QEMU 7.2 does not intercept XSETBV (lab.md Q1). */
		cpu->xcr0 = v3_xgetbv();
		v3_xsetbv(cpu->xcr0_mask);
		__asm__ volatile("xsave64 (%0)" ::"r"(cpu->fpu_area), "a"((uint32_t)cpu->xcr0_mask),
				 "d"((uint32_t)(cpu->xcr0_mask >> 32))
				 : "memory");
		v3_xsetbv(cpu->host_xcr0);
	} else {
		__asm__ volatile("fxsave64 (%0)" ::"r"(cpu->fpu_area) : "memory");
	}
	if (cpu->has_xss && cpu->host_xss)
		v3_wrmsr(V3_MSR_XSS, cpu->host_xss);
	if (cpu->has_tsc_aux)
		v3_wrmsr(V3_MSR_TSC_AUX, cpu->host_tsc_aux);
	if (vcpu->arch->put)
		vcpu->arch->put(vcpu);
	cpu->fpu_loaded = false;
	v3_host_fpu_end();
	v3_vcpu_request_self(vcpu, V3_REQ_FPU);
}

void v3_vcpu_may_sleep(struct v3_vcpu *vcpu)
{
	v3_fpu_put(vcpu);
}

uint64_t v3_fpu_xcr0(struct v3_vcpu *vcpu)
{
	if (vcpu->cpu.fpu_loaded && vcpu->cpu.fpu_xsave)
		return v3_xgetbv();
	return vcpu->cpu.xcr0;
}

/* SDM 1 13.3: x87 always; AVX needs SSE. */
static bool fpu_xcr0_valid(const struct v3_cpu *cpu, uint64_t value)
{
	if (!(value & V3_XCR0_X87) || (value & ~cpu->xcr0_offered))
		return false;
	return !(value & V3_XCR0_AVX) || (value & V3_XCR0_SSE);
}

int v3_xsetbv_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	const uint64_t *gpr = vcpu->regs.gpr;
	uint64_t value = (uint32_t)gpr[V3_RAX] | gpr[V3_RDX] << 32;

	if (!(vcpu->cr4 & V3_CR4_OSXSAVE)) {
		v3_vcpu_inject_ud(vcpu);
		return V3_OK;
	}
	if (vcpu->cpl || (uint32_t)gpr[V3_RCX] != 0 || !fpu_xcr0_valid(&vcpu->cpu, value)) {
		v3_vcpu_inject_gp(vcpu, 0);
		return V3_OK;
	}
	if (v3_insn_skip(vcpu, exit, V3_OP_XSETBV) != V3_OK)
		return V3_OK;
	vcpu->cpu.xcr0 = value;
	if (vcpu->cpu.fpu_loaded)
		v3_xsetbv(value);
	return V3_OK;
}

/* The emulator's accesses to vector registers are rare: they go through memory. */
static uint64_t fpu_xstate_bv(const struct v3_cpu *cpu)
{
	uint64_t bv;

	if (!cpu->fpu_xsave)
		return V3_XCR0_X87 | V3_XCR0_SSE;
	memcpy(&bv, (const char *)cpu->fpu_area + FPU_XSTATE_BV, sizeof(bv));
	return bv;
}

/* A component in its initial state is not written by XSAVE: make its bytes valid before they are used. */
static void fpu_materialise(struct v3_cpu *cpu, uint64_t component, void *bytes, size_t size)
{
	uint64_t bv = fpu_xstate_bv(cpu);

	if (bv & component)
		return;
	memset(bytes, 0, size);
	bv |= component;
	memcpy((char *)cpu->fpu_area + FPU_XSTATE_BV, &bv, sizeof(bv));
}

static uint8_t *fpu_xmm(struct v3_cpu *cpu, unsigned n)
{
	uint8_t *area = cpu->fpu_area;

	fpu_materialise(cpu, V3_XCR0_SSE, area + FPU_XMM_OFFSET, 256);
	return area + FPU_XMM_OFFSET + 16 * n;
}

static uint8_t *fpu_ymm_hi(struct v3_cpu *cpu, unsigned n)
{
	uint8_t *area = cpu->fpu_area;

	if (!(cpu->xcr0_mask & V3_XCR0_AVX))
		return NULL;
	fpu_materialise(cpu, V3_XCR0_AVX, area + FPU_AVX_OFFSET, 256);
	return area + FPU_AVX_OFFSET + 16 * n;
}

int v3_fpu_get_vec(struct v3_vcpu *vcpu, unsigned n, void *buf, size_t size)
{
	uint8_t *hi;

	v3_fpu_put(vcpu);
	memcpy(buf, fpu_xmm(&vcpu->cpu, n), 16);
	if (size == 16)
		return V3_OK;
	hi = fpu_ymm_hi(&vcpu->cpu, n);
	if (!hi)
		return V3_ENOTSUP;
	memcpy((uint8_t *)buf + 16, hi, 16);
	return V3_OK;
}

int v3_fpu_set_vec(struct v3_vcpu *vcpu, unsigned n, const void *buf, size_t size, bool zero_upper)
{
	uint8_t *hi;

	v3_fpu_put(vcpu);
	hi = fpu_ymm_hi(&vcpu->cpu, n);
	if (size > 16 && !hi)
		return V3_ENOTSUP;
	memcpy(fpu_xmm(&vcpu->cpu, n), buf, 16);
	if (size > 16)
		memcpy(hi, (const uint8_t *)buf + 16, 16);
	else if (zero_upper && hi)
		memset(hi, 0, 16);
	return V3_OK;
}
