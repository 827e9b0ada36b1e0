/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file schema.c
 * One table against its list of keys: names, types, ranges. Then the values are read through the
 * public accessors of palacios/config.h.
 */
#include "config/cfg.h"

#include "palacios/error.h"
#include "palacios/util/fmt.h"
#include "palacios/util/str.h"

static const struct v3_cfg_key *schema_key(const struct v3_cfg_key *keys, const char *name)
{
	for (; keys && keys->name; keys++) {
		if (!v3_strcmp(keys->name, name))
			return keys;
	}
	return NULL;
}

static int schema_unknown(const struct v3_cfg *table, const struct v3_cfg_entry *entry,
			  const struct v3_cfg_key *keys, const char *also, struct v3_cfg_error *err)
{
	const char *best = NULL;
	unsigned distance, least = 3;

	if (also && v3_cfg_distance(entry->key, also) < least) {
		least = v3_cfg_distance(entry->key, also);
		best = also;
	}
	for (; keys && keys->name; keys++) {
		distance = v3_cfg_distance(entry->key, keys->name);
		if (distance < least) {
			least = distance;
			best = keys->name;
		}
	}
	if (best)
		return v3_cfg_fail(err, entry->line,
				   "%s: unknown key in [%s], did you mean \"%s\"?", entry->key,
				   table->name, best);
	return v3_cfg_fail(err, entry->line, "%s: unknown key in [%s]", entry->key, table->name);
}

/* A number for a message: ports and addresses read better in hexadecimal. */
static const char *schema_number(char buf[24], const struct v3_cfg_key *key, uint64_t num)
{
	if (key->type == V3_CFG_SIZE)
		return v3_cfg_size_text(buf, num);
	v3_snprintf(buf, 24, key->high > 9999 ? "%#llx" : "%llu", (unsigned long long)num);
	return buf;
}

/* What a value of this key looks like. */
static const char *schema_noun(const struct v3_cfg_key *key)
{
	switch (key->type) {
	case V3_CFG_UINT:
		return "a number";
	case V3_CFG_SIZE:
		return "a size";
	case V3_CFG_STRING:
		return "a text in quotes";
	case V3_CFG_BOOL:
		return "true or false";
	case V3_CFG_FILE:
		return "a file name in quotes";
	case V3_CFG_UINTS:
		return "a list of numbers such as [0, 1]";
	case V3_CFG_STRINGS:
		return "a list of texts such as [\"a\", \"b\"]";
	case V3_CFG_TABLES:
		return key->high ? "a list of numbers or tables such as [0, {key = 1}]"
				 : "a list of tables such as [{key = 1}]";
	}
	return "";
}

static int schema_wrong(const struct v3_cfg_key *key, uint32_t line,
			const struct v3_cfg_value *value, struct v3_cfg_error *err)
{
	char found[V3_CFG_QUOTE_LEN + 16];

	return v3_cfg_fail(err, line, "%s: expected %s, got %s", key->name,
			   key->type == V3_CFG_SIZE ? "a size such as \"256M\"" : schema_noun(key),
			   v3_cfg_describe(found, value));
}

static int schema_range(const struct v3_cfg_key *key, uint32_t line,
			const struct v3_cfg_value *value, struct v3_cfg_error *err)
{
	char low[24], high[24], num[24];
	const char *noun = key->type == V3_CFG_SIZE ? "a size" : "a number";

	if (value->num >= key->low && (!key->high || value->num <= key->high))
		return V3_OK;
	if (!key->high)
		return v3_cfg_fail(err, line, "%s: expected %s from %s, got %s", key->name, noun,
				   schema_number(low, key, key->low),
				   schema_number(num, key, value->num));
	return v3_cfg_fail(err, line, "%s: expected %s %s..%s, got %s", key->name, noun,
			   schema_number(low, key, key->low), schema_number(high, key, key->high),
			   schema_number(num, key, value->num));
}

/* "256M": decimal digits and one unit. */
static int schema_size(const struct v3_cfg_key *key, uint32_t line, struct v3_cfg_value *value,
		       struct v3_cfg_error *err)
{
	static const char units[] = "KMGT";
	const char *s = value->text;
	unsigned unit = 0;
	uint64_t num = 0;

	if (value->kind != V3_CFG_KIND_TEXT || *s < '1' || *s > '9')
		return schema_wrong(key, line, value, err);
	for (; *s >= '0' && *s <= '9'; s++) {
		if (num > UINT64_MAX / 10 - 1)
			return v3_cfg_fail(err, line, "%s: the size does not fit 64 bits",
					   key->name);
		num = num * 10 + (uint64_t)(*s - '0');
	}
	while (unit < 4 && *s != units[unit])
		unit++;
	if (unit == 4 || s[1])
		return schema_wrong(key, line, value, err);
	unit = (unit + 1) * 10;
	if (num > UINT64_MAX >> unit)
		return v3_cfg_fail(err, line, "%s: the size does not fit 64 bits", key->name);
	value->num = num << unit;
	return schema_range(key, line, value, err);
}

static int schema_text(const struct v3_cfg_key *key, uint32_t line,
		       const struct v3_cfg_value *value, struct v3_cfg_error *err)
{
	uint64_t limit = key->high ? key->high : V3_CFG_MAX_STRING;
	bool is_file = key->type == V3_CFG_FILE || key->host_file;
	size_t len, i;

	if (value->kind != V3_CFG_KIND_TEXT)
		return schema_wrong(key, line, value, err);
	if (is_file)
		limit = V3_VM_CFG_MAX_FILE_NAME;
	len = v3_strlen(value->text);
	if (len > limit)
		return v3_cfg_fail(err, line, "%s: expected at most %llu bytes, got %zu", key->name,
				   (unsigned long long)limit, len);
	if (!is_file)
		return V3_OK;
	if (!len)
		return schema_wrong(key, line, value, err);
	for (i = 0; i < len; i++) {
		if ((uint8_t)value->text[i] < 0x20 || value->text[i] == 0x7f)
			return v3_cfg_fail(err, line, "%s: control character in a file name",
					   key->name);
	}
	return V3_OK;
}

static int schema_list(const struct v3_cfg_key *key, uint32_t line,
		       const struct v3_cfg_value *value, struct v3_cfg_error *err)
{
	const struct v3_cfg_value *item;
	int result = V3_OK;

	if (value->kind != V3_CFG_KIND_LIST)
		return schema_wrong(key, line, value, err);
	for (item = value->items; item && !result; item = item->next) {
		if (key->type == V3_CFG_STRINGS)
			result = schema_text(key, line, item, err);
		else if (key->type == V3_CFG_TABLES &&
			 (item->kind == V3_CFG_KIND_TABLE || !key->high))
			result = item->table ? V3_OK : schema_wrong(key, line, item, err);
		else if (item->kind != V3_CFG_KIND_NUMBER)
			result = schema_wrong(key, line, item, err);
		else
			result = schema_range(key, line, item, err);
	}
	return result;
}

static int schema_value(const struct v3_cfg_key *key, uint32_t line, struct v3_cfg_value *value,
			struct v3_cfg_error *err)
{
	switch (key->type) {
	case V3_CFG_UINT:
		if (value->kind != V3_CFG_KIND_NUMBER)
			return schema_wrong(key, line, value, err);
		return schema_range(key, line, value, err);
	case V3_CFG_SIZE:
		return schema_size(key, line, value, err);
	case V3_CFG_BOOL:
		return value->kind == V3_CFG_KIND_BOOL ? V3_OK
						       : schema_wrong(key, line, value, err);
	case V3_CFG_STRING:
	case V3_CFG_FILE:
		return schema_text(key, line, value, err);
	case V3_CFG_UINTS:
	case V3_CFG_STRINGS:
	case V3_CFG_TABLES:
		return schema_list(key, line, value, err);
	}
	return v3_cfg_fail(err, line, "%s: key of a type unknown to the parser", key->name);
}

int v3_cfg_check(struct v3_cfg *table, const struct v3_cfg_key *keys, const char *also,
		 struct v3_cfg_error *err)
{
	const struct v3_cfg_key *key;
	struct v3_cfg_entry *entry;
	int result;

	table->keys = keys;
	for (entry = table->entries; entry; entry = entry->next) {
		if (also && !v3_strcmp(entry->key, also))
			continue;
		key = schema_key(keys, entry->key);
		if (!key)
			return schema_unknown(table, entry, keys, also, err);
		result = schema_value(key, entry->line, &entry->value, err);
		if (result)
			return result;
	}
	for (key = keys; key && key->name; key++) {
		if (key->required && !v3_cfg_find(table, key->name))
			return v3_cfg_fail(err, table->line, "%s: missing in [%s], expected %s",
					   key->name, table->name,
					   key->type == V3_CFG_SIZE ? "a size such as \"256M\""
								    : schema_noun(key));
	}
	return V3_OK;
}

const struct v3_cfg_entry *v3_cfg_find(const struct v3_cfg *table, const char *key)
{
	const struct v3_cfg_entry *entry;

	for (entry = table->entries; entry; entry = entry->next) {
		if (!v3_strcmp(entry->key, key))
			return entry;
	}
	return NULL;
}

int v3_cfg_choice(const struct v3_cfg *table, const char *key, const char *const *names,
		  const char *expected, unsigned *out, struct v3_cfg_error *err)
{
	const char *text = v3_cfg_string(table, key);
	char quoted[V3_CFG_QUOTE_LEN];
	unsigned i;

	for (i = 0; names[i]; i++) {
		if (!v3_strcmp(names[i], text)) {
			*out = i;
			return V3_OK;
		}
	}
	return v3_cfg_fail(err, v3_cfg_line(table, key), "%s: expected %s, got %s", key, expected,
			   v3_cfg_quote(quoted, text));
}

uint32_t v3_cfg_line(const struct v3_cfg *table, const char *key)
{
	const struct v3_cfg_entry *entry = v3_cfg_find(table, key);

	return entry ? entry->line : table->line;
}

/* ---- accessors of palacios/config.h ---- */

uint64_t v3_cfg_uint(const struct v3_cfg *cfg, const char *key)
{
	const struct v3_cfg_entry *entry = v3_cfg_find(cfg, key);
	const struct v3_cfg_key *k = schema_key(cfg->keys, key);

	return entry ? entry->value.num : k ? k->def : 0;
}

bool v3_cfg_bool(const struct v3_cfg *cfg, const char *key)
{
	return v3_cfg_uint(cfg, key) != 0;
}

const char *v3_cfg_string(const struct v3_cfg *cfg, const char *key)
{
	const struct v3_cfg_entry *entry = v3_cfg_find(cfg, key);
	const struct v3_cfg_key *k = schema_key(cfg->keys, key);

	if (entry && entry->value.kind == V3_CFG_KIND_TEXT)
		return entry->value.text;
	return k && k->def_str ? k->def_str : "";
}

uint32_t v3_cfg_count(const struct v3_cfg *cfg, const char *key)
{
	const struct v3_cfg_entry *entry = v3_cfg_find(cfg, key);

	return entry ? entry->value.nitems : 0;
}

static const struct v3_cfg_value *schema_item(const struct v3_cfg *cfg, const char *key, uint32_t i)
{
	const struct v3_cfg_entry *entry = v3_cfg_find(cfg, key);
	const struct v3_cfg_value *item = entry ? entry->value.items : NULL;

	while (item && i--)
		item = item->next;
	return item;
}

uint64_t v3_cfg_uint_at(const struct v3_cfg *cfg, const char *key, uint32_t i)
{
	const struct v3_cfg_value *item = schema_item(cfg, key, i);

	return item ? item->num : 0;
}

struct v3_cfg *v3_cfg_table_at(const struct v3_cfg *table, const char *key, uint32_t i)
{
	const struct v3_cfg_value *item = schema_item(table, key, i);

	return item ? item->table : NULL;
}

const char *v3_cfg_string_at(const struct v3_cfg *cfg, const char *key, uint32_t i)
{
	const struct v3_cfg_value *item = schema_item(cfg, key, i);

	return item && item->text ? item->text : "";
}

bool v3_cfg_has(const struct v3_cfg *cfg, const char *key)
{
	return v3_cfg_find(cfg, key) != NULL;
}
