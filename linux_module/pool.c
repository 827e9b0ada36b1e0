// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file pool.c
 * Memory set aside for guests when the module is loaded (mem_pool=SIZE): whole GiB where the host can still give
 * them, so that guests get 1 GiB leaves (AMD APM vol. 2 15.25), else 2 MiB pieces. Called by main.c at load and unload,
 * by hooks.c for guest RAM. Thread context, but for what comes back.
 */
#include "compat.h"
#include "glue.h"

#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

static char *mem_pool;
module_param(mem_pool, charp, 0444);
MODULE_PARM_DESC(mem_pool, "memory to reserve for guests, e.g. 4G");

#define POOL_PIECE	 (2ul << 20)
#define POOL_PIECE_ORDER (ilog2(POOL_PIECE) - PAGE_SHIFT)
#define POOL_PIECE_PAGES (POOL_PIECE >> PAGE_SHIFT)
#define POOL_GIGA_PAGES	 (SZ_1G >> PAGE_SHIFT)
#define POOL_GIGA_PIECES (SZ_1G / POOL_PIECE)

/*
 * All pieces of 2 MiB: those of each whole GiB in a row, then the single ones. Each page of a piece knows its place
 * here: page_private() is index + 1. That of other guest RAM is 0.
 */
static struct {
	struct mutex lock; /* held by who takes pieces; they come back without it */
	struct pool_piece {
		unsigned long pfn;
		int node;
		bool used;
	} * piece; /* owned; NULL without a pool */
	size_t count;
	atomic_long_t free;
} pool = {.lock = __MUTEX_INITIALIZER(pool.lock)};

static void pool_add(unsigned long pfn, int node)
{
	unsigned long i;

	for (i = 0; i < POOL_PIECE_PAGES; i++)
		set_page_private(pfn_to_page(pfn + i), pool.count + 1);
	pool.piece[pool.count++] = (struct pool_piece){.pfn = pfn, .node = node};
	atomic_long_inc(&pool.free);
}

/* May the GiB be asked for? All of it is RAM the kernel knows, of one zone, and not in use for good. */
static bool pool_giga_possible(unsigned long pfn, int node)
{
	struct zone *zone = NULL;
	unsigned long i;

	for (i = 0; i < POOL_GIGA_PAGES; i++) {
		struct page *page = pfn_to_online_page(pfn + i);

		if (!page || PageReserved(page) || page_to_nid(page) != node)
			return false;
		if (i && page_zone(page) != zone)
			return false;
		zone = page_zone(page);
	}
	return true;
}

/* Up to @p want pieces in whole GiB of the node. The kernel moves away what is movable. */
static size_t pool_take_gigas(int node, size_t want)
{
	unsigned long pfn = ALIGN(node_start_pfn(node), POOL_GIGA_PAGES);
	size_t i, got = 0;

	for (; want - got >= POOL_GIGA_PIECES && pfn + POOL_GIGA_PAGES <= node_end_pfn(node);
	     pfn += POOL_GIGA_PAGES) {
		if (fatal_signal_pending(current))
			break;
		cond_resched();
		if (!pool_giga_possible(pfn, node) || lnx_contig_alloc(pfn, POOL_GIGA_PAGES))
			continue;
		for (i = 0; i < POOL_GIGA_PIECES; i++)
			pool_add(pfn + i * POOL_PIECE_PAGES, node);
		got += POOL_GIGA_PIECES;
	}
	return got;
}

static size_t pool_take_pieces(int node, size_t want)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_THISNODE | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	struct page *page;
	size_t got;

	for (got = 0; got < want && !fatal_signal_pending(current); got++) {
		page = alloc_pages_node(node, gfp, POOL_PIECE_ORDER);
		if (!page)
			break;
		split_page(page, POOL_PIECE_ORDER);
		pool_add(page_to_pfn(page), node);
		cond_resched();
	}
	return got;
}

/*
 * The same share of each node that has memory, and the rest from any; whole GiB of all nodes first, because of the
 * order in pool.piece.
 */
static void pool_fill(size_t want)
{
	size_t nodes = num_node_state(N_MEMORY), share = DIV_ROUND_UP(want, nodes);
	size_t *got = kcalloc(nr_node_ids, sizeof(*got), GFP_KERNEL);
	int node;

	if (!got)
		return;
	for_each_node_state(node, N_MEMORY) got[node] =
		pool_take_gigas(node, min(share, want - pool.count));
	for_each_node_state(node, N_MEMORY)
		pool_take_pieces(node, min(share - got[node], want - pool.count));
	for_each_node_state(node, N_MEMORY) pool_take_pieces(node, want - pool.count);
	kfree(got);
}

int lnx_pool_init(void)
{
	u64 size, available = (u64)max(si_mem_available(), 0l) << PAGE_SHIFT;
	char *end;

	if (!mem_pool)
		return 0;
	size = memparse(mem_pool, &end);
	if (*end || !size || size % POOL_PIECE) {
		pr_err("palacios: mem_pool=%s is not a size in steps of 2M, such as 4G\n",
		       mem_pool);
		return -EINVAL;
	}
	if (size <= available) {
		pool.piece = kvcalloc(size / POOL_PIECE, sizeof(*pool.piece), GFP_KERNEL);
		if (pool.piece)
			pool_fill(size / POOL_PIECE);
		available = lnx_pool_size();
	}
	if (size > available) {
		pr_err("palacios: mem_pool=%s: the host has only %llu MiB to give: ask for less, "
		       "or load the module "
		       "right after boot\n",
		       mem_pool, available >> 20);
		lnx_pool_exit();
		return -ENOMEM;
	}
	pr_info("palacios: %llu MiB reserved for guests\n", size >> 20);
	return 0;
}

void lnx_pool_exit(void)
{
	unsigned long i;
	size_t n;

	for (n = 0; n < pool.count; n++) {
		struct page *page = pfn_to_page(pool.piece[n].pfn);

		for (i = 0; i < POOL_PIECE_PAGES; i++) {
			set_page_private(page + i, 0);
			__free_page(page + i);
		}
		cond_resched();
	}
	kvfree(pool.piece);
	pool.piece = NULL;
	pool.count = 0;
	atomic_long_set(&pool.free, 0);
}

u64 lnx_pool_size(void)
{
	return (u64)pool.count * POOL_PIECE;
}

u64 lnx_pool_free(void)
{
	return (u64)atomic_long_read(&pool.free) * POOL_PIECE;
}

/* Are @p n free pieces in a row at @p first, contiguous, aligned, and of the node? */
static bool pool_fits(size_t first, size_t n, unsigned long align, int node)
{
	const struct pool_piece *p = &pool.piece[first];
	size_t i;

	if (p->pfn & (align - 1))
		return false;
	for (i = 0; i < n; i++)
		if (smp_load_acquire(&p[i].used) || p[i].pfn != p->pfn + i * POOL_PIECE_PAGES ||
		    (node != V3_NODE_ANY && p[i].node != node))
			return false;
	return true;
}

/* Whole GiB are looked for from the bottom, smaller pieces from the top, where the single ones are. */
static ssize_t pool_find(size_t n, unsigned long align, int node)
{
	bool up = align >= POOL_GIGA_PAGES;
	size_t i, places = n <= pool.count ? pool.count - n + 1 : 0;

	for (i = 0; i < places; i++) {
		size_t first = up ? i : places - 1 - i;

		if (pool_fits(first, n, align, node))
			return first;
	}
	return -1;
}

v3_hpa_t lnx_pool_take(uint64_t npages, uint64_t align, int node)
{
	size_t i, n = npages / POOL_PIECE_PAGES;
	v3_hpa_t pa = V3_HPA_NONE;
	ssize_t first;

	if (!n || npages % POOL_PIECE_PAGES || align < POOL_PIECE)
		return V3_HPA_NONE;
	mutex_lock(&pool.lock);
	first = pool_find(n, align >> PAGE_SHIFT, node);
	if (first >= 0) {
		for (i = 0; i < n; i++)
			WRITE_ONCE(pool.piece[first + i].used, true);
		atomic_long_sub(n, &pool.free);
		pa = PFN_PHYS(pool.piece[first].pfn);
	}
	mutex_unlock(&pool.lock);
	return pa;
}

int lnx_pool_give_back(v3_hpa_t pa, uint64_t npages)
{
	size_t i, n = npages / POOL_PIECE_PAGES, first = page_private(pfn_to_page(PHYS_PFN(pa)));

	if (!first)
		return -ENOENT;
	if (npages % POOL_PIECE_PAGES || pool.piece[first - 1].pfn != PHYS_PFN(pa))
		return -EBUSY;
	for (i = 0; i < n; i++)
		smp_store_release(&pool.piece[first - 1 + i].used, false);
	atomic_long_add(n, &pool.free);
	return 0;
}
