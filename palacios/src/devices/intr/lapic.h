/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file lapic.h
 * State of the local APICs, shared by lapic.c (registers), lapic_bus.c (messages), lapic_pv.c,
 * lapic_timer.c and lapic_save.c.
 *
 * The registers as the guest sees them are in a page in the architecture's own layout (SDM 3A table
 * 10-1, v3_apic_page()), which a CPU with APIC virtualization reads and writes while the guest runs.
 * TPR, PPR, ICR, ISR, TMR and IRR are nowhere else. Of the others a guest may have written what they
 * cannot hold, before we hear of it: what they hold is in struct lapic, and the page shows it.
 *
 * Who may touch what: a vcpu's own thread touches everything of its APIC. Other vcpus post into
 * incoming, level and esr_pending, and read id, base, svr, ldr, dfr, lvt[error] and the page's PPR to
 * match and choose destinations; these are accessed by atomics, relaxed where no order matters. There
 * is no lock. Nobody else writes the page: a CPU does not expect that while it uses it (SDM 3C
 * 25.11.4). The own thread takes what came in before it looks at IRR.
 */
#ifndef V3_DEVICES_INTR_LAPIC_H
#define V3_DEVICES_INTR_LAPIC_H

#include "palacios/intr.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/timer.h"
#include "palacios/topology.h"
#include "palacios/types.h"
#include "palacios/vcpu.h"

/* Register numbers: MMIO offset >> 4 = x2APIC MSR - 0x800; SDM 3A table 10-1 and 10-6. */
enum lapic_reg_num {
	LAPIC_ID = 0x02,
	LAPIC_VERSION = 0x03,
	LAPIC_TPR = 0x08,
	LAPIC_APR = 0x09,
	LAPIC_PPR = 0x0a,
	LAPIC_EOI = 0x0b,
	LAPIC_RRD = 0x0c,
	LAPIC_LDR = 0x0d,
	LAPIC_DFR = 0x0e,
	LAPIC_SVR = 0x0f,
	LAPIC_ISR = 0x10,
	LAPIC_TMR = 0x18,
	LAPIC_IRR = 0x20,
	LAPIC_ESR = 0x28,
	LAPIC_ICR = 0x30,
	LAPIC_ICR2 = 0x31,
	LAPIC_LVT = 0x32,
	LAPIC_TICR = 0x38,
	LAPIC_TCCR = 0x39,
	LAPIC_DCR = 0x3e,
	LAPIC_SELF = 0x3f,
	LAPIC_NREGS = 0x40
};

/* Local vector table entries in register order from LAPIC_LVT. */
enum lapic_lvt_num {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_PERF,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_NLVT
};

#define LAPIC_VERSION_VALUE (0x14u | (LAPIC_NLVT - 1) << 16) /* no EOI-broadcast suppression */

#define LAPIC_SVR_ENABLE     (1u << 8)
#define LAPIC_LVT_MODE(lvt)  (((lvt) >> 8) & 7)
#define LAPIC_LVT_MASKED     (1u << 16)
#define LAPIC_LVT_TMODE(lvt) (((lvt) >> 17) & 3)
#define LAPIC_ESR_SEND_ILL   (1u << 5)
#define LAPIC_ESR_RECV_ILL   (1u << 6)
#define LAPIC_ESR_ILL_REG    (1u << 7)

/* IA32_APIC_BASE, SDM 3A 10.4.4 and 10.12.1. */
#define LAPIC_BASE_BSP	  (1ull << 8)
#define LAPIC_BASE_X2APIC (1ull << 10)
#define LAPIC_BASE_ENABLE (1ull << 11)

#define LAPIC_MSR_PV_EOI 0x4b564d04u /* MSR_KVM_PV_EOI_EN */

/* Where a register is in the page. */
#define LAPIC_AT(reg) ((reg)*4)

#define LAPIC_NONE   (-1) /* no vector */
#define LAPIC_BY_CPU (-2) /* the CPU delivers and ends interrupts: look into the page */

#define LAPIC_BASE_MODE (LAPIC_BASE_X2APIC | LAPIC_BASE_ENABLE)
#define LAPIC_SVR_RESET 0x000000ffu

enum lapic_timer_mode { LAPIC_ONE_SHOT, LAPIC_PERIODIC, LAPIC_TSC_DEADLINE };

struct lapic_set;

struct lapic {
	/* posted to by any vcpu */
	uint64_t incoming[4]; /* accepted, on their way into IRR */
	uint64_t level[4];    /* trigger mode with which each vector came last */
	uint32_t posted;      /* incoming has something, or is about to */
	uint32_t esr_pending; /* errors since the last write to ESR */

	/* written by the own thread, read by senders */
	uint32_t id;		/* by the topology; vcpu 0 has 0; constant */
	uint64_t base;		/* IA32_APIC_BASE */
	uint32_t svr, ldr, dfr; /* ldr, dfr: xAPIC only; the x2APIC value follows from id */
	uint32_t lvt[LAPIC_NLVT];

	/* own thread */
	uint32_t *page;	 /* not owned, lives as long as the vcpu: LAPIC_AT() */
	uint32_t nested; /* bits set in ISR; means something while isr_top >= -1 */
	int isr_top;	 /* the highest of them, LAPIC_NONE, or LAPIC_BY_CPU */
	uint32_t dcr, initial;
	bool running;	   /* the timer counts; deadline is its next expiry */
	uint64_t deadline; /* guest time, ns */
	uint64_t tsc_deadline;

	uint64_t pv_eoi; /* MSR_KVM_PV_EOI_EN as written */
	bool pv_armed;	 /* the guest may end the highest vector in service without telling us */

	struct lapic_set *set;	/* not owned, outlives this */
	struct v3_vcpu *vcpu;	/* not owned, as this */
	struct v3_timer *timer; /* owned */
};

struct lapic_set {
	struct v3_vm *vm; /* not owned, outlives the device */
	uint32_t n;
	uint32_t turn; /* lowest priority: where the next search starts; atomic */
	struct lapic *cpu[V3_PC_MAX_VCPUS];   /* owned */
	struct lapic *by_id[V3_MAX_APIC_IDS]; /* the same by APIC id; NULL: nobody's */
};

static inline uint32_t lapic_load32(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void lapic_store32(uint32_t *p, uint32_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

static inline bool lapic_enabled(const struct lapic *l)
{
	return (__atomic_load_n(&l->base, __ATOMIC_RELAXED) & LAPIC_BASE_ENABLE) != 0;
}

static inline bool lapic_is_x2(const struct lapic *l)
{
	return (__atomic_load_n(&l->base, __ATOMIC_RELAXED) & LAPIC_BASE_X2APIC) != 0;
}

/** Logical id in x2APIC mode: cluster of 16, one bit each; SDM 3A 10.12.10.2. */
static inline uint32_t lapic_x2_ldr(const struct lapic *l)
{
	return (l->id >> 4) << 16 | 1u << (l->id & 15);
}

static inline uint64_t lapic_load64(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/** One of the 256-bit registers ISR, TMR and IRR: eight words, each at the place of a register. */
static inline uint32_t *lapic_word(struct lapic *l, unsigned reg, uint8_t vector)
{
	return &l->page[LAPIC_AT(reg + vector / 32)];
}

static inline uint32_t lapic_bit(uint8_t vector)
{
	return 1u << (vector & 31);
}

/* lapic.c */

/** A register that the page only shows. Own thread. */
static inline void lapic_show(struct lapic *l, unsigned reg, uint32_t value)
{
	l->page[LAPIC_AT(reg)] = value;
}

static inline struct lapic *lapic_of(void *priv, const struct v3_vcpu *vcpu)
{
	struct lapic_set *set = priv;

	return set->cpu[v3_vcpu_index(vcpu)];
}

extern const struct v3_lapic_ops v3_lapic_device_ops;

/** Set registers and the page that shows them. Own thread or stopped, as the next four. */
void v3_lapic_set_svr(struct lapic *l, uint32_t value);
void v3_lapic_set_lvt(struct lapic *l, unsigned n, uint32_t value);
/** Everything but id and IA32_APIC_BASE to the state after RESET or INIT, SDM 3A 10.4.7.1. */
void v3_lapic_clear(struct lapic *l);
/**
 * Mode, software enable or the vcpu's reset have changed: show the registers that depend on the mode,
 * and ask whether the CPU delivers interrupts by itself from now on.
 */
void v3_lapic_mode_changed(struct lapic *l);
/** The same for registers that were not written but loaded: nothing of the guest's is touched. */
void v3_lapic_follow(struct lapic *l);
/** The registers, by MMIO (xAPIC) and by MSR (x2APIC); priv: struct lapic_set. */
int v3_lapic_mmio(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv);
int v3_lapic_msr_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv);
int v3_lapic_msr_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv);

/** Accept a fixed interrupt, 16..255, edge-triggered, into IRR and ask the run loop to look. Own thread. */
void v3_lapic_raise(struct lapic *l, uint8_t vector);

/** Is any vector requested that is not in service yet? Own thread. */
bool v3_lapic_others_wait(const struct lapic *l);
/** End of the highest interrupt in service, SDM 3A 10.8.5. Own thread. */
void v3_lapic_eoi(struct lapic *l);

/* lapic_pv.c; all on the own thread or with the VM stopped */

/** Notice that the guest has ended an interrupt without telling us. */
void v3_lapic_pv_sync(struct lapic *l);
/** @p vector went into service: let the guest end it so, if nothing will wait for its end. */
void v3_lapic_pv_arm(struct lapic *l, uint8_t vector);
/** The next end must be told to us. */
void v3_lapic_pv_disarm(struct lapic *l);
/** Can MSR and pv_armed be what they are? */
bool v3_lapic_pv_valid(struct lapic *l);
/** The MSR; priv: struct lapic_set. */
int v3_lapic_pv_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv);
int v3_lapic_pv_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv);

/* lapic_bus.c */

/** Accept a fixed interrupt into IRR, or record an illegal vector. Any vcpu. */
void v3_lapic_post(struct lapic *l, uint8_t vector, bool level);
/** Record LAPIC_ESR_* errors and raise the error interrupt if it is armed. Any vcpu. */
void v3_lapic_error(struct lapic *l, uint32_t bits);
/** Deliver the interrupt of a local vector table entry unless it is masked. Own thread. */
void v3_lapic_local(struct lapic *l, enum lapic_lvt_num n);
/** struct v3_lapic_ops.send. */
void v3_lapic_send(void *priv, const struct v3_apic_msg *msg);
/** Send the interprocessor interrupt that an ICR value describes. Own thread. */
void v3_lapic_send_icr(struct lapic *l, uint64_t icr);

/* lapic_save.c */

extern const struct v3_save_table v3_lapic_save;

/* lapic_timer.c; all on the own thread or with the VM stopped */

/** v3_timer_fn of a local APIC timer; priv: struct lapic. */
void v3_lapic_timer_fire(struct v3_vcpu *vcpu, void *priv);
/** Stop and forget: RESET, INIT. */
void v3_lapic_timer_reset(struct lapic *l);
/** LVT timer entry: deliver what is due by the old value, store, and arm by the new one. */
void v3_lapic_timer_set_lvt(struct lapic *l, uint32_t lvt);
void v3_lapic_timer_set_initial(struct lapic *l, uint32_t value);
void v3_lapic_timer_set_divide(struct lapic *l, uint32_t value);
/** Current count register. */
uint32_t v3_lapic_timer_count(struct lapic *l);
/** IA32_TSC_DEADLINE; priv: struct lapic_set. */
int v3_lapic_timer_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv);
int v3_lapic_timer_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv);

#endif
