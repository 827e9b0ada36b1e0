/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file misc.c
 * Exits with little to do: host interrupts, HLT, PAUSE, time stamps, caches, hidden instructions, and what only
 * tells that something has happened.
 */
#include "cpu/handlers.h"
#include "cpu/yield.h"
#include "exit/exit.h"
#include "exit/insn.h"
#include "host/host.h"
#include "mmu/mmu.h"
#include "state.h"

#define V3_LOG_TAG "cpu"

int v3_host_intr_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)vcpu;
	if (exit->kind == V3_EXIT_INTR)
		v3_host_irq_pass(exit->u.host_vector);
	return V3_OK;
}

int v3_hlt_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	if (v3_insn_skip(vcpu, exit, V3_OP_HLT) != V3_OK)
		return V3_OK;
	if (v3_pv_take_kick(vcpu))
		return V3_OK;
	/* An event that is waiting already ends the halt at once: the run loop finds out. */
	vcpu->state = V3_VCPU_HALTED;
	v3_vcpu_request_self(vcpu, V3_REQ_HALT | V3_REQ_IRQ | (vcpu->nmi_pending ? V3_REQ_NMI : 0));
	return V3_OK;
}

int v3_pause_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	if (v3_insn_skip(vcpu, exit, V3_OP_PAUSE) != V3_OK)
		return V3_OK;
	v3_yield_pause(vcpu);
	return V3_OK;
}

/* Not intercepted in normal operation; CR4.TSD and CPL were checked by the hardware. */
int v3_rdtsc_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	bool with_aux = exit->kind == V3_EXIT_RDTSCP;
	uint64_t tsc;

	if (v3_insn_skip(vcpu, exit, with_aux ? V3_OP_RDTSCP : V3_OP_RDTSC) != V3_OK)
		return V3_OK;
	tsc = v3_time_guest_tsc(vcpu);
	vcpu->regs.gpr[V3_RAX] = (uint32_t)tsc;
	vcpu->regs.gpr[V3_RDX] = tsc >> 32;
	if (with_aux)
		vcpu->regs.gpr[V3_RCX] = (uint32_t)vcpu->cpu.tsc_aux;
	return V3_OK;
}

/* No performance counters are offered. */
int v3_rdpmc_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)exit;
	v3_vcpu_inject_gp(vcpu, 0);
	return V3_OK;
}

/* Only exits where the guest's page tables are shadowed; nested paging needs no more than this. */
int v3_invlpg_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	if (v3_insn_skip(vcpu, exit, V3_OP_INVLPG) != V3_OK)
		return V3_OK;
	v3_flush_vcpu(vcpu);
	return V3_OK;
}

/* The host's caches are coherent and shared: INVD must not discard them, WBINVD need not write them back
 * for a guest without devices of its own. */
int v3_cache_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	v3_insn_skip(vcpu, exit, V3_OP_CACHE);
	return V3_OK;
}

/* Whoever wanted to know is gone: the guest goes on. */
int v3_step_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)vcpu;
	(void)exit;
	return V3_OK;
}

/* The callbacks run where those of a host timer's interrupt do. */
int v3_timer_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)exit;
	v3_vcpu_request_self(vcpu, V3_REQ_TIMER);
	return V3_OK;
}

/* The instruction is complete. It has made all CPUs wait: this one's turn is over. */
int v3_bus_lock_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)exit;
	v3_yield_now(vcpu);
	return V3_OK;
}

/* That the CPU stood still, by instructions that keep interrupts out, is no reason not to go on. */
int v3_stalled_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	if (!exit->u.context_lost)
		return V3_OK;
	V3_ERR(vcpu->vm, "the guest made the CPU stand still, and its state was lost");
	return V3_EIO;
}

int v3_hidden_insn_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	(void)exit;
	v3_vcpu_inject_ud(vcpu);
	return V3_OK;
}
