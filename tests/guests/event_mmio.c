/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An interrupt whose stack lies in device memory: nothing could finish that delivery, and emulating the
 * interrupted instruction in its place would run it twice. The VM is reset, as after a triple fault.
 */
#include "guest.h"

#define VECTOR 0x52

static volatile unsigned work;

int main(void)
{
	if (g_boot_count() == 0) {
		g_set_boot_count(1);
		g_apic_enable();
		g_set_gate(VECTOR, 1, 0);
		*(uint64_t *)(g_tss + 36) = 0xfee00800ull;
		g_apic_icr(0, ICR_SELF | VECTOR);
		sti();
		work++; /* an instruction on memory: must not run in place of the delivery */
		cli();
		CHECK(!"the interrupt was delivered or lost");
	}
	CHECK(work == 0);
	g_print("second boot\n");
	return g_result();
}
