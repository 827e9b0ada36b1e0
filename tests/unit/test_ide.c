/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_ide.c
 * IDE disks: task file, PIO and DMA, what is wrong with a driver's descriptors and addresses, resets, disks that take
 * their time.
 */
#include "ide_rig.h"

#define DISK	"size = \"1M\"\n"
#define SECTORS 2048u

static uint16_t word(const uint8_t *id, unsigned n)
{
	return (uint16_t)(id[2 * n] | id[2 * n + 1] << 8);
}

static void test_ide_pci_function(void)
{
	REQUIRE(rig_open(DISK, NULL));
	CHECK_EQ(cfg_read(RIG_SLOT, 0, 4), 0x70108086);
	CHECK_EQ(cfg_read(RIG_SLOT, 8, 4), 0x01018000);
	CHECK_EQ(cfg_read(RIG_SLOT, 0x40, 4), 0x80008000);
	cfg_write(RIG_SLOT, 0x48, 4, ~0u);
	CHECK_EQ(cfg_read(RIG_SLOT, 0x48, 4), 0);
	CHECK_EQ(rig_status(), RIG_OK);
	cfg_write(RIG_SLOT, 0x40, 2, 0); /* the channel is not decoded */
	CHECK_EQ(rig_status(), 0xff);
	cfg_write(RIG_SLOT, 0x40, 2, 0x8000);
	cfg_write(RIG_SLOT, 0x04, 2, 4); /* no port is */
	CHECK_EQ(rig_status(), 0xff);
	rig.ch = 1; /* nobody there */
	cfg_write(RIG_SLOT, 0x04, 2, 5);
	CHECK_EQ(rig_status(), 0x7f); /* nor busy: that data line is pulled down */
	for (unsigned reg = 1; reg < 8; reg++) {
		out8((uint16_t)(0x170 + reg), 0x55);
		CHECK_EQ(reg_in(reg), 0x7f);
	}
	CHECK_EQ(fake_in(bench.vm, 0x170, 2), 0xff7f);
	CHECK_EQ(fake_in(bench.vm, 0x170, 4), 0xff7fff7f);
}

/* Where a bridge is function 0 it is function 1, as in a PIIX3. */
static void test_ide_second_function(void)
{
	const struct v3_pci_desc bridge = {.vendor = 0x8086, .device = 0x7000};
	struct v3_pci_func *func;

	REQUIRE(pci_bench_open());
	REQUIRE_EQ(pci_bench_add(RIG_SLOT, &bridge, &func), V3_OK);
	bench.vm->ndevices++;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_ide, DISK "slot = 5\n", &rig.drive[0]),
		 V3_OK);
	bench.vm->ndevices--;
	CHECK_EQ(cfg_read(RIG_SLOT, 0, 4), 0x70008086);
	CHECK_EQ(cfg_read(RIG_SLOT, 0x0e, 1), 0x80);
	choose(RIG_SLOT, 1, 0);
	CHECK_EQ(fake_in(bench.vm, PCI_DATA, 4), 0x70108086);
	fake_device_destroy(bench.vm, rig.drive[0]);
	v3_pci_remove(func);
}

static void test_ide_identify(void)
{
	uint8_t sum = 0;

	REQUIRE(rig_open("size = \"1M\"\nserial = \"S1\"\n", NULL));
	rig_command(0xec);
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	CHECK(!rig_intrq());
	rig_pio_in(buf, 512);
	CHECK_EQ(rig_status(), RIG_OK);
	CHECK(!rig_intrq());
	CHECK_EQ(word(buf, 0), 0x0040);
	CHECK_EQ(word(buf, 1), SECTORS / (16 * 63));
	CHECK_MEM(buf + 20, "1S  ", 4);
	CHECK_MEM(buf + 54, "aPalicso", 8);
	CHECK_EQ(word(buf, 60), SECTORS);
	CHECK_EQ(word(buf, 100), SECTORS);
	CHECK_EQ(word(buf, 63), 7);
	CHECK_EQ(word(buf, 53), 3); /* word 88 is not valid: no Ultra DMA */
	for (unsigned i = 0; i < 512; i++)
		sum = (uint8_t)(sum + buf[i]);
	CHECK_EQ(sum, 0);
	reg_out(IDE_ERROR, 3);
	reg_out(IDE_COUNT, 0x22);
	rig_command(0xef);
	rig_command(0xec);
	rig_pio_in(buf, 512);
	CHECK_EQ(word(buf, 63), 0x407);
}

static void test_ide_large_disk(void)
{
	REQUIRE(rig_open("size = \"128G\"\n", NULL));
	rig_command(0xec);
	rig_pio_in(buf, 512);
	CHECK_EQ(word(buf, 1), 16383);
	CHECK_EQ(word(buf, 60) | word(buf, 61) << 16, 0x0fffffff);
	CHECK_EQ(word(buf, 101), 0x1000);
	rig_lba48(0x27, 0, 0);
	CHECK_EQ(reg_in(IDE_LBA_HIGH), 0xff);
	out8(0x3f6, 0x80);
	CHECK_EQ(reg_in(IDE_LBA_LOW), 0x0f);
	rig_lba28(0xf8, 0, 0);
	CHECK_EQ(reg_in(IDE_DEVICE), 0x4f);
	rig_lba48(0x34, 0x0fffffffull, 1);
	rig_pio_out(buf, 512);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	rig_lba48(0x24, 0x10000000ull, 1);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
	CHECK_EQ(reg_in(IDE_ERROR), 0x10);
}

static void test_ide_pio(void)
{
	REQUIRE(rig_open(DISK, NULL));
	for (unsigned i = 0; i < 1024; i++)
		buf[i] = (uint8_t)(i / 512 + 1);
	rig_lba28(0x30, 5, 2);
	CHECK(!rig_intrq()); /* none for the first block of a write */
	rig_pio_out(buf, 512);
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	rig_pio_out(buf + 512, 512);
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	memset(buf, 0xee, sizeof(buf));
	rig_lba28(0x20, 4, 3);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(rig_intrq());
		CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
		rig_pio_in(buf, 512);
		CHECK_EQ(buf[0], i);
		CHECK_EQ(buf[511], i);
	}
	CHECK(!rig_intrq());
	CHECK_EQ(rig_status(), RIG_OK);
	CHECK_EQ(fake_in(bench.vm, 0x1f0, 2), 0xffff); /* there are no data now */
}

/* 256 sectors are more than the channel's buffer holds. */
static void test_ide_pio_long(void)
{
	REQUIRE(rig_open(DISK, NULL));
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i / 512);
	rig_lba28(0x30, 1, 0);
	rig_pio_out(buf, sizeof(buf));
	CHECK_EQ(rig_status(), RIG_OK);
	memset(buf, 0xee, sizeof(buf));
	reg_out(IDE_COUNT, 16);
	rig_command(0xc6);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	rig_lba28(0xc4, 1, 0);
	rig_pio_in(buf, sizeof(buf));
	CHECK_EQ(rig_status(), RIG_OK);
	for (unsigned i = 0; i < sizeof(buf); i += 511)
		CHECK_EQ(buf[i], (uint8_t)(i / 512));
}

static void test_ide_multiple(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig_lba28(0xc4, 0, 3); /* not switched on */
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
	CHECK_EQ(reg_in(IDE_ERROR), 0x04);
	reg_out(IDE_COUNT, 3);
	rig_command(0xc6);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
	reg_out(IDE_COUNT, 2);
	rig_command(0xc6);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	rig_lba28(0xc4, 0, 3);
	reg_in(IDE_STATUS);
	rig_pio_in(buf, 512);
	CHECK(!rig_intrq()); /* in the middle of a block */
	rig_pio_in(buf, 512);
	CHECK(rig_intrq());
	rig_pio_in(buf, 512);
	CHECK_EQ(rig_status(), RIG_OK);
}

static void test_ide_chs(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig_put_sector(63 * 16 + 63 + 1, 0x77); /* cylinder 1, head 1, sector 2 */
	reg_out(IDE_COUNT, 1);
	reg_out(IDE_LBA_LOW, 2);
	reg_out(IDE_LBA_MID, 1);
	reg_out(IDE_LBA_HIGH, 0);
	rig_select(0x01);
	rig_command(0x20);
	rig_pio_in(buf, 512);
	CHECK_EQ(buf[0], 0x77);
	reg_out(IDE_LBA_LOW, 0); /* sectors count from 1 */
	rig_command(0x20);
	CHECK_EQ(reg_in(IDE_ERROR), 0x10);
	reg_out(IDE_COUNT, 32); /* another geometry: 32 sectors, 2 heads */
	rig_command(0x91);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	reg_out(IDE_COUNT, 1);
	reg_out(IDE_LBA_LOW, 33);
	rig_command(0x20);
	CHECK_EQ(reg_in(IDE_ERROR), 0x10);
	reg_out(IDE_LBA_LOW, 1);
	rig_select(0x02);
	rig_command(0x20);
	CHECK_EQ(reg_in(IDE_ERROR), 0x10);
	reg_out(IDE_COUNT, 0);
	rig_command(0x91);
	CHECK_EQ(reg_in(IDE_ERROR), 0x04);
}

static void test_ide_ranges(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig_lba28(0x20, SECTORS - 1, 1);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	rig_lba28(0x20, SECTORS - 1, 2);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
	CHECK_EQ(reg_in(IDE_ERROR), 0x10);
	rig_lba28(0xc8, SECTORS, 1);
	CHECK_EQ(reg_in(IDE_ERROR), 0x10);
	rig_lba48(0x35, 0xffffffffffffull, 0);
	CHECK_EQ(reg_in(IDE_ERROR), 0x10);
	rig_lba28(0x40, SECTORS - 3, 3);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	rig_lba28(0x40, SECTORS - 3, 4);
	CHECK_EQ(reg_in(IDE_ERROR), 0x10);
	reg_out(IDE_DEVICE, 0); /* 48-bit commands need an LBA */
	rig_command(0x24);
	CHECK_EQ(reg_in(IDE_ERROR), 0x10);
}

static void test_ide_dma(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig_fill(0x33, 1024);
	rig_region(0, RIG_DATA, 1022);
	rig_region(1, RIG_DATA + 1022, 2 | RIG_LAST);
	rig_lba28(0xca, 3, 2);
	CHECK_EQ(rig_status(), RIG_DRQ);
	CHECK(!rig_intrq());
	rig_bm_start(RIG_WRITE);
	CHECK(rig_intrq());
	CHECK_EQ(rig_bm_status(), 0x04); /* interrupt, and the table was as long as the data */
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(rig_bm_status(), 0x04);
	rig_bm_out(2, 1, 0x04);
	CHECK_EQ(rig_bm_status(), 0);
	rig_fill(0, 4096);
	rig_bm_start(RIG_READ); /* this time before the command */
	CHECK_EQ(rig_bm_status(), 0x01);
	rig_lba48(0x25, 3, 2);
	CHECK(rig_intrq());
	CHECK_EQ(rig_ram(0), 0x33);
	CHECK_EQ(rig_ram(1023), 0x33);
	CHECK_EQ(rig_ram(1024), 0);
}

/* Pages of the first 16 MiB that were written since the last call: how many, and is this one among them? */
static void harvest(int count, v3_gpa_t gpa)
{
	static uint64_t bitmap[64];

	CHECK_EQ(v3_dirty_harvest(bench.vm, 0, 16u << 20, bitmap), count);
	if (count)
		CHECK(bitmap[gpa >> V3_PAGE_SHIFT >> 6] >> (gpa >> V3_PAGE_SHIFT & 63) & 1);
}

/* What a drive writes into memory is noted for those who track writes, at once or when the disk is done. */
static void test_ide_dma_written_pages(void)
{
	REQUIRE(rig_open(DISK, NULL));
	REQUIRE_EQ(v3_dirty_start(bench.vm, 0, 16u << 20), V3_OK);
	rig_region(0, RIG_DATA, 512 | RIG_LAST);
	harvest(1, RIG_TABLE);
	rig_lba28(0xca, 3, 1);
	rig_bm_start(RIG_WRITE);
	harvest(0, 0);
	rig_lba28(0xc8, 3, 1);
	rig_bm_start(RIG_READ);
	harvest(1, RIG_DATA);
	slow.on = true;
	rig_lba28(0xc8, 3, 1);
	rig_bm_start(RIG_READ);
	harvest(0, 0);
	slow_finish(0);
	fake_service(bench.vm);
	harvest(1, RIG_DATA);
	v3_dirty_stop(bench.vm);
}

/* A count of 0 is 64 KiB; a table with more room than there are data leaves the bus master active. */
static void test_ide_dma_long_table(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig_put_sector(0, 0x44);
	rig_put_sector(128, 0x45);
	rig_region(0, RIG_DATA, 0);
	rig_region(1, RIG_DATA + 0x10000, RIG_LAST);
	rig_lba28(0xc8, 0, 129);
	rig_bm_start(RIG_READ);
	CHECK_EQ(rig_bm_status(), 0x05);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(rig_ram(0), 0x44);
	CHECK_EQ(rig_ram(0x10000), 0x45);
	rig_bm_out(0, 1, 0);
	CHECK_EQ(rig_bm_status(), 0x04);
}

/* A table that ends before the data: no interrupt, and the drive waits for a reset. */
static void test_ide_dma_short_table(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig_region(0, RIG_DATA, 512 | RIG_LAST);
	rig_lba28(0xc8, 0, 2);
	rig_bm_start(RIG_READ);
	CHECK_EQ(rig_bm_status(), 0);
	CHECK(!rig_intrq());
	CHECK_EQ(rig_status(), RIG_BUSY);
	rig_command(0xec);
	CHECK_EQ(rig_status(), RIG_BUSY);
	out8(0x3f6, 4);
	out8(0x3f6, 0);
	CHECK_EQ(rig_status(), RIG_OK);
	CHECK_EQ(rig_get_sector(0), 0);
}

static void test_ide_dma_bad_descriptors(void)
{
	static const uint32_t bad[] = {0xfff000, 0xe0000000, 0xfffffffe};

	REQUIRE(rig_open(DISK, NULL));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(bad); i++) {
		rig_region(0, bad[i], 0x2000 | RIG_LAST); /* 16 MiB of RAM end within the first */
		rig_lba28(0xc8, 0, 16);
		rig_bm_start(RIG_READ);
		CHECK_EQ(rig_bm_status(), 0x06);
		CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
		CHECK_EQ(reg_in(IDE_ERROR), 0x04);
	}
	rig_lba28(0xc8, 0, 1); /* the table is not in RAM */
	rig_bm_out(0, 1, 0);
	rig_bm_out(4, 4, 0xfffffff0);
	rig_bm_out(0, 1, RIG_READ);
	CHECK_EQ(reg_in(IDE_ERROR), 0x04);
	rig_region(0, RIG_DATA, 512 | RIG_LAST);
	cfg_write(RIG_SLOT, 0x04, 2, 1); /* may not use memory */
	rig_lba28(0xc8, 0, 1);
	rig_bm_start(RIG_READ);
	CHECK_EQ(reg_in(IDE_ERROR), 0x04);
	CHECK_EQ(rig_bm_status(), 0x06);
}

/* A table without end stays in its 64 KiB and is bounded by the data; others get a turn meanwhile. */
static void test_ide_dma_endless_table(void)
{
	unsigned turns = 0;

	REQUIRE(rig_open(DISK, NULL));
	for (unsigned i = 0; i < 0x2000; i++)
		rig_region(i, RIG_DATA, 2);
	rig_lba28(0xc8, 0, 64);
	rig_bm_start(RIG_READ);
	for (; rig_status() == RIG_BUSY && turns < 100; turns++)
		fake_service(bench.vm);
	CHECK(turns > 5);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(rig_bm_status(), 0x05);
}

/* The bus master goes the other way: nothing moves. */
static void test_ide_dma_wrong_direction(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig_region(0, RIG_DATA, 512 | RIG_LAST);
	rig_fill(0x99, 512);
	rig_lba28(0xc8, 0, 1);
	rig_bm_start(RIG_WRITE);
	CHECK_EQ(rig_status(), RIG_DRQ);
	CHECK_EQ(rig_ram(0), 0x99);
	rig_bm_start(RIG_READ);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(rig_ram(0), 0);
}

static void test_ide_bus_master_registers(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig.ch = 1;
	rig_bm_out(4, 4, 0x12345677);
	CHECK_EQ(fake_in(bench.vm, RIG_BM(1) + 4, 4), 0x12345674);
	rig_bm_out(2, 1, 0xff);
	CHECK_EQ(rig_bm_status(), 0x60);
	rig_bm_out(0, 1, 0xfe);
	CHECK_EQ(in8(RIG_BM(1)), 0x08);
	CHECK_EQ(fake_in(bench.vm, RIG_BM(1), 4), 0x00600008);
	rig.ch = 0;
	CHECK_EQ(rig_bm_status(), 0);
}

static void test_ide_two_drives(void)
{
	REQUIRE(rig_open(DISK, "size = \"2M\"\nunit = 1\n"));
	rig_put_sector(1, 0x0a);
	rig_select(0x10);
	rig_put_sector(1, 0x0b);
	CHECK_EQ(rig_get_sector(1), 0x0b);
	rig_select(0);
	CHECK_EQ(rig_get_sector(1), 0x0a);
	rig_command(0x90); /* EXECUTE DEVICE DIAGNOSTIC */
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_ERROR), 1);
	rig_select(0x10);
	CHECK_EQ(reg_in(IDE_ERROR), 1);
	CHECK_EQ(reg_in(IDE_COUNT), 1);
}

/* The master answers for a slave that is not there. */
static void test_ide_absent_slave(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig_select(0x10);
	CHECK_EQ(reg_in(IDE_STATUS), 0);
	reg_out(IDE_COUNT, 0x55);
	CHECK_EQ(reg_in(IDE_COUNT), 0x55);
	rig_command(0xec);
	CHECK_EQ(rig_status(), 0);
	CHECK(!rig_intrq());
}

static void test_ide_soft_reset(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig_lba28(0x20, 9, 4);
	CHECK(rig_intrq());
	out8(0x3f6, 4);
	CHECK(!rig_intrq());
	CHECK_EQ(rig_status(), RIG_BUSY);
	rig_command(0xec);
	out8(0x3f6, 0);
	CHECK_EQ(rig_status(), RIG_OK);
	CHECK_EQ(reg_in(IDE_COUNT), 1);
	CHECK_EQ(reg_in(IDE_LBA_LOW), 1);
	CHECK_EQ(reg_in(IDE_LBA_MID), 0);
	CHECK_EQ(reg_in(IDE_LBA_HIGH), 0);
	CHECK_EQ(reg_in(IDE_ERROR), 1);
}

static void test_ide_interrupt_disable(void)
{
	REQUIRE(rig_open(DISK, NULL));
	out8(0x3f6, 2);
	rig_command(0xec);
	CHECK(!rig_intrq());
	CHECK_EQ(rig_bm_status() & 4, 0);
	out8(0x3f6, 0); /* it is still there */
	CHECK(rig_intrq());
	reg_in(IDE_STATUS);
	CHECK(!rig_intrq());
}

static void test_ide_other_commands(void)
{
	static const struct {
		uint8_t code, status;
	} cases[] = {
		{0x00, RIG_ERR}, {0x10, RIG_OK},  {0x70, RIG_OK},  {0xe0, RIG_OK},
		{0xe1, RIG_OK},	 {0xe7, RIG_OK},  {0xea, RIG_OK},  {0xa0, RIG_ERR},
		{0xa1, RIG_ERR}, {0x08, RIG_ERR}, {0xb0, RIG_ERR}, {0xff, RIG_ERR},
	};

	REQUIRE(rig_open(DISK, NULL));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		rig_command(cases[i].code);
		CHECK_MSG(rig_intrq(), "command %#x", cases[i].code);
		CHECK_MSG(reg_in(IDE_STATUS) == cases[i].status, "command %#x", cases[i].code);
	}
	rig_command(0xe2);
	rig_command(0xe5);
	CHECK_EQ(reg_in(IDE_COUNT), 0);
	rig_command(0xe3);
	rig_command(0xe5);
	CHECK_EQ(reg_in(IDE_COUNT), 0xff);
}

static void test_ide_set_features(void)
{
	static const struct {
		uint8_t feature, count, status;
	} cases[] = {
		{0x03, 0x00, RIG_OK},  {0x03, 0x0c, RIG_OK},  {0x03, 0x22, RIG_OK},
		{0x03, 0x23, RIG_ERR}, {0x03, 0x45, RIG_ERR}, {0x03, 0x05, RIG_ERR},
		{0xaa, 0, RIG_OK},     {0x66, 0, RIG_OK},     {0x05, 0, RIG_ERR},
	};

	REQUIRE(rig_open(DISK, NULL));
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		reg_out(IDE_ERROR, cases[i].feature);
		reg_out(IDE_COUNT, cases[i].count);
		rig_command(0xef);
		CHECK_MSG(reg_in(IDE_STATUS) == cases[i].status, "case %u", i);
	}
}

/* With the write cache off a write ends with a flush; with it on only when the guest says so. */
static void test_ide_write_cache(void)
{
	REQUIRE(rig_open(DISK, NULL));
	rig_put_sector(0, 1);
	CHECK(!(slow.ops & 1u << V3_BLK_FLUSH));
	rig_command(0xe7);
	CHECK(slow.ops & 1u << V3_BLK_FLUSH);
	reg_out(IDE_ERROR, 0x82);
	rig_command(0xef);
	slow.ops = 0;
	rig_put_sector(0, 1);
	CHECK(slow.ops & 1u << V3_BLK_FLUSH);
	reg_out(IDE_ERROR, 0x02);
	rig_command(0xef);
	slow.ops = 0;
	rig_put_sector(0, 1);
	CHECK(!(slow.ops & 1u << V3_BLK_FLUSH));
}

static void test_ide_disk_fails(void)
{
	REQUIRE(rig_open(DISK, NULL));
	slow.fail = V3_EIO;
	rig_lba28(0x20, 0x123, 4);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
	CHECK_EQ(reg_in(IDE_ERROR), 0x40);
	CHECK_EQ(reg_in(IDE_LBA_LOW), 0x23);
	CHECK_EQ(reg_in(IDE_LBA_MID), 0x01);
	rig_lba28(0x30, 0, 1);
	rig_pio_out(buf, 512);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
	CHECK_EQ(reg_in(IDE_ERROR), 0x04);
	rig_command(0xe7);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
}

/* ---- a disk that takes its time ---- */

static void test_ide_slow_dma(void)
{
	REQUIRE(rig_open(DISK, NULL));
	slow.on = true;
	rig_region(0, RIG_DATA, 512 | RIG_LAST);
	rig_lba28(0xc8, 0, 1);
	rig_bm_start(RIG_READ);
	CHECK_EQ(rig_status(), RIG_BUSY);
	rig_command(0xec); /* deaf */
	reg_out(IDE_COUNT, 7);
	rig_bm_out(0, 1, 0); /* too late to stop */
	slow_finish(0);
	CHECK_EQ(rig_status(), RIG_BUSY); /* vcpu 0 does the rest */
	CHECK(!rig_intrq());
	fake_service(bench.vm);
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(reg_in(IDE_COUNT), 1);
	CHECK_EQ(rig_bm_status(), 0x04);
}

static void test_ide_slow_pio(void)
{
	REQUIRE(rig_open(DISK, NULL));
	slow.on = true;
	rig_lba28(0x30, 0, 1);
	rig_pio_out(buf, 512);
	CHECK_EQ(rig_status(), RIG_BUSY);
	slow_finish(0);
	fake_service(bench.vm);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	rig_lba28(0x20, 0, 1);
	CHECK_EQ(rig_status(), RIG_BUSY);
	CHECK_EQ(fake_in(bench.vm, 0x1f0, 4), 0xffffffff);
	slow_finish(0);
	fake_service(bench.vm);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
}

/* A software reset waits for the disk; what it gives then is dropped. */
static void test_ide_slow_soft_reset(void)
{
	REQUIRE(rig_open(DISK, NULL));
	slow.on = true;
	rig_lba28(0x20, 0, 1);
	out8(0x3f6, 4);
	out8(0x3f6, 0);
	CHECK_EQ(rig_status(), RIG_BUSY);
	slow_finish(0);
	fake_service(bench.vm);
	CHECK_EQ(rig_status(), RIG_OK);
	CHECK_EQ(reg_in(IDE_COUNT), 1);
	CHECK(!rig_intrq());
}

static void test_ide_slow_vm_reset(void)
{
	REQUIRE(rig_open(DISK, NULL));
	slow.on = true;
	rig_lba28(0x20, 0, 1);
	rig_reset();
	CHECK_EQ(slow.n, 0);
	fake_service(bench.vm);
	CHECK_EQ(rig_status(), RIG_OK);
	CHECK(!rig_intrq());
	slow.on = false;
	CHECK_EQ(rig_get_sector(0), 0);
	slow.on = true;
	rig_lba28(0x20, 0, 1); /* pending when the VM ends */
	CHECK_EQ(slow.n, 1);
}

/* ---- create ---- */

static void test_ide_read_only(void)
{
	static uint8_t image[4096] = {0x5a};
	struct fake_file file = {.name = "disk.img", .data = image, .len = sizeof(image)};
	char toml[512];

	memset(&bench, 0, sizeof(bench));
	memset(&slow, 0, sizeof(slow));
	memset(&rig, 0, sizeof(rig));
	snprintf(toml, sizeof(toml),
		 "%s[[device]]\nclass = \"ide\"\nslot = %d\nimage = \"disk.img\"\nread_only = "
		 "true\n",
		 fake_pc_toml(1, 16), RIG_SLOT);
	REQUIRE_EQ(fake_vm_create(toml, &file, 1, &bench.vm), V3_OK);
	rig_pci();
	CHECK_EQ(rig_get_sector(0), 0x5a);
	rig_lba28(0x30, 0, 1);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
	CHECK_EQ(reg_in(IDE_ERROR), 0x04);
	CHECK_EQ(rig_get_sector(0), 0x5a);
}

static void test_ide_create_refuses(void)
{
	void *dev;

	REQUIRE(rig_open("size = \"1M\"\nunit = 2\n", NULL));
	bench.vm->ndevices = 2;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_ide, "size = \"1M\"\nunit = 2\n", &dev),
		 V3_EEXIST);
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_ide, "", &dev), V3_EINVAL);
	bench.vm->ndevices = 0;
	CHECK_EQ(fake_device_create(bench.vm, &v3_device_ide, "size = \"1M\"\n", &dev), V3_EEXIST);
}

static int oom_create(void *arg)
{
	int err;

	(void)arg;
	bench.vm->ndevices++;
	err = v3_device_ide.create(bench.vm, bench_cfg, &bench.dev);
	bench.vm->ndevices--;
	return err;
}

static void oom_destroy(void *arg)
{
	(void)arg;
	v3_device_ide.destroy(bench.dev);
}

static void test_ide_oom(void)
{
	REQUIRE(pci_bench_open());
	bench_cfg = fake_cfg(&v3_device_ide, DISK);
	REQUIRE(bench_cfg);
	CHECK(fake_host_oom_each_step(oom_create, oom_destroy, NULL) >= 9);
}

/* Random accesses to all of its registers: each is served, and the drive can be reset afterwards. */
static void test_ide_hostile(void)
{
	REQUIRE(rig_open(DISK, "size = \"64K\"\ncdrom = true\n"));
	for (unsigned i = 0; i < 300; i++) {
		rig_region(0, RIG_DATA + (uint32_t)(tap_rand() & 0xffffff), (uint32_t)tap_rand());
		rig_bm_start(i & 1 ? RIG_READ : RIG_WRITE);
		bench_hostile(0x1f0, 8, 100);
		bench_hostile(RIG_BM(0), 4, 10);
		fake_service(bench.vm);
	}
	out8(0x3f6, 4);
	out8(0x3f6, 0);
	fake_service(bench.vm);
	CHECK_EQ(rig_status(), RIG_OK);
	rig_lba28(0x20, 0, 1);
	CHECK_EQ(rig_status(), RIG_DRQ);
}

static const struct tap_test tests[] = {
	TAP(test_ide_pci_function),
	TAP(test_ide_identify),
	TAP(test_ide_large_disk),
	TAP(test_ide_pio),
	TAP(test_ide_pio_long),
	TAP(test_ide_multiple),
	TAP(test_ide_chs),
	TAP(test_ide_ranges),
	TAP(test_ide_dma),
	TAP(test_ide_dma_written_pages),
	TAP(test_ide_dma_long_table),
	TAP(test_ide_dma_short_table),
	TAP(test_ide_dma_bad_descriptors),
	TAP(test_ide_dma_endless_table),
	TAP(test_ide_dma_wrong_direction),
	TAP(test_ide_bus_master_registers),
	TAP(test_ide_two_drives),
	TAP(test_ide_absent_slave),
	TAP(test_ide_soft_reset),
	TAP(test_ide_interrupt_disable),
	TAP(test_ide_other_commands),
	TAP(test_ide_set_features),
	TAP(test_ide_write_cache),
	TAP(test_ide_disk_fails),
	TAP(test_ide_slow_dma),
	TAP(test_ide_slow_pio),
	TAP(test_ide_slow_soft_reset),
	TAP(test_ide_slow_vm_reset),
	TAP(test_ide_read_only),
	TAP(test_ide_create_refuses),
	TAP(test_ide_oom),
	TAP(test_ide_hostile),
	TAP(test_ide_second_function),
};
TAP_MAIN(tests)
