/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file multiboot2.c
 * Kernels by the Multiboot2 Specification version 2.0: ELF32 or ELF64 executables with a 32-bit entry point, or any
 * format with an address tag. A kernel with a relocatable tag goes where the tag allows. Modules follow the kernel,
 * or lie below one that wants the top of RAM; the information lies in the lowest free RAM.
 */
#include "boot/loader.h"

#include "config/vm_cfg.h"
#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

/* Header (3.1): it lies in the first 32 KiB, 8-byte aligned. */
#define MB2_HEADER_MAGIC  0xe85250d6
#define MB2_HEADER_SEARCH 32768
#define MB2_HEADER_LEN	  16
#define MB2_ARCH_I386	  0
#define MB2_ENTRY_MAGIC	  0x36d76289

/* Header tags (3.1.3 and later). */
enum mb2_header_tag {
	MB2_TAG_END,
	MB2_TAG_REQUEST,
	MB2_TAG_ADDRESS,
	MB2_TAG_ENTRY,
	MB2_TAG_CONSOLE,
	MB2_TAG_FRAMEBUFFER,
	MB2_TAG_MODULE_ALIGN,
	MB2_TAG_EFI_BOOT_SERVICES,
	MB2_TAG_EFI_ENTRY32,
	MB2_TAG_EFI_ENTRY64,
	MB2_TAG_RELOCATABLE,
	MB2_NTAGS
};
#define MB2_TAG_OPTIONAL 1u
#define MB2_TAG_HEAD	 8u

/* Information tags (3.6). */
#define MB2_INFO_END	 0
#define MB2_INFO_CMDLINE 1
#define MB2_INFO_LOADER	 2
#define MB2_INFO_MODULE	 3
#define MB2_INFO_MEM	 4
#define MB2_INFO_MMAP	 6
#define MB2_INFO_RSDP	 15 /* ACPI 2.0 and later */
#define MB2_INFO_BASE	 21 /* where a relocatable kernel begins */
#define MB2_INFO_OFFERED                                                                           \
	(1u << MB2_INFO_CMDLINE | 1u << MB2_INFO_LOADER | 1u << MB2_INFO_MODULE |                  \
	 1u << MB2_INFO_MEM | 1u << MB2_INFO_MMAP | 1u << MB2_INFO_RSDP | 1u << MB2_INFO_BASE)

#define MB2_MAX_ALIGN	(1u << 30)
#define MB2_RSDP_LEN	36
#define MB2_PREFER_HIGH 2

struct mb2_info_tag {
	uint32_t type, size; /* without padding to 8 bytes */
};
struct mb2_info_mem {
	struct mb2_info_tag tag;
	uint32_t lower, upper; /* KiB */
};
struct mb2_info_module {
	struct mb2_info_tag tag;
	uint32_t start, end; /* the text follows */
};
struct mb2_info_mmap {
	struct mb2_info_tag tag;
	uint32_t entry_size, entry_version;
};
struct mb2_mmap_entry {
	uint64_t base, len;
	uint32_t type, zero;
};
struct mb2_info_base {
	struct mb2_info_tag tag;
	uint32_t base;
};
_Static_assert(sizeof(struct mb2_info_module) == 16, "module tag");
_Static_assert(sizeof(struct mb2_mmap_entry) == 24, "memory map entry");
_Static_assert(sizeof(struct mb2_info_base) == 12, "load base tag");

static const char mb2_loader_name[] = "Palacios";

/* A header and what its tags say. */
struct mb2_header {
	uint32_t offset, len; /* in the file */
	bool has_addresses, has_entry, relocatable;
	struct v3_boot_addresses addresses;
	uint32_t entry;
	uint32_t low, high, align, preference; /* relocatable */
};

/* ---- the header ---- */

static bool mb2_find(const uint8_t *image, size_t len, struct mb2_header *h)
{
	size_t end = len < MB2_HEADER_SEARCH ? len : MB2_HEADER_SEARCH, off;
	uint32_t arch, header_len;

	for (off = 0; off + MB2_HEADER_LEN <= end; off += 8) {
		if (v3_boot_u32(image + off) != MB2_HEADER_MAGIC)
			continue;
		arch = v3_boot_u32(image + off + 4);
		header_len = v3_boot_u32(image + off + 8);
		if ((uint32_t)(MB2_HEADER_MAGIC + arch + header_len +
			       v3_boot_u32(image + off + 12)))
			continue;
		h->offset = (uint32_t)off;
		h->len = header_len;
		return true;
	}
	return false;
}

bool v3_multiboot2_is(const uint8_t *image, size_t len)
{
	struct mb2_header h;

	return mb2_find(image, len, &h);
}

static int mb2_check_requests(const uint8_t *tag, uint32_t size, struct v3_boot_msg *msg)
{
	uint32_t i, type;

	for (i = MB2_TAG_HEAD; i + 4 <= size; i += 4) {
		type = v3_boot_u32(tag + i);
		if (type >= 32 || !(MB2_INFO_OFFERED & 1u << type))
			return v3_boot_fail(msg, V3_ENOTSUP,
					    "multiboot2: the kernel demands information %u, which "
					    "is not offered",
					    type);
	}
	return V3_OK;
}

static int mb2_check_relocatable(const uint8_t *tag, struct mb2_header *h, struct v3_boot_msg *msg)
{
	h->low = v3_boot_u32(tag + 8);
	h->high = v3_boot_u32(tag + 12);
	h->align = v3_boot_u32(tag + 16);
	h->preference = v3_boot_u32(tag + 20);
	if (!h->align || h->align & (h->align - 1) || h->align > MB2_MAX_ALIGN || h->low > h->high)
		return v3_boot_fail(
			msg, V3_EBADMSG,
			"multiboot2: relocatable tag: %#x..%#x with alignment %#x makes no sense",
			h->low, h->high, h->align);
	h->relocatable = true;
	return V3_OK;
}

static void mb2_take_addresses(const uint8_t *tag, struct mb2_header *h)
{
	h->addresses = (struct v3_boot_addresses){.header = v3_boot_u32(tag + 8),
						  .load = v3_boot_u32(tag + 12),
						  .load_end = v3_boot_u32(tag + 16),
						  .bss_end = v3_boot_u32(tag + 20)};
	/* All ones: from the beginning of the file. */
	if (h->addresses.load == ~0u)
		h->addresses.load = h->addresses.header - h->offset;
	h->has_addresses = true;
}

static int mb2_take_tag(const uint8_t *tag, uint32_t size, struct mb2_header *h,
			struct v3_boot_msg *msg)
{
	/* Least size of each tag; 0: to be ignored here (no console of the loader's, no EFI). */
	static const uint8_t sizes[MB2_NTAGS] = {[MB2_TAG_REQUEST] = 8,
						 [MB2_TAG_ADDRESS] = 24,
						 [MB2_TAG_ENTRY] = 12,
						 [MB2_TAG_RELOCATABLE] = 24};
	static const char *const refused[MB2_NTAGS] = {[MB2_TAG_FRAMEBUFFER] = "a graphics mode",
						       [MB2_TAG_EFI_BOOT_SERVICES] =
							       "EFI boot services"};
	unsigned type = v3_boot_u16(tag);
	bool optional = v3_boot_u16(tag + 2) & MB2_TAG_OPTIONAL;

	if (type >= MB2_NTAGS || refused[type])
		return optional ? V3_OK
				: v3_boot_fail(msg, V3_ENOTSUP,
					       "multiboot2: the kernel demands %s (tag %u)",
					       type < MB2_NTAGS ? refused[type] : "what is unknown",
					       type);
	if (size < sizes[type])
		return v3_boot_fail(msg, V3_EBADMSG, "multiboot2: tag %u has %u bytes, not %u",
				    type, size, sizes[type]);
	switch (type) {
	case MB2_TAG_REQUEST:
		return optional ? V3_OK : mb2_check_requests(tag, size, msg);
	case MB2_TAG_ADDRESS:
		mb2_take_addresses(tag, h);
		break;
	case MB2_TAG_ENTRY:
		h->entry = v3_boot_u32(tag + 8);
		h->has_entry = true;
		break;
	case MB2_TAG_RELOCATABLE:
		return mb2_check_relocatable(tag, h, msg);
	default: /* modules are aligned anyway; the others are for EFI and consoles */
		break;
	}
	return V3_OK;
}

static int mb2_parse(const uint8_t *image, size_t len, struct mb2_header *h,
		     struct v3_boot_msg *msg)
{
	const uint8_t *tag;
	uint32_t pos, size;
	int err;

	*h = (struct mb2_header){.offset = 0};
	if (!mb2_find(image, len, h))
		return v3_boot_fail(msg, V3_EBADMSG, "not a multiboot2 kernel");
	if (v3_boot_u32(image + h->offset + 4) != MB2_ARCH_I386)
		return v3_boot_fail(msg, V3_ENOTSUP, "multiboot2: not a kernel for x86");
	if (h->len < MB2_HEADER_LEN || h->len > len - h->offset)
		return v3_boot_fail(msg, V3_EBADMSG, "multiboot2: header of %u bytes, cut off",
				    h->len);
	for (pos = MB2_HEADER_LEN; pos + MB2_TAG_HEAD <= h->len; pos += (size + 7) & ~7u) {
		tag = image + h->offset + pos;
		size = v3_boot_u32(tag + 4);
		if (size < MB2_TAG_HEAD || size > h->len - pos)
			return v3_boot_fail(msg, V3_EBADMSG,
					    "multiboot2: tag of %u bytes in a header of %u", size,
					    h->len);
		if (v3_boot_u16(tag) == MB2_TAG_END)
			break;
		err = mb2_take_tag(tag, size, h, msg);
		if (err)
			return err;
	}
	return h->has_addresses && !h->has_entry
		       ? v3_boot_fail(msg, V3_EBADMSG, "multiboot2: addresses but no entry point")
		       : V3_OK;
}

/* ---- the kernel ---- */

/* How far up a relocatable ELF kernel goes: 0 if its own place suits it. */
static int mb2_find_shift(struct v3_boot *b, const struct mb2_header *h, const uint8_t *image,
			  size_t len, uint64_t *shift, struct v3_boot_msg *msg)
{
	struct v3_boot_want want = {.align = h->align,
				    .low = h->low,
				    .high = (uint64_t)h->high + 1,
				    .top_down = h->preference == MB2_PREFER_HIGH};
	uint64_t low = ~0ull, high = 0;
	struct v3_elf_segment seg;
	struct v3_elf elf;
	v3_gpa_t start = 0;
	uint32_t i = 0;
	int err = v3_elf_open(image, len, &elf, msg);

	if (err)
		return err;
	while ((err = v3_elf_next(&elf, &i, &seg, msg)) == V3_OK) {
		low = seg.paddr < low ? seg.paddr : low;
		high = seg.paddr + seg.mem_len > high ? seg.paddr + seg.mem_len : high;
	}
	if (err != V3_ENOENT)
		return err;
	if (low >= high)
		return v3_boot_fail(msg, V3_EBADMSG, "ELF: nothing to load");
	want.len = high - low;
	if (!h->preference && low >= want.low && high <= want.high && !(low & (h->align - 1))) {
		want.low = low;
		want.high = high;
	}
	err = v3_boot_find(b, &want, "kernel", &start, msg);
	if (err)
		return err;
	b->ntaken--; /* its segments take their own places */
	*shift = start - low;
	b->relocated = true;
	b->load_base = (uint32_t)start;
	return V3_OK;
}

/* Check the kernel and, unless @p b is NULL, place it. */
static int mb2_load_kernel(struct v3_boot *b, const uint8_t *image, size_t len, uint64_t *entry,
			   struct v3_boot_msg *msg)
{
	uint64_t shift = 0;
	struct mb2_header h;
	int err;

	err = mb2_parse(image, len, &h, msg);
	if (err)
		return err;
	if (h.has_addresses) {
		h.addresses.entry = h.entry;
		*entry = h.entry;
		return v3_boot_add_flat(b, image, len, h.offset, &h.addresses, msg);
	}
	if (b && h.relocatable) {
		err = mb2_find_shift(b, &h, image, len, &shift, msg);
		if (err)
			return err;
	}
	err = v3_boot_add_elf(b, image, len, shift, entry, msg);
	if (err || !h.has_entry)
		return err;
	*entry = h.entry + shift;
	return *entry >> 32 ? v3_boot_fail(msg, V3_EBADMSG,
					   "multiboot2: the entry point %#x is outside the kernel",
					   h.entry)
			    : V3_OK;
}

static int mb2_check(const uint8_t *image, size_t len, struct v3_boot_msg *msg)
{
	uint64_t entry;

	return mb2_load_kernel(NULL, image, len, &entry, msg);
}

/* ---- the information ---- */

static uint64_t mb2_pad(uint64_t len)
{
	return (len + 7) & ~7ull;
}

static uint64_t mb2_info_len(const struct v3_boot *b)
{
	uint64_t len = 8 + mb2_pad(sizeof(struct mb2_info_tag) + sizeof(mb2_loader_name)) +
		       mb2_pad(sizeof(struct mb2_info_tag) + v3_strlen(b->cfg->cmdline) + 1) +
		       sizeof(struct mb2_info_mem) + sizeof(struct mb2_info_mmap) +
		       b->nmap * sizeof(struct mb2_mmap_entry) +
		       mb2_pad(sizeof(struct mb2_info_tag) + MB2_RSDP_LEN) +
		       mb2_pad(sizeof(struct mb2_info_base)) + sizeof(struct mb2_info_tag);
	uint32_t i;

	for (i = 0; i < b->cfg->nmodules; i++)
		len += mb2_pad(sizeof(struct mb2_info_module) +
			       v3_strlen(b->cfg->modules[i].cmdline) + 1);
	return len;
}

static int mb2_load(struct v3_vm *vm, struct v3_boot *b, const uint8_t *image, size_t len,
		    struct v3_boot_msg *msg)
{
	uint64_t entry = 0;
	int err = mb2_load_kernel(b, image, len, &entry, msg);

	if (err)
		return err;
	b->entry = entry;
	return v3_boot_place_rest(vm, b, mb2_info_len(b), "multiboot information", msg);
}

/* A tag of a fixed part and a variable one. */
static void mb2_put_tag(struct v3_boot_writer *w, void *fixed, size_t fixed_len, uint32_t type,
			const void *rest, size_t rest_len)
{
	static const uint8_t zeros[8];
	struct mb2_info_tag *tag = fixed;
	size_t len = fixed_len + rest_len;

	*tag = (struct mb2_info_tag){type, (uint32_t)len};
	v3_boot_put(w, fixed, fixed_len);
	if (rest_len)
		v3_boot_put(w, rest, rest_len);
	if (len & 7)
		v3_boot_put(w, zeros, 8 - (len & 7));
}

static void mb2_put_text(struct v3_boot_writer *w, uint32_t type, const char *text)
{
	struct mb2_info_tag tag;

	mb2_put_tag(w, &tag, sizeof(tag), type, text, v3_strlen(text) + 1);
}

static void mb2_put_map(struct v3_boot_writer *w, const struct v3_boot *b)
{
	struct mb2_info_mmap map = {
		{MB2_INFO_MMAP, (uint32_t)(sizeof(map) + b->nmap * sizeof(struct mb2_mmap_entry))},
		sizeof(struct mb2_mmap_entry),
		0};
	uint32_t i;

	v3_boot_put(w, &map, sizeof(map));
	for (i = 0; i < b->nmap; i++) {
		struct mb2_mmap_entry entry = {b->map[i].start, b->map[i].end - b->map[i].start,
					       b->map[i].type, 0};

		v3_boot_put(w, &entry, sizeof(entry));
	}
}

static void mb2_put_modules(struct v3_boot_writer *w, const struct v3_boot *b)
{
	uint32_t i;

	for (i = 0; i < b->cfg->nmodules; i++) {
		const struct v3_boot_copy *copy = &b->copy[b->first_module + i];
		struct mb2_info_module m = {.start = (uint32_t)copy->gpa,
					    .end = (uint32_t)(copy->gpa + copy->len)};
		const char *text = b->cfg->modules[i].cmdline;

		mb2_put_tag(w, &m, sizeof(m), MB2_INFO_MODULE, text, v3_strlen(text) + 1);
	}
}

/* The RSDP itself, as ACPI 2.0 and later define it. */
static void mb2_put_rsdp(struct v3_boot_writer *w, const struct v3_boot *b)
{
	uint8_t rsdp[MB2_RSDP_LEN];
	struct mb2_info_tag tag;

	if (!w->err)
		w->err = v3_mem_read(w->vm, b->rsdp, rsdp, sizeof(rsdp));
	mb2_put_tag(w, &tag, sizeof(tag), MB2_INFO_RSDP, rsdp, sizeof(rsdp));
}

static int mb2_setup(struct v3_vm *vm, struct v3_boot *b)
{
	struct v3_boot_writer w = {.vm = vm, .pos = b->info + 8};
	struct mb2_info_base base = {.base = b->load_base};
	struct mb2_info_mem mem;
	struct mb2_info_tag end;
	uint32_t head[2] = {0, 0}; /* total size, reserved */

	v3_boot_mem_kib(b, &mem.lower, &mem.upper);
	mb2_put_text(&w, MB2_INFO_CMDLINE, b->cfg->cmdline);
	mb2_put_text(&w, MB2_INFO_LOADER, mb2_loader_name);
	mb2_put_modules(&w, b);
	mb2_put_tag(&w, &mem, sizeof(mem), MB2_INFO_MEM, NULL, 0);
	mb2_put_map(&w, b);
	if (b->rsdp)
		mb2_put_rsdp(&w, b);
	if (b->relocated)
		mb2_put_tag(&w, &base, sizeof(base), MB2_INFO_BASE, NULL, 0);
	mb2_put_tag(&w, &end, sizeof(end), MB2_INFO_END, NULL, 0);
	head[0] = (uint32_t)(w.pos - b->info);
	if (!w.err)
		w.err = v3_mem_write(vm, b->info, head, sizeof(head));
	v3_boot_enter_protected(vm, b, MB2_ENTRY_MAGIC);
	return w.err;
}

const struct v3_boot_loader v3_multiboot2_loader = {mb2_check, mb2_load, mb2_setup};
