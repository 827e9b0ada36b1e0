/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file store_rig.h
 * A file for tests of image formats, in memory: it can fail, and it can lose what was not flushed, as a machine does
 * that loses its power. Also: running qemu-img on it.
 */
#ifndef TESTS_UNIT_STORE_RIG_H
#define TESTS_UNIT_STORE_RIG_H

#include "devices/block/store.h"
#include "palacios/error.h"
#include "tap.h"

#include <sys/wait.h>

#define RIG_PENDING 4096

struct rig_write {
	uint64_t offset;
	size_t len;
	uint8_t *bytes;
};

struct rig_file {
	uint8_t *bytes; /* what a reader sees */
	uint64_t len, room, limit;
	uint8_t *stable; /* what a crash leaves, at least */
	uint64_t stable_len, stable_room;
	struct rig_write pending[RIG_PENDING]; /* what it may leave */
	unsigned npending;
	unsigned calls, fail_at; /* the call number that fails, 0: none */
	bool track;		 /* keep stable and pending */
};

static bool rig_file_fails(struct rig_file *f)
{
	return ++f->calls == f->fail_at;
}

static int rig_file_grow(struct rig_file *f, uint64_t len)
{
	if (f->limit && len > f->limit)
		return V3_ENOSPC;
	if (len > f->room) {
		f->room = 2 * len;
		f->bytes = realloc(f->bytes, f->room);
	}
	if (len > f->len) {
		memset(f->bytes + f->len, 0, len - f->len);
		f->len = len;
	}
	return V3_OK;
}

static int rig_file_read(void *priv, uint64_t offset, void *buf, size_t len)
{
	struct rig_file *f = priv;
	uint64_t n = offset < f->len ? f->len - offset : 0;

	if (rig_file_fails(f))
		return V3_EIO;
	n = n < len ? n : len;
	if (n)
		memcpy(buf, f->bytes + offset, n);
	memset((uint8_t *)buf + n, 0, len - n);
	return V3_OK;
}

static void rig_file_note(struct rig_file *f, uint64_t offset, size_t len)
{
	struct rig_write *w = &f->pending[f->npending++];

	if (f->npending > RIG_PENDING)
		abort();
	*w = (struct rig_write){offset, len, malloc(len)};
	memcpy(w->bytes, f->bytes + offset, len);
}

static int rig_file_put(struct rig_file *f, uint64_t offset, const void *buf, size_t len)
{
	int err;

	if (rig_file_fails(f))
		return V3_EIO;
	if (offset > UINT64_MAX - len)
		return V3_ERANGE;
	err = rig_file_grow(f, offset + len);
	if (err || !len)
		return err;
	if (buf)
		memcpy(f->bytes + offset, buf, len);
	else
		memset(f->bytes + offset, 0, len);
	if (f->track)
		rig_file_note(f, offset, len);
	return V3_OK;
}

static int rig_file_write(void *priv, uint64_t offset, const void *buf, size_t len)
{
	return rig_file_put(priv, offset, buf, len);
}

static int rig_file_zero(void *priv, uint64_t offset, uint64_t len)
{
	return rig_file_put(priv, offset, NULL, len);
}

static void rig_file_forget(struct rig_file *f)
{
	while (f->npending)
		free(f->pending[--f->npending].bytes);
}

/* What was written is there for good. The first time: all of it. */
static void rig_file_settle(struct rig_file *f)
{
	uint64_t from = f->stable ? f->stable_len : 0;

	if (f->stable_room < f->room || !f->stable) {
		f->stable_room = f->room;
		f->stable = realloc(f->stable, f->stable_room);
	}
	memcpy(f->stable + from, f->bytes + from, f->len - from);
	for (unsigned i = 0; i < f->npending; i++)
		memcpy(f->stable + f->pending[i].offset, f->pending[i].bytes, f->pending[i].len);
	f->stable_len = f->len;
	rig_file_forget(f);
}

static int rig_file_flush(void *priv)
{
	struct rig_file *f = priv;

	if (rig_file_fails(f))
		return V3_EIO;
	if (!f->track)
		return V3_OK;
	rig_file_settle(f);
	return V3_OK;
}

static uint64_t rig_file_size(void *priv)
{
	return ((struct rig_file *)priv)->len;
}

__attribute__((unused)) static struct v3_store rig_file_store(struct rig_file *f)
{
	static const struct v3_store_ops ops = {
		.read = rig_file_read,
		.write = rig_file_write,
		.zero = rig_file_zero,
		.flush = rig_file_flush,
		.size = rig_file_size,
	};

	return (struct v3_store){&ops, f};
}

/* The power fails: of what was not flushed any part may be there, in any order. */
__attribute__((unused)) static void rig_file_crash(struct rig_file *f)
{
	unsigned i, n = f->npending;

	memset(f->bytes, 0, f->len);
	memcpy(f->bytes, f->stable, f->stable_len);
	for (i = 0; i < n; i++) {
		struct rig_write *w = &f->pending[i];

		if (tap_rand() & 1)
			memcpy(f->bytes + w->offset, w->bytes, w->len);
	}
	rig_file_forget(f);
}

static void rig_file_free(struct rig_file *f)
{
	rig_file_forget(f);
	free(f->bytes);
	free(f->stable);
	memset(f, 0, sizeof(*f));
}

/* ---- files on disk, for qemu-img ---- */

static char rig_dir[64];

static const char *rig_path(const char *name)
{
	static char path[4][128];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", rig_dir, name);
	return p;
}

/* Run a command in the folder of the files. @return its exit status */
__attribute__((format(printf, 1, 2))) static int rig_run(const char *fmt, ...)
{
	char args[600], line[800];
	int status;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "cd %s && { %s; } >log 2>&1 </dev/null", rig_dir, args);
	status = system(line);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void rig_file_save(const char *name, const void *bytes, size_t len)
{
	FILE *f = fopen(rig_path(name), "w");

	if (!f || fwrite(bytes, 1, len, f) != len || fclose(f))
		abort();
}

static void rig_file_load(struct rig_file *file, const char *name)
{
	FILE *f = fopen(rig_path(name), "r");

	if (!f)
		abort();
	fseek(f, 0, SEEK_END);
	file->len = (uint64_t)ftell(f);
	rewind(f);
	file->room = file->len + 1;
	file->bytes = malloc(file->room);
	if (fread(file->bytes, 1, file->len, f) != file->len)
		abort();
	fclose(f);
}

__attribute__((constructor)) static void rig_dir_make(void)
{
	snprintf(rig_dir, sizeof(rig_dir), "/tmp/v3-store-XXXXXX");
	if (!mkdtemp(rig_dir))
		abort();
}

__attribute__((destructor)) static void rig_dir_remove(void)
{
	char line[100];

	snprintf(line, sizeof(line), "rm -rf %s", rig_dir);
	if (system(line))
		fprintf(stderr, "cannot remove %s\n", rig_dir);
}

#endif
