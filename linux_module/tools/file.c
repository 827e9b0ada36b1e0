/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file file.c
 * From a path to a container: definitions are packed on the fly by v3-mkimage's own code, which is linked
 * in under the name v3_mkimage_main (see build.mk), in a child process, since it was written as a program.
 */
#include "v3.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/** main() of guest_tools/image/v3-mkimage.c. */
int v3_mkimage_main(int argc, char **argv);

#define MKIMAGE_WRONG 1 /* its exit status: the definition or a file named in it is wrong */

/* First bytes of a container, palacios/doc/config.md. */
static const char file_magic[8] = {'V', '3', 'I', 'M', 'A', 'G', 'E', 0x1a};

bool v3_write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static int file_pack_child(const char *path, char *out)
{
	char *args[8];
	int n = 0;

	args[n++] = (char *)"v3-mkimage";
	if (v3_opt.json)
		args[n++] = (char *)"-q"; /* what "v3 run --json" prints is one object, not two */
	args[n++] = (char *)"-o";
	args[n++] = out;
	args[n++] = (char *)path;
	args[n] = NULL;
	optind = 0; /* a new command line for getopt, too */
	return v3_mkimage_main(n, args);
}

/* Pack @p path into a file of which nothing stays but the descriptor. */
static int file_pack(const char *path, int *fd)
{
	char dir[] = "/tmp/v3-XXXXXX", out[sizeof(dir) + 8];
	int status = 0, result = V3_EXIT_FILE;
	pid_t pid;

	if (!mkdtemp(dir)) {
		v3_complain("Make /tmp writable, or pack with v3-mkimage and give me the image.",
			    "cannot make a folder in /tmp: %s", strerror(errno));
		return V3_EXIT_FILE;
	}
	snprintf(out, sizeof(out), "%s/image", dir);
	pid = fork();
	if (!pid)
		exit(file_pack_child(path, out));
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		v3_complain(NULL, "cannot pack %s: %s", path, strerror(errno));
		goto remove_dir;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		v3_complain(WIFEXITED(status) && WEXITSTATUS(status) == MKIMAGE_WRONG
				    ? "Correct the line named above; guest.toml(5) tells what each "
				      "key takes."
				    : "Check the file names above and the space in /tmp.",
			    "%s could not be packed", path);
		goto remove_dir;
	}
	*fd = open(out, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		v3_complain(NULL, "cannot open the image made of %s: %s", path, strerror(errno));
	else
		result = V3_EXIT_GOOD;
	unlink(out);
remove_dir:
	rmdir(dir);
	return result;
}

int v3_open_image(const char *path, int *fd, size_t *len)
{
	char head[sizeof(file_magic)];
	struct stat st;
	int result;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0) {
		v3_complain(
			errno == ENOENT
				? "Give the path of a guest.toml or of an image made by v3-mkimage."
				: NULL,
			"cannot open %s: %s", path, strerror(errno));
		return V3_EXIT_FILE;
	}
	if (fstat(*fd, &st) || !S_ISREG(st.st_mode)) {
		v3_complain("Give the path of a guest.toml or of an image made by v3-mkimage.",
			    "%s is not a regular file", path);
		close(*fd);
		return V3_EXIT_FILE;
	}
	if (pread(*fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    memcmp(head, file_magic, sizeof(head))) {
		close(*fd);
		result = file_pack(path, fd);
		if (result)
			return result;
		if (fstat(*fd, &st)) {
			close(*fd);
			return V3_EXIT_FILE;
		}
	}
	*len = (size_t)st.st_size;
	return V3_EXIT_GOOD;
}
