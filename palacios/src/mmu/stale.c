/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file stale.c
 * Finds flushes that are missing. A CPU may keep a translation until it is told to drop it, but QEMU 7.2 and
 * Bochs 2.7 drop all at every world switch, so a flush that somebody forgot never shows there. Here is what a
 * vcpu's CPU may still hold, and before each entry it is compared with what is true now. Called by vm/run.c, the
 * check only if the embedder wants checks (v3_init_params).
 */
#include "state.h"

#include "host/host.h"
#include "mmu/view.h"

#define V3_LOG_TAG "mmu"

/* Bits whose change makes cached translations wrong: APM vol. 2 5.5.2, SDM 3A 4.10.4.1. */
#define STALE_CR0  (V3_CR0_PG)
#define STALE_CR4  (V3_CR4_PSE | V3_CR4_PAE | V3_CR4_PGE | V3_CR4_LA57)
#define STALE_EFER (V3_EFER_NXE)

/* Who takes an entry out of a table flushes after giving the lock back. In between, a vcpu that comes along
 * waits, but not for ever. */
#define STALE_WAIT_NS 1000000000ull

const struct v3_nested *v3_mmu_table(const struct v3_vcpu *vcpu)
{
	return vcpu->mmu.view ? &vcpu->mmu.view->table : &vcpu->vm->mmu.nested;
}

void v3_stale_left(struct v3_vcpu *vcpu)
{
	struct v3_cached *c = &vcpu->mmu.cached;

	c->cr0 = vcpu->cr0;
	c->cr3 = vcpu->cr3;
	c->cr4 = vcpu->cr4;
	c->efer = vcpu->efer;
}

static bool stale_registers(const struct v3_vcpu *vcpu)
{
	const struct v3_cached *c = &vcpu->mmu.cached;

	return ((c->cr0 ^ vcpu->cr0) & STALE_CR0) || c->cr3 != vcpu->cr3 ||
	       ((c->cr4 ^ vcpu->cr4) & STALE_CR4) || ((c->efer ^ vcpu->efer) & STALE_EFER);
}

static int stale_wait(struct v3_vcpu *vcpu, v3_gpa_t gpa)
{
	struct v3_cached *c = &vcpu->mmu.cached;
	uint64_t now = v3_host_time_ns();

	if (!c->since_ns)
		c->since_ns = now;
	if (now - c->since_ns < STALE_WAIT_NS)
		return V3_EAGAIN;
	V3_ERR(vcpu->vm,
	       "vcpu %u: the nested entry for %#llx was taken out or tightened, not flushed",
	       vcpu->index, (unsigned long long)gpa);
	return V3_EIO;
}

int v3_stale_check(struct v3_vcpu *vcpu)
{
	const struct v3_nested *table = v3_mmu_table(vcpu);
	struct v3_cached *c = &vcpu->mmu.cached;
	uint64_t removed = __atomic_load_n(&table->removed, __ATOMIC_ACQUIRE);

	/* Flushed before the entry, which these make the back end refuse. */
	if (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & (V3_REQ_FLUSH | V3_REQ_VIEW))
		return V3_OK;
	if (!c->any) {
		c->any = true;
		c->removed = removed;
		c->since_ns = 0;
		v3_stale_left(vcpu);
		return V3_OK;
	}
	if (stale_registers(vcpu)) {
		V3_ERR(vcpu->vm, "vcpu %u: paging was changed, not flushed", vcpu->index);
		return V3_EIO;
	}
	if (c->removed != removed)
		return stale_wait(vcpu, table->removed_gpa);
	return V3_OK;
}
