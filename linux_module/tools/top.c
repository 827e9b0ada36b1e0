/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file top.c
 * "v3 top": all VMs and how fast they exit, anew every second.
 */
#include "v3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOP_VMS	  64
#define TOP_KINDS 64 /* more than there are */

/* Sums over a VM's vcpus. */
struct top_sum {
	uint64_t count[TOP_KINDS], cycles;
};

struct top_vm {
	uint64_t id; /* 0: free */
	bool seen;   /* in this round */
	struct top_sum sum;
};

struct top {
	struct top_vm vms[TOP_VMS];
	unsigned shown;
	int64_t elapsed_ms; /* since the round before; 0: this is the first, which only reads */
};

/* What happened to a VM since the round before. */
struct top_row {
	bool known; /* we may look at it, and did so before */
	double exits_per_s;
	uint64_t cycles_per_exit;
	char most[24]; /* kind of the most exits */
};

/* The VM's figures of the round before; a new VM's are zero. NULL: too many VMs */
static struct top_vm *top_find(struct top *top, uint64_t id)
{
	struct top_vm *empty = NULL, *vm;

	for (vm = top->vms; vm < top->vms + TOP_VMS; vm++) {
		if (vm->id == id)
			return vm;
		if (!empty && !vm->id)
			empty = vm;
	}
	if (empty)
		empty->id = id;
	return empty;
}

/* @param names  gets those of the kinds */
static bool top_read(int fd, struct top_sum *sum, char names[TOP_KINDS][24])
{
	struct palacios_stats *rows;
	int n = v3_stats_read(fd, &rows), i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < n; i++) {
		sum->cycles += rows[i].cycles;
		if (rows[i].kind >= TOP_KINDS)
			continue;
		sum->count[rows[i].kind] += rows[i].count;
		memcpy(names[rows[i].kind], rows[i].name, sizeof(rows[i].name));
	}
	free(rows);
	return n >= 0;
}

static void top_compare(const struct top *top, const struct top_sum *before,
			const struct top_sum *now, char names[TOP_KINDS][24], struct top_row *row)
{
	uint64_t exits = 0, most = 0, n;
	unsigned k;

	for (k = 0; k < TOP_KINDS; k++) {
		n = now->count[k] - before->count[k];
		exits += n;
		if (n > most) {
			most = n;
			memcpy(row->most, names[k], sizeof(row->most));
		}
	}
	row->known = true;
	row->exits_per_s = (double)exits * 1000 / (double)top->elapsed_ms;
	row->cycles_per_exit = exits ? (now->cycles - before->cycles) / exits : 0;
}

/* A VM of somebody else is listed, but keeps its figures to itself. */
static void top_measure(struct top *top, const struct palacios_info *info, int device,
			struct top_row *row)
{
	struct top_vm *vm = top_find(top, info->id);
	char names[TOP_KINDS][24] = {""};
	struct top_sum now;
	int fd;

	if (!vm)
		return;
	fd = v3_vm_try_open(device, info->name);
	if (fd >= 0 && top_read(fd, &now, names)) {
		if (top->elapsed_ms > 0)
			top_compare(top, &vm->sum, &now, names, row);
		vm->sum = now;
	}
	if (fd >= 0)
		close(fd);
	vm->seen = true;
}

static void top_print_json(const struct palacios_info *info, const struct top_row *row)
{
	v3_json_open(NULL, '{');
	v3_info_members(info);
	if (row->known) {
		v3_json_number("exits_per_s", (int64_t)(row->exits_per_s + 0.5));
		v3_json_number("cycles_per_exit", (int64_t)row->cycles_per_exit);
		v3_json_text("most", row->most);
	}
	v3_json_close();
}

static void top_row(const struct palacios_info *info, int device, void *priv)
{
	struct top *top = priv;
	struct top_row row = {.known = false};

	top_measure(top, info, device, &row);
	top->shown++;
	if (top->elapsed_ms <= 0)
		return;
	if (v3_opt.json)
		top_print_json(info, &row);
	else if (row.known)
		printf("%-24s %-8s %5u %10.0f %12llu  %s\n", info->name, v3_state_name(info->state),
		       info->vcpus, row.exits_per_s, (unsigned long long)row.cycles_per_exit,
		       row.most[0] ? row.most : "-");
	else
		printf("%-24s %-8s %5u %10s %12s  %s\n", info->name, v3_state_name(info->state),
		       info->vcpus, "-", "-", "-");
}

/* VMs that are gone make room. */
static void top_forget(struct top *top)
{
	struct top_vm *vm;

	for (vm = top->vms; vm < top->vms + TOP_VMS; vm++) {
		if (!vm->seen)
			memset(vm, 0, sizeof(*vm));
		vm->seen = false;
	}
}

static int top_round(struct top *top)
{
	bool show = top->elapsed_ms > 0;
	int result;

	top->shown = 0;
	if (show && v3_opt.json) {
		v3_json_open(NULL, '{');
		v3_json_open("vms", '[');
	} else if (show) {
		if (isatty(1))
			fputs("\033[H\033[J", stdout); /* home, clear */
		printf("%-24s %-8s %5s %10s %12s  %s\n", "NAME", "STATE", "VCPUS", "EXITS/S",
		       "CYCLES/EXIT", "MOST");
	}
	result = v3_vm_each(top_row, top);
	if (show && v3_opt.json) {
		v3_json_close();
		v3_json_close();
	} else if (show && !top->shown) {
		puts("(no VM)");
	}
	top_forget(top);
	return result;
}

int v3_top(char **args)
{
	struct top *top = calloc(1, sizeof(*top));
	int64_t start = v3_now_ms(), before, now = start;
	int result;

	(void)args;
	if (!top)
		return V3_EXIT_NO;
	do {
		result = top_round(top);
		if (result || fflush(stdout))
			break;
		sleep(1);
		before = now;
		now = v3_now_ms();
		top->elapsed_ms = now - before;
	} while (!v3_opt.timeout_given || now - start <= v3_opt.timeout_s * 1000ll + 500);
	free(top);
	return result;
}
