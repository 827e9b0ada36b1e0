/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file handlers.h
 * Exit handlers of the CPU model, for exit/dispatch.c. All: own vcpu thread, results as v3_exit_dispatch().
 */
#ifndef V3_CPU_HANDLERS_H
#define V3_CPU_HANDLERS_H

struct v3_exit;
struct v3_vcpu;

int v3_cpuid_exit(struct v3_vcpu *vcpu, struct v3_exit *exit); /* cpuid.c */
int v3_rdmsr_exit(struct v3_vcpu *vcpu, struct v3_exit *exit); /* msr.c */
int v3_wrmsr_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_cr_read_exit(struct v3_vcpu *vcpu, struct v3_exit *exit); /* cr.c */
int v3_cr_write_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_dr_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);   /* dr.c */
int v3_excp_exit(struct v3_vcpu *vcpu, struct v3_exit *exit); /* excp.c */
int v3_nmi_window_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_triple_fault_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_broken_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_xsetbv_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);	   /* fpu.c */
int v3_task_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);	   /* task.c */
int v3_host_intr_exit(struct v3_vcpu *vcpu, struct v3_exit *exit); /* misc.c */
int v3_hlt_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_pause_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_rdtsc_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_rdpmc_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_invlpg_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_cache_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_step_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_timer_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_bus_lock_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_stalled_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);
int v3_hidden_insn_exit(struct v3_vcpu *vcpu, struct v3_exit *exit);

#endif
