/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file apic.c
 * The page at which the hardware answers for the local APIC: mapped into the VM's nested table and all views' before
 * anybody faults on it, so that the way of a fault does not know of it. It may be missing at any time: then accesses
 * fault and are emulated as those of any device. Called by intr/ and view.c; SDM 3C 30.4.
 */
#include "state.h"

#include "mmu/nested/table.h"
#include "mmu/view.h"
#include "palacios/platform.h"

/* One table serves all vcpus. One whose APIC is off or answers by MSR must not find the page there. */
static bool apic_wanted(const struct v3_vm *vm)
{
	for (uint32_t i = 0; i < vm->nvcpus; i++)
		if (__atomic_load_n(&vm->vcpu[i]->apic_mode, __ATOMIC_SEQ_CST) != V3_APIC_XAPIC)
			return false;
	return true;
}

static void apic_map(struct v3_vm *vm, struct v3_nested *table)
{
	int err = v3_nested_map(table, V3_PC_LAPIC_BASE, vm->mmu.apic_access,
				V3_ACC_READ | V3_ACC_WRITE, 0);

	(void)err; /* no memory: it stays as it is */
}

void v3_mmu_apic_view(struct v3_vm *vm, struct v3_nested *table)
{
	if (vm->mmu.apic_shown)
		apic_map(vm, table);
}

void v3_mmu_apic_mode(struct v3_vm *vm)
{
	bool want, dropped = false;
	unsigned long flags;

	if (!vm->mmu.apic_access)
		return;
	flags = v3_lock_acquire(&vm->mem.lock);
	want = apic_wanted(vm);
	if (want) { /* again, if it was lost */
		apic_map(vm, &vm->mmu.nested);
		for (struct v3_view *view = vm->mmu.views; view; view = view->next)
			apic_map(vm, &view->table);
	} else if (!want && vm->mmu.apic_shown) {
		dropped = v3_mmu_drop(vm, V3_PC_LAPIC_BASE, V3_PC_LAPIC_SIZE);
	}
	vm->mmu.apic_shown = want;
	v3_lock_release(&vm->mem.lock, flags);
	if (dropped)
		v3_flush_vm_sync(vm);
}
