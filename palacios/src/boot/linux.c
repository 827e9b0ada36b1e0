/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file linux.c
 * Linux bzImages by the 64-bit and the 32-bit boot protocol, as Documentation/arch/x86/boot.rst ("The
 * real-mode kernel header", "32-bit boot protocol", "64-bit boot protocol") and zero-page.rst of Linux
 * describe them. A kernel that has the 64-bit entry is entered at its load address + 0x200 in 64-bit mode,
 * any other at its load address in protected mode, with RSI at the boot parameters; the real-mode code is
 * not used.
 *
 * Guest RAM below 40 KiB: GDT, boot parameters, command line, page tables (LINUX_* below). The
 * kernel lies at its preferred address or, if it is relocatable, above; the initrd as high as the
 * kernel can reach.
 */
#include "boot/loader.h"

#include "config/vm_cfg.h"
#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define LINUX_GDT	 0x1000
#define LINUX_PARAMS	 0x2000
#define LINUX_CMDLINE	 0x3000 /* one page: a definition's text has at most 4095 bytes */
#define LINUX_PML4	 0x4000
#define LINUX_PDPT	 0x5000
#define LINUX_PD	 0x6000 /* four pages: the first 4 GiB in 2 MiB pages */
#define LINUX_LOW_END	 0xa000
#define LINUX_KERNEL_LOW 0x100000
#define LINUX_ENTRY64	 0x200 /* from the load address */

/* What a header that is too short to say it means ("Details of header fields"). */
#define LINUX_OLD_INITRD_MAX  0x37ffffff
#define LINUX_OLD_CMDLINE_MAX 255
#define LINUX_OLD_GROWTH      8 /* init_size, by the length of the compressed kernel: gzip gains less */

/* Setup header, offsets from the start of the image and of the boot parameters. */
#define HDR_SETUP_SECTS	   0x1f1
#define HDR_SYSSIZE	   0x1f4 /* of the protected-mode kernel, in 16 bytes */
#define HDR_VID_MODE	   0x1fa
#define HDR_BOOT_FLAG	   0x1fe
#define HDR_JUMP	   0x200 /* its second byte says where the header ends */
#define HDR_MAGIC	   0x202
#define HDR_VERSION	   0x206
#define HDR_TYPE_OF_LOADER 0x210
#define HDR_LOADFLAGS	   0x211
#define HDR_RAMDISK_IMAGE  0x218
#define HDR_RAMDISK_SIZE   0x21c
#define HDR_CMD_LINE_PTR   0x228
#define HDR_INITRD_MAX	   0x22c
#define HDR_ALIGNMENT	   0x230
#define HDR_RELOCATABLE	   0x234 /* a byte; in the upper half of the 32 bits: xloadflags */
#define HDR_CMDLINE_SIZE   0x238
#define HDR_PAYLOAD_OFF	   0x248
#define HDR_PAYLOAD_LEN	   0x24c
#define HDR_PREF_ADDRESS   0x258
#define HDR_INIT_SIZE	   0x260
#define HDR_END_MIN	   0x22c /* version 2.02 ends behind cmd_line_ptr */
#define HDR_VERSION_MIN	   0x202
#define HDR_VERSION_64	   0x20c /* xloadflags has the bit */

#define HDR_MAGIC_VALUE		   0x53726448 /* "HdrS" */
#define HDR_LOADFLAGS_HIGH	   0x01
#define HDR_LOADFLAGS_CAN_USE_HEAP 0x80
#define HDR_XLOADFLAGS_64	   0x00010000
#define LOADER_UNDEFINED	   0xff /* type_of_loader without an assigned number */
#define VID_MODE_NORMAL		   0xffff

/* Boot parameters ("zero page"). */
#define PARAMS_VIDEO_MODE   0x006 /* screen_info: mode, columns, ... */
#define PARAMS_VIDEO_COLS   0x007
#define PARAMS_VIDEO_LINES  0x00e /* ... rows, "a VGA", scan lines of a character */
#define PARAMS_VIDEO_IS_VGA 0x00f
#define PARAMS_VIDEO_POINTS 0x010
#define PARAMS_ACPI_RSDP    0x070
#define PARAMS_E820_ENTRIES 0x1e8
#define PARAMS_HEADER	    0x1f1
#define PARAMS_E820_TABLE   0x2d0
#define PARAMS_E820_MAX	    128
#define PARAMS_E820_LEN	    20
#define PARAMS_HEADER_END   0x290 /* the most a header can take */

/* Page table entry bits, APM vol. 2 5.4.1. */
#define PTE_P  0x001
#define PTE_RW 0x002
#define PTE_PS 0x080

/* A field of the setup header; what it is in kernels whose header ends before it. */
static uint32_t linux_field(const uint8_t *image, const struct v3_linux *lx, unsigned off,
			    uint32_t absent)
{
	return off + 4 <= lx->header_end ? v3_boot_u32(image + off) : absent;
}

static int linux_check_header(const uint8_t *image, size_t len, struct v3_linux *out,
			      struct v3_boot_msg *msg)
{
	uint16_t version;

	if (len < HDR_END_MIN)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "bzImage: %zu bytes are too short for a setup header", len);
	if (v3_boot_u16(image + HDR_BOOT_FLAG) != 0xaa55 ||
	    v3_boot_u32(image + HDR_MAGIC) != HDR_MAGIC_VALUE)
		return v3_boot_fail(msg, V3_EBADMSG, "not a Linux bzImage (no setup header)");
	version = v3_boot_u16(image + HDR_VERSION);
	if (version < HDR_VERSION_MIN)
		return v3_boot_fail(msg, V3_ENOTSUP,
				    "bzImage: boot protocol %u.%02u, 2.02 or later is needed",
				    version >> 8, version & 0xff);
	if (!(image[HDR_LOADFLAGS] & HDR_LOADFLAGS_HIGH))
		return v3_boot_fail(msg, V3_ENOTSUP,
				    "bzImage: a zImage, loaded below 1 MiB (loadflags)");
	out->header_end = HDR_MAGIC + image[HDR_JUMP + 1];
	if (image[HDR_JUMP] != 0xeb || out->header_end < HDR_END_MIN || out->header_end > len ||
	    out->header_end > PARAMS_HEADER_END)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "bzImage: setup header ends at %#x, expected %#x..%#x",
				    out->header_end, HDR_END_MIN, PARAMS_HEADER_END);
	out->long_mode = version >= HDR_VERSION_64 &&
			 linux_field(image, out, HDR_RELOCATABLE, 0) & HDR_XLOADFLAGS_64;
	return V3_OK;
}

static int linux_check_size(const uint8_t *image, size_t len, struct v3_linux *out,
			    struct v3_boot_msg *msg)
{
	uint32_t sects = image[HDR_SETUP_SECTS] ? image[HDR_SETUP_SECTS] : 4;
	uint64_t syssize = (uint64_t)v3_boot_u32(image + HDR_SYSSIZE) * 16, payload_end;

	out->kernel_off = (sects + 1) * 512;
	/* syssize is rounded up, the file need not be */
	if (out->kernel_off >= len || syssize <= LINUX_ENTRY64 ||
	    syssize - 15 > len - out->kernel_off)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "bzImage: cut off: %zu bytes, syssize asks for %#x + %#llx",
				    len, out->kernel_off, (unsigned long long)syssize);
	out->kernel_len = syssize < len - out->kernel_off ? syssize : len - out->kernel_off;

	payload_end = (uint64_t)linux_field(image, out, HDR_PAYLOAD_OFF, 0) +
		      linux_field(image, out, HDR_PAYLOAD_LEN, 0);
	if (payload_end > syssize)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "bzImage: payload ends at %#llx, the kernel at %#llx",
				    (unsigned long long)payload_end, (unsigned long long)syssize);
	out->init_size = linux_field(image, out, HDR_INIT_SIZE, 0);
	if (out->header_end < HDR_INIT_SIZE + 4)
		out->init_size = LINUX_OLD_GROWTH * out->kernel_len;
	if (out->init_size < out->kernel_len)
		out->init_size = out->kernel_len;
	return V3_OK;
}

int v3_linux_parse(const uint8_t *image, size_t len, struct v3_linux *out, struct v3_boot_msg *msg)
{
	int err;

	err = linux_check_header(image, len, out, msg);
	if (!err)
		err = linux_check_size(image, len, out, msg);
	if (err)
		return err;
	out->pref_address = linux_field(image, out, HDR_PREF_ADDRESS, LINUX_KERNEL_LOW) |
			    (uint64_t)linux_field(image, out, HDR_PREF_ADDRESS + 4, 0) << 32;
	out->alignment = linux_field(image, out, HDR_ALIGNMENT, 0);
	out->relocatable = linux_field(image, out, HDR_RELOCATABLE, 0) & 0xff;
	if (out->relocatable &&
	    (out->alignment < V3_PAGE_SIZE || (out->alignment & (out->alignment - 1))))
		return v3_boot_fail(msg, V3_EBADMSG,
				    "bzImage: kernel_alignment %#x is not a power of two >= 4096",
				    out->alignment);
	if (out->pref_address < LINUX_KERNEL_LOW || out->pref_address >= 1ull << 32)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "bzImage: pref_address %#llx is not within 1 MiB..4 GiB",
				    (unsigned long long)out->pref_address);
	out->initrd_max = linux_field(image, out, HDR_INITRD_MAX, LINUX_OLD_INITRD_MAX);
	out->cmdline_max = linux_field(image, out, HDR_CMDLINE_SIZE, LINUX_OLD_CMDLINE_MAX);
	return V3_OK;
}

/* The kernel decompresses itself to its preferred address even when it is loaded below, so there is
 * no use in looking for a place there. The page tables reach to 4 GiB. */
static int linux_place_kernel(struct v3_boot *b, const struct v3_linux *lx, v3_gpa_t *start,
			      struct v3_boot_msg *msg)
{
	struct v3_boot_want want = {.len = lx->init_size,
				    .align = lx->alignment,
				    .low = lx->pref_address,
				    .high = 1ull << 32};

	*start = lx->pref_address;
	if (!lx->relocatable)
		return v3_boot_take(b, *start, lx->init_size, "kernel", msg);
	return v3_boot_find(b, &want, "kernel (init_size)", start, msg);
}

static int linux_place_initrd(struct v3_vm *vm, struct v3_boot *b, const struct v3_linux *lx,
			      struct v3_boot_msg *msg)
{
	struct v3_boot_copy copy = {.gpa = 0};
	struct v3_boot_want want = {
		.align = V3_PAGE_SIZE, .low = LINUX_KERNEL_LOW, .top_down = true};
	size_t len = 0;
	int err;

	copy.src = v3_vm_file(vm, b->cfg->initrd, &len);
	if (!copy.src)
		return v3_boot_fail(msg, V3_ENOENT, "initrd %s: not in the container",
				    b->cfg->initrd);
	if (!len)
		return V3_OK;
	if (len > UINT32_MAX)
		return v3_boot_fail(msg, V3_E2BIG, "initrd: %zu bytes, the limit is 4 GiB", len);
	copy.len = copy.mem_len = want.len = len;
	want.high = (v3_gpa_t)lx->initrd_max + 1;
	err = v3_boot_find(b, &want, "initrd", &copy.gpa, msg);
	if (err)
		return err;
	b->initrd = b->ncopies;
	return v3_boot_add_copy(b, &copy, msg);
}

static int linux_load(struct v3_vm *vm, struct v3_boot *b, const uint8_t *image, size_t len,
		      struct v3_boot_msg *msg)
{
	size_t cmdline_len = v3_strlen(b->cfg->cmdline);
	struct v3_boot_copy copy;
	struct v3_linux lx;
	v3_gpa_t start = 0;
	int err;

	err = v3_linux_parse(image, len, &lx, msg);
	if (err)
		return err;
	if (cmdline_len > lx.cmdline_max || cmdline_len >= V3_PAGE_SIZE)
		return v3_boot_fail(msg, V3_E2BIG,
				    "cmdline: %zu bytes, this kernel takes at most %u", cmdline_len,
				    lx.cmdline_max);
	err = v3_boot_take(b, LINUX_GDT, LINUX_LOW_END - LINUX_GDT, "boot parameters", msg);
	if (err)
		return err;
	err = linux_place_kernel(b, &lx, &start, msg);
	if (err)
		return err;
	copy = (struct v3_boot_copy){.gpa = start,
				     .src = image + lx.kernel_off,
				     .len = lx.kernel_len,
				     .mem_len = lx.kernel_len};
	err = v3_boot_add_copy(b, &copy, msg);
	if (err)
		return err;
	b->entry = start + (lx.long_mode ? LINUX_ENTRY64 : 0);
	b->long_mode = lx.long_mode;
	b->info = LINUX_PARAMS;
	b->setup = image;
	b->setup_len = lx.header_end;
	return b->cfg->initrd ? linux_place_initrd(vm, b, &lx, msg) : V3_OK;
}

/* Identity map of the first 4 GiB. @param page  4 KiB of scratch space */
static int linux_write_page_tables(struct v3_vm *vm, uint64_t *page)
{
	unsigned i, entry;
	int err;

	memset(page, 0, V3_PAGE_SIZE);
	page[0] = LINUX_PDPT | PTE_P | PTE_RW;
	err = v3_mem_write(vm, LINUX_PML4, page, V3_PAGE_SIZE);
	if (err)
		return err;
	for (i = 0; i < 4; i++)
		page[i] = (LINUX_PD + i * V3_PAGE_SIZE) | PTE_P | PTE_RW;
	err = v3_mem_write(vm, LINUX_PDPT, page, V3_PAGE_SIZE);
	for (i = 0; i < 4 && !err; i++) {
		for (entry = 0; entry < 512; entry++)
			page[entry] = (i * 512ull + entry) * V3_SIZE_2M | PTE_PS | PTE_P | PTE_RW;
		err = v3_mem_write(vm, LINUX_PD + i * V3_PAGE_SIZE, page, V3_PAGE_SIZE);
	}
	return err;
}

static void linux_put32(uint8_t *page, unsigned off, uint32_t value)
{
	memcpy(page + off, &value, sizeof(value));
}

/* Without firmware the display is in the mode it begins with: 80x25, characters of 16 lines. */
static void linux_fill_screen(const struct v3_vm_cfg *cfg, uint8_t *page)
{
	if (!v3_vm_cfg_has_device(cfg, "vga"))
		return;
	page[PARAMS_VIDEO_MODE] = 3;
	page[PARAMS_VIDEO_COLS] = 80;
	page[PARAMS_VIDEO_LINES] = 25;
	page[PARAMS_VIDEO_IS_VGA] = 1;
	page[PARAMS_VIDEO_POINTS] = 16;
}

static void linux_fill_params(const struct v3_boot *b, uint8_t *page)
{
	const struct v3_boot_copy *initrd = &b->copy[b->initrd];
	const uint16_t vid_mode = VID_MODE_NORMAL;
	uint8_t *entry = page + PARAMS_E820_TABLE;
	uint64_t size;
	uint32_t i;

	memset(page, 0, V3_PAGE_SIZE);
	memcpy(page + PARAMS_HEADER, b->setup + PARAMS_HEADER, b->setup_len - PARAMS_HEADER);
	memcpy(page + PARAMS_ACPI_RSDP, &b->rsdp, sizeof(b->rsdp));
	memcpy(page + HDR_VID_MODE, &vid_mode, sizeof(vid_mode));
	page[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
	linux_fill_screen(b->cfg, page);
	page[HDR_LOADFLAGS] &=
		(uint8_t)~HDR_LOADFLAGS_CAN_USE_HEAP; /* for the real-mode code only */
	linux_put32(page, HDR_CMD_LINE_PTR, LINUX_CMDLINE);
	if (b->initrd) {
		linux_put32(page, HDR_RAMDISK_IMAGE, (uint32_t)initrd->gpa);
		linux_put32(page, HDR_RAMDISK_SIZE, (uint32_t)initrd->len);
	}
	for (i = 0; i < b->nmap; i++, entry += PARAMS_E820_LEN) {
		size = b->map[i].end - b->map[i].start;
		memcpy(entry, &b->map[i].start, 8);
		memcpy(entry + 8, &size, 8);
		memcpy(entry + 16, &b->map[i].type, 4);
	}
	page[PARAMS_E820_ENTRIES] = (uint8_t)b->nmap;
}

_Static_assert(V3_BOOT_MAX_MAP <= PARAMS_E820_MAX, "the memory map fits the boot parameters");
_Static_assert(PARAMS_HEADER_END <= PARAMS_E820_TABLE, "the header ends before the E820 table");

/* Selectors 0x10 and 0x18 as the protocols ask: flat code of the mode and flat data, APM vol. 2 4.8. */
static int linux_enter(struct v3_vm *vm, const struct v3_boot *b)
{
	const uint64_t gdt[4] = {0, 0, b->long_mode ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull,
				 0x00cf93000000ffffull};
	const struct v3_dtr gdtr = {.base = LINUX_GDT, .limit = sizeof(gdt) - 1};
	struct v3_vcpu *vcpu = v3_vm_vcpu(vm, 0);

	if (b->long_mode)
		v3_boot_cpu_long(vcpu, LINUX_PML4, &gdtr);
	else
		v3_boot_cpu_protected(vcpu, &gdtr);
	v3_vcpu_regs(vcpu)->rip = b->entry;
	v3_vcpu_regs(vcpu)->gpr[V3_RSI] = b->info;
	return v3_mem_write(vm, LINUX_GDT, gdt, sizeof(gdt));
}

static int linux_setup(struct v3_vm *vm, struct v3_boot *b)
{
	uint8_t *page;
	int err = V3_OK;

	page = v3_alloc(V3_PAGE_SIZE);
	if (!page)
		return V3_ENOMEM;
	if (b->long_mode)
		err = linux_write_page_tables(vm, (uint64_t *)(void *)page);
	if (err)
		goto free_page;
	linux_fill_params(b, page);
	err = v3_mem_write(vm, b->info, page, V3_PAGE_SIZE);
	if (err)
		goto free_page;
	err = v3_mem_write(vm, LINUX_CMDLINE, b->cfg->cmdline, v3_strlen(b->cfg->cmdline) + 1);
	if (err)
		goto free_page;
	err = linux_enter(vm, b);
free_page:
	v3_free(page);
	return err;
}

static int linux_check(const uint8_t *image, size_t len, struct v3_boot_msg *msg)
{
	struct v3_linux lx;

	return v3_linux_parse(image, len, &lx, msg);
}

const struct v3_boot_loader v3_linux_loader = {linux_check, linux_load, linux_setup};
