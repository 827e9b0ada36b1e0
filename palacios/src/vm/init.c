/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file init.c
 * v3_init() and v3_fini(): the host's functions, the vendor back end, virtualization on every CPU.
 */
#include "host/host.h"
#include "palacios/util/str.h"
#include "state.h"

#define V3_LOG_TAG "init"

/* The first back end whose probe does not say "no such feature" is the one; its refusal is final. */
static int init_probe(void)
{
	const char *why = "no back end in this build";
	int err = V3_ENODEV;
	unsigned i;

	for (i = 0; v3_arch_backends[i] && err == V3_ENODEV; i++) {
		err = v3_arch_backends[i]->probe(&v3_lib.caps, &why);
		if (err == V3_OK)
			v3_lib.arch = v3_arch_backends[i];
	}
	if (err != V3_OK)
		V3_ERR(NULL, "no virtualization: %s", why);
	return err;
}

/* Runs on each CPU with interrupts off. */
struct init_cpu_call {
	int err;
};

static void init_enable(void *arg)
{
	((struct init_cpu_call *)arg)->err = v3_lib.arch->cpu_enable(v3_lib.arch_state);
}

static void init_disable(void *arg)
{
	(void)arg;
	v3_lib.arch->cpu_disable(v3_lib.arch_state);
}

static void init_disable_all(void)
{
	uint32_t i;

	for (i = 0; i < v3_host_cpu_count(); i++)
		v3_host_cpu_call(i, init_disable, NULL);
}

static int init_enable_all(void)
{
	struct init_cpu_call call = {V3_OK};
	uint32_t i;
	int err;

	for (i = 0; i < v3_host_cpu_count(); i++) {
		err = v3_host_cpu_call(i, init_enable, &call);
		if (err == V3_OK)
			err = call.err;
		if (err != V3_OK) {
			V3_ERR(NULL, "CPU %u: virtualization cannot be enabled: %s", i,
			       v3_strerror(err));
			init_disable_all();
			return err;
		}
	}
	return V3_OK;
}

static void init_forget(void)
{
	v3_net_fini();
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

	err = v3_net_init();
	if (err == V3_OK)
		err = init_probe();
	if (err != V3_OK)
		goto forget;
	err = v3_lib.arch->init(v3_host_cpu_count(), &v3_lib.arch_state);
	if (err != V3_OK)
		goto forget;
	err = init_enable_all();
	if (err != V3_OK)
		goto fini;
	V3_INFO(NULL, "%s on %u CPUs", v3_lib.arch->name, v3_host_cpu_count());
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
	if (__atomic_load_n(&v3_lib.vms, __ATOMIC_SEQ_CST))
		return V3_EBUSY;
	init_disable_all();
	v3_lib.arch->fini(v3_lib.arch_state);
	init_forget();
	return V3_OK;
}
