/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file device.h
 * Device classes. An embedder passes the array of classes it wants to v3_init(); a guest definition names
 * instances of them ([[device]] tables), and the platform adds the standard ones.
 */
#ifndef PALACIOS_DEVICE_H
#define PALACIOS_DEVICE_H

#include "palacios/config.h"
#include "palacios/types.h"

struct v3_save_table;
struct v3_vm;

struct v3_device_class {
	const char *name; /* as in the guest definition: class = "uart" */
	const struct v3_cfg_key
		*keys; /* allowed keys beside "class"; ends with name NULL; NULL: none */
	/**
	 * Create one instance. thread; VM not running. Succeeds fully or leaves nothing.
	 * @param cfg    the instance's keys, checked against @p keys
	 * @param state  instance for the other two
	 * @return V3_OK or why not
	 */
	int (*create)(struct v3_vm *vm, const struct v3_cfg *cfg, void **state);
	/** Power-on state; VM not running, all vcpus outside the guest. Also called once after create. NULL: none. */
	void (*reset)(void *state);
	/** Undo create. NULL is never passed. */
	void (*destroy)(void *state);
	/** ACPI power button or similar notice to the guest; NULL if the class has none. any thread. */
	void (*power_button)(void *state);
	/** What of the instance is state: save.h. NULL: nothing. */
	const struct v3_save_table *save;
};

/**
 * State of the first instance of @p cls that has been created in the VM, for devices that build on another
 * one; NULL if there is none yet. any context.
 */
void *v3_device_find(const struct v3_vm *vm, const struct v3_device_class *cls);

#endif
