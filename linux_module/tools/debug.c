/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file debug.c
 * Looking into a guest: dump, memory.
 */
#include "v3.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DUMP_FIRST   (64u << 10) /* bytes; enough for a few vcpus */
#define DUMP_TRIES   8		 /* of a VM whose dump grows while we make room */
#define MEMORY_CHUNK (64u << 10) /* bytes per call */
#define LINE	     16

char *v3_dump_text(int vm)
{
	struct palacios_dump d;
	uint64_t size = DUMP_FIRST;
	char *text = NULL, *more;
	unsigned i;

	for (i = 0; i < DUMP_TRIES; i++) {
		more = realloc(text, size + 1);
		if (!more)
			break;
		text = more;
		memset(&d, 0, sizeof(d));
		d.buffer = (uintptr_t)text;
		d.size = size;
		if (ioctl(vm, PALACIOS_VM_DUMP, &d))
			break;
		if (d.length <= size) {
			text[d.length] = 0;
			return text;
		}
		size = d.length + DUMP_FIRST;
		errno = EAGAIN;
	}
	free(text);
	return NULL;
}

int v3_dump(char **args)
{
	int vm = v3_vm_open(args[0]);
	char *text;

	if (vm < 0)
		return -vm;
	text = v3_dump_text(vm);
	if (!text)
		v3_complain("The kernel's log (dmesg) says more.", "cannot dump %s: %s", args[0],
			    strerror(errno));
	close(vm);
	if (!text)
		return V3_EXIT_NO;
	if (v3_opt.json) {
		v3_json_open(NULL, '{');
		v3_json_text("name", args[0]);
		v3_json_text("dump", text);
		v3_json_close();
	} else {
		fputs(text, stdout);
	}
	free(text);
	return V3_EXIT_GOOD;
}

/* One line of 16 bytes, beginning anywhere. */
static void debug_line(uint64_t gpa, const unsigned char *p, size_t n)
{
	size_t i;

	printf("%012llx ", (unsigned long long)gpa);
	for (i = 0; i < LINE; i++) {
		if (i < n)
			printf("%s%02x", i == LINE / 2 ? "  " : " ", p[i]);
		else
			fputs(i == LINE / 2 ? "    " : "   ", stdout);
	}
	fputs("  |", stdout);
	for (i = 0; i < n; i++)
		putchar(isascii(p[i]) && isprint(p[i]) ? p[i] : '.');
	puts("|");
}

/* With --json there is one chunk only. */
static void debug_json(uint64_t gpa, const unsigned char *p, size_t n)
{
	static char hex[2 * MEMORY_CHUNK + 1];
	size_t i;

	for (i = 0; i < n; i++)
		sprintf(hex + 2 * i, "%02x", p[i]);
	v3_json_open(NULL, '{');
	v3_json_number("gpa", (int64_t)gpa);
	v3_json_number("size", (int64_t)n);
	v3_json_text("hex", hex);
	v3_json_close();
}

static void debug_print(uint64_t gpa, const unsigned char *p, size_t n)
{
	size_t i;

	if (v3_opt.raw) {
		fwrite(p, 1, n, stdout);
	} else if (v3_opt.json) {
		debug_json(gpa, p, n);
	} else {
		for (i = 0; i < n; i += LINE)
			debug_line(gpa + i, p + i, n - i < LINE ? n - i : LINE);
	}
}

static int debug_memory_fail(const char *name, uint64_t gpa)
{
	int err = errno;

	if (err == EPERM)
		v3_complain("Looking into a guest takes CAP_SYS_ADMIN: use sudo.",
			    "you may not read the memory of %s", name);
	else if (err == ERANGE)
		v3_complain("v3 info NAME tells how much RAM there is; below 4 GiB a part of the "
			    "addresses belongs to devices.",
			    "not all that was asked for from %#llx on is RAM of %s",
			    (unsigned long long)gpa, name);
	else
		v3_complain(NULL, "cannot read the memory of %s: %s", name, strerror(err));
	return V3_EXIT_NO;
}

static int debug_read(const char *name, int vm, uint64_t gpa, uint64_t size)
{
	static unsigned char chunk[MEMORY_CHUNK];
	struct palacios_memory m;

	while (size) {
		memset(&m, 0, sizeof(m));
		m.gpa = gpa;
		m.size = size < sizeof(chunk) ? size : sizeof(chunk);
		m.buffer = (uintptr_t)chunk;
		if (ioctl(vm, PALACIOS_VM_READ_MEMORY, &m))
			return debug_memory_fail(name, gpa);
		debug_print(gpa, chunk, m.size);
		gpa += m.size;
		size -= m.size;
	}
	return V3_EXIT_GOOD;
}

int v3_memory(char **args)
{
	uint64_t gpa, size;
	int vm, result;

	if (!v3_number_parse(args[1], &gpa) || !v3_number_parse(args[2], &size) || !size ||
	    (v3_opt.json && (v3_opt.raw || size > MEMORY_CHUNK))) {
		v3_complain(
			"GPA and SIZE are numbers such as 4096, 0x1000 or 4K; with --json SIZE is "
			"at most 64K, and there is no --raw.",
			"v3 memory %s %s %s: that cannot be shown", args[0], args[1], args[2]);
		return V3_EXIT_USAGE;
	}
	vm = v3_vm_open(args[0]);
	if (vm < 0)
		return -vm;
	result = debug_read(args[0], vm, gpa, size);
	close(vm);
	return result;
}
