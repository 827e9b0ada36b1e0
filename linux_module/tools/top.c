/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file top.c
 * "v3 top": the VMs of this user and how fast they exit, anew every second.
 */
#include "v3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TOP_VMS	  64
#define TOP_KINDS 64 /* more than there are */

struct top_vm {
	char name[PALACIOS_NAME_SIZE];
	bool seen; /* in this round */
	uint64_t count[TOP_KINDS], cycles;
};

struct top {
	struct top_vm vms[TOP_VMS];
	unsigned shown;
	double elapsed_s; /* since the round before; 0: this is the first, which only reads */
};

/* The VM's figures of the round before; a new VM's are zero. NULL: too many VMs */
static struct top_vm *top_find(struct top *top, const char *name)
{
	struct top_vm *empty = NULL, *vm;

	for (vm = top->vms; vm < top->vms + TOP_VMS; vm++) {
		if (!strcmp(vm->name, name))
			return vm;
		if (!empty && !vm->name[0])
			empty = vm;
	}
	if (empty)
		snprintf(empty->name, sizeof(empty->name), "%s", name);
	return empty;
}

/* Sums over all vcpus; names of the kinds, too. */
static void top_read(int fd, struct top_vm *sum, char names[TOP_KINDS][24])
{
	uint32_t vcpu = 0, kind = 0;
	struct palacios_stats st;

	for (;;) {
		memset(&st, 0, sizeof(st));
		st.vcpu = vcpu;
		st.kind = kind;
		if (kind < TOP_KINDS && !ioctl(fd, PALACIOS_VM_STATS, &st)) {
			sum->count[kind] += st.count;
			sum->cycles += st.cycles;
			snprintf(names[kind++], sizeof(names[0]), "%.23s", st.name);
		} else if (kind) {
			vcpu++;
			kind = 0;
		} else {
			return;
		}
	}
}

static void top_row(const char *name, int fd, void *priv)
{
	struct top *top = priv;
	struct top_vm *before = top_find(top, name), now;
	uint64_t exits = 0, most = 0, n;
	char names[TOP_KINDS][24] = {""};
	struct palacios_info info;
	unsigned k, busiest = 0;

	if (!before || !v3_vm_info(fd, &info))
		return;
	memset(&now, 0, sizeof(now));
	top_read(fd, &now, names);
	for (k = 0; k < TOP_KINDS; k++) {
		n = now.count[k] - before->count[k];
		exits += n;
		if (n > most) {
			most = n;
			busiest = k;
		}
	}
	if (top->elapsed_s > 0)
		printf("%-24s %-8s %5u %10.0f %12llu  %s\n", name, v3_state_name(info.state),
		       info.vcpus, (double)exits / top->elapsed_s,
		       exits ? (unsigned long long)((now.cycles - before->cycles) / exits) : 0ull,
		       most ? names[busiest] : "-");
	memcpy(before->count, now.count, sizeof(now.count));
	before->cycles = now.cycles;
	before->seen = true;
	top->shown++;
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

static double top_now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void top_round(struct top *top)
{
	top->shown = 0;
	if (top->elapsed_s > 0) {
		if (isatty(1))
			fputs("\033[H\033[J", stdout); /* home, clear */
		printf("%-24s %-8s %5s %10s %12s  %s\n", "NAME", "STATE", "VCPUS", "EXITS/S",
		       "CYCLES/EXIT", "MOST");
	}
	v3_hold_each(top_row, top);
	if (top->elapsed_s > 0 && !top->shown)
		puts("(no VM)");
	top_forget(top);
}

int v3_top(char **args)
{
	struct top *top = calloc(1, sizeof(*top));
	double start = top_now_s(), before = 0, now = start;

	(void)args;
	if (!top)
		return V3_EXIT_NO;
	while (!v3_opt.timeout_s || now - start <= v3_opt.timeout_s) {
		top->elapsed_s = before > 0 ? now - before : 0;
		before = now;
		top_round(top);
		if (fflush(stdout))
			break;
		sleep(1);
		now = top_now_s();
	}
	free(top);
	return V3_EXIT_GOOD;
}
