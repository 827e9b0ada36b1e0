/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_emulate.c
 * The executor where the CPU cannot be asked (see test_emulate_diff.c for where it can): devices,
 * ports, faults, lost LOCK races, limits of one call, results.
 */
#include "emulate_world.h"

static void test_emulate_device_sees_each_access_once(void)
{
	world(64);
	w.pages[0] = DEVICE;
	w.regs.gpr[V3_RAX] = BASE + 0x10;
	w.regs.gpr[V3_RCX] = 0x1122334455667788;
	CHECK_EQ(run("8908"), V3_OK); /* mov [rax], ecx */
	CHECK(w.emul.retired);
	CHECK_EQ(w.regs.rip, 0x1002);
	CHECK_EQ(w.nlog, 1);
	was(0, 'w', BASE + 0x10, 4);
	CHECK_EQ(mem64(BASE + 0x10), 0x55667788);

	CHECK_EQ(run("8b18"), V3_OK); /* mov ebx, [rax] */
	was(1, 'r', BASE + 0x10, 4);
	CHECK_EQ(w.regs.gpr[V3_RBX], 0x55667788);

	CHECK_EQ(run("0108"), V3_OK); /* add [rax], ecx */
	was(2, 'r', BASE + 0x10, 4);
	was(3, 'w', BASE + 0x10, 4);
	CHECK_EQ(run("f00108"), V3_OK); /* with LOCK no compare-exchange on a device */
	was(4, 'r', BASE + 0x10, 4);
	was(5, 'w', BASE + 0x10, 4);
	CHECK_EQ(run("8708"), V3_OK); /* xchg [rax], ecx */
	was(6, 'r', BASE + 0x10, 4);
	was(7, 'w', BASE + 0x10, 4);
	CHECK_EQ(run("3908"), V3_OK); /* cmp only reads */
	was(8, 'r', BASE + 0x10, 4);
	CHECK_EQ(run("f60001"), V3_OK); /* test too */
	was(9, 'r', BASE + 0x10, 1);
	CHECK_EQ(run("0fba2005"), V3_OK); /* and bt */
	was(10, 'r', BASE + 0x10, 4);
	CHECK_EQ(w.nlog, 11);
}

static void test_emulate_bit_string_reaches_beyond(void)
{
	world(64);
	w.regs.gpr[V3_RAX] = BASE + 0x100;
	w.regs.gpr[V3_RCX] = 0 - 33ull;
	CHECK_EQ(run("480fab08"), V3_OK); /* bts [rax], rcx: bit 31 of the quadword before */
	CHECK_EQ(mem64(BASE + 0xf8), 1ull << 31);
	w.regs.gpr[V3_RCX] = 1000;
	CHECK_EQ(run("0fab08"), V3_OK);
	CHECK_EQ(mem64(BASE + 0x100 + 4 * (1000 / 32)), 1 << (1000 % 32));
	CHECK_EQ(run("0fba286f"), V3_OK); /* bts dword [rax], 0x6f: an immediate stays inside */
	CHECK_EQ(mem64(BASE + 0x100), 1 << (0x6f % 32));
}

static void test_emulate_lock_retries_a_lost_race(void)
{
	world(64);
	w.regs.gpr[V3_RAX] = BASE;
	w.steals = 3;
	set_mem64(BASE, 5);
	CHECK_EQ(run("f0ff00"), V3_OK); /* lock inc dword [rax] */
	CHECK(w.emul.retired);
	CHECK_EQ(mem64(BASE), 5 + 3 + 1);
	CHECK_EQ(w.nlog, 5); /* one read, four tries */
	was(4, 'x', BASE, 4);
	CHECK(!(w.regs.rflags & V3_RFLAGS_ZF));
}

static void test_emulate_lock_gives_up_for_a_while(void)
{
	world(64);
	w.regs.gpr[V3_RAX] = BASE;
	w.steals = 1000;
	CHECK_EQ(run("f0830001"), V3_OK);
	CHECK(!w.emul.retired);
	CHECK_EQ(w.regs.rip, 0x1000);
	CHECK_EQ(w.regs.rflags, V3_RFLAGS_ONE);
	CHECK_EQ((uint8_t)mem64(BASE), 1000 - w.steals); /* the others' increments only */
}

static void test_emulate_lock_is_checked(void)
{
	world(64);
	w.regs.gpr[V3_RAX] = BASE;
	refused("f08900", V3_EINVAL);	      /* mov */
	refused("f03900", V3_EINVAL);	      /* cmp */
	refused("f08138ffffffff", V3_EINVAL); /* cmp imm (group 1, /7) */
	refused("f001c0", V3_EINVAL);	      /* add to a register */
	refused("f00300", V3_EINVAL);	      /* destination is the register */
	refused("f0f600ff", V3_EINVAL);	      /* test */
	refused("f0ff30", V3_EINVAL);	      /* push */
	refused("f00fa300", V3_EINVAL);	      /* bt */
	refused("f00fba2001", V3_EINVAL);     /* bt imm */
	refused("f0a4", V3_EINVAL);
}

static void test_emulate_cmpxchg_wide(void)
{
	world(64);
	w.regs.gpr[V3_RDI] = BASE + 0x20;
	w.regs.gpr[V3_RAX] = 1;
	w.regs.gpr[V3_RDX] = 2;
	w.regs.gpr[V3_RBX] = 3;
	w.regs.gpr[V3_RCX] = 4;
	set_mem64(BASE + 0x20, 1);
	set_mem64(BASE + 0x28, 2);
	CHECK_EQ(run("f0480fc70f"), V3_OK); /* lock cmpxchg16b [rdi] */
	CHECK(w.regs.rflags & V3_RFLAGS_ZF);
	CHECK_EQ(mem64(BASE + 0x20), 3);
	CHECK_EQ(mem64(BASE + 0x28), 4);
	was(1, 'x', BASE + 0x20, 16);
	CHECK_EQ(run("f0480fc70f"), V3_OK);
	CHECK(!(w.regs.rflags & V3_RFLAGS_ZF));
	CHECK_EQ(w.regs.gpr[V3_RAX], 3);
	CHECK_EQ(w.regs.gpr[V3_RDX], 4);
	w.steals = 1; /* lost between read and exchange: to be executed again */
	CHECK_EQ(run("f0480fc70f"), V3_OK);
	CHECK(!w.emul.retired);
	CHECK_EQ(mem64(BASE + 0x20), 4);
	CHECK_EQ(run("f0480fc70f"), V3_OK);
	CHECK(w.emul.retired);
	CHECK_EQ(w.regs.gpr[V3_RAX], 4);
}

static void test_emulate_cmpxchg16b_wants_alignment(void)
{
	world(64);
	w.regs.gpr[V3_RDI] = BASE + 0x28;
	refused("480fc70f", V3_EFAULT);
	CHECK_EQ(w.fault, V3_VEC_GP);
	CHECK_EQ(w.nlog, 0);
	refused("0fc7cf", V3_EINVAL); /* register form of 8B */
}

static void test_emulate_write_fault_comes_before_the_read(void)
{
	static const char *const rmw[] = {"0108",     "f00108", "ff00",	  "8708",
					  "0fb108",   "0fc108", "c12005", "0fab08",
					  "0fba2803", "0fa50a", "f710",	  "0fc708"};

	for (size_t i = 0; i < sizeof(rmw) / sizeof(rmw[0]); i++) {
		world(64);
		w.pages[1] = READ_ONLY;
		w.regs.gpr[V3_RAX] = w.regs.gpr[V3_RDX] = BASE + 0x1040;
		w.regs.gpr[V3_RCX] = 9;
		refused(rmw[i], V3_EFAULT);
		CHECK_EQ(w.fault, V3_VEC_PF);
		CHECK_EQ(w.nlog, 0);
	}
}

static void test_emulate_store_over_two_pages_is_all_or_nothing(void)
{
	world(64);
	w.pages[1] = READ_ONLY;
	w.regs.gpr[V3_RAX] = BASE + 0xffe;
	w.regs.gpr[V3_RCX] = ~0ull;
	refused("8908", V3_EFAULT);
	CHECK_EQ(w.cr2, BASE + 0x1000);
}

static void test_emulate_rep_movs_between_device_and_ram(void)
{
	world(64);
	w.pages[1] = DEVICE;
	for (unsigned i = 0; i < 16; i++)
		w.mem[i] = (uint8_t)(i + 1);
	w.regs.gpr[V3_RSI] = BASE;
	w.regs.gpr[V3_RDI] = BASE + 0x1010;
	w.regs.gpr[V3_RCX] = 4;
	CHECK_EQ(run("f3a5"), V3_OK);
	CHECK(w.emul.retired);
	CHECK_EQ(w.nlog, 4); /* the RAM side is reached by pointer */
	for (unsigned i = 0; i < 4; i++)
		was(i, 'w', BASE + 0x1010 + 4 * i, 4);
	CHECK_MEM(w.mem + 0x1010, w.mem, 16);
	CHECK_EQ(w.regs.gpr[V3_RCX], 0);
	CHECK_EQ(w.regs.gpr[V3_RSI], BASE + 16);
	CHECK_EQ(w.regs.gpr[V3_RDI], BASE + 0x1020);
}

static void test_emulate_rep_crosses_pages(void)
{
	world(64);
	w.regs.gpr[V3_RDI] = BASE + 0xffd; /* an element lies across the boundary */
	w.regs.gpr[V3_RAX] = 0x44332211;
	w.regs.gpr[V3_RCX] = 3;
	CHECK_EQ(run("f3ab"), V3_OK);
	CHECK_EQ(mem64(BASE + 0xffd), 0x4433221144332211);
	CHECK_EQ(mem64(BASE + 0x1005), 0x44332211);
	CHECK_EQ(w.nlog, 1); /* only that element by write() */
	was(0, 'w', BASE + 0xffd, 4);
}

static void test_emulate_rep_fault_keeps_what_was_done(void)
{
	world(64);
	w.pages[1] = ABSENT;
	w.regs.gpr[V3_RDI] = BASE + 0xff8;
	w.regs.gpr[V3_RAX] = 0x5a5a5a5a;
	w.regs.gpr[V3_RCX] = 10;
	CHECK_EQ(run("f3ab"), V3_EFAULT);
	CHECK_EQ(w.fault, V3_VEC_PF);
	CHECK_EQ(w.cr2, BASE + 0x1000);
	CHECK(!w.emul.retired);
	CHECK_EQ(w.regs.rip, 0x1000);
	CHECK_EQ(w.regs.gpr[V3_RCX], 8);
	CHECK_EQ(w.regs.gpr[V3_RDI], BASE + 0x1000);
	CHECK_EQ(mem64(BASE + 0xff8), 0x5a5a5a5a5a5a5a5a);
	w.pages[1] = RAM; /* the guest's handler mapped it */
	CHECK_EQ(run("f3ab"), V3_OK);
	CHECK(w.emul.retired);
	CHECK_EQ(w.regs.gpr[V3_RCX], 0);
	CHECK_EQ(mem64(BASE + 0x1018), 0x5a5a5a5a5a5a5a5a);
	CHECK_EQ(mem64(BASE + 0x1020), 0);
}

static void test_emulate_rep_cmps_fault_keeps_flags(void)
{
	world(64);
	w.pages[1] = ABSENT;
	w.regs.rflags |= V3_RFLAGS_CF | V3_RFLAGS_OF;
	w.regs.gpr[V3_RSI] = BASE + 0x100;
	w.regs.gpr[V3_RDI] = BASE + 0xffc;
	w.regs.gpr[V3_RCX] = 10;
	CHECK_EQ(run("f3a6"), V3_EFAULT);
	CHECK_EQ(w.regs.rflags, V3_RFLAGS_ONE | V3_RFLAGS_CF | V3_RFLAGS_OF);
	CHECK_EQ(w.regs.gpr[V3_RCX], 6);
}

static void test_emulate_rep_is_bounded(void)
{
	unsigned calls = 0;

	world(64);
	w.pages[2] = DEVICE;
	w.regs.gpr[V3_RSI] = BASE;
	w.regs.gpr[V3_RDI] = BASE + 0x2000;
	w.regs.rflags |= V3_RFLAGS_RF;
	w.regs.gpr[V3_RCX] = 0x1000 + 2 * V3_EMUL_REP_MAX;
	w.segs[V3_ES].limit = ~0u;
	while (!w.emul.retired && calls < 2) {
		CHECK_EQ(run("f3ac"), V3_OK); /* lods: goes round only the source */
		w.regs.gpr[V3_RSI] = BASE;
		calls++;
		CHECK_EQ(w.regs.gpr[V3_RCX], 0x1000 + (2 - calls) * V3_EMUL_REP_MAX);
		CHECK_EQ(w.regs.rip, 0x1000);
		CHECK(w.regs.rflags & V3_RFLAGS_RF);
	}
	CHECK(!w.emul.retired);
	CHECK_EQ(run("f3ac"), V3_OK);
	CHECK(w.emul.retired);
	CHECK_EQ(w.regs.rip, 0x1002);
	CHECK(!(w.regs.rflags & V3_RFLAGS_RF));
}

static void test_emulate_rep_with_count_zero_does_nothing(void)
{
	world(64);
	w.regs.gpr[V3_RDI] = 0x123456; /* not mapped */
	CHECK_EQ(run("f3aa"), V3_OK);
	CHECK(w.emul.retired);
	CHECK_EQ(w.fault, -1);
	CHECK_EQ(w.nlog, 0);
	w.regs.gpr[V3_RCX] = 0x100000000; /* with 67 only ECX counts */
	CHECK_EQ(run("67f3aa"), V3_OK);
	CHECK(w.emul.retired);
	CHECK_EQ(w.fault, -1);
}

static void test_emulate_string_addresses_wrap(void)
{
	world(16);
	w.segs[V3_ES].base = BASE;
	w.segs[V3_ES].limit = 0xffff;
	w.regs.gpr[V3_RDI] = 0x77770000;
	w.regs.gpr[V3_RAX] = 0xab;
	w.regs.gpr[V3_RCX] = 0x55550001;
	w.regs.rflags |= V3_RFLAGS_DF;
	CHECK_EQ(run("f3aa"), V3_OK);
	CHECK_EQ(w.regs.gpr[V3_RDI], 0x7777ffff);
	CHECK_EQ(w.regs.gpr[V3_RCX], 0x55550000);
	CHECK_EQ(w.mem[0], 0xab);

	world(64); /* up and over the top of 32-bit addresses: from the last byte to byte 0 */
	w.segs[V3_ES].base = BASE;
	w.regs.gpr[V3_RDI] = 0xffffffff;
	w.regs.gpr[V3_RSI] = BASE;
	w.regs.gpr[V3_RCX] = 2;
	CHECK_EQ(run("67f3a6"), V3_EFAULT); /* not mapped there, but seen as 32-bit address */
	CHECK_EQ(w.cr2, 0xffffffff);
}

static void test_emulate_ports(void)
{
	world(64);
	w.port_value = 0xdeadbe01;
	w.regs.gpr[V3_RAX] = 0x1111111111111111;
	w.regs.gpr[V3_RDX] = 0xfff03f8;
	CHECK_EQ(run("ec"), V3_OK); /* in al, dx */
	was(0, 'i', 0x3f8, 1);
	CHECK_EQ(w.regs.gpr[V3_RAX], 0x1111111111111101);
	CHECK_EQ(run("66ed"), V3_OK);
	was(1, 'i', 0x3f8, 2);
	CHECK_EQ(w.regs.gpr[V3_RAX], 0x111111111111be02);
	CHECK_EQ(run("48e571"), V3_OK); /* in eax, 0x71: REX.W counts for nothing */
	was(2, 'i', 0x71, 4);
	CHECK_EQ(w.regs.gpr[V3_RAX], 0xdeadbe03);
	CHECK_EQ(run("e7f4"), V3_OK);
	was(3, 'o', 0xf4, 4);
	CHECK_EQ(w.port_value, 0xdeadbe03);
	CHECK_EQ(run("ee"), V3_OK);
	was(4, 'o', 0x3f8, 1);
	CHECK_EQ(w.port_value, 3);
	w.ports_denied = true;
	refused("ee", V3_EFAULT);
	refused("e571", V3_EFAULT);
	refused("f36e", V3_EFAULT);
	CHECK_EQ(w.nlog, 5);
}

static void test_emulate_ins_outs(void)
{
	world(64);
	w.regs.gpr[V3_RDX] = 0x1f0;
	w.regs.gpr[V3_RDI] = BASE + 0x10;
	w.regs.gpr[V3_RCX] = 3;
	w.port_value = 0x40;
	CHECK_EQ(run("f3666d"), V3_OK); /* rep insw */
	CHECK_EQ(w.nlog, 3);
	was(2, 'i', 0x1f0, 2);
	CHECK_EQ(mem64(BASE + 0x10), 0x004200410040);
	CHECK_EQ(w.regs.gpr[V3_RDI], BASE + 0x16);
	w.regs.gpr[V3_RSI] = BASE + 0x10;
	w.regs.gpr[V3_RCX] = 2;
	CHECK_EQ(run("f36e"), V3_OK); /* rep outsb */
	was(4, 'o', 0x1f0, 1);
	CHECK_EQ(w.port_value, 0);
	CHECK_EQ(w.regs.gpr[V3_RSI], BASE + 0x12);
	CHECK_EQ(run("6d"), V3_OK); /* once, without REP */
	was(5, 'i', 0x1f0, 4);
	CHECK_EQ(w.regs.gpr[V3_RCX], 0);
}

/* Data read from a port cannot be read again: the store must be known to work before. */
static void test_emulate_ins_faults_before_the_port(void)
{
	world(64);
	w.pages[0] = READ_ONLY;
	w.regs.gpr[V3_RDI] = BASE;
	w.regs.gpr[V3_RCX] = 2;
	refused("f36c", V3_EFAULT);
	CHECK_EQ(w.fault, V3_VEC_PF);
	CHECK_EQ(w.nlog, 0);
}

static void test_emulate_leave_is_handed_on_when_done(void)
{
	world(64);
	w.regs.gpr[V3_RAX] = BASE;
	w.pages[0] = DEVICE;
	w.leave_at = 1;
	CHECK_EQ(run("0108"), V3_LEAVE); /* asked by the read: the write still follows */
	CHECK(w.emul.retired);
	CHECK_EQ(w.nlog, 2);
	CHECK_EQ(w.regs.rip, 0x1002);

	w.leave_at = 4;
	w.regs.gpr[V3_RDX] = 0x80;
	w.regs.gpr[V3_RSI] = BASE;
	w.regs.gpr[V3_RCX] = 5;
	CHECK_EQ(run("f36e"), V3_LEAVE); /* stops behind the iteration that asked */
	CHECK(!w.emul.retired);
	CHECK_EQ(w.regs.gpr[V3_RCX], 4);
	CHECK_EQ(w.regs.gpr[V3_RSI], BASE + 1);
	CHECK_EQ(run("f36e"), V3_OK);
	CHECK(w.emul.retired);

	w.leave_at = w.nlog + 1;
	CHECK_EQ(run("e671"), V3_LEAVE);
	CHECK(w.emul.retired);
}

static void test_emulate_failures_are_handed_on(void)
{
	world(64);
	w.regs.gpr[V3_RAX] = BASE;
	w.fail_at = 2;
	w.fail = V3_ENOMEM;
	refused("0108", V3_ENOMEM);
	CHECK_EQ(w.nlog, 2);
}

static void test_emulate_stack_faults_change_nothing(void)
{
	static const char *const insns[] = {"50",   "6a01",	  "ff33", "9c",	     "0fa0",
					    "0fa8", "e800000000", "ff13", "c8100000"};

	for (size_t i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
		world(64);
		w.pages[0] = READ_ONLY;
		w.regs.gpr[V3_RSP] = BASE + 0x1000;
		w.regs.gpr[V3_RBX] = BASE + 0x1100;
		refused(insns[i], V3_EFAULT);
		CHECK_EQ(w.cr2, BASE + 0xff8);
	}
	world(64);
	w.pages[0] = READ_ONLY;
	w.regs.gpr[V3_RSP] = BASE + 0x2000;
	w.regs.gpr[V3_RAX] = BASE;
	refused("8f00", V3_EFAULT); /* pop [rax]: the stack was read, the store fails */
	CHECK_EQ(w.cr2, BASE);
}

static void test_emulate_branches(void)
{
	world(64);
	w.regs.gpr[V3_RSP] = BASE + 0x100;
	w.regs.gpr[V3_RBX] = BASE + 0x200;
	set_mem64(BASE + 0x200, 0xffffffff81234567);
	CHECK_EQ(run("ff13"), V3_OK); /* call [rbx] */
	CHECK_EQ(w.regs.rip, 0xffffffff81234567);
	CHECK_EQ(mem64(BASE + 0xf8), 0x1002);
	CHECK_EQ(w.regs.gpr[V3_RSP], BASE + 0xf8);
	CHECK_EQ(run("c21000"), V3_OK); /* ret 16 */
	CHECK_EQ(w.regs.rip, 0x1002);
	CHECK_EQ(w.regs.gpr[V3_RSP], BASE + 0x110);
	CHECK_EQ(run("e8f0ffffff"), V3_OK); /* call -16 */
	CHECK_EQ(w.regs.rip, 0x1002 + 5 - 16);
	set_mem64(BASE + 0x200, 0x800000000000);
	refused("ff23", V3_EFAULT); /* jmp to what is not canonical */
	CHECK_EQ(w.fault, V3_VEC_GP);
	refused("ff2b", V3_ENOTSUP); /* far */

	world(16);
	w.regs.rip = 0xfffe;
	CHECK_EQ(run("eb10"), V3_OK);
	CHECK_EQ(w.regs.rip, 0x10); /* IP wraps */
}

static void test_emulate_divide_error(void)
{
	world(64);
	w.regs.gpr[V3_RBX] = BASE;
	w.regs.gpr[V3_RAX] = 0x1234;
	refused("f733", V3_EFAULT); /* div dword [rbx] = 0 */
	CHECK_EQ(w.fault, V3_VEC_DE);
	set_mem64(BASE, 0xffffffff);
	w.regs.gpr[V3_RAX] = 0x80000000;
	w.regs.gpr[V3_RDX] = 0xffffffff;
	refused("f73b", V3_EFAULT); /* idiv: minimum by -1 */
	w.regs.gpr[V3_RAX] = 0x80000001;
	CHECK_EQ(run("f73b"), V3_OK);
	CHECK_EQ(w.regs.gpr[V3_RAX], 0x7fffffff);
	CHECK_EQ(w.regs.gpr[V3_RDX], 0);
}

static void test_emulate_vector_to_device(void)
{
	world(64);
	w.pages[0] = DEVICE;
	w.regs.gpr[V3_RAX] = BASE;
	for (unsigned i = 0; i < 32; i++)
		w.vec[9][i] = (uint8_t)(i + 1);
	CHECK_EQ(run("440f1108"), V3_OK); /* movups [rax], xmm9 */
	was(0, 'w', BASE, 16);
	CHECK_MEM(w.mem, w.vec[9], 16);
	CHECK_EQ(w.mem[16], 0);
	CHECK_EQ(run("c57e6f10"), V3_OK); /* vmovdqu ymm10, [rax] */
	was(1, 'r', BASE, 32);
	CHECK(w.vec_zeroed);
	CHECK_MEM(w.vec[10], w.mem, 32);
	CHECK_EQ(run("0f1010"), V3_OK); /* movups xmm2, [rax] leaves the upper half */
	CHECK(!w.vec_zeroed);
	w.regs.gpr[V3_RAX] = BASE + 8;
	refused("0f2808", V3_EFAULT); /* movaps */
	CHECK_EQ(w.fault, V3_VEC_GP);
	CHECK_EQ(w.nlog, 3);
}

static void test_emulate_unknown_is_named(void)
{
	static const char *const insns[] = {
		"0fa2",	    "f4",	    "d900",	  "0f6f00", "0fae10", "62f17c481000",
		"0f0f009e", "8fe878c00005", "f20f38f100", "9d",	    "ca0000"};

	world(64);
	w.regs.gpr[V3_RAX] = BASE;
	for (size_t i = 0; i < sizeof(insns) / sizeof(insns[0]); i++)
		refused(insns[i], V3_ENOTSUP);
}

static void test_emulate_undefined_group_members(void)
{
	static const char *const insns[] = {"c608ff", "fe10",	  "ff38",     "8e08",	 "8e30",
					    "8c38",   "0fba0001", "c5e92808", "c5fc1208"};

	world(64);
	w.regs.gpr[V3_RAX] = BASE;
	/* the last two: VMOVAPD with a second source, VMOVLPS of 256 bits */
	for (size_t i = 0; i < sizeof(insns) / sizeof(insns[0]); i++)
		refused(insns[i], V3_EINVAL);
}

/*
 * Whatever a guest executes: memory of ours is touched through the ops only (ASan looks), the
 * result is a documented one, a fault or refusal leaves RIP, and completion moves it.
 */
static void test_emulate_random_bytes(void)
{
	static const unsigned modes[3] = {16, 32, 64};
	unsigned long done = 0, refused_count = 0;

	for (unsigned i = 0; i < 300000; i++) {
		uint64_t r[2] = {tap_rand(), tap_rand()};
		struct v3_insn insn;
		uint8_t bytes[16];
		int ret;

		if (i % 1000 == 0) {
			world(modes[i / 1000 % 3]);
			w.pages[1] = DEVICE;
			w.pages[2] = READ_ONLY;
		}
		memcpy(bytes, r, 16);
		if (v3_decode(bytes, 15, w.bits, &insn))
			continue;
		for (unsigned n = 0; n < V3_NGPR; n++)
			w.regs.gpr[n] = i & 1 ? tap_rand() : BASE + tap_rand() % 0x4100;
		w.regs.rflags = (tap_rand() & 0xcd5) | V3_RFLAGS_ONE;
		w.regs.rip = 0x1000;
		w.fault = -1;
		ret = v3_emulate(&w.emul, &insn);
		if (ret == V3_OK && w.emul.retired) {
			done++;
			continue;
		}
		refused_count++;
		CHECK(ret == V3_OK || ret == V3_EFAULT || ret == V3_EINVAL || ret == V3_ENOTSUP);
		CHECK(!w.emul.retired);
		CHECK_EQ(w.regs.rip, 0x1000);
		CHECK_EQ(ret == V3_EFAULT, w.fault >= 0);
	}
	printf("# %lu executed, %lu refused or faulted\n", done, refused_count);
	CHECK(done > 10000);
}

static const struct tap_test tests[] = {
	TAP(test_emulate_device_sees_each_access_once),
	TAP(test_emulate_bit_string_reaches_beyond),
	TAP(test_emulate_lock_retries_a_lost_race),
	TAP(test_emulate_lock_gives_up_for_a_while),
	TAP(test_emulate_lock_is_checked),
	TAP(test_emulate_cmpxchg_wide),
	TAP(test_emulate_cmpxchg16b_wants_alignment),
	TAP(test_emulate_write_fault_comes_before_the_read),
	TAP(test_emulate_store_over_two_pages_is_all_or_nothing),
	TAP(test_emulate_rep_movs_between_device_and_ram),
	TAP(test_emulate_rep_crosses_pages),
	TAP(test_emulate_rep_fault_keeps_what_was_done),
	TAP(test_emulate_rep_cmps_fault_keeps_flags),
	TAP(test_emulate_rep_is_bounded),
	TAP(test_emulate_rep_with_count_zero_does_nothing),
	TAP(test_emulate_string_addresses_wrap),
	TAP(test_emulate_ports),
	TAP(test_emulate_ins_outs),
	TAP(test_emulate_ins_faults_before_the_port),
	TAP(test_emulate_leave_is_handed_on_when_done),
	TAP(test_emulate_failures_are_handed_on),
	TAP(test_emulate_stack_faults_change_nothing),
	TAP(test_emulate_branches),
	TAP(test_emulate_divide_error),
	TAP(test_emulate_vector_to_device),
	TAP(test_emulate_unknown_is_named),
	TAP(test_emulate_undefined_group_members),
	TAP(test_emulate_random_bytes),
};
TAP_MAIN(tests)
