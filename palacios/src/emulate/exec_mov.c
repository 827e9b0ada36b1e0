/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exec_mov.c
 * Handlers of moves between registers, memory, immediates and ports. Called by exec.c.
 * Source: AMD APM vol. 3 ch. 3.
 */
#include "emulate/alu.h"
#include "emulate/exec.h"

/* 88, 89 */
int v3_exec_mov_store(struct exec *x)
{
	return v3_exec_store_rm(x, x->size, v3_exec_reg(x, x->insn->reg, x->size));
}

/* 0F C3: has no 16-bit form, in any mode. */
int v3_exec_movnti(struct exec *x)
{
	if (!(x->insn->flags & V3_INSN_MEM))
		return V3_EINVAL;
	x->size = x->size == 8 ? 8 : 4;
	return v3_exec_mov_store(x);
}

/* 8A, 8B */
int v3_exec_mov_load(struct exec *x)
{
	uint64_t value;
	int err = v3_exec_load_rm(x, x->size, &value);

	if (!err)
		v3_exec_set_reg(x, x->insn->reg, x->size, value);
	return err;
}

/*
 * 8C (store), 8E (load; kind 1). In memory a selector has 16 bits whatever the operand size. REX.R does not
 * extend the number of a segment register (vol. 3 1.2.7).
 */
int v3_exec_mov_seg(struct exec *x)
{
	const struct v3_emul *emul = x->emul;
	enum v3_seg_num seg = (enum v3_seg_num)(x->insn->reg & 7);
	uint64_t sel;
	int err;

	if (seg > V3_GS || (x->kind && seg == V3_CS))
		return V3_EINVAL;
	if (!x->kind)
		return v3_exec_store_rm(x, x->insn->flags & V3_INSN_MEM ? 2 : x->size,
					emul->ops->get_sel(emul->priv, seg));
	err = v3_exec_load_rm(x, 2, &sel);
	return err ? err : emul->ops->load_seg(emul->priv, seg, (uint16_t)sel);
}

/* A0..A3: the address is the immediate. */
int v3_exec_mov_moffs(struct exec *x)
{
	bool store = x->insn->opcode & 2;
	uint64_t value = v3_exec_reg(x, V3_RAX, x->size);
	v3_gva_t linear;
	int err;

	err = v3_exec_linear(x, x->insn->seg, x->insn->imm, x->size,
			     store ? V3_ACC_WRITE : V3_ACC_READ, &linear);
	if (err)
		return err;
	if (store)
		return v3_exec_write(x, linear, &value, x->size);
	value = 0;
	err = v3_exec_read(x, linear, &value, x->size, V3_ACC_READ);
	if (!err)
		v3_exec_set_reg(x, V3_RAX, x->size, value);
	return err;
}

/* C6, C7 */
int v3_exec_mov_imm(struct exec *x)
{
	if (x->insn->reg & 7)
		return V3_EINVAL;
	return v3_exec_store_rm(x, x->size, x->insn->imm & alu_mask(x->size));
}

/* B0..BF */
int v3_exec_mov_reg_imm(struct exec *x)
{
	v3_exec_set_reg(x, x->insn->rm, x->insn->opcode < 0xb8 ? 1 : x->size, x->insn->imm);
	return V3_OK;
}

/* 0F B6, B7 (zero), BE, BF, 63 (sign); kind: bytes of the source, 0x80 for sign */
int v3_exec_extend(struct exec *x)
{
	unsigned from = x->kind & 0x7f;
	uint64_t value;
	int err;

	if (from > x->size)
		from = x->size;
	err = v3_exec_load_rm(x, from, &value);
	if (err)
		return err;
	if (x->kind & 0x80)
		value = (uint64_t)alu_signed(value, from);
	v3_exec_set_reg(x, x->insn->reg, x->size, value);
	return V3_OK;
}

static uint64_t byte_swap(uint64_t value, unsigned size)
{
	return __builtin_bswap64(value) >> (64 - 8 * size);
}

/* 0F 38 F0 (load), F1 (store) */
int v3_exec_movbe(struct exec *x)
{
	uint64_t value;
	int err;

	if (x->insn->prefix & V3_PFX_REPNE) /* CRC32 */
		return V3_ENOTSUP;
	if (!(x->insn->flags & V3_INSN_MEM))
		return V3_EINVAL;
	if (x->insn->opcode & 1)
		return v3_exec_store_rm(x, x->size,
					byte_swap(v3_exec_reg(x, x->insn->reg, x->size), x->size));
	err = v3_exec_load_rm(x, x->size, &value);
	if (!err)
		v3_exec_set_reg(x, x->insn->reg, x->size, byte_swap(value, x->size));
	return err;
}

/* 0F 90..9F */
int v3_exec_setcc(struct exec *x)
{
	return v3_exec_store_rm(x, 1, v3_alu_condition(x->insn->opcode & 15, x->rflags));
}

/* 0F 40..4F: the source is read, and a 32-bit destination extended, whatever the condition. */
int v3_exec_cmov(struct exec *x)
{
	uint64_t value;
	int err = v3_exec_load_rm(x, x->size, &value);

	if (err)
		return err;
	if (!v3_alu_condition(x->insn->opcode & 15, x->rflags))
		value = v3_exec_reg(x, x->insn->reg, x->size);
	v3_exec_set_reg(x, x->insn->reg, x->size, value);
	return V3_OK;
}

/* D7 */
int v3_exec_xlat(struct exec *x)
{
	uint64_t offset = x->regs->gpr[V3_RBX] + v3_exec_reg(x, V3_RAX, 1);
	v3_gva_t linear;
	uint8_t value;
	int err;

	err = v3_exec_linear(x, x->insn->seg, offset & alu_mask(x->insn->addr_size), 1, V3_ACC_READ,
			     &linear);
	if (!err)
		err = v3_exec_read(x, linear, &value, 1, V3_ACC_READ);
	if (!err)
		v3_exec_set_reg(x, V3_RAX, 1, value);
	return err;
}

/*
 * Prefetches, hint NOPs and cache line flushes; kind: 1 for 0F AE, where only /6 and /7 are those.
 */
int v3_exec_nop(struct exec *x)
{
	if (!(x->insn->flags & V3_INSN_MEM))
		return x->kind ? V3_ENOTSUP : V3_OK;
	if (x->kind && (x->insn->reg & 7) != 7 && !((x->insn->reg & 7) == 6 && x->insn->pp == 1))
		return V3_ENOTSUP;
	return V3_OK;
}

/* E4, E5, EC, ED, E6, E7, EE, EF: port number and width, with the guest's right to it checked */
static int port_operand(struct exec *x, uint16_t *port, unsigned *size)
{
	*port = x->insn->opcode & 8 ? (uint16_t)x->regs->gpr[V3_RDX] : (uint8_t)x->insn->imm;
	*size = x->size > 4 ? 4 : x->size;
	return x->emul->ops->io_check(x->emul->priv, *port, *size);
}

static int port_result(struct exec *x, int ret)
{
	if (ret <= 0)
		return ret;
	x->leave = V3_LEAVE;
	return V3_OK;
}

int v3_exec_in(struct exec *x)
{
	uint32_t value = 0;
	uint16_t port;
	unsigned size;
	int err = port_result(x, port_operand(x, &port, &size));

	if (!err)
		err = port_result(x, x->emul->ops->io_in(x->emul->priv, port, size, &value));
	if (!err)
		v3_exec_set_reg(x, V3_RAX, size, value);
	return err;
}

int v3_exec_out(struct exec *x)
{
	uint16_t port;
	unsigned size;
	int err = port_result(x, port_operand(x, &port, &size));

	if (err)
		return err;
	return port_result(x, x->emul->ops->io_out(x->emul->priv, port, size,
						   (uint32_t)v3_exec_reg(x, V3_RAX, size)));
}
