/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file decode.h
 * The instruction decoder and the executor of single instructions. Both are pure: all they know of
 * a vcpu comes through their arguments, so they also run (and are tested) in user space.
 * Sources: AMD APM vol. 3 24594 ch. 1 (encoding) and appendix A (opcode maps), vol. 6 26568 (XOP,
 * 3DNow! in vol. 5); Intel SDM vol. 2 ch. 2 (VEX, EVEX) and appendix A.
 */
#ifndef PALACIOS_DECODE_H
#define PALACIOS_DECODE_H

#include "palacios/regs.h"
#include "palacios/types.h"

/** Longest legal instruction; a longer one raises #GP(0). */
#define V3_INSN_MAX 15

/** Opcode maps. VEX and EVEX use V3_MAP_0F ... and MAP5/6; XOP has its own three. */
enum v3_insn_map {
	V3_MAP_ONE,   /* one-byte opcodes */
	V3_MAP_0F,    /* 0F xx; VEX, EVEX map 1 */
	V3_MAP_0F38,  /* 0F 38 xx; map 2 */
	V3_MAP_0F3A,  /* 0F 3A xx; map 3 */
	V3_MAP_3DNOW, /* 0F 0F modrm xx: opcode is the trailing byte */
	V3_MAP_5,     /* EVEX map 5 (FP16) */
	V3_MAP_6,     /* EVEX map 6 (FP16) */
	V3_MAP_XOP8,
	V3_MAP_XOP9,
	V3_MAP_XOPA
};

/** How the opcode was introduced. */
enum v3_insn_enc { V3_ENC_LEGACY, V3_ENC_VEX, V3_ENC_EVEX, V3_ENC_XOP };

/* v3_insn.prefix: legacy prefixes seen. When both F2 and F3 were there only the last one counts. */
#define V3_PFX_OPSIZE 0x01 /* 66 */
#define V3_PFX_ADSIZE 0x02 /* 67 */
#define V3_PFX_LOCK   0x04 /* F0 */
#define V3_PFX_REPNE  0x08 /* F2 */
#define V3_PFX_REP    0x10 /* F3 */
#define V3_PFX_SEG    0x20 /* a segment override that counts in this mode */

/* v3_insn.rex, as the four low bits of a REX byte; also filled from VEX, EVEX and XOP. */
#define V3_REX_B   0x01
#define V3_REX_X   0x02
#define V3_REX_R   0x04
#define V3_REX_W   0x08
#define V3_REX_ANY 0x40 /* a REX byte was there: byte registers 4..7 are SPL..DIL */

/* v3_insn.flags */
#define V3_INSN_MODRM  0x01 /* there is a ModRM byte */
#define V3_INSN_MEM    0x02 /* ... and it names memory */
#define V3_INSN_RIPREL 0x04 /* ... relative to the next instruction */

#define V3_REG_NONE 0xff /* no base or no index */

/**
 * One decoded instruction. Nothing in it points anywhere: may be copied and kept. (Fields that are
 * computed together do not lie side by side: compilers would merge the stores at greater cost.)
 */
struct v3_insn {
	uint8_t length;	   /* bytes, 1..15 */
	uint8_t bits;	   /* code size it was decoded for: 16, 32, 64 */
	uint8_t map;	   /* enum v3_insn_map */
	uint8_t opcode;	   /* last opcode byte */
	uint8_t enc;	   /* enum v3_insn_enc */
	uint8_t prefix;	   /* V3_PFX_* */
	uint8_t rex;	   /* V3_REX_* */
	uint8_t flags;	   /* V3_INSN_* */
	uint8_t opnd_size; /* bytes of an operand: 2, 4, 8; byte opcodes do not change it */
	uint8_t seg;	   /* segment of the memory operand: override or default */
	uint8_t addr_size; /* bytes of an address: 2, 4, 8 */
	uint8_t scale;	   /* memory operand: index is shifted left by this: 0..3 */
	uint8_t modrm;	   /* raw; 0 if none */
	uint8_t imm_size;  /* bytes of the immediate (both, if two): 0..8 */
	uint8_t reg;	   /* ModRM.reg, extended: 0..15, EVEX 0..31 */
	uint8_t pp;	   /* SIMD prefix: 0 none, 1 = 66, 2 = F3, 3 = F2 */
	uint8_t rm;	   /* ModRM.rm as register, extended; no ModRM: of the opcode */
	uint8_t vvvv;	   /* VEX, EVEX, XOP: second source register, not inverted; else 0 */
	uint8_t base;	   /* memory operand: base register number or V3_REG_NONE */
	uint8_t index;	   /* memory operand: index register number or V3_REG_NONE */
	uint8_t vl;	   /* VEX, EVEX, XOP: vector length 0 = 128, 1 = 256, 2 = 512 bits */
	uint8_t evex_aaa;  /* EVEX byte 3: z in bit 7, b in bit 4, aaa in 2..0 */
	uint16_t imm2;	   /* far pointer: selector; ENTER: level; EXTRQ/INSERTQ: second byte */
	int32_t disp;	   /* displacement, sign-extended; EVEX disp8 is not scaled */
	uint64_t imm;	   /* immediate, distance (sign-extended) or moffs address */
};

/**
 * Decode one instruction. Any context.
 *
 * @param bytes  the instruction stream; only @p avail bytes are read
 * @param avail  how many bytes are there; more than V3_INSN_MAX are ignored
 * @param bits   default code size: 16 (real and virtual-8086 mode too), 32 or 64
 * @param insn   filled when the result is V3_OK, otherwise undefined
 *
 * @return V3_OK; V3_EAGAIN: more bytes are needed; V3_EINVAL: not an instruction in this mode
 *         (#UD); V3_E2BIG: longer than V3_INSN_MAX (#GP(0)). Opcodes that exist but are refused
 *         later (LOCK without need, privilege) are V3_OK here.
 */
int v3_decode(const uint8_t *bytes, size_t avail, unsigned bits, struct v3_insn *insn);

/**
 * Length only: v3_decode() without its record. Any context.
 * @return 1..15; V3_EAGAIN, V3_EINVAL, V3_E2BIG as v3_decode().
 */
int v3_insn_length(const uint8_t *bytes, size_t avail, unsigned bits);

/**
 * Offset (effective address) of the ModRM memory operand in segment insn->seg, wrapped to the
 * address size. Any context. @p regs: rip is that of the instruction itself. Meaningful only with
 * V3_INSN_MEM.
 */
uint64_t v3_insn_offset(const struct v3_insn *insn, const struct v3_regs *regs);

/**
 * Segmentation of one access: base, limit, type and canonical form (APM vol. 2 4.5, 4.7, 4.8). Any
 * context.
 *
 * @param seg     hidden part of segment register @p num
 * @param bits    code size: in 64-bit code only FS and GS have a base and there are no limits
 * @param protect protected mode without VM86: types and present bits count (in real mode only
 *         limits do)
 * @param offset  within the segment; @p size bytes, > 0
 * @param access  V3_ACC_READ and/or V3_ACC_WRITE, or V3_ACC_EXEC (mem.h)
 * @param linear  set when the result is V3_OK
 * @return V3_OK; V3_EFAULT: the access raises #SS(0) if @p num is V3_SS, else #GP(0).
 */
int v3_seg_linear(const struct v3_seg *seg, enum v3_seg_num num, unsigned bits, bool protect,
		  uint64_t offset, size_t size, unsigned access, v3_gva_t *linear);

/** Instructions whose right depends on mode and privilege; APM vol. 3 ch. 4. */
enum v3_emul_sys {
	V3_EMUL_STORE_DTR,  /* SGDT, SIDT */
	V3_EMUL_LOAD_DTR,   /* LGDT, LIDT */
	V3_EMUL_STORE_SEL,  /* SLDT, STR */
	V3_EMUL_LOAD_SEL,   /* LLDT, LTR */
	V3_EMUL_INVALIDATE, /* INVPCID */
};

/**
 * What the executor asks its owner. All are called on the thread of v3_emulate(), with its priv.
 * Results of the int ones: V3_OK; V3_LEAVE: done, and leave the run loop when the instruction is
 * complete; V3_EFAULT: not done, a fault is queued for the guest (the instruction ends without
 * effect); any other negative: our failure, handed on by v3_emulate().
 */
struct v3_emul_ops {
	/**
	 * Linear address of an access, checked as v3_seg_linear() does; queues #GP or #SS itself.
	 * @p access: V3_ACC_READ and/or V3_ACC_WRITE.
	 */
	int (*linear)(void *priv, enum v3_seg_num seg, uint64_t offset, size_t size,
		      unsigned access, v3_gva_t *linear);
	/**
	 * Read @p size bytes (1, 2, 4, 8, 16, 32) at a linear address, which may cross a page.
	 * @p access: V3_ACC_READ, or V3_ACC_READ | V3_ACC_WRITE if the same bytes are written next:
	 * then the fault of a write is raised now.
	 */
	int (*read)(void *priv, v3_gva_t linear, void *buf, size_t size, unsigned access);
	/** Write, same sizes. Must be all or nothing when it faults. */
	int (*write)(void *priv, v3_gva_t linear, const void *buf, size_t size);
	/**
	 * Atomic compare-exchange on guest RAM for LOCK forms: if the @p size bytes (1, 2, 4, 8,
	 * 16) at @p linear equal @p old, replace them by @p val and set *swapped, else copy them
	 * to @p old. May be NULL. V3_ENOTSUP: no RAM there; the executor then reads and writes
	 * once each.
	 */
	int (*cmpxchg)(void *priv, v3_gva_t linear, void *old, const void *val, size_t size,
		       bool *swapped);
	/**
	 * Host pointer to guest memory that may be read or written at will: speeds up REP strings.
	 * May be NULL.
	 * @return NULL unless all of [linear, linear + size), within one page, is RAM, not hooked
	 * for @p access, and accessible to the guest; queues nothing. Valid until v3_emulate()
	 * returns.
	 */
	void *(*ram)(void *priv, v3_gva_t linear, size_t size, unsigned access);
	/** May the guest use these ports (IOPL, I/O permission bitmap)? Queues #GP(0) if not. */
	int (*io_check)(void *priv, uint16_t port, unsigned size);
	/** Port read and write, one element of 1, 2 or 4 bytes. Checked by io_check before. */
	int (*io_in)(void *priv, uint16_t port, unsigned size, uint32_t *value);
	int (*io_out)(void *priv, uint16_t port, unsigned size, uint32_t value);
	/** Low @p size (16 or 32) bytes of vector register @p n, 0..15. */
	int (*vec_get)(void *priv, unsigned n, void *buf, size_t size);
	/** Set them; @p zero_upper: all higher bits become 0 (VEX forms), else they stay. */
	int (*vec_set)(void *priv, unsigned n, const void *buf, size_t size, bool zero_upper);
	/** Selector in a segment register, V3_ES..V3_TR. */
	uint16_t (*get_sel)(void *priv, enum v3_seg_num seg);
	/**
	 * Load ES, SS, DS, FS or GS as MOV does, LDTR or TR as LLDT and LTR, with the checks of the present
	 * mode; queues #GP, #SS, #NP or #PF itself. V3_OK or negative; V3_EFAULT: nothing was loaded.
	 */
	int (*load_seg)(void *priv, enum v3_seg_num seg, uint16_t sel);
	/**
	 * May the guest execute an instruction of this kind now (mode, privilege, UMIP)? V3_EFAULT: #GP(0) is
	 * queued; V3_EINVAL: #UD, which is not.
	 */
	int (*sys_check)(void *priv, enum v3_emul_sys what);
	/** GDTR or IDTR. set_dtr queues #GP(0) for a base that is not canonical: V3_EFAULT. */
	void (*get_dtr)(void *priv, bool idt, struct v3_dtr *dtr);
	int (*set_dtr)(void *priv, bool idt, const struct v3_dtr *dtr);
	/** INVPCID with its type and descriptor; queues #GP(0) for a bad one. V3_OK, V3_EFAULT. */
	int (*invpcid)(void *priv, uint64_t type, const uint64_t desc[2]);
	/** RDRAND or RDSEED. @return false: there is no number now */
	bool (*random)(void *priv, bool seed, uint64_t *value);
	/** Queue an exception found by the executor: #DE or #GP(0). */
	void (*fault)(void *priv, enum v3_vector vector);
};

/* v3_emul.features: what the guest's CPU makes of encodings that older ones read differently. */
#define V3_EMUL_LZCNT	0x1 /* F3 0F BD is LZCNT, not BSR */
#define V3_EMUL_BMI1	0x2 /* F3 0F BC is TZCNT, not BSF */
/* Instructions that are undefined without. */
#define V3_EMUL_RDRAND	0x4
#define V3_EMUL_RDSEED	0x8
#define V3_EMUL_INVPCID 0x10

/** Iterations of a REP string instruction done by one v3_emulate() at most. */
#define V3_EMUL_REP_MAX 4096u

/** One use of the executor. The caller fills it; it may live on the stack (small). */
struct v3_emul {
	const struct v3_emul_ops *ops; /* not owned */
	void *priv;		       /* handed to each op */
	struct v3_regs *regs; /* not owned; read, and written when the instruction completes */
	uint8_t stack_bits;   /* width of the stack pointer: 16, 32 (SS.D), 64 */
	uint8_t features;     /* V3_EMUL_* */
	bool retired;	      /* result: the instruction is complete, RIP is past it */
};

/**
 * Execute one decoded instruction on the state of @p emul. Vcpu thread; sleeps only if an op does.
 *
 * Covered: what can touch memory or ports (loads, stores, arithmetic, strings, bit and stack
 * operations, segment registers, near calls and jumps through memory, SSE and AVX moves), and what CPUs exit for by
 * itself: SGDT to LTR, INVPCID, RDRAND, RDSEED. Checked by sys_check is privilege; not checked are CR0/CR4/XCR0 enables,
 * since the CPU did that before it intercepted the access.
 *
 * A REP string instruction runs until its count ends, but at most V3_EMUL_REP_MAX iterations; then
 * the result is V3_OK with emul->retired false, RIP still on the instruction and the count
 * registers advanced: enter the guest again (or emulate again) after looking for interrupts. The
 * same result follows when another vcpu kept winning a LOCK race.
 *
 * @return V3_OK or V3_LEAVE: done so far, see emul->retired; V3_EFAULT: a fault is queued, nothing
 *         was changed except by completed REP iterations; V3_EINVAL: undefined instruction (#UD;
 *         not queued); V3_ENOTSUP: the executor does not know this instruction, nothing was
 *         changed; else what an op returned.
 */
int v3_emulate(struct v3_emul *emul, const struct v3_insn *insn);

#endif
