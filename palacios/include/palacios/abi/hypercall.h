/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file hypercall.h
 * Hypercall numbers and CPUID signature, shared with guests. Includable from assembly.
 */
#ifndef PALACIOS_ABI_HYPERCALL_H
#define PALACIOS_ABI_HYPERCALL_H

#define V3_CPUID_SIGNATURE 0x40000000 /* EBX, ECX, EDX: "V3VE" "EV3V" "EEV3" */
#define V3_CPUID_VERSION   0x40000001 /* EAX: ABI version */
#define V3_CPUID_KVM_BASE  0x40000100 /* KVM-compatible leaves */

#define V3_HYPERCALL_NOP     0x56330000 /* returns 0 */
#define V3_HYPERCALL_VERSION 0x56330001 /* returns V3_ABI_VERSION */
#define V3_ABI_VERSION	     1

/* KVM's, for guests that know it: Linux kernel documentation, virt/kvm/x86/hypercalls.rst */
#define V3_HYPERCALL_KVM_KICK_CPU 5  /* RBX: 0, RCX: APIC id */
#define V3_HYPERCALL_KVM_SEND_IPI 10 /* RBX, RCX: bitmap of APIC ids from RDX on; RSI: ICR */

#endif
