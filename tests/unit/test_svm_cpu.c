/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_svm_cpu.c
 * SVM back end: detection with its refusals, capabilities, and enabling per CPU. AMD APM vol. 2 15.4, 15.30.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "svm_rig.h"
#include "tap.h"

static void set_cpuid(uint32_t leaf, unsigned reg, uint32_t clear, uint32_t set)
{
	uint32_t r[4];

	fake_instr_cpuid(leaf, 0, r);
	r[reg] = (r[reg] & ~clear) | set;
	fake_cpuid_set(leaf, 0, r);
}

/* probe() must give this result and sentence, and change nothing. */
static void check_refusal(int expected, const char *sentence)
{
	struct v3_arch_caps caps;
	const char *why = NULL;

	CHECK_EQ(v3_svm_ops.probe(&caps, &why), expected);
	CHECK_STR(why, sentence);
	CHECK_EQ(fake_msr_writes(V3_MSR_EFER), 0);
	CHECK_EQ(fake_msr_writes(SVM_MSR_VM_CR), 0);
	CHECK_EQ(fake_msr_writes(SVM_MSR_VM_HSAVE_PA), 0);
}

static void test_svm_probe_no_svm(void)
{
	rig_machine(RIG_FEATURES, RIG_NASIDS);
	set_cpuid(0x80000001, 2, 1u << 2, 0);
	check_refusal(V3_ENODEV, "this CPU has no AMD SVM (CPUID 0x80000001 ECX bit 2)");
}

static void test_svm_probe_no_svm_leaf(void)
{
	rig_machine(RIG_FEATURES, RIG_NASIDS);
	set_cpuid(0x80000000, 0, ~0u, 0x80000009);
	check_refusal(V3_ENODEV, "this CPU has no AMD SVM (CPUID 0x80000001 ECX bit 2)");
}

static void test_svm_probe_no_nested_paging(void)
{
	rig_machine(RIG_FEATURES & ~RIG_NP, RIG_NASIDS);
	check_refusal(V3_ENODEV, "this CPU's SVM has no nested paging: a newer CPU is needed");
}

static void test_svm_probe_disabled_by_firmware(void)
{
	rig_machine(RIG_FEATURES, RIG_NASIDS);
	fake_msr_set(SVM_MSR_VM_CR, SVM_VM_CR_SVMDIS | 1 << 3);
	check_refusal(V3_EPERM, "SVM is disabled in VM_CR: switch it on in the firmware's set-up "
				"(\"SVM mode\")");
}

static void test_svm_probe_in_use(void)
{
	rig_machine(RIG_FEATURES, RIG_NASIDS);
	fake_msr_set(V3_MSR_EFER, RIG_EFER | V3_EFER_SVME);
	check_refusal(V3_EBUSY, "SVM is already enabled by somebody else: unload the other "
				"hypervisor (kvm_amd)");
}

/* A CPU without the lock feature need not have VM_CR at all: reading it would be a #GP in the host. */
static void test_svm_probe_leaves_vm_cr_alone_without_svml(void)
{
	struct v3_arch_caps caps;
	const char *why = NULL;

	rig_machine(RIG_FEATURES & ~RIG_SVML, RIG_NASIDS);
	fake_msr_set(SVM_MSR_VM_CR, SVM_VM_CR_SVMDIS);
	CHECK_EQ(v3_svm_ops.probe(&caps, &why), V3_OK);
}

static void test_svm_probe_caps(void)
{
	struct v3_arch_caps caps;
	const char *why = NULL;

	memset(&caps, 0xff, sizeof(caps));
	rig_machine(RIG_FEATURES, RIG_NASIDS);
	set_cpuid(0x80000001, 3, 0, 1u << 26);
	set_cpuid(0x80000008, 0, 0xff, 45);
	CHECK_EQ(v3_svm_ops.probe(&caps, &why), V3_OK);
	CHECK(!why);
	CHECK(caps.nested_1g);
	CHECK(!caps.nested_exec_only);
	CHECK_EQ(caps.hpa_bits, 45);
	CHECK_EQ(caps.nested_levels, 4);
	CHECK_EQ(caps.nested_format, V3_NESTED_NPT);
}

static void test_svm_probe_caps_of_lesser_cpu(void)
{
	struct v3_arch_caps caps;
	const char *why = NULL;

	rig_machine(RIG_NP, RIG_NASIDS);
	set_cpuid(0x80000001, 3, 1u << 26, 0);
	CHECK_EQ(v3_svm_ops.probe(&caps, &why), V3_OK);
	CHECK(!caps.nested_1g);
}

/* Nested tables have the levels of the host's own paging; 15.25.3. */
static void test_svm_probe_caps_five_levels(void)
{
	struct v3_arch_caps caps;
	const char *why = NULL;

	rig_machine(RIG_FEATURES, RIG_NASIDS);
	fake_cr4_set(V3_CR4_PAE | V3_CR4_LA57);
	CHECK_EQ(v3_svm_ops.probe(&caps, &why), V3_OK);
	CHECK_EQ(caps.nested_levels, 5);
}

static int create_state(void *arg)
{
	return v3_svm_ops.init(RIG_NCPUS, arg);
}

static void destroy_state(void *arg)
{
	v3_svm_ops.fini(*(void **)arg);
}

static void test_svm_init_out_of_memory_at_each_step(void)
{
	void *state;

	fake_lib_install();
	rig_machine(RIG_FEATURES, RIG_NASIDS);
	CHECK(fake_host_oom_each_step(create_state, destroy_state, &state) > 2 * RIG_NCPUS);
}

static int create_vm(void *arg)
{
	return v3_svm_ops.vm_create(arg);
}

static void destroy_vm(void *arg)
{
	v3_svm_ops.vm_destroy(arg);
}

static void test_svm_vm_out_of_memory_at_each_step(void)
{
	static struct v3_vm vm;

	REQUIRE(rig_init(RIG_FEATURES));
	memset(&vm, 0, sizeof(vm));
	CHECK(fake_host_oom_each_step(create_vm, destroy_vm, &vm) > 3);
	CHECK(!vm.arch_vm);
	v3_svm_ops.vm_destroy(&vm); /* of one that was not created */
}

static int create_vcpu(void *arg)
{
	return v3_svm_ops.vcpu_create(arg);
}

static void destroy_vcpu(void *arg)
{
	v3_svm_ops.vcpu_destroy(arg);
}

static void test_svm_vcpu_out_of_memory_at_each_step(void)
{
	static struct v3_vcpu vcpu;

	REQUIRE(rig_init(RIG_FEATURES));
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.vm = &rig.vm;
	CHECK(fake_host_oom_each_step(create_vcpu, destroy_vcpu, &vcpu) > 2);
	CHECK(!vcpu.arch_vcpu);
	v3_svm_ops.vcpu_destroy(&vcpu);
}

static void *make_state(void)
{
	void *state = NULL;

	fake_lib_install();
	rig_machine(RIG_FEATURES, RIG_NASIDS);
	CHECK_EQ(v3_svm_ops.init(RIG_NCPUS, &state), V3_OK);
	return state;
}

static void test_svm_cpu_enable_and_disable_leave_msrs_as_found(void)
{
	struct svm_state *svm = make_state();

	REQUIRE(svm);
	for (uint32_t i = 0; i < RIG_NCPUS; i++) {
		fake_cpu_set(i);
		CHECK_EQ(v3_svm_ops.cpu_enable(svm), V3_OK);
		CHECK_EQ(fake_msr_get(V3_MSR_EFER), RIG_EFER | V3_EFER_SVME);
		CHECK_EQ(fake_msr_get(SVM_MSR_VM_HSAVE_PA), svm->cpu[i].hsave_pa);
		for (uint32_t k = 0; k < i; k++)
			CHECK(svm->cpu[k].hsave_pa != svm->cpu[i].hsave_pa &&
			      svm->cpu[k].host_pa != svm->cpu[i].host_pa);
	}
	for (uint32_t i = 0; i < RIG_NCPUS; i++) {
		fake_cpu_set(i);
		v3_svm_ops.cpu_disable(svm);
		CHECK_EQ(fake_msr_get(V3_MSR_EFER), RIG_EFER);
		CHECK_EQ(fake_msr_get(SVM_MSR_VM_HSAVE_PA), RIG_HSAVE);
	}
	fake_cpu_set(0);
	v3_svm_ops.fini(svm);
}

/* v3_init() disables all CPUs when enabling one fails: those it never enabled stay as they are. */
static void test_svm_cpu_disable_without_enable_changes_nothing(void)
{
	struct svm_state *svm = make_state();

	REQUIRE(svm);
	fake_msr_set(V3_MSR_EFER, RIG_EFER | V3_EFER_SVME); /* somebody else's */
	v3_svm_ops.cpu_disable(svm);
	CHECK_EQ(fake_msr_writes(V3_MSR_EFER), 0);
	CHECK_EQ(fake_msr_writes(SVM_MSR_VM_HSAVE_PA), 0);
	v3_svm_ops.fini(svm);
}

static void check_not_enabled(struct svm_state *svm, int expected)
{
	CHECK_EQ(v3_svm_ops.cpu_enable(svm), expected);
	CHECK_EQ(fake_msr_writes(V3_MSR_EFER), 0);
	CHECK_EQ(fake_msr_writes(SVM_MSR_VM_HSAVE_PA), 0);
	v3_svm_ops.cpu_disable(svm);
	CHECK_EQ(fake_msr_writes(V3_MSR_EFER), 0);
	v3_svm_ops.fini(svm);
}

static void test_svm_cpu_enable_refuses_cpu_in_use(void)
{
	struct svm_state *svm = make_state();

	REQUIRE(svm);
	fake_cpu_set(1);
	fake_msr_set(V3_MSR_EFER, RIG_EFER | V3_EFER_SVME);
	check_not_enabled(svm, V3_EBUSY);
}

static void test_svm_cpu_enable_refuses_disabled_cpu(void)
{
	struct svm_state *svm = make_state();

	REQUIRE(svm);
	fake_cpu_set(2);
	fake_msr_set(SVM_MSR_VM_CR, SVM_VM_CR_SVMDIS);
	check_not_enabled(svm, V3_EPERM);
}

static void test_svm_cpu_enable_refuses_cpu_without_svm(void)
{
	struct svm_state *svm = make_state();

	REQUIRE(svm);
	set_cpuid(0x80000001, 2, 1u << 2, 0);
	check_not_enabled(svm, V3_ENODEV);
}

static void test_svm_init_reads_features(void)
{
	void *state = NULL;
	const struct svm_state *svm;

	fake_lib_install();
	rig_machine(RIG_NP | RIG_NRIPS | RIG_FLUSH, 77);
	set_cpuid(0x80000008, 1, 0, 1u << 12);
	REQUIRE_EQ(v3_svm_ops.init(1, &state), V3_OK);
	svm = state;
	CHECK_EQ(svm->nasids, 77);
	CHECK(svm->nrips && svm->flush_by_asid && svm->ibpb);
	CHECK(!svm->clean_bits && !svm->decode_assists && !svm->pause_filter);
	v3_svm_ops.fini(state);

	rig_machine(RIG_NP | RIG_CLEAN | RIG_DECODE | RIG_PAUSE, 2);
	set_cpuid(0x80000008, 1, 1u << 12, 0);
	REQUIRE_EQ(v3_svm_ops.init(1, &state), V3_OK);
	svm = state;
	CHECK_EQ(svm->nasids, 2);
	CHECK(!svm->nrips && !svm->flush_by_asid && !svm->ibpb);
	CHECK(svm->clean_bits && svm->decode_assists && svm->pause_filter);
	v3_svm_ops.fini(state);
}

static const struct tap_test tests[] = {
	TAP(test_svm_probe_no_svm),
	TAP(test_svm_probe_no_svm_leaf),
	TAP(test_svm_probe_no_nested_paging),
	TAP(test_svm_probe_disabled_by_firmware),
	TAP(test_svm_probe_in_use),
	TAP(test_svm_probe_leaves_vm_cr_alone_without_svml),
	TAP(test_svm_probe_caps),
	TAP(test_svm_probe_caps_of_lesser_cpu),
	TAP(test_svm_probe_caps_five_levels),
	TAP(test_svm_init_out_of_memory_at_each_step),
	TAP(test_svm_init_reads_features),
	TAP(test_svm_vm_out_of_memory_at_each_step),
	TAP(test_svm_vcpu_out_of_memory_at_each_step),
	TAP(test_svm_cpu_enable_and_disable_leave_msrs_as_found),
	TAP(test_svm_cpu_disable_without_enable_changes_nothing),
	TAP(test_svm_cpu_enable_refuses_cpu_in_use),
	TAP(test_svm_cpu_enable_refuses_disabled_cpu),
	TAP(test_svm_cpu_enable_refuses_cpu_without_svm),
};
TAP_MAIN(tests)
