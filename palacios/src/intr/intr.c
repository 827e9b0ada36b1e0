// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file intr.c
 * Routing between devices, interrupt controllers and vcpus: the registrations of
 * include/palacios/intr.h and the calls through them. Called by every device; calls the registered
 * controllers and v3_vcpu_request(). Registrations change only while no vcpu runs, so the look-ups
 * take no lock.
 */
#include "intr/intr.h"

#include "host/host.h"
#include "palacios/error.h"
#include "state.h"

#define V3_LOG_TAG "intr"

/* Message address format, SDM 3A 10.11.1. */
#define MSI_ADDR_BASE	 0xfee00000ull
#define MSI_ADDR_MASK	 (~0xfffffull)
#define MSI_ADDR_LOGICAL (1u << 2)
#define MSI_ADDR_HINT	 (1u << 3)
/* Message data format, SDM 3A 10.11.2. */
#define MSI_DATA_ASSERT	 (1u << 14)
#define MSI_DATA_LEVEL	 (1u << 15)

void v3_irq_set(struct v3_vm *vm, unsigned gsi, bool level)
{
	if (gsi >= V3_NR_GSI)
		return;
	for (unsigned i = 0; i < V3_INTR_SINKS; i++) {
		const struct v3_irq_sink *sink = &vm->intr.sink[i];

		if (sink->fn)
			sink->fn(sink->priv, gsi, level);
	}
}

int v3_irq_sink_register(struct v3_vm *vm, v3_irq_sink_fn fn, void *priv)
{
	for (unsigned i = 0; i < V3_INTR_SINKS; i++) {
		struct v3_irq_sink *sink = &vm->intr.sink[i];

		if (sink->fn)
			continue;
		sink->priv = priv;
		sink->fn = fn;
		return V3_OK;
	}
	return V3_ENOSPC;
}

void v3_irq_sink_unregister(struct v3_vm *vm, void *priv)
{
	for (unsigned i = 0; i < V3_INTR_SINKS; i++) {
		struct v3_irq_sink *sink = &vm->intr.sink[i];

		if (sink->fn && sink->priv == priv) {
			sink->fn = NULL;
			sink->priv = NULL;
		}
	}
}

int v3_lapic_register(struct v3_vm *vm, const struct v3_lapic_ops *ops, void *priv)
{
	if (vm->intr.lapic)
		return V3_EEXIST;
	vm->intr.lapic_priv = priv;
	vm->intr.lapic = ops;
	return V3_OK;
}

void v3_lapic_unregister(struct v3_vm *vm)
{
	vm->intr.lapic = NULL;
	vm->intr.lapic_priv = NULL;
}

uint64_t v3_intr_cr8(struct v3_vcpu *vcpu)
{
	const struct v3_intr *intr = &vcpu->vm->intr;

	return intr->lapic ? intr->lapic->get_cr8(intr->lapic_priv, vcpu) : vcpu->cr8;
}

uint32_t *v3_apic_page(struct v3_vcpu *vcpu)
{
	return v3_host_pa_to_va(vcpu->apic_pa);
}

bool v3_apic_set_mode(struct v3_vcpu *vcpu, enum v3_apic_mode mode, bool enabled)
{
	__atomic_store_n(&vcpu->apic_mode, mode, __ATOMIC_SEQ_CST);
	vcpu->apic_by_cpu =
		vcpu->arch->set_apic_mode && vcpu->arch->set_apic_mode(vcpu, mode, enabled);
	v3_mmu_apic_mode(vcpu->vm);
	/* Who delivers must learn what waits. */
	v3_vcpu_request_self(vcpu, V3_REQ_IRQ);
	return vcpu->apic_by_cpu;
}

void v3_apic_send(struct v3_vm *vm, const struct v3_apic_msg *msg)
{
	if (vm->intr.lapic)
		vm->intr.lapic->send(vm->intr.lapic_priv, msg);
}

void v3_msi_send(struct v3_vm *vm, uint64_t addr, uint32_t data)
{
	struct v3_apic_msg msg = {
		.dest = (addr >> 12) & 0xff,
		.logical = (addr & MSI_ADDR_LOGICAL) != 0,
		.level = (data & MSI_DATA_LEVEL) != 0,
		.vector = (uint8_t)data,
		.mode = (enum v3_delivery)((data >> 8) & 7),
	};

	/* An address outside the window is an ordinary memory write of the guest's own making. */
	if ((addr & MSI_ADDR_MASK) != MSI_ADDR_BASE) {
		V3_GUEST_WARN(vm, "message address %#llx is not a local APIC's, dropped",
			      (unsigned long long)addr);
		return;
	}
	/* De-assertion of a level message changes nothing at a local APIC (SDM 3A 10.11.2). */
	if (msg.level && !(data & MSI_DATA_ASSERT))
		return;
	msg.broadcast = msg.dest == 0xff;
	/* The redirection hint asks for one processor of the destination set: the lowest-priority
	 * rule. */
	if ((addr & MSI_ADDR_HINT) && msg.mode == V3_DELIVER_FIXED)
		msg.mode = V3_DELIVER_LOWEST;
	v3_apic_send(vm, &msg);
}

int v3_eoi_register(struct v3_vm *vm, v3_eoi_fn fn, void *priv)
{
	if (vm->intr.eoi)
		return V3_EEXIST;
	vm->intr.eoi_priv = priv;
	vm->intr.eoi = fn;
	return V3_OK;
}

void v3_eoi_unregister(struct v3_vm *vm)
{
	vm->intr.eoi = NULL;
	vm->intr.eoi_priv = NULL;
}

void v3_eoi_broadcast(struct v3_vm *vm, uint8_t vector)
{
	if (vm->intr.eoi)
		vm->intr.eoi(vm->intr.eoi_priv, vector);
}

int v3_extint_register(struct v3_vm *vm, const struct v3_extint_ops *ops, void *priv)
{
	if (vm->intr.extint)
		return V3_EEXIST;
	vm->intr.extint_priv = priv;
	vm->intr.extint = ops;
	return V3_OK;
}

void v3_extint_unregister(struct v3_vm *vm)
{
	vm->intr.extint = NULL;
	vm->intr.extint_priv = NULL;
}

void v3_extint_request(struct v3_vm *vm)
{
	if (vm->vcpu[0])
		v3_vcpu_irq_request(vm->vcpu[0]);
}

void v3_vcpu_irq_request(struct v3_vcpu *vcpu)
{
	v3_vcpu_request(vcpu, V3_REQ_IRQ);
}
