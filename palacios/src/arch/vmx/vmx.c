/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vmx.c
 * The VMX back end: detection, enabling per CPU, and its table of functions. SDM 3C 24.6 to 24.8, 32.3.
 */
#include "arch/vmx/vmx.h"

#include "host/host.h"
#include "host/x86.h"
#include "palacios/util/str.h"
#include "state.h"

#define V3_LOG_TAG "vmx"

#define VMX_CPUID_VMX	     (1u << 5)	/* leaf 1, ECX */
#define VMX_CPUID_SPEC	     (1u << 26) /* leaf 7, EDX: IBRS and IBPB */
#define VMX_FEATURE_WANTED   (VMX_FEATURE_LOCKED | VMX_FEATURE_OUTSIDE_SMX)
#define VMX_MSR_BITMAP_BYTES 4096
#define VMX_REVISION_BOCHS   0x2b /* Bochs 2.7, whatever CPU it plays; no CPU is known to have it */

static bool vmx_cpu_has(void)
{
	uint32_t a, b, c, d;

	v3_cpuid(1, 0, &a, &b, &c, &d);
	return c & VMX_CPUID_VMX;
}

/* The firmware has decided against it. What it has left open is ours to decide; 24.7. */
static bool vmx_locked_off(void)
{
	uint64_t control = v3_rdmsr(VMX_MSR_FEATURE_CONTROL);

	return (control & VMX_FEATURE_LOCKED) && !(control & VMX_FEATURE_OUTSIDE_SMX);
}

static int vmx_probe(struct v3_arch_caps *caps, const char **why)
{
	struct vmx_controls ctl;
	struct vmx_apic_caps apic;
	struct vmx_caps vc;
	int err;

	if (!vmx_cpu_has()) {
		*why = "this CPU has no Intel VMX (CPUID 1 ECX bit 5)";
		return V3_ENODEV;
	}
	if (vmx_locked_off()) {
		*why = "VMX is locked off in IA32_FEATURE_CONTROL: switch it on in the firmware's "
		       "set-up (\"Intel Virtualization Technology\")";
		return V3_EPERM;
	}
	if (v3_read_cr4() & V3_CR4_VMXE) {
		*why = "VMX is already enabled by somebody else: unload the other hypervisor "
		       "(kvm_intel)";
		return V3_EBUSY;
	}
	v3_vmx_caps_read(&vc);
	err = v3_vmx_caps_controls(&vc, &ctl, why);
	if (err != V3_OK)
		return err;
	caps->hpa_bits = vc.pa_bits;
	caps->nested_1g = v3_vmx_caps_ept(&vc, VMX_EPT_1G);
	caps->nested_exec_only = v3_vmx_caps_ept(&vc, VMX_EPT_EXEC_ONLY);
	caps->xsaves = ctl.proc2 & VMX_PROC2_XSAVES;
	caps->nested_dirty = v3_vmx_caps_ept(&vc, VMX_EPT_AD);
	caps->dirty_log = caps->nested_dirty && (ctl.proc2 & VMX_PROC2_PML);
	if (v3_vmx_caps_may(vc.procbased2, VMX_PROC2_TSC_SCALING)) {
		caps->tsc_frac_bits = VMX_TSC_FRACTION;
		caps->tsc_int_bits = 64 - VMX_TSC_FRACTION;
	}
	v3_vmx_apic_caps(&vc, &apic);
	caps->eoi_by_cpu = apic.proc2 & VMX_PROC2_VIRT_INTR;
	caps->nested_levels = 4;
	caps->nested_format = V3_NESTED_EPT;
	return V3_OK;
}

static void vmx_fini(void *arch)
{
	struct vmx_state *vmx = arch;
	uint32_t i;

	for (i = 0; i < vmx->ncpus; i++)
		if (vmx->cpu[i].vmxon_pa != V3_HPA_NONE)
			v3_host_page_free(vmx->cpu[i].vmxon_pa, 1);
	v3_free(vmx);
}

static int vmx_alloc_cpus(struct vmx_state *vmx)
{
	const uint32_t revision = VMX_BASIC_REVISION(vmx->caps.basic);
	bool complete = true;
	uint32_t i;

	for (i = 0; i < vmx->ncpus; i++) {
		v3_hpa_t pa = v3_host_page_alloc(1, V3_NODE_ANY);

		vmx->cpu[i].vmxon_pa = pa;
		if (pa == V3_HPA_NONE)
			complete = false;
		else
			memcpy(v3_host_pa_to_va(pa), &revision, sizeof(revision));
	}
	return complete ? V3_OK : V3_ENOMEM;
}

static void vmx_say(const struct vmx_state *vmx)
{
	V3_INFO(NULL, "VMCS revision %#x%s%s%s%s%s%s", VMX_BASIC_REVISION(vmx->caps.basic),
		vmx->ctl.proc2 & VMX_PROC2_VPID ? ", VPID" : "",
		vmx->ctl.proc2 & VMX_PROC2_PAUSE_LOOP ? ", PAUSE-loop exiting" : "",
		vmx->has_timer ? ", preemption timer" : "",
		v3_vmx_caps_ept(&vmx->caps, VMX_EPT_1G) ? ", 1 GiB pages" : "",
		vmx->ctl.proc2 & VMX_PROC2_PML ? ", page-modification log" : "",
		vmx->apic.proc2 & VMX_PROC2_VIRT_INTR ? ", APIC virtualization"
		: vmx->apic.tpr_shadow		      ? ", TPR shadow"
						      : "");
}

static int vmx_init(uint32_t ncpus, void **arch)
{
	struct vmx_state *vmx = v3_alloc(sizeof(*vmx) + ncpus * sizeof(vmx->cpu[0]));
	const char *missing;
	uint32_t a, b, c, d;
	int err;

	if (!vmx)
		return V3_ENOMEM;
	vmx->ncpus = ncpus;
	vmx->vpids[0] = 1; /* the host's */
	v3_vmx_caps_read(&vmx->caps);
	err = vmx_alloc_cpus(vmx);
	if (err == V3_OK)
		err = v3_vmx_caps_controls(&vmx->caps, &vmx->ctl, &missing);
	if (err != V3_OK) {
		vmx_fini(vmx);
		return err;
	}
	if (!v3_lib.software_apic)
		v3_vmx_apic_caps(&vmx->caps, &vmx->apic);
	vmx->forgets_virtual = VMX_BASIC_REVISION(vmx->caps.basic) == VMX_REVISION_BOCHS;
	v3_cpuid(7, 0, &a, &b, &c, &d);
	vmx->ibpb = d & VMX_CPUID_SPEC;
	vmx->has_timer = v3_vmx_caps_may(vmx->caps.pinbased, VMX_PIN_PREEMPTION_TIMER);
	vmx->timer_shift = VMX_MISC_TIMER_SHIFT(vmx->caps.misc);
	vmx_say(vmx);
	*arch = vmx;
	return V3_OK;
}

static int vmx_cpu_enable(void *arch)
{
	struct vmx_state *vmx = arch;
	struct vmx_cpu *pc = &vmx->cpu[v3_host_cpu_id()];
	uint64_t cr4 = v3_read_cr4();

	if (!vmx_cpu_has())
		return V3_ENODEV;
	if (vmx_locked_off())
		return V3_EPERM;
	if (cr4 & V3_CR4_VMXE)
		return V3_EBUSY;
	if (!(v3_rdmsr(VMX_MSR_FEATURE_CONTROL) & VMX_FEATURE_LOCKED))
		v3_wrmsr(VMX_MSR_FEATURE_CONTROL, VMX_FEATURE_WANTED);
	vmx_write_cr4(cr4 | V3_CR4_VMXE);
	if (!vmx_on(pc->vmxon_pa)) {
		vmx_write_cr4(cr4);
		return V3_EBUSY;
	}
	/* Whatever ran here before. */
	vmx_invept(VMX_INVEPT_ALL, 0);
	v3_vmx_read_host(pc);
	pc->last_vcpu = NULL;
	pc->enabled = true;
	return V3_OK;
}

static void vmx_cpu_disable(void *arch)
{
	struct vmx_state *vmx = arch;
	struct vmx_cpu *pc = &vmx->cpu[v3_host_cpu_id()];

	if (!pc->enabled)
		return;
	vmx_off();
	vmx_write_cr4(v3_read_cr4() & ~V3_CR4_VMXE);
	pc->enabled = false;
}

static void vmx_vm_destroy(struct v3_vm *vm)
{
	struct vmx_vm *vx = vm->arch_vm;

	if (!vx)
		return;
	v3_vmx_apic_vm_destroy(vm, vx);
	v3_host_page_free(vx->msr_bitmap_pa, 1);
	v3_free(vx);
	vm->arch_vm = NULL;
}

static int vmx_vm_create(struct v3_vm *vm)
{
	const struct vmx_state *vmx = v3_lib.arch_state;
	struct vmx_vm *vx = v3_alloc(sizeof(*vx));

	if (!vx)
		return V3_ENOMEM;
	vx->msr_bitmap_pa = v3_host_page_alloc(1, V3_NODE_ANY);
	if (vx->msr_bitmap_pa == V3_HPA_NONE) {
		v3_free(vx);
		return V3_ENOMEM;
	}
	vx->msr_bitmap = v3_host_pa_to_va(vx->msr_bitmap_pa);
	memset(vx->msr_bitmap, 0xff, VMX_MSR_BITMAP_BYTES);
	vm->arch_vm = vx;
	if (v3_vmx_apic_vm_create(vm, vx, &vmx->apic) == V3_OK)
		return V3_OK;
	vmx_vm_destroy(vm);
	return V3_ENOMEM;
}

static void vmx_set_tsc_offset(struct v3_vcpu *vcpu, uint64_t offset)
{
	v3_vmx_set(vcpu->arch_vcpu, VMX_TSC_OFFSET, offset);
}

static void vmx_set_nested_root(struct v3_vcpu *vcpu, v3_hpa_t root)
{
	const uint8_t how = vcpu->vm->mem.dirty.how;
	const bool bits = how == V3_DIRTY_BITS || how == V3_DIRTY_LOG;
	struct vmx_vcpu *vv = vcpu->arch_vcpu;

	v3_vmx_set(vv, VMX_EPTP,
		   root | VMX_EPTP_LEVELS(v3_lib.caps.nested_levels) | VMX_EPTP_WB |
			   (bits ? VMX_EPTP_AD : 0));
	vv->flush = true;
}

static void vmx_flush(struct v3_vcpu *vcpu)
{
	((struct vmx_vcpu *)vcpu->arch_vcpu)->flush = true;
}

const struct v3_arch_ops v3_vmx_ops = {
	.name = "vmx",
	.probe = vmx_probe,
	.init = vmx_init,
	.fini = vmx_fini,
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,
	.vm_create = vmx_vm_create,
	.vm_destroy = vmx_vm_destroy,
	.vcpu_create = v3_vmx_vcpu_create,
	.vcpu_destroy = v3_vmx_vcpu_destroy,
	.vcpu_reset = v3_vmx_vcpu_reset,
	.load = v3_vmx_load,
	.put = v3_vmx_put,
	.enter = v3_vmx_enter,
	.get_seg = v3_vmx_get_seg,
	.set_seg = v3_vmx_set_seg,
	.get_dtr = v3_vmx_get_dtr,
	.set_dtr = v3_vmx_set_dtr,
	.set_cr = v3_vmx_set_cr,
	.set_efer = v3_vmx_set_efer,
	.get_dr = v3_vmx_get_dr,
	.set_dr = v3_vmx_set_dr,
	.set_cpl = v3_vmx_set_cpl,
	.get_msr = v3_vmx_get_msr,
	.set_msr = v3_vmx_set_msr,
	.pass_msr = v3_vmx_pass_msr,
	.set_apic_mode = v3_vmx_set_apic_mode,
	.sync_apic = v3_vmx_sync_apic,
	.intr_ready = v3_vmx_intr_ready,
	.nmi_ready = v3_vmx_nmi_ready,
	.want_intr_window = v3_vmx_want_intr_window,
	.want_nmi_window = v3_vmx_want_nmi_window,
	.inject = v3_vmx_inject,
	.clear_shadow = v3_vmx_clear_shadow,
	.set_tsc_offset = vmx_set_tsc_offset,
	.set_deadline = v3_vmx_set_deadline,
	.set_exception_mask = v3_vmx_set_exception_mask,
	.set_nested_root = vmx_set_nested_root,
	.flush = vmx_flush,
	.drain_log = v3_vmx_drain_log,
	.check_entry = v3_vmx_check_entry,
	.dump = v3_vmx_dump,
};
