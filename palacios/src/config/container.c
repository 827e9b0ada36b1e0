/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file container.c
 * Image containers: the reader that every host uses, and the two steps of the writer in v3-mkimage.
 * Layout: palacios/doc/config.md. Given its sections a container has one valid form, so a reader
 * need not search for overlaps or gaps: it computes where each section must be and compares.
 */
#include "config/container.h"

#include "config/cfg.h"
#include "palacios/error.h"
#include "palacios/util/fmt.h"
#include "palacios/util/sha256.h"
#include "palacios/util/str.h"

#define HEADER_LEN  sizeof(struct v3_container_header)
#define SECTION_LEN sizeof(struct v3_container_section)

static uint64_t container_align(uint64_t offset)
{
	return (offset + V3_CONTAINER_ALIGN - 1) & ~(uint64_t)(V3_CONTAINER_ALIGN - 1);
}

static bool container_zero(const uint8_t *p, uint64_t len)
{
	uint8_t any = 0;

	while (len--)
		any |= *p++;
	return !any;
}

/* A field of table entry @p i; the table is known to lie inside the image, which need not be
 * aligned. */
static const uint8_t *container_field(const struct v3_container *c, uint32_t i, size_t offset)
{
	return c->img + HEADER_LEN + i * SECTION_LEN + offset;
}

#define FIELD(c, i, name) container_field(c, i, offsetof(struct v3_container_section, name))

static const char *container_name(const struct v3_container *c, uint32_t i)
{
	return (const char *)FIELD(c, i, name);
}

static uint64_t container_u64(const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static int container_check_header(struct v3_container *c, struct v3_cfg_error *err)
{
	struct v3_container_header hdr;
	struct v3_sha256 sha;
	uint8_t digest[V3_SHA256_LEN], given[V3_SHA256_LEN];

	if (c->len < HEADER_LEN)
		return v3_cfg_fail(err, 0, "header: expected %zu bytes, got %zu", HEADER_LEN,
				   c->len);
	memcpy(&hdr, c->img, HEADER_LEN);
	if (hdr.magic != V3_CONTAINER_MAGIC)
		return v3_cfg_fail(err, 0, "header: not an image container made by v3-mkimage");
	if (hdr.version != V3_CONTAINER_VERSION)
		return v3_cfg_fail(err, 0, "header: expected version %u, got %u",
				   V3_CONTAINER_VERSION, hdr.version);
	if (!hdr.nsections || hdr.nsections > V3_CONTAINER_MAX_SECTIONS)
		return v3_cfg_fail(err, 0, "header: expected 1..%u sections, got %u",
				   V3_CONTAINER_MAX_SECTIONS, hdr.nsections);
	if (hdr.total_len != c->len)
		return v3_cfg_fail(err, 0,
				   "header: the container has %llu bytes, but %zu were given",
				   (unsigned long long)hdr.total_len, c->len);
	if (c->len - HEADER_LEN < hdr.nsections * SECTION_LEN)
		return v3_cfg_fail(err, 0, "section table: %u entries do not fit %zu bytes",
				   hdr.nsections, c->len);
	memcpy(given, hdr.sha256, sizeof(given));
	memset(hdr.sha256, 0, sizeof(hdr.sha256));
	v3_sha256_init(&sha);
	v3_sha256_update(&sha, &hdr, HEADER_LEN);
	v3_sha256_update(&sha, c->img + HEADER_LEN, hdr.nsections * SECTION_LEN);
	v3_sha256_final(&sha, digest);
	if (memcmp(given, digest, sizeof(digest)))
		return v3_cfg_fail(err, 0,
				   "header: checksum does not match, the container is damaged");
	if (hdr.reserved)
		return v3_cfg_fail(err, 0, "header: reserved field is not 0");
	c->nsections = hdr.nsections;
	return V3_OK;
}

static int container_check_name(const struct v3_container *c, uint32_t i, struct v3_cfg_error *err)
{
	const char *name = container_name(c, i);
	char quoted[V3_CFG_QUOTE_LEN];
	size_t len = 0;
	unsigned n;
	uint32_t j;

	while (len < V3_CONTAINER_NAME_LEN && name[len]) {
		n = v3_cfg_utf8_len(name + len, V3_CONTAINER_NAME_LEN - len);
		if (!n || (uint8_t)name[len] < 0x20 || name[len] == 0x7f)
			return v3_cfg_fail(err, 0, "section %u: malformed name", i);
		len += n;
	}
	if (!len || len == V3_CONTAINER_NAME_LEN ||
	    !container_zero((const uint8_t *)name + len, V3_CONTAINER_NAME_LEN - len))
		return v3_cfg_fail(err, 0, "section %u: malformed name", i);
	for (j = 0; j < i; j++) {
		if (!v3_strcmp(container_name(c, j), name))
			return v3_cfg_fail(err, 0, "section %u: a second %s", i,
					   v3_cfg_quote(quoted, name));
	}
	if (i == 0 && v3_strcmp(name, V3_CONTAINER_DEFINITION))
		return v3_cfg_fail(err, 0, "the first section must be %s, it is %s",
				   V3_CONTAINER_DEFINITION, v3_cfg_quote(quoted, name));
	return V3_OK;
}

/* @param pos  end of what comes before; moved behind the section */
static int container_check_section(const struct v3_container *c, uint32_t i, uint64_t *pos,
				   struct v3_cfg_error *err)
{
	uint64_t start = container_align(*pos), offset, len;
	uint8_t digest[V3_SHA256_LEN];
	char quoted[V3_CFG_QUOTE_LEN];
	int result;

	result = container_check_name(c, i, err);
	if (result)
		return result;
	v3_cfg_quote(quoted, container_name(c, i));
	offset = container_u64(FIELD(c, i, offset));
	len = container_u64(FIELD(c, i, len));
	if (!container_zero(FIELD(c, i, reserved),
			    sizeof(((struct v3_container_section *)0)->reserved)))
		return v3_cfg_fail(err, 0, "section %s: reserved field is not 0", quoted);
	if (offset != start)
		return v3_cfg_fail(err, 0, "section %s: expected at offset %#llx, got %#llx",
				   quoted, (unsigned long long)start, (unsigned long long)offset);
	if (start > c->len || len > c->len - start)
		return v3_cfg_fail(
			err, 0, "section %s: %#llx bytes at %#llx reach past the end %#zx", quoted,
			(unsigned long long)len, (unsigned long long)start, c->len);
	if (!container_zero(c->img + *pos, start - *pos))
		return v3_cfg_fail(err, 0, "section %s: bytes before it are not 0", quoted);
	v3_sha256(c->img + start, (size_t)len, digest);
	if (memcmp(digest, FIELD(c, i, sha256), sizeof(digest)))
		return v3_cfg_fail(err, 0,
				   "section %s: SHA-256 does not match, the container is damaged",
				   quoted);
	*pos = start + len;
	return V3_OK;
}

int v3_container_open(const void *img, size_t len, struct v3_container *c, struct v3_cfg_error *err)
{
	struct v3_container opened = {.img = img, .len = len};
	uint64_t pos;
	uint32_t i;
	int result;

	memset(c, 0, sizeof(*c));
	err->file = "container";
	err->line = 0;
	err->message[0] = '\0';
	result = container_check_header(&opened, err);
	if (result)
		return result;
	pos = HEADER_LEN + opened.nsections * SECTION_LEN;
	for (i = 0; i < opened.nsections; i++) {
		result = container_check_section(&opened, i, &pos, err);
		if (result)
			return result;
	}
	if (pos != len)
		return v3_cfg_fail(err, 0, "%llu bytes follow the last section",
				   (unsigned long long)(len - pos));
	*c = opened;
	return V3_OK;
}

const char *v3_container_section(const struct v3_container *c, uint32_t i, const void **data,
				 size_t *len)
{
	if (i >= c->nsections)
		return NULL;
	*len = (size_t)container_u64(FIELD(c, i, len));
	*data = c->img + container_u64(FIELD(c, i, offset));
	return container_name(c, i);
}

const void *v3_container_find(const struct v3_container *c, const char *name, size_t *len)
{
	const char *section;
	const void *data;
	uint32_t i;

	for (i = 0; (section = v3_container_section(c, i, &data, len)) != NULL; i++) {
		if (!v3_strcmp(section, name))
			return data;
	}
	return NULL;
}

uint64_t v3_container_layout(struct v3_container_section *sections, uint32_t nsections)
{
	uint64_t pos = HEADER_LEN + nsections * SECTION_LEN;
	uint32_t i;

	for (i = 0; i < nsections; i++) {
		sections[i].offset = container_align(pos);
		pos = sections[i].offset + sections[i].len;
	}
	return pos;
}

void v3_container_seal(struct v3_container_header *hdr, const struct v3_container_section *sections,
		       uint32_t nsections, uint64_t total_len)
{
	struct v3_sha256 sha;

	memset(hdr, 0, sizeof(*hdr));
	hdr->magic = V3_CONTAINER_MAGIC;
	hdr->version = V3_CONTAINER_VERSION;
	hdr->nsections = nsections;
	hdr->total_len = total_len;
	v3_sha256_init(&sha);
	v3_sha256_update(&sha, hdr, HEADER_LEN);
	v3_sha256_update(&sha, sections, nsections * SECTION_LEN);
	v3_sha256_final(&sha, hdr->sha256);
}
