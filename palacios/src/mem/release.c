/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file release.c
 * RAM that the guest gives back to the host, and gets again when it is touched. Called by devices (virtio_balloon), by
 * faults and look-ups that meet a released page, and by grace.c; calls the nested tables and the host's pages.
 *
 * A released page has lost its entry in the chunk table, but the host page behind it stays at hand (LIMBO) until nobody
 * can have its address any more, and for good if the host does not take so small a part. As long as it is there a touch
 * takes the same page again, zeroed: then nothing that is still written to it can hurt anybody but the guest.
 */
#include "mem/release.h"

#include "host/host.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "mem"

int v3_mem_release_enable(struct v3_vm *vm)
{
	struct v3_release *r;

	if (vm->mem.release)
		return V3_OK;
	if (!v3_lib.ops.ram_free_part)
		return V3_ENOTSUP;
	r = v3_alloc(sizeof(*r));
	if (!r)
		return V3_ENOMEM;
	r->spare = v3_host_page_alloc(1, vm->mem.node);
	if (r->spare == V3_HPA_NONE) {
		v3_free(r);
		return V3_ENOMEM;
	}
	v3_grace_init(&r->grace, vm);
	vm->mem.release = r;
	return V3_OK;
}

uint32_t v3_mem_release_count(struct v3_vm *vm)
{
	const struct v3_release *r = vm->mem.release;

	return r ? __atomic_load_n(&r->count, __ATOMIC_ACQUIRE) : 0;
}

void v3_release_stats(const struct v3_mem *mem, struct v3_mem_stats *out)
{
	if (!mem->release)
		return;
	out->released = mem->release->released << V3_PAGE_SHIFT;
	out->freed = mem->release->freed << V3_PAGE_SHIFT;
}

/* ---- release; under v3_mem.lock ---- */

static uint64_t release_mark(const struct v3_release *r)
{
	return V3_CHUNK_RELEASED | V3_CHUNK_LIMBO | (r->epoch ? V3_CHUNK_EPOCH : 0);
}

/*
 * Pages of one chunk have been taken out. Who sees the new count will not find them any more; who has passed a grace
 * period that they wait for sees it.
 */
static void release_note(struct v3_vm *vm, v3_gpa_t gpa, uint64_t npages)
{
	struct v3_release *r = vm->mem.release;
	struct v3_release_span *span = &r->span[r->epoch];
	const uint64_t n = gpa >> V3_CHUNK_SHIFT;

	if (span->first == span->end)
		*span = (struct v3_release_span){n, n + 1};
	if (n < span->first)
		span->first = n;
	if (n >= span->end)
		span->end = n + 1;
	r->released += npages;
	__atomic_store_n(&r->count, r->count + 1, __ATOMIC_RELEASE);
	v3_mmu_drop(vm, gpa, npages << V3_PAGE_SHIFT);
	for (; npages && v3_dirty_tracks(&vm->mem, gpa); npages--, gpa += V3_PAGE_SIZE)
		v3_dirty_note(&vm->mem, gpa);
}

static void release_whole(struct v3_vm *vm, struct v3_mem_chunk *chunk, v3_gpa_t gpa)
{
	v3_mem_unmark_giga(&vm->mem, gpa);
	__atomic_fetch_or(&chunk->hpa, release_mark(vm->mem.release), __ATOMIC_RELAXED);
	__atomic_store_n(&chunk->hva, V3_CHUNK_SLOW, __ATOMIC_RELEASE);
	release_note(vm, gpa, V3_PAGES_PER_2M);
}

static void release_page(struct v3_vm *vm, struct v3_mem_split *split, v3_gpa_t gpa)
{
	const struct v3_mem_window *win = vm->mem.window;
	const unsigned i = v3_pagemap_slot(gpa);

	if (!split->hva[i] || (win && gpa - win->gpa < win->size))
		return;
	__atomic_store_n(&split->hva[i], 0, __ATOMIC_RELEASE);
	__atomic_store_n(&split->hpa[i], split->hpa[i] | release_mark(vm->mem.release),
			 __ATOMIC_RELEASE);
	release_note(vm, gpa, 1);
}

/* [gpa, end) lies in one chunk. */
static int release_in_chunk(struct v3_vm *vm, v3_gpa_t gpa, v3_gpa_t end)
{
	struct v3_mem *mem = &vm->mem;
	struct v3_mem_chunk *chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
	struct v3_mem_split *split = v3_mem_pages_of(chunk);

	if (mem->window && mem->window->shows_ram)
		return V3_EBUSY;
	if (!split && (chunk->hva & V3_CHUNK_SLOW))
		return V3_OK; /* all of it is released */
	if (!split && end - gpa == V3_SIZE_2M) {
		release_whole(vm, chunk, gpa);
		return V3_OK;
	}
	split = v3_mem_split_chunk(mem, gpa);
	if (!split)
		return V3_ENOMEM;
	for (; gpa < end; gpa += V3_PAGE_SIZE)
		release_page(vm, split, gpa);
	return V3_OK;
}

static bool release_all_ram(const struct v3_mem *mem, v3_gpa_t gpa, v3_gpa_t end)
{
	bool rom;

	for (; gpa < end; gpa += V3_PAGE_SIZE) {
		if (!v3_mem_backed(mem, gpa, &rom) || rom)
			return false;
		if (!v3_mem_pages_of(&mem->chunk[gpa >> V3_CHUNK_SHIFT]))
			gpa |= V3_SIZE_2M - V3_PAGE_SIZE; /* the same for all of the chunk */
	}
	return true;
}

int v3_mem_release(struct v3_vm *vm, v3_gpa_t gpa, uint64_t npages)
{
	struct v3_mem *mem = &vm->mem;
	const v3_gpa_t limit = mem->nchunks << V3_CHUNK_SHIFT;
	v3_gpa_t end, next;
	unsigned long flags;
	int err = V3_OK;

	if (!mem->release)
		return V3_ENOTSUP;
	if ((gpa & (V3_PAGE_SIZE - 1)) || gpa >= limit || !npages ||
	    npages > (limit - gpa) >> V3_PAGE_SHIFT)
		return V3_EINVAL;
	end = gpa + (npages << V3_PAGE_SHIFT);
	if (!release_all_ram(mem, gpa, end))
		return V3_EINVAL;
	for (; gpa < end && !err; gpa = next) {
		next = (gpa | (V3_SIZE_2M - 1)) + 1;
		flags = v3_lock_acquire(&mem->lock);
		err = release_in_chunk(vm, gpa, next < end ? next : end);
		v3_lock_release(&mem->lock, flags);
	}
	return err;
}

/* What was released goes to the host after a period, if there is anything and none is under way. */
static void release_begin(struct v3_release *r)
{
	const struct v3_release_span *span = &r->span[r->epoch];

	if (r->busy || span->first == span->end)
		return;
	r->busy = true;
	r->epoch ^= 1;
	v3_grace_begin(&r->grace);
}

void v3_mem_release_end(struct v3_vm *vm)
{
	struct v3_release *r = vm->mem.release;
	unsigned long flags;

	if (!r)
		return;
	v3_flush_vm_sync(vm);
	flags = v3_lock_acquire(&vm->mem.lock);
	release_begin(r);
	v3_lock_release(&vm->mem.lock, flags);
}

/* ---- to the host; under v3_mem.lock ---- */

static bool release_is_ripe(uint64_t word, unsigned epoch)
{
	return (word & V3_CHUNK_LIMBO) && !!(word & V3_CHUNK_EPOCH) == epoch;
}

static void release_free_whole(struct v3_release *r, struct v3_mem_chunk *chunk)
{
	uint64_t gone = V3_CHUNK_LIMBO | V3_CHUNK_EPOCH;

	if (v3_host_ram_free_part(chunk->hpa & V3_PAGE_MASK, V3_PAGES_PER_2M) == V3_OK) {
		__atomic_fetch_or(&chunk->hpa, V3_CHUNK_FRESH, __ATOMIC_RELAXED);
		gone |= V3_PAGE_MASK;
		r->freed += V3_PAGES_PER_2M;
	}
	__atomic_fetch_and(&chunk->hpa, ~gone, __ATOMIC_RELAXED);
}

/* @return false: the host did not take it, it stays */
static bool release_free_page(struct v3_release *r, uint64_t *word)
{
	const v3_hpa_t hpa = *word & V3_PAGE_MASK;

	if (*word & V3_CHUNK_FRESH) {
		v3_host_page_free(hpa, 1);
	} else if (v3_host_ram_free_part(hpa, 1) != V3_OK) {
		*word = hpa | V3_CHUNK_RELEASED;
		return false;
	}
	*word = V3_CHUNK_RELEASED;
	r->freed++;
	return true;
}

/* Pages that the host did not take, and all of the 2 MiB they came in: does it take that? */
static void release_free_rest(struct v3_release *r, struct v3_mem_split *split)
{
	const uint64_t first = split->hpa[0];
	unsigned i;

	if ((first & (V3_SIZE_2M - 1)) != V3_CHUNK_RELEASED || !(first & V3_PAGE_MASK))
		return;
	for (i = 1; i < V3_PAGES_PER_2M; i++)
		if (split->hpa[i] != first + i * V3_PAGE_SIZE)
			return;
	if (v3_host_ram_free_part(first & V3_PAGE_MASK, V3_PAGES_PER_2M) != V3_OK)
		return;
	for (i = 0; i < V3_PAGES_PER_2M; i++)
		split->hpa[i] = V3_CHUNK_RELEASED;
	r->freed += V3_PAGES_PER_2M;
}

static void release_sweep(struct v3_release *r, struct v3_mem_chunk *chunk, unsigned epoch)
{
	struct v3_mem_split *split = v3_mem_pages_of(chunk);
	bool refused = false;

	if (!split) {
		if (release_is_ripe(chunk->hpa, epoch))
			release_free_whole(r, chunk);
		return;
	}
	for (unsigned i = 0; i < V3_PAGES_PER_2M; i++)
		if (release_is_ripe(split->hpa[i], epoch))
			refused |= !release_free_page(r, &split->hpa[i]);
	if (refused)
		release_free_rest(r, split);
}

void v3_release_ripe(struct v3_release *r)
{
	const unsigned epoch = !r->epoch; /* stays, as do its pages, while busy is set */
	struct v3_mem *mem = &r->grace.vm->mem;
	struct v3_release_span *span = &r->span[epoch];
	unsigned long flags;

	for (uint64_t n = span->first; n < span->end; n++) {
		flags = v3_lock_acquire(&mem->lock);
		release_sweep(r, &mem->chunk[n], epoch);
		v3_lock_release(&mem->lock, flags);
	}
	flags = v3_lock_acquire(&mem->lock);
	*span = (struct v3_release_span){0, 0};
	r->busy = false;
	release_begin(r);
	v3_lock_release(&mem->lock, flags);
}

/* ---- back again ---- */

/* A released page gets the host page it still has, *spare if there is one, or one of the host. Under v3_mem.lock. */
static int release_fill(struct v3_mem *mem, struct v3_mem_split *split, unsigned i, v3_hpa_t *spare)
{
	uint64_t word = split->hpa[i] & (V3_PAGE_MASK | V3_CHUNK_FRESH);
	uint8_t *va;

	if (word) {
		va = v3_host_pa_to_va(word & V3_PAGE_MASK);
		memset(va, 0, V3_PAGE_SIZE);
	} else {
		word = *spare != V3_HPA_NONE ? *spare : v3_host_page_alloc(1, mem->node);
		if (word == V3_HPA_NONE)
			return V3_ENOMEM;
		*spare = V3_HPA_NONE;
		va = v3_host_pa_to_va(word);
		word |= V3_CHUNK_FRESH;
		mem->release->freed--;
	}
	mem->release->released--;
	__atomic_store_n(&split->hpa[i], word, __ATOMIC_RELEASE);
	__atomic_store_n(&split->hva[i], (uintptr_t)va, __ATOMIC_RELEASE);
	return V3_OK;
}

/* Host address of the page, which gets one if it is released. Under v3_mem.lock. V3_ENOENT: neither RAM nor ROM. */
static int release_find(struct v3_mem *mem, v3_gpa_t gpa, v3_hpa_t *spare, uint8_t **page)
{
	struct v3_mem_chunk *chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
	struct v3_mem_split *split = v3_mem_pages_of(chunk);
	const unsigned i = v3_pagemap_slot(gpa);
	int err = V3_OK;

	if (!(chunk->hva & V3_CHUNK_SLOW)) {
		*page = (uint8_t *)(chunk->hva + i * V3_PAGE_SIZE);
		return V3_OK;
	}
	if (!split && !(chunk->hpa & V3_CHUNK_RELEASED))
		return V3_ENOENT;
	split = v3_mem_split_chunk(mem, gpa);
	if (!split)
		return V3_ENOMEM;
	if (!split->hva[i]) {
		if (!(split->hpa[i] & V3_CHUNK_RELEASED))
			return V3_ENOENT;
		err = release_fill(mem, split, i, spare);
	}
	*page = (uint8_t *)split->hva[i];
	return err;
}

/* Nothing can be said to the guest: it was promised this memory. */
static void release_failed(struct v3_release *r, v3_gpa_t gpa)
{
	struct v3_vm *vm = r->grace.vm;

	if (__atomic_exchange_n(&r->failed, 1, __ATOMIC_SEQ_CST))
		return;
	V3_ERR(vm,
	       "the host has no memory for %#llx, which the guest had given back and uses again",
	       (unsigned long long)gpa);
	v3_vm_request_stop(vm, V3_STOP_FAILURE, V3_ENOMEM);
}

uint8_t *v3_release_touch(const struct v3_mem *mem, v3_gpa_t gpa)
{
	struct v3_release *r = mem->release;
	struct v3_mem *own = &r->grace.vm->mem;
	v3_hpa_t none = V3_HPA_NONE;
	uint8_t *page = NULL;
	unsigned long flags = v3_lock_acquire(&own->lock);
	int err = release_find(own, gpa, &none, &page);

	v3_lock_release(&own->lock, flags);
	if (err == V3_ENOENT)
		return NULL;
	if (err) {
		release_failed(r, gpa);
		page = v3_host_pa_to_va(r->spare);
	}
	return page + (gpa & (V3_PAGE_SIZE - 1));
}

static bool release_has_nothing(const struct v3_mem_chunk *chunk)
{
	return chunk->hva == V3_CHUNK_SLOW &&
	       (chunk->hpa & (V3_PAGE_MASK | V3_CHUNK_RELEASED)) == V3_CHUNK_RELEASED;
}

/* 2 MiB that were released whole and have gone: one piece for all of them. @return false: a page at a time */
static bool release_fill_whole(struct v3_mem *mem, struct v3_mem_chunk *chunk)
{
	unsigned long flags;
	v3_hpa_t hpa;
	bool used;

	if (!release_has_nothing(chunk)) /* looked at again under the lock */
		return false;
	hpa = v3_host_ram_alloc(V3_PAGES_PER_2M, V3_SIZE_2M, mem->node);
	if (hpa == V3_HPA_NONE)
		return false;
	memset(v3_host_pa_to_va(hpa), 0, V3_SIZE_2M);
	flags = v3_lock_acquire(&mem->lock);
	used = release_has_nothing(chunk);
	if (used) {
		__atomic_fetch_or(&chunk->hpa, hpa, __ATOMIC_RELEASE);
		__atomic_fetch_and(&chunk->hpa, ~V3_CHUNK_RELEASED, __ATOMIC_RELEASE);
		__atomic_store_n(&chunk->hva, (uintptr_t)v3_host_pa_to_va(hpa), __ATOMIC_RELEASE);
		mem->release->released -= V3_PAGES_PER_2M;
		mem->release->freed -= V3_PAGES_PER_2M;
	}
	v3_lock_release(&mem->lock, flags);
	if (!used)
		v3_host_ram_free(hpa, V3_PAGES_PER_2M);
	return used;
}

int v3_release_fault(struct v3_vcpu *vcpu, v3_gpa_t gpa)
{
	struct v3_mem *mem = &vcpu->vm->mem;
	unsigned long flags;
	uint8_t *page;
	v3_hpa_t hpa;
	int err;

	v3_vcpu_may_sleep(vcpu);
	if (release_fill_whole(mem, &mem->chunk[gpa >> V3_CHUNK_SHIFT]))
		return V3_OK;
	hpa = v3_host_page_alloc(1, mem->node);
	flags = v3_lock_acquire(&mem->lock);
	err = release_find(mem, gpa, &hpa, &page);
	v3_lock_release(&mem->lock, flags);
	if (hpa != V3_HPA_NONE)
		v3_host_page_free(hpa, 1);
	if (err == V3_ENOMEM) {
		release_failed(mem->release, gpa);
		return err;
	}
	return V3_OK; /* or it is something else meanwhile: the caller looks again */
}

/* ---- the end ---- */

/* Pages in a row. */
struct release_run {
	v3_hpa_t hpa;
	uint64_t npages;
};

static void release_flush_run(struct release_run *run)
{
	if (run->npages)
		(void)v3_host_ram_free_part(run->hpa, run->npages); /* the last part: taken */
	run->npages = 0;
}

static void release_add_run(struct release_run *run, v3_hpa_t hpa, uint64_t npages)
{
	if (run->npages && run->hpa + (run->npages << V3_PAGE_SHIFT) == hpa) {
		run->npages += npages;
		return;
	}
	release_flush_run(run);
	*run = (struct release_run){hpa, npages};
}

/* Has the host got back what the VM had at first for this page? */
static bool release_is_gone(const struct v3_mem_chunk *chunk, v3_gpa_t gpa)
{
	const struct v3_mem_split *split = v3_mem_pages_of(chunk);
	uint64_t word;

	if ((chunk->hpa & V3_CHUNK_FRESH) || !split)
		return chunk->hpa & V3_CHUNK_FRESH;
	word = split->hpa[v3_pagemap_slot(gpa)];
	return (word & V3_CHUNK_FRESH) || word == V3_CHUNK_RELEASED;
}

static void release_free_piece(const struct v3_mem *mem, v3_gpa_t gpa, v3_hpa_t hpa,
			       uint64_t npages)
{
	const v3_gpa_t end = gpa + (npages << V3_PAGE_SHIFT);
	struct release_run run = {0, 0};
	v3_gpa_t next;

	for (v3_gpa_t at = gpa; at < end; at = next) {
		const struct v3_mem_chunk *chunk = &mem->chunk[at >> V3_CHUNK_SHIFT];

		next = v3_mem_pages_of(chunk) ? at + V3_PAGE_SIZE : (at | (V3_SIZE_2M - 1)) + 1;
		if (next > end)
			next = end;
		if (!release_is_gone(chunk, at))
			release_add_run(&run, hpa + (at - gpa), (next - at) >> V3_PAGE_SHIFT);
	}
	if (run.npages == npages)
		v3_host_ram_free(hpa, npages);
	else
		release_flush_run(&run);
}

/* What a chunk has that was taken later. */
static void release_free_fresh(const struct v3_mem_chunk *chunk)
{
	const struct v3_mem_split *split = v3_mem_pages_of(chunk);
	struct release_run run = {0, 0};

	if (!split && (chunk->hpa & V3_CHUNK_FRESH) && (chunk->hpa & V3_PAGE_MASK))
		v3_host_ram_free(chunk->hpa & V3_PAGE_MASK, V3_PAGES_PER_2M);
	for (unsigned i = 0; split && i < V3_PAGES_PER_2M; i++) {
		const v3_hpa_t hpa = split->hpa[i] & V3_PAGE_MASK;

		if (hpa && (split->hpa[i] & V3_CHUNK_FRESH))
			v3_host_page_free(hpa, 1);
		else if (hpa && (chunk->hpa & V3_CHUNK_FRESH))
			release_add_run(&run, hpa, 1);
	}
	release_flush_run(&run);
}

void v3_release_fini(struct v3_mem *mem)
{
	if (!mem->release)
		return;
	for (struct v3_mem_pieces *p = mem->pieces; p; p = p->next) {
		for (uint32_t i = 0; i < p->count; i++)
			release_free_piece(mem, p->piece[i].gpa, p->piece[i].hpa,
					   p->piece[i].npages);
		p->count = 0;
	}
	for (uint64_t n = 0; n < mem->nchunks; n++)
		release_free_fresh(&mem->chunk[n]);
	v3_host_page_free(mem->release->spare, 1);
	v3_free(mem->release);
	mem->release = NULL;
}
