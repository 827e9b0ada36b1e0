// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file vm_dev.c
 * A VM as a file descriptor. Each descriptor holds a reference to the VM.
 */
#include "glue.h"

#include <linux/anon_inodes.h>
#include <linux/poll.h>
#include <linux/slab.h>

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
	struct lnx_vm_file *f = file->private_data;
	struct palacios_info info;
	__poll_t mask = 0;

	poll_wait(file, &lnx_state_wait, table);
	if (lnx_vm_summary(f->vm, &info) != READ_ONCE(f->seen))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (info.state == PALACIOS_STATE_STOPPED)
		mask |= EPOLLHUP;
	return mask;
}

static int vm_release(struct inode *inode, struct file *file)
{
	struct lnx_vm_file *f = file->private_data;

	lnx_vm_put(f->vm);
	kfree(f);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = lnx_vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = vm_poll,
	.release = vm_release,
};

int lnx_vm_descriptor(struct lnx_vm *vm)
{
	struct lnx_vm_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	int fd = -ENOMEM;

	if (f) {
		f->vm = vm;
		fd = anon_inode_getfd("palacios-vm", &vm_fops, f, O_RDWR | O_CLOEXEC);
	}
	if (fd < 0) {
		lnx_vm_put(vm);
		kfree(f);
	}
	return fd;
}
