/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_walk.c
 * The walker of guest page tables against a second, straightforward one written from the manual, on random
 * tables in every mode; then single rules by example, instruction fetch and copies.
 */
#include "mem_vm.h"

#define RAM_SIZE (4 * V3_SIZE_2M)

enum mode { MODE_32, MODE_PSE, MODE_PAE, MODE_4LEVEL, MODE_5LEVEL, MODES };
static const char *const mode_name[MODES] = {"32-bit", "32-bit PSE", "PAE", "4-level", "5-level"};

/* ---- the reference: APM vol. 2 5.2 - 5.6, one entry after the other ---- */

struct ref {
	int result;
	v3_gpa_t gpa;
	uint64_t size;
	uint32_t error;
};

static uint64_t ref_load(uint8_t *ram, uint64_t gpa, unsigned bytes)
{
	uint64_t e = 0;

	if (gpa + bytes > RAM_SIZE || gpa + bytes < gpa)
		return bytes == 8 ? ~0ull : 0xffffffffull;
	memcpy(&e, ram + gpa, bytes);
	return e;
}

static void ref_or(uint8_t *ram, uint64_t gpa, unsigned bit)
{
	if (gpa < RAM_SIZE)
		ram[gpa] |= (uint8_t)(1u << bit);
}

static struct ref ref_fault(const struct v3_vcpu *v, unsigned access, unsigned cpl, bool present,
			    bool rsvd)
{
	struct ref r = {.result = V3_EFAULT};

	r.error = (present ? 1 : 0) | (access == V3_ACC_WRITE ? 2 : 0) | (cpl == 3 ? 4 : 0) |
		  (rsvd ? 8 : 0);
	if (access == V3_ACC_EXEC &&
	    ((v->cr4 & V3_CR4_SMEP) || ((v->efer & V3_EFER_NXE) && (v->cr4 & V3_CR4_PAE))))
		r.error |= 16;
	return r;
}

static struct ref ref_walk(const struct v3_vcpu *v, uint8_t *ram, enum mode mode, uint64_t gva,
			   unsigned access, unsigned cpl)
{
	const bool wide = mode >= MODE_PAE;
	const unsigned bytes = wide ? 8 : 4, bits = wide ? 9 : 10;
	const unsigned levels = (const unsigned[]){2, 2, 3, 4, 5}[mode];
	uint64_t table = v->cr3 & (mode < MODE_PAE    ? 0xfffff000ull
				   : mode == MODE_PAE ? 0xffffffe0ull
						      : 0x000ffffffffff000ull);
	bool writable = true, user = true, nx = false;
	uint64_t leaf_at = 0;

	for (unsigned level = levels; level >= 1; level--) {
		unsigned shift = 12 + bits * (level - 1);
		unsigned index = (gva >> shift) & ((1u << bits) - 1);
		const bool pdpte = mode == MODE_PAE && level == 3;
		uint64_t at, e, size = 1ull << shift, rsvd = 0, frame;
		bool leaf;

		if (pdpte)
			index &= 3;
		at = table + index * bytes;
		e = ref_load(ram, at, bytes);
		if (!(e & 1))
			return ref_fault(v, access, cpl, false, false);
		leaf = level == 1 || (((e >> 7) & 1) && ((mode == MODE_PSE && level == 2) ||
							 (mode == MODE_PAE && level == 2) ||
							 (mode >= MODE_4LEVEL && level <= 3)));
		if (wide) {
			for (unsigned bit = 40; bit < 52; bit++)
				rsvd |= 1ull << bit;
			if (!(v->efer & V3_EFER_NXE))
				rsvd |= 1ull << 63;
			if (mode == MODE_PAE)
				rsvd |= 0x7ffull << 52;
			if (pdpte)
				rsvd |= 1ull << 63 | 0x1c6; /* bit 5: quirk Q10 */
			if (mode >= MODE_4LEVEL && level >= 4)
				rsvd |= 0x80;
			if (leaf && level == 2)
				rsvd |= 0xffull << 13;
			if (leaf && level == 3)
				rsvd |= 0x1ffffull << 13;
		} else if (leaf && level == 2) {
			rsvd |= 1u << 21;
		}
		if (e & rsvd)
			return ref_fault(v, access, cpl, true, true);
		if (!pdpte) {
			writable = writable && (e & 2);
			user = user && (e & 4);
			nx = nx || (wide && (e >> 63));
			if (!leaf)
				ref_or(ram, at, 5);
		}
		frame = wide ? e & 0x000ffffffffff000ull : e & 0xfffff000ull;
		if (!leaf) {
			table = frame;
			continue;
		}
		if (!wide && level == 2)
			frame = (e & 0xffc00000) + (((e >> 13) & 0xff) << 32);
		leaf_at = at;
		frame &= ~(size - 1);
		/* 5.6: who may do what */
		if ((cpl == 3 && !user) || (access == V3_ACC_EXEC && nx) ||
		    (access == V3_ACC_WRITE && !writable && (cpl == 3 || (v->cr0 & V3_CR0_WP))))
			return ref_fault(v, access, cpl, true, false);
		if (cpl != 3 && user) {
			bool implicit = v->cpl == 3;
			bool lifted = (v->regs.rflags & V3_RFLAGS_AC) && !implicit;

			if (access == V3_ACC_EXEC ? !!(v->cr4 & V3_CR4_SMEP)
						  : (v->cr4 & V3_CR4_SMAP) && !lifted)
				return ref_fault(v, access, cpl, true, false);
		}
		ref_or(ram, leaf_at, 5);
		if (access == V3_ACC_WRITE)
			ref_or(ram, leaf_at, 6);
		return (struct ref){
			.result = V3_OK, .gpa = frame + (gva & (size - 1)), .size = size};
	}
	abort();
}

/* ---- random tables ---- */

#define TABLES 12 /* pages 16.. of RAM hold tables */

static uint64_t rnd(uint64_t n)
{
	return tap_rand() % n;
}

static bool chance(unsigned percent)
{
	return rnd(100) < percent;
}

static uint64_t rnd_entry(enum mode mode, bool upper)
{
	uint64_t e = 0;

	if (chance(93))
		e |= 1;
	if (chance(85))
		e |= 2;
	if (chance(85))
		e |= 4;
	if (chance(60))
		e |= 0x20;
	if (chance(50))
		e |= 0x40;
	if (chance(20))
		e |= 0x80;
	e |= (rnd(8) << 9) | (rnd(4) << 3);
	if (chance(6)) /* low bits that large leaves reserve */
		e |= rnd(512) << 12;
	else if (e & 0x80 && mode != MODE_32)
		e |= (rnd(16) << 21) & ~(mode < MODE_PAE ? 1ull << 21 : 0);
	else
		e |= (16 + rnd(upper ? TABLES : 64)) << 12;
	if (mode < MODE_PAE)
		return (uint32_t)e;
	if (mode == MODE_PAE && chance(75))
		e &= ~0x1c6ull;
	if (chance(10))
		e |= 1ull << 63;
	if (chance(2))
		e |= 1ull << (32 + rnd(31));
	return e;
}

static void rnd_tables(uint8_t *ram, enum mode mode)
{
	for (unsigned page = 16; page < 16 + TABLES; page++)
		for (unsigned at = 0; at < 4096; at += mode < MODE_PAE ? 4 : 8) {
			uint64_t e = rnd_entry(mode, page < 16 + TABLES - 2);

			memcpy(ram + page * 4096 + at, &e, mode < MODE_PAE ? 4 : 8);
		}
}

static void rnd_vcpu(struct v3_vcpu *v, enum mode mode)
{
	v->cr0 = V3_CR0_PE | V3_CR0_PG | (chance(70) ? V3_CR0_WP : 0);
	v->cr4 = (chance(40) ? V3_CR4_SMEP : 0) | (chance(40) ? V3_CR4_SMAP : 0) |
		 (mode == MODE_PSE ? V3_CR4_PSE : 0) | (mode >= MODE_PAE ? V3_CR4_PAE : 0) |
		 (mode == MODE_5LEVEL ? V3_CR4_LA57 : 0);
	v->efer = (mode >= MODE_4LEVEL ? V3_EFER_LMA | V3_EFER_LME : 0) |
		  (mode >= MODE_PAE && chance(70) ? V3_EFER_NXE : 0);
	v->regs.rflags = 2 | (chance(50) ? V3_RFLAGS_AC : 0);
	v->cpl = chance(50) ? 3 : (uint8_t)rnd(3);
	v->cr3 = (16 + rnd(TABLES - 2)) << 12 | (chance(50) ? rnd(4) << 3 : 0);
	if (mode == MODE_PAE)
		v->cr3 |= rnd(128) << 5;
	if (mode >= MODE_4LEVEL && chance(5))
		v->cr3 |= 1ull << (40 + rnd(12));
	if (chance(2))
		v->cr3 = RAM_SIZE;
}

static int never(struct v3_vcpu *vcpu, struct v3_view *view, v3_gpa_t gpa, unsigned access,
		 void *priv)
{
	(void)vcpu, (void)view, (void)gpa, (void)access, (void)priv;
	return V3_EIO;
}

/* One walk, compared: result, and every byte of the tables afterwards. */
static bool walk_at(struct v3_vcpu *v, uint8_t *shadow, enum mode mode, uint64_t gva,
		    unsigned access, unsigned cpl, unsigned *good)
{
	uint8_t *ram = v3_mem_hva(v->vm, 0);
	struct v3_walk w = {.error = 0};
	struct ref r = ref_walk(v, shadow, mode, gva, access, cpl);
	int err = v3_walk(v, gva, access, cpl, &w);
	bool same = err == r.result;

	if (same && err == V3_OK)
		same = w.gpa == r.gpa && w.page_size == r.size;
	else if (same)
		same = w.error == r.error;
	CHECK_MSG(same,
		  "%s gva %#" PRIx64 " access %u cpl %u (vcpu %u) cr0 %#" PRIx64 " cr3 %#" PRIx64
		  " cr4 %#" PRIx64 " efer %#" PRIx64 ": got %d gpa %#" PRIx64 " size %#" PRIx64
		  " error %#x, expected %d gpa %#" PRIx64 " size %#" PRIx64 " error %#x",
		  mode_name[mode], gva, access, cpl, v->cpl, v->cr0, v->cr3, v->cr4, v->efer, err,
		  w.gpa, w.page_size, w.error, r.result, r.gpa, r.size, r.error);
	*good += err == V3_OK;
	return same && CHECK(!memcmp(ram + 16 * 4096, shadow + 16 * 4096, TABLES * 4096));
}

static bool walk_once(struct v3_vcpu *v, uint8_t *shadow, enum mode mode, unsigned *good)
{
	const unsigned cpl = v->cpl == 3 && chance(80) ? 3 : (unsigned)rnd(3);

	return walk_at(v, shadow, mode, tap_rand(), 1u << rnd(3), cpl, good);
}

static void walk_random(enum mode mode, bool on_view)
{
	struct v3_vm *vm = mem_vm_new(RAM_SIZE);
	static uint8_t shadow[RAM_SIZE];
	unsigned ok = 0, good = 0;
	struct v3_view *view = NULL;

	REQUIRE(vm);
	if (on_view) {
		REQUIRE_EQ(v3_view_create(vm, never, NULL, &view), V3_OK);
		v3_vcpu_set_view(vm->vcpu[0], view);
	}
	for (unsigned round = 0; round < 60; round++) {
		uint8_t *ram = v3_mem_hva(vm, 0);

		rnd_tables(ram, mode);
		memcpy(shadow, ram, (16 + TABLES) * 4096);
		for (unsigned i = 0; i < 400; i++) {
			rnd_vcpu(vm->vcpu[0], mode);
			ok += walk_once(vm->vcpu[0], shadow, mode, &good);
			if (tap.failures)
				return;
		}
	}
	CHECK_EQ(ok, 60 * 400);
	CHECK_MSG(good > 1000, "only %u walks were allowed: the tables are no good", good);
	printf("# %s: %u of %u walks allowed\n", mode_name[mode], good, ok);
	v3_vcpu_set_view(vm->vcpu[0], NULL);
	CHECK_EQ(v3_view_destroy(view), V3_OK);
}

static void test_walk_random_32bit(void)
{
	walk_random(MODE_32, false);
}

static void test_walk_random_pse(void)
{
	walk_random(MODE_PSE, false);
}

static void test_walk_random_pae(void)
{
	walk_random(MODE_PAE, false);
}

static void test_walk_random_4level(void)
{
	walk_random(MODE_4LEVEL, false);
}

static void test_walk_random_5level(void)
{
	walk_random(MODE_5LEVEL, false);
}

/* A view takes the short cut away: the same answers. */
static void test_walk_random_4level_on_view(void)
{
	walk_random(MODE_4LEVEL, true);
}

/* ---- by example: a 4-level tree with one leaf at gva 0x0000_1234_5678_9000 ---- */

#define GVA 0x0000123456789abcull

struct tree {
	struct v3_vm *vm;
	struct v3_vcpu *v;
	uint64_t *e[4]; /* entry of each level; 0: leaf */
};

static bool tree_make(struct tree *t, uint64_t flags)
{
	t->vm = mem_vm_new(RAM_SIZE);
	if (!t->vm)
		return false;
	t->v = t->vm->vcpu[0];
	t->v->cr0 = V3_CR0_PE | V3_CR0_PG | V3_CR0_WP;
	t->v->cr4 = V3_CR4_PAE;
	t->v->efer = V3_EFER_LMA | V3_EFER_LME | V3_EFER_NXE;
	t->v->cr3 = 0x10000;
	for (int l = 3; l >= 0; l--) {
		uint64_t table = 0x10000 + (3u - (unsigned)l) * 0x1000;

		t->e[l] = (uint64_t *)v3_mem_hva(t->vm, table) + (GVA >> (12 + 9 * l) & 511);
		*t->e[l] = (l ? table + 0x1000 : 0x80000) | flags;
	}
	return true;
}

struct rule {
	const char *what;
	unsigned level; /* whose entry is changed */
	uint64_t clear, set;
	uint64_t cr0_clear, cr4_set, efer_clear, rflags;
	unsigned access, cpl, vcpu_cpl;
	int error; /* -1: no fault */
};

static const struct rule rules[] = {
	{"user reads user page", 0, 0, 0, 0, 0, 0, 0, V3_ACC_READ, 3, 3, -1},
	{"user reads system page", 0, 4, 0, 0, 0, 0, 0, V3_ACC_READ, 3, 3, 5},
	{"user reads below system directory", 2, 4, 0, 0, 0, 0, 0, V3_ACC_READ, 3, 3, 5},
	{"user writes read-only page", 0, 2, 0, 0, 0, 0, 0, V3_ACC_WRITE, 3, 3, 7},
	{"user writes below read-only directory", 3, 2, 0, 0, 0, 0, 0, V3_ACC_WRITE, 3, 3, 7},
	{"system writes read-only page", 0, 2, 0, 0, 0, 0, 0, V3_ACC_WRITE, 0, 0, 3},
	{"system writes read-only page, WP off", 0, 2, 0, V3_CR0_WP, 0, 0, 0, V3_ACC_WRITE, 0, 0,
	 -1},
	{"user writes read-only page, WP off", 0, 2, 0, V3_CR0_WP, 0, 0, 0, V3_ACC_WRITE, 3, 3, 7},
	{"not present, read", 1, 1, 0, 0, 0, 0, 0, V3_ACC_READ, 0, 0, 0},
	{"not present, user write", 0, 1, 0, 0, 0, 0, 0, V3_ACC_WRITE, 3, 3, 6},
	{"not present, fetch", 0, 1, 0, 0, 0, 0, 0, V3_ACC_EXEC, 3, 3, 20},
	{"fetch", 0, 0, 0, 0, 0, 0, 0, V3_ACC_EXEC, 3, 3, -1},
	{"fetch from NX page", 0, 0, 1ull << 63, 0, 0, 0, 0, V3_ACC_EXEC, 3, 3, 21},
	{"fetch below NX directory", 2, 0, 1ull << 63, 0, 0, 0, 0, V3_ACC_EXEC, 3, 3, 21},
	{"read NX page", 0, 0, 1ull << 63, 0, 0, 0, 0, V3_ACC_READ, 3, 3, -1},
	{"NX bit without NXE", 0, 0, 1ull << 63, 0, 0, V3_EFER_NXE, 0, V3_ACC_READ, 3, 3, 13},
	{"NX bit without NXE, fetch", 1, 0, 1ull << 63, 0, 0, V3_EFER_NXE, 0, V3_ACC_EXEC, 0, 0, 9},
	{"SMEP", 0, 0, 0, 0, V3_CR4_SMEP, 0, 0, V3_ACC_EXEC, 0, 0, 17},
	{"SMEP, user", 0, 0, 0, 0, V3_CR4_SMEP, 0, 0, V3_ACC_EXEC, 3, 3, -1},
	{"SMEP, system page", 1, 4, 0, 0, V3_CR4_SMEP, 0, 0, V3_ACC_EXEC, 0, 0, -1},
	{"no SMEP", 0, 0, 0, 0, 0, 0, 0, V3_ACC_EXEC, 0, 0, -1},
	{"SMEP without NXE tells fetches", 0, 0, 0, 0, V3_CR4_SMEP, V3_EFER_NXE, 0, V3_ACC_EXEC, 0,
	 0, 17},
	{"SMAP", 0, 0, 0, 0, V3_CR4_SMAP, 0, 0, V3_ACC_READ, 0, 0, 1},
	{"SMAP, AC", 0, 0, 0, 0, V3_CR4_SMAP, 0, V3_RFLAGS_AC, V3_ACC_WRITE, 0, 0, -1},
	{"SMAP, AC, implicit", 0, 0, 0, 0, V3_CR4_SMAP, 0, V3_RFLAGS_AC, V3_ACC_READ, 0, 3, 1},
	{"SMAP, system page", 0, 4, 0, 0, V3_CR4_SMAP, 0, 0, V3_ACC_WRITE, 0, 0, -1},
	{"SMAP, user", 0, 0, 0, 0, V3_CR4_SMAP, 0, 0, V3_ACC_WRITE, 3, 3, -1},
	{"SMAP does not stop fetches", 0, 0, 0, 0, V3_CR4_SMAP, 0, 0, V3_ACC_EXEC, 0, 0, -1},
	{"address bit 40", 1, 0, 1ull << 40, 0, 0, 0, 0, V3_ACC_READ, 0, 0, 9},
	{"address bit 51, leaf", 0, 0, 1ull << 51, 0, 0, 0, 0, V3_ACC_WRITE, 3, 3, 15},
	{"address bit 39", 0, 0, 1ull << 39, 0, 0, 0, 0, V3_ACC_READ, 0, 0, -1},
	{"bits 52..58 are free", 2, 0, 0x7full << 52, 0, 0, 0, 0, V3_ACC_READ, 0, 0, -1},
	{"PS in the root", 3, 0, 0x80, 0, 0, 0, 0, V3_ACC_READ, 0, 0, 9},
	{"PAT bit of a 4 KiB leaf", 0, 0, 0x80, 0, 0, 0, 0, V3_ACC_READ, 0, 0, -1},
	{"misaligned 2 MiB leaf", 1, 0, 0x80, 0, 0, 0, 0, V3_ACC_READ, 0, 0, 9},
	{"misaligned 1 GiB leaf", 2, 0, 0x80, 0, 0, 0, 0, V3_ACC_READ, 0, 0, 9},
	{"empty entry above a reserved bit", 1, 1, 1ull << 45, 0, 0, 0, 0, V3_ACC_READ, 0, 0, 0},
};

static void test_walk_rules(void)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(rules); i++) {
		const struct rule *r = &rules[i];
		struct v3_walk w = {.error = 0xdead};
		struct tree t;
		int err;

		REQUIRE(tree_make(&t, 7));
		*t.e[r->level] = (*t.e[r->level] & ~r->clear) | r->set;
		t.v->cr0 &= ~r->cr0_clear;
		t.v->cr4 |= r->cr4_set;
		t.v->efer &= ~r->efer_clear;
		t.v->regs.rflags = r->rflags | 2;
		t.v->cpl = (uint8_t)r->vcpu_cpl;
		err = v3_walk(t.v, GVA, r->access, r->cpl, &w);
		CHECK_MSG(err == (r->error < 0 ? V3_OK : V3_EFAULT) &&
				  (r->error < 0 || w.error == (uint32_t)r->error),
			  "%s: result %d, error %#x", r->what, err, w.error);
		mem_vm_free(NULL);
	}
}

static void test_walk_sets_accessed_and_dirty(void)
{
	struct v3_walk w;
	struct tree t;

	REQUIRE(tree_make(&t, 7));
	CHECK_EQ(v3_walk(t.v, GVA, V3_ACC_READ, 0, &w), V3_OK);
	CHECK_EQ(w.gpa, 0x80abc);
	CHECK_EQ(w.page_size, 4096);
	for (unsigned l = 0; l < 4; l++)
		CHECK_EQ(*t.e[l] & 0x60, 0x20);
	CHECK_EQ(v3_walk(t.v, GVA, V3_ACC_WRITE, 0, &w), V3_OK);
	CHECK_EQ(*t.e[0] & 0x60, 0x60);
	CHECK_EQ(*t.e[1] & 0x60, 0x20);
}

/* A write that is refused must not look like one that was made. */
static void test_walk_fault_leaves_leaf_alone(void)
{
	struct v3_walk w;
	struct tree t;

	REQUIRE(tree_make(&t, 7));
	*t.e[0] &= ~2ull;
	CHECK_EQ(v3_walk(t.v, GVA, V3_ACC_WRITE, 0, &w), V3_EFAULT);
	CHECK_EQ(*t.e[0] & 0x60, 0);
}

static void test_walk_tables_in_rom_stay_unchanged(void)
{
	struct v3_walk w;
	struct tree t;
	uint64_t page[512];

	REQUIRE(tree_make(&t, 7));
	REQUIRE_EQ(v3_mem_add_rom(t.vm, 32 * V3_SIZE_2M, V3_SIZE_2M), V3_OK);
	REQUIRE_EQ(v3_mem_read(t.vm, 0x13000, page, 4096), V3_OK);
	REQUIRE_EQ(v3_mem_write(t.vm, 32 * V3_SIZE_2M, page, 4096), V3_OK);
	*t.e[1] = 32 * V3_SIZE_2M | 7;
	CHECK_EQ(v3_walk(t.v, GVA, V3_ACC_WRITE, 0, &w), V3_OK);
	CHECK_EQ(w.gpa, 0x80abc);
	CHECK_EQ(*t.e[1] & 0x20, 0x20);
	CHECK_EQ(v3_mem_read(t.vm, 32 * V3_SIZE_2M, page, 4096), V3_OK);
	CHECK_EQ(page[GVA >> 12 & 511], 0x80007);
}

/* Upper bits of a gva are not looked at, nor do they lead outside a table. */
static void test_walk_ignores_upper_bits(void)
{
	struct v3_walk w;
	struct tree t;

	REQUIRE(tree_make(&t, 0x27));
	for (unsigned bit = 48; bit < 64; bit++) {
		CHECK_EQ(v3_walk(t.v, GVA | 1ull << bit, V3_ACC_READ, 0, &w), V3_OK);
		CHECK_EQ(w.gpa, 0x80abc);
	}
}

static void test_walk_without_paging(void)
{
	struct v3_vm *vm = mem_vm_new(RAM_SIZE);
	struct v3_walk w;

	REQUIRE(vm);
	vm->vcpu[0]->cr0 = V3_CR0_PE;
	CHECK_EQ(v3_walk(vm->vcpu[0], 0x512345678ull, V3_ACC_WRITE, 3, &w), V3_OK);
	CHECK_EQ(w.gpa, 0x12345678);
	CHECK_EQ(w.page_size, 1ull << 32);
}

static void test_walk_pse36_address(void)
{
	struct v3_vm *vm = mem_vm_new(RAM_SIZE);
	struct v3_walk w;

	REQUIRE(vm);
	vm->vcpu[0]->cr0 = V3_CR0_PE | V3_CR0_PG;
	vm->vcpu[0]->cr4 = V3_CR4_PSE;
	vm->vcpu[0]->cr3 = 0x10000;
	((uint32_t *)v3_mem_hva(vm, 0x10000))[0x12345678u >> 22] = 0xabc00000u | 0x12u << 13 | 0x87;
	CHECK_EQ(v3_walk(vm->vcpu[0], 0x12345678, V3_ACC_WRITE, 0, &w), V3_OK);
	CHECK_EQ(w.gpa, 0x12abf45678ull);
	CHECK_EQ(w.page_size, 1u << 22);
}

/* ---- fetch and copies ---- */

/* Second page of the tree: the one after GVA's. */
static void tree_second_page(struct tree *t, uint64_t entry)
{
	t->e[0][1] = entry;
}

static void fetch_at(struct tree *t, uint64_t rip)
{
	t->v->regs.rip = rip;
	t->v->cs.attr = V3_SEG_L | V3_SEG_P | V3_SEG_S | 11;
	t->v->cs.base = 0xdead0000; /* not used in 64-bit code */
}

static void test_fetch_crosses_pages(void)
{
	const uint64_t rip = (GVA & ~0xfffull) + 4090;
	uint8_t buf[15];
	size_t got, avail;
	struct tree t;

	REQUIRE(tree_make(&t, 7));
	tree_second_page(&t, 0x90000 | 7);
	memcpy(v3_mem_hva(t.vm, 0x80000 + 4090), "abcdef", 6);
	memcpy(v3_mem_hva(t.vm, 0x90000), "ghijklmno", 9);
	fetch_at(&t, rip);
	CHECK_EQ(v3_fetch(t.v, buf, 15, &got), V3_OK);
	CHECK_EQ(got, 15);
	CHECK_MEM(buf, "abcdefghijklmno", 15);
	CHECK(v3_fetch_ptr(t.v, &avail) == v3_mem_hva(t.vm, 0x80000 + 4090));
	CHECK_EQ(avail, 6);
	CHECK_EQ(v3_fetch(t.v, buf, 3, &got), V3_OK);
	CHECK_EQ(got, 3);
	tree_second_page(&t, 0);
	CHECK_EQ(v3_fetch(t.v, buf, 15, &got), V3_OK);
	CHECK_EQ(got, 6);
	*t.e[0] |= 1ull << 63;
	CHECK_EQ(v3_fetch(t.v, buf, 15, &got), V3_EFAULT);
	CHECK(!v3_fetch_ptr(t.v, &avail));
}

static void test_fetch_outside_ram_reads_ones(void)
{
	uint8_t buf[4] = {0};
	size_t got, avail;
	struct tree t;

	REQUIRE(tree_make(&t, 7));
	*t.e[0] = 0xfee00007;
	fetch_at(&t, GVA);
	CHECK(!v3_fetch_ptr(t.v, &avail));
	CHECK_EQ(v3_fetch(t.v, buf, 4, &got), V3_OK);
	CHECK_MEM(buf, "\xff\xff\xff\xff", 4);
}

static void test_fetch_wraps_at_4g_outside_64bit_code(void)
{
	struct v3_vm *vm = mem_vm_new(RAM_SIZE);
	struct v3_vcpu *v = vm ? vm->vcpu[0] : NULL;
	uint8_t buf[15];
	size_t got;

	REQUIRE(vm);
	v->cr0 = V3_CR0_PE; /* no paging: gpa = linear */
	v->cs.base = 0xfffffff0;
	v->regs.rip = 0x20;
	memcpy(v3_mem_hva(vm, 0x10), "wrapped", 7);
	CHECK_EQ(v3_fetch(v, buf, 7, &got), V3_OK);
	CHECK_MEM(buf, "wrapped", 7);
	v->regs.rip = 0x0a; /* 0xfffffffa: six bytes of nothing, then address 0 */
	memcpy(v3_mem_hva(vm, 0), "zero", 4);
	CHECK_EQ(v3_fetch(v, buf, 10, &got), V3_OK);
	CHECK_EQ(got, 10);
	CHECK_MEM(buf, "\xff\xff\xff\xff\xff\xffzero", 10);
}

static void test_gva_copy_reports_faults(void)
{
	const v3_gva_t base = GVA & ~0xfffull;
	struct v3_gva_fault f;
	uint8_t buf[8192];
	struct tree t;

	REQUIRE(tree_make(&t, 7));
	tree_second_page(&t, 0x90000 | 7);
	memset(buf, 0x5a, sizeof(buf));
	CHECK_EQ(v3_gva_write(t.v, base + 100, buf, 8000, 3, NULL), V3_OK);
	CHECK_EQ(*v3_mem_hva(t.vm, 0x80064), 0x5a);
	CHECK_EQ(*v3_mem_hva(t.vm, 0x80063), 0);
	CHECK_EQ(*v3_mem_hva(t.vm, 0x90000 + 8099 - 4096), 0x5a);
	CHECK_EQ(*v3_mem_hva(t.vm, 0x90000 + 8100 - 4096), 0);
	memset(buf, 0, sizeof(buf));
	CHECK_EQ(v3_gva_read(t.v, base + 100, buf, 8000, V3_ACC_READ, 3, &f), V3_OK);
	CHECK(buf[0] == 0x5a && buf[7999] == 0x5a && !buf[8000]);
	tree_second_page(&t, 0x90000 | 5);
	CHECK_EQ(v3_gva_write(t.v, base + 4000, buf, 200, 3, &f), V3_EFAULT);
	CHECK_EQ(f.addr, base + 4096);
	CHECK_EQ(f.error, 7);
	CHECK(!f.not_ram);
	tree_second_page(&t, 0xfee00007);
	CHECK_EQ(v3_gva_read(t.v, base + 4090, buf, 16, V3_ACC_READ, 0, &f), V3_EFAULT);
	CHECK(f.not_ram);
	CHECK_EQ(f.addr, base + 4096);
	CHECK_EQ(f.gpa, 0xfee00000);
}

static void test_gva_checks_canonical(void)
{
	struct v3_gva_fault f = {.error = 7};
	struct tree t;
	v3_gpa_t gpa;
	uint8_t byte;

	REQUIRE(tree_make(&t, 7));
	CHECK_EQ(v3_gva_translate(t.v, GVA, V3_ACC_READ, 0, &gpa, NULL), V3_OK);
	CHECK_EQ(gpa, 0x80abc);
	CHECK_EQ(v3_gva_translate(t.v, GVA | 1ull << 48, V3_ACC_READ, 0, &gpa, &f), V3_EFAULT);
	CHECK_EQ(f.addr, GVA | 1ull << 48);
	CHECK_EQ(f.error, 0);
	CHECK_EQ(v3_gva_read(t.v, ~0ull, &byte, 1, V3_ACC_READ, 0, NULL), V3_EFAULT);
	CHECK_EQ(v3_gva_read(t.v, 0x800000000000, &byte, 1, V3_ACC_READ, 0, NULL), V3_EFAULT);
}

static void test_gva_does_not_see_below_mmio(void)
{
	struct v3_gva_fault f;
	struct tree t;
	uint32_t word;

	REQUIRE(tree_make(&t, 7));
	REQUIRE_EQ(v3_mmio_register(t.vm, 0x80000, 4096, (v3_mmio_fn)(uintptr_t)1, NULL), V3_OK);
	CHECK_EQ(v3_gva_read(t.v, GVA, &word, 4, V3_ACC_READ, 0, &f), V3_EFAULT);
	CHECK(f.not_ram);
	CHECK_EQ(f.gpa, 0x80abc);
}

/* The same few walks again and again while entries and registers change: nothing old is ever told. */
static void test_walk_repeated_is_never_stale(void)
{
	static const unsigned bits[] = {0, 1, 2, 5, 6, 7, 12, 41, 63};
	static uint8_t shadow[RAM_SIZE];
	unsigned good = 0;
	struct tree t;
	uint64_t *e, first[4];
	uint8_t *ram;

	REQUIRE(tree_make(&t, 0x67));
	ram = v3_mem_hva(t.vm, 0);
	t.v->regs.rflags = 2;
	for (unsigned l = 0; l < 4; l++)
		first[l] = *t.e[l];
	memcpy(shadow, ram, RAM_SIZE);
	for (unsigned i = 0; i < 60000 && !tap.failures; i++) {
		const unsigned access = 1u << rnd(3);

		e = t.e[rnd(4)];
		if (chance(10))
			*e ^= 1ull << bits[rnd(V3_ARRAY_SIZE(bits))];
		for (unsigned l = 0, all = chance(30); l < 4 && all; l++)
			*t.e[l] = first[l];
		memcpy(shadow + 0x10000, ram + 0x10000, 0x4000);
		if (chance(5))
			t.v->cr4 ^= chance(50) ? V3_CR4_SMEP : V3_CR4_SMAP;
		if (chance(5))
			t.v->efer ^= V3_EFER_NXE;
		if (chance(5))
			t.v->cr0 ^= V3_CR0_WP;
		if (chance(5))
			t.v->cr3 ^= 0x10;
		if (chance(2))
			t.v->cr3 ^= 0x1000;
		if (chance(10))
			t.v->cpl ^= 3;
		if (!walk_at(t.v, shadow, MODE_4LEVEL,
			     GVA ^ rnd(4096) ^ (chance(10) ? 1u << 12 : 0), access, t.v->cpl,
			     &good))
			return;
	}
	CHECK_MSG(good > 10000, "only %u walks were allowed", good);
}

/* A walk that went well goes on to be refused as soon as anything it rested on has changed. */
static void test_walk_repeated_sees_each_register(void)
{
	struct v3_view *view;
	struct v3_walk w;
	struct tree t;

	REQUIRE(tree_make(&t, 0x67));
	*t.e[1] |= 1ull << 63;
	*t.e[2] &= ~4ull; /* system only */
#define REPEAT_OK(access, cpl)                                                                     \
	do {                                                                                       \
		CHECK_EQ(v3_walk(t.v, GVA, access, cpl, &w), V3_OK);                               \
		CHECK_EQ(v3_walk(t.v, GVA, access, cpl, &w), V3_OK);                               \
		CHECK_EQ(w.gpa, 0x80abc);                                                          \
	} while (0)
	REPEAT_OK(V3_ACC_READ, 0);
	CHECK_EQ(v3_walk(t.v, GVA, V3_ACC_READ, 3, &w), V3_EFAULT);
	CHECK_EQ(v3_walk(t.v, GVA, V3_ACC_EXEC, 0, &w), V3_EFAULT);
	REPEAT_OK(V3_ACC_READ, 0);
	t.v->efer &= ~V3_EFER_NXE;
	CHECK_EQ(v3_walk(t.v, GVA, V3_ACC_READ, 0, &w), V3_EFAULT);
	CHECK_EQ(w.error, V3_PF_RSVD | V3_PF_PRESENT);
	t.v->efer |= V3_EFER_NXE;
	REPEAT_OK(V3_ACC_READ, 0);
	t.v->cr4 |= V3_CR4_LA57;
	CHECK_EQ(v3_walk(t.v, GVA, V3_ACC_READ, 0, &w), V3_EFAULT);
	t.v->cr4 &= ~V3_CR4_LA57;
	REPEAT_OK(V3_ACC_READ, 0);
	t.v->cr3 = 0x20000;
	CHECK_EQ(v3_walk(t.v, GVA, V3_ACC_READ, 0, &w), V3_EFAULT);
	t.v->cr3 = 0x10000;
	REPEAT_OK(V3_ACC_WRITE, 0);
	*t.e[0] &= ~0x40ull; /* the guest made the page clean: the next write must show */
	REPEAT_OK(V3_ACC_WRITE, 0);
	CHECK_EQ(*t.e[0] & 0x40, 0x40);
	REQUIRE_EQ(v3_view_create(t.vm, never, NULL, &view), V3_OK);
	REQUIRE_EQ(v3_view_set_page(view, 0x13000, V3_ACC_READ, v3_mmu_root(t.v)), V3_OK);
	v3_vcpu_set_view(t.v, view); /* shows another page in place of the page table */
	CHECK_EQ(v3_walk(t.v, GVA, V3_ACC_READ, 0, &w), V3_EFAULT);
#undef REPEAT_OK
}

static const struct tap_test tests[] = {
	TAP(test_walk_random_32bit),
	TAP(test_walk_random_pse),
	TAP(test_walk_random_pae),
	TAP(test_walk_random_4level),
	TAP(test_walk_random_5level),
	TAP(test_walk_random_4level_on_view),
	TAP(test_walk_repeated_is_never_stale),
	TAP(test_walk_repeated_sees_each_register),
	TAP(test_walk_rules),
	TAP(test_walk_sets_accessed_and_dirty),
	TAP(test_walk_fault_leaves_leaf_alone),
	TAP(test_walk_tables_in_rom_stay_unchanged),
	TAP(test_walk_ignores_upper_bits),
	TAP(test_walk_without_paging),
	TAP(test_walk_pse36_address),
	TAP(test_fetch_crosses_pages),
	TAP(test_fetch_outside_ram_reads_ones),
	TAP(test_fetch_wraps_at_4g_outside_64bit_code),
	TAP(test_gva_copy_reports_faults),
	TAP(test_gva_checks_canonical),
	TAP(test_gva_does_not_see_below_mmio),
};
TAP_MAIN(tests)
