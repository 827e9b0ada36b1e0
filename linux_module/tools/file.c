/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file file.c
 * From a path to a container in memory: definitions are packed on the fly by v3-mkimage's own code, which is linked
 * in under the name v3_mkimage_main (see build.mk), in a child process, since it was written as a program.
 */
#include "v3.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/** main() of guest_tools/image/v3-mkimage.c. */
int v3_mkimage_main(int argc, char **argv);

#define MKIMAGE_WRONG 1 /* its exit status: the definition or a file named in it is wrong */
#define PROGRESS_FROM                                                                              \
	(64ull << 20) /* bytes; a smaller image is there before one could read the line */
#define PROGRESS_STEP (8ull << 20)
#define PAGE	      4096

/* First bytes of a container, palacios/doc/config.md. */
static const char file_magic[8] = {'V', '3', 'I', 'M', 'A', 'G', 'E', 0x1a};
static const char file_which[] = "Give the path of a guest.toml or of an image made by v3-mkimage.";

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

/* @param errors  gets its standard error, -1: ours does */
static int file_pack_child(const char *path, char *out, int errors)
{
	char *args[] = {(char *)"v3-mkimage", (char *)"-o", out, (char *)path, NULL};

	if (errors >= 0)
		dup2(errors, 2);
	optind = 0; /* a new command line for getopt, too */
	return v3_mkimage_main(4, args);
}

/* What the child said, on to our standard error; @p last gets its last line. */
static void file_relay(int from, char *last, size_t size)
{
	FILE *f = fdopen(from, "r");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		fputs(line, stderr);
		line[strcspn(line, "\n")] = 0;
		snprintf(last, size, "%s", line);
	}
	if (f)
		fclose(f);
}

/* @param said  what it complained about, with --json: one object is to tell all. @return its status, -1 with errno */
static int file_pack_run(const char *path, char *out, char *said, size_t size)
{
	int ends[2] = {-1, -1}, status;
	pid_t pid;

	if (v3_opt.json && pipe2(ends, O_CLOEXEC))
		return -1;
	fflush(NULL);
	pid = fork();
	if (!pid)
		exit(file_pack_child(path, out, ends[1]));
	if (ends[1] >= 0) {
		close(ends[1]);
		if (pid > 0)
			file_relay(ends[0], said, size);
		else
			close(ends[0]);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Pack @p path into a file of which nothing stays but the descriptor. */
static int file_pack(const char *path, int *fd)
{
	const char *tmp = getenv("TMPDIR");
	char dir[256], out[sizeof(dir) + 8], said[512] = "";
	int status, result = V3_EXIT_FILE;

	snprintf(dir, sizeof(dir), "%.200s/v3-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		v3_complain("Make it writable, set TMPDIR, or pack with v3-mkimage and give me the "
			    "image.",
			    "cannot make a folder %s: %s", dir, strerror(errno));
		return V3_EXIT_FILE;
	}
	snprintf(out, sizeof(out), "%s/image", dir);
	status = file_pack_run(path, out, said, sizeof(said));
	if (status) {
		v3_complain(
			status == MKIMAGE_WRONG
				? "Correct that line; guest.toml(5) tells what each key takes."
				: "Check the file names in it, and the space for temporary files.",
			"%s could not be packed%s%s", path, *said ? ": " : "",
			status < 0 ? strerror(errno) : said);
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

/* Bring a large file into memory page by page, so that there is something to tell while a slow disk reads. */
static void file_read_ahead(const char *path, const volatile char *data, size_t size)
{
	size_t at;
	char text[16];

	if (size < PROGRESS_FROM || !isatty(2))
		return;
	v3_size_text(text, size);
	for (at = 0; at < size; at += PAGE) {
		(void)data[at];
		if (at % PROGRESS_STEP == 0)
			fprintf(stderr, "\rv3: reading %s: %3u %% of %s", path,
				(unsigned)(at * 100 / size), text);
	}
	fprintf(stderr, "\rv3: loading %s: %s          \n", path, text);
}

static int file_map(const char *path, int fd, struct v3_image *image)
{
	struct stat st;
	void *data = MAP_FAILED;

	if (!fstat(fd, &st))
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		v3_complain(NULL, "cannot read %s: %s", path, strerror(errno));
		return V3_EXIT_FILE;
	}
	image->data = data;
	image->size = (size_t)st.st_size;
	file_read_ahead(path, data, image->size);
	return V3_EXIT_GOOD;
}

int v3_image_open(const char *path, struct v3_image *image)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), result = V3_EXIT_GOOD;
	char head[sizeof(file_magic)];
	struct stat st;

	if (fd < 0) {
		v3_complain(errno == ENOENT ? file_which : NULL, "cannot open %s: %s", path,
			    strerror(errno));
		return V3_EXIT_FILE;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		v3_complain(file_which, "%s is not a regular file", path);
		close(fd);
		return V3_EXIT_FILE;
	}
	if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    memcmp(head, file_magic, sizeof(head))) {
		close(fd);
		result = file_pack(path, &fd);
		if (result)
			return result;
	}
	result = file_map(path, fd, image);
	close(fd);
	return result;
}

void v3_image_close(struct v3_image *image)
{
	munmap((void *)image->data, image->size);
}
