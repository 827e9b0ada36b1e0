/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vmx_rig.h
 * The VMX back end in user space: real palacios/src/arch/vmx/ on a simulated CPU (vmx_cpu.c), which has VMCSs and
 * the instructions that use them, and a world switch that plays the guest. Each entry is checked with the rules
 * of the manual (arch/vmx/check.h); a test says what the guest does until it exits.
 */
#ifndef TESTS_VMX_RIG_H
#define TESTS_VMX_RIG_H

#include "arch/vmx/vmx.h"
#include "exit/exit.h"
#include "fake_arch.h"
#include "fake_host.h"
#include "state.h"

#define VRIG_NCPUS  3
#define VRIG_NVCPUS 2
#define VRIG_MODEL  "corei7_skylake_x" /* of vmx_models.h */

/* ---- vmx_cpu.c: the simulated CPUs ---- */

#define VRIG_NVMCS   8
#define VRIG_NFIELDS 1024

struct vrig_vmcs {
	v3_hpa_t pa; /* 0: free */
	bool active, launched;
	uint32_t cpu; /* where it is active */
	uint64_t field[VRIG_NFIELDS];
};

struct vrig_cpu {
	v3_hpa_t vmxon; /* 0: not in VMX operation */
	struct vrig_vmcs *current;
	unsigned long flags; /* RFLAGS.IF */
	uint64_t cr2, cr3;
	struct vmx_dtr gdtr, idtr;
};

struct vrig_machine {
	struct vrig_cpu cpu[VRIG_NCPUS];
	struct vrig_vmcs vmcs[VRIG_NVMCS];
	bool vmxon_fails;
	uint32_t revision;
	unsigned reads, writes; /* VMREADs and VMWRITEs */
	unsigned invepts, invvpids, nmis;
	uint64_t last_invept[2];  /* type, EPTP */
	uint64_t last_invvpid[2]; /* type, VPID */
};
extern struct vrig_machine vrig_machine;

/** An idle VMX machine: all CPUs with the MSRs of this model, interrupts on. */
void vrig_machine_init(const char *model);
/** The current VMCS of the calling CPU; a test that has none fails. */
struct vrig_vmcs *vrig_current(void);
/** A field of a VMCS, also one that VMWRITE cannot write. */
uint64_t *vrig_field(struct vrig_vmcs *vmcs, uint32_t field);

/* ---- vmx_rig.c: library, VM, vcpus ---- */

/** What the guest does until it exits. */
typedef void (*vrig_guest_fn)(struct v3_vcpu *vcpu, struct vrig_vmcs *vmcs);

struct vrig {
	const struct v3_arch_ops *ops;
	struct v3_vm vm;
	struct v3_vcpu vcpu[VRIG_NVCPUS];

	/* the next exit, as the VMCS will tell it */
	uint32_t reason, info, error, vectoring, vectoring_error, len;
	uint64_t qualification, gpa;
	vrig_guest_fn guest; /* NULL: it does nothing else */
	uint32_t
		refuse; /* the CPU refuses the entry with this VM-instruction error; 0: it enters */

	/* what the last world switch saw */
	unsigned entries, refused;
	bool launched;		  /* by VMRESUME */
	struct vrig_vmcs entered; /* at the entry */
	uint64_t dr[4], cr2;
};

extern struct vrig vrig;

/** vrig_machine_init(), library, CPUs, one VM and its vcpus after RESET; vcpu 0 is loaded. Undone at the end. */
bool vrig_init(void);
/** Give the VM RAM from 0. @return where it is; NULL: failed, reported */
uint8_t *vrig_add_ram(uint64_t bytes);
struct vmx_vcpu *vrig_vv(unsigned vcpu);
/** Value of a field at the last entry. */
uint64_t vrig_entered(uint32_t field);
/** Enter vcpu 0 with this exit to come; CHECKs that it entered. */
struct v3_exit vrig_exit(uint32_t reason, uint64_t qualification);
/** enter() of a vcpu; any exit (HLT). @return its result */
int vrig_enter(unsigned vcpu);

#endif
