/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file aml.c
 * Writer for ACPI machine language: the encodings of ACPI 6.4 section 20.2 and the resource
 * descriptors of section 6.4 that acpi.c needs.
 */
#include "boot/aml.h"

#include "palacios/util/str.h"

#define AML_NAME_OP	  0x08
#define AML_BYTE_PREFIX	  0x0a
#define AML_WORD_PREFIX	  0x0b
#define AML_DWORD_PREFIX  0x0c
#define AML_STRING_PREFIX 0x0d
#define AML_QWORD_PREFIX  0x0e
#define AML_SCOPE_OP	  0x10
#define AML_BUFFER_OP	  0x11
#define AML_PACKAGE_OP	  0x12
#define AML_METHOD_OP	  0x14
#define AML_EXT_OP	  0x5b
#define AML_DEVICE_OP	  0x82 /* after AML_EXT_OP */
#define AML_IF_OP	  0xa0

#define AML_LEN_BYTES 3 /* of every package length: room for 1 MiB */
#define AML_LEN_MAX   0x100000

void v3_aml_bytes(struct v3_aml *aml, const void *data, uint32_t len)
{
	if (aml->overflow || len > aml->size - aml->len) {
		aml->overflow = true;
		return;
	}
	memcpy(aml->buf + aml->len, data, len);
	aml->len += len;
}

void v3_aml_int(struct v3_aml *aml, uint64_t value, unsigned n)
{
	v3_aml_bytes(aml, &value, n);
}

void v3_aml_op(struct v3_aml *aml, uint8_t op)
{
	v3_aml_int(aml, op, 1);
}

void v3_aml_align(struct v3_aml *aml, uint32_t align)
{
	while ((aml->len & (align - 1)) && !aml->overflow)
		v3_aml_op(aml, 0);
}

void v3_aml_name(struct v3_aml *aml, const char *name)
{
	char seg[4] = {'_', '_', '_', '_'};
	unsigned i;

	if (*name == '\\')
		v3_aml_op(aml, (uint8_t)*name++);
	for (i = 0; i < 4 && name[i]; i++)
		seg[i] = name[i];
	v3_aml_bytes(aml, seg, 4);
}

void v3_aml_number(struct v3_aml *aml, uint64_t value)
{
	if (value < 2) {
		v3_aml_op(aml, (uint8_t)value); /* ZeroOp, OneOp */
	} else if (value <= 0xff) {
		v3_aml_op(aml, AML_BYTE_PREFIX);
		v3_aml_int(aml, value, 1);
	} else if (value <= 0xffff) {
		v3_aml_op(aml, AML_WORD_PREFIX);
		v3_aml_int(aml, value, 2);
	} else if (value <= 0xffffffff) {
		v3_aml_op(aml, AML_DWORD_PREFIX);
		v3_aml_int(aml, value, 4);
	} else {
		v3_aml_op(aml, AML_QWORD_PREFIX);
		v3_aml_int(aml, value, 8);
	}
}

void v3_aml_name_number(struct v3_aml *aml, const char *name, uint64_t value)
{
	v3_aml_op(aml, AML_NAME_OP);
	v3_aml_name(aml, name);
	v3_aml_number(aml, value);
}

void v3_aml_name_text(struct v3_aml *aml, const char *name, const char *text)
{
	v3_aml_op(aml, AML_NAME_OP);
	v3_aml_name(aml, name);
	v3_aml_op(aml, AML_STRING_PREFIX);
	v3_aml_bytes(aml, text, (uint32_t)v3_strlen(text) + 1);
}

static unsigned aml_hex(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters in 5 bits each, then four digits; the bytes go from the left (ACPI 6.4 19.3.4,
 * EISAID). */
void v3_aml_hid(struct v3_aml *aml, const char *id)
{
	unsigned letters = (unsigned)(id[0] - '@') << 10 | (unsigned)(id[1] - '@') << 5 |
			   (unsigned)(id[2] - '@');

	v3_aml_op(aml, AML_NAME_OP);
	v3_aml_name(aml, "_HID");
	v3_aml_op(aml, AML_DWORD_PREFIX);
	v3_aml_int(aml, letters >> 8, 1);
	v3_aml_int(aml, letters & 0xff, 1);
	v3_aml_int(aml, aml_hex(id[3]) << 4 | aml_hex(id[4]), 1);
	v3_aml_int(aml, aml_hex(id[5]) << 4 | aml_hex(id[6]), 1);
}

/* Leave room for a package length. @return mark: where it stands */
static uint32_t aml_begin(struct v3_aml *aml)
{
	uint32_t mark = aml->len;

	v3_aml_int(aml, 0, AML_LEN_BYTES);
	return mark;
}

void v3_aml_end(struct v3_aml *aml, uint32_t mark)
{
	uint32_t len = aml->len - mark;

	if (aml->overflow)
		return;
	if (len >= AML_LEN_MAX) {
		aml->overflow = true;
		return;
	}
	/* 20.2.4: two more bytes follow; the low 4 bits are in the first one. The length counts
	 * itself. */
	aml->buf[mark] = (uint8_t)((AML_LEN_BYTES - 1) << 6 | (len & 15));
	aml->buf[mark + 1] = (uint8_t)(len >> 4);
	aml->buf[mark + 2] = (uint8_t)(len >> 12);
}

uint32_t v3_aml_scope(struct v3_aml *aml, const char *name)
{
	uint32_t mark;

	v3_aml_op(aml, AML_SCOPE_OP);
	mark = aml_begin(aml);
	v3_aml_name(aml, name);
	return mark;
}

uint32_t v3_aml_device(struct v3_aml *aml, const char *name)
{
	uint32_t mark;

	v3_aml_op(aml, AML_EXT_OP);
	v3_aml_op(aml, AML_DEVICE_OP);
	mark = aml_begin(aml);
	v3_aml_name(aml, name);
	return mark;
}

uint32_t v3_aml_method(struct v3_aml *aml, const char *name, unsigned nargs)
{
	uint32_t mark;

	v3_aml_op(aml, AML_METHOD_OP);
	mark = aml_begin(aml);
	v3_aml_name(aml, name);
	v3_aml_int(aml, nargs, 1);
	return mark;
}

uint32_t v3_aml_if(struct v3_aml *aml)
{
	v3_aml_op(aml, AML_IF_OP);
	return aml_begin(aml);
}

uint32_t v3_aml_package(struct v3_aml *aml, unsigned n)
{
	uint32_t mark;

	v3_aml_op(aml, AML_PACKAGE_OP);
	mark = aml_begin(aml);
	v3_aml_int(aml, n, 1);
	return mark;
}

/* A resource template is a buffer: its size, in bytes, stands as a word between length and
 * contents. */
uint32_t v3_aml_resources(struct v3_aml *aml)
{
	uint32_t mark;

	v3_aml_op(aml, AML_NAME_OP);
	v3_aml_name(aml, "_CRS");
	v3_aml_op(aml, AML_BUFFER_OP);
	mark = aml_begin(aml);
	v3_aml_op(aml, AML_WORD_PREFIX);
	v3_aml_int(aml, 0, 2);
	return mark;
}

void v3_aml_end_resources(struct v3_aml *aml, uint32_t mark)
{
	uint32_t contents = mark + AML_LEN_BYTES + 3, len;

	v3_aml_int(aml, 0x79, 2); /* end tag; checksum 0: not used (6.4.2.9) */
	if (aml->overflow)
		return;
	len = aml->len - contents;
	aml->buf[contents - 2] = (uint8_t)len;
	aml->buf[contents - 1] = (uint8_t)(len >> 8);
	v3_aml_end(aml, mark);
}

void v3_aml_res_io(struct v3_aml *aml, uint16_t port, uint8_t len)
{
	v3_aml_op(aml, 0x47); /* 6.4.2.5 */
	v3_aml_op(aml, 1);    /* decodes 16 bits */
	v3_aml_int(aml, port, 2);
	v3_aml_int(aml, port, 2);
	v3_aml_op(aml, 1); /* alignment */
	v3_aml_op(aml, len);
}

void v3_aml_res_irq(struct v3_aml *aml, unsigned irq)
{
	v3_aml_op(aml, 0x22); /* 6.4.2.1: without flags: edge, active high */
	v3_aml_int(aml, 1u << irq, 2);
}

/* Address space descriptors (6.4.3.5.2, 6.4.3.5.3): limits fixed, positive decode, producer. */
static void aml_res_window(struct v3_aml *aml, uint8_t type, uint8_t type_flags, uint64_t first,
			   uint64_t last, unsigned width)
{
	v3_aml_op(aml, width == 2 ? 0x88 : 0x87);
	v3_aml_int(aml, 3 + 5 * width, 2);
	v3_aml_op(aml, type);
	v3_aml_op(aml, 0x0c);
	v3_aml_op(aml, type_flags);
	v3_aml_int(aml, 0, width); /* granularity */
	v3_aml_int(aml, first, width);
	v3_aml_int(aml, last, width);
	v3_aml_int(aml, 0, width); /* translation */
	v3_aml_int(aml, last - first + 1, width);
}

void v3_aml_res_bus(struct v3_aml *aml, uint16_t first, uint16_t last)
{
	aml_res_window(aml, 2, 0, first, last, 2);
}

void v3_aml_res_io_window(struct v3_aml *aml, uint16_t first, uint16_t last)
{
	aml_res_window(aml, 1, 3, first, last, 2); /* ISA and non-ISA addresses */
}

void v3_aml_res_mem_window(struct v3_aml *aml, uint32_t first, uint32_t last)
{
	aml_res_window(aml, 0, 1, first, last, 4); /* read-write, not cacheable */
}
