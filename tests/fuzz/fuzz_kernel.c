/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz_kernel.c
 * Kernel files for libFuzzer: the first byte says which boot type, the rest is the file. It is refused with a
 * message, or loaded into the smallest VM.
 */
#include "fuzz.h"

#include "boot_vm.h"

#define TOML(type) "[vm]\nname='f'\nmemory='4M'\n[boot]\ntype='" type "'\nkernel='k'\n"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const definitions[] = {TOML("linux"), TOML("multiboot"), TOML("pvh")};
	char message[256] = "";
	int check, load;

	if (!size || !boot_vm_begin(definitions[data[0] % V3_ARRAY_SIZE(definitions)]))
		return 0;
	boot_vm_file("k", data + 1, size - 1);
	check = v3_boot_check(boot_vm_cfg, data + 1, size - 1, message, sizeof(message));
	load = v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg);
	/* What is refused without a VM is refused with one; each refusal has its line. */
	if ((check && (!load || !message[0])) || (load && !boot_vm_log[0]))
		abort();
	if (!load && v3_boot_setup(&boot_vm, &boot_state))
		abort();
	boot_vm_end();
	if (tap.failures)
		abort();
	return 0;
}
