/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file config.h
 * Guest definitions: the values of one table, checked against a list of allowed keys.
 * The file format, every key and every message are in palacios/doc/config.md.
 */
#ifndef PALACIOS_CONFIG_H
#define PALACIOS_CONFIG_H

#include "palacios/types.h"

struct v3_cfg; /* one table of a parsed definition */

enum v3_cfg_type {
	V3_CFG_UINT, /* number, decimal, 0x or 0o or 0b; low..high apply */
	V3_CFG_SIZE, /* bytes as a text with unit: "64K", "256M", "1G"; low..high in bytes apply */
	V3_CFG_STRING, /* text; high = longest length in bytes, 0 = 4095 */
	V3_CFG_BOOL,   /* true or false */
	V3_CFG_FILE, /* text naming a section of the container (a file beside the definition for v3-mkimage) */
	V3_CFG_UINTS,	/* list of numbers; low..high apply to each */
	V3_CFG_STRINGS, /* list of texts; high = longest length of each, 0 = 4095 */
	V3_CFG_TABLES /* list of tables in braces, or, if high is not 0, of numbers; not for devices */
};

/** A text, or each of a list, that names a file or a network interface of the host, which is not packed; and its use. */
enum v3_cfg_host_file {
	V3_CFG_HOST_NONE,
	V3_CFG_HOST_READ,
	V3_CFG_HOST_WRITE, /* unless the table has a key read_only, which is true */
	V3_CFG_HOST_INTERFACE
};

/** One allowed key of a table. Arrays of these end with name NULL. */
struct v3_cfg_key {
	const char *name;
	enum v3_cfg_type type;
	bool required;
	uint64_t low, high;		 /* inclusive limits of UINT and SIZE; high 0 = no limit */
	uint64_t def;			 /* value of an absent UINT, SIZE or BOOL */
	const char *def_str;		 /* value of an absent STRING; NULL = "" */
	enum v3_cfg_host_file host_file; /* STRING, STRINGS: names something of the host */
};

/* Values of a checked table: the key must be one of its v3_cfg_key list, with the matching type; an absent
 * optional key gives its default. any context. Texts live as long as the definition. */
uint64_t v3_cfg_uint(const struct v3_cfg *cfg, const char *key); /* UINT, SIZE */
bool v3_cfg_bool(const struct v3_cfg *cfg, const char *key);
const char *v3_cfg_string(const struct v3_cfg *cfg, const char *key); /* STRING, FILE; never NULL */
/** Number of elements of a UINTS or STRINGS key; 0 if it is absent. */
uint32_t v3_cfg_count(const struct v3_cfg *cfg, const char *key);
/* Element @p i of a list; 0 or "" past the end. */
uint64_t v3_cfg_uint_at(const struct v3_cfg *cfg, const char *key, uint32_t i);
const char *v3_cfg_string_at(const struct v3_cfg *cfg, const char *key, uint32_t i);
/** Is the key written in the definition? */
bool v3_cfg_has(const struct v3_cfg *cfg, const char *key);

struct v3_vm;
/**
 * Bytes of a file that was packed with the VM's definition. thread, VM not destroyed.
 * @param name  value of a V3_CFG_FILE key
 * @param len   set to the length
 * @return the bytes (not owned; valid as long as the VM), NULL if there is no such section
 */
const void *v3_vm_file(struct v3_vm *vm, const char *name, size_t *len);

#endif
