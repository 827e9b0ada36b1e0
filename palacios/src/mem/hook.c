/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file hook.c
 * Page hooks: pages of RAM whose accesses go to a handler. Kept by page in a v3_pagemap; hook records are
 * recycled, never freed while the VM lives, so a reader that lost a race reads memory of the right type and
 * learns from v3_mem.seq that it has to look again.
 */
#include "state.h"

bool v3_mem_hook_find(const struct v3_mem *mem, v3_gpa_t gpa, struct v3_mem_hook *out)
{
	const struct v3_mem_hook *hook;
	uint32_t seq;

	do {
		seq = v3_mem_read_begin(mem);
		hook = (const struct v3_mem_hook *)v3_pagemap_get(&mem->hooks, gpa);
		if (hook)
			*out = *hook;
	} while (v3_mem_read_retry(mem, seq));
	return hook;
}

static void hook_put(struct v3_mem *mem, struct v3_mem_hook *hook)
{
	hook->next_free = mem->free_hooks;
	mem->free_hooks = hook;
}

static struct v3_mem_hook *hook_get(struct v3_mem *mem)
{
	struct v3_mem_hook *hook = mem->free_hooks;

	if (!hook)
		return v3_alloc(sizeof(*hook));
	mem->free_hooks = hook->next_free;
	return hook;
}

static int hook_add(struct v3_mem *mem, v3_gpa_t gpa, const struct v3_mem_hook *value)
{
	struct v3_mem_hook *hook;
	int err;

	if (v3_pagemap_get(&mem->hooks, gpa))
		return V3_EEXIST;
	hook = hook_get(mem);
	if (!hook)
		return V3_ENOMEM;
	v3_mem_write_begin(mem);
	*hook = *value;
	err = v3_pagemap_set(&mem->hooks, gpa, (uintptr_t)hook);
	if (err)
		hook_put(mem, hook);
	else
		__atomic_fetch_or(&mem->chunk[gpa >> V3_CHUNK_SHIFT].hpa, V3_CHUNK_HOOK,
				  __ATOMIC_RELAXED);
	v3_mem_write_end(mem);
	return err;
}

int v3_mem_hook(struct v3_vm *vm, v3_gpa_t gpa, unsigned access, v3_mmio_fn fn, void *priv)
{
	const struct v3_mem_hook value = {.fn = fn, .priv = priv, .access = access};
	struct v3_mem *mem = &vm->mem;
	unsigned long flags;
	bool rom;
	int err;

	if (!fn || !access || (access & ~(V3_ACC_READ | V3_ACC_WRITE)) ||
	    (gpa & (V3_PAGE_SIZE - 1)))
		return V3_EINVAL;
	if (!v3_mem_backed(mem, gpa, &rom) || rom)
		return V3_ENOENT;
	flags = v3_lock_acquire(&mem->lock);
	err = hook_add(mem, gpa, &value);
	if (!err)
		v3_mmu_drop(vm, gpa, V3_PAGE_SIZE);
	v3_lock_release(&mem->lock, flags);
	if (!err)
		v3_flush_vm_sync(vm);
	return err;
}

void v3_mem_unhook(struct v3_vm *vm, v3_gpa_t gpa)
{
	struct v3_mem *mem = &vm->mem;
	struct v3_mem_hook *hook;
	unsigned long flags;
	bool last = false;

	gpa &= V3_PAGE_MASK;
	flags = v3_lock_acquire(&mem->lock);
	hook = (struct v3_mem_hook *)v3_pagemap_get(&mem->hooks, gpa);
	if (hook) {
		v3_mem_write_begin(mem);
		v3_pagemap_set(&mem->hooks, gpa, 0);
		last = !v3_pagemap_any(&mem->hooks, gpa & ~(V3_SIZE_2M - 1), V3_SIZE_2M);
		if (last)
			__atomic_fetch_and(&mem->chunk[gpa >> V3_CHUNK_SHIFT].hpa, ~V3_CHUNK_HOOK,
					   __ATOMIC_RELAXED);
		hook_put(mem, hook);
		v3_mem_write_end(mem);
	}
	v3_lock_release(&mem->lock, flags);
	if (last)
		v3_mmu_relax(vm, NULL, gpa, V3_PAGE_SIZE);
}
