/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Down from 64-bit to compatibility, 32-bit protected mode with PAE, with 4 MiB pages and without paging, 16-bit
 * protected, real mode, and up again; with accesses to the local APIC on the way, which the VMM has to emulate in each mode.
 * AMD APM 24593 r3.42 sections 1.2, 14.6 - 14.8.
 */
#include "guest.h"

#define LOW 0x6000 /* where the 16-bit code is copied to, below 64 KiB */

extern char low_code[], low_end[];
void modes_go_down(void);

struct marks {
	uint32_t compat_sum, apic_32, apic_real, real_int, real_cs, real_cpuid_b, real_loop,
		real_msw;
	uint32_t apic_push, up;
	uint32_t pae_cpuid_b, pae_apic, pse_cpuid_b, pse_apic;
};
struct marks marks;

/* Page tables that map 4 GiB one to one: APM vol. 2 5.2.2, 5.2.3. */
uint32_t pse_directory[1024] __attribute__((aligned(4096)));
uint64_t pae_pointers[4] __attribute__((aligned(32)));
uint64_t pae_directory[2048] __attribute__((aligned(4096)));

__asm__(".text\n"
	".code64\n"
	"modes_go_down:\n"
	"	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"	movq %rsp, saved_rsp\n"
	"	pushq $0x18\n" /* compatibility mode: 32-bit code under long mode */
	"	pushq $1f\n"
	"	lretq\n"
	"	.code32\n"
	"1:	movl $0x10000000, %eax\n"
	"	addl $0xf0000001, %eax\n" /* 0x00000001 and a carry, were it 64 bits wide */
	"	adcl $0, %eax\n"
	"	movl %eax, marks + 0\n"
	"	movl %cr0, %eax\n"
	"	andl $0x7fffffff, %eax\n"
	"	movl %eax, %cr0\n" /* paging off: long mode ends */
	"	movl $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	andl $~0x100, %eax\n"
	"	wrmsr\n"
	"	movl $pae_pointers, %eax\n"
	"	movl %eax, %cr3\n"
	"	movl %cr0, %eax\n"
	"	orl $0x80000000, %eax\n"
	"	movl %eax, %cr0\n"
	"	movl $0x40000000, %eax\n"
	"	cpuid\n"
	"	movl %ebx, marks + 40\n"
	"	movl 0xfee00030, %eax\n"
	"	movl %eax, marks + 44\n"
	"	movl %cr0, %eax\n"
	"	andl $0x7fffffff, %eax\n"
	"	movl %eax, %cr0\n"
	"	movl %cr4, %eax\n"
	"	xorl $0x30, %eax\n" /* PAE off, PSE on */
	"	movl %eax, %cr4\n"
	"	movl $pse_directory, %eax\n"
	"	movl %eax, %cr3\n"
	"	movl %cr0, %eax\n"
	"	orl $0x80000000, %eax\n"
	"	movl %eax, %cr0\n"
	"	movl $0x40000000, %eax\n"
	"	cpuid\n"
	"	movl %ebx, marks + 48\n"
	"	movl 0xfee00030, %eax\n"
	"	movl %eax, marks + 52\n"
	"	movl %cr0, %eax\n"
	"	andl $0x7fffffff, %eax\n"
	"	movl %eax, %cr0\n"
	"	movl 0xfee00030, %eax\n"
	"	movl %eax, marks + 4\n"
	"	pushl 0xfee00030\n" /* memory operand of a push */
	"	popl marks + 32\n"
	"	ljmp $0x20, $(0x6000 + low_pm16 - low_code)\n"
	"\n"
	"	.globl low_code, low_end\n"
	"	.code16\n"
	"low_code:\n"
	"low_pm16:\n"
	"	movl %cr0, %eax\n"
	"	andb $0xfe, %al\n"
	"	movl %eax, %cr0\n" /* DS keeps the 4 GiB limit of its descriptor */
	"	ljmp $0, $(0x6000 + low_real - low_code)\n"
	"low_real:\n"
	"	lidtl %cs:(0x6000 + low_idtr - low_code)\n"
	"	addr32 movl 0xfee00030, %eax\n"
	"	addr32 movl %eax, marks + 8\n"
	"	xorw %ax, %ax\n"
	"	movw %ax, %ss\n"
	"	movw $0x5ff0, %sp\n"
	"	movw %ax, %es\n"
	"	movw $(0x6000 + low_int - low_code), %es:0x40*4\n"
	"	movw %ax, %es:0x40*4+2\n"
	"	xorl %ebp, %ebp\n"
	"	int $0x40\n"
	"	int $0x40\n"
	"	addr32 movl %ebp, marks + 12\n"
	"	xorl %eax, %eax\n"
	"	movw %cs, %ax\n"
	"	addr32 movl %eax, marks + 16\n"
	"	movl $0x40000000, %eax\n"
	"	cpuid\n"
	"	addr32 movl %ebx, marks + 20\n"
	"	movl $1000, %ecx\n"
	"	xorl %eax, %eax\n"
	"1:	addl %ecx, %eax\n"
	"	loopl 1b\n"
	"	addr32 movl %eax, marks + 24\n"
	"	smsw %eax\n"
	"	addr32 movl %eax, marks + 28\n"
	"	movw $0xe9, %dx\n" /* string output with 16-bit addresses */
	"	movw $(0x6000 + low_text - low_code), %si\n"
	"	movw $5, %cx\n"
	"	xorw %ax, %ax\n"
	"	movw %ax, %ds\n"
	"	cld\n"
	"	rep outsb\n"
	"	movl %cr0, %eax\n"
	"	orb $1, %al\n"
	"	movl %eax, %cr0\n"
	"	ljmpl $0x18, $low_pm32\n"
	"low_int:\n"
	"	incl %ebp\n"
	"	iret\n"
	"low_text: .ascii \"real\\n\"\n"
	"low_idtr: .word 0x3ff\n"
	"	.long 0\n"
	"low_end:\n"
	"	.code32\n"
	"low_pm32:\n"
	"	movl $0x10, %eax\n"
	"	movl %eax, %ds; movl %eax, %es; movl %eax, %ss\n"
	"	movl $1, marks + 36\n"
	"	movl $modes_up, %edi\n"
	"	jmp g_enter_long\n"
	"	.code64\n"
	"modes_up:\n"
	"	movq saved_rsp, %rsp\n"
	"	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"	ret\n"
	".bss\n"
	".align 8\n"
	"saved_rsp: .skip 8\n"
	".text\n");

static void make_tables(void)
{
	for (uint32_t i = 0; i < 1024; i++)
		pse_directory[i] = i << 22 | 0x83; /* present, writable, large */
	for (uint64_t i = 0; i < 2048; i++)
		pae_directory[i] = i << 21 | 0x83;
	for (uint32_t i = 0; i < 4; i++)
		pae_pointers[i] = (uint64_t)&pae_directory[i * 512] | 1;
}

int main(void)
{
	uint32_t version = mmio_read(LAPIC + APIC_VERSION), i, round;
	char *low = (char *)LOW;

	for (i = 0; low_code + i < low_end; i++)
		low[i] = low_code[i];
	for (round = 0; round < 3; round++) {
		make_tables(); /* new ones: no bit that a walk left behind */
		marks = (struct marks){0};
		modes_go_down();
		g_load_idt(); /* real mode has its own */
		CHECK(marks.compat_sum == 2);
		CHECK(marks.pae_cpuid_b == cpuid(0x40000000, 0).b);
		CHECK(marks.pae_apic == version);
		CHECK(marks.pse_cpuid_b == cpuid(0x40000000, 0).b);
		CHECK(marks.pse_apic == version);
		CHECK(marks.apic_32 == version);
		CHECK(marks.apic_push == version);
		CHECK(marks.apic_real == version);
		CHECK(marks.real_int == 2);
		CHECK(marks.real_cs == 0);
		CHECK(marks.real_cpuid_b == cpuid(0x40000000, 0).b);
		CHECK(marks.real_loop == 500500);
		CHECK((marks.real_msw & 1) == 0);
		CHECK(marks.up == 1);
		CHECK((rdmsr(MSR_EFER) & 0x500) == 0x500);
	}
	return g_result();
}
