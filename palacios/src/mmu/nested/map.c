/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file map.c
 * What may be mapped where: fills nested tables on faults and takes pages out of them when the map changes.
 * The VM's own table and those of its views are filled the same way; only the pages that a view treats
 * specially differ. Everything here holds v3_mem.lock while it looks and changes, so a page that is being
 * hooked is either not entered any more or taken out again by the hooking vcpu.
 */
#include "state.h"

#include "host/host.h"
#include "mmu/nested/table.h"
#include "mmu/view.h"

int v3_mmu_init(struct v3_vm *vm)
{
	const struct v3_arch_caps *caps = &v3_lib.caps;
	struct v3_mmu *mmu = &vm->mmu;

	mmu->leaf_1g = caps->nested_1g;
	mmu->exec_only = caps->nested_exec_only;
	mmu->guest_rsvd = ((1ull << 52) - 1) & ~((1ull << vm->mem.gpa_bits) - 1);
	return v3_nested_init(&mmu->nested, vm->mem.node);
}

void v3_mmu_fini(struct v3_vm *vm)
{
	while (vm->mmu.views)
		v3_view_free(vm->mmu.views);
	v3_nested_fini(&vm->mmu.nested);
}

v3_hpa_t v3_mmu_root(const struct v3_vcpu *vcpu)
{
	return v3_mmu_table(vcpu)->root;
}

unsigned v3_mmu_path(struct v3_vcpu *vcpu, v3_gpa_t gpa, uint64_t entry[V3_WALK_MAX_LEVELS])
{
	unsigned long flags = v3_lock_acquire(&vcpu->vm->mem.lock);
	unsigned n = v3_nested_path(v3_mmu_table(vcpu), gpa, entry);

	v3_lock_release(&vcpu->vm->mem.lock, flags);
	return n;
}

/* Largest leaf for the page: 0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB. */
static unsigned map_level(const struct v3_vm *vm, const struct v3_view *view, v3_gpa_t gpa)
{
	const struct v3_mem_chunk *chunk = &vm->mem.chunk[gpa >> V3_CHUNK_SHIFT];
	const v3_gpa_t base_2m = gpa & ~(V3_SIZE_2M - 1), base_1g = gpa & ~(V3_SIZE_1G - 1);

	if ((chunk->hva & V3_CHUNK_SLOW) || (chunk->hpa & (V3_CHUNK_MMIO | V3_CHUNK_HOOK)) ||
	    (view && v3_view_any(view, base_2m, V3_SIZE_2M)))
		return 0;
	if (!vm->mmu.leaf_1g || !(chunk->hpa & V3_CHUNK_GIGA) ||
	    v3_mem_mmio_overlaps(&vm->mem, base_1g, V3_SIZE_1G) ||
	    v3_pagemap_any(&vm->mem.hooks, base_1g, V3_SIZE_1G) ||
	    (view && v3_view_any(view, base_1g, V3_SIZE_1G)))
		return 1;
	return 2;
}

static int map_fault(struct v3_vm *vm, struct v3_view *view, v3_gpa_t gpa, unsigned access)
{
	struct v3_nested *table = view ? &view->table : &vm->mmu.nested;
	unsigned perm = v3_mem_page_perm(vm, gpa), view_perm;
	v3_hpa_t hpa, own = V3_HPA_NONE;
	bool rom, special;

	special = view && v3_view_page(view, gpa, &view_perm, &own);
	if (special)
		perm &= view_perm;
	if (!perm || (access & ~perm))
		return V3_ENOENT;
	hpa = own != V3_HPA_NONE ? own : v3_mem_hpa(&vm->mem, gpa, &rom);
	return v3_nested_map(table, gpa, hpa & V3_PAGE_MASK, perm,
			     special ? 0 : map_level(vm, view, gpa));
}

int v3_mmu_map_fault(struct v3_vm *vm, struct v3_view *view, v3_gpa_t gpa, unsigned access)
{
	unsigned long flags = v3_lock_acquire(&vm->mem.lock);
	int err = map_fault(vm, view, gpa, access);

	v3_lock_release(&vm->mem.lock, flags);
	return err;
}

bool v3_mmu_drop(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size)
{
	bool any = false;

	if (vm->mmu.nested.root_va) /* regions may be set up before v3_mmu_init() */
		any = v3_nested_drop(&vm->mmu.nested, gpa, size);
	for (struct v3_view *view = vm->mmu.views; view; view = view->next)
		any |= v3_nested_drop(&view->table, gpa, size);
	return any;
}

/* Apply to the view's table, or to the VM's and all. @return true if @p fn was for any. */
static bool map_retire(struct v3_vm *vm, struct v3_view *view, v3_gpa_t gpa)
{
	bool any;

	if (view)
		return v3_nested_retire(&view->table, gpa);
	any = v3_nested_retire(&vm->mmu.nested, gpa);
	for (view = vm->mmu.views; view; view = view->next)
		any |= v3_nested_retire(&view->table, gpa);
	return any;
}

void v3_mmu_relax(struct v3_vm *vm, struct v3_view *view, v3_gpa_t gpa)
{
	unsigned long flags = v3_lock_acquire(&vm->mem.lock);
	bool any = map_retire(vm, view, gpa);

	v3_lock_release(&vm->mem.lock, flags);
	if (!any)
		return;
	v3_flush_vm_sync(vm);
	flags = v3_lock_acquire(&vm->mem.lock);
	if (view) {
		v3_nested_reap(&view->table);
	} else {
		v3_nested_reap(&vm->mmu.nested);
		for (view = vm->mmu.views; view; view = view->next)
			v3_nested_reap(&view->table);
	}
	v3_lock_release(&vm->mem.lock, flags);
}

void v3_mem_get_stats(struct v3_vm *vm, struct v3_mem_stats *out)
{
	unsigned long flags = v3_lock_acquire(&vm->mem.lock);
	const struct v3_nested *table = &vm->mmu.nested;

	*out = (struct v3_mem_stats){
		.ram_bytes = vm->mem.ram_bytes,
		.backed_1g = vm->mem.backed_1g,
		.backed_2m = vm->mem.backed_2m,
		.backed_4k = vm->mem.backed_4k,
		.leaves_4k = table->leaves[0],
		.leaves_2m = table->leaves[1],
		.leaves_1g = table->leaves[2],
		.table_pages = table->pages,
	};
	for (const struct v3_view *view = vm->mmu.views; view; view = view->next)
		out->table_pages += view->table.pages;
	v3_lock_release(&vm->mem.lock, flags);
}
