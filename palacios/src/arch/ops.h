/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ops.h
 * A vendor back end as the core sees it: SVM, VMX, or the unit tests' software one. One explicit array of
 * them (arch/backends.c), probed in order by v3_init().
 *
 * Register functions work on a vcpu that is not in the guest, on its own thread or before it runs.
 */
#ifndef V3_ARCH_OPS_H
#define V3_ARCH_OPS_H

#include "exit/exit.h"
#include "palacios/intr.h"
#include "palacios/regs.h"
#include "palacios/types.h"

struct v3_text;
struct v3_vcpu;
struct v3_vm;

/** What a back end's hardware has; read-only after probe. */
struct v3_arch_caps {
	bool nested_1g;	       /* 1 GiB nested leaves */
	bool nested_exec_only; /* a nested entry may forbid reading yet allow execution */
	bool xsaves;	       /* a guest may execute XSAVES and XRSTORS if the CPU has them */
	bool nested_dirty; /* the CPU sets dirty bits in nested leaves, if v3_mem.dirty.how asks for it */
	bool dirty_log; /* and keeps a log of them: drain_log() */
	uint8_t tsc_frac_bits; /* of the guest TSC's ratio to the host's, fixed point; 0: it cannot be scaled */
	uint8_t tsc_int_bits;
	bool eoi_by_cpu;       /* the CPU can end interrupts of local APICs without exit */
	uint8_t hpa_bits;      /* physical address width */
	uint8_t nested_levels; /* of the nested tables: 4 or 5 */
	uint8_t nested_format; /* enum v3_nested_format */
};
#define V3_NO_DEADLINE (~0ull) /* of set_deadline() */
enum v3_nested_format { V3_NESTED_NPT, V3_NESTED_EPT };

struct v3_arch_ops {
	const char *name; /* "svm" */

	/**
	 * Can the CPU be used? Current CPU, changes nothing.
	 * @param why  set on failure to one sentence that says what to do
	 * @return V3_OK, V3_ENODEV (no such feature), V3_EPERM (disabled by firmware), V3_EBUSY (in use)
	 */
	int (*probe)(struct v3_arch_caps *caps, const char **why);
	/** State shared by all CPUs and VMs (host save areas, ASID pools): thread. V3_ENOMEM. */
	int (*init)(uint32_t ncpus, void **arch);
	void (*fini)(void *arch);
	/** Enable, disable virtualization on the current CPU; interrupts off. V3_EBUSY, V3_EPERM. */
	int (*cpu_enable)(void *arch);
	void (*cpu_disable)(void *arch);

	int (*vm_create)(struct v3_vm *vm); /* sets vm->arch_vm */
	void (*vm_destroy)(struct v3_vm *vm);
	/** Sets vcpu->arch_vcpu. The guest's TSC runs at vm->time.tsc_ratio, 0: as the host's. */
	int (*vcpu_create)(struct v3_vcpu *vcpu);
	void (*vcpu_destroy)(struct v3_vcpu *vcpu);
	/** Registers to the state after RESET (init false) or INIT (APM vol. 2 14.1.3 table 14-1). */
	void (*vcpu_reset)(struct v3_vcpu *vcpu, bool init);

	/**
	 * The vcpu's thread takes its CPU, and gives it back: in between no other thread runs there (the host's
	 * fpu_begin() .. fpu_end()). For state that stays in the CPU across exits; NULL if there is none.
	 */
	void (*load)(struct v3_vcpu *vcpu);
	void (*put)(struct v3_vcpu *vcpu);
	/**
	 * Enter the guest once, between load() and put(). Called with interrupts on; blocks them itself, then
	 * looks at vcpu->requests and returns V3_EAGAIN at once if any is set (a kick cannot be lost).
	 * @param exit  filled on V3_OK; host interrupts have been delivered when it returns
	 * @return V3_OK or V3_EAGAIN
	 */
	int (*enter)(struct v3_vcpu *vcpu, struct v3_exit *exit);

	/* Write-through setters: the neutral copies in struct v3_vcpu are kept current by the back end. */
	void (*get_seg)(struct v3_vcpu *vcpu, enum v3_seg_num num, struct v3_seg *seg);
	void (*set_seg)(struct v3_vcpu *vcpu, enum v3_seg_num num, const struct v3_seg *seg);
	void (*get_dtr)(struct v3_vcpu *vcpu, bool idt, struct v3_dtr *dtr);
	void (*set_dtr)(struct v3_vcpu *vcpu, bool idt, const struct v3_dtr *dtr);
	void (*set_cr)(struct v3_vcpu *vcpu, unsigned n, uint64_t value); /* 0, 2, 3, 4, 8 */
	void (*set_efer)(struct v3_vcpu *vcpu, uint64_t value);
	uint64_t (*get_dr)(struct v3_vcpu *vcpu, unsigned n); /* 0..3, 6, 7 */
	void (*set_dr)(struct v3_vcpu *vcpu, unsigned n, uint64_t value);
	void (*set_cpl)(struct v3_vcpu *vcpu, unsigned cpl);

	/** MSRs that the hardware keeps per guest (SYSENTER, STAR, FS base, PAT ...). V3_ENOENT: not one. */
	int (*get_msr)(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value);
	int (*set_msr)(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value);
	/** Let the guest access an MSR of all vcpus without exit. Before the VM runs. V3_ENOTSUP: not in the map. */
	int (*pass_msr)(struct v3_vm *vm, uint32_t msr, bool rd, bool wr);

	/*
	 * APIC virtualization; both are NULL in a back end without it. The local APIC's registers are in the page
	 * v3_vcpu.apic_pa. The CPU may set its TPR by itself (lapic tpr_changed()); an exit of the kind INTR_WINDOW
	 * tells that what waits in IRR is not held back any more.
	 */
	/** As v3_apic_set_mode(). Own thread or stopped. @return true: the CPU delivers interrupts from the page */
	bool (*set_apic_mode)(struct v3_vcpu *vcpu, enum v3_apic_mode mode, bool enabled);
	/** If so: IRR, ISR or TMR of the page have changed, have the CPU look. Own thread. */
	void (*sync_apic)(struct v3_vcpu *vcpu);

	/** Can the guest take an external interrupt at the next entry (IF, shadow, nothing queued)? */
	bool (*intr_ready)(struct v3_vcpu *vcpu);
	bool (*nmi_ready)(struct v3_vcpu *vcpu);
	/** Exit (INTR_WINDOW, NMI_WINDOW) as soon as it can. @p vector: the one waiting (its priority counts). */
	void (*want_intr_window)(struct v3_vcpu *vcpu, uint8_t vector);
	void (*want_nmi_window)(struct v3_vcpu *vcpu);
	/** Deliver @p ev at the next entry; at most one per entry. */
	void (*inject)(struct v3_vcpu *vcpu, const struct v3_event *ev);
	/** Clear the interrupt shadow: an instruction was completed by us. */
	void (*clear_shadow)(struct v3_vcpu *vcpu);

	void (*set_tsc_offset)(struct v3_vcpu *vcpu, uint64_t offset);
	/**
	 * End the guest (exit TIMER) when the host's TSC reaches @p tsc, in place of a host timer. Holds for all
	 * entries until it is set again. V3_NO_DEADLINE: never. NULL: the hardware cannot do that.
	 * @return false: not @p tsc, which is too far away; then none is set
	 */
	bool (*set_deadline)(struct v3_vcpu *vcpu, uint64_t tsc);
	/** Exceptions that exit, as a bit mask by vector, beyond those the back end needs itself. */
	void (*set_exception_mask)(struct v3_vcpu *vcpu, uint32_t mask);
	/** Use another nested root from the next entry on (flushes), with dirty bits or without. */
	void (*set_nested_root)(struct v3_vcpu *vcpu, v3_hpa_t root);
	/** Drop all translations of the vcpu's guest at the next entry. Only v3_flush_*() of mmu/ calls this. */
	void (*flush)(struct v3_vcpu *vcpu);

	/**
	 * Pass what the vcpu's log of written pages has to v3_dirty_note(), once. Any thread, whether the vcpu runs
	 * or not. NULL without caps.dirty_log.
	 * @param full  the log is full, and on the own thread: make it empty, too
	 */
	void (*drain_log)(struct v3_vcpu *vcpu, bool full);

	/**
	 * Would the next entry fail the checks that the CPU makes, or why did the last one? Between load() and
	 * put(). @return NULL: no reason found; else the rule of the manual that is violated, static text
	 */
	const char *(*check_entry)(struct v3_vcpu *vcpu);

	/** Write the vendor's control block, line by line. Own thread, or before it runs. */
	void (*dump)(struct v3_vcpu *vcpu, const struct v3_text *text);
};

/** NULL-terminated, in the order of probing. */
extern const struct v3_arch_ops *const v3_arch_backends[];

#endif
