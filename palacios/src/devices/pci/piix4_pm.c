/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file piix4_pm.c
 * Power management function of an Intel PIIX4 (82371AB data sheet, chapter 7), function 3 beside the ISA bridge: it
 * says where the ports of the ACPI fixed hardware (chipset/acpi_pm.c) and of the SMBus host controller are. No slave is
 * on that bus: every transaction ends with a device error. Called by host_bridge.c, calls bus.c.
 *
 * Firmware programs the places. For kernels that are booted without any, the VMM does in its place.
 */
#include "devices/pci/pci.h"

#include "devices/chipset/acpi_pm.h"
#include "devices/devices.h"
#include "devices/port8.h"
#include "palacios/error.h"
#include "palacios/io.h"
#include "palacios/log.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/util/str.h"

#define V3_LOG_TAG "piix4_pm"

/* Configuration space, 7.1 */
#define PIIX4_PMBA	   0x40
#define PIIX4_DEVACTB	   0x58
#define PIIX4_PMREGMISC	   0x80
#define PIIX4_SMBBA	   0x90
#define PIIX4_SMBHSTCFG	   0xd2
#define PIIX4_IO_SPACE	   0x01 /* of PMBA and SMBBA: read-only */
#define PIIX4_PMIOSE	   0x01 /* the block at PMBA answers */
#define PIIX4_SMB_HST_EN   0x01
#define PIIX4_SMB_INTRSEL  0x0e
#define PIIX4_SMB_IRQ9	   0x08
#define PIIX4_DEVACTB_APMC 0x02 /* of its highest byte */

/* SMBus host controller, 7.3 */
#define SMB_HSTSTS  0x00
#define SMB_HSTCNT  0x02
#define SMB_HSTCMD  0x03
#define SMB_HSTADD  0x04
#define SMB_HSTDAT0 0x05
#define SMB_HSTDAT1 0x06
#define SMB_BLKDAT  0x07
#define SMB_SLVCNT  0x08
#define SMB_SHDWCMD 0x09
#define SMB_SLVEVT  0x0a /* 2 bytes */

#define SMB_STS_DEV_ERR 0x04
#define SMB_STS_FAILED	0x10
#define SMB_STS_CLEAR	0x1e /* write one to clear */
#define SMB_CNT_INTEREN 0x01
#define SMB_CNT_KILL	0x02
#define SMB_CNT_START	0x40
#define SMB_CNT_STORED	0x1f
#define SMB_BLOCK	32

struct piix4_pm {
	struct v3_vm *vm;	  /* not owned; outlives the device */
	struct acpi_pm *acpi;	  /* not owned; outlives the device */
	struct v3_pci_func *func; /* owned */
	struct v3_lock lock;	  /* guards all below */
	uint16_t pm, smbus;	  /* where the blocks answer; 0: nowhere */
	uint8_t reg[V3_PC_SMBUS_LEN];
	uint8_t block[SMB_BLOCK], index;
};

/* ---- SMBus host controller; lock held ---- */

static void piix4_smbus_update(struct piix4_pm *dev)
{
	bool irq9 = (dev->func->config[PIIX4_SMBHSTCFG] & PIIX4_SMB_INTRSEL) == PIIX4_SMB_IRQ9;

	v3_acpi_pm_smbus(dev->acpi, irq9 && (dev->reg[SMB_HSTCNT] & SMB_CNT_INTEREN) &&
					    (dev->reg[SMB_HSTSTS] & SMB_STS_CLEAR));
}

static uint8_t piix4_smbus_read8(void *priv, unsigned off)
{
	struct piix4_pm *dev = priv;

	if (off == SMB_BLKDAT)
		return dev->block[dev->index++ % SMB_BLOCK];
	if (off == SMB_HSTCNT)
		dev->index = 0;
	return dev->reg[off];
}

/* Nobody acknowledges the address, so a transaction is over as soon as it began. */
static void piix4_smbus_start(struct piix4_pm *dev)
{
	dev->reg[SMB_HSTSTS] |=
		dev->reg[SMB_HSTCNT] & SMB_CNT_KILL ? SMB_STS_FAILED : SMB_STS_DEV_ERR;
}

static void piix4_smbus_write8(void *priv, unsigned off, uint8_t value)
{
	/* What is not mentioned is read-only. */
	static const uint8_t stored[V3_PC_SMBUS_LEN] = {
		[SMB_HSTCNT] = SMB_CNT_STORED, [SMB_HSTCMD] = 0xff,  [SMB_HSTADD] = 0xff,
		[SMB_HSTDAT0] = 0xff,	       [SMB_HSTDAT1] = 0xff, [SMB_SLVCNT] = 0x0f,
		[SMB_SHDWCMD] = 0xff,	       [SMB_SLVEVT] = 0xff,  [SMB_SLVEVT + 1] = 0xff,
	};
	struct piix4_pm *dev = priv;

	if (off == SMB_BLKDAT) {
		dev->block[dev->index++ % SMB_BLOCK] = value;
		return;
	}
	if (off == SMB_HSTSTS)
		dev->reg[off] &= (uint8_t) ~(value & SMB_STS_CLEAR);
	else
		dev->reg[off] = (uint8_t)((dev->reg[off] & ~stored[off]) | (value & stored[off]));
	if (off == SMB_HSTCNT && (value & SMB_CNT_START))
		piix4_smbus_start(dev);
	piix4_smbus_update(dev);
}

static int piix4_smbus_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct piix4_pm *dev = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&dev->lock);
	v3_port8_access(io, dev, (uint16_t)(io->port & ~(V3_PC_SMBUS_LEN - 1)), V3_PC_SMBUS_LEN,
			piix4_smbus_read8, piix4_smbus_write8);
	v3_lock_release(&dev->lock, flags);
	return V3_OK;
}

/* ---- places ---- */

/* Ports that other devices have stay theirs: the block does not answer then. Lock held. */
static uint16_t piix4_place(struct piix4_pm *dev, uint16_t base, uint32_t count, v3_io_fn fn,
			    void *priv)
{
	if (!base || !v3_io_register(dev->vm, base, count, fn, priv))
		return base;
	V3_GUEST_WARN(dev->vm, "ports %#x are taken", base);
	return 0;
}

static void piix4_unplace(struct piix4_pm *dev, uint16_t base)
{
	if (base)
		v3_io_unregister(dev->vm, base);
}

/* Both blocks go where the registers say, and nothing but those decides: of two at one place it is the first. */
static void piix4_sync(struct piix4_pm *dev)
{
	const uint8_t *config = dev->func->config;
	uint16_t pm = pci_get16(dev->func, PIIX4_PMBA) & ~PIIX4_IO_SPACE;
	uint16_t smbus = pci_get16(dev->func, PIIX4_SMBBA) & ~PIIX4_IO_SPACE;
	unsigned long flags;

	flags = v3_lock_acquire(&dev->lock);
	/* At the tables' place it answers anyway. */
	if (!(config[PIIX4_PMREGMISC] & PIIX4_PMIOSE) || pm == V3_PC_PM_BASE)
		pm = 0;
	if (!(config[PIIX4_SMBHSTCFG] & PIIX4_SMB_HST_EN))
		smbus = 0;
	if (pm != dev->pm || smbus != dev->smbus) {
		piix4_unplace(dev, dev->pm);
		piix4_unplace(dev, dev->smbus);
		dev->pm = piix4_place(dev, pm, V3_PC_PM_LEN, v3_acpi_pm_io, dev->acpi);
		dev->smbus = piix4_place(dev, smbus, V3_PC_SMBUS_LEN, piix4_smbus_io, dev);
	}
	piix4_smbus_update(dev);
	v3_lock_release(&dev->lock, flags);
}

static void piix4_cfg_write(struct v3_vcpu *vcpu, void *priv, unsigned off, unsigned size,
			    uint32_t value)
{
	(void)vcpu;
	(void)off;
	(void)size;
	(void)value;
	piix4_sync(priv);
}

/* ---- device ---- */

/* The bits of its registers that are there. */
static void piix4_init_config(struct v3_pci_func *func)
{
	static const struct {
		uint8_t off, writable;
	} regs[] = {
		{PIIX4_PMBA, 0xc0},	 {PIIX4_PMBA + 2, 0},	  {PIIX4_PMBA + 3, 0},
		{PIIX4_PMREGMISC, 0x01}, {PIIX4_SMBBA, 0xf0},	  {PIIX4_SMBBA + 2, 0},
		{PIIX4_SMBBA + 3, 0},	 {PIIX4_SMBHSTCFG, 0x0f}, {PIIX4_SMBHSTCFG + 4, 0},
	};
	unsigned i;

	for (i = 0; i < V3_ARRAY_SIZE(regs); i++)
		func->writable[regs[i].off] = regs[i].writable;
	func->config[PIIX4_PMBA] = PIIX4_IO_SPACE;
	func->config[PIIX4_SMBBA] = PIIX4_IO_SPACE;
}

/* The host bridge was created, and therefore reset, before. */
static void piix4_reset(void *state)
{
	struct piix4_pm *dev = state;
	uint8_t *config = dev->func->config;
	unsigned long flags;

	flags = v3_lock_acquire(&dev->lock);
	memset(dev->reg, 0, sizeof(dev->reg));
	memset(dev->block, 0, sizeof(dev->block));
	dev->index = 0;
	v3_lock_release(&dev->lock, flags);
	/*
	 * There is no system management mode. Firmware takes SMIs by the APM port that are switched on already for a
	 * sign that it need not install a handler, and wait for it.
	 */
	config[PIIX4_DEVACTB + 3] = PIIX4_DEVACTB_APMC;
	if (!dev->func->host->shadow) {
		pci_put16(config, PIIX4_PMBA, V3_PC_PM_BASE | PIIX4_IO_SPACE);
		config[PIIX4_PMREGMISC] = PIIX4_PMIOSE;
		pci_put16(config, PIIX4_SMBBA, V3_PC_SMBUS_BASE | PIIX4_IO_SPACE);
		config[PIIX4_SMBHSTCFG] = PIIX4_SMB_IRQ9 | PIIX4_SMB_HST_EN;
	}
	piix4_sync(dev);
}

static int piix4_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct v3_pci_desc desc = {
		.vendor = 0x8086,
		.device = 0x7113,
		.class_code = 0x068000,
		.revision = 3, /* earlier ones have a PM timer that must be read several times */
		.intx_pin = 1,
		.cfg_write = piix4_cfg_write,
	};
	struct piix4_pm *dev;
	int err;

	(void)cfg;
	dev = v3_alloc(sizeof(*dev));
	if (!dev)
		return V3_ENOMEM;
	dev->vm = vm;
	dev->acpi = v3_device_find(vm, &v3_device_acpi_pm);
	err = dev->acpi ? v3_lock_init(&dev->lock) : V3_ENODEV;
	if (err)
		goto free_dev;
	desc.priv = dev;
	err = v3_pci_add(vm, V3_PC_ISA_BRIDGE_SLOT, V3_PC_PM_FUNCTION, &desc, &dev->func);
	if (err)
		goto destroy_lock;
	piix4_init_config(dev->func);
	*state = dev;
	return V3_OK;

destroy_lock:
	v3_lock_destroy(&dev->lock);
free_dev:
	v3_free(dev);
	return err;
}

static void piix4_destroy(void *state)
{
	struct piix4_pm *dev = state;

	piix4_unplace(dev, dev->pm);
	piix4_unplace(dev, dev->smbus);
	v3_pci_remove(dev->func);
	v3_lock_destroy(&dev->lock);
	v3_free(dev);
}

/* ---- saved state ---- */

/* Where the blocks answer follows from configuration space. */
static int piix4_loaded(void *state)
{
	piix4_sync(state);
	return V3_OK;
}

static const struct v3_save_field piix4_fields[] = {
	V3_SAVE_NOT(struct piix4_pm, vm),
	V3_SAVE_NOT(struct piix4_pm, acpi),
	V3_SAVE_PARTS_AT(struct piix4_pm, func, &v3_pci_func_save),
	V3_SAVE_NOT(struct piix4_pm, lock),
	V3_SAVE_NOT(struct piix4_pm, pm),
	V3_SAVE_NOT(struct piix4_pm, smbus),
	V3_SAVE(struct piix4_pm, reg),
	V3_SAVE(struct piix4_pm, block),
	V3_SAVE(struct piix4_pm, index),
	V3_SAVE_END,
};
static const struct v3_save_table piix4_save = {
	.fields = piix4_fields,
	.size = sizeof(struct piix4_pm),
	.loaded = piix4_loaded,
};

const struct v3_device_class v3_device_piix4_pm = {
	.name = "piix4_pm",
	.save = &piix4_save,
	.create = piix4_create,
	.reset = piix4_reset,
	.destroy = piix4_destroy,
};
