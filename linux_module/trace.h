/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file trace.h
 * Tracepoints palacios:v3_*, for trace-cmd, perf and /sys/kernel/tracing/events/palacios. The kernel reads this file
 * several times with different macros (its samples/trace_events). The task's name, v3/NAME, tells the VM.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM palacios

#if !defined(LNX_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define LNX_TRACE_H

#include "palacios/host.h"
#include "palacios/mem.h"
#include "palacios/stats.h"

#include <linux/tracepoint.h>

int lnx_trace_reg(void);
void lnx_trace_unreg(void);

#define LNX_TRACE_KIND(sym, name) {V3_EXIT_##sym, name},

/* clang-format off */
TRACE_EVENT_FN(v3_entry,
	TP_PROTO(u32 vcpu, u64 rip),
	TP_ARGS(vcpu, rip),
	TP_STRUCT__entry(
		__field(u64, rip)
		__field(u32, vcpu)
	),
	TP_fast_assign(
		__entry->rip = rip;
		__entry->vcpu = vcpu;
	),
	TP_printk("vcpu=%u rip=0x%llx", __entry->vcpu, __entry->rip),
	lnx_trace_reg, lnx_trace_unreg
);

TRACE_EVENT_FN(v3_exit,
	TP_PROTO(u32 vcpu, u32 kind, u64 code, u64 rip),
	TP_ARGS(vcpu, kind, code, rip),
	TP_STRUCT__entry(
		__field(u64, code)
		__field(u64, rip)
		__field(u32, vcpu)
		__field(u32, kind)
	),
	TP_fast_assign(
		__entry->code = code;
		__entry->rip = rip;
		__entry->vcpu = vcpu;
		__entry->kind = kind;
	),
	TP_printk("vcpu=%u kind=%s code=0x%llx rip=0x%llx", __entry->vcpu,
		  __print_symbolic(__entry->kind, V3_EXIT_KINDS(LNX_TRACE_KIND) {-1, NULL}),
		  __entry->code, __entry->rip),
	lnx_trace_reg, lnx_trace_unreg
);

TRACE_EVENT_FN(v3_inject,
	TP_PROTO(u32 vcpu, u32 type, u8 vector),
	TP_ARGS(vcpu, type, vector),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, type)
		__field(u8, vector)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->type = type;
		__entry->vector = vector;
	),
	TP_printk("vcpu=%u type=%s vector=0x%x", __entry->vcpu,
		  __print_symbolic(__entry->type, {V3_TRACE_INTR, "intr"}, {V3_TRACE_NMI, "nmi"},
				   {V3_TRACE_EXCEPTION, "exception"}, {V3_TRACE_SOFT_INT, "soft_int"}),
		  __entry->vector),
	lnx_trace_reg, lnx_trace_unreg
);

TRACE_EVENT_FN(v3_page_fault,
	TP_PROTO(u32 vcpu, u64 gpa, u32 access),
	TP_ARGS(vcpu, gpa, access),
	TP_STRUCT__entry(
		__field(u64, gpa)
		__field(u32, vcpu)
		__field(u32, access)
	),
	TP_fast_assign(
		__entry->gpa = gpa;
		__entry->vcpu = vcpu;
		__entry->access = access;
	),
	TP_printk("vcpu=%u gpa=0x%llx access=%s", __entry->vcpu, __entry->gpa,
		  __print_flags(__entry->access, "|", {V3_ACC_READ, "read"}, {V3_ACC_WRITE, "write"},
				{V3_ACC_EXEC, "exec"})),
	lnx_trace_reg, lnx_trace_unreg
);

TRACE_EVENT_FN(v3_io,
	TP_PROTO(u32 vcpu, u16 port, u8 size, bool write, u32 value),
	TP_ARGS(vcpu, port, size, write, value),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, value)
		__field(u16, port)
		__field(u8, size)
		__field(u8, write)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->value = value;
		__entry->port = port;
		__entry->size = size;
		__entry->write = write;
	),
	TP_printk("vcpu=%u port=0x%x size=%u dir=%s value=0x%x", __entry->vcpu, __entry->port,
		  __entry->size, __entry->write ? "out" : "in", __entry->value),
	lnx_trace_reg, lnx_trace_unreg
);

TRACE_EVENT_FN(v3_mmio,
	TP_PROTO(u32 vcpu, u64 gpa, u8 size, bool write, u64 value),
	TP_ARGS(vcpu, gpa, size, write, value),
	TP_STRUCT__entry(
		__field(u64, gpa)
		__field(u64, value)
		__field(u32, vcpu)
		__field(u8, size)
		__field(u8, write)
	),
	TP_fast_assign(
		__entry->gpa = gpa;
		__entry->value = value;
		__entry->vcpu = vcpu;
		__entry->size = size;
		__entry->write = write;
	),
	TP_printk("vcpu=%u gpa=0x%llx size=%u dir=%s value=0x%llx", __entry->vcpu, __entry->gpa,
		  __entry->size, __entry->write ? "write" : "read", __entry->value),
	lnx_trace_reg, lnx_trace_unreg
);
/* clang-format on */

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
