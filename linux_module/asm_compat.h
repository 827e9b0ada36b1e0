/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * asm_compat.h: comes before each assembly file of the library. Every return becomes the kernel's, which goes
 * through its return thunk where the CPU needs that.
 */
#ifndef LNX_ASM_COMPAT_H
#define LNX_ASM_COMPAT_H

#include <linux/linkage.h>

#define ret RET

#endif
