/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_dirty_insn.c
 * Tracking of written pages: what emulated instructions write to RAM, in each way the emulator has to do so.
 */
#include "exit/emulate.h"
#include "segment_rig.h"

#define RAM (16u << 20)

static uint64_t bitmap[RAM / V3_PAGE_SIZE / 64];

static bool written(v3_gpa_t gpa)
{
	return bitmap[gpa >> V3_PAGE_SHIFT >> 6] >> (gpa >> V3_PAGE_SHIFT & 63) & 1;
}

static bool tracked_machine(void)
{
	return machine(32, 0) && CHECK_EQ(v3_dirty_start(s.vcpu->vm, 0, RAM), V3_OK);
}

/* Harvest @p n pages beside that of the code, which is written by the test. */
static void check_pages(int n)
{
	CHECK_EQ(v3_dirty_harvest(s.vcpu->vm, 0, RAM, bitmap), n + 1);
	CHECK(written(CODE));
}

/* REP MOVSB in 64-bit code: the emulator writes through a pointer that is valid for a while. */
static void copy_from_device(v3_gpa_t to, uint64_t count)
{
	struct v3_exit exit = fake_exit(V3_EXIT_NESTED_FAULT, 0);

	CHECK_EQ(v3_mem_write(s.vcpu->vm, CODE, "\xf3\xa4", 2), V3_OK);
	s.vcpu->regs.rip = CODE;
	s.vcpu->regs.gpr[V3_RSI] = DEVICE;
	s.vcpu->regs.gpr[V3_RDI] = to;
	s.vcpu->regs.gpr[V3_RCX] = count;
	CHECK_EQ(v3_emulate_access(s.vcpu, &exit), V3_OK);
	CHECK_EQ(s.vcpu->regs.gpr[V3_RDI], to + count);
}

static void test_dirty_insn_rep_movs(void)
{
	REQUIRE(machine(64, 0));
	copy_from_device(0x30000, 1); /* the walker sets accessed and dirty bits */
	fake_service(s.vcpu->vm);
	CHECK_EQ(v3_dirty_start(s.vcpu->vm, 0, RAM), V3_OK);
	copy_from_device(0x40ffd, 5);
	fake_service(s.vcpu->vm);
	check_pages(2);
	CHECK(written(0x40000) && written(0x41000));
	CHECK_EQ(v3_dirty_harvest(s.vcpu->vm, 0, RAM, bitmap), 0);
}

/* The pointer is handed out before tracking starts; whether it is used before or after, nobody knows. */
static void test_dirty_insn_rep_movs_while_it_starts(void)
{
	REQUIRE(machine(64, 0));
	copy_from_device(0x40000, 4);
	CHECK_EQ(v3_dirty_start(s.vcpu->vm, 0, RAM), V3_OK);
	fake_service(s.vcpu->vm);
	CHECK_EQ(v3_dirty_harvest(s.vcpu->vm, 0, RAM, bitmap), 1);
	CHECK(written(0x40000));
}

static void test_dirty_insn_push(void)
{
	REQUIRE(tracked_machine());
	s.vcpu->regs.gpr[V3_RSP] = 0x60000;
	CHECK_EQ(execute("\xff\x30", 2, V3_ACC_READ), V3_OK); /* (eax): the device */
	CHECK_EQ(s.vcpu->regs.gpr[V3_RSP], 0x5fffc);
	check_pages(1);
	CHECK(written(0x5f000));
}

/* In place: LOCK CMPXCHG on RAM, as when its page is being hooked. */
static void test_dirty_insn_cmpxchg(void)
{
	struct v3_exit exit = fake_exit(V3_EXIT_NESTED_FAULT, 0);
	uint32_t value = 0;

	REQUIRE(tracked_machine());
	CHECK_EQ(v3_mem_write(s.vcpu->vm, CODE, "\xf0\x0f\xb1\x0f", 4), V3_OK);
	s.vcpu->regs.rip = CODE;
	s.vcpu->regs.gpr[V3_RAX] = 0;
	s.vcpu->regs.gpr[V3_RCX] = 0x1234;
	s.vcpu->regs.gpr[V3_RDI] = 0x50000;
	CHECK_EQ(v3_emulate_access(s.vcpu, &exit), V3_OK);
	CHECK_EQ(v3_mem_read(s.vcpu->vm, 0x50000, &value, 4), V3_OK);
	CHECK_EQ(value, 0x1234);
	check_pages(1);
	CHECK(written(0x50000));
}

static const struct tap_test tests[] = {
	TAP(test_dirty_insn_rep_movs),
	TAP(test_dirty_insn_rep_movs_while_it_starts),
	TAP(test_dirty_insn_push),
	TAP(test_dirty_insn_cmpxchg),
};

TAP_MAIN(tests)
