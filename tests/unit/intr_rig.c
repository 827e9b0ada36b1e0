// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file intr_rig.c
 * See intr_rig.h: the fake host's bare VM with the interrupt controllers in it.
 */
#include "intr_rig.h"

#include "fake_vm.h"

#define RIG_MAX_DEVICES 8

/* Devices of the VM that is open; one at a time. */
static struct {
	const struct v3_device_class *cls;
	void *state;
} rig_device[RIG_MAX_DEVICES];
static unsigned rig_ndevices;

struct v3_vm *rig_open_bare(unsigned nvcpus)
{
	struct v3_vm *vm = fake_vm_bare(nvcpus, 16);

	if (!vm) {
		printf("Bail out! no VM\n");
		exit(1);
	}
	rig_ndevices = 0;
	for (unsigned cpu = 0; cpu < nvcpus; cpu++)
		fake_take_requests(vm->vcpu[cpu]);
	return vm;
}

void *rig_add(struct v3_vm *vm, const struct v3_device_class *cls)
{
	void *state = NULL;

	if (!CHECK_EQ(fake_device_create(vm, cls, "", &state), V3_OK) ||
	    rig_ndevices == RIG_MAX_DEVICES)
		return NULL;
	rig_device[rig_ndevices].cls = cls;
	rig_device[rig_ndevices++].state = state;
	return state;
}

struct v3_vm *rig_open(unsigned nvcpus)
{
	struct v3_vm *vm = rig_open_bare(nvcpus);

	rig_add(vm, &v3_device_lapic);
	rig_add(vm, &v3_device_ioapic);
	rig_add(vm, &v3_device_i8259);
	for (unsigned cpu = 0; cpu < nvcpus; cpu++)
		fake_take_requests(vm->vcpu[cpu]);
	return vm;
}

void rig_close(struct v3_vm *vm)
{
	fake_vm_destroy(vm);
	rig_ndevices = 0;
}

void rig_reset(struct v3_vm *vm)
{
	(void)vm;
	for (unsigned i = 0; i < rig_ndevices; i++)
		rig_device[i].cls->reset(rig_device[i].state);
}

int rig_mmio(struct v3_vm *vm, unsigned cpu, v3_gpa_t gpa, unsigned size, bool write,
	     uint64_t *value)
{
	uint64_t buf = *value;
	int err = v3_mem_access(vm->vcpu[cpu], gpa, &buf, size, write);

	if (!write)
		*value = size == 8 ? buf : buf & ((1ull << size * 8) - 1);
	return err;
}

int rig_rdmsr(struct v3_vm *vm, unsigned cpu, uint32_t msr, uint64_t *value)
{
	return fake_vcpu_rdmsr(vm->vcpu[cpu], msr, value) ? V3_OK : V3_EINVAL;
}

int rig_wrmsr(struct v3_vm *vm, unsigned cpu, uint32_t msr, uint64_t value)
{
	return fake_vcpu_wrmsr(vm->vcpu[cpu], msr, value) ? V3_OK : V3_EINVAL;
}

void rig_out(struct v3_vm *vm, uint16_t port, unsigned size, uint32_t value)
{
	CHECK_EQ(fake_out(vm, port, size, value), V3_OK);
}

uint32_t rig_in(struct v3_vm *vm, uint16_t port, unsigned size)
{
	return fake_in(vm, port, size);
}

uint32_t rig_take(struct v3_vm *vm, unsigned cpu, uint32_t mask)
{
	return __atomic_fetch_and(&vm->vcpu[cpu]->requests, ~mask, __ATOMIC_SEQ_CST) & mask;
}

void rig_jump(struct v3_vm *vm, uint64_t ns)
{
	fake_run_due_timers(vm);
	fake_clock_advance(ns);
	fake_run_due_timers(vm);
}

void rig_advance(struct v3_vm *vm, uint64_t ns)
{
	uint64_t end = fake_clock_now() + ns, next;

	for (;;) {
		fake_run_due_timers(vm); /* arms the host's timer for the next one */
		next = fake_clock_next();
		if (!next || next >= end)
			break;
		fake_clock_advance(next > fake_clock_now() ? next - fake_clock_now() : 0);
	}
	rig_jump(vm, end - fake_clock_now());
}

bool rig_timer_armed(struct v3_vm *vm)
{
	fake_run_due_timers(vm);
	return fake_clock_next() != 0;
}
