// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file ioapic.c
 * I/O APIC with 24 pins, version 0x20; Intel 82093AA datasheet (290566) chapter 3, EOI register as
 * in the ICH9 datasheet (316972) 13.5. Called by v3_irq_set() for line changes, by MMIO dispatch
 * and by v3_eoi_broadcast(), each from any vcpu's thread; calls v3_apic_send() with its lock held
 * (the local APICs take no lock and never call back).
 *
 * A line's level means "asserted", whatever the polarity bit says: devices and firmware tables
 * agree on the meaning, so the bit is only kept. ExtINT cannot be delivered through a pin: the 8259
 * pair's output is wired to LINT0 alone, and pin 0 is not connected.
 */
#include "palacios/device.h"
#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/log.h"
#include "palacios/mem.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/types.h"
#include "palacios/vm.h"

#include "devices/devices.h"

#define V3_LOG_TAG "ioapic"

/* Memory-mapped registers. */
#define IOAPIC_SELECT	   0x00
#define IOAPIC_WINDOW	   0x10
#define IOAPIC_EOI	   0x40
/* Registers behind the window. */
#define IOAPIC_REG_ID	   0x00
#define IOAPIC_REG_VERSION 0x01
#define IOAPIC_REG_ARB	   0x02
#define IOAPIC_REG_ENTRY   0x10
#define IOAPIC_ID_BITS	   0xff000000u

/* Redirection table entry, 82093AA 3.2.4. */
#define RTE_MODE(e)    ((enum v3_delivery)(((e) >> 8) & 7))
#define RTE_LOGICAL    (1ull << 11)
#define RTE_STATUS     (1ull << 12) /* read-only; a send never waits here: 0 */
#define RTE_REMOTE_IRR (1ull << 14) /* read-only */
#define RTE_LEVEL      (1ull << 15)
#define RTE_MASKED     (1ull << 16)
#define RTE_DEST(e)    ((uint32_t)((e) >> 56))
#define RTE_WRITABLE   (0xff0000000001ffffull & ~(RTE_STATUS | RTE_REMOTE_IRR))

struct ioapic {
	struct v3_vm *vm;    /* not owned; outlives the device */
	struct v3_lock lock; /* guards all below */
	uint32_t id;	     /* register 0, bits 24..31 */
	uint8_t select;
	uint32_t lines; /* asserted pins */
	uint64_t entry[V3_PC_IOAPIC_PINS];
};

/** Only fixed and lowest-priority interrupts know level triggering, 82093AA 3.2.4. */
static bool ioapic_is_level(uint64_t entry)
{
	return (entry & RTE_LEVEL) && RTE_MODE(entry) <= V3_DELIVER_LOWEST;
}

static void ioapic_send(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->entry[pin];
	struct v3_apic_msg msg = {
		.dest = RTE_DEST(entry),
		.logical = (entry & RTE_LOGICAL) != 0,
		.broadcast = RTE_DEST(entry) == 0xff,
		.level = ioapic_is_level(entry),
		.vector = (uint8_t)entry,
		.mode = RTE_MODE(entry),
	};

	/* SIPI and the hole in the encoding are not offered to pins. */
	if (msg.mode == V3_DELIVER_SIPI || (unsigned)msg.mode == 3) {
		V3_GUEST_WARN(ioapic->vm, "pin %u: reserved delivery mode, dropped", pin);
		return;
	}
	if (msg.level)
		ioapic->entry[pin] |= RTE_REMOTE_IRR;
	v3_apic_send(ioapic->vm, &msg);
}

/** Deliver a level-triggered pin that is asserted, unless it is masked or being served. */
static void ioapic_service_level(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->entry[pin];

	if ((ioapic->lines & 1u << pin) && ioapic_is_level(entry) &&
	    !(entry & (RTE_MASKED | RTE_REMOTE_IRR)))
		ioapic_send(ioapic, pin);
}

/** Pin of a line: one to one, but the timer's line 0 is on pin 2; -1: not connected. */
static int ioapic_pin_of(unsigned gsi)
{
	if (gsi == V3_PC_IRQ_TIMER)
		return V3_PC_TIMER_PIN;
	return gsi == V3_PC_IRQ_CASCADE || gsi >= V3_PC_IOAPIC_PINS ? -1 : (int)gsi;
}

static void ioapic_line(void *priv, unsigned gsi, bool level)
{
	struct ioapic *ioapic = priv;
	int pin = ioapic_pin_of(gsi);
	unsigned long flags;
	uint32_t bit;
	bool was;

	if (pin < 0)
		return;
	bit = 1u << pin;
	flags = v3_lock_acquire(&ioapic->lock);
	was = (ioapic->lines & bit) != 0;
	if (level)
		ioapic->lines |= bit;
	else
		ioapic->lines &= ~bit;
	if (level && ioapic_is_level(ioapic->entry[pin]))
		ioapic_service_level(ioapic, (unsigned)pin);
	else if (level && !was && !(ioapic->entry[pin] & RTE_MASKED))
		ioapic_send(ioapic,
			    (unsigned)pin); /* an edge on a masked pin is lost, 82093AA 3.2.4 */
	v3_lock_release(&ioapic->lock, flags);
}

/** End of a level-triggered interrupt; a line that is still asserted is delivered anew. Lock held.
 * */
static void ioapic_end(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < V3_PC_IOAPIC_PINS; pin++) {
		uint64_t entry = ioapic->entry[pin];

		if ((uint8_t)entry != vector || !(entry & RTE_REMOTE_IRR))
			continue;
		ioapic->entry[pin] = entry & ~RTE_REMOTE_IRR;
		ioapic_service_level(ioapic, pin);
	}
}

static void ioapic_eoi(void *priv, uint8_t vector)
{
	struct ioapic *ioapic = priv;
	unsigned long flags = v3_lock_acquire(&ioapic->lock);

	ioapic_end(ioapic, vector);
	v3_lock_release(&ioapic->lock, flags);
}

static uint32_t ioapic_read_reg(const struct ioapic *ioapic)
{
	unsigned reg = ioapic->select;

	switch (reg) {
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARB: /* loaded with the id, 82093AA 3.2.3; there is no bus to arbitrate */
		return ioapic->id;
	case IOAPIC_REG_VERSION:
		return V3_PC_IOAPIC_VERSION | (V3_PC_IOAPIC_PINS - 1) << 16;
	}
	reg -= IOAPIC_REG_ENTRY; /* wraps for the reserved registers below */
	if (reg < 2 * V3_PC_IOAPIC_PINS)
		return (uint32_t)(ioapic->entry[reg / 2] >> (reg % 2 * 32));
	return 0;
}

static void ioapic_write_entry(struct ioapic *ioapic, unsigned pin, bool high, uint32_t value)
{
	uint64_t old = ioapic->entry[pin], entry;

	entry = high ? (uint64_t)value << 32 | (uint32_t)old : (old & ~0xffffffffull) | value;
	entry = (entry & RTE_WRITABLE) | (old & RTE_REMOTE_IRR);
	/* Remote IRR belongs to level triggering: switching to edge ends it (guests without an EOI
	 * register use this to end an interrupt by hand). */
	if (!ioapic_is_level(entry))
		entry &= ~RTE_REMOTE_IRR;
	ioapic->entry[pin] = entry;
	ioapic_service_level(ioapic, pin);
}

static void ioapic_write_reg(struct ioapic *ioapic, uint32_t value)
{
	unsigned reg = ioapic->select;

	if (reg == IOAPIC_REG_ID) {
		ioapic->id = value & IOAPIC_ID_BITS;
		return;
	}
	reg -= IOAPIC_REG_ENTRY;
	if (reg < 2 * V3_PC_IOAPIC_PINS)
		ioapic_write_entry(ioapic, reg / 2, reg % 2, value);
}

static void ioapic_write(struct ioapic *ioapic, unsigned offset, uint32_t value)
{
	switch (offset) {
	case IOAPIC_SELECT:
		ioapic->select = (uint8_t)value;
		return;
	case IOAPIC_WINDOW:
		ioapic_write_reg(ioapic, value);
		return;
	case IOAPIC_EOI:
		ioapic_end(ioapic, (uint8_t)value);
		return;
	}
	V3_GUEST_WARN(ioapic->vm, "write at offset %#x ignored", offset);
}

static uint32_t ioapic_read(const struct ioapic *ioapic, unsigned offset)
{
	switch (offset) {
	case IOAPIC_SELECT:
		return ioapic->select;
	case IOAPIC_WINDOW:
		return ioapic_read_reg(ioapic);
	}
	return 0;
}

static int ioapic_mmio(struct v3_vcpu *vcpu, struct v3_mmio *mmio, void *priv)
{
	struct ioapic *ioapic = priv;
	unsigned offset = (unsigned)(mmio->gpa & ~V3_PAGE_MASK);
	unsigned long flags;

	(void)vcpu;
	/* The window is 32 bits wide; the two byte-wide registers also answer to bytes (82093AA
	 * 3.1). */
	if (mmio->size != 4 && (mmio->size != 1 || offset == IOAPIC_WINDOW)) {
		V3_GUEST_WARN(ioapic->vm, "access of %u bytes at offset %#x ignored", mmio->size,
			      offset);
		mmio->value = mmio->write ? mmio->value : 0;
		return V3_OK;
	}
	flags = v3_lock_acquire(&ioapic->lock);
	if (mmio->write)
		ioapic_write(ioapic, offset, (uint32_t)mmio->value);
	else
		mmio->value = ioapic_read(ioapic, offset);
	v3_lock_release(&ioapic->lock, flags);
	return V3_OK;
}

static void ioapic_reset(void *state)
{
	struct ioapic *ioapic = state;

	ioapic->id = (uint32_t)V3_PC_IOAPIC_ID << 24;
	ioapic->select = 0;
	for (unsigned pin = 0; pin < V3_PC_IOAPIC_PINS; pin++)
		ioapic->entry[pin] = RTE_MASKED;
	/* The lines are the devices'; each sets its own at its reset. */
}

static int ioapic_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct ioapic *ioapic;
	int err;

	(void)cfg;
	ioapic = v3_alloc(sizeof(*ioapic));
	if (!ioapic)
		return V3_ENOMEM;
	ioapic->vm = vm;
	ioapic_reset(ioapic);
	err = v3_lock_init(&ioapic->lock);
	if (err)
		goto free_ioapic;
	err = v3_mmio_register(vm, V3_PC_IOAPIC_BASE, V3_PC_IOAPIC_SIZE, ioapic_mmio, ioapic);
	if (err)
		goto destroy_lock;
	err = v3_eoi_register(vm, ioapic_eoi, ioapic);
	if (err)
		goto drop_mmio;
	err = v3_irq_sink_register(vm, ioapic_line, ioapic);
	if (err)
		goto drop_eoi;
	*state = ioapic;
	return V3_OK;

drop_eoi:
	v3_eoi_unregister(vm);
drop_mmio:
	v3_mmio_unregister(vm, V3_PC_IOAPIC_BASE);
destroy_lock:
	v3_lock_destroy(&ioapic->lock);
free_ioapic:
	v3_free(ioapic);
	return err;
}

static void ioapic_destroy(void *state)
{
	struct ioapic *ioapic = state;

	v3_irq_sink_unregister(ioapic->vm, ioapic);
	v3_eoi_unregister(ioapic->vm);
	v3_mmio_unregister(ioapic->vm, V3_PC_IOAPIC_BASE);
	v3_lock_destroy(&ioapic->lock);
	v3_free(ioapic);
}

static const struct v3_save_field ioapic_fields[] = {
	V3_SAVE_NOT(struct ioapic, vm),
	V3_SAVE_NOT(struct ioapic, lock),
	V3_SAVE(struct ioapic, id),
	V3_SAVE(struct ioapic, select),
	V3_SAVE(struct ioapic, lines),
	V3_SAVE(struct ioapic, entry),
	V3_SAVE_END,
};
static const struct v3_save_table ioapic_save = {
	.fields = ioapic_fields,
	.size = sizeof(struct ioapic),
};

const struct v3_device_class v3_device_ioapic = {
	.name = "ioapic",
	.save = &ioapic_save,
	.create = ioapic_create,
	.reset = ioapic_reset,
	.destroy = ioapic_destroy,
};
