/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_emulate_segment.c
 * The executor and segments: checks of an access, and segment registers as operands. What loading one
 * does on a vcpu: test_segment.c.
 */
#include "emulate_world.h"

static void test_emulate_segment_faults(void)
{
	world(32);
	w.segs[V3_DS].limit = BASE + 3;
	w.regs.gpr[V3_RAX] = BASE;
	CHECK_EQ(run("8b00"), V3_OK); /* the last four bytes */
	w.regs.gpr[V3_RAX] = BASE + 1;
	refused("8b00", V3_EFAULT);
	CHECK_EQ(w.fault, V3_VEC_GP);
	w.segs[V3_SS].limit = BASE;
	w.regs.gpr[V3_RBP] = BASE;
	refused("8b4500", V3_EFAULT);
	CHECK_EQ(w.fault, V3_VEC_SS);
	CHECK_EQ(run("268b00"), V3_OK); /* ES is as it was */

	world(64);
	w.regs.gpr[V3_RAX] = 0x8000000000000000;
	refused("8b00", V3_EFAULT); /* not canonical */
	CHECK_EQ(w.fault, V3_VEC_GP);
	w.segs[V3_GS].base = BASE;
	w.segs[V3_DS].base = 0x1234;
	set_mem64(BASE + 8, 0x77);
	CHECK_EQ(run("658b042508000000"), V3_OK); /* mov eax, gs:[8] */
	CHECK_EQ(w.regs.gpr[V3_RAX], 0x77);
}

static void test_emulate_segment_linear(void)
{
	const struct v3_seg rw = {
		.attr = V3_SEG_P | V3_SEG_S | V3_SEG_DB | 3, .limit = 0xfff, .base = 0xfffff000};
	const struct v3_seg ro = {.attr = V3_SEG_P | V3_SEG_S | 1, .limit = 0xffff};
	const struct v3_seg down = {.attr = V3_SEG_P | V3_SEG_S | 7, .limit = 0xfff};
	const struct v3_seg code = {.attr = V3_SEG_P | V3_SEG_S | 9, .limit = 0xffff};
	const struct v3_seg absent = {.attr = V3_SEG_S | 3, .limit = 0xffff};
	v3_gva_t at;

	CHECK_EQ(v3_seg_linear(&rw, V3_DS, 32, true, 0xffc, 4, V3_ACC_WRITE, &at), V3_OK);
	CHECK_EQ(at, 0xfffffffc);
	CHECK_EQ(v3_seg_linear(&rw, V3_DS, 32, true, 0xffd, 4, V3_ACC_WRITE, &at), V3_EFAULT);
	CHECK_EQ(v3_seg_linear(&rw, V3_DS, 32, true, 0xffffffff, 4, V3_ACC_READ, &at), V3_EFAULT);
	CHECK_EQ(v3_seg_linear(&ro, V3_DS, 32, true, 0, 1, V3_ACC_READ, &at), V3_OK);
	CHECK_EQ(v3_seg_linear(&ro, V3_DS, 32, true, 0, 1, V3_ACC_READ | V3_ACC_WRITE, &at),
		 V3_EFAULT);
	CHECK_EQ(v3_seg_linear(&ro, V3_DS, 16, false, 0, 1, V3_ACC_WRITE, &at),
		 V3_OK); /* real mode */
	CHECK_EQ(v3_seg_linear(&ro, V3_DS, 16, false, 0xffff, 2, V3_ACC_READ, &at), V3_EFAULT);
	CHECK_EQ(v3_seg_linear(&down, V3_DS, 32, true, 0xfff, 1, V3_ACC_READ, &at), V3_EFAULT);
	CHECK_EQ(v3_seg_linear(&down, V3_DS, 32, true, 0x1000, 1, V3_ACC_READ, &at), V3_OK);
	CHECK_EQ(v3_seg_linear(&down, V3_DS, 32, true, 0xffff, 2, V3_ACC_READ, &at), V3_EFAULT);
	CHECK_EQ(v3_seg_linear(&code, V3_CS, 32, true, 0, 1, V3_ACC_EXEC, &at), V3_OK);
	CHECK_EQ(v3_seg_linear(&code, V3_CS, 32, true, 0, 1, V3_ACC_READ, &at),
		 V3_EFAULT); /* execute only */
	CHECK_EQ(v3_seg_linear(&code, V3_CS, 32, true, 0, 1, V3_ACC_WRITE, &at), V3_EFAULT);
	CHECK_EQ(v3_seg_linear(&absent, V3_DS, 32, true, 0, 1, V3_ACC_READ, &at), V3_EFAULT);
	/* 64-bit: no limits, no types; bases of FS and GS only; canonical to the last byte */
	CHECK_EQ(v3_seg_linear(&absent, V3_DS, 64, true, 0x7fffffffffff, 1, V3_ACC_WRITE, &at),
		 V3_OK);
	CHECK_EQ(v3_seg_linear(&absent, V3_DS, 64, true, 0x7fffffffffff, 2, V3_ACC_WRITE, &at),
		 V3_EFAULT);
	CHECK_EQ(v3_seg_linear(&rw, V3_FS, 64, true, 0x1000, 8, V3_ACC_READ, &at), V3_OK);
	CHECK_EQ(at, 0x100000000);
	CHECK_EQ(v3_seg_linear(&rw, V3_DS, 64, true, 0xffff800000000000, 8, V3_ACC_READ, &at),
		 V3_OK);
	CHECK_EQ(at, 0xffff800000000000);
}

static void test_emulate_segment_mov_from(void)
{
	world(64);
	w.pages[0] = DEVICE;
	w.regs.gpr[V3_RAX] = BASE;
	for (unsigned i = 0; i <= V3_GS; i++)
		w.segs[i].sel = (uint16_t)(0x8001 + 0x1111 * i);
	set_mem64(BASE, ~0ull);
	for (unsigned i = 0; i <= V3_GS; i++) {
		char hex[16];

		snprintf(hex, sizeof(hex), "8c%02x", i << 3);
		CHECK_EQ(run(hex), V3_OK); /* mov [rax], sreg: 16 bits, whatever the operand size */
		CHECK_EQ(mem64(BASE), 0xffffffffffff0000 | w.segs[i].sel);
		was(2 * i, 'w', BASE, 2);
		snprintf(hex, sizeof(hex), "4c8c%02x", i << 3); /* REX.R does not count */
		CHECK_EQ(run(hex), V3_OK);
		was(2 * i + 1, 'w', BASE, 2);
	}
	w.regs.gpr[V3_RBX] = ~0ull;
	CHECK_EQ(run("668cdb"), V3_OK); /* mov bx, ds */
	CHECK_EQ(w.regs.gpr[V3_RBX], 0xffffffffffff0000 | w.segs[V3_DS].sel);
	CHECK_EQ(run("8cdb"), V3_OK);
	CHECK_EQ(w.regs.gpr[V3_RBX], w.segs[V3_DS].sel);
	w.regs.gpr[V3_RBX] = ~0ull;
	CHECK_EQ(run("488ceb"), V3_OK); /* mov rbx, gs */
	CHECK_EQ(w.regs.gpr[V3_RBX], w.segs[V3_GS].sel);
	refused("f08c18", V3_EINVAL); /* LOCK */
	CHECK_EQ(w.nlog, 12);
}

static void test_emulate_segment_mov_to(void)
{
	world(64);
	w.pages[0] = DEVICE;
	w.regs.gpr[V3_RAX] = BASE + 2;
	set_mem64(BASE, 0x3333222211110000);
	CHECK_EQ(run("8e20"), V3_OK); /* mov fs, [rax] */
	was(0, 'r', BASE + 2, 2);
	was(1, 's', V3_FS, 2);
	CHECK_EQ(w.segs[V3_FS].sel, 0x1111);
	CHECK_EQ(run("488e10"), V3_OK); /* mov ss, [rax] with REX.W: still two bytes */
	was(2, 'r', BASE + 2, 2);
	CHECK_EQ(w.segs[V3_SS].sel, 0x1111);
	w.regs.gpr[V3_RCX] = 0xabcd4444;
	CHECK_EQ(run("8ed9"), V3_OK); /* mov ds, ecx */
	CHECK_EQ(w.segs[V3_DS].sel, 0x4444);
	w.bad_sel = 0x1111;
	refused("8e00", V3_EFAULT);
	CHECK_EQ(w.fault, V3_VEC_NP);
	CHECK_EQ(w.segs[V3_ES].sel, 0);
	refused("f08e00", V3_EINVAL);
	w.leave_at = w.nlog + 1;
	CHECK_EQ(run("8e18"), V3_EFAULT); /* the read asked to leave, but the load failed */
	w.bad_sel = 0;
	w.leave_at = w.nlog + 1;
	CHECK_EQ(run("8e18"), V3_LEAVE);
	CHECK(w.emul.retired);
}

static void test_emulate_segment_push_pop(void)
{
	static const struct {
		const char *push, *pop;
		enum v3_seg_num seg;
	} old[] = {{"06", "07", V3_ES}, {"0e", NULL, V3_CS},	 {"16", "17", V3_SS},
		   {"1e", "1f", V3_DS}, {"0fa0", "0fa1", V3_FS}, {"0fa8", "0fa9", V3_GS}};

	for (unsigned i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
		world(32);
		w.segs[old[i].seg].sel = (uint16_t)(0x9000 + i);
		w.regs.gpr[V3_RSP] = BASE + 0x100;
		set_mem64(BASE + 0xf8, ~0ull);
		CHECK_EQ(run(old[i].push), V3_OK);
		CHECK_EQ(w.regs.gpr[V3_RSP], BASE + 0xfc);
		CHECK_EQ(mem64(BASE + 0xf8), 0x900000000000 + ((uint64_t)i << 32) + 0xffffffff);
		if (!old[i].pop)
			continue;
		set_mem64(BASE + 0xf8, 0x5555666677778888);
		CHECK_EQ(run(old[i].pop), V3_OK);
		CHECK_EQ(w.segs[old[i].seg].sel, 0x6666);
		CHECK_EQ(w.regs.gpr[V3_RSP], BASE + 0x100);
		w.bad_sel = 0x6666;
		w.regs.gpr[V3_RSP] = BASE + 0xfc;
		refused(old[i].pop, V3_EFAULT);
	}
	world(64);
	w.segs[V3_GS].sel = 0x77;
	w.regs.gpr[V3_RSP] = BASE + 0x100;
	CHECK_EQ(run("0fa8"), V3_OK); /* eight bytes */
	CHECK_EQ(w.regs.gpr[V3_RSP], BASE + 0xf8);
	CHECK_EQ(mem64(BASE + 0xf8), 0x77);
	CHECK_EQ(run("660fa8"), V3_OK); /* two */
	CHECK_EQ(w.regs.gpr[V3_RSP], BASE + 0xf6);
	CHECK_EQ(run("660fa1"), V3_OK);
	CHECK_EQ(w.segs[V3_FS].sel, 0x77);
	CHECK_EQ(run("0fa1"), V3_OK);
	CHECK_EQ(w.regs.gpr[V3_RSP], BASE + 0x100);
}

static const struct tap_test tests[] = {
	TAP(test_emulate_segment_faults),   TAP(test_emulate_segment_linear),
	TAP(test_emulate_segment_mov_from), TAP(test_emulate_segment_mov_to),
	TAP(test_emulate_segment_push_pop),
};
TAP_MAIN(tests)
