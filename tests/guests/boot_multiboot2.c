/* SPDX-License-Identifier: BSD-3-Clause */
/* A kernel with a multiboot 2 header beside the one of version 1: the loader must take the newer, and tell by tags. */
#include "guest.h"

/* Header with the end tag only; the linker script keeps what is in this section at the file's beginning. */
asm(".section .multiboot, \"a\"\n"
    ".balign 8\n"
    "1: .long 0xe85250d6, 0, 2f - 1b, -(0xe85250d6 + (2f - 1b))\n"
    ".short 0, 0\n"
    ".long 8\n"
    "2:\n"
    ".previous\n");

static const uint32_t *info(void)
{
	return (const uint32_t *)(uint64_t)g_mb_info;
}

/* The first tag of a type. */
static const uint32_t *find(uint32_t type)
{
	const uint32_t *p = info() + 2;

	while ((uint64_t)p - g_mb_info < info()[0]) {
		if (p[0] == type)
			return p;
		p += (p[1] + 7) / 8 * 2;
	}
	return 0;
}

int main(void)
{
	const uint32_t *map;
	bool high = false;

	CHECK(g_mb_magic == 0x36d76289);
	CHECK(!((uint64_t)info() & 7));
	g_print("cmdline %s\n", (const char *)(find(1) + 2));
	CHECK(find(4) && find(4)[2] == 640);
	CHECK(find(15) && find(15)[2] == 0x20445352 && find(15)[3] == 0x20525450); /* "RSD PTR " */
	map = find(6);
	CHECK(map && map[2] == 24);
	for (uint32_t i = 4; i < map[1] / 4; i += 6)
		high |= map[i] == 0x100000 && map[i + 1] == 0 && map[i + 2] == 63u << 20 &&
			map[i + 4] == 1;
	CHECK(high);
	CHECK(find(0));
	return g_result();
}
