// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file test_ioapic.c
 * I/O APIC: registers, edge and level delivery, EOI; Intel 82093AA datasheet chapter 3. A recorder
 * stands in for the local APICs.
 */
#include "intr_rig.h"

#define NPINS	   24
#define LEVEL	   (1u << 15)
#define REMOTE_IRR (1u << 14)
#define MASKED	   (1u << 16)
#define LOGICAL	   (1u << 11)
#define ENTRY(pin) (0x10 + 2 * (pin))

static struct v3_apic_msg sent[64];
static unsigned nsent;

static void record(void *priv, const struct v3_apic_msg *msg)
{
	CHECK(priv == sent);
	if (nsent < 64)
		sent[nsent] = *msg;
	nsent++;
}

static const struct v3_lapic_ops recorder = {.send = record};

static struct v3_vm *open_recorded(void)
{
	struct v3_vm *vm = rig_open_bare(1);

	nsent = 0;
	CHECK_EQ(v3_lapic_register(vm, &recorder, sent), V3_OK);
	rig_add(vm, &v3_device_ioapic);
	return vm;
}

static void close_recorded(struct v3_vm *vm)
{
	v3_lapic_unregister(vm);
	rig_close(vm);
}

/** Number of messages since the last call. */
static unsigned take_sent(void)
{
	unsigned n = nsent;

	nsent = 0;
	return n;
}

static void test_ioapic_reset_values(void)
{
	struct v3_vm *vm = open_recorded();

	for (unsigned round = 0; round < 2; round++) {
		uint64_t value = ~0ull;

		CHECK_EQ(rig_mmio(vm, 0, V3_PC_IOAPIC_BASE, 4, false, &value), V3_OK);
		CHECK_EQ(value, 0);
		CHECK_EQ(rig_io_read(vm, 0), (uint32_t)V3_PC_IOAPIC_ID << 24);
		CHECK_EQ(rig_io_read(vm, 1), 0x00170020);
		CHECK_EQ(rig_io_read(vm, 2), (uint32_t)V3_PC_IOAPIC_ID << 24);
		for (unsigned pin = 0; pin < NPINS; pin++) {
			CHECK_EQ(rig_io_read(vm, ENTRY(pin)), MASKED);
			CHECK_EQ(rig_io_read(vm, ENTRY(pin) + 1), 0);
		}
		for (unsigned reg = 0; reg < 0x100; reg++)
			rig_io_write(vm, reg, 0x5555aaaa);
		rig_reset(vm);
	}
	close_recorded(vm);
}

static void test_ioapic_register_rules(void)
{
	static const struct {
		uint8_t reg;
		uint32_t ones, zeros;
	} t[] = {
		{0x00, 0xff000000, 0}, {0x01, 0x00170020, 0x00170020},
		{0x03, 0, 0},	       {0x0f, 0, 0},
		{0x10, 0x0001afff, 0}, /* delivery status and remote IRR are read-only */
		{0x11, 0xff000000, 0}, {0x3e, 0x0001afff, 0},
		{0x3f, 0xff000000, 0}, {0x40, 0, 0},
		{0xff, 0, 0},
	};
	struct v3_vm *vm = open_recorded();

	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		rig_io_write(vm, t[i].reg, 0xffffffff);
		CHECK_MSG(rig_io_read(vm, t[i].reg) == t[i].ones, "register %#x is %#x", t[i].reg,
			  rig_io_read(vm, t[i].reg));
		rig_io_write(vm, t[i].reg, 0);
		CHECK_MSG(rig_io_read(vm, t[i].reg) == t[i].zeros, "register %#x is %#x", t[i].reg,
			  rig_io_read(vm, t[i].reg));
	}
	close_recorded(vm);
}

static void test_ioapic_access_sizes(void)
{
	static const struct {
		uint16_t offset;
		uint8_t size;
		bool write_counts;
		uint64_t read;
	} t[] = {
		{0x00, 4, true, 0x10}, {0x00, 1, true, 0x10}, {0x00, 2, false, 0},
		{0x00, 8, false, 0},   {0x04, 4, false, 0},   {0x01, 1, false, 0},
		{0x10, 1, false, 0},   {0x10, 8, false, 0},   {0x20, 4, false, 0},
		{0x40, 4, false, 0},   {0xffc, 4, false, 0},
	};
	struct v3_vm *vm = open_recorded();

	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		uint64_t sel = 0x10, value = 0x3f;
		v3_gpa_t gpa = V3_PC_IOAPIC_BASE + t[i].offset;

		CHECK_EQ(rig_mmio(vm, 0, V3_PC_IOAPIC_BASE, 4, true, &sel), V3_OK);
		CHECK_EQ(rig_mmio(vm, 0, gpa, t[i].size, true, &value), V3_OK);
		CHECK_EQ(rig_mmio(vm, 0, V3_PC_IOAPIC_BASE, 4, false, &value), V3_OK);
		CHECK_MSG(value == (t[i].write_counts ? 0x3f : 0x10), "case %u: select is %#llx", i,
			  (unsigned long long)value);
		CHECK_EQ(rig_mmio(vm, 0, V3_PC_IOAPIC_BASE, 4, true, &sel), V3_OK);
		value = 0;
		CHECK_EQ(rig_mmio(vm, 0, gpa, t[i].size, false, &value), V3_OK);
		CHECK_MSG(value == t[i].read, "case %u: reads %#llx", i, (unsigned long long)value);
	}
	CHECK_EQ(rig_io_read(vm, 0x10), MASKED);
	close_recorded(vm);
}

static void test_ioapic_lines_are_wired_to_pins(void)
{
	struct v3_vm *vm = open_recorded();

	for (unsigned pin = 0; pin < NPINS; pin++)
		rig_io_write(vm, ENTRY(pin), 0x40 + pin);
	for (unsigned gsi = 0; gsi < V3_NR_GSI; gsi++) {
		v3_irq_pulse(vm, gsi);
		if (gsi == 2) {
			CHECK_EQ(take_sent(), 0); /* the cascade */
			continue;
		}
		CHECK_MSG(nsent == 1 && sent[0].vector == 0x40 + (gsi ? gsi : 2), "line %u", gsi);
		take_sent();
	}
	v3_irq_set(vm, V3_NR_GSI, true);
	v3_irq_set(vm, ~0u, true);
	CHECK_EQ(take_sent(), 0);
	close_recorded(vm);
}

static void test_ioapic_message_fields(void)
{
	struct v3_vm *vm = open_recorded();

	rig_io_write(vm, ENTRY(5) + 1, 0x03000000);
	rig_io_write(vm, ENTRY(5), 0x0199);
	v3_irq_pulse(vm, 5);
	CHECK_EQ(nsent, 1);
	CHECK_EQ(sent[0].dest, 3);
	CHECK_EQ(sent[0].vector, 0x99);
	CHECK_EQ(sent[0].mode, V3_DELIVER_LOWEST);
	CHECK(!sent[0].logical && !sent[0].level && !sent[0].broadcast && !sent[0].except);
	take_sent();
	rig_io_write(vm, ENTRY(5) + 1, 0xff000000);
	rig_io_write(vm, ENTRY(5), LOGICAL | LEVEL | 0x2000 | 0x99);
	v3_irq_set(vm, 5, true);
	CHECK_EQ(nsent, 1);
	CHECK_EQ(sent[0].dest, 0xff);
	CHECK(sent[0].logical && sent[0].level && sent[0].broadcast);
	close_recorded(vm);
}

static void test_ioapic_delivery_modes(void)
{
	/* Level triggering is for fixed and lowest priority only: the others go out on the edge. */
	static const struct {
		unsigned mode;
		bool sent, level;
	} t[] = {
		{0, true, true},  {1, true, true},  {2, true, false},  {3, false, false},
		{4, true, false}, {5, true, false}, {6, false, false}, {7, true, false},
	};
	struct v3_vm *vm = open_recorded();

	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		rig_io_write(vm, ENTRY(7), LEVEL | t[i].mode << 8 | 0x55);
		v3_irq_set(vm, 7, true);
		CHECK_MSG(nsent == t[i].sent, "mode %u: %u messages", t[i].mode, nsent);
		if (t[i].sent) {
			CHECK_EQ(sent[0].mode, t[i].mode);
			CHECK_EQ(sent[0].level, t[i].level);
		}
		CHECK_EQ(rig_io_read(vm, ENTRY(7)) & REMOTE_IRR, t[i].level ? REMOTE_IRR : 0);
		v3_irq_set(vm, 7, false);
		v3_eoi_broadcast(vm, 0x55);
		CHECK_EQ(rig_io_read(vm, ENTRY(7)) & REMOTE_IRR, 0);
		take_sent();
	}
	close_recorded(vm);
}

static void test_ioapic_edge(void)
{
	struct v3_vm *vm = open_recorded();

	rig_io_write(vm, ENTRY(4), 0x44);
	v3_irq_set(vm, 4, true);
	CHECK_EQ(take_sent(), 1);
	v3_irq_set(vm, 4, true); /* no edge */
	CHECK_EQ(take_sent(), 0);
	v3_irq_set(vm, 4, false);
	CHECK_EQ(take_sent(), 0);
	v3_irq_set(vm, 4, true);
	CHECK_EQ(take_sent(), 1);
	v3_irq_set(vm, 4, false);
	/* An edge on a masked pin is lost; unmasking does not make one. */
	rig_io_write(vm, ENTRY(4), MASKED | 0x44);
	v3_irq_set(vm, 4, true);
	rig_io_write(vm, ENTRY(4), 0x44);
	CHECK_EQ(take_sent(), 0);
	CHECK_EQ(rig_io_read(vm, ENTRY(4)), 0x44);
	close_recorded(vm);
}

static void test_ioapic_level(void)
{
	struct v3_vm *vm = open_recorded();

	rig_io_write(vm, ENTRY(20), LEVEL | MASKED | 0x44);
	v3_irq_set(vm, 20, true);
	CHECK_EQ(take_sent(), 0);
	rig_io_write(vm, ENTRY(20), LEVEL | 0x44); /* still asserted: delivered when unmasked */
	CHECK_EQ(take_sent(), 1);
	CHECK_EQ(rig_io_read(vm, ENTRY(20)), LEVEL | REMOTE_IRR | 0x44);
	v3_irq_set(vm, 20, true);
	rig_io_write(vm, ENTRY(20), LEVEL | 0x44);
	CHECK_EQ(take_sent(), 0); /* not before the end of the first */
	v3_eoi_broadcast(vm, 0x45);
	CHECK_EQ(take_sent(), 0); /* another vector */
	v3_eoi_broadcast(vm, 0x44);
	CHECK_EQ(take_sent(), 1); /* asserted still: again */
	CHECK_EQ(rig_io_read(vm, ENTRY(20)) & REMOTE_IRR, REMOTE_IRR);
	v3_irq_set(vm, 20, false);
	v3_eoi_broadcast(vm, 0x44);
	CHECK_EQ(take_sent(), 0);
	CHECK_EQ(rig_io_read(vm, ENTRY(20)) & REMOTE_IRR, 0);
	v3_irq_set(vm, 20, true);
	CHECK_EQ(take_sent(), 1);
	/* Masked while in service: the end is seen, the line waits. */
	rig_io_write(vm, ENTRY(20), LEVEL | MASKED | 0x44);
	CHECK_EQ(rig_io_read(vm, ENTRY(20)) & REMOTE_IRR, REMOTE_IRR);
	v3_eoi_broadcast(vm, 0x44);
	CHECK_EQ(take_sent(), 0);
	rig_io_write(vm, ENTRY(20), LEVEL | 0x44);
	CHECK_EQ(take_sent(), 1);
	close_recorded(vm);
}

static void test_ioapic_eoi_register_and_edge_trick(void)
{
	struct v3_vm *vm = open_recorded();
	uint64_t vector = 0x66;

	rig_io_write(vm, ENTRY(16), LEVEL | 0x66);
	rig_io_write(vm, ENTRY(17), LEVEL | 0x66);
	v3_irq_set(vm, 16, true);
	v3_irq_set(vm, 17, true);
	CHECK_EQ(take_sent(), 2);
	v3_irq_set(vm, 17, false);
	CHECK_EQ(rig_mmio(vm, 0, V3_PC_IOAPIC_BASE + 0x40, 4, true, &vector), V3_OK);
	CHECK_EQ(take_sent(), 1);
	CHECK_EQ(rig_io_read(vm, ENTRY(16)) & REMOTE_IRR, REMOTE_IRR);
	CHECK_EQ(rig_io_read(vm, ENTRY(17)) & REMOTE_IRR, 0);
	/* Guests end one by hand by switching to edge and back. */
	rig_io_write(vm, ENTRY(16), MASKED | 0x66);
	CHECK_EQ(rig_io_read(vm, ENTRY(16)) & REMOTE_IRR, 0);
	rig_io_write(vm, ENTRY(16), LEVEL | 0x66);
	CHECK_EQ(take_sent(), 1);
	close_recorded(vm);
}

/* With the real local APICs: the round of a level-triggered interrupt through EOI. */
static void test_ioapic_level_round_through_the_local_apic(void)
{
	struct v3_vm *vm = rig_open(2);

	rig_x_write(vm, 1, 0x0f, 0x1ff);
	rig_io_write(vm, ENTRY(19) + 1, 1u << 24);
	rig_io_write(vm, ENTRY(19), LEVEL | 0x71);
	v3_irq_set(vm, 19, true);
	CHECK_EQ(rig_take(vm, 1, V3_REQ_IRQ), V3_REQ_IRQ);
	CHECK_EQ(rig_serve(vm, 1), 0x71);
	CHECK_EQ(rig_take(vm, 1, V3_REQ_IRQ), V3_REQ_IRQ);
	CHECK_EQ(rig_pending(vm, 1), 0x71);
	rig_ack(vm, 1, 0x71);
	v3_irq_set(vm, 19, false);
	CHECK_EQ(rig_io_read(vm, ENTRY(19)) & REMOTE_IRR, REMOTE_IRR);
	rig_x_write(vm, 1, 0x0b, 0);
	CHECK_EQ(rig_io_read(vm, ENTRY(19)) & REMOTE_IRR, 0);
	CHECK_EQ(rig_pending(vm, 1), V3_EAGAIN);
	rig_close(vm);
}

/* Random writes, lines and EOIs; after each the rules of a pin must hold. */
static void test_ioapic_random_against_the_rules(void)
{
	struct v3_vm *vm = open_recorded();
	bool line[NPINS] = {false};

	for (unsigned step = 0; step < 100000 && !tap.failures; step++) {
		unsigned pin = 3 + (unsigned)tap_rand() % 21;
		uint32_t before = rig_io_read(vm, ENTRY(pin)), entry = before;
		bool was = line[pin], sends;

		take_sent();
		switch (tap_rand() % 4) {
		case 0:
			entry = (uint32_t)tap_rand() & (LEVEL | MASKED | 0x103);
			rig_io_write(vm, ENTRY(pin), entry);
			entry |= entry & LEVEL ? before & REMOTE_IRR : 0;
			sends = line[pin] && (entry & (LEVEL | MASKED | REMOTE_IRR)) == LEVEL;
			break;
		case 1:
			/* Only this pin shares the vector here: others are looked at by their own
			 * steps. */
			for (unsigned other = 3; other < NPINS; other++) {
				if (other != pin)
					rig_io_write(vm, ENTRY(other), MASKED | 0xf0);
			}
			take_sent();
			v3_eoi_broadcast(vm, (uint8_t)before);
			entry = before & ~REMOTE_IRR;
			sends = line[pin] &&
				(before & (LEVEL | MASKED | REMOTE_IRR)) == (LEVEL | REMOTE_IRR);
			break;
		default:
			line[pin] = tap_rand() & 1;
			v3_irq_set(vm, pin, line[pin]);
			if (entry & LEVEL)
				sends = line[pin] && !(entry & (MASKED | REMOTE_IRR));
			else
				sends = line[pin] && !was && !(entry & MASKED);
		}
		if (sends && (entry & LEVEL))
			entry |= REMOTE_IRR;
		CHECK_MSG(nsent == sends, "step %u: %u messages, expected %d", step, nsent, sends);
		CHECK_MSG(rig_io_read(vm, ENTRY(pin)) == entry, "step %u: entry %#x, expected %#x",
			  step, rig_io_read(vm, ENTRY(pin)), entry);
	}
	close_recorded(vm);
}

static void test_ioapic_survives_random_accesses(void)
{
	static const uint8_t sizes[] = {1, 2, 4, 4, 8};
	struct v3_vm *vm = rig_open(2);

	for (unsigned i = 0; i < 100000; i++) {
		unsigned size = sizes[tap_rand() % 5];
		unsigned offset =
			(unsigned)tap_rand() & (tap_rand() & 1 ? 0x5f : 0xfff) & ~(size - 1);
		uint64_t value = size == 8 ? tap_rand() : tap_rand() & ((1ull << size * 8) - 1);

		CHECK_EQ(rig_mmio(vm, (unsigned)i & 1, V3_PC_IOAPIC_BASE + offset, size,
				  tap_rand() & 1, &value),
			 V3_OK);
		rig_io_write(vm, (unsigned)tap_rand() & 0xff, (uint32_t)tap_rand());
		v3_irq_set(vm, (unsigned)tap_rand() % 32, tap_rand() & 1);
		rig_serve(vm, 0);
		for (unsigned cpu = 0; cpu < 2; cpu++)
			rig_take(vm, cpu, ~0u);
	}
	rig_close(vm);
}

static const struct tap_test tests[] = {
	TAP(test_ioapic_reset_values),
	TAP(test_ioapic_register_rules),
	TAP(test_ioapic_access_sizes),
	TAP(test_ioapic_lines_are_wired_to_pins),
	TAP(test_ioapic_message_fields),
	TAP(test_ioapic_delivery_modes),
	TAP(test_ioapic_edge),
	TAP(test_ioapic_level),
	TAP(test_ioapic_eoi_register_and_edge_trick),
	TAP(test_ioapic_level_round_through_the_local_apic),
	TAP(test_ioapic_random_against_the_rules),
	TAP(test_ioapic_survives_random_accesses),
};
TAP_MAIN(tests)
