/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_nested.c
 * Nested tables: leaf sizes, splitting, taking pages out, and that whatever happens they never show the
 * guest anything but what the map allows. Tables are read by mem_walk(), as the CPU would. All of it for both
 * formats, NPT and EPT.
 */
#include "mem_vm.h"

#include "mmu/nested/table.h"

#include <pthread.h>
#include <sched.h>

#define MIB 0x100000ull

static int ignore(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	(void)vcpu, (void)priv;
	mmio->value = 0;
	return V3_OK;
}

static struct mem_leaf leaf_at(struct v3_vm *vm, v3_gpa_t gpa)
{
	return mem_walk(vm->mmu.nested.root, vm->mmu.nested.levels, gpa);
}

static struct v3_mem_stats stats_of(struct v3_vm *vm)
{
	struct v3_mem_stats s;

	v3_mem_get_stats(vm, &s);
	return s;
}

/* The leaf at @p gpa: size, host page and permissions. */
static void check_leaf(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, unsigned perm)
{
	struct mem_leaf leaf = leaf_at(vm, gpa);
	bool rom;

	if (!CHECK_MSG(leaf.present, "%#llx is not mapped", (unsigned long long)gpa))
		return;
	CHECK_EQ(leaf.size, size);
	CHECK_EQ(leaf.perm, perm);
	CHECK_EQ(leaf.hpa & V3_PAGE_MASK, v3_mem_hpa(&vm->mem, gpa, &rom));
}

static void test_nested_largest_leaf(void)
{
	struct v3_vm *vm;

	mem_vm_begin();
	REQUIRE_EQ(mem_vm_make(), V3_OK);
	vm = &mem_vm.vm;
	REQUIRE_EQ(v3_mem_add_ram(vm, V3_SIZE_1G - V3_SIZE_2M, V3_SIZE_1G + V3_SIZE_2M, -1), V3_OK);
	REQUIRE_EQ(v3_mem_add_ram(vm, 0, 0x8000, -1), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 0x1abc, V3_ACC_READ), V3_OK);
	check_leaf(vm, 0x1abc, 4096, V3_ACC_ALL);
	CHECK_EQ(mem_vm_fault(0, V3_SIZE_1G - 1, V3_ACC_WRITE), V3_OK);
	check_leaf(vm, V3_SIZE_1G - 1, V3_SIZE_2M, V3_ACC_ALL);
	CHECK_EQ(mem_vm_fault(0, V3_SIZE_1G + 0x12345678, V3_ACC_EXEC), V3_OK);
	check_leaf(vm, V3_SIZE_1G + 0x12345678, V3_SIZE_1G, V3_ACC_ALL);
	check_leaf(vm, V3_SIZE_1G, V3_SIZE_1G, V3_ACC_ALL);
	CHECK(!leaf_at(vm, 2 * V3_SIZE_1G).present);
	CHECK_EQ(stats_of(vm).leaves_1g, 1);
	CHECK_EQ(stats_of(vm).leaves_2m, 1);
	CHECK_EQ(stats_of(vm).leaves_4k, 1);
	CHECK_EQ(stats_of(vm).table_pages, 4);

	/* A hook in the large leaf splits it twice; all other pages stay mapped. */
	REQUIRE_EQ(v3_mem_hook(vm, V3_SIZE_1G + 0x200000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	CHECK(!leaf_at(vm, V3_SIZE_1G + 0x200000).present);
	check_leaf(vm, V3_SIZE_1G + 0x201000, 4096, V3_ACC_ALL);
	check_leaf(vm, V3_SIZE_1G + 0x3ff000, 4096, V3_ACC_ALL);
	check_leaf(vm, V3_SIZE_1G + 0x400000, V3_SIZE_2M, V3_ACC_ALL);
	check_leaf(vm, V3_SIZE_1G, V3_SIZE_2M, V3_ACC_ALL);
	check_leaf(vm, 2 * V3_SIZE_1G - 1, V3_SIZE_2M, V3_ACC_ALL);
	CHECK_EQ(stats_of(vm).leaves_1g, 0);
	CHECK_EQ(stats_of(vm).leaves_2m, 1 + 511);
	CHECK_EQ(stats_of(vm).leaves_4k, 1 + 511);
	CHECK_EQ(stats_of(vm).table_pages, 6);

	/* A small MMIO region keeps a GiB from being one leaf. */
	v3_mem_unhook(vm, V3_SIZE_1G + 0x200000);
	v3_nested_fini(&vm->mmu.nested);
	REQUIRE_EQ(v3_mmu_init(vm), V3_OK);
	REQUIRE_EQ(v3_mmio_register(vm, V3_SIZE_1G + 0x600000, 4096, ignore, NULL), V3_OK);
	CHECK_EQ(mem_vm_fault(0, V3_SIZE_1G, V3_ACC_EXEC), V3_OK);
	check_leaf(vm, V3_SIZE_1G, V3_SIZE_2M, V3_ACC_ALL);
	CHECK_EQ(mem_vm_fault(0, V3_SIZE_1G + 0x601000, V3_ACC_EXEC), V3_OK);
	check_leaf(vm, V3_SIZE_1G + 0x601000, 4096, V3_ACC_ALL);
}

static void test_nested_2m_where_1g_is_unknown(void)
{
	struct v3_vm *vm;

	mem_vm_begin();
	v3_lib.caps.nested_1g = false;
	REQUIRE_EQ(mem_vm_make(), V3_OK);
	vm = &mem_vm.vm;
	REQUIRE_EQ(v3_mem_add_ram(vm, 0, 8 * MIB, -1), V3_OK);
	vm->mem.chunk[1].hpa |= V3_CHUNK_GIGA; /* as if it were part of a larger piece */
	CHECK_EQ(mem_vm_fault(0, 3 * MIB, V3_ACC_READ), V3_OK);
	check_leaf(vm, 3 * MIB, V3_SIZE_2M, V3_ACC_ALL);
}

static void test_nested_five_levels(void)
{
	const v3_gpa_t high = 1ull << 49;
	struct v3_vm *vm;

	mem_vm_begin();
	v3_lib.caps.nested_levels = 5;
	v3_lib.caps.hpa_bits = 52;
	REQUIRE_EQ(mem_vm_make(), V3_OK);
	vm = &mem_vm.vm;
	CHECK_EQ(vm->mem.gpa_bits, 52);
	REQUIRE_EQ(v3_nested_map(&vm->mmu.nested, high, 0x200000, V3_ACC_READ, 1), V3_OK);
	CHECK_EQ(leaf_at(vm, high + 0x1234).hpa, 0x201234);
	CHECK_EQ(leaf_at(vm, high).perm, V3_ACC_READ);
	CHECK(!leaf_at(vm, high & ((1ull << 48) - 1)).present);
	CHECK_EQ(stats_of(vm).table_pages, 4);
	CHECK(v3_nested_drop(&vm->mmu.nested, high, V3_SIZE_2M));
	CHECK(!leaf_at(vm, high).present);
}

static void test_nested_width_is_cut_to_tables(void)
{
	mem_vm_begin();
	v3_lib.caps.hpa_bits = 52;
	REQUIRE_EQ(mem_vm_make(), V3_OK);
	CHECK_EQ(mem_vm.vm.mem.gpa_bits, 48);
}

static void test_nested_refuses_unknown_formats(void)
{
	mem_vm_begin();
	v3_lib.caps.nested_format = 99;
	CHECK_EQ(mem_vm_make(), V3_ENOTSUP);
	v3_lib.caps.nested_format = (uint8_t)mem_vm_format;
	v3_lib.caps.nested_levels = 3;
	CHECK_EQ(mem_vm_make(), V3_ENOTSUP);
}

static void test_nested_rom_is_read_only(void)
{
	struct v3_vm *vm = mem_vm_new(0);

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_add_rom(vm, 0, 0x20000), V3_OK);
	REQUIRE_EQ(v3_mem_add_rom(vm, V3_SIZE_2M, V3_SIZE_2M), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 0x1000, V3_ACC_EXEC), V3_OK);
	check_leaf(vm, 0x1000, 4096, V3_ACC_READ | V3_ACC_EXEC);
	CHECK_EQ(mem_vm_fault(0, V3_SIZE_2M, V3_ACC_READ), V3_OK);
	check_leaf(vm, V3_SIZE_2M, V3_SIZE_2M, V3_ACC_READ | V3_ACC_EXEC);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x1000, V3_ACC_WRITE), V3_ENOENT);
}

static void test_nested_hooks_keep_their_kinds_out(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_hook(vm, 0x1000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	REQUIRE_EQ(v3_mem_hook(vm, 0x2000, V3_ACC_READ, ignore, NULL), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 0x1000, V3_ACC_READ), V3_OK);
	check_leaf(vm, 0x1000, 4096, V3_ACC_READ | V3_ACC_EXEC);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x1000, V3_ACC_WRITE), V3_ENOENT);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x2000, V3_ACC_READ), V3_ENOENT);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x2000, V3_ACC_EXEC), V3_ENOENT);
	CHECK_EQ(mem_vm_fault(0, 0x3000, V3_ACC_WRITE), V3_OK);
	check_leaf(vm, 0x3000, 4096, V3_ACC_ALL);
	CHECK(!leaf_at(vm, 0x2000).present);
}

static void test_nested_unhook_brings_large_leaf_back(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	uint64_t pages;

	REQUIRE(vm);
	CHECK_EQ(mem_vm_fault(0, 0, V3_ACC_READ), V3_OK);
	pages = stats_of(vm).table_pages;
	REQUIRE_EQ(v3_mem_hook(vm, 0x5000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	REQUIRE_EQ(v3_mem_hook(vm, 0x6000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	CHECK_EQ(stats_of(vm).leaves_4k, 510);
	CHECK_EQ(stats_of(vm).table_pages, pages + 1);
	v3_mem_unhook(vm, 0x5000);
	CHECK_EQ(mem_vm_fault(0, 0x5000, V3_ACC_WRITE), V3_OK);
	check_leaf(vm, 0x5000, 4096, V3_ACC_ALL);
	fake_take_requests(vm->vcpu[0]);
	v3_mem_unhook(vm, 0x6000);
	CHECK_EQ(fake_take_requests(vm->vcpu[0]), V3_REQ_FLUSH);
	CHECK_EQ(stats_of(vm).leaves_4k, 0);
	CHECK_EQ(stats_of(vm).table_pages, pages);
	CHECK_EQ(mem_vm_fault(0, 0x6000, V3_ACC_WRITE), V3_OK);
	check_leaf(vm, 0x6000, V3_SIZE_2M, V3_ACC_ALL);
}

/* No page to split a large leaf: it goes as a whole and comes back by faults. */
static void test_nested_split_without_memory(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);

	REQUIRE(vm);
	CHECK_EQ(mem_vm_fault(0, 0x5000, V3_ACC_READ), V3_OK);
	REQUIRE_EQ(v3_mem_hook(vm, 0x205000, V3_ACC_WRITE, ignore, NULL), V3_OK); /* not mapped */
	REQUIRE_EQ(v3_mem_hook(vm, 0x206000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	v3_mem_unhook(vm, 0x206000); /* leaves a record, so that a hook only needs the group */
	fake_host_fail_at(2);
	CHECK_EQ(v3_mem_hook(vm, 0x5000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	CHECK(fake_host_refused());
	fake_host_fail_at(0);
	CHECK(!leaf_at(vm, 0x5000).present);
	CHECK(!leaf_at(vm, 0x6000).present);
	CHECK_EQ(stats_of(vm).leaves_2m, 0);
	CHECK_EQ(mem_vm_fault(0, 0x6000, V3_ACC_WRITE), V3_OK);
	check_leaf(vm, 0x6000, 4096, V3_ACC_ALL);
}

static void test_nested_fault_out_of_memory_at_each_step(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_hook(vm, 0x5000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	for (unsigned k = 1; k <= 3; k++) {
		fake_host_fail_at(k);
		CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x6000, V3_ACC_READ), V3_ENOMEM);
		CHECK(fake_host_refused());
		CHECK(!leaf_at(vm, 0x6000).present);
		v3_nested_fini(&vm->mmu.nested);
		fake_host_fail_at(0);
		REQUIRE_EQ(v3_mmu_init(vm), V3_OK);
	}
	fake_host_fail_at(3);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x6000, V3_ACC_READ), V3_ENOMEM);
	fake_host_fail_at(0);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, 0x6000, V3_ACC_READ), V3_OK); /* goes on where it was */
	check_leaf(vm, 0x6000, 4096, V3_ACC_ALL);
	CHECK_EQ(stats_of(vm).table_pages, 4);
}

static void test_nested_drop_at_the_edges(void)
{
	struct v3_vm *vm = mem_vm_new(8 * MIB);
	struct v3_nested *t = &vm->mmu.nested;
	const v3_gpa_t last = (1ull << 48) - 4096;

	REQUIRE(vm);
	CHECK(!v3_nested_drop(t, 1ull << 48, 4096));
	CHECK(!v3_nested_drop(t, ~0xfffull, 4096));
	CHECK(!v3_nested_drop(t, 0, 1ull << 52)); /* nothing there, returns soon */
	REQUIRE_EQ(v3_nested_map(t, last, 0x7000, V3_ACC_ALL, 0), V3_OK);
	CHECK(leaf_at(vm, last).present);
	CHECK(!v3_nested_drop(t, 0, last));
	CHECK(v3_nested_drop(t, 0, ~0xfffull));
	CHECK(!leaf_at(vm, last).present);
	for (v3_gpa_t gpa = 0; gpa < 8 * MIB; gpa += V3_SIZE_2M)
		CHECK_EQ(mem_vm_fault(0, gpa, V3_ACC_READ), V3_OK);
	CHECK(v3_nested_drop(t, 3 * MIB, 2 * MIB)); /* halves of two leaves */
	check_leaf(vm, 3 * MIB - 1, 4096, V3_ACC_ALL);
	CHECK(!leaf_at(vm, 3 * MIB).present);
	CHECK(!leaf_at(vm, 5 * MIB - 1).present);
	check_leaf(vm, 5 * MIB, 4096, V3_ACC_ALL);
	check_leaf(vm, 6 * MIB, V3_SIZE_2M, V3_ACC_ALL);
	CHECK_EQ(stats_of(vm).leaves_4k, 512);
	CHECK_EQ(stats_of(vm).leaves_2m, 2);
	CHECK_EQ(v3_nested_lookup(t, 3 * MIB, &(unsigned){0}), 0);
	CHECK_EQ(v3_nested_lookup(t, 1ull << 50, &(unsigned){0}), 0);
	CHECK(v3_nested_lookup(t, 6 * MIB, &(unsigned){0}) != 0);
}

/* Two vcpus fault at once, and the slower one wants less: the larger leaf stays. */
static void test_nested_map_below_a_leaf(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	uint64_t pages;

	REQUIRE(vm);
	CHECK_EQ(mem_vm_fault(0, 0, V3_ACC_READ), V3_OK);
	pages = stats_of(vm).table_pages;
	CHECK_EQ(v3_nested_map(&vm->mmu.nested, 0x5000, 0x1000, V3_ACC_READ, 0), V3_OK);
	check_leaf(vm, 0x5000, V3_SIZE_2M, V3_ACC_ALL);
	CHECK_EQ(stats_of(vm).table_pages, pages);
	CHECK_EQ(stats_of(vm).leaves_4k, 0);
}

/* The host's device memory: cached nowhere, whatever the leaf is split into. */
static void test_nested_uncached_leaves(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	struct v3_nested *t = &vm->mmu.nested;

	REQUIRE(vm);
	REQUIRE_EQ(v3_nested_map(t, V3_SIZE_1G, V3_SIZE_1G, V3_ACC_ALL | V3_NESTED_UC, 2), V3_OK);
	REQUIRE_EQ(v3_nested_map(t, 0x1000, 0x7000, V3_ACC_READ | V3_NESTED_UC, 0), V3_OK);
	CHECK(leaf_at(vm, V3_SIZE_1G).uncached);
	CHECK_EQ(leaf_at(vm, V3_SIZE_1G).size, V3_SIZE_1G);
	CHECK(leaf_at(vm, 0x1000).uncached);
	CHECK_EQ(leaf_at(vm, 0x1000).perm, V3_ACC_READ);
	CHECK(v3_nested_drop(t, V3_SIZE_1G + 0x5000, 4096));
	CHECK(leaf_at(vm, V3_SIZE_1G + 0x6000).uncached);
	CHECK_EQ(leaf_at(vm, V3_SIZE_1G + 0x6000).size, 4096);
	CHECK(leaf_at(vm, V3_SIZE_1G + V3_SIZE_2M).uncached);
	CHECK_EQ(mem_vm_fault(0, V3_SIZE_2M, V3_ACC_READ), V3_OK);
	CHECK(!leaf_at(vm, V3_SIZE_2M).uncached);
}

/* Bit by bit: APM vol. 2 15.25 with 5.4, SDM 3C 29.3.2. Accessed and dirty are set from the start. */
static const struct {
	unsigned perm, level;
	uint64_t npt, ept;
} manual_entries[] = {
	{V3_ACC_ALL, 0, 0x67, 0x337},
	{V3_ACC_ALL, 1, 0xe7, 0x3b7},
	{V3_ACC_ALL, 2, 0xe7, 0x3b7},
	{V3_ACC_READ, 2, 1ull << 63 | 0xe5, 0x3b1},
	{V3_ACC_READ | V3_ACC_EXEC, 2, 0xe5, 0x3b5},
	{V3_ACC_READ | V3_ACC_WRITE, 0, 1ull << 63 | 0x67, 0x333},
	{V3_ACC_ALL | V3_NESTED_UC, 0, 0x7f, 0x307},
	{V3_ACC_ALL | V3_NESTED_UC, 2, 0xff, 0x387},
};

static void test_nested_entries_as_in_the_manual(void)
{
	const v3_gpa_t gpa = 3 * V3_SIZE_1G;
	const v3_hpa_t hpa = 0x7fc0000000;
	bool ept = mem_vm_format == V3_NESTED_EPT;

	mem_vm_begin();
	REQUIRE_EQ(mem_vm_make(), V3_OK);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(manual_entries); i++) {
		struct v3_nested *table = &mem_vm.vm.mmu.nested;
		unsigned level = manual_entries[i].level, n;
		uint64_t entry[V3_WALK_MAX_LEVELS];

		REQUIRE_EQ(v3_nested_map(table, gpa, hpa, manual_entries[i].perm, level), V3_OK);
		n = v3_nested_path(table, gpa, entry);
		REQUIRE_EQ(n, 4 - level);
		CHECK_EQ(entry[n - 1], hpa | (ept ? manual_entries[i].ept : manual_entries[i].npt));
		for (unsigned l = 0; l + 1 < n; l++)
			CHECK_EQ(entry[l] & 0xfff0000000000fff, ept ? 0x107 : 0x27);
		v3_nested_fini(table);
		REQUIRE_EQ(v3_nested_init(table, &mem_vm.vm.mem), V3_OK);
	}
}

static void test_nested_retires_tables(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	struct v3_nested *t = &vm->mmu.nested;
	v3_hpa_t list = V3_NESTED_NONE;
	unsigned pages;

	REQUIRE(vm);
	for (v3_gpa_t gpa = 0; gpa < 4 * MIB; gpa += V3_SIZE_2M)
		CHECK_EQ(v3_nested_map(t, gpa, gpa, V3_ACC_ALL, 0), V3_OK);
	CHECK(!v3_nested_retire(t, V3_SIZE_1G, &list));
	CHECK(!v3_nested_retire(t, 1ull << 50, &list));
	CHECK(v3_nested_retire(t, 0x5000, &list));
	CHECK(!v3_nested_retire(t, 0x5000, &list));
	CHECK(!leaf_at(vm, 0).present);
	CHECK(leaf_at(vm, V3_SIZE_2M).present);
	CHECK(v3_nested_retire(t, V3_SIZE_2M, &list));
	CHECK_EQ(stats_of(vm).leaves_4k, 0);
	CHECK_EQ(stats_of(vm).table_pages, 3);
	pages = fake_host_live(FAKE_PAGES);
	v3_nested_reap(list);
	CHECK_EQ(fake_host_live(FAKE_PAGES), pages - 2);
	v3_nested_reap(V3_NESTED_NONE);
}

static void test_nested_mmio_comes_and_goes(void)
{
	struct v3_vm *vm = mem_vm_new(8 * MIB);

	REQUIRE(vm);
	REQUIRE_EQ(v3_mmio_register(vm, 0xc0000000, 0x3000, ignore, NULL), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 2 * MIB, V3_ACC_READ), V3_OK);
	check_leaf(vm, 2 * MIB, V3_SIZE_2M, V3_ACC_ALL);
	CHECK_EQ(v3_mmio_move(vm, 0xc0000000, 2 * MIB + 0x1000), V3_OK);
	check_leaf(vm, 2 * MIB, 4096, V3_ACC_ALL);
	for (unsigned i = 1; i <= 3; i++) {
		CHECK(!leaf_at(vm, 2 * MIB + i * 0x1000).present);
		CHECK_EQ(v3_mmu_map_fault(vm, NULL, 2 * MIB + i * 0x1000, V3_ACC_READ), V3_ENOENT);
	}
	check_leaf(vm, 2 * MIB + 0x4000, 4096, V3_ACC_ALL);
	CHECK_EQ(v3_mmio_move(vm, 2 * MIB + 0x1000, 0xc0000000), V3_OK);
	CHECK_EQ(mem_vm_fault(0, 2 * MIB + 0x1000, V3_ACC_READ), V3_OK);
	check_leaf(vm, 2 * MIB + 0x1000, 4096, V3_ACC_ALL);
}

/* ---- random changes against a model ---- */

#define PAGES                                                                                      \
	2048	 /* 8 MiB: chunk 0 with a hole and ROM, the others plain, the last one ends early */
#define PLACES 6 /* where the MMIO region may lie */

static struct {
	uint8_t base[PAGES]; /* V3_ACC_* without hooks and MMIO */
	uint8_t hook[PAGES];
	unsigned place;
} model;

static const v3_gpa_t places[PLACES] = {0x7000, 0x9e000, 0x1ff000, 0x3f0000, 0x7ff000, 0xc0000000};

static unsigned model_perm(unsigned page)
{
	unsigned first = (unsigned)(places[model.place] >> 12);

	if (page >= first && page < first + 3)
		return 0;
	if (model.hook[page] & V3_ACC_READ)
		return 0;
	return model.base[page] & (model.hook[page] ? V3_ACC_READ | V3_ACC_EXEC : V3_ACC_ALL);
}

static bool model_check_page(struct v3_vm *vm, unsigned page)
{
	v3_gpa_t gpa = (v3_gpa_t)page << 12;
	struct mem_leaf leaf = leaf_at(vm, gpa);
	bool rom;

	CHECK_EQ(v3_mem_page_perm(vm, gpa), model_perm(page));
	if (!leaf.present)
		return true;
	return CHECK_MSG(model_perm(page) && !(leaf.perm & ~model_perm(page)),
			 "page %#x mapped with %u, allowed %u", page, leaf.perm,
			 model_perm(page)) &&
	       CHECK_EQ(leaf.hpa, v3_mem_hpa(&vm->mem, gpa, &rom));
}

/* Counters against the table itself. */
static void model_check_stats(struct v3_vm *vm)
{
	struct v3_mem_stats s = stats_of(vm);
	uint64_t small = 0, large = 0;

	for (unsigned page = 0; page < PAGES;) {
		struct mem_leaf leaf = leaf_at(vm, (v3_gpa_t)page << 12);

		large += leaf.present && leaf.size == V3_SIZE_2M;
		small += leaf.present && leaf.size == 4096;
		page += leaf.present ? leaf.size / 4096 : 1;
	}
	CHECK_EQ(s.leaves_4k, small);
	CHECK_EQ(s.leaves_2m, large);
	CHECK_EQ(s.leaves_1g, 0);
}

static void model_step(struct v3_vm *vm)
{
	unsigned page = tap_rand() % 4 ? tap_rand() % PAGES : 0x1f0 + tap_rand() % 32;
	v3_gpa_t gpa = (v3_gpa_t)page << 12;
	unsigned access = 1u << tap_rand() % 3, to;
	int err;

	switch (tap_rand() % 16) {
	case 0:
		err = v3_mem_hook(vm, gpa, access & 3 ? access : 3, ignore, NULL);
		CHECK_EQ(err, !(model.base[page] & V3_ACC_WRITE) ? V3_ENOENT
			      : model.hook[page]		 ? V3_EEXIST
								 : V3_OK);
		if (!err)
			model.hook[page] = access & 3 ? (uint8_t)access : 3;
		break;
	case 1:
		for (unsigned n = 0; n < PAGES && !model.hook[page]; n++)
			page = (page + 1) % PAGES;
		v3_mem_unhook(vm, (v3_gpa_t)page << 12);
		model.hook[page] = 0;
		break;
	case 2:
		to = tap_rand() % PLACES;
		CHECK_EQ(v3_mmio_move(vm, places[model.place], places[to]), V3_OK);
		model.place = to;
		break;
	default:
		err = v3_mmu_map_fault(vm, NULL, gpa + tap_rand() % 4096, access);
		CHECK_EQ(err, access & ~model_perm(page) ? V3_ENOENT : V3_OK);
		if (!err)
			CHECK(leaf_at(vm, gpa).perm & access);
	}
}

static void test_nested_never_shows_more_than_the_map(void)
{
	struct v3_vm *vm = mem_vm_new(0);

	REQUIRE(vm);
	memset(&model, 0, sizeof(model));
	REQUIRE_EQ(v3_mem_add_ram(vm, 0, 0xa0000, -1), V3_OK);
	REQUIRE_EQ(v3_mem_add_rom(vm, 0xc0000, 0x40000), V3_OK);
	REQUIRE_EQ(v3_mem_add_ram(vm, 0x100000, 7 * MIB - 0x3000, -1), V3_OK);
	for (unsigned page = 0; page < PAGES; page++)
		model.base[page] = page < 0xa0 || (page >= 0x100 && page < PAGES - 3) ? V3_ACC_ALL
				   : page >= 0xc0 && page < 0x100 ? V3_ACC_READ | V3_ACC_EXEC
								  : 0;
	model.place = PLACES - 1;
	REQUIRE_EQ(v3_mmio_register(vm, places[model.place], 0x3000, ignore, NULL), V3_OK);
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 100; i++)
			model_step(vm);
		for (unsigned page = 0; page < PAGES; page++)
			if (!model_check_page(vm, page))
				return;
		model_check_stats(vm);
	}
}

/* ---- two vcpus at once ---- */

struct crowd {
	struct v3_vm *vm;
	unsigned odd;	/* hooks only pages of this parity */
	uint64_t state; /* of its random numbers: tap_rand() is not for threads */
	struct v3_view *view;
};

static unsigned crowd_rand(struct crowd *c, unsigned n)
{
	c->state = c->state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(c->state >> 33) % n;
}

static void *crowd_main(void *arg)
{
	struct crowd *c = arg;

	for (unsigned i = 0; i < 20000; i++) {
		v3_gpa_t gpa = (v3_gpa_t)crowd_rand(c, 1024) << 12;
		unsigned access = 1u << crowd_rand(c, 3);
		v3_gpa_t mine = (gpa & ~0x1000ull) | c->odd << 12;

		switch (crowd_rand(c, 8)) {
		case 0:
			v3_mem_hook(c->vm, mine, V3_ACC_WRITE, ignore, NULL);
			CHECK(!(v3_mem_page_perm(c->vm, mine) & V3_ACC_WRITE));
			break;
		case 1:
		case 2:
			v3_mem_unhook(c->vm, mine);
			CHECK_EQ(v3_mem_page_perm(c->vm, mine), V3_ACC_ALL);
			break;
		case 3:
			v3_mmu_map_fault(c->vm, c->view, gpa, access);
			break;
		default:
			v3_mmu_map_fault(c->vm, NULL, gpa, access);
		}
	}
	return NULL;
}

static int refuse(struct v3_vcpu *vcpu, struct v3_view *view, v3_gpa_t gpa, unsigned access,
		  void *priv)
{
	(void)vcpu, (void)view, (void)gpa, (void)access, (void)priv;
	return V3_EIO;
}

static void test_nested_changes_by_several_threads(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	struct crowd crowd[2];
	pthread_t thread[2];
	struct v3_view *view;
	uint64_t seed = tap_rand();

	REQUIRE(vm);
	REQUIRE_EQ(v3_view_create(vm, refuse, NULL, &view), V3_OK);
	for (unsigned i = 0; i < 2; i++) {
		crowd[i] = (struct crowd){.vm = vm, .odd = i, .state = seed + i, .view = view};
		REQUIRE_EQ(pthread_create(&thread[i], NULL, crowd_main, &crowd[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (v3_gpa_t gpa = 0; gpa < 4 * MIB; gpa += 4096) {
		CHECK(!(leaf_at(vm, gpa).perm & ~v3_mem_page_perm(vm, gpa)) ||
		      !leaf_at(vm, gpa).present);
		v3_mem_unhook(vm, gpa);
	}
	for (v3_gpa_t gpa = 0; gpa < 4 * MIB; gpa += 4096)
		CHECK_EQ(v3_mmu_map_fault(vm, NULL, gpa, V3_ACC_WRITE), V3_OK);
	model_check_stats(vm);
}

/* ---- flush ---- */

static struct {
	struct v3_vcpu *vcpu;
	bool hooked, stop;
	unsigned left;
} runner;

/* A vcpu's thread as far as flushing can tell: leaves the guest when it sees a request. */
static void *runner_main(void *arg)
{
	struct v3_vcpu *vcpu = runner.vcpu;

	(void)arg;
	while (!__atomic_load_n(&runner.stop, __ATOMIC_SEQ_CST)) {
		if (!__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST))
			continue;
		usleep(20000);
		/* Still in the guest: whoever took a page away must still be waiting. */
		CHECK(!__atomic_load_n(&runner.hooked, __ATOMIC_SEQ_CST));
		__atomic_store_n(&vcpu->in_guest, 0, __ATOMIC_SEQ_CST);
		runner.left++;
		__atomic_store_n(&vcpu->requests, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&vcpu->in_guest, 1, __ATOMIC_SEQ_CST);
		break;
	}
	return NULL;
}

static void test_flush_waits_for_vcpus_in_the_guest(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	pthread_t thread;

	REQUIRE(vm);
	CHECK_EQ(mem_vm_fault(0, 0x1000, V3_ACC_READ), V3_OK);
	memset(&runner, 0, sizeof(runner));
	runner.vcpu = vm->vcpu[1];
	runner.vcpu->in_guest = 1;
	REQUIRE_EQ(pthread_create(&thread, NULL, runner_main, NULL), 0);
	CHECK_EQ(v3_mem_hook(vm, 0x1000, V3_ACC_WRITE, ignore, NULL), V3_OK);
	__atomic_store_n(&runner.hooked, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&runner.stop, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	CHECK_EQ(runner.left, 1);
	CHECK_EQ(vm->vcpu[0]->requests & V3_REQ_FLUSH, V3_REQ_FLUSH);
}

static void test_flush_asks_one_or_all(void)
{
	struct v3_vm *vm = mem_vm_new(0);

	REQUIRE(vm);
	v3_flush_vcpu(vm->vcpu[1]);
	CHECK_EQ(vm->vcpu[0]->requests, 0);
	CHECK_EQ(vm->vcpu[1]->requests, V3_REQ_FLUSH);
	v3_flush_vm(vm);
	CHECK_EQ(vm->vcpu[0]->requests, V3_REQ_FLUSH);
}

#define TESTS(X)                                                                                   \
	X(nested_largest_leaf)                                                                     \
	X(nested_2m_where_1g_is_unknown)                                                           \
	X(nested_five_levels)                                                                      \
	X(nested_width_is_cut_to_tables)                                                           \
	X(nested_refuses_unknown_formats)                                                          \
	X(nested_rom_is_read_only)                                                                 \
	X(nested_hooks_keep_their_kinds_out)                                                       \
	X(nested_unhook_brings_large_leaf_back)                                                    \
	X(nested_split_without_memory)                                                             \
	X(nested_fault_out_of_memory_at_each_step)                                                 \
	X(nested_drop_at_the_edges)                                                                \
	X(nested_map_below_a_leaf)                                                                 \
	X(nested_uncached_leaves)                                                                  \
	X(nested_entries_as_in_the_manual)                                                         \
	X(nested_retires_tables)                                                                   \
	X(nested_mmio_comes_and_goes)                                                              \
	X(nested_never_shows_more_than_the_map)                                                    \
	X(nested_changes_by_several_threads)                                                       \
	X(flush_waits_for_vcpus_in_the_guest)                                                      \
	X(flush_asks_one_or_all)
TESTS(MEM_VM_BOTH)

static const struct tap_test tests[] = {TESTS(MEM_VM_ROWS)};
TAP_MAIN(tests)
