/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fake_console.c
 * The optional console group: named streams that keep what is written and give what a test feeds.
 */
#include "fake_priv.h"

#define CONSOLE_MAX   128
#define CONSOLE_NAMES 8

/* One stream per name and embedder's pointer: each VM has its own, which several devices may
 * open. */
struct fake_stream {
	char name[32];
	const void *ctx;
	bool exists;
	char *out; /* owned */
	size_t nout, limit;
	char *in; /* owned */
	size_t nin, taken;
};

/* What open() returns. */
struct fake_handle {
	struct fake_handle *next;
	struct fake_stream *stream;
	void (*ready)(void *arg);
	void *arg;
};

static struct {
	pthread_mutex_t lock; /* guards all below */
	struct fake_stream stream[CONSOLE_MAX];
	char name[CONSOLE_NAMES][32]; /* that may be opened */
	unsigned nnames;
	struct fake_handle *handles;
	char *text; /* owned: last result of fake_console_output() */
} con = {.lock = PTHREAD_MUTEX_INITIALIZER};

void fake_console_reset(void)
{
	for (int i = 0; i < CONSOLE_MAX; i++) {
		free(con.stream[i].out);
		free(con.stream[i].in);
	}
	memset(con.stream, 0, sizeof(con.stream));
	con.nnames = 0;
	con.handles = NULL; /* what a failed test left is forgotten */
	fake_console_add("console");
}

/* The stream of @p ctx; NULL: of the VM that used the name first. Made when it is used first. */
static struct fake_stream *console_get(const void *ctx, const char *name)
{
	struct fake_stream *s, *unused = NULL;
	unsigned i;

	for (i = 0; i < con.nnames && strcmp(con.name[i], name); i++)
		;
	if (i == con.nnames)
		return NULL;
	for (s = con.stream; s < con.stream + CONSOLE_MAX; s++) {
		if (s->exists && !strcmp(s->name, name) && (!ctx || !s->ctx || s->ctx == ctx))
			break;
		if (!s->exists && !unused)
			unused = s;
	}
	if (s == con.stream + CONSOLE_MAX) {
		s = unused;
		if (!s)
			abort();
		snprintf(s->name, sizeof(s->name), "%s", name);
		s->exists = true;
		s->limit = SIZE_MAX;
	}
	if (ctx)
		s->ctx = ctx; /* what a test set up before the VM existed is the VM's */
	return s;
}

static struct fake_stream *console_must_find(const char *name)
{
	struct fake_stream *s = console_get(NULL, name);

	if (!s) {
		fprintf(stderr, "fake host: no stream \"%s\"\n", name);
		abort();
	}
	return s;
}

void fake_console_add(const char *name)
{
	if (con.nnames == CONSOLE_NAMES)
		abort();
	snprintf(con.name[con.nnames++], sizeof(con.name[0]), "%s", name);
}

static const char *console_text(const struct fake_stream *s)
{
	pthread_mutex_lock(&con.lock);
	free(con.text);
	con.text = calloc(1, s->nout + 1);
	if (con.text && s->nout)
		memcpy(con.text, s->out, s->nout);
	pthread_mutex_unlock(&con.lock);
	return con.text;
}

const char *fake_console_output(const char *name)
{
	return console_text(console_must_find(name));
}

const char *fake_console_output_of(const void *host_ctx, const char *name)
{
	return console_text(console_get(host_ctx, name));
}

void fake_console_limit(const char *name, size_t bytes)
{
	console_must_find(name)->limit = bytes;
}

void fake_console_room_of(const void *host_ctx, const char *name, size_t bytes)
{
	struct fake_stream *s = console_get(host_ctx, name);

	s->limit = s->nout + bytes;
}

/* An owned copy of @p len bytes. */
static char *console_copy(const char *bytes, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		abort();
	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

void fake_console_move(const void *from_ctx, const void *to_ctx, const char *name)
{
	const struct fake_stream *from = console_get(from_ctx, name);
	struct fake_stream *to = console_get(to_ctx, name);

	free(to->in);
	free(to->out);
	to->in = console_copy(from->in, from->nin);
	to->nin = from->nin;
	to->taken = from->taken;
	to->out = console_copy(from->out, from->nout);
	to->nout = from->nout;
	to->limit = from->limit;
}

bool fake_console_same(const void *ctx, const void *other_ctx, const char *name)
{
	const struct fake_stream *a = console_get(ctx, name), *b = console_get(other_ctx, name);

	return a->nout == b->nout && (!a->nout || !memcmp(a->out, b->out, a->nout)) &&
	       a->nin - a->taken == b->nin - b->taken;
}

static void console_feed(struct fake_stream *s, const char *text)
{
	size_t len = strlen(text);
	char *in;

	pthread_mutex_lock(&con.lock);
	in = realloc(s->in, s->nin + len + 1);
	if (!in)
		abort();
	memcpy(in + s->nin, text, len);
	s->in = in;
	s->nin += len;
	/* "Context: any"; the devices do not go away while their VM is fed. */
	fake_self.irq++;
	for (struct fake_handle *h = con.handles; h; h = h->next) {
		if (h->stream == s && h->ready)
			h->ready(h->arg);
	}
	fake_self.irq--;
	pthread_mutex_unlock(&con.lock);
}

void fake_console_feed(const char *name, const char *text)
{
	console_feed(console_must_find(name), text);
}

void fake_console_feed_of(const void *host_ctx, const char *name, const char *text)
{
	console_feed(console_get(host_ctx, name), text);
}

size_t fake_console_unread(const char *name)
{
	struct fake_stream *s = console_must_find(name);

	return s->nin - s->taken;
}

static void *console_open(void *host_ctx, const char *name, void (*ready)(void *arg), void *arg)
{
	struct fake_stream *s = console_get(host_ctx, name);
	struct fake_handle *h;

	fake_need_thread("console open");
	if (!s)
		return NULL;
	h = calloc(1, sizeof(*h));
	if (!h)
		abort();
	h->stream = s;
	h->ready = ready;
	h->arg = arg;
	pthread_mutex_lock(&con.lock);
	h->next = con.handles;
	con.handles = h;
	pthread_mutex_unlock(&con.lock);
	fake_track(FAKE_STREAM, (uintptr_t)h, 0);
	return h;
}

static void console_close(void *stream)
{
	struct fake_handle *h = stream, **pos;

	fake_need_thread("console close");
	if (!fake_untrack(FAKE_STREAM, (uintptr_t)h, 0))
		return;
	pthread_mutex_lock(&con.lock);
	for (pos = &con.handles; *pos != h; pos = &(*pos)->next)
		;
	*pos = h->next;
	pthread_mutex_unlock(&con.lock);
	free(h);
}

static size_t console_write(void *stream, const void *buf, size_t len)
{
	struct fake_stream *s = ((struct fake_handle *)stream)->stream;
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
	struct fake_stream *s = ((struct fake_handle *)stream)->stream;

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
