/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file run.c
 * Moves the data of a command in steps: between the disk and the channel's buffer (PIO) or guest memory (DMA), or
 * from the buffer to guest memory. Called by controller.c after an access that made the channel busy, and as work of
 * vcpu 0 when a disk has finished a step or somebody else had to have a turn; calls the disks and dma.c.
 *
 * While the phase is IDE_RUN the channel has one runner, which uses what ch->x, ch->dma and the request hold without
 * the lock: nobody else touches them.
 */
#include "devices/ide/ide.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define RUN_STEPS 16 /* at one go */

enum ide_resume { IDE_RESUME_NONE, IDE_RESUME_STEPPED, IDE_RESUME_AGAIN };

static void run_resume(struct ide_channel *ch, enum ide_resume why)
{
	__atomic_store_n(&ch->resume, why, __ATOMIC_RELEASE);
	v3_vcpu_queue_work(v3_vm_vcpu(ch->ide->vm, 0), &ch->work);
}

/* A step that was pending is done. Any context. */
static void run_done(struct v3_blk_req *req, int err)
{
	struct ide_channel *ch = req->priv;

	ch->result = err;
	run_resume(ch, IDE_RESUME_STEPPED);
}

static uint32_t run_least(uint64_t a, uint32_t b)
{
	return a < b ? (uint32_t)a : b;
}

/* From the buffer to guest memory. */
static void run_scatter(struct ide_channel *ch)
{
	uint32_t pos = ch->x.pos, i;

	for (i = 0; i < ch->req.npieces; pos += (uint32_t)ch->piece[i++].len)
		memcpy(ch->piece[i].p, ch->buf + pos, ch->piece[i].len);
}

/* @return as v3_blk_submit(); V3_EFAULT, V3_EAGAIN: the descriptors are wrong, or not enough of them */
static int run_step(struct ide_channel *ch)
{
	struct v3_blk_req *req = &ch->req;
	struct ide_xfer *x = &ch->x;
	int err = V3_OK;

	x->step = 0;
	req->npieces = 0;
	req->op = x->write ? V3_BLK_WRITE : V3_BLK_READ;
	if (x->disk && !x->left) {
		x->flush = false;
		req->op = V3_BLK_FLUSH;
	} else if (x->dma) {
		err = v3_ide_dma_gather(
			ch, x->disk ? run_least(x->left, IDE_STEP) : x->len - x->pos, &x->step);
		if (!err && !x->step)
			err = V3_EAGAIN;
	} else {
		x->step = x->write ? x->len : run_least(x->left, IDE_BUF);
		ch->piece[0] = (struct v3_blk_piece){ch->buf, x->step};
		req->piece = ch->piece;
		req->npieces = 1;
	}
	if (err)
		return err;
	if (!x->disk) {
		run_scatter(ch);
		return V3_OK;
	}
	req->offset = x->offset;
	req->len = x->step;
	return v3_blk_submit(v3_ide_active(ch)->blk, req);
}

static void run_failed(struct ide_channel *ch, int err)
{
	struct ide_drive *d = v3_ide_active(ch);

	if (ch->x.dma)
		v3_ide_dma_end(ch, err == V3_EFAULT);
	if (err == V3_EAGAIN)
		ch->phase =
			IDE_STALL; /* the drive has data and nowhere to put them: it stays busy */
	else
		d->kind->failed(d, err);
}

/* A step is done: what now? Lock held. @return true: the next one */
static bool run_next(struct ide_channel *ch)
{
	struct ide_xfer *x = &ch->x;

	if (x->disk) {
		x->offset += x->step;
		x->left -= x->step;
	} else {
		x->pos += x->step;
	}
	if (!x->dma && (x->write ? x->left : x->step)) {
		x->len = x->write ? run_least(x->left, IDE_BUF) : x->step;
		x->pos = 0;
		v3_ide_data_block(ch);
		return false;
	}
	if (x->disk ? x->left || x->flush : x->pos < x->len)
		return true;
	if (x->dma)
		v3_ide_dma_end(ch, false);
	v3_ide_end(v3_ide_active(ch));
	return false;
}

static bool run_stepped(struct ide_channel *ch, int err)
{
	unsigned long flags = v3_lock_acquire(&ch->lock);
	bool more = false;

	v3_ide_dma_wrote(ch);
	if (ch->reset_after)
		v3_ide_soft_reset(ch);
	else if (err)
		run_failed(ch, err);
	else
		more = run_next(ch);
	v3_lock_release(&ch->lock, flags);
	return more;
}

void v3_ide_run(struct ide_channel *ch)
{
	unsigned steps;
	int err;

	for (steps = 0; steps < RUN_STEPS; steps++) {
		err = run_step(ch);
		if (err == V3_BLK_PENDING || !run_stepped(ch, err))
			return;
	}
	run_resume(ch, IDE_RESUME_AGAIN);
}

static void run_work(struct v3_vcpu *vcpu, void *arg)
{
	struct ide_channel *ch = arg;
	uint32_t why = __atomic_exchange_n(&ch->resume, IDE_RESUME_NONE, __ATOMIC_ACQUIRE);

	(void)vcpu;
	if (why == IDE_RESUME_NONE) /* forgotten by a reset */
		return;
	if (why == IDE_RESUME_AGAIN || run_stepped(ch, ch->result))
		v3_ide_run(ch);
}

void v3_ide_run_init(struct ide_channel *ch)
{
	ch->req.done = run_done;
	ch->req.priv = ch;
	ch->work.fn = run_work;
	ch->work.arg = ch;
}

static void run_drain_disks(struct ide_channel *ch)
{
	unsigned i;

	for (i = 0; i < IDE_NDRIVES; i++) {
		if (ch->drive[i])
			v3_blk_drain(ch->drive[i]->blk);
	}
}

void v3_ide_run_drain(struct ide_channel *ch)
{
	run_drain_disks(ch);
	v3_ide_dma_wrote(ch);
	__atomic_store_n(&ch->resume, IDE_RESUME_NONE, __ATOMIC_RELAXED);
}

void v3_ide_run_settle(struct ide_channel *ch)
{
	run_drain_disks(ch);
	if (__atomic_load_n(&ch->resume, __ATOMIC_ACQUIRE) != IDE_RESUME_STEPPED)
		return;
	__atomic_store_n(&ch->resume, IDE_RESUME_NONE, __ATOMIC_RELAXED);
	if (run_stepped(ch, ch->result))
		run_resume(ch, IDE_RESUME_AGAIN);
}

void v3_ide_run_loaded(struct ide_channel *ch)
{
	if (ch->phase == IDE_RUN)
		run_resume(ch, IDE_RESUME_AGAIN);
}
