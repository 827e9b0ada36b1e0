/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pagemap.c
 * A sparse map from guest pages to words: which pages are hooked (mem/hook.c), which are special in a view
 * (mmu/view.c). Pages are grouped by 2 MiB, because "is anything special in these 2 MiB?" is asked for each
 * large leaf. A group is never taken out while the map lives, so look-ups need no lock.
 */
#include "mem/mem.h"

#include "palacios/error.h"
#include "palacios/vm.h"

static struct v3_page_group *pagemap_add(struct v3_pagemap *map, uint64_t key)
{
	struct v3_page_group *g = v3_alloc(sizeof(*g));
	struct v3_page_group **head = &map->bucket[key % V3_PAGEMAP_BUCKETS];

	if (!g)
		return NULL;
	g->key = key;
	g->next = *head;
	__atomic_store_n(head, g, __ATOMIC_RELEASE);
	return g;
}

int v3_pagemap_set(struct v3_pagemap *map, v3_gpa_t gpa, uint64_t word)
{
	uint64_t key = gpa >> V3_CHUNK_SHIFT;
	struct v3_page_group *g = v3_pagemap_group(map, key);
	uint64_t *slot;

	if (!g && !word)
		return V3_OK;
	if (!g)
		g = pagemap_add(map, key);
	if (!g)
		return V3_ENOMEM;
	slot = &g->slot[v3_pagemap_slot(gpa)];
	if (!*slot && word) {
		g->count++;
		map->count++;
	} else if (*slot && !word) {
		g->count--;
		map->count--;
	}
	__atomic_store_n(slot, word, __ATOMIC_RELEASE);
	return V3_OK;
}

bool v3_pagemap_any(const struct v3_pagemap *map, v3_gpa_t gpa, uint64_t size)
{
	uint64_t key = gpa >> V3_CHUNK_SHIFT;
	uint64_t n = size >> V3_CHUNK_SHIFT;
	const struct v3_page_group *g;

	if (!map->count)
		return false;
	if (n <= 1) {
		g = v3_pagemap_group(map, key);
		return g && g->count;
	}
	for (unsigned i = 0; i < V3_PAGEMAP_BUCKETS; i++)
		for (g = map->bucket[i]; g; g = g->next)
			if (g->count && g->key - key < n)
				return true;
	return false;
}

void v3_pagemap_fini(struct v3_pagemap *map)
{
	for (unsigned i = 0; i < V3_PAGEMAP_BUCKETS; i++) {
		struct v3_page_group *g = map->bucket[i], *next;

		for (; g; g = next) {
			next = g->next;
			v3_free(g);
		}
		map->bucket[i] = NULL;
	}
	map->count = 0;
}
