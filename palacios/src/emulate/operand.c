/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file operand.c
 * Register and memory operands of the executor: every access of its handlers to the guest goes
 * through here. Calls the ops of the owner. Source: AMD APM vol. 1 3.1.2 (partial registers), vol.
 * 2 7.3 (LOCK).
 */
#include "emulate/alu.h"
#include "emulate/exec.h"

/* How often a LOCK form tries again before the guest is entered again to let others go on. */
#define UPDATE_TRIES 16

uint64_t v3_exec_reg(const struct exec *x, unsigned n, unsigned size)
{
	if (exec_high_byte(x->insn, n, size))
		return (x->regs->gpr[n - 4] >> 8) & 0xff;
	return x->regs->gpr[n & 15] & alu_mask(size);
}

void v3_exec_set_reg(struct exec *x, unsigned n, unsigned size, uint64_t value)
{
	uint64_t *reg = &x->regs->gpr[n & 15];

	if (exec_high_byte(x->insn, n, size)) {
		reg -= 4;
		*reg = (*reg & ~0xff00ull) | (value & 0xff) << 8;
	} else if (size >= 4) {
		*reg = value & alu_mask(size);
	} else {
		*reg = (*reg & ~alu_mask(size)) | (value & alu_mask(size));
	}
}

void v3_exec_set_addr_reg(struct exec *x, unsigned n, unsigned bytes, uint64_t value)
{
	uint64_t *reg = &x->regs->gpr[n];

	*reg = bytes == 2 ? (*reg & ~0xffffull) | (value & 0xffff) : value & alu_mask(bytes);
}

static inline int exec_result(struct exec *x, int ret)
{
	if (V3_LIKELY(ret <= 0))
		return ret;
	x->leave = V3_LEAVE;
	return V3_OK;
}

int v3_exec_read(struct exec *x, v3_gva_t linear, void *buf, size_t size, unsigned access)
{
	return exec_result(x, x->emul->ops->read(x->emul->priv, linear, buf, size, access));
}

int v3_exec_write(struct exec *x, v3_gva_t linear, const void *buf, size_t size)
{
	return exec_result(x, x->emul->ops->write(x->emul->priv, linear, buf, size));
}

int v3_exec_linear(struct exec *x, unsigned seg, uint64_t offset, size_t size, unsigned access,
		   v3_gva_t *linear)
{
	return exec_result(x, x->emul->ops->linear(x->emul->priv, (enum v3_seg_num)seg, offset,
						   size, access, linear));
}

int v3_exec_mem(struct exec *x, size_t size, unsigned access)
{
	int err;

	if (x->linear_ok)
		return V3_OK;
	err = v3_exec_linear(x, x->insn->seg, v3_insn_offset(x->insn, x->regs), size, access,
			     &x->linear);
	x->linear_ok = !err;
	return err;
}

int v3_exec_load_rm(struct exec *x, unsigned size, uint64_t *value)
{
	int err;

	*value = 0;
	if (!(x->insn->flags & V3_INSN_MEM)) {
		*value = v3_exec_reg(x, x->insn->rm, size);
		return V3_OK;
	}
	err = v3_exec_mem(x, size, V3_ACC_READ);
	return err ? err : v3_exec_read(x, x->linear, value, size, V3_ACC_READ);
}

int v3_exec_store_rm(struct exec *x, unsigned size, uint64_t value)
{
	int err;

	if (!(x->insn->flags & V3_INSN_MEM)) {
		v3_exec_set_reg(x, x->insn->rm, size, value);
		return V3_OK;
	}
	err = v3_exec_mem(x, size, V3_ACC_WRITE);
	return err ? err : v3_exec_write(x, x->linear, &value, size);
}

/*
 * Store val over x->old in memory. Returns V3_OK with *swapped false if somebody else changed it
 * meanwhile; x->old is then what is there now. Device memory has no such somebody.
 */
static int update_memory(struct exec *x, uint64_t val, bool locked, bool *swapped)
{
	const struct v3_emul_ops *ops = x->emul->ops;
	int err = V3_ENOTSUP;

	*swapped = false;
	if (locked && ops->cmpxchg)
		err = exec_result(
			x, ops->cmpxchg(x->emul->priv, x->linear, &x->old, &val, x->size, swapped));
	if (err != V3_ENOTSUP)
		return err;
	*swapped = true;
	return v3_exec_write(x, x->linear, &val, x->size);
}

int v3_exec_update(struct exec *x, exec_calc calc, bool locked)
{
	bool swapped;
	int err;

	if (!(x->insn->flags & V3_INSN_MEM)) {
		x->old = v3_exec_reg(x, x->insn->rm, x->size);
		v3_exec_set_reg(x, x->insn->rm, x->size, calc(x, x->old));
		return V3_OK;
	}
	err = v3_exec_mem(x, x->size, V3_ACC_READ | V3_ACC_WRITE);
	if (err)
		return err;
	x->old = 0;
	err = v3_exec_read(x, x->linear, &x->old, x->size, V3_ACC_READ | V3_ACC_WRITE);
	if (err)
		return err;
	locked |= (x->insn->prefix & V3_PFX_LOCK) != 0;
	for (unsigned i = 0; i < UPDATE_TRIES; i++) {
		x->rflags = x->regs->rflags;
		err = update_memory(x, calc(x, x->old), locked, &swapped);
		if (err || swapped)
			return err;
	}
	return EXEC_AGAIN;
}

int v3_exec_fault(struct exec *x, enum v3_vector vector)
{
	x->emul->ops->fault(x->emul->priv, vector);
	return V3_EFAULT;
}
