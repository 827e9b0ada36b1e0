/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vmx_regs.c
 * VMX back end: RESET and INIT, registers and segments, page directory pointers, the MSR bitmap, the dump.
 * SDM 3C 25.4, 25.6.6, 25.6.9; 3A table 9-1.
 */
#include "cpu/cpuid.h"
#include "fake_vm.h"
#include "host/host.h"
#include "palacios/util/str.h"
#include "tap.h"
#include "vmx_rig.h"

static void enter(void)
{
	CHECK_EQ(vrig_enter(0), V3_OK);
}

/* ---- RESET and INIT ---- */

static void test_vmx_reset_state(void)
{
	struct v3_vcpu *vcpu = &vrig.vcpu[0];

	REQUIRE(vrig_init());
	enter();
	CHECK_EQ(vrig_entered(VMCS_GUEST_RIP), 0xfff0);
	CHECK_EQ(vrig_entered(VMCS_GUEST_RFLAGS), 2);
	CHECK_EQ(vrig_entered(VMCS_GUEST_SEL(V3_CS)), 0xf000);
	CHECK_EQ(vrig_entered(VMCS_GUEST_BASE(V3_CS)), 0xffff0000);
	CHECK_EQ(vrig_entered(VMCS_GUEST_LIMIT(V3_CS)), 0xffff);
	CHECK_EQ(vrig_entered(VMCS_GUEST_RIGHTS(V3_CS)), 0x9b);
	CHECK_EQ(vrig_entered(VMCS_GUEST_RIGHTS(V3_DS)), 0x93);
	CHECK_EQ(vrig_entered(VMCS_GUEST_RIGHTS(V3_TR)), 0x8b);
	CHECK_EQ(vrig_entered(VMCS_GUEST_RIGHTS(V3_LDTR)), 0x82);
	CHECK_EQ(vrig_entered(VMCS_GUEST_CR0), V3_CR0_ET | V3_CR0_NE);
	CHECK_EQ(vrig_entered(VMCS_CR0_SHADOW), V3_CR0_ET | V3_CR0_CD | V3_CR0_NW);
	CHECK_EQ(vrig_entered(VMCS_GUEST_CR4), V3_CR4_VMXE | V3_CR4_MCE); /* MCE is the host's */
	CHECK_EQ(vrig_entered(VMCS_CR4_SHADOW), 0);
	CHECK_EQ(vrig_entered(VMCS_GUEST_PAT), 0x0007040600070406ull);
	CHECK_EQ(vrig_entered(VMCS_GUEST_DR7), 0x400);
	CHECK_EQ(vrig.ops->get_dr(vcpu, 6), 0xffff0ff0);
	CHECK_EQ(vrig.vcpu[1].regs.gpr[V3_RDX], v3_cpuid_leaf(vcpu, 1)->eax);
}

static void test_vmx_init_keeps_msrs_and_cache_bits(void)
{
	struct v3_vcpu *vcpu = &vrig.vcpu[0];
	uint64_t value;

	REQUIRE(vrig_init());
	vrig.ops->set_cr(vcpu, 0, V3_CR0_ET | V3_CR0_PE);
	vrig.ops->set_msr(vcpu, V3_MSR_LSTAR, 0xffffffff81000000ull);
	vrig.ops->set_msr(vcpu, V3_MSR_SYSENTER_EIP, 0x1234);
	vrig.ops->vcpu_reset(vcpu, true);
	CHECK_EQ(vcpu->cr0, V3_CR0_ET); /* CD and NW as they were: clear */
	CHECK_EQ(vrig.ops->get_msr(vcpu, V3_MSR_LSTAR, &value), V3_OK);
	CHECK_EQ(value, 0xffffffff81000000ull);
	CHECK_EQ(vrig.ops->get_msr(vcpu, V3_MSR_SYSENTER_EIP, &value), V3_OK);
	CHECK_EQ(value, 0x1234);
	vrig.ops->vcpu_reset(vcpu, false);
	CHECK_EQ(vcpu->cr0, V3_CR0_ET | V3_CR0_CD | V3_CR0_NW);
	CHECK_EQ(vrig.ops->get_msr(vcpu, V3_MSR_LSTAR, &value), V3_OK);
	CHECK_EQ(value, 0);
}

static void test_vmx_reset_forgets_events(void)
{
	const struct v3_event ev = {.type = V3_EVENT_INTR, .vector = 0x31};

	REQUIRE(vrig_init());
	vrig.ops->inject(&vrig.vcpu[0], &ev);
	vrig.ops->want_intr_window(&vrig.vcpu[0], 0x31);
	vrig.ops->want_nmi_window(&vrig.vcpu[0]);
	vrig.ops->vcpu_reset(&vrig.vcpu[0], true);
	enter();
	CHECK(!(vrig_entered(VMCS_ENTRY_INTR_INFO) & VMX_INTR_VALID));
	CHECK(!(vrig_entered(VMCS_PROC_CONTROLS) & (VMX_PROC_INTR_WINDOW | VMX_PROC_NMI_WINDOW)));
}

/* ---- segments ---- */

static const struct {
	const char *name;
	struct v3_seg seg;
	uint32_t rights;
} seg_cases[] = {
	{"flat data", {.sel = 0x10, .attr = 0xc93, .limit = 0xffffffff}, 0xc093},
	{"64-bit code", {.sel = 8, .attr = 0xa9b, .limit = 0xffffffff}, 0xa09b},
	{"small, with AVL", {.sel = 8, .attr = 0x193, .limit = 0xfff}, 0x1093},
	{"page granularity below 1 MiB", {.sel = 8, .attr = 0x893, .limit = 0xfff}, 0x93},
	{"limit of 4 GiB without G", {.sel = 8, .attr = 0x493, .limit = 0xffffffff}, 0xc093},
	{"null", {.sel = 0, .attr = 0}, VMX_RIGHTS_UNUSABLE},
	{"not present", {.sel = 8, .attr = 0x413}, VMX_RIGHTS_UNUSABLE},
};

static void test_vmx_segments(void)
{
	struct v3_seg seg;

	REQUIRE(vrig_init());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(seg_cases); i++) {
		vrig.ops->set_seg(&vrig.vcpu[0], V3_ES, &seg_cases[i].seg);
		enter();
		CHECK_MSG(vrig_entered(VMCS_GUEST_RIGHTS(V3_ES)) == seg_cases[i].rights,
			  "%s: rights %#llx", seg_cases[i].name,
			  (unsigned long long)vrig_entered(VMCS_GUEST_RIGHTS(V3_ES)));
		vrig.ops->get_seg(&vrig.vcpu[0], V3_ES, &seg);
		CHECK_EQ(seg.sel, seg_cases[i].seg.sel);
		CHECK_EQ(seg.limit, seg_cases[i].seg.limit);
		CHECK_EQ(!!(seg.attr & V3_SEG_P), !(seg_cases[i].rights & VMX_RIGHTS_UNUSABLE));
	}
}

/* In 64-bit mode SS may be null at privilege 0 to 2; the level must not get lost with it. */
static void test_vmx_null_ss_keeps_the_privilege_level(void)
{
	const struct v3_seg null = {.sel = 0};
	struct v3_vcpu *vcpu = &vrig.vcpu[0];

	REQUIRE(vrig_init());
	vrig.ops->set_cpl(vcpu, 2);
	vrig.ops->set_seg(vcpu, V3_SS, &null);
	CHECK_EQ(vcpu->cpl, 2);
	CHECK_EQ(VMX_RIGHTS_DPL(vrig_vv(0)->value[VMX_RIGHTS + V3_SS]), 2);
}

static void test_vmx_cpl_is_that_of_ss(void)
{
	const struct v3_seg user = {.sel = 0x2b, .attr = 0xcf3, .limit = 0xffffffff};
	struct v3_vcpu *vcpu = &vrig.vcpu[0];

	REQUIRE(vrig_init());
	vrig.ops->set_seg(vcpu, V3_SS, &user);
	CHECK_EQ(vcpu->cpl, 3);
	vrig.ops->set_cpl(vcpu, 0);
	CHECK_EQ(VMX_RIGHTS_DPL(vrig_vv(0)->value[VMX_RIGHTS + V3_SS]), 0);
}

/* ---- control registers ---- */

static void test_vmx_cr0_shows_the_guest_its_own(void)
{
	struct v3_vcpu *vcpu = &vrig.vcpu[0];

	REQUIRE(vrig_init());
	vrig.ops->set_cr(vcpu, 0, V3_CR0_PE | V3_CR0_ET | V3_CR0_CD | V3_CR0_TS);
	enter();
	CHECK_EQ(vrig_entered(VMCS_GUEST_CR0), V3_CR0_PE | V3_CR0_ET | V3_CR0_TS | V3_CR0_NE);
	CHECK_EQ(vrig_entered(VMCS_CR0_SHADOW), V3_CR0_PE | V3_CR0_ET | V3_CR0_CD | V3_CR0_TS);
	CHECK_EQ(vrig_entered(VMCS_CR0_MASK), ~V3_VMX_CR0_OWNED);
	CHECK_EQ(vrig_entered(VMCS_CR4_MASK), ~0ull);
}

static void test_vmx_efer_switches_the_entry_control(void)
{
	struct v3_vcpu *vcpu = &vrig.vcpu[0];

	REQUIRE(vrig_init());
	vrig.ops->set_efer(vcpu, V3_EFER_LME | V3_EFER_LMA);
	CHECK(vrig_vv(0)->value[VMX_ENTRY] & VMX_ENTRY_CTL_GUEST_64);
	vrig.ops->set_efer(vcpu, V3_EFER_LME);
	CHECK(!(vrig_vv(0)->value[VMX_ENTRY] & VMX_ENTRY_CTL_GUEST_64));
}

/* ---- page directory pointers ---- */

static void test_vmx_pdptes_are_loaded_with_the_mode(void)
{
	struct v3_vcpu *vcpu = &vrig.vcpu[0];
	/* present; reserved bits set: taken for not present; not present, so anything goes; present */
	const uint64_t pdpte[4] = {0x5001, 0x6003, 0x0ff6, 0x7009};
	uint8_t *ram;

	REQUIRE(vrig_init());
	ram = vrig_add_ram(1 << 21);
	REQUIRE(ram);
	memcpy(ram + 0x3020, pdpte, sizeof(pdpte));
	vrig.ops->set_cr(vcpu, 3, 0x3020);
	vrig.ops->set_cr(vcpu, 4, V3_CR4_PAE);
	enter();
	CHECK_EQ(vrig_entered(VMCS_GUEST_PDPTE0), 0);
	vrig.ops->set_cr(vcpu, 0, V3_CR0_PG | V3_CR0_PE | V3_CR0_ET);
	enter();
	CHECK_EQ(vrig_entered(VMCS_GUEST_PDPTE0), 0x5001);
	CHECK_EQ(vrig_entered(VMCS_GUEST_PDPTE1), 0);
	CHECK_EQ(vrig_entered(VMCS_GUEST_PDPTE3), 0x7009);
	/* afterwards they are the guest's: not read again by an entry */
	memset(ram + 0x3020, 0, sizeof(pdpte));
	enter();
	CHECK_EQ(vrig_entered(VMCS_GUEST_PDPTE0), 0x5001);
}

/* ---- MSRs ---- */

static const struct {
	uint32_t msr, offset;
	uint8_t bit;
} bitmap_cases[] = {
	{0x0, 0, 0},
	{0x174, 0x2e, 4},
	{0x1fff, 0x3ff, 7},
	{0xc0000081, 0x410, 1},
	{0xc0001fff, 0x7ff, 7},
};

static void test_vmx_msr_bitmap(void)
{
	const struct vmx_vm *vx;

	REQUIRE(vrig_init());
	vx = vrig.vm.arch_vm;
	for (unsigned i = 0; i < 4096; i++)
		CHECK_EQ(vx->msr_bitmap[i], 0xff);
	for (unsigned i = 0; i < V3_ARRAY_SIZE(bitmap_cases); i++) {
		uint8_t expected = (uint8_t) ~(1u << bitmap_cases[i].bit);

		CHECK_EQ(vrig.ops->pass_msr(&vrig.vm, bitmap_cases[i].msr, true, false), V3_OK);
		CHECK_EQ(vx->msr_bitmap[bitmap_cases[i].offset], expected);
		CHECK_EQ(vx->msr_bitmap[bitmap_cases[i].offset + 0x800], 0xff);
		CHECK_EQ(vrig.ops->pass_msr(&vrig.vm, bitmap_cases[i].msr, false, true), V3_OK);
		CHECK_EQ(vx->msr_bitmap[bitmap_cases[i].offset + 0x800], expected);
	}
	CHECK_EQ(vrig.ops->pass_msr(&vrig.vm, 0x2000, true, true), V3_ENOTSUP);
	CHECK_EQ(vrig.ops->pass_msr(&vrig.vm, 0xc0002000, true, true), V3_ENOTSUP);
}

static void test_vmx_msrs_in_the_vmcs(void)
{
	uint64_t value;

	REQUIRE(vrig_init());
	CHECK_EQ(vrig.ops->set_msr(&vrig.vcpu[0], V3_MSR_FS_BASE, 0x7000), V3_OK);
	enter();
	CHECK_EQ(vrig_entered(VMCS_GUEST_BASE(V3_FS)), 0x7000);
	CHECK_EQ(vrig.ops->get_msr(&vrig.vcpu[0], V3_MSR_FS_BASE, &value), V3_OK);
	CHECK_EQ(value, 0x7000);
	CHECK_EQ(vrig.ops->get_msr(&vrig.vcpu[0], V3_MSR_EFER, &value), V3_ENOENT);
	CHECK_EQ(vrig.ops->set_msr(&vrig.vcpu[0], V3_MSR_EFER, 0), V3_ENOENT);
}

static void test_vmx_tsc_offset(void)
{
	REQUIRE(vrig_init());
	vrig.ops->set_tsc_offset(&vrig.vcpu[0], 0xfffffffffffff000ull);
	enter();
	CHECK_EQ(vrig_entered(VMCS_TSC_OFFSET), 0xfffffffffffff000ull);
}

static void test_vmx_tsc_scaling(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(v3_lib.caps.tsc_frac_bits, 48);
	CHECK_EQ(v3_lib.caps.tsc_int_bits, 16);
	enter();
	CHECK(!(vrig_entered(VMCS_PROC2_CONTROLS) & VMX_PROC2_TSC_SCALING));
	vrig.ops->put(&vrig.vcpu[0]);
	vrig.ops->vcpu_destroy(&vrig.vcpu[0]);
	vrig.vm.time.tsc_ratio = 0x800000000000;
	REQUIRE_EQ(vrig.ops->vcpu_create(&vrig.vcpu[0]), V3_OK);
	vrig.ops->vcpu_reset(&vrig.vcpu[0], false);
	vrig.ops->set_nested_root(&vrig.vcpu[0], 0x100000);
	vrig.ops->load(&vrig.vcpu[0]);
	enter();
	CHECK(vrig_entered(VMCS_PROC2_CONTROLS) & VMX_PROC2_TSC_SCALING);
	CHECK_EQ(vrig_entered(VMCS_TSC_MULTIPLIER), 0x800000000000);
}

static void dump_line(void *priv, const char *line)
{
	(void)priv;
	v3_log(NULL, V3_LOG_ERR, "dump", "%s", line);
}

static void test_vmx_dump(void)
{
	const struct v3_text text = {dump_line, NULL};

	REQUIRE(vrig_init());
	vrig_exit(VMX_EXIT_CPUID, 0x1234);
	vrig.ops->put(&vrig.vcpu[0]); /* works loaded or not */
	vrig.ops->dump(&vrig.vcpu[0], &text);
	CHECK(fake_log_contains("exit 0xa qualification 0x1234"));
	CHECK(fake_log_contains("(shows 0x60000010)"));
}

static const struct tap_test tests[] = {
	TAP(test_vmx_reset_state),
	TAP(test_vmx_init_keeps_msrs_and_cache_bits),
	TAP(test_vmx_reset_forgets_events),
	TAP(test_vmx_segments),
	TAP(test_vmx_null_ss_keeps_the_privilege_level),
	TAP(test_vmx_cpl_is_that_of_ss),
	TAP(test_vmx_cr0_shows_the_guest_its_own),
	TAP(test_vmx_efer_switches_the_entry_control),
	TAP(test_vmx_pdptes_are_loaded_with_the_mode),
	TAP(test_vmx_msr_bitmap),
	TAP(test_vmx_msrs_in_the_vmcs),
	TAP(test_vmx_tsc_offset),
	TAP(test_vmx_tsc_scaling),
	TAP(test_vmx_dump),
};
TAP_MAIN(tests)
