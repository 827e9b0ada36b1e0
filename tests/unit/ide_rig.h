/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ide_rig.h
 * An IDE driver for unit tests: drives by the keys of their definitions on a controller in slot RIG_SLOT, its task
 * files, and descriptor tables in guest RAM. Around pci_bench.h and slow_disk.h.
 */
#ifndef TESTS_IDE_RIG_H
#define TESTS_IDE_RIG_H

#include "devices/ide/ide.h"
#include "palacios/mem.h"
#include "pci_bench.h"
#include "slow_disk.h"

#define RIG_SLOT  5
#define RIG_BM(c) (0xc000 + 8 * (c)) /* bus master registers of channel c */
#define RIG_TABLE 0x200000u
#define RIG_DATA  0x400000u
#define RIG_LAST  0x80000000u

/* Status values */
#define RIG_OK	 0x50
#define RIG_DRQ	 0x58
#define RIG_ERR	 0x51
#define RIG_BUSY 0x80

#define RIG_READ  0x09 /* bus master commands: start, towards memory or the drive */
#define RIG_WRITE 0x01

static struct {
	unsigned ch; /* the channel that the functions below use */
	void *drive[4];
} rig;

static inline void rig_pci(void)
{
	cfg_write(RIG_SLOT, 0x20, 4, RIG_BM(0));
	cfg_write(RIG_SLOT, 0x04, 2, 5);
}

/* As after a reset of the VM. */
static inline void rig_reset(void)
{
	bench_reset();
	v3_device_ide.reset(rig.drive[0]);
	rig_pci();
}

/* Drives, one definition each, NULL for the end. @return false: reported */
static inline bool rig_open(const char *first, const char *second)
{
	const char *keys[] = {first, second};
	char text[256];
	int err = V3_OK;

	memset(&slow, 0, sizeof(slow));
	memset(&rig, 0, sizeof(rig));
	if (!pci_bench_open())
		return false;
	for (unsigned i = 0; !err && i < 2 && keys[i]; i++) {
		bench.vm->ndevices = i + 1;
		snprintf(text, sizeof(text), "slot = %d\n%s", RIG_SLOT, keys[i]);
		err = fake_device_create(bench.vm, &v3_device_ide, text, &rig.drive[i]);
		bench.vm->device[i + 1].cls = &v3_device_ide;
		bench.vm->device[i + 1].state = rig.drive[i];
	}
	bench.vm->ndevices = 0;
	if (!CHECK_EQ(err, V3_OK))
		return false;
	rig_pci();
	return true;
}

static inline uint16_t rig_port(unsigned reg)
{
	return (uint16_t)((rig.ch ? 0x170 : 0x1f0) + reg);
}

static inline void reg_out(unsigned reg, uint8_t value)
{
	out8(rig_port(reg), value);
}

static inline uint8_t reg_in(unsigned reg)
{
	return in8(rig_port(reg));
}

static inline uint16_t rig_control(void)
{
	return rig.ch ? 0x376 : 0x3f6;
}

/* Status without side effects. */
static inline uint8_t rig_status(void)
{
	return in8(rig_control());
}

static inline bool rig_intrq(void)
{
	return bench.level[14 + rig.ch];
}

static inline void rig_select(uint8_t device)
{
	reg_out(IDE_DEVICE, device);
}

static inline void rig_command(uint8_t code)
{
	reg_out(IDE_STATUS, code);
}

/* Task file of a command with a 28-bit address, then the command. Keeps the device bit. */
static inline void rig_lba28(uint8_t code, uint32_t lba, uint8_t count)
{
	reg_out(IDE_COUNT, count);
	reg_out(IDE_LBA_LOW, (uint8_t)lba);
	reg_out(IDE_LBA_MID, (uint8_t)(lba >> 8));
	reg_out(IDE_LBA_HIGH, (uint8_t)(lba >> 16));
	reg_out(IDE_DEVICE, (uint8_t)((reg_in(IDE_DEVICE) & 0x10) | 0x40 | (lba >> 24 & 15)));
	rig_command(code);
}

static inline void rig_lba48(uint8_t code, uint64_t lba, uint16_t count)
{
	for (unsigned half = 2; half--;) {
		reg_out(IDE_COUNT, (uint8_t)(count >> 8 * half));
		for (unsigned i = 0; i < 3; i++)
			reg_out(IDE_LBA_LOW + i, (uint8_t)(lba >> (24 * half + 8 * i)));
	}
	reg_out(IDE_DEVICE, (uint8_t)((reg_in(IDE_DEVICE) & 0x10) | 0x40));
	rig_command(code);
}

static inline void rig_pio_in(void *buf, unsigned len)
{
	for (unsigned i = 0; i < len; i += 2) {
		uint16_t w = (uint16_t)fake_in(bench.vm, rig_port(0), 2);

		memcpy((uint8_t *)buf + i, &w, 2);
	}
}

static inline void rig_pio_out(const void *buf, unsigned len)
{
	for (unsigned i = 0; i < len; i += 4) {
		uint32_t w;

		memcpy(&w, (const uint8_t *)buf + i, 4);
		CHECK_EQ(fake_out(bench.vm, rig_port(0), 4, w), V3_OK);
	}
}

/* Descriptor @p i of the table. */
static inline void rig_region(unsigned i, uint32_t addr, uint32_t count)
{
	CHECK_EQ(v3_mem_write(bench.vm, RIG_TABLE + 8 * i, &addr, 4), V3_OK);
	CHECK_EQ(v3_mem_write(bench.vm, RIG_TABLE + 8 * i + 4, &count, 4), V3_OK);
}

static inline void rig_bm_out(unsigned off, unsigned size, uint32_t value)
{
	CHECK_EQ(fake_out(bench.vm, (uint16_t)(RIG_BM(rig.ch) + off), size, value), V3_OK);
}

static inline uint8_t rig_bm_status(void)
{
	return in8((uint16_t)(RIG_BM(rig.ch) + 2));
}

/* Stop, clear, point to the table, start: @p command is RIG_READ or RIG_WRITE. */
static inline void rig_bm_start(uint8_t command)
{
	rig_bm_out(0, 1, 0);
	rig_bm_out(2, 1, 6);
	rig_bm_out(4, 4, RIG_TABLE);
	rig_bm_out(0, 1, command);
}

static inline uint8_t rig_ram(uint32_t off)
{
	uint8_t byte = 0;

	CHECK_EQ(v3_mem_read(bench.vm, RIG_DATA + off, &byte, 1), V3_OK);
	return byte;
}

static inline void rig_fill(uint8_t byte, uint32_t len)
{
	CHECK_EQ(v3_mem_set(bench.vm, RIG_DATA, byte, len), V3_OK);
}

static uint8_t buf[0x20000]; /* of the test */

/* Fill a sector through PIO so that tests can tell it from others. */
static inline void rig_put_sector(uint32_t lba, uint8_t byte)
{
	memset(buf, byte, 512);
	rig_lba28(0x30, lba, 1);
	CHECK_EQ(rig_status(), RIG_DRQ);
	rig_pio_out(buf, 512);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
}

/* First byte of a sector read by PIO. */
static inline uint8_t rig_get_sector(uint32_t lba)
{
	rig_lba28(0x20, lba, 1);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	rig_pio_in(buf, 512);
	return buf[0];
}

#endif
