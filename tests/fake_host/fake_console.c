/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_console.c
 * The optional console group: named streams that keep what is written and give what a test feeds.
 */
#include "fake_priv.h"

#define CONSOLE_MAX 8

struct fake_stream {
	char name[32];
	bool exists, opened;
	char *out; /* owned */
	size_t nout, limit;
	char *in; /* owned */
	size_t nin, taken;
	void (*ready)(void *arg);
	void *arg;
};

static struct {
	pthread_mutex_t lock; /* guards all below; not held while ready() runs */
	struct fake_stream stream[CONSOLE_MAX];
	char *text; /* owned: last result of fake_console_output() */
} con = { .lock = PTHREAD_MUTEX_INITIALIZER };

void fake_console_reset(void)
{
	for (int i = 0; i < CONSOLE_MAX; i++) {
		free(con.stream[i].out);
		free(con.stream[i].in);
	}
	memset(con.stream, 0, sizeof(con.stream));
	fake_console_add("console");
}

static struct fake_stream *console_find(const char *name)
{
	for (int i = 0; i < CONSOLE_MAX; i++) {
		if (con.stream[i].exists && !strcmp(con.stream[i].name, name))
			return &con.stream[i];
	}
	return NULL;
}

static struct fake_stream *console_must_find(const char *name)
{
	struct fake_stream *s = console_find(name);

	if (!s) {
		fprintf(stderr, "fake host: no stream \"%s\"\n", name);
		abort();
	}
	return s;
}

void fake_console_add(const char *name)
{
	for (int i = 0; i < CONSOLE_MAX; i++) {
		struct fake_stream *s = &con.stream[i];

		if (s->exists)
			continue;
		snprintf(s->name, sizeof(s->name), "%s", name);
		s->exists = true;
		s->limit = SIZE_MAX;
		return;
	}
	abort();
}

const char *fake_console_output(const char *name)
{
	struct fake_stream *s = console_must_find(name);

	pthread_mutex_lock(&con.lock);
	free(con.text);
	con.text = calloc(1, s->nout + 1);
	if (con.text && s->nout)
		memcpy(con.text, s->out, s->nout);
	pthread_mutex_unlock(&con.lock);
	return con.text;
}

void fake_console_limit(const char *name, size_t bytes)
{
	console_must_find(name)->limit = bytes;
}

void fake_console_feed(const char *name, const char *text)
{
	struct fake_stream *s = console_must_find(name);
	void (*ready)(void *arg);
	size_t len = strlen(text);
	void *arg;
	char *in;

	pthread_mutex_lock(&con.lock);
	in = realloc(s->in, s->nin + len + 1);
	if (!in)
		abort();
	memcpy(in + s->nin, text, len);
	s->in = in;
	s->nin += len;
	ready = s->opened ? s->ready : NULL;
	arg = s->arg;
	pthread_mutex_unlock(&con.lock);
	if (ready) {
		fake_self.irq++; /* "context: any" */
		ready(arg);
		fake_self.irq--;
	}
}

size_t fake_console_unread(const char *name)
{
	struct fake_stream *s = console_must_find(name);

	return s->nin - s->taken;
}

static void *console_open(void *host_ctx, const char *name, void (*ready)(void *arg), void *arg)
{
	struct fake_stream *s = console_find(name);

	(void)host_ctx;
	fake_need_thread("console open");
	if (!s)
		return NULL;
	if (s->opened)
		fake_violation("stream \"%s\" opened twice", name);
	s->opened = true;
	s->ready = ready;
	s->arg = arg;
	fake_track(FAKE_STREAM, (uintptr_t)s, 0);
	return s;
}

static void console_close(void *stream)
{
	struct fake_stream *s = stream;

	fake_need_thread("console close");
	if (!fake_untrack(FAKE_STREAM, (uintptr_t)s, 0))
		return;
	pthread_mutex_lock(&con.lock);
	s->opened = false;
	pthread_mutex_unlock(&con.lock);
}

static size_t console_write(void *stream, const void *buf, size_t len)
{
	struct fake_stream *s = stream;
	char *out;

	fake_need_atomic("console write");
	pthread_mutex_lock(&con.lock);
	if (len > s->limit - s->nout)
		len = s->limit - s->nout;
	out = realloc(s->out, s->nout + len + 1);
	if (!out)
		abort();
	memcpy(out + s->nout, buf, len);
	s->out = out;
	s->nout += len;
	pthread_mutex_unlock(&con.lock);
	return len;
}

static size_t console_read(void *stream, void *buf, size_t len)
{
	struct fake_stream *s = stream;

	fake_need_atomic("console read");
	pthread_mutex_lock(&con.lock);
	if (len > s->nin - s->taken)
		len = s->nin - s->taken;
	if (len)
		memcpy(buf, s->in + s->taken, len);
	s->taken += len;
	pthread_mutex_unlock(&con.lock);
	return len;
}

const struct v3_host_console_ops fake_console_ops = {
	.open = console_open,
	.close = console_close,
	.write = console_write,
	.read = console_read,
};
