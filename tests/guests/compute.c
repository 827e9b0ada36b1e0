/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that computes with its timer off is left alone: 10^9 instructions without any exit. The counters of
 * the VMM say so (guests.list); whatever this guest does otherwise is printing its last line.
 */
#include "guest.h"

int main(void)
{
	uint64_t n = 250000000, x = 1;

	/* For hosts that look on: no end and no exit. */
	while (g_cmdline_has("forever"))
		;
	/* 4 instructions per round */
	__asm__ volatile("1: addq %0, %1\n"
			 "rolq $7, %1\n"
			 "decq %0\n"
			 "jnz 1b"
			 : "+r"(n), "+r"(x)
			 :
			 : "cc");
	CHECK(n == 0 && x != 1);
	return g_result();
}
