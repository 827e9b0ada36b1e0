/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file regs.h
 * x86 registers as the API shows them, and the bits of control registers, RFLAGS and MSRs.
 * Source: AMD APM 24593 ch. 3 (CRs, EFER), ch. 4 (segments), appendix A (MSRs); Intel SDM 3A 2.5, 4 ch. 2.
 */
#ifndef PALACIOS_REGS_H
#define PALACIOS_REGS_H

#include "palacios/types.h"

/* GPR numbers as in ModRM; struct v3_regs.gpr is indexed by them. */
enum v3_gpr {
	V3_RAX,
	V3_RCX,
	V3_RDX,
	V3_RBX,
	V3_RSP,
	V3_RBP,
	V3_RSI,
	V3_RDI,
	V3_R8,
	V3_R9,
	V3_R10,
	V3_R11,
	V3_R12,
	V3_R13,
	V3_R14,
	V3_R15,
	V3_NGPR
};

/** General registers of a vcpu; always current while a handler runs and written back before entry. */
struct v3_regs {
	uint64_t gpr[V3_NGPR];
	uint64_t rip;
	uint64_t rflags;
};

/* Segment numbers as in instruction encodings; then the two system segments. */
enum v3_seg_num { V3_ES, V3_CS, V3_SS, V3_DS, V3_FS, V3_GS, V3_LDTR, V3_TR, V3_NSEG };

/** A segment register with its hidden part. */
struct v3_seg {
	uint16_t sel;
	uint16_t attr;	/* V3_SEG_*: descriptor bits 40..47 in 0..7, 52..55 in 8..11 (SVM layout) */
	uint32_t limit; /* in bytes, granularity already applied */
	uint64_t base;
};

#define V3_SEG_TYPE 0x00f /* type field */
#define V3_SEG_S    0x010 /* code or data (not system) */
#define V3_SEG_DPL  0x060 /* privilege level, shift 5 */
#define V3_SEG_P    0x080 /* present */
#define V3_SEG_AVL  0x100
#define V3_SEG_L    0x200 /* 64-bit code */
#define V3_SEG_DB   0x400 /* default size 32 */
#define V3_SEG_G    0x800 /* granularity */

/** GDTR or IDTR. */
struct v3_dtr {
	uint64_t base;
	uint16_t limit;
};

#define V3_CR0_PE (1ull << 0)
#define V3_CR0_MP (1ull << 1)
#define V3_CR0_EM (1ull << 2)
#define V3_CR0_TS (1ull << 3)
#define V3_CR0_ET (1ull << 4)
#define V3_CR0_NE (1ull << 5)
#define V3_CR0_WP (1ull << 16)
#define V3_CR0_AM (1ull << 18)
#define V3_CR0_NW (1ull << 29)
#define V3_CR0_CD (1ull << 30)
#define V3_CR0_PG (1ull << 31)

#define V3_CR4_VME	  (1ull << 0)
#define V3_CR4_PVI	  (1ull << 1)
#define V3_CR4_TSD	  (1ull << 2)
#define V3_CR4_DE	  (1ull << 3)
#define V3_CR4_PSE	  (1ull << 4)
#define V3_CR4_PAE	  (1ull << 5)
#define V3_CR4_MCE	  (1ull << 6)
#define V3_CR4_PGE	  (1ull << 7)
#define V3_CR4_PCE	  (1ull << 8)
#define V3_CR4_OSFXSR	  (1ull << 9)
#define V3_CR4_OSXMMEXCPT (1ull << 10)
#define V3_CR4_UMIP	  (1ull << 11)
#define V3_CR4_LA57	  (1ull << 12)
#define V3_CR4_VMXE	  (1ull << 13)
#define V3_CR4_FSGSBASE	  (1ull << 16)
#define V3_CR4_PCIDE	  (1ull << 17)
#define V3_CR4_OSXSAVE	  (1ull << 18)
#define V3_CR4_SMEP	  (1ull << 20)
#define V3_CR4_SMAP	  (1ull << 21)
#define V3_CR4_PKE	  (1ull << 22)

#define V3_EFER_SCE   (1ull << 0)
#define V3_EFER_LME   (1ull << 8)
#define V3_EFER_LMA   (1ull << 10)
#define V3_EFER_NXE   (1ull << 11)
#define V3_EFER_SVME  (1ull << 12)
#define V3_EFER_FFXSR (1ull << 14)

#define V3_RFLAGS_CF   (1ull << 0)
#define V3_RFLAGS_ONE  (1ull << 1) /* always set */
#define V3_RFLAGS_PF   (1ull << 2)
#define V3_RFLAGS_AF   (1ull << 4)
#define V3_RFLAGS_ZF   (1ull << 6)
#define V3_RFLAGS_SF   (1ull << 7)
#define V3_RFLAGS_TF   (1ull << 8)
#define V3_RFLAGS_IF   (1ull << 9)
#define V3_RFLAGS_DF   (1ull << 10)
#define V3_RFLAGS_OF   (1ull << 11)
#define V3_RFLAGS_IOPL (3ull << 12)
#define V3_RFLAGS_NT   (1ull << 14)
#define V3_RFLAGS_RF   (1ull << 16)
#define V3_RFLAGS_VM   (1ull << 17)
#define V3_RFLAGS_AC   (1ull << 18)

#define V3_XCR0_X87 (1ull << 0)
#define V3_XCR0_SSE (1ull << 1)
#define V3_XCR0_AVX (1ull << 2)

#define V3_MSR_TSC	      0x010u
#define V3_MSR_APIC_BASE      0x01bu
#define V3_MSR_TSC_ADJUST     0x03bu
#define V3_MSR_SPEC_CTRL      0x048u
#define V3_MSR_PRED_CMD	      0x049u
#define V3_MSR_MTRRCAP	      0x0feu
#define V3_MSR_SYSENTER_CS    0x174u
#define V3_MSR_SYSENTER_ESP   0x175u
#define V3_MSR_SYSENTER_EIP   0x176u
#define V3_MSR_MCG_CAP	      0x179u
#define V3_MSR_MCG_STATUS     0x17au
#define V3_MSR_MISC_ENABLE    0x1a0u
#define V3_MSR_DEBUGCTL	      0x1d9u
#define V3_MSR_MTRR_PHYSBASE0 0x200u
#define V3_MSR_MTRR_FIX64K    0x250u
#define V3_MSR_PAT	      0x277u
#define V3_MSR_MTRR_DEF_TYPE  0x2ffu
#define V3_MSR_TSC_DEADLINE   0x6e0u
#define V3_MSR_X2APIC_FIRST   0x800u
#define V3_MSR_X2APIC_LAST    0x8ffu
#define V3_MSR_XSS	      0xda0u
#define V3_MSR_EFER	      0xc0000080u
#define V3_MSR_STAR	      0xc0000081u
#define V3_MSR_LSTAR	      0xc0000082u
#define V3_MSR_CSTAR	      0xc0000083u
#define V3_MSR_SFMASK	      0xc0000084u
#define V3_MSR_FS_BASE	      0xc0000100u
#define V3_MSR_GS_BASE	      0xc0000101u
#define V3_MSR_KERNEL_GS_BASE 0xc0000102u
#define V3_MSR_TSC_AUX	      0xc0000103u

/* Exception vectors, APM vol. 2 table 8-1. */
enum v3_vector {
	V3_VEC_DE = 0,
	V3_VEC_DB = 1,
	V3_VEC_NMI = 2,
	V3_VEC_BP = 3,
	V3_VEC_OF = 4,
	V3_VEC_BR = 5,
	V3_VEC_UD = 6,
	V3_VEC_NM = 7,
	V3_VEC_DF = 8,
	V3_VEC_TS = 10,
	V3_VEC_NP = 11,
	V3_VEC_SS = 12,
	V3_VEC_GP = 13,
	V3_VEC_PF = 14,
	V3_VEC_MF = 16,
	V3_VEC_AC = 17,
	V3_VEC_MC = 18,
	V3_VEC_XF = 19
};

#endif
