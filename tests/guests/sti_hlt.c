/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The idle loop of every operating system: STI; HLT must not lose an interrupt that comes in between, because
 * STI holds it back for one instruction (AMD APM 24594 r3.34 STI). Timer interrupts at all moments around it,
 * also on two vcpus that share a CPU ("smp"): a lost one is a guest that hangs, one too many is counted. "many" is
 * enough of them to meet QEMU's quirk Q8.
 */
#include "guest.h"

#define VECTOR 0x50
#define ROUNDS 1500
#define MANY   8000

static volatile uint32_t done;
static volatile uint32_t fired[2], wrong[2];

static void on_timer(struct g_frame *f)
{
	(void)f;
	fired[g_apic_read(APIC_ID) >> 24]++;
	g_apic_eoi();
}

static void rounds(unsigned me)
{
	uint64_t seed = 0x1234567 + me;
	uint32_t i, last = g_cmdline_has("many") ? MANY : ROUNDS;

	g_apic_enable();
	g_apic_write(APIC_TDCR, 0xb);
	g_apic_write(APIC_LVT_TIMER, VECTOR);
	for (i = 1; i <= last; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		g_apic_write(APIC_TMICT, 1000 + (uint32_t)(seed >> 40) % 150000);
		sti_hlt();
		if (fired[me] != i)
			wrong[me]++;
	}
}

static void second(void)
{
	rounds(1);
	done = 1;
	for (;;)
		__asm__ volatile("cli; hlt");
}

int main(void)
{
	g_handler[VECTOR] = on_timer;
	g_apic_enable();
	if (g_cmdline_has("smp"))
		g_start_ap(1, second);
	else
		done = 1;
	rounds(0);
	while (!done)
		relax();
	CHECK(wrong[0] == 0 && wrong[1] == 0);
	return g_result();
}
