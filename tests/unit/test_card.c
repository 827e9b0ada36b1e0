/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_card.c
 * Memory on a device's card: as the guest, devices and the nested tables see it, wherever it is shown.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "mmu/nested/table.h"
#include "state.h"
#include "tap.h"

#define BAR	0xe0000000ull
#define FAR	(1ull << 36)
#define ROM	0xfffc0000
#define SIZE	(4 * V3_SIZE_2M)
#define PAGE	V3_PAGE_SIZE
#define MIB(n)	((n)*0x100000ull)
#define NOWHERE 0xffffffff

static struct v3_card *card;

static struct v3_vm *card_vm(uint64_t size)
{
	struct v3_vm *vm = fake_vm_bare(2, 16);

	if (!CHECK(vm != NULL) || !CHECK_EQ(v3_card_create(vm, size, &card), V3_OK))
		return NULL;
	return vm;
}

static unsigned mapped_level(struct v3_vm *vm, v3_gpa_t gpa)
{
	unsigned level = ~0u;

	return v3_nested_lookup(&vm->mmu.nested, gpa, &level) ? level : ~0u;
}

static void test_card_begins_as_zeros(void)
{
	REQUIRE(card_vm(SIZE + PAGE));
	CHECK_EQ(v3_card_size(card), SIZE + PAGE);
	for (uint64_t off = 0; off < SIZE + PAGE; off += 4093)
		CHECK_EQ(*v3_card_ptr(card, off), 0);
	v3_card_destroy(card);
}

static void test_card_is_seen_where_it_is_shown(void)
{
	struct v3_vm *vm = card_vm(SIZE);

	REQUIRE(vm);
	CHECK_EQ(fake_mmio_read(vm, BAR, 4), NOWHERE);
	CHECK_EQ(v3_card_attach(card, BAR), V3_OK);
	fake_mmio_write(vm, BAR + SIZE - 4, 4, 0x12345678);
	CHECK_EQ(*v3_card_ptr(card, SIZE - 4), 0x78);
	*v3_card_ptr(card, MIB(3)) = 0x5a;
	CHECK_EQ(fake_mmio_read(vm, BAR + MIB(3), 4), 0x5a);
	CHECK_EQ(fake_mmio_read(vm, BAR + SIZE, 4), NOWHERE);
	CHECK_EQ(fake_mmio_read(vm, BAR - 4, 4), NOWHERE);
	CHECK_EQ(v3_card_attach(card, FAR), V3_EEXIST);
	v3_card_detach(card);
	CHECK_EQ(fake_mmio_read(vm, BAR + MIB(3), 4), NOWHERE);
	CHECK_EQ(v3_card_attach(card, FAR), V3_OK);
	CHECK_EQ(fake_mmio_read(vm, FAR + MIB(3), 4), 0x5a);
	CHECK_EQ(fake_mmio_read(vm, FAR + SIZE - 4, 4), 0x12345678);
	v3_card_destroy(card);
	CHECK_EQ(fake_mmio_read(vm, FAR + MIB(3), 4), NOWHERE);
}

/* In chunks that the RAM's table has, of which one is RAM in part, too. */
static void test_card_below_rom(void)
{
	struct v3_vm *vm = card_vm(PAGE);

	REQUIRE(vm);
	CHECK_EQ(v3_mem_add_rom(vm, ROM, 0x40000), V3_OK);
	CHECK_EQ(v3_card_attach(card, ROM - PAGE), V3_OK);
	fake_mmio_write(vm, ROM - PAGE, 8, 0x1122334455667788);
	CHECK_EQ(fake_mmio_read(vm, ROM - PAGE, 8), 0x1122334455667788);
	CHECK_EQ(fake_mmio_read(vm, ROM, 4), 0);
	CHECK_EQ(v3_mem_page_perm(vm, ROM - PAGE), V3_ACC_ALL);
	CHECK_EQ(v3_mem_page_perm(vm, ROM - 2 * PAGE), 0);
	CHECK_EQ(v3_mem_page_perm(vm, ROM), V3_ACC_READ | V3_ACC_EXEC);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, ROM - PAGE, V3_ACC_WRITE), V3_OK);
	CHECK_EQ(mapped_level(vm, ROM - PAGE), 0);
	v3_card_destroy(card);
}

static void test_card_large_leaves(void)
{
	static const struct {
		v3_gpa_t base, at;
		unsigned level;
	} cases[] = {
		{BAR, BAR + 5 * PAGE, 1},
		{FAR, FAR + SIZE - 1, 1},
		{FAR + PAGE, FAR + MIB(3), 0}, /* not aligned */
	};
	struct v3_vm *vm = card_vm(SIZE);

	REQUIRE(vm);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		CHECK_EQ(v3_card_attach(card, cases[i].base), V3_OK);
		CHECK_EQ(v3_mmu_map_fault(vm, NULL, cases[i].at, V3_ACC_WRITE), V3_OK);
		CHECK_MSG(mapped_level(vm, cases[i].at) == cases[i].level, "case %u", i);
		CHECK(v3_card_detach(card));
		CHECK_MSG(mapped_level(vm, cases[i].at) == ~0u, "case %u", i);
	}
	v3_card_destroy(card);
}

/* A page in a large chunk is mapped to the byte that the device sees there. */
static void test_card_maps_its_own_pages(void)
{
	struct v3_vm *vm = card_vm(SIZE);
	unsigned level;

	REQUIRE(vm);
	CHECK_EQ(v3_card_attach(card, FAR + PAGE), V3_OK);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, FAR + PAGE + MIB(3), V3_ACC_READ), V3_OK);
	CHECK_EQ(v3_nested_lookup(&vm->mmu.nested, FAR + PAGE + MIB(3), &level) & V3_PAGE_MASK &
			 ((1ull << 52) - 1),
		 v3_host_va_to_pa(v3_card_ptr(card, MIB(3))));
	v3_card_destroy(card);
}

static void test_card_detach_drops_translations(void)
{
	struct v3_vm *vm = card_vm(SIZE);

	REQUIRE(vm);
	CHECK_EQ(v3_card_attach(card, BAR), V3_OK);
	CHECK(!v3_card_detach(card)); /* nothing was mapped yet */
	CHECK(!v3_card_detach(card));
	CHECK_EQ(v3_card_attach(card, BAR), V3_OK);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, BAR, V3_ACC_READ), V3_OK);
	CHECK(v3_card_detach(card));
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, BAR, V3_ACC_READ), V3_ENOENT);
	fake_take_requests(vm->vcpu[0]);
	fake_take_requests(vm->vcpu[1]);
	v3_card_flush(vm);
	CHECK(fake_take_requests(vm->vcpu[0]) & V3_REQ_FLUSH);
	CHECK(fake_take_requests(vm->vcpu[1]) & V3_REQ_FLUSH);
	v3_card_destroy(card);
}

static int answer(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	(void)vcpu;
	(void)priv;
	mmio->value = 0x77;
	return V3_OK;
}

/* What is there comes first, whoever came later; a region that moves over a card covers it. */
static void test_card_and_others(void)
{
	struct v3_vm *vm = card_vm(SIZE);
	struct v3_card *other;

	REQUIRE(vm);
	CHECK_EQ(v3_card_create(vm, PAGE, &other), V3_OK);
	CHECK_EQ(v3_card_attach(card, 0), V3_EEXIST);
	CHECK_EQ(v3_card_attach(card, MIB(14)), V3_EEXIST);
	CHECK_EQ(v3_card_attach(card, BAR + 1), V3_EINVAL);
	CHECK_EQ(v3_card_attach(card, (1ull << vm->mem.gpa_bits) - PAGE), V3_EINVAL);
	CHECK_EQ(v3_card_attach(card, V3_GPA_NONE & V3_PAGE_MASK), V3_EINVAL);
	CHECK_EQ(v3_mmio_attach(vm, FAR, PAGE, answer, NULL), V3_OK);
	CHECK_EQ(v3_card_attach(card, FAR - SIZE + PAGE), V3_EEXIST);
	CHECK_EQ(v3_card_attach(card, BAR), V3_OK);
	CHECK_EQ(v3_card_attach(other, BAR + SIZE - PAGE), V3_EEXIST);
	CHECK_EQ(v3_mmio_attach(vm, BAR + SIZE - PAGE, PAGE, answer, NULL), V3_EEXIST);
	CHECK_EQ(v3_mmio_attach(vm, BAR + SIZE, PAGE, answer, NULL), V3_OK);
	CHECK_EQ(v3_mem_hook(vm, BAR, V3_ACC_WRITE, answer, NULL), V3_ENOENT);

	CHECK_EQ(v3_mmu_map_fault(vm, NULL, BAR + MIB(1), V3_ACC_READ), V3_OK);
	CHECK_EQ(v3_mmio_move(vm, FAR, BAR + MIB(1)), V3_OK);
	CHECK_EQ(mapped_level(vm, BAR + MIB(1)), ~0u);
	CHECK_EQ(fake_mmio_read(vm, BAR + MIB(1), 4), 0x77);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, BAR + MIB(1), V3_ACC_READ), V3_ENOENT);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, BAR, V3_ACC_READ), V3_OK);
	CHECK_EQ(mapped_level(vm, BAR), 0);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, BAR + MIB(2), V3_ACC_READ), V3_OK);
	CHECK_EQ(mapped_level(vm, BAR + MIB(2)), 1);
	v3_card_destroy(other);
	v3_card_destroy(card);
}

static void test_card_is_no_ram(void)
{
	struct v3_vm *vm = card_vm(SIZE);
	uint32_t value = 1;

	REQUIRE(vm);
	CHECK_EQ(v3_card_attach(card, MIB(16)), V3_OK);
	CHECK_EQ(v3_mem_read(vm, MIB(16), &value, 4), V3_EFAULT);
	CHECK_EQ(v3_mem_write(vm, MIB(16) - 4, &value, 4), V3_OK);
	CHECK_EQ(v3_mem_write(vm, MIB(16) - 2, &value, 4), V3_EFAULT);
	CHECK(!v3_mem_ptr(vm, MIB(16), 4));
	v3_card_detach(card);
	CHECK_EQ(v3_card_attach(card, BAR), V3_OK);
	CHECK_EQ(v3_mem_set(vm, BAR, 1, PAGE), V3_EFAULT);
	CHECK(!v3_mem_ptr(vm, BAR, 4));
	v3_card_destroy(card);
}

/* Tracking covers the gap that the card is in; the card stays writable and out of the harvest. */
static void test_card_is_not_tracked(void)
{
	static uint64_t bits[16 * 8];
	struct v3_vm *vm = card_vm(V3_SIZE_2M);

	REQUIRE(vm);
	CHECK_EQ(v3_mem_add_ram(vm, MIB(28), MIB(4), V3_NODE_ANY), V3_OK);
	CHECK_EQ(v3_card_attach(card, MIB(20)), V3_OK);
	CHECK_EQ(v3_dirty_start(vm, 0, MIB(32)), V3_OK);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, MIB(20), V3_ACC_READ), V3_OK);
	CHECK_EQ(mapped_level(vm, MIB(20)), 1);
	fake_mmio_write(vm, MIB(20) + 8, 4, 1);
	fake_mmio_write(vm, MIB(28), 4, 1);
	CHECK_EQ(v3_dirty_harvest(vm, 0, MIB(32), bits), 1);
	CHECK_EQ(bits[14 * 8], 1);
	v3_dirty_stop(vm);
	v3_card_destroy(card);
}

static void test_card_set(void)
{
	REQUIRE(card_vm(SIZE));
	v3_card_set(card, PAGE - 3, PAGE + 5, 0x11);
	CHECK_EQ(*v3_card_ptr(card, PAGE - 4), 0);
	CHECK_EQ(*v3_card_ptr(card, PAGE - 3), 0x11);
	CHECK_EQ(*v3_card_ptr(card, 2 * PAGE + 1), 0x11);
	CHECK_EQ(*v3_card_ptr(card, 2 * PAGE + 2), 0);
	v3_card_set(card, SIZE - 1, ~0ull, 0x22);
	CHECK_EQ(*v3_card_ptr(card, SIZE - 2), 0);
	CHECK_EQ(*v3_card_ptr(card, SIZE - 1), 0x22);
	v3_card_set(card, SIZE, 1, 0x33);
	v3_card_destroy(card);
}

static void test_card_refuses(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);

	REQUIRE(vm);
	CHECK_EQ(v3_card_create(vm, 0, &card), V3_EINVAL);
	CHECK_EQ(v3_card_create(vm, PAGE + 1, &card), V3_EINVAL);
	CHECK_EQ(v3_card_create(vm, V3_SIZE_1G + PAGE, &card), V3_EINVAL);
	v3_card_destroy(NULL);
}

/* A host without 2 MiB pieces gives pages; one without memory leaves nothing behind. */
static void test_card_oom(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	unsigned step;
	int err;

	REQUIRE(vm);
	for (step = 1; step < 8; step++) {
		fake_host_fail_at(step);
		err = v3_card_create(vm, V3_SIZE_2M + 2 * PAGE, &card);
		fake_host_fail_at(0);
		if (step == 2) { /* the large piece: done without */
			CHECK_EQ(err, V3_OK);
			CHECK_EQ(*v3_card_ptr(card, V3_SIZE_2M - 1), 0);
			CHECK_EQ(v3_card_attach(card, BAR), V3_OK);
			CHECK_EQ(v3_mmu_map_fault(vm, NULL, BAR, V3_ACC_READ), V3_OK);
			CHECK_EQ(mapped_level(vm, BAR), 0);
		}
		if (!err)
			v3_card_destroy(card);
		CHECK_MSG(err == (step == 2 || step > 5 ? V3_OK : V3_ENOMEM), "step %u: %d", step,
			  err);
		CHECK(!vm->mem.cards);
	}
}

static const struct tap_test tests[] = {
	TAP(test_card_begins_as_zeros),
	TAP(test_card_is_seen_where_it_is_shown),
	TAP(test_card_below_rom),
	TAP(test_card_large_leaves),
	TAP(test_card_maps_its_own_pages),
	TAP(test_card_detach_drops_translations),
	TAP(test_card_and_others),
	TAP(test_card_is_no_ram),
	TAP(test_card_is_not_tracked),
	TAP(test_card_set),
	TAP(test_card_refuses),
	TAP(test_card_oom),
};
TAP_MAIN(tests)
