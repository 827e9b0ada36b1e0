/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file chr.c
 * Byte streams of devices (palacios/chr.h) over the host's console group. The host says from any context
 * that input is there; the device learns of it on vcpu 0's thread.
 */
#include "palacios/chr.h"

#include "host/host.h"
#include "palacios/error.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

struct v3_chr {
	struct v3_vcpu *vcpu; /* not owned: where input is reported */
	void *stream;	      /* owned: the host's handle */
	void (*input)(struct v3_vcpu *vcpu, void *priv);
	void *priv;
	struct v3_work work;
};

static void chr_input(struct v3_vcpu *vcpu, void *arg)
{
	struct v3_chr *chr = arg;

	chr->input(vcpu, chr->priv);
}

/* Called by the host in any context. */
static void chr_ready(void *arg)
{
	struct v3_chr *chr = arg;

	v3_vcpu_queue_work(chr->vcpu, &chr->work);
}

int v3_chr_open(struct v3_vm *vm, const char *name, void (*input)(struct v3_vcpu *vcpu, void *priv),
		void *priv, struct v3_chr **out)
{
	const struct v3_host_console_ops *console = v3_host_console();
	struct v3_chr *chr;

	if (!console)
		return V3_ENOTSUP;
	chr = v3_alloc(sizeof(*chr));
	if (!chr)
		return V3_ENOMEM;
	chr->vcpu = v3_vm_vcpu(vm, 0);
	chr->input = input;
	chr->priv = priv;
	chr->work.fn = chr_input;
	chr->work.arg = chr;
	chr->stream = console->open(v3_vm_host_ctx(vm), name, input ? chr_ready : NULL, chr);
	if (!chr->stream) {
		v3_free(chr);
		return V3_ENOENT;
	}
	*out = chr;
	return V3_OK;
}

void v3_chr_close(struct v3_chr *chr)
{
	if (!chr)
		return;
	v3_host_console()->close(chr->stream);
	v3_free(chr);
}

size_t v3_chr_write(struct v3_chr *chr, const void *buf, size_t len)
{
	return chr ? v3_host_console()->write(chr->stream, buf, len) : len;
}

size_t v3_chr_read(struct v3_chr *chr, void *buf, size_t len)
{
	return chr ? v3_host_console()->read(chr->stream, buf, len) : 0;
}
