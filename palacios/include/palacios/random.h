/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file random.h
 * Unpredictable bytes for guests, from the host's optional source.
 */
#ifndef PALACIOS_RANDOM_H
#define PALACIOS_RANDOM_H

#include "palacios/types.h"

/** Has the host a source? any. */
bool v3_random_offered(void);
/** Fill up to @p len bytes. atomic. @return bytes, 0..len: fewer if there are no more now, or there is no source. */
size_t v3_random(void *buf, size_t len);

#endif
