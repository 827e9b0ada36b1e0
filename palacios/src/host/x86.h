/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file x86.h
 * Instructions of the physical CPU that both vendor back ends and cpu/ need.
 */
#ifndef V3_HOST_X86_H
#define V3_HOST_X86_H

#include "palacios/types.h"

static inline void v3_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t *a, uint32_t *b, uint32_t *c,
			    uint32_t *d)
{
	__asm__ volatile("cpuid"
			 : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d)
			 : "a"(leaf), "c"(subleaf));
}

static inline uint64_t v3_rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return ((uint64_t)hi << 32) | lo;
}

static inline void v3_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

/* Random numbers; the CPU must have the instruction. @return false: none now */
#define V3_DEFINE_RANDOM(insn)                                                                     \
	static inline bool v3_##insn(uint64_t *value)                                              \
	{                                                                                          \
		bool ok;                                                                           \
		__asm__ volatile(#insn " %0" : "=r"(*value), "=@ccc"(ok));                         \
		return ok;                                                                         \
	}
V3_DEFINE_RANDOM(rdrand)
V3_DEFINE_RANDOM(rdseed)
#undef V3_DEFINE_RANDOM

static inline uint64_t v3_xgetbv(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return ((uint64_t)hi << 32) | lo;
}

static inline void v3_xsetbv(uint64_t value)
{
	__asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static inline uint64_t v3_read_cr4(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}

#define V3_DEFINE_DR(n)                                                                            \
	static inline uint64_t v3_read_dr##n(void)                                                 \
	{                                                                                          \
		uint64_t v;                                                                        \
		__asm__ volatile("mov %%db" #n ", %0" : "=r"(v));                                  \
		return v;                                                                          \
	}                                                                                          \
	static inline void v3_write_dr##n(uint64_t v)                                              \
	{                                                                                          \
		__asm__ volatile("mov %0, %%db" #n ::"r"(v));                                      \
	}
V3_DEFINE_DR(0)
V3_DEFINE_DR(1)
V3_DEFINE_DR(2)
V3_DEFINE_DR(3)
V3_DEFINE_DR(6)
V3_DEFINE_DR(7)
#undef V3_DEFINE_DR

#endif
