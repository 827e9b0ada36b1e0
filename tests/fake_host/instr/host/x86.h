/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file x86.h
 * Takes the place of palacios/src/host/x86.h in unit tests: the same functions, answered by a
 * simulated CPU (fake_instr.c) because user space may not execute the instructions.
 */
#ifndef TESTS_FAKE_HOST_X86_H
#define TESTS_FAKE_HOST_X86_H

#include "palacios/types.h"

void fake_instr_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
uint64_t fake_instr_rdmsr(uint32_t msr);
void fake_instr_wrmsr(uint32_t msr, uint64_t value);
bool fake_instr_random(bool seed, uint64_t *value);
uint64_t fake_instr_xgetbv(void);
void fake_instr_xsetbv(uint64_t value);
uint64_t fake_instr_cr4(void);
uint64_t fake_instr_read_dr(unsigned n);
void fake_instr_write_dr(unsigned n, uint64_t value);

static inline void v3_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t *a, uint32_t *b, uint32_t *c,
			    uint32_t *d)
{
	uint32_t out[4];

	fake_instr_cpuid(leaf, subleaf, out);
	*a = out[0];
	*b = out[1];
	*c = out[2];
	*d = out[3];
}

static inline uint64_t v3_rdmsr(uint32_t msr)
{
	return fake_instr_rdmsr(msr);
}

static inline void v3_wrmsr(uint32_t msr, uint64_t value)
{
	fake_instr_wrmsr(msr, value);
}

static inline bool v3_rdrand(uint64_t *value)
{
	return fake_instr_random(false, value);
}

static inline bool v3_rdseed(uint64_t *value)
{
	return fake_instr_random(true, value);
}

static inline uint64_t v3_xgetbv(void)
{
	return fake_instr_xgetbv();
}

static inline void v3_xsetbv(uint64_t value)
{
	fake_instr_xsetbv(value);
}

static inline uint64_t v3_read_cr4(void)
{
	return fake_instr_cr4();
}

#define FAKE_DEFINE_DR(n)                                                                          \
	static inline uint64_t v3_read_dr##n(void)                                                 \
	{                                                                                          \
		return fake_instr_read_dr(n);                                                      \
	}                                                                                          \
	static inline void v3_write_dr##n(uint64_t value)                                          \
	{                                                                                          \
		fake_instr_write_dr(n, value);                                                     \
	}
FAKE_DEFINE_DR(0)
FAKE_DEFINE_DR(1)
FAKE_DEFINE_DR(2)
FAKE_DEFINE_DR(3)
FAKE_DEFINE_DR(6)
FAKE_DEFINE_DR(7)
#undef FAKE_DEFINE_DR

#endif
