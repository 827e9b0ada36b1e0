/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_save_devices.c
 * Twins: a PC is driven at random, its devices' state is loaded into a second one, and from then on both are driven
 * alike and must answer alike. Then the same with saved bytes that somebody has tampered with, where the sanitizers
 * judge.
 */
#include "fake_vm.h"
#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/save.h"
#include "palacios/timer.h"
#include "palacios/vm.h"
#include "state.h"
#include "tap.h"
#include "twin_drive.h"
#include "vm/vm.h"

#define TWIN_RAM_MB 2
#define TWIN_STEPS  400
#define TWIN_ROUNDS 8

static struct v3_vm *twin[2];

static bool twins_open(const struct twin_case *c)
{
	char text[2048];

	for (unsigned i = 1; i < V3_ARRAY_SIZE(streams) && c == cases; i++)
		fake_console_add(streams[i]);
	snprintf(text, sizeof(text), "%s%s", fake_pc_toml(2, TWIN_RAM_MB), c->devices);
	for (unsigned i = 0; i < 2; i++) {
		if (!CHECK_EQ(fake_vm_create(text, NULL, 0, &twin[i]), V3_OK))
			return false;
		v3_log_set_level(twin[i], V3_LOG_ERR);
	}
	v3_time_continue(twin[0]);
	return true;
}

static void twins_close(void)
{
	for (unsigned i = 0; i < 2; i++) {
		fake_vm_destroy(twin[i]);
		twin[i] = NULL;
	}
}

/* ---- both alike ---- */

/* Time for a few interrupts, now and then for an update of the clock, seldom for the longest counter to turn. */
static void any_time(void)
{
	uint64_t r = tap_rand(), most = 2000000;

	if (r % 16 == 0)
		most = r & 0x100 ? 2000000000ull : 700000000000ull;
	fake_clock_advance((r >> 16) % most);
}

static void drive_one(const struct twin_case *c)
{
	struct step s = any_step(c);
	int vector[2];

	do_step(twin[0], &s);
	if (tap_rand() & 1)
		return;
	any_time();
	world(twin[0], vector, tap_rand() & 1);
}

static unsigned ninterrupts; /* that both got */
static char difference[256]; /* what drive_both() has found */

/* @return false: they differ */
static bool drive_both(const struct twin_case *c, unsigned step)
{
	struct step s = any_step(c);
	uint64_t a = do_step(twin[0], &s), b = do_step(twin[1], &s);
	int va[2], vb[2];
	bool end;

	snprintf(difference, sizeof(difference), "%s, step %u: %s %u:%#x size %u: %#llx and %#llx",
		 c->name, step, s.write ? "write" : "read", s.space, s.at, s.size,
		 (unsigned long long)a, (unsigned long long)b);
	if (a != b)
		return false;
	if (tap_rand() & 1)
		return true;
	any_time();
	end = tap_rand() & 1;
	world(twin[0], va, end);
	world(twin[1], vb, end);
	ninterrupts += (va[0] >= 0) + (va[1] >= 0);
	snprintf(difference, sizeof(difference), "%s, step %u: interrupts %d, %d and %d, %d",
		 c->name, step, va[0], va[1], vb[0], vb[1]);
	return va[0] == vb[0] && va[1] == vb[1];
}

static bool same_streams(void)
{
	snprintf(difference, sizeof(difference), "streams");
	for (unsigned i = 0; i < NSAME; i++)
		if (!fake_console_same(twin[0]->host_ctx, twin[1]->host_ctx, streams[i]))
			return false;
	return true;
}

static bool drive_alike(const struct twin_case *c)
{
	static const uint8_t odds[] = {0, 2, 8};
	bool alike = true;

	quiet_steps = QUIET_STEPS;
	quiet_odds = odds[tap_rand() % V3_ARRAY_SIZE(odds)];
	both_driven = true;
	for (unsigned i = 0; i < TWIN_STEPS && alike; i++)
		alike = drive_both(c, i);
	both_driven = false;
	return alike && same_streams();
}

/* ---- from one to the other ---- */

static uint8_t *image;
static size_t image_len;

static bool save(struct v3_vm *vm)
{
	struct v3_save_buf buf = {.data = NULL};

	CHECK_EQ(v3_devices_save(vm, &buf), V3_ENOSPC);
	free(image);
	image_len = buf.pos;
	image = malloc(image_len);
	buf = (struct v3_save_buf){.data = image, .size = image_len};
	return CHECK_EQ(v3_devices_save(vm, &buf), V3_OK) && CHECK_EQ(buf.pos, image_len);
}

static void copy_memory(void)
{
	static uint8_t page[V3_PAGE_SIZE];

	for (v3_gpa_t gpa = 0; gpa < (v3_gpa_t)TWIN_RAM_MB << 20; gpa += sizeof(page))
		if (v3_mem_read(twin[0], gpa, page, sizeof(page)) == V3_OK)
			v3_mem_write(twin[1], gpa, page, sizeof(page));
}

/* What the host has for the first one it now has for the second one, and says so to both. */
static void move_streams(void)
{
	for (unsigned i = 0; i < NSAME; i++)
		fake_console_move(twin[0]->host_ctx, twin[1]->host_ctx, streams[i]);
	for (unsigned i = 0; i < NSAME; i++)
		for (unsigned t = 0; t < 2; t++)
			fake_console_feed_of(twin[t]->host_ctx, streams[i], "");
}

/* The second twin is switched on at the time of the first one, which stands still. */
static void twin_on(void)
{
	v3_time_pause(twin[0]);
	if (!twin[1]->time.paused)
		v3_time_pause(twin[1]);
	twin[1]->time.paused_ns = twin[0]->time.paused_ns;
	CHECK_EQ(v3_vm_power_on(twin[1]), V3_OK);
	fake_service(twin[1]);
	copy_memory();
}

/* It becomes what the image says. @return false: it refuses */
static bool twin_load(void)
{
	struct v3_save_buf buf = {.data = image, .size = image_len};
	bool taken = v3_devices_load(twin[1], &buf) == V3_OK;

	snprintf(difference, sizeof(difference), "%s", buf.why);
	move_streams();
	v3_time_continue(twin[0]);
	v3_time_continue(twin[1]);
	forget_wishes(twin[1]);
	return taken;
}

static bool become(void)
{
	twin_on();
	return save(twin[0]) && CHECK_MSG(twin_load(), "%s", difference);
}

/* ---- fields of an image ---- */

struct field {
	uint16_t path_len;
	const char *path; /* not terminated */
	uint32_t len;
	uint8_t *bytes;
};

/* The field at @p at of an image. @return where the next one is */
static size_t field_at(uint8_t *from, size_t at, struct field *f)
{
	memcpy(&f->path_len, from + at, sizeof(f->path_len));
	f->path = (const char *)from + at + sizeof(f->path_len);
	return (size_t)(save_record(from + at, &f->bytes, &f->len) - from);
}

/* The path without the number of the device. */
static void field_name(const struct field *f, char name[V3_SAVE_PATH])
{
	const char *number = memchr(f->path, '#', f->path_len);
	const char *rest = memchr(f->path, '.', f->path_len);

	if (!rest) /* contents in bulk */
		rest = f->path + f->path_len;
	snprintf(name, V3_SAVE_PATH, "%.*s%.*s", (int)(number - f->path), f->path,
		 (int)(f->path + f->path_len - rest), rest);
}

/* Are both twins in the same state, @p but for a field (its name, "": for none)? */
static bool same_state(const char *but)
{
	char name[V3_SAVE_PATH];
	struct field f, g;
	uint8_t *first;
	bool same = true;

	v3_time_pause(twin[0]);
	v3_time_pause(twin[1]);
	save(twin[0]);
	first = image;
	image = NULL;
	save(twin[1]);
	for (size_t at = 0; at < image_len && same;) {
		field_at(first, at, &f);
		at = field_at(image, at, &g);
		field_name(&f, name);
		same = !memcmp(f.bytes, g.bytes, f.len) || !strcmp(name, but);
	}
	free(first);
	v3_time_continue(twin[0]);
	v3_time_continue(twin[1]);
	if (!same)
		snprintf(difference, sizeof(difference), "state: %s", name);
	return same;
}

static void twins(const struct twin_case *c)
{
	REQUIRE(twins_open(c));
	ninterrupts = 0;
	for (unsigned round = 0; round < TWIN_ROUNDS && !tap.failures; round++) {
		for (unsigned i = 0; i < TWIN_STEPS; i++)
			drive_one(c);
		if (!become())
			return;
		CHECK_MSG(same_state("") && drive_alike(c) && same_state(""), "%s: %s", c->name,
			  difference);
	}
	CHECK_MSG(c->quiet || ninterrupts, "%s: never an interrupt", c->name);
	twins_close();
}

/* ---- each field counts ---- */

#define FIELDS 512
#define FIELD_TRIES                                                                                \
	24 /* per case; FIELD_TRIES=1000 in the environment lists the fields never noticed */

static struct {
	char name[V3_SAVE_PATH];
	bool differed; /* from what it is after power-on */
	bool noticed;  /* without it twins differed */
} known[FIELDS];
static unsigned nknown;

static unsigned field_known(const struct field *f)
{
	char name[V3_SAVE_PATH];
	unsigned i = 0;

	field_name(f, name);
	while (i < nknown && strcmp(known[i].name, name))
		i++;
	if (i == nknown && ++nknown > FIELDS)
		abort();
	strcpy(known[i].name, name);
	return i;
}

/* Number @p skip of the fields of the case's device that say something and have not been noticed yet becomes as after power-on. @return
 * which it is, -1: none */
static int forget_one(const struct twin_case *c, uint8_t *fresh, unsigned skip)
{
	size_t len = strlen(c->name);
	struct field f, g;

	for (size_t at = 0; at < image_len;) {
		unsigned k;

		field_at(fresh, at, &g);
		at = field_at(image, at, &f);
		k = field_known(&f);
		if (strncmp(known[k].name, c->name, len) || !memcmp(f.bytes, g.bytes, f.len))
			continue;
		known[k].differed = true;
		if (known[k].noticed || skip--)
			continue;
		memcpy(f.bytes, g.bytes, f.len);
		return (int)k;
	}
	return -1;
}

/* @return false: there is nothing left to forget */
static bool try_without(const struct twin_case *c, unsigned skip)
{
	uint8_t *fresh;
	bool alike;
	int k;

	twin_on();
	save(twin[1]);
	fresh = image;
	image = NULL;
	save(twin[0]);
	k = forget_one(c, fresh, skip);
	free(fresh);
	alike = twin_load() && drive_alike(c) && same_state(k < 0 ? "" : known[k].name);
	if (k >= 0 && !alike)
		known[k].noticed = true;
	return k >= 0;
}

static void each_field(const struct twin_case *c, unsigned ntries)
{
	unsigned skip = 0;

	REQUIRE(twins_open(c));
	for (unsigned tries = 0; tries < ntries && !tap.failures; tries++) {
		for (unsigned i = 0; i < TWIN_STEPS; i++)
			drive_one(c);
		skip = try_without(c, skip) ? skip + 1 : 0;
	}
	twins_close();
}

/* ---- state that no device was ever in ---- */

static void hostile(const struct twin_case *c)
{
	struct v3_save_buf buf;
	unsigned taken = 0;

	REQUIRE(twins_open(c));
	for (unsigned round = 0; round < 40 && !tap.failures; round++) {
		for (unsigned i = 0; i < TWIN_STEPS / 8; i++)
			drive_one(c);
		v3_time_pause(twin[0]);
		REQUIRE(save(twin[0]));
		save_tamper(image, image_len, 2 + (unsigned)(tap_rand() % 200));
		if (tap_rand() % 8 == 0)
			image_len = tap_rand() % image_len;
		buf = (struct v3_save_buf){.data = image, .size = image_len};
		taken += v3_devices_load(twin[0], &buf) == V3_OK;
		v3_time_continue(twin[0]);
		forget_wishes(twin[0]);
	}
	CHECK_MSG(taken, "%s: never taken", c->name);
	twins_close();
}

static void test_save_devices_twins(void)
{
	for (unsigned i = 0; i < NCASES; i++)
		twins(&cases[i]);
	free(image);
	image = NULL;
}

/* Twins that lack a field are told apart, given time: most fields are found in a short one. */
static void test_save_devices_each_field(void)
{
	const char *more_tries = getenv("FIELD_TRIES");
	unsigned ntries = more_tries ? (unsigned)atoi(more_tries) : FIELD_TRIES;
	unsigned ndiffered = 0, nnoticed = 0;

	for (unsigned i = 0; i < CASE_ALL; i++)
		each_field(&cases[i], ntries);
	for (unsigned k = 0; k < nknown; k++) {
		ndiffered += known[k].differed;
		nnoticed += known[k].noticed;
		if (more_tries && !known[k].noticed)
			printf("# %s: %s\n", known[k].name,
			       known[k].differed ? "not noticed" : "always the same");
	}
	CHECK_MSG(ndiffered > 120 && nnoticed > 60, "%u of %u fields", nnoticed, ndiffered);
	printf("# %u of %u fields\n", nnoticed, ndiffered);
	free(image);
	image = NULL;
}

static void test_save_devices_hostile(void)
{
	for (unsigned i = 0; i < NCASES; i++)
		hostile(&cases[i]);
	free(image);
	image = NULL;
}

static const struct tap_test tests[] = {
	TAP(test_save_devices_twins),
	TAP(test_save_devices_each_field),
	TAP(test_save_devices_hostile),
};
TAP_MAIN(tests)
