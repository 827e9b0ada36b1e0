/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_arch.h
 * A vendor back end in software: struct v3_arch_ops over plain structures, so that unit tests run
 * the real run loop, dispatch and devices. What the guest "does" between two exits is up to the
 * test: queued exits (fake_push()), a callback (fake_set_step()) or a guest program in C
 * (fake_guest.h).
 *
 * It behaves as the hardware does where the core can tell the difference: requests that are set
 * before entry refuse it (V3_EAGAIN), an event injected is delivered first, windows end the guest
 * as soon as they open, a kick ends it with V3_EXIT_INTR, the interrupt shadow lasts one
 * instruction, IF is cleared by an interrupt.
 */
#ifndef TESTS_FAKE_ARCH_H
#define TESTS_FAKE_ARCH_H

#include "state.h"

#define FAKE_EVENTS 256 /* delivered events kept per vcpu, the latest */

/**
 * What the guest does next, on the vcpu's thread: change the vcpu's registers as executing
 * instructions would, and fill @p exit (zeroed before; kind V3_EXIT_UNKNOWN must be replaced).
 * @return true: exit; false: nothing to do: the guest computes until it is kicked
 */
typedef bool (*fake_step_fn)(struct v3_vcpu *vcpu, struct v3_exit *exit, void *arg);

/** State of one vcpu; v3_vcpu.arch_vcpu. Tests may read all of it and change it between entries. */
struct fake_cpu {
	struct v3_vcpu *vcpu;
	struct v3_seg seg[V3_NSEG];
	struct v3_dtr gdtr, idtr;
	uint64_t dr[8];
	struct {
		uint32_t msr;
		uint64_t value;
	} msr[16];		  /* those the "hardware" keeps; unused: msr 0 */
	bool shadow;		  /* interrupt shadow: until the next instruction */
	bool nmi_masked;	  /* from delivery of an NMI to IRET (fake_iret()) */
	struct v3_event inject;	  /* for the next entry */
	bool want_intr, want_nmi; /* windows asked for */
	uint8_t window_vector;
	uint64_t tsc_offset;
	uint64_t deadline; /* set_deadline()'s; nothing happens then */
	uint32_t exception_mask;
	v3_hpa_t root;

	/* What happened since the vcpu was created. */
	struct v3_event event[FAKE_EVENTS]; /* number n is at n % FAKE_EVENTS */
	unsigned nevents;
	unsigned entries;	/* guest entered */
	unsigned refused;	/* V3_EAGAIN */
	unsigned flushes;	/* flush() calls */
	unsigned roots;		/* set_nested_root() calls */
	unsigned resets, inits; /* vcpu_reset() calls */
	unsigned checks;	/* check_entry() calls */
	unsigned dumps;
	uint8_t apic_mode; /* set_apic_mode(): enum v3_apic_mode, V3_APIC_NONE before */
	bool apic_enabled;
	unsigned apic_syncs; /* sync_apic() calls */

	/* What to do next. */
	struct v3_exit queue[64];
	unsigned qhead, qtail;
	fake_step_fn step;
	void *step_arg;
	struct fake_guest *guest; /* owned; fake_guest.c */
};

/** The back end's name is "fake". */
extern const struct v3_arch_ops fake_arch_ops;
extern struct v3_arch_caps
	fake_arch_caps; /* what probe() reports; default: 48 bits, 4 levels, NPT, 1 GiB */
/** Result of probe(); V3_OK at the beginning of each test. */
extern int fake_arch_probe_result;
/** cpu_enable() fails with V3_EBUSY on this CPU; -1 (default): on none. */
extern int fake_arch_enable_fails_on;
/** CPUs with virtualization enabled, as a mask. */
extern uint64_t fake_arch_enabled;
/** MSRs passed through by pass_msr() of the VM: how many calls. */
extern unsigned fake_arch_passed;
/** Does the CPU reach deadlines up to this many ticks from now (set_deadline())? 0 at the beginning of each test. */
extern uint64_t fake_arch_deadlines;
/** What check_entry() says; NULL at the beginning of each test. */
extern const char *fake_arch_rule;
/** The CPU delivers the interrupts of local APICs that are enabled: a test plays it. Not at the beginning of each test. */
extern bool fake_arch_apic_by_cpu;

/**
 * Let CPUID of the simulated host CPU answer @p regs (EAX, EBX, ECX, EDX) for this leaf. Before
 * v3_vm_create().
 */
void fake_cpuid_set(uint32_t leaf, uint32_t sub, const uint32_t regs[4]);
/** What CPUID of the simulated host CPU answers now, e.g. to change one bit of it. */
void fake_instr_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/**
 * Give the simulated CPU that the calling thread is on this MSR; RDMSR and WRMSR of one it has not got
 * (but TSC_AUX) fail the test. Clears its count of writes.
 */
void fake_msr_set(uint32_t msr, uint64_t value);
uint64_t fake_msr_get(uint32_t msr);
/** WRMSRs to it since fake_msr_set(). */
unsigned fake_msr_writes(uint32_t msr);
/** What RDSEED of the simulated CPU gives, once; before and after that: nothing. RDRAND counts from 1. */
void fake_seed_set(uint64_t value);
/** CR4 of the simulated CPU. */
void fake_cr4_set(uint64_t value);
/** Debug registers of the simulated CPU (0..3, 6, 7). */
uint64_t fake_instr_read_dr(unsigned n);
void fake_instr_write_dr(unsigned n, uint64_t value);
/** Writes of DR0-3 while DR7 enabled a breakpoint: each could have hit. */
unsigned fake_dr_live_writes(void);

struct fake_cpu *fake_cpu(struct v3_vm *vm, unsigned vcpu);

/** Queue one exit; queued exits come before the callback. At most 63 at a time. */
void fake_push(struct fake_cpu *cpu, const struct v3_exit *exit);
/** Let @p step say what the guest does when no exit is queued. NULL: the guest computes. */
void fake_set_step(struct fake_cpu *cpu, fake_step_fn step, void *arg);
/** The guest executes IRET (ends an NMI). In a step. */
void fake_iret(struct fake_cpu *cpu);
/** Event number @p n delivered so far; type NONE if there was none such. */
struct v3_event fake_event(const struct fake_cpu *cpu, unsigned n);
/** How many events of @p type with @p vector were delivered (of the last FAKE_EVENTS). */
unsigned fake_count_events(const struct fake_cpu *cpu, enum v3_event_type type, unsigned vector);

/* Exits, as the hardware would report them. */
struct v3_exit fake_exit(enum v3_exit_kind kind, unsigned insn_len);
struct v3_exit fake_exit_io(struct v3_vcpu *vcpu, uint16_t port, unsigned size, bool in);
struct v3_exit fake_exit_cr(unsigned cr, unsigned gpr, bool write);

/** Forget what tests changed in the variables above. fake_host_test_begin() calls it. */
void fake_arch_reset(void);

#endif
