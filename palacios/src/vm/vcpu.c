/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vcpu.c
 * A vcpu's parts, its reset, and the public accessors of palacios/vcpu.h.
 */
#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/msr.h"
#include "host/host.h"
#include "palacios/util/str.h"
#include "state.h"
#include "vm/vm.h"

/* What a reset takes back. */
#define VCPU_REQ_EVENTS                                                                            \
	(V3_REQ_IRQ | V3_REQ_EVENT | V3_REQ_NMI | V3_REQ_INIT | V3_REQ_SIPI | V3_REQ_UNHALT)

static int vcpu_init(struct v3_vcpu *vcpu)
{
	int err;

	vcpu->stats.kind = v3_alloc(V3_EXIT_NKINDS * sizeof(*vcpu->stats.kind));
	vcpu->stats.last = v3_alloc(V3_EXIT_RECORDS * sizeof(*vcpu->stats.last));
	vcpu->wq = v3_host_wq_create();
	if (!vcpu->stats.kind || !vcpu->stats.last || !vcpu->wq)
		return V3_ENOMEM;
	err = v3_time_vcpu_init(vcpu);
	if (err == V3_OK)
		err = v3_fpu_init(vcpu);
	if (err == V3_OK)
		err = v3_cpuid_init(vcpu);
	if (err == V3_OK)
		err = vcpu->arch->vcpu_create(vcpu);
	return err;
}

int v3_vcpu_create(struct v3_vm *vm, uint32_t index, struct v3_vcpu **out)
{
	struct v3_vcpu *vcpu = v3_alloc(sizeof(*vcpu));
	int err;

	if (!vcpu)
		return V3_ENOMEM;
	vcpu->vm = vm;
	vcpu->arch = vm->arch;
	vcpu->index = index;
	err = vcpu_init(vcpu);
	if (err != V3_OK) {
		v3_vcpu_destroy(vcpu);
		return err;
	}
	*out = vcpu;
	return V3_OK;
}

/* Every part may be missing: also the unwinding of a failed create. */
void v3_vcpu_destroy(struct v3_vcpu *vcpu)
{
	if (!vcpu)
		return;
	if (vcpu->arch_vcpu)
		vcpu->arch->vcpu_destroy(vcpu);
	v3_cpuid_fini(vcpu);
	v3_fpu_fini(vcpu);
	v3_time_vcpu_fini(vcpu);
	if (vcpu->wq)
		v3_host_wq_destroy(vcpu->wq);
	v3_free(vcpu->dump_text);
	v3_free(vcpu->stats.last);
	v3_free(vcpu->stats.kind);
	v3_free(vcpu);
}

void v3_vcpu_reset(struct v3_vcpu *vcpu, bool init)
{
	vcpu->arch->vcpu_reset(vcpu, init);
	v3_stale_flushed(&vcpu->mmu);
	vcpu->pending.type = V3_EVENT_NONE;
	vcpu->nmi_blocked = false;
	vcpu->nmi_pending = false;
	vcpu->state = vcpu->index ? V3_VCPU_WAIT_SIPI : V3_VCPU_RUNNABLE;
	if (vcpu->index)
		v3_vcpu_request_self(vcpu, V3_REQ_HALT);
	if (init)
		return;
	__atomic_fetch_and(&vcpu->requests, ~VCPU_REQ_EVENTS, __ATOMIC_SEQ_CST);
	v3_fpu_put(vcpu);
	v3_fpu_reset(vcpu);
	v3_mtrr_reset(vcpu);
	vcpu->cpu.tsc_aux = vcpu->cpu.amd_hwcr = 0;
	vcpu->cpu.kvmclock_msr = 0;
	v3_pv_reset(vcpu);
	v3_vcpu_set_view(vcpu, NULL);
	v3_vcpu_request_self(vcpu, V3_REQ_VIEW | V3_REQ_FPU);
}

/* ---- palacios/vcpu.h ---- */

struct v3_vm *v3_vcpu_vm(const struct v3_vcpu *vcpu)
{
	return vcpu->vm;
}

uint32_t v3_vcpu_index(const struct v3_vcpu *vcpu)
{
	return vcpu->index;
}

struct v3_regs *v3_vcpu_regs(struct v3_vcpu *vcpu)
{
	return &vcpu->regs;
}

void v3_vcpu_get_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, struct v3_seg *seg)
{
	vcpu->arch->get_seg(vcpu, num, seg);
}

void v3_vcpu_set_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, const struct v3_seg *seg)
{
	vcpu->arch->set_seg(vcpu, num, seg);
	if (num == V3_SS) /* CPL is SS.DPL; APM vol. 2 4.9 */
		vcpu->arch->set_cpl(vcpu, (seg->attr & V3_SEG_DPL) >> 5);
}

void v3_vcpu_get_dtr(struct v3_vcpu *vcpu, bool idt, struct v3_dtr *dtr)
{
	vcpu->arch->get_dtr(vcpu, idt, dtr);
}

void v3_vcpu_set_dtr(struct v3_vcpu *vcpu, bool idt, const struct v3_dtr *dtr)
{
	vcpu->arch->set_dtr(vcpu, idt, dtr);
}

unsigned v3_vcpu_cpl(struct v3_vcpu *vcpu)
{
	return vcpu->cpl;
}

unsigned v3_vcpu_code_bits(struct v3_vcpu *vcpu)
{
	return v3_code_bits(vcpu);
}

uint64_t v3_vcpu_get_cr(struct v3_vcpu *vcpu, unsigned n)
{
	switch (n) {
	case 0:
		return vcpu->cr0;
	case 2:
		return vcpu->cr2;
	case 3:
		return vcpu->cr3;
	case 4:
		return vcpu->cr4;
	default:
		return vcpu->cr8;
	}
}

uint64_t v3_vcpu_get_efer(struct v3_vcpu *vcpu)
{
	return vcpu->efer;
}

void v3_vcpu_set_cr(struct v3_vcpu *vcpu, unsigned n, uint64_t value)
{
	vcpu->arch->set_cr(vcpu, n, value);
}

void v3_vcpu_set_efer(struct v3_vcpu *vcpu, uint64_t value)
{
	vcpu->arch->set_efer(vcpu, value);
}

void v3_vcpu_sipi(struct v3_vcpu *vcpu, uint8_t vector)
{
	__atomic_store_n(&vcpu->sipi_vector, vector, __ATOMIC_RELAXED);
	v3_vcpu_request(vcpu, V3_REQ_SIPI);
}

void v3_vcpu_init(struct v3_vcpu *vcpu)
{
	v3_vcpu_request(vcpu, V3_REQ_INIT);
}

void v3_vcpu_nmi(struct v3_vcpu *vcpu)
{
	v3_vcpu_request(vcpu, V3_REQ_NMI);
}

void v3_vcpu_queue_work(struct v3_vcpu *vcpu, struct v3_work *work)
{
	if (__atomic_exchange_n(&work->queued, 1, __ATOMIC_ACQ_REL))
		return;
	work->next = __atomic_load_n(&vcpu->work, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&vcpu->work, &work->next, work, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	v3_vcpu_request(vcpu, V3_REQ_WORK);
}
