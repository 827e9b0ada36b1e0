/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file container.h
 * The image container: a guest definition and the files it names in one piece of memory, each with
 * its SHA-256. Layout in palacios/doc/config.md. The reader takes every byte as hostile; there is
 * exactly one valid layout of given sections, so nothing can hide between them.
 */
#ifndef V3_CONFIG_CONTAINER_H
#define V3_CONFIG_CONTAINER_H

#include "config/vm_cfg.h"
#include "palacios/types.h"

#define V3_CONTAINER_MAGIC	  0x1a4547414d493356ull /* "V3IMAGE\x1a" in memory order */
#define V3_CONTAINER_VERSION	  1
#define V3_CONTAINER_ALIGN	  64 /* of every section */
#define V3_CONTAINER_MAX_SECTIONS (V3_VM_CFG_MAX_FILES + 1)
#define V3_CONTAINER_NAME_LEN	  192	       /* with the terminator */
#define V3_CONTAINER_DEFINITION	  "guest.toml" /* always the first section */

/** On-disk header, little-endian. */
struct v3_container_header {
	uint64_t magic;
	uint32_t version;
	uint32_t nsections; /* 1..V3_CONTAINER_MAX_SECTIONS */
	uint64_t total_len; /* of the container, bytes */
	uint64_t reserved;  /* 0 */
	uint8_t sha256[32]; /* of header and section table with this field zero */
};

/** On-disk section table entry; the table follows the header. */
struct v3_container_section {
	uint64_t offset; /* of the first byte, from the start of the container */
	uint64_t len;	 /* bytes */
	uint8_t sha256[32];
	uint8_t reserved[16];		  /* 0 */
	char name[V3_CONTAINER_NAME_LEN]; /* UTF-8, zero-padded, at least one zero */
};

_Static_assert(sizeof(struct v3_container_header) == 64, "container header");
_Static_assert(sizeof(struct v3_container_section) == 256, "container section");

/** An opened container. Zero it or open it before use. */
struct v3_container {
	const uint8_t *img; /* not owned */
	size_t len;
	uint32_t nsections;
};

/**
 * Check a container completely: layout, names, checksums of the header and of every section.
 *
 * Thread context; time is proportional to @p len (SHA-256). Alignment of @p img does not matter.
 *
 * @param img  must stay readable and unchanged as long as @p c is used
 * @param err  filled on failure; its file is "container", its line 0
 * @return V3_OK; V3_EBADMSG.
 */
int v3_container_open(const void *img, size_t len, struct v3_container *c,
		      struct v3_cfg_error *err);

/**
 * Find a section by name. any context.
 * @return its bytes (inside the image; never NULL for an empty section), NULL: no such section
 */
const void *v3_container_find(const struct v3_container *c, const char *name, size_t *len);

/**
 * Section number @p i: its name, bytes and length. any context.
 * @return the name (inside the image); NULL past the end
 */
const char *v3_container_section(const struct v3_container *c, uint32_t i, const void **data,
				 size_t *len);

/* ---- writer, for v3-mkimage ---- */

/** Fill name and length of each entry before; sets every offset. @return the container's length. */
uint64_t v3_container_layout(struct v3_container_section *sections, uint32_t nsections);
/** Offsets, lengths and section checksums are known: makes the header with its checksum. */
void v3_container_seal(struct v3_container_header *hdr, const struct v3_container_section *sections,
		       uint32_t nsections, uint64_t total_len);

#endif
