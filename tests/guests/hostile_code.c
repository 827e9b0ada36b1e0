/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random bytes as user-mode code, with registers that point at the APIC page (which user code may touch here), so
 * that the VMM has to decode and emulate whatever comes. Each program ends by an exception or by the timer.
 */
#include "guest.h"

#define ARENA	 0x1000000ull /* 2 MiB of user memory: code and stack */
#define VECTOR	 0x50
#define PROGRAMS 1500

static uint64_t kernel_stack[1024] __attribute__((aligned(16)));
static unsigned ended[256];
uint64_t code_return_rsp;

void code_enter(const uint64_t *regs);
void code_leave(void);

/* regs: RAX RCX RDX RBX RBP RSI RDI R8 - R15, RIP, RSP */
__asm__(".text\n"
	"code_enter:\n"
	"	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"	movq %rsp, code_return_rsp\n"
	"	pushq $0x3b\n"
	"	pushq 128(%rdi)\n"
	"	pushq $0x202\n"
	"	pushq $0x33\n"
	"	pushq 120(%rdi)\n"
	"	movq 0(%rdi), %rax; movq 8(%rdi), %rcx; movq 16(%rdi), %rdx; movq 24(%rdi), %rbx\n"
	"	movq 32(%rdi), %rbp; movq 40(%rdi), %rsi; movq 56(%rdi), %r8; movq 64(%rdi), %r9\n"
	"	movq 72(%rdi), %r10; movq 80(%rdi), %r11; movq 88(%rdi), %r12; movq 96(%rdi), "
	"%r13\n"
	"	movq 104(%rdi), %r14; movq 112(%rdi), %r15; movq 48(%rdi), %rdi\n"
	"	iretq\n"
	"code_leave:\n"
	"	movq code_return_rsp, %rsp\n"
	"	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"	cld\n"
	"	ret\n");

static void on_event(struct g_frame *f)
{
	ended[f->vector]++;
	if ((f->cs & 3) != 3) {
		g_print("FAILED: vector %lu in the kernel at %lx\n", f->vector, f->rip);
		g_exit(G_FAIL);
	}
	if (f->vector >= 32)
		g_apic_eoi();
	code_leave();
}

/* Opcodes with memory operands, more often than chance would have them. */
static void write_program(uint8_t *p)
{
	static const uint8_t ops[] = {
		0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0x0b, 0x10, 0x11, 0x18, 0x19, 0x20,
		0x21, 0x28, 0x29, 0x30, 0x31, 0x38, 0x39, 0x3a, 0x3b, 0x63, 0x69, 0x6b, 0x80,
		0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8e, 0x8f,
		0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xc0, 0xc1, 0xc6,
		0xc7, 0xd0, 0xd1, 0xd3, 0xd9, 0xdd, 0xf6, 0xf7, 0xfe, 0xff};
	static const uint8_t prefixes[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x40,
					   0x41, 0x44, 0x48, 0x4c, 0x65, 0x0f};
	unsigned i = 0, k;

	for (k = 0; k < 64; k++)
		p[k] = (uint8_t)g_random();
	while (i < 48) {
		for (k = (unsigned)g_random() % 3; k; k--)
			p[i++] = prefixes[g_random() % G_NELEM(prefixes)];
		p[i++] = ops[g_random() % G_NELEM(ops)];
		p[i] = (uint8_t)(g_random() & 0x7f); /* a memory operand by most registers */
		i += 1 + (unsigned)g_random() % 5;
	}
}

int main(void)
{
	uint64_t seed = 0x5eed0005, regs[17];
	unsigned i, k;

	g_seed(seed);
	g_print("# seed %lx\n", seed);
	g_apic_enable();
	g_pml4[0] |= 4;
	g_pdpt[0] |= 4;
	g_pdpt[3] |= 4;
	g_pd[ARENA >> 21] |= 4;
	g_pd[LAPIC >> 21] |= 4;
	__asm__ volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" : : : "rax", "memory");
	*(uint64_t *)(g_tss + 4) = (uint64_t)(kernel_stack + G_NELEM(kernel_stack));
	for (i = 0; i < 256; i++)
		g_handler[i] = on_event;
	g_set_gate(X_BP, 0, 3);
	g_set_gate(X_OF, 0, 3);
	for (i = 0; i < PROGRAMS; i++) {
		write_program((uint8_t *)ARENA + 0x1000);
		for (k = 0; k < 15; k++)
			regs[k] = g_random() & 1 ? LAPIC + g_random() % 0x280
						 : ARENA + 0x10000 + g_random() % 0x1000;
		regs[1] = g_random() % 4; /* RCX: counts of REP */
		regs[15] = ARENA + 0x1000;
		regs[16] = ARENA + 0x20000;
		/* the program may have set the timer otherwise */
		g_apic_enable();
		g_apic_write(APIC_TDCR, 0xb);
		g_apic_write(APIC_LVT_TIMER, VECTOR);
		g_apic_write(APIC_TMICT, 2000000);
		code_enter(regs);
		cli();
	}
	g_print("# DE %u DB %u UD %u GP %u PF %u SS %u timer %u\n", ended[X_DE], ended[X_DB],
		ended[X_UD], ended[X_GP], ended[X_PF], ended[X_SS], ended[VECTOR]);
	CHECK(ended[X_UD] + ended[X_GP] + ended[X_PF] > PROGRAMS / 2);
	return g_result();
}
