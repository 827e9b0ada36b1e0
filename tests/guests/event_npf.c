/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An interrupt whose delivery needs memory that is touched for the first time (stack, handler's code, IDT):
 * the VMM has to finish the delivery after its nested page fault, once, with the same vector and error code.
 * AMD APM 24593 r3.42 section 15.7.2 (EXITINTINFO).
 */
#include "guest.h"

#define FRESH  0x1800000ull /* RAM nobody has used */
#define VECTOR 0x52

static volatile unsigned count;
static volatile uint64_t seen_error;

static void on_irq(struct g_frame *f)
{
	(void)f;
	count++;
	g_apic_eoi();
}

static void on_gp(struct g_frame *f)
{
	count++;
	seen_error = f->error;
	f->rip += 2; /* over the MOV to a segment register */
}

static void use_stack(unsigned ist, uint64_t top)
{
	*(uint64_t *)(g_tss + 36 + 8 * (ist - 1)) = top;
}

int main(void)
{
	unsigned i, before;

	g_apic_enable();
	g_handler[VECTOR] = on_irq;
	g_set_gate(VECTOR, 1, 0);
	for (i = 0; i < 16; i++) {
		use_stack(1, FRESH + (i + 1) * 0x3000); /* each time a new page */
		before = count;
		CHECK(try_write_cr8(16) == X_GP); /* another event before it */
		g_apic_icr(0, ICR_SELF | VECTOR);
		sti();
		__asm__ volatile("nop; nop; nop");
		cli();
		CHECK(count == before + 1);
		CHECK(g_apic_read(APIC_ISR + 0x20) == 0);
	}
	/* software interrupt and exception with error code */
	use_stack(1, FRESH + 0x100000);
	count = 0;
	g_handler[VECTOR] = on_irq;
	__asm__ volatile("int $0x52" : : : "memory");
	CHECK(count == 1);
	g_handler[X_GP] = on_gp;
	g_set_gate(X_GP, 2, 0);
	use_stack(2, FRESH + 0x200000);
	count = 0;
	__asm__ volatile("movw $0x1238, %%ax; .byte 0x8e, 0xc0"
			 :
			 :
			 : "rax", "memory"); /* mov %ax, %es */
	CHECK(count == 1 && seen_error == 0x1238);
	g_handler[X_GP] = NULL;
	g_set_gate(X_GP, 0, 0);
	/* an NMI on a fresh stack */
	g_handler[X_NMI] = on_irq;
	g_set_gate(X_NMI, 3, 0);
	use_stack(3, FRESH + 0x300000);
	count = 0;
	g_apic_icr(g_apic_read(APIC_ID) >> 24, 0x4000 | ICR_NMI);
	__asm__ volatile("nop; nop");
	CHECK(count == 1);
	return g_result();
}
