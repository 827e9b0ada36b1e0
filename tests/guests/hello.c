/* SPDX-License-Identifier: BSD-3-Clause */
/* The first guest: multiboot entry, long mode, port 0xe9, COM1, status through port 0xf4. */
#include "guest.h"

static void com1(const char *s)
{
	for (; *s; s++) {
		while (!(inb(0x3fd) & 0x20))
			relax();
		outb(0x3f8, (uint8_t)*s);
	}
}

int main(void)
{
	CHECK(g_mb_magic == 0x2badb002);
	CHECK(*(uint32_t *)(uint64_t)g_mb_info & 1); /* memory sizes are valid */
	g_print("hello, world: %s %d %u %x %lx\n", "text", -1, 42u, 0xbeefu, 0x123456789abcdeful);
	com1("hello from COM1\r\n");
	return g_result();
}
