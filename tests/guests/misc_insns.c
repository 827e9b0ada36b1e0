/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instructions a VMM may intercept: PAUSE, INVLPG, WBINVD, INVD, CLFLUSH run; MONITOR, MWAIT, VMRUN and
 * friends are not offered and raise #UD; RDPMC of a counter that is not there raises #GP. SGDT, SIDT, SLDT,
 * STR give the guest's own values.
 */
#include "guest.h"

static int try_insn(void (*fn)(void))
{
	fn();
	return g_fault;
}

#define INSN(name, text)                                                                           \
	static void name(void)                                                                     \
	{                                                                                          \
		__asm__ volatile(G_TRY(text) : : "a"(0x1000), "c"(0), "d"(0) : "memory");          \
	}
INSN(insn_monitor, "monitor")
INSN(insn_mwait, "mwait")
INSN(insn_vmrun, "vmrun")
INSN(insn_vmload, "vmload")
INSN(insn_vmsave, "vmsave")
INSN(insn_stgi, "stgi")
INSN(insn_clgi, "clgi")
INSN(insn_invlpga, "invlpga")
INSN(insn_vmxon, "vmxon (%%rsp)")
INSN(insn_rdpmc, "rdpmc")
INSN(insn_wbinvd, "wbinvd")
INSN(insn_invd, "invd")
INSN(insn_invlpg, "invlpg (%%rax)")
INSN(insn_pause, "pause")
INSN(insn_clflush, "clflush (%%rsp)")

int main(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table;
	uint16_t sel;
	unsigned i;

	CHECK(try_insn(insn_monitor) == X_UD);
	CHECK(try_insn(insn_mwait) == X_UD);
	CHECK(try_insn(insn_vmrun) == X_UD);
	CHECK(try_insn(insn_vmload) == X_UD);
	CHECK(try_insn(insn_vmsave) == X_UD);
	CHECK(try_insn(insn_stgi) == X_UD);
	CHECK(try_insn(insn_clgi) == X_UD);
	CHECK(try_insn(insn_invlpga) == X_UD);
	CHECK(try_insn(insn_vmxon) == X_UD);
	CHECK(try_insn(insn_rdpmc) == X_GP);
	for (i = 0; i < 50; i++) {
		CHECK(try_insn(insn_pause) == X_NONE);
		CHECK(try_insn(insn_invlpg) == X_NONE);
	}
	for (i = 0; i < 100000; i++)
		relax();
	CHECK(try_insn(insn_wbinvd) == X_NONE);
	CHECK(try_insn(insn_invd) == X_NONE);
	CHECK(try_insn(insn_clflush) == X_NONE);
	__asm__ volatile("sgdt %0" : "=m"(table));
	CHECK(table.base == (uint64_t)g_gdt && table.limit == sizeof(g_gdt) - 1);
	__asm__ volatile("str %0" : "=r"(sel));
	CHECK(sel == 0x40);
	__asm__ volatile("sldt %0" : "=r"(sel));
	CHECK(sel == 0);
	return g_result();
}
