/* SPDX-License-Identifier: BSD-3-Clause */
/* VMMCALL: number in RAX, result in RAX; unknown numbers are refused, nothing else changes. */
#include "guest.h"

#include "hypercall.h"

static int64_t vmmcall(uint64_t nr, uint64_t b, uint64_t c, uint64_t d, uint64_t *b_after)
{
	__asm__ volatile(G_TRY("vmmcall") : "+a"(nr), "+b"(b), "+c"(c), "+d"(d) : : "memory");
	*b_after = b;
	return (int64_t)nr;
}

int main(void)
{
	uint64_t b;
	unsigned i;

	CHECK(vmmcall(V3_HYPERCALL_NOP, 1, 2, 3, &b) == 0);
	CHECK(g_fault == X_NONE && b == 1);
	CHECK(vmmcall(V3_HYPERCALL_VERSION, 0, 0, 0, &b) == V3_ABI_VERSION);
	CHECK(g_fault == X_NONE);
	CHECK(vmmcall(0x1234, 0x77, 0, 0, &b) < 0);
	CHECK(g_fault == X_NONE && b == 0x77);
	CHECK(vmmcall(~0ull, 0, 0, 0, &b) < 0);
	CHECK(vmmcall((uint64_t)V3_HYPERCALL_NOP | 1ull << 40, 0, 0, 0, &b) < 0);
	for (i = 0; i < 500; i++) {
		uint64_t nr = g_random();

		if ((uint32_t)nr >> 16 == V3_HYPERCALL_NOP >> 16)
			continue;
		CHECK(vmmcall(i & 1 ? nr : nr & 0xffffffff, g_random(), g_random(), g_random(),
			      &b) < 0);
	}
	return g_result();
}
