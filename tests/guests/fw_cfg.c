/* SPDX-License-Identifier: BSD-3-Clause */
/* The firmware configuration device as QEMU has it: QEMU docs/specs/fw_cfg.txt. */
#include "guest.h"

#define SELECT 0x510
#define DATA   0x511

static uint32_t read_le32(uint16_t key)
{
	uint32_t v = 0;
	unsigned i;

	outw(SELECT, key);
	for (i = 0; i < 4; i++)
		v |= (uint32_t)inb(DATA) << 8 * i;
	return v;
}

int main(void)
{
	char sig[4], again[4];
	char *p = again;
	uint64_t n;
	uint32_t files;

	outw(SELECT, 0);
	for (n = 0; n < 4; n++)
		sig[n] = (char)inb(DATA);
	CHECK(sig[0] == 'Q' && sig[1] == 'E' && sig[2] == 'M' && sig[3] == 'U');
	outw(SELECT, 0);
	n = 4;
	__asm__ volatile("cld; rep insb" : "+D"(p), "+c"(n) : "d"(DATA) : "memory");
	CHECK(*(uint32_t *)sig == *(uint32_t *)again);
	CHECK(inb(DATA) == 0);			    /* past the end of an item */
	CHECK(read_le32(1) & 1);		    /* traditional interface */
	CHECK((uint16_t)read_le32(5) == 1);	    /* CPUs */
	files = __builtin_bswap32(read_le32(0x19)); /* directory: big-endian count */
	CHECK_M(files < 1000, "%u files\n", files);
	CHECK(read_le32(0x7fff) == 0); /* an item that does not exist reads as zero */
	return g_result();
}
