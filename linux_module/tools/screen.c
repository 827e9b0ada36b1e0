/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file screen.c
 * What a guest's display shows: written to a file as a picture (PPM, "Netpbm portable pixmap"), or drawn on the
 * terminal, two pixels a character.
 */
#include "v3.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SCREEN_TRIES   8  /* of a guest that changes its mode while we look */
#define SCREEN_COLUMNS 80 /* of a terminal that does not say */

struct picture {
	uint32_t width, height;
	unsigned char *rgb; /* owned */
};

/* @return false with errno set */
static bool screen_read(int vm, struct picture *pic)
{
	struct palacios_screen s;
	unsigned i;

	for (i = 0; i < SCREEN_TRIES; i++) {
		memset(&s, 0, sizeof(s));
		if (ioctl(vm, PALACIOS_VM_SCREEN, &s))
			return false;
		pic->width = s.width;
		pic->height = s.rows = s.height;
		pic->rgb = malloc((size_t)3 * s.width * s.height);
		if (!pic->rgb)
			return false;
		s.buffer = (uintptr_t)pic->rgb;
		if (!ioctl(vm, PALACIOS_VM_SCREEN, &s))
			return true;
		free(pic->rgb);
		if (errno != EAGAIN)
			return false;
	}
	return false;
}

/* @return false with errno set */
static bool screen_write(int fd, const struct picture *pic)
{
	char head[64];
	int n = snprintf(head, sizeof(head), "P6\n%u %u\n255\n", pic->width, pic->height);

	return v3_write_all(fd, head, (size_t)n) &&
	       v3_write_all(fd, pic->rgb, (size_t)3 * pic->width * pic->height);
}

static int screen_save(const char *path, const struct picture *pic)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	bool good;

	if (fd < 0) {
		v3_complain(errno == EEXIST ? "Name another file, or remove it first." : NULL,
			    "cannot make %s: %s", path, strerror(errno));
		return V3_EXIT_FILE;
	}
	good = screen_write(fd, pic);
	if (close(fd) || !good) {
		v3_complain(NULL, "cannot write %s: %s", path, strerror(errno));
		unlink(path);
		return V3_EXIT_FILE;
	}
	return V3_EXIT_GOOD;
}

/* The average color of the pixels [x, x1) of the rows [y, y1), at least one of each. */
static void screen_cell(const struct picture *pic, uint32_t x, uint32_t x1, uint32_t y, uint32_t y1,
			unsigned out[3])
{
	uint64_t sum[3] = {0, 0, 0}, n = 0;
	uint32_t i, k;

	x1 = x1 > x ? x1 : x + 1;
	y1 = y1 > y ? y1 : y + 1;
	for (k = y; k < y1 && k < pic->height; k++) {
		for (i = x; i < x1 && i < pic->width; i++, n++) {
			const unsigned char *p = pic->rgb + 3 * ((size_t)k * pic->width + i);

			sum[0] += p[0];
			sum[1] += p[1];
			sum[2] += p[2];
		}
	}
	for (i = 0; i < 3; i++)
		out[i] = n ? (unsigned)(sum[i] / n) : 0;
}

static unsigned screen_columns(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	return SCREEN_COLUMNS;
}

/* Upper half blocks: the upper pixel is the foreground, the lower one the background. */
static void screen_draw(const struct picture *pic)
{
	const uint64_t width = pic->width,
		       columns = screen_columns() < width ? screen_columns() : width;
	const uint64_t rows = (pic->height * columns + width - 1) / width; /* square pixels */
	uint64_t x, y;

	for (y = 0; y < rows; y += 2) {
		for (x = 0; x < columns; x++) {
			const uint32_t from = (uint32_t)(x * width / columns);
			const uint32_t to = (uint32_t)((x + 1) * width / columns);
			unsigned up[3], down[3];

			screen_cell(pic, from, to, (uint32_t)(y * pic->height / rows),
				    (uint32_t)((y + 1) * pic->height / rows), up);
			screen_cell(pic, from, to, (uint32_t)((y + 1) * pic->height / rows),
				    (uint32_t)((y + 2) * pic->height / rows), down);
			printf("\033[38;2;%u;%u;%u;48;2;%u;%u;%um\xe2\x96\x80", up[0], up[1], up[2],
			       down[0], down[1], down[2]);
		}
		puts("\033[0m");
	}
}

static int screen_show(const char *name, const char *path, const struct picture *pic)
{
	int result = path ? screen_save(path, pic) : V3_EXIT_GOOD;

	if (result != V3_EXIT_GOOD)
		return result;
	if (v3_opt.json) {
		v3_json_open(NULL, '{');
		v3_json_text("name", name);
		v3_json_number("width", pic->width);
		v3_json_number("height", pic->height);
		if (path)
			v3_json_text("file", path);
		v3_json_close();
	} else if (!path && isatty(STDOUT_FILENO)) {
		screen_draw(pic);
	} else if (!path && !screen_write(STDOUT_FILENO, pic)) {
		v3_complain(NULL, "standard output: %s", strerror(errno));
		return V3_EXIT_FILE;
	}
	return V3_EXIT_GOOD;
}

int v3_screenshot(char **args)
{
	struct picture pic;
	int vm, result = V3_EXIT_NO;

	vm = v3_vm_open(args[0]);
	if (vm < 0)
		return -vm;
	if (screen_read(vm, &pic)) {
		result = screen_show(args[0], args[1], &pic);
		free(pic.rgb);
	} else if (errno == ENODEV) {
		v3_complain("Give it one: [[device]] class = \"vga\", see guest.toml(5).",
			    "%s has no display", args[0]);
	} else {
		v3_complain(NULL, "cannot see the display of %s: %s", args[0], strerror(errno));
	}
	close(vm);
	return result;
}
