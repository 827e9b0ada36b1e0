/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ram.c
 * Guest RAM and ROM: regions, the host pieces behind them, and the chunk table that finds the host address
 * of a guest-physical one. All of it is built before the VM first runs; afterwards only release.c and window.c
 * change what pages are backed by.
 */
#include "state.h"

#include "host/host.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "mem"

#define RAM_CHUNKS_PER_1G 512

int v3_mem_init(struct v3_vm *vm)
{
	unsigned span = 12 + 9 * v3_lib.caps.nested_levels;

	vm->mem.node = V3_NODE_ANY;
	vm->mem.gpa_bits = v3_lib.caps.hpa_bits;
	if (vm->mem.gpa_bits > span)
		vm->mem.gpa_bits = (uint8_t)span;
	if (vm->mem.gpa_bits > 52)
		vm->mem.gpa_bits = 52;
	return v3_lock_init(&vm->mem.lock);
}

/* ---- pieces: what was taken from the host ---- */

static int ram_note_piece(struct v3_mem *mem, v3_gpa_t gpa, v3_hpa_t hpa, uint64_t npages)
{
	struct v3_mem_pieces *p = mem->pieces;

	if (!p || p->count == V3_ARRAY_SIZE(p->piece)) {
		p = v3_alloc(sizeof(*p));
		if (!p)
			return V3_ENOMEM;
		p->next = mem->pieces;
		mem->pieces = p;
	}
	p->piece[p->count].gpa = gpa;
	p->piece[p->count].hpa = hpa;
	p->piece[p->count++].npages = npages;
	return V3_OK;
}

/* Give back the newest pieces until only @p keep bytes are left. */
static void ram_free_pieces(struct v3_mem *mem, uint64_t keep)
{
	struct v3_mem_pieces *p;

	while ((p = mem->pieces)) {
		while (p->count && mem->ram_bytes > keep) {
			p->count--;
			v3_host_ram_free(p->piece[p->count].hpa, p->piece[p->count].npages);
			mem->ram_bytes -= p->piece[p->count].npages * V3_PAGE_SIZE;
		}
		if (p->count)
			return;
		mem->pieces = p->next;
		v3_free(p);
	}
}

/* ---- chunk table ---- */

/* Make the table large enough for @p need chunks. */
static int ram_grow_table(struct v3_mem *mem, uint64_t need)
{
	uint64_t nchunks = V3_PAGE_SIZE / sizeof(struct v3_mem_chunk), npages;
	struct v3_mem_chunk *chunk;
	v3_hpa_t hpa;

	if (need <= mem->nchunks)
		return V3_OK;
	while (nchunks < need)
		nchunks *= 2;
	npages = nchunks * sizeof(struct v3_mem_chunk) >> V3_PAGE_SHIFT;
	hpa = v3_host_ram_alloc(npages, V3_PAGE_SIZE, mem->node);
	if (hpa == V3_HPA_NONE)
		return V3_ENOMEM;
	chunk = v3_host_pa_to_va(hpa);
	for (uint64_t i = 0; i < nchunks; i++) {
		if (i < mem->nchunks)
			chunk[i] = mem->chunk[i];
		else
			chunk[i] = (struct v3_mem_chunk){.hva = V3_CHUNK_SLOW};
	}
	if (mem->chunk)
		v3_host_ram_free(mem->chunk_hpa, mem->chunk_pages);
	mem->chunk = chunk;
	mem->chunk_hpa = hpa;
	mem->chunk_pages = npages;
	mem->nchunks = nchunks;
	return V3_OK;
}

/* Enter pages of one chunk that has, or gets, a page-by-page table. */
static int ram_place_pages(struct v3_mem *mem, v3_gpa_t gpa, uint8_t *va, v3_hpa_t hpa,
			   uint64_t size, uint64_t attr)
{
	struct v3_mem_chunk *chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
	struct v3_mem_split *split = v3_mem_pages_of(chunk);
	unsigned page = (gpa >> V3_PAGE_SHIFT) % V3_PAGES_PER_2M;

	if (!split) {
		split = v3_alloc(sizeof(*split));
		if (!split)
			return V3_ENOMEM;
		chunk->hva = (uintptr_t)split | V3_CHUNK_SLOW;
	}
	for (uint64_t off = 0; off < size; off += V3_PAGE_SIZE, page++) {
		split->hva[page] = (uintptr_t)(va + off);
		split->hpa[page] = (hpa + off) | attr;
	}
	mem->backed_4k += size;
	return V3_OK;
}

void v3_mem_unmark_giga(struct v3_mem *mem, v3_gpa_t gpa)
{
	struct v3_mem_chunk *chunk = &mem->chunk[(gpa & ~(V3_SIZE_1G - 1)) >> V3_CHUNK_SHIFT];

	if (!(chunk->hpa & V3_CHUNK_GIGA))
		return;
	for (unsigned i = 0; i < RAM_CHUNKS_PER_1G; i++)
		__atomic_fetch_and(&chunk[i].hpa, ~V3_CHUNK_GIGA, __ATOMIC_RELAXED);
	mem->backed_1g -= V3_SIZE_1G;
	mem->backed_2m += V3_SIZE_1G;
}

struct v3_mem_split *v3_mem_split_chunk(struct v3_mem *mem, v3_gpa_t gpa)
{
	struct v3_mem_chunk *chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
	struct v3_mem_split *split = v3_mem_pages_of(chunk);
	const bool whole = !(chunk->hva & V3_CHUNK_SLOW);
	const uint64_t page = V3_CHUNK_ROM | V3_CHUNK_RELEASED | V3_CHUNK_LIMBO | V3_CHUNK_EPOCH;
	const v3_hpa_t hpa = chunk->hpa & V3_PAGE_MASK;

	if (split)
		return split;
	split = v3_alloc(sizeof(*split));
	if (!split)
		return NULL;
	v3_mem_unmark_giga(mem, gpa);
	for (unsigned i = 0; i < V3_PAGES_PER_2M; i++) {
		split->hva[i] = whole ? chunk->hva + i * V3_PAGE_SIZE : 0;
		split->hpa[i] = (hpa ? hpa + i * V3_PAGE_SIZE : 0) | (chunk->hpa & page);
	}
	/* A look-up that has missed the table finds the mark, and looks again under the lock. */
	if (mem->release)
		__atomic_fetch_or(&chunk->hpa, V3_CHUNK_RELEASED, __ATOMIC_RELEASE);
	__atomic_store_n(&chunk->hva, (uintptr_t)split | V3_CHUNK_SLOW, __ATOMIC_RELEASE);
	__atomic_fetch_and(&chunk->hpa, ~(V3_PAGE_MASK | (page & ~V3_CHUNK_RELEASED)),
			   __ATOMIC_RELEASE);
	mem->backed_2m -= V3_SIZE_2M;
	mem->backed_4k += V3_SIZE_2M;
	return split;
}

/* Enter one host piece. */
static int ram_place(struct v3_mem *mem, v3_gpa_t gpa, v3_hpa_t hpa, uint64_t size, uint64_t attr)
{
	uint8_t *va = v3_host_pa_to_va(hpa);
	int err;

	memset(va, 0, size);
	while (size) {
		uint64_t n = V3_SIZE_2M - (gpa & (V3_SIZE_2M - 1));

		if (n > size)
			n = size;
		if (n == V3_SIZE_2M && !(hpa & (V3_SIZE_2M - 1))) {
			mem->chunk[gpa >> V3_CHUNK_SHIFT] =
				(struct v3_mem_chunk){.hva = (uintptr_t)va, .hpa = hpa | attr};
			mem->backed_2m += n;
		} else {
			err = ram_place_pages(mem, gpa, va, hpa, n, attr);
			if (err)
				return err;
		}
		gpa += n;
		hpa += n;
		va += n;
		size -= n;
	}
	return V3_OK;
}

/* Next smaller piece to try after @p want bytes aligned to *align were refused; 0: none. */
static uint64_t ram_smaller(uint64_t want, uint64_t *align)
{
	if (want <= *align) {
		if (*align == V3_PAGE_SIZE)
			return 0;
		*align = *align == V3_SIZE_1G ? V3_SIZE_2M : V3_PAGE_SIZE;
	}
	want = want / 2 & ~(*align - 1);
	return want ? want : *align;
}

/* Back [gpa, end), which begins at a multiple of @p align, with as few pieces as the host allows. */
static int ram_back(struct v3_mem *mem, v3_gpa_t gpa, v3_gpa_t end, uint64_t align, uint64_t attr)
{
	uint64_t want = end - gpa;
	int err;

	while (gpa < end) {
		v3_hpa_t hpa;

		if (want > end - gpa)
			want = end - gpa;
		hpa = v3_host_ram_alloc(want >> V3_PAGE_SHIFT, align, mem->ram_node);
		if (hpa == V3_HPA_NONE) {
			want = ram_smaller(want, &align);
			if (!want)
				return V3_ENOMEM;
			continue;
		}
		err = ram_note_piece(mem, gpa, hpa, want >> V3_PAGE_SHIFT);
		if (err) {
			v3_host_ram_free(hpa, want >> V3_PAGE_SHIFT);
			return err;
		}
		mem->ram_bytes += want;
		err = ram_place(mem, gpa, hpa, want, attr);
		if (err)
			return err;
		gpa += want;
	}
	return V3_OK;
}

/* Length of the first part of [gpa, end) whose pieces can have the same alignment; sets *align to it. */
static uint64_t ram_segment(v3_gpa_t gpa, v3_gpa_t end, uint64_t *align)
{
	v3_gpa_t next;

	if (!(gpa & (V3_SIZE_1G - 1)) && end - gpa >= V3_SIZE_1G) {
		*align = V3_SIZE_1G;
		return (end - gpa) & ~(V3_SIZE_1G - 1);
	}
	if (!(gpa & (V3_SIZE_2M - 1)) && end - gpa >= V3_SIZE_2M) {
		*align = V3_SIZE_2M;
		next = (gpa | (V3_SIZE_1G - 1)) + 1;
		return ((end < next ? end : next) & ~(V3_SIZE_2M - 1)) - gpa;
	}
	*align = V3_PAGE_SIZE;
	next = (gpa | (V3_SIZE_2M - 1)) + 1;
	return (end < next ? end : next) - gpa;
}

/* Mark the GiB that one 1 GiB leaf can map. */
static void ram_mark_giga(struct v3_mem *mem, v3_gpa_t gpa, v3_gpa_t end)
{
	const v3_hpa_t addr = V3_PAGE_MASK;

	gpa = (gpa + V3_SIZE_1G - 1) & ~(V3_SIZE_1G - 1);
	for (; gpa < end && end - gpa >= V3_SIZE_1G; gpa += V3_SIZE_1G) {
		struct v3_mem_chunk *chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
		v3_hpa_t hpa = chunk->hpa & addr;
		unsigned i;

		if ((chunk->hva & V3_CHUNK_SLOW) || (hpa & (V3_SIZE_1G - 1)))
			continue;
		for (i = 1; i < RAM_CHUNKS_PER_1G; i++)
			if ((chunk[i].hpa & addr) != hpa + i * V3_SIZE_2M)
				break;
		if (i < RAM_CHUNKS_PER_1G)
			continue;
		for (i = 0; i < RAM_CHUNKS_PER_1G; i++)
			chunk[i].hpa |= V3_CHUNK_GIGA;
		mem->backed_1g += V3_SIZE_1G;
		mem->backed_2m -= V3_SIZE_1G;
	}
}

static bool ram_split_empty(const struct v3_mem_split *split)
{
	for (unsigned i = 0; i < V3_PAGES_PER_2M; i++)
		if (split->hva[i])
			return false;
	return true;
}

/* Take [gpa, end) out of the table again after a failure. */
static void ram_clear(struct v3_mem *mem, v3_gpa_t gpa, v3_gpa_t end)
{
	while (gpa < end) {
		struct v3_mem_chunk *chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
		struct v3_mem_split *split = v3_mem_pages_of(chunk);
		v3_gpa_t next = (gpa | (V3_SIZE_2M - 1)) + 1;

		for (; split && gpa < next && gpa < end; gpa += V3_PAGE_SIZE)
			split->hva[v3_pagemap_slot(gpa)] = split->hpa[v3_pagemap_slot(gpa)] = 0;
		if (!split || ram_split_empty(split)) {
			v3_free(split);
			chunk->hva = V3_CHUNK_SLOW;
			chunk->hpa &= V3_CHUNK_MMIO;
		}
		gpa = next;
	}
}

/* ---- regions ---- */

bool v3_mem_range_valid(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t size)
{
	const uint64_t limit = 1ull << mem->gpa_bits;

	return !((gpa | size) & (V3_PAGE_SIZE - 1)) && size && gpa < limit && size <= limit - gpa;
}

bool v3_mem_ram_overlaps(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < mem->nregions; i++) {
		const struct v3_mem_range *r = &mem->region[i];

		if (gpa < r->gpa + r->size && r->gpa < gpa + size)
			return true;
	}
	return false;
}

static int ram_check(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t size)
{
	if (!v3_mem_range_valid(mem, gpa, size))
		return V3_EINVAL;
	if (v3_mem_ram_overlaps(mem, gpa, size))
		return V3_EEXIST;
	return mem->nregions == V3_MEM_MAX_REGIONS ? V3_ENOSPC : V3_OK;
}

static void ram_insert_region(struct v3_mem *mem, v3_gpa_t gpa, uint64_t size, bool ram)
{
	unsigned i = mem->nregions++;

	for (; i > 0 && mem->region[i - 1].gpa > gpa; i--)
		mem->region[i] = mem->region[i - 1];
	mem->region[i] = (struct v3_mem_range){.gpa = gpa, .size = size, .ram = ram};
}

static int ram_add(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, uint64_t attr)
{
	struct v3_mem *mem = &vm->mem;
	const struct v3_mem before = {.ram_bytes = mem->ram_bytes,
				      .backed_2m = mem->backed_2m,
				      .backed_4k = mem->backed_4k};
	int err = ram_check(mem, gpa, size);

	if (!err)
		err = ram_grow_table(mem, (gpa + size + V3_SIZE_2M - 1) >> V3_CHUNK_SHIFT);
	if (err)
		return err;
	for (v3_gpa_t at = gpa; at < gpa + size && !err;) {
		uint64_t align, n = ram_segment(at, gpa + size, &align);

		err = ram_back(mem, at, at + n, align, attr);
		at += n;
	}
	if (err) {
		ram_clear(mem, gpa, gpa + size);
		ram_free_pieces(mem, before.ram_bytes);
		mem->backed_2m = before.backed_2m;
		mem->backed_4k = before.backed_4k;
		return err;
	}
	ram_mark_giga(mem, gpa, gpa + size);
	ram_insert_region(mem, gpa, size, !(attr & V3_CHUNK_ROM));
	v3_mem_mmio_mark(mem);
	return V3_OK;
}

int v3_mem_add_ram(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, int node)
{
	if (!vm->mem.nregions)
		vm->mem.node = vm->mmu.nested.node =
			node; /* tables lie where the first memory is */
	vm->mem.ram_node = node;
	return ram_add(vm, gpa, size, 0);
}

int v3_mem_add_rom(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size)
{
	vm->mem.ram_node = vm->mem.node;
	return ram_add(vm, gpa, size, V3_CHUNK_ROM);
}

int v3_mem_range(struct v3_vm *vm, unsigned i, struct v3_mem_range *out)
{
	if (i >= vm->mem.nregions)
		return V3_ENOENT;
	*out = vm->mem.region[i];
	return V3_OK;
}

void v3_mem_fini(struct v3_vm *vm)
{
	struct v3_mem *mem = &vm->mem;
	struct v3_mem_hook *hook;

	v3_release_fini(mem);
	v3_free(mem->window);
	mem->window = NULL;
	for (uint64_t i = 0; i < mem->nchunks; i++)
		v3_free(v3_mem_pages_of(&mem->chunk[i]));
	if (mem->chunk)
		v3_host_ram_free(mem->chunk_hpa, mem->chunk_pages);
	mem->chunk = NULL;
	mem->nchunks = 0;
	ram_free_pieces(mem, 0);
	v3_dirty_fini(mem);
	for (unsigned i = 0; i < V3_PAGEMAP_BUCKETS; i++)
		for (struct v3_page_group *g = mem->hooks.bucket[i]; g; g = g->next)
			for (unsigned k = 0; k < V3_PAGES_PER_2M; k++)
				v3_free((void *)g->slot[k]);
	v3_pagemap_fini(&mem->hooks);
	while ((hook = mem->free_hooks)) {
		mem->free_hooks = hook->next_free;
		v3_free(hook);
	}
	v3_lock_destroy(&mem->lock);
}

/* ---- look-up ---- */

/* Is there RAM or ROM, now or until it was released? */
static bool ram_is_there(uint64_t hpa)
{
	return hpa & (V3_PAGE_MASK | V3_CHUNK_RELEASED);
}

/* In a chunk that is kept page by page, or released. */
static uint8_t *ram_find_page(const struct v3_mem *mem, v3_gpa_t gpa)
{
	const struct v3_mem_chunk *chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
	const struct v3_mem_split *split = v3_mem_pages_of(chunk);
	const uint64_t *hpa = split ? &split->hpa[v3_pagemap_slot(gpa)] : &chunk->hpa;
	uint64_t hva = 0;

	if (split)
		hva = __atomic_load_n(&split->hva[v3_pagemap_slot(gpa)], __ATOMIC_ACQUIRE);
	if (V3_LIKELY(hva))
		return (uint8_t *)(hva + (gpa & (V3_PAGE_SIZE - 1)));
	if (mem->release && ram_is_there(__atomic_load_n(hpa, __ATOMIC_RELAXED)))
		return v3_release_touch(mem, gpa);
	return NULL;
}

uint8_t *v3_mem_find_slow(const struct v3_mem *mem, v3_gpa_t gpa)
{
	const uint64_t n = gpa >> V3_CHUNK_SHIFT;
	uint8_t *ram = n < mem->nchunks ? ram_find_page(mem, gpa) : NULL;

	return ram ? ram : v3_card_find(mem, gpa);
}

/* V3_HPA_NONE: neither RAM nor ROM, or released. */
static v3_hpa_t ram_hpa(const struct v3_mem *mem, v3_gpa_t gpa, bool *rom)
{
	const unsigned page = v3_pagemap_slot(gpa);
	uint64_t n = gpa >> V3_CHUNK_SHIFT;
	const struct v3_mem_split *split;
	uint64_t hpa;

	*rom = false;
	if (n >= mem->nchunks)
		return V3_HPA_NONE;
	if (mem->chunk[n].hva & V3_CHUNK_SLOW) {
		split = v3_mem_pages_of(&mem->chunk[n]);
		if (!split || !split->hva[page])
			return V3_HPA_NONE;
		hpa = split->hpa[page];
	} else {
		hpa = __atomic_load_n(&mem->chunk[n].hpa, __ATOMIC_RELAXED) + page * V3_PAGE_SIZE;
	}
	*rom = hpa & V3_CHUNK_ROM;
	return hpa & V3_PAGE_MASK;
}

v3_hpa_t v3_mem_hpa(const struct v3_mem *mem, v3_gpa_t gpa, bool *rom)
{
	v3_hpa_t hpa = ram_hpa(mem, gpa, rom);
	uint8_t *card = hpa == V3_HPA_NONE ? v3_card_find(mem, gpa & V3_PAGE_MASK) : NULL;

	return card ? v3_host_va_to_pa(card) : hpa;
}

bool v3_mem_backed(const struct v3_mem *mem, v3_gpa_t gpa, bool *rom)
{
	const struct v3_mem_chunk *chunk;
	const struct v3_mem_split *split;
	uint64_t hpa;

	*rom = false;
	if (gpa >> V3_CHUNK_SHIFT >= mem->nchunks)
		return false;
	chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
	split = v3_mem_pages_of(chunk);
	hpa = __atomic_load_n(split ? &split->hpa[v3_pagemap_slot(gpa)] : &chunk->hpa,
			      __ATOMIC_RELAXED);
	*rom = hpa & V3_CHUNK_ROM;
	return ram_is_there(hpa);
}

bool v3_mem_is_memory(const struct v3_mem *mem, v3_gpa_t gpa, bool *rom)
{
	return v3_mem_backed(mem, gpa, rom) || v3_card_find(mem, gpa);
}

/* ---- what devices use ---- */

/* Host address of [gpa, gpa + *n), *n cut to the end of the 2 MiB chunk or, in a split one, of the page. */
static uint8_t *ram_run(struct v3_mem *mem, v3_gpa_t gpa, uint64_t *n)
{
	uint64_t hva, left, mask = V3_SIZE_2M - 1;
	uint8_t *va;

	if (gpa >> V3_CHUNK_SHIFT >= mem->nchunks)
		return NULL;
	hva = __atomic_load_n(&mem->chunk[gpa >> V3_CHUNK_SHIFT].hva, __ATOMIC_RELAXED);
	va = (uint8_t *)(hva + (gpa & mask));
	if (hva & V3_CHUNK_SLOW) {
		va = ram_find_page(mem, gpa);
		mask = V3_PAGE_SIZE - 1;
	}
	if (!va)
		return NULL;
	left = mask + 1 - (gpa & mask);
	if (*n > left)
		*n = left;
	return va;
}

/* All of [gpa, gpa + len) RAM or ROM? */
static bool ram_backed(struct v3_mem *mem, v3_gpa_t gpa, uint64_t len)
{
	if (len && gpa + (len - 1) < gpa)
		return false;
	while (len) {
		uint64_t n = len;

		if (!ram_run(mem, gpa, &n))
			return false;
		gpa += n;
		len -= n;
	}
	return true;
}

enum ram_op { RAM_READ, RAM_WRITE, RAM_FILL };

static int ram_move(struct v3_vm *vm, v3_gpa_t gpa, uint8_t *buf, uint64_t len, enum ram_op op)
{
	bool backed = false; /* all of it */

	while (len) {
		uint64_t n = len;
		uint8_t *va = ram_run(&vm->mem, gpa, &n);

		if (!va) /* also if it was there, but the window shows nothing now */
			return V3_EFAULT;
		/* Nearly always one run is all. */
		backed = backed || n == len || ram_backed(&vm->mem, gpa, len);
		if (!backed)
			return V3_EFAULT;
		if (op == RAM_READ)
			memcpy(buf, va, n);
		else if (op == RAM_WRITE)
			memcpy(va, buf, n);
		else
			memset(va, *buf, n);
		if (op != RAM_READ)
			v3_mem_wrote(vm, gpa, n);
		if (op != RAM_FILL)
			buf += n;
		gpa += n;
		len -= n;
	}
	return V3_OK;
}

/* Whoever calls need not be a vcpu, for whose look-ups a page that is released is kept. */
static int ram_transfer(struct v3_vm *vm, v3_gpa_t gpa, uint8_t *buf, uint64_t len, enum ram_op op)
{
	unsigned pin;
	int err;

	if (V3_LIKELY(!vm->mem.release))
		return ram_move(vm, gpa, buf, len, op);
	pin = v3_mem_pin(vm);
	err = ram_move(vm, gpa, buf, len, op);
	v3_mem_unpin(vm, pin);
	return err;
}

int v3_mem_read(struct v3_vm *vm, v3_gpa_t gpa, void *buf, size_t len)
{
	return ram_transfer(vm, gpa, buf, len, RAM_READ);
}

int v3_mem_write(struct v3_vm *vm, v3_gpa_t gpa, const void *buf, size_t len)
{
	return ram_transfer(vm, gpa, (uint8_t *)buf, len, RAM_WRITE);
}

int v3_mem_set(struct v3_vm *vm, v3_gpa_t gpa, uint8_t byte, uint64_t len)
{
	return ram_transfer(vm, gpa, &byte, len, RAM_FILL);
}

void *v3_mem_ptr(struct v3_vm *vm, v3_gpa_t gpa, uint64_t len)
{
	uint64_t n = len;
	uint8_t *first = ram_run(&vm->mem, gpa, &n);

	if (!first || !len)
		return NULL;
	if (n == len) /* within one chunk: nearly always */
		return first;
	if (!ram_backed(&vm->mem, gpa, len))
		return NULL;
	for (uint64_t done = n; done < len;) {
		n = len - done;
		if (ram_run(&vm->mem, gpa + done, &n) != first + done)
			return NULL;
		done += n;
	}
	return first;
}
