/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file grace.c
 * When does nobody have the host address of a page any more that was taken out of the map? Addresses live until the
 * vcpu's handler returns, or as long as a pin does (palacios/mem.h). Called by release.c and by those who pin; calls
 * release.c when a grace period is over.
 */
#include "mem/release.h"

unsigned v3_mem_pin(struct v3_vm *vm)
{
	struct v3_release *r = vm->mem.release;
	unsigned side;

	if (!r)
		return 0;
	side = __atomic_load_n(&r->grace.side, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&r->grace.pins[side], 1, __ATOMIC_SEQ_CST);
	return side;
}

void v3_mem_unpin(struct v3_vm *vm, unsigned pin)
{
	struct v3_release *r = vm->mem.release;

	if (r && !__atomic_sub_fetch(&r->grace.pins[pin], 1, __ATOMIC_SEQ_CST) &&
	    __atomic_load_n(&r->grace.waiting, __ATOMIC_SEQ_CST))
		v3_vcpu_queue_work(vm->vcpu[0], &r->grace.ask);
}

static bool grace_empty(const struct v3_grace *grace, unsigned side)
{
	return !__atomic_load_n(&grace->pins[side], __ATOMIC_SEQ_CST);
}

/*
 * Under v3_mem.lock. Who takes the last pin of a side away sees "waiting" or is seen here. Who has read the side
 * and counts only now has not looked up anything yet, and will not find what was taken out before.
 */
static bool grace_over(struct v3_grace *grace)
{
	const unsigned other = !grace->side;

	if (!grace->waiting || __atomic_load_n(&grace->left, __ATOMIC_SEQ_CST))
		return false;
	if (!grace->turned) {
		if (!grace_empty(grace, other))
			return false;
		__atomic_store_n(&grace->side, other, __ATOMIC_SEQ_CST);
		grace->turned = true;
	}
	if (!grace_empty(grace, !grace->side))
		return false;
	__atomic_store_n(&grace->waiting, 0, __ATOMIC_SEQ_CST);
	return true;
}

static void grace_ask(struct v3_vcpu *vcpu, void *arg)
{
	struct v3_grace *grace = arg;
	struct v3_mem *mem = &grace->vm->mem;
	unsigned long flags = v3_lock_acquire(&mem->lock);
	const bool over = grace_over(grace);

	(void)vcpu;
	v3_lock_release(&mem->lock, flags);
	if (over)
		v3_release_ripe(mem->release);
}

/* The vcpu is in no handler. What it remembers of page tables it walked goes, too. */
static void grace_pass(struct v3_vcpu *vcpu, void *arg)
{
	struct v3_grace *grace = arg;

	for (unsigned i = 0; i < V3_ARRAY_SIZE(vcpu->mmu.memo); i++)
		vcpu->mmu.memo[i].page = V3_WALK_NO_PAGE;
	if (!__atomic_sub_fetch(&grace->left, 1, __ATOMIC_SEQ_CST))
		grace_ask(vcpu, grace);
}

void v3_grace_init(struct v3_grace *grace, struct v3_vm *vm)
{
	grace->vm = vm;
	grace->ask = (struct v3_work){.fn = grace_ask, .arg = grace};
	for (unsigned i = 0; i < V3_MAX_VCPUS; i++)
		grace->pass[i] = (struct v3_work){.fn = grace_pass, .arg = grace};
}

void v3_grace_begin(struct v3_grace *grace)
{
	struct v3_vm *vm = grace->vm;

	grace->turned = false;
	__atomic_store_n(&grace->left, vm->nvcpus, __ATOMIC_SEQ_CST);
	__atomic_store_n(&grace->waiting, 1, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		v3_vcpu_queue_work(vm->vcpu[i], &grace->pass[i]);
}
