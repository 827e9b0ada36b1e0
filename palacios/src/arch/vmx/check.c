/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file check.c
 * The checks of VM entry on controls and host state, and the loop over all rules. Called after a failed entry,
 * and before every entry if the embedder wants checks (v3_init_params). SDM 3C 27.2.
 */
#include "arch/vmx/check.h"

#include "palacios/regs.h"

#define EPTP_LEVELS(e)	(((e) >> 3 & 7) + 1)
#define EPTP_TYPE(e)	((e)&7)
#define EPTP_RESERVED	0xf80ull
#define VMFUNC_SWITCH	1ull
#define SEL_RPL_TI	7u
#define CR3_TARGETS_MAX 4u
#define CHECK_TPR	0x20 /* 32-bit word of the virtual-APIC page */

static const char *check_rules(const struct vmx_check *c, const struct vmx_rule *rule)
{
	for (; rule->holds; rule++)
		if (!rule->holds(c, rule->arg))
			return rule->text;
	return NULL;
}

const char *v3_vmx_check(const struct vmx_check *c)
{
	const char *why = check_rules(c, v3_vmx_control_rules);

	return why ? why : check_rules(c, v3_vmx_guest_rules);
}

/* ---- execution controls, 27.2.1.1 ---- */

/* A.3 to A.5: bits that must be 1 are, others only where they may. */
static bool check_word(uint64_t word, uint64_t value)
{
	return !((uint32_t)word & ~value) && !(value & ~(word >> 32));
}

static bool check_control_word(const struct vmx_check *c, uint32_t field)
{
	const struct vmx_caps *caps = c->caps;
	uint64_t word = field == VMCS_PIN_CONTROLS    ? caps->pinbased
			: field == VMCS_PROC_CONTROLS ? caps->procbased
			: field == VMCS_EXIT_CONTROLS ? caps->exit
						      : caps->entry;

	return check_word(word, v3_vmx_check_get(c, field));
}

static bool check_proc2_word(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_proc(c, VMX_PROC_SECONDARY) ||
	       check_word(c->caps->procbased2, v3_vmx_check_get(c, field));
}

static bool check_cr3_targets(const struct vmx_check *c, uint32_t field)
{
	uint32_t most = VMX_MISC_CR3_TARGETS(c->caps->misc);

	return v3_vmx_check_get(c, field) <= (most < CR3_TARGETS_MAX ? most : CR3_TARGETS_MAX);
}

/* A page that a control makes the CPU use; @p field: where its address stands. */
static bool check_page(const struct vmx_check *c, uint32_t field)
{
	return v3_vmx_check_pa(c, v3_vmx_check_get(c, field), V3_PAGE_SHIFT);
}

static bool check_io_bitmap(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_proc(c, VMX_PROC_IO_BITMAPS) || check_page(c, field);
}

static bool check_msr_bitmap(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_proc(c, VMX_PROC_MSR_BITMAPS) || check_page(c, field);
}

static bool check_virtual_apic(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_proc(c, VMX_PROC_TPR_SHADOW) || check_page(c, field);
}

static bool check_tpr_threshold(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_proc(c, VMX_PROC_TPR_SHADOW) ||
	       v3_vmx_check_proc2(c, VMX_PROC2_VIRT_INTR) || v3_vmx_check_get(c, field) <= 15;
}

static bool check_tpr_above(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_proc(c, VMX_PROC_TPR_SHADOW) || !c->apic ||
	       v3_vmx_check_proc2(c, VMX_PROC2_VIRT_INTR | VMX_PROC2_APIC_ACCESS) ||
	       v3_vmx_check_get(c, field) <= (c->apic[CHECK_TPR] >> 4 & 15);
}

static bool check_virtual_nmis(const struct vmx_check *c, uint32_t arg)
{
	(void)arg;
	return !v3_vmx_check_pin(c, VMX_PIN_VIRTUAL_NMI) || v3_vmx_check_pin(c, VMX_PIN_NMI);
}

static bool check_nmi_window(const struct vmx_check *c, uint32_t arg)
{
	(void)arg;
	return !v3_vmx_check_proc(c, VMX_PROC_NMI_WINDOW) ||
	       v3_vmx_check_pin(c, VMX_PIN_VIRTUAL_NMI);
}

/* A page of a secondary control. */
struct check_proc2_page {
	uint32_t control, field;
};

static bool check_proc2_page(const struct vmx_check *c, uint32_t field)
{
	static const struct check_proc2_page pages[] = {
		{VMX_PROC2_APIC_ACCESS, VMCS_APIC_ACCESS_ADDR},
		{VMX_PROC2_PML, VMCS_PML_ADDR},
		{VMX_PROC2_SHADOW_VMCS, VMCS_VMREAD_BITMAP},
		{VMX_PROC2_SHADOW_VMCS, VMCS_VMWRITE_BITMAP},
		{VMX_PROC2_VE, VMCS_VE_INFO_ADDR},
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(pages); i++)
		if (pages[i].field == field && v3_vmx_check_proc2(c, pages[i].control))
			return check_page(c, field);
	return true;
}

/* @p bit: a secondary control that works on the virtual-APIC page. */
static bool check_needs_tpr_shadow(const struct vmx_check *c, uint32_t bit)
{
	return !v3_vmx_check_proc2(c, bit) || v3_vmx_check_proc(c, VMX_PROC_TPR_SHADOW);
}

static bool check_x2apic(const struct vmx_check *c, uint32_t arg)
{
	(void)arg;
	return !v3_vmx_check_proc2(c, VMX_PROC2_X2APIC) ||
	       !v3_vmx_check_proc2(c, VMX_PROC2_APIC_ACCESS);
}

static bool check_virtual_interrupts(const struct vmx_check *c, uint32_t arg)
{
	(void)arg;
	return !v3_vmx_check_proc2(c, VMX_PROC2_VIRT_INTR) || v3_vmx_check_pin(c, VMX_PIN_EXT_INTR);
}

static bool check_posted_controls(const struct vmx_check *c, uint32_t arg)
{
	(void)arg;
	return !v3_vmx_check_pin(c, VMX_PIN_POSTED_INTR) ||
	       (v3_vmx_check_proc2(c, VMX_PROC2_VIRT_INTR) &&
		v3_vmx_check_exit_ctl(c, VMX_EXIT_CTL_ACK_INTR));
}

static bool check_posted_vector(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_pin(c, VMX_PIN_POSTED_INTR) || v3_vmx_check_get(c, field) <= 255;
}

static bool check_posted_descriptor(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_pin(c, VMX_PIN_POSTED_INTR) ||
	       v3_vmx_check_pa(c, v3_vmx_check_get(c, field), 6);
}

static bool check_vpid(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_proc2(c, VMX_PROC2_VPID) || v3_vmx_check_get(c, field);
}

static bool check_eptp(const struct vmx_check *c, uint32_t field)
{
	const struct vmx_caps *caps = c->caps;
	uint64_t e, levels, type;

	if (!v3_vmx_check_proc2(c, VMX_PROC2_EPT))
		return true;
	e = v3_vmx_check_get(c, field);
	type = EPTP_TYPE(e) == 6 ? VMX_EPT_WB : EPTP_TYPE(e) == 0 ? VMX_EPT_UC : 0;
	levels = EPTP_LEVELS(e) == 4 ? VMX_EPT_WALK4 : EPTP_LEVELS(e) == 5 ? VMX_EPT_WALK5 : 0;
	return type && levels && v3_vmx_caps_ept(caps, type | levels) &&
	       (!(e & VMX_EPTP_AD) || v3_vmx_caps_ept(caps, VMX_EPT_AD)) && !(e & EPTP_RESERVED) &&
	       v3_vmx_check_pa(c, e & ~0xfffull, V3_PAGE_SHIFT);
}

/* @p bit: a secondary control that works on extended page tables. */
static bool check_needs_ept(const struct vmx_check *c, uint32_t bit)
{
	return !v3_vmx_check_proc2(c, bit) || v3_vmx_check_proc2(c, VMX_PROC2_EPT);
}

static bool check_vmfunc(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_proc2(c, VMX_PROC2_VMFUNC) ||
	       !(v3_vmx_check_get(c, field) & ~c->caps->vmfunc);
}

static bool check_eptp_switching(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_proc2(c, VMX_PROC2_VMFUNC) ||
	       !(v3_vmx_check_get(c, VMCS_VM_FUNCTIONS) & VMFUNC_SWITCH) ||
	       (v3_vmx_check_proc2(c, VMX_PROC2_EPT) && check_page(c, field));
}

/* ---- exit and entry controls, 27.2.1.2, 27.2.1.3 ---- */

static bool check_timer_save(const struct vmx_check *c, uint32_t arg)
{
	(void)arg;
	return !v3_vmx_check_exit_ctl(c, VMX_EXIT_CTL_SAVE_PREEMPTION) ||
	       v3_vmx_check_pin(c, VMX_PIN_PREEMPTION_TIMER);
}

/* 16 bytes for each MSR, all in memory; @p field: the count. */
static bool check_msr_area(const struct vmx_check *c, uint32_t field)
{
	uint32_t at = field == VMCS_EXIT_MSR_STORE_COUNT  ? VMCS_EXIT_MSR_STORE_ADDR
		      : field == VMCS_EXIT_MSR_LOAD_COUNT ? VMCS_EXIT_MSR_LOAD_ADDR
							  : VMCS_ENTRY_MSR_LOAD_ADDR;
	uint64_t count = v3_vmx_check_get(c, field), first;

	if (!count)
		return true;
	first = v3_vmx_check_get(c, at);
	return v3_vmx_check_pa(c, first, 4) && v3_vmx_check_pa(c, first + count * 16 - 1, 0);
}

static bool check_not_smm(const struct vmx_check *c, uint32_t bits)
{
	return !v3_vmx_check_entry_ctl(c, bits);
}

static bool check_inject_type(const struct vmx_check *c, uint32_t field)
{
	uint32_t info = (uint32_t)v3_vmx_check_get(c, field);
	uint32_t type = VMX_INTR_GET_TYPE(info);

	return !(info & VMX_INTR_VALID) ||
	       (type != 1 &&
		(type != VMX_INTR_OTHER || v3_vmx_caps_may(c->caps->procbased, VMX_PROC_MTF)));
}

static bool check_inject_vector(const struct vmx_check *c, uint32_t field)
{
	uint32_t info = (uint32_t)v3_vmx_check_get(c, field), vector = VMX_INTR_VECTOR(info);

	if (!(info & VMX_INTR_VALID))
		return true;
	switch (VMX_INTR_GET_TYPE(info)) {
	case VMX_INTR_NMI:
		return vector == V3_VEC_NMI;
	case VMX_INTR_EXCEPTION:
		return vector <= 31;
	case VMX_INTR_OTHER:
		return vector == 0;
	default: /* any vector */
		return true;
	}
}

static bool check_has_error_code(uint32_t vector)
{
	const uint32_t with = 1u << V3_VEC_DF | 1u << V3_VEC_TS | 1u << V3_VEC_NP |
			      1u << V3_VEC_SS | 1u << V3_VEC_GP | 1u << V3_VEC_PF | 1u << V3_VEC_AC;

	return vector < 32 && (with >> vector & 1);
}

static bool check_inject_has_error(const struct vmx_check *c, uint32_t field)
{
	uint32_t info = (uint32_t)v3_vmx_check_get(c, field);
	bool given = info & VMX_INTR_ERROR;
	bool real_mode = v3_vmx_check_proc2(c, VMX_PROC2_UNRESTRICTED) &&
			 !(v3_vmx_check_get(c, VMCS_GUEST_CR0) & V3_CR0_PE);

	if (!(info & VMX_INTR_VALID))
		return true;
	if (VMX_INTR_GET_TYPE(info) != VMX_INTR_EXCEPTION || real_mode)
		return !given;
	return c->caps->basic & VMX_BASIC_ANY_ERRORCODE ||
	       given == check_has_error_code(VMX_INTR_VECTOR(info));
}

static bool check_inject_reserved(const struct vmx_check *c, uint32_t field)
{
	uint64_t info = v3_vmx_check_get(c, field);

	return !(info & VMX_INTR_VALID) || !(info & VMX_INTR_ENTRY_RESERVED);
}

static bool check_inject_error(const struct vmx_check *c, uint32_t field)
{
	uint64_t info = v3_vmx_check_get(c, VMCS_ENTRY_INTR_INFO);

	return !(info & VMX_INTR_VALID) || !(info & VMX_INTR_ERROR) ||
	       !(v3_vmx_check_get(c, field) >> 16);
}

static bool check_inject_len(const struct vmx_check *c, uint32_t field)
{
	uint64_t info = v3_vmx_check_get(c, VMCS_ENTRY_INTR_INFO), len;
	uint32_t type = VMX_INTR_GET_TYPE((uint32_t)info);

	if (!(info & VMX_INTR_VALID) || type < VMX_INTR_SOFT_INTR || type == VMX_INTR_OTHER)
		return true;
	len = v3_vmx_check_get(c, field);
	return len <= 15 && (len || (c->caps->misc & VMX_MISC_SOFT_LEN0));
}

/* ---- host state, 27.2.2 to 27.2.4 ---- */

static bool check_host_cr0(const struct vmx_check *c, uint32_t field)
{
	uint64_t cr0 = v3_vmx_check_get(c, field);

	return !(c->caps->cr0_fixed0 & ~cr0) && !(cr0 & ~c->caps->cr0_fixed1);
}

static bool check_host_cr4(const struct vmx_check *c, uint32_t field)
{
	uint64_t cr4 = v3_vmx_check_get(c, field);

	return !(c->caps->cr4_fixed0 & ~cr4) && !(cr4 & ~c->caps->cr4_fixed1);
}

static bool check_in_width(const struct vmx_check *c, uint32_t field)
{
	return v3_vmx_check_pa(c, v3_vmx_check_get(c, field), 0);
}

static bool check_canonical(const struct vmx_check *c, uint32_t field)
{
	return v3_vmx_check_is_canonical(c, v3_vmx_check_get(c, field));
}

static bool check_host_pat(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_exit_ctl(c, VMX_EXIT_CTL_LOAD_PAT) ||
	       v3_vmx_check_is_pat(v3_vmx_check_get(c, field));
}

static bool check_host_efer(const struct vmx_check *c, uint32_t field)
{
	uint64_t efer, want;

	if (!v3_vmx_check_exit_ctl(c, VMX_EXIT_CTL_LOAD_EFER))
		return true;
	efer = v3_vmx_check_get(c, field);
	want = v3_vmx_check_exit_ctl(c, VMX_EXIT_CTL_HOST_64) ? V3_EFER_LMA | V3_EFER_LME : 0;
	return !(efer & ~VMX_CHECK_EFER) && (efer & (V3_EFER_LMA | V3_EFER_LME)) == want;
}

static bool check_host_selector(const struct vmx_check *c, uint32_t field)
{
	return !(v3_vmx_check_get(c, field) & SEL_RPL_TI);
}

static bool check_not_zero(const struct vmx_check *c, uint32_t field)
{
	return v3_vmx_check_get(c, field);
}

/* We are a 64-bit host, so that is what an exit must return to. */
static bool check_host_64(const struct vmx_check *c, uint32_t bit)
{
	return v3_vmx_check_exit_ctl(c, bit);
}

static bool check_host_pae(const struct vmx_check *c, uint32_t field)
{
	return v3_vmx_check_get(c, field) & V3_CR4_PAE;
}

#define CTL   "SDM 3C 27.2.1.1: "
#define EXIT  "SDM 3C 27.2.1.2: "
#define ENTRY "SDM 3C 27.2.1.3: "
#define HCR   "SDM 3C 27.2.2: "
#define HSEG  "SDM 3C 27.2.3: "
#define HSIZE "SDM 3C 27.2.4: "
#define PAGE  " must be a page below the physical address width"

const struct vmx_rule v3_vmx_control_rules[] = {
	{check_control_word, VMCS_PIN_CONTROLS, CTL "pin-based controls: reserved bits"},
	{check_control_word, VMCS_PROC_CONTROLS, CTL "primary controls: reserved bits"},
	{check_proc2_word, VMCS_PROC2_CONTROLS, CTL "secondary controls: reserved bits"},
	{check_cr3_targets, VMCS_CR3_TARGET_COUNT, CTL "too many CR3 targets"},
	{check_io_bitmap, VMCS_IO_BITMAP_A, CTL "I/O bitmap A" PAGE},
	{check_io_bitmap, VMCS_IO_BITMAP_B, CTL "I/O bitmap B" PAGE},
	{check_msr_bitmap, VMCS_MSR_BITMAP, CTL "MSR bitmap" PAGE},
	{check_virtual_apic, VMCS_VIRTUAL_APIC_ADDR, CTL "virtual-APIC page" PAGE},
	{check_tpr_threshold, VMCS_TPR_THRESHOLD, CTL "TPR threshold must be 15 at most"},
	{check_tpr_above, VMCS_TPR_THRESHOLD,
	 CTL "TPR threshold must not be above the TPR of the virtual-APIC page"},
	{check_virtual_nmis, 0, CTL "virtual NMIs need NMI exiting"},
	{check_nmi_window, 0, CTL "NMI-window exiting needs virtual NMIs"},
	{check_proc2_page, VMCS_APIC_ACCESS_ADDR, CTL "APIC-access page" PAGE},
	{check_needs_tpr_shadow, VMX_PROC2_X2APIC, CTL "virtual x2APIC mode needs a TPR shadow"},
	{check_needs_tpr_shadow, VMX_PROC2_APIC_REGS,
	 CTL "APIC-register virtualization needs a TPR shadow"},
	{check_needs_tpr_shadow, VMX_PROC2_VIRT_INTR,
	 CTL "virtual-interrupt delivery needs a TPR shadow"},
	{check_x2apic, 0, CTL "virtual x2APIC mode excludes virtual APIC accesses"},
	{check_virtual_interrupts, 0,
	 CTL "virtual-interrupt delivery needs external-interrupt exiting"},
	{check_posted_controls, 0,
	 CTL "posted interrupts need virtual-interrupt delivery and acknowledging on exit"},
	{check_posted_vector, VMCS_POSTED_INTR_VECTOR, CTL "posted-interrupt vector above 255"},
	{check_posted_descriptor, VMCS_POSTED_INTR_DESC,
	 CTL "posted-interrupt descriptor: not aligned or above the physical address width"},
	{check_vpid, VMCS_VPID, CTL "VPID must not be 0"},
	{check_eptp, VMCS_EPTP, CTL "EPT pointer: type, levels, reserved bits or address"},
	{check_needs_ept, VMX_PROC2_UNRESTRICTED, CTL "unrestricted guest needs EPT"},
	{check_needs_ept, VMX_PROC2_PML, CTL "page-modification logging needs EPT"},
	{check_needs_ept, VMX_PROC2_MODE_EXEC, CTL "mode-based execute control needs EPT"},
	{check_needs_ept, VMX_PROC2_SPP, CTL "sub-page write permissions need EPT"},
	{check_proc2_page, VMCS_PML_ADDR, CTL "PML page" PAGE},
	{check_vmfunc, VMCS_VM_FUNCTIONS, CTL "VM-function controls: reserved bits"},
	{check_eptp_switching, VMCS_EPTP_LIST, CTL "EPTP switching needs EPT and a list"},
	{check_proc2_page, VMCS_VMREAD_BITMAP, CTL "VMREAD bitmap" PAGE},
	{check_proc2_page, VMCS_VMWRITE_BITMAP, CTL "VMWRITE bitmap" PAGE},
	{check_proc2_page, VMCS_VE_INFO_ADDR, CTL "virtualization-exception area" PAGE},

	{check_control_word, VMCS_EXIT_CONTROLS, EXIT "exit controls: reserved bits"},
	{check_timer_save, 0, EXIT "saving the preemption timer needs the timer"},
	{check_msr_area, VMCS_EXIT_MSR_STORE_COUNT, EXIT "MSR-store area: address"},
	{check_msr_area, VMCS_EXIT_MSR_LOAD_COUNT, EXIT "MSR-load area: address"},

	{check_control_word, VMCS_ENTRY_CONTROLS, ENTRY "entry controls: reserved bits"},
	{check_msr_area, VMCS_ENTRY_MSR_LOAD_COUNT, ENTRY "MSR-load area: address"},
	{check_not_smm, VMX_ENTRY_CTL_SMM | VMX_ENTRY_CTL_DUAL_MONITOR,
	 ENTRY "controls that belong to SMM"},
	{check_inject_type, VMCS_ENTRY_INTR_INFO, ENTRY "injected event: reserved type"},
	{check_inject_vector, VMCS_ENTRY_INTR_INFO, ENTRY "injected event: vector and type"},
	{check_inject_has_error, VMCS_ENTRY_INTR_INFO,
	 ENTRY "injected event: error code where there is none, or none where there is one"},
	{check_inject_reserved, VMCS_ENTRY_INTR_INFO, ENTRY "injected event: reserved bits"},
	{check_inject_error, VMCS_ENTRY_INTR_ERROR, ENTRY "injected error code: bits 31:16"},
	{check_inject_len, VMCS_ENTRY_INSN_LEN, ENTRY "injected event: instruction length"},

	{check_host_cr0, VMCS_HOST_CR0, HCR "host CR0: bits that VMX fixes"},
	{check_host_cr4, VMCS_HOST_CR4, HCR "host CR4: bits that VMX fixes"},
	{check_in_width, VMCS_HOST_CR3, HCR "host CR3: bits above the physical address width"},
	{check_canonical, VMCS_HOST_SYSENTER_ESP, HCR "host SYSENTER_ESP must be canonical"},
	{check_canonical, VMCS_HOST_SYSENTER_EIP, HCR "host SYSENTER_EIP must be canonical"},
	{check_host_pat, VMCS_HOST_PAT, HCR "host PAT: reserved memory type"},
	{check_host_efer, VMCS_HOST_EFER, HCR "host EFER: reserved bits, or LMA and LME"},

	{check_host_selector, VMCS_HOST_ES_SEL, HSEG "host ES: RPL and TI must be 0"},
	{check_host_selector, VMCS_HOST_CS_SEL, HSEG "host CS: RPL and TI must be 0"},
	{check_host_selector, VMCS_HOST_SS_SEL, HSEG "host SS: RPL and TI must be 0"},
	{check_host_selector, VMCS_HOST_DS_SEL, HSEG "host DS: RPL and TI must be 0"},
	{check_host_selector, VMCS_HOST_FS_SEL, HSEG "host FS: RPL and TI must be 0"},
	{check_host_selector, VMCS_HOST_GS_SEL, HSEG "host GS: RPL and TI must be 0"},
	{check_host_selector, VMCS_HOST_TR_SEL, HSEG "host TR: RPL and TI must be 0"},
	{check_not_zero, VMCS_HOST_CS_SEL, HSEG "host CS must not be null"},
	{check_not_zero, VMCS_HOST_TR_SEL, HSEG "host TR must not be null"},
	{check_canonical, VMCS_HOST_FS_BASE, HSEG "host FS base must be canonical"},
	{check_canonical, VMCS_HOST_GS_BASE, HSEG "host GS base must be canonical"},
	{check_canonical, VMCS_HOST_TR_BASE, HSEG "host TR base must be canonical"},
	{check_canonical, VMCS_HOST_GDTR_BASE, HSEG "host GDTR base must be canonical"},
	{check_canonical, VMCS_HOST_IDTR_BASE, HSEG "host IDTR base must be canonical"},
	{check_host_64, VMX_EXIT_CTL_HOST_64, HSIZE "a 64-bit host needs host address-space size"},
	{check_host_pae, VMCS_HOST_CR4, HSIZE "host CR4.PAE must be 1"},
	{check_canonical, VMCS_HOST_RIP, HSIZE "host RIP must be canonical"},
	{0},
};
