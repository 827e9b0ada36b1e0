/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file out.c
 * Messages of the v3 command: complaints with their remedy, and JSON (RFC 8259). Called by all other parts.
 */
#include "v3.h"

#include <stdarg.h>
#include <stdio.h>

#define DEPTH_MAX 8

static struct {
	char close[DEPTH_MAX];
	bool more[DEPTH_MAX]; /* something stands there already */
	unsigned depth;
} out_json;

/* @return bytes of the UTF-8 character at @s (RFC 3629 section 4), 0: there is none */
static unsigned out_utf8_length(const unsigned char *s)
{
	unsigned n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4, i;

	if (s[0] > 0xf4 || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

/* What is no text, such as a file name in Latin-1 or a guest's memory, must not spoil the document. */
static void out_quoted(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	unsigned n;

	putchar('"');
	for (; *s; s += n ? n : 1) {
		n = out_utf8_length(s);
		if (!n)
			fputs("\\ufffd", stdout);
		else if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if (*s == '\n')
			fputs("\\n", stdout);
		else if (*s < 0x20 || *s == 0x7f)
			printf("\\u%04x", *s);
		else
			fwrite(s, 1, n, stdout);
	}
	putchar('"');
}

static void out_key(const char *key)
{
	if (out_json.more[out_json.depth])
		fputs(", ", stdout);
	out_json.more[out_json.depth] = true;
	if (key) {
		out_quoted(key);
		fputs(": ", stdout);
	}
}

void v3_json_open(const char *key, char bracket)
{
	out_key(key);
	putchar(bracket);
	if (out_json.depth + 1 < DEPTH_MAX)
		out_json.depth++;
	out_json.close[out_json.depth] = bracket == '{' ? '}' : ']';
	out_json.more[out_json.depth] = false;
}

void v3_json_close(void)
{
	putchar(out_json.close[out_json.depth]);
	if (!--out_json.depth) {
		putchar('\n');
		out_json.more[0] = false;
	}
}

void v3_json_text(const char *key, const char *value)
{
	out_key(key);
	out_quoted(value);
}

void v3_json_number(const char *key, int64_t value)
{
	out_key(key);
	printf("%lld", (long long)value);
}

void v3_json_bool(const char *key, bool value)
{
	out_key(key);
	fputs(value ? "true" : "false", stdout);
}

void v3_complain(const char *remedy, const char *fmt, ...)
{
	char message[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "v3: %s\n", message);
	if (remedy)
		fprintf(stderr, "v3: %s\n", remedy);
	if (!v3_opt.json || out_json.depth)
		return;
	v3_json_open(NULL, '{');
	v3_json_open("error", '{');
	v3_json_text("message", message);
	v3_json_text("remedy", remedy ? remedy : "");
	v3_json_close();
	v3_json_close();
	fflush(stdout);
}
