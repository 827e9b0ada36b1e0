/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file identify.c
 * What the drives tell about themselves: IDENTIFY DEVICE and IDENTIFY PACKET DEVICE (ATA/ATAPI-6, 8.15 and 8.16), and
 * the transfer modes they say they have. Called by ata.c and atapi.c.
 */
#include "devices/ide/ide.h"

#include "palacios/util/str.h"

#define IDENTIFY_CYL_MAX 16383
#define IDENTIFY_LBA28	 0x0fffffffull

struct identify_word {
	uint8_t word;
	uint16_t value;
};

/* What is the same for all: modes PIO 0 to 4 and multiword DMA 0 to 2; the controller has no Ultra DMA. */
static const struct identify_word identify_common[] = {
	{49, 0x0b00}, /* IORDY, LBA, DMA */
	{51, 0x0200}, /* PIO mode 2 without IORDY */
	{53, 0x0003}, /* words 54-58 and 64-70 are valid, but not 88, of Ultra DMA */
	{64, 0x0003}, /* PIO modes 3 and 4 */
	{65, 120},    /* nanoseconds of a cycle of DMA and PIO */
	{66, 120},    {67, 120}, {68, 120}, {80, 0x007e}, /* ATA-1 to ATA/ATAPI-6 */
};

static const struct identify_word identify_disk[] = {
	{0, 0x0040}, /* not removable */
	{3, IDE_HEADS}, {6, IDE_SPT}, {47, 0x8000 | IDE_MULTIPLE},
	{50, 0x4000},	{82, 0x0068}, /* look-ahead, write cache, power management */
	{83, 0x7400},		      /* FLUSH CACHE (EXT), 48-bit addresses */
	{84, 0x4000},	{86, 0x3400}, {87, 0x4000},
};

static const struct identify_word identify_cdrom[] = {
	{0, 0x85c0},  /* ATAPI, CD-ROM, removable, DRQ within 50 us, packets of 12 bytes */
	{82, 0x0218}, /* DEVICE RESET, PACKET, power management */
	{83, 0x4000}, {84, 0x4000}, {85, 0x0218}, {87, 0x4000},
};

static void identify_put(uint8_t *buf, unsigned word, uint32_t value)
{
	buf[2 * word] = (uint8_t)value;
	buf[2 * word + 1] = (uint8_t)(value >> 8);
}

static void identify_put_table(uint8_t *buf, const struct identify_word *w, unsigned n)
{
	for (; n; n--, w++)
		identify_put(buf, w->word, w->value);
}

static void identify_put_long(uint8_t *buf, unsigned word, uint64_t value, unsigned nwords)
{
	for (; nwords; nwords--, word++, value >>= 16)
		identify_put(buf, word, (uint16_t)value);
}

/* The first character is in the high byte of the first word; padded with spaces. */
static void identify_put_text(uint8_t *buf, unsigned word, const char *text, unsigned len)
{
	unsigned i;

	for (i = 0; i < len; i++)
		buf[(2 * word + i) ^ 1] = (uint8_t)(*text ? *text++ : ' ');
}

static void identify_begin(const struct ide_drive *d, uint8_t *buf, const char *model)
{
	memset(buf, 0, ATA_SECTOR);
	identify_put_table(buf, identify_common, V3_ARRAY_SIZE(identify_common));
	identify_put_text(buf, 10, d->serial, sizeof(d->serial));
	identify_put_text(buf, 23, "1.0", 8);
	identify_put_text(buf, 27, model, 40);
	identify_put(buf, 63, 0x0007 | (d->mode >= 0x20 ? 0x100u << (d->mode & 7) : 0));
}

/* Word 255: a signature, and a byte that makes the sum 0. */
static void identify_seal(uint8_t *buf)
{
	uint8_t sum = 0;
	unsigned i;

	buf[510] = 0xa5;
	for (i = 0; i < 511; i++)
		sum = (uint8_t)(sum + buf[i]);
	buf[511] = (uint8_t)-sum;
}

void v3_ide_identify_disk(const struct ide_drive *d, uint8_t *buf)
{
	uint64_t cyls = d->nblocks / (IDE_HEADS * IDE_SPT), now;

	identify_begin(d, buf, "Palacios IDE disk");
	identify_put_table(buf, identify_disk, V3_ARRAY_SIZE(identify_disk));
	if (cyls > IDENTIFY_CYL_MAX)
		cyls = IDENTIFY_CYL_MAX;
	identify_put(buf, 1, (uint32_t)cyls);
	now = d->nblocks / ((uint32_t)d->heads * d->spt);
	if (now > 65535)
		now = 65535;
	identify_put(buf, 54, (uint32_t)now);
	identify_put(buf, 55, d->heads);
	identify_put(buf, 56, d->spt);
	identify_put_long(buf, 57, now * d->heads * d->spt, 2);
	if (d->multiple)
		identify_put(buf, 59, 0x100u | d->multiple);
	identify_put_long(buf, 60, d->nblocks < IDENTIFY_LBA28 ? d->nblocks : IDENTIFY_LBA28, 2);
	identify_put(buf, 85, d->write_through ? 0x0048 : 0x0068);
	identify_put_long(buf, 100, d->nblocks, 4);
	identify_seal(buf);
}

void v3_ide_identify_cdrom(const struct ide_drive *d, uint8_t *buf)
{
	identify_begin(d, buf, "Palacios CD-ROM");
	identify_put_table(buf, identify_cdrom, V3_ARRAY_SIZE(identify_cdrom));
	identify_seal(buf);
}

/* PIO default (0, 1), PIO modes 0 to 4 with flow control (8 + n), multiword DMA 0 to 2 (0x20 + n). */
bool v3_ide_set_mode(struct ide_drive *d, uint8_t mode)
{
	if (mode > 1 && (mode < 8 || mode > 12) && (mode < 0x20 || mode > 0x22))
		return false;
	d->mode = mode;
	return true;
}
