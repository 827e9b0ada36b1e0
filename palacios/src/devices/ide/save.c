/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file save.c
 * Saved state of drives and channels (palacios/save.h). Reached from controller.c's table; calls run.c.
 *
 * A command that moves data is saved between two of its steps. What is loaded must have a drive to go on with and keep
 * to the buffer; addresses and lengths on a disk and in guest memory are checked by each step.
 */
#include "devices/ide/ide.h"

#include "palacios/error.h"

/* ---- drives ---- */

static bool save_geometry_possible(const struct ide_drive *d)
{
	return d->heads && d->heads <= IDE_HEADS && d->spt && d->spt <= IDE_SPT &&
	       d->multiple <= IDE_MULTIPLE;
}

static int save_drive_loaded(void *state)
{
	const struct ide_drive *d = state;

	return d->kind != &v3_ide_ata || save_geometry_possible(d) ? V3_OK : V3_EINVAL;
}

static const struct v3_save_field save_drive_fields[] = {
	V3_SAVE_NOT(struct ide_drive, ch),
	V3_SAVE_NOT(struct ide_drive, kind),
	V3_SAVE_PARTS_AT(struct ide_drive, blk, &v3_blk_save),
	V3_SAVE_NOT(struct ide_drive, serial),
	V3_SAVE_NOT(struct ide_drive, nblocks),
	V3_SAVE_NOT(struct ide_drive, unit),
	V3_SAVE(struct ide_drive, reg),
	V3_SAVE(struct ide_drive, error),
	V3_SAVE(struct ide_drive, status),
	V3_SAVE(struct ide_drive, mode),
	V3_SAVE(struct ide_drive, multiple),
	V3_SAVE(struct ide_drive, heads),
	V3_SAVE(struct ide_drive, spt),
	V3_SAVE(struct ide_drive, write_through),
	V3_SAVE(struct ide_drive, standby),
	V3_SAVE(struct ide_drive, sense),
	V3_SAVE(struct ide_drive, attention),
	V3_SAVE(struct ide_drive, no_medium),
	V3_SAVE(struct ide_drive, locked),
	V3_SAVE(struct ide_drive, event),
	V3_SAVE_END,
};
const struct v3_save_table v3_ide_drive_save = {
	.fields = save_drive_fields, .size = sizeof(struct ide_drive), .loaded = save_drive_loaded};

/* ---- channels ---- */

static const struct v3_save_field save_xfer_fields[] = {
	V3_SAVE(struct ide_xfer, write),
	V3_SAVE(struct ide_xfer, dma),
	V3_SAVE(struct ide_xfer, disk),
	V3_SAVE(struct ide_xfer, packet),
	V3_SAVE(struct ide_xfer, flush),
	V3_SAVE_NOT(struct ide_xfer, quiet), /* of the first block, which the guest sees at once */
	V3_SAVE(struct ide_xfer, silent),
	V3_SAVE(struct ide_xfer, chunk),
	V3_SAVE(struct ide_xfer, offset),
	V3_SAVE(struct ide_xfer, left),
	V3_SAVE(struct ide_xfer, pos),
	V3_SAVE(struct ide_xfer, len),
	V3_SAVE(struct ide_xfer, drq_end),
	V3_SAVE_NOT(struct ide_xfer, step),
	V3_SAVE_END,
};
static const struct v3_save_table save_xfer = {.fields = save_xfer_fields,
					       .size = sizeof(struct ide_xfer)};

static const struct v3_save_field save_dma_fields[] = {
	V3_SAVE(struct ide_dma, command), V3_SAVE(struct ide_dma, status),
	V3_SAVE(struct ide_dma, table),	  V3_SAVE(struct ide_dma, next),
	V3_SAVE(struct ide_dma, addr),	  V3_SAVE(struct ide_dma, left),
	V3_SAVE(struct ide_dma, last),	  V3_SAVE_END,
};
static const struct v3_save_table save_dma = {.fields = save_dma_fields,
					      .size = sizeof(struct ide_dma)};

/* Is there a position in the buffer for the data register, or for the step that comes next? */
static bool save_xfer_possible(const struct ide_xfer *x)
{
	if (x->pos > x->len || x->len > IDE_BUF)
		return false;
	if (!x->disk)
		return !x->left;
	return !x->write || x->dma || !x->left || x->len <= x->left;
}

static bool save_phase_possible(const struct ide_channel *ch)
{
	const struct ide_xfer *x = &ch->x;
	const struct ide_drive *d = ch->drive[ch->active];

	switch (ch->phase) {
	case IDE_IDLE:
		return true;
	case IDE_PIO:
		return d && save_xfer_possible(x) && !x->dma && x->pos <= x->drq_end &&
		       x->drq_end <= x->len && (!x->packet || d->kind->packet);
	case IDE_WAIT_DMA:
		return d && save_xfer_possible(x) && x->dma;
	case IDE_RUN:
		return d && save_xfer_possible(x) && (x->dma || x->disk);
	case IDE_STALL:
		return d;
	}
	return false;
}

static void save_channel_settle(void *state)
{
	v3_ide_run_settle(state);
}

static int save_channel_loaded(void *state)
{
	struct ide_channel *ch = state;

	if (ch->active >= IDE_NDRIVES || ch->selected >= IDE_NDRIVES || !save_phase_possible(ch))
		return V3_EINVAL;
	v3_ide_run_loaded(ch);
	return V3_OK;
}

static const struct v3_save_field save_channel_fields[] = {
	V3_SAVE_NOT(struct ide_channel, ide),
	V3_SAVE_NOT(struct ide_channel, index),
	V3_SAVE_NOT(struct ide_channel, lock),
	V3_SAVE_NOT(struct ide_channel, drive),
	V3_SAVE(struct ide_channel, active),
	V3_SAVE(struct ide_channel, selected),
	V3_SAVE(struct ide_channel, control),
	V3_SAVE(struct ide_channel, intrq),
	V3_SAVE_NOT(struct ide_channel, start), /* only within an access */
	V3_SAVE(struct ide_channel, reset_after),
	V3_SAVE(struct ide_channel, phase),
	V3_SAVE_PARTS(struct ide_channel, x, &save_xfer),
	V3_SAVE_PARTS(struct ide_channel, dma, &save_dma),
	V3_SAVE_AT(struct ide_channel, buf, IDE_BUF),
	V3_SAVE_NOT(struct ide_channel, req), /* this and what follows: of a step */
	V3_SAVE_NOT(struct ide_channel, piece),
	V3_SAVE_NOT(struct ide_channel, piece_gpa),
	V3_SAVE_NOT(struct ide_channel, work),
	V3_SAVE_NOT(struct ide_channel, resume),
	V3_SAVE_NOT(struct ide_channel, result),
	V3_SAVE_END,
};
static const struct v3_save_table save_channel = {
	.fields = save_channel_fields,
	.size = sizeof(struct ide_channel),
	.settle = save_channel_settle,
	.loaded = save_channel_loaded,
};

static const struct v3_save_field save_ide_fields[] = {
	V3_SAVE_NOT(struct ide, vm),
	V3_SAVE_PARTS_AT(struct ide, func, &v3_pci_func_save),
	V3_SAVE_PARTS(struct ide, channel, &save_channel),
	V3_SAVE_END,
};
const struct v3_save_table v3_ide_save = {.fields = save_ide_fields, .size = sizeof(struct ide)};
