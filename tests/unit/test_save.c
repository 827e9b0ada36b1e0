/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_save.c
 * The codec of saved state: every kind of field there and back, and what it refuses.
 */
#include "fake_vm.h"
#include "palacios/error.h"
#include "palacios/save.h"
#include "palacios/timer.h"
#include "tap.h"

struct leg {
	uint16_t length;
	bool shoed;
};

struct tail {
	uint8_t n;
	uint16_t joint[];
};

struct horse {
	void *stable;
	uint64_t age;
	bool tame[3];
	uint8_t *coat; /* 5 bytes */
	struct v3_timer *nap;
	struct leg leg[4];
	struct tail *tail[2];
	uint32_t nfoals;
	struct leg foal[]; /* each is one leg so far */
};

static int leg_loaded(void *state)
{
	return ((struct leg *)state)->length > 2000 ? V3_EINVAL : V3_OK;
}

static unsigned settled;

static void horse_settle(void *state)
{
	(void)state;
	settled++;
}

static const struct v3_save_field leg_fields[] = {
	V3_SAVE(struct leg, length),
	V3_SAVE(struct leg, shoed),
	V3_SAVE_END,
};
static const struct v3_save_table leg_save = {
	.fields = leg_fields, .size = sizeof(struct leg), .loaded = leg_loaded};

static const struct v3_save_field tail_fields[] = {
	V3_SAVE_NOT(struct tail, n),
	V3_SAVE_N(struct tail, joint, n),
	V3_SAVE_END,
};
static const struct v3_save_table tail_save = {.fields = tail_fields, .size = sizeof(struct tail)};

static const struct v3_save_field horse_fields[] = {
	V3_SAVE_NOT(struct horse, stable),
	V3_SAVE(struct horse, age),
	V3_SAVE(struct horse, tame),
	V3_SAVE_AT(struct horse, coat, 5),
	V3_SAVE_TIMER(struct horse, nap),
	V3_SAVE_PARTS(struct horse, leg, &leg_save),
	V3_SAVE_PARTS_AT(struct horse, tail, &tail_save),
	V3_SAVE_NOT(struct horse, nfoals),
	V3_SAVE_PARTS_N(struct horse, foal, nfoals, &leg_save),
	V3_SAVE_END,
};
static const struct v3_save_chunks *horse_chunks(void *state);
static const struct v3_save_table horse_save = {.fields = horse_fields,
						.size = sizeof(struct horse),
						.settle = horse_settle,
						.chunks = horse_chunks};

/* ---- a horse ---- */

#define BALES	 5
#define BALE_LEN 8

static struct stall {
	struct horse h;
	struct leg foals[2];
	uint8_t coat[5];
	union {
		struct tail t;
		uint8_t room[16];
	} tail;
	/* Chunks: fed and empty bales are there. */
	enum { NO_BALE, EMPTY, FED } bale[BALES];
	char hay[BALES][BALE_LEN];
	bool closed; /* no chunks at all */
} from, to;

static bool bales_next(void *state, struct v3_save_chunk *c)
{
	struct stall *s = state;

	while (c->number < BALES && s->bale[c->number] == NO_BALE)
		c->number++;
	if (c->number < BALES)
		c->bytes = s->bale[c->number] == FED ? s->hay[c->number] : NULL;
	return c->number < BALES;
}

static void bales_clear(void *state)
{
	struct stall *s = state;

	memset(s->bale, 0, sizeof(s->bale));
	memset(s->hay, 0, sizeof(s->hay));
}

static int bales_put(void *state, const struct v3_save_chunk *c)
{
	struct stall *s = state;

	if (c->number >= BALES)
		return V3_EINVAL;
	s->bale[c->number] = c->bytes ? FED : EMPTY;
	if (c->bytes)
		memcpy(s->hay[c->number], c->bytes, BALE_LEN);
	return V3_OK;
}

static const struct v3_save_chunks *horse_chunks(void *state)
{
	static const struct v3_save_chunks bales = {
		.size = BALE_LEN, .next = bales_next, .clear = bales_clear, .put = bales_put};

	return ((struct stall *)state)->closed ? NULL : &bales;
}

static void on_nap(struct v3_vcpu *vcpu, void *priv)
{
	(void)vcpu;
	(void)priv;
}

static void drop_timer(void *timer)
{
	v3_timer_destroy(timer);
}

/* An empty stall with a horse of three tail joints (its second tail only) and two foals. */
static bool stall_open(struct stall *s, struct v3_vm *vm)
{
	memset(s, 0, sizeof(*s));
	s->h.coat = s->coat;
	s->h.tail[1] = &s->tail.t;
	s->tail.t.n = 3;
	s->h.nfoals = 2;
	if (!CHECK_EQ(v3_timer_create(vm, NULL, on_nap, NULL, &s->h.nap), V3_OK))
		return false;
	fake_host_at_end(drop_timer, s->h.nap);
	return true;
}

static void stall_fill(struct stall *s)
{
	s->h.age = 0x123456789abcdef0;
	s->h.tame[1] = true;
	memcpy(s->coat, "brown", 5);
	v3_timer_arm(s->h.nap, 777);
	for (unsigned i = 0; i < 4; i++)
		s->h.leg[i] = (struct leg){.length = (uint16_t)(900 + i), .shoed = i & 1};
	for (unsigned i = 0; i < 3; i++)
		s->tail.t.joint[i] = (uint16_t)(0x1100 + i);
	s->h.foal[0].length = 300;
	s->h.foal[1].shoed = true;
	s->bale[1] = FED;
	memcpy(s->hay[1], "timothy", BALE_LEN);
	s->bale[3] = EMPTY;
}

static uint8_t bytes[2048];

/* From one stall to bytes. @return their number, 0: failed */
static size_t written(void)
{
	struct v3_save_buf buf = {.data = bytes, .size = sizeof(bytes)};
	struct v3_vm *vm = fake_vm_bare(1, 16);

	if (!CHECK(vm != NULL) || !stall_open(&from, vm) || !stall_open(&to, vm))
		return 0;
	stall_fill(&from);
	v3_save_settle(&horse_save, &from.h);
	return CHECK_EQ(v3_save_write(&horse_save, "horse", &from.h, &buf), V3_OK) ? buf.pos : 0;
}

static int read_back(size_t len, struct v3_save_buf *buf)
{
	*buf = (struct v3_save_buf){.data = bytes, .size = len};
	return v3_save_read(&horse_save, "horse", &to.h, buf);
}

static void test_save_every_kind(void)
{
	struct v3_save_buf buf;
	size_t len;

	settled = 0;
	len = written();
	REQUIRE(len);
	CHECK_EQ(settled, 1);
	REQUIRE_EQ(read_back(len, &buf), V3_OK);
	CHECK_EQ(buf.pos, len);
	CHECK_EQ(to.h.age, from.h.age);
	CHECK(!memcmp(to.h.tame, from.h.tame, sizeof(to.h.tame)));
	CHECK(!memcmp(to.coat, "brown", 5));
	CHECK(v3_timer_armed(to.h.nap));
	CHECK_EQ(v3_timer_deadline(to.h.nap), 777);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(to.h.leg[i].length, 900 + i);
		CHECK_EQ(to.h.leg[i].shoed, i & 1);
	}
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(to.tail.t.joint[i], 0x1100 + i);
	CHECK_EQ(to.h.foal[0].length, 300);
	CHECK(to.h.foal[1].shoed);
}

static void test_save_chunks(void)
{
	struct v3_save_buf buf;
	size_t len = written();

	REQUIRE(len);
	to.bale[0] = FED; /* forgotten */
	REQUIRE_EQ(read_back(len, &buf), V3_OK);
	CHECK(!memcmp(to.bale, from.bale, sizeof(to.bale)));
	CHECK_STR(to.hay[1], "timothy");
	to.closed = true;
	CHECK_EQ(read_back(len, &buf), V3_OK); /* what follows is another one's */
	CHECK(buf.pos < len);
}

static void test_save_refuses_chunks(void)
{
	struct v3_save_buf buf;
	size_t len = written(), last, first; /* the three records, from the end */

	REQUIRE(len);
	last = len - (2 + 5 + 4) - (2 + 5 + 4 + 8);
	first = last - (2 + 5 + 4 + 8 + BALE_LEN);
	CHECK_EQ(bytes[last + 11], 3);
	bytes[last + 11] = BALES;
	CHECK_EQ(read_back(len, &buf), V3_EINVAL);
	CHECK_STR(buf.why, "horse: V3_EINVAL");
	bytes[last + 11] = 3;
	bytes[first + 7]--;
	CHECK_EQ(read_back(len, &buf), V3_EINVAL);
	CHECK_STR(buf.why, "horse: it has a chunk of a wrong length, or cut off");
}

static void test_save_timer_not_armed(void)
{
	struct v3_save_buf buf = {.data = bytes, .size = sizeof(bytes)};

	REQUIRE(written());
	v3_timer_cancel(from.h.nap);
	v3_timer_arm(to.h.nap, 5);
	REQUIRE_EQ(v3_save_write(&horse_save, "horse", &from.h, &buf), V3_OK);
	REQUIRE_EQ(read_back(buf.pos, &buf), V3_OK);
	CHECK(!v3_timer_armed(to.h.nap));
}

static void test_save_tells_room_needed(void)
{
	struct v3_save_buf none = {.data = NULL}, small;
	size_t len = written();

	REQUIRE(len);
	CHECK_EQ(v3_save_write(&horse_save, "horse", &from.h, &none), V3_ENOSPC);
	CHECK_EQ(none.pos, len);
	bytes[len - 1] = 0xaa;
	small = (struct v3_save_buf){.data = bytes, .size = len - 1};
	CHECK_EQ(v3_save_write(&horse_save, "horse", &from.h, &small), V3_ENOSPC);
	CHECK_EQ(small.pos, len);
	CHECK_EQ(bytes[len - 1], 0xaa);
}

static void test_save_refuses_each_cut(void)
{
	struct v3_save_buf buf;
	size_t len = written();

	REQUIRE(len);
	for (size_t cut = 0; cut < len; cut++) {
		CHECK_EQ(read_back(cut, &buf), V3_EINVAL);
		CHECK(buf.why[0]);
	}
}

/* The record of a field: where its bytes begin. NULL: not there, reported */
static uint8_t *field_bytes(size_t len, const char *path)
{
	size_t n = strlen(path);

	for (size_t i = 0; i + n + 4 <= len; i++)
		if (bytes[i] == (n & 0xff) && bytes[i + 1] == n >> 8 &&
		    !memcmp(bytes + i + 2, path, n))
			return bytes + i + 2 + n + 4;
	tap_fail(__FILE__, __LINE__, "no field %s", path);
	return NULL;
}

static void test_save_refuses_by_field(void)
{
	static const struct {
		const char *path;
		int at; /* from the field's bytes */
		uint8_t value;
		const char *why;
	} cases[] = {
		{"horse.tame", 2, 2, "horse.tame: it is neither true nor false"},
		{"horse.leg[2].length", 1, 0xff, "horse.leg[2]: the device cannot"},
		{"horse.tail[1].joint", -5, 'x', "horse.tail[1].joint: another field"},
		{"horse.coat", -4, 6, "horse.coat: it has another length"},
		{"horse.foal[1].shoed", 0, 0xff, "horse.foal[1].shoed: it is neither"},
	};

	size_t len = written();
	struct v3_save_buf buf;

	REQUIRE(len);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		uint8_t *at = field_bytes(len, cases[i].path), right;

		REQUIRE(at);
		at += cases[i].at;
		right = *at;
		*at = cases[i].value;
		CHECK_EQ(read_back(len, &buf), V3_EINVAL);
		*at = right;
		CHECK_MSG(!strncmp(buf.why, cases[i].why, strlen(cases[i].why)),
			  "case %u: it says \"%s\"", i, buf.why);
	}
}

static const struct tap_test tests[] = {
	TAP(test_save_every_kind),
	TAP(test_save_timer_not_armed),
	TAP(test_save_chunks),
	TAP(test_save_refuses_chunks),
	TAP(test_save_tells_room_needed),
	TAP(test_save_refuses_each_cut),
	TAP(test_save_refuses_by_field),
};
TAP_MAIN(tests)
