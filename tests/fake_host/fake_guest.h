/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_guest.h
 * Guest programs in C for the software back end: an ordinary function whose calls of g_*() are
 * the guest's instructions that exit. It runs in a thread of its own, but only between an entry
 * and the next exit, in turn with the vcpu's thread. When it returns, the guest computes for ever
 * (until it is kicked).
 *
 *     static void program(struct fake_guest *g, void *arg)
 *     {
 *             g_out(g, 0x80, 1, 0x55);
 *             CHECK(!g_wrmsr(g, 0x12345, 0));           // #GP
 *             g_hlt(g);                                 // until an interrupt was delivered
 *     }
 *     fake_program(vm, 0, program, NULL);
 *
 * After RESET or INIT the program starts over. Each instruction checks that RIP moved behind it,
 * or stayed when an exception was delivered instead.
 */
#ifndef TESTS_FAKE_GUEST_H
#define TESTS_FAKE_GUEST_H

#include "palacios/types.h"
#include "palacios/vcpu.h"

struct fake_cpu;
struct fake_guest;
struct v3_event;
struct v3_exit;
struct v3_vm;

typedef void (*fake_program_fn)(struct fake_guest *g, void *arg);
/** Interrupt (or NMI, vector 2) handler of a program: IF is off in it, its return is the IRET. */
typedef void (*fake_irq_fn)(struct fake_guest *g, uint8_t vector, void *arg);

/** Let vcpu number @p index run @p program. The VM is not running. */
void fake_program(struct v3_vm *vm, unsigned index, fake_program_fn program, void *arg);
/**
 * Let @p fn handle interrupts of the program (also called in it); without one they are only
 * counted.
 */
void g_on_irq(struct fake_guest *g, fake_irq_fn fn, void *arg);

/* Each returns false if an exception was delivered instead (g_exception()); then outputs are not
 * set. */
bool g_in(struct fake_guest *g, uint16_t port, unsigned size, uint32_t *value);
bool g_out(struct fake_guest *g, uint16_t port, unsigned size, uint32_t value);
bool g_rdmsr(struct fake_guest *g, uint32_t msr, uint64_t *value);
bool g_wrmsr(struct fake_guest *g, uint32_t msr, uint64_t value);
bool g_cpuid(struct fake_guest *g, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
bool g_set_cr(struct fake_guest *g, unsigned cr, uint64_t value);
bool g_get_cr(struct fake_guest *g, unsigned cr, uint64_t *value);
bool g_xsetbv(struct fake_guest *g, uint32_t index, uint64_t value);
bool g_hypercall(struct fake_guest *g, uint64_t nr, const uint64_t args[4], int64_t *result);
/**
 * MOV between memory and a register, 1, 2 or 4 bytes, in 32-bit code without paging (g_flat32()).
 */
bool g_load(struct fake_guest *g, v3_gpa_t gpa, unsigned size, uint32_t *value);
bool g_store(struct fake_guest *g, v3_gpa_t gpa, unsigned size, uint32_t value);
/** Any exit with an instruction of @p insn_len bytes; registers are the caller's affair. */
bool g_insn(struct fake_guest *g, const struct v3_exit *exit);
/** HLT: returns after an interrupt was delivered. */
bool g_hlt(struct fake_guest *g);

/* Without exit. */
void g_sti(struct fake_guest *g); /* IF on, interrupt shadow for the next instruction */
void g_cli(struct fake_guest *g);
/** Compute until the next kick. */
void g_compute(struct fake_guest *g);
/** Protected mode, flat 32-bit segments, no paging. */
void g_flat32(struct fake_guest *g);

/** The exception that the last instruction got. */
struct v3_event g_exception(const struct fake_guest *g);
/** How often an interrupt with @p vector was delivered to the program (all of them: 256). */
unsigned g_irqs(const struct fake_guest *g, unsigned vector);
struct v3_vcpu *g_vcpu(const struct fake_guest *g);
struct v3_regs *g_regs(const struct fake_guest *g);

/* ---- for fake_arch.c ---- */
bool fake_guest_step(struct fake_cpu *cpu, struct v3_exit *exit);
void fake_guest_event(struct fake_cpu *cpu, const struct v3_event *ev);
void fake_guest_restart(struct fake_cpu *cpu);
void fake_guest_destroy(struct fake_cpu *cpu);

#endif
