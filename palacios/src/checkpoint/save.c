/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file save.c
 * Writes and reads state by tables of fields (palacios/save.h). One walk goes over all structures that a table
 * reaches, outer before inner ones, members in their order; writing and reading are what they do at each step.
 * vm/device.c calls it for devices.
 */
#include "palacios/save.h"

#include "palacios/error.h"
#include "palacios/timer.h"
#include "palacios/util/fmt.h"
#include "palacios/util/str.h"

#define SAVE_TIMER_LEN 9  /* armed, deadline */
#define SAVE_CHUNK_LEN 8u /* its number */

enum save_step {
	SAVE_ENTER, /* a structure begins */
	SAVE_FIELD,
	SAVE_LEAVE, /* all of a structure has been met */
	SAVE_DONE,
};

struct save_level {
	const struct v3_save_table *table;
	const struct v3_save_field *field; /* being walked */
	uint8_t *state;
	uint32_t next, n; /* its elements */
	size_t path_len;  /* of the structure */
};

struct save_walk {
	struct save_level level[V3_SAVE_DEPTH];
	unsigned depth;
	char path[V3_SAVE_PATH];
	/* The step: a field's bytes or timer, or a structure. */
	const struct v3_save_field *field;
	const struct v3_save_table *table;
	void *at;
	uint32_t len;
};

/* ---- the walk ---- */

static uint32_t save_count(const struct save_level *l)
{
	const struct v3_save_field *f = l->field;
	uint32_t n = 0;

	switch (f->kind) {
	case V3_SAVE_KIND_NOT:
		return 0;
	case V3_SAVE_KIND_PARTS:
		return f->size / f->table->size;
	case V3_SAVE_KIND_PARTS_AT:
		return f->size / sizeof(void *);
	case V3_SAVE_KIND_PARTS_N:
		memcpy(&n, l->state + f->count_offset, f->count_size);
		return n;
	case V3_SAVE_KIND_BYTES:
	case V3_SAVE_KIND_BOOLS:
	case V3_SAVE_KIND_BYTES_AT:
	case V3_SAVE_KIND_BYTES_N:
	case V3_SAVE_KIND_TIMER:
		break;
	}
	return 1;
}

static void *save_pointer(const void *at)
{
	void *p;

	memcpy(&p, at, sizeof(p));
	return p;
}

/* Where element @p i of the level's field is; NULL: there is none. */
static void *save_element(const struct save_level *l, uint32_t i)
{
	const struct v3_save_field *f = l->field;
	uint8_t *at = l->state + f->offset;

	switch (f->kind) {
	case V3_SAVE_KIND_PARTS:
	case V3_SAVE_KIND_PARTS_N:
		return at + (size_t)i * f->table->size;
	case V3_SAVE_KIND_PARTS_AT:
		return save_pointer(at + i * sizeof(void *));
	case V3_SAVE_KIND_BYTES_AT:
	case V3_SAVE_KIND_TIMER:
		return save_pointer(at);
	case V3_SAVE_KIND_NOT:
	case V3_SAVE_KIND_BYTES:
	case V3_SAVE_KIND_BOOLS:
	case V3_SAVE_KIND_BYTES_N:
		break;
	}
	return at;
}

static uint32_t save_len(const struct save_level *l)
{
	const struct v3_save_field *f = l->field;
	uint32_t n = 0;

	if (f->kind == V3_SAVE_KIND_TIMER)
		return SAVE_TIMER_LEN;
	if (f->kind != V3_SAVE_KIND_BYTES_N)
		return f->size;
	memcpy(&n, l->state + f->count_offset, f->count_size);
	return n * f->size;
}

static enum save_step save_enter(struct save_walk *w, const struct v3_save_table *table,
				 void *state)
{
	w->level[w->depth++] = (struct save_level){.table = table,
						   .field = table->fields,
						   .state = state,
						   .path_len = v3_strlen(w->path)};
	w->table = table;
	w->at = state;
	return SAVE_ENTER;
}

static void save_path(struct save_walk *w, const struct save_level *l, uint32_t i)
{
	char *end = w->path + l->path_len;
	size_t room = sizeof(w->path) - l->path_len;

	if (l->n > 1)
		v3_snprintf(end, room, ".%s[%u]", l->field->name, i);
	else
		v3_snprintf(end, room, ".%s", l->field->name);
}

/* The next element of the level's members. @return false: there are no more */
static bool save_advance(struct save_level *l, uint32_t *i, void **at)
{
	for (; l->field->name; l->field++, l->next = 0) {
		if (!l->next)
			l->n = save_count(l);
		while (l->next < l->n) {
			*i = l->next++;
			*at = save_element(l, *i);
			if (*at)
				return true;
		}
	}
	return false;
}

static enum save_step save_step(struct save_walk *w)
{
	struct save_level *l;
	uint32_t i;
	void *at;

	if (!w->depth)
		return SAVE_DONE;
	l = &w->level[w->depth - 1];
	if (!save_advance(l, &i, &at)) {
		w->path[l->path_len] = '\0';
		w->table = l->table;
		w->at = l->state;
		w->depth--;
		return SAVE_LEAVE;
	}
	save_path(w, l, i);
	if (l->field->table)
		return save_enter(w, l->field->table, at);
	w->field = l->field;
	w->at = at;
	w->len = save_len(l);
	return SAVE_FIELD;
}

static void save_begin(struct save_walk *w, const char *name)
{
	w->depth = 0;
	v3_strlcpy(w->path, name, sizeof(w->path));
}

/* ---- writing ---- */

static void save_put(struct v3_save_buf *buf, const void *bytes, size_t len)
{
	if (buf->data && buf->pos <= buf->size && len <= buf->size - buf->pos)
		memcpy(buf->data + buf->pos, bytes, len);
	buf->pos += len;
}

static void save_timer_bytes(const struct v3_timer *timer, uint8_t bytes[SAVE_TIMER_LEN])
{
	bool armed = v3_timer_armed(timer);
	uint64_t deadline = armed ? v3_timer_deadline(timer) : 0;

	bytes[0] = armed;
	memcpy(bytes + 1, &deadline, sizeof(deadline));
}

static void save_put_header(const struct save_walk *w, struct v3_save_buf *buf, uint32_t len)
{
	uint16_t path_len = (uint16_t)v3_strlen(w->path);

	save_put(buf, &path_len, sizeof(path_len));
	save_put(buf, w->path, path_len);
	save_put(buf, &len, sizeof(len));
}

static void save_put_field(const struct save_walk *w, struct v3_save_buf *buf)
{
	uint8_t timer[SAVE_TIMER_LEN];
	const void *bytes = w->at;

	if (w->field->kind == V3_SAVE_KIND_TIMER) {
		save_timer_bytes(w->at, timer);
		bytes = timer;
	}
	save_put_header(w, buf, w->len);
	save_put(buf, bytes, w->len);
}

/* Chunks of the structure that has been met, if it has any. */
static const struct v3_save_chunks *save_chunks(const struct save_walk *w)
{
	return w->table->chunks ? w->table->chunks(w->at) : NULL;
}

static void save_put_chunks(const struct save_walk *w, struct v3_save_buf *buf)
{
	const struct v3_save_chunks *chunks = save_chunks(w);
	struct v3_save_chunk c = {.number = 0};

	for (; chunks && chunks->next(w->at, &c); c.number++) {
		uint32_t size = c.bytes ? chunks->size : 0;

		save_put_header(w, buf, SAVE_CHUNK_LEN + size);
		save_put(buf, &c.number, SAVE_CHUNK_LEN);
		if (c.bytes)
			save_put(buf, c.bytes, size);
	}
	if (chunks)
		save_put_header(w, buf, 0);
}

void v3_save_settle(const struct v3_save_table *table, void *state)
{
	struct save_walk w;
	enum save_step step;

	save_begin(&w, "");
	for (step = save_enter(&w, table, state); step != SAVE_DONE; step = save_step(&w))
		if (step == SAVE_ENTER && w.table->settle)
			w.table->settle(w.at);
}

int v3_save_write(const struct v3_save_table *table, const char *name, void *state,
		  struct v3_save_buf *buf)
{
	struct save_walk w;
	enum save_step step;

	save_begin(&w, name);
	for (step = save_enter(&w, table, state); step != SAVE_DONE; step = save_step(&w)) {
		if (step == SAVE_FIELD)
			save_put_field(&w, buf);
		else if (step == SAVE_LEAVE)
			save_put_chunks(&w, buf);
	}
	return buf->pos > buf->size ? V3_ENOSPC : V3_OK;
}

/* ---- reading ---- */

/* The next @p len bytes; NULL: there are not as many. */
static const uint8_t *save_get(struct v3_save_buf *buf, size_t len)
{
	const uint8_t *at;

	if (buf->pos > buf->size || len > buf->size - buf->pos)
		return NULL;
	at = buf->data + buf->pos;
	buf->pos += len;
	return at;
}

static int save_complain(const struct save_walk *w, struct v3_save_buf *buf, const char *what)
{
	v3_snprintf(buf->why, sizeof(buf->why), "%s: %s", w->path, what);
	return V3_EINVAL;
}

static void save_load_timer(struct v3_timer *timer, const uint8_t *bytes)
{
	uint64_t deadline;

	memcpy(&deadline, bytes + 1, sizeof(deadline));
	if (bytes[0])
		v3_timer_arm(timer, deadline);
	else
		v3_timer_cancel(timer);
}

static bool save_are_bools(const uint8_t *bytes, uint32_t len)
{
	while (len--)
		if (*bytes++ > 1)
			return false;
	return true;
}

static int save_load_field(const struct save_walk *w, struct v3_save_buf *buf, const uint8_t *at)
{
	if (w->field->kind == V3_SAVE_KIND_TIMER)
		save_load_timer(w->at, at);
	else if (w->field->kind == V3_SAVE_KIND_BOOLS && !save_are_bools(at, w->len))
		return save_complain(w, buf, "it is neither true nor false");
	else
		memcpy(w->at, at, w->len);
	return V3_OK;
}

static int save_get_header(const struct save_walk *w, struct v3_save_buf *buf, uint32_t *len)
{
	const uint8_t *at = save_get(buf, sizeof(uint16_t));
	size_t path_len = v3_strlen(w->path);
	uint16_t found;

	if (!at)
		return save_complain(w, buf, "the saved state ends before this field");
	memcpy(&found, at, sizeof(found));
	at = save_get(buf, found);
	if (!at || found != path_len || memcmp(at, w->path, path_len))
		return save_complain(
			w, buf, "another field stands in its place: another version or definition");
	at = save_get(buf, sizeof(*len));
	if (!at)
		return save_complain(w, buf, "the saved state ends before its length");
	memcpy(len, at, sizeof(*len));
	return V3_OK;
}

static int save_get_field(const struct save_walk *w, struct v3_save_buf *buf)
{
	const uint8_t *at;
	uint32_t len;
	int err;

	err = save_get_header(w, buf, &len);
	if (err)
		return err;
	if (len != w->len)
		return save_complain(w, buf,
				     "it has another length: another version or definition");
	at = save_get(buf, len);
	if (!at)
		return save_complain(w, buf, "the saved state ends within this field");
	return save_load_field(w, buf, at);
}

/* @param len  bytes of a chunk's record, not 0 */
static int save_get_chunk(const struct save_walk *w, struct v3_save_buf *buf,
			  const struct v3_save_chunks *chunks, uint32_t len)
{
	const uint8_t *at = save_get(buf, len);
	struct v3_save_chunk c = {.bytes = NULL};
	int err;

	if (!at || (len != SAVE_CHUNK_LEN && len != SAVE_CHUNK_LEN + chunks->size))
		return save_complain(w, buf, "it has a chunk of a wrong length, or cut off");
	memcpy(&c.number, at, SAVE_CHUNK_LEN);
	if (len > SAVE_CHUNK_LEN)
		c.bytes = at + SAVE_CHUNK_LEN;
	err = chunks->put(w->at, &c);
	return err ? save_complain(w, buf, v3_strerror(err)) : V3_OK;
}

static int save_get_chunks(const struct save_walk *w, struct v3_save_buf *buf)
{
	const struct v3_save_chunks *chunks = save_chunks(w);
	uint32_t len;
	int err;

	if (!chunks)
		return V3_OK;
	chunks->clear(w->at);
	for (;;) {
		err = save_get_header(w, buf, &len);
		if (!err && len)
			err = save_get_chunk(w, buf, chunks, len);
		if (err || !len)
			return err;
	}
}

/* All of a structure has been loaded. */
static int save_end(const struct save_walk *w, struct v3_save_buf *buf)
{
	int err = save_get_chunks(w, buf);

	if (!err && w->table->loaded && w->table->loaded(w->at) != V3_OK)
		err = save_complain(w, buf, "the device cannot be in such a state");
	return err;
}

int v3_save_read(const struct v3_save_table *table, const char *name, void *state,
		 struct v3_save_buf *buf)
{
	struct save_walk w;
	enum save_step step;
	int err = V3_OK;

	save_begin(&w, name);
	for (step = save_enter(&w, table, state); step != SAVE_DONE && err == V3_OK;
	     step = save_step(&w)) {
		if (step == SAVE_FIELD)
			err = save_get_field(&w, buf);
		else if (step == SAVE_LEAVE)
			err = save_end(&w, buf);
	}
	return err;
}
