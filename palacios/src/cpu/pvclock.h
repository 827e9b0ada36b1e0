/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file pvclock.h
 * The KVM-compatible paravirtual clock ("kvmclock").
 */
#ifndef V3_CPU_PVCLOCK_H
#define V3_CPU_PVCLOCK_H

struct v3_vcpu;
struct v3_vm;

/** Register its MSRs. thread, VM being made. */
int v3_pvclock_register(struct v3_vm *vm);
/** The relation of TSC and time changed, or time stood still: write the guest's page again. Own thread or
 * stopped VM. Nothing happens unless the guest enabled the clock. */
void v3_pvclock_update(struct v3_vcpu *vcpu);

#endif
