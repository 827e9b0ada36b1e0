/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file tables.h
 * Encoding attributes of every opcode, one byte each. Private to emulate/.
 */
#ifndef EMULATE_TABLES_H
#define EMULATE_TABLES_H

#include "palacios/types.h"

/* Attribute byte: what follows the opcode. */
#define INSN_IMM     0x0f /* one of the kinds below */
#define INSN_DEF64   0x10 /* operand size in 64-bit code is 8 unless 66 makes it 2 */
#define INSN_SPECIAL 0x20 /* the low bits are an insn_special instead */
#define INSN_REGONLY 0x40 /* ModRM.mod is ignored: always registers (MOV CR/DR) */
#define INSN_MODRM   0x80

enum insn_imm {
	IMM_NONE,
	IMM_8,
	IMM_16,
	IMM_Z,	   /* 2 or 4 bytes by operand size */
	IMM_V,	   /* 2, 4 or 8 bytes by operand size */
	IMM_ADDR,  /* as wide as an address */
	IMM_FAR,   /* 2 or 4 bytes, then a selector */
	IMM_ENTER, /* 2 bytes, then 1 */
	IMM_GRP3,  /* F6, F7: /0 and /1 have one, by operand size */
	IMM_GRP3B,
	IMM_GRP5,  /* FF: no immediate, but /2, /4 and /6 are DEF64 */
	IMM_EXTRQ, /* two bytes with 66 or F2, else none */
	IMM_32	   /* 4 bytes whatever the operand size */
};

/* Low bits of an INSN_SPECIAL attribute. */
enum insn_special {
	SPECIAL_INVALID,
	SPECIAL_PREFIX,
	SPECIAL_REX,
	SPECIAL_0F,   /* escape to the two-byte map */
	SPECIAL_0F38, /* escapes to the three-byte maps */
	SPECIAL_0F3A,
	SPECIAL_3DNOW,
	SPECIAL_VEX2, /* C5: LDS in old modes if a memory ModRM follows */
	SPECIAL_VEX3, /* C4: LES likewise */
	SPECIAL_EVEX, /* 62: BOUND likewise */
	SPECIAL_XOP   /* 8F: POP if map_select is below 8 */
};

enum insn_table {
	TABLE_ONE32, /* 16- and 32-bit code */
	TABLE_ONE64,
	TABLE_0F,
	TABLE_0F38,
	TABLE_0F3A,
	TABLE_3DNOW,
	TABLE_VEX1,
	TABLE_VEX2,
	TABLE_VEX3,
	TABLE_EVEX1,
	TABLE_EVEX2,
	TABLE_EVEX3,
	TABLE_EVEX5,
	TABLE_EVEX6,
	TABLE_XOP8,
	TABLE_XOP9,
	TABLE_XOPA,
	NTABLES
};

extern const uint8_t v3_insn_attr[NTABLES][256];

#endif
