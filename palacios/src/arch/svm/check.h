/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file check.h
 * The consistency checks of VMRUN, in software: the CPU says only that one of them failed.
 */
#ifndef V3_SVM_CHECK_H
#define V3_SVM_CHECK_H

#include "arch/svm/vmcb.h"

/** One rule of the manual. */
struct svm_rule {
	bool (*holds)(const struct svm_vmcb *vmcb, unsigned pa_bits);
	const char *text; /* "APM vol. 2 section: what must hold" */
};

/** All of them; the last has holds == NULL. */
extern const struct svm_rule v3_svm_rules[];

/**
 * Would VMRUN take this VMCB? any context.
 * @param pa_bits  physical address width of the CPU
 * @return NULL: nothing found; else the first rule violated, as text
 */
const char *v3_svm_check(const struct svm_vmcb *vmcb, unsigned pa_bits);

#endif
