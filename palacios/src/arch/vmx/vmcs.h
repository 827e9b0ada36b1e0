/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vmcs.h
 * Numbers of Intel VMX: VMCS field encodings, control bits, exit reasons and the layout of what they report.
 * Names only. Intel SDM 3C chapters 25 to 28, 3D appendices A, B and C.
 */
#ifndef V3_VMX_VMCS_H
#define V3_VMX_VMCS_H

/*
 * A field's encoding tells its width and kind, 25.11.2: bits 14:13 are 0 (16 bits), 1 (64), 2 (32), 3 (natural);
 * bits 11:10 are 0 (control), 1 (exit information, read-only), 2 (guest), 3 (host).
 */
#define VMCS_WIDTH(field) (((field) >> 13) & 3)
#define VMCS_WIDTH_16	  0
#define VMCS_WIDTH_64	  1
#define VMCS_WIDTH_32	  2
#define VMCS_WIDTH_NAT	  3
#define VMCS_KIND(field)  (((field) >> 10) & 3)
#define VMCS_KIND_CONTROL 0
#define VMCS_KIND_EXIT	  1
#define VMCS_KIND_GUEST	  2
#define VMCS_KIND_HOST	  3

/* B.1: 16 bits */
#define VMCS_VPID		0x0000
#define VMCS_POSTED_INTR_VECTOR 0x0002
#define VMCS_EPTP_INDEX		0x0004
#define VMCS_HLAT_PREFIX_SIZE	0x0006
#define VMCS_LAST_PID_INDEX	0x0008
#define VMCS_GUEST_ES_SEL	0x0800
#define VMCS_GUEST_CS_SEL	0x0802
#define VMCS_GUEST_SS_SEL	0x0804
#define VMCS_GUEST_DS_SEL	0x0806
#define VMCS_GUEST_FS_SEL	0x0808
#define VMCS_GUEST_GS_SEL	0x080a
#define VMCS_GUEST_LDTR_SEL	0x080c
#define VMCS_GUEST_TR_SEL	0x080e
#define VMCS_GUEST_INTR_STATUS	0x0810
#define VMCS_PML_INDEX		0x0812
#define VMCS_GUEST_UINV		0x0814
#define VMCS_HOST_ES_SEL	0x0c00
#define VMCS_HOST_CS_SEL	0x0c02
#define VMCS_HOST_SS_SEL	0x0c04
#define VMCS_HOST_DS_SEL	0x0c06
#define VMCS_HOST_FS_SEL	0x0c08
#define VMCS_HOST_GS_SEL	0x0c0a
#define VMCS_HOST_TR_SEL	0x0c0c

/* B.2: 64 bits */
#define VMCS_IO_BITMAP_A	    0x2000
#define VMCS_IO_BITMAP_B	    0x2002
#define VMCS_MSR_BITMAP		    0x2004
#define VMCS_EXIT_MSR_STORE_ADDR    0x2006
#define VMCS_EXIT_MSR_LOAD_ADDR	    0x2008
#define VMCS_ENTRY_MSR_LOAD_ADDR    0x200a
#define VMCS_EXECUTIVE_POINTER	    0x200c
#define VMCS_PML_ADDR		    0x200e
#define VMCS_TSC_OFFSET		    0x2010
#define VMCS_VIRTUAL_APIC_ADDR	    0x2012
#define VMCS_APIC_ACCESS_ADDR	    0x2014
#define VMCS_POSTED_INTR_DESC	    0x2016
#define VMCS_VM_FUNCTIONS	    0x2018
#define VMCS_EPTP		    0x201a
#define VMCS_EOI_EXIT_BITMAP0	    0x201c
#define VMCS_EOI_EXIT_BITMAP1	    0x201e
#define VMCS_EOI_EXIT_BITMAP2	    0x2020
#define VMCS_EOI_EXIT_BITMAP3	    0x2022
#define VMCS_EPTP_LIST		    0x2024
#define VMCS_VMREAD_BITMAP	    0x2026
#define VMCS_VMWRITE_BITMAP	    0x2028
#define VMCS_VE_INFO_ADDR	    0x202a
#define VMCS_XSS_EXIT_BITMAP	    0x202c
#define VMCS_ENCLS_EXIT_BITMAP	    0x202e
#define VMCS_SPPTP		    0x2030
#define VMCS_TSC_MULTIPLIER	    0x2032
#define VMCS_PROC3_CONTROLS	    0x2034
#define VMCS_ENCLV_EXIT_BITMAP	    0x2036
#define VMCS_LOW_PASID_DIR	    0x2038
#define VMCS_HIGH_PASID_DIR	    0x203a
#define VMCS_SHARED_EPTP	    0x203c
#define VMCS_PCONFIG_EXIT_BITMAP    0x203e
#define VMCS_HLATP		    0x2040
#define VMCS_PID_TABLE		    0x2042
#define VMCS_EXIT2_CONTROLS	    0x2044
#define VMCS_SPEC_CTRL_MASK	    0x204a
#define VMCS_SPEC_CTRL_SHADOW	    0x204c
#define VMCS_GUEST_PHYS_ADDR	    0x2400
#define VMCS_LINK_POINTER	    0x2800
#define VMCS_GUEST_DEBUGCTL	    0x2802
#define VMCS_GUEST_PAT		    0x2804
#define VMCS_GUEST_EFER		    0x2806
#define VMCS_GUEST_PERF_GLOBAL_CTRL 0x2808
#define VMCS_GUEST_PDPTE0	    0x280a
#define VMCS_GUEST_PDPTE1	    0x280c
#define VMCS_GUEST_PDPTE2	    0x280e
#define VMCS_GUEST_PDPTE3	    0x2810
#define VMCS_GUEST_BNDCFGS	    0x2812
#define VMCS_GUEST_RTIT_CTL	    0x2814
#define VMCS_GUEST_LBR_CTL	    0x2816
#define VMCS_GUEST_PKRS		    0x2818
#define VMCS_HOST_PAT		    0x2c00
#define VMCS_HOST_EFER		    0x2c02
#define VMCS_HOST_PERF_GLOBAL_CTRL  0x2c04
#define VMCS_HOST_PKRS		    0x2c06

/* B.3: 32 bits */
#define VMCS_PIN_CONTROLS	    0x4000
#define VMCS_PROC_CONTROLS	    0x4002
#define VMCS_EXCEPTION_BITMAP	    0x4004
#define VMCS_PF_ERROR_MASK	    0x4006
#define VMCS_PF_ERROR_MATCH	    0x4008
#define VMCS_CR3_TARGET_COUNT	    0x400a
#define VMCS_EXIT_CONTROLS	    0x400c
#define VMCS_EXIT_MSR_STORE_COUNT   0x400e
#define VMCS_EXIT_MSR_LOAD_COUNT    0x4010
#define VMCS_ENTRY_CONTROLS	    0x4012
#define VMCS_ENTRY_MSR_LOAD_COUNT   0x4014
#define VMCS_ENTRY_INTR_INFO	    0x4016
#define VMCS_ENTRY_INTR_ERROR	    0x4018
#define VMCS_ENTRY_INSN_LEN	    0x401a
#define VMCS_TPR_THRESHOLD	    0x401c
#define VMCS_PROC2_CONTROLS	    0x401e
#define VMCS_PLE_GAP		    0x4020
#define VMCS_PLE_WINDOW		    0x4022
#define VMCS_INSN_TIMEOUT	    0x4024
#define VMCS_INSN_ERROR		    0x4400
#define VMCS_EXIT_REASON	    0x4402
#define VMCS_EXIT_INTR_INFO	    0x4404
#define VMCS_EXIT_INTR_ERROR	    0x4406
#define VMCS_IDT_VECTORING_INFO	    0x4408
#define VMCS_IDT_VECTORING_ERROR    0x440a
#define VMCS_EXIT_INSN_LEN	    0x440c
#define VMCS_EXIT_INSN_INFO	    0x440e
#define VMCS_GUEST_ES_LIMIT	    0x4800
#define VMCS_GUEST_CS_LIMIT	    0x4802
#define VMCS_GUEST_SS_LIMIT	    0x4804
#define VMCS_GUEST_DS_LIMIT	    0x4806
#define VMCS_GUEST_FS_LIMIT	    0x4808
#define VMCS_GUEST_GS_LIMIT	    0x480a
#define VMCS_GUEST_LDTR_LIMIT	    0x480c
#define VMCS_GUEST_TR_LIMIT	    0x480e
#define VMCS_GUEST_GDTR_LIMIT	    0x4810
#define VMCS_GUEST_IDTR_LIMIT	    0x4812
#define VMCS_GUEST_ES_RIGHTS	    0x4814
#define VMCS_GUEST_CS_RIGHTS	    0x4816
#define VMCS_GUEST_SS_RIGHTS	    0x4818
#define VMCS_GUEST_DS_RIGHTS	    0x481a
#define VMCS_GUEST_FS_RIGHTS	    0x481c
#define VMCS_GUEST_GS_RIGHTS	    0x481e
#define VMCS_GUEST_LDTR_RIGHTS	    0x4820
#define VMCS_GUEST_TR_RIGHTS	    0x4822
#define VMCS_GUEST_INTERRUPTIBILITY 0x4824
#define VMCS_GUEST_ACTIVITY	    0x4826
#define VMCS_GUEST_SMBASE	    0x4828
#define VMCS_GUEST_SYSENTER_CS	    0x482a
#define VMCS_PREEMPTION_TIMER	    0x482e
#define VMCS_HOST_SYSENTER_CS	    0x4c00

/* B.4: natural width */
#define VMCS_CR0_MASK		  0x6000
#define VMCS_CR4_MASK		  0x6002
#define VMCS_CR0_SHADOW		  0x6004
#define VMCS_CR4_SHADOW		  0x6006
#define VMCS_CR3_TARGET0	  0x6008
#define VMCS_CR3_TARGET1	  0x600a
#define VMCS_CR3_TARGET2	  0x600c
#define VMCS_CR3_TARGET3	  0x600e
#define VMCS_EXIT_QUALIFICATION	  0x6400
#define VMCS_IO_RCX		  0x6402
#define VMCS_IO_RSI		  0x6404
#define VMCS_IO_RDI		  0x6406
#define VMCS_IO_RIP		  0x6408
#define VMCS_GUEST_LINEAR_ADDR	  0x640a
#define VMCS_GUEST_CR0		  0x6800
#define VMCS_GUEST_CR3		  0x6802
#define VMCS_GUEST_CR4		  0x6804
#define VMCS_GUEST_ES_BASE	  0x6806
#define VMCS_GUEST_CS_BASE	  0x6808
#define VMCS_GUEST_SS_BASE	  0x680a
#define VMCS_GUEST_DS_BASE	  0x680c
#define VMCS_GUEST_FS_BASE	  0x680e
#define VMCS_GUEST_GS_BASE	  0x6810
#define VMCS_GUEST_LDTR_BASE	  0x6812
#define VMCS_GUEST_TR_BASE	  0x6814
#define VMCS_GUEST_GDTR_BASE	  0x6816
#define VMCS_GUEST_IDTR_BASE	  0x6818
#define VMCS_GUEST_DR7		  0x681a
#define VMCS_GUEST_RSP		  0x681c
#define VMCS_GUEST_RIP		  0x681e
#define VMCS_GUEST_RFLAGS	  0x6820
#define VMCS_GUEST_PENDING_DEBUG  0x6822
#define VMCS_GUEST_SYSENTER_ESP	  0x6824
#define VMCS_GUEST_SYSENTER_EIP	  0x6826
#define VMCS_GUEST_S_CET	  0x6828
#define VMCS_GUEST_SSP		  0x682a
#define VMCS_GUEST_INTR_SSP_TABLE 0x682c
#define VMCS_HOST_CR0		  0x6c00
#define VMCS_HOST_CR3		  0x6c02
#define VMCS_HOST_CR4		  0x6c04
#define VMCS_HOST_FS_BASE	  0x6c06
#define VMCS_HOST_GS_BASE	  0x6c08
#define VMCS_HOST_TR_BASE	  0x6c0a
#define VMCS_HOST_GDTR_BASE	  0x6c0c
#define VMCS_HOST_IDTR_BASE	  0x6c0e
#define VMCS_HOST_SYSENTER_ESP	  0x6c10
#define VMCS_HOST_SYSENTER_EIP	  0x6c12
#define VMCS_HOST_RSP		  0x6c14
#define VMCS_HOST_RIP		  0x6c16
#define VMCS_HOST_S_CET		  0x6c18
#define VMCS_HOST_SSP		  0x6c1a
#define VMCS_HOST_INTR_SSP_TABLE  0x6c1c

/* A guest segment's fields by enum v3_seg_num (ES, CS, SS, DS, FS, GS, LDTR, TR). */
#define VMCS_GUEST_SEL(seg)    (VMCS_GUEST_ES_SEL + 2 * (seg))
#define VMCS_GUEST_LIMIT(seg)  (VMCS_GUEST_ES_LIMIT + 2 * (seg))
#define VMCS_GUEST_RIGHTS(seg) (VMCS_GUEST_ES_RIGHTS + 2 * (seg))
#define VMCS_GUEST_BASE(seg)   (VMCS_GUEST_ES_BASE + 2 * (seg))

/* Access rights, 25.4.1: as in a descriptor's second word (bits 8 to 23 shifted down), and */
#define VMX_RIGHTS_TYPE	    0xfu
#define VMX_RIGHTS_S	    (1u << 4)
#define VMX_RIGHTS_DPL(r)   (((r) >> 5) & 3)
#define VMX_RIGHTS_P	    (1u << 7)
#define VMX_RIGHTS_AVL	    (1u << 12)
#define VMX_RIGHTS_L	    (1u << 13)
#define VMX_RIGHTS_DB	    (1u << 14)
#define VMX_RIGHTS_G	    (1u << 15)
#define VMX_RIGHTS_UNUSABLE (1u << 16)

/* Interruptibility, 25.4.2 */
#define VMX_BLOCK_STI	  (1u << 0)
#define VMX_BLOCK_MOV_SS  (1u << 1)
#define VMX_BLOCK_SMI	  (1u << 2)
#define VMX_BLOCK_NMI	  (1u << 3)
#define VMX_BLOCK_ENCLAVE (1u << 4)

/* Activity, 25.4.2 */
#define VMX_ACTIVITY_ACTIVE    0
#define VMX_ACTIVITY_HLT       1
#define VMX_ACTIVITY_SHUTDOWN  2
#define VMX_ACTIVITY_WAIT_SIPI 3

/* Pending debug exceptions, 25.4.2; the qualification of a #DB exit has the same bits and BD */
#define VMX_DEBUG_HITS	     0xfull
#define VMX_DEBUG_ENABLED_BP (1ull << 12)
#define VMX_DEBUG_BD	     (1ull << 13)
#define VMX_DEBUG_BS	     (1ull << 14)
#define VMX_DEBUG_RTM	     (1ull << 16)

/* Pin-based controls, 25.6.1 */
#define VMX_PIN_EXT_INTR	 (1u << 0)
#define VMX_PIN_NMI		 (1u << 3)
#define VMX_PIN_VIRTUAL_NMI	 (1u << 5)
#define VMX_PIN_PREEMPTION_TIMER (1u << 6)
#define VMX_PIN_POSTED_INTR	 (1u << 7)

/* Primary processor-based controls, 25.6.2 */
#define VMX_PROC_INTR_WINDOW (1u << 2)
#define VMX_PROC_TSC_OFFSET  (1u << 3)
#define VMX_PROC_HLT	     (1u << 7)
#define VMX_PROC_INVLPG	     (1u << 9)
#define VMX_PROC_MWAIT	     (1u << 10)
#define VMX_PROC_RDPMC	     (1u << 11)
#define VMX_PROC_RDTSC	     (1u << 12)
#define VMX_PROC_CR3_LOAD    (1u << 15)
#define VMX_PROC_CR3_STORE   (1u << 16)
#define VMX_PROC_TERTIARY    (1u << 17)
#define VMX_PROC_CR8_LOAD    (1u << 19)
#define VMX_PROC_CR8_STORE   (1u << 20)
#define VMX_PROC_TPR_SHADOW  (1u << 21)
#define VMX_PROC_NMI_WINDOW  (1u << 22)
#define VMX_PROC_MOV_DR	     (1u << 23)
#define VMX_PROC_UNCOND_IO   (1u << 24)
#define VMX_PROC_IO_BITMAPS  (1u << 25)
#define VMX_PROC_MTF	     (1u << 27)
#define VMX_PROC_MSR_BITMAPS (1u << 28)
#define VMX_PROC_MONITOR     (1u << 29)
#define VMX_PROC_PAUSE	     (1u << 30)
#define VMX_PROC_SECONDARY   (1u << 31)

/* Secondary processor-based controls, 25.6.2 */
#define VMX_PROC2_APIC_ACCESS  (1u << 0)
#define VMX_PROC2_EPT	       (1u << 1)
#define VMX_PROC2_DESC_TABLE   (1u << 2)
#define VMX_PROC2_RDTSCP       (1u << 3)
#define VMX_PROC2_X2APIC       (1u << 4)
#define VMX_PROC2_VPID	       (1u << 5)
#define VMX_PROC2_WBINVD       (1u << 6)
#define VMX_PROC2_UNRESTRICTED (1u << 7)
#define VMX_PROC2_APIC_REGS    (1u << 8)
#define VMX_PROC2_VIRT_INTR    (1u << 9)
#define VMX_PROC2_PAUSE_LOOP   (1u << 10)
#define VMX_PROC2_RDRAND       (1u << 11)
#define VMX_PROC2_INVPCID      (1u << 12)
#define VMX_PROC2_VMFUNC       (1u << 13)
#define VMX_PROC2_SHADOW_VMCS  (1u << 14)
#define VMX_PROC2_ENCLS	       (1u << 15)
#define VMX_PROC2_RDSEED       (1u << 16)
#define VMX_PROC2_PML	       (1u << 17)
#define VMX_PROC2_VE	       (1u << 18)
#define VMX_PROC2_CONCEAL_PT   (1u << 19)
#define VMX_PROC2_XSAVES       (1u << 20)
#define VMX_PROC2_MODE_EXEC    (1u << 22)
#define VMX_PROC2_SPP	       (1u << 23)
#define VMX_PROC2_PT_GPA       (1u << 24)
#define VMX_PROC2_TSC_SCALING  (1u << 25)
#define VMX_PROC2_USER_WAIT    (1u << 26)
#define VMX_PROC2_PCONFIG      (1u << 27)
#define VMX_PROC2_ENCLV	       (1u << 28)
#define VMX_PROC2_BUS_LOCK     (1u << 30)
#define VMX_PROC2_INSN_TIMEOUT (1u << 31)

/* Exit controls, 25.7.1 */
#define VMX_EXIT_CTL_SAVE_DEBUG	     (1u << 2)
#define VMX_EXIT_CTL_HOST_64	     (1u << 9)
#define VMX_EXIT_CTL_LOAD_PERF	     (1u << 12)
#define VMX_EXIT_CTL_ACK_INTR	     (1u << 15)
#define VMX_EXIT_CTL_SAVE_PAT	     (1u << 18)
#define VMX_EXIT_CTL_LOAD_PAT	     (1u << 19)
#define VMX_EXIT_CTL_SAVE_EFER	     (1u << 20)
#define VMX_EXIT_CTL_LOAD_EFER	     (1u << 21)
#define VMX_EXIT_CTL_SAVE_PREEMPTION (1u << 22)
#define VMX_EXIT_CTL_CLEAR_BNDCFGS   (1u << 23)
#define VMX_EXIT_CTL_CONCEAL_PT	     (1u << 24)
#define VMX_EXIT_CTL_CLEAR_RTIT	     (1u << 25)
#define VMX_EXIT_CTL_CLEAR_LBR	     (1u << 26)
#define VMX_EXIT_CTL_CLEAR_UINV	     (1u << 27)
#define VMX_EXIT_CTL_LOAD_CET	     (1u << 28)
#define VMX_EXIT_CTL_LOAD_PKRS	     (1u << 29)
#define VMX_EXIT_CTL_SAVE_PERF	     (1u << 30)
#define VMX_EXIT_CTL_SECONDARY	     (1u << 31)

/* Entry controls, 25.8.1 */
#define VMX_ENTRY_CTL_LOAD_DEBUG   (1u << 2)
#define VMX_ENTRY_CTL_GUEST_64	   (1u << 9)
#define VMX_ENTRY_CTL_SMM	   (1u << 10)
#define VMX_ENTRY_CTL_DUAL_MONITOR (1u << 11)
#define VMX_ENTRY_CTL_LOAD_PERF	   (1u << 13)
#define VMX_ENTRY_CTL_LOAD_PAT	   (1u << 14)
#define VMX_ENTRY_CTL_LOAD_EFER	   (1u << 15)
#define VMX_ENTRY_CTL_LOAD_BNDCFGS (1u << 16)
#define VMX_ENTRY_CTL_CONCEAL_PT   (1u << 17)
#define VMX_ENTRY_CTL_LOAD_RTIT	   (1u << 18)
#define VMX_ENTRY_CTL_LOAD_UINV	   (1u << 19)
#define VMX_ENTRY_CTL_LOAD_CET	   (1u << 20)
#define VMX_ENTRY_CTL_LOAD_LBR	   (1u << 21)
#define VMX_ENTRY_CTL_LOAD_PKRS	   (1u << 22)

/* Interruption information: entry 25.8.3, exit 25.9.2, IDT vectoring 25.9.3 */
#define VMX_INTR_VECTOR(i)	((i)&0xffu)
#define VMX_INTR_TYPE(t)	((uint32_t)(t) << 8)
#define VMX_INTR_GET_TYPE(i)	(((i) >> 8) & 7u)
#define VMX_INTR_EXTERNAL	0
#define VMX_INTR_NMI		2
#define VMX_INTR_EXCEPTION	3 /* hardware: fault, trap, abort */
#define VMX_INTR_SOFT_INTR	4 /* INT n */
#define VMX_INTR_PRIV_EXCEPTION 5 /* INT1 */
#define VMX_INTR_SOFT_EXCEPTION 6 /* INT3, INTO */
#define VMX_INTR_OTHER		7 /* entry: pending MTF exit */
#define VMX_INTR_ERROR		(1u << 11)
#define VMX_INTR_NMI_UNBLOCKED	(1u << 12) /* exit: by an IRET that then faulted */
#define VMX_INTR_VALID		(1u << 31)
#define VMX_INTR_ENTRY_RESERVED 0x7ffff000u

/* Exit reason field, 25.9.1 */
#define VMX_REASON_BASIC(r)	((r)&0xffffu)
#define VMX_REASON_ENCLAVE	(1u << 27)
#define VMX_REASON_PENDING_MTF	(1u << 28)
#define VMX_REASON_ENTRY_FAILED (1u << 31)

/* Basic exit reasons, appendix C; 35, 38, 42 and 71 are not defined */
#define VMX_EXIT_EXCEPTION	  0 /* exception or NMI */
#define VMX_EXIT_EXT_INTR	  1
#define VMX_EXIT_TRIPLE_FAULT	  2
#define VMX_EXIT_INIT		  3
#define VMX_EXIT_SIPI		  4
#define VMX_EXIT_IO_SMI		  5
#define VMX_EXIT_SMI		  6
#define VMX_EXIT_INTR_WINDOW	  7
#define VMX_EXIT_NMI_WINDOW	  8
#define VMX_EXIT_TASK_SWITCH	  9
#define VMX_EXIT_CPUID		  10
#define VMX_EXIT_GETSEC		  11
#define VMX_EXIT_HLT		  12
#define VMX_EXIT_INVD		  13
#define VMX_EXIT_INVLPG		  14
#define VMX_EXIT_RDPMC		  15
#define VMX_EXIT_RDTSC		  16
#define VMX_EXIT_RSM		  17
#define VMX_EXIT_VMCALL		  18
#define VMX_EXIT_VMCLEAR	  19
#define VMX_EXIT_VMLAUNCH	  20
#define VMX_EXIT_VMPTRLD	  21
#define VMX_EXIT_VMPTRST	  22
#define VMX_EXIT_VMREAD		  23
#define VMX_EXIT_VMRESUME	  24
#define VMX_EXIT_VMWRITE	  25
#define VMX_EXIT_VMXOFF		  26
#define VMX_EXIT_VMXON		  27
#define VMX_EXIT_CR_ACCESS	  28
#define VMX_EXIT_DR_ACCESS	  29
#define VMX_EXIT_IO		  30
#define VMX_EXIT_RDMSR		  31
#define VMX_EXIT_WRMSR		  32
#define VMX_EXIT_BAD_GUEST_STATE  33 /* entry failed */
#define VMX_EXIT_BAD_MSR_LOAD	  34 /* entry failed */
#define VMX_EXIT_MWAIT		  36
#define VMX_EXIT_MTF		  37
#define VMX_EXIT_MONITOR	  39
#define VMX_EXIT_PAUSE		  40
#define VMX_EXIT_ENTRY_MCE	  41 /* entry failed */
#define VMX_EXIT_TPR_THRESHOLD	  43
#define VMX_EXIT_APIC_ACCESS	  44
#define VMX_EXIT_VIRTUAL_EOI	  45
#define VMX_EXIT_GDTR_IDTR	  46
#define VMX_EXIT_LDTR_TR	  47
#define VMX_EXIT_EPT_VIOLATION	  48
#define VMX_EXIT_EPT_MISCONFIG	  49
#define VMX_EXIT_INVEPT		  50
#define VMX_EXIT_RDTSCP		  51
#define VMX_EXIT_PREEMPTION_TIMER 52
#define VMX_EXIT_INVVPID	  53
#define VMX_EXIT_WBINVD		  54
#define VMX_EXIT_XSETBV		  55
#define VMX_EXIT_APIC_WRITE	  56
#define VMX_EXIT_RDRAND		  57
#define VMX_EXIT_INVPCID	  58
#define VMX_EXIT_VMFUNC		  59
#define VMX_EXIT_ENCLS		  60
#define VMX_EXIT_RDSEED		  61
#define VMX_EXIT_PML_FULL	  62
#define VMX_EXIT_XSAVES		  63
#define VMX_EXIT_XRSTORS	  64
#define VMX_EXIT_PCONFIG	  65
#define VMX_EXIT_SPP		  66
#define VMX_EXIT_UMWAIT		  67
#define VMX_EXIT_TPAUSE		  68
#define VMX_EXIT_LOADIWKEY	  69
#define VMX_EXIT_ENCLV		  70
#define VMX_EXIT_ENQCMD		  72
#define VMX_EXIT_ENQCMDS	  73
#define VMX_EXIT_BUS_LOCK	  74
#define VMX_EXIT_INSN_TIMEOUT	  75
#define VMX_EXIT_SEAMCALL	  76
#define VMX_EXIT_TDCALL		  77
#define VMX_EXIT_RDMSRLIST	  78
#define VMX_EXIT_WRMSRLIST	  79
#define VMX_EXIT_COUNT		  80

/* Exit qualifications, 28.2.1. Control-register access */
#define VMX_QUAL_CR_N(q)	       ((q)&15)
#define VMX_QUAL_CR_TYPE(q)	       (((q) >> 4) & 3)
#define VMX_QUAL_CR_TO		       0 /* MOV to CR */
#define VMX_QUAL_CR_FROM	       1
#define VMX_QUAL_CR_CLTS	       2
#define VMX_QUAL_CR_LMSW	       3
#define VMX_QUAL_CR_LMSW_MEM	       (1ull << 6) /* LMSW: operand in memory */
#define VMX_QUAL_CR_GPR(q)	       (((q) >> 8) & 15)
#define VMX_QUAL_CR_LMSW_SRC(q)	       (((q) >> 16) & 0xffff)
/* MOV DR */
#define VMX_QUAL_DR_N(q)	       ((q)&7)
#define VMX_QUAL_DR_FROM	       (1ull << 4)
#define VMX_QUAL_DR_GPR(q)	       (((q) >> 8) & 15)
/* I/O */
#define VMX_QUAL_IO_SIZE(q)	       (((q)&7) + 1)
#define VMX_QUAL_IO_IN		       (1ull << 3)
#define VMX_QUAL_IO_STRING	       (1ull << 4)
#define VMX_QUAL_IO_REP		       (1ull << 5)
#define VMX_QUAL_IO_IMM		       (1ull << 6)
#define VMX_QUAL_IO_PORT(q)	       (((q) >> 16) & 0xffff)
/* Task switch */
#define VMX_QUAL_TASK_SEL(q)	       ((q)&0xffff)
#define VMX_QUAL_TASK_SOURCE(q)	       (((q) >> 30) & 3) /* CALL, IRET, JMP, task gate */
/* APIC access */
#define VMX_QUAL_APIC_OFFSET(q)	       ((q)&0xfff)
#define VMX_QUAL_APIC_TYPE(q)	       (((q) >> 12) & 15)
/* EPT violation */
#define VMX_QUAL_EPT_READ	       (1ull << 0)
#define VMX_QUAL_EPT_WRITE	       (1ull << 1)
#define VMX_QUAL_EPT_FETCH	       (1ull << 2)
#define VMX_QUAL_EPT_READABLE	       (1ull << 3)
#define VMX_QUAL_EPT_WRITABLE	       (1ull << 4)
#define VMX_QUAL_EPT_EXECUTABLE	       (1ull << 5)
#define VMX_QUAL_EPT_LINEAR	       (1ull << 7) /* the guest-linear-address field is valid */
#define VMX_QUAL_EPT_TRANSLATED	       (1ull << 8) /* the access itself, not the walk to it */
#define VMX_QUAL_EPT_NMI_UNBLOCKED     (1ull << 12)
/* Instruction timeout */
#define VMX_QUAL_STALLED_LOST	       (1ull << 0) /* the guest state in the VMCS is not valid */
#define VMX_QUAL_STALLED_NMI_UNBLOCKED (1ull << 12)

/* VM-instruction errors, 31.4 */
#define VMX_ERROR_ENTRY_CONTROLS 7
#define VMX_ERROR_ENTRY_HOST	 8

/* Extended-page-table pointer, 25.6.11 */
#define VMX_EPTP_WB	   6ull
#define VMX_EPTP_LEVELS(n) ((uint64_t)((n)-1) << 3)
#define VMX_EPTP_AD	   (1ull << 6)

/* TSC multiplier, 25.6.5: a number of 64 bits */
#define VMX_TSC_FRACTION 48

/* INVEPT and INVVPID types, 31.3 */
#define VMX_INVEPT_SINGLE	   1
#define VMX_INVEPT_ALL		   2
#define VMX_INVVPID_ADDRESS	   0
#define VMX_INVVPID_SINGLE	   1
#define VMX_INVVPID_ALL		   2
#define VMX_INVVPID_SINGLE_GLOBALS 3 /* keeps global translations */

/* MSRs, appendix A and 3D 2.1 */
#define VMX_MSR_FEATURE_CONTROL 0x03au
#define VMX_FEATURE_LOCKED	(1ull << 0)
#define VMX_FEATURE_IN_SMX	(1ull << 1)
#define VMX_FEATURE_OUTSIDE_SMX (1ull << 2)
#define VMX_MSR_BASIC		0x480u
#define VMX_MSR_PINBASED	0x481u
#define VMX_MSR_PROCBASED	0x482u
#define VMX_MSR_EXIT		0x483u
#define VMX_MSR_ENTRY		0x484u
#define VMX_MSR_MISC		0x485u
#define VMX_MSR_CR0_FIXED0	0x486u
#define VMX_MSR_CR0_FIXED1	0x487u
#define VMX_MSR_CR4_FIXED0	0x488u
#define VMX_MSR_CR4_FIXED1	0x489u
#define VMX_MSR_VMCS_ENUM	0x48au
#define VMX_MSR_PROCBASED2	0x48bu
#define VMX_MSR_EPT_VPID_CAP	0x48cu
#define VMX_MSR_TRUE_PINBASED	0x48du
#define VMX_MSR_TRUE_PROCBASED	0x48eu
#define VMX_MSR_TRUE_EXIT	0x48fu
#define VMX_MSR_TRUE_ENTRY	0x490u
#define VMX_MSR_VMFUNC		0x491u

/* IA32_VMX_BASIC, A.1 */
#define VMX_BASIC_REVISION(b)	((uint32_t)(b)&0x7fffffffu)
#define VMX_BASIC_SIZE(b)	((uint32_t)((b) >> 32) & 0x1fffu)
#define VMX_BASIC_32BIT		(1ull << 48) /* VMX structures must lie below 4 GiB */
#define VMX_BASIC_MEM_TYPE(b)	(((b) >> 50) & 15)
#define VMX_BASIC_IO_INFO	(1ull << 54)
#define VMX_BASIC_TRUE		(1ull << 55)
#define VMX_BASIC_ANY_ERRORCODE (1ull << 56)

/* IA32_VMX_MISC, A.6 */
#define VMX_MISC_TIMER_SHIFT(m) ((uint32_t)(m)&31)
#define VMX_MISC_STORES_LMA	(1ull << 5)
#define VMX_MISC_HLT		(1ull << 6) /* activity states that can be entered */
#define VMX_MISC_SHUTDOWN	(1ull << 7)
#define VMX_MISC_WAIT_SIPI	(1ull << 8)
#define VMX_MISC_CR3_TARGETS(m) (((uint32_t)(m) >> 16) & 0x1ff)
#define VMX_MISC_MSR_LIST(m)	(512u * ((((uint32_t)(m) >> 25) & 7) + 1))
#define VMX_MISC_WRITE_ALL	(1ull << 29)
#define VMX_MISC_SOFT_LEN0	(1ull << 30)

/* IA32_VMX_EPT_VPID_CAP, A.10 */
#define VMX_EPT_EXEC_ONLY	     (1ull << 0)
#define VMX_EPT_WALK4		     (1ull << 6)
#define VMX_EPT_WALK5		     (1ull << 7)
#define VMX_EPT_UC		     (1ull << 8)
#define VMX_EPT_WB		     (1ull << 14)
#define VMX_EPT_2M		     (1ull << 16)
#define VMX_EPT_1G		     (1ull << 17)
#define VMX_EPT_INVEPT		     (1ull << 20)
#define VMX_EPT_AD		     (1ull << 21)
#define VMX_EPT_ADVANCED_INFO	     (1ull << 22)
#define VMX_EPT_INVEPT_SINGLE	     (1ull << 25)
#define VMX_EPT_INVEPT_ALL	     (1ull << 26)
#define VMX_VPID_INVVPID	     (1ull << 32)
#define VMX_VPID_INVVPID_ADDRESS     (1ull << 40)
#define VMX_VPID_INVVPID_SINGLE	     (1ull << 41)
#define VMX_VPID_INVVPID_ALL	     (1ull << 42)
#define VMX_VPID_INVVPID_KEEP_GLOBAL (1ull << 43)

#endif
