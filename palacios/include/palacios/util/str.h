/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file str.h
 * The four memory functions the host must link, and our own string helpers.
 */
#ifndef PALACIOS_UTIL_STR_H
#define PALACIOS_UTIL_STR_H

#include "palacios/types.h"

#if defined(__KERNEL__) && defined(__linux__)
#include <linux/string.h>
#else
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
#endif

/** Length of a text. any. */
size_t v3_strlen(const char *s);
/** Compare: 0 if equal, else the sign of the first difference. any. */
int v3_strcmp(const char *a, const char *b);
/** Copy with truncation, always terminated (size > 0). @return length of @p src. any. */
size_t v3_strlcpy(char *dst, const char *src, size_t size);

#endif
