/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga_text.c
 * The text on the screen of a VGA: a copy of it for whoever asks, and a mirror that writes the rows that changed to
 * a host stream (ECMA-48 control sequences, UTF-8). The mirror looks a moment after the guest changed something,
 * so a screen that stands still costs nothing.
 */
#include "devices/display/vga.h"

#include "palacios/chr.h"
#include "palacios/error.h"
#include "palacios/timer.h"
#include "palacios/util/fmt.h"
#include "palacios/util/str.h"

#define TEXT_MIRROR_NS 50000000ull /* from a change until the mirror looks */
#define TEXT_UTF8      3	   /* bytes of a character at most */

/* Code page 437 from 0x80 on, in Unicode. */
static const uint16_t text_cp437[128] = {
	0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8,
	0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2,
	0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1,
	0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd,
	0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562,
	0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534,
	0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560,
	0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b,
	0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393,
	0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6,
	0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0,
	0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

/* @return bytes written, 1..TEXT_UTF8 */
static unsigned text_utf8(char *to, uint8_t c)
{
	uint16_t u = c < 0x80 ? c : text_cp437[c - 0x80];

	if (u < 0x80) {
		to[0] = (char)u;
		return 1;
	}
	if (u < 0x800) {
		to[0] = (char)(0xc0 | u >> 6);
		to[1] = (char)(0x80 | (u & 0x3f));
		return 2;
	}
	to[0] = (char)(0xe0 | u >> 12);
	to[1] = (char)(0x80 | (u >> 6 & 0x3f));
	to[2] = (char)(0x80 | (u & 0x3f));
	return 3;
}

/* A row of characters without the blanks at its end. @return bytes; more than @p room: not all were written */
static size_t text_row(char *to, size_t room, const uint8_t *row, unsigned n)
{
	char utf8[TEXT_UTF8];
	size_t len = 0;
	unsigned i, bytes;

	while (n && row[n - 1] == ' ')
		n--;
	for (i = 0; i < n; i++, len += bytes) {
		bytes = text_utf8(utf8, row[i]);
		if (len + bytes <= room)
			memcpy(to + len, utf8, bytes);
	}
	return len;
}

void v3_vga_text_screen(const struct vga *vga, struct vga_screen *screen)
{
	const uint8_t *crtc = vga->crtc;
	unsigned end = crtc[CRTC_END] | (crtc[CRTC_OVERFLOW] & 0x02u) << 7 |
		       (crtc[CRTC_OVERFLOW] & 0x40u) << 3;

	screen->columns = crtc[CRTC_COLUMNS] + 1u;
	screen->rows = (end + 1) / ((crtc[CRTC_SCAN_LINE] & 0x1fu) + 1);
	screen->start = (unsigned)crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_HIGH + 1];
	screen->pitch = crtc[CRTC_OFFSET] * 2u;
	if ((vga->gr[GR_MISC] & GR_MISC_GRAPHICS) || screen->columns > V3_DISPLAY_COLUMNS ||
	    screen->rows > V3_DISPLAY_ROWS)
		screen->columns = screen->rows = 0;
}

/* The characters of a row; the pictures that a VGA has for control codes become blanks. In text modes a character and its attribute are a word: character n is at 2 * n. */
static void text_get_row(const struct vga *vga, const struct vga_screen *screen, unsigned row,
			 uint8_t *to)
{
	unsigned at = screen->start + row * screen->pitch, i;

	for (i = 0; i < screen->columns; i++, at++) {
		to[i] = vga->mem[(2 * at) % VGA_PLANE * VGA_PLANES];
		if (to[i] < ' ' || to[i] == 0x7f)
			to[i] = ' ';
	}
}

int v3_vga_text_copy(struct vga *vga, char *buf, size_t size)
{
	uint8_t chars[V3_DISPLAY_COLUMNS];
	struct vga_screen screen;
	unsigned long flags;
	size_t len = 0, n;
	unsigned row;

	flags = v3_lock_acquire(&vga->lock);
	v3_vga_text_screen(vga, &screen);
	for (row = 0; row < screen.rows; row++) {
		text_get_row(vga, &screen, row, chars);
		n = text_row(buf + len, size - len, chars, screen.columns);
		if (n + 2 > size - len)
			break;
		len += n;
		buf[len++] = '\n';
	}
	v3_lock_release(&vga->lock, flags);
	if (!screen.rows)
		return V3_ENOTSUP;
	if (row < screen.rows)
		return V3_E2BIG;
	buf[len] = '\0';
	return (int)len;
}

/* ---- mirror; lock held ---- */

void v3_vga_text_touch(struct vga *vga)
{
	if (vga->dirty || !vga->timer)
		return;
	vga->dirty = true;
	v3_timer_arm(vga->timer, v3_time_ns(vga->vm) + TEXT_MIRROR_NS);
}

void v3_vga_text_restart(struct vga *vga)
{
	vga->shown_columns = vga->shown_rows = 0;
	vga->line_off = vga->line_len = 0;
	v3_vga_text_touch(vga);
}

/* @return false: the stream is full */
static bool text_flush(struct vga *vga)
{
	vga->line_off += (uint16_t)v3_chr_write(vga->chr, vga->line + vga->line_off,
						(size_t)(vga->line_len - vga->line_off));
	return vga->line_off == vga->line_len;
}

static void text_send(struct vga *vga, const char *text)
{
	vga->line_off = 0;
	vga->line_len = (uint16_t)v3_strlcpy(vga->line, text, sizeof(vga->line));
}

/* A row that differs from what was shown goes to line[]. @return false: it does not */
static bool text_send_row(struct vga *vga, const struct vga_screen *screen, unsigned row)
{
	uint8_t chars[V3_DISPLAY_COLUMNS];
	int len;

	text_get_row(vga, screen, row, chars);
	if (!memcmp(chars, vga->shown[row], screen->columns))
		return false;
	memcpy(vga->shown[row], chars, screen->columns);
	len = v3_snprintf(vga->line, sizeof(vga->line), "\x1b[%u;1H", row + 1);
	len += (int)text_row(vga->line + len, sizeof(vga->line) - (size_t)len, chars,
			     screen->columns);
	memcpy(vga->line + len, "\x1b[K", 3);
	vga->line_off = 0;
	vga->line_len = (uint16_t)(len + 3);
	return true;
}

/* @return false: the stream is full, the rest must wait */
static bool text_mirror(struct vga *vga)
{
	struct vga_screen screen;
	unsigned row;

	v3_vga_text_screen(vga, &screen);
	if (!text_flush(vga))
		return false;
	if (screen.columns != vga->shown_columns || screen.rows != vga->shown_rows) {
		vga->shown_columns = (uint16_t)screen.columns;
		vga->shown_rows = (uint16_t)screen.rows;
		memset(vga->shown, ' ', sizeof(vga->shown));
		text_send(vga, "\x1b[H\x1b[2J");
	}
	for (row = 0; row < screen.rows; row++)
		if (!text_flush(vga) || (text_send_row(vga, &screen, row) && !text_flush(vga)))
			return false;
	return text_flush(vga);
}

void v3_vga_text_fire(struct v3_vcpu *vcpu, void *priv)
{
	struct vga *vga = priv;
	unsigned long flags;

	(void)vcpu;
	flags = v3_lock_acquire(&vga->lock);
	if (vga->dirty) {
		vga->dirty = false;
		if (!text_mirror(vga))
			v3_vga_text_touch(vga);
	}
	v3_lock_release(&vga->lock, flags);
}
