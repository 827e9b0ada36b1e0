/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_mem.c
 * The guest-physical map: RAM in host pieces, safe copies, MMIO regions, hooks, single accesses.
 */
#include "mem_vm.h"
#include "step.h"

#include <pthread.h>

#define MIB 0x100000ull

/* ---- RAM ---- */

static void test_mem_add_ram_checks_range(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);

	REQUIRE(vm);
	CHECK_EQ(v3_mem_add_ram(vm, 0x800001, 4096, -1), V3_EINVAL);
	CHECK_EQ(v3_mem_add_ram(vm, 0x800000, 4095, -1), V3_EINVAL);
	CHECK_EQ(v3_mem_add_ram(vm, 0x800000, 0, -1), V3_EINVAL);
	CHECK_EQ(v3_mem_add_ram(vm, ~0xfffull, 8192, -1), V3_EINVAL);
	CHECK_EQ(v3_mem_add_ram(vm, 0x1000, ~0xfffull, -1), V3_EINVAL);
	CHECK_EQ(v3_mem_add_ram(vm, 1ull << 40, 4096, -1), V3_EINVAL);
	CHECK_EQ(v3_mem_add_ram(vm, (1ull << 40) - 4096, 8192, -1), V3_EINVAL);
	CHECK_EQ(v3_mem_add_ram(vm, 0x3ff000, 8192, -1), V3_EEXIST);
	CHECK_EQ(v3_mem_add_ram(vm, 0, 4096, -1), V3_EEXIST);
	CHECK_EQ(v3_mem_add_rom(vm, 0, 64 * MIB), V3_EEXIST);
	CHECK_EQ(vm->mem.ram_bytes, 4 * MIB);
}

static void test_mem_regions_table_fills(void)
{
	struct v3_vm *vm = mem_vm_new(0);
	unsigned i;

	REQUIRE(vm);
	for (i = 0; i < V3_MEM_MAX_REGIONS; i++)
		CHECK_EQ(v3_mem_add_ram(vm, i * 8192ull, 4096, -1), V3_OK);
	CHECK_EQ(v3_mem_add_ram(vm, i * 8192ull, 4096, -1), V3_ENOSPC);
}

static void test_mem_range_is_sorted(void)
{
	static const struct v3_mem_range want[] = {
		{0, 0xa0000, true}, {0xc0000, 0x40000, false}, {0x100000, 0x300000, true}};
	struct v3_vm *vm = mem_vm_new(0);
	struct v3_mem_range r;

	REQUIRE(vm);
	CHECK_EQ(v3_mem_add_ram(vm, 0x100000, 0x300000, -1), V3_OK);
	CHECK_EQ(v3_mem_add_ram(vm, 0, 0xa0000, -1), V3_OK);
	CHECK_EQ(v3_mem_add_rom(vm, 0xc0000, 0x40000), V3_OK);
	for (unsigned i = 0; i < 3; i++) {
		REQUIRE_EQ(v3_mem_range(vm, i, &r), V3_OK);
		CHECK(r.gpa == want[i].gpa && r.size == want[i].size && r.ram == want[i].ram);
	}
	CHECK_EQ(v3_mem_range(vm, 3, &r), V3_ENOENT);
	CHECK_EQ(v3_mem_range(vm, ~0u, &r), V3_ENOENT);
}

static void test_mem_is_zeroed_and_keeps_data(void)
{
	struct v3_vm *vm = mem_vm_new(8 * MIB);
	uint8_t out[5000], in[5000];

	REQUIRE(vm);
	CHECK_EQ(v3_mem_read(vm, 0x1ff000, in, sizeof(in)), V3_OK);
	for (unsigned i = 0; i < sizeof(in); i++) {
		CHECK_MSG(!in[i], "byte %u is %#x", i, in[i]);
		out[i] = (uint8_t)(i * 7 + 1);
	}
	CHECK_EQ(v3_mem_write(vm, 0x1ff123, out, sizeof(out)), V3_OK);
	CHECK_EQ(v3_mem_read(vm, 0x1ff123, in, sizeof(in)), V3_OK);
	CHECK_MEM(in, out, sizeof(in));
	CHECK_EQ(*v3_mem_hva(vm, 0x1ff123), out[0]);
	CHECK_EQ(*v3_mem_hva(vm, 0x200000), out[0x200000 - 0x1ff123]);
	CHECK_EQ(v3_mem_set(vm, 0x1ff123, 0xee, sizeof(out)), V3_OK);
	CHECK_EQ(*v3_mem_hva(vm, 0x1ff122), 0);
	CHECK_EQ(*v3_mem_hva(vm, 0x1ff123), 0xee);
	CHECK_EQ(*v3_mem_hva(vm, 0x1ff123 + sizeof(out) - 1), 0xee);
	CHECK_EQ(*v3_mem_hva(vm, 0x1ff123 + sizeof(out)), 0);
}

static void test_mem_copy_is_all_or_nothing(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	uint8_t buf[64];

	REQUIRE(vm);
	memset(buf, 0x55, sizeof(buf));
	CHECK_EQ(v3_mem_write(vm, 4 * MIB - 32, buf, 64), V3_EFAULT);
	CHECK_EQ(*v3_mem_hva(vm, 4 * MIB - 32), 0);
	CHECK_EQ(v3_mem_read(vm, 4 * MIB - 32, buf, 64), V3_EFAULT);
	CHECK_EQ(buf[0], 0x55);
	CHECK_EQ(v3_mem_read(vm, 4 * MIB, buf, 1), V3_EFAULT);
	CHECK_EQ(v3_mem_read(vm, ~0ull, buf, 1), V3_EFAULT);
	CHECK_EQ(v3_mem_read(vm, ~0ull, buf, 2), V3_EFAULT);
	CHECK_EQ(v3_mem_read(vm, 0x1000, buf, ~0ull), V3_EFAULT);
	CHECK_EQ(v3_mem_set(vm, 0, 0xaa, ~0ull), V3_EFAULT);
	CHECK_EQ(v3_mem_set(vm, 1ull << 52, 0xaa, 1), V3_EFAULT);
	CHECK_EQ(*v3_mem_hva(vm, 0), 0);
	CHECK_EQ(v3_mem_read(vm, 1ull << 60, buf, 0), V3_OK);
	CHECK_EQ(v3_mem_write(vm, 4 * MIB - 64, buf, 64), V3_OK);
}

static void test_mem_holes_are_not_ram(void)
{
	struct v3_vm *vm = mem_vm_new(0);
	uint8_t byte = 1;

	REQUIRE(vm);
	CHECK_EQ(v3_mem_add_ram(vm, 0, 0xa0000, -1), V3_OK);
	CHECK_EQ(v3_mem_add_ram(vm, 0xc0000, 0x340000, -1), V3_OK);
	CHECK(v3_mem_hva(vm, 0x9ffff));
	CHECK(!v3_mem_hva(vm, 0xa0000));
	CHECK(!v3_mem_hva(vm, 0xbffff));
	CHECK(v3_mem_hva(vm, 0xc0000));
	CHECK(v3_mem_hva(vm, 0x3fffff));
	CHECK(!v3_mem_hva(vm, 0x400000));
	CHECK(!v3_mem_hva(vm, ~0ull));
	CHECK_EQ(v3_mem_write(vm, 0xa0000, &byte, 1), V3_EFAULT);
	CHECK(!v3_mem_ptr(vm, 0x9f000, 0x2000));
	CHECK(v3_mem_ptr(vm, 0x9f000, 0x1000));
}

static void test_mem_ptr_needs_contiguity(void)
{
	struct v3_vm *vm;

	mem_vm_begin();
	fake_ram_fragment(V3_SIZE_2M);
	REQUIRE_EQ(mem_vm_make(), V3_OK);
	vm = &mem_vm.vm;
	REQUIRE_EQ(v3_mem_add_ram(vm, 0, 8 * MIB, -1), V3_OK);
	CHECK(v3_mem_ptr(vm, 0, V3_SIZE_2M));
	CHECK(!v3_mem_ptr(vm, 0, V3_SIZE_2M + 1));
	CHECK(!v3_mem_ptr(vm, 0x1fffff, 2));
	CHECK(!v3_mem_ptr(vm, 0, 0));
	CHECK(!v3_mem_ptr(vm, 0, ~0ull));
	CHECK(!v3_mem_ptr(vm, ~0ull, 1));
	CHECK_EQ(v3_mem_ptr(vm, 0x200010, 16) == v3_mem_hva(vm, 0x200010), 1);
}

/* RAM of 8 MiB + 20 KiB on a host that has only pieces of one size: what lies in which. */
static void mem_fragmented(uint64_t piece, uint64_t want_2m, uint64_t want_4k)
{
	const uint64_t size = 8 * MIB + 0x5000;
	struct v3_mem_stats stats;
	struct v3_vm *vm;
	uint64_t word;

	mem_vm_begin();
	fake_ram_fragment(piece);
	REQUIRE_EQ(mem_vm_make(), V3_OK);
	vm = &mem_vm.vm;
	REQUIRE_EQ(v3_mem_add_ram(vm, 0, size, -1), V3_OK);
	v3_mem_get_stats(vm, &stats);
	CHECK_EQ(stats.ram_bytes, size);
	CHECK_EQ(stats.backed_1g, 0);
	CHECK_EQ(stats.backed_2m, want_2m);
	CHECK_EQ(stats.backed_4k, want_4k);
	/* Each page is one of its own. */
	for (v3_gpa_t gpa = 0; gpa < size; gpa += 4096)
		*(uint64_t *)v3_mem_hva(vm, gpa) = gpa;
	for (v3_gpa_t gpa = 0; gpa < size; gpa += 4096) {
		CHECK_EQ(v3_mem_read(vm, gpa, &word, 8), V3_OK);
		CHECK_EQ(word, gpa);
		CHECK(v3_mem_hpa(&vm->mem, gpa, &(bool){false}) ==
		      v3_host_va_to_pa(v3_mem_hva(vm, gpa)));
	}
}

static void test_mem_takes_whole_pieces(void)
{
	mem_fragmented(0, 8 * MIB, 0x5000);
}

static void test_mem_takes_2m_pieces(void)
{
	mem_fragmented(V3_SIZE_2M, 8 * MIB, 0x5000);
}

static void test_mem_takes_smaller_pieces(void)
{
	mem_fragmented(0x10000, 0, 8 * MIB + 0x5000);
}

static void test_mem_takes_pairs_of_pages(void)
{
	mem_fragmented(0x2000, 0, 8 * MIB + 0x5000);
}

static void test_mem_takes_single_pages(void)
{
	mem_fragmented(4096, 0, 8 * MIB + 0x5000);
}

static void test_mem_marks_giga_pieces(void)
{
	struct v3_mem_stats stats;
	struct v3_vm *vm = mem_vm_new(0);

	REQUIRE(vm);
	/* The host's memory of 3 GiB holds one aligned GiB besides what else is needed. */
	REQUIRE_EQ(v3_mem_add_ram(vm, V3_SIZE_1G - V3_SIZE_2M, V3_SIZE_1G + 2 * V3_SIZE_2M, -1),
		   V3_OK);
	v3_mem_get_stats(vm, &stats);
	CHECK_EQ(stats.backed_1g, V3_SIZE_1G);
	CHECK_EQ(stats.backed_2m, 2 * V3_SIZE_2M);
	CHECK(!(vm->mem.chunk[511].hpa & V3_CHUNK_GIGA));
	CHECK(vm->mem.chunk[512].hpa & V3_CHUNK_GIGA);
	CHECK(vm->mem.chunk[1023].hpa & V3_CHUNK_GIGA);
	CHECK(!(vm->mem.chunk[1024].hpa & V3_CHUNK_GIGA));
}

static void test_mem_too_little_memory_leaves_nothing(void)
{
	struct v3_vm *vm = mem_vm_new(2 * MIB);
	unsigned live;

	REQUIRE(vm);
	live = fake_host_live_all();
	fake_ram_limit(8 * MIB);
	CHECK_EQ(v3_mem_add_ram(vm, 4 * MIB, 64 * MIB, -1), V3_ENOMEM);
	CHECK(!v3_mem_hva(vm, 4 * MIB));
	CHECK_EQ(vm->mem.ram_bytes, 2 * MIB);
	CHECK_EQ(vm->mem.backed_2m, 2 * MIB);
	CHECK_EQ(fake_host_live_all(), live); /* the grown table replaced the first one */
	CHECK_EQ(v3_mem_add_ram(vm, 4 * MIB, 2 * MIB, -1), V3_OK);
}

static int mem_oom_create(void *arg)
{
	int err = mem_vm_make();

	(void)arg;
	if (!err)
		err = v3_mem_add_ram(&mem_vm.vm, 0, 0xa0000, -1);
	if (!err)
		err = v3_mem_add_rom(&mem_vm.vm, 0xc0000, 0x40000);
	if (!err)
		err = v3_mem_add_ram(&mem_vm.vm, MIB, 8 * MIB + 0x3000, -1);
	if (err)
		mem_vm_free(NULL);
	return err;
}

static void test_mem_out_of_memory_at_each_step(void)
{
	mem_vm_begin();
	CHECK(fake_host_oom_each_step(mem_oom_create, mem_vm_free, NULL) > 8);
}

/* ---- MMIO ---- */

struct recorder {
	unsigned calls;
	struct v3_mmio last[16];
	uint64_t value;
	int result;
	struct v3_vcpu *vcpu;
};

static int record(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	struct recorder *rec = priv;

	rec->vcpu = vcpu;
	rec->last[rec->calls++ % 16] = *mmio;
	if (!mmio->write)
		mmio->value = rec->value;
	return rec->result;
}

static void test_mmio_register_checks_range(void)
{
	struct v3_vm *vm = mem_vm_new(0);
	struct recorder rec = {0};

	REQUIRE(vm);
	CHECK_EQ(v3_mmio_register(vm, 0xfee00000, 4096, NULL, NULL), V3_EINVAL);
	CHECK_EQ(v3_mmio_register(vm, 0xfee00001, 4096, record, &rec), V3_EINVAL);
	CHECK_EQ(v3_mmio_register(vm, 0xfee00000, 0, record, &rec), V3_EINVAL);
	CHECK_EQ(v3_mmio_register(vm, 0xfee00000, 100, record, &rec), V3_EINVAL);
	CHECK_EQ(v3_mmio_register(vm, ~0xfffull, 8192, record, &rec), V3_EINVAL);
	CHECK_EQ(v3_mmio_register(vm, 1ull << 40, 4096, record, &rec), V3_EINVAL);
	CHECK_EQ(v3_mmio_register(vm, (1ull << 40) - 4096, 4096, record, &rec), V3_OK);
	CHECK_EQ(v3_mmio_register(vm, 0xfee00000, 8192, record, &rec), V3_OK);
	CHECK_EQ(v3_mmio_register(vm, 0xfee01000, 8192, record, &rec), V3_EEXIST);
	CHECK_EQ(v3_mmio_register(vm, 0xfedff000, 8192, record, &rec), V3_EEXIST);
	CHECK_EQ(v3_mmio_register(vm, 0xfe000000, 32 * MIB, record, &rec), V3_EEXIST);
	CHECK_EQ(v3_mmio_register(vm, 0xfedff000, 4096, record, &rec), V3_OK);
	v3_mmio_unregister(vm, 0xfee01000); /* not the beginning of one */
	CHECK_EQ(vm->mem.nmmio, 3);
	v3_mmio_unregister(vm, 0xfee00000);
	CHECK_EQ(v3_mmio_register(vm, 0xfee01000, 8192, record, &rec), V3_OK);
}

static void test_mmio_attach_keeps_off_ram(void)
{
	struct v3_vm *vm = mem_vm_new(0);
	struct recorder rec = {.value = 7};
	uint64_t value = 0;

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_add_ram(vm, 0x100000, MIB, V3_NODE_ANY), V3_OK);
	REQUIRE_EQ(v3_mem_add_rom(vm, 0x400000, 4096), V3_OK);
	CHECK_EQ(v3_mmio_attach(vm, 0xff000, 8192, record, &rec), V3_EEXIST);
	CHECK_EQ(v3_mmio_attach(vm, 0x1ff000, 4096, record, &rec), V3_EEXIST);
	CHECK_EQ(v3_mmio_attach(vm, 0x400000, 4096, record, &rec), V3_EEXIST);
	CHECK_EQ(v3_mmio_attach(vm, 0xff001, 4096, record, &rec), V3_EINVAL);
	CHECK_EQ(v3_mmio_attach(vm, 0xff000, 4096, NULL, NULL), V3_EINVAL);
	CHECK_EQ(v3_mmio_attach(vm, 0xff000, 4096, record, &rec), V3_OK);
	CHECK_EQ(v3_mmio_attach(vm, 0xff000, 4096, record, &rec), V3_EEXIST);
	CHECK_EQ(v3_mmio_attach(vm, 0x200000, 4096, record, &rec), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x200ff8, &value, 8, false), V3_OK);
	CHECK_EQ(value, 7);
	v3_mmio_unregister(vm, 0x200000);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x200ff8, &value, 8, false), V3_OK);
	CHECK_EQ(value, ~0ull);
	CHECK_EQ(rec.calls, 1);
}

static void test_mmio_table_fills(void)
{
	struct v3_vm *vm = mem_vm_new(0);
	struct recorder rec = {0};

	REQUIRE(vm);
	for (unsigned i = 0; i < V3_MEM_MAX_MMIO; i++)
		CHECK_EQ(v3_mmio_register(vm, 0x80000000 + i * 4096ull, 4096, record, &rec), V3_OK);
	CHECK_EQ(v3_mmio_register(vm, 0xfee00000, 4096, record, &rec), V3_ENOMEM);
}

/* Look-ups among random regions agree with a linear search, whatever the hint is. */
static void test_mmio_find_agrees_with_linear_search(void)
{
	struct v3_vm *vm = mem_vm_new(0);

	REQUIRE(vm);
	for (unsigned i = 0; i < 200; i++) {
		v3_gpa_t gpa = tap_rand() % 512 * 4096;

		if (tap_rand() % 3)
			v3_mmio_register(vm, gpa, (1 + tap_rand() % 4) * 4096, record,
					 (void *)(uintptr_t)gpa);
		else if (tap_rand() % 2)
			v3_mmio_unregister(vm, gpa);
		else if (vm->mem.nmmio)
			v3_mmio_move(vm, vm->mem.mmio[tap_rand() % vm->mem.nmmio].gpa, gpa);
		for (unsigned k = 0; k < 100; k++) {
			v3_gpa_t at = tap_rand() % (520 * 4096);
			uint32_t hint = tap_rand() % V3_MEM_MAX_MMIO;
			struct v3_mmio_region out;
			const struct v3_mmio_region *want = NULL;

			for (unsigned n = 0; n < vm->mem.nmmio; n++)
				if (at >= vm->mem.mmio[n].gpa &&
				    at < vm->mem.mmio[n].gpa + vm->mem.mmio[n].size)
					want = &vm->mem.mmio[n];
			CHECK_EQ(v3_mem_mmio_find(&vm->mem, at, &hint, &out), want != NULL);
			CHECK(hint < V3_MEM_MAX_MMIO);
			if (want)
				CHECK_MEM(&out, want, sizeof(out));
			CHECK_EQ(v3_mem_mmio_overlaps(&vm->mem, at & ~0xfffull, 4096),
				 want != NULL);
		}
	}
}

static void test_mmio_may_be_there_before_the_ram(void)
{
	struct v3_vm *vm = mem_vm_new(0);
	struct recorder rec = {.value = 0x1234};
	uint32_t word = 0;

	REQUIRE(vm);
	REQUIRE_EQ(v3_mmio_register(vm, 0x203000, 4096, record, &rec), V3_OK);
	REQUIRE_EQ(v3_mem_add_ram(vm, 0, 4 * MIB, -1), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x203008, &word, 4, false), V3_OK);
	CHECK_EQ(word, 0x1234);
	v3_mmio_unregister(vm, 0x203000);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x203008, &word, 4, false), V3_OK);
	CHECK_EQ(word, 0);
	CHECK(v3_mem_direct(vm->vcpu[0], 0x203008, 4, true));
}

/* Two regions in the same 2 MiB, of which one goes. */
static struct {
	struct v3_vm *vm;
	bool move;
	unsigned missed; /* instructions before which the chunk did not tell of the other one */
} neighbour;

static void neighbour_go(void *arg)
{
	(void)arg;
	if (neighbour.move)
		v3_mmio_move(neighbour.vm, 0x201000, 0x202000);
	else
		v3_mmio_unregister(neighbour.vm, 0x201000);
}

static void neighbour_look(void *arg, const struct v3_regs *regs)
{
	(void)arg;
	(void)regs;
	neighbour.missed += !(neighbour.vm->mem.chunk[1].hpa & V3_CHUNK_MMIO);
}

/* A vcpu that uses the other region meanwhile finds it: a lost write to a virtqueue's register is a lost request. */
static void test_mmio_change_leaves_neighbours_alone(void)
{
	struct recorder rec = {.calls = 0};

	neighbour.vm = mem_vm_new(8 * MIB);
	neighbour.missed = 0;
	REQUIRE(neighbour.vm);
	CHECK_EQ(v3_mmio_register(neighbour.vm, 0x200000, 4096, record, &rec), V3_OK);
	CHECK_EQ(v3_mmio_register(neighbour.vm, 0x201000, 4096, record, &rec), V3_OK);
	neighbour.move = true;
	step_through(neighbour_go, neighbour_look, NULL);
	CHECK_EQ(neighbour.missed, 0);
	v3_mmio_move(neighbour.vm, 0x202000, 0x201000);
	neighbour.move = false;
	step_through(neighbour_go, neighbour_look, NULL);
	CHECK_EQ(neighbour.missed, 0);
	v3_mmio_unregister(neighbour.vm, 0x200000);
	CHECK(!(neighbour.vm->mem.chunk[1].hpa & V3_CHUNK_MMIO));
}

static void test_mmio_move_keeps_regions_apart(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	struct recorder a = {0}, b = {0};
	uint32_t word = 0;

	REQUIRE(vm);
	REQUIRE_EQ(v3_mmio_register(vm, 0xc0000000, 8192, record, &a), V3_OK);
	REQUIRE_EQ(v3_mmio_register(vm, 0xd0000000, 4096, record, &b), V3_OK);
	CHECK_EQ(v3_mmio_move(vm, 0xc0000000, 0xcffff000), V3_EEXIST);
	CHECK_EQ(v3_mmio_move(vm, 0xc0000000, 0xc0000800), V3_EINVAL);
	CHECK_EQ(v3_mmio_move(vm, 0xc0000000, ~0xfffull), V3_EINVAL);
	CHECK_EQ(v3_mmio_move(vm, 0xc0000000, (1ull << 40) - 4096), V3_EINVAL);
	CHECK_EQ(v3_mmio_move(vm, 0xc0001000, 0xe0000000), V3_EINVAL);
	CHECK_EQ(v3_mmio_move(vm, 0xc0000000, 0xc0001000), V3_OK); /* over itself */
	CHECK_EQ(v3_mmio_move(vm, 0xc0001000, 0x200000), V3_OK);   /* over RAM */
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x201ffc, &word, 4, true), V3_OK);
	CHECK_EQ(a.calls, 1);
	CHECK_EQ(a.last[0].gpa, 0x201ffc);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x202000, &word, 4, true), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0xc0001000, &word, 4, false), V3_OK);
	CHECK_EQ(word, 0xffffffff);
	CHECK_EQ(v3_mmio_move(vm, 0x200000, 0xe0000000), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x201ffc, &word, 4, true), V3_OK);
	CHECK_EQ(a.calls, 1);
	CHECK_EQ(*(uint32_t *)v3_mem_hva(vm, 0x201ffc), 0xffffffff);
}

/* ---- single accesses ---- */

static void test_mem_access_splits_wide_mmio(void)
{
	static const uint8_t sizes[] = {8, 8, 4, 2, 1};
	struct v3_vm *vm = mem_vm_new(0);
	struct recorder rec = {.value = 0x1122334455667788};
	uint8_t buf[64];
	uint64_t off = 0;

	REQUIRE(vm);
	REQUIRE_EQ(v3_mmio_register(vm, 0xfee00000, 4096, record, &rec), V3_OK);
	for (unsigned i = 0; i < 64; i++)
		buf[i] = (uint8_t)i;
	CHECK_EQ(v3_mem_access(vm->vcpu[1], 0xfee00010, buf, 23, true), V3_OK);
	CHECK_EQ(rec.calls, 5);
	CHECK(rec.vcpu == vm->vcpu[1]);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t value = 0;

		memcpy(&value, buf + off, sizes[i]);
		CHECK_EQ(rec.last[i].gpa, 0xfee00010 + off);
		CHECK_EQ(rec.last[i].size, sizes[i]);
		CHECK(rec.last[i].write);
		CHECK_EQ(rec.last[i].value, value);
		off += sizes[i];
	}
	rec.calls = 0;
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0xfee00000, buf, 64, false), V3_OK);
	CHECK_EQ(rec.calls, 8);
	CHECK(!rec.last[0].write);
	CHECK_EQ(rec.last[0].value, 0);
	memset(buf, 0xcc, sizeof(buf));
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0xfee00ffe, buf, 2, false), V3_OK);
	CHECK_EQ(buf[0] | buf[1] << 8 | buf[2] << 16, 0xcc7788);
}

static void test_mem_access_hands_on_results(void)
{
	struct v3_vm *vm = mem_vm_new(0);
	struct recorder rec = {.result = V3_LEAVE};
	uint8_t buf[16] = {0};

	REQUIRE(vm);
	REQUIRE_EQ(v3_mmio_register(vm, 0xfee00000, 4096, record, &rec), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0xfee00000, buf, 16, true), V3_LEAVE);
	CHECK_EQ(rec.calls, 2); /* the access is completed first */
	rec.result = V3_EIO;
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0xfee00000, buf, 16, true), V3_EIO);
	CHECK_EQ(rec.calls, 3);
}

static void test_mem_access_ram_of_every_size(void)
{
	struct v3_vm *vm = mem_vm_new(0);
	uint8_t out[64], in[64];

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_add_ram(vm, 0, 0x8000, -1), V3_OK);	     /* page by page */
	REQUIRE_EQ(v3_mem_add_ram(vm, 4 * MIB, 2 * MIB, -1), V3_OK); /* one piece */
	for (unsigned len = 1; len <= 64; len++) {
		for (unsigned i = 0; i < 64; i++)
			out[i] = (uint8_t)(i + len);
		CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x2ff3 - len, out, len, true), V3_OK);
		CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x2ff3 - len, in, len, false), V3_OK);
		CHECK_MEM(in, out, len);
		CHECK_EQ(v3_mem_access(vm->vcpu[0], 4 * MIB + 0x1000 - len, out, len, true), V3_OK);
		CHECK_EQ(v3_mem_access(vm->vcpu[0], 4 * MIB + 0x1000 - len, in, len, false), V3_OK);
		CHECK_MEM(in, out, len);
		CHECK_EQ(*v3_mem_hva(vm, 4 * MIB + 0x1000), 0);
	}
}

static void test_mem_access_nothing_there(void)
{
	static const v3_gpa_t at[] = {8 * MIB, 0xfee00000, 1ull << 40, 1ull << 52, ~0xfffull};
	struct v3_vm *vm = mem_vm_new(8 * MIB);
	uint64_t word;

	REQUIRE(vm);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(at); i++) {
		word = 0;
		CHECK_EQ(v3_mem_access(vm->vcpu[0], at[i], &word, 8, false), V3_OK);
		CHECK_EQ(word, ~0ull);
		CHECK_EQ(v3_mem_access(vm->vcpu[0], at[i], &word, 8, true), V3_OK);
		CHECK(!v3_mem_direct(vm->vcpu[0], at[i], 8, false));
	}
	CHECK(fake_log_contains("unbacked"));
	fake_log_clear();
	for (unsigned i = 0; i < 10000; i++)
		v3_mem_access(vm->vcpu[0], 0xfee00000, &word, 8, true);
	CHECK(fake_log_count("") < 32);
}

static void test_mem_access_rom_ignores_writes(void)
{
	struct v3_vm *vm = mem_vm_new(0);
	uint32_t word = 0x12345678;

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_add_rom(vm, 0x200000, 0x200000), V3_OK);
	REQUIRE_EQ(v3_mem_add_rom(vm, 0x1f0000, 0x1000), V3_OK);
	for (v3_gpa_t gpa = 0x1f0000; gpa <= 0x200000; gpa += 0x10000) {
		CHECK_EQ(v3_mem_write(vm, gpa, &word, 4), V3_OK); /* the loader may */
		word = 0xffffffff;
		CHECK_EQ(v3_mem_access(vm->vcpu[0], gpa, &word, 4, true), V3_OK);
		CHECK_EQ(v3_mem_access(vm->vcpu[0], gpa, &word, 4, false), V3_OK);
		CHECK_EQ(word, 0x12345678);
		CHECK(!v3_mem_direct(vm->vcpu[0], gpa, 4, true));
		CHECK(v3_mem_direct(vm->vcpu[0], gpa, 4, false));
	}
	CHECK(fake_log_contains("ROM"));
}

static void test_mem_direct_only_for_plain_ram(void)
{
	struct v3_vm *vm = mem_vm_new(8 * MIB);
	struct recorder rec = {0};

	REQUIRE(vm);
	REQUIRE_EQ(v3_mmio_register(vm, 0x3000, 4096, record, &rec), V3_OK);
	REQUIRE_EQ(v3_mem_hook(vm, 0x5000, V3_ACC_WRITE, record, &rec), V3_OK);
	REQUIRE_EQ(v3_mem_hook(vm, 0x6000, V3_ACC_READ, record, &rec), V3_OK);
	CHECK(v3_mem_direct(vm->vcpu[0], 0x2ff8, 8, true) == v3_mem_hva(vm, 0x2ff8));
	CHECK(!v3_mem_direct(vm->vcpu[0], 0x2ff9, 8, true));
	CHECK(!v3_mem_direct(vm->vcpu[0], 0x3000, 8, false));
	CHECK(v3_mem_direct(vm->vcpu[0], 0x4000, 8, true));
	CHECK(v3_mem_direct(vm->vcpu[0], 0x5000, 8, false));
	CHECK(!v3_mem_direct(vm->vcpu[0], 0x5000, 8, true));
	CHECK(!v3_mem_direct(vm->vcpu[0], 0x6000, 8, false));
	CHECK(v3_mem_direct(vm->vcpu[0], 0x400000, 8, true) == v3_mem_hva(vm, 0x400000));
}

/* ---- hooks ---- */

static void test_mem_hook_checks_arguments(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	struct recorder rec = {0};

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_add_rom(vm, 8 * MIB, 4096), V3_OK);
	CHECK_EQ(v3_mem_hook(vm, 0x1001, V3_ACC_WRITE, record, &rec), V3_EINVAL);
	CHECK_EQ(v3_mem_hook(vm, 0x1000, 0, record, &rec), V3_EINVAL);
	CHECK_EQ(v3_mem_hook(vm, 0x1000, V3_ACC_EXEC, record, &rec), V3_EINVAL);
	CHECK_EQ(v3_mem_hook(vm, 0x1000, V3_ACC_WRITE | 8, record, &rec), V3_EINVAL);
	CHECK_EQ(v3_mem_hook(vm, 0x1000, V3_ACC_WRITE, NULL, &rec), V3_EINVAL);
	CHECK_EQ(v3_mem_hook(vm, 4 * MIB, V3_ACC_WRITE, record, &rec), V3_ENOENT);
	CHECK_EQ(v3_mem_hook(vm, ~0xfffull, V3_ACC_WRITE, record, &rec), V3_ENOENT);
	CHECK_EQ(v3_mem_hook(vm, 8 * MIB, V3_ACC_WRITE, record, &rec), V3_ENOENT);
	CHECK_EQ(v3_mem_hook(vm, 0x1000, V3_ACC_WRITE, record, &rec), V3_OK);
	CHECK_EQ(v3_mem_hook(vm, 0x1000, V3_ACC_READ, record, &rec), V3_EEXIST);
	v3_mem_unhook(vm, 0x2000);
	v3_mem_unhook(vm, ~0ull);
	v3_mem_unhook(vm, 0x1000);
	CHECK_EQ(v3_mem_hook(vm, 0x1000, V3_ACC_READ, record, &rec), V3_OK);
}

static void test_mem_hook_gets_its_kinds(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	struct recorder rec = {.value = 0xabcd};
	uint32_t word = 0x11;

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_hook(vm, 0x1000, V3_ACC_WRITE, record, &rec), V3_OK);
	REQUIRE_EQ(v3_mem_hook(vm, 0x2000, V3_ACC_READ, record, &rec), V3_OK);
	REQUIRE_EQ(v3_mem_hook(vm, 0x3000, V3_ACC_READ | V3_ACC_WRITE, record, &rec), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x1004, &word, 4, true), V3_OK);
	CHECK_EQ(rec.calls, 1);
	CHECK_EQ(rec.last[0].gpa, 0x1004);
	CHECK_EQ(rec.last[0].value, 0x11);
	CHECK_EQ(*(uint32_t *)v3_mem_hva(vm, 0x1004), 0); /* instead of memory */
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x1004, &word, 4, false), V3_OK);
	CHECK_EQ(word, 0);
	word = 0x22;
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x2004, &word, 4, true), V3_OK);
	CHECK_EQ(rec.calls, 1);
	CHECK_EQ(*(uint32_t *)v3_mem_hva(vm, 0x2004), 0x22);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x2004, &word, 4, false), V3_OK);
	CHECK_EQ(word, 0xabcd);
	CHECK_EQ(rec.calls, 2);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x3000, &word, 4, false), V3_OK);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x3000, &word, 4, true), V3_OK);
	CHECK_EQ(rec.calls, 4);
	CHECK_EQ(v3_mem_read(vm, 0x3000, &word, 4), V3_OK); /* DMA does not ask */
	CHECK_EQ(rec.calls, 4);
	v3_mem_unhook(vm, 0x3000);
	CHECK_EQ(v3_mem_access(vm->vcpu[0], 0x3000, &word, 4, true), V3_OK);
	CHECK_EQ(rec.calls, 4);
}

static void test_mem_hook_records_are_reused(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	struct recorder rec = {0};
	unsigned live;

	REQUIRE(vm);
	REQUIRE_EQ(v3_mem_hook(vm, 0x1000, V3_ACC_WRITE, record, &rec), V3_OK);
	v3_mem_unhook(vm, 0x1000);
	live = fake_host_live_all();
	for (unsigned i = 0; i < 1000; i++) {
		CHECK_EQ(v3_mem_hook(vm, i % 512 * 4096, V3_ACC_WRITE, record, &rec), V3_OK);
		v3_mem_unhook(vm, i % 512 * 4096);
	}
	CHECK_EQ(fake_host_live_all(), live);
}

static int hook_oom_create(void *arg)
{
	int err = v3_mem_hook(&mem_vm.vm, 0x1000, V3_ACC_WRITE, record, arg);

	if (err)
		return err;
	err = v3_mem_hook(&mem_vm.vm, 0x201000, V3_ACC_READ, record, arg);
	if (err)
		v3_mem_unhook(&mem_vm.vm, 0x1000);
	return err;
}

static void test_mem_hook_out_of_memory_at_each_step(void)
{
	struct recorder rec = {0};

	/* Hook records and groups stay with the VM, so each step starts with a new VM. */
	for (unsigned k = 1; k <= 4; k++) {
		REQUIRE(mem_vm_new(4 * MIB));
		REQUIRE_EQ(mem_vm_fault(0, 0x1000, V3_ACC_WRITE), V3_OK);
		fake_host_fail_from(k);
		CHECK_EQ(hook_oom_create(&rec), V3_ENOMEM);
		CHECK(fake_host_refused());
		fake_host_fail_from(0);
		CHECK_EQ(v3_mem_page_perm(&mem_vm.vm, 0x1000), V3_ACC_ALL);
		CHECK_EQ(v3_mem_page_perm(&mem_vm.vm, 0x201000), V3_ACC_ALL);
		CHECK_EQ(hook_oom_create(&rec), V3_OK);
		mem_vm_free(NULL);
	}
}

/* ---- readers against writers ---- */

static struct {
	struct v3_vm *vm;
	bool stop;
} race;

static void *race_writer(void *arg)
{
	v3_gpa_t at = 0xc0000000, to;

	while (!__atomic_load_n(&race.stop, __ATOMIC_RELAXED)) {
		to = at ^ 0x10000000;
		v3_mmio_move(race.vm, at, to);
		at = to;
		v3_mem_hook(race.vm, 0x1000, V3_ACC_READ, record, arg);
		v3_mem_unhook(race.vm, 0x1000);
		v3_mem_hook(race.vm, 0x2000, V3_ACC_READ, record, (char *)arg + 1);
		v3_mem_unhook(race.vm, 0x2000);
	}
	return NULL;
}

/* A region that moves to and fro is always at one of the two places; hooks are never mixed up. */
static void test_mem_lookups_race_with_changes(void)
{
	struct v3_vm *vm = mem_vm_new(4 * MIB);
	struct recorder rec = {0};
	struct v3_mem_hook hook;
	struct v3_mmio_region r;
	pthread_t thread;
	uint32_t hint = 0;

	REQUIRE(vm);
	REQUIRE_EQ(v3_mmio_register(vm, 0xb0000000, 4096, record, NULL), V3_OK);
	REQUIRE_EQ(v3_mmio_register(vm, 0xc0000000, 4096, record, &rec), V3_OK);
	REQUIRE_EQ(v3_mmio_register(vm, 0xcf000000, 4096, record, NULL), V3_OK);
	race.vm = vm;
	race.stop = false;
	REQUIRE_EQ(pthread_create(&thread, NULL, race_writer, &rec), 0);
	for (unsigned i = 0; i < 100000; i++) {
		if (v3_mem_mmio_find(&vm->mem, 0xc0000010, &hint, &r))
			CHECK(r.gpa == 0xc0000000 && r.priv == &rec);
		if (v3_mem_mmio_find(&vm->mem, 0xd0000010, &hint, &r))
			CHECK(r.gpa == 0xd0000000 && r.priv == &rec);
		CHECK(v3_mem_mmio_find(&vm->mem, 0xcf000ffc, &hint, &r));
		if (v3_mem_hook_find(&vm->mem, 0x1000, &hook))
			CHECK(hook.priv == &rec);
		if (v3_mem_hook_find(&vm->mem, 0x2000, &hook))
			CHECK(hook.priv == (char *)&rec + 1);
	}
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

/* ---- page map ---- */

static void test_pagemap_agrees_with_array(void)
{
	static uint64_t want[4096];
	struct v3_pagemap map = {0};
	unsigned count = 0;

	fake_lib_install();
	memset(want, 0, sizeof(want));
	for (unsigned i = 0; i < 20000; i++) {
		/* pages of 8 groups that fall into few buckets, far apart */
		unsigned n = tap_rand() % 4096;
		v3_gpa_t gpa = (n / 512 * V3_PAGEMAP_BUCKETS / 2 * 512ull + n % 512) << 12;
		uint64_t word = tap_rand() % 3 ? 0 : tap_rand() | 1;

		CHECK_EQ(v3_pagemap_get(&map, gpa), want[n]);
		CHECK_EQ(v3_pagemap_set(&map, gpa, word), V3_OK);
		count += !!word - !!want[n];
		want[n] = word;
		CHECK_EQ(map.count, count);
		if (i % 100 == 0) {
			bool any = false;

			for (unsigned k = n & ~511u; k < (n | 511u); k++)
				any |= want[k] != 0;
			CHECK(v3_pagemap_any(&map, gpa & ~(V3_SIZE_2M - 1), V3_SIZE_2M) >= any);
			CHECK_EQ(v3_pagemap_any(&map, gpa & ~(V3_SIZE_1G - 1), V3_SIZE_1G) >= any,
				 1);
		}
	}
	CHECK(!v3_pagemap_any(&map, 0x7ull << 40, V3_SIZE_1G));
	CHECK_EQ(v3_pagemap_get(&map, 0x7ull << 40), 0);
	v3_pagemap_fini(&map);
	CHECK_EQ(v3_pagemap_get(&map, 0), 0);
}

static const struct tap_test tests[] = {
	TAP(test_mem_add_ram_checks_range),
	TAP(test_mem_regions_table_fills),
	TAP(test_mem_range_is_sorted),
	TAP(test_mem_is_zeroed_and_keeps_data),
	TAP(test_mem_copy_is_all_or_nothing),
	TAP(test_mem_holes_are_not_ram),
	TAP(test_mem_ptr_needs_contiguity),
	TAP(test_mem_takes_whole_pieces),
	TAP(test_mem_takes_2m_pieces),
	TAP(test_mem_takes_smaller_pieces),
	TAP(test_mem_takes_pairs_of_pages),
	TAP(test_mem_takes_single_pages),
	TAP(test_mem_marks_giga_pieces),
	TAP(test_mem_too_little_memory_leaves_nothing),
	TAP(test_mem_out_of_memory_at_each_step),
	TAP(test_mmio_register_checks_range),
	TAP(test_mmio_attach_keeps_off_ram),
	TAP(test_mmio_table_fills),
	TAP(test_mmio_find_agrees_with_linear_search),
	TAP(test_mmio_may_be_there_before_the_ram),
	TAP(test_mmio_change_leaves_neighbours_alone),
	TAP(test_mmio_move_keeps_regions_apart),
	TAP(test_mem_access_splits_wide_mmio),
	TAP(test_mem_access_hands_on_results),
	TAP(test_mem_access_ram_of_every_size),
	TAP(test_mem_access_nothing_there),
	TAP(test_mem_access_rom_ignores_writes),
	TAP(test_mem_direct_only_for_plain_ram),
	TAP(test_mem_hook_checks_arguments),
	TAP(test_mem_hook_gets_its_kinds),
	TAP(test_mem_hook_records_are_reused),
	TAP(test_mem_hook_out_of_memory_at_each_step),
	TAP(test_mem_lookups_race_with_changes),
	TAP(test_pagemap_agrees_with_array),
};
TAP_MAIN(tests)
