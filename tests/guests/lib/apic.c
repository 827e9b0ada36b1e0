/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file apic.c
 * Interrupt controllers as the micro guests use them: local APIC, I/O APIC, 8259 pair, 8254.
 * AMD APM 24593 r3.42 chapter 16; SDM 3A chapter 10; Intel 82093AA, 8259A and 8254 data sheets.
 */
#include "guest.h"

volatile uint32_t g_irq_count[256];
static uint8_t pic_base;

static bool x2apic(void)
{
	return rdmsr(MSR_APIC_BASE) >> 10 & 1;
}

uint32_t g_apic_read(uint32_t reg)
{
	return x2apic() ? (uint32_t)rdmsr(MSR_X2APIC + reg / 16) : mmio_read(LAPIC + reg);
}

void g_apic_write(uint32_t reg, uint32_t v)
{
	if (x2apic())
		wrmsr(MSR_X2APIC + reg / 16, v);
	else
		mmio_write(LAPIC + reg, v);
}

void g_apic_eoi(void)
{
	g_apic_write(APIC_EOI, 0);
}

void g_apic_enable(void)
{
	g_apic_write(APIC_SVR, 0x1ff);
	g_apic_write(APIC_TPR, 0);
	g_apic_write(APIC_LVT_TIMER, LVT_MASKED);
	g_apic_write(APIC_LVT_LINT0, LVT_MASKED);
	g_apic_write(APIC_LVT_LINT1, LVT_MASKED);
	g_apic_write(APIC_LVT_ERROR, LVT_MASKED);
}

void g_x2apic_enable(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0x400);
	g_apic_enable();
}

void g_apic_icr(uint32_t dest, uint32_t command)
{
	if (x2apic()) {
		wrmsr(MSR_X2APIC + APIC_ICR / 16, (uint64_t)dest << 32 | command);
		return;
	}
	mmio_write(LAPIC + APIC_ICR2, dest << 24);
	mmio_write(LAPIC + APIC_ICR, command);
	while (mmio_read(LAPIC + APIC_ICR) & 0x1000)
		relax();
}

uint32_t g_ioapic_read(uint32_t reg)
{
	mmio_write(IOAPIC, reg);
	return mmio_read(IOAPIC + 0x10);
}

void g_ioapic_write(uint32_t reg, uint32_t v)
{
	mmio_write(IOAPIC, reg);
	mmio_write(IOAPIC + 0x10, v);
}

void g_ioapic_route(unsigned pin, uint32_t low, uint32_t dest)
{
	g_ioapic_write(0x10 + 2 * pin, LVT_MASKED);
	g_ioapic_write(0x11 + 2 * pin, dest << 24);
	g_ioapic_write(0x10 + 2 * pin, low);
}

void g_pic_init(uint8_t base)
{
	pic_base = base;
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, base);
	outb(0xa1, (uint8_t)(base + 8));
	outb(0x21, 0x04);
	outb(0xa1, 0x02);
	outb(0x21, 0x01);
	outb(0xa1, 0x01);
	g_pic_mask(0xffff);
	g_apic_write(APIC_SVR, 0x1ff);
	g_apic_write(APIC_LVT_LINT0, 0x700); /* ExtINT */
}

void g_pic_mask(uint16_t mask)
{
	outb(0x21, (uint8_t)mask);
	outb(0xa1, (uint8_t)(mask >> 8));
}

void g_pic_eoi(unsigned irq)
{
	if (irq >= 8)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

void g_pit_start(unsigned mode, uint16_t count)
{
	outb(0x43, (uint8_t)(0x30 | mode << 1));
	outb(0x40, (uint8_t)count);
	outb(0x40, (uint8_t)(count >> 8));
}

void g_count_apic(struct g_frame *f)
{
	g_irq_count[f->vector]++;
	g_apic_eoi();
}

void g_count_pic(struct g_frame *f)
{
	g_irq_count[f->vector]++;
	g_pic_eoi((unsigned)f->vector - pic_base);
}
