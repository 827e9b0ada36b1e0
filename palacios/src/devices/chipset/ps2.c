/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ps2.c
 * PS/2 keyboard and mouse: command sets and reports (IBM PS/2 Hardware Interface Technical Reference, "Keyboard"
 * and "Mouse"; the wheel is Microsoft's IntelliMouse extension). Called by i8042.c under its lock.
 */
#include "devices/chipset/ps2.h"

#include "palacios/error.h"
#include "palacios/input.h"
#include "palacios/save.h"
#include "palacios/util/str.h"

/* Bytes to the host */
#define PS2_ACK	   0xfa
#define PS2_RESEND 0xfe
#define PS2_BAT_OK 0xaa
#define PS2_ECHO   0xee
#define PS2_BREAK  0xf0
#define PS2_PREFIX 0xe0

/* Commands that both know */
#define PS2_CMD_ID	 0xf2
#define PS2_CMD_RATE	 0xf3 /* keyboard: typematic rate; mouse: samples per second */
#define PS2_CMD_ENABLE	 0xf4
#define PS2_CMD_DISABLE	 0xf5
#define PS2_CMD_DEFAULTS 0xf6
#define PS2_CMD_RESEND	 0xfe
#define PS2_CMD_RESET	 0xff

#define KBD_CMD_LEDS	 0xed
#define KBD_CMD_ECHO	 0xee
#define KBD_CMD_SET	 0xf0
#define KBD_RATE_DEFAULT 0x2b /* 10.9 characters/s after 500 ms */
#define KBD_ID		 0xab /* then 0x83 */
#define KBD_ID2		 0x83
#define KBD_KEY_SHIFT	 0x12 /* the left ones */
#define KBD_KEY_CTRL	 0x14

#define MOUSE_CMD_SCALE1     0xe6
#define MOUSE_CMD_SCALE2     0xe7
#define MOUSE_CMD_RESOLUTION 0xe8
#define MOUSE_CMD_STATUS     0xe9
#define MOUSE_CMD_STREAM     0xea
#define MOUSE_CMD_READ	     0xeb
#define MOUSE_CMD_UNWRAP     0xec
#define MOUSE_CMD_WRAP	     0xee
#define MOUSE_CMD_REMOTE     0xf0
#define MOUSE_ID_WHEEL	     3
#define MOUSE_PACKET_ONE     0x08
#define MOUSE_PACKET_X_SIGN  0x10
#define MOUSE_PACKET_Y_SIGN  0x20
#define MOUSE_STATUS_SCALE2  0x10
#define MOUSE_STATUS_ENABLED 0x20
#define MOUSE_STATUS_REMOTE  0x40
#define MOUSE_RATE_DEFAULT   100
#define MOUSE_DEFAULT_4_MM   2

static const uint8_t ps2_set1[128] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

uint8_t v3_ps2_translate(uint8_t code)
{
	if (code < V3_ARRAY_SIZE(ps2_set1))
		return ps2_set1[code];
	return code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}

static bool ps2_room(const struct ps2_queue *q, unsigned n)
{
	return PS2_QUEUE - ps2_count(q) >= n;
}

/* Bytes that do not fit are lost; who minds asks ps2_room() first. */
static void ps2_put(struct ps2_queue *q, uint8_t byte)
{
	if (ps2_room(q, 1))
		q->byte[q->head++ % PS2_QUEUE] = byte;
}

/* A command makes what waits in the queue void. */
static void ps2_answer(struct ps2_queue *q, uint8_t byte)
{
	q->tail = q->head;
	ps2_put(q, byte);
}

/* ---- keyboard ---- */

static void ps2_keyboard_defaults(struct ps2_keyboard *kbd)
{
	kbd->set = 2;
	kbd->rate = KBD_RATE_DEFAULT;
}

void v3_ps2_keyboard_reset(struct ps2_keyboard *kbd)
{
	memset(kbd, 0, sizeof(*kbd));
	ps2_keyboard_defaults(kbd);
	kbd->scanning = true;
}

static void ps2_keyboard_parameter(struct ps2_keyboard *kbd, uint8_t command, uint8_t value)
{
	if (command == KBD_CMD_SET && value > 2) { /* set 3 is not there */
		ps2_answer(&kbd->out, PS2_RESEND);
		return;
	}
	ps2_answer(&kbd->out, PS2_ACK);
	if (command == KBD_CMD_LEDS)
		kbd->leds = value & 7;
	else if (command == PS2_CMD_RATE)
		kbd->rate = value & 0x7f;
	else if (value) /* KBD_CMD_SET */
		kbd->set = value;
	else
		ps2_put(&kbd->out, kbd->set);
}

static void ps2_keyboard_command(struct ps2_keyboard *kbd, uint8_t value)
{
	switch (value) {
	case KBD_CMD_LEDS:
	case KBD_CMD_SET:
	case PS2_CMD_RATE:
		kbd->command = value;
		break;
	case KBD_CMD_ECHO:
		ps2_answer(&kbd->out, PS2_ECHO);
		return;
	case PS2_CMD_ID:
	case PS2_CMD_DISABLE:
	case PS2_CMD_DEFAULTS:
	case PS2_CMD_ENABLE:
	case PS2_CMD_RESET:
		break;
	case PS2_CMD_RESEND:
		ps2_answer(&kbd->out, kbd->last);
		return;
	default: /* the commands of set 3, and what is none */
		ps2_answer(&kbd->out, PS2_RESEND);
		return;
	}
	ps2_answer(&kbd->out, PS2_ACK);
	if (value == PS2_CMD_ID) {
		ps2_put(&kbd->out, KBD_ID);
		ps2_put(&kbd->out, KBD_ID2);
	} else if (value == PS2_CMD_RESET) {
		ps2_keyboard_defaults(kbd);
		kbd->leds = 0;
		kbd->scanning = true;
		ps2_put(&kbd->out, PS2_BAT_OK);
	} else if (value == PS2_CMD_DISABLE || value == PS2_CMD_DEFAULTS) {
		ps2_keyboard_defaults(kbd);
		kbd->scanning = value != PS2_CMD_DISABLE;
	} else if (value == PS2_CMD_ENABLE) {
		kbd->scanning = true;
	}
}

void v3_ps2_keyboard_write(struct ps2_keyboard *kbd, uint8_t value)
{
	uint8_t command = kbd->command;

	kbd->command = 0;
	if (command && value < KBD_CMD_LEDS)
		ps2_keyboard_parameter(kbd, command, value);
	else /* a command instead of the parameter ends the old one */
		ps2_keyboard_command(kbd, value);
	if (ps2_count(&kbd->out))
		kbd->last = kbd->out.byte[(kbd->out.head - 1) % PS2_QUEUE];
}

bool v3_ps2_keyboard_key(struct ps2_keyboard *kbd, unsigned code, bool down)
{
	uint8_t byte = (uint8_t)code;

	if (!kbd->scanning || !ps2_room(&kbd->out, 3))
		return false;
	if (code & V3_KEY_EXTENDED)
		ps2_put(&kbd->out, PS2_PREFIX);
	if (kbd->set == 1) {
		ps2_put(&kbd->out, (uint8_t)(v3_ps2_translate(byte) | (down ? 0 : 0x80)));
		return true;
	}
	if (!down)
		ps2_put(&kbd->out, PS2_BREAK);
	ps2_put(&kbd->out, byte);
	return true;
}

bool v3_ps2_keyboard_stroke(struct ps2_keyboard *kbd, uint16_t stroke)
{
	const unsigned code = stroke & (V3_KEY_EXTENDED | 0xff);
	const unsigned hold = stroke & PS2_STROKE_SHIFT ? KBD_KEY_SHIFT : KBD_KEY_CTRL;
	const bool held = stroke & (PS2_STROKE_SHIFT | PS2_STROKE_CTRL);

	if (!kbd->scanning || !ps2_room(&kbd->out, 4 * 3))
		return false;
	if (held)
		v3_ps2_keyboard_key(kbd, hold, true);
	v3_ps2_keyboard_key(kbd, code, true);
	v3_ps2_keyboard_key(kbd, code, false);
	if (held)
		v3_ps2_keyboard_key(kbd, hold, false);
	return true;
}

/* ---- mouse ---- */

static void ps2_mouse_defaults(struct ps2_mouse *mouse)
{
	mouse->rate = MOUSE_RATE_DEFAULT;
	mouse->resolution = MOUSE_DEFAULT_4_MM;
	mouse->scale2 = mouse->reporting = mouse->remote = false;
	mouse->dx = mouse->dy = mouse->dz = 0;
}

void v3_ps2_mouse_reset(struct ps2_mouse *mouse)
{
	memset(mouse, 0, sizeof(*mouse));
	ps2_mouse_defaults(mouse);
}

static int ps2_clamp(int v, int low, int high)
{
	return v < low ? low : v > high ? high : v;
}

/* Report what has been gathered. There is room for it. */
static void ps2_mouse_packet(struct ps2_mouse *mouse)
{
	int dx = ps2_clamp(mouse->dx, -256, 255), dy = ps2_clamp(mouse->dy, -256, 255);

	ps2_put(&mouse->out,
		(uint8_t)(mouse->buttons | MOUSE_PACKET_ONE | (dx < 0 ? MOUSE_PACKET_X_SIGN : 0) |
			  (dy < 0 ? MOUSE_PACKET_Y_SIGN : 0)));
	ps2_put(&mouse->out, (uint8_t)dx);
	ps2_put(&mouse->out, (uint8_t)dy);
	if (mouse->id == MOUSE_ID_WHEEL)
		ps2_put(&mouse->out, (uint8_t)ps2_clamp(mouse->dz, -8, 7));
	mouse->dx = mouse->dy = mouse->dz = 0;
}

bool v3_ps2_mouse_move(struct ps2_mouse *mouse, int dx, int dy, int dz, uint8_t buttons)
{
	mouse->dx = ps2_clamp(mouse->dx, -256, 255) + ps2_clamp(dx, -256, 255);
	mouse->dy = ps2_clamp(mouse->dy, -256, 255) + ps2_clamp(dy, -256, 255);
	mouse->dz = ps2_clamp(mouse->dz, -8, 7) + ps2_clamp(dz, -8, 7);
	mouse->buttons = buttons;
	if (!mouse->reporting || mouse->remote)
		return false;
	if (ps2_room(&mouse->out, 4)) /* otherwise it is gathered for the next one */
		ps2_mouse_packet(mouse);
	return true;
}

/* Rates 200, 100, 80 in a row make it a mouse with a wheel. */
static void ps2_mouse_parameter(struct ps2_mouse *mouse, uint8_t command, uint8_t value)
{
	static const uint8_t knock[PS2_KNOCKS] = {200, 100, 80};

	ps2_answer(&mouse->out, PS2_ACK);
	if (command == MOUSE_CMD_RESOLUTION) {
		mouse->resolution = value & 3;
		return;
	}
	mouse->rate = value;
	if (value == knock[mouse->knock])
		mouse->knock++;
	else
		mouse->knock = value == knock[0];
	if (mouse->knock == PS2_KNOCKS) {
		mouse->id = MOUSE_ID_WHEEL;
		mouse->knock = 0;
	}
}

static void ps2_mouse_status(struct ps2_mouse *mouse)
{
	uint8_t left = mouse->buttons & V3_POINTER_LEFT ? 4 : 0,
		right = mouse->buttons & V3_POINTER_RIGHT ? 1 : 0,
		middle = mouse->buttons & V3_POINTER_MIDDLE ? 2 : 0;

	ps2_put(&mouse->out,
		(uint8_t)(left | right | middle | (mouse->scale2 ? MOUSE_STATUS_SCALE2 : 0) |
			  (mouse->reporting ? MOUSE_STATUS_ENABLED : 0) |
			  (mouse->remote ? MOUSE_STATUS_REMOTE : 0)));
	ps2_put(&mouse->out, mouse->resolution);
	ps2_put(&mouse->out, mouse->rate);
}

/* Acknowledged already. */
static void ps2_mouse_command(struct ps2_mouse *mouse, uint8_t value)
{
	switch (value) {
	case MOUSE_CMD_SCALE1:
	case MOUSE_CMD_SCALE2:
		mouse->scale2 = value == MOUSE_CMD_SCALE2;
		break;
	case MOUSE_CMD_RESOLUTION:
	case PS2_CMD_RATE:
		mouse->command = value;
		break;
	case MOUSE_CMD_STATUS:
		ps2_mouse_status(mouse);
		break;
	case MOUSE_CMD_STREAM:
	case MOUSE_CMD_REMOTE:
		mouse->remote = value == MOUSE_CMD_REMOTE;
		break;
	case MOUSE_CMD_READ:
		ps2_mouse_packet(mouse);
		break;
	case MOUSE_CMD_WRAP:
		mouse->wrap = true;
		break;
	case MOUSE_CMD_UNWRAP:
		break;
	case PS2_CMD_ID:
		ps2_put(&mouse->out, mouse->id);
		break;
	case PS2_CMD_ENABLE:
	case PS2_CMD_DISABLE:
		mouse->reporting = value == PS2_CMD_ENABLE;
		break;
	case PS2_CMD_DEFAULTS:
		ps2_mouse_defaults(mouse);
		break;
	case PS2_CMD_RESET:
		ps2_mouse_defaults(mouse);
		mouse->id = mouse->knock = 0;
		ps2_put(&mouse->out, PS2_BAT_OK);
		ps2_put(&mouse->out, mouse->id);
		break;
	default:
		ps2_answer(&mouse->out, PS2_RESEND);
		break;
	}
}

void v3_ps2_mouse_write(struct ps2_mouse *mouse, uint8_t value)
{
	uint8_t command = mouse->command;

	mouse->command = 0;
	if (mouse->wrap && value != PS2_CMD_RESET && value != MOUSE_CMD_UNWRAP) {
		ps2_put(&mouse->out, value); /* wrap mode echoes */
		return;
	}
	mouse->wrap = false;
	if (command && value < MOUSE_CMD_SCALE1) {
		ps2_mouse_parameter(mouse, command, value);
		return;
	}
	ps2_answer(&mouse->out, PS2_ACK);
	ps2_mouse_command(mouse, value);
}

/* ---- saved state ---- */

static int ps2_queue_loaded(void *state)
{
	return ps2_count(state) > PS2_QUEUE ? V3_EINVAL : V3_OK;
}

static const struct v3_save_field ps2_queue_fields[] = {
	V3_SAVE(struct ps2_queue, byte),
	V3_SAVE(struct ps2_queue, head),
	V3_SAVE(struct ps2_queue, tail),
	V3_SAVE_END,
};
static const struct v3_save_table ps2_queue_save = {
	.fields = ps2_queue_fields,
	.size = sizeof(struct ps2_queue),
	.loaded = ps2_queue_loaded,
};

static const struct v3_save_field ps2_keyboard_fields[] = {
	V3_SAVE_PARTS(struct ps2_keyboard, out, &ps2_queue_save),
	V3_SAVE(struct ps2_keyboard, command),
	V3_SAVE(struct ps2_keyboard, leds),
	V3_SAVE(struct ps2_keyboard, set),
	V3_SAVE(struct ps2_keyboard, rate),
	V3_SAVE(struct ps2_keyboard, last),
	V3_SAVE(struct ps2_keyboard, scanning),
	V3_SAVE_END,
};
const struct v3_save_table v3_ps2_keyboard_save = {
	.fields = ps2_keyboard_fields,
	.size = sizeof(struct ps2_keyboard),
};

static int ps2_mouse_loaded(void *state)
{
	return ((struct ps2_mouse *)state)->knock < PS2_KNOCKS ? V3_OK : V3_EINVAL;
}

static const struct v3_save_field ps2_mouse_fields[] = {
	V3_SAVE_PARTS(struct ps2_mouse, out, &ps2_queue_save),
	V3_SAVE(struct ps2_mouse, command),
	V3_SAVE(struct ps2_mouse, rate),
	V3_SAVE(struct ps2_mouse, resolution),
	V3_SAVE(struct ps2_mouse, id),
	V3_SAVE(struct ps2_mouse, knock),
	V3_SAVE(struct ps2_mouse, reporting),
	V3_SAVE(struct ps2_mouse, remote),
	V3_SAVE(struct ps2_mouse, wrap),
	V3_SAVE(struct ps2_mouse, scale2),
	V3_SAVE(struct ps2_mouse, dx),
	V3_SAVE(struct ps2_mouse, dy),
	V3_SAVE(struct ps2_mouse, dz),
	V3_SAVE(struct ps2_mouse, buttons),
	V3_SAVE_END,
};
const struct v3_save_table v3_ps2_mouse_save = {
	.fields = ps2_mouse_fields,
	.size = sizeof(struct ps2_mouse),
	.loaded = ps2_mouse_loaded,
};
