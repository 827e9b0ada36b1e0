// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file main.c
 * Loading and unloading: virtualization on every CPU, then the device. Every VM descriptor holds a reference
 * to the module, so there is no VM left when it is unloaded.
 */
#include "glue.h"

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

static const struct file_operations main_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.unlocked_ioctl = lnx_device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice main_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "palacios",
	.fops = &main_fops,
	.mode = 0600,
};

static int main_hotplug_state; /* of main_cpu_down(); written at load only */

/* A CPU that goes away would take its vcpu threads and its SVM state along. */
static int main_cpu_down(unsigned int cpu)
{
	if (cpu >= lnx_cpu_count())
		return 0;
	pr_warn("palacios: CPU %u cannot go offline while palacios.ko is loaded: unload it first\n",
		cpu);
	return -EBUSY;
}

/* CPU hotplug is held off by the caller. */
static int main_start_library(void)
{
	static const struct v3_init_params params = {
		.host = &lnx_host_ops,
		.devices = v3_pc_devices,
	};
	int err;

	err = lnx_hooks_init();
	if (err)
		return err;
	err = v3_init(&params);
	if (err)
		goto exit_hooks;
	lnx_trace_init();
	err = cpuhp_setup_state_nocalls_cpuslocked(CPUHP_AP_ONLINE_DYN, "palacios:online", NULL,
						   main_cpu_down);
	if (err < 0)
		goto fini;
	main_hotplug_state = err;
	return 0;

fini:
	v3_fini();
exit_hooks:
	lnx_hooks_exit();
	return err;
}

static void main_stop_library(void)
{
	cpuhp_remove_state_nocalls(main_hotplug_state);
	if (v3_fini())
		pr_err("palacios: a VM is left behind\n");
	lnx_hooks_exit();
}

static int __init main_init(void)
{
	int err;

	err = lnx_pool_init();
	if (err)
		return err;
	cpus_read_lock();
	err = main_start_library();
	cpus_read_unlock();
	if (err)
		goto exit_pool;
	err = misc_register(&main_device);
	if (err)
		goto stop_library;
	return 0;

stop_library:
	main_stop_library();
exit_pool:
	lnx_pool_exit();
	return err;
}

static void __exit main_exit(void)
{
	misc_deregister(&main_device);
	main_stop_library();
	lnx_pool_exit();
}

module_init(main_init);
module_exit(main_exit);
MODULE_DESCRIPTION("Palacios virtual machine monitor");
MODULE_LICENSE("Dual BSD/GPL");
