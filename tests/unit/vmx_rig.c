/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vmx_rig.c
 * See vmx_rig.h. Linked into test_vmx_* only.
 */
#include "vmx_rig.h"

#include "arch/vmx/check.h"
#include "cpu/cpuid.h"
#include "fake_vm.h"
#include "host/host.h"
#include "host/x86.h"
#include "tap.h"

struct vrig vrig;

const char v3_vmx_exit_point[1];

static void vrig_fini(void *arg)
{
	(void)arg;
	fake_cpu_set(0);
	for (unsigned i = 0; i < VRIG_NVCPUS; i++) {
		if (!vrig.vcpu[i].vm)
			break;
		vrig.ops->put(&vrig.vcpu[i]);
		vrig.ops->vcpu_destroy(&vrig.vcpu[i]);
		v3_cpuid_fini(&vrig.vcpu[i]);
	}
	vrig.ops->vm_destroy(&vrig.vm);
	for (uint32_t i = 0; i < VRIG_NCPUS; i++) {
		fake_cpu_set(i);
		vrig.ops->cpu_disable(v3_lib.arch_state);
	}
	fake_cpu_set(0);
	vrig.ops->fini(v3_lib.arch_state);
	v3_lib.arch_state = NULL;
}

static bool vrig_enable(void)
{
	for (uint32_t i = VRIG_NCPUS; i-- > 0;) {
		fake_cpu_set(i);
		fake_cr4_set(fake_instr_cr4() & ~V3_CR4_VMXE); /* the simulated CPUs share it */
		if (!CHECK_EQ(vrig.ops->cpu_enable(v3_lib.arch_state), V3_OK))
			return false;
	}
	return true;
}

bool vrig_init(void)
{
	const char *why = NULL;

	memset(&vrig, 0, sizeof(vrig));
	vrig.ops = &v3_vmx_ops;
	vrig.vm.log_level = V3_LOG_INFO;
	vrig.vm.topology = (struct v3_topology){1, VRIG_NVCPUS, 1};
	vrig_machine_init(VRIG_MODEL);
	fake_lib_install();
	if (!CHECK_EQ(vrig.ops->probe(&v3_lib.caps, &why), V3_OK) ||
	    !CHECK_EQ(vrig.ops->init(VRIG_NCPUS, &v3_lib.arch_state), V3_OK))
		return false;
	fake_host_at_end(vrig_fini, NULL);
	if (!vrig_enable() || !CHECK_EQ(vrig.ops->vm_create(&vrig.vm), V3_OK))
		return false;
	for (unsigned i = 0; i < VRIG_NVCPUS; i++) {
		vrig.vcpu[i].vm = &vrig.vm;
		vrig.vcpu[i].arch = vrig.ops;
		vrig.vcpu[i].index = i;
		if (!CHECK_EQ(v3_cpuid_init(&vrig.vcpu[i]), V3_OK) ||
		    !CHECK_EQ(vrig.ops->vcpu_create(&vrig.vcpu[i]), V3_OK))
			return false;
		vrig.ops->vcpu_reset(&vrig.vcpu[i], false);
		vrig.ops->set_nested_root(&vrig.vcpu[i], 0x100000 * (i + 1));
	}
	vrig.ops->load(&vrig.vcpu[0]);
	return true;
}

static void vrig_free_ram(void *arg)
{
	(void)arg;
	v3_mmu_fini(&vrig.vm);
	v3_mem_fini(&vrig.vm);
}

uint8_t *vrig_add_ram(uint64_t bytes)
{
	vrig.vm.nvcpus = VRIG_NVCPUS;
	for (unsigned i = 0; i < VRIG_NVCPUS; i++)
		vrig.vm.vcpu[i] = &vrig.vcpu[i];
	if (!CHECK_EQ(v3_mem_init(&vrig.vm), V3_OK) || !CHECK_EQ(v3_mmu_init(&vrig.vm), V3_OK))
		return NULL;
	fake_host_at_end(vrig_free_ram, NULL);
	if (!CHECK_EQ(v3_mem_add_ram(&vrig.vm, 0, bytes, V3_NODE_ANY), V3_OK))
		return NULL;
	return v3_mem_ptr(&vrig.vm, 0, bytes);
}

struct vmx_vcpu *vrig_vv(unsigned vcpu)
{
	return vrig.vcpu[vcpu].arch_vcpu;
}

uint64_t vrig_entered(uint32_t field)
{
	return *vrig_field(&vrig.entered, field);
}

static uint64_t vrig_read(void *vmcs, uint32_t field)
{
	return *vrig_field(vmcs, field);
}

/* Everything that the manual wants of a VMCS at entry. */
static bool vrig_entry_is_sound(struct vmx_vcpu *vv, struct vrig_vmcs *vmcs)
{
	const struct vmx_check check = {&vv->vmx->caps, vrig_read, vmcs};
	const char *rule = v3_vmx_check(&check);

	return CHECK_MSG(!rule, "the CPU refuses the entry: %s", rule ? rule : "");
}

static void vrig_report_exit(struct vrig_vmcs *vmcs)
{
	*vrig_field(vmcs, VMCS_EXIT_REASON) = vrig.reason;
	*vrig_field(vmcs, VMCS_EXIT_QUALIFICATION) = vrig.qualification;
	*vrig_field(vmcs, VMCS_EXIT_INTR_INFO) = vrig.info;
	*vrig_field(vmcs, VMCS_EXIT_INTR_ERROR) = vrig.error;
	*vrig_field(vmcs, VMCS_IDT_VECTORING_INFO) = vrig.vectoring;
	*vrig_field(vmcs, VMCS_IDT_VECTORING_ERROR) = vrig.vectoring_error;
	*vrig_field(vmcs, VMCS_EXIT_INSN_LEN) = vrig.len;
	*vrig_field(vmcs, VMCS_GUEST_PHYS_ADDR) = vrig.gpa;
	*vrig_field(vmcs, VMCS_ENTRY_INTR_INFO) &= ~(uint64_t)VMX_INTR_VALID;
}

static bool vrig_saw_current(const struct vmx_vcpu *vv, bool launched)
{
	const struct vrig_vmcs *vmcs = vrig_current();

	return CHECK_EQ(vmcs->pa, vv->vmcs_pa) && CHECK_EQ(launched, vmcs->launched) &&
	       CHECK(!vrig_machine.cpu[v3_host_cpu_id()].flags);
}

int v3_vmx_world_switch(struct v3_vcpu *vcpu, bool launched, uint64_t *host_rsp)
{
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	struct vrig_vmcs *vmcs = vrig_current();

	if (vcpu->requests) {
		vrig.refused++;
		return VMX_SWITCH_REQUEST;
	}
	CHECK(host_rsp == &vv->host_rsp);
	if (*host_rsp != 0xffff888000200000ull)
		vmx_write(VMCS_HOST_RSP, *host_rsp = 0xffff888000200000ull);
	if (!vrig_saw_current(vv, launched))
		return VMX_SWITCH_FAILED;
	vrig.entries++;
	vrig.entered = *vmcs;
	vrig.launched = launched;
	vrig.cr2 = vmx_read_cr2();
	for (unsigned i = 0; i < 4; i++)
		vrig.dr[i] = fake_instr_read_dr(i);
	if (vrig.refuse) {
		*vrig_field(vmcs, VMCS_INSN_ERROR) = vrig.refuse;
		return VMX_SWITCH_FAILED;
	}
	if (!vrig_entry_is_sound(vv, vmcs))
		return VMX_SWITCH_FAILED;
	vmcs->launched = true;
	vrig_report_exit(vmcs);
	if (vrig.guest)
		vrig.guest(vcpu, vmcs);
	fake_instr_write_dr(7, 0x400); /* 28.5.1 */
	v3_wrmsr(V3_MSR_DEBUGCTL, 0);
	return VMX_SWITCH_RAN;
}

struct v3_exit vrig_exit(uint32_t reason, uint64_t qualification)
{
	struct v3_exit exit;

	memset(&exit, 0xa5, sizeof(exit)); /* the run loop does not clear it either */
	vrig.reason = reason;
	vrig.qualification = qualification;
	CHECK_EQ(vrig.ops->enter(&vrig.vcpu[0], &exit), V3_OK);
	return exit;
}

int vrig_enter(unsigned vcpu)
{
	struct v3_exit exit;

	vrig.reason = VMX_EXIT_HLT;
	return vrig.ops->enter(&vrig.vcpu[vcpu], &exit);
}
