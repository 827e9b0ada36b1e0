/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exec_stack.c
 * Handlers of stack operations, near calls, jumps and returns. Called by exec.c. Source: AMD APM
 * vol. 3 ch. 3, vol. 1 3.7.3. Registers change only after the last access that can fault.
 */
#include "emulate/alu.h"
#include "emulate/exec.h"

static uint64_t stack_mask(const struct exec *x)
{
	return alu_mask(x->emul->stack_bits / 8);
}

static void stack_set(struct exec *x, uint64_t rsp)
{
	v3_exec_set_addr_reg(x, V3_RSP, x->emul->stack_bits / 8, rsp);
}

/* Write size bytes below the stack pointer; *rsp is its value after that, not yet committed. */
static int stack_write(struct exec *x, const void *buf, unsigned size, uint64_t *rsp)
{
	v3_gva_t linear;
	int err;

	*rsp = (x->regs->gpr[V3_RSP] - size) & stack_mask(x);
	err = v3_exec_linear(x, V3_SS, *rsp, size, V3_ACC_WRITE, &linear);
	return err ? err : v3_exec_write(x, linear, buf, size);
}

static int stack_push(struct exec *x, uint64_t value, unsigned size)
{
	uint64_t rsp;
	int err = stack_write(x, &value, size, &rsp);

	if (!err)
		stack_set(x, rsp);
	return err;
}

static int stack_read(struct exec *x, uint64_t rsp, void *buf, unsigned size)
{
	v3_gva_t linear;
	int err = v3_exec_linear(x, V3_SS, rsp & stack_mask(x), size, V3_ACC_READ, &linear);

	return err ? err : v3_exec_read(x, linear, buf, size, V3_ACC_READ);
}

/* 50..57, 68, 6A; FF /6 */
int v3_exec_push(struct exec *x)
{
	uint64_t value;
	int err = V3_OK;

	if (x->insn->flags & V3_INSN_MODRM)
		err = v3_exec_load_rm(x, x->size, &value);
	else if (x->insn->imm_size)
		value = x->insn->imm;
	else
		value = v3_exec_reg(x, x->insn->rm, x->size);
	return err ? err : stack_push(x, value, x->size);
}

/* 58..5F; 8F /0, whose address is computed with the new stack pointer */
int v3_exec_pop(struct exec *x)
{
	uint64_t value = 0, rsp = x->regs->gpr[V3_RSP];
	int err;

	if ((x->insn->flags & V3_INSN_MODRM) && (x->insn->reg & 7))
		return V3_EINVAL;
	err = stack_read(x, rsp, &value, x->size);
	if (err)
		return err;
	stack_set(x, rsp + x->size);
	if (!(x->insn->flags & V3_INSN_MODRM)) {
		v3_exec_set_reg(x, x->insn->rm, x->size, value);
		return V3_OK;
	}
	err = v3_exec_store_rm(x, x->size, value);
	if (err)
		x->regs->gpr[V3_RSP] = rsp;
	return err;
}

/* 06, 0E, 16, 1E, 0F A0, 0F A8 */
int v3_exec_push_seg(struct exec *x)
{
	const struct v3_emul *emul = x->emul;

	return stack_push(x, emul->ops->get_sel(emul->priv, (enum v3_seg_num)x->kind), x->size);
}

/* 07, 17, 1F, 0F A1, 0F A9; POP SS moves the stack pointer of the old segment's width */
int v3_exec_pop_seg(struct exec *x)
{
	const struct v3_emul *emul = x->emul;
	uint64_t value = 0, rsp = x->regs->gpr[V3_RSP];
	int err = stack_read(x, rsp, &value, x->size);

	if (!err)
		err = emul->ops->load_seg(emul->priv, (enum v3_seg_num)x->kind, (uint16_t)value);
	if (!err)
		stack_set(x, rsp + x->size);
	return err;
}

/* 60: AX, CX, DX, BX, SP, BP, SI, DI downwards, in one access so that it faults as a whole */
int v3_exec_pusha(struct exec *x)
{
	unsigned size = x->size;
	uint8_t frame[32];
	uint64_t rsp;
	int err;

	for (unsigned n = 0; n < 8; n++)
		__builtin_memcpy(frame + (7 - n) * size, &x->regs->gpr[n], size == 2 ? 2 : 4);
	err = stack_write(x, frame, 8 * size, &rsp);
	if (!err)
		stack_set(x, rsp);
	return err;
}

/* 61: SP itself is skipped */
int v3_exec_popa(struct exec *x)
{
	unsigned size = x->size;
	uint64_t rsp = x->regs->gpr[V3_RSP], value;
	uint8_t frame[32];
	int err;

	err = stack_read(x, rsp, frame, 8 * size);
	if (err)
		return err;
	for (unsigned n = 0; n < 8; n++) {
		if (n == V3_RSP)
			continue;
		value = 0;
		__builtin_memcpy(&value, frame + (7 - n) * size, size == 2 ? 2 : 4);
		v3_exec_set_reg(x, n, size, value);
	}
	stack_set(x, rsp + 8 * size);
	return V3_OK;
}

/* 9C; the copy has RF and VM clear. VM86 needs the IOPL: not here. */
int v3_exec_pushf(struct exec *x)
{
	if (x->regs->rflags & V3_RFLAGS_VM)
		return V3_ENOTSUP;
	return stack_push(x, x->regs->rflags & ~(V3_RFLAGS_RF | V3_RFLAGS_VM), x->size);
}

/* C8, for the usual nesting level 0 */
int v3_exec_enter(struct exec *x)
{
	uint64_t rbp = x->regs->gpr[V3_RBP], rsp;
	int err;

	if (x->insn->imm2 & 31)
		return V3_ENOTSUP;
	err = stack_write(x, &rbp, x->size, &rsp);
	if (err)
		return err;
	v3_exec_set_reg(x, V3_RBP, x->size, rsp);
	stack_set(x, rsp - x->insn->imm);
	return V3_OK;
}

/* C9 */
int v3_exec_leave(struct exec *x)
{
	uint64_t rbp = x->regs->gpr[V3_RBP], value = 0;
	int err = stack_read(x, rbp, &value, x->size);

	if (err)
		return err;
	stack_set(x, rbp + x->size);
	v3_exec_set_reg(x, V3_RBP, x->size, value);
	return V3_OK;
}

/* Set the new RIP; the operand size cuts it (APM vol. 3, CALL and JMP near). */
static int branch_to(struct exec *x, uint64_t target)
{
	target &= alu_mask(x->size);
	if (x->size == 8 && (int64_t)(target << 16) >> 16 != (int64_t)target)
		return v3_exec_fault(x, V3_VEC_GP);
	x->rip = target;
	return V3_OK;
}

static int call_to(struct exec *x, uint64_t target)
{
	uint64_t back = x->rip;
	int err = branch_to(x, target);

	return err ? err : stack_push(x, back, x->size);
}

/* E8 */
int v3_exec_call(struct exec *x)
{
	return call_to(x, x->rip + x->insn->imm);
}

/* E9, EB */
int v3_exec_jump(struct exec *x)
{
	return branch_to(x, x->rip + x->insn->imm);
}

/* C2, C3 */
int v3_exec_ret(struct exec *x)
{
	uint64_t rsp = x->regs->gpr[V3_RSP], target = 0;
	int err = stack_read(x, rsp, &target, x->size);

	if (!err)
		err = branch_to(x, target);
	if (!err)
		stack_set(x, rsp + x->size + (x->insn->imm & 0xffff));
	return err;
}

/* FF */
int v3_exec_group5(struct exec *x)
{
	uint64_t target;
	int err;

	switch (x->insn->reg & 7) {
	case 0:
	case 1:
		return v3_exec_step(x);
	case 2:
	case 4:
		err = v3_exec_load_rm(x, x->size, &target);
		if (err)
			return err;
		return (x->insn->reg & 7) == 2 ? call_to(x, target) : branch_to(x, target);
	case 6:
		return v3_exec_push(x);
	case 7:
		return V3_EINVAL;
	}
	return V3_ENOTSUP; /* far CALL and JMP */
}
