/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file i8042.c
 * Keyboard controller with PS/2 keyboard and mouse (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and
 * Auxiliary Device Controller"; Intel 8042) at ports 0x60 and 0x64, IRQ 1 and 12. The devices are in ps2.c, input
 * comes by palacios/input.h or, typed, from a host stream. One byte at a time is in the output buffer; the others wait in the devices' queues.
 *
 * The output port can reset the machine. Its A20 bit is kept for the guest to read back and masks nothing.
 */
#include "devices/chipset/ps2.h"

#include "devices/devices.h"
#include "devices/port8.h"
#include "palacios/chr.h"
#include "palacios/error.h"
#include "palacios/input.h"
#include "palacios/intr.h"
#include "palacios/io.h"
#include "palacios/platform.h"
#include "palacios/save.h"
#include "palacios/util/str.h"
#include "palacios/vcpu.h"
#include "palacios/vm.h"

#define KBC_RAM 32 /* bytes; the first is the command byte */

/* Status */
#define KBC_ST_OBF     0x01 /* output buffer full */
#define KBC_ST_SYS     0x04 /* the self test passed */
#define KBC_ST_COMMAND 0x08 /* the last byte written was a command */
#define KBC_ST_OPEN    0x10 /* the keyboard is not locked */
#define KBC_ST_AUX     0x20 /* what is in the output buffer is the mouse's */

/* Command byte */
#define KBC_CB_KBD_INT	 0x01
#define KBC_CB_AUX_INT	 0x02
#define KBC_CB_SYS	 0x04
#define KBC_CB_KBD_OFF	 0x10
#define KBC_CB_AUX_OFF	 0x20
#define KBC_CB_TRANSLATE 0x40

/* Commands */
#define KBC_READ_RAM	0x20 /* .. 0x3f */
#define KBC_WRITE_RAM	0x60 /* .. 0x7f */
#define KBC_AUX_DISABLE 0xa7
#define KBC_AUX_ENABLE	0xa8
#define KBC_AUX_TEST	0xa9
#define KBC_SELF_TEST	0xaa
#define KBC_KBD_TEST	0xab
#define KBC_KBD_DISABLE 0xad
#define KBC_KBD_ENABLE	0xae
#define KBC_READ_IN	0xc0
#define KBC_READ_OUT	0xd0
#define KBC_WRITE_OUT	0xd1
#define KBC_WRITE_KBD	0xd2 /* as if the keyboard had sent it */
#define KBC_WRITE_AUX	0xd3
#define KBC_TO_AUX	0xd4
#define KBC_READ_TEST	0xe0
#define KBC_PULSE	0xf0 /* low nibble: output port bits that are NOT pulsed low */

#define KBC_SELF_TEST_OK 0x55
#define KBC_PORT_OK	 0x00
#define KBC_IN_UNLOCKED	 0x80
#define KBC_OUT_NORESET	 0x01 /* low: the reset line is active */
#define KBC_OUT_A20	 0x02
#define KBC_OUT_KBD_INT	 0x10
#define KBC_OUT_AUX_INT	 0x20

#define KBC_OFF_DATA   0
#define KBC_OFF_STATUS (V3_PC_PORT_KBC - V3_PC_PORT_KBC_DATA)

struct i8042 {
	struct v3_vm *vm;    /* not owned; outlives the device */
	struct v3_chr *chr;  /* owned: what comes from there is typed; NULL: nothing */
	struct v3_lock lock; /* guards all below */
	uint16_t stroke;     /* that the keyboard had no room for yet; 0: none */
	uint8_t ram[KBC_RAM];
	uint8_t out_port;
	uint8_t status;	 /* OBF, COMMAND, AUX */
	uint8_t data;	 /* output buffer; what was read last when it is empty */
	uint8_t operand; /* command that waits for a byte at the data port; 0: none */
	bool reply;	 /* the controller has an answer, which goes before the devices' bytes */
	bool reply_aux;
	uint8_t reply_byte;
	bool broke; /* translation: a break prefix came, the next byte is a release */
	bool level_kbd, level_aux;
	struct ps2_keyboard kbd;
	struct ps2_mouse mouse;
};

/* ---- output buffer and interrupts; lock held ---- */

static void i8042_fill(struct i8042 *kbc, uint8_t byte, bool aux)
{
	kbc->data = byte;
	kbc->status |= KBC_ST_OBF;
	kbc->status &= (uint8_t)~KBC_ST_AUX;
	if (aux)
		kbc->status |= KBC_ST_AUX;
}

/* The next byte of the keyboard, translated if that is wanted. @return false: there was only a prefix */
static bool i8042_take_key(struct i8042 *kbc, uint8_t *byte)
{
	*byte = ps2_take(&kbc->kbd.out);
	if (!(kbc->ram[0] & KBC_CB_TRANSLATE))
		return true;
	if (*byte == 0xf0) {
		kbc->broke = true;
		return false;
	}
	*byte = v3_ps2_translate(*byte);
	if (*byte != 0xe0 && kbc->broke) {
		*byte |= 0x80;
		kbc->broke = false;
	}
	return true;
}

/* Put what comes next into an empty output buffer. */
static void i8042_next(struct i8042 *kbc)
{
	uint8_t byte;

	if (kbc->reply && !(kbc->status & KBC_ST_OBF)) {
		kbc->reply = false;
		i8042_fill(kbc, kbc->reply_byte, kbc->reply_aux);
	}
	while (!(kbc->status & KBC_ST_OBF) && !(kbc->ram[0] & KBC_CB_KBD_OFF) &&
	       ps2_count(&kbc->kbd.out))
		if (i8042_take_key(kbc, &byte))
			i8042_fill(kbc, byte, false);
	if (!(kbc->status & KBC_ST_OBF) && !(kbc->ram[0] & KBC_CB_AUX_OFF) &&
	    ps2_count(&kbc->mouse.out))
		i8042_fill(kbc, ps2_take(&kbc->mouse.out), true);
}

static void i8042_line(struct i8042 *kbc, bool *level, unsigned irq, bool want)
{
	if (want == *level)
		return;
	*level = want;
	v3_irq_set(kbc->vm, irq, want);
}

static void i8042_drive(struct i8042 *kbc)
{
	bool full = kbc->status & KBC_ST_OBF, aux = kbc->status & KBC_ST_AUX;

	i8042_line(kbc, &kbc->level_kbd, V3_PC_IRQ_KEYBOARD,
		   full && !aux && (kbc->ram[0] & KBC_CB_KBD_INT));
	i8042_line(kbc, &kbc->level_aux, V3_PC_IRQ_MOUSE,
		   full && aux && (kbc->ram[0] & KBC_CB_AUX_INT));
}

static void i8042_update(struct i8042 *kbc)
{
	i8042_next(kbc);
	i8042_drive(kbc);
}

static void i8042_reply(struct i8042 *kbc, uint8_t byte, bool aux)
{
	kbc->reply = true;
	kbc->reply_byte = byte;
	kbc->reply_aux = aux;
}

/* ---- typing what comes from a host stream; lock held ---- */

/* The next key; a control sequence that means none is passed over. @return false: nothing is there */
static bool i8042_read_stroke(struct i8042 *kbc)
{
	uint8_t c;

	while (!kbc->stroke) {
		if (!v3_chr_read(kbc->chr, &c, 1))
			return false;
		kbc->stroke = v3_ps2_stroke(c);
		if (c != 0x1b || !v3_chr_read(kbc->chr, &c, 1))
			continue;
		kbc->stroke = c == '[' && v3_chr_read(kbc->chr, &c, 1) ? v3_ps2_arrow(c) : 0;
	}
	return true;
}

static void i8042_type(struct i8042 *kbc)
{
	while (kbc->chr && i8042_read_stroke(kbc)) {
		if (!v3_ps2_keyboard_stroke(&kbc->kbd, kbc->stroke))
			return;
		kbc->stroke = 0;
	}
}

/* ---- ports; lock held ---- */

static uint8_t i8042_out_port(const struct i8042 *kbc)
{
	return kbc->out_port | (kbc->level_kbd ? KBC_OUT_KBD_INT : 0) |
	       (kbc->level_aux ? KBC_OUT_AUX_INT : 0);
}

static void i8042_write_out(struct i8042 *kbc, uint8_t value)
{
	kbc->out_port = (value & KBC_OUT_A20) | KBC_OUT_NORESET;
	if (!(value & KBC_OUT_NORESET))
		v3_vm_request_reset(kbc->vm, "keyboard controller output port");
}

/* Commands that only answer. */
static const struct {
	uint8_t command, answer;
} i8042_answers[] = {
	{KBC_AUX_TEST, KBC_PORT_OK},
	{KBC_KBD_TEST, KBC_PORT_OK},
	{KBC_READ_IN, KBC_IN_UNLOCKED},
	{KBC_READ_TEST, 0},
};

static void i8042_simple_command(struct i8042 *kbc, uint8_t value)
{
	size_t i;

	for (i = 0; i < V3_ARRAY_SIZE(i8042_answers); i++) {
		if (i8042_answers[i].command == value)
			i8042_reply(kbc, i8042_answers[i].answer, false);
	}
	if (value >= KBC_PULSE && !(value & KBC_OUT_NORESET))
		v3_vm_request_reset(kbc->vm, "keyboard controller pulse");
}

/* Does a command take a byte at the data port? */
static bool i8042_takes_operand(uint8_t command)
{
	return (command >= KBC_WRITE_RAM && command < KBC_WRITE_RAM + KBC_RAM) ||
	       (command >= KBC_WRITE_OUT && command <= KBC_TO_AUX);
}

static void i8042_command(struct i8042 *kbc, uint8_t value)
{
	kbc->operand = 0;
	if (value >= KBC_READ_RAM && value < KBC_READ_RAM + KBC_RAM) {
		i8042_reply(kbc, kbc->ram[value - KBC_READ_RAM], false);
		return;
	}
	if (i8042_takes_operand(value)) {
		kbc->operand = value;
		return;
	}
	switch (value) {
	case KBC_AUX_DISABLE:
		kbc->ram[0] |= KBC_CB_AUX_OFF;
		break;
	case KBC_AUX_ENABLE:
		kbc->ram[0] &= (uint8_t)~KBC_CB_AUX_OFF;
		break;
	case KBC_KBD_DISABLE:
		kbc->ram[0] |= KBC_CB_KBD_OFF;
		break;
	case KBC_KBD_ENABLE:
		kbc->ram[0] &= (uint8_t)~KBC_CB_KBD_OFF;
		break;
	case KBC_SELF_TEST:
		kbc->ram[0] |= KBC_CB_SYS;
		i8042_reply(kbc, KBC_SELF_TEST_OK, false);
		break;
	case KBC_READ_OUT:
		i8042_reply(kbc, i8042_out_port(kbc), false);
		break;
	default:
		i8042_simple_command(kbc, value);
		break;
	}
}

/* A byte at the data port: the operand of a command, or for the keyboard. */
static void i8042_data(struct i8042 *kbc, uint8_t value)
{
	uint8_t command = kbc->operand;

	kbc->operand = 0;
	switch (command) {
	case 0:
		kbc->ram[0] &= (uint8_t)~KBC_CB_KBD_OFF; /* to talk to it switches it on */
		v3_ps2_keyboard_write(&kbc->kbd, value);
		break;
	case KBC_WRITE_OUT:
		i8042_write_out(kbc, value);
		break;
	case KBC_WRITE_KBD:
	case KBC_WRITE_AUX:
		i8042_reply(kbc, value, command == KBC_WRITE_AUX);
		break;
	case KBC_TO_AUX:
		kbc->ram[0] &= (uint8_t)~KBC_CB_AUX_OFF;
		v3_ps2_mouse_write(&kbc->mouse, value);
		break;
	default:
		kbc->ram[command - KBC_WRITE_RAM] = value;
		break;
	}
}

static uint8_t i8042_read8(void *dev, unsigned off)
{
	struct i8042 *kbc = dev;

	if (off == KBC_OFF_STATUS)
		return kbc->status | (kbc->ram[0] & KBC_CB_SYS) | KBC_ST_OPEN;
	kbc->status &= (uint8_t) ~(KBC_ST_OBF | KBC_ST_AUX);
	i8042_drive(kbc); /* an edge for the next byte */
	return kbc->data;
}

static void i8042_write8(void *dev, unsigned off, uint8_t value)
{
	struct i8042 *kbc = dev;

	if (off == KBC_OFF_STATUS) {
		kbc->status |= KBC_ST_COMMAND;
		i8042_command(kbc, value);
	} else {
		kbc->status &= (uint8_t)~KBC_ST_COMMAND;
		i8042_data(kbc, value);
	}
}

/* The two ports are ranges of one: others lie between them. */
static int i8042_io(struct v3_vcpu *vcpu, struct v3_io *io, void *priv)
{
	struct i8042 *kbc = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&kbc->lock);
	v3_port8_access(io, kbc, V3_PC_PORT_KBC_DATA, io->port - V3_PC_PORT_KBC_DATA + 1u,
			i8042_read8, i8042_write8);
	i8042_type(kbc); /* there may be room again */
	i8042_update(kbc);
	v3_lock_release(&kbc->lock, flags);
	return V3_OK;
}

static void i8042_input(struct v3_vcpu *vcpu, void *priv)
{
	struct i8042 *kbc = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&kbc->lock);
	i8042_type(kbc);
	i8042_update(kbc);
	v3_lock_release(&kbc->lock, flags);
}

/* ---- palacios/input.h ---- */

int v3_input_key(struct v3_vm *vm, unsigned code, bool down)
{
	struct i8042 *kbc = v3_device_find(vm, &v3_device_i8042);
	unsigned long flags;
	bool taken;

	if (!kbc)
		return V3_ENODEV;
	if (!(code & 0xff) || (code & ~V3_KEY_EXTENDED) > 0x84)
		return V3_EINVAL;
	flags = v3_lock_acquire(&kbc->lock);
	taken = v3_ps2_keyboard_key(&kbc->kbd, code, down);
	i8042_update(kbc);
	v3_lock_release(&kbc->lock, flags);
	return taken ? V3_OK : V3_EAGAIN;
}

int v3_input_pointer(struct v3_vm *vm, int dx, int dy, int dz, unsigned buttons)
{
	struct i8042 *kbc = v3_device_find(vm, &v3_device_i8042);
	unsigned long flags;
	bool taken;

	if (!kbc)
		return V3_ENODEV;
	if (buttons & ~(V3_POINTER_LEFT | V3_POINTER_RIGHT | V3_POINTER_MIDDLE))
		return V3_EINVAL;
	flags = v3_lock_acquire(&kbc->lock);
	taken = v3_ps2_mouse_move(&kbc->mouse, dx, dy, dz, (uint8_t)buttons);
	i8042_update(kbc);
	v3_lock_release(&kbc->lock, flags);
	return taken ? V3_OK : V3_EAGAIN;
}

/* ---- device ---- */

/* A machine that was switched on: self test passed, both devices there, nothing enabled but the keyboard's clock. */
static void i8042_reset(void *state)
{
	struct i8042 *kbc = state;
	unsigned long flags;

	flags = v3_lock_acquire(&kbc->lock);
	memset(kbc->ram, 0, sizeof(kbc->ram));
	kbc->ram[0] = KBC_CB_SYS | KBC_CB_AUX_OFF | KBC_CB_TRANSLATE;
	kbc->out_port = KBC_OUT_NORESET | KBC_OUT_A20;
	kbc->status = KBC_ST_COMMAND;
	kbc->data = 0;
	kbc->operand = 0;
	kbc->stroke = 0;
	kbc->reply = kbc->broke = false;
	v3_ps2_keyboard_reset(&kbc->kbd);
	v3_ps2_mouse_reset(&kbc->mouse);
	i8042_drive(kbc);
	v3_lock_release(&kbc->lock, flags);
}

static int i8042_create(struct v3_vm *vm, const struct v3_cfg *cfg, void **state)
{
	const char *console = v3_cfg_string(cfg, "console");
	struct i8042 *kbc;
	int err;

	kbc = v3_alloc(sizeof(*kbc));
	if (!kbc)
		return V3_ENOMEM;
	kbc->vm = vm;
	err = v3_lock_init(&kbc->lock);
	if (err)
		goto free_kbc;
	err = v3_io_register(vm, V3_PC_PORT_KBC_DATA, 1, i8042_io, kbc);
	if (err)
		goto destroy_lock;
	err = v3_io_register(vm, V3_PC_PORT_KBC, 1, i8042_io, kbc);
	if (err)
		goto release_data;
	if (console[0])
		err = v3_chr_open(vm, console, i8042_input, kbc, &kbc->chr);
	if (err)
		goto release_status;
	*state = kbc;
	return V3_OK;

release_status:
	v3_io_unregister(vm, V3_PC_PORT_KBC);
release_data:
	v3_io_unregister(vm, V3_PC_PORT_KBC_DATA);
destroy_lock:
	v3_lock_destroy(&kbc->lock);
free_kbc:
	v3_free(kbc);
	return err;
}

static void i8042_destroy(void *state)
{
	struct i8042 *kbc = state;

	v3_chr_close(kbc->chr);
	v3_io_unregister(kbc->vm, V3_PC_PORT_KBC);
	v3_io_unregister(kbc->vm, V3_PC_PORT_KBC_DATA);
	v3_lock_destroy(&kbc->lock);
	v3_free(kbc);
}

static const struct v3_cfg_key i8042_keys[] = {
	{.name = "console", .type = V3_CFG_STRING, .high = 31},
	{.name = NULL},
};

/* ---- saved state ---- */

static int i8042_loaded(void *state)
{
	const struct i8042 *kbc = state;

	return kbc->operand && !i8042_takes_operand(kbc->operand) ? V3_EINVAL : V3_OK;
}

static const struct v3_save_field i8042_fields[] = {
	V3_SAVE_NOT(struct i8042, vm),
	V3_SAVE_NOT(struct i8042, chr),
	V3_SAVE_NOT(struct i8042, lock),
	V3_SAVE(struct i8042, stroke),
	V3_SAVE(struct i8042, ram),
	V3_SAVE(struct i8042, out_port),
	V3_SAVE(struct i8042, status),
	V3_SAVE(struct i8042, data),
	V3_SAVE(struct i8042, operand),
	V3_SAVE(struct i8042, reply),
	V3_SAVE(struct i8042, reply_aux),
	V3_SAVE(struct i8042, reply_byte),
	V3_SAVE(struct i8042, broke),
	V3_SAVE(struct i8042, level_kbd),
	V3_SAVE(struct i8042, level_aux),
	V3_SAVE_PARTS(struct i8042, kbd, &v3_ps2_keyboard_save),
	V3_SAVE_PARTS(struct i8042, mouse, &v3_ps2_mouse_save),
	V3_SAVE_END,
};
static const struct v3_save_table i8042_save = {
	.fields = i8042_fields,
	.size = sizeof(struct i8042),
	.loaded = i8042_loaded,
};

const struct v3_device_class v3_device_i8042 = {
	.name = "i8042",
	.save = &i8042_save,
	.keys = i8042_keys,
	.create = i8042_create,
	.reset = i8042_reset,
	.destroy = i8042_destroy,
};
