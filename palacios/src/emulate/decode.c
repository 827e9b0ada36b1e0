/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file decode.c
 * The instruction decoder: one pass over the bytes, driven by the attribute tables of tables.c.
 * Called by exit handlers (instruction length, memory operands) and before v3_emulate(); calls
 * nothing. Follows AMD APM vol. 3 ch. 1 (legacy, VEX, XOP) and Intel SDM vol. 2 2.6 and 2.7 (EVEX).
 * Where the two vendors differ (66 on a near branch in 64-bit code), this is AMD's reading.
 */
#include "palacios/decode.h"
#include "palacios/error.h"
#include "emulate/tables.h"

/*
 * The decoder runs at every exit that needs a length, so its common path is inlined into one
 * function and keeps the cursor in registers; the rare paths get a copy of it.
 */
#define DECODE_HOT static inline __attribute__((always_inline))

/* Where the decoder stands in the instruction. */
struct cursor {
	const uint8_t *p;
	const uint8_t *end;
};

DECODE_HOT bool cursor_has(const struct cursor *c, size_t n)
{
	return (size_t)(c->end - c->p) >= n;
}

/* Read n (1, 2, 4 or 8) bytes, sign-extended. */
DECODE_HOT int cursor_signed(struct cursor *c, unsigned n, int64_t *value)
{
	int16_t word;
	int32_t dword;

	if (!cursor_has(c, n))
		return V3_EAGAIN;
	if (n == 1) {
		*value = (int8_t)*c->p;
	} else if (n == 2) {
		__builtin_memcpy(&word, c->p, 2);
		*value = word;
	} else if (n == 4) {
		__builtin_memcpy(&dword, c->p, 4);
		*value = dword;
	} else {
		__builtin_memcpy(value, c->p, 8);
	}
	c->p += n;
	return V3_OK;
}

/*
 * The last of F2 and F3 counts; CS, DS, ES and SS overrides are ignored in 64-bit code (APM vol. 3
 * 1.2.4).
 */
static void decode_prefix(struct v3_insn *insn, uint8_t byte)
{
	unsigned seg;

	switch (byte) {
	case 0x66:
		insn->prefix |= V3_PFX_OPSIZE;
		break;
	case 0x67:
		insn->prefix |= V3_PFX_ADSIZE;
		break;
	case 0xf0:
		insn->prefix |= V3_PFX_LOCK;
		break;
	case 0xf2:
		insn->prefix = (insn->prefix & ~V3_PFX_REP) | V3_PFX_REPNE;
		break;
	case 0xf3:
		insn->prefix = (insn->prefix & ~V3_PFX_REPNE) | V3_PFX_REP;
		break;
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
		seg = byte < 0x40 ? (byte >> 3) & 3u : byte & 7u;
		if (insn->bits == 64 && seg < V3_FS)
			break;
		insn->seg = (uint8_t)seg;
		insn->prefix |= V3_PFX_SEG;
		break;
	}
}

/* VEX, EVEX and XOP may not follow these (APM vol. 3 1.2.7): #UD. */
static inline bool vex_prefix_bad(const struct v3_insn *insn)
{
	return (insn->prefix & (V3_PFX_OPSIZE | V3_PFX_LOCK | V3_PFX_REP | V3_PFX_REPNE)) ||
	       insn->rex;
}

/* Common part of the byte W vvvv L pp, third of VEX3 and XOP and (R for W) second of VEX2. */
static void vex_payload(struct v3_insn *insn, uint8_t byte)
{
	insn->pp = byte & 3;
	insn->vl = (byte >> 2) & 1;
	insn->vvvv = (~byte >> 3) & (insn->bits == 64 ? 15 : 7);
}

static int decode_vex2(struct cursor *c, struct v3_insn *insn)
{
	uint8_t byte;

	if (vex_prefix_bad(insn))
		return V3_EINVAL;
	if (!cursor_has(c, 2))
		return V3_EAGAIN;
	byte = c->p[0];
	insn->enc = V3_ENC_VEX;
	insn->map = V3_MAP_0F;
	if (insn->bits == 64 && !(byte & 0x80))
		insn->rex = V3_REX_R;
	vex_payload(insn, byte);
	insn->opcode = c->p[1];
	c->p += 2;
	return v3_insn_attr[TABLE_VEX1][insn->opcode];
}

/* VEX3 and XOP share their layout; only the numbers of the maps differ. */
static int decode_vex3(struct cursor *c, struct v3_insn *insn, bool xop)
{
	unsigned first = xop ? 8 : 1, map;
	uint8_t byte;

	if (vex_prefix_bad(insn))
		return V3_EINVAL;
	if (!cursor_has(c, 3))
		return V3_EAGAIN;
	byte = c->p[0];
	map = (byte & 0x1fu) - first;
	if (map > 2)
		return V3_EINVAL;
	insn->enc = xop ? V3_ENC_XOP : V3_ENC_VEX;
	insn->map = (uint8_t)((xop ? V3_MAP_XOP8 : V3_MAP_0F) + map);
	if (insn->bits == 64)
		insn->rex = (~byte >> 5) & 7;
	byte = c->p[1];
	if (byte & 0x80)
		insn->rex |= V3_REX_W;
	vex_payload(insn, byte);
	insn->opcode = c->p[2];
	c->p += 3;
	return v3_insn_attr[(xop ? TABLE_XOP8 : TABLE_VEX1) + map][insn->opcode];
}

/* Register bits 4 (R', and X for a vector in ModRM.rm) are added once ModRM is known. */
static int decode_evex(struct cursor *c, struct v3_insn *insn)
{
	/* Map number to our map and table; 0 = undefined. */
	static const uint8_t maps[8] = {0,	    V3_MAP_0F, V3_MAP_0F38, V3_MAP_0F3A,
					V3_MAP_ONE, V3_MAP_5,  V3_MAP_6,    0};
	static const uint8_t tables[8] = {0, TABLE_EVEX1, TABLE_EVEX2, TABLE_EVEX3,
					  0, TABLE_EVEX5, TABLE_EVEX6, 0};
	unsigned map;

	if (vex_prefix_bad(insn))
		return V3_EINVAL;
	if (!cursor_has(c, 4))
		return V3_EAGAIN;
	map = c->p[0] & 7;
	if (!tables[map] || (c->p[0] & 8) || !(c->p[1] & 4))
		return V3_EINVAL;
	insn->enc = V3_ENC_EVEX;
	insn->map = maps[map];
	if (insn->bits == 64)
		insn->rex = (~c->p[0] >> 5) & 7;
	if (c->p[1] & 0x80)
		insn->rex |= V3_REX_W;
	vex_payload(insn, c->p[1]);
	insn->vl = (c->p[2] >> 5) & 3;
	if (insn->bits == 64)
		insn->vvvv |= (uint8_t)((~c->p[2] & 8) << 1);
	insn->evex_aaa = c->p[2] & 0x97;
	insn->opcode = c->p[3];
	c->p += 4;
	return v3_insn_attr[tables[map]][insn->opcode];
}

/*
 * In 16- and 32-bit code the first byte of a VEX or EVEX prefix is one unless it looks like a
 * register form.
 */
static inline int vex_is_old(const struct cursor *c, const struct v3_insn *insn)
{
	if (insn->bits == 64)
		return 0;
	if (!cursor_has(c, 1))
		return V3_EAGAIN;
	return (c->p[0] & 0xc0) != 0xc0;
}

/* The escapes and the prefixes that contain the opcode. Returns the attribute, or V3_E*. */
static int decode_special(struct cursor *c, struct v3_insn *insn, unsigned special)
{
	int old;

	switch (special) {
	case SPECIAL_VEX2:
	case SPECIAL_VEX3:
	case SPECIAL_EVEX:
		old = vex_is_old(c, insn);
		if (old)
			return old < 0 ? old : INSN_MODRM;
		if (special == SPECIAL_EVEX)
			return decode_evex(c, insn);
		return special == SPECIAL_VEX2 ? decode_vex2(c, insn) : decode_vex3(c, insn, false);
	case SPECIAL_XOP:
		if (!cursor_has(c, 1))
			return V3_EAGAIN;
		if ((c->p[0] & 0x1f) >= 8)
			return decode_vex3(c, insn, true);
		return INSN_MODRM | INSN_DEF64;
	case SPECIAL_0F38:
	case SPECIAL_0F3A:
		if (!cursor_has(c, 1))
			return V3_EAGAIN;
		insn->map = special == SPECIAL_0F38 ? V3_MAP_0F38 : V3_MAP_0F3A;
		insn->opcode = *c->p++;
		return v3_insn_attr[special == SPECIAL_0F38 ? TABLE_0F38 : TABLE_0F3A]
				   [insn->opcode];
	case SPECIAL_3DNOW: /* the opcode stands where an imm8 would */
		insn->map = V3_MAP_3DNOW;
		return INSN_MODRM | IMM_8;
	}
	return V3_EINVAL;
}

/* Prefixes and opcode. Returns the opcode's attribute (INSN_SPECIAL: undefined), or V3_E*. */
DECODE_HOT int decode_opcode(struct cursor *c, struct v3_insn *insn)
{
	const uint8_t *one = v3_insn_attr[insn->bits == 64 ? TABLE_ONE64 : TABLE_ONE32];
	unsigned attr;
	uint8_t byte;

	for (;;) {
		if (!cursor_has(c, 1))
			return V3_EAGAIN;
		byte = *c->p++;
		attr = one[byte];
		if (V3_LIKELY(!(attr & INSN_SPECIAL)))
			break;
		if (attr == (INSN_SPECIAL | SPECIAL_REX)) {
			insn->rex = V3_REX_ANY | (byte & 15);
			continue;
		}
		if (attr != (INSN_SPECIAL | SPECIAL_PREFIX))
			break;
		insn->rex = 0; /* REX counts only right before the opcode */
		decode_prefix(insn, byte);
	}
	if (attr == (INSN_SPECIAL | SPECIAL_0F)) {
		if (!cursor_has(c, 1))
			return V3_EAGAIN;
		byte = *c->p++;
		attr = v3_insn_attr[TABLE_0F][byte];
		insn->map = V3_MAP_0F;
	}
	insn->opcode = byte;
	if (V3_UNLIKELY(attr & INSN_SPECIAL)) {
		struct cursor copy = *c;
		int ret = decode_special(&copy, insn, attr & INSN_IMM);

		*c = copy;
		return ret;
	}
	return (int)attr;
}

/*
 * Sizes by code size (16, 32, 64) and the prefixes 66 (bit 0) and 67 (bit 1), APM vol. 3 tables 1-2
 * and 1-3.
 */
DECODE_HOT void decode_sizes(struct v3_insn *insn, unsigned attr)
{
	static const uint8_t opnd[3][4] = {{2, 4, 2, 4}, {4, 2, 4, 2}, {4, 2, 4, 2}};
	static const uint8_t addr[3][4] = {{2, 2, 4, 4}, {4, 4, 2, 2}, {8, 8, 4, 4}};
	unsigned mode = insn->bits >> 5, toggles = insn->prefix & (V3_PFX_OPSIZE | V3_PFX_ADSIZE);

	insn->addr_size = addr[mode][toggles];
	insn->opnd_size = opnd[mode][toggles];
	if (mode == 2 &&
	    ((insn->rex & V3_REX_W) || ((attr & INSN_DEF64) && !(toggles & V3_PFX_OPSIZE))))
		insn->opnd_size = 8;
}

DECODE_HOT int decode_disp(struct cursor *c, struct v3_insn *insn, unsigned size)
{
	int32_t disp;

	if (!cursor_has(c, size))
		return V3_EAGAIN;
	if (size == 1) {
		insn->disp = (int8_t)*c->p;
	} else if (size == 4) {
		__builtin_memcpy(&disp, c->p, 4);
		insn->disp = disp;
	}
	c->p += size;
	return V3_OK;
}

static int decode_disp16(struct cursor *c, struct v3_insn *insn)
{
	int64_t disp = 0;
	int err = cursor_signed(c, 2, &disp);

	insn->disp = (int32_t)disp;
	return err;
}

/* 16-bit addressing, APM vol. 3 table A-33. */
static int decode_mem16(struct cursor *c, struct v3_insn *insn, unsigned mod, unsigned rm)
{
	static const uint8_t base[8] = {V3_RBX, V3_RBX, V3_RBP, V3_RBP,
					V3_RSI, V3_RDI, V3_RBP, V3_RBX};
	static const uint8_t index[8] = {V3_RSI,      V3_RDI,	   V3_RSI,	V3_RDI,
					 V3_REG_NONE, V3_REG_NONE, V3_REG_NONE, V3_REG_NONE};

	if (mod == 0 && rm == 6)
		return decode_disp16(c, insn);
	insn->base = base[rm];
	insn->index = index[rm];
	if (insn->base == V3_RBP && !(insn->prefix & V3_PFX_SEG))
		insn->seg = V3_SS;
	return mod == 2 ? decode_disp16(c, insn) : decode_disp(c, insn, mod);
}

/* 32- and 64-bit addressing, APM vol. 3 1.4.3 and tables. */
DECODE_HOT int decode_mem32(struct cursor *c, struct v3_insn *insn, unsigned mod, unsigned rm)
{
	unsigned sib, size = mod == 2 ? 4 : mod;

	if (rm == 4) {
		if (!cursor_has(c, 1))
			return V3_EAGAIN;
		sib = *c->p++;
		rm = sib & 7;
		insn->index = (uint8_t)(((sib >> 3) & 7) | ((insn->rex & V3_REX_X) << 2));
		insn->scale = (uint8_t)(sib >> 6);
		if (insn->index == V3_RSP)
			insn->index = V3_REG_NONE;
		if (rm == 5 && mod == 0)
			return decode_disp(c, insn, 4);
	} else if (rm == 5 && mod == 0) {
		if (insn->bits == 64)
			insn->flags |= V3_INSN_RIPREL;
		return decode_disp(c, insn, 4);
	}
	insn->base = (uint8_t)(rm | ((insn->rex & V3_REX_B) << 3));
	if ((insn->base == V3_RSP || insn->base == V3_RBP) && !(insn->prefix & V3_PFX_SEG))
		insn->seg = V3_SS;
	return decode_disp(c, insn, size);
}

DECODE_HOT int decode_modrm(struct cursor *c, struct v3_insn *insn, unsigned attr)
{
	unsigned modrm, rex = insn->rex;

	if (!cursor_has(c, 1))
		return V3_EAGAIN;
	modrm = *c->p++;
	insn->modrm = (uint8_t)modrm;
	insn->flags = V3_INSN_MODRM;
	insn->reg = (uint8_t)(((modrm >> 3) & 7) | ((rex & V3_REX_R) << 1));
	insn->rm = (uint8_t)((modrm & 7) | ((rex & V3_REX_B) << 3));
	if (modrm >= 0xc0 || (attr & INSN_REGONLY))
		return V3_OK;
	insn->flags = V3_INSN_MODRM | V3_INSN_MEM;
	if (V3_UNLIKELY(insn->addr_size == 2)) {
		struct cursor copy = *c;
		int err = decode_mem16(&copy, insn, modrm >> 6, modrm & 7);

		*c = copy;
		return err;
	}
	return decode_mem32(c, insn, modrm >> 6, modrm & 7);
}

/* Two immediates: the first of size bytes, zero-extended, then the second of size2. */
static int decode_imm_pair(struct cursor *c, struct v3_insn *insn, unsigned size, unsigned size2)
{
	int64_t value = 0;

	if (!cursor_has(c, size + size2))
		return V3_EAGAIN;
	(void)cursor_signed(c, size, &value);
	insn->imm = (uint64_t)value & (size == 4 ? 0xffffffffu : size == 2 ? 0xffffu : 0xffu);
	(void)cursor_signed(c, size2, &value);
	insn->imm2 = (uint16_t)((uint64_t)value & (size2 == 2 ? 0xffffu : 0xffu));
	insn->imm_size = (uint8_t)(size + size2);
	return V3_OK;
}

/* The kinds of immediate that are seldom met. */
static int decode_imm_rare(struct cursor *c, struct v3_insn *insn, unsigned kind, unsigned z)
{
	int64_t value = 0;
	int err = V3_OK;

	switch (kind) {
	case IMM_FAR:
		return decode_imm_pair(c, insn, z, 2);
	case IMM_ENTER:
		return decode_imm_pair(c, insn, 2, 1);
	case IMM_EXTRQ:
		return insn->pp == 1 || insn->pp == 3 ? decode_imm_pair(c, insn, 1, 1) : V3_OK;
	case IMM_GRP5: /* CALL, JMP and PUSH, but not their far neighbours */
		if (insn->bits == 64 && (insn->modrm & 0x38) >= 0x10 && !(insn->modrm & 0x08))
			decode_sizes(insn, INSN_DEF64);
		return V3_OK;
	case IMM_ADDR:
		insn->imm_size = insn->addr_size;
		err = cursor_signed(c, insn->addr_size, &value);
		insn->imm = (uint64_t)value;
		if (insn->addr_size < 8)
			insn->imm &= insn->addr_size == 4 ? 0xffffffffu : 0xffffu;
		return err;
	case IMM_16:
		insn->imm_size = 2;
		break;
	case IMM_V:
		insn->imm_size = insn->opnd_size;
		break;
	case IMM_32:
		insn->imm_size = 4;
		break;
	}
	err = cursor_signed(c, insn->imm_size, &value);
	insn->imm = (uint64_t)value;
	return err;
}

DECODE_HOT int decode_imm(struct cursor *c, struct v3_insn *insn, unsigned kind)
{
	unsigned size, z = insn->opnd_size == 2 ? 2 : 4;
	int64_t value = 0;
	int err;

	if (kind == IMM_8) {
		size = 1;
	} else if (kind == IMM_Z) {
		size = z;
	} else if (kind == IMM_GRP3 || kind == IMM_GRP3B) {
		if (insn->modrm & 0x30) /* only TEST, /0 and /1, has one */
			return V3_OK;
		size = kind == IMM_GRP3 ? z : 1;
	} else {
		struct cursor copy = *c;

		err = decode_imm_rare(&copy, insn, kind, z);
		*c = copy;
		return err;
	}
	err = cursor_signed(c, size, &value);
	insn->imm_size = (uint8_t)size;
	insn->imm = (uint64_t)value;
	return err;
}

/* What is only known at the end: EVEX register bits, the 3DNow! opcode. */
static int decode_finish(struct v3_insn *insn, const uint8_t *bytes)
{
	if (insn->map == V3_MAP_3DNOW) {
		insn->opcode = (uint8_t)insn->imm;
		insn->imm = 0;
		insn->imm_size = 0;
		return v3_insn_attr[TABLE_3DNOW][insn->opcode] & INSN_SPECIAL ? V3_EINVAL : V3_OK;
	}
	if (insn->enc == V3_ENC_EVEX && insn->bits == 64) {
		/* The prefix may follow segment and address-size overrides only. */
		while (*bytes != 0x62)
			bytes++;
		insn->reg |= (uint8_t)((~bytes[1] & 0x10));
		if (!(insn->flags & V3_INSN_MEM))
			insn->rm |= (uint8_t)((insn->rex & V3_REX_X) << 3);
	}
	return V3_OK;
}

DECODE_HOT int decode_all(struct cursor *c, struct v3_insn *insn)
{
	int attr = decode_opcode(c, insn), err;

	if (V3_UNLIKELY(attr < 0))
		return attr;
	if (V3_UNLIKELY(attr & INSN_SPECIAL))
		return V3_EINVAL;
	decode_sizes(insn, (unsigned)attr);
	if (insn->prefix && insn->enc == V3_ENC_LEGACY) {
		if (insn->prefix & (V3_PFX_REP | V3_PFX_REPNE))
			insn->pp = insn->prefix & V3_PFX_REP ? 2 : 3;
		else
			insn->pp = insn->prefix & V3_PFX_OPSIZE ? 1 : 0;
	}
	if (attr & INSN_MODRM) {
		err = decode_modrm(c, insn, (unsigned)attr);
		if (err)
			return err;
	} else {
		insn->rm = (uint8_t)((insn->opcode & 7) | ((insn->rex & V3_REX_B) << 3));
	}
	return attr & INSN_IMM ? decode_imm(c, insn, (unsigned)attr & INSN_IMM) : V3_OK;
}

int v3_decode(const uint8_t *bytes, size_t avail, unsigned bits, struct v3_insn *insn)
{
	struct cursor c = {bytes, bytes + (avail < V3_INSN_MAX ? avail : V3_INSN_MAX)};
	int err;

	*insn = (struct v3_insn){
		.bits = (uint8_t)bits,
		.seg = V3_DS,
		.base = V3_REG_NONE,
		.index = V3_REG_NONE,
	};
	err = decode_all(&c, insn);
	if (V3_UNLIKELY(err))
		return err == V3_EAGAIN && avail >= V3_INSN_MAX ? V3_E2BIG : err;
	insn->length = (uint8_t)(c.p - bytes);
	if (V3_UNLIKELY(insn->map == V3_MAP_3DNOW || insn->enc == V3_ENC_EVEX))
		return decode_finish(insn, bytes);
	return V3_OK;
}

int v3_insn_length(const uint8_t *bytes, size_t avail, unsigned bits)
{
	struct v3_insn insn;
	unsigned attr, n = 1;
	int err;

	/* CPUID, RDMSR, HLT, VMMCALL and their like: an opcode and at most a register ModRM. */
	if (V3_LIKELY(avail >= 3)) {
		attr = v3_insn_attr[bits == 64 ? TABLE_ONE64 : TABLE_ONE32][bytes[0]];
		if (attr == (INSN_SPECIAL | SPECIAL_0F)) {
			attr = v3_insn_attr[TABLE_0F][bytes[1]];
			n = 2;
		}
		if (!(attr & (INSN_SPECIAL | INSN_IMM | INSN_MODRM)))
			return (int)n;
		if ((attr & (INSN_SPECIAL | INSN_IMM | INSN_MODRM)) == INSN_MODRM &&
		    bytes[n] >= 0xc0)
			return (int)n + 1;
	}
	err = v3_decode(bytes, avail, bits, &insn);
	return err ? err : insn.length;
}

uint64_t v3_insn_offset(const struct v3_insn *insn, const struct v3_regs *regs)
{
	uint64_t offset = (uint64_t)(int64_t)insn->disp;

	if (insn->base != V3_REG_NONE)
		offset += regs->gpr[insn->base & 15];
	if (insn->index != V3_REG_NONE)
		offset += regs->gpr[insn->index & 15] << insn->scale;
	if (insn->flags & V3_INSN_RIPREL)
		offset += regs->rip + insn->length;
	if (insn->addr_size == 8)
		return offset;
	return insn->addr_size == 4 ? (uint32_t)offset : (uint16_t)offset;
}
