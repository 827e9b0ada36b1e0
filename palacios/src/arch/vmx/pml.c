/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pml.c
 * The page-modification log of a vcpu: a page of 512 addresses into which the CPU writes, from the last to the
 * first, the guest-physical page of each nested leaf whose dirty bit it sets. SDM 3C 29.3.6. Called through
 * v3_arch_ops.drain_log by mem/dirty.c; calls v3_dirty_note().
 *
 * The control is always on: the CPU logs only while the EPT pointer enables dirty bits. The log's index is in the
 * VMCS, which only the vcpu's own CPU can read. So that a harvest need not stop vcpus, entries are their own
 * index: those not used yet hold PML_EMPTY, those taken PML_TAKEN, and neither is the address of a page.
 */
#include "arch/vmx/vmx.h"

#include "host/host.h"
#include "state.h"

#define PML_ENTRIES 512
#define PML_EMPTY   1ull
#define PML_TAKEN   2ull

static void pml_clear(struct vmx_vcpu *vv)
{
	for (unsigned i = 0; i < PML_ENTRIES; i++)
		vv->pml[i] = PML_EMPTY;
}

int v3_vmx_pml_create(struct vmx_vcpu *vv)
{
	if (!(vv->vmx->ctl.proc2 & VMX_PROC2_PML))
		return V3_OK;
	vv->pml = v3_alloc_pages(1);
	if (!vv->pml)
		return V3_ENOMEM;
	pml_clear(vv);
	return V3_OK;
}

void v3_vmx_pml_destroy(struct vmx_vcpu *vv)
{
	v3_free_pages(vv->pml, 1);
}

void v3_vmx_pml_init_vmcs(const struct vmx_vcpu *vv)
{
	if (!vv->pml)
		return;
	vmx_write(VMCS_PML_ADDR, v3_host_va_to_pa(vv->pml));
	v3_vmx_pml_rewind();
}

void v3_vmx_pml_rewind(void)
{
	vmx_write(VMCS_PML_INDEX, PML_ENTRIES - 1);
}

/* Another thread may take it at the same time, and the CPU may write to it. @return false: nothing there yet */
static bool pml_take(struct v3_mem *mem, uint64_t *entry, uint64_t leave)
{
	uint64_t e = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

	if (e == PML_EMPTY)
		return false;
	if (e != leave)
		e = __atomic_exchange_n(entry, leave, __ATOMIC_SEQ_CST);
	if (e != PML_EMPTY && e != PML_TAKEN)
		v3_dirty_note(mem, e);
	return true;
}

void v3_vmx_drain_log(struct v3_vcpu *vcpu, bool full)
{
	struct vmx_vcpu *vv = vcpu->arch_vcpu;
	unsigned i = PML_ENTRIES;

	while (i-- && pml_take(&vcpu->vm->mem, &vv->pml[i], full ? PML_EMPTY : PML_TAKEN))
		continue;
}
