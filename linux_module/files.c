// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file files.c
 * Descriptors that came with the VM, each under the name that the definition has for it, and on them the library's
 * optional group of files; tap.c has those that are interfaces. Nothing is opened by name here: what a file is and who
 * may write it was decided when the caller opened it. Workers are work items of one unbound workqueue.
 */
#include "glue.h"

#include <linux/err.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

struct lnx_file {
	char name[PALACIOS_FILE_NAME_SIZE];
	u32 kind;	   /* PALACIOS_FILE_* */
	struct file *file; /* owned */
};

struct lnx_files {
	u32 n;
	struct lnx_file file[];
};

struct files_worker {
	struct work_struct work;
	void (*fn)(void *arg);
	void *arg;
};

static struct workqueue_struct *files_queue;

int lnx_files_init(void)
{
	files_queue = alloc_workqueue("palacios", WQ_UNBOUND, 0);
	return files_queue ? 0 : -ENOMEM;
}

void lnx_files_exit(void)
{
	destroy_workqueue(files_queue);
}

/* ---- what comes with a VM ---- */

/* Files whose reads and writes are what a disk's are. O_APPEND would write elsewhere, O_DIRECT not everywhere. */
static bool files_usable(const struct file *file)
{
	umode_t mode = file_inode(file)->i_mode;

	return (S_ISREG(mode) || S_ISBLK(mode)) && (file->f_mode & FMODE_READ) &&
	       !(file->f_flags & (O_APPEND | O_DIRECT));
}

static int files_take(struct lnx_file *to, const struct palacios_file *from)
{
	if (memchr_inv(from->reserved, 0, sizeof(from->reserved)) || !from->name[0] ||
	    from->kind > PALACIOS_FILE_TAP ||
	    strnlen(from->name, sizeof(from->name)) == sizeof(from->name))
		return -EINVAL;
	memcpy(to->name, from->name, sizeof(to->name));
	to->kind = from->kind;
	to->file = fget(from->fd);
	if (!to->file)
		return -EBADF;
	if (to->kind == PALACIOS_FILE_TAP)
		return lnx_tap_usable(to->file) ? 0 : -EINVAL;
	return files_usable(to->file) ? 0 : -EINVAL;
}

struct lnx_files *lnx_files_get(const void __user *user, u32 n)
{
	struct palacios_file from;
	struct lnx_files *files;
	int err = 0;
	u32 i;

	files = kvzalloc(struct_size(files, file, n), GFP_KERNEL_ACCOUNT);
	if (!files)
		return ERR_PTR(-ENOMEM);
	files->n = n;
	for (i = 0; i < n && !err; i++) {
		if (copy_from_user(&from, user + i * sizeof(from), sizeof(from)))
			err = -EFAULT;
		else
			err = files_take(&files->file[i], &from);
	}
	if (!err)
		return files;
	lnx_files_put(files);
	return ERR_PTR(err);
}

void lnx_files_put(struct lnx_files *files)
{
	u32 i;

	for (i = 0; files && i < files->n; i++) {
		if (files->file[i].file)
			fput(files->file[i].file);
	}
	kvfree(files);
}

struct file *lnx_files_find(const struct lnx_files *files, const char *name, u32 kind)
{
	u32 i;

	for (i = 0; files && i < files->n; i++)
		if (files->file[i].kind == kind && !strcmp(files->file[i].name, name))
			return files->file[i].file;
	return NULL;
}

/* ---- files ---- */

static int files_open(void *host_ctx, const char *name, bool write, void **file)
{
	struct lnx_vm *vm = host_ctx;
	struct file *f = lnx_files_find(vm->files, name, PALACIOS_FILE_DISK);

	if (!f)
		return -ENOENT;
	if (write && !(f->f_mode & FMODE_WRITE))
		return -EPERM;
	*file = f;
	return 0;
}

/* The VM keeps it. */
static void files_close(void *file)
{
}

static uint64_t files_size(void *arg)
{
	struct file *file = arg;

	return i_size_read(file->f_mapping->host);
}

static int files_read(void *arg, uint64_t offset, void *buf, size_t len)
{
	loff_t pos = offset;
	ssize_t n;

	while (len) {
		n = kernel_read(arg, buf, len, &pos);
		if (n < 0)
			return n;
		if (!n)
			break;
		buf += n;
		len -= n;
	}
	memset(buf, 0, len);
	return 0;
}

static int files_write(void *arg, uint64_t offset, const void *buf, size_t len)
{
	loff_t pos = offset;
	ssize_t n;

	while (len) {
		n = kernel_write(arg, buf, len, &pos);
		if (n <= 0)
			return n ? n : -EIO;
		buf += n;
		len -= n;
	}
	return 0;
}

static int files_zero(void *arg, uint64_t offset, uint64_t len)
{
	const void *zeros = page_address(ZERO_PAGE(0));
	int err = -EOPNOTSUPP;
	uint64_t n;

	if (!len)
		return 0;
	err = vfs_fallocate(arg, FALLOC_FL_ZERO_RANGE, offset, len);
	if (err != -EOPNOTSUPP)
		return err;
	for (err = 0; len && !err; len -= n, offset += n) {
		n = min_t(uint64_t, len, PAGE_SIZE);
		err = files_write(arg, offset, zeros, n);
		cond_resched();
	}
	return err;
}

/* A hint: a file system that has no holes keeps what is there. */
static int files_discard(void *arg, uint64_t offset, uint64_t len)
{
	int err = len ? vfs_fallocate(arg, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len)
		      : 0;

	return err == -EOPNOTSUPP ? 0 : err;
}

static int files_flush(void *arg)
{
	return vfs_fsync(arg, 1);
}

/* ---- workers ---- */

static void files_work(struct work_struct *work)
{
	struct files_worker *w = container_of(work, struct files_worker, work);

	w->fn(w->arg);
}

static void *files_worker_create(void (*fn)(void *arg), void *arg)
{
	struct files_worker *w = lnx_host_ops.alloc(sizeof(*w));

	if (!w)
		return NULL;
	INIT_WORK(&w->work, files_work);
	w->fn = fn;
	w->arg = arg;
	return w;
}

static void files_worker_wake(void *worker)
{
	struct files_worker *w = worker;

	queue_work(files_queue, &w->work);
}

static void files_worker_wait(void *worker)
{
	struct files_worker *w = worker;

	flush_work(&w->work);
}

static void files_worker_destroy(void *worker)
{
	files_worker_wait(worker);
	lnx_host_ops.free(worker);
}

const struct v3_host_file_ops lnx_file_ops = {
	.open = files_open,
	.close = files_close,
	.size = files_size,
	.read = files_read,
	.write = files_write,
	.zero = files_zero,
	.discard = files_discard,
	.flush = files_flush,
	.worker_create = files_worker_create,
	.worker_wake = files_worker_wake,
	.worker_wait = files_worker_wait,
	.worker_destroy = files_worker_destroy,
};
