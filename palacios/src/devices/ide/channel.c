/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file channel.c
 * An IDE channel as its drives and the guest see it: task file, data register, interrupt line, resets (ATA/ATAPI-6,
 * 7 and 9). Called by controller.c, by the drives and by run.c; calls the drives. Lock held everywhere.
 */
#include "devices/ide/ide.h"

#include "palacios/intr.h"
#include "palacios/platform.h"
#include "palacios/util/str.h"

#define CHANNEL_DEVICE_RESET 0x08
#define CHANNEL_DIAGNOSE     0x90
#define CHANNEL_READY	     (IDE_STATUS_DRDY | IDE_STATUS_DSC)

/* ---- interrupt ---- */

static void channel_drive_line(struct ide_channel *ch)
{
	v3_irq_set(ch->ide->vm, V3_PC_IRQ_IDE(ch->index),
		   ch->intrq && !(ch->control & IDE_CONTROL_NIEN));
}

static void channel_interrupt(struct ide_channel *ch, bool on)
{
	if (on == ch->intrq)
		return;
	ch->intrq = on;
	if (on && !(ch->control & IDE_CONTROL_NIEN))
		v3_ide_dma_interrupt(ch);
	channel_drive_line(ch);
}

/* ---- phases ---- */

static void channel_enter_run(struct ide_channel *ch)
{
	ch->phase = IDE_RUN;
	v3_ide_active(ch)->status = IDE_STATUS_BSY;
	ch->start = true;
}

static void channel_finish(struct ide_drive *d, uint8_t status)
{
	struct ide_channel *ch = d->ch;

	ch->phase = IDE_IDLE;
	d->status = status;
	if (d->kind->data)
		d->kind->data(d, 0);
	channel_interrupt(ch, true);
}

void v3_ide_end(struct ide_drive *d)
{
	channel_finish(d, CHANNEL_READY);
}

void v3_ide_abort(struct ide_drive *d, uint8_t error)
{
	d->error = error;
	channel_finish(d, CHANNEL_READY | IDE_STATUS_ERR);
}

void v3_ide_data_block(struct ide_channel *ch)
{
	struct ide_drive *d = v3_ide_active(ch);
	struct ide_xfer *x = &ch->x;
	uint32_t n = x->len - x->pos;

	if (n > x->chunk)
		n = x->chunk;
	x->drq_end = x->pos + n;
	ch->phase = IDE_PIO;
	d->status = CHANNEL_READY | IDE_STATUS_DRQ;
	if (d->kind->data)
		d->kind->data(d, n);
	if (!x->quiet)
		channel_interrupt(ch, true);
	x->quiet = false;
}

void v3_ide_begin(struct ide_drive *d, const struct ide_xfer *x)
{
	struct ide_channel *ch = d->ch;

	ch->x = *x;
	if (x->dma && !v3_ide_dma_ready(ch, x->write)) {
		ch->phase = IDE_WAIT_DMA;
		d->status = CHANNEL_READY | IDE_STATUS_DRQ;
	} else if (x->dma || (x->disk && (!x->write || !x->left))) {
		channel_enter_run(ch);
	} else {
		if (x->disk)
			ch->x.len = x->left < IDE_BUF ? (uint32_t)x->left : IDE_BUF;
		v3_ide_data_block(ch);
	}
}

void v3_ide_dma_started(struct ide_channel *ch)
{
	if (ch->phase == IDE_WAIT_DMA && v3_ide_dma_ready(ch, ch->x.write))
		channel_enter_run(ch);
}

/* The guest has moved a data block. */
static void channel_block_done(struct ide_channel *ch)
{
	struct ide_xfer *x = &ch->x;
	struct ide_drive *d = v3_ide_active(ch);

	if (x->pos < x->len) {
		v3_ide_data_block(ch);
	} else if (x->packet) {
		ch->phase = IDE_IDLE;
		d->kind->packet(d);
	} else if (x->left) {
		channel_enter_run(ch);
	} else if (x->silent) {
		ch->phase = IDE_IDLE;
		d->status = CHANNEL_READY;
	} else {
		v3_ide_end(d);
	}
}

/* Room for an access of the data register now; 0: none, the phase is another. */
static uint32_t channel_data(const struct ide_channel *ch, bool write, unsigned size)
{
	uint32_t n = ch->x.drq_end - ch->x.pos;

	if (ch->phase != IDE_PIO || ch->x.write != write)
		return 0;
	return n < size ? n : size;
}

static void channel_moved(struct ide_channel *ch, uint32_t n)
{
	ch->x.pos += n;
	if (n && ch->x.pos == ch->x.drq_end)
		channel_block_done(ch);
}

uint32_t v3_ide_read_data(struct ide_channel *ch, unsigned size)
{
	uint32_t n = channel_data(ch, false, size), value = ~0u;

	memcpy(&value, ch->buf + ch->x.pos, n);
	channel_moved(ch, n);
	return value;
}

void v3_ide_write_data(struct ide_channel *ch, unsigned size, uint32_t value)
{
	uint32_t n = channel_data(ch, true, size);

	memcpy(ch->buf + ch->x.pos, &value, n);
	channel_moved(ch, n);
}

/* ---- resets ---- */

void v3_ide_signature(struct ide_drive *d)
{
	memset(d->reg, 0, sizeof(d->reg));
	d->reg[IDE_COUNT][0] = 1;
	d->reg[IDE_LBA_LOW][0] = 1;
	d->reg[IDE_LBA_MID][0] = d->kind->signature_mid;
	d->reg[IDE_LBA_HIGH][0] = d->kind->signature_high;
	d->error = 1; /* the drive's self test passed, 9.10 */
	d->status = d->kind->status_reset;
}

/* Both drives, 9.2 and 9.10. */
static void channel_signatures(struct ide_channel *ch)
{
	unsigned i;

	ch->phase = IDE_IDLE;
	ch->selected = 0;
	for (i = 0; i < IDE_NDRIVES; i++) {
		if (ch->drive[i])
			v3_ide_signature(ch->drive[i]);
	}
}

static void channel_reset(struct ide_channel *ch, bool hard)
{
	unsigned i;

	ch->reset_after = false;
	channel_signatures(ch);
	channel_interrupt(ch, false);
	for (i = 0; i < IDE_NDRIVES; i++) {
		if (ch->drive[i])
			ch->drive[i]->kind->reset(ch->drive[i], hard);
	}
}

void v3_ide_soft_reset(struct ide_channel *ch)
{
	channel_reset(ch, false);
}

void v3_ide_reset(struct ide_channel *ch)
{
	ch->control = 0;
	ch->start = false;
	v3_ide_dma_reset(ch);
	channel_reset(ch, true);
}

/* ---- control block, 7.4 and 7.9 ---- */

uint8_t v3_ide_read_status(struct ide_channel *ch)
{
	const struct ide_drive *d = v3_ide_selected(ch);

	if (!d)
		return 0; /* the other drive answers for it, 9.16.1 */
	return ch->control & IDE_CONTROL_SRST ? IDE_STATUS_BSY : d->status;
}

void v3_ide_write_control(struct ide_channel *ch, uint8_t value)
{
	bool reset = value & ~ch->control & IDE_CONTROL_SRST;

	ch->control = value & (IDE_CONTROL_NIEN | IDE_CONTROL_SRST | IDE_CONTROL_HOB);
	channel_drive_line(ch);
	if (!reset)
		return;
	if (ch->phase == IDE_RUN)
		ch->reset_after = true;
	else
		v3_ide_soft_reset(ch);
}

/* ---- command block ---- */

uint8_t v3_ide_read(struct ide_channel *ch, unsigned reg)
{
	const struct ide_drive *d = v3_ide_selected(ch);

	if (reg == IDE_STATUS) {
		channel_interrupt(ch, false);
		return v3_ide_read_status(ch);
	}
	if (!d)
		d = ch->drive[!ch->selected];
	if (reg == IDE_ERROR)
		return d->error;
	return d->reg[reg][ch->control & IDE_CONTROL_HOB ? 1 : 0];
}

static void channel_command(struct ide_channel *ch, uint8_t code)
{
	struct ide_drive *d = v3_ide_selected(ch);

	if (code == CHANNEL_DIAGNOSE) {
		channel_signatures(ch);
		channel_interrupt(ch, true);
	} else if (d && (ch->phase != IDE_STALL || code == CHANNEL_DEVICE_RESET)) {
		ch->phase = IDE_IDLE;
		ch->active = d->unit;
		channel_interrupt(ch, false);
		d->error = 0;
		d->status = CHANNEL_READY;
		d->kind->command(d, code);
	}
}

/* All drives of the channel listen, the command goes to the selected one. A busy channel is deaf. */
void v3_ide_write(struct ide_channel *ch, unsigned reg, uint8_t value)
{
	unsigned i;

	ch->control &= (uint8_t)~IDE_CONTROL_HOB;
	if (ch->phase == IDE_RUN || (ch->control & IDE_CONTROL_SRST))
		return;
	if (reg == IDE_STATUS) {
		channel_command(ch, value);
		return;
	}
	for (i = 0; i < IDE_NDRIVES; i++) {
		if (ch->drive[i]) {
			ch->drive[i]->reg[reg][1] = ch->drive[i]->reg[reg][0];
			ch->drive[i]->reg[reg][0] = value;
		}
	}
	if (reg == IDE_DEVICE)
		ch->selected = value & IDE_DEVICE_DEV ? 1 : 0;
}
