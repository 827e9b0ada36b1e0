/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_mem.c
 * Memory of the fake host: small allocations by malloc (each with the address sanitizer's
 * guards), and physical memory as one reserved piece of address space, of which only what is
 * touched takes memory. Its low part serves page_alloc(), the rest ram_alloc(). Freed pages are
 * poisoned for the address sanitizer.
 */
#include "fake_priv.h"

#include <sys/mman.h>

#define MEM_NODES      9
#define MEM_POOL_PAGES (128ull << 8) /* 128 MiB for page_alloc() */
#define MEM_RAM_PAGES  (3072ull << 8)
#define MEM_PAGES      (MEM_POOL_PAGES + MEM_RAM_PAGES)
#define MEM_FILL_PAGES                                                                             \
	(64ull << 8) /* larger pieces are not filled with garbage: it would touch them */

enum mem_state { MEM_FREE, MEM_USED, MEM_HOLE };

static struct {
	pthread_mutex_t lock; /* guards all below */
	char *base;
	uint8_t state[MEM_PAGES];     /* enum mem_state */
	uint64_t ram_limit, ram_used; /* pages */
	uint64_t piece;		      /* pages, 0: no limit */
	uint64_t part;		      /* pages: smaller parts are not taken back */
	uint64_t of_node[MEM_NODES];  /* bytes of RAM given out, by node + 1 */
} mem = {.lock = PTHREAD_MUTEX_INITIALIZER};

extern void __asan_poison_memory_region(const volatile void *addr, size_t size)
	__attribute__((weak));
extern void __asan_unpoison_memory_region(const volatile void *addr, size_t size)
	__attribute__((weak));

void fake_mem_reset(void)
{
	if (!mem.base) {
		/* One page off: virtual addresses are no better aligned than a host's need to be.
		 * */
		mem.base = mmap(NULL, (MEM_PAGES + 1) << V3_PAGE_SHIFT, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (mem.base == MAP_FAILED)
			abort();
		if (!((uintptr_t)mem.base & V3_PAGE_SIZE))
			mem.base += V3_PAGE_SIZE;
	}
	/* What a failed test left in use stays in use. */
	for (uint64_t i = MEM_POOL_PAGES; i < MEM_PAGES; i++) {
		if (mem.state[i] == MEM_HOLE)
			mem.state[i] = MEM_FREE;
	}
	mem.ram_limit = MEM_RAM_PAGES;
	mem.piece = 0;
	mem.part = 0;
	memset(mem.of_node, 0, sizeof(mem.of_node));
}

uint64_t fake_ram_of_node(int node)
{
	return mem.of_node[node + 1];
}

uint64_t fake_ram_used(void)
{
	return mem.ram_used << V3_PAGE_SHIFT;
}

void fake_ram_part(uint64_t bytes)
{
	mem.part = bytes >> V3_PAGE_SHIFT;
}

void fake_ram_limit(uint64_t bytes)
{
	mem.ram_limit = bytes >> V3_PAGE_SHIFT;
}

void fake_ram_fragment(uint64_t piece)
{
	mem.piece = piece >> V3_PAGE_SHIFT;
	for (uint64_t i = 0; i < MEM_RAM_PAGES; i++) {
		uint8_t *state = &mem.state[MEM_POOL_PAGES + i];

		if (*state != MEM_USED)
			*state = mem.piece && (i / mem.piece & 1) ? MEM_HOLE : MEM_FREE;
	}
}

static void mem_poison(uint64_t page, uint64_t npages, bool poison)
{
	void *addr = mem.base + (page << V3_PAGE_SHIFT);

	if (poison && __asan_poison_memory_region)
		__asan_poison_memory_region(addr, npages << V3_PAGE_SHIFT);
	else if (!poison && __asan_unpoison_memory_region)
		__asan_unpoison_memory_region(addr, npages << V3_PAGE_SHIFT);
}

/* First fit of a free run in [first, end), its number a multiple of @p align. @return end: none */
static uint64_t mem_find(uint64_t first, uint64_t end, uint64_t npages, uint64_t align)
{
	uint64_t page = (first + align - 1) / align * align, i;

	while (page + npages <= end) {
		for (i = 0; i < npages && mem.state[page + i] == MEM_FREE; i++)
			;
		if (i == npages)
			return page;
		page = (page + i + align) / align * align;
	}
	return end;
}

static v3_hpa_t mem_take(enum fake_kind kind, uint64_t first, uint64_t end, uint64_t npages,
			 uint64_t align)
{
	uint64_t page = end;
	v3_hpa_t pa;

	pthread_mutex_lock(&mem.lock);
	if (npages <= end - first && (kind != FAKE_RAM || npages <= mem.ram_limit - mem.ram_used))
		page = mem_find(first, end, npages, align);
	if (page < end) {
		memset(&mem.state[page], MEM_USED, npages);
		mem.ram_used += kind == FAKE_RAM ? npages : 0;
	}
	pthread_mutex_unlock(&mem.lock);
	if (page == end)
		return V3_HPA_NONE;
	pa = FAKE_PA_BASE + (page << V3_PAGE_SHIFT);
	mem_poison(page, npages, false);
	fake_track(kind, pa, npages);
	return pa;
}

static void mem_put(enum fake_kind kind, v3_hpa_t pa, uint64_t npages)
{
	uint64_t page = (pa - FAKE_PA_BASE) >> V3_PAGE_SHIFT;

	mem_poison(page, npages, true);
	if (kind == FAKE_RAM) /* the memory behind it goes back to the system */
		madvise(mem.base + (page << V3_PAGE_SHIFT), npages << V3_PAGE_SHIFT, MADV_DONTNEED);
	pthread_mutex_lock(&mem.lock);
	memset(&mem.state[page], MEM_FREE, npages);
	mem.ram_used -= kind == FAKE_RAM ? npages : 0;
	pthread_mutex_unlock(&mem.lock);
}

static void mem_give(enum fake_kind kind, v3_hpa_t pa, uint64_t npages)
{
	if (fake_untrack(kind, pa, npages))
		mem_put(kind, pa, npages);
}

v3_hpa_t fake_page_alloc(uint32_t npages, int node)
{
	v3_hpa_t pa;

	fake_need_atomic("page_alloc");
	if (!npages || npages > 512 || npages & (npages - 1) || node < V3_NODE_ANY)
		fake_violation("page_alloc(%u pages, node %d)", npages, node);
	if (!fake_grant(FAKE_PAGES))
		return V3_HPA_NONE;
	pa = mem_take(FAKE_PAGES, 0, MEM_POOL_PAGES, npages, npages);
	if (pa != V3_HPA_NONE)
		memset(fake_pa_to_va(pa), 0, (size_t)npages << V3_PAGE_SHIFT);
	return pa;
}

void fake_page_free(v3_hpa_t pa, uint32_t npages)
{
	fake_need_atomic("page_free");
	mem_give(FAKE_PAGES, pa, npages);
}

v3_hpa_t fake_ram_alloc(uint64_t npages, uint64_t align, int node)
{
	v3_hpa_t pa;

	fake_need_thread("ram_alloc");
	if (!npages || align < V3_PAGE_SIZE || align & (align - 1) || node < V3_NODE_ANY)
		fake_violation("ram_alloc(%llu pages, align %#llx, node %d)",
			       (unsigned long long)npages, (unsigned long long)align, node);
	if (!fake_grant(FAKE_RAM))
		return V3_HPA_NONE;
	pa = mem_take(FAKE_RAM, MEM_POOL_PAGES, MEM_PAGES, npages, align >> V3_PAGE_SHIFT);
	if (pa != V3_HPA_NONE && node + 1 < MEM_NODES)
		mem.of_node[node + 1] += npages << V3_PAGE_SHIFT;
	if (pa != V3_HPA_NONE && npages <= MEM_FILL_PAGES)
		memset(fake_pa_to_va(pa), 0xa5, npages << V3_PAGE_SHIFT);
	return pa;
}

void fake_ram_free(v3_hpa_t pa, uint64_t npages)
{
	fake_need_thread("ram_free");
	mem_give(FAKE_RAM, pa, npages);
}

int fake_ram_free_part(v3_hpa_t pa, uint64_t npages)
{
	fake_need_atomic("ram_free_part");
	if (npages < mem.part)
		return V3_EBUSY;
	if (fake_track_part(FAKE_RAM, pa, npages, V3_PAGE_SIZE))
		mem_put(FAKE_RAM, pa, npages);
	return V3_OK;
}

void *fake_alloc(size_t size)
{
	void *p;

	fake_need_atomic("alloc");
	if (!size || size > 32768)
		fake_violation("alloc(%zu)", size);
	if (!fake_grant(FAKE_ALLOC))
		return NULL;
	p = calloc(1, size ? size : 1);
	if (!p || (uintptr_t)p & 15)
		abort();
	fake_track(FAKE_ALLOC, (uintptr_t)p, size);
	return p;
}

void fake_free(void *p)
{
	fake_need_atomic("free");
	if (fake_untrack(FAKE_ALLOC, (uintptr_t)p, 0))
		free(p);
}

void *fake_pa_to_va(v3_hpa_t pa)
{
	uint64_t page = (pa - FAKE_PA_BASE) >> V3_PAGE_SHIFT;

	if (pa < FAKE_PA_BASE || page >= MEM_PAGES || mem.state[page] != MEM_USED) {
		fake_violation("pa_to_va(%#llx): not allocated", (unsigned long long)pa);
		abort();
	}
	return mem.base + (pa - FAKE_PA_BASE);
}

v3_hpa_t fake_va_to_pa(const void *va)
{
	uint64_t off = (uintptr_t)va - (uintptr_t)mem.base;

	if (off >> V3_PAGE_SHIFT >= MEM_PAGES || mem.state[off >> V3_PAGE_SHIFT] != MEM_USED) {
		fake_violation("va_to_pa(%p): not of page_alloc() or ram_alloc()", va);
		abort();
	}
	return FAKE_PA_BASE + off;
}
