/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ports.c
 * Registration and look-up of I/O port ranges. Called by devices (registration, also while the VM runs) and
 * by io/exit.c (look-up, without a lock).
 */
#include "exit/trace.h"
#include "state.h"

#include "util/seqcount.h"

int v3_io_init(struct v3_io_map *map)
{
	return v3_lock_init(&map->lock);
}

void v3_io_fini(struct v3_io_map *map)
{
	v3_lock_destroy(&map->lock);
}

/* Rebuild the block index after the table changed: registration is rare, look-up is hot. */
static void io_index(struct v3_io_map *map)
{
	unsigned block, r = 0;

	for (block = 0; block < V3_ARRAY_SIZE(map->page); block++) {
		while (r < map->nranges && map->range[r].last < block * 16)
			r++;
		map->page[block] = 0;
		if (r < map->nranges && map->range[r].first <= block * 16 + 15)
			map->page[block] = (uint8_t)(r + 1);
	}
}

/* Under the lock. */
static int io_insert(struct v3_io_map *map, const struct v3_io_range *new)
{
	unsigned at, i;

	for (at = 0; at < map->nranges && map->range[at].last < new->first; at++)
		;
	if (at < map->nranges && map->range[at].first <= new->last)
		return V3_EEXIST;
	if (map->nranges == V3_IO_MAX_RANGES)
		return V3_ENOSPC;

	v3_seq_write_begin(&map->seq);
	for (i = map->nranges; i > at; i--)
		map->range[i] = map->range[i - 1];
	map->range[at] = *new;
	map->nranges++;
	io_index(map);
	v3_seq_write_end(&map->seq);
	return V3_OK;
}

/* Under the lock. */
static void io_remove(struct v3_io_map *map, uint16_t first)
{
	unsigned i;

	for (i = 0; i < map->nranges && map->range[i].first != first; i++)
		;
	if (i == map->nranges)
		return;
	v3_seq_write_begin(&map->seq);
	for (map->nranges--; i < map->nranges; i++)
		map->range[i] = map->range[i + 1];
	io_index(map);
	v3_seq_write_end(&map->seq);
}

int v3_io_register(struct v3_vm *vm, uint16_t first, uint32_t count, v3_io_fn fn, void *priv)
{
	const struct v3_io_range new = {
		.first = first, .last = (uint16_t)(first + count - 1), .fn = fn, .priv = priv};
	unsigned long flags;
	int err;

	if (!count || count > 0x10000u - first)
		return V3_EINVAL;
	flags = v3_lock_acquire(&vm->io.lock);
	err = io_insert(&vm->io, &new);
	v3_lock_release(&vm->io.lock, flags);
	return err;
}

void v3_io_unregister(struct v3_vm *vm, uint16_t first)
{
	unsigned long flags = v3_lock_acquire(&vm->io.lock);

	io_remove(&vm->io, first);
	v3_lock_release(&vm->io.lock, flags);
}

/* Handler of the port and its argument, NULL if there is none. A torn read stays within range[]. */
static inline v3_io_fn io_find(const struct v3_io_map *map, uint16_t port, void **priv)
{
	const struct v3_io_range *r;
	unsigned i = map->page[port >> 4];

	for (; i && i <= map->nranges; i++) {
		r = &map->range[i - 1];
		if (port < r->first)
			break;
		if (port <= r->last) {
			*priv = r->priv;
			return r->fn;
		}
	}
	return NULL;
}

static inline __attribute__((__always_inline__)) int io_access(struct v3_vcpu *vcpu,
							       struct v3_io *io)
{
	const struct v3_io_map *map = &vcpu->vm->io;
	void *priv = NULL;
	uint32_t seq;
	v3_io_fn fn;

	do {
		seq = v3_seq_read_begin(&map->seq);
		fn = io_find(map, io->port, &priv);
	} while (v3_seq_read_retry(&map->seq, seq));
	if (V3_LIKELY(fn != NULL))
		return fn(vcpu, io, priv);
	if (!io->write)
		io->value = ~0u; /* an undriven bus floats high */
	return V3_OK;
}

static __attribute__((__noinline__)) int io_access_traced(struct v3_vcpu *vcpu, struct v3_io *io)
{
	int err = io_access(vcpu, io);

	v3_trace_io(vcpu, io);
	return err;
}

int v3_io_access(struct v3_vcpu *vcpu, struct v3_io *io)
{
	if (V3_UNLIKELY(v3_host_tracing()))
		return io_access_traced(vcpu, io);
	return io_access(vcpu, io);
}
