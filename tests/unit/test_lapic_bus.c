// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file test_lapic_bus.c
 * Messages between local APICs: delivery modes, destinations, shorthands, lowest priority, and
 * several vcpus sending at once; SDM 3A 10.6 and 10.12.
 */
#include "intr_rig.h"

#include <pthread.h>
#include <sched.h>

#define TPR  0x08
#define LDR  0x0d
#define DFR  0x0e
#define SVR  0x0f
#define ICR  0x30
#define ICR2 0x31

#define NCPUS	5
#define ASSERT	(1u << 14)
#define LEVEL	(1u << 15)
#define LOGICAL (1u << 11)
#define OTHERS	(3u << 18)
#define ALL	(2u << 18)
#define SELF	(1u << 18)
#define MODE(m) ((uint32_t)(m) << 8)

/** A VM with all APICs software-enabled. */
static struct v3_vm *open_all(void)
{
	struct v3_vm *vm = rig_open(NCPUS);

	for (unsigned cpu = 0; cpu < NCPUS; cpu++)
		rig_x_write(vm, cpu, SVR, 0x1ff);
	return vm;
}

static void icr(struct v3_vm *vm, unsigned cpu, uint8_t dest, uint32_t low)
{
	rig_x_write(vm, cpu, ICR2, (uint32_t)dest << 24);
	rig_x_write(vm, cpu, ICR, low);
}

/** vcpus that have @p vector pending, as a mask; it is served. */
static unsigned receivers(struct v3_vm *vm, int vector)
{
	unsigned mask = 0;

	for (unsigned cpu = 0; cpu < NCPUS; cpu++) {
		if (rig_pending(vm, cpu) != vector)
			continue;
		mask |= 1u << cpu;
		vm->intr.lapic->ack(vm->intr.lapic_priv, vm->vcpu[cpu], (uint8_t)vector);
		vm->intr.lapic->init(vm->intr.lapic_priv, vm->vcpu[cpu]);
	}
	return mask;
}

/** vcpus that have request @p bit, as a mask; it is taken. */
static unsigned requested(struct v3_vm *vm, uint32_t bit)
{
	unsigned mask = 0;

	for (unsigned cpu = 0; cpu < NCPUS; cpu++)
		mask |= (rig_take(vm, cpu, bit) ? 1u : 0u) << cpu;
	return mask;
}

static void test_lapic_bus_shorthands(void)
{
	static const struct {
		uint32_t low;
		unsigned want;
	} t[] = {
		{SELF | 0x41, 1u << 2},
		{ALL | 0x41, 0x1f},
		{OTHERS | 0x41, 0x1f & ~(1u << 2)},
		{OTHERS | LOGICAL | 0x41, 0x1f & ~(1u << 2)}, /* destination not looked at */
		{SELF | MODE(V3_DELIVER_LOWEST) | 0x41, 0},   /* not valid, table 10-3 */
		{ALL | MODE(V3_DELIVER_LOWEST) | 0x41, 0},
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		struct v3_vm *vm = open_all();

		icr(vm, 2, 0x04, t[i].low);
		CHECK_MSG(receivers(vm, 0x41) == t[i].want, "case %u", i);
		rig_close(vm);
	}
}

static void test_lapic_bus_delivery_modes(void)
{
	static const struct {
		uint32_t low;
		uint32_t request; /* V3_REQ_* at vcpu 3, nothing at the others */
		uint32_t others;  /* the same for a command to all but self */
	} t[] = {
		{MODE(V3_DELIVER_FIXED) | 0x50, V3_REQ_IRQ, 0x1d},
		{MODE(V3_DELIVER_NMI) | 0x50, V3_REQ_NMI, 0x1d},
		{MODE(V3_DELIVER_INIT) | ASSERT | LEVEL, V3_REQ_INIT, 0x1d},
		{MODE(V3_DELIVER_INIT) | ASSERT, V3_REQ_INIT, 0x1d},
		{MODE(V3_DELIVER_INIT) | LEVEL, 0, 0}, /* de-assert */
		{MODE(V3_DELIVER_SMI), 0, 0},
		{MODE(3) | 0x50, 0, 0},
		{MODE(V3_DELIVER_EXTINT) | 0x50, 0, 0},
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		struct v3_vm *vm = open_all();
		uint32_t any = V3_REQ_IRQ | V3_REQ_NMI | V3_REQ_INIT | V3_REQ_SIPI;

		requested(vm, any);
		icr(vm, 1, 3, t[i].low);
		CHECK_EQ(rig_take(vm, 3, any), t[i].request);
		CHECK_EQ(requested(vm, any), 0);
		rig_reset(vm);
		for (unsigned cpu = 0; cpu < NCPUS; cpu++)
			rig_x_write(vm, cpu, SVR, 0x1ff);
		requested(vm, any);
		icr(vm, 1, 0, OTHERS | t[i].low);
		CHECK_MSG(requested(vm, t[i].request ? t[i].request : any) == t[i].others,
			  "case %u", i);
		CHECK_EQ(requested(vm, any), 0);
		rig_close(vm);
	}
}

/* NMI is the only other command to oneself that has an effect. */
static void test_lapic_bus_nmi_to_self(void)
{
	struct v3_vm *vm = open_all();

	icr(vm, 1, 0, SELF | MODE(V3_DELIVER_NMI));
	CHECK_EQ(requested(vm, V3_REQ_NMI), 1u << 1);
	icr(vm, 1, 0, ALL | MODE(V3_DELIVER_NMI));
	CHECK_EQ(requested(vm, V3_REQ_NMI), 0x1f);
	icr(vm, 1, 0, SELF | MODE(V3_DELIVER_INIT) | ASSERT);
	icr(vm, 1, 0, ALL | MODE(V3_DELIVER_SIPI) | 0x10);
	CHECK_EQ(requested(vm, V3_REQ_INIT | V3_REQ_SIPI), 0);
	rig_close(vm);
}

static void test_lapic_bus_disabled_receivers(void)
{
	struct v3_vm *vm = open_all();
	uint32_t any = V3_REQ_IRQ | V3_REQ_NMI | V3_REQ_INIT;

	/* Software-disabled: no fixed interrupts, but NMI and INIT (SDM 3A 10.4.7.2). */
	rig_x_write(vm, 3, SVR, 0xff);
	/* Globally disabled: not on the bus. */
	CHECK_EQ(rig_wrmsr(vm, 4, V3_MSR_APIC_BASE, V3_PC_LAPIC_BASE), V3_OK);
	requested(vm, any);
	icr(vm, 0, 3, 0x60);
	icr(vm, 0, 4, 0x60);
	CHECK_EQ(requested(vm, any), 0);
	icr(vm, 0, 3, MODE(V3_DELIVER_NMI));
	icr(vm, 0, 4, MODE(V3_DELIVER_NMI));
	CHECK_EQ(requested(vm, any), 1u << 3);
	icr(vm, 0, 0xff, 0x60);
	CHECK_EQ(requested(vm, any), 0x07);
	rig_close(vm);
}

/* ---- destinations against a reference ---- */

struct model {
	bool x2[NCPUS];
	uint8_t ldr[NCPUS], dfr[NCPUS]; /* upper bits only */
};

static bool model_match(const struct model *m, unsigned cpu, uint32_t dest, bool logical,
			bool from_x2)
{
	if (dest == (from_x2 ? 0xffffffff : 0xff))
		return true;
	if (!logical)
		return dest == cpu;
	if (m->x2[cpu])
		return dest < 0x10000 && (dest & 1u << cpu);
	if (dest > 0xff)
		return false;
	if (m->dfr[cpu] == 0xf)
		return (dest & m->ldr[cpu]) != 0;
	return m->dfr[cpu] == 0 && dest / 16 == m->ldr[cpu] / 16 && (dest & m->ldr[cpu] & 15) != 0;
}

/** Random modes and logical ids for all APICs of a VM that is reset. */
static void model_fill(struct model *m, struct v3_vm *vm)
{
	static const uint8_t dfrs[] = {0xf, 0xf, 0x0, 0x0, 0x5};

	for (unsigned cpu = 0; cpu < NCPUS; cpu++) {
		m->ldr[cpu] = (uint8_t)tap_rand();
		m->dfr[cpu] = dfrs[tap_rand() % 5];
		m->x2[cpu] = tap_rand() % 3 == 0;
		rig_x_write(vm, cpu, LDR, (uint32_t)m->ldr[cpu] << 24);
		rig_x_write(vm, cpu, DFR, (uint32_t)m->dfr[cpu] << 28);
		if (m->x2[cpu])
			rig_wrmsr(vm, cpu, V3_MSR_APIC_BASE, V3_PC_LAPIC_BASE | 0xc00);
	}
}

static uint32_t model_dest(bool from_x2)
{
	switch (tap_rand() % 5) {
	case 0:
		return (uint32_t)tap_rand() % NCPUS;
	case 1:
		return from_x2 ? 0xffffffff : 0xff;
	case 2:
		return from_x2 ? (uint32_t)tap_rand() : (uint32_t)tap_rand() & 0xff;
	}
	return (uint32_t)tap_rand() & 0xff;
}

static void test_lapic_bus_destinations(void)
{
	struct v3_vm *vm = open_all();

	for (unsigned round = 0; round < 400 && !tap.failures; round++) {
		struct model m;

		rig_reset(vm);
		model_fill(&m, vm);
		for (unsigned i = 0; i < 20; i++) {
			unsigned from = (unsigned)tap_rand() % NCPUS, got = 0, want = 0;
			bool logical = tap_rand() & 1;
			uint32_t dest = model_dest(m.x2[from]);
			uint32_t low = (logical ? LOGICAL : 0) | MODE(V3_DELIVER_NMI);

			if (m.x2[from])
				rig_wrmsr(vm, from, 0x830, (uint64_t)dest << 32 | low);
			else
				icr(vm, from, (uint8_t)dest, low);
			for (unsigned cpu = 0; cpu < NCPUS; cpu++)
				want |= (unsigned)model_match(&m, cpu, dest, logical, m.x2[from])
					<< cpu;
			got = requested(vm, V3_REQ_NMI);
			CHECK_MSG(got == want,
				  "round %u: dest %#x logical %d from %s: %#x, expected %#x", round,
				  dest, logical, m.x2[from] ? "x2" : "x", got, want);
		}
	}
	rig_close(vm);
}

static void test_lapic_bus_x2apic_clusters(void)
{
	struct v3_vm *vm = rig_open(20);
	unsigned got = 0;

	for (unsigned cpu = 0; cpu < 20; cpu++)
		rig_wrmsr(vm, cpu, V3_MSR_APIC_BASE, V3_PC_LAPIC_BASE | 0xc00);
	for (unsigned cpu = 0; cpu < 20; cpu++)
		rig_take(vm, cpu, V3_REQ_NMI);
	/* Cluster 1, members 1 and 3: ids 17 and 19. */
	CHECK_EQ(rig_wrmsr(vm, 0, 0x830, 0x0001000aull << 32 | LOGICAL | MODE(V3_DELIVER_NMI)),
		 V3_OK);
	for (unsigned cpu = 0; cpu < 20; cpu++)
		got |= (rig_take(vm, cpu, V3_REQ_NMI) ? 1u : 0u) << cpu;
	CHECK_EQ(got, 1u << 17 | 1u << 19);
	rig_close(vm);
}

static void test_lapic_bus_lowest_priority(void)
{
	struct v3_vm *vm = open_all();
	struct v3_apic_msg msg = {
		.broadcast = true,
		.vector = 0x70,
		.mode = V3_DELIVER_LOWEST,
	};
	static const uint8_t tpr[NCPUS] = {0x50, 0x30, 0x60, 0x30, 0x20};
	unsigned count[NCPUS] = {0};

	for (unsigned cpu = 0; cpu < NCPUS; cpu++)
		rig_x_write(vm, cpu, TPR, tpr[cpu]);
	rig_x_write(vm, 4, SVR, 0xff); /* lowest, but takes none */
	for (unsigned i = 0; i < 100; i++) {
		v3_apic_send(vm, &msg);
		for (unsigned cpu = 0; cpu < NCPUS; cpu++)
			count[cpu] += rig_serve(vm, cpu) == 0x70;
	}
	/* The two with the lowest priority share. */
	CHECK_EQ(count[0] + count[2] + count[4], 0);
	CHECK_EQ(count[1] + count[3], 100);
	CHECK(count[1] >= 30 && count[3] >= 30);
	/* Nobody left: dropped. */
	for (unsigned cpu = 0; cpu < NCPUS; cpu++)
		rig_x_write(vm, cpu, SVR, 0xff);
	v3_apic_send(vm, &msg);
	for (unsigned cpu = 0; cpu < NCPUS; cpu++)
		CHECK_EQ(rig_pending(vm, cpu), V3_EAGAIN);
	rig_close(vm);
}

static void test_lapic_bus_sipi_vector(void)
{
	struct v3_vm *vm = open_all();

	/* Application processors wait for a SIPI from power-on; vcpu 0 does not and ignores it. */
	icr(vm, 0, 2, MODE(V3_DELIVER_SIPI) | 0x9a);
	CHECK_EQ(rig_take(vm, 2, V3_REQ_SIPI), V3_REQ_SIPI);
	CHECK_EQ(vm->vcpu[2]->sipi_vector, 0x9a);
	CHECK_EQ(rig_take(vm, 1, V3_REQ_SIPI), 0);
	rig_close(vm);
}

static void test_lapic_bus_unknown_destination_is_dropped(void)
{
	struct v3_vm *vm = open_all();
	struct v3_apic_msg msg = {.dest = 0xffffffff, .vector = 0x44};

	for (unsigned mode = 0; mode < 8; mode++) {
		msg.mode = (enum v3_delivery)mode;
		msg.dest = NCPUS;
		v3_apic_send(vm, &msg);
		msg.dest = 0xffffffff;
		v3_apic_send(vm, &msg);
	}
	for (unsigned cpu = 0; cpu < NCPUS; cpu++)
		CHECK_EQ(rig_pending(vm, cpu), V3_EAGAIN);
	rig_close(vm);
}

/* ---- several threads ---- */

#define ROUNDS 20000

struct sender {
	struct v3_vm *vm;
	uint8_t vector;
	unsigned *taken; /* by the receiver, atomic */
	bool stuck;
};

/* Sends its vector, waits until the receiver took it, and again. */
static void *sender_run(void *arg)
{
	struct sender *s = arg;
	struct v3_apic_msg msg = {.dest = 0, .vector = s->vector};

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t spins = 0;

		v3_apic_send(s->vm, &msg);
		while (__atomic_load_n(s->taken, __ATOMIC_ACQUIRE) == i) {
			if (++spins > 1000000000ull) {
				s->stuck = true;
				return NULL;
			}
			if (spins % 64 == 0)
				sched_yield();
		}
	}
	return NULL;
}

static void test_lapic_bus_no_interrupt_is_lost_between_threads(void)
{
	struct v3_vm *vm = open_all();
	unsigned taken[3] = {0}, total = 0;
	struct sender s[3];
	pthread_t thread[3];

	rig_take(vm, 0, ~0u);
	for (unsigned i = 0; i < 3; i++) {
		s[i] = (struct sender){
			.vm = vm, .vector = (uint8_t)(0x45 + 0x50 * i), .taken = &taken[i]};
		REQUIRE_EQ(pthread_create(&thread[i], NULL, sender_run, &s[i]), 0);
	}
	/* As the run loop: look only when asked to, take all there is. */
	while (total < 3 * ROUNDS && !__atomic_load_n(&s[0].stuck, __ATOMIC_RELAXED)) {
		int vector;

		if (!rig_take(vm, 0, V3_REQ_IRQ)) {
			sched_yield();
			continue;
		}
		while ((vector = rig_serve(vm, 0)) >= 0) {
			total++;
			__atomic_fetch_add(&taken[(vector - 0x45) / 0x50], 1, __ATOMIC_RELEASE);
		}
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(thread[i], NULL);
		CHECK(!s[i].stuck);
		CHECK_EQ(taken[i], ROUNDS);
	}
	rig_close(vm);
}

static const struct tap_test tests[] = {
	TAP(test_lapic_bus_shorthands),
	TAP(test_lapic_bus_delivery_modes),
	TAP(test_lapic_bus_nmi_to_self),
	TAP(test_lapic_bus_disabled_receivers),
	TAP(test_lapic_bus_destinations),
	TAP(test_lapic_bus_x2apic_clusters),
	TAP(test_lapic_bus_lowest_priority),
	TAP(test_lapic_bus_sipi_vector),
	TAP(test_lapic_bus_unknown_destination_is_dropped),
	TAP(test_lapic_bus_no_interrupt_is_lost_between_threads),
};
TAP_MAIN(tests)
