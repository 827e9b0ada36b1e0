/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_hypercall.c
 * Hypercalls: registration, arguments by mode, privilege, the built-in numbers.
 */
#include "fake_vm.h"
#include "palacios/abi/hypercall.h"
#include "palacios/hypercall.h"
#include "tap.h"

struct seen {
	unsigned n;
	uint64_t nr, args[4];
	int64_t answer;
};

static int64_t record(struct v3_vcpu *vcpu, uint64_t nr, const uint64_t args[4], void *priv)
{
	struct seen *s = priv;

	(void)vcpu;
	s->n++;
	s->nr = nr;
	memcpy(s->args, args, sizeof(s->args));
	return s->answer;
}

static uint64_t call(struct v3_vm *vm, uint64_t nr)
{
	struct v3_exit exit = fake_exit(V3_EXIT_HYPERCALL, 3);
	struct v3_regs *regs = &vm->vcpu[0]->regs;
	uint64_t rip = regs->rip;
	struct v3_event ev;

	regs->gpr[V3_RAX] = nr;
	regs->gpr[V3_RBX] = 0x1111111111111111;
	regs->gpr[V3_RCX] = 0x2222222222222222;
	regs->gpr[V3_RDX] = 0x3333333333333333;
	regs->gpr[V3_RSI] = 0x4444444444444444;
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &exit, &ev), V3_OK);
	CHECK_EQ(ev.type, V3_EVENT_NONE);
	CHECK_EQ(regs->rip, rip + 3);
	CHECK_EQ(regs->gpr[V3_RBX], 0x1111111111111111);
	return regs->gpr[V3_RAX];
}

static void long_mode(struct v3_vm *vm)
{
	struct v3_seg cs = {.sel = 8, .attr = V3_SEG_P | V3_SEG_S | V3_SEG_L | 0xb};

	v3_vcpu_set_efer(vm->vcpu[0], V3_EFER_LME | V3_EFER_LMA);
	v3_vcpu_set_seg(vm->vcpu[0], V3_CS, &cs);
}

static void test_hypercall_built_in(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	CHECK_EQ(call(vm, V3_HYPERCALL_NOP), 0);
	CHECK_EQ(call(vm, V3_HYPERCALL_VERSION), V3_ABI_VERSION);
}

static void test_hypercall_unknown(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	CHECK_EQ(call(vm, 0x999), (uint32_t)V3_ENOTSUP); /* 32-bit code */
	long_mode(vm);
	CHECK_EQ(call(vm, 0x999), (uint64_t)(int64_t)V3_ENOTSUP);
	CHECK_EQ(call(vm, ~0ull), (uint64_t)(int64_t)V3_ENOTSUP);
	fake_log_clear();
	for (int i = 0; i < 1000; i++)
		call(vm, 0x999);
	CHECK(fake_log_count("") < 20);
}

static void test_hypercall_arguments_by_mode(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct seen s = {.answer = -1};

	REQUIRE(vm);
	CHECK_EQ(v3_hypercall_register(vm, 0x100, 1, record, &s), V3_OK);
	CHECK_EQ(call(vm, 0xdead00000100), 0xffffffff);
	CHECK_EQ(s.nr, 0x100);
	CHECK_EQ(s.args[0], 0x11111111);
	CHECK_EQ(s.args[3], 0x44444444);
	long_mode(vm);
	CHECK_EQ(call(vm, 0x100), ~0ull);
	CHECK_EQ(s.args[0], 0x1111111111111111);
	CHECK_EQ(s.args[1], 0x2222222222222222);
	CHECK_EQ(s.args[2], 0x3333333333333333);
	CHECK_EQ(s.args[3], 0x4444444444444444);
	CHECK_EQ(s.n, 2);
}

static void test_hypercall_needs_cpl_0(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct seen s = {0};

	REQUIRE(vm);
	CHECK_EQ(v3_hypercall_register(vm, 0x100, 1, record, &s), V3_OK);
	for (uint8_t cpl = 1; cpl <= 3; cpl++) {
		vm->vcpu[0]->cpl = cpl;
		CHECK_EQ((int32_t)call(vm, 0x100), V3_EPERM);
		CHECK_EQ((int32_t)call(vm, V3_HYPERCALL_NOP), V3_EPERM);
	}
	CHECK_EQ(s.n, 0);
}

static void test_hypercall_ranges(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct seen a = {.answer = 1}, b = {.answer = 2};

	REQUIRE(vm);
	long_mode(vm);
	CHECK_EQ(v3_hypercall_register(vm, 0x100, 0x10, record, &a), V3_OK);
	CHECK_EQ(v3_hypercall_register(vm, 0x10f, 1, record, &b), V3_EEXIST);
	CHECK_EQ(v3_hypercall_register(vm, 0xff, 2, record, &b), V3_EEXIST);
	CHECK_EQ(v3_hypercall_register(vm, 0xf0, 0x100, record, &b), V3_EEXIST);
	CHECK_EQ(v3_hypercall_register(vm, 0x200, 0, record, &b), V3_EINVAL);
	CHECK_EQ(v3_hypercall_register(vm, ~0ull, 2, record, &b), V3_EINVAL);
	CHECK_EQ(v3_hypercall_register(vm, ~0ull, 1, record, &b), V3_OK);
	CHECK_EQ(call(vm, 0x10f), 1);
	CHECK_EQ((int64_t)call(vm, 0x110), V3_ENOTSUP);
	CHECK_EQ(call(vm, ~0ull), 2);
	v3_hypercall_unregister(vm, 0x101); /* begins no range */
	CHECK_EQ(call(vm, 0x101), 1);
	v3_hypercall_unregister(vm, 0x100);
	CHECK_EQ((int64_t)call(vm, 0x101), V3_ENOTSUP);
	CHECK_EQ(v3_hypercall_register(vm, 0x100, 1, record, &b), V3_OK);
}

static void test_hypercall_table_full(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);
	struct seen s = {0};
	unsigned n = 0;

	REQUIRE(vm);
	while (v3_hypercall_register(vm, 2 * n, 1, record, &s) == V3_OK)
		n++;
	CHECK_EQ(n, V3_MAX_HYPERCALL_RANGES);
	CHECK_EQ(v3_hypercall_register(vm, 1000, 1, record, &s), V3_ENOSPC);
}

static void test_hypercall_random_numbers(void)
{
	struct v3_vm *vm = fake_vm_bare(1, 8);

	REQUIRE(vm);
	long_mode(vm);
	for (int i = 0; i < 10000; i++) {
		uint64_t nr = tap_rand() >> (tap_rand() & 63);

		if (nr != V3_HYPERCALL_NOP && nr != V3_HYPERCALL_VERSION &&
		    nr != V3_HYPERCALL_KVM_KICK_CPU && nr != V3_HYPERCALL_KVM_SEND_IPI)
			CHECK_EQ((int64_t)call(vm, nr), V3_ENOTSUP);
	}
}

static const struct tap_test tests[] = {
	TAP(test_hypercall_built_in),
	TAP(test_hypercall_unknown),
	TAP(test_hypercall_arguments_by_mode),
	TAP(test_hypercall_needs_cpl_0),
	TAP(test_hypercall_ranges),
	TAP(test_hypercall_table_full),
	TAP(test_hypercall_random_numbers),
};
TAP_MAIN(tests)
