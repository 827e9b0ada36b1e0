/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file lifecycle.c
 * Start, pause, continue, reset, stop. v3_vm.want holds what is asked for; each vcpu comes to
 * v3_vm_rendezvous() when it sees V3_REQ_STATE and stays until nothing is wanted any more. vcpu 0 performs a
 * reset once all have come. Threads that run a device's queues in place of a vcpu (v3_vm_enter()) count like vcpus.
 * palacios/doc/locking.md has the order of the steps.
 */
#include "cpu/fpu.h"
#include "host/host.h"
#include "state.h"
#include "vm/vm.h"

#define V3_LOG_TAG "vm"

static uint32_t lifecycle_wants(const struct v3_vm *vm)
{
	return __atomic_load_n(&vm->want, __ATOMIC_SEQ_CST);
}

static void lifecycle_wake_all(struct v3_vm *vm)
{
	uint32_t i;

	for (i = 0; i < vm->nvcpus; i++)
		v3_host_wq_wake(vm->vcpu[i]->wq);
	v3_host_wq_wake(vm->wq);
}

void v3_vm_want(struct v3_vm *vm, uint32_t bits)
{
	uint32_t i;

	__atomic_fetch_or(&vm->want, bits, __ATOMIC_SEQ_CST);
	for (i = 0; i < vm->nvcpus; i++)
		v3_vcpu_request(vm->vcpu[i], V3_REQ_STATE);
	lifecycle_wake_all(vm);
}

static bool lifecycle_nobody_inside(const struct v3_vm *vm)
{
	return !__atomic_load_n(&vm->inside, __ATOMIC_SEQ_CST);
}

/* Sleep conditions; arg is the vcpu or the VM. */
static bool lifecycle_all_here(void *arg)
{
	struct v3_vm *vm = arg;

	return (__atomic_load_n(&vm->arrived, __ATOMIC_SEQ_CST) == vm->nvcpus &&
		lifecycle_nobody_inside(vm)) ||
	       (lifecycle_wants(vm) & V3_WANT_STOP);
}

static bool lifecycle_may_go(void *arg)
{
	uint32_t want = lifecycle_wants(((struct v3_vcpu *)arg)->vm);

	return !want || (want & V3_WANT_STOP);
}

/* Something to do while waiting. */
static bool lifecycle_stirs(void *arg)
{
	return lifecycle_may_go(arg) ||
	       __atomic_load_n(&((struct v3_vcpu *)arg)->dump_to, __ATOMIC_SEQ_CST);
}

static bool lifecycle_boot_cpu_stirs(void *arg)
{
	return lifecycle_stirs(arg) ||
	       (lifecycle_wants(((struct v3_vcpu *)arg)->vm) & V3_WANT_RESET);
}

static bool lifecycle_no_reset(void *arg)
{
	uint32_t want = lifecycle_wants(arg);

	return !(want & V3_WANT_RESET) || (want & V3_WANT_STOP);
}

static void lifecycle_do_reset(struct v3_vm *vm)
{
	int err;

	v3_host_wq_sleep(vm->wq, lifecycle_all_here, vm);
	if (lifecycle_wants(vm) & V3_WANT_STOP)
		return;
	V3_INFO(vm, "reset: %s", __atomic_load_n(&vm->reset_why, __ATOMIC_SEQ_CST));
	vm->resets++;
	err = v3_vm_power_on(vm);
	__atomic_fetch_and(&vm->want, ~V3_WANT_RESET, __ATOMIC_SEQ_CST);
	if (err != V3_OK)
		v3_vm_request_stop(vm, V3_STOP_FAILURE, err);
	lifecycle_wake_all(vm);
}

/* One stay at the rendezvous. */
static void lifecycle_wait(struct v3_vcpu *vcpu)
{
	struct v3_vm *vm = vcpu->vm;

	__atomic_add_fetch(&vm->arrived, 1, __ATOMIC_SEQ_CST);
	v3_host_wq_wake(vm->wq);
	while (!lifecycle_may_go(vcpu)) {
		v3_host_wq_sleep(vcpu->wq, vcpu->index ? lifecycle_stirs : lifecycle_boot_cpu_stirs,
				 vcpu);
		v3_dump_serve(vcpu);
		if (!vcpu->index && (lifecycle_wants(vm) & V3_WANT_RESET))
			lifecycle_do_reset(vm);
	}
	__atomic_sub_fetch(&vm->arrived, 1, __ATOMIC_SEQ_CST);
}

int v3_vm_rendezvous(struct v3_vcpu *vcpu)
{
	struct v3_vm *vm = vcpu->vm;

	v3_fpu_put(vcpu);
	do {
		lifecycle_wait(vcpu);
		/* Somebody may have counted on us between the last look and leaving: look again. */
	} while (!lifecycle_may_go(vcpu));
	return lifecycle_wants(vm) & V3_WANT_STOP ? V3_LEAVE : V3_OK;
}

/* ---- asked for by anybody ---- */

/* Reason and status are one word, so that nobody sees one without the other. */
void v3_vm_request_stop(struct v3_vm *vm, enum v3_stop_reason reason, int status)
{
	uint64_t none = V3_STOP_NONE, stop = (uint64_t)(uint32_t)status << 32 | (uint32_t)reason;

	__atomic_compare_exchange_n(&vm->stop, &none, stop, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	v3_vm_want(vm, V3_WANT_STOP);
}

void v3_vm_request_reset(struct v3_vm *vm, const char *why)
{
	__atomic_store_n(&vm->reset_why, why, __ATOMIC_SEQ_CST);
	v3_vm_want(vm, V3_WANT_RESET);
}

/* ---- threads that are no vcpu's ---- */

/* Who wants the VM to stand still says so, then looks whether somebody is inside; so one of the two sees the other. */
bool v3_vm_enter(struct v3_vm *vm)
{
	__atomic_add_fetch(&vm->inside, 1, __ATOMIC_SEQ_CST);
	if (!lifecycle_wants(vm) &&
	    __atomic_load_n(&vm->state, __ATOMIC_SEQ_CST) == (uint32_t)V3_VM_RUNNING)
		return true;
	v3_vm_leave(vm);
	return false;
}

void v3_vm_leave(struct v3_vm *vm)
{
	__atomic_sub_fetch(&vm->inside, 1, __ATOMIC_SEQ_CST);
	if (lifecycle_wants(vm))
		v3_host_wq_wake(vm->wq);
}

/* ---- the embedder's calls, serialised by v3_vm.lock ---- */

static void lifecycle_set_state(struct v3_vm *vm, enum v3_vm_state state)
{
	__atomic_store_n(&vm->state, (uint32_t)state, __ATOMIC_SEQ_CST);
}

enum v3_vm_state v3_vm_get_state(const struct v3_vm *vm)
{
	enum v3_vm_state state = (enum v3_vm_state)__atomic_load_n(&vm->state, __ATOMIC_SEQ_CST);

	/* The guest switched itself off, and nobody has waited for it yet. */
	if ((state == V3_VM_RUNNING || state == V3_VM_PAUSED) &&
	    !__atomic_load_n(&vm->alive, __ATOMIC_SEQ_CST))
		return V3_VM_STOPPED;
	return state;
}

enum v3_stop_reason v3_vm_stop_reason(const struct v3_vm *vm, int *status)
{
	uint64_t stop = __atomic_load_n(&vm->stop, __ATOMIC_SEQ_CST);

	if (status)
		*status = (int)(stop >> 32);
	return (enum v3_stop_reason)(uint32_t)stop;
}

static bool lifecycle_all_ended(void *arg)
{
	struct v3_vm *vm = arg;

	return !__atomic_load_n(&vm->alive, __ATOMIC_SEQ_CST) && lifecycle_nobody_inside(vm);
}

/* With the lock held: wait for the threads and free them. */
static void lifecycle_join(struct v3_vm *vm)
{
	uint32_t i;

	v3_host_wq_sleep(vm->wq, lifecycle_all_ended, vm);
	for (i = 0; i < vm->nvcpus; i++) {
		if (vm->vcpu[i]->thread)
			v3_host_thread_join(vm->vcpu[i]->thread);
		vm->vcpu[i]->thread = NULL;
	}
	lifecycle_set_state(vm, V3_VM_STOPPED);
}

static int lifecycle_create_threads(struct v3_vm *vm)
{
	uint32_t i;

	for (i = 0; i < vm->nvcpus; i++) {
		struct v3_vcpu *vcpu = vm->vcpu[i];

		__atomic_add_fetch(&vm->alive, 1, __ATOMIC_SEQ_CST);
		v3_vcpu_request_self(vcpu, V3_REQ_STATE | V3_REQ_TIMER);
		vcpu->thread = v3_host_thread_create(vm->name, vcpu->bound_cpu, v3_vcpu_main, vcpu);
		if (!vcpu->thread) {
			__atomic_sub_fetch(&vm->alive, 1, __ATOMIC_SEQ_CST);
			return V3_ENOMEM;
		}
	}
	return V3_OK;
}

/* The threads come up at the rendezvous, as if paused; the last step lets them go together. */
static int lifecycle_start(struct v3_vm *vm)
{
	int err;

	if (v3_vm_get_state(vm) != V3_VM_READY)
		return V3_EBUSY;
	__atomic_fetch_or(&vm->want, V3_WANT_PAUSE, __ATOMIC_SEQ_CST);
	err = lifecycle_create_threads(vm);
	if (err != V3_OK) {
		V3_ERR(vm, "cannot start: no memory for a vcpu thread");
		v3_vm_request_stop(vm, V3_STOP_FAILURE, err);
		lifecycle_join(vm);
		return err;
	}
	lifecycle_set_state(vm, V3_VM_RUNNING);
	v3_time_continue(vm);
	__atomic_fetch_and(&vm->want, ~V3_WANT_PAUSE, __ATOMIC_SEQ_CST);
	lifecycle_wake_all(vm);
	return V3_OK;
}

static int lifecycle_pause(struct v3_vm *vm)
{
	if (v3_vm_get_state(vm) != V3_VM_RUNNING)
		return V3_EBUSY;
	v3_vm_want(vm, V3_WANT_PAUSE);
	v3_host_wq_sleep(vm->wq, lifecycle_all_here, vm);
	/* vcpu 0 may just be performing a reset, which sets clocks. */
	v3_host_wq_sleep(vm->wq, lifecycle_no_reset, vm);
	v3_time_pause(vm);
	lifecycle_set_state(vm, V3_VM_PAUSED);
	return V3_OK;
}

static int lifecycle_continue(struct v3_vm *vm)
{
	if (v3_vm_get_state(vm) != V3_VM_PAUSED)
		return V3_EBUSY;
	v3_host_wq_sleep(vm->wq, lifecycle_no_reset, vm);
	lifecycle_set_state(vm, V3_VM_RUNNING);
	v3_time_continue(vm);
	__atomic_fetch_and(&vm->want, ~V3_WANT_PAUSE, __ATOMIC_SEQ_CST);
	lifecycle_wake_all(vm);
	return V3_OK;
}

static int lifecycle_reset(struct v3_vm *vm)
{
	enum v3_vm_state state = v3_vm_get_state(vm);

	if (state != V3_VM_RUNNING && state != V3_VM_PAUSED)
		return V3_EBUSY;
	v3_vm_request_reset(vm, "asked for by the host");
	return V3_OK;
}

static int lifecycle_stop(struct v3_vm *vm)
{
	enum v3_vm_state state = (enum v3_vm_state)__atomic_load_n(&vm->state, __ATOMIC_SEQ_CST);

	if (state == V3_VM_STOPPED)
		return V3_OK;
	v3_vm_request_stop(vm, V3_STOP_POWEROFF, 0);
	lifecycle_join(vm);
	return V3_OK;
}

static int lifecycle_locked(struct v3_vm *vm, int (*op)(struct v3_vm *vm))
{
	int err;

	v3_host_mutex_lock(vm->lock);
	err = op(vm);
	v3_host_mutex_unlock(vm->lock);
	return err;
}

int v3_vm_start(struct v3_vm *vm)
{
	return lifecycle_locked(vm, lifecycle_start);
}

int v3_vm_pause(struct v3_vm *vm)
{
	return lifecycle_locked(vm, lifecycle_pause);
}

int v3_vm_continue(struct v3_vm *vm)
{
	return lifecycle_locked(vm, lifecycle_continue);
}

int v3_vm_reset(struct v3_vm *vm)
{
	return lifecycle_locked(vm, lifecycle_reset);
}

int v3_vm_stop(struct v3_vm *vm)
{
	return lifecycle_locked(vm, lifecycle_stop);
}

void v3_vm_wait(struct v3_vm *vm)
{
	/* Sleep without the lock, so that others can still pause, reset or stop. */
	v3_host_wq_sleep(vm->wq, lifecycle_all_ended, vm);
	v3_host_mutex_lock(vm->lock);
	if (vm->state == V3_VM_RUNNING || vm->state == V3_VM_PAUSED)
		lifecycle_join(vm);
	v3_host_mutex_unlock(vm->lock);
}

int v3_vm_power_button(struct v3_vm *vm)
{
	int err = V3_ENOTSUP;
	uint32_t i;

	for (i = 0; i < vm->ndevices; i++) {
		if (!vm->device[i].cls->power_button)
			continue;
		vm->device[i].cls->power_button(vm->device[i].state);
		err = V3_OK;
	}
	return err;
}
