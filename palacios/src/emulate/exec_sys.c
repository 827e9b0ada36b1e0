/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exec_sys.c
 * Handlers of system instructions that have memory operands or exit by themselves: descriptor-table and task
 * registers, INVPCID, RDRAND, RDSEED. Called by exec.c. Whether the guest may execute them is the owner's to say.
 * Source: AMD APM vol. 3 ch. 3 and 4; SDM vol. 2 for the same instructions.
 */
#include "emulate/exec.h"

#define SYS_BASE_286 0xffffffull /* LGDT, LIDT with 16-bit operands load 24 bits of base */
#define SYS_FLAGS                                                                                  \
	(V3_RFLAGS_CF | V3_RFLAGS_PF | V3_RFLAGS_AF | V3_RFLAGS_ZF | V3_RFLAGS_SF | V3_RFLAGS_OF)

static int sys_check(struct exec *x, enum v3_emul_sys what)
{
	return x->emul->ops->sys_check(x->emul->priv, what);
}

/* 0F 00 /0 SLDT, /1 STR, /2 LLDT, /3 LTR. In memory a selector has 16 bits whatever the operand size. */
int v3_exec_group6(struct exec *x)
{
	const struct v3_emul_ops *ops = x->emul->ops;
	unsigned n = x->insn->reg & 7;
	enum v3_seg_num seg = n & 1 ? V3_TR : V3_LDTR;
	uint64_t sel;
	int err;

	if (n > 3) /* VERR, VERW; the rest is undefined */
		return n > 5 ? V3_EINVAL : V3_ENOTSUP;
	err = sys_check(x, n < 2 ? V3_EMUL_STORE_SEL : V3_EMUL_LOAD_SEL);
	if (err)
		return err;
	if (n < 2)
		return v3_exec_store_rm(x, x->insn->flags & V3_INSN_MEM ? 2 : x->size,
					ops->get_sel(x->emul->priv, seg));
	err = v3_exec_load_rm(x, 2, &sel);
	return err ? err : ops->load_seg(x->emul->priv, seg, (uint16_t)sel);
}

/*
 * The limit and the base are two accesses. That the second one may fault after the first does no harm: the
 * instruction then runs again. CPUs store all of the base whatever the operand size.
 */
static int sys_store_dtr(struct exec *x, bool idt, unsigned base_size)
{
	struct v3_dtr dtr;
	int err;

	x->emul->ops->get_dtr(x->emul->priv, idt, &dtr);
	err = v3_exec_mem(x, 2 + base_size, V3_ACC_WRITE);
	if (!err)
		err = v3_exec_write(x, x->linear, &dtr.limit, 2);
	return err ? err : v3_exec_write(x, x->linear + 2, &dtr.base, base_size);
}

static int sys_load_dtr(struct exec *x, bool idt, unsigned base_size)
{
	struct v3_dtr dtr = {.base = 0};
	int err = v3_exec_mem(x, 2 + base_size, V3_ACC_READ);

	if (!err)
		err = v3_exec_read(x, x->linear, &dtr.limit, 2, V3_ACC_READ);
	if (!err)
		err = v3_exec_read(x, x->linear + 2, &dtr.base, base_size, V3_ACC_READ);
	if (err)
		return err;
	if (x->insn->opnd_size == 2 && x->insn->bits != 64)
		dtr.base &= SYS_BASE_286;
	return x->emul->ops->set_dtr(x->emul->priv, idt, &dtr);
}

/* 0F 01 /0 SGDT, /1 SIDT, /2 LGDT, /3 LIDT; in registers, and above /3, these are other instructions */
int v3_exec_group7(struct exec *x)
{
	unsigned n = x->insn->reg & 7, base_size = x->insn->bits == 64 ? 8 : 4;
	int err;

	if (!(x->insn->flags & V3_INSN_MEM) || n > 3)
		return V3_ENOTSUP;
	err = sys_check(x, n < 2 ? V3_EMUL_STORE_DTR : V3_EMUL_LOAD_DTR);
	if (err)
		return err;
	return n < 2 ? sys_store_dtr(x, n & 1, base_size) : sys_load_dtr(x, n & 1, base_size);
}

/* 0F C7 /6 RDRAND, /7 RDSEED with a register; F3 makes it another instruction. In memory: CMPXCHG8B, CMPXCHG16B */
int v3_exec_group9(struct exec *x)
{
	bool seed = (x->insn->reg & 7) == 7;
	uint64_t value = 0;
	bool done;

	if ((x->insn->flags & V3_INSN_MEM) || (x->insn->reg & 7) < 6)
		return v3_exec_cmpxchg_wide(x);
	if (x->insn->prefix & (V3_PFX_REP | V3_PFX_REPNE))
		return V3_ENOTSUP;
	if (!(x->emul->features & (seed ? V3_EMUL_RDSEED : V3_EMUL_RDRAND)))
		return V3_EINVAL;
	done = x->emul->ops->random(x->emul->priv, seed, &value);
	v3_exec_set_reg(x, x->insn->rm, x->size, done ? value : 0);
	x->rflags = (x->rflags & ~SYS_FLAGS) | (done ? V3_RFLAGS_CF : 0);
	return V3_OK;
}

/* 66 0F 38 82 */
int v3_exec_invpcid(struct exec *x)
{
	uint64_t type = v3_exec_reg(x, x->insn->reg, x->insn->bits == 64 ? 8 : 4), desc[2];
	int err;

	if (x->insn->pp != 1 || !(x->insn->flags & V3_INSN_MEM) ||
	    !(x->emul->features & V3_EMUL_INVPCID))
		return V3_EINVAL;
	err = sys_check(x, V3_EMUL_INVALIDATE);
	if (!err)
		err = v3_exec_mem(x, sizeof(desc), V3_ACC_READ);
	if (!err)
		err = v3_exec_read(x, x->linear, desc, sizeof(desc), V3_ACC_READ);
	return err ? err : x->emul->ops->invpcid(x->emul->priv, type, desc);
}
