/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_emulate_sys.c
 * The executor and system instructions: descriptor-table and task registers, INVPCID, RDRAND, RDSEED. What they do
 * to a vcpu: test_sys_insn.c.
 */
#include "emulate_world.h"

#define FLAGS                                                                                      \
	(V3_RFLAGS_CF | V3_RFLAGS_PF | V3_RFLAGS_AF | V3_RFLAGS_ZF | V3_RFLAGS_SF | V3_RFLAGS_OF)

static void two_tables(unsigned bits)
{
	world(bits);
	w.regs.gpr[V3_RAX] = BASE + 0x10;
	w.dtr[0] = (struct v3_dtr){.base = 0xffff8000aabbccdd, .limit = 0x1234};
	w.dtr[1] = (struct v3_dtr){.base = 0xffff8000eeff0011, .limit = 0x0fff};
}

static void test_emulate_sys_stores_table_registers(void)
{
	two_tables(64);
	set_mem64(BASE + 0x18, ~0ull);
	CHECK_EQ(run("0f0100"), V3_OK); /* sgdt [rax]: always ten bytes in 64-bit code */
	CHECK_EQ(w.sys, V3_EMUL_STORE_DTR);
	CHECK_EQ(mem64(BASE + 0x10), 0x8000aabbccdd1234);
	CHECK_EQ(mem64(BASE + 0x18), 0xffffffffffffffff);
	was(0, 'w', BASE + 0x10, 2);
	was(1, 'w', BASE + 0x12, 8);
	CHECK_EQ(run("660f0108"), V3_OK); /* sidt */
	CHECK_EQ(mem64(BASE + 0x10), 0x8000eeff00110fff);

	two_tables(32);
	set_mem64(BASE + 0x10, ~0ull);
	CHECK_EQ(run("0f0100"), V3_OK);
	CHECK_EQ(mem64(BASE + 0x10), 0xffffaabbccdd1234);
	CHECK_EQ(run("660f0108"), V3_OK); /* 16-bit operands: all of the base nevertheless */
	CHECK_EQ(mem64(BASE + 0x10), 0xffffeeff00110fff);
}

static void test_emulate_sys_loads_table_registers(void)
{
	two_tables(64);
	set_mem64(BASE + 0x10, 0x7fffaabbccdd0123);
	set_mem64(BASE + 0x18, 0x0000000000001111);
	CHECK_EQ(run("660f0110"), V3_OK); /* lgdt */
	CHECK_EQ(w.sys, V3_EMUL_LOAD_DTR);
	CHECK(w.dtr[0].limit == 0x0123 && w.dtr[0].base == 0x11117fffaabbccdd);
	CHECK(w.dtr[1].limit == 0x0fff);
	CHECK_EQ(run("0f0118"), V3_OK); /* lidt */
	CHECK(w.dtr[1].limit == 0x0123 && w.dtr[1].base == 0x11117fffaabbccdd);

	two_tables(32);
	set_mem64(BASE + 0x10, 0x7fffaabbccdd0123);
	CHECK_EQ(run("0f0110"), V3_OK);
	CHECK(w.dtr[0].limit == 0x0123 && w.dtr[0].base == 0xaabbccdd);
	CHECK_EQ(run("660f0118"), V3_OK); /* 24 bits */
	CHECK(w.dtr[1].limit == 0x0123 && w.dtr[1].base == 0xbbccdd);
}

static void test_emulate_sys_table_registers_fault(void)
{
	two_tables(64);
	w.sys_result = V3_EFAULT;
	refused("0f0100", V3_EFAULT);
	refused("0f0110", V3_EFAULT);
	CHECK_EQ(w.fault, V3_VEC_GP);
	CHECK_EQ(w.nlog, 0);
	w.sys_result = V3_OK;
	w.pages[1] = ABSENT;
	w.regs.gpr[V3_RAX] = BASE + 0x1000 - 4; /* the base lies in both pages */
	refused("0f0110", V3_EFAULT);
	CHECK_EQ(w.cr2, BASE + 0x1000);
	CHECK_EQ(w.dtr[0].limit, 0x1234);
	CHECK_EQ(run("0f0100"), V3_EFAULT); /* runs again; the limit may be written */
	CHECK(!w.emul.retired);
	w.regs.gpr[V3_RAX] = 0x7ffffffffff8; /* the last byte is not canonical */
	refused("0f0118", V3_EFAULT);
	CHECK_EQ(w.fault, V3_VEC_GP);
	w.regs.gpr[V3_RAX] = BASE;
	refused("f00f0100", V3_EINVAL); /* LOCK */
	refused("0f01d0", V3_ENOTSUP);	/* XGETBV */
	refused("0f0120", V3_ENOTSUP);	/* SMSW */
	refused("0f0138", V3_ENOTSUP);	/* INVLPG */
}

static void test_emulate_sys_selectors(void)
{
	world(64);
	w.segs[V3_LDTR].sel = 0x4444;
	w.segs[V3_TR].sel = 0x5555;
	w.regs.gpr[V3_RAX] = BASE;
	w.regs.gpr[V3_RBX] = ~0ull;
	set_mem64(BASE, ~0ull);
	CHECK_EQ(run("480f0000"), V3_OK); /* sldt [rax]: two bytes */
	CHECK_EQ(w.sys, V3_EMUL_STORE_SEL);
	CHECK_EQ(mem64(BASE), 0xffffffffffff4444);
	CHECK_EQ(run("0f00cb"), V3_OK); /* str ebx */
	CHECK_EQ(w.regs.gpr[V3_RBX], 0x5555);
	w.regs.gpr[V3_RBX] = ~0ull;
	CHECK_EQ(run("660f00c3"), V3_OK); /* sldt bx */
	CHECK_EQ(w.regs.gpr[V3_RBX], 0xffffffffffff4444);
	CHECK_EQ(run("0f0010"), V3_OK); /* lldt [rax] */
	CHECK_EQ(w.sys, V3_EMUL_LOAD_SEL);
	CHECK_EQ(w.segs[V3_LDTR].sel, 0x4444);
	w.regs.gpr[V3_RBX] = 0x1230028;
	CHECK_EQ(run("0f00db"), V3_OK); /* ltr ebx */
	CHECK_EQ(w.segs[V3_TR].sel, 0x28);
	w.bad_sel = 0x28;
	refused("0f00d3", V3_EFAULT);
	CHECK_EQ(w.fault, V3_VEC_NP);
	w.sys_result = V3_EINVAL; /* real mode */
	refused("0f00c3", V3_EINVAL);
	w.sys_result = V3_OK;
	refused("0f00e3", V3_ENOTSUP); /* VERR */
	refused("0f00f3", V3_EINVAL);
}

static void test_emulate_sys_invpcid(void)
{
	world(64);
	w.emul.features = V3_EMUL_INVPCID;
	w.regs.gpr[V3_RAX] = BASE + 8;
	w.regs.gpr[V3_RCX] = 0x100000002;
	set_mem64(BASE + 8, 0x111);
	set_mem64(BASE + 16, 0x222000);
	CHECK_EQ(run("660f388208"), V3_OK); /* invpcid rcx, [rax] */
	CHECK_EQ(w.sys, V3_EMUL_INVALIDATE);
	was(0, 'r', BASE + 8, 16);
	CHECK(w.invpcid[0] == 0x100000002 && w.invpcid[1] == 0x111 && w.invpcid[2] == 0x222000);
	w.sys_result = V3_EFAULT;
	refused("660f388208", V3_EFAULT);
	w.sys_result = V3_OK;
	w.emul.features = 0;
	refused("660f388208", V3_EINVAL);
	w.emul.features = V3_EMUL_INVPCID;
	refused("0f388208", V3_EINVAL);
	refused("660f3882c8", V3_EINVAL);
	w.bits = 32;
	CHECK_EQ(run("660f388208"), V3_OK);
	CHECK_EQ(w.invpcid[0], 2);
}

static const struct {
	const char *hex;
	uint64_t got, empty; /* RCX was all ones */
} random_cases[] = {
	{"0fc7f1", 0x55667788, 0}, /* rdrand ecx */
	{"480fc7f1", 0x1122334455667788, 0}, {"660fc7f1", 0xffffffffffff7788, 0xffffffffffff0000},
	{"0fc7f9", 0x5eed5eed, 0}, /* rdseed ecx */
	{"480fc7f9", 0x5eed5eed5eed5eed, 0},
};

static void test_emulate_sys_random(void)
{
	world(64);
	for (unsigned i = 0; i < sizeof(random_cases) / sizeof(random_cases[0]); i++) {
		w.emul.features = V3_EMUL_RDRAND | V3_EMUL_RDSEED;
		w.no_random = false;
		w.regs.gpr[V3_RCX] = ~0ull;
		w.regs.rflags = V3_RFLAGS_ONE | FLAGS | V3_RFLAGS_IF;
		CHECK_EQ(run(random_cases[i].hex), V3_OK);
		CHECK_EQ(w.regs.gpr[V3_RCX], random_cases[i].got);
		CHECK_EQ(w.regs.rflags, V3_RFLAGS_ONE | V3_RFLAGS_CF | V3_RFLAGS_IF);
		w.no_random = true;
		w.regs.gpr[V3_RCX] = ~0ull;
		CHECK_EQ(run(random_cases[i].hex), V3_OK);
		CHECK_EQ(w.regs.gpr[V3_RCX], random_cases[i].empty);
		CHECK_EQ(w.regs.rflags, V3_RFLAGS_ONE | V3_RFLAGS_IF);
		w.emul.features = i < 3 ? V3_EMUL_RDSEED : V3_EMUL_RDRAND;
		refused(random_cases[i].hex, V3_EINVAL);
	}
	refused("f30fc7f9", V3_ENOTSUP); /* RDPID */
}

static const struct tap_test tests[] = {
	TAP(test_emulate_sys_stores_table_registers),
	TAP(test_emulate_sys_loads_table_registers),
	TAP(test_emulate_sys_table_registers_fault),
	TAP(test_emulate_sys_selectors),
	TAP(test_emulate_sys_invpcid),
	TAP(test_emulate_sys_random),
};
TAP_MAIN(tests)
