/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file exec_string.c
 * String instructions, alone and repeated, ports included. Called by exec.c. Sides of an iteration
 * that lie in plain RAM are reached through a host pointer, page by page, so that a REP MOVS
 * between a device and RAM costs one device access per element and little more. Source: AMD APM
 * vol. 3 1.2.6 (repeat prefixes) and ch. 3.
 */
#include "emulate/alu.h"
#include "emulate/exec.h"

/* Source (rSI) or destination (rDI) of a string instruction. */
struct side {
	unsigned seg;
	unsigned reg;	 /* V3_RSI or V3_RDI */
	unsigned access; /* V3_ACC_* */
	uint8_t *ram;	 /* next element, while elements > 0 */
	uint64_t elements;
	v3_gva_t linear; /* of the next element, if there is no ram */
};

struct string {
	unsigned size;	 /* bytes of an element */
	unsigned addr;	 /* bytes of an address and of the counter */
	uint64_t step;	 /* +size or -size */
	uint64_t left;	 /* iterations the guest still wants */
	unsigned budget; /* iterations this call may still do */
	uint16_t port;
	struct side src, dst;
};

/* What each instruction does in one iteration, in this order. */
#define STRING_LOAD 0x01 /* value <- [rSI] */
#define STRING_PEEK 0x02 /* other <- [rDI] */
#define STRING_ACC  0x04 /* value <- rAX */
#define STRING_IN   0x08 /* value <- port */
#define STRING_OUT  0x10 /* port <- value */
#define STRING_STO  0x20 /* [rDI] <- value */
#define STRING_CMP  0x40 /* flags <- value - other */
#define STRING_REG  0x80 /* rAX <- value */

static const uint8_t string_steps[] = {
	[STRING_MOVS] = STRING_LOAD | STRING_STO,
	[STRING_STOS] = STRING_ACC | STRING_STO,
	[STRING_LODS] = STRING_LOAD | STRING_REG,
	[STRING_CMPS] = STRING_LOAD | STRING_PEEK | STRING_CMP,
	[STRING_SCAS] = STRING_ACC | STRING_PEEK | STRING_CMP,
	[STRING_INS] = STRING_IN | STRING_STO,
	[STRING_OUTS] = STRING_LOAD | STRING_OUT,
};

/*
 * How many elements from offset on lie in the same page and before the offset wraps, when going up.
 * Only in 64-bit code, where no segment limit can end them sooner.
 */
static uint64_t side_run(const struct exec *x, const struct string *s, uint64_t offset,
			 v3_gva_t linear)
{
	uint64_t bytes = V3_PAGE_SIZE - (linear & (V3_PAGE_SIZE - 1)),
		 wrap = alu_mask(s->addr) - offset;

	if (x->insn->bits != 64 || s->step != s->size)
		return 0;
	if (wrap < bytes)
		bytes = wrap;
	bytes /= s->size;
	if (bytes > s->left)
		bytes = s->left;
	return bytes < s->budget ? bytes : s->budget;
}

/* One access as wide as the element, so that an aligned one is not torn. */
static inline uint64_t ram_load(const uint8_t *p, unsigned size)
{
	uint64_t value = 0;

	if (size == 1)
		return *p;
	if (size == 2)
		__builtin_memcpy(&value, p, 2);
	else if (size == 4)
		__builtin_memcpy(&value, p, 4);
	else
		__builtin_memcpy(&value, p, 8);
	return value;
}

static inline void ram_store(uint8_t *p, unsigned size, uint64_t value)
{
	if (size == 1)
		*p = (uint8_t)value;
	else if (size == 2)
		__builtin_memcpy(p, &value, 2);
	else if (size == 4)
		__builtin_memcpy(p, &value, 4);
	else
		__builtin_memcpy(p, &value, 8);
}

/* Find the next element of a side. */
static int side_locate(struct exec *x, struct string *s, struct side *side)
{
	uint64_t offset = x->regs->gpr[side->reg] & alu_mask(s->addr);
	int err;

	if (side->elements)
		return V3_OK;
	err = v3_exec_linear(x, side->seg, offset, s->size, side->access, &side->linear);
	if (err || !x->emul->ops->ram)
		return err;
	side->elements = side_run(x, s, offset, side->linear);
	if (!side->elements)
		return V3_OK;
	side->ram = x->emul->ops->ram(x->emul->priv, side->linear, side->elements * s->size,
				      side->access);
	if (!side->ram)
		side->elements = 0;
	return V3_OK;
}

static int side_load(struct exec *x, struct string *s, struct side *side, uint64_t *value)
{
	int err = side_locate(x, s, side);

	if (err)
		return err;
	*value = 0;
	if (!side->elements)
		return v3_exec_read(x, side->linear, value, s->size, V3_ACC_READ);
	*value = ram_load(side->ram, s->size);
	return V3_OK;
}

/* The destination has been located already. */
static int side_store(struct exec *x, struct string *s, struct side *side, uint64_t value)
{
	if (!side->elements)
		return v3_exec_write(x, side->linear, &value, s->size);
	ram_store(side->ram, s->size, value);
	return V3_OK;
}

static void side_advance(struct exec *x, const struct string *s, struct side *side)
{
	if (side->elements) {
		side->elements--;
		side->ram += s->size;
	}
	v3_exec_set_addr_reg(x, side->reg, s->addr, x->regs->gpr[side->reg] + s->step);
}

static int string_result(struct exec *x, int ret)
{
	if (ret <= 0)
		return ret;
	x->leave = V3_LEAVE;
	return V3_OK;
}

/* Before a port is read its value must have a place to go: raise the fault of the store first. */
static int string_in(struct exec *x, struct string *s, uint64_t *value)
{
	uint64_t unused;
	uint32_t in = 0;
	int err = V3_OK;

	if (!s->dst.elements)
		err = v3_exec_read(x, s->dst.linear, &unused, s->size, V3_ACC_READ | V3_ACC_WRITE);
	if (!err)
		err = string_result(x, x->emul->ops->io_in(x->emul->priv, s->port, s->size, &in));
	*value = in & alu_mask(s->size);
	return err;
}

/* One iteration; nothing has changed if it fails. */
static int string_once(struct exec *x, struct string *s, unsigned steps)
{
	uint64_t value = 0, other = 0;
	int err = V3_OK;

	if (steps & STRING_ACC)
		value = v3_exec_reg(x, V3_RAX, s->size);
	if (steps & STRING_LOAD)
		err = side_load(x, s, &s->src, &value);
	if (!err && (steps & STRING_PEEK))
		err = side_load(x, s, &s->dst, &other);
	if (!err && (steps & STRING_STO))
		err = side_locate(x, s, &s->dst);
	if (!err && (steps & STRING_IN))
		err = string_in(x, s, &value);
	if (!err && (steps & STRING_OUT))
		err = string_result(
			x, x->emul->ops->io_out(x->emul->priv, s->port, s->size, (uint32_t)value));
	if (!err && (steps & STRING_STO))
		err = side_store(x, s, &s->dst, value);
	if (err)
		return err;
	if (steps & STRING_CMP)
		(void)v3_alu_binary(ALU_CMP, s->size, value, other, &x->rflags);
	if (steps & STRING_REG)
		v3_exec_set_reg(x, V3_RAX, s->size, value);
	if (steps & (STRING_LOAD))
		side_advance(x, s, &s->src);
	if (steps & (STRING_PEEK | STRING_STO))
		side_advance(x, s, &s->dst);
	return V3_OK;
}

/* REPE and REPNE end CMPS and SCAS also by the comparison. */
static bool string_ended(const struct exec *x, unsigned steps)
{
	bool zf = x->rflags & V3_RFLAGS_ZF;

	return (steps & STRING_CMP) && zf != !!(x->insn->prefix & V3_PFX_REP);
}

static int string_repeat(struct exec *x, struct string *s, unsigned steps)
{
	int err;

	while (s->left && s->budget && !x->leave) {
		err = string_once(x, s, steps);
		if (err)
			return err;
		s->left--;
		s->budget--;
		v3_exec_set_addr_reg(x, V3_RCX, s->addr, s->left);
		if (string_ended(x, steps))
			return V3_OK;
	}
	return s->left ? EXEC_AGAIN : V3_OK;
}

int v3_exec_string(struct exec *x)
{
	unsigned steps = string_steps[x->kind];
	bool ports = steps & (STRING_IN | STRING_OUT);
	struct string s = {
		.size = ports && x->size > 4 ? 4 : x->size,
		.addr = x->insn->addr_size,
		.budget = V3_EMUL_REP_MAX,
		.port = (uint16_t)x->regs->gpr[V3_RDX],
		.src = {.seg = x->insn->seg, .reg = V3_RSI, .access = V3_ACC_READ},
		.dst = {.seg = V3_ES, .reg = V3_RDI, .access = V3_ACC_READ},
	};
	int err;

	if (steps & STRING_STO)
		s.dst.access = steps & STRING_IN ? V3_ACC_READ | V3_ACC_WRITE : V3_ACC_WRITE;
	s.step = x->regs->rflags & V3_RFLAGS_DF ? 0 - (uint64_t)s.size : s.size;
	if (ports) {
		err = string_result(x, x->emul->ops->io_check(x->emul->priv, s.port, s.size));
		if (err)
			return err;
	}
	if (!(x->insn->prefix & (V3_PFX_REP | V3_PFX_REPNE))) {
		s.left = 1;
		return string_once(x, &s, steps);
	}
	s.left = x->regs->gpr[V3_RCX] & alu_mask(s.addr);
	return string_repeat(x, &s, steps);
}
