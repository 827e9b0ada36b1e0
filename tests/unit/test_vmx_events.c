/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vmx_events.c
 * VMX back end: injection, windows, blocking by STI, MOV SS and NMI. SDM 3C 25.8.3, 27.6, 28.2.3.
 */
#include "fake_vm.h"
#include "tap.h"
#include "vmx_rig.h"

#define INFO(type, vector) (VMX_INTR_VALID | VMX_INTR_TYPE(type) | (vector))

static uint64_t guest_blocking;

static void guest_ends_with_blocking(struct v3_vcpu *vcpu, struct vrig_vmcs *vmcs)
{
	(void)vcpu;
	*vrig_field(vmcs, VMCS_GUEST_INTERRUPTIBILITY) = guest_blocking;
	*vrig_field(vmcs, VMCS_GUEST_RFLAGS) = 0x202;
}

/* One exit, after which the VMCS says this about blocking. */
static void exit_with_blocking(uint64_t blocking)
{
	guest_blocking = blocking;
	vrig.guest = guest_ends_with_blocking;
	vrig_exit(VMX_EXIT_HLT, 0);
	vrig.guest = NULL;
}

/* The guest is in protected mode, where error codes are pushed. */
static void protect(void)
{
	vrig.ops->set_cr(&vrig.vcpu[0], 0, V3_CR0_PE | V3_CR0_ET);
}

static const struct {
	const char *name;
	struct v3_event ev;
	uint32_t info;
	bool real; /* in real mode */
} inject_cases[] = {
	{"interrupt",
	 {.type = V3_EVENT_INTR, .vector = 0x31},
	 INFO(VMX_INTR_EXTERNAL, 0x31),
	 false},
	{"NMI", {.type = V3_EVENT_NMI, .vector = 2}, INFO(VMX_INTR_NMI, 2), false},
	{"#UD",
	 {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_UD},
	 INFO(VMX_INTR_EXCEPTION, V3_VEC_UD),
	 false},
	{"#GP",
	 {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_GP, .has_error = 1, .error = 0x18},
	 INFO(VMX_INTR_EXCEPTION, V3_VEC_GP) | VMX_INTR_ERROR,
	 false},
	{"#GP in real mode",
	 {.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_GP},
	 INFO(VMX_INTR_EXCEPTION, V3_VEC_GP),
	 true},
	{"INT n",
	 {.type = V3_EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2},
	 INFO(VMX_INTR_SOFT_INTR, 0x80),
	 false},
};

static void test_vmx_events_injection(void)
{
	REQUIRE(vrig_init());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(inject_cases); i++) {
		vrig.ops->set_cr(&vrig.vcpu[0], 0,
				 V3_CR0_ET | (inject_cases[i].real ? 0 : V3_CR0_PE));
		vrig.vcpu[0].regs.rflags = 0x202;
		vrig.ops->inject(&vrig.vcpu[0], &inject_cases[i].ev);
		CHECK_EQ(vrig_enter(0), V3_OK);
		CHECK_MSG(vrig_entered(VMCS_ENTRY_INTR_INFO) == inject_cases[i].info, "%s: %#llx",
			  inject_cases[i].name,
			  (unsigned long long)vrig_entered(VMCS_ENTRY_INTR_INFO));
		if (inject_cases[i].info & VMX_INTR_ERROR)
			CHECK_EQ(vrig_entered(VMCS_ENTRY_INTR_ERROR), inject_cases[i].ev.error);
		/* once */
		CHECK_EQ(vrig_enter(0), V3_OK);
		CHECK(!(vrig_entered(VMCS_ENTRY_INTR_INFO) & VMX_INTR_VALID));
	}
}

static void test_vmx_events_same_event_twice(void)
{
	const struct v3_event ev = {.type = V3_EVENT_INTR, .vector = 0x31};

	REQUIRE(vrig_init());
	for (unsigned i = 0; i < 2; i++) {
		vrig.vcpu[0].regs.rflags = 0x202;
		vrig.ops->inject(&vrig.vcpu[0], &ev);
		CHECK_EQ(vrig_enter(0), V3_OK);
		CHECK_EQ(vrig_entered(VMCS_ENTRY_INTR_INFO), INFO(VMX_INTR_EXTERNAL, 0x31));
	}
}

static void test_vmx_events_page_fault_sets_cr2(void)
{
	const struct v3_event ev = {.type = V3_EVENT_EXCEPTION,
				    .vector = V3_VEC_PF,
				    .has_error = 1,
				    .error = 2,
				    .cr2 = 0x7000};

	REQUIRE(vrig_init());
	protect();
	vrig.ops->inject(&vrig.vcpu[0], &ev);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig.cr2, 0x7000);
}

static void test_vmx_events_refusal_keeps_the_event(void)
{
	const struct v3_event ev = {.type = V3_EVENT_INTR, .vector = 0x31};

	REQUIRE(vrig_init());
	vrig.vcpu[0].regs.rflags = 0x202;
	vrig.ops->inject(&vrig.vcpu[0], &ev);
	vrig.vcpu[0].requests = V3_REQ_IRQ;
	CHECK_EQ(vrig_enter(0), V3_EAGAIN);
	CHECK(!vrig.ops->intr_ready(&vrig.vcpu[0]));
	vrig.vcpu[0].requests = 0;
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_ENTRY_INTR_INFO), INFO(VMX_INTR_EXTERNAL, 0x31));
}

static const struct {
	uint32_t blocking;
	bool intr, nmi;
} ready_cases[] = {
	{0, true, true},
	{VMX_BLOCK_STI, false, false},
	{VMX_BLOCK_MOV_SS, false, false},
	{VMX_BLOCK_NMI, true, false},
};

static void test_vmx_events_ready(void)
{
	struct v3_vcpu *vcpu = &vrig.vcpu[0];

	REQUIRE(vrig_init());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(ready_cases); i++) {
		exit_with_blocking(ready_cases[i].blocking);
		CHECK_EQ(vrig.ops->intr_ready(vcpu), ready_cases[i].intr);
		CHECK_EQ(vrig.ops->nmi_ready(vcpu), ready_cases[i].nmi);
	}
	exit_with_blocking(0);
	vcpu->regs.rflags = 2;
	CHECK(!vrig.ops->intr_ready(vcpu));
	CHECK(vrig.ops->nmi_ready(vcpu));
}

static void test_vmx_events_windows(void)
{
	REQUIRE(vrig_init());
	vrig.ops->want_intr_window(&vrig.vcpu[0], 0x30);
	vrig.ops->want_nmi_window(&vrig.vcpu[0]);
	vrig_exit(VMX_EXIT_INTR_WINDOW, 0);
	CHECK((vrig_entered(VMCS_PROC_CONTROLS) & VMX_PROC_INTR_WINDOW) &&
	      (vrig_entered(VMCS_PROC_CONTROLS) & VMX_PROC_NMI_WINDOW));
	vrig_exit(VMX_EXIT_NMI_WINDOW, 0);
	CHECK(!(vrig_entered(VMCS_PROC_CONTROLS) & VMX_PROC_INTR_WINDOW) &&
	      (vrig_entered(VMCS_PROC_CONTROLS) & VMX_PROC_NMI_WINDOW));
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!(vrig_entered(VMCS_PROC_CONTROLS) & VMX_PROC_NMI_WINDOW));
}

static void test_vmx_events_clear_shadow(void)
{
	REQUIRE(vrig_init());
	exit_with_blocking(VMX_BLOCK_STI | VMX_BLOCK_NMI);
	vrig.ops->clear_shadow(&vrig.vcpu[0]);
	CHECK(vrig.ops->intr_ready(&vrig.vcpu[0]));
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_GUEST_INTERRUPTIBILITY), VMX_BLOCK_NMI);
}

/* The shadow survives an exit that completes no instruction. */
static void test_vmx_events_shadow_stays(void)
{
	REQUIRE(vrig_init());
	exit_with_blocking(VMX_BLOCK_STI);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_GUEST_INTERRUPTIBILITY), VMX_BLOCK_STI);
}

/* An NMI whose delivery was cut short blocks NMIs in the VMCS, but is to be injected again. */
static void test_vmx_events_nmi_again(void)
{
	const struct v3_event nmi = {.type = V3_EVENT_NMI, .vector = 2};

	REQUIRE(vrig_init());
	exit_with_blocking(VMX_BLOCK_NMI);
	vrig.ops->inject(&vrig.vcpu[0], &nmi);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

static bool blocked_after(uint32_t reason, uint64_t qualification)
{
	guest_blocking = 0;
	vrig.guest = guest_ends_with_blocking;
	vrig_exit(reason, qualification);
	vrig.guest = NULL;
	CHECK_EQ(vrig.vcpu[0].nmi_blocked, !vrig.ops->nmi_ready(&vrig.vcpu[0]));
	return vrig.vcpu[0].nmi_blocked;
}

/* The IRET that ends an NMI handler unblocks NMIs and then faults: the handler is not done; 28.2.3. */
static void test_vmx_events_iret_that_faults_keeps_nmis_blocked(void)
{
	REQUIRE(vrig_init());
	CHECK(!blocked_after(VMX_EXIT_EPT_VIOLATION, 0x181));
	CHECK(blocked_after(VMX_EXIT_EPT_VIOLATION, 0x181 | VMX_QUAL_EPT_NMI_UNBLOCKED));
	vrig.info = INFO(VMX_INTR_EXCEPTION, V3_VEC_AC) | VMX_INTR_NMI_UNBLOCKED;
	CHECK(blocked_after(VMX_EXIT_EXCEPTION, 0));
	vrig.info =
		INFO(VMX_INTR_EXCEPTION, V3_VEC_DF) | VMX_INTR_NMI_UNBLOCKED; /* undefined then */
	CHECK(!blocked_after(VMX_EXIT_EXCEPTION, 0));
	vrig.vectoring = INFO(VMX_INTR_EXCEPTION, V3_VEC_GP); /* and so it is during delivery */
	CHECK(!blocked_after(VMX_EXIT_EPT_VIOLATION, 0x181 | VMX_QUAL_EPT_NMI_UNBLOCKED));
}

static void test_vmx_events_task_switch_by_iret_unblocks_nmis(void)
{
	REQUIRE(vrig_init());
	exit_with_blocking(VMX_BLOCK_NMI);
	vrig.vcpu[0].nmi_pending = true;
	vrig_exit(VMX_EXIT_TASK_SWITCH, 0x28 | 1ull << 30);
	CHECK(!vrig.vcpu[0].nmi_blocked);
	CHECK(vrig.ops->nmi_ready(&vrig.vcpu[0]));
	CHECK(vrig.vcpu[0].requests & V3_REQ_NMI);
}

#define OWN_MASK (1u << V3_VEC_DB | 1u << V3_VEC_UD | 1u << V3_VEC_AC | 1u << V3_VEC_MC)

static void test_vmx_events_exception_mask(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_EXCEPTION_BITMAP), OWN_MASK);
	vrig.ops->set_exception_mask(&vrig.vcpu[0], 1u << V3_VEC_PF);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_EXCEPTION_BITMAP), OWN_MASK | 1u << V3_VEC_PF);
}

static const struct tap_test tests[] = {
	TAP(test_vmx_events_injection),
	TAP(test_vmx_events_same_event_twice),
	TAP(test_vmx_events_page_fault_sets_cr2),
	TAP(test_vmx_events_refusal_keeps_the_event),
	TAP(test_vmx_events_ready),
	TAP(test_vmx_events_windows),
	TAP(test_vmx_events_clear_shadow),
	TAP(test_vmx_events_shadow_stays),
	TAP(test_vmx_events_nmi_again),
	TAP(test_vmx_events_iret_that_faults_keeps_nmis_blocked),
	TAP(test_vmx_events_task_switch_by_iret_unblocks_nmis),
	TAP(test_vmx_events_exception_mask),
};
TAP_MAIN(tests)
