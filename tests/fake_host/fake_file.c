/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_file.c
 * The optional file group: files in memory that a test makes, reads and lets fail, and workers that are threads.
 */
#include "fake_priv.h"

#define FILE_MAX 16

struct fake_file {
	char name[64];
	bool read_only;
	uint8_t *bytes; /* owned */
	uint64_t len;
};

struct fake_worker {
	pthread_t id;
	pthread_mutex_t lock; /* guards the next three */
	pthread_cond_t cond;  /* one of them changed */
	bool asked, running, ends;
	void (*fn)(void *arg);
	void *arg;
};

static struct {
	pthread_mutex_t lock; /* guards all below */
	struct fake_file file[FILE_MAX];
	unsigned nfiles, calls, fail_at, flushes;
	int error;
	bool held;
	pthread_cond_t released;
	unsigned busy; /* workers that run or were asked to */
	pthread_cond_t settled;
} files = {.lock = PTHREAD_MUTEX_INITIALIZER,
	   .released = PTHREAD_COND_INITIALIZER,
	   .settled = PTHREAD_COND_INITIALIZER};

void fake_file_reset(void)
{
	for (unsigned i = 0; i < files.nfiles; i++)
		free(files.file[i].bytes);
	memset(files.file, 0, sizeof(files.file));
	files.nfiles = files.calls = files.fail_at = files.flushes = 0;
	files.held = false;
}

static struct fake_file *file_find(const char *name)
{
	for (unsigned i = 0; i < files.nfiles; i++) {
		if (!strcmp(files.file[i].name, name))
			return &files.file[i];
	}
	return NULL;
}

void fake_file_add(const char *name, const void *bytes, size_t len, bool read_only)
{
	struct fake_file *f = &files.file[files.nfiles++];

	if (files.nfiles > FILE_MAX)
		abort();
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->read_only = read_only;
	f->bytes = malloc(len + 1);
	memcpy(f->bytes, bytes, len);
	f->len = len;
}

const void *fake_file_bytes(const char *name, size_t *len)
{
	struct fake_file *f = file_find(name);

	if (!f)
		abort();
	*len = f->len;
	return f->bytes;
}

void fake_file_fail_at(unsigned k, int error)
{
	pthread_mutex_lock(&files.lock);
	files.calls = 0;
	files.fail_at = k;
	files.error = error;
	pthread_mutex_unlock(&files.lock);
}

unsigned fake_file_flushes(void)
{
	return files.flushes;
}

void fake_worker_hold(bool hold)
{
	pthread_mutex_lock(&files.lock);
	files.held = hold;
	pthread_cond_broadcast(&files.released);
	pthread_mutex_unlock(&files.lock);
}

void fake_worker_settle(void)
{
	pthread_mutex_lock(&files.lock);
	while (files.busy)
		pthread_cond_wait(&files.settled, &files.lock);
	pthread_mutex_unlock(&files.lock);
}

static void file_count_busy(int n)
{
	pthread_mutex_lock(&files.lock);
	files.busy += (unsigned)n;
	pthread_cond_broadcast(&files.settled);
	pthread_mutex_unlock(&files.lock);
}

/* Begin one call on a file; the lock is held from here on. @return 0 or what it is to fail with */
static int file_begin(const char *op)
{
	fake_need_thread(op);
	pthread_mutex_lock(&files.lock);
	return ++files.calls == files.fail_at ? files.error : V3_OK;
}

static int file_end(int err)
{
	pthread_mutex_unlock(&files.lock);
	return err;
}

static int file_open(void *host_ctx, const char *name, bool write, void **file)
{
	struct fake_file *f;

	(void)host_ctx;
	fake_need_thread("file open");
	f = file_find(name);
	if (!f)
		return V3_ENOENT;
	if (write && f->read_only)
		return V3_EPERM;
	*file = f;
	fake_track(FAKE_FILE, (uintptr_t)f, 0);
	return V3_OK;
}

static void file_close(void *file)
{
	fake_need_thread("file close");
	fake_untrack(FAKE_FILE, (uintptr_t)file, 0);
}

static uint64_t file_size(void *file)
{
	return ((struct fake_file *)file)->len;
}

static int file_read(void *file, uint64_t offset, void *buf, size_t len)
{
	struct fake_file *f = file;
	int err = file_begin("file read");
	uint64_t n = offset < f->len ? f->len - offset : 0;

	if (err)
		return file_end(err);
	n = n < len ? n : len;
	memcpy(buf, f->bytes + (n ? offset : 0), n);
	memset((uint8_t *)buf + n, 0, len - n);
	return file_end(V3_OK);
}

static int file_put(struct fake_file *f, uint64_t offset, const void *buf, size_t len)
{
	if (f->read_only)
		fake_violation("%s was opened to be read, and is written", f->name);
	if (offset + len > f->len) {
		f->bytes = realloc(f->bytes, offset + len + 1);
		memset(f->bytes + f->len, 0, offset + len - f->len);
		f->len = offset + len;
	}
	if (buf)
		memcpy(f->bytes + offset, buf, len);
	else
		memset(f->bytes + offset, 0, len);
	return V3_OK;
}

static int file_write(void *file, uint64_t offset, const void *buf, size_t len)
{
	int err = file_begin("file write");

	return file_end(err ? err : file_put(file, offset, buf, len));
}

static int file_zero(void *file, uint64_t offset, uint64_t len)
{
	int err = file_begin("file zero");

	return file_end(err ? err : file_put(file, offset, NULL, len));
}

static int file_discard(void *file, uint64_t offset, uint64_t len)
{
	struct fake_file *f = file;
	int err = file_begin("file discard");

	if (!err && offset < f->len)
		err = file_put(f, offset, NULL, len < f->len - offset ? len : f->len - offset);
	return file_end(err);
}

static int file_flush(void *file)
{
	int err = file_begin("file flush");

	(void)file;
	if (!err)
		files.flushes++;
	return file_end(err);
}

/* ---- workers ---- */

static void worker_call(struct fake_worker *w)
{
	pthread_mutex_lock(&files.lock);
	while (files.held)
		pthread_cond_wait(&files.released, &files.lock);
	pthread_mutex_unlock(&files.lock);
	w->fn(w->arg);
}

static void *worker_main(void *arg)
{
	struct fake_worker *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->ends || w->asked) {
		if (!w->asked) {
			pthread_cond_wait(&w->cond, &w->lock);
			continue;
		}
		w->asked = false;
		w->running = true;
		pthread_mutex_unlock(&w->lock);
		worker_call(w);
		pthread_mutex_lock(&w->lock);
		w->running = false;
		if (!w->asked)
			file_count_busy(-1);
		pthread_cond_broadcast(&w->cond);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void *worker_create(void (*fn)(void *arg), void *arg)
{
	struct fake_worker *w;

	fake_need_thread("worker_create");
	if (!fake_grant(FAKE_THREAD))
		return NULL;
	w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->fn = fn;
	w->arg = arg;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	if (pthread_create(&w->id, NULL, worker_main, w))
		abort();
	fake_track(FAKE_THREAD, (uintptr_t)w, 0);
	return w;
}

static void worker_wake(void *worker)
{
	struct fake_worker *w = worker;

	pthread_mutex_lock(&w->lock);
	if (!w->asked && !w->running)
		file_count_busy(1);
	w->asked = true;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void worker_wait(void *worker)
{
	struct fake_worker *w = worker;

	fake_need_thread("worker_wait");
	pthread_mutex_lock(&w->lock);
	while (w->asked || w->running)
		pthread_cond_wait(&w->cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

static void worker_destroy(void *worker)
{
	struct fake_worker *w = worker;

	fake_need_thread("worker_destroy");
	fake_untrack(FAKE_THREAD, (uintptr_t)w, 0);
	pthread_mutex_lock(&w->lock);
	w->ends = true;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->id, NULL);
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

const struct v3_host_file_ops fake_file_ops = {
	.open = file_open,
	.close = file_close,
	.size = file_size,
	.read = file_read,
	.write = file_write,
	.zero = file_zero,
	.discard = file_discard,
	.flush = file_flush,
	.worker_create = worker_create,
	.worker_wake = worker_wake,
	.worker_wait = worker_wait,
	.worker_destroy = worker_destroy,
};
