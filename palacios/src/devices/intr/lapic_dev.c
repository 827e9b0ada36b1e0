// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file lapic_dev.c
 * The local APICs as a device: creation, reset, IA32_APIC_BASE; SDM 3A 10.4.4,
 * 10.12.1. Called by the builder and by MSR dispatch; calls lapic.c and lapic_timer.c.
 *
 * There is no firmware in front of the guest, so power-on leaves vcpu 0 as firmware would: APIC
 * enabled and LINT0 = ExtINT unmasked ("virtual wire", MultiProcessor Specification 1.4 3.6.2.2).
 * INIT goes to the state of SDM 3A 10.4.7.3 proper, with LINT0 masked.
 */
#include "lapic.h"

#include "palacios/device.h"
#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/msr.h"
#include "palacios/regs.h"
#include "palacios/vm.h"

#include "devices/devices.h"

#define V3_LOG_TAG "lapic"

#define BASE_FLAGS (LAPIC_BASE_BSP | LAPIC_BASE_X2APIC | LAPIC_BASE_ENABLE)
#define BASE_ADDR  0x000ffffffffff000ull
#define LVT_EXTINT ((uint32_t)V3_DELIVER_EXTINT << 8)

/* ---- IA32_APIC_BASE ---- */

static int lapic_base_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)msr;
	*value = lapic_of(priv, vcpu)->base;
	return V3_OK;
}

/** Transitions of SDM 3A figure 10-27; the boot-processor flag is the machine's and stays. */
static int lapic_base_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	struct lapic *l = lapic_of(priv, vcpu);
	uint64_t old_mode = l->base & LAPIC_BASE_MODE, mode = value & LAPIC_BASE_MODE;

	(void)msr;
	if (value & ~(BASE_FLAGS | BASE_ADDR) || mode == LAPIC_BASE_X2APIC)
		return V3_EINVAL;
	if ((value & BASE_ADDR) != V3_PC_LAPIC_BASE) {
		V3_GUEST_WARN(l->set->vm, "apic %u: moving the base to %#llx is not supported, #GP",
			      l->id, (unsigned long long)(value & BASE_ADDR));
		return V3_EINVAL;
	}
	if (mode == LAPIC_BASE_MODE && !old_mode)
		return V3_EINVAL; /* disabled to x2APIC */
	if (mode == LAPIC_BASE_ENABLE && old_mode == LAPIC_BASE_MODE)
		return V3_EINVAL; /* x2APIC to xAPIC */
	if (mode == old_mode)
		return V3_OK;
	if (!mode || !old_mode)
		v3_lapic_clear(l);
	/* The ICR's upper half is the next register in xAPIC mode, of the same one in x2APIC mode. */
	l->page[LAPIC_AT(LAPIC_ICR) + 1] = l->page[LAPIC_AT(LAPIC_ICR2)];
	__atomic_store_n(&l->base, (l->base & ~LAPIC_BASE_MODE) | mode, __ATOMIC_RELAXED);
	v3_lapic_mode_changed(l);
	if (!mode && l->id == 0)
		v3_extint_request(l->set->vm);
	return V3_OK;
}

/* ---- device class ---- */

static void lapic_reset(void *state)
{
	struct lapic_set *set = state;

	for (uint32_t i = 0; i < set->n; i++) {
		struct lapic *l = set->cpu[i];

		l->base = V3_PC_LAPIC_BASE | LAPIC_BASE_ENABLE | (i == 0 ? LAPIC_BASE_BSP : 0);
		v3_lapic_clear(l);
	}
	/* Virtual wire, as firmware leaves it: see the head of the file. */
	v3_lapic_set_svr(set->cpu[0], LAPIC_SVR_RESET | LAPIC_SVR_ENABLE);
	v3_lapic_set_lvt(set->cpu[0], LAPIC_LVT_LINT0, LVT_EXTINT);
	for (uint32_t i = 0; i < set->n; i++)
		v3_lapic_mode_changed(set->cpu[i]);
}

static void lapic_free_all(struct lapic_set *set)
{
	for (uint32_t i = 0; i < V3_PC_MAX_VCPUS; i++) {
		if (!set->cpu[i])
			continue;
		v3_timer_destroy(set->cpu[i]->timer);
		v3_free(set->cpu[i]);
	}
	v3_free(set);
}

static int lapic_create_one(struct lapic_set *set, uint32_t index)
{
	struct lapic *l = v3_alloc(sizeof(*l));

	if (!l)
		return V3_ENOMEM;
	set->cpu[index] = l;
	l->set = set;
	l->id = v3_topology_apic_id(v3_vm_topology(set->vm), index);
	set->by_id[l->id] = l;
	l->vcpu = v3_vm_vcpu(set->vm, index);
	l->page = v3_apic_page(l->vcpu);
	return v3_timer_create(set->vm, l->vcpu, v3_lapic_timer_fire, l, &l->timer);
}

static const struct {
	uint32_t first, count;
	v3_msr_read_fn rd;
	v3_msr_write_fn wr;
} lapic_msrs[] = {
	{V3_MSR_X2APIC_FIRST, V3_MSR_X2APIC_LAST - V3_MSR_X2APIC_FIRST + 1, v3_lapic_msr_read,
	 v3_lapic_msr_write},
	{V3_MSR_APIC_BASE, 1, lapic_base_read, lapic_base_write},
	{V3_MSR_TSC_DEADLINE, 1, v3_lapic_timer_read, v3_lapic_timer_write},
	{LAPIC_MSR_PV_EOI, 1, v3_lapic_pv_read, v3_lapic_pv_write},
};

/** Give back what is claimed; of the MSRs the first @p nmsrs. */
static void lapic_release(struct lapic_set *set, unsigned nmsrs)
{
	while (nmsrs--)
		v3_msr_unregister(set->vm, lapic_msrs[nmsrs].first);
	v3_mmio_unregister(set->vm, V3_PC_LAPIC_BASE);
}

/** Claim the registers. On failure nothing stays claimed. */
static int lapic_claim(struct lapic_set *set)
{
	struct v3_vm *vm = set->vm;
	unsigned i;
	int err;

	err = v3_mmio_register(vm, V3_PC_LAPIC_BASE, V3_PC_LAPIC_SIZE, v3_lapic_mmio, set);
	if (err)
		return err;
	for (i = 0; i < V3_ARRAY_SIZE(lapic_msrs); i++) {
		err = v3_msr_register(vm, lapic_msrs[i].first, lapic_msrs[i].count,
				      lapic_msrs[i].rd, lapic_msrs[i].wr, set);
		if (err)
			break;
	}
	if (!err)
		err = v3_lapic_register(vm, &v3_lapic_device_ops, set);
	if (err)
		lapic_release(set, i);
	return err;
}

static int lapic_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct lapic_set *set;
	int err = V3_OK;

	(void)cfg;
	if (v3_vm_vcpu_count(vm) > V3_PC_MAX_VCPUS)
		return V3_ERANGE;
	set = v3_alloc(sizeof(*set));
	if (!set)
		return V3_ENOMEM;
	set->vm = vm;
	set->n = v3_vm_vcpu_count(vm);
	for (uint32_t i = 0; i < set->n && !err; i++)
		err = lapic_create_one(set, i);
	if (err)
		goto free_all;
	lapic_reset(set);
	err = lapic_claim(set);
	if (err)
		goto free_all;
	*state = set;
	return V3_OK;

free_all:
	lapic_free_all(set);
	return err;
}

static void lapic_destroy(void *state)
{
	struct lapic_set *set = state;

	v3_lapic_unregister(set->vm);
	lapic_release(set, V3_ARRAY_SIZE(lapic_msrs));
	lapic_free_all(set);
}

const struct v3_device_class v3_device_lapic = {
	.name = "lapic",
	.save = &v3_lapic_save,
	.create = lapic_create,
	.reset = lapic_reset,
	.destroy = lapic_destroy,
};
