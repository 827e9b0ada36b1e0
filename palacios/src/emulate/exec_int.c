/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exec_int.c
 * Handlers of integer arithmetic, bit operations and exchanges. Called by exec.c through its
 * tables. Source: AMD APM vol. 3 ch. 3.
 */
#include "emulate/alu.h"
#include "emulate/exec.h"

static uint64_t calc_alu(struct exec *x, uint64_t old)
{
	return v3_alu_binary((enum alu_op)x->kind, x->size, old, x->src, &x->rflags);
}

/* Destination ModRM.rm, operand x->src; CMP only looks. */
static int alu_to_rm(struct exec *x)
{
	uint64_t value;
	int err;

	if (x->kind != ALU_CMP)
		return v3_exec_update(x, calc_alu, false);
	err = v3_exec_load_rm(x, x->size, &value);
	if (!err)
		(void)calc_alu(x, value);
	return err;
}

static int alu_to_reg(struct exec *x, unsigned reg)
{
	uint64_t r = calc_alu(x, v3_exec_reg(x, reg, x->size));

	if (x->kind != ALU_CMP)
		v3_exec_set_reg(x, reg, x->size, r);
	return V3_OK;
}

/* 00..3F: the low opcode bits say E,G - G,E - rAX,I. */
int v3_exec_alu(struct exec *x)
{
	unsigned form = (x->insn->opcode >> 1) & 3;
	int err;

	if (form == 0) {
		x->src = v3_exec_reg(x, x->insn->reg, x->size);
		return alu_to_rm(x);
	}
	if (form == 2) {
		x->src = x->insn->imm & alu_mask(x->size);
		return alu_to_reg(x, V3_RAX);
	}
	err = v3_exec_load_rm(x, x->size, &x->src);
	return err ? err : alu_to_reg(x, x->insn->reg);
}

/* 80..83 */
int v3_exec_alu_imm(struct exec *x)
{
	x->kind = x->insn->reg & 7;
	x->src = x->insn->imm & alu_mask(x->size);
	return alu_to_rm(x);
}

static int test_rm(struct exec *x, uint64_t with)
{
	uint64_t value;
	int err = v3_exec_load_rm(x, x->size, &value);

	if (!err)
		(void)v3_alu_binary(ALU_AND, x->size, value, with & alu_mask(x->size), &x->rflags);
	return err;
}

/* 84, 85, A8, A9 */
int v3_exec_test(struct exec *x)
{
	if (x->insn->flags & V3_INSN_MODRM)
		return test_rm(x, v3_exec_reg(x, x->insn->reg, x->size));
	(void)v3_alu_binary(ALU_AND, x->size, v3_exec_reg(x, V3_RAX, x->size),
			    x->insn->imm & alu_mask(x->size), &x->rflags);
	return V3_OK;
}

static uint64_t calc_not(struct exec *x, uint64_t old)
{
	return ~old & alu_mask(x->size);
}

static uint64_t calc_neg(struct exec *x, uint64_t old)
{
	return v3_alu_binary(ALU_SUB, x->size, 0, old, &x->rflags);
}

/* rDX:rAX, for bytes AX. */
static void set_wide(struct exec *x, uint64_t low, uint64_t high)
{
	if (x->size == 1) {
		v3_exec_set_reg(x, V3_RAX, 2, low | high << 8);
		return;
	}
	v3_exec_set_reg(x, V3_RAX, x->size, low);
	v3_exec_set_reg(x, V3_RDX, x->size, high);
}

static int multiply(struct exec *x, bool is_signed)
{
	uint64_t by, low, high;
	int err = v3_exec_load_rm(x, x->size, &by);

	if (err)
		return err;
	low = v3_alu_multiply(x->size, v3_exec_reg(x, V3_RAX, x->size), by, is_signed, &high,
			      &x->rflags);
	set_wide(x, low, high);
	return V3_OK;
}

static int divide(struct exec *x, bool is_signed)
{
	uint64_t by, low, high;
	int err = v3_exec_load_rm(x, x->size, &by);

	if (err)
		return err;
	low = v3_exec_reg(x, V3_RAX, x->size);
	high = x->size == 1 ? (x->regs->gpr[V3_RAX] >> 8) & 0xff : v3_exec_reg(x, V3_RDX, x->size);
	if (!v3_alu_divide(x->size, high, low, by, is_signed, &low, &high))
		return v3_exec_fault(x, V3_VEC_DE);
	set_wide(x, low, high);
	return V3_OK;
}

/* F6, F7 */
int v3_exec_group3(struct exec *x)
{
	unsigned op = x->insn->reg & 7;

	switch (op) {
	case 2:
		return v3_exec_update(x, calc_not, false);
	case 3:
		return v3_exec_update(x, calc_neg, false);
	case 4:
	case 5:
		return multiply(x, op == 5);
	case 6:
	case 7:
		return divide(x, op == 7);
	}
	return test_rm(x, x->insn->imm);
}

static uint64_t calc_step(struct exec *x, uint64_t old)
{
	return v3_alu_step(x->size, old, x->kind, &x->rflags);
}

/* FE and FF /0, /1 */
int v3_exec_step(struct exec *x)
{
	x->kind = x->insn->reg & 7;
	if (x->kind > 1)
		return V3_EINVAL;
	return v3_exec_update(x, calc_step, false);
}

/* 40..4F of old modes */
int v3_exec_step_reg(struct exec *x)
{
	unsigned reg = x->insn->opcode & 7;

	x->kind = (x->insn->opcode >> 3) & 1;
	v3_exec_set_reg(x, reg, x->size, calc_step(x, v3_exec_reg(x, reg, x->size)));
	return V3_OK;
}

static uint64_t calc_shift(struct exec *x, uint64_t old)
{
	return v3_alu_shift((enum alu_shift)x->kind, x->size, old, (unsigned)x->src, &x->rflags);
}

/* C0, C1: by immediate; D0, D1: by 1; D2, D3: by CL */
int v3_exec_shift(struct exec *x)
{
	uint8_t opcode = x->insn->opcode;

	x->kind = x->insn->reg & 7;
	if (opcode < 0xd0)
		x->src = x->insn->imm & 0xff;
	else
		x->src = opcode < 0xd2 ? 1 : x->regs->gpr[V3_RCX] & 0xff;
	return v3_exec_update(x, calc_shift, false);
}

static uint64_t calc_shift_double(struct exec *x, uint64_t old)
{
	bool by_cl = x->insn->opcode & 1;
	uint64_t count = by_cl ? x->regs->gpr[V3_RCX] : x->insn->imm;

	return v3_alu_shift_double(x->size, old, x->src, (unsigned)count & 0xff,
				   x->insn->opcode & 8, &x->rflags);
}

/* 0F A4, A5, AC, AD */
int v3_exec_shift_double(struct exec *x)
{
	x->src = v3_exec_reg(x, x->insn->reg, x->size);
	return v3_exec_update(x, calc_shift_double, false);
}

/* 0F AF; 69 and 6B with an immediate */
int v3_exec_imul(struct exec *x)
{
	uint64_t a, b, high;
	int err = v3_exec_load_rm(x, x->size, &a);

	if (err)
		return err;
	b = x->insn->imm_size ? x->insn->imm & alu_mask(x->size)
			      : v3_exec_reg(x, x->insn->reg, x->size);
	v3_exec_set_reg(x, x->insn->reg, x->size,
			v3_alu_multiply(x->size, a, b, true, &high, &x->rflags));
	return V3_OK;
}

/* kind: 0 BT, 1 BTS, 2 BTR, 3 BTC; src: the bit's number, within the operand. */
static uint64_t calc_bit(struct exec *x, uint64_t old)
{
	uint64_t bit = 1ull << x->src;

	x->rflags &= ~V3_RFLAGS_CF;
	if (old & bit)
		x->rflags |= V3_RFLAGS_CF;
	switch (x->kind) {
	case 1:
		return old | bit;
	case 2:
		return old & ~bit;
	case 3:
		return old ^ bit;
	}
	return old;
}

static int bit_operate(struct exec *x)
{
	uint64_t value;
	int err;

	if (x->kind)
		return v3_exec_update(x, calc_bit, false);
	if (!x->linear_ok) {
		err = v3_exec_load_rm(x, x->size, &value);
	} else {
		value = 0;
		err = v3_exec_read(x, x->linear, &value, x->size, V3_ACC_READ);
	}
	if (!err)
		(void)calc_bit(x, value);
	return err;
}

/* 0F A3, AB, B3, BB: a bit number in a register reaches beyond a memory operand, both ways. */
int v3_exec_bit(struct exec *x)
{
	const struct v3_insn *insn = x->insn;
	uint64_t offset, number = v3_exec_reg(x, insn->reg, x->size);
	unsigned shift = x->size == 2 ? 4 : x->size == 4 ? 5 : 6;
	int err;

	x->kind = (insn->opcode >> 3) & 3;
	x->src = number & (8 * x->size - 1);
	if (insn->flags & V3_INSN_MEM) {
		offset = v3_insn_offset(insn, x->regs);
		offset += (uint64_t)(alu_signed(number, x->size) >> shift) * x->size;
		err = v3_exec_linear(x, insn->seg, offset & alu_mask(insn->addr_size), x->size,
				     x->kind ? V3_ACC_READ | V3_ACC_WRITE : V3_ACC_READ,
				     &x->linear);
		if (err)
			return err;
		x->linear_ok = true;
	}
	return bit_operate(x);
}

/* 0F BA */
int v3_exec_bit_imm(struct exec *x)
{
	if ((x->insn->reg & 7) < 4)
		return V3_EINVAL;
	x->kind = x->insn->reg & 3;
	x->src = x->insn->imm & (8 * x->size - 1);
	return bit_operate(x);
}

static void set_count_flags(struct exec *x, uint64_t src, uint64_t result)
{
	x->rflags &= ~(V3_RFLAGS_CF | V3_RFLAGS_ZF);
	if (!src)
		x->rflags |= V3_RFLAGS_CF;
	if (!result)
		x->rflags |= V3_RFLAGS_ZF;
}

/* 0F BC, BD: BSF, BSR, and with F3 TZCNT, LZCNT where the CPU has them */
int v3_exec_scan(struct exec *x)
{
	bool reverse = x->insn->opcode & 1, count;
	unsigned bits = 8 * x->size;
	uint64_t src, r;
	int err = v3_exec_load_rm(x, x->size, &src);

	if (err)
		return err;
	count = (x->insn->prefix & V3_PFX_REP) &&
		(x->emul->features & (reverse ? V3_EMUL_LZCNT : V3_EMUL_BMI1));
	if (src)
		r = reverse ? 63 - (unsigned)__builtin_clzll(src) : (unsigned)__builtin_ctzll(src);
	else
		r = reverse ? ~0ull : bits;
	if (count) {
		r = reverse ? bits - 1 - r : r;
		set_count_flags(x, src, r);
	} else {
		v3_alu_set_zsp(x->size, src, &x->rflags);
		if (!src) /* the destination stays (APM vol. 3, BSF) */
			return V3_OK;
	}
	v3_exec_set_reg(x, x->insn->reg, x->size, r);
	return V3_OK;
}

/* F3 0F B8 */
int v3_exec_popcnt(struct exec *x)
{
	uint64_t src, count = 0;
	int err;

	if (!(x->insn->prefix & V3_PFX_REP))
		return V3_EINVAL;
	err = v3_exec_load_rm(x, x->size, &src);
	if (err)
		return err;
	for (; src; src &= src - 1)
		count++;
	(void)v3_alu_binary(ALU_AND, x->size, count, count, &x->rflags);
	x->rflags &= ~(V3_RFLAGS_PF | V3_RFLAGS_SF);
	v3_exec_set_reg(x, x->insn->reg, x->size, count);
	return V3_OK;
}

static uint64_t calc_replace(struct exec *x, uint64_t old)
{
	(void)old;
	return x->src;
}

/* 86, 87: locked with memory, prefix or not. */
int v3_exec_xchg(struct exec *x)
{
	int err;

	x->src = v3_exec_reg(x, x->insn->reg, x->size);
	err = v3_exec_update(x, calc_replace, true);
	if (!err)
		v3_exec_set_reg(x, x->insn->reg, x->size, x->old);
	return err;
}

static uint64_t calc_add(struct exec *x, uint64_t old)
{
	return v3_alu_binary(ALU_ADD, x->size, old, x->src, &x->rflags);
}

/* 0F C0, C1. If both operands are one register, the sum stays in it. */
int v3_exec_xadd(struct exec *x)
{
	const struct v3_insn *insn = x->insn;
	int err;

	x->src = v3_exec_reg(x, insn->reg, x->size);
	err = v3_exec_update(x, calc_add, false);
	if (!err && ((insn->flags & V3_INSN_MEM) || insn->reg != insn->rm))
		v3_exec_set_reg(x, insn->reg, x->size, x->old);
	return err;
}

static uint64_t calc_cmpxchg(struct exec *x, uint64_t old)
{
	uint64_t rax = v3_exec_reg(x, V3_RAX, x->size);

	(void)v3_alu_binary(ALU_CMP, x->size, rax, old, &x->rflags);
	return rax == old ? x->src : old;
}

/* 0F B0, B1: if the values differ memory is written with its own value, a register not at all. */
int v3_exec_cmpxchg(struct exec *x)
{
	int err = V3_OK;

	x->src = v3_exec_reg(x, x->insn->reg, x->size);
	if (x->insn->flags & V3_INSN_MEM) {
		err = v3_exec_update(x, calc_cmpxchg, false);
	} else {
		x->old = v3_exec_reg(x, x->insn->rm, x->size);
		(void)calc_cmpxchg(x, x->old);
		if (x->rflags & V3_RFLAGS_ZF)
			v3_exec_set_reg(x, x->insn->rm, x->size, x->src);
	}
	if (!err && !(x->rflags & V3_RFLAGS_ZF))
		v3_exec_set_reg(x, V3_RAX, x->size, x->old);
	return err;
}

/* The store of CMPXCHG8B/16B: old and val are arrays of two halves. */
static int cmpxchg_wide_store(struct exec *x, uint8_t *old, const uint8_t *val, size_t size)
{
	const struct v3_emul_ops *ops = x->emul->ops;
	bool swapped = false;
	int err = V3_ENOTSUP;

	if ((x->insn->prefix & V3_PFX_LOCK) && ops->cmpxchg)
		err = ops->cmpxchg(x->emul->priv, x->linear, old, val, size, &swapped);
	if (err == V3_ENOTSUP)
		return v3_exec_write(x, x->linear, val, size);
	if (err > 0) {
		x->leave = V3_LEAVE;
		err = V3_OK;
	}
	return !err && !swapped ? EXEC_AGAIN : err;
}

/* 0F C7 /1 */
int v3_exec_cmpxchg_wide(struct exec *x)
{
	unsigned half = x->size == 8 ? 8 : 4;
	size_t size = 2 * half;
	uint64_t low = 0, high = 0, rax = v3_exec_reg(x, V3_RAX, half),
		 rdx = v3_exec_reg(x, V3_RDX, half);
	uint8_t old[16], val[16];
	bool equal;
	int err;

	if ((x->insn->reg & 7) != 1)
		return V3_ENOTSUP;
	if (!(x->insn->flags & V3_INSN_MEM))
		return V3_EINVAL;
	err = v3_exec_mem(x, size, V3_ACC_READ | V3_ACC_WRITE);
	if (err)
		return err;
	if (half == 8 && (x->linear & 15))
		return v3_exec_fault(x, V3_VEC_GP);
	err = v3_exec_read(x, x->linear, old, size, V3_ACC_READ | V3_ACC_WRITE);
	if (err)
		return err;
	__builtin_memcpy(&low, old, half);
	__builtin_memcpy(&high, old + half, half);
	__builtin_memcpy(val, old, sizeof(val));
	equal = low == rax && high == rdx;
	if (equal) {
		__builtin_memcpy(val, &x->regs->gpr[V3_RBX], half);
		__builtin_memcpy(val + half, &x->regs->gpr[V3_RCX], half);
	}
	err = cmpxchg_wide_store(x, old, val, size);
	if (err)
		return err;
	x->rflags = (x->rflags & ~V3_RFLAGS_ZF) | (equal ? V3_RFLAGS_ZF : 0);
	if (!equal) {
		v3_exec_set_reg(x, V3_RAX, half, low);
		v3_exec_set_reg(x, V3_RDX, half, high);
	}
	return V3_OK;
}
