// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file trace.c
 * The library's trace group as tracepoints. The library traces at all only while at least one of them is switched on.
 */
#include "glue.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Tracepoints that are on. The kernel switches one at a time. */
static unsigned int trace_users;

int lnx_trace_reg(void)
{
	if (!trace_users++)
		v3_trace_enable(true);
	return 0;
}

void lnx_trace_unreg(void)
{
	if (!--trace_users)
		v3_trace_enable(false);
}

void lnx_trace_init(void)
{
	v3_trace_enable(READ_ONCE(trace_users));
}

static void trace_entry(void *host_ctx, uint32_t vcpu, uint64_t rip)
{
	trace_v3_entry(vcpu, rip);
}

static void trace_exit(void *host_ctx, uint32_t vcpu, uint32_t kind, uint64_t code, uint64_t rip)
{
	trace_v3_exit(vcpu, kind, code, rip);
}

static void trace_inject(void *host_ctx, uint32_t vcpu, uint32_t type, uint8_t vector)
{
	trace_v3_inject(vcpu, type, vector);
}

static void trace_page_fault(void *host_ctx, uint32_t vcpu, uint64_t gpa, uint32_t access)
{
	trace_v3_page_fault(vcpu, gpa, access);
}

static void trace_io(void *host_ctx, uint32_t vcpu, uint16_t port, uint8_t size, bool write,
		     uint32_t value)
{
	trace_v3_io(vcpu, port, size, write, value);
}

static void trace_mmio(void *host_ctx, uint32_t vcpu, uint64_t gpa, uint8_t size, bool write,
		       uint64_t value)
{
	trace_v3_mmio(vcpu, gpa, size, write, value);
}

const struct v3_host_trace_ops lnx_trace_ops = {
	.entry = trace_entry,
	.exit = trace_exit,
	.inject = trace_inject,
	.page_fault = trace_page_fault,
	.io = trace_io,
	.mmio = trace_mmio,
};
