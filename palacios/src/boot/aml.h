/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file aml.h
 * Private to boot/: a writer for ACPI tables and ACPI machine language (ACPI 6.4 chapter 20) into a
 * buffer. Nothing fails in the middle: a full buffer sets an error that is looked at once at the
 * end.
 */
#ifndef V3_BOOT_AML_H
#define V3_BOOT_AML_H

#include "palacios/types.h"

struct v3_aml {
	uint8_t *buf; /* not owned */
	uint32_t len, size;
	bool overflow; /* something did not fit, or an AML package grew too long */
};

void v3_aml_bytes(struct v3_aml *aml, const void *data, uint32_t len);
/** The low @p n bytes of a number, little-endian. */
void v3_aml_int(struct v3_aml *aml, uint64_t value, unsigned n);
/** Zero bytes up to a multiple of @p align (a power of two). */
void v3_aml_align(struct v3_aml *aml, uint32_t align);

/* Terms. Names: one segment of up to 4 characters, optionally after a backslash. */
void v3_aml_name(struct v3_aml *aml, const char *name);
void v3_aml_number(struct v3_aml *aml, uint64_t value);
/** Name (name, number) and Name (name, "text"). */
void v3_aml_name_number(struct v3_aml *aml, const char *name, uint64_t value);
void v3_aml_name_text(struct v3_aml *aml, const char *name, const char *text);
/** Name (_HID, EisaId (id)), e.g. "PNP0A03". */
void v3_aml_hid(struct v3_aml *aml, const char *id);

/* Constructs with a length in front: begin returns a mark to give to end. */
uint32_t v3_aml_scope(struct v3_aml *aml, const char *name);
uint32_t v3_aml_device(struct v3_aml *aml, const char *name);
uint32_t v3_aml_method(struct v3_aml *aml, const char *name, unsigned nargs);
uint32_t v3_aml_if(struct v3_aml *aml); /* the predicate follows */
/** Package with @p n elements, 1..255. */
uint32_t v3_aml_package(struct v3_aml *aml, unsigned n);
void v3_aml_end(struct v3_aml *aml, uint32_t mark);
/** Name (_CRS, ResourceTemplate () {...}) */
uint32_t v3_aml_resources(struct v3_aml *aml);
void v3_aml_end_resources(struct v3_aml *aml, uint32_t mark);

/* Resource descriptors (6.4). */
void v3_aml_res_io(struct v3_aml *aml, uint16_t port, uint8_t len);
void v3_aml_res_irq(struct v3_aml *aml, unsigned irq);
/** Ranges a bridge hands down, both ends inclusive. */
void v3_aml_res_bus(struct v3_aml *aml, uint16_t first, uint16_t last);
void v3_aml_res_io_window(struct v3_aml *aml, uint16_t first, uint16_t last);
void v3_aml_res_mem_window(struct v3_aml *aml, uint32_t first, uint32_t last);

#define V3_AML_STORE  0x70
#define V3_AML_RETURN 0xa4
#define V3_AML_ARG0   0x68
/** One operator or operand byte. */
void v3_aml_op(struct v3_aml *aml, uint8_t op);

#endif
