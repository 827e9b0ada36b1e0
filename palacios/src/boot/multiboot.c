/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file multiboot.c
 * Kernels by the Multiboot Specification version 0.6.96 ("multiboot 1"): ELF32 or ELF64 executables
 * with a 32-bit entry point, or any format with the addresses in its header (flag 16). The kernel's
 * segments go where it says, modules above it on page boundaries, the information and its texts in
 * the lowest free RAM.
 */
#include "boot/loader.h"

#include "config/vm_cfg.h"
#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define MB_HEADER_MAGIC	      0x1badb002
#define MB_HEADER_SEARCH      8192 /* the header lies in the first 8 KiB, 4-byte aligned (3.1) */
#define MB_HEADER_LEN	      12
#define MB_HEADER_ADDRESS_LEN 32 /* with the address fields */
#define MB_ENTRY_MAGIC	      0x2badb002

/* Header flags; 0..15 are demands that a loader must know. */
#define MB_WANT_PAGE_ALIGN (1u << 0)
#define MB_WANT_MEM_INFO   (1u << 1)
#define MB_WANT_KNOWN	   (MB_WANT_PAGE_ALIGN | MB_WANT_MEM_INFO)
#define MB_WANT_DEMANDS	   0xffffu
#define MB_HAS_ADDRESSES   (1u << 16)

/* Information structure (3.3). */
#define MB_INFO_MEM	(1u << 0)
#define MB_INFO_CMDLINE (1u << 2)
#define MB_INFO_MODS	(1u << 3)
#define MB_INFO_MMAP	(1u << 6)
#define MB_INFO_LOADER	(1u << 9)

struct mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
	uint32_t apm_table, vbe[4], framebuffer[7];
};

struct mb_module {
	uint32_t start, end, string, reserved;
};

struct mb_mmap {
	uint32_t size; /* of the rest */
	uint32_t base_low, base_high, len_low, len_high, type;
};

_Static_assert(offsetof(struct mb_info, mmap_length) == 44, "multiboot info");
_Static_assert(offsetof(struct mb_info, boot_loader_name) == 64, "multiboot info");
_Static_assert(sizeof(struct mb_info) == 116, "multiboot info");
_Static_assert(sizeof(struct mb_module) == 16, "multiboot module");
_Static_assert(sizeof(struct mb_mmap) == 24, "multiboot memory map entry");

static const char mb_loader_name[] = "Palacios";

/* @return offset of the header; V3_EBADMSG */
static int mb_find_header(const uint8_t *image, size_t len, uint32_t *flags,
			  struct v3_boot_msg *msg)
{
	size_t end = len < MB_HEADER_SEARCH ? len : MB_HEADER_SEARCH, off;

	for (off = 0; off + MB_HEADER_LEN <= end; off += 4) {
		if (v3_boot_u32(image + off) != MB_HEADER_MAGIC)
			continue;
		*flags = v3_boot_u32(image + off + 4);
		if ((uint32_t)(MB_HEADER_MAGIC + *flags + v3_boot_u32(image + off + 8)) == 0)
			return (int)off;
	}
	return v3_boot_fail(
		msg, V3_EBADMSG,
		"not a multiboot kernel (no header with a valid checksum in its first 8 KiB)");
}

static int mb_check_flags(uint32_t flags, struct v3_boot_msg *msg)
{
	uint32_t unknown = flags & MB_WANT_DEMANDS & ~MB_WANT_KNOWN;

	if (unknown)
		return v3_boot_fail(msg, V3_ENOTSUP,
				    "multiboot: the kernel demands what is not offered: flags %#x",
				    unknown);
	return V3_OK;
}

/* Check the kernel and, unless @p b is NULL, place it. */
static int mb_load_kernel(struct v3_boot *b, const uint8_t *image, size_t len, uint64_t *entry,
			  struct v3_boot_msg *msg)
{
	struct v3_boot_addresses a = {.load = 0};
	uint32_t flags = 0;
	int err, header;

	header = mb_find_header(image, len, &flags, msg);
	if (header < 0)
		return header;
	err = mb_check_flags(flags, msg);
	if (err)
		return err;
	if (!(flags & MB_HAS_ADDRESSES))
		return v3_boot_add_elf(b, image, len, 0, entry, msg);
	if (len - (uint32_t)header < MB_HEADER_ADDRESS_LEN)
		return v3_boot_fail(msg, V3_EBADMSG, "multiboot: cut off inside the header");
	a.header = v3_boot_u32(image + header + 12);
	a.load = v3_boot_u32(image + header + 16);
	a.load_end = v3_boot_u32(image + header + 20);
	a.bss_end = v3_boot_u32(image + header + 24);
	a.entry = *entry = v3_boot_u32(image + header + 28);
	return v3_boot_add_flat(b, image, len, (uint32_t)header, &a, msg);
}

static int mb_check(const uint8_t *image, size_t len, struct v3_boot_msg *msg)
{
	uint64_t entry;

	return mb_load_kernel(NULL, image, len, &entry, msg);
}

/* Length of the information with everything it points to. */
static uint64_t mb_info_len(const struct v3_boot *b)
{
	uint64_t len = sizeof(struct mb_info) + b->nmap * sizeof(struct mb_mmap) +
		       b->cfg->nmodules * sizeof(struct mb_module);
	uint32_t i;

	len += sizeof(mb_loader_name) + v3_strlen(b->cfg->cmdline) + 1;
	for (i = 0; i < b->cfg->nmodules; i++)
		len += v3_strlen(b->cfg->modules[i].cmdline) + 1;
	return len;
}

static int mb_load(struct v3_vm *vm, struct v3_boot *b, const uint8_t *image, size_t len,
		   struct v3_boot_msg *msg)
{
	uint64_t entry = 0;
	int err = mb_load_kernel(b, image, len, &entry, msg);

	if (err)
		return err;
	b->entry = entry;
	return v3_boot_place_rest(vm, b, mb_info_len(b), "multiboot information", msg);
}

static void mb_put_map(struct v3_boot_writer *w, const struct v3_boot *b, struct mb_info *info)
{
	struct mb_mmap entry = {.size = sizeof(entry) - sizeof(entry.size)};
	uint64_t len;
	uint32_t i;

	v3_boot_mem_kib(b, &info->mem_lower, &info->mem_upper);
	info->mmap_addr = (uint32_t)w->pos;
	info->mmap_length = b->nmap * (uint32_t)sizeof(entry);
	for (i = 0; i < b->nmap; i++) {
		len = b->map[i].end - b->map[i].start;
		entry.base_low = (uint32_t)b->map[i].start;
		entry.base_high = (uint32_t)(b->map[i].start >> 32);
		entry.len_low = (uint32_t)len;
		entry.len_high = (uint32_t)(len >> 32);
		entry.type = b->map[i].type;
		v3_boot_put(w, &entry, sizeof(entry));
	}
}

static void mb_put_modules(struct v3_boot_writer *w, const struct v3_boot *b, struct mb_info *info)
{
	uint32_t n = b->cfg->nmodules, i, text;
	const struct v3_boot_copy *copy;
	struct mb_module module = {.reserved = 0};

	info->mods_count = n;
	info->mods_addr = (uint32_t)w->pos;
	text = info->mods_addr + n * (uint32_t)sizeof(module); /* the texts follow the table */
	for (i = 0; i < n; i++) {
		copy = &b->copy[b->first_module + i];
		module.start = (uint32_t)copy->gpa;
		module.end = (uint32_t)(copy->gpa + copy->len);
		module.string = text;
		text += (uint32_t)v3_strlen(b->cfg->modules[i].cmdline) + 1;
		v3_boot_put(w, &module, sizeof(module));
	}
	for (i = 0; i < n; i++)
		v3_boot_put(w, b->cfg->modules[i].cmdline,
			    v3_strlen(b->cfg->modules[i].cmdline) + 1);
}

static int mb_setup(struct v3_vm *vm, struct v3_boot *b)
{
	struct v3_boot_writer w = {.vm = vm, .pos = b->info + sizeof(struct mb_info)};
	struct mb_info info = {.flags = MB_INFO_MEM | MB_INFO_CMDLINE | MB_INFO_MODS |
					MB_INFO_MMAP | MB_INFO_LOADER};

	mb_put_map(&w, b, &info);
	mb_put_modules(&w, b, &info);
	info.cmdline = v3_boot_put(&w, b->cfg->cmdline, v3_strlen(b->cfg->cmdline) + 1);
	info.boot_loader_name = v3_boot_put(&w, mb_loader_name, sizeof(mb_loader_name));
	if (!w.err)
		w.err = v3_mem_write(vm, b->info, &info, sizeof(info));
	v3_boot_enter_protected(vm, b, MB_ENTRY_MAGIC);
	return w.err;
}

const struct v3_boot_loader v3_multiboot_loader = {mb_check, mb_load, mb_setup};
