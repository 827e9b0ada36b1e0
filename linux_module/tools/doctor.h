/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file doctor.h
 * One row of "v3 doctor", between the checks (doctor_cpu.c, doctor.c) and what prints them (doctor.c).
 */
#ifndef V3_TOOL_DOCTOR_H
#define V3_TOOL_DOCTOR_H

#include <stdbool.h>

enum v3_verdict { V3_ROW_GOOD, V3_ROW_WARN, V3_ROW_BAD };

struct v3_row {
	const char *name; /* stable: scripts look for it */
	enum v3_verdict verdict;
	char found[200];
	char remedy[320];
};

void v3_row_set(struct v3_row *row, enum v3_verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void v3_row_remedy(struct v3_row *row, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

bool v3_doctor_module_loaded(void);
/** The checks of doctor_cpu.c: CPU, firmware, other hypervisors. */
void v3_doctor_cpu(struct v3_row *row);
void v3_doctor_firmware(struct v3_row *row);
void v3_doctor_others(struct v3_row *row);

#endif
