/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file view.c
 * Views: alternate nested roots. A view has a nested table of its own, filled on demand by the same code as
 * the VM's, and a sparse map of the pages it treats specially. Nothing is copied when a view is made, and
 * a change of the VM's map only has to take the range out of each view's table.
 */
#include "state.h"

#include "mmu/nested/table.h"
#include "mmu/view.h"

#include "host/host.h"

#define V3_LOG_TAG "view"

#define VIEW_PERM    0x07ull /* V3_ACC_* */
#define VIEW_SPECIAL 0x08ull /* the slot is in use, even with no permission at all */
#define VIEW_OWN     0x10ull /* has its own host page */

int v3_view_create(struct v3_vm *vm, v3_view_fault_fn fault, void *priv, struct v3_view **out)
{
	struct v3_view *view;
	unsigned long flags;
	int err;

	if (!fault || !out)
		return V3_EINVAL;
	view = v3_alloc(sizeof(*view));
	if (!view)
		return V3_ENOMEM;
	view->vm = vm;
	view->fault = fault;
	view->priv = priv;
	err = v3_nested_init(&view->table, &vm->mem);
	if (err) {
		v3_free(view);
		return err;
	}
	flags = v3_lock_acquire(&vm->mem.lock);
	view->next = vm->mmu.views;
	vm->mmu.views = view;
	v3_mmu_apic_view(vm, &view->table);
	v3_lock_release(&vm->mem.lock, flags);
	*out = view;
	return V3_OK;
}

void v3_view_free(struct v3_view *view)
{
	struct v3_view **link = &view->vm->mmu.views;
	unsigned long flags = v3_lock_acquire(&view->vm->mem.lock);

	while (*link != view)
		link = &(*link)->next;
	*link = view->next;
	v3_lock_release(&view->vm->mem.lock, flags);
	v3_nested_fini(&view->table);
	v3_pagemap_fini(&view->pages);
	v3_free(view);
}

int v3_view_destroy(struct v3_view *view)
{
	if (!view)
		return V3_OK;
	for (uint32_t i = 0; i < view->vm->nvcpus; i++)
		if (__atomic_load_n(&view->vm->vcpu[i]->mmu.view, __ATOMIC_ACQUIRE) == view)
			return V3_EBUSY;
	v3_view_free(view);
	return V3_OK;
}

/* Change a page's word and take the page out of the view's table. */
static int view_set(struct v3_view *view, v3_gpa_t gpa, uint64_t word, bool *relax)
{
	struct v3_vm *vm = view->vm;
	unsigned long flags = v3_lock_acquire(&vm->mem.lock);
	bool dropped = false;
	int err = v3_pagemap_set(&view->pages, gpa, word);

	if (!err)
		dropped = v3_nested_drop(&view->table, gpa, V3_PAGE_SIZE);
	*relax = !word && !v3_view_any(view, gpa & ~(V3_SIZE_2M - 1), V3_SIZE_2M);
	v3_lock_release(&vm->mem.lock, flags);
	if (dropped)
		v3_flush_vm_sync(vm);
	return err;
}

int v3_view_set_page(struct v3_view *view, v3_gpa_t gpa, unsigned perm, v3_hpa_t hpa)
{
	struct v3_vm *vm = view->vm;
	uint64_t word = perm | VIEW_SPECIAL;
	bool rom, relax;

	if ((gpa & (V3_PAGE_SIZE - 1)) || (perm & ~V3_ACC_ALL))
		return V3_EINVAL;
	if (hpa != V3_HPA_NONE) {
		if ((hpa & (V3_PAGE_SIZE - 1)) || hpa >> v3_lib.caps.hpa_bits)
			return V3_EINVAL;
		word |= hpa | VIEW_OWN;
	}
	if (!v3_mem_is_memory(&vm->mem, gpa, &rom))
		return V3_ENOENT;
	if (perm && !(perm & V3_ACC_READ) && !(perm == V3_ACC_EXEC && vm->mmu.exec_only))
		return V3_ENOTSUP;
	return view_set(view, gpa, word, &relax);
}

int v3_view_clear_page(struct v3_view *view, v3_gpa_t gpa)
{
	bool relax;
	int err;

	if (gpa & (V3_PAGE_SIZE - 1))
		return V3_EINVAL;
	if (!v3_pagemap_get(&view->pages, gpa))
		return V3_OK;
	err = view_set(view, gpa, 0, &relax);
	if (relax)
		v3_mmu_relax(view->vm, view, gpa, V3_PAGE_SIZE);
	return err;
}

void v3_vcpu_set_view(struct v3_vcpu *vcpu, struct v3_view *view)
{
	if (vcpu->mmu.view == view)
		return;
	__atomic_store_n(&vcpu->mmu.view, view, __ATOMIC_RELEASE);
	v3_vcpu_request_self(vcpu, V3_REQ_VIEW);
}

struct v3_view *v3_vcpu_view(struct v3_vcpu *vcpu)
{
	return vcpu->mmu.view;
}

bool v3_view_page(const struct v3_view *view, v3_gpa_t gpa, unsigned *perm, v3_hpa_t *hpa)
{
	uint64_t word = v3_pagemap_get(&view->pages, gpa);

	if (!word)
		return false;
	*perm = word & VIEW_PERM;
	*hpa = word & VIEW_OWN ? word & V3_PAGE_MASK : V3_HPA_NONE;
	return true;
}

bool v3_view_any(const struct v3_view *view, v3_gpa_t gpa, uint64_t size)
{
	return v3_pagemap_any(&view->pages, gpa, size);
}

int v3_view_fault(struct v3_vcpu *vcpu, v3_gpa_t gpa, unsigned access)
{
	struct v3_view *view = vcpu->mmu.view;

	return view->fault(vcpu, view, gpa, access, view->priv);
}

uint8_t *v3_view_hva(struct v3_vcpu *vcpu, v3_gpa_t gpa)
{
	uint8_t *hva = v3_mem_hva(vcpu->vm, gpa);
	unsigned perm;
	v3_hpa_t hpa;

	if (!hva || !v3_view_page(vcpu->mmu.view, gpa, &perm, &hpa) || hpa == V3_HPA_NONE)
		return hva;
	return (uint8_t *)v3_host_pa_to_va(hpa) + (gpa & (V3_PAGE_SIZE - 1));
}
