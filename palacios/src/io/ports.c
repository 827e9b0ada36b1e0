/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ports.c
 * Registration and look-up of I/O port ranges. Called by devices (registration) and by io/exit.c.
 */
#include "exit/trace.h"
#include "state.h"

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

int v3_io_register(struct v3_vm *vm, uint16_t first, uint32_t count, v3_io_fn fn, void *priv)
{
	struct v3_io_map *map = &vm->io;
	uint32_t last = first + count - 1;
	unsigned at, i;

	if (!count || count > 0x10000u - first)
		return V3_EINVAL;
	for (at = 0; at < map->nranges && map->range[at].last < first; at++)
		;
	if (at < map->nranges && map->range[at].first <= last)
		return V3_EEXIST;
	if (map->nranges == V3_IO_MAX_RANGES)
		return V3_ENOSPC;

	for (i = map->nranges; i > at; i--)
		map->range[i] = map->range[i - 1];
	map->range[at] = (struct v3_io_range){
		.first = first, .last = (uint16_t)last, .fn = fn, .priv = priv};
	map->nranges++;
	io_index(map);
	return V3_OK;
}

void v3_io_unregister(struct v3_vm *vm, uint16_t first)
{
	struct v3_io_map *map = &vm->io;
	unsigned i;

	for (i = 0; i < map->nranges && map->range[i].first != first; i++)
		;
	if (i == map->nranges)
		return;
	for (map->nranges--; i < map->nranges; i++)
		map->range[i] = map->range[i + 1];
	io_index(map);
}

static inline __attribute__((__always_inline__)) int io_access(struct v3_vcpu *vcpu,
							       struct v3_io *io)
{
	const struct v3_io_map *map = &vcpu->vm->io;
	const struct v3_io_range *r;
	unsigned i = map->page[io->port >> 4];

	for (; i && i <= map->nranges; i++) {
		r = &map->range[i - 1];
		if (io->port < r->first)
			break;
		if (io->port <= r->last)
			return r->fn(vcpu, io, r->priv);
	}
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
