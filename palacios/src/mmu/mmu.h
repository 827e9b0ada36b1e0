/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file mmu.h
 * Translation: the guest's own page tables (walk.c), the nested tables (nested/), views (view.c) and the one
 * way to drop cached translations (flush.c). palacios/doc/memory.md describes how they work together.
 */
#ifndef V3_MMU_MMU_H
#define V3_MMU_MMU_H

#include "mem/mem.h"
#include "palacios/mem.h"
#include "palacios/types.h"
#include "palacios/vcpu.h"
#include "palacios/view.h"

struct v3_nested_fmt;
struct v3_vcpu;
struct v3_vm;

#define V3_WALK_MAX_LEVELS 5

/** A nested table: the VM's own or a view's. Changed under v3_mem.lock. */
struct v3_nested {
	const struct v3_nested_fmt *fmt; /* entry format, nested/format.h */
	v3_hpa_t root;			 /* owned; V3_HPA_NONE or 0 before init */
	uint64_t *root_va;
	uint64_t leaves[3]; /* present leaves: 4 KiB, 2 MiB, 1 GiB */
	uint64_t pages;	    /* table pages, the root included */
	uint8_t levels;
	int node;
	struct v3_mem *mem;   /* not owned: its tracker learns of written pages whose leaf goes */
	uint64_t removed;     /* how often an entry was taken out or tightened; atomic */
	v3_gpa_t removed_gpa; /* where last */
};

struct v3_mmu {
	struct v3_nested nested;
	struct v3_view *views; /* list, under v3_mem.lock; owned until v3_view_destroy() */
	bool leaf_1g;	       /* 1 GiB nested leaves can be used */
	bool exec_only;	       /* the hardware can forbid reading alone */
	v3_hpa_t
		apic_access; /* not owned: page at which the hardware answers for the local APIC; 0: none */
	bool apic_shown; /* it is mapped; under v3_mem.lock */
	/* Reserved in the guest's own 64-bit entries: address bits above the VM's width. */
	uint64_t guest_rsvd;
};

#define V3_WALK_NO_PAGE 0ull

/** The last simple walk of one kind of access (walk.c): the entries found and what else it depends on. */
struct v3_walk_memo {
	uint64_t page; /* guest-virtual page number + 1; V3_WALK_NO_PAGE: nothing remembered */
	uint64_t cr3, cr4, efer;
	v3_gpa_t gpa;
	uint64_t page_size;
	const volatile uint64_t *at[4]; /* the table entries, and their values then */
	uint64_t entry[4];
	bool user;
};

/** The hook of the page that the vcpu last met one on (mem/access.c), while v3_mem.seq stands still. */
struct v3_hook_memo {
	uint64_t page; /* guest-physical page number + 1; 0: none */
	uint32_t seq;
	struct v3_mem_hook hook;
};

/** What the CPU may have cached for a vcpu (stale.c). Own thread; means something only with checks on. */
struct v3_cached {
	bool any;		      /* it has entered since the last flush */
	uint64_t removed;	      /* of its table, before that */
	uint64_t cr0, cr3, cr4, efer; /* when it left the guest last */
	uint64_t since_ns;	      /* when an entry was first put off; 0: it was not */
};

/** RAM that an instruction being emulated writes through a pointer (exit/emulate.c). Own thread. */
struct v3_lent {
	v3_gpa_t gpa;
	uint8_t *ram;	     /* NULL: none */
	struct v3_work done; /* runs when it has */
};

struct v3_vcpu_mmu {
	struct v3_lent lent;
	struct v3_view *view;	       /* NULL: the VM's own table; not owned */
	uint32_t mmio_hint;	       /* region of the last MMIO access */
	struct v3_hook_memo hook_memo; /* own thread */
	struct v3_walk_memo memo[3];   /* by access: read, write, execute; own thread */
	struct v3_cached cached;
};

/** Make the VM's nested root. After v3_mem_init(). thread. @return V3_OK, V3_ENOMEM, V3_ENOTSUP. */
int v3_mmu_init(struct v3_vm *vm);
/** Free nested tables and remaining views. No vcpu runs any more. A zeroed state is allowed. */
void v3_mmu_fini(struct v3_vm *vm);
/** Root of the table the vcpu runs on: the active view's or the VM's. Own thread or stopped. */
v3_hpa_t v3_mmu_root(const struct v3_vcpu *vcpu);
/** That table. Own thread or stopped. */
const struct v3_nested *v3_mmu_table(const struct v3_vcpu *vcpu);
/**
 * What the nested tables that the vcpu runs on have for @p gpa, entry by entry; for dumps. Takes v3_mem.lock. Own
 * thread or stopped.
 * @return entries written, root first
 */
unsigned v3_mmu_path(struct v3_vcpu *vcpu, v3_gpa_t gpa, uint64_t entry[V3_WALK_MAX_LEVELS]);

/** Result of a walk. */
struct v3_walk {
	v3_gpa_t gpa;	    /* V3_OK: translation */
	uint64_t page_size; /* V3_OK: size of the page, 4096 .. 1 GiB (4 GiB with paging off) */
	uint32_t error;	    /* V3_EFAULT: #PF error code, V3_PF_* */
};

/**
 * Walk the guest's page tables as hardware would for one access: every paging mode, all permission checks,
 * accessed and dirty bits. Own thread. Segmentation and canonical checks are the caller's; of a gva that is
 * not canonical the upper bits are ignored.
 *
 * @param access  one V3_ACC_* (READ, WRITE or EXEC)
 * @param cpl     privilege of the access, 0..3. A supervisor access while the vcpu's CPL is 3 is an implicit
 *                one (descriptor tables, TSS): RFLAGS.AC does not lift SMAP for it.
 * @return V3_OK; V3_EFAULT (out->error set, nothing else; no exception has been queued).
 */
int v3_walk(struct v3_vcpu *vcpu, v3_gva_t gva, unsigned access, unsigned cpl, struct v3_walk *out);

/**
 * Instruction bytes at CS:RIP in place. Own thread; the guest may change them meanwhile (another vcpu), so
 * whoever decides on them twice must copy first.
 *
 * @param avail  set to the bytes up to the end of the page
 * @return NULL if they cannot be read there (page fault, not RAM): v3_fetch() says why
 */
const uint8_t *v3_fetch_ptr(struct v3_vcpu *vcpu, size_t *avail);
/**
 * Copy instruction bytes at CS:RIP. Own thread. Bytes outside RAM read as 0xff, as on a bus nobody answers.
 *
 * @param want  1..15
 * @param got   bytes copied: fewer than @p want if the second page cannot be fetched from
 * @return V3_OK (*got >= 1); V3_EFAULT: the first byte cannot be fetched (enter the guest again: its own
 *         fetch raises the fault)
 */
int v3_fetch(struct v3_vcpu *vcpu, uint8_t *buf, size_t want, size_t *got);

/** Drop the cached translations of one vcpu before its next entry. any context. */
void v3_flush_vcpu(struct v3_vcpu *vcpu);
/** The same for all vcpus of the VM; returns at once. any context. */
void v3_flush_vm(struct v3_vm *vm);
/**
 * The same, and wait until no vcpu is in the guest with translations from before the call. A vcpu's own
 * thread (inside a handler) or another thread; not under v3_mem.lock. Nested entries that were removed
 * before the call are out of use afterwards.
 */
void v3_flush_vm_sync(struct v3_vm *vm);
/** As v3_flush_vm_sync(), and each vcpu tells its back end its nested root once more. */
void v3_flush_vm_roots(struct v3_vm *vm);

/* ---- stale.c, for vm/: checks for flushes that are missing ---- */

/** The vcpu's translations are dropped before its next entry. Own thread or stopped. */
static inline void v3_stale_flushed(struct v3_vcpu_mmu *mmu)
{
	mmu->cached.any = false;
}
/** The vcpu has left the guest, its registers are current. Own thread. */
void v3_stale_left(struct v3_vcpu *vcpu);
/**
 * May the vcpu enter, as far as cached translations go? Own thread.
 * @return V3_OK; V3_EAGAIN: ask again, a flush is due; V3_EIO: it is missing, logged
 */
int v3_stale_check(struct v3_vcpu *vcpu);

/* ---- view.c, for mem/ ---- */

/**
 * What the view says about a page. any, lock-free.
 * @param perm  set to the V3_ACC_* allowed
 * @param hpa   set to the view's own host page, V3_HPA_NONE if it shows the VM's
 * @return false: the page is not special in the view (outputs not set)
 */
bool v3_view_page(const struct v3_view *view, v3_gpa_t gpa, unsigned *perm, v3_hpa_t *hpa);
/** As v3_pagemap_any() for the view's special pages. */
bool v3_view_any(const struct v3_view *view, v3_gpa_t gpa, uint64_t size);
/** Tell the view's handler about a forbidden access. @return its result. */
int v3_view_fault(struct v3_vcpu *vcpu, v3_gpa_t gpa, unsigned access);
/** Host address of a RAM or ROM byte as the vcpu sees it on its view. NULL: neither. */
uint8_t *v3_view_hva(struct v3_vcpu *vcpu, v3_gpa_t gpa);

/* ---- nested/map.c, for mem/ and view.c ---- */

/**
 * Fill in the table for a fault at @p gpa, RAM or ROM, with the largest leaf that the map and @p view allow.
 * Takes v3_mem.lock. @p view: the one whose table is meant, NULL: the VM's.
 * @return V3_OK; V3_ENOENT: nothing may be mapped there for @p access (emulate it); V3_EAGAIN: the page is released,
 *         v3_release_fault() first; V3_ENOMEM.
 */
int v3_mmu_map_fault(struct v3_vm *vm, struct v3_view *view, v3_gpa_t gpa, unsigned access);
/** Remove [gpa, gpa + size) from the VM's table and all views'; under v3_mem.lock.
 * @return true if anything was there: flush. */
bool v3_mmu_drop(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size);
/**
 * Take the pages that the 2 MiB at @p gpa say were written, in the VM's table and all views', and have the next
 * write to them noticed. Under v3_mem.lock. @p words: 512 bits by page; for V3_DIRTY_BITS written ones are added,
 * else only those set are looked at. @return true if anything was changed: flush
 */
bool v3_mmu_clean(struct v3_vm *vm, v3_gpa_t gpa, uint64_t *words);
/**
 * The pages of each 2 MiB that [gpa, gpa + size) touches have become ordinary again: let the next fault use a
 * large leaf. Call without lock. @p view: only its table; NULL: the VM's and all views'. Flushes and waits.
 */
void v3_mmu_relax(struct v3_vm *vm, struct v3_view *view, v3_gpa_t gpa, uint64_t size);

/* ---- nested/apic.c ---- */

/**
 * A vcpu's v3_vcpu.apic_mode has changed: map v3_mmu.apic_access where the local APIC is, in all tables, while that
 * is what every vcpu wants; else unmap it and wait. Takes v3_mem.lock. Any vcpu thread.
 */
void v3_mmu_apic_mode(struct v3_vm *vm);
/** A new view: map it there as well. Under v3_mem.lock. */
void v3_mmu_apic_view(struct v3_vm *vm, struct v3_nested *table);

#endif
