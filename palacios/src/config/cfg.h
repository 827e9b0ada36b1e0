/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cfg.h
 * Private to config/: parsed tables, the arena they live in, error reports. The order of the steps
 * is text.c (bytes) -> toml.c (syntax) -> schema.c (one table against its keys) -> vm_cfg.c (the
 * whole).
 */
#ifndef V3_CONFIG_CFG_H
#define V3_CONFIG_CFG_H

#include "config/vm_cfg.h"
#include "palacios/config.h"
#include "palacios/types.h"

#define V3_CFG_MAX_TABLES 80
#define V3_CFG_MAX_KEYS	  64   /* per table */
#define V3_CFG_MAX_ITEMS  64   /* per list */
#define V3_CFG_MAX_STRING 4095 /* bytes, without terminator */
#define V3_CFG_MAX_NAME	  31   /* key and table names */

enum v3_cfg_kind {
	V3_CFG_KIND_NUMBER,
	V3_CFG_KIND_TEXT,
	V3_CFG_KIND_BOOL,
	V3_CFG_KIND_LIST,
	V3_CFG_KIND_TABLE
};

struct v3_cfg_value {
	enum v3_cfg_kind kind;
	uint32_t nitems;	    /* LIST */
	uint64_t num;		    /* NUMBER, BOOL; schema.c sets it for a SIZE */
	const char *text;	    /* TEXT; in the arena */
	struct v3_cfg_value *items; /* LIST: first element */
	struct v3_cfg_value *next;  /* element of a LIST: the following one */
	struct v3_cfg *table;	    /* TABLE: inline, its name is that of the list's key */
};

struct v3_cfg_entry {
	const char *key;
	uint32_t line;
	struct v3_cfg_value value;
	struct v3_cfg_entry *next;
};

struct v3_cfg {
	const char *name;
	bool array;    /* [[name]] */
	uint32_t line; /* of the header */
	uint32_t nentries;
	struct v3_cfg_entry *entries;  /* in file order */
	const struct v3_cfg_key *keys; /* set by v3_cfg_check(); NULL: none */
	struct v3_cfg *next;
};

/* ---- arena.c: memory that is freed as a whole ---- */

struct v3_cfg_arena {
	struct v3_cfg_chunk *chunks; /* newest first, owned */
	size_t used;		     /* bytes taken of the newest */
};

struct v3_cfg_arena *v3_cfg_arena_create(void);
void v3_cfg_arena_destroy(struct v3_cfg_arena *arena);
/** Zeroed, 8-byte aligned, at most 8000 bytes. @return NULL: out of memory. */
void *v3_cfg_arena_alloc(struct v3_cfg_arena *arena, size_t size);
/** Copy of @p len bytes, terminated. */
char *v3_cfg_arena_strdup(struct v3_cfg_arena *arena, const char *text, size_t len);

/* ---- text.c: bytes, quoting, messages ---- */

/** Set line and message. @return V3_EBADMSG: a check can end with "return v3_cfg_fail(...)". */
int v3_cfg_fail(struct v3_cfg_error *err, uint32_t line, const char *fmt, ...) V3_PRINTF(3, 4);
/** Refuse what no part of a definition may hold: bad UTF-8, control characters, over-long text. */
int v3_cfg_check_text(const char *text, size_t len, struct v3_cfg_error *err);
/** Length of the UTF-8 character at @p s (1..4), 0 if malformed or cut off by @p len. */
unsigned v3_cfg_utf8_len(const char *s, size_t len);

#define V3_CFG_QUOTE_LEN 56
/** @p text for a message: quoted, control characters as '?', long ones cut. @return buf */
const char *v3_cfg_quote(char buf[V3_CFG_QUOTE_LEN], const char *text);
/** What was found instead, e.g. 12 (number). @return buf */
const char *v3_cfg_describe(char buf[V3_CFG_QUOTE_LEN + 16], const struct v3_cfg_value *value);
/** Bytes as a size with the largest exact unit, e.g. 256M. @return buf */
const char *v3_cfg_size_text(char buf[24], uint64_t bytes);

/** How many edits apart are two names? 3 means: not alike. */
unsigned v3_cfg_distance(const char *a, const char *b);

/* ---- toml.c ---- */

/** Split checked text into tables. @return V3_OK, V3_EBADMSG, V3_ENOMEM. */
int v3_toml_parse(const char *text, size_t len, struct v3_cfg_arena *arena, struct v3_cfg **tables,
		  struct v3_cfg_error *err);

/* ---- schema.c ---- */

/**
 * Check a table against its keys and convert sizes.
 * @param keys  may be NULL: no keys
 * @param also  one more key that is allowed and not looked at; NULL: none
 */
int v3_cfg_check(struct v3_cfg *table, const struct v3_cfg_key *keys, const char *also,
		 struct v3_cfg_error *err);
/** The entry of a key, NULL if it is absent. */
const struct v3_cfg_entry *v3_cfg_find(const struct v3_cfg *table, const char *key);
/** Element @p i of a TABLES key, to be checked with v3_cfg_check(); NULL: it is a number. */
struct v3_cfg *v3_cfg_table_at(const struct v3_cfg *table, const char *key, uint32_t i);
/** Line of a key, or of the table if the key is absent. */
uint32_t v3_cfg_line(const struct v3_cfg *table, const char *key);
/**
 * Position of a STRING key's value in a NULL-terminated list.
 * @param expected  for the message: the list in words
 */
int v3_cfg_choice(const struct v3_cfg *table, const char *key, const char *const *names,
		  const char *expected, unsigned *out, struct v3_cfg_error *err);

/* ---- placement.c ---- */

extern const struct v3_cfg_key v3_cfg_cpu_keys[], v3_cfg_node_keys[];
/**
 * Keys of [vm] that place it: topology, "cpus", "nodes". Its table has passed v3_cfg_check(), memory, vcpus and
 * numa_node are set in @p cfg. @return V3_OK, V3_EBADMSG, V3_ENOMEM.
 */
int v3_cfg_placement(const struct v3_cfg *vm, struct v3_vm_cfg *cfg, struct v3_cfg_arena *arena,
		     struct v3_cfg_error *err);

#endif
