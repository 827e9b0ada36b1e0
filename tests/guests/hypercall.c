/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hypercalls: number in RAX, result in RAX; unknown numbers are refused, nothing else changes. Both vendors'
 * instructions work, whatever the CPU is.
 */
#include "guest.h"

#include "hypercall.h"

typedef int64_t (*hypercall_fn)(uint64_t nr, uint64_t b, uint64_t c, uint64_t d, uint64_t *b_after);

#define HYPERCALL(name)                                                                            \
	static int64_t name(uint64_t nr, uint64_t b, uint64_t c, uint64_t d, uint64_t *b_after)    \
	{                                                                                          \
		__asm__ volatile(G_TRY(#name) : "+a"(nr), "+b"(b), "+c"(c), "+d"(d) : : "memory"); \
		*b_after = b;                                                                      \
		return (int64_t)nr;                                                                \
	}
HYPERCALL(vmmcall)
HYPERCALL(vmcall)

static void check(hypercall_fn call)
{
	uint64_t b;
	unsigned i;

	CHECK(call(V3_HYPERCALL_NOP, 1, 2, 3, &b) == 0);
	CHECK(g_fault == X_NONE && b == 1);
	CHECK(call(V3_HYPERCALL_VERSION, 0, 0, 0, &b) == V3_ABI_VERSION);
	CHECK(g_fault == X_NONE);
	CHECK(call(0x1234, 0x77, 0, 0, &b) < 0);
	CHECK(g_fault == X_NONE && b == 0x77);
	CHECK(call(~0ull, 0, 0, 0, &b) < 0);
	CHECK(call((uint64_t)V3_HYPERCALL_NOP | 1ull << 40, 0, 0, 0, &b) < 0);
	for (i = 0; i < 500; i++) {
		uint64_t nr = g_random();

		if ((uint32_t)nr >> 16 == V3_HYPERCALL_NOP >> 16)
			continue;
		CHECK(call(i & 1 ? nr : nr & 0xffffffff, g_random(), g_random(), g_random(), &b) <
		      0);
	}
}

int main(void)
{
	check(vmmcall);
	check(vmcall);
	/* their neighbours are no hypercalls */
	__asm__ volatile(G_TRY(".byte 0x0f, 0x01, 0xc5") : : : "memory");
	CHECK(g_fault == X_UD);
	return g_result();
}
