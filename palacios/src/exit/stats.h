/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file stats.h
 * Per-vcpu exit counters; written by the vcpu's thread alone, read by anybody.
 */
#ifndef V3_EXIT_STATS_H
#define V3_EXIT_STATS_H

#include "exit/exit.h"
#include "palacios/stats.h"

#define V3_EXIT_RECORDS 64 /* a power of two */

/* One exit as it came, for the dump. */
struct v3_exit_record {
	struct v3_exit exit;
	uint64_t rip;
	uint64_t tsc; /* host's */
};

struct v3_vcpu_stats {
	struct v3_exit_stat *kind; /* owned: V3_EXIT_NKINDS of them */
	struct v3_exit_record
		*last; /* owned: ring of V3_EXIT_RECORDS, number entries % that comes next */
	uint64_t entries;
};

_Static_assert(V3_STAT_BUCKETS == 32, "a bucket for each bit");

/** Count one exit of @p kind that took @p cycles. Own thread. */
static inline void v3_stats_count(struct v3_vcpu_stats *stats, enum v3_exit_kind kind,
				  uint64_t cycles)
{
	struct v3_exit_stat *s = &stats->kind[kind];
	/* What does not fit into 32 bits belongs to the last bucket. */
	uint32_t low = cycles >> 32 ? ~0u : (uint32_t)cycles | 1;
	unsigned b = 31 - (unsigned)__builtin_clz(low);

	s->count++;
	s->cycles += cycles;
	if (cycles > s->max_cycles)
		s->max_cycles = cycles;
	s->histogram[b]++;
}

#endif
