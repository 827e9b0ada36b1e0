/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file trace.h
 * Trace of exits and what follows them, for hosts with the trace group (palacios/host.h). Switched off it costs each
 * place one test of a byte. All functions: own vcpu thread, only while v3_host_tracing().
 */
#ifndef V3_EXIT_TRACE_H
#define V3_EXIT_TRACE_H

#include "host/host.h"

struct v3_event;
struct v3_exit;
struct v3_io;
struct v3_mmio;
struct v3_vcpu;

/** Call v3_trace_@p what(arguments) if the host wants to see it. */
#define V3_TRACE(what, ...)                                                                        \
	do {                                                                                       \
		if (V3_UNLIKELY(v3_host_tracing()))                                                \
			v3_trace_##what(__VA_ARGS__);                                              \
	} while (0)

void v3_trace_entry(const struct v3_vcpu *vcpu);
/** Exit, and the nested page fault if it is one. */
void v3_trace_exit(const struct v3_vcpu *vcpu, const struct v3_exit *exit);
void v3_trace_inject(const struct v3_vcpu *vcpu, const struct v3_event *ev);
void v3_trace_io(const struct v3_vcpu *vcpu, const struct v3_io *io);
void v3_trace_mmio(const struct v3_vcpu *vcpu, const struct v3_mmio *io);

#endif
