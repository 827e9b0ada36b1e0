/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hardware task switches in 32-bit protected mode: CALL to a TSS, IRET through the back link, JMP to and fro.
 * AMD APM 24593 r3.42 section 12.3.
 */
#include "guest.h"

struct tss32 {
	uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt, iomap;
};

#define SEL_A 0x50
#define SEL_B 0x58

struct tss32 tss_a, tss_b;
uint32_t task_stack[256];
struct marks {
	uint32_t eax_in_b, tr_in_b, flags_in_b, link_in_b, ts_in_b, ebx_back, tr_back, second_b,
		third;
	uint32_t edi_in_b;
};
struct marks marks;

void task_go(void);
void task_b(void);

__asm__(".text\n"
	".code64\n"
	"task_go:\n"
	"	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"	movq %rsp, task_saved_rsp\n"
	"	pushq $0x18\n"
	"	pushq $1f\n"
	"	lretq\n"
	"	.code32\n"
	"1:	movl %cr0, %eax\n"
	"	andl $0x7fffffff, %eax\n"
	"	movl %eax, %cr0\n"
	"	movl $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	andl $~0x100, %eax\n"
	"	wrmsr\n"
	"	movl %cr4, %eax\n" /* plain 32-bit paging format, were paging on */
	"	andl $~0x20, %eax\n"
	"	movl %eax, %cr4\n"
	"	movl $0x50, %eax\n"
	"	ltr %ax\n"
	"	movl $0xaaaa5555, %ebx\n"
	"	lcall $0x58, $0\n" /* to task_b, which returns by IRET */
	"	movl %ebx, marks + 20\n"
	"	xorl %eax, %eax\n"
	"	str %ax\n"
	"	movl %eax, marks + 24\n"
	"	ljmp $0x58, $0\n" /* behind its IRET */
	"	movl $3, marks + 32\n"
	"	movl $task_up, %edi\n"
	"	jmp g_enter_long\n"
	"task_b:\n"
	"	movl %eax, marks + 0\n"
	"	movl %edi, marks + 36\n"
	"	xorl %eax, %eax\n"
	"	str %ax\n"
	"	movl %eax, marks + 4\n"
	"	pushfl\n"
	"	popl marks + 8\n"
	"	movl tss_b, %eax\n"
	"	movl %eax, marks + 12\n"
	"	movl %cr0, %eax\n"
	"	movl %eax, marks + 16\n"
	"	clts\n"
	"	iretl\n"
	"	movl $2, marks + 28\n"
	"	ljmp $0x50, $0\n"
	"	ud2\n"
	"	.code64\n"
	"task_up:\n"
	"	movq task_saved_rsp, %rsp\n"
	"	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"	ret\n"
	".bss\n"
	".align 8\n"
	"task_saved_rsp: .skip 8\n"
	".text\n");

static void set_tss(unsigned sel, struct tss32 *tss)
{
	uint64_t base = (uint64_t)tss;

	tss->iomap = sizeof(*tss) << 16;
	g_gdt[sel / 8] = (sizeof(*tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
			 (base >> 24 & 0xff) << 56;
}

int main(void)
{
	set_tss(SEL_A, &tss_a);
	set_tss(SEL_B, &tss_b);
	tss_b.eip = (uint32_t)(uint64_t)task_b;
	tss_b.esp = (uint32_t)(uint64_t)(task_stack + G_NELEM(task_stack));
	tss_b.eflags = 2;
	tss_b.eax = 0x1234abcd;
	tss_b.edi = 0xd1d1d1d1;
	tss_b.cs = 0x18;
	tss_b.ss = tss_b.ds = tss_b.es = tss_b.fs = tss_b.gs = 0x10;
	task_go();
	g_load_idt();
	CHECK(marks.eax_in_b == 0x1234abcd);
	CHECK(marks.edi_in_b == 0xd1d1d1d1);
	CHECK(marks.tr_in_b == SEL_B);
	CHECK(marks.flags_in_b & 1u << 14); /* NT: nested */
	CHECK((marks.link_in_b & 0xffff) == SEL_A);
	CHECK(marks.ts_in_b & 8);
	CHECK(marks.ebx_back == 0xaaaa5555);
	CHECK(marks.tr_back == SEL_A);
	CHECK(marks.second_b == 2);
	CHECK(marks.third == 3);
	CHECK((g_gdt[SEL_A / 8] >> 40 & 0xf) == 0xb); /* busy: it runs */
	CHECK((g_gdt[SEL_B / 8] >> 40 & 0xf) == 0x9);
	CHECK(tss_a.ebx == 0xaaaa5555);
	return g_result();
}
