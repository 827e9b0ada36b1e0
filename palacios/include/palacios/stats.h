/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file stats.h
 * Exit statistics: per vcpu and exit kind, count, cycles and a log2 histogram. Always on.
 */
#ifndef PALACIOS_STATS_H
#define PALACIOS_STATS_H

#include "palacios/types.h"

struct v3_vm;

/* Neutral exit kinds: X(symbol, name). The handler table and palacios/doc/exit-path.md follow this list. */
#define V3_EXIT_KINDS(X)                                                                           \
	X(INTR, "intr")		      /* host interrupt */                                         \
	X(NMI, "nmi")		      /* host NMI */                                               \
	X(INTR_WINDOW, "intr_window") /* the guest can take an interrupt now */                    \
	X(NMI_WINDOW, "nmi_window")   /* the guest finished an NMI (IRET) */                       \
	X(EXCEPTION, "exception")     /* a claimed exception vector */                             \
	X(CPUID, "cpuid")                                                                          \
	X(HLT, "hlt")                                                                              \
	X(PAUSE, "pause")                                                                          \
	X(IO, "io")                                                                                \
	X(RDMSR, "rdmsr")                                                                          \
	X(WRMSR, "wrmsr")                                                                          \
	X(CR_READ, "cr_read")                                                                      \
	X(CR_WRITE, "cr_write")                                                                    \
	X(DR_ACCESS, "dr_access")                                                                  \
	X(NESTED_FAULT, "nested_fault") /* nested page fault */                                    \
	X(DIRTY_LOG, "dirty_log")	/* the log of written pages is full */                     \
	X(HYPERCALL, "hypercall")	/* VMMCALL or VMCALL */                                    \
	X(RDTSC, "rdtsc")                                                                          \
	X(RDTSCP, "rdtscp")                                                                        \
	X(RDPMC, "rdpmc")                                                                          \
	X(INVLPG, "invlpg")                                                                        \
	X(CACHE, "cache") /* INVD, WBINVD */                                                       \
	X(XSETBV, "xsetbv")                                                                        \
	X(MONITOR, "monitor")	  /* MONITOR, MWAIT: hidden */                                     \
	X(VIRT_INSN, "virt_insn") /* VMRUN, VMXON ...: hidden */                                   \
	X(TASK_SWITCH, "task_switch")                                                              \
	X(SYS_INSN, "sys_insn") /* SGDT .. LTR, INVPCID, RDRAND, RDSEED: emulated */               \
	X(STEP, "step")		/* the guest has executed one instruction */                       \
	X(TIMER, "timer")	/* the vcpu's deadline has come */                                 \
	X(BUS_LOCK, "bus_lock") /* the guest has locked the bus */                                 \
	X(STALLED, "stalled")	/* the guest made the CPU stand still for a time */                \
	X(TRIPLE_FAULT, "triple_fault")                                                            \
	X(INIT, "init") /* host INIT */                                                            \
	X(SMI, "smi")                                                                              \
	X(ENTRY_FAILED, "entry_failed") /* the CPU refused the guest state: our bug */             \
	X(NESTED_BAD, "nested_bad")	/* ... an entry of the nested tables: our bug */           \
	X(UNKNOWN, "unknown")		/* no neutral kind: our bug */

enum v3_exit_kind {
#define V3_EXIT_ENUM(sym, name) V3_EXIT_##sym,
	V3_EXIT_KINDS(V3_EXIT_ENUM)
#undef V3_EXIT_ENUM
		V3_EXIT_NKINDS
};

#define V3_STAT_BUCKETS                                                                            \
	32 /* bucket b counts exits of 2^b .. 2^(b+1) - 1 cycles, 31 also all above */

struct v3_exit_stat {
	uint64_t count;
	uint64_t cycles; /* total, exit to next entry */
	uint64_t max_cycles;
	uint32_t histogram[V3_STAT_BUCKETS];
};

/** Name of a kind; "?" if out of range. any. */
const char *v3_exit_name(enum v3_exit_kind kind);
/** Copy one kind's figures of one vcpu. any; while the guest runs they are at most one exit old. V3_EINVAL. */
int v3_vm_exit_stat(struct v3_vm *vm, uint32_t vcpu, enum v3_exit_kind kind,
		    struct v3_exit_stat *out);
/** Print the table of all kinds with their histograms, and the memory figures, to the log. thread. */
void v3_vm_print_stats(struct v3_vm *vm);

#endif
