/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file caps.c
 * The capability MSRs and the controls that follow from them. Called by the back end's probe and init.
 * SDM 3C 32.3, 3D appendix A.
 */
#include "arch/vmx/caps.h"

#include "host/x86.h"
#include "palacios/error.h"

enum caps_word { CAPS_PIN, CAPS_PROC, CAPS_PROC2, CAPS_EXIT, CAPS_ENTRY, CAPS_NWORDS };

enum caps_need {
	CAPS_ON,     /* 1, always */
	CAPS_WANT,   /* 1 if the CPU has it */
	CAPS_SWITCH, /* changes while the guest runs: both must be allowed; 0 at first */
	CAPS_OFF     /* 0, always */
};

struct caps_row {
	uint8_t word; /* enum caps_word */
	uint8_t need; /* enum caps_need */
	uint32_t bit;
	const char *missing; /* NULL: WANT */
};

#define CAPS_NO(what)	  "this CPU's VMX has no " what ": a newer CPU is needed"
#define CAPS_FORCED(what) "this CPU's VMX cannot run guests without " what ": a newer CPU is needed"

/*
 * All controls that the back end uses; any other is 0 unless the CPU says that it must be 1 (A.2: reserved
 * ones). The order is that of the refusals: what says most about a CPU comes first.
 */
static const struct caps_row caps_rows[] = {
	{CAPS_PROC, CAPS_ON, VMX_PROC_SECONDARY, CAPS_NO("secondary controls")},
	{CAPS_PROC2, CAPS_ON, VMX_PROC2_EPT, CAPS_NO("extended page tables")},
	{CAPS_PROC2, CAPS_ON, VMX_PROC2_UNRESTRICTED, CAPS_NO("unrestricted guest (real mode)")},

	{CAPS_PIN, CAPS_ON, VMX_PIN_EXT_INTR, CAPS_NO("external-interrupt exiting")},
	{CAPS_PIN, CAPS_ON, VMX_PIN_NMI, CAPS_NO("NMI exiting")},
	{CAPS_PIN, CAPS_ON, VMX_PIN_VIRTUAL_NMI, CAPS_NO("virtual NMIs")},

	{CAPS_PIN, CAPS_OFF, VMX_PIN_PREEMPTION_TIMER,
	 CAPS_FORCED("the preemption timer")}, /* at first: timer.c switches it */

	{CAPS_PROC, CAPS_SWITCH, VMX_PROC_INTR_WINDOW, CAPS_NO("interrupt-window exiting")},
	{CAPS_PROC, CAPS_ON, VMX_PROC_TSC_OFFSET, CAPS_NO("TSC offsetting")},
	{CAPS_PROC, CAPS_ON, VMX_PROC_HLT, CAPS_NO("HLT exiting")},
	{CAPS_PROC, CAPS_OFF, VMX_PROC_INVLPG, CAPS_FORCED("INVLPG exiting")},
	{CAPS_PROC, CAPS_ON, VMX_PROC_MWAIT, CAPS_NO("MWAIT exiting")},
	{CAPS_PROC, CAPS_ON, VMX_PROC_RDPMC, CAPS_NO("RDPMC exiting")},
	{CAPS_PROC, CAPS_OFF, VMX_PROC_RDTSC, CAPS_FORCED("RDTSC exiting")},
	{CAPS_PROC, CAPS_OFF, VMX_PROC_CR3_LOAD, CAPS_FORCED("CR3-load exiting")},
	{CAPS_PROC, CAPS_OFF, VMX_PROC_CR3_STORE, CAPS_FORCED("CR3-store exiting")},
	{CAPS_PROC, CAPS_ON, VMX_PROC_CR8_LOAD, CAPS_NO("CR8-load exiting")},
	{CAPS_PROC, CAPS_ON, VMX_PROC_CR8_STORE, CAPS_NO("CR8-store exiting")},
	{CAPS_PROC, CAPS_SWITCH, VMX_PROC_NMI_WINDOW, CAPS_NO("NMI-window exiting")},
	{CAPS_PROC, CAPS_ON, VMX_PROC_MOV_DR, CAPS_NO("MOV-DR exiting")},
	/* No I/O bitmaps: no port is ever a guest's own, and two pages for each VM would say nothing else. */
	{CAPS_PROC, CAPS_ON, VMX_PROC_UNCOND_IO, CAPS_NO("unconditional I/O exiting")},
	{CAPS_PROC, CAPS_ON, VMX_PROC_MSR_BITMAPS, CAPS_NO("MSR bitmaps")},
	{CAPS_PROC, CAPS_ON, VMX_PROC_MONITOR, CAPS_NO("MONITOR exiting")},
	{CAPS_PROC, CAPS_OFF, VMX_PROC_PAUSE, CAPS_FORCED("PAUSE exiting")},

	{CAPS_PROC2, CAPS_WANT, VMX_PROC2_RDTSCP, NULL},
	{CAPS_PROC2, CAPS_WANT, VMX_PROC2_VPID, NULL},
	{CAPS_PROC2, CAPS_ON, VMX_PROC2_WBINVD, CAPS_NO("WBINVD exiting")},
	{CAPS_PROC2, CAPS_WANT, VMX_PROC2_PAUSE_LOOP, NULL},
	{CAPS_PROC2, CAPS_WANT, VMX_PROC2_INVPCID, NULL},
	{CAPS_PROC2, CAPS_WANT, VMX_PROC2_PML, NULL},
	{CAPS_PROC2, CAPS_WANT, VMX_PROC2_XSAVES, NULL},

	{CAPS_EXIT, CAPS_ON, VMX_EXIT_CTL_SAVE_DEBUG, CAPS_NO("saving of debug controls")},
	{CAPS_EXIT, CAPS_ON, VMX_EXIT_CTL_HOST_64, CAPS_NO("64-bit hosts")},
	{CAPS_EXIT, CAPS_ON, VMX_EXIT_CTL_ACK_INTR, CAPS_NO("acknowledging on exit")},
	{CAPS_EXIT, CAPS_ON, VMX_EXIT_CTL_SAVE_PAT, CAPS_NO("saving of IA32_PAT")},
	{CAPS_EXIT, CAPS_ON, VMX_EXIT_CTL_LOAD_PAT, CAPS_NO("loading of IA32_PAT on exit")},
	{CAPS_EXIT, CAPS_ON, VMX_EXIT_CTL_SAVE_EFER, CAPS_NO("saving of IA32_EFER")},
	{CAPS_EXIT, CAPS_ON, VMX_EXIT_CTL_LOAD_EFER, CAPS_NO("loading of IA32_EFER on exit")},

	{CAPS_ENTRY, CAPS_ON, VMX_ENTRY_CTL_LOAD_DEBUG, CAPS_NO("loading of debug controls")},
	{CAPS_ENTRY, CAPS_SWITCH, VMX_ENTRY_CTL_GUEST_64, CAPS_NO("64-bit guests")},
	{CAPS_ENTRY, CAPS_ON, VMX_ENTRY_CTL_LOAD_PAT, CAPS_NO("loading of IA32_PAT")},
	{CAPS_ENTRY, CAPS_ON, VMX_ENTRY_CTL_LOAD_EFER, CAPS_NO("loading of IA32_EFER")},
};

/* What is needed beside controls: a field of struct vmx_caps, under a mask, has a value. */
struct caps_fact {
	size_t at;
	uint64_t mask, value;
	const char *missing;
};

#define CAPS_BITS(field, bits, what)                                                               \
	{                                                                                          \
		offsetof(struct vmx_caps, field), bits, bits, CAPS_NO(what)                        \
	}

static const struct caps_fact caps_facts[] = {
	{offsetof(struct vmx_caps, basic), VMX_BASIC_32BIT, 0, CAPS_NO("64-bit addresses")},
	{offsetof(struct vmx_caps, basic), 15ull << 50, 6ull << 50, CAPS_NO("write-back VMCS")},
	CAPS_BITS(ept_vpid, VMX_EPT_WALK4, "4-level extended page tables"),
	CAPS_BITS(ept_vpid, VMX_EPT_WB, "write-back extended page tables"),
	CAPS_BITS(ept_vpid, VMX_EPT_2M, "2 MiB pages in extended page tables"),
	CAPS_BITS(ept_vpid, VMX_EPT_INVEPT | VMX_EPT_INVEPT_SINGLE, "single-context INVEPT"),
	CAPS_BITS(ept_vpid, VMX_EPT_INVEPT | VMX_EPT_INVEPT_ALL, "all-context INVEPT"),
};

void v3_vmx_caps_read(struct vmx_caps *caps)
{
	uint32_t a, b, c, d;
	bool true_msrs;

	v3_cpuid(0x80000008u, 0, &a, &b, &c, &d);
	*caps = (struct vmx_caps){.basic = v3_rdmsr(VMX_MSR_BASIC),
				  .pa_bits = (uint8_t)a,
				  .la_bits = (uint8_t)(a >> 8)};
	true_msrs = caps->basic & VMX_BASIC_TRUE;
	caps->misc = v3_rdmsr(VMX_MSR_MISC);
	caps->pinbased = v3_rdmsr(true_msrs ? VMX_MSR_TRUE_PINBASED : VMX_MSR_PINBASED);
	caps->procbased = v3_rdmsr(true_msrs ? VMX_MSR_TRUE_PROCBASED : VMX_MSR_PROCBASED);
	caps->exit = v3_rdmsr(true_msrs ? VMX_MSR_TRUE_EXIT : VMX_MSR_EXIT);
	caps->entry = v3_rdmsr(true_msrs ? VMX_MSR_TRUE_ENTRY : VMX_MSR_ENTRY);
	caps->cr0_fixed0 = v3_rdmsr(VMX_MSR_CR0_FIXED0);
	caps->cr0_fixed1 = v3_rdmsr(VMX_MSR_CR0_FIXED1);
	caps->cr4_fixed0 = v3_rdmsr(VMX_MSR_CR4_FIXED0);
	caps->cr4_fixed1 = v3_rdmsr(VMX_MSR_CR4_FIXED1);
	/* The others exist only with the control that they describe. */
	if (v3_vmx_caps_may(caps->procbased, VMX_PROC_SECONDARY))
		caps->procbased2 = v3_rdmsr(VMX_MSR_PROCBASED2);
	if (v3_vmx_caps_may(caps->procbased2, VMX_PROC2_EPT) ||
	    v3_vmx_caps_may(caps->procbased2, VMX_PROC2_VPID))
		caps->ept_vpid = v3_rdmsr(VMX_MSR_EPT_VPID_CAP);
	if (v3_vmx_caps_may(caps->procbased2, VMX_PROC2_VMFUNC))
		caps->vmfunc = v3_rdmsr(VMX_MSR_VMFUNC);
}

/* Lower half of @p word: what must be 1. @return false: the CPU cannot do what the row needs */
static bool caps_apply(const struct caps_row *row, uint64_t word, uint32_t *on)
{
	bool may = v3_vmx_caps_may(word, row->bit), must = (uint32_t)word & row->bit;

	switch ((enum caps_need)row->need) {
	case CAPS_ON:
		*on |= may ? row->bit : 0;
		return may;
	case CAPS_WANT:
		*on |= may ? row->bit : 0;
		return true;
	case CAPS_SWITCH:
		return may && !must;
	case CAPS_OFF:
		return !must;
	}
	return false;
}

static const char *caps_check_facts(const struct vmx_caps *caps)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(caps_facts); i++) {
		const struct caps_fact *f = &caps_facts[i];

		if ((*(const uint64_t *)((const char *)caps + f->at) & f->mask) != f->value)
			return f->missing;
	}
	return NULL;
}

int v3_vmx_caps_controls(const struct vmx_caps *caps, struct vmx_controls *ctl,
			 const char **missing)
{
	const uint64_t word[CAPS_NWORDS] = {
		[CAPS_PIN] = caps->pinbased,	 [CAPS_PROC] = caps->procbased,
		[CAPS_PROC2] = caps->procbased2, [CAPS_EXIT] = caps->exit,
		[CAPS_ENTRY] = caps->entry,
	};
	uint32_t on[CAPS_NWORDS];

	for (unsigned i = 0; i < CAPS_NWORDS; i++)
		on[i] = (uint32_t)word[i];
	for (unsigned i = 0; i < V3_ARRAY_SIZE(caps_rows); i++) {
		const struct caps_row *row = &caps_rows[i];

		if (!caps_apply(row, word[row->word], &on[row->word])) {
			*missing = row->missing;
			return V3_ENODEV;
		}
	}
	*missing = caps_check_facts(caps);
	if (*missing)
		return V3_ENODEV;
	/* VPIDs are of no use if they cannot be flushed. */
	if (!v3_vmx_caps_ept(caps, VMX_VPID_INVVPID | VMX_VPID_INVVPID_SINGLE))
		on[CAPS_PROC2] &= ~VMX_PROC2_VPID;
	*ctl = (struct vmx_controls){on[CAPS_PIN], on[CAPS_PROC], on[CAPS_PROC2], on[CAPS_EXIT],
				     on[CAPS_ENTRY]};
	return V3_OK;
}
