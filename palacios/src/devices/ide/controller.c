/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file controller.c
 * The IDE function of a PIIX3 (Intel 290550, 8086:7010): two channels at the ports and interrupts of a PC (compatibility
 * mode), bus master registers in BAR 4; and the device class, of which each instance is a drive. The first one brings
 * the controller. Called by the builder, the port map and the PCI bus; calls channel.c, dma.c and run.c.
 *
 * A reset leaves the channels decoded (IDETIM bit 15), as firmware would: a kernel that is booted without any looks
 * whether they are.
 */
#include "devices/devices.h"
#include "devices/ide/ide.h"
#include "devices/port8.h"
#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/platform.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "ide"

#define CONTROLLER_VENDOR 0x8086
#define CONTROLLER_DEVICE 0x7010
#define CONTROLLER_CLASS  0x010180 /* IDE, bus master, both channels in compatibility mode */
#define CONTROLLER_BAR	  4
#define CONTROLLER_BM_LEN 16 /* 8 per channel */

/* Configuration space */
#define CONTROLLER_COMMAND    0x04
#define CONTROLLER_IO_ENABLE  0x01
#define CONTROLLER_TIMING(ch) (0x40 + 2 * (ch)) /* IDETIM, 16 bits */
#define CONTROLLER_TIMING_END 0x45		/* with SIDETIM */
#define CONTROLLER_DECODE     0x80		/* in its high byte */

#define CONTROLLER_REGS	  8
#define CONTROLLER_NUNITS (IDE_NCHANNELS * IDE_NDRIVES)

/* ---- ports ---- */

/* Does the controller answer at the channel's ports? The bits may change at any moment, as on a bus. */
static bool controller_decodes(const struct ide_channel *ch)
{
	const uint8_t *config = v3_pci_config(ch->ide->func);

	return (config[CONTROLLER_COMMAND] & CONTROLLER_IO_ENABLE) &&
	       (config[CONTROLLER_TIMING(ch->index) + 1] & CONTROLLER_DECODE);
}

/*
 * Without a drive nobody drives the data lines, of which the host pulls down DD7 so that BSY reads 0 (ATA/ATAPI-6,
 * chapter 4).
 */
static uint32_t controller_floating(const struct ide_channel *ch, const struct v3_io *io,
				    bool control)
{
	if (control)
		return 0xffffff7f; /* one port of 8 bits */
	return io->port == V3_PC_PORT_IDE(ch->index) ? 0xff7fff7f : 0x7f7f7f7f;
}

static uint8_t controller_read(void *dev, unsigned off)
{
	return v3_ide_read(dev, off);
}

static void controller_write(void *dev, unsigned off, uint8_t value)
{
	v3_ide_write(dev, off, value);
}

static void controller_access(struct ide_channel *ch, struct v3_io *io, bool control)
{
	if (control && io->write)
		v3_ide_write_control(ch, (uint8_t)io->value);
	else if (control)
		io->value = v3_ide_read_status(ch) | ~0xffu;
	else if (io->port != V3_PC_PORT_IDE(ch->index))
		v3_port8_access(io, ch, V3_PC_PORT_IDE(ch->index), CONTROLLER_REGS, controller_read,
				controller_write);
	else if (io->write)
		v3_ide_write_data(ch, io->size, io->value);
	else
		io->value = v3_ide_read_data(ch, io->size);
}

/* Release the lock, and do what the access has started. */
static void controller_release(struct ide_channel *ch, unsigned long flags)
{
	bool start = ch->start;

	ch->start = false;
	v3_lock_release(&ch->lock, flags);
	if (start)
		v3_ide_run(ch);
}

static int controller_io(struct ide_channel *ch, struct v3_io *io, bool control)
{
	unsigned long flags;

	if (!controller_decodes(ch)) {
		io->value = ~0u;
		return V3_OK;
	}
	if (!ch->drive[0] && !ch->drive[1]) {
		io->value = controller_floating(ch, io, control);
		return V3_OK;
	}
	flags = v3_lock_acquire(&ch->lock);
	controller_access(ch, io, control);
	controller_release(ch, flags);
	return V3_OK;
}

static int controller_command_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	(void)vcpu;
	return controller_io(priv, io, false);
}

static int controller_control_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	(void)vcpu;
	return controller_io(priv, io, true);
}

/* Bus master registers, byte by byte. */
static int controller_bar(struct v3_vcpu *vcpu, struct v3_pci_access *a, void *priv)
{
	struct ide *ide = priv;
	unsigned i;

	(void)vcpu;
	if (!a->write)
		a->value = 0;
	for (i = 0; i < a->size; i++) {
		unsigned off = (unsigned)a->offset + i;
		struct ide_channel *ch = &ide->channel[off / 8];
		unsigned long flags = v3_lock_acquire(&ch->lock);

		if (a->write)
			v3_ide_dma_write(ch, off % 8, (uint8_t)(a->value >> 8 * i));
		else
			a->value |= (uint64_t)v3_ide_dma_read(ch, off % 8) << 8 * i;
		controller_release(ch, flags);
	}
	return V3_OK;
}

/* Behind the timing registers there is nothing. */
static uint32_t controller_cfg_read(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
				    uint32_t value)
{
	uint32_t mask = 0;
	unsigned i;

	(void)vcpu;
	(void)priv;
	for (i = 0; i < size && off + i < CONTROLLER_TIMING_END; i++)
		mask |= 0xffu << 8 * i;
	return value & mask;
}

/* ---- the controller ---- */

static void controller_reset(struct ide *ide)
{
	unsigned i;

	for (i = 0; i < IDE_NCHANNELS; i++) {
		struct ide_channel *ch = &ide->channel[i];
		unsigned long flags;

		v3_ide_run_drain(ch);
		flags = v3_lock_acquire(&ch->lock);
		v3_ide_reset(ch);
		v3_lock_release(&ch->lock, flags);
		v3_pci_config(ide->func)[CONTROLLER_TIMING(i) + 1] = CONTROLLER_DECODE;
	}
}

static void controller_destroy_channel(struct ide_channel *ch)
{
	v3_io_unregister(ch->ide->vm, V3_PC_PORT_IDE(ch->index));
	v3_io_unregister(ch->ide->vm, V3_PC_PORT_IDECTL(ch->index));
	v3_free_pages(ch->buf, IDE_BUF_PAGES);
	v3_lock_destroy(&ch->lock);
}

static int controller_init_channel(struct ide *ide, unsigned index)
{
	struct ide_channel *ch = &ide->channel[index];
	int err;

	ch->ide = ide;
	ch->index = (uint8_t)index;
	v3_ide_run_init(ch);
	err = v3_lock_init(&ch->lock);
	if (err)
		return err;
	err = V3_ENOMEM;
	ch->buf = v3_alloc_pages(IDE_BUF_PAGES);
	if (!ch->buf)
		goto destroy_lock;
	err = v3_io_register(ide->vm, V3_PC_PORT_IDE(index), CONTROLLER_REGS, controller_command_io,
			     ch);
	if (err)
		goto free_buf;
	err = v3_io_register(ide->vm, V3_PC_PORT_IDECTL(index), 1, controller_control_io, ch);
	if (err)
		goto release_command;
	return V3_OK;

release_command:
	v3_io_unregister(ide->vm, V3_PC_PORT_IDE(index));
free_buf:
	v3_free_pages(ch->buf, IDE_BUF_PAGES);
destroy_lock:
	v3_lock_destroy(&ch->lock);
	return err;
}

/* In a slot where a bridge is function 0, as in a PIIX3, it is function 1. */
static int controller_add_func(struct ide *ide, unsigned slot)
{
	const struct v3_pci_desc desc = {
		.vendor = CONTROLLER_VENDOR,
		.device = CONTROLLER_DEVICE,
		.class_code = CONTROLLER_CLASS,
		.cfg_read = controller_cfg_read,
		.priv = ide,
	};
	int err = v3_pci_add(ide->vm, slot ? slot : V3_PCI_SLOT_ANY, 0, &desc, &ide->func);

	if (err == V3_EEXIST)
		err = v3_pci_add(ide->vm, slot, 1, &desc, &ide->func);
	if (!err)
		err = v3_pci_add_bar(ide->func, CONTROLLER_BAR, V3_PCI_BAR_IO, CONTROLLER_BM_LEN,
				     controller_bar, ide);
	return err;
}

static void controller_destroy(struct ide *ide, unsigned nchannels)
{
	v3_pci_remove(ide->func);
	while (nchannels)
		controller_destroy_channel(&ide->channel[--nchannels]);
	v3_free(ide);
}

static int controller_create(struct v3_vm *vm, unsigned slot, struct ide **out)
{
	struct ide *ide = v3_alloc(sizeof(*ide));
	unsigned n;
	int err = V3_OK;

	if (!ide)
		return V3_ENOMEM;
	ide->vm = vm;
	for (n = 0; n < IDE_NCHANNELS; n++) {
		err = controller_init_channel(ide, n);
		if (err)
			break;
	}
	if (!err)
		err = controller_add_func(ide, slot);
	if (err) {
		controller_destroy(ide, n);
		return err;
	}
	*out = ide;
	return V3_OK;
}

/* ---- the device class: a drive ---- */

/* An instance. */
struct controller_drive {
	struct ide_drive d;
	struct ide *ide; /* owned; NULL: the first instance has it, which outlives this */
};

/* Where the drive goes: as the definition says, or the first free place. NULL: there is none. */
static struct ide_channel *controller_place(struct ide *ide, const struct v3_cfg *cfg,
					    uint8_t *unit)
{
	unsigned i = v3_cfg_has(cfg, "unit") ? (unsigned)v3_cfg_uint(cfg, "unit") : 0, end = i + 1;

	if (!v3_cfg_has(cfg, "unit"))
		end = CONTROLLER_NUNITS;
	for (; i < end; i++) {
		*unit = (uint8_t)(i % IDE_NDRIVES);
		if (!ide->channel[i / IDE_NDRIVES].drive[*unit])
			return &ide->channel[i / IDE_NDRIVES];
	}
	return NULL;
}

static int controller_plug(struct ide *ide, struct ide_drive *d, const struct v3_cfg *cfg)
{
	bool cdrom = v3_cfg_bool(cfg, "cdrom");
	uint32_t block = cdrom ? IDE_CD_BLOCK : ATA_SECTOR;

	d->ch = controller_place(ide, cfg, &d->unit);
	if (!d->ch)
		return V3_EEXIST;
	d->kind = cdrom ? &v3_ide_atapi : &v3_ide_ata;
	d->nblocks = v3_blk_size(d->blk) / block;
	if (!d->nblocks || (cdrom && d->nblocks > 0xffffffffu))
		return V3_EINVAL;
	d->kind->reset(d, true);
	v3_ide_signature(d);
	d->ch->drive[d->unit] = d;
	return V3_OK;
}

static int controller_drive_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct controller_drive *other = v3_device_find(vm, &v3_device_ide), *cd;
	const char *serial = v3_cfg_string(cfg, "serial");
	int err;

	cd = v3_alloc(sizeof(*cd));
	if (!cd)
		return V3_ENOMEM;
	memcpy(cd->d.serial, serial, v3_strlen(serial));
	err = v3_blk_open(vm, cfg, &cd->d.blk);
	if (err)
		goto free_drive;
	if (!other)
		err = controller_create(vm, (unsigned)v3_cfg_uint(cfg, "slot"), &cd->ide);
	if (err)
		goto close_blk;
	err = controller_plug(other ? other->ide : cd->ide, &cd->d, cfg);
	if (err)
		goto destroy_controller;
	*state = cd;
	return V3_OK;

destroy_controller:
	if (cd->ide)
		controller_destroy(cd->ide, IDE_NCHANNELS);
close_blk:
	v3_blk_close(cd->d.blk);
free_drive:
	v3_free(cd);
	return err;
}

/* The first instance, for all: the others have been plugged by now, and come later. */
static void controller_drive_reset(void *state)
{
	struct controller_drive *cd = state;

	if (cd->ide)
		controller_reset(cd->ide);
}

/* In reverse order of creation: the one with the controller is the last. */
static void controller_drive_destroy(void *state)
{
	struct controller_drive *cd = state;

	v3_ide_run_drain(cd->d.ch);
	cd->d.ch->drive[cd->d.unit] = NULL;
	if (cd->ide)
		controller_destroy(cd->ide, IDE_NCHANNELS);
	v3_blk_close(cd->d.blk);
	v3_free(cd);
}

static const struct v3_save_field controller_fields[] = {
	V3_SAVE_PARTS(struct controller_drive, d, &v3_ide_drive_save),
	V3_SAVE_PARTS_AT(struct controller_drive, ide, &v3_ide_save),
	V3_SAVE_END,
};
static const struct v3_save_table controller_save = {.fields = controller_fields,
						     .size = sizeof(struct controller_drive)};

static const struct v3_cfg_key controller_keys[] = {
	V3_BLK_KEYS,
	{.name = "cdrom", .type = V3_CFG_BOOL},
	{.name = "unit", .type = V3_CFG_UINT, .high = CONTROLLER_NUNITS - 1},
	{.name = "serial", .type = V3_CFG_STRING, .high = 20},
	{.name = "slot", .type = V3_CFG_UINT, .low = 1, .high = 31},
	{.name = NULL},
};

const struct v3_device_class v3_device_ide = {
	.name = "ide",
	.save = &controller_save,
	.keys = controller_keys,
	.create = controller_drive_create,
	.reset = controller_drive_reset,
	.destroy = controller_drive_destroy,
};
