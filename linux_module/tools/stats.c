/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file stats.c
 * "v3 stats": exits of each vcpu by kind: how many, how fast they come, what they cost. Live with --watch.
 */
#include "v3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* One look at a VM. */
struct look {
	struct palacios_stats *rows; /* owned */
	int n;
	int64_t at_ms;
};

int v3_stats_read(int vm, struct palacios_stats **rows)
{
	struct palacios_stats *more, st;
	uint32_t vcpu = 0, kind = 0;
	int n = 0;

	*rows = NULL;
	for (;;) {
		memset(&st, 0, sizeof(st));
		st.vcpu = vcpu;
		st.kind = kind;
		if (!ioctl(vm, PALACIOS_VM_STATS, &st)) {
			more = realloc(*rows, (size_t)(n + 1) * sizeof(st));
			if (!more)
				break;
			*rows = more;
			more[n++] = st;
			kind++;
		} else if (errno == ERANGE && kind) {
			vcpu++;
			kind = 0;
		} else if (errno == ERANGE) {
			return n;
		} else {
			break;
		}
	}
	free(*rows);
	*rows = NULL;
	return -1;
}

static bool stats_look(const char *name, int vm, struct look *look)
{
	look->n = v3_stats_read(vm, &look->rows);
	look->at_ms = v3_now_ms();
	if (look->n >= 0)
		return true;
	v3_complain(NULL, "cannot read the statistics of %s: %s", name, strerror(errno));
	return false;
}

/* Exits per second of row @i since the look before. The rows of two looks at one VM are the same. */
static double stats_rate(const struct look *before, const struct look *now, int i)
{
	int64_t ms = now->at_ms - before->at_ms;

	return ms > 0 ? (double)(now->rows[i].count - before->rows[i].count) * 1000 / (double)ms
		      : 0;
}

static void stats_row_json(const struct palacios_stats *st, const double *rate)
{
	unsigned b;

	v3_json_open(NULL, '{');
	v3_json_number("vcpu", st->vcpu);
	v3_json_text("kind", st->name);
	v3_json_number("count", (int64_t)st->count);
	if (rate)
		v3_json_number("per_second", (int64_t)(*rate + 0.5));
	v3_json_number("cycles", (int64_t)st->cycles);
	v3_json_number("max_cycles", (int64_t)st->max_cycles);
	v3_json_open("histogram", '[');
	for (b = 0; b < PALACIOS_STAT_BUCKETS; b++)
		v3_json_number(NULL, st->histogram[b]);
	v3_json_close();
	v3_json_close();
}

static void stats_row_text(const struct palacios_stats *st, const double *rate)
{
	char bars[3 * PALACIOS_STAT_BUCKETS + 1];

	v3_histogram_text(bars, st->histogram, PALACIOS_STAT_BUCKETS);
	printf("%4u %-14s %12llu ", st->vcpu, st->name, (unsigned long long)st->count);
	if (rate)
		printf("%10.0f ", *rate);
	printf("%15llu %9llu %11llu  %s\n", (unsigned long long)st->cycles,
	       (unsigned long long)(st->cycles / st->count), (unsigned long long)st->max_cycles,
	       bars);
}

/* Kinds that never happened are left out. @param before  NULL: no rates */
static void stats_show(const struct look *before, const struct look *now)
{
	double rate;
	int i;

	if (v3_opt.json) {
		v3_json_open(NULL, '{');
		v3_json_open("exits", '[');
	} else {
		printf("%4s %-14s %12s ", "VCPU", "EXIT", "COUNT");
		if (before)
			printf("%10s ", "PER SECOND");
		printf("%15s %9s %11s  %s\n", "CYCLES", "AVERAGE", "LONGEST",
		       "0 log2(cycles)  16      24    31");
	}
	for (i = 0; i < now->n; i++) {
		if (!now->rows[i].count)
			continue;
		rate = before ? stats_rate(before, now, i) : 0;
		(v3_opt.json ? stats_row_json : stats_row_text)(&now->rows[i],
								before ? &rate : NULL);
	}
	if (v3_opt.json) {
		v3_json_close();
		v3_json_close();
	}
}

static int stats_once(const char *name)
{
	int vm = v3_vm_open(name);
	struct look look;
	bool good;

	if (vm < 0)
		return -vm;
	good = stats_look(name, vm, &look);
	close(vm);
	if (!good)
		return V3_EXIT_NO;
	stats_show(NULL, &look);
	free(look.rows);
	return V3_EXIT_GOOD;
}

/* One more look, by name each time: a descriptor kept open would keep the VM of a dead owner. */
static int stats_watch_round(const char *name, uint64_t *id, struct look *before)
{
	int vm = v3_vm_open(name), result = V3_EXIT_NO;
	struct palacios_info info;
	struct look now = {.n = 0};

	if (vm < 0)
		return -vm;
	if (!v3_vm_info(vm, &info) || (*id && info.id != *id)) {
		v3_complain(NULL, "%s is gone", name);
		goto close_vm;
	}
	if (!stats_look(name, vm, &now))
		goto close_vm;
	result = V3_EXIT_GOOD;
	if (*id) {
		if (isatty(1) && !v3_opt.json)
			printf("\033[H\033[J%s: %s\n", name, v3_state_name(info.state));
		stats_show(before, &now);
	}
	*id = info.id;
	free(before->rows);
	*before = now;
close_vm:
	close(vm);
	return result;
}

static int stats_watch(const char *name)
{
	int64_t start = v3_now_ms();
	struct look before = {.n = 0};
	int result = V3_EXIT_GOOD;
	uint64_t id = 0;

	for (;;) {
		result = stats_watch_round(name, &id, &before);
		if (result || fflush(stdout))
			break;
		if (v3_opt.timeout_given && v3_now_ms() - start >= v3_opt.timeout_s * 1000ll)
			break;
		sleep(1);
	}
	free(before.rows);
	return result;
}

int v3_stats(char **args)
{
	return v3_opt.watch ? stats_watch(args[0]) : stats_once(args[0]);
}
