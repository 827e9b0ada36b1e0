/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file toml.c
 * Syntax of a guest definition: a subset of TOML 1.0 (tables, arrays of tables, bare keys; texts,
 * whole numbers, booleans and flat lists, also of inline tables). What is left out of TOML is refused by name. Works on
 * text that v3_cfg_check_text() has passed. No recursion: lists are flat, and inline tables
 * have none.
 */
#include "config/cfg.h"

#include "palacios/error.h"
#include "palacios/util/fmt.h"
#include "palacios/util/str.h"

struct toml {
	const char *p, *end;
	uint32_t line;
	uint32_t ntables;
	struct v3_cfg_arena *arena;
	struct v3_cfg *first, *last; /* tables */
	struct v3_cfg_entry *last_entry;
	struct v3_cfg_error *err;
	const char *key; /* being read, for messages; "" outside */
};

static int toml_peek(const struct toml *t)
{
	return t->p < t->end ? (uint8_t)*t->p : -1;
}

static bool toml_is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool toml_is_bare(int c)
{
	return toml_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       c == '-';
}

/* A message about the value of the current key. */
static int toml_fail(struct toml *t, const char *what)
{
	return v3_cfg_fail(t->err, t->line, "%s: %s", t->key, what);
}

/* What the reader stumbled over, for messages; @p buf gets one character in quotes. */
static const char *toml_found(const struct toml *t, char buf[8])
{
	int c = toml_peek(t);
	unsigned n;

	if (c < 0)
		return "the end of the file";
	if (c == '\n' || c == '\r')
		return "the end of the line";
	n = v3_cfg_utf8_len(t->p, (size_t)(t->end - t->p));
	buf[0] = '\'';
	memcpy(buf + 1, t->p, n);
	buf[1 + n] = '\'';
	buf[2 + n] = '\0';
	return buf;
}

static void toml_skip_blanks(struct toml *t)
{
	while (t->p < t->end && (*t->p == ' ' || *t->p == '\t'))
		t->p++;
}

/* Blanks, a comment and the line's end. @return false if something else stands there. */
static bool toml_end_line(struct toml *t)
{
	toml_skip_blanks(t);
	if (toml_peek(t) == '#') {
		while (t->p < t->end && *t->p != '\n')
			t->p++;
	}
	if (toml_peek(t) == '\r')
		t->p++;
	if (t->p == t->end)
		return true;
	if (*t->p != '\n')
		return false;
	t->p++;
	t->line++;
	return true;
}

/* A key or table name and the blanks behind it. @param what  for messages */
static int toml_name(struct toml *t, const char *what, const char **out)
{
	const char *start = t->p;
	char found[8];
	size_t len;

	while (toml_is_bare(toml_peek(t)))
		t->p++;
	len = (size_t)(t->p - start);
	if (!len) {
		if (toml_peek(t) == '"' || toml_peek(t) == '\'')
			return v3_cfg_fail(t->err, t->line, "a quoted %s is not supported", what);
		return v3_cfg_fail(t->err, t->line, "expected a %s, got %s", what,
				   toml_found(t, found));
	}
	if (len > V3_CFG_MAX_NAME)
		return v3_cfg_fail(t->err, t->line, "%s longer than %u characters", what,
				   V3_CFG_MAX_NAME);
	toml_skip_blanks(t);
	if (toml_peek(t) == '.')
		return v3_cfg_fail(t->err, t->line, "a dotted %s is not supported", what);
	*out = v3_cfg_arena_strdup(t->arena, start, len);
	return *out ? V3_OK : V3_ENOMEM;
}

/* Encode a code point. @return bytes written, 0 if it is none that a text may hold */
static unsigned toml_encode(char out[4], uint32_t cp)
{
	if (cp == 0 || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

/* Value of a digit in any base up to 16; 99: none. */
static unsigned toml_digit(int c)
{
	if (toml_is_digit(c))
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return 99;
}

/* What follows a backslash. @return bytes written to @p out, or an error */
static int toml_escape(struct toml *t, char out[4])
{
	static const char from[] = "\"\\bfnrt", to[] = "\"\\\b\f\n\r\t";
	int c = toml_peek(t);
	unsigned i, ndigits, n;
	uint32_t cp = 0;

	for (i = 0; i < sizeof(from) - 1; i++) {
		if (c == from[i]) {
			t->p++;
			out[0] = to[i];
			return 1;
		}
	}
	if (c != 'u' && c != 'U')
		return toml_fail(
			t, "unknown escape, expected one of \\\" \\\\ \\b \\f \\n \\r \\t \\u \\U");
	ndigits = c == 'u' ? 4 : 8;
	t->p++;
	for (i = 0; i < ndigits; i++, t->p++) {
		if (toml_digit(toml_peek(t)) > 15)
			return toml_fail(t, c == 'u' ? "expected 4 hexadecimal digits after \\u"
						     : "expected 8 hexadecimal digits after \\U");
		cp = cp << 4 | toml_digit(toml_peek(t));
	}
	n = toml_encode(out, cp);
	if (!n)
		return toml_fail(t, cp ? "the escape is not a Unicode character"
				       : "a text cannot hold NUL");
	return (int)n;
}

/* A text in quotes of either kind; only double quotes know escapes. */
static int toml_text(struct toml *t, struct v3_cfg_value *value)
{
	char quote = *t->p, utf8[4], *out;
	const char *start, *scan;
	size_t len = 0;
	int n;

	if (t->end - t->p >= 3 && t->p[1] == quote && t->p[2] == quote)
		return toml_fail(t, "a multi-line text is not supported");
	start = ++t->p;
	/* Escapes never become longer than they are written, so the source's length is enough. */
	for (scan = start; scan < t->end && *scan != quote && *scan != '\n' && *scan != '\r';
	     scan++) {
		if (*scan == '\\' && quote == '"' && t->end - scan > 1)
			scan++;
	}
	if (scan - start > V3_CFG_MAX_STRING)
		return v3_cfg_fail(t->err, t->line, "%s: text longer than %u bytes", t->key,
				   V3_CFG_MAX_STRING);
	out = v3_cfg_arena_alloc(t->arena, (size_t)(scan - start) + 1);
	if (!out)
		return V3_ENOMEM;
	while (toml_peek(t) != quote) {
		if (toml_peek(t) < 0 || *t->p == '\n' || *t->p == '\r')
			return toml_fail(t, "the text has no closing quote");
		if (*t->p == '\\' && quote == '"') {
			t->p++;
			n = toml_escape(t, utf8);
			if (n < 0)
				return n;
			memcpy(out + len, utf8, (size_t)n);
			len += (size_t)n;
		} else {
			out[len++] = *t->p++;
		}
	}
	t->p++;
	value->kind = V3_CFG_KIND_TEXT;
	value->text = out;
	return V3_OK;
}

/* A word that begins like a number: which part of TOML, if any, did the writer mean? */
static const char *toml_number_kind(const char *word, size_t len)
{
	bool hex = len > 1 && word[0] == '0' && word[1] == 'x';
	size_t i;

	if (word[0] == '-')
		return "a negative number is not allowed";
	if (word[0] == '+')
		return "a sign is not allowed";
	for (i = 1; i < len; i++) {
		if (word[i] == ':' || word[i] == '-')
			return "a date or time is not supported";
		if (word[i] == '.' || (!hex && (word[i] == 'e' || word[i] == 'E')))
			return "only whole numbers are supported";
	}
	return NULL;
}

static int toml_number(struct toml *t, struct v3_cfg_value *value)
{
	const char *word = t->p, *what;
	unsigned base = 10, digit;
	uint64_t num = 0;
	bool last_digit = false;
	size_t len = 0, i = 0;

	while (toml_is_bare(toml_peek(t)) || toml_peek(t) == '.' || toml_peek(t) == ':' ||
	       toml_peek(t) == '+')
		t->p++;
	len = (size_t)(t->p - word);
	what = toml_number_kind(word, len);
	if (what)
		return toml_fail(t, what);
	if (len > 1 && word[0] == '0') {
		base = word[1] == 'x' ? 16 : word[1] == 'o' ? 8 : word[1] == 'b' ? 2 : 10;
		if (base == 10 && toml_is_digit(word[1]))
			return toml_fail(
				t, "a number cannot begin with 0 (octal numbers begin with 0o)");
		i = base == 10 ? 0 : 2;
	}
	for (; i < len; i++) {
		if (word[i] == '_' && last_digit) { /* only between digits */
			last_digit = false;
			continue;
		}
		digit = toml_digit(word[i]);
		if (digit >= base)
			break;
		if (num > (UINT64_MAX - digit) / base)
			return toml_fail(t, "the number does not fit 64 bits");
		num = num * base + digit;
		last_digit = true;
	}
	if (i < len || !last_digit)
		return toml_fail(t,
				 "malformed number (a size is a text in quotes, such as \"256M\")");
	value->kind = V3_CFG_KIND_NUMBER;
	value->num = num;
	return V3_OK;
}

static int toml_bool(struct toml *t, struct v3_cfg_value *value)
{
	const char *word = t->p;
	size_t len;

	while (toml_is_bare(toml_peek(t)))
		t->p++;
	len = (size_t)(t->p - word);
	value->kind = V3_CFG_KIND_BOOL;
	value->num = len == 4;
	if ((len == 4 && !memcmp(word, "true", 4)) || (len == 5 && !memcmp(word, "false", 5)))
		return V3_OK;
	return toml_fail(t, "expected a value: a text in quotes, a number, true, false or a list");
}

/* Everything but a list. */
static int toml_scalar(struct toml *t, struct v3_cfg_value *value)
{
	int c = toml_peek(t);
	char found[8];

	if (c == '"' || c == '\'')
		return toml_text(t, value);
	if (toml_is_digit(c) || c == '-' || c == '+')
		return toml_number(t, value);
	if (c == '{')
		return toml_fail(t, "an inline table is only supported in a list");
	if (toml_is_bare(c))
		return toml_bool(t, value);
	return v3_cfg_fail(t->err, t->line, "%s: expected a value, got %s", t->key,
			   toml_found(t, found));
}

/* Blanks, comments and line ends between the elements of a list. */
static void toml_skip_lines(struct toml *t)
{
	do {
		toml_skip_blanks(t);
		if (t->p == t->end || (*t->p != '#' && *t->p != '\n' && *t->p != '\r'))
			return;
	} while (toml_end_line(t));
}

/* "key =" in the table that is being read. @return V3_OK with the entry, at its value */
static int toml_key(struct toml *t, struct v3_cfg_entry **out)
{
	struct v3_cfg_entry *entry;
	const char *key;
	char found[8];
	int err;

	err = toml_name(t, "key", &key);
	if (err)
		return err;
	t->key = key;
	if (!t->last)
		return toml_fail(t, "stands before the first [table]");
	if (toml_peek(t) != '=')
		return v3_cfg_fail(t->err, t->line, "%s: expected '=', got %s", key,
				   toml_found(t, found));
	for (entry = t->last->entries; entry; entry = entry->next) {
		if (!v3_strcmp(entry->key, key))
			return v3_cfg_fail(t->err, t->line, "%s: given twice, first in line %u",
					   key, entry->line);
	}
	if (++t->last->nentries > V3_CFG_MAX_KEYS)
		return v3_cfg_fail(t->err, t->line, "more than %u keys in one table",
				   V3_CFG_MAX_KEYS);
	entry = v3_cfg_arena_alloc(t->arena, sizeof(*entry));
	if (!entry)
		return V3_ENOMEM;
	entry->key = key;
	entry->line = t->line;
	if (t->last_entry)
		t->last_entry->next = entry;
	else
		t->last->entries = entry;
	t->last_entry = entry;

	t->p++;
	toml_skip_blanks(t);
	*out = entry;
	return V3_OK;
}

/* { key = value, ... } on one line, values that are no lists; an element of a list. */
static int toml_inline(struct toml *t, struct v3_cfg_value *value)
{
	struct v3_cfg *table = v3_cfg_arena_alloc(t->arena, sizeof(*table)), *outer = t->last;
	struct v3_cfg_entry *outer_entry = t->last_entry, *entry;
	const char *key = t->key;
	char found[8];
	int err;

	if (!table)
		return V3_ENOMEM;
	table->name = key;
	table->line = t->line;
	value->kind = V3_CFG_KIND_TABLE;
	value->table = table;
	t->last = table;
	t->last_entry = NULL;
	do {
		t->p++;
		toml_skip_blanks(t);
		err = toml_key(t, &entry);
		if (!err)
			err = toml_scalar(t, &entry->value);
		if (err)
			return err;
		toml_skip_blanks(t);
	} while (toml_peek(t) == ',');
	t->key = key;
	t->last = outer;
	t->last_entry = outer_entry;
	if (toml_peek(t) != '}')
		return v3_cfg_fail(t->err, t->line, "%s: expected ',' or '}', got %s", t->key,
				   toml_found(t, found));
	t->p++;
	return V3_OK;
}

static int toml_list(struct toml *t, struct v3_cfg_value *value)
{
	struct v3_cfg_value *item, **tail = &value->items;
	char found[8];
	int err;

	value->kind = V3_CFG_KIND_LIST;
	t->p++;
	for (;;) {
		toml_skip_lines(t);
		if (toml_peek(t) == ']')
			break;
		if (toml_peek(t) == '[')
			return toml_fail(t, "a list in a list is not supported");
		if (++value->nitems > V3_CFG_MAX_ITEMS)
			return v3_cfg_fail(t->err, t->line, "%s: more than %u elements", t->key,
					   V3_CFG_MAX_ITEMS);
		item = v3_cfg_arena_alloc(t->arena, sizeof(*item));
		if (!item)
			return V3_ENOMEM;
		*tail = item;
		tail = &item->next;
		err = toml_peek(t) == '{' ? toml_inline(t, item) : toml_scalar(t, item);
		if (err)
			return err;
		toml_skip_lines(t);
		if (toml_peek(t) == ',')
			t->p++;
		else if (toml_peek(t) != ']')
			return v3_cfg_fail(t->err, t->line, "%s: expected ',' or ']', got %s",
					   t->key, toml_found(t, found));
	}
	t->p++;
	return V3_OK;
}

static int toml_entry(struct toml *t)
{
	struct v3_cfg_entry *entry;
	int err = toml_key(t, &entry);

	if (err)
		return err;
	return toml_peek(t) == '[' ? toml_list(t, &entry->value) : toml_scalar(t, &entry->value);
}

/* [name] may stand once, [[name]] often; not both. */
static int toml_check_table(struct toml *t, const char *name, bool array)
{
	const struct v3_cfg *other;

	for (other = t->first; other; other = other->next) {
		if (v3_strcmp(other->name, name) || (array && other->array))
			continue;
		if (array == other->array)
			return v3_cfg_fail(t->err, t->line, "[%s]: given twice, first in line %u",
					   name, other->line);
		return v3_cfg_fail(t->err, t->line, "both [%s] and [[%s]], first in line %u", name,
				   name, other->line);
	}
	if (++t->ntables > V3_CFG_MAX_TABLES)
		return v3_cfg_fail(t->err, t->line, "more than %u tables", V3_CFG_MAX_TABLES);
	return V3_OK;
}

static int toml_table(struct toml *t)
{
	struct v3_cfg *table;
	const char *name, *close;
	char found[8];
	bool array;
	int err;

	t->p++;
	array = toml_peek(t) == '[';
	if (array)
		t->p++;
	close = array ? "]]" : "]";
	toml_skip_blanks(t);
	err = toml_name(t, "table name", &name);
	if (err)
		return err;
	if ((size_t)(t->end - t->p) < v3_strlen(close) || memcmp(t->p, close, v3_strlen(close)))
		return v3_cfg_fail(t->err, t->line, "[%s: expected '%s', got %s", name, close,
				   toml_found(t, found));
	t->p += v3_strlen(close);
	err = toml_check_table(t, name, array);
	if (err)
		return err;

	table = v3_cfg_arena_alloc(t->arena, sizeof(*table));
	if (!table)
		return V3_ENOMEM;
	table->name = name;
	table->array = array;
	table->line = t->line;
	if (t->last)
		t->last->next = table;
	else
		t->first = table;
	t->last = table;
	t->last_entry = NULL;
	return V3_OK;
}

int v3_toml_parse(const char *text, size_t len, struct v3_cfg_arena *arena, struct v3_cfg **tables,
		  struct v3_cfg_error *err)
{
	struct toml t = {.p = text, .end = text + len, .line = 1, .arena = arena, .err = err};
	bool header;
	char found[8];
	int result;

	while (t.p < t.end) {
		t.key = "";
		if (toml_end_line(&t))
			continue;
		header = *t.p == '[';
		result = header ? toml_table(&t) : toml_entry(&t);
		if (result)
			return result;
		if (!toml_end_line(&t))
			return v3_cfg_fail(err, t.line, "%s%sunexpected %s after the %s", t.key,
					   *t.key ? ": " : "", toml_found(&t, found),
					   header ? "table name" : "value");
	}
	*tables = t.first;
	return V3_OK;
}
