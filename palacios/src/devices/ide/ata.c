/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ata.c
 * Commands of a disk (ATA/ATAPI-6, general and packet-less feature sets, 48-bit addresses; the older CHS addresses and
 * commands that firmware still sends, from ATA-3). Called by channel.c; calls it and run.c to move data.
 */
#include "devices/ide/ide.h"

#include "palacios/error.h"

#define ATA_LBA28_MAX 0x0fffffffu /* sectors that 28 bits can count */
#define ATA_LBA48_MAX 0xffffffffffffull

/* How a command moves data. */
#define ATA_F_WRITE    0x01
#define ATA_F_DMA      0x02
#define ATA_F_EXT      0x04 /* 48-bit address and 16-bit count */
#define ATA_F_MULTIPLE 0x08
#define ATA_F_NO_DATA  0x10 /* only looks whether the sectors are there */

struct ata_command {
	void (*fn)(struct ide_drive *d, uint8_t flags);
	uint8_t flags;
};

static bool ata_lba_mode(const struct ide_drive *d)
{
	return d->reg[IDE_DEVICE][0] & IDE_DEVICE_LBA;
}

/* Bytes @p half (0 written last, 1 before that) of the address registers. */
static uint32_t ata_low24(const struct ide_drive *d, unsigned half)
{
	return d->reg[IDE_LBA_LOW][half] | (uint32_t)d->reg[IDE_LBA_MID][half] << 8 |
	       (uint32_t)d->reg[IDE_LBA_HIGH][half] << 16;
}

/* First sector of the command, 6.2. ~0: there is no such one. */
static uint64_t ata_address(const struct ide_drive *d, uint8_t flags)
{
	uint32_t low = ata_low24(d, 0), top = d->reg[IDE_DEVICE][0] & 0x0f, sector;

	if (flags & ATA_F_EXT)
		return ata_lba_mode(d) ? (uint64_t)ata_low24(d, 1) << 24 | low : ~0ull;
	if (ata_lba_mode(d))
		return top << 24 | low;
	sector = low & 0xff;
	if (!sector || sector > d->spt || top >= d->heads)
		return ~0ull;
	return ((uint64_t)(low >> 8) * d->heads + top) * d->spt + sector - 1;
}

static uint32_t ata_count(const struct ide_drive *d, uint8_t flags)
{
	uint32_t count = d->reg[IDE_COUNT][0];

	if (!(flags & ATA_F_EXT))
		return count ? count : 256;
	count |= (uint32_t)d->reg[IDE_COUNT][1] << 8;
	return count ? count : 65536;
}

static void ata_abort(struct ide_drive *d, uint8_t flags)
{
	(void)flags;
	v3_ide_abort(d, IDE_ERROR_ABRT);
}

static void ata_nothing(struct ide_drive *d, uint8_t flags)
{
	(void)flags;
	v3_ide_end(d);
}

/* READ and WRITE in all their forms, READ VERIFY. */
static void ata_transfer(struct ide_drive *d, uint8_t flags)
{
	uint64_t lba = ata_address(d, flags);
	uint32_t count = ata_count(d, flags);
	struct ide_xfer x = {
		.disk = true,
		.write = flags & ATA_F_WRITE,
		.dma = flags & ATA_F_DMA,
		.quiet = flags & ATA_F_WRITE,
		.silent = !(flags & ATA_F_WRITE),
		.flush = (flags & ATA_F_WRITE) && d->write_through,
		.chunk = ATA_SECTOR,
		.offset = lba * ATA_SECTOR,
		.left = (uint64_t)count * ATA_SECTOR,
	};

	d->standby = false;
	if ((flags & ATA_F_MULTIPLE) && !d->multiple) {
		v3_ide_abort(d, IDE_ERROR_ABRT);
	} else if (lba >= d->nblocks || count > d->nblocks - lba) {
		v3_ide_abort(d, IDE_ERROR_IDNF);
	} else if (x.write && v3_blk_read_only(d->blk)) {
		v3_ide_abort(d, IDE_ERROR_ABRT);
	} else if (flags & ATA_F_NO_DATA) {
		v3_ide_end(d);
	} else {
		if (flags & ATA_F_MULTIPLE)
			x.chunk *= d->multiple;
		v3_ide_begin(d, &x);
	}
}

static void ata_flush(struct ide_drive *d, uint8_t flags)
{
	const struct ide_xfer x = {.disk = true, .flush = true, .write = true};

	(void)flags;
	v3_ide_begin(d, &x);
}

static void ata_identify(struct ide_drive *d, uint8_t flags)
{
	const struct ide_xfer x = {.len = ATA_SECTOR, .chunk = ATA_SECTOR, .silent = true};

	(void)flags;
	v3_ide_identify_disk(d, d->ch->buf);
	v3_ide_begin(d, &x);
}

/* SET MULTIPLE MODE: a power of two sectors; 0 switches READ and WRITE MULTIPLE off. */
static void ata_set_multiple(struct ide_drive *d, uint8_t flags)
{
	uint8_t n = d->reg[IDE_COUNT][0];

	(void)flags;
	if (n > IDE_MULTIPLE || (n & (n - 1))) {
		v3_ide_abort(d, IDE_ERROR_ABRT);
		return;
	}
	d->multiple = n;
	v3_ide_end(d);
}

/* INITIALIZE DEVICE PARAMETERS (ATA-5, 8.16): the geometry of CHS addresses. */
static void ata_set_geometry(struct ide_drive *d, uint8_t flags)
{
	uint8_t spt = d->reg[IDE_COUNT][0];

	(void)flags;
	if (!spt || spt > IDE_SPT) {
		v3_ide_abort(d, IDE_ERROR_ABRT);
		return;
	}
	d->spt = spt;
	d->heads = (uint8_t)((d->reg[IDE_DEVICE][0] & 0x0f) + 1);
	v3_ide_end(d);
}

/* Address of the last sector, 8.32, as many bits as the command has. */
static void ata_native_max(struct ide_drive *d, uint8_t flags)
{
	const bool ext = flags & ATA_F_EXT;
	uint64_t last = d->nblocks - 1;
	unsigned i;

	if (!ata_lba_mode(d)) {
		v3_ide_abort(d, IDE_ERROR_ABRT);
		return;
	}
	if (!ext && last > ATA_LBA28_MAX)
		last = ATA_LBA28_MAX;
	for (i = 0; i < 3; i++) {
		d->reg[IDE_LBA_LOW + i][0] = (uint8_t)(last >> 8 * i);
		d->reg[IDE_LBA_LOW + i][1] = ext ? (uint8_t)(last >> (24 + 8 * i)) : 0;
	}
	if (!ext)
		d->reg[IDE_DEVICE][0] =
			(uint8_t)((d->reg[IDE_DEVICE][0] & 0xf0) | (last >> 24 & 0x0f));
	v3_ide_end(d);
}

static void ata_standby(struct ide_drive *d, uint8_t flags)
{
	(void)flags;
	d->standby = true;
	v3_ide_end(d);
}

static void ata_idle(struct ide_drive *d, uint8_t flags)
{
	(void)flags;
	d->standby = false;
	v3_ide_end(d);
}

/* CHECK POWER MODE, 8.6. */
static void ata_power_mode(struct ide_drive *d, uint8_t flags)
{
	(void)flags;
	d->reg[IDE_COUNT][0] = d->standby ? 0x00 : 0xff;
	v3_ide_end(d);
}

/* SET FEATURES, 8.46. */
static void ata_set_features(struct ide_drive *d, uint8_t flags)
{
	(void)flags;
	switch (d->reg[IDE_ERROR][0]) {
	case 0x02: /* write cache on */
		d->write_through = false;
		break;
	case 0x82: /* and off: what is in it is written first */
		d->write_through = true;
		ata_flush(d, 0);
		return;
	case 0x03:
		if (!v3_ide_set_mode(d, d->reg[IDE_COUNT][0])) {
			v3_ide_abort(d, IDE_ERROR_ABRT);
			return;
		}
		break;
	case 0x55: /* read look-ahead off, on: there is none to be seen */
	case 0xaa:
	case 0x66: /* keep settings over a software reset; these here never do */
	case 0xcc:
		break;
	default:
		v3_ide_abort(d, IDE_ERROR_ABRT);
		return;
	}
	v3_ide_end(d);
}

/* By command code; what is not here is aborted (9.1). */
static const struct ata_command ata_commands[256] = {
	[0x10 ... 0x1f] = {ata_nothing, 0}, /* RECALIBRATE (ATA-3) */
	[0x20] = {ata_transfer, 0},
	[0x21] = {ata_transfer, 0}, /* without retry (ATA-4) */
	[0x24] = {ata_transfer, ATA_F_EXT},
	[0x25] = {ata_transfer, ATA_F_EXT | ATA_F_DMA},
	[0x27] = {ata_native_max, ATA_F_EXT},
	[0x29] = {ata_transfer, ATA_F_EXT | ATA_F_MULTIPLE},
	[0x30] = {ata_transfer, ATA_F_WRITE},
	[0x31] = {ata_transfer, ATA_F_WRITE},
	[0x34] = {ata_transfer, ATA_F_WRITE | ATA_F_EXT},
	[0x35] = {ata_transfer, ATA_F_WRITE | ATA_F_EXT | ATA_F_DMA},
	[0x39] = {ata_transfer, ATA_F_WRITE | ATA_F_EXT | ATA_F_MULTIPLE},
	[0x40] = {ata_transfer, ATA_F_NO_DATA},
	[0x41] = {ata_transfer, ATA_F_NO_DATA},
	[0x42] = {ata_transfer, ATA_F_NO_DATA | ATA_F_EXT},
	[0x70] = {ata_nothing, 0}, /* SEEK */
	[0x91] = {ata_set_geometry, 0},
	[0xc4] = {ata_transfer, ATA_F_MULTIPLE},
	[0xc5] = {ata_transfer, ATA_F_WRITE | ATA_F_MULTIPLE},
	[0xc6] = {ata_set_multiple, 0},
	[0xc8] = {ata_transfer, ATA_F_DMA},
	[0xc9] = {ata_transfer, ATA_F_DMA},
	[0xca] = {ata_transfer, ATA_F_WRITE | ATA_F_DMA},
	[0xcb] = {ata_transfer, ATA_F_WRITE | ATA_F_DMA},
	[0xe0] = {ata_standby, 0}, /* STANDBY IMMEDIATE */
	[0xe1] = {ata_idle, 0},
	[0xe2] = {ata_standby, 0},
	[0xe3] = {ata_idle, 0},
	[0xe5] = {ata_power_mode, 0},
	[0xe6] = {ata_standby, 0}, /* SLEEP: any command wakes it */
	[0xe7] = {ata_flush, 0},
	[0xea] = {ata_flush, ATA_F_EXT},
	[0xec] = {ata_identify, 0},
	[0xef] = {ata_set_features, 0},
	[0xf8] = {ata_native_max, 0},
};

static void ata_do_command(struct ide_drive *d, uint8_t code)
{
	const struct ata_command *c = &ata_commands[code];

	if (c->fn)
		c->fn(d, c->flags);
	else
		ata_abort(d, 0);
}

/* The address registers tell the first sector that was not moved, 8.27. */
static void ata_failed(struct ide_drive *d, int err)
{
	const struct ide_xfer *x = &d->ch->x;
	uint64_t lba = x->offset / ATA_SECTOR;
	unsigned i;

	for (i = 0; i < 3; i++) {
		d->reg[IDE_LBA_LOW + i][0] = (uint8_t)(lba >> 8 * i);
		d->reg[IDE_LBA_LOW + i][1] = (uint8_t)(lba >> (24 + 8 * i));
	}
	v3_ide_abort(d, err == V3_EFAULT || x->write ? IDE_ERROR_ABRT : IDE_ERROR_UNC);
}

static void ata_reset(struct ide_drive *d, bool hard)
{
	(void)hard; /* what SET FEATURES set is not kept, 8.46.6 */
	d->heads = IDE_HEADS;
	d->spt = IDE_SPT;
	d->multiple = 0;
	d->write_through = false;
	d->standby = false;
}

const struct ide_kind v3_ide_ata = {
	.status_reset = IDE_STATUS_DRDY | IDE_STATUS_DSC,
	.command = ata_do_command,
	.failed = ata_failed,
	.reset = ata_reset,
};
