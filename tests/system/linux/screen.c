/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file screen.c
 * screen IMAGE: what PALACIOS_VM_SCREEN tells and refuses of the micro guest vga, once it has drawn and stopped. For tests/system/linux_v3.t. Exit status 0: all as it should be; else each difference is a line of output.
 */
#include "../../../linux_module/uapi/palacios.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WIDTH	    320u
#define HEIGHT	    200u
#define BAD_POINTER ((void *)16)

static int failed;

/* @got: result of a call, with errno; @want: 0 or the errno expected */
static void expect(const char *what, int got, int want)
{
	int err = got < 0 ? errno : 0;

	if (err == want)
		return;
	printf("screen: %s: %s, expected %s\n", what, strerror(err), strerror(want));
	failed = 1;
}

static int make_vm(const char *path)
{
	int device = open(PALACIOS_DEVICE, O_RDWR), image = open(path, O_RDONLY);
	struct palacios_create c = {.size = 0};
	struct stat st;

	if (device < 0 || image < 0 || fstat(image, &st))
		return -1;
	c.size = (uint64_t)st.st_size;
	c.image = (uintptr_t)mmap(NULL, c.size, PROT_READ, MAP_PRIVATE, image, 0);
	return ioctl(device, PALACIOS_CREATE, &c);
}

/* One row with these fields into @p buffer. */
static int row(int vm, uint32_t width, uint32_t height, uint32_t first, uint32_t rows, void *buffer)
{
	struct palacios_screen s = {.width = width,
				    .height = height,
				    .first = first,
				    .rows = rows,
				    .buffer = (uintptr_t)buffer};

	return ioctl(vm, PALACIOS_VM_SCREEN, &s);
}

int main(int argc, char **argv)
{
	static unsigned char rgb[3 * WIDTH * 2 + 1];
	struct palacios_screen s = {.rows = 0};
	int vm = argc == 2 ? make_vm(argv[1]) : -1;
	struct pollfd ended = {.fd = vm, .events = 0};

	expect("create", vm, 0);
	expect("start", ioctl(vm, PALACIOS_VM_START), 0);
	expect("its end", poll(&ended, 1, 60000), 0);
	expect("size", ioctl(vm, PALACIOS_VM_SCREEN, &s), 0);
	if (s.width != WIDTH || s.height != HEIGHT) {
		printf("screen: %ux%u\n", s.width, s.height);
		failed = 1;
	}
	memset(rgb, 0x5a, sizeof(rgb));
	expect("rows", row(vm, WIDTH, HEIGHT, HEIGHT - 2, 2, rgb), 0);
	if (rgb[0] != 0xff || memcmp(rgb, rgb + 1, sizeof(rgb) - 2) ||
	    rgb[sizeof(rgb) - 1] != 0x5a) {
		printf("screen: not two white rows, or a byte more\n");
		failed = 1;
	}
	expect("another width", row(vm, WIDTH - 1, HEIGHT, 0, 1, rgb), EAGAIN);
	expect("no such width", row(vm, ~0u, HEIGHT, 0, 1, rgb), EAGAIN);
	expect("no width", row(vm, 0, HEIGHT, 0, 1, rgb), EAGAIN);
	expect("another height", row(vm, WIDTH, ~0u, 1000, 1, rgb), EAGAIN);
	expect("a row too many", row(vm, WIDTH, HEIGHT, HEIGHT - 1, 2, rgb), EINVAL);
	expect("rows that wrap", row(vm, WIDTH, HEIGHT, 2, ~0u, rgb), EINVAL);
	expect("first row too far down", row(vm, WIDTH, HEIGHT, HEIGHT, 1, rgb), EINVAL);
	expect("bad buffer", row(vm, WIDTH, HEIGHT, 0, 1, BAD_POINTER), EFAULT);
	expect("bad pointer", ioctl(vm, PALACIOS_VM_SCREEN, BAD_POINTER), EFAULT);
	s.reserved[1] = 1;
	expect("reserved", ioctl(vm, PALACIOS_VM_SCREEN, &s), EINVAL);
	return failed;
}
