/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file intr.h
 * Interrupt lines, messages and the seam between interrupt controllers and the run loop.
 *
 *   device --v3_irq_set()--> sinks (8259 pair, I/O APIC) --v3_apic_send()--> local APICs --request--> run loop
 *
 * Nothing is polled: a controller that may have something deliverable calls v3_vcpu_irq_request(); the
 * run loop then asks it once (pending) and, when the vcpu can take the vector, takes it (ack).
 */
#ifndef PALACIOS_INTR_H
#define PALACIOS_INTR_H

#include "palacios/types.h"

struct v3_vcpu;
struct v3_vm;

#define V3_NR_GSI                                                                                  \
	24 /* global system interrupts: I/O APIC pins 0..23; 0..15 are also the ISA IRQs */

/**
 * Set the level of an interrupt line. Edge-triggered devices raise and lower. thread or atomic, any vcpu.
 * Levels of several devices on one line are the caller's affair (PCI INTx is wired-OR in the host bridge).
 */
void v3_irq_set(struct v3_vm *vm, unsigned gsi, bool level);
/** Raise and lower: one edge. */
static inline void v3_irq_pulse(struct v3_vm *vm, unsigned gsi)
{
	v3_irq_set(vm, gsi, true);
	v3_irq_set(vm, gsi, false);
}

/**
 * Register a consumer of line levels (at most 4 per VM). Called for every v3_irq_set(), possibly from
 * several vcpus at once; the owner locks. Before the VM runs. V3_ENOSPC.
 */
typedef void (*v3_irq_sink_fn)(void *priv, unsigned gsi, bool level);
int v3_irq_sink_register(struct v3_vm *vm, v3_irq_sink_fn fn, void *priv);
void v3_irq_sink_unregister(struct v3_vm *vm, void *priv);

/* Delivery modes and trigger, ICR/IOREDTBL encoding, SDM 3A 10.6.1. */
enum v3_delivery {
	V3_DELIVER_FIXED = 0,
	V3_DELIVER_LOWEST = 1,
	V3_DELIVER_SMI = 2,
	V3_DELIVER_NMI = 4,
	V3_DELIVER_INIT = 5,
	V3_DELIVER_SIPI = 6,
	V3_DELIVER_EXTINT = 7
};

/** A message on the (virtual) APIC bus. */
struct v3_apic_msg {
	uint32_t dest;	/* APIC id, or logical destination */
	bool logical;	/* destination mode */
	bool broadcast; /* every APIC, dest ignored */
	bool level;	/* trigger mode: level (EOI is then broadcast back) */
	uint8_t vector;
	enum v3_delivery mode;
	const struct v3_vcpu *except; /* shorthand "all but self": skip this one; NULL */
};

/** The local APICs, registered once per VM by the lapic device. */
struct v3_lapic_ops {
	/** Deliver a message. any vcpu thread; lock-free towards other vcpus. */
	void (*send)(void *priv, const struct v3_apic_msg *msg);
	/** Vector that could be injected now given ISR and TPR, or V3_EAGAIN. Own thread. */
	int (*pending)(void *priv, struct v3_vcpu *vcpu);
	/** Take @p vector: IRR to ISR. Own thread, right after pending() returned it. */
	void (*ack)(void *priv, struct v3_vcpu *vcpu, uint8_t vector);
	/** The guest's task priority changed by CR8 (0..15). Own thread. */
	void (*set_cr8)(void *priv, struct v3_vcpu *vcpu, unsigned cr8);
	/** The CPU has changed the TPR of the page. Own thread. */
	void (*tpr_changed)(void *priv, struct v3_vcpu *vcpu);
	/** The guest has written the register at @p offset of the page by itself: act on it. Own thread. */
	void (*written)(void *priv, struct v3_vcpu *vcpu, unsigned offset);
	/** The CPU has ended the interrupt @p vector, whose trigger mode in TMR is level. Own thread. */
	void (*ended)(void *priv, struct v3_vcpu *vcpu, uint8_t vector);
	/** Task priority as CR8 shows it. Own thread. */
	unsigned (*get_cr8)(void *priv, struct v3_vcpu *vcpu);
	/** Does the APIC accept ExtINT from the 8259 (LINT0 = ExtINT unmasked, or APIC globally disabled)? */
	bool (*accepts_extint)(void *priv, struct v3_vcpu *vcpu);
	/** Is it globally enabled (IA32_APIC_BASE)? CPUID shows the guest an APIC only then. Own thread. */
	bool (*enabled)(void *priv, struct v3_vcpu *vcpu);
	/** INIT: back to the reset state, keeping the APIC id. Own thread. */
	void (*init)(void *priv, struct v3_vcpu *vcpu);
};
int v3_lapic_register(struct v3_vm *vm, const struct v3_lapic_ops *ops, void *priv);
void v3_lapic_unregister(struct v3_vm *vm);
/** How a local APIC answers: IA32_APIC_BASE. NONE: the VM has none. */
enum v3_apic_mode { V3_APIC_NONE, V3_APIC_OFF, V3_APIC_XAPIC, V3_APIC_X2APIC };
/**
 * The page for the registers of @p vcpu's local APIC, in the layout of SDM 3A table 10-1. It lives as long as the
 * vcpu. A CPU with APIC virtualization reads and writes it while the guest runs, as the mode allows. Own thread.
 */
uint32_t *v3_apic_page(struct v3_vcpu *vcpu);
/**
 * Tell the mode of @p vcpu's local APIC, after each change and each reset. Own thread or stopped.
 * @param enabled  by software, in SVR
 * @return true: the CPU delivers interrupts from IRR and ends them by itself from now on: ack() is not called, and
 *         what ISR, IRR and PPR say may be different after each stay in the guest
 */
bool v3_apic_set_mode(struct v3_vcpu *vcpu, enum v3_apic_mode mode, bool enabled);
/** Send a message to the local APICs; dropped if the VM has none. any vcpu thread. */
void v3_apic_send(struct v3_vm *vm, const struct v3_apic_msg *msg);
/** A message-signalled interrupt: address and data as PCI MSI, SDM 3A 10.11. any vcpu thread. */
void v3_msi_send(struct v3_vm *vm, uint64_t addr, uint32_t data);

/** Who learns of the end of a level-triggered interrupt (the I/O APIC). One per VM. */
typedef void (*v3_eoi_fn)(void *priv, uint8_t vector);
int v3_eoi_register(struct v3_vm *vm, v3_eoi_fn fn, void *priv);
void v3_eoi_unregister(struct v3_vm *vm);
/** Called by the local APIC when a level-triggered vector ends. */
void v3_eoi_broadcast(struct v3_vm *vm, uint8_t vector);

/** The 8259 pair, registered once per VM. Its INTR output goes to vcpu 0. */
struct v3_extint_ops {
	/** Level of the INTR output. Own thread of vcpu 0. */
	bool (*pending)(void *priv);
	/** INTA cycle: @return vector (the spurious one if the request is gone). */
	uint8_t (*ack)(void *priv);
};
int v3_extint_register(struct v3_vm *vm, const struct v3_extint_ops *ops, void *priv);
void v3_extint_unregister(struct v3_vm *vm);
/** Called by the 8259 when INTR goes up, and by the local APIC when it starts to accept ExtINT. any. */
void v3_extint_request(struct v3_vm *vm);

/** Something may be deliverable on @p vcpu: have the run loop ask, kick it if it runs or sleeps. any. */
void v3_vcpu_irq_request(struct v3_vcpu *vcpu);

#endif
