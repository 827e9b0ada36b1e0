/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file svm_rig.c
 * See svm_rig.h. Linked into test_svm_* only.
 */
#include "svm_rig.h"

#include "arch/svm/check.h"
#include "cpu/cpuid.h"
#include "fake_vm.h"
#include "host/host.h"
#include "tap.h"

struct rig rig;

void rig_machine(uint32_t features, uint32_t nasids)
{
	uint32_t r[4];

	fake_cpu_count(RIG_NCPUS);
	fake_instr_cpuid(0x8000000a, 0, r);
	r[1] = nasids;
	r[3] = features;
	fake_cpuid_set(0x8000000a, 0, r);
	for (uint32_t i = RIG_NCPUS; i-- > 0;) {
		fake_cpu_set(i);
		fake_msr_set(V3_MSR_EFER, RIG_EFER);
		fake_msr_set(SVM_MSR_VM_CR, 0);
		fake_msr_set(SVM_MSR_VM_HSAVE_PA, RIG_HSAVE);
		fake_msr_set(V3_MSR_PRED_CMD, 0);
		if (features & RIG_TSC)
			fake_msr_set(SVM_MSR_TSC_RATIO, RIG_TSC_FOUND);
	}
}

static void rig_fini(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < RIG_NVCPUS; i++) {
		if (!rig.vcpu[i].vm)
			break;
		rig.ops->vcpu_destroy(&rig.vcpu[i]);
		v3_cpuid_fini(&rig.vcpu[i]);
	}
	rig.ops->vm_destroy(&rig.vm);
	for (uint32_t i = 0; i < RIG_NCPUS; i++) {
		fake_cpu_set(i);
		rig.ops->cpu_disable(v3_lib.arch_state);
	}
	fake_cpu_set(0);
	rig.ops->fini(v3_lib.arch_state);
	v3_lib.arch_state = NULL;
}

bool rig_init(uint32_t features)
{
	memset(&rig, 0, sizeof(rig));
	rig.ops = &v3_svm_ops;
	rig.vm.log_level = V3_LOG_INFO;
	rig.vm.topology = (struct v3_topology){1, RIG_NVCPUS, 1};
	rig_machine(features, RIG_NASIDS);
	fake_lib_install();
	if (!CHECK_EQ(rig.ops->init(RIG_NCPUS, &v3_lib.arch_state), V3_OK))
		return false;
	fake_host_at_end(rig_fini, NULL);
	for (uint32_t i = RIG_NCPUS; i-- > 0;) {
		fake_cpu_set(i);
		CHECK_EQ(rig.ops->cpu_enable(v3_lib.arch_state), V3_OK);
	}
	if (!CHECK_EQ(rig.ops->vm_create(&rig.vm), V3_OK))
		return false;
	for (unsigned i = 0; i < RIG_NVCPUS; i++) {
		rig.vcpu[i].vm = &rig.vm;
		rig.vcpu[i].arch = rig.ops;
		rig.vcpu[i].index = i;
		if (!CHECK_EQ(v3_cpuid_init(&rig.vcpu[i]), V3_OK) ||
		    !CHECK_EQ(rig.ops->vcpu_create(&rig.vcpu[i]), V3_OK))
			return false;
		rig.ops->vcpu_reset(&rig.vcpu[i], false);
	}
	return true;
}

static void rig_free_ram(void *arg)
{
	(void)arg;
	v3_mmu_fini(&rig.vm);
	v3_mem_fini(&rig.vm);
}

uint8_t *rig_add_ram(uint64_t bytes)
{
	v3_lib.caps = (struct v3_arch_caps){.nested_1g = true, .hpa_bits = 40, .nested_levels = 4};
	rig.vm.nvcpus = RIG_NVCPUS;
	for (unsigned i = 0; i < RIG_NVCPUS; i++)
		rig.vm.vcpu[i] = &rig.vcpu[i];
	if (!CHECK_EQ(v3_mem_init(&rig.vm), V3_OK) || !CHECK_EQ(v3_mmu_init(&rig.vm), V3_OK))
		return NULL;
	fake_host_at_end(rig_free_ram, NULL);
	if (!CHECK_EQ(v3_mem_add_ram(&rig.vm, 0, bytes, V3_NODE_ANY), V3_OK))
		return NULL;
	return v3_mem_ptr(&rig.vm, 0, bytes);
}

struct svm_vcpu *rig_sv(unsigned vcpu)
{
	return rig.vcpu[vcpu].arch_vcpu;
}

struct svm_vmcb *rig_vmcb(unsigned vcpu)
{
	return rig_sv(vcpu)->vmcb;
}

struct svm_state *rig_svm(void)
{
	return v3_lib.arch_state;
}

/* What VMRUN refuses (15.5.1), and what it would take but a back end should not give it. */
static bool rig_vmrun_accepts(const struct svm_vmcb *vmcb)
{
	const char *why = v3_svm_check(vmcb, 52);

	return CHECK_MSG(!why, "%s", why ? why : "") && vmcb->asid < RIG_NASIDS &&
	       !(vmcb->iopm_pa & 0xfff) && !(vmcb->msrpm_pa & 0xfff) && (vmcb->np_enable & 1);
}

int v3_svm_world_switch(struct v3_vcpu *vcpu, v3_hpa_t vmcb_pa, v3_hpa_t host_pa)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;
	struct svm_vmcb *vmcb = v3_host_pa_to_va(vmcb_pa);

	CHECK(vmcb == sv->vmcb);
	CHECK_EQ(host_pa, sv->svm->cpu[v3_host_cpu_id()].host_pa);
	if (vcpu->requests) {
		rig.refused++;
		return 1;
	}
	rig.entries++;
	rig.entered = *vmcb;
	for (unsigned i = 0; i < 4; i++)
		rig.dr[i] = fake_instr_read_dr(i);
	rig.host_dr7 = fake_instr_read_dr(7);

	vmcb->exitcode = ~0ull;
	vmcb->exitinfo1 = rig.info1;
	vmcb->exitinfo2 = rig.info2;
	vmcb->exitintinfo = rig.intinfo;
	vmcb->next_rip = rig.next_rip;
	if (CHECK_MSG(rig_vmrun_accepts(vmcb), "VMRUN refuses the VMCB"))
		vmcb->exitcode = rig.code;
	vmcb->eventinj &= ~SVM_EVENT_VALID; /* the CPU delivered it */
	if (rig.guest)
		rig.guest(vcpu, vmcb);
	fake_instr_write_dr(6, 0xffff0ff0);
	fake_instr_write_dr(7, 0x400); /* 15.6: #VMEXIT disables breakpoints */
	return 0;
}

struct v3_exit rig_exit(uint64_t code, uint64_t info1, uint64_t info2)
{
	struct v3_exit exit;

	memset(&exit, 0xa5, sizeof(exit)); /* the run loop does not clear it either */
	rig.code = code;
	rig.info1 = info1;
	rig.info2 = info2;
	CHECK_EQ(rig.ops->enter(&rig.vcpu[0], &exit), V3_OK);
	return exit;
}

int rig_enter(unsigned vcpu)
{
	struct v3_exit exit;

	rig.code = SVM_EXIT_HLT;
	return rig.ops->enter(&rig.vcpu[vcpu], &exit);
}
