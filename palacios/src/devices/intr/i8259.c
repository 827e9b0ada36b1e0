// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file i8259.c
 * The PC's pair of 8259A interrupt controllers with the edge/level control registers; Intel 8259A
 * datasheet (231468), ELCR as in the 82371SB datasheet (290550). Called by v3_irq_set() for line
 * changes and by port dispatch from any vcpu's thread, and by intr/inject.c on vcpu 0 for the INTA
 * cycle; calls v3_extint_request() with its lock held.
 *
 * Only 8086 mode exists on a PC: the MCS-80 mode of ICW4 is taken as 8086 mode. Edge-triggered
 * requests stay latched when the line drops, so a short pulse is not lost. Power-on leaves the pair
 * as firmware would: vectors 0x08 and 0x70, everything masked, lines 9 to 11 (SCI, PCI)
 * level-triggered.
 */
#include "palacios/device.h"
#include "palacios/error.h"
#include "palacios/intr.h"
#include "palacios/io.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/types.h"
#include "palacios/vm.h"

#include "devices/devices.h"
#include "devices/port8.h"

#define ICW1_INIT   0x10 /* this command is ICW1 */
#define ICW1_ICW4   0x01
#define ICW1_SINGLE 0x02
#define ICW4_AEOI   0x02
#define ICW4_SFNM   0x10
#define OCW2_EOI    0x20
#define OCW2_SL	    0x40
#define OCW2_R	    0x80
#define OCW3_ID	    0x08 /* this command is OCW3 */
#define OCW3_RIS    0x01
#define OCW3_RR	    0x02
#define OCW3_POLL   0x04
#define OCW3_SMM    0x20
#define OCW3_ESMM   0x40
#define POLL_VALID  0x80

#define ELCR1_BITS 0xf8 /* 0, 1 and 2 are always edge-triggered */
#define ELCR2_BITS 0xde /* 8 and 13 too */
#define ELCR2_FIRMWARE                                                                             \
	(1u << (V3_PC_IRQ_SCI - 8) | 1u << (V3_PC_IRQ_PCI_A - 8) | 1u << (V3_PC_IRQ_PCI_B - 8))

#define SPURIOUS                                                                                   \
	7 /* a request that went away is answered as input 7, datasheet "Interrupt Sequence" */
#define NONE (-1)

struct i8259_chip {
	uint8_t lines; /* levels of the inputs */
	uint8_t latch; /* edge-triggered requests not yet acknowledged */
	uint8_t imr, isr;
	uint8_t elcr;
	uint8_t vector; /* of input 0 */
	uint8_t lowest; /* input with the lowest priority: the one after it has the highest */
	uint8_t icw;	/* next initialization word expected, 2..4; 0: operational */
	bool single, want_icw4;
	bool auto_eoi, rotate_auto, special_mask, special_nested;
	bool poll, read_isr;
};

struct i8259 {
	struct v3_vm *vm;	   /* not owned; outlives the device */
	struct v3_lock lock;	   /* guards chip[] */
	struct i8259_chip chip[2]; /* master, slave */
	bool intr;		   /* output of the master; written under the lock, read without */
};

static uint8_t i8259_requests(const struct i8259_chip *chip)
{
	return (uint8_t)((chip->lines & chip->elcr) | (chip->latch & ~chip->elcr));
}

/** Priority of the highest set bit, 0 = highest ... 7; 8 if none. */
static unsigned i8259_rank(const struct i8259_chip *chip, uint8_t bits)
{
	unsigned rank;

	for (rank = 0; rank < 8; rank++) {
		if (bits & 1u << ((chip->lowest + 1 + rank) & 7))
			break;
	}
	return rank;
}

static unsigned i8259_input(const struct i8259_chip *chip, unsigned rank)
{
	return (chip->lowest + 1 + rank) & 7;
}

/** Request that may interrupt now, or NONE. */
static int i8259_resolve(const struct i8259 *pic, unsigned n)
{
	const struct i8259_chip *chip = &pic->chip[n];
	uint8_t isr = chip->isr;
	unsigned rank = i8259_rank(chip, (uint8_t)(i8259_requests(chip) & ~chip->imr));

	if (rank == 8 || chip->icw)
		return NONE;
	/* Special mask mode: a masked input in service holds nothing back. */
	if (chip->special_mask)
		isr &= (uint8_t)~chip->imr;
	/* Special fully nested mode: the slave in service may ask for a higher one of its own. */
	if (n == 0 && chip->special_nested && i8259_input(chip, rank) == V3_PC_IRQ_CASCADE)
		isr &= (uint8_t) ~(1u << V3_PC_IRQ_CASCADE);
	return rank < i8259_rank(chip, isr) ? (int)i8259_input(chip, rank) : NONE;
}

/** Carry the slave's output to the master and the master's to the processor. Lock held. */
static void i8259_update(struct i8259 *pic)
{
	struct i8259_chip *master = &pic->chip[0];
	uint8_t cascade = 1u << V3_PC_IRQ_CASCADE;
	bool up;

	/* The slave's output follows its requests, whichever way the master samples it. */
	if (i8259_resolve(pic, 1) != NONE) {
		master->lines |= cascade;
		master->latch |= cascade;
	} else {
		master->lines &= (uint8_t)~cascade;
		master->latch &= (uint8_t)~cascade;
	}
	up = i8259_resolve(pic, 0) != NONE;
	if (up == pic->intr)
		return;
	__atomic_store_n(&pic->intr, up, __ATOMIC_RELEASE);
	if (up)
		v3_extint_request(pic->vm);
}

static void i8259_line(void *priv, unsigned gsi, bool level)
{
	struct i8259 *pic = priv;
	struct i8259_chip *chip;
	unsigned long flags;
	uint8_t bit;

	if (gsi >= 16 || gsi == V3_PC_IRQ_CASCADE)
		return;
	chip = &pic->chip[gsi >> 3];
	bit = (uint8_t)(1u << (gsi & 7));
	flags = v3_lock_acquire(&pic->lock);
	if (level) {
		if (!(chip->lines & bit) && !(chip->elcr & bit))
			chip->latch |= bit;
		chip->lines |= bit;
	} else {
		chip->lines &= (uint8_t)~bit;
	}
	i8259_update(pic);
	v3_lock_release(&pic->lock, flags);
}

/** INTA for one chip: the input moves from request to service. */
static void i8259_take(struct i8259_chip *chip, unsigned input)
{
	uint8_t bit = (uint8_t)(1u << input);

	chip->latch &= (uint8_t)~bit;
	if (!chip->auto_eoi)
		chip->isr |= bit;
	else if (chip->rotate_auto)
		chip->lowest = (uint8_t)input;
}

/** Acknowledge what a chip asks for. @return its input, SPURIOUS if it asks for nothing any more.
 * */
static unsigned i8259_ack_chip(struct i8259 *pic, unsigned n)
{
	int input = i8259_resolve(pic, n);

	if (input == NONE)
		return SPURIOUS;
	i8259_take(&pic->chip[n], (unsigned)input);
	return (unsigned)input;
}

static uint8_t i8259_ack(void *priv)
{
	struct i8259 *pic = priv;
	unsigned long flags = v3_lock_acquire(&pic->lock);
	int asked = i8259_resolve(pic, 0);
	unsigned input = i8259_ack_chip(pic, 0);
	uint8_t vector;

	if (asked == V3_PC_IRQ_CASCADE && !pic->chip[0].single)
		vector = (uint8_t)(pic->chip[1].vector + i8259_ack_chip(pic, 1));
	else
		vector = (uint8_t)(pic->chip[0].vector + input);
	i8259_update(pic);
	v3_lock_release(&pic->lock, flags);
	return vector;
}

static bool i8259_pending(void *priv)
{
	struct i8259 *pic = priv;

	return __atomic_load_n(&pic->intr, __ATOMIC_ACQUIRE);
}

static const struct v3_extint_ops i8259_ops = {.pending = i8259_pending, .ack = i8259_ack};

/* ---- ports ---- */

/** OCW2: end of interrupt and rotation. */
static void i8259_ocw2(struct i8259_chip *chip, uint8_t value)
{
	unsigned rank, input = value & 7;

	if (!(value & OCW2_EOI)) {
		if (!(value & OCW2_SL))
			chip->rotate_auto = (value & OCW2_R) != 0;
		else if (value & OCW2_R)
			chip->lowest = (uint8_t)input;
		return;
	}
	if (!(value & OCW2_SL)) {
		uint8_t isr = chip->isr;

		/* In special mask mode a masked input is not ended by a non-specific EOI. */
		if (chip->special_mask)
			isr &= (uint8_t)~chip->imr;
		rank = i8259_rank(chip, isr);
		if (rank == 8)
			return;
		input = i8259_input(chip, rank);
	}
	chip->isr &= (uint8_t) ~(1u << input);
	if (value & OCW2_R)
		chip->lowest = (uint8_t)input;
}

static void i8259_ocw3(struct i8259_chip *chip, uint8_t value)
{
	if (value & OCW3_ESMM)
		chip->special_mask = (value & OCW3_SMM) != 0;
	if (value & OCW3_POLL)
		chip->poll = true;
	else if (value & OCW3_RR)
		chip->read_isr = (value & OCW3_RIS) != 0;
}

/** ICW1 starts the initialization sequence; level triggering is the ELCR's affair here. */
static void i8259_icw1(struct i8259_chip *chip, uint8_t value)
{
	chip->latch = 0;
	chip->imr = 0;
	chip->isr = 0;
	chip->lowest = 7;
	chip->special_mask = false;
	chip->read_isr = false;
	chip->poll = false;
	chip->auto_eoi = false;
	chip->rotate_auto = false;
	chip->special_nested = false;
	chip->single = (value & ICW1_SINGLE) != 0;
	chip->want_icw4 = (value & ICW1_ICW4) != 0;
	chip->icw = 2;
}

/** ICW2 to ICW4. ICW3 describes the wiring, which cannot be changed. */
static void i8259_icw(struct i8259_chip *chip, uint8_t value)
{
	switch (chip->icw) {
	case 2:
		chip->vector = value & 0xf8;
		chip->icw = !chip->single ? 3 : chip->want_icw4 ? 4 : 0;
		return;
	case 3:
		chip->icw = chip->want_icw4 ? 4 : 0;
		return;
	case 4:
		chip->auto_eoi = (value & ICW4_AEOI) != 0;
		chip->special_nested = (value & ICW4_SFNM) != 0;
		chip->icw = 0;
		return;
	}
}

static void i8259_write_chip(struct i8259_chip *chip, unsigned off, uint8_t value)
{
	if (off == 0) {
		if (value & ICW1_INIT)
			i8259_icw1(chip, value);
		else if (value & OCW3_ID)
			i8259_ocw3(chip, value);
		else
			i8259_ocw2(chip, value);
	} else if (chip->icw) {
		i8259_icw(chip, value);
	} else {
		chip->imr = value;
	}
}

static uint8_t i8259_read_chip(struct i8259 *pic, unsigned n, unsigned off)
{
	struct i8259_chip *chip = &pic->chip[n];
	int input;

	/* Poll command: the next read is the acknowledge. */
	if (chip->poll) {
		chip->poll = false;
		input = i8259_resolve(pic, n);
		if (input == NONE)
			return 0;
		i8259_take(chip, (unsigned)input);
		return (uint8_t)(POLL_VALID | input);
	}
	if (off == 1)
		return chip->imr;
	return chip->read_isr ? chip->isr : i8259_requests(chip);
}

static uint8_t i8259_read1(void *dev, unsigned off)
{
	return i8259_read_chip(dev, 0, off);
}

static uint8_t i8259_read2(void *dev, unsigned off)
{
	return i8259_read_chip(dev, 1, off);
}

static void i8259_write1(void *dev, unsigned off, uint8_t value)
{
	i8259_write_chip(&((struct i8259 *)dev)->chip[0], off, value);
}

static void i8259_write2(void *dev, unsigned off, uint8_t value)
{
	i8259_write_chip(&((struct i8259 *)dev)->chip[1], off, value);
}

static uint8_t i8259_read_elcr(void *dev, unsigned off)
{
	return ((struct i8259 *)dev)->chip[off].elcr;
}

static void i8259_write_elcr(void *dev, unsigned off, uint8_t value)
{
	struct i8259_chip *chip = &((struct i8259 *)dev)->chip[off];

	chip->elcr = value & (off ? ELCR2_BITS : ELCR1_BITS);
	chip->latch &= (uint8_t)~chip->elcr;
}

static int i8259_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct i8259 *pic = priv;
	unsigned long flags = v3_lock_acquire(&pic->lock);

	(void)vcpu;
	if (io->port >= V3_PC_PORT_ELCR)
		v3_port8_access(io, pic, V3_PC_PORT_ELCR, 2, i8259_read_elcr, i8259_write_elcr);
	else if (io->port >= V3_PC_PORT_PIC2)
		v3_port8_access(io, pic, V3_PC_PORT_PIC2, 2, i8259_read2, i8259_write2);
	else
		v3_port8_access(io, pic, V3_PC_PORT_PIC1, 2, i8259_read1, i8259_write1);
	i8259_update(pic);
	v3_lock_release(&pic->lock, flags);
	return V3_OK;
}

/* ---- device class ---- */

static void i8259_reset(void *state)
{
	struct i8259 *pic = state;

	for (unsigned n = 0; n < 2; n++) {
		struct i8259_chip *chip = &pic->chip[n];

		i8259_icw1(chip, 0);
		chip->icw = 0;
		chip->imr = 0xff;
		chip->vector = n ? 0x70 : 0x08;
		chip->elcr = n ? ELCR2_FIRMWARE : 0;
		/* The lines are the devices'; each sets its own at its reset. */
	}
	i8259_update(pic);
}

static int i8259_claim(struct i8259 *pic)
{
	static const uint16_t port[3] = {V3_PC_PORT_PIC1, V3_PC_PORT_PIC2, V3_PC_PORT_ELCR};
	unsigned n;
	int err = V3_OK;

	for (n = 0; n < V3_ARRAY_SIZE(port); n++) {
		err = v3_io_register(pic->vm, port[n], 2, i8259_io, pic);
		if (err)
			break;
	}
	while (err && n > 0)
		v3_io_unregister(pic->vm, port[--n]);
	return err;
}

static void i8259_drop_ports(struct i8259 *pic)
{
	v3_io_unregister(pic->vm, V3_PC_PORT_PIC1);
	v3_io_unregister(pic->vm, V3_PC_PORT_PIC2);
	v3_io_unregister(pic->vm, V3_PC_PORT_ELCR);
}

static int i8259_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	struct i8259 *pic;
	int err;

	(void)cfg;
	pic = v3_alloc(sizeof(*pic));
	if (!pic)
		return V3_ENOMEM;
	pic->vm = vm;
	i8259_reset(pic);
	err = v3_lock_init(&pic->lock);
	if (err)
		goto free_pic;
	err = i8259_claim(pic);
	if (err)
		goto destroy_lock;
	err = v3_extint_register(vm, &i8259_ops, pic);
	if (err)
		goto drop_ports;
	err = v3_irq_sink_register(vm, i8259_line, pic);
	if (err)
		goto drop_extint;
	*state = pic;
	return V3_OK;

drop_extint:
	v3_extint_unregister(vm);
drop_ports:
	i8259_drop_ports(pic);
destroy_lock:
	v3_lock_destroy(&pic->lock);
free_pic:
	v3_free(pic);
	return err;
}

static void i8259_destroy(void *state)
{
	struct i8259 *pic = state;

	v3_irq_sink_unregister(pic->vm, pic);
	v3_extint_unregister(pic->vm);
	i8259_drop_ports(pic);
	v3_lock_destroy(&pic->lock);
	v3_free(pic);
}

/* ---- saved state ---- */

static int i8259_chip_loaded(void *state)
{
	const struct i8259_chip *chip = state;

	/* Any other would be waited for without end. */
	return chip->icw == 1 || chip->icw > 4 ? V3_EINVAL : V3_OK;
}

/* The outputs follow from the rest; the vcpu has yet to hear of the master's. */
static int i8259_loaded(void *state)
{
	struct i8259 *pic = state;

	pic->intr = false;
	i8259_update(pic);
	return V3_OK;
}

static const struct v3_save_field i8259_chip_fields[] = {
	V3_SAVE(struct i8259_chip, lines),
	V3_SAVE(struct i8259_chip, latch),
	V3_SAVE(struct i8259_chip, imr),
	V3_SAVE(struct i8259_chip, isr),
	V3_SAVE(struct i8259_chip, elcr),
	V3_SAVE(struct i8259_chip, vector),
	V3_SAVE(struct i8259_chip, lowest),
	V3_SAVE(struct i8259_chip, icw),
	V3_SAVE(struct i8259_chip, single),
	V3_SAVE(struct i8259_chip, want_icw4),
	V3_SAVE(struct i8259_chip, auto_eoi),
	V3_SAVE(struct i8259_chip, rotate_auto),
	V3_SAVE(struct i8259_chip, special_mask),
	V3_SAVE(struct i8259_chip, special_nested),
	V3_SAVE(struct i8259_chip, poll),
	V3_SAVE(struct i8259_chip, read_isr),
	V3_SAVE_END,
};
static const struct v3_save_table i8259_chip_save = {
	.fields = i8259_chip_fields,
	.size = sizeof(struct i8259_chip),
	.loaded = i8259_chip_loaded,
};

static const struct v3_save_field i8259_fields[] = {
	V3_SAVE_NOT(struct i8259, vm),
	V3_SAVE_NOT(struct i8259, lock),
	V3_SAVE_PARTS(struct i8259, chip, &i8259_chip_save),
	V3_SAVE_NOT(struct i8259, intr),
	V3_SAVE_END,
};
static const struct v3_save_table i8259_save = {
	.fields = i8259_fields,
	.size = sizeof(struct i8259),
	.loaded = i8259_loaded,
};

const struct v3_device_class v3_device_i8259 = {
	.name = "i8259",
	.save = &i8259_save,
	.create = i8259_create,
	.reset = i8259_reset,
	.destroy = i8259_destroy,
};
