/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file stats.c
 * Reading and printing the exit statistics.
 */
#include "state.h"

#include "palacios/util/fmt.h"

#define V3_LOG_TAG "stats"

#define STATS_BAR 40 /* widest bar of the histogram, characters */

static const char *const stats_names[V3_EXIT_NKINDS] = {
#define STATS_NAME(sym, name) [V3_EXIT_##sym] = name,
	V3_EXIT_KINDS(STATS_NAME)
#undef STATS_NAME
};

const char *v3_exit_name(enum v3_exit_kind kind)
{
	return (unsigned)kind < V3_EXIT_NKINDS ? stats_names[kind] : "?";
}

int v3_vm_exit_stat(struct v3_vm *vm, uint32_t vcpu, enum v3_exit_kind kind,
		    struct v3_exit_stat *out)
{
	if (vcpu >= vm->nvcpus || (unsigned)kind >= V3_EXIT_NKINDS)
		return V3_EINVAL;
	*out = vm->vcpu[vcpu]->stats.kind[kind];
	return V3_OK;
}

/* One line per non-empty bucket: its range of cycles, its count, a bar. */
static void stats_print_histogram(struct v3_vm *vm, const struct v3_exit_stat *s)
{
	char bar[STATS_BAR + 1];
	uint32_t most = 1;
	unsigned b, i, width;

	for (b = 0; b < V3_STAT_BUCKETS; b++)
		if (s->histogram[b] > most)
			most = s->histogram[b];
	for (b = 0; b < V3_STAT_BUCKETS; b++) {
		if (!s->histogram[b])
			continue;
		width = (unsigned)((uint64_t)s->histogram[b] * STATS_BAR / most);
		for (i = 0; i < width; i++)
			bar[i] = '#';
		bar[width] = '\0';
		V3_INFO(vm, "    2^%-2u cycles %10u %s", b, s->histogram[b], bar);
	}
}

static void stats_print_vcpu(struct v3_vm *vm, const struct v3_vcpu *vcpu)
{
	unsigned k;

	V3_INFO(vm, "vcpu %u: entries %llu", vcpu->index, (unsigned long long)vcpu->stats.entries);
	V3_INFO(vm, "  %-14s %12s %16s %10s %10s", "exit", "count", "cycles", "mean", "max");
	for (k = 0; k < V3_EXIT_NKINDS; k++) {
		const struct v3_exit_stat *s = &vcpu->stats.kind[k];

		if (!s->count)
			continue;
		V3_INFO(vm, "  %-14s %12llu %16llu %10llu %10llu", stats_names[k],
			(unsigned long long)s->count, (unsigned long long)s->cycles,
			(unsigned long long)(s->cycles / s->count),
			(unsigned long long)s->max_cycles);
		stats_print_histogram(vm, s);
	}
}

void v3_vm_print_stats(struct v3_vm *vm)
{
	struct v3_mem_stats m;
	uint32_t i;

	for (i = 0; i < vm->nvcpus; i++)
		stats_print_vcpu(vm, vm->vcpu[i]);
	v3_mem_get_stats(vm, &m);
	V3_INFO(vm, "memory: ram %llu backed_1g %llu backed_2m %llu backed_4k %llu",
		(unsigned long long)m.ram_bytes, (unsigned long long)m.backed_1g,
		(unsigned long long)m.backed_2m, (unsigned long long)m.backed_4k);
	V3_INFO(vm, "memory: leaves_1g %llu leaves_2m %llu leaves_4k %llu table_pages %llu",
		(unsigned long long)m.leaves_1g, (unsigned long long)m.leaves_2m,
		(unsigned long long)m.leaves_4k, (unsigned long long)m.table_pages);
}
