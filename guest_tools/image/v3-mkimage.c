/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file v3-mkimage.c
 * Checks a guest definition and packs it, with the files it names, into one image container. The
 * parser, the schema of every device class and the container reader are the library's own, linked
 * in: what this tool passes, the library takes. Manual: v3-mkimage.1, guest.toml.5.
 */
#include "boot/boot.h"
#include "config/container.h"
#include "config/vm_cfg.h"
#include "palacios/error.h"
#include "palacios/palacios.h"
#include "palacios/util/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_GOOD = 0, EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_FILE = 3 };

#define PROGRESS_FROM (64ull << 20) /* bytes; a smaller image is done before one could read it */
#define CHUNK	      (1u << 20)

/* The library's memory comes from its host; here the C library is the host. The linker replaces calls
 * of v3_alloc() and v3_free() by calls of these (--wrap). */
void *__wrap_v3_alloc(size_t size);
void __wrap_v3_free(void *p);

void *__wrap_v3_alloc(size_t size)
{
	return calloc(1, size);
}

void __wrap_v3_free(void *p)
{
	free(p);
}

struct options {
	const char *output;
	const char *extract; /* section name */
	bool check, list, json, quiet;
	const char *input;
};

/* A file that becomes a section. */
struct source {
	char *path;
	int fd;
	struct stat st;
};

struct job {
	const struct options *opt;
	struct v3_vm_cfg *cfg;
	char *text; /* definition */
	size_t text_len;
	uint32_t nsections;
	struct source sources[V3_CONTAINER_MAX_SECTIONS];
	struct v3_container_section sections[V3_CONTAINER_MAX_SECTIONS];
	uint64_t total, done; /* bytes, for the progress line */
	bool progress;
};

/* ---- messages ---- */

static void json_text(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			printf("\\u%04x", (unsigned char)*s);
		else
			putchar(*s);
	}
	putchar('"');
}

static void report(const struct options *opt, const char *file, uint32_t line, const char *message)
{
	if (opt->json) {
		printf("{\"error\": {\"file\": ");
		json_text(file);
		printf(", \"line\": %u, \"message\": ", line);
		json_text(message);
		printf("}}\n");
	}
	if (line)
		fprintf(stderr, "%s:%u: %s\n", file, line, message);
	else
		fprintf(stderr, "%s: %s\n", file, message);
}

__attribute__((format(printf, 3, 4))) static void fail(const struct options *opt, const char *file,
						       const char *fmt, ...)
{
	char message[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	report(opt, file, 0, message);
}

static void progress(struct job *job, uint64_t add)
{
	unsigned before = job->total ? (unsigned)(job->done * 100 / job->total) : 0, now;

	job->done += add;
	now = job->total ? (unsigned)(job->done * 100 / job->total) : 100;
	if (job->progress && now != before)
		fprintf(stderr, "\rpacking %s: %3u %% of %llu MiB%s", job->opt->input, now,
			(unsigned long long)(job->total >> 20), now == 100 ? "\n" : "");
}

/* ---- reading ---- */

/* Whole file into memory. @return bytes, -1 with errno set; EFBIG beyond @p limit */
static ssize_t read_text(const char *path, char **out, size_t limit)
{
	char *buf = malloc(limit + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = -1;

	if (!buf || fd < 0)
		goto fail;
	do {
		n = read(fd, buf + len, limit + 1 - len);
		if (n < 0)
			goto fail;
		len += (size_t)n;
	} while (n && len <= limit);
	close(fd);
	*out = buf;
	return (ssize_t)len; /* limit + 1 if it is longer; the parser says so */

fail:
	if (fd >= 0)
		close(fd);
	free(buf);
	return -1;
}

/* Names in a definition are relative to its own folder. */
static char *beside(const char *definition, const char *name)
{
	const char *slash = strrchr(definition, '/');
	char *path;
	int n;

	if (*name == '/' || !slash)
		return strdup(name);
	n = asprintf(&path, "%.*s/%s", (int)(slash - definition), definition, name);
	return n < 0 ? NULL : path;
}

/* A file mapped for reading; an empty one gives a valid pointer. */
static const void *map_file(int fd, size_t len)
{
	const void *p;

	if (!len)
		return "";
	p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void unmap_file(const void *p, size_t len)
{
	if (p && len)
		munmap((void *)(uintptr_t)p, len);
}

/* ---- packing ---- */

static int load_definition(struct job *job)
{
	const struct options *opt = job->opt;
	struct v3_cfg_error err = {.line = 0};
	ssize_t len;
	int result;

	len = read_text(opt->input, &job->text, V3_VM_CFG_MAX_TEXT);
	if (len < 0) {
		fail(opt, opt->input, "%s", strerror(errno));
		return EXIT_FILE;
	}
	job->text_len = (size_t)len;
	result = v3_vm_cfg_parse(job->text, job->text_len, opt->input, v3_pc_devices, &job->cfg,
				 &err);
	if (result) {
		report(opt, err.file, err.line, err.message);
		return EXIT_WRONG;
	}
	return EXIT_GOOD;
}

static int open_source(struct job *job, uint32_t i, const char *name)
{
	struct v3_container_section *section = &job->sections[i];
	struct source *src = &job->sources[i];

	src->path = beside(job->opt->input, name);
	if (!src->path)
		return EXIT_FILE;
	src->fd = open(src->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
	if (src->fd < 0 || fstat(src->fd, &src->st) < 0) {
		fail(job->opt, src->path, "%s (named in %s)", strerror(errno), job->opt->input);
		return EXIT_FILE;
	}
	if (!S_ISREG(src->st.st_mode)) {
		fail(job->opt, src->path, "not a regular file (named in %s)", job->opt->input);
		return EXIT_FILE;
	}
	snprintf(section->name, sizeof(section->name), "%s", name);
	section->len = (uint64_t)src->st.st_size;
	return EXIT_GOOD;
}

/* Does the kernel look as the boot loader will want it? */
static int check_kernel(struct job *job)
{
	char message[200];
	const void *image;
	size_t len;
	uint32_t i;
	int err;

	for (i = 1; strcmp(job->sections[i].name, job->cfg->kernel); i++)
		;
	len = (size_t)job->sections[i].len;
	image = map_file(job->sources[i].fd, len);
	if (!image) {
		fail(job->opt, job->sources[i].path, "%s", strerror(errno));
		return EXIT_FILE;
	}
	err = v3_boot_check(job->cfg, image, len, message, sizeof(message));
	unmap_file(image, len);
	if (err) {
		fail(job->opt, job->sources[i].path, "%s", message);
		return EXIT_WRONG;
	}
	return EXIT_GOOD;
}

static int open_sources(struct job *job)
{
	uint32_t i;
	int result;

	snprintf(job->sections[0].name, sizeof(job->sections[0].name), "%s",
		 V3_CONTAINER_DEFINITION);
	job->sections[0].len = job->text_len;
	job->nsections = 1;
	for (i = 0; i < job->cfg->nfiles; i++) {
		result = open_source(job, job->nsections++, job->cfg->files[i]);
		if (result)
			return result;
	}
	return check_kernel(job);
}

static bool write_all(int fd, const void *buf, size_t len, uint64_t offset)
{
	const char *p = buf;
	ssize_t n;

	while (len) {
		n = pwrite(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return true;
}

/* Copy one file to its place and take its checksum on the way. */
static int pack_section(struct job *job, uint32_t i, int out, char *chunk)
{
	struct v3_container_section *section = &job->sections[i];
	struct source *src = &job->sources[i];
	struct v3_sha256 sha;
	uint64_t pos = 0;
	ssize_t n;

	v3_sha256_init(&sha);
	while ((n = read(src->fd, chunk, CHUNK)) != 0) {
		if (n < 0) {
			fail(job->opt, src->path, "%s", strerror(errno));
			return EXIT_FILE;
		}
		if ((uint64_t)n > section->len - pos)
			break;
		v3_sha256_update(&sha, chunk, (size_t)n);
		if (!write_all(out, chunk, (size_t)n, section->offset + pos)) {
			fail(job->opt, job->opt->output, "%s", strerror(errno));
			return EXIT_FILE;
		}
		pos += (uint64_t)n;
		progress(job, (uint64_t)n);
	}
	if (n || pos != section->len) {
		fail(job->opt, src->path, "changed its length while it was read");
		return EXIT_FILE;
	}
	v3_sha256_final(&sha, section->sha256);
	return EXIT_GOOD;
}

static int pack_all(struct job *job, int out)
{
	size_t table = job->nsections * sizeof(job->sections[0]);
	struct v3_container_header hdr;
	char *chunk = malloc(CHUNK);
	int result = EXIT_GOOD;
	uint32_t i;

	if (!chunk)
		return EXIT_FILE;
	v3_sha256(job->text, job->text_len, job->sections[0].sha256);
	for (i = 1; i < job->nsections && !result; i++)
		result = pack_section(job, i, out, chunk);
	free(chunk);
	if (result)
		return result;
	v3_container_seal(&hdr, job->sections, job->nsections, job->total);
	if (!write_all(out, job->text, job->text_len, job->sections[0].offset) ||
	    !write_all(out, &hdr, sizeof(hdr), 0) ||
	    !write_all(out, job->sections, table, sizeof(hdr)) ||
	    ftruncate(out, (off_t)job->total)) {
		fail(job->opt, job->opt->output, "%s", strerror(errno));
		return EXIT_FILE;
	}
	progress(job, job->total - job->done);
	return EXIT_GOOD;
}

/* The output must not be one of the files it is made of. */
static bool output_is_input(struct job *job)
{
	struct stat out, in;
	uint32_t i;

	if (stat(job->opt->output, &out))
		return false;
	if (!stat(job->opt->input, &in) && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
		return true;
	for (i = 1; i < job->nsections; i++) {
		if (job->sources[i].st.st_dev == out.st_dev &&
		    job->sources[i].st.st_ino == out.st_ino)
			return true;
	}
	return false;
}

/* Written under another name first, so that a failure leaves no half image and keeps an old one. */
static int pack(struct job *job)
{
	const char *output = job->opt->output;
	int fd, result = EXIT_FILE;
	mode_t mask;
	char *tmp;

	if (output_is_input(job)) {
		fail(job->opt, output, "is one of the files to pack");
		return EXIT_USAGE;
	}
	if (asprintf(&tmp, "%s.XXXXXX", output) < 0)
		return EXIT_FILE;
	fd = mkstemp(tmp);
	if (fd < 0) {
		fail(job->opt, output, "%s", strerror(errno));
		goto free_tmp;
	}
	mask = umask(0);
	umask(mask);
	job->total = v3_container_layout(job->sections, job->nsections);
	job->progress =
		!job->opt->quiet && !job->opt->json && job->total >= PROGRESS_FROM && isatty(2);
	result = pack_all(job, fd);
	if (fchmod(fd, 0666 & ~mask) || close(fd) || (!result && rename(tmp, output))) {
		if (!result)
			fail(job->opt, output, "%s", strerror(errno));
		result = EXIT_FILE;
	}
	if (result)
		unlink(tmp);
free_tmp:
	free(tmp);
	return result;
}

static void print_section(const struct options *opt, const char *name, uint64_t offset,
			  uint64_t len, const uint8_t sha256[V3_SHA256_LEN], bool first)
{
	char hex[2 * V3_SHA256_LEN + 1];
	unsigned i;

	for (i = 0; i < V3_SHA256_LEN; i++)
		sprintf(hex + 2 * i, "%02x", sha256[i]);
	if (!opt->json) {
		printf("%s  %10llu  %s\n", hex, (unsigned long long)len, name);
		return;
	}
	printf("%s{\"name\": ", first ? "" : ", ");
	json_text(name);
	printf(", \"offset\": %llu, \"bytes\": %llu, \"sha256\": \"%s\"}",
	       (unsigned long long)offset, (unsigned long long)len, hex);
}

static void print_begin(const struct options *opt, const char *image, uint64_t bytes)
{
	if (!opt->json)
		return;
	printf("{\"image\": ");
	json_text(image);
	printf(", \"bytes\": %llu, \"sections\": [", (unsigned long long)bytes);
}

static int make(const struct options *opt)
{
	struct job *job = calloc(1, sizeof(*job));
	int result = EXIT_FILE;
	uint32_t i;

	if (!job)
		return EXIT_FILE;
	job->opt = opt;
	for (i = 0; i < V3_CONTAINER_MAX_SECTIONS; i++)
		job->sources[i].fd = -1;
	result = load_definition(job);
	if (!result)
		result = open_sources(job);
	if (!result && !opt->check)
		result = pack(job);
	if (!result && opt->json) {
		print_begin(opt, opt->check ? "" : opt->output, job->total);
		for (i = 0; !opt->check && i < job->nsections; i++)
			print_section(opt, job->sections[i].name, job->sections[i].offset,
				      job->sections[i].len, job->sections[i].sha256, i == 0);
		printf("]}\n");
	}
	for (i = 0; i < V3_CONTAINER_MAX_SECTIONS; i++) {
		if (job->sources[i].fd >= 0)
			close(job->sources[i].fd);
		free(job->sources[i].path);
	}
	v3_vm_cfg_free(job->cfg);
	free(job->text);
	free(job);
	return result;
}

/* ---- reading containers ---- */

static int list_sections(const struct options *opt, const struct v3_container *c, const void *img)
{
	uint8_t digest[V3_SHA256_LEN];
	const char *name;
	const void *data;
	size_t len;
	uint32_t i;

	print_begin(opt, opt->input, c->len);
	for (i = 0; (name = v3_container_section(c, i, &data, &len)) != NULL; i++) {
		v3_sha256(data, len, digest);
		print_section(opt, name, (uint64_t)((const char *)data - (const char *)img), len,
			      digest, i == 0);
	}
	if (opt->json)
		printf("]}\n");
	return EXIT_GOOD;
}

static int extract_section(const struct options *opt, const struct v3_container *c)
{
	const void *data;
	FILE *out = stdout;
	size_t len;
	bool good;

	data = v3_container_find(c, opt->extract, &len);
	if (!data) {
		fail(opt, opt->input, "no section %s (--list shows what there is)", opt->extract);
		return EXIT_WRONG;
	}
	if (opt->output)
		out = fopen(opt->output, "wb");
	good = out && fwrite(data, 1, len, out) == len && !fflush(out);
	if (!good)
		fail(opt, opt->output ? opt->output : "standard output", "%s", strerror(errno));
	if (out && out != stdout && fclose(out))
		good = false;
	return good ? EXIT_GOOD : EXIT_FILE;
}

static int look(const struct options *opt)
{
	int fd = open(opt->input, O_RDONLY | O_CLOEXEC), result = EXIT_FILE;
	struct v3_cfg_error err;
	struct v3_container c;
	const void *img = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !(img = map_file(fd, (size_t)st.st_size))) {
		fail(opt, opt->input, "%s", strerror(errno));
		goto close_fd;
	}
	if (v3_container_open(img, (size_t)st.st_size, &c, &err)) {
		report(opt, opt->input, 0, err.message);
		result = EXIT_WRONG;
		goto unmap;
	}
	result = opt->list ? list_sections(opt, &c, img) : extract_section(opt, &c);
unmap:
	unmap_file(img, (size_t)st.st_size);
close_fd:
	if (fd >= 0)
		close(fd);
	return result;
}

/* ---- command line ---- */

static void usage(FILE *out)
{
	fputs("usage: v3-mkimage [-q] [--json] -o IMAGE DEFINITION   check and pack\n"
	      "       v3-mkimage [--json] --check DEFINITION         check only\n"
	      "       v3-mkimage [--json] --list IMAGE               verify and show the sections\n"
	      "       v3-mkimage [-o FILE] --extract NAME IMAGE      write one section\n"
	      "Exit status: 0 good, 1 definition or image is wrong, 2 usage, 3 a file cannot be "
	      "read or written.\n"
	      "Manual: v3-mkimage(1), guest.toml(5)\n",
	      out);
}

static int parse_options(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{"output", required_argument, NULL, 'o'},  {"quiet", no_argument, NULL, 'q'},
		{"check", no_argument, NULL, 'c'},	   {"list", no_argument, NULL, 'l'},
		{"extract", required_argument, NULL, 'x'}, {"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},	   {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "o:qh", longs, NULL)) != -1) {
		switch (c) {
		case 'o':
			opt->output = optarg;
			break;
		case 'q':
			opt->quiet = true;
			break;
		case 'c':
			opt->check = true;
			break;
		case 'l':
			opt->list = true;
			break;
		case 'x':
			opt->extract = optarg;
			break;
		case 'j':
			opt->json = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_GOOD);
		default:
			return EXIT_USAGE;
		}
	}
	if (optind != argc - 1 || opt->check + opt->list + (opt->extract != NULL) > 1 ||
	    ((opt->check || opt->list) && opt->output) ||
	    (!opt->check && !opt->list && !opt->extract && !opt->output))
		return EXIT_USAGE;
	opt->input = argv[optind];
	return EXIT_GOOD;
}

int main(int argc, char **argv)
{
	struct options opt = {.output = NULL};
	int result;

	if (parse_options(argc, argv, &opt)) {
		usage(stderr);
		return EXIT_USAGE;
	}
	result = opt.list || opt.extract ? look(&opt) : make(&opt);
	if (fflush(stdout)) {
		fprintf(stderr, "v3-mkimage: standard output: %s\n", strerror(errno));
		return EXIT_FILE;
	}
	return result;
}
