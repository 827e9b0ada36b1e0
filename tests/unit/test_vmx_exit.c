/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vmx_exit.c
 * VMX back end, from exit reason to struct v3_exit: every basic reason, and the details of those that have any.
 * SDM 3C 28.2, appendix C.
 */
#include "fake_vm.h"
#include "palacios/util/str.h"
#include "tap.h"
#include "vmx_rig.h"

#define INFO(type, vector) (VMX_INTR_VALID | VMX_INTR_TYPE(type) | (vector))

/* By reason; those not named are undefined, or of APIC virtualization and page-modification logging. */
static const struct {
	uint8_t reason, kind;
	bool len;
} reasons[] = {
	{VMX_EXIT_EXT_INTR, V3_EXIT_INTR, false},
	{VMX_EXIT_TRIPLE_FAULT, V3_EXIT_TRIPLE_FAULT, false},
	{VMX_EXIT_INIT, V3_EXIT_INIT, false},
	{VMX_EXIT_SIPI, V3_EXIT_INIT, false},
	{VMX_EXIT_IO_SMI, V3_EXIT_SMI, false},
	{VMX_EXIT_SMI, V3_EXIT_SMI, false},
	{VMX_EXIT_INTR_WINDOW, V3_EXIT_INTR_WINDOW, false},
	{VMX_EXIT_NMI_WINDOW, V3_EXIT_NMI_WINDOW, false},
	{VMX_EXIT_TASK_SWITCH, V3_EXIT_TASK_SWITCH, false},
	{VMX_EXIT_CPUID, V3_EXIT_CPUID, true},
	{VMX_EXIT_GETSEC, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_HLT, V3_EXIT_HLT, true},
	{VMX_EXIT_INVD, V3_EXIT_CACHE, true},
	{VMX_EXIT_INVLPG, V3_EXIT_INVLPG, true},
	{VMX_EXIT_RDPMC, V3_EXIT_RDPMC, false},
	{VMX_EXIT_RDTSC, V3_EXIT_RDTSC, true},
	{VMX_EXIT_RSM, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_VMCALL, V3_EXIT_HYPERCALL, true},
	{VMX_EXIT_VMCLEAR, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_VMLAUNCH, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_VMPTRLD, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_VMPTRST, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_VMREAD, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_VMRESUME, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_VMWRITE, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_VMXOFF, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_VMXON, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_CR_ACCESS, V3_EXIT_CR_WRITE, true},
	{VMX_EXIT_DR_ACCESS, V3_EXIT_DR_ACCESS, true},
	{VMX_EXIT_IO, V3_EXIT_IO, true},
	{VMX_EXIT_RDMSR, V3_EXIT_RDMSR, true},
	{VMX_EXIT_WRMSR, V3_EXIT_WRMSR, true},
	{VMX_EXIT_BAD_GUEST_STATE, V3_EXIT_ENTRY_FAILED, false},
	{VMX_EXIT_BAD_MSR_LOAD, V3_EXIT_ENTRY_FAILED, false},
	{VMX_EXIT_MWAIT, V3_EXIT_MONITOR, false},
	{VMX_EXIT_MTF, V3_EXIT_STEP, false},
	{VMX_EXIT_MONITOR, V3_EXIT_MONITOR, false},
	{VMX_EXIT_PAUSE, V3_EXIT_PAUSE, true},
	{VMX_EXIT_ENTRY_MCE, V3_EXIT_ENTRY_FAILED, false},
	{VMX_EXIT_EPT_VIOLATION, V3_EXIT_NESTED_FAULT, false},
	{VMX_EXIT_GDTR_IDTR, V3_EXIT_SYS_INSN, true},
	{VMX_EXIT_LDTR_TR, V3_EXIT_SYS_INSN, true},
	{VMX_EXIT_EPT_MISCONFIG, V3_EXIT_NESTED_BAD, false},
	{VMX_EXIT_INVEPT, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_RDTSCP, V3_EXIT_RDTSCP, true},
	{VMX_EXIT_PREEMPTION_TIMER, V3_EXIT_TIMER, false},
	{VMX_EXIT_INVVPID, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_WBINVD, V3_EXIT_CACHE, true},
	{VMX_EXIT_XSETBV, V3_EXIT_XSETBV, true},
	{VMX_EXIT_RDRAND, V3_EXIT_SYS_INSN, true},
	{VMX_EXIT_INVPCID, V3_EXIT_SYS_INSN, true},
	{VMX_EXIT_RDSEED, V3_EXIT_SYS_INSN, true},
	{VMX_EXIT_VMFUNC, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_ENCLS, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_PML_FULL, V3_EXIT_DIRTY_LOG, false},
	{VMX_EXIT_XSAVES, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_XRSTORS, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_PCONFIG, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_SPP, V3_EXIT_NESTED_BAD, false},
	{VMX_EXIT_UMWAIT, V3_EXIT_MONITOR, false},
	{VMX_EXIT_TPAUSE, V3_EXIT_MONITOR, false},
	{VMX_EXIT_LOADIWKEY, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_ENCLV, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_ENQCMD, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_ENQCMDS, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_BUS_LOCK, V3_EXIT_BUS_LOCK, false},
	{VMX_EXIT_INSN_TIMEOUT, V3_EXIT_STALLED, false},
	{VMX_EXIT_SEAMCALL, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_TDCALL, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_RDMSRLIST, V3_EXIT_VIRT_INSN, false},
	{VMX_EXIT_WRMSRLIST, V3_EXIT_VIRT_INSN, false},
};

static void test_vmx_exit_reasons(void)
{
	uint8_t kind[256], len[256];

	REQUIRE(vrig_init());
	memset(kind, V3_EXIT_UNKNOWN, sizeof(kind));
	memset(len, 0, sizeof(len));
	kind[VMX_EXIT_EXCEPTION] = V3_EXIT_EXCEPTION;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(reasons); i++) {
		kind[reasons[i].reason] = reasons[i].kind;
		len[reasons[i].reason] = reasons[i].len ? 7 : 0;
	}
	vrig.len = 7;
	vrig.info = INFO(VMX_INTR_EXCEPTION, V3_VEC_DB);
	for (unsigned reason = 0; reason < 256; reason++) {
		struct v3_exit exit = vrig_exit(reason, 0);

		CHECK_MSG(exit.kind == kind[reason], "reason %u: kind %u, expected %u", reason,
			  exit.kind, kind[reason]);
		CHECK_MSG(exit.insn_len == len[reason], "reason %u: length %u", reason,
			  exit.insn_len);
		CHECK_EQ(exit.code, reason);
		CHECK_EQ(exit.fetched, 0);
		CHECK_EQ(exit.aborted.type, V3_EVENT_NONE);
	}
}

static void test_vmx_exit_failed_entry(void)
{
	struct v3_exit exit;

	REQUIRE(vrig_init());
	exit = vrig_exit(VMX_EXIT_BAD_GUEST_STATE | VMX_REASON_ENTRY_FAILED, 0);
	CHECK_EQ(exit.kind, V3_EXIT_ENTRY_FAILED);
	CHECK_EQ(exit.code, 0x80000021);
}

static void test_vmx_exit_ept_misconfiguration_has_its_address(void)
{
	struct v3_exit exit;

	REQUIRE(vrig_init());
	vrig.gpa = 0x123000;
	exit = vrig_exit(VMX_EXIT_EPT_MISCONFIG, 0x1aa); /* it has no qualification */
	CHECK_EQ(exit.u.fault.gpa, 0x123000);
	CHECK_EQ(exit.u.fault.access, 0);
}

/* The time-out may hit an IRET that has unblocked NMIs. */
static void test_vmx_exit_stalled(void)
{
	struct v3_vcpu *vcpu = &vrig.vcpu[0];

	REQUIRE(vrig_init());
	CHECK(!vrig_exit(VMX_EXIT_INSN_TIMEOUT, 0).u.context_lost);
	CHECK(!vcpu->nmi_blocked);
	CHECK(vrig_exit(VMX_EXIT_INSN_TIMEOUT, 1).u.context_lost);
	CHECK(!vrig_exit(VMX_EXIT_INSN_TIMEOUT, 0x1000).u.context_lost);
	CHECK(vcpu->nmi_blocked);
	vrig.vectoring = INFO(VMX_INTR_NMI, 2);
	CHECK_EQ(vrig_exit(VMX_EXIT_INSN_TIMEOUT, 0).aborted.type, V3_EVENT_NMI);
}

/* The exit has acknowledged it: nobody else knows the number. */
static void test_vmx_exit_host_interrupt_is_handed_on(void)
{
	REQUIRE(vrig_init());
	vrig.info = INFO(VMX_INTR_EXTERNAL, 0xef);
	CHECK_EQ(vrig_exit(VMX_EXIT_EXT_INTR, 0).u.host_vector, 0xef);
	vrig.info = INFO(VMX_INTR_EXTERNAL, 0x20);
	CHECK_EQ(vrig_exit(VMX_EXIT_EXT_INTR, 0).u.host_vector, 0x20);
}

static void test_vmx_exit_host_nmi_is_raised_again(void)
{
	REQUIRE(vrig_init());
	vrig.info = INFO(VMX_INTR_NMI, 2);
	CHECK_EQ(vrig_exit(VMX_EXIT_EXCEPTION, 0).kind, V3_EXIT_NMI);
	CHECK_EQ(vrig_machine.nmis, 1);
}

static const struct {
	uint64_t qual;
	uint16_t port;
	uint8_t size;
	bool in, string, rep;
} io_cases[] = {
	{0x00430000, 0x43, 1, false, false, false},
	{0x0060000a & ~2u, 0x60, 1, true, false, false},
	{0xcf80000b, 0xcf80, 4, true, false, false},
	{0x01f00039, 0x1f0, 2, true, true, true},
	{0x00e90010, 0xe9, 1, false, true, false},
	{0x00700040, 0x70, 1, false, false, false}, /* immediate operand */
};

static void test_vmx_exit_io(void)
{
	REQUIRE(vrig_init());
	vrig.len = 2;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(io_cases); i++) {
		struct v3_exit exit = vrig_exit(VMX_EXIT_IO, io_cases[i].qual);

		CHECK_EQ(exit.u.io.port, io_cases[i].port);
		CHECK_EQ(exit.u.io.size, io_cases[i].size);
		CHECK_EQ(exit.u.io.in, io_cases[i].in);
		CHECK_EQ(exit.u.io.string, io_cases[i].string);
		CHECK_EQ(exit.u.io.rep, io_cases[i].rep);
		CHECK_EQ(exit.u.io.next_rip, vrig.vcpu[0].regs.rip + 2);
	}
}

static const struct {
	uint64_t qual;
	uint8_t kind, n, gpr;
	bool valid;
} cr_cases[] = {
	{0x000, V3_EXIT_CR_WRITE, 0, V3_RAX, true},    {0x304, V3_EXIT_CR_WRITE, 4, V3_RBX, true},
	{0xf08, V3_EXIT_CR_WRITE, 8, V3_R15, true},    {0xc18, V3_EXIT_CR_READ, 8, V3_R12, true},
	{0x020, V3_EXIT_CR_WRITE, 0, V3_RAX, false},   /* CLTS */
	{0x30030, V3_EXIT_CR_WRITE, 0, V3_RAX, false}, /* LMSW */
};

static void test_vmx_exit_cr(void)
{
	REQUIRE(vrig_init());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cr_cases); i++) {
		struct v3_exit exit = vrig_exit(VMX_EXIT_CR_ACCESS, cr_cases[i].qual);

		CHECK_EQ(exit.kind, cr_cases[i].kind);
		CHECK_EQ(exit.u.reg.n, cr_cases[i].n);
		CHECK_EQ(exit.u.reg.gpr_valid, cr_cases[i].valid);
		CHECK_EQ(exit.u.reg.gpr, cr_cases[i].gpr);
	}
}

static void test_vmx_exit_dr(void)
{
	struct v3_exit exit;

	REQUIRE(vrig_init());
	exit = vrig_exit(VMX_EXIT_DR_ACCESS, 0xd07);
	CHECK(exit.u.reg.n == 7 && exit.u.reg.gpr == V3_R13 && exit.u.reg.write);
	exit = vrig_exit(VMX_EXIT_DR_ACCESS, 0x216);
	CHECK(exit.u.reg.n == 6 && exit.u.reg.gpr == V3_RDX && !exit.u.reg.write);
	CHECK(exit.u.reg.gpr_valid);
}

static const struct {
	uint64_t qual;
	uint8_t access;
	bool present;
} ept_cases[] = {
	{0x181, V3_ACC_READ, false}, {0x182, V3_ACC_WRITE, false}, {0x184, V3_ACC_EXEC, false},
	{0x1aa, V3_ACC_WRITE, true}, {0x1bc, V3_ACC_EXEC, true},   {0x083, V3_ACC_WRITE, false},
	{0x08a, V3_ACC_WRITE, true}, /* an accessed bit in a write-protected table */
};

static void test_vmx_exit_nested_fault(void)
{
	REQUIRE(vrig_init());
	vrig.gpa = 0xfee00080;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(ept_cases); i++) {
		struct v3_exit exit = vrig_exit(VMX_EXIT_EPT_VIOLATION, ept_cases[i].qual);

		CHECK_EQ(exit.kind, V3_EXIT_NESTED_FAULT);
		CHECK_EQ(exit.u.fault.gpa, 0xfee00080);
		CHECK_MSG(exit.u.fault.access == ept_cases[i].access &&
				  exit.u.fault.present == ept_cases[i].present,
			  "qualification %#llx: access %u present %d",
			  (unsigned long long)ept_cases[i].qual, exit.u.fault.access,
			  exit.u.fault.present);
	}
}

static void test_vmx_exit_exceptions(void)
{
	struct v3_exit exit;

	REQUIRE(vrig_init());
	vrig.info = INFO(VMX_INTR_EXCEPTION, V3_VEC_PF) | VMX_INTR_ERROR;
	vrig.error = 6;
	exit = vrig_exit(VMX_EXIT_EXCEPTION, 0xdead0000);
	CHECK(exit.kind == V3_EXIT_EXCEPTION && exit.u.excp.vector == V3_VEC_PF);
	CHECK(exit.u.excp.error == 6 && exit.u.excp.addr == 0xdead0000);
	vrig.info = INFO(VMX_INTR_EXCEPTION, V3_VEC_UD);
	exit = vrig_exit(VMX_EXIT_EXCEPTION, 0);
	CHECK(exit.u.excp.vector == V3_VEC_UD && exit.u.excp.error == 0);
}

/* DR6 is not written by the exit; hits replace older hits, BS and BD add up. 28.2.1. */
static void test_vmx_exit_debug_updates_dr6(void)
{
	REQUIRE(vrig_init());
	vrig.info = INFO(VMX_INTR_EXCEPTION, V3_VEC_DB);
	vrig.ops->set_dr(&vrig.vcpu[0], 6, 0xffff0ff4);
	vrig_exit(VMX_EXIT_EXCEPTION, VMX_DEBUG_BS | 1);
	CHECK_EQ(vrig.ops->get_dr(&vrig.vcpu[0], 6), 0xffff4ff1);
	vrig_exit(VMX_EXIT_EXCEPTION, VMX_DEBUG_ENABLED_BP | 2);
	CHECK_EQ(vrig.ops->get_dr(&vrig.vcpu[0], 6), 0xffff4ff2);
}

/* INT1 exits in front of itself; its #DB is a trap. */
static void test_vmx_exit_int1_is_behind_itself(void)
{
	REQUIRE(vrig_init());
	vrig.info = INFO(VMX_INTR_PRIV_EXCEPTION, V3_VEC_DB);
	vrig.vcpu[0].regs.rip = 0x1000;
	vrig.len = 1;
	vrig_exit(VMX_EXIT_EXCEPTION, 0);
	CHECK_EQ(vrig.vcpu[0].regs.rip, 0x1001);
}

static const struct {
	const char *name;
	uint32_t source, vectoring;
	uint8_t expected;
	bool after_insn, has_error;
} task_cases[] = {
	{"CALL", 0, 0, V3_TASK_CALL, true, false},
	{"IRET", 1, 0, V3_TASK_IRET, true, false},
	{"JMP", 2, 0, V3_TASK_JMP, true, false},
	{"gate, interrupt", 3, INFO(VMX_INTR_EXTERNAL, 0x30), V3_TASK_GATE, false, false},
	{"gate, NMI", 3, INFO(VMX_INTR_NMI, 2), V3_TASK_GATE, false, false},
	{"gate, #DF", 3, INFO(VMX_INTR_EXCEPTION, V3_VEC_DF) | VMX_INTR_ERROR, V3_TASK_GATE, false,
	 true},
	{"gate, INT n", 3, INFO(VMX_INTR_SOFT_INTR, 0x80), V3_TASK_GATE, true, false},
	{"gate, INT1", 3, INFO(VMX_INTR_PRIV_EXCEPTION, V3_VEC_DB), V3_TASK_GATE, true, false},
	{"gate, INT3", 3, INFO(VMX_INTR_SOFT_EXCEPTION, V3_VEC_BP), V3_TASK_GATE, true, false},
};

static void test_vmx_exit_task_switch(void)
{
	REQUIRE(vrig_init());
	vrig.vectoring_error = 0x77;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(task_cases); i++) {
		struct v3_exit exit;

		vrig.vectoring = task_cases[i].vectoring;
		exit = vrig_exit(VMX_EXIT_TASK_SWITCH, 0x28 | (uint64_t)task_cases[i].source << 30);
		CHECK_EQ(exit.u.task.sel, 0x28);
		CHECK_MSG(exit.u.task.source == task_cases[i].expected &&
				  exit.u.task.after_insn == task_cases[i].after_insn &&
				  exit.u.task.has_error == task_cases[i].has_error,
			  "%s: source %u after_insn %d has_error %d", task_cases[i].name,
			  exit.u.task.source, exit.u.task.after_insn, exit.u.task.has_error);
		CHECK_EQ(exit.u.task.error, task_cases[i].has_error ? 0x77 : 0);
	}
}

static const struct {
	const char *name;
	uint32_t info;
	uint8_t type, vector, has_error;
} abort_cases[] = {
	{"none", 0, V3_EVENT_NONE, 0, 0},
	{"not valid", VMX_INTR_TYPE(VMX_INTR_EXCEPTION) | 14, V3_EVENT_NONE, 0, 0},
	{"interrupt", INFO(VMX_INTR_EXTERNAL, 0xff), V3_EVENT_INTR, 0xff, 0},
	{"NMI", INFO(VMX_INTR_NMI, 2), V3_EVENT_NMI, 2, 0},
	{"#PF", INFO(VMX_INTR_EXCEPTION, V3_VEC_PF) | VMX_INTR_ERROR, V3_EVENT_EXCEPTION, V3_VEC_PF,
	 1},
	{"#UD", INFO(VMX_INTR_EXCEPTION, V3_VEC_UD), V3_EVENT_EXCEPTION, V3_VEC_UD, 0},
	/* RIP is still at the instruction: it runs again */
	{"INT n", INFO(VMX_INTR_SOFT_INTR, 0x80), V3_EVENT_NONE, 0, 0},
	{"INT1", INFO(VMX_INTR_PRIV_EXCEPTION, V3_VEC_DB), V3_EVENT_NONE, 0, 0},
	{"INT3", INFO(VMX_INTR_SOFT_EXCEPTION, V3_VEC_BP), V3_EVENT_NONE, 0, 0},
};

static void test_vmx_exit_aborted_events(void)
{
	REQUIRE(vrig_init());
	vrig.vectoring_error = 5;
	vrig.vcpu[0].cr2 = 0xabc000;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(abort_cases); i++) {
		struct v3_exit exit;

		vrig.vectoring = abort_cases[i].info;
		exit = vrig_exit(VMX_EXIT_EPT_VIOLATION, 0x181);
		CHECK_MSG(exit.aborted.type == abort_cases[i].type, "%s: type %u",
			  abort_cases[i].name, exit.aborted.type);
		if (abort_cases[i].type == V3_EVENT_NONE)
			continue;
		CHECK_EQ(exit.aborted.vector, abort_cases[i].vector);
		CHECK_EQ(exit.aborted.has_error, abort_cases[i].has_error);
		CHECK_EQ(exit.aborted.error, abort_cases[i].has_error ? 5 : 0);
		CHECK_EQ(exit.aborted.cr2, 0xabc000);
	}
}

static void guest_changes_registers(struct v3_vcpu *vcpu, struct vrig_vmcs *vmcs)
{
	(void)vcpu;
	*vrig_field(vmcs, VMCS_GUEST_RSP) = 0x2222;
	*vrig_field(vmcs, VMCS_GUEST_RIP) = 0x3333;
	*vrig_field(vmcs, VMCS_GUEST_RFLAGS) = 0x246;
	*vrig_field(vmcs, VMCS_GUEST_CR0) |= V3_CR0_TS;
	*vrig_field(vmcs, VMCS_GUEST_CR3) = 0x5000;
	*vrig_field(vmcs, VMCS_GUEST_SEL(V3_CS)) = 0x33;
	*vrig_field(vmcs, VMCS_GUEST_BASE(V3_CS)) = 0x70000;
	*vrig_field(vmcs, VMCS_GUEST_RIGHTS(V3_CS)) = 0x40fb;
	*vrig_field(vmcs, VMCS_GUEST_RIGHTS(V3_SS)) = 0x40f3;
	*vrig_field(vmcs, VMCS_GUEST_INTERRUPTIBILITY) = VMX_BLOCK_NMI;
}

static void test_vmx_exit_refreshes_neutral_registers(void)
{
	struct v3_vcpu *vcpu = &vrig.vcpu[0];

	REQUIRE(vrig_init());
	vcpu->regs.rip = 0xcccc;
	vcpu->regs.gpr[V3_RSP] = 0xbbbb;
	vcpu->regs.rflags = 0x202;
	vrig.guest = guest_changes_registers;
	vrig_exit(VMX_EXIT_HLT, 0);
	CHECK_EQ(vrig_entered(VMCS_GUEST_RIP), 0xcccc);
	CHECK_EQ(vrig_entered(VMCS_GUEST_RSP), 0xbbbb);
	CHECK_EQ(vrig_entered(VMCS_GUEST_RFLAGS), 0x202);
	CHECK_EQ(vcpu->regs.gpr[V3_RSP], 0x2222);
	CHECK_EQ(vcpu->regs.rip, 0x3333);
	CHECK_EQ(vcpu->regs.rflags, 0x246);
	CHECK_EQ(vcpu->cr3, 0x5000);
	CHECK_EQ(vcpu->cs.sel, 0x33);
	CHECK_EQ(vcpu->cs.base, 0x70000);
	CHECK_EQ(vcpu->cs.attr, V3_SEG_DB | 0xfb);
	CHECK_EQ(vcpu->cpl, 3);
	CHECK(vcpu->nmi_blocked);
	/* CD and NW are the guest's own since RESET; NE, which the hardware wants, is not */
	CHECK_EQ(vcpu->cr0, V3_CR0_ET | V3_CR0_TS | V3_CR0_CD | V3_CR0_NW);
}

static const struct tap_test tests[] = {
	TAP(test_vmx_exit_reasons),
	TAP(test_vmx_exit_failed_entry),
	TAP(test_vmx_exit_ept_misconfiguration_has_its_address),
	TAP(test_vmx_exit_stalled),
	TAP(test_vmx_exit_host_interrupt_is_handed_on),
	TAP(test_vmx_exit_host_nmi_is_raised_again),
	TAP(test_vmx_exit_io),
	TAP(test_vmx_exit_cr),
	TAP(test_vmx_exit_dr),
	TAP(test_vmx_exit_nested_fault),
	TAP(test_vmx_exit_exceptions),
	TAP(test_vmx_exit_debug_updates_dr6),
	TAP(test_vmx_exit_int1_is_behind_itself),
	TAP(test_vmx_exit_task_switch),
	TAP(test_vmx_exit_aborted_events),
	TAP(test_vmx_exit_refreshes_neutral_registers),
};
TAP_MAIN(tests)
