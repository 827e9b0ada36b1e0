// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file main.c
 * Loading and unloading. Every descriptor holds a reference to the module, and so does a persistent VM's name: there is
 * no VM left when it is unloaded.
 */
#include "glue.h"

#include <linux/cpu.h>
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

/* CPU hotplug is held off by the caller. */
static int main_start_library(void)
{
	static const struct v3_init_params params = {
		.host = &lnx_host_ops,
		.devices = v3_pc_devices,
	};
	int err;

	err = v3_init(&params);
	if (err)
		return err;
	lnx_trace_init();
	err = lnx_cpus_init();
	if (err)
		v3_fini();
	return err;
}

static int __init main_init(void)
{
	int err;

	err = lnx_pool_init();
	if (err)
		return err;
	err = lnx_files_init();
	if (err)
		goto exit_pool;
	err = lnx_hooks_init();
	if (err)
		goto exit_files;
	cpus_read_lock();
	err = main_start_library();
	cpus_read_unlock();
	if (err)
		goto exit_hooks;
	lnx_debugfs_init();
	err = misc_register(&main_device);
	if (err)
		goto exit_library;
	return 0;

exit_library:
	lnx_debugfs_exit();
	lnx_cpus_exit();
	v3_fini();
exit_hooks:
	lnx_hooks_exit();
exit_files:
	lnx_files_exit();
exit_pool:
	lnx_pool_exit();
	return err;
}

static void __exit main_exit(void)
{
	misc_deregister(&main_device);
	lnx_debugfs_exit();
	lnx_cpus_exit();
	WARN_ON(v3_fini());
	lnx_hooks_exit();
	lnx_files_exit();
	lnx_pool_exit();
}

module_init(main_init);
module_exit(main_exit);
MODULE_DESCRIPTION("Palacios virtual machine monitor");
MODULE_LICENSE("Dual BSD/GPL");
