/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vm.c
 * Making VMs and changing their state: create, start, pause, continue, reset, stop, destroy, move.
 */
#include "v3.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define STOP_S 20 /* seconds the guest gets after the power button */

static const char *vm_create_remedy(int err)
{
	switch (err) {
	case EBADMSG:
		return "The image is damaged or made by another version: pack it again with "
		       "v3-mkimage. The kernel's log (dmesg) names the place.";
	case ENOMEM:
		return "Take less memory in [vm] of the definition, or end something. "
		       "\"v3 doctor\" tells what is available.";
	case E2BIG:
		return "An image may be 1 GiB long: pack smaller files.";
	case EEXIST:
		return "Give this one another name with --name, or end that one: v3 destroy NAME.";
	case ENODEV:
	case EBUSY:
	case EPERM:
		return "Virtualization is not available now: \"v3 doctor\" tells why.";
	default:
		return "The kernel's log (dmesg) says which part failed.";
	}
}

/* @return descriptor of the VM, -1 with errno */
static int vm_create_ioctl(int dev, const struct v3_image *image, const struct v3_files *files,
			   uint32_t flags)
{
	struct palacios_create_files with;
	struct palacios_create *create = &with.create;

	memset(&with, 0, sizeof(with));
	create->image = (uintptr_t)image->data;
	create->size = image->size;
	create->flags = flags;
	if (v3_opt.name)
		snprintf(create->name, sizeof(create->name), "%s", v3_opt.name);
	if (!files->n)
		return ioctl(dev, PALACIOS_CREATE, create);
	with.files = (uintptr_t)files->file;
	with.nfiles = files->n;
	return ioctl(dev, PALACIOS_CREATE_FILES, &with);
}

int v3_vm_make(const char *path, uint32_t flags)
{
	static struct v3_files files;
	struct v3_image image;
	int dev, vm, err;

	err = v3_image_open(path, &image);
	if (err)
		return -err;
	dev = v3_device_open();
	err = dev < 0 ? -dev : v3_files_open(path, &image, &files);
	if (err) {
		v3_image_close(&image);
		if (dev >= 0)
			close(dev);
		return -err;
	}
	vm = vm_create_ioctl(dev, &image, &files, flags);
	err = errno;
	v3_files_close(&files);
	v3_image_close(&image);
	close(dev);
	if (vm >= 0)
		return vm;
	if (err == EEXIST && v3_opt.name)
		v3_complain(vm_create_remedy(err), "a VM named %s exists already", v3_opt.name);
	else
		v3_complain(vm_create_remedy(err), "cannot make a VM of %s: %s", path,
			    strerror(err));
	return err == EBADMSG ? -V3_EXIT_FILE : -V3_EXIT_NO;
}

int v3_vm_do(int vm, unsigned long request, const char *verb)
{
	struct palacios_info info;
	int err;

	if (!ioctl(vm, request, NULL))
		return V3_EXIT_GOOD;
	err = errno;
	if (!v3_vm_info(vm, &info))
		v3_complain(NULL, "cannot %s the VM: %s", verb, strerror(err));
	else if (err == EBUSY)
		v3_complain(
			"start takes a ready VM, pause a running one, continue a paused one, "
			"reset a running or paused one; a stopped VM stays stopped: make it anew.",
			"cannot %s %s: it is %s", verb, info.name, v3_state_name(info.state));
	else
		v3_complain("The kernel's log (dmesg) says more.", "cannot %s %s: %s", verb,
			    info.name, strerror(err));
	return V3_EXIT_NO;
}

int v3_vm_stop_hard(int vm)
{
	struct palacios_stop stop = {.how = PALACIOS_STOP_HARD};

	if (!ioctl(vm, PALACIOS_VM_STOP, &stop))
		return V3_EXIT_GOOD;
	v3_complain("The kernel's log (dmesg) says more.", "cannot stop the VM: %s",
		    strerror(errno));
	return V3_EXIT_NO;
}

bool v3_vm_button(int vm)
{
	struct palacios_stop stop = {.how = PALACIOS_STOP_BUTTON};

	return !ioctl(vm, PALACIOS_VM_STOP, &stop);
}

int v3_create(char **args)
{
	int vm = v3_vm_make(args[0], PALACIOS_CREATE_PERSISTENT), result = V3_EXIT_GOOD;
	struct palacios_info info;

	if (vm < 0)
		return -vm;
	if (v3_opt.start)
		result = v3_vm_do(vm, PALACIOS_VM_START, "start");
	if (!result && !v3_vm_info(vm, &info)) {
		v3_complain(NULL, "the new VM does not answer: %s", strerror(errno));
		result = V3_EXIT_NO;
	}
	if (result)
		ioctl(vm, PALACIOS_VM_DESTROY); /* nobody was told its name */
	else if (v3_opt.json)
		result = v3_info_json(vm);
	else
		puts(info.name);
	close(vm);
	return result;
}

static int vm_by_name(char **args, unsigned long request, const char *verb)
{
	int vm = v3_vm_open(args[0]), result;

	if (vm < 0)
		return -vm;
	result = v3_vm_do(vm, request, verb);
	if (!result)
		result = v3_info_json(vm);
	close(vm);
	return result;
}

int v3_start(char **args)
{
	return vm_by_name(args, PALACIOS_VM_START, "start");
}

int v3_pause(char **args)
{
	return vm_by_name(args, PALACIOS_VM_PAUSE, "pause");
}

int v3_continue(char **args)
{
	return vm_by_name(args, PALACIOS_VM_CONTINUE, "continue");
}

int v3_reset(char **args)
{
	return vm_by_name(args, PALACIOS_VM_RESET, "reset");
}

int v3_destroy(char **args)
{
	return vm_by_name(args, PALACIOS_VM_DESTROY, "destroy");
}

/* Wait until the VM has stopped. @return false: it has not, in that time */
static bool vm_wait_stopped(int vm, unsigned seconds)
{
	struct pollfd p = {.fd = vm, .events = POLLIN};
	int64_t end = v3_now_ms() + seconds * 1000ll, left;
	struct palacios_info info;

	for (;;) {
		if (!v3_vm_info(vm, &info) || info.state == PALACIOS_STATE_STOPPED)
			return true;
		left = end - v3_now_ms();
		if (left <= 0)
			return false;
		poll(&p, 1, (int)left);
	}
}

/* The button helps only a guest that runs and listens; what remains is stopped the hard way. */
int v3_stop(char **args)
{
	int vm = v3_vm_open(args[0]), result = V3_EXIT_GOOD;
	struct palacios_info info;

	if (vm < 0)
		return -vm;
	if (!v3_vm_info(vm, &info)) {
		v3_complain(NULL, "%s does not answer: %s", args[0], strerror(errno));
		result = V3_EXIT_NO;
	} else if (info.state != PALACIOS_STATE_STOPPED) {
		if (v3_opt.hard || info.state != PALACIOS_STATE_RUNNING || !v3_vm_button(vm) ||
		    !vm_wait_stopped(vm, v3_opt.timeout_given ? v3_opt.timeout_s : STOP_S))
			result = v3_vm_stop_hard(vm);
	}
	if (!result)
		result = v3_info_json(vm);
	close(vm);
	return result;
}

/* @return false: complained about */
static bool vm_small_number(const char *what, const char *text, uint32_t *value)
{
	uint64_t n;

	if (v3_number_parse(text, &n) && n <= UINT32_MAX) {
		*value = (uint32_t)n;
		return true;
	}
	v3_complain("v3 info NAME shows the vcpus and where they are; /proc/cpuinfo the CPUs.",
		    "%s is no number of a %s", text, what);
	return false;
}

static void vm_move_complain(const char *name, const struct palacios_move *m)
{
	if (errno == ERANGE)
		v3_complain("v3 info NAME shows the vcpus.", "%s has no vcpu %u", name, m->vcpu);
	else if (errno == ENODEV)
		v3_complain("/proc/cpuinfo shows those that are.",
			    "there is no CPU %u, or it is offline", m->cpu);
	else
		v3_complain("The kernel's log (dmesg) says more.", "cannot move vcpu %u of %s: %s",
			    m->vcpu, name, strerror(errno));
}

int v3_move(char **args)
{
	struct palacios_move m;
	int vm, result = V3_EXIT_GOOD;

	memset(&m, 0, sizeof(m));
	if (!vm_small_number("vcpu", args[1], &m.vcpu) || !vm_small_number("CPU", args[2], &m.cpu))
		return V3_EXIT_USAGE;
	vm = v3_vm_open(args[0]);
	if (vm < 0)
		return -vm;
	if (ioctl(vm, PALACIOS_VM_MOVE, &m)) {
		vm_move_complain(args[0], &m);
		result = V3_EXIT_NO;
	} else {
		result = v3_info_json(vm);
	}
	close(vm);
	return result;
}
