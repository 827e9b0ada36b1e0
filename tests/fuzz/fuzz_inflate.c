/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz_inflate.c
 * DEFLATE data for libFuzzer: the first two bytes say how much is asked for, the rest is the data.
 */
#include "devices/block/inflate.h"
#include "fuzz.h"
#include "palacios/error.h"
#include "tap.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct v3_inflate work;
	size_t len;
	uint8_t *out;
	int err;

	if (size < 2)
		return 0;
	len = data[0] | (size_t)data[1] << 8;
	out = malloc(len);
	err = v3_inflate(&work, data + 2, size - 2, out, len);
	if (err != V3_OK && err != V3_EBADMSG)
		abort();
	free(out);
	return 0;
}
