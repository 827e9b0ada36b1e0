/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Computes for ever, timer off, on its first vcpu: for tests of what the host does with such a guest.
 */
#include "guest.h"

static void spin(void)
{
	for (;;)
		__asm__ volatile("" : : : "memory");
}

int main(void)
{
	g_print("spinning\n");
	spin();
	return 1;
}
