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
	return v3_nested_init(&mmu->nested, &vm->mem);
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

/* A card's page, not RAM or ROM; for pages that are something. */
static bool map_card(const struct v3_vm *vm, v3_gpa_t gpa)
{
	bool rom;

	return !v3_mem_backed(&vm->mem, gpa, &rom);
}

/* Largest leaf for the page: 0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB. */
static unsigned map_level(const struct v3_vm *vm, const struct v3_view *view, v3_gpa_t gpa)
{
	const struct v3_mem_chunk *chunk = &vm->mem.chunk[gpa >> V3_CHUNK_SHIFT];
	const v3_gpa_t base_2m = gpa & ~(V3_SIZE_2M - 1), base_1g = gpa & ~(V3_SIZE_1G - 1);

	if (map_card(vm, gpa))
		return v3_card_large(&vm->mem, gpa) &&
		       !v3_mem_mmio_overlaps(&vm->mem, base_2m, V3_SIZE_2M) &&
		       !(view && v3_view_any(view, base_2m, V3_SIZE_2M));
	if ((chunk->hva & V3_CHUNK_SLOW) || (chunk->hpa & (V3_CHUNK_MMIO | V3_CHUNK_HOOK)) ||
	    (view && v3_view_any(view, base_2m, V3_SIZE_2M)))
		return 0;
	if (!vm->mmu.leaf_1g || !(chunk->hpa & V3_CHUNK_GIGA) || vm->mem.dirty.size ||
	    v3_mem_mmio_overlaps(&vm->mem, base_1g, V3_SIZE_1G) ||
	    v3_pagemap_any(&vm->mem.hooks, base_1g, V3_SIZE_1G) ||
	    (view && v3_view_any(view, base_1g, V3_SIZE_1G)))
		return 1;
	return 2;
}

/*
 * Where writes are noted, only 4 KiB leaves are writable: whoever writes into a larger one has it split. Then
 * either the page is noted here, or the CPU will tell; if so, a leaf of that size may be writable before the
 * first write.
 */
static unsigned map_tracked(struct v3_vm *vm, v3_gpa_t gpa, unsigned access, unsigned perm,
			    unsigned *level)
{
	const bool clean = vm->mem.dirty.how != V3_DIRTY_PROTECT;

	if (access & V3_ACC_WRITE) {
		*level = 0;
		if (!clean)
			v3_dirty_note(&vm->mem, gpa);
	} else if (*level || !clean) {
		return perm & ~V3_ACC_WRITE;
	}
	return perm | V3_NESTED_TRACKED | (clean ? V3_NESTED_CLEAN : 0);
}

static int map_fault(struct v3_vm *vm, struct v3_view *view, v3_gpa_t gpa, unsigned access)
{
	struct v3_nested *table = view ? &view->table : &vm->mmu.nested;
	unsigned perm = v3_mem_page_perm(vm, gpa), view_perm;
	v3_hpa_t hpa, own = V3_HPA_NONE;
	bool rom, special;
	unsigned level;

	special = view && v3_view_page(view, gpa, &view_perm, &own);
	if (special)
		perm &= view_perm;
	if (!perm || (access & ~perm))
		return V3_ENOENT;
	hpa = own != V3_HPA_NONE ? own : v3_mem_hpa(&vm->mem, gpa, &rom);
	if (hpa == V3_HPA_NONE)
		return V3_EAGAIN;
	level = special ? 0 : map_level(vm, view, gpa);
	if ((perm & V3_ACC_WRITE) && own == V3_HPA_NONE && v3_dirty_tracks(&vm->mem, gpa) &&
	    !map_card(vm, gpa))
		perm = map_tracked(vm, gpa, access, perm, &level);
	return v3_nested_map(table, gpa, hpa & V3_PAGE_MASK, perm, level);
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

bool v3_mmu_clean(struct v3_vm *vm, v3_gpa_t gpa, uint64_t *words)
{
	bool any = v3_nested_clean(&vm->mmu.nested, gpa, words);

	for (struct v3_view *view = vm->mmu.views; view; view = view->next)
		any |= v3_nested_clean(&view->table, gpa, words);
	return any;
}

/* The view's table, or the VM's and all. */
static bool map_retire(struct v3_vm *vm, struct v3_view *view, v3_gpa_t gpa, v3_hpa_t *list)
{
	bool any;

	if (v3_dirty_tracks(&vm->mem, gpa)) /* 4 KiB leaves are needed there, and say something */
		return false;
	if (view)
		return v3_nested_retire(&view->table, gpa, list);
	any = v3_nested_retire(&vm->mmu.nested, gpa, list);
	for (view = vm->mmu.views; view; view = view->next)
		any |= v3_nested_retire(&view->table, gpa, list);
	return any;
}

void v3_mmu_relax(struct v3_vm *vm, struct v3_view *view, v3_gpa_t gpa, uint64_t size)
{
	const v3_gpa_t end = gpa + size;
	v3_hpa_t list = V3_NESTED_NONE;
	unsigned long flags;
	bool any = false;

	for (gpa &= ~(V3_SIZE_2M - 1); gpa < end; gpa += V3_SIZE_2M) {
		flags = v3_lock_acquire(&vm->mem.lock);
		any |= map_retire(vm, view, gpa, &list);
		v3_lock_release(&vm->mem.lock, flags);
	}
	if (any)
		v3_flush_vm_sync(vm);
	v3_nested_reap(list);
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
	v3_release_stats(&vm->mem, out);
	for (const struct v3_view *view = vm->mmu.views; view; view = view->next)
		out->table_pages += view->table.pages;
	v3_lock_release(&vm->mem.lock, flags);
}
