/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file text.c
 * Bytes of a definition: the check that goes before all parsing, and the wording of messages.
 */
#include "config/cfg.h"

#include "palacios/error.h"
#include "palacios/util/fmt.h"
#include "palacios/util/str.h"

int v3_cfg_fail(struct v3_cfg_error *err, uint32_t line, const char *fmt, ...)
{
	va_list ap;

	err->line = line;
	va_start(ap, fmt);
	v3_vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	return V3_EBADMSG;
}

/* Well-formed sequences only: no over-long forms, surrogates or values above U+10FFFF (Unicode
 * table 3-7). */
unsigned v3_cfg_utf8_len(const char *s, size_t len)
{
	const uint8_t *b = (const uint8_t *)s;
	uint8_t low = 0x80, high = 0xbf;
	unsigned n, i;

	if (b[0] < 0x80)
		return 1;
	if (b[0] < 0xc2 || b[0] > 0xf4)
		return 0;
	n = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
	if (n > len)
		return 0;
	if (b[0] == 0xe0)
		low = 0xa0;
	else if (b[0] == 0xed)
		high = 0x9f;
	else if (b[0] == 0xf0)
		low = 0x90;
	else if (b[0] == 0xf4)
		high = 0x8f;
	if (b[1] < low || b[1] > high)
		return 0;
	for (i = 2; i < n; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

int v3_cfg_check_text(const char *text, size_t len, struct v3_cfg_error *err)
{
	uint32_t line = 1;
	unsigned n;
	uint8_t c;
	size_t i;

	if (len > V3_VM_CFG_MAX_TEXT)
		return v3_cfg_fail(err, 0, "too long: %zu bytes, the limit is %u", len,
				   V3_VM_CFG_MAX_TEXT);
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		return v3_cfg_fail(err, 1, "begins with a byte-order mark, expected plain UTF-8");
	for (i = 0; i < len; i += n) {
		c = (uint8_t)text[i];
		n = v3_cfg_utf8_len(text + i, len - i);
		if (!n)
			return v3_cfg_fail(err, line, "not valid UTF-8: byte 0x%02x", c);
		if (c == '\n')
			line++;
		else if (c == '\r' && i + 1 < len && text[i + 1] == '\n')
			continue;
		else if ((c < 0x20 && c != '\t') || c == 0x7f)
			return v3_cfg_fail(err, line, "control character 0x%02x", c);
	}
	return V3_OK;
}

const char *v3_cfg_quote(char buf[V3_CFG_QUOTE_LEN], const char *text)
{
	size_t len = v3_strlen(text), out = 0, i = 0;
	size_t room = V3_CFG_QUOTE_LEN - 6; /* quotes, dots, terminator */
	unsigned n;

	buf[out++] = '"';
	while (i < len) {
		n = v3_cfg_utf8_len(text + i, len - i);
		if (out - 1 + (n ? n : 1) > room)
			break;
		if (!n || (uint8_t)text[i] < 0x20 || text[i] == 0x7f) {
			buf[out++] = '?';
			i++;
			continue;
		}
		memcpy(buf + out, text + i, n);
		out += n;
		i += n;
	}
	buf[out++] = '"';
	if (i < len) {
		memcpy(buf + out, "...", 3);
		out += 3;
	}
	buf[out] = '\0';
	return buf;
}

const char *v3_cfg_describe(char buf[V3_CFG_QUOTE_LEN + 16], const struct v3_cfg_value *value)
{
	char quoted[V3_CFG_QUOTE_LEN];
	size_t size = V3_CFG_QUOTE_LEN + 16;

	switch (value->kind) {
	case V3_CFG_KIND_NUMBER:
		v3_snprintf(buf, size, "%llu (number)", (unsigned long long)value->num);
		break;
	case V3_CFG_KIND_TEXT:
		v3_snprintf(buf, size, "%s (text)", v3_cfg_quote(quoted, value->text));
		break;
	case V3_CFG_KIND_BOOL:
		v3_snprintf(buf, size, "%s (boolean)", value->num ? "true" : "false");
		break;
	case V3_CFG_KIND_LIST:
		v3_snprintf(buf, size, "a list");
		break;
	case V3_CFG_KIND_TABLE:
		v3_snprintf(buf, size, "a table");
		break;
	}
	return buf;
}

const char *v3_cfg_size_text(char buf[24], uint64_t bytes)
{
	static const char units[] = "KMGT";
	unsigned unit = 0;

	if (bytes & 1023) {
		v3_snprintf(buf, 24, "%llu bytes", (unsigned long long)bytes);
		return buf;
	}
	bytes >>= 10;
	while (unit < 3 && bytes && !(bytes & 1023)) {
		bytes >>= 10;
		unit++;
	}
	v3_snprintf(buf, 24, "%llu%c", (unsigned long long)bytes, units[unit]);
	return buf;
}

/* Levenshtein distance by rows, given up at 3: a name three edits away is no typing mistake. */
unsigned v3_cfg_distance(const char *a, const char *b)
{
	size_t la = v3_strlen(a), lb = v3_strlen(b), i, j;
	uint8_t row[V3_CFG_MAX_NAME + 1], diag, up, best;

	if (la > V3_CFG_MAX_NAME || lb > V3_CFG_MAX_NAME || la > lb + 2 || lb > la + 2)
		return 3;
	for (j = 0; j <= lb; j++)
		row[j] = (uint8_t)j;
	for (i = 1; i <= la; i++) {
		diag = row[0];
		row[0] = (uint8_t)i;
		for (j = 1; j <= lb; j++) {
			up = row[j];
			best = (uint8_t)(diag + (a[i - 1] != b[j - 1]));
			if (up + 1 < best)
				best = (uint8_t)(up + 1);
			if (row[j - 1] + 1 < best)
				best = (uint8_t)(row[j - 1] + 1);
			row[j] = best;
			diag = up;
		}
	}
	return row[lb] < 3 ? row[lb] : 3;
}
