/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file guest.h
 * Runtime of the micro guests: one small program per behaviour of the virtual machine, each listed in
 * guests.list. A guest runs in 64-bit mode with the first 4 GiB mapped one to one, checks what an x86 PC
 * must do, prints to port 0xe9 what is wrong and ends with status G_PASS or G_FAIL.
 *
 * What is checked is the architecture (AMD APM, Intel SDM, data sheets) and, where the VM has a choice, the
 * documented policy of the VMM; never what an implementation happens to do.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values for port 0xf4; the runner sees (v << 1) | 1. */
#define G_PASS 16 /* 33 */
#define G_FAIL 17 /* 35 */

#define G_NELEM(a) (sizeof(a) / sizeof((a)[0]))

/* Exception vectors */
enum {
	X_DE = 0,
	X_DB = 1,
	X_NMI = 2,
	X_BP = 3,
	X_OF = 4,
	X_BR = 5,
	X_UD = 6,
	X_NM = 7,
	X_DF = 8,
	X_TS = 10,
	X_NP = 11,
	X_SS = 12,
	X_GP = 13,
	X_PF = 14,
	X_MF = 16,
	X_AC = 17,
	X_XM = 19,
	X_NONE = -1,
};

/** What crt.S pushes on each exception or interrupt. */
struct g_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* ---- lib.c ---- */
extern volatile int g_fault;		/* vector that a G_TRY instruction raised, X_NONE: none */
extern volatile uint64_t g_fault_error; /* its error code */
extern volatile uint64_t g_fault_cr2;
/** Handlers of vectors; an exception without one, and without G_TRY, ends the guest. */
extern void (*volatile g_handler[256])(struct g_frame *f);
extern uint64_t g_gdt[18];
extern uint64_t g_pml4[512], g_pdpt[512], g_pd[4 * 512];
extern uint32_t g_mb_magic, g_mb_info;
extern char g_image_start[], g_image_end[];
extern char g_stack_top[], g_vectors[];
extern uint8_t g_tss[104];

int main(void); /* returns the value for port 0xf4 */
void g_init(void);
void g_trap(struct g_frame *f);
void g_exit(uint32_t value) __attribute__((noreturn));
void g_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Note a failed check. */
void g_check(bool ok, const char *file, int line, const char *what);
/** Value for main() to return: G_PASS if every check so far was good (and there was one). */
int g_result(void);
/** Deterministic pseudo-random numbers. */
uint64_t g_random(void);
void g_seed(uint64_t seed);
/** Gate of a vector: interrupt stack table entry @p ist (0: none), privilege @p dpl. */
void g_set_gate(unsigned vector, unsigned ist, unsigned dpl);
void g_load_idt(void);
uint64_t g_now_tsc(void);
/** Busy wait by the PM timer or TSC: at least @p us microseconds (see g_tsc_khz). */
void g_delay_us(uint32_t us);
/** Frequency of the TSC, measured once against the PIT, channel 2. */
uint32_t g_tsc_khz(void);
/** RSDP ... table with the signature, NULL if there is none. */
const uint8_t *g_acpi_table(const char *signature);
/** Counter that survives a reset (in CMOS RAM); 0 at first boot. */
uint8_t g_boot_count(void);
void g_set_boot_count(uint8_t n);
/** Start the vcpu with this APIC id at @p fn in 64-bit mode. */
void g_start_ap(uint32_t apic_id, void (*fn)(void));
void g_ap_entry(void);

#define CHECK(cond) g_check(cond, __FILE__, __LINE__, #cond)
#define CHECK_M(cond, ...)                                                                         \
	do {                                                                                       \
		bool ok_ = (cond);                                                                 \
		g_check(ok_, __FILE__, __LINE__, #cond);                                           \
		if (!ok_)                                                                          \
			g_print("  " __VA_ARGS__);                                                 \
	} while (0)

/* An instruction that may raise an exception: sets g_fault and goes on behind it. */
#define G_TRY(insn)                                                                                \
	"movl $-1, g_fault\n"                                                                      \
	"771: " insn "\n"                                                                          \
	"772:\n"                                                                                   \
	".pushsection .fixups, \"a\"\n"                                                            \
	".quad 771b, 772b\n"                                                                       \
	".popsection\n"

/** Does the command line of the guest definition contain @p word? */
bool g_cmdline_has(const char *word);

/* ---- instructions ---- */

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (uint64_t)hi << 32;
}

struct g_regs {
	uint32_t a, b, c, d;
};

static inline struct g_regs cpuid(uint32_t leaf, uint32_t sub)
{
	struct g_regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "a"(leaf), "c"(sub));
	return r;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
			 : "memory");
}

/* @return the exception raised, X_NONE for none */
static inline int try_rdmsr(uint32_t msr, uint64_t *v)
{
	uint32_t lo = 0, hi = 0;

	__asm__ volatile(G_TRY("rdmsr") : "+a"(lo), "+d"(hi) : "c"(msr) : "memory");
	*v = lo | (uint64_t)hi << 32;
	return g_fault;
}

static inline int try_wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile(G_TRY("wrmsr")
			 :
			 : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
			 : "memory");
	return g_fault;
}

#define G_CR(n)                                                                                    \
	static inline uint64_t read_cr##n(void)                                                    \
	{                                                                                          \
		uint64_t v;                                                                        \
                                                                                                   \
		__asm__ volatile("movq %%cr" #n ", %0" : "=r"(v) : : "memory");                    \
		return v;                                                                          \
	}                                                                                          \
	static inline int try_write_cr##n(uint64_t v)                                              \
	{                                                                                          \
		__asm__ volatile(G_TRY("movq %0, %%cr" #n) : : "r"(v) : "memory");                 \
		return g_fault;                                                                    \
	}
G_CR(0)
G_CR(2)
G_CR(3)
G_CR(4)
G_CR(8)

static inline int try_xsetbv(uint32_t reg, uint64_t v)
{
	__asm__ volatile(G_TRY("xsetbv")
			 :
			 : "c"(reg), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
			 : "memory");
	return g_fault;
}

static inline void sti(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Halt with interrupts on; returns after the next interrupt, interrupts off. */
static inline void sti_hlt(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline uint64_t read_flags(void)
{
	uint64_t v;

	__asm__ volatile("pushfq; popq %0" : "=r"(v) : : "memory");
	return v;
}

static inline uint32_t mmio_read(uint64_t pa)
{
	uint32_t v;

	__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(pa) : "memory");
	return v;
}

static inline void mmio_write(uint64_t pa, uint32_t v)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(v), "r"(pa) : "memory");
}

/* ---- interrupt controllers, apic.c ---- */

#define LAPIC  0xfee00000ull
#define IOAPIC 0xfec00000ull

enum {
	APIC_ID = 0x20,
	APIC_VERSION = 0x30,
	APIC_TPR = 0x80,
	APIC_PPR = 0xa0,
	APIC_EOI = 0xb0,
	APIC_LDR = 0xd0,
	APIC_DFR = 0xe0,
	APIC_SVR = 0xf0,
	APIC_ISR = 0x100,
	APIC_TMR = 0x180,
	APIC_IRR = 0x200,
	APIC_ESR = 0x280,
	APIC_ICR = 0x300,
	APIC_ICR2 = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TMICT = 0x380,
	APIC_TMCCT = 0x390,
	APIC_TDCR = 0x3e0,
};

#define MSR_APIC_BASE	 0x1b
#define MSR_TSC		 0x10
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_XSS		 0xda0
#define MSR_EFER	 0xc0000080
#define MSR_X2APIC	 0x800

#define LVT_MASKED   0x10000
#define LVT_PERIODIC 0x20000
#define LVT_DEADLINE 0x40000

/* Local APIC register through whichever interface is on. */
uint32_t g_apic_read(uint32_t reg);
void g_apic_write(uint32_t reg, uint32_t v);
/** Switch the local APIC on, spurious vector 0xff, everything masked. */
void g_apic_enable(void);
void g_x2apic_enable(void);
void g_apic_eoi(void);
/** Send an interrupt command (vector, delivery mode, shorthand bits) and wait until it is accepted. */
void g_apic_icr(uint32_t dest, uint32_t command);
#define ICR_SELF	 0x40000
#define ICR_ALL_BUT_SELF 0xc0000
#define ICR_NMI		 0x400

uint32_t g_ioapic_read(uint32_t reg);
void g_ioapic_write(uint32_t reg, uint32_t v);
/** Route pin @p pin to @p vector, edge, active high, to the APIC with id @p dest; or mask it. */
void g_ioapic_route(unsigned pin, uint32_t low, uint32_t dest);

/** Both 8259 at vectors @p base .. base + 15, all masked, LINT0 of this CPU takes them. */
void g_pic_init(uint8_t base);
void g_pic_mask(uint16_t mask);
void g_pic_eoi(unsigned irq);
/** PIT channel 0, mode (0 one-shot, 2 rate), count in 1193182 Hz ticks. */
void g_pit_start(unsigned mode, uint16_t count);

/** A handler that counts in g_irq_count[vector] and sends an EOI to the local APIC. */
void g_count_apic(struct g_frame *f);
/** The same for an interrupt of the 8259 at @p base given to g_pic_init(). */
void g_count_pic(struct g_frame *f);
extern volatile uint32_t g_irq_count[256];

#endif
