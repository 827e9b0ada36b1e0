/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vmx_cpu.c
 * VMX back end: detection with its refusals, capabilities, and enabling per CPU. SDM 3C 24.6 to 24.8.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "host/x86.h"
#include "tap.h"
#include "vmx_rig.h"

#define LOCKED_OFF VMX_FEATURE_LOCKED
#define LOCKED_ON  (VMX_FEATURE_LOCKED | VMX_FEATURE_OUTSIDE_SMX)

static void hide_vmx(void)
{
	uint32_t r[4];

	fake_instr_cpuid(1, 0, r);
	r[2] &= ~(1u << 5);
	fake_cpuid_set(1, 0, r);
}

/* probe() must give this result and sentence, and change nothing. */
static void check_refusal(int expected, const char *sentence)
{
	struct v3_arch_caps caps;
	const char *why = NULL;
	uint64_t cr4 = fake_instr_cr4();

	CHECK_EQ(v3_vmx_ops.probe(&caps, &why), expected);
	CHECK_STR(why, sentence);
	CHECK_EQ(fake_instr_cr4(), cr4);
	CHECK_EQ(fake_msr_writes(VMX_MSR_FEATURE_CONTROL), 0);
}

static void test_vmx_probe_no_vmx(void)
{
	vrig_machine_init(VRIG_MODEL);
	hide_vmx();
	check_refusal(V3_ENODEV, "this CPU has no Intel VMX (CPUID 1 ECX bit 5)");
}

static void test_vmx_probe_locked_off(void)
{
	vrig_machine_init(VRIG_MODEL);
	fake_msr_set(VMX_MSR_FEATURE_CONTROL, LOCKED_OFF);
	check_refusal(V3_EPERM,
		      "VMX is locked off in IA32_FEATURE_CONTROL: switch it on in the firmware's "
		      "set-up (\"Intel Virtualization Technology\")");
	/* inside SMX only is not enough */
	fake_msr_set(VMX_MSR_FEATURE_CONTROL, LOCKED_OFF | VMX_FEATURE_IN_SMX);
	check_refusal(V3_EPERM,
		      "VMX is locked off in IA32_FEATURE_CONTROL: switch it on in the firmware's "
		      "set-up (\"Intel Virtualization Technology\")");
}

static void test_vmx_probe_in_use(void)
{
	vrig_machine_init(VRIG_MODEL);
	fake_cr4_set(fake_instr_cr4() | V3_CR4_VMXE);
	check_refusal(V3_EBUSY, "VMX is already enabled by somebody else: unload the other "
				"hypervisor (kvm_intel)");
}

static void test_vmx_probe_names_what_is_missing(void)
{
	vrig_machine_init("corei5_lynnfield_750");
	check_refusal(V3_ENODEV, "this CPU's VMX has no unrestricted guest (real mode): a newer "
				 "CPU is needed");
}

static void test_vmx_probe_capabilities(void)
{
	struct v3_arch_caps caps;
	const char *why = NULL;

	vrig_machine_init(VRIG_MODEL);
	REQUIRE(v3_vmx_ops.probe(&caps, &why) == V3_OK);
	CHECK(caps.nested_1g && caps.nested_exec_only);
	CHECK_EQ(caps.nested_levels, 4);
	CHECK_EQ(caps.nested_format, V3_NESTED_EPT);
	CHECK_EQ(caps.hpa_bits, 48); /* of the simulated CPU's leaf 0x80000008 */
	vrig_machine_init("corei7_sandy_bridge_2600k");
	REQUIRE(v3_vmx_ops.probe(&caps, &why) == V3_OK);
	CHECK(!caps.nested_1g);
}

static int create_state(void *arg)
{
	return v3_vmx_ops.init(VRIG_NCPUS, arg);
}

static void destroy_state(void *arg)
{
	v3_vmx_ops.fini(*(void **)arg);
}

static void test_vmx_init_out_of_memory(void)
{
	void *state = NULL;

	vrig_machine_init(VRIG_MODEL);
	fake_lib_install();
	CHECK(fake_host_oom_each_step(create_state, destroy_state, &state) > VRIG_NCPUS);
}

static int create_vm(void *arg)
{
	return v3_vmx_ops.vm_create(arg);
}

static void destroy_vm(void *arg)
{
	v3_vmx_ops.vm_destroy(arg);
}

static void test_vmx_vm_out_of_memory(void)
{
	struct v3_vm vm = {.arch = &v3_vmx_ops};

	REQUIRE(vrig_init());
	CHECK(fake_host_oom_each_step(create_vm, destroy_vm, &vm) > 1);
}

static int create_vcpu(void *arg)
{
	return v3_vmx_ops.vcpu_create(arg);
}

static void destroy_vcpu(void *arg)
{
	v3_vmx_ops.vcpu_destroy(arg);
}

static void test_vmx_vcpu_out_of_memory(void)
{
	struct v3_vcpu vcpu = {.vm = &vrig.vm, .arch = &v3_vmx_ops};

	REQUIRE(vrig_init());
	CHECK(fake_host_oom_each_step(create_vcpu, destroy_vcpu, &vcpu) > 1);
}

/* A VPID is free again when its vcpu is gone; none is given twice. */
static void test_vmx_vpids_are_reused(void)
{
	struct v3_vcpu vcpu = {.vm = &vrig.vm, .arch = &v3_vmx_ops};
	uint16_t first;

	REQUIRE(vrig_init());
	REQUIRE(v3_vmx_ops.vcpu_create(&vcpu) == V3_OK);
	first = ((struct vmx_vcpu *)vcpu.arch_vcpu)->vpid;
	CHECK(first && first != vrig_vv(0)->vpid && first != vrig_vv(1)->vpid);
	v3_vmx_ops.vcpu_destroy(&vcpu);
	REQUIRE(v3_vmx_ops.vcpu_create(&vcpu) == V3_OK);
	CHECK_EQ(((struct vmx_vcpu *)vcpu.arch_vcpu)->vpid, first);
	v3_vmx_ops.vcpu_destroy(&vcpu);
}

/* ---- enabling ---- */

static struct vmx_state *new_state(void)
{
	void *state = NULL;

	fake_lib_install();
	CHECK_EQ(v3_vmx_ops.init(VRIG_NCPUS, &state), V3_OK);
	return state;
}

static void test_vmx_cpu_enable_and_disable(void)
{
	struct vmx_state *vmx;
	uint64_t cr4;

	vrig_machine_init(VRIG_MODEL);
	cr4 = fake_instr_cr4();
	vmx = new_state();
	CHECK_EQ(v3_vmx_ops.cpu_enable(vmx), V3_OK);
	/* the firmware left it open: locked by us, on */
	CHECK_EQ(fake_msr_get(VMX_MSR_FEATURE_CONTROL), LOCKED_ON);
	CHECK_EQ(fake_instr_cr4(), cr4 | V3_CR4_VMXE);
	CHECK_EQ(vrig_machine.cpu[0].vmxon, vmx->cpu[0].vmxon_pa);
	CHECK_EQ(vrig_machine.last_invept[0], VMX_INVEPT_ALL);
	v3_vmx_ops.cpu_disable(vmx);
	CHECK_EQ(vrig_machine.cpu[0].vmxon, 0);
	CHECK_EQ(fake_instr_cr4(), cr4);
	v3_vmx_ops.cpu_disable(vmx); /* not enabled: nothing */
	v3_vmx_ops.fini(vmx);
}

static void test_vmx_cpu_enable_respects_the_lock(void)
{
	struct vmx_state *vmx;

	vrig_machine_init(VRIG_MODEL);
	fake_msr_set(VMX_MSR_FEATURE_CONTROL, LOCKED_ON);
	vmx = new_state();
	CHECK_EQ(v3_vmx_ops.cpu_enable(vmx), V3_OK);
	CHECK_EQ(fake_msr_writes(VMX_MSR_FEATURE_CONTROL), 0); /* it would raise #GP */
	v3_vmx_ops.cpu_disable(vmx);
	v3_vmx_ops.fini(vmx);
}

static void check_not_enabled(struct vmx_state *vmx, int expected)
{
	uint64_t cr4 = fake_instr_cr4();

	CHECK_EQ(v3_vmx_ops.cpu_enable(vmx), expected);
	CHECK_EQ(fake_instr_cr4(), cr4);
	CHECK(!vmx->cpu[0].enabled);
	v3_vmx_ops.fini(vmx);
}

static void test_vmx_cpu_enable_refuses_locked_cpu(void)
{
	struct vmx_state *vmx;

	vrig_machine_init(VRIG_MODEL);
	vmx = new_state();
	fake_msr_set(VMX_MSR_FEATURE_CONTROL, LOCKED_OFF);
	check_not_enabled(vmx, V3_EPERM);
}

static void test_vmx_cpu_enable_refuses_cpu_in_use(void)
{
	struct vmx_state *vmx;

	vrig_machine_init(VRIG_MODEL);
	vmx = new_state();
	fake_cr4_set(fake_instr_cr4() | V3_CR4_VMXE);
	check_not_enabled(vmx, V3_EBUSY);
}

static void test_vmx_cpu_enable_refuses_cpu_without_vmx(void)
{
	struct vmx_state *vmx;

	vrig_machine_init(VRIG_MODEL);
	vmx = new_state();
	hide_vmx();
	check_not_enabled(vmx, V3_ENODEV);
}

static void test_vmx_cpu_enable_takes_back_vmxe_if_vmxon_fails(void)
{
	struct vmx_state *vmx;

	vrig_machine_init(VRIG_MODEL);
	vmx = new_state();
	vrig_machine.vmxon_fails = true;
	check_not_enabled(vmx, V3_EBUSY);
}

static const struct tap_test tests[] = {
	TAP(test_vmx_probe_no_vmx),
	TAP(test_vmx_probe_locked_off),
	TAP(test_vmx_probe_in_use),
	TAP(test_vmx_probe_names_what_is_missing),
	TAP(test_vmx_probe_capabilities),
	TAP(test_vmx_init_out_of_memory),
	TAP(test_vmx_vm_out_of_memory),
	TAP(test_vmx_vcpu_out_of_memory),
	TAP(test_vmx_vpids_are_reused),
	TAP(test_vmx_cpu_enable_and_disable),
	TAP(test_vmx_cpu_enable_respects_the_lock),
	TAP(test_vmx_cpu_enable_refuses_locked_cpu),
	TAP(test_vmx_cpu_enable_refuses_cpu_in_use),
	TAP(test_vmx_cpu_enable_refuses_cpu_without_vmx),
	TAP(test_vmx_cpu_enable_takes_back_vmxe_if_vmxon_fails),
};
TAP_MAIN(tests)
