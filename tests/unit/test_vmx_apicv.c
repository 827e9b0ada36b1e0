/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vmx_apicv.c
 * APIC virtualization: controls by CPU model and by the APIC's mode, and what the CPU is told about the page.
 * SDM 3C chapter 30, 25.6.8.
 */
#include "fake_priv.h"
#include "fake_vm.h"
#include "host/host.h"
#include "tap.h"
#include "vmx_models.h"
#include "vmx_rig.h"

#define ALL (VMX_PROC2_APIC_ACCESS | VMX_PROC2_X2APIC | VMX_PROC2_APIC_REGS | VMX_PROC2_VIRT_INTR)
#define CR8 (VMX_PROC_CR8_LOAD | VMX_PROC_CR8_STORE)

#define TPR 0x20
#define ISR 0x40
#define TMR 0x60
#define IRR 0x80

static struct vmx_caps caps_of(const struct vmx_model *m)
{
	struct vmx_caps caps;

	for (uint32_t i = 0; i < VMX_MODEL_MSRS; i++)
		if (m->msr[i])
			fake_msr_set(0x480 + i, m->msr[i]);
	v3_vmx_caps_read(&caps);
	return caps;
}

/* ---- what CPUs can do ---- */

static const struct {
	const char *name;
	uint32_t proc2;
} models[] = {
	{"core2_penryn_t9600", VMX_PROC2_APIC_ACCESS},
	{"corei5_lynnfield_750", VMX_PROC2_APIC_ACCESS},
	{"corei5_arrandale_m520", VMX_PROC2_APIC_ACCESS},
	{"corei7_sandy_bridge_2600k", VMX_PROC2_APIC_ACCESS},
	{"corei7_ivy_bridge_3770k", VMX_PROC2_APIC_ACCESS},
	{"corei7_haswell_4770", ALL},
	{"broadwell_ult", ALL},
	{"corei7_skylake_x", ALL},
};

static void test_vmx_apicv_of_each_model(void)
{
	struct vmx_apic_caps apic;

	_Static_assert(V3_ARRAY_SIZE(models) == V3_ARRAY_SIZE(vmx_models), "one row a model");
	for (unsigned i = 0; i < V3_ARRAY_SIZE(models); i++) {
		const struct vmx_caps caps = caps_of(&vmx_models[i]);

		CHECK_STR(vmx_models[i].name, models[i].name);
		v3_vmx_apic_caps(&caps, &apic);
		CHECK(apic.tpr_shadow);
		CHECK_EQ(apic.proc2, models[i].proc2);
	}
}

static struct vmx_apic_caps without(uint64_t proc, uint64_t proc2, uint32_t must)
{
	struct vmx_caps caps = caps_of(&vmx_models[V3_ARRAY_SIZE(vmx_models) - 1]);
	struct vmx_apic_caps apic;

	caps.procbased = (caps.procbased & ~(proc << 32)) | must;
	caps.procbased2 &= ~(proc2 << 32);
	v3_vmx_apic_caps(&caps, &apic);
	return apic;
}

/* Everything works on the virtual-APIC page; delivery and registers only make sense together. */
static void test_vmx_apicv_controls_that_need_others(void)
{
	CHECK(!without(VMX_PROC_TPR_SHADOW, 0, 0).tpr_shadow);
	CHECK_EQ(without(VMX_PROC_TPR_SHADOW, 0, 0).proc2, 0);
	CHECK(!without(0, 0, VMX_PROC_CR8_LOAD).tpr_shadow);
	CHECK(!without(0, 0, VMX_PROC_CR8_STORE).tpr_shadow);
	CHECK_EQ(without(0, VMX_PROC2_VIRT_INTR, 0).proc2, VMX_PROC2_APIC_ACCESS);
	CHECK_EQ(without(0, VMX_PROC2_APIC_REGS, 0).proc2, VMX_PROC2_APIC_ACCESS);
	CHECK_EQ(without(0, VMX_PROC2_X2APIC, 0).proc2, ALL & ~VMX_PROC2_X2APIC);
	CHECK_EQ(without(0, VMX_PROC2_APIC_ACCESS, 0).proc2, ALL & ~VMX_PROC2_APIC_ACCESS);
}

/* ---- controls by mode ---- */

static bool set_mode(enum v3_apic_mode mode, bool enabled)
{
	return vrig.ops->set_apic_mode(&vrig.vcpu[0], mode, enabled);
}

static struct vmx_vm *vx(void)
{
	return vrig.vm.arch_vm;
}

static uint32_t *page(void)
{
	return v3_apic_page(&vrig.vcpu[0]);
}

static void test_vmx_apicv_without_apic_all_is_off(void)
{
	REQUIRE(vrig_init());
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_PROC_CONTROLS) & (CR8 | VMX_PROC_TPR_SHADOW), CR8);
	CHECK_EQ(vrig_entered(VMCS_PROC2_CONTROLS) & ALL, 0);
	CHECK_EQ(vrig_entered(VMCS_MSR_BITMAP), vx()->msr_bitmap_pa);
}

static const struct {
	enum v3_apic_mode mode;
	bool enabled, by_cpu;
	uint32_t proc2;
} modes[] = {
	{V3_APIC_XAPIC, false, false, VMX_PROC2_APIC_ACCESS | VMX_PROC2_APIC_REGS},
	{V3_APIC_XAPIC, true, true, ALL & ~VMX_PROC2_X2APIC},
	{V3_APIC_X2APIC, true, true, ALL & ~VMX_PROC2_APIC_ACCESS},
	{V3_APIC_X2APIC, false, false, 0},
	{V3_APIC_OFF, true, false, 0},
	{V3_APIC_OFF, false, false, 0},
	{V3_APIC_X2APIC, true, true, ALL & ~VMX_PROC2_APIC_ACCESS},
	{V3_APIC_XAPIC, true, true, ALL & ~VMX_PROC2_X2APIC}, /* by a reset */
};

static void test_vmx_apicv_controls_follow_the_mode(void)
{
	REQUIRE(vrig_init());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(modes); i++) {
		unsigned flushes = vrig_machine.invvpids;

		CHECK_EQ(set_mode(modes[i].mode, modes[i].enabled), modes[i].by_cpu);
		CHECK_EQ(vrig_enter(0), V3_OK);
		CHECK_EQ(vrig_entered(VMCS_PROC_CONTROLS) & (CR8 | VMX_PROC_TPR_SHADOW),
			 VMX_PROC_TPR_SHADOW);
		CHECK_EQ(vrig_entered(VMCS_PROC2_CONTROLS) & ALL, modes[i].proc2);
		CHECK_EQ(vrig_entered(VMCS_PROC2_CONTROLS) & ~ALL, vrig_vv(0)->vmx->ctl.proc2);
		CHECK_EQ(vrig_entered(VMCS_VIRTUAL_APIC_ADDR), vrig.vcpu[0].apic_pa);
		CHECK_EQ(vrig_entered(VMCS_MSR_BITMAP), modes[i].proc2 & VMX_PROC2_X2APIC
								? vx()->x2_bitmap_pa
								: vx()->msr_bitmap_pa);
		if (modes[i].proc2 & VMX_PROC2_APIC_ACCESS)
			CHECK_EQ(vrig_entered(VMCS_APIC_ACCESS_ADDR), vrig.vm.mmu.apic_access);
		CHECK_EQ(vrig_machine.invvpids, flushes + 1);
	}
}

static void check_all_off(void)
{
	CHECK(!set_mode(V3_APIC_XAPIC, true));
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_PROC_CONTROLS) & (CR8 | VMX_PROC_TPR_SHADOW), CR8);
	CHECK_EQ(vrig_entered(VMCS_PROC2_CONTROLS) & ALL, 0);
}

static void test_vmx_apicv_cpu_without_it(void)
{
	REQUIRE(vrig_init());
	vrig_vv(0)->vmx->apic = (struct vmx_apic_caps){0};
	check_all_off();
}

static void test_vmx_apicv_not_wanted(void)
{
	struct vmx_state *vmx;
	void *state = NULL;

	REQUIRE(vrig_init());
	vmx = vrig_vv(0)->vmx;
	CHECK(vmx->apic.tpr_shadow);
	v3_lib.software_apic = true;
	CHECK_EQ(vrig.ops->init(VRIG_NCPUS, &state), V3_OK);
	v3_lib.software_apic = false;
	CHECK(!((struct vmx_state *)state)->apic.tpr_shadow);
	CHECK_EQ(((struct vmx_state *)state)->apic.proc2, 0);
	vrig.ops->fini(state);
}

/* What an x2APIC guest may do without exit, and nothing else: on the host they are its own APIC's MSRs. */
static void test_vmx_apicv_open_msrs(void)
{
	static const char reads[] =
		"..rr....r.r..r.rrrrrrrrrrrrrrrrrrrrrrrrrr.......r.rrrrrrr.....r.";
	static const char writes[] =
		"........w..w...................................................w";

	REQUIRE(vrig_init());
	for (unsigned msr = 0; msr < 0x2000; msr++) {
		bool in = msr >= 0x800 && msr < 0x840;
		bool rd = in && reads[msr - 0x800] == 'r', wr = in && writes[msr - 0x800] == 'w';

		CHECK_MSG(!(vx()->x2_bitmap[msr / 8] >> (msr % 8) & 1) == rd, "read of %#x", msr);
		CHECK_MSG(!(vx()->x2_bitmap[0x800 + msr / 8] >> (msr % 8) & 1) == wr,
			  "write of %#x", msr);
		CHECK(vx()->msr_bitmap[msr / 8] >> (msr % 8) & 1);
	}
	CHECK_EQ(vrig.ops->pass_msr(&vrig.vm, V3_MSR_FS_BASE, true, false), V3_OK);
	CHECK_EQ(vx()->x2_bitmap[0x400 + 0x100 / 8], 0xfe);
	CHECK_EQ(vx()->msr_bitmap[0x400 + 0x100 / 8], 0xfe);
	CHECK_EQ(vx()->x2_bitmap[0xc00 + 0x100 / 8], 0xff);
}

/* ---- the CPU delivers ---- */

static void put(unsigned reg, uint8_t vector)
{
	page()[reg + vector / 32 * 4] |= 1u << (vector & 31);
}

static void test_vmx_apicv_interrupt_status(void)
{
	unsigned writes;

	REQUIRE(vrig_init());
	CHECK(set_mode(V3_APIC_XAPIC, true));
	put(IRR, 0x31);
	put(IRR, 0xff);
	put(ISR, 0x52);
	put(ISR, 0x40);
	vrig.ops->sync_apic(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_GUEST_INTR_STATUS), 0x52ff);
	page()[IRR + 28] = page()[ISR + 8] = 0;
	*vrig_field(vrig_current(), VMCS_GUEST_INTR_STATUS) = 0x1234; /* what the CPU left */
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_GUEST_INTR_STATUS), 0x1234);
	writes = vrig_machine.writes;
	vrig.ops->sync_apic(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_GUEST_INTR_STATUS), 0x0031);
	CHECK(vrig_machine.writes - writes <= 4); /* no bitmaps */
}

static void test_vmx_apicv_level_triggered_eois_exit(void)
{
	REQUIRE(vrig_init());
	CHECK(set_mode(V3_APIC_X2APIC, true));
	put(TMR, 0x10);
	put(TMR, 0x3f);
	put(TMR, 0x60);
	put(TMR, 0xff);
	vrig.ops->sync_apic(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_EOI_EXIT_BITMAP0), 0x8000000000010000ull);
	CHECK_EQ(vrig_entered(VMCS_EOI_EXIT_BITMAP1), 0x100000000ull);
	CHECK_EQ(vrig_entered(VMCS_EOI_EXIT_BITMAP2), 0);
	CHECK_EQ(vrig_entered(VMCS_EOI_EXIT_BITMAP3), 0x8000000000000000ull);
	memset(page(), 0, V3_PAGE_SIZE); /* INIT */
	vrig.ops->vcpu_reset(&vrig.vcpu[0], true);
	CHECK(set_mode(V3_APIC_X2APIC, true));
	vrig.ops->sync_apic(&vrig.vcpu[0]);
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(vrig_entered(VMCS_EOI_EXIT_BITMAP0), 0);
	CHECK_EQ(vrig_entered(VMCS_EOI_EXIT_BITMAP3), 0);
	CHECK_EQ(vrig_entered(VMCS_GUEST_INTR_STATUS), 0);
}

/* Quirk B13: what the CPU says of an interrupt that it was delivering by itself is not true. */
static void test_vmx_apicv_aborted_virtual_interrupt(void)
{
	struct v3_exit exit;

	REQUIRE(vrig_init());
	CHECK(set_mode(V3_APIC_XAPIC, true));
	CHECK(vrig_vv(0)->vmx->forgets_virtual);
	vrig.vectoring = VMX_INTR_VALID | VMX_INTR_TYPE(VMX_INTR_EXCEPTION) | V3_VEC_GP;
	vrig.vcpu[0].regs.rflags |= V3_RFLAGS_IF;
	exit = vrig_exit(VMX_EXIT_EPT_VIOLATION, 0x182); /* nothing is in service */
	CHECK_EQ(exit.aborted.type, V3_EVENT_EXCEPTION);
	put(ISR, 0x41);
	put(ISR, 0x52);
	exit = vrig_exit(VMX_EXIT_EPT_VIOLATION, 0x182);
	CHECK_EQ(exit.aborted.type, V3_EVENT_INTR);
	CHECK_EQ(exit.aborted.vector, 0x52);
	vrig.vcpu[0].regs.rflags &= ~V3_RFLAGS_IF; /* in a handler */
	exit = vrig_exit(VMX_EXIT_EPT_VIOLATION, 0x182);
	CHECK_EQ(exit.aborted.type, V3_EVENT_EXCEPTION);
	vrig.vcpu[0].regs.rflags |= V3_RFLAGS_IF;
	vrig.vectoring = 0;
	CHECK_EQ(vrig_exit(VMX_EXIT_EPT_VIOLATION, 0x182).aborted.type, V3_EVENT_NONE);
	vrig.vectoring = VMX_INTR_VALID | VMX_INTR_TYPE(VMX_INTR_EXCEPTION) | V3_VEC_GP;
	vrig_vv(0)->vmx->forgets_virtual = false; /* other CPUs are believed */
	CHECK_EQ(vrig_exit(VMX_EXIT_EPT_VIOLATION, 0x182).aborted.type, V3_EVENT_EXCEPTION);
}

/* ---- the CPU only keeps the TPR ---- */

static unsigned told;

static void tpr_changed(void *priv, struct v3_vcpu *vcpu)
{
	CHECK(priv == &told && vcpu == &vrig.vcpu[0]);
	told++;
}

static const struct v3_lapic_ops ops = {.tpr_changed = tpr_changed};

static bool init_with_tpr_only(void)
{
	if (!vrig_init())
		return false;
	told = 0;
	vrig.vm.intr.lapic = &ops;
	vrig.vm.intr.lapic_priv = &told;
	vrig_vv(0)->vmx->apic.proc2 = 0;
	return CHECK(!set_mode(V3_APIC_XAPIC, true));
}

/* Class of what waits, if the TPR is what holds it back. */
static void test_vmx_apicv_tpr_threshold(void)
{
	static const struct {
		uint8_t tpr, irr, isr, threshold;
	} t[] = {
		{0x00, 0, 0, 0},       {0x60, 0, 0, 0},
		{0x60, 0x51, 0, 5},    {0x5f, 0x51, 0, 5},
		{0x4f, 0x51, 0, 0},    {0x60, 0x51, 0x41, 5},
		{0x60, 0x51, 0x50, 0}, /* the next EOI exits */ {0x60, 0x51, 0x61, 0},
		{0xf0, 0xff, 0, 0xf},  {0xff, 0x1f, 0, 1},
		{0x00, 0x51, 0, 0},
	};

	REQUIRE(init_with_tpr_only());
	for (unsigned i = 0; i < V3_ARRAY_SIZE(t); i++) {
		memset(page(), 0, V3_PAGE_SIZE);
		page()[TPR] = t[i].tpr;
		if (t[i].irr)
			put(IRR, t[i].irr);
		if (t[i].isr)
			put(ISR, t[i].isr);
		CHECK_EQ(vrig_enter(0), V3_OK);
		CHECK_MSG(vrig_entered(VMCS_TPR_THRESHOLD) == t[i].threshold, "row %u: %u", i,
			  (unsigned)vrig_entered(VMCS_TPR_THRESHOLD));
	}
	CHECK_EQ(told, 0);
}

static void guest_sets_tpr(struct v3_vcpu *vcpu, struct vrig_vmcs *vmcs)
{
	(void)vcpu;
	(void)vmcs;
	page()[TPR] = 0x70;
}

static void test_vmx_apicv_changed_tpr_is_told(void)
{
	REQUIRE(init_with_tpr_only());
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(told, 0);
	vrig.guest = guest_sets_tpr;
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(told, 1);
	CHECK_EQ(vrig_enter(0), V3_OK); /* to the same */
	CHECK_EQ(told, 1);
	page()[TPR] = 0x20; /* by the device: it knows */
	vrig.guest = NULL;
	CHECK_EQ(vrig_enter(0), V3_OK);
	CHECK_EQ(told, 1);
}

/* The software rule about the threshold reads the page, too. */
static void test_vmx_apicv_check_knows_the_page(void)
{
	REQUIRE(init_with_tpr_only());
	page()[TPR] = 0x60;
	put(IRR, 0x51);
	CHECK(!vrig.ops->check_entry(&vrig.vcpu[0]));
	vmx_write(VMCS_TPR_THRESHOLD, 7);
	CHECK(vrig.ops->check_entry(&vrig.vcpu[0]));
}

static const struct tap_test tests[] = {
	TAP(test_vmx_apicv_of_each_model),
	TAP(test_vmx_apicv_controls_that_need_others),
	TAP(test_vmx_apicv_without_apic_all_is_off),
	TAP(test_vmx_apicv_controls_follow_the_mode),
	TAP(test_vmx_apicv_cpu_without_it),
	TAP(test_vmx_apicv_not_wanted),
	TAP(test_vmx_apicv_open_msrs),
	TAP(test_vmx_apicv_interrupt_status),
	TAP(test_vmx_apicv_level_triggered_eois_exit),
	TAP(test_vmx_apicv_aborted_virtual_interrupt),
	TAP(test_vmx_apicv_tpr_threshold),
	TAP(test_vmx_apicv_changed_tpr_is_told),
	TAP(test_vmx_apicv_check_knows_the_page),
};
TAP_MAIN(tests)
