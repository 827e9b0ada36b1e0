/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host started vcpu 0 on a view in which the page at 32 MiB is another one, read-only and full of 0x5a
 * (option view= of the bare-metal host). Its first write there puts the vcpu back on the VM's own memory:
 * the write is then done there, once. The guest never sees a fault. Command line:
 *   string  the write is one that the VMM performs    smp    a second vcpu, never on the view, writes before
 *   reset   the VM's reset ends the view              read   vcpu 0 is still on the view at the end
 */
#include "guest.h"

#define PAGE  0x2000000ull
#define SIZE  4096
#define SHOWN 0x5a
#define CMOS  0x50 /* a byte of CMOS RAM that nobody else uses */

static volatile uint32_t second_seen, second_may_end, second_ended;
static volatile uint64_t second_value;

/* How many bytes of [from, to) in the page, as this vcpu sees it, are not @value? */
static unsigned others(unsigned from, unsigned to, uint8_t value)
{
	const volatile uint8_t *p = (const volatile uint8_t *)PAGE;
	unsigned n = 0;

	for (; from < to; from++)
		n += p[from] != value;
	return n;
}

static volatile uint64_t *word(uint64_t gpa)
{
	return (volatile uint64_t *)gpa;
}

/* The pages on both sides and those far away are the VM's own, and writable. */
static void check_around(void)
{
	static const uint64_t places[] = {PAGE - 8, PAGE + SIZE, PAGE + 0x100000, PAGE - 0x200000};
	unsigned i;

	for (i = 0; i < G_NELEM(places); i++) {
		CHECK(*word(places[i]) == 0);
		*word(places[i]) = ~places[i];
	}
	for (i = 0; i < G_NELEM(places); i++)
		CHECK(*word(places[i]) == ~places[i]);
}

/* Instructions that the VMM performs see the view, too. */
static void print_page(void)
{
	uint64_t src = PAGE + SIZE - 16, n = 16;

	__asm__ volatile("cld; rep outsb" : "+S"(src), "+c"(n) : "d"(0xe9) : "memory");
	g_print("\n");
}

static void check_shown(void)
{
	CHECK(others(0, SIZE, SHOWN) == 0);
	check_around();
	print_page();
	CHECK(others(0, SIZE, SHOWN) == 0);
}

/* Adds to a word that was @before in the VM's own memory: what the view shows is no part of the sum. */
static void write_word(uint64_t before)
{
	const uint64_t add = 0x123456789ull;

	__asm__ volatile("lock addq %1, (%0)" : : "r"(PAGE + 8), "r"(add) : "memory");
	CHECK_M(*word(PAGE + 8) == before + add, "%lx\n", *word(PAGE + 8));
	CHECK(others(0, 8, 0) == 0);
	CHECK(others(16, SIZE, 0) == 0);
	*word(PAGE + SIZE - 8) = 1; /* not forbidden any more */
	CHECK(*word(PAGE + SIZE - 8) == 1);
}

static void write_string(void)
{
	uint64_t to = PAGE + 16, n = 3;

	outb(0x70, 0x80 | CMOS);
	outb(0x71, 0xc3);
	outb(0x70, 0x80 | CMOS);
	__asm__ volatile("cld; rep insb" : "+D"(to), "+c"(n) : "d"(0x71) : "memory");
	CHECK(n == 0 && to == PAGE + 19);
	CHECK(others(0, 16, 0) == 0);
	CHECK(others(16, 19, 0xc3) == 0);
	CHECK(others(19, SIZE, 0) == 0);
}

static void second(void)
{
	second_value = *word(PAGE + 8);
	*word(PAGE + 8) = 1000;
	__atomic_store_n(&second_seen, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&second_may_end, __ATOMIC_SEQ_CST))
		relax();
	second_value = *word(PAGE + 8);
	__atomic_store_n(&second_ended, 1, __ATOMIC_SEQ_CST);
	for (;;)
		sti_hlt();
}

static void wait_for(volatile uint32_t *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_SEQ_CST))
		relax();
}

static void with_second(void)
{
	g_start_ap(1, second);
	wait_for(&second_seen);
	CHECK_M(second_value == 0, "%lx\n", second_value);
	CHECK(others(0, SIZE, SHOWN) == 0);
	write_word(1000);
	second_may_end = 1;
	wait_for(&second_ended);
	CHECK(second_value == *word(PAGE + 8));
}

int main(void)
{
	if (g_boot_count() == 1) {
		g_print("second boot\n");
		CHECK(others(0, SIZE, 0) == 0);
		write_word(0);
		return g_result();
	}
	/* In either order: the large leaf that the neighbour may get must not cover the page. */
	if (!g_cmdline_has("string"))
		CHECK(*word(PAGE + SIZE) == 0);
	check_shown();
	if (g_cmdline_has("reset")) {
		g_set_boot_count(1);
		outb(0xcf9, 0x06);
		for (;;)
			relax();
	}
	if (g_cmdline_has("smp"))
		with_second();
	else if (g_cmdline_has("string"))
		write_string();
	else if (!g_cmdline_has("read"))
		write_word(0);
	return g_result();
}
