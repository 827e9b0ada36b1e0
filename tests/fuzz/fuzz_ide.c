/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fuzz_ide.c
 * A disk and a CD-ROM drive on one IDE channel and their driver for libFuzzer: the input is a program of what a hostile
 * driver does, and of when the disks finish. The VM is made once; each input begins with a reset. Sanitizers and the
 * fake host judge; a check of the rig that fails aborts, too.
 */
#include "fuzz.h"

#include "ide_rig.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fake_host_test_begin();
	if (!rig_open("size = \"256K\"\n", "size = \"256K\"\ncdrom = true\n"))
		abort();
	return 0;
}

/* A descriptor: data of ours, the end of RAM, or anywhere. */
static void op_region(unsigned i)
{
	uint32_t kind = (uint32_t)take(1), addr;

	switch (kind & 3) {
	case 0:
		addr = 0xfff000 + (uint32_t)take(2);
		break;
	case 1:
		addr = (uint32_t)take(4);
		break;
	default:
		addr = RIG_DATA + 0x100 * (kind >> 2);
		break;
	}
	rig_region(i, addr, (uint32_t)take(2) | (kind & 0x80 ? RIG_LAST : 0));
}

static void op_packet(void)
{
	uint8_t cdb[12];

	rig_select(0x10);
	reg_out(IDE_ERROR, (uint8_t)(take(1) & 3));
	reg_out(IDE_LBA_MID, (uint8_t)take(1));
	rig_command(0xa0);
	for (unsigned i = 0; i < sizeof(cdb); i++)
		cdb[i] = (uint8_t)take(1);
	rig_pio_out(cdb, sizeof(cdb));
}

static void op_pio(bool write)
{
	static uint8_t bytes[4096];
	unsigned n = ((unsigned)take(1) + 1) * 16;

	if (write)
		rig_pio_out(bytes, n);
	else
		rig_pio_in(bytes, n);
}

static void op_command(uint8_t select)
{
	uint8_t code = (uint8_t)take(1);
	uint32_t lba = (uint32_t)take(2);

	rig_select(select);
	if (code & 4)
		rig_lba48(code, lba, (uint16_t)take(1));
	else
		rig_lba28(code, lba, (uint8_t)take(1));
}

static void op_port(unsigned size)
{
	unsigned reg = (unsigned)take(1) & 7;

	if (size & 8)
		fake_in(bench.vm, rig_port(reg), size & 7);
	else
		fake_out(bench.vm, rig_port(reg), size & 7,
			 (uint32_t)take(4) & (~0u >> (32 - 8 * (size & 7))));
}

static void step(void)
{
	static const uint8_t sizes[] = {1, 2, 4, 1};
	uint32_t op = (uint32_t)take(1), n = op >> 4;
	uint32_t off;

	switch (op & 15) {
	case 0:
		off = 0x40 + ((uint32_t)take(1) & 0x3c);
		cfg_write(RIG_SLOT, off, 4, (uint32_t)take(4) | 0x80008000);
		break;
	case 1:
		op_port(sizes[n & 3] | (n & 8));
		break;
	case 2:
		out8(0x3f6, (uint8_t)(take(1) & (n ? 0x82 : 0xff)));
		break;
	case 3:
		off = (uint32_t)take(1) & 15;
		fake_out(bench.vm, (uint16_t)(RIG_BM(0) + off), sizes[n & 3],
			 (uint32_t)take(4) & (~0u >> (32 - 8 * sizes[n & 3])));
		break;
	case 4:
	case 5:
		op_region(n);
		break;
	case 6:
		rig_bm_start(n & 1 ? RIG_READ : RIG_WRITE);
		break;
	case 7:
		slow.on = n & 1;
		slow.fail = n == 15 ? V3_EIO : V3_OK;
		break;
	case 8:
		if (slow.n)
			slow_finish(n % slow.n);
		break;
	case 9:
		fake_service(bench.vm);
		break;
	case 10:
		op_pio(n & 1);
		break;
	case 11:
	case 12:
		op_packet();
		break;
	case 13:
		if (!n)
			rig_reset();
		break;
	default:
		op_command(n & 1 ? 0x10 : 0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned steps;

	fuzz_begin(data, size);
	fake_log_clear();
	rig_reset();
	for (steps = 0; fuzz_in.left && steps < 200; steps++)
		step();
	slow.on = false;
	slow.fail = V3_OK;
	while (slow.n)
		slow_finish(0);
	/* Whatever happened: a reset of the VM leaves a drive that works. */
	rig_reset();
	fake_service(bench.vm);
	if (!CHECK_EQ(rig_status(), RIG_OK) || tap.failures)
		abort();
	return 0;
}
