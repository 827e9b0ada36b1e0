/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file types.h
 * Scalar types of the public API. The only header that asks which host it is compiled for.
 */
#ifndef PALACIOS_TYPES_H
#define PALACIOS_TYPES_H

#if defined(__KERNEL__) && defined(__linux__)
#include <linux/types.h>
#include <linux/stddef.h>
#define UINT32_MAX 0xffffffffu
#define UINT64_MAX 0xffffffffffffffffull
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

typedef uint64_t v3_gpa_t; /* guest-physical address */
typedef uint64_t v3_gva_t; /* guest-virtual (linear) address */
typedef uint64_t v3_hpa_t; /* host-physical address */

#define V3_PAGE_SHIFT 12
#define V3_PAGE_SIZE  4096ull
#define V3_PAGE_MASK  (~(V3_PAGE_SIZE - 1))
#define V3_SIZE_2M    0x200000ull
#define V3_SIZE_1G    0x40000000ull

#define V3_HPA_NONE (~0ull) /* "no page": never a valid physical address */

#define V3_ARRAY_SIZE(a)      (sizeof(a) / sizeof((a)[0]))
#define V3_CONTAINER(p, t, m) ((t *)((char *)(p)-offsetof(t, m)))
#define V3_PRINTF(f, a)	      __attribute__((format(printf, f, a)))
#define V3_LIKELY(x)	      __builtin_expect(!!(x), 1)
#define V3_UNLIKELY(x)	      __builtin_expect(!!(x), 0)

#endif
