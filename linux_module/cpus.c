// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file cpus.c
 * Virtualization on the host's CPUs: on from the first VM to the last, on CPUs that come too; off on those that go, after
 * their vcpus have been moved, and off everywhere before the host reboots or another kernel is started by kexec.
 */
#include "glue.h"

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/suspend.h>

/* CPU hotplug is held off before this lock is taken, or the caller is CPU hotplug. */
static DEFINE_MUTEX(cpus_lock); /* guards what follows, and v3_enable() .. v3_cpu_down() */
static unsigned int cpus_users;
static bool cpus_closed; /* the host shuts down */
static int cpus_hotplug_state;

int lnx_cpus_get(void)
{
	int err = 0;

	mutex_lock(&cpus_lock);
	if (cpus_closed) {
		pr_warn("palacios: the host is shutting down: no VM can be made any more\n");
		err = -EBUSY;
	} else if (!cpus_users) {
		err = v3_enable();
	}
	if (!err)
		cpus_users++;
	mutex_unlock(&cpus_lock);
	return err;
}

void lnx_cpus_put(void)
{
	cpus_read_lock();
	mutex_lock(&cpus_lock);
	if (!--cpus_users)
		v3_disable();
	mutex_unlock(&cpus_lock);
	cpus_read_unlock();
}

/* ---- CPUs that come and go ---- */

/* A CPU that cannot be used is the host's all the same. */
static int cpus_online(unsigned int cpu)
{
	mutex_lock(&cpus_lock);
	if (!cpus_closed && v3_cpu_up(cpu))
		pr_warn("palacios: CPU %u is online but cannot run guests\n", cpu);
	mutex_unlock(&cpus_lock);
	return 0;
}

/* Another CPU that can take over from @cpu: the next one. @return -ENODEV if there is none */
static int cpus_other(unsigned int cpu)
{
	unsigned int i, other;

	for (i = 1; i < nr_cpu_ids; i++) {
		other = (cpu + i) % nr_cpu_ids;
		if (cpu_active(other) && v3_cpu_usable(other))
			return other;
	}
	return -ENODEV;
}

static int cpus_move_away(struct lnx_vm *vm, void *arg)
{
	unsigned int cpu = *(unsigned int *)arg;
	struct v3_vcpu_info info;
	uint32_t i;
	int other;

	for (i = 0; !v3_vcpu_info(vm->vm, i, &info); i++) {
		if (info.cpu != cpu)
			continue;
		other = cpus_other(cpu);
		if (other < 0 || v3_vcpu_move(vm->vm, i, other)) {
			pr_warn("palacios: CPU %u cannot go offline: no other can run vcpu %u of "
				"%s\n",
				cpu, i, vm->name);
			return -EBUSY;
		}
		pr_info("palacios: CPU %u goes offline: vcpu %u of %s moves to CPU %d\n", cpu, i,
			vm->name, other);
	}
	return 0;
}

static int cpus_offline(unsigned int cpu)
{
	int err = lnx_vm_for_each(cpus_move_away, &cpu);

	if (err)
		return err;
	mutex_lock(&cpus_lock);
	v3_cpu_down(cpu);
	mutex_unlock(&cpus_lock);
	return 0;
}

/* ---- the end of the host ---- */

static int cpus_stop_vm(struct lnx_vm *vm, void *arg)
{
	v3_vm_stop(vm->vm);
	return 0;
}

/* Also on the way to kexec. A kernel that crashes into another one switches SVM off by itself. */
static int cpus_reboot(struct notifier_block *nb, unsigned long event, void *unused)
{
	unsigned int cpu;

	mutex_lock(&cpus_lock);
	cpus_closed = true;
	mutex_unlock(&cpus_lock);
	lnx_vm_for_each(cpus_stop_vm, NULL);
	cpus_read_lock();
	mutex_lock(&cpus_lock);
	for_each_online_cpu(cpu) v3_cpu_down(cpu);
	mutex_unlock(&cpus_lock);
	cpus_read_unlock();
	return NOTIFY_DONE;
}

static struct notifier_block cpus_reboot_block = {.notifier_call = cpus_reboot};

/* The CPUs would forget their state, and guests' clocks stand still unseen. */
static int cpus_suspend(struct notifier_block *nb, unsigned long event, void *unused)
{
	if ((event != PM_SUSPEND_PREPARE && event != PM_HIBERNATION_PREPARE) || !lnx_vm_count())
		return NOTIFY_DONE;
	pr_warn("palacios: the host cannot sleep while there are VMs: destroy them first (v3 "
		"list)\n");
	return notifier_from_errno(-EBUSY);
}

static struct notifier_block cpus_suspend_block = {.notifier_call = cpus_suspend};

int lnx_cpus_init(void)
{
	int state;

	/* v3_init() has shown that every CPU can; from now on only while there are VMs. */
	v3_disable();
	state = cpuhp_setup_state_nocalls_cpuslocked(CPUHP_AP_ONLINE_DYN, "palacios:online",
						     cpus_online, cpus_offline);
	if (state < 0)
		return state;
	cpus_hotplug_state = state;
	register_reboot_notifier(&cpus_reboot_block);
	register_pm_notifier(&cpus_suspend_block);
	return 0;
}

void lnx_cpus_exit(void)
{
	unregister_pm_notifier(&cpus_suspend_block);
	unregister_reboot_notifier(&cpus_reboot_block);
	cpuhp_remove_state_nocalls(cpus_hotplug_state);
}
