/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_window.c
 * The memory window: RAM whose pages show other memory, as the guest, devices and the nested tables see it.
 */
#include "fake_vm.h"
#include "mmu/nested/table.h"
#include "state.h"
#include "step.h"
#include "tap.h"

#define WIN	 0xc0000
#define WIN_SIZE 0x40000
#define ROM	 0xfffc0000
#define PAGE	 V3_PAGE_SIZE

/* A VM with ROM below 4 GiB and a window; each page of RAM and ROM begins with a number of its own. */
static struct v3_vm *window_vm(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);

	if (!CHECK(vm != NULL) || !CHECK_EQ(v3_mem_add_rom(vm, ROM, WIN_SIZE), V3_OK) ||
	    !CHECK_EQ(v3_mem_window_create(vm, WIN, WIN_SIZE), V3_OK))
		return NULL;
	for (uint32_t off = 0; off < WIN_SIZE; off += PAGE) {
		uint32_t ram = 0x1000000 + off, rom = 0x2000000 + off;

		CHECK_EQ(v3_mem_write(vm, WIN + off, &ram, 4), V3_OK);
		CHECK_EQ(v3_mem_write(vm, ROM + off, &rom, 4), V3_OK);
	}
	return vm;
}

static uint64_t dma_read(struct v3_vm *vm, v3_gpa_t gpa)
{
	uint32_t value = 0;

	CHECK_EQ(v3_mem_read(vm, gpa, &value, 4), V3_OK);
	return value;
}

static void test_window_begins_as_ram(void)
{
	struct v3_vm *vm = window_vm();

	REQUIRE(vm);
	CHECK_EQ(fake_mmio_read(vm, WIN + PAGE, 4), 0x1001000);
	fake_mmio_write(vm, WIN + PAGE, 4, 77);
	CHECK_EQ(fake_mmio_read(vm, WIN + PAGE, 4), 77);
	CHECK_EQ(v3_mem_page_perm(vm, WIN), V3_ACC_ALL);
	CHECK_EQ(v3_mem_page_perm(vm, WIN + WIN_SIZE), V3_ACC_ALL);
	CHECK_EQ(fake_mmio_read(vm, 0x1ffff0, 4), 0); /* the rest of the 2 MiB is still there */
}

static void test_window_shows_rom_and_ram_again(void)
{
	struct v3_vm *vm = window_vm();

	REQUIRE(vm);
	CHECK_EQ(v3_mem_window_show(vm, WIN + PAGE, PAGE, ROM + PAGE, V3_WINDOW_DROP), V3_OK);
	CHECK_EQ(fake_mmio_read(vm, WIN + PAGE, 4), 0x2001000);
	CHECK_EQ(fake_mmio_read(vm, WIN, 4), 0x1000000);
	CHECK_EQ(fake_mmio_read(vm, WIN + 2 * PAGE, 4), 0x1002000);
	CHECK_EQ(dma_read(vm, WIN + PAGE), 0x2001000);
	CHECK_EQ(v3_mem_page_perm(vm, WIN + PAGE), V3_ACC_READ | V3_ACC_EXEC);
	fake_mmio_write(vm, WIN + PAGE, 4, 5);
	CHECK_EQ(fake_mmio_read(vm, ROM + PAGE, 4), 0x2001000);
	CHECK_EQ(v3_mem_window_show(vm, WIN + PAGE, PAGE, WIN + PAGE, V3_WINDOW_STORE), V3_OK);
	CHECK_EQ(fake_mmio_read(vm, WIN + PAGE, 4), 0x1001000);
	CHECK_EQ(v3_mem_page_perm(vm, WIN + PAGE), V3_ACC_ALL);
}

static void test_window_read_only_ram(void)
{
	struct v3_vm *vm = window_vm();

	REQUIRE(vm);
	CHECK_EQ(v3_mem_window_show(vm, WIN, WIN_SIZE, WIN, V3_WINDOW_DROP), V3_OK);
	fake_mmio_write(vm, WIN, 4, 5);
	CHECK_EQ(fake_mmio_read(vm, WIN, 4), 0x1000000);
}

static void test_window_writes_under_rom(void)
{
	struct v3_vm *vm = window_vm();

	REQUIRE(vm);
	CHECK_EQ(v3_mem_window_show(vm, WIN, PAGE, ROM, V3_WINDOW_UNDER), V3_OK);
	fake_mmio_write(vm, WIN + 8, 4, 0xabcdef);
	CHECK_EQ(fake_mmio_read(vm, WIN + 8, 4), 0);
	CHECK_EQ(fake_mmio_read(vm, ROM + 8, 4), 0);
	CHECK_EQ(v3_mem_window_show(vm, WIN, PAGE, WIN, V3_WINDOW_DROP), V3_OK);
	CHECK_EQ(fake_mmio_read(vm, WIN + 8, 4), 0xabcdef);
	fake_mmio_write(vm, WIN + 8, 4, 1);
	CHECK_EQ(fake_mmio_read(vm, WIN + 8, 4), 0xabcdef);
}

static void test_window_shows_nothing(void)
{
	struct v3_vm *vm = window_vm();
	uint32_t value;

	REQUIRE(vm);
	CHECK_EQ(v3_mem_window_show(vm, WIN, PAGE, V3_GPA_NONE, V3_WINDOW_DROP), V3_OK);
	CHECK_EQ(fake_mmio_read(vm, WIN, 4), 0xffffffff);
	CHECK_EQ(v3_mem_read(vm, WIN, &value, 4), V3_EFAULT);
	CHECK_EQ(v3_mem_page_perm(vm, WIN), 0);
	fake_mmio_write(vm, WIN, 4, 1);
	CHECK_EQ(v3_mem_window_show(vm, WIN, PAGE, V3_GPA_NONE, V3_WINDOW_UNDER), V3_OK);
	fake_mmio_write(vm, WIN, 4, 2);
	CHECK_EQ(fake_mmio_read(vm, WIN, 4), 0xffffffff);
	CHECK_EQ(v3_mem_window_show(vm, WIN, PAGE, WIN, V3_WINDOW_STORE), V3_OK);
	CHECK_EQ(fake_mmio_read(vm, WIN, 4), 2);
}

/* What the CPU had mapped is taken out, and a flush asked for. */
static void test_window_drops_translations(void)
{
	struct v3_vm *vm = window_vm();
	unsigned level;

	REQUIRE(vm);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, WIN, V3_ACC_WRITE), V3_OK);
	CHECK(v3_nested_lookup(&vm->mmu.nested, WIN, &level) != 0);
	CHECK_EQ(level, 0);
	fake_take_requests(vm->vcpu[0]);
	CHECK_EQ(v3_mem_window_show(vm, WIN, PAGE, ROM, V3_WINDOW_DROP), V3_OK);
	CHECK_EQ(v3_nested_lookup(&vm->mmu.nested, WIN, &level), 0);
	CHECK(fake_take_requests(vm->vcpu[0]) & V3_REQ_FLUSH);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, WIN, V3_ACC_WRITE), V3_ENOENT);
	CHECK_EQ(v3_mmu_map_fault(vm, NULL, WIN, V3_ACC_EXEC), V3_OK);
}

static void test_window_refuses(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	static const struct {
		v3_gpa_t gpa, size, from;
		int err;
	} shows[] = {
		{WIN - PAGE, PAGE, ROM, V3_EINVAL},
		{WIN + WIN_SIZE, PAGE, ROM, V3_EINVAL},
		{WIN, WIN_SIZE + PAGE, ROM, V3_EINVAL},
		{WIN + 1, PAGE, ROM, V3_EINVAL},
		{WIN, PAGE, ROM + 1, V3_EINVAL},
		{WIN, 0, ROM, V3_EINVAL},
		{WIN, PAGE, ROM - PAGE, V3_ENOENT},
		{WIN, 2 * PAGE, ROM + WIN_SIZE - PAGE, V3_ENOENT},
		{WIN, PAGE, WIN + PAGE, V3_ENOENT}, /* windows do not show each other */
		{WIN, 2 * PAGE, 0ull - PAGE, V3_ENOENT},
	};

	REQUIRE(vm);
	CHECK_EQ(v3_mem_window_show(vm, WIN, PAGE, WIN, V3_WINDOW_STORE), V3_ENOENT);
	CHECK_EQ(v3_mem_window_create(vm, WIN, 0), V3_EINVAL);
	CHECK_EQ(v3_mem_window_create(vm, WIN + 1, PAGE), V3_EINVAL);
	CHECK_EQ(v3_mem_window_create(vm, 0x1ff000, 2 * PAGE), V3_EINVAL);
	CHECK_EQ(v3_mem_window_create(vm, 0xfff000, 2 * PAGE), V3_EINVAL);
	CHECK_EQ(v3_mem_window_create(vm, 0x1000000, PAGE), V3_ENOENT);
	CHECK_EQ(v3_mem_add_rom(vm, ROM, WIN_SIZE), V3_OK);
	CHECK_EQ(v3_mem_window_create(vm, ROM, PAGE), V3_ENOENT);
	CHECK_EQ(v3_mem_window_create(vm, WIN, WIN_SIZE), V3_OK);
	CHECK_EQ(v3_mem_window_create(vm, 0x200000, PAGE), V3_EEXIST);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(shows); i++)
		CHECK_MSG(v3_mem_window_show(vm, shows[i].gpa, shows[i].size, shows[i].from,
					     V3_WINDOW_DROP) == shows[i].err,
			  "case %u", i);
}

/* The window itself, and the table of its 2 MiB. */
static void test_window_oom(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);

	REQUIRE(vm);
	for (unsigned step = 1; step <= 2; step++) {
		fake_host_fail_at(step);
		CHECK_EQ(v3_mem_window_create(vm, WIN, WIN_SIZE), V3_ENOMEM);
		CHECK(!vm->mem.window);
		CHECK_EQ(fake_mmio_read(vm, WIN, 4), 0);
	}
	fake_host_fail_at(3);
	CHECK_EQ(v3_mem_window_create(vm, WIN, WIN_SIZE), V3_OK);
	fake_host_fail_at(0);
	CHECK_EQ(fake_mmio_read(vm, WIN, 4), 0);
}

/* A transfer between a device and two pages of the window. */
static struct transfer {
	struct v3_vm *vm;
	uint8_t buf[2 * PAGE];
	bool taken; /* the second page shows nothing any more */
	int err;
} transfer;

static void transfer_run(void *arg)
{
	struct transfer *t = arg;

	t->err = v3_mem_read(t->vm, WIN, t->buf, sizeof(t->buf));
}

/* Another vcpu, when the first page has been begun. */
static void transfer_take_page(void *arg, const struct v3_regs *regs)
{
	struct transfer *t = arg;

	(void)regs;
	if (t->taken || !t->buf[3])
		return;
	t->taken = true;
	t->err = v3_mem_window_show(t->vm, WIN + PAGE, PAGE, V3_GPA_NONE, V3_WINDOW_DROP);
	CHECK_EQ(t->err, V3_OK);
}

static void test_window_page_goes_during_a_transfer(void)
{
	transfer = (struct transfer){.vm = window_vm()};
	REQUIRE(transfer.vm);
	step_through(transfer_run, transfer_take_page, &transfer);
	CHECK(transfer.taken);
	CHECK_EQ(transfer.err, V3_EFAULT);
}

/* What the guest finds there is another page's contents. */
static void test_window_switch_is_a_write(void)
{
	uint64_t bitmap[V3_PAGES_PER_2M / 64];
	struct v3_vm *vm = window_vm();

	REQUIRE(vm);
	REQUIRE_EQ(v3_dirty_start(vm, 0, V3_SIZE_2M), V3_OK);
	CHECK_EQ(v3_mem_window_show(vm, WIN, 2 * PAGE, ROM, V3_WINDOW_UNDER), V3_OK);
	CHECK_EQ(v3_dirty_harvest(vm, 0, V3_SIZE_2M, bitmap), 2);
	CHECK_EQ(bitmap[WIN / PAGE / 64], 3);
	fake_mmio_write(vm, WIN, 4, 7); /* into the RAM that is not shown */
	CHECK_EQ(v3_mem_window_show(vm, WIN, PAGE, WIN, V3_WINDOW_STORE), V3_OK);
	CHECK_EQ(v3_dirty_harvest(vm, 0, V3_SIZE_2M, bitmap), 1);
	CHECK_EQ(bitmap[WIN / PAGE / 64], 1);
	CHECK_EQ(fake_mmio_read(vm, WIN, 4), 7);
}

static const struct tap_test tests[] = {
	TAP(test_window_begins_as_ram),
	TAP(test_window_shows_rom_and_ram_again),
	TAP(test_window_read_only_ram),
	TAP(test_window_writes_under_rom),
	TAP(test_window_shows_nothing),
	TAP(test_window_drops_translations),
	TAP(test_window_refuses),
	TAP(test_window_oom),
	TAP(test_window_page_goes_during_a_transfer),
	TAP(test_window_switch_is_a_write),
};
TAP_MAIN(tests)
