/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file bios.c
 * PC firmware (SeaBIOS): ROM that ends at 4 GiB, entered at the reset vector. What firmware asks its machine for
 * comes as fw_cfg files: settings, and the ACPI tables with a list of commands by which the firmware places them
 * (the format is that of QEMU's docs/specs/fw_cfg and of its "table loader").
 */
#include "boot/loader.h"

#include "config/vm_cfg.h"
#include "palacios/error.h"
#include "palacios/fw_cfg.h"
#include "palacios/platform.h"
#include "palacios/util/str.h"
#include "palacios/vm.h"

#define BIOS_MIN 0x10000u /* the segment that the reset vector's far jump leads to */

/* Commands for the firmware. All numbers are little-endian, names are padded with zeros. */
#define BIOS_CMD_ALLOCATE 1
#define BIOS_CMD_POINTER  2
#define BIOS_CMD_CHECKSUM 3
#define BIOS_ZONE_HIGH	  1
#define BIOS_ZONE_FSEG	  2
#define BIOS_NAME_LEN	  56
#define BIOS_MAX_CMDS	  (2 + V3_ACPI_MAX_POINTERS + 2 + V3_ACPI_MAX_TABLES + 2)

struct bios_cmd {
	uint32_t command;
	union {
		struct {
			char file[BIOS_NAME_LEN];
			uint32_t align;
			uint8_t zone;
		} allocate;
		struct {
			char file[BIOS_NAME_LEN], target[BIOS_NAME_LEN];
			uint32_t offset;
			uint8_t width;
		} pointer;
		struct {
			char file[BIOS_NAME_LEN];
			uint32_t offset, start, len;
		} checksum;
		uint8_t pad[124];
	} u;
};
_Static_assert(sizeof(struct bios_cmd) == 128, "a command of the table loader");
_Static_assert(offsetof(struct bios_cmd, u.pointer.width) == 4 + 112 + 4, "its packed fields");
_Static_assert(offsetof(struct bios_cmd, u.allocate.zone) == 4 + 56 + 4, "its packed fields");

#define BIOS_FILE_RSDP	 "etc/acpi/rsdp"
#define BIOS_FILE_TABLES "etc/acpi/tables"

/* What the firmware reads; lives as long as the VM. */
struct v3_bios {
	struct bios_cmd *cmd; /* owned */
	uint32_t ncmds;
	uint8_t *tables; /* owned */
	struct v3_acpi_block block;
	uint64_t no_menu, sercon_port;
};

int v3_bios_check(size_t len, struct v3_boot_msg *msg)
{
	if (len < BIOS_MIN || len > V3_PC_ROM_MAX || len % V3_PAGE_SIZE)
		return v3_boot_fail(
			msg, V3_EBADMSG,
			"firmware: expected 64 KiB to 16 MiB, a multiple of 4 KiB, got %zu bytes",
			len);
	return V3_OK;
}

/* ---- the commands that place the ACPI tables ---- */

static struct bios_cmd *bios_cmd(struct v3_bios *bios, uint32_t command)
{
	struct bios_cmd *cmd = &bios->cmd[bios->ncmds++]; /* BIOS_MAX_CMDS counts them all */

	cmd->command = command;
	return cmd;
}

static void bios_allocate(struct v3_bios *bios, const char *file, uint32_t align, uint8_t zone)
{
	struct bios_cmd *cmd = bios_cmd(bios, BIOS_CMD_ALLOCATE);

	v3_strlcpy(cmd->u.allocate.file, file, BIOS_NAME_LEN);
	cmd->u.allocate.align = align;
	cmd->u.allocate.zone = zone;
}

/* Add the address of the tables to the number at @p offset. */
static void bios_pointer(struct v3_bios *bios, const char *file, uint32_t offset, uint32_t width)
{
	struct bios_cmd *cmd = bios_cmd(bios, BIOS_CMD_POINTER);

	v3_strlcpy(cmd->u.pointer.file, file, BIOS_NAME_LEN);
	v3_strlcpy(cmd->u.pointer.target, BIOS_FILE_TABLES, BIOS_NAME_LEN);
	cmd->u.pointer.offset = offset;
	cmd->u.pointer.width = (uint8_t)width;
}

/*
 * Make the bytes from @p start on add up to 0 by the one at @p offset of the file, which begins at @p data. What is
 * there must be 0: some firmware adds the number that is missing, other stores it.
 */
static void bios_checksum(struct v3_bios *bios, const char *file, uint8_t *data, uint32_t offset,
			  uint32_t start, uint32_t len)
{
	struct bios_cmd *cmd = bios_cmd(bios, BIOS_CMD_CHECKSUM);

	data[offset] = 0;
	v3_strlcpy(cmd->u.checksum.file, file, BIOS_NAME_LEN);
	cmd->u.checksum.offset = offset;
	cmd->u.checksum.start = start;
	cmd->u.checksum.len = len;
}

/* RSDP (ACPI 6.4 5.2.5.3): addresses at 16 and 24, checksums at 8 and 32. */
static void bios_commands(struct v3_bios *bios)
{
	const struct v3_acpi_block *block = &bios->block;
	uint32_t i, start;

	bios_allocate(bios, BIOS_FILE_RSDP, 16, BIOS_ZONE_FSEG);
	bios_allocate(bios, BIOS_FILE_TABLES, 64, BIOS_ZONE_HIGH);
	for (i = 0; i < block->npointers; i++)
		bios_pointer(bios, BIOS_FILE_TABLES, block->pointer[i].at - V3_ACPI_RSDP_ROOM,
			     block->pointer[i].width);
	for (i = 0; i < block->ntables; i++) {
		start = block->table[i].start - V3_ACPI_RSDP_ROOM;
		bios_checksum(bios, BIOS_FILE_TABLES, bios->tables + V3_ACPI_RSDP_ROOM, start + 9,
			      start, block->table[i].len);
	}
	bios_pointer(bios, BIOS_FILE_RSDP, 16, 4);
	bios_pointer(bios, BIOS_FILE_RSDP, 24, 8);
	bios_checksum(bios, BIOS_FILE_RSDP, bios->tables, 8, 0, V3_ACPI_RSDP_LEN_V1);
	bios_checksum(bios, BIOS_FILE_RSDP, bios->tables, 32, 0, V3_ACPI_RSDP_LEN);
}

/* ---- files ---- */

struct bios_file {
	const char *name;
	const void *data;
	size_t len;
};

/* A machine without fw_cfg boots too, without ACPI. */
static int bios_offer(struct v3_vm *vm, const struct bios_file *file, size_t n,
		      struct v3_boot_msg *msg)
{
	int err = V3_OK;

	for (; n && !err; n--, file++)
		err = v3_fw_cfg_add_file(vm, file->name, file->data, file->len);
	if (err && err != V3_ENODEV)
		return v3_boot_fail(msg, err, "fw_cfg has no room for what the firmware needs");
	return V3_OK;
}

static int bios_offer_acpi(struct v3_vm *vm, struct v3_bios *bios, const struct v3_vm_cfg *cfg,
			   struct v3_boot_msg *msg)
{
	int err;

	bios->tables = v3_alloc(V3_ACPI_BUF_SIZE);
	bios->cmd = v3_alloc(BIOS_MAX_CMDS * sizeof(*bios->cmd));
	if (!bios->tables || !bios->cmd)
		return v3_boot_fail(msg, V3_ENOMEM, "out of memory");
	err = v3_acpi_make(cfg, 0, bios->tables, &bios->block);
	if (err)
		return v3_boot_fail(msg, err, "the ACPI tables are too long");
	bios_commands(bios);
	const struct bios_file files[] = {
		{BIOS_FILE_RSDP, bios->tables, V3_ACPI_RSDP_LEN},
		{BIOS_FILE_TABLES, bios->tables + V3_ACPI_RSDP_ROOM,
		 bios->block.len - V3_ACPI_RSDP_ROOM},
		{"etc/table-loader", bios->cmd, bios->ncmds * sizeof(*bios->cmd)},
	};
	return bios_offer(vm, files, V3_ARRAY_SIZE(files), msg);
}

/* Have the firmware copied to its ROM at every power-on, and offer it what it asks for in fw_cfg files. */
static int bios_load(struct v3_vm *vm, struct v3_boot *b, const uint8_t *image, size_t len,
		     struct v3_boot_msg *msg)
{
	const struct v3_boot_copy rom = {
		.gpa = V3_PC_ROM_END - len, .src = image, .len = len, .mem_len = len};
	struct v3_bios *bios;
	int err;

	err = v3_bios_check(len, msg);
	if (!err)
		err = v3_boot_add_copy(b, &rom, msg);
	if (err)
		return err;
	bios = b->bios = v3_alloc(sizeof(*bios));
	if (!bios)
		return v3_boot_fail(msg, V3_ENOMEM, "out of memory");
	/* Without a display the firmware's texts go to the first serial port, and keys come from there. */
	bios->sercon_port = V3_PC_PORT_COM1;
	const struct bios_file files[] = {
		{"etc/show-boot-menu", &bios->no_menu, sizeof(bios->no_menu)},
		{"etc/sercon-port", &bios->sercon_port, sizeof(bios->sercon_port)},
	};
	err = bios_offer(vm, files, V3_ARRAY_SIZE(files) - v3_vm_cfg_has_device(b->cfg, "vga"),
			 msg);
	if (err || !v3_acpi_wanted(b->cfg))
		return err;
	return bios_offer_acpi(vm, bios, b->cfg, msg);
}

static int bios_check(const uint8_t *image, size_t len, struct v3_boot_msg *msg)
{
	(void)image; /* any bytes can be code */
	return v3_bios_check(len, msg);
}

const struct v3_boot_loader v3_bios_loader = {
	.check = bios_check,
	.load = bios_load,
};

void v3_bios_free(struct v3_bios *bios)
{
	if (!bios)
		return;
	v3_free(bios->tables);
	v3_free(bios->cmd);
	v3_free(bios);
}
