/* SPDX-License-Identifier: BSD-3-Clause */
/* The exit port takes 1, 2 and 4 byte writes; the status is (v << 1) | 1 of the value, as QEMU's isa-debug-exit. */
#include "guest.h"

int main(void)
{
	return 5; /* main()'s value goes to port 0xf4: status 11 */
}
