/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file boot.c
 * Chooses the loader, finds the kernel in the container, and does what all loaders have in common.
 */
#include "boot/loader.h"

#include "config/vm_cfg.h"
#include "palacios/error.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/util/fmt.h"
#include "palacios/util/str.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "boot"

int v3_boot_fail(struct v3_boot_msg *msg, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	v3_vsnprintf(msg->text, sizeof(msg->text), fmt, ap);
	va_end(ap);
	return err;
}

uint16_t v3_boot_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t v3_boot_u32(const uint8_t *p)
{
	return v3_boot_u16(p) | (uint32_t)v3_boot_u16(p + 2) << 16;
}

uint64_t v3_boot_u64(const uint8_t *p)
{
	return v3_boot_u32(p) | (uint64_t)v3_boot_u32(p + 4) << 32;
}

static const struct v3_boot_loader *boot_choose(const struct v3_vm_cfg *cfg, const uint8_t *image,
						size_t len)
{
	static const struct v3_boot_loader *const loaders[] = {
		[V3_BOOT_LINUX] = &v3_linux_loader,
		[V3_BOOT_MULTIBOOT] = &v3_multiboot_loader,
		[V3_BOOT_PVH] = &v3_pvh_loader,
		[V3_BOOT_BIOS] = &v3_bios_loader,
	};

	if (cfg->boot == V3_BOOT_MULTIBOOT && v3_multiboot2_is(image, len))
		return &v3_multiboot2_loader;
	return loaders[cfg->boot];
}

int v3_boot_check(const struct v3_vm_cfg *cfg, const void *image, size_t len, char *message,
		  size_t message_size)
{
	struct v3_boot_msg msg = {.text = ""};
	int err = boot_choose(cfg, image, len)->check(image, len, &msg);

	v3_strlcpy(message, msg.text, message_size);
	return err;
}

int v3_boot_load(struct v3_vm *vm, struct v3_boot *b, const struct v3_vm_cfg *cfg)
{
	struct v3_boot_msg msg = {.text = ""};
	const void *image;
	size_t len = 0;
	int err;

	b->cfg = cfg;
	v3_boot_make_map(vm, b);
	image = v3_vm_file(vm, cfg->kernel, &len);
	if (!image) {
		err = v3_boot_fail(&msg, V3_ENOENT, "not in the container");
	} else {
		b->loader = boot_choose(cfg, image, len);
		err = b->loader->load(vm, b, image, len, &msg);
	}
	if (err) {
		V3_ERR(vm, "cannot boot %s: %s", cfg->kernel, msg.text);
		b->cfg = NULL;
	}
	return err;
}

void v3_boot_unload(struct v3_boot *b)
{
	v3_bios_free(b->bios);
	b->bios = NULL;
	b->cfg = NULL;
}

/*
 * The BIOS data area says how much RAM there is from 0 on: kernels look there, whatever the loader tells them, when they
 * need a piece of it (Xen, for the code that processors begin with). What of the kernel lies there comes later.
 */
static int boot_tell_base_memory(struct v3_vm *vm, const struct v3_boot *b)
{
	const uint16_t kib = V3_PC_LOW_RAM_END >> 10;

	if (b->cfg->platform != V3_PLATFORM_PC || !b->loader->setup)
		return V3_OK;
	return v3_mem_write(vm, V3_PC_BDA_BASE_KIB, &kib, sizeof(kib));
}

int v3_boot_setup(struct v3_vm *vm, struct v3_boot *b)
{
	const struct v3_boot_copy *copy;
	uint32_t i;
	int err;

	if (!b->cfg)
		return V3_OK;
	err = boot_tell_base_memory(vm, b);
	for (i = 0; !err && i < b->ncopies; i++) {
		copy = &b->copy[i];
		err = v3_mem_write(vm, copy->gpa, copy->src, copy->len);
		if (!err && copy->mem_len > copy->len)
			err = v3_mem_set(vm, copy->gpa + copy->len, 0, copy->mem_len - copy->len);
	}
	if (err || !b->loader->setup)
		return err;
	err = v3_acpi_setup(vm, b);
	return err ? err : b->loader->setup(vm, b);
}
