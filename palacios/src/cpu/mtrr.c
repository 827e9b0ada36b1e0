/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file mtrr.c
 * Memory-type range registers: kept and checked, without effect: guest RAM is always write-back, and MMIO
 * is never mapped. AMD APM vol. 2 7.7; SDM 3A 11.11.
 */
#include "cpu/msr.h"
#include "state.h"

#define MTRR_VARIABLE  8
#define MTRR_CAP       (MTRR_VARIABLE | (1u << 8) | (1u << 10)) /* fixed ranges, write combining */
#define MTRR_DEF_VALID 0xcffull					/* E, FE, type */
#define MTRR_DEF_RESET 0xc06ull					/* both enabled, write-back */
#define MTRR_WB_BYTES  0x0606060606060606ull
#define MTRR_FIX16K_A  0x259u /* 0xa0000..0xbffff: the video window */

static const uint32_t mtrr_fixed_msrs[11] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					     0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

static bool mtrr_type_valid(uint64_t type)
{
	return type <= 6 && type != 2 && type != 3;
}

static uint64_t *mtrr_fixed(struct v3_vcpu *vcpu, uint32_t msr)
{
	unsigned i;

	for (i = 0; i < V3_ARRAY_SIZE(mtrr_fixed_msrs); i++)
		if (mtrr_fixed_msrs[i] == msr)
			return &vcpu->cpu.mtrr_fixed[i];
	return NULL;
}

static uint64_t *mtrr_slot(struct v3_vcpu *vcpu, uint32_t msr)
{
	if (msr == V3_MSR_MTRR_DEF_TYPE)
		return &vcpu->cpu.mtrr_def_type;
	if (msr >= V3_MSR_MTRR_PHYSBASE0 && msr < V3_MSR_MTRR_PHYSBASE0 + 2 * MTRR_VARIABLE)
		return &vcpu->cpu.mtrr_var[msr - V3_MSR_MTRR_PHYSBASE0];
	return mtrr_fixed(vcpu, msr);
}

static bool mtrr_value_valid(const struct v3_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	uint64_t high = ~0ull << vcpu->vm->mem.gpa_bits;
	unsigned i;

	if (msr == V3_MSR_MTRR_DEF_TYPE)
		return !(value & ~MTRR_DEF_VALID) && mtrr_type_valid(value & 0xff);
	if (msr < V3_MSR_MTRR_FIX64K) {
		if (msr & 1) /* mask: valid bit and address */
			return !(value & (high | 0x7ff));
		return !(value & (high | 0xf00)) && mtrr_type_valid(value & 0xff);
	}
	for (i = 0; i < 64; i += 8)
		if (!mtrr_type_valid(value >> i & 0xff))
			return false;
	return true;
}

static int mtrr_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	const uint64_t *slot = mtrr_slot(vcpu, msr);

	(void)priv;
	if (!slot)
		return V3_EINVAL;
	*value = *slot;
	return V3_OK;
}

static int mtrr_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	uint64_t *slot = mtrr_slot(vcpu, msr);

	(void)priv;
	if (!slot || !mtrr_value_valid(vcpu, msr, value))
		return V3_EINVAL;
	*slot = value;
	return V3_OK;
}

static int mtrr_cap_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)vcpu;
	(void)msr;
	(void)priv;
	*value = MTRR_CAP;
	return V3_OK;
}

void v3_mtrr_reset(struct v3_vcpu *vcpu)
{
	unsigned i;

	vcpu->cpu.mtrr_def_type = MTRR_DEF_RESET;
	for (i = 0; i < V3_ARRAY_SIZE(vcpu->cpu.mtrr_fixed); i++)
		vcpu->cpu.mtrr_fixed[i] = mtrr_fixed_msrs[i] == MTRR_FIX16K_A ? 0 : MTRR_WB_BYTES;
	for (i = 0; i < V3_ARRAY_SIZE(vcpu->cpu.mtrr_var); i++)
		vcpu->cpu.mtrr_var[i] = 0;
}

int v3_mtrr_register(struct v3_vm *vm)
{
	static const struct {
		uint32_t first, count;
	} ranges[] = {{V3_MSR_MTRR_PHYSBASE0, 2 * MTRR_VARIABLE},
		      {0x250, 1},
		      {0x258, 2},
		      {0x268, 8},
		      {V3_MSR_MTRR_DEF_TYPE, 1}};
	unsigned i;
	int err = v3_msr_register(vm, V3_MSR_MTRRCAP, 1, mtrr_cap_read, NULL, NULL);

	for (i = 0; err == V3_OK && i < V3_ARRAY_SIZE(ranges); i++)
		err = v3_msr_register(vm, ranges[i].first, ranges[i].count, mtrr_read, mtrr_write,
				      NULL);
	return err;
}
