/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file regs.c
 * Guest registers: write-through setters that keep the neutral copies and the VMCS's right.
 * SDM 3C 25.4 (guest state), 25.6.6 (CR masks and shadows), 27.3.1 (what an entry checks).
 */
#include "arch/vmx/vmx.h"

#include "exit/exit.h"
#include "host/host.h"
#include "host/x86.h"
#include "state.h"

#define REGS_ATTR_LOW  0xffu  /* the same place in both layouts */
#define REGS_ATTR_HIGH 0xf00u /* AVL L DB G: 4 bits higher in the VMCS */

static struct vmx_vcpu *regs_vv(struct v3_vcpu *vcpu)
{
	return vcpu->arch_vcpu;
}

static uint16_t regs_attr(uint64_t rights)
{
	uint16_t attr = (uint16_t)((rights & REGS_ATTR_LOW) | (rights >> 4 & REGS_ATTR_HIGH));

	return rights & VMX_RIGHTS_UNUSABLE ? attr & ~V3_SEG_P : attr;
}

/*
 * What is not present is unusable: a null selector. The CPU insists that G fits the limit. An unusable SS still
 * carries the privilege level (24.4.1).
 */
static uint32_t regs_rights(const struct v3_seg *seg, unsigned dpl)
{
	uint32_t attr = seg->attr & (uint32_t)~V3_SEG_G;

	if (!(attr & V3_SEG_P))
		return VMX_RIGHTS_UNUSABLE | dpl << 5;
	if (seg->limit >> 20)
		attr |= V3_SEG_G;
	return (attr & REGS_ATTR_LOW) | (attr & REGS_ATTR_HIGH) << 4;
}

void v3_vmx_get_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, struct v3_seg *seg)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);

	seg->sel = (uint16_t)v3_vmx_get(vv, VMX_SEL + num);
	seg->base = v3_vmx_get(vv, VMX_BASE + num);
	seg->limit = (uint32_t)v3_vmx_get(vv, VMX_LIMIT + num);
	seg->attr = regs_attr(v3_vmx_get(vv, VMX_RIGHTS + num));
}

void v3_vmx_set_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, const struct v3_seg *seg)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);

	v3_vmx_set(vv, VMX_SEL + num, seg->sel);
	v3_vmx_set(vv, VMX_BASE + num, seg->base);
	v3_vmx_set(vv, VMX_LIMIT + num, seg->limit);
	v3_vmx_set(vv, VMX_RIGHTS + num, regs_rights(seg, num == V3_SS ? vcpu->cpl : 0));
	if (num == V3_CS)
		vcpu->cs = *seg;
	else if (num == V3_SS)
		vcpu->cpl = VMX_RIGHTS_DPL(vv->value[VMX_RIGHTS + V3_SS]);
}

void v3_vmx_get_dtr(struct v3_vcpu *vcpu, bool idt, struct v3_dtr *dtr)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);

	dtr->base = v3_vmx_get(vv, idt ? VMX_IDTR_BASE : VMX_GDTR_BASE);
	dtr->limit = (uint16_t)v3_vmx_get(vv, idt ? VMX_IDTR_LIMIT : VMX_GDTR_LIMIT);
}

void v3_vmx_set_dtr(struct v3_vcpu *vcpu, bool idt, const struct v3_dtr *dtr)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);

	v3_vmx_set(vv, idt ? VMX_IDTR_BASE : VMX_GDTR_BASE, dtr->base);
	v3_vmx_set(vv, idt ? VMX_IDTR_LIMIT : VMX_GDTR_LIMIT, dtr->limit);
}

/* With PAE paging the CPU keeps the four page directory pointers in registers: whoever changes CR3 or the mode
 * for the guest loads them; SDM 3A 4.4.1. */
static void regs_paging_changed(struct v3_vcpu *vcpu)
{
	regs_vv(vcpu)->load_pdptes =
		(vcpu->cr0 & V3_CR0_PG) && (vcpu->cr4 & V3_CR4_PAE) && !(vcpu->efer & V3_EFER_LMA);
}

/* The hardware runs with caches on: CD would slow the whole CPU down. */
static void regs_set_cr0(struct v3_vcpu *vcpu, struct vmx_vcpu *vv, uint64_t value)
{
	const uint64_t cached = value & ~(V3_CR0_CD | V3_CR0_NW);

	vcpu->cr0 = value;
	v3_vmx_set(vv, VMX_CR0, v3_vmx_caps_guest_cr0(&vv->vmx->caps, cached));
	v3_vmx_set(vv, VMX_CR0_SHADOW, value);
}

/* Without CR4.MCE a machine check would be a shutdown of the host: its own setting stays. */
static void regs_set_cr4(struct v3_vcpu *vcpu, struct vmx_vcpu *vv, uint64_t value)
{
	const uint64_t mce = v3_read_cr4() & V3_CR4_MCE;

	vcpu->cr4 = value;
	v3_vmx_set(vv, VMX_CR4, v3_vmx_caps_guest_cr4(&vv->vmx->caps, value | mce));
	v3_vmx_set(vv, VMX_CR4_SHADOW, value);
}

void v3_vmx_set_cr(struct v3_vcpu *vcpu, unsigned n, uint64_t value)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);

	switch (n) {
	case 0:
		regs_set_cr0(vcpu, vv, value);
		break;
	case 2: /* run.c loads it */
		vcpu->cr2 = value;
		return;
	case 3:
		vcpu->cr3 = value;
		v3_vmx_set(vv, VMX_CR3, value);
		break;
	case 4:
		regs_set_cr4(vcpu, vv, value);
		break;
	default: /* of the local APIC, if there is one, it is the task priority */
		vcpu->cr8 = value;
		return;
	}
	regs_paging_changed(vcpu);
}

void v3_vmx_set_efer(struct v3_vcpu *vcpu, uint64_t value)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);
	uint32_t entry = vv->vmx->ctl.entry;

	vcpu->efer = value;
	v3_vmx_set(vv, VMX_EFER, value);
	v3_vmx_set(vv, VMX_ENTRY, entry | (value & V3_EFER_LMA ? VMX_ENTRY_CTL_GUEST_64 : 0));
	regs_paging_changed(vcpu);
}

/* Reserved bits of a present page directory pointer; SDM 3A table 4-8. */
#define REGS_PDPTE_RSVD 0x1e6ull

/*
 * A pointer with reserved bits set would fail the entry. It is taken for one that is not present: the guest
 * gets a page fault when it uses it, as with the other nested paging, where no pointers are kept.
 */
void v3_vmx_load_pdptes(struct v3_vcpu *vcpu)
{
	const uint64_t rsvd = REGS_PDPTE_RSVD | ~((1ull << v3_lib.caps.hpa_bits) - 1);
	struct vmx_vcpu *vv = regs_vv(vcpu);
	uint64_t pdpte[4] = {0};
	unsigned i;

	vv->load_pdptes = false;
	if (v3_mem_read(vcpu->vm, vcpu->cr3 & 0xffffffe0ull, pdpte, sizeof(pdpte)) != V3_OK)
		pdpte[0] = pdpte[1] = pdpte[2] = pdpte[3] = 0;
	for (i = 0; i < 4; i++)
		v3_vmx_set(vv, VMX_PDPTE + i, pdpte[i] & rsvd ? 0 : pdpte[i]);
}

uint64_t v3_vmx_get_dr(struct v3_vcpu *vcpu, unsigned n)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);

	return n < 4 ? vv->dr[n] : n == 6 ? vv->dr6 : vv->value[VMX_DR7];
}

void v3_vmx_set_dr(struct v3_vcpu *vcpu, unsigned n, uint64_t value)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);

	if (n < 4)
		vv->dr[n] = value;
	else if (n == 6)
		vv->dr6 = value;
	else
		v3_vmx_set(vv, VMX_DR7, value);
}

/* The privilege level is SS.DPL, usable or not. */
void v3_vmx_set_cpl(struct v3_vcpu *vcpu, unsigned cpl)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);
	uint64_t rights = v3_vmx_get(vv, VMX_RIGHTS + V3_SS);

	vcpu->cpl = (uint8_t)cpl;
	v3_vmx_set(vv, VMX_RIGHTS + V3_SS, (rights & ~(uint64_t)V3_SEG_DPL) | cpl << 5);
}

/* What each exit needs is read here, all at once; the rest when it is asked for. */
#define REGS_SAVED                                                                                 \
	(VMX_SLOT_BIT(VMX_RSP) | VMX_SLOT_BIT(VMX_RIP) | VMX_SLOT_BIT(VMX_RFLAGS) |                \
	 VMX_SLOT_BIT(VMX_CR0) | VMX_SLOT_BIT(VMX_CR3) | VMX_SLOT_BIT(VMX_BLOCKING) |              \
	 VMX_SLOT_BIT(VMX_RIGHTS + V3_CS) | VMX_SLOT_BIT(VMX_RIGHTS + V3_SS))

/* CS matters for its size; its base is that of 64-bit code, 0, unless it is other code. */
void v3_vmx_save_state(struct v3_vcpu *vcpu)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);
	uint64_t *v = vv->value;

	vv->valid = (vv->valid & ~VMX_GUEST_SLOTS) | REGS_SAVED;
	vcpu->regs.gpr[V3_RSP] = v[VMX_RSP] = vmx_read(VMCS_GUEST_RSP);
	vcpu->regs.rip = v[VMX_RIP] = vmx_read(VMCS_GUEST_RIP);
	vcpu->regs.rflags = v[VMX_RFLAGS] = vmx_read(VMCS_GUEST_RFLAGS);
	v[VMX_CR0] = vmx_read(VMCS_GUEST_CR0);
	vcpu->cr0 = (vcpu->cr0 & ~V3_VMX_CR0_OWNED) | (v[VMX_CR0] & V3_VMX_CR0_OWNED);
	vcpu->cr3 = v[VMX_CR3] = vmx_read(VMCS_GUEST_CR3);
	v[VMX_RIGHTS + V3_SS] = vmx_read(VMCS_GUEST_RIGHTS(V3_SS));
	vcpu->cpl = VMX_RIGHTS_DPL(v[VMX_RIGHTS + V3_SS]);
	v[VMX_BLOCKING] = vmx_read(VMCS_GUEST_INTERRUPTIBILITY);
	vcpu->nmi_blocked = v[VMX_BLOCKING] & VMX_BLOCK_NMI;
	v[VMX_RIGHTS + V3_CS] = vmx_read(VMCS_GUEST_RIGHTS(V3_CS));
	vcpu->cs.attr = regs_attr(v[VMX_RIGHTS + V3_CS]);
	if (V3_UNLIKELY(v3_code_bits(vcpu) != 64))
		v3_vmx_get_seg(vcpu, V3_CS, &vcpu->cs);
}

/* MSRs that live in the VMCS. */
static const struct regs_msr {
	uint32_t msr;
	uint8_t slot;
} regs_msrs[] = {
	{V3_MSR_FS_BASE, VMX_BASE + V3_FS},	 {V3_MSR_GS_BASE, VMX_BASE + V3_GS},
	{V3_MSR_SYSENTER_CS, VMX_SYSENTER_CS},	 {V3_MSR_SYSENTER_ESP, VMX_SYSENTER_ESP},
	{V3_MSR_SYSENTER_EIP, VMX_SYSENTER_EIP}, {V3_MSR_PAT, VMX_PAT},
};

const uint32_t v3_vmx_live_msrs[VMX_NLIVE] = {
	[VMX_LIVE_STAR] = V3_MSR_STAR,
	[VMX_LIVE_LSTAR] = V3_MSR_LSTAR,
	[VMX_LIVE_CSTAR] = V3_MSR_CSTAR,
	[VMX_LIVE_SFMASK] = V3_MSR_SFMASK,
	[VMX_LIVE_KERNEL_GS] = V3_MSR_KERNEL_GS_BASE,
};

int v3_vmx_get_msr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);
	unsigned i;

	for (i = 0; i < V3_ARRAY_SIZE(regs_msrs); i++)
		if (regs_msrs[i].msr == msr) {
			*value = v3_vmx_get(vv, regs_msrs[i].slot);
			return V3_OK;
		}
	for (i = 0; i < VMX_NLIVE; i++)
		if (v3_vmx_live_msrs[i] == msr) {
			*value = vv->loaded ? v3_rdmsr(msr) : vv->live[i];
			return V3_OK;
		}
	return V3_ENOENT;
}

int v3_vmx_set_msr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct vmx_vcpu *vv = regs_vv(vcpu);
	unsigned i;

	for (i = 0; i < V3_ARRAY_SIZE(regs_msrs); i++)
		if (regs_msrs[i].msr == msr) {
			v3_vmx_set(vv, regs_msrs[i].slot, value);
			return V3_OK;
		}
	for (i = 0; i < VMX_NLIVE; i++)
		if (v3_vmx_live_msrs[i] == msr) {
			vv->live[i] = value;
			if (vv->loaded)
				v3_wrmsr(msr, value);
			return V3_OK;
		}
	return V3_ENOENT;
}

/* One bit per MSR, for reads and for writes, of two ranges of 8192; 25.6.9. */
int v3_vmx_bitmap_pass(uint8_t *bitmap, uint32_t msr, bool rd, bool wr)
{
	uint32_t base;

	if (msr < 0x2000)
		base = 0;
	else if (msr >= 0xc0000000u && msr < 0xc0002000u)
		base = 0x400;
	else
		return V3_ENOTSUP;
	base += (msr & 0x1fff) / 8;
	if (rd)
		bitmap[base] &= (uint8_t) ~(1u << (msr % 8));
	if (wr)
		bitmap[base + 0x800] &= (uint8_t) ~(1u << (msr % 8));
	return V3_OK;
}

int v3_vmx_pass_msr(struct v3_vm *vm, uint32_t msr, bool rd, bool wr)
{
	struct vmx_vm *vx = vm->arch_vm;

	if (vx->x2_bitmap)
		v3_vmx_bitmap_pass(vx->x2_bitmap, msr, rd, wr);
	return v3_vmx_bitmap_pass(vx->msr_bitmap, msr, rd, wr);
}
