/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file device.c
 * The device and how VMs are found through it: by name, one after the other. Commands: uapi/palacios.h.
 */
#include "v3.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char device_permission[] =
	"As root: usermod -a -G palacios USER; then log in again. Or use sudo.";
static const char device_load[] =
	"Load the module: modprobe palacios, as root. \"v3 doctor\" tells what is missing.";

int v3_device_open(void)
{
	struct palacios_version v;
	int fd = open(PALACIOS_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		v3_complain(errno == EACCES || errno == EPERM ? device_permission : device_load,
			    "cannot open %s: %s", PALACIOS_DEVICE, strerror(errno));
		return -V3_EXIT_DEVICE;
	}
	memset(&v, 0, sizeof(v));
	if (ioctl(fd, PALACIOS_VERSION, &v) || v.abi != PALACIOS_ABI) {
		v3_complain("Install module and command of the same build; then, as root: "
			    "modprobe -r palacios; modprobe palacios.",
			    "the module does not speak version %u as this command does",
			    PALACIOS_ABI);
		close(fd);
		return -V3_EXIT_DEVICE;
	}
	return fd;
}

int v3_vm_try_open(int device, const char *name)
{
	struct palacios_open o;

	memset(&o, 0, sizeof(o));
	if (strlen(name) >= sizeof(o.name)) {
		errno = ENOENT;
		return -1;
	}
	strcpy(o.name, name);
	return ioctl(device, PALACIOS_OPEN, &o);
}

int v3_vm_open(const char *name)
{
	int device = v3_device_open(), vm, err;

	if (device < 0)
		return device;
	vm = v3_vm_try_open(device, name);
	err = errno;
	close(device);
	if (vm >= 0)
		return vm;
	if (err == EACCES)
		v3_complain("Use sudo, or ask that user; v3 list tells who it is.",
			    "%s belongs to another user", name);
	else if (err == ENOENT || err == EINVAL)
		v3_complain("v3 list shows the VMs there are.", "there is no VM named %s", name);
	else
		v3_complain(NULL, "cannot open %s: %s", name, strerror(err));
	return -V3_EXIT_NO;
}

int v3_vm_each(void (*fn)(const struct palacios_info *info, int device, void *priv), void *priv)
{
	struct palacios_list next;
	int device = v3_device_open(), err = 0;
	uint64_t after = 0;

	if (device < 0)
		return -device;
	while (!err) {
		memset(&next, 0, sizeof(next));
		next.after = after;
		if (ioctl(device, PALACIOS_LIST, &next)) {
			err = errno;
			continue;
		}
		after = next.info.id;
		fn(&next.info, device, priv);
	}
	close(device);
	if (err == ENOENT)
		return V3_EXIT_GOOD;
	v3_complain(NULL, "cannot list the VMs: %s", strerror(err));
	return V3_EXIT_NO;
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

const char *v3_reason_name(uint32_t reason)
{
	static const char *const names[] = {"none", "poweroff", "exit", "failure"};

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "?";
}
