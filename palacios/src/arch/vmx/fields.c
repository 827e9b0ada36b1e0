/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fields.c
 * The copy of a vcpu's VMCS: fields are read from the VMCS when first asked for after an exit, and written
 * before the next entry if they were set. So the core may set and ask at any time, while the VMCS itself is
 * touched only where it is current. SDM 3C 25.11.
 */
#include "arch/vmx/vmx.h"

#include "host/host.h"
#include "state.h"

#define FIELDS_SEG(slot, macro)                                                                    \
	[slot] = macro(0), [(slot) + 1] = macro(1), [(slot) + 2] = macro(2),                       \
	[(slot) + 3] = macro(3), [(slot) + 4] = macro(4), [(slot) + 5] = macro(5),                 \
	[(slot) + 6] = macro(6), [(slot) + 7] = macro(7)

static const uint16_t fields_encoding[VMX_NSLOTS] = {
	FIELDS_SEG(VMX_SEL, VMCS_GUEST_SEL),
	FIELDS_SEG(VMX_BASE, VMCS_GUEST_BASE),
	FIELDS_SEG(VMX_LIMIT, VMCS_GUEST_LIMIT),
	FIELDS_SEG(VMX_RIGHTS, VMCS_GUEST_RIGHTS),
	[VMX_GDTR_BASE] = VMCS_GUEST_GDTR_BASE,
	[VMX_IDTR_BASE] = VMCS_GUEST_IDTR_BASE,
	[VMX_GDTR_LIMIT] = VMCS_GUEST_GDTR_LIMIT,
	[VMX_IDTR_LIMIT] = VMCS_GUEST_IDTR_LIMIT,
	[VMX_CR0] = VMCS_GUEST_CR0,
	[VMX_CR3] = VMCS_GUEST_CR3,
	[VMX_RIP] = VMCS_GUEST_RIP,
	[VMX_RSP] = VMCS_GUEST_RSP,
	[VMX_RFLAGS] = VMCS_GUEST_RFLAGS,
	[VMX_PAT] = VMCS_GUEST_PAT,
	[VMX_SYSENTER_CS] = VMCS_GUEST_SYSENTER_CS,
	[VMX_SYSENTER_ESP] = VMCS_GUEST_SYSENTER_ESP,
	[VMX_SYSENTER_EIP] = VMCS_GUEST_SYSENTER_EIP,
	[VMX_BLOCKING] = VMCS_GUEST_INTERRUPTIBILITY,
	[VMX_PENDING_DEBUG] = VMCS_GUEST_PENDING_DEBUG,
	[VMX_PDPTE] = VMCS_GUEST_PDPTE0,
	[VMX_PDPTE + 1] = VMCS_GUEST_PDPTE1,
	[VMX_PDPTE + 2] = VMCS_GUEST_PDPTE2,
	[VMX_PDPTE + 3] = VMCS_GUEST_PDPTE3,
	[VMX_CR4] = VMCS_GUEST_CR4,
	[VMX_EFER] = VMCS_GUEST_EFER,
	[VMX_DR7] = VMCS_GUEST_DR7,
	[VMX_CR0_SHADOW] = VMCS_CR0_SHADOW,
	[VMX_CR4_SHADOW] = VMCS_CR4_SHADOW,
	[VMX_PROC] = VMCS_PROC_CONTROLS,
	[VMX_ENTRY] = VMCS_ENTRY_CONTROLS,
	[VMX_EXCEPTIONS] = VMCS_EXCEPTION_BITMAP,
	[VMX_INJECT] = VMCS_ENTRY_INTR_INFO,
	[VMX_INJECT_ERROR] = VMCS_ENTRY_INTR_ERROR,
	[VMX_INJECT_LEN] = VMCS_ENTRY_INSN_LEN,
	[VMX_TSC_OFFSET] = VMCS_TSC_OFFSET,
	[VMX_EPTP] = VMCS_EPTP,
};

/* Outside load() .. put() no VMCS is current on any CPU for a thread that runs, so none is disturbed; an
 * interrupt must not bring another thread in between. */
static uint64_t fields_read_unloaded(struct vmx_vcpu *vv, uint32_t field)
{
	unsigned long flags = vmx_irq_save();
	uint64_t value;

	vmx_ptrld(vv->vmcs_pa);
	value = vmx_read(field);
	vmx_clear(vv->vmcs_pa);
	vmx_irq_restore(flags);
	return value;
}

uint64_t v3_vmx_field(struct vmx_vcpu *vv, uint32_t field)
{
	return V3_LIKELY(vv->loaded) ? vmx_read(field) : fields_read_unloaded(vv, field);
}

uint64_t v3_vmx_get(struct vmx_vcpu *vv, unsigned slot)
{
	if (!(vv->valid & VMX_SLOT_BIT(slot))) {
		vv->value[slot] = v3_vmx_field(vv, fields_encoding[slot]);
		vv->valid |= VMX_SLOT_BIT(slot);
	}
	return vv->value[slot];
}

void v3_vmx_set(struct vmx_vcpu *vv, unsigned slot, uint64_t value)
{
	if ((vv->valid & VMX_SLOT_BIT(slot)) && vv->value[slot] == value)
		return;
	vv->value[slot] = value;
	vv->valid |= VMX_SLOT_BIT(slot);
	vv->dirty |= VMX_SLOT_BIT(slot);
}

void v3_vmx_write_back(struct vmx_vcpu *vv)
{
	while (vv->dirty) {
		unsigned slot = (unsigned)__builtin_ctzll(vv->dirty);

		vmx_write(fields_encoding[slot], vv->value[slot]);
		vv->dirty &= vv->dirty - 1;
	}
}
