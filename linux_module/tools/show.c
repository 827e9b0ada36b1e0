/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file show.c
 * Facts about VMs and the module: list, info, stats, version.
 */
#include "v3.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *show_reason(uint32_t reason)
{
	static const char *const names[] = {"none", "poweroff", "exit", "failure"};

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "?";
}

void v3_info_json(const char *key, const struct palacios_info *info)
{
	v3_json_open(key, '{');
	v3_json_text("name", info->name);
	v3_json_text("state", v3_state_name(info->state));
	v3_json_text("reason", show_reason(info->reason));
	v3_json_number("status", info->status);
	v3_json_number("vcpus", info->vcpus);
	v3_json_number("memory_bytes", (int64_t)info->memory_bytes);
	v3_json_number("created_s", (int64_t)info->created_s);
	v3_json_number("owner_uid", info->owner_uid);
	v3_json_close();
}

static void show_listed(const char *name, int vm, void *priv)
{
	struct palacios_info info;
	unsigned *count = priv;

	if (!v3_vm_info(vm, &info))
		return;
	if (v3_opt.json) {
		v3_info_json(NULL, &info);
	} else {
		if (!*count)
			printf("%-24s %-8s %5s %10s\n", "NAME", "STATE", "VCPUS", "MEMORY");
		printf("%-24s %-8s %5u %6llu MiB\n", name, v3_state_name(info.state), info.vcpus,
		       (unsigned long long)info.memory_bytes >> 20);
	}
	++*count;
}

int v3_list(char **args)
{
	unsigned count = 0;
	int result;

	(void)args;
	if (v3_opt.json) {
		v3_json_open(NULL, '{');
		v3_json_open("vms", '[');
	}
	result = v3_hold_each(show_listed, &count);
	if (v3_opt.json) {
		v3_json_close();
		v3_json_close();
	} else if (!count) {
		fputs("v3: you have no VM; \"v3 run guest.toml\" or \"v3 create guest.toml\" makes "
		      "one\n",
		      stderr);
	}
	return result;
}

int v3_info(char **args)
{
	int vm = v3_hold_open(args[0]);
	struct palacios_info info;
	bool good;

	if (vm < 0)
		return -vm;
	good = v3_vm_info(vm, &info);
	close(vm);
	if (!good) {
		v3_complain(NULL, "%s does not answer: %s", args[0], strerror(errno));
		return V3_EXIT_NO;
	}
	if (v3_opt.json) {
		v3_info_json(NULL, &info);
		return V3_EXIT_GOOD;
	}
	printf("name    %s\nstate   %s\n", info.name, v3_state_name(info.state));
	if (info.state == PALACIOS_STATE_STOPPED)
		printf("reason  %s, status %d\n", show_reason(info.reason), info.status);
	printf("vcpus   %u\nmemory  %llu MiB\nowner   uid %u\n", info.vcpus,
	       (unsigned long long)info.memory_bytes >> 20, info.owner_uid);
	return V3_EXIT_GOOD;
}

static void show_stat_json(const struct palacios_stats *st)
{
	unsigned b;

	v3_json_open(NULL, '{');
	v3_json_number("vcpu", st->vcpu);
	v3_json_text("kind", st->name);
	v3_json_number("count", (int64_t)st->count);
	v3_json_number("cycles", (int64_t)st->cycles);
	v3_json_number("max_cycles", (int64_t)st->max_cycles);
	v3_json_open("histogram", '[');
	for (b = 0; b < PALACIOS_STAT_BUCKETS; b++)
		v3_json_number(NULL, st->histogram[b]);
	v3_json_close();
	v3_json_close();
}

/* Kinds that never happened are left out. @return false: no such vcpu or kind */
static bool show_stat(int vm, uint32_t vcpu, uint32_t kind)
{
	struct palacios_stats st;

	memset(&st, 0, sizeof(st));
	st.vcpu = vcpu;
	st.kind = kind;
	if (ioctl(vm, PALACIOS_VM_STATS, &st))
		return false;
	if (!st.count)
		return true;
	if (v3_opt.json)
		show_stat_json(&st);
	else
		printf("%4u %-14s %12llu %16llu %10llu %12llu\n", vcpu, st.name,
		       (unsigned long long)st.count, (unsigned long long)st.cycles,
		       (unsigned long long)(st.cycles / st.count),
		       (unsigned long long)st.max_cycles);
	return true;
}

int v3_stats(char **args)
{
	int vm = v3_hold_open(args[0]), result = V3_EXIT_GOOD;
	uint32_t vcpu = 0, kind = 0;

	if (vm < 0)
		return -vm;
	if (v3_opt.json) {
		v3_json_open(NULL, '{');
		v3_json_open("exits", '[');
	} else {
		printf("%4s %-14s %12s %16s %10s %12s\n", "VCPU", "EXIT", "COUNT", "CYCLES",
		       "AVERAGE", "LONGEST");
	}
	for (;;) {
		if (show_stat(vm, vcpu, kind)) {
			kind++;
		} else if (errno == ERANGE && kind) {
			vcpu++;
			kind = 0;
		} else {
			break;
		}
	}
	if (v3_opt.json) {
		v3_json_close();
		v3_json_close();
	}
	if (errno != ERANGE) {
		v3_complain(NULL, "cannot read the statistics of %s: %s", args[0], strerror(errno));
		result = V3_EXIT_NO;
	}
	close(vm);
	return result;
}

int v3_version(char **args)
{
	struct palacios_version v;
	int dev = v3_device_open();

	(void)args;
	if (dev < 0)
		return -dev;
	memset(&v, 0, sizeof(v));
	ioctl(dev, PALACIOS_VERSION, &v);
	close(dev);
	if (v3_opt.json) {
		v3_json_open(NULL, '{');
		v3_json_number("abi", v.abi);
		v3_json_text("backend", v.backend);
		v3_json_number("cpus", v.cpus);
		v3_json_close();
	} else {
		printf("abi %u, back end %.15s, %u CPUs\n", v.abi, v.backend, v.cpus);
	}
	return V3_EXIT_GOOD;
}
