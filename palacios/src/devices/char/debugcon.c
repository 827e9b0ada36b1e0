/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file debugcon.c
 * Debug console: bytes written to port 0xe9 (or another one, such as SeaBIOS's 0x402) go to a host stream at once, so that the last words of a guest
 * that dies are not lost in a buffer. Reading gives 0xe9, by which guests find the port.
 */
#include "devices/devices.h"
#include "palacios/chr.h"
#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/log.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "debugcon"

struct debugcon {
	struct v3_vm *vm; /* not owned; outlives the device */
	uint16_t port;
	struct v3_chr *chr; /* owned; NULL: output is discarded */
};

static int debugcon_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct debugcon *con = priv;
	uint8_t byte = (uint8_t)io->value;

	(void)vcpu;
	if (!io->write) {
		io->value = ~0xffu | V3_PC_PORT_DEBUGCON;
		return V3_OK;
	}
	if (v3_chr_write(con->chr, &byte, 1) != 1)
		V3_GUEST_WARN(con->vm, "host stream is full, output lost");
	return V3_OK;
}

static int debugcon_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	const char *console = v3_cfg_string(cfg, "console");
	struct debugcon *con;
	int err;

	con = v3_alloc(sizeof(*con));
	if (!con)
		return V3_ENOMEM;
	con->vm = vm;
	con->port = (uint16_t)v3_cfg_uint(cfg, "port");
	if (console[0]) {
		err = v3_chr_open(vm, console, NULL, NULL, &con->chr);
		if (err)
			goto free_con;
	}
	err = v3_io_register(vm, con->port, 1, debugcon_io, con);
	if (err)
		goto close_chr;
	*state = con;
	return V3_OK;

close_chr:
	v3_chr_close(con->chr);
free_con:
	v3_free(con);
	return err;
}

static void debugcon_reset(void *state)
{
	(void)state; /* nothing is kept between writes */
}

static void debugcon_destroy(void *state)
{
	struct debugcon *con = state;

	v3_io_unregister(con->vm, con->port);
	v3_chr_close(con->chr);
	v3_free(con);
}

static const struct v3_cfg_key debugcon_keys[] = {
	{.name = "port", .type = V3_CFG_UINT, .high = 0xffff, .def = V3_PC_PORT_DEBUGCON},
	{.name = "console", .type = V3_CFG_STRING, .high = 31, .def_str = "console"},
	{.name = NULL},
};

static const struct v3_save_field debugcon_fields[] = {
	V3_SAVE_NOT(struct debugcon, vm),
	V3_SAVE_NOT(struct debugcon, port),
	V3_SAVE_NOT(struct debugcon, chr),
	V3_SAVE_END,
};
static const struct v3_save_table debugcon_save = {
	.fields = debugcon_fields,
	.size = sizeof(struct debugcon),
};

const struct v3_device_class v3_device_debugcon = {
	.name = "debugcon",
	.save = &debugcon_save,
	.keys = debugcon_keys,
	.create = debugcon_create,
	.reset = debugcon_reset,
	.destroy = debugcon_destroy,
};
