/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vmx.h
 * Private state of the VMX back end.
 *
 * The VMCS of a vcpu is the current one of a CPU from load() to put(), and clear (in memory, usable by any CPU)
 * outside. What the core sets and asks for meanwhile goes through a copy: struct vmx_vcpu.value.
 */
#ifndef V3_VMX_VMX_H
#define V3_VMX_VMX_H

#include "arch/ops.h"
#include "arch/vmx/caps.h"
#include "arch/vmx/insn.h"
#include "arch/vmx/vmcs.h"

struct v3_exit;

/* VMCS fields that are kept in a copy. Those before VMX_NGUEST change while the guest runs. */
enum vmx_slot {
	VMX_SEL,		/* + enum v3_seg_num */
	VMX_BASE = VMX_SEL + 8, /* likewise */
	VMX_LIMIT = VMX_BASE + 8,
	VMX_RIGHTS = VMX_LIMIT + 8,
	VMX_GDTR_BASE = VMX_RIGHTS + 8,
	VMX_IDTR_BASE,
	VMX_GDTR_LIMIT,
	VMX_IDTR_LIMIT,
	VMX_CR0,
	VMX_CR3,
	VMX_RIP,
	VMX_RSP,
	VMX_RFLAGS,
	VMX_PAT,
	VMX_SYSENTER_CS,
	VMX_SYSENTER_ESP,
	VMX_SYSENTER_EIP,
	VMX_BLOCKING,
	VMX_PENDING_DEBUG,
	VMX_PDPTE, /* + 0..3 */
	VMX_NGUEST = VMX_PDPTE + 4,

	VMX_CR4 = VMX_NGUEST, /* each write exits, as the next two */
	VMX_EFER,
	VMX_DR7,
	VMX_CR0_SHADOW,
	VMX_CR4_SHADOW,
	VMX_PROC,
	VMX_ENTRY,
	VMX_EXCEPTIONS,
	VMX_INJECT,
	VMX_INJECT_ERROR,
	VMX_INJECT_LEN,
	VMX_TSC_OFFSET,
	VMX_EPTP,
	VMX_NSLOTS
};
_Static_assert(VMX_NSLOTS <= 64, "one bit each in valid and dirty");

/* Bits of CR0 that the guest reads and writes without exit. NE, which VMX wants set, is not among them, nor is
 * anything that changes the mode; of CR4 there are none. */
#define V3_VMX_CR0_OWNED (V3_CR0_MP | V3_CR0_EM | V3_CR0_TS | V3_CR0_WP | V3_CR0_AM)

#define VMX_SLOT_BIT(slot) (1ull << (slot))
#define VMX_GUEST_SLOTS	   (VMX_SLOT_BIT(VMX_NGUEST) - 1)

/* MSRs that no VMCS field holds and that the guest uses without exit: they are in the CPU from load() to put(). */
enum vmx_live_msr {
	VMX_LIVE_STAR,
	VMX_LIVE_LSTAR,
	VMX_LIVE_CSTAR,
	VMX_LIVE_SFMASK,
	VMX_LIVE_KERNEL_GS,
	VMX_NLIVE
};

/* Host state that is the same whoever runs on the CPU, each with its VMCS field; vcpu.c. */
#define VMX_NHOST 16

/* One physical CPU. */
struct vmx_cpu {
	v3_hpa_t vmxon_pa;	   /* owned: VMXON region */
	uint64_t host[VMX_NHOST];  /* as of cpu_enable(), in the order of v3_vmx_host_fields */
	uint64_t live[VMX_NLIVE];  /* the host's own; KERNEL_GS as of the last load() */
	struct vmx_dtr gdtr, idtr; /* with the limits that an exit does not restore */
	const void *last_vcpu; /* who ran here last: another one needs a branch-predictor barrier */
	bool enabled;
};

/* The library-wide part. */
struct vmx_state {
	struct vmx_caps caps;
	struct vmx_controls ctl;
	uint32_t ncpus;
	bool ibpb;
	bool has_timer;		      /* the preemption timer */
	uint8_t timer_shift;	      /* it counts once in 2^this ticks of the TSC */
	uint32_t vpids[0x10000 / 32]; /* in use, atomic; 0 is the host's */
	struct vmx_cpu cpu[];	      /* ncpus */
};

struct vmx_vm {
	v3_hpa_t msr_bitmap_pa; /* owned */
	uint8_t *msr_bitmap;
};

struct vmx_vcpu {
	v3_hpa_t vmcs_pa; /* owned */
	struct vmx_state *vmx;
	uint16_t vpid; /* 0: the CPU has none */
	uint64_t *pml; /* owned, NULL: the CPU keeps no log; pml.c */
	uint32_t cpu;  /* where it was loaded last */
	bool loaded;   /* the VMCS is this CPU's current one */
	bool launched; /* since it was cleared last */
	bool flush;
	bool load_pdptes; /* the guest's PAE page directory pointers must be read before the next entry */
	uint64_t valid; /* slots whose copy is right */
	uint64_t dirty; /* slots whose copy is newer than the VMCS */
	uint64_t value[VMX_NSLOTS];
	uint64_t live[VMX_NLIVE];			     /* while not loaded */
	uint64_t host_cr3, host_cr4, host_fs_base, host_rsp; /* as in the VMCS */
	uint64_t host_debugctl; /* each exit clears it: put() brings it back */
	uint64_t dr[4], dr6;
	uint64_t deadline; /* host TSC at which the guest is to exit, V3_NO_DEADLINE: none */
	bool timer;	   /* the next entry has to do with the preemption timer */
	bool timer_on;	   /* as in the VMCS */
};

/* entry.S: one world switch. @return 0: the guest ran; 1: a request came first; 2: the CPU refused. */
#define VMX_SWITCH_RAN	   0
#define VMX_SWITCH_REQUEST 1
#define VMX_SWITCH_FAILED  2
int v3_vmx_world_switch(struct v3_vcpu *vcpu, bool launched, uint64_t *host_rsp);
extern const char v3_vmx_exit_point[];

/* fields.c: the copy of the VMCS. Own vcpu thread or stopped VM. */
uint64_t v3_vmx_get(struct vmx_vcpu *vv, unsigned slot);
void v3_vmx_set(struct vmx_vcpu *vv, unsigned slot, uint64_t value);
/** Write what changed to the VMCS, which is current. */
void v3_vmx_write_back(struct vmx_vcpu *vv);
/** Read any field, whether the VMCS is current or not. */
uint64_t v3_vmx_field(struct vmx_vcpu *vv, uint32_t field);

/* exit.c: interrupts off, right after the exit. */
void v3_vmx_decode_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
/** After a VMLAUNCH or VMRESUME that failed. */
void v3_vmx_decode_failure(struct v3_vcpu *vcpu, struct v3_exit *exit);

/* run.c */
int v3_vmx_enter(struct v3_vcpu *vcpu, struct v3_exit *exit);
const char *v3_vmx_check_entry(struct v3_vcpu *vcpu);

/* load.c */
void v3_vmx_read_host(struct vmx_cpu *pc);
void v3_vmx_load(struct v3_vcpu *vcpu);
void v3_vmx_put(struct v3_vcpu *vcpu);

/* vcpu.c */
int v3_vmx_vcpu_create(struct v3_vcpu *vcpu);
void v3_vmx_vcpu_destroy(struct v3_vcpu *vcpu);
void v3_vmx_vcpu_reset(struct v3_vcpu *vcpu, bool init);
void v3_vmx_dump(struct v3_vcpu *vcpu, const struct v3_text *text);

/* pml.c: the log of written pages, if the controls have it. */
int v3_vmx_pml_create(struct vmx_vcpu *vv);
void v3_vmx_pml_destroy(struct vmx_vcpu *vv);
/** Its fields; the VMCS is current. */
void v3_vmx_pml_init_vmcs(const struct vmx_vcpu *vv);
/** The CPU starts at its end again; the VMCS is current, v3_vmx_drain_log() follows before the next entry. */
void v3_vmx_pml_rewind(void);
void v3_vmx_drain_log(struct v3_vcpu *vcpu, bool full);

/* regs.c */
void v3_vmx_get_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, struct v3_seg *seg);
void v3_vmx_set_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, const struct v3_seg *seg);
void v3_vmx_get_dtr(struct v3_vcpu *vcpu, bool idt, struct v3_dtr *dtr);
void v3_vmx_set_dtr(struct v3_vcpu *vcpu, bool idt, const struct v3_dtr *dtr);
void v3_vmx_set_cr(struct v3_vcpu *vcpu, unsigned n, uint64_t value);
void v3_vmx_set_efer(struct v3_vcpu *vcpu, uint64_t value);
uint64_t v3_vmx_get_dr(struct v3_vcpu *vcpu, unsigned n);
void v3_vmx_set_dr(struct v3_vcpu *vcpu, unsigned n, uint64_t value);
void v3_vmx_set_cpl(struct v3_vcpu *vcpu, unsigned cpl);
int v3_vmx_get_msr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value);
int v3_vmx_set_msr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value);
int v3_vmx_pass_msr(struct v3_vm *vm, uint32_t msr, bool rd, bool wr);
/** Refresh the neutral copies after an exit. */
void v3_vmx_save_state(struct v3_vcpu *vcpu);
/** Read the page directory pointers that CR3 names; before an entry with load_pdptes set. */
void v3_vmx_load_pdptes(struct v3_vcpu *vcpu);

/* timer.c */
bool v3_vmx_set_deadline(struct v3_vcpu *vcpu, uint64_t tsc);
/** Set the preemption timer for an entry; the VMCS is current, vv->timer is set. */
void v3_vmx_prepare_timer(struct vmx_vcpu *vv);

/* events.c */
bool v3_vmx_intr_ready(struct v3_vcpu *vcpu);
bool v3_vmx_nmi_ready(struct v3_vcpu *vcpu);
void v3_vmx_want_intr_window(struct v3_vcpu *vcpu, uint8_t vector);
void v3_vmx_want_nmi_window(struct v3_vcpu *vcpu);
void v3_vmx_inject(struct v3_vcpu *vcpu, const struct v3_event *ev);
void v3_vmx_clear_shadow(struct v3_vcpu *vcpu);
void v3_vmx_set_exception_mask(struct v3_vcpu *vcpu, uint32_t mask);

extern const uint32_t v3_vmx_host_fields[VMX_NHOST];
extern const uint32_t v3_vmx_live_msrs[VMX_NLIVE];
extern const struct v3_arch_ops v3_vmx_ops;

#endif
