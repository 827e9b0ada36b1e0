// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file test_lapic_pv.c
 * Paravirtual EOI: when the guest may end an interrupt without telling us, and that nothing is lost or ended twice.
 */
#include "intr_rig.h"

#include "fake_host.h"

#define MSR_PV_EOI 0x4b564d04
#define WORD	   0x200000ull

static uint32_t *word(struct v3_vm *vm)
{
	return v3_mem_ptr(vm, WORD, 4);
}

static struct v3_vm *open_pv(void)
{
	struct v3_vm *vm = rig_open(1);

	rig_x_write(vm, 0, 0x0f, 0x1ff);
	CHECK_EQ(rig_wrmsr(vm, 0, MSR_PV_EOI, WORD | 1), V3_OK);
	return vm;
}

static void post(struct v3_vm *vm, uint8_t vector)
{
	rig_x_write(vm, 0, 0x30, 0x40000 | vector); /* self */
}

/* The vcpu is given its next interrupt. */
static void deliver(struct v3_vm *vm, int vector)
{
	CHECK_EQ(rig_pending(vm, 0), vector);
	rig_ack(vm, 0, vector);
}

static bool in_service(struct v3_vm *vm, unsigned vector)
{
	return rig_x_read(vm, 0, 0x10 + vector / 32) >> vector % 32 & 1;
}

/* As the guest's handler ends: by the word if it may, else by the register. @return by the word? */
static bool guest_eoi(struct v3_vm *vm)
{
	if (*word(vm) & 1) {
		*word(vm) &= ~1u;
		return true;
	}
	rig_x_write(vm, 0, 0x0b, 0);
	return false;
}

static void test_lapic_pv_saves_the_eoi(void)
{
	struct v3_vm *vm = open_pv();

	post(vm, 0x50);
	deliver(vm, 0x50);
	CHECK_EQ(*word(vm), 1);
	CHECK(in_service(vm, 0x50));
	CHECK(guest_eoi(vm));
	CHECK(!in_service(vm, 0x50));
	CHECK_EQ(rig_x_read(vm, 0, 0x0a), 0); /* priority */
	post(vm, 0x40);
	deliver(vm, 0x40); /* nothing holds back a lower one any more */
	rig_close(vm);
}

/* Another one waits already when the interrupt goes into service: its end must be told. */
static void test_lapic_pv_not_if_one_waits(void)
{
	struct v3_vm *vm = open_pv();

	post(vm, 0x51);
	post(vm, 0x50);
	deliver(vm, 0x51);
	CHECK_EQ(*word(vm), 0);
	rig_take(vm, 0, V3_REQ_IRQ);
	CHECK(!guest_eoi(vm));
	CHECK(rig_take(vm, 0, V3_REQ_IRQ));
	deliver(vm, 0x50);
	CHECK_EQ(*word(vm), 1);
	rig_close(vm);
}

/* Another one comes later and has to wait: the permission is taken back. */
static void test_lapic_pv_taken_back(void)
{
	struct v3_vm *vm = open_pv();

	post(vm, 0x51);
	deliver(vm, 0x51);
	CHECK_EQ(*word(vm), 1);
	post(vm, 0x50);
	CHECK_EQ(rig_pending(vm, 0), V3_EAGAIN);
	CHECK_EQ(*word(vm), 0);
	rig_take(vm, 0, V3_REQ_IRQ);
	CHECK(!guest_eoi(vm));
	CHECK(rig_take(vm, 0, V3_REQ_IRQ));
	deliver(vm, 0x50);
	CHECK(guest_eoi(vm));
	CHECK(!in_service(vm, 0x50) && !in_service(vm, 0x51));
	rig_close(vm);
}

/* It comes after the guest has ended the first one: no exit, but it is delivered. */
static void test_lapic_pv_next_after_the_end(void)
{
	struct v3_vm *vm = open_pv();

	post(vm, 0x51);
	deliver(vm, 0x51);
	CHECK(guest_eoi(vm));
	post(vm, 0x50);
	deliver(vm, 0x50);
	CHECK(!in_service(vm, 0x51));
	CHECK(in_service(vm, 0x50));
	rig_close(vm);
}

/* A higher one interrupts the handler: only the innermost end can be silent. */
static void test_lapic_pv_nested(void)
{
	struct v3_vm *vm = open_pv();

	post(vm, 0x50);
	deliver(vm, 0x50);
	post(vm, 0x80);
	deliver(vm, 0x80);
	CHECK_EQ(*word(vm), 1);
	CHECK(guest_eoi(vm));
	CHECK(in_service(vm, 0x50) && !in_service(vm, 0x80));
	CHECK(!guest_eoi(vm));
	CHECK(!in_service(vm, 0x50));
	rig_close(vm);
}

/* A guest that writes the register although it need not, and one that ends the outer handler right behind it. */
static void test_lapic_pv_register_counts(void)
{
	struct v3_vm *vm = open_pv();

	post(vm, 0x50);
	deliver(vm, 0x50);
	post(vm, 0x80);
	deliver(vm, 0x80);
	rig_x_write(vm, 0, 0x0b, 0);
	CHECK_EQ(*word(vm), 0);
	CHECK(in_service(vm, 0x50) && !in_service(vm, 0x80));
	post(vm, 0x80);
	deliver(vm, 0x80);
	CHECK(guest_eoi(vm));
	rig_x_write(vm, 0, 0x0b, 0);
	CHECK(!in_service(vm, 0x50) && !in_service(vm, 0x80));
	rig_close(vm);
}

/* The I/O APIC waits for the end of a level-triggered interrupt. */
static void test_lapic_pv_not_for_level(void)
{
	struct v3_apic_msg msg = {.vector = 0x50, .level = true};
	struct v3_vm *vm = open_pv();

	v3_apic_send(vm, &msg);
	deliver(vm, 0x50);
	CHECK_EQ(*word(vm), 0);
	rig_close(vm);
}

static void test_lapic_pv_ends_with_reset_and_init(void)
{
	struct v3_vm *vm = open_pv();
	uint64_t value;

	post(vm, 0x50);
	deliver(vm, 0x50);
	vm->intr.lapic->init(vm->intr.lapic_priv, vm->vcpu[0]);
	CHECK_EQ(rig_rdmsr(vm, 0, MSR_PV_EOI, &value), V3_OK);
	CHECK_EQ(value, 0);
	*word(vm) = 0;
	CHECK_EQ(rig_pending(vm, 0), V3_EAGAIN);
	rig_x_write(vm, 0, 0x0f, 0x1ff);
	post(vm, 0x50);
	deliver(vm, 0x50);
	CHECK_EQ(*word(vm), 0);
	CHECK_EQ(rig_wrmsr(vm, 0, MSR_PV_EOI, WORD | 1), V3_OK);
	rig_reset(vm);
	CHECK_EQ(rig_rdmsr(vm, 0, MSR_PV_EOI, &value), V3_OK);
	CHECK_EQ(value, 0);
	rig_close(vm);
}

static void test_lapic_pv_switched_off_in_service(void)
{
	struct v3_vm *vm = open_pv();

	post(vm, 0x50);
	deliver(vm, 0x50);
	CHECK_EQ(rig_wrmsr(vm, 0, MSR_PV_EOI, 0), V3_OK);
	CHECK_EQ(*word(vm), 0);
	CHECK(in_service(vm, 0x50));
	rig_x_write(vm, 0, 0x0b, 0);
	CHECK(!in_service(vm, 0x50));
	rig_close(vm);
}

static void test_lapic_pv_hostile_addresses(void)
{
	static const uint64_t no_ram[] = {16 << 20, V3_PC_LAPIC_BASE, 1ull << 40, ~3ull,
					  1ull << 63};
	struct v3_vm *vm = open_pv();
	uint64_t value;

	CHECK_EQ(rig_wrmsr(vm, 0, MSR_PV_EOI, WORD | 2), V3_EINVAL);
	CHECK_EQ(rig_wrmsr(vm, 0, MSR_PV_EOI, WORD | 3), V3_EINVAL);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(no_ram); i++) {
		CHECK_EQ(rig_wrmsr(vm, 0, MSR_PV_EOI, no_ram[i] | 1), V3_OK);
		CHECK_EQ(rig_rdmsr(vm, 0, MSR_PV_EOI, &value), V3_OK);
		CHECK_EQ(value, 0);
		post(vm, 0x50);
		CHECK_EQ(rig_serve(vm, 0), 0x50);
	}
	CHECK_EQ(rig_wrmsr(vm, 0, MSR_PV_EOI, ((16 << 20) - 4) | 1), V3_OK);
	CHECK_EQ(rig_rdmsr(vm, 0, MSR_PV_EOI, &value), V3_OK);
	CHECK_EQ(value, ((16 << 20) - 4) | 1);
	rig_close(vm);
}

/* At random, against a model: what is in service, and in what order interrupts are given. */
static void test_lapic_pv_random(void)
{
	struct v3_vm *vm = open_pv();
	uint8_t stack[16];
	unsigned n = 0, silent = 0, given = 0;
	int vector;

	for (unsigned i = 0; i < 20000; i++) {
		if (tap_rand() % 8 == 0)
			post(vm, (uint8_t)(0x20 + tap_rand() % 0xd0));
		vector = rig_pending(vm, 0);
		if (vector >= 0 && tap_rand() % 2) {
			CHECK(!n || vector >> 4 > stack[n - 1] >> 4);
			rig_ack(vm, 0, vector);
			stack[n++] = (uint8_t)vector;
			given++;
		} else if (n && tap_rand() % 2) {
			silent += guest_eoi(vm);
			n--;
		}
		if (tap_rand() % 8 == 0)
			CHECK_EQ(rig_x_read(vm, 0, 0x0a), n ? stack[n - 1] & 0xf0 : 0);
	}
	CHECK(silent > 100 && given > 1000);
	while (n || rig_pending(vm, 0) >= 0) {
		if (n) {
			guest_eoi(vm);
			n--;
		} else {
			rig_ack(vm, 0, rig_pending(vm, 0));
			n++;
		}
	}
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(rig_x_read(vm, 0, 0x10 + i), 0);
	rig_close(vm);
}

static const struct tap_test tests[] = {
	TAP(test_lapic_pv_saves_the_eoi),
	TAP(test_lapic_pv_not_if_one_waits),
	TAP(test_lapic_pv_taken_back),
	TAP(test_lapic_pv_next_after_the_end),
	TAP(test_lapic_pv_nested),
	TAP(test_lapic_pv_register_counts),
	TAP(test_lapic_pv_not_for_level),
	TAP(test_lapic_pv_ends_with_reset_and_init),
	TAP(test_lapic_pv_switched_off_in_service),
	TAP(test_lapic_pv_hostile_addresses),
	TAP(test_lapic_pv_random),
};
TAP_MAIN(tests)
