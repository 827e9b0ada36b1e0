/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Privilege 3: privileged instructions raise #GP even if the VMM intercepts them, CPUID and RDTSC work,
 * supervisor pages fault with the user bit, a hypercall is refused or harmless.
 */
#include "guest.h"

static uint8_t user_stack[4096] __attribute__((aligned(4096)));
static uint8_t kernel_stack[8192] __attribute__((aligned(16)));
static volatile int result;
static volatile uint64_t result_error;
uint64_t user_return_rsp;

void user_enter(void (*fn)(void), void *stack_top);
void user_leave(void);

__asm__(".text\n"
	"user_enter:\n"
	"	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"	movq %rsp, user_return_rsp\n"
	"	pushq $0x3b\n"
	"	pushq %rsi\n"
	"	pushq $0x002\n"
	"	pushq $0x33\n"
	"	pushq %rdi\n"
	"	iretq\n"
	"user_leave:\n" /* from a handler */
	"	movq user_return_rsp, %rsp\n"
	"	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"	ret\n");

static void on_fault(struct g_frame *f)
{
	result = (int)f->vector;
	result_error = f->error;
	user_leave();
}

#define USER(name, text)                                                                           \
	static void name(void)                                                                     \
	{                                                                                          \
		__asm__ volatile(text "\nint $0x80\n1: jmp 1b"                                     \
				 :                                                                 \
				 : "a"(0), "c"(0x1b), "d"(0x80)                                    \
				 : "rbx", "memory");                                               \
	}
USER(user_nothing, "nop")
USER(user_cpuid, "cpuid")
USER(user_rdtsc, "rdtsc")
USER(user_hlt, "hlt")
USER(user_cli, "cli")
USER(user_in, "inb %%dx, %%al")
USER(user_out, "outb %%al, %%dx")
USER(user_ins, "insb")
USER(user_rdmsr, "rdmsr")
USER(user_wrmsr, "wrmsr")
USER(user_cr0, "movq %%cr0, %%rax")
USER(user_cr0_write, "movq %%rax, %%cr0")
USER(user_cr8, "movq %%rax, %%cr8")
USER(user_dr, "movq %%dr7, %%rax")
USER(user_invlpg, "invlpg (%%rax)")
USER(user_wbinvd, "wbinvd")
USER(user_clts, "clts")
USER(user_lgdt, "lgdt (%%rsp)")
USER(user_int3, "int3")
USER(user_ud2, "ud2")
USER(user_supervisor, "movl $0x3000000, %%eax; movb (%%rax), %%al")
USER(user_apic, "movl $0xfee00030, %%eax; movl (%%rax), %%eax")
USER(user_vmmcall, "vmmcall")
USER(user_pause, "pause")

static int run(void (*fn)(void))
{
	result = X_NONE;
	user_enter(fn, user_stack + sizeof(user_stack));
	return result;
}

int main(void)
{
	static const struct {
		void (*fn)(void);
		int vector;
	} cases[] = {
		{user_nothing, 0x80},	{user_cpuid, 0x80},  {user_rdtsc, 0x80},
		{user_pause, 0x80},	{user_hlt, X_GP},    {user_cli, X_GP},
		{user_in, X_GP},	{user_out, X_GP},    {user_ins, X_GP},
		{user_rdmsr, X_GP},	{user_wrmsr, X_GP},  {user_cr0, X_GP},
		{user_cr0_write, X_GP}, {user_cr8, X_GP},    {user_dr, X_GP},
		{user_invlpg, X_GP},	{user_wbinvd, X_GP}, {user_clts, X_GP},
		{user_lgdt, X_GP},	{user_ud2, X_UD},    {user_supervisor, X_PF},
		{user_apic, X_PF},
	};
	unsigned i;
	int v;

	/* the first 32 MiB are open to user code; the rest is not */
	g_pml4[0] |= 4;
	g_pdpt[0] |= 4;
	for (i = 0; i < 16; i++)
		g_pd[i] |= 4;
	__asm__ volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" : : : "rax", "memory");
	*(uint64_t *)(g_tss + 4) = (uint64_t)(kernel_stack + sizeof(kernel_stack)); /* RSP0 */
	for (i = 0; i < 32; i++)
		g_handler[i] = on_fault;
	g_handler[0x80] = on_fault;
	g_set_gate(0x80, 0, 3);
	g_set_gate(X_BP, 0, 3);

	for (i = 0; i < G_NELEM(cases); i++) {
		v = run(cases[i].fn);
		CHECK_M(v == cases[i].vector, "case %u: vector %d, expected %d\n", i, v,
			cases[i].vector);
		if (v == X_PF)
			CHECK(result_error == 5 || (i == G_NELEM(cases) - 1 && (result_error & 4)));
		if (v == X_GP)
			CHECK(result_error == 0);
	}
	CHECK(run(user_int3) == X_BP);
	v = run(user_vmmcall);
	CHECK(v == 0x80 || v == X_UD || v == X_GP);
	return g_result();
}
