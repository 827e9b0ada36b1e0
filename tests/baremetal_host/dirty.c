/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file dirty.c
 * Ports by which a guest tracks its own written pages, for tests of v3_dirty_*() on real tables. Called by main.c
 * if the command line says "dirty".
 *
 *   0x5d0  write 32 bits: 1 = start, 2 = harvest, 3 = stop; read: the result
 *   0x5d4  read 32 bits: the next word of the bitmap, from page 0 on; each harvest starts over
 */
#include "baremetal.h"

#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/mem.h"
#include "palacios/vcpu.h"

#define DIRTY_PORT  0x5d0
#define DIRTY_WORDS 8192 /* of 64 pages: 2 GiB */

enum { DIRTY_START = 1, DIRTY_HARVEST = 2, DIRTY_STOP = 3 };

static struct {
	int result;
	uint32_t next; /* 32-bit word of the bitmap */
	uint64_t bitmap[DIRTY_WORDS];
} dirty;

static uint64_t dirty_ram_end(struct v3_vm *vm)
{
	struct v3_mem_range range;
	uint64_t end = 0;
	unsigned i;

	for (i = 0; v3_mem_range(vm, i, &range) == V3_OK; i++)
		if (range.ram && range.gpa + range.size <= sizeof(dirty.bitmap) * 8 * V3_PAGE_SIZE)
			end = range.gpa + range.size;
	return end & ~(V3_SIZE_2M - 1);
}

static int dirty_command(struct v3_vm *vm, uint32_t command)
{
	switch (command) {
	case DIRTY_START:
		return v3_dirty_start(vm, 0, ~0ull & ~(V3_SIZE_2M - 1));
	case DIRTY_HARVEST:
		dirty.next = 0;
		return v3_dirty_harvest(vm, 0, dirty_ram_end(vm), dirty.bitmap);
	case DIRTY_STOP:
		v3_dirty_stop(vm);
		return V3_OK;
	default:
		return V3_EINVAL;
	}
}

static uint32_t dirty_word(void)
{
	uint32_t i = dirty.next++ % (2 * DIRTY_WORDS);

	return (uint32_t)(dirty.bitmap[i / 2] >> (i % 2 * 32));
}

static int dirty_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	if (io->write) {
		v3_vcpu_may_sleep(vcpu);
		dirty.result = dirty_command(priv, io->value);
	} else {
		io->value = io->port == DIRTY_PORT ? (uint32_t)dirty.result : dirty_word();
	}
	return V3_OK;
}

int bm_dirty_init(struct v3_vm *vm)
{
	return v3_io_register(vm, DIRTY_PORT, 8, dirty_io, vm);
}
