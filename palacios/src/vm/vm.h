/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vm.h
 * Between the files of vm/: making a VM (builder.c), its vcpus (vcpu.c), the run loop (run.c), its life
 * (lifecycle.c).
 */
#ifndef V3_VM_VM_H
#define V3_VM_VM_H

#include "palacios/types.h"

struct v3_vcpu;
struct v3_vm;

/* What the vcpus are asked to do: bits of v3_vm.want. */
#define V3_WANT_PAUSE 1u
#define V3_WANT_RESET 2u
#define V3_WANT_STOP  4u

/** Make vcpu number @p index of a VM. thread. @return V3_OK, V3_ENOMEM. Leaves nothing on failure. */
int v3_vcpu_create(struct v3_vm *vm, uint32_t index, struct v3_vcpu **out);
/** Free it; its thread has ended. NULL is allowed. */
void v3_vcpu_destroy(struct v3_vcpu *vcpu);
/** Power-on state (init false) or INIT. Own thread or stopped VM. */
void v3_vcpu_reset(struct v3_vcpu *vcpu, bool init);

/** Bind it to a CPU before its thread exists: @p wanted, NULL: the library chooses. @return V3_OK, V3_ERANGE (logged). */
int v3_vcpu_place(struct v3_vcpu *vcpu, const uint32_t *wanted);

/** Write the dump that somebody waits for, if anybody does. Own thread (V3_REQ_DUMP). */
void v3_dump_serve(struct v3_vcpu *vcpu);
/** Keep the dump of a VM that fails. Own thread, last thing before it ends. */
void v3_dump_keep(struct v3_vcpu *vcpu);

/** Body of a vcpu thread: runs until the VM stops. */
void v3_vcpu_main(void *vcpu);

/** Devices, vcpus and boot image to the power-on state; no vcpu is in the guest. @return V3_OK or why not. */
int v3_vm_power_on(struct v3_vm *vm);

/** Wait with the other vcpus for what the VM wants. Own thread. @return V3_OK: run on; V3_LEAVE: end. */
int v3_vm_rendezvous(struct v3_vcpu *vcpu);
/** Or bits into v3_vm.want and tell all vcpus. any context. */
void v3_vm_want(struct v3_vm *vm, uint32_t bits);

/** Every device to its power-on state; no vcpu runs. (device.c) */
void v3_devices_reset(struct v3_vm *vm);

#endif
