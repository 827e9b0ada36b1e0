/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_svm_vcpu.c
 * SVM back end: intercepts of a fresh VMCB, permission maps, registers, RESET and INIT.
 * AMD APM vol. 2 14.1.3, 15.8 to 15.11, appendix B.
 */
#include "cpu/cpuid.h"
#include "fake_vm.h"
#include "host/host.h"
#include "palacios/util/str.h"
#include "svm_rig.h"
#include "tap.h"

/* ---- intercepts ---- */

/* By position in the VMCB: offset 0x00c + 4 * word, bit. What is not named here must not be set. */
static const struct {
	const char *name;
	uint8_t word, bit;
} intercepts[] = {
	{"INTR", 0, 0},	      {"NMI", 0, 1},	   {"SMI", 0, 2},     {"INIT", 0, 3},
	{"VINTR", 0, 4},      {"CR0 sel.", 0, 5},  {"RDPMC", 0, 15},  {"CPUID", 0, 18},
	{"RSM", 0, 19},	      {"INVD", 0, 22},	   {"HLT", 0, 24},    {"INVLPGA", 0, 26},
	{"IOIO_PROT", 0, 27}, {"MSR_PROT", 0, 28}, {"task", 0, 29},   {"FERR_FREEZE", 0, 30},
	{"shutdown", 0, 31},  {"VMRUN", 1, 0},	   {"VMMCALL", 1, 1}, {"VMLOAD", 1, 2},
	{"VMSAVE", 1, 3},     {"STGI", 1, 4},	   {"CLGI", 1, 5},    {"SKINIT", 1, 6},
	{"WBINVD", 1, 9},     {"MONITOR", 1, 10},  {"MWAIT", 1, 11},  {"XSETBV", 1, 13},
	{"RDPRU", 1, 14},
};

static uint32_t intercept_word(const struct svm_vmcb *vmcb, unsigned word)
{
	uint32_t value;

	memcpy(&value, (const char *)vmcb + 0xc + 4 * word, sizeof(value));
	return value;
}

static void test_svm_vcpu_intercepts(void)
{
	uint32_t expected[3] = {0};

	REQUIRE(rig_init(RIG_FEATURES & ~RIG_PAUSE));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(intercepts); i++) {
		uint32_t bit = 1u << intercepts[i].bit;

		expected[intercepts[i].word] |= bit;
		CHECK_MSG(intercept_word(rig_vmcb(0), intercepts[i].word) & bit,
			  "%s is not intercepted", intercepts[i].name);
	}
	for (unsigned word = 0; word < 3; word++)
		CHECK_EQ(intercept_word(rig_vmcb(0), word), expected[word]);
}

static void test_svm_vcpu_register_intercepts(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	/* after RESET CD is set, which the hardware does not have: CR0 is ours, too */
	CHECK_EQ(rig_vmcb(0)->cr_read, 1u << 0 | 1u << 8);
	CHECK_EQ(rig_vmcb(0)->cr_write, 1u << 0 | 1u << 4 | 1u << 8);
	CHECK_EQ(rig_vmcb(0)->dr_read, 0xff);
	CHECK_EQ(rig_vmcb(0)->dr_write, 0xff);
}

/* #DB and #AC can loop inside the CPU; #UD may be Intel's hypercall; #MC is the host's. */
#define OWN_MASK (1u << V3_VEC_DB | 1u << V3_VEC_UD | 1u << V3_VEC_AC | 1u << V3_VEC_MC)

static void test_svm_vcpu_exception_intercepts(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(rig_vmcb(0)->exceptions, OWN_MASK);
	rig.ops->set_exception_mask(&rig.vcpu[0], 1u << V3_VEC_PF | 1u << V3_VEC_DB);
	CHECK_EQ(rig_vmcb(0)->exceptions, OWN_MASK | 1u << V3_VEC_PF);
	rig.ops->set_exception_mask(&rig.vcpu[0], 0);
	CHECK_EQ(rig_vmcb(0)->exceptions, OWN_MASK);
}

static void test_svm_vcpu_pause_only_with_filter(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK(rig_vmcb(0)->misc1 & SVM_MISC1_PAUSE);
	CHECK(rig_vmcb(0)->pause_count > 0 && rig_vmcb(0)->pause_threshold > 0);
}

static void test_svm_vcpu_greedy_takes_no_pause_exits(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->vcpu_destroy(&rig.vcpu[0]);
	rig.vm.yield = V3_YIELD_GREEDY;
	REQUIRE_EQ(rig.ops->vcpu_create(&rig.vcpu[0]), V3_OK);
	CHECK(!(rig_vmcb(0)->misc1 & SVM_MISC1_PAUSE));
	CHECK_EQ(rig_vmcb(0)->pause_count, 0);
}

static void test_svm_vcpu_controls(void)
{
	const struct svm_vm *sm;

	REQUIRE(rig_init(RIG_FEATURES));
	sm = rig.vm.arch_vm;
	CHECK_EQ(rig_vmcb(0)->iopm_pa, sm->iopm_pa);
	CHECK_EQ(rig_vmcb(0)->msrpm_pa, sm->msrpm_pa);
	CHECK_EQ(rig_vmcb(0)->vintr, 1ull << 24); /* V_INTR_MASKING, nothing pending */
	CHECK_EQ(rig_vmcb(0)->np_enable, 1);
	CHECK_EQ(rig_vmcb(0)->lbr_enable, 0);
	CHECK(rig_vmcb(0) != rig_vmcb(1));
}

/* ---- permission maps ---- */

/* 12 KiB: one bit for each port, and the three ports behind 0xffff that a wide access touches. 15.10.1. */
static void test_svm_vcpu_all_ports_are_intercepted(void)
{
	const struct svm_vm *sm;
	const uint8_t *iopm;
	unsigned clear = 0;

	REQUIRE(rig_init(RIG_FEATURES));
	sm = rig.vm.arch_vm;
	CHECK_EQ(sm->iopm_pa & 0xfff, 0);
	iopm = v3_host_pa_to_va(sm->iopm_pa);
	for (unsigned i = 0; i < 0x3000; i++)
		clear += iopm[i] != 0xff;
	CHECK_EQ(clear, 0);
}

static const uint8_t *msrpm(void)
{
	const struct svm_vm *sm = rig.vm.arch_vm;

	return v3_host_pa_to_va(sm->msrpm_pa);
}

static unsigned msrpm_clear_bits(void)
{
	unsigned clear = 0;

	for (unsigned i = 0; i < 0x2000 * 8; i++)
		clear += !(msrpm()[i / 8] >> (i % 8) & 1);
	return clear;
}

/* Where the two bits of an MSR lie, 15.11: byte offset and shift. */
static const struct {
	uint32_t msr;
	uint16_t byte;
	uint8_t shift;
} msr_cases[] = {
	{0x00000000, 0x0000, 0}, {0x00000001, 0x0000, 2}, {0x00000003, 0x0000, 6},
	{0x00000004, 0x0001, 0}, {0x00000174, 0x005d, 0}, {0x00001fff, 0x07ff, 6},
	{0xc0000000, 0x0800, 0}, {0xc0000081, 0x0820, 2}, {0xc0000102, 0x0840, 4},
	{0xc0001fff, 0x0fff, 6}, {0xc0010000, 0x1000, 0}, {0xc0010015, 0x1005, 2},
	{0xc0011fff, 0x17ff, 6},
};

static void test_svm_vcpu_pass_msr(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(msrpm_clear_bits(), 0);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(msr_cases); i++) {
		const uint8_t *byte = msrpm() + msr_cases[i].byte;
		unsigned shift = msr_cases[i].shift;

		CHECK_EQ(rig.ops->pass_msr(&rig.vm, msr_cases[i].msr, false, false), V3_OK);
		CHECK_EQ(msrpm_clear_bits(), 2 * i);
		CHECK_EQ(rig.ops->pass_msr(&rig.vm, msr_cases[i].msr, true, false), V3_OK);
		CHECK_MSG((*byte >> shift & 3) == 2, "MSR %#x: read bit", msr_cases[i].msr);
		CHECK_EQ(msrpm_clear_bits(), 2 * i + 1);
		CHECK_EQ(rig.ops->pass_msr(&rig.vm, msr_cases[i].msr, false, true), V3_OK);
		CHECK_MSG((*byte >> shift & 3) == 0, "MSR %#x: write bit", msr_cases[i].msr);
		CHECK_EQ(msrpm_clear_bits(), 2 * i + 2);
	}
}

static void test_svm_vcpu_pass_msr_write_only(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(rig.ops->pass_msr(&rig.vm, 0xc0000101, false, true), V3_OK);
	CHECK_EQ(msrpm()[0x840], 0xff & ~(2u << 2));
	CHECK_EQ(msrpm_clear_bits(), 1);
}

/* Those outside the map always exit. */
static void test_svm_vcpu_pass_msr_outside_the_map(void)
{
	static const uint32_t outside[] = {0x2000,     0x40000000, 0xbfffffff, 0xc0002000,
					   0xc000ffff, 0xc0012000, 0xffffffff};

	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(outside); i++)
		CHECK_EQ(rig.ops->pass_msr(&rig.vm, outside[i], true, true), V3_ENOTSUP);
	CHECK_EQ(msrpm_clear_bits(), 0);
}

/* ---- registers ---- */

/* Segment registers at their places in the save area, appendix B table B-2. */
static const uint16_t seg_offset[V3_NSEG] = {
	[V3_ES] = 0x400, [V3_CS] = 0x410, [V3_SS] = 0x420,   [V3_DS] = 0x430,
	[V3_FS] = 0x440, [V3_GS] = 0x450, [V3_LDTR] = 0x470, [V3_TR] = 0x490,
};

static void test_svm_vcpu_segments(void)
{
	struct v3_seg seg, back;

	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned i = 0; i < V3_NSEG; i++) {
		const uint8_t *raw = (const uint8_t *)rig_vmcb(0) + seg_offset[i];

		seg = (struct v3_seg){.sel = (uint16_t)(0x1100 + i),
				      .attr = (uint16_t)(0xa90 + i),
				      .limit = 0x33330000 + i,
				      .base = 0xffff888800000000ull + i};
		rig.ops->set_seg(&rig.vcpu[0], (enum v3_seg_num)i, &seg);
		CHECK_EQ(raw[0] | raw[1] << 8, 0x1100 + i);
		CHECK_EQ(raw[2] | raw[3] << 8, 0xa90 + i);
		CHECK_MEM(raw + 4, &seg.limit, 4);
		CHECK_MEM(raw + 8, &seg.base, 8);
		memset(&back, 0, sizeof(back));
		rig.ops->get_seg(&rig.vcpu[0], (enum v3_seg_num)i, &back);
		CHECK_MEM(&back, &seg, sizeof(seg));
	}
	CHECK_EQ(rig.vcpu[0].cs.sel, 0x1100 + V3_CS);
}

static void test_svm_vcpu_descriptor_tables(void)
{
	const struct v3_dtr gdtr = {0xffff800000001000ull, 0x7f}, idtr = {0x2000, 0xfff};
	struct v3_dtr back = {0};

	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->set_dtr(&rig.vcpu[0], false, &gdtr);
	rig.ops->set_dtr(&rig.vcpu[0], true, &idtr);
	CHECK_MEM((const uint8_t *)rig_vmcb(0) + 0x468, &gdtr.base, 8);
	CHECK_MEM((const uint8_t *)rig_vmcb(0) + 0x488, &idtr.base, 8);
	rig.ops->get_dtr(&rig.vcpu[0], false, &back);
	CHECK_EQ(back.base, gdtr.base);
	CHECK_EQ(back.limit, 0x7f);
	rig.ops->get_dtr(&rig.vcpu[0], true, &back);
	CHECK_EQ(back.base, 0x2000);
	CHECK_EQ(back.limit, 0xfff);
}

/* Running uncached would slow the CPU down for everybody: the hardware never gets CD, the guest sees it. */
static void test_svm_vcpu_cr0_cache_disable_is_hidden(void)
{
	const uint64_t cr0 = V3_CR0_PE | V3_CR0_ET | V3_CR0_PG;
	struct v3_vcpu *vcpu = &rig.vcpu[0];

	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->set_cr(vcpu, 0, cr0 | V3_CR0_CD);
	CHECK_EQ(rig_vmcb(0)->cr0, cr0);
	CHECK_EQ(vcpu->cr0, cr0 | V3_CR0_CD);
	CHECK(rig_vmcb(0)->cr_read & 1);
	rig.ops->set_cr(vcpu, 0, cr0 | V3_CR0_CD | V3_CR0_NW);
	CHECK_EQ(rig_vmcb(0)->cr0, cr0);
	rig_enter(0);
	CHECK_EQ(vcpu->cr0, cr0 | V3_CR0_CD | V3_CR0_NW);
}

/* Clearing CD again changes nothing in the hardware's CR0, so the selective intercept would miss it. */
static void test_svm_vcpu_cr0_writes_exit_while_cache_disable_is_hidden(void)
{
	const uint64_t cr0 = V3_CR0_PE | V3_CR0_ET | V3_CR0_PG;

	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->set_cr(&rig.vcpu[0], 0, cr0 | V3_CR0_CD);
	CHECK(rig_vmcb(0)->cr_write & 1);
	rig.ops->set_cr(&rig.vcpu[0], 0, cr0);
	CHECK(!(rig_vmcb(0)->cr_write & 1));
	CHECK(!(rig_vmcb(0)->cr_read & 1));
	CHECK_EQ(rig_vmcb(0)->cr_read, 1u << 8);
	CHECK_EQ(rig_vmcb(0)->cr_write, 1u << 4 | 1u << 8);
}

static void test_svm_vcpu_control_registers(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];

	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->set_cr(vcpu, 2, 0x1111);
	rig.ops->set_cr(vcpu, 3, 0x2000);
	rig.ops->set_cr(vcpu, 4, V3_CR4_PAE | V3_CR4_PGE);
	rig.ops->set_cr(vcpu, 8, 7);
	CHECK_EQ(rig_vmcb(0)->cr2, 0x1111);
	CHECK_EQ(rig_vmcb(0)->cr3, 0x2000);
	CHECK_EQ(rig_vmcb(0)->cr4, V3_CR4_PAE | V3_CR4_PGE);
	CHECK_EQ(rig_vmcb(0)->vintr & 0xff, 0); /* CR8 never reaches the hardware */
	CHECK_EQ(vcpu->cr2, 0x1111);
	CHECK_EQ(vcpu->cr3, 0x2000);
	CHECK_EQ(vcpu->cr4, V3_CR4_PAE | V3_CR4_PGE);
	CHECK_EQ(vcpu->cr8, 7);
}

/* VMRUN needs SVME in the guest's EFER; the guest never sees it. */
static void test_svm_vcpu_svme_is_set_and_hidden(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(rig_vmcb(0)->efer, V3_EFER_SVME);
	CHECK_EQ(rig.vcpu[0].efer, 0);
	rig.ops->set_efer(&rig.vcpu[0], V3_EFER_LME | V3_EFER_SCE);
	CHECK_EQ(rig_vmcb(0)->efer, V3_EFER_SVME | V3_EFER_LME | V3_EFER_SCE);
	CHECK_EQ(rig.vcpu[0].efer, V3_EFER_LME | V3_EFER_SCE);
	rig_enter(0);
	CHECK_EQ(rig.vcpu[0].efer, V3_EFER_LME | V3_EFER_SCE);
	CHECK_EQ(msrpm()[0x820] & 3, 3); /* EFER exits */
}

static void test_svm_vcpu_debug_registers(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned i = 0; i < 4; i++)
		rig.ops->set_dr(&rig.vcpu[0], i, 0xabc0 + i);
	rig.ops->set_dr(&rig.vcpu[0], 6, 0xffff4ff0);
	rig.ops->set_dr(&rig.vcpu[0], 7, 0x402);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(rig.ops->get_dr(&rig.vcpu[0], i), 0xabc0 + i);
	CHECK_EQ(rig.ops->get_dr(&rig.vcpu[0], 6), 0xffff4ff0);
	CHECK_EQ(rig.ops->get_dr(&rig.vcpu[0], 7), 0x402);
	CHECK_EQ(rig_vmcb(0)->dr6, 0xffff4ff0);
	CHECK_EQ(rig_vmcb(0)->dr7, 0x402);
}

/* MSRs of the save area, appendix B table B-2. */
static const struct {
	uint32_t msr;
	uint16_t offset;
} kept_msrs[] = {
	{V3_MSR_STAR, 0x600},	      {V3_MSR_LSTAR, 0x608},	      {V3_MSR_CSTAR, 0x610},
	{V3_MSR_SFMASK, 0x618},	      {V3_MSR_KERNEL_GS_BASE, 0x620}, {V3_MSR_SYSENTER_CS, 0x628},
	{V3_MSR_SYSENTER_ESP, 0x630}, {V3_MSR_SYSENTER_EIP, 0x638},   {V3_MSR_PAT, 0x668},
	{V3_MSR_FS_BASE, 0x448},      {V3_MSR_GS_BASE, 0x458},
};

static void test_svm_vcpu_msrs_of_the_save_area(void)
{
	uint64_t value, back;

	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(kept_msrs); i++) {
		value = 0xffff800000000000ull + kept_msrs[i].msr;
		CHECK_EQ(rig.ops->set_msr(&rig.vcpu[0], kept_msrs[i].msr, value), V3_OK);
		CHECK_MEM((const uint8_t *)rig_vmcb(0) + kept_msrs[i].offset, &value, 8);
		back = 0;
		CHECK_EQ(rig.ops->get_msr(&rig.vcpu[0], kept_msrs[i].msr, &back), V3_OK);
		CHECK_EQ(back, value);
	}
}

static void test_svm_vcpu_other_msrs_are_not_kept(void)
{
	static const uint32_t others[] = {V3_MSR_EFER, V3_MSR_APIC_BASE, V3_MSR_TSC_AUX, 0};
	uint64_t value = 0x55;

	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(others); i++) {
		CHECK_EQ(rig.ops->get_msr(&rig.vcpu[0], others[i], &value), V3_ENOENT);
		CHECK_EQ(rig.ops->set_msr(&rig.vcpu[0], others[i], 1), V3_ENOENT);
	}
	CHECK_EQ(value, 0x55);
}

/* ---- RESET and INIT ---- */

static const struct {
	enum v3_seg_num num;
	uint16_t sel, attr;
	uint64_t base;
} reset_segs[] = {
	{V3_CS, 0xf000, 0x9b, 0xffff0000},
	{V3_DS, 0, 0x93, 0},
	{V3_ES, 0, 0x93, 0},
	{V3_FS, 0, 0x93, 0},
	{V3_GS, 0, 0x93, 0},
	{V3_SS, 0, 0x93, 0},
	{V3_LDTR, 0, 0x82, 0},
	{V3_TR, 0, 0x8b, 0},
};

/* What table 14-1 says of both. */
static void check_reset_state(struct v3_vcpu *vcpu)
{
	struct v3_dtr dtr;
	struct v3_seg seg;

	for (unsigned i = 0; i < V3_NGPR; i++) {
		if (i != V3_RDX) /* family, model, stepping */
			CHECK_EQ(vcpu->regs.gpr[i], 0);
	}
	CHECK_EQ(vcpu->regs.gpr[V3_RDX], v3_cpuid_leaf(vcpu, 1)->eax);
	CHECK(vcpu->regs.gpr[V3_RDX] != 0);
	CHECK_EQ(vcpu->regs.rip, 0xfff0);
	CHECK_EQ(vcpu->regs.rflags, 2);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(reset_segs); i++) {
		rig.ops->get_seg(vcpu, reset_segs[i].num, &seg);
		CHECK_EQ(seg.sel, reset_segs[i].sel);
		CHECK_EQ(seg.attr, reset_segs[i].attr);
		CHECK_EQ(seg.base, reset_segs[i].base);
		CHECK_EQ(seg.limit, 0xffff);
	}
	CHECK_EQ(vcpu->cs.base, 0xffff0000);
	CHECK_EQ(vcpu->cpl, 0);
	for (unsigned idt = 0; idt < 2; idt++) {
		rig.ops->get_dtr(vcpu, idt, &dtr);
		CHECK_EQ(dtr.base, 0);
		CHECK_EQ(dtr.limit, 0xffff);
	}
	CHECK_EQ(vcpu->cr2, 0);
	CHECK_EQ(vcpu->cr3, 0);
	CHECK_EQ(vcpu->cr4, 0);
	CHECK_EQ(vcpu->cr8, 0);
	CHECK_EQ(vcpu->efer, 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(rig.ops->get_dr(vcpu, i), 0);
	CHECK_EQ(rig.ops->get_dr(vcpu, 6), 0xffff0ff0);
	CHECK_EQ(rig.ops->get_dr(vcpu, 7), 0x400);
}

static void test_svm_vcpu_state_after_reset(void)
{
	uint64_t value;

	REQUIRE(rig_init(RIG_FEATURES));
	check_reset_state(&rig.vcpu[0]);
	CHECK_EQ(rig.vcpu[0].cr0, 0x60000010);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(kept_msrs); i++) {
		CHECK_EQ(rig.ops->get_msr(&rig.vcpu[0], kept_msrs[i].msr, &value), V3_OK);
		CHECK_EQ(value, kept_msrs[i].msr == V3_MSR_PAT ? 0x0007040600070406ull : 0);
	}
}

/* A vcpu in the middle of everything. */
static void dirty_state(struct v3_vcpu *vcpu)
{
	const struct v3_event nmi = {.type = V3_EVENT_NMI, .vector = 2};
	const struct v3_seg seg = {.sel = 0x10, .attr = 0xa93, .limit = ~0u, .base = 0x1000};
	const struct v3_dtr dtr = {0x5000, 0x7f};

	memset(&vcpu->regs, 0x5a, sizeof(vcpu->regs));
	for (unsigned i = 0; i < V3_NSEG; i++)
		rig.ops->set_seg(vcpu, (enum v3_seg_num)i, &seg);
	rig.ops->set_dtr(vcpu, false, &dtr);
	rig.ops->set_dtr(vcpu, true, &dtr);
	rig.ops->set_cpl(vcpu, 3);
	rig.ops->set_cr(vcpu, 2, 0x1000);
	rig.ops->set_cr(vcpu, 3, 0x2000);
	rig.ops->set_cr(vcpu, 4, V3_CR4_PAE);
	rig.ops->set_cr(vcpu, 8, 3);
	rig.ops->set_efer(vcpu, V3_EFER_LME | V3_EFER_LMA);
	for (unsigned i = 0; i < 4; i++)
		rig.ops->set_dr(vcpu, i, 0x7000);
	rig.ops->set_dr(vcpu, 6, 0xffff0ff1);
	rig.ops->set_dr(vcpu, 7, 0x4ff);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(kept_msrs) - 2; i++)
		CHECK_EQ(rig.ops->set_msr(vcpu, kept_msrs[i].msr, 0x0101010101010101ull), V3_OK);
	rig.ops->want_intr_window(vcpu, 0x30);
	rig.ops->inject(vcpu, &nmi);
	((struct svm_vcpu *)vcpu->arch_vcpu)->vmcb->shadow = 1;
}

static void check_nothing_pending(void)
{
	CHECK_EQ(rig_vmcb(0)->eventinj, 0);
	CHECK_EQ(rig_vmcb(0)->shadow, 0);
	CHECK_EQ(rig_vmcb(0)->vintr, SVM_VINTR_MASKING);
	CHECK(!(rig_vmcb(0)->misc1 & SVM_MISC1_IRET));
}

static void test_svm_vcpu_reset_again(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];
	uint64_t value;

	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->set_cr(vcpu, 0, V3_CR0_PE | V3_CR0_PG | V3_CR0_ET);
	dirty_state(vcpu);
	rig.ops->vcpu_reset(vcpu, false);
	check_reset_state(vcpu);
	CHECK_EQ(vcpu->cr0, 0x60000010);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(kept_msrs); i++) {
		CHECK_EQ(rig.ops->get_msr(vcpu, kept_msrs[i].msr, &value), V3_OK);
		CHECK_EQ(value, kept_msrs[i].msr == V3_MSR_PAT ? 0x0007040600070406ull : 0);
	}
	check_nothing_pending();
}

/* INIT keeps CD and NW of CR0, and the MSRs but EFER and the segment bases. */
static void test_svm_vcpu_init(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];
	uint64_t value;

	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->set_cr(vcpu, 0, V3_CR0_PE | V3_CR0_PG | V3_CR0_ET);
	dirty_state(vcpu);
	rig.ops->vcpu_reset(vcpu, true);
	check_reset_state(vcpu);
	CHECK_EQ(vcpu->cr0, V3_CR0_ET);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(kept_msrs) - 2; i++) {
		CHECK_EQ(rig.ops->get_msr(vcpu, kept_msrs[i].msr, &value), V3_OK);
		CHECK_EQ(value, 0x0101010101010101ull);
	}
	check_nothing_pending();

	rig.ops->set_cr(vcpu, 0, V3_CR0_PE | V3_CR0_ET | V3_CR0_CD);
	rig.ops->vcpu_reset(vcpu, true);
	CHECK_EQ(vcpu->cr0, V3_CR0_ET | V3_CR0_CD);
}

static void dump_line(void *priv, const char *line)
{
	(void)priv;
	v3_log(NULL, V3_LOG_ERR, "dump", "%s", line);
}

static void test_svm_vcpu_dump(void)
{
	const struct v3_text text = {dump_line, NULL};

	REQUIRE(rig_init(RIG_FEATURES));
	rig_exit(SVM_EXIT_NPF, 0x100000006, 0xfee00000);
	rig.ops->dump(&rig.vcpu[0], &text);
	CHECK(fake_log_contains("exit 0x400 info 0x100000006 0xfee00000"));
	CHECK(fake_log_contains("efer 0x1000"));
	CHECK(fake_log_contains("dr6 0xffff0ff0 dr7 0x400"));
}

static const struct tap_test tests[] = {
	TAP(test_svm_vcpu_intercepts),
	TAP(test_svm_vcpu_register_intercepts),
	TAP(test_svm_vcpu_exception_intercepts),
	TAP(test_svm_vcpu_pause_only_with_filter),
	TAP(test_svm_vcpu_greedy_takes_no_pause_exits),
	TAP(test_svm_vcpu_controls),
	TAP(test_svm_vcpu_all_ports_are_intercepted),
	TAP(test_svm_vcpu_pass_msr),
	TAP(test_svm_vcpu_pass_msr_write_only),
	TAP(test_svm_vcpu_pass_msr_outside_the_map),
	TAP(test_svm_vcpu_segments),
	TAP(test_svm_vcpu_descriptor_tables),
	TAP(test_svm_vcpu_cr0_cache_disable_is_hidden),
	TAP(test_svm_vcpu_cr0_writes_exit_while_cache_disable_is_hidden),
	TAP(test_svm_vcpu_control_registers),
	TAP(test_svm_vcpu_svme_is_set_and_hidden),
	TAP(test_svm_vcpu_debug_registers),
	TAP(test_svm_vcpu_msrs_of_the_save_area),
	TAP(test_svm_vcpu_other_msrs_are_not_kept),
	TAP(test_svm_vcpu_state_after_reset),
	TAP(test_svm_vcpu_reset_again),
	TAP(test_svm_vcpu_init),
	TAP(test_svm_vcpu_dump),
};
TAP_MAIN(tests)
