/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file backends.c
 * The vendor back ends of this build, in the order in which v3_init() probes them.
 */
#include "arch/ops.h"

#include "arch/svm/svm.h"
#include "arch/vmx/vmx.h"

const struct v3_arch_ops *const v3_arch_backends[] = {
#ifdef CONFIG_V3_SVM
	&v3_svm_ops,
#endif
#ifdef CONFIG_V3_VMX
	&v3_vmx_ops,
#endif
	NULL,
};
