/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file io.h
 * I/O ports of a VM.
 */
#ifndef PALACIOS_IO_H
#define PALACIOS_IO_H

#include "palacios/types.h"

struct v3_vcpu;
struct v3_vm;

/** One guest access to a port. */
struct v3_io {
	uint16_t port;
	uint8_t size;	/* bytes: 1, 2 or 4 */
	bool write;	/* true: OUT, @p value holds the data; false: IN, the handler sets value */
	uint32_t value; /* bits above size * 8 are zero for OUT and ignored for IN */
};

/**
 * Handler of a port range. On the vcpu's thread; several vcpus may call it at once, the owner locks.
 * Must not sleep without v3_vcpu_may_sleep(). An access wider than the port is not split: the owner
 * decides; one that crosses the end of the range arrives with the range of its first port.
 *
 * @return V3_OK: done; V3_LEAVE: done, and a request was made (error.h); < 0: our failure, the VM is stopped and dumped.
 */
typedef int (*v3_io_fn)(struct v3_vcpu *vcpu, struct v3_io *io, void *priv);

/**
 * Claim a range of I/O ports for one VM.
 *
 * Any time, atomic; device locks may be held (a BAR was programmed). The range stays claimed until
 * v3_io_unregister() or until the VM is destroyed. Unclaimed ports read as all ones and ignore writes.
 *
 * @param vm     VM whose ports are claimed
 * @param first  first port
 * @param count  number of ports, 1..65536 - first
 * @param fn     called once per guest access
 * @param priv   passed to @p fn; must outlive the registration
 *
 * @return V3_OK; V3_EINVAL if the range is empty or wraps; V3_EEXIST if any port in it is taken
 *         (nothing is changed); V3_ENOSPC if the table is full; V3_ENOMEM.
 */
int v3_io_register(struct v3_vm *vm, uint16_t first, uint32_t count, v3_io_fn fn, void *priv);

/**
 * Give back the range that begins at @p first. Any time, atomic. No such range: no effect. A handler that
 * another vcpu is just calling may still run on return: what its @p priv points to must outlive that, so
 * free it only while no vcpu runs.
 */
void v3_io_unregister(struct v3_vm *vm, uint16_t first);

#endif
