/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vmcb.h
 * The virtual machine control block and SVM's exit codes. AMD APM vol. 2 (24593 r3.42), appendix B and C.
 */
#ifndef V3_SVM_VMCB_H
#define V3_SVM_VMCB_H

#include "palacios/regs.h"
#include "palacios/types.h"

/* GDTR, IDTR and segments share one layout; struct v3_seg is the same on purpose. */
struct svm_vmcb {
	/* control area */
	uint16_t cr_read, cr_write; /* intercepts by register number */
	uint16_t dr_read, dr_write;
	uint32_t exceptions;
	uint32_t misc1, misc2, misc3; /* SVM_MISC1_*, SVM_MISC2_* */
	uint8_t reserved0[0x3c - 0x18];
	uint16_t pause_threshold, pause_count;
	uint64_t iopm_pa, msrpm_pa;
	uint64_t tsc_offset;
	uint32_t asid;
	uint8_t tlb_control; /* SVM_TLB_* */
	uint8_t reserved1[3];
	uint64_t vintr;	 /* SVM_VINTR_* */
	uint64_t shadow; /* bit 0: interrupt shadow */
	uint64_t exitcode, exitinfo1, exitinfo2;
	uint64_t exitintinfo; /* SVM_EVENT_* */
	uint64_t np_enable;   /* bit 0 */
	uint64_t avic_bar, ghcb;
	uint64_t eventinj; /* SVM_EVENT_* */
	uint64_t ncr3;
	uint64_t lbr_enable;
	uint64_t clean; /* SVM_CLEAN_* */
	uint64_t next_rip;
	uint8_t fetched;
	uint8_t insn[15];
	uint8_t reserved2[0x400 - 0xe0];

	/* state save area */
	struct v3_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved3[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t reserved4;
	uint64_t efer;
	uint8_t reserved5[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved6[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t reserved7[0x5f8 - 0x5e0];
	uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t cr2;
	uint8_t reserved8[0x668 - 0x648];
	uint64_t pat, debugctl, br_from, br_to, excp_from, excp_to;
	uint8_t reserved9[0x1000 - 0x698];
};

#define SVM_AT(field, offset)                                                                      \
	_Static_assert(offsetof(struct svm_vmcb, field) == (offset), "VMCB layout: " #field)
SVM_AT(pause_threshold, 0x3c);
SVM_AT(asid, 0x58);
SVM_AT(vintr, 0x60);
SVM_AT(exitcode, 0x70);
SVM_AT(np_enable, 0x90);
SVM_AT(eventinj, 0xa8);
SVM_AT(clean, 0xc0);
SVM_AT(fetched, 0xd0);
SVM_AT(es, 0x400);
SVM_AT(tr, 0x490);
SVM_AT(cpl, 0x4cb);
SVM_AT(efer, 0x4d0);
SVM_AT(cr4, 0x548);
SVM_AT(rip, 0x578);
SVM_AT(rsp, 0x5d8);
SVM_AT(rax, 0x5f8);
SVM_AT(cr2, 0x640);
SVM_AT(pat, 0x668);
SVM_AT(excp_to, 0x690);
#undef SVM_AT
_Static_assert(sizeof(struct svm_vmcb) == 4096, "VMCB is one page");

/* misc1 (offset 0x00c) */
#define SVM_MISC1_INTR	      (1u << 0)
#define SVM_MISC1_NMI	      (1u << 1)
#define SVM_MISC1_SMI	      (1u << 2)
#define SVM_MISC1_INIT	      (1u << 3)
#define SVM_MISC1_VINTR	      (1u << 4)
#define SVM_MISC1_CR0_SEL     (1u << 5)
#define SVM_MISC1_RDPMC	      (1u << 15)
#define SVM_MISC1_CPUID	      (1u << 18)
#define SVM_MISC1_RSM	      (1u << 19)
#define SVM_MISC1_IRET	      (1u << 20)
#define SVM_MISC1_INVD	      (1u << 22)
#define SVM_MISC1_PAUSE	      (1u << 23)
#define SVM_MISC1_HLT	      (1u << 24)
#define SVM_MISC1_INVLPGA     (1u << 26)
#define SVM_MISC1_IOIO	      (1u << 27)
#define SVM_MISC1_MSR	      (1u << 28)
#define SVM_MISC1_TASK_SWITCH (1u << 29)
#define SVM_MISC1_FERR	      (1u << 30)
#define SVM_MISC1_SHUTDOWN    (1u << 31)
/* misc2 (offset 0x010) */
#define SVM_MISC2_VMRUN	      (1u << 0)
#define SVM_MISC2_VMMCALL     (1u << 1)
#define SVM_MISC2_VMLOAD      (1u << 2)
#define SVM_MISC2_VMSAVE      (1u << 3)
#define SVM_MISC2_STGI	      (1u << 4)
#define SVM_MISC2_CLGI	      (1u << 5)
#define SVM_MISC2_SKINIT      (1u << 6)
#define SVM_MISC2_WBINVD      (1u << 9)
#define SVM_MISC2_MONITOR     (1u << 10)
#define SVM_MISC2_MWAIT	      (1u << 11)
#define SVM_MISC2_XSETBV      (1u << 13)
#define SVM_MISC2_RDPRU	      (1u << 14)

#define SVM_TLB_NOTHING 0
#define SVM_TLB_ALL	1 /* every ASID */
#define SVM_TLB_THIS	3 /* this ASID (needs flush-by-ASID) */

#define SVM_VINTR_IRQ	  (1ull << 8)
#define SVM_VINTR_IGN_TPR (1ull << 20)
#define SVM_VINTR_MASKING (1ull << 24)
#define SVM_VINTR_VECTOR  (0xffull << 32)

/* EVENTINJ and EXITINTINFO, 15.20 and 15.7.2 */
#define SVM_EVENT_TYPE(t)   ((uint64_t)(t) << 8)
#define SVM_EVENT_GET(e)    (((e) >> 8) & 7)
#define SVM_EVENT_INTR	    0
#define SVM_EVENT_NMI	    2
#define SVM_EVENT_EXCEPTION 3
#define SVM_EVENT_SOFT	    4
#define SVM_EVENT_ERROR	    (1ull << 11)
#define SVM_EVENT_VALID	    (1ull << 31)

/* VMCB clean bits, 15.15.3 */
#define SVM_CLEAN_INTERCEPTS (1u << 0)
#define SVM_CLEAN_MAPS	     (1u << 1)
#define SVM_CLEAN_ASID	     (1u << 2)
#define SVM_CLEAN_TPR	     (1u << 3)
#define SVM_CLEAN_NP	     (1u << 4)
#define SVM_CLEAN_CRX	     (1u << 5)
#define SVM_CLEAN_DRX	     (1u << 6)
#define SVM_CLEAN_DT	     (1u << 7)
#define SVM_CLEAN_SEG	     (1u << 8)
#define SVM_CLEAN_CR2	     (1u << 9)
#define SVM_CLEAN_ALL	     0x3ffu

/* Exit codes, appendix C */
#define SVM_EXIT_CR_READ   0x00
#define SVM_EXIT_CR_WRITE  0x10
#define SVM_EXIT_DR_READ   0x20
#define SVM_EXIT_DR_WRITE  0x30
#define SVM_EXIT_EXCEPTION 0x40
#define SVM_EXIT_INTR	   0x60
#define SVM_EXIT_NMI	   0x61
#define SVM_EXIT_SMI	   0x62
#define SVM_EXIT_INIT	   0x63
#define SVM_EXIT_VINTR	   0x64
#define SVM_EXIT_CR0_SEL   0x65
#define SVM_EXIT_IDTR_READ 0x66 /* SIDT, then SGDT, SLDT, STR, LIDT, LGDT, LLDT, LTR */
#define SVM_EXIT_TR_WRITE  0x6d
#define SVM_EXIT_RDTSC	   0x6e
#define SVM_EXIT_RDPMC	   0x6f
#define SVM_EXIT_CPUID	   0x72
#define SVM_EXIT_RSM	   0x73
#define SVM_EXIT_IRET	   0x74
#define SVM_EXIT_INVD	   0x76
#define SVM_EXIT_PAUSE	   0x77
#define SVM_EXIT_HLT	   0x78
#define SVM_EXIT_INVLPG	   0x79
#define SVM_EXIT_INVLPGA   0x7a
#define SVM_EXIT_IOIO	   0x7b
#define SVM_EXIT_MSR	   0x7c
#define SVM_EXIT_TASK	   0x7d
#define SVM_EXIT_FERR	   0x7e
#define SVM_EXIT_SHUTDOWN  0x7f
#define SVM_EXIT_VMRUN	   0x80
#define SVM_EXIT_VMMCALL   0x81
#define SVM_EXIT_VMLOAD	   0x82
#define SVM_EXIT_VMSAVE	   0x83
#define SVM_EXIT_STGI	   0x84
#define SVM_EXIT_CLGI	   0x85
#define SVM_EXIT_SKINIT	   0x86
#define SVM_EXIT_RDTSCP	   0x87
#define SVM_EXIT_WBINVD	   0x89
#define SVM_EXIT_MONITOR   0x8a
#define SVM_EXIT_MWAIT	   0x8b
#define SVM_EXIT_MWAIT_IF  0x8c
#define SVM_EXIT_XSETBV	   0x8d
#define SVM_EXIT_RDPRU	   0x8e
#define SVM_EXIT_INVPCID   0xa2
#define SVM_EXIT_NPF	   0x400

/* IOIO EXITINFO1, 15.10.2 */
#define SVM_IOIO_IN	 (1u << 0)
#define SVM_IOIO_STR	 (1u << 2)
#define SVM_IOIO_REP	 (1u << 3)
#define SVM_IOIO_SIZE(i) (((i) >> 4) & 7) /* one-hot: the size in bytes */

/* Task switch EXITINFO2, 15.14.1 */
#define SVM_TASK_IRET  (1ull << 36)
#define SVM_TASK_JMP   (1ull << 38)
#define SVM_TASK_ERROR (1ull << 44)

#define SVM_MSR_TSC_RATIO   0xc0000104u
#define SVM_TSC_FRACTION    32 /* TSC ratio: 8.32 fixed point, 15.30.5 */
#define SVM_TSC_INTEGER	    8
#define SVM_TSC_UNSCALED    (1ull << SVM_TSC_FRACTION)
#define SVM_MSR_VM_CR	    0xc0010114u
#define SVM_VM_CR_SVMDIS    (1ull << 4)
#define SVM_MSR_VM_HSAVE_PA 0xc0010117u

#endif
