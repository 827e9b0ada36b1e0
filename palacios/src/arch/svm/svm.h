/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file svm.h
 * Private state of the SVM back end.
 */
#ifndef V3_SVM_SVM_H
#define V3_SVM_SVM_H

#include "arch/ops.h"
#include "arch/svm/vmcb.h"

struct v3_exit;

/* One physical CPU. */
struct svm_cpu {
	v3_hpa_t hsave_pa;	 /* owned: VM_HSAVE_PA page */
	uint64_t found_hsave_pa; /* VM_HSAVE_PA before us, put back by cpu_disable() */
	v3_hpa_t host_pa;	 /* owned: VMCB page for the host's VMSAVE/VMLOAD state */
	uint64_t generation;	 /* of ASIDs; raised at each roll-over, 0 = never enabled */
	uint32_t next_asid;
	bool flush_all;		  /* the roll-over's flush of all ASIDs has not happened yet */
	uint64_t tsc_ratio;	  /* in the MSR; it counts in guests only */
	uint64_t found_tsc_ratio; /* before us */
	const void *last_vcpu; /* who ran here last: another one needs a branch-predictor barrier */
	bool enabled;
};

/* The library-wide part: what the CPUs can do, and one svm_cpu each. */
struct svm_state {
	uint32_t ncpus;
	uint32_t nasids;
	bool nrips, flush_by_asid, clean_bits, decode_assists, pause_filter, ibpb;
	bool repeats_intr;    /* QEMU's quirk Q8: see events_deliver_virtually() */
	struct svm_cpu cpu[]; /* ncpus */
};

struct svm_vm {
	v3_hpa_t iopm_pa;  /* owned, 4 pages (3 used) */
	v3_hpa_t msrpm_pa; /* owned, 2 pages */
	uint8_t *msrpm;
};

struct svm_vcpu {
	struct svm_vmcb *vmcb;
	v3_hpa_t vmcb_pa; /* owned */
	struct svm_state *svm;
	uint32_t dirty; /* SVM_CLEAN_* groups changed since the last entry */
	uint32_t cpu;	/* where the ASID below is valid */
	uint64_t generation;
	bool flush;
	bool virq;	   /* V_IRQ is an interrupt to deliver, not a window */
	bool iret_step;	   /* stepping over the IRET that ends an NMI */
	bool iret_tf;	   /* the guest's own TF at that moment */
	uint64_t iret_dr6; /* and its DR6 */
	uint64_t dr[4];	   /* guest DR0..3 */
};

/* entry.S: one world switch. @return 0: the guest ran; 1: a request came first. */
int v3_svm_world_switch(struct v3_vcpu *vcpu, v3_hpa_t vmcb_pa, v3_hpa_t host_pa);

/* exit.c */
void v3_svm_decode_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);

/* run.c */
/** Set the TSC ratio of guests on this CPU. */
void v3_svm_set_tsc_ratio(struct svm_cpu *pc, uint64_t ratio);
int v3_svm_enter(struct v3_vcpu *vcpu, struct v3_exit *exit);
const char *v3_svm_check_entry(struct v3_vcpu *vcpu);

/* vcpu.c */
int v3_svm_vcpu_create(struct v3_vcpu *vcpu);
void v3_svm_vcpu_destroy(struct v3_vcpu *vcpu);
void v3_svm_vcpu_reset(struct v3_vcpu *vcpu, bool init);
void v3_svm_dump(struct v3_vcpu *vcpu, const struct v3_text *text);

/* regs.c */
void v3_svm_get_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, struct v3_seg *seg);
void v3_svm_set_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, const struct v3_seg *seg);
void v3_svm_get_dtr(struct v3_vcpu *vcpu, bool idt, struct v3_dtr *dtr);
void v3_svm_set_dtr(struct v3_vcpu *vcpu, bool idt, const struct v3_dtr *dtr);
void v3_svm_set_cr(struct v3_vcpu *vcpu, unsigned n, uint64_t value);
void v3_svm_set_efer(struct v3_vcpu *vcpu, uint64_t value);
uint64_t v3_svm_get_dr(struct v3_vcpu *vcpu, unsigned n);
void v3_svm_set_dr(struct v3_vcpu *vcpu, unsigned n, uint64_t value);
void v3_svm_set_cpl(struct v3_vcpu *vcpu, unsigned cpl);
int v3_svm_get_msr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value);
int v3_svm_set_msr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value);
int v3_svm_pass_msr(struct v3_vm *vm, uint32_t msr, bool rd, bool wr);

/* events.c */
bool v3_svm_intr_ready(struct v3_vcpu *vcpu);
bool v3_svm_nmi_ready(struct v3_vcpu *vcpu);
void v3_svm_want_intr_window(struct v3_vcpu *vcpu, uint8_t vector);
void v3_svm_want_nmi_window(struct v3_vcpu *vcpu);
void v3_svm_inject(struct v3_vcpu *vcpu, const struct v3_event *ev);
/** After an exit or a reset. @return vector of a virtual interrupt that was not taken, V3_EAGAIN: none */
int v3_svm_end_virq(struct svm_vcpu *sv);
void v3_svm_clear_shadow(struct v3_vcpu *vcpu);
void v3_svm_set_exception_mask(struct v3_vcpu *vcpu, uint32_t mask);

extern const struct v3_arch_ops v3_svm_ops;

#endif
