/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file alu.c
 * Integer arithmetic and its flags. Pure functions, called by the executor's handlers.
 * Source: AMD APM vol. 3 ch. 3 (each instruction's flags), vol. 1 3.1.4.
 */
#include "palacios/regs.h"
#include "emulate/alu.h"

#define FLAGS_ZSP   (V3_RFLAGS_ZF | V3_RFLAGS_SF | V3_RFLAGS_PF)
#define FLAGS_ARITH (FLAGS_ZSP | V3_RFLAGS_CF | V3_RFLAGS_AF | V3_RFLAGS_OF)

static inline uint64_t flag_if(bool cond, uint64_t flag)
{
	return cond ? flag : 0;
}

/* Top bit of a value of size bytes. */
static inline bool alu_top(uint64_t value, unsigned size)
{
	return (value >> (8 * size - 1)) & 1;
}

static inline void alu_set_co(bool cf, bool of, uint64_t *flags)
{
	*flags &= ~(V3_RFLAGS_CF | V3_RFLAGS_OF);
	*flags |= flag_if(cf, V3_RFLAGS_CF) | flag_if(of, V3_RFLAGS_OF);
}

static uint64_t alu_zsp(unsigned size, uint64_t result)
{
	/* Bit n of the constant is the even parity of the number n. */
	bool even = (0x9669u >> ((result ^ (result >> 4)) & 15)) & 1;

	return flag_if(!result, V3_RFLAGS_ZF) | flag_if(alu_top(result, size), V3_RFLAGS_SF) |
	       flag_if(even, V3_RFLAGS_PF);
}

void v3_alu_set_zsp(unsigned size, uint64_t result, uint64_t *flags)
{
	*flags = (*flags & ~FLAGS_ZSP) | alu_zsp(size, result);
}

/* carry: the vector of carries (or borrows) out of each bit. */
static uint64_t alu_arith(unsigned size, uint64_t result, uint64_t carry, bool overflow,
			  uint64_t *flags)
{
	*flags &= ~FLAGS_ARITH;
	*flags |= alu_zsp(size, result) | flag_if(alu_top(carry, size), V3_RFLAGS_CF) |
		  flag_if(carry & 8, V3_RFLAGS_AF) | flag_if(overflow, V3_RFLAGS_OF);
	return result;
}

static uint64_t alu_add(unsigned size, uint64_t a, uint64_t b, bool carry_in, uint64_t *flags)
{
	uint64_t r = (a + b + carry_in) & alu_mask(size), carry = (a & b) | ((a | b) & ~r);

	return alu_arith(size, r, carry, alu_top((a ^ r) & (b ^ r), size), flags);
}

static uint64_t alu_sub(unsigned size, uint64_t a, uint64_t b, bool borrow_in, uint64_t *flags)
{
	uint64_t r = (a - b - borrow_in) & alu_mask(size), borrow = (~a & b) | ((~a | b) & r);

	return alu_arith(size, r, borrow, alu_top((a ^ b) & (a ^ r), size), flags);
}

uint64_t v3_alu_binary(enum alu_op op, unsigned size, uint64_t a, uint64_t b, uint64_t *flags)
{
	bool carry = *flags & V3_RFLAGS_CF;

	switch (op) {
	case ALU_ADD:
	case ALU_ADC:
		return alu_add(size, a, b, op == ALU_ADC && carry, flags);
	case ALU_SUB:
	case ALU_SBB:
	case ALU_CMP:
		return alu_sub(size, a, b, op == ALU_SBB && carry, flags);
	case ALU_AND:
		return alu_arith(size, a & b, 0, false, flags);
	case ALU_OR:
		return alu_arith(size, a | b, 0, false, flags);
	case ALU_XOR:
		return alu_arith(size, a ^ b, 0, false, flags);
	}
	return a;
}

uint64_t v3_alu_step(unsigned size, uint64_t a, bool dec, uint64_t *flags)
{
	uint64_t carry = *flags & V3_RFLAGS_CF, r;

	r = dec ? alu_sub(size, a, 1, false, flags) : alu_add(size, a, 1, false, flags);
	*flags = (*flags & ~V3_RFLAGS_CF) | carry;
	return r;
}

/* ROL and ROR: CF is the bit that came round last. */
static uint64_t alu_rotate(unsigned size, uint64_t a, unsigned count, bool right, uint64_t *flags)
{
	unsigned bits = 8 * size, left = (right ? bits - count % bits : count) % bits;
	uint64_t r = left ? ((a << left) | (a >> (bits - left))) & alu_mask(size) : a;

	if (right)
		alu_set_co(alu_top(r, size), alu_top(r ^ (r << 1), size), flags);
	else
		alu_set_co(r & 1, alu_top(r, size) ^ (r & 1), flags);
	return r;
}

/* RCL and RCR: one bit at a time through CF; at most 63 steps. */
static uint64_t alu_rotate_carry(unsigned size, uint64_t a, unsigned count, bool right,
				 uint64_t *flags)
{
	bool carry = *flags & V3_RFLAGS_CF, out, overflow;
	unsigned top = 8 * size - 1;

	for (unsigned n = count % (8 * size + 1); n; n--) {
		if (right) {
			out = a & 1;
			a = (a >> 1) | ((uint64_t)carry << top);
		} else {
			out = (a >> top) & 1;
			a = ((a << 1) | carry) & alu_mask(size);
		}
		carry = out;
	}
	overflow = right ? alu_top(a ^ (a << 1), size) : alu_top(a, size) ^ carry;
	alu_set_co(carry, overflow, flags);
	return a;
}

uint64_t v3_alu_shift(enum alu_shift op, unsigned size, uint64_t a, unsigned count, uint64_t *flags)
{
	uint64_t r = 0;
	int64_t s;
	bool cf, of = false;

	count &= size == 8 ? 63 : 31;
	if (!count)
		return a;
	switch (op) {
	case SHIFT_ROL:
	case SHIFT_ROR:
		return alu_rotate(size, a, count, op == SHIFT_ROR, flags);
	case SHIFT_RCL:
	case SHIFT_RCR:
		return alu_rotate_carry(size, a, count, op == SHIFT_RCR, flags);
	case SHIFT_SHR:
		r = a >> count;
		cf = (a >> (count - 1)) & 1;
		of = alu_top(a, size);
		break;
	case SHIFT_SAR:
		s = alu_signed(a, size);
		r = (uint64_t)(s >> count) & alu_mask(size);
		cf = (s >> (count - 1)) & 1;
		break;
	case SHIFT_SHL:
	case SHIFT_SAL:
	default:
		cf = count <= 8 * size && ((a << (count - 1)) >> (8 * size - 1)) & 1;
		r = (a << count) & alu_mask(size);
		of = alu_top(r, size) ^ cf;
		break;
	}
	v3_alu_set_zsp(size, r, flags);
	alu_set_co(cf, of, flags);
	return r;
}

uint64_t v3_alu_shift_double(unsigned size, uint64_t a, uint64_t fill, unsigned count, bool right,
			     uint64_t *flags)
{
	unsigned bits = 8 * size;
	uint64_t r;
	bool cf;

	count &= size == 8 ? 63 : 31;
	if (!count || count > bits) /* more than 16 on 16 bits: undefined, so leave it */
		return a;
	if (right) {
		cf = (a >> (count - 1)) & 1;
		r = count == bits ? fill : (a >> count) | (fill << (bits - count));
	} else {
		cf = (a >> (bits - count)) & 1;
		r = count == bits ? fill : (a << count) | (fill >> (bits - count));
	}
	r &= alu_mask(size);
	v3_alu_set_zsp(size, r, flags);
	alu_set_co(cf, alu_top(a ^ r, size), flags);
	return r;
}

uint64_t v3_alu_multiply(unsigned size, uint64_t a, uint64_t b, bool is_signed, uint64_t *high,
			 uint64_t *flags)
{
	unsigned bits = 8 * size;
	unsigned __int128 product;
	uint64_t low;
	bool wide;

	if (is_signed)
		product = (unsigned __int128)((__int128)alu_signed(a, size) * alu_signed(b, size));
	else
		product = (unsigned __int128)a * b;
	low = (uint64_t)product & alu_mask(size);
	*high = (uint64_t)(product >> bits) & alu_mask(size);
	wide = *high != (is_signed && alu_top(low, size) ? alu_mask(size) : 0);
	alu_set_co(wide, wide, flags);
	return low;
}

/* 128 by 64 bits; high < by, so that the quotient fits. C would call a library function for it. */
static uint64_t alu_divide_wide(uint64_t high, uint64_t low, uint64_t by, uint64_t *remainder)
{
	uint64_t quotient;

	__asm__("divq %4" : "=a"(quotient), "=d"(*remainder) : "0"(low), "1"(high), "r"(by) : "cc");
	return quotient;
}

static bool alu_divide_unsigned(unsigned size, uint64_t high, uint64_t low, uint64_t by,
				uint64_t *quotient, uint64_t *remainder)
{
	uint64_t value;

	if (high >= by) /* includes division by zero */
		return false;
	if (size == 8) {
		*quotient = alu_divide_wide(high, low, by, remainder);
		return true;
	}
	value = high << (8 * size) | low;
	*quotient = value / by;
	*remainder = value % by;
	return true;
}

bool v3_alu_divide(unsigned size, uint64_t high, uint64_t low, uint64_t by, bool is_signed,
		   uint64_t *quotient, uint64_t *remainder)
{
	uint64_t mask = alu_mask(size), q, r, limit;
	bool negative = is_signed && alu_top(high, size),
	     by_negative = is_signed && alu_top(by, size);

	if (negative) { /* divide magnitudes; the remainder has the dividend's sign */
		low = (0 - low) & mask;
		high = (~high + !low) & mask;
	}
	if (by_negative)
		by = (0 - by) & mask;
	if (!alu_divide_unsigned(size, high, low, by, &q, &r))
		return false;
	limit = (mask >> 1) + (negative != by_negative);
	if (is_signed && q > limit)
		return false;
	*quotient = (negative != by_negative ? 0 - q : q) & mask;
	*remainder = (negative ? 0 - r : r) & mask;
	return true;
}

bool v3_alu_condition(unsigned cc, uint64_t flags)
{
	bool zf = flags & V3_RFLAGS_ZF, less = !(flags & V3_RFLAGS_SF) != !(flags & V3_RFLAGS_OF),
	     yes;

	switch (cc >> 1) {
	case 0:
		yes = flags & V3_RFLAGS_OF;
		break;
	case 1:
		yes = flags & V3_RFLAGS_CF;
		break;
	case 2:
		yes = zf;
		break;
	case 3:
		yes = flags & (V3_RFLAGS_CF | V3_RFLAGS_ZF);
		break;
	case 4:
		yes = flags & V3_RFLAGS_SF;
		break;
	case 5:
		yes = flags & V3_RFLAGS_PF;
		break;
	case 6:
		yes = less;
		break;
	default:
		yes = less || zf;
		break;
	}
	return yes != (cc & 1);
}
