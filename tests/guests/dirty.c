/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host tracks written pages (option "dirty" of the bare-metal host, which has the ports). Each harvest has
 * exactly the pages of the window that were written since the one before: by this vcpu, by another, or by the VMM
 * for a string instruction. Outside the window are the stack and whatever else the guest writes by the way.
 * Command line:  smp  a second vcpu writes, too
 */
#include "guest.h"

#define PORT	0x5d0
#define BITMAP	0x5d4
#define START	1
#define HARVEST 2
#define STOP	3
#define ENOENT	(-2)
#define EBUSY	(-16)

#define PAGE	  4096ull
#define WINDOW	  0x1000000ull /* 16 MiB .. 48 MiB of 64 */
#define NPAGES	  8192u
#define RAM_PAGES 16384u
#define CMOS	  0x50 /* a byte of CMOS RAM that nobody else uses */

static uint32_t bitmap[RAM_PAGES / 32];
static uint8_t expected[NPAGES];
static volatile uint32_t second_go, second_done;

static int command(uint32_t c)
{
	outl(PORT, c);
	return (int)inl(PORT);
}

static volatile uint64_t *page(unsigned n)
{
	return (volatile uint64_t *)(WINDOW + n * PAGE);
}

static void write_page(unsigned n, uint64_t value)
{
	page(n)[n % 512] = value;
	expected[n] = 1;
}

/* The harvest has what is expected, which begins anew. */
static void check_harvest(const char *what)
{
	uint32_t *to = bitmap;
	uint64_t n = G_NELEM(bitmap);
	unsigned i, missing = 0, extra = 0;

	CHECK_M(command(HARVEST) >= 0, "%s\n", what);
	__asm__ volatile("cld; rep insl" : "+D"(to), "+c"(n) : "d"(BITMAP) : "memory");
	for (i = 0; i < NPAGES; i++) {
		unsigned at = (unsigned)(WINDOW / PAGE) + i;
		unsigned got = bitmap[at / 32] >> (at % 32) & 1;

		missing += !got && expected[i];
		extra += got && !expected[i];
		expected[i] = 0;
	}
	CHECK_M(!missing && !extra, "%s: %u pages are missing, %u are there though not written\n",
		what, missing, extra);
}

static void write_some(unsigned count, uint64_t value)
{
	while (count--)
		write_page((unsigned)(g_random() % NPAGES), value);
}

static uint64_t read_all(void)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < NPAGES; i++)
		sum += page(i)[i % 512];
	return sum;
}

/* Instructions that the VMM performs. */
static void write_by_string(unsigned n)
{
	uint64_t to = WINDOW + n * PAGE - 2, count = 4;

	outb(0x70, 0x80 | CMOS);
	outb(0x71, 0xc3);
	outb(0x70, 0x80 | CMOS);
	__asm__ volatile("cld; rep insb" : "+D"(to), "+c"(count) : "d"(0x71) : "memory");
	CHECK(*(volatile uint8_t *)(WINDOW + n * PAGE) == 0xc3);
	expected[n - 1] = expected[n] = 1;
}

static void second(void)
{
	unsigned i;

	sti(); /* quirk B1: else the host could not interrupt it */
	for (;;) {
		while (!__atomic_load_n(&second_go, __ATOMIC_SEQ_CST))
			relax();
		for (i = 3; i < NPAGES; i += 64)
			write_page(i, i);
		__atomic_store_n(&second_go, 0, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&second_done, 1, __ATOMIC_SEQ_CST);
	}
}

static void with_second(void)
{
	unsigned round, i;

	second_done = 0;
	for (round = 1; round <= 3; round++) {
		__atomic_store_n(&second_go, 1, __ATOMIC_SEQ_CST);
		for (i = round; i < NPAGES; i += 128)
			write_page(i, round);
		while (__atomic_load_n(&second_done, __ATOMIC_SEQ_CST) != round)
			relax();
		check_harvest("two vcpus");
		check_harvest("two vcpus, idle");
	}
}

static void check_tracking(void)
{
	unsigned i;

	for (i = 0; i < NPAGES; i++)
		expected[i] = 0;
	CHECK(command(START) == 0);
	CHECK(command(START) == EBUSY);
	check_harvest("nothing");
	write_page(0, 1);
	write_page(511, 2);
	write_page(512, 3);
	write_page(NPAGES - 1, 4);
	check_harvest("single pages");
	check_harvest("nothing again");
	write_page(511, 5);
	write_page(510, 6);
	check_harvest("one again and its neighbour");
	(void)read_all();
	check_harvest("reading");
	write_some(300, 7);
	check_harvest("some");
	write_by_string(1024);
	write_by_string(77);
	check_harvest("string instructions");
	for (i = 0; i < 1500; i++)
		write_page(i * 5, 8);
	check_harvest("more than a log holds");
	for (i = 0; i < 1500; i++)
		write_page(i * 5, 9);
	check_harvest("the same");
	if (g_cmdline_has("smp"))
		with_second();
}

int main(void)
{
	uint64_t sum;

	CHECK(command(HARVEST) == ENOENT);
	if (g_cmdline_has("smp"))
		g_start_ap(1, second);
	write_some(2000, 1);
	check_tracking();
	write_page(5, 5);
	sum = read_all();
	CHECK(command(STOP) == 0);
	CHECK(command(HARVEST) == ENOENT);
	CHECK(read_all() == sum);
	write_some(100, 10);
	check_tracking();
	return g_result();
}
