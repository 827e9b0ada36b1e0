/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_atapi.c
 * CD-ROM drives: the packet protocol by PIO and DMA, each command packet, the medium that comes and goes.
 */
#include "ide_rig.h"

#define BLOCK  2048u
#define BLOCKS 64u

#define MODE_PIO 0
#define MODE_DMA 1

/* The drive alone on its channel, unit attention taken; block n is filled with n. */
static bool open_cdrom(void)
{
	static uint8_t image[BLOCKS * BLOCK];
	struct fake_file file = {.name = "cd.iso", .data = image, .len = sizeof(image)};
	char toml[512];

	memset(&bench, 0, sizeof(bench));
	memset(&slow, 0, sizeof(slow));
	memset(&rig, 0, sizeof(rig));
	for (unsigned i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(i / BLOCK);
	snprintf(toml, sizeof(toml),
		 "%s[[device]]\nclass = \"ide\"\nslot = %d\nimage = \"cd.iso\"\ncdrom = true\n",
		 fake_pc_toml(1, 16), RIG_SLOT);
	if (!CHECK_EQ(fake_vm_create(toml, &file, 1, &bench.vm), V3_OK) ||
	    !CHECK_EQ(v3_irq_sink_register(bench.vm, bench_irq, &bench), V3_OK))
		return false;
	rig_pci();
	return true;
}

/* Send a packet. @param limit  bytes of a data block at most */
static void send(const uint8_t *cdb, uint8_t features, uint16_t limit)
{
	reg_out(IDE_ERROR, features);
	reg_out(IDE_LBA_MID, (uint8_t)limit);
	reg_out(IDE_LBA_HIGH, (uint8_t)(limit >> 8));
	rig_command(0xa0);
	CHECK_EQ(reg_in(IDE_COUNT), 1);
	CHECK_EQ(rig_status(), RIG_DRQ);
	CHECK(!rig_intrq());
	rig_pio_out(cdb, 12);
}

/* Send it and take the answer by PIO. @return bytes; -1: CHECK CONDITION */
static int packet_limit(const uint8_t *cdb, uint16_t limit)
{
	unsigned len = 0, n;

	send(cdb, MODE_PIO, limit);
	while (reg_in(IDE_STATUS) == RIG_DRQ && len < sizeof(buf)) {
		CHECK_EQ(reg_in(IDE_COUNT), 2);
		n = reg_in(IDE_LBA_MID) | (unsigned)reg_in(IDE_LBA_HIGH) << 8;
		CHECK(n && n <= limit);
		rig_pio_in(buf + len, n);
		CHECK(rig_intrq());
		len += n;
	}
	CHECK_EQ(reg_in(IDE_COUNT), 3);
	return rig_status() & 1 ? -1 : (int)len;
}

static int packet(uint8_t op, uint8_t b1, uint8_t b2, uint8_t b4, uint8_t b8)
{
	const uint8_t cdb[12] = {op, b1, b2, 0, b4, 0, 0, 0, b8};

	memset(buf, 0xee, sizeof(buf));
	return packet_limit(cdb, 0xfffe);
}

/* Key, code and qualifier of the last failure. */
static uint32_t sense(void)
{
	CHECK_EQ(packet(0x03, 0, 0, 18, 0), 18);
	CHECK_EQ(buf[0], 0x70);
	return IDE_SENSE(buf[2], buf[12], buf[13]);
}

static int ready(void)
{
	return packet(0x00, 0, 0, 0, 0);
}

static void test_atapi_signature(void)
{
	REQUIRE(open_cdrom());
	CHECK_EQ(rig_status(), 0);
	CHECK_EQ(reg_in(IDE_LBA_MID), 0x14);
	CHECK_EQ(reg_in(IDE_LBA_HIGH), 0xeb);
	rig_command(0xec); /* a command for disks */
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
	CHECK_EQ(reg_in(IDE_ERROR), 0x04);
	CHECK_EQ(reg_in(IDE_LBA_MID), 0x14);
	CHECK_EQ(reg_in(IDE_LBA_HIGH), 0xeb);
	rig_command(0xa1);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	rig_pio_in(buf, 512);
	CHECK_EQ(buf[0] | buf[1] << 8, 0x85c0);
	CHECK_EQ(rig_status(), RIG_OK);
	reg_out(IDE_LBA_MID, 0);
	rig_command(0x08); /* DEVICE RESET */
	CHECK(!rig_intrq());
	CHECK_EQ(rig_status(), 0);
	CHECK_EQ(reg_in(IDE_LBA_MID), 0x14);
}

static void test_atapi_other_commands(void)
{
	REQUIRE(open_cdrom());
	rig_command(0xe7);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	rig_command(0xe5);
	CHECK_EQ(reg_in(IDE_COUNT), 0xff);
	reg_out(IDE_ERROR, 0x03);
	reg_out(IDE_COUNT, 0x22);
	rig_command(0xef);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	reg_out(IDE_ERROR, 0x02);
	rig_command(0xef);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
	reg_out(IDE_ERROR, 0x02); /* overlapped */
	rig_command(0xa0);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
}

static void test_atapi_unit_attention(void)
{
	REQUIRE(open_cdrom());
	CHECK_EQ(packet(0x12, 0, 0, 36, 0), 36); /* does not mind */
	CHECK_EQ(ready(), -1);
	CHECK_EQ(reg_in(IDE_ERROR), 0x64);
	CHECK_EQ(sense(), 0x062900);
	CHECK_EQ(sense(), 0);
	CHECK_EQ(ready(), 0);
	fake_vm_destroy(bench.vm);
	REQUIRE(open_cdrom());
	CHECK_EQ(sense(), 0x062900); /* asked before anything failed */
	CHECK_EQ(ready(), 0);
}

static void test_atapi_inquiry(void)
{
	REQUIRE(open_cdrom());
	CHECK_EQ(packet(0x12, 0, 0, 36, 0), 36);
	CHECK_EQ(buf[0], 5);
	CHECK_EQ(buf[1], 0x80);
	CHECK_MEM(buf + 8, "PALACIOSCD-ROM          1.0 ", 28);
	CHECK_EQ(packet(0x12, 0, 0, 5, 0), 5);
	CHECK_EQ(packet(0x12, 1, 0, 36, 0), -1);
	CHECK_EQ(sense(), 0x052400);
}

static void test_atapi_unknown_packet(void)
{
	REQUIRE(open_cdrom());
	sense();
	CHECK_EQ(packet(0xff, 0, 0, 0, 0), -1);
	CHECK_EQ(reg_in(IDE_ERROR), 0x54);
	CHECK_EQ(sense(), 0x052000);
}

static void test_atapi_read_pio(void)
{
	const uint8_t read10[12] = {0x28, 0, 0, 0, 0, 3, 0, 0, 20};
	const uint8_t read12[12] = {0xa8, 0, 0, 0, 0, 63, 0, 0, 0, 1};

	REQUIRE(open_cdrom());
	sense();
	CHECK_EQ(packet_limit(read10, 0xfffe), 20 * BLOCK);
	for (unsigned i = 0; i < 20 * BLOCK; i += 1023)
		CHECK_EQ(buf[i], 3 + i / BLOCK);
	CHECK_EQ(packet_limit(read10, 2048), 20 * BLOCK);
	CHECK_EQ(buf[20 * BLOCK - 1], 22);
	CHECK_EQ(packet_limit(read10, 1001), 20 * BLOCK); /* an odd limit is made even */
	CHECK_EQ(buf[20 * BLOCK - 1], 22);
	CHECK_EQ(packet_limit(read12, 0xfffe), BLOCK);
	CHECK_EQ(buf[0], 63);
}

static void test_atapi_read_ranges(void)
{
	static const struct {
		uint8_t cdb[12];
		int len;
	} cases[] = {
		{{0x28, 0, 0, 0, 0, 63, 0, 0, 1}, BLOCK},
		{{0x28, 0, 0, 0, 0, 63, 0, 0, 2}, -1},
		{{0x28, 0, 0, 0, 0, 64, 0, 0, 0}, 0},
		{{0x28, 0, 0, 0, 0, 65, 0, 0, 0}, -1},
		{{0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1}, -1},
		{{0xa8, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}, -1},
		{{0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0x10}, BLOCK},
		{{0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0}, 0},
		{{0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0xf8}, -1}, /* raw sectors */
		{{0xbe, 4, 0, 0, 0, 1, 0, 0, 1, 0x10}, -1}, /* audio */
		{{0x2b, 0, 0, 0, 0, 63}, 0},
		{{0x2b, 0, 0, 0, 0, 64}, -1},
	};

	REQUIRE(open_cdrom());
	sense();
	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		int len = packet_limit(cases[i].cdb, 0xfffe);

		CHECK_MSG(len == cases[i].len, "case %u: %d", i, len);
	}
}

static void test_atapi_dma(void)
{
	const uint8_t read10[12] = {0x28, 0, 0, 0, 0, 1, 0, 0, 3};
	const uint8_t inquiry[12] = {0x12, 0, 0, 0, 36};

	REQUIRE(open_cdrom());
	sense();
	rig_region(0, RIG_DATA, 3000);
	rig_region(1, RIG_DATA + 3000, (3 * BLOCK - 3000) | RIG_LAST);
	rig_bm_start(RIG_READ);
	send(read10, MODE_DMA, 0);
	CHECK(rig_intrq());
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(reg_in(IDE_COUNT), 3);
	CHECK_EQ(rig_bm_status(), 0x04);
	CHECK_EQ(rig_ram(0), 1);
	CHECK_EQ(rig_ram(3 * BLOCK - 1), 3);
	rig_region(0, RIG_DATA, 30);
	rig_region(1, RIG_DATA + 30, 6 | RIG_LAST);
	send(inquiry, MODE_DMA, 0);
	CHECK_EQ(rig_status(), RIG_DRQ);
	rig_bm_start(RIG_READ);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_OK);
	CHECK_EQ(rig_ram(0), 5);
	CHECK_EQ(rig_ram(8), 'P');
	rig_region(0, 0xe0000000, 36 | RIG_LAST);
	rig_bm_start(RIG_READ);
	send(inquiry, MODE_DMA, 0);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_ERR);
	CHECK_EQ(sense(), 0x0b0000);
}

static void test_atapi_disk_fails(void)
{
	const uint8_t read10[12] = {0x28, 0, 0, 0, 0, 1, 0, 0, 1};

	REQUIRE(open_cdrom());
	sense();
	slow.fail = V3_EIO;
	CHECK_EQ(packet_limit(read10, 0xfffe), -1);
	CHECK_EQ(sense(), 0x031100);
}

static void test_atapi_slow(void)
{
	const uint8_t read10[12] = {0x28, 0, 0, 0, 0, 1, 0, 0, 1};

	REQUIRE(open_cdrom());
	sense();
	slow.on = true;
	send(read10, MODE_PIO, 0xfffe);
	CHECK_EQ(rig_status(), RIG_BUSY);
	rig_command(0x08);
	CHECK_EQ(rig_status(), RIG_BUSY);
	slow_finish(0);
	fake_service(bench.vm);
	CHECK_EQ(reg_in(IDE_STATUS), RIG_DRQ);
	rig_pio_in(buf, BLOCK);
	CHECK_EQ(buf[0], 1);
}

static void test_atapi_capacity_and_toc(void)
{
	static const uint8_t toc[20] = {0, 18, 1, 1,	0,    0x14, 1, 0, 0, 0,
					0, 0,  0, 0x14, 0xaa, 0,    0, 0, 0, BLOCKS};
	const uint8_t msf[12] = {0x43, 2, 0, 0, 0, 0, 0xaa, 0, 20};

	REQUIRE(open_cdrom());
	sense();
	CHECK_EQ(packet(0x25, 0, 0, 0, 0), 8);
	CHECK_EQ(buf[3], BLOCKS - 1);
	CHECK_EQ(buf[6], 8);
	CHECK_EQ(packet(0x43, 0, 0, 0, 20), 20);
	CHECK_MEM(buf, toc, sizeof(toc));
	CHECK_EQ(packet(0x43, 0, 1, 0, 12), 12); /* sessions */
	CHECK_EQ(buf[6], 1);
	CHECK_EQ(packet_limit(msf, 0xfffe), 12);
	CHECK_EQ(buf[6], 0xaa);
	CHECK_EQ(buf[10], 2); /* 214 frames: 2 s 64 */
	CHECK_EQ(buf[11], 64);
	CHECK_EQ(packet(0x43, 0, 4, 0, 20), -1);
	CHECK_EQ(sense(), 0x052400);
	CHECK_EQ(packet(0x51, 0, 0, 0, 34), 34);
	CHECK_EQ(buf[2], 0x0e);
}

static void test_atapi_eject(void)
{
	REQUIRE(open_cdrom());
	sense();
	CHECK_EQ(packet(0x1e, 0, 0, 1, 0), 0); /* lock */
	CHECK_EQ(packet(0x1b, 0, 0, 2, 0), -1);
	CHECK_EQ(sense(), 0x055302);
	CHECK_EQ(packet(0x1e, 0, 0, 0, 0), 0);
	CHECK_EQ(packet(0x1b, 0, 0, 2, 0), 0);
	CHECK_EQ(ready(), -1);
	CHECK_EQ(reg_in(IDE_ERROR), 0x24);
	CHECK_EQ(sense(), 0x023a00);
	CHECK_EQ(packet(0x25, 0, 0, 0, 0), -1);
	CHECK_EQ(packet(0x4a, 1, 0, 0x10, 8), 8);
	CHECK_EQ(buf[4], 3);
	CHECK_EQ(buf[5], 1);
	CHECK_EQ(packet(0x1b, 0, 0, 3, 0), 0); /* load */
	CHECK_EQ(packet(0x4a, 1, 0, 0x10, 8), 8);
	CHECK_EQ(buf[4], 2);
	CHECK_EQ(buf[5], 2);
	CHECK_EQ(packet(0x4a, 1, 0, 0x10, 8), 8);
	CHECK_EQ(buf[4], 0);
	CHECK_EQ(ready(), -1);
	CHECK_EQ(sense(), 0x062800);
	CHECK_EQ(ready(), 0);
	CHECK_EQ(packet(0x1b, 0, 0, 0x22, 0), 0); /* a power condition: no eject */
	CHECK_EQ(ready(), 0);
}

static void test_atapi_modes_and_features(void)
{
	REQUIRE(open_cdrom());
	sense();
	CHECK_EQ(packet(0x5a, 0, 0x2a, 0, 64), 28);
	CHECK_EQ(buf[1], 26);
	CHECK_EQ(buf[8], 0x2a);
	CHECK_EQ(packet(0x5a, 0, 0x3f, 0, 64), 36);
	CHECK_EQ(packet(0x5a, 0, 0x01, 0, 10), 10);
	CHECK_EQ(packet(0x5a, 0, 0x0d, 0, 64), -1);
	CHECK_EQ(packet(0x5a, 0, 0xc1, 0, 64), -1); /* saved values */
	CHECK_EQ(packet(0x46, 0, 0, 0, 200), 8 + 12 + 12 + 8 + 12);
	CHECK_EQ(buf[3], 48);
	CHECK_EQ(buf[7], 0x08);
	CHECK_EQ(packet(0x46, 2, 0, 0, 200), 20); /* one feature: the profiles */
	CHECK_EQ(buf[11], 8);
	CHECK_EQ(packet(0x4a, 0, 0, 0x10, 8), -1);
	CHECK_EQ(packet(0x4a, 1, 0, 0x02, 8), 4);
	CHECK_EQ(buf[2], 0x80);
	CHECK_EQ(packet(0xbb, 0, 0, 0, 0), 0);
}

/* Random packets, with DMA and without. */
static void test_atapi_hostile(void)
{
	uint8_t cdb[12];

	REQUIRE(open_cdrom());
	rig_region(0, RIG_DATA, 0);
	rig_region(1, RIG_DATA, RIG_LAST);
	for (unsigned i = 0; i < 3000 && !tap.failures; i++) {
		static const uint8_t ops[] = {0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x2b,
					      0x43, 0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xbe};

		for (unsigned k = 0; k < sizeof(cdb); k++)
			cdb[k] = (uint8_t)(tap_rand() & (tap_rand() & 1 ? 0x3f : 0xff));
		cdb[0] = ops[tap_rand() % V3_ARRAY_SIZE(ops)];
		if (i & 1)
			cdb[2] = cdb[3] = cdb[4] = cdb[6] = cdb[7] = 0;
		rig_bm_start(RIG_READ);
		send(cdb, (uint8_t)(tap_rand() & 1), (uint16_t)tap_rand());
		fake_service(bench.vm);
		rig_pio_in(buf, 64);
		if (rig_status() == RIG_BUSY) { /* the table was too short */
			rig_command(0x08);
			CHECK_EQ(rig_status(), 0);
		}
		reg_in(IDE_STATUS);
	}
	rig_command(0x08);
	packet(0x1e, 0, 0, 0, 0);
	packet(0x1b, 0, 0, 3, 0);
	sense();
	packet(0x1b, 0, 0, 3, 0);
	sense();
	CHECK_EQ(ready(), 0);
}

static const struct tap_test tests[] = {
	TAP(test_atapi_signature),	    TAP(test_atapi_other_commands),
	TAP(test_atapi_unit_attention),	    TAP(test_atapi_inquiry),
	TAP(test_atapi_unknown_packet),	    TAP(test_atapi_read_pio),
	TAP(test_atapi_read_ranges),	    TAP(test_atapi_dma),
	TAP(test_atapi_disk_fails),	    TAP(test_atapi_slow),
	TAP(test_atapi_capacity_and_toc),   TAP(test_atapi_eject),
	TAP(test_atapi_modes_and_features), TAP(test_atapi_hostile),
};
TAP_MAIN(tests)
