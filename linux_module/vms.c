// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file vms.c
 * The VMs there are, by id and by name. A VM is in the list from the moment it is complete until it is destroyed or its
 * last reference goes; whoever finds it there gets a reference.
 */
#include "glue.h"

#include <linux/cpu.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

static DEFINE_MUTEX(vms_lock); /* guards what follows, and lnx_vm.list and .persistent */
static LIST_HEAD(vms_list);    /* ascending ids */
static u64 vms_last_id;
static unsigned int vms_count;

static struct lnx_vm *vms_named(const char *name)
{
	struct lnx_vm *vm;

	list_for_each_entry(vm, &vms_list, list) if (!strcmp(vm->name, name)) return vm;
	return NULL;
}

/* The name asked for, or the definition's with a number if it is taken. @return 0, -EEXIST */
static int vms_choose_name(struct lnx_vm *vm, const char *name)
{
	unsigned int n;

	if (*name) {
		strscpy(vm->name, name, sizeof(vm->name));
		return vms_named(vm->name) ? -EEXIST : 0;
	}
	strscpy(vm->name, v3_vm_name(vm->vm), sizeof(vm->name));
	for (n = 2; vms_named(vm->name); n++)
		snprintf(vm->name, sizeof(vm->name), "%s-%u", v3_vm_name(vm->vm), n);
	return 0;
}

static int vms_add(struct lnx_vm *vm, const char *name, bool persistent)
{
	int err;

	mutex_lock(&vms_lock);
	err = vms_choose_name(vm, name);
	if (!err) {
		v3_vm_set_name(vm->vm, vm->name);
		vm->id = ++vms_last_id;
		vm->persistent = persistent;
		if (persistent) {
			kref_get(&vm->ref);
			__module_get(THIS_MODULE);
		}
		list_add_tail(&vm->list, &vms_list);
		vms_count++;
		lnx_debugfs_add(vm);
	}
	mutex_unlock(&vms_lock);
	return err;
}

static void vms_free(struct lnx_vm *vm)
{
	v3_vm_destroy(vm->vm);
	mutex_destroy(&vm->streams_lock);
	lnx_files_put(vm->files);
	kvfree(vm->image);
	kfree(vm);
}

static struct lnx_vm *vms_alloc(void *image, struct lnx_files *files)
{
	struct lnx_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);

	if (!vm) {
		lnx_files_put(files);
		kvfree(image);
		return NULL;
	}
	kref_init(&vm->ref);
	INIT_LIST_HEAD(&vm->list);
	INIT_LIST_HEAD(&vm->streams);
	mutex_init(&vm->streams_lock);
	vm->image = image;
	vm->files = files;
	vm->owner = current_uid();
	vm->created = ktime_get_real_seconds();
	return vm;
}

/* No CPU may go between the choice of CPUs for the vcpus and the entry in the list: then nobody would move them. */
static int vms_make(struct lnx_vm *vm, size_t size, const char *name, bool persistent)
{
	bool put = false;
	int err;

	cpus_read_lock();
	err = lnx_cpus_get();
	if (!err) {
		err = v3_vm_create(vm->image, size, vm, &vm->vm);
		if (!err)
			err = vms_add(vm, name, persistent);
		put = err;
	}
	cpus_read_unlock();
	if (err)
		vms_free(vm);
	if (put)
		lnx_cpus_put();
	return err;
}

struct lnx_vm *lnx_vm_make(void *image, size_t size, struct lnx_files *files, const char *name,
			   bool persistent)
{
	struct lnx_vm *vm = vms_alloc(image, files);
	int err;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	err = vms_make(vm, size, name, persistent);
	return err ? ERR_PTR(err) : vm;
}

/* @return whether it was in the list; persistent: whether its name had a reference */
static bool vms_remove(struct lnx_vm *vm, bool *persistent)
{
	bool listed;

	mutex_lock(&vms_lock);
	listed = !list_empty(&vm->list);
	*persistent = vm->persistent;
	vm->persistent = false;
	if (listed) {
		list_del_init(&vm->list);
		vms_count--;
		lnx_debugfs_remove(vm);
	}
	mutex_unlock(&vms_lock);
	return listed;
}

static void vms_release(struct kref *ref)
{
	struct lnx_vm *vm = container_of(ref, struct lnx_vm, ref);
	bool persistent;

	vms_remove(vm, &persistent);
	vms_free(vm);
	lnx_cpus_put();
}

void lnx_vm_put(struct lnx_vm *vm)
{
	kref_put(&vm->ref, vms_release);
}

int lnx_vm_unlist(struct lnx_vm *vm)
{
	bool persistent;

	if (!vms_remove(vm, &persistent))
		return -ENOENT;
	if (persistent) {
		lnx_vm_put(vm);
		module_put(THIS_MODULE); /* the caller's descriptor holds another reference */
	}
	return 0;
}

/* In the list it may be on its way out: the last reference is gone, and vms_release() waits for our lock. */
static struct lnx_vm *vms_get(struct lnx_vm *vm)
{
	return vm && kref_get_unless_zero(&vm->ref) ? vm : NULL;
}

struct lnx_vm *lnx_vm_find(const char *name)
{
	struct lnx_vm *vm;

	mutex_lock(&vms_lock);
	vm = vms_get(vms_named(name));
	mutex_unlock(&vms_lock);
	return vm;
}

struct lnx_vm *lnx_vm_next(u64 id)
{
	struct lnx_vm *vm, *found = NULL;

	mutex_lock(&vms_lock);
	list_for_each_entry(vm, &vms_list, list)
	{
		if (vm->id <= id)
			continue;
		found = vms_get(vm);
		if (found)
			break;
	}
	mutex_unlock(&vms_lock);
	return found;
}

unsigned int lnx_vm_count(void)
{
	return READ_ONCE(vms_count);
}

int lnx_vm_for_each(int (*fn)(struct lnx_vm *vm, void *arg), void *arg)
{
	struct lnx_vm *vm;
	int err = 0;

	mutex_lock(&vms_lock);
	list_for_each_entry(vm, &vms_list, list)
	{
		err = fn(vm, arg);
		if (err)
			break;
	}
	mutex_unlock(&vms_lock);
	return err;
}
