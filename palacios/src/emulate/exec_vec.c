/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exec_vec.c
 * SSE and AVX moves between memory and vector registers. Called by exec.c. The registers themselves
 * belong to the owner of the executor: this file is built without SIMD and only moves bytes.
 * Source: AMD APM vol. 4 ch. 2, Intel SDM vol. 2 (VEX forms: bits above the destination become 0).
 */
#include "emulate/exec.h"

/* Shapes of a move. */
enum vec_move {
	VEC_LOAD,     /* whole register <- memory */
	VEC_STORE,    /* memory <- whole register */
	VEC_LOAD_LOW, /* low bytes <- memory, the rest of the 16 becomes 0 */
	VEC_STORE_LOW,
	VEC_MERGE_LOW,	/* low half <- memory, high half from the register (VEX: from vvvv) */
	VEC_MERGE_HIGH, /* high half likewise */
	VEC_STORE_HIGH,
	VEC_DUP_EVEN, /* MOVSLDUP, MOVSHDUP, MOVDDUP: elements in pairs */
	VEC_DUP_ODD,
	VEC_DUP_LOW
};

#define VEC_FULL	0    /* bytes: as long as the register (16 or 32) */
#define VEC_GPR		0xff /* bytes: 8 with REX.W, else 4 */
#define VEC_ALIGNED	0x01
#define VEC_ALIGNED_SSE 0x04 /* only the legacy form must be aligned */
#define VEC_NO256	0x02 /* no 256-bit form */

struct vec_op {
	uint8_t map, opcode, pp; /* pp: as v3_insn.pp */
	uint8_t move, bytes, flags;
};

static const struct vec_op vec_ops[] = {
	/* MOVUPS, MOVUPD, MOVSS, MOVSD */
	{V3_MAP_0F, 0x10, 0, VEC_LOAD, VEC_FULL, 0},
	{V3_MAP_0F, 0x10, 1, VEC_LOAD, VEC_FULL, 0},
	{V3_MAP_0F, 0x10, 2, VEC_LOAD_LOW, 4, 0},
	{V3_MAP_0F, 0x10, 3, VEC_LOAD_LOW, 8, 0},
	{V3_MAP_0F, 0x11, 0, VEC_STORE, VEC_FULL, 0},
	{V3_MAP_0F, 0x11, 1, VEC_STORE, VEC_FULL, 0},
	{V3_MAP_0F, 0x11, 2, VEC_STORE_LOW, 4, 0},
	{V3_MAP_0F, 0x11, 3, VEC_STORE_LOW, 8, 0},
	/* MOVLPS, MOVLPD, MOVSLDUP, MOVDDUP, MOVHPS, MOVHPD, MOVSHDUP */
	{V3_MAP_0F, 0x12, 0, VEC_MERGE_LOW, 8, VEC_NO256},
	{V3_MAP_0F, 0x12, 1, VEC_MERGE_LOW, 8, VEC_NO256},
	{V3_MAP_0F, 0x12, 2, VEC_DUP_EVEN, VEC_FULL, VEC_ALIGNED_SSE},
	{V3_MAP_0F, 0x12, 3, VEC_DUP_LOW, VEC_FULL, 0},
	{V3_MAP_0F, 0x13, 0, VEC_STORE_LOW, 8, VEC_NO256},
	{V3_MAP_0F, 0x13, 1, VEC_STORE_LOW, 8, VEC_NO256},
	{V3_MAP_0F, 0x16, 0, VEC_MERGE_HIGH, 8, VEC_NO256},
	{V3_MAP_0F, 0x16, 1, VEC_MERGE_HIGH, 8, VEC_NO256},
	{V3_MAP_0F, 0x16, 2, VEC_DUP_ODD, VEC_FULL, VEC_ALIGNED_SSE},
	{V3_MAP_0F, 0x17, 0, VEC_STORE_HIGH, 8, VEC_NO256},
	{V3_MAP_0F, 0x17, 1, VEC_STORE_HIGH, 8, VEC_NO256},
	/* MOVAPS, MOVAPD, MOVNTPS, MOVNTPD */
	{V3_MAP_0F, 0x28, 0, VEC_LOAD, VEC_FULL, VEC_ALIGNED},
	{V3_MAP_0F, 0x28, 1, VEC_LOAD, VEC_FULL, VEC_ALIGNED},
	{V3_MAP_0F, 0x29, 0, VEC_STORE, VEC_FULL, VEC_ALIGNED},
	{V3_MAP_0F, 0x29, 1, VEC_STORE, VEC_FULL, VEC_ALIGNED},
	{V3_MAP_0F, 0x2b, 0, VEC_STORE, VEC_FULL, VEC_ALIGNED},
	{V3_MAP_0F, 0x2b, 1, VEC_STORE, VEC_FULL, VEC_ALIGNED},
	/* MOVD, MOVQ, MOVDQA, MOVDQU, MOVNTDQ, LDDQU, MOVNTDQA */
	{V3_MAP_0F, 0x6e, 1, VEC_LOAD_LOW, VEC_GPR, VEC_NO256},
	{V3_MAP_0F, 0x6f, 1, VEC_LOAD, VEC_FULL, VEC_ALIGNED},
	{V3_MAP_0F, 0x6f, 2, VEC_LOAD, VEC_FULL, 0},
	{V3_MAP_0F, 0x7e, 1, VEC_STORE_LOW, VEC_GPR, VEC_NO256},
	{V3_MAP_0F, 0x7e, 2, VEC_LOAD_LOW, 8, VEC_NO256},
	{V3_MAP_0F, 0x7f, 1, VEC_STORE, VEC_FULL, VEC_ALIGNED},
	{V3_MAP_0F, 0x7f, 2, VEC_STORE, VEC_FULL, 0},
	{V3_MAP_0F, 0xd6, 1, VEC_STORE_LOW, 8, VEC_NO256},
	{V3_MAP_0F, 0xe7, 1, VEC_STORE, VEC_FULL, VEC_ALIGNED},
	{V3_MAP_0F, 0xf0, 3, VEC_LOAD, VEC_FULL, 0},
	{V3_MAP_0F38, 0x2a, 1, VEC_LOAD, VEC_FULL, VEC_ALIGNED},
};

static const struct vec_op *vec_find(const struct v3_insn *insn)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(vec_ops); i++) {
		const struct vec_op *op = &vec_ops[i];

		if (op->opcode == insn->opcode && op->pp == insn->pp && op->map == insn->map)
			return op;
	}
	return NULL;
}

static int vec_get(struct exec *x, unsigned n, uint8_t *reg, unsigned len)
{
	return x->emul->ops->vec_get(x->emul->priv, n, reg, len);
}

static int vec_store(struct exec *x, const struct vec_op *op, unsigned len, unsigned bytes)
{
	uint8_t reg[32];
	int err = vec_get(x, x->insn->reg, reg, len);

	return err ? err
		   : v3_exec_write(x, x->linear, reg + (op->move == VEC_STORE_HIGH ? 8 : 0), bytes);
}

/* Copy elements in pairs, within the register. */
static void vec_duplicate(uint8_t *reg, enum vec_move move, unsigned len)
{
	unsigned size = move == VEC_DUP_LOW ? 8 : 4;

	for (unsigned i = 0; i < len; i += 2 * size) {
		if (move == VEC_DUP_ODD)
			__builtin_memcpy(reg + i, reg + i + size, size);
		else
			__builtin_memcpy(reg + i + size, reg + i, size);
	}
}

static int vec_load(struct exec *x, const struct vec_op *op, unsigned len, unsigned bytes)
{
	bool vex = x->insn->enc == V3_ENC_VEX;
	uint8_t reg[32];
	unsigned at = op->move == VEC_MERGE_HIGH ? 8 : 0;
	int err = V3_OK;

	__builtin_memset(reg, 0, sizeof(reg));
	if (op->move == VEC_MERGE_LOW || op->move == VEC_MERGE_HIGH)
		err = vec_get(x, vex ? x->insn->vvvv : x->insn->reg, reg, len);
	if (!err)
		err = v3_exec_read(x, x->linear, reg + at, bytes, V3_ACC_READ);
	if (err)
		return err;
	if (op->move >= VEC_DUP_EVEN)
		vec_duplicate(reg, (enum vec_move)op->move, len);
	return x->emul->ops->vec_set(x->emul->priv, x->insn->reg, reg, len, vex);
}

static bool vec_is_store(const struct vec_op *op)
{
	return op->move == VEC_STORE || op->move == VEC_STORE_LOW || op->move == VEC_STORE_HIGH;
}

int v3_exec_vector(struct exec *x)
{
	const struct v3_insn *insn = x->insn;
	const struct vec_op *op = vec_find(insn);
	unsigned len = insn->vl ? 32 : 16, bytes;
	bool merge, aligned;
	int err;

	if (!op || !(insn->flags & V3_INSN_MEM))
		return V3_ENOTSUP;
	merge = op->move == VEC_MERGE_LOW || op->move == VEC_MERGE_HIGH;
	if (insn->enc == V3_ENC_VEX &&
	    ((insn->vvvv && !merge) || (insn->vl && (op->flags & VEC_NO256))))
		return V3_EINVAL;
	bytes = op->bytes;
	if (bytes == VEC_FULL)
		bytes = len;
	else if (bytes == VEC_GPR)
		bytes = insn->rex & V3_REX_W && insn->bits == 64 ? 8 : 4;
	if (insn->vl && (op->move == VEC_LOAD_LOW || op->move == VEC_STORE_LOW))
		len = 16; /* the scalar forms ignore VEX.L */
	if (op->move == VEC_DUP_LOW && len == 16)
		bytes = 8;
	err = v3_exec_mem(x, bytes, vec_is_store(op) ? V3_ACC_WRITE : V3_ACC_READ);
	if (err)
		return err;
	aligned = (op->flags & VEC_ALIGNED) ||
		  ((op->flags & VEC_ALIGNED_SSE) && insn->enc == V3_ENC_LEGACY);
	if (aligned && (x->linear & (bytes - 1)))
		return v3_exec_fault(x, V3_VEC_GP);
	return vec_is_store(op) ? vec_store(x, op, len, bytes) : vec_load(x, op, len, bytes);
}
