/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file dispatch.c
 * Neutral exit -> handler. One table; palacios/doc/exit-path.md lists it with the vendor codes.
 */
#include "cpu/excp.h"
#include "cpu/handlers.h"
#include "exit/emulate.h"
#include "exit/exit.h"
#include "state.h"

typedef int (*exit_handler)(struct v3_vcpu *vcpu, struct v3_exit *exit);

static const exit_handler exit_handlers[V3_EXIT_NKINDS] = {
	[V3_EXIT_INTR] = v3_host_intr_exit,
	[V3_EXIT_NMI] = v3_host_intr_exit,
	[V3_EXIT_SMI] = v3_host_intr_exit,
	[V3_EXIT_INIT] = v3_host_intr_exit,
	[V3_EXIT_INTR_WINDOW] = v3_intr_window_exit,
	[V3_EXIT_NMI_WINDOW] = v3_nmi_window_exit,
	[V3_EXIT_EXCEPTION] = v3_excp_exit,
	[V3_EXIT_CPUID] = v3_cpuid_exit,
	[V3_EXIT_HLT] = v3_hlt_exit,
	[V3_EXIT_PAUSE] = v3_pause_exit,
	[V3_EXIT_IO] = v3_io_exit,
	[V3_EXIT_RDMSR] = v3_rdmsr_exit,
	[V3_EXIT_WRMSR] = v3_wrmsr_exit,
	[V3_EXIT_CR_READ] = v3_cr_read_exit,
	[V3_EXIT_CR_WRITE] = v3_cr_write_exit,
	[V3_EXIT_DR_ACCESS] = v3_dr_exit,
	[V3_EXIT_NESTED_FAULT] = v3_mem_fault_exit,
	[V3_EXIT_DIRTY_LOG] = v3_dirty_log_exit,
	[V3_EXIT_HYPERCALL] = v3_hypercall_exit,
	[V3_EXIT_RDTSC] = v3_rdtsc_exit,
	[V3_EXIT_RDTSCP] = v3_rdtsc_exit,
	[V3_EXIT_RDPMC] = v3_rdpmc_exit,
	[V3_EXIT_INVLPG] = v3_invlpg_exit,
	[V3_EXIT_CACHE] = v3_cache_exit,
	[V3_EXIT_XSETBV] = v3_xsetbv_exit,
	[V3_EXIT_MONITOR] = v3_hidden_insn_exit,
	[V3_EXIT_VIRT_INSN] = v3_hidden_insn_exit,
	[V3_EXIT_TASK_SWITCH] = v3_task_exit,
	[V3_EXIT_SYS_INSN] = v3_emulate_access,
	[V3_EXIT_STEP] = v3_step_exit,
	[V3_EXIT_TIMER] = v3_timer_exit,
	[V3_EXIT_BUS_LOCK] = v3_bus_lock_exit,
	[V3_EXIT_STALLED] = v3_stalled_exit,
	[V3_EXIT_TRIPLE_FAULT] = v3_triple_fault_exit,
	[V3_EXIT_ENTRY_FAILED] = v3_broken_exit,
	[V3_EXIT_NESTED_BAD] = v3_broken_exit,
	[V3_EXIT_UNKNOWN] = v3_broken_exit,
};

int v3_exit_dispatch(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	if (V3_UNLIKELY(exit->aborted.type != V3_EVENT_NONE))
		v3_event_requeue(vcpu, &exit->aborted);
	return exit_handlers[exit->kind](vcpu, exit);
}
