/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pv.c
 * Steal time and kicks. Layout, MSR and meaning: Linux kernel documentation, virt/kvm/x86/msr.rst
 * (MSR_KVM_STEAL_TIME) and cpuid.rst (STEAL_TIME, PV_UNHALT, PV_TLB_FLUSH). Called by vm/run.c and cpu/yield.c around
 * everything that gives the CPU away, by the HLT handler and by hypercall/kvm.c.
 *
 * While a vcpu does not run, its "preempted" byte says so. Another vcpu that wants its translations dropped then sets
 * a bit there instead of sending an interrupt and waiting; whoever brings the vcpu back takes the byte and flushes
 * before it enters.
 */
#include "cpu/pv.h"

#include "host/host.h"
#include "state.h"

#define V3_LOG_TAG "pv"

#define PV_MSR_STEAL	  0x4b564d03u
#define PV_STEAL_ENABLED  1ull
#define PV_STEAL_RESERVED 0x3eull /* the structure is aligned to its size */
#define PV_PREEMPTED	  1u
#define PV_FLUSH_TLB	  2u

struct pv_steal {
	uint64_t steal;	  /* ns */
	uint32_t version; /* odd while the rest is being written */
	uint32_t flags;
	uint8_t preempted; /* PV_*; the guest's other vcpus change it, atomically */
	uint8_t pad[47];
};
_Static_assert(sizeof(struct pv_steal) == 64, "kvm_steal_time");

/* The guest's structure, NULL if it has none. It is RAM: found again each time, for the page behind it may change. */
static struct pv_steal *pv_steal(struct v3_vcpu *vcpu)
{
	uint64_t msr = vcpu->cpu.pv.steal_msr;

	if (V3_LIKELY(!(msr & PV_STEAL_ENABLED)))
		return NULL;
	return v3_mem_ptr(vcpu->vm, msr & ~PV_STEAL_ENABLED, sizeof(struct pv_steal));
}

static void pv_wrote(struct v3_vcpu *vcpu)
{
	v3_mem_wrote(vcpu->vm, vcpu->cpu.pv.steal_msr & ~PV_STEAL_ENABLED, sizeof(struct pv_steal));
}

/* Only the own thread writes all but the byte "preempted". */
static void pv_publish(struct v3_vcpu *vcpu, struct pv_steal *st)
{
	uint32_t version = __atomic_load_n(&st->version, __ATOMIC_RELAXED) | 1;

	__atomic_store_n(&st->version, version, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&st->steal, vcpu->cpu.pv.steal_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&st->version, version + 1, __ATOMIC_RELEASE);
	pv_wrote(vcpu);
}

void v3_pv_out(struct v3_vcpu *vcpu)
{
	struct pv_steal *st = pv_steal(vcpu);

	if (!st)
		return;
	vcpu->cpu.pv.out_ns = v3_host_time_ns();
	__atomic_store_n(&st->preempted, PV_PREEMPTED, __ATOMIC_SEQ_CST);
	pv_wrote(vcpu);
}

void v3_pv_in(struct v3_vcpu *vcpu, bool stolen)
{
	struct pv_steal *st = pv_steal(vcpu);

	if (!st)
		return;
	if (__atomic_exchange_n(&st->preempted, 0, __ATOMIC_SEQ_CST) & PV_FLUSH_TLB)
		v3_vcpu_request_self(vcpu, V3_REQ_FLUSH);
	pv_wrote(vcpu);
	if (!stolen)
		return;
	vcpu->cpu.pv.steal_ns += v3_host_time_ns() - vcpu->cpu.pv.out_ns;
	pv_publish(vcpu, st);
}

static int pv_steal_write(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv)
{
	struct pv_steal *st;
	bool rom = false;

	(void)msr;
	(void)priv;
	if (value & PV_STEAL_RESERVED)
		return V3_EINVAL;
	vcpu->cpu.pv.steal_msr = value;
	if (!(value & PV_STEAL_ENABLED))
		return V3_OK;
	st = pv_steal(vcpu);
	if (st)
		v3_mem_backed(&vcpu->vm->mem, value & ~PV_STEAL_ENABLED, &rom);
	if (!st || rom) {
		V3_GUEST_WARN(vcpu->vm, "steal time at %#llx is not RAM: switched off",
			      (unsigned long long)(value & ~PV_STEAL_ENABLED));
		vcpu->cpu.pv.steal_msr = 0;
		return V3_OK;
	}
	__atomic_store_n(&st->preempted, 0, __ATOMIC_SEQ_CST);
	pv_publish(vcpu, st);
	return V3_OK;
}

static int pv_steal_read(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv)
{
	(void)msr;
	(void)priv;
	*value = vcpu->cpu.pv.steal_msr;
	return V3_OK;
}

int v3_pv_register(struct v3_vm *vm)
{
	return v3_msr_register(vm, PV_MSR_STEAL, 1, pv_steal_read, pv_steal_write, NULL);
}

void v3_pv_reset(struct v3_vcpu *vcpu)
{
	vcpu->cpu.pv.steal_msr = vcpu->cpu.pv.steal_ns = 0;
	__atomic_store_n(&vcpu->cpu.pv.kicked, 0, __ATOMIC_RELAXED);
}

/*
 * The flag comes before the request: a vcpu that serves the request while it still runs finds the flag when it
 * executes HLT, and one that is halted is woken by the request.
 */
void v3_pv_kick(struct v3_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->cpu.pv.kicked, 1, __ATOMIC_SEQ_CST);
	v3_vcpu_request(vcpu, V3_REQ_UNHALT);
}

bool v3_pv_take_kick(struct v3_vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->cpu.pv.kicked, __ATOMIC_RELAXED) &&
	       __atomic_exchange_n(&vcpu->cpu.pv.kicked, 0, __ATOMIC_SEQ_CST);
}
