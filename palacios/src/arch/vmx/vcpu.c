/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vcpu.c
 * VMCS set-up, power-on and INIT state, and the dump. SDM 3C 25.4 to 25.8; 3A table 9-1 (RESET, INIT).
 */
#include "arch/vmx/vmx.h"

#include "cpu/cpuid.h"
#include "cpu/yield.h"
#include "exit/exit.h"
#include "host/host.h"
#include "palacios/util/str.h"
#include "palacios/util/text.h"
#include "state.h"

#define V3_LOG_TAG "vmx"

/* PAUSE is only worth an exit in a loop: PAUSEs less than this many cycles apart, for that long; 26.1.3. */
#define VCPU_PLE_GAP	128
#define VCPU_PLE_WINDOW 4096

#define VCPU_PAT_RESET 0x0007040600070406ull /* SDM 3A 12.12.4 */

/* Fields that never change. */
static void vcpu_write_constants(struct v3_vcpu *vcpu, struct vmx_vcpu *vv)
{
	const struct vmx_controls *ctl = &vv->vmx->ctl;
	const struct vmx_vm *vx = vcpu->vm->arch_vm;
	uint32_t proc2 = ctl->proc2;
	const uint64_t ratio = vcpu->vm->time.tsc_ratio;

	if (!v3_yield_wants_pause(vcpu->vm))
		proc2 &= ~VMX_PROC2_PAUSE_LOOP;
	vmx_write(VMCS_PIN_CONTROLS, ctl->pin);
	if (ratio) {
		proc2 |= VMX_PROC2_TSC_SCALING;
		vmx_write(VMCS_TSC_MULTIPLIER, ratio);
	}
	vmx_write(VMCS_PROC2_CONTROLS, proc2);
	vmx_write(VMCS_EXIT_CONTROLS, ctl->exit);
	vmx_write(VMCS_MSR_BITMAP, vx->msr_bitmap_pa);
	vmx_write(VMCS_LINK_POINTER, ~0ull);
	vmx_write(VMCS_CR0_MASK, ~V3_VMX_CR0_OWNED);
	vmx_write(VMCS_CR4_MASK, ~0ull);
	vmx_write(VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_ACTIVE);
	vmx_write(VMCS_GUEST_DEBUGCTL, 0);
	vmx_write(VMCS_PF_ERROR_MASK, 0);
	vmx_write(VMCS_PF_ERROR_MATCH, 0);
	vmx_write(VMCS_CR3_TARGET_COUNT, 0);
	/* No MSR areas: each entry and exit would work them off. What no field holds stays in the CPU from load()
	 * to put(), while no code runs there that uses it (load.c). */
	vmx_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmx_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmx_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	if (vv->vpid)
		vmx_write(VMCS_VPID, vv->vpid);
	if (ctl->proc2 & VMX_PROC2_XSAVES) /* IA32_XSS is 0 in a guest: none exits (cpu/fpu.c) */
		vmx_write(VMCS_XSS_EXIT_BITMAP, ~0ull);
	v3_vmx_pml_init_vmcs(vv);
	if (proc2 & VMX_PROC2_PAUSE_LOOP) {
		vmx_write(VMCS_PLE_GAP, VCPU_PLE_GAP);
		vmx_write(VMCS_PLE_WINDOW, VCPU_PLE_WINDOW);
	}
}

static void vcpu_init_vmcs(struct v3_vcpu *vcpu, struct vmx_vcpu *vv)
{
	const uint32_t revision = VMX_BASIC_REVISION(vv->vmx->caps.basic);
	unsigned long flags;

	memcpy(v3_host_pa_to_va(vv->vmcs_pa), &revision, sizeof(revision));
	flags = vmx_irq_save();
	vmx_clear(vv->vmcs_pa);
	vmx_ptrld(vv->vmcs_pa);
	vcpu_write_constants(vcpu, vv);
	vmx_clear(vv->vmcs_pa);
	vmx_irq_restore(flags);
	vv->valid = ~0ull; /* an old VMCS's content is never asked for: all is set by the reset */
	v3_vmx_set(vv, VMX_PROC, vv->vmx->ctl.proc);
	v3_vmx_set_exception_mask(vcpu, 0);
	vv->dirty = ~0ull >> (64 - VMX_NSLOTS);
}

/* A number of its own for each vcpu; without one the CPU flushes at every switch, which is right, too. */
static uint16_t vcpu_take_vpid(struct vmx_state *vmx)
{
	uint32_t i, bit;

	if (!(vmx->ctl.proc2 & VMX_PROC2_VPID))
		return 0;
	for (i = 0; i < V3_ARRAY_SIZE(vmx->vpids); i++) {
		for (bit = 0; bit < 32; bit++) {
			uint32_t mask = 1u << bit;

			if (!(__atomic_load_n(&vmx->vpids[i], __ATOMIC_RELAXED) & mask) &&
			    !(__atomic_fetch_or(&vmx->vpids[i], mask, __ATOMIC_ACQUIRE) & mask))
				return (uint16_t)(i * 32 + bit);
		}
	}
	return 0;
}

static void vcpu_drop_vpid(struct vmx_state *vmx, uint16_t vpid)
{
	if (vpid)
		__atomic_fetch_and(&vmx->vpids[vpid / 32], ~(1u << (vpid % 32)), __ATOMIC_RELEASE);
}

int v3_vmx_vcpu_create(struct v3_vcpu *vcpu)
{
	struct vmx_vcpu *vv = v3_alloc(sizeof(*vv));

	if (!vv)
		return V3_ENOMEM;
	vv->vmx = v3_lib.arch_state;
	vv->cpu = ~0u;
	vv->deadline = V3_NO_DEADLINE;
	vv->vmcs_pa = v3_host_page_alloc(1, V3_NODE_ANY);
	if (vv->vmcs_pa == V3_HPA_NONE)
		goto free_vcpu;
	vv->vpid = vcpu_take_vpid(vv->vmx);
	if (!vv->vpid && (vv->vmx->ctl.proc2 & VMX_PROC2_VPID))
		goto free_vmcs;
	if (v3_vmx_pml_create(vv) != V3_OK)
		goto drop_vpid;
	vcpu->arch_vcpu = vv;
	vcpu_init_vmcs(vcpu, vv);
	return V3_OK;

drop_vpid:
	vcpu_drop_vpid(vv->vmx, vv->vpid);
free_vmcs:
	v3_host_page_free(vv->vmcs_pa, 1);
free_vcpu:
	v3_free(vv);
	return V3_ENOMEM;
}

void v3_vmx_vcpu_destroy(struct v3_vcpu *vcpu)
{
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	uint32_t i;

	if (!vv)
		return;
	for (i = 0; i < vv->vmx->ncpus; i++)
		if (vv->vmx->cpu[i].last_vcpu == vv)
			vv->vmx->cpu[i].last_vcpu =
				vv->vmx; /* a new vcpu may get the same address */
	v3_vmx_pml_destroy(vv);
	vcpu_drop_vpid(vv->vmx, vv->vpid);
	v3_host_page_free(vv->vmcs_pa, 1);
	v3_free(vv);
	vcpu->arch_vcpu = NULL;
}

static void vcpu_reset_segments(struct v3_vcpu *vcpu)
{
	const struct v3_seg data = {.attr = V3_SEG_P | V3_SEG_S | 3, .limit = 0xffff};
	const struct v3_seg code = {.sel = 0xf000,
				    .attr = V3_SEG_P | V3_SEG_S | 0xb,
				    .limit = 0xffff,
				    .base = 0xffff0000};
	const struct v3_seg ldt = {.attr = V3_SEG_P | 2, .limit = 0xffff};
	const struct v3_seg tss = {.attr = V3_SEG_P | 0xb, .limit = 0xffff};
	const struct v3_dtr dtr = {.limit = 0xffff};
	unsigned i;

	for (i = V3_ES; i <= V3_GS; i++)
		v3_vmx_set_seg(vcpu, (enum v3_seg_num)i, &data);
	v3_vmx_set_seg(vcpu, V3_CS, &code);
	v3_vmx_set_seg(vcpu, V3_LDTR, &ldt);
	v3_vmx_set_seg(vcpu, V3_TR, &tss);
	v3_vmx_set_dtr(vcpu, false, &dtr);
	v3_vmx_set_dtr(vcpu, true, &dtr);
	v3_vmx_set_cpl(vcpu, 0);
}

static void vcpu_reset_msrs(struct v3_vcpu *vcpu)
{
	unsigned i;

	for (i = 0; i < VMX_NLIVE; i++)
		v3_vmx_set_msr(vcpu, v3_vmx_live_msrs[i], 0);
	v3_vmx_set_msr(vcpu, V3_MSR_SYSENTER_CS, 0);
	v3_vmx_set_msr(vcpu, V3_MSR_SYSENTER_ESP, 0);
	v3_vmx_set_msr(vcpu, V3_MSR_SYSENTER_EIP, 0);
	v3_vmx_set_msr(vcpu, V3_MSR_PAT, VCPU_PAT_RESET);
}

static void vcpu_reset_events(struct vmx_vcpu *vv)
{
	v3_vmx_set(vv, VMX_INJECT, 0);
	v3_vmx_set(vv, VMX_BLOCKING, 0);
	v3_vmx_set(vv, VMX_PENDING_DEBUG, 0);
	v3_vmx_set(vv, VMX_PROC, vv->vmx->ctl.proc);
}

void v3_vmx_vcpu_reset(struct v3_vcpu *vcpu, bool init)
{
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	uint64_t keep = init ? vcpu->cr0 & (V3_CR0_CD | V3_CR0_NW) : V3_CR0_CD | V3_CR0_NW;
	unsigned i;

	for (i = 0; i < V3_NGPR; i++)
		vcpu->regs.gpr[i] = 0;
	vcpu->regs.gpr[V3_RDX] = v3_cpuid_leaf(vcpu, 1)->eax; /* family, model, stepping */
	vcpu->regs.rip = 0xfff0;
	vcpu->regs.rflags = V3_RFLAGS_ONE;
	vcpu_reset_segments(vcpu);
	v3_vmx_set_efer(vcpu, 0);
	v3_vmx_set_cr(vcpu, 0, V3_CR0_ET | keep);
	v3_vmx_set_cr(vcpu, 2, 0);
	v3_vmx_set_cr(vcpu, 3, 0);
	v3_vmx_set_cr(vcpu, 4, 0);
	v3_vmx_set_cr(vcpu, 8, 0);
	for (i = 0; i < 4; i++)
		vv->dr[i] = 0;
	vv->dr6 = 0xffff0ff0ull;
	v3_vmx_set(vv, VMX_DR7, 0x400);
	if (!init)
		vcpu_reset_msrs(vcpu);
	vcpu_reset_events(vv);
	vv->flush = true;
}

static unsigned long long vcpu_field(struct vmx_vcpu *vv, uint32_t field)
{
	return v3_vmx_field(vv, field);
}

void v3_vmx_dump(struct v3_vcpu *vcpu, const struct v3_text *text)
{
	struct vmx_vcpu *vv = vcpu->arch_vcpu;

	v3_text_line(
		text,
		"  exit %#llx qualification %#llx interruption %#llx vectoring %#llx length %llu",
		vcpu_field(vv, VMCS_EXIT_REASON), vcpu_field(vv, VMCS_EXIT_QUALIFICATION),
		vcpu_field(vv, VMCS_EXIT_INTR_INFO), vcpu_field(vv, VMCS_IDT_VECTORING_INFO),
		vcpu_field(vv, VMCS_EXIT_INSN_LEN));
	v3_text_line(
		text,
		"  physical %#llx linear %#llx inject %#llx blocking %#llx pending debug %#llx",
		vcpu_field(vv, VMCS_GUEST_PHYS_ADDR), vcpu_field(vv, VMCS_GUEST_LINEAR_ADDR),
		vcpu_field(vv, VMCS_ENTRY_INTR_INFO), vcpu_field(vv, VMCS_GUEST_INTERRUPTIBILITY),
		vcpu_field(vv, VMCS_GUEST_PENDING_DEBUG));
	v3_text_line(text, "  cr0 %#llx (shows %#llx) cr3 %#llx cr4 %#llx (shows %#llx) efer %#llx",
		     vcpu_field(vv, VMCS_GUEST_CR0), vcpu_field(vv, VMCS_CR0_SHADOW),
		     vcpu_field(vv, VMCS_GUEST_CR3), vcpu_field(vv, VMCS_GUEST_CR4),
		     vcpu_field(vv, VMCS_CR4_SHADOW), vcpu_field(vv, VMCS_GUEST_EFER));
	v3_text_line(
		text,
		"  controls: pin %#llx proc %#llx %#llx exit %#llx entry %#llx exceptions %#llx",
		vcpu_field(vv, VMCS_PIN_CONTROLS), vcpu_field(vv, VMCS_PROC_CONTROLS),
		vcpu_field(vv, VMCS_PROC2_CONTROLS), vcpu_field(vv, VMCS_EXIT_CONTROLS),
		vcpu_field(vv, VMCS_ENTRY_CONTROLS), vcpu_field(vv, VMCS_EXCEPTION_BITMAP));
	v3_text_line(text, "  eptp %#llx vpid %u dr6 %#llx dr7 %#llx", vcpu_field(vv, VMCS_EPTP),
		     vv->vpid, (unsigned long long)vv->dr6, vcpu_field(vv, VMCS_GUEST_DR7));
}
