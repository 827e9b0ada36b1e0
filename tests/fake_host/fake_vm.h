/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_vm.h
 * VMs and single devices for unit tests, on the fake host and the software back end. What these
 * functions make is undone at the end of the test, unless the test does it itself.
 *
 *     struct v3_vm *vm = fake_vm_bare(1, 16);
 *     void *pit;
 *
 *     REQUIRE(vm);
 *     REQUIRE_EQ(fake_device_create(vm, &v3_device_i8254, "", &pit), V3_OK);
 *     fake_out(vm, 0x43, 1, 0x34);
 *     fake_clock_advance(1000000);
 *     fake_service(vm);
 *     fake_device_destroy(vm, pit);
 */
#ifndef TESTS_FAKE_VM_H
#define TESTS_FAKE_VM_H

#include "fake_arch.h"
#include "fake_guest.h"
#include "fake_host.h"
#include "palacios/config.h"
#include "palacios/device.h"
#include "palacios/io.h"
#include "palacios/palacios.h"

/* ---- library ---- */

/**
 * Only give the library its host functions, for tests of units that allocate or lock but need no VM
 * (v3_alloc(), v3_lock_init(), v3_log() work then). Undone at the end of the test.
 */
void fake_lib_install(void);
/**
 * v3_init() with the fake host and v3_pc_devices, if it was not done in this test. @return its
 * result
 */
int fake_lib_init(void);
/** The same with other classes and extensions (either may be NULL: none). */
int fake_lib_init_with(const struct v3_device_class *const *devices,
		       const struct v3_extension *const *extensions);
/** v3_fini(); destroys the VMs made here first. */
void fake_lib_fini(void);

/* ---- VMs ---- */

/** A file to pack with a definition. */
struct fake_file {
	const char *name;
	const void *data;
	size_t len;
};

/**
 * Pack a container. The file "kernel.elf" is added (fake_kernel()) unless @p files has it.
 * @return the image (owned by this file until the test ends)
 */
const void *fake_image(const char *toml, const struct fake_file *files, unsigned nfiles,
		       size_t *len);
/** Smallest multiboot kernel that loads: 4 KiB at 1 MiB. */
const void *fake_kernel(size_t *len);
/** fake_lib_init(), fake_image(), v3_vm_create(). @return result of the first that failed */
int fake_vm_create(const char *toml, const struct fake_file *files, unsigned nfiles,
		   struct v3_vm **vm);
/** v3_vm_destroy(); NULL is allowed. */
void fake_vm_destroy(struct v3_vm *vm);
/** Definition of a whole PC with a multiboot kernel, e.g. for fake_vm_create(); static text. */
const char *fake_pc_toml(unsigned nvcpus, unsigned ram_mb);
/**
 * A VM of platform "none", no devices, RAM from 0, @p nvcpus. Not started: tests call handlers on
 * their own thread. Its guest time runs. @return NULL: failed, reported
 */
struct v3_vm *fake_vm_bare(unsigned nvcpus, unsigned ram_mb);

/* ---- devices ---- */

/**
 * Keys of a device, checked against its class: lines such as "base = 0x3f8\n". NULL: wrong,
 * reported.
 */
const struct v3_cfg *fake_cfg(const struct v3_device_class *cls, const char *text);
/** create() and then reset(), as the builder does. @return create()'s result */
int fake_device_create(struct v3_vm *vm, const struct v3_device_class *cls, const char *text,
		       void **state);
/**
 * destroy() of a device made by fake_device_create(); at the end of the test it is called in any
 * case.
 */
void fake_device_destroy(struct v3_vm *vm, void *state);

/* ---- what the guest does, called on the test's thread while no vcpu runs ---- */

/** OUT on vcpu 0. @return result of the port's owner */
int fake_out(struct v3_vm *vm, uint16_t port, unsigned size, uint32_t value);
/** IN on vcpu 0. @return value */
uint32_t fake_in(struct v3_vm *vm, uint16_t port, unsigned size);
int fake_vcpu_out(struct v3_vcpu *vcpu, uint16_t port, unsigned size, uint32_t value);
uint32_t fake_vcpu_in(struct v3_vcpu *vcpu, uint16_t port, unsigned size);
/** Memory accesses of vcpu 0, through MMIO regions and hooks. */
uint64_t fake_mmio_read(struct v3_vm *vm, v3_gpa_t gpa, unsigned size);
int fake_mmio_write(struct v3_vm *vm, v3_gpa_t gpa, unsigned size, uint64_t value);
uint64_t fake_vcpu_mmio_read(struct v3_vcpu *vcpu, v3_gpa_t gpa, unsigned size);
int fake_vcpu_mmio_write(struct v3_vcpu *vcpu, v3_gpa_t gpa, unsigned size, uint64_t value);
/** RDMSR and WRMSR on vcpu 0. @return false: #GP (taken back) */
bool fake_rdmsr(struct v3_vm *vm, uint32_t msr, uint64_t *value);
bool fake_wrmsr(struct v3_vm *vm, uint32_t msr, uint64_t value);
bool fake_vcpu_rdmsr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value);
bool fake_vcpu_wrmsr(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value);
/**
 * Dispatch one exit on @p vcpu. @return the handler's result
 * @param event  set to the exception that was queued (and is taken back), type NONE if none; may
 * be NULL
 */
int fake_dispatch(struct v3_vcpu *vcpu, const struct v3_exit *exit, struct v3_event *event);

/* ---- between two entries ---- */

/** Run due timers and queued work of all vcpus, as their threads would. */
void fake_service(struct v3_vm *vm);
/** The timers alone. */
void fake_run_due_timers(struct v3_vm *vm);
/** The work of one vcpu alone, once. */
void fake_run_work(struct v3_vcpu *vcpu);
/** Vector the vcpu would be given now (IF on), taken from the controllers; -1: none. */
int fake_take_interrupt(struct v3_vcpu *vcpu);
/** Requests set on the vcpu since the last call; V3_REQ_*. */
uint32_t fake_take_requests(struct v3_vcpu *vcpu);

#endif
