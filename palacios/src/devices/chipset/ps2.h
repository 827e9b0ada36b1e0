/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ps2.h
 * The two PS/2 devices behind the keyboard controller: each takes command bytes and has a queue of bytes for the
 * controller. Private to i8042.c and ps2.c; its lock guards all of it.
 */
#ifndef V3_DEVICES_CHIPSET_PS2_H
#define V3_DEVICES_CHIPSET_PS2_H

#include "palacios/types.h"

struct v3_save_table;

#define PS2_QUEUE  32 /* bytes, a power of two */
#define PS2_KNOCKS 3

struct ps2_queue {
	uint8_t byte[PS2_QUEUE];
	unsigned head, tail; /* count up freely; head - tail bytes wait */
};

struct ps2_keyboard {
	struct ps2_queue out;
	uint8_t command; /* that waits for its parameter; 0: none */
	uint8_t leds, set, rate, last;
	bool scanning;
};

struct ps2_mouse {
	struct ps2_queue out;
	uint8_t command; /* that waits for its parameter; 0: none */
	uint8_t rate, resolution, id;
	uint8_t knock; /* rates so far of the sequence that finds the wheel, below PS2_KNOCKS */
	bool reporting, remote, wrap, scale2;
	int dx, dy, dz; /* not reported yet */
	uint8_t buttons;
};

static inline unsigned ps2_count(const struct ps2_queue *q)
{
	return q->head - q->tail;
}

/** Take the oldest byte; there is one. */
static inline uint8_t ps2_take(struct ps2_queue *q)
{
	return q->byte[q->tail++ % PS2_QUEUE];
}

/** Scan code set 2 -> set 1 of a byte, as controller and keyboard translate; prefixes are the caller's affair. */
uint8_t v3_ps2_translate(uint8_t code);

/** Their saved state (palacios/save.h). */
extern const struct v3_save_table v3_ps2_keyboard_save, v3_ps2_mouse_save;

void v3_ps2_keyboard_reset(struct ps2_keyboard *kbd);
/** A byte from the controller. */
void v3_ps2_keyboard_write(struct ps2_keyboard *kbd, uint8_t value);
/** @return false: lost */
bool v3_ps2_keyboard_key(struct ps2_keyboard *kbd, unsigned code, bool down);

/* A key with what must be held down for it: bits beside V3_KEY_EXTENDED and the code. */
#define PS2_STROKE_SHIFT 0x200
#define PS2_STROKE_CTRL	 0x400
/** Press and release a key. @return false: there was no room, nothing is sent */
bool v3_ps2_keyboard_stroke(struct ps2_keyboard *kbd, uint16_t stroke);

/** The key that types a character of a terminal; 0: none. keys.c */
uint16_t v3_ps2_stroke(uint8_t c);
/** The key for the control sequence ESC [ @p final; 0: none. keys.c */
uint16_t v3_ps2_arrow(uint8_t final);

void v3_ps2_mouse_reset(struct ps2_mouse *mouse);
void v3_ps2_mouse_write(struct ps2_mouse *mouse, uint8_t value);
/** Add a movement, and report what there is if there is room. @return false: not reporting */
bool v3_ps2_mouse_move(struct ps2_mouse *mouse, int dx, int dy, int dz, uint8_t buttons);

#endif
