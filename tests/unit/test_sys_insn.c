/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_sys_insn.c
 * Exits for system instructions, which the emulator executes: descriptor-table and task registers, INVPCID, RDRAND,
 * RDSEED. The decoding of their operands: test_emulate_sys.c.
 */
#include "segment_rig.h"

#define SYS(code) sys(code, sizeof(code) - 1)

#define SEL   0x50
#define TABLE 0x200 /* operand in memory, at RAX */

/* Execute an instruction that exits by itself. @return the vector raised, -1: none */
static int sys(const char *code, size_t len)
{
	const struct v3_exit exit = fake_exit(V3_EXIT_SYS_INSN, 0);

	CHECK_EQ(execute_exit(code, len, &exit), V3_OK);
	CHECK_EQ(s.vcpu->regs.rip, CODE + (s.event.type == V3_EVENT_NONE ? len : 0));
	return s.event.type == V3_EVENT_NONE ? -1 : s.event.vector;
}

static bool sys_machine(unsigned bits, unsigned cpl)
{
	if (!machine(bits, cpl))
		return false;
	s.vcpu->regs.gpr[V3_RAX] = TABLE;
	return true;
}

static void set_table(uint16_t limit, uint64_t base)
{
	CHECK_EQ(v3_mem_write(s.vcpu->vm, TABLE, &limit, 2), V3_OK);
	CHECK_EQ(v3_mem_write(s.vcpu->vm, TABLE + 2, &base, 8), V3_OK);
}

#define SIDT "\x0f\x01\x08"
#define LGDT "\x0f\x01\x10"
#define LIDT "\x0f\x01\x18"
#define SLDT "\x0f\x00\xc1" /* ecx */
#define STR  "\x0f\x00\xc9"
#define LLDT "\x0f\x00\xd1"
#define LTR  "\x0f\x00\xd9"

static void test_sys_insn_table_registers(void)
{
	struct v3_dtr dtr;
	uint16_t limit;

	REQUIRE(sys_machine(64, 0));
	set_table(0x123, 0xffff800000001000);
	CHECK_EQ(SYS(LIDT), -1);
	v3_vcpu_get_dtr(s.vcpu, true, &dtr);
	CHECK(dtr.limit == 0x123 && dtr.base == 0xffff800000001000);
	set_table(0, 0x0000800000001000);
	CHECK_EQ(SYS(LIDT), V3_VEC_GP); /* not canonical */
	CHECK_EQ(SYS(LGDT), V3_VEC_GP);
	v3_vcpu_get_dtr(s.vcpu, true, &dtr);
	CHECK_EQ(dtr.limit, 0x123);
	CHECK_EQ(SYS(SIDT), -1);
	CHECK_EQ(v3_mem_read(s.vcpu->vm, TABLE, &limit, 2), V3_OK);
	CHECK_EQ(limit, 0x123);
}

/* A kernel may do all; a user may store, without UMIP; nobody has selectors outside protected mode. */
static void test_sys_insn_privilege(void)
{
	REQUIRE(sys_machine(64, 3));
	s.vcpu->regs.gpr[V3_RCX] = 0;
	CHECK_EQ(SYS(LGDT), V3_VEC_GP);
	CHECK_EQ(SYS(LIDT), V3_VEC_GP);
	CHECK_EQ(SYS(LLDT), V3_VEC_GP);
	CHECK_EQ(SYS(LTR), V3_VEC_GP);
	CHECK_EQ(s.event.error, 0);
	CHECK_EQ(SYS(SLDT), -1);
	CHECK_EQ(s.vcpu->regs.gpr[V3_RCX], 0x20);
	v3_vcpu_set_cr(s.vcpu, 4, V3_CR4_PAE | V3_CR4_UMIP);
	CHECK_EQ(SYS(SLDT), V3_VEC_GP);
	CHECK_EQ(SYS(SIDT), V3_VEC_GP);
	fake_vm_destroy(s.vcpu->vm);

	REQUIRE(sys_machine(16, 0));
	CHECK_EQ(SYS(SLDT), V3_VEC_UD);
	CHECK_EQ(SYS(LTR), V3_VEC_UD);
	fake_vm_destroy(s.vcpu->vm);

	REQUIRE(sys_machine(32, 3));
	s.vcpu->regs.rflags |= V3_RFLAGS_VM;
	CHECK_EQ(SYS(STR), V3_VEC_UD);
}

static const struct {
	const char *insn;
	unsigned bits, access;
	int vector; /* -1: loads */
} loads[] = {
	{LLDT, 32, 0x82, -1},	     {LLDT, 64, 0x82, -1},
	{LLDT, 32, 0x02, V3_VEC_NP}, {LLDT, 32, 0x89, V3_VEC_GP},
	{LLDT, 32, 0x92, V3_VEC_GP},			  /* a data segment */
	{LTR, 32, 0x89, -1},	     {LTR, 32, 0x81, -1}, /* 16 bits */
	{LTR, 64, 0x89, -1},	     {LTR, 64, 0x81, V3_VEC_GP},
	{LTR, 32, 0x8b, V3_VEC_GP}, /* busy */
	{LTR, 32, 0x83, V3_VEC_GP},  {LTR, 32, 0x09, V3_VEC_NP},
	{LTR, 32, 0x82, V3_VEC_GP},  {LTR, 64, 0x99, V3_VEC_GP}, /* code */
};

static void test_sys_insn_loads_by_the_rules(void)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(loads); i++) {
		bool ltr = loads[i].insn[2] == LTR[2];
		enum v3_seg_num num = ltr ? V3_TR : V3_LDTR;
		int vector;

		REQUIRE(sys_machine(loads[i].bits, 0));
		put(GDT, SEL, descriptor(0x1234000, 0x67, loads[i].access, 0));
		put(GDT, SEL + 8, loads[i].bits == 64 ? 0xffff8000 : 0);
		s.vcpu->regs.gpr[V3_RCX] = SEL | 3;
		vector = sys(loads[i].insn, 3);
		CHECK_MSG(vector == loads[i].vector, "row %u: vector %d", i, vector);
		if (vector >= 0) {
			CHECK_EQ(s.event.error, SEL);
			CHECK(seg_of(num).sel != (SEL | 3));
			CHECK_EQ(access_byte(GDT, SEL), loads[i].access);
		} else {
			CHECK_EQ(seg_of(num).sel, SEL | 3);
			CHECK_EQ(seg_of(num).base,
				 loads[i].bits == 64 ? 0xffff800001234000 : 0x1234000);
			CHECK_EQ(seg_of(num).limit, 0x67);
			CHECK_EQ(access_byte(GDT, SEL), loads[i].access | (ltr ? 2 : 0));
			CHECK_EQ(seg_of(num).attr & 0xff, access_byte(GDT, SEL));
		}
		fake_vm_destroy(s.vcpu->vm);
	}
}

static void test_sys_insn_selectors_out_of_place(void)
{
	REQUIRE(sys_machine(64, 0));
	s.vcpu->regs.gpr[V3_RCX] = 3;
	CHECK_EQ(SYS(LTR), V3_VEC_GP);
	CHECK_EQ(s.event.error, 0);
	CHECK_EQ(SYS(LLDT), -1); /* null: no LDT */
	CHECK_EQ(seg_of(V3_LDTR).sel, 3);
	CHECK(!(seg_of(V3_LDTR).attr & V3_SEG_P));
	s.vcpu->regs.gpr[V3_RCX] = SEL | 4; /* in the LDT */
	CHECK_EQ(SYS(LLDT), V3_VEC_GP);
	CHECK_EQ(s.event.error, SEL | 4);
	s.vcpu->regs.gpr[V3_RCX] = 8 * NGDT - 8; /* its second half is beyond the limit */
	put(GDT, 8 * NGDT - 8, descriptor(0x1000, 0x67, 0x89, 0));
	CHECK_EQ(SYS(LTR), V3_VEC_GP);
	CHECK_EQ(s.event.error, 8 * NGDT - 8);
	put(GDT, SEL, descriptor(0x1000, 0x67, 0x89, 0));
	put(GDT, SEL + 8, 0x00008000); /* not canonical */
	s.vcpu->regs.gpr[V3_RCX] = SEL;
	CHECK_EQ(SYS(LTR), V3_VEC_GP);
	put(GDT, SEL + 8, 1ull << 40); /* a type in the second half */
	CHECK_EQ(SYS(LTR), V3_VEC_GP);
	CHECK_EQ(access_byte(GDT, SEL), 0x89);
	put(GDT, SEL + 8, 0);
	CHECK_EQ(SYS(LTR), -1);
	CHECK_EQ(SYS(STR), -1);
	CHECK_EQ(s.vcpu->regs.gpr[V3_RCX], SEL);
}

static const struct {
	uint64_t type, pcid, addr;
	bool pcide;
	int vector;
} invpcids[] = {
	{0, 0, 0x1000, false, -1},
	{0, 5, 0x1000, true, -1},
	{0, 5, 0x1000, false, V3_VEC_GP},
	{0, 0, 0x0000800000000000, true, V3_VEC_GP}, /* not canonical */
	{1, 0xfff, 0x0000800000000000, true, -1},
	{1, 1, 0, false, V3_VEC_GP},
	{1, 0x1000, 0, true, V3_VEC_GP}, /* reserved */
	{2, 5, 0, false, -1},
	{3, 5, 0, false, -1},
	{3, 1ull << 63, 0, true, V3_VEC_GP},
	{4, 0, 0, true, V3_VEC_GP},
	{1ull << 32, 0, 0, true, V3_VEC_GP},
};

#define INVPCID "\x66\x0f\x38\x82\x08" /* rcx, [rax] */

static void test_sys_insn_invpcid(void)
{
	REQUIRE(sys_machine(64, 0));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(invpcids); i++) {
		uint64_t desc[2] = {invpcids[i].pcid, invpcids[i].addr};
		bool flushed;
		int vector;

		v3_vcpu_set_cr(s.vcpu, 4, V3_CR4_PAE | (invpcids[i].pcide ? V3_CR4_PCIDE : 0));
		CHECK_EQ(v3_mem_write(s.vcpu->vm, TABLE, desc, sizeof(desc)), V3_OK);
		s.vcpu->regs.gpr[V3_RCX] = invpcids[i].type;
		fake_take_requests(s.vcpu);
		vector = SYS(INVPCID);
		CHECK_MSG(vector == invpcids[i].vector, "row %u: vector %d", i, vector);
		flushed = fake_take_requests(s.vcpu) & V3_REQ_FLUSH;
		CHECK_EQ(flushed, vector < 0);
	}
	s.vcpu->arch->set_cpl(s.vcpu, 3);
	s.vcpu->regs.gpr[V3_RCX] = 2;
	CHECK_EQ(SYS(INVPCID), V3_VEC_GP);
}

static void test_sys_insn_random(void)
{
	REQUIRE(sys_machine(64, 3));
	CHECK_EQ(SYS("\x0f\xc7\xf1"), -1); /* rdrand ecx */
	CHECK_EQ(s.vcpu->regs.gpr[V3_RCX], 1);
	CHECK(s.vcpu->regs.rflags & V3_RFLAGS_CF);
	CHECK_EQ(SYS("\x0f\xc7\xf9"), -1); /* rdseed ecx: it is too early */
	CHECK_EQ(s.vcpu->regs.gpr[V3_RCX], 0);
	CHECK(!(s.vcpu->regs.rflags & V3_RFLAGS_CF));
	fake_seed_set(0xabcdef0123456789);
	CHECK_EQ(SYS("\x48\x0f\xc7\xf9"), -1);
	CHECK_EQ(s.vcpu->regs.gpr[V3_RCX], 0xabcdef0123456789);
}

/* Another vcpu may have put an instruction there that this CPU does not have. */
static void test_sys_insn_not_offered(void)
{
	uint32_t leaf1[4], leaf7[4];

	fake_instr_cpuid(1, 0, leaf1);
	fake_instr_cpuid(7, 0, leaf7);
	leaf1[2] &= ~(1u << 30);
	leaf7[1] &= ~(1u << 10 | 1u << 18);
	fake_cpuid_set(1, 0, leaf1);
	fake_cpuid_set(7, 0, leaf7);
	REQUIRE(sys_machine(64, 0));
	CHECK_EQ(SYS("\x0f\xc7\xf1"), V3_VEC_UD);
	CHECK_EQ(SYS("\x0f\xc7\xf9"), V3_VEC_UD);
	CHECK_EQ(SYS(INVPCID), V3_VEC_UD);
}

static const struct tap_test tests[] = {
	TAP(test_sys_insn_table_registers),
	TAP(test_sys_insn_privilege),
	TAP(test_sys_insn_loads_by_the_rules),
	TAP(test_sys_insn_selectors_out_of_place),
	TAP(test_sys_insn_invpcid),
	TAP(test_sys_insn_random),
	TAP(test_sys_insn_not_offered),
};
TAP_MAIN(tests)
