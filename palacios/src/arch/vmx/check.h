/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file check.h
 * The checks that a CPU makes at VM entry, in software: a CPU says only that one of them failed. They read
 * fields through a function, so what is checked may be a VMCS or, in unit tests, an array.
 *
 * Not looked at is what lies in memory behind a VMCS: MSR areas, a linked VMCS; of the virtual-APIC page the TPR is.
 */
#ifndef V3_VMX_CHECK_H
#define V3_VMX_CHECK_H

#include "arch/vmx/caps.h"

/** What a rule sees. */
struct vmx_check {
	const struct vmx_caps *caps;
	uint64_t (*read)(void *vmcs, uint32_t field);
	void *vmcs;	      /* the argument of read */
	const uint32_t *apic; /* the virtual-APIC page; NULL: there is none */
};

/** One rule of the manual. Rules that concern several fields alike share a function. */
struct vmx_rule {
	bool (*holds)(const struct vmx_check *c, uint32_t arg);
	uint32_t arg;
	const char *text; /* "SDM 3C section: what must hold" */
};

/** Controls and host state, check.c; guest state, check_guest.c; each ends with holds == NULL. */
extern const struct vmx_rule v3_vmx_control_rules[], v3_vmx_guest_rules[];

/**
 * Would an entry with these fields succeed? Own vcpu thread or stopped VM. Reads optional fields only if the
 * control that they belong to is on.
 * @return NULL: nothing found; else the first rule violated, as text
 */
const char *v3_vmx_check(const struct vmx_check *c);

/* ---- for the rules ---- */

static inline uint64_t v3_vmx_check_get(const struct vmx_check *c, uint32_t field)
{
	return c->read(c->vmcs, field);
}

static inline bool v3_vmx_check_pin(const struct vmx_check *c, uint32_t bits)
{
	return v3_vmx_check_get(c, VMCS_PIN_CONTROLS) & bits;
}

static inline bool v3_vmx_check_proc(const struct vmx_check *c, uint32_t bits)
{
	return v3_vmx_check_get(c, VMCS_PROC_CONTROLS) & bits;
}

static inline bool v3_vmx_check_proc2(const struct vmx_check *c, uint32_t bits)
{
	return v3_vmx_check_proc(c, VMX_PROC_SECONDARY) &&
	       (v3_vmx_check_get(c, VMCS_PROC2_CONTROLS) & bits);
}

static inline bool v3_vmx_check_exit_ctl(const struct vmx_check *c, uint32_t bits)
{
	return v3_vmx_check_get(c, VMCS_EXIT_CONTROLS) & bits;
}

static inline bool v3_vmx_check_entry_ctl(const struct vmx_check *c, uint32_t bits)
{
	return v3_vmx_check_get(c, VMCS_ENTRY_CONTROLS) & bits;
}

/** An address in memory, with the lowest @p align bits clear. */
static inline bool v3_vmx_check_pa(const struct vmx_check *c, uint64_t pa, unsigned align)
{
	return !(pa & ((1ull << align) - 1)) && !(pa >> c->caps->pa_bits);
}

static inline bool v3_vmx_check_is_canonical(const struct vmx_check *c, uint64_t va)
{
	unsigned unused = 64u - c->caps->la_bits;

	return (uint64_t)((int64_t)(va << unused) >> unused) == va;
}

/** SDM 3A 12.12.2: each of the eight memory types is 0, 1, 4, 5, 6 or 7. */
static inline bool v3_vmx_check_is_pat(uint64_t pat)
{
	for (; pat; pat >>= 8)
		if ((pat & 0xff) > 7 || (pat & 0xfe) == 2)
			return false;
	return true;
}

#define VMX_CHECK_EFER (V3_EFER_SCE | V3_EFER_LME | V3_EFER_LMA | V3_EFER_NXE)

#endif
