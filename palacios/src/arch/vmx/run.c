/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file run.c
 * One entry into the guest and the exit from it: everything between the run loop and the world switch.
 * Called by vm/run.c; calls entry.S and exit.c. SDM 3C chapters 27 and 28.
 */
#include "arch/vmx/vmx.h"

#include "arch/vmx/check.h"
#include "exit/exit.h"
#include "host/host.h"
#include "host/x86.h"
#include "state.h"

#define RUN_DR7_ENABLES 0xffull
#define RUN_DR7_OFF	0x400ull

/* Interrupt handlers of the host may change these between any two entries. */
static void run_refresh_host(struct vmx_vcpu *vv)
{
	const uint64_t cr3 = vmx_read_cr3(), cr4 = v3_read_cr4();

	if (V3_UNLIKELY(cr3 != vv->host_cr3)) {
		vv->host_cr3 = cr3;
		vmx_write(VMCS_HOST_CR3, cr3);
	}
	if (V3_UNLIKELY(cr4 != vv->host_cr4)) {
		vv->host_cr4 = cr4;
		vmx_write(VMCS_HOST_CR4, cr4);
	}
}

/* As v3_vmx_set(), of a slot that each exit reads. */
static inline void run_stage(struct vmx_vcpu *vv, unsigned slot, uint64_t value)
{
	if (vv->value[slot] == value)
		return;
	vv->value[slot] = value;
	vv->dirty |= VMX_SLOT_BIT(slot);
}

/* Everything into the VMCS that the next entry needs. */
static void run_prepare(struct v3_vcpu *vcpu, struct vmx_vcpu *vv)
{
	run_stage(vv, VMX_RIP, vcpu->regs.rip);
	run_stage(vv, VMX_RSP, vcpu->regs.gpr[V3_RSP]);
	run_stage(vv, VMX_RFLAGS, vcpu->regs.rflags);
	run_refresh_host(vv);
	v3_vmx_write_back(vv);
	if (vv->apic.watch_tpr)
		v3_vmx_apic_entry(&vv->apic);
	if (V3_UNLIKELY(vv->apic.dirty))
		v3_vmx_apic_write(vcpu, vv);
}

static uint64_t run_read_field(void *vmcs, uint32_t field)
{
	return v3_vmx_field(vmcs, field);
}

const char *v3_vmx_check_entry(struct v3_vcpu *vcpu)
{
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	const struct vmx_check check = {&vv->vmx->caps, run_read_field, vv, vv->apic.page};

	if (vv->load_pdptes)
		v3_vmx_load_pdptes(vcpu);
	run_prepare(vcpu, vv);
	return v3_vmx_check(&check);
}

/*
 * With nested paging the CPU caches guest-physical translations by the nested root, and combined ones by root
 * and VPID (29.4.1). The first instruction drops what the nested tables said, the second what the guest's own
 * tables said under other roots.
 */
static void run_flush(struct vmx_vcpu *vv)
{
	vmx_invept(VMX_INVEPT_SINGLE, vv->value[VMX_EPTP]);
	if (vv->vpid)
		vmx_invvpid(VMX_INVVPID_SINGLE, vv->vpid);
}

static void run_load_dr(const uint64_t *dr)
{
	v3_write_dr0(dr[0]);
	v3_write_dr1(dr[1]);
	v3_write_dr2(dr[2]);
	v3_write_dr3(dr[3]);
}

static int run_switch(struct v3_vcpu *vcpu, struct vmx_vcpu *vv)
{
	return v3_vmx_world_switch(vcpu, vv->launched, &vv->host_rsp);
}

/* DR7 is in the VMCS; DR0-3 are not, and matter only while the guest has a breakpoint enabled. */
static int run_switch_with_dr(struct v3_vcpu *vcpu, struct vmx_vcpu *vv)
{
	uint64_t host[4] = {v3_read_dr0(), v3_read_dr1(), v3_read_dr2(), v3_read_dr3()};
	int ret;

	v3_write_dr7(RUN_DR7_OFF); /* the host's own breakpoints must not see guest addresses */
	run_load_dr(vv->dr);
	ret = run_switch(vcpu, vv);
	run_load_dr(host);
	return ret;
}

/* Interrupts off. @return VMX_SWITCH_* */
static int run_guest(struct v3_vcpu *vcpu, struct vmx_vcpu *vv)
{
	uint64_t host_dr7 = v3_read_dr7();
	int ret;

	run_prepare(vcpu, vv);
	if (V3_UNLIKELY(vv->flush))
		run_flush(vv);
	if (vv->timer)
		v3_vmx_prepare_timer(vv);
	if (vmx_read_cr2() != vcpu->cr2)
		vmx_write_cr2(vcpu->cr2);
	if (V3_UNLIKELY(vv->value[VMX_DR7] & RUN_DR7_ENABLES))
		ret = run_switch_with_dr(vcpu, vv);
	else
		ret = run_switch(vcpu, vv);
	vcpu->cr2 = vmx_read_cr2();
	if (V3_UNLIKELY(host_dr7 & RUN_DR7_ENABLES))
		v3_write_dr7(host_dr7); /* cleared by the exit */
	return ret;
}

int v3_vmx_enter(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	unsigned long flags;
	int ret;

	if (V3_UNLIKELY(vv->load_pdptes))
		v3_vmx_load_pdptes(vcpu);
	flags = vmx_irq_save();
	ret = run_guest(vcpu, vv);
	if (V3_LIKELY(ret == VMX_SWITCH_RAN)) {
		vv->launched = true;
		vv->flush = false;
		v3_vmx_save_state(vcpu);
		if (vv->apic.watch_tpr)
			v3_vmx_apic_exit(vcpu, &vv->apic);
		v3_vmx_decode_exit(vcpu, exit);
	} else if (ret == VMX_SWITCH_FAILED) {
		v3_vmx_decode_failure(vcpu, exit);
	}
	vmx_irq_restore(flags);
	return ret == VMX_SWITCH_REQUEST ? V3_EAGAIN : V3_OK;
}
