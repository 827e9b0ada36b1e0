/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file micro.c
 * The bench guest: how long does each kind of exit take, seen from inside? Runs each operation many times,
 * reads the time stamp counter around the loop, and prints "bench <name> <mean>" at the debug console.
 * Run under "-icount shift=0" one tick is one instruction, the loop's own included.
 *
 * The operations follow APM vol. 2 15 and 16 and SDM 3A 11 (local APIC).
 */
#include "disk.h"
#include "nic.h"
#include "palacios/abi/hypercall.h"

#include <stdbool.h>
#include <stdint.h>

#define ROUNDS	     1000
#define TIMER_ROUNDS 200
#define BURSTS	     32 /* of frames: what they leave at their receiver must fit its queue */
#define TOUCHES	     64 /* 2 MiB pieces touched for the first time */
#define TOUCH_BASE   (64ul << 20)

#define HOOKED_PAGE (32ul << 20) /* the host hooks this page when told so by "hook=33554432" */

#define PORT_DEBUGCON  0xe9
#define PORT_DEBUGEXIT 0xf4
#define PORT_PIT_CTRL  0x43
#define PORT_PM_CNT    0x604
#define PORT_PM_TIMER  0x608

#define MSR_APIC_BASE	 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_TPR	 0x808

#define APIC_BASE      0xfee00000ul
#define APIC_TPR       0x080
#define APIC_SVR       0x0f0
#define APIC_ICR_LOW   0x300
#define APIC_LVT_TIMER 0x320
#define VEC_IPI	       0x40
#define VEC_TIMER      0x41

struct idt_gate {
	uint16_t low, sel, flags, mid;
	uint32_t high, zero;
};

/* Written by boot.S. */
uint64_t bench_entry_tsc;
volatile uint64_t bench_ipi_count, bench_eoi_cycles, bench_timer_tsc;
void bench_ipi_entry(void);
void bench_timer_entry(void);
void bench_fault_entry(void);

void bench_main(void);
void bench_fault(const uint64_t *stack);

static struct idt_gate idt[256] __attribute__((aligned(16)));

static inline void outb(uint16_t port, uint8_t v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
	asm volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (uint64_t)hi << 32;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	asm volatile("wrmsr" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr) : "memory");
}

static inline void cpuid(uint32_t leaf, uint32_t r[4])
{
	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "0"(leaf), "2"(0));
}

static bool bench_is_intel;

/* The CPU's own instruction: the other vendor's works, too, by way of an exception. */
static inline uint64_t hypercall(uint64_t nr)
{
	if (bench_is_intel)
		asm volatile("vmcall" : "+a"(nr) : : "memory");
	else
		asm volatile("vmmcall" : "+a"(nr) : : "memory");
	return nr;
}

static inline uint32_t apic_read(unsigned reg)
{
	return *(volatile uint32_t *)(APIC_BASE + reg);
}

static inline void apic_write(unsigned reg, uint32_t v)
{
	*(volatile uint32_t *)(APIC_BASE + reg) = v;
}

static void put_text(const char *s)
{
	while (*s)
		outb(PORT_DEBUGCON, (uint8_t)*s++);
}

static void put_number(uint64_t n)
{
	char buf[24], *p = buf + sizeof(buf);

	*--p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	put_text(p);
}

static void report(const char *name, uint64_t value)
{
	put_text("bench ");
	put_text(name);
	put_text(" ");
	put_number(value);
	put_text("\n");
}

static void report_mean(const char *name, uint64_t total, uint64_t rounds)
{
	report(name, (total + rounds / 2) / rounds);
}

static void __attribute__((noreturn)) quit(uint8_t status)
{
	if (status)
		outb(PORT_DEBUGEXIT, status);
	outw(PORT_PM_CNT, 0x3400); /* S5 as our tables say */
	outw(PORT_PM_CNT, 0x2000); /* S5 as QEMU's say, for the run on the bare machine */
	for (;;)
		asm volatile("cli; hlt");
}

/* Called by boot.S with the stack at the fault: error code (if any), RIP ... */
void bench_fault(const uint64_t *stack)
{
	put_text("bench fault ");
	put_number(stack[0]);
	put_text(" ");
	put_number(stack[1]);
	put_text("\n");
	quit(1);
}

/* Time ROUNDS times one statement, after a few rounds that fill caches and tables. */
#define MEASURE(name, statement)                                                                   \
	do {                                                                                       \
		uint64_t begin_;                                                                   \
		unsigned i_;                                                                       \
                                                                                                   \
		for (i_ = 0; i_ < 8; i_++) {                                                       \
			statement;                                                                 \
		}                                                                                  \
		begin_ = rdtsc();                                                                  \
		for (i_ = 0; i_ < ROUNDS; i_++) {                                                  \
			statement;                                                                 \
		}                                                                                  \
		report_mean(name, rdtsc() - begin_, ROUNDS);                                       \
	} while (0)

static void set_gate(unsigned vector, void (*entry)(void))
{
	uint64_t addr = (uint64_t)entry;

	idt[vector] = (struct idt_gate){
		.low = (uint16_t)addr,
		.sel = 0x08,
		.flags = 0x8e00,
		.mid = (uint16_t)(addr >> 16),
		.high = (uint32_t)(addr >> 32),
	};
}

static void set_idt(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint64_t)idt};
	unsigned v;

	for (v = 0; v < 32; v++)
		set_gate(v, bench_fault_entry);
	set_gate(VEC_IPI, bench_ipi_entry);
	set_gate(VEC_TIMER, bench_timer_entry);
	asm volatile("lidt %0" : : "m"(idtr));
}

static void bench_instructions(void)
{
	uint32_t r[4];

	cpuid(0, r);
	bench_is_intel = r[1] == 0x756e6547; /* "Genu" */
	MEASURE("cpuid", cpuid(1, r));
	MEASURE("vmcall", hypercall(V3_HYPERCALL_NOP));
	MEASURE("port_in", inl(PORT_PM_TIMER));
	MEASURE("port_out", outb(PORT_PIT_CTRL, 0)); /* latch counter 0 */
	MEASURE("hook_read", *(volatile uint32_t *)HOOKED_PAGE);
	MEASURE("hook_write", *(volatile uint32_t *)HOOKED_PAGE = 1);
}

static void bench_apic(void)
{
	uint64_t begin, seen;
	unsigned i;

	wrmsr(MSR_APIC_BASE, (rdmsr(MSR_APIC_BASE) & ~(1ull << 10)) | 1ull << 11);
	apic_write(APIC_SVR, 0x1ff);
	apic_write(APIC_TPR, 0);
	MEASURE("mmio_read", apic_read(APIC_TPR));
	MEASURE("mmio_write", apic_write(APIC_TPR, 0));

	asm volatile("sti");
	for (i = 0; i < 8; i++) {
		seen = bench_ipi_count;
		apic_write(APIC_ICR_LOW, 1u << 18 | VEC_IPI);
		while (bench_ipi_count == seen)
			;
	}
	bench_eoi_cycles = 0;
	begin = rdtsc();
	for (i = 0; i < ROUNDS; i++) {
		seen = bench_ipi_count;
		apic_write(APIC_ICR_LOW, 1u << 18 | VEC_IPI);
		while (bench_ipi_count == seen)
			;
	}
	report_mean("self_ipi", rdtsc() - begin, ROUNDS);
	report_mean("apic_eoi", bench_eoi_cycles, ROUNDS);
	asm volatile("cli");
}

/* From the deadline to the first instruction of the handler, asleep in between. */
static void bench_timer(void)
{
	uint64_t deadline, total = 0;
	unsigned i;

	apic_write(APIC_LVT_TIMER, 2u << 17 | VEC_TIMER);
	for (i = 0; i < TIMER_ROUNDS; i++) {
		bench_timer_tsc = 0;
		deadline = rdtsc() + 200000;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		while (!bench_timer_tsc)
			asm volatile("sti; hlt; cli" : : : "memory");
		if (bench_timer_tsc < deadline) {
			put_text("bench error: the timer came early\n");
			quit(2);
		}
		total += bench_timer_tsc - deadline;
	}
	report_mean("hlt_timer", total, TIMER_ROUNDS);
}

static void bench_first_touch(void)
{
	uint64_t begin, total = 0;
	unsigned i;

	for (i = 0; i < TOUCHES; i++) {
		volatile uint8_t *p = (volatile uint8_t *)(TOUCH_BASE + i * (2ul << 20));

		begin = rdtsc();
		*p = 1;
		total += rdtsc() - begin;
	}
	report_mean("npf_first_touch", total, TOUCHES);
}

/* x2APIC registers are the MSRs that guests use most. Last: there is no way back without a reset. */
static void bench_msr(void)
{
	uint32_t r[4];

	cpuid(1, r);
	if (!(r[2] & 1u << 21)) {
		put_text("bench error: no x2APIC\n");
		return;
	}
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 3ull << 10);
	MEASURE("rdmsr", rdmsr(MSR_X2APIC_TPR));
	MEASURE("wrmsr", wrmsr(MSR_X2APIC_TPR, 0));
}

static void bench_disk(void)
{
	if (!bench_disk_open()) {
		put_text("bench error: no virtio disk in slot 2\n");
		return;
	}
	MEASURE("virtio_blk_4k", bench_disk_read());
	if (!bench_disk_good())
		put_text("bench error: a disk request failed\n");
}

/* The receiver, slot 4, has no driver: the frames wait for it. */
static void bench_nic(void)
{
	uint64_t begin;
	unsigned i;

	if (!bench_nic_open()) {
		put_text("bench error: no virtio network card in slot 3\n");
		return;
	}
	bench_nic_send();
	begin = rdtsc();
	for (i = 0; i < BURSTS; i++)
		bench_nic_send();
	report_mean("virtio_net_tx_64", rdtsc() - begin, BURSTS * BENCH_NIC_BURST);
	report("net_notifications", bench_nic_notified());
}

static bool is_guest(void)
{
	uint32_t r[4];

	cpuid(V3_CPUID_SIGNATURE, r);
	return r[1] == 0x45563356; /* "V3VE" */
}

void bench_main(void)
{
	report("entry_tsc", bench_entry_tsc);
	if (!is_guest()) {
		put_text("bench bare machine\n");
		quit(0);
	}
	set_idt();
	bench_first_touch();
	bench_instructions();
	bench_apic();
	bench_timer();
	bench_disk();
	bench_nic();
	bench_msr();
	put_text("bench done\n");
	quit(0);
}
