/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file glue.h
 * What the files of the module share. hooks.c serves the library, with memory from pool.c if there is any; console.c its byte streams,
 * files.c its files, tap.c its way to the host's network; vms.c keeps the VMs;
 * vm_dev.c and ioctl.c serve user space, debugfs.c whoever debugs; cpus.c follows the host's CPUs; main.c brings them
 * up and down.
 */
#ifndef LNX_GLUE_H
#define LNX_GLUE_H

#include "uapi/palacios.h"

#include "palacios/palacios.h"

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

struct dentry;
struct lnx_files;

/** One VM. */
struct lnx_vm {
	struct kref ref;       /* each descriptor, and the name of a persistent one */
	struct list_head list; /* in the list of vms.c; empty: destroyed, or not there yet */
	u64 id;
	bool persistent;	 /* lock of vms.c */
	struct v3_vm *vm;	 /* owned */
	struct lnx_files *files; /* owned; NULL: none */
	void *image; /* owned: the container, which the library reads until the VM is destroyed */
	char name[PALACIOS_NAME_SIZE];
	kuid_t owner;
	time64_t created;
	struct dentry *debugfs;
	struct mutex streams_lock; /* guards streams */
	struct list_head streams;  /* struct lnx_stream: owned by their ports and readers */
};

/* ---- hooks.c ---- */
extern const struct v3_host_ops lnx_host_ops;
/** Woken when the state of any VM may have changed. */
extern wait_queue_head_t lnx_state_wait;
/** thread. @return 0, -ENOMEM. */
int lnx_hooks_init(void);
/** No function of lnx_host_ops may be called any more. thread. */
void lnx_hooks_exit(void);

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

/* ---- files.c ---- */
extern const struct v3_host_file_ops lnx_file_ops;
/** thread. @return 0, -ENOMEM */
int lnx_files_init(void);
/** No VM is left. thread. */
void lnx_files_exit(void);
/**
 * Take @p n files, an array of struct palacios_file at @p user, for a VM. thread.
 * @return files, or an error pointer: -EFAULT, -EINVAL, -EBADF, -ENOMEM
 */
struct lnx_files *lnx_files_get(const void __user *user, u32 n);
/** Give them back. thread. NULL is allowed. */
void lnx_files_put(struct lnx_files *files);
/** That of a name and PALACIOS_FILE_* kind, which lives as long as @p files (may be NULL); NULL: none. any. */
struct file *lnx_files_find(const struct lnx_files *files, const char *name, u32 kind);

/* ---- tap.c ---- */
extern const struct v3_host_packet_ops lnx_packet_ops;
/** Is it one of /dev/net/tun, to read and write? any. */
bool lnx_tap_usable(const struct file *file);

/* ---- cpus.c ---- */
/** Virtualization is on as long as somebody has it. thread, CPU hotplug held off. @return 0, -EBUSY, -EPERM, -ENODEV */
int lnx_cpus_get(void);
/** thread, CPU hotplug not held off. */
void lnx_cpus_put(void);
/** thread, CPU hotplug held off, after v3_init(). @return 0 or a negative errno */
int lnx_cpus_init(void);
/** thread, CPU hotplug not held off. */
void lnx_cpus_exit(void);

/* ---- vms.c ---- */
/**
 * Make a VM from a container. thread.
 *
 * @param image  container in kernel memory from kvmalloc(); ownership passes, also on failure
 * @param files  files of the host for it, or NULL; ownership passes, also on failure
 * @param name   its name; "": the one in the definition, made unique
 * @return VM with a reference for the caller, or an error pointer as struct palacios_create lists them
 */
struct lnx_vm *lnx_vm_make(void *image, size_t size, struct lnx_files *files, const char *name,
			   bool persistent);
/** Drop a reference; the last one frees the VM. thread. */
void lnx_vm_put(struct lnx_vm *vm);
/** Take its name away, so that nobody finds it any more. thread. @return 0; -ENOENT: it has none */
int lnx_vm_unlist(struct lnx_vm *vm);
/** The VM of that name with a reference for the caller; NULL. thread. */
struct lnx_vm *lnx_vm_find(const char *name);
/** The VM with the smallest id above @p id with a reference for the caller; NULL. thread. */
struct lnx_vm *lnx_vm_next(u64 id);
unsigned int lnx_vm_count(void);
/** Call @p fn for every VM that can be found, until one returns an error. thread. @return that error, 0 */
int lnx_vm_for_each(int (*fn)(struct lnx_vm *vm, void *arg), void *arg);

/* ---- vm_dev.c ---- */
/** A descriptor of @p vm, whose reference passes to it, also on failure. thread. @return descriptor, -EMFILE, -ENOMEM */
int lnx_vm_descriptor(struct lnx_vm *vm);
/** State, stop reason and status in one word that differs when one of them does. any. */
u64 lnx_vm_summary(const struct lnx_vm *vm, struct palacios_info *info);

/* ---- ioctl.c ---- */
/** What a VM descriptor keeps for itself. */
struct lnx_vm_file {
	struct lnx_vm *vm; /* reference owned */
	u64 seen;	   /* what VM_INFO told last: lnx_vm_summary(); READ_ONCE, WRITE_ONCE */
};
long lnx_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long lnx_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* ---- debugfs.c ---- */
void lnx_debugfs_init(void);
void lnx_debugfs_exit(void);
/** Failures only mean that there is less to see. thread. */
void lnx_debugfs_add(struct lnx_vm *vm);
/** On return nobody reads there any more. thread. */
void lnx_debugfs_remove(struct lnx_vm *vm);

#endif
