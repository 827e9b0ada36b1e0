/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file mmio.c
 * MMIO regions: a short sorted array, looked up without lock. A page of a region is never mapped, so each
 * access exits; what happens then is in access.c.
 */
#include "state.h"

/* Index of the first region that ends above @p gpa. */
static uint32_t mmio_lower(const struct v3_mem *mem, v3_gpa_t gpa)
{
	uint32_t lo = 0, hi = mem->nmmio;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (mem->mmio[mid].gpa + mem->mmio[mid].size <= gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool v3_mem_mmio_find(const struct v3_mem *mem, v3_gpa_t gpa, uint32_t *hint,
		      struct v3_mmio_region *out)
{
	uint32_t seq, i = *hint;

	do {
		seq = v3_mem_read_begin(mem);
		*out = mem->mmio[i];
		if (gpa - out->gpa >= out->size) {
			i = mmio_lower(mem, gpa);
			i = i < V3_MEM_MAX_MMIO ? i : 0;
			*out = mem->mmio[i];
		}
	} while (v3_mem_read_retry(mem, seq));
	*hint = i;
	return gpa - out->gpa < out->size;
}

bool v3_mem_mmio_overlaps(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t size)
{
	uint32_t i = mmio_lower(mem, gpa);

	return i < mem->nmmio && mem->mmio[i].gpa < gpa + size;
}

void v3_mem_mmio_mark(struct v3_mem *mem)
{
	for (uint32_t i = 0; i < mem->nmmio; i++) {
		uint64_t n = mem->mmio[i].gpa >> V3_CHUNK_SHIFT;
		uint64_t end = (mem->mmio[i].gpa + mem->mmio[i].size - 1) >> V3_CHUNK_SHIFT;

		for (; n <= end && n < mem->nchunks; n++)
			__atomic_fetch_or(&mem->chunk[n].hpa, V3_CHUNK_MMIO, __ATOMIC_RELAXED);
	}
}

/*
 * [gpa, gpa + size) has gone from the array. A chunk that has other regions keeps its mark all the time: whoever looks
 * at that reads no seq, and would take their devices for RAM or nothing.
 */
static void mmio_unmark(struct v3_mem *mem, v3_gpa_t gpa, uint64_t size)
{
	uint64_t n = gpa >> V3_CHUNK_SHIFT, end = (gpa + size - 1) >> V3_CHUNK_SHIFT;

	for (; n <= end && n < mem->nchunks; n++)
		if (!v3_mem_mmio_overlaps(mem, n << V3_CHUNK_SHIFT, V3_SIZE_2M))
			__atomic_fetch_and(&mem->chunk[n].hpa, ~V3_CHUNK_MMIO, __ATOMIC_RELAXED);
}

static void mmio_insert(struct v3_mem *mem, const struct v3_mmio_region *r)
{
	uint32_t i = mem->nmmio++;

	for (; i > 0 && mem->mmio[i - 1].gpa > r->gpa; i--)
		mem->mmio[i] = mem->mmio[i - 1];
	mem->mmio[i] = *r;
}

/* Entries past the end are zero, so that a stale index finds nothing. */
static void mmio_remove(struct v3_mem *mem, uint32_t i)
{
	for (mem->nmmio--; i < mem->nmmio; i++)
		mem->mmio[i] = mem->mmio[i + 1];
	mem->mmio[mem->nmmio] = (struct v3_mmio_region){.size = 0};
}

/* Index of the region that begins at @p gpa, nmmio if none. */
static uint32_t mmio_at(const struct v3_mem *mem, v3_gpa_t gpa)
{
	uint32_t i = mmio_lower(mem, gpa);

	return i < mem->nmmio && mem->mmio[i].gpa == gpa ? i : mem->nmmio;
}

static int mmio_add(struct v3_vm *vm, const struct v3_mmio_region *r, bool over_ram)
{
	struct v3_mem *mem = &vm->mem;
	unsigned long flags;
	int err = V3_OK;

	if (!r->fn || !v3_mem_range_valid(mem, r->gpa, r->size))
		return V3_EINVAL;
	flags = v3_lock_acquire(&mem->lock);
	if (v3_mem_mmio_overlaps(mem, r->gpa, r->size) ||
	    (!over_ram && (v3_mem_ram_overlaps(mem, r->gpa, r->size) ||
			   v3_card_overlaps(mem, r->gpa, r->size)))) {
		err = V3_EEXIST;
	} else if (mem->nmmio == V3_MEM_MAX_MMIO) {
		err = V3_ENOMEM;
	} else {
		v3_mem_write_begin(mem);
		mmio_insert(mem, r);
		v3_mem_mmio_mark(mem);
		v3_mem_write_end(mem);
		if (over_ram)
			v3_mmu_drop(vm, r->gpa, r->size);
	}
	v3_lock_release(&mem->lock, flags);
	return err;
}

int v3_mmio_register(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, v3_mmio_fn fn, void *priv)
{
	const struct v3_mmio_region r = {.gpa = gpa, .size = size, .fn = fn, .priv = priv};

	return mmio_add(vm, &r, true);
}

/* Where neither RAM nor a card is nothing is mapped, so there is nothing to drop and no vcpu to wait for. */
int v3_mmio_attach(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, v3_mmio_fn fn, void *priv)
{
	const struct v3_mmio_region r = {.gpa = gpa, .size = size, .fn = fn, .priv = priv};

	return mmio_add(vm, &r, false);
}

void v3_mmio_unregister(struct v3_vm *vm, v3_gpa_t gpa)
{
	struct v3_mem *mem = &vm->mem;
	unsigned long flags = v3_lock_acquire(&mem->lock);
	uint32_t i = mmio_at(mem, gpa);

	if (i < mem->nmmio) {
		const uint64_t size = mem->mmio[i].size;

		v3_mem_write_begin(mem);
		mmio_remove(mem, i);
		mmio_unmark(mem, gpa, size);
		v3_mem_write_end(mem);
	}
	v3_lock_release(&mem->lock, flags);
}

/* Under the lock. @return V3_OK, V3_EINVAL, V3_EEXIST. */
static int mmio_move_locked(struct v3_vm *vm, v3_gpa_t from, v3_gpa_t to, bool *dropped)
{
	struct v3_mem *mem = &vm->mem;
	uint32_t i = mmio_at(mem, from);
	struct v3_mmio_region r;

	if (i == mem->nmmio || !v3_mem_range_valid(mem, to, mem->mmio[i].size))
		return V3_EINVAL;
	r = mem->mmio[i];
	for (uint32_t k = 0; k < mem->nmmio; k++)
		if (k != i && mem->mmio[k].gpa < to + r.size &&
		    to < mem->mmio[k].gpa + mem->mmio[k].size)
			return V3_EEXIST;
	v3_mem_write_begin(mem);
	mmio_remove(mem, i);
	r.gpa = to;
	mmio_insert(mem, &r);
	v3_mem_mmio_mark(mem);
	mmio_unmark(mem, from, r.size);
	v3_mem_write_end(mem);
	*dropped = v3_mmu_drop(vm, to, r.size);
	return V3_OK;
}

int v3_mmio_move(struct v3_vm *vm, v3_gpa_t from, v3_gpa_t to)
{
	bool dropped = false;
	unsigned long flags = v3_lock_acquire(&vm->mem.lock);
	int err = mmio_move_locked(vm, from, to, &dropped);

	v3_lock_release(&vm->mem.lock, flags);
	if (dropped)
		v3_flush_vm_sync(vm);
	return err;
}
