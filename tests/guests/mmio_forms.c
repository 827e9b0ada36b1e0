/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instructions of many forms on a memory-mapped register: the VMM emulates each, and the result must be the
 * one the CPU would give on plain memory. Every form runs first on RAM, then on the APIC register, with the
 * same inputs; results and flags are compared. Used is ICR2 (bits 31..24 kept) and, as it keeps all 32 bits,
 * the timer's initial count with the timer masked. AMD APM 24593 r3.42 section 16.3.
 */
#include "guest.h"

#define REG   (LAPIC + APIC_TMICT)
#define FLAGS 0x8d5u /* OF SF ZF AF PF CF */

struct state {
	uint64_t a, b, c, d, flags, mem;
};

static uint64_t ram_cell __attribute__((aligned(64)));
static unsigned tested;

/* One form: RDI points to the cell, RAX RBX RCX RDX go in and out. */
#define FORM(name, insn)                                                                           \
	static void form_##name(uint64_t cell, struct state *s)                                    \
	{                                                                                          \
		__asm__ volatile("pushq $0x8d7; popfq\n" insn "\npushfq; popq %4"                  \
				 : "+a"(s->a), "+b"(s->b), "+c"(s->c), "+d"(s->d), "=r"(s->flags), \
				   "+D"(cell)                                                      \
				 :                                                                 \
				 : "rsi", "r8", "r9", "r10", "r11", "r12", "memory", "cc");        \
	}

FORM(mov_load, "movl (%%rdi), %%eax")
FORM(mov_store, "movl %%ebx, (%%rdi)")
FORM(mov_store_imm, "movl $0x12345678, (%%rdi)")
FORM(mov_load_r8, "movl (%%rdi), %%r8d; movl %%r8d, %%eax")
FORM(mov_store_r12, "movl %%ecx, %%r12d; movl %%r12d, (%%rdi)")
FORM(mov_sib, "movl $4, %%esi; movl %%ebx, -16(%%rdi,%%rsi,4)")
FORM(mov_addr32, "movl %%ebx, (%%edi)")
FORM(movslq, "movslq (%%rdi), %%rax")
FORM(add_to, "addl %%ebx, (%%rdi)")
FORM(add_from, "addl (%%rdi), %%eax")
FORM(add_imm8, "addl $-3, (%%rdi)")
FORM(add_imm32, "addl $0x1000001, (%%rdi)")
FORM(adc_to, "stc; adcl %%ebx, (%%rdi)")
FORM(sbb_to, "stc; sbbl %%ebx, (%%rdi)")
FORM(sub_from, "subl (%%rdi), %%eax")
FORM(or_to, "orl %%ebx, (%%rdi)")
FORM(and_to, "andl %%ebx, (%%rdi)")
FORM(xor_imm, "xorl $0x55aa55aa, (%%rdi)")
FORM(cmp_mem, "cmpl %%ebx, (%%rdi)")
FORM(cmp_reg, "cmpl (%%rdi), %%ebx")
FORM(cmp_imm, "cmpl $0x1234567, (%%rdi)")
FORM(test_reg, "testl %%ebx, (%%rdi)")
FORM(test_imm, "testl $0x80000001, (%%rdi)")
FORM(inc, "incl (%%rdi)")
FORM(dec, "decl (%%rdi)")
FORM(not, "notl (%%rdi)")
FORM(neg, "negl (%%rdi)")
FORM(lock_add, "lock addl %%ebx, (%%rdi)")
FORM(lock_or, "lock orl $0x10, (%%rdi)")
FORM(xchg, "xchgl %%ebx, (%%rdi)")
FORM(xadd, "lock xaddl %%ebx, (%%rdi)")
FORM(cmpxchg, "lock cmpxchgl %%ebx, (%%rdi)")
FORM(cmpxchg_equal, "movl (%%rdi), %%eax; lock cmpxchgl %%ebx, (%%rdi)")
FORM(bt, "btl $5, (%%rdi)")
FORM(bts, "btsl $7, (%%rdi)")
FORM(btr, "lock btrl $9, (%%rdi)")
FORM(btc, "btcl $11, (%%rdi)")
FORM(bts_reg, "andl $31, %%ecx; btsl %%ecx, (%%rdi)")
FORM(cmov, "clc; cmovcl (%%rdi), %%eax; stc; cmovcl (%%rdi), %%ebx")
FORM(imul, "imull (%%rdi), %%eax")
FORM(imul3, "imull $77, (%%rdi), %%eax")
FORM(mul, "mull (%%rdi)")
FORM(shl, "movb $3, %%cl; shll %%cl, (%%rdi)")
FORM(sar1, "sarl (%%rdi)")
FORM(rol, "roll $5, (%%rdi)")
FORM(push_pop, "movl (%%rdi), %%esi; pushq %%rsi; popq %%rax")
FORM(lods, "movq %%rdi, %%rsi; cld; lodsl")
FORM(stos, "cld; stosl")
FORM(movs_in, "movq %%rdi, %%rsi; subq $64, %%rsp; movq %%rsp, %%rdi; cld; movsl; movl (%%rsp), "
	      "%%eax; addq $64, %%rsp")
FORM(movs_out,
     "subq $64, %%rsp; movl %%ebx, (%%rsp); movq %%rsp, %%rsi; cld; movsl; addq $64, %%rsp")
FORM(scas, "cld; scasl")
FORM(rep_stos, "movl $1, %%ecx; cld; rep stosl")
FORM(rep_stos_none, "xorl %%ecx, %%ecx; cld; rep stosl")
FORM(rep_movs, "subq $64, %%rsp; movl %%ebx, (%%rsp); movq %%rsp, %%rsi; movl $1, %%ecx; cld; rep "
	       "movsl; addq $64, %%rsp")
FORM(movd_load, "movd (%%rdi), %%xmm3; movd %%xmm3, %%eax")
FORM(movd_store, "movd %%ebx, %%xmm5; movd %%xmm5, (%%rdi)")
FORM(movnti, "movnti %%ebx, (%%rdi)")
FORM(bswap_movbe, "movl (%%rdi), %%eax; bswapl %%eax")

/* Forms whose flags the manuals leave undefined in part: which ones are defined. */
#define ARITH FLAGS
#define LOGIC (FLAGS & ~0x10u)
#define CARRY 1u
#define NONE  0u

static const struct {
	const char *name;
	void (*fn)(uint64_t cell, struct state *s);
	uint32_t flags;
} forms[] = {
#define F(name, flags)                                                                             \
	{                                                                                          \
#name, form_##name, flags                                                          \
	}
	F(mov_load, ARITH),    F(mov_store, ARITH),	F(mov_store_imm, ARITH),
	F(mov_load_r8, ARITH), F(mov_store_r12, ARITH), F(mov_sib, ARITH),
	F(mov_addr32, ARITH),  F(movslq, ARITH),	F(add_to, ARITH),
	F(add_from, ARITH),    F(add_imm8, ARITH),	F(add_imm32, ARITH),
	F(adc_to, ARITH),      F(sbb_to, ARITH),	F(sub_from, ARITH),
	F(or_to, LOGIC),       F(and_to, LOGIC),	F(xor_imm, LOGIC),
	F(cmp_mem, ARITH),     F(cmp_reg, ARITH),	F(cmp_imm, ARITH),
	F(test_reg, LOGIC),    F(test_imm, LOGIC),	F(inc, ARITH),
	F(dec, ARITH),	       F(not, ARITH),		F(neg, ARITH),
	F(lock_add, ARITH),    F(lock_or, LOGIC),	F(xchg, ARITH),
	F(xadd, ARITH),	       F(cmpxchg, ARITH),	F(cmpxchg_equal, ARITH),
	F(bt, CARRY),	       F(bts, CARRY),		F(btr, CARRY),
	F(btc, CARRY),	       F(bts_reg, CARRY),	F(cmov, CARRY),
	F(imul, CARRY),	       F(imul3, CARRY),		F(mul, CARRY),
	F(shl, CARRY),	       F(sar1, LOGIC),		F(rol, CARRY),
	F(push_pop, ARITH),    F(lods, ARITH),		F(stos, ARITH),
	F(movs_in, ARITH),     F(movs_out, ARITH),	F(scas, ARITH),
	F(rep_stos, ARITH),    F(rep_stos_none, ARITH), F(rep_movs, ARITH),
	F(movd_load, ARITH),   F(movd_store, ARITH),	F(movnti, ARITH),
	F(bswap_movbe, ARITH),
#undef F
};

static void compare(unsigned i, uint32_t mem, const struct state *in)
{
	struct state ram = *in, reg = *in;

	ram_cell = mem;
	forms[i].fn((uint64_t)&ram_cell, &ram);
	mmio_write(REG, mem);
	forms[i].fn(REG, &reg);
	ram.mem = (uint32_t)ram_cell;
	reg.mem = mmio_read(REG);
	tested++;
	CHECK_M(ram.a == reg.a && ram.b == reg.b && ram.c == reg.c && ram.d == reg.d &&
			ram.mem == reg.mem && !((ram.flags ^ reg.flags) & forms[i].flags),
		"%s on %x a %lx b %lx: a %lx/%lx b %lx/%lx mem %lx/%lx flags %lx/%lx\n",
		forms[i].name, mem, in->a, in->b, ram.a, reg.a, ram.b, reg.b, ram.mem, reg.mem,
		ram.flags & FLAGS, reg.flags & FLAGS);
}

int main(void)
{
	static const uint32_t values[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x12345678};
	struct state in = {0};
	unsigned i, k, r;

	g_apic_enable();
	CHECK(try_write_cr4(read_cr4() | 0x600) == X_NONE);
	for (i = 0; i < G_NELEM(forms); i++) {
		for (k = 0; k < G_NELEM(values); k++) {
			in.a = values[k];
			in.b = values[(k + 1) % G_NELEM(values)];
			in.c = 0x1f + k;
			in.d = 0xd00d;
			compare(i, values[(k + 2) % G_NELEM(values)], &in);
		}
		for (r = 0; r < 6; r++) {
			in.a = g_random();
			in.b = g_random();
			in.c = g_random();
			in.d = g_random();
			compare(i, (uint32_t)g_random(), &in);
		}
	}
	g_print("# %u cases of %u forms\n", tested, (unsigned)G_NELEM(forms));
	mmio_write(REG, 0);
	return g_result();
}
