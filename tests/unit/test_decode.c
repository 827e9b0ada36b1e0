/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_decode.c
 * The instruction decoder on encodings picked by hand from the manuals' tables: each mode, each
 * kind of prefix, operand and immediate; undefined, cut and overlong instructions.
 */
#include "tap.h"

#include "palacios/decode.h"
#include "palacios/error.h"

struct good {
	const char *name;
	const char *hex;
	unsigned bits;
	uint8_t map, opcode, opnd, addr;
	uint8_t flags;
	uint8_t seg, base, index; /* numbers plus 1; 0: DS, none, none */
	uint8_t scale;
	uint8_t reg, rm;
	int32_t disp;
	uint64_t imm;
	uint16_t imm2;
};

#define GOOD(b, n, h, ...)                                                                         \
	{                                                                                          \
		.bits = b, .name = n, .hex = h, __VA_ARGS__                                        \
	}
#define MEM(...) .flags = V3_INSN_MODRM | V3_INSN_MEM, __VA_ARGS__
#define RM	 .flags = V3_INSN_MODRM
#define TWO	 .map = V3_MAP_0F

/* clang-format off */
static const struct good good[] = {
	/* 64-bit: what exit handlers meet */
	GOOD(64, "cpuid", "0fa2", TWO, .opcode = 0xa2, .opnd = 4, .addr = 8, .rm = 2),
	GOOD(64, "rdmsr", "0f32", TWO, .opcode = 0x32, .opnd = 4, .addr = 8, .rm = 2),
	GOOD(64, "hlt", "f4", .opcode = 0xf4, .opnd = 4, .addr = 8, .rm = 4),
	GOOD(64, "vmmcall", "0f01d9", TWO, .opcode = 0x01, .opnd = 4, .addr = 8, RM, .reg = 3,
	     .rm = 1),
	GOOD(64, "mov cr0, rax", "0f22c0", TWO, .opcode = 0x22, .opnd = 8, .addr = 8, RM, .reg = 0,
	     .rm = 0),
	GOOD(64, "mov cr8, r9", "450f22c1", TWO, .opcode = 0x22, .opnd = 8, .addr = 8, RM, .reg = 8,
	     .rm = 9),
	GOOD(64, "mov rbp, cr0 with mod 0 is no memory", "0f2005", TWO, .opcode = 0x20, .opnd = 8,
	     .addr = 8, RM,
	     .reg = 0, .rm = 5),
	/* 64-bit: memory operands */
	GOOD(64, "mov [rax], ecx", "8908", .opcode = 0x89, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RAX, .reg = 1)),
	GOOD(64, "mov rax, [rip+16]", "488b0510000000", .opcode = 0x8b, .opnd = 8, .addr = 8,
	     .flags = V3_INSN_MODRM | V3_INSN_MEM | V3_INSN_RIPREL, .rm = 5, .disp = 16),
	GOOD(64, "mov [rsp+8], r9d", "44894c2408", .opcode = 0x89, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RSP, .seg = 1 + V3_SS, .reg = 9, .rm = 4, .disp = 8)),
	GOOD(64, "mov eax, [rbp-4]", "8b45fc", .opcode = 0x8b, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RBP, .seg = 1 + V3_SS, .rm = 5, .disp = -4)),
	GOOD(64, "mov eax, [r12]", "418b0424", .opcode = 0x8b, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_R12, .rm = 12)),
	GOOD(64, "mov eax, [r13+0]", "418b4500", .opcode = 0x8b, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_R13, .rm = 13)),
	GOOD(64, "mov eax, [rbx+rcx*8-16]", "8b44cbf0", .opcode = 0x8b, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RBX, .index = 1 + V3_RCX, .scale = 3, .rm = 4, .disp = -16)),
	GOOD(64, "mov eax, [rax+r12*2+0x12345678]", "428b846078563412", .opcode = 0x8b, .opnd = 4,
	     .addr = 8,
	     MEM(.base = 1 + V3_RAX, .index = 1 + V3_R12, .scale = 1, .rm = 4, .disp = 0x12345678)),
	GOOD(64, "mov eax, [rdx*4-1], no base", "8b0495ffffffff", .opcode = 0x8b, .opnd = 4,
	     .addr = 8,
	     MEM(.index = 1 + V3_RDX, .scale = 2, .rm = 4, .disp = -1)),
	GOOD(64, "mov eax, fs:[0x28]", "648b042528000000", .opcode = 0x8b, .opnd = 4, .addr = 8,
	     MEM(.seg = 1 + V3_FS, .rm = 4, .disp = 0x28)),
	GOOD(64, "DS override counts for nothing", "3e8b4500", .opcode = 0x8b, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RBP, .seg = 1 + V3_SS, .rm = 5)),
	GOOD(64, "CS override leaves the GS before it", "652e8b00", .opcode = 0x8b, .opnd = 4,
	     .addr = 8,
	     MEM(.base = 1 + V3_RAX, .seg = 1 + V3_GS)),
	GOOD(64, "mov eax, [ecx]", "678b01", .opcode = 0x8b, .opnd = 4, .addr = 4,
	     MEM(.base = 1 + V3_RCX, .rm = 1)),
	GOOD(64, "mov ax, [rcx]", "668b01", .opcode = 0x8b, .opnd = 2, .addr = 8,
	     MEM(.base = 1 + V3_RCX, .rm = 1)),
	GOOD(64, "REX.W wins over 66", "66488b01", .opcode = 0x8b, .opnd = 8, .addr = 8,
	     MEM(.base = 1 + V3_RCX, .rm = 1)),
	GOOD(64, "REX before 66 is lost", "48668b01", .opcode = 0x8b, .opnd = 2, .addr = 8,
	     MEM(.base = 1 + V3_RCX, .rm = 1)),
	GOOD(64, "movzx r8d, byte [rdi]", "440fb607", TWO, .opcode = 0xb6, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RDI, .reg = 8, .rm = 7)),
	GOOD(64, "movsxd", "486301", .opcode = 0x63, .opnd = 8, .addr = 8, MEM(.base = 1 + V3_RCX,
	     .rm = 1)),
	/* 64-bit: immediates */
	GOOD(64, "mov dword [rax], imm32", "c70078563412", .opcode = 0xc7, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RAX, .imm = 0x12345678)),
	GOOD(64, "mov qword [rax], -1", "48c700ffffffff", .opcode = 0xc7, .opnd = 8, .addr = 8,
	     MEM(.base = 1 + V3_RAX, .imm = ~0ull)),
	GOOD(64, "mov word [rax], imm16", "66c7003412", .opcode = 0xc7, .opnd = 2, .addr = 8,
	     MEM(.base = 1 + V3_RAX, .imm = 0x1234)),
	GOOD(64, "mov rax, imm64", "48b8efcdab8967452301", .opcode = 0xb8, .opnd = 8, .addr = 8,
	     .imm = 0x0123456789abcdefull),
	GOOD(64, "mov r9d, imm32", "41b944332211", .opcode = 0xb9, .opnd = 4, .addr = 8, .rm = 9,
	     .imm = 0x11223344),
	GOOD(64, "mov al, [moffs64]", "a0efcdab8967452381", .opcode = 0xa0, .opnd = 4, .addr = 8,
	     .imm = 0x8123456789abcdefull),
	GOOD(64, "mov eax, [moffs32], not sign-extended", "67a1efcdab89", .opcode = 0xa1, .opnd = 4,
	     .addr = 4,
	     .imm = 0x89abcdef, .rm = 1),
	GOOD(64, "add dword [rax], -2", "8300fe", .opcode = 0x83, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RAX, .imm = 0 - 2ull)),
	GOOD(64, "test byte [rax], imm8", "f60011", .opcode = 0xf6, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RAX, .imm = 0x11)),
	GOOD(64, "test dword [rax], imm32 (/1)", "f70811000000", .opcode = 0xf7, .opnd = 4,
	     .addr = 8,
	     MEM(.base = 1 + V3_RAX, .reg = 1, .imm = 0x11)),
	GOOD(64, "not byte [rax] has none", "f610", .opcode = 0xf6, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RAX, .reg = 2)),
	GOOD(64, "rip-relative with an immediate", "c7050400000011223344", .opcode = 0xc7,
	     .opnd = 4, .addr = 8,
	     .flags = V3_INSN_MODRM | V3_INSN_MEM | V3_INSN_RIPREL, .rm = 5, .disp = 4,
	     .imm = 0x44332211),
	GOOD(64, "enter 16, 1", "c8100001", .opcode = 0xc8, .opnd = 8, .addr = 8, .imm = 16,
	     .imm2 = 1),
	GOOD(64, "in al, 0x71", "e471", .opcode = 0xe4, .opnd = 4, .addr = 8, .rm = 4, .imm = 0x71),
	/* 64-bit: operands of 8 bytes without REX.W */
	GOOD(64, "push rax", "50", .opcode = 0x50, .opnd = 8, .addr = 8),
	GOOD(64, "push ax", "6650", .opcode = 0x50, .opnd = 2, .addr = 8),
	GOOD(64, "push -1", "68ffffffff", .opcode = 0x68, .opnd = 8, .addr = 8, .imm = ~0ull),
	GOOD(64, "push word", "6668ffff", .opcode = 0x68, .opnd = 2, .addr = 8, .imm = ~0ull),
	GOOD(64, "call [rax]", "ff10", .opcode = 0xff, .opnd = 8, .addr = 8, MEM(.base = 1 + V3_RAX,
	     .reg = 2)),
	GOOD(64, "far call [rax] is not one", "ff18", .opcode = 0xff, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RAX, .reg = 3)),
	GOOD(64, "push [r10]", "41ff32", .opcode = 0xff, .opnd = 8, .addr = 8,
	     MEM(.base = 1 + V3_R10, .reg = 6, .rm = 10)),
	GOOD(64, "pop [rax]", "8f00", .opcode = 0x8f, .opnd = 8, .addr = 8,
	     MEM(.base = 1 + V3_RAX)),
	GOOD(64, "jmp rel32", "e9fcffffff", .opcode = 0xe9, .opnd = 8, .addr = 8, .rm = 1,
	     .imm = 0 - 4ull),
	GOOD(64, "jmp rel16 (AMD)", "66e9fcff", .opcode = 0xe9, .opnd = 2, .addr = 8, .rm = 1,
	     .imm = 0 - 4ull),
	GOOD(64, "jz rel32", "0f8400010000", TWO, .opcode = 0x84, .opnd = 8, .addr = 8, .rm = 4,
	     .imm = 0x100),
	/* 64-bit: other maps */
	GOOD(64, "movbe eax, [rax]", "0f38f000", .map = V3_MAP_0F38, .opcode = 0xf0, .opnd = 4,
	     .addr = 8,
	     MEM(.base = 1 + V3_RAX)),
	GOOD(64, "pinsrd xmm0, [rax], 1", "660f3a220001", .map = V3_MAP_0F3A, .opcode = 0x22,
	     .opnd = 2, .addr = 8,
	     MEM(.base = 1 + V3_RAX, .imm = 1)),
	GOOD(64, "extrq xmm0, 1, 2", "660f78c00102", TWO, .opcode = 0x78, .opnd = 2, .addr = 8, RM,
	     .imm = 1,
	     .imm2 = 2),
	GOOD(64, "vmread has no immediate", "0f7800", TWO, .opcode = 0x78, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RAX)),
	GOOD(64, "pfadd mm0, [rax+1]", "0f0f40019e", .map = V3_MAP_3DNOW, .opcode = 0x9e, .opnd = 4,
	     .addr = 8,
	     MEM(.base = 1 + V3_RAX, .disp = 1)),
	GOOD(64, "vmovups xmm0, [rax]", "c5f81000", TWO, .opcode = 0x10, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RAX)),
	GOOD(64, "vmovups xmm8, [rax]", "c5781000", TWO, .opcode = 0x10, .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_RAX, .reg = 8)),
	GOOD(64, "vmovntdqa ymm0, [r8]", "c4c27d2a00", .map = V3_MAP_0F38, .opcode = 0x2a,
	     .opnd = 4, .addr = 8,
	     MEM(.base = 1 + V3_R8, .rm = 8)),
	GOOD(64, "vpalignr", "c4e3790fc004", .map = V3_MAP_0F3A, .opcode = 0x0f, .opnd = 4,
	     .addr = 8, RM, .imm = 4),
	GOOD(64, "vzeroupper has no ModRM", "c5f877", TWO, .opcode = 0x77, .opnd = 4, .addr = 8,
	     .rm = 7),
	GOOD(64, "vmovups zmm16, [rax+0x40*1]", "62e17c48104001", TWO, .opcode = 0x10, .opnd = 4,
	     .addr = 8,
	     MEM(.base = 1 + V3_RAX, .reg = 16, .disp = 1)),
	GOOD(64, "vaddps zmm0, zmm1, zmm18", "62b1744858c2", TWO, .opcode = 0x58, .opnd = 4,
	     .addr = 8, RM, .rm = 18),
	GOOD(64, "vaddph (map 5)", "62f5744858c2", .map = V3_MAP_5, .opcode = 0x58, .opnd = 4,
	     .addr = 8, RM, .rm = 2),
	GOOD(64, "vprotb xmm0, xmm1, 5", "8fe878c0c105", .map = V3_MAP_XOP8, .opcode = 0xc0,
	     .opnd = 4, .addr = 8, RM,
	     .rm = 1, .imm = 5),
	GOOD(64, "bextr eax, [rax], imm32", "8fea781000efbeadde", .map = V3_MAP_XOPA,
	     .opcode = 0x10, .opnd = 4,
	     .addr = 8, MEM(.base = 1 + V3_RAX, .imm = 0xffffffffdeadbeefull)),
	/* 32-bit */
	GOOD(32, "mov eax, [ebp+0], DS override", "3e8b4500", .opcode = 0x8b, .opnd = 4, .addr = 4,
	     MEM(.base = 1 + V3_RBP, .rm = 5)),
	GOOD(32, "mov eax, [disp32]", "8b0578563412", .opcode = 0x8b, .opnd = 4, .addr = 4,
	     MEM(.rm = 5, .disp = 0x12345678)),
	GOOD(32, "mov eax, [moffs32]", "a178563412", .opcode = 0xa1, .opnd = 4, .addr = 4, .rm = 1,
	     .imm = 0x12345678),
	GOOD(32, "mov ax, [moffs32]", "66a178563412", .opcode = 0xa1, .opnd = 2, .addr = 4, .rm = 1,
	     .imm = 0x12345678),
	GOOD(32, "mov eax, [moffs16]", "67a134f2", .opcode = 0xa1, .opnd = 4, .addr = 2, .rm = 1,
	     .imm = 0xf234),
	GOOD(32, "mov eax, [bx+si]", "678b00", .opcode = 0x8b, .opnd = 4, .addr = 2,
	     MEM(.base = 1 + V3_RBX, .index = 1 + V3_RSI)),
	GOOD(32, "inc eax is no REX", "40", .opcode = 0x40, .opnd = 4, .addr = 4),
	GOOD(32, "pusha", "60", .opcode = 0x60, .opnd = 4, .addr = 4),
	GOOD(32, "jmp far", "ea785634120800", .opcode = 0xea, .opnd = 4, .addr = 4, .rm = 2,
	     .imm = 0x12345678,
	     .imm2 = 8),
	GOOD(32, "lds eax, [eax] is no VEX", "c500", .opcode = 0xc5, .opnd = 4, .addr = 4,
	     MEM(.base = 1 + V3_RAX)),
	GOOD(32, "les eax, [esp]", "c40424", .opcode = 0xc4, .opnd = 4, .addr = 4,
	     MEM(.base = 1 + V3_RSP, .seg = 1 + V3_SS, .rm = 4)),
	GOOD(32, "bound eax, [eax] is no EVEX", "6200", .opcode = 0x62, .opnd = 4, .addr = 4,
	     MEM(.base = 1 + V3_RAX)),
	GOOD(32, "vmovups xmm0, [eax]", "c5f81000", TWO, .opcode = 0x10, .opnd = 4, .addr = 4,
	     MEM(.base = 1 + V3_RAX)),
	GOOD(32, "alias of group 1", "820011", .opcode = 0x82, .opnd = 4, .addr = 4,
	     MEM(.base = 1 + V3_RAX, .imm = 0x11)),
	/* 16-bit */
	GOOD(16, "mov ax, [bx+si]", "8b00", .opcode = 0x8b, .opnd = 2, .addr = 2,
	     MEM(.base = 1 + V3_RBX, .index = 1 + V3_RSI)),
	GOOD(16, "mov ax, [bp+di+1]", "8b4301", .opcode = 0x8b, .opnd = 2, .addr = 2,
	     MEM(.base = 1 + V3_RBP, .index = 1 + V3_RDI, .seg = 1 + V3_SS, .rm = 3, .disp = 1)),
	GOOD(16, "mov ax, [bp+0]", "8b4600", .opcode = 0x8b, .opnd = 2, .addr = 2,
	     MEM(.base = 1 + V3_RBP, .seg = 1 + V3_SS, .rm = 6)),
	GOOD(16, "mov ax, [0x1234]", "8b063412", .opcode = 0x8b, .opnd = 2, .addr = 2, MEM(.rm = 6,
	     .disp = 0x1234)),
	GOOD(16, "mov bx, [bx-0x8000]", "8b9f0080", .opcode = 0x8b, .opnd = 2, .addr = 2,
	     MEM(.base = 1 + V3_RBX, .reg = 3, .rm = 7, .disp = -0x8000)),
	GOOD(16, "mov eax, es:[si]", "26668b04", .opcode = 0x8b, .opnd = 4, .addr = 2,
	     MEM(.base = 1 + V3_RSI, .seg = 1 + V3_ES, .rm = 4)),
	GOOD(16, "mov ax, [esp]", "678b0424", .opcode = 0x8b, .opnd = 2, .addr = 4,
	     MEM(.base = 1 + V3_RSP, .seg = 1 + V3_SS, .rm = 4)),
	GOOD(16, "mov ax, [moffs16]", "a134f2", .opcode = 0xa1, .opnd = 2, .addr = 2, .rm = 1,
	     .imm = 0xf234),
	GOOD(16, "call far", "9a34120800", .opcode = 0x9a, .opnd = 2, .addr = 2, .rm = 2,
	     .imm = 0x1234, .imm2 = 8),
	GOOD(16, "jmp rel16", "e9fdff", .opcode = 0xe9, .opnd = 2, .addr = 2, .rm = 1,
	     .imm = 0 - 3ull),
	GOOD(16, "push imm32", "666878563412", .opcode = 0x68, .opnd = 4, .addr = 2,
	     .imm = 0x12345678),
};
/* clang-format on */

static unsigned unhex(const char *hex, uint8_t *bytes)
{
	unsigned n = 0, byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		bytes[n++] = (uint8_t)byte;
	return n;
}

static void test_decode_fields(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct good *g = &good[i];
		struct v3_insn insn = {0};
		uint8_t bytes[32];
		unsigned n = unhex(g->hex, bytes);
		int ret = v3_decode(bytes, n, g->bits, &insn);

#define FIELD(have, want)                                                                          \
	CHECK_MSG((have) == (want), "%u bit, %s: %s is %#llx, expected %#llx", g->bits, g->name,   \
		  #have, (unsigned long long)(have), (unsigned long long)(want))
		if (!FIELD(ret, V3_OK))
			continue;
		FIELD(insn.length, n);
		FIELD(insn.bits, g->bits);
		FIELD(insn.map, g->map);
		FIELD(insn.opcode, g->opcode);
		FIELD(insn.opnd_size, g->opnd);
		FIELD(insn.addr_size, g->addr);
		FIELD(insn.flags, g->flags);
		FIELD(insn.seg, g->seg ? g->seg - 1 : V3_DS);
		FIELD(insn.base, g->base ? g->base - 1 : V3_REG_NONE);
		FIELD(insn.index, g->index ? g->index - 1 : V3_REG_NONE);
		FIELD(insn.scale, g->scale);
		FIELD(insn.reg, g->reg);
		FIELD(insn.rm, g->rm);
		FIELD(insn.disp, g->disp);
		FIELD(insn.imm, g->imm);
		FIELD(insn.imm2, g->imm2);
	}
}

/*
 * A cut instruction is never taken for a whole one, and nothing behind the end is read (ASan
 * looks).
 */
static void test_decode_cut_short(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint8_t bytes[32];
		unsigned n = unhex(good[i].hex, bytes);

		for (unsigned cut = 0; cut < n; cut++) {
			uint8_t *exact = malloc(cut + !cut);
			struct v3_insn insn;

			memcpy(exact, bytes, cut);
			CHECK_MSG(v3_decode(exact, cut, good[i].bits, &insn) == V3_EAGAIN,
				  "%s: %u of %u bytes are enough", good[i].name, cut, n);
			CHECK_EQ(v3_insn_length(exact, cut, good[i].bits), V3_EAGAIN);
			free(exact);
		}
	}
}

static void test_decode_length_agrees(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint8_t bytes[32] = {0};
		unsigned n = unhex(good[i].hex, bytes);

		CHECK_MSG(v3_insn_length(bytes, sizeof(bytes), good[i].bits) == (int)n,
			  "%s: length is not %u", good[i].name, n);
	}
}

static void test_decode_prefixes_and_vector_fields(void)
{
	static const struct {
		const char *hex;
		uint8_t bits, prefix, rex, pp, vvvv, vl, enc;
	} t[] = {
		{"f2f3a4", 64, V3_PFX_REP, 0, 2, 0, 0, V3_ENC_LEGACY},
		{"f3f2a4", 64, V3_PFX_REPNE, 0, 3, 0, 0, V3_ENC_LEGACY},
		{"66f30f1000", 64, V3_PFX_OPSIZE | V3_PFX_REP, 0, 2, 0, 0, V3_ENC_LEGACY},
		{"f0830001", 32, V3_PFX_LOCK, 0, 0, 0, 0, V3_ENC_LEGACY},
		{"67488900", 64, V3_PFX_ADSIZE, V3_REX_ANY | V3_REX_W, 0, 0, 0, V3_ENC_LEGACY},
		{"4f8900", 64, 0, V3_REX_ANY | 15, 0, 0, 0, V3_ENC_LEGACY},
		{"2e8900", 32, V3_PFX_SEG, 0, 0, 0, 0, V3_ENC_LEGACY},
		{"2e8900", 64, 0, 0, 0, 0, 0, V3_ENC_LEGACY},
		{"c5fa1000", 64, 0, 0, 2, 0, 0, V3_ENC_VEX},
		{"c5ec58c1", 64, 0, 0, 0, 2, 1, V3_ENC_VEX},
		{"c4c1bb10c0", 64, 0, V3_REX_W | V3_REX_B, 3, 8, 0, V3_ENC_VEX},
		{"c5c310c0", 32, 0, 0, 3, 7, 0, V3_ENC_VEX}, /* vvvv has three bits there */
		{"62b17442580490", 64, 0, V3_REX_X, 0, 17, 2, V3_ENC_EVEX},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct v3_insn insn;
		uint8_t bytes[32];

		if (!CHECK_MSG(!v3_decode(bytes, unhex(t[i].hex, bytes), t[i].bits, &insn), "%s",
			       t[i].hex))
			continue;
		CHECK_MSG(insn.prefix == t[i].prefix, "%s: prefix %#x", t[i].hex, insn.prefix);
		CHECK_MSG(insn.rex == t[i].rex, "%s: rex %#x", t[i].hex, insn.rex);
		CHECK_MSG(insn.pp == t[i].pp, "%s: pp %u", t[i].hex, insn.pp);
		CHECK_MSG(insn.vvvv == t[i].vvvv, "%s: vvvv %u", t[i].hex, insn.vvvv);
		CHECK_MSG(insn.vl == t[i].vl, "%s: vl %u", t[i].hex, insn.vl);
		CHECK_MSG(insn.enc == t[i].enc, "%s: enc %u", t[i].hex, insn.enc);
	}
}

static void test_decode_undefined(void)
{
	static const struct {
		unsigned bits;
		const char *hex;
	} bad[] = {
		{64, "06"},
		{64, "0e"},
		{64, "17"},
		{64, "1f"},
		{64, "27"},
		{64, "2f"},
		{64, "37"},
		{64, "3f"},
		{64, "60"},
		{64, "61"},
		{64, "820000"},
		{64, "9a"},
		{64, "ce"},
		{64, "d40a"},
		{64, "d50a"},
		{64, "d6"},
		{64, "ea"},
		{32, "0f04"},
		{64, "0f0a"},
		{64, "0f0c"},
		{32, "0f24c0"},
		{64, "0f36"},
		{64, "0f39"},
		{64, "0f3b"},
		{64, "0f7a00"},
		{64, "0fa600"},
		{64, "0f380c00"},
		{64, "0f38ff00"},
		{64, "0f3a0000"},
		{64, "0f3aff00"},
		{64, "0f0fc0ff"},
		{64, "0f0fc000"}, /* no such 3DNow! */
		{64, "66c5f81000"},
		{64, "f3c5f81000"},
		{64, "f2c5f81000"},
		{64, "f0c5f81000"},
		{64, "48c5f81000"},
		{32, "66c5f81000"}, /* VEX behind 66, F3, F2, LOCK, REX */
		{64, "4862f17c481000"},
		{64, "6662f17c481000"},
		{64, "c4e0781000"},
		{64, "c4e4781000"}, /* VEX maps 0 and 4 */
		{64, "62f07c481000"},
		{64, "62f47c481000"},
		{64, "62f77c481000"}, /* EVEX maps */
		{64, "62f978481000"},
		{64, "62f178481000"}, /* EVEX fixed bits */
		{64, "8feb78c0c105"},
		{64, "8fe87800c105"}, /* XOP maps and opcodes */
		{64, "c5f80000"},
		{64, "c5f8ff00"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t bytes[32];
		unsigned n = unhex(bad[i].hex, bytes);
		struct v3_insn insn;
		int ret = v3_decode(bytes, n, bad[i].bits, &insn);

		CHECK_MSG(ret == V3_EINVAL, "%u bit, %s: %d", bad[i].bits, bad[i].hex, ret);
		CHECK_EQ(v3_insn_length(bytes, n, bad[i].bits), V3_EINVAL);
	}
}

static void test_decode_fifteen_bytes_is_the_limit(void)
{
	struct v3_insn insn;
	uint8_t bytes[20];

	memset(bytes, 0x66, sizeof(bytes));
	bytes[14] = 0x90;
	CHECK_EQ(v3_decode(bytes, sizeof(bytes), 64, &insn), V3_OK);
	CHECK_EQ(insn.length, 15);
	bytes[14] = 0x66;
	bytes[15] = 0x90;
	CHECK_EQ(v3_decode(bytes, sizeof(bytes), 64, &insn), V3_E2BIG);
	CHECK_EQ(v3_insn_length(bytes, sizeof(bytes), 16), V3_E2BIG);
	CHECK_EQ(v3_decode(bytes, 14, 64, &insn), V3_EAGAIN);
	CHECK_EQ(v3_decode(bytes, 15, 64, &insn), V3_E2BIG);

	/* The limit also falls into displacements and immediates. */
	memset(bytes, 0x66, sizeof(bytes));
	bytes[8] = 0xc7;
	bytes[9] = 0x80;
	CHECK_EQ(v3_decode(bytes, sizeof(bytes), 64, &insn), V3_E2BIG);
	bytes[7] = 0xc7;
	bytes[8] = 0x80;
	CHECK_EQ(v3_decode(bytes, sizeof(bytes), 64, &insn), V3_OK);
	CHECK_EQ(insn.length, 15);
}

static void test_decode_offset(void)
{
	static const struct {
		const char *hex;
		unsigned bits;
		uint64_t offset;
	} t[] = {
		{"8b44cbf0", 64, 0x1000000000 + (0x20 << 3) - 16},
		{"678b44cbf0", 64, (0x20 << 3) - 16}, /* wraps to 32 bits */
		{"8b0510000000", 64, 0xffffffff80001000 + 6 + 16},
		{"c7051000000044332211", 64,
		 0xffffffff80001000 + 10 + 16}, /* the immediate counts */
		{"678b0510000000", 64, 0x80001000 + 7 + 16},
		{"8b04259cffffff", 64, 0 - 100ull},
		{"678b4708", 32, 7},	/* [bx+8], wraps to 16 bits */
		{"8b40fe", 16, 0xfffd}, /* [bx+si-2] */
		{"8b05f0ffffff", 32, 0xfffffff0},
	};
	struct v3_regs regs = {.rip = 0xffffffff80001000};

	regs.gpr[V3_RBX] = 0x1000000000;
	regs.gpr[V3_RCX] = 0x20;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct v3_insn insn;
		uint8_t bytes[32];

		if (t[i].bits != 64)
			regs.gpr[V3_RBX] = 0xffff;
		if (CHECK_EQ(v3_decode(bytes, unhex(t[i].hex, bytes), t[i].bits, &insn), V3_OK))
			CHECK_MSG(v3_insn_offset(&insn, &regs) == t[i].offset, "%s: %#" PRIx64,
				  t[i].hex, v3_insn_offset(&insn, &regs));
	}
}

/*
 * Whatever the bytes: a result in range, the same from both functions, and independent of what
 * follows.
 */
static void test_decode_random_bytes(void)
{
	static const unsigned bits[3] = {16, 32, 64};

	for (unsigned i = 0; i < 300000; i++) {
		uint64_t r[2] = {tap_rand(), tap_rand()};
		struct v3_insn insn, again;
		uint8_t bytes[16], *exact;
		int ret;

		memcpy(bytes, r, 16);
		if (i & 1)
			bytes[i >> 1 & 3] = "\x0f\xc5\xc4\x62"[i >> 3 & 3];
		ret = v3_decode(bytes, 15, bits[i % 3], &insn);
		CHECK(ret == V3_OK || ret == V3_EINVAL || ret == V3_E2BIG);
		CHECK_EQ(v3_insn_length(bytes, 15, bits[i % 3]), ret ? ret : insn.length);
		if (ret)
			continue;
		CHECK(insn.length >= 1 && insn.length <= 15);
		exact = malloc(insn.length);
		memcpy(exact, bytes, insn.length);
		CHECK_EQ(v3_decode(exact, insn.length, bits[i % 3], &again), V3_OK);
		CHECK_MEM(&again, &insn, sizeof(insn));
		CHECK_EQ(v3_decode(exact, insn.length - 1u, bits[i % 3], &again), V3_EAGAIN);
		free(exact);
	}
}

static const struct tap_test tests[] = {
	TAP(test_decode_fields),	TAP(test_decode_cut_short),
	TAP(test_decode_length_agrees), TAP(test_decode_prefixes_and_vector_fields),
	TAP(test_decode_undefined),	TAP(test_decode_fifteen_bytes_is_the_limit),
	TAP(test_decode_offset),	TAP(test_decode_random_bytes),
};
TAP_MAIN(tests)
