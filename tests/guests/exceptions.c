/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every exception a program can provoke arrives once, with its error code, at the right instruction.
 * AMD APM 24593 r3.42 section 8.2.
 */
#include "guest.h"

#define NOT_CANONICAL 0x0000900000000000ull

static volatile unsigned traps;
static volatile uint64_t trap_rip, trap_dr6;

static void note_trap(struct g_frame *f)
{
	traps++;
	trap_rip = f->rip;
}

static void note_step(struct g_frame *f)
{
	uint64_t dr6;

	traps++;
	__asm__ volatile("movq %%dr6, %0" : "=r"(dr6));
	trap_dr6 = dr6;
	if (traps == 3)
		f->rflags &= ~0x100ull;
}

static void check_faults(void)
{
	uint16_t sel = 0;

	__asm__ volatile(G_TRY("divl %%ecx") : : "a"(1), "d"(0), "c"(0) : "memory");
	CHECK(g_fault == X_DE);
	__asm__ volatile(G_TRY("ud2") : : : "memory");
	CHECK(g_fault == X_UD);
	__asm__ volatile(G_TRY("movq (%0), %%rax") : : "r"(NOT_CANONICAL) : "rax", "memory");
	CHECK(g_fault == X_GP && g_fault_error == 0);
	sel = 0x1000; /* beyond the table */
	__asm__ volatile(G_TRY("movw %0, %%es") : : "r"(sel) : "memory");
	CHECK(g_fault == X_GP && g_fault_error == 0x1000);
	g_gdt[0x50 / 8] = 0x00cf13000000ffff; /* data, not present */
	sel = 0x50;
	__asm__ volatile(G_TRY("movw %0, %%es") : : "r"(sel) : "memory");
	CHECK(g_fault == X_NP && g_fault_error == 0x50);
	__asm__ volatile(G_TRY("movw %0, %%ss") : : "r"(sel) : "memory");
	CHECK(g_fault == X_SS && g_fault_error == 0x50);
	sel = 0x10;
	__asm__ volatile("movw %0, %%es" : : "r"(sel));
}

static void check_gate(void)
{
	/* a vector beyond the IDT's limit: #GP with the IDT bit in the error code. The rest of the code is not
	 * looked at: QEMU's CPU gives the byte offset where silicon gives vector * 8. */
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr, cut;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	cut = idtr;
	cut.limit = 0x40 * 16 - 1;
	__asm__ volatile("lidt %0" : : "m"(cut));
	__asm__ volatile(G_TRY("int $0x80") : : : "memory");
	CHECK(g_fault == X_GP && (g_fault_error & 7) == 2);
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

static void check_traps(void)
{
	uint64_t here;

	g_handler[X_BP] = note_trap;
	traps = 0;
	__asm__ volatile("int3\n1: leaq 1b(%%rip), %0" : "=r"(here) : : "memory");
	CHECK(traps == 1 && trap_rip == here);
	__asm__ volatile(".byte 0xcd, 0x03\n1: leaq 1b(%%rip), %0" : "=r"(here) : : "memory");
	CHECK(traps == 2 && trap_rip == here);
	g_handler[X_BP] = NULL;

	g_handler[0x81] = note_trap;
	__asm__ volatile("int $0x81\n1: leaq 1b(%%rip), %0" : "=r"(here) : : "memory");
	CHECK(traps == 3 && trap_rip == here);
	g_handler[0x81] = NULL;

	/* single step over an instruction that exits, one that does not, and a port access */
	g_handler[X_DB] = note_step;
	traps = 0;
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq\n"
			 "xorl %%eax, %%eax; cpuid; inb $0x80, %%al; nop; nop"
			 :
			 :
			 : "rax", "rbx", "rcx", "rdx", "memory");
	CHECK_M(traps == 3, "%u single steps\n", traps);
	CHECK(trap_dr6 & 1u << 14); /* BS */
	g_handler[X_DB] = NULL;
}

/* Page faults in a 4 KiB mapping of our own at 1 GiB + 2 MiB. */
static uint64_t table[512] __attribute__((aligned(4096)));
static uint8_t page[4096] __attribute__((aligned(4096)));

static void map(uint64_t flags)
{
	table[0] = ((uint64_t)page & 0xfffffffff000ull) | flags;
	__asm__ volatile("invlpg (%0)" : : "r"(0x40200000ull) : "memory");
}

static void check_page_faults(void)
{
	const uint64_t at = 0x40200123;

	g_pd[512 + 1] = (uint64_t)table | 7;
	__asm__ volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" : : : "rax", "memory");
	map(0);
	__asm__ volatile(G_TRY("movb (%0), %%al") : : "r"(at) : "rax", "memory");
	CHECK(g_fault == X_PF && g_fault_error == 0 && g_fault_cr2 == at);
	__asm__ volatile(G_TRY("movb %%al, (%0)") : : "r"(at + 1) : "memory");
	CHECK(g_fault == X_PF && g_fault_error == 2 && g_fault_cr2 == at + 1);
	map(1);
	__asm__ volatile(G_TRY("movb (%0), %%al") : : "r"(at) : "rax", "memory");
	CHECK(g_fault == X_NONE);
	__asm__ volatile(G_TRY("movb %%al, (%0)") : : "r"(at) : "memory");
	CHECK(g_fault == X_PF && g_fault_error == 3 && g_fault_cr2 == at);
	map(3);
	__asm__ volatile(G_TRY("movb %%al, (%0)") : : "r"(at) : "memory");
	CHECK(g_fault == X_NONE);
	map(0);
	__asm__ volatile(G_TRY("movb (%0), %%al") : : "r"(at) : "rax", "memory");
	CHECK(g_fault == X_PF); /* INVLPG has worked */
}

/* x87 only: QEMU's CPU raises no SIMD exceptions */
static void check_fpu_faults(void)
{
	uint16_t cw = 0x37b; /* zero divide unmasked */

	__asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp" : : "m"(cw));
	__asm__ volatile(G_TRY("fwait") : : : "memory");
	CHECK(g_fault == X_MF);
	__asm__ volatile("fnclex; fninit");
}

int main(void)
{
	check_faults();
	check_gate();
	check_traps();
	check_page_faults();
	check_fpu_faults();
	return g_result();
}
