/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file msr.h
 * Model-specific registers of a VM. Deny by default: an MSR nobody registered raises #GP.
 */
#ifndef PALACIOS_MSR_H
#define PALACIOS_MSR_H

#include "palacios/types.h"

struct v3_vcpu;
struct v3_vm;

/**
 * Handlers of an MSR range, on the vcpu's thread; no sleeping without v3_vcpu_may_sleep().
 * @return V3_OK; V3_EINVAL: the guest gets #GP(0); any other negative value: our failure, VM stopped.
 */
typedef int (*v3_msr_read_fn)(struct v3_vcpu *vcpu, uint32_t msr, uint64_t *value, void *priv);
typedef int (*v3_msr_write_fn)(struct v3_vcpu *vcpu, uint32_t msr, uint64_t value, void *priv);

/**
 * Claim MSRs @p first .. @p first + @p count - 1. Before the VM first runs, thread context.
 *
 * @param rd    NULL: reads raise #GP
 * @param wr    NULL: writes raise #GP
 * @param priv  passed to the handlers; must outlive the VM's use
 * @return V3_OK; V3_EINVAL (empty, wraps); V3_EEXIST (overlap, nothing changed); V3_ENOSPC; V3_ENOMEM.
 */
int v3_msr_register(struct v3_vm *vm, uint32_t first, uint32_t count, v3_msr_read_fn rd,
		    v3_msr_write_fn wr, void *priv);

/** Give back the range that begins at @p first. Not while the VM runs. No such range: no effect. */
void v3_msr_unregister(struct v3_vm *vm, uint32_t first);

#endif
