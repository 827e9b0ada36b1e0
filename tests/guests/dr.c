/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Debug registers: values are kept over exits, DR4/DR5 follow CR4.DE, general detect, reserved bits. With
 * "breakpoints" on the command line also that data and instruction breakpoints hit: QEMU's CPU does not load
 * them on VMRUN, Bochs' CPU does (but has not yet updated DR6 when #DB exits, so DR6 is not looked at, nor does
 * it clear its own pending general detect). AMD APM 24593 r3.42 sections 13.1, 15.12.2.
 */
#include "guest.h"

#define DR(n)                                                                                      \
	static uint64_t read_dr##n(void)                                                           \
	{                                                                                          \
		uint64_t v;                                                                        \
                                                                                                   \
		__asm__ volatile("movq %%dr" #n ", %0" : "=r"(v));                                 \
		return v;                                                                          \
	}                                                                                          \
	static int write_dr##n(uint64_t v)                                                         \
	{                                                                                          \
		__asm__ volatile(G_TRY("movq %0, %%dr" #n) : : "r"(v) : "memory");                 \
		return g_fault;                                                                    \
	}
DR(0)
DR(1)
DR(2)
DR(3)
DR(6)
DR(7)

static volatile unsigned hits;
static volatile uint64_t hit_rip;
static volatile uint64_t watched;

static void on_debug(struct g_frame *f)
{
	hits++;
	hit_rip = f->rip;
	write_dr6(0xffff0ff0);
	f->rflags |= 1u << 16; /* RF: go on over an instruction breakpoint */
}

static void check_values(void)
{
	unsigned i;

	CHECK(read_dr6() == 0xffff0ff0);
	CHECK(read_dr7() == 0x400);
	write_dr0(0x1111);
	write_dr1(0x2222000011112222);
	write_dr2(0x3333);
	write_dr3(~0ull);
	for (i = 0; i < 5; i++) {
		(void)cpuid(0, 0);
		(void)inb(0x80);
		CHECK(read_dr0() == 0x1111 && read_dr1() == 0x2222000011112222 &&
		      read_dr2() == 0x3333 && read_dr3() == ~0ull);
	}
	CHECK(write_dr6(1ull << 32) == X_GP);
	CHECK(write_dr7(1ull << 32) == X_GP);
	CHECK(read_dr7() == 0x400);
	write_dr7(0);
	CHECK(read_dr7() == 0x400); /* bit 10 is always one */
}

static void check_breakpoints(void)
{
	uint64_t here;

	g_handler[X_DB] = on_debug;
	/* write of 8 bytes */
	write_dr0((uint64_t)&watched);
	write_dr7(0x00090002 | 0x400); /* G0, write, 8 bytes is LEN 10 */
	hits = 0;
	(void)watched;
	CHECK(hits == 0);
	watched = 1;
	CHECK(hits == 1);
	(void)cpuid(0, 0); /* armed over an exit */
	watched = 2;
	CHECK(hits == 2);
	write_dr7(0x400);
	watched = 3;
	CHECK(hits == 2);

	/* instruction */
	__asm__ volatile(
		"leaq 1f(%%rip), %%rax; movq %%rax, %%dr1; movq $0x408, %%rcx; movq %%rcx, %%dr7\n"
		"nop\n"
		"1: nop\n"
		"movq %%rax, %0"
		: "=r"(here)
		:
		: "rax", "rcx", "memory");
	CHECK(hits == 3 && hit_rip == here);
	write_dr7(0x400);
	g_handler[X_DB] = NULL;
}

static void check_general_detect(void)
{
	uint64_t v;

	write_dr7(0x2400);
	__asm__ volatile(G_TRY("movq %%dr0, %0") : "=r"(v) : : "memory");
	CHECK(g_fault == X_DB);
	CHECK(!(read_dr7() & 0x2000)); /* cleared on entry to the handler */
	CHECK(read_dr6() & 1u << 13);
	write_dr6(0xffff0ff0);
	write_dr7(0x400);
}

static void check_aliases(void)
{
	uint64_t cr4 = read_cr4(), v;

	__asm__ volatile(G_TRY(".byte 0x0f, 0x21, 0xe0")
			 : "=a"(v)
			 :
			 : "memory"); /* mov %dr4, %rax */
	CHECK(g_fault == X_NONE && v == read_dr6());
	CHECK(try_write_cr4(cr4 | 8) == X_NONE);
	__asm__ volatile(G_TRY(".byte 0x0f, 0x21, 0xe0") : "=a"(v) : : "memory");
	CHECK(g_fault == X_UD);
	__asm__ volatile(G_TRY(".byte 0x0f, 0x23, 0xe8")
			 :
			 : "a"(0)
			 : "memory"); /* mov %rax, %dr5 */
	CHECK(g_fault == X_UD);
	CHECK(try_write_cr4(cr4) == X_NONE);
}

int main(void)
{
	check_values();
	if (g_cmdline_has("breakpoints"))
		check_breakpoints();
	else
		check_general_detect();
	check_aliases();
	return g_result();
}
