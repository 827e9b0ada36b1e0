/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exit.c
 * VMX exit reason -> struct v3_exit: the last place that knows a VMX number.
 * SDM 3C 28.2 (what an exit records), 25.9 (where), appendix C (reasons).
 */
#include "arch/vmx/vmx.h"

#include "exit/exit.h"
#include "host/host.h"
#include "state.h"

#define V3_LOG_TAG "vmx"

/* What the fields of the VMCS say about an exit for this reason. */
#define EXIT_LEN   1 /* the instruction's length */
#define EXIT_EVENT 2 /* it may have come while an event was delivered */

struct exit_reason {
	uint8_t kind; /* plus one: 0 = a reason that cannot happen */
	uint8_t flags;
};

#define EXIT_KIND(sym, flags)                                                                      \
	{                                                                                          \
		V3_EXIT_##sym + 1, flags                                                           \
	}

/* Every basic reason of appendix C, also those of controls that the back end leaves off (caps.c). */
static const struct exit_reason exit_reasons[VMX_EXIT_COUNT] = {
	[VMX_EXIT_EXCEPTION] = EXIT_KIND(EXCEPTION, EXIT_EVENT), /* or an NMI, by the information */
	[VMX_EXIT_EXT_INTR] = EXIT_KIND(INTR, 0),
	[VMX_EXIT_TRIPLE_FAULT] = EXIT_KIND(TRIPLE_FAULT, 0),
	[VMX_EXIT_INIT] = EXIT_KIND(INIT, 0),
	[VMX_EXIT_SIPI] = EXIT_KIND(INIT, 0),
	[VMX_EXIT_IO_SMI] = EXIT_KIND(SMI, 0),
	[VMX_EXIT_SMI] = EXIT_KIND(SMI, 0),
	[VMX_EXIT_INTR_WINDOW] = EXIT_KIND(INTR_WINDOW, 0),
	[VMX_EXIT_NMI_WINDOW] = EXIT_KIND(NMI_WINDOW, 0),
	[VMX_EXIT_TASK_SWITCH] = EXIT_KIND(TASK_SWITCH, EXIT_EVENT),
	[VMX_EXIT_CPUID] = EXIT_KIND(CPUID, EXIT_LEN),
	[VMX_EXIT_GETSEC] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_HLT] = EXIT_KIND(HLT, EXIT_LEN),
	[VMX_EXIT_INVD] = EXIT_KIND(CACHE, EXIT_LEN),
	[VMX_EXIT_INVLPG] = EXIT_KIND(INVLPG, EXIT_LEN),
	[VMX_EXIT_RDPMC] = EXIT_KIND(RDPMC, 0),
	[VMX_EXIT_RDTSC] = EXIT_KIND(RDTSC, EXIT_LEN),
	[VMX_EXIT_RSM] = EXIT_KIND(VIRT_INSN, 0), /* outside SMM: #UD */
	[VMX_EXIT_VMCALL] = EXIT_KIND(HYPERCALL, EXIT_LEN),
	[VMX_EXIT_VMCLEAR... VMX_EXIT_VMXON] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_CR_ACCESS] = EXIT_KIND(CR_WRITE, EXIT_LEN), /* or a read, by the qualification */
	[VMX_EXIT_DR_ACCESS] = EXIT_KIND(DR_ACCESS, EXIT_LEN),
	[VMX_EXIT_IO] = EXIT_KIND(IO, EXIT_LEN),
	[VMX_EXIT_RDMSR] = EXIT_KIND(RDMSR, EXIT_LEN),
	[VMX_EXIT_WRMSR] = EXIT_KIND(WRMSR, EXIT_LEN),
	[VMX_EXIT_BAD_GUEST_STATE] = EXIT_KIND(ENTRY_FAILED, 0),
	[VMX_EXIT_BAD_MSR_LOAD] = EXIT_KIND(ENTRY_FAILED, 0),
	[VMX_EXIT_MWAIT] = EXIT_KIND(MONITOR, 0),
	[VMX_EXIT_MTF] = EXIT_KIND(STEP, 0),
	[VMX_EXIT_MONITOR] = EXIT_KIND(MONITOR, 0),
	[VMX_EXIT_PAUSE] = EXIT_KIND(PAUSE, EXIT_LEN),
	[VMX_EXIT_ENTRY_MCE] = EXIT_KIND(ENTRY_FAILED, 0),
	[VMX_EXIT_EPT_VIOLATION] = EXIT_KIND(NESTED_FAULT, EXIT_EVENT),
	[VMX_EXIT_GDTR_IDTR... VMX_EXIT_LDTR_TR] = EXIT_KIND(SYS_INSN, EXIT_LEN),
	[VMX_EXIT_EPT_MISCONFIG] = EXIT_KIND(NESTED_BAD, EXIT_EVENT),
	[VMX_EXIT_INVEPT] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_RDTSCP] = EXIT_KIND(RDTSCP, EXIT_LEN),
	[VMX_EXIT_PREEMPTION_TIMER] = EXIT_KIND(TIMER, 0),
	[VMX_EXIT_INVVPID] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_WBINVD] = EXIT_KIND(CACHE, EXIT_LEN),
	[VMX_EXIT_XSETBV] = EXIT_KIND(XSETBV, EXIT_LEN),
	[VMX_EXIT_RDRAND] = EXIT_KIND(SYS_INSN, EXIT_LEN),
	[VMX_EXIT_INVPCID] = EXIT_KIND(SYS_INSN, EXIT_LEN),
	[VMX_EXIT_RDSEED] = EXIT_KIND(SYS_INSN, EXIT_LEN),
	[VMX_EXIT_VMFUNC] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_ENCLS] = EXIT_KIND(VIRT_INSN, 0), /* and others that the guest is not offered */
	[VMX_EXIT_PML_FULL] = EXIT_KIND(DIRTY_LOG, EXIT_EVENT),
	[VMX_EXIT_XSAVES] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_XRSTORS] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_PCONFIG] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_SPP] = EXIT_KIND(NESTED_BAD, EXIT_EVENT), /* no such tables are used */
	[VMX_EXIT_UMWAIT] = EXIT_KIND(MONITOR, 0),
	[VMX_EXIT_TPAUSE] = EXIT_KIND(MONITOR, 0),
	[VMX_EXIT_LOADIWKEY] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_ENCLV] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_ENQCMD] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_ENQCMDS] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_BUS_LOCK] = EXIT_KIND(BUS_LOCK, 0),
	[VMX_EXIT_INSN_TIMEOUT] = EXIT_KIND(STALLED, EXIT_EVENT),
	[VMX_EXIT_SEAMCALL] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_TDCALL] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_RDMSRLIST] = EXIT_KIND(VIRT_INSN, 0),
	[VMX_EXIT_WRMSRLIST] = EXIT_KIND(VIRT_INSN, 0),
};

/* The VMCS is current: plain reads. */
static uint64_t exit_qualification(void)
{
	return vmx_read(VMCS_EXIT_QUALIFICATION);
}

static void exit_io(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	uint64_t qual = exit_qualification();

	exit->u.io.port = (uint16_t)VMX_QUAL_IO_PORT(qual);
	exit->u.io.size = (uint8_t)VMX_QUAL_IO_SIZE(qual);
	exit->u.io.in = qual & VMX_QUAL_IO_IN;
	exit->u.io.string = qual & VMX_QUAL_IO_STRING;
	exit->u.io.rep = qual & VMX_QUAL_IO_REP;
	exit->u.io.next_rip = vcpu->regs.rip + exit->insn_len;
}

/* CLTS and LMSW are left to the decoder. */
static void exit_cr(struct v3_exit *exit)
{
	uint64_t qual = exit_qualification();
	unsigned type = VMX_QUAL_CR_TYPE(qual);

	if (type == VMX_QUAL_CR_FROM)
		exit->kind = V3_EXIT_CR_READ;
	exit->u.reg.n = (uint8_t)VMX_QUAL_CR_N(qual);
	exit->u.reg.write = false;
	exit->u.reg.gpr = (uint8_t)VMX_QUAL_CR_GPR(qual);
	exit->u.reg.gpr_valid = type <= VMX_QUAL_CR_FROM;
}

static void exit_dr(struct v3_exit *exit)
{
	uint64_t qual = exit_qualification();

	exit->u.reg.n = (uint8_t)VMX_QUAL_DR_N(qual);
	exit->u.reg.write = !(qual & VMX_QUAL_DR_FROM);
	exit->u.reg.gpr = (uint8_t)VMX_QUAL_DR_GPR(qual);
	exit->u.reg.gpr_valid = true;
}

/* An IRET has unblocked NMIs and then faulted: the handler is not done yet; 28.2.3. */
static void exit_block_nmi_again(struct v3_vcpu *vcpu, struct vmx_vcpu *vv)
{
	v3_vmx_set(vv, VMX_BLOCKING, v3_vmx_get(vv, VMX_BLOCKING) | VMX_BLOCK_NMI);
	vcpu->nmi_blocked = true;
}

/* 28.2.1, table 28-7 */
static void exit_nested_fault(struct v3_vcpu *vcpu, struct vmx_vcpu *vv, struct v3_exit *exit)
{
	uint64_t qual = exit_qualification();

	exit->u.fault.gpa = vmx_read(VMCS_GUEST_PHYS_ADDR);
	exit->u.fault.access = qual & VMX_QUAL_EPT_FETCH   ? V3_ACC_EXEC
			       : qual & VMX_QUAL_EPT_WRITE ? V3_ACC_WRITE
							   : V3_ACC_READ;
	exit->u.fault.present =
		qual & (VMX_QUAL_EPT_READABLE | VMX_QUAL_EPT_WRITABLE | VMX_QUAL_EPT_EXECUTABLE);
	if ((qual & VMX_QUAL_EPT_NMI_UNBLOCKED) && exit->aborted.type == V3_EVENT_NONE)
		exit_block_nmi_again(vcpu, vv);
}

/* 28.2.1: an access that would set a dirty bit has found the log full, and comes again. */
static void exit_log_full(struct v3_vcpu *vcpu, struct vmx_vcpu *vv, const struct v3_exit *exit)
{
	v3_vmx_pml_rewind();
	if ((exit_qualification() & VMX_QUAL_EPT_NMI_UNBLOCKED) &&
	    exit->aborted.type == V3_EVENT_NONE)
		exit_block_nmi_again(vcpu, vv);
}

/* 26.2, "instruction timeout" */
static void exit_stalled(struct v3_vcpu *vcpu, struct vmx_vcpu *vv, struct v3_exit *exit)
{
	uint64_t qual = exit_qualification();

	exit->u.context_lost = qual & VMX_QUAL_STALLED_LOST;
	if ((qual & VMX_QUAL_STALLED_NMI_UNBLOCKED) && exit->aborted.type == V3_EVENT_NONE)
		exit_block_nmi_again(vcpu, vv);
}

/* An exit for #DB leaves DR6 alone: the qualification has what it would have become. INT1 exits in front of
 * itself, unlike the trap it is. */
static void exit_debug(struct v3_vcpu *vcpu, struct vmx_vcpu *vv, uint32_t info)
{
	uint64_t qual = exit_qualification();

	vv->dr6 = (vv->dr6 & ~VMX_DEBUG_HITS) |
		  (qual & (VMX_DEBUG_HITS | VMX_DEBUG_BD | VMX_DEBUG_BS));
	if (VMX_INTR_GET_TYPE(info) == VMX_INTR_PRIV_EXCEPTION)
		vcpu->regs.rip += vmx_read(VMCS_EXIT_INSN_LEN);
}

static void exit_exception(struct v3_vcpu *vcpu, struct vmx_vcpu *vv, struct v3_exit *exit)
{
	uint32_t info = (uint32_t)vmx_read(VMCS_EXIT_INTR_INFO);
	uint8_t vector = (uint8_t)VMX_INTR_VECTOR(info);

	if (VMX_INTR_GET_TYPE(info) == VMX_INTR_NMI) {
		exit->kind = V3_EXIT_NMI;
		vmx_raise_nmi();
		return;
	}
	exit->u.excp.vector = vector;
	exit->u.excp.error = info & VMX_INTR_ERROR ? (uint32_t)vmx_read(VMCS_EXIT_INTR_ERROR) : 0;
	exit->u.excp.addr = vector == V3_VEC_PF ? exit_qualification() : 0;
	if (vector == V3_VEC_DB)
		exit_debug(vcpu, vv, info);
	if ((info & VMX_INTR_NMI_UNBLOCKED) && vector != V3_VEC_DF &&
	    exit->aborted.type == V3_EVENT_NONE)
		exit_block_nmi_again(vcpu, vv);
}

static bool exit_event_is_soft(uint32_t info)
{
	unsigned type = VMX_INTR_GET_TYPE(info);

	return type >= VMX_INTR_SOFT_INTR && type <= VMX_INTR_SOFT_EXCEPTION;
}

/* 26.4.2; the switch itself ends or begins what IRET and an NMI's delivery would have. */
static void exit_task_switch(struct v3_vcpu *vcpu, struct vmx_vcpu *vv, uint32_t vectoring,
			     struct v3_exit *exit)
{
	static const uint8_t sources[4] = {V3_TASK_CALL, V3_TASK_IRET, V3_TASK_JMP, V3_TASK_GATE};
	uint64_t qual = exit_qualification();

	exit->u.task.sel = (uint16_t)VMX_QUAL_TASK_SEL(qual);
	exit->u.task.source = sources[VMX_QUAL_TASK_SOURCE(qual)];
	exit->u.task.after_insn =
		exit->u.task.source != V3_TASK_GATE || exit_event_is_soft(vectoring);
	exit->u.task.has_error = vectoring & VMX_INTR_ERROR;
	exit->u.task.error =
		exit->u.task.has_error ? (uint32_t)vmx_read(VMCS_IDT_VECTORING_ERROR) : 0;
	if (exit->u.task.source == V3_TASK_IRET) {
		v3_vmx_set(vv, VMX_BLOCKING,
			   v3_vmx_get(vv, VMX_BLOCKING) & ~(uint64_t)VMX_BLOCK_NMI);
		vcpu->nmi_blocked = false;
		if (vcpu->nmi_pending)
			v3_vcpu_request_self(vcpu, V3_REQ_NMI);
	}
}

/* 28.2.4: an event whose delivery this exit interrupted. INT n, INT1, INT3 and INTO are not kept: RIP is still
 * at the instruction, which simply runs again. */
static void exit_aborted_event(struct v3_vcpu *vcpu, uint32_t info, struct v3_event *ev)
{
	switch (VMX_INTR_GET_TYPE(info)) {
	case VMX_INTR_EXTERNAL:
		ev->type = V3_EVENT_INTR;
		break;
	case VMX_INTR_NMI:
		ev->type = V3_EVENT_NMI;
		break;
	case VMX_INTR_EXCEPTION:
		ev->type = V3_EVENT_EXCEPTION;
		break;
	default:
		return;
	}
	ev->vector = (uint8_t)VMX_INTR_VECTOR(info);
	ev->has_error = !!(info & VMX_INTR_ERROR);
	ev->error = ev->has_error ? (uint32_t)vmx_read(VMCS_IDT_VECTORING_ERROR) : 0;
	ev->cr2 = vcpu->cr2;
	ev->insn_len = 0;
}

static void exit_close_window(struct vmx_vcpu *vv, uint32_t window)
{
	v3_vmx_set(vv, VMX_PROC, vv->value[VMX_PROC] & ~(uint64_t)window);
}

static void exit_details(struct v3_vcpu *vcpu, struct vmx_vcpu *vv, uint32_t vectoring,
			 struct v3_exit *exit)
{
	switch (exit->kind) {
	case V3_EXIT_IO:
		exit_io(vcpu, exit);
		break;
	case V3_EXIT_CR_WRITE:
		exit_cr(exit);
		break;
	case V3_EXIT_DR_ACCESS:
		exit_dr(exit);
		break;
	case V3_EXIT_EXCEPTION:
		exit_exception(vcpu, vv, exit);
		break;
	case V3_EXIT_NESTED_FAULT:
		exit_nested_fault(vcpu, vv, exit);
		break;
	case V3_EXIT_DIRTY_LOG:
		exit_log_full(vcpu, vv, exit);
		break;
	case V3_EXIT_NESTED_BAD:
		exit->u.fault.gpa = vmx_read(VMCS_GUEST_PHYS_ADDR);
		exit->u.fault.access = 0; /* not told */
		exit->u.fault.present = true;
		break;
	case V3_EXIT_STALLED:
		exit_stalled(vcpu, vv, exit);
		break;
	case V3_EXIT_TASK_SWITCH:
		exit_task_switch(vcpu, vv, vectoring, exit);
		break;
	case V3_EXIT_INTR: /* acknowledged by the exit: the host gets it by number */
		exit->u.host_vector = (int)VMX_INTR_VECTOR(vmx_read(VMCS_EXIT_INTR_INFO));
		break;
	case V3_EXIT_INTR_WINDOW:
		exit_close_window(vv, VMX_PROC_INTR_WINDOW);
		break;
	case V3_EXIT_NMI_WINDOW:
		exit_close_window(vv, VMX_PROC_NMI_WINDOW);
		break;
	default: /* the kind says it all */
		break;
	}
}

void v3_vmx_decode_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	static const struct exit_reason none = EXIT_KIND(UNKNOWN, 0);
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	uint32_t reason = (uint32_t)vmx_read(VMCS_EXIT_REASON), basic = VMX_REASON_BASIC(reason);
	const struct exit_reason *r = &none;
	uint32_t vectoring = 0;

	if (basic < VMX_EXIT_COUNT && exit_reasons[basic].kind)
		r = &exit_reasons[basic];
	exit->code = reason;
	exit->kind = (enum v3_exit_kind)(r->kind - 1);
	exit->fetched = 0;
	exit->insn_len = r->flags & EXIT_LEN ? (uint8_t)vmx_read(VMCS_EXIT_INSN_LEN) : 0;
	exit->aborted.type = V3_EVENT_NONE;
	vv->value[VMX_INJECT] = 0; /* the CPU has cleared it */
	if (r->flags & EXIT_EVENT)
		vectoring = (uint32_t)vmx_read(VMCS_IDT_VECTORING_INFO);
	if (V3_UNLIKELY(vectoring & VMX_INTR_VALID))
		exit_aborted_event(vcpu, vectoring, &exit->aborted);
	else
		vectoring = 0;
	exit_details(vcpu, vv, vectoring, exit);
}

void v3_vmx_decode_failure(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	uint32_t error = (uint32_t)vmx_read(VMCS_INSN_ERROR);

	V3_ERR(vcpu->vm, "VM entry refused: VM-instruction error %u", error);
	exit->code = error;
	exit->kind = V3_EXIT_ENTRY_FAILED;
	exit->fetched = exit->insn_len = 0;
	exit->aborted.type = V3_EVENT_NONE;
}
