/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file file.c
 * Files and workers of the host (palacios/file.h) over its optional group: the handles are the host's own. Called by
 * the back ends of disks; calls the host.
 */
#include "palacios/file.h"

#include "host/host.h"
#include "palacios/error.h"
#include "palacios/log.h"

#define V3_LOG_TAG "file"

int v3_file_open(struct v3_vm *vm, const char *name, bool write, struct v3_file **out)
{
	const struct v3_host_file_ops *files = v3_host_files();
	void *file = NULL;
	int err;

	if (!files) {
		V3_ERR(vm, "%s: this host has no files for guests", name);
		return V3_ENOTSUP;
	}
	err = files->open(v3_vm_host_ctx(vm), name, write, &file);
	if (err) {
		V3_ERR(vm, "%s: cannot be opened%s: %s", name, write ? " to be written" : "",
		       v3_strerror(err));
		return err;
	}
	*out = file;
	return V3_OK;
}

void v3_file_close(struct v3_file *file)
{
	if (file)
		v3_host_files()->close(file);
}

uint64_t v3_file_size(struct v3_file *file)
{
	return v3_host_files()->size(file);
}

int v3_file_read(struct v3_file *file, uint64_t offset, void *buf, size_t len)
{
	return v3_host_files()->read(file, offset, buf, len);
}

int v3_file_write(struct v3_file *file, uint64_t offset, const void *buf, size_t len)
{
	return v3_host_files()->write(file, offset, buf, len);
}

int v3_file_zero(struct v3_file *file, uint64_t offset, uint64_t len)
{
	return v3_host_files()->zero(file, offset, len);
}

int v3_file_discard(struct v3_file *file, uint64_t offset, uint64_t len)
{
	return v3_host_files()->discard(file, offset, len);
}

int v3_file_flush(struct v3_file *file)
{
	return v3_host_files()->flush(file);
}

int v3_worker_create(void (*fn)(void *arg), void *arg, struct v3_worker **worker)
{
	const struct v3_host_file_ops *files = v3_host_files();

	if (!files)
		return V3_ENOTSUP;
	*worker = files->worker_create(fn, arg);
	return *worker ? V3_OK : V3_ENOMEM;
}

void v3_worker_wake(struct v3_worker *worker)
{
	v3_host_files()->worker_wake(worker);
}

void v3_worker_wait(struct v3_worker *worker)
{
	v3_host_files()->worker_wait(worker);
}

void v3_worker_destroy(struct v3_worker *worker)
{
	if (worker)
		v3_host_files()->worker_destroy(worker);
}
