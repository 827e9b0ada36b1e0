/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz_definition.c
 * The parser of guest definitions for libFuzzer: any text is refused with a message or gives a definition, and
 * leaves nothing behind.
 */
#include "config/vm_cfg.h"
#include "fake_vm.h"
#include "fuzz.h"
#include "tap.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fake_host_test_begin();
	fake_lib_install();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct v3_cfg_error err;
	struct v3_vm_cfg *cfg;

	if (v3_vm_cfg_parse((const char *)data, size, "input", v3_pc_devices, &cfg, &err) == V3_OK)
		v3_vm_cfg_free(cfg);
	else if (!err.message[0])
		abort();
	if (fake_host_live_all() || tap.failures)
		abort();
	return 0;
}
