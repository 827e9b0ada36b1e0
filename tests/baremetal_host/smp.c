/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file smp.c
 * Start of the application processors by INIT and start-up IPIs to everybody, and calls between CPUs.
 * AMD APM 24593 r3.42 section 16.5; SDM 3A section 9.4.
 *
 * There is no table of CPUs to read on every machine we run on (Bochs starts us without firmware), so the
 * processors number themselves as they arrive. "cpus=N" on the command line says how many to wait for.
 */
#include "baremetal.h"
#include "cpu.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define TRAMPOLINE 0x8000ul
#define START_WAIT_NS                                                                              \
	5000000000ull /* for CPUs we know of: generous, the machine may be emulated and busy */
#define GUESS_WAIT_NS 100000000ull /* when we do not know how many there are */
#define GUESS_CPUS    16
#define TICKET_CLOSED 0x40000000u

#define MSR_EFER     0xc0000080
#define CR4_OSXSAVE  (1ul << 18)
#define CPUID1_XSAVE (1u << 26)
#define CPUID1_AVX   (1u << 28)
#define XCR0_X87_SSE 3u
#define XCR0_AVX     4u

struct bm_cpu *bm_cpus[BM_MAX_CPUS];
uint32_t bm_cpu_total = 1;
uint32_t bm_ap_ticket; /* next number an arriving processor takes */
uint32_t bm_ap_limit;  /* how many may */
uint64_t bm_ap_stack_top[BM_MAX_CPUS];

/* The host uses no FPU itself; the library runs guests with their own XCR0 and needs XSAVE enabled. */
static void smp_init_fpu(void)
{
	uint32_t features[4], xcr0 = XCR0_X87_SSE;
	uint64_t cr4;

	__asm__ volatile("fninit");
	cpuid(1, 0, features);
	if (!(features[2] & CPUID1_XSAVE))
		return;
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE) : "memory");
	if (features[2] & CPUID1_AVX)
		xcr0 |= XCR0_AVX;
	__asm__ volatile("xsetbv" : : "c"(0), "a"(xcr0), "d"(0) : "memory");
}

static struct bm_cpu *smp_new_cpu(uint32_t id)
{
	struct bm_cpu *cpu = bm_mem_internal(1);

	_Static_assert(sizeof(*cpu) <= 4096, "one page per CPU");
	if (!cpu)
		bm_panic("no memory for CPU %u", id);
	memset(cpu, 0, sizeof(*cpu));
	cpu->self = cpu;
	cpu->id = id;
	bm_cpus[id] = cpu;
	return cpu;
}

static void smp_init_cpu(struct bm_cpu *cpu)
{
	bm_trap_init(cpu);
	bm_sched_init_cpu(cpu);
	smp_init_fpu();
	bm_apic_init_cpu();
	cpu->apic_id = bm_apic_id();
}

void bm_smp_init_boot_cpu(void)
{
	struct bm_cpu *cpu = smp_new_cpu(0);

	smp_init_cpu(cpu);
	cpu->online = true;
}

void bm_ap_main(uint32_t number)
{
	struct bm_cpu *cpu = bm_cpus[number + 1];

	smp_init_cpu(cpu);
	bm_time_init_cpu();
	__atomic_store_n(&cpu->online, true, __ATOMIC_RELEASE);
	bm_sched_idle();
}

static void smp_wait_tickets(uint32_t expected)
{
	uint64_t end = bm_time_ns() + (expected ? START_WAIT_NS : GUESS_WAIT_NS);

	while (bm_time_ns() < end) {
		if (expected && __atomic_load_n(&bm_ap_ticket, __ATOMIC_ACQUIRE) >= expected)
			return;
		cpu_relax();
	}
}

void bm_smp_start_others(void)
{
	uint32_t cpus = (uint32_t)bm_option("cpus", 0), limit, came, i;
	char *stack;

	if (cpus == 1)
		return;
	limit = (cpus ? cpus : GUESS_CPUS) - 1;
	if (limit > BM_MAX_CPUS - 1)
		limit = BM_MAX_CPUS - 1;
	for (i = 0; i < limit; i++) {
		smp_new_cpu(i + 1);
		stack = bm_mem_internal(BM_STACK_SIZE / (uint32_t)V3_PAGE_SIZE);
		if (!stack)
			bm_panic("no memory for the stack of CPU %u", i + 1);
		bm_ap_stack_top[i] = (uint64_t)stack + BM_STACK_SIZE;
	}
	memcpy((void *)TRAMPOLINE, bm_trampoline, (size_t)(bm_trampoline_end - bm_trampoline));
	__atomic_store_n(&bm_ap_limit, limit, __ATOMIC_SEQ_CST);

	bm_apic_send_init();
	bm_delay_us(10000);
	bm_apic_send_startup(TRAMPOLINE >> 12);
	bm_delay_us(200);
	bm_apic_send_startup(TRAMPOLINE >> 12);
	smp_wait_tickets(cpus ? cpus - 1 : 0);

	came = __atomic_exchange_n(&bm_ap_ticket, TICKET_CLOSED, __ATOMIC_SEQ_CST);
	if (came > limit)
		came = limit;
	if (cpus && came + 1 < cpus)
		bm_print("palacios-host: only %u of %u CPUs came up", came + 1, cpus);
	for (i = 1; i <= came; i++)
		while (!__atomic_load_n(&bm_cpus[i]->online, __ATOMIC_ACQUIRE))
			cpu_relax();
	bm_cpu_total = came + 1;
}

int bm_cpu_call(uint32_t cpu, void (*fn)(void *arg), void *arg)
{
	struct bm_call call = {.fn = fn, .arg = arg};
	struct bm_cpu *target;
	unsigned long flags;

	if (cpu >= bm_cpu_total)
		return V3_ENODEV;
	target = bm_cpus[cpu];
	flags = irq_save();
	if (target == bm_this_cpu()) {
		fn(arg);
		irq_restore(flags);
		return V3_OK;
	}
	irq_restore(flags);
	if (!(flags & RFLAGS_IF))
		bm_panic("cpu_call with interrupts off");

	flags = bm_spin_lock(&target->call_lock);
	call.next = target->calls;
	target->calls = &call;
	bm_spin_unlock(&target->call_lock, flags);
	bm_apic_send(target->apic_id, BM_VEC_CALL);
	while (!__atomic_load_n(&call.done, __ATOMIC_ACQUIRE))
		cpu_relax();
	return V3_OK;
}

void bm_smp_run_calls(struct bm_cpu *cpu)
{
	struct bm_call *call, *next;

	bm_spin_lock_noirq(&cpu->call_lock);
	call = cpu->calls;
	cpu->calls = NULL;
	bm_spin_unlock_noirq(&cpu->call_lock);
	for (; call; call = next) {
		next = call->next; /* the asker's stack: gone once done is set */
		call->fn(call->arg);
		__atomic_store_n(&call->done, true, __ATOMIC_RELEASE);
	}
}

void bm_cpu_kick(uint32_t cpu)
{
	if (cpu < bm_cpu_total)
		bm_apic_send(bm_cpus[cpu]->apic_id, BM_VEC_KICK);
}
