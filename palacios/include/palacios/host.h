/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file host.h
 * What the library asks of the kernel that embeds it. The embedder fills one struct v3_host_ops and
 * passes it to v3_init(), which checks and copies it once; every mandatory member must be non-NULL.
 *
 * Context words used below:
 *   any     any context, including interrupt handlers with interrupts off
 *   thread  a kernel thread, interrupts on, no spinlock held
 *   atomic  a kernel thread, possibly with a spinlock held; must not sleep
 *
 * The names avoid what Kitten's headers define as macros (this_cpu, current, print, min, max ...).
 */
#ifndef PALACIOS_HOST_H
#define PALACIOS_HOST_H

#include "palacios/types.h"

#define V3_HOST_API 1u /* raised when a member changes meaning; appended members only change size */

#define V3_NODE_ANY (-1) /* no NUMA preference */

/** Optional group: byte streams a guest's UART or debug console is connected to. */
struct v3_host_console_ops {
	/**
	 * Open the console stream @p name (from the guest definition, e.g. "console") for a VM. thread.
	 *
	 * @param host_ctx  the embedder's pointer given to v3_vm_create()
	 * @param ready     called by the host (context: any) when input has become available;
	 *                  only sets a flag and kicks, cheap; NULL if no input is wanted
	 * @param arg       passed to @p ready
	 * @return stream handle, NULL if there is no such stream
	 */
	void *(*open)(void *host_ctx, const char *name, void (*ready)(void *arg), void *arg);
	/** Stop calling @p ready and free the handle. thread. NULL is never passed. */
	void (*close)(void *stream);
	/** Write @p len bytes, never blocks; @return bytes taken, 0..len. atomic. */
	size_t (*write)(void *stream, const void *buf, size_t len);
	/** Read up to @p len bytes, never blocks; @return bytes read, 0 = none now. atomic. */
	size_t (*read)(void *stream, void *buf, size_t len);
};

/**
 * Optional group: files that disks are kept in, and workers: threads of the host, on whatever CPU is free, for what
 * may sleep. thread, unless noted. All members are mandatory within the group. Results are V3_OK or an error code.
 */
struct v3_host_file_ops {
	/**
	 * Open the file @p name (from the guest definition) of a VM. Which file that is the embedder decides; it need not
	 * be a path.
	 * @param host_ctx  the embedder's pointer given to v3_vm_create()
	 * @param write     will it be written?
	 * @return V3_OK; V3_ENOENT: none of that name; V3_EPERM: not to be written; V3_ENOMEM
	 */
	int (*open)(void *host_ctx, const char *name, bool write, void **file);
	/** NULL is never passed. */
	void (*close)(void *file);
	/** Bytes now. */
	uint64_t (*size)(void *file);
	/** All @p len bytes; what is behind the end reads as zeros. */
	int (*read)(void *file, uint64_t offset, void *buf, size_t len);
	/** All @p len bytes; the file grows if need be. */
	int (*write)(void *file, uint64_t offset, const void *buf, size_t len);
	/** As if zeros were written. */
	int (*zero)(void *file, uint64_t offset, uint64_t len);
	/** The range is not needed any more; it reads as before, or as zeros. */
	int (*discard)(void *file, uint64_t offset, uint64_t len);
	/** What was written before is on stable storage, as far as the host can tell. */
	int (*flush)(void *file);
	/**
	 * A worker that calls @p fn(arg), never twice at a time, in a thread that may sleep.
	 * @return NULL on failure
	 */
	void *(*worker_create)(void (*fn)(void *arg), void *arg);
	/** Have it called once more from now on; calls that were asked for and have not begun are one. any. */
	void (*worker_wake)(void *worker);
	/** Wait until no call runs and none was asked for. */
	void (*worker_wait)(void *worker);
	/** The same, then free it; nobody wakes it any more. */
	void (*worker_destroy)(void *worker);
};

struct v3_net_offload;

/**
 * Optional group: interfaces of the host's own network, which networks of guests lead to (palacios/net.h). Frames come and
 * go with what is left undone of them. A host that has it has the group of files, too: its workers move the frames.
 * All members are mandatory within the group.
 */
struct v3_host_packet_ops {
	/**
	 * Open the interface @p name (from the guest definition) of a VM. Which one that is the embedder decides. thread.
	 * @param host_ctx  the embedder's pointer given to v3_vm_create()
	 * @param ready     called by the host (context: any) when there is a frame to read, or when up() may have changed;
	 *                  only wakes a worker; perhaps inside open()
	 * @param arg       passed to @p ready
	 * @return V3_OK; V3_ENOENT: none of that name; V3_ENOMEM
	 */
	int (*open)(void *host_ctx, const char *name, void (*ready)(void *arg), void *arg,
		    void **interface);
	/** Stop calling @p ready and free the handle. thread. NULL is never passed. */
	void (*close)(void *interface);
	/** Is it connected and switched on? thread. */
	bool (*up)(void *interface);
	/**
	 * Take the next frame, never waits. One caller at a time, thread.
	 * @param frame  gets at most @p size bytes of it, at least V3_NET_FRAME_MAX
	 * @return its length; V3_EAGAIN: none now; V3_ENODEV: there will never be one again
	 */
	int (*read)(void *interface, struct v3_net_offload *offload, void *frame, uint32_t size);
	/**
	 * Give it a frame, never waits. One caller at a time, thread.
	 * @return V3_OK; V3_EAGAIN: no room now, the frame is lost; another error: it is not taken
	 */
	int (*write)(void *interface, const struct v3_net_offload *offload, const void *frame,
		     uint32_t len);
};

/**
 * Optional group: trace of what vcpus do. Called only while v3_trace_enable() has switched it on, on the vcpu's
 * thread, interrupts on, no lock of the library held: atomic. All members are mandatory within the group.
 *
 * @p host_ctx is the embedder's pointer given to v3_vm_create(), @p vcpu the number of the vcpu in that VM.
 */
struct v3_host_trace_ops {
	/** The guest is about to be entered at @p rip; a request that comes first may still hold it back. */
	void (*entry)(void *host_ctx, uint32_t vcpu, uint64_t rip);
	/** It has exited: enum v3_exit_kind, the vendor's own code, and where. */
	void (*exit)(void *host_ctx, uint32_t vcpu, uint32_t kind, uint64_t code, uint64_t rip);
	/** An event is injected at the next entry: enum v3_trace_event, vector. */
	void (*inject)(void *host_ctx, uint32_t vcpu, uint32_t type, uint8_t vector);
	/** Nested page fault, follows its exit: address, V3_ACC_* of palacios/mem.h. */
	void (*page_fault)(void *host_ctx, uint32_t vcpu, uint64_t gpa, uint32_t access);
	/** One access to a port by IN, OUT or their string forms, after its owner was called. */
	void (*io)(void *host_ctx, uint32_t vcpu, uint16_t port, uint8_t size, bool write,
		   uint32_t value);
	/** One access to an MMIO region or hooked page, after its owner was called. */
	void (*mmio)(void *host_ctx, uint32_t vcpu, uint64_t gpa, uint8_t size, bool write,
		     uint64_t value);
};

/** What is injected. */
enum v3_trace_event {
	V3_TRACE_INTR = 1,
	V3_TRACE_NMI = 2,
	V3_TRACE_EXCEPTION = 3,
	V3_TRACE_SOFT_INT = 4
};

struct v3_host_ops {
	uint32_t api;  /* V3_HOST_API the embedder was compiled against */
	uint32_t size; /* sizeof(struct v3_host_ops) in the embedder */

	/* ---- log ---- */
	/** One whole line without newline, at most 255 bytes. @p level is enum v3_log_level. any. */
	void (*log)(int level, const char *line);

	/* ---- memory ---- */
	/**
	 * Physically contiguous, zeroed pages for tables and control blocks, aligned to their own size.
	 * atomic. @param npages power of two, 1..512; @param node NUMA node or V3_NODE_ANY.
	 * @return physical address, V3_HPA_NONE if none is left.
	 */
	v3_hpa_t (*page_alloc)(uint32_t npages, int node);
	/** Free what page_alloc() returned, same @p npages. atomic. */
	void (*page_free)(v3_hpa_t pa, uint32_t npages);
	/**
	 * Physically contiguous guest RAM, NOT zeroed. thread.
	 * @param npages any count; @param align bytes, power of two >= 4096; @param node as above.
	 * @return physical address, V3_HPA_NONE if no such piece is left (a smaller one may be).
	 */
	v3_hpa_t (*ram_alloc)(uint64_t npages, uint64_t align, int node);
	/** Free what ram_alloc() returned, same @p npages. thread. */
	void (*ram_free)(v3_hpa_t pa, uint64_t npages);
	/** Zeroed small memory (1..32768 bytes, 16-byte aligned). atomic. @return NULL if none is left. */
	void *(*alloc)(size_t size);
	/** Free what alloc() returned; never called with NULL. atomic. */
	void (*free)(void *p);
	/** Kernel-virtual address of memory that page_alloc() or ram_alloc() returned. any. */
	void *(*pa_to_va)(v3_hpa_t pa);
	/** The reverse of pa_to_va(). any. */
	v3_hpa_t (*va_to_pa)(const void *va);

	/* ---- CPUs ---- */
	/** Number of CPUs, numbered 0..n-1. any. */
	uint32_t (*cpu_count)(void);
	/** CPU this code runs on. any; stable only on a pinned thread or with interrupts off. */
	uint32_t (*cpu_id)(void);
	/** Run @p fn(arg) on @p cpu, interrupts off, and wait for it. thread. @return V3_OK, V3_ENODEV. */
	int (*cpu_call)(uint32_t cpu, void (*fn)(void *arg), void *arg);
	/** Make @p cpu take an interrupt soon (a reschedule IPI will do). any. */
	void (*cpu_kick)(uint32_t cpu);

	/* ---- threads ---- */
	/**
	 * Create and start a thread bound to @p cpu with at least 16 KiB of stack. thread.
	 * @return handle, NULL on failure.
	 */
	void *(*thread_create)(const char *name, uint32_t cpu, void (*fn)(void *arg), void *arg);
	/** Wait until the thread's function has returned, then free the handle. thread. */
	void (*thread_join)(void *thread);
	/** Bind the thread to another CPU; takes effect at its next yield or sleep. thread. V3_ENODEV. */
	int (*thread_move)(void *thread, uint32_t cpu);
	/** Let other threads of this CPU run. thread. */
	void (*yield)(void);
	/**
	 * Does this CPU have something else to run? Cheap: asked after exits, and only then. any.
	 * Whoever becomes runnable while a guest runs needs an interrupt on that CPU.
	 */
	bool (*should_yield)(void);

	/* ---- waiting ---- */
	/** Wait queue; thread. NULL on failure. */
	void *(*wq_create)(void);
	void (*wq_destroy)(void *wq);
	/** Sleep until @p cond(arg) is true, tested at once and after each wake. Loses no wake-up. thread. */
	void (*wq_sleep)(void *wq, bool (*cond)(void *arg), void *arg);
	/** Wake every sleeper of @p wq to test its condition. any. */
	void (*wq_wake)(void *wq);

	/* ---- locks ---- */
	/** Sleeping mutex. create/destroy/lock: thread. NULL on failure. */
	void *(*mutex_create)(void);
	void (*mutex_destroy)(void *mutex);
	void (*mutex_lock)(void *mutex);
	void (*mutex_unlock)(void *mutex);
	/** Spinlock, interrupts off while held. create/destroy: thread; lock/unlock: any. */
	void *(*spin_create)(void);
	void (*spin_destroy)(void *lock);
	/** @return interrupt state to give back to spin_unlock(). */
	unsigned long (*spin_lock)(void *lock);
	void (*spin_unlock)(void *lock, unsigned long flags);

	/* ---- time ---- */
	/** Monotonic nanoseconds since some fixed moment. any. */
	uint64_t (*time_ns)(void);
	/** Seconds since 1970-01-01 UTC, for the guest's real-time clock; 0 if unknown. any. */
	uint64_t (*wall_clock_s)(void);
	/** Frequency of the (invariant) time stamp counter, in kHz. any. */
	uint32_t (*tsc_khz)(void);
	/** One-shot timer; @p fn runs in interrupt context on the CPU that armed it. thread. NULL on failure. */
	void *(*timer_create)(void (*fn)(void *arg), void *arg);
	/** Cancels first; on return @p fn neither runs nor will run. thread. */
	void (*timer_destroy)(void *timer);
	/**
	 * Arm for time_ns() >= @p deadline_ns, replacing an earlier deadline. atomic.
	 * May fire late; early only costs an interrupt.
	 */
	void (*timer_arm)(void *timer, uint64_t deadline_ns);
	/** Disarm. @p fn may still be running on another CPU on return. atomic. */
	void (*timer_cancel)(void *timer);

	/* ---- interrupts and FPU ---- */
	/**
	 * An external interrupt arrived while a guest ran. @p vector is its number when the hardware
	 * acknowledged it (VMX); -1 when it is still pending and opening the interrupt gate delivers it (SVM):
	 * then it has already been delivered before the call. atomic.
	 */
	void (*irq_pass)(int vector);
	/**
	 * From here on the calling thread owns the FPU registers and XCR0: the host has saved its own state
	 * and does not preempt the thread until fpu_end(). atomic. Never nested.
	 */
	void (*fpu_begin)(void);
	/** XCR0 is back to the host's value; register contents are garbage to the host. atomic. */
	void (*fpu_end)(void);

	/* ---- optional groups and functions: NULL if the host has none; a device that needs one fails with V3_ENOTSUP ---- */
	const struct v3_host_console_ops *console;
	const struct v3_host_trace_ops *trace;
	/**
	 * Unpredictable bytes for guests (virtio_rng). atomic. NULL: the host has no source.
	 * @return bytes filled, 0..len; fewer if there are no more now
	 */
	size_t (*random)(void *buf, size_t len);
	const struct v3_host_file_ops *file;
	const struct v3_host_packet_ops *packet;
	/**
	 * Whose VM is it? Network cards of VMs with the same number meet in networks of the same name, others never do. thread.
	 * @param host_ctx  the embedder's pointer given to v3_vm_create(). NULL: all VMs are one owner's.
	 */
	uint64_t (*owner)(void *host_ctx);
};

#endif
