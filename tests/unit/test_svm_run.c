/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_svm_run.c
 * SVM back end, one entry: address-space ids and TLB control, clean bits, debug registers, the
 * branch-predictor barrier. AMD APM vol. 2 15.15, 15.16, 13.1.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "svm_rig.h"
#include "tap.h"

/* ---- address-space ids ---- */

static void check_entry(unsigned vcpu, uint32_t asid, uint8_t tlb_control)
{
	CHECK_EQ(rig_enter(vcpu), V3_OK);
	CHECK_EQ(rig.entered.asid, asid);
	CHECK_EQ(rig.entered.tlb_control, tlb_control);
}

/* The first id handed out on a CPU flushes what ran there before; no further flush is needed. */
static void test_svm_run_asids_are_assigned_in_order(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	check_entry(0, 1, SVM_TLB_ALL);
	check_entry(1, 2, SVM_TLB_NOTHING);
	check_entry(2, 3, SVM_TLB_NOTHING);
	check_entry(0, 1, SVM_TLB_NOTHING);
	check_entry(1, 2, SVM_TLB_NOTHING);
}

/* With all ids in use, a new one starts a generation: everybody gets a new id, the TLB is flushed once. */
static void test_svm_run_asid_roll_over_flushes_all(void)
{
	REQUIRE(rig_init(RIG_FEATURES & ~RIG_FLUSH));
	check_entry(0, 1, SVM_TLB_ALL);
	check_entry(1, 2, SVM_TLB_NOTHING);
	check_entry(2, 3, SVM_TLB_NOTHING);
	rig.ops->flush(&rig.vcpu[1]);
	check_entry(1, 1, SVM_TLB_ALL);
	check_entry(0, 2, SVM_TLB_NOTHING);
	check_entry(2, 3, SVM_TLB_NOTHING);
	check_entry(1, 1, SVM_TLB_NOTHING);
}

static void test_svm_run_flush_by_asid(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	check_entry(0, 1, SVM_TLB_ALL);
	check_entry(1, 2, SVM_TLB_NOTHING);
	rig.ops->flush(&rig.vcpu[0]);
	check_entry(1, 2, SVM_TLB_NOTHING);
	check_entry(0, 1, SVM_TLB_THIS);
	check_entry(0, 1, SVM_TLB_NOTHING);
}

static void test_svm_run_flush_without_flush_by_asid_takes_a_new_asid(void)
{
	REQUIRE(rig_init(RIG_FEATURES & ~RIG_FLUSH));
	check_entry(0, 1, SVM_TLB_ALL);
	rig.ops->flush(&rig.vcpu[0]);
	check_entry(0, 2, SVM_TLB_NOTHING);
	check_entry(0, 2, SVM_TLB_NOTHING);
}

static void test_svm_run_new_nested_root_flushes(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	check_entry(0, 1, SVM_TLB_ALL);
	rig.ops->set_nested_root(&rig.vcpu[0], 0x123000);
	check_entry(0, 1, SVM_TLB_THIS);
	CHECK_EQ(rig.entered.ncr3, 0x123000);
}

/* An id is valid on one CPU only: there and back again takes a new one each time. */
static void test_svm_run_move_to_another_cpu(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	check_entry(0, 1, SVM_TLB_ALL);
	fake_cpu_set(1);
	check_entry(0, 1, SVM_TLB_ALL); /* CPU 1's first */
	CHECK_EQ(rig.entered.clean, 0);
	fake_cpu_set(0);
	check_entry(0, 2, SVM_TLB_NOTHING);
	CHECK_EQ(rig.entered.clean, 0);
	check_entry(0, 2, SVM_TLB_NOTHING);
	CHECK_EQ(rig.entered.clean, SVM_CLEAN_ALL);
}

static void refuse(unsigned vcpu)
{
	unsigned entries = rig.entries;

	rig.vcpu[vcpu].requests = V3_REQ_IRQ;
	CHECK_EQ(rig_enter(vcpu), V3_EAGAIN);
	CHECK_EQ(rig.entries, entries);
	rig.vcpu[vcpu].requests = 0;
}

static void test_svm_run_refusal_keeps_the_flush(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	check_entry(0, 1, SVM_TLB_ALL);
	rig.ops->flush(&rig.vcpu[0]);
	refuse(0);
	refuse(0);
	check_entry(0, 1, SVM_TLB_THIS);
	check_entry(0, 1, SVM_TLB_NOTHING);
}

static void test_svm_run_refusal_keeps_the_full_flush(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	refuse(0);
	check_entry(0, 1, SVM_TLB_ALL);
}

/* The request that refuses the entry may itself be a flush: it must not weaken the one that waits. */
static void test_svm_run_flush_after_refusal_keeps_the_full_flush(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	refuse(0);
	rig.ops->flush(&rig.vcpu[0]);
	check_entry(0, 1, SVM_TLB_ALL);
}

static void test_svm_run_flush_after_refusal_without_flush_by_asid(void)
{
	REQUIRE(rig_init(RIG_FEATURES & ~RIG_FLUSH));
	refuse(0);
	rig.ops->flush(&rig.vcpu[0]);
	check_entry(0, 2, SVM_TLB_ALL);
}

/* The new generation's ids are clean only after the flush was done: whoever enters first does it. */
static void test_svm_run_full_flush_is_done_by_whoever_enters_first(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	refuse(0);
	check_entry(1, 2, SVM_TLB_ALL);
}

static void test_svm_run_full_flush_survives_a_move(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	refuse(0);
	fake_cpu_set(1);
	check_entry(0, 1, SVM_TLB_ALL);
	fake_cpu_set(0);
	check_entry(1, 2, SVM_TLB_ALL);
}

/* ---- clean bits ---- */

enum { CLEAN_NVALUES = 24 };

static void set_rip(struct v3_vcpu *vcpu)
{
	vcpu->regs.rip = 0x1234; /* and RAX, RSP, RFLAGS: never cached */
}
static void set_cr0(struct v3_vcpu *vcpu)
{
	rig.ops->set_cr(vcpu, 0, V3_CR0_PE | V3_CR0_ET);
}
static void set_cr2(struct v3_vcpu *vcpu)
{
	rig.ops->set_cr(vcpu, 2, 0x1000);
}
static void set_cr3(struct v3_vcpu *vcpu)
{
	rig.ops->set_cr(vcpu, 3, 0x2000);
}
static void set_cr4(struct v3_vcpu *vcpu)
{
	rig.ops->set_cr(vcpu, 4, V3_CR4_PAE);
}
static void set_cr8(struct v3_vcpu *vcpu)
{
	rig.ops->set_cr(vcpu, 8, 5);
}
static void set_efer(struct v3_vcpu *vcpu)
{
	rig.ops->set_efer(vcpu, V3_EFER_NXE);
}
static void set_ds(struct v3_vcpu *vcpu)
{
	const struct v3_seg seg = {.sel = 8};

	rig.ops->set_seg(vcpu, V3_DS, &seg);
}
static void set_cpl(struct v3_vcpu *vcpu)
{
	rig.ops->set_cpl(vcpu, 3);
}
static void set_gdtr(struct v3_vcpu *vcpu)
{
	const struct v3_dtr dtr = {0x1000, 0x7f};

	rig.ops->set_dtr(vcpu, false, &dtr);
}
static void set_idtr(struct v3_vcpu *vcpu)
{
	const struct v3_dtr dtr = {0x1000, 0x7f};

	rig.ops->set_dtr(vcpu, true, &dtr);
}
static void set_dr6(struct v3_vcpu *vcpu)
{
	rig.ops->set_dr(vcpu, 6, 0xffff0ff1);
}
static void set_dr7(struct v3_vcpu *vcpu)
{
	rig.ops->set_dr(vcpu, 7, 0x401);
}
static void set_pat(struct v3_vcpu *vcpu)
{
	rig.ops->set_msr(vcpu, V3_MSR_PAT, 0x0606060606060606);
}
static void set_lstar(struct v3_vcpu *vcpu)
{
	rig.ops->set_msr(vcpu, V3_MSR_LSTAR, 0xffffffff81000000);
}
static void set_root(struct v3_vcpu *vcpu)
{
	rig.ops->set_nested_root(vcpu, 0x7000);
}
static void set_tsc_offset(struct v3_vcpu *vcpu)
{
	rig.ops->set_tsc_offset(vcpu, 99);
}
static void set_exceptions(struct v3_vcpu *vcpu)
{
	rig.ops->set_exception_mask(vcpu, 1u << V3_VEC_PF);
}
static void want_window(struct v3_vcpu *vcpu)
{
	rig.ops->want_intr_window(vcpu, 0x30);
}
static void inject_nmi(struct v3_vcpu *vcpu)
{
	const struct v3_event ev = {.type = V3_EVENT_NMI, .vector = 2};

	rig.ops->inject(vcpu, &ev);
}
static void inject_intr(struct v3_vcpu *vcpu)
{
	const struct v3_event ev = {.type = V3_EVENT_INTR, .vector = 0x40};

	rig.ops->inject(vcpu, &ev); /* EVENTINJ is never cached */
}
static void inject_pf(struct v3_vcpu *vcpu)
{
	const struct v3_event ev = {
		.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_PF, .has_error = 1, .cr2 = 0x5000};

	rig.ops->inject(vcpu, &ev);
}
static void clear_shadow(struct v3_vcpu *vcpu)
{
	rig.ops->clear_shadow(vcpu);
}
static void take_new_asid(struct v3_vcpu *vcpu)
{
	rig_svm()->flush_by_asid = false;
	rig.ops->flush(vcpu);
}

/* What must be reloaded after each change: the groups of 15.15.3, no more (each costs) and no less. */
static const struct {
	const char *name;
	void (*change)(struct v3_vcpu *vcpu);
	uint32_t dirty;
} clean_cases[] = {
	{"RIP", set_rip, 0},
	{"CR0", set_cr0, SVM_CLEAN_CRX | SVM_CLEAN_INTERCEPTS},
	{"CR2", set_cr2, SVM_CLEAN_CR2},
	{"CR3", set_cr3, SVM_CLEAN_CRX},
	{"CR4", set_cr4, SVM_CLEAN_CRX},
	{"CR8", set_cr8, 0},
	{"EFER", set_efer, SVM_CLEAN_CRX},
	{"DS", set_ds, SVM_CLEAN_SEG},
	{"CPL", set_cpl, SVM_CLEAN_SEG},
	{"GDTR", set_gdtr, SVM_CLEAN_DT},
	{"IDTR", set_idtr, SVM_CLEAN_DT},
	{"DR6", set_dr6, SVM_CLEAN_DRX},
	{"DR7", set_dr7, SVM_CLEAN_DRX},
	{"PAT", set_pat, SVM_CLEAN_NP},
	{"LSTAR", set_lstar, 0},
	{"nested root", set_root, SVM_CLEAN_NP},
	{"TSC offset", set_tsc_offset, SVM_CLEAN_INTERCEPTS},
	{"exception mask", set_exceptions, SVM_CLEAN_INTERCEPTS},
	{"interrupt window", want_window, SVM_CLEAN_TPR},
	{"NMI", inject_nmi, SVM_CLEAN_INTERCEPTS},
	{"interrupt", inject_intr, 0},
	{"#PF", inject_pf, SVM_CLEAN_CR2},
	{"shadow", clear_shadow, 0},
	{"ASID", take_new_asid, SVM_CLEAN_ASID},
};
_Static_assert(V3_ARRAY_SIZE(clean_cases) == CLEAN_NVALUES, "one case per setter");

static void test_svm_run_setters_dirty_their_group(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.clean, 0); /* nothing is cached yet */
	for (unsigned i = 0; i < V3_ARRAY_SIZE(clean_cases); i++) {
		CHECK_EQ(rig_enter(0), V3_OK);
		CHECK_EQ(rig.entered.clean, SVM_CLEAN_ALL);
		clean_cases[i].change(&rig.vcpu[0]);
		CHECK_EQ(rig_enter(0), V3_OK);
		CHECK_MSG(rig.entered.clean == (SVM_CLEAN_ALL & ~clean_cases[i].dirty),
			  "%s: clean %#llx, expected %#x", clean_cases[i].name,
			  (unsigned long long)rig.entered.clean,
			  SVM_CLEAN_ALL & ~clean_cases[i].dirty);
	}
}

static void test_svm_run_clean_is_zero_without_the_feature(void)
{
	REQUIRE(rig_init(RIG_FEATURES & ~RIG_CLEAN));
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(rig_enter(0), V3_OK);
		CHECK_EQ(rig.entered.clean, 0);
	}
}

static void test_svm_run_refusal_keeps_groups_dirty(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(rig_enter(0), V3_OK);
	set_idtr(&rig.vcpu[0]);
	refuse(0);
	set_cr3(&rig.vcpu[0]);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.clean, SVM_CLEAN_ALL & ~(SVM_CLEAN_DT | SVM_CLEAN_CRX));
}

static void test_svm_run_reset_dirties_all(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(rig_enter(0), V3_OK);
	rig.ops->vcpu_reset(&rig.vcpu[0], true);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.clean, 0);
}

/* The exit that reports a window changes the VMCB, too. */
static void test_svm_run_window_exit_dirties_its_group(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	CHECK_EQ(rig_enter(0), V3_OK);
	rig.ops->want_intr_window(&rig.vcpu[0], 0x30);
	rig_exit(SVM_EXIT_VINTR, 0, 0);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.clean, SVM_CLEAN_ALL & ~SVM_CLEAN_TPR);
}

/* ---- debug registers ---- */

static void set_host_dr(uint64_t dr7)
{
	fake_instr_write_dr(7, 0x400);
	for (unsigned i = 0; i < 4; i++)
		fake_instr_write_dr(i, 0x1000 + i);
	fake_instr_write_dr(7, dr7);
}

static void set_guest_dr(uint64_t dr7)
{
	for (unsigned i = 0; i < 4; i++)
		rig.ops->set_dr(&rig.vcpu[0], i, 0xffff0000 + i);
	rig.ops->set_dr(&rig.vcpu[0], 7, dr7);
}

static void check_host_dr(uint64_t dr7)
{
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(fake_instr_read_dr(i), 0x1000 + i);
	CHECK_EQ(fake_instr_read_dr(7), dr7);
}

static void test_svm_run_dr_not_switched_while_guest_enables_nothing(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	set_host_dr(0x400);
	set_guest_dr(0x400);
	CHECK_EQ(rig_enter(0), V3_OK);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(rig.dr[i], 0x1000 + i);
	check_host_dr(0x400);
}

/* Each of the eight enable bits is enough. */
static void test_svm_run_dr_switched_while_guest_enables_one(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned bit = 0; bit < 8; bit++) {
		set_host_dr(0x400);
		set_guest_dr(0x400 | 1u << bit);
		CHECK_EQ(rig_enter(0), V3_OK);
		CHECK_EQ(rig.entered.dr7, 0x400 | 1u << bit);
		for (unsigned i = 0; i < 4; i++)
			CHECK_EQ(rig.dr[i], 0xffff0000 + i);
		check_host_dr(0x400);
	}
}

static void test_svm_run_host_breakpoints_are_restored(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	set_host_dr(0x402);
	CHECK_EQ(rig_enter(0), V3_OK);
	check_host_dr(0x402);
	set_guest_dr(0x4ff);
	set_host_dr(0x402);
	CHECK_EQ(rig_enter(0), V3_OK);
	check_host_dr(0x402);
}

static void test_svm_run_host_breakpoints_are_restored_after_refusal(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	set_host_dr(0x402);
	refuse(0);
	check_host_dr(0x402);
	set_guest_dr(0x4ff);
	refuse(0);
	check_host_dr(0x402);
}

/* The guest chooses the addresses: they must never be the host's breakpoints. */
static void test_svm_run_guest_addresses_are_no_host_breakpoints(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	set_host_dr(0x402);
	set_guest_dr(0x4ff);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.host_dr7 & 0xff, 0);
	CHECK_EQ(fake_dr_live_writes(), 0);
	refuse(0);
	CHECK_EQ(fake_dr_live_writes(), 0);
	check_host_dr(0x402);
}

/* ---- TSC ratio ---- */

/* It is the CPU's: written when a VM with another one takes over, and when virtualization is switched off. */
static void test_svm_run_tsc_ratio(void)
{
	struct v3_vm scaled;

	REQUIRE(rig_init(RIG_FEATURES | RIG_TSC));
	rig_enter(0);
	CHECK_EQ(fake_msr_writes(SVM_MSR_TSC_RATIO), 0);
	scaled = rig.vm;
	scaled.time.tsc_ratio = 0x80000000;
	rig.vcpu[1].vm = &scaled;
	rig_enter(1);
	CHECK_EQ(fake_msr_get(SVM_MSR_TSC_RATIO), 0x80000000);
	rig_enter(1);
	CHECK_EQ(fake_msr_writes(SVM_MSR_TSC_RATIO), 1);
	rig_enter(0);
	CHECK_EQ(fake_msr_get(SVM_MSR_TSC_RATIO), 1ull << 32);
	fake_cpu_set(1);
	rig_enter(1);
	CHECK_EQ(fake_msr_get(SVM_MSR_TSC_RATIO), 0x80000000);
	rig.ops->cpu_disable(v3_lib.arch_state);
	CHECK_EQ(fake_msr_get(SVM_MSR_TSC_RATIO), RIG_TSC_FOUND);
	rig.vcpu[1].vm = &rig.vm;
}

/* ---- branch-predictor barrier ---- */

static void use_ibpb(bool yes)
{
	rig_svm()->ibpb = yes;
	for (uint32_t i = RIG_NCPUS; i-- > 0;) {
		fake_cpu_set(i);
		fake_msr_set(V3_MSR_PRED_CMD, 0);
	}
}

static void test_svm_run_barrier_on_change_of_vcpu_only(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	use_ibpb(true);
	rig_enter(0);
	rig_enter(0);
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 0);
	rig_enter(1);
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 1);
	CHECK_EQ(fake_msr_get(V3_MSR_PRED_CMD), 1);
	rig_enter(1);
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 1);
	rig_enter(0);
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 2);
}

static void test_svm_run_barrier_is_per_cpu(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	use_ibpb(true);
	rig_enter(0);
	fake_cpu_set(1);
	rig_enter(1);
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 0);
	rig_enter(0); /* new to this CPU */
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 1);
	fake_cpu_set(0);
	rig_enter(0);
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 0);
}

static void test_svm_run_no_barrier_without_ibpb(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	use_ibpb(false);
	rig_enter(0);
	rig_enter(1);
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 0);
}

/* A new vcpu may lie where a destroyed one was: it is another one all the same. */
static void test_svm_run_barrier_after_destroy(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	use_ibpb(true);
	rig_enter(0);
	rig.ops->vcpu_destroy(&rig.vcpu[0]);
	CHECK(rig_svm()->cpu[0].last_vcpu && rig_svm()->cpu[0].last_vcpu != rig_sv(1));
	rig_enter(1);
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 1);
}

static const struct tap_test tests[] = {
	TAP(test_svm_run_asids_are_assigned_in_order),
	TAP(test_svm_run_asid_roll_over_flushes_all),
	TAP(test_svm_run_flush_by_asid),
	TAP(test_svm_run_flush_without_flush_by_asid_takes_a_new_asid),
	TAP(test_svm_run_new_nested_root_flushes),
	TAP(test_svm_run_move_to_another_cpu),
	TAP(test_svm_run_refusal_keeps_the_flush),
	TAP(test_svm_run_refusal_keeps_the_full_flush),
	TAP(test_svm_run_flush_after_refusal_keeps_the_full_flush),
	TAP(test_svm_run_flush_after_refusal_without_flush_by_asid),
	TAP(test_svm_run_full_flush_is_done_by_whoever_enters_first),
	TAP(test_svm_run_full_flush_survives_a_move),
	TAP(test_svm_run_setters_dirty_their_group),
	TAP(test_svm_run_clean_is_zero_without_the_feature),
	TAP(test_svm_run_refusal_keeps_groups_dirty),
	TAP(test_svm_run_reset_dirties_all),
	TAP(test_svm_run_window_exit_dirties_its_group),
	TAP(test_svm_run_dr_not_switched_while_guest_enables_nothing),
	TAP(test_svm_run_dr_switched_while_guest_enables_one),
	TAP(test_svm_run_host_breakpoints_are_restored),
	TAP(test_svm_run_host_breakpoints_are_restored_after_refusal),
	TAP(test_svm_run_guest_addresses_are_no_host_breakpoints),
	TAP(test_svm_run_tsc_ratio),
	TAP(test_svm_run_barrier_on_change_of_vcpu_only),
	TAP(test_svm_run_barrier_is_per_cpu),
	TAP(test_svm_run_no_barrier_without_ibpb),
	TAP(test_svm_run_barrier_after_destroy),
};
TAP_MAIN(tests)
