/* SPDX-License-Identifier: BSD-3-Clause */
/* System control port A: the rising edge of bit 0 is a fast reset. The VM starts over. */
#include "guest.h"

int main(void)
{
	if (g_boot_count() == 0) {
		g_set_boot_count(1);
		g_print("first boot\n");
		outb(0x92, 0x00);
		outb(0x92, 0x01);
		g_delay_us(1000000);
		g_print("FAILED: no reset\n");
		return G_FAIL;
	}
	CHECK(g_boot_count() == 1);
	g_print("second boot\n");
	return g_result();
}
