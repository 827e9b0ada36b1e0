/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_save_ide.c
 * IDE drives that move to another VM in the middle of a command: PIO at any byte, DMA between two steps or before it is
 * started, packets, resets that wait; settings of drives; images that somebody has changed.
 */
#include "ide_rig.h"
#include "save_rig.h"

#define DISK  "size = \"1M\"\n"
#define CDROM "unit = 2\nimage = \"kernel.elf\"\nsize = \"16K\"\nread_only = true\ncdrom = true\n"
#define SLAVE "unit = 1\nsize = \"64K\"\n"
#define BLOCK 2048u

static const char *second; /* keys of the other drive */

static bool open_drives(void)
{
	unsigned ch = rig.ch;

	if (!rig_open(DISK, second))
		return false;
	save_rig_has(2, &v3_device_ide, rig.drive[1]);
	rig.ch = ch;
	return true;
}

static bool open_with(const char *keys)
{
	second = keys;
	rig.ch = 0;
	return open_drives();
}

/* Nobody notices; slow disks stay slow. */
static bool move(void)
{
	bool on = slow.on, moved = save_rig_move(open_drives);

	slow.on = on;
	return moved;
}

/* Sector @p lba + i of the disk is filled with @p byte + i. */
static void put_sectors(uint32_t lba, unsigned n, uint8_t byte)
{
	for (unsigned i = 0; i < n; i++)
		rig_put_sector(lba + i, (uint8_t)(byte + i));
}

/* A step is done, and vcpu 0 looks after it. */
static void finish(void)
{
	REQUIRE(slow.n);
	slow_finish(0);
	fake_service(bench.vm);
}

/* ---- PIO ---- */

static void test_save_ide_pio_read(void)
{
	REQUIRE(open_with(CDROM));
	put_sectors(5, 3, 0x40);
	rig_lba28(0x20, 5, 3);
	rig_pio_in(buf, 512 + 100);
	REQUIRE(move());
	CHECK_EQ(rig_status(), RIG_DRQ);
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	CHECK(!rig_intrq());
	rig_pio_in(buf + 612, 412);
	CHECK(rig_intrq()); /* the third block */
	reg_in(IDE_STATUS);
	rig_pio_in(buf + 1024, 512);
	CHECK(!rig_intrq()); /* none at the end */
	for (unsigned i = 0; i < 1536; i++)
		CHECK_EQ(buf[i], 0x40 + i / 512);
	CHECK_EQ(rig_status(), RIG_OK);
}

static void test_save_ide_pio_write(void)
{
	REQUIRE(open_with(CDROM));
	memset(buf, 0x33, sizeof(buf));
	rig_lba28(0x30, 100, 80); /* more than the buffer holds */
	rig_pio_out(buf, 512 * 70 + 36);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	REQUIRE(move());
	CHECK_EQ(rig_status(), RIG_DRQ);
	CHECK(!rig_intrq());
	rig_pio_out(buf, 512 * 9 + 476);
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(rig_get_sector(100), 0x33);
	CHECK_EQ(rig_get_sector(179), 0x33);
	CHECK_EQ(rig_get_sector(180), 0);
}

/* What SET MULTIPLE MODE said, and a block of it under way. */
static void test_save_ide_multiple(void)
{
	REQUIRE(open_with(CDROM));
	put_sectors(0, 8, 0x10);
	reg_out(IDE_COUNT, 4);
	rig_command(0xc6);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	rig_lba28(0xc4, 0, 8);
	rig_pio_in(buf, 1000);
	REQUIRE(move());
	reg_in(IDE_STATUS);
	rig_pio_in(buf + 1000, 1046);
	CHECK(!rig_intrq());
	rig_pio_in(buf + 2046, 2);
	CHECK(rig_intrq());
	rig_pio_in(buf + 2048, 2048);
	CHECK_EQ(buf[4095], 0x17);
	rig_lba28(0xc4, 0, 4);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	rig_pio_in(buf, 2048);
	CHECK_EQ(rig_status(), RIG_OK);
}

/* ---- a disk that takes its time ---- */

static void test_save_ide_slow_pio(void)
{
	REQUIRE(open_with(CDROM));
	put_sectors(9, 1, 0x99);
	slow.on = true;
	rig_lba28(0x20, 9, 1);
	CHECK_EQ(rig_status(), RIG_BUSY);
	REQUIRE(move());
	CHECK_EQ(slow.n, 0);
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	rig_pio_in(buf, 512);
	CHECK_EQ(buf[511], 0x99);
	memset(buf, 0x77, 512);
	rig_lba28(0x30, 9, 1);
	rig_pio_out(buf, 512);
	CHECK_EQ(rig_status(), RIG_BUSY);
	REQUIRE(move());
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	slow.on = false;
	CHECK_EQ(rig_get_sector(9), 0x77);
}

#define REGIONS 100u /* of a sector each: two steps */

static void begin_dma(bool write)
{
	for (unsigned i = 0; i < REGIONS; i++)
		rig_region(i, RIG_DATA + 0x1000 * i, 512 | (i == REGIONS - 1 ? RIG_LAST : 0));
	rig_lba28(write ? 0xca : 0xc8, 0, REGIONS);
	rig_bm_start(write ? RIG_WRITE : RIG_READ);
	CHECK_EQ(rig_status(), RIG_BUSY);
	REQUIRE_EQ(slow.n, 1);
}

/* The first step is done when the state is saved; the second one is the other VM's. */
static void test_save_ide_dma_read(void)
{
	REQUIRE(open_with(CDROM));
	put_sectors(0, REGIONS, 0);
	slow.on = true;
	begin_dma(false);
	REQUIRE(move());
	CHECK_EQ(rig_status(), RIG_BUSY);
	CHECK_EQ(rig_bm_status(), 1);
	CHECK_EQ(slow.n, 0);
	fake_service(bench.vm);
	CHECK_EQ(rig_ram(0x1000 * (REGIONS - 1)), 0);
	finish();
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(rig_bm_status(), 4);
	for (unsigned i = 0; i < REGIONS; i++)
		CHECK_EQ(rig_ram(0x1000 * i + 511), i);
}

static void test_save_ide_dma_write(void)
{
	REQUIRE(open_with(CDROM));
	for (unsigned i = 0; i < REGIONS; i++)
		CHECK_EQ(v3_mem_set(bench.vm, RIG_DATA + 0x1000 * i, (uint8_t)(i + 1), 512), V3_OK);
	slow.on = true;
	begin_dma(true);
	REQUIRE(move());
	REQUIRE(move()); /* nothing is done twice */
	fake_service(bench.vm);
	finish();
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	slow.on = false;
	for (unsigned i = 0; i < REGIONS; i++)
		CHECK_EQ(rig_get_sector(i), i + 1);
	CHECK_EQ(rig_get_sector(REGIONS), 0);
}

/* A step ends within the fifth region: the rest of it is the next step's. */
static void test_save_ide_dma_within_region(void)
{
	const uint32_t len = 0xfe00, end = IDE_STEP - 4 * len; /* of a region; in the fifth one */

	REQUIRE(open_with(CDROM));
	put_sectors(IDE_STEP / 512, 1, 0x6b);
	put_sectors(5 * len / 512 - 1, 1, 0x5a);
	slow.on = true;
	for (unsigned i = 0; i < 5; i++)
		rig_region(i, RIG_DATA + 0x10000 * i, len | (i == 4 ? RIG_LAST : 0));
	rig_lba48(0x25, 0, (uint16_t)(5 * len / 512));
	rig_bm_start(RIG_READ);
	REQUIRE(move());
	fake_service(bench.vm);
	finish();
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(rig_bm_status(), 4);
	CHECK_EQ(rig_ram(0x40000 + end), 0x6b);
	CHECK_EQ(rig_ram(0x40000 + len - 1), 0x5a);
}

/* The VM that was saved goes on, too. */
static void test_save_ide_original_goes_on(void)
{
	REQUIRE(open_with(CDROM));
	put_sectors(0, REGIONS, 0);
	slow.on = true;
	begin_dma(false);
	REQUIRE(save_rig_save());
	fake_service(bench.vm);
	finish();
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	for (unsigned i = 0; i < REGIONS; i++)
		CHECK_EQ(rig_ram(0x1000 * i + 511), i);
}

static void test_save_ide_waits_for_bus_master(void)
{
	REQUIRE(open_with(CDROM));
	put_sectors(3, 1, 0x21);
	rig_region(0, RIG_DATA, 512 | RIG_LAST);
	rig_lba28(0xc8, 3, 1);
	CHECK_EQ(rig_status(), RIG_DRQ);
	rig_bm_out(4, 4, RIG_TABLE);
	rig_bm_out(2, 1, 0x66);
	REQUIRE(move());
	CHECK_EQ(rig_bm_status(), 0x60);
	rig_bm_out(0, 1, RIG_READ);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(rig_ram(511), 0x21);
	CHECK_EQ(rig_bm_status(), 0x64);
}

/* The bus master is started already, in the middle of its table, and the command comes later. */
static void test_save_ide_bus_master_waits(void)
{
	REQUIRE(open_with(CDROM));
	put_sectors(3, 2, 0x21);
	rig_region(0, RIG_DATA, 512);
	rig_region(1, RIG_DATA + 0x1000, 512);
	rig_region(2, RIG_DATA + 0x2000, 512 | RIG_LAST);
	rig_lba28(0xc8, 3, 1);
	rig_bm_start(RIG_READ);
	rig_lba28(0xc8, 3, 1);
	rig_bm_out(4, 4, RIG_DATA); /* of the next start */
	REQUIRE(move());
	rig_lba28(0xc8, 4, 1);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(rig_ram(0x1000), 0x21);
	CHECK_EQ(rig_ram(0x2000), 0x22);
	CHECK_EQ(rig_bm_status(), 4);
	CHECK_EQ(fake_in(bench.vm, RIG_BM(0) + 4, 4), RIG_DATA);
}

/* A table that was too short: busy until a reset. */
static void test_save_ide_stalled(void)
{
	REQUIRE(open_with(CDROM));
	rig_region(0, RIG_DATA, 512 | RIG_LAST);
	rig_lba28(0xc8, 0, 2);
	rig_bm_start(RIG_READ);
	REQUIRE(move());
	rig_command(0xec);
	CHECK_EQ(rig_status(), RIG_BUSY);
	out8(0x3f6, 4);
	out8(0x3f6, 0);
	CHECK_EQ(rig_get_sector(0), 0);
}

/* A software reset waits for the step that comes after the move. */
static void test_save_ide_reset_waits(void)
{
	REQUIRE(open_with(CDROM));
	slow.on = true;
	begin_dma(false);
	REQUIRE(move());
	out8(0x3f6, 4);
	out8(0x3f6, 0);
	CHECK_EQ(rig_status(), RIG_BUSY);
	REQUIRE(move());
	CHECK_EQ(rig_status(), RIG_BUSY);
	fake_service(bench.vm);
	finish();
	CHECK_EQ(rig_status(), RIG_OK);
	CHECK_EQ(reg_in(IDE_LBA_LOW), 1);
	CHECK(!rig_intrq());
}

/* Write-through: the flush at the end is not forgotten. */
static void test_save_ide_flush_follows(void)
{
	REQUIRE(open_with(CDROM));
	reg_out(IDE_ERROR, 0x82);
	rig_command(0xef);
	slow.on = true;
	memset(buf, 0x44, 512);
	rig_lba28(0x30, 0, 1);
	rig_pio_out(buf, 512);
	REQUIRE(move());
	slow.ops = 0;
	CHECK_EQ(rig_status(), RIG_BUSY);
	fake_service(bench.vm);
	CHECK_EQ(slow.ops, 1u << V3_BLK_FLUSH);
	finish();
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	slow.on = false;
	CHECK_EQ(rig_get_sector(0), 0x44);
	rig_lba28(0x30, 0, 2); /* while the guest still sends */
	rig_pio_out(buf, 600);
	REQUIRE(move());
	slow.ops = 0;
	rig_pio_out(buf, 424);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK(slow.ops & 1u << V3_BLK_FLUSH);
}

/* ---- settings ---- */

static void identify(uint8_t *id)
{
	rig_command(0xec);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	rig_pio_in(id, 512);
}

static void test_save_ide_settings(void)
{
	uint8_t before[512], after[512];

	REQUIRE(open_with(CDROM));
	reg_out(IDE_COUNT, 8);
	rig_command(0xc6);
	reg_out(IDE_COUNT, 17); /* geometry */
	rig_select(0xa5);
	rig_command(0x91);
	reg_out(IDE_ERROR, 0x82);
	rig_command(0xef);
	reg_out(IDE_ERROR, 3);
	reg_out(IDE_COUNT, 0x21);
	rig_command(0xef);
	identify(before);
	rig_command(0xe0); /* standby */
	REQUIRE(move());
	rig_command(0xe5);
	CHECK_EQ(reg_in(IDE_COUNT), 0);
	identify(after);
	CHECK_MEM(after, before, 512);
}

static void test_save_ide_registers(void)
{
	REQUIRE(open_with(SLAVE));
	rig_select(0x50); /* the slave */
	for (unsigned r = IDE_COUNT; r <= IDE_LBA_HIGH; r++) {
		reg_out(r, (uint8_t)(0x10 + r));
		reg_out(r, (uint8_t)(0x20 + r));
	}
	rig_command(0xff); /* no such command */
	out8(0x3f6, 0x82);
	REQUIRE(move());
	CHECK_EQ(reg_in(IDE_COUNT), 0x12);
	CHECK_EQ(reg_in(IDE_LBA_HIGH), 0x15);
	reg_out(IDE_DEVICE, 0x50); /* HOB off */
	CHECK_EQ(reg_in(IDE_LBA_LOW), 0x23);
	CHECK_EQ(reg_in(IDE_ERROR), 4);
	CHECK_EQ(rig_status(), RIG_ERR);
	CHECK(!rig_intrq());
	out8(0x3f6, 0); /* the interrupt was only disabled */
	CHECK(rig_intrq());
	rig_select(0x40);
	CHECK_EQ(rig_status(), RIG_OK);
	cfg_write(RIG_SLOT, 0x40, 2, 0);
	REQUIRE(move());
	CHECK_EQ(rig_status(), 0xff); /* not decoded */
}

/* The slave's command goes on as the slave's. */
static void test_save_ide_slave(void)
{
	REQUIRE(open_with(SLAVE));
	put_sectors(0, 1, 0x11);
	rig_select(0x50);
	put_sectors(0, 1, 0x22);
	slow.on = true;
	rig_lba28(0x20, 0, 1);
	REQUIRE(move());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	rig_pio_in(buf, 512);
	CHECK_EQ(buf[0], 0x22);
	rig_select(0x40);
	slow.on = false;
	CHECK_EQ(rig_get_sector(0), 0x11);
}

/* ---- packets ---- */

/* Begin a packet command with @p limit bytes of a data block. */
static void begin_packet(uint16_t limit)
{
	reg_out(IDE_ERROR, 0);
	reg_out(IDE_LBA_MID, (uint8_t)limit);
	reg_out(IDE_LBA_HIGH, (uint8_t)(limit >> 8));
	rig_command(0xa0);
	CHECK_EQ(rig_status(), RIG_DRQ);
}

/* @return status at the end, data in buf */
static uint8_t packet(uint8_t op, uint8_t b1, uint8_t b4, uint8_t b8)
{
	const uint8_t cdb[12] = {op, b1, 0, 0, b4, 0, 0, 0, b8, 0};
	unsigned n;

	begin_packet(0x8000);
	rig_pio_out(cdb, 12);
	while (reg_in(IDE_STATUS) == RIG_DRQ) {
		n = reg_in(IDE_LBA_MID) | (unsigned)reg_in(IDE_LBA_HIGH) << 8;
		rig_pio_in(buf, n);
	}
	return rig_status();
}

static bool open_cdrom(void)
{
	if (!open_with(CDROM))
		return false;
	rig.ch = 1;
	return CHECK_EQ(packet(0x03, 0, 18, 0), RIG_OK); /* unit attention */
}

static void test_save_ide_packet(void)
{
	static const uint8_t read[12] = {0x28, 0, 0, 0, 0, 0, 0, 0, 2};
	const char *image = "\177ELF";

	REQUIRE(open_cdrom());
	begin_packet(1000);
	rig_pio_out(read, 4);
	REQUIRE(move());
	rig_pio_out(read + 4, 8);
	CHECK_EQ(reg_in(IDE_COUNT), 2);
	CHECK_EQ(reg_in(IDE_LBA_MID) | reg_in(IDE_LBA_HIGH) << 8, 1000);
	rig_pio_in(buf, 3 * 1000 + 500); /* in the middle of a block of data */
	CHECK_MEM(buf, image, 4);
	REQUIRE(move());
	reg_in(IDE_STATUS);
	rig_pio_in(buf, 500);
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_LBA_MID), 96); /* the rest */
	rig_pio_in(buf, 96);
	CHECK_EQ(reg_in(IDE_COUNT), 3);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
}

static void test_save_ide_medium(void)
{
	REQUIRE(open_cdrom());
	CHECK_EQ(packet(0x1e, 0, 1, 0), RIG_OK);  /* locked */
	CHECK_EQ(packet(0x1b, 0, 2, 0), RIG_ERR); /* cannot be ejected */
	REQUIRE(move());
	CHECK_EQ(packet(0x03, 0, 18, 0), RIG_OK);
	CHECK_EQ(buf[2] << 16 | buf[12] << 8 | buf[13], 0x055302);
	CHECK_EQ(packet(0x1b, 0, 2, 0), RIG_ERR);
	CHECK_EQ(packet(0x1e, 0, 0, 0), RIG_OK);
	CHECK_EQ(packet(0x1b, 0, 2, 0), RIG_OK);
	REQUIRE(move());
	CHECK_EQ(packet(0x00, 0, 0, 0), RIG_ERR); /* no medium */
	CHECK_EQ(packet(0x4a, 1, 0x10, 8), RIG_OK);
	CHECK_EQ(buf[4], 3); /* media removal, told after the move */
	CHECK_EQ(packet(0x1b, 0, 3, 0), RIG_OK);
	REQUIRE(move());
	CHECK_EQ(packet(0x00, 0, 0, 0), RIG_ERR); /* medium changed, once */
	CHECK_EQ(packet(0x03, 0, 18, 0), RIG_OK);
	CHECK_EQ(buf[2] << 16 | buf[12] << 8 | buf[13], 0x062800);
	CHECK_EQ(packet(0x00, 0, 0, 0), RIG_OK);
}

/* ---- images ---- */

static void test_save_ide_refuses(void)
{
	static const struct {
		const char *path;
		uint32_t value;
		unsigned size;
	} cases[] = {
		{".d.heads", 0, 1},
		{".d.heads", 17, 1},
		{".d.spt", 0, 1},
		{".d.spt", 64, 1},
		{".d.multiple", 17, 1},
		{".channel[0].active", 2, 1},
		{".channel[0].active", 1, 1}, /* nobody there */
		{".channel[0].selected", 2, 1},
		{".channel[0].phase", IDE_STALL + 1, 4},
		{".channel[0].x.pos", 513, 4},
		{".channel[0].x.len", IDE_BUF + 1, 4},
		{".channel[0].x.drq_end", IDE_BUF + 1, 4},
		{".channel[0].x.drq_end", 99, 4},
		{".channel[0].x.packet", 1, 1}, /* of a disk */
		{".channel[0].x.dma", 1, 1},
		{".channel[0].x.disk", 0, 1},  /* but something is left on it */
		{".channel[0].x.write", 1, 1}, /* more in the buffer than is to be written */
		{".channel[0].x.write", 2, 1},
		{".channel[1].phase", IDE_WAIT_DMA, 4},
		{".channel[1].phase", IDE_RUN, 4},
	};
	uint8_t right[4];

	REQUIRE(open_with(CDROM));
	rig_lba28(0x20, 0, 80); /* more than the buffer holds */
	rig_pio_in(buf, 100);
	REQUIRE(save_rig_save());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		uint8_t *at = save_rig_field(cases[i].path);

		REQUIRE(at);
		memcpy(right, at, cases[i].size);
		memcpy(at, &cases[i].value, cases[i].size);
		CHECK_MSG(save_rig_load() == V3_EINVAL, "case %u", i);
		memcpy(at, right, cases[i].size);
	}
	REQUIRE_EQ(save_rig_load(), V3_OK);
	rig_pci();
	rig_pio_in(buf, 80 * 512 - 100);
	CHECK_EQ(rig_status(), RIG_OK);
}

/* Whatever is loaded does no harm, and the drives work after a reset. */
static void test_save_ide_hostile(void)
{
	unsigned taken = 0;

	REQUIRE(open_with(CDROM));
	v3_log_set_level(bench.vm, V3_LOG_ERR);
	for (unsigned i = 0; i < 200 && !tap.failures; i++) {
		slow.on = true;
		if (i & 1)
			begin_dma(i & 2);
		else
			rig_lba28(i & 2 ? 0x30 : 0x20, 0, 80);
		REQUIRE(save_rig_save());
		save_tamper(rig_saved.image, rig_saved.len, 2 + (unsigned)(tap_rand() % 100));
		taken += save_rig_load() == V3_OK;
		slow.on = false;
		fake_service(bench.vm);
		for (rig.ch = 0; rig.ch < 2; rig.ch++) {
			bench_hostile(rig_port(0), 8, 40);
			rig_pio_in(buf, 0x9000);
			rig_pio_out(buf, 0x9000);
			rig_bm_start(RIG_READ);
			fake_service(bench.vm);
		}
		rig.ch = 0;
		save_rig_power_on();
		rig_pci();
		rig_get_sector(0);
	}
	CHECK(taken);
}

static const struct tap_test tests[] = {
	TAP(test_save_ide_pio_read),
	TAP(test_save_ide_pio_write),
	TAP(test_save_ide_multiple),
	TAP(test_save_ide_slow_pio),
	TAP(test_save_ide_dma_read),
	TAP(test_save_ide_dma_write),
	TAP(test_save_ide_dma_within_region),
	TAP(test_save_ide_original_goes_on),
	TAP(test_save_ide_waits_for_bus_master),
	TAP(test_save_ide_bus_master_waits),
	TAP(test_save_ide_stalled),
	TAP(test_save_ide_reset_waits),
	TAP(test_save_ide_flush_follows),
	TAP(test_save_ide_settings),
	TAP(test_save_ide_registers),
	TAP(test_save_ide_slave),
	TAP(test_save_ide_packet),
	TAP(test_save_ide_medium),
	TAP(test_save_ide_refuses),
	TAP(test_save_ide_hostile),
};
TAP_MAIN(tests)
