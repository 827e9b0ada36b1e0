/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file twin_drive.h
 * How test_save_devices.c drives a VM: one step at a time of what a guest or the world does, by the tables of
 * twin_cases.h.
 */
#ifndef TESTS_TWIN_DRIVE_H
#define TESTS_TWIN_DRIVE_H

#include "fake_vm.h"
#include "palacios/input.h"
#include "palacios/mem.h"
#include "palacios/vm.h"
#include "save_tamper.h"
#include "state.h"
#include "tap.h"
#include "twin_cases.h"

#define QUIET_STEPS 100

#define NCASES	 V3_ARRAY_SIZE(cases)
#define CASE_ALL (NCASES - 1)

/* Streams of the host; the last one shows a screen, which begins anew with each VM. */
static const char *const streams[] = {"console", "com2", "typed", "screen"};
#define NSAME 3 /* those that must be the same */

/* ---- one thing that a guest does, or the world ---- */

struct step {
	enum space space;
	uint32_t at;
	unsigned size, vcpu;
	bool write;
	uint64_t value;
};

static bool both_driven;

static bool of_the_world(enum space space)
{
	return space > MSR;
}

static const struct poke *more; /* what comes next in any case; NULL */

static struct step do_poke(const struct poke *p)
{
	more = p->more ? p + 1 : NULL;
	return (struct step){.space = p->space,
			     .at = p->at,
			     .size = p->size,
			     .vcpu = p->more ? 0 : tap_rand() & 1,
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
			 .write = (r >> 17 & 7) == 0 || of_the_world(range->space),
			 .at = range->base + (uint32_t)(r >> 32) % range->len,
			 .value = hostile_value()};

	if (s.space == REG4 || s.space == REG16) {
		s.at &= s.space == REG4 ? ~3u : ~15u;
		s.space = MMIO;
		s.size = 4;
	}
	if ((s.space == PORT || s.space == CONFIG) && s.size == 8)
		s.size = 1;
	if (s.space == MMIO || s.space == CONFIG || s.space == RAM)
		s.at &= -s.size;
	if (s.size < 8 && !of_the_world(s.space))
		s.value &= (1ull << 8 * s.size) - 1;
	/* RDTSC goes on from one twin to the other: a deadline by it lies in the far future of one, and both get it. */
	if (s.space == MSR && s.at == 0x6e0 && (both_driven || s.value >> 62 == 0))
		s.value = 0;
	return s;
}

/*
 * After a load the guest only looks for a while, or changes something now and then: what is written in a hurry
 * hides what was there.
 */
static unsigned quiet_steps, quiet_odds;

static bool is_quiet(void)
{
	if (!quiet_steps)
		return false;
	quiet_steps--;
	return !quiet_odds || tap_rand() % quiet_odds;
}

static struct step any_step(const struct twin_case *c)
{
	unsigned nranges = 0, npokes = 0;
	bool quiet = is_quiet();
	struct step s;

	if (more)
		return do_poke(more);
	if (c == &cases[CASE_ALL])
		c = &cases[tap_rand() % CASE_ALL];
	while (nranges < V3_ARRAY_SIZE(c->range) && c->range[nranges].space)
		nranges++;
	while (npokes < V3_ARRAY_SIZE(c->poke) && c->poke[npokes].space)
		npokes++;
	if (npokes && !quiet && tap_rand() % 6 == 0)
		return do_poke(&c->poke[tap_rand() % npokes]);
	do
		s = any_access(c, nranges);
	while (quiet && of_the_world(s.space));
	s.write &= !quiet;
	return s;
}

static uint64_t do_port(struct v3_vcpu *vcpu, uint16_t port, const struct step *s)
{
	if (s->write)
		return (uint64_t)fake_vcpu_out(vcpu, port, s->size, (uint32_t)s->value);
	return fake_vcpu_in(vcpu, port, s->size);
}

static uint64_t do_access(struct v3_vm *vm, const struct step *s)
{
	struct v3_vcpu *vcpu = vm->vcpu[s->vcpu];
	uint64_t value = 0;

	switch (s->space) {
	case PORT:
		return do_port(vcpu, (uint16_t)s->at, s);
	case CONFIG:
		fake_vcpu_out(vcpu, V3_PC_PORT_PCI_ADDR, 4, 0x80000000u | (s->at & ~3u));
		return do_port(vcpu, (uint16_t)(V3_PC_PORT_PCI_DATA + (s->at & 3)), s);
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

/* What the guest's handler does at its end, sometimes later. */
static void end_interrupt(struct v3_vcpu *vcpu)
{
	fake_vcpu_out(vcpu, V3_PC_PORT_PIC1, 1, 0x20);
	fake_vcpu_out(vcpu, V3_PC_PORT_PIC2, 1, 0x20);
	fake_vcpu_mmio_write(vcpu, V3_PC_LAPIC_BASE + 0xb0, 4, 0);
	fake_vcpu_wrmsr(vcpu, 0x80b, 0);
}

static void world(struct v3_vm *vm, int vector[2], bool end)
{
	fake_service(vm);
	for (unsigned i = 0; i < 2; i++) {
		vector[i] = take_interrupt(vm->vcpu[i]);
		if (end)
			end_interrupt(vm->vcpu[i]);
	}
	forget_wishes(vm);
}

#endif
