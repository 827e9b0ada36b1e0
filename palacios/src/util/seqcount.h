/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file seqcount.h
 * Sequence counters: tables that are read without a lock while one writer at a time (under a lock of the
 * table's) changes them. The counter is odd during a change; a reader repeats what it did if it moved. What a
 * reader finds in between may be torn, so it must stay within bounds and use nothing before the check.
 */
#ifndef V3_UTIL_SEQCOUNT_H
#define V3_UTIL_SEQCOUNT_H

#include "palacios/types.h"

/* Reader: between begin and a false retry. */
static inline uint32_t v3_seq_read_begin(const uint32_t *seq)
{
	uint32_t value;

	while (V3_UNLIKELY((value = __atomic_load_n(seq, __ATOMIC_ACQUIRE)) & 1))
		__builtin_ia32_pause();
	return value;
}
static inline bool v3_seq_read_retry(const uint32_t *seq, uint32_t value)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return V3_UNLIKELY(__atomic_load_n(seq, __ATOMIC_RELAXED) != value);
}

/* Writer: around each change. */
static inline void v3_seq_write_begin(uint32_t *seq)
{
	__atomic_store_n(seq, *seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}
static inline void v3_seq_write_end(uint32_t *seq)
{
	__atomic_store_n(seq, *seq + 1, __ATOMIC_RELEASE);
}

#endif
