/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file vga_image.c
 * The pixels on the screen of a VGA, row by row, worked out from its registers as the CRT controller, the sequencer
 * and the attribute controller do (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"): text with the
 * font in plane 2, 2, 4, 16 and 256 colors, and the modes of Bochs' extension. Called by v3_display_image().
 *
 * What a monitor would show twice in a row, in either direction, is one pixel here. Blinking is not seen, nor is
 * smooth scrolling (pixel panning, preset row scan).
 */
#include "devices/display/vga.h"

#include "palacios/error.h"
#include "palacios/util/str.h"

#define IMAGE_FONT_SIZE 0x2000u
#define IMAGE_FONT_CHAR 32u /* bytes of a character in it */

/* A row of pixels: row @p y of what lies at @p start. */
struct vga_row {
	const struct vga *vga;
	unsigned width;
	unsigned start; /* address counter of the first row */
	unsigned y;
	uint8_t *rgb; /* 3 * width */
};

/* What the registers make of the memory. */
struct vga_picture {
	unsigned width, height;
	unsigned repeat; /* lines of the screen that a row of the picture stands for */
	void (*paint)(const struct vga_row *row);
};

/* ---- colors ---- */

static void image_put(const struct vga_row *row, unsigned x, unsigned red, unsigned green,
		      unsigned blue)
{
	row->rgb[3 * x] = (uint8_t)red;
	row->rgb[3 * x + 1] = (uint8_t)green;
	row->rgb[3 * x + 2] = (uint8_t)blue;
}

/* Of @p bits to eight: all ones stay all ones. */
static unsigned image_widen(unsigned value, unsigned bits)
{
	value &= (1u << bits) - 1;
	return value << (8 - bits) | value >> (2 * bits - 8);
}

/* A color of the palette of 256. */
static void image_put_dac(const struct vga_row *row, unsigned x, unsigned color)
{
	const uint8_t *c = row->vga->dac[color & row->vga->dac_mask];

	if (row->vga->dispi[DISPI_ENABLE] & DISPI_DAC8)
		image_put(row, x, c[0], c[1], c[2]);
	else
		image_put(row, x, image_widen(c[0], 6), image_widen(c[1], 6), image_widen(c[2], 6));
}

/* One of 16 colors, through the attribute controller. */
static void image_put_attr(const struct vga_row *row, unsigned x, unsigned color)
{
	const uint8_t *attr = row->vga->attr;
	unsigned c = attr[color & attr[ATTR_PLANES] & 15] & 0x3f;

	if (attr[ATTR_MODE] & ATTR_MODE_SELECT)
		c = (c & 0x0f) | (attr[ATTR_SELECT] & 3u) << 4;
	image_put_dac(row, x, c | (attr[ATTR_SELECT] & 0x0cu) << 4);
}

/* ---- the VGA's own modes ---- */

/* Lines of the screen in a row of characters, or of pixels that are as many lines high. */
static unsigned image_row_lines(const struct vga *vga)
{
	return (vga->crtc[CRTC_SCAN_LINE] & 0x1fu) + 1;
}

/* Where the address counter leads in a plane: bytes, words or doublewords; two bits may come from the line. */
static unsigned image_address(const struct vga *vga, unsigned ma, unsigned line)
{
	const uint8_t mode = vga->crtc[CRTC_MODE];
	unsigned addr = ma;

	if (vga->crtc[CRTC_UNDERLINE] & CRTC_DWORD)
		addr = ma << 2 | (ma >> 12 & 3);
	else if (!(mode & CRTC_MODE_BYTES))
		addr = ma << 1 | (ma >> (mode & CRTC_MODE_MA15 ? 15 : 13) & 1);
	if (!(mode & CRTC_MODE_MA13))
		addr = (addr & ~0x2000u) | (line & 1) << 13;
	if (!(mode & CRTC_MODE_MA14))
		addr = (addr & ~0x4000u) | (line >> 1 & 1) << 14;
	return addr % VGA_PLANE;
}

/* Graphics in which each line of a row of "characters" lies elsewhere, as on a CGA: they are rows of their own. */
static bool image_interleaved(const struct vga *vga)
{
	return (~vga->crtc[CRTC_MODE] & (CRTC_MODE_MA13 | CRTC_MODE_MA14)) != 0;
}

/* The address at column @p column of the row. */
static unsigned image_at(const struct vga_row *row, unsigned column)
{
	const struct vga *vga = row->vga;
	const unsigned lines = image_interleaved(vga) ? image_row_lines(vga) : 1;
	const unsigned ma = row->start + row->y / lines * vga->crtc[CRTC_OFFSET] * 2 + column;

	return image_address(vga, ma, row->y % lines);
}

/* The same bit of each plane. */
static unsigned image_planes(const struct vga *vga, unsigned off, unsigned bit)
{
	const uint8_t *byte = vga_byte(vga, off, 0);
	unsigned color = 0;

	for (unsigned plane = 0; plane < VGA_PLANES; plane++)
		color |= (byte[plane] >> bit & 1u) << plane;
	return color;
}

static void image_paint_16(const struct vga_row *row)
{
	for (unsigned x = 0; x < row->width; x++)
		image_put_attr(row, x, image_planes(row->vga, image_at(row, x / 8), 7 - x % 8));
}

/* Two bits a pixel: four of planes 0 and 2, then four of planes 1 and 3. */
static void image_paint_4(const struct vga_row *row)
{
	for (unsigned x = 0; x < row->width; x++) {
		const uint8_t *byte = vga_byte(row->vga, image_at(row, x / 8), x / 4 % 2);
		const unsigned shift = 6 - x % 4 * 2;

		image_put_attr(row, x, (byte[0] >> shift & 3u) | (byte[2] >> shift & 3u) << 2);
	}
}

static void image_paint_256(const struct vga_row *row)
{
	for (unsigned x = 0; x < row->width; x++)
		image_put_dac(row, x, *vga_byte(row->vga, image_at(row, x / 4), x % 4));
}

/* ---- text ---- */

static unsigned image_char_width(const struct vga *vga)
{
	return vga->seq[SEQ_CLOCKING] & SEQ_CLOCKING_8 ? 8 : 9;
}

/* Where in plane 2 the font of a character is: bit 3 of its attribute chooses one of two. */
static unsigned image_font(const struct vga *vga, uint8_t attr)
{
	const uint8_t fonts = vga->seq[SEQ_FONTS];
	const unsigned n = attr & 8 ? (fonts >> 2 & 3u) : (fonts & 3u);
	const bool odd = attr & 8 ? fonts & 0x20 : fonts & 0x10;

	return n * 2 * IMAGE_FONT_SIZE + (odd ? IMAGE_FONT_SIZE : 0);
}

static bool image_cursor(const struct vga *vga, unsigned ma, unsigned line)
{
	const uint8_t *crtc = vga->crtc;

	return ma % VGA_PLANE ==
		       ((unsigned)crtc[CRTC_CURSOR_HIGH] << 8 | crtc[CRTC_CURSOR_HIGH + 1]) &&
	       !(crtc[CRTC_CURSOR_START] & CRTC_CURSOR_OFF) &&
	       line >= (crtc[CRTC_CURSOR_START] & 0x1fu) && line <= (crtc[CRTC_CURSOR_END] & 0x1fu);
}

/* The dots of one line of a character, the leftmost in bit 8. */
static unsigned image_dots(const struct vga *vga, uint8_t c, uint8_t attr, unsigned line)
{
	unsigned dots = *vga_byte(vga, image_font(vga, attr) + c * IMAGE_FONT_CHAR + line, 2);

	dots <<= 1;
	if ((vga->attr[ATTR_MODE] & ATTR_MODE_LINES) && (c & 0xe0) == 0xc0)
		dots |= dots >> 1 & 1;
	return dots;
}

static void image_paint_text(const struct vga_row *row)
{
	const struct vga *vga = row->vga;
	const unsigned width = image_char_width(vga), lines = image_row_lines(vga);
	const unsigned line = row->y % lines;
	const unsigned ma = row->start + row->y / lines * vga->crtc[CRTC_OFFSET] * 2;

	for (unsigned x = 0; x < row->width; x++) {
		const unsigned column = x / width, dot = x % width;
		const uint8_t *cell = vga_byte(vga, image_address(vga, ma + column, line), 0);
		const unsigned back = vga->attr[ATTR_MODE] & ATTR_MODE_BLINK ? 7 : 15;
		bool lit = image_dots(vga, cell[0], cell[1], line) >> (8 - dot) & 1;

		lit |= image_cursor(vga, ma + column, line);
		image_put_attr(row, x, lit ? cell[1] : cell[1] >> 4 & back);
	}
}

/* ---- Bochs' extension ---- */

static void image_packed(const struct vga_row *row, unsigned x, const uint8_t *p)
{
	const unsigned two = p[0] | p[1] << 8;

	switch (row->vga->dispi[DISPI_BPP]) {
	case 8:
		image_put_dac(row, x, p[0]);
		break;
	case 15:
		image_put(row, x, image_widen(two >> 10, 5), image_widen(two >> 5, 5),
			  image_widen(two, 5));
		break;
	case 16:
		image_put(row, x, image_widen(two >> 11, 5), image_widen(two >> 5, 6),
			  image_widen(two, 5));
		break;
	default: /* 24, 32 */
		image_put(row, x, p[2], p[1], p[0]);
		break;
	}
}

/* What lies beyond the memory stays black. */
static void image_paint_dispi(const struct vga_row *row)
{
	const uint64_t size = v3_card_size(row->vga->card);
	struct vga_dispi_screen screen;
	uint8_t pixel[4] = {0};
	uint64_t at;

	v3_vga_dispi_screen(row->vga, &screen);
	screen.start += (uint64_t)row->y * screen.pitch;
	for (unsigned x = 0; x < row->width; x++) {
		at = screen.start + (screen.pixel ? x * screen.pixel : x / 8 * VGA_PLANES);
		if (at + (screen.pixel ? screen.pixel : VGA_PLANES) > size)
			return;
		if (!screen.pixel) {
			image_put_attr(
				row, x,
				image_planes(row->vga, (uint32_t)(at / VGA_PLANES), 7 - x % 8));
			continue;
		}
		for (unsigned i = 0; i < screen.pixel; i++) /* may cross a page */
			pixel[i] = *v3_card_ptr(row->vga->card, at + i);
		image_packed(row, x, pixel);
	}
}

/* ---- the picture ---- */

/* Lines of the screen with a picture on them, those shown twice counted once. */
static unsigned image_lines(const struct vga *vga)
{
	const uint8_t *crtc = vga->crtc;
	unsigned end = crtc[CRTC_END] | (crtc[CRTC_OVERFLOW] & 0x02u) << 7 |
		       (crtc[CRTC_OVERFLOW] & 0x40u) << 3;
	unsigned lines = (end + 1) / (crtc[CRTC_SCAN_LINE] & CRTC_DOUBLE ? 2 : 1);

	return lines ? lines : 1;
}

static void image_picture(const struct vga *vga, struct vga_picture *pic)
{
	const unsigned columns = vga->crtc[CRTC_COLUMNS] + 1u, lines = image_lines(vga);
	const uint8_t mode = vga->gr[GR_MODE];
	unsigned high = 1;

	if (vga_dispi_on(vga)) {
		*pic = (struct vga_picture){.width = vga->dispi[DISPI_XRES],
					    .height = vga->dispi[DISPI_YRES],
					    .paint = image_paint_dispi};
		return;
	}
	*pic = (struct vga_picture){.width = columns * 8};
	if (!(vga->gr[GR_MISC] & GR_MISC_GRAPHICS)) {
		pic->width = columns * image_char_width(vga);
		pic->paint = image_paint_text;
	} else if (mode & GR_MODE_SHIFT8) {
		pic->width = columns * 4;
		pic->paint = image_paint_256;
	} else {
		pic->paint = mode & GR_MODE_SHIFT2 ? image_paint_4 : image_paint_16;
	}
	if ((vga->gr[GR_MISC] & GR_MISC_GRAPHICS) && !image_interleaved(vga))
		high = image_row_lines(vga);
	pic->height = (lines + high - 1) / high;
	pic->repeat = high * (vga->crtc[CRTC_SCAN_LINE] & CRTC_DOUBLE ? 2 : 1);
}

/* Below the line compared with the screen shows the beginning of memory. */
static void image_split(const struct vga *vga, const struct vga_picture *pic, struct vga_row *row)
{
	const uint8_t *crtc = vga->crtc;
	unsigned compare = crtc[CRTC_COMPARE] | (crtc[CRTC_OVERFLOW] & 0x10u) << 4 |
			   (crtc[CRTC_SCAN_LINE] & 0x40u) << 3;

	row->start = (unsigned)crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_HIGH + 1];
	if (pic->repeat && row->y * pic->repeat > compare) {
		row->y -= (compare + pic->repeat) / pic->repeat;
		row->start = 0;
	}
}

/* Lock held. @return V3_EAGAIN: the picture has another size */
static int image_row(const struct vga *vga, const struct v3_display_size *size, unsigned y,
		     uint8_t *rgb)
{
	struct vga_row row = {.vga = vga, .width = size->width, .y = y, .rgb = rgb};
	struct vga_picture pic;

	image_picture(vga, &pic);
	if (pic.width != size->width || pic.height != size->height)
		return V3_EAGAIN;
	memset(rgb, 0, 3ull * size->width);
	if (!(vga->attr_index & ATTR_VIDEO) || (vga->seq[SEQ_CLOCKING] & SEQ_CLOCKING_OFF))
		return V3_OK;
	image_split(vga, &pic, &row);
	pic.paint(&row);
	return V3_OK;
}

int v3_vga_image(struct vga *vga, struct v3_display_size *size, uint32_t first, uint32_t rows,
		 uint8_t *rgb)
{
	struct vga_picture pic;
	unsigned long flags;
	int err = V3_OK;

	if (!rows) {
		flags = v3_lock_acquire(&vga->lock);
		image_picture(vga, &pic);
		v3_lock_release(&vga->lock, flags);
		*size = (struct v3_display_size){.width = pic.width, .height = pic.height};
		return V3_OK;
	}
	if (first >= size->height || rows > size->height - first)
		return V3_EINVAL;
	/* The lock is given back after each row: a large picture takes a while. */
	for (uint32_t i = 0; i < rows && !err; i++) {
		flags = v3_lock_acquire(&vga->lock);
		err = image_row(vga, size, first + i, rgb + 3ull * size->width * i);
		v3_lock_release(&vga->lock, flags);
	}
	return err;
}
