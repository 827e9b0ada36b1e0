/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file device.c
 * The devices of a VM as a whole: looked up by class, for devices that build on another one; their state saved and
 * loaded, by the table of each class.
 */
#include "palacios/device.h"

#include "palacios/save.h"
#include "palacios/util/fmt.h"
#include "state.h"
#include "vm/vm.h"

#define V3_LOG_TAG "devices"

#define DEVICE_NAME 48 /* bytes of "class#number" */

void *v3_device_find(const struct v3_vm *vm, const struct v3_device_class *cls)
{
	uint32_t i;

	for (i = 0; i < vm->ndevices; i++) {
		if (vm->device[i].cls == cls)
			return vm->device[i].state;
	}
	return NULL;
}

/* Instances are told apart by their number in the VM, which follows from the definition. */
static void device_name(const struct v3_vm *vm, uint32_t i, char name[DEVICE_NAME])
{
	v3_snprintf(name, DEVICE_NAME, "%s#%u", vm->device[i].cls->name, i);
}

/* All before any is saved: to finish something may raise an interrupt. */
static void device_settle_all(struct v3_vm *vm)
{
	uint32_t i;

	for (i = 0; i < vm->ndevices; i++)
		if (vm->device[i].cls->save)
			v3_save_settle(vm->device[i].cls->save, vm->device[i].state);
}

int v3_devices_save(struct v3_vm *vm, struct v3_save_buf *buf)
{
	char name[DEVICE_NAME];
	int err = V3_OK;
	uint32_t i;

	device_settle_all(vm);
	for (i = 0; i < vm->ndevices; i++) {
		const struct v3_device *dev = &vm->device[i];

		device_name(vm, i, name);
		if (dev->cls->save)
			err = v3_save_write(dev->cls->save, name, dev->state, buf);
	}
	return err;
}

void v3_devices_reset(struct v3_vm *vm)
{
	uint32_t i;

	for (i = 0; i < vm->ndevices; i++)
		if (vm->device[i].cls->reset)
			vm->device[i].cls->reset(vm->device[i].state);
}

int v3_devices_load(struct v3_vm *vm, struct v3_save_buf *buf)
{
	char name[DEVICE_NAME];
	int err = V3_OK;
	uint32_t i;

	for (i = 0; i < vm->ndevices && err == V3_OK; i++) {
		const struct v3_device *dev = &vm->device[i];

		device_name(vm, i, name);
		if (dev->cls->save)
			err = v3_save_read(dev->cls->save, name, dev->state, buf);
	}
	if (err != V3_OK) {
		V3_ERR(vm, "saved state refused: %s; the devices are reset", buf->why);
		v3_devices_reset(vm);
	}
	return err;
}
