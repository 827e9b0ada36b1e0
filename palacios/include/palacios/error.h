/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file error.h
 * Results: 0 or a positive count is success; failures are negative and numerically equal to Linux errno,
 * so that a glue layer can hand them on unchanged.
 */
#ifndef PALACIOS_ERROR_H
#define PALACIOS_ERROR_H

#define V3_OK 0

/* Positive result of exit and access handlers: done, and a request that ends or holds the run loop has been
 * made (stop, reset, pause). The loop looks at requests before every entry, so V3_OK does as well. */
#define V3_LEAVE 1

#define V3_EPERM     (-1)   /* the CPU or firmware forbids it */
#define V3_ENOENT    (-2)   /* no such object, section, key or port */
#define V3_EIO	     (-5)   /* a back end failed */
#define V3_E2BIG     (-7)   /* larger than a documented limit */
#define V3_EAGAIN    (-11)  /* nothing there now */
#define V3_ENOMEM    (-12)  /* the host has no memory left */
#define V3_EFAULT    (-14)  /* guest address not backed by RAM, or an exception was queued */
#define V3_EBUSY     (-16)  /* in use, or wrong state for this call */
#define V3_EEXIST    (-17)  /* already there, overlaps */
#define V3_ENODEV    (-19)  /* the hardware is not there */
#define V3_EINVAL    (-22)  /* an argument is wrong */
#define V3_ENOSPC    (-28)  /* a fixed table is full */
#define V3_ERANGE    (-34)  /* a number is out of its range */
#define V3_EBADMSG   (-74)  /* malformed or corrupt input data */
#define V3_EOVERFLOW (-75)  /* does not fit the buffer */
#define V3_ENOTSUP   (-95)  /* named, but not implemented or not offered by this host */
#define V3_ETIMEDOUT (-110) /* deadline passed */

/**
 * Name of an error code, for messages.
 * Any context. @return static text such as "V3_ENOMEM"; "V3_E?" for an unknown code. Never NULL.
 */
const char *v3_strerror(int err);

#endif
