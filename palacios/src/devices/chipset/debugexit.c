/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file debugexit.c
 * Port 0xf4: the guest ends the VM with a status of its choice. The status convention is that of the
 * "isa-debug-exit" device test guests are written for: a write of v ends with (v << 1) | 1.
 */
#include "devices/devices.h"
#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define DEBUGEXIT_NPORTS 4

static int debugexit_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	(void)priv;
	if (!io->write) {
		io->value = 0;
		return V3_OK;
	}
	/* The shift drops bit 31, as the status is an int; the order of concurrent writers is theirs. */
	v3_vm_request_stop(v3_vcpu_vm(vcpu), V3_STOP_EXIT, (int)((io->value << 1) | 1));
	return V3_OK;
}

static int debugexit_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	(void)cfg;
	*state = vm; /* stateless: the VM is all that destroy needs */
	return v3_io_register(vm, V3_PC_PORT_DEBUGEXIT, DEBUGEXIT_NPORTS, debugexit_io, NULL);
}

static void debugexit_reset(void *state)
{
	(void)state;
}

static void debugexit_destroy(void *state)
{
	v3_io_unregister(state, V3_PC_PORT_DEBUGEXIT);
}

/* Its instance is the VM, and none of that is this device's. */
static const struct v3_save_field debugexit_fields[] = {V3_SAVE_END};
static const struct v3_save_table debugexit_save = {.fields = debugexit_fields};

const struct v3_device_class v3_device_debugexit = {
	.name = "debugexit",
	.save = &debugexit_save,
	.create = debugexit_create,
	.reset = debugexit_reset,
	.destroy = debugexit_destroy,
};
