/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file intr_rig.h
 * A VM with the three interrupt controllers for their unit tests. It is never started: the test
 * plays the vcpu threads, makes guest accesses through the real registrations and sees what reaches
 * the run loop.
 */
#ifndef TESTS_INTR_RIG_H
#define TESTS_INTR_RIG_H

#include "devices/devices.h"
#include "palacios/platform.h"
#include "state.h"
#include "tap.h"

/**
 * A VM with @p nvcpus vcpus and no devices, guest time 0 and running. Never NULL (ends the
 * program).
 */
struct v3_vm *rig_open_bare(unsigned nvcpus);
/** The same with local APICs, I/O APIC and 8259 pair at power-on. */
struct v3_vm *rig_open(unsigned nvcpus);
/** Destroy the devices that rig_open() or rig_add() made, and the VM. */
void rig_close(struct v3_vm *vm);
/** Create and reset one more device. @return its state; NULL and a failed check if create failed.
 * */
void *rig_add(struct v3_vm *vm, const struct v3_device_class *cls);
/** Reset the devices as a machine reset does. */
void rig_reset(struct v3_vm *vm);

/** An access to memory as the guest of vcpu @p cpu makes it. Returns what the handler returned. */
int rig_mmio(struct v3_vm *vm, unsigned cpu, v3_gpa_t gpa, unsigned size, bool write,
	     uint64_t *value);
/** RDMSR, WRMSR: V3_EINVAL is #GP, also for an MSR that nobody has. */
int rig_rdmsr(struct v3_vm *vm, unsigned cpu, uint32_t msr, uint64_t *value);
int rig_wrmsr(struct v3_vm *vm, unsigned cpu, uint32_t msr, uint64_t value);
/** OUT and IN. */
void rig_out(struct v3_vm *vm, uint16_t port, unsigned size, uint32_t value);
uint32_t rig_in(struct v3_vm *vm, uint16_t port, unsigned size);

/** The V3_REQ_* of @p mask that vcpu @p cpu has; they are cleared, as the run loop does. */
uint32_t rig_take(struct v3_vm *vm, unsigned cpu, uint32_t mask);
/** Let guest time pass, each timer served at its own moment. */
void rig_advance(struct v3_vm *vm, uint64_t ns);
/** Let guest time pass at once; timers are served late, at its end. */
void rig_jump(struct v3_vm *vm, uint64_t ns);
/** Is a timer of the VM armed at the host? */
bool rig_timer_armed(struct v3_vm *vm);

/* ---- shorthands ---- */

/** Local APIC of @p cpu by MMIO; @p reg: number of the register (offset >> 4). */
static inline uint32_t rig_x_read(struct v3_vm *vm, unsigned cpu, unsigned reg)
{
	uint64_t value = 0;

	CHECK_EQ(rig_mmio(vm, cpu, V3_PC_LAPIC_BASE + reg * 16, 4, false, &value), V3_OK);
	return (uint32_t)value;
}

static inline void rig_x_write(struct v3_vm *vm, unsigned cpu, unsigned reg, uint32_t value)
{
	uint64_t v = value;

	CHECK_EQ(rig_mmio(vm, cpu, V3_PC_LAPIC_BASE + reg * 16, 4, true, &v), V3_OK);
}

/** Register of the I/O APIC through its window. */
static inline uint32_t rig_io_read(struct v3_vm *vm, unsigned reg)
{
	uint64_t sel = reg, value = 0;

	CHECK_EQ(rig_mmio(vm, 0, V3_PC_IOAPIC_BASE, 4, true, &sel), V3_OK);
	CHECK_EQ(rig_mmio(vm, 0, V3_PC_IOAPIC_BASE + 0x10, 4, false, &value), V3_OK);
	return (uint32_t)value;
}

static inline void rig_io_write(struct v3_vm *vm, unsigned reg, uint32_t value)
{
	uint64_t sel = reg, v = value;

	CHECK_EQ(rig_mmio(vm, 0, V3_PC_IOAPIC_BASE, 4, true, &sel), V3_OK);
	CHECK_EQ(rig_mmio(vm, 0, V3_PC_IOAPIC_BASE + 0x10, 4, true, &v), V3_OK);
}

/** What the local APIC of @p cpu would deliver: vector or V3_EAGAIN. */
static inline int rig_pending(struct v3_vm *vm, unsigned cpu)
{
	return vm->intr.lapic->pending(vm->intr.lapic_priv, vm->vcpu[cpu]);
}

static inline void rig_ack(struct v3_vm *vm, unsigned cpu, int vector)
{
	vm->intr.lapic->ack(vm->intr.lapic_priv, vm->vcpu[cpu], (uint8_t)vector);
}

/** Take whatever is pending and end it at once. @return the vector, V3_EAGAIN if there was none. */
static inline int rig_serve(struct v3_vm *vm, unsigned cpu)
{
	int vector = rig_pending(vm, cpu);

	if (vector >= 0) {
		rig_ack(vm, cpu, vector);
		if (vm->intr.lapic)
			rig_x_write(vm, cpu, 0x0b, 0);
	}
	return vector;
}

#endif
