// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file lapic.c
 * Local APICs of a VM, one per vcpu: registers by MMIO (xAPIC) and by MSR (x2APIC), priorities,
 * EOI; SDM 3A chapter 10. Called by MMIO and MSR dispatch, by intr/inject.c through struct
 * v3_lapic_ops and by lapic_bus.c; calls lapic_bus.c for messages and lapic_timer.c for the timer.
 *
 * Fixed here: APIC ids follow from the topology and cannot be changed; the MMIO page stays at 0xfee00000; LINT0
 * carries the 8259 pair's output (as ExtINT, vcpu 0 only) and no line is wired to LINT1, the thermal or the performance
 * entry, which only keep what is written. Version 0x14: no CMCI entry, no suppression of the EOI broadcast.
 *
 * There is no firmware in front of the guest, so power-on leaves vcpu 0 as firmware would: APIC
 * enabled and LINT0 = ExtINT unmasked ("virtual wire", MultiProcessor Specification 1.4 3.6.2.2).
 * INIT goes to the state of SDM 3A 10.4.7.3 proper, with LINT0 masked.
 */
#include "lapic.h"

#include "palacios/device.h"
#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/msr.h"
#include "palacios/regs.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#include "devices/devices.h"

#define V3_LOG_TAG "lapic"

#define BASE_FLAGS    (LAPIC_BASE_BSP | LAPIC_BASE_X2APIC | LAPIC_BASE_ENABLE)
#define BASE_ADDR     0x000ffffffffff000ull
#define BASE_MODE     (LAPIC_BASE_X2APIC | LAPIC_BASE_ENABLE)
#define SVR_RESET     0x000000ffu
#define DFR_RESET     0xffffffffu
#define LVT_RESET     LAPIC_LVT_MASKED
#define LVT_EXTINT    ((uint32_t)V3_DELIVER_EXTINT << 8)
#define LVT_READ_ONLY ((1u << 12) | (1u << 14)) /* delivery status, remote IRR */
/* x2APIC ICR: vector, mode, destination mode, level, trigger, shorthand, destination; figure 10-28. */
#define ICR_X2_BITS   0xffffffff000ccfffull

/* How a register may be accessed; none of them set: reserved. R, W: in both modes. */
#define R    1u
#define W    2u
#define XR   4u /* xAPIC only */
#define XW   8u
#define X2W  16u /* x2APIC only */
#define SLOT 32u /* xAPIC: there, reads zero, not an illegal address */

struct lapic_reg {
	uint8_t access;
	uint32_t bits; /* writable or ignored when written; the others are reserved */
};

/* SDM 3A table 10-1 (MMIO) and 10-6 (MSR). */
static const struct lapic_reg lapic_regs[LAPIC_NREGS] = {
	[LAPIC_ID] = {R | SLOT, 0},
	[LAPIC_VERSION] = {R | SLOT, 0},
	[LAPIC_TPR] = {R | W, 0xff},
	[LAPIC_APR] = {SLOT, 0},
	[LAPIC_PPR] = {R | SLOT, 0},
	[LAPIC_EOI] = {W | SLOT, 0},
	[LAPIC_RRD] = {SLOT, 0},
	[LAPIC_LDR] = {R | XW, 0xff000000},
	[LAPIC_DFR] = {XR | XW, 0xf0000000},
	[LAPIC_SVR] = {R | W, 0x3ff},
	[LAPIC_ISR... LAPIC_ISR + 7] = {R | SLOT, 0},
	[LAPIC_TMR... LAPIC_TMR + 7] = {R | SLOT, 0},
	[LAPIC_IRR... LAPIC_IRR + 7] = {R | SLOT, 0},
	[LAPIC_ESR] = {R | W, 0},
	[LAPIC_ICR] = {R | W, 0x000ccfff},
	[LAPIC_ICR2] = {XR | XW, 0xff000000},
	[LAPIC_LVT + LAPIC_LVT_TIMER] = {R | W, 0x000710ff},
	[LAPIC_LVT + LAPIC_LVT_THERMAL] = {R | W, 0x000117ff},
	[LAPIC_LVT + LAPIC_LVT_PERF] = {R | W, 0x000117ff},
	[LAPIC_LVT + LAPIC_LVT_LINT0] = {R | W, 0x0001f7ff},
	[LAPIC_LVT + LAPIC_LVT_LINT1] = {R | W, 0x0001f7ff},
	[LAPIC_LVT + LAPIC_LVT_ERROR] = {R | W, 0x000110ff},
	[LAPIC_TICR] = {R | W, 0xffffffff},
	[LAPIC_TCCR] = {R | SLOT, 0},
	[LAPIC_DCR] = {R | W, 0xb},
	[LAPIC_SELF] = {X2W, 0xff},
};

static struct lapic *lapic_of(void *priv, const struct v3_vcpu *vcpu)
{
	struct lapic_set *set = priv;

	return set->cpu[v3_vcpu_index(vcpu)];
}

/* ---- priorities ---- */

void v3_lapic_recheck(struct lapic *l)
{
	int top = lapic_top(l->irr);

	if (top >= 0 && (unsigned)top >> 4 > l->ppr >> 4)
		v3_vcpu_irq_request(l->vcpu);
}

/** Processor priority, SDM 3A 10.8.3.1. */
static void lapic_update_ppr(struct lapic *l)
{
	uint32_t in_service = l->isr_top < 0 ? 0 : (uint32_t)l->isr_top & 0xf0;

	lapic_store32(&l->ppr, l->tpr >> 4 >= in_service >> 4 ? l->tpr : in_service);
}

static void lapic_set_tpr(struct lapic *l, uint32_t tpr)
{
	l->tpr = tpr;
	lapic_update_ppr(l);
	v3_lapic_recheck(l);
}

void v3_lapic_eoi(struct lapic *l)
{
	int vector = l->isr_top;
	uint64_t bit;

	if (vector < 0)
		return;
	bit = 1ull << (vector & 63);
	l->isr[vector >> 6] &= ~bit;
	l->isr_top = --l->nested ? lapic_top(l->isr) : -1;
	lapic_update_ppr(l);
	/* Before the broadcast: the line may be asserted still, and then comes back at once. */
	if (V3_UNLIKELY(__atomic_load_n(&l->tmr[vector >> 6], __ATOMIC_RELAXED) & bit))
		v3_eoi_broadcast(l->set->vm, (uint8_t)vector);
	v3_lapic_recheck(l);
}

/** The guest's EOI. One that it has not told us comes before it. */
static void lapic_eoi(struct lapic *l)
{
	v3_lapic_pv_disarm(l);
	v3_lapic_eoi(l);
}

/* ---- struct v3_lapic_ops ---- */

static int lapic_pending(void *priv, struct v3_vcpu *vcpu)
{
	struct lapic *l = lapic_of(priv, vcpu);
	int top = lapic_top(l->irr);

	v3_lapic_pv_sync(l);
	if (top < 0 || !lapic_enabled(l))
		return V3_EAGAIN;
	if ((unsigned)top >> 4 > l->ppr >> 4)
		return top;
	v3_lapic_pv_disarm(l); /* it waits for that EOI */
	return V3_EAGAIN;
}

static void lapic_ack(void *priv, struct v3_vcpu *vcpu, uint8_t vector)
{
	struct lapic *l = lapic_of(priv, vcpu);
	uint64_t bit = 1ull << (vector & 63);

	v3_lapic_pv_disarm(l);
	__atomic_fetch_and(&l->irr[vector >> 6], ~bit, __ATOMIC_SEQ_CST);
	l->isr[vector >> 6] |= bit;
	/* It passed the priority check, so nothing in service is above or equal to it. */
	l->isr_top = vector;
	l->nested++;
	lapic_update_ppr(l);
	v3_lapic_pv_arm(l, vector);
}

static void lapic_set_cr8(void *priv, struct v3_vcpu *vcpu, unsigned cr8)
{
	lapic_set_tpr(lapic_of(priv, vcpu), (cr8 & 15) << 4);
}

static unsigned lapic_get_cr8(void *priv, struct v3_vcpu *vcpu)
{
	return lapic_of(priv, vcpu)->tpr >> 4;
}

static bool lapic_is_enabled(void *priv, struct v3_vcpu *vcpu)
{
	return lapic_enabled(lapic_of(priv, vcpu));
}

static bool lapic_accepts_extint(void *priv, struct v3_vcpu *vcpu)
{
	struct lapic *l = lapic_of(priv, vcpu);
	uint32_t lvt = l->lvt[LAPIC_LVT_LINT0];

	/* Without the APIC, LINT0 is the processor's INTR pin, SDM 3A 10.4.3. */
	if (!lapic_enabled(l))
		return true;
	return !(lvt & LAPIC_LVT_MASKED) && LAPIC_LVT_MODE(lvt) == V3_DELIVER_EXTINT;
}

/** Everything but id and IA32_APIC_BASE to the state after RESET or INIT, SDM 3A 10.4.7.1. */
static void lapic_clear(struct lapic *l)
{
	for (unsigned i = 0; i < 4; i++) {
		__atomic_store_n(&l->irr[i], 0, __ATOMIC_RELAXED);
		__atomic_store_n(&l->tmr[i], 0, __ATOMIC_RELAXED);
		l->isr[i] = 0;
	}
	l->nested = 0;
	l->isr_top = -1;
	l->tpr = 0;
	lapic_store32(&l->ppr, 0);
	lapic_store32(&l->svr, SVR_RESET);
	lapic_store32(&l->ldr, 0);
	lapic_store32(&l->dfr, DFR_RESET);
	for (unsigned i = 0; i < LAPIC_NLVT; i++)
		lapic_store32(&l->lvt[i], LVT_RESET);
	lapic_store32(&l->esr_pending, 0);
	l->esr = 0;
	l->icr = 0;
	l->pv_eoi = 0;
	l->pv_armed = false;
	v3_lapic_timer_reset(l);
}

static void lapic_init(void *priv, struct v3_vcpu *vcpu)
{
	lapic_clear(lapic_of(priv, vcpu));
}

static const struct v3_lapic_ops lapic_ops = {
	.send = v3_lapic_send,
	.pending = lapic_pending,
	.ack = lapic_ack,
	.set_cr8 = lapic_set_cr8,
	.get_cr8 = lapic_get_cr8,
	.accepts_extint = lapic_accepts_extint,
	.enabled = lapic_is_enabled,
	.init = lapic_init,
};

/* ---- registers ---- */

/** 32 bits of one of the 256-bit registers. */
static uint32_t lapic_read_bits(const uint64_t *w, unsigned i)
{
	return (uint32_t)(__atomic_load_n(&w[i / 2], __ATOMIC_RELAXED) >> (i % 2 * 32));
}

/** Value of a readable register, xAPIC layout unless the APIC is in x2APIC mode. ICR: low half. */
static uint32_t lapic_read_reg(struct lapic *l, unsigned reg)
{
	switch (reg) {
	case LAPIC_ID:
		return lapic_is_x2(l) ? l->id : l->id << 24;
	case LAPIC_VERSION:
		return LAPIC_VERSION_VALUE;
	case LAPIC_TPR:
		return l->tpr;
	case LAPIC_PPR:
		v3_lapic_pv_sync(l);
		return l->ppr;
	case LAPIC_LDR:
		return lapic_is_x2(l) ? lapic_x2_ldr(l) : l->ldr;
	case LAPIC_DFR:
		return l->dfr;
	case LAPIC_SVR:
		return l->svr;
	case LAPIC_ISR ... LAPIC_ISR + 7:
		v3_lapic_pv_sync(l);
		return lapic_read_bits(l->isr, reg - LAPIC_ISR);
	case LAPIC_TMR ... LAPIC_TMR + 7:
		return lapic_read_bits(l->tmr, reg - LAPIC_TMR);
	case LAPIC_IRR ... LAPIC_IRR + 7:
		return lapic_read_bits(l->irr, reg - LAPIC_IRR);
	case LAPIC_ESR:
		return l->esr;
	case LAPIC_ICR:
		return (uint32_t)l->icr;
	case LAPIC_ICR2:
		return (uint32_t)(l->icr >> 32);
	case LAPIC_LVT ... LAPIC_LVT + LAPIC_NLVT - 1:
		return l->lvt[reg - LAPIC_LVT];
	case LAPIC_TICR:
		return l->initial;
	case LAPIC_TCCR:
		return v3_lapic_timer_count(l);
	case LAPIC_DCR:
		return l->dcr;
	}
	return 0; /* SLOT registers */
}

static void lapic_write_lvt(struct lapic *l, enum lapic_lvt_num n, uint32_t value)
{
	value &= ~LVT_READ_ONLY;
	/* A software-disabled APIC keeps every entry masked, SDM 3A 10.4.7.2. */
	if (!(l->svr & LAPIC_SVR_ENABLE))
		value |= LAPIC_LVT_MASKED;
	if (n == LAPIC_LVT_TIMER) {
		v3_lapic_timer_set_lvt(l, value);
		return;
	}
	lapic_store32(&l->lvt[n], value);
	if (n == LAPIC_LVT_LINT0 && lapic_accepts_extint(l->set, l->vcpu) && l->id == 0)
		v3_extint_request(l->set->vm);
}

static void lapic_write_svr(struct lapic *l, uint32_t value)
{
	lapic_store32(&l->svr, value);
	if (value & LAPIC_SVR_ENABLE)
		return;
	for (unsigned n = 0; n < LAPIC_NLVT; n++)
		lapic_write_lvt(l, n, l->lvt[n]);
}

/** Write a writable register; @p value has no reserved bits. ICR: low half, xAPIC only. */
static void lapic_write_reg(struct lapic *l, unsigned reg, uint32_t value)
{
	switch (reg) {
	case LAPIC_EOI:
		lapic_eoi(l);
		return;
	case LAPIC_TPR:
		lapic_set_tpr(l, value);
		return;
	case LAPIC_LDR:
		lapic_store32(&l->ldr, value);
		return;
	case LAPIC_DFR:
		lapic_store32(&l->dfr, value | 0x0fffffff);
		return;
	case LAPIC_SVR:
		lapic_write_svr(l, value);
		return;
	case LAPIC_ESR:
		l->esr = __atomic_exchange_n(&l->esr_pending, 0, __ATOMIC_RELAXED);
		return;
	case LAPIC_ICR:
		l->icr = (l->icr & ~0xffffffffull) | value;
		v3_lapic_send_icr(l, l->icr);
		return;
	case LAPIC_ICR2:
		l->icr = (uint64_t)value << 32 | (uint32_t)l->icr;
		return;
	case LAPIC_LVT ... LAPIC_LVT + LAPIC_NLVT - 1:
		lapic_write_lvt(l, reg - LAPIC_LVT, value);
		return;
	case LAPIC_TICR:
		v3_lapic_timer_set_initial(l, value);
		return;
	case LAPIC_DCR:
		v3_lapic_timer_set_divide(l, value);
		return;
	}
}

/* ---- xAPIC: memory-mapped ---- */

/** An access to a reserved register, or in a shape that SDM 3A 10.4.1 leaves undefined. */
static void lapic_mmio_odd(struct lapic *l, const struct v3_mmio *mmio)
{
	unsigned offset = (unsigned)(mmio->gpa & ~V3_PAGE_MASK);

	V3_GUEST_WARN(l->set->vm, "apic %u: %s of %u bytes at offset %#x ignored", l->id,
		      mmio->write ? "write" : "read", mmio->size, offset);
	if (!(offset & 15) && mmio->size == 4)
		v3_lapic_error(l, LAPIC_ESR_ILL_REG);
}

static int lapic_mmio(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	struct lapic *l = lapic_of(priv, vcpu);
	unsigned offset = (unsigned)(mmio->gpa & ~V3_PAGE_MASK);
	const struct lapic_reg *reg;

	/* The page is nobody's while the APIC is disabled or answers by MSR (SDM 3A 10.12.2). */
	if (V3_UNLIKELY((l->base & BASE_MODE) != LAPIC_BASE_ENABLE)) {
		mmio->value = ~0ull;
		return V3_OK;
	}
	/* The one access that every interrupt makes. */
	if (offset == LAPIC_EOI << 4 && mmio->write && mmio->size == 4) {
		lapic_eoi(l);
		return V3_OK;
	}
	reg = offset >> 4 < LAPIC_NREGS ? &lapic_regs[offset >> 4] : NULL;
	if ((offset & 15) || mmio->size != 4 || !reg || !(reg->access & ~X2W)) {
		mmio->value = mmio->write ? mmio->value : 0;
		lapic_mmio_odd(l, mmio);
		return V3_OK;
	}
	if (!mmio->write)
		mmio->value = reg->access & (R | XR) ? lapic_read_reg(l, offset >> 4) : 0;
	else if (reg->access & (W | XW))
		lapic_write_reg(l, offset >> 4, (uint32_t)mmio->value & reg->bits);
	return V3_OK;
}

/* ---- x2APIC: MSRs ---- */

static int lapic_msr_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	struct lapic *l = lapic_of(priv, vcpu);
	unsigned num = msr - V3_MSR_X2APIC_FIRST;

	if (!lapic_is_x2(l) || num >= LAPIC_NREGS || !(lapic_regs[num].access & R))
		return V3_EINVAL;
	*value = num == LAPIC_ICR ? l->icr : lapic_read_reg(l, num);
	return V3_OK;
}

static int lapic_msr_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	struct lapic *l = lapic_of(priv, vcpu);
	unsigned num = msr - V3_MSR_X2APIC_FIRST;
	const struct lapic_reg *reg = &lapic_regs[num & (LAPIC_NREGS - 1)];

	if (!lapic_is_x2(l) || num >= LAPIC_NREGS || !(reg->access & (W | X2W)))
		return V3_EINVAL;
	if (num == LAPIC_ICR) {
		if (value & ~ICR_X2_BITS)
			return V3_EINVAL;
		l->icr = value;
		v3_lapic_send_icr(l, value);
		return V3_OK;
	}
	if (value & ~(uint64_t)reg->bits)
		return V3_EINVAL;
	if (num == LAPIC_SELF)
		v3_lapic_send_icr(l, 1u << 18 | value); /* shorthand self, fixed; SDM 3A 10.12.11 */
	else
		lapic_write_reg(l, num, (uint32_t)value);
	return V3_OK;
}

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
	uint64_t old_mode = l->base & BASE_MODE, mode = value & BASE_MODE;

	(void)msr;
	if (value & ~(BASE_FLAGS | BASE_ADDR) || mode == LAPIC_BASE_X2APIC)
		return V3_EINVAL;
	if ((value & BASE_ADDR) != V3_PC_LAPIC_BASE) {
		V3_GUEST_WARN(l->set->vm, "apic %u: moving the base to %#llx is not supported, #GP",
			      l->id, (unsigned long long)(value & BASE_ADDR));
		return V3_EINVAL;
	}
	if (mode == BASE_MODE && !old_mode)
		return V3_EINVAL; /* disabled to x2APIC */
	if (mode == LAPIC_BASE_ENABLE && old_mode == BASE_MODE)
		return V3_EINVAL; /* x2APIC to xAPIC */
	if (mode == old_mode)
		return V3_OK;
	if (!mode || !old_mode)
		lapic_clear(l);
	__atomic_store_n(&l->base, (l->base & ~BASE_MODE) | mode, __ATOMIC_RELAXED);
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
		lapic_clear(l);
	}
	/* Virtual wire, as firmware leaves it: see the head of the file. */
	set->cpu[0]->svr = SVR_RESET | LAPIC_SVR_ENABLE;
	set->cpu[0]->lvt[LAPIC_LVT_LINT0] = LVT_EXTINT;
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
	return v3_timer_create(set->vm, l->vcpu, v3_lapic_timer_fire, l, &l->timer);
}

static const struct {
	uint32_t first, count;
	v3_msr_read_fn rd;
	v3_msr_write_fn wr;
} lapic_msrs[] = {
	{V3_MSR_X2APIC_FIRST, V3_MSR_X2APIC_LAST - V3_MSR_X2APIC_FIRST + 1, lapic_msr_read,
	 lapic_msr_write},
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

	err = v3_mmio_register(vm, V3_PC_LAPIC_BASE, V3_PC_LAPIC_SIZE, lapic_mmio, set);
	if (err)
		return err;
	for (i = 0; i < V3_ARRAY_SIZE(lapic_msrs); i++) {
		err = v3_msr_register(vm, lapic_msrs[i].first, lapic_msrs[i].count,
				      lapic_msrs[i].rd, lapic_msrs[i].wr, set);
		if (err)
			break;
	}
	if (!err)
		err = v3_lapic_register(vm, &lapic_ops, set);
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
	.create = lapic_create,
	.reset = lapic_reset,
	.destroy = lapic_destroy,
};
