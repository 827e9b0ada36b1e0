/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file flash.c
 * Flash memory below the firmware's ROM, where UEFI firmware keeps its variables: one chip of 8-bit width with the Intel
 * command set (JEDEC JESD68.01, common flash interface; command set 0001 as in the data sheet of Intel's StrataFlash
 * J3) and erase blocks of 4 KiB. What it holds comes from a disk of palacios/blk.h and goes there again as it changes.
 *
 * The guest reads and writes a copy in memory; every access exits, which is seldom. The disk is written behind it: one
 * request at a time, of all that changed since the last one.
 */
#include "devices/devices.h"
#include "palacios/blk.h"
#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "flash"

#define FLASH_BLOCK 4096u
#define FLASH_MAX   0x200000u /* as v3_alloc_pages() */

/* Status register */
#define FLASH_READY	  0x80
#define FLASH_ERASE_FAIL  0x20
#define FLASH_PROG_FAIL	  0x10
#define FLASH_LOCKED	  0x02
#define FLASH_BAD_COMMAND (FLASH_ERASE_FAIL | FLASH_PROG_FAIL)

#define FLASH_CONFIRM	   0xd0
#define FLASH_CLEAR_STATUS 0x50
#define FLASH_ERASED	   0xff

#define FLASH_ID_MAKER	0x89 /* Intel */
#define FLASH_ID_DEVICE 0x18

/* What a read shows */
enum flash_mode { FLASH_ARRAY, FLASH_STATUS, FLASH_ID, FLASH_QUERY };

/* What the next write is */
enum flash_cycle { FLASH_COMMAND, FLASH_PROGRAM, FLASH_ERASE, FLASH_LOCK };

/* The request to the disk: FLASH_DONE until the work that it queued has seen it. */
enum flash_io { FLASH_IDLE, FLASH_BUSY, FLASH_DONE };

struct flash {
	struct v3_vm *vm;   /* not owned; outlives the device */
	struct v3_blk *blk; /* owned */
	v3_gpa_t gpa;
	uint32_t size, npages;
	uint8_t *data;	     /* owned, npages pages */
	struct v3_lock lock; /* guards all below but what is the request's */
	enum flash_mode mode;
	enum flash_cycle cycle;
	uint8_t status;
	uint32_t dirty_from, dirty_to; /* bytes that the disk does not have yet; equal: none */
	bool unflushed;
	struct v3_work work;
	uint32_t io; /* enum flash_io, atomic */
	/* The request's. */
	struct v3_blk_req req;
	struct v3_blk_piece piece;
	int result;
};

/* ---- the disk ---- */

static void flash_done(struct v3_blk_req *req, int err)
{
	struct flash *flash = req->priv;

	flash->result = err;
	__atomic_store_n(&flash->io, FLASH_DONE, __ATOMIC_RELEASE);
	v3_vcpu_queue_work(v3_vm_vcpu(flash->vm, 0), &flash->work);
}

static void flash_sync_done(struct v3_blk_req *req, int err)
{
	struct flash *flash = req->priv;

	flash->result = err;
}

static int flash_submit(struct flash *flash, enum v3_blk_op op, uint32_t from, uint32_t to,
			void (*done)(struct v3_blk_req *req, int err))
{
	flash->piece = (struct v3_blk_piece){.p = flash->data + from, .len = to - from};
	flash->req = (struct v3_blk_req){.op = op,
					 .offset = from,
					 .len = to - from,
					 .piece = &flash->piece,
					 .npieces = op != V3_BLK_FLUSH,
					 .done = done,
					 .priv = flash};
	return v3_blk_submit(flash->blk, &flash->req);
}

/* One request to its end. thread, while no vcpu runs. */
static int flash_sync(struct flash *flash, enum v3_blk_op op, uint32_t from, uint32_t to)
{
	int err = flash_submit(flash, op, from, to, flash_sync_done);

	if (err != V3_BLK_PENDING)
		return err;
	v3_blk_drain(flash->blk);
	return flash->result;
}

static void flash_saved(struct flash *flash, int err)
{
	if (err)
		V3_GUEST_WARN(flash->vm, "cannot save what was written: %s", v3_strerror(err));
}

/* Start what the disk shall do next, if it has nothing to do. Lock held. */
static void flash_save(struct flash *flash)
{
	int err = V3_OK;

	while (err != V3_BLK_PENDING && flash->io == FLASH_IDLE &&
	       (flash->dirty_from < flash->dirty_to || flash->unflushed)) {
		uint32_t from = flash->dirty_from, to = flash->dirty_to;
		bool write = from < to;

		flash->dirty_from = flash->dirty_to = 0;
		flash->unflushed = write;
		__atomic_store_n(&flash->io, FLASH_BUSY, __ATOMIC_RELAXED);
		err = flash_submit(flash, write ? V3_BLK_WRITE : V3_BLK_FLUSH, from, to,
				   flash_done);
		if (err == V3_BLK_PENDING)
			return; /* its end may have come already */
		__atomic_store_n(&flash->io, FLASH_IDLE, __ATOMIC_RELAXED);
		flash_saved(flash, err);
	}
}

/* A reset may have been before this and have looked at the result. */
static void flash_work(struct v3_vcpu *vcpu, void *arg)
{
	struct flash *flash = arg;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&flash->lock);
	if (__atomic_load_n(&flash->io, __ATOMIC_ACQUIRE) == FLASH_DONE) {
		flash_saved(flash, flash->result);
		__atomic_store_n(&flash->io, FLASH_IDLE, __ATOMIC_RELAXED);
		flash_save(flash);
	}
	v3_lock_release(&flash->lock, flags);
}

/* Lock held. */
static void flash_changed(struct flash *flash, uint32_t from, uint32_t to)
{
	if (flash->dirty_from == flash->dirty_to) {
		flash->dirty_from = from;
		flash->dirty_to = to;
	}
	if (from < flash->dirty_from)
		flash->dirty_from = from;
	if (to > flash->dirty_to)
		flash->dirty_to = to;
	flash_save(flash);
}

/* ---- the chip; lock held ---- */

/* The answer to a query, JESD68.01 chapter 4, and the table of the command set; what is not in it is 0. */
static uint8_t flash_query(const struct flash *flash, uint32_t off)
{
	static const struct {
		uint8_t off, value;
	} query[] = {
		{0x10, 'Q'},
		{0x11, 'R'},
		{0x12, 'Y'},
		{0x13, 0x01}, /* command set */
		{0x15, 0x31}, /* where its table begins */
		{0x1b, 0x45},
		{0x1c, 0x55},		   /* supply, volts in BCD */
		{0x1f, 7},		   /* a byte is programmed in 2^7 us */
		{0x21, 10},		   /* a block erased in 2^10 ms */
		{0x2c, 1},		   /* blocks are of one size, */
		{0x2f, FLASH_BLOCK / 256}, /* which is that */
		{0x31, 'P'},
		{0x32, 'R'},
		{0x33, 'I'},
		{0x34, '1'},
		{0x35, '0'}, /* its version */
	};
	const uint32_t last = flash->size / FLASH_BLOCK - 1;
	unsigned i;

	if (off == 0x27) /* the size is at most 2^n */
		return (uint8_t)(32 - __builtin_clz(flash->size - 1));
	if (off == 0x2d || off == 0x2e) /* blocks, less one */
		return (uint8_t)(last >> (8 * (off - 0x2d)));
	for (i = 0; i < V3_ARRAY_SIZE(query); i++) {
		if (query[i].off == off)
			return query[i].value;
	}
	return 0;
}

static uint8_t flash_read8(const struct flash *flash, uint32_t off)
{
	static const uint8_t id[] = {FLASH_ID_MAKER, FLASH_ID_DEVICE}; /* then: not locked */

	switch (flash->mode) {
	case FLASH_STATUS:
		return flash->status;
	case FLASH_ID:
		return off % FLASH_BLOCK < sizeof(id) ? id[off % FLASH_BLOCK] : 0;
	case FLASH_QUERY:
		return flash_query(flash, off);
	case FLASH_ARRAY:
		break;
	}
	return flash->data[off];
}

/* Bits become 0, or a whole block 1. */
static void flash_program(struct flash *flash, uint32_t off, uint8_t value)
{
	if (v3_blk_read_only(flash->blk)) {
		flash->status |= FLASH_PROG_FAIL | FLASH_LOCKED;
		return;
	}
	flash->data[off] &= value;
	flash_changed(flash, off, off + 1);
}

static void flash_erase(struct flash *flash, uint32_t off)
{
	uint32_t block = off & ~(FLASH_BLOCK - 1);

	if (v3_blk_read_only(flash->blk)) {
		flash->status |= FLASH_ERASE_FAIL | FLASH_LOCKED;
		return;
	}
	memset(flash->data + block, FLASH_ERASED, FLASH_BLOCK);
	flash_changed(flash, block, block + FLASH_BLOCK);
}

/* Firmware takes the chip for flash only if a cleared status reads 0, so even the ready bit waits for an operation. */
static void flash_command(struct flash *flash, uint8_t code)
{
	static const struct {
		uint8_t code, mode, cycle;
	} commands[] = {
		{0xff, FLASH_ARRAY, FLASH_COMMAND},  {0x70, FLASH_STATUS, FLASH_COMMAND},
		{0x90, FLASH_ID, FLASH_COMMAND},     {0x98, FLASH_QUERY, FLASH_COMMAND},
		{0x10, FLASH_STATUS, FLASH_PROGRAM}, {0x40, FLASH_STATUS, FLASH_PROGRAM},
		{0x20, FLASH_STATUS, FLASH_ERASE},   {0x60, FLASH_STATUS, FLASH_LOCK},
	};
	unsigned i;

	if (code == FLASH_CLEAR_STATUS) {
		flash->status = 0;
		return;
	}
	for (i = 0; i < V3_ARRAY_SIZE(commands) && commands[i].code != code; i++)
		;
	/* Others are for what this chip has not: it shows its array again. */
	flash->mode = i < V3_ARRAY_SIZE(commands) ? commands[i].mode : FLASH_ARRAY;
	flash->cycle = i < V3_ARRAY_SIZE(commands) ? commands[i].cycle : FLASH_COMMAND;
}

static void flash_write8(struct flash *flash, uint32_t off, uint8_t value)
{
	enum flash_cycle cycle = flash->cycle;

	if (cycle == FLASH_COMMAND) {
		flash_command(flash, value);
		return;
	}
	flash->cycle = FLASH_COMMAND;
	flash->status |= FLASH_READY;
	if (cycle == FLASH_PROGRAM)
		flash_program(flash, off, value);
	else if (cycle == FLASH_ERASE && value == FLASH_CONFIRM)
		flash_erase(flash, off);
	else if (cycle == FLASH_ERASE)
		flash->status |= FLASH_BAD_COMMAND;
	/* Lock bits: none is ever set. */
}

/* The bus splits wider accesses for a chip of 8 bits. */
static int flash_mmio(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	struct flash *flash = priv;
	uint32_t off = (uint32_t)(mmio->gpa - flash->gpa);
	unsigned long flags;
	uint64_t value = 0;
	unsigned i;

	(void)vcpu;
	flags = v3_lock_acquire(&flash->lock);
	for (i = 0; i < mmio->size; i++) {
		if (mmio->write)
			flash_write8(flash, off + i, (uint8_t)(mmio->value >> (8 * i)));
		else
			value |= (uint64_t)flash_read8(flash, off + i) << (8 * i);
	}
	v3_lock_release(&flash->lock, flags);
	if (!mmio->write)
		mmio->value = value;
	return V3_OK;
}

/* ---- device ---- */

/*
 * Wait for the request, and begin what the disk shall do next. thread, while no vcpu runs.
 * @return true: that is pending
 */
static bool flash_next(struct flash *flash)
{
	unsigned long flags;
	bool busy;

	v3_blk_drain(flash->blk);
	flags = v3_lock_acquire(&flash->lock);
	if (flash->io == FLASH_DONE)
		flash_saved(flash, flash->result);
	flash->io = FLASH_IDLE;
	flash_save(flash);
	busy = flash->io != FLASH_IDLE;
	v3_lock_release(&flash->lock, flags);
	return busy;
}

static void flash_settle(void *state)
{
	while (flash_next(state))
		;
}

/* What is programmed stays. */
static void flash_reset(void *state)
{
	struct flash *flash = state;
	unsigned long flags;

	flash_next(flash);
	flags = v3_lock_acquire(&flash->lock);
	flash->mode = FLASH_ARRAY;
	flash->cycle = FLASH_COMMAND;
	flash->status = FLASH_READY;
	v3_lock_release(&flash->lock, flags);
}

/* Where the firmware's ROM begins, at which the chip ends; 0: there is none. */
static v3_gpa_t flash_end(struct v3_vm *vm)
{
	struct v3_mem_range range;
	unsigned i;

	for (i = 0; v3_mem_range(vm, i, &range) == V3_OK; i++) {
		if (!range.ram && range.gpa + range.size == V3_PC_ROM_END)
			return range.gpa;
	}
	V3_ERR(vm, "there is no firmware that could use it");
	return 0;
}

static int flash_load(struct flash *flash)
{
	uint64_t size = v3_blk_size(flash->blk);
	v3_gpa_t end = flash_end(flash->vm);

	if (!end)
		return V3_EINVAL;
	if (size % FLASH_BLOCK || size > FLASH_MAX) {
		V3_ERR(flash->vm, "%llu bytes: expected a multiple of 4 KiB up to 2 MiB",
		       (unsigned long long)size);
		return V3_EINVAL;
	}
	flash->size = (uint32_t)size;
	flash->gpa = end - size;
	for (flash->npages = 1; flash->npages * V3_PAGE_SIZE < size; flash->npages *= 2)
		;
	flash->data = v3_alloc_pages(flash->npages);
	if (!flash->data)
		return V3_ENOMEM;
	return flash_sync(flash, V3_BLK_READ, 0, flash->size);
}

static int flash_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct flash *flash;
	int err;

	flash = v3_alloc(sizeof(*flash));
	if (!flash)
		return V3_ENOMEM;
	flash->vm = vm;
	flash->work.fn = flash_work;
	flash->work.arg = flash;
	err = v3_blk_open(vm, cfg, &flash->blk);
	if (err)
		goto free_flash;
	err = flash_load(flash);
	if (err)
		goto free_data;
	err = v3_lock_init(&flash->lock);
	if (err)
		goto free_data;
	err = v3_mmio_register(vm, flash->gpa, flash->size, flash_mmio, flash);
	if (err)
		goto destroy_lock;
	*state = flash;
	return V3_OK;

destroy_lock:
	v3_lock_destroy(&flash->lock);
free_data:
	v3_free_pages(flash->data, flash->npages);
	v3_blk_close(flash->blk);
free_flash:
	v3_free(flash);
	return err;
}

static void flash_destroy(void *state)
{
	struct flash *flash = state;

	flash_settle(flash);
	v3_mmio_unregister(flash->vm, flash->gpa);
	v3_lock_destroy(&flash->lock);
	v3_free_pages(flash->data, flash->npages);
	v3_blk_close(flash->blk);
	v3_free(flash);
}

static const struct v3_cfg_key flash_keys[] = {V3_BLK_KEYS, {.name = NULL}};

/* ---- saved state ---- */

/* The disk has been loaded: the copy of it is read again, once the disk has done what the reset left it to do. */
static int flash_loaded(void *state)
{
	struct flash *flash = state;

	flash_settle(flash);
	if (flash->mode > FLASH_QUERY || flash->cycle > FLASH_LOCK)
		return V3_EINVAL;
	return flash_sync(flash, V3_BLK_READ, 0, flash->size);
}

static const struct v3_save_field flash_fields[] = {
	V3_SAVE_NOT(struct flash, vm),
	V3_SAVE_PARTS_AT(struct flash, blk, &v3_blk_save),
	V3_SAVE_NOT(struct flash, gpa),
	V3_SAVE_NOT(struct flash, size),
	V3_SAVE_NOT(struct flash, npages),
	V3_SAVE_NOT(struct flash, data),
	V3_SAVE_NOT(struct flash, lock),
	V3_SAVE(struct flash, mode),
	V3_SAVE(struct flash, cycle),
	V3_SAVE(struct flash, status),
	V3_SAVE_NOT(struct flash, dirty_from),
	V3_SAVE_NOT(struct flash, dirty_to),
	V3_SAVE_NOT(struct flash, unflushed),
	V3_SAVE_NOT(struct flash, work),
	V3_SAVE_NOT(struct flash, io),
	V3_SAVE_NOT(struct flash, req),
	V3_SAVE_NOT(struct flash, piece),
	V3_SAVE_NOT(struct flash, result),
	V3_SAVE_END,
};
static const struct v3_save_table flash_save_table = {
	.fields = flash_fields,
	.size = sizeof(struct flash),
	.settle = flash_settle,
	.loaded = flash_loaded,
};

const struct v3_device_class v3_device_flash = {
	.name = "flash",
	.save = &flash_save_table,
	.keys = flash_keys,
	.create = flash_create,
	.reset = flash_reset,
	.destroy = flash_destroy,
};
