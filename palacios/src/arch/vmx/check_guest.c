/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file check_guest.c
 * The checks of VM entry on guest state: a list of rules for check.c. SDM 3C 27.3.1.
 */
#include "arch/vmx/check.h"

#include "palacios/regs.h"

#define GUEST_DEBUGCTL	    0xffc7ull /* SDM 4 table 2-2: defined bits */
#define GUEST_DEBUGCTL_BTF  (1ull << 1)
#define GUEST_BND_RESERVED  0xffcull
#define GUEST_RFLAGS_ZERO   0xffffffffffc08028ull
#define GUEST_PDPTE_RSVD    0x1e6ull
#define GUEST_RIGHTS_RSVD   0xfffe0f00u
#define GUEST_V86_RIGHTS    0xf3u
#define GUEST_SEL_TI	    4u
#define GUEST_SEL_RPL	    3u
#define GUEST_TYPE_ACCESSED 1u
#define GUEST_TYPE_READ	    2u /* of code */
#define GUEST_TYPE_CODE	    8u
#define GUEST_LINK_NONE	    (~0ull)

static uint64_t guest_cr0(const struct vmx_check *c)
{
	return v3_vmx_check_get(c, VMCS_GUEST_CR0);
}

static bool guest_is_64(const struct vmx_check *c)
{
	return v3_vmx_check_entry_ctl(c, VMX_ENTRY_CTL_GUEST_64);
}

static bool guest_is_unrestricted(const struct vmx_check *c)
{
	return v3_vmx_check_proc2(c, VMX_PROC2_UNRESTRICTED);
}

static bool guest_is_v86(const struct vmx_check *c)
{
	return v3_vmx_check_get(c, VMCS_GUEST_RFLAGS) & V3_RFLAGS_VM;
}

static uint32_t guest_sel(const struct vmx_check *c, uint32_t seg)
{
	return (uint32_t)v3_vmx_check_get(c, VMCS_GUEST_SEL(seg));
}

static uint64_t guest_base(const struct vmx_check *c, uint32_t seg)
{
	return v3_vmx_check_get(c, VMCS_GUEST_BASE(seg));
}

static uint32_t guest_rights(const struct vmx_check *c, uint32_t seg)
{
	return (uint32_t)v3_vmx_check_get(c, VMCS_GUEST_RIGHTS(seg));
}

static bool guest_usable(const struct vmx_check *c, uint32_t seg)
{
	return !(guest_rights(c, seg) & VMX_RIGHTS_UNUSABLE);
}

static uint32_t guest_type(const struct vmx_check *c, uint32_t seg)
{
	return guest_rights(c, seg) & VMX_RIGHTS_TYPE;
}

static uint32_t guest_dpl(const struct vmx_check *c, uint32_t seg)
{
	return VMX_RIGHTS_DPL(guest_rights(c, seg));
}

/* The event to be injected; 0 if none. */
static uint32_t guest_injected(const struct vmx_check *c)
{
	uint32_t info = (uint32_t)v3_vmx_check_get(c, VMCS_ENTRY_INTR_INFO);

	return info & VMX_INTR_VALID ? info : 0;
}

static bool guest_injects(const struct vmx_check *c, uint32_t type)
{
	uint32_t info = guest_injected(c);

	return info && VMX_INTR_GET_TYPE(info) == type;
}

static uint64_t guest_blocking(const struct vmx_check *c)
{
	return v3_vmx_check_get(c, VMCS_GUEST_INTERRUPTIBILITY);
}

static uint64_t guest_activity(const struct vmx_check *c)
{
	return v3_vmx_check_get(c, VMCS_GUEST_ACTIVITY);
}

/* ---- control registers and MSRs, 27.3.1.1 ---- */

static bool guest_cr0_fixed(const struct vmx_check *c, uint32_t field)
{
	uint64_t free = guest_is_unrestricted(c) ? V3_CR0_PE | V3_CR0_PG : 0;
	uint64_t cr0 = v3_vmx_check_get(c, field);

	return !(c->caps->cr0_fixed0 & ~cr0 & ~free) && !(cr0 & ~c->caps->cr0_fixed1);
}

static bool guest_paging_protected(const struct vmx_check *c, uint32_t field)
{
	uint64_t cr0 = v3_vmx_check_get(c, field);

	return !(cr0 & V3_CR0_PG) || (cr0 & V3_CR0_PE);
}

static bool guest_cr4_fixed(const struct vmx_check *c, uint32_t field)
{
	uint64_t cr4 = v3_vmx_check_get(c, field);

	return !(c->caps->cr4_fixed0 & ~cr4) && !(cr4 & ~c->caps->cr4_fixed1);
}

static bool guest_debugctl(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_entry_ctl(c, VMX_ENTRY_CTL_LOAD_DEBUG) ||
	       !(v3_vmx_check_get(c, field) & ~GUEST_DEBUGCTL);
}

static bool guest_64_paging(const struct vmx_check *c, uint32_t field)
{
	return !guest_is_64(c) ||
	       ((guest_cr0(c) & V3_CR0_PG) && (v3_vmx_check_get(c, field) & V3_CR4_PAE));
}

static bool guest_pcid(const struct vmx_check *c, uint32_t field)
{
	return guest_is_64(c) || !(v3_vmx_check_get(c, field) & V3_CR4_PCIDE);
}

static bool guest_in_width(const struct vmx_check *c, uint32_t field)
{
	return v3_vmx_check_pa(c, v3_vmx_check_get(c, field), 0);
}

static bool guest_dr7(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_entry_ctl(c, VMX_ENTRY_CTL_LOAD_DEBUG) ||
	       !(v3_vmx_check_get(c, field) >> 32);
}

static bool guest_canonical(const struct vmx_check *c, uint32_t field)
{
	return v3_vmx_check_is_canonical(c, v3_vmx_check_get(c, field));
}

static bool guest_pat(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_entry_ctl(c, VMX_ENTRY_CTL_LOAD_PAT) ||
	       v3_vmx_check_is_pat(v3_vmx_check_get(c, field));
}

static bool guest_efer_bits(const struct vmx_check *c, uint32_t field)
{
	return !v3_vmx_check_entry_ctl(c, VMX_ENTRY_CTL_LOAD_EFER) ||
	       !(v3_vmx_check_get(c, field) & ~VMX_CHECK_EFER);
}

static bool guest_efer_lma(const struct vmx_check *c, uint32_t field)
{
	uint64_t efer;
	bool lma;

	if (!v3_vmx_check_entry_ctl(c, VMX_ENTRY_CTL_LOAD_EFER))
		return true;
	efer = v3_vmx_check_get(c, field);
	lma = efer & V3_EFER_LMA;
	return lma == guest_is_64(c) &&
	       (!(guest_cr0(c) & V3_CR0_PG) || lma == !!(efer & V3_EFER_LME));
}

static bool guest_bndcfgs(const struct vmx_check *c, uint32_t field)
{
	uint64_t value;

	if (!v3_vmx_check_entry_ctl(c, VMX_ENTRY_CTL_LOAD_BNDCFGS))
		return true;
	value = v3_vmx_check_get(c, field);
	return !(value & GUEST_BND_RESERVED) && v3_vmx_check_is_canonical(c, value);
}

/* ---- segments, 27.3.1.2 ---- */

static bool guest_seg_in_gdt(const struct vmx_check *c, uint32_t seg)
{
	return (seg == V3_LDTR && !guest_usable(c, seg)) || !(guest_sel(c, seg) & GUEST_SEL_TI);
}

static bool guest_ss_rpl(const struct vmx_check *c, uint32_t seg)
{
	return guest_is_v86(c) || guest_is_unrestricted(c) ||
	       !((guest_sel(c, seg) ^ guest_sel(c, V3_CS)) & GUEST_SEL_RPL);
}

static bool guest_seg_v86_base(const struct vmx_check *c, uint32_t seg)
{
	return !guest_is_v86(c) || guest_base(c, seg) == (uint64_t)guest_sel(c, seg) << 4;
}

static bool guest_seg_canonical(const struct vmx_check *c, uint32_t seg)
{
	return (seg == V3_LDTR && !guest_usable(c, seg)) ||
	       v3_vmx_check_is_canonical(c, guest_base(c, seg));
}

static bool guest_seg_low_base(const struct vmx_check *c, uint32_t seg)
{
	return (seg != V3_CS && !guest_usable(c, seg)) || !(guest_base(c, seg) >> 32);
}

static bool guest_seg_v86_limit(const struct vmx_check *c, uint32_t seg)
{
	return !guest_is_v86(c) || v3_vmx_check_get(c, VMCS_GUEST_LIMIT(seg)) == 0xffff;
}

static bool guest_seg_v86_rights(const struct vmx_check *c, uint32_t seg)
{
	return !guest_is_v86(c) || guest_rights(c, seg) == GUEST_V86_RIGHTS;
}

/* Are the rights of a code or data segment looked at? CS always, the others if usable, none in virtual-8086
 * mode, which has its own rule. */
static bool guest_seg_counts(const struct vmx_check *c, uint32_t seg)
{
	return !guest_is_v86(c) && (seg == V3_CS || guest_usable(c, seg));
}

static bool guest_cs_type(const struct vmx_check *c, uint32_t seg)
{
	uint32_t type = guest_type(c, seg);

	return guest_is_v86(c) ||
	       (type & (GUEST_TYPE_CODE | GUEST_TYPE_ACCESSED)) ==
		       (GUEST_TYPE_CODE | GUEST_TYPE_ACCESSED) ||
	       (type == 3 && guest_is_unrestricted(c));
}

static bool guest_ss_type(const struct vmx_check *c, uint32_t seg)
{
	uint32_t type = guest_type(c, seg);

	return !guest_seg_counts(c, seg) || type == 3 || type == 7;
}

static bool guest_data_type(const struct vmx_check *c, uint32_t seg)
{
	uint32_t type = guest_type(c, seg);

	return !guest_seg_counts(c, seg) ||
	       ((type & GUEST_TYPE_ACCESSED) &&
		(!(type & GUEST_TYPE_CODE) || (type & GUEST_TYPE_READ)));
}

static bool guest_seg_s(const struct vmx_check *c, uint32_t seg)
{
	return !guest_seg_counts(c, seg) || (guest_rights(c, seg) & VMX_RIGHTS_S);
}

static bool guest_cs_dpl(const struct vmx_check *c, uint32_t seg)
{
	uint32_t dpl = guest_dpl(c, seg), ss_dpl = guest_dpl(c, V3_SS);

	if (guest_is_v86(c))
		return true;
	switch (guest_type(c, seg)) {
	case 3:
		return dpl == 0;
	case 9:
	case 11:
		return dpl == ss_dpl;
	default: /* conforming: 13, 15 */
		return dpl <= ss_dpl;
	}
}

static bool guest_ss_dpl(const struct vmx_check *c, uint32_t seg)
{
	uint32_t dpl = guest_dpl(c, seg);

	if (guest_is_v86(c))
		return true;
	if (!guest_is_unrestricted(c) && dpl != (guest_sel(c, seg) & GUEST_SEL_RPL))
		return false;
	return !dpl || (guest_type(c, V3_CS) != 3 && (guest_cr0(c) & V3_CR0_PE));
}

static bool guest_data_dpl(const struct vmx_check *c, uint32_t seg)
{
	return !guest_seg_counts(c, seg) || guest_is_unrestricted(c) || guest_type(c, seg) > 11 ||
	       guest_dpl(c, seg) >= (guest_sel(c, seg) & GUEST_SEL_RPL);
}

static bool guest_seg_present(const struct vmx_check *c, uint32_t seg)
{
	return !guest_seg_counts(c, seg) || (guest_rights(c, seg) & VMX_RIGHTS_P);
}

static bool guest_seg_reserved(const struct vmx_check *c, uint32_t seg)
{
	return !guest_seg_counts(c, seg) || !(guest_rights(c, seg) & GUEST_RIGHTS_RSVD);
}

static bool guest_cs_size(const struct vmx_check *c, uint32_t seg)
{
	const uint32_t both = VMX_RIGHTS_L | VMX_RIGHTS_DB;

	return guest_is_v86(c) || !guest_is_64(c) || (guest_rights(c, seg) & both) != both;
}

static bool guest_granularity(uint32_t limit, uint32_t rights)
{
	return rights & VMX_RIGHTS_G ? (limit & 0xfff) == 0xfff : !(limit >> 20);
}

static bool guest_seg_granular(const struct vmx_check *c, uint32_t seg)
{
	return !guest_seg_counts(c, seg) ||
	       guest_granularity((uint32_t)v3_vmx_check_get(c, VMCS_GUEST_LIMIT(seg)),
				 guest_rights(c, seg));
}

static bool guest_tr_usable(const struct vmx_check *c, uint32_t seg)
{
	return guest_usable(c, seg);
}

static bool guest_tr_type(const struct vmx_check *c, uint32_t seg)
{
	uint32_t type = guest_type(c, seg);

	return type == 11 || (type == 3 && !guest_is_64(c));
}

static bool guest_ldtr_type(const struct vmx_check *c, uint32_t seg)
{
	return !guest_usable(c, seg) || guest_type(c, seg) == 2;
}

/* Present, a system segment, no reserved bit, limit and granularity. */
static bool guest_system_rights(const struct vmx_check *c, uint32_t seg)
{
	uint32_t rights = guest_rights(c, seg);

	if (seg == V3_LDTR && !guest_usable(c, seg))
		return true;
	return (rights & (VMX_RIGHTS_P | VMX_RIGHTS_S | GUEST_RIGHTS_RSVD)) == VMX_RIGHTS_P &&
	       guest_granularity((uint32_t)v3_vmx_check_get(c, VMCS_GUEST_LIMIT(seg)), rights);
}

/* ---- descriptor tables, RIP and RFLAGS, 27.3.1.3, 27.3.1.4 ---- */

static bool guest_table_limit(const struct vmx_check *c, uint32_t field)
{
	return !(v3_vmx_check_get(c, field) >> 16);
}

static bool guest_rip(const struct vmx_check *c, uint32_t field)
{
	uint64_t rip = v3_vmx_check_get(c, field), high;

	if (!guest_is_64(c) || !(guest_rights(c, V3_CS) & VMX_RIGHTS_L))
		return !(rip >> 32);
	/* Bits beyond the linear width are all alike; canonical or the first address after the lower half. */
	high = rip >> c->caps->la_bits;
	return !high || high == ~0ull >> c->caps->la_bits;
}

static bool guest_rflags(const struct vmx_check *c, uint32_t field)
{
	uint64_t rflags = v3_vmx_check_get(c, field);

	return !(rflags & GUEST_RFLAGS_ZERO) && (rflags & V3_RFLAGS_ONE);
}

static bool guest_rflags_vm(const struct vmx_check *c, uint32_t field)
{
	(void)field;
	return !guest_is_v86(c) || (!guest_is_64(c) && (guest_cr0(c) & V3_CR0_PE));
}

static bool guest_rflags_if(const struct vmx_check *c, uint32_t field)
{
	return !guest_injects(c, VMX_INTR_EXTERNAL) || (v3_vmx_check_get(c, field) & V3_RFLAGS_IF);
}

/* ---- non-register state, 27.3.1.5 ---- */

static bool guest_activity_known(const struct vmx_check *c, uint32_t field)
{
	switch (v3_vmx_check_get(c, field)) {
	case VMX_ACTIVITY_ACTIVE:
		return true;
	case VMX_ACTIVITY_HLT:
		return c->caps->misc & VMX_MISC_HLT;
	case VMX_ACTIVITY_SHUTDOWN:
		return c->caps->misc & VMX_MISC_SHUTDOWN;
	case VMX_ACTIVITY_WAIT_SIPI:
		return c->caps->misc & VMX_MISC_WAIT_SIPI;
	default: /* reserved */
		return false;
	}
}

static bool guest_activity_dpl(const struct vmx_check *c, uint32_t field)
{
	return v3_vmx_check_get(c, field) != VMX_ACTIVITY_HLT || !guest_dpl(c, V3_SS);
}

static bool guest_activity_blocking(const struct vmx_check *c, uint32_t field)
{
	return v3_vmx_check_get(c, field) == VMX_ACTIVITY_ACTIVE ||
	       !(guest_blocking(c) & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS));
}

/* Which events end which inactive state. */
static bool guest_activity_event(const struct vmx_check *c, uint32_t field)
{
	uint32_t info = guest_injected(c), type = VMX_INTR_GET_TYPE(info);
	uint32_t vector = VMX_INTR_VECTOR(info);
	bool mc = type == VMX_INTR_EXCEPTION && vector == V3_VEC_MC;

	if (!info)
		return true;
	switch (v3_vmx_check_get(c, field)) {
	case VMX_ACTIVITY_HLT:
		return type == VMX_INTR_EXTERNAL || type == VMX_INTR_NMI || mc ||
		       (type == VMX_INTR_EXCEPTION && vector == V3_VEC_DB) ||
		       type == VMX_INTR_OTHER;
	case VMX_ACTIVITY_SHUTDOWN:
		return type == VMX_INTR_NMI || mc;
	case VMX_ACTIVITY_WAIT_SIPI:
		return false;
	default: /* active: any */
		return true;
	}
}

/* Bit 4 is for enclaves, which no guest of ours has. */
static bool guest_blocking_reserved(const struct vmx_check *c, uint32_t field)
{
	return !(v3_vmx_check_get(c, field) >> 4);
}

static bool guest_blocking_both(const struct vmx_check *c, uint32_t field)
{
	const uint64_t both = VMX_BLOCK_STI | VMX_BLOCK_MOV_SS;

	return (v3_vmx_check_get(c, field) & both) != both;
}

static bool guest_blocking_sti(const struct vmx_check *c, uint32_t field)
{
	return !(v3_vmx_check_get(c, field) & VMX_BLOCK_STI) ||
	       (v3_vmx_check_get(c, VMCS_GUEST_RFLAGS) & V3_RFLAGS_IF);
}

static bool guest_blocking_intr(const struct vmx_check *c, uint32_t field)
{
	return !guest_injects(c, VMX_INTR_EXTERNAL) ||
	       !(v3_vmx_check_get(c, field) & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS));
}

static bool guest_blocking_nmi(const struct vmx_check *c, uint32_t field)
{
	return !guest_injects(c, VMX_INTR_NMI) || !(v3_vmx_check_get(c, field) & VMX_BLOCK_MOV_SS);
}

static bool guest_blocking_smi(const struct vmx_check *c, uint32_t field)
{
	return !(v3_vmx_check_get(c, field) & VMX_BLOCK_SMI);
}

static bool guest_blocking_virtual_nmi(const struct vmx_check *c, uint32_t field)
{
	return !guest_injects(c, VMX_INTR_NMI) || !v3_vmx_check_pin(c, VMX_PIN_VIRTUAL_NMI) ||
	       !(v3_vmx_check_get(c, field) & VMX_BLOCK_NMI);
}

/* A breakpoint inside a transaction ends the transaction first: that leaves RTM and the enabled breakpoint. */
static bool guest_pending_reserved(const struct vmx_check *c, uint32_t field)
{
	uint64_t pending = v3_vmx_check_get(c, field);

	if (pending & VMX_DEBUG_RTM)
		return (pending & ~VMX_DEBUG_HITS) == (VMX_DEBUG_RTM | VMX_DEBUG_ENABLED_BP) &&
		       !(guest_blocking(c) & VMX_BLOCK_MOV_SS);
	return !(pending & ~(VMX_DEBUG_HITS | VMX_DEBUG_ENABLED_BP | VMX_DEBUG_BS));
}

/* Between two instructions of a guest that steps there is a pending trap if and only if TF steps instructions. */
static bool guest_pending_step(const struct vmx_check *c, uint32_t field)
{
	bool step;

	if (!(guest_blocking(c) & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS)) &&
	    guest_activity(c) != VMX_ACTIVITY_HLT)
		return true;
	step = (v3_vmx_check_get(c, VMCS_GUEST_RFLAGS) & V3_RFLAGS_TF) &&
	       !(v3_vmx_check_get(c, VMCS_GUEST_DEBUGCTL) & GUEST_DEBUGCTL_BTF);
	return step == !!(v3_vmx_check_get(c, field) & VMX_DEBUG_BS);
}

static bool guest_link(const struct vmx_check *c, uint32_t field)
{
	uint64_t link = v3_vmx_check_get(c, field);

	return link == GUEST_LINK_NONE || v3_vmx_check_pa(c, link, V3_PAGE_SHIFT);
}

/* 27.3.1.6 */
static bool guest_pdpte(const struct vmx_check *c, uint32_t field)
{
	uint64_t e;

	if (!v3_vmx_check_proc2(c, VMX_PROC2_EPT) || guest_is_64(c) ||
	    !(guest_cr0(c) & V3_CR0_PG) || !(v3_vmx_check_get(c, VMCS_GUEST_CR4) & V3_CR4_PAE))
		return true;
	e = v3_vmx_check_get(c, field);
	return !(e & 1) || (!(e & GUEST_PDPTE_RSVD) && v3_vmx_check_pa(c, e, 0));
}

#define CR    "SDM 3C 27.3.1.1: "
#define SEG   "SDM 3C 27.3.1.2: "
#define TABLE "SDM 3C 27.3.1.3: "
#define RIP   "SDM 3C 27.3.1.4: "
#define STATE "SDM 3C 27.3.1.5: "
#define PDPTE "SDM 3C 27.3.1.6: "

/* A rule for each of several segments. */
#define SEGS_DATA(fn, what)                                                                        \
	{fn, V3_DS, SEG "DS" what}, {fn, V3_ES, SEG "ES" what}, {fn, V3_FS, SEG "FS" what},        \
	{                                                                                          \
		fn, V3_GS, SEG "GS" what                                                           \
	}
#define SEGS_ALL(fn, what)                                                                         \
	{fn, V3_CS, SEG "CS" what}, {fn, V3_SS, SEG "SS" what}, SEGS_DATA(fn, what)

const struct vmx_rule v3_vmx_guest_rules[] = {
	{guest_cr0_fixed, VMCS_GUEST_CR0, CR "CR0: bits that VMX fixes"},
	{guest_paging_protected, VMCS_GUEST_CR0, CR "CR0.PG needs CR0.PE"},
	{guest_cr4_fixed, VMCS_GUEST_CR4, CR "CR4: bits that VMX fixes"},
	{guest_debugctl, VMCS_GUEST_DEBUGCTL, CR "DEBUGCTL: reserved bits"},
	{guest_64_paging, VMCS_GUEST_CR4, CR "a 64-bit guest needs CR0.PG and CR4.PAE"},
	{guest_pcid, VMCS_GUEST_CR4, CR "CR4.PCIDE needs a 64-bit guest"},
	{guest_in_width, VMCS_GUEST_CR3, CR "CR3: bits above the physical address width"},
	{guest_dr7, VMCS_GUEST_DR7, CR "DR7: bits 63:32"},
	{guest_canonical, VMCS_GUEST_SYSENTER_ESP, CR "SYSENTER_ESP must be canonical"},
	{guest_canonical, VMCS_GUEST_SYSENTER_EIP, CR "SYSENTER_EIP must be canonical"},
	{guest_pat, VMCS_GUEST_PAT, CR "PAT: reserved memory type"},
	{guest_efer_bits, VMCS_GUEST_EFER, CR "EFER: reserved bits"},
	{guest_efer_lma, VMCS_GUEST_EFER, CR "EFER: LMA, LME and 64-bit guest do not agree"},
	{guest_bndcfgs, VMCS_GUEST_BNDCFGS, CR "BNDCFGS: reserved bits or address"},

	{guest_seg_in_gdt, V3_TR, SEG "TR selector must be in the GDT"},
	{guest_seg_in_gdt, V3_LDTR, SEG "LDTR selector must be in the GDT"},
	{guest_ss_rpl, V3_SS, SEG "SS and CS must have the same RPL"},
	SEGS_ALL(guest_seg_v86_base, " base in virtual-8086 mode"),
	{guest_seg_canonical, V3_TR, SEG "TR base must be canonical"},
	{guest_seg_canonical, V3_FS, SEG "FS base must be canonical"},
	{guest_seg_canonical, V3_GS, SEG "GS base must be canonical"},
	{guest_seg_canonical, V3_LDTR, SEG "LDTR base must be canonical"},
	{guest_seg_low_base, V3_CS, SEG "CS base: bits 63:32"},
	{guest_seg_low_base, V3_SS, SEG "SS base: bits 63:32"},
	{guest_seg_low_base, V3_DS, SEG "DS base: bits 63:32"},
	{guest_seg_low_base, V3_ES, SEG "ES base: bits 63:32"},
	SEGS_ALL(guest_seg_v86_limit, " limit in virtual-8086 mode"),
	SEGS_ALL(guest_seg_v86_rights, " rights in virtual-8086 mode"),
	{guest_cs_type, V3_CS, SEG "CS type must be accessed code (or 3 if unrestricted)"},
	{guest_ss_type, V3_SS, SEG "SS type must be accessed, writable data"},
	SEGS_DATA(guest_data_type, " type must be accessed, and readable if code"),
	SEGS_ALL(guest_seg_s, " must not be a system segment"),
	{guest_cs_dpl, V3_CS, SEG "CS DPL does not fit its type and the DPL of SS"},
	{guest_ss_dpl, V3_SS, SEG "SS DPL must be its RPL, and 0 in real mode"},
	SEGS_DATA(guest_data_dpl, " DPL must not be below its RPL"),
	SEGS_ALL(guest_seg_present, " must be present"),
	SEGS_ALL(guest_seg_reserved, " rights: reserved bits"),
	{guest_cs_size, V3_CS, SEG "CS.D must be 0 in 64-bit code"},
	SEGS_ALL(guest_seg_granular, " limit and granularity"),
	{guest_tr_usable, V3_TR, SEG "TR must be usable"},
	{guest_tr_type, V3_TR, SEG "TR type must be a busy TSS"},
	{guest_system_rights, V3_TR, SEG "TR rights or granularity"},
	{guest_ldtr_type, V3_LDTR, SEG "LDTR type must be LDT"},
	{guest_system_rights, V3_LDTR, SEG "LDTR rights or granularity"},

	{guest_canonical, VMCS_GUEST_GDTR_BASE, TABLE "GDTR base must be canonical"},
	{guest_canonical, VMCS_GUEST_IDTR_BASE, TABLE "IDTR base must be canonical"},
	{guest_table_limit, VMCS_GUEST_GDTR_LIMIT, TABLE "GDTR limit: bits 31:16"},
	{guest_table_limit, VMCS_GUEST_IDTR_LIMIT, TABLE "IDTR limit: bits 31:16"},

	{guest_rip, VMCS_GUEST_RIP, RIP "RIP does not fit the mode"},
	{guest_rflags, VMCS_GUEST_RFLAGS, RIP "RFLAGS: reserved bits"},
	{guest_rflags_vm, VMCS_GUEST_RFLAGS, RIP "RFLAGS.VM outside 32-bit protected mode"},
	{guest_rflags_if, VMCS_GUEST_RFLAGS, RIP "an interrupt is injected with RFLAGS.IF clear"},

	{guest_activity_known, VMCS_GUEST_ACTIVITY, STATE "activity that the CPU cannot enter"},
	{guest_activity_dpl, VMCS_GUEST_ACTIVITY, STATE "HLT with SS.DPL above 0"},
	{guest_activity_blocking, VMCS_GUEST_ACTIVITY,
	 STATE "inactive while blocking by STI or MOV SS"},
	{guest_activity_event, VMCS_GUEST_ACTIVITY,
	 STATE "an event is injected that the activity blocks"},
	{guest_blocking_reserved, VMCS_GUEST_INTERRUPTIBILITY,
	 STATE "interruptibility: reserved bits"},
	{guest_blocking_both, VMCS_GUEST_INTERRUPTIBILITY,
	 STATE "blocking by STI and by MOV SS at once"},
	{guest_blocking_sti, VMCS_GUEST_INTERRUPTIBILITY,
	 STATE "blocking by STI with RFLAGS.IF clear"},
	{guest_blocking_intr, VMCS_GUEST_INTERRUPTIBILITY,
	 STATE "an interrupt is injected while blocking by STI or MOV SS"},
	{guest_blocking_nmi, VMCS_GUEST_INTERRUPTIBILITY,
	 STATE "an NMI is injected while blocking by MOV SS"},
	{guest_blocking_smi, VMCS_GUEST_INTERRUPTIBILITY, STATE "blocking by SMI outside SMM"},
	{guest_blocking_virtual_nmi, VMCS_GUEST_INTERRUPTIBILITY,
	 STATE "an NMI is injected while NMIs are blocked"},
	{guest_pending_reserved, VMCS_GUEST_PENDING_DEBUG,
	 STATE "pending debug exceptions: reserved bits"},
	{guest_pending_step, VMCS_GUEST_PENDING_DEBUG,
	 STATE "pending debug exceptions: BS does not fit RFLAGS.TF"},
	{guest_link, VMCS_LINK_POINTER, STATE "VMCS link pointer: address"},

	{guest_pdpte, VMCS_GUEST_PDPTE0, PDPTE "PDPTE 0: reserved bits"},
	{guest_pdpte, VMCS_GUEST_PDPTE1, PDPTE "PDPTE 1: reserved bits"},
	{guest_pdpte, VMCS_GUEST_PDPTE2, PDPTE "PDPTE 2: reserved bits"},
	{guest_pdpte, VMCS_GUEST_PDPTE3, PDPTE "PDPTE 3: reserved bits"},
	{0},
};
