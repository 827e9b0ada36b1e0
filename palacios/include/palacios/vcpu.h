/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vcpu.h
 * A virtual CPU as devices and extensions see it: its registers, its requests and the work queued to it.
 * A vcpu's registers may be touched only on its own thread (inside a handler) or while it is not running.
 */
#ifndef PALACIOS_VCPU_H
#define PALACIOS_VCPU_H

#include "palacios/regs.h"
#include "palacios/types.h"

struct v3_vm;
struct v3_vcpu;

/** The VM a vcpu belongs to. any context. */
struct v3_vm *v3_vcpu_vm(const struct v3_vcpu *vcpu);
/** 0-based number of the vcpu in its VM; 0 is the boot CPU. any context. */
uint32_t v3_vcpu_index(const struct v3_vcpu *vcpu);

/** General registers, RIP and RFLAGS: read and write in place. Own thread. */
struct v3_regs *v3_vcpu_regs(struct v3_vcpu *vcpu);
/** Read a segment register. Own thread. @p num: enum v3_seg_num. */
void v3_vcpu_get_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, struct v3_seg *seg);
/** Write a segment register, hidden part included; no checks. Own thread. */
void v3_vcpu_set_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, const struct v3_seg *seg);
/** Read GDTR (idt false) or IDTR (idt true). Own thread. */
void v3_vcpu_get_dtr(struct v3_vcpu *vcpu, bool idt, struct v3_dtr *dtr);
void v3_vcpu_set_dtr(struct v3_vcpu *vcpu, bool idt, const struct v3_dtr *dtr);
/** Current privilege level, 0..3. Own thread. */
unsigned v3_vcpu_cpl(struct v3_vcpu *vcpu);
/** Bits of code the vcpu executes now: 16, 32 or 64 (16 also in real and virtual-8086 mode). Own thread. */
unsigned v3_vcpu_code_bits(struct v3_vcpu *vcpu);

/** Control registers (@p n: 0, 2, 3, 4, 8 and no other), as the guest sees them. Own thread. */
uint64_t v3_vcpu_get_cr(struct v3_vcpu *vcpu, unsigned n);
uint64_t v3_vcpu_get_efer(struct v3_vcpu *vcpu);
/**
 * State of a vcpu for a boot loader: writes a control register or EFER without the guest-visible checks.
 * Before the VM starts, or own thread.
 */
void v3_vcpu_set_cr(struct v3_vcpu *vcpu, unsigned n, uint64_t value);
void v3_vcpu_set_efer(struct v3_vcpu *vcpu, uint64_t value);

/**
 * STARTUP IPI: a vcpu that waits for one starts in real mode at CS = vector << 8, IP = 0; any other ignores
 * it (APM vol. 2 16.5, SDM 3A 8.4.4). any context.
 */
void v3_vcpu_sipi(struct v3_vcpu *vcpu, uint8_t vector);
/** INIT: the vcpu resets itself before its next entry; all but vcpu 0 then wait for a STARTUP IPI. any. */
void v3_vcpu_init(struct v3_vcpu *vcpu);
/** Make an NMI pending. any context. */
void v3_vcpu_nmi(struct v3_vcpu *vcpu);

/** A function to run on a vcpu's thread between two entries. The owner embeds it; zero it first. */
struct v3_work {
	void (*fn)(struct v3_vcpu *vcpu, void *arg);
	void *arg;
	struct v3_work *next; /* the queue's */
	uint32_t queued;      /* the queue's: 1 while waiting to run */
};

/**
 * Queue @p work to @p vcpu and kick it. any context. Does nothing if it is queued already; it is
 * "not queued" again just before fn is called, so an event during fn runs it once more.
 */
void v3_vcpu_queue_work(struct v3_vcpu *vcpu, struct v3_work *work);

/**
 * Call before doing anything that may sleep inside a handler: puts the guest's FPU state down so that
 * the host may preempt the thread. Own thread. Cheap if it is down already; picked up before entry.
 */
void v3_vcpu_may_sleep(struct v3_vcpu *vcpu);

/* Queue an exception to be injected at the next entry (own thread). The handler then returns V3_OK
 * without advancing RIP. Two contributory faults merge to #DF, then to a triple fault, as APM vol. 2 8.2.9
 * says. */
void v3_vcpu_inject_ud(struct v3_vcpu *vcpu);
void v3_vcpu_inject_gp(struct v3_vcpu *vcpu, uint32_t error);
/** Page fault: sets CR2 at injection. @p error: V3_PF_* of mem.h. */
void v3_vcpu_inject_pf(struct v3_vcpu *vcpu, v3_gva_t addr, uint32_t error);
/** Any exception. @p has_error false: @p error is ignored. */
void v3_vcpu_inject(struct v3_vcpu *vcpu, enum v3_vector vector, bool has_error, uint32_t error);

#endif
