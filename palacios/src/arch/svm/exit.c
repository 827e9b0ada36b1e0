/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exit.c
 * SVM exit code -> struct v3_exit: the last place that knows an SVM number.
 * AMD APM vol. 2 appendix C, and the sections named at each decoder.
 */
#include "arch/svm/svm.h"

#include "exit/exit.h"
#include "state.h"

#define EXIT_KIND(sym) (V3_EXIT_##sym + 1)
#define EXIT_DR6_HITS  0xfull /* B0 to B3 */

/* Exit codes 0x00..0xa2 to neutral kinds, plus one: 0 = none. Ranges of equal meaning by number. */
static const uint8_t exit_kinds[SVM_EXIT_INVPCID + 1] = {
	[SVM_EXIT_CR_READ... SVM_EXIT_CR_READ + 15] = EXIT_KIND(CR_READ),
	[SVM_EXIT_CR_WRITE... SVM_EXIT_CR_WRITE + 15] = EXIT_KIND(CR_WRITE),
	[SVM_EXIT_DR_READ... SVM_EXIT_DR_WRITE + 15] = EXIT_KIND(DR_ACCESS),
	[SVM_EXIT_EXCEPTION... SVM_EXIT_EXCEPTION + 31] = EXIT_KIND(EXCEPTION),
	[SVM_EXIT_INTR] = EXIT_KIND(INTR),
	[SVM_EXIT_NMI] = EXIT_KIND(NMI),
	[SVM_EXIT_SMI] = EXIT_KIND(SMI),
	[SVM_EXIT_INIT] = EXIT_KIND(INIT),
	[SVM_EXIT_VINTR] = EXIT_KIND(INTR_WINDOW),
	[SVM_EXIT_CR0_SEL] = EXIT_KIND(CR_WRITE),
	[SVM_EXIT_IDTR_READ... SVM_EXIT_TR_WRITE] = EXIT_KIND(SYS_INSN),
	[SVM_EXIT_RDTSC] = EXIT_KIND(RDTSC),
	[SVM_EXIT_RDPMC] = EXIT_KIND(RDPMC),
	[SVM_EXIT_CPUID] = EXIT_KIND(CPUID),
	[SVM_EXIT_RSM] = EXIT_KIND(VIRT_INSN), /* outside SMM: #UD */
	[SVM_EXIT_IRET] = EXIT_KIND(NMI_WINDOW),
	[SVM_EXIT_INVD] = EXIT_KIND(CACHE),
	[SVM_EXIT_PAUSE] = EXIT_KIND(PAUSE),
	[SVM_EXIT_HLT] = EXIT_KIND(HLT),
	[SVM_EXIT_INVLPG] = EXIT_KIND(INVLPG),
	[SVM_EXIT_INVLPGA] = EXIT_KIND(VIRT_INSN),
	[SVM_EXIT_IOIO] = EXIT_KIND(IO),
	[SVM_EXIT_MSR] = EXIT_KIND(RDMSR), /* or WRMSR, by EXITINFO1 */
	[SVM_EXIT_TASK] = EXIT_KIND(TASK_SWITCH),
	[SVM_EXIT_FERR] = EXIT_KIND(INTR),
	[SVM_EXIT_SHUTDOWN] = EXIT_KIND(TRIPLE_FAULT),
	[SVM_EXIT_VMRUN] = EXIT_KIND(VIRT_INSN),
	[SVM_EXIT_VMMCALL] = EXIT_KIND(HYPERCALL),
	[SVM_EXIT_VMLOAD... SVM_EXIT_SKINIT] = EXIT_KIND(VIRT_INSN),
	[SVM_EXIT_RDTSCP] = EXIT_KIND(RDTSCP),
	[SVM_EXIT_WBINVD] = EXIT_KIND(CACHE),
	[SVM_EXIT_MONITOR... SVM_EXIT_MWAIT_IF] = EXIT_KIND(MONITOR),
	[SVM_EXIT_XSETBV] = EXIT_KIND(XSETBV),
	[SVM_EXIT_RDPRU] = EXIT_KIND(MONITOR), /* hidden likewise: #UD */
	[SVM_EXIT_INVPCID] = EXIT_KIND(SYS_INSN),
};

/* 15.10.2 */
static void exit_io(const struct svm_vmcb *vmcb, struct v3_exit *exit)
{
	uint32_t info = (uint32_t)vmcb->exitinfo1;

	exit->u.io.port = (uint16_t)(info >> 16);
	exit->u.io.size = (uint8_t)SVM_IOIO_SIZE(info);
	exit->u.io.in = info & SVM_IOIO_IN;
	exit->u.io.string = info & SVM_IOIO_STR;
	exit->u.io.rep = info & SVM_IOIO_REP;
	exit->u.io.next_rip = vmcb->exitinfo2;
}

/* 15.8.1, 15.9: the operand is reported only with decode assists. */
static void exit_reg(const struct svm_vcpu *sv, const struct svm_vmcb *vmcb, struct v3_exit *exit)
{
	uint64_t code = vmcb->exitcode;

	exit->u.reg.n = code == SVM_EXIT_CR0_SEL ? 0 : (uint8_t)(code & 15);
	exit->u.reg.write = code >= SVM_EXIT_DR_WRITE && code < SVM_EXIT_EXCEPTION;
	exit->u.reg.gpr = (uint8_t)(vmcb->exitinfo1 & 15);
	exit->u.reg.gpr_valid = sv->svm->decode_assists && code != SVM_EXIT_CR0_SEL &&
				(exit->kind == V3_EXIT_DR_ACCESS || vmcb->exitinfo1 >> 63);
}

static void exit_nested_rare(uint64_t info, struct v3_exit *exit)
{
	if (info & V3_PF_FETCH)
		exit->u.fault.access = V3_ACC_EXEC;
	if (info & V3_PF_RSVD) /* a bit of the entry is reserved */
		exit->kind = V3_EXIT_NESTED_BAD;
}

/* 15.25.6; the low bits are a page-fault error code. */
static void exit_nested_fault(const struct svm_vmcb *vmcb, struct v3_exit *exit)
{
	uint64_t info = vmcb->exitinfo1;
	unsigned i;

	exit->u.fault.gpa = vmcb->exitinfo2;
	exit->u.fault.access = info & V3_PF_WRITE ? V3_ACC_WRITE : V3_ACC_READ;
	exit->u.fault.present = info & V3_PF_PRESENT;
	if (V3_UNLIKELY(info & (V3_PF_FETCH | V3_PF_RSVD)))
		exit_nested_rare(info, exit);
	exit->fetched = vmcb->fetched & 15;
	for (i = 0; i < exit->fetched; i++)
		exit->insn[i] = vmcb->insn[i];
}

/* INT n, INT3, INTO: raised by an instruction that RIP still points to. */
static bool exit_event_is_soft(uint64_t info)
{
	uint8_t vector = (uint8_t)info;

	return SVM_EVENT_GET(info) == SVM_EVENT_SOFT ||
	       (SVM_EVENT_GET(info) == SVM_EVENT_EXCEPTION &&
		(vector == V3_VEC_BP || vector == V3_VEC_OF));
}

/* 15.14.1 */
static void exit_task_switch(const struct svm_vmcb *vmcb, struct v3_exit *exit)
{
	uint64_t info = vmcb->exitinfo2;

	exit->u.task.sel = (uint16_t)vmcb->exitinfo1;
	exit->u.task.source = info & SVM_TASK_IRET		    ? V3_TASK_IRET
			      : info & SVM_TASK_JMP		    ? V3_TASK_JMP
			      : vmcb->exitintinfo & SVM_EVENT_VALID ? V3_TASK_GATE
								    : V3_TASK_CALL;
	exit->u.task.after_insn =
		exit->u.task.source != V3_TASK_GATE || exit_event_is_soft(vmcb->exitintinfo);
	exit->u.task.has_error = info & SVM_TASK_ERROR;
	exit->u.task.error = (uint32_t)info;
}

/*
 * IRET is about to end an NMI handler: the intercept comes before it executes (15.9), but NMIs are unblocked
 * only after it. Step over it by TF; the #DB exit that follows is the window. If IRET faults, the handler of
 * that fault sees TF in its saved flags: the price of hardware without virtual NMIs.
 */
static void exit_iret(struct v3_vcpu *vcpu, struct svm_vcpu *sv)
{
	sv->vmcb->misc1 &= ~SVM_MISC1_IRET;
	sv->dirty |= SVM_CLEAN_INTERCEPTS;
	if (!vcpu->nmi_blocked)
		return; /* armed only to learn when the handler before the NMI is done */
	sv->iret_step = true;
	sv->iret_dr6 = sv->vmcb->dr6;
	sv->iret_tf = vcpu->regs.rflags & V3_RFLAGS_TF;
	vcpu->regs.rflags |= V3_RFLAGS_TF;
}

static void exit_exception(struct v3_vcpu *vcpu, struct svm_vcpu *sv, struct v3_exit *exit)
{
	uint64_t hits;

	exit->u.excp.vector = (uint8_t)(sv->vmcb->exitcode - SVM_EXIT_EXCEPTION);
	exit->u.excp.error = (uint32_t)sv->vmcb->exitinfo1;
	exit->u.excp.addr = sv->vmcb->exitinfo2;
	if (exit->u.excp.vector != V3_VEC_DB || !sv->iret_step)
		return;
	sv->iret_step = false;
	vcpu->nmi_blocked = false;
	if (vcpu->nmi_pending)
		v3_vcpu_request_self(vcpu, V3_REQ_NMI);
	if (sv->iret_tf)
		return; /* the guest steps too: the trap is also its own */
	hits = sv->vmcb->dr6 & ~sv->iret_dr6 & EXIT_DR6_HITS;
	v3_svm_set_dr(vcpu, 6, sv->iret_dr6 | hits);
	if (!hits) /* else IRET's stack is watched: the guest's own trap, too */
		exit->kind = V3_EXIT_NMI_WINDOW;
}

static void exit_details(struct v3_vcpu *vcpu, struct svm_vcpu *sv, const struct svm_vmcb *vmcb,
			 struct v3_exit *exit)
{
	switch (exit->kind) {
	case V3_EXIT_RDMSR:
		if (vmcb->exitinfo1 & 1)
			exit->kind = V3_EXIT_WRMSR;
		break;
	case V3_EXIT_IO:
		exit_io(vmcb, exit);
		break;
	case V3_EXIT_CR_READ:
	case V3_EXIT_CR_WRITE:
	case V3_EXIT_DR_ACCESS:
		exit_reg(sv, vmcb, exit);
		break;
	case V3_EXIT_EXCEPTION:
		exit_exception(vcpu, sv, exit);
		break;
	case V3_EXIT_TASK_SWITCH:
		exit_task_switch(vmcb, exit);
		break;
	case V3_EXIT_INTR:
		exit->u.host_vector = -1; /* STGI has delivered it */
		break;
	case V3_EXIT_INTR_WINDOW:
		sv->vmcb->vintr &= ~SVM_VINTR_IRQ;
		sv->dirty |= SVM_CLEAN_TPR;
		break;
	case V3_EXIT_NMI_WINDOW:
		exit_iret(vcpu, sv);
		break;
	default: /* the kind says it all */
		break;
	}
}

/* 15.7.2: an event whose delivery this exit interrupted. INT n, INT3 and INTO are not kept: RIP is still
 * at the instruction, which simply runs again. */
static void exit_aborted_event(const struct svm_vmcb *vmcb, struct v3_event *ev)
{
	uint64_t info = vmcb->exitintinfo;

	if (exit_event_is_soft(info))
		return;
	switch (SVM_EVENT_GET(info)) {
	case SVM_EVENT_INTR:
		ev->type = V3_EVENT_INTR;
		break;
	case SVM_EVENT_NMI:
		ev->type = V3_EVENT_NMI;
		break;
	case SVM_EVENT_EXCEPTION: /* above 31: QEMU's word for a virtual interrupt */
		ev->type = (uint8_t)info > 31 ? V3_EVENT_INTR : V3_EVENT_EXCEPTION;
		break;
	default:
		return;
	}
	ev->vector = (uint8_t)info;
	ev->has_error = !!(info & SVM_EVENT_ERROR);
	ev->error = (uint32_t)(info >> 32);
	ev->cr2 = vmcb->cr2;
	ev->insn_len = 0;
}

/* Something else came first: the interrupt is still to be delivered. */
static void exit_virq(struct svm_vcpu *sv, struct v3_event *ev)
{
	int vector = v3_svm_end_virq(sv);

	if (vector >= 0)
		*ev = (struct v3_event){.type = V3_EVENT_INTR, .vector = (uint8_t)vector};
}

static enum v3_exit_kind exit_kind(uint64_t code)
{
	if (code < V3_ARRAY_SIZE(exit_kinds) && exit_kinds[code])
		return (enum v3_exit_kind)(exit_kinds[code] - 1);
	if (code == SVM_EXIT_NPF)
		return V3_EXIT_NESTED_FAULT;
	/* VMEXIT_INVALID is -1; QEMU 7.2 stores it in 32 bits (lab.md Q7). */
	if ((uint32_t)code == 0xffffffffu)
		return V3_EXIT_ENTRY_FAILED;
	return V3_EXIT_UNKNOWN;
}

void v3_svm_decode_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;
	const struct svm_vmcb *vmcb = sv->vmcb;
	uint64_t len = 0;

	exit->code = vmcb->exitcode;
	exit->kind = exit_kind(vmcb->exitcode);
	exit->fetched = 0;
	exit->aborted.type = V3_EVENT_NONE;
	if (V3_LIKELY(exit->kind != V3_EXIT_ENTRY_FAILED)) /* it may be what was wrong */
		sv->vmcb->eventinj = 0;
	if (V3_UNLIKELY(sv->virq))
		exit_virq(sv, &exit->aborted);
	if (exit->kind == V3_EXIT_NESTED_FAULT)
		exit_nested_fault(vmcb, exit);
	else
		exit_details(vcpu, sv, vmcb, exit);
	if (V3_UNLIKELY(vmcb->exitintinfo & SVM_EVENT_VALID))
		exit_aborted_event(vmcb, &exit->aborted);

	if (exit->kind == V3_EXIT_IO)
		len = exit->u.io.next_rip - vmcb->rip;
	else if (sv->svm->nrips && vmcb->next_rip)
		len = vmcb->next_rip - vmcb->rip;
	exit->insn_len = len <= 15 ? (uint8_t)len : 0;
}
