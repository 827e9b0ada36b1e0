/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file loader.h
 * Private to boot/: what the loaders share. Every failure goes through a struct v3_boot_msg; boot.c
 * makes the one log line of it.
 */
#ifndef V3_BOOT_LOADER_H
#define V3_BOOT_LOADER_H

#include "boot/boot.h"
#include "palacios/regs.h"

struct v3_vcpu;

struct v3_boot_msg {
	char text[200];
};

/** Set the message. @return @p err, so that a check can end with "return v3_boot_fail(...)". */
int v3_boot_fail(struct v3_boot_msg *msg, int err, const char *fmt, ...) V3_PRINTF(3, 4);

/* Little-endian fields of an image at any alignment; the caller has checked the range. */
uint16_t v3_boot_u16(const uint8_t *p);
uint32_t v3_boot_u32(const uint8_t *p);
uint64_t v3_boot_u64(const uint8_t *p);

/* ---- place.c: the memory map and who has taken what of it ---- */

/** Fill b->map from the VM's memory. */
void v3_boot_make_map(struct v3_vm *vm, struct v3_boot *b);
/**
 * Take [start, start + len) for @p what.
 * @return V3_OK; V3_E2BIG: not (all) RAM that the guest may use; V3_EBADMSG: overlaps something
 * else
 */
int v3_boot_take(struct v3_boot *b, v3_gpa_t start, uint64_t len, const char *what,
		 struct v3_boot_msg *msg);

/** Where to look for free RAM. */
struct v3_boot_want {
	uint64_t len;
	uint64_t align;	    /* power of two */
	v3_gpa_t low, high; /* limits of the whole piece, high exclusive */
	bool top_down;
};
/** Find free RAM and take it. @return V3_OK; V3_E2BIG */
int v3_boot_find(struct v3_boot *b, const struct v3_boot_want *want, const char *what,
		 v3_gpa_t *start, struct v3_boot_msg *msg);
/** Have bytes copied to guest RAM (taken before) at every power-on. V3_E2BIG: too many. */
int v3_boot_add_copy(struct v3_boot *b, const struct v3_boot_copy *copy, struct v3_boot_msg *msg);

/* ---- cpu.c: registers of the boot CPU ---- */

/** Flat 32-bit protected mode without paging, interrupts off; selectors 0x10 and 0x18. */
void v3_boot_cpu_protected(struct v3_vcpu *vcpu, const struct v3_dtr *gdt);
/** Flat 64-bit mode with page tables at @p cr3, interrupts off; selectors 0x10 and 0x18. */
void v3_boot_cpu_long(struct v3_vcpu *vcpu, v3_gpa_t cr3, const struct v3_dtr *gdt);

/* ---- linux.c ---- */

/** What the loader needs of a bzImage's setup header. */
struct v3_linux {
	uint32_t header_end; /* of the setup header, from the start of the image */
	uint32_t kernel_off; /* of the protected-mode kernel in the image */
	uint64_t kernel_len;
	uint64_t pref_address;
	uint64_t init_size; /* RAM the kernel needs from its load address on */
	uint32_t alignment; /* of the load address */
	bool relocatable;
	bool long_mode;	      /* it has the 64-bit entry */
	uint32_t initrd_max;  /* highest address of the initrd's last byte */
	uint32_t cmdline_max; /* bytes without terminator */
};

/** V3_OK; V3_EBADMSG; V3_ENOTSUP. */
int v3_linux_parse(const uint8_t *image, size_t len, struct v3_linux *out, struct v3_boot_msg *msg);

/* ---- elf.c ---- */

#define V3_ELF_MAX_SEGMENTS 32 /* program headers */

/** An ELF file whose headers have been checked against its length. */
struct v3_elf {
	const uint8_t *image;
	size_t len;
	bool elf64;
	uint32_t nheaders; /* program headers */
	uint64_t headers;  /* their offset */
	uint64_t entry;	   /* virtual, as in the file */
};

struct v3_elf_segment {
	uint64_t offset, file_len; /* in the image */
	uint64_t vaddr, paddr, mem_len;
};

/** Check the file header of an x86 executable of either class. V3_OK, V3_EBADMSG, V3_ENOTSUP. */
int v3_elf_open(const uint8_t *image, size_t len, struct v3_elf *elf, struct v3_boot_msg *msg);
/**
 * The next segment that has something to load, from program header @p *i on, which is moved behind it.
 * @return V3_OK; V3_ENOENT: there is none left; V3_EBADMSG
 */
int v3_elf_next(const struct v3_elf *elf, uint32_t *i, struct v3_elf_segment *seg,
		struct v3_boot_msg *msg);
/** Physical address of the entry point: through the segment that holds it. V3_OK, V3_EBADMSG. */
int v3_elf_entry(const struct v3_elf *elf, uint64_t *entry, struct v3_boot_msg *msg);

/**
 * Find a note of the file (System V ABI, "Note Section").
 * @param desc  its descriptor, in the image; @p desc_len bytes
 * @return V3_OK; V3_ENOENT: there is none; V3_EBADMSG: notes outside the file
 */
int v3_elf_note(const struct v3_elf *elf, const char *name, uint32_t type, const uint8_t **desc,
		uint32_t *desc_len, struct v3_boot_msg *msg);

/* ---- image.c: kernels in ELF or flat files, their modules and their information ---- */

/**
 * Check an ELF kernel and, unless @p b is NULL, place its segments @p shift bytes above where they say.
 * @param entry  physical address of its entry point; NULL: the file's own does not count
 * @return V3_OK; V3_EBADMSG; V3_ENOTSUP; V3_E2BIG
 */
int v3_boot_add_elf(struct v3_boot *b, const uint8_t *image, size_t len, uint64_t shift,
		    uint64_t *entry, struct v3_boot_msg *msg);

/** Address fields of a multiboot header. */
struct v3_boot_addresses {
	uint32_t header, load, load_end, bss_end, entry;
};
/** The same for a kernel whose header, @p header bytes into the file, has these addresses. */
int v3_boot_add_flat(struct v3_boot *b, const uint8_t *image, size_t len, uint32_t header,
		     const struct v3_boot_addresses *a, struct v3_boot_msg *msg);
/**
 * Place the definition's modules (b->copy[] from b->first_module on), above the kernel if they fit, and in the lowest free RAM the
 * information, b->info. V3_ENOENT, V3_E2BIG.
 */
int v3_boot_place_rest(struct v3_vm *vm, struct v3_boot *b, uint64_t info_len, const char *what,
		       struct v3_boot_msg *msg);
/** KiB of RAM from 0 and from 1 MiB. */
void v3_boot_mem_kib(const struct v3_boot *b, uint32_t *lower, uint32_t *upper);

/** Where the next piece of the information goes; the first error sticks. */
struct v3_boot_writer {
	struct v3_vm *vm;
	v3_gpa_t pos;
	int err;
};
/** @return address of what was written */
uint32_t v3_boot_put(struct v3_boot_writer *w, const void *data, size_t len);

/** Vcpu 0 at b->entry in flat protected mode, EBX at b->info. */
void v3_boot_enter_protected(struct v3_vm *vm, const struct v3_boot *b, uint32_t magic);

/* ---- the loaders ---- */

struct v3_boot_loader {
	/** Check an image as far as that goes without a VM. V3_OK; V3_EBADMSG; V3_ENOTSUP. */
	int (*check)(const uint8_t *image, size_t len, struct v3_boot_msg *msg);
	/** As v3_boot_load(). */
	int (*load)(struct v3_vm *vm, struct v3_boot *b, const uint8_t *image, size_t len,
		    struct v3_boot_msg *msg);
	/**
	 * As v3_boot_setup(), once b->copy[] and the ACPI tables are in RAM. NULL: it is firmware, which begins
	 * at the reset vector and places the tables itself.
	 */
	int (*setup)(struct v3_vm *vm, struct v3_boot *b);
};

extern const struct v3_boot_loader v3_linux_loader, v3_multiboot_loader, v3_multiboot2_loader,
	v3_pvh_loader, v3_bios_loader;

/** Has the file a multiboot 2 header? */
bool v3_multiboot2_is(const uint8_t *image, size_t len);

/* ---- bios.c ---- */

/** Is a file of @p len bytes firmware that fits its place? V3_OK; V3_EBADMSG */
int v3_bios_check(size_t len, struct v3_boot_msg *msg);
/** Free what loading left in b->bios; NULL is allowed. */
void v3_bios_free(struct v3_bios *bios);

/* ---- acpi.c ---- */

#define V3_ACPI_BUF_SIZE     16384 /* 32 vcpus and all devices take about 7 KiB */
#define V3_ACPI_MAX_TABLES   16
#define V3_ACPI_MAX_POINTERS 48
#define V3_ACPI_RSDP_LEN     36
#define V3_ACPI_RSDP_LEN_V1  20 /* what the first checksum covers */
#define V3_ACPI_RSDP_ROOM    64 /* the RSDP comes first, the other tables from here on */

/** The ACPI tables in one buffer, and what of them depends on where they are. */
struct v3_acpi_block {
	uint8_t *buf; /* V3_ACPI_BUF_SIZE bytes, not owned */
	uint32_t len;
	uint32_t ntables, npointers;
	struct {
		uint32_t start, len;
	} table[V3_ACPI_MAX_TABLES]; /* those with a checksum, in byte 9 of each; not the RSDP */
	struct {
		uint32_t at, width;
	} pointer[V3_ACPI_MAX_POINTERS]; /* addresses of tables, but those in the RSDP */
};

/**
 * Make the tables.
 * @param base  guest-physical address of the byte at offset V3_ACPI_RSDP_ROOM
 * @param buf   zeroed, V3_ACPI_BUF_SIZE bytes
 * @return V3_OK; V3_EOVERFLOW
 */
int v3_acpi_make(const struct v3_vm_cfg *cfg, uint32_t base, uint8_t *buf,
		 struct v3_acpi_block *out);
/** Does the machine have ACPI tables? */
bool v3_acpi_wanted(const struct v3_vm_cfg *cfg);

/** Write the ACPI tables; sets b->rsdp (0: the platform has none). V3_OK; V3_ENOMEM; V3_EFAULT. */
int v3_acpi_setup(struct v3_vm *vm, struct v3_boot *b);

#endif
