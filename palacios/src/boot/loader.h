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

/** Flat 32-bit protected mode without paging, interrupts off. */
void v3_boot_cpu_protected(struct v3_vcpu *vcpu);
/** Flat 64-bit mode with page tables at @p cr3, interrupts off; selectors 0x10 and 0x18. */
void v3_boot_cpu_long(struct v3_vcpu *vcpu, v3_gpa_t cr3, const struct v3_dtr *gdt);

/* ---- linux.c ---- */

/** What the loader needs of a bzImage's setup header. */
struct v3_linux {
	uint32_t header_end; /* of the setup header, from the start of the image */
	uint32_t kernel_off; /* of the 64-bit kernel in the image */
	uint64_t kernel_len;
	uint64_t pref_address;
	uint64_t init_size; /* RAM the kernel needs from its load address on */
	uint32_t alignment; /* of the load address */
	bool relocatable;
	uint32_t initrd_max;  /* highest address of the initrd's last byte */
	uint32_t cmdline_max; /* bytes without terminator */
};

int v3_linux_parse(const uint8_t *image, size_t len, struct v3_linux *out, struct v3_boot_msg *msg);
int v3_linux_load(struct v3_vm *vm, struct v3_boot *b, const uint8_t *image, size_t len,
		  struct v3_boot_msg *msg);
int v3_linux_setup(struct v3_vm *vm, struct v3_boot *b);

/* ---- multiboot.c, elf.c ---- */

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
 * Program header @p i, 0..nheaders - 1, checked against the file's length.
 * @return V3_OK; V3_ENOENT: nothing to load in it; V3_EBADMSG
 */
int v3_elf_segment(const struct v3_elf *elf, uint32_t i, struct v3_elf_segment *seg,
		   struct v3_boot_msg *msg);
/** Physical address of the entry point: through the segment that holds it. V3_OK, V3_EBADMSG. */
int v3_elf_entry(const struct v3_elf *elf, uint64_t *entry, struct v3_boot_msg *msg);

int v3_multiboot_check(const uint8_t *image, size_t len, struct v3_boot_msg *msg);
int v3_multiboot_load(struct v3_vm *vm, struct v3_boot *b, const uint8_t *image, size_t len,
		      struct v3_boot_msg *msg);
int v3_multiboot_setup(struct v3_vm *vm, struct v3_boot *b);

/* ---- bios.c ---- */

/** Is a file of @p len bytes firmware that fits its place? V3_OK; V3_EBADMSG */
int v3_bios_check(size_t len, struct v3_boot_msg *msg);
/** Have the firmware copied to its ROM at every power-on, and offer it what it asks for in fw_cfg files. */
int v3_bios_load(struct v3_vm *vm, struct v3_boot *b, const uint8_t *image, size_t len,
		 struct v3_boot_msg *msg);
/** NULL is allowed. */
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
