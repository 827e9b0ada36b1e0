/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file image.c
 * What the loaders of ELF and flat kernels share: segments, kernels with addresses in their header, modules, and the
 * writer of the information a kernel gets. Called by multiboot.c, multiboot2.c and pvh.c; calls elf.c and place.c.
 */
#include "boot/loader.h"

#include "config/vm_cfg.h"
#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

/* Take place and note the copy of one kernel segment; @p b NULL: check only. */
static int image_add_segment(struct v3_boot *b, const struct v3_boot_copy *copy,
			     struct v3_boot_msg *msg)
{
	int err;

	if (!b)
		return V3_OK;
	err = v3_boot_take(b, copy->gpa, copy->mem_len, "kernel", msg);
	return err ? err : v3_boot_add_copy(b, copy, msg);
}

int v3_boot_add_elf(struct v3_boot *b, const uint8_t *image, size_t len, uint64_t shift,
		    uint64_t *entry, struct v3_boot_msg *msg)
{
	struct v3_elf_segment seg;
	struct v3_boot_copy copy;
	struct v3_elf elf;
	uint32_t i = 0;
	int err = v3_elf_open(image, len, &elf, msg);

	if (err)
		return err;
	while ((err = v3_elf_next(&elf, &i, &seg, msg)) == V3_OK) {
		copy = (struct v3_boot_copy){.gpa = seg.paddr + shift,
					     .src = image + seg.offset,
					     .len = seg.file_len,
					     .mem_len = seg.mem_len};
		err = image_add_segment(b, &copy, msg);
		if (err)
			return err;
	}
	if (err != V3_ENOENT || !entry)
		return err == V3_ENOENT ? V3_OK : err;
	err = v3_elf_entry(&elf, entry, msg);
	if (!err)
		*entry += shift;
	return err;
}

static int image_check_addresses(size_t len, uint32_t header, const struct v3_boot_addresses *a,
				 struct v3_boot_copy *copy, struct v3_boot_msg *msg)
{
	uint64_t offset;

	if (a->header < a->load || a->header - a->load > header)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "multiboot: header_addr %#x does not fit load_addr %#x",
				    a->header, a->load);
	offset = header - (a->header - a->load);
	copy->gpa = a->load;
	copy->len = a->load_end ? a->load_end - a->load : len - offset;
	if ((a->load_end && a->load_end < a->load) || !copy->len || copy->len > len - offset)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "multiboot: load_end_addr %#x is not in the file", a->load_end);
	copy->mem_len = a->bss_end ? a->bss_end - a->load : copy->len;
	if (a->bss_end && (a->bss_end < a->load || copy->mem_len < copy->len))
		return v3_boot_fail(msg, V3_EBADMSG,
				    "multiboot: bss_end_addr %#x lies before load_end_addr",
				    a->bss_end);
	if (a->entry < a->load || a->entry - a->load >= copy->mem_len)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "multiboot: entry_addr %#x is outside the kernel", a->entry);
	return V3_OK;
}

int v3_boot_add_flat(struct v3_boot *b, const uint8_t *image, size_t len, uint32_t header,
		     const struct v3_boot_addresses *a, struct v3_boot_msg *msg)
{
	struct v3_boot_copy copy = {.gpa = 0};
	int err;

	err = image_check_addresses(len, header, a, &copy, msg);
	if (err)
		return err;
	copy.src = image + (header - (a->header - a->load));
	return image_add_segment(b, &copy, msg);
}

/* Above the kernel; below it if a relocatable one lies at the top. */
static int image_place_module(struct v3_boot *b, uint64_t above, uint64_t len, v3_gpa_t *gpa,
			      struct v3_boot_msg *msg)
{
	struct v3_boot_want want = {
		.len = len, .align = V3_PAGE_SIZE, .low = above, .high = 1ull << 32};
	int err = v3_boot_find(b, &want, "module", gpa, msg);

	if (err != V3_E2BIG)
		return err;
	want.low = V3_PC_HIGH_RAM_BASE;
	return v3_boot_find(b, &want, "module", gpa, msg);
}

static int image_place_modules(struct v3_vm *vm, struct v3_boot *b, struct v3_boot_msg *msg)
{
	uint64_t above = V3_PC_HIGH_RAM_BASE;
	struct v3_boot_copy copy;
	size_t len = 0;
	uint32_t i;
	int err;

	b->first_module = b->ncopies;
	for (i = 0; i < b->first_module; i++) {
		if (b->copy[i].gpa + b->copy[i].mem_len > above)
			above = b->copy[i].gpa + b->copy[i].mem_len;
	}
	for (i = 0; i < b->cfg->nmodules; i++) {
		copy = (struct v3_boot_copy){.src = v3_vm_file(vm, b->cfg->modules[i].file, &len)};
		if (!copy.src)
			return v3_boot_fail(msg, V3_ENOENT, "module %s: not in the container",
					    b->cfg->modules[i].file);
		copy.len = copy.mem_len = len;
		/* an empty module has an address, too */
		err = image_place_module(b, above, len ? len : 1, &copy.gpa, msg);
		if (!err)
			err = v3_boot_add_copy(b, &copy, msg);
		if (err)
			return err;
	}
	return V3_OK;
}

int v3_boot_place_rest(struct v3_vm *vm, struct v3_boot *b, uint64_t info_len, const char *what,
		       struct v3_boot_msg *msg)
{
	const struct v3_boot_want want = {
		.len = info_len, .align = 16, .low = V3_PAGE_SIZE, .high = 1ull << 32};
	int err = image_place_modules(vm, b, msg);

	return err ? err : v3_boot_find(b, &want, what, &b->info, msg);
}

void v3_boot_mem_kib(const struct v3_boot *b, uint32_t *lower, uint32_t *upper)
{
	uint32_t i;

	*lower = *upper = 0;
	for (i = 0; i < b->nmap; i++) {
		const struct v3_boot_mem *m = &b->map[i];

		if (m->type != V3_BOOT_MEM_RAM)
			continue;
		if (m->start == 0)
			*lower = (uint32_t)(m->end < V3_PC_LOW_RAM_END ? m->end >> 10
								       : V3_PC_LOW_RAM_END >> 10);
		if (m->start <= V3_PC_HIGH_RAM_BASE && m->end > V3_PC_HIGH_RAM_BASE)
			*upper = (uint32_t)((m->end - V3_PC_HIGH_RAM_BASE) >> 10);
	}
}

void v3_boot_enter_protected(struct v3_vm *vm, const struct v3_boot *b, uint32_t magic)
{
	const struct v3_dtr none = {.base = 0};
	struct v3_vcpu *vcpu = v3_vm_vcpu(vm, 0);

	v3_boot_cpu_protected(vcpu, &none);
	v3_vcpu_regs(vcpu)->rip = b->entry;
	v3_vcpu_regs(vcpu)->gpr[V3_RAX] = magic;
	v3_vcpu_regs(vcpu)->gpr[V3_RBX] = b->info;
}

uint32_t v3_boot_put(struct v3_boot_writer *w, const void *data, size_t len)
{
	uint32_t at = (uint32_t)w->pos;

	if (!w->err)
		w->err = v3_mem_write(w->vm, w->pos, data, len);
	w->pos += len;
	return at;
}
