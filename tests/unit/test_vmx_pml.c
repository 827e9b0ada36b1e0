/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vmx_pml.c
 * VMX back end: the log of written pages and dirty bits in nested tables. SDM 3C 25.6.17, 29.3.5, 29.3.6.
 */
#include "fake_vm.h"
#include "host/host.h"
#include "tap.h"
#include "vmx_rig.h"

#define RAM (16ull << 20)
#define ALL (~0ull & ~(V3_SIZE_2M - 1))
#define LOG 512u

static uint64_t bitmap[RAM / V3_PAGE_SIZE / 64];

/* The VM with RAM and nested tables; vcpu 0 is loaded. */
static bool pml_vm(void)
{
	if (!vrig_init() || !CHECK(vrig_add_ram(RAM)))
		return false;
	v3_lib.caps.nested_dirty = v3_lib.caps.dirty_log = true;
	return true;
}

/* What the run loop does with requests that concern the tables. */
static void serve(void)
{
	for (unsigned i = 0; i < VRIG_NVCPUS; i++)
		if (fake_take_requests(&vrig.vcpu[i]) & V3_REQ_VIEW)
			vrig.ops->set_nested_root(&vrig.vcpu[i], v3_mmu_root(&vrig.vcpu[i]));
}

/* The CPU logs the page in its current VMCS. @return false: full */
static bool cpu_log(struct vrig_vmcs *vmcs, v3_gpa_t gpa)
{
	uint64_t *index = vrig_field(vmcs, VMCS_PML_INDEX);
	uint64_t *log = v3_host_pa_to_va(*vrig_field(vmcs, VMCS_PML_ADDR));

	if (*index >= LOG)
		return false;
	log[*index] = gpa & V3_PAGE_MASK;
	*index = (*index - 1) & 0xffff;
	return true;
}

static int harvest(void)
{
	return v3_dirty_harvest(&vrig.vm, 0, RAM, bitmap);
}

static bool in_bitmap(uint64_t page)
{
	return bitmap[page / 64] >> (page % 64) & 1;
}

static void test_vmx_pml_dirty_bits_only_while_tracked(void)
{
	REQUIRE(pml_vm());
	vrig.ops->set_nested_root(&vrig.vcpu[0], v3_mmu_root(&vrig.vcpu[0]));
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!(vrig_entered(VMCS_EPTP) & VMX_EPTP_AD));
	CHECK_EQ(vrig_entered(VMCS_PML_INDEX), LOG - 1);
	CHECK(vrig_entered(VMCS_PROC2_CONTROLS) & VMX_PROC2_PML);
	CHECK_EQ(v3_dirty_start(&vrig.vm, 0, ALL), V3_OK);
	serve();
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(vrig_entered(VMCS_EPTP) & VMX_EPTP_AD);
	v3_dirty_stop(&vrig.vm);
	serve();
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!(vrig_entered(VMCS_EPTP) & VMX_EPTP_AD));
}

static void test_vmx_pml_write_protection_needs_no_dirty_bits(void)
{
	REQUIRE(pml_vm());
	v3_lib.caps.nested_dirty = v3_lib.caps.dirty_log = false;
	CHECK_EQ(v3_dirty_start(&vrig.vm, 0, ALL), V3_OK);
	serve();
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK(!(vrig_entered(VMCS_EPTP) & VMX_EPTP_AD));
}

/* What the log has is found once, whether the vcpu is loaded or not; page 0 is a page. */
static void test_vmx_pml_harvest(void)
{
	REQUIRE(pml_vm());
	CHECK_EQ(v3_dirty_start(&vrig.vm, 0, ALL), V3_OK);
	CHECK_EQ(harvest(), 0);
	CHECK(cpu_log(vrig_current(), 0));
	CHECK(cpu_log(vrig_current(), 0x5123));
	CHECK_EQ(harvest(), 2);
	CHECK(in_bitmap(0) && in_bitmap(5));
	CHECK_EQ(harvest(), 0);
	CHECK(cpu_log(vrig_current(), RAM - 1));
	vrig.ops->put(&vrig.vcpu[0]);
	CHECK_EQ(harvest(), 1);
	CHECK(in_bitmap(RAM / V3_PAGE_SIZE - 1));
	CHECK_EQ(harvest(), 0);
	vrig.ops->load(&vrig.vcpu[0]);
}

/* A full log: nothing is lost, and it starts over. Some of it may have been harvested before. */
static void test_vmx_pml_full(void)
{
	struct v3_exit exit;
	unsigned page;

	REQUIRE(pml_vm());
	CHECK_EQ(v3_dirty_start(&vrig.vm, 0, ALL), V3_OK);
	for (page = 0; page < 100; page++)
		CHECK(cpu_log(vrig_current(), page * V3_PAGE_SIZE));
	CHECK_EQ(harvest(), 100);
	for (; page < LOG; page++)
		CHECK(cpu_log(vrig_current(), page * V3_PAGE_SIZE));
	CHECK(!cpu_log(vrig_current(), page * V3_PAGE_SIZE));
	serve();
	exit = vrig_exit(VMX_EXIT_PML_FULL, 0);
	CHECK_EQ(exit.kind, V3_EXIT_DIRTY_LOG);
	CHECK_EQ(v3_exit_dispatch(&vrig.vcpu[0], &exit), V3_OK);
	CHECK(cpu_log(vrig_current(), page * V3_PAGE_SIZE));
	CHECK_EQ(*vrig_field(vrig_current(), VMCS_PML_INDEX), LOG - 2);
	CHECK_EQ(harvest(), LOG - 100 + 1);
	CHECK(!in_bitmap(99) && in_bitmap(100) && in_bitmap(LOG));
	CHECK_EQ(harvest(), 0);
}

/* 28.2.1: the access was part of an IRET that has unblocked NMIs. */
static void test_vmx_pml_full_in_iret(void)
{
	REQUIRE(pml_vm());
	vrig.vcpu[0].nmi_blocked = false;
	vrig_exit(VMX_EXIT_PML_FULL, 0);
	CHECK(!vrig.vcpu[0].nmi_blocked);
	vrig_exit(VMX_EXIT_PML_FULL, VMX_QUAL_EPT_NMI_UNBLOCKED);
	CHECK(vrig.vcpu[0].nmi_blocked);
}

static const struct tap_test tests[] = {
	TAP(test_vmx_pml_dirty_bits_only_while_tracked),
	TAP(test_vmx_pml_write_protection_needs_no_dirty_bits),
	TAP(test_vmx_pml_harvest),
	TAP(test_vmx_pml_full),
	TAP(test_vmx_pml_full_in_iret),
};

TAP_MAIN(tests)
