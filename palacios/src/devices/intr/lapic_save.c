// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file lapic_save.c
 * Saved state of the local APICs (palacios/save.h): the tables that lapic_dev.c's class names. Called by vm/device.c
 * while no vcpu runs; calls lapic.c to show what was loaded and to have the vcpu follow it.
 *
 * The page of registers is saved as it is. Registers that it only shows are loaded with struct lapic, and shown anew.
 * The bit in the guest's memory that belongs to pv_armed is saved with that memory and not touched here.
 */
#include "lapic.h"

#include "palacios/error.h"
#include "palacios/save.h"

#define LAPIC_RESERVED_VECTORS 0xffffu /* 0 to 15 are never requested, SDM 3A 10.5.2 */

static bool lapic_save_base_valid(const struct lapic *l)
{
	uint64_t rest = V3_PC_LAPIC_BASE | (l == l->set->cpu[0] ? LAPIC_BASE_BSP : 0);

	return (l->base & ~LAPIC_BASE_MODE) == rest &&
	       (l->base & LAPIC_BASE_MODE) != LAPIC_BASE_X2APIC;
}

/* The TPR becomes CR8, vectors become events for the guest. */
static bool lapic_save_vectors_valid(const struct lapic *l)
{
	uint64_t vectors =
		l->incoming[0] | l->page[LAPIC_AT(LAPIC_ISR)] | l->page[LAPIC_AT(LAPIC_IRR)];

	return l->page[LAPIC_AT(LAPIC_TPR)] <= 0xff && !(vectors & LAPIC_RESERVED_VECTORS);
}

static void lapic_save_show(struct lapic *l)
{
	lapic_show(l, LAPIC_VERSION, LAPIC_VERSION_VALUE);
	lapic_show(l, LAPIC_DFR, l->dfr);
	lapic_show(l, LAPIC_SVR, l->svr);
	for (unsigned n = 0; n < LAPIC_NLVT; n++)
		lapic_show(l, LAPIC_LVT + n, l->lvt[n]);
	lapic_show(l, LAPIC_TICR, l->initial);
	lapic_show(l, LAPIC_DCR, l->dcr);
}

/* Interrupts that wait are requested by v3_lapic_follow(), with whoever delivers them from now on. */
static int lapic_save_loaded(void *state)
{
	struct lapic *l = state;

	if (!lapic_save_base_valid(l) || !lapic_save_vectors_valid(l) || !v3_lapic_pv_valid(l))
		return V3_EINVAL;
	l->posted = l->incoming[0] || l->incoming[1] || l->incoming[2] || l->incoming[3];
	lapic_save_show(l);
	v3_lapic_follow(l);
	/* A CPU that ends interrupts by itself offers no paravirtual EOI, and would not see this one. */
	return l->pv_armed && l->isr_top == LAPIC_BY_CPU ? V3_EINVAL : V3_OK;
}

static const struct v3_save_field lapic_fields[] = {
	V3_SAVE(struct lapic, incoming),
	V3_SAVE(struct lapic, level),
	V3_SAVE_NOT(struct lapic, posted),
	V3_SAVE(struct lapic, esr_pending),
	V3_SAVE_NOT(struct lapic, id),
	V3_SAVE(struct lapic, base),
	V3_SAVE(struct lapic, svr),
	V3_SAVE(struct lapic, ldr),
	V3_SAVE(struct lapic, dfr),
	V3_SAVE(struct lapic, lvt),
	V3_SAVE_AT(struct lapic, page, V3_PAGE_SIZE),
	V3_SAVE_NOT(struct lapic, nested),
	V3_SAVE_NOT(struct lapic, isr_top),
	V3_SAVE(struct lapic, dcr),
	V3_SAVE(struct lapic, initial),
	V3_SAVE(struct lapic, running),
	V3_SAVE(struct lapic, deadline),
	V3_SAVE(struct lapic, tsc_deadline),
	V3_SAVE(struct lapic, pv_eoi),
	V3_SAVE(struct lapic, pv_armed),
	V3_SAVE_NOT(struct lapic, set),
	V3_SAVE_NOT(struct lapic, vcpu),
	V3_SAVE_TIMER(struct lapic, timer),
	V3_SAVE_END,
};
static const struct v3_save_table lapic_save = {
	.fields = lapic_fields,
	.size = sizeof(struct lapic),
	.loaded = lapic_save_loaded,
};

static const struct v3_save_field lapic_set_fields[] = {
	V3_SAVE_NOT(struct lapic_set, vm),    V3_SAVE_NOT(struct lapic_set, n),
	V3_SAVE(struct lapic_set, turn),      V3_SAVE_PARTS_AT(struct lapic_set, cpu, &lapic_save),
	V3_SAVE_NOT(struct lapic_set, by_id), V3_SAVE_END,
};
const struct v3_save_table v3_lapic_save = {
	.fields = lapic_set_fields,
	.size = sizeof(struct lapic_set),
};
