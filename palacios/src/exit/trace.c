/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file trace.c
 * From the core's structures to the host's trace functions. Called by the run loop, event delivery and the port and
 * memory access paths through V3_TRACE().
 */
#include "exit/trace.h"

#include "exit/exit.h"
#include "state.h"

_Static_assert((int)V3_TRACE_INTR == (int)V3_EVENT_INTR && (int)V3_TRACE_NMI == (int)V3_EVENT_NMI &&
		       (int)V3_TRACE_EXCEPTION == (int)V3_EVENT_EXCEPTION &&
		       (int)V3_TRACE_SOFT_INT == (int)V3_EVENT_SOFT_INT,
	       "the public numbers are the internal ones");

void v3_trace_enable(bool on)
{
	if (on && v3_lib.ops.trace)
		__atomic_fetch_or(&v3_lib.watch, V3_WATCH_TRACE, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&v3_lib.watch, (uint8_t)~V3_WATCH_TRACE, __ATOMIC_RELAXED);
}

void v3_trace_entry(const struct v3_vcpu *vcpu)
{
	v3_lib.ops.trace->entry(vcpu->vm->host_ctx, vcpu->index, vcpu->regs.rip);
}

void v3_trace_exit(const struct v3_vcpu *vcpu, const struct v3_exit *exit)
{
	const struct v3_host_trace_ops *trace = v3_lib.ops.trace;

	trace->exit(vcpu->vm->host_ctx, vcpu->index, exit->kind, exit->code, vcpu->regs.rip);
	if (exit->kind == V3_EXIT_NESTED_FAULT)
		trace->page_fault(vcpu->vm->host_ctx, vcpu->index, exit->u.fault.gpa,
				  exit->u.fault.access);
}

void v3_trace_inject(const struct v3_vcpu *vcpu, const struct v3_event *ev)
{
	v3_lib.ops.trace->inject(vcpu->vm->host_ctx, vcpu->index, ev->type, ev->vector);
}

/* What a port does not use of a value is not shown. */
void v3_trace_io(const struct v3_vcpu *vcpu, const struct v3_io *io)
{
	v3_lib.ops.trace->io(vcpu->vm->host_ctx, vcpu->index, io->port, io->size, io->write,
			     io->value & 0xffffffffu >> (32 - 8 * io->size));
}

void v3_trace_mmio(const struct v3_vcpu *vcpu, const struct v3_mmio *io)
{
	v3_lib.ops.trace->mmio(vcpu->vm->host_ctx, vcpu->index, io->gpa, io->size, io->write,
			       io->value & ~0ull >> (64 - 8 * io->size));
}
