/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file state.h
 * The two structures every core unit works on. Each unit owns its part, declared in its own header.
 */
#ifndef V3_STATE_H
#define V3_STATE_H

#include "arch/ops.h"
#include "cpu/cpu.h"
#include "exit/insn.h"
#include "exit/stats.h"
#include "hypercall/hypercall.h"
#include "intr/intr.h"
#include "io/io.h"
#include "mem/mem.h"
#include "mmu/mmu.h"
#include "palacios/device.h"
#include "palacios/error.h"
#include "palacios/extension.h"
#include "palacios/log.h"
#include "palacios/palacios.h"
#include "palacios/regs.h"
#include "palacios/topology.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"
#include "time/time.h"

#define V3_MAX_VCPUS   32
#define V3_MAX_DEVICES 64

/* Requests to a vcpu, atomically or-ed into v3_vcpu.requests by anybody, served by its own thread before
 * the next entry (vm/run.c). The entry path looks at the word once, with interrupts blocked. */
#define V3_REQ_IRQ    (1u << 0) /* an interrupt may be deliverable: ask the controllers */
#define V3_REQ_EVENT  (1u << 1) /* an exception or aborted event is queued: inject */
#define V3_REQ_NMI    (1u << 2)
#define V3_REQ_TIMER  (1u << 3) /* the host timer fired */
#define V3_REQ_WORK   (1u << 4) /* the work list is not empty */
#define V3_REQ_INIT   (1u << 5)
#define V3_REQ_SIPI   (1u << 6)
#define V3_REQ_FLUSH  (1u << 7)	 /* drop translations */
#define V3_REQ_VIEW   (1u << 8)	 /* the nested root changed */
#define V3_REQ_STATE  (1u << 9)	 /* the VM wants this vcpu paused, reset or stopped */
#define V3_REQ_FPU    (1u << 10) /* the guest's FPU state is not loaded */
#define V3_REQ_HALT   (1u << 11) /* the vcpu is halted or waits for SIPI: sleep */
#define V3_REQ_MOVE   (1u << 12) /* the thread is bound to another CPU: go there */
#define V3_REQ_DUMP   (1u << 13) /* somebody waits for a dump */
#define V3_REQ_UNHALT (1u << 14) /* a kick ends HLT: cpu/pv.h */

struct v3_vcpu {
	struct v3_regs regs; /* first: entry.S addresses it from the vcpu pointer */

	/* Neutral copies of guest registers; current between exit and entry. CR4 and EFER change only through
	 * set_cr/set_efer; the others are refreshed by every exit. */
	uint64_t cr0, cr2, cr3, cr4, cr8, efer;
	struct v3_seg cs;
	uint8_t cpl;

	uint32_t requests; /* V3_REQ_*, atomic */
	uint32_t index;
	struct v3_vm *vm;		/* not owned, outlives the vcpu */
	const struct v3_arch_ops *arch; /* = vm->arch */
	void *arch_vcpu;		/* owned by the back end */

	struct v3_event pending; /* queued exception or event to inject again; V3_REQ_EVENT */
	bool nmi_blocked;	 /* between NMI delivery and IRET */
	bool nmi_pending;	 /* an NMI waits for its window; own thread */
	uint8_t state;		 /* enum v3_vcpu_state; own thread */
	uint8_t apic_mode;	 /* enum v3_apic_mode; atomic */
	bool apic_by_cpu;	 /* the CPU delivers the local APIC's interrupts; own thread */
	uint8_t sipi_vector;

	v3_hpa_t apic_pa; /* owned: v3_apic_page() */

	struct v3_cpu cpu;	    /* cpu/: xcr0, FPU area, guest MSRs kept in software */
	struct v3_vcpu_time time;   /* time/: TSC offset, timer queue */
	struct v3_vcpu_mmu mmu;	    /* mmu/: active view */
	struct v3_vcpu_stats stats; /* exit/stats.c */
	struct v3_insn_memo insn_memo[V3_INSN_MEMOS]; /* exit/insn.c */

	/* thread */
	void *thread;	      /* owned: host thread handle */
	void *wq;	      /* owned: where the thread sleeps in HLT, pause, wait-for-SIPI */
	uint32_t bound_cpu;   /* CPU it is bound to; v3_vm.lock */
	uint32_t host_cpu;    /* CPU it runs on while in_guest; own thread, atomic */
	uint32_t in_guest;    /* 1 while between the last request check and the exit; atomic */
	uint32_t sleeping;    /* 1 while the thread sleeps on wq; atomic */
	uint32_t poll_ns;     /* cpu/yield.c: how long the next halt waits on the CPU; own thread */
	struct v3_work *work; /* lock-free list, newest first */

	const char *
		failed_rule; /* not owned: of the manual, that kept the CPU from entering; NULL: none known */
	const struct v3_text *dump_to; /* not owned: where somebody wants the dump; atomic */
	char *dump_text; /* owned: dump of the moment the VM failed, NULL: it did not */
};

struct v3_vm {
	char name[32];
	void *host_ctx;			/* embedder's */
	const struct v3_arch_ops *arch; /* not owned */
	void *arch_vm;			/* owned by the back end */

	struct v3_vcpu *vcpu[V3_MAX_VCPUS]; /* owned */
	uint32_t nvcpus;
	struct v3_topology topology;

	struct v3_mem mem; /* mem/ : guest-physical map */
	struct v3_mmu mmu; /* mmu/ : nested table, views */
	struct v3_io_map io;
	struct v3_msr_map msr;
	struct v3_intr intr;
	struct v3_vm_time time;
	struct v3_hypercalls hypercalls;

	struct v3_vm_parts *parts; /* owned: what the VM was made from; vm/builder.c */
	struct v3_device {
		const struct v3_device_class *cls;
		void *state; /* owned by the class */
	} device[V3_MAX_DEVICES];
	uint32_t ndevices;
	void *ext_state[8]; /* by position in the extensions array */
	uint32_t nextensions;

	/* life cycle: vm/lifecycle.c */
	void *lock;	  /* owned mutex: serialises the embedder's calls */
	void *wq;	  /* owned: where pausing and waiting callers sleep */
	uint32_t state;	  /* enum v3_vm_state, atomic */
	uint32_t want;	  /* V3_WANT_* of vm/vm.h, atomic: what the vcpus are asked to do */
	uint32_t arrived; /* vcpus that have reached the rendezvous, atomic */
	uint32_t alive;	  /* vcpu threads that have not returned, atomic */
	uint32_t inside;  /* threads between v3_vm_enter() and v3_vm_leave(), atomic */
	uint64_t stop;	  /* enum v3_stop_reason, status << 32; the first one wins, atomic */
	const char *reset_why;
	uint32_t resets; /* how often the VM was reset */

	uint8_t yield; /* enum v3_yield */
	uint8_t log_level;
	struct v3_log_site {
		const void *site;
		uint32_t count;
	} log_sites[64]; /* v3_log_allow(), atomic */
};

/** Or bits into a vcpu's requests, wake or kick it if need be. any context. (vm/run.c) */
void v3_vcpu_request(struct v3_vcpu *vcpu, uint32_t bits);

/** Request on the vcpu's own thread: no kick. */
static inline void v3_vcpu_request_self(struct v3_vcpu *vcpu, uint32_t bits)
{
	__atomic_fetch_or(&vcpu->requests, bits, __ATOMIC_RELAXED);
}

/** Is a linear address canonical in the vcpu's present mode? Outside long mode each is. */
static inline bool v3_gva_canonical(const struct v3_vcpu *vcpu, v3_gva_t gva)
{
	const unsigned shift = vcpu->cr4 & V3_CR4_LA57 ? 64 - 57 : 64 - 48;

	return !(vcpu->efer & V3_EFER_LMA) || (v3_gva_t)((int64_t)(gva << shift) >> shift) == gva;
}

/** v3_vcpu_code_bits() for the core. */
static inline unsigned v3_code_bits(const struct v3_vcpu *vcpu)
{
	if (V3_LIKELY((vcpu->efer & V3_EFER_LMA) && (vcpu->cs.attr & V3_SEG_L)))
		return 64;
	return (vcpu->cs.attr & V3_SEG_DB) && !(vcpu->regs.rflags & V3_RFLAGS_VM) ? 32 : 16;
}

#endif
