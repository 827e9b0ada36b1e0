/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file stdarg.h
 * The one header of the compiler that the library includes and kernel code may not: the kernel has its own.
 */
#include <linux/stdarg.h>
