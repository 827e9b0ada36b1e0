/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz.c
 * "fuzz IMAGE CALLS SEED": random calls on the descriptors of /dev/palacios: commands that exist and that do
 * not, arguments that are right, nearly right, random, NULL, unmapped or the kernel's. All it checks is that
 * each call returns and that the interface still works in the end; whether the kernel took harm is for its log.
 * Part of the initramfs of tests/system/linux.t.
 */
#include "../../../linux_module/uapi/palacios.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VM_CALLS       2000 /* then the VM is made anew */
#define KERNEL_ADDRESS 0xffff888000001000ull
#define EDGE_SIZE      65536

struct fuzz {
	uint64_t random;
	int device, vm, console;
	char *image; /* good container */
	size_t len;
	char *edge; /* EDGE_SIZE bytes, the page after them is unmapped */
	unsigned long good, refused;
};

/* xorshift64 */
static uint64_t fuzz_random(struct fuzz *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random;
}

static unsigned fuzz_below(struct fuzz *f, unsigned limit)
{
	return (unsigned)((fuzz_random(f) >> 16) % limit);
}

static void fuzz_die(const char *what)
{
	printf("fuzz: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int fuzz_create(const struct fuzz *f, const void *image, size_t len)
{
	struct palacios_create c;

	memset(&c, 0, sizeof(c));
	c.image = (uintptr_t)image;
	c.size = len;
	return ioctl(f->device, PALACIOS_CREATE, &c);
}

static void fuzz_new_vm(struct fuzz *f)
{
	struct palacios_console c;

	memset(&c, 0, sizeof(c));
	if (f->vm >= 0) {
		close(f->console);
		close(f->vm);
	}
	f->vm = fuzz_create(f, f->image, f->len);
	if (f->vm < 0)
		fuzz_die("create");
	f->console = ioctl(f->vm, PALACIOS_VM_CONSOLE, &c);
	if (f->console < 0 || fcntl(f->console, F_SETFL, O_RDWR | O_NONBLOCK))
		fuzz_die("console");
}

/* Some bytes of a good container changed, or its length. */
static void fuzz_container(struct fuzz *f)
{
	size_t len = fuzz_below(f, 4) ? f->len : fuzz_below(f, (unsigned)f->len) + 1;
	char *copy = malloc(f->len);
	unsigned i, n = fuzz_below(f, 4), near = fuzz_below(f, 2) ? 1024 : (unsigned)f->len;
	int vm;

	if (!copy)
		fuzz_die("malloc");
	memcpy(copy, f->image, f->len);
	for (i = 0; i < n; i++)
		copy[fuzz_below(f, near)] = (char)fuzz_random(f);
	vm = fuzz_create(f, copy, len);
	if (vm >= 0)
		close(vm);
	else
		f->refused++;
	f->good += vm >= 0;
	free(copy);
}

static unsigned long fuzz_command(struct fuzz *f)
{
	static const unsigned long known[] = {
		PALACIOS_VERSION,
		PALACIOS_CREATE,
		PALACIOS_VM_START,
		PALACIOS_VM_PAUSE,
		PALACIOS_VM_CONTINUE,
		PALACIOS_VM_RESET,
		PALACIOS_VM_STOP,
		PALACIOS_VM_INFO,
		PALACIOS_VM_STATS,
		PALACIOS_VM_CONSOLE,
		PALACIOS_OPEN,
		PALACIOS_LIST,
		PALACIOS_VM_DESTROY,
		PALACIOS_VM_VCPU,
		PALACIOS_VM_MOVE,
		PALACIOS_VM_READ_MEMORY,
		PALACIOS_VM_WRITE_MEMORY,
		PALACIOS_VM_DUMP,
		PALACIOS_VM_SCREEN,
		PALACIOS_VM_BALLOON,
	};

	if (fuzz_below(f, 4))
		return known[fuzz_below(f, sizeof(known) / sizeof(known[0]))];
	if (fuzz_below(f, 2))
		return _IOC(fuzz_below(f, 4), PALACIOS_IOC, fuzz_below(f, 256), fuzz_below(f, 300));
	return fuzz_random(f) & 0xffffffff;
}

/* Mostly small numbers and zeros, as only they get past the first checks. */
static void fuzz_fill(struct fuzz *f, char *to, size_t len)
{
	size_t i, n = fuzz_below(f, 6);

	memset(to, 0, len);
	for (i = 0; i < n; i++)
		to[fuzz_below(f, (unsigned)len)] =
			(char)(fuzz_below(f, 3) ? fuzz_below(f, 3) : fuzz_random(f));
}

static void *fuzz_argument(struct fuzz *f)
{
	size_t len = 256;

	switch (fuzz_below(f, 16)) {
	case 0:
		return NULL;
	case 1:
		return (void *)KERNEL_ADDRESS;
	case 2: /* the structure runs into the hole */
		return f->edge + EDGE_SIZE - fuzz_below(f, 128);
	case 3:
		return (void *)fuzz_random(f);
	default:
		fuzz_fill(f, f->edge, len);
		return f->edge;
	}
}

static void fuzz_ioctl(struct fuzz *f)
{
	int fds[] = {f->vm, f->vm, f->vm, f->device, f->console};
	int fd = fds[fuzz_below(f, 5)], result;
	unsigned long cmd = fuzz_command(f);

	result = ioctl(fd, cmd, fuzz_argument(f));
	f->good += result >= 0;
	f->refused += result < 0;
	if (result > 2) /* a descriptor */
		close(result);
}

static void fuzz_stream(struct fuzz *f)
{
	size_t len = fuzz_below(f, EDGE_SIZE + 8192);
	char *at = fuzz_below(f, 8) ? f->edge : (char *)fuzz_argument(f);
	ssize_t n = fuzz_below(f, 2) ? read(f->console, at, len) : write(f->console, at, len);

	f->good += n >= 0;
	f->refused += n < 0;
}

static void fuzz_load(struct fuzz *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *image;

	if (fd < 0 || fstat(fd, &st))
		fuzz_die(path);
	image = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (image == MAP_FAILED)
		fuzz_die(path);
	f->image = image;
	f->len = (size_t)st.st_size;
	close(fd);
}

int main(int argc, char **argv)
{
	struct fuzz f = {.vm = -1, .console = -1};
	struct palacios_info info;
	unsigned long i, calls;

	if (argc != 4) {
		fputs("usage: fuzz IMAGE CALLS SEED\n", stderr);
		return 2;
	}
	calls = strtoul(argv[2], NULL, 0);
	f.random = strtoull(argv[3], NULL, 0) | 1;
	f.device = open(PALACIOS_DEVICE, O_RDWR | O_CLOEXEC);
	if (f.device < 0)
		fuzz_die(PALACIOS_DEVICE);
	fuzz_load(&f, argv[1]);
	f.edge = mmap(NULL, EDGE_SIZE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (f.edge == MAP_FAILED || munmap(f.edge + EDGE_SIZE, 4096))
		fuzz_die("mmap");
	for (i = 0; i < calls; i++) {
		if (i % VM_CALLS == 0)
			fuzz_new_vm(&f);
		if (i % 256 == 255)
			fuzz_container(&f);
		else if (fuzz_below(&f, 8))
			fuzz_ioctl(&f);
		else
			fuzz_stream(&f);
	}
	fuzz_new_vm(&f);
	memset(&info, 0, sizeof(info));
	if (ioctl(f.vm, PALACIOS_VM_INFO, &info) || info.state != PALACIOS_STATE_READY)
		fuzz_die("the VM made last");
	printf("fuzz: %lu calls, %lu accepted, %lu refused\n", calls, f.good, f.refused);
	return 0;
}
