/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pvclock.c
 * kvmclock: a page in guest memory from which the guest computes nanoseconds since boot out of its TSC,
 * without exits. Layout and MSRs: Linux kernel documentation, virt/kvm/x86/msr.rst.
 */
#include "cpu/pvclock.h"

#include "state.h"

#define V3_LOG_TAG "pvclock"

#define PVCLOCK_MSR_WALL       0x4b564d00u
#define PVCLOCK_MSR_SYSTEM     0x4b564d01u
#define PVCLOCK_MSR_WALL_OLD   0x11u
#define PVCLOCK_MSR_SYSTEM_OLD 0x12u
#define PVCLOCK_ENABLED	       1ull
#define PVCLOCK_STABLE	       1u

struct pvclock_time {
	uint32_t version; /* odd while the rest is being written */
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad[2];
};
_Static_assert(sizeof(struct pvclock_time) == 32, "pvclock_vcpu_time_info");

struct pvclock_wall {
	uint32_t version, sec, nsec;
};

/* ns = ((ticks << shift) * mul) >> 32 (a negative shift goes right): mul in [2^31, 2^32). */
static void pvclock_scale(uint32_t khz, uint32_t *mul, int8_t *shift)
{
	uint64_t per_tick = (1000000ull << 32) / khz; /* ns per tick, 32.32 */

	*shift = 0;
	while (per_tick >> 32) {
		per_tick >>= 1;
		(*shift)++;
	}
	while (!(per_tick >> 31)) {
		per_tick <<= 1;
		(*shift)--;
	}
	*mul = (uint32_t)per_tick;
}

static void pvclock_write(struct v3_vcpu *vcpu, v3_gpa_t gpa, struct pvclock_time *t)
{
	t->version = vcpu->cpu.kvmclock_version + 1;
	if (v3_mem_write(vcpu->vm, gpa, &t->version, sizeof(t->version)) != V3_OK ||
	    v3_mem_write(vcpu->vm, gpa, t, sizeof(*t)) != V3_OK) {
		V3_GUEST_WARN(vcpu->vm, "kvmclock page %#llx is not RAM: clock switched off",
			      (unsigned long long)gpa);
		vcpu->cpu.kvmclock_msr = 0;
		return;
	}
	t->version = vcpu->cpu.kvmclock_version += 2;
	v3_mem_write(vcpu->vm, gpa, &t->version, sizeof(t->version));
}

void v3_pvclock_update(struct v3_vcpu *vcpu)
{
	struct pvclock_time t = {.flags = PVCLOCK_STABLE};

	if (!(vcpu->cpu.kvmclock_msr & PVCLOCK_ENABLED))
		return;
	pvclock_scale(v3_time_tsc_khz(vcpu->vm), &t.tsc_to_system_mul, &t.tsc_shift);
	t.tsc_timestamp = v3_time_guest_tsc(vcpu);
	t.system_time = v3_time_ns(vcpu->vm);
	pvclock_write(vcpu, vcpu->cpu.kvmclock_msr & ~3ull, &t);
}

static int pvclock_system_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	(void)msr;
	(void)priv;
	vcpu->cpu.kvmclock_msr = value;
	v3_pvclock_update(vcpu);
	return V3_OK;
}

static int pvclock_system_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)msr;
	(void)priv;
	*value = vcpu->cpu.kvmclock_msr;
	return V3_OK;
}

/* Wall-clock time at system time 0. */
static int pvclock_wall_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	struct v3_vm *vm = vcpu->vm;
	/* The host tells whole seconds only. */
	struct pvclock_wall w = {.version = 2, .sec = (uint32_t)vm->time.wall_base_s};

	(void)msr;
	(void)priv;
	if (v3_mem_write(vm, value & ~3ull, &w, sizeof(w)) != V3_OK)
		V3_GUEST_WARN(vm, "kvmclock wall clock %#llx is not RAM",
			      (unsigned long long)value);
	return V3_OK;
}

static int pvclock_wall_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)vcpu;
	(void)msr;
	(void)priv;
	*value = 0;
	return V3_OK;
}

int v3_pvclock_register(struct v3_vm *vm)
{
	int err = v3_msr_register(vm, PVCLOCK_MSR_WALL, 1, pvclock_wall_read, pvclock_wall_write,
				  NULL);

	if (err == V3_OK)
		err = v3_msr_register(vm, PVCLOCK_MSR_WALL_OLD, 1, pvclock_wall_read,
				      pvclock_wall_write, NULL);
	if (err == V3_OK)
		err = v3_msr_register(vm, PVCLOCK_MSR_SYSTEM, 1, pvclock_system_read,
				      pvclock_system_write, NULL);
	if (err == V3_OK)
		err = v3_msr_register(vm, PVCLOCK_MSR_SYSTEM_OLD, 1, pvclock_system_read,
				      pvclock_system_write, NULL);
	return err;
}
