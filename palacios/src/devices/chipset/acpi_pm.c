/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file acpi_pm.c
 * ACPI fixed hardware: PM1a events and control, power management timer, GPE0 block and the SCI they raise
 * (ACPI 6.4 4.8.3, 4.8.4). ACPI mode is always on: SCI_EN reads 1 and there is no SMI command port.
 *
 * The block answers at the place that the ACPI tables name, and where the PCI function that it belongs to puts it
 * (pci/piix4_pm.c). Its layout is that of the Intel 82371AB data sheet, 7.2; what is not mentioned above reads 0.
 *
 * The timer is a pure function of guest time, read without a lock. A host timer is armed only while the
 * guest has the timer's overflow interrupt enabled.
 */
#include "devices/chipset/acpi_pm.h"

#include "devices/devices.h"
#include "devices/port8.h"
#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/io.h"
#include "palacios/log.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/timer.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define V3_LOG_TAG "acpi_pm"

#define PM_OFF(io) ((io)->port & (V3_PC_PM_LEN - 1)) /* wherever it is, it is aligned */
#define PM_OFF_STS (V3_PC_PM1_EVT - V3_PC_PM_BASE)
#define PM_OFF_EN  (PM_OFF_STS + V3_PC_PM1_EVT_LEN / 2)
#define PM_OFF_CNT (V3_PC_PM1_CNT - V3_PC_PM_BASE)
#define PM_OFF_TMR (V3_PC_PM_TMR - V3_PC_PM_BASE)
#define PM_OFF_GPE (V3_PC_GPE0 - V3_PC_PM_BASE)

#define PM_STS_BITS                                                                                \
	(V3_PC_PM1_STS_TMR | V3_PC_PM1_STS_GBL | V3_PC_PM1_STS_PWRBTN | V3_PC_PM1_STS_SLPBTN |     \
	 V3_PC_PM1_STS_RTC | V3_PC_PM1_STS_WAK)
#define PM_EN_BITS  (PM_STS_BITS & ~V3_PC_PM1_STS_WAK)	  /* WAK has no enable bit */
#define PM_CNT_BITS (1u << 1 | V3_PC_PM1_CNT_SLP_TYP(7u)) /* BM_RLD, SLP_TYP are plain storage */

/* TMR_STS is set by each change of the counter's highest bit, ACPI 6.4 4.8.3.3. */
#define PM_TMR_MSB 31

/* 3579545 Hz / 1e9 ns in lowest terms */
#define PM_TICKS_MUL 715909u
#define PM_TICKS_DIV 200000000u

struct acpi_pm {
	struct v3_vm *vm;	/* not owned; outlives the device */
	struct v3_timer *timer; /* owned: next overflow, if its interrupt is enabled */
	struct v3_lock lock;	/* guards all below */
	uint16_t sts, en, cnt;
	uint8_t gpe[V3_PC_GPE0_LEN]; /* first half: status, second half: enable */
	uint64_t half;		     /* count of highest-bit changes already turned into TMR_STS */
	bool smbus;		     /* the SMBus host controller wants the SCI */
	bool sci;
};

/* Split so that no product exceeds 64 bits; exact for all of a 64-bit nanosecond count. */
static uint64_t pm_ticks(uint64_t ns)
{
	return ns / PM_TICKS_DIV * PM_TICKS_MUL + ns % PM_TICKS_DIV * PM_TICKS_MUL / PM_TICKS_DIV;
}

/* First nanosecond at which pm_ticks() is at least @p ticks. */
static uint64_t pm_ticks_to_ns(uint64_t ticks)
{
	uint64_t rest = ticks % PM_TICKS_MUL * PM_TICKS_DIV;

	return ticks / PM_TICKS_MUL * PM_TICKS_DIV + (rest + PM_TICKS_MUL - 1) / PM_TICKS_MUL;
}

/* Bring TMR_STS up to date. Lock held. */
static void pm_sync(struct acpi_pm *pm)
{
	uint64_t half = pm_ticks(v3_time_ns(pm->vm)) >> PM_TMR_MSB;

	if (half != pm->half)
		pm->sts |= V3_PC_PM1_STS_TMR;
	pm->half = half;
}

/* Drive the SCI. Lock held. */
static void pm_update_sci(struct acpi_pm *pm)
{
	bool sci = (pm->sts & pm->en) || pm->smbus;
	unsigned i;

	for (i = 0; i < V3_PC_GPE0_LEN / 2; i++)
		sci |= (pm->gpe[i] & pm->gpe[i + V3_PC_GPE0_LEN / 2]) != 0;
	if (sci == pm->sci)
		return;
	pm->sci = sci;
	v3_irq_set(pm->vm, V3_PC_IRQ_SCI, sci);
}

/* Arm the overflow timer if the guest wants its interrupt and has not got it yet. Lock held. */
static void pm_arm(struct acpi_pm *pm)
{
	if ((pm->en & V3_PC_PM1_STS_TMR) && !(pm->sts & V3_PC_PM1_STS_TMR))
		v3_timer_arm(pm->timer, pm_ticks_to_ns((pm->half + 1) << PM_TMR_MSB));
	else
		v3_timer_cancel(pm->timer);
}

static void pm_fire(struct v3_vcpu *vcpu, void *priv)
{
	struct acpi_pm *pm = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&pm->lock);
	pm_sync(pm);
	pm_update_sci(pm);
	pm_arm(pm);
	v3_lock_release(&pm->lock, flags);
}

/* SLP_EN was written, ACPI 6.4 4.8.3.2.1. Lock held. */
static void pm_sleep(struct acpi_pm *pm)
{
	unsigned type = V3_PC_PM1_CNT_SLP_TYP_OF(pm->cnt);

	if (type == V3_PC_SLP_TYP_S5) {
		v3_vm_request_stop(pm->vm, V3_STOP_POWEROFF, 0);
		return;
	}
	/* No such state is offered; wake at once, since the guest polls WAK_STS. */
	V3_GUEST_WARN(pm->vm, "sleep type %u is not offered", type);
	pm->sts |= V3_PC_PM1_STS_WAK;
}

/* No event is wired to GPE0 yet: status bits never become 1, enables are storage. */
static void pm_gpe_write8(struct acpi_pm *pm, unsigned off, uint8_t value)
{
	if (off < V3_PC_GPE0_LEN / 2)
		pm->gpe[off] &= (uint8_t)~value;
	else
		pm->gpe[off] = value;
}

/* Lock held. */
static uint8_t pm_read8(void *dev, unsigned off)
{
	struct acpi_pm *pm = dev;

	switch (off & ~1u) {
	case PM_OFF_STS:
		pm_sync(pm);
		return (uint8_t)(pm->sts >> (8 * (off & 1)));
	case PM_OFF_EN:
		return (uint8_t)(pm->en >> (8 * (off & 1)));
	case PM_OFF_CNT:
		return (uint8_t)((pm->cnt | V3_PC_PM1_CNT_SCI_EN) >> (8 * (off & 1)));
	case PM_OFF_TMR:
	case PM_OFF_TMR + 2:
		return (uint8_t)(pm_ticks(v3_time_ns(pm->vm)) >> (8 * (off - PM_OFF_TMR)));
	case PM_OFF_GPE:
	case PM_OFF_GPE + 2:
		return pm->gpe[off - PM_OFF_GPE];
	default:
		return 0; /* reserved */
	}
}

static void pm_write8(void *dev, unsigned off, uint8_t value)
{
	struct acpi_pm *pm = dev;
	unsigned shift = 8 * (off & 1);
	uint16_t lane = (uint16_t)(0xff << shift), val = (uint16_t)(value << shift);

	switch (off & ~1u) {
	case PM_OFF_STS: /* write one to clear */
		pm_sync(pm);
		pm->sts &= (uint16_t)~val;
		break;
	case PM_OFF_EN:
		pm_sync(pm);
		pm->en = (uint16_t)((pm->en & ~lane) | (val & PM_EN_BITS));
		break;
	case PM_OFF_CNT:
		pm->cnt = (uint16_t)((pm->cnt & ~lane) | (val & PM_CNT_BITS));
		if (val & V3_PC_PM1_CNT_SLP_EN)
			pm_sleep(pm);
		break;
	case PM_OFF_GPE:
	case PM_OFF_GPE + 2:
		pm_gpe_write8(pm, off - PM_OFF_GPE, value);
		break;
	default:
		break; /* reserved, and the read-only timer */
	}
}

int v3_acpi_pm_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct acpi_pm *pm = priv;
	unsigned off = PM_OFF(io);
	unsigned long flags;

	(void)vcpu;
	if (!io->write && off == PM_OFF_TMR) {
		io->value = (uint32_t)pm_ticks(v3_time_ns(pm->vm));
		return V3_OK;
	}
	flags = v3_lock_acquire(&pm->lock);
	v3_port8_access(io, pm, (uint16_t)(io->port - off), V3_PC_PM_LEN, pm_read8, pm_write8);
	pm_update_sci(pm);
	if (io->write)
		pm_arm(pm);
	v3_lock_release(&pm->lock, flags);
	return V3_OK;
}

void v3_acpi_pm_smbus(struct acpi_pm *pm, bool level)
{
	unsigned long flags;

	flags = v3_lock_acquire(&pm->lock);
	pm->smbus = level;
	pm_update_sci(pm);
	v3_lock_release(&pm->lock, flags);
}

static void pm_power_button(void *state)
{
	struct acpi_pm *pm = state;
	unsigned long flags;

	flags = v3_lock_acquire(&pm->lock);
	pm->sts |= V3_PC_PM1_STS_PWRBTN;
	pm_update_sci(pm);
	v3_lock_release(&pm->lock, flags);
}

static void pm_reset(void *state)
{
	struct acpi_pm *pm = state;
	unsigned i;

	v3_timer_cancel(pm->timer);
	pm->sts = 0;
	pm->en = 0;
	pm->cnt = 0;
	pm->smbus = false;
	for (i = 0; i < V3_PC_GPE0_LEN; i++)
		pm->gpe[i] = 0;
	pm->half = pm_ticks(v3_time_ns(pm->vm)) >> PM_TMR_MSB;
	pm_update_sci(pm);
}

static int pm_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct acpi_pm *pm;
	int err;

	(void)cfg;
	pm = v3_alloc(sizeof(*pm));
	if (!pm)
		return V3_ENOMEM;
	pm->vm = vm;
	err = v3_lock_init(&pm->lock);
	if (err)
		goto free_pm;
	err = v3_timer_create(vm, NULL, pm_fire, pm, &pm->timer);
	if (err)
		goto destroy_lock;
	err = v3_io_register(vm, V3_PC_PM_BASE, V3_PC_PM_LEN, v3_acpi_pm_io, pm);
	if (err)
		goto destroy_timer;
	*state = pm;
	return V3_OK;

destroy_timer:
	v3_timer_destroy(pm->timer);
destroy_lock:
	v3_lock_destroy(&pm->lock);
free_pm:
	v3_free(pm);
	return err;
}

static void pm_destroy(void *state)
{
	struct acpi_pm *pm = state;

	v3_io_unregister(pm->vm, V3_PC_PM_BASE);
	v3_timer_destroy(pm->timer);
	v3_lock_destroy(&pm->lock);
	v3_free(pm);
}

static const struct v3_save_field pm_fields[] = {
	V3_SAVE_NOT(struct acpi_pm, vm),
	V3_SAVE_TIMER(struct acpi_pm, timer),
	V3_SAVE_NOT(struct acpi_pm, lock),
	V3_SAVE(struct acpi_pm, sts),
	V3_SAVE(struct acpi_pm, en),
	V3_SAVE(struct acpi_pm, cnt),
	V3_SAVE(struct acpi_pm, gpe),
	V3_SAVE(struct acpi_pm, half),
	V3_SAVE(struct acpi_pm, smbus),
	V3_SAVE(struct acpi_pm, sci),
	V3_SAVE_END,
};
static const struct v3_save_table pm_save = {
	.fields = pm_fields,
	.size = sizeof(struct acpi_pm),
};

const struct v3_device_class v3_device_acpi_pm = {
	.name = "acpi_pm",
	.save = &pm_save,
	.create = pm_create,
	.reset = pm_reset,
	.destroy = pm_destroy,
	.power_button = pm_power_button,
};
