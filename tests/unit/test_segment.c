/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_segment.c
 * Segment registers loaded from and stored to a device, by every rule for a selector, and by a task switch.
 * The real core and its emulator; the guest's tables are in RAM, the selector comes from a device.
 */
#include "cpu/segment.h"

#include "segment_rig.h"

/* MOV Sreg, [rax] with this selector. @return the vector raised, -1: none */
static int load(enum v3_seg_num num, uint16_t sel)
{
	const char code[] = {0x67, (char)0x8e, (char)(num << 3)}; /* 67: [eax] in 16-bit code */
	unsigned skip = v3_vcpu_code_bits(s.vcpu) == 16 ? 0 : 1;
	unsigned reads = s.reads;

	s.sel = sel;
	CHECK_EQ(execute(code + skip, sizeof(code) - skip, V3_ACC_READ), V3_OK);
	CHECK_EQ(s.reads, reads + 1);
	CHECK_EQ(s.size, 2);
	if (s.event.type == V3_EVENT_NONE) {
		CHECK_EQ(s.vcpu->regs.rip, CODE + sizeof(code) - skip);
		return -1;
	}
	CHECK_EQ(s.vcpu->regs.rip, CODE);
	CHECK_EQ(s.event.type, V3_EVENT_EXCEPTION);
	CHECK(s.event.has_error);
	return s.event.vector;
}

#define RULE_SEL 0x50 /* the descriptor of each rule is there */

static const struct rule {
	enum v3_seg_num num;
	unsigned cpl, rpl;
	unsigned access;
	int vector; /* -1: loads */
} rules[] = {
	/* data segments */
	{V3_DS, 0, 0, DATA, -1},
	{V3_DS, 0, 0, DATA & ~1, -1}, /* not accessed yet */
	{V3_ES, 0, 0, RDONLY, -1},
	{V3_FS, 0, 0, CODE_R, -1},
	{V3_GS, 0, 3, DATA | DPL(3), -1},
	{V3_DS, 3, 3, DATA | DPL(3), -1},
	{V3_DS, 3, 0, DATA | DPL(3), -1},
	{V3_DS, 3, 3, CONFORM, -1}, /* conforming code: for all */
	{V3_DS, 0, 0, CODE_X, V3_VEC_GP},
	{V3_DS, 0, 0, 0x82, V3_VEC_GP}, /* an LDT */
	{V3_DS, 0, 0, 0x8b, V3_VEC_GP}, /* a TSS */
	{V3_DS, 0, 0, 0x8c, V3_VEC_GP}, /* a gate */
	{V3_DS, 3, 3, DATA, V3_VEC_GP}, /* CPL above DPL */
	{V3_DS, 3, 0, DATA | DPL(2), V3_VEC_GP},
	{V3_DS, 3, 3, 0x97, V3_VEC_GP}, /* expand-down: the bit of conforming code */
	{V3_ES, 0, 3, DATA, V3_VEC_GP}, /* RPL above DPL */
	{V3_ES, 0, 3, CODE_R | DPL(2), V3_VEC_GP},
	{V3_FS, 0, 0, DATA & ~0x80, V3_VEC_NP},
	{V3_GS, 3, 3, DATA & ~0x80, V3_VEC_GP}, /* privilege before presence */
	/* the stack */
	{V3_SS, 0, 0, DATA, -1},
	{V3_SS, 3, 3, DATA | DPL(3), -1},
	{V3_SS, 0, 0, 0x97, -1}, /* expand-down */
	{V3_SS, 0, 0, RDONLY, V3_VEC_GP},
	{V3_SS, 0, 0, CODE_R, V3_VEC_GP},
	{V3_SS, 0, 0, CONFORM, V3_VEC_GP},
	{V3_SS, 0, 0, 0x82, V3_VEC_GP},
	{V3_SS, 0, 3, DATA, V3_VEC_GP},
	{V3_SS, 0, 0, DATA | DPL(3), V3_VEC_GP},
	{V3_SS, 3, 3, DATA, V3_VEC_GP},
	{V3_SS, 3, 0, DATA | DPL(3), V3_VEC_GP},
	{V3_SS, 0, 0, DATA & ~0x80, V3_VEC_SS},
};

static void rule_holds(const struct rule *r, unsigned i, unsigned bits)
{
	uint16_t sel = (uint16_t)(RULE_SEL | r->rpl);
	struct v3_seg old = seg_of(r->num), now;
	int vector;

	put(GDT, sel, descriptor(0x12345678, 0xabcde, r->access, 0xc));
	vector = load(r->num, sel);
	now = seg_of(r->num);
	CHECK_MSG(vector == r->vector, "rule %u, %u bits: vector %d, expected %d", i, bits, vector,
		  r->vector);
	CHECK_MSG(access_byte(GDT, sel) == (r->vector < 0 ? r->access | 1 : r->access),
		  "rule %u: access byte in memory is %#x", i, access_byte(GDT, sel));
	if (r->vector < 0) {
		CHECK_EQ(now.sel, sel);
		CHECK_EQ(now.base, 0x12345678);
		CHECK_EQ(now.limit, 0xabcdefff);
		CHECK_EQ(now.attr, 0xc00 | r->access | 1);
	} else {
		CHECK_EQ(s.event.error, RULE_SEL);
		CHECK_MEM(&now, &old, sizeof(now));
	}
}

static void test_segment_rules_of_protected_mode(void)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(rules); i++) {
		REQUIRE(machine(32, rules[i].cpl));
		rule_holds(&rules[i], i, 32);
		fake_vm_destroy(s.vcpu->vm);
	}
}

static void test_segment_rules_of_long_mode(void)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(rules); i++) {
		REQUIRE(machine(64, rules[i].cpl));
		rule_holds(&rules[i], i, 64);
		fake_vm_destroy(s.vcpu->vm);
	}
}

static void test_segment_table_limits(void)
{
	struct v3_dtr gdt = {.base = GDT, .limit = RULE_SEL + 6};

	REQUIRE(machine(32, 0));
	put(GDT, RULE_SEL, descriptor(0, 0xfffff, DATA, 0xc));
	v3_vcpu_set_dtr(s.vcpu, false, &gdt);
	CHECK_EQ(load(V3_DS, RULE_SEL), V3_VEC_GP); /* its last byte lies outside */
	CHECK_EQ(s.event.error, RULE_SEL);
	gdt.limit++;
	v3_vcpu_set_dtr(s.vcpu, false, &gdt);
	CHECK_EQ(load(V3_DS, RULE_SEL), -1);

	gdt = (struct v3_dtr){.base = 0xfffffff0, .limit = 0xff};
	v3_vcpu_set_dtr(s.vcpu, false, &gdt); /* over the top of 32-bit addresses */
	put(0x40, 0, descriptor(0x5000, 0xfffff, DATA, 0xc));
	CHECK_EQ(load(V3_DS, 0x50), -1);
	CHECK_EQ(seg_of(V3_DS).base, 0x5000);
	s.vcpu->regs.gpr[V3_RAX] = DEVICE - 0x5000;

	put(LDT, 0x18, descriptor(0x1000, 0xfff, DATA, 0x4));
	CHECK_EQ(load(V3_ES, 0x1c), -1);
	CHECK_EQ(seg_of(V3_ES).base, 0x1000);
	CHECK_EQ(seg_of(V3_ES).limit, 0xfff);
	CHECK_EQ(load(V3_ES, 0x24), V3_VEC_GP);
	CHECK_EQ(s.event.error, 0x24);
	put(LDT, 0, descriptor(0x2000, 0xfff, DATA, 0x4));
	CHECK_EQ(load(V3_ES, 4), -1); /* entry 0 of the LDT is not null */
	v3_vcpu_set_seg(s.vcpu, V3_LDTR, &(struct v3_seg){.limit = 0xffff, .base = LDT});
	CHECK_EQ(load(V3_ES, 0x1c), V3_VEC_GP); /* no LDT */
}

static void test_segment_null_selectors(void)
{
	REQUIRE(machine(32, 0));
	for (uint16_t sel = 0; sel <= 3; sel++) {
		CHECK_EQ(load(V3_SS, sel), V3_VEC_GP);
		CHECK_EQ(s.event.error, 0);
		CHECK_EQ(seg_of(V3_SS).sel, 0x10);
		CHECK_EQ(load(V3_ES, sel), -1);
		CHECK_EQ(seg_of(V3_ES).sel, sel);
		CHECK(!(seg_of(V3_ES).attr & V3_SEG_P));
	}
}

static void test_segment_null_stack_in_long_mode(void)
{
	REQUIRE(machine(64, 0));
	CHECK_EQ(load(V3_SS, 0), -1);
	CHECK_EQ(seg_of(V3_SS).sel, 0);
	fake_vm_destroy(s.vcpu->vm);
	REQUIRE(machine(64, 1));
	CHECK_EQ(load(V3_SS, 1), -1);
	CHECK_EQ(seg_of(V3_SS).attr, DPL(1));
	CHECK_EQ(v3_vcpu_cpl(s.vcpu), 1);
	fake_vm_destroy(s.vcpu->vm);
	REQUIRE(machine(64, 3));
	CHECK_EQ(load(V3_SS, 3), V3_VEC_GP);
	CHECK_EQ(s.event.error, 0);
	CHECK_EQ(seg_of(V3_SS).sel, 0x13);
}

/* What a null selector makes of the base is the CPU's own way, which CPUID tells. */
static void null_base(const char *vendor, uint32_t eax21, uint64_t base)
{
	const struct v3_seg wide = {.sel = 0x10, .attr = 0xc93, .base = 0x7fff12345678};
	uint32_t leaf0[4] = {0xd}, ext[4] = {0x80000021u}, leaf21[4] = {eax21};

	memcpy(&leaf0[1], vendor, 4);
	fake_cpuid_set(0, 0, leaf0);
	fake_cpuid_set(0x80000000u, 0, ext);
	fake_cpuid_set(0x80000021u, 0, leaf21);
	REQUIRE(machine(64, 0));
	v3_vcpu_set_seg(s.vcpu, V3_FS, &wide);
	v3_vcpu_set_seg(s.vcpu, V3_GS, &wide);
	CHECK_EQ(load(V3_GS, 0), -1);
	CHECK_EQ(seg_of(V3_GS).sel, 0);
	CHECK_EQ(seg_of(V3_GS).base, base);
	CHECK_EQ(load(V3_FS, 3), -1);
	CHECK_EQ(seg_of(V3_FS).base, base);
	put(GDT, RULE_SEL, descriptor(0x87654321, 0, DATA, 0)); /* else the upper half is cleared */
	CHECK_EQ(load(V3_FS, RULE_SEL), -1);
	CHECK_EQ(seg_of(V3_FS).base, 0x87654321);
	fake_vm_destroy(s.vcpu->vm);
}

static void test_segment_null_base_as_on_the_cpu(void)
{
	null_base("Auth", 0, 0x7fff12345678);
	null_base("Auth", 1u << 6, 0);
	null_base("Genu", 0, 0);
}

static void test_segment_real_mode(void)
{
	REQUIRE(machine(16, 0));
	CHECK_EQ(load(V3_ES, 0xf123), -1); /* limits stay: 4 GiB here */
	CHECK_EQ(seg_of(V3_ES).sel, 0xf123);
	CHECK_EQ(seg_of(V3_ES).base, 0xf1230);
	CHECK_EQ(seg_of(V3_ES).limit, 0xffffffff);
	CHECK_EQ(seg_of(V3_ES).attr, 0xc93);
	CHECK_EQ(load(V3_SS, 0), -1);
	CHECK_EQ(seg_of(V3_SS).base, 0);
	CHECK(seg_of(V3_SS).attr & V3_SEG_P);
}

static void test_segment_vm86(void)
{
	REQUIRE(machine(32, 3));
	s.vcpu->regs.rflags |= V3_RFLAGS_VM;
	CHECK_EQ(load(V3_FS, 0x4000), -1);
	CHECK_EQ(seg_of(V3_FS).base, 0x40000);
	CHECK_EQ(seg_of(V3_FS).limit, 0xffff);
	CHECK_EQ(seg_of(V3_FS).attr, 0xf3);
}

static void test_segment_stores_and_pops(void)
{
	const struct v3_seg gs = {.sel = 0xabcd, .attr = 0xc93, .limit = 0xffffffff};

	REQUIRE(machine(64, 0));
	v3_vcpu_set_seg(s.vcpu, V3_GS, &gs);
	CHECK_EQ(execute("\x8c\x28", 2, V3_ACC_WRITE), V3_OK); /* mov [rax], gs */
	CHECK_EQ(s.event.type, V3_EVENT_NONE);
	CHECK_EQ(s.writes, 1);
	CHECK_EQ(s.written, 0xabcd);
	CHECK_EQ(s.size, 2);
	CHECK_EQ(s.vcpu->regs.rip, CODE + 2);

	s.vcpu->regs.gpr[V3_RSP] = DEVICE + 8;
	CHECK_EQ(execute("\x0f\xa8", 2, V3_ACC_WRITE), V3_OK); /* push gs */
	CHECK_EQ(s.written, 0xabcd);
	CHECK_EQ(s.size, 8);
	CHECK_EQ(s.vcpu->regs.gpr[V3_RSP], DEVICE);
	put(GDT, RULE_SEL, descriptor(0x1000, 0, DATA, 0));
	s.sel = RULE_SEL;
	CHECK_EQ(execute("\x0f\xa9", 2, V3_ACC_READ), V3_OK); /* pop gs */
	CHECK_EQ(seg_of(V3_GS).sel, RULE_SEL);
	CHECK_EQ(s.vcpu->regs.gpr[V3_RSP], DEVICE + 8);
	s.sel = RULE_SEL + 8; /* nothing there */
	s.vcpu->regs.gpr[V3_RSP] = DEVICE;
	CHECK_EQ(execute("\x0f\xa9", 2, V3_ACC_READ), V3_OK);
	CHECK_EQ(s.event.vector, V3_VEC_GP);
	CHECK_EQ(s.event.error, RULE_SEL + 8);
	CHECK_EQ(s.vcpu->regs.gpr[V3_RSP], DEVICE);
	CHECK_EQ(execute("\x8e\x08", 2, V3_ACC_READ), V3_OK); /* mov cs, [rax] */
	CHECK_EQ(s.event.vector, V3_VEC_UD);
}

/* The tables are read and written as the CPU does it: at privilege 0, with page faults for the guest. */
static void test_segment_table_page_faults(void)
{
	uint64_t entry;

	REQUIRE(machine(64, 3));
	put(GDT, RULE_SEL, descriptor(0, 0xfffff, (DATA | DPL(3)) & ~1, 0xc));
	v3_vcpu_set_dtr(s.vcpu, false, &(struct v3_dtr){.base = 0x40000000 + GDT, .limit = 0xff});
	entry = 0;
	CHECK_EQ(v3_mem_write(s.vcpu->vm, PDPT + 8, &entry, 8), V3_OK);
	CHECK_EQ(load(V3_DS, RULE_SEL | 3), V3_VEC_PF);
	CHECK_EQ(s.event.cr2, 0x40000000 + GDT + RULE_SEL);
	CHECK_EQ(s.event.error, 0); /* absent, read, supervisor */
	entry = 0x83;		    /* a supervisor's page */
	CHECK_EQ(v3_mem_write(s.vcpu->vm, PDPT + 8, &entry, 8), V3_OK);
	CHECK_EQ(load(V3_DS, RULE_SEL | 3), -1);
	CHECK_EQ(access_byte(GDT, RULE_SEL), DATA | DPL(3));

	put(GDT, RULE_SEL, descriptor(0, 0xfffff, (DATA | DPL(3)) & ~1, 0xc));
	entry = 0x81; /* read only, and CR0.WP */
	CHECK_EQ(v3_mem_write(s.vcpu->vm, PDPT + 8, &entry, 8), V3_OK);
	v3_vcpu_set_cr(s.vcpu, 0, V3_CR0_PE | V3_CR0_PG | V3_CR0_WP);
	CHECK_EQ(load(V3_DS, RULE_SEL | 3), V3_VEC_PF);
	CHECK_EQ(s.event.error, 3);
	CHECK_EQ(s.event.cr2, 0x40000000 + GDT + RULE_SEL + 5);
	put(GDT, RULE_SEL, descriptor(0, 0xfffff, DATA | DPL(3), 0xc));
	CHECK_EQ(load(V3_DS, RULE_SEL | 3), -1); /* accessed already: not written */
}

/* The same rules in a task switch, but as #TS of the new task. */
static void task_to(uint16_t ss, uint16_t ds)
{
	const struct v3_seg tr = {.sel = 0x70, .attr = 0x8b, .limit = 0x67, .base = TSS};
	struct v3_exit exit = fake_exit(V3_EXIT_TASK_SWITCH, 0);
	uint32_t image[26] = {0};

	put(GDT, 0x70, descriptor(TSS, 0x67, 0x8b, 0));
	put(GDT, 0x78, descriptor(TSS + 0x100, 0x67, 0x89, 0));
	put(GDT, 0x08, descriptor(0, 0xfffff, CODE_R, 0xc));
	put(GDT, 0x10, descriptor(0, 0xfffff, DATA & ~1, 0xc));
	image[8] = CODE;
	image[9] = V3_RFLAGS_ONE;
	image[18] = image[22] = image[23] = 0x10;
	image[19] = 0x08;
	image[20] = ss;
	image[21] = ds;
	CHECK_EQ(v3_mem_write(s.vcpu->vm, TSS + 0x100, image, sizeof(image)), V3_OK);
	v3_vcpu_set_seg(s.vcpu, V3_TR, &tr);
	exit.u.task.sel = 0x78;
	exit.u.task.source = V3_TASK_JMP;
	CHECK_EQ(fake_dispatch(s.vcpu, &exit, &s.event), V3_OK);
	CHECK_EQ(access_byte(GDT, 0x70), 0x89);
	CHECK_EQ(access_byte(GDT, 0x78), 0x8b);
	CHECK_EQ(seg_of(V3_TR).sel, 0x78);
}

static void test_segment_task_switch(void)
{
	REQUIRE(machine(32, 0));
	task_to(0x10, 0);
	CHECK_EQ(s.event.type, V3_EVENT_NONE);
	CHECK_EQ(seg_of(V3_SS).attr, 0xc93);
	CHECK_EQ(access_byte(GDT, 0x10), DATA); /* accessed */
	CHECK(!(seg_of(V3_DS).attr & V3_SEG_P));
	task_to(0, 0x10);
	CHECK_EQ(s.event.vector, V3_VEC_TS);
	CHECK_EQ(s.event.error, 0);
	task_to(0x10, 0x78);
	CHECK_EQ(s.event.vector, V3_VEC_TS);
	CHECK_EQ(s.event.error, 0x78);
	put(GDT, RULE_SEL, descriptor(0, 0xfffff, DATA & ~0x80, 0xc));
	task_to(0x10, RULE_SEL);
	CHECK_EQ(s.event.vector, V3_VEC_NP);
	task_to(RULE_SEL, 0x10);
	CHECK_EQ(s.event.vector, V3_VEC_SS);
}

/* F3 0F BD and BC of 0x10 in the device: LZCNT and TZCNT only if the guest is shown them. */
static void scan(bool shown)
{
	const uint32_t abm[4] = {0, 0, shown ? 1u << 5 : 0, 1u << 20 | 1u << 29};
	const uint32_t bmi[4] = {0, shown ? 1u << 3 : 0, 0, 0};

	fake_cpuid_set(0x80000001u, 0, abm);
	fake_cpuid_set(7, 0, bmi);
	REQUIRE(machine(64, 0));
	s.sel = 0x10;
	CHECK_EQ(execute("\xf3\x0f\xbd\x08", 4, V3_ACC_READ), V3_OK); /* lzcnt or bsr ecx, [rax] */
	CHECK_EQ(s.vcpu->regs.gpr[V3_RCX], shown ? 27 : 4);
	s.sel = 0;
	s.vcpu->regs.gpr[V3_RCX] = 77;
	CHECK_EQ(execute("\xf3\x0f\xbc\x08", 4, V3_ACC_READ), V3_OK); /* tzcnt or bsf */
	CHECK_EQ(s.vcpu->regs.gpr[V3_RCX], shown ? 32 : 77);
	fake_vm_destroy(s.vcpu->vm);
}

static void test_segment_machine_scans_bits_as_cpuid_says(void)
{
	scan(true);
	scan(false);
}

static const struct tap_test tests[] = {
	TAP(test_segment_rules_of_protected_mode),
	TAP(test_segment_rules_of_long_mode),
	TAP(test_segment_table_limits),
	TAP(test_segment_null_selectors),
	TAP(test_segment_null_stack_in_long_mode),
	TAP(test_segment_null_base_as_on_the_cpu),
	TAP(test_segment_real_mode),
	TAP(test_segment_vm86),
	TAP(test_segment_stores_and_pops),
	TAP(test_segment_table_page_faults),
	TAP(test_segment_task_switch),
	TAP(test_segment_machine_scans_bits_as_cpuid_says),
};
TAP_MAIN(tests)
