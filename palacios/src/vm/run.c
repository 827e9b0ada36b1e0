/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file run.c
 * The run loop of a vcpu thread: serve requests, enter the guest, serve the exit, again.
 * palacios/doc/exit-path.md follows one exit through it.
 */
#include "cpu/excp.h"
#include "cpu/fpu.h"
#include "cpu/yield.h"
#include "exit/exit.h"
#include "exit/stats.h"
#include "exit/trace.h"
#include "host/host.h"
#include "mmu/mmu.h"
#include "state.h"
#include "vm/vm.h"

#define V3_LOG_TAG "run"

/* Requests that end a sleep in HLT or wait-for-SIPI so that they can be looked at. The others wait. */
#define RUN_WAKES                                                                                  \
	(V3_REQ_IRQ | V3_REQ_NMI | V3_REQ_TIMER | V3_REQ_WORK | V3_REQ_INIT | V3_REQ_SIPI |        \
	 V3_REQ_STATE | V3_REQ_EVENT | V3_REQ_DUMP | V3_REQ_MOVE | V3_REQ_UNHALT)

void v3_vcpu_request(struct v3_vcpu *vcpu, uint32_t bits)
{
	__atomic_fetch_or(&vcpu->requests, bits, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&vcpu->in_guest, __ATOMIC_SEQ_CST))
		v3_host_cpu_kick(vcpu->host_cpu);
	else if (__atomic_load_n(&vcpu->sleeping, __ATOMIC_SEQ_CST))
		v3_host_wq_wake(vcpu->wq);
}

static bool run_may_wake(void *arg)
{
	struct v3_vcpu *vcpu = arg;

	return __atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & RUN_WAKES;
}

/* Oldest first: the list is pushed at its head. */
static void run_work(struct v3_vcpu *vcpu)
{
	struct v3_work *list = __atomic_exchange_n(&vcpu->work, NULL, __ATOMIC_ACQUIRE);
	struct v3_work *w, *oldest = NULL;

	while ((w = list) != NULL) {
		list = w->next;
		w->next = oldest;
		oldest = w;
	}
	while ((w = oldest) != NULL) {
		oldest = w->next;
		__atomic_store_n(&w->queued, 0, __ATOMIC_RELEASE);
		w->fn(vcpu, w->arg);
	}
}

static void run_init(struct v3_vcpu *vcpu)
{
	const struct v3_intr *intr = &vcpu->vm->intr;

	v3_vcpu_reset(vcpu, true);
	if (intr->lapic)
		intr->lapic->init(intr->lapic_priv, vcpu);
}

/* APM vol. 2 16.5: CS = vector << 8, RIP = 0. */
static void run_sipi(struct v3_vcpu *vcpu)
{
	uint8_t vector = __atomic_load_n(&vcpu->sipi_vector, __ATOMIC_RELAXED);
	struct v3_seg cs;

	if (vcpu->state != V3_VCPU_WAIT_SIPI)
		return;
	vcpu->arch->get_seg(vcpu, V3_CS, &cs);
	cs.sel = (uint16_t)(vector << 8);
	cs.base = (uint64_t)vector << 12;
	vcpu->arch->set_seg(vcpu, V3_CS, &cs);
	vcpu->regs.rip = 0;
	vcpu->state = V3_VCPU_RUNNABLE;
	v3_vcpu_request_self(vcpu, V3_REQ_IRQ | (vcpu->nmi_pending ? V3_REQ_NMI : 0));
}

/* The host has bound the thread to another CPU, which takes effect now. */
static void run_move(struct v3_vcpu *vcpu)
{
	v3_yield_now(vcpu);
	__atomic_store_n(&vcpu->host_cpu, v3_host_cpu_id(), __ATOMIC_SEQ_CST);
	/* Timers fire where they were armed: the next service arms them here. */
	v3_time_rearm(vcpu);
	v3_host_wq_wake(vcpu->vm->wq);
}

/* Interrupts and NMIs end HLT. While a vcpu waits for SIPI it takes nothing: an NMI is kept, and its APIC
 * is disabled, so no interrupt can be lost. */
static void run_events(struct v3_vcpu *vcpu, uint32_t req)
{
	if (vcpu->state == V3_VCPU_WAIT_SIPI) {
		vcpu->nmi_pending = vcpu->nmi_pending || (req & V3_REQ_NMI);
		return;
	}
	if ((req & V3_REQ_UNHALT) && vcpu->state == V3_VCPU_HALTED && v3_pv_take_kick(vcpu))
		vcpu->state = V3_VCPU_RUNNABLE;
	if ((req & V3_REQ_EVENT) || ((req & V3_REQ_NMI) && !vcpu->nmi_blocked))
		vcpu->state = V3_VCPU_RUNNABLE;
	if (req & V3_REQ_EVENT)
		v3_event_service(vcpu);
	if (req & V3_REQ_NMI)
		v3_nmi_service(vcpu);
	if (!(req & V3_REQ_IRQ))
		return;
	if (vcpu->state == V3_VCPU_HALTED && !v3_intr_deliverable(vcpu))
		return;
	vcpu->state = V3_VCPU_RUNNABLE;
	v3_intr_service(vcpu);
}

/*
 * Serve every request that is set. The order matters: what changes the vcpu's state first, then what may
 * raise interrupts, then delivery, and the FPU last because everything before it may sleep.
 * @return V3_OK; V3_LEAVE: the VM stops
 */
static int run_serve(struct v3_vcpu *vcpu)
{
	uint32_t req = __atomic_exchange_n(&vcpu->requests, 0, __ATOMIC_SEQ_CST);

	if (req & V3_REQ_STATE) {
		/* A reset while we wait there may take the other requests back. */
		v3_vcpu_request_self(vcpu, req & ~V3_REQ_STATE);
		return v3_vm_rendezvous(vcpu);
	}
	if (req & V3_REQ_INIT)
		run_init(vcpu);
	if (req & V3_REQ_SIPI)
		run_sipi(vcpu);
	if (req & V3_REQ_TIMER)
		v3_time_service(vcpu);
	if (req & V3_REQ_WORK)
		run_work(vcpu);
	if (req & V3_REQ_MOVE)
		run_move(vcpu);
	if (req & V3_REQ_DUMP)
		v3_dump_serve(vcpu);
	if (req & V3_REQ_VIEW)
		vcpu->arch->set_nested_root(vcpu, v3_mmu_root(vcpu));
	if (req & V3_REQ_FLUSH)
		vcpu->arch->flush(vcpu);
	if (req & (V3_REQ_VIEW | V3_REQ_FLUSH))
		v3_stale_flushed(&vcpu->mmu);
	if (req & (V3_REQ_EVENT | V3_REQ_NMI | V3_REQ_IRQ | V3_REQ_UNHALT))
		run_events(vcpu, req);
	if (vcpu->state != V3_VCPU_RUNNABLE) {
		v3_vcpu_request_self(vcpu, V3_REQ_HALT | (req & V3_REQ_FPU));
		if (!run_may_wake(vcpu))
			v3_yield_halt(vcpu, run_may_wake);
	} else if (req & V3_REQ_FPU) {
		v3_fpu_load(vcpu);
	}
	return V3_OK;
}

/* For the embedder who looks for mistakes of ours. @return V3_OK: enter */
static int run_check(struct v3_vcpu *vcpu)
{
	int err;

	vcpu->failed_rule = vcpu->arch->check_entry(vcpu);
	if (vcpu->failed_rule)
		return V3_EIO;
	err = v3_stale_check(vcpu);
	if (err == V3_EAGAIN)
		v3_yield_now(vcpu);
	return err;
}

/* One entry and its exit. Twice in the code, so that only one test is on the way when nobody looks on. */
static inline __attribute__((__always_inline__)) int run_once(struct v3_vcpu *vcpu, bool watched)
{
	struct v3_exit_record *rec = &vcpu->stats.last[vcpu->stats.entries % V3_EXIT_RECORDS];
	int err = watched && v3_host_checking() ? run_check(vcpu) : V3_OK;

	if (watched)
		V3_TRACE(entry, vcpu);
	if (V3_LIKELY(!err))
		err = vcpu->arch->enter(vcpu, &rec->exit);
	if (V3_UNLIKELY(err))
		return err == V3_EAGAIN ? V3_OK : err;
	vcpu->stats.entries++;
	rec->rip = vcpu->regs.rip;
	rec->tsc = v3_rdtsc();
	if (watched)
		V3_TRACE(exit, vcpu, &rec->exit);
	if (watched && v3_host_checking())
		v3_stale_left(vcpu);
	err = v3_exit_dispatch(vcpu, &rec->exit);
	v3_stats_count(&vcpu->stats, rec->exit.kind, v3_rdtsc() - rec->tsc);
	return err;
}

static __attribute__((__noinline__)) int run_watched(struct v3_vcpu *vcpu)
{
	return run_once(vcpu, true);
}

static void run_failed(struct v3_vcpu *vcpu, int err)
{
	const struct v3_exit_record *rec =
		&vcpu->stats.last[(vcpu->stats.entries - 1) % V3_EXIT_RECORDS];

	if (vcpu->failed_rule)
		V3_ERR(vcpu->vm, "vcpu %u failed: the CPU refuses to enter at rip %#llx: %s",
		       vcpu->index, (unsigned long long)vcpu->regs.rip, vcpu->failed_rule);
	else
		V3_ERR(vcpu->vm,
		       "vcpu %u failed: %s in exit \"%s\" (vendor code %#llx) at rip %#llx",
		       vcpu->index, v3_strerror(err), v3_exit_name(rec->exit.kind),
		       (unsigned long long)rec->exit.code, (unsigned long long)rec->rip);
	v3_vm_request_stop(vcpu->vm, V3_STOP_FAILURE, err);
}

void v3_vcpu_main(void *arg)
{
	struct v3_vcpu *vcpu = arg;
	struct v3_vm *vm = vcpu->vm;
	int err = V3_OK;

	while (err == V3_OK) {
		if (__atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED)) {
			err = run_serve(vcpu);
			continue;
		}
		err = V3_UNLIKELY(v3_host_watching()) ? run_watched(vcpu) : run_once(vcpu, false);
		if (V3_UNLIKELY(err < 0))
			run_failed(vcpu, err);
		err = V3_OK; /* who wants the loop to end has made a request */
		if (V3_UNLIKELY(v3_host_should_yield()))
			v3_yield_now(vcpu);
	}
	v3_fpu_put(vcpu);
	v3_dump_keep(vcpu);
	__atomic_sub_fetch(&vm->alive, 1, __ATOMIC_SEQ_CST);
	v3_host_wq_wake(vm->wq);
}
