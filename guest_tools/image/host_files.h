/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file host_files.h
 * Which files and interfaces of the host a packed guest will use in place; see host_files.c.
 */
#ifndef GUEST_TOOLS_IMAGE_HOST_FILES_H
#define GUEST_TOOLS_IMAGE_HOST_FILES_H

#include <stdbool.h>
#include <stddef.h>

/** @p write: the file will be written; @p interface: it is no file, but an interface of the host's network. */
typedef int (*v3_host_file_fn)(const char *name, bool write, bool interface, void *priv);

/**
 * Call @p fn for each file and interface of the host that the definition in a container names, until it returns something else than
 * 0. A container that is none, or whose definition is wrong, names no files.
 * @return what @p fn returned last, 0
 */
int v3_host_files_each(const void *image, size_t size, v3_host_file_fn fn, void *priv);

#endif
