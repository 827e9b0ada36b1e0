/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exec.c
 * v3_emulate(): finds the handler of an instruction, checks LOCK, commits flags and RIP.
 * Called by the memory and I/O exit handlers after v3_decode(). Handlers: exec_*.c.
 */
#include "emulate/alu.h"
#include "emulate/exec.h"

#define ALU_ROW(base, op, lk)                                                                      \
	[(base)...(base) + 1] = {v3_exec_alu, op, 1, lk},                                          \
			   [(base) + 2 ...(base) + 5] = {v3_exec_alu, op, 1, 0}

/* Columns: handler, kind, byte form by opcode bit 0, ModRM.reg values with which LOCK is legal. */
static const struct exec_op exec_one[256] = {
	ALU_ROW(0x00, 0, 0xff), /* ADD */
	ALU_ROW(0x08, 1, 0xff), /* OR */
	ALU_ROW(0x10, 2, 0xff), /* ADC */
	ALU_ROW(0x18, 3, 0xff), /* SBB */
	ALU_ROW(0x20, 4, 0xff), /* AND */
	ALU_ROW(0x28, 5, 0xff), /* SUB */
	ALU_ROW(0x30, 6, 0xff), /* XOR */
	ALU_ROW(0x38, 7, 0x00), /* CMP */
	[0x06] = {v3_exec_push_seg, V3_ES, 0, 0},
	[0x07] = {v3_exec_pop_seg, V3_ES, 0, 0},
	[0x0e] = {v3_exec_push_seg, V3_CS, 0, 0},
	[0x16] = {v3_exec_push_seg, V3_SS, 0, 0},
	[0x17] = {v3_exec_pop_seg, V3_SS, 0, 0},
	[0x1e] = {v3_exec_push_seg, V3_DS, 0, 0},
	[0x1f] = {v3_exec_pop_seg, V3_DS, 0, 0},
	[0x40 ... 0x4f] = {v3_exec_step_reg, 0, 0, 0},
	[0x50 ... 0x57] = {v3_exec_push, 0, 0, 0},
	[0x58 ... 0x5f] = {v3_exec_pop, 0, 0, 0},
	[0x60] = {v3_exec_pusha, 0, 0, 0},
	[0x61] = {v3_exec_popa, 0, 0, 0},
	[0x63] = {v3_exec_extend, 0x84, 0, 0},
	[0x68] = {v3_exec_push, 0, 0, 0},
	[0x69] = {v3_exec_imul, 0, 0, 0},
	[0x6a] = {v3_exec_push, 0, 0, 0},
	[0x6b] = {v3_exec_imul, 0, 0, 0},
	[0x6c ... 0x6d] = {v3_exec_string, STRING_INS, 1, 0},
	[0x6e ... 0x6f] = {v3_exec_string, STRING_OUTS, 1, 0},
	[0x80 ... 0x83] = {v3_exec_alu_imm, 0, 1, 0x7f},
	[0x84 ... 0x85] = {v3_exec_test, 0, 1, 0},
	[0x86 ... 0x87] = {v3_exec_xchg, 0, 1, 0xff},
	[0x88 ... 0x89] = {v3_exec_mov_store, 0, 1, 0},
	[0x8a ... 0x8b] = {v3_exec_mov_load, 0, 1, 0},
	[0x8c] = {v3_exec_mov_seg, 0, 0, 0},
	[0x8e] = {v3_exec_mov_seg, 1, 0, 0},
	[0x8f] = {v3_exec_pop, 0, 0, 0},
	[0x9c] = {v3_exec_pushf, 0, 0, 0},
	[0xa0 ... 0xa3] = {v3_exec_mov_moffs, 0, 1, 0},
	[0xa4 ... 0xa5] = {v3_exec_string, STRING_MOVS, 1, 0},
	[0xa6 ... 0xa7] = {v3_exec_string, STRING_CMPS, 1, 0},
	[0xa8 ... 0xa9] = {v3_exec_test, 0, 1, 0},
	[0xaa ... 0xab] = {v3_exec_string, STRING_STOS, 1, 0},
	[0xac ... 0xad] = {v3_exec_string, STRING_LODS, 1, 0},
	[0xae ... 0xaf] = {v3_exec_string, STRING_SCAS, 1, 0},
	[0xb0 ... 0xbf] = {v3_exec_mov_reg_imm, 0, 0, 0},
	[0xc0 ... 0xc1] = {v3_exec_shift, 0, 1, 0},
	[0xc2 ... 0xc3] = {v3_exec_ret, 0, 0, 0},
	[0xc6 ... 0xc7] = {v3_exec_mov_imm, 0, 1, 0},
	[0xc8] = {v3_exec_enter, 0, 0, 0},
	[0xc9] = {v3_exec_leave, 0, 0, 0},
	[0xd0 ... 0xd3] = {v3_exec_shift, 0, 1, 0},
	[0xd7] = {v3_exec_xlat, 0, 0, 0},
	[0xe4 ... 0xe5] = {v3_exec_in, 0, 1, 0},
	[0xe6 ... 0xe7] = {v3_exec_out, 0, 1, 0},
	[0xe8] = {v3_exec_call, 0, 0, 0},
	[0xe9] = {v3_exec_jump, 0, 0, 0},
	[0xeb] = {v3_exec_jump, 0, 0, 0},
	[0xec ... 0xed] = {v3_exec_in, 0, 1, 0},
	[0xee ... 0xef] = {v3_exec_out, 0, 1, 0},
	[0xf6 ... 0xf7] = {v3_exec_group3, 0, 1, 0x0c},
	[0xfe] = {v3_exec_step, 0, 1, 0x03},
	[0xff] = {v3_exec_group5, 0, 0, 0x03},
};

static const struct exec_op exec_0f[256] = {
	[0x00] = {v3_exec_group6, 0, 0, 0},
	[0x01] = {v3_exec_group7, 0, 0, 0},
	[0x0d] = {v3_exec_nop, 0, 0, 0},
	[0x10 ... 0x13] = {v3_exec_vector, 0, 0, 0},
	[0x16 ... 0x17] = {v3_exec_vector, 0, 0, 0},
	[0x18 ... 0x1f] = {v3_exec_nop, 0, 0, 0},
	[0x28 ... 0x29] = {v3_exec_vector, 0, 0, 0},
	[0x2b] = {v3_exec_vector, 0, 0, 0},
	[0x40 ... 0x4f] = {v3_exec_cmov, 0, 0, 0},
	[0x6e ... 0x6f] = {v3_exec_vector, 0, 0, 0},
	[0x7e ... 0x7f] = {v3_exec_vector, 0, 0, 0},
	[0x90 ... 0x9f] = {v3_exec_setcc, 0, 0, 0},
	[0xa0] = {v3_exec_push_seg, V3_FS, 0, 0},
	[0xa1] = {v3_exec_pop_seg, V3_FS, 0, 0},
	[0xa3] = {v3_exec_bit, 0, 0, 0},
	[0xa4 ... 0xa5] = {v3_exec_shift_double, 0, 0, 0},
	[0xa8] = {v3_exec_push_seg, V3_GS, 0, 0},
	[0xa9] = {v3_exec_pop_seg, V3_GS, 0, 0},
	[0xab] = {v3_exec_bit, 0, 0, 0xff},
	[0xac ... 0xad] = {v3_exec_shift_double, 0, 0, 0},
	[0xae] = {v3_exec_nop, 1, 0, 0},
	[0xaf] = {v3_exec_imul, 0, 0, 0},
	[0xb0 ... 0xb1] = {v3_exec_cmpxchg, 0, 1, 0xff},
	[0xb3] = {v3_exec_bit, 0, 0, 0xff},
	[0xb6] = {v3_exec_extend, 1, 0, 0},
	[0xb7] = {v3_exec_extend, 2, 0, 0},
	[0xb8] = {v3_exec_popcnt, 0, 0, 0},
	[0xba] = {v3_exec_bit_imm, 0, 0, 0xe0},
	[0xbb] = {v3_exec_bit, 0, 0, 0xff},
	[0xbc ... 0xbd] = {v3_exec_scan, 0, 0, 0},
	[0xbe] = {v3_exec_extend, 0x81, 0, 0},
	[0xbf] = {v3_exec_extend, 0x82, 0, 0},
	[0xc0 ... 0xc1] = {v3_exec_xadd, 0, 1, 0xff},
	[0xc3] = {v3_exec_movnti, 0, 0, 0},
	[0xc7] = {v3_exec_group9, 0, 0, 0x02},
	[0xd6] = {v3_exec_vector, 0, 0, 0},
	[0xe7] = {v3_exec_vector, 0, 0, 0},
	[0xf0] = {v3_exec_vector, 0, 0, 0},
};

static const struct exec_op exec_movbe = {v3_exec_movbe, 0, 0, 0};
static const struct exec_op exec_invpcid = {v3_exec_invpcid, 0, 0, 0};
static const struct exec_op exec_vector = {v3_exec_vector, 0, 0, 0};

/* NULL: not emulated. */
static const struct exec_op *exec_find(const struct v3_insn *insn)
{
	if (insn->enc == V3_ENC_LEGACY) {
		if (insn->map == V3_MAP_ONE)
			return &exec_one[insn->opcode];
		if (insn->map == V3_MAP_0F)
			return &exec_0f[insn->opcode];
		if (insn->map == V3_MAP_0F38 && insn->opcode >= 0xf0 && insn->opcode <= 0xf1)
			return &exec_movbe;
		if (insn->map == V3_MAP_0F38 && insn->opcode == 0x82)
			return &exec_invpcid;
		return insn->map == V3_MAP_0F38 ? &exec_vector : NULL;
	}
	return insn->enc == V3_ENC_VEX ? &exec_vector : NULL;
}

/* LOCK; ARPL shares its opcode with MOVSXD. */
static int exec_check(const struct v3_insn *insn, const struct exec_op *op)
{
	bool mem = insn->flags & V3_INSN_MEM;

	if ((insn->prefix & V3_PFX_LOCK) && !(mem && (op->lock >> (insn->reg & 7) & 1)))
		return V3_EINVAL;
	if (insn->map == V3_MAP_ONE && insn->opcode == 0x63 && insn->bits != 64)
		return V3_ENOTSUP;
	return V3_OK;
}

/* 88..8B with a memory operand and whole registers: nearly every access to a device is one. */
static inline bool exec_is_plain_mov(const struct v3_insn *insn)
{
	return (insn->opcode & 0xfc) == 0x88 && insn->map == V3_MAP_ONE &&
	       (insn->flags & V3_INSN_MEM) && !(insn->prefix & V3_PFX_LOCK) &&
	       !exec_high_byte(insn, insn->reg, insn->opcode & 1 ? 4 : 1);
}

/* The same as v3_exec_mov_load() and v3_exec_mov_store(), in half the time. */
static int exec_plain_mov(struct v3_emul *emul, const struct v3_insn *insn)
{
	const struct v3_emul_ops *ops = emul->ops;
	struct v3_regs *regs = emul->regs;
	bool load = insn->opcode & 2;
	unsigned size = insn->opcode & 1 ? insn->opnd_size : 1;
	uint64_t *reg = &regs->gpr[insn->reg & 15], value = 0;
	v3_gva_t linear;
	int ret, leave;

	leave = ops->linear(emul->priv, (enum v3_seg_num)insn->seg, v3_insn_offset(insn, regs),
			    size, load ? V3_ACC_READ : V3_ACC_WRITE, &linear);
	if (leave < 0)
		return leave;
	if (load)
		ret = ops->read(emul->priv, linear, &value, size, V3_ACC_READ);
	else
		ret = ops->write(emul->priv, linear, reg, size);
	if (ret < 0)
		return ret;
	if (load)
		*reg = size >= 4 ? value : (*reg & ~alu_mask(size)) | value;
	regs->rip = exec_next_rip(insn, regs->rip);
	regs->rflags &= ~V3_RFLAGS_RF;
	emul->retired = true;
	return ret | leave;
}

int v3_emulate(struct v3_emul *emul, const struct v3_insn *insn)
{
	struct v3_regs *regs = emul->regs;
	const struct exec_op *op;
	struct exec x;
	int ret;

	emul->retired = false;
	if (V3_LIKELY(exec_is_plain_mov(insn)))
		return exec_plain_mov(emul, insn);
	op = exec_find(insn);
	if (!op || !op->fn)
		return V3_ENOTSUP;
	ret = exec_check(insn, op);
	if (ret)
		return ret;
	x = (struct exec){
		.emul = emul,
		.insn = insn,
		.regs = regs,
		.kind = op->kind,
		.size = op->byte && !(insn->opcode & 1) ? 1 : insn->opnd_size,
		.rflags = regs->rflags,
		.rip = exec_next_rip(insn, regs->rip),
	};
	ret = op->fn(&x);
	if (ret < 0)
		return ret;
	if (ret != EXEC_AGAIN) {
		regs->rflags = x.rflags & ~V3_RFLAGS_RF;
		regs->rip = x.rip;
		emul->retired = true;
	}
	return x.leave;
}
