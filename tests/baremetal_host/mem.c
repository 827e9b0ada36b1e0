/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file mem.c
 * Memory: one bitmap of physical pages (set = free) and small blocks in powers of two on top of it.
 *
 * Small pieces (tables, stacks) are taken from the top of RAM downwards and guest RAM from the bottom up, so
 * that they do not break up the large pieces nested paging wants. What the library takes is counted: main.c
 * finds leaks by comparing.
 */
#include "baremetal.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define WORD_BITS 64u

#define MIN_SHIFT  5  /* smallest block: 32 bytes with its header */
#define PAGE_BLOCK 12 /* blocks of this order and above come straight from the page bitmap */
#define MAX_SHIFT  16 /* 32 KiB and a header */

#define BLOCK_USED 0x5ab1e0ccu
#define BLOCK_FREE 0xdeadb10cu

/* Before each small block; keeps the block 16-byte aligned. */
struct block {
	uint32_t magic;
	uint32_t shift; /* block size including this header, log2 */
	union {
		uint64_t size;	    /* used: bytes asked for */
		struct block *next; /* free */
	};
};
_Static_assert(sizeof(struct block) == 16, "blocks are 16-byte aligned");

static struct {
	struct bm_spin lock; /* guards everything here */
	uint64_t *free_map;
	uint64_t npages;   /* bits in free_map */
	uint64_t top_hint; /* no page at or above this one is free */
	struct block *free_blocks[MAX_SHIFT + 1];
	struct bm_usage usage;
} mem;

static bool page_is_free(uint64_t page)
{
	return mem.free_map[page / WORD_BITS] >> page % WORD_BITS & 1;
}

static void pages_mark(uint64_t first, uint64_t n, bool is_free)
{
	while (n) {
		uint64_t bit = first % WORD_BITS;
		uint64_t count = WORD_BITS - bit < n ? WORD_BITS - bit : n;
		uint64_t mask = (count == WORD_BITS ? ~0ull : (1ull << count) - 1) << bit;

		if (is_free)
			mem.free_map[first / WORD_BITS] |= mask;
		else
			mem.free_map[first / WORD_BITS] &= ~mask;
		first += count;
		n -= count;
	}
}

/* First page of [first, first + n) that is not free; first + n if all are. */
static uint64_t pages_first_used(uint64_t first, uint64_t n)
{
	uint64_t end = first + n;

	while (first < end) {
		if (first % WORD_BITS == 0 && mem.free_map[first / WORD_BITS] == ~0ull)
			first += WORD_BITS;
		else if (!page_is_free(first))
			return first;
		else
			first++;
	}
	return end;
}

/* Highest aligned run of @n pages (a power of two); mem.npages if there is none. Lock held. */
static uint64_t pages_find_high(uint64_t n)
{
	uint64_t page = mem.top_hint;

	/* single pages set the hint, so that they are found at once */
	if (n == 1) {
		while (page && !page_is_free(page - 1))
			page--;
		mem.top_hint = page;
	}
	page &= ~(n - 1);
	while (page >= n) {
		page -= n;
		if (pages_first_used(page, n) == page + n)
			return page;
	}
	return mem.npages;
}

/* Lowest run of @n pages starting at a multiple of @align pages. Lock held. */
static uint64_t pages_find_low(uint64_t n, uint64_t align)
{
	uint64_t page = 0;

	while (n <= mem.npages && page <= mem.npages - n) {
		uint64_t used = pages_first_used(page, n);

		if (used == page + n)
			return page;
		page = (used + align) & ~(align - 1); /* the first aligned one above @used */
	}
	return mem.npages;
}

static void *pages_take_high(uint32_t npages)
{
	uint64_t page = pages_find_high(npages);

	if (page == mem.npages)
		return NULL;
	pages_mark(page, npages, false);
	return (void *)(page << V3_PAGE_SHIFT);
}

static void pages_give_back(uint64_t pa, uint64_t npages)
{
	uint64_t page = pa >> V3_PAGE_SHIFT;

	if (pa & ~V3_PAGE_MASK || page >= mem.npages || npages > mem.npages - page)
		bm_panic("free of pages that are no RAM: %#llx", (unsigned long long)pa);
	if (page_is_free(page))
		bm_panic("pages freed twice: %#llx", (unsigned long long)pa);
	pages_mark(page, npages, true);
	if (page + npages > mem.top_hint)
		mem.top_hint = page + npages;
}

void *bm_mem_internal(uint32_t npages)
{
	unsigned long flags = bm_spin_lock(&mem.lock);
	void *p = pages_take_high(npages);

	bm_spin_unlock(&mem.lock, flags);
	return p;
}

void bm_mem_internal_free(void *p, uint32_t npages)
{
	unsigned long flags = bm_spin_lock(&mem.lock);

	pages_give_back((uint64_t)p, npages);
	bm_spin_unlock(&mem.lock, flags);
}

v3_hpa_t bm_page_alloc(uint32_t npages, int node)
{
	unsigned long flags;
	void *p;

	(void)node; /* one node */
	if (!npages || npages & (npages - 1) || npages > 512)
		bm_panic("page_alloc of %u pages", npages);
	flags = bm_spin_lock(&mem.lock);
	p = pages_take_high(npages);
	if (p)
		mem.usage.pages += npages;
	bm_spin_unlock(&mem.lock, flags);
	if (!p)
		return V3_HPA_NONE;
	memset(p, 0, npages * V3_PAGE_SIZE);
	return (v3_hpa_t)p;
}

void bm_page_free(v3_hpa_t pa, uint32_t npages)
{
	unsigned long flags = bm_spin_lock(&mem.lock);

	pages_give_back(pa, npages);
	mem.usage.pages -= npages;
	bm_spin_unlock(&mem.lock, flags);
}

v3_hpa_t bm_ram_alloc(uint64_t npages, uint64_t align, int node)
{
	unsigned long flags;
	uint64_t page;

	(void)node;
	if (!npages || align < V3_PAGE_SIZE || align & (align - 1))
		bm_panic("ram_alloc of %llu pages aligned to %#llx", (unsigned long long)npages,
			 (unsigned long long)align);
	flags = bm_spin_lock(&mem.lock);
	page = pages_find_low(npages, align >> V3_PAGE_SHIFT);
	if (page != mem.npages) {
		pages_mark(page, npages, false);
		mem.usage.ram_pages += npages;
	}
	bm_spin_unlock(&mem.lock, flags);
	return page == mem.npages ? V3_HPA_NONE : page << V3_PAGE_SHIFT;
}

void bm_ram_free(v3_hpa_t pa, uint64_t npages)
{
	unsigned long flags = bm_spin_lock(&mem.lock);

	pages_give_back(pa, npages);
	mem.usage.ram_pages -= npages;
	bm_spin_unlock(&mem.lock, flags);
}

/* The map is by page: a part is like a piece of its own. */
int bm_ram_free_part(v3_hpa_t pa, uint64_t npages)
{
	bm_ram_free(pa, npages);
	return V3_OK;
}

/* A free block of 2^shift bytes; lock held. */
static struct block *block_take(unsigned shift)
{
	struct block *b;
	char *page;
	uint64_t off;

	if (shift >= PAGE_BLOCK)
		return pages_take_high(1u << (shift - PAGE_BLOCK));
	if (!mem.free_blocks[shift]) {
		page = pages_take_high(1);
		if (!page)
			return NULL;
		for (off = 0; off < V3_PAGE_SIZE; off += 1ull << shift) {
			b = (struct block *)(page + off);
			b->magic = BLOCK_FREE;
			b->next = mem.free_blocks[shift];
			mem.free_blocks[shift] = b;
		}
	}
	b = mem.free_blocks[shift];
	if (b->magic != BLOCK_FREE)
		bm_panic("written after free: %p", (void *)(b + 1));
	mem.free_blocks[shift] = b->next;
	return b;
}

void *bm_alloc(size_t size)
{
	unsigned long flags;
	unsigned shift = MIN_SHIFT;
	struct block *b;

	while (shift < MAX_SHIFT && (1ull << shift) - sizeof(*b) < size)
		shift++;
	if (!size || (1ull << shift) - sizeof(*b) < size)
		bm_panic("alloc of %zu bytes", size);
	flags = bm_spin_lock(&mem.lock);
	b = block_take(shift);
	if (b) {
		b->magic = BLOCK_USED;
		b->shift = shift;
		b->size = size;
		mem.usage.blocks++;
		mem.usage.bytes += size;
	}
	bm_spin_unlock(&mem.lock, flags);
	if (!b)
		return NULL;
	return memset(b + 1, 0, size);
}

void bm_free(void *p)
{
	struct block *b = (struct block *)p - 1;
	unsigned long flags = bm_spin_lock(&mem.lock);

	if (b->magic != BLOCK_USED || b->shift > MAX_SHIFT)
		bm_panic("free of what is no block: %p", p);
	b->magic = BLOCK_FREE;
	mem.usage.blocks--;
	mem.usage.bytes -= b->size;
	if (b->shift >= PAGE_BLOCK) {
		pages_give_back((uint64_t)b, 1u << (b->shift - PAGE_BLOCK));
	} else {
		b->next = mem.free_blocks[b->shift];
		mem.free_blocks[b->shift] = b;
	}
	bm_spin_unlock(&mem.lock, flags);
}

void bm_mem_usage(struct bm_usage *out)
{
	unsigned long flags = bm_spin_lock(&mem.lock);

	*out = mem.usage;
	bm_spin_unlock(&mem.lock, flags);
}

/* Take page 0 out of the map, so that a null pointer faults. AMD APM 24593 r3.42 section 5.3.4. */
static void mem_unmap_null(void)
{
	uint64_t *table = bm_mem_internal(1);
	unsigned i;

	for (i = 0; i < 512; i++)
		table[i] = (uint64_t)i << V3_PAGE_SHIFT | 3;
	table[0] = 0;
	*(volatile uint64_t *)&boot_pd[0] = (uint64_t)table | 3;
	/* global entries survive a reload of CR3 */
	__asm__ volatile("invlpg (%0)" : : "r"(0ul) : "memory");
}

/* boot.S maps RAM above 4 GiB only on CPUs with 1 GiB pages. */
static void mem_map_high(uint64_t end)
{
	uint64_t gib, *table;
	unsigned i;

	for (gib = 4; gib << 30 < end && gib < 512; gib++) {
		if (boot_pdpt[gib])
			continue;
		table = bm_mem_internal(1);
		if (!table)
			bm_panic("no memory for page tables");
		for (i = 0; i < 512; i++)
			table[i] = (gib << 30) | (uint64_t)i << 21 | 0x183;
		boot_pdpt[gib] = (uint64_t)table | 3;
	}
}

/* Room for the bitmap: the first piece of RAM that nothing else uses. */
static uint64_t mem_place_map(uint64_t bytes, const struct bm_range *ram, unsigned nram,
			      const struct bm_range *taken, unsigned ntaken)
{
	uint64_t at;
	unsigned i, k;

	for (i = 0; i < nram; i++) {
		at = (ram[i].start + V3_PAGE_SIZE - 1) & V3_PAGE_MASK;
		for (k = 0; k < ntaken; k++) {
			if (at < taken[k].end && at + bytes > taken[k].start) {
				at = (taken[k].end + V3_PAGE_SIZE - 1) & V3_PAGE_MASK;
				k = (unsigned)-1; /* the new place may touch an earlier one */
			}
		}
		if (at + bytes <= ram[i].end && at + bytes <= 4ull << 30)
			return at;
	}
	bm_panic("no room for the page map");
}

void bm_mem_init(const struct bm_range *ram, unsigned nram, const struct bm_range *taken,
		 unsigned ntaken)
{
	const uint64_t limit = 512ull << 30; /* boot.S has one page-directory-pointer table */
	uint64_t bytes, start, end, map_pa, top = 0;
	unsigned i;

	for (i = 0; i < nram; i++)
		if (ram[i].end > top)
			top = ram[i].end < limit ? ram[i].end : limit;
	mem.npages = top >> V3_PAGE_SHIFT;
	bytes = (mem.npages / WORD_BITS + 1) * sizeof(uint64_t);
	map_pa = mem_place_map(bytes, ram, nram, taken, ntaken);
	mem.free_map = (uint64_t *)map_pa;
	memset(mem.free_map, 0, bytes);

	for (i = 0; i < nram; i++) {
		start = (ram[i].start + V3_PAGE_SIZE - 1) >> V3_PAGE_SHIFT;
		end = (ram[i].end < limit ? ram[i].end : limit) >> V3_PAGE_SHIFT;
		if (start < end)
			pages_mark(start, end - start, true);
	}
	for (i = 0; i < ntaken; i++) {
		start = taken[i].start >> V3_PAGE_SHIFT;
		end = (taken[i].end + V3_PAGE_SIZE - 1) >> V3_PAGE_SHIFT;
		if (start < mem.npages && start < end)
			pages_mark(start, (end < mem.npages ? end : mem.npages) - start, false);
	}
	pages_mark(map_pa >> V3_PAGE_SHIFT, (bytes + V3_PAGE_SIZE - 1) >> V3_PAGE_SHIFT, false);
	/* until mem_map_high() has run, only memory that boot.S mapped may be touched */
	mem.top_hint = mem.npages < 1u << 20 ? mem.npages : 1u << 20;
	mem_map_high(top);
	mem_unmap_null();
	mem.top_hint = mem.npages;
}
