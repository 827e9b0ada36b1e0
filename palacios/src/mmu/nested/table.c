/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file table.c
 * One nested table: radix tree of 4 or 5 levels, the same for every format.
 */
#include "mmu/nested/table.h"

#include "host/host.h"
#include "mmu/nested/format.h"
#include "palacios/error.h"

#define NESTED_ENTRIES 512

static uint64_t nested_span(unsigned level)
{
	return 1ull << (V3_PAGE_SHIFT + 9 * level);
}

static uint64_t *nested_slot(uint64_t *entries, v3_gpa_t gpa, unsigned level)
{
	return &entries[(gpa >> (V3_PAGE_SHIFT + 9 * level)) % NESTED_ENTRIES];
}

static bool nested_is_leaf(const struct v3_nested_fmt *fmt, uint64_t e, unsigned level)
{
	return !level || (level <= 2 && (e & fmt->large));
}

static void nested_write(uint64_t *slot, uint64_t e)
{
	__atomic_store_n(slot, e, __ATOMIC_RELEASE);
}

/* A CPU may have cached what was there. */
static void nested_note(struct v3_nested *table, v3_gpa_t gpa)
{
	table->removed_gpa = gpa;
	__atomic_store_n(&table->removed, table->removed + 1, __ATOMIC_RELEASE);
}

/* Does @p e show less than @p old, or something else? */
static bool nested_tightens(const struct v3_nested_fmt *fmt, uint64_t old, uint64_t e)
{
	return (old & ~e & (fmt->read | fmt->write | fmt->exec)) || (e & ~old & fmt->no_exec) ||
	       ((old ^ e) & (fmt->addr | fmt->cached | fmt->uncached));
}

/* Entries of the table that @p e points to. */
static uint64_t *nested_table(const struct v3_nested_fmt *fmt, uint64_t e)
{
	return v3_host_pa_to_va(e & fmt->addr);
}

static v3_hpa_t nested_page(struct v3_nested *table)
{
	v3_hpa_t page = v3_host_page_alloc(1, table->node);

	if (page != V3_HPA_NONE)
		table->pages++;
	return page;
}

static void nested_free_page(struct v3_nested *table, v3_hpa_t page)
{
	v3_host_page_free(page, 1);
	table->pages--;
}

int v3_nested_init(struct v3_nested *table, struct v3_mem *mem)
{
	*table = (struct v3_nested){
		.levels = v3_lib.caps.nested_levels, .node = mem->node, .mem = mem};
	if (v3_lib.caps.nested_format < V3_NESTED_FORMATS)
		table->fmt = v3_nested_formats[v3_lib.caps.nested_format];
	if (!table->fmt || table->levels < 4 || table->levels > 5)
		return V3_ENOTSUP;
	table->root = nested_page(table);
	if (table->root == V3_HPA_NONE)
		return V3_ENOMEM;
	table->root_va = v3_host_pa_to_va(table->root);
	return V3_OK;
}

void v3_nested_fini(struct v3_nested *table)
{
	uint64_t *t[V3_WALK_MAX_LEVELS];
	unsigned at[V3_WALK_MAX_LEVELS];
	unsigned level;

	if (!table->root_va)
		return;
	level = table->levels - 1;
	t[level] = table->root_va;
	at[level] = 0;
	/* Tables of 4 KiB leaves hold no tables: each is freed when it is met. */
	for (;;) {
		uint64_t e;

		if (at[level] == NESTED_ENTRIES) {
			if (level == table->levels - 1u)
				break;
			nested_free_page(table, v3_host_va_to_pa(t[level]));
			level++;
			continue;
		}
		e = t[level][at[level]++];
		if (!(e & table->fmt->present) || nested_is_leaf(table->fmt, e, level))
			continue;
		if (level == 1) {
			nested_free_page(table, e & table->fmt->addr);
			continue;
		}
		t[--level] = nested_table(table->fmt, e);
		at[level] = 0;
	}
	nested_free_page(table, table->root);
	table->root_va = NULL;
}

/* The bit that shows in a tracked leaf that the page was written. */
static uint64_t nested_written(const struct v3_nested *table)
{
	return table->mem->dirty.how == V3_DIRTY_PROTECT ? table->fmt->write : table->fmt->dirty;
}

/* Write an entry over another one, to which the CPU may just be adding its dirty bit. @return the old one */
static uint64_t nested_replace(struct v3_nested *table, uint64_t *slot, v3_gpa_t gpa, uint64_t e)
{
	uint64_t old = __atomic_exchange_n(slot, e, __ATOMIC_SEQ_CST);

	if ((old & table->fmt->tracked) && (old & nested_written(table)))
		v3_dirty_note(table->mem, gpa);
	return old;
}

/*
 * Replace the large leaf in @p slot by a table of leaves of the next smaller size, with @p bits instead of its own
 * if that is not 0. NULL: no page.
 */
static uint64_t *nested_split(struct v3_nested *table, uint64_t *slot, unsigned level,
			      uint64_t bits)
{
	const struct v3_nested_fmt *fmt = table->fmt;
	v3_hpa_t page = nested_page(table);
	uint64_t e = *slot, *t;

	if (page == V3_HPA_NONE)
		return NULL;
	t = v3_host_pa_to_va(page);
	if (level == 1)
		e &= ~fmt->large;
	if (bits)
		e = (e & fmt->addr) | bits;
	for (unsigned i = 0; i < NESTED_ENTRIES; i++)
		t[i] = e + i * nested_span(level - 1);
	nested_write(slot, page | fmt->table);
	table->leaves[level]--;
	table->leaves[level - 1] += NESTED_ENTRIES;
	return t;
}

/* Another vcpu may have entered a tracked leaf that allows more: it stays, with what it says. */
static void nested_enter(struct v3_nested *table, uint64_t *slot, v3_gpa_t gpa, uint64_t e)
{
	const struct v3_nested_fmt *fmt = table->fmt;
	uint64_t old = *slot;

	if ((old & fmt->present) && (old & fmt->tracked) && !nested_tightens(fmt, e, old))
		return;
	old = nested_replace(table, slot, gpa, e);
	if ((old & fmt->present) && nested_tightens(fmt, old, e))
		nested_note(table, gpa);
}

/* Bits of all leaves when a large one at @p level is split so that one page gets @p perm; 0: those it had. */
static uint64_t nested_split_bits(const struct v3_nested *table, unsigned perm, unsigned level)
{
	if (level != 1 || !(perm & V3_NESTED_CLEAN))
		return 0;
	return v3_nested_leaf_bits(table->fmt, perm, 0);
}

int v3_nested_map(struct v3_nested *table, v3_gpa_t gpa, v3_hpa_t hpa, unsigned perm,
		  unsigned level)
{
	const struct v3_nested_fmt *fmt = table->fmt;
	uint64_t *t = table->root_va;

	for (unsigned l = table->levels - 1u;; l--) {
		uint64_t *slot = nested_slot(t, gpa, l), e = *slot;
		bool used = e & fmt->present;
		bool leaf = used && nested_is_leaf(fmt, e, l);

		if (l <= level && (!used || leaf)) {
			nested_enter(table, slot, gpa,
				     (hpa & ~(nested_span(l) - 1)) |
					     v3_nested_leaf_bits(fmt, perm, l));
			table->leaves[l] += !used;
			return V3_OK;
		}
		if (leaf) {
			/* It may allow enough: another vcpu was faster. */
			if (!nested_tightens(
				    fmt, v3_nested_leaf_bits(fmt, perm, l) | (e & fmt->addr), e))
				return V3_OK;
			t = nested_split(table, slot, l, nested_split_bits(table, perm, l));
			if (!t)
				return V3_ENOMEM;
			continue;
		}
		if (!used) {
			v3_hpa_t page = nested_page(table);

			if (page == V3_HPA_NONE)
				return V3_ENOMEM;
			e = page | fmt->table;
			nested_write(slot, e);
		}
		t = nested_table(fmt, e);
	}
}

/* Remove what lies at @p gpa, at most up to @p end. Sets *span to the size that has been dealt with. */
static bool nested_drop_one(struct v3_nested *table, v3_gpa_t gpa, v3_gpa_t end, uint64_t *span)
{
	const struct v3_nested_fmt *fmt = table->fmt;
	uint64_t *t = table->root_va;

	for (unsigned l = table->levels - 1u;; l--) {
		uint64_t *slot = nested_slot(t, gpa, l), e = *slot;
		bool whole;

		*span = nested_span(l);
		if (!(e & fmt->present))
			return false;
		if (!nested_is_leaf(fmt, e, l)) {
			t = nested_table(fmt, e);
			continue;
		}
		whole = !(gpa & (*span - 1)) && end - gpa >= *span;
		t = whole ? NULL : nested_split(table, slot, l, 0);
		if (t)
			continue;
		nested_replace(table, slot, gpa, 0);
		nested_note(table, gpa);
		table->leaves[l]--;
		return true;
	}
}

bool v3_nested_drop(struct v3_nested *table, v3_gpa_t gpa, uint64_t size)
{
	const v3_gpa_t limit = nested_span(table->levels);
	bool any = false;
	v3_gpa_t end;

	if (gpa >= limit)
		return false;
	end = size > limit - gpa ? limit : gpa + size;
	while (gpa < end) {
		uint64_t span;

		any |= nested_drop_one(table, gpa, end, &span);
		gpa = (gpa | (span - 1)) + 1;
	}
	return any;
}

/* The entry that points to the table of 4 KiB leaves around @p gpa; NULL: there is none. */
static uint64_t *nested_table_slot(const struct v3_nested *table, v3_gpa_t gpa)
{
	const struct v3_nested_fmt *fmt = table->fmt;
	uint64_t *t = table->root_va;

	if (gpa >= nested_span(table->levels))
		return NULL;
	for (unsigned l = table->levels - 1u;; l--) {
		uint64_t *slot = nested_slot(t, gpa, l);

		if (!(*slot & fmt->present) || nested_is_leaf(fmt, *slot, l))
			return NULL;
		if (l == 1)
			return slot;
		t = nested_table(fmt, *slot);
	}
}

/* The list is linked through the first entries: CPUs may still walk the pages, and a page's address is an entry
 * that is not present. */
bool v3_nested_retire(struct v3_nested *table, v3_gpa_t gpa, v3_hpa_t *list)
{
	const struct v3_nested_fmt *fmt = table->fmt;
	uint64_t *slot = nested_table_slot(table, gpa), *t;

	if (!slot)
		return false;
	t = nested_table(fmt, *slot);
	for (unsigned i = 0; i < NESTED_ENTRIES; i++)
		table->leaves[0] -= !!(t[i] & fmt->present);
	nested_write(&t[0], *list);
	*list = *slot & fmt->addr;
	nested_write(slot, 0);
	nested_note(table, gpa);
	table->pages--;
	return true;
}

void v3_nested_reap(v3_hpa_t list)
{
	while (list != V3_NESTED_NONE) {
		v3_hpa_t page = list;

		list = *(const uint64_t *)v3_host_pa_to_va(page);
		v3_host_page_free(page, 1);
	}
}

bool v3_nested_clean(struct v3_nested *table, v3_gpa_t gpa, uint64_t *words)
{
	const uint64_t written = nested_written(table), tracked = table->fmt->tracked;
	const bool all = table->mem->dirty.how == V3_DIRTY_BITS;
	uint64_t *slot = nested_table_slot(table, gpa), *t;
	bool any = false;

	if (!slot)
		return false;
	t = nested_table(table->fmt, *slot);
	for (unsigned i = 0; i < NESTED_ENTRIES; i++) {
		const uint64_t bit = 1ull << (i % 64);

		if (!(t[i] & tracked) || !(t[i] & written) || !(all || (words[i / 64] & bit)))
			continue;
		__atomic_fetch_and(&t[i], ~written, __ATOMIC_SEQ_CST);
		words[i / 64] |= bit;
		any = true;
	}
	if (any)
		nested_note(table, gpa);
	return any;
}

uint64_t v3_nested_lookup(const struct v3_nested *table, v3_gpa_t gpa, unsigned *level)
{
	uint64_t *t = table->root_va;

	if (gpa >= nested_span(table->levels))
		return 0;
	for (unsigned l = table->levels - 1u;; l--) {
		uint64_t e = *nested_slot(t, gpa, l);

		*level = l;
		if (!(e & table->fmt->present))
			return 0;
		if (nested_is_leaf(table->fmt, e, l))
			return e;
		t = nested_table(table->fmt, e);
	}
}

unsigned v3_nested_path(const struct v3_nested *table, v3_gpa_t gpa,
			uint64_t entry[V3_WALK_MAX_LEVELS])
{
	const struct v3_nested_fmt *fmt = table->fmt;
	uint64_t *t = table->root_va;
	unsigned n = 0;

	for (unsigned l = table->levels - 1u;; l--) {
		uint64_t e = *nested_slot(t, gpa, l);

		entry[n++] = e;
		if (!l || (e & ~fmt->addr) != fmt->table)
			return n;
		t = nested_table(fmt, e);
	}
}
