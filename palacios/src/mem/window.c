/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file window.c
 * The window: RAM whose pages can be switched to show other memory while the VM runs. Its 2 MiB chunk is kept
 * page by page (struct v3_mem_split), so that to switch a page is to write one entry. Called by the PCI host
 * bridge for its shadow RAM; calls the nested tables to take out what was mapped.
 */
#include "state.h"

#include "palacios/util/str.h"

#define WINDOW_CHUNKS_PER_1G 512

/* A 1 GiB leaf must not cover the chunk any more. */
static void window_unmark_giga(struct v3_mem *mem, v3_gpa_t gpa)
{
	struct v3_mem_chunk *chunk = &mem->chunk[(gpa & ~(V3_SIZE_1G - 1)) >> V3_CHUNK_SHIFT];

	if (!(chunk->hpa & V3_CHUNK_GIGA))
		return;
	for (unsigned i = 0; i < WINDOW_CHUNKS_PER_1G; i++)
		chunk[i].hpa &= ~V3_CHUNK_GIGA;
	mem->backed_1g -= V3_SIZE_1G;
	mem->backed_2m += V3_SIZE_1G;
}

/* Have the chunk kept page by page. */
static int window_split(struct v3_mem *mem, v3_gpa_t gpa)
{
	struct v3_mem_chunk *chunk = &mem->chunk[gpa >> V3_CHUNK_SHIFT];
	const uint64_t attr = chunk->hpa & V3_CHUNK_ROM;
	struct v3_mem_split *split;

	if (chunk->hva & V3_CHUNK_SLOW)
		return V3_OK;
	split = v3_alloc(sizeof(*split));
	if (!split)
		return V3_ENOMEM;
	window_unmark_giga(mem, gpa);
	for (unsigned i = 0; i < V3_PAGES_PER_2M; i++) {
		split->hva[i] = chunk->hva + i * V3_PAGE_SIZE;
		split->hpa[i] = (chunk->hpa & V3_PAGE_MASK) + i * V3_PAGE_SIZE + attr;
	}
	chunk->hva = (uintptr_t)split | V3_CHUNK_SLOW;
	chunk->hpa &= V3_CHUNK_HOOK | V3_CHUNK_MMIO;
	mem->backed_2m -= V3_SIZE_2M;
	mem->backed_4k += V3_SIZE_2M;
	return V3_OK;
}

static bool window_range(v3_gpa_t gpa, uint64_t size)
{
	return !((gpa | size) & (V3_PAGE_SIZE - 1)) && size && size <= V3_SIZE_2M &&
	       (gpa ^ (gpa + size - 1)) < V3_SIZE_2M;
}

int v3_mem_window_create(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size)
{
	struct v3_mem *mem = &vm->mem;
	const uint64_t npages = size >> V3_PAGE_SHIFT;
	struct v3_mem_window *win;
	bool rom;
	int err;

	if (!window_range(gpa, size))
		return V3_EINVAL;
	if (mem->window)
		return V3_EEXIST;
	for (uint64_t i = 0; i < npages; i++)
		if (v3_mem_ram_hpa(mem, gpa + i * V3_PAGE_SIZE, &rom) == V3_HPA_NONE || rom)
			return V3_ENOENT;
	win = v3_alloc(sizeof(*win) + npages * sizeof(win->page[0]));
	if (!win)
		return V3_ENOMEM;
	err = window_split(mem, gpa);
	if (err) {
		v3_free(win);
		return err;
	}
	win->gpa = gpa;
	win->size = size;
	for (uint64_t i = 0; i < npages; i++) {
		win->page[i].hva = (uintptr_t)v3_mem_find(mem, gpa + i * V3_PAGE_SIZE);
		win->page[i].hpa = v3_mem_ram_hpa(mem, gpa + i * V3_PAGE_SIZE, &rom);
	}
	mem->window = win;
	return V3_OK;
}

static bool window_covers(const struct v3_mem_window *win, v3_gpa_t gpa, uint64_t size)
{
	return win && gpa >= win->gpa && gpa - win->gpa < win->size &&
	       size <= win->size - (gpa - win->gpa);
}

/* Is all of what is to be shown there, and outside the window unless it is the window's own RAM? */
static bool window_shows(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t size, v3_gpa_t from)
{
	const struct v3_mem_window *win = mem->window;
	bool rom;

	if (from == gpa || from == V3_GPA_NONE)
		return true;
	if (from + size < from || (from < win->gpa + win->size && win->gpa < from + size))
		return false;
	for (uint64_t off = 0; off < size; off += V3_PAGE_SIZE)
		if (v3_mem_ram_hpa(mem, from + off, &rom) == V3_HPA_NONE)
			return false;
	return true;
}

/* Under the lock. */
static void window_switch(struct v3_mem *mem, v3_gpa_t gpa, v3_gpa_t from,
			  enum v3_window_writes writes)
{
	struct v3_mem_split *split =
		(struct v3_mem_split *)(mem->chunk[gpa >> V3_CHUNK_SHIFT].hva & ~V3_CHUNK_SLOW);
	struct v3_mem_window_page *page =
		&mem->window->page[(gpa - mem->window->gpa) >> V3_PAGE_SHIFT];
	const unsigned i = v3_pagemap_slot(gpa);
	uint64_t hva = page->hva, hpa = page->hpa;
	bool rom = false;

	if (from == V3_GPA_NONE) {
		hva = hpa = 0;
	} else if (from != gpa) {
		hva = (uintptr_t)v3_mem_find(mem, from);
		hpa = v3_mem_ram_hpa(mem, from, &rom);
	}
	if (rom || writes != V3_WINDOW_STORE)
		hpa |= V3_CHUNK_ROM;
	__atomic_store_n(&page->under, writes == V3_WINDOW_UNDER, __ATOMIC_RELAXED);
	__atomic_store_n(&split->hpa[i], hpa, __ATOMIC_RELAXED);
	__atomic_store_n(&split->hva[i], hva, __ATOMIC_RELEASE);
}

int v3_mem_window_show(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, v3_gpa_t from,
		       enum v3_window_writes writes)
{
	struct v3_mem *mem = &vm->mem;
	unsigned long flags;
	bool dropped;

	if (!mem->window)
		return V3_ENOENT;
	if (!window_range(gpa, size) || !window_covers(mem->window, gpa, size) ||
	    (from != V3_GPA_NONE && (from & (V3_PAGE_SIZE - 1))))
		return V3_EINVAL;
	if (!window_shows(mem, gpa, size, from))
		return V3_ENOENT;
	flags = v3_lock_acquire(&mem->lock);
	for (uint64_t off = 0; off < size; off += V3_PAGE_SIZE)
		window_switch(mem, gpa + off, from == V3_GPA_NONE ? from : from + off, writes);
	dropped = v3_mmu_drop(vm, gpa, size);
	v3_lock_release(&mem->lock, flags);
	if (dropped)
		v3_flush_vm_sync(vm);
	return V3_OK;
}

bool v3_mem_window_write(struct v3_mem *mem, v3_gpa_t gpa, const void *buf, size_t len)
{
	const struct v3_mem_window_page *page;

	if (!window_covers(mem->window, gpa, len))
		return false;
	page = &mem->window->page[(gpa - mem->window->gpa) >> V3_PAGE_SHIFT];
	if (!__atomic_load_n(&page->under, __ATOMIC_RELAXED))
		return false;
	memcpy((uint8_t *)page->hva + (gpa & (V3_PAGE_SIZE - 1)), buf, len);
	return true;
}
