/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file dirty.c
 * Which pages of RAM are written: one bit per page, set by whoever learns of a write, taken by harvests. The
 * guest's writes are found by means of the nested tables (mmu/nested/), in the best way the CPU offers; the VMM's
 * own are noted where they are made. Called by embedders and extensions; palacios/doc/memory.md explains it.
 *
 * Who writes does it first and sets the bit then; who harvests takes the bit first and looks at the page then. So
 * a bit may be set for a write that the harvest before has seen, never the other way round.
 */
#include "state.h"

#include "host/host.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "mem"

#define DIRTY_WORDS (V3_PAGES_PER_2M / 64) /* of a chunk */

static uint64_t *dirty_words(const struct v3_mem *mem, v3_gpa_t gpa)
{
	return &mem->dirty.bits[(gpa >> V3_CHUNK_SHIFT) * DIRTY_WORDS];
}

void v3_dirty_note(struct v3_mem *mem, v3_gpa_t gpa)
{
	const unsigned page = (gpa >> V3_PAGE_SHIFT) % V3_PAGES_PER_2M;
	bool rom;

	if (v3_mem_backed(mem, gpa, &rom)) /* cards are the devices' own affair */
		__atomic_fetch_or(&dirty_words(mem, gpa)[page / 64], 1ull << (page % 64),
				  __ATOMIC_SEQ_CST);
}

void v3_dirty_wrote_tracked(struct v3_vcpu *vcpu, v3_gpa_t gpa, const uint8_t *ram)
{
	if (v3_mem_hva(vcpu->vm, gpa) == ram)
		v3_dirty_note(&vcpu->vm->mem, gpa);
}

static __attribute__((__noinline__)) void dirty_wrote(struct v3_vm *vm, v3_gpa_t gpa, uint64_t len)
{
	while (len) {
		uint64_t n = V3_PAGE_SIZE - (gpa & (V3_PAGE_SIZE - 1));

		if (n > len)
			n = len;
		if (v3_dirty_tracks(&vm->mem, gpa))
			v3_dirty_note(&vm->mem, gpa);
		gpa += n;
		len -= n;
	}
}

void v3_mem_wrote(struct v3_vm *vm, v3_gpa_t gpa, uint64_t len)
{
	if (V3_UNLIKELY(__atomic_load_n(&vm->mem.dirty.how, __ATOMIC_RELAXED) != V3_DIRTY_OFF))
		dirty_wrote(vm, gpa, len);
}

/* ---- the CPUs' logs ---- */

int v3_dirty_log_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)exit;
	vcpu->arch->drain_log(vcpu, true);
	return V3_OK;
}

static void dirty_drain(struct v3_vm *vm)
{
	if (vm->mem.dirty.how != V3_DIRTY_LOG)
		return;
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		vm->vcpu[i]->arch->drain_log(vm->vcpu[i], false);
}

/* ---- start, stop ---- */

static enum v3_dirty_how dirty_best(void)
{
	if (v3_lib.caps.dirty_log)
		return V3_DIRTY_LOG;
	return v3_lib.caps.nested_dirty ? V3_DIRTY_BITS : V3_DIRTY_PROTECT;
}

/* The size does not change after the VM was built. */
static int dirty_make_bits(struct v3_mem *mem)
{
	struct v3_dirty *d = &mem->dirty;
	uint64_t bytes = mem->nchunks * DIRTY_WORDS * sizeof(uint64_t);

	if (d->bits)
		return V3_OK;
	d->bits_pages = (bytes + V3_PAGE_SIZE - 1) >> V3_PAGE_SHIFT;
	d->bits_hpa = v3_host_ram_alloc(d->bits_pages, V3_PAGE_SIZE, mem->node);
	if (d->bits_hpa == V3_HPA_NONE)
		return V3_ENOMEM;
	d->bits = v3_host_pa_to_va(d->bits_hpa);
	return V3_OK;
}

void v3_dirty_fini(struct v3_mem *mem)
{
	if (mem->dirty.bits)
		v3_host_ram_free(mem->dirty.bits_hpa, mem->dirty.bits_pages);
	mem->dirty = (struct v3_dirty){.how = V3_DIRTY_OFF};
}

/* Set what chunks say, and take them out of the tables: faults bring them back as they are to be. */
static void dirty_mark_chunks(struct v3_vm *vm)
{
	struct v3_mem *mem = &vm->mem;
	const v3_gpa_t end = mem->dirty.gpa + mem->dirty.size;
	unsigned long flags;

	for (v3_gpa_t gpa = mem->dirty.gpa; gpa < end; gpa += V3_SIZE_2M) {
		flags = v3_lock_acquire(&mem->lock);
		__atomic_fetch_or(&mem->chunk[gpa >> V3_CHUNK_SHIFT].hpa, V3_CHUNK_DIRTY,
				  __ATOMIC_SEQ_CST);
		v3_mmu_drop(vm, gpa, V3_SIZE_2M);
		v3_lock_release(&mem->lock, flags);
	}
	v3_flush_vm_sync(vm);
}

static void dirty_barrier(void *arg)
{
	(void)arg;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/*
 * A CPU may have asked whether a page is tracked before a write of its own reached memory: the write is seen by
 * nobody then, and not noted. An interrupt has it finish its writes.
 */
static void dirty_settle_cpus(void)
{
	uint32_t cpu;

	for (cpu = 0; cpu < v3_lib.ncpus; cpu++)
		(void)v3_host_cpu_call(cpu, dirty_barrier, NULL); /* V3_ENODEV: it runs nothing */
}

static void dirty_set(struct v3_vm *vm, enum v3_dirty_how how, v3_gpa_t gpa, uint64_t size)
{
	unsigned long flags = v3_lock_acquire(&vm->mem.lock);

	__atomic_store_n(&vm->mem.dirty.how, (uint8_t)how, __ATOMIC_SEQ_CST);
	vm->mem.dirty.gpa = gpa;
	vm->mem.dirty.size = size;
	v3_lock_release(&vm->mem.lock, flags);
	/* How a CPU walks the tables is told with their root. */
	v3_flush_vm_roots(vm);
}

int v3_dirty_start(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size)
{
	static const char *const names[] = {[V3_DIRTY_PROTECT] = "write protection",
					    [V3_DIRTY_BITS] = "dirty bits",
					    [V3_DIRTY_LOG] = "the CPU's log"};
	struct v3_mem *mem = &vm->mem;
	const uint64_t limit = mem->nchunks << V3_CHUNK_SHIFT;
	int err;

	if (((gpa | size) & (V3_SIZE_2M - 1)) || !size || gpa >= limit)
		return V3_EINVAL;
	if (mem->dirty.how != V3_DIRTY_OFF)
		return V3_EBUSY;
	err = dirty_make_bits(mem);
	if (err)
		return err;
	dirty_set(vm, dirty_best(), gpa, size < limit - gpa ? size : limit - gpa);
	dirty_drain(vm); /* what an earlier tracker has left */
	memset(mem->dirty.bits, 0, mem->dirty.bits_pages << V3_PAGE_SHIFT);
	dirty_mark_chunks(vm);
	dirty_settle_cpus();
	V3_INFO(vm, "written pages are tracked by %s", names[mem->dirty.how]);
	return V3_OK;
}

void v3_dirty_stop(struct v3_vm *vm)
{
	struct v3_mem *mem = &vm->mem;
	struct v3_dirty *d = &mem->dirty;

	if (d->how == V3_DIRTY_OFF)
		return;
	for (v3_gpa_t gpa = d->gpa; gpa < d->gpa + d->size; gpa += V3_SIZE_2M)
		__atomic_fetch_and(&mem->chunk[gpa >> V3_CHUNK_SHIFT].hpa, ~V3_CHUNK_DIRTY,
				   __ATOMIC_SEQ_CST);
	v3_mmu_relax(vm, NULL, d->gpa, d->size);
	dirty_set(vm, V3_DIRTY_OFF, 0, 0);
}

/* ---- harvest ---- */

/* Take one chunk. @return true if its leaves were changed: flush */
static bool dirty_take(struct v3_vm *vm, v3_gpa_t gpa, uint64_t *words)
{
	uint64_t *bits = dirty_words(&vm->mem, gpa), any = 0;
	unsigned i;

	for (i = 0; i < DIRTY_WORDS; i++)
		any |= words[i] = __atomic_exchange_n(&bits[i], 0, __ATOMIC_SEQ_CST);
	return (any || vm->mem.dirty.how == V3_DIRTY_BITS) && v3_mmu_clean(vm, gpa, words);
}

static int dirty_count(const uint64_t *words, uint64_t n)
{
	int count = 0;

	for (uint64_t i = 0; i < n; i++)
		for (uint64_t w = words[i]; w; w &= w - 1)
			count++;
	return count;
}

int v3_dirty_harvest(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, uint64_t *bitmap)
{
	const struct v3_dirty *d = &vm->mem.dirty;
	const uint64_t chunks = size >> V3_CHUNK_SHIFT;
	bool flush = false;
	unsigned long flags;

	if (d->how == V3_DIRTY_OFF)
		return V3_ENOENT;
	if (((gpa | size) & (V3_SIZE_2M - 1)) || !size || gpa - d->gpa >= d->size ||
	    size > d->size - (gpa - d->gpa))
		return V3_EINVAL;
	dirty_drain(vm);
	for (uint64_t i = 0; i < chunks; i++) {
		flags = v3_lock_acquire(&vm->mem.lock);
		flush |= dirty_take(vm, gpa + i * V3_SIZE_2M, &bitmap[i * DIRTY_WORDS]);
		v3_lock_release(&vm->mem.lock, flags);
	}
	if (flush)
		v3_flush_vm_sync(vm);
	return dirty_count(bitmap, chunks * DIRTY_WORDS);
}
