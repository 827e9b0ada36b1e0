/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file run.c
 * "v3 run": make a VM, start it, connect the terminal, hand on the guest's status. The VM ends with this process,
 * however that ends: its descriptor is the only thing that keeps it.
 */
#include "v3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What "v3 dump" would show is lost when we end. */
static void run_post_mortem(int vm)
{
	char *text = v3_dump_text(vm);

	if (text)
		fputs(text, stderr);
	free(text);
}

static int run_verdict(int vm)
{
	struct palacios_info info;

	if (!v3_vm_info(vm, &info)) {
		v3_complain(NULL, "the VM's end is not known: %s", strerror(errno));
		return V3_EXIT_BROKEN;
	}
	if (info.reason != PALACIOS_REASON_FAILURE)
		v3_info_json(vm);
	switch (info.reason) {
	case PALACIOS_REASON_POWEROFF:
		return V3_EXIT_GOOD;
	case PALACIOS_REASON_EXIT:
		return info.status & 0xff;
	case PALACIOS_REASON_FAILURE:
		run_post_mortem(vm);
		v3_complain("Please report it with the dump above and the kernel's log (dmesg).",
			    "the VMM failed and stopped %s: %s", info.name, strerror(-info.status));
		return V3_EXIT_BROKEN;
	default:
		v3_complain(NULL, "%s is %s without a reason", info.name,
			    v3_state_name(info.state));
		return V3_EXIT_BROKEN;
	}
}

static int run_attached(const struct v3_attachment *to)
{
	if (v3_vm_do(to->vm, PALACIOS_VM_START, "start"))
		return V3_EXIT_BROKEN;
	switch (v3_session(to)) {
	case V3_SESSION_STOPPED:
		return run_verdict(to->vm);
	case V3_SESSION_TIMEOUT:
		v3_complain("Give it more time with --timeout, or none to let it run.",
			    "%s did not end within %u s: stopped", to->name, v3_opt.timeout_s);
		return V3_EXIT_TIMEOUT;
	case V3_SESSION_FAILED:
		return V3_EXIT_BROKEN;
	default:
		fprintf(stderr, "v3: %s was stopped by its user\n", to->name);
		v3_info_json(to->vm);
		return V3_EXIT_USER;
	}
}

int v3_run(char **args)
{
	struct v3_attachment to = {.vm = v3_vm_make(args[0], 0), .is_owner = true};
	int result = V3_EXIT_BROKEN;
	struct palacios_info info;
	char size[16];

	if (to.vm < 0)
		return V3_EXIT_BROKEN;
	if (!v3_vm_info(to.vm, &info)) {
		v3_complain(NULL, "the new VM does not answer: %s", strerror(errno));
		goto close_vm;
	}
	to.name = info.name;
	to.id = info.id;
	to.console = v3_console_open(to.vm);
	if (to.console < 0)
		goto close_vm;
	if (isatty(0))
		fprintf(stderr, "v3: %s: %u vcpus, %s; Ctrl-] opens the menu\n", info.name,
			info.vcpus, v3_size_text(size, info.memory_bytes));
	result = run_attached(&to);
	close(to.console);
close_vm:
	close(to.vm);
	return result;
}
