/* SPDX-License-Identifier: BSD-3-Clause */
/* A triple fault resets the machine (AMD APM 24593 r3.42 section 8.2.9): the second boot finds CMOS RAM kept. */
#include "guest.h"

int main(void)
{
	static volatile uint32_t initialised = 0x11223344;
	static volatile uint32_t zeroed;
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	CHECK(initialised == 0x11223344); /* the loader has written the image again */
	CHECK(zeroed == 0);
	if (g_boot_count() == 0) {
		g_set_boot_count(1);
		initialised = 0;
		zeroed = 1;
		g_print("first boot\n");
		__asm__ volatile("lidt %0; ud2" : : "m"(none));
	}
	CHECK(g_boot_count() == 1);
	CHECK(read_cr0() == 0x80010033); /* what crt.S has set, nothing older */
	g_print("second boot\n");
	return g_result();
}
