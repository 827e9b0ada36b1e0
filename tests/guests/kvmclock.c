/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The paravirtual clock: a page the VMM fills in so that TSC readings become nanoseconds; wall clock at boot.
 * Format: Linux Documentation/virt/kvm/x86/msr.rst (MSR 0x4b564d00, 0x4b564d01).
 */
#include "guest.h"

#define MSR_WALL   0x4b564d00
#define MSR_SYSTEM 0x4b564d01

struct time_info {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
};
_Static_assert(sizeof(struct time_info) == 32, "ABI");

struct wall_info {
	uint32_t version, sec, nsec;
};

static volatile struct time_info info __attribute__((aligned(64)));
static volatile struct wall_info wall __attribute__((aligned(64)));

static uint64_t clock_ns(void)
{
	struct time_info t;
	uint64_t delta;
	uint32_t version;

	do {
		version = info.version;
		__asm__ volatile("" : : : "memory");
		t.tsc = info.tsc;
		t.ns = info.ns;
		t.mul = info.mul;
		t.shift = info.shift;
		__asm__ volatile("" : : : "memory");
		delta = rdtsc() - t.tsc;
	} while (version != info.version || version & 1);
	delta = t.shift < 0 ? delta >> -t.shift : delta << t.shift;
	return t.ns + (uint64_t)((unsigned __int128)delta * t.mul >> 32);
}

int main(void)
{
	uint64_t a, b, tsc, by_tsc;
	unsigned i;

	CHECK(cpuid(0x40000101, 0).a & 1u << 3);
	CHECK(try_wrmsr(MSR_SYSTEM, (uint64_t)&info | 1) == X_NONE);
	CHECK(rdmsr(MSR_SYSTEM) == ((uint64_t)&info | 1));
	CHECK(info.version && !(info.version & 1));
	CHECK(info.mul);
	a = clock_ns();
	for (i = 0; i < 200; i++) {
		b = clock_ns();
		CHECK(b >= a);
		a = b;
		(void)inb(0x80);
	}
	/* both clocks over some 20 ms: the same within 2 % */
	(void)g_tsc_khz();
	a = clock_ns();
	tsc = rdtsc();
	g_delay_us(20000);
	b = clock_ns() - a;
	by_tsc = (rdtsc() - tsc) * 1000000 / g_tsc_khz();
	CHECK_M(b > by_tsc / 50 * 49 && b < by_tsc / 49 * 50 + 1000000, "%lu ns, by TSC %lu ns\n",
		b, by_tsc);

	CHECK(try_wrmsr(MSR_WALL, (uint64_t)&wall) == X_NONE);
	CHECK(wall.version && !(wall.version & 1));
	CHECK_M(wall.sec > 1700000000, "wall clock at boot: %u\n", wall.sec);
	CHECK(wall.nsec < 1000000000);

	/* switched off, it is left alone; addresses outside RAM harm nobody */
	CHECK(try_wrmsr(MSR_SYSTEM, 0) == X_NONE);
	info.version = 0x55aa;
	(void)cpuid(0, 0);
	CHECK(info.version == 0x55aa);
	(void)try_wrmsr(MSR_SYSTEM, 0xfffffffff000ull | 1);
	(void)try_wrmsr(MSR_SYSTEM, 0xc0000000ull | 1);
	(void)try_wrmsr(MSR_SYSTEM, 0xfffffff1ull);
	(void)try_wrmsr(MSR_WALL, ~0ull);
	(void)cpuid(0, 0);
	return g_result();
}
