/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file reset.c
 * Two of the ways a PC guest resets itself: reset control register 0xcf9 and system control port A (0x92); the
 * keyboard controller (i8042.c) is the third. Each asks for a reset of the whole VM.
 *
 * A20 is always open: the bit is kept for the guest to read back and masks nothing.
 */
#include "devices/devices.h"
#include "devices/port8.h"
#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

/* Reset control register: bit 2 rising resets; bit 1 and 3 choose how hard (ICH9 data sheet 13.7.5) */
#define RESET_CF9_RST_CPU 0x04
#define RESET_CF9_STORED  0x0e

#define RESET_PORT92_INIT   0x01 /* rising: reset */
#define RESET_PORT92_A20    0x02
#define RESET_PORT92_STORED 0x03

struct reset {
	struct v3_vm *vm;    /* not owned; outlives the device */
	struct v3_lock lock; /* guards all below */
	uint8_t cf9;
	uint8_t port92;
};

static uint8_t reset_cf9_read8(void *dev, unsigned off)
{
	const struct reset *rst = dev;

	(void)off;
	return rst->cf9;
}

static void reset_cf9_write8(void *dev, unsigned off, uint8_t value)
{
	struct reset *rst = dev;
	bool rising = value & ~rst->cf9 & RESET_CF9_RST_CPU;

	(void)off;
	rst->cf9 = value & RESET_CF9_STORED;
	if (rising)
		v3_vm_request_reset(rst->vm, "port 0xcf9");
}

static uint8_t reset_port92_read8(void *dev, unsigned off)
{
	const struct reset *rst = dev;

	(void)off;
	return rst->port92;
}

static void reset_port92_write8(void *dev, unsigned off, uint8_t value)
{
	struct reset *rst = dev;
	bool rising = value & ~rst->port92 & RESET_PORT92_INIT;

	(void)off;
	rst->port92 = value & RESET_PORT92_STORED;
	if (rising)
		v3_vm_request_reset(rst->vm, "port 0x92");
}

/* The two ports, each a range of one. */
static const struct reset_port {
	uint16_t port;
	uint8_t (*read)(void *dev, unsigned off);
	void (*write)(void *dev, unsigned off, uint8_t value);
} reset_ports[] = {
	{V3_PC_PORT_RESET, reset_cf9_read8, reset_cf9_write8},
	{V3_PC_PORT_SYSTEM_A, reset_port92_read8, reset_port92_write8},
};

static int reset_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct reset *rst = priv;
	unsigned long flags;
	size_t i;

	(void)vcpu;
	for (i = 0; i < V3_ARRAY_SIZE(reset_ports) && reset_ports[i].port != io->port; i++)
		;
	if (i == V3_ARRAY_SIZE(reset_ports))
		return V3_EINVAL; /* not a range of ours: the port dispatch is broken */
	flags = v3_lock_acquire(&rst->lock);
	v3_port8_access(io, rst, io->port, 1, reset_ports[i].read, reset_ports[i].write);
	v3_lock_release(&rst->lock, flags);
	return V3_OK;
}

static void reset_reset(void *state)
{
	struct reset *rst = state;
	unsigned long flags;

	flags = v3_lock_acquire(&rst->lock);
	rst->cf9 = 0;
	rst->port92 = RESET_PORT92_A20;
	v3_lock_release(&rst->lock, flags);
}

static int reset_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct reset *rst;
	size_t i;
	int err;

	(void)cfg;
	rst = v3_alloc(sizeof(*rst));
	if (!rst)
		return V3_ENOMEM;
	rst->vm = vm;
	err = v3_lock_init(&rst->lock);
	if (err)
		goto free_rst;
	for (i = 0; i < V3_ARRAY_SIZE(reset_ports); i++) {
		err = v3_io_register(vm, reset_ports[i].port, 1, reset_io, rst);
		if (err)
			goto release_ports;
	}
	*state = rst;
	return V3_OK;

release_ports:
	while (i--)
		v3_io_unregister(vm, reset_ports[i].port);
	v3_lock_destroy(&rst->lock);
free_rst:
	v3_free(rst);
	return err;
}

static void reset_destroy(void *state)
{
	struct reset *rst = state;
	size_t i;

	for (i = 0; i < V3_ARRAY_SIZE(reset_ports); i++)
		v3_io_unregister(rst->vm, reset_ports[i].port);
	v3_lock_destroy(&rst->lock);
	v3_free(rst);
}

static const struct v3_save_field reset_fields[] = {
	V3_SAVE_NOT(struct reset, vm),
	V3_SAVE_NOT(struct reset, lock),
	V3_SAVE(struct reset, cf9),
	V3_SAVE(struct reset, port92),
	V3_SAVE_END,
};
static const struct v3_save_table reset_save = {
	.fields = reset_fields,
	.size = sizeof(struct reset),
};

const struct v3_device_class v3_device_reset = {
	.name = "reset",
	.save = &reset_save,
	.create = reset_create,
	.reset = reset_reset,
	.destroy = reset_destroy,
};
