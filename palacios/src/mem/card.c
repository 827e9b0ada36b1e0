/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file card.c
 * Memory on a device's card: host pages that the guest sees where the device shows them, mapped in the nested tables
 * like RAM. Called by devices (palacios/mem.h) and, for look-ups, by the rest of mem/ and by mmu/.
 *
 * A VM has few cards, so a look-up goes through all of them; it comes only after RAM was not found. Cards come and go
 * while no vcpu runs. What changes is where one is shown: a single word, which look-ups read without a lock. Its
 * memory stays, so a vcpu that has lost the race with a move does no harm.
 */
#include "state.h"

#include "host/host.h"
#include "palacios/util/str.h"

static uint64_t card_chunks(uint64_t size)
{
	return (size + V3_SIZE_2M - 1) >> V3_CHUNK_SHIFT;
}

/* Zeroed pages of the host. */
static uint8_t *card_alloc(const struct v3_vm *vm, uint64_t size, uint64_t align)
{
	v3_hpa_t hpa = v3_host_ram_alloc(size >> V3_PAGE_SHIFT, align, vm->mem.node);
	uint8_t *va;

	if (hpa == V3_HPA_NONE)
		return NULL;
	va = v3_host_pa_to_va(hpa);
	memset(va, 0, size);
	return va;
}

static void card_free(uint8_t *va, uint64_t size)
{
	if (va)
		v3_host_ram_free(v3_host_va_to_pa(va), size >> V3_PAGE_SHIFT);
}

/* Back [0, size) of one chunk: in one piece if the host has it. */
static int card_back(const struct v3_vm *vm, struct v3_card_chunk *chunk, uint64_t size)
{
	if (size == V3_SIZE_2M)
		chunk->whole = card_alloc(vm, size, size);
	if (chunk->whole)
		return V3_OK;
	chunk->page = v3_alloc(V3_PAGES_PER_2M * sizeof(chunk->page[0]));
	if (!chunk->page)
		return V3_ENOMEM;
	for (uint64_t i = 0; i < size >> V3_PAGE_SHIFT; i++) {
		chunk->page[i] = card_alloc(vm, V3_PAGE_SIZE, V3_PAGE_SIZE);
		if (!chunk->page[i])
			return V3_ENOMEM;
	}
	return V3_OK;
}

static void card_unback(struct v3_card_chunk *chunk)
{
	card_free(chunk->whole, V3_SIZE_2M);
	for (unsigned i = 0; chunk->page && i < V3_PAGES_PER_2M; i++)
		card_free(chunk->page[i], V3_PAGE_SIZE);
	v3_free(chunk->page);
}

int v3_card_create(struct v3_vm *vm, uint64_t size, struct v3_card **out)
{
	const uint64_t nchunks = card_chunks(size);
	struct v3_card *card;
	int err = V3_OK;

	if (!size || (size & (V3_PAGE_SIZE - 1)) || size > V3_SIZE_1G)
		return V3_EINVAL;
	card = v3_alloc(sizeof(*card) + nchunks * sizeof(card->chunk[0]));
	if (!card)
		return V3_ENOMEM;
	card->vm = vm;
	card->size = size;
	card->gpa = V3_GPA_NONE;
	card->next = vm->mem.cards;
	vm->mem.cards = card;
	for (uint64_t i = 0; i < nchunks && !err; i++) {
		uint64_t left = size - i * V3_SIZE_2M;

		err = card_back(vm, &card->chunk[i], left < V3_SIZE_2M ? left : V3_SIZE_2M);
	}
	if (err)
		v3_card_destroy(card);
	else
		*out = card;
	return err;
}

void v3_card_destroy(struct v3_card *card)
{
	struct v3_card **link;

	if (!card)
		return;
	if (v3_card_detach(card))
		v3_card_flush(card->vm);
	link = &card->vm->mem.cards;
	while (*link != card)
		link = &(*link)->next;
	*link = card->next;
	for (uint64_t i = 0; i < card_chunks(card->size); i++)
		card_unback(&card->chunk[i]);
	v3_free(card);
}

uint64_t v3_card_size(const struct v3_card *card)
{
	return card->size;
}

uint8_t *v3_card_ptr(const struct v3_card *card, uint64_t off)
{
	const struct v3_card_chunk *chunk = &card->chunk[off >> V3_CHUNK_SHIFT];

	if (chunk->whole)
		return chunk->whole + (off & (V3_SIZE_2M - 1));
	return chunk->page[(off >> V3_PAGE_SHIFT) % V3_PAGES_PER_2M] + (off & (V3_PAGE_SIZE - 1));
}

void v3_card_set(struct v3_card *card, uint64_t off, uint64_t len, uint8_t byte)
{
	while (len && off < card->size) {
		uint64_t n = V3_PAGE_SIZE - (off & (V3_PAGE_SIZE - 1));

		if (n > len)
			n = len;
		memset(v3_card_ptr(card, off), byte, n);
		off += n;
		len -= n;
	}
}

/* ---- where it is shown ---- */

int v3_card_attach(struct v3_card *card, v3_gpa_t gpa)
{
	struct v3_mem *mem = &card->vm->mem;
	unsigned long flags;
	int err = V3_OK;

	if (!v3_mem_range_valid(mem, gpa, card->size))
		return V3_EINVAL;
	flags = v3_lock_acquire(&mem->lock);
	if (card->gpa != V3_GPA_NONE || v3_mem_mmio_overlaps(mem, gpa, card->size) ||
	    v3_mem_ram_overlaps(mem, gpa, card->size) || v3_card_overlaps(mem, gpa, card->size))
		err = V3_EEXIST;
	else
		__atomic_store_n(&card->gpa, gpa, __ATOMIC_RELAXED);
	v3_lock_release(&mem->lock, flags);
	return err;
}

bool v3_card_detach(struct v3_card *card)
{
	struct v3_mem *mem = &card->vm->mem;
	unsigned long flags = v3_lock_acquire(&mem->lock);
	const v3_gpa_t gpa = card->gpa;
	bool dropped = false;

	if (gpa != V3_GPA_NONE) {
		__atomic_store_n(&card->gpa, V3_GPA_NONE, __ATOMIC_RELAXED);
		dropped = v3_mmu_drop(card->vm, gpa, card->size);
	}
	v3_lock_release(&mem->lock, flags);
	return dropped;
}

void v3_card_flush(struct v3_vm *vm)
{
	v3_flush_vm_sync(vm);
}

/* ---- look-ups ---- */

/* The card at @p gpa, and the offset in it. */
static const struct v3_card *card_at(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t *off)
{
	const struct v3_card *card;

	for (card = mem->cards; card; card = card->next) {
		v3_gpa_t base = __atomic_load_n(&card->gpa, __ATOMIC_RELAXED);

		*off = gpa - base;
		if (base != V3_GPA_NONE && *off < card->size)
			break;
	}
	return card;
}

uint8_t *v3_card_find(const struct v3_mem *mem, v3_gpa_t gpa)
{
	uint64_t off;
	const struct v3_card *card = card_at(mem, gpa, &off);

	return card ? v3_card_ptr(card, off) : NULL;
}

bool v3_card_large(const struct v3_mem *mem, v3_gpa_t gpa)
{
	uint64_t off;
	const struct v3_card *card = card_at(mem, gpa, &off);

	return card && !(card->gpa & (V3_SIZE_2M - 1)) && card->chunk[off >> V3_CHUNK_SHIFT].whole;
}

bool v3_card_overlaps(const struct v3_mem *mem, v3_gpa_t gpa, uint64_t size)
{
	for (const struct v3_card *card = mem->cards; card; card = card->next)
		if (card->gpa != V3_GPA_NONE && card->gpa < gpa + size &&
		    gpa < card->gpa + card->size)
			return true;
	return false;
}
