/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_svm_check.c
 * The software checks of VMRUN: each rule has a VMCB that violates it, made from one that the back end
 * enters with. (That sound ones pass is checked at every entry of the other test_svm_* by svm_rig.c.)
 */
#include "arch/svm/check.h"
#include "fake_host.h"
#include "host/host.h"
#include "svm_rig.h"
#include "tap.h"

#define PA_BITS 40
#define WIDE_PA (1ull << PA_BITS)

static void set_long_mode(struct svm_vmcb *b)
{
	b->efer |= V3_EFER_LME | V3_EFER_LMA;
	b->cr0 = V3_CR0_PE | V3_CR0_PG;
	b->cr4 = V3_CR4_PAE;
	b->cs.attr = V3_SEG_P | V3_SEG_S | V3_SEG_L | 0xb;
}

static void no_svme(struct svm_vmcb *b)
{
	b->efer &= ~V3_EFER_SVME;
}
static void nw_alone(struct svm_vmcb *b)
{
	b->cr0 = (b->cr0 | V3_CR0_NW) & ~V3_CR0_CD;
}
static void high_cr0(struct svm_vmcb *b)
{
	b->cr0 |= 1ull << 32;
}
static void wide_cr3(struct svm_vmcb *b)
{
	set_long_mode(b), b->cr3 = WIDE_PA;
}
static void odd_cr4(struct svm_vmcb *b)
{
	b->cr4 |= V3_CR4_VMXE;
}
static void high_dr6(struct svm_vmcb *b)
{
	b->dr6 |= 1ull << 32;
}
static void high_dr7(struct svm_vmcb *b)
{
	b->dr7 |= 1ull << 63;
}
static void odd_efer(struct svm_vmcb *b)
{
	b->efer |= 1ull << 9;
}
static void no_pae(struct svm_vmcb *b)
{
	set_long_mode(b), b->cr4 = 0;
}
static void no_pe(struct svm_vmcb *b)
{
	set_long_mode(b), b->cr0 = V3_CR0_PG;
}
static void l_and_d(struct svm_vmcb *b)
{
	set_long_mode(b), b->cs.attr |= V3_SEG_DB;
}
static void no_vmrun(struct svm_vmcb *b)
{
	b->misc2 &= ~SVM_MISC2_VMRUN;
}
static void wide_iopm(struct svm_vmcb *b)
{
	b->iopm_pa = WIDE_PA - 0x2000;
}
static void wide_msrpm(struct svm_vmcb *b)
{
	b->msrpm_pa = WIDE_PA - 0x1000;
}
static void no_asid(struct svm_vmcb *b)
{
	b->asid = 0;
}
static void event_type_1(struct svm_vmcb *b)
{
	b->eventinj = SVM_EVENT_VALID | SVM_EVENT_TYPE(1);
}
static void event_type_7(struct svm_vmcb *b)
{
	b->eventinj = SVM_EVENT_VALID | SVM_EVENT_TYPE(7);
}
static void event_32(struct svm_vmcb *b)
{
	b->eventinj = SVM_EVENT_VALID | SVM_EVENT_TYPE(3) | 32;
}
static void event_nmi(struct svm_vmcb *b)
{
	b->eventinj = SVM_EVENT_VALID | SVM_EVENT_TYPE(3) | 2;
}
static void event_br(struct svm_vmcb *b)
{
	set_long_mode(b);
	b->eventinj = SVM_EVENT_VALID | SVM_EVENT_TYPE(3) | V3_VEC_BR;
}
static void odd_ncr3(struct svm_vmcb *b)
{
	b->ncr3 |= 1;
}
static void wide_ncr3(struct svm_vmcb *b)
{
	b->ncr3 = WIDE_PA;
}
static void pat_2(struct svm_vmcb *b)
{
	b->pat = 0x0200;
}
static void pat_8(struct svm_vmcb *b)
{
	b->pat = 0x0800000000000000ull;
}

static const struct {
	void (*change)(struct svm_vmcb *vmcb);
	const char *text; /* after "APM vol. 2 " */
} violations[] = {
	{no_svme, "15.5.1: EFER.SVME must be 1"},
	{nw_alone, "15.5.1: CR0.NW without CR0.CD"},
	{high_cr0, "15.5.1: CR0: bits 63:32"},
	{wide_cr3, "15.5.1: CR3: bits above the physical address width"},
	{odd_cr4, "15.5.1: CR4: reserved bits"},
	{high_dr6, "15.5.1: DR6: bits 63:32"},
	{high_dr7, "15.5.1: DR7: bits 63:32"},
	{odd_efer, "15.5.1: EFER: reserved bits"},
	{no_pae, "15.5.1: long mode needs CR4.PAE"},
	{no_pe, "15.5.1: long mode needs CR0.PE"},
	{l_and_d, "15.5.1: CS.D must be 0 in 64-bit code"},
	{no_vmrun, "15.5.1: VMRUN must be intercepted"},
	{wide_iopm, "15.5.1: I/O permission map beyond the physical address width"},
	{wide_msrpm, "15.5.1: MSR permission map beyond the physical address width"},
	{no_asid, "15.5.1: ASID must not be 0"},
	{event_type_1, "15.20: injected event: reserved type"},
	{event_type_7, "15.20: injected event: reserved type"},
	{event_32, "15.20: injected exception: no such vector"},
	{event_nmi, "15.20: injected exception: no such vector"},
	{event_br, "15.20: injected exception: #BR and #OF do not exist in 64-bit code"},
	{odd_ncr3, "15.25.3: nested CR3: reserved bits or address"},
	{wide_ncr3, "15.25.3: nested CR3: reserved bits or address"},
	{pat_2, "15.25.4: guest PAT: reserved memory type"},
	{pat_8, "15.25.4: guest PAT: reserved memory type"},
};

/* The VMCB that vcpu 0 was entered with, its addresses as on a small machine. */
static bool begin(struct svm_vmcb *vmcb)
{
	if (!rig_init(RIG_FEATURES) || !CHECK_EQ(rig_enter(0), V3_OK))
		return false;
	*vmcb = rig.entered;
	vmcb->iopm_pa = vmcb->msrpm_pa = vmcb->ncr3 = 0x5000;
	return CHECK(!v3_svm_check(vmcb, PA_BITS));
}

static void test_svm_check_names_the_rule(void)
{
	static struct svm_vmcb sound, vmcb;

	REQUIRE(begin(&sound));
	for (size_t i = 0; i < V3_ARRAY_SIZE(violations); i++) {
		const char *why;

		vmcb = sound;
		violations[i].change(&vmcb);
		why = v3_svm_check(&vmcb, PA_BITS);
		CHECK_MSG(why && !strncmp(why, "APM vol. 2 ", 11) &&
				  !strcmp(why + 11, violations[i].text),
			  "expected \"%s\", got \"%s\"", violations[i].text, why ? why : "nothing");
	}
}

static void test_svm_check_every_rule_has_a_violation(void)
{
	for (const struct svm_rule *rule = v3_svm_rules; rule->holds; rule++) {
		bool found = false;

		for (size_t i = 0; i < V3_ARRAY_SIZE(violations); i++)
			found = found || !strcmp(rule->text + 11, violations[i].text);
		CHECK_MSG(found, "no violation of: %s", rule->text);
	}
}

static void test_svm_check_accepts_the_edges(void)
{
	static struct svm_vmcb vmcb;

	REQUIRE(begin(&vmcb));
	set_long_mode(&vmcb);
	vmcb.cr3 = WIDE_PA - 0x1000;
	vmcb.iopm_pa = WIDE_PA - 0x3000;
	vmcb.msrpm_pa = WIDE_PA - 0x2000;
	vmcb.eventinj = SVM_EVENT_VALID | SVM_EVENT_TYPE(4) | 0xff;
	CHECK(!v3_svm_check(&vmcb, PA_BITS));
	vmcb.eventinj = SVM_EVENT_TYPE(1); /* not valid */
	CHECK(!v3_svm_check(&vmcb, PA_BITS));
	vmcb.cs.attr &= ~V3_SEG_L; /* compatibility mode has INTO and BOUND */
	vmcb.eventinj = SVM_EVENT_VALID | SVM_EVENT_TYPE(3) | V3_VEC_OF;
	CHECK(!v3_svm_check(&vmcb, PA_BITS));
	vmcb.efer &= ~(V3_EFER_LME | V3_EFER_LMA); /* CR3 has 32 bits then */
	vmcb.cr3 = WIDE_PA;
	CHECK(!v3_svm_check(&vmcb, PA_BITS));
}

/* Of the registers that only an entry writes to the VMCB, the checks see what the entry would use. */
static void test_svm_check_entry_sees_what_will_be_entered(void)
{
	struct v3_vcpu *vcpu = &rig.vcpu[0];

	REQUIRE(rig_init(RIG_FEATURES));
	v3_lib.caps.hpa_bits = 52;
	vcpu->regs.rip = 0x1234;
	CHECK(!rig.ops->check_entry(vcpu)); /* an ASID is there, before the first entry */
	CHECK_EQ(rig_vmcb(0)->rip, 0x1234);
	CHECK_EQ(rig_vmcb(0)->asid, 1);
	CHECK_EQ(rig_enter(0), V3_OK);
	CHECK_EQ(rig.entered.asid, 1);
	CHECK_EQ(rig.entered.tlb_control, SVM_TLB_ALL); /* the check has not taken the flush */
	rig_vmcb(0)->dr7 |= 1ull << 40;
	CHECK_STR(rig.ops->check_entry(vcpu), "APM vol. 2 15.5.1: DR7: bits 63:32");
}

/* The event is still in the VMCB after a VMRUN that failed, and can be named. */
static void test_svm_check_entry_after_a_failure(void)
{
	const struct v3_event event = {.type = V3_EVENT_EXCEPTION, .vector = 40};
	struct v3_exit exit;

	REQUIRE(rig_init(RIG_FEATURES));
	v3_lib.caps.hpa_bits = 52;
	CHECK_EQ(rig_enter(0), V3_OK);
	rig.ops->inject(&rig.vcpu[0], &event);
	rig_vmcb(0)->exitcode = ~0ull;
	v3_svm_decode_exit(&rig.vcpu[0], &exit);
	CHECK_EQ(exit.kind, V3_EXIT_ENTRY_FAILED);
	CHECK_STR(rig.ops->check_entry(&rig.vcpu[0]),
		  "APM vol. 2 15.20: injected exception: no such vector");
}

static const struct tap_test tests[] = {
	TAP(test_svm_check_names_the_rule),
	TAP(test_svm_check_every_rule_has_a_violation),
	TAP(test_svm_check_accepts_the_edges),
	TAP(test_svm_check_entry_sees_what_will_be_entered),
	TAP(test_svm_check_entry_after_a_failure),
};
TAP_MAIN(tests)
