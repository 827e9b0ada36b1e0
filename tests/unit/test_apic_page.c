// SPDX-License-Identifier: BSD-3-Clause
/**
 * @file test_apic_page.c
 * The page at which the hardware answers for the local APIC, in the VM's nested table and in views: there while
 * every vcpu is in xAPIC mode, gone before any of them runs in another.
 */
#include "fake_arch.h"
#include "intr_rig.h"
#include "mmu/nested/table.h"
#include "mmu/view.h"

#define APIC_ACCESS 0x123000ull

static struct v3_vm *open_with_page(unsigned nvcpus)
{
	struct v3_vm *vm = rig_open_bare(nvcpus);

	vm->mmu.apic_access = APIC_ACCESS;
	rig_add(vm, &v3_device_lapic);
	return vm;
}

static v3_hpa_t mapped(const struct v3_nested *table)
{
	unsigned level = 9;
	uint64_t e = v3_nested_lookup(table, V3_PC_LAPIC_BASE, &level);

	CHECK(!e || level == 0);
	return e & 0x000ffffffffff000ull;
}

static void set_base(struct v3_vm *vm, unsigned cpu, unsigned flags)
{
	CHECK_EQ(rig_wrmsr(vm, cpu, V3_MSR_APIC_BASE, V3_PC_LAPIC_BASE | flags), V3_OK);
}

static int view_fault(struct v3_vcpu *vcpu, struct v3_view *view, v3_gpa_t gpa, unsigned access,
		      void *priv)
{
	(void)vcpu;
	(void)view;
	(void)gpa;
	(void)access;
	(void)priv;
	return V3_EINVAL;
}

static void test_apic_page_only_if_the_hardware_has_one(void)
{
	struct v3_vm *vm = rig_open_bare(2);

	rig_add(vm, &v3_device_lapic);
	CHECK_EQ(mapped(&vm->mmu.nested), 0);
	rig_close(vm);
}

static void test_apic_page_needs_all_vcpus_in_xapic_mode(void)
{
	struct v3_vm *vm = open_with_page(2);

	CHECK_EQ(mapped(&vm->mmu.nested), APIC_ACCESS);
	set_base(vm, 1, 0xc00);
	CHECK_EQ(mapped(&vm->mmu.nested), 0);
	set_base(vm, 0, 0xd00);
	set_base(vm, 1, 0);
	CHECK_EQ(mapped(&vm->mmu.nested), 0);
	set_base(vm, 1, 0x800);
	CHECK_EQ(mapped(&vm->mmu.nested), 0);
	rig_reset(vm);
	CHECK_EQ(mapped(&vm->mmu.nested), APIC_ACCESS);
	set_base(vm, 0, 0x100);
	CHECK_EQ(mapped(&vm->mmu.nested), 0);
	set_base(vm, 0, 0x900);
	CHECK_EQ(mapped(&vm->mmu.nested), APIC_ACCESS);
	rig_close(vm);
}

/* The other vcpu may have it in its TLB. */
static void test_apic_page_is_flushed_when_it_goes(void)
{
	struct v3_vm *vm = open_with_page(2);

	rig_take(vm, 0, ~0u);
	rig_take(vm, 1, ~0u);
	set_base(vm, 1, 0xc00);
	CHECK(rig_take(vm, 0, V3_REQ_FLUSH));
	CHECK(rig_take(vm, 1, V3_REQ_FLUSH));
	set_base(vm, 1, 0); /* it is gone already */
	CHECK(!rig_take(vm, 0, V3_REQ_FLUSH));
	rig_close(vm);
}

static void test_apic_page_in_views(void)
{
	struct v3_vm *vm = open_with_page(1);
	struct v3_view *before, *after;

	REQUIRE(v3_view_create(vm, view_fault, NULL, &before) == V3_OK);
	CHECK_EQ(mapped(&before->table), APIC_ACCESS);
	set_base(vm, 0, 0xd00);
	CHECK_EQ(mapped(&before->table), 0);
	REQUIRE(v3_view_create(vm, view_fault, NULL, &after) == V3_OK);
	CHECK_EQ(mapped(&after->table), 0);
	rig_reset(vm);
	CHECK_EQ(mapped(&before->table), APIC_ACCESS);
	CHECK_EQ(mapped(&after->table), APIC_ACCESS);
	rig_close(vm);
}

/* INIT of another vcpu changes nobody's mode. */
static void test_apic_page_survives_init(void)
{
	struct v3_vm *vm = open_with_page(2);

	vm->intr.lapic->init(vm->intr.lapic_priv, vm->vcpu[1]);
	CHECK_EQ(mapped(&vm->mmu.nested), APIC_ACCESS);
	rig_close(vm);
}

static const struct tap_test tests[] = {
	TAP(test_apic_page_only_if_the_hardware_has_one),
	TAP(test_apic_page_needs_all_vcpus_in_xapic_mode),
	TAP(test_apic_page_is_flushed_when_it_goes),
	TAP(test_apic_page_in_views),
	TAP(test_apic_page_survives_init),
};
TAP_MAIN(tests)
