/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file hypercall.h
 * Hypercalls: VMMCALL on AMD, VMCALL on Intel. Number in RAX; arguments in RBX, RCX, RDX, RSI (KVM's
 * convention); result in RAX: 0 or positive, or a negative V3_E*, V3_ENOTSUP for an unknown number. Numbers:
 * abi/hypercall.h.
 */
#ifndef PALACIOS_HYPERCALL_H
#define PALACIOS_HYPERCALL_H

#include "palacios/types.h"

struct v3_vcpu;
struct v3_vm;

/** @param args RBX, RCX, RDX, RSI, cut to 32 bits outside 64-bit mode. @return value for RAX. Own thread. */
typedef int64_t (*v3_hypercall_fn)(struct v3_vcpu *vcpu, uint64_t nr, const uint64_t args[4],
				   void *priv);

/**
 * Claim hypercall numbers. Before the VM runs. The guest must be in CPL 0, else it gets V3_EPERM.
 * @return V3_OK; V3_EINVAL (empty or wraps); V3_EEXIST (overlap); V3_ENOSPC.
 */
int v3_hypercall_register(struct v3_vm *vm, uint64_t first, uint64_t count, v3_hypercall_fn fn,
			  void *priv);
/** Give back the range that begins at @p first. Not while the VM runs. No such range: no effect. */
void v3_hypercall_unregister(struct v3_vm *vm, uint64_t first);

#endif
