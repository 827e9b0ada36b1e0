/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file glue.h
 * What the files of the module share. hooks.c serves the library, with memory from pool.c if there is any;
 * console.c its byte streams; vm_dev.c and ioctl.c serve user space; main.c brings them up and down.
 */
#ifndef LNX_GLUE_H
#define LNX_GLUE_H

#include "uapi/palacios.h"

#include "palacios/palacios.h"

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

/** One VM, as long as its descriptor is open. */
struct lnx_vm {
	struct v3_vm *vm; /* owned */
	void *image; /* owned: the container, which the library reads until the VM is destroyed */
	char name[PALACIOS_NAME_SIZE];
	kuid_t owner;
	time64_t created;
	u64 seen; /* what VM_INFO told last: lnx_vm_summary(); READ_ONCE, WRITE_ONCE */
	struct mutex streams_lock; /* guards streams */
	struct list_head streams;  /* struct lnx_stream: owned by their ports and readers */
};

/* ---- hooks.c ---- */
extern const struct v3_host_ops lnx_host_ops;
/** Woken when the state of any VM may have changed. */
extern wait_queue_head_t lnx_state_wait;
/**
 * Fix the number of CPUs that can run guests: those that are online, from 0 to the first that is not.
 * thread, CPU hotplug held off. @return 0, -ENOMEM.
 */
int lnx_hooks_init(void);
/** No function of lnx_host_ops may be called any more. thread. */
void lnx_hooks_exit(void);
/** CPUs that can run guests. any. */
unsigned int lnx_cpu_count(void);

/* ---- pool.c ---- */
/** Reserve what the parameter mem_pool asks for. thread. @return 0; -EINVAL, -ENOMEM: the log has a sentence. */
int lnx_pool_init(void);
/** Give all of it back to the host. No VM is left. thread. */
void lnx_pool_exit(void);
/** Bytes reserved; bytes of these that are in no VM. any. */
u64 lnx_pool_size(void);
u64 lnx_pool_free(void);
/**
 * Guest RAM from the pool, in multiples of 2 MiB. Arguments as those of ram_alloc() of struct v3_host_ops; with a
 * node only memory of that node. thread. @return V3_HPA_NONE: not from here
 */
v3_hpa_t lnx_pool_take(uint64_t npages, uint64_t align, int node);
/** The reverse. thread. @return false: the memory is not from the pool, and nothing was done */
bool lnx_pool_give_back(v3_hpa_t pa, uint64_t npages);

/* ---- trace.c ---- */
extern const struct v3_host_trace_ops lnx_trace_ops;
/** Tracepoints may have been switched on before v3_init(): right after it. thread. */
void lnx_trace_init(void);

/* ---- console.c ---- */
extern const struct v3_host_console_ops lnx_console_ops;
/**
 * Make a descriptor for the stream @p name of @p vm; "": the first one. thread.
 * @return descriptor, -ENOENT, -ENOMEM, -EMFILE
 */
int lnx_console_attach(struct lnx_vm *vm, const char *name);

/* ---- vm_dev.c ---- */
/**
 * Make a VM and its descriptor. thread.
 *
 * @param image  container in kernel memory from kvmalloc(); ownership passes, also on failure
 * @param name   name to show; "": the one in the definition
 * @return descriptor, or a negative errno as struct palacios_create lists them
 */
int lnx_vm_make(void *image, size_t size, const char *name);
/** State, stop reason and status in one word that differs when one of them does. any. */
u64 lnx_vm_summary(const struct lnx_vm *vm, struct palacios_info *info);

/* ---- ioctl.c ---- */
long lnx_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long lnx_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif
