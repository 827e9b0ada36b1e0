/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file str.c
 * Text helpers and the names of the error codes. Pure; any context.
 */
#include "palacios/util/str.h"

#include "palacios/error.h"

size_t v3_strlen(const char *s)
{
	size_t len = 0;

	while (s[len])
		len++;
	return len;
}

int v3_strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

size_t v3_strlcpy(char *dst, const char *src, size_t size)
{
	size_t len = v3_strlen(src), n = len < size ? len : size - 1;

	memcpy(dst, src, n);
	dst[n] = 0;
	return len;
}

#define STR_ERR(e)                                                                                 \
	case e:                                                                                    \
		return #e

const char *v3_strerror(int err)
{
	switch (err) {
		STR_ERR(V3_OK);
		STR_ERR(V3_EPERM);
		STR_ERR(V3_ENOENT);
		STR_ERR(V3_EIO);
		STR_ERR(V3_E2BIG);
		STR_ERR(V3_EAGAIN);
		STR_ERR(V3_ENOMEM);
		STR_ERR(V3_EFAULT);
		STR_ERR(V3_EBUSY);
		STR_ERR(V3_EEXIST);
		STR_ERR(V3_ENODEV);
		STR_ERR(V3_EINVAL);
		STR_ERR(V3_ENOSPC);
		STR_ERR(V3_ERANGE);
		STR_ERR(V3_EBADMSG);
		STR_ERR(V3_EOVERFLOW);
		STR_ERR(V3_ENOTSUP);
		STR_ERR(V3_ETIMEDOUT);
	}
	return "V3_E?";
}
