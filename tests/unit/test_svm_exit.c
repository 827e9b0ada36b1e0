/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_svm_exit.c
 * SVM exit codes to neutral exits. AMD APM vol. 2 appendix C, and the sections named at each test.
 */
#include "fake_vm.h"
#include "palacios/mem.h"
#include "svm_rig.h"
#include "tap.h"

/* Every code that means one kind whatever else the VMCB says; the ranges have tests of their own. */
static const struct {
	uint64_t code;
	enum v3_exit_kind kind;
} codes[] = {
	{SVM_EXIT_INTR, V3_EXIT_INTR},
	{SVM_EXIT_NMI, V3_EXIT_NMI},
	{SVM_EXIT_SMI, V3_EXIT_SMI},
	{SVM_EXIT_INIT, V3_EXIT_INIT},
	{SVM_EXIT_VINTR, V3_EXIT_INTR_WINDOW},
	{SVM_EXIT_CR0_SEL, V3_EXIT_CR_WRITE},
	{SVM_EXIT_IDTR_READ, V3_EXIT_SYS_INSN},
	{0x67, V3_EXIT_SYS_INSN},
	{0x68, V3_EXIT_SYS_INSN},
	{0x69, V3_EXIT_SYS_INSN},
	{0x6a, V3_EXIT_SYS_INSN},
	{0x6b, V3_EXIT_SYS_INSN},
	{0x6c, V3_EXIT_SYS_INSN},
	{SVM_EXIT_TR_WRITE, V3_EXIT_SYS_INSN},
	{SVM_EXIT_RDTSC, V3_EXIT_RDTSC},
	{SVM_EXIT_RDPMC, V3_EXIT_RDPMC},
	{0x70, V3_EXIT_UNKNOWN}, /* PUSHF, POPF */
	{0x71, V3_EXIT_UNKNOWN},
	{SVM_EXIT_CPUID, V3_EXIT_CPUID},
	{SVM_EXIT_RSM, V3_EXIT_VIRT_INSN},
	{SVM_EXIT_IRET, V3_EXIT_NMI_WINDOW},
	{0x75, V3_EXIT_UNKNOWN}, /* INT n */
	{SVM_EXIT_INVD, V3_EXIT_CACHE},
	{SVM_EXIT_PAUSE, V3_EXIT_PAUSE},
	{SVM_EXIT_HLT, V3_EXIT_HLT},
	{SVM_EXIT_INVLPG, V3_EXIT_INVLPG},
	{SVM_EXIT_INVLPGA, V3_EXIT_VIRT_INSN},
	{SVM_EXIT_IOIO, V3_EXIT_IO},
	{SVM_EXIT_MSR, V3_EXIT_RDMSR},
	{SVM_EXIT_TASK, V3_EXIT_TASK_SWITCH},
	{SVM_EXIT_FERR, V3_EXIT_INTR},
	{SVM_EXIT_SHUTDOWN, V3_EXIT_TRIPLE_FAULT},
	{SVM_EXIT_VMRUN, V3_EXIT_VIRT_INSN},
	{SVM_EXIT_VMMCALL, V3_EXIT_HYPERCALL},
	{SVM_EXIT_VMLOAD, V3_EXIT_VIRT_INSN},
	{SVM_EXIT_VMSAVE, V3_EXIT_VIRT_INSN},
	{SVM_EXIT_STGI, V3_EXIT_VIRT_INSN},
	{SVM_EXIT_CLGI, V3_EXIT_VIRT_INSN},
	{SVM_EXIT_SKINIT, V3_EXIT_VIRT_INSN},
	{SVM_EXIT_RDTSCP, V3_EXIT_RDTSCP},
	{0x88, V3_EXIT_UNKNOWN}, /* ICEBP */
	{SVM_EXIT_WBINVD, V3_EXIT_CACHE},
	{SVM_EXIT_MONITOR, V3_EXIT_MONITOR},
	{SVM_EXIT_MWAIT, V3_EXIT_MONITOR},
	{SVM_EXIT_MWAIT_IF, V3_EXIT_MONITOR},
	{SVM_EXIT_XSETBV, V3_EXIT_XSETBV},
	{SVM_EXIT_RDPRU, V3_EXIT_MONITOR},
	{0x8f, V3_EXIT_UNKNOWN}, /* EFER write trap */
	{0x90, V3_EXIT_UNKNOWN}, /* CR write traps */
	{0x9f, V3_EXIT_UNKNOWN},
	{0xa0, V3_EXIT_UNKNOWN},
	{0xa1, V3_EXIT_UNKNOWN}, /* INVLPGB */
	{SVM_EXIT_INVPCID, V3_EXIT_SYS_INSN},
	{0xa3, V3_EXIT_UNKNOWN}, /* the first behind the table */
	{0x3ff, V3_EXIT_UNKNOWN},
	{SVM_EXIT_NPF, V3_EXIT_NESTED_FAULT},
	{0x401, V3_EXIT_UNKNOWN}, /* AVIC */
	{0x402, V3_EXIT_UNKNOWN},
	{0x403, V3_EXIT_UNKNOWN},
	{0x7fffffff, V3_EXIT_UNKNOWN},
	{0xffffffffull, V3_EXIT_ENTRY_FAILED}, /* -1 in 32 bits */
	{~0ull, V3_EXIT_ENTRY_FAILED},
	{~1ull, V3_EXIT_UNKNOWN},      /* -2: busy */
	{1ull << 32, V3_EXIT_UNKNOWN}, /* low half alone would be CR0 read */
	{1ull << 32 | 0x72, V3_EXIT_UNKNOWN},
};

static void test_svm_exit_codes(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(codes); i++) {
		struct v3_exit exit = rig_exit(codes[i].code, 0, 0);

		CHECK_MSG(exit.kind == codes[i].kind, "code %#llx is %s, expected %s",
			  (unsigned long long)codes[i].code, v3_exit_name(exit.kind),
			  v3_exit_name(codes[i].kind));
		CHECK_EQ(exit.code, codes[i].code);
		CHECK_EQ(exit.aborted.type, V3_EVENT_NONE);
		CHECK_EQ(exit.fetched, 0);
	}
}

static void test_svm_exit_host_interrupt_is_delivered(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(rig_exit(SVM_EXIT_INTR, 0, 0).u.host_vector, -1);
	CHECK_EQ(rig_exit(SVM_EXIT_FERR, 0, 0).u.host_vector, -1);
}

static void test_svm_exit_msr(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(rig_exit(SVM_EXIT_MSR, 0, 0).kind, V3_EXIT_RDMSR);
	CHECK_EQ(rig_exit(SVM_EXIT_MSR, 1, 0).kind, V3_EXIT_WRMSR);
}

/* EXITINFO1 of IOIO, 15.10.2: bits 31:16 port, 12:10 segment, 9:7 address size, 6:4 data size, 3 REP,
 * 2 string, 0 IN. */
static const struct io_case {
	uint64_t info1;
	uint16_t port;
	uint8_t size;
	bool in, string, rep;
} io_cases[] = {
	{0x00800010, 0x80, 1, false, false, false},
	{0x00800011, 0x80, 1, true, false, false},
	{0xffff0021, 0xffff, 2, true, false, false},
	{0x0cf80040, 0xcf8, 4, false, false, false},
	{0x0cfc0041, 0xcfc, 4, true, false, false},
	{0x03f80094, 0x3f8, 1, false, true, false}, /* OUTSB, 16-bit addresses */
	{0x03f80d24, 0x3f8, 2, false, true, false}, /* OUTSW, 32-bit addresses, DS */
	{0x01f01a4c, 0x1f0, 4, false, true, true},  /* REP OUTSD, 64-bit addresses */
	{0x01f0022d, 0x1f0, 2, true, true, true},   /* REP INSW */
};

static void test_svm_exit_io(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	rig.vcpu[0].regs.rip = 0x1000;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(io_cases); i++) {
		const struct io_case *c = &io_cases[i];
		struct v3_exit exit = rig_exit(SVM_EXIT_IOIO, c->info1, 0x1002);

		CHECK_EQ(exit.kind, V3_EXIT_IO);
		CHECK_MSG(exit.u.io.port == c->port && exit.u.io.size == c->size &&
				  exit.u.io.in == c->in && exit.u.io.string == c->string &&
				  exit.u.io.rep == c->rep,
			  "info %#llx: port %#x size %u in %d string %d rep %d",
			  (unsigned long long)c->info1, exit.u.io.port, exit.u.io.size,
			  exit.u.io.in, exit.u.io.string, exit.u.io.rep);
		CHECK_EQ(exit.u.io.next_rip, 0x1002);
		CHECK_EQ(exit.insn_len, 2);
	}
}

/* The length of IN and OUT is known on every CPU: EXITINFO2. */
static void test_svm_exit_io_length_without_nrips(void)
{
	REQUIRE(rig_init(RIG_FEATURES & ~RIG_NRIPS));
	rig.vcpu[0].regs.rip = 0xffffffff80001000ull;
	rig.next_rip = 0xffffffff80001001ull; /* a CPU without the feature leaves anything there */
	CHECK_EQ(rig_exit(SVM_EXIT_IOIO, 0x00800011, 0xffffffff80001003ull).insn_len, 3);
}

static void test_svm_exit_cr(void)
{
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned n = 0; n < 16; n++) {
		exit = rig_exit(SVM_EXIT_CR_READ + n, 1ull << 63 | (15 - n), 0);
		CHECK_EQ(exit.kind, V3_EXIT_CR_READ);
		CHECK_EQ(exit.u.reg.n, n);
		CHECK(exit.u.reg.gpr_valid);
		CHECK_EQ(exit.u.reg.gpr, 15 - n);
		exit = rig_exit(SVM_EXIT_CR_WRITE + n, 1ull << 63 | n, 0);
		CHECK_EQ(exit.kind, V3_EXIT_CR_WRITE);
		CHECK_EQ(exit.u.reg.n, n);
		CHECK(exit.u.reg.gpr_valid);
		CHECK_EQ(exit.u.reg.gpr, n);
	}
}

/* CLTS, LMSW and SMSW exit with the same codes; bit 63 tells a MOV. 15.8.1. */
static void test_svm_exit_cr_of_other_instructions(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK(!rig_exit(SVM_EXIT_CR_WRITE, 3, 0).u.reg.gpr_valid);
	CHECK(!rig_exit(SVM_EXIT_CR_READ, 3, 0).u.reg.gpr_valid);
}

/* The selective intercept tells no operand even with decode assists. */
static void test_svm_exit_cr0_selective(void)
{
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	exit = rig_exit(SVM_EXIT_CR0_SEL, ~0ull, 0);
	CHECK_EQ(exit.kind, V3_EXIT_CR_WRITE);
	CHECK_EQ(exit.u.reg.n, 0);
	CHECK(!exit.u.reg.gpr_valid);
}

static void test_svm_exit_dr(void)
{
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned n = 0; n < 16; n++) {
		exit = rig_exit(SVM_EXIT_DR_READ + n, n, 0);
		CHECK_EQ(exit.kind, V3_EXIT_DR_ACCESS);
		CHECK_EQ(exit.u.reg.n, n);
		CHECK(!exit.u.reg.write);
		CHECK(exit.u.reg.gpr_valid);
		CHECK_EQ(exit.u.reg.gpr, n);
		exit = rig_exit(SVM_EXIT_DR_WRITE + n, 15 - n, 0);
		CHECK_EQ(exit.kind, V3_EXIT_DR_ACCESS);
		CHECK_EQ(exit.u.reg.n, n);
		CHECK(exit.u.reg.write);
		CHECK_EQ(exit.u.reg.gpr, 15 - n);
	}
}

static void test_svm_exit_registers_without_decode_assists(void)
{
	REQUIRE(rig_init(RIG_FEATURES & ~RIG_DECODE));
	CHECK(!rig_exit(SVM_EXIT_CR_READ + 3, 1ull << 63 | 5, 0).u.reg.gpr_valid);
	CHECK(!rig_exit(SVM_EXIT_CR_WRITE + 4, 1ull << 63 | 5, 0).u.reg.gpr_valid);
	CHECK(!rig_exit(SVM_EXIT_DR_READ + 7, 5, 0).u.reg.gpr_valid);
	CHECK(!rig_exit(SVM_EXIT_DR_WRITE + 7, 5, 0).u.reg.gpr_valid);
}

static void test_svm_exit_exceptions(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned n = 0; n < 32; n++) {
		struct v3_exit exit = rig_exit(SVM_EXIT_EXCEPTION + n, 0x1234 + n, 0xcafe0000 + n);

		CHECK_EQ(exit.kind, V3_EXIT_EXCEPTION);
		CHECK_EQ(exit.u.excp.vector, n);
		CHECK_EQ(exit.u.excp.error, 0x1234 + n);
		CHECK_EQ(exit.u.excp.addr, 0xcafe0000 + n);
	}
}

/* EXITINFO1 of NPF, 15.25.6: a page-fault error code; bit 33: on a guest page-table access. */
static const struct {
	uint64_t info1;
	uint8_t access;
	bool present;
} npf_cases[] = {
	{0x100000004, V3_ACC_READ, false},  {0x100000005, V3_ACC_READ, true},
	{0x100000006, V3_ACC_WRITE, false}, {0x100000007, V3_ACC_WRITE, true},
	{0x100000014, V3_ACC_EXEC, false},  {0x100000015, V3_ACC_EXEC, true},
	{0x200000006, V3_ACC_WRITE, false}, /* the walk sets A and D bits: a write */
	{0x200000007, V3_ACC_WRITE, true},  {0x200000004, V3_ACC_READ, false},
};

static void test_svm_exit_nested_fault(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(npf_cases); i++) {
		struct v3_exit exit = rig_exit(SVM_EXIT_NPF, npf_cases[i].info1, 0xfee00080);

		CHECK_EQ(exit.kind, V3_EXIT_NESTED_FAULT);
		CHECK_EQ(exit.u.fault.gpa, 0xfee00080);
		CHECK_MSG(exit.u.fault.access == npf_cases[i].access &&
				  exit.u.fault.present == npf_cases[i].present,
			  "info %#llx: access %u present %d",
			  (unsigned long long)npf_cases[i].info1, exit.u.fault.access,
			  exit.u.fault.present);
	}
}

/* An entry of ours with a reserved bit: nothing the guest has done. */
static void test_svm_exit_nested_reserved_bit(void)
{
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	exit = rig_exit(SVM_EXIT_NPF, 0x10000000d, 0x123000);
	CHECK_EQ(exit.kind, V3_EXIT_NESTED_BAD);
	CHECK_EQ(exit.u.fault.gpa, 0x123000);
	CHECK_EQ(exit.u.fault.access, V3_ACC_READ);
	exit = rig_exit(SVM_EXIT_NPF, 0x10000001d, 0x123000);
	CHECK_EQ(exit.kind, V3_EXIT_NESTED_BAD);
	CHECK_EQ(exit.u.fault.access, V3_ACC_EXEC);
}

static void guest_fetched_mov(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	(void)vcpu;
	vmcb->fetched = 6;
	memcpy(vmcb->insn, "\xc7\x00\x01\x02\x03\x04\xff", 7);
}

static void guest_fetched_most(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	(void)vcpu;
	vmcb->fetched = 0xff; /* the upper half is reserved */
	memset(vmcb->insn, 0x90, 15);
}

static void test_svm_exit_nested_fault_with_instruction_bytes(void)
{
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	rig.guest = guest_fetched_mov;
	exit = rig_exit(SVM_EXIT_NPF, 6, 0xfee00000);
	CHECK_EQ(exit.fetched, 6);
	CHECK_MEM(exit.insn, "\xc7\x00\x01\x02\x03\x04", 6);
	rig.guest = guest_fetched_most;
	exit = rig_exit(SVM_EXIT_NPF, 6, 0xfee00000);
	CHECK_EQ(exit.fetched, 15);
	CHECK_EQ(exit.insn[14], 0x90);
}

/* Bytes of an earlier exit must not be taken for those of this one. */
static void test_svm_exit_instruction_bytes_of_nested_faults_only(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	rig.guest = guest_fetched_mov;
	CHECK_EQ(rig_exit(SVM_EXIT_CPUID, 0, 0).fetched, 0);
	CHECK_EQ(rig_exit(SVM_EXIT_EXCEPTION + V3_VEC_DB, 0, 0).fetched, 0);
}

#define INTINFO(type, vector) (SVM_EVENT_TYPE(type) | SVM_EVENT_VALID | (vector))

static const struct {
	const char *name;
	uint64_t info2, intinfo;
	uint8_t source;
	bool after_insn, has_error;
} task_cases[] = {
	{"CALL", 0, 0, V3_TASK_CALL, true, false},
	{"IRET", SVM_TASK_IRET, 0, V3_TASK_IRET, true, false},
	{"JMP", SVM_TASK_JMP, 0, V3_TASK_JMP, true, false},
	{"gate, interrupt", 0, INTINFO(SVM_EVENT_INTR, 0x30), V3_TASK_GATE, false, false},
	{"gate, NMI", 0, INTINFO(SVM_EVENT_NMI, 2), V3_TASK_GATE, false, false},
	{"gate, #DF", SVM_TASK_ERROR, INTINFO(SVM_EVENT_EXCEPTION, V3_VEC_DF), V3_TASK_GATE, false,
	 true},
	{"gate, INT n", 0, INTINFO(SVM_EVENT_SOFT, 0x80), V3_TASK_GATE, true, false},
	{"gate, INT3", 0, INTINFO(SVM_EVENT_EXCEPTION, V3_VEC_BP), V3_TASK_GATE, true, false},
	{"gate, INTO", 0, INTINFO(SVM_EVENT_EXCEPTION, V3_VEC_OF), V3_TASK_GATE, true, false},
};

/* 15.14.1 */
static void test_svm_exit_task_switch(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(task_cases); i++) {
		struct v3_exit exit;

		rig.intinfo = task_cases[i].intinfo;
		exit = rig_exit(SVM_EXIT_TASK, 0xabcd0028, task_cases[i].info2 | 0x77);
		CHECK_EQ(exit.kind, V3_EXIT_TASK_SWITCH);
		CHECK_EQ(exit.u.task.sel, 0x28);
		CHECK_MSG(exit.u.task.source == task_cases[i].source &&
				  exit.u.task.after_insn == task_cases[i].after_insn &&
				  exit.u.task.has_error == task_cases[i].has_error,
			  "%s: source %u after_insn %d has_error %d", task_cases[i].name,
			  exit.u.task.source, exit.u.task.after_insn, exit.u.task.has_error);
		CHECK_EQ(exit.u.task.error, 0x77);
	}
}

static const struct {
	const char *name;
	uint64_t intinfo;
	uint8_t type, vector, has_error;
	uint32_t error;
} abort_cases[] = {
	{"none", 0, V3_EVENT_NONE, 0, 0, 0},
	{"not valid", SVM_EVENT_TYPE(SVM_EVENT_EXCEPTION) | 14, V3_EVENT_NONE, 0, 0, 0},
	{"interrupt", INTINFO(SVM_EVENT_INTR, 0x31), V3_EVENT_INTR, 0x31, 0, 0},
	{"interrupt 255", INTINFO(SVM_EVENT_INTR, 0xff), V3_EVENT_INTR, 0xff, 0, 0},
	{"NMI", INTINFO(SVM_EVENT_NMI, 2), V3_EVENT_NMI, 2, 0, 0},
	{"#PF", INTINFO(SVM_EVENT_EXCEPTION, V3_VEC_PF) | SVM_EVENT_ERROR | 7ull << 32,
	 V3_EVENT_EXCEPTION, V3_VEC_PF, 1, 7},
	{"#GP", INTINFO(SVM_EVENT_EXCEPTION, V3_VEC_GP) | SVM_EVENT_ERROR | 0xfffcull << 32,
	 V3_EVENT_EXCEPTION, V3_VEC_GP, 1, 0xfffc},
	{"#UD", INTINFO(SVM_EVENT_EXCEPTION, V3_VEC_UD), V3_EVENT_EXCEPTION, V3_VEC_UD, 0, 0},
	{"#DB", INTINFO(SVM_EVENT_EXCEPTION, V3_VEC_DB), V3_EVENT_EXCEPTION, V3_VEC_DB, 0, 0},
	/* RIP is still at the instruction: it runs again */
	{"INT n", INTINFO(SVM_EVENT_SOFT, 0x80), V3_EVENT_NONE, 0, 0, 0},
	{"INT 3 by number", INTINFO(SVM_EVENT_SOFT, 3), V3_EVENT_NONE, 0, 0, 0},
	{"INT3", INTINFO(SVM_EVENT_EXCEPTION, V3_VEC_BP), V3_EVENT_NONE, 0, 0, 0},
	{"INTO", INTINFO(SVM_EVENT_EXCEPTION, V3_VEC_OF), V3_EVENT_NONE, 0, 0, 0},
	{"reserved type 1", INTINFO(1, 0x40), V3_EVENT_NONE, 0, 0, 0},
	{"reserved type 5", INTINFO(5, 0x40), V3_EVENT_NONE, 0, 0, 0},
	{"reserved type 7", INTINFO(7, 0x40), V3_EVENT_NONE, 0, 0, 0},
};

/* 15.7.2 */
static void test_svm_exit_aborted_events(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(abort_cases); i++) {
		struct v3_exit exit;

		rig.intinfo = abort_cases[i].intinfo;
		exit = rig_exit(SVM_EXIT_NPF, 4, 0x5000);
		CHECK_MSG(exit.aborted.type == abort_cases[i].type, "%s: type %u, expected %u",
			  abort_cases[i].name, exit.aborted.type, abort_cases[i].type);
		if (abort_cases[i].type == V3_EVENT_NONE)
			continue;
		CHECK_MSG(exit.aborted.vector == abort_cases[i].vector &&
				  exit.aborted.has_error == abort_cases[i].has_error &&
				  exit.aborted.error == abort_cases[i].error,
			  "%s: vector %u has_error %u error %#x", abort_cases[i].name,
			  exit.aborted.vector, exit.aborted.has_error, exit.aborted.error);
		CHECK_EQ(exit.aborted.insn_len, 0);
	}
}

static void guest_takes_page_fault(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	(void)vcpu;
	vmcb->cr2 = 0xdeadb000;
}

/* An interrupted #PF is injected again with the CR2 it had. */
static void test_svm_exit_aborted_page_fault_keeps_cr2(void)
{
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	rig.guest = guest_takes_page_fault;
	rig.intinfo = INTINFO(SVM_EVENT_EXCEPTION, V3_VEC_PF) | SVM_EVENT_ERROR | 2ull << 32;
	exit = rig_exit(SVM_EXIT_NPF, 6, 0x5000);
	CHECK_EQ(exit.aborted.cr2, 0xdeadb000);
	CHECK_EQ(rig.vcpu[0].cr2, 0xdeadb000);
}

static uint64_t next_rip_of_exit; /* for guests that end at RIP 0x2000 */

static void guest_at_2000(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	(void)vcpu;
	vmcb->rip = 0x2000;
	vmcb->next_rip = next_rip_of_exit;
}

static unsigned insn_len_with(uint64_t code, uint64_t next_rip)
{
	rig.guest = guest_at_2000;
	next_rip_of_exit = next_rip;
	return rig_exit(code, 0, 0).insn_len;
}

static void test_svm_exit_insn_len_with_nrips(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(insn_len_with(SVM_EXIT_CPUID, 0x2002), 2);
	CHECK_EQ(insn_len_with(SVM_EXIT_MSR, 0x200f), 15);
	CHECK_EQ(insn_len_with(SVM_EXIT_MSR, 0x2010), 0); /* no instruction is that long */
	CHECK_EQ(insn_len_with(SVM_EXIT_HLT, 0), 0);	  /* not reported for this exit */
	CHECK_EQ(insn_len_with(SVM_EXIT_HLT, 0x1fff), 0);
	CHECK_EQ(insn_len_with(SVM_EXIT_HLT, 0x100002001ull), 0); /* the upper half counts */
}

static void test_svm_exit_insn_len_without_nrips(void)
{
	REQUIRE(rig_init(RIG_FEATURES & ~RIG_NRIPS));
	CHECK_EQ(insn_len_with(SVM_EXIT_CPUID, 0x2002), 0);
	CHECK_EQ(insn_len_with(SVM_EXIT_VMMCALL, 0x2003), 0);
}

static void guest_changes_registers(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	(void)vcpu;
	vmcb->rax = 0x1111;
	vmcb->rsp = 0x2222;
	vmcb->rip = 0x3333;
	vmcb->rflags = 0x246;
	vmcb->cr0 = V3_CR0_PE | V3_CR0_ET | V3_CR0_TS;
	vmcb->cr2 = 0x4444;
	vmcb->cr3 = 0x5000;
	vmcb->cs.sel = 0x33;
	vmcb->cs.attr = V3_SEG_P | V3_SEG_L;
	vmcb->cpl = 3;
}

static void test_svm_exit_refreshes_neutral_registers(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];

	REQUIRE(rig_init(RIG_FEATURES));
	vcpu->regs.gpr[V3_RAX] = 0xaaaa;
	vcpu->regs.gpr[V3_RSP] = 0xbbbb;
	vcpu->regs.rip = 0xcccc;
	vcpu->regs.rflags = 0x202;
	rig.guest = guest_changes_registers;
	rig_exit(SVM_EXIT_HLT, 0, 0);
	CHECK_EQ(rig.entered.rax, 0xaaaa);
	CHECK_EQ(rig.entered.rsp, 0xbbbb);
	CHECK_EQ(rig.entered.rip, 0xcccc);
	CHECK_EQ(rig.entered.rflags, 0x202);
	CHECK_EQ(vcpu->regs.gpr[V3_RAX], 0x1111);
	CHECK_EQ(vcpu->regs.gpr[V3_RSP], 0x2222);
	CHECK_EQ(vcpu->regs.rip, 0x3333);
	CHECK_EQ(vcpu->regs.rflags, 0x246);
	CHECK_EQ(vcpu->cr2, 0x4444);
	CHECK_EQ(vcpu->cr3, 0x5000);
	CHECK_EQ(vcpu->cs.sel, 0x33);
	CHECK_EQ(vcpu->cpl, 3);
	/* CLTS and the like do not exit; CD and NW are the guest's own since RESET */
	CHECK_EQ(vcpu->cr0, V3_CR0_PE | V3_CR0_ET | V3_CR0_TS | V3_CR0_CD | V3_CR0_NW);
}

static const struct tap_test tests[] = {
	TAP(test_svm_exit_codes),
	TAP(test_svm_exit_host_interrupt_is_delivered),
	TAP(test_svm_exit_msr),
	TAP(test_svm_exit_io),
	TAP(test_svm_exit_io_length_without_nrips),
	TAP(test_svm_exit_cr),
	TAP(test_svm_exit_cr_of_other_instructions),
	TAP(test_svm_exit_cr0_selective),
	TAP(test_svm_exit_dr),
	TAP(test_svm_exit_registers_without_decode_assists),
	TAP(test_svm_exit_exceptions),
	TAP(test_svm_exit_nested_fault),
	TAP(test_svm_exit_nested_reserved_bit),
	TAP(test_svm_exit_nested_fault_with_instruction_bytes),
	TAP(test_svm_exit_instruction_bytes_of_nested_faults_only),
	TAP(test_svm_exit_task_switch),
	TAP(test_svm_exit_aborted_events),
	TAP(test_svm_exit_aborted_page_fault_keeps_cr2),
	TAP(test_svm_exit_insn_len_with_nrips),
	TAP(test_svm_exit_insn_len_without_nrips),
	TAP(test_svm_exit_refreshes_neutral_registers),
};
TAP_MAIN(tests)
