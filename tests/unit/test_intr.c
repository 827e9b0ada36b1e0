// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file test_intr.c
 * Routing of lines and messages, and delivery to the guest: src/intr.
 */
#include "fake_arch.h"
#include "fake_vm.h"
#include "intr_rig.h"

/* ---- lines ---- */

struct sink {
	unsigned calls, gsi;
	bool level;
};

static void sink_fn(void *priv, unsigned gsi, bool level)
{
	struct sink *sink = priv;

	sink->calls++;
	sink->gsi = gsi;
	sink->level = level;
}

static void test_intr_every_sink_sees_every_line(void)
{
	struct v3_vm *vm = rig_open_bare(1);
	struct sink sink[V3_INTR_SINKS + 1] = {{0}};

	for (unsigned i = 0; i < V3_INTR_SINKS; i++)
		CHECK_EQ(v3_irq_sink_register(vm, sink_fn, &sink[i]), V3_OK);
	CHECK_EQ(v3_irq_sink_register(vm, sink_fn, &sink[V3_INTR_SINKS]), V3_ENOSPC);
	v3_irq_set(vm, 23, true);
	v3_irq_set(vm, 24, true); /* no such line */
	for (unsigned i = 0; i < V3_INTR_SINKS; i++) {
		CHECK_EQ(sink[i].calls, 1);
		CHECK_EQ(sink[i].gsi, 23);
		CHECK(sink[i].level);
	}
	v3_irq_sink_unregister(vm, &sink[1]);
	v3_irq_pulse(vm, 7);
	CHECK_EQ(sink[0].calls, 3);
	CHECK(!sink[0].level);
	CHECK_EQ(sink[1].calls, 1);
	CHECK_EQ(v3_irq_sink_register(vm, sink_fn, &sink[V3_INTR_SINKS]), V3_OK);
	v3_irq_set(vm, 0, true);
	CHECK_EQ(sink[V3_INTR_SINKS].calls, 1);
	rig_close(vm);
}

static struct v3_apic_msg last;
static unsigned nmsgs;

static void record_msg(void *priv, const struct v3_apic_msg *msg)
{
	(void)priv;
	last = *msg;
	nmsgs++;
}

static const struct v3_lapic_ops recorder = {.send = record_msg};

static void test_intr_message_signalled(void)
{
	static const struct {
		uint64_t addr;
		uint32_t data;
		bool sent;
		struct v3_apic_msg want;
	} t[] = {
		{0xfee03000, 0x0041, true, {.dest = 3, .vector = 0x41}},
		{0xfee03004, 0x0041, true, {.dest = 3, .vector = 0x41, .logical = true}},
		{0xfee0300c,
		 0x0041,
		 true,
		 {.dest = 3, .vector = 0x41, .logical = true, .mode = V3_DELIVER_LOWEST}},
		{0xfee03008, 0x0441, true, {.dest = 3, .vector = 0x41, .mode = V3_DELIVER_NMI}},
		{0xfee00000, 0x0141, true, {.vector = 0x41, .mode = V3_DELIVER_LOWEST}},
		{0xfeeff000, 0x0041, true, {.dest = 0xff, .vector = 0x41, .broadcast = true}},
		{0xfee01000, 0xc041, true, {.dest = 1, .vector = 0x41, .level = true}},
		{0xfee01000, 0x8041, false, {0}}, /* level de-asserted */
		{0xfef00000, 0x0041, false, {0}},
		{0x1fee00000, 0x0041, false, {0}},
		{0, 0x0041, false, {0}},
	};
	struct v3_vm *vm = rig_open_bare(1);

	CHECK_EQ(v3_lapic_register(vm, &recorder, NULL), V3_OK);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		const struct v3_apic_msg *w = &t[i].want;

		nmsgs = 0;
		v3_msi_send(vm, t[i].addr, t[i].data);
		CHECK_MSG(nmsgs == t[i].sent, "case %u: %u messages", i, nmsgs);
		if (t[i].sent && nmsgs)
			CHECK_MSG(last.dest == w->dest && last.vector == w->vector &&
					  last.mode == w->mode && last.logical == w->logical &&
					  last.broadcast == w->broadcast &&
					  last.level == w->level && !last.except,
				  "case %u", i);
	}
	v3_lapic_unregister(vm);
	v3_msi_send(vm, 0xfee00000, 0x41); /* nobody there: dropped */
	v3_apic_send(vm, &last);
	v3_eoi_broadcast(vm, 0x41);
	v3_extint_request(vm);
	rig_close(vm);
}

static void test_intr_one_controller_of_a_kind(void)
{
	struct v3_vm *vm = rig_open(1);

	CHECK_EQ(v3_lapic_register(vm, &recorder, NULL), V3_EEXIST);
	CHECK_EQ(v3_eoi_register(vm, NULL, NULL), V3_EEXIST);
	CHECK_EQ(v3_extint_register(vm, NULL, NULL), V3_EEXIST);
	rig_close(vm);
}

/* ---- delivery ---- */

static struct fake_cpu *cpu_of(struct v3_vm *vm, unsigned cpu)
{
	return vm->vcpu[cpu]->arch_vcpu;
}

/** A VM whose vcpus take interrupts, 8259 pair initialized to 0x30, unmasked, APICs on. */
static struct v3_vm *open_ready(unsigned nvcpus)
{
	struct v3_vm *vm = rig_open(nvcpus);
	static const uint16_t port[] = {0x20, 0x21, 0x21, 0x21, 0x21};
	static const uint8_t word[] = {0x11, 0x30, 0x04, 0x01, 0x00};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(port); i++)
		rig_out(vm, port[i], 1, word[i]);
	for (unsigned cpu = 0; cpu < nvcpus; cpu++) {
		vm->vcpu[cpu]->regs.rflags |= V3_RFLAGS_IF;
		rig_x_write(vm, cpu, 0x0f, 0x1ff);
		rig_take(vm, cpu, ~0u);
	}
	return vm;
}

static void self_ipi(struct v3_vm *vm, unsigned cpu, uint8_t vector)
{
	rig_x_write(vm, cpu, 0x30, 1u << 18 | vector);
}

/** One turn of the run loop: serve the request if it is set. @return injected vector, -1 if none.
 * */
static int turn(struct v3_vm *vm, unsigned cpu)
{
	struct fake_cpu *fc = cpu_of(vm, cpu);
	int vector = -1;

	fc->want_intr = false;
	if (rig_take(vm, cpu, V3_REQ_IRQ))
		v3_intr_service(vm->vcpu[cpu]);
	if (fc->inject.type == V3_EVENT_INTR)
		vector = fc->inject.vector;
	fc->inject.type = V3_EVENT_NONE;
	return vector;
}

static void test_intr_service_injects(void)
{
	struct v3_vm *vm = open_ready(2);

	CHECK_EQ(turn(vm, 1), -1);
	self_ipi(vm, 1, 0x55);
	CHECK_EQ(turn(vm, 1), 0x55);
	CHECK(!cpu_of(vm, 1)->want_intr);
	CHECK_EQ(rig_x_read(vm, 1, 0x12), 1u << 21); /* in service */
	CHECK_EQ(turn(vm, 1), -1);
	rig_x_write(vm, 1, 0x0b, 0);
	CHECK_EQ(turn(vm, 1), -1);
	/* Asked without reason: nothing happens. */
	v3_vcpu_irq_request(vm->vcpu[1]);
	CHECK_EQ(turn(vm, 1), -1);
	CHECK(!cpu_of(vm, 1)->want_intr);
	rig_close(vm);
}

static void test_intr_window_when_the_guest_cannot_take_it(void)
{
	struct v3_vm *vm = open_ready(1);
	struct v3_vcpu *vcpu = vm->vcpu[0];

	vcpu->regs.rflags &= ~V3_RFLAGS_IF;
	self_ipi(vm, 0, 0x66);
	CHECK_EQ(turn(vm, 0), -1);
	CHECK(cpu_of(vm, 0)->want_intr);
	CHECK_EQ(cpu_of(vm, 0)->window_vector, 0x66);
	CHECK_EQ(rig_pending(vm, 0), 0x66); /* not taken yet */
	/* IF on, but in the shadow of STI. */
	vcpu->regs.rflags |= V3_RFLAGS_IF;
	cpu_of(vm, 0)->shadow = true;
	CHECK_EQ(v3_intr_window_exit(vcpu, NULL), V3_OK);
	CHECK_EQ(turn(vm, 0), -1);
	CHECK(cpu_of(vm, 0)->want_intr);
	cpu_of(vm, 0)->shadow = false;
	CHECK_EQ(v3_intr_window_exit(vcpu, NULL), V3_OK);
	CHECK_EQ(turn(vm, 0), 0x66);
	CHECK(!cpu_of(vm, 0)->want_intr);
	rig_close(vm);
}

static void test_intr_queued_event_goes_first(void)
{
	struct v3_vm *vm = open_ready(1);
	struct v3_vcpu *vcpu = vm->vcpu[0];

	self_ipi(vm, 0, 0x66);
	vcpu->pending = (struct v3_event){.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_UD};
	CHECK_EQ(turn(vm, 0), -1);
	CHECK(cpu_of(vm, 0)->want_intr);
	/* The exception is on its way in this entry: nothing else fits. */
	vcpu->pending.type = V3_EVENT_NONE;
	cpu_of(vm, 0)->inject = (struct v3_event){.type = V3_EVENT_EXCEPTION, .vector = V3_VEC_UD};
	v3_intr_window_exit(vcpu, NULL);
	CHECK_EQ(turn(vm, 0), -1);
	CHECK(cpu_of(vm, 0)->want_intr);
	v3_intr_window_exit(vcpu, NULL);
	CHECK_EQ(turn(vm, 0), 0x66);
	rig_close(vm);
}

static void test_intr_extint_after_the_local_apic(void)
{
	struct v3_vm *vm = open_ready(2);

	v3_irq_pulse(vm, 1);
	CHECK_EQ(rig_take(vm, 1, V3_REQ_IRQ), 0); /* wired to vcpu 0 */
	self_ipi(vm, 0, 0x77);
	CHECK_EQ(turn(vm, 0), 0x77);
	/* Task priority and service do not hold ExtINT back: it wants the next chance. */
	CHECK(cpu_of(vm, 0)->want_intr);
	v3_intr_window_exit(vm->vcpu[0], NULL);
	CHECK_EQ(turn(vm, 0), 0x31);
	CHECK(!cpu_of(vm, 0)->want_intr);
	/* Masked at LINT0: waits there, announced when unmasked. */
	rig_out(vm, 0x20, 1, 0x20);
	rig_x_write(vm, 0, 0x35, 0x10700);
	v3_irq_pulse(vm, 1);
	CHECK_EQ(turn(vm, 0), -1);
	CHECK(!cpu_of(vm, 0)->want_intr);
	rig_x_write(vm, 0, 0x35, 0x00700);
	CHECK_EQ(turn(vm, 0), 0x31);
	rig_close(vm);
}

static void test_intr_pic_alone(void)
{
	struct v3_vm *vm = rig_open_bare(1);

	rig_add(vm, &v3_device_i8259);
	rig_out(vm, 0x21, 1, 0xfe);
	vm->vcpu[0]->regs.rflags |= V3_RFLAGS_IF;
	v3_irq_pulse(vm, 0);
	CHECK(v3_intr_deliverable(vm->vcpu[0]));
	CHECK_EQ(turn(vm, 0), 0x08);
	CHECK(!v3_intr_deliverable(vm->vcpu[0]));
	rig_close(vm);
}

static void test_intr_deliverable(void)
{
	struct v3_vm *vm = open_ready(2);
	struct v3_vcpu *vcpu = vm->vcpu[1];

	CHECK(!v3_intr_deliverable(vcpu));
	self_ipi(vm, 1, 0x41);
	CHECK(v3_intr_deliverable(vcpu));
	vcpu->regs.rflags &= ~V3_RFLAGS_IF;
	CHECK(!v3_intr_deliverable(vcpu));
	vcpu->regs.rflags |= V3_RFLAGS_IF;
	rig_x_write(vm, 1, 0x08, 0x40); /* task priority of the same class */
	CHECK(!v3_intr_deliverable(vcpu));
	rig_x_write(vm, 1, 0x08, 0x3f);
	CHECK(v3_intr_deliverable(vcpu));
	CHECK_EQ(rig_pending(vm, 1), 0x41); /* asking takes nothing */
	/* The 8259 pair wakes vcpu 0 only. */
	v3_irq_pulse(vm, 3);
	CHECK(v3_intr_deliverable(vm->vcpu[0]));
	rig_x_write(vm, 1, 0x08, 0x40);
	rig_x_write(vm, 1, 0x35, 0x00700);
	CHECK(!v3_intr_deliverable(vcpu));
	rig_close(vm);
}

/* Random interrupts at a guest that takes them, ends them and changes IF and task priority: each
 * one sent arrives, none is forgotten at the end. */
static void test_intr_none_is_forgotten(void)
{
	struct v3_vm *vm = open_ready(1);
	struct v3_vcpu *vcpu = vm->vcpu[0];
	unsigned in_service = 0, vector;
	bool waiting[256] = {false};

	rig_x_write(vm, 0, 0x35, 0x10000);
	for (unsigned step = 0; step < 50000 && !tap.failures; step++) {
		struct fake_cpu *fc = cpu_of(vm, 0);
		int got;

		switch (tap_rand() % 5) {
		case 0:
			vector = 0x20 + (unsigned)tap_rand() % 0xe0;
			self_ipi(vm, 0, (uint8_t)vector);
			waiting[vector] = true;
			break;
		case 1:
			vcpu->regs.rflags ^= V3_RFLAGS_IF;
			break;
		case 2:
			if (in_service) {
				in_service--;
				rig_x_write(vm, 0, 0x0b, 0);
			}
			break;
		case 3:
			rig_x_write(vm, 0, 0x08, (uint32_t)tap_rand() & 0xff);
			break;
		}
		/* The hardware: a window opens as soon as IF allows it. */
		if (fc->want_intr && (vcpu->regs.rflags & V3_RFLAGS_IF))
			v3_intr_window_exit(vcpu, NULL);
		if (!(vcpu->requests & V3_REQ_IRQ))
			continue;
		got = turn(vm, 0);
		if (got < 0)
			continue;
		CHECK_MSG(waiting[got], "step %u: vector %#x was not sent", step, got);
		waiting[got] = false;
		in_service++;
	}
	vcpu->regs.rflags |= V3_RFLAGS_IF;
	rig_x_write(vm, 0, 0x08, 0);
	while (in_service--)
		rig_x_write(vm, 0, 0x0b, 0);
	if (cpu_of(vm, 0)->want_intr)
		v3_intr_window_exit(vcpu, NULL);
	for (unsigned i = 0; i < 256; i++) {
		int got = turn(vm, 0);

		if (got < 0)
			break;
		waiting[got] = false;
		rig_x_write(vm, 0, 0x0b, 0);
	}
	for (unsigned i = 0; i < 256; i++)
		CHECK_MSG(!waiting[i], "vector %#x is lost", i);
	rig_close(vm);
}

/* ---- create under memory shortage ---- */

struct oom {
	struct v3_vm *vm;
	const struct v3_device_class *cls;
	void *state;
};

static int oom_create(void *arg)
{
	struct oom *oom = arg;

	return oom->cls->create(oom->vm, NULL, &oom->state);
}

static void oom_destroy(void *arg)
{
	struct oom *oom = arg;

	oom->cls->destroy(oom->state);
}

static void test_intr_devices_survive_memory_shortage(void)
{
	static const struct v3_device_class *const classes[] = {
		&v3_device_lapic,
		&v3_device_ioapic,
		&v3_device_i8259,
	};
	struct oom oom = {.vm = rig_open_bare(3)};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(classes); i++) {
		oom.cls = classes[i];
		CHECK(fake_host_oom_each_step(oom_create, oom_destroy, &oom) >= 2);
		/* Nothing stays registered: it can be made again. */
		rig_add(oom.vm, classes[i]);
	}
	rig_close(oom.vm);
}

static const struct tap_test tests[] = {
	TAP(test_intr_every_sink_sees_every_line),
	TAP(test_intr_message_signalled),
	TAP(test_intr_one_controller_of_a_kind),
	TAP(test_intr_service_injects),
	TAP(test_intr_window_when_the_guest_cannot_take_it),
	TAP(test_intr_queued_event_goes_first),
	TAP(test_intr_extint_after_the_local_apic),
	TAP(test_intr_pic_alone),
	TAP(test_intr_deliverable),
	TAP(test_intr_none_is_forgotten),
	TAP(test_intr_devices_survive_memory_shortage),
};
TAP_MAIN(tests)
