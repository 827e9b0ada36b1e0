/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file elf.c
 * Reader for ELF executables of both classes (System V ABI, ELF-64 object file format): just what a
 * loader needs, the file taken as hostile.
 */
#include "boot/loader.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define ELF_CLASS	   4 /* offsets in e_ident */
#define ELF_DATA	   5
#define ELF_CLASS_32	   1
#define ELF_CLASS_64	   2
#define ELF_DATA_LITTLE	   1
#define ELF_TYPE_EXEC	   2
#define ELF_MACHINE_386	   3
#define ELF_MACHINE_X86_64 62
#define ELF_PT_LOAD	   1
#define ELF_PT_NOTE	   4
#define ELF_NOTE_HEAD	   12

#define ELF32_HEADER_LEN 52
#define ELF64_HEADER_LEN 64
#define ELF32_PHDR_LEN	 32
#define ELF64_PHDR_LEN	 56

int v3_elf_open(const uint8_t *image, size_t len, struct v3_elf *elf, struct v3_boot_msg *msg)
{
	uint16_t type, machine, phdr_len;

	if (len < ELF64_HEADER_LEN || memcmp(image, "\177ELF", 4))
		return v3_boot_fail(msg, V3_EBADMSG, "not an ELF file");
	if ((image[ELF_CLASS] != ELF_CLASS_32 && image[ELF_CLASS] != ELF_CLASS_64) ||
	    image[ELF_DATA] != ELF_DATA_LITTLE)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "ELF: class %u, byte order %u are not those of x86",
				    image[ELF_CLASS], image[ELF_DATA]);
	type = v3_boot_u16(image + 16);
	machine = v3_boot_u16(image + 18);
	if (type != ELF_TYPE_EXEC || (machine != ELF_MACHINE_386 && machine != ELF_MACHINE_X86_64))
		return v3_boot_fail(msg, V3_ENOTSUP,
				    "ELF: type %u, machine %u: not an executable for x86", type,
				    machine);
	elf->image = image;
	elf->len = len;
	elf->elf64 = image[ELF_CLASS] == ELF_CLASS_64;
	elf->entry = elf->elf64 ? v3_boot_u64(image + 24) : v3_boot_u32(image + 24);
	elf->headers = elf->elf64 ? v3_boot_u64(image + 32) : v3_boot_u32(image + 28);
	phdr_len = v3_boot_u16(image + (elf->elf64 ? 54 : 42));
	elf->nheaders = v3_boot_u16(image + (elf->elf64 ? 56 : 44));
	if (!elf->nheaders || elf->nheaders > V3_ELF_MAX_SEGMENTS)
		return v3_boot_fail(msg, V3_EBADMSG, "ELF: expected 1..%u program headers, got %u",
				    V3_ELF_MAX_SEGMENTS, elf->nheaders);
	if (phdr_len != (elf->elf64 ? ELF64_PHDR_LEN : ELF32_PHDR_LEN))
		return v3_boot_fail(msg, V3_EBADMSG, "ELF: program headers of %u bytes", phdr_len);
	if (elf->headers > len || (uint64_t)elf->nheaders * phdr_len > len - elf->headers)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "ELF: cut off: program headers at %#llx, file ends at %#zx",
				    (unsigned long long)elf->headers, len);
	return V3_OK;
}

/* Program header @p i, checked against the file's length. V3_ENOENT: nothing to load in it. */
static int elf_segment(const struct v3_elf *elf, uint32_t i, struct v3_elf_segment *seg,
		       struct v3_boot_msg *msg)
{
	const uint8_t *p =
		elf->image + elf->headers + i * (elf->elf64 ? ELF64_PHDR_LEN : ELF32_PHDR_LEN);

	if (v3_boot_u32(p) != ELF_PT_LOAD)
		return V3_ENOENT;
	if (elf->elf64) {
		seg->offset = v3_boot_u64(p + 8);
		seg->vaddr = v3_boot_u64(p + 16);
		seg->paddr = v3_boot_u64(p + 24);
		seg->file_len = v3_boot_u64(p + 32);
		seg->mem_len = v3_boot_u64(p + 40);
	} else {
		seg->offset = v3_boot_u32(p + 4);
		seg->vaddr = v3_boot_u32(p + 8);
		seg->paddr = v3_boot_u32(p + 12);
		seg->file_len = v3_boot_u32(p + 16);
		seg->mem_len = v3_boot_u32(p + 20);
	}
	if (seg->file_len > seg->mem_len)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "ELF: segment %u: %#llx bytes in the file, %#llx in memory", i,
				    (unsigned long long)seg->file_len,
				    (unsigned long long)seg->mem_len);
	if (!seg->mem_len)
		return V3_ENOENT;
	if (seg->file_len && (seg->offset > elf->len || seg->file_len > elf->len - seg->offset))
		return v3_boot_fail(msg, V3_EBADMSG,
				    "ELF: segment %u: cut off: %#llx bytes at %#llx of %#zx", i,
				    (unsigned long long)seg->file_len,
				    (unsigned long long)seg->offset, elf->len);
	if (!seg->file_len)
		seg->offset = 0;
	if (seg->paddr >= 1ull << 32 || seg->mem_len > (1ull << 32) - seg->paddr)
		return v3_boot_fail(msg, V3_EBADMSG,
				    "ELF: segment %u: %#llx bytes at %#llx are not below 4 GiB", i,
				    (unsigned long long)seg->mem_len,
				    (unsigned long long)seg->paddr);
	return V3_OK;
}

int v3_elf_next(const struct v3_elf *elf, uint32_t *i, struct v3_elf_segment *seg,
		struct v3_boot_msg *msg)
{
	int err = V3_ENOENT;

	while (err == V3_ENOENT && *i < elf->nheaders)
		err = elf_segment(elf, (*i)++, seg, msg);
	return err;
}

int v3_elf_entry(const struct v3_elf *elf, uint64_t *entry, struct v3_boot_msg *msg)
{
	struct v3_elf_segment seg;
	uint32_t i = 0;
	int err;

	/* Linkers give a virtual address; where the segment is loaded is what counts without
	 * paging. */
	while ((err = v3_elf_next(elf, &i, &seg, msg)) == V3_OK) {
		if (elf->entry >= seg.vaddr && elf->entry - seg.vaddr < seg.mem_len) {
			*entry = elf->entry - seg.vaddr + seg.paddr;
			return V3_OK;
		}
	}
	if (err != V3_ENOENT)
		return err;
	return v3_boot_fail(msg, V3_EBADMSG, "ELF: entry point %#llx lies in no segment",
			    (unsigned long long)elf->entry);
}

/* Look through one note segment, as the file has it. */
static int elf_search_notes(const uint8_t *p, uint64_t len, const char *name, uint32_t type,
			    const uint8_t **desc, uint32_t *desc_len)
{
	uint64_t name_len = v3_strlen(name) + 1, name_size, desc_size, next;

	while (len >= ELF_NOTE_HEAD) {
		name_size = v3_boot_u32(p);
		desc_size = v3_boot_u32(p + 4);
		next = ELF_NOTE_HEAD + ((name_size + 3) & ~3ull);
		if (next > len || desc_size > len - next)
			return V3_EBADMSG;
		if (v3_boot_u32(p + 8) == type && name_size == name_len &&
		    !memcmp(p + ELF_NOTE_HEAD, name, name_len)) {
			*desc = p + next;
			*desc_len = (uint32_t)desc_size;
			return V3_OK;
		}
		next += (desc_size + 3) & ~3ull;
		if (next > len)
			break;
		p += next;
		len -= next;
	}
	return V3_ENOENT;
}

int v3_elf_note(const struct v3_elf *elf, const char *name, uint32_t type, const uint8_t **desc,
		uint32_t *desc_len, struct v3_boot_msg *msg)
{
	uint64_t offset, size;
	const uint8_t *p;
	uint32_t i;
	int err;

	for (i = 0; i < elf->nheaders; i++) {
		p = elf->image + elf->headers + i * (elf->elf64 ? ELF64_PHDR_LEN : ELF32_PHDR_LEN);
		if (v3_boot_u32(p) != ELF_PT_NOTE)
			continue;
		offset = elf->elf64 ? v3_boot_u64(p + 8) : v3_boot_u32(p + 4);
		size = elf->elf64 ? v3_boot_u64(p + 32) : v3_boot_u32(p + 16);
		err = offset > elf->len || size > elf->len - offset
			      ? V3_EBADMSG
			      : elf_search_notes(elf->image + offset, size, name, type, desc,
						 desc_len);
		if (err == V3_EBADMSG)
			return v3_boot_fail(msg, err,
					    "ELF: program header %u: its notes are cut off", i);
		if (!err)
			return V3_OK;
	}
	return V3_ENOENT;
}
