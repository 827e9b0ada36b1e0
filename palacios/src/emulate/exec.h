/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exec.h
 * What the files of the executor share: its state, its operands, its handlers. Private to emulate/.
 */
#ifndef EMULATE_EXEC_H
#define EMULATE_EXEC_H

#include "palacios/decode.h"
#include "palacios/error.h"
#include "palacios/mem.h"

/*
 * Result of a handler beside those of v3_emulate(): done for now, but RIP stays on the instruction.
 */
#define EXEC_AGAIN 2

/*
 * One execution. Handlers change rflags and rip here; they are committed when the handler returns
 * V3_OK.
 */
struct exec {
	struct v3_emul *emul;
	const struct v3_insn *insn;
	struct v3_regs *regs;
	unsigned kind;	 /* the dispatch table's argument */
	unsigned size;	 /* bytes of the operands: 1, 2, 4, 8 */
	int leave;	 /* V3_LEAVE once an op asked for it */
	bool linear_ok;	 /* linear is set */
	v3_gva_t linear; /* of the ModRM memory operand */
	uint64_t src;	 /* second operand, for exec_update() */
	uint64_t old;	 /* destination before exec_update() */
	uint64_t rflags; /* to be committed */
	uint64_t rip;	 /* to be committed; set to the next instruction */
};

typedef int (*exec_fn)(struct exec *x);
/*
 * The new value of a destination, from the old one; may change x->rflags. Called again if a LOCK
 * race is lost.
 */
typedef uint64_t (*exec_calc)(struct exec *x, uint64_t old);

/* How an instruction is executed: entry of the dispatch tables. */
struct exec_op {
	exec_fn fn;   /* NULL: not emulated */
	uint8_t kind; /* handler's own */
	uint8_t byte; /* true: byte operands when bit 0 of the opcode is clear */
	uint8_t lock; /* bit ModRM.reg set: LOCK is legal with a memory destination */
};

/* Byte registers 4..7 without REX are AH..BH: where bits 8..15 of register n - 4 are meant. */
static inline bool exec_high_byte(const struct v3_insn *insn, unsigned n, unsigned size)
{
	return size == 1 && n >= 4 && n < 8 && !(insn->rex & V3_REX_ANY);
}

/* RIP of the next instruction. */
static inline uint64_t exec_next_rip(const struct v3_insn *insn, uint64_t rip)
{
	rip += insn->length;
	if (V3_LIKELY(insn->bits == 64))
		return rip;
	return insn->bits == 32 ? (uint32_t)rip : (uint16_t)rip;
}

/* Operands. All return V3_OK or a negative result of an op; V3_LEAVE is remembered in x->leave. */

/** General register of @p size bytes; byte registers 4..7 without REX are AH..BH. */
uint64_t v3_exec_reg(const struct exec *x, unsigned n, unsigned size);
/** Write it; 4 bytes clear the upper half. */
void v3_exec_set_reg(struct exec *x, unsigned n, unsigned size, uint64_t value);
/** Low bytes of a register used as address or count: @p bytes 2, 4 or 8. */
void v3_exec_set_addr_reg(struct exec *x, unsigned n, unsigned bytes, uint64_t value);
/** Memory at a linear address; sizes as v3_emul_ops. */
int v3_exec_read(struct exec *x, v3_gva_t linear, void *buf, size_t size, unsigned access);
int v3_exec_write(struct exec *x, v3_gva_t linear, const void *buf, size_t size);
/** Linear address of an access to a segment. */
int v3_exec_linear(struct exec *x, unsigned seg, uint64_t offset, size_t size, unsigned access,
		   v3_gva_t *linear);
/** Linear address of the ModRM memory operand into x->linear. */
int v3_exec_mem(struct exec *x, size_t size, unsigned access);
/** Value of the ModRM.rm operand, register or memory. */
int v3_exec_load_rm(struct exec *x, unsigned size, uint64_t *value);
/** Set it; memory is written without having been read. */
int v3_exec_store_rm(struct exec *x, unsigned size, uint64_t value);
/**
 * Read, compute, write the ModRM.rm operand of x->size bytes, atomically with LOCK (or if @p
 * locked). x->old is its value before. @return also EXEC_AGAIN: lost too many races, nothing was
 * done.
 */
int v3_exec_update(struct exec *x, exec_calc calc, bool locked);
/** Queue #GP(0) or #DE. @return V3_EFAULT. */
int v3_exec_fault(struct exec *x, enum v3_vector vector);

/* Handlers, by file. */
int v3_exec_string(struct exec *x); /* exec_string.c; kind: enum exec_string */
int v3_exec_vector(struct exec *x); /* exec_vec.c */
int v3_exec_push(struct exec *x);   /* exec_stack.c ... */
int v3_exec_pop(struct exec *x);
int v3_exec_push_seg(struct exec *x); /* kind: enum v3_seg_num */
int v3_exec_pop_seg(struct exec *x);
int v3_exec_pusha(struct exec *x);
int v3_exec_popa(struct exec *x);
int v3_exec_pushf(struct exec *x);
int v3_exec_enter(struct exec *x);
int v3_exec_leave(struct exec *x);
int v3_exec_call(struct exec *x);
int v3_exec_jump(struct exec *x);
int v3_exec_ret(struct exec *x);
int v3_exec_group5(struct exec *x);
int v3_exec_alu(struct exec *x); /* exec_int.c ... */
int v3_exec_alu_imm(struct exec *x);
int v3_exec_test(struct exec *x);
int v3_exec_group3(struct exec *x);
int v3_exec_step(struct exec *x);
int v3_exec_step_reg(struct exec *x);
int v3_exec_shift(struct exec *x);
int v3_exec_shift_double(struct exec *x);
int v3_exec_imul(struct exec *x);
int v3_exec_bit(struct exec *x);
int v3_exec_bit_imm(struct exec *x);
int v3_exec_scan(struct exec *x);
int v3_exec_popcnt(struct exec *x);
int v3_exec_xadd(struct exec *x);
int v3_exec_xchg(struct exec *x);
int v3_exec_cmpxchg(struct exec *x);
int v3_exec_cmpxchg_wide(struct exec *x);
int v3_exec_mov_store(struct exec *x); /* exec_mov.c ... */
int v3_exec_movnti(struct exec *x);
int v3_exec_mov_load(struct exec *x);
int v3_exec_mov_seg(struct exec *x);
int v3_exec_mov_moffs(struct exec *x);
int v3_exec_mov_imm(struct exec *x);
int v3_exec_mov_reg_imm(struct exec *x);
int v3_exec_extend(struct exec *x);
int v3_exec_movbe(struct exec *x);
int v3_exec_setcc(struct exec *x);
int v3_exec_cmov(struct exec *x);
int v3_exec_xlat(struct exec *x);
int v3_exec_nop(struct exec *x);
int v3_exec_in(struct exec *x);
int v3_exec_out(struct exec *x);
int v3_exec_group6(struct exec *x); /* exec_sys.c ... */
int v3_exec_group7(struct exec *x);
int v3_exec_group9(struct exec *x);
int v3_exec_invpcid(struct exec *x);

enum exec_string {
	STRING_MOVS,
	STRING_STOS,
	STRING_LODS,
	STRING_CMPS,
	STRING_SCAS,
	STRING_INS,
	STRING_OUTS
};

#endif
