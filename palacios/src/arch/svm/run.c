/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file run.c
 * One entry into the guest and the exit from it: everything between the run loop and the world switch.
 * Called by vm/run.c; calls entry.S and exit.c. AMD APM vol. 2 15.5, 15.15, 15.16.
 */
#include "arch/svm/check.h"
#include "arch/svm/svm.h"

#include "host/x86.h"
#include "exit/exit.h"
#include "host/host.h"
#include "mmu/mmu.h"
#include "state.h"

#define RUN_PRED_CMD_IBPB 1ull
#define RUN_OPCODE_HLT	  0xf4
#define RUN_DR7_ENABLES	  0xffull
#define RUN_DR7_OFF	  0x400ull

/* Give the vcpu an address-space id that is valid on this CPU; 15.16. */
static void run_assign_asid(struct svm_vcpu *sv, struct svm_cpu *pc, uint32_t cpu)
{
	if (pc->next_asid == sv->svm->nasids) {
		pc->generation++;
		pc->next_asid = 1;
		pc->flush_all = true;
	}
	sv->vmcb->asid = pc->next_asid++;
	sv->cpu = cpu;
	sv->generation = pc->generation;
	sv->flush = false; /* nothing is cached under a new id */
	sv->dirty |= SVM_CLEAN_ASID;
}

/* What is asked for here stays asked for until an entry has happened: it may be refused, or another vcpu may
 * enter on this CPU first. */
static void run_prepare_tlb(struct svm_vcpu *sv, struct svm_cpu *pc, uint32_t cpu)
{
	if (sv->cpu != cpu)
		sv->dirty = SVM_CLEAN_ALL; /* the clean state was cached elsewhere */
	if (sv->cpu != cpu || sv->generation != pc->generation ||
	    (sv->flush && !sv->svm->flush_by_asid))
		run_assign_asid(sv, pc, cpu);
	sv->vmcb->tlb_control = pc->flush_all ? SVM_TLB_ALL
				: sv->flush   ? SVM_TLB_THIS
					      : SVM_TLB_NOTHING;
}

void v3_svm_set_tsc_ratio(struct svm_cpu *pc, uint64_t ratio)
{
	if (pc->tsc_ratio != ratio)
		v3_wrmsr(SVM_MSR_TSC_RATIO, ratio);
	pc->tsc_ratio = ratio;
}

/* Another vcpu's branch history must not steer this one, nor its clock. */
static void run_take_over(const struct v3_vcpu *vcpu, struct svm_vcpu *sv, struct svm_cpu *pc)
{
	const uint64_t ratio = vcpu->vm->time.tsc_ratio;

	if (pc->last_vcpu && sv->svm->ibpb)
		v3_wrmsr(V3_MSR_PRED_CMD, RUN_PRED_CMD_IBPB);
	v3_svm_set_tsc_ratio(pc, ratio ? ratio : SVM_TSC_UNSCALED);
	pc->last_vcpu = sv;
}

static void run_load_dr(const uint64_t *dr)
{
	v3_write_dr0(dr[0]);
	v3_write_dr1(dr[1]);
	v3_write_dr2(dr[2]);
	v3_write_dr3(dr[3]);
}

/* DR6 and DR7 are in the VMCB; DR0-3 are not, and matter only while the guest has a breakpoint enabled. */
static int run_switch_with_dr(struct v3_vcpu *vcpu, struct svm_vcpu *sv, v3_hpa_t host_pa)
{
	uint64_t host[4] = {v3_read_dr0(), v3_read_dr1(), v3_read_dr2(), v3_read_dr3()};
	int ret;

	v3_write_dr7(RUN_DR7_OFF); /* the host's own breakpoints must not see guest addresses */
	run_load_dr(sv->dr);
	ret = v3_svm_world_switch(vcpu, sv->vmcb_pa, host_pa);
	run_load_dr(host);
	return ret;
}

static void run_save_state(struct v3_vcpu *vcpu, const struct svm_vmcb *vmcb)
{
	vcpu->regs.gpr[V3_RAX] = vmcb->rax;
	vcpu->regs.gpr[V3_RSP] = vmcb->rsp;
	vcpu->regs.rip = vmcb->rip;
	vcpu->regs.rflags = vmcb->rflags;
	/* CD and NW are never given to the hardware: keep the guest's own. */
	vcpu->cr0 = (vcpu->cr0 & (V3_CR0_CD | V3_CR0_NW)) | vmcb->cr0;
	vcpu->cr2 = vmcb->cr2;
	vcpu->cr3 = vmcb->cr3;
	vcpu->cs = vmcb->cs;
	vcpu->cpl = vmcb->cpl;
}

/*
 * STI; HLT with an exit in between. QEMU 7.2's VMRUN does not load the interrupt shadow that its exit saved
 * (lab.md Q3), so a virtual interrupt would be taken before the HLT, and the guest would then halt although
 * what it waits for has come. Leave the window out: the HLT exits at once, and its handler looks for interrupts.
 */
static void run_keep_shadow(struct v3_vcpu *vcpu, struct svm_vcpu *sv)
{
	const uint8_t *bytes;
	size_t avail;

	if (!(sv->vmcb->vintr & SVM_VINTR_IRQ))
		return;
	bytes = v3_fetch_ptr(vcpu, &avail);
	if (!bytes || !avail || bytes[0] != RUN_OPCODE_HLT)
		return;
	sv->vmcb->vintr &= ~SVM_VINTR_IRQ;
	sv->dirty |= SVM_CLEAN_TPR;
}

/* In line: a call would cost the light exits a dozen instructions. */
static inline __attribute__((__always_inline__)) void
run_prepare(struct v3_vcpu *vcpu, struct svm_vcpu *sv, struct svm_cpu *pc, uint32_t cpu)
{
	struct svm_vmcb *vmcb = sv->vmcb;

	if (sv->cpu != cpu || sv->generation != pc->generation || sv->flush)
		run_prepare_tlb(sv, pc, cpu);
	vmcb->rax = vcpu->regs.gpr[V3_RAX];
	vmcb->rsp = vcpu->regs.gpr[V3_RSP];
	vmcb->rip = vcpu->regs.rip;
	vmcb->rflags = vcpu->regs.rflags;
}

const char *v3_svm_check_entry(struct v3_vcpu *vcpu)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;
	uint32_t cpu = v3_host_cpu_id();

	run_prepare(vcpu, sv, &sv->svm->cpu[cpu], cpu); /* once more at the entry: no harm */
	return v3_svm_check(sv->vmcb, v3_lib.caps.hpa_bits);
}

int v3_svm_enter(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;
	struct svm_vmcb *vmcb = sv->vmcb;
	uint32_t cpu = v3_host_cpu_id();
	struct svm_cpu *pc = &sv->svm->cpu[cpu];
	uint64_t host_dr7 = v3_read_dr7();
	uint64_t shadow = vmcb->shadow & 1;
	int refused;

	run_prepare(vcpu, sv, pc, cpu);
	if (pc->last_vcpu != sv)
		run_take_over(vcpu, sv, pc);
	if (V3_UNLIKELY(shadow))
		run_keep_shadow(vcpu, sv);
	vmcb->clean = sv->svm->clean_bits ? SVM_CLEAN_ALL & ~sv->dirty : 0;

	if (V3_UNLIKELY(vmcb->dr7 & RUN_DR7_ENABLES))
		refused = run_switch_with_dr(vcpu, sv, pc->host_pa);
	else
		refused = v3_svm_world_switch(vcpu, sv->vmcb_pa, pc->host_pa);
	if (V3_UNLIKELY(host_dr7 & RUN_DR7_ENABLES))
		v3_write_dr7(host_dr7); /* cleared by #VMEXIT */
	if (refused)
		return V3_EAGAIN;

	/* No instruction has run: the shadow is still there, which QEMU's VMRUN has dropped. Unless it is the
	 * window that exits: then the CPU is ready, and asking once more would never end. */
	if (V3_UNLIKELY(shadow) && vmcb->rip == vcpu->regs.rip && vmcb->exitcode != SVM_EXIT_VINTR)
		vmcb->shadow |= shadow;
	sv->dirty = 0;
	sv->flush = false;
	pc->flush_all = false;
	vmcb->tlb_control = SVM_TLB_NOTHING;
	run_save_state(vcpu, vmcb);
	v3_svm_decode_exit(vcpu, exit);
	return V3_OK;
}
