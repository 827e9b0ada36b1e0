/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file extension.h
 * Extensions: compile-time options that hook a VM without core naming them.
 */
#ifndef PALACIOS_EXTENSION_H
#define PALACIOS_EXTENSION_H

#include "palacios/types.h"

struct v3_vcpu;
struct v3_vm;

struct v3_extension {
	const char *name;
	/** Called for each VM after its devices exist, before boot. thread. A failure fails the VM. */
	int (*vm_create)(struct v3_vm *vm, void **state);
	void (*vm_destroy)(void *state);
	void (*vm_reset)(void *state);
};

#endif
