/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file svm.c
 * The SVM back end: detection, enabling per CPU, and its table of functions. AMD APM vol. 2 15.4, 15.30.
 */
#include "arch/svm/svm.h"

#include "host/x86.h"
#include "host/host.h"
#include "palacios/util/str.h"
#include "state.h"

#define V3_LOG_TAG "svm"

#define SVM_CPUID_FEATURES 0x8000000au
#define SVM_IOPM_PAGES	   4 /* 12 KiB, allocated as a power of two */
#define SVM_IOPM_BYTES	   0x3000
#define SVM_MSRPM_PAGES	   2

/* CPUID Fn8000_000A EDX */
#define SVM_FEAT_NP	(1u << 0)
#define SVM_FEAT_NRIPS	(1u << 3)
#define SVM_FEAT_TSC	(1u << 4)
#define SVM_FEAT_CLEAN	(1u << 5)
#define SVM_FEAT_ASIDFL (1u << 6)
#define SVM_FEAT_DECODE (1u << 7)
#define SVM_FEAT_PAUSE	(1u << 10)

static bool svm_cpu_has(void)
{
	uint32_t a, b, c, d;

	v3_cpuid(0x80000000u, 0, &a, &b, &c, &d);
	if (a < SVM_CPUID_FEATURES)
		return false;
	v3_cpuid(0x80000001u, 0, &a, &b, &c, &d);
	return c & (1u << 2);
}

/* VM_CR tells whether firmware disabled SVM. Bochs has no VM_CR (lab.md); only a CPU that reports the
 * SVML feature can have it locked, so only there it is read. */
static bool svm_disabled(uint32_t features)
{
	return (features & (1u << 2)) && (v3_rdmsr(SVM_MSR_VM_CR) & SVM_VM_CR_SVMDIS);
}

static int svm_probe(struct v3_arch_caps *caps, const char **why)
{
	uint32_t a, b, c, d, features;

	if (!svm_cpu_has()) {
		*why = "this CPU has no AMD SVM (CPUID 0x80000001 ECX bit 2)";
		return V3_ENODEV;
	}
	v3_cpuid(SVM_CPUID_FEATURES, 0, &a, &b, &c, &features);
	if (!(features & SVM_FEAT_NP)) {
		*why = "this CPU's SVM has no nested paging: a newer CPU is needed";
		return V3_ENODEV;
	}
	if (svm_disabled(features)) {
		*why = "SVM is disabled in VM_CR: switch it on in the firmware's set-up (\"SVM "
		       "mode\")";
		return V3_EPERM;
	}
	if (v3_rdmsr(V3_MSR_EFER) & V3_EFER_SVME) {
		*why = "SVM is already enabled by somebody else: unload the other hypervisor "
		       "(kvm_amd)";
		return V3_EBUSY;
	}
	v3_cpuid(0x80000001u, 0, &a, &b, &c, &d);
	caps->nested_1g = d & (1u << 26);
	caps->nested_exec_only = false;
	caps->eoi_by_cpu = false; /* AVIC is not used */
	if (features & SVM_FEAT_TSC) {
		caps->tsc_frac_bits = SVM_TSC_FRACTION;
		caps->tsc_int_bits = SVM_TSC_INTEGER;
	}
	caps->xsaves = true;	   /* no control forbids it */
	caps->nested_dirty = true; /* 15.25.5: always */
	caps->dirty_log = false;
	v3_cpuid(0x80000008u, 0, &a, &b, &c, &d);
	caps->hpa_bits = a & 0xff;
	/* NPT walks with the host's paging mode, LA57 included; 15.25.3. */
	caps->nested_levels = v3_read_cr4() & V3_CR4_LA57 ? 5 : 4;
	caps->nested_format = V3_NESTED_NPT;
	return V3_OK;
}

/* QEMU's own CPU signs the hypervisor leaf with "TCGTCGTCGTCG". */
static bool svm_is_qemu_tcg(void)
{
	uint32_t a, b, c, d;

	v3_cpuid(1, 0, &a, &b, &c, &d);
	if (!(c & (1u << 31)))
		return false;
	v3_cpuid(0x40000000u, 0, &a, &b, &c, &d);
	return b == 0x54474354u && c == 0x43544743u && d == 0x47435447u;
}

static void svm_read_features(struct svm_state *svm)
{
	uint32_t a, b, c, d;

	v3_cpuid(SVM_CPUID_FEATURES, 0, &a, &b, &c, &d);
	svm->nasids = b;
	svm->nrips = d & SVM_FEAT_NRIPS;
	svm->clean_bits = d & SVM_FEAT_CLEAN;
	svm->flush_by_asid = d & SVM_FEAT_ASIDFL;
	svm->decode_assists = d & SVM_FEAT_DECODE;
	svm->pause_filter = d & SVM_FEAT_PAUSE;
	v3_cpuid(0x80000008u, 0, &a, &b, &c, &d);
	svm->ibpb = b & (1u << 12);
	svm->repeats_intr = svm_is_qemu_tcg();
}

static void svm_fini(void *arch)
{
	struct svm_state *svm = arch;
	uint32_t i;

	for (i = 0; i < svm->ncpus; i++) {
		if (svm->cpu[i].hsave_pa != V3_HPA_NONE)
			v3_host_page_free(svm->cpu[i].hsave_pa, 1);
		if (svm->cpu[i].host_pa != V3_HPA_NONE)
			v3_host_page_free(svm->cpu[i].host_pa, 1);
	}
	v3_free(svm);
}

static int svm_init(uint32_t ncpus, void **arch)
{
	struct svm_state *svm = v3_alloc(sizeof(*svm) + ncpus * sizeof(svm->cpu[0]));
	bool complete = true;
	uint32_t i;

	if (!svm)
		return V3_ENOMEM;
	svm->ncpus = ncpus;
	svm_read_features(svm);
	for (i = 0; i < ncpus; i++) {
		svm->cpu[i].hsave_pa = v3_host_page_alloc(1, V3_NODE_ANY);
		svm->cpu[i].host_pa = v3_host_page_alloc(1, V3_NODE_ANY);
		complete = complete && svm->cpu[i].hsave_pa != V3_HPA_NONE &&
			   svm->cpu[i].host_pa != V3_HPA_NONE;
	}
	if (!complete) {
		svm_fini(svm);
		return V3_ENOMEM;
	}
	V3_INFO(NULL, "%u ASIDs%s%s%s%s%s", svm->nasids, svm->nrips ? ", next RIP" : "",
		svm->clean_bits ? ", clean bits" : "", svm->flush_by_asid ? ", flush by ASID" : "",
		svm->decode_assists ? ", decode assists" : "",
		svm->pause_filter ? ", pause filter" : "");
	*arch = svm;
	return V3_OK;
}

static int svm_cpu_enable(void *arch)
{
	struct svm_state *svm = arch;
	struct svm_cpu *pc = &svm->cpu[v3_host_cpu_id()];
	uint64_t efer = v3_rdmsr(V3_MSR_EFER);
	uint32_t a, b, c, features;

	if (!svm_cpu_has())
		return V3_ENODEV;
	v3_cpuid(SVM_CPUID_FEATURES, 0, &a, &b, &c, &features);
	if (svm_disabled(features))
		return V3_EPERM;
	if (efer & V3_EFER_SVME)
		return V3_EBUSY;
	v3_wrmsr(V3_MSR_EFER, efer | V3_EFER_SVME);
	pc->found_hsave_pa = v3_rdmsr(SVM_MSR_VM_HSAVE_PA);
	v3_wrmsr(SVM_MSR_VM_HSAVE_PA, pc->hsave_pa);
	/* Whatever ran here before: the first ASID handed out flushes all. */
	pc->generation++;
	pc->next_asid = svm->nasids;
	pc->last_vcpu = NULL;
	pc->found_tsc_ratio = pc->tsc_ratio =
		features & SVM_FEAT_TSC ? v3_rdmsr(SVM_MSR_TSC_RATIO) : SVM_TSC_UNSCALED;
	pc->enabled = true;
	return V3_OK;
}

static void svm_cpu_disable(void *arch)
{
	struct svm_state *svm = arch;
	struct svm_cpu *pc = &svm->cpu[v3_host_cpu_id()];

	if (!pc->enabled)
		return;
	v3_svm_set_tsc_ratio(pc, pc->found_tsc_ratio);
	v3_wrmsr(SVM_MSR_VM_HSAVE_PA, pc->found_hsave_pa);
	v3_wrmsr(V3_MSR_EFER, v3_rdmsr(V3_MSR_EFER) & ~V3_EFER_SVME);
	pc->enabled = false;
}

static int svm_vm_create(struct v3_vm *vm)
{
	struct svm_vm *sm = v3_alloc(sizeof(*sm));

	if (!sm)
		return V3_ENOMEM;
	sm->iopm_pa = v3_host_page_alloc(SVM_IOPM_PAGES, V3_NODE_ANY);
	if (sm->iopm_pa == V3_HPA_NONE)
		goto free_vm;
	sm->msrpm_pa = v3_host_page_alloc(SVM_MSRPM_PAGES, V3_NODE_ANY);
	if (sm->msrpm_pa == V3_HPA_NONE)
		goto free_iopm;
	sm->msrpm = v3_host_pa_to_va(sm->msrpm_pa);
	memset(v3_host_pa_to_va(sm->iopm_pa), 0xff, SVM_IOPM_BYTES);
	memset(sm->msrpm, 0xff, SVM_MSRPM_PAGES * V3_PAGE_SIZE);
	vm->arch_vm = sm;
	return V3_OK;

free_iopm:
	v3_host_page_free(sm->iopm_pa, SVM_IOPM_PAGES);
free_vm:
	v3_free(sm);
	return V3_ENOMEM;
}

static void svm_vm_destroy(struct v3_vm *vm)
{
	struct svm_vm *sm = vm->arch_vm;

	if (!sm)
		return;
	v3_host_page_free(sm->msrpm_pa, SVM_MSRPM_PAGES);
	v3_host_page_free(sm->iopm_pa, SVM_IOPM_PAGES);
	v3_free(sm);
	vm->arch_vm = NULL;
}

static void svm_set_tsc_offset(struct v3_vcpu *vcpu, uint64_t offset)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;

	sv->vmcb->tsc_offset = offset;
	sv->dirty |= SVM_CLEAN_INTERCEPTS;
}

static void svm_set_nested_root(struct v3_vcpu *vcpu, v3_hpa_t root)
{
	struct svm_vcpu *sv = vcpu->arch_vcpu;

	sv->vmcb->ncr3 = root;
	sv->dirty |= SVM_CLEAN_NP;
	sv->flush = true;
}

static void svm_flush(struct v3_vcpu *vcpu)
{
	((struct svm_vcpu *)vcpu->arch_vcpu)->flush = true;
}

const struct v3_arch_ops v3_svm_ops = {
	.name = "svm",
	.probe = svm_probe,
	.init = svm_init,
	.fini = svm_fini,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vm_create = svm_vm_create,
	.vm_destroy = svm_vm_destroy,
	.vcpu_create = v3_svm_vcpu_create,
	.vcpu_destroy = v3_svm_vcpu_destroy,
	.vcpu_reset = v3_svm_vcpu_reset,
	.enter = v3_svm_enter,
	.get_seg = v3_svm_get_seg,
	.set_seg = v3_svm_set_seg,
	.get_dtr = v3_svm_get_dtr,
	.set_dtr = v3_svm_set_dtr,
	.set_cr = v3_svm_set_cr,
	.set_efer = v3_svm_set_efer,
	.get_dr = v3_svm_get_dr,
	.set_dr = v3_svm_set_dr,
	.set_cpl = v3_svm_set_cpl,
	.get_msr = v3_svm_get_msr,
	.set_msr = v3_svm_set_msr,
	.pass_msr = v3_svm_pass_msr,
	.intr_ready = v3_svm_intr_ready,
	.nmi_ready = v3_svm_nmi_ready,
	.want_intr_window = v3_svm_want_intr_window,
	.want_nmi_window = v3_svm_want_nmi_window,
	.inject = v3_svm_inject,
	.clear_shadow = v3_svm_clear_shadow,
	.set_tsc_offset = svm_set_tsc_offset,
	.set_exception_mask = v3_svm_set_exception_mask,
	.set_nested_root = svm_set_nested_root,
	.flush = svm_flush,
	.check_entry = v3_svm_check_entry,
	.dump = v3_svm_dump,
};
