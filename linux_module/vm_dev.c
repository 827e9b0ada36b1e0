// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file vm_dev.c
 * A VM as a file descriptor: made by CREATE, gone with the last reference to the file.
 */
#include "glue.h"

#include <linux/anon_inodes.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

u64 lnx_vm_summary(const struct lnx_vm *vm, struct palacios_info *info)
{
	int status = 0;

	/* State first: a reason that is missing now is then found by the next look. */
	info->state = v3_vm_get_state(vm->vm);
	info->reason = v3_vm_stop_reason(vm->vm, &status);
	info->status = status;
	return 1ull << 63 | (u64)info->state << 40 | (u64)info->reason << 32 | (u32)status;
}

static __poll_t vm_poll(struct file *file, struct poll_table_struct *table)
{
	struct lnx_vm *vm = file->private_data;
	struct palacios_info info;
	__poll_t mask = 0;

	poll_wait(file, &lnx_state_wait, table);
	if (lnx_vm_summary(vm, &info) != READ_ONCE(vm->seen))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (info.state == PALACIOS_STATE_STOPPED)
		mask |= EPOLLHUP;
	return mask;
}

static void vm_free(struct lnx_vm *vm)
{
	v3_vm_destroy(vm->vm);
	mutex_destroy(&vm->streams_lock);
	kvfree(vm->image);
	kfree(vm);
}

static int vm_release(struct inode *inode, struct file *file)
{
	vm_free(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = lnx_vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = vm_poll,
	.release = vm_release,
};

int lnx_vm_make(void *image, size_t size, const char *name)
{
	struct lnx_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int fd;

	if (!vm) {
		kvfree(image);
		return -ENOMEM;
	}
	vm->image = image;
	vm->owner = current_uid();
	vm->created = ktime_get_real_seconds();
	mutex_init(&vm->streams_lock);
	INIT_LIST_HEAD(&vm->streams);
	fd = v3_vm_create(image, size, vm, &vm->vm);
	if (fd)
		goto free;
	strscpy(vm->name, *name ? name : v3_vm_name(vm->vm), sizeof(vm->name));
	fd = anon_inode_getfd("palacios-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		return fd;
free:
	vm_free(vm);
	return fd;
}
