// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file test_lapic_cpu.c
 * Local APICs on a CPU that virtualizes them: the page that both use, who delivers, and what the device does about
 * what the CPU did by itself. The test plays the CPU; SDM 3C chapter 30.
 */
#include "fake_arch.h"
#include "fake_vm.h"
#include "intr_rig.h"

#define ID    0x02
#define VER   0x03
#define TPR   0x08
#define PPR   0x0a
#define EOI   0x0b
#define LDR   0x0d
#define DFR   0x0e
#define SVR   0x0f
#define ISR   0x10
#define TMR   0x18
#define IRR   0x20
#define ESR   0x28
#define ICR   0x30
#define ICR2  0x31
#define LVTT  0x32
#define LINT0 0x35
#define TICR  0x38
#define DCR   0x3e
#define SELF  0x3f

#define SELF_IPI(v) (1u << 18 | (v))

static uint32_t *at(struct v3_vm *vm, unsigned cpu, unsigned reg)
{
	return &v3_apic_page(vm->vcpu[cpu])[reg * 4];
}

static bool has(struct v3_vm *vm, unsigned cpu, unsigned reg, uint8_t vector)
{
	return *at(vm, cpu, reg + vector / 32) >> (vector & 31) & 1;
}

/* The guest writes a register in the page, and the CPU exits; 30.4.3.3. */
static void write_page(struct v3_vm *vm, unsigned cpu, unsigned reg, uint32_t value)
{
	const struct v3_exit exit = {.kind = V3_EXIT_APIC_WRITE, .u.apic = reg * 16};

	*at(vm, cpu, reg) = value;
	CHECK_EQ(fake_dispatch(vm->vcpu[cpu], &exit, NULL), V3_OK);
}

/* The CPU delivers what waits: IRR to ISR; 30.2.2. */
static void cpu_delivers(struct v3_vm *vm, unsigned cpu, uint8_t vector)
{
	CHECK(has(vm, cpu, IRR, vector));
	*at(vm, cpu, IRR + vector / 32) &= ~(1u << (vector & 31));
	*at(vm, cpu, ISR + vector / 32) |= 1u << (vector & 31);
	*at(vm, cpu, PPR) = vector & 0xf0;
}

static void send(struct v3_vm *vm, unsigned cpu, uint8_t vector, bool level)
{
	const struct v3_apic_msg msg = {.dest = cpu, .vector = vector, .level = level};

	v3_apic_send(vm, &msg);
}

static void service(struct v3_vm *vm, unsigned cpu)
{
	CHECK(rig_take(vm, cpu, V3_REQ_IRQ) & V3_REQ_IRQ);
	v3_intr_service(vm->vcpu[cpu]);
}

static struct v3_vm *open_by_cpu(unsigned nvcpus)
{
	struct v3_vm *vm;

	fake_arch_apic_by_cpu = true;
	vm = rig_open(nvcpus);
	for (unsigned cpu = 0; cpu < nvcpus; cpu++) {
		rig_x_write(vm, cpu, SVR, 0x1ff);
		rig_take(vm, cpu, ~0u);
	}
	return vm;
}

/* ---- the page ---- */

/* All that can be read is in the page as it is read, but the count that is running. */
static void test_lapic_cpu_page_shows_what_is_read(void)
{
	struct v3_vm *vm = rig_open(2);

	rig_x_write(vm, 1, SVR, 0x1ff);
	rig_x_write(vm, 1, TPR, 0x25);
	rig_x_write(vm, 1, LDR, 0x42000000);
	rig_x_write(vm, 1, DFR, 0x0);
	rig_x_write(vm, 1, ICR2, 0x77000000);
	rig_x_write(vm, 1, ICR, SELF_IPI(0x61));
	rig_x_write(vm, 1, LVTT, 0x20033);
	rig_x_write(vm, 1, LINT0, 0x10700);
	rig_x_write(vm, 1, TICR, 0x12345);
	rig_x_write(vm, 1, DCR, 0xb);
	rig_x_write(vm, 1, ICR, SELF_IPI(5)); /* an error */
	rig_x_write(vm, 1, ESR, 0);
	for (unsigned reg = 0; reg < 0x3f; reg++) {
		if (reg != 0x39)
			CHECK_MSG(*at(vm, 1, reg) == rig_x_read(vm, 1, reg) || reg < 2 ||
					  reg == 0x2f || (reg > ESR && reg < ICR),
				  "register %#x: %#x in the page", reg, *at(vm, 1, reg));
		for (unsigned i = 1; i < 4; i++)
			CHECK_EQ(at(vm, 1, reg)[i], 0);
	}
	CHECK_EQ(*at(vm, 1, ID), 0x01000000);
	CHECK_EQ(*at(vm, 1, VER), 0x50014);
	CHECK_EQ(*at(vm, 1, TPR), 0x25);
	CHECK_EQ(*at(vm, 1, DFR), 0x0fffffff);
	CHECK_EQ(*at(vm, 1, ESR), 0x20);
	CHECK_EQ(*at(vm, 1, TICR), 0x12345);
	CHECK(has(vm, 1, IRR, 0x61));
	rig_close(vm);
}

/* An x2APIC's ICR is one register; ids have other places. */
static void test_lapic_cpu_page_follows_the_mode(void)
{
	struct v3_vm *vm = rig_open(2);
	uint64_t base;

	rig_x_write(vm, 1, ICR2, 0x77000000);
	CHECK_EQ(rig_rdmsr(vm, 1, V3_MSR_APIC_BASE, &base), V3_OK);
	CHECK_EQ(fake_cpu(vm, 1)->apic_mode, V3_APIC_XAPIC);
	CHECK_EQ(rig_wrmsr(vm, 1, V3_MSR_APIC_BASE, base | 1u << 10), V3_OK);
	CHECK_EQ(fake_cpu(vm, 1)->apic_mode, V3_APIC_X2APIC);
	CHECK_EQ(*at(vm, 1, ID), 1);
	CHECK_EQ(*at(vm, 1, LDR), 2);
	CHECK_EQ(at(vm, 1, ICR)[1], 0x77000000);
	CHECK_EQ(rig_wrmsr(vm, 1, 0x830, 0x500004031ull), V3_OK);
	CHECK_EQ(at(vm, 1, ICR)[0], 0x4031);
	CHECK_EQ(at(vm, 1, ICR)[1], 5);
	CHECK_EQ(rig_wrmsr(vm, 1, 0x80f, 0x1ff), V3_OK);
	CHECK_EQ(at(vm, 1, ICR)[1], 5);
	CHECK_EQ(rig_wrmsr(vm, 1, V3_MSR_APIC_BASE, base & ~(3ull << 10)), V3_OK);
	CHECK_EQ(fake_cpu(vm, 1)->apic_mode, V3_APIC_OFF);
	CHECK_EQ(*at(vm, 1, ID), 0x01000000);
	CHECK_EQ(at(vm, 1, ICR)[1], 0);
	rig_close(vm);
}

/* What the guest wrote in the page is not believed. */
static void test_lapic_cpu_written_registers_hold_what_they_can(void)
{
	static const struct {
		unsigned reg;
		uint32_t write, hold;
	} t[] = {
		{ID, 0x05000000, 0x01000000},
		{LDR, 0xffffffff, 0xff000000},
		{DFR, 0x00000000, 0x0fffffff},
		{SVR, 0xffffffff, 0x3ff},
		{ESR, 0xffffffff, 0},
		{LVTT, 0xfff9ffff, 0x100ff},
		{TICR, 0x1234, 0x1234},
		{DCR, 0xff, 0xb},
		{EOI, 0x55, 0},
	};
	struct v3_vm *vm = rig_open(2);

	rig_x_write(vm, 1, SVR, 0x1ff);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		write_page(vm, 1, t[i].reg, t[i].write);
		CHECK_MSG(*at(vm, 1, t[i].reg) == t[i].hold, "register %#x holds %#x", t[i].reg,
			  *at(vm, 1, t[i].reg));
	}
	write_page(vm, 1, 0x100, 0); /* no register at all */
	rig_close(vm);
}

/* The upper half of the ICR is written without exit; the lower one sends. */
static void test_lapic_cpu_written_icr_sends(void)
{
	struct v3_vm *vm = rig_open(2);

	rig_x_write(vm, 1, SVR, 0x1ff);
	*at(vm, 0, ICR2) = 0x01000000;
	write_page(vm, 0, ICR, 0x4071);
	CHECK_EQ(rig_pending(vm, 1), 0x71);
	write_page(vm, 0, ICR, SELF_IPI(0x72));
	CHECK_EQ(rig_pending(vm, 0), 0x72);
	CHECK_EQ(rig_wrmsr(vm, 0, V3_MSR_APIC_BASE, V3_PC_LAPIC_BASE | 0xd00), V3_OK);
	write_page(vm, 0, SELF, 0x05); /* the CPU leaves vectors below 16 to us */
	CHECK_EQ(rig_wrmsr(vm, 0, 0x828, 0), V3_OK);
	CHECK_EQ(*at(vm, 0, ESR), 0x20);
	CHECK_EQ(*at(vm, 0, SELF), 0);
	rig_close(vm);
}

/* ---- the CPU applies the TPR only ---- */

static void test_lapic_cpu_lowered_tpr_lets_interrupts_through(void)
{
	struct v3_vm *vm = rig_open(1);
	const struct v3_lapic_ops *ops = vm->intr.lapic;

	rig_x_write(vm, 0, ICR, SELF_IPI(0x51));
	rig_x_write(vm, 0, TPR, 0x60);
	CHECK_EQ(rig_pending(vm, 0), V3_EAGAIN);
	rig_take(vm, 0, V3_REQ_IRQ);
	*at(vm, 0, TPR) = 0x50;
	ops->tpr_changed(vm->intr.lapic_priv, vm->vcpu[0]);
	CHECK_EQ(*at(vm, 0, PPR), 0x50);
	CHECK(!rig_take(vm, 0, V3_REQ_IRQ));
	*at(vm, 0, TPR) = 0x40;
	ops->tpr_changed(vm->intr.lapic_priv, vm->vcpu[0]);
	CHECK(rig_take(vm, 0, V3_REQ_IRQ));
	CHECK_EQ(rig_pending(vm, 0), 0x51);
	CHECK_EQ(v3_vcpu_get_cr(vm->vcpu[0], 8), 4);
	rig_close(vm);
}

/* ---- the CPU delivers ---- */

/* It is told of all that comes, and nothing is injected. */
static void test_lapic_cpu_delivers_by_itself(void)
{
	struct v3_vm *vm = open_by_cpu(2);
	struct fake_cpu *c = fake_cpu(vm, 1);
	unsigned syncs = c->apic_syncs;

	vm->vcpu[1]->regs.rflags |= V3_RFLAGS_IF;
	send(vm, 1, 0x51, false);
	CHECK(!has(vm, 1, IRR, 0x51)); /* the page is the own thread's */
	service(vm, 1);
	CHECK(has(vm, 1, IRR, 0x51));
	CHECK_EQ(c->apic_syncs, syncs + 1);
	CHECK_EQ(c->inject.type, V3_EVENT_NONE);
	CHECK(!c->want_intr);
	rig_close(vm);
}

/* A vcpu that left the guest in HLT before the CPU delivered what was sent. */
static void test_lapic_cpu_halted_vcpu_sees_what_waits(void)
{
	struct v3_vm *vm = open_by_cpu(2);

	vm->vcpu[1]->regs.rflags |= V3_RFLAGS_IF;
	CHECK(!v3_intr_deliverable(vm->vcpu[1]));
	*at(vm, 1, IRR + 2) |= 1u << 17; /* by a self-IPI that the CPU handled */
	CHECK(v3_intr_deliverable(vm->vcpu[1]));
	*at(vm, 1, PPR) = 0x50;
	CHECK(!v3_intr_deliverable(vm->vcpu[1]));
	send(vm, 1, 0x61, false);
	CHECK(v3_intr_deliverable(vm->vcpu[1]));
	rig_close(vm);
}

/* An access that the CPU did not virtualize: the device ends what the CPU delivered, and tells it. */
static void test_lapic_cpu_eoi_by_the_device(void)
{
	struct v3_vm *vm = open_by_cpu(2);

	send(vm, 1, 0x41, false);
	send(vm, 1, 0x82, false);
	service(vm, 1);
	cpu_delivers(vm, 1, 0x41);
	cpu_delivers(vm, 1, 0x82);
	rig_x_write(vm, 1, EOI, 0);
	CHECK(!has(vm, 1, ISR, 0x82));
	CHECK_EQ(*at(vm, 1, PPR), 0x40);
	service(vm, 1);
	rig_x_write(vm, 1, EOI, 0);
	CHECK(!has(vm, 1, ISR, 0x41));
	CHECK_EQ(*at(vm, 1, PPR), 0);
	service(vm, 1);
	rig_x_write(vm, 1, EOI, 0); /* nothing is in service */
	CHECK(!rig_take(vm, 1, V3_REQ_IRQ));
	rig_close(vm);
}

/* A pin that stays up comes back with each EOI that the CPU reports. */
static void test_lapic_cpu_reported_eoi_reaches_the_ioapic(void)
{
	const struct v3_exit eoi = {.kind = V3_EXIT_APIC_EOI, .u.apic = 0x91};
	struct v3_vm *vm = open_by_cpu(1);

	rig_io_write(vm, 0x10 + 2 * 9, 0x8091); /* level, to APIC 0 */
	v3_irq_set(vm, 9, true);
	service(vm, 0);
	CHECK(has(vm, 0, TMR, 0x91));
	cpu_delivers(vm, 0, 0x91);
	*at(vm, 0, ISR + 4) = 0;
	CHECK(!rig_take(vm, 0, V3_REQ_IRQ));
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &eoi, NULL), V3_OK);
	service(vm, 0);
	CHECK(has(vm, 0, IRR, 0x91));
	v3_irq_set(vm, 9, false);
	cpu_delivers(vm, 0, 0x91);
	CHECK_EQ(fake_dispatch(vm->vcpu[0], &eoi, NULL), V3_OK);
	CHECK(!rig_take(vm, 0, V3_REQ_IRQ));
	send(vm, 0, 0x91, false);
	service(vm, 0);
	CHECK(!has(vm, 0, TMR, 0x91));
	rig_close(vm);
}

/* By software it is switched off and on in the middle of everything. */
static void test_lapic_cpu_hands_over_in_both_directions(void)
{
	struct v3_vm *vm = open_by_cpu(1);

	vm->vcpu[0]->regs.rflags |= V3_RFLAGS_IF;
	send(vm, 0, 0x41, false);
	send(vm, 0, 0x62, false);
	send(vm, 0, 0x63, false);
	service(vm, 0);
	cpu_delivers(vm, 0, 0x41);
	write_page(vm, 0, SVR, 0xff);
	CHECK(!fake_cpu(vm, 0)->apic_enabled);
	service(vm, 0); /* what waits is still delivered, by us */
	CHECK_EQ(fake_cpu(vm, 0)->inject.vector, 0x63);
	fake_cpu(vm, 0)->inject.type = V3_EVENT_NONE;
	write_page(vm, 0, EOI, 0);
	CHECK(!has(vm, 0, ISR, 0x63));
	CHECK_EQ(rig_pending(vm, 0), 0x62);
	rig_ack(vm, 0, 0x62);
	rig_take(vm, 0, V3_REQ_IRQ);
	rig_x_write(vm, 0, SVR, 0x1ff);
	service(vm, 0);
	CHECK_EQ(fake_cpu(vm, 0)->inject.type, V3_EVENT_NONE);
	CHECK(has(vm, 0, ISR, 0x62) && has(vm, 0, ISR, 0x41));
	rig_x_write(vm, 0, SVR, 0xff);
	rig_x_write(vm, 0, EOI, 0);
	rig_x_write(vm, 0, EOI, 0);
	CHECK_EQ(*at(vm, 0, PPR), 0);
	rig_close(vm);
}

/* INIT takes back what came in and what was delivered; the mode stays. */
static void test_lapic_cpu_init(void)
{
	struct v3_vm *vm = open_by_cpu(2);

	send(vm, 1, 0x41, true);
	service(vm, 1);
	cpu_delivers(vm, 1, 0x41);
	send(vm, 1, 0x52, false);
	vm->intr.lapic->init(vm->intr.lapic_priv, vm->vcpu[1]);
	CHECK_EQ(fake_cpu(vm, 1)->apic_mode, V3_APIC_XAPIC);
	CHECK(!fake_cpu(vm, 1)->apic_enabled);
	CHECK_EQ(rig_pending(vm, 1), V3_EAGAIN);
	CHECK_EQ(*at(vm, 1, PPR), 0);
	CHECK_EQ(*at(vm, 1, SVR), 0xff);
	CHECK(!has(vm, 1, ISR, 0x41) && !has(vm, 1, TMR, 0x41) && !has(vm, 1, IRR, 0x52));
	rig_reset(vm);
	CHECK(fake_cpu(vm, 0)->apic_enabled); /* as firmware leaves it */
	rig_close(vm);
}

/* The 8259's interrupts do not come from the page: they are injected. */
static void test_lapic_cpu_extint_is_injected(void)
{
	struct v3_vm *vm = open_by_cpu(1);
	struct fake_cpu *c = fake_cpu(vm, 0);

	rig_out(vm, 0x20, 1, 0x11);
	rig_out(vm, 0x21, 1, 0x30);
	rig_out(vm, 0x21, 1, 4);
	rig_out(vm, 0x21, 1, 1);
	rig_out(vm, 0x21, 1, 0);
	vm->vcpu[0]->regs.rflags |= V3_RFLAGS_IF;
	send(vm, 0, 0x71, false);
	v3_irq_set(vm, 3, true);
	service(vm, 0);
	CHECK_EQ(c->inject.type, V3_EVENT_INTR);
	CHECK_EQ(c->inject.vector, 0x33);
	CHECK(has(vm, 0, IRR, 0x71));
	rig_close(vm);
}

static const struct tap_test tests[] = {
	TAP(test_lapic_cpu_page_shows_what_is_read),
	TAP(test_lapic_cpu_page_follows_the_mode),
	TAP(test_lapic_cpu_written_registers_hold_what_they_can),
	TAP(test_lapic_cpu_written_icr_sends),
	TAP(test_lapic_cpu_lowered_tpr_lets_interrupts_through),
	TAP(test_lapic_cpu_delivers_by_itself),
	TAP(test_lapic_cpu_halted_vcpu_sees_what_waits),
	TAP(test_lapic_cpu_eoi_by_the_device),
	TAP(test_lapic_cpu_reported_eoi_reaches_the_ioapic),
	TAP(test_lapic_cpu_hands_over_in_both_directions),
	TAP(test_lapic_cpu_init),
	TAP(test_lapic_cpu_extint_is_injected),
};
TAP_MAIN(tests)
