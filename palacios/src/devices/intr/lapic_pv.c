// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file lapic_pv.c
 * KVM-compatible paravirtual EOI: Linux kernel documentation, virt/kvm/x86/msr.rst, MSR_KVM_PV_EOI_EN. Called by
 * lapic.c where it looks at or changes what is in service.
 *
 * Bit 0 of a word of the guest's means "nobody waits for this EOI". The guest clears it instead of writing the EOI
 * register, and the exit is saved. We set it when an edge-triggered interrupt goes into service and no other one is
 * requested, and look at it before anything that depends on what is in service. If another interrupt comes that has
 * to wait for the end of this one, the bit is taken back, and the guest tells us.
 */
#include "lapic.h"

#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/vcpu.h"

#define V3_LOG_TAG "lapic"

#define PV_EOI_ENABLED 1ull
#define PV_EOI_BITS    3ull /* the address is a multiple of 4; bit 1 is reserved */
#define PV_EOI_UNHEARD 1u

/* RAM stays where it is: the MSR's write has checked that there is some. */
static uint32_t *lapic_pv_word(struct lapic *l)
{
	return v3_mem_ptr(l->set->vm, l->pv_eoi & ~PV_EOI_BITS, sizeof(uint32_t));
}

/* @return what bit 0 was */
static bool lapic_pv_set_bit(struct lapic *l, bool set)
{
	uint32_t *word = lapic_pv_word(l);
	uint32_t old = set ? __atomic_fetch_or(word, PV_EOI_UNHEARD, __ATOMIC_SEQ_CST)
			   : __atomic_fetch_and(word, ~PV_EOI_UNHEARD, __ATOMIC_SEQ_CST);

	v3_mem_wrote(l->set->vm, l->pv_eoi & ~PV_EOI_BITS, sizeof(*word));
	return old & PV_EOI_UNHEARD;
}

void v3_lapic_pv_sync(struct lapic *l)
{
	if (V3_LIKELY(!l->pv_armed) ||
	    (__atomic_load_n(lapic_pv_word(l), __ATOMIC_RELAXED) & PV_EOI_UNHEARD))
		return;
	l->pv_armed = false;
	v3_lapic_eoi(l);
}

void v3_lapic_pv_arm(struct lapic *l, uint8_t vector)
{
	if (V3_LIKELY(!(l->pv_eoi & PV_EOI_ENABLED)) || v3_lapic_others_wait(l) ||
	    (*lapic_word(l, LAPIC_TMR, vector) & lapic_bit(vector)))
		return;
	lapic_pv_set_bit(l, true);
	l->pv_armed = true;
}

void v3_lapic_pv_disarm(struct lapic *l)
{
	if (V3_LIKELY(!l->pv_armed))
		return;
	l->pv_armed = false;
	/* Cleared already: the guest was faster. */
	if (!lapic_pv_set_bit(l, false))
		v3_lapic_eoi(l);
}

bool v3_lapic_pv_valid(struct lapic *l)
{
	if (l->pv_eoi & PV_EOI_BITS & ~PV_EOI_ENABLED)
		return false;
	return l->pv_eoi & PV_EOI_ENABLED ? lapic_pv_word(l) != NULL : !l->pv_armed;
}

int v3_lapic_pv_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	struct lapic_set *set = priv;

	(void)msr;
	*value = set->cpu[v3_vcpu_index(vcpu)]->pv_eoi;
	return V3_OK;
}

int v3_lapic_pv_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	struct lapic_set *set = priv;
	struct lapic *l = set->cpu[v3_vcpu_index(vcpu)];

	(void)msr;
	if (value & PV_EOI_BITS & ~PV_EOI_ENABLED)
		return V3_EINVAL;
	v3_lapic_pv_disarm(l);
	l->pv_eoi = value;
	if ((value & PV_EOI_ENABLED) && !lapic_pv_word(l)) {
		V3_GUEST_WARN(set->vm, "paravirtual EOI at %#llx is not RAM: switched off",
			      (unsigned long long)(value & ~PV_EOI_BITS));
		l->pv_eoi = 0;
	}
	return V3_OK;
}
