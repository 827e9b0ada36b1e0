/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file atapi.c
 * CD-ROM drives on an IDE channel: the commands of the packet feature set (ATA/ATAPI-6, 6.8 and 9.7 to 9.9). What is
 * in the packets is mmc.c's affair. Called by channel.c; calls it and mmc.c.
 */
#include "devices/ide/ide.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

/* Features of PACKET, 8.23 */
#define ATAPI_DMA     0x01
#define ATAPI_OVERLAP 0x02

/* Interrupt reason, in place of the sector count: 1 command, 2 to the host. */
#define ATAPI_REASON_COMMAND 1
#define ATAPI_REASON_DATA_IN 2
#define ATAPI_REASON_STATUS  3

#define ATAPI_LIMIT_MAX 0xfffeu

/* Bytes of a data block that the guest wants at most, 8.23.5.3; an even number. */
static uint32_t atapi_limit(const struct ide_drive *d)
{
	uint32_t limit = d->reg[IDE_LBA_MID][0] | (uint32_t)d->reg[IDE_LBA_HIGH][0] << 8;

	limit &= ~1u;
	return limit ? limit : ATAPI_LIMIT_MAX;
}

static bool atapi_dma(const struct ide_drive *d)
{
	return d->reg[IDE_ERROR][0] & ATAPI_DMA;
}

void v3_ide_atapi_reply(struct ide_drive *d, uint32_t len, uint32_t max)
{
	const struct ide_xfer x = {
		.len = len < max ? len : max, .chunk = atapi_limit(d), .dma = atapi_dma(d)};

	if (x.len)
		v3_ide_begin(d, &x);
	else
		v3_ide_end(d);
}

void v3_ide_atapi_read(struct ide_drive *d, uint32_t lba, uint32_t nblocks)
{
	const struct ide_xfer x = {
		.disk = true,
		.chunk = atapi_limit(d),
		.dma = atapi_dma(d),
		.offset = (uint64_t)lba * IDE_CD_BLOCK,
		.left = (uint64_t)nblocks * IDE_CD_BLOCK,
	};

	if (x.left)
		v3_ide_begin(d, &x);
	else
		v3_ide_end(d);
}

void v3_ide_atapi_check(struct ide_drive *d, uint32_t sense)
{
	d->sense = sense;
	v3_ide_abort(d, (uint8_t)(sense >> 16 << 4 | IDE_ERROR_ABRT));
}

/* Registers of the packet protocol, 9.8. */
static void atapi_data(struct ide_drive *d, uint32_t n)
{
	if (!n) {
		d->reg[IDE_COUNT][0] = ATAPI_REASON_STATUS;
	} else if (d->ch->x.packet) {
		d->reg[IDE_COUNT][0] = ATAPI_REASON_COMMAND;
	} else {
		d->reg[IDE_COUNT][0] = ATAPI_REASON_DATA_IN;
		d->reg[IDE_LBA_MID][0] = (uint8_t)n;
		d->reg[IDE_LBA_HIGH][0] = (uint8_t)(n >> 8);
	}
}

static void atapi_packet(struct ide_drive *d)
{
	uint8_t cdb[IDE_CDB_LEN];

	memcpy(cdb, d->ch->buf, sizeof(cdb));
	v3_ide_mmc_command(d, cdb);
}

static void atapi_begin_packet(struct ide_drive *d)
{
	const struct ide_xfer x = {.packet = true,
				   .write = true,
				   .quiet = true,
				   .len = IDE_CDB_LEN,
				   .chunk = IDE_CDB_LEN};

	if (d->reg[IDE_ERROR][0] & ATAPI_OVERLAP)
		v3_ide_abort(d, IDE_ERROR_ABRT);
	else
		v3_ide_begin(d, &x);
}

static void atapi_identify(struct ide_drive *d)
{
	const struct ide_xfer x = {.len = ATA_SECTOR, .chunk = ATA_SECTOR, .silent = true};

	v3_ide_identify_cdrom(d, d->ch->buf);
	v3_ide_begin(d, &x);
}

/* No interrupt, and DRDY is not set before the first PACKET (9.11). */
static void atapi_device_reset(struct ide_drive *d)
{
	d->ch->phase = IDE_IDLE;
	v3_ide_signature(d);
}

/* A command for disks: it fails, and the registers say why (9.12). */
static void atapi_foreign(struct ide_drive *d)
{
	v3_ide_abort(d, IDE_ERROR_ABRT);
	d->reg[IDE_COUNT][0] = 1;
	d->reg[IDE_LBA_LOW][0] = 1;
	d->reg[IDE_LBA_MID][0] = d->kind->signature_mid;
	d->reg[IDE_LBA_HIGH][0] = d->kind->signature_high;
}

static void atapi_command(struct ide_drive *d, uint8_t code)
{
	switch (code) {
	case 0x08:
		atapi_device_reset(d);
		break;
	case 0xa0:
		atapi_begin_packet(d);
		break;
	case 0xa1:
		atapi_identify(d);
		break;
	case 0xe5: /* CHECK POWER MODE */
		v3_ide_end(d);
		d->reg[IDE_COUNT][0] = 0xff;
		break;
	case 0xe0: /* power management, FLUSH CACHE: nothing to do */
	case 0xe1:
	case 0xe2:
	case 0xe3:
	case 0xe6:
	case 0xe7:
		v3_ide_end(d);
		break;
	case 0xef: /* SET FEATURES: the transfer mode alone */
		if (d->reg[IDE_ERROR][0] == 0x03 && v3_ide_set_mode(d, d->reg[IDE_COUNT][0]))
			v3_ide_end(d);
		else
			v3_ide_abort(d, IDE_ERROR_ABRT);
		break;
	default:
		atapi_foreign(d);
		break;
	}
}

static void atapi_failed(struct ide_drive *d, int err)
{
	/* Aborted command, or an error of the medium: unrecovered read error. */
	v3_ide_atapi_check(d, err == V3_EFAULT ? IDE_SENSE(0x0b, 0x00, 0x00)
					       : IDE_SENSE(0x03, 0x11, 0x00));
}

static void atapi_reset(struct ide_drive *d, bool hard)
{
	d->sense = 0;
	d->locked = false;
	if (!hard)
		return;
	d->attention = IDE_SENSE(0x06, 0x29, 0x00); /* power on or reset */
	d->no_medium = false;
	d->event = 0;
}

const struct ide_kind v3_ide_atapi = {
	.signature_mid = 0x14,
	.signature_high = 0xeb,
	.command = atapi_command,
	.packet = atapi_packet,
	.data = atapi_data,
	.failed = atapi_failed,
	.reset = atapi_reset,
};
