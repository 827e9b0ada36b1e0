/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_piix4_pm.c
 * Power management function beside the ISA bridge: where it puts the ports of the ACPI fixed hardware and of the SMBus
 * host controller, and that controller, on whose bus is nobody.
 */
#include "pci_bench.h"

#define PMBA	   0x40
#define PMREGMISC  0x80
#define SMBBA	   0x90
#define SMBHSTCFG  0xd2
#define SMB	   V3_PC_SMBUS_BASE
#define OFF_TMR	   8
#define MOVED	   0xb000
#define SMB_STATUS (SMB + 0)
#define SMB_START  (SMB + 2)
#define SCI	   bench.level[V3_PC_IRQ_SCI]

static void *acpi, *pm;

static uint32_t pm_read(unsigned off, unsigned size)
{
	choose(V3_PC_ISA_BRIDGE_SLOT, V3_PC_PM_FUNCTION, off);
	return fake_in(bench.vm, (uint16_t)(PCI_DATA + (off & 3)), size);
}

static void pm_write(unsigned off, unsigned size, uint32_t value)
{
	choose(V3_PC_ISA_BRIDGE_SLOT, V3_PC_PM_FUNCTION, off);
	CHECK_EQ(fake_out(bench.vm, (uint16_t)(PCI_DATA + (off & 3)), size, value), V3_OK);
}

/* The bridge and what else there is become the VM's devices, for the new one to find. */
static int pm_create(const struct v3_device_class *cls, void **dev, unsigned ndevices)
{
	int err;

	bench.vm->ndevices = ndevices;
	err = fake_device_create(bench.vm, cls, "", dev);
	bench.vm->ndevices = 0;
	return err;
}

static bool pm_create_all(void)
{
	struct v3_device *device = bench.vm->device;

	device[0].cls = &v3_device_pci_host;
	device[0].state = bench.dev;
	if (!CHECK_EQ(pm_create(&v3_device_acpi_pm, &acpi, 1), V3_OK))
		return false;
	device[1].cls = &v3_device_acpi_pm;
	device[1].state = acpi;
	return CHECK_EQ(pm_create(&v3_device_piix4_pm, &pm, 2), V3_OK);
}

static bool pm_open(void)
{
	return pci_bench_open() && pm_create_all();
}

/* The same with firmware ROM: nothing is programmed yet. */
static bool pm_open_firmware(void)
{
	memset(&bench, 0, sizeof(bench));
	bench.cls = &v3_device_pci_host;
	bench.vm = fake_vm_bare(1, 16);
	return CHECK(bench.vm != NULL) &&
	       CHECK_EQ(v3_irq_sink_register(bench.vm, bench_irq, &bench), V3_OK) &&
	       CHECK_EQ(v3_mem_add_rom(bench.vm, 0xfffc0000, 0x40000), V3_OK) &&
	       CHECK_EQ(fake_device_create(bench.vm, bench.cls, "", &bench.dev), V3_OK) &&
	       pm_create_all();
}

static bool taken(uint16_t port)
{
	int err = v3_io_register(bench.vm, port, 1, NULL, NULL);

	if (!err)
		v3_io_unregister(bench.vm, port);
	return err == V3_EEXIST;
}

/* Does the timer count there? */
static bool counts(uint16_t base)
{
	uint32_t before = fake_in(bench.vm, (uint16_t)(base + OFF_TMR), 4);

	fake_clock_advance(BENCH_S);
	return fake_in(bench.vm, (uint16_t)(base + OFF_TMR), 4) - before - 3579544 < 3;
}

static void test_piix4_pm_identity(void)
{
	REQUIRE(pm_open());
	CHECK_EQ(pm_read(0, 4), 0x71138086);
	CHECK_EQ(pm_read(8, 4), 0x06800003);
	CHECK_EQ(pm_read(0x3c, 4), 0x00000100);
}

static void test_piix4_pm_without_firmware(void)
{
	REQUIRE(pm_open());
	CHECK_EQ(pm_read(PMBA, 4), V3_PC_PM_BASE | 1);
	CHECK_EQ(pm_read(PMREGMISC, 1), 1);
	CHECK_EQ(pm_read(SMBBA, 4), SMB | 1);
	CHECK_EQ(pm_read(SMBHSTCFG, 1), 0x09);
	CHECK(counts(V3_PC_PM_BASE));
	CHECK(taken(SMB));
}

static void test_piix4_pm_under_firmware(void)
{
	REQUIRE(pm_open_firmware());
	CHECK_EQ(pm_read(PMBA, 4), 1);
	CHECK_EQ(pm_read(PMREGMISC, 1), 0);
	CHECK_EQ(pm_read(SMBBA, 4), 1);
	CHECK_EQ(pm_read(SMBHSTCFG, 1), 0);
	CHECK_EQ(pm_read(0x58, 4), 0x02000000); /* no SMI handler is wanted */
	CHECK(counts(V3_PC_PM_BASE));		/* as the tables say */
	CHECK(!taken(SMB));
}

static void test_piix4_pm_block_moves(void)
{
	REQUIRE(pm_open_firmware());
	pm_write(PMBA, 4, 0xffffb03f);
	CHECK_EQ(pm_read(PMBA, 4), MOVED | 1);
	CHECK(!taken(MOVED));
	pm_write(PMREGMISC, 1, 0xff);
	CHECK_EQ(pm_read(PMREGMISC, 1), 1);
	CHECK(counts(MOVED) && counts(V3_PC_PM_BASE));
	fake_out(bench.vm, MOVED + 2, 2, V3_PC_PM1_STS_PWRBTN); /* the same registers */
	CHECK_EQ(fake_in(bench.vm, V3_PC_PM1_EVT + 2, 2), V3_PC_PM1_STS_PWRBTN);
	CHECK_EQ(fake_in(bench.vm, MOVED, 4), V3_PC_PM1_STS_PWRBTN << 16);
	CHECK(taken(MOVED + 63) && !taken(MOVED + 64));
	pm_write(PMBA, 4, 0x4000);
	CHECK(!taken(MOVED) && counts(0x4000));
	pm_write(PMREGMISC, 1, 0);
	CHECK(!taken(0x4000) && counts(V3_PC_PM_BASE));
}

static void test_piix4_pm_power_off_where_it_moved(void)
{
	REQUIRE(pm_open_firmware());
	pm_write(PMBA, 4, MOVED);
	pm_write(PMREGMISC, 1, 1);
	fake_out(bench.vm, MOVED + 4, 2,
		 V3_PC_PM1_CNT_SLP_TYP(V3_PC_SLP_TYP_S5) | V3_PC_PM1_CNT_SLP_EN);
	CHECK_EQ(v3_vm_stop_reason(bench.vm, NULL), V3_STOP_POWEROFF);
}

static int neighbour(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	(void)vcpu;
	(void)priv;
	io->value = 0x5a;
	return V3_OK;
}

static void test_piix4_pm_taken_ports(void)
{
	REQUIRE(pm_open_firmware());
	REQUIRE_EQ(v3_io_register(bench.vm, MOVED + 63, 1, neighbour, NULL), V3_OK);
	pm_write(PMBA, 4, MOVED);
	pm_write(PMREGMISC, 1, 1);
	CHECK(!taken(MOVED));
	CHECK_EQ(in8(MOVED + 63), 0x5a);
	CHECK(fake_log_contains("ports 0xb000 are taken"));
	pm_write(PMBA, 4, MOVED + 64);
	CHECK(counts(MOVED + 64));
	pm_write(PMBA, 4, 0xffc0); /* the last ones */
	CHECK(counts(0xffc0) && !taken(MOVED + 64));
}

static void test_piix4_pm_smbus_moves(void)
{
	REQUIRE(pm_open_firmware());
	pm_write(SMBBA, 4, 0xffff5127);
	CHECK_EQ(pm_read(SMBBA, 4), 0x5121);
	CHECK(!taken(0x5120));
	pm_write(SMBHSTCFG, 1, 0xff);
	CHECK_EQ(pm_read(SMBHSTCFG, 1), 0x0f);
	CHECK(taken(0x5120) && taken(0x512f) && !taken(0x5130));
	out8(0x5125, 0x77);
	CHECK_EQ(in8(0x5125), 0x77);
	pm_write(SMBHSTCFG, 1, 0);
	CHECK(!taken(0x5120));
}

/* Each protocol, to an address where nobody is. */
static void test_piix4_pm_smbus_nobody_answers(void)
{
	REQUIRE(pm_open());
	for (uint8_t protocol = 0; protocol < 8; protocol++) {
		CHECK_EQ(in8(SMB_STATUS), 0);
		out8(SMB + 4, 0xa1);
		out8(SMB_START, (uint8_t)(0x40 | protocol << 2));
		CHECK_EQ(in8(SMB_STATUS), 0x04); /* device error, not busy */
		CHECK_EQ(in8(SMB_START), protocol << 2);
		out8(SMB_STATUS, 0xff);
	}
	CHECK(!SCI);
}

static void test_piix4_pm_smbus_killed(void)
{
	REQUIRE(pm_open());
	out8(SMB_START, 0x42);
	CHECK_EQ(in8(SMB_STATUS), 0x10);
	out8(SMB_STATUS, 0x10);
	out8(SMB_START, 0x40);
	CHECK_EQ(in8(SMB_STATUS), 0x04);
}

static void test_piix4_pm_smbus_interrupt(void)
{
	REQUIRE(pm_open());
	out8(SMB_START, 0x41);
	CHECK(SCI);
	v3_device_acpi_pm.power_button(acpi); /* shares the line */
	out8(SMB_STATUS, 0x04);
	CHECK(!SCI);
	out8(SMB_START, 0x41);
	fake_out(bench.vm, V3_PC_PM1_EVT + 2, 2, V3_PC_PM1_STS_PWRBTN);
	out8(SMB_STATUS, 0x04);
	CHECK(SCI);
	fake_out(bench.vm, V3_PC_PM1_EVT, 2, V3_PC_PM1_STS_PWRBTN);
	CHECK(!SCI);
	pm_write(SMBHSTCFG, 1, 0x01); /* an SMI instead, which there is not */
	out8(SMB_START, 0x41);
	CHECK(!SCI);
	pm_write(SMBHSTCFG, 1, 0x09);
	CHECK(SCI);
}

static void test_piix4_pm_smbus_block(void)
{
	REQUIRE(pm_open());
	in8(SMB_START); /* index 0 */
	for (uint8_t i = 0; i < 33; i++)
		out8(SMB + 7, (uint8_t)(0x80 + i));
	in8(SMB_START);
	CHECK_EQ(in8(SMB + 7), 0xa0); /* the 33rd byte came round */
	CHECK_EQ(in8(SMB + 7), 0x81);
}

/* What a write changes of each register. */
static void test_piix4_pm_smbus_registers(void)
{
	static const uint8_t stored[16] = {0x00, 0x00, 0x1f, 0xff, 0xff, 0xff, 0xff, 0x00,
					   0x0f, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00};

	REQUIRE(pm_open());
	for (unsigned i = 0; i < 16; i++) {
		if (i == 7)
			continue;
		out8((uint16_t)(SMB + i), 0xbf);
		CHECK_EQ(in8((uint16_t)(SMB + i)), 0xbf & stored[i]);
	}
}

static void test_piix4_pm_reset(void)
{
	REQUIRE(pm_open());
	pm_write(PMBA, 4, MOVED);
	pm_write(SMBBA, 4, MOVED + 64);
	out8(MOVED + 66, 0x41);
	CHECK(SCI && taken(MOVED));
	bench_reset();
	v3_device_acpi_pm.reset(acpi);
	v3_device_piix4_pm.reset(pm);
	CHECK(!SCI && !taken(MOVED) && !taken(MOVED + 64));
	CHECK_EQ(pm_read(PMBA, 4), V3_PC_PM_BASE | 1);
	CHECK_EQ(in8(SMB_STATUS), 0);
	CHECK_EQ(in8(SMB_START), 0);
}

static void test_piix4_pm_needs_others(void)
{
	REQUIRE(pci_bench_open());
	bench.vm->device[0].cls = &v3_device_pci_host;
	bench.vm->device[0].state = bench.dev;
	CHECK_EQ(pm_create(&v3_device_piix4_pm, &pm, 1), V3_ENODEV);
	bench.vm->device[0].cls = &v3_device_acpi_pm;
	CHECK_EQ(pm_create(&v3_device_piix4_pm, &pm, 1), V3_ENODEV);
}

static int pm_oom_create(void *arg)
{
	(void)arg;
	bench.vm->ndevices = 2;
	return v3_device_piix4_pm.create(bench.vm, bench_cfg, &pm);
}

static void pm_oom_destroy(void *arg)
{
	(void)arg;
	v3_device_piix4_pm.destroy(pm);
	bench.vm->ndevices = 0;
}

static void test_piix4_pm_oom(void)
{
	REQUIRE(pm_open());
	fake_device_destroy(bench.vm, pm);
	CHECK(!taken(SMB));
	bench_cfg = fake_cfg(&v3_device_piix4_pm, "");
	REQUIRE(bench_cfg);
	CHECK(fake_host_oom_each_step(pm_oom_create, pm_oom_destroy, NULL) >= 3);
	bench.vm->ndevices = 0;
}

static void test_piix4_pm_hostile(void)
{
	static const uint8_t regs[] = {PMBA,	  PMBA + 1,  PMREGMISC, SMBBA,
				       SMBBA + 1, SMBHSTCFG, 0x5b,	0x04};

	REQUIRE(pm_open());
	for (unsigned i = 0; i < 3000 && !tap.failures; i++) {
		pm_write(regs[tap_rand() % V3_ARRAY_SIZE(regs)], 1, bench_hostile_value() & 0xff);
		bench_hostile((uint16_t)(pm_read(PMBA, 4) & ~63u), 64, 10);
		bench_hostile((uint16_t)(pm_read(SMBBA, 4) & ~15u), 16, 10);
	}
	CHECK(counts(V3_PC_PM_BASE));
}

static const struct tap_test tests[] = {
	TAP(test_piix4_pm_identity),
	TAP(test_piix4_pm_without_firmware),
	TAP(test_piix4_pm_under_firmware),
	TAP(test_piix4_pm_block_moves),
	TAP(test_piix4_pm_power_off_where_it_moved),
	TAP(test_piix4_pm_taken_ports),
	TAP(test_piix4_pm_smbus_moves),
	TAP(test_piix4_pm_smbus_nobody_answers),
	TAP(test_piix4_pm_smbus_killed),
	TAP(test_piix4_pm_smbus_interrupt),
	TAP(test_piix4_pm_smbus_block),
	TAP(test_piix4_pm_smbus_registers),
	TAP(test_piix4_pm_reset),
	TAP(test_piix4_pm_needs_others),
	TAP(test_piix4_pm_oom),
	TAP(test_piix4_pm_hostile),
};
TAP_MAIN(tests)
