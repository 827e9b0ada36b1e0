/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file boot.h
 * Boot loaders: put a kernel and what belongs to it into guest RAM and set the boot CPU's
 * registers. Called by vm/ (create: v3_platform_add_memory(), devices, v3_boot_load(); every
 * power-on: v3_boot_setup()) and, for its check alone, by v3-mkimage.
 */
#ifndef V3_BOOT_BOOT_H
#define V3_BOOT_BOOT_H

#include "palacios/types.h"

struct v3_boot_loader;
struct v3_vm;
struct v3_vm_cfg;

#define V3_BOOT_MAX_MAP	  40 /* entries of the guest's memory map */
#define V3_BOOT_MAX_TAKEN 72 /* kernel segments (32), modules (32), tables */
#define V3_BOOT_MAX_LOADS 68

/* Types of memory map entries, E820 and multiboot alike (ACPI 6.4 table 15.3). */
#define V3_BOOT_MEM_RAM	     1
#define V3_BOOT_MEM_RESERVED 2

/** An entry of the guest's memory map. */
struct v3_boot_mem {
	v3_gpa_t start, end; /* end exclusive */
	uint32_t type;	     /* V3_BOOT_MEM_* */
};

/** A piece of guest RAM that is taken. */
struct v3_boot_taken {
	v3_gpa_t start, end;
	const char *what; /* static text for messages */
};

/** One copy of image bytes to guest RAM; the rest up to mem_len becomes zero. */
struct v3_boot_copy {
	v3_gpa_t gpa;
	const void *src; /* not owned: in the container */
	uint64_t len, mem_len;
};

/** State of a VM's boot loader. The VM embeds it, zeroed. */
struct v3_boot {
	const struct v3_vm_cfg *cfg; /* not owned, outlives the VM; NULL: nothing loaded */
	const struct v3_boot_loader *loader;
	v3_gpa_t entry;
	bool long_mode; /* Linux: it is 64-bit code */
	v3_gpa_t
		info; /* what the kernel is told: boot_params, multiboot information, hvm_start_info */
	v3_gpa_t rsdp; /* 0: no ACPI */

	const uint8_t *setup;  /* Linux: the image's first bytes, not owned */
	uint32_t setup_len;    /* Linux: end of the setup header in it */
	uint32_t initrd;       /* Linux: number of the initrd in copy[], 0: none */
	uint32_t first_module; /* multiboot, PVH: copy[] from here on are the modules */
	struct v3_bios *bios;  /* bios: files for the firmware; owned */

	bool relocated;	    /* multiboot 2: the kernel asked for it */
	uint32_t load_base; /* and its first segment was put there */

	uint32_t nmap, ntaken, ncopies;
	struct v3_boot_mem
		map[V3_BOOT_MAX_MAP]; /* ascending, no overlap; adjacent RAM is one entry */
	struct v3_boot_taken taken[V3_BOOT_MAX_TAKEN];
	struct v3_boot_copy copy[V3_BOOT_MAX_LOADS];
};

#define V3_PLATFORM_MAX_RAM 9 /* each of 8 nodes one, and one is cut by the hole below 4 GiB */

/** A range of guest RAM. */
struct v3_platform_ram {
	uint64_t gpa, size;
	uint32_t node; /* of the guest */
	int host_node; /* -1: any */
};

/** Where the platform puts the RAM of each node: ascending. @return number of ranges. any context. */
unsigned v3_platform_ram(const struct v3_vm_cfg *cfg,
			 struct v3_platform_ram ram[V3_PLATFORM_MAX_RAM]);

/**
 * Add guest RAM as the platform lays it out: 0 up to at most 3 GiB, the rest from 4 GiB. The RAM
 * below is one piece so that large host pages stay whole; on a PC a region that reads all ones
 * covers the display window 0xa0000..0xbffff, and firmware that shall boot gets ROM below 4 GiB.
 *
 * Thread, before the VM runs, before the devices are created.
 *
 * @param cfg  memory, nodes, numa_node and platform count
 * @return V3_OK; the error of v3_mem_add_ram() or v3_mmio_register() (logged). What was added
 * before the failure stays until the VM is destroyed.
 */
int v3_platform_add_memory(struct v3_vm *vm, const struct v3_vm_cfg *cfg);

/**
 * Check the boot images and find a place for each piece. Thread, once, when guest RAM exists.
 *
 * @param b    zeroed; filled
 * @param cfg  must stay valid as long as @p b is used; so must the files behind v3_vm_file()
 * @return V3_OK; V3_ENOENT: a file is not in the container; V3_EBADMSG: an image is malformed;
 *         V3_ENOTSUP: a kernel of a kind we cannot start; V3_E2BIG: does not fit the guest's RAM.
 *         Each with one log line that names file and field.
 */
int v3_boot_load(struct v3_vm *vm, struct v3_boot *b, const struct v3_vm_cfg *cfg);

/** Undo v3_boot_load(), successful or not, before the VM's memory goes. Thread. */
void v3_boot_unload(struct v3_boot *b);

/**
 * Power-on: write kernel, initrd, tables and boot parameters to guest RAM and set vcpu 0's
 * registers; the other vcpus wait for SIPI. Thread, vcpus in reset state and outside the guest.
 * @return V3_OK; V3_ENOMEM; V3_EFAULT: RAM vanished since v3_boot_load() (our bug).
 */
int v3_boot_setup(struct v3_vm *vm, struct v3_boot *b);

/**
 * Check a kernel image as far as that goes without a VM. any context.
 *
 * @param message  gets one line on failure
 * @return V3_OK; V3_EBADMSG, V3_ENOTSUP as v3_boot_load()
 */
int v3_boot_check(const struct v3_vm_cfg *cfg, const void *image, size_t len, char *message,
		  size_t message_size);

#endif
