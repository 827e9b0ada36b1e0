/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file run.c
 * "v3 run": make a VM, start it, connect the terminal, hand on the guest's status. The VM ends with this
 * process unless the user detaches; then a process in the background keeps it.
 */
#include "v3.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Our failures before the guest ran: usage is told apart, the rest has one number, as it is no status of a guest. */
static int run_failure(int code)
{
	return code == V3_EXIT_USAGE ? V3_EXIT_USAGE : V3_EXIT_BROKEN;
}

static int run_verdict(int vm)
{
	struct palacios_info info;

	if (!v3_vm_info(vm, &info)) {
		v3_complain(NULL, "the VM's end is not known: %s", strerror(errno));
		return V3_EXIT_BROKEN;
	}
	if (v3_opt.json)
		v3_info_json(NULL, &info);
	switch (info.reason) {
	case PALACIOS_REASON_POWEROFF:
		return V3_EXIT_GOOD;
	case PALACIOS_REASON_EXIT:
		return info.status & 0xff;
	case PALACIOS_REASON_FAILURE:
		v3_complain("The kernel's log (dmesg) holds the VM's last state: please report it.",
			    "the VMM failed and stopped %s: %s", info.name, strerror(-info.status));
		return V3_EXIT_BROKEN;
	default:
		v3_complain(NULL, "%s is %s without a reason", info.name,
			    v3_state_name(info.state));
		return V3_EXIT_BROKEN;
	}
}

/* @param kept  set if the VM lives on in the background, which has the name then */
static int run_attached(int vm, int console, int listener, const char *name, bool *kept)
{
	int result = v3_vm_do(vm, PALACIOS_VM_START, "start");

	if (result)
		return V3_EXIT_BROKEN;
	switch (v3_session(vm, console, listener)) {
	case V3_SESSION_STOPPED:
		return run_verdict(vm);
	case V3_SESSION_DETACHED:
		result = v3_hold_background(name, listener, vm);
		*kept = !result;
		if (*kept)
			fprintf(stderr,
				"v3: %s runs on; v3 console %s connects again, v3 destroy %s ends "
				"it\n",
				name, name, name);
		return result ? V3_EXIT_BROKEN : V3_EXIT_GOOD;
	case V3_SESSION_TIMEOUT:
		v3_complain(NULL, "%s did not end within %u s: stopped", name, v3_opt.timeout_s);
		return V3_EXIT_TIMEOUT;
	case V3_SESSION_FAILED:
		return V3_EXIT_BROKEN;
	default:
		fprintf(stderr, "v3: %s was stopped by its user\n", name);
		return V3_EXIT_USER;
	}
}

int v3_run(char **args)
{
	int vm = v3_vm_make(args[0]), console, listener, result = V3_EXIT_BROKEN;
	struct palacios_info info;
	bool kept = false;

	if (vm < 0)
		return run_failure(-vm);
	if (!v3_vm_info(vm, &info)) {
		v3_complain(NULL, "the new VM does not answer: %s", strerror(errno));
		goto close_vm;
	}
	console = v3_console_open(vm);
	if (console < 0)
		goto close_vm;
	listener = v3_hold_listen(info.name);
	if (listener < 0) {
		result = run_failure(-listener);
		goto close_console;
	}
	if (isatty(0))
		fprintf(stderr, "v3: %s: %u vcpus, %llu MiB; Ctrl-] opens the menu\n", info.name,
			info.vcpus, (unsigned long long)info.memory_bytes >> 20);
	result = run_attached(vm, console, listener, info.name, &kept);
	if (!kept)
		v3_hold_end(info.name, listener);
close_console:
	close(console);
close_vm:
	close(vm);
	return result;
}
