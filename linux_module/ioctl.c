// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file ioctl.c
 * The commands of uapi/palacios.h: each copies its structure in once, checks it, calls the library and copies
 * the result out. The library's results are errno values.
 */
#include "glue.h"

#include <linux/ctype.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

/* What the ABI promises and what the library says are the same numbers. */
static_assert((int)PALACIOS_STATE_READY == (int)V3_VM_READY);
static_assert((int)PALACIOS_STATE_RUNNING == (int)V3_VM_RUNNING);
static_assert((int)PALACIOS_STATE_PAUSED == (int)V3_VM_PAUSED);
static_assert((int)PALACIOS_STATE_STOPPED == (int)V3_VM_STOPPED);
static_assert((int)PALACIOS_REASON_NONE == (int)V3_STOP_NONE);
static_assert((int)PALACIOS_REASON_POWEROFF == (int)V3_STOP_POWEROFF);
static_assert((int)PALACIOS_REASON_EXIT == (int)V3_STOP_EXIT);
static_assert((int)PALACIOS_REASON_FAILURE == (int)V3_STOP_FAILURE);
static_assert(PALACIOS_STAT_BUCKETS == V3_STAT_BUCKETS);
static_assert(V3_EBADMSG == -EBADMSG && V3_EBUSY == -EBUSY && V3_ENOTSUP == -EOPNOTSUPP);
/* The same layout for every caller, 32-bit ones included. */
static_assert(sizeof(struct palacios_version) == 64);
static_assert(sizeof(struct palacios_create) == 120);
static_assert(sizeof(struct palacios_stop) == 16);
static_assert(sizeof(struct palacios_info) == 168);
static_assert(sizeof(struct palacios_stats) == 192);
static_assert(sizeof(struct palacios_console) == 64);

#define IOCTL_ALL_ZERO(field) (!memchr_inv(&(field), 0, sizeof(field)))

static int ioctl_out(void __user *arg, const void *from, size_t size)
{
	return copy_to_user(arg, from, size) ? -EFAULT : 0;
}

/* ---- device ---- */

static int ioctl_version(void __user *arg)
{
	struct palacios_version v = {
		.abi = PALACIOS_ABI,
		.backend = "svm",
		.cpus = lnx_cpu_count(),
		.features = lnx_pool_size() ? PALACIOS_FEATURE_POOL : 0,
		.pool_size = lnx_pool_size(),
		.pool_free = lnx_pool_free(),
	};

	return ioctl_out(arg, &v, sizeof(v));
}

/* 1 to 63 of A-Z a-z 0-9 . _ -, or nothing. */
static bool ioctl_name_valid(const char *name)
{
	size_t len = strnlen(name, PALACIOS_NAME_SIZE);
	size_t i;

	for (i = 0; i < len; i++)
		if (!isascii(name[i]) || (!isalnum(name[i]) && !strchr("._-", name[i])))
			return false;
	return len < PALACIOS_NAME_SIZE;
}

static int ioctl_create(void __user *arg)
{
	struct palacios_create c;
	void *image;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	if (c.flags || c.reserved0 || !IOCTL_ALL_ZERO(c.reserved) || !c.size ||
	    !ioctl_name_valid(c.name))
		return -EINVAL;
	if (c.size > PALACIOS_MAX_IMAGE)
		return -E2BIG;
	image = kvmalloc(c.size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!image)
		return -ENOMEM;
	if (copy_from_user(image, u64_to_user_ptr(c.image), c.size)) {
		kvfree(image);
		return -EFAULT;
	}
	return lnx_vm_make(image, c.size, c.name);
}

long lnx_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case PALACIOS_VERSION:
		return ioctl_version((void __user *)arg);
	case PALACIOS_CREATE:
		return ioctl_create((void __user *)arg);
	default:
		return -ENOTTY;
	}
}

/* ---- VM ---- */

static int ioctl_stop(struct lnx_vm *vm, void __user *arg)
{
	struct palacios_stop s;

	if (copy_from_user(&s, arg, sizeof(s)))
		return -EFAULT;
	if (!IOCTL_ALL_ZERO(s.reserved))
		return -EINVAL;
	switch (s.how) {
	case PALACIOS_STOP_BUTTON:
		return v3_vm_power_button(vm->vm);
	case PALACIOS_STOP_HARD:
		return v3_vm_stop(vm->vm);
	default:
		return -EINVAL;
	}
}

static int ioctl_info(struct lnx_vm *vm, void __user *arg)
{
	struct palacios_info info = {};
	struct v3_mem_stats mem;
	u64 summary;

	summary = lnx_vm_summary(vm, &info);
	v3_mem_get_stats(vm->vm, &mem);
	info.vcpus = v3_vm_vcpu_count(vm->vm);
	info.memory_bytes = mem.ram_bytes;
	info.memory_1g = mem.backed_1g;
	info.memory_2m = mem.backed_2m;
	info.created_s = vm->created;
	info.owner_uid = from_kuid_munged(current_user_ns(), vm->owner);
	memcpy(info.name, vm->name, sizeof(info.name));
	if (copy_to_user(arg, &info, sizeof(info)))
		return -EFAULT;
	WRITE_ONCE(vm->seen, summary);
	return 0;
}

static int ioctl_stats(struct lnx_vm *vm, void __user *arg)
{
	struct v3_exit_stat stat;
	struct palacios_stats s;

	if (copy_from_user(&s, arg, sizeof(s)))
		return -EFAULT;
	if (s.reserved0 || s.reserved1)
		return -EINVAL;
	if (s.kind >= V3_EXIT_NKINDS || s.vcpu >= v3_vm_vcpu_count(vm->vm))
		return -ERANGE;
	if (v3_vm_exit_stat(vm->vm, s.vcpu, s.kind, &stat))
		return -ERANGE;
	memset(s.name, 0, sizeof(s.name));
	strscpy(s.name, v3_exit_name(s.kind), sizeof(s.name));
	s.count = stat.count;
	s.cycles = stat.cycles;
	s.max_cycles = stat.max_cycles;
	memcpy(s.histogram, stat.histogram, sizeof(s.histogram));
	return ioctl_out(arg, &s, sizeof(s));
}

static int ioctl_console(struct lnx_vm *vm, void __user *arg)
{
	struct palacios_console c;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	if (c.flags || !IOCTL_ALL_ZERO(c.reserved) ||
	    strnlen(c.name, sizeof(c.name)) == sizeof(c.name))
		return -EINVAL;
	return lnx_console_attach(vm, c.name);
}

static int ioctl_vm(struct lnx_vm *vm, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case PALACIOS_VM_START:
		return v3_vm_start(vm->vm);
	case PALACIOS_VM_PAUSE:
		return v3_vm_pause(vm->vm);
	case PALACIOS_VM_CONTINUE:
		return v3_vm_continue(vm->vm);
	case PALACIOS_VM_RESET:
		return v3_vm_reset(vm->vm);
	case PALACIOS_VM_STOP:
		return ioctl_stop(vm, arg);
	case PALACIOS_VM_INFO:
		return ioctl_info(vm, arg);
	case PALACIOS_VM_STATS:
		return ioctl_stats(vm, arg);
	case PALACIOS_VM_CONSOLE:
		return ioctl_console(vm, arg);
	default:
		return -ENOTTY;
	}
}

long lnx_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lnx_vm *vm = file->private_data;
	int result = ioctl_vm(vm, cmd, (void __user *)arg);

	if (cmd >= PALACIOS_VM_START && cmd <= PALACIOS_VM_RESET)
		wake_up_all(&lnx_state_wait);
	return result;
}
