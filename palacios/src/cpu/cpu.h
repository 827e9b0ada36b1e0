/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cpu.h
 * The guest's CPU model: CPUID, MSRs, control registers, FPU state.
 */
#ifndef V3_CPU_CPU_H
#define V3_CPU_CPU_H

#include "cpu/pv.h"
#include "palacios/msr.h"
#include "palacios/types.h"

struct v3_exit;
struct v3_seg;

#define V3_CPUID_BASIC_MAX 0x20
#define V3_CPUID_EXT_MAX   0x20

struct v3_cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

#define V3_MSR_MAX_RANGES 48

/* Ranges sorted by first MSR. */
struct v3_msr_map {
	struct v3_msr_range {
		uint32_t first, last; /* inclusive */
		v3_msr_read_fn rd;
		v3_msr_write_fn wr;
		void *priv;
	} range[V3_MSR_MAX_RANGES];
	uint32_t nranges;
};

/* Per-vcpu part of the model. */
struct v3_cpu {
	struct v3_cpuid_regs *cpuid; /* owned: leaf table, cpuid.c */
	void *fpu_area;		     /* owned: guest XSAVE image (page_alloc), standard format */
	uint32_t fpu_pages;
	bool fpu_loaded; /* the registers hold the guest's state (own thread) */
	bool fpu_xsave;	 /* the host CPU has XSAVE: XCR0 is switched */
	bool has_xss;	 /* the guest has XSAVES: IA32_XSS is switched */
	uint64_t host_xcr0, host_xss;
	uint64_t xcr0;	       /* guest's */
	uint64_t xcr0_mask;    /* components that are switched: all the host has */
	uint64_t xcr0_offered; /* those the guest may enable; 0: no XSAVE */
	uint64_t cr4_allowed;  /* CR4 and EFER bits the CPUID policy offers */
	uint64_t efer_allowed;
	uint8_t emul_features; /* V3_EMUL_* that follow from it */
	bool null_clears_base; /* the CPU's way with null selectors in FS and GS */
	uint64_t tsc_aux, host_tsc_aux;
	bool has_tsc_aux; /* the CPU has RDTSCP or RDPID: TSC_AUX is switched */
	uint64_t amd_hwcr;
	uint32_t msr_hint; /* range of the last MSR access */
	uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_var[16];
	uint64_t kvmclock_msr; /* MSR_KVM_SYSTEM_TIME as written */
	uint32_t kvmclock_version;
	struct v3_pv pv;
};

#endif
