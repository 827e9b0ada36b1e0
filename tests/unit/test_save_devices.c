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
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/timer.h"
#include "palacios/vm.h"
#include "state.h"
#include "tap.h"
#include "vm/vm.h"

#define TWIN_RAM_MB 4
#define TWIN_STEPS  400
#define TWIN_ROUNDS 8

struct range {
	char space; /* 'p' ports, 'm' memory, 'r' MSRs */
	uint32_t base, len;
};

struct twin_case {
	const char *name;
	const char *devices; /* lines of the definition beyond those of a PC */
	struct range range[6];
};

static const struct twin_case cases[] = {
	{"i8254", "", {{'p', V3_PC_PORT_PIT, 4}, {'p', V3_PC_PORT_SPEAKER, 1}}},
	{"reset", "", {{'p', V3_PC_PORT_RESET, 1}, {'p', V3_PC_PORT_SYSTEM_A, 1}}},
};

static struct v3_vm *twin[2];

static bool twins_open(const struct twin_case *c)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s%s", fake_pc_toml(2, TWIN_RAM_MB), c->devices);
	for (unsigned i = 0; i < 2; i++) {
		if (!CHECK_EQ(fake_vm_create(text, NULL, 0, &twin[i]), V3_OK))
			return false;
		v3_log_set_level(twin[i], V3_LOG_ERR);
	}
	v3_time_continue(twin[0]);
	return true;
}

/* ---- one thing that a guest does, or the world ---- */

struct step {
	const struct range *range;
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

static struct step any_step(const struct twin_case *c)
{
	uint64_t r = tap_rand();
	unsigned n = 0;
	struct step s;

	while (n < V3_ARRAY_SIZE(c->range) && c->range[n].space)
		n++;
	s.range = &c->range[r % n];
	s.size = 1u << (r >> 8 & 3);
	if (s.range->space == 'p' && s.size == 8)
		s.size = 1;
	s.vcpu = r >> 16 & 1;
	s.write = r >> 17 & 1;
	s.at = s.range->base + (uint32_t)(r >> 32) % s.range->len;
	if (s.range->space == 'm')
		s.at &= -s.size;
	s.value = hostile_value();
	if (s.size < 8)
		s.value &= (1ull << 8 * s.size) - 1;
	return s;
}

/* @return what the guest sees */
static uint64_t do_step(struct v3_vm *vm, const struct step *s)
{
	struct v3_vcpu *vcpu = vm->vcpu[s->vcpu];
	uint64_t value = 0;

	switch (s->range->space) {
	case 'p':
		if (s->write)
			return (uint64_t)fake_vcpu_out(vcpu, (uint16_t)s->at, s->size,
						       (uint32_t)s->value);
		return fake_vcpu_in(vcpu, (uint16_t)s->at, s->size);
	case 'm':
		if (s->write)
			return (uint64_t)fake_vcpu_mmio_write(vcpu, s->at, s->size, s->value);
		return fake_vcpu_mmio_read(vcpu, s->at, s->size);
	default:
		if (s->write)
			return fake_vcpu_wrmsr(vcpu, s->at, s->value);
		return fake_vcpu_rdmsr(vcpu, s->at, &value) ? value : ~0ull;
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

static void world(struct v3_vm *vm, int vector[2])
{
	fake_service(vm);
	for (unsigned i = 0; i < 2; i++)
		vector[i] = fake_take_interrupt(vm->vcpu[i]);
	forget_wishes(vm);
}

static void drive_one(const struct twin_case *c)
{
	struct step s = any_step(c);
	int vector[2];

	do_step(twin[0], &s);
	if (tap_rand() & 3)
		return;
	fake_clock_advance(tap_rand() % 2000000);
	world(twin[0], vector);
}

static bool drive_both(const struct twin_case *c, unsigned step)
{
	struct step s = any_step(c);
	uint64_t a = do_step(twin[0], &s), b = do_step(twin[1], &s);
	int va[2], vb[2];

	if (!CHECK_MSG(a == b, "%s, step %u: %s %c:%#x size %u: %#llx and %#llx", c->name, step,
		       s.write ? "write" : "read", s.range->space, s.at, s.size,
		       (unsigned long long)a, (unsigned long long)b))
		return false;
	if (tap_rand() & 3)
		return true;
	fake_clock_advance(tap_rand() % 2000000);
	world(twin[0], va);
	world(twin[1], vb);
	return CHECK_MSG(va[0] == vb[0] && va[1] == vb[1],
			 "%s, step %u: interrupts %d, %d and %d, %d", c->name, step, va[0], va[1],
			 vb[0], vb[1]);
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

/* The second twin becomes what the first one is. */
static bool become(void)
{
	struct v3_save_buf buf;

	v3_time_pause(twin[0]);
	if (!twin[1]->time.paused)
		v3_time_pause(twin[1]);
	CHECK_EQ(v3_vm_power_on(twin[1]), V3_OK);
	twin[1]->time.paused_ns = twin[0]->time.paused_ns;
	copy_memory();
	if (!save(twin[0]))
		return false;
	buf = (struct v3_save_buf){.data = image, .size = image_len};
	if (!CHECK_MSG(v3_devices_load(twin[1], &buf) == V3_OK, "%s", buf.why))
		return false;
	v3_time_continue(twin[0]);
	v3_time_continue(twin[1]);
	forget_wishes(twin[1]);
	return true;
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
	for (unsigned round = 0; round < TWIN_ROUNDS && !tap.failures; round++) {
		for (unsigned i = 0; i < TWIN_STEPS; i++)
			drive_one(c);
		if (!become() || !same_image_again())
			return;
		for (unsigned i = 0; i < TWIN_STEPS; i++)
			if (!drive_both(c, i))
				return;
	}
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
	CHECK(taken);
}

static void test_save_devices_twins(void)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++)
		twins(&cases[i]);
	free(image);
	image = NULL;
}

static void test_save_devices_hostile(void)
{
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++)
		hostile(&cases[i]);
	free(image);
	image = NULL;
}

static const struct tap_test tests[] = {
	TAP(test_save_devices_twins),
	TAP(test_save_devices_hostile),
};
TAP_MAIN(tests)
