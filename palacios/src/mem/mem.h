/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file mem.h
 * The guest-physical map: RAM and ROM, MMIO regions, page hooks. Accesses as the guest would make them.
 *
 * RAM is set up before the VM first runs and stays, but for the host pages behind it where the guest has given them
 * back (release.c); MMIO regions and hooks come, go and move while it runs. Writers hold v3_mem.lock and make v3_mem.seq odd while they change something;
 * readers take no lock and repeat their look-up if seq moved. palacios/doc/memory.md tells the whole story.
 */
#ifndef V3_MEM_MEM_H
#define V3_MEM_MEM_H

#include "palacios/mem.h"
#include "palacios/types.h"
#include "palacios/vm.h"
#include "util/seqcount.h"

struct v3_exit;
struct v3_vcpu;
struct v3_vm;

#define V3_MEM_MAX_REGIONS 32
#define V3_MEM_MAX_MMIO	   128
#define V3_PAGEMAP_BUCKETS 64
#define V3_PAGES_PER_2M	   512
#define V3_CHUNK_SHIFT	   21

/* Low bits of the hpa fields below. */
#define V3_CHUNK_ROM	    (1ull << 0) /* guest writes are ignored */
#define V3_CHUNK_HOOK	    (1ull << 1) /* some page of the chunk is hooked (chunk only) */
#define V3_CHUNK_MMIO	    (1ull << 2) /* an MMIO region covers part of the chunk (chunk only) */
#define V3_CHUNK_GIGA	    (1ull << 3) /* lies in a whole, aligned, host-contiguous GiB (chunk only) */
#define V3_CHUNK_DIRTY	    (1ull << 4) /* writes to the chunk are noted (chunk only) */
#define V3_CHUNK_RELEASED   (1ull << 5) /* RAM that the guest has given back: hva is 0; release.c */
#define V3_CHUNK_LIMBO	    (1ull << 6) /* released, but somebody may still use the host page */
#define V3_CHUNK_EPOCH	    (1ull << 7) /* LIMBO: which grace period ends that */
/* Not of the RAM that was taken for the VM. Page: of page_alloc(). Chunk: it was taken later, in one piece of its own. */
#define V3_CHUNK_FRESH	    (1ull << 8)
#define V3_CHUNK_PLAIN_MASK (V3_CHUNK_ROM | V3_CHUNK_HOOK | V3_CHUNK_MMIO)

/* Low bit of v3_mem_chunk.hva: not one host piece; the other bits point to a v3_mem_split or are 0. */
#define V3_CHUNK_SLOW 1ull

/** 2 MiB of guest-physical space. */
struct v3_mem_chunk {
	uint64_t hva; /* host address of the 2 MiB, or V3_CHUNK_SLOW | pointer */
	uint64_t hpa; /* its host-physical address (0 if SLOW, unless RELEASED) | V3_CHUNK_* */
};

/** A chunk that is RAM only in part, has no contiguous host piece or was released in part: page by page. Stays as
 * long as the VM. */
struct v3_mem_split {
	uint64_t hva[V3_PAGES_PER_2M]; /* 0: not RAM, or released */
	uint64_t hpa[V3_PAGES_PER_2M]; /* 0: not RAM; | V3_CHUNK_ROM and those of released RAM */
};

/** Sparse map of pages to words: a hash of 2 MiB groups. Groups stay until v3_pagemap_fini(). */
struct v3_page_group {
	struct v3_page_group *next;
	uint64_t key;	/* gpa >> V3_CHUNK_SHIFT */
	uint32_t count; /* slots that are not 0 */
	uint64_t slot[V3_PAGES_PER_2M];
};
struct v3_pagemap {
	struct v3_page_group *bucket[V3_PAGEMAP_BUCKETS]; /* owned */
	uint32_t count;					  /* slots in use in all groups */
};

/** An MMIO region. */
struct v3_mmio_region {
	v3_gpa_t gpa;
	uint64_t size; /* 0: free entry */
	v3_mmio_fn fn;
	void *priv;
};

/** A hooked page; recycled through v3_mem.free_hooks, freed with the VM. */
struct v3_mem_hook {
	v3_mmio_fn fn;
	void *priv;
	unsigned access; /* V3_ACC_READ | V3_ACC_WRITE */
	struct v3_mem_hook *next_free;
};

/** Host pieces taken for RAM. */
struct v3_mem_pieces {
	struct v3_mem_pieces *next;
	uint32_t count;
	struct {
		v3_gpa_t gpa; /* where it was placed */
		v3_hpa_t hpa;
		uint64_t npages;
	} piece[169];
};

/** How writes of the guest are noticed. */
enum v3_dirty_how {
	V3_DIRTY_OFF,
	V3_DIRTY_PROTECT, /* leaves are read-only until the first write, which faults */
	V3_DIRTY_BITS,	  /* the CPU sets the dirty bit of a leaf: harvests look at all of them */
	V3_DIRTY_LOG	  /* and notes the address in a log */
};

/** Tracking of written pages; dirty.c. */
struct v3_dirty {
	uint8_t how;  /* enum v3_dirty_how; changed under v3_mem.lock */
	v3_gpa_t gpa; /* the range tracked, whole chunks: those with V3_CHUNK_DIRTY */
	uint64_t size;
	uint64_t *
		bits; /* owned, ram_alloc: a bit per page, atomic; kept from the first start to the VM's end */
	v3_hpa_t bits_hpa;
	uint64_t bits_pages;
};

/** Memory of a device, under guest-physical addresses that the device chooses; card.c. */
struct v3_card {
	struct v3_vm *vm;     /* not owned; outlives the card */
	struct v3_card *next; /* v3_mem.cards */
	uint64_t size;
	v3_gpa_t
		gpa; /* where it is seen, V3_GPA_NONE: nowhere; changed under v3_mem.lock, atomic */
	struct v3_card_chunk {
		uint8_t *whole; /* owned: 2 MiB, aligned in the host; or NULL and: */
		uint8_t **
			page; /* owned, with the pages: the pages of these 2 MiB; NULL entries behind the end */
	} chunk[];
};

/** RAM whose pages can show other memory. */
struct v3_mem_window {
	v3_gpa_t gpa;
	uint64_t size;
	bool shows_ram; /* it has shown RAM of another place; v3_mem.lock */
	struct v3_mem_window_page {
		uint64_t hva, hpa; /* of the RAM that lies there */
		bool under;	   /* writes go to it although something else is shown */
	} page[];
};

struct v3_mem {
	struct v3_mem_chunk *chunk; /* owned, ram_alloc: by gpa >> V3_CHUNK_SHIFT */
	uint64_t nchunks;	    /* 0 or a power of two */
	v3_hpa_t chunk_hpa;
	uint64_t chunk_pages;

	struct v3_lock lock; /* guards changes of what is below, nested tables and views */
	uint32_t seq;	     /* odd while mmio[] or hooks change */
	uint8_t gpa_bits;    /* guest-physical address width */
	int node;	     /* NUMA node of the first RAM: nested tables go there too */
	int ram_node;	     /* of the region that is being added */

	uint32_t nmmio;
	struct v3_mmio_region mmio[V3_MEM_MAX_MMIO]; /* sorted by gpa, no overlaps */
	struct v3_pagemap hooks;		     /* slot: struct v3_mem_hook * */
	struct v3_mem_hook *free_hooks;		     /* owned */

	struct v3_mem_window *window; /* owned; NULL: none */
	struct v3_card *cards; /* list, changed while no vcpu runs; not owned: the devices' */
	uint32_t nregions;
	struct v3_mem_range region[V3_MEM_MAX_REGIONS]; /* sorted by gpa */
	struct v3_mem_pieces *pieces;			/* owned */
	struct v3_dirty dirty;
	struct v3_release *release; /* owned; NULL: RAM is never given back */
	uint64_t ram_bytes, backed_1g, backed_2m, backed_4k;
};

/**
 * Set up an empty map; the address width is that of the back end (v3_lib.caps). vm->mem must be zeroed.
 * thread. @return V3_OK, V3_ENOMEM.
 */
int v3_mem_init(struct v3_vm *vm);
/** Free the map and all RAM, after v3_mmu_fini(). thread. A zeroed or half-made map is allowed. */
void v3_mem_fini(struct v3_vm *vm);

/** Slow half of v3_mem_find(): chunks without one host piece, cards. A released page gets a host page again. */
uint8_t *v3_mem_find_slow(const struct v3_mem *mem, v3_gpa_t gpa);

/**
 * Host address of the guest-physical byte @p gpa: RAM, ROM or a card, whatever lies over it (MMIO, hooks, views).
 * Valid to the end of its 4 KiB page and as long as v3_mem_ptr() says. atomic, not under v3_mem.lock.
 * @return NULL if it is neither.
 */
static inline uint8_t *v3_mem_find(const struct v3_mem *mem, v3_gpa_t gpa)
{
	uint64_t n = gpa >> V3_CHUNK_SHIFT;
	uint64_t hva;

	if (V3_UNLIKELY(n >= mem->nchunks))
		return v3_mem_find_slow(mem, gpa);
	hva = __atomic_load_n(&mem->chunk[n].hva, __ATOMIC_RELAXED);
	if (V3_UNLIKELY(hva & V3_CHUNK_SLOW))
		return v3_mem_find_slow(mem, gpa);
	return (uint8_t *)(hva + (gpa & (V3_SIZE_2M - 1)));
}

/* Look-ups that take no lock: repeat between begin and a false retry. */
static inline uint32_t v3_mem_read_begin(const struct v3_mem *mem)
{
	return v3_seq_read_begin(&mem->seq);
}
static inline bool v3_mem_read_retry(const struct v3_mem *mem, uint32_t seq)
{
	return v3_seq_read_retry(&mem->seq, seq);
}
/* Around each change of mmio[] or hooks; under v3_mem.lock. */
static inline void v3_mem_write_begin(struct v3_mem *mem)
{
	v3_seq_write_begin(&mem->seq);
}
static inline void v3_mem_write_end(struct v3_mem *mem)
{
	v3_seq_write_end(&mem->seq);
}

/* v3_mem_find() from the VM; needs state.h. */
#define v3_mem_hva(vm, gpa) v3_mem_find(&(vm)->mem, (gpa))

/**
 * Host-physical address and V3_CHUNK_ROM of a page, cards included. any; stable only under v3_mem.lock.
 * @return V3_HPA_NONE: nothing of that, or released.
 */
v3_hpa_t v3_mem_hpa(const struct v3_mem *mem, v3_gpa_t gpa, bool *rom);
/** Is the page RAM or, *rom set, ROM, released or not? any. */
bool v3_mem_backed(const struct v3_mem *mem, v3_gpa_t gpa, bool *rom);
/** The same, or a card's. any. */
bool v3_mem_is_memory(const struct v3_mem *mem, v3_gpa_t gpa, bool *rom);
/** Have the chunk kept page by page. Under v3_mem.lock, or before the VM runs. @return its pages; NULL: no memory */
struct v3_mem_split *v3_mem_split_chunk(struct v3_mem *mem, v3_gpa_t gpa);
/** The pages of a chunk; NULL: it is in one piece, or has none. */
static inline struct v3_mem_split *v3_mem_pages_of(const struct v3_mem_chunk *chunk)
{
	const uint64_t hva = __atomic_load_n(&chunk->hva, __ATOMIC_RELAXED);

	return hva & V3_CHUNK_SLOW ? (struct v3_mem_split *)(hva & ~V3_CHUNK_SLOW) : NULL;
}
/** No 1 GiB leaf may cover the chunk any more. As v3_mem_split_chunk(). */
void v3_mem_unmark_giga(struct v3_mem *mem, v3_gpa_t gpa);

/* ---- card.c ---- */

/** Host address of the byte at @p gpa, valid to the end of its page. any. @return NULL: no card there. */
uint8_t *v3_card_find(const struct v3_mem *mem, v3_gpa_t gpa);
/** Can one 2 MiB leaf map all around @p gpa as a card? Under v3_mem.lock. */
bool v3_card_large(const struct v3_mem *mem, v3_gpa_t gpa);
/** Does RAM or ROM overlap [gpa, gpa + size)? any. */
bool v3_mem_ram_overlaps(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t size);
/** Does a card? Under v3_mem.lock. */
bool v3_card_overlaps(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t size);
/** Page-aligned, not empty, within the VM's address width? any. */
bool v3_mem_range_valid(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t size);

/** Exit handler of V3_EXIT_NESTED_FAULT. Own thread. @return as every exit handler. */
int v3_mem_fault_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);

/**
 * One access as the guest would make it. Own thread.
 *
 * RAM: copied. MMIO and hooked pages: the handler is called with pieces of 8, 4, 2, 1 bytes, lowest first.
 * ROM: writes are dropped. Neither: reads all ones, writes are dropped.
 *
 * @param len  1..64, [gpa, gpa + len) within one page
 * @return V3_OK; V3_EFAULT: the vcpu's view forbids the access and its handler has been told: drop the
 *         instruction and enter the guest again; else the handler's result.
 */
int v3_mem_access(struct v3_vcpu *vcpu, v3_gpa_t gpa, void *buf, size_t len, bool write);

/**
 * Host address for an access in place, for locked instructions. Own thread; for this instruction only.
 * @return NULL unless the whole range lies in one page of RAM where no hook, MMIO region or view permission
 *         is in the way (and, for @p write, that is not ROM): then use v3_mem_access().
 */
void *v3_mem_direct(struct v3_vcpu *vcpu, v3_gpa_t gpa, size_t len, bool write);

/** What the VM's map allows the hardware to do with a page (views aside): V3_ACC_* mask, 0 = trap all.
 * any context; stable only under v3_mem.lock. */
unsigned v3_mem_page_perm(struct v3_vm *vm, v3_gpa_t gpa);

/** The hook of the page: its handler and kinds of access. any, lock-free. @return false: not hooked. */
bool v3_mem_hook_find(const struct v3_mem *mem, v3_gpa_t gpa, struct v3_mem_hook *out);
/**
 * A write to a page that hardware may not write: to the RAM under it if the window says so.
 * any context. @return false: not the window's affair, drop it.
 */
bool v3_mem_window_write(struct v3_mem *mem, v3_gpa_t gpa, const void *buf, size_t len);
/** Put V3_CHUNK_MMIO on the RAM chunks that MMIO regions lie over. Before the VM runs or under the lock. */
void v3_mem_mmio_mark(struct v3_mem *mem);

/** Does an MMIO region overlap [gpa, gpa + size)? Under v3_mem.lock. */
bool v3_mem_mmio_overlaps(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t size);

/** The MMIO region at @p gpa: copied to @p out. any, lock-free. @p hint: an index tried first, updated. */
bool v3_mem_mmio_find(const struct v3_mem *mem, v3_gpa_t gpa, uint32_t *hint,
		      struct v3_mmio_region *out);

/* ---- dirty.c ---- */

/** Are writes to the page noted? any. Stable under v3_mem.lock. */
static inline bool v3_dirty_tracks(const struct v3_mem *mem, v3_gpa_t gpa)
{
	const uint64_t n = gpa >> V3_CHUNK_SHIFT;

	return n < mem->nchunks &&
	       (__atomic_load_n(&mem->chunk[n].hpa, __ATOMIC_RELAXED) & V3_CHUNK_DIRTY);
}
/** The page was, or is about to be, written by the guest. any; @p gpa from the hardware, checked. */
void v3_dirty_note(struct v3_mem *mem, v3_gpa_t gpa);
/** As v3_mem_wrote(), where the page is tracked: we wrote at @p ram for the vcpu; its view may have its own page there. */
void v3_dirty_wrote_tracked(struct v3_vcpu *vcpu, v3_gpa_t gpa, const uint8_t *ram);
/* The same of any page, after the write: whoever begins to track meanwhile has not seen it. Needs state.h. */
#define v3_dirty_wrote(vcpu, gpa, ram)                                                             \
	do {                                                                                       \
		if (V3_UNLIKELY(v3_dirty_tracks(&(vcpu)->vm->mem, (gpa))))                         \
			v3_dirty_wrote_tracked((vcpu), (gpa), (ram));                              \
	} while (0)
/** Exit handler of V3_EXIT_DIRTY_LOG: the vcpu's log is full. Own thread. */
int v3_dirty_log_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
/** Free the bitmap; with the VM. */
void v3_dirty_fini(struct v3_mem *mem);

/* ---- release.c ---- */

/** Give a released page its host page back. atomic, not under v3_mem.lock. @return as v3_mem_find() */
uint8_t *v3_release_touch(const struct v3_mem *mem, v3_gpa_t gpa);
/**
 * The same at a nested fault: may sleep for it, and takes 2 MiB where all of them are released. Own thread.
 * @return V3_OK; V3_ENOMEM: the VM stops
 */
int v3_release_fault(struct v3_vcpu *vcpu, v3_gpa_t gpa);
/** Its part of v3_mem_get_stats(). Under v3_mem.lock. */
void v3_release_stats(const struct v3_mem *mem, struct v3_mem_stats *out);
/** Give the host what is left of pieces that parts of were given back, and what was taken since. With the VM. */
void v3_release_fini(struct v3_mem *mem);

/* ---- pagemap.c: callers serialise changes; look-ups are lock-free ---- */

static inline unsigned v3_pagemap_slot(v3_gpa_t gpa)
{
	return (gpa >> V3_PAGE_SHIFT) % V3_PAGES_PER_2M;
}

/** The group of 2 MiB number @p key, NULL if there is none. */
static inline struct v3_page_group *v3_pagemap_group(const struct v3_pagemap *map, uint64_t key)
{
	struct v3_page_group *g;

	g = __atomic_load_n(&map->bucket[key % V3_PAGEMAP_BUCKETS], __ATOMIC_ACQUIRE);
	while (g && g->key != key)
		g = g->next;
	return g;
}

/** The word of the page, 0 if none. */
static inline uint64_t v3_pagemap_get(const struct v3_pagemap *map, v3_gpa_t gpa)
{
	const struct v3_page_group *g = v3_pagemap_group(map, gpa >> V3_CHUNK_SHIFT);

	return g ? __atomic_load_n(&g->slot[v3_pagemap_slot(gpa)], __ATOMIC_ACQUIRE) : 0;
}

/** Set it; 0 clears. @return V3_OK; V3_ENOMEM (nothing changed; never when clearing). */
int v3_pagemap_set(struct v3_pagemap *map, v3_gpa_t gpa, uint64_t word);
/** Is any word set in [gpa, gpa + size)? @p size: V3_SIZE_2M or V3_SIZE_1G, @p gpa aligned to it. */
bool v3_pagemap_any(const struct v3_pagemap *map, v3_gpa_t gpa, uint64_t size);
/** Free the groups. */
void v3_pagemap_fini(struct v3_pagemap *map);

#endif
