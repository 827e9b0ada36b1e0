/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segment registers stored to and loaded from memory that the VMM emulates: PUSH and POP in 32-bit code with
 * the stack on an APIC register (the timer's initial count, timer masked), MOV in 64-bit code on one page of
 * RAM (told "hook=33554432", the bare-metal host intercepts it; else the CPU itself is tested) and on nothing
 * at all, which reads as ones. AMD APM 24593 r3.42 sections 4.8, 4.11; 24594 "MOV", "POP".
 */
#include "guest.h"

#define REG	    (LAPIC + APIC_TMICT)
#define PAGE	    (32ul << 20)
#define NOTHING	    0xc0000000ul
#define MSR_FS_BASE 0xc0000100

#define SEL_ABSENT 0x50
#define SEL_EXEC   0x58 /* code that cannot be read */
#define SEL_NEW	   0x60 /* never accessed */
#define SEL_BASE   0x68
#define BASE	   0x12345678u

/* Exceptions must not use the stack of the moment, which may be an APIC register. */
static uint8_t fault_stack[4096] __attribute__((aligned(16)));

/* One instruction in 32-bit code with this stack pointer. @return the stack pointer after it */
#define COMPAT(name, insn)                                                                         \
	static __attribute__((noinline)) uint32_t name(uint64_t sp)                                \
	{                                                                                          \
		__asm__ volatile("movl %%esp, %%ebx\n"                                             \
				 "pushq $0x18; pushq $1f; lretq\n"                                 \
				 ".code32\n"                                                       \
				 "1: movl %%eax, %%esp\n" G_TRY(insn) "movl %%esp, %%eax\n"        \
								      "ljmp $0x08, $2f\n"          \
								      ".code64\n"                  \
								      "2: movl %%ebx, %%esp\n"     \
				 : "+a"(sp)                                                        \
				 :                                                                 \
				 : "rbx", "memory");                                               \
		return (uint32_t)sp;                                                               \
	}
COMPAT(push_es, "pushl %%es")
COMPAT(push_cs, "pushl %%cs")
COMPAT(push_ss, "pushl %%ss")
COMPAT(push_ds, "pushl %%ds")
COMPAT(push_fs, "pushl %%fs")
COMPAT(push_gs, "pushl %%gs")
COMPAT(pop_es, "popl %%es")
COMPAT(pop_ss, "popl %%ss")
COMPAT(pop_ds, "popl %%ds")
COMPAT(pop_fs, "popl %%fs")
COMPAT(pop_gs, "popl %%gs")

#define MOVES(seg)                                                                                 \
	static void mov_to_##seg(uint64_t at)                                                      \
	{                                                                                          \
		__asm__ volatile(G_TRY("movw (%0), %%" #seg) : : "r"(at) : "memory");              \
	}                                                                                          \
	static uint16_t get_##seg(void)                                                            \
	{                                                                                          \
		uint16_t sel;                                                                      \
                                                                                                   \
		__asm__ volatile("movw %%" #seg ", %0" : "=r"(sel));                               \
		return sel;                                                                        \
	}                                                                                          \
	static void store_##seg(uint64_t at)                                                       \
	{                                                                                          \
		__asm__ volatile("movw %%" #seg ", (%0)" : : "r"(at) : "memory");                  \
	}
MOVES(es)
MOVES(ss)
MOVES(ds)
MOVES(fs)
MOVES(gs)

enum { ES, SS, DS, FS, GS, NSEG };
static const struct {
	uint32_t (*push)(uint64_t sp), (*pop)(uint64_t sp);
	void (*load)(uint64_t at), (*store)(uint64_t at);
	uint16_t (*get)(void);
} regs[NSEG] = {
	{push_es, pop_es, mov_to_es, store_es, get_es},
	{push_ss, pop_ss, mov_to_ss, store_ss, get_ss},
	{push_ds, pop_ds, mov_to_ds, store_ds, get_ds},
	{push_fs, pop_fs, mov_to_fs, store_fs, get_fs},
	{push_gs, pop_gs, mov_to_gs, store_gs, get_gs},
};

static const struct {
	unsigned seg;
	uint16_t sel;
	int vector, error;
} cases[] = {
	{ES, 0x10, X_NONE, 0},
	{DS, 0x13, X_GP, 0x10}, /* RPL 3, DPL 0 */
	{DS, 0x08, X_NONE, 0},	/* readable code */
	{FS, 0x3b, X_NONE, 0},
	{GS, 0x38, X_NONE, 0},
	{FS, 0x02, X_NONE, 0},	/* null */
	{ES, 0x40, X_GP, 0x40}, /* TSS */
	{ES, SEL_EXEC, X_GP, SEL_EXEC},
	{GS, SEL_ABSENT, X_NP, SEL_ABSENT},
	{DS, 0x90, X_GP, 0x90}, /* behind the end of the GDT */
	{DS, 0x14, X_GP, 0x14}, /* no LDT */
	{SS, 0x10, X_NONE, 0},
	{SS, 0x13, X_GP, 0x10},
	{SS, 0x38, X_GP, 0x38}, /* DPL 3 */
	{SS, 0x08, X_GP, 0x08}, /* code */
	{SS, SEL_ABSENT, X_SS, SEL_ABSENT},
};

static void check_result(unsigned i, const char *how, uint16_t old)
{
	uint16_t now = regs[cases[i].seg].get();
	uint16_t want = cases[i].vector == X_NONE ? cases[i].sel : old;

	CHECK_M(g_fault == cases[i].vector &&
			(g_fault == X_NONE || g_fault_error == (uint64_t)cases[i].error),
		"%s case %u: vector %d error %lx\n", how, i, g_fault, g_fault_error);
	CHECK_M(now == want, "%s case %u: selector %x, expected %x\n", how, i, now, want);
}

static void set_up(void)
{
	unsigned v;

	*(uint64_t *)(g_tss + 36) = (uint64_t)(fault_stack + sizeof(fault_stack)); /* IST 1 */
	for (v = X_TS; v <= X_PF; v++)
		g_set_gate(v, 1, 0);
	__asm__ volatile("lldt %w0" : : "r"(0));
	g_gdt[SEL_ABSENT / 8] = 0x00cf13000000ffff;
	g_gdt[SEL_EXEC / 8] = 0x00cf99000000ffff;
	g_gdt[SEL_NEW / 8] = 0x00cf92000000ffff;
	g_gdt[SEL_BASE / 8] = 0x00cf93000000ffff | (uint64_t)(BASE & 0xffffff) << 16 |
			      (uint64_t)(BASE >> 24) << 56;
	g_apic_enable();
}

/* 32-bit code needs a DS it can write through. */
static void flat_ds(void)
{
	__asm__ volatile("movl %0, %%ds" : : "r"(0x10) : "memory");
}

static void on_the_apic(void)
{
	unsigned i;

	for (i = 0; i < NSEG; i++) {
		mmio_write(REG, 0x55aa0000);
		CHECK(regs[i].push(REG + 4) == REG);
		CHECK(g_fault == X_NONE);
		CHECK((mmio_read(REG) & 0xffff) == regs[i].get());
	}
	mmio_write(REG, 0);
	CHECK(push_cs(REG + 4) == REG);
	CHECK((mmio_read(REG) & 0xffff) == 0x18);
	for (i = 0; i < G_NELEM(cases); i++) {
		uint16_t old;
		uint32_t sp;

		flat_ds();
		old = regs[cases[i].seg].get();
		mmio_write(REG, 0x77770000u | cases[i].sel);
		sp = regs[cases[i].seg].pop(REG);
		check_result(i, "pop", old);
		CHECK(sp == (cases[i].vector == X_NONE ? REG + 4 : REG));
	}
	mmio_write(REG, 0);
	pop_ss(REG);
	CHECK(g_fault == X_GP && g_fault_error == 0);
	mmio_write(REG, SEL_NEW);
	pop_es(REG);
	CHECK(g_fault == X_NONE && (g_gdt[SEL_NEW / 8] >> 40 & 0xff) == 0x93);
	mmio_write(REG, 0);
}

static void on_the_page(void)
{
	volatile uint64_t *cell = (volatile uint64_t *)PAGE;
	unsigned i;

	for (i = 0; i < NSEG; i++) {
		*cell = ~0ull;
		regs[i].store(PAGE);
		CHECK(*cell == (~0xffffull | regs[i].get()));
	}
	for (i = 0; i < G_NELEM(cases); i++) {
		uint16_t old = regs[cases[i].seg].get();

		*cell = 0x7777777777770000u | cases[i].sel;
		regs[cases[i].seg].load(PAGE);
		check_result(i, "mov", old);
	}
	*cell = SEL_BASE;
	mov_to_fs(PAGE);
	CHECK(g_fault == X_NONE && rdmsr(MSR_FS_BASE) == BASE);
	*cell = 0;
	mov_to_ss(PAGE); /* null: legal in 64-bit code */
	CHECK(g_fault == X_NONE && get_ss() == 0);
	*cell = 0x10;
	mov_to_ss(PAGE);
	CHECK(g_fault == X_NONE && get_ss() == 0x10);
}

int main(void)
{
	set_up();
	on_the_apic();
	on_the_page();
	mov_to_ds(NOTHING);
	CHECK(g_fault == X_GP && g_fault_error == 0xfffc);
	__asm__ volatile(G_TRY("movw %%ds, (%0)") : : "r"(NOTHING) : "memory");
	CHECK(g_fault == X_NONE);
	g_print("# %u selectors\n", (unsigned)G_NELEM(cases));
	return g_result();
}
