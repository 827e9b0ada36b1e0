/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file device.c
 * Looks up a device of a VM by its class, for devices that build on another one.
 */
#include "palacios/device.h"

#include "state.h"

void *v3_device_find(const struct v3_vm *vm, const struct v3_device_class *cls)
{
	uint32_t i;

	for (i = 0; i < vm->ndevices; i++) {
		if (vm->device[i].cls == cls)
			return vm->device[i].state;
	}
	return NULL;
}
