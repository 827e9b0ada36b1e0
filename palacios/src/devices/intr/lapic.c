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
 */
#include "lapic.h"

#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/msr.h"
#include "palacios/regs.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "lapic"

#define DFR_RESET     0xffffffffu
#define LVT_RESET     LAPIC_LVT_MASKED
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

/* ---- priorities ---- */

/** Number of the highest set bit of four words of a 256-bit register that are not all 0. */
static inline int lapic_top_of(const uint32_t *w, int first)
{
	uint32_t v;

	if ((v = w[12]) != 0)
		return first + 127 - __builtin_clz(v);
	if ((v = w[8]) != 0)
		return first + 95 - __builtin_clz(v);
	if ((v = w[4]) != 0)
		return first + 63 - __builtin_clz(v);
	return first + 31 - __builtin_clz(w[0]);
}

/** The same of ISR or IRR. Unrolled: it is on every interrupt's way, and most often there is none. */
static inline int lapic_top(const struct lapic *l, unsigned reg)
{
	const uint32_t *w = &l->page[LAPIC_AT(reg)];

	if (w[28] | w[24] | w[20] | w[16])
		return lapic_top_of(w + 16, 128);
	if (w[12] | w[8] | w[4] | w[0])
		return lapic_top_of(w, 0);
	return LAPIC_NONE;
}

/** What other vcpus have sent goes into IRR, its trigger modes into TMR. */
static __attribute__((__noinline__)) void lapic_take_incoming(struct lapic *l)
{
	/* Cleared first: what comes later sets it again. */
	__atomic_store_n(&l->posted, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 4; i++) {
		uint32_t *irr = &l->page[LAPIC_AT(LAPIC_IRR + 2 * i)];
		uint32_t *tmr = &l->page[LAPIC_AT(LAPIC_TMR + 2 * i)];
		uint64_t in, level;

		if (!lapic_load64(&l->incoming[i]))
			continue;
		in = __atomic_exchange_n(&l->incoming[i], 0, __ATOMIC_SEQ_CST);
		level = lapic_load64(&l->level[i]) & in;
		irr[0] |= (uint32_t)in;
		irr[4] |= (uint32_t)(in >> 32);
		tmr[0] = (tmr[0] & ~(uint32_t)in) | (uint32_t)level;
		tmr[4] = (tmr[4] & ~(uint32_t)(in >> 32)) | (uint32_t)(level >> 32);
	}
}

static inline void lapic_take(struct lapic *l)
{
	if (V3_UNLIKELY(lapic_load32(&l->posted)))
		lapic_take_incoming(l);
}

void v3_lapic_raise(struct lapic *l, uint8_t vector)
{
	uint32_t *irr = lapic_word(l, LAPIC_IRR, vector), bit = lapic_bit(vector);

	/* A software-disabled APIC takes no fixed interrupts, SDM 3A 10.4.7.2. */
	if (!(l->svr & LAPIC_SVR_ENABLE) || !lapic_enabled(l))
		return;
	*lapic_word(l, LAPIC_TMR, vector) &= ~bit;
	*irr |= bit;
	v3_vcpu_irq_request(l->vcpu);
}

static __attribute__((__noinline__)) void lapic_recheck_irr(struct lapic *l)
{
	int top = lapic_top(l, LAPIC_IRR);

	if ((unsigned)top >> 4 > l->page[LAPIC_AT(LAPIC_PPR)] >> 4)
		v3_vcpu_irq_request(l->vcpu);
}

bool v3_lapic_others_wait(const struct lapic *l)
{
	return lapic_load32(&l->posted) || lapic_top(l, LAPIC_IRR) >= 0;
}

/** What was sent and not taken has asked already; only what waits in IRR, if anything, may need it. */
static inline void lapic_recheck(struct lapic *l)
{
	const uint32_t *w = &l->page[LAPIC_AT(LAPIC_IRR)];

	if (w[0] | w[4] | w[8] | w[12] | w[16] | w[20] | w[24] | w[28])
		lapic_recheck_irr(l);
}

/** The highest vector in service. */
static inline int lapic_in_service(const struct lapic *l)
{
	return V3_UNLIKELY(l->isr_top == LAPIC_BY_CPU) ? lapic_top(l, LAPIC_ISR) : l->isr_top;
}

/** Processor priority, SDM 3A 10.8.3.1; @p top: in service. @return it has become lower */
static inline bool lapic_update_ppr(struct lapic *l, int top)
{
	uint32_t in_service = top < 0 ? 0 : (uint32_t)top & 0xf0;
	uint32_t tpr = l->page[LAPIC_AT(LAPIC_TPR)], old = l->page[LAPIC_AT(LAPIC_PPR)];
	uint32_t ppr = tpr >> 4 >= in_service >> 4 ? tpr : in_service;

	lapic_store32(&l->page[LAPIC_AT(LAPIC_PPR)], ppr);
	return ppr < old;
}

static void lapic_set_tpr(struct lapic *l, uint32_t tpr)
{
	l->page[LAPIC_AT(LAPIC_TPR)] = tpr;
	if (lapic_update_ppr(l, lapic_in_service(l)))
		lapic_recheck(l);
}

/** @p vector is not in service any more, the highest one is @p top. */
static inline void lapic_end(struct lapic *l, uint8_t vector, int top)
{
	lapic_update_ppr(l, top);
	/* Before the broadcast: the line may be asserted still, and then comes back at once. */
	if (V3_UNLIKELY(*lapic_word(l, LAPIC_TMR, vector) & lapic_bit(vector)))
		v3_eoi_broadcast(l->set->vm, vector);
	lapic_recheck(l);
}

/** EOI of an access that the CPU has left to us: it must learn what is in service then. */
static __attribute__((__noinline__)) void lapic_eoi_by_cpu(struct lapic *l)
{
	int vector = lapic_in_service(l);

	if (vector < 0)
		return;
	*lapic_word(l, LAPIC_ISR, (uint8_t)vector) &= ~lapic_bit((uint8_t)vector);
	v3_vcpu_irq_request(l->vcpu);
	lapic_end(l, (uint8_t)vector, lapic_top(l, LAPIC_ISR));
}

void v3_lapic_eoi(struct lapic *l)
{
	int vector = l->isr_top;

	if (V3_UNLIKELY(vector < 0)) {
		lapic_eoi_by_cpu(l);
		return;
	}
	*lapic_word(l, LAPIC_ISR, (uint8_t)vector) &= ~lapic_bit((uint8_t)vector);
	l->isr_top = --l->nested ? lapic_top(l, LAPIC_ISR) : LAPIC_NONE;
	lapic_end(l, (uint8_t)vector, l->isr_top);
}

void v3_lapic_follow(struct lapic *l)
{
	bool x2 = lapic_is_x2(l);
	bool by_cpu;

	lapic_show(l, LAPIC_ID, x2 ? l->id : l->id << 24);
	lapic_show(l, LAPIC_LDR, x2 ? lapic_x2_ldr(l) : l->ldr);
	by_cpu = v3_apic_set_mode(l->vcpu,
				  !lapic_enabled(l) ? V3_APIC_OFF
				  : x2		    ? V3_APIC_X2APIC
						    : V3_APIC_XAPIC,
				  l->svr & LAPIC_SVR_ENABLE);
	l->isr_top = by_cpu ? LAPIC_BY_CPU : lapic_top(l, LAPIC_ISR);
	l->nested = 0;
	for (unsigned i = 0; i < 8; i++)
		for (uint32_t w = l->page[LAPIC_AT(LAPIC_ISR + i)]; w; w &= w - 1)
			l->nested++;
	lapic_update_ppr(l, lapic_in_service(l));
}

void v3_lapic_mode_changed(struct lapic *l)
{
	v3_lapic_pv_disarm(l); /* a CPU that ends interrupts by itself knows nothing of it */
	v3_lapic_follow(l);
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
	int top;

	lapic_take(l);
	v3_lapic_pv_sync(l);
	top = lapic_top(l, LAPIC_IRR);
	if (top < 0 || !lapic_enabled(l))
		return V3_EAGAIN;
	if ((unsigned)top >> 4 > l->page[LAPIC_AT(LAPIC_PPR)] >> 4)
		return top;
	v3_lapic_pv_disarm(l); /* it waits for that EOI */
	return V3_EAGAIN;
}

static void lapic_ack(void *priv, struct v3_vcpu *vcpu, uint8_t vector)
{
	struct lapic *l = lapic_of(priv, vcpu);

	v3_lapic_pv_disarm(l);
	*lapic_word(l, LAPIC_IRR, vector) &= ~lapic_bit(vector);
	*lapic_word(l, LAPIC_ISR, vector) |= lapic_bit(vector);
	/* It passed the priority check, so nothing in service is above or equal to it. */
	l->isr_top = vector;
	l->nested++;
	lapic_update_ppr(l, vector);
	v3_lapic_pv_arm(l, vector);
}

static void lapic_tpr_changed(void *priv, struct v3_vcpu *vcpu)
{
	struct lapic *l = lapic_of(priv, vcpu);

	lapic_set_tpr(l, l->page[LAPIC_AT(LAPIC_TPR)]);
}

static void lapic_set_cr8(void *priv, struct v3_vcpu *vcpu, unsigned cr8)
{
	lapic_set_tpr(lapic_of(priv, vcpu), (cr8 & 15) << 4);
}

static unsigned lapic_get_cr8(void *priv, struct v3_vcpu *vcpu)
{
	return lapic_of(priv, vcpu)->page[LAPIC_AT(LAPIC_TPR)] >> 4;
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

void v3_lapic_set_svr(struct lapic *l, uint32_t value)
{
	lapic_store32(&l->svr, value);
	lapic_show(l, LAPIC_SVR, value);
}

static void lapic_set_dfr(struct lapic *l, uint32_t value)
{
	lapic_store32(&l->dfr, value);
	lapic_show(l, LAPIC_DFR, value);
}

void v3_lapic_set_lvt(struct lapic *l, unsigned n, uint32_t value)
{
	lapic_store32(&l->lvt[n], value);
	lapic_show(l, LAPIC_LVT + n, value);
}

void v3_lapic_clear(struct lapic *l)
{
	for (unsigned i = 0; i < 4; i++) {
		__atomic_store_n(&l->incoming[i], 0, __ATOMIC_RELAXED);
		__atomic_store_n(&l->level[i], 0, __ATOMIC_RELAXED);
	}
	memset(l->page, 0, V3_PAGE_SIZE);
	lapic_show(l, LAPIC_VERSION, LAPIC_VERSION_VALUE);
	v3_lapic_set_svr(l, LAPIC_SVR_RESET);
	lapic_store32(&l->ldr, 0);
	lapic_set_dfr(l, DFR_RESET);
	for (unsigned i = 0; i < LAPIC_NLVT; i++)
		v3_lapic_set_lvt(l, i, LVT_RESET);
	lapic_store32(&l->esr_pending, 0);
	l->pv_eoi = 0;
	l->pv_armed = false;
	v3_lapic_timer_reset(l);
}

static void lapic_init(void *priv, struct v3_vcpu *vcpu)
{
	struct lapic *l = lapic_of(priv, vcpu);

	v3_lapic_clear(l);
	v3_lapic_mode_changed(l);
}

/* ---- registers ---- */

/** Value of a readable register. ICR: low half. */
static uint32_t lapic_read_reg(struct lapic *l, unsigned reg)
{
	if (V3_UNLIKELY(reg == LAPIC_TCCR))
		return v3_lapic_timer_count(l);
	lapic_take(l);
	v3_lapic_pv_sync(l);
	return l->page[LAPIC_AT(reg)];
}

static void lapic_write_lvt(struct lapic *l, enum lapic_lvt_num n, uint32_t value)
{
	value &= ~LVT_READ_ONLY;
	/* A software-disabled APIC keeps every entry masked, SDM 3A 10.4.7.2. */
	if (!(l->svr & LAPIC_SVR_ENABLE))
		value |= LAPIC_LVT_MASKED;
	lapic_show(l, LAPIC_LVT + n, value);
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
	bool changed = (value ^ l->svr) & LAPIC_SVR_ENABLE;

	v3_lapic_set_svr(l, value);
	if (changed)
		v3_lapic_mode_changed(l);
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
		lapic_show(l, reg, value);
		return;
	case LAPIC_DFR:
		lapic_set_dfr(l, value | 0x0fffffff);
		return;
	case LAPIC_SVR:
		lapic_write_svr(l, value);
		return;
	case LAPIC_ESR:
		lapic_show(l, reg, __atomic_exchange_n(&l->esr_pending, 0, __ATOMIC_RELAXED));
		return;
	case LAPIC_ICR:
		lapic_show(l, reg, value);
		v3_lapic_send_icr(l, (uint64_t)l->page[LAPIC_AT(LAPIC_ICR2)] << 32 | value);
		return;
	case LAPIC_ICR2:
		lapic_show(l, reg, value);
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
	case LAPIC_SELF:
		v3_lapic_send_icr(l, 1u << 18 | value); /* shorthand self, fixed; SDM 3A 10.12.11 */
		return;
	}
}

/**
 * The guest has written a register in the page and the CPU leaves the rest to us; SDM 3C 30.4.3.3. The
 * page has what it wrote, whatever the register can hold.
 */
static void lapic_written(void *priv, struct v3_vcpu *vcpu, unsigned offset)
{
	struct lapic *l = lapic_of(priv, vcpu);
	unsigned num = offset >> 4;
	const struct lapic_reg *reg = &lapic_regs[num & (LAPIC_NREGS - 1)];

	if (num >= LAPIC_NREGS)
		return;
	if (num == LAPIC_ID)
		lapic_show(l, num, l->id << 24); /* the id cannot be changed */
	else if (reg->access & (W | XW | X2W))
		lapic_write_reg(l, num, l->page[LAPIC_AT(num)] & reg->bits);
	if (!(reg->access & (R | XR)))
		lapic_show(l, num, 0);
}

static void lapic_ended(void *priv, struct v3_vcpu *vcpu, uint8_t vector)
{
	v3_eoi_broadcast(lapic_of(priv, vcpu)->set->vm, vector);
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

int v3_lapic_mmio(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	struct lapic *l = lapic_of(priv, vcpu);
	unsigned offset = (unsigned)(mmio->gpa & ~V3_PAGE_MASK);
	const struct lapic_reg *reg;

	/* The page is nobody's while the APIC is disabled or answers by MSR (SDM 3A 10.12.2). */
	if (V3_UNLIKELY((l->base & LAPIC_BASE_MODE) != LAPIC_BASE_ENABLE)) {
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

int v3_lapic_msr_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	struct lapic *l = lapic_of(priv, vcpu);
	unsigned num = msr - V3_MSR_X2APIC_FIRST;

	if (!lapic_is_x2(l) || num >= LAPIC_NREGS || !(lapic_regs[num].access & R))
		return V3_EINVAL;
	*value = lapic_read_reg(l, num);
	if (num == LAPIC_ICR)
		*value |= (uint64_t)l->page[LAPIC_AT(LAPIC_ICR) + 1] << 32;
	return V3_OK;
}

int v3_lapic_msr_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	struct lapic *l = lapic_of(priv, vcpu);
	unsigned num = msr - V3_MSR_X2APIC_FIRST;
	const struct lapic_reg *reg = &lapic_regs[num & (LAPIC_NREGS - 1)];

	if (!lapic_is_x2(l) || num >= LAPIC_NREGS || !(reg->access & (W | X2W)))
		return V3_EINVAL;
	if (num == LAPIC_ICR) {
		if (value & ~ICR_X2_BITS)
			return V3_EINVAL;
		lapic_show(l, num, (uint32_t)value);
		l->page[LAPIC_AT(LAPIC_ICR) + 1] = (uint32_t)(value >> 32);
		v3_lapic_send_icr(l, value);
		return V3_OK;
	}
	if (value & ~(uint64_t)reg->bits)
		return V3_EINVAL;
	lapic_write_reg(l, num, (uint32_t)value);
	return V3_OK;
}

const struct v3_lapic_ops v3_lapic_device_ops = {
	.send = v3_lapic_send,
	.pending = lapic_pending,
	.ack = lapic_ack,
	.set_cr8 = lapic_set_cr8,
	.get_cr8 = lapic_get_cr8,
	.tpr_changed = lapic_tpr_changed,
	.written = lapic_written,
	.ended = lapic_ended,
	.accepts_extint = lapic_accepts_extint,
	.enabled = lapic_is_enabled,
	.init = lapic_init,
};
