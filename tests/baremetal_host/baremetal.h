/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file baremetal.h
 * What the files of the bare-metal host share. The host is the smallest complete embedder of libpalacios: a
 * multiboot kernel that starts every CPU, gives the library memory, threads, locks and timers (hostops.c),
 * runs the guest images its boot loader passed as modules (main.c) and switches the machine off.
 *
 * Contexts are named as in palacios/host.h: any, atomic, thread.
 */
#ifndef BAREMETAL_H
#define BAREMETAL_H

#include "palacios/types.h"

#define BM_MAX_CPUS    32
#define BM_STACK_SIZE  16384u
#define BM_SLICE_NS    4000000ull /* how long a thread runs while others wait for its CPU */
#define BM_EXIT_BROKEN 125	  /* exit status: the VMM failed or this host crashed */

/* Interrupt vectors. 0x20..0x2f belong to the masked 8259 pair, which may still raise spurious ones. */
enum {
	BM_VEC_PIC = 0x20,
	BM_VEC_SERIAL = 0x30,
	BM_VEC_TIMER = 0xef,
	BM_VEC_CALL = 0xf0,
	BM_VEC_KICK = 0xf1,
	BM_VEC_SPURIOUS = 0xff,
};

/** Busy lock, taken with interrupts off. */
struct bm_spin {
	uint32_t held;
};

enum bm_thread_state { BM_RUNNABLE, BM_SLEEPING, BM_DEAD };

/** A thread runs on one CPU until it yields, sleeps or ends; nothing preempts it. */
struct bm_thread {
	uint64_t rsp;		    /* while switched off */
	struct bm_thread *run_next; /* in its CPU's run queue */
	struct bm_thread *wq_next;  /* in the wait queue it sleeps on */
	bool waiting;		    /* is in a wait queue (guarded by its lock) */
	bool fpu;		    /* between fpu_begin and fpu_end */
	bool gone;		    /* ended, and off its stack: may be freed */
	enum bm_thread_state state; /* guarded by run_lock of CPU @cpu */
	uint32_t cpu;		    /* whose run queue it uses */
	uint32_t wanted_cpu;	    /* where it shall run from its next switch on */
	uint64_t *stack; /* owned; lowest word is the guard value. NULL: the boot stack */
	void (*fn)(void *arg);
	void *arg;
	char name[16];
};

/** Wait queue: threads that test a condition when woken. */
struct bm_wq {
	struct bm_spin lock;
	struct bm_thread *head;
};

struct bm_timer {
	struct bm_timer *next; /* in its CPU's list, earliest first */
	uint64_t deadline_ns;
	uint32_t cpu; /* in whose list; BM_MAX_CPUS: not armed */
	void (*fn)(void *arg);
	void *arg;
};

/** A function one CPU asks another to run; lives on the asker's stack. */
struct bm_call {
	struct bm_call *next;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

/** Per-CPU data, found through the GS base. */
struct bm_cpu {
	struct bm_cpu *self; /* must be first: read through %gs:0 */
	uint32_t id;
	uint32_t apic_id;
	bool online;
	uint64_t interrupts; /* taken so far, of any kind */

	struct bm_spin run_lock;    /* guards the run queue and state of threads bound here */
	struct bm_thread *run_head; /* runnable, not running */
	struct bm_thread **run_tail;
	struct bm_thread *running;
	struct bm_thread *previous; /* switched off last; seen by the one switched on */
	struct bm_thread *idle;
	bool resched; /* the running thread should yield */

	struct bm_spin timer_lock; /* guards timers */
	struct bm_timer *timers;
	struct bm_timer *timer_running; /* its function runs right now */
	uint64_t slice_end_ns;		/* when the running thread should yield; 0: never */
	uint64_t programmed_ns;		/* deadline in the local APIC; 0: none */

	struct bm_spin call_lock; /* guards calls */
	struct bm_call *calls;

	struct bm_thread idle_thread;
	uint64_t gdt[5];
	uint8_t tss[104];
};

/** Registers at an exception, as boot.S pushes them. */
struct bm_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct bm_frame) == 22 * 8, "boot.S pushes 22 words");

/* ---- boot.S, link.ld ---- */
extern char bm_image_start[], bm_image_end[], bm_text_start[], bm_text_end[];
extern char bm_boot_stack[], bm_boot_stack_top[];
extern char bm_trampoline[], bm_trampoline_end[];
extern const char bm_vectors[];
extern uint64_t boot_pdpt[512], boot_pd[4 * 512];
void bm_context_switch(uint64_t *save_rsp, uint64_t load_rsp);

/* ---- main.c ---- */
void bm_main(uint32_t magic, uint32_t mbi_pa);
/** Value of "name=number" or presence (1) of "name" on the command line; @p missing if absent. any. */
uint64_t bm_option(const char *name, uint64_t missing);
/** Is the word @p text on the command line? any. */
bool bm_option_is(const char *text);
/** Print the last line and switch the machine off with @p status. any. */
void bm_exit(int status) __attribute__((noreturn));

/* ---- console.c ---- */
/** What v3_vm_create() is given for one of several guests. NULL: it is the only one. */
struct bm_guest_tag {
	char prefix[8]; /* of its lines */
	bool first;	/* all input is for the first one */
};

/** Set up COM1 (or port 0xe9 with "console=e9"); polled output works from here on. */
void bm_console_init(void);
/** Open the receive interrupt; needs the local APIC. */
void bm_console_listen(void);
/** Interrupt handler of COM1. */
void bm_console_interrupt(void);
/** One line of the host itself, with newline added; starts on a new line. any. */
void bm_print(const char *fmt, ...) V3_PRINTF(1, 2);
void bm_print_line(const char *line);
/** Let output through even if the lock's holder has died; wait until the UART is empty. */
void bm_console_break_lock(void);
void bm_console_drain(void);

/* ---- mem.c ---- */
struct bm_usage {
	uint64_t pages, ram_pages, blocks, bytes;
};
struct bm_range {
	uint64_t start, end;
};
/**
 * Take over the RAM in @p ram (bytes; nram entries) except what @p taken lists.
 * Before the other CPUs start.
 */
void bm_mem_init(const struct bm_range *ram, unsigned nram, const struct bm_range *taken,
		 unsigned ntaken);
/** Stacks and the like, not counted in bm_mem_usage(). Not zeroed. atomic. */
void *bm_mem_internal(uint32_t npages);
void bm_mem_internal_free(void *p, uint32_t npages);
v3_hpa_t bm_page_alloc(uint32_t npages, int node);
void bm_page_free(v3_hpa_t pa, uint32_t npages);
v3_hpa_t bm_ram_alloc(uint64_t npages, uint64_t align, int node);
void bm_ram_free(v3_hpa_t pa, uint64_t npages);
void *bm_alloc(size_t size);
void bm_free(void *p);
/** What the library holds right now. any. */
void bm_mem_usage(struct bm_usage *out);

/* ---- trap.c ---- */
/** Load this CPU's descriptor tables and per-CPU pointer; @p cpu has its id. */
void bm_trap_init(struct bm_cpu *cpu);
void bm_exception(const struct bm_frame *frame);
void bm_interrupt(uint32_t vector);
void bm_panic(const char *fmt, ...) V3_PRINTF(1, 2) __attribute__((noreturn));

/* ---- smp.c ---- */
extern struct bm_cpu *bm_cpus[BM_MAX_CPUS];
extern uint32_t bm_cpu_total;
extern uint32_t bm_ap_ticket, bm_ap_limit;
extern uint64_t bm_ap_stack_top[BM_MAX_CPUS];
/** Per-CPU data of the CPU this runs on. any. */
static inline struct bm_cpu *bm_this_cpu(void)
{
	struct bm_cpu *cpu;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}
void bm_smp_init_boot_cpu(void);
void bm_smp_start_others(void);
void bm_ap_main(uint32_t number);
int bm_cpu_call(uint32_t cpu, void (*fn)(void *arg), void *arg);
void bm_cpu_kick(uint32_t cpu);
/** Interrupt handler: run what other CPUs have asked for. */
void bm_smp_run_calls(struct bm_cpu *cpu);

/* ---- apic.c ---- */
void bm_apic_init_cpu(void);
uint32_t bm_apic_id(void);
void bm_apic_eoi(void);
/** Fixed interrupt to one CPU. any. */
void bm_apic_send(uint32_t apic_id, uint8_t vector);
/** INIT, then a start-up IPI with page @p page, to all CPUs but this one. */
void bm_apic_send_init(void);
void bm_apic_send_startup(uint8_t page);
/** Route an ISA interrupt to CPU 0 through the I/O APIC. */
void bm_apic_route_isa(uint8_t irq, uint8_t vector);
/** Count down from @p count once, at the bus clock; 0 stops. This CPU, interrupts off. */
void bm_apic_timer_count(uint32_t count);
uint32_t bm_apic_timer_left(void);
void bm_apic_timer_deadline(uint64_t tsc);

/* ---- time.c ---- */
/** Measure the clocks (boot CPU), then per CPU prepare the timer. */
void bm_time_init(void);
void bm_time_init_cpu(void);
uint64_t bm_time_ns(void);
uint64_t bm_wall_clock_s(void);
uint32_t bm_tsc_khz(void);
void bm_delay_us(uint32_t us);
void *bm_timer_create(void (*fn)(void *arg), void *arg);
void bm_timer_destroy(void *timer);
void bm_timer_arm(void *timer, uint64_t deadline_ns);
void bm_timer_cancel(void *timer);
/** Interrupt handler of the local APIC timer. */
void bm_timer_interrupt(struct bm_cpu *cpu);
/** The running thread's slice ends at @p end_ns (0: never). This CPU, interrupts off. */
void bm_timer_set_slice(struct bm_cpu *cpu, uint64_t end_ns);

/* ---- sched.c ---- */
void bm_spin_lock_noirq(struct bm_spin *lock);
void bm_spin_unlock_noirq(struct bm_spin *lock);
unsigned long bm_spin_lock(struct bm_spin *lock);
void bm_spin_unlock(struct bm_spin *lock, unsigned long flags);
/** Make the code that runs now this CPU's idle thread. */
void bm_sched_init_cpu(struct bm_cpu *cpu);
/** After somebody may have marked this CPU: see that its thread is asked to yield. Interrupts off. */
void bm_sched_check(struct bm_cpu *cpu);
/** Run other threads for ever; the CPU halts while there are none. */
void bm_sched_idle(void) __attribute__((noreturn));
void *bm_thread_create(const char *name, uint32_t cpu, void (*fn)(void *arg), void *arg);
void bm_thread_join(void *thread);
int bm_thread_move(void *thread, uint32_t cpu);
void bm_yield(void);
bool bm_should_yield(void);
void bm_wq_sleep(struct bm_wq *wq, bool (*cond)(void *arg), void *arg);
void bm_wq_wake(struct bm_wq *wq);

/* ---- hostops.c ---- */
struct v3_host_ops;
extern const struct v3_host_ops bm_host_ops;

/* ---- selftest.c ---- */
/** Test the host functions on all CPUs, TAP on the console. thread. @return number of failures. */
int bm_selftest(void);

/* ---- vmxcaps.c ---- */
/** Print the VMX capability MSRs. @return exit status */
int bm_vmxcaps(void);

/* ---- dirty.c ---- */
struct v3_vm;
/** Ports by which the guest tracks its own written pages. Before it runs. @return as v3_io_register(). */
int bm_dirty_init(struct v3_vm *vm);
/** Begin to mirror the guest's memory; it does not run yet. Then bm_mirror_end(), whatever the result. */
int bm_mirror_start(struct v3_vm *vm);
/** Instead of v3_vm_wait(): keep the mirror up until the VM stops. @return V3_EIO: it is not the same */
int bm_mirror_run(struct v3_vm *vm);
void bm_mirror_end(void);

#endif
