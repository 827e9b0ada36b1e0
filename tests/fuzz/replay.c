/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file replay.c
 * In libFuzzer's place: runs a harness once for each file named on the command line. make coverage compiles the
 * harnesses with gcc and this.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

static int replay_file(const char *name)
{
	FILE *f = fopen(name, "rb");
	static uint8_t data[1 << 20];
	uint8_t *copy;
	size_t size;

	if (!f) {
		perror(name);
		return 1;
	}
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	copy = malloc(size ? size : 1); /* so that a sanitizer sees the end */
	if (!copy)
		return 1;
	for (size_t i = 0; i < size; i++)
		copy[i] = data[i];
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return 0;
}

int main(int argc, char **argv)
{
	int failed = 0;

	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		failed |= replay_file(argv[i]);
	return failed;
}
