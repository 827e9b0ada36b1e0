/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file files.c
 * Files and network interfaces of the host that a guest uses in place: opened here, with the rights of whoever runs the
 * command, and handed to the module as descriptors. The module opens none by name. A lock on each file (flock) keeps two
 * VMs from writing it; it goes with the last descriptor, which is the VM's. Interfaces are tap.c's.
 */
#include "v3.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/** Of guest_tools/image/host_files.c, linked in: calls @p fn for each that a container's definition names. */
int v3_host_files_each(const void *image, size_t size,
		       int (*fn)(const char *name, bool write, bool interface, void *priv),
		       void *priv);

/* Where names are looked up, and what was opened. */
struct files_job {
	const char *beside; /* path of the definition or container */
	struct v3_files *files;
};

static int files_open_disk(const struct files_job *job, const char *name, bool write)
{
	struct v3_files *files = job->files;
	const char *slash = strrchr(job->beside, '/');
	int dir_len = *name != '/' && slash ? (int)(slash - job->beside) + 1 : 0;
	struct palacios_file *file = &files->file[files->n];
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%.*s%s", dir_len, job->beside, name);
	fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0) {
		v3_complain("Make it, or correct its name or its permissions.",
			    "cannot open %s, a disk of the guest: %s", path, strerror(errno));
		return V3_EXIT_FILE;
	}
	file->fd = fd;
	files->n++;
	if (!flock(fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB))
		return V3_EXIT_GOOD;
	v3_complain(
		"Stop what uses it (\"v3 list\" shows VMs), or give each guest a file of its own.",
		"%s is in use: %s", path, strerror(errno));
	return V3_EXIT_FILE;
}

static int files_open_one(const char *name, bool write, bool interface, void *priv)
{
	struct files_job *job = priv;
	struct v3_files *files = job->files;
	struct palacios_file *file = &files->file[files->n];

	memset(file, 0, sizeof(*file));
	snprintf(file->name, sizeof(file->name), "%s", name);
	if (!interface)
		return files_open_disk(job, name, write);
	file->kind = PALACIOS_FILE_TAP;
	file->fd = v3_tap_open(name);
	if (file->fd < 0)
		return -file->fd;
	files->n++;
	return V3_EXIT_GOOD;
}

int v3_files_open(const char *path, const struct v3_image *image, struct v3_files *files)
{
	struct files_job job = {.beside = path, .files = files};
	int result;

	memset(files, 0, sizeof(*files));
	result = v3_host_files_each(image->data, image->size, files_open_one, &job);
	if (result)
		v3_files_close(files);
	return result;
}

void v3_files_close(struct v3_files *files)
{
	while (files->n)
		close(files->file[--files->n].fd);
}
