/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vm.c
 * Making VMs and changing their state: create, start, pause, continue, reset, stop, destroy.
 */
#include "v3.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STOP_S	      20	    /* seconds the guest gets after the power button */
#define PROGRESS_FROM (64ull << 20) /* bytes of an image; a smaller one is loaded at once */

int v3_device_open(void)
{
	struct palacios_version v;
	int fd = open(PALACIOS_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		v3_complain(errno == EACCES || errno == EPERM
				    ? "As root: usermod -a -G palacios USER; then log in again. Or "
				      "use sudo."
				    : "Load the module: modprobe palacios, as root. \"v3 doctor\" "
				      "tells what is "
				      "missing.",
			    "cannot open %s: %s", PALACIOS_DEVICE, strerror(errno));
		return -V3_EXIT_DEVICE;
	}
	memset(&v, 0, sizeof(v));
	if (ioctl(fd, PALACIOS_VERSION, &v) || v.abi != PALACIOS_ABI) {
		v3_complain("Install module and command of the same build; then, as root: rmmod "
			    "palacios; "
			    "modprobe palacios.",
			    "the module does not speak version %u as this command does",
			    PALACIOS_ABI);
		close(fd);
		return -V3_EXIT_DEVICE;
	}
	return fd;
}

static const char *vm_create_remedy(int err)
{
	switch (err) {
	case EBADMSG:
		return "The image is damaged or made by another version: pack it again with "
		       "v3-mkimage. The "
		       "kernel's log (dmesg) names the place.";
	case ENOMEM:
		return "Take less memory in [vm] of the definition, or end something. \"v3 "
		       "doctor\" tells "
		       "what is available.";
	case E2BIG:
		return "An image may be 1 GiB long: move files from it into a disk.";
	case EINVAL:
		return "Is the name given with --name made of A-Z a-z 0-9 . _ - ?";
	case ENODEV:
	case EBUSY:
	case EPERM:
		return "Virtualization is not available now: \"v3 doctor\" tells why.";
	default:
		return "The kernel's log (dmesg) says which part failed.";
	}
}

int v3_vm_make(const char *path)
{
	struct palacios_create create;
	int file, dev, vm = -1, err;
	void *image;
	size_t len;

	err = v3_open_image(path, &file, &len);
	if (err)
		return -err;
	dev = v3_device_open();
	if (dev < 0) {
		close(file);
		return dev;
	}
	image = mmap(NULL, len, PROT_READ, MAP_PRIVATE, file, 0);
	if (len >= PROGRESS_FROM && isatty(2))
		fprintf(stderr, "v3: loading %zu MiB of %s\n", len >> 20, path);
	memset(&create, 0, sizeof(create));
	create.image = (uintptr_t)image;
	create.size = len;
	if (v3_opt.name)
		snprintf(create.name, sizeof(create.name), "%s", v3_opt.name);
	if (image != MAP_FAILED)
		vm = ioctl(dev, PALACIOS_CREATE, &create);
	err = errno;
	if (vm < 0)
		v3_complain(vm_create_remedy(err), "cannot make a VM of %s: %s", path,
			    strerror(err));
	if (image != MAP_FAILED)
		munmap(image, len);
	close(file);
	close(dev);
	if (vm < 0)
		return err == EBADMSG ? -V3_EXIT_FILE : -V3_EXIT_NO;
	return vm;
}

bool v3_vm_info(int vm, struct palacios_info *info)
{
	memset(info, 0, sizeof(*info));
	return !ioctl(vm, PALACIOS_VM_INFO, info);
}

const char *v3_state_name(uint32_t state)
{
	static const char *const names[] = {"ready", "running", "paused", "stopped"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
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
		v3_complain("start takes a ready VM, pause a running one, continue a paused one, "
			    "reset a running "
			    "or paused one; a stopped VM stays stopped: make it anew.",
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
	struct palacios_info info;
	int vm = v3_vm_make(args[0]), listener, result = V3_EXIT_NO;

	if (vm < 0)
		return -vm;
	if (!v3_vm_info(vm, &info)) {
		v3_complain(NULL, "the new VM does not answer: %s", strerror(errno));
		goto close_vm;
	}
	listener = v3_hold_listen(info.name);
	result = listener < 0 ? -listener : V3_EXIT_GOOD;
	if (result)
		goto close_vm;
	if (v3_opt.start)
		result = v3_vm_do(vm, PALACIOS_VM_START, "start");
	if (!result)
		result = v3_hold_background(info.name, listener, vm);
	if (result)
		v3_hold_end(info.name, listener);
	else if (v3_vm_info(vm, &info) && v3_opt.json)
		v3_info_json(NULL, &info);
	else
		puts(info.name);
close_vm:
	close(vm);
	return result;
}

static int vm_by_name(char **args, unsigned long request, const char *verb)
{
	int vm = v3_hold_open(args[0]), result;

	if (vm < 0)
		return -vm;
	result = v3_vm_do(vm, request, verb);
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

static int64_t vm_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* Wait until the VM has stopped. @return false: it has not, in that time */
static bool vm_wait_stopped(int vm, unsigned seconds)
{
	struct pollfd p = {.fd = vm, .events = POLLIN};
	int64_t end = vm_now_ms() + seconds * 1000ll, left;
	struct palacios_info info;

	for (;;) {
		if (!v3_vm_info(vm, &info) || info.state == PALACIOS_STATE_STOPPED)
			return true;
		left = end - vm_now_ms();
		if (left <= 0)
			return false;
		poll(&p, 1, (int)left);
	}
}

/* The button helps only a guest that runs and listens; what remains is stopped the hard way. */
int v3_stop(char **args)
{
	int vm = v3_hold_open(args[0]), result = V3_EXIT_GOOD;
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
	close(vm);
	return result;
}

int v3_destroy(char **args)
{
	int vm = v3_hold_open(args[0]), result;

	if (vm < 0)
		return -vm;
	result = v3_vm_stop_hard(vm);
	close(vm);
	if (!result)
		result = v3_hold_destroy(args[0]);
	return result;
}
