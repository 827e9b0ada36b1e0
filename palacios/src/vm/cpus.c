/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file cpus.c
 * The host's CPUs: on which virtualization is enabled, and which vcpu belongs to which.
 */
#include "host/host.h"
#include "state.h"
#include "vm/vm.h"

#define V3_LOG_TAG "cpus"

/* ---- enabling; both run on the CPU in question, interrupts off ---- */

struct cpus_call {
	uint32_t cpu;
	int err;
};

static void cpus_enable_here(void *arg)
{
	struct cpus_call *call = arg;

	call->err = v3_lib.arch->cpu_enable(v3_lib.arch_state);
	if (call->err == V3_OK)
		__atomic_store_n(&v3_lib.cpu_on[call->cpu], 1, __ATOMIC_SEQ_CST);
}

static void cpus_disable_here(void *arg)
{
	struct cpus_call *call = arg;

	v3_lib.arch->cpu_disable(v3_lib.arch_state);
	__atomic_store_n(&v3_lib.cpu_on[call->cpu], 0, __ATOMIC_SEQ_CST);
}

bool v3_cpu_usable(uint32_t cpu)
{
	return cpu < v3_lib.ncpus && __atomic_load_n(&v3_lib.cpu_on[cpu], __ATOMIC_SEQ_CST);
}

static int cpus_enable_one(uint32_t cpu)
{
	struct cpus_call call = {cpu, V3_OK};
	int err = v3_host_cpu_call(cpu, cpus_enable_here, &call);

	if (err == V3_OK)
		err = call.err;
	if (err != V3_OK && err != V3_ENODEV)
		V3_ERR(NULL, "CPU %u: virtualization cannot be enabled: %s", cpu,
		       err == V3_EBUSY ? "another hypervisor uses it: stop its guests first"
				       : v3_strerror(err));
	return err;
}

static void cpus_disable_one(uint32_t cpu)
{
	struct cpus_call call = {cpu, V3_OK};

	if (v3_cpu_usable(cpu))
		v3_host_cpu_call(cpu, cpus_disable_here, &call);
}

uint32_t v3_cpus_usable(void)
{
	uint32_t i, n = 0;

	for (i = 0; i < v3_lib.ncpus; i++)
		n += v3_cpu_usable(i);
	return n;
}

static void cpus_disable_all(void)
{
	uint32_t i;

	for (i = 0; i < v3_lib.ncpus; i++)
		cpus_disable_one(i);
	v3_lib.enabled = false;
}

/* A CPU that is offline says V3_ENODEV and is left out; one at least must do. */
int v3_enable(void)
{
	int err = V3_OK;
	uint32_t i;

	if (v3_lib.enabled)
		return V3_OK;
	for (i = 0; i < v3_lib.ncpus; i++) {
		err = cpus_enable_one(i);
		if (err != V3_OK && err != V3_ENODEV)
			break;
		err = V3_OK;
	}
	if (err == V3_OK && !v3_cpus_usable())
		err = V3_ENODEV;
	if (err != V3_OK) {
		cpus_disable_all();
		return err;
	}
	v3_lib.enabled = true;
	return V3_OK;
}

int v3_disable(void)
{
	if (__atomic_load_n(&v3_lib.vms, __ATOMIC_SEQ_CST))
		return V3_EBUSY;
	cpus_disable_all();
	return V3_OK;
}

int v3_cpu_up(uint32_t cpu)
{
	if (!v3_lib.enabled || v3_cpu_usable(cpu))
		return V3_OK;
	return cpu < v3_lib.ncpus ? cpus_enable_one(cpu) : V3_ENODEV;
}

void v3_cpu_down(uint32_t cpu)
{
	cpus_disable_one(cpu);
}

/* ---- vcpus ---- */

/* The @p n-th usable CPU, counting round and round. */
static uint32_t cpus_pick(uint32_t n)
{
	uint32_t i, usable = v3_cpus_usable();

	n = usable ? n % usable : 0;
	for (i = 0; i < v3_lib.ncpus; i++)
		if (v3_cpu_usable(i) && !n--)
			return i;
	return 0;
}

int v3_vcpu_place(struct v3_vcpu *vcpu, const uint32_t *wanted)
{
	uint32_t cpu = wanted ? *wanted : cpus_pick(vcpu->index);

	if (!v3_cpu_usable(cpu)) {
		V3_ERR(vcpu->vm, "vm.cpus: vcpu %u wants CPU %u, which %s", vcpu->index, cpu,
		       cpu < v3_lib.ncpus ? "is offline" : "this host does not have");
		return V3_ERANGE;
	}
	vcpu->bound_cpu = vcpu->host_cpu = cpu;
	return V3_OK;
}

/* Sleep condition: it runs where it belongs, or will not run any more. */
static bool cpus_moved(void *arg)
{
	struct v3_vcpu *vcpu = arg;

	return __atomic_load_n(&vcpu->host_cpu, __ATOMIC_SEQ_CST) == vcpu->bound_cpu ||
	       !__atomic_load_n(&vcpu->vm->alive, __ATOMIC_SEQ_CST);
}

/* With the VM's lock held. One that is paused moves when it wakes. */
static int cpus_move(struct v3_vm *vm, struct v3_vcpu *vcpu, uint32_t cpu)
{
	enum v3_vm_state state = v3_vm_get_state(vm);
	int err = V3_OK;

	if (!v3_cpu_usable(cpu))
		return V3_ENODEV;
	if (vcpu->thread)
		err = v3_host_thread_move(vcpu->thread, cpu);
	if (err != V3_OK)
		return err;
	vcpu->bound_cpu = cpu;
	v3_vcpu_request(vcpu, V3_REQ_MOVE);
	if (state == V3_VM_RUNNING)
		v3_host_wq_sleep(vm->wq, cpus_moved, vcpu);
	return V3_OK;
}

int v3_vcpu_move(struct v3_vm *vm, uint32_t index, uint32_t cpu)
{
	int err;

	if (index >= vm->nvcpus)
		return V3_ERANGE;
	v3_host_mutex_lock(vm->lock);
	err = cpus_move(vm, vm->vcpu[index], cpu);
	v3_host_mutex_unlock(vm->lock);
	return err;
}

int v3_vcpu_info(struct v3_vm *vm, uint32_t index, struct v3_vcpu_info *info)
{
	const struct v3_vcpu *vcpu;

	if (index >= vm->nvcpus)
		return V3_ERANGE;
	vcpu = vm->vcpu[index];
	info->cpu = __atomic_load_n(&vcpu->bound_cpu, __ATOMIC_RELAXED);
	info->state = (enum v3_vcpu_state)__atomic_load_n(&vcpu->state, __ATOMIC_RELAXED);
	info->entries = __atomic_load_n(&vcpu->stats.entries, __ATOMIC_RELAXED);
	return V3_OK;
}
