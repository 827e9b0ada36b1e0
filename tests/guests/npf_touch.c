/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every page of RAM the loader reports can be read, written and keeps its value; first touch of each happens
 * here. The stack, the page tables and string instructions cross pages that are touched for the first time.
 */
#include "guest.h"

#define MIB 0x100000ull

static uint64_t ram_end(void)
{
	const uint32_t *info = (const uint32_t *)(uint64_t)g_mb_info;

	return MIB + info[2] * 1024ull; /* mem_upper */
}

int main(void)
{
	uint64_t start = ((uint64_t)g_image_end + 4 * MIB) & ~(2 * MIB - 1), end = ram_end(), p,
		 wrong = 0;
	uint64_t stack, words = 0x3000 / 8, to;

	CHECK(end >= start + 16 * MIB);
	if (end > 3072 * MIB)
		end = 3072 * MIB;
	end -= 4 * MIB; /* ACPI tables and what the loader put at the end */

	/* a string copy whose destination is all new, at an odd place, then one that reads new pages */
	to = start + 5 * MIB + 0xffd;
	p = 0x100000;
	__asm__ volatile("cld; rep movsq" : "+D"(to), "+S"(p), "+c"(words) : : "memory");
	CHECK(*(uint64_t *)(start + 5 * MIB + 0xffd) == *(uint64_t *)0x100000);

	/* a push and a call on a stack that nobody has used */
	stack = start + 9 * MIB;
	__asm__ volatile("xchgq %0, %%rsp; pushq $0x1234; pushq (%%rsp); popq %%rax; popq %%rcx; "
			 "xchgq %0, %%rsp"
			 : "+r"(stack)
			 :
			 : "rax", "rcx", "memory");
	CHECK(*(uint64_t *)(start + 9 * MIB - 8) == 0x1234);

	for (p = start; p < end; p += 4096) {
		*(volatile uint64_t *)(p + 8) = p;
		*(volatile uint8_t *)(p + 4095) = (uint8_t)(p >> 12);
	}
	for (p = start; p < end; p += 4096)
		if (*(volatile uint64_t *)(p + 8) != p ||
		    *(volatile uint8_t *)(p + 4095) != (uint8_t)(p >> 12))
			wrong++;
	CHECK_M(wrong == 0, "%lu pages wrong\n", wrong);
	g_print("# touched %u MiB\n", (unsigned)((end - start) / MIB));
	return g_result();
}
