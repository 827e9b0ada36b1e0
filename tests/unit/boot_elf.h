/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file boot_elf.h
 * A kernel file for tests of loaders, made piece by piece, and loading it into the smallest VM.
 */
#ifndef TESTS_BOOT_ELF_H
#define TESTS_BOOT_ELF_H

#include "boot_vm.h"

#define BOOT_TOML(type, mem, more)                                                                 \
	"[vm]\nname='t'\nmemory='" mem "'\n[boot]\ntype='" type "'\nkernel='k'\n" more

static uint8_t image[0x4000];
static size_t image_len;

static void put(size_t off, uint64_t value, unsigned size)
{
	memcpy(image + off, &value, size);
}

struct seg {
	uint64_t type, offset, vaddr, paddr, file_len, mem_len;
};

static void put_segment(bool elf64, unsigned i, const struct seg *s)
{
	size_t off = elf64 ? 64 + i * 56 : 52 + i * 32;
	unsigned w = elf64 ? 8 : 4;

	put(off, s->type, 4);
	off += w; /* 64 bits: flags follow the type */
	put(off, s->offset, w);
	put(off + w, s->vaddr, w);
	put(off + 2 * w, s->paddr, w);
	put(off + 3 * w, s->file_len, w);
	put(off + 4 * w, s->mem_len, w);
}

/* Two segments: text at 1 MiB (virtual: high half), data with bss behind it. The first program header is free. */
static void boot_elf(bool elf64)
{
	const uint64_t high = elf64 ? 0xffffffff80000000ull : 0xc0000000;
	const struct seg text = {1, 0, high + 0x100000, 0x100000, 0x1000, 0x1000};
	const struct seg data = {1, 0x1000, high + 0x102000, 0x102000, 0x800, 0x1800};
	const struct seg other = {0x6474e551, 0xffffffff, 0, 0, 0xffffffff, 0}; /* not looked at */

	memset(image, 0, sizeof(image));
	for (size_t i = 0x200; i < 0x1800; i++)
		image[i] = (uint8_t)(i * 7 + 1);
	image_len = 0x1800;
	memcpy(image, "\177ELF", 4);
	image[4] = elf64 ? 2 : 1;
	image[5] = image[6] = 1;
	put(16, 2, 2);
	put(18, elf64 ? 62 : 3, 2);
	put(24, high + 0x100200, elf64 ? 8 : 4);
	put(elf64 ? 32 : 28, elf64 ? 64 : 52, 4);
	put(elf64 ? 54 : 42, elf64 ? 56 : 32, 2);
	put(elf64 ? 56 : 44, 3, 2);
	put_segment(elf64, 0, &other);
	put_segment(elf64, 1, &text);
	put_segment(elf64, 2, &data);
}

__attribute__((unused)) static bool load(const char *definition)
{
	if (!boot_vm_begin(definition))
		return false;
	boot_vm_file("k", image, image_len);
	if (!CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), V3_OK)) {
		printf("# %s\n", boot_vm_log);
		return false;
	}
	return CHECK_EQ(v3_boot_setup(&boot_vm, &boot_state), V3_OK);
}

/* boot_elf()'s segments, @p shift above their place. */
__attribute__((unused)) static void check_segments(uint64_t shift)
{
	CHECK_MEM(boot_vm_ptr(&boot_vm, 0x100000 + shift, 0x1000), image, 0x1000);
	CHECK_MEM(boot_vm_ptr(&boot_vm, 0x102000 + shift, 0x800), image + 0x1000, 0x800);
	for (unsigned i = 0x102800; i < 0x103800; i += 4)
		CHECK_EQ(boot_vm_read(&boot_vm, i + shift, 4), 0);
}

__attribute__((unused)) static void check_loaded(void)
{
	check_segments(0);
	CHECK_EQ(boot_vm.vcpu.regs.rip, 0x100200);
}

__attribute__((unused)) static uint32_t info32(unsigned off)
{
	return (uint32_t)boot_vm_read(&boot_vm, boot_state.info + off, 4);
}

__attribute__((unused)) static uint64_t info64(unsigned off)
{
	return boot_vm_read(&boot_vm, boot_state.info + off, 8);
}

__attribute__((unused)) static const char *text_at(uint64_t addr)
{
	return (const char *)boot_vm_ptr(&boot_vm, addr, 16);
}

/* The image must be refused as a kernel of this type, with @p err and one log line. */
__attribute__((unused)) static void boot_elf_refused(const char *type, int err, const char *line)
{
	char definition[256];

	snprintf(definition, sizeof(definition), BOOT_TOML("%s", "16M", ""), type);
	REQUIRE(boot_vm_begin(definition));
	boot_vm_file("k", image, image_len);
	boot_vm_refused(err, line);
	boot_vm_end();
}

#endif
