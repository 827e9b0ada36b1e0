/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Port I/O of each size; empty ports read all ones; PCI configuration mechanism 1 by byte, word and doubleword;
 * string I/O with REP in both directions. PCI Local Bus 3.0 section 3.2.2.3; AMD APM 24594 r3.34 INS, OUTS.
 */
#include "guest.h"

static uint8_t buffer[16384] __attribute__((aligned(4096)));

static void check_empty(void)
{
	static const uint16_t empty[] = {0x2f8, 0x1000, 0xc000, 0xfff0};
	unsigned i;

	for (i = 0; i < G_NELEM(empty); i++) {
		CHECK(inb(empty[i]) == 0xff);
		CHECK(inw(empty[i]) == 0xffff);
		CHECK(inl(empty[i]) == 0xffffffff);
		outb(empty[i], 0);
		outw(empty[i], 0);
		outl(empty[i], 0);
	}
}

/* IN keeps the rest of RAX, except that a 32-bit one clears the upper half. */
static void check_widths(void)
{
	uint64_t v = 0x1122334455667788ull;

	__asm__ volatile("inb %%dx, %%al" : "+a"(v) : "d"(0xc000) : "memory");
	CHECK(v == 0x11223344556677ffull);
	__asm__ volatile("inw %%dx, %%ax" : "+a"(v) : "d"(0xc000) : "memory");
	CHECK(v == 0x112233445566ffffull);
	__asm__ volatile("inl %%dx, %%eax" : "+a"(v) : "d"(0xc000) : "memory");
	CHECK(v == 0xffffffffull);
	v = 0x1122334455667700ull;
	__asm__ volatile("inb $0xe9, %%al" : "+a"(v) : : "memory");
	CHECK(v == 0x11223344556677e9ull);
}

static void check_pci(void)
{
	uint32_t id;

	outl(0xcf8, 0x80000000);
	CHECK(inl(0xcf8) == 0x80000000);
	id = inl(0xcfc);
	CHECK(id != 0xffffffff && id != 0); /* the host bridge */
	CHECK(inw(0xcfc) == (uint16_t)id);
	CHECK(inw(0xcfe) == (uint16_t)(id >> 16));
	CHECK(inb(0xcfd) == (uint8_t)(id >> 8));
	outb(0xcf8, 0x55); /* only doublewords reach the address register */
	outw(0xcf8, 0x5555);
	CHECK(inl(0xcf8) == 0x80000000);
	outl(0xcf8, 0x80000008);
	CHECK((inl(0xcfc) >> 16) == 0x0600); /* class: host bridge */
	outl(0xcf8, 0x80000000 | 31 << 11);
	CHECK(inl(0xcfc) == 0xffffffff); /* no such device */
	outl(0xcf8, 0);
	CHECK(inl(0xcfc) == 0xffffffff); /* configuration access is off */
}

static void rep_outsb(const void *src, uint64_t n)
{
	__asm__ volatile("cld; rep outsb" : "+S"(src), "+c"(n) : "d"(0xe9) : "memory");
	CHECK(n == 0);
}

static void check_outs(void)
{
	static const char text[] = "string output\n";
	const char *p = text;
	uint64_t n = 0, i;

	rep_outsb(text, sizeof(text) - 1);
	__asm__ volatile("cld; rep outsb" : "+S"(p), "+c"(n) : "d"(0xe9) : "memory");
	CHECK(p == text && n == 0); /* a count of 0 does nothing */
	__asm__ volatile("cld; outsb" : "+S"(p) : "d"(0xe9) : "memory");
	CHECK(p == text + 1);
	outb(0xe9, '\n');
	/* over a page boundary, backwards */
	for (i = 0; i < 5; i++)
		buffer[4096 - 2 + i] = (uint8_t) "kcab\n"[4 - i];
	p = (const char *)buffer + 4096 + 2;
	n = 5;
	__asm__ volatile("std; rep outsb; cld" : "+S"(p), "+c"(n) : "d"(0xe9) : "memory");
	CHECK(p == (const char *)buffer + 4096 - 3 && n == 0);
	outb(0xe9, '\n');
	p = (const char *)buffer;
	n = 3;
	__asm__ volatile("cld; rep outsw" : "+S"(p), "+c"(n) : "d"(0xc000) : "memory");
	CHECK(p == (const char *)buffer + 6 && n == 0);
	n = 3;
	__asm__ volatile("cld; rep outsl" : "+S"(p), "+c"(n) : "d"(0xc000) : "memory");
	CHECK(p == (const char *)buffer + 18 && n == 0);
}

static void check_ins(void)
{
	uint8_t *p = buffer + 4096 - 8;
	uint64_t n = 20, i;

	for (i = 0; i < sizeof(buffer); i++)
		buffer[i] = 0x11;
	__asm__ volatile("cld; rep insb" : "+D"(p), "+c"(n) : "d"(0xe9) : "memory");
	CHECK(p == buffer + 4096 + 12 && n == 0);
	for (i = 0; i < 20; i++)
		CHECK(buffer[4096 - 8 + i] == 0xe9);
	CHECK(buffer[4096 - 9] == 0x11 && buffer[4096 + 12] == 0x11);
	p = buffer;
	n = 3;
	__asm__ volatile("cld; rep insl" : "+D"(p), "+c"(n) : "d"(0xc000) : "memory");
	CHECK(p == buffer + 12 && buffer[0] == 0xff && buffer[11] == 0xff && buffer[12] == 0x11);
	__asm__ volatile("cld; insw" : "+D"(p) : "d"(0xc000) : "memory");
	CHECK(p == buffer + 14 && buffer[13] == 0xff && buffer[14] == 0x11);
}

/* A page fault in the middle of a string: what is done stays done, and the rest can go on. */
static void check_ins_fault(void)
{
	static uint64_t table[512] __attribute__((aligned(4096)));
	uint8_t *p = (uint8_t *)0x40200ffc;
	uint64_t n = 8;

	table[0] = (uint64_t)buffer | 3;
	table[1] = 0;
	g_pd[512 + 1] = (uint64_t)table | 3;
	__asm__ volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" : : : "rax", "memory");
	__asm__ volatile("cld\n" G_TRY("rep insb") : "+D"(p), "+c"(n) : "d"(0xe9) : "memory");
	CHECK(g_fault == X_PF && g_fault_error == 2 && g_fault_cr2 == 0x40201000);
	CHECK_M((uint64_t)p == 0x40201000 && n == 4, "rdi %lx rcx %lu\n", (uint64_t)p, n);
	CHECK(buffer[4095] == 0xe9);
	p = (uint8_t *)0x40200ffc;
	n = 8;
	__asm__ volatile("cld\n" G_TRY("rep outsb") : "+S"(p), "+c"(n) : "d"(0xc000) : "memory");
	CHECK(g_fault == X_PF && g_fault_error == 0 && g_fault_cr2 == 0x40201000);
	CHECK_M((uint64_t)p == 0x40201000 && n == 4, "rsi %lx rcx %lu\n", (uint64_t)p, n);
}

int main(void)
{
	check_empty();
	check_widths();
	check_pci();
	check_outs();
	check_ins();
	check_ins_fault();
	return g_result();
}
