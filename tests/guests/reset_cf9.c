/* SPDX-License-Identifier: BSD-3-Clause */
/* Reset control register 0xcf9: bit 2 going up with bit 1 (hard reset) set. The VM starts over. */
#include "guest.h"

int main(void)
{
	if (g_boot_count() == 0) {
		g_set_boot_count(1);
		g_print("first boot\n");
		outb(0xcf9, 0x02);
		outb(0xcf9, 0x06);
		g_delay_us(1000000);
		g_print("FAILED: no reset\n");
		return G_FAIL;
	}
	CHECK(g_boot_count() == 1);
	g_print("second boot\n");
	return g_result();
}
