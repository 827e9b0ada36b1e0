/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file window.c
 * The window: RAM whose pages can be switched to show other memory while the VM runs. Its 2 MiB chunk is kept
 * page by page (struct v3_mem_split), so that to switch a page is to write one entry. Called by the PCI host
 * bridge for its shadow RAM; calls the nested tables to take out what was mapped.
 */
#include "state.h"

#include "palacios/util/str.h"

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

	if (!window_range(gpa, size))
		return V3_EINVAL;
	if (mem->window)
		return V3_EEXIST;
	for (uint64_t i = 0; i < npages; i++)
		if (!v3_mem_backed(mem, gpa + i * V3_PAGE_SIZE, &rom) || rom)
			return V3_ENOENT;
	win = v3_alloc(sizeof(*win) + npages * sizeof(win->page[0]));
	if (!win)
		return V3_ENOMEM;
	if (!v3_mem_split_chunk(mem, gpa)) {
		v3_free(win);
		return V3_ENOMEM;
	}
	win->gpa = gpa;
	win->size = size;
	for (uint64_t i = 0; i < npages; i++) {
		win->page[i].hva = (uintptr_t)v3_mem_find(mem, gpa + i * V3_PAGE_SIZE);
		win->page[i].hpa = v3_mem_hpa(mem, gpa + i * V3_PAGE_SIZE, &rom);
	}
	mem->window = win;
	return V3_OK;
}

static bool window_covers(const struct v3_mem_window *win, v3_gpa_t gpa, uint64_t size)
{
	return win && gpa >= win->gpa && gpa - win->gpa < win->size &&
	       size <= win->size - (gpa - win->gpa);
}

/*
 * Is all of what is to be shown there, and outside the window unless it is the window's own RAM? It must stay: RAM
 * that is shown somewhere else is the end of giving back any.
 */
static bool window_shows(struct v3_mem *mem, v3_gpa_t gpa, uint64_t size, v3_gpa_t from)
{
	struct v3_mem_window *win = mem->window;
	bool rom, ram = false;
	unsigned long flags;

	if (from == gpa || from == V3_GPA_NONE)
		return true;
	if (from + size < from || (from < win->gpa + win->size && win->gpa < from + size))
		return false;
	for (uint64_t off = 0; off < size; off += V3_PAGE_SIZE) {
		if (!v3_mem_backed(mem, from + off, &rom))
			return false;
		ram |= !rom;
	}
	if (ram) {
		flags = v3_lock_acquire(&mem->lock);
		win->shows_ram = true;
		v3_lock_release(&mem->lock, flags);
	}
	for (uint64_t off = 0; off < size; off += V3_PAGE_SIZE)
		(void)v3_mem_find(mem, from + off); /* not while the lock is held */
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
		hpa = v3_mem_hpa(mem, from, &rom);
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
	v3_mem_wrote(vm, gpa, size); /* other contents than before */
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
