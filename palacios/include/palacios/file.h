/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file file.h
 * Files of the host, and threads of the host that may wait for them (the optional group "file" of palacios/host.h).
 * For the back ends of disks.
 */
#ifndef PALACIOS_FILE_H
#define PALACIOS_FILE_H

#include "palacios/types.h"

struct v3_file;
struct v3_vm;
struct v3_worker;

/**
 * Open the file @p name of the definition. thread.
 * @return V3_OK; V3_ENOTSUP: the host has no files for guests; V3_ENOENT, V3_EPERM, V3_ENOMEM: as its open() says.
 *         The log has a line.
 */
int v3_file_open(struct v3_vm *vm, const char *name, bool write, struct v3_file **file);
/** thread. NULL is allowed. */
void v3_file_close(struct v3_file *file);
/* As the members of struct v3_host_file_ops. thread; the caller makes one call at a time. */
uint64_t v3_file_size(struct v3_file *file);
int v3_file_read(struct v3_file *file, uint64_t offset, void *buf, size_t len);
int v3_file_write(struct v3_file *file, uint64_t offset, const void *buf, size_t len);
int v3_file_zero(struct v3_file *file, uint64_t offset, uint64_t len);
int v3_file_discard(struct v3_file *file, uint64_t offset, uint64_t len);
int v3_file_flush(struct v3_file *file);

/** A thread of the host calls @p fn(arg) after v3_worker_wake(). thread. @return V3_OK, V3_ENOTSUP, V3_ENOMEM */
int v3_worker_create(void (*fn)(void *arg), void *arg, struct v3_worker **worker);
/** Have the function called; while it runs: once more. any. */
void v3_worker_wake(struct v3_worker *worker);
/** Wait until it is idle. thread. */
void v3_worker_wait(struct v3_worker *worker);
/** Wait, and free it. thread. NULL is allowed. */
void v3_worker_destroy(struct v3_worker *worker);

#endif
