/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file apicv.c
 * APIC virtualization: which controls of it a vcpu runs with, and what the CPU must know about the page that holds
 * the local APIC's registers. Called by intr/ when the APIC's mode changes and when interrupts are looked at, by
 * run.c around an entry. palacios/doc/apic.md tells how the parts work together.
 * SDM 3C chapter 30, 25.6.8 (fields), 26.3.2.5 and 27.7.7 (TPR threshold).
 */
#include "arch/vmx/vmx.h"

#include "host/host.h"
#include "palacios/util/str.h"
#include "state.h"

#define APICV_PAGE_BYTES 4096

/* What is to be written before the next entry: struct vmx_apic.dirty. */
#define APICV_MODE   1u
#define APICV_STATUS 2u /* TPR threshold or interrupt status */
#define APICV_EOI    4u

/* Places in the page, as indices of 32-bit words; SDM 3A table 10-1. */
#define APICV_TPR 0x20
#define APICV_ISR 0x40
#define APICV_TMR 0x60
#define APICV_IRR 0x80

#define APICV_VIRT (VMX_PROC2_APIC_REGS | VMX_PROC2_VIRT_INTR)

/*
 * What a mode adds to the secondary controls, if the CPU has it. While an APIC is disabled by software it takes no
 * interrupts, its own neither, which the CPU would deliver. In x2APIC mode nothing is left to virtualize then: the
 * PPR, read without exit, would not be up to date.
 */
static const struct apicv_mode {
	uint32_t disabled, enabled;
} apicv_modes[] = {
	[V3_APIC_NONE] = {0, 0},
	[V3_APIC_OFF] = {0, 0},
	[V3_APIC_XAPIC] = {VMX_PROC2_APIC_ACCESS | VMX_PROC2_APIC_REGS,
			   VMX_PROC2_APIC_ACCESS | APICV_VIRT},
	[V3_APIC_X2APIC] = {0, VMX_PROC2_X2APIC | APICV_VIRT},
};

/* x2APIC MSRs whose value is in the page as the guest is to see it, and those that the CPU handles when written;
 * 30.5. The current count is computed, the others act when written. */
static const struct apicv_msrs {
	uint16_t first, last;
	bool write;
} apicv_msrs[] = {
	{0x802, 0x803, false}, /* ID, version */
	{0x808, 0x808, false}, /* TPR */
	{0x80a, 0x80a, false}, /* PPR */
	{0x80d, 0x80d, false}, /* LDR */
	{0x80f, 0x828, false}, /* SVR, ISR, TMR, IRR, ESR */
	{0x830, 0x830, false}, /* ICR */
	{0x832, 0x838, false}, /* LVT, initial count */
	{0x83e, 0x83e, false}, /* divide configuration */
	{0x808, 0x808, true},  /* TPR */
	{0x80b, 0x80b, true},  /* EOI */
	{0x83f, 0x83f, true},  /* self-IPI */
};

/* The register controls say what interrupts cannot do without, and the other way round. */
void v3_vmx_apic_caps(const struct vmx_caps *caps, struct vmx_apic_caps *out)
{
	const uint32_t exits = VMX_PROC_CR8_LOAD | VMX_PROC_CR8_STORE;
	uint32_t proc2 = VMX_PROC2_APIC_ACCESS;

	*out = (struct vmx_apic_caps){0};
	if (!v3_vmx_caps_may(caps->procbased, VMX_PROC_TPR_SHADOW) ||
	    ((uint32_t)caps->procbased & exits))
		return;
	if (v3_vmx_caps_may(caps->procbased2, APICV_VIRT))
		proc2 |= VMX_PROC2_X2APIC | APICV_VIRT;
	out->tpr_shadow = true;
	out->proc2 = (uint32_t)(caps->procbased2 >> 32) & proc2;
}

int v3_vmx_apic_vm_create(struct v3_vm *vm, struct vmx_vm *vx, const struct vmx_apic_caps *caps)
{
	vx->x2_bitmap_pa = vx->apic_access_pa = V3_HPA_NONE;
	if (caps->proc2 & VMX_PROC2_X2APIC) {
		vx->x2_bitmap_pa = v3_host_page_alloc(1, V3_NODE_ANY);
		if (vx->x2_bitmap_pa == V3_HPA_NONE)
			return V3_ENOMEM;
		vx->x2_bitmap = v3_host_pa_to_va(vx->x2_bitmap_pa);
		memset(vx->x2_bitmap, 0xff, APICV_PAGE_BYTES);
		for (unsigned i = 0; i < V3_ARRAY_SIZE(apicv_msrs); i++)
			for (uint32_t msr = apicv_msrs[i].first; msr <= apicv_msrs[i].last; msr++)
				v3_vmx_bitmap_pass(vx->x2_bitmap, msr, !apicv_msrs[i].write,
						   apicv_msrs[i].write);
	}
	if (caps->proc2 & VMX_PROC2_APIC_ACCESS) {
		vx->apic_access_pa = v3_host_page_alloc(1, V3_NODE_ANY);
		if (vx->apic_access_pa == V3_HPA_NONE)
			return V3_ENOMEM;
		vm->mmu.apic_access = vx->apic_access_pa;
	}
	return V3_OK;
}

void v3_vmx_apic_vm_destroy(struct v3_vm *vm, struct vmx_vm *vx)
{
	vm->mmu.apic_access = 0;
	if (vx->x2_bitmap_pa != V3_HPA_NONE)
		v3_host_page_free(vx->x2_bitmap_pa, 1);
	if (vx->apic_access_pa != V3_HPA_NONE)
		v3_host_page_free(vx->apic_access_pa, 1);
}

bool v3_vmx_set_apic_mode(struct v3_vcpu *vcpu, enum v3_apic_mode mode, bool enabled)
{
	const uint64_t exits = VMX_PROC_CR8_LOAD | VMX_PROC_CR8_STORE;
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	const struct vmx_apic_caps *caps = &vv->vmx->apic;
	const struct apicv_mode *m = &apicv_modes[mode];
	struct vmx_apic *a = &vv->apic;

	if (!caps->tpr_shadow)
		return false;
	v3_vmx_set(vv, VMX_PROC, (v3_vmx_get(vv, VMX_PROC) & ~exits) | VMX_PROC_TPR_SHADOW);
	a->page = v3_host_pa_to_va(vcpu->apic_pa);
	a->proc2 = caps->proc2 & (enabled ? m->enabled : m->disabled);
	a->by_cpu = a->proc2 & VMX_PROC2_VIRT_INTR;
	a->watch_tpr = !a->by_cpu;
	a->threshold = 0;
	a->dirty = APICV_MODE | APICV_STATUS | APICV_EOI;
	/* Translations say whether an access is one to the APIC's page; 29.4.3.4. */
	vv->flush = true;
	return a->by_cpu;
}

/* Highest vector of a 256-bit register in the page, 0 if none: what an interrupt status has for none, too. */
static unsigned apicv_top(const uint32_t *page, unsigned reg)
{
	for (unsigned i = 8; i-- > 0;)
		if (page[reg + 4 * i])
			return 32 * i + 31 - (unsigned)__builtin_clz(page[reg + 4 * i]);
	return 0;
}

/* RVI and SVI, 25.4.2. Whose EOI must exit is known by the trigger modes, 25.6.8. */
void v3_vmx_sync_apic(struct v3_vcpu *vcpu)
{
	struct vmx_apic *a = &((struct vmx_vcpu *)vcpu->arch_vcpu)->apic;

	a->status = (uint16_t)(apicv_top(a->page, APICV_ISR) << 8 | apicv_top(a->page, APICV_IRR));
	a->dirty |= APICV_STATUS;
	for (unsigned i = 0; i < V3_ARRAY_SIZE(a->eoi_exit); i++) {
		const uint32_t *tmr = &a->page[APICV_TMR + 8 * i];
		uint64_t level = (uint64_t)tmr[4] << 32 | tmr[0];

		if (level != a->eoi_exit[i])
			a->dirty |= APICV_EOI;
		a->eoi_exit[i] = level;
	}
}

static void apicv_write_mode(struct v3_vcpu *vcpu, struct vmx_vcpu *vv)
{
	const struct vmx_vm *vx = vcpu->vm->arch_vm;
	const struct vmx_apic *a = &vv->apic;

	vmx_write(VMCS_PROC2_CONTROLS, vv->proc2 | a->proc2);
	vmx_write(VMCS_VIRTUAL_APIC_ADDR, vcpu->apic_pa);
	vmx_write(VMCS_MSR_BITMAP,
		  a->proc2 & VMX_PROC2_X2APIC ? vx->x2_bitmap_pa : vx->msr_bitmap_pa);
	if (a->proc2 & VMX_PROC2_APIC_ACCESS)
		vmx_write(VMCS_APIC_ACCESS_ADDR, vx->apic_access_pa);
}

void v3_vmx_apic_write(struct v3_vcpu *vcpu, struct vmx_vcpu *vv)
{
	struct vmx_apic *a = &vv->apic;

	if (a->dirty & APICV_MODE)
		apicv_write_mode(vcpu, vv);
	if (a->dirty & APICV_STATUS)
		vmx_write(VMCS_TPR_THRESHOLD, a->threshold);
	if ((a->dirty & APICV_STATUS) && a->by_cpu)
		vmx_write(VMCS_GUEST_INTR_STATUS, a->status);
	if ((a->dirty & APICV_EOI) && a->by_cpu)
		for (unsigned i = 0; i < 4; i++)
			vmx_write(VMCS_EOI_EXIT_BITMAP0 + 2 * i, a->eoi_exit[i]);
	a->dirty = 0;
}

/*
 * The CPU changes the TPR and does nothing about it but exit when it goes below the threshold, 30.1.2: the class of
 * what waits in IRR, if the TPR and nothing else holds it back. Each exit may have changed any of them.
 */
void v3_vmx_apic_entry(struct vmx_apic *a)
{
	unsigned waits = apicv_top(a->page, APICV_IRR) >> 4;
	unsigned threshold = 0;

	a->tpr = a->page[APICV_TPR];
	if (waits && waits <= a->tpr >> 4 && waits > apicv_top(a->page, APICV_ISR) >> 4)
		threshold = waits;
	if (threshold == a->threshold)
		return;
	a->threshold = (uint8_t)threshold;
	a->dirty |= APICV_STATUS;
}

void v3_vmx_apic_exit(struct v3_vcpu *vcpu, struct vmx_apic *a)
{
	const struct v3_intr *intr = &vcpu->vm->intr;

	if (a->page[APICV_TPR] != a->tpr)
		intr->lapic->tpr_changed(intr->lapic_priv, vcpu);
}

/*
 * Quirk B13: if the delivery of a virtual interrupt exits, this CPU reports the event before it. The interrupt is in
 * service already, though its handler has not begun: interrupts are on. A handler that has switched them on itself,
 * before its EOI, looks the same; should then the delivery of an exception exit, the exception is lost.
 */
uint32_t v3_vmx_apic_aborted(const struct vmx_vcpu *vv, uint32_t info)
{
	unsigned vector;

	if (!vv->apic.by_cpu || !(vv->value[VMX_RFLAGS] & V3_RFLAGS_IF))
		return info;
	vector = apicv_top(vv->apic.page, APICV_ISR);
	return vector ? VMX_INTR_VALID | VMX_INTR_TYPE(VMX_INTR_EXTERNAL) | vector : info;
}
