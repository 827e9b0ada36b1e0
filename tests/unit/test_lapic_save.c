// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file test_lapic_save.c
 * Saved local APICs and what the vcpu has to do with them: mode, interrupts that wait, a CPU that delivers by itself,
 * paravirtual EOI. That registers come back as they were is test_save_devices.c's.
 */
#include "intr_rig.h"

#include "fake_host.h"
#include "fake_vm.h"
#include "palacios/error.h"
#include "palacios/mem.h"
#include "palacios/save.h"
#include "palacios/timer.h"

#define EOI	   0x0b
#define SVR	   0x0f
#define ISR	   0x10
#define LVTT	   0x32
#define MSR_PV_EOI 0x4b564d04
#define MSR_BASE   0x1b
#define MSR_TSCD   0x6e0
#define WORD	   0x200000ull

static uint8_t image[16384];
static struct v3_save_buf buf;

/* Save, and load into other APICs, whose CPU may deliver by itself. @return what loading said */
static int move_to(struct v3_vm **vm, bool by_cpu)
{
	buf = (struct v3_save_buf){.data = image, .size = sizeof(image)};
	CHECK_EQ(v3_save_write(v3_device_lapic.save, "lapic", (*vm)->intr.lapic_priv, &buf), V3_OK);
	rig_close(*vm);
	fake_arch_apic_by_cpu = by_cpu;
	*vm = rig_open(2);
	buf = (struct v3_save_buf){.data = image, .size = sizeof(image)};
	return v3_save_read(v3_device_lapic.save, "lapic", (*vm)->intr.lapic_priv, &buf);
}

static const struct fake_cpu *cpu_of(struct v3_vm *vm, unsigned cpu)
{
	return vm->vcpu[cpu]->arch_vcpu;
}

static void send(struct v3_vm *vm, unsigned cpu, uint8_t vector)
{
	const struct v3_apic_msg msg = {.dest = cpu, .vector = vector};

	v3_apic_send(vm, &msg);
}

static bool in_service(struct v3_vm *vm, unsigned cpu, uint8_t vector)
{
	return rig_x_read(vm, cpu, ISR + vector / 32) >> (vector & 31) & 1;
}

/* Vcpu 1 serves one interrupt, two others wait: one below it in the page, one on its way. */
static struct v3_vm *open_busy(void)
{
	struct v3_vm *vm = rig_open(2);

	rig_x_write(vm, 1, SVR, 0x1ff);
	send(vm, 1, 0x51);
	rig_ack(vm, 1, rig_pending(vm, 1));
	send(vm, 1, 0x41);
	CHECK_EQ(rig_pending(vm, 1), V3_EAGAIN);
	send(vm, 1, 0x71);
	return vm;
}

static void test_lapic_save_asks_for_what_waits(void)
{
	struct v3_vm *vm = open_busy();

	REQUIRE_EQ(move_to(&vm, false), V3_OK);
	CHECK(rig_take(vm, 1, V3_REQ_IRQ));
	CHECK_EQ(rig_pending(vm, 1), 0x71);
	rig_ack(vm, 1, 0x71);
	rig_x_write(vm, 1, EOI, 0);
	CHECK_EQ(rig_pending(vm, 1), V3_EAGAIN); /* 0x51 is in service still */
	rig_x_write(vm, 1, EOI, 0);
	CHECK_EQ(rig_pending(vm, 1), 0x41);
	rig_close(vm);
}

static void test_lapic_save_moves_to_a_cpu_that_delivers(void)
{
	struct v3_vm *vm = open_busy();
	unsigned syncs;

	REQUIRE_EQ(move_to(&vm, true), V3_OK);
	CHECK(vm->vcpu[1]->apic_by_cpu);
	CHECK(cpu_of(vm, 1)->apic_enabled);
	syncs = cpu_of(vm, 1)->apic_syncs;
	CHECK(rig_take(vm, 1, V3_REQ_IRQ));
	v3_intr_service(vm->vcpu[1]);
	CHECK_EQ(cpu_of(vm, 1)->apic_syncs, syncs + 1);
	CHECK(in_service(vm, 1, 0x51));
	rig_x_write(vm, 1, EOI, 0);
	CHECK(!in_service(vm, 1, 0x51));
	rig_close(vm);
}

static void test_lapic_save_mode(void)
{
	struct v3_vm *vm = rig_open(2);

	CHECK_EQ(rig_wrmsr(vm, 1, MSR_BASE, V3_PC_LAPIC_BASE | 0xc00), V3_OK);
	CHECK_EQ(rig_wrmsr(vm, 0, MSR_BASE, V3_PC_LAPIC_BASE | 0x100), V3_OK);
	REQUIRE_EQ(move_to(&vm, false), V3_OK);
	CHECK_EQ(vm->vcpu[0]->apic_mode, V3_APIC_OFF);
	CHECK_EQ(vm->vcpu[1]->apic_mode, V3_APIC_X2APIC);
	CHECK_EQ(cpu_of(vm, 1)->apic_mode, V3_APIC_X2APIC);
	rig_close(vm);
}

/* RDTSC is not the fake host's: only that there is a deadline, and when it was wished. */
static void test_lapic_save_tsc_deadline(void)
{
	struct v3_vm *vm = rig_open(2);
	uint64_t value = 0;

	rig_x_write(vm, 1, SVR, 0x1ff);
	rig_x_write(vm, 1, LVTT, 0x40033);
	CHECK_EQ(rig_wrmsr(vm, 1, MSR_TSCD, 1ull << 62), V3_OK);
	REQUIRE_EQ(move_to(&vm, false), V3_OK);
	CHECK_EQ(rig_rdmsr(vm, 1, MSR_TSCD, &value), V3_OK);
	CHECK_EQ(value, 1ull << 62);
	CHECK(vm->vcpu[1]->time.queue != NULL);
	rig_jump(vm, 1ull << 62);
	CHECK_EQ(rig_pending(vm, 1), V3_EAGAIN); /* by the TSC it is not yet time */
	rig_close(vm);
}

/* The guest may end its interrupt by its word, whose bit is memory's. */
static struct v3_vm *open_pv_armed(void)
{
	struct v3_vm *vm = rig_open(2);

	rig_x_write(vm, 1, SVR, 0x1ff);
	CHECK_EQ(rig_wrmsr(vm, 1, MSR_PV_EOI, WORD | 1), V3_OK);
	send(vm, 1, 0x51);
	rig_ack(vm, 1, rig_pending(vm, 1));
	CHECK_EQ(*(uint32_t *)v3_mem_ptr(vm, WORD, 4), 1);
	return vm;
}

static void test_lapic_save_pv_eoi(void)
{
	struct v3_vm *vm = open_pv_armed();
	uint32_t *word;

	REQUIRE_EQ(move_to(&vm, false), V3_OK);
	word = v3_mem_ptr(vm, WORD, 4);
	CHECK_EQ(*word, 0); /* loading is not what changes it */
	*word = 1;
	CHECK(in_service(vm, 1, 0x51));
	*word = 0;
	CHECK(!in_service(vm, 1, 0x51));
	rig_close(vm);
}

static void test_lapic_save_no_pv_eoi_where_the_cpu_ends(void)
{
	struct v3_vm *vm = open_pv_armed();

	CHECK_EQ(move_to(&vm, true), V3_EINVAL);
	CHECK_STR(buf.why, "lapic.cpu[1]: the device cannot be in such a state");
	rig_close(vm);
}

static const struct tap_test tests[] = {
	TAP(test_lapic_save_asks_for_what_waits),
	TAP(test_lapic_save_moves_to_a_cpu_that_delivers),
	TAP(test_lapic_save_mode),
	TAP(test_lapic_save_tsc_deadline),
	TAP(test_lapic_save_pv_eoi),
	TAP(test_lapic_save_no_pv_eoi_where_the_cpu_ends),
};
TAP_MAIN(tests)
