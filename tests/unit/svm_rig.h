/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file svm_rig.h
 * The SVM back end in user space: real palacios/src/arch/svm/, a simulated CPU (fake_host/instr), and a
 * world switch that plays the guest. It does what VMRUN and #VMEXIT do with the VMCB (AMD APM vol. 2 15.5,
 * 15.6) and keeps a copy of what it was entered with; a test says what the guest does in between.
 */
#ifndef TESTS_SVM_RIG_H
#define TESTS_SVM_RIG_H

#include "arch/svm/svm.h"
#include "exit/exit.h"
#include "fake_arch.h"
#include "fake_host.h"
#include "state.h"

/* CPUID Fn8000_000A EDX */
#define RIG_NP	      (1u << 0)
#define RIG_TSC	      (1u << 4) /* TSC rate control: not among RIG_FEATURES */
#define RIG_TSC_FOUND (1ull << 32)
#define RIG_SVML      (1u << 2)
#define RIG_NRIPS     (1u << 3)
#define RIG_CLEAN     (1u << 5)
#define RIG_FLUSH     (1u << 6)
#define RIG_DECODE    (1u << 7)
#define RIG_PAUSE     (1u << 10)
#define RIG_FEATURES                                                                               \
	(RIG_NP | RIG_SVML | RIG_NRIPS | RIG_CLEAN | RIG_FLUSH | RIG_DECODE | RIG_PAUSE)

#define RIG_NCPUS  3
#define RIG_NVCPUS 3
#define RIG_NASIDS 4 /* 1, 2 and 3 for guests */

#define RIG_EFER  (V3_EFER_SCE | V3_EFER_LME | V3_EFER_LMA | V3_EFER_NXE) /* the host's, SVME off */
#define RIG_HSAVE 0x1234000ull						  /* VM_HSAVE_PA as found */

/** What the guest does until it exits: change the VMCB as the CPU would. @p vmcb: the one entered. */
typedef void (*rig_guest_fn)(struct v3_vcpu *vcpu, struct svm_vmcb *vmcb);

struct rig {
	const struct v3_arch_ops *ops;
	struct v3_vm vm;
	struct v3_vcpu vcpu[RIG_NVCPUS];

	/* the next exit: written to the VMCB by the world switch */
	uint64_t code, info1, info2, intinfo, next_rip;
	rig_guest_fn guest; /* NULL: it does nothing else */

	/* what the last world switch saw */
	unsigned entries, refused;
	struct svm_vmcb entered; /* the VMCB at VMRUN */
	uint64_t dr[4];		 /* DR0-3 at VMRUN */
	uint64_t host_dr7;	 /* the host's DR7 at VMRUN */
};

/** The rig of the running test; rig_init() clears it. */
extern struct rig rig;

/** Give all CPUs the MSRs of an idle SVM machine, and CPUID these features. */
void rig_machine(uint32_t features, uint32_t nasids);
/** rig_machine(), then library, CPUs, one VM and its vcpus after RESET. Undone at the end of the test. */
bool rig_init(uint32_t features);
/** Give the VM RAM from 0. @return where it is; NULL: failed, reported */
uint8_t *rig_add_ram(uint64_t bytes);
struct svm_vcpu *rig_sv(unsigned vcpu);
struct svm_vmcb *rig_vmcb(unsigned vcpu);
struct svm_state *rig_svm(void);
/** Enter vcpu 0 with this exit to come; CHECKs that it entered. */
struct v3_exit rig_exit(uint64_t code, uint64_t info1, uint64_t info2);
/** enter() of a vcpu; any exit (HLT). @return its result */
int rig_enter(unsigned vcpu);

#endif
