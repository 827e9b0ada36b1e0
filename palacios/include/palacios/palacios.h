/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file palacios.h
 * The embedder's API: initialise the library, make VMs from image containers, run them.
 *
 * All calls: thread context (may sleep), unless said otherwise. Calls on one VM may come from any thread;
 * the library serialises them.
 */
#ifndef PALACIOS_PALACIOS_H
#define PALACIOS_PALACIOS_H

#include "palacios/device.h"
#include "palacios/error.h"
#include "palacios/host.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/stats.h"
#include "palacios/types.h"
#include "palacios/util/text.h"
#include "palacios/vm.h"

struct v3_extension;

/** Everything v3_init() needs. Arrays are not owned and must outlive v3_fini(). */
struct v3_init_params {
	const struct v3_host_ops *host;		      /* copied */
	const struct v3_device_class *const *devices; /* NULL-terminated */
	const struct v3_extension *const *extensions; /* NULL-terminated; may be NULL */
	bool checks; /* look for mistakes of the library before each entry: slow, for tests */
	bool software_apic; /* emulate local APICs also where the CPU can virtualize them: for tests */
};

/**
 * Not serialised against itself, the functions up to v3_cpu_down() and v3_vm_create(): the embedder calls it once, at
 * its start.
 *
 * Check the host's functions, find a vendor back end and enable virtualization on every CPU.
 *
 * @return V3_OK; V3_EINVAL: a mandatory host function is missing or api/size do not fit (logged by name);
 *         V3_ENODEV: the CPU has neither SVM nor VMX; V3_EPERM: firmware disabled it; V3_EBUSY: somebody
 *         else uses it, or v3_init() was called already; V3_ENOMEM. On failure nothing stays enabled, and
 *         one log line says what to do.
 */
int v3_init(const struct v3_init_params *params);
/** Disable virtualization on every CPU. No VM may exist: V3_EBUSY. */
int v3_fini(void);

/*
 * A host that does not want virtualization enabled all the time, or whose CPUs come and go, has these as well. They
 * are not serialised against each other, v3_vm_create() and v3_vm_destroy(): the embedder sees to that. thread.
 */
/**
 * Enable virtualization on every CPU that is there; v3_init() has done so. Enabled already: nothing happens.
 * @return V3_OK; V3_EBUSY, V3_EPERM, V3_ENODEV as v3_init(), logged with the CPU: then it is enabled nowhere
 */
int v3_enable(void);
/** Give it back on every CPU; VMs cannot be made until v3_enable(). @return V3_OK; V3_EBUSY: there is a VM */
int v3_disable(void);
/** A CPU has come up: enable virtualization there, if it is enabled at all. @return V3_OK, else as v3_enable() */
int v3_cpu_up(uint32_t cpu);
/** A CPU goes away: disable it there. The embedder has moved its vcpus (v3_vcpu_move()) or stopped their VMs. */
void v3_cpu_down(uint32_t cpu);
/** Can vcpus run there now? any context. */
bool v3_cpu_usable(uint32_t cpu);
/** Number of CPUs where vcpus can run now. any context. */
uint32_t v3_cpus_usable(void);
/** What the back end is called: "svm". After v3_init(). any context. */
const char *v3_backend_name(void);
/** Can the hardware map guest memory in pieces of 1 GiB? After v3_init(). any context. */
bool v3_nested_1g(void);

/** The standard device classes of a PC, for v3_init_params.devices. */
extern const struct v3_device_class *const v3_pc_devices[];

/**
 * Make a VM from an image container (v3-mkimage): parse and check everything, allocate memory, create
 * devices, load the boot image. The VM is then ready to start.
 *
 * @param image     container; not copied: must stay readable until v3_vm_destroy()
 * @param len       its length in bytes
 * @param host_ctx  the embedder's, for its console group and v3_vm_host_ctx()
 * @param out       the VM
 * @return V3_OK; V3_EBADMSG: malformed container or definition (logged with file:line or offset);
 *         V3_ENOENT, V3_ENOTSUP, V3_ENOMEM ... of the part that failed (logged); V3_ENODEV: virtualization is not enabled
 *         (v3_enable()). Leaves nothing on failure.
 */
int v3_vm_create(const void *image, size_t len, void *host_ctx, struct v3_vm **out);
/** Stop if need be, and free everything. NULL is allowed. */
void v3_vm_destroy(struct v3_vm *vm);

/**
 * Give it another name than the definition's, for log, dump and the addresses of network cards: its devices are reset. What is
 * beyond 31 bytes is cut. Only before it starts.
 */
void v3_vm_set_name(struct v3_vm *vm, const char *name);

enum v3_vm_state { V3_VM_READY, V3_VM_RUNNING, V3_VM_PAUSED, V3_VM_STOPPED };

/** READY -> RUNNING: create and start the vcpu threads. V3_EBUSY in another state; V3_ENOMEM: STOPPED. */
int v3_vm_start(struct v3_vm *vm);
/** RUNNING -> PAUSED: on return no vcpu executes guest code and guest time stands still. V3_EBUSY. */
int v3_vm_pause(struct v3_vm *vm);
/** PAUSED -> RUNNING. V3_EBUSY. */
int v3_vm_continue(struct v3_vm *vm);
/** RUNNING or PAUSED: start over from power-on. V3_EBUSY in another state. */
int v3_vm_reset(struct v3_vm *vm);
/** Hard stop; on return all vcpu threads have ended. V3_OK in every state. */
int v3_vm_stop(struct v3_vm *vm);
/** Press the guest's power button. V3_ENOTSUP if no device has one. */
int v3_vm_power_button(struct v3_vm *vm);
/** Sleep until the VM is STOPPED (or was never started). Joins the vcpu threads. */
void v3_vm_wait(struct v3_vm *vm);
enum v3_vm_state v3_vm_get_state(const struct v3_vm *vm);
/** Why and with what status the VM stopped; any context. */
enum v3_stop_reason v3_vm_stop_reason(const struct v3_vm *vm, int *status);
/** How often the guest has been reset. any context. */
uint32_t v3_vm_resets(const struct v3_vm *vm);

/** What a vcpu does. */
enum v3_vcpu_state {
	V3_VCPU_RUNNABLE,
	V3_VCPU_HALTED,	  /* waits for an interrupt */
	V3_VCPU_WAIT_SIPI /* waits to be started by another vcpu */
};
struct v3_vcpu_info {
	uint32_t cpu; /* host CPU it is bound to */
	enum v3_vcpu_state state;
	uint64_t entries; /* into the guest */
};
/** A snapshot of vcpu number @p index. any context. @return V3_OK; V3_ERANGE: no such vcpu */
int v3_vcpu_info(struct v3_vm *vm, uint32_t index, struct v3_vcpu_info *info);
/**
 * Bind a vcpu to another CPU, in any state of the VM. On return it runs there; if paused, from v3_vm_continue() on.
 * @return V3_OK; V3_ERANGE: no such vcpu; V3_ENODEV: no usable CPU of that number
 */
int v3_vcpu_move(struct v3_vm *vm, uint32_t index, uint32_t cpu);
/**
 * Write the state of the VM to @p text: why it stopped, each vcpu's registers, the vendor's control block, the last
 * exits. Of a VM that failed: those at that moment. Of a running one each vcpu stands still in turn. Lines come in
 * thread context, from the caller's or a vcpu's thread, one at a time.
 */
void v3_vm_dump(struct v3_vm *vm, const struct v3_text *text);

/**
 * Call the functions of the host's trace group from now on, or no more; of all VMs. Off after v3_init(), and without
 * effect if the host has no such group. When it is switched off one more call per vcpu may be under way. any context.
 */
void v3_trace_enable(bool on);

#endif
