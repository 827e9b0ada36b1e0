/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file chr.h
 * Byte streams for UARTs and consoles, over the host's optional console group.
 */
#ifndef PALACIOS_CHR_H
#define PALACIOS_CHR_H

#include "palacios/types.h"

struct v3_chr;
struct v3_vcpu;
struct v3_vm;

/**
 * Open the host stream @p name for a device. thread.
 *
 * @param input  called on vcpu 0's thread when bytes may have arrived (drain with v3_chr_read()); NULL: none
 * @param priv   passed to @p input
 * @return V3_OK; V3_ENOTSUP: the host has no console group; V3_ENOENT: no such stream; V3_ENOMEM.
 */
int v3_chr_open(struct v3_vm *vm, const char *name, void (*input)(struct v3_vcpu *vcpu, void *priv),
		void *priv, struct v3_chr **chr);
/** thread; NULL is allowed. */
void v3_chr_close(struct v3_chr *chr);
/** Never blocks. atomic. @return bytes taken, 0..len; NULL @p chr takes everything. */
size_t v3_chr_write(struct v3_chr *chr, const void *buf, size_t len);
/** Never blocks. atomic. @return bytes read, 0 = none. NULL @p chr: 0. */
size_t v3_chr_read(struct v3_chr *chr, void *buf, size_t len);

#endif
