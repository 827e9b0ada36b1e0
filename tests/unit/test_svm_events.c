/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_svm_events.c
 * SVM back end: event injection, interrupt window, NMI. AMD APM vol. 2 15.20, 15.21, 15.9.
 */
#include "fake_vm.h"
#include "host/x86.h"
#include "svm_rig.h"
#include "tap.h"

#define DR6_IDLE 0xffff0ff0ull
#define DR6_BS	 (1ull << 14)

/* EVENTINJ: 7:0 vector, 10:8 type, 11 error code valid, 31 valid, 63:32 error code. */
static const struct {
	const char *name;
	struct v3_event ev;
	uint64_t eventinj;
} inject_cases[] = {
	{"interrupt", {.type = V3_EVENT_INTR, .vector = 0x31}, 0x80000031},
	{"interrupt 255", {.type = V3_EVENT_INTR, .vector = 0xff}, 0x800000ff},
	{"NMI", {.type = V3_EVENT_NMI, .vector = 2}, 0x80000202},
	{"#UD", {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_UD}, 0x80000306},
	{"#GP(0)", {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_GP, .has_error = 1}, 0x80000b0d},
	{"#GP(sel)",
	 {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_GP, .has_error = 1, .error = 0xfff8},
	 0xfff880000b0dull},
	{"#DF", {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_DF, .has_error = 1}, 0x80000b08},
	{"#BP", {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_BP}, 0x80000303},
	{"INT 0x80", {.type = V3_EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2}, 0x80000480},
};

static void test_svm_events_inject(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(inject_cases); i++) {
		rig.ops->inject(&rig.vcpu[0], &inject_cases[i].ev);
		CHECK_EQ(rig_enter(0), V3_OK);
		CHECK_MSG(rig.entered.eventinj == inject_cases[i].eventinj, "%s: %#llx, not %#llx",
			  inject_cases[i].name, (unsigned long long)rig.entered.eventinj,
			  (unsigned long long)inject_cases[i].eventinj);
		CHECK_EQ(rig_enter(0), V3_OK); /* once */
		CHECK_EQ(rig.entered.eventinj, 0);
	}
}

static void test_svm_events_inject_page_fault_sets_cr2(void)
{
	const struct v3_event ev = {.type = V3_EVENT_EXCEPTION,
				    .vector = V3_VEC_PF,
				    .has_error = 1,
				    .error = 6,
				    .cr2 = 0xffff800012345678ull};

	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->inject(&rig.vcpu[0], &ev);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.eventinj, 0x680000b0eull);
	CHECK_EQ(rig.entered.cr2, 0xffff800012345678ull);
	CHECK_EQ(rig.vcpu[0].cr2, 0xffff800012345678ull);
}

static void test_svm_events_other_exceptions_leave_cr2(void)
{
	const struct v3_event ev = {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_GP, .cr2 = 1};
	const struct v3_event intr = {.type = V3_EVENT_INTR, .vector = V3_VEC_PF, .cr2 = 1};

	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->set_cr(&rig.vcpu[0], 2, 0x5000);
	rig.ops->inject(&rig.vcpu[0], &ev);
	CHECK_EQ(rig_vmcb(0)->cr2, 0x5000);
	rig.ops->inject(&rig.vcpu[0], &intr);
	CHECK_EQ(rig_vmcb(0)->cr2, 0x5000);
}

static void test_svm_events_refusal_keeps_the_event(void)
{
	const struct v3_event ev = {.type = V3_EVENT_INTR, .vector = 0x31};

	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->inject(&rig.vcpu[0], &ev);
	rig.vcpu[0].requests = V3_REQ_TIMER;
	CHECK_EQ(rig_enter(0), V3_EAGAIN);
	rig.vcpu[0].requests = 0;
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.eventinj, 0x80000031);
}

/* ---- readiness ---- */

static void test_svm_events_interrupt_needs_if_and_no_shadow(void)
{
	const struct v3_event ev = {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_UD};
	struct v3_vcpu *vcpu = &rig.vcpu[0];

	REQUIRE(rig_init(RIG_FEATURES));
	CHECK(!rig.ops->intr_ready(vcpu));
	vcpu->regs.rflags |= V3_RFLAGS_IF;
	CHECK(rig.ops->intr_ready(vcpu));
	rig_vmcb(0)->shadow = 1;
	CHECK(!rig.ops->intr_ready(vcpu));
	rig_vmcb(0)->shadow = 2; /* GUEST_INTERRUPT_MASK: no shadow */
	CHECK(rig.ops->intr_ready(vcpu));
	rig_vmcb(0)->shadow = 1;
	rig.ops->clear_shadow(vcpu);
	CHECK(rig.ops->intr_ready(vcpu));
	rig.ops->inject(vcpu, &ev);
	CHECK(!rig.ops->intr_ready(vcpu));
}

static void test_svm_events_nmi_needs_no_if(void)
{
	const struct v3_event ev = {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_UD};
	struct v3_vcpu *vcpu = &rig.vcpu[0];

	REQUIRE(rig_init(RIG_FEATURES));
	CHECK(rig.ops->nmi_ready(vcpu));
	rig_vmcb(0)->shadow = 1;
	CHECK(!rig.ops->nmi_ready(vcpu));
	rig_vmcb(0)->shadow = 0;
	vcpu->nmi_blocked = true;
	CHECK(!rig.ops->nmi_ready(vcpu));
	vcpu->nmi_blocked = false;
	rig.ops->inject(vcpu, &ev);
	CHECK(!rig.ops->nmi_ready(vcpu));
}

/* ---- interrupt window ---- */

static void test_svm_events_interrupt_window(void)
{
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	rig.ops->want_intr_window(&rig.vcpu[0], 0x31);
	CHECK_EQ(rig_enter(0), V3_OK); /* not yet */
	/* V_INTR_MASKING, V_IGN_TPR and V_IRQ; the vector is never used */
	CHECK_EQ(rig.entered.vintr, 1ull << 24 | 1ull << 20 | 1ull << 8);
	CHECK(rig.entered.misc1 & SVM_MISC1_VINTR);
	CHECK_EQ(rig_enter(0), V3_OK); /* still asked for */
	CHECK(rig.entered.vintr & SVM_VINTR_IRQ);
	exit = rig_exit(SVM_EXIT_VINTR, 0, 0);
	CHECK_EQ(exit.kind, V3_EXIT_INTR_WINDOW);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(!(rig.entered.vintr & SVM_VINTR_IRQ));
}

/* ---- NMI ---- */

static void inject_nmi(struct v3_vcpu *vcpu)
{
	const struct v3_event nmi = {.type = V3_EVENT_NMI, .vector = V3_VEC_NMI};

	rig.ops->inject(vcpu, &nmi);
	vcpu->nmi_blocked = true;
}

static void guest_steps(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	(void)vcpu;
	vmcb->dr6 |= DR6_BS; /* the CPU writes DR6 before the intercept; 15.12.2 */
	vmcb->rflags = 0x202;
}

/* IRET unblocks NMIs, but its intercept comes before it executes: one step over it opens the window. */
static void test_svm_events_nmi_window_after_iret(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	vcpu->regs.rflags = 0x202;
	inject_nmi(vcpu);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(rig.entered.misc1 & SVM_MISC1_IRET);
	rig.ops->want_nmi_window(vcpu);
	CHECK(!(rig_vmcb(0)->vintr & SVM_VINTR_IRQ)); /* IRET is what it waits for */

	exit = rig_exit(SVM_EXIT_IRET, 0, 0);
	CHECK_EQ(exit.kind, V3_EXIT_NMI_WINDOW);
	CHECK(vcpu->nmi_blocked); /* still in the handler */
	CHECK(!rig.ops->nmi_ready(vcpu));
	CHECK(vcpu->regs.rflags & V3_RFLAGS_TF);

	rig.guest = guest_steps;
	exit = rig_exit(SVM_EXIT_EXCEPTION + V3_VEC_DB, 0, 0);
	CHECK(rig.entered.rflags & V3_RFLAGS_TF);
	CHECK(!(rig.entered.misc1 & SVM_MISC1_IRET)); /* or it would exit for ever */
	CHECK_EQ(exit.kind, V3_EXIT_NMI_WINDOW);
	CHECK(!vcpu->nmi_blocked);
	CHECK(rig.ops->nmi_ready(vcpu));
	CHECK_EQ(vcpu->regs.rflags, 0x202);

	rig.guest = NULL;
	CHECK_EQ(rig_exit(SVM_EXIT_EXCEPTION + V3_VEC_DB, 0, 0).kind, V3_EXIT_EXCEPTION);
}

/* The step is ours: the guest's DR6 must not tell of it. */
static void test_svm_events_nmi_step_leaves_dr6(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];

	REQUIRE(rig_init(RIG_FEATURES));
	inject_nmi(vcpu);
	CHECK_EQ(rig_enter(0), V3_OK);
	rig_exit(SVM_EXIT_IRET, 0, 0);
	rig.guest = guest_steps;
	rig_exit(SVM_EXIT_EXCEPTION + V3_VEC_DB, 0, 0);
	CHECK_EQ(rig.ops->get_dr(vcpu, 6), DR6_IDLE);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(!(rig.entered.clean & SVM_CLEAN_DRX));
}

static void guest_hits_breakpoint(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	guest_steps(vcpu, vmcb);
	vmcb->dr6 |= 1; /* a data breakpoint on the stack IRET reads */
}

static void test_svm_events_nmi_step_passes_a_breakpoint_on(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	inject_nmi(vcpu);
	vcpu->nmi_pending = true; /* a second one: not forgotten for it */
	CHECK_EQ(rig_enter(0), V3_OK);
	rig_exit(SVM_EXIT_IRET, 0, 0);
	rig.guest = guest_hits_breakpoint;
	exit = rig_exit(SVM_EXIT_EXCEPTION + V3_VEC_DB, 0, 0);
	CHECK_EQ(exit.kind, V3_EXIT_EXCEPTION);
	CHECK_EQ(exit.u.excp.vector, V3_VEC_DB);
	CHECK_EQ(rig.ops->get_dr(vcpu, 6), DR6_IDLE | 1);
	CHECK(!vcpu->nmi_blocked);
	CHECK(vcpu->requests & V3_REQ_NMI);
}

/* A guest that steps through its own NMI handler gets its #DB. */
static void test_svm_events_nmi_step_of_a_stepping_guest(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	inject_nmi(vcpu);
	vcpu->nmi_pending = true; /* a second one */
	CHECK_EQ(rig_enter(0), V3_OK);
	vcpu->regs.rflags |= V3_RFLAGS_TF;
	rig_exit(SVM_EXIT_IRET, 0, 0);
	rig.guest = guest_steps;
	exit = rig_exit(SVM_EXIT_EXCEPTION + V3_VEC_DB, 0, 0);
	CHECK_EQ(exit.kind, V3_EXIT_EXCEPTION);
	CHECK_EQ(exit.u.excp.vector, V3_VEC_DB);
	CHECK_EQ(rig.ops->get_dr(vcpu, 6), DR6_IDLE | DR6_BS);
	CHECK(!vcpu->nmi_blocked);
	CHECK(vcpu->requests & V3_REQ_NMI);
}

/* An NMI held back by the interrupt shadow or another event alone: two things can end the wait. */
static void test_svm_events_nmi_window_by_interrupt_window(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	rig_vmcb(0)->shadow = 1;
	rig.ops->want_nmi_window(vcpu);
	CHECK(rig_vmcb(0)->vintr & SVM_VINTR_IRQ);
	rig_vmcb(0)->shadow = 0;
	exit = rig_exit(SVM_EXIT_VINTR, 0, 0);
	CHECK_EQ(exit.kind, V3_EXIT_INTR_WINDOW);
	CHECK(rig.ops->nmi_ready(vcpu));
}

/* The handler of the other event may run with IF off to its end. No NMI is being handled: no step. */
static void test_svm_events_nmi_window_by_iret_of_another_handler(void)
{
	const struct v3_event intr = {.type = V3_EVENT_INTR, .vector = 0x30};
	struct v3_vcpu *vcpu = &rig.vcpu[0];
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	vcpu->regs.rflags = 0x2;
	rig.ops->inject(vcpu, &intr);
	rig.ops->want_nmi_window(vcpu);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(rig.entered.misc1 & SVM_MISC1_IRET);
	exit = rig_exit(SVM_EXIT_IRET, 0, 0);
	CHECK_EQ(exit.kind, V3_EXIT_NMI_WINDOW);
	CHECK(!(vcpu->regs.rflags & V3_RFLAGS_TF));
	CHECK(rig.ops->nmi_ready(vcpu));
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(!(rig.entered.misc1 & SVM_MISC1_IRET));
}

static void test_svm_events_reset_forgets_the_step(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];

	REQUIRE(rig_init(RIG_FEATURES));
	inject_nmi(vcpu);
	CHECK_EQ(rig_enter(0), V3_OK);
	rig_exit(SVM_EXIT_IRET, 0, 0);
	vcpu->nmi_blocked = false;
	rig.ops->vcpu_reset(vcpu, false);
	CHECK_EQ(rig_exit(SVM_EXIT_EXCEPTION + V3_VEC_DB, 0, 0).kind, V3_EXIT_EXCEPTION);
}

/* ---- interrupt shadow ---- */

static void guest_stays(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	(void)vcpu;
	vmcb->shadow = 0; /* QEMU's VMRUN drops it */
}

static void guest_goes_on(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	(void)vcpu;
	vmcb->shadow = 0;
	vmcb->rip++;
}

/* Without an instruction executed the shadow lasts, whatever the hardware says (lab.md Q3). */
static void test_svm_events_shadow_lasts_until_an_instruction_ran(void)
{
	REQUIRE(rig_init(RIG_FEATURES));
	rig_vmcb(0)->shadow = 1;
	rig.guest = guest_stays;
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.shadow, 1);
	CHECK_EQ(rig_vmcb(0)->shadow, 1);
	rig.guest = guest_goes_on;
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig_vmcb(0)->shadow, 0);
}

static void guest_takes_interrupts(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	guest_stays(vcpu, vmcb);
	vmcb->exitcode = SVM_EXIT_VINTR;
}

/* ... but a window that exits is an answer: asking once more would never end. */
static void test_svm_events_open_window_ends_the_shadow(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];

	REQUIRE(rig_init(RIG_FEATURES));
	vcpu->regs.rflags |= V3_RFLAGS_IF;
	rig_vmcb(0)->rflags = vcpu->regs.rflags;
	rig_vmcb(0)->shadow = 1;
	rig.guest = guest_takes_interrupts;
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(rig.ops->intr_ready(vcpu));
}

/* Real mode at 0x100; @p opcode is there. @return false: failed, reported */
static bool shadow_before(uint8_t opcode)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];
	struct v3_seg cs;
	uint8_t *ram;

	if (!rig_init(RIG_FEATURES))
		return false;
	ram = rig_add_ram(2 << 20);
	if (!CHECK(ram))
		return false;
	ram[0x100] = opcode;
	rig.ops->get_seg(vcpu, V3_CS, &cs);
	cs.sel = 0;
	cs.base = 0;
	rig.ops->set_seg(vcpu, V3_CS, &cs);
	vcpu->regs.rip = 0x100;
	vcpu->regs.rflags = 0x202;
	rig_vmcb(0)->shadow = 1;
	rig.ops->want_intr_window(vcpu, 0x30);
	return true;
}

/* STI; HLT: a window between the two would put the guest to sleep although what it waits for is here. */
static void test_svm_events_no_window_between_sti_and_hlt(void)
{
	REQUIRE(shadow_before(0xf4));
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(!(rig.entered.vintr & SVM_VINTR_IRQ));
	CHECK(!(rig.entered.clean & SVM_CLEAN_TPR));
}

static void test_svm_events_window_stays_before_other_instructions(void)
{
	REQUIRE(shadow_before(0x90));
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(rig.entered.vintr & SVM_VINTR_IRQ);
}

/* Without shadow the guest may be woken before it halts. */
static void test_svm_events_window_stays_before_hlt_without_shadow(void)
{
	REQUIRE(shadow_before(0xf4));
	rig_vmcb(0)->shadow = 0;
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(rig.entered.vintr & SVM_VINTR_IRQ);
}

/* ---- interrupts on QEMU's CPU, as virtual ones ---- */

static bool virq_rig(void)
{
	static const uint32_t tcg[4] = {0x40000001, 0x54474354, 0x43544743, 0x47435447};
	uint32_t r[4];

	fake_instr_cpuid(1, 0, r);
	r[2] |= 1u << 31;
	fake_cpuid_set(1, 0, r);
	fake_cpuid_set(0x40000000, 0, tcg);
	return rig_init(RIG_FEATURES);
}

static void virq_taken(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	(void)vcpu;
	vmcb->vintr &= ~SVM_VINTR_IRQ;
}

static void virq_inject(uint8_t vector)
{
	const struct v3_event ev = {.type = V3_EVENT_INTR, .vector = vector};

	rig.ops->inject(&rig.vcpu[0], &ev);
}

static void test_svm_events_virtual_interrupt_is_taken_once(void)
{
	struct v3_exit exit;

	REQUIRE(virq_rig());
	rig.vcpu[0].regs.rflags |= V3_RFLAGS_IF;
	virq_inject(0x50);
	CHECK(!rig.ops->intr_ready(&rig.vcpu[0]));
	CHECK(!rig.ops->nmi_ready(&rig.vcpu[0]));
	rig.guest = virq_taken;
	exit = rig_exit(SVM_EXIT_HLT, 0, 0);
	CHECK_EQ(rig.entered.eventinj, 0);
	CHECK_EQ(rig.entered.vintr, 0x50ull << 32 | 1ull << 24 | 1ull << 20 | 1ull << 8);
	CHECK(!(rig.entered.misc1 & SVM_MISC1_VINTR));
	CHECK_EQ(exit.aborted.type, V3_EVENT_NONE);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(!(rig.entered.vintr & (SVM_VINTR_IRQ | SVM_VINTR_VECTOR)));
	CHECK(rig.entered.misc1 & SVM_MISC1_VINTR);
}

static void test_svm_events_virtual_interrupt_not_taken_is_kept(void)
{
	struct v3_exit exit;

	REQUIRE(virq_rig());
	virq_inject(0xff);
	exit = rig_exit(SVM_EXIT_INTR, 0, 0);
	CHECK_EQ(exit.kind, V3_EXIT_INTR);
	CHECK_EQ(exit.aborted.type, V3_EVENT_INTR);
	CHECK_EQ(exit.aborted.vector, 0xff);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK(!(rig.entered.vintr & SVM_VINTR_IRQ));
}

/* QEMU calls it an exception then. */
static void test_svm_events_virtual_interrupt_cut_short(void)
{
	struct v3_exit exit;

	REQUIRE(virq_rig());
	virq_inject(0x50);
	rig.intinfo = 0x80000350;
	exit = rig_exit(SVM_EXIT_NPF, 0, 0);
	CHECK_EQ(exit.aborted.type, V3_EVENT_INTR);
	CHECK_EQ(exit.aborted.vector, 0x50);
}

static void test_svm_events_virtual_interrupt_gives_way_to_a_window(void)
{
	REQUIRE(virq_rig());
	virq_inject(0x50);
	rig.ops->want_intr_window(&rig.vcpu[0], 0xff);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.eventinj, 0x80000050);
	CHECK(rig.entered.misc1 & SVM_MISC1_VINTR);
	CHECK_EQ(rig.entered.vintr, 1ull << 24 | 1ull << 20 | 1ull << 8);
}

static void test_svm_events_low_vector_is_not_virtual(void)
{
	REQUIRE(virq_rig());
	virq_inject(8);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.eventinj, 0x80000008);
	CHECK(!(rig.entered.vintr & SVM_VINTR_IRQ));
}

static void test_svm_events_reset_forgets_the_virtual_interrupt(void)
{
	REQUIRE(virq_rig());
	virq_inject(0x50);
	rig.ops->vcpu_reset(&rig.vcpu[0], true);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.vintr, SVM_VINTR_MASKING);
	CHECK(rig.entered.misc1 & SVM_MISC1_VINTR);
}

static const struct tap_test tests[] = {
	TAP(test_svm_events_inject),
	TAP(test_svm_events_inject_page_fault_sets_cr2),
	TAP(test_svm_events_other_exceptions_leave_cr2),
	TAP(test_svm_events_refusal_keeps_the_event),
	TAP(test_svm_events_interrupt_needs_if_and_no_shadow),
	TAP(test_svm_events_nmi_needs_no_if),
	TAP(test_svm_events_interrupt_window),
	TAP(test_svm_events_nmi_window_after_iret),
	TAP(test_svm_events_nmi_step_leaves_dr6),
	TAP(test_svm_events_nmi_step_passes_a_breakpoint_on),
	TAP(test_svm_events_nmi_step_of_a_stepping_guest),
	TAP(test_svm_events_nmi_window_by_interrupt_window),
	TAP(test_svm_events_nmi_window_by_iret_of_another_handler),
	TAP(test_svm_events_reset_forgets_the_step),
	TAP(test_svm_events_shadow_lasts_until_an_instruction_ran),
	TAP(test_svm_events_open_window_ends_the_shadow),
	TAP(test_svm_events_no_window_between_sti_and_hlt),
	TAP(test_svm_events_window_stays_before_other_instructions),
	TAP(test_svm_events_window_stays_before_hlt_without_shadow),
	TAP(test_svm_events_virtual_interrupt_is_taken_once),
	TAP(test_svm_events_virtual_interrupt_not_taken_is_kept),
	TAP(test_svm_events_virtual_interrupt_cut_short),
	TAP(test_svm_events_virtual_interrupt_gives_way_to_a_window),
	TAP(test_svm_events_low_vector_is_not_virtual),
	TAP(test_svm_events_reset_forgets_the_virtual_interrupt),
};
TAP_MAIN(tests)
