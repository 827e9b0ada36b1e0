/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HLT ends with the timer interrupt of the i8254 through the 8259 pair and LINT0 (ExtINT); rate and one-shot
 * mode; the mask and the in-service bit hold interrupts back. Intel 8254 and 8259A data sheets.
 */
#include "guest.h"

#define BASE	  0x20
#define TICKS_1MS 1193

static void check_rate(void)
{
	uint64_t start, us;

	g_pit_start(2, 2 * TICKS_1MS);
	g_pic_mask(0xfffe);
	sti_hlt(); /* the first one starts the clock */
	g_irq_count[BASE] = 0;
	start = rdtsc();
	while (g_irq_count[BASE] < 10)
		sti_hlt();
	us = (rdtsc() - start) * 1000 / g_tsc_khz();
	CHECK_M(us > 17000 && us < 2000000, "10 periods of 2 ms took %lu us\n", us);
	g_pic_mask(0xffff);
}

static void check_mask(void)
{
	uint32_t before = g_irq_count[BASE];

	sti();
	g_delay_us(10000);
	cli();
	CHECK(g_irq_count[BASE] == before);
	g_pic_mask(0xfffe); /* one is pending: it was latched while masked */
	sti_hlt();
	CHECK(g_irq_count[BASE] > before);
}

static void check_one_shot(void)
{
	g_pit_start(0, 60000); /* stops the rate; then let in what it has left */
	g_pic_mask(0xfffe);
	sti();
	g_delay_us(100);
	cli();
	g_irq_count[BASE] = 0;
	g_pit_start(0, 3 * TICKS_1MS);
	outb(0x20, 0x0a); /* read IRR */
	while (!(inb(0x20) & 1))
		relax();
	CHECK(g_irq_count[BASE] == 0);
	sti_hlt();
	CHECK(g_irq_count[BASE] == 1);
	sti();
	g_delay_us(20000);
	cli();
	CHECK_M(g_irq_count[BASE] == 1, "one-shot fired %u times\n", g_irq_count[BASE]);
}

static void no_eoi(struct g_frame *f)
{
	g_irq_count[f->vector]++;
}

static void check_in_service(void)
{
	g_irq_count[BASE] = 0;
	g_handler[BASE] = no_eoi;
	g_pit_start(2, TICKS_1MS);
	sti();
	g_delay_us(10000);
	cli();
	CHECK(g_irq_count[BASE] == 1);
	outb(0x20, 0x0b); /* read ISR */
	CHECK(inb(0x20) & 1);
	g_handler[BASE] = g_count_pic;
	g_pic_eoi(0);
	sti();
	g_delay_us(10000);
	cli();
	CHECK(g_irq_count[BASE] > 2);
}

int main(void)
{
	g_apic_enable();
	g_pic_init(BASE);
	g_handler[BASE] = g_count_pic;
	g_handler[BASE + 7] = g_count_pic; /* spurious */
	(void)g_tsc_khz();
	check_rate();
	check_mask();
	check_one_shot();
	check_in_service();
	return g_result();
}
