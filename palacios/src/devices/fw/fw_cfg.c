/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fw_cfg.c
 * Firmware configuration device: numbered items and named files that firmware and kernels read through
 * ports 0x510 (selector), 0x511 (data) and 0x514 (DMA). Interface: QEMU docs/specs/fw_cfg. All items are
 * read-only here.
 */
#include "palacios/fw_cfg.h"

#include "devices/devices.h"
#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "fw_cfg"

#define FW_OFF_SELECTOR 0
#define FW_OFF_DATA	1
#define FW_OFF_DMA_HIGH 4
#define FW_OFF_DMA_LOW	8

/* Keys of items */
#define FW_KEY_SIGNATURE 0x0000
#define FW_KEY_ID	 0x0001
#define FW_KEY_RAM_SIZE	 0x0003
#define FW_KEY_NB_CPUS	 0x0005
#define FW_KEY_MAX_CPUS	 0x000f
#define FW_KEY_FILE_DIR	 0x0019
#define FW_KEY_FILE0	 0x0020
#define FW_KEY_IRQ0	 0x8002 /* the timer interrupt is at I/O APIC pin 2 */
#define FW_KEY_WRITE	 0x4000 /* obsolete write channel, ignored */

#define FW_ID_TRADITIONAL 1
#define FW_ID_DMA	  2

/* Control field of the DMA command */
#define FW_DMA_ERROR  0x01
#define FW_DMA_READ   0x02
#define FW_DMA_SKIP   0x04
#define FW_DMA_SELECT 0x08
#define FW_DMA_WRITE  0x10
#define FW_DMA_KEY(c) ((uint16_t)((c) >> 16))
#define FW_DMA_LEN    16 /* bytes of a command: control, length, address */

/* Bytes past an item's end that one command may ask for; they read as zero. Guards against a guest that
 * keeps us busy clearing memory. */
#define FW_MAX_PAD 0x100000u

#define FW_DIR_ENTRY  64 /* size, key, reserved, name */
#define FW_E820_ENTRY 20
#define FW_E820_MAX   16
#define FW_E820_RAM   1

#define FW_OPT_FILES 8 /* files named by the guest definition */

/* What the fixed items point at; little-endian like the machine. */
struct fw_numbers {
	uint8_t signature[4];
	uint32_t id;
	uint64_t ram_size;
	uint16_t cpus;
	uint16_t pad;
	uint32_t irq0;
};

struct fw_item {
	const uint8_t *data; /* not owned; outlives the device */
	uint32_t len;
};

struct fw_cfg {
	struct v3_vm *vm; /* not owned; outlives the device */

	/* fixed once the VM runs */
	struct fw_numbers num;
	uint32_t nfiles;
	struct fw_item file[V3_FW_CFG_MAX_FILES];
	uint8_t dir[4 + V3_FW_CFG_MAX_FILES * FW_DIR_ENTRY]; /* as the guest reads it */
	uint8_t e820[FW_E820_MAX * FW_E820_ENTRY];

	struct v3_lock lock; /* guards all below */
	uint16_t key;	     /* of the item that is selected */
	uint32_t offset;     /* of its next byte, up to its length */
	uint32_t dma_high;   /* upper half of the command's address */
};

static uint32_t fw_get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void fw_put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/* ---- items ---- */

static struct fw_item fw_item_of(const struct fw_cfg *fw, uint16_t key)
{
	const struct fw_numbers *num = &fw->num;

	switch (key) {
	case FW_KEY_SIGNATURE:
		return (struct fw_item){num->signature, sizeof(num->signature)};
	case FW_KEY_ID:
		return (struct fw_item){(const uint8_t *)&num->id, sizeof(num->id)};
	case FW_KEY_RAM_SIZE:
		return (struct fw_item){(const uint8_t *)&num->ram_size, sizeof(num->ram_size)};
	case FW_KEY_NB_CPUS:
	case FW_KEY_MAX_CPUS:
		return (struct fw_item){(const uint8_t *)&num->cpus, sizeof(num->cpus)};
	case FW_KEY_IRQ0:
		return (struct fw_item){(const uint8_t *)&num->irq0, sizeof(num->irq0)};
	case FW_KEY_FILE_DIR:
		return (struct fw_item){fw->dir, 4 + fw->nfiles * FW_DIR_ENTRY};
	default:
		if (key >= FW_KEY_FILE0 && key < FW_KEY_FILE0 + fw->nfiles)
			return fw->file[key - FW_KEY_FILE0];
		return (struct fw_item){NULL, 0}; /* reads as zeros */
	}
}

/* Lock held. */
static void fw_select(struct fw_cfg *fw, uint16_t key)
{
	fw->key = key & (uint16_t)~FW_KEY_WRITE;
	fw->offset = 0;
}

static uint8_t *fw_dir_entry(struct fw_cfg *fw, uint32_t i)
{
	return fw->dir + 4 + i * FW_DIR_ENTRY;
}

static int fw_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len)
{
	size_t name_len = v3_strlen(name);
	uint8_t *entry;
	uint32_t i;

	if (!name_len || name_len > V3_FW_CFG_NAME_LEN || len > UINT32_MAX)
		return V3_EINVAL;
	for (i = 0; i < fw->nfiles; i++) {
		if (!v3_strcmp((const char *)fw_dir_entry(fw, i) + 8, name))
			return V3_EEXIST;
	}
	if (fw->nfiles == V3_FW_CFG_MAX_FILES)
		return V3_ENOSPC;
	fw->file[i] = (struct fw_item){data, (uint32_t)len};
	entry = fw_dir_entry(fw, i);
	fw_put_be32(entry, (uint32_t)len);
	fw_put_be32(entry + 4, (FW_KEY_FILE0 + i) << 16);
	memcpy(entry + 8, name, name_len + 1);
	fw_put_be32(fw->dir, ++fw->nfiles);
	return V3_OK;
}

int v3_fw_cfg_add_file(struct v3_vm *vm, const char *name, const void *data, size_t len)
{
	struct fw_cfg *fw = v3_device_find(vm, &v3_device_fw_cfg);

	return fw ? fw_add_file(fw, name, data, len) : V3_ENODEV;
}

/* ---- DMA ---- */

/* Move @p len bytes at @p offset of an item to the guest, zeros after its end. */
static int fw_dma_read(struct fw_cfg *fw, struct fw_item item, uint32_t offset, v3_gpa_t gpa,
		       uint32_t len)
{
	uint32_t have = item.len - offset < len ? item.len - offset : len;
	int err;

	if (len - have > FW_MAX_PAD)
		return V3_EINVAL;
	err = have ? v3_mem_write(fw->vm, gpa, item.data + offset, have) : V3_OK;
	if (!err && len > have)
		err = v3_mem_set(fw->vm, gpa + have, 0, len - have);
	return err;
}

/* Perform one command; @return what its control field becomes. */
static uint32_t fw_dma_command(struct fw_cfg *fw, const uint8_t *cmd)
{
	uint32_t control = fw_get_be32(cmd), len = fw_get_be32(cmd + 4), offset;
	v3_gpa_t gpa = (uint64_t)fw_get_be32(cmd + 8) << 32 | fw_get_be32(cmd + 12);
	struct fw_item item;
	unsigned long flags;

	flags = v3_lock_acquire(&fw->lock);
	if (control & FW_DMA_SELECT)
		fw_select(fw, FW_DMA_KEY(control));
	item = fw_item_of(fw, fw->key);
	offset = fw->offset;
	if (control & (FW_DMA_READ | FW_DMA_WRITE | FW_DMA_SKIP))
		fw->offset = len > item.len - offset ? item.len : offset + len;
	v3_lock_release(&fw->lock, flags);

	/* The copy may be long, so it is made without the lock: items do not change. */
	if (control & FW_DMA_READ)
		return fw_dma_read(fw, item, offset, gpa, len) ? FW_DMA_ERROR : 0;
	return control & FW_DMA_WRITE ? FW_DMA_ERROR : 0;
}

static void fw_dma(struct fw_cfg *fw, v3_gpa_t gpa)
{
	uint8_t cmd[FW_DMA_LEN];

	/* The command is copied once; the guest may change it meanwhile. */
	if (v3_mem_read(fw->vm, gpa, cmd, sizeof(cmd))) {
		V3_GUEST_WARN(fw->vm, "DMA command at %#llx is not in RAM",
			      (unsigned long long)gpa);
		return;
	}
	fw_put_be32(cmd, fw_dma_command(fw, cmd));
	/* Cannot fail: the same bytes were readable a moment ago, and RAM does not go away. */
	(void)v3_mem_write(fw->vm, gpa, cmd, 4);
}

/* ---- ports ---- */

static uint8_t fw_read_data(struct fw_cfg *fw)
{
	struct fw_item item;
	unsigned long flags;
	uint8_t byte = 0;

	flags = v3_lock_acquire(&fw->lock);
	item = fw_item_of(fw, fw->key);
	if (fw->offset < item.len)
		byte = item.data[fw->offset++];
	v3_lock_release(&fw->lock, flags);
	return byte;
}

static void fw_write(struct fw_cfg *fw, unsigned off, unsigned size, uint32_t value)
{
	unsigned long flags;
	uint32_t high;

	flags = v3_lock_acquire(&fw->lock);
	high = fw->dma_high;
	if (off == FW_OFF_SELECTOR && size == 2)
		fw_select(fw, (uint16_t)value);
	else if (off == FW_OFF_DMA_HIGH && size == 4)
		fw->dma_high = __builtin_bswap32(value);
	else if (off == FW_OFF_DMA_LOW && size == 4)
		fw->dma_high = 0; /* a command uses the upper half up */
	v3_lock_release(&fw->lock, flags);
	if (off == FW_OFF_DMA_LOW && size == 4)
		fw_dma(fw, (uint64_t)high << 32 | __builtin_bswap32(value));
}

static int fw_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	static const uint8_t dma_signature[8] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};
	struct fw_cfg *fw = priv;
	unsigned off = io->port - V3_PC_PORT_FW_CFG, i;

	(void)vcpu;
	if (io->write) {
		fw_write(fw, off, io->size, io->value);
		return V3_OK;
	}
	io->value = ~0u;
	if (off == FW_OFF_DATA && io->size == 1) {
		io->value = fw_read_data(fw);
	} else if (off >= FW_OFF_DMA_HIGH) { /* tells that DMA is there */
		for (i = 0; i < io->size && off + i < V3_PC_PORT_FW_CFG_LEN; i++) {
			io->value &= ~(0xffu << (8 * i));
			io->value |= (uint32_t)dma_signature[off + i - FW_OFF_DMA_HIGH] << (8 * i);
		}
	}
	return V3_OK;
}

/* ---- device ---- */

static void fw_reset(void *state)
{
	struct fw_cfg *fw = state;
	unsigned long flags;

	flags = v3_lock_acquire(&fw->lock);
	fw->dma_high = 0;
	fw_select(fw, FW_KEY_SIGNATURE);
	v3_lock_release(&fw->lock, flags);
}

/* RAM size and map, as firmware builds its own E820 map from: packed entries of base, length and type. */
static int fw_add_memory(struct fw_cfg *fw)
{
	struct v3_mem_range range;
	uint32_t n = 0, type = FW_E820_RAM;
	uint8_t *entry;
	unsigned i;

	for (i = 0; v3_mem_range(fw->vm, i, &range) == V3_OK && n < FW_E820_MAX; i++) {
		if (!range.ram)
			continue;
		fw->num.ram_size += range.size;
		entry = fw->e820 + n++ * FW_E820_ENTRY;
		memcpy(entry, &range.gpa, 8);
		memcpy(entry + 8, &range.size, 8);
		memcpy(entry + 16, &type, 4);
	}
	return fw_add_file(fw, "etc/e820", fw->e820, n * FW_E820_ENTRY);
}

/* One file of the guest definition: nameN with fileN or textN. */
static int fw_add_opt(struct fw_cfg *fw, const struct v3_cfg *cfg, unsigned i)
{
	char name_key[] = "name0", file_key[] = "file0", text_key[] = "text0";
	const char *name, *text;
	const void *data;
	size_t len;

	name_key[4] = file_key[4] = text_key[4] = (char)('0' + i);
	if (!v3_cfg_has(cfg, name_key)) {
		if (!v3_cfg_has(cfg, file_key) && !v3_cfg_has(cfg, text_key))
			return V3_OK;
		V3_ERR(fw->vm, "%s is missing", name_key);
		return V3_EINVAL;
	}
	name = v3_cfg_string(cfg, name_key);
	if (memcmp(name, "opt/", v3_strlen(name) < 4 ? v3_strlen(name) + 1 : 4)) {
		V3_ERR(fw->vm, "%s: \"%s\" does not begin with \"opt/\"", name_key, name);
		return V3_EINVAL;
	}
	if (v3_cfg_has(cfg, file_key) == v3_cfg_has(cfg, text_key)) {
		V3_ERR(fw->vm, "%s needs one of %s and %s", name_key, file_key, text_key);
		return V3_EINVAL;
	}
	if (v3_cfg_has(cfg, text_key)) {
		text = v3_cfg_string(cfg, text_key);
		return fw_add_file(fw, name, text, v3_strlen(text));
	}
	data = v3_vm_file(fw->vm, v3_cfg_string(cfg, file_key), &len);
	return data ? fw_add_file(fw, name, data, len) : V3_ENOENT;
}

static int fw_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct fw_cfg *fw;
	unsigned i;
	int err;

	fw = v3_alloc(sizeof(*fw));
	if (!fw)
		return V3_ENOMEM;
	fw->vm = vm;
	memcpy(fw->num.signature, "QEMU", sizeof(fw->num.signature));
	fw->num.id = FW_ID_TRADITIONAL | FW_ID_DMA;
	fw->num.cpus = (uint16_t)v3_vm_vcpu_count(vm);
	fw->num.irq0 = 1;
	err = fw_add_memory(fw);
	for (i = 0; !err && i < FW_OPT_FILES; i++)
		err = fw_add_opt(fw, cfg, i);
	if (err)
		goto free_fw;
	err = v3_lock_init(&fw->lock);
	if (err)
		goto free_fw;
	err = v3_io_register(vm, V3_PC_PORT_FW_CFG, V3_PC_PORT_FW_CFG_LEN, fw_io, fw);
	if (err)
		goto destroy_lock;
	*state = fw;
	return V3_OK;

destroy_lock:
	v3_lock_destroy(&fw->lock);
free_fw:
	v3_free(fw);
	return err;
}

static void fw_destroy(void *state)
{
	struct fw_cfg *fw = state;

	v3_io_unregister(fw->vm, V3_PC_PORT_FW_CFG);
	v3_lock_destroy(&fw->lock);
	v3_free(fw);
}

#define FW_OPT_KEYS(n)                                                                             \
	{.name = "name" #n, .type = V3_CFG_STRING, .high = V3_FW_CFG_NAME_LEN},                    \
		{.name = "file" #n, .type = V3_CFG_FILE},                                          \
	{                                                                                          \
		.name = "text" #n, .type = V3_CFG_STRING                                           \
	}

static const struct v3_cfg_key fw_keys[] = {
	FW_OPT_KEYS(0), FW_OPT_KEYS(1), FW_OPT_KEYS(2), FW_OPT_KEYS(3), FW_OPT_KEYS(4),
	FW_OPT_KEYS(5), FW_OPT_KEYS(6), FW_OPT_KEYS(7), {.name = NULL},
};

/* ---- saved state ---- */

static int fw_loaded(void *state)
{
	const struct fw_cfg *fw = state;

	return fw->offset > fw_item_of(fw, fw->key).len ? V3_EINVAL : V3_OK;
}

/* The items follow from the definition. */
static const struct v3_save_field fw_fields[] = {
	V3_SAVE_NOT(struct fw_cfg, vm),
	V3_SAVE_NOT(struct fw_cfg, num),
	V3_SAVE_NOT(struct fw_cfg, nfiles),
	V3_SAVE_NOT(struct fw_cfg, file),
	V3_SAVE_NOT(struct fw_cfg, dir),
	V3_SAVE_NOT(struct fw_cfg, e820),
	V3_SAVE_NOT(struct fw_cfg, lock),
	V3_SAVE(struct fw_cfg, key),
	V3_SAVE(struct fw_cfg, offset),
	V3_SAVE(struct fw_cfg, dma_high),
	V3_SAVE_END,
};
static const struct v3_save_table fw_save = {
	.fields = fw_fields,
	.size = sizeof(struct fw_cfg),
	.loaded = fw_loaded,
};

const struct v3_device_class v3_device_fw_cfg = {
	.name = "fw_cfg",
	.save = &fw_save,
	.keys = fw_keys,
	.create = fw_create,
	.reset = fw_reset,
	.destroy = fw_destroy,
};
