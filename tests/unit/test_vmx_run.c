/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vmx_run.c
 * VMX back end, one entry: which VMCS is current where, what is written before an entry and read after an exit,
 * flushes, host state, debug registers, MSRs that stay in the CPU. SDM 3C chapters 25, 27 to 29.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "host/x86.h"
#include "tap.h"
#include "vmx_rig.h"

static struct vrig_vmcs *vmcs_of(unsigned vcpu)
{
	for (unsigned i = 0; i < VRIG_NVMCS; i++)
		if (vrig_machine.vmcs[i].pa == vrig_vv(vcpu)->vmcs_pa)
			return &vrig_machine.vmcs[i];
	FAIL("vcpu %u has no VMCS", vcpu);
	return &vrig_machine.vmcs[0];
}

/* ---- load and put ---- */

static void test_vmx_run_launches_once_per_load(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!vrig.launched);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(vrig.launched);
	vrig.ops->put(&vrig.vcpu[0]);
	CHECK(!vmcs_of(0)->active);
	vrig.ops->load(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!vrig.launched);
}

/* Two vcpus share a CPU: neither's VMCS is active while the other's is current. */
static void test_vmx_run_vcpus_take_turns(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	vrig.ops->put(&vrig.vcpu[0]);
	vrig.ops->load(&vrig.vcpu[1]);
	CHECK_EQ(vrig_enter(1), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_VPID), vrig_vv(1)->vpid);
	CHECK(!vmcs_of(0)->active);
	vrig.ops->put(&vrig.vcpu[1]);
	vrig.ops->load(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_VPID), vrig_vv(0)->vpid);
	CHECK(vrig_vv(0)->vpid != vrig_vv(1)->vpid && vrig_vv(0)->vpid && vrig_vv(1)->vpid);
}

static void test_vmx_run_moves_to_another_cpu(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	vrig.ops->put(&vrig.vcpu[0]);
	fake_cpu_set(1);
	vrig_machine.invepts = vrig_machine.invvpids = 0;
	vrig.ops->load(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vmcs_of(0)->cpu, 1);
	CHECK_EQ(vrig_entered(VMCS_HOST_CR3), vrig_machine.cpu[1].cr3);
	/* what this CPU cached of the vcpu, long ago, is dropped */
	CHECK_EQ(vrig_machine.invepts, 1);
	CHECK_EQ(vrig_machine.invvpids, 1);
	vrig.ops->put(&vrig.vcpu[0]);
}

/* Segments, for example, are asked for while the vcpu is not loaded: after a handler slept. */
static void test_vmx_run_fields_can_be_read_unloaded(void)
{
	struct v3_seg seg;

	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	vrig.ops->put(&vrig.vcpu[0]);
	*vrig_field(vmcs_of(0), VMCS_GUEST_SEL(V3_FS)) = 0x53;
	vrig.ops->get_seg(&vrig.vcpu[0], V3_FS, &seg);
	CHECK_EQ(seg.sel, 0x53);
	CHECK(!vmcs_of(0)->active);
	CHECK_EQ(vrig_machine.cpu[0].flags, V3_RFLAGS_IF);
	/* and set: that waits for the next entry */
	seg.sel = 0x5b;
	vrig.ops->set_seg(&vrig.vcpu[0], V3_FS, &seg);
	vrig.ops->load(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_GUEST_SEL(V3_FS)), 0x5b);
}

static const uint64_t guest_live[VMX_NLIVE] = {1, 0xffffffff82000000ull, 3, 4, 5};

static void guest_writes_msrs(struct v3_vcpu *vcpu, struct vrig_vmcs *vmcs)
{
	(void)vcpu;
	(void)vmcs;
	for (unsigned i = 0; i < VMX_NLIVE; i++)
		v3_wrmsr(v3_vmx_live_msrs[i], guest_live[i]);
}

static void test_vmx_run_live_msrs_are_switched(void)
{
	uint64_t host[VMX_NLIVE], value;

	REQUIRE(vrig_init());
	vrig.ops->put(&vrig.vcpu[0]);
	for (unsigned i = 0; i < VMX_NLIVE; i++)
		host[i] = fake_msr_get(v3_vmx_live_msrs[i]);
	vrig.ops->load(&vrig.vcpu[0]);
	for (unsigned i = 0; i < VMX_NLIVE; i++)
		CHECK_EQ(fake_msr_get(v3_vmx_live_msrs[i]), 0); /* the guest's, after RESET */
	vrig.guest = guest_writes_msrs;
	CHECK_EQ(vrig_enter(0), V3_OK);
	for (unsigned i = 0; i < VMX_NLIVE; i++) {
		CHECK_EQ(vrig.ops->get_msr(&vrig.vcpu[0], v3_vmx_live_msrs[i], &value), V3_OK);
		CHECK_EQ(value, guest_live[i]);
	}
	vrig.ops->put(&vrig.vcpu[0]);
	for (unsigned i = 0; i < VMX_NLIVE; i++) {
		CHECK_EQ(fake_msr_get(v3_vmx_live_msrs[i]), host[i]);
		CHECK_EQ(vrig.ops->get_msr(&vrig.vcpu[0], v3_vmx_live_msrs[i], &value), V3_OK);
		CHECK_EQ(value, guest_live[i]);
	}
}

static void test_vmx_run_put_restores_table_limits(void)
{
	struct vmx_dtr gdtr, idtr;

	REQUIRE(vrig_init());
	gdtr = vmx_read_gdtr();
	idtr = vmx_read_idtr();
	vmx_load_gdtr((struct vmx_dtr){0xffff, gdtr.base}); /* what each exit does */
	vmx_load_idtr((struct vmx_dtr){0xffff, idtr.base});
	vrig.ops->put(&vrig.vcpu[0]);
	CHECK_EQ(vmx_read_gdtr().limit, gdtr.limit);
	CHECK_EQ(vmx_read_idtr().limit, idtr.limit);
}

static void test_vmx_run_put_restores_debugctl(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(fake_msr_get(V3_MSR_DEBUGCTL), 0);
	vrig.ops->put(&vrig.vcpu[0]);
	CHECK_EQ(fake_msr_get(V3_MSR_DEBUGCTL), 1);
}

static void test_vmx_run_barrier_between_vcpus(void)
{
	uint32_t r[4];

	fake_instr_cpuid(7, 0, r);
	r[3] |= 1u << 26;
	fake_cpuid_set(7, 0, r);
	REQUIRE(vrig_init());
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 0);
	vrig.ops->put(&vrig.vcpu[0]);
	vrig.ops->load(&vrig.vcpu[0]);
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 0);
	vrig.ops->put(&vrig.vcpu[0]);
	vrig.ops->load(&vrig.vcpu[1]);
	CHECK_EQ(fake_msr_writes(V3_MSR_PRED_CMD), 1);
	vrig.ops->put(&vrig.vcpu[1]);
}

/* ---- host state ---- */

static void test_vmx_run_host_state(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_HOST_TR_SEL), 0x18);
	CHECK_EQ(vrig_entered(VMCS_HOST_TR_BASE), 0xffff800012345000ull);
	CHECK_EQ(vrig_entered(VMCS_HOST_ES_SEL), 0); /* a user's: cannot be loaded */
	CHECK_EQ(vrig_entered(VMCS_HOST_GS_BASE), fake_msr_get(V3_MSR_GS_BASE));
	CHECK_EQ(vrig_entered(VMCS_HOST_RIP), (uintptr_t)v3_vmx_exit_point);
	CHECK_EQ(vrig_entered(VMCS_HOST_EFER), fake_msr_get(V3_MSR_EFER));
}

/* Interrupt handlers of the host may change CR3 and CR4 while the vcpu is loaded; FS belongs to its thread. */
static void test_vmx_run_host_state_follows_the_host(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	vrig_machine.cpu[0].cr3 = 0x99000;
	fake_cr4_set(fake_instr_cr4() | V3_CR4_PCE);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_HOST_CR3), 0x99000);
	CHECK(vrig_entered(VMCS_HOST_CR4) & V3_CR4_PCE);
	vrig.ops->put(&vrig.vcpu[0]);
	fake_msr_set(V3_MSR_FS_BASE, 0x7f1234567000ull);
	vrig.ops->load(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_HOST_FS_BASE), 0x7f1234567000ull);
}

/* ---- flushes ---- */

static void test_vmx_run_flush(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	vrig_machine.invepts = vrig_machine.invvpids = 0;
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_machine.invepts + vrig_machine.invvpids, 0);
	vrig.ops->flush(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_machine.invepts, 1);
	CHECK_EQ(vrig_machine.last_invept[0], VMX_INVEPT_SINGLE);
	CHECK_EQ(vrig_machine.last_invept[1], vrig_entered(VMCS_EPTP));
	CHECK_EQ(vrig_machine.invvpids, 1);
	CHECK_EQ(vrig_machine.last_invvpid[1], vrig_vv(0)->vpid);
}

static void test_vmx_run_refusal_keeps_the_flush(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	vrig.ops->flush(&vrig.vcpu[0]);
	vrig.vcpu[0].requests = V3_REQ_IRQ;
	CHECK_EQ(vrig_enter(0), V3_EAGAIN);
	CHECK_EQ(vrig.refused, 1);
	CHECK_EQ(vrig_machine.cpu[0].flags, V3_RFLAGS_IF);
	vrig.vcpu[0].requests = 0;
	vrig_machine.invepts = 0;
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_machine.invepts, 1);
}

static void test_vmx_run_new_nested_root_flushes(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	vrig_machine.invepts = 0;
	vrig.ops->set_nested_root(&vrig.vcpu[0], 0x456000);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_machine.invepts, 1);
	CHECK_EQ(vrig_entered(VMCS_EPTP), 0x456000 | VMX_EPTP_WB | VMX_EPTP_LEVELS(4));
}

/* ---- cost ---- */

/* What an exit that needs nothing special costs in VMREADs and VMWRITEs. */
static void test_vmx_run_light_exits_touch_few_fields(void)
{
	REQUIRE(vrig_init());
	vrig.ops->set_efer(&vrig.vcpu[0], V3_EFER_LME | V3_EFER_LMA);
	vrig.ops->set_cr(&vrig.vcpu[0], 4, V3_CR4_PAE);
	vrig.ops->set_cr(&vrig.vcpu[0], 0, V3_CR0_PG | V3_CR0_PE | V3_CR0_ET);
	vrig.ops->set_seg(&vrig.vcpu[0], V3_CS,
			  &(struct v3_seg){.sel = 8,
					   .attr = V3_SEG_P | V3_SEG_S | V3_SEG_L | 0xb,
					   .limit = 0xffffffff});
	vrig.len = 2;
	vrig_exit(VMX_EXIT_CPUID, 0);
	vrig.vcpu[0].regs.rip += 2;
	vrig_machine.reads = vrig_machine.writes = 0;
	vrig_exit(VMX_EXIT_CPUID, 0);
	CHECK_MSG(vrig_machine.reads <= 10, "%u VMREADs", vrig_machine.reads);
	CHECK_MSG(vrig_machine.writes <= 1, "%u VMWRITEs", vrig_machine.writes);
}

/* ---- debug registers, CR2 ---- */

static void test_vmx_run_dr_switched_while_guest_enables_one(void)
{
	REQUIRE(vrig_init());
	for (unsigned i = 0; i < 4; i++) {
		fake_instr_write_dr(i, 0x1000 + i);
		vrig.ops->set_dr(&vrig.vcpu[0], i, 0xffff0000 + i);
	}
	vrig.ops->set_dr(&vrig.vcpu[0], 7, 0x400);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig.dr[0], 0x1000);
	vrig.ops->set_dr(&vrig.vcpu[0], 7, 0x401);
	CHECK_EQ(vrig_enter(0), V3_OK);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(vrig.dr[i], 0xffff0000 + i);
		CHECK_EQ(fake_instr_read_dr(i), 0x1000 + i);
	}
	CHECK_EQ(vrig_entered(VMCS_GUEST_DR7), 0x401);
}

static void test_vmx_run_host_breakpoints_come_back(void)
{
	REQUIRE(vrig_init());
	fake_instr_write_dr(0, 0x1234);
	fake_instr_write_dr(7, 0x402);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(fake_instr_read_dr(7), 0x402);
	vrig.ops->set_dr(&vrig.vcpu[0], 7, 0x401);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(fake_instr_read_dr(7), 0x402);
	CHECK_EQ(fake_instr_read_dr(0), 0x1234);
	CHECK_EQ(fake_dr_live_writes(), 0);
}

static void guest_page_faults(struct v3_vcpu *vcpu, struct vrig_vmcs *vmcs)
{
	(void)vcpu;
	(void)vmcs;
	vmx_write_cr2(0xdead000);
}

static void test_vmx_run_cr2_is_switched(void)
{
	REQUIRE(vrig_init());
	vrig.ops->set_cr(&vrig.vcpu[0], 2, 0x5000);
	vrig.guest = guest_page_faults;
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig.cr2, 0x5000);
	CHECK_EQ(vrig.vcpu[0].cr2, 0xdead000);
}

/* ---- yield policy ---- */

static void test_vmx_run_greedy_takes_no_pause_exits(void)
{
	REQUIRE(vrig_init());
	CHECK(*vrig_field(vmcs_of(0), VMCS_PROC2_CONTROLS) & VMX_PROC2_PAUSE_LOOP);
	CHECK(*vrig_field(vmcs_of(0), VMCS_PLE_WINDOW) != 0);
	vrig.ops->put(&vrig.vcpu[0]);
	vrig.ops->vcpu_destroy(&vrig.vcpu[0]);
	vrig.vm.yield = V3_YIELD_GREEDY;
	REQUIRE_EQ(vrig.ops->vcpu_create(&vrig.vcpu[0]), V3_OK);
	CHECK(!(*vrig_field(vmcs_of(0), VMCS_PROC2_CONTROLS) & VMX_PROC2_PAUSE_LOOP));
}

/* ---- failed entries ---- */

/* What is asked is the state that the next entry would have, not the VMCS as it stands. */
static void test_vmx_run_check_entry(void)
{
	struct v3_vcpu *vcpu = &vrig.vcpu[0];
	const char *rule;

	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!vrig.ops->check_entry(vcpu));
	vcpu->regs.rflags = 0; /* bit 1 must be set */
	rule = vrig.ops->check_entry(vcpu);
	CHECK(rule && strstr(rule, "RFLAGS"));
	vcpu->regs.rflags = V3_RFLAGS_ONE;
	CHECK(!vrig.ops->check_entry(vcpu));
}

static void test_vmx_run_refused_entry(void)
{
	struct v3_exit exit;

	REQUIRE(vrig_init());
	vrig.refuse = VMX_ERROR_ENTRY_CONTROLS;
	exit = vrig_exit(VMX_EXIT_HLT, 0);
	CHECK_EQ(exit.kind, V3_EXIT_ENTRY_FAILED);
	CHECK_EQ(exit.code, VMX_ERROR_ENTRY_CONTROLS);
	CHECK(fake_log_contains("VM-instruction error 7"));
}

static const struct tap_test tests[] = {
	TAP(test_vmx_run_launches_once_per_load),
	TAP(test_vmx_run_vcpus_take_turns),
	TAP(test_vmx_run_moves_to_another_cpu),
	TAP(test_vmx_run_fields_can_be_read_unloaded),
	TAP(test_vmx_run_live_msrs_are_switched),
	TAP(test_vmx_run_put_restores_table_limits),
	TAP(test_vmx_run_put_restores_debugctl),
	TAP(test_vmx_run_barrier_between_vcpus),
	TAP(test_vmx_run_host_state),
	TAP(test_vmx_run_host_state_follows_the_host),
	TAP(test_vmx_run_flush),
	TAP(test_vmx_run_refusal_keeps_the_flush),
	TAP(test_vmx_run_new_nested_root_flushes),
	TAP(test_vmx_run_light_exits_touch_few_fields),
	TAP(test_vmx_run_dr_switched_while_guest_enables_one),
	TAP(test_vmx_run_host_breakpoints_come_back),
	TAP(test_vmx_run_cr2_is_switched),
	TAP(test_vmx_run_greedy_takes_no_pause_exits),
	TAP(test_vmx_run_check_entry),
	TAP(test_vmx_run_refused_entry),
};
TAP_MAIN(tests)
