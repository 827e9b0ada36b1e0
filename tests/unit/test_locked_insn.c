/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_locked_insn.c
 * LOCK forms on RAM that the emulator executes: atomic, but never by an access that locks the host's bus, which
 * hosts take for an error of their own code (SDM 3A "Detection of Bus and Split Locks").
 */
#include "exit/emulate.h"
#include "palacios/decode.h"
#include "segment_rig.h"
#include "step.h"

#define LINE 64 /* bytes of a cache line */
#define PAGE 0x50000

/* Locked accesses of the library's own instructions. */
static struct {
	uintptr_t page; /* of the guest's page */
	unsigned in_page, split;
} locked;

static void emulate(void *arg)
{
	struct v3_exit exit = fake_exit(V3_EXIT_NESTED_FAULT, 0);

	(void)arg;
	CHECK_EQ(v3_emulate_access(s.vcpu, &exit), V3_OK);
}

static void look(void *arg, const struct v3_regs *regs)
{
	struct v3_insn insn;
	uint64_t at;

	(void)arg;
	if (v3_decode((const uint8_t *)regs->rip, V3_INSN_MAX, 64, &insn) != V3_OK ||
	    !(insn.prefix & V3_PFX_LOCK) || insn.seg >= V3_FS)
		return;
	at = v3_insn_offset(&insn, regs);
	locked.in_page += at - locked.page < V3_PAGE_SIZE;
	locked.split += at % LINE + (insn.opcode & 1 ? insn.opnd_size : 1) > LINE;
}

/* LOCK CMPXCHG [edi], ecx, on RAM: as when its page is being hooked, or its page table is. */
static void cmpxchg(uint32_t at)
{
	uint32_t value = 0;

	CHECK_EQ(v3_mem_write(s.vcpu->vm, CODE, "\xf0\x0f\xb1\x0f", 4), V3_OK);
	CHECK_EQ(v3_mem_write(s.vcpu->vm, at, &value, 4), V3_OK);
	s.vcpu->regs.rip = CODE;
	s.vcpu->regs.gpr[V3_RAX] = 0;
	s.vcpu->regs.gpr[V3_RCX] = 0x12345678;
	s.vcpu->regs.gpr[V3_RDI] = at;
	locked.page = (uintptr_t)v3_mem_ptr(s.vcpu->vm, PAGE, V3_PAGE_SIZE);
	locked.in_page = locked.split = 0;
	step_through(emulate, look, NULL);
	CHECK_EQ(v3_mem_read(s.vcpu->vm, at, &value, 4), V3_OK);
	CHECK_EQ(value, 0x12345678);
	CHECK_EQ(s.vcpu->regs.rip, CODE + 4);
	CHECK(s.vcpu->regs.rflags & V3_RFLAGS_ZF);
}

static void test_locked_insn_is_atomic_in_a_line(void)
{
	REQUIRE(machine(32, 0));
	cmpxchg(PAGE + LINE - 4);
	CHECK_EQ(locked.in_page, 1);
	cmpxchg(PAGE + LINE + 1);
	CHECK_EQ(locked.in_page, 1);
	CHECK_EQ(locked.split, 0);
}

static void test_locked_insn_does_not_lock_the_bus(void)
{
	REQUIRE(machine(32, 0));
	cmpxchg(PAGE + LINE - 1);
	CHECK_EQ(locked.split, 0);
	cmpxchg(PAGE + V3_PAGE_SIZE - 2); /* nor across pages */
	CHECK_EQ(locked.split, 0);
}

static const struct tap_test tests[] = {
	TAP(test_locked_insn_is_atomic_in_a_line),
	TAP(test_locked_insn_does_not_lock_the_bus),
};

TAP_MAIN(tests)
