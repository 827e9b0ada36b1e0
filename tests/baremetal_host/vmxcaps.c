/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vmxcaps.c
 * The word "vmxcaps" on the command line: print this CPU's VMX capability MSRs instead of running a guest.
 * tests/unit/vmx_models.sh makes the tables of the unit tests of it. SDM 3D appendix A.
 */
#include "baremetal.h"
#include "cpu.h"

#define CPUID_1_ECX_VMX	  (1u << 5)
#define MSR_BASIC	  0x480u /* the first; up to entry 0x48a always there */
#define MSR_VMCS_ENUM	  0x48au
#define MSR_PROCBASED	  0x482u
#define MSR_PROCBASED2	  0x48bu
#define MSR_EPT_VPID	  0x48cu
#define MSR_TRUE_FIRST	  0x48du
#define MSR_TRUE_LAST	  0x490u
#define MSR_VMFUNC	  0x491u
#define BASIC_TRUE	  (1ull << 55)
#define PROC_SECONDARY	  (1ull << 63) /* of the upper half: may be 1 */
#define PROC2_EPT_OR_VPID ((1ull << 33) | (1ull << 37))
#define PROC2_VMFUNC	  (1ull << 45)

static uint64_t vmxcaps_print(uint32_t msr)
{
	uint64_t value = rdmsr(msr);

	bm_print("vmxcaps: %#x %#llx", msr, (unsigned long long)value);
	return value;
}

int bm_vmxcaps(void)
{
	uint64_t basic, proc2 = 0;
	uint32_t r[4], msr;

	cpuid(1, 0, r);
	if (!(r[2] & CPUID_1_ECX_VMX)) {
		bm_print("vmxcaps: this CPU has no VMX");
		return BM_EXIT_BROKEN;
	}
	basic = vmxcaps_print(MSR_BASIC);
	for (msr = MSR_BASIC + 1; msr <= MSR_VMCS_ENUM; msr++)
		vmxcaps_print(msr);
	if (rdmsr(MSR_PROCBASED) & PROC_SECONDARY)
		proc2 = vmxcaps_print(MSR_PROCBASED2);
	if (proc2 & PROC2_EPT_OR_VPID)
		vmxcaps_print(MSR_EPT_VPID);
	for (msr = MSR_TRUE_FIRST; basic & BASIC_TRUE && msr <= MSR_TRUE_LAST; msr++)
		vmxcaps_print(msr);
	if (proc2 & PROC2_VMFUNC)
		vmxcaps_print(MSR_VMFUNC);
	return 0;
}
