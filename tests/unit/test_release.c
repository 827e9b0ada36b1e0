/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_release.c
 * RAM that the guest gives back: when the host gets it, what whoever touches it finds, and what else knows of the page.
 * The fake host poisons what it was given back, so an address that is kept too long is found.
 */
#include "mem_vm.h"

#include "mem/release.h"
#include "mmu/view.h"

#include <pthread.h>

#define MIB   0x100000ull
#define PAGE  V3_PAGE_SIZE
#define CHUNK V3_SIZE_2M

/* VM with RAM of @p size from 0 that can be given back. */
static struct v3_vm *release_vm(uint64_t size)
{
	struct v3_vm *vm = mem_vm_new(size);

	if (!vm || !CHECK_EQ(v3_mem_release_enable(vm), V3_OK))
		return NULL;
	return vm;
}

/* One vcpu is between two handlers. */
static void pass(struct v3_vm *vm, unsigned n)
{
	fake_run_work(vm->vcpu[n]);
}

/* All are, as often as it takes. */
static void pass_all(struct v3_vm *vm)
{
	for (unsigned i = 0; i < 4; i++) {
		pass(vm, 0);
		pass(vm, 1);
	}
}

static void give(struct v3_vm *vm, v3_gpa_t gpa, uint64_t npages)
{
	CHECK_EQ(v3_mem_release(vm, gpa, npages), V3_OK);
	v3_mem_release_end(vm);
}

static struct v3_mem_stats stats_of(struct v3_vm *vm)
{
	struct v3_mem_stats s;

	v3_mem_get_stats(vm, &s);
	return s;
}

static void check_stats(struct v3_vm *vm, uint64_t released, uint64_t freed)
{
	const struct v3_mem_stats s = stats_of(vm);

	CHECK_EQ(s.released, released);
	CHECK_EQ(s.freed, freed);
}

static uint64_t word_at(struct v3_vm *vm, v3_gpa_t gpa)
{
	uint64_t word = ~0ull;

	CHECK_EQ(v3_mem_read(vm, gpa, &word, sizeof(word)), V3_OK);
	return word;
}

static void set_word(struct v3_vm *vm, v3_gpa_t gpa, uint64_t word)
{
	CHECK_EQ(v3_mem_write(vm, gpa, &word, sizeof(word)), V3_OK);
}

/* Each page has its address in its first word. */
static void fill(struct v3_vm *vm, v3_gpa_t gpa, v3_gpa_t end)
{
	for (; gpa < end; gpa += PAGE)
		set_word(vm, gpa, gpa + 1);
}

static struct mem_leaf leaf_at(struct v3_vm *vm, v3_gpa_t gpa)
{
	return mem_walk(vm->mmu.nested.root, 4, gpa);
}

static void test_release_needs_the_host(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);

	REQUIRE(vm);
	CHECK_EQ(v3_mem_release(vm, 0, 1), V3_ENOTSUP);
	v3_mem_release_end(vm);
	CHECK_EQ(v3_mem_release_count(vm), 0);
	v3_mem_unpin(vm, v3_mem_pin(vm));
	v3_lib.ops.ram_free_part = NULL;
	CHECK_EQ(v3_mem_release_enable(vm), V3_ENOTSUP);
	v3_lib.ops = fake_host_ops;
	CHECK_EQ(v3_mem_release_enable(vm), V3_OK);
	CHECK_EQ(v3_mem_release_enable(vm), V3_OK);
	check_stats(vm, 0, 0);
}

static void test_release_refuses_what_is_no_ram(void)
{
	static const struct {
		uint64_t gpa, npages;
	} wrong[] = {
		{0x1001, 1},
		{0x1000, 0},
		{4 * MIB, 1},
		{4 * MIB - PAGE, 2},
		{~0ull & V3_PAGE_MASK, 1},
		{0x1000, 1ull << 52},
		{0x1000, ~0ull},
		{0x9f000, 2},  /* a hole behind it */
		{0xa0000, 1},  /* the hole */
		{0xff000, 1},  /* ROM */
		{0xfe000, 16}, /* RAM behind it */
		{0, 1024},
	};
	struct v3_vm *vm = mem_vm_new(0xa0000);

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_add_rom(vm, 0xf0000, 0x10000), V3_OK);
	REQUIRE_EQ(v3_mem_add_ram(vm, MIB, 3 * MIB, -1), V3_OK);
	REQUIRE_EQ(v3_mem_release_enable(vm), V3_OK);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(wrong); i++)
		CHECK_MSG(v3_mem_release(vm, wrong[i].gpa, wrong[i].npages) == V3_EINVAL,
			  "%#llx, %llu pages", (unsigned long long)wrong[i].gpa,
			  (unsigned long long)wrong[i].npages);
	check_stats(vm, 0, 0);
	CHECK_EQ(v3_mem_release_count(vm), 0);
	give(vm, 0x1000, 0x9f);
	give(vm, MIB, 256);
	check_stats(vm, (0x9f + 256) * PAGE, 0);
}

/* 2 MiB: the host has them when both vcpus have passed, and a fault brings all of them back. */
static void test_release_whole_chunk(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	const uint64_t used = fake_ram_used();
	uint32_t count;

	REQUIRE(vm);
	fill(vm, CHUNK, 2 * CHUNK);
	CHECK_EQ(mem_vm_fault(0, CHUNK + 0x5000, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(leaf_at(vm, CHUNK).size, CHUNK);
	count = v3_mem_release_count(vm);
	give(vm, CHUNK, 512);
	CHECK(v3_mem_release_count(vm) != count);
	CHECK(!leaf_at(vm, CHUNK).present);
	CHECK(fake_take_requests(vm->vcpu[0]) & fake_take_requests(vm->vcpu[1]) & V3_REQ_FLUSH);
	check_stats(vm, CHUNK, 0);
	pass(vm, 1);
	CHECK_EQ(fake_ram_used(), used);
	pass(vm, 0);
	CHECK_EQ(fake_ram_used(), used - CHUNK);
	check_stats(vm, CHUNK, CHUNK);
	CHECK_EQ(mem_vm_fault(1, CHUNK + 0x7000, V3_ACC_READ), V3_OK);
	CHECK_EQ(leaf_at(vm, CHUNK).size, CHUNK);
	CHECK_EQ(fake_ram_used(), used);
	check_stats(vm, 0, 0);
	CHECK_EQ(word_at(vm, CHUNK), 0);
	CHECK_EQ(word_at(vm, 2 * CHUNK - PAGE), 0);
	CHECK_EQ(leaf_at(vm, CHUNK).hpa, v3_mem_hpa(&vm->mem, CHUNK, &(bool){false}));
	/* And so on. */
	set_word(vm, CHUNK, 7);
	give(vm, CHUNK, 512);
	pass_all(vm);
	CHECK_EQ(fake_ram_used(), used - CHUNK);
	CHECK_EQ(mem_vm_fault(0, CHUNK, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(word_at(vm, CHUNK), 0);
}

/* A look-up takes a page, not 2 MiB, and finds zeros. */
static void test_release_look_up(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	const uint64_t used = fake_ram_used();
	uint8_t *p;

	REQUIRE(vm);
	fill(vm, 0, 8 * MIB);
	give(vm, CHUNK, 512);
	pass_all(vm);
	CHECK_EQ(word_at(vm, CHUNK + 0x3000), 0);
	check_stats(vm, CHUNK - PAGE, CHUNK - PAGE);
	set_word(vm, CHUNK + 0x4008, 0x1234);
	CHECK_EQ(word_at(vm, CHUNK + 0x4008), 0x1234);
	p = v3_mem_ptr(vm, CHUNK + 0x5000, PAGE);
	REQUIRE(p);
	CHECK_EQ(p[17], 0);
	CHECK_EQ(*v3_mem_hva(vm, CHUNK + 0x6001), 0);
	check_stats(vm, CHUNK - 4 * PAGE, CHUNK - 4 * PAGE);
	CHECK_EQ(fake_ram_used(), used - CHUNK); /* single pages come from the other kind */
	CHECK_EQ(word_at(vm, CHUNK - PAGE), CHUNK - PAGE + 1);
	CHECK_EQ(word_at(vm, 2 * CHUNK), 2 * CHUNK + 1);
	/* The rest, and those again. */
	give(vm, CHUNK, 512);
	pass_all(vm);
	check_stats(vm, CHUNK, CHUNK);
	CHECK_EQ(v3_mem_set(vm, CHUNK, 0x77, CHUNK), V3_OK);
	check_stats(vm, 0, 0);
	CHECK_EQ(word_at(vm, 2 * CHUNK - 8), 0x7777777777777777);
}

/* Pages here and there: the others keep what they have, in leaves of 4 KiB. */
static void test_release_pages(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	const uint64_t used = fake_ram_used();

	REQUIRE(vm);
	fill(vm, 0, 8 * MIB);
	CHECK_EQ(mem_vm_fault(0, CHUNK, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(v3_mem_release(vm, CHUNK + 3 * PAGE, 2), V3_OK);
	CHECK_EQ(v3_mem_release(vm, CHUNK + 500 * PAGE, 20), V3_OK); /* into the next 2 MiB */
	v3_mem_release_end(vm);
	CHECK(!leaf_at(vm, CHUNK + 3 * PAGE).present);
	CHECK(leaf_at(vm, CHUNK + 5 * PAGE).present);
	check_stats(vm, 22 * PAGE, 0);
	pass_all(vm);
	check_stats(vm, 22 * PAGE, 22 * PAGE);
	CHECK_EQ(fake_ram_used(), used - 22 * PAGE);
	CHECK_EQ(word_at(vm, CHUNK + 2 * PAGE), CHUNK + 2 * PAGE + 1);
	CHECK_EQ(word_at(vm, CHUNK + 5 * PAGE), CHUNK + 5 * PAGE + 1);
	CHECK_EQ(word_at(vm, CHUNK + 499 * PAGE), CHUNK + 499 * PAGE + 1);
	CHECK_EQ(word_at(vm, CHUNK + 520 * PAGE), CHUNK + 520 * PAGE + 1);
	check_stats(vm, 22 * PAGE, 22 * PAGE);
	CHECK_EQ(mem_vm_fault(1, CHUNK + 4 * PAGE, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(leaf_at(vm, CHUNK + 4 * PAGE).size, PAGE);
	CHECK_EQ(leaf_at(vm, CHUNK + 4 * PAGE).hpa,
		 v3_host_va_to_pa(v3_mem_hva(vm, CHUNK + 4 * PAGE)));
	check_stats(vm, 21 * PAGE, 21 * PAGE);
	CHECK_EQ(word_at(vm, CHUNK + 4 * PAGE), 0);
	/* Again: a page of the other kind. */
	set_word(vm, CHUNK + 4 * PAGE, 9);
	give(vm, CHUNK + 4 * PAGE, 1);
	pass_all(vm);
	check_stats(vm, 22 * PAGE, 22 * PAGE);
	CHECK_EQ(word_at(vm, CHUNK + 4 * PAGE), 0);
}

static void test_release_twice(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	uint32_t count;

	REQUIRE(vm);
	give(vm, CHUNK, 512);
	give(vm, 0x3000, 1);
	count = v3_mem_release_count(vm);
	give(vm, CHUNK, 512);
	give(vm, CHUNK + 0x3000, 1);
	give(vm, 0x3000, 1);
	CHECK_EQ(v3_mem_release_count(vm), count);
	check_stats(vm, CHUNK + PAGE, 0);
	pass_all(vm);
	give(vm, CHUNK, 512);
	give(vm, 0x3000, 1);
	pass_all(vm);
	check_stats(vm, CHUNK + PAGE, CHUNK + PAGE);
}

/* Who touches a page before the host has it gets the same one, empty; the host does not get it then. */
static void test_release_touched_in_time(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	const uint64_t used = fake_ram_used();
	uint8_t *whole, *page;

	REQUIRE(vm);
	fill(vm, 0, 8 * MIB);
	whole = v3_mem_hva(vm, CHUNK);
	page = v3_mem_hva(vm, 0x3000);
	CHECK_EQ(v3_mem_release(vm, CHUNK, 512), V3_OK);
	CHECK_EQ(v3_mem_release(vm, 0x3000, 1), V3_OK);
	v3_mem_release_end(vm);
	pass(vm, 0);
	CHECK_EQ(word_at(vm, CHUNK), 0);
	CHECK_EQ(word_at(vm, 0x3000), 0);
	CHECK(v3_mem_hva(vm, CHUNK) == whole && v3_mem_hva(vm, 0x3000) == page);
	set_word(vm, CHUNK, 5);
	set_word(vm, 0x3000, 6);
	CHECK_EQ(mem_vm_fault(0, CHUNK + 0x1000, V3_ACC_WRITE), V3_OK);
	check_stats(vm, CHUNK - 2 * PAGE, 0);
	pass_all(vm);
	check_stats(vm, CHUNK - 2 * PAGE, CHUNK - 2 * PAGE);
	CHECK_EQ(fake_ram_used(), used - CHUNK + 2 * PAGE);
	CHECK_EQ(word_at(vm, CHUNK), 5);
	CHECK_EQ(word_at(vm, 0x3000), 6);
	CHECK_EQ(word_at(vm, CHUNK + 0x1000), 0);
}

/* Touched and released again while the first period is not over: the page waits for the next one. */
static void test_release_again_in_time(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	const uint64_t used = fake_ram_used();

	REQUIRE(vm);
	give(vm, 0x3000, 1);
	pass(vm, 0); /* may now have looked at the page again */
	set_word(vm, 0x3000, 5);
	give(vm, 0x3000, 1);
	give(vm, 0x5000, 1);
	pass(vm, 1); /* ends the first, begins the second */
	check_stats(vm, 2 * PAGE, 0);
	pass(vm, 1);
	check_stats(vm, 2 * PAGE, 0);
	pass(vm, 0);
	check_stats(vm, 2 * PAGE, 2 * PAGE);
	CHECK_EQ(fake_ram_used(), used - 2 * PAGE);
}

/* A pin keeps what was there when it was taken, and no more. */
static void test_release_waits_for_pins(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	uint64_t *p;
	unsigned pin, later;

	REQUIRE(vm);
	pin = v3_mem_pin(vm);
	p = v3_mem_ptr(vm, 0x3000, 8);
	REQUIRE(p);
	give(vm, 0x3000, 1);
	pass_all(vm);
	check_stats(vm, PAGE, 0);
	*p = 1;			/* as a disk would */
	later = v3_mem_pin(vm); /* one begins before the other ends, for ever */
	v3_mem_unpin(vm, pin);
	check_stats(vm, PAGE, 0);
	pass_all(vm);
	check_stats(vm, PAGE, PAGE);
	CHECK_EQ(word_at(vm, 0x3000), 0);
	p = v3_mem_ptr(vm, 0x3000, 8);
	give(vm, 0x3000, 1); /* the later one may have that */
	pin = v3_mem_pin(vm);
	pass_all(vm);
	check_stats(vm, PAGE, 0);
	*p = 2;
	v3_mem_unpin(vm, later);
	pass_all(vm);
	check_stats(vm, PAGE, 0);
	v3_mem_unpin(vm, pin);
	pass_all(vm);
	check_stats(vm, PAGE, PAGE);
}

/* Of a host that takes 2 MiB only: pages stay where they are, empty, until all of them are there. */
static void test_release_host_with_a_pool(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	const uint64_t used = fake_ram_used();
	uint8_t *page;

	REQUIRE(vm);
	fake_ram_part(CHUNK);
	fill(vm, 0, 8 * MIB);
	page = v3_mem_hva(vm, CHUNK + 0x3000);
	give(vm, CHUNK, 511);
	pass_all(vm);
	check_stats(vm, 511 * PAGE, 0);
	CHECK_EQ(fake_ram_used(), used);
	CHECK_EQ(word_at(vm, CHUNK + 0x3000), 0);
	CHECK(v3_mem_hva(vm, CHUNK + 0x3000) == page);
	give(vm, CHUNK + 511 * PAGE, 1);
	pass_all(vm);
	check_stats(vm, 511 * PAGE, 0);
	CHECK_EQ(mem_vm_fault(0, CHUNK + 0x8000, V3_ACC_READ), V3_OK);
	CHECK_EQ(word_at(vm, CHUNK + 0x8000), 0);
	give(vm, CHUNK + 0x8000, 1);
	give(vm, CHUNK + 0x3000, 1);
	pass_all(vm);
	check_stats(vm, CHUNK, CHUNK);
	CHECK_EQ(fake_ram_used(), used - CHUNK);
	CHECK_EQ(word_at(vm, CHUNK + 0x3000), 0);
	/* Whole ones go at once and come back from the same source. */
	give(vm, 2 * CHUNK, 512);
	pass_all(vm);
	CHECK_EQ(fake_ram_used(), used - 2 * CHUNK);
	CHECK_EQ(mem_vm_fault(0, 2 * CHUNK, V3_ACC_READ), V3_OK);
	CHECK_EQ(fake_ram_used(), used - CHUNK);
	give(vm, 2 * CHUNK + 0x1000, 1);
	pass_all(vm);
	check_stats(vm, CHUNK, CHUNK - PAGE);
}

/* A host that has only small pieces: all of it goes, all comes back, and is freed once in the end. */
static void release_fragmented(uint64_t piece)
{
	const uint64_t size = 6 * MIB + 0x5000;
	struct v3_vm *vm;

	mem_vm_begin();
	fake_ram_fragment(piece);
	REQUIRE_EQ(mem_vm_make(), V3_OK);
	vm = &mem_vm.vm;
	REQUIRE_EQ(v3_mem_add_ram(vm, 0, size, -1), V3_OK);
	REQUIRE_EQ(v3_mem_release_enable(vm), V3_OK);
	fill(vm, 0, size);
	give(vm, 0x5000, (size >> V3_PAGE_SHIFT) - 7);
	pass_all(vm);
	check_stats(vm, size - 7 * PAGE, size - 7 * PAGE);
	CHECK_EQ(fake_ram_used(), 7 * PAGE + PAGE); /* and the chunk table */
	for (v3_gpa_t gpa = 0; gpa < size; gpa += 3 * PAGE)
		CHECK_EQ(word_at(vm, gpa), gpa < 0x5000 || gpa >= size - 2 * PAGE ? gpa + 1 : 0);
	give(vm, 0x5000, 100);
	pass_all(vm);
}

static void test_release_fragmented_host(void)
{
	release_fragmented(PAGE);
	mem_vm_free(NULL);
	release_fragmented(16 * PAGE);
	mem_vm_free(NULL);
	release_fragmented(CHUNK);
}

static void test_release_splits_a_gib(void)
{
	struct v3_vm *vm = release_vm(2 * V3_SIZE_1G);

	REQUIRE(vm);
	CHECK_EQ(mem_vm_fault(0, V3_SIZE_1G, V3_ACC_READ), V3_OK);
	CHECK_EQ(leaf_at(vm, V3_SIZE_1G).size, V3_SIZE_1G);
	give(vm, V3_SIZE_1G + 4 * CHUNK, 512);
	CHECK(!leaf_at(vm, V3_SIZE_1G + 4 * CHUNK).present);
	CHECK_EQ(leaf_at(vm, V3_SIZE_1G + 5 * CHUNK).size, CHUNK);
	CHECK_EQ(stats_of(vm).backed_1g, V3_SIZE_1G);
	CHECK_EQ(mem_vm_fault(0, 0, V3_ACC_READ), V3_OK);
	CHECK_EQ(leaf_at(vm, 0).size, V3_SIZE_1G);
	give(vm, 0x7000, 1);
	CHECK(!leaf_at(vm, 0x7000).present);
	CHECK_EQ(leaf_at(vm, 0x8000).size, PAGE);
	CHECK_EQ(leaf_at(vm, CHUNK).size, CHUNK);
	pass_all(vm);
	CHECK_EQ(mem_vm_fault(0, V3_SIZE_1G + 4 * CHUNK, V3_ACC_READ), V3_OK);
	CHECK_EQ(leaf_at(vm, V3_SIZE_1G + 4 * CHUNK).size, CHUNK);
}

/* ---- others that know of the page ---- */

static int hooked(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	(void)vcpu;
	++*(unsigned *)priv;
	mmio->value = 0x77;
	return V3_OK;
}

static void test_release_hooked_page(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	unsigned calls = 0;
	uint8_t byte = 0;

	REQUIRE(vm);
	fill(vm, 0, 0x8000);
	REQUIRE_EQ(v3_mem_hook(vm, 0x3000, V3_ACC_READ | V3_ACC_WRITE, hooked, &calls), V3_OK);
	give(vm, 0x2000, 3);
	pass_all(vm);
	check_stats(vm, 3 * PAGE, 3 * PAGE);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x3001, &byte, 1, false), V3_OK);
	CHECK_EQ(byte, 0x77);
	CHECK_EQ(calls, 1);
	check_stats(vm, 3 * PAGE, 3 * PAGE);
	CHECK_EQ(word_at(vm, 0x3000), 0);
	v3_mem_unhook(vm, 0x3000);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x2000, &byte, 1, false), V3_OK);
	CHECK_EQ(byte, 0);
	CHECK_EQ(v3_mem_hook(vm, 0x4000, V3_ACC_WRITE, hooked, &calls), V3_OK);
	CHECK(v3_mem_direct(vm->vcpu[0], 0x4000, 4, false) != NULL);
	check_stats(vm, 0, 0);
}

static void test_release_window(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_add_rom(vm, 16 * MIB, 0x8000), V3_OK);
	REQUIRE_EQ(v3_mem_window_create(vm, 0xc0000, 0x4000), V3_OK);
	fill(vm, 0xbf000, 0xc5000);
	REQUIRE_EQ(v3_mem_window_show(vm, 0xc1000, 0x1000, 16 * MIB, V3_WINDOW_UNDER), V3_OK);
	CHECK_EQ(v3_mem_release(vm, 0xbf000, 6), V3_EINVAL); /* it is ROM now */
	give(vm, 0xbf000, 2);
	give(vm, 0xc2000, 3);
	pass_all(vm);
	check_stats(vm, 2 * PAGE, 2 * PAGE);
	CHECK_EQ(word_at(vm, 0xc0000), 0xc0001);
	CHECK_EQ(word_at(vm, 0xc3000), 0xc3001);
	CHECK_EQ(word_at(vm, 0xc4000), 0);
	REQUIRE_EQ(v3_mem_window_show(vm, 0xc1000, 0x1000, 0xc1000, V3_WINDOW_STORE), V3_OK);
	CHECK_EQ(word_at(vm, 0xc1000), 0xc1001);
	/* RAM that is shown elsewhere must stay; a released page can be shown. */
	REQUIRE_EQ(v3_mem_window_show(vm, 0xc2000, 0x1000, 0xc4000, V3_WINDOW_STORE), V3_OK);
	set_word(vm, 0xc2000, 3);
	CHECK_EQ(word_at(vm, 0xc4000), 3);
	CHECK_EQ(v3_mem_release(vm, 0xc4000, 1), V3_EBUSY);
	CHECK_EQ(v3_mem_release(vm, CHUNK, 512), V3_EBUSY);
	CHECK_EQ(word_at(vm, 0xc4000), 3);
}

static int view_forbids(struct v3_vcpu *vcpu, struct v3_view *view, v3_gpa_t gpa, unsigned access,
			void *priv)
{
	(void)vcpu, (void)view, (void)gpa, (void)access, (void)priv;
	return V3_EIO;
}

static void test_release_views(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	v3_hpa_t own = v3_host_page_alloc(1, -1);
	struct v3_view *view;
	uint8_t byte = 1;

	REQUIRE(vm);
	REQUIRE_EQ(v3_view_create(vm, view_forbids, NULL, &view), V3_OK);
	REQUIRE_EQ(v3_view_set_page(view, CHUNK + 0x1000, V3_ACC_READ, own), V3_OK);
	v3_vcpu_set_view(vm->vcpu[0], view);
	CHECK_EQ(mem_vm_fault(0, CHUNK + 0x1000, V3_ACC_READ), V3_OK);
	CHECK_EQ(mem_vm_fault(0, CHUNK + 0x2000, V3_ACC_READ), V3_OK);
	give(vm, CHUNK, 512);
	CHECK(!mem_walk(view->table.root, 4, CHUNK + 0x2000).present);
	pass_all(vm);
	check_stats(vm, CHUNK, CHUNK);
	CHECK_EQ(mem_vm_fault(0, CHUNK + 0x1000, V3_ACC_READ), V3_OK);
	CHECK_EQ(mem_walk(view->table.root, 4, CHUNK + 0x1000).hpa, own);
	check_stats(vm, CHUNK, CHUNK); /* its own page is none of the VM's */
	CHECK_EQ(mem_vm_fault(0, CHUNK + 0x2000, V3_ACC_READ), V3_OK);
	CHECK_EQ(mem_walk(view->table.root, 4, CHUNK + 0x2000).hpa,
		 v3_host_va_to_pa(v3_mem_hva(vm, CHUNK + 0x2000)));
	give(vm, CHUNK + 0x2000, 1);
	pass_all(vm);
	CHECK_EQ(v3_view_set_page(view, CHUNK + 0x2000, V3_ACC_READ, V3_HPA_NONE), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], CHUNK + 0x2004, &byte, 1, false), V3_OK);
	CHECK_EQ(byte, 0);
	v3_vcpu_set_view(vm->vcpu[0], NULL);
	CHECK_EQ(v3_view_destroy(view), V3_OK);
	v3_host_page_free(own, 1);
}

static uint64_t bitmap[8 * MIB / PAGE / 64];

static void check_dirty(struct v3_vm *vm, int n, v3_gpa_t gpa)
{
	CHECK_EQ(v3_dirty_harvest(vm, 0, 8 * MIB, bitmap), n);
	if (n)
		CHECK(bitmap[gpa >> V3_PAGE_SHIFT >> 6] >> (gpa >> V3_PAGE_SHIFT & 63) & 1);
}

/* The page that was given away has changed, and changes again when it is written. */
static void test_release_tracked(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);

	REQUIRE(vm);
	REQUIRE_EQ(v3_dirty_start(vm, 0, 8 * MIB), V3_OK);
	CHECK_EQ(mem_vm_fault(0, CHUNK, V3_ACC_READ), V3_OK);
	check_dirty(vm, 0, 0);
	give(vm, CHUNK + 0x3000, 1);
	check_dirty(vm, 1, CHUNK + 0x3000);
	pass_all(vm);
	CHECK_EQ(mem_vm_fault(0, CHUNK + 0x3000, V3_ACC_READ), V3_OK);
	check_dirty(vm, 0, 0);
	CHECK_EQ(mem_vm_fault(0, CHUNK + 0x3000, V3_ACC_WRITE), V3_OK);
	check_dirty(vm, 1, CHUNK + 0x3000);
	give(vm, 2 * CHUNK, 512);
	check_dirty(vm, 512, 3 * CHUNK - PAGE);
	pass_all(vm);
	set_word(vm, 2 * CHUNK + 0x5000, 1);
	check_dirty(vm, 1, 2 * CHUNK + 0x5000);
	v3_dirty_stop(vm);
	CHECK_EQ(mem_vm_fault(0, 3 * CHUNK, V3_ACC_WRITE), V3_OK);
}

/* Page tables that are given away are empty; what was remembered of them is not used. */
static void test_release_page_tables(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);
	struct v3_vcpu *vcpu;
	struct v3_walk w;

	REQUIRE(vm);
	vcpu = vm->vcpu[0];
	vcpu->cr0 = V3_CR0_PE | V3_CR0_PG;
	vcpu->cr4 = V3_CR4_PAE;
	vcpu->efer = V3_EFER_LME | V3_EFER_LMA;
	vcpu->cr3 = 0x10000;
	set_word(vm, 0x10000, 0x11000 | 7);
	set_word(vm, 0x11000, 0x12000 | 7);
	set_word(vm, 0x12000, 0x13000 | 7);
	set_word(vm, 0x13000 + 8 * 5, 0x20000 | 7);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(v3_walk(vcpu, 0x5123, V3_ACC_READ, 0, &w), V3_OK);
	CHECK_EQ(w.gpa, 0x20123);
	give(vm, 0x13000, 1);
	pass_all(vm);
	CHECK_EQ(v3_walk(vcpu, 0x5123, V3_ACC_READ, 0, &w), V3_EFAULT);
	CHECK_EQ(w.error, 0);
	set_word(vm, 0x13000 + 8 * 5, 0x30000 | 7);
	CHECK_EQ(v3_walk(vcpu, 0x5123, V3_ACC_READ, 0, &w), V3_OK);
	CHECK_EQ(w.gpa, 0x30123);
}

/* ---- no memory ---- */

static int enable_create(void *arg)
{
	return v3_mem_release_enable(arg);
}

static void enable_destroy(void *arg)
{
	v3_release_fini(&((struct v3_vm *)arg)->mem);
}

static void test_release_enable_out_of_memory(void)
{
	struct v3_vm *vm = mem_vm_new(0);

	REQUIRE(vm);
	CHECK(fake_host_oom_each_step(enable_create, enable_destroy, vm) >= 4);
}

static void test_release_out_of_memory(void)
{
	struct v3_vm *vm = release_vm(8 * MIB);

	REQUIRE(vm);
	fill(vm, 0, 0x8000);
	fake_host_fail_at(1); /* the table of pages */
	CHECK_EQ(v3_mem_release(vm, 0x3000, 1), V3_ENOMEM);
	fake_host_fail_at(0);
	check_stats(vm, 0, 0);
	CHECK_EQ(word_at(vm, 0x3000), 0x3001);
	/* 2 MiB come back as pages if there is no such piece. */
	give(vm, CHUNK, 512);
	pass_all(vm);
	fake_host_fail_at(1);
	CHECK_EQ(mem_vm_fault(0, CHUNK + 0x3000, V3_ACC_WRITE), V3_OK);
	fake_host_fail_at(0);
	CHECK_EQ(leaf_at(vm, CHUNK + 0x3000).size, PAGE);
	check_stats(vm, CHUNK - PAGE, CHUNK - PAGE);
}

/* There is no host page for what the guest was promised: the VM ends, and says so; nobody crashes. */
static void test_release_nothing_left(void)
{
	struct v3_vm *vm = fake_vm_bare(2, 16);
	struct v3_exit exit = fake_exit(V3_EXIT_NESTED_FAULT, 0);
	struct v3_event ev;
	uint8_t *p;
	int status;

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_release_enable(vm), V3_OK);
	give(vm, CHUNK, 512);
	give(vm, 0x9000, 2);
	fake_service(vm);
	fake_service(vm);
	check_stats(vm, CHUNK + 2 * PAGE, CHUNK + 2 * PAGE);
	fake_host_fail_from(1);
	p = v3_mem_ptr(vm, 0x9010, 8);
	CHECK(p && !*p);
	*p = 1;
	set_word(vm, CHUNK + 0x3000, 1); /* not even a table */
	exit.u.fault.gpa = 0xa000;
	exit.u.fault.access = V3_ACC_WRITE;
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, &ev), V3_ENOMEM);
	CHECK_EQ(v3_vm_stop_reason(vm, &status), V3_STOP_FAILURE);
	CHECK_EQ(status, V3_ENOMEM);
	CHECK_EQ(fake_log_count("the host has no memory for 0x9010"), 1);
	CHECK_EQ(fake_log_count("the host has no memory"), 1);
	fake_host_fail_from(0);
	CHECK_EQ(word_at(vm, 0x9010), 0);
}

/* ---- several at once ---- */

#define ROUNDS 400

static bool race_over;

/* Another thread reads all of it, and finds what was written or zeros. */
static void *race_reader(void *arg)
{
	struct v3_vm *vm = arg;
	uint64_t words[2], bad = 0;

	while (!__atomic_load_n(&race_over, __ATOMIC_SEQ_CST))
		for (v3_gpa_t gpa = 0; gpa < 4 * MIB; gpa += 61 * PAGE) {
			bad += v3_mem_read(vm, gpa, words, sizeof(words)) != V3_OK;
			bad += (words[0] && words[0] != gpa + 1) || words[1];
		}
	return (void *)(uintptr_t)bad;
}

static void test_release_while_others_read(void)
{
	struct v3_vm *vm = release_vm(4 * MIB);
	pthread_t thread;
	void *bad;

	REQUIRE(vm);
	race_over = false;
	REQUIRE_EQ(pthread_create(&thread, NULL, race_reader, vm), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		v3_gpa_t gpa = i % 61 * PAGE;

		fill(vm, gpa, gpa + PAGE);
		give(vm, i % 5 ? gpa : CHUNK, i % 5 ? 300 : 512);
		pass_all(vm);
		if (!(i % 7))
			CHECK_EQ(mem_vm_fault(i & 1, CHUNK + gpa, V3_ACC_READ), V3_OK);
	}
	__atomic_store_n(&race_over, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, &bad);
	CHECK(!bad);
	CHECK_EQ(vm->mem.release->grace.pins[0], 0);
	CHECK_EQ(vm->mem.release->grace.pins[1], 0);
}

MEM_VM_BOTH(release_whole_chunk)
MEM_VM_BOTH(release_pages)
MEM_VM_BOTH(release_splits_a_gib)
MEM_VM_BOTH(release_views)
MEM_VM_BOTH(release_tracked)

static const struct tap_test tests[] = {
	TAP(test_release_needs_the_host),
	TAP(test_release_refuses_what_is_no_ram),
	MEM_VM_ROWS(release_whole_chunk) TAP(test_release_look_up),
	MEM_VM_ROWS(release_pages) TAP(test_release_twice),
	TAP(test_release_touched_in_time),
	TAP(test_release_again_in_time),
	TAP(test_release_waits_for_pins),
	TAP(test_release_host_with_a_pool),
	TAP(test_release_fragmented_host),
	MEM_VM_ROWS(release_splits_a_gib) TAP(test_release_hooked_page),
	TAP(test_release_window),
	MEM_VM_ROWS(release_views) MEM_VM_ROWS(release_tracked) TAP(test_release_page_tables),
	TAP(test_release_enable_out_of_memory),
	TAP(test_release_out_of_memory),
	TAP(test_release_nothing_left),
	TAP(test_release_while_others_read),
};
TAP_MAIN(tests)
