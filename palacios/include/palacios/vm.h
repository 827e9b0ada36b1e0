/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vm.h
 * A virtual machine as devices and extensions see it. Embedders use palacios.h.
 */
#ifndef PALACIOS_VM_H
#define PALACIOS_VM_H

#include "palacios/types.h"

struct v3_topology;
struct v3_vm;
struct v3_vcpu;

/** Why a VM ended, or what is asked of it. */
enum v3_stop_reason {
	V3_STOP_NONE,	  /* still running */
	V3_STOP_POWEROFF, /* the guest switched itself off (ACPI S5) or the embedder did */
	V3_STOP_EXIT,	  /* the guest wrote the isa-debug-exit port; status is the exit status */
	V3_STOP_FAILURE	  /* our failure, dumped in the log; status is the V3_E* code */
};

/** When vcpus let others have their CPU although they could run: the definition's "yield". */
enum v3_yield { V3_YIELD_FRIENDLY, V3_YIELD_GREEDY, V3_YIELD_ADAPTIVE };

/** Name of the VM from its definition. any context. */
const char *v3_vm_name(const struct v3_vm *vm);
/** Number of vcpus. any context. */
uint32_t v3_vm_vcpu_count(const struct v3_vm *vm);
/** How the vcpus lie in sockets, cores and threads. any context. */
const struct v3_topology *v3_vm_topology(const struct v3_vm *vm);
/** Vcpu number @p index; NULL if out of range. any context. */
struct v3_vcpu *v3_vm_vcpu(struct v3_vm *vm, uint32_t index);
/** Embedder's pointer given at v3_vm_create(). any context. */
void *v3_vm_host_ctx(const struct v3_vm *vm);

/**
 * End the VM: every vcpu leaves its run loop, then v3_vm_wait() returns. any context; asynchronous.
 * The first call's reason and status count.
 */
void v3_vm_request_stop(struct v3_vm *vm, enum v3_stop_reason reason, int status);
/**
 * Reset the VM: all vcpus stop, devices and vcpus go to their power-on state, guest RAM is kept except
 * for what the boot loader writes again, vcpu 0 starts over. any context; asynchronous.
 * @param why  static text for the log, e.g. "port 0xcf9"
 */
void v3_vm_request_reset(struct v3_vm *vm, const char *why);

/**
 * A thread that is no vcpu's wants to do what vcpus do for a device, such as running its queues: not while the VM is
 * paused, reset or stopped, all of which wait for v3_vm_leave(). thread; in between it must not sleep, and keeps the
 * device from being destroyed by means of its own. For host addresses of guest RAM it takes a pin, v3_mem_pin().
 * @return false: the VM does not run, or is about to stand still; nothing to leave
 */
bool v3_vm_enter(struct v3_vm *vm);
/** thread. */
void v3_vm_leave(struct v3_vm *vm);

/** Zeroed small memory from the host, 1..32768 bytes. atomic. @return NULL if none is left. */
void *v3_alloc(size_t size);
/** Free what v3_alloc() returned; NULL is allowed. atomic. */
void v3_free(void *p);

/**
 * Zeroed, page-aligned memory from the host. atomic.
 * @param npages  a power of two, 1..512
 * @return NULL if none is left.
 */
void *v3_alloc_pages(uint32_t npages);
/** Free what v3_alloc_pages() returned, same @p npages; NULL is allowed. atomic. */
void v3_free_pages(void *p, uint32_t npages);

/** An interrupt-safe spinlock of the host. Guards state shared between vcpus; never sleep under it. */
struct v3_lock {
	void *host; /* owned */
};
/** thread. @return V3_OK or V3_ENOMEM. */
int v3_lock_init(struct v3_lock *lock);
/** thread. A zeroed or destroyed lock is allowed. */
void v3_lock_destroy(struct v3_lock *lock);
/** any. @return state for v3_lock_release(). */
unsigned long v3_lock_acquire(struct v3_lock *lock);
void v3_lock_release(struct v3_lock *lock, unsigned long flags);

#endif
