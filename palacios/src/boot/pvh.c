/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pvh.c
 * Kernels by the PVH direct boot protocol, as Linux, FreeBSD and others take it ("x86/HVM direct boot ABI" and its
 * start-of-day structure): an ELF executable whose note XEN_ELFNOTE_PHYS32_ENTRY names a 32-bit physical entry point.
 * Modules follow the kernel (Linux takes the first as its initrd); the start information lies in the lowest free RAM.
 */
#include "boot/loader.h"

#include "config/vm_cfg.h"
#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define PVH_NOTE_NAME	      "Xen"
#define PVH_NOTE_PHYS32_ENTRY 18
#define PVH_START_MAGIC	      0x336ec578
#define PVH_START_VERSION     1

struct pvh_start {
	uint32_t magic, version, flags, nmodules;
	uint64_t modules, cmdline, rsdp, map;
	uint32_t nmap, reserved;
};
struct pvh_module {
	uint64_t start, size, cmdline, reserved;
};
struct pvh_map {
	uint64_t base, len;
	uint32_t type, reserved;
};
_Static_assert(sizeof(struct pvh_start) == 56, "hvm_start_info");
_Static_assert(sizeof(struct pvh_map) == 24, "memory map entry");

static int pvh_find_entry(const uint8_t *image, size_t len, uint64_t *entry,
			  struct v3_boot_msg *msg)
{
	const uint8_t *desc = NULL;
	uint32_t desc_len = 0;
	struct v3_elf elf;
	int err;

	err = v3_elf_open(image, len, &elf, msg);
	if (!err)
		err = v3_elf_note(&elf, PVH_NOTE_NAME, PVH_NOTE_PHYS32_ENTRY, &desc, &desc_len,
				  msg);
	if (err == V3_ENOENT || (!err && desc_len != 4 && desc_len != 8))
		return v3_boot_fail(msg, V3_EBADMSG,
				    "not a PVH kernel (no note with a 32-bit entry point)");
	if (err)
		return err;
	*entry = desc_len == 8 ? v3_boot_u64(desc) : v3_boot_u32(desc);
	return *entry >> 32 ? v3_boot_fail(msg, V3_EBADMSG,
					   "PVH: the entry point %#llx is not below 4 GiB",
					   (unsigned long long)*entry)
			    : V3_OK;
}

static int pvh_check(const uint8_t *image, size_t len, struct v3_boot_msg *msg)
{
	uint64_t entry;
	int err = pvh_find_entry(image, len, &entry, msg);

	return err ? err : v3_boot_add_elf(NULL, image, len, 0, NULL, msg);
}

static uint64_t pvh_info_len(const struct v3_boot *b)
{
	uint64_t len = sizeof(struct pvh_start) + b->nmap * sizeof(struct pvh_map) +
		       b->cfg->nmodules * sizeof(struct pvh_module) + v3_strlen(b->cfg->cmdline) +
		       1;
	uint32_t i;

	for (i = 0; i < b->cfg->nmodules; i++)
		len += v3_strlen(b->cfg->modules[i].cmdline) + 1;
	return len;
}

static int pvh_load(struct v3_vm *vm, struct v3_boot *b, const uint8_t *image, size_t len,
		    struct v3_boot_msg *msg)
{
	int err;

	err = pvh_find_entry(image, len, &b->entry, msg);
	if (!err)
		err = v3_boot_add_elf(b, image, len, 0, NULL, msg);
	return err ? err : v3_boot_place_rest(vm, b, pvh_info_len(b), "start information", msg);
}

static uint64_t pvh_put_map(struct v3_boot_writer *w, const struct v3_boot *b)
{
	uint64_t at = w->pos;
	uint32_t i;

	for (i = 0; i < b->nmap; i++) {
		struct pvh_map entry = {b->map[i].start, b->map[i].end - b->map[i].start,
					b->map[i].type, 0};

		v3_boot_put(w, &entry, sizeof(entry));
	}
	return at;
}

static uint64_t pvh_put_modules(struct v3_boot_writer *w, const struct v3_boot *b)
{
	uint64_t at = w->pos, text = at + b->cfg->nmodules * sizeof(struct pvh_module);
	uint32_t i;

	for (i = 0; i < b->cfg->nmodules; i++) {
		const struct v3_boot_copy *copy = &b->copy[b->first_module + i];
		struct pvh_module m = {copy->gpa, copy->len, text, 0};

		v3_boot_put(w, &m, sizeof(m));
		text += v3_strlen(b->cfg->modules[i].cmdline) + 1;
	}
	for (i = 0; i < b->cfg->nmodules; i++)
		v3_boot_put(w, b->cfg->modules[i].cmdline,
			    v3_strlen(b->cfg->modules[i].cmdline) + 1);
	return at;
}

static int pvh_setup(struct v3_vm *vm, struct v3_boot *b)
{
	struct v3_boot_writer w = {.vm = vm, .pos = b->info + sizeof(struct pvh_start)};
	struct pvh_start start = {.magic = PVH_START_MAGIC,
				  .version = PVH_START_VERSION,
				  .nmodules = b->cfg->nmodules,
				  .rsdp = b->rsdp,
				  .nmap = b->nmap};

	start.map = pvh_put_map(&w, b);
	if (start.nmodules)
		start.modules = pvh_put_modules(&w, b);
	start.cmdline = v3_boot_put(&w, b->cfg->cmdline, v3_strlen(b->cfg->cmdline) + 1);
	if (!w.err)
		w.err = v3_mem_write(vm, b->info, &start, sizeof(start));
	v3_boot_enter_protected(vm, b, 0);
	return w.err;
}

const struct v3_boot_loader v3_pvh_loader = {pvh_check, pvh_load, pvh_setup};
