/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM's aids for a guest whose vcpus share a CPU: EOI without exit, steal time, and the byte that says that a vcpu does
 * not run and asks for a flush when it does again. Linux Documentation/virt/kvm/x86/msr.rst.
 */
#include "guest.h"

#include "hypercall.h"

#define MSR_STEAL  0x4b564d03
#define MSR_PV_EOI 0x4b564d04
#define VECTOR	   0x60
#define WAKE	   0x61
#define ROUNDS	   100

struct steal {
	uint64_t steal;
	uint32_t version, flags;
	uint8_t preempted, pad[47];
};
static volatile struct steal steal[2] __attribute__((aligned(64)));
static volatile uint32_t eoi_word, irqs, silent, second_up, second_halts, second_stop;

static void on_vector(struct g_frame *f)
{
	(void)f;
	irqs++;
	if (__atomic_fetch_and(&eoi_word, ~1u, __ATOMIC_SEQ_CST) & 1)
		silent++;
	else
		g_apic_eoi();
}

static bool in_time(uint64_t start)
{
	return rdtsc() - start < (uint64_t)g_tsc_khz() * 60000;
}

/* Computes until it is told to stop, then halts for good. */
static void second(void)
{
	g_apic_enable();
	wrmsr(MSR_STEAL, (uint64_t)&steal[1] | 1);
	second_up = 1;
	sti(); /* quirks B1, B4: else the host could not interrupt it */
	while (!second_stop)
		;
	for (;;) {
		sti_hlt();
		second_halts++;
	}
}

static void check_eoi(void)
{
	uint32_t i;

	CHECK(try_wrmsr(MSR_PV_EOI, (uint64_t)&eoi_word | 3) == X_GP);
	wrmsr(MSR_PV_EOI, (uint64_t)&eoi_word | 1);
	CHECK(rdmsr(MSR_PV_EOI) == ((uint64_t)&eoi_word | 1));
	for (i = 1; i <= ROUNDS; i++) {
		g_apic_icr(0, ICR_SELF | 0x4000 | VECTOR);
		while (irqs < i)
			sti_hlt();
	}
	CHECK(irqs == ROUNDS);
	CHECK_M(silent == ROUNDS, "%u of %u without exit\n", silent, ROUNDS);
	for (i = 0; i < 8; i++)
		CHECK(!g_apic_read(APIC_ISR + 16 * i));
	wrmsr(MSR_PV_EOI, 0);
}

/* The two share a CPU, and neither halts. */
static void check_steal(void)
{
	uint64_t start = rdtsc();

	CHECK(try_wrmsr(MSR_STEAL, (uint64_t)&steal[0] | 0x21) == X_GP);
	wrmsr(MSR_STEAL, (uint64_t)&steal[0] | 1);
	CHECK(rdmsr(MSR_STEAL) == ((uint64_t)&steal[0] | 1));
	g_start_ap(1, second);
	while ((!second_up || !steal[0].steal || !steal[1].steal) && in_time(start))
		relax();
	CHECK(steal[0].steal && steal[1].steal);
	CHECK(!(steal[0].version & 1) && steal[0].version);
	CHECK(!steal[0].preempted); /* it is the one that runs */
}

static void check_flush(void)
{
	uint8_t byte = 1;
	uint64_t start = rdtsc();

	second_stop = 1;
	while (steal[1].preempted != 1 && in_time(start))
		relax();
	/* Many a slice later it is halted, not only waiting for the CPU. */
	g_delay_us(100000);
	CHECK(steal[1].preempted == 1);
	CHECK(__atomic_compare_exchange_n(&steal[1].preempted, &byte, 3, false, __ATOMIC_SEQ_CST,
					  __ATOMIC_SEQ_CST));
	g_apic_icr(1, 0x4000 | WAKE);
	for (start = rdtsc(); !second_halts && in_time(start);)
		relax();
	CHECK(second_halts == 1);
	CHECK(!(steal[1].preempted & 2));
}

int main(void)
{
	uint32_t features = cpuid(V3_CPUID_KVM_BASE + 1, 0).a;

	/* Steal time, TLB flush; PV EOI unless an EOI costs no exit: no AMD CPU here does that. */
	CHECK((features & 0x220) == 0x220);
	CHECK((features & 0x40) || cpuid(0, 0).b == 0x756e6547);
	g_apic_enable();
	g_handler[VECTOR] = on_vector;
	g_handler[WAKE] = g_count_apic;
	if (features & 0x40)
		check_eoi();
	check_steal();
	check_flush();
	return g_result();
}
