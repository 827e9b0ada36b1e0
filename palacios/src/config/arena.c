/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file arena.c
 * Memory of one parsed definition: pieces handed out in order, freed together. It makes unwinding
 * after an error one call, and keeps the number of host allocations small.
 */
#include "config/cfg.h"

#include "palacios/util/str.h"
#include "palacios/vm.h"

#define CHUNK_SIZE 8192

struct v3_cfg_chunk {
	struct v3_cfg_chunk *next;
	uint64_t data[(CHUNK_SIZE - sizeof(void *)) / sizeof(uint64_t)];
};

_Static_assert(sizeof(struct v3_cfg_chunk) == CHUNK_SIZE, "chunk size");

struct v3_cfg_arena *v3_cfg_arena_create(void)
{
	return v3_alloc(sizeof(struct v3_cfg_arena));
}

void v3_cfg_arena_destroy(struct v3_cfg_arena *arena)
{
	struct v3_cfg_chunk *chunk, *next;

	if (!arena)
		return;
	for (chunk = arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		v3_free(chunk);
	}
	v3_free(arena);
}

void *v3_cfg_arena_alloc(struct v3_cfg_arena *arena, size_t size)
{
	struct v3_cfg_chunk *chunk = arena->chunks;
	void *p;

	if (size > sizeof(chunk->data))
		return NULL;
	size = (size + 7) & ~(size_t)7;
	if (!chunk || size > sizeof(chunk->data) - arena->used) {
		chunk = v3_alloc(sizeof(*chunk));
		if (!chunk)
			return NULL;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->used = 0;
	}
	p = (uint8_t *)chunk->data + arena->used;
	arena->used += size;
	return p;
}

char *v3_cfg_arena_strdup(struct v3_cfg_arena *arena, const char *text, size_t len)
{
	char *copy = v3_cfg_arena_alloc(arena, len + 1);

	if (copy)
		memcpy(copy, text, len);
	return copy;
}
