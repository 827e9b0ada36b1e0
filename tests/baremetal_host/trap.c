/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file trap.c
 * Descriptor tables of a CPU, the interrupt switchboard, and the end of the host: any exception in it is a
 * bug, so it prints the registers and the likely callers and switches off with status 125. Double fault, NMI
 * and machine check have their own stacks. AMD APM 24593 r3.42 section 4.7, 8.9, 12.2.5.
 */
#include "baremetal.h"
#include "cpu.h"

#include "palacios/util/fmt.h"
#include "palacios/util/str.h"

#include <stdarg.h>

#define SEL_CODE 0x08
#define SEL_TSS	 0x18

#define IST_PAGES 1 /* per special stack */

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, zero;
};
_Static_assert(sizeof(struct gate) == 16, "interrupt gate");

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct gate trap_idt[256];
static uint32_t trap_dying; /* a second crash, while the first one prints, must not print again */

static const char *const trap_names[32] = {
	"divide error",
	"debug",
	"NMI",
	"breakpoint",
	"overflow",
	"bound",
	"invalid opcode",
	"no FPU",
	"double fault",
	"9",
	"invalid TSS",
	"segment not present",
	"stack fault",
	"general protection",
	"page fault",
	"15",
	"x87 error",
	"alignment",
	"machine check",
	"SIMD error",
	"virtualization",
	"control protection",
	"22",
	"23",
	"24",
	"25",
	"26",
	"27",
	"hypervisor injection",
	"VMM communication",
	"security",
	"31",
};

static void trap_fill_idt(void)
{
	unsigned i;

	for (i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)bm_vectors + 16 * i;
		struct gate *g = &trap_idt[i];

		g->offset_low = (uint16_t)stub;
		g->offset_mid = (uint16_t)(stub >> 16);
		g->offset_high = (uint32_t)(stub >> 32);
		g->selector = SEL_CODE;
		g->type = 0x8e; /* present, interrupt gate: interrupts off */
		g->ist = i == 8 ? 1 : i == 2 ? 2 : i == 18 ? 3 : 0;
	}
}

static void trap_fill_tss(struct bm_cpu *cpu)
{
	uint64_t top;
	unsigned i;
	char *stack;

	for (i = 1; i <= 3; i++) {
		stack = bm_mem_internal(IST_PAGES);
		if (!stack)
			bm_panic("no memory for exception stacks");
		top = (uint64_t)stack + IST_PAGES * V3_PAGE_SIZE;
		memcpy(cpu->tss + 36 + (i - 1) * 8, &top, sizeof(top)); /* IST1 is at offset 36 */
	}
	cpu->tss[102] = sizeof(cpu->tss); /* no I/O permission map */
}

void bm_trap_init(struct bm_cpu *cpu)
{
	uint64_t tss = (uint64_t)cpu->tss;
	struct table_pointer gdtr = {sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt};
	struct table_pointer idtr = {sizeof(trap_idt) - 1, (uint64_t)trap_idt};

	if (cpu->id == 0)
		trap_fill_idt();
	trap_fill_tss(cpu);
	cpu->gdt[1] = 0x00af9b000000ffff; /* 64-bit code */
	cpu->gdt[2] = 0x00cf93000000ffff; /* data */
	cpu->gdt[3] = (sizeof(cpu->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ull << 40 |
		      (tss >> 24 & 0xff) << 56;
	cpu->gdt[4] = tss >> 32;
	/* boot.S uses the same selectors for code and data: nothing to reload but TR */
	__asm__ volatile("lgdt %0; lidt %1; ltr %w2"
			 :
			 : "m"(gdtr), "m"(idtr), "r"(SEL_TSS)
			 : "memory");
	wrmsr(MSR_GS_BASE, (uint64_t)cpu);
}

/* The first to die prints; another CPU, or a crash while printing, waits for the end. */
static void trap_die_once(void)
{
	irq_off();
	if (__atomic_exchange_n(&trap_dying, 1, __ATOMIC_SEQ_CST))
		for (;;)
			__asm__ volatile("cli; hlt");
	bm_console_break_lock();
}

void bm_panic(const char *fmt, ...)
{
	char line[160];
	va_list ap;

	trap_die_once();
	va_start(ap, fmt);
	v3_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	bm_print("palacios-host: panic: %s", line);
	bm_print("palacios-host: called from %p", __builtin_return_address(0));
	bm_exit(BM_EXIT_BROKEN);
}

static void trap_print_callers(uint64_t rsp)
{
	uint64_t *p = (uint64_t *)(rsp & ~7ull);
	unsigned i, found = 0;

	for (i = 0; i < 512 && found < 12; i++, p++) {
		if (*p <= (uint64_t)bm_text_start || *p >= (uint64_t)bm_text_end)
			continue;
		bm_print("palacios-host:   stack+%#05x: %#llx", i * 8, (unsigned long long)*p);
		found++;
	}
}

void bm_exception(const struct bm_frame *f)
{
	uint64_t cr2, cr3;

	trap_die_once();
	__asm__ volatile("movq %%cr2, %0; movq %%cr3, %1" : "=r"(cr2), "=r"(cr3));
#define LL(x) ((unsigned long long)(x))
	bm_print("palacios-host: crash: exception %llu (%s), error %#llx", LL(f->vector),
		 trap_names[f->vector & 31], LL(f->error));
	bm_print("palacios-host: rip %#llx cs %#llx rflags %#llx rsp %#llx ss %#llx", LL(f->rip),
		 LL(f->cs), LL(f->rflags), LL(f->rsp), LL(f->ss));
	bm_print("palacios-host: rax %#llx rbx %#llx rcx %#llx rdx %#llx", LL(f->rax), LL(f->rbx),
		 LL(f->rcx), LL(f->rdx));
	bm_print("palacios-host: rsi %#llx rdi %#llx rbp %#llx r8 %#llx", LL(f->rsi), LL(f->rdi),
		 LL(f->rbp), LL(f->r8));
	bm_print("palacios-host: r9 %#llx r10 %#llx r11 %#llx r12 %#llx", LL(f->r9), LL(f->r10),
		 LL(f->r11), LL(f->r12));
	bm_print("palacios-host: r13 %#llx r14 %#llx r15 %#llx cr2 %#llx cr3 %#llx", LL(f->r13),
		 LL(f->r14), LL(f->r15), LL(cr2), LL(cr3));
#undef LL
	if (f->rsp >= (uint64_t)bm_image_start && f->rsp < 4ull << 30)
		trap_print_callers(f->rsp);
	bm_exit(BM_EXIT_BROKEN);
}

void bm_interrupt(uint32_t vector)
{
	struct bm_cpu *cpu = bm_this_cpu();

	cpu->interrupts++;
	switch (vector) {
	case BM_VEC_TIMER:
		bm_apic_eoi();
		bm_timer_interrupt(cpu);
		break;
	case BM_VEC_CALL:
		bm_apic_eoi();
		bm_smp_run_calls(cpu);
		break;
	case BM_VEC_KICK: /* being interrupted was all, unless another CPU has queued a thread here */
		bm_apic_eoi();
		bm_sched_check(cpu);
		break;
	case BM_VEC_SERIAL:
		bm_console_interrupt();
		bm_apic_eoi();
		break;
	case BM_VEC_SPURIOUS: /* no EOI: AMD APM 24593 r3.42 section 16.4.7 */
		break;
	default:
		if (vector >= BM_VEC_PIC && vector < BM_VEC_PIC + 16)
			break; /* spurious, from the masked 8259 pair */
		bm_panic("interrupt on vector %#x", vector);
	}
}
