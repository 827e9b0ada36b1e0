/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file kvm.c
 * KVM-compatible hypercalls: kick a halted vcpu, send an interrupt to many. Linux kernel documentation,
 * virt/kvm/x86/hypercalls.rst. Called by hypercall.c; calls cpu/pv.c and, through v3_apic_send(), the local APICs.
 */
#include "hypercall/hypercall.h"

#include "state.h"

#define KVM_ICR_VECTOR 0xffu
#define KVM_ICR_MODE   (7u << 8)
#define KVM_ICR_ASSERT (1u << 14)

static struct v3_vcpu *kvm_find(struct v3_vm *vm, uint64_t apic_id)
{
	uint32_t i;

	for (i = 0; i < vm->nvcpus; i++)
		if (v3_topology_apic_id(&vm->topology, i) == apic_id)
			return vm->vcpu[i];
	return NULL;
}

int64_t v3_kvm_kick_cpu(struct v3_vm *vm, const uint64_t args[4])
{
	struct v3_vcpu *target = kvm_find(vm, args[1]);

	if (!target)
		return V3_EINVAL;
	v3_pv_kick(target);
	return 0;
}

/* Only what an ICR without shorthand and logical destination could send: a fixed interrupt or an NMI. */
static bool kvm_icr_valid(uint64_t icr)
{
	if (icr & ~(uint64_t)(KVM_ICR_VECTOR | KVM_ICR_MODE | KVM_ICR_ASSERT))
		return false;
	switch ((icr & KVM_ICR_MODE) >> 8) {
	case V3_DELIVER_FIXED:
		return (icr & KVM_ICR_VECTOR) >= 16;
	case V3_DELIVER_NMI:
		return true;
	default: /* all others are not offered this way */
		return false;
	}
}

/* To those of the map's ids that exist, @p first being bit 0's. */
static int64_t kvm_send_map(struct v3_vm *vm, uint64_t map, uint64_t first, struct v3_apic_msg *msg)
{
	int64_t n = 0;

	for (; map; map &= map - 1) {
		uint64_t id = first + (unsigned)__builtin_ctzll(map);

		if (!kvm_find(vm, id))
			continue;
		msg->dest = (uint32_t)id;
		v3_apic_send(vm, msg);
		n++;
	}
	return n;
}

int64_t v3_kvm_send_ipi(struct v3_vcpu *vcpu, const uint64_t args[4])
{
	unsigned bits = v3_code_bits(vcpu) == 64 ? 64 : 32;
	struct v3_apic_msg msg = {
		.vector = (uint8_t)args[3],
		.mode = (enum v3_delivery)((args[3] & KVM_ICR_MODE) >> 8),
	};

	if (!kvm_icr_valid(args[3]))
		return V3_EINVAL;
	if (args[2] >= V3_MAX_APIC_IDS) /* nobody; and the sums below cannot wrap */
		return 0;
	return kvm_send_map(vcpu->vm, args[0], args[2], &msg) +
	       kvm_send_map(vcpu->vm, args[1], args[2] + bits, &msg);
}
