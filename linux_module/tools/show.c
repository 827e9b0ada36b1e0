/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file show.c
 * Facts about VMs and the module: list, info, version.
 */
#include "v3.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static bool show_stays(const struct palacios_info *info)
{
	return info->flags & PALACIOS_INFO_PERSISTENT;
}

void v3_info_members(const struct palacios_info *info)
{
	v3_json_text("name", info->name);
	v3_json_text("state", v3_state_name(info->state));
	v3_json_text("reason", v3_reason_name(info->reason));
	v3_json_number("status", info->status);
	v3_json_number("id", (int64_t)info->id);
	v3_json_bool("persistent", show_stays(info));
	v3_json_number("owner_uid", info->owner_uid);
	v3_json_number("created_s", (int64_t)info->created_s);
	v3_json_number("resets", info->resets);
	v3_json_number("vcpus", info->vcpus);
	v3_json_number("memory_bytes", (int64_t)info->memory_bytes);
	v3_json_number("memory_1g", (int64_t)info->memory_1g);
	v3_json_number("memory_2m", (int64_t)info->memory_2m);
}

/* @return false: no such vcpu, or the VM does not answer */
static bool show_vcpu_get(int vm, uint32_t index, struct palacios_vcpu *vcpu)
{
	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->vcpu = index;
	return !ioctl(vm, PALACIOS_VM_VCPU, vcpu);
}

static const char *show_vcpu_state(uint32_t state)
{
	static const char *const names[] = {"runnable", "halted", "not started"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

int v3_info_json(int vm)
{
	struct palacios_info info;
	struct palacios_vcpu vcpu;
	uint32_t i;

	if (!v3_opt.json)
		return V3_EXIT_GOOD;
	if (!v3_vm_info(vm, &info)) {
		v3_complain(NULL, "the VM does not answer: %s", strerror(errno));
		return V3_EXIT_NO;
	}
	v3_json_open(NULL, '{');
	v3_info_members(&info);
	v3_json_open("vcpu", '[');
	for (i = 0; i < info.vcpus && show_vcpu_get(vm, i, &vcpu); i++) {
		v3_json_open(NULL, '{');
		v3_json_number("cpu", vcpu.cpu);
		v3_json_text("state", show_vcpu_state(vcpu.state));
		v3_json_number("entries", (int64_t)vcpu.entries);
		v3_json_close();
	}
	v3_json_close();
	v3_json_close();
	return V3_EXIT_GOOD;
}

static void show_listed(const struct palacios_info *info, int device, void *priv)
{
	unsigned *count = priv;
	char size[16], user[32];

	(void)device;
	if (v3_opt.json) {
		v3_json_open(NULL, '{');
		v3_info_members(info);
		v3_json_close();
	} else {
		if (!*count)
			printf("%-24s %-8s %5s %10s %-12s %s\n", "NAME", "STATE", "VCPUS", "MEMORY",
			       "OWNER", "LIVES");
		printf("%-24s %-8s %5u %10s %-12s %s\n", info->name, v3_state_name(info->state),
		       info->vcpus, v3_size_text(size, info->memory_bytes),
		       v3_user_text(user, info->owner_uid),
		       show_stays(info) ? "until destroyed" : "with v3 run");
	}
	++*count;
}

int v3_list(char **args)
{
	unsigned count = 0;
	int result;

	(void)args;
	if (!v3_opt.json) {
		result = v3_vm_each(show_listed, &count);
		if (!result && !count)
			fputs("v3: there is no VM; \"v3 run guest.toml\" or \"v3 create "
			      "guest.toml\" "
			      "makes one\n",
			      stderr);
		return result;
	}
	result = v3_device_open(); /* a complaint comes instead of the list, not inside */
	if (result < 0)
		return -result;
	close(result);
	v3_json_open(NULL, '{');
	v3_json_open("vms", '[');
	result = v3_vm_each(show_listed, &count);
	v3_json_close();
	v3_json_close();
	return result;
}

static void show_end(const struct palacios_info *info)
{
	switch (info->reason) {
	case PALACIOS_REASON_EXIT:
		printf("end      the guest ended with status %d\n", info->status);
		break;
	case PALACIOS_REASON_FAILURE:
		printf("end      failure of the VMM: %s; v3 dump %s tells more\n",
		       strerror(-info->status), info->name);
		break;
	default:
		puts("end      switched off");
	}
}

static void show_text(int vm, const struct palacios_info *info)
{
	time_t created = (time_t)info->created_s;
	char size[16], big[16], middle[16], text[32];
	struct palacios_vcpu vcpu;
	uint32_t i;

	printf("name     %s\nstate    %s\n", info->name, v3_state_name(info->state));
	if (info->state == PALACIOS_STATE_STOPPED)
		show_end(info);
	printf("memory   %s", v3_size_text(size, info->memory_bytes));
	printf(", of it %s in pages of 1 GiB, %s in pages of 2 MiB\n",
	       v3_size_text(big, info->memory_1g), v3_size_text(middle, info->memory_2m));
	printf("owner    %s\n", v3_user_text(text, info->owner_uid));
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", localtime(&created));
	printf("created  %s, number %llu, %u resets\n", text, (unsigned long long)info->id,
	       info->resets);
	printf("lives    %s\n", show_stays(info) ? "until v3 destroy" : "as long as its v3 run");
	printf("%-8s %5s %-12s %s\n", "vcpu", "CPU", "STATE", "ENTRIES");
	for (i = 0; i < info->vcpus && show_vcpu_get(vm, i, &vcpu); i++)
		printf("%-8u %5u %-12s %llu\n", i, vcpu.cpu, show_vcpu_state(vcpu.state),
		       (unsigned long long)vcpu.entries);
}

int v3_info(char **args)
{
	int vm = v3_vm_open(args[0]), result;
	struct palacios_info info;

	if (vm < 0)
		return -vm;
	result = v3_info_json(vm);
	if (!v3_opt.json) {
		if (v3_vm_info(vm, &info)) {
			show_text(vm, &info);
		} else {
			v3_complain(NULL, "%s does not answer: %s", args[0], strerror(errno));
			result = V3_EXIT_NO;
		}
	}
	close(vm);
	return result;
}

int v3_version(char **args)
{
	struct palacios_version v;
	int dev = v3_device_open();
	char size[16], free[16];

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
		v3_json_number("vms", v.vms);
		v3_json_bool("pages_1g", v.features & PALACIOS_FEATURE_1G);
		v3_json_number("pool_size", (int64_t)v.pool_size);
		v3_json_number("pool_free", (int64_t)v.pool_free);
		v3_json_close();
	} else {
		printf("abi %u, back end %.15s, %u CPUs, %u VMs, %s reserved, %s of it free\n",
		       v.abi, v.backend, v.cpus, v.vms, v3_size_text(size, v.pool_size),
		       v3_size_text(free, v.pool_free));
	}
	return V3_EXIT_GOOD;
}
