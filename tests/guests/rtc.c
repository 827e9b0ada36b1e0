/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MC146818 clock: a sensible date, seconds that pass, BCD and binary, CMOS RAM, periodic and update interrupts
 * through IRQ 8. Motorola MC146818A data sheet.
 */
#include "guest.h"

#define BASE 0x20

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, 0x80 | reg);
	return inb(0x71);
}

static void cmos_write(uint8_t reg, uint8_t v)
{
	outb(0x70, 0x80 | reg);
	outb(0x71, v);
}

static uint8_t stable(uint8_t reg)
{
	uint8_t a, b;

	do {
		while (cmos(0x0a) & 0x80)
			relax();
		a = cmos(reg);
		b = cmos(reg);
	} while (a != b || cmos(0x0a) & 0x80);
	return a;
}

static unsigned bcd(uint8_t v)
{
	return (v >> 4) * 10u + (v & 15);
}

static volatile unsigned ticks;
static volatile uint8_t flags;

static void on_irq8(struct g_frame *f)
{
	(void)f;
	flags |= cmos(0x0c); /* reading acknowledges */
	ticks++;
	g_pic_eoi(8);
}

int main(void)
{
	uint8_t b = cmos(0x0b), sec, i;
	uint64_t start, end;

	CHECK(cmos(0x0d) & 0x80);	    /* the battery is good */
	CHECK((b & 0x06) == 0x02);	    /* BCD, 24 hours: what a PC's firmware sets */
	CHECK((cmos(0x0a) & 0x70) == 0x20); /* divider for 32768 Hz */
	CHECK(bcd(stable(9)) >= 24 && bcd(stable(8)) >= 1 && bcd(stable(8)) <= 12);
	CHECK(bcd(stable(7)) >= 1 && bcd(stable(7)) <= 31 && bcd(stable(4)) < 24);
	CHECK(bcd(stable(2)) < 60 && bcd(stable(0)) < 60);
	/* binary mode shows the same second */
	cmos_write(0x0b, b | 0x04);
	for (i = 0; i < 10; i++) {
		cmos_write(0x0b, b);
		sec = (uint8_t)bcd(stable(0));
		cmos_write(0x0b, b | 0x04);
		if (stable(0) == sec)
			break;
	}
	CHECK(i < 10);
	cmos_write(0x0b, b);
	for (i = 0x60; i < 0x70; i++)
		cmos_write(i, (uint8_t)(i * 7));
	for (i = 0x60; i < 0x70; i++)
		CHECK(cmos(i) == (uint8_t)(i * 7));

	/* periodic interrupt: 1024 Hz */
	g_apic_enable();
	g_pic_init(BASE);
	g_handler[BASE + 8] = on_irq8;
	(void)cmos(0x0c);
	(void)g_tsc_khz();
	g_pic_mask(0xffff & ~(1u << 8 | 1u << 2));
	cmos_write(0x0a, 0x26);
	cmos_write(0x0b, b | 0x40);
	start = rdtsc();
	while (ticks < 20)
		sti_hlt();
	end = rdtsc();
	cmos_write(0x0b, b);
	CHECK(flags & 0xc0);
	CHECK_M((end - start) * 1000 / g_tsc_khz() > 17000, "20 ticks in %lu us\n",
		(end - start) * 1000 / g_tsc_khz());
	/* update-ended interrupt: once a second, and the time has moved */
	(void)cmos(0x0c);
	ticks = 0;
	flags = 0;
	sec = stable(0);
	cmos_write(0x0b, b | 0x10);
	while (ticks < 2)
		sti_hlt();
	cmos_write(0x0b, b);
	CHECK(flags & 0x10);
	CHECK(stable(0) != sec);
	return g_result();
}
