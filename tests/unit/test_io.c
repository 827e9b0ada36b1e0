/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_io.c
 * Port ranges: registration, look-up, widths, and the exit handler of IN and OUT.
 */
#include "fake_vm.h"
#include "io/io.h"
#include "tap.h"

/* What a handler was called with. */
struct seen {
	unsigned n;
	struct v3_io last;
	uint32_t answer;
	int result;
};

static int record(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct seen *s = priv;

	(void)vcpu;
	s->n++;
	s->last = *io;
	if (!io->write)
		io->value = s->answer;
	return s->result;
}

static void test_io_dispatches_to_the_owner(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct seen a = {.answer = 0x11}, b = {.answer = 0x22};

	REQUIRE(vm);
	CHECK_EQ(v3_io_register(vm, 0x40, 4, record, &a), V3_OK);
	CHECK_EQ(v3_io_register(vm, 0x44, 1, record, &b), V3_OK);
	CHECK_EQ(fake_in(vm, 0x40, 1), 0x11);
	CHECK_EQ(fake_in(vm, 0x43, 1), 0x11);
	CHECK_EQ(fake_in(vm, 0x44, 1), 0x22);
	CHECK_EQ(a.n, 2);
	CHECK_EQ(b.n, 1);
	CHECK_EQ(fake_out(vm, 0x41, 1, 0x5a), V3_OK);
	CHECK(a.last.write && a.last.port == 0x41 && a.last.size == 1 && a.last.value == 0x5a);
}

static void test_io_unclaimed_ports_float_high(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct seen s = {0};

	REQUIRE(vm);
	CHECK_EQ(v3_io_register(vm, 0x50, 2, record, &s), V3_OK);
	CHECK_EQ(fake_in(vm, 0x4f, 1), 0xff);
	CHECK_EQ(fake_in(vm, 0x52, 2), 0xffff);
	CHECK_EQ(fake_in(vm, 0xffff, 4), 0xffffffff);
	CHECK_EQ(fake_out(vm, 0x52, 4, 1), V3_OK);
	CHECK_EQ(s.n, 0);
}

static void test_io_register_rejects_overlap(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct seen s = {0}, other = {.answer = 0x77};

	REQUIRE(vm);
	CHECK_EQ(v3_io_register(vm, 0x100, 8, record, &s), V3_OK);
	CHECK_EQ(v3_io_register(vm, 0x107, 1, record, &other), V3_EEXIST);
	CHECK_EQ(v3_io_register(vm, 0xff, 2, record, &other), V3_EEXIST);
	CHECK_EQ(v3_io_register(vm, 0xf0, 0x40, record, &other), V3_EEXIST);
	CHECK_EQ(v3_io_register(vm, 0, 0x10000, record, &other), V3_EEXIST);
	fake_in(vm, 0xff, 1);
	CHECK_EQ(other.n, 0);
	CHECK_EQ(v3_io_register(vm, 0xff, 1, record, &other), V3_OK);
	CHECK_EQ(v3_io_register(vm, 0x108, 1, record, &other), V3_OK);
	CHECK_EQ(fake_in(vm, 0x108, 1), 0x77);
}

static void test_io_register_rejects_empty_and_wrapping(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct seen s = {0};

	REQUIRE(vm);
	CHECK_EQ(v3_io_register(vm, 0x10, 0, record, &s), V3_EINVAL);
	CHECK_EQ(v3_io_register(vm, 0xffff, 2, record, &s), V3_EINVAL);
	CHECK_EQ(v3_io_register(vm, 0, 0x10001, record, &s), V3_EINVAL);
	CHECK_EQ(v3_io_register(vm, 1, 0xffffffff, record, &s), V3_EINVAL);
	CHECK_EQ(v3_io_register(vm, 0xffff, 1, record, &s), V3_OK);
	fake_in(vm, 0xffff, 1);
	CHECK_EQ(s.n, 1);
}

static void test_io_whole_space_in_one_range(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct seen s = {.answer = 9};

	REQUIRE(vm);
	CHECK_EQ(v3_io_register(vm, 0, 0x10000, record, &s), V3_OK);
	CHECK_EQ(fake_in(vm, 0, 1), 9);
	CHECK_EQ(fake_in(vm, 0x7ff3, 1), 9);
	CHECK_EQ(fake_in(vm, 0xffff, 1), 9);
}

static void test_io_register_until_the_table_is_full(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct seen s[V3_IO_MAX_RANGES + 1] = {0};
	unsigned n = 0;

	REQUIRE(vm);
	/* Downwards, so that each one is put in front of the others. */
	while (n <= V3_IO_MAX_RANGES &&
	       v3_io_register(vm, (uint16_t)(0x8000 - 3 * n), 2, record, &s[n]) == V3_OK) {
		s[n].answer = n;
		n++;
	}
	CHECK_EQ(n, V3_IO_MAX_RANGES);
	CHECK_EQ(v3_io_register(vm, 0x9000, 1, record, &s[n]), V3_ENOSPC);
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(fake_in(vm, (uint16_t)(0x8000 - 3 * i), 1), i);
		CHECK_EQ(fake_in(vm, (uint16_t)(0x8001 - 3 * i), 1), i);
		CHECK_EQ(fake_in(vm, (uint16_t)(0x8002 - 3 * i), 1), 0xff);
	}
}

static void test_io_unregister_gives_back(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct seen a = {.answer = 1}, b = {.answer = 2};

	REQUIRE(vm);
	CHECK_EQ(v3_io_register(vm, 0x20, 2, record, &a), V3_OK);
	CHECK_EQ(v3_io_register(vm, 0x22, 2, record, &b), V3_OK);
	v3_io_unregister(vm, 0x21); /* begins no range */
	CHECK_EQ(fake_in(vm, 0x21, 1), 1);
	v3_io_unregister(vm, 0x20);
	CHECK_EQ(fake_in(vm, 0x20, 1), 0xff);
	CHECK_EQ(fake_in(vm, 0x22, 1), 2);
	CHECK_EQ(v3_io_register(vm, 0x20, 2, record, &b), V3_OK);
	CHECK_EQ(fake_in(vm, 0x21, 1), 2);
}

/* Random ranges against a plain array of owners. */
static void test_io_random_ranges(void)
{
	static uint8_t owner[0x10000]; /* range number + 1 */
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct seen s[32];
	unsigned n = 0;

	REQUIRE(vm);
	memset(owner, 0, sizeof(owner));
	for (unsigned tries = 0; n < 32 && tries < 1000; tries++) {
		uint32_t first = tap_rand() & 0x3ff, count = 1 + tap_rand() % 40;
		bool taken = false;

		for (uint32_t p = first; p < first + count; p++)
			taken |= owner[p] != 0;
		s[n] = (struct seen){.answer = n};
		CHECK_EQ(v3_io_register(vm, (uint16_t)first, count, record, &s[n]),
			 taken ? V3_EEXIST : V3_OK);
		if (taken)
			continue;
		n++;
		memset(owner + first, (int)n, count);
	}
	for (uint32_t p = 0; p < 0x600; p++)
		CHECK_EQ(fake_in(vm, (uint16_t)p, 1), owner[p] ? owner[p] - 1 : 0xff);
}

/* One IN by its exit. @return RAX */
static uint64_t in_by_exit(struct v3_vcpu *vcpu, unsigned size, uint64_t rax)
{
	struct v3_exit exit;

	vcpu->regs.gpr[V3_RAX] = rax;
	vcpu->regs.rip = 0x1000;
	exit = fake_exit_io(vcpu, 0x80, size, true);
	CHECK_EQ(fake_dispatch(vcpu, &exit, NULL), V3_OK);
	CHECK_EQ(vcpu->regs.rip, 0x1000 + exit.insn_len);
	return vcpu->regs.gpr[V3_RAX];
}

static void test_io_exit_in_keeps_what_the_width_leaves(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct seen s = {.answer = 0xa1b2c3d4};

	REQUIRE(vm);
	CHECK_EQ(v3_io_register(vm, 0x80, 1, record, &s), V3_OK);
	CHECK_EQ(in_by_exit(vm->vcpu[0], 1, 0x1122334455667788), 0x11223344556677d4);
	CHECK_EQ(in_by_exit(vm->vcpu[0], 2, 0x1122334455667788), 0x112233445566c3d4);
	CHECK_EQ(in_by_exit(vm->vcpu[0], 4, 0x1122334455667788), 0xa1b2c3d4);
	CHECK_EQ(s.last.size, 4);
}

static void test_io_exit_out_masks_the_value(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct v3_exit exit;
	struct seen s = {0};

	REQUIRE(vm);
	CHECK_EQ(v3_io_register(vm, 0x80, 1, record, &s), V3_OK);
	vm->vcpu[0]->regs.gpr[V3_RAX] = 0x1122334455667788;
	exit = fake_exit_io(vm->vcpu[0], 0x80, 1, false);
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, NULL), V3_OK);
	CHECK_EQ(s.last.value, 0x88);
	exit = fake_exit_io(vm->vcpu[0], 0x80, 2, false);
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, NULL), V3_OK);
	CHECK_EQ(s.last.value, 0x7788);
	exit = fake_exit_io(vm->vcpu[0], 0x80, 4, false);
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, NULL), V3_OK);
	CHECK_EQ(s.last.value, 0x55667788);
	CHECK_EQ(vm->vcpu[0]->regs.gpr[V3_RAX], 0x1122334455667788);
}

static void test_io_exit_hands_on_the_owners_result(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 16);
	struct seen s = {.result = V3_LEAVE};
	struct v3_exit exit;

	REQUIRE(vm);
	CHECK_EQ(v3_io_register(vm, 0x80, 1, record, &s), V3_OK);
	exit = fake_exit_io(vm->vcpu[0], 0x80, 1, false);
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, NULL), V3_LEAVE);
	s.result = V3_EIO;
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, NULL), V3_EIO);
}

static const struct tap_test tests[] = {
	TAP(test_io_dispatches_to_the_owner),
	TAP(test_io_unclaimed_ports_float_high),
	TAP(test_io_register_rejects_overlap),
	TAP(test_io_register_rejects_empty_and_wrapping),
	TAP(test_io_whole_space_in_one_range),
	TAP(test_io_register_until_the_table_is_full),
	TAP(test_io_unregister_gives_back),
	TAP(test_io_random_ranges),
	TAP(test_io_exit_in_keeps_what_the_width_leaves),
	TAP(test_io_exit_out_masks_the_value),
	TAP(test_io_exit_hands_on_the_owners_result),
};
TAP_MAIN(tests)
