/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file dirty.c
 * Tests of v3_dirty_*() on real tables, called by main.c if the command line says so.
 *
 * "dirty": ports by which a guest tracks its own written pages.
 *
 *   0x5d0  write 32 bits: 1 = start, 2 = harvest, 3 = stop; read: the result
 *   0x5d4  read 32 bits: the next word of the bitmap, from page 0 on; each harvest starts over
 *
 * "mirror": a copy of the guest's memory, made while it runs and kept up by copying what harvests find, is the same as
 * the memory in the end, as live migration needs it.
 */
#include "baremetal.h"

#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/mem.h"
#include "palacios/palacios.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"

#define DIRTY_PORT  0x5d0
#define DIRTY_WORDS 8192 /* of 64 pages: 2 GiB */
#define DIRTY_ALL   (~0ull & ~(V3_SIZE_2M - 1))

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
		return v3_dirty_start(vm, 0, DIRTY_ALL);
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

/* ---- the mirror ---- */

#define MIRROR_PERIOD_NS 100000000ull

static struct {
	v3_hpa_t copy; /* owned: of all memory from 0 on */
	uint64_t npages;
	uint64_t harvests, copied;
} mirror;

static char *mirror_page(uint64_t page)
{
	return (char *)(mirror.copy + page * V3_PAGE_SIZE);
}

/* Holes between the regions have no bits. */
static int mirror_update(struct v3_vm *vm)
{
	int n = v3_dirty_harvest(vm, 0, mirror.npages * V3_PAGE_SIZE, dirty.bitmap);

	if (n < 0)
		return n;
	mirror.harvests++;
	mirror.copied += (uint64_t)n;
	for (uint64_t i = 0; i < mirror.npages; i++)
		if (dirty.bitmap[i / 64] >> (i % 64) & 1)
			(void)v3_mem_read(vm, i * V3_PAGE_SIZE, mirror_page(i), V3_PAGE_SIZE);
	return V3_OK;
}

int bm_mirror_start(struct v3_vm *vm)
{
	int err;

	mirror.npages = dirty_ram_end(vm) >> V3_PAGE_SHIFT;
	mirror.harvests = mirror.copied = 0;
	mirror.copy = bm_ram_alloc(mirror.npages, V3_PAGE_SIZE, -1);
	if (mirror.copy == V3_HPA_NONE)
		return V3_ENOMEM;
	err = v3_dirty_start(vm, 0, DIRTY_ALL);
	for (uint64_t i = 0; i < mirror.npages; i++)
		if (v3_mem_read(vm, i * V3_PAGE_SIZE, mirror_page(i), V3_PAGE_SIZE))
			memset(mirror_page(i), 0, V3_PAGE_SIZE);
	return err;
}

int bm_mirror_run(struct v3_vm *vm)
{
	static char page[V3_PAGE_SIZE];
	uint64_t differ = 0;
	int err = V3_OK;

	while (!err && v3_vm_get_state(vm) != V3_VM_STOPPED) {
		err = bm_sleep(MIRROR_PERIOD_NS);
		if (!err)
			err = mirror_update(vm);
	}
	v3_vm_wait(vm);
	if (!err)
		err = mirror_update(vm);
	for (uint64_t i = 0; i < mirror.npages; i++)
		differ += !v3_mem_read(vm, i * V3_PAGE_SIZE, page, V3_PAGE_SIZE) &&
			  memcmp(page, mirror_page(i), V3_PAGE_SIZE);
	bm_print("mirror: %llu pages copied in %llu harvests, %llu differ",
		 (unsigned long long)mirror.copied, (unsigned long long)mirror.harvests,
		 (unsigned long long)differ);
	return differ ? V3_EIO : err;
}

void bm_mirror_end(void)
{
	if (mirror.npages && mirror.copy != V3_HPA_NONE)
		bm_ram_free(mirror.copy, mirror.npages);
	mirror.npages = 0;
}
