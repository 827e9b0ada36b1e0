/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file boot_vm.h
 * What the boot code sees of a VM, as small as it can be: guest RAM, files, one vcpu's registers, a
 * log. Include it in one file of the test program; the core's own versions then stay out of it.
 */
#ifndef TESTS_BOOT_VM_H
#define TESTS_BOOT_VM_H

#include "boot/boot.h"
#include "config/vm_cfg.h"
#include "palacios/config.h"
#include "palacios/device.h"
#include "palacios/error.h"
#include "palacios/fw_cfg.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#include "small_alloc.h"
#include "tap.h"

#include <sys/mman.h>

struct v3_vcpu {
	struct v3_regs regs;
	struct v3_seg seg[V3_NSEG];
	struct v3_dtr gdt, idt;
	uint64_t cr[9], efer;
};

struct v3_vm {
	struct v3_vcpu vcpu;
	unsigned nranges;
	struct {
		v3_gpa_t gpa;
		uint64_t size;
		uint8_t *host;
		bool ram;
	} range[4];
	unsigned nfiles;
	struct {
		const char *name;
		const void *data;
		size_t len;
	} file[8];
	unsigned nfw; /* files offered to firmware */
	struct {
		const char *name;
		const void *data;
		size_t len;
	} fw[8];
	v3_gpa_t mmio_base;
	uint64_t mmio_size;
	v3_mmio_fn mmio;
};

static char boot_vm_log[512]; /* the last line */
static unsigned boot_vm_fw_limit = 8;

/* ---- memory ---- */

static uint8_t *boot_vm_ptr(struct v3_vm *vm, v3_gpa_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < vm->nranges; i++) {
		if (gpa >= vm->range[i].gpa && gpa - vm->range[i].gpa < vm->range[i].size &&
		    len <= vm->range[i].size - (gpa - vm->range[i].gpa))
			return vm->range[i].host + (gpa - vm->range[i].gpa);
	}
	return NULL;
}

static int boot_vm_add(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, bool ram)
{
	void *host = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (host == MAP_FAILED || vm->nranges == 4)
		return V3_ENOMEM;
	vm->range[vm->nranges].gpa = gpa;
	vm->range[vm->nranges].size = size;
	vm->range[vm->nranges].host = host;
	vm->range[vm->nranges++].ram = ram;
	return V3_OK;
}

int v3_mem_add_ram(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, int node)
{
	(void)node;
	return boot_vm_add(vm, gpa, size, true);
}

int v3_mem_add_rom(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size)
{
	return boot_vm_add(vm, gpa, size, false);
}

int v3_fw_cfg_add_file(struct v3_vm *vm, const char *name, const void *data, size_t len)
{
	if (vm->nfw == boot_vm_fw_limit)
		return V3_ENOSPC;
	vm->fw[vm->nfw].name = name;
	vm->fw[vm->nfw].data = data;
	vm->fw[vm->nfw++].len = len;
	return V3_OK;
}

int v3_mem_range(struct v3_vm *vm, unsigned i, struct v3_mem_range *out)
{
	if (i >= vm->nranges)
		return V3_ENOENT;
	out->gpa = vm->range[i].gpa;
	out->size = vm->range[i].size;
	out->ram = vm->range[i].ram;
	return V3_OK;
}

int v3_mem_write(struct v3_vm *vm, v3_gpa_t gpa, const void *buf, size_t len)
{
	uint8_t *p = boot_vm_ptr(vm, gpa, len);

	if (!p && len)
		return V3_EFAULT;
	if (len)
		memcpy(p, buf, len);
	return V3_OK;
}

int v3_mem_read(struct v3_vm *vm, v3_gpa_t gpa, void *buf, size_t len)
{
	uint8_t *p = boot_vm_ptr(vm, gpa, len);

	if (!p)
		return V3_EFAULT;
	memcpy(buf, p, len);
	return V3_OK;
}

int v3_mem_set(struct v3_vm *vm, v3_gpa_t gpa, uint8_t byte, uint64_t len)
{
	uint8_t *p = boot_vm_ptr(vm, gpa, len);

	if (!p)
		return V3_EFAULT;
	memset(p, byte, len);
	return V3_OK;
}

int v3_mmio_register(struct v3_vm *vm, v3_gpa_t gpa, uint64_t size, v3_mmio_fn fn, void *priv)
{
	CHECK(!priv);
	vm->mmio_base = gpa;
	vm->mmio_size = size;
	vm->mmio = fn;
	return V3_OK;
}

__attribute__((unused)) static uint64_t boot_vm_read(struct v3_vm *vm, v3_gpa_t gpa, unsigned size)
{
	const uint8_t *p = boot_vm_ptr(vm, gpa, size);
	uint64_t value = 0;

	if (CHECK_MSG(p != NULL, "no guest RAM at %#" PRIx64, gpa))
		memcpy(&value, p, size);
	return value;
}

/* ---- the rest ---- */

const void *v3_vm_file(struct v3_vm *vm, const char *name, size_t *len)
{
	for (unsigned i = 0; i < vm->nfiles; i++) {
		if (strcmp(vm->file[i].name, name))
			continue;
		*len = vm->file[i].len;
		return vm->file[i].data;
	}
	return NULL;
}

struct v3_vcpu *v3_vm_vcpu(struct v3_vm *vm, uint32_t index)
{
	return index == 0 ? &vm->vcpu : NULL;
}

struct v3_regs *v3_vcpu_regs(struct v3_vcpu *vcpu)
{
	return &vcpu->regs;
}

void v3_vcpu_set_seg(struct v3_vcpu *vcpu, enum v3_seg_num num, const struct v3_seg *seg)
{
	vcpu->seg[num] = *seg;
}

void v3_vcpu_set_dtr(struct v3_vcpu *vcpu, bool idt, const struct v3_dtr *dtr)
{
	*(idt ? &vcpu->idt : &vcpu->gdt) = *dtr;
}

void v3_vcpu_set_cr(struct v3_vcpu *vcpu, unsigned n, uint64_t value)
{
	vcpu->cr[n] = value;
}

void v3_vcpu_set_efer(struct v3_vcpu *vcpu, uint64_t value)
{
	vcpu->efer = value;
}

void v3_log(struct v3_vm *vm, enum v3_log_level level, const char *tag, const char *fmt, ...)
{
	va_list ap;

	(void)vm;
	(void)level;
	(void)tag;
	va_start(ap, fmt);
	vsnprintf(boot_vm_log, sizeof(boot_vm_log), fmt, ap);
	va_end(ap);
}

/* ---- setting one up ---- */

static const struct v3_cfg_key boot_vm_uart_keys[] = {
	{.name = "port", .type = V3_CFG_UINT, .def = V3_PC_PORT_COM1},
	{.name = "irq", .type = V3_CFG_UINT, .def = V3_PC_IRQ_COM1},
	{.name = NULL}};
static const struct v3_device_class boot_vm_uart = {.name = "uart", .keys = boot_vm_uart_keys};
#define PLAIN(n)                                                                                   \
	&(const struct v3_device_class)                                                            \
	{                                                                                          \
		.name = #n                                                                         \
	}
static const struct v3_device_class *const boot_vm_classes[] = {
	PLAIN(lapic), PLAIN(ioapic),   PLAIN(i8259),  PLAIN(rtc),    PLAIN(hpet), PLAIN(acpi_pm),
	PLAIN(reset), PLAIN(pci_host), PLAIN(fw_cfg), &boot_vm_uart, PLAIN(vga),  NULL};

static const struct v3_device_class *const *boot_vm_offered = boot_vm_classes; /* by the embedder */

static struct v3_vm boot_vm;
static struct v3_boot boot_state;
static struct v3_vm_cfg *boot_vm_cfg;

__attribute__((unused)) static void boot_vm_file(const char *name, const void *data, size_t len)
{
	boot_vm.file[boot_vm.nfiles].name = name;
	boot_vm.file[boot_vm.nfiles].data = data;
	boot_vm.file[boot_vm.nfiles++].len = len;
}

/* A new VM of a definition, with memory. */
__attribute__((unused)) static bool boot_vm_begin(const char *definition)
{
	struct v3_cfg_error err;

	memset(&boot_vm, 0, sizeof(boot_vm));
	memset(&boot_state, 0, sizeof(boot_state));
	boot_vm_log[0] = '\0';
	boot_vm_cfg = NULL;
	if (!CHECK_EQ(v3_vm_cfg_parse(definition, strlen(definition), "test", boot_vm_offered,
				      &boot_vm_cfg, &err),
		      V3_OK)) {
		printf("# %s\n", err.message);
		return false;
	}
	return CHECK_EQ(v3_platform_add_memory(&boot_vm, boot_vm_cfg), V3_OK);
}

__attribute__((unused)) static void boot_vm_end(void)
{
	for (unsigned i = 0; i < boot_vm.nranges; i++)
		munmap(boot_vm.range[i].host, boot_vm.range[i].size);
	boot_vm.nranges = 0;
	v3_vm_cfg_free(boot_vm_cfg);
	CHECK_EQ(small_alloc.live, 0);
}

/* An attempt to load that must fail with @p err and one log line. */
__attribute__((unused)) static void boot_vm_refused(int err, const char *line)
{
	CHECK_EQ(v3_boot_load(&boot_vm, &boot_state, boot_vm_cfg), err);
	CHECK_STR(boot_vm_log, line);
}

#endif
