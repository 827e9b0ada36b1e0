/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file mmc.c
 * The command packets of a CD-ROM drive: SPC-3 for those of every SCSI device, MMC-5 for the rest. The medium is one
 * data track; it can be ejected and loaded again. Called by atapi.c; calls it to answer.
 */
#include "devices/ide/ide.h"

#include "palacios/util/str.h"

#define MMC_NOT_READY	   IDE_SENSE(0x02, 0x3a, 0x00) /* medium not present */
#define MMC_BAD_COMMAND	   IDE_SENSE(0x05, 0x20, 0x00)
#define MMC_OUT_OF_RANGE   IDE_SENSE(0x05, 0x21, 0x00)
#define MMC_BAD_FIELD	   IDE_SENSE(0x05, 0x24, 0x00)
#define MMC_LOCKED	   IDE_SENSE(0x05, 0x53, 0x02)
#define MMC_MEDIUM_CHANGED IDE_SENSE(0x06, 0x28, 0x00)
#define MMC_CD_BLOCKS_MAX  0x6de00u /* 100 minutes: what is longer is a DVD */
#define MMC_PROFILE_CD	   0x0008
#define MMC_PROFILE_DVD	   0x0010
#define MMC_EVENT_EJECTED  3 /* media removal */
#define MMC_EVENT_LOADED   2 /* new media */
#define MMC_FRAMES_PER_S   75u
#define MMC_FRAMES_LEAD_IN 150u
#define MMC_TRACK_DATA	   0x14 /* ADR 1, control 4: data track */
#define MMC_TRACK_LEAD_OUT 0xaa

/* What a command may be given for. */
#define MMC_F_ALWAYS 1 /* also when unit attention is due */
#define MMC_F_MEDIUM 2 /* needs a medium */

struct mmc_command {
	void (*fn)(struct ide_drive *d, const uint8_t *cdb);
	uint8_t flags;
};

static uint32_t mmc_get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t mmc_get32(const uint8_t *p)
{
	return mmc_get16(p) << 16 | mmc_get16(p + 2);
}

static void mmc_put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void mmc_put32(uint8_t *p, uint32_t value)
{
	mmc_put16(p, value >> 16);
	mmc_put16(p + 2, value);
}

/* The buffer, @p n bytes of it zero. */
static uint8_t *mmc_answer(struct ide_drive *d, uint32_t n)
{
	memset(d->ch->buf, 0, n);
	return d->ch->buf;
}

static void mmc_nothing(struct ide_drive *d, const uint8_t *cdb)
{
	(void)cdb;
	v3_ide_end(d);
}

static void mmc_request_sense(struct ide_drive *d, const uint8_t *cdb)
{
	uint8_t *p = mmc_answer(d, 18);

	if (!d->sense) {
		d->sense = d->attention;
		d->attention = 0;
	}
	p[0] = 0x70;
	p[2] = (uint8_t)(d->sense >> 16);
	p[7] = 10;
	p[12] = (uint8_t)(d->sense >> 8);
	p[13] = (uint8_t)d->sense;
	d->sense = 0;
	v3_ide_atapi_reply(d, 18, cdb[4]);
}

static void mmc_inquiry(struct ide_drive *d, const uint8_t *cdb)
{
	uint8_t *p = mmc_answer(d, 36);

	if (cdb[1] & 3) { /* vital product data are not offered */
		v3_ide_atapi_check(d, MMC_BAD_FIELD);
		return;
	}
	p[0] = 0x05; /* CD-ROM */
	p[1] = 0x80; /* removable */
	p[3] = 0x21; /* ATAPI */
	p[4] = 31;
	memcpy(p + 8, "PALACIOSCD-ROM          1.0 ", 28);
	v3_ide_atapi_reply(d, 36, mmc_get16(cdb + 3));
}

/* START STOP UNIT, MMC-5 6.45: only load and eject mean something. */
static void mmc_start_stop(struct ide_drive *d, const uint8_t *cdb)
{
	bool eject = cdb[4] & 2, load = cdb[4] & 1;

	if (!(cdb[4] & 0xf0) && eject && !load) {
		if (d->locked) {
			v3_ide_atapi_check(d, MMC_LOCKED);
			return;
		}
		d->event = d->no_medium ? d->event : MMC_EVENT_EJECTED;
		d->no_medium = true;
	} else if (!(cdb[4] & 0xf0) && eject && d->no_medium) {
		d->no_medium = false;
		d->attention = MMC_MEDIUM_CHANGED;
		d->event = MMC_EVENT_LOADED;
	}
	v3_ide_end(d);
}

static void mmc_prevent(struct ide_drive *d, const uint8_t *cdb)
{
	d->locked = cdb[4] & 1;
	v3_ide_end(d);
}

static void mmc_read_capacity(struct ide_drive *d, const uint8_t *cdb)
{
	uint8_t *p = mmc_answer(d, 8);

	(void)cdb;
	mmc_put32(p, (uint32_t)(d->nblocks - 1));
	mmc_put32(p + 4, IDE_CD_BLOCK);
	v3_ide_atapi_reply(d, 8, 8);
}

static void mmc_read_blocks(struct ide_drive *d, uint32_t lba, uint32_t n)
{
	if (lba > d->nblocks || n > d->nblocks - lba)
		v3_ide_atapi_check(d, MMC_OUT_OF_RANGE);
	else
		v3_ide_atapi_read(d, lba, n);
}

static void mmc_read10(struct ide_drive *d, const uint8_t *cdb)
{
	mmc_read_blocks(d, mmc_get32(cdb + 2), mmc_get16(cdb + 7));
}

static void mmc_read12(struct ide_drive *d, const uint8_t *cdb)
{
	mmc_read_blocks(d, mmc_get32(cdb + 2), mmc_get32(cdb + 6));
}

/* READ CD, MMC-5 6.19: user data of any or of mode 1 sectors, or nothing at all. */
static void mmc_read_cd(struct ide_drive *d, const uint8_t *cdb)
{
	uint32_t type = cdb[1] >> 2 & 7, n = (uint32_t)cdb[6] << 16 | mmc_get16(cdb + 7);

	if ((type != 0 && type != 2) || (cdb[9] & ~0x10) || cdb[10])
		v3_ide_atapi_check(d, MMC_BAD_FIELD);
	else
		mmc_read_blocks(d, mmc_get32(cdb + 2), cdb[9] ? n : 0);
}

static void mmc_seek(struct ide_drive *d, const uint8_t *cdb)
{
	if (mmc_get32(cdb + 2) >= d->nblocks)
		v3_ide_atapi_check(d, MMC_OUT_OF_RANGE);
	else
		v3_ide_end(d);
}

/* A position as block number or as minutes, seconds, frames. */
static void mmc_put_position(uint8_t *p, uint32_t lba, bool msf)
{
	uint32_t frames = lba + MMC_FRAMES_LEAD_IN;

	if (!msf) {
		mmc_put32(p, lba);
		return;
	}
	p[0] = 0;
	p[1] = (uint8_t)(frames / (60 * MMC_FRAMES_PER_S));
	p[2] = (uint8_t)(frames / MMC_FRAMES_PER_S % 60);
	p[3] = (uint8_t)(frames % MMC_FRAMES_PER_S);
}

/* An entry of the table of contents. @return the one behind it */
static uint8_t *mmc_put_track(uint8_t *p, uint8_t track, uint64_t lba, bool msf)
{
	p[1] = MMC_TRACK_DATA;
	p[2] = track;
	mmc_put_position(p + 4, (uint32_t)lba, msf);
	return p + 8;
}

/* READ TOC/PMA/ATIP, MMC-5 6.26: formats 0 (tracks) and 1 (sessions). */
static void mmc_read_toc(struct ide_drive *d, const uint8_t *cdb)
{
	uint8_t format = cdb[2] & 15 ? cdb[2] & 15 : cdb[9] >> 6, first = cdb[6];
	uint8_t *p = mmc_answer(d, 20), *end = p + 4;
	bool msf = cdb[1] & 2;

	if (format > 1 || (!format && first > 1 && first != MMC_TRACK_LEAD_OUT)) {
		v3_ide_atapi_check(d, MMC_BAD_FIELD);
		return;
	}
	if (format || first <= 1)
		end = mmc_put_track(end, 1, 0, msf);
	if (!format)
		end = mmc_put_track(end, MMC_TRACK_LEAD_OUT, d->nblocks, msf);
	mmc_put16(p, (uint32_t)(end - p) - 2);
	p[2] = p[3] = 1; /* first and last track, or session */
	v3_ide_atapi_reply(d, (uint32_t)(end - p), mmc_get16(cdb + 7));
}

/* READ DISC INFORMATION, MMC-5 6.22: complete, one session of one track. */
static void mmc_disc_information(struct ide_drive *d, const uint8_t *cdb)
{
	uint8_t *p = mmc_answer(d, 34);

	mmc_put16(p, 32);
	p[2] = 0x0e;
	p[3] = p[4] = p[5] = p[6] = 1;
	p[7] = 0x20; /* unrestricted use */
	memset(p + 16, 0xff, 8);
	v3_ide_atapi_reply(d, 34, mmc_get16(cdb + 7));
}

static uint32_t mmc_profile(const struct ide_drive *d)
{
	return d->nblocks > MMC_CD_BLOCKS_MAX ? MMC_PROFILE_DVD : MMC_PROFILE_CD;
}

/* One feature of GET CONFIGURATION with @p n bytes of its own at p + 4. @return the place behind it */
static uint8_t *mmc_put_feature(uint8_t *p, uint16_t code, uint8_t n)
{
	mmc_put16(p, code);
	p[2] = 0x03; /* persistent, current */
	p[3] = n;
	return p + 4 + n;
}

/* GET CONFIGURATION, MMC-5 6.5: profile list, core, removable medium, random readable. */
static void mmc_get_configuration(struct ide_drive *d, const uint8_t *cdb)
{
	static const struct {
		uint8_t code, len, at;
		uint8_t bytes[2]; /* at that offset */
	} features[] = {
		{0x00, 8, 0, {0, 0}},
		{0x01, 8, 3, {0x02, 0}},    /* ATAPI */
		{0x03, 4, 0, {0x29, 0}},    /* tray, can be ejected and locked */
		{0x10, 8, 2, {0x08, 0x00}}, /* blocks of 2048 bytes */
	};
	uint32_t type = cdb[1] & 3, first = mmc_get16(cdb + 2), i;
	uint32_t profile = d->no_medium ? 0 : mmc_profile(d);
	uint8_t *p = mmc_answer(d, 128), *end = p + 8, *f;

	for (i = 0; i < V3_ARRAY_SIZE(features); i++) {
		if (type == 2 ? features[i].code != first : features[i].code < first)
			continue;
		f = end + 4;
		end = mmc_put_feature(end, features[i].code, features[i].len);
		memcpy(f + features[i].at, features[i].bytes, sizeof(features[i].bytes));
		if (!features[i].code) {
			mmc_put16(f, MMC_PROFILE_DVD);
			f[2] = profile == MMC_PROFILE_DVD;
			mmc_put16(f + 4, MMC_PROFILE_CD);
			f[6] = profile == MMC_PROFILE_CD;
		}
	}
	mmc_put32(p, (uint32_t)(end - p) - 4);
	mmc_put16(p + 6, profile);
	v3_ide_atapi_reply(d, (uint32_t)(end - p), mmc_get16(cdb + 7));
}

/* GET EVENT STATUS NOTIFICATION, MMC-5 6.6: media events, when asked. */
static void mmc_get_event(struct ide_drive *d, const uint8_t *cdb)
{
	uint8_t *p = mmc_answer(d, 8);

	if (!(cdb[1] & 1)) { /* without "immediate" it would have to wait */
		v3_ide_atapi_check(d, MMC_BAD_FIELD);
		return;
	}
	p[3] = 0x10; /* the class there is */
	if (!(cdb[4] & 0x10)) {
		mmc_put16(p, 2);
		p[2] = 0x80;
		v3_ide_atapi_reply(d, 4, mmc_get16(cdb + 7));
		return;
	}
	mmc_put16(p, 6);
	p[2] = 4;
	p[4] = d->event;
	p[5] = d->no_medium ? 1 : 2; /* tray open; medium there */
	d->event = 0;
	v3_ide_atapi_reply(d, 8, mmc_get16(cdb + 7));
}

/* MODE SENSE (10), SPC-3 6.10: pages 1 (error recovery) and 0x2a (capabilities), current values. */
static void mmc_mode_sense(struct ide_drive *d, const uint8_t *cdb)
{
	uint8_t page = cdb[2] & 0x3f;
	uint8_t *p = mmc_answer(d, 64), *end = p + 8;

	if ((page != 0x01 && page != 0x2a && page != 0x3f) || cdb[2] >> 6 == 3) {
		v3_ide_atapi_check(d, MMC_BAD_FIELD);
		return;
	}
	if (page != 0x2a) {
		end[0] = 0x01;
		end[1] = 6;
		end[3] = 5; /* retries */
		end += 8;
	}
	if (page != 0x01) {
		end[0] = 0x2a;
		end[1] = 18;
		end[6] = (uint8_t)(0x29 | (d->locked ? 2 : 0)); /* tray, eject, lock */
		mmc_put16(end + 8, 706);			/* KB/s: 4x */
		mmc_put16(end + 12, 32);			/* KB of buffer */
		mmc_put16(end + 14, 706);
		end += 20;
	}
	mmc_put16(p, (uint32_t)(end - p) - 2);
	p[2] = d->no_medium ? 0x70 : 0x01;
	v3_ide_atapi_reply(d, (uint32_t)(end - p), mmc_get16(cdb + 7));
}

/* By operation code. */
static const struct mmc_command mmc_commands[256] = {
	[0x00] = {mmc_nothing, MMC_F_MEDIUM}, /* TEST UNIT READY */
	[0x03] = {mmc_request_sense, MMC_F_ALWAYS},
	[0x12] = {mmc_inquiry, MMC_F_ALWAYS},
	[0x1b] = {mmc_start_stop, 0},
	[0x1e] = {mmc_prevent, 0},
	[0x25] = {mmc_read_capacity, MMC_F_MEDIUM},
	[0x28] = {mmc_read10, MMC_F_MEDIUM},
	[0x2b] = {mmc_seek, MMC_F_MEDIUM},
	[0x43] = {mmc_read_toc, MMC_F_MEDIUM},
	[0x46] = {mmc_get_configuration, MMC_F_ALWAYS},
	[0x4a] = {mmc_get_event, MMC_F_ALWAYS},
	[0x51] = {mmc_disc_information, MMC_F_MEDIUM},
	[0x5a] = {mmc_mode_sense, 0},
	[0xa8] = {mmc_read12, MMC_F_MEDIUM},
	[0xbb] = {mmc_nothing, 0}, /* SET CD SPEED */
	[0xbe] = {mmc_read_cd, MMC_F_MEDIUM},
};

void v3_ide_mmc_command(struct ide_drive *d, const uint8_t *cdb)
{
	const struct mmc_command *c = &mmc_commands[cdb[0]];

	if (cdb[0] != 0x03)
		d->sense = 0;
	if (!c->fn) {
		v3_ide_atapi_check(d, MMC_BAD_COMMAND);
	} else if (d->attention && !(c->flags & MMC_F_ALWAYS)) {
		v3_ide_atapi_check(d, d->attention);
		d->attention = 0;
	} else if (d->no_medium && (c->flags & MMC_F_MEDIUM)) {
		v3_ide_atapi_check(d, MMC_NOT_READY);
	} else {
		c->fn(d, cdb);
	}
}
