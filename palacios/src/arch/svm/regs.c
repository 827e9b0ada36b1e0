/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file regs.c
 * Guest registers in the VMCB: write-through setters that keep the neutral copies and the clean bits right.
 */
#include "arch/svm/svm.h"

#include "exit/exit.h"
#include "state.h"

#define REGS_OF(vcpu) (((struct svm_vcpu *)(vcpu)->arch_vcpu)->vmcb)

static void regs_dirty(struct v3_vcpu *vcpu, uint32_t groups)
{
	((struct svm_vcpu *)vcpu->arch_vcpu)->dirty |= groups;
}

/* Where each segment lies in the VMCB, by enum v3_seg_num. */
static const uint16_t regs_seg_offset[V3_NSEG] = {
	[V3_ES] = offsetof(struct svm_vmcb, es),     [V3_CS] = offsetof(struct svm_vmcb, cs),
	[V3_SS] = offsetof(struct svm_vmcb, ss),     [V3_DS] = offsetof(struct svm_vmcb, ds),
	[V3_FS] = offsetof(struct svm_vmcb, fs),     [V3_GS] = offsetof(struct svm_vmcb, gs),
	[V3_LDTR] = offsetof(struct svm_vmcb, ldtr), [V3_TR] = offsetof(struct svm_vmcb, tr),
};

static struct v3_seg *regs_seg(struct v3_vcpu *vcpu, enum v3_seg_num num)
{
	return (struct v3_seg *)((char *)REGS_OF(vcpu) + regs_seg_offset[num]);
}

void v3_svm_get_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, struct v3_seg *seg)
{
	*seg = *regs_seg(vcpu, num);
}

void v3_svm_set_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, const struct v3_seg *seg)
{
	*regs_seg(vcpu, num) = *seg;
	if (num == V3_CS)
		vcpu->cs = *seg;
	regs_dirty(vcpu, SVM_CLEAN_SEG);
}

void v3_svm_get_dtr(struct v3_vcpu *vcpu, bool idt, struct v3_dtr *dtr)
{
	const struct v3_seg *s = idt ? &REGS_OF(vcpu)->idtr : &REGS_OF(vcpu)->gdtr;

	dtr->base = s->base;
	dtr->limit = (uint16_t)s->limit;
}

void v3_svm_set_dtr(struct v3_vcpu *vcpu, bool idt, const struct v3_dtr *dtr)
{
	struct v3_seg *s = idt ? &REGS_OF(vcpu)->idtr : &REGS_OF(vcpu)->gdtr;

	s->base = dtr->base;
	s->limit = dtr->limit;
	regs_dirty(vcpu, SVM_CLEAN_DT);
}

/* The hardware runs with caches on (CD under nested paging would slow the whole CPU down); while the
 * guest's own value differs, its reads are intercepted. */
static void regs_set_cr0(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb, uint64_t value)
{
	vcpu->cr0 = value;
	vmcb->cr0 = value & ~(V3_CR0_CD | V3_CR0_NW);
	vmcb->cr_read = (uint16_t)((vmcb->cr_read & ~1u) | (vmcb->cr0 != value));
	/* Clearing CD again changes nothing in the hardware's CR0: the selective intercept would miss it. */
	vmcb->cr_write = (uint16_t)((vmcb->cr_write & ~1u) | (vmcb->cr0 != value));
	regs_dirty(vcpu, SVM_CLEAN_CRX | SVM_CLEAN_INTERCEPTS);
}

void v3_svm_set_cr(struct v3_vcpu *vcpu, unsigned n, uint64_t value)
{
	struct svm_vmcb *vmcb = REGS_OF(vcpu);

	switch (n) {
	case 0:
		regs_set_cr0(vcpu, vmcb, value);
		return;
	case 2:
		vcpu->cr2 = vmcb->cr2 = value;
		regs_dirty(vcpu, SVM_CLEAN_CR2);
		return;
	case 3:
		vcpu->cr3 = vmcb->cr3 = value;
		break;
	case 4:
		vcpu->cr4 = vmcb->cr4 = value;
		break;
	default: /* CR8 is emulated: both its reads and writes exit */
		vcpu->cr8 = value;
		return;
	}
	regs_dirty(vcpu, SVM_CLEAN_CRX);
}

/* VMRUN refuses EFER without SVME (15.5.1); the guest never sees the bit because reads of EFER exit. */
void v3_svm_set_efer(struct v3_vcpu *vcpu, uint64_t value)
{
	vcpu->efer = value;
	REGS_OF(vcpu)->efer = value | V3_EFER_SVME;
	regs_dirty(vcpu, SVM_CLEAN_CRX);
}

uint64_t v3_svm_get_dr(struct v3_vcpu *vcpu, unsigned n)
{
	const struct svm_vcpu *sv = vcpu->arch_vcpu;

	return n < 4 ? sv->dr[n] : n == 6 ? sv->vmcb->dr6 : sv->vmcb->dr7;
}

void v3_svm_set_dr(struct v3_vcpu *vcpu, unsigned n, uint64_t value)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;

	if (n < 4)
		sv->dr[n] = value;
	else if (n == 6)
		sv->vmcb->dr6 = value;
	else
		sv->vmcb->dr7 = value;
	sv->dirty |= SVM_CLEAN_DRX;
}

void v3_svm_set_cpl(struct v3_vcpu *vcpu, unsigned cpl)
{
	vcpu->cpl = REGS_OF(vcpu)->cpl = (uint8_t)cpl;
	regs_dirty(vcpu, SVM_CLEAN_SEG);
}

/* MSRs that live in the VMCB. */
static const struct regs_msr {
	uint32_t msr;
	uint16_t offset;
	uint16_t dirty;
} regs_msrs[] = {
	{V3_MSR_STAR, offsetof(struct svm_vmcb, star), 0},
	{V3_MSR_LSTAR, offsetof(struct svm_vmcb, lstar), 0},
	{V3_MSR_CSTAR, offsetof(struct svm_vmcb, cstar), 0},
	{V3_MSR_SFMASK, offsetof(struct svm_vmcb, sfmask), 0},
	{V3_MSR_KERNEL_GS_BASE, offsetof(struct svm_vmcb, kernel_gs_base), 0},
	{V3_MSR_FS_BASE, offsetof(struct svm_vmcb, fs.base), 0},
	{V3_MSR_GS_BASE, offsetof(struct svm_vmcb, gs.base), 0},
	{V3_MSR_SYSENTER_CS, offsetof(struct svm_vmcb, sysenter_cs), 0},
	{V3_MSR_SYSENTER_ESP, offsetof(struct svm_vmcb, sysenter_esp), 0},
	{V3_MSR_SYSENTER_EIP, offsetof(struct svm_vmcb, sysenter_eip), 0},
	{V3_MSR_PAT, offsetof(struct svm_vmcb, pat), SVM_CLEAN_NP},
};

static const struct regs_msr *regs_find_msr(uint32_t msr)
{
	unsigned i;

	for (i = 0; i < V3_ARRAY_SIZE(regs_msrs); i++)
		if (regs_msrs[i].msr == msr)
			return &regs_msrs[i];
	return NULL;
}

int v3_svm_get_msr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	const struct regs_msr *m = regs_find_msr(msr);

	if (!m)
		return V3_ENOENT;
	*value = *(uint64_t *)((char *)REGS_OF(vcpu) + m->offset);
	return V3_OK;
}

int v3_svm_set_msr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	const struct regs_msr *m = regs_find_msr(msr);

	if (!m)
		return V3_ENOENT;
	*(uint64_t *)((char *)REGS_OF(vcpu) + m->offset) = value;
	regs_dirty(vcpu, m->dirty);
	return V3_OK;
}

/* The permission map holds two bits per MSR, for three ranges of 8192; 15.11. */
int v3_svm_pass_msr(struct v3_vm *vm, uint32_t msr, bool rd, bool wr)
{
	struct svm_vm *sm = vm->arch_vm;
	uint32_t base, bit;

	if (msr < 0x2000)
		base = 0;
	else if (msr >= 0xc0000000u && msr < 0xc0002000u)
		base = 0x800;
	else if (msr >= 0xc0010000u && msr < 0xc0012000u)
		base = 0x1000;
	else
		return V3_ENOTSUP;
	bit = (msr & 0x1fff) * 2;
	if (rd)
		sm->msrpm[base + bit / 8] &= (uint8_t) ~(1u << (bit % 8));
	if (wr)
		sm->msrpm[base + bit / 8] &= (uint8_t) ~(2u << (bit % 8));
	return V3_OK;
}
