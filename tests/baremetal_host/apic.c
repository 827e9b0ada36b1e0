/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file apic.c
 * Local APIC (memory-mapped, or by MSR when the boot loader left it in x2APIC mode) and the one I/O APIC
 * entry the console needs. AMD APM 24593 r3.42 chapter 16; Intel 82093AA data sheet.
 */
#include "baremetal.h"
#include "cpu.h"

#define APIC_BASE_ENABLE (1u << 11)
#define APIC_BASE_X2	 (1u << 10)
#define X2APIC_MSR	 0x800

/* Register offsets; the x2APIC MSR is 0x800 + offset / 16. */
enum {
	APIC_ID = 0x20,
	APIC_TPR = 0x80,
	APIC_EOI = 0xb0,
	APIC_SVR = 0xf0,
	APIC_ESR = 0x280,
	APIC_ICR = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0,
};

#define ICR_INIT	   0x00500u
#define ICR_STARTUP	   0x00600u
#define ICR_ASSERT	   0x04000u
#define ICR_PENDING	   0x01000u
#define ICR_ALL_BUT_SELF   0xc0000u
#define LVT_MASKED	   0x10000u
#define LVT_TIMER_DEADLINE 0x40000u

#define IOAPIC 0xfec00000ul /* of the PC the host runs on; not looked up in ACPI tables */

static bool apic_x2;
static volatile char *apic_mmio;

static uint32_t apic_read(uint32_t reg)
{
	if (apic_x2)
		return (uint32_t)rdmsr(X2APIC_MSR + reg / 16);
	return *(volatile uint32_t *)(apic_mmio + reg);
}

static void apic_write(uint32_t reg, uint32_t v)
{
	if (apic_x2)
		wrmsr(X2APIC_MSR + reg / 16, v);
	else
		*(volatile uint32_t *)(apic_mmio + reg) = v;
}

uint32_t bm_apic_id(void)
{
	uint32_t id = apic_read(APIC_ID);

	return apic_x2 ? id : id >> 24;
}

void bm_apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

static void apic_send(uint32_t dest, uint32_t command)
{
	unsigned long flags = irq_save(); /* the two halves belong together */

	if (apic_x2) {
		wrmsr(X2APIC_MSR + APIC_ICR / 16, (uint64_t)dest << 32 | command);
	} else {
		while (apic_read(APIC_ICR) & ICR_PENDING)
			cpu_relax();
		apic_write(APIC_ICR_HIGH, dest << 24);
		apic_write(APIC_ICR, command);
	}
	irq_restore(flags);
}

void bm_apic_send(uint32_t apic_id, uint8_t vector)
{
	apic_send(apic_id, ICR_ASSERT | vector);
}

void bm_apic_send_init(void)
{
	apic_send(0, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_INIT);
}

void bm_apic_send_startup(uint8_t page)
{
	apic_send(0, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_STARTUP | page);
}

void bm_apic_init_cpu(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);
	uint32_t features[4];

	apic_x2 = base & APIC_BASE_X2;
	apic_mmio = (volatile char *)(base & 0xffffff000ull);
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVT_LINT0, LVT_MASKED); /* the 8259 pair stays unused */
	apic_write(APIC_LVT_LINT1, LVT_MASKED);
	apic_write(APIC_LVT_ERROR, LVT_MASKED);
	apic_write(APIC_SVR, 0x100 | BM_VEC_SPURIOUS);
	cpuid(1, 0, features);
	if (features[2] >> 24 & 1) {
		apic_write(APIC_LVT_TIMER, LVT_TIMER_DEADLINE | BM_VEC_TIMER);
		/* orders the memory-mapped mode change before the first MSR write: SDM 3A 10.5.4.1 */
		__asm__ volatile("mfence" : : : "memory");
	} else {
		apic_write(APIC_TIMER_DIVIDE, 0xb); /* by 1 */
		apic_write(APIC_LVT_TIMER, BM_VEC_TIMER);
	}
}

void bm_apic_timer_count(uint32_t count)
{
	apic_write(APIC_TIMER_INITIAL, count);
}

uint32_t bm_apic_timer_left(void)
{
	return apic_read(APIC_TIMER_CURRENT);
}

void bm_apic_timer_deadline(uint64_t tsc)
{
	wrmsr(MSR_TSC_DEADLINE, tsc);
}

void bm_apic_route_isa(uint8_t irq, uint8_t vector)
{
	volatile uint32_t *select = (volatile uint32_t *)IOAPIC;
	volatile uint32_t *window = (volatile uint32_t *)(IOAPIC + 0x10);

	*select = 0x11 + 2u * irq;
	*window = bm_cpus[0]->apic_id << 24;
	*select = 0x10 + 2u * irq;
	*window = vector; /* fixed, physical destination, edge, active high */
}
