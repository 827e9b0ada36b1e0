/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_save_devices.c
 * Twins: a PC is driven at random, its devices' state is loaded into a second one, and from then on both are driven
 * alike and must answer alike. Then the same with saved bytes that somebody has tampered with, where the sanitizers
 * judge.
 */
#include "fake_vm.h"
#include "palacios/error.h"
#include "palacios/input.h"
#include "palacios/mem.h"
#include "palacios/save.h"
#include "palacios/timer.h"
#include "palacios/vm.h"
#include "state.h"
#include "tap.h"
#include "twin_cases.h"
#include "vm/vm.h"

#define TWIN_RAM_MB 4
#define TWIN_STEPS  400
#define TWIN_ROUNDS 8

#define NCASES	 V3_ARRAY_SIZE(cases)
#define CASE_ALL (NCASES - 1)

static struct v3_vm *twin[2];

/* Streams of the host; the last one shows a screen, which begins anew with each VM. */
static const char *const streams[] = {"console", "com2", "typed", "screen"};
#define NSAME 3 /* those that must be the same */

static bool twins_open(const struct twin_case *c)
{
	char text[1024];

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

/* ---- one thing that a guest does, or the world ---- */

struct step {
	enum space space;
	uint32_t at;
	unsigned size, vcpu;
	bool write;
	uint64_t value;
};

static uint64_t hostile_value(void)
{
	uint64_t r = tap_rand();

	switch (r & 3) {
	case 0:
		return r >> 8 & 0xff;
	case 1:
		return 1ull << (r >> 8 & 63);
	case 2:
		return ~0ull;
	default:
		return tap_rand();
	}
}

static bool of_the_world(enum space space)
{
	return space > MSR;
}

static struct step any_poke(const struct twin_case *c, unsigned n)
{
	const struct poke *p = &c->poke[tap_rand() % n];

	return (struct step){.space = p->space,
			     .at = p->at,
			     .size = p->size,
			     .vcpu = tap_rand() & 1,
			     .write = true,
			     .value = p->value};
}

static struct step any_access(const struct twin_case *c, unsigned n)
{
	uint64_t r = tap_rand();
	const struct range *range = &c->range[r % n];
	struct step s = {.space = range->space,
			 .size = 1u << (r >> 8 & 3),
			 .vcpu = r >> 16 & 1,
			 .write = (r >> 17 & 1) || of_the_world(range->space),
			 .at = range->base + (uint32_t)(r >> 32) % range->len,
			 .value = hostile_value()};

	if (s.space == PORT && s.size == 8)
		s.size = 1;
	if (s.space == MMIO || s.space == RAM)
		s.at &= -s.size;
	if (s.size < 8 && !of_the_world(s.space))
		s.value &= (1ull << 8 * s.size) - 1;
	/* RDTSC goes on between the twins: a deadline by it is never or in centuries. */
	if (s.space == MSR && s.at == 0x6e0 && s.value >> 62 == 0)
		s.value = 0;
	return s;
}

static struct step any_step(const struct twin_case *c)
{
	unsigned nranges = 0, npokes = 0;

	if (c == &cases[CASE_ALL])
		c = &cases[tap_rand() % CASE_ALL];
	while (nranges < V3_ARRAY_SIZE(c->range) && c->range[nranges].space)
		nranges++;
	while (npokes < V3_ARRAY_SIZE(c->poke) && c->poke[npokes].space)
		npokes++;
	if (npokes && tap_rand() % 3 == 0)
		return any_poke(c, npokes);
	return any_access(c, nranges);
}

static uint64_t do_access(struct v3_vm *vm, const struct step *s)
{
	struct v3_vcpu *vcpu = vm->vcpu[s->vcpu];
	uint64_t value = 0;

	switch (s->space) {
	case PORT:
		if (s->write)
			return (uint64_t)fake_vcpu_out(vcpu, (uint16_t)s->at, s->size,
						       (uint32_t)s->value);
		return fake_vcpu_in(vcpu, (uint16_t)s->at, s->size);
	case MMIO:
		if (s->write)
			return (uint64_t)fake_vcpu_mmio_write(vcpu, s->at, s->size, s->value);
		return fake_vcpu_mmio_read(vcpu, s->at, s->size);
	case RAM:
		if (s->write)
			return (uint64_t)v3_mem_write(vm, s->at, &s->value, s->size);
		return v3_mem_read(vm, s->at, &value, s->size) == V3_OK ? value : ~0ull;
	default:
		if (s->write)
			return fake_vcpu_wrmsr(vcpu, s->at, s->value);
		return fake_vcpu_rdmsr(vcpu, s->at, &value) ? value : ~0ull;
	}
}

static void press_power_button(struct v3_vm *vm)
{
	for (uint32_t i = 0; i < vm->ndevices; i++)
		if (vm->device[i].cls->power_button)
			vm->device[i].cls->power_button(vm->device[i].state);
}

/* @return what the guest sees */
static uint64_t do_step(struct v3_vm *vm, const struct step *s)
{
	char text[] = "~Input?";

	switch (s->space) {
	case LINE:
		v3_irq_set(vm, s->at, s->value & 1);
		return 0;
	case KEY:
		return (uint64_t)v3_input_key(vm, s->at | (s->value & V3_KEY_EXTENDED),
					      s->value & 1);
	case MOUSE:
		return (uint64_t)v3_input_pointer(vm, (int8_t)s->value, (int8_t)(s->value >> 8),
						  (int)(s->value >> 16 & 3) - 1,
						  s->value >> 24 & 7);
	case POWER:
		press_power_button(vm);
		return 0;
	case INPUT:
		text[0] = (char)('a' + s->value % 26);
		text[1 + s->value / 32 % 6] = '\0';
		for (unsigned i = 0; i < NSAME; i++)
			fake_console_feed_of(vm->host_ctx, streams[i], text);
		return 0;
	case ROOM:
		for (unsigned i = 0; i < NSAME; i++)
			fake_console_room_of(vm->host_ctx, streams[i], s->value % 32);
		return 0;
	default:
		return do_access(vm, s);
	}
}

/* What a guest wishes of its VM is not granted here. */
static void forget_wishes(struct v3_vm *vm)
{
	vm->want = 0;
	vm->stop = 0;
	vm->reset_why = NULL;
	for (unsigned i = 0; i < vm->nvcpus; i++)
		vm->vcpu[i]->state = V3_VCPU_RUNNABLE;
}

/* As the run loop does: it looks at the controllers when it is asked to, and again after each interrupt. */
static int take_interrupt(struct v3_vcpu *vcpu)
{
	int vector;

	if (!(__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & V3_REQ_IRQ))
		return -1;
	vector = fake_take_interrupt(vcpu);
	if (vector >= 0)
		v3_vcpu_request_self(vcpu, V3_REQ_IRQ);
	return vector;
}

static void world(struct v3_vm *vm, int vector[2])
{
	fake_service(vm);
	for (unsigned i = 0; i < 2; i++)
		vector[i] = take_interrupt(vm->vcpu[i]);
	forget_wishes(vm);
}

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
	if (tap_rand() & 3)
		return;
	any_time();
	world(twin[0], vector);
}

static unsigned ninterrupts; /* that both got */
static char difference[256]; /* what drive_both() has found */

/* @return false: they differ */
static bool drive_both(const struct twin_case *c, unsigned step)
{
	struct step s = any_step(c);
	uint64_t a = do_step(twin[0], &s), b = do_step(twin[1], &s);
	int va[2], vb[2];

	snprintf(difference, sizeof(difference), "%s, step %u: %s %u:%#x size %u: %#llx and %#llx",
		 c->name, step, s.write ? "write" : "read", s.space, s.at, s.size,
		 (unsigned long long)a, (unsigned long long)b);
	if (a != b)
		return false;
	if (tap_rand() & 3)
		return true;
	any_time();
	world(twin[0], va);
	world(twin[1], vb);
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
	for (unsigned i = 0; i < TWIN_STEPS; i++)
		if (!drive_both(c, i))
			return false;
	return same_streams();
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

static bool same_image_again(void)
{
	size_t len = image_len;
	uint8_t *first = image;
	bool same;

	image = NULL;
	same = save(twin[1]) && CHECK_EQ(image_len, len) && CHECK(!memcmp(image, first, len));
	free(first);
	return same;
}

static void twins(const struct twin_case *c)
{
	REQUIRE(twins_open(c));
	ninterrupts = 0;
	for (unsigned round = 0; round < TWIN_ROUNDS && !tap.failures; round++) {
		for (unsigned i = 0; i < TWIN_STEPS; i++)
			drive_one(c);
		if (!become() || !same_image_again())
			return;
		CHECK_MSG(drive_alike(c), "%s", difference);
	}
	CHECK_MSG(c->quiet || ninterrupts, "%s: never an interrupt", c->name);
	twins_close();
}

/* ---- state that no device was ever in ---- */

/* Change the bytes of a few fields; test_save.c has wrong names and lengths. */
static void tamper(void)
{
	unsigned odds = 2 + tap_rand() % 200;
	uint8_t *p = image;

	while (p < image + image_len) {
		uint16_t path;
		uint32_t len;

		memcpy(&path, p, sizeof(path));
		p += sizeof(path) + path;
		memcpy(&len, p, sizeof(len));
		p += sizeof(len);
		if (len && tap_rand() % odds == 0)
			p[tap_rand() % len] = (uint8_t)hostile_value();
		p += len;
	}
	if (tap_rand() % 8 == 0)
		image_len = tap_rand() % image_len;
}

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
		tamper();
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

static void test_save_devices_hostile(void)
{
	for (unsigned i = 0; i < NCASES; i++)
		hostile(&cases[i]);
	free(image);
	image = NULL;
}

static const struct tap_test tests[] = {
	TAP(test_save_devices_twins),
	TAP(test_save_devices_hostile),
};
TAP_MAIN(tests)
