/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file builder.c
 * Image container -> VM: definition, memory, vcpus, devices, extensions, boot image. One table of steps,
 * each with its undoing, so that create either succeeds fully or leaves nothing.
 */
#include "boot/boot.h"
#include "config/container.h"
#include "cpu/msr.h"
#include "host/host.h"
#include "palacios/util/str.h"
#include "state.h"
#include "vm/vm.h"

#define V3_LOG_TAG "vm"

/* What a VM was made from, kept for resets. */
struct v3_vm_parts {
	struct v3_container container; /* the image itself is the embedder's */
	struct v3_vm_cfg *cfg;	       /* owned */
	struct v3_boot boot;
};

static int builder_sync_init(struct v3_vm *vm)
{
	vm->wq = v3_host_wq_create();
	vm->lock = v3_host_mutex_create();
	return vm->wq && vm->lock ? V3_OK : V3_ENOMEM;
}

static void builder_sync_fini(struct v3_vm *vm)
{
	if (vm->lock)
		v3_host_mutex_destroy(vm->lock);
	if (vm->wq)
		v3_host_wq_destroy(vm->wq);
}

static void builder_complain(const struct v3_cfg_error *why)
{
	if (why->line)
		V3_ERR(NULL, "%s:%u: %s", why->file, why->line, why->message);
	else
		V3_ERR(NULL, "%s: %s", why->file, why->message);
}

static int builder_config(struct v3_vm *vm)
{
	struct v3_cfg_error why;
	size_t len;
	const char *text = v3_container_find(&vm->parts->container, V3_CONTAINER_DEFINITION, &len);
	int err;

	if (!text)
		return V3_EBADMSG;
	err = v3_vm_cfg_parse(text, len, V3_CONTAINER_DEFINITION, v3_lib.devices, &vm->parts->cfg,
			      &why);
	if (err != V3_OK) {
		builder_complain(&why);
		return err;
	}
	v3_strlcpy(vm->name, vm->parts->cfg->name, sizeof(vm->name));
	vm->nvcpus = vm->parts->cfg->vcpus;
	vm->topology = vm->parts->cfg->topology;
	vm->yield = (uint8_t)vm->parts->cfg->yield;
	vm->log_level = (uint8_t)vm->parts->cfg->log_level;
	return V3_OK;
}

static void builder_config_free(struct v3_vm *vm)
{
	v3_vm_cfg_free(vm->parts->cfg);
}

static int builder_memory(struct v3_vm *vm)
{
	int err = v3_io_init(&vm->io);

	if (err == V3_OK)
		err = v3_mem_init(vm);
	if (err == V3_OK)
		err = v3_mmu_init(vm);
	if (err == V3_OK)
		err = v3_platform_add_memory(vm, vm->parts->cfg);
	return err;
}

static void builder_memory_free(struct v3_vm *vm)
{
	v3_mmu_fini(vm);
	v3_mem_fini(vm);
	v3_io_fini(&vm->io);
}

static int builder_arch(struct v3_vm *vm)
{
	return vm->arch->vm_create(vm);
}

static void builder_arch_free(struct v3_vm *vm)
{
	if (vm->arch_vm)
		vm->arch->vm_destroy(vm);
}

static int builder_vcpus(struct v3_vm *vm)
{
	const struct v3_vm_cfg *cfg = vm->parts->cfg;
	uint32_t i;
	int err = v3_time_vm_init(vm, cfg->tsc_khz);

	for (i = 0; err == V3_OK && i < vm->nvcpus; i++) {
		err = v3_vcpu_create(vm, i, &vm->vcpu[i]);
		if (err == V3_OK)
			err = v3_vcpu_place(vm->vcpu[i], cfg->ncpus ? &cfg->cpus[i] : NULL);
	}
	return err == V3_OK ? v3_msr_vm_init(vm) : err;
}

static void builder_vcpus_free(struct v3_vm *vm)
{
	uint32_t i;

	for (i = 0; i < vm->nvcpus; i++)
		v3_vcpu_destroy(vm->vcpu[i]);
}

static int builder_device(struct v3_vm *vm, const struct v3_device_cfg *dc)
{
	struct v3_device *dev = &vm->device[vm->ndevices];
	int err;

	if (vm->ndevices == V3_MAX_DEVICES)
		return V3_ENOSPC;
	err = dc->class->create(vm, dc->cfg, &dev->state);
	if (err != V3_OK) {
		V3_ERR(vm, "device \"%s\": cannot be created: %s", dc->class->name,
		       v3_strerror(err));
		return err;
	}
	dev->cls = dc->class;
	vm->ndevices++;
	return V3_OK;
}

static int builder_devices(struct v3_vm *vm)
{
	uint32_t i;
	int err = V3_OK;

	for (i = 0; err == V3_OK && i < vm->parts->cfg->ndevices; i++)
		err = builder_device(vm, &vm->parts->cfg->devices[i]);
	return err;
}

static void builder_devices_free(struct v3_vm *vm)
{
	while (vm->ndevices) {
		struct v3_device *dev = &vm->device[--vm->ndevices];

		dev->cls->destroy(dev->state);
	}
}

static int builder_extensions(struct v3_vm *vm)
{
	const struct v3_extension *const *ext = v3_lib.extensions;
	uint32_t i;
	int err = V3_OK;

	for (i = 0; ext && ext[i] && err == V3_OK; i++) {
		if (i == V3_ARRAY_SIZE(vm->ext_state))
			return V3_ENOSPC;
		err = ext[i]->vm_create(vm, &vm->ext_state[i]);
		if (err == V3_OK)
			vm->nextensions++;
	}
	return err;
}

static void builder_extensions_free(struct v3_vm *vm)
{
	while (vm->nextensions) {
		vm->nextensions--;
		v3_lib.extensions[vm->nextensions]->vm_destroy(vm->ext_state[vm->nextensions]);
	}
}

static int builder_boot(struct v3_vm *vm)
{
	int err = v3_boot_load(vm, &vm->parts->boot, vm->parts->cfg);

	return err == V3_OK ? v3_vm_power_on(vm) : err;
}

static void builder_boot_free(struct v3_vm *vm)
{
	v3_boot_unload(&vm->parts->boot);
}

/* Undo functions cope with a step that failed half-way. */
static const struct builder_step {
	int (*make)(struct v3_vm *vm);
	void (*undo)(struct v3_vm *vm);
} builder_steps[] = {
	{builder_sync_init, builder_sync_fini},	       {builder_config, builder_config_free},
	{builder_memory, builder_memory_free},	       {builder_arch, builder_arch_free},
	{builder_vcpus, builder_vcpus_free},	       {builder_devices, builder_devices_free},
	{builder_extensions, builder_extensions_free}, {builder_boot, builder_boot_free},
};

static void builder_undo(struct v3_vm *vm, unsigned nsteps)
{
	while (nsteps--)
		builder_steps[nsteps].undo(vm);
}

static void builder_free(struct v3_vm *vm)
{
	v3_free(vm->parts);
	v3_free(vm);
}

static struct v3_vm *builder_alloc(const void *image, size_t len, void *host_ctx, int *err)
{
	struct v3_cfg_error why;
	struct v3_vm *vm = v3_alloc(sizeof(*vm));

	*err = V3_ENOMEM;
	if (!vm)
		return NULL;
	vm->host_ctx = host_ctx;
	vm->arch = v3_lib.arch;
	vm->log_level = V3_LOG_INFO;
	vm->parts = v3_alloc(sizeof(*vm->parts));
	if (vm->parts) {
		*err = v3_container_open(image, len, &vm->parts->container, &why);
		if (*err == V3_OK)
			return vm;
		builder_complain(&why);
	}
	builder_free(vm);
	return NULL;
}

int v3_vm_create(const void *image, size_t len, void *host_ctx, struct v3_vm **out)
{
	struct v3_vm *vm;
	unsigned i;
	int err;

	if (!v3_lib.arch || !image || !out)
		return V3_EINVAL;
	if (!v3_lib.enabled)
		return V3_ENODEV;
	vm = builder_alloc(image, len, host_ctx, &err);
	if (!vm)
		return err;
	for (i = 0; i < V3_ARRAY_SIZE(builder_steps); i++) {
		err = builder_steps[i].make(vm);
		if (err != V3_OK) {
			builder_undo(vm, i + 1);
			builder_free(vm);
			return err;
		}
	}
	__atomic_add_fetch(&v3_lib.vms, 1, __ATOMIC_SEQ_CST);
	*out = vm;
	return V3_OK;
}

void v3_vm_destroy(struct v3_vm *vm)
{
	if (!vm)
		return;
	v3_vm_stop(vm);
	builder_undo(vm, V3_ARRAY_SIZE(builder_steps));
	builder_free(vm);
	__atomic_sub_fetch(&v3_lib.vms, 1, __ATOMIC_SEQ_CST);
}

int v3_vm_power_on(struct v3_vm *vm)
{
	uint32_t i;

	for (i = 0; i < vm->nvcpus; i++)
		v3_vcpu_reset(vm->vcpu[i], false);
	v3_time_reset_tsc(vm);
	v3_devices_reset(vm);
	for (i = 0; i < vm->nextensions; i++)
		if (v3_lib.extensions[i]->vm_reset)
			v3_lib.extensions[i]->vm_reset(vm->ext_state[i]);
	return v3_boot_setup(vm, &vm->parts->boot);
}

/* ---- palacios/vm.h ---- */

const char *v3_vm_name(const struct v3_vm *vm)
{
	return vm->name;
}

void v3_vm_set_name(struct v3_vm *vm, const char *name)
{
	v3_strlcpy(vm->name, name, sizeof(vm->name));
	v3_devices_reset(vm); /* what they make of the name, such as addresses of network cards */
}

uint32_t v3_vm_vcpu_count(const struct v3_vm *vm)
{
	return vm->nvcpus;
}

const struct v3_topology *v3_vm_topology(const struct v3_vm *vm)
{
	return &vm->topology;
}

struct v3_vcpu *v3_vm_vcpu(struct v3_vm *vm, uint32_t index)
{
	return index < vm->nvcpus ? vm->vcpu[index] : NULL;
}

uint32_t v3_vm_resets(const struct v3_vm *vm)
{
	return __atomic_load_n(&vm->resets, __ATOMIC_RELAXED);
}

void *v3_vm_host_ctx(const struct v3_vm *vm)
{
	return vm->host_ctx;
}

const void *v3_vm_file(struct v3_vm *vm, const char *name, size_t *len)
{
	return v3_container_find(&vm->parts->container, name, len);
}
