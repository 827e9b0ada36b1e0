/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga_save.c
 * Saved state of the VGA (palacios/save.h): its registers, and those pages of its memory that are not all zeros.
 */
#include "devices/display/vga.h"

#include "palacios/error.h"
#include "palacios/pci.h"
#include "palacios/save.h"
#include "palacios/util/str.h"

/* ---- the memory ---- */

static bool save_is_zero(const uint8_t *page)
{
	for (unsigned i = 0; i < V3_PAGE_SIZE; i++)
		if (page[i])
			return false;
	return true;
}

static bool save_next(void *state, struct v3_save_chunk *c)
{
	const struct vga *vga = state;
	const uint64_t npages = v3_card_size(vga->card) / V3_PAGE_SIZE;

	for (; c->number < npages; c->number++) {
		c->bytes = v3_card_ptr(vga->card, c->number * V3_PAGE_SIZE);
		if (!save_is_zero(c->bytes))
			return true;
	}
	return false;
}

static void save_clear(void *state)
{
	struct vga *vga = state;

	v3_card_set(vga->card, 0, v3_card_size(vga->card), 0);
}

static int save_put(void *state, const struct v3_save_chunk *c)
{
	struct vga *vga = state;

	if (c->number >= v3_card_size(vga->card) / V3_PAGE_SIZE)
		return V3_EINVAL;
	if (c->bytes)
		memcpy(v3_card_ptr(vga->card, c->number * V3_PAGE_SIZE), c->bytes, V3_PAGE_SIZE);
	else
		v3_card_set(vga->card, c->number * V3_PAGE_SIZE, V3_PAGE_SIZE, 0);
	return V3_OK;
}

static const struct v3_save_chunks save_pages = {
	.size = V3_PAGE_SIZE,
	.next = save_next,
	.clear = save_clear,
	.put = save_put,
};

static const struct v3_save_chunks *save_chunks(void *state)
{
	(void)state;
	return &save_pages;
}

/* ---- registers ---- */

/* The mirror's stream has shown nothing of this screen. */
static int save_loaded(void *state)
{
	struct vga *vga = state;

	if (vga->dac_component > 2 || !v3_vga_dispi_possible(vga))
		return V3_EINVAL;
	v3_vga_text_restart(vga);
	return V3_OK;
}

static const struct v3_save_field save_fields[] = {
	V3_SAVE_NOT(struct vga, vm),
	V3_SAVE_NOT(struct vga, timer),
	V3_SAVE_NOT(struct vga, chr),
	V3_SAVE_NOT(struct vga, card),
	V3_SAVE_PARTS_AT(struct vga, func, &v3_pci_func_save),
	V3_SAVE_NOT(struct vga, lock),
	V3_SAVE(struct vga, latch),
	V3_SAVE(struct vga, misc),
	V3_SAVE(struct vga, feature),
	V3_SAVE(struct vga, seq_index),
	V3_SAVE(struct vga, seq),
	V3_SAVE(struct vga, crtc_index),
	V3_SAVE(struct vga, crtc),
	V3_SAVE(struct vga, gr_index),
	V3_SAVE(struct vga, gr),
	V3_SAVE(struct vga, attr_index),
	V3_SAVE(struct vga, attr),
	V3_SAVE(struct vga, attr_data),
	V3_SAVE(struct vga, dac),
	V3_SAVE(struct vga, dac_mask),
	V3_SAVE(struct vga, dac_read),
	V3_SAVE(struct vga, dac_write),
	V3_SAVE(struct vga, dac_component),
	V3_SAVE(struct vga, dac_reading),
	V3_SAVE(struct vga, dispi_index),
	V3_SAVE(struct vga, dispi),
	V3_SAVE_NOT(struct vga, dirty),
	V3_SAVE_NOT(struct vga, shown_columns),
	V3_SAVE_NOT(struct vga, shown_rows),
	V3_SAVE_NOT(struct vga, shown),
	V3_SAVE_NOT(struct vga, line),
	V3_SAVE_NOT(struct vga, line_len),
	V3_SAVE_NOT(struct vga, line_off),
	V3_SAVE_END,
};
const struct v3_save_table v3_vga_save = {
	.fields = save_fields,
	.size = sizeof(struct vga),
	.chunks = save_chunks,
	.loaded = save_loaded,
};
