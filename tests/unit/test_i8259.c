// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file test_i8259.c
 * The 8259A pair: initialization, priorities, end of interrupt, rotation, special modes, poll,
 * cascade and the edge/level registers; Intel 8259A datasheet (231468).
 */
#include "intr_rig.h"

#define M0   0x20 /* master, A0 = 0 */
#define M1   0x21
#define S0   0xa0
#define S1   0xa1
#define ELC1 0x4d0
#define ELC2 0x4d1

#define EOI	  0x20
#define EOI_OF(n) (0x60 | (n))
#define READ_IRR  0x0a
#define READ_ISR  0x0b
#define POLL	  0x0c
#define SMM_ON	  0x68
#define SMM_OFF	  0x48

static void init_chip(struct v3_vm *vm, uint16_t port, uint8_t vector, uint8_t icw3, uint8_t icw4)
{
	rig_out(vm, port, 1, 0x11);
	rig_out(vm, port + 1, 1, vector);
	rig_out(vm, port + 1, 1, icw3);
	rig_out(vm, port + 1, 1, icw4);
}

/** A pair initialized as guests do: vectors 0x30 and 0x38, nothing masked, all edge-triggered. */
static struct v3_vm *open_pair(uint8_t master_icw4)
{
	struct v3_vm *vm = rig_open_bare(1);

	rig_add(vm, &v3_device_i8259);
	rig_out(vm, ELC1, 2, 0);
	init_chip(vm, M0, 0x30, 4, master_icw4);
	init_chip(vm, S0, 0x38, 2, 0x01);
	rig_take(vm, 0, V3_REQ_IRQ);
	return vm;
}

static bool pending(struct v3_vm *vm)
{
	return vm->intr.extint->pending(vm->intr.extint_priv);
}

/** INTA if INTR is up. @return vector, -1 if not. */
static int inta(struct v3_vm *vm)
{
	return pending(vm) ? vm->intr.extint->ack(vm->intr.extint_priv) : -1;
}

static uint8_t read_reg(struct v3_vm *vm, uint16_t port, uint8_t ocw3)
{
	rig_out(vm, port, 1, ocw3);
	return (uint8_t)rig_in(vm, port, 1);
}

static void test_i8259_power_on_state(void)
{
	struct v3_vm *vm = rig_open_bare(1);

	rig_add(vm, &v3_device_i8259);
	for (unsigned round = 0; round < 2; round++) {
		CHECK_EQ(rig_in(vm, M1, 1), 0xff);
		CHECK_EQ(rig_in(vm, S1, 1), 0xff);
		CHECK_EQ(rig_in(vm, ELC1, 1), 0);
		CHECK_EQ(rig_in(vm, ELC2, 1), 0x0e);
		CHECK_EQ(read_reg(vm, M0, READ_ISR), 0);
		/* Vectors as firmware leaves them. */
		rig_out(vm, M1, 1, 0xf8);
		rig_out(vm, S1, 1, 0xfe);
		v3_irq_pulse(vm, 0);
		CHECK_EQ(inta(vm), 0x08);
		rig_out(vm, M0, 1, EOI);
		v3_irq_pulse(vm, 8);
		CHECK_EQ(inta(vm), 0x70);
		rig_reset(vm);
		CHECK(!pending(vm));
	}
	rig_close(vm);
}

static void test_i8259_initialization_sequences(void)
{
	/* ICW1, words that follow, vector of input 3, in service afterwards */
	static const struct {
		uint8_t icw1, n, word[3], vector, isr;
	} t[] = {
		{0x11, 3, {0x40, 0x04, 0x01}, 0x43, 0x08}, /* the usual one */
		{0x11, 3, {0x47, 0x04, 0x03}, 0x43, 0}, /* automatic EOI; low vector bits ignored */
		{0x13, 2, {0x50, 0x01}, 0x53, 0x08},	/* single: no ICW3 */
		{0x10, 2, {0x60, 0x04}, 0x63, 0x08},	/* no ICW4 */
		{0x12, 1, {0x68}, 0x6b, 0x08},		/* neither */
		{0x19, 3, {0x70, 0x04, 0x01}, 0x73, 0x08}, /* level bit: ELCR rules instead */
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		struct v3_vm *vm = open_pair(0x01);

		/* What ICW1 clears. */
		rig_out(vm, M1, 1, 0xf0);
		v3_irq_pulse(vm, 1);
		CHECK_EQ(inta(vm), 0x31);
		v3_irq_pulse(vm, 0);
		rig_out(vm, M0, 1, t[i].icw1);
		for (unsigned k = 0; k < t[i].n; k++) {
			v3_irq_pulse(vm, 3);
			CHECK(!pending(vm)); /* not in the middle */
			rig_out(vm, M1, 1, t[i].word[k]);
		}
		CHECK_EQ(rig_in(vm, M1, 1), 0);
		CHECK_EQ(read_reg(vm, M0, READ_IRR), 0x08);
		CHECK_MSG(inta(vm) == t[i].vector, "case %u", i);
		CHECK_EQ(read_reg(vm, M0, READ_ISR), t[i].isr);
		rig_out(vm, M1, 1, 0xa5); /* OCW1 again */
		CHECK_EQ(rig_in(vm, M1, 1), 0xa5);
		rig_close(vm);
	}
}

static void test_i8259_fully_nested(void)
{
	struct v3_vm *vm = open_pair(0x01);

	v3_irq_pulse(vm, 5);
	CHECK_EQ(rig_take(vm, 0, V3_REQ_IRQ), V3_REQ_IRQ);
	CHECK_EQ(inta(vm), 0x35);
	v3_irq_pulse(vm, 6);
	CHECK(!pending(vm)); /* lower */
	v3_irq_pulse(vm, 5);
	CHECK(!pending(vm)); /* equal */
	v3_irq_pulse(vm, 1);
	CHECK_EQ(inta(vm), 0x31); /* higher */
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0x22);
	CHECK_EQ(read_reg(vm, M0, READ_IRR), 0x60);
	rig_out(vm, M0, 1, EOI); /* ends 1 */
	CHECK(!pending(vm));
	rig_take(vm, 0, V3_REQ_IRQ);
	rig_out(vm, M0, 1, EOI); /* ends 5 */
	CHECK_EQ(rig_take(vm, 0, V3_REQ_IRQ), V3_REQ_IRQ);
	CHECK_EQ(inta(vm), 0x35);
	rig_out(vm, M0, 1, EOI_OF(5));
	CHECK_EQ(inta(vm), 0x36);
	rig_out(vm, M0, 1, EOI_OF(6));
	CHECK_EQ(inta(vm), -1);
	rig_close(vm);
}

static void test_i8259_cascade(void)
{
	struct v3_vm *vm = open_pair(0x01);

	v3_irq_pulse(vm, 3);
	v3_irq_pulse(vm, 12);
	CHECK_EQ(inta(vm), 0x3c); /* the slave sits at input 2, above 3 */
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0x04);
	CHECK_EQ(read_reg(vm, S0, READ_ISR), 0x10);
	/* A higher slave request waits for the master's EOI in normal nesting. */
	v3_irq_pulse(vm, 9);
	CHECK(!pending(vm));
	rig_out(vm, S0, 1, EOI);
	CHECK(!pending(vm));
	rig_out(vm, M0, 1, EOI);
	CHECK_EQ(inta(vm), 0x39);
	rig_out(vm, S0, 1, EOI);
	rig_out(vm, M0, 1, EOI);
	CHECK_EQ(inta(vm), 0x33);
	/* Line 2 carries no device. */
	v3_irq_pulse(vm, 2);
	CHECK_EQ(read_reg(vm, M0, READ_IRR) & 4, 0);
	rig_close(vm);
}

static void test_i8259_special_fully_nested(void)
{
	struct v3_vm *vm = open_pair(0x11);

	v3_irq_pulse(vm, 12);
	CHECK_EQ(inta(vm), 0x3c);
	v3_irq_pulse(vm, 13);
	CHECK(!pending(vm));
	v3_irq_pulse(vm, 9); /* higher at the slave: let through although input 2 is in service */
	CHECK_EQ(inta(vm), 0x39);
	CHECK_EQ(read_reg(vm, S0, READ_ISR), 0x12);
	rig_close(vm);
}

static void test_i8259_masks(void)
{
	struct v3_vm *vm = open_pair(0x01);

	rig_out(vm, M1, 1, 0x10);
	v3_irq_pulse(vm, 4);
	CHECK(!pending(vm));
	CHECK_EQ(read_reg(vm, M0, READ_IRR), 0x10); /* an edge is remembered */
	rig_out(vm, M1, 1, 0x00);
	CHECK_EQ(inta(vm), 0x34);
	rig_out(vm, M0, 1, EOI);
	/* Masking takes a request back; the answer to a late INTA is the spurious one. */
	v3_irq_pulse(vm, 4);
	CHECK(pending(vm));
	rig_out(vm, M1, 1, 0x10);
	CHECK(!pending(vm));
	CHECK_EQ(vm->intr.extint->ack(vm->intr.extint_priv), 0x37);
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0);
	/* The slave behind its masked input. */
	rig_out(vm, M1, 1, 0x14);
	v3_irq_pulse(vm, 15);
	CHECK(!pending(vm));
	rig_out(vm, M1, 1, 0x00);
	CHECK_EQ(inta(vm), 0x3f);
	rig_out(vm, S0, 1, EOI);
	rig_out(vm, M0, 1, EOI);
	CHECK_EQ(inta(vm), 0x34);
	rig_close(vm);
}

static void test_i8259_level_triggered(void)
{
	struct v3_vm *vm = open_pair(0x01);

	rig_out(vm, ELC1, 1, 0x20);
	rig_out(vm, ELC2, 1, 0x08);
	v3_irq_set(vm, 5, true);
	CHECK_EQ(inta(vm), 0x35);
	rig_out(vm, M0, 1, EOI);
	CHECK_EQ(inta(vm), 0x35); /* still asserted */
	v3_irq_set(vm, 5, false);
	rig_out(vm, M0, 1, EOI);
	CHECK_EQ(inta(vm), -1);
	/* Gone before INTA: spurious, master and slave. */
	v3_irq_set(vm, 5, true);
	v3_irq_set(vm, 5, false);
	CHECK(!pending(vm));
	CHECK_EQ(vm->intr.extint->ack(vm->intr.extint_priv), 0x37);
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0);
	v3_irq_set(vm, 11, true);
	CHECK_EQ(inta(vm), 0x3b);
	v3_irq_set(vm, 11, false);
	rig_out(vm, S0, 1, EOI);
	rig_out(vm, M0, 1, EOI);
	CHECK_EQ(inta(vm), -1);
	rig_close(vm);
}

static void test_i8259_elcr_bits(void)
{
	struct v3_vm *vm = open_pair(0x01);

	rig_out(vm, ELC1, 1, 0xff);
	rig_out(vm, ELC2, 1, 0xff);
	CHECK_EQ(rig_in(vm, ELC1, 1), 0xf8); /* 0, 1, 2 */
	CHECK_EQ(rig_in(vm, ELC2, 1), 0xde); /* 8, 13 */
	CHECK_EQ(rig_in(vm, ELC1, 2), 0xdef8);
	rig_out(vm, ELC1, 2, 0x0800);
	CHECK_EQ(rig_in(vm, ELC1, 2), 0x0800);
	/* A latched edge does not outlive the switch to level triggering. */
	v3_irq_pulse(vm, 5);
	CHECK_EQ(read_reg(vm, M0, READ_IRR), 0x20);
	rig_out(vm, ELC1, 1, 0x20);
	CHECK(!pending(vm));
	rig_out(vm, ELC1, 1, 0x00);
	CHECK(!pending(vm));
	rig_close(vm);
}

static void test_i8259_auto_eoi(void)
{
	struct v3_vm *vm = open_pair(0x03);

	v3_irq_pulse(vm, 4);
	v3_irq_pulse(vm, 6);
	CHECK_EQ(inta(vm), 0x34);
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0);
	CHECK_EQ(inta(vm), 0x36);
	/* Rotation on automatic EOI: what was served becomes the lowest. */
	rig_out(vm, M0, 1, 0x80);
	v3_irq_pulse(vm, 3);
	CHECK_EQ(inta(vm), 0x33);
	v3_irq_pulse(vm, 3);
	v3_irq_pulse(vm, 7);
	CHECK_EQ(inta(vm), 0x37);
	CHECK_EQ(inta(vm), 0x33);
	rig_out(vm, M0, 1, 0x00); /* off: order stays as it is */
	v3_irq_pulse(vm, 3);
	v3_irq_pulse(vm, 7);
	CHECK_EQ(inta(vm), 0x37);
	CHECK_EQ(inta(vm), 0x33);
	rig_close(vm);
}

static void test_i8259_rotation(void)
{
	struct v3_vm *vm = open_pair(0x01);

	rig_out(vm, M0, 1, 0xc4); /* set priority: 4 lowest, 5 highest */
	v3_irq_pulse(vm, 0);
	v3_irq_pulse(vm, 4);
	v3_irq_pulse(vm, 6);
	CHECK_EQ(inta(vm), 0x36);
	rig_out(vm, M0, 1, 0xa0); /* rotate on non-specific EOI: 6 lowest, 7 highest */
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0);
	v3_irq_pulse(vm, 6);
	CHECK_EQ(inta(vm), 0x30);
	rig_out(vm, M0, 1, 0xe0 | 0); /* rotate on specific EOI: 0 lowest */
	CHECK_EQ(inta(vm), 0x34);
	rig_out(vm, M0, 1, EOI);
	CHECK_EQ(inta(vm), 0x36);
	rig_out(vm, M0, 1, EOI);
	/* Non-specific EOI ends the highest by the present order. */
	v3_irq_pulse(vm, 7);
	CHECK_EQ(inta(vm), 0x37);
	v3_irq_pulse(vm, 1);
	CHECK_EQ(inta(vm), 0x31);
	rig_out(vm, M0, 1, 0xc6); /* 6 lowest, 7 highest */
	rig_out(vm, M0, 1, EOI);
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0x02);
	rig_out(vm, M0, 1, 0x40);      /* no operation */
	rig_out(vm, M0, 1, EOI_OF(3)); /* not in service */
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0x02);
	rig_close(vm);
}

static void test_i8259_special_mask_mode(void)
{
	struct v3_vm *vm = open_pair(0x01);

	v3_irq_pulse(vm, 3);
	CHECK_EQ(inta(vm), 0x33);
	rig_out(vm, M1, 1, 0x08);
	v3_irq_pulse(vm, 6);
	CHECK(!pending(vm));
	rig_out(vm, M0, 1, SMM_ON); /* the masked 3 in service blocks nobody */
	CHECK_EQ(inta(vm), 0x36);
	rig_out(vm, M0, 1, EOI); /* non-specific: ends 6, not the masked 3 */
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0x08);
	rig_out(vm, M0, 1, EOI);
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0x08);
	v3_irq_pulse(vm, 6);
	rig_out(vm, M0, 1, SMM_OFF);
	CHECK(!pending(vm));
	rig_out(vm, M0, 1, 0x28); /* OCW3 without ESMM: no change */
	CHECK(!pending(vm));
	rig_out(vm, M0, 1, EOI);
	CHECK_EQ(inta(vm), 0x36);
	rig_close(vm);
}

static void test_i8259_poll(void)
{
	struct v3_vm *vm = open_pair(0x01);

	rig_out(vm, M0, 1, POLL);
	CHECK_EQ(rig_in(vm, M0, 1), 0);
	v3_irq_pulse(vm, 5);
	rig_out(vm, M0, 1, POLL);
	CHECK_EQ(rig_in(vm, M0, 1), 0x85); /* acknowledges */
	CHECK(!pending(vm));
	CHECK_EQ(read_reg(vm, M0, READ_ISR), 0x20);
	rig_out(vm, M0, 1, EOI);
	/* The slave behind the master, and by the other port. */
	v3_irq_pulse(vm, 14);
	rig_out(vm, M0, 1, POLL);
	CHECK_EQ(rig_in(vm, M1, 1), 0x82);
	rig_out(vm, S0, 1, POLL);
	CHECK_EQ(rig_in(vm, S0, 1), 0x86);
	CHECK_EQ(read_reg(vm, S0, READ_ISR), 0x40);
	CHECK_EQ(rig_in(vm, M1, 1), 0); /* one read only */
	rig_close(vm);
}

static void test_i8259_access_sizes(void)
{
	struct v3_vm *vm = open_pair(0x01);

	rig_out(vm, M0, 2, 0x5a0b); /* OCW3: read ISR; OCW1 */
	CHECK_EQ(rig_in(vm, M1, 1), 0x5a);
	CHECK_EQ(rig_in(vm, M0, 2), 0x5a00);
	CHECK_EQ(rig_in(vm, M0, 4), 0xffff5a00);
	rig_close(vm);
}

/* ---- against a plain model of the datasheet ---- */

struct model_chip {
	uint8_t request, mask, service;
	uint8_t order[8]; /* inputs, highest priority first */
};

static void model_lowest(struct model_chip *c, unsigned input)
{
	for (unsigned i = 0; i < 8; i++)
		c->order[i] = (uint8_t)((input + 1 + i) % 8);
}

/** Input that may interrupt: the first unmasked request in order with nothing in service before it.
 * */
static int model_ask(const struct model_chip *c)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned bit = 1u << c->order[i];

		if (c->service & bit)
			return -1;
		if (c->request & ~c->mask & bit)
			return c->order[i];
	}
	return -1;
}

static void model_eoi(struct model_chip *c, bool rotate)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned input = c->order[i];

		if (!(c->service & 1u << input))
			continue;
		c->service &= (uint8_t) ~(1u << input);
		if (rotate)
			model_lowest(c, input);
		return;
	}
}

static void model_cascade(struct model_chip *m, const struct model_chip *s)
{
	m->request = (uint8_t)((m->request & ~4u) | (model_ask(s) >= 0 ? 4 : 0));
}

static int model_inta(struct model_chip *m, struct model_chip *s)
{
	int input = model_ask(m), behind;

	if (input < 0)
		return -1;
	m->service |= (uint8_t)(1u << input);
	m->request &= (uint8_t) ~(1u << input);
	if (input != 2)
		return 0x30 + input;
	behind = model_ask(s);
	s->service |= (uint8_t)(1u << behind);
	s->request &= (uint8_t) ~(1u << behind);
	return 0x38 + behind;
}

static void model_step(struct v3_vm *vm, struct model_chip *c, unsigned n)
{
	uint16_t port = n ? S0 : M0;
	unsigned arg = (unsigned)tap_rand() & 7;

	switch (tap_rand() % 6) {
	case 0:
	case 1:
		if (n == 0 && arg == 2)
			break;
		v3_irq_pulse(vm, n * 8 + arg);
		c->request |= (uint8_t)(1u << arg);
		break;
	case 2:
		c->mask = (uint8_t)(tap_rand() & tap_rand());
		rig_out(vm, port + 1, 1, c->mask);
		break;
	case 3:
		rig_out(vm, port, 1, arg & 1 ? 0xa0 : EOI);
		model_eoi(c, arg & 1);
		break;
	case 4:
		rig_out(vm, port, 1, EOI_OF(arg));
		c->service &= (uint8_t) ~(1u << arg);
		break;
	case 5:
		rig_out(vm, port, 1, 0xc0 | arg);
		model_lowest(c, arg);
		break;
	}
}

static void test_i8259_random_against_the_model(void)
{
	struct v3_vm *vm = open_pair(0x01);
	struct model_chip m = {.mask = 0}, s = {.mask = 0};

	model_lowest(&m, 7);
	model_lowest(&s, 7);
	for (unsigned step = 0; step < 100000 && !tap.failures; step++) {
		unsigned n = (unsigned)tap_rand() & 1;

		model_step(vm, n ? &s : &m, n);
		model_cascade(&m, &s);
		CHECK_MSG(pending(vm) == (model_ask(&m) >= 0), "step %u: INTR", step);
		if (tap_rand() % 3 == 0) {
			int got = inta(vm), want = model_inta(&m, &s);

			CHECK_MSG(got == want, "step %u: vector %#x, expected %#x", step, got,
				  want);
			model_cascade(&m, &s);
		}
		CHECK_MSG(read_reg(vm, M0, READ_ISR) == m.service, "step %u: master ISR", step);
		CHECK_MSG(read_reg(vm, S0, READ_ISR) == s.service, "step %u: slave ISR", step);
		CHECK_MSG(read_reg(vm, M0, READ_IRR) == m.request, "step %u: master IRR", step);
		CHECK_MSG(read_reg(vm, S0, READ_IRR) == s.request, "step %u: slave IRR", step);
	}
	rig_close(vm);
}

static void test_i8259_survives_random_accesses(void)
{
	static const uint16_t ports[] = {M0, M1, S0, S1, ELC1, ELC2};
	static const uint8_t sizes[] = {1, 1, 2, 4};
	struct v3_vm *vm = rig_open(1);

	for (unsigned i = 0; i < 100000; i++) {
		uint16_t port = ports[tap_rand() % 6];
		unsigned size = sizes[tap_rand() % 4];

		if (tap_rand() & 1)
			rig_out(vm, port, size, (uint32_t)tap_rand() >> (32 - 8 * size));
		else
			rig_in(vm, port, size);
		v3_irq_set(vm, (unsigned)tap_rand() % 32, tap_rand() & 1);
		if (tap_rand() % 4 == 0)
			vm->intr.extint->ack(vm->intr.extint_priv);
	}
	rig_reset(vm);
	CHECK_EQ(rig_in(vm, M1, 1), 0xff);
	CHECK(!pending(vm));
	rig_close(vm);
}

static const struct tap_test tests[] = {
	TAP(test_i8259_power_on_state),
	TAP(test_i8259_initialization_sequences),
	TAP(test_i8259_fully_nested),
	TAP(test_i8259_cascade),
	TAP(test_i8259_special_fully_nested),
	TAP(test_i8259_masks),
	TAP(test_i8259_level_triggered),
	TAP(test_i8259_elcr_bits),
	TAP(test_i8259_auto_eoi),
	TAP(test_i8259_rotation),
	TAP(test_i8259_special_mask_mode),
	TAP(test_i8259_poll),
	TAP(test_i8259_access_sizes),
	TAP(test_i8259_random_against_the_model),
	TAP(test_i8259_survives_random_accesses),
};
TAP_MAIN(tests)
