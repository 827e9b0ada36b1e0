/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file flush.c
 * The one way to drop cached translations. A flush is a request to the vcpu, served by its run loop through
 * arch->flush before the next entry; here is only who asks whom and who waits.
 */
#include "state.h"

void v3_flush_vcpu(struct v3_vcpu *vcpu)
{
	v3_vcpu_request(vcpu, V3_REQ_FLUSH);
}

void v3_flush_vm(struct v3_vm *vm)
{
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		v3_vcpu_request(vm->vcpu[i], V3_REQ_FLUSH);
}

/*
 * A vcpu sets in_guest before it looks at its requests for the last time. So, after the request has been
 * made: in_guest clear means it will see the request before it enters; request gone means it has seen it
 * outside the guest. Either is enough. Waiting for in_guest alone could wait for a later stay in the guest,
 * which nobody kicks.
 */
static bool flush_pending(struct v3_vcpu *vcpu)
{
	return (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & V3_REQ_FLUSH) &&
	       __atomic_load_n(&vcpu->in_guest, __ATOMIC_SEQ_CST);
}

void v3_flush_vm_sync(struct v3_vm *vm)
{
	v3_flush_vm(vm);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		while (flush_pending(vm->vcpu[i]))
			__builtin_ia32_pause();
}

/* Requests are taken all at once: who has taken the flush, or will, has taken the view with it. */
void v3_flush_vm_roots(struct v3_vm *vm)
{
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		v3_vcpu_request(vm->vcpu[i], V3_REQ_VIEW);
	v3_flush_vm_sync(vm);
}
