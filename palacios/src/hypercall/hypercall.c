/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file hypercall.c
 * VMMCALL/VMCALL: find the owner of the number, hand it the arguments, put the result into RAX.
 */
#include "hypercall/hypercall.h"

#include "exit/insn.h"
#include "palacios/abi/hypercall.h"
#include "state.h"

#define V3_LOG_TAG "hypercall"

int v3_hypercall_register(struct v3_vm *vm, uint64_t first, uint64_t count, v3_hypercall_fn fn,
			  void *priv)
{
	struct v3_hypercalls *hc = &vm->hypercalls;
	uint64_t last = first + count - 1;
	uint32_t i;

	if (!count || last < first)
		return V3_EINVAL;
	for (i = 0; i < hc->nranges; i++)
		if (first <= hc->range[i].last && hc->range[i].first <= last)
			return V3_EEXIST;
	if (hc->nranges == V3_MAX_HYPERCALL_RANGES)
		return V3_ENOSPC;
	hc->range[hc->nranges++] =
		(struct v3_hypercall_range){.first = first, .last = last, .fn = fn, .priv = priv};
	return V3_OK;
}

void v3_hypercall_unregister(struct v3_vm *vm, uint64_t first)
{
	struct v3_hypercalls *hc = &vm->hypercalls;
	uint32_t i;

	for (i = 0; i < hc->nranges; i++)
		if (hc->range[i].first == first) {
			hc->range[i] = hc->range[--hc->nranges];
			return;
		}
}

/* The numbers every guest has, without registration. */
static int64_t hypercall_builtin(struct v3_vcpu *vcpu, uint64_t nr, const uint64_t args[4])
{
	switch (nr) {
	case V3_HYPERCALL_NOP:
		return 0;
	case V3_HYPERCALL_VERSION:
		return V3_ABI_VERSION;
	case V3_HYPERCALL_KVM_KICK_CPU:
		return v3_kvm_kick_cpu(vcpu->vm, args);
	case V3_HYPERCALL_KVM_SEND_IPI:
		return v3_kvm_send_ipi(vcpu, args);
	default:
		V3_GUEST_WARN(vcpu->vm, "unknown hypercall %#llx", (unsigned long long)nr);
		return V3_ENOTSUP;
	}
}

static int64_t hypercall_run(struct v3_vcpu *vcpu, uint64_t nr, const uint64_t args[4])
{
	const struct v3_hypercalls *hc = &vcpu->vm->hypercalls;
	uint32_t i;

	for (i = 0; i < hc->nranges; i++)
		if (nr >= hc->range[i].first && nr <= hc->range[i].last)
			return hc->range[i].fn(vcpu, nr, args, hc->range[i].priv);
	return hypercall_builtin(vcpu, nr, args);
}

/* VMCALL and VMMCALL, without prefixes. */
bool v3_hypercall_at_rip(struct v3_vcpu *vcpu)
{
	uint8_t bytes[3];
	size_t got;

	return v3_fetch(vcpu, bytes, sizeof(bytes), &got) == V3_OK && got == sizeof(bytes) &&
	       bytes[0] == 0x0f && bytes[1] == 0x01 && (bytes[2] == 0xc1 || bytes[2] == 0xd9);
}

int v3_hypercall_exit(struct v3_vcpu *vcpu, struct v3_exit *exit)
{
	uint64_t *gpr = vcpu->regs.gpr;
	uint64_t mask = v3_code_bits(vcpu) == 64 ? ~0ull : 0xffffffffull;
	uint64_t args[4] = {gpr[V3_RBX] & mask, gpr[V3_RCX] & mask, gpr[V3_RDX] & mask,
			    gpr[V3_RSI] & mask};
	int64_t ret;

	if (v3_insn_skip(vcpu, exit, V3_OP_HYPERCALL) != V3_OK)
		return V3_OK;
	ret = vcpu->cpl ? V3_EPERM : hypercall_run(vcpu, gpr[V3_RAX] & mask, args);
	gpr[V3_RAX] = (uint64_t)ret & mask;
	return V3_OK;
}
