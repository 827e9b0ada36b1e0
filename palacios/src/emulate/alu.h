/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file alu.h
 * Integer arithmetic with exact flags, on values of 1, 2, 4 or 8 bytes. Private to emulate/.
 *
 * Every function takes values that fit @p size and returns one that does. @p flags: RFLAGS, read
 * where the operation does (CF) and changed where it does; flags the manual leaves undefined get
 * some value.
 */
#ifndef EMULATE_ALU_H
#define EMULATE_ALU_H

#include "palacios/types.h"

/* Numbers as in bits 5..3 of the opcodes 00..3F and in ModRM.reg of 80..83. */
enum alu_op { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
/* Numbers as in ModRM.reg of C0, C1, D0..D3. */
enum alu_shift {
	SHIFT_ROL,
	SHIFT_ROR,
	SHIFT_RCL,
	SHIFT_RCR,
	SHIFT_SHL,
	SHIFT_SHR,
	SHIFT_SAL,
	SHIFT_SAR
};

/** All ones in @p size bytes. */
static inline uint64_t alu_mask(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

/** Sign-extend @p size bytes to 64 bits. */
static inline int64_t alu_signed(uint64_t value, unsigned size)
{
	unsigned shift = 64 - 8 * size;

	return (int64_t)(value << shift) >> shift;
}

/** ADD ... CMP; CMP returns what SUB does. */
uint64_t v3_alu_binary(enum alu_op op, unsigned size, uint64_t a, uint64_t b, uint64_t *flags);
/** INC or DEC: all arithmetic flags but CF. */
uint64_t v3_alu_step(unsigned size, uint64_t a, bool dec, uint64_t *flags);
/** Shift or rotate by a count that is not masked yet. */
uint64_t v3_alu_shift(enum alu_shift op, unsigned size, uint64_t a, unsigned count,
		      uint64_t *flags);
/** SHLD (or SHRD if @p right): shift @p a, filling from @p fill; count not masked yet. */
uint64_t v3_alu_shift_double(unsigned size, uint64_t a, uint64_t fill, unsigned count, bool right,
			     uint64_t *flags);
/** MUL or IMUL: low half returned, high half in *high; CF = OF = it does not fit the low half. */
uint64_t v3_alu_multiply(unsigned size, uint64_t a, uint64_t b, bool is_signed, uint64_t *high,
			 uint64_t *flags);
/** DIV or IDIV of high:low by @p by. @return false for #DE, nothing is set then. */
bool v3_alu_divide(unsigned size, uint64_t high, uint64_t low, uint64_t by, bool is_signed,
		   uint64_t *quotient, uint64_t *remainder);
/** ZF, SF and PF of a result; the others as they are. */
void v3_alu_set_zsp(unsigned size, uint64_t result, uint64_t *flags);
/** Condition code 0..15 of Jcc, SETcc, CMOVcc. */
bool v3_alu_condition(unsigned cc, uint64_t flags);

#endif
