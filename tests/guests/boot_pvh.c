/* SPDX-License-Identifier: BSD-3-Clause */
/* A kernel with a PVH entry point: its note is found, and the start information tells of the machine. */
#include "guest.h"

/* XEN_ELFNOTE_PHYS32_ENTRY */
asm(".section .note.pvh, \"a\", @note\n"
    ".long 4, 8, 18\n"
    ".asciz \"Xen\"\n"
    ".quad g_start\n"
    ".previous\n");

struct start_info {
	uint32_t magic, version, flags, nmodules;
	uint64_t modules, cmdline, rsdp, map;
	uint32_t nmap, reserved;
};
struct map_entry {
	uint64_t base, len;
	uint32_t type, reserved;
};

int main(void)
{
	const struct start_info *info = (const struct start_info *)(uint64_t)g_mb_info;
	const struct map_entry *map = (const struct map_entry *)info->map;
	bool high = false;

	CHECK(info->magic == 0x336ec578);
	CHECK(info->version == 1 && !info->flags && !info->nmodules);
	g_print("cmdline %s\n", (const char *)info->cmdline);
	CHECK(*(const uint64_t *)info->rsdp == 0x2052545020445352); /* "RSD PTR " */
	for (uint32_t i = 0; i < info->nmap; i++)
		high |= map[i].base == 0x100000 && map[i].len == 63u << 20 && map[i].type == 1;
	CHECK(high);
	return g_result();
}
