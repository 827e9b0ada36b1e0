/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file walk.c
 * The walker of the guest's own page tables: one loop over level descriptors for every paging mode.
 *
 * walk_full() does everything in every mode. walk_quick() is a short cut for what nearly all walks are:
 * 4-level tables, access allowed, accessed and dirty bits set already, no view. It judges all entries at the
 * end and knows only "yes"; for anything else walk_slow() starts over and finds out what it is.
 *
 * Facts: APM vol. 2 5.2 (legacy), 5.3 (long mode), 5.4 (A and D), 5.6 (protection, SMEP, SMAP), 8.4.2 (error
 * code). Protection keys are not offered to guests. PAE page-directory-pointer entries are read from
 * memory at each walk, as APM vol. 2 5.2.3 lets a CPU do.
 */
#include "state.h"

#include "palacios/util/str.h"

#define PTE_P  (1ull << 0)
#define PTE_W  (1ull << 1)
#define PTE_U  (1ull << 2)
#define PTE_A  (1ull << 5)
#define PTE_D  (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_NX (1ull << 63)

#define PTE_ADDR 0x000ffffffffff000ull

/* How often an entry that another vcpu keeps changing is tried again. */
#define WALK_MAX_RETRIES 1000

#define WALK_LEAF    1 /* PS makes the entry a leaf */
#define WALK_NO_PERM 2 /* no protection or accessed bits here */

struct walk_level {
	uint8_t shift;	/* of the address bits that index the table, less log2 of the entry size */
	uint8_t flags;	/* WALK_* */
	uint16_t index; /* mask of the byte offset in the table */
	uint64_t rsvd;	/* bits that must be 0 in each entry */
	uint64_t leaf_rsvd; /* further ones in a leaf */
	uint64_t size;	    /* of a leaf's page */
};

struct walk_format {
	uint8_t top;	    /* level that CR3 points to; 0 = page table */
	uint8_t entry;	    /* bytes */
	uint64_t root;	    /* address field of CR3 */
	uint64_t high_rsvd; /* bits above the address field that must be 0 too */
	struct walk_level level[V3_WALK_MAX_LEVELS];
};

#define WALK_64_LEVELS                                                                             \
	{                                                                                          \
		{9, 0, 0xff8, 0, 0, V3_PAGE_SIZE},                                                 \
			{18, WALK_LEAF, 0xff8, 0, 0x001fe000, V3_SIZE_2M},                         \
			{27, WALK_LEAF, 0xff8, 0, 0x3fffe000, V3_SIZE_1G},                         \
			{36, 0, 0xff8, PTE_PS, 0, 0}, {45, 0, 0xff8, PTE_PS, 0, 0},                \
	}

static const struct walk_format walk_4_level = {3, 8, PTE_ADDR, 0, WALK_64_LEVELS};
static const struct walk_format walk_5_level = {4, 8, PTE_ADDR, 0, WALK_64_LEVELS};
/* Of a page-directory-pointer entry's reserved bits that of the accessed bit is let pass: QEMU's CPU sets it there. */
static const struct walk_format walk_pae = {
	2,
	8,
	0xffffffe0,
	0x7ff0000000000000ull,
	{
		{9, 0, 0xff8, 0, 0, V3_PAGE_SIZE},
		{18, WALK_LEAF, 0xff8, 0, 0x001fe000, V3_SIZE_2M},
		{27, WALK_NO_PERM, 0x18, PTE_NX | 0x1c6, 0, 0},
	},
};
/* A 4 MiB page's address bits 32..39 are in bits 13..20 of the entry, APM vol. 2 5.2.2. */
static const struct walk_format walk_32_pse = {
	1,
	4,
	0xfffff000,
	0,
	{
		{10, 0, 0xffc, 0, 0, V3_PAGE_SIZE},
		{20, WALK_LEAF, 0xffc, 0, 1u << 21, 1u << 22},
	},
};
static const struct walk_format walk_32 = {
	1,
	4,
	0xfffff000,
	0,
	{
		{10, 0, 0xffc, 0, 0, V3_PAGE_SIZE},
		{20, 0, 0xffc, 0, 0, 0},
	},
};

/* What an access needs, worked out once per walk. */
struct walk_need {
	uint64_t set;	/* bits that every entry must have */
	uint64_t clear; /* bits that no entry may have */
	bool no_user;	/* must not be a user page (SMEP, SMAP) */
	uint64_t rsvd;	/* reserved in every entry; PTE_NX without NXE */
};

static inline __attribute__((always_inline)) void
walk_needs(const struct v3_vcpu *vcpu, unsigned access, unsigned cpl, struct walk_need *need)
{
	const uint64_t write = access & V3_ACC_WRITE; /* the bit is PTE_W */
	const bool exec = access & V3_ACC_EXEC;

	need->clear = exec ? PTE_NX : 0;
	need->rsvd = vcpu->vm->mmu.guest_rsvd | (vcpu->efer & V3_EFER_NXE ? 0 : PTE_NX);
	need->no_user = false;
	if (cpl == 3) {
		need->set = PTE_P | PTE_U | write;
		return;
	}
	need->set = PTE_P | (vcpu->cr0 & V3_CR0_WP ? write : 0);
	if (exec)
		need->no_user = vcpu->cr4 & V3_CR4_SMEP;
	else if (vcpu->cr4 & V3_CR4_SMAP)
		need->no_user = vcpu->cpl == 3 || !(vcpu->regs.rflags & V3_RFLAGS_AC);
}
_Static_assert(V3_ACC_WRITE == PTE_W, "walk_needs() uses one as the other");

static uint32_t walk_error(const struct v3_vcpu *vcpu, unsigned access, unsigned cpl, uint32_t why)
{
	const bool nx = (vcpu->cr4 & V3_CR4_PAE) && (vcpu->efer & V3_EFER_NXE);

	if (access & V3_ACC_WRITE)
		why |= V3_PF_WRITE;
	if (cpl == 3)
		why |= V3_PF_USER;
	if ((access & V3_ACC_EXEC) && (nx || (vcpu->cr4 & V3_CR4_SMEP)))
		why |= V3_PF_FETCH;
	return why;
}

static inline __attribute__((always_inline)) uint64_t walk_read(const uint8_t *p, unsigned size)
{
	return size == 8 ? __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED)
			 : __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
}

/* Set bits in an entry that still has the value *e; else reload *e. @return false: changed meanwhile. */
static bool walk_mark(uint8_t *p, unsigned size, uint64_t *e, uint64_t bits)
{
	uint32_t e32 = (uint32_t)*e;
	bool ok;

	if (size == 8)
		return __atomic_compare_exchange_n((uint64_t *)p, e, *e | bits, false,
						   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	ok = __atomic_compare_exchange_n((uint32_t *)p, &e32, e32 | (uint32_t)bits, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	*e = e32;
	return ok;
}

static inline __attribute__((always_inline)) v3_gpa_t
walk_page(const struct walk_format *fmt, const struct walk_level *lv, uint64_t e)
{
	if (fmt->entry == 4 && lv->size != V3_PAGE_SIZE)
		return (e & 0xffc00000) | (e >> 13 & 0xff) << 32;
	return e & PTE_ADDR & ~(lv->size - 1);
}

/*
 * The last quick walk of each kind of access, with the entries it found. It is looked up by what the answer
 * depends on, and its entries are read again: so it cannot be stale, unlike a TLB, and nobody has to flush it.
 */
static inline __attribute__((always_inline)) void walk_remember(const struct v3_vcpu *vcpu,
								v3_gva_t gva, unsigned cpl,
								struct v3_walk_memo *memo,
								const struct v3_walk *out)
{
	memo->page = (gva >> V3_PAGE_SHIFT) + 1;
	memo->user = cpl == 3;
	memo->cr3 = vcpu->cr3;
	memo->cr4 = vcpu->cr4;
	memo->efer = vcpu->efer;
	memo->gpa = out->gpa & V3_PAGE_MASK;
	memo->page_size = out->page_size;
}

static inline __attribute__((always_inline)) bool walk_recall(const struct v3_vcpu *vcpu,
							      v3_gva_t gva, unsigned cpl,
							      const struct v3_walk_memo *memo,
							      struct v3_walk *out)
{
	if (memo->page != (gva >> V3_PAGE_SHIFT) + 1 || memo->user != (cpl == 3) ||
	    memo->cr3 != vcpu->cr3 || memo->cr4 != vcpu->cr4 || memo->efer != vcpu->efer ||
	    vcpu->mmu.view)
		return false;
#pragma GCC unroll 4
	for (unsigned i = 0; i < V3_ARRAY_SIZE(memo->at); i++)
		if (__atomic_load_n(memo->at[i], __ATOMIC_RELAXED) != memo->entry[i])
			return false;
	out->gpa = memo->gpa | (gva & (V3_PAGE_SIZE - 1));
	out->page_size = memo->page_size;
	return true;
}

/* Host address of the table page at @p gpa, whose chunk is split. NULL: not RAM. */
static inline const uint8_t *walk_split_table(uint64_t chunk_hva, uint64_t gpa)
{
	const struct v3_mem_split *split = (const struct v3_mem_split *)(chunk_hva - V3_CHUNK_SLOW);

	if (!split)
		return NULL;
	return (const uint8_t *)split->hva[(gpa >> V3_PAGE_SHIFT) % V3_PAGES_PER_2M];
}

/*
 * 4-level tables, nothing to write, no view. Entries are followed unchecked: the index into the chunk table
 * is cut to its size (a power of two), so that whatever an entry holds leads to RAM or ends the walk; all
 * entries are judged together at the end. Where the answer depends on rarely used features it is "don't
 * know". @return false: walk_slow() shall look at it.
 */
static bool walk_quick(struct v3_vcpu *vcpu, v3_gva_t gva, unsigned access, unsigned cpl,
		       struct v3_walk_memo *memo, struct v3_walk *out)
{
	const struct walk_level *const level = walk_4_level.level;
	const struct v3_mem *mem = &vcpu->vm->mem;
	const struct v3_mem_chunk *const chunk = mem->chunk;
	const uint64_t last = mem->nchunks - 1;
	const uint64_t must = PTE_P | PTE_A | (access & V3_ACC_WRITE ? PTE_W : 0);
	uint64_t all = ~0ull, e = vcpu->cr3, any = e, bad = 0, size = V3_PAGE_SIZE;

	if (V3_UNLIKELY(!(vcpu->efer & V3_EFER_LMA) || (vcpu->cr4 & V3_CR4_LA57) ||
			vcpu->mmu.view || !mem->nchunks))
		return false;
	memo->page = V3_WALK_NO_PAGE;
#pragma GCC unroll 4
	for (int l = 3; l >= 0; l--) {
		const uint64_t hva = chunk[e >> V3_CHUNK_SHIFT & last].hva;
		const uint8_t *table = (const uint8_t *)(hva + (e & 0x1ff000));

		if (V3_UNLIKELY(hva & V3_CHUNK_SLOW)) {
			table = walk_split_table(hva, e);
			if (!table)
				return false;
		}
		bad = any; /* of CR3 and the entries that point to tables */
		memo->at[l] = (const uint64_t *)(table + (gva >> level[l].shift & 0xff8));
		e = memo->entry[l] = __atomic_load_n(memo->at[l], __ATOMIC_RELAXED);
		all &= e;
		any |= e;
		if (level[l].rsvd && (e & level[l].rsvd))
			return false;
		if ((level[l].flags & WALK_LEAF) && (e & PTE_PS)) {
			if (V3_UNLIKELY(e & level[l].leaf_rsvd))
				return false;
			size = level[l].size;
			for (int k = 0; k < l; k++) {
				memo->at[k] = memo->at[l];
				memo->entry[k] = e;
			}
			break;
		}
	}
	bad &= PTE_ADDR & ~(last << V3_CHUNK_SHIFT | (V3_SIZE_2M - 1));
	bad |= any & vcpu->vm->mmu.guest_rsvd;
	if (access & V3_ACC_WRITE)
		bad |= ~e & PTE_D;
	if (access & V3_ACC_EXEC)
		bad |= any & PTE_NX; /* forbidden, or reserved without NXE */
	else if (any & PTE_NX)
		bad |= ~vcpu->efer & V3_EFER_NXE;
	if ((all & (must | PTE_U)) != (cpl == 3 ? must | PTE_U : must))
		bad |= 1; /* supervisor accesses to user pages are left to walk_slow(): SMEP, SMAP */
	if (V3_UNLIKELY(bad))
		return false;
	out->gpa = (e & PTE_ADDR & ~(size - 1)) | (gva & (size - 1));
	out->page_size = size;
	walk_remember(vcpu, gva, cpl, memo, out);
	return true;
}

/* Host address of a table entry; NULL: not RAM. *writable: accessed and dirty bits can be set there. */
static uint8_t *walk_entry(struct v3_vcpu *vcpu, v3_gpa_t gpa, bool *writable)
{
	bool rom;

	v3_mem_hpa(&vcpu->vm->mem, gpa, &rom);
	*writable = !rom;
	return vcpu->mmu.view ? v3_view_hva(vcpu, gpa) : v3_mem_hva(vcpu->vm, gpa);
}

/* A full walk under way. */
struct walk_run {
	struct v3_vcpu *vcpu;
	const struct walk_format *fmt;
	const struct walk_need *need;
	uint64_t mark;	   /* PTE_D if the leaf must have it */
	uint64_t all, any; /* of the entries so far: and, or */
	uint64_t entry;	   /* the last one */
	bool leaf;	   /* it is a leaf */
	uint32_t error;	   /* of the fault: V3_PF_PRESENT, V3_PF_RSVD */
};

/* Does an entry as it was read let the walk go on? Sets leaf, all, any or error. */
static bool walk_check(struct walk_run *w, const struct walk_level *lv, uint64_t e)
{
	const uint64_t rsvd = lv->rsvd | w->fmt->high_rsvd | w->need->rsvd;

	w->error = 0;
	if (!(e & PTE_P))
		return false;
	w->leaf = lv == w->fmt->level || ((lv->flags & WALK_LEAF) && (e & PTE_PS));
	w->error = V3_PF_PRESENT | V3_PF_RSVD;
	if (e & (rsvd | (w->leaf ? lv->leaf_rsvd : 0)))
		return false;
	if (lv->flags & WALK_NO_PERM)
		return true;
	w->all &= e;
	w->any |= e;
	w->error = V3_PF_PRESENT;
	return !w->leaf || !((~w->all & w->need->set) || (w->any & w->need->clear) ||
			     (w->need->no_user && (w->all & PTE_U)));
}

/* Read and check the entry at @p gpa; set its accessed bit and in a leaf, for a write, the dirty bit. */
static bool walk_step(struct walk_run *w, const struct walk_level *lv, v3_gpa_t gpa)
{
	const uint64_t all = w->all, any = w->any;
	bool writable;
	uint8_t *p = walk_entry(w->vcpu, gpa, &writable);

	/* A bus that nobody answers reads as all ones. */
	w->entry = p ? walk_read(p, w->fmt->entry) : w->fmt->entry == 8 ? ~0ull : ~0u;
	for (unsigned retry = 0; walk_check(w, lv, w->entry); retry++) {
		const uint64_t bits = (PTE_A | (w->leaf ? w->mark : 0)) & ~w->entry;

		if (!bits || (lv->flags & WALK_NO_PERM) || !p || !writable ||
		    retry == WALK_MAX_RETRIES)
			return true;
		if (walk_mark(p, w->fmt->entry, &w->entry, bits)) {
			v3_dirty_wrote(w->vcpu, gpa, p);
			return true;
		}
		w->all = all;
		w->any = any;
	}
	return false;
}

static bool walk_full(struct v3_vcpu *vcpu, const struct walk_format *fmt, v3_gva_t gva,
		      const struct walk_need *need, uint64_t mark, struct v3_walk *out)
{
	struct walk_run w = {.vcpu = vcpu, .fmt = fmt, .need = need, .mark = mark, .all = ~0ull};
	const struct walk_level *lv = &fmt->level[fmt->top];
	v3_gpa_t table = vcpu->cr3 & fmt->root;

	for (;; lv--) {
		if (!walk_step(&w, lv, table + (gva >> lv->shift & lv->index))) {
			out->error = w.error;
			return false;
		}
		if (w.leaf)
			break;
		table = w.entry & PTE_ADDR;
	}
	out->gpa = walk_page(fmt, lv, w.entry) | (gva & (lv->size - 1));
	out->page_size = lv->size;
	return true;
}

static const struct walk_format *walk_format_of(const struct v3_vcpu *vcpu)
{
	if (vcpu->efer & V3_EFER_LMA)
		return vcpu->cr4 & V3_CR4_LA57 ? &walk_5_level : &walk_4_level;
	if (vcpu->cr4 & V3_CR4_PAE)
		return &walk_pae;
	return vcpu->cr4 & V3_CR4_PSE ? &walk_32_pse : &walk_32;
}

/* Everything that walk_quick() is not sure about. */
static __attribute__((__noinline__)) int
walk_slow(struct v3_vcpu *vcpu, v3_gva_t gva, unsigned access, unsigned cpl, struct v3_walk *out)
{
	struct walk_need need;

	if (!(vcpu->cr0 & V3_CR0_PG)) {
		out->gpa = (uint32_t)gva;
		out->page_size = 1ull << 32;
		return V3_OK;
	}
	walk_needs(vcpu, access, cpl, &need);
	if (walk_full(vcpu, walk_format_of(vcpu), gva, &need, access & V3_ACC_WRITE ? PTE_D : 0,
		      out))
		return V3_OK;
	out->error = walk_error(vcpu, access, cpl, out->error);
	return V3_EFAULT;
}

static inline __attribute__((always_inline)) int
walk_any(struct v3_vcpu *vcpu, v3_gva_t gva, unsigned access, unsigned cpl, struct v3_walk *out)
{
	struct v3_walk_memo *memo = &vcpu->mmu.memo[access >> 1];

	if (V3_LIKELY(walk_recall(vcpu, gva, cpl, memo, out)) ||
	    V3_LIKELY(walk_quick(vcpu, gva, access, cpl, memo, out)))
		return V3_OK;
	return walk_slow(vcpu, gva, access, cpl, out);
}

int v3_walk(struct v3_vcpu *vcpu, v3_gva_t gva, unsigned access, unsigned cpl, struct v3_walk *out)
{
	return walk_any(vcpu, gva, access, cpl, out);
}

/* ---- instruction fetch ---- */

/* Outside 64-bit code linear addresses are 32 bits wide and wrap. */
static inline bool walk_wide(const struct v3_vcpu *vcpu)
{
	return (vcpu->efer & V3_EFER_LMA) && (vcpu->cs.attr & V3_SEG_L);
}

static inline v3_gva_t walk_rip(const struct v3_vcpu *vcpu)
{
	if (V3_LIKELY(walk_wide(vcpu)))
		return vcpu->regs.rip;
	return (uint32_t)(vcpu->cs.base + vcpu->regs.rip);
}

/* RAM or ROM as the vcpu sees it. */
static inline uint8_t *walk_ram(struct v3_vcpu *vcpu, v3_gpa_t gpa)
{
	return V3_UNLIKELY(vcpu->mmu.view) ? v3_view_hva(vcpu, gpa) : v3_mem_hva(vcpu->vm, gpa);
}

const uint8_t *v3_fetch_ptr(struct v3_vcpu *vcpu, size_t *avail)
{
	const v3_gva_t gva = walk_rip(vcpu);
	struct v3_walk w;

	if (walk_any(vcpu, gva, V3_ACC_EXEC, vcpu->cpl, &w) != V3_OK)
		return NULL;
	*avail = V3_PAGE_SIZE - (gva & (V3_PAGE_SIZE - 1));
	return walk_ram(vcpu, w.gpa);
}

int v3_fetch(struct v3_vcpu *vcpu, uint8_t *buf, size_t want, size_t *got)
{
	const bool wide = walk_wide(vcpu);
	v3_gva_t gva = walk_rip(vcpu);

	*got = 0;
	while (*got < want) {
		size_t n = V3_PAGE_SIZE - (gva & (V3_PAGE_SIZE - 1));
		const uint8_t *ram;
		struct v3_walk w;

		if (n > want - *got)
			n = want - *got;
		if (v3_walk(vcpu, gva, V3_ACC_EXEC, vcpu->cpl, &w) != V3_OK)
			break;
		ram = walk_ram(vcpu, w.gpa);
		if (ram)
			memcpy(buf + *got, ram, n);
		else
			memset(buf + *got, 0xff, n);
		*got += n;
		gva = wide ? gva + n : (uint32_t)(gva + n);
	}
	return *got ? V3_OK : V3_EFAULT;
}
