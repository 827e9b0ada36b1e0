/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz_container.c
 * Image containers for libFuzzer: the input is what an embedder hands to v3_vm_create(), and one byte more: if that is
 * odd, the checksums are made right first, for those who can compute them. The image is refused with a message or
 * gives a VM, and leaves nothing behind.
 */
#include "fuzz.h"

#include "config/container.h"
#include "fake_vm.h"
#include "palacios/palacios.h"
#include "palacios/util/sha256.h"
#include "tap.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fake_host_test_begin();
	if (fake_lib_init())
		abort();
	return 0;
}

static void seal(uint8_t *image, size_t size)
{
	struct v3_container_header *hdr = (struct v3_container_header *)image;
	struct v3_container_section *sec = (struct v3_container_section *)(hdr + 1);
	uint32_t n = hdr->nsections;

	if (!n || n > V3_CONTAINER_MAX_SECTIONS || sizeof(*hdr) + n * sizeof(*sec) > size)
		return;
	for (uint32_t i = 0; i < n; i++)
		if (sec[i].offset <= size && sec[i].len <= size - sec[i].offset)
			v3_sha256(image + sec[i].offset, sec[i].len, sec[i].sha256);
	v3_container_seal(hdr, sec, n, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned live = fake_host_live_all();
	uint8_t *image = malloc(size + 1);
	struct v3_vm *vm = NULL;

	if (!image)
		abort();
	fake_log_clear();
	size -= !!size;
	memcpy(image, data, size);
	if (size > sizeof(struct v3_container_header) && data[size] & 1)
		seal(image, size);
	if (v3_vm_create(image, size, NULL, &vm) == V3_OK)
		v3_vm_destroy(vm);
	else if (!fake_log_count(""))
		abort();
	free(image);
	if (fake_host_live_all() != live || tap.failures)
		abort();
	return 0;
}
