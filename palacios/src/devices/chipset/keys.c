/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file keys.c
 * Characters of a terminal -> keys of a US keyboard in scan code set 2, for i8042.c, which types what comes from a
 * host stream.
 */
#include "devices/chipset/ps2.h"

#include "palacios/input.h"

#define KEY_ENTER     0x5a
#define KEY_BACKSPACE 0x66
#define KEY_TAB	      0x0d
#define KEY_ESCAPE    0x76
#define SHIFT	      PS2_STROKE_SHIFT

/* Printable characters, from the blank on. */
static const uint16_t keys_printable[95] = {
	0x29,	      0x16 | SHIFT, 0x52 | SHIFT, 0x26 | SHIFT, 0x25 | SHIFT, /* blank ! " # $ */
	0x2e | SHIFT, 0x3d | SHIFT, 0x52,	  0x46 | SHIFT, 0x45 | SHIFT, /* % & ' ( ) */
	0x3e | SHIFT, 0x55 | SHIFT, 0x41,	  0x4e,		0x49,	      /* * + , - . */
	0x4a,	      0x45,	    0x16,	  0x1e,		0x26,	      /* / 0 1 2 3 */
	0x25,	      0x2e,	    0x36,	  0x3d,		0x3e,	      /* 4 5 6 7 8 */
	0x46,	      0x4c | SHIFT, 0x4c,	  0x41 | SHIFT, 0x55,	      /* 9 : ; < = */
	0x49 | SHIFT, 0x4a | SHIFT, 0x1e | SHIFT, 0x1c | SHIFT, 0x32 | SHIFT, /* > ? @ A B */
	0x21 | SHIFT, 0x23 | SHIFT, 0x24 | SHIFT, 0x2b | SHIFT, 0x34 | SHIFT, /* C D E F G */
	0x33 | SHIFT, 0x43 | SHIFT, 0x3b | SHIFT, 0x42 | SHIFT, 0x4b | SHIFT, /* H I J K L */
	0x3a | SHIFT, 0x31 | SHIFT, 0x44 | SHIFT, 0x4d | SHIFT, 0x15 | SHIFT, /* M N O P Q */
	0x2d | SHIFT, 0x1b | SHIFT, 0x2c | SHIFT, 0x3c | SHIFT, 0x2a | SHIFT, /* R S T U V */
	0x1d | SHIFT, 0x22 | SHIFT, 0x35 | SHIFT, 0x1a | SHIFT, 0x54,	      /* W X Y Z [ */
	0x5d,	      0x5b,	    0x36 | SHIFT, 0x4e | SHIFT, 0x0e,	      /* \ ] ^ _ ` */
	0x1c,	      0x32,	    0x21,	  0x23,		0x24,	      /* a b c d e */
	0x2b,	      0x34,	    0x33,	  0x43,		0x3b,	      /* f g h i j */
	0x42,	      0x4b,	    0x3a,	  0x31,		0x44,	      /* k l m n o */
	0x4d,	      0x15,	    0x2d,	  0x1b,		0x2c,	      /* p q r s t */
	0x3c,	      0x2a,	    0x1d,	  0x22,		0x35,	      /* u v w x y */
	0x1a,	      0x54 | SHIFT, 0x5d | SHIFT, 0x5b | SHIFT, 0x0e | SHIFT, /* z { | } ~ */
};

/* Cursor keys as terminals send them, ESC [ A .. D (ECMA-48 8.3). */
static const uint16_t keys_arrows[4] = {0x75 | V3_KEY_EXTENDED, 0x72 | V3_KEY_EXTENDED,
					0x74 | V3_KEY_EXTENDED, 0x6b | V3_KEY_EXTENDED};

uint16_t v3_ps2_stroke(uint8_t c)
{
	switch (c) {
	case '\r':
	case '\n':
		return KEY_ENTER;
	case '\b':
	case 0x7f:
		return KEY_BACKSPACE;
	case '\t':
		return KEY_TAB;
	case 0x1b:
		return KEY_ESCAPE;
	default:
		if (c >= 1 && c <= 26)
			return keys_printable[c - 1 + 'a' - ' '] | PS2_STROKE_CTRL;
		return c >= ' ' && c < 0x7f ? keys_printable[c - ' '] : 0;
	}
}

uint16_t v3_ps2_arrow(uint8_t final)
{
	return final >= 'A' && final <= 'D' ? keys_arrows[final - 'A'] : 0;
}
