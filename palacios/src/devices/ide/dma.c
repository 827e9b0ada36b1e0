/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file dma.c
 * The bus master of a channel: its registers and the tables of physical regions that the guest gives it
 * ("Programming Interface for Bus Master IDE Controller" 1.0). Called by controller.c (registers), channel.c and
 * run.c; calls guest memory.
 */
#include "devices/ide/ide.h"

#include "palacios/error.h"
#include "palacios/mem.h"

/* Registers, 2.1 to 2.3; the table's address takes bytes 4 to 7. */
#define DMA_COMMAND 0u
#define DMA_STATUS  2u
#define DMA_TABLE   4u

#define DMA_COMMAND_START 0x01
#define DMA_COMMAND_READ  0x08 /* memory is written: the drive is read */
#define DMA_STATUS_ACTIVE 0x01
#define DMA_STATUS_ERROR  0x02
#define DMA_STATUS_INTR	  0x04
#define DMA_STATUS_USER	  0x60 /* "drive n can do DMA": for drivers among themselves */

/* A descriptor, 1.2 */
struct dma_region {
	uint32_t addr;	/* even */
	uint32_t count; /* bits 0-15: bytes, even, 0 is 64 KiB; bit 31: the last one */
};
#define DMA_REGION_LAST 0x80000000u

uint8_t v3_ide_dma_read(struct ide_channel *ch, unsigned off)
{
	const struct ide_dma *dma = &ch->dma;

	if (off == DMA_COMMAND)
		return dma->command;
	if (off == DMA_STATUS)
		return dma->status;
	return off >= DMA_TABLE ? (uint8_t)(dma->table >> 8 * (off - DMA_TABLE)) : 0;
}

/* Starting begins at the head of the table; a stop while the drive has the data moving takes effect when it is done. */
static void dma_write_command(struct ide_channel *ch, uint8_t value)
{
	struct ide_dma *dma = &ch->dma;
	bool started = value & ~dma->command & DMA_COMMAND_START;

	dma->command = value & (DMA_COMMAND_START | DMA_COMMAND_READ);
	if (!(value & DMA_COMMAND_START))
		dma->status &= (uint8_t)~DMA_STATUS_ACTIVE;
	if (!started || ch->phase == IDE_RUN)
		return;
	dma->status |= DMA_STATUS_ACTIVE;
	dma->next = dma->table;
	dma->left = 0;
	dma->last = false;
	v3_ide_dma_started(ch);
}

void v3_ide_dma_write(struct ide_channel *ch, unsigned off, uint8_t value)
{
	struct ide_dma *dma = &ch->dma;
	unsigned shift = 8 * (off & 3);

	if (off == DMA_COMMAND) {
		dma_write_command(ch, value);
	} else if (off == DMA_STATUS) {
		dma->status &= (uint8_t) ~(value & (DMA_STATUS_ERROR | DMA_STATUS_INTR));
		dma->status =
			(uint8_t)((dma->status & ~DMA_STATUS_USER) | (value & DMA_STATUS_USER));
	} else if (off >= DMA_TABLE) {
		dma->table = (dma->table & ~(0xffu << shift)) | (uint32_t)value << shift;
		dma->table &= ~3u;
	}
}

void v3_ide_dma_reset(struct ide_channel *ch)
{
	ch->dma = (struct ide_dma){0};
}

bool v3_ide_dma_ready(const struct ide_channel *ch, bool write)
{
	const uint8_t want = DMA_COMMAND_START | (write ? 0 : DMA_COMMAND_READ);

	return ch->dma.command == want && (ch->dma.status & DMA_STATUS_ACTIVE);
}

/* Load the next descriptor. The table may not leave its 64 KiB (1.2): there it begins again. */
static int dma_next(struct ide_channel *ch)
{
	struct ide_dma *dma = &ch->dma;
	struct dma_region region;

	if (!v3_pci_may_dma(ch->ide->func) ||
	    v3_mem_read(ch->ide->vm, dma->next, &region, sizeof(region)))
		return V3_EFAULT;
	dma->next = (dma->next & ~0xffffu) | ((dma->next + (uint32_t)sizeof(region)) & 0xffffu);
	dma->addr = region.addr & ~1u;
	dma->left = region.count & 0xfffe;
	if (!dma->left)
		dma->left = 0x10000;
	dma->last = region.count & DMA_REGION_LAST;
	return V3_OK;
}

/* Host address of the next bytes of the region; *len: at most so many, made less. NULL: not RAM. */
static void *dma_piece(struct ide_channel *ch, uint32_t *len)
{
	struct ide_dma *dma = &ch->dma;
	uint32_t page = (uint32_t)(V3_PAGE_SIZE - (dma->addr & (V3_PAGE_SIZE - 1)));
	void *p;

	if (*len > dma->left)
		*len = dma->left;
	p = v3_mem_ptr(ch->ide->vm, dma->addr, *len);
	if (!p && *len > page) {
		*len = page;
		p = v3_mem_ptr(ch->ide->vm, dma->addr, *len);
	}
	dma->addr += *len;
	dma->left -= *len;
	return p;
}

int v3_ide_dma_gather(struct ide_channel *ch, uint32_t max, uint32_t *len)
{
	struct ide_dma *dma = &ch->dma;
	uint32_t npieces = 0, n;
	void *p;
	int err;

	for (*len = 0; *len < max && npieces < IDE_PIECES; npieces++) {
		if (!dma->left && dma->last)
			break;
		if (!dma->left) {
			err = dma_next(ch);
			if (err)
				return err;
		}
		n = max - *len;
		ch->piece_gpa[npieces] = dma->addr;
		p = dma_piece(ch, &n);
		if (!p)
			return V3_EFAULT;
		ch->piece[npieces] = (struct v3_blk_piece){p, n};
		*len += n;
	}
	ch->req.piece = ch->piece;
	ch->req.npieces = npieces;
	return V3_OK;
}

void v3_ide_dma_wrote(struct ide_channel *ch)
{
	uint32_t i;

	for (i = 0; ch->x.dma && !ch->x.write && i < ch->req.npieces; i++)
		v3_mem_wrote(ch->ide->vm, ch->piece_gpa[i], ch->piece[i].len);
	ch->req.npieces = 0;
}

void v3_ide_dma_end(struct ide_channel *ch, bool failed)
{
	struct ide_dma *dma = &ch->dma;

	if (failed)
		dma->status |= DMA_STATUS_ERROR;
	if (failed ||
	    (dma->last && !dma->left)) /* else the table has more room than there were data, 3.1 */
		dma->status &= (uint8_t)~DMA_STATUS_ACTIVE;
}

void v3_ide_dma_interrupt(struct ide_channel *ch)
{
	ch->dma.status |= DMA_STATUS_INTR;
}
