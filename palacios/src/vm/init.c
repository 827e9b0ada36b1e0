/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file init.c
 * v3_init() and v3_fini(): the host's functions, the vendor back end, virtualization on every CPU.
 */
#include "host/host.h"
#include "palacios/util/str.h"
#include "state.h"

#define V3_LOG_TAG "init"

#define INIT_BACKENDS 4

/* The first back end whose probe does not say "no such feature" is the one; its refusal is final. If all say
 * so, the user reads why of each. */
static int init_probe(void)
{
	const char *why[INIT_BACKENDS] = {"no back end in this build"};
	unsigned i = 0, first;
	int err = V3_ENODEV;

	for (; i < INIT_BACKENDS && v3_arch_backends[i] && err == V3_ENODEV; i++) {
		err = v3_arch_backends[i]->probe(&v3_lib.caps, &why[i]);
		if (err == V3_OK)
			v3_lib.arch = v3_arch_backends[i];
	}
	if (err == V3_OK)
		return V3_OK;
	i = i ? i : 1;
	for (first = err == V3_ENODEV ? 0 : i - 1; first < i; first++)
		V3_ERR(NULL, "no virtualization: %s", why[first]);
	return err;
}

static void init_forget(void)
{
	v3_net_fini();
	v3_free(v3_lib.cpu_on);
	memset(&v3_lib, 0, sizeof(v3_lib));
}

int v3_init(const struct v3_init_params *params)
{
	int err;

	if (v3_lib.arch)
		return V3_EBUSY;
	if (!params || !params->devices)
		return V3_EINVAL;
	err = v3_host_check(params->host);
	if (err != V3_OK)
		return err;
	v3_lib.ops = *params->host;
	v3_lib.devices = params->devices;
	v3_lib.extensions = params->extensions;
	v3_lib.log_level = V3_LOG_INFO;
	v3_lib.software_apic = params->software_apic;
	v3_lib.watch = params->checks ? V3_WATCH_CHECKS : 0;

	err = v3_net_init();
	if (err == V3_OK)
		err = init_probe();
	if (err != V3_OK)
		goto forget;
	v3_lib.ncpus = v3_host_cpu_count();
	v3_lib.cpu_on = v3_alloc(v3_lib.ncpus);
	if (!v3_lib.cpu_on) {
		err = V3_ENOMEM;
		goto forget;
	}
	err = v3_lib.arch->init(v3_lib.ncpus, &v3_lib.arch_state);
	if (err != V3_OK)
		goto forget;
	err = v3_enable();
	if (err != V3_OK)
		goto fini;
	V3_INFO(NULL, "%s on %u CPUs", v3_lib.arch->name, v3_cpus_usable());
	return V3_OK;

fini:
	v3_lib.arch->fini(v3_lib.arch_state);
forget:
	init_forget();
	return err;
}

int v3_fini(void)
{
	if (!v3_lib.arch)
		return V3_OK;
	if (v3_disable())
		return V3_EBUSY;
	v3_lib.arch->fini(v3_lib.arch_state);
	init_forget();
	return V3_OK;
}

const char *v3_backend_name(void)
{
	return v3_lib.arch->name;
}

bool v3_nested_1g(void)
{
	return v3_lib.caps.nested_1g;
}
