/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vcpu.c
 * VMCB set-up, power-on and INIT state, and the dump. AMD APM vol. 2 14.1.3, 15.5, 15.13.
 */
#include "arch/svm/svm.h"

#include "cpu/cpuid.h"
#include "cpu/yield.h"
#include "exit/exit.h"
#include "host/host.h"
#include "palacios/util/str.h"
#include "palacios/util/text.h"
#include "state.h"

#define V3_LOG_TAG "svm"

#define VCPU_MISC1                                                                                 \
	(SVM_MISC1_INTR | SVM_MISC1_NMI | SVM_MISC1_SMI | SVM_MISC1_INIT | SVM_MISC1_VINTR |       \
	 SVM_MISC1_CR0_SEL | SVM_MISC1_RDPMC | SVM_MISC1_CPUID | SVM_MISC1_RSM | SVM_MISC1_INVD |  \
	 SVM_MISC1_HLT | SVM_MISC1_INVLPGA | SVM_MISC1_IOIO | SVM_MISC1_MSR |                      \
	 SVM_MISC1_TASK_SWITCH | SVM_MISC1_FERR | SVM_MISC1_SHUTDOWN)
#define VCPU_MISC2                                                                                 \
	(SVM_MISC2_VMRUN | SVM_MISC2_VMMCALL | SVM_MISC2_VMLOAD | SVM_MISC2_VMSAVE |               \
	 SVM_MISC2_STGI | SVM_MISC2_CLGI | SVM_MISC2_SKINIT | SVM_MISC2_WBINVD |                   \
	 SVM_MISC2_MONITOR | SVM_MISC2_MWAIT | SVM_MISC2_XSETBV | SVM_MISC2_RDPRU)
#define VCPU_CR_WRITE ((1u << 4) | (1u << 8)) /* CR0 has the selective intercept */
#define VCPU_CR_READ  (1u << 8)
#define VCPU_DR_ALL   0x00ffu /* DR6 and DR7 go through us too: their reserved bits are checked */

/* PAUSE is only worth an exit when the CPU can tell a spin loop from a single PAUSE; 15.14.4. */
#define VCPU_PAUSE_COUNT     3000
#define VCPU_PAUSE_THRESHOLD 128

static void vcpu_init_controls(struct v3_vcpu *vcpu, struct svm_vcpu *sv)
{
	const struct svm_vm *sm = vcpu->vm->arch_vm;
	struct svm_vmcb *vmcb = sv->vmcb;

	vmcb->cr_read = VCPU_CR_READ;
	vmcb->cr_write = VCPU_CR_WRITE;
	vmcb->dr_read = vmcb->dr_write = VCPU_DR_ALL;
	vmcb->misc1 = VCPU_MISC1;
	vmcb->misc2 = VCPU_MISC2;
	if (sv->svm->pause_filter && v3_yield_wants_pause(vcpu->vm)) {
		vmcb->misc1 |= SVM_MISC1_PAUSE;
		vmcb->pause_count = VCPU_PAUSE_COUNT;
		vmcb->pause_threshold = VCPU_PAUSE_THRESHOLD;
	}
	vmcb->iopm_pa = sm->iopm_pa;
	vmcb->msrpm_pa = sm->msrpm_pa;
	vmcb->vintr = SVM_VINTR_MASKING;
	vmcb->np_enable = 1;
	v3_svm_set_exception_mask(vcpu, 0);
}

int v3_svm_vcpu_create(struct v3_vcpu *vcpu)
{
	struct svm_vcpu *sv = v3_alloc(sizeof(*sv));

	if (!sv)
		return V3_ENOMEM;
	sv->vmcb_pa = v3_host_page_alloc(1, V3_NODE_ANY);
	if (sv->vmcb_pa == V3_HPA_NONE) {
		v3_free(sv);
		return V3_ENOMEM;
	}
	sv->vmcb = v3_host_pa_to_va(sv->vmcb_pa);
	sv->svm = v3_lib.arch_state;
	sv->cpu = ~0u;
	vcpu->arch_vcpu = sv;
	vcpu_init_controls(vcpu, sv);
	return V3_OK;
}

void v3_svm_vcpu_destroy(struct v3_vcpu *vcpu)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;
	uint32_t i;

	if (!sv)
		return;
	for (i = 0; i < sv->svm->ncpus; i++)
		if (sv->svm->cpu[i].last_vcpu == sv)
			sv->svm->cpu[i].last_vcpu =
				sv->svm; /* a new vcpu may get the same address */
	v3_host_page_free(sv->vmcb_pa, 1);
	v3_free(sv);
	vcpu->arch_vcpu = NULL;
}

/* Table 14-1. */
static void vcpu_reset_segments(struct v3_vcpu *vcpu)
{
	const struct v3_seg data = {.attr = V3_SEG_P | V3_SEG_S | 3, .limit = 0xffff};
	const struct v3_seg code = {.sel = 0xf000,
				    .attr = V3_SEG_P | V3_SEG_S | 0xb,
				    .limit = 0xffff,
				    .base = 0xffff0000};
	const struct v3_seg ldt = {.attr = V3_SEG_P | 2, .limit = 0xffff};
	const struct v3_seg tss = {.attr = V3_SEG_P | 0xb, .limit = 0xffff};
	const struct v3_dtr dtr = {.limit = 0xffff};
	unsigned i;

	for (i = V3_ES; i <= V3_GS; i++)
		v3_svm_set_seg(vcpu, (enum v3_seg_num)i, &data);
	v3_svm_set_seg(vcpu, V3_CS, &code);
	v3_svm_set_seg(vcpu, V3_LDTR, &ldt);
	v3_svm_set_seg(vcpu, V3_TR, &tss);
	v3_svm_set_dtr(vcpu, false, &dtr);
	v3_svm_set_dtr(vcpu, true, &dtr);
	v3_svm_set_cpl(vcpu, 0);
}

static void vcpu_reset_msrs(struct svm_vmcb *vmcb)
{
	vmcb->star = vmcb->lstar = vmcb->cstar = vmcb->sfmask = vmcb->kernel_gs_base = 0;
	vmcb->sysenter_cs = vmcb->sysenter_esp = vmcb->sysenter_eip = 0;
	vmcb->pat = 0x0007040600070406ull; /* 7.8.2 */
	vmcb->debugctl = 0;
}

void v3_svm_vcpu_reset(struct v3_vcpu *vcpu, bool init)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;
	uint64_t keep = init ? vcpu->cr0 & (V3_CR0_CD | V3_CR0_NW) : V3_CR0_CD | V3_CR0_NW;
	unsigned i;

	for (i = 0; i < V3_NGPR; i++)
		vcpu->regs.gpr[i] = 0;
	vcpu->regs.gpr[V3_RDX] = v3_cpuid_leaf(vcpu, 1)->eax; /* family, model, stepping */
	vcpu->regs.rip = 0xfff0;
	vcpu->regs.rflags = V3_RFLAGS_ONE;
	vcpu_reset_segments(vcpu);
	v3_svm_set_cr(vcpu, 0, V3_CR0_ET | keep);
	v3_svm_set_cr(vcpu, 2, 0);
	v3_svm_set_cr(vcpu, 3, 0);
	v3_svm_set_cr(vcpu, 4, 0);
	v3_svm_set_cr(vcpu, 8, 0);
	v3_svm_set_efer(vcpu, 0);
	for (i = 0; i < 4; i++)
		sv->dr[i] = 0;
	sv->vmcb->dr6 = 0xffff0ff0ull;
	sv->vmcb->dr7 = 0x400;
	if (!init)
		vcpu_reset_msrs(sv->vmcb);

	v3_svm_end_virq(sv);
	sv->vmcb->eventinj = 0;
	sv->vmcb->shadow = 0;
	sv->vmcb->vintr = SVM_VINTR_MASKING;
	sv->vmcb->misc1 &= ~SVM_MISC1_IRET;
	sv->iret_step = false;
	sv->flush = true;
	sv->dirty = SVM_CLEAN_ALL;
}

void v3_svm_dump(struct v3_vcpu *vcpu, const struct v3_text *text)
{
	const struct svm_vmcb *b = ((struct svm_vcpu *)vcpu->arch_vcpu)->vmcb;

	v3_text_line(
		text,
		"  exit %#llx info %#llx %#llx intinfo %#llx inj %#llx vintr %#llx shadow %llu",
		(unsigned long long)b->exitcode, (unsigned long long)b->exitinfo1,
		(unsigned long long)b->exitinfo2, (unsigned long long)b->exitintinfo,
		(unsigned long long)b->eventinj, (unsigned long long)b->vintr,
		(unsigned long long)b->shadow);
	v3_text_line(
		text,
		"  cr0 %#llx cr2 %#llx cr3 %#llx cr4 %#llx efer %#llx ncr3 %#llx asid %u cpl %u",
		(unsigned long long)b->cr0, (unsigned long long)b->cr2, (unsigned long long)b->cr3,
		(unsigned long long)b->cr4, (unsigned long long)b->efer,
		(unsigned long long)b->ncr3, b->asid, b->cpl);
	v3_text_line(text, "  dr6 %#llx dr7 %#llx misc1 %#x misc2 %#x exceptions %#x",
		     (unsigned long long)b->dr6, (unsigned long long)b->dr7, b->misc1, b->misc2,
		     b->exceptions);
}
