/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file caps.h
 * What this CPU's VMX can do: the capability MSRs, read once, and the controls computed from them.
 * SDM 3D appendix A. Pure but for v3_vmx_caps_read(); its unit test has the MSRs of several CPU models.
 */
#ifndef V3_VMX_CAPS_H
#define V3_VMX_CAPS_H

#include "arch/vmx/vmcs.h"
#include "palacios/types.h"

/**
 * The capability MSRs. Of each pair of control MSRs the TRUE one, where the CPU has it (basic bit 55). Control
 * words have the bits that must be 1 in their lower half, those that may be 1 in the upper.
 */
struct vmx_caps {
	uint64_t basic, misc;
	uint64_t pinbased, procbased, procbased2, exit, entry;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1; /* must be 1; may be 1 */
	uint64_t ept_vpid;
	uint64_t vmfunc;
	uint8_t pa_bits, la_bits; /* widths of physical and linear addresses, by CPUID */
};

/** The five words of controls as a VMCS takes them. */
struct vmx_controls {
	uint32_t pin, proc, proc2, exit, entry;
};

/** Read them on the current CPU, which must have VMX. MSRs that it does not have read as 0. */
void v3_vmx_caps_read(struct vmx_caps *caps);

/**
 * Compute the controls that a vcpu starts with: everything that the back end needs, what it likes where the
 * CPU has it, and nothing else. Controls that are switched while the guest runs (interrupt window, NMI window,
 * 64-bit guest) are checked and start as 0.
 *
 * @param missing  on failure set to one sentence that names what the CPU lacks
 * @return V3_OK; V3_ENODEV: the CPU lacks something that the back end cannot do without
 */
int v3_vmx_caps_controls(const struct vmx_caps *caps, struct vmx_controls *ctl,
			 const char **missing);

/** May all of @p bits be 1 in a control word? @p word: e.g. caps->procbased2. */
static inline bool v3_vmx_caps_may(uint64_t word, uint32_t bits)
{
	return ((word >> 32) & bits) == bits;
}

/** Are all of @p bits (VMX_EPT_*, VMX_VPID_*) set in the EPT and VPID capabilities? */
static inline bool v3_vmx_caps_ept(const struct vmx_caps *caps, uint64_t bits)
{
	return (caps->ept_vpid & bits) == bits;
}

/**
 * Guest CR0 as the hardware must see it: the bits that VMX wants, PE and PG excepted (unrestricted guest,
 * SDM 3C 27.3.1.1), and none that the CPU does not have.
 */
static inline uint64_t v3_vmx_caps_guest_cr0(const struct vmx_caps *caps, uint64_t cr0)
{
	return (cr0 | (caps->cr0_fixed0 & ~0x80000001ull)) & caps->cr0_fixed1;
}

/** The same for CR4; VMXE is one of the bits that VMX wants. */
static inline uint64_t v3_vmx_caps_guest_cr4(const struct vmx_caps *caps, uint64_t cr4)
{
	return (cr4 | caps->cr4_fixed0) & caps->cr4_fixed1;
}

#endif
