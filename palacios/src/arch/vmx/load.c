/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file load.c
 * Taking a CPU for a vcpu and giving it back: current VMCS, host state in it, and the MSRs that neither an entry
 * nor an exit switches. Called by cpu/fpu.c: between the two, no other thread runs on the CPU.
 * SDM 3C 25.5 (host state), 28.5 (loading it), 25.11.1 (active and current VMCSs).
 */
#include "arch/vmx/vmx.h"

#include "exit/exit.h"
#include "host/host.h"
#include "host/x86.h"
#include "palacios/util/str.h"
#include "state.h"

#define LOAD_PRED_CMD_IBPB 1ull
#define LOAD_SEL_RPL_TI	   7u

/* What the CPU's owner does not change while virtualization is on. */
const uint32_t v3_vmx_host_fields[VMX_NHOST] = {
	VMCS_HOST_CR0,	       VMCS_HOST_CS_SEL,       VMCS_HOST_SS_SEL,       VMCS_HOST_TR_SEL,
	VMCS_HOST_TR_BASE,     VMCS_HOST_GDTR_BASE,    VMCS_HOST_IDTR_BASE,    VMCS_HOST_GS_BASE,
	VMCS_HOST_SYSENTER_CS, VMCS_HOST_SYSENTER_ESP, VMCS_HOST_SYSENTER_EIP, VMCS_HOST_EFER,
	VMCS_HOST_PAT,	       VMCS_HOST_RIP,	       VMCS_HOST_DS_SEL,       VMCS_HOST_ES_SEL,
};

/* An exit can load selectors of privilege 0 only; those that user threads leave in DS and ES mean nothing in a
 * 64-bit kernel. */
static uint64_t load_data_sel(uint16_t sel)
{
	return sel & LOAD_SEL_RPL_TI ? 0 : sel;
}

/* Base of the task state segment: a 16-byte descriptor; SDM 3A 8.2.3. */
static uint64_t load_tss_base(uint64_t gdt, uint16_t sel)
{
	uint64_t lo, hi;

	memcpy(&lo, (const char *)gdt + (sel & ~LOAD_SEL_RPL_TI), sizeof(lo));
	memcpy(&hi, (const char *)gdt + (sel & ~LOAD_SEL_RPL_TI) + 8, sizeof(hi));
	return (lo >> 16 & 0xffffff) | (lo >> 32 & 0xff000000) | hi << 32;
}

void v3_vmx_read_host(struct vmx_cpu *pc)
{
	const struct vmx_dtr gdtr = vmx_read_gdtr(), idtr = vmx_read_idtr();
	const uint16_t tr = vmx_read_tr();
	const uint64_t host[VMX_NHOST] = {
		vmx_read_cr0(),
		vmx_read_cs(),
		vmx_read_ss(),
		tr,
		load_tss_base(gdtr.base, tr),
		gdtr.base,
		idtr.base,
		v3_rdmsr(V3_MSR_GS_BASE),
		v3_rdmsr(V3_MSR_SYSENTER_CS),
		v3_rdmsr(V3_MSR_SYSENTER_ESP),
		v3_rdmsr(V3_MSR_SYSENTER_EIP),
		v3_rdmsr(V3_MSR_EFER),
		v3_rdmsr(V3_MSR_PAT),
		(uintptr_t)v3_vmx_exit_point,
		load_data_sel(vmx_read_ds()),
		load_data_sel(vmx_read_es()),
	};
	unsigned i;

	memcpy(pc->host, host, sizeof(host));
	pc->gdtr = gdtr;
	pc->idtr = idtr;
	for (i = 0; i < VMX_NLIVE; i++)
		pc->live[i] = v3_rdmsr(v3_vmx_live_msrs[i]);
}

/* Another CPU than last time: all of its own state. */
static void load_host_state(struct vmx_vcpu *vv, const struct vmx_cpu *pc)
{
	unsigned i;

	for (i = 0; i < VMX_NHOST; i++)
		vmx_write(v3_vmx_host_fields[i], pc->host[i]);
	vmx_write(VMCS_HOST_FS_SEL, 0); /* the base is loaded separately */
	vmx_write(VMCS_HOST_GS_SEL, 0);
	vv->host_cr3 = vv->host_cr4 = vv->host_rsp = 0; /* none of them can be right */
	vv->host_fs_base = v3_rdmsr(V3_MSR_FS_BASE);
	vmx_write(VMCS_HOST_FS_BASE, vv->host_fs_base);
	/* Translations from an earlier stay there may be out of date. */
	vv->flush = true;
}

static void load_thread_state(struct vmx_vcpu *vv)
{
	const uint64_t fs_base = v3_rdmsr(V3_MSR_FS_BASE);

	if (fs_base == vv->host_fs_base)
		return;
	vv->host_fs_base = fs_base;
	vmx_write(VMCS_HOST_FS_BASE, fs_base);
}

/* Another vcpu's branch history must not steer this one. */
static void load_barrier(struct vmx_vcpu *vv, struct vmx_cpu *pc)
{
	if (pc->last_vcpu == vv)
		return;
	if (pc->last_vcpu && vv->vmx->ibpb)
		v3_wrmsr(V3_MSR_PRED_CMD, LOAD_PRED_CMD_IBPB);
	pc->last_vcpu = vv;
}

static void load_live_msrs(const uint64_t *to, const uint64_t *from)
{
	unsigned i;

	for (i = 0; i < VMX_NLIVE; i++)
		if (to[i] != from[i])
			v3_wrmsr(v3_vmx_live_msrs[i], to[i]);
}

void v3_vmx_load(struct v3_vcpu *vcpu)
{
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	uint32_t cpu = v3_host_cpu_id();
	struct vmx_cpu *pc = &vv->vmx->cpu[cpu];
	unsigned long flags;

	if (vv->loaded)
		return;
	flags = vmx_irq_save();
	vmx_ptrld(vv->vmcs_pa);
	vv->loaded = true;
	vv->launched = false;
	if (vv->cpu != cpu)
		load_host_state(vv, pc);
	else
		load_thread_state(vv);
	vv->cpu = cpu;
	load_barrier(vv, pc);
	vv->host_debugctl = v3_rdmsr(V3_MSR_DEBUGCTL);
	pc->live[VMX_LIVE_KERNEL_GS] = v3_rdmsr(V3_MSR_KERNEL_GS_BASE); /* the thread's own */
	load_live_msrs(vv->live, pc->live);
	vmx_irq_restore(flags);
}

/* The guest may have changed the MSRs without exit. */
void v3_vmx_put(struct v3_vcpu *vcpu)
{
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	const struct vmx_cpu *pc;
	unsigned long flags;
	unsigned i;

	if (!vv->loaded)
		return;
	pc = &vv->vmx->cpu[vv->cpu];
	flags = vmx_irq_save();
	for (i = 0; i < VMX_NLIVE; i++)
		vv->live[i] = v3_rdmsr(v3_vmx_live_msrs[i]);
	load_live_msrs(pc->live, vv->live);
	if (vv->host_debugctl)
		v3_wrmsr(V3_MSR_DEBUGCTL, vv->host_debugctl);
	vmx_load_gdtr(pc->gdtr);
	vmx_load_idtr(pc->idtr);
	vmx_clear(vv->vmcs_pa);
	vv->loaded = false;
	vmx_irq_restore(flags);
}
