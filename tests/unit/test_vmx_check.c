/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vmx_check.c
 * The software checks of VM entry: sound states of every mode pass, and for each rule there is a state that
 * violates it first. The controls are those computed for a recorded CPU model; reading a field that was
 * not set fails the test.
 */
#include "arch/vmx/check.h"
#include "fake_arch.h"
#include "fake_host.h"
#include "palacios/regs.h"
#include "tap.h"
#include "vmx_models.h"

#define NFIELDS	 0x6c20
#define CODE_64	 (0xbu | VMX_RIGHTS_S | VMX_RIGHTS_P | VMX_RIGHTS_L | VMX_RIGHTS_G)
#define CODE_32	 (0xbu | VMX_RIGHTS_S | VMX_RIGHTS_P | VMX_RIGHTS_DB | VMX_RIGHTS_G)
#define DATA_32	 (0x3u | VMX_RIGHTS_S | VMX_RIGHTS_P | VMX_RIGHTS_DB | VMX_RIGHTS_G)
#define REAL_16	 (0x3u | VMX_RIGHTS_S | VMX_RIGHTS_P)
#define TSS_BUSY (0xbu | VMX_RIGHTS_P)
#define LDT	 (0x2u | VMX_RIGHTS_P)
#define UNUSABLE VMX_RIGHTS_UNUSABLE
#define DPL(n)	 ((uint32_t)(n) << 5)
#define WRONG_VA 0x0000900000000000ull
#define WIDE_PA	 (1ull << 40)

static struct {
	struct vmx_caps caps;
	struct vmx_controls ctl;
	uint64_t value[NFIELDS];
	bool known[NFIELDS];
} world;

static uint64_t read_field(void *vmcs, uint32_t field)
{
	CHECK(vmcs == &world);
	if (!CHECK_MSG(field < NFIELDS && world.known[field], "field %#x is read", field))
		return 0;
	return world.value[field];
}

static void set(uint32_t field, uint64_t value)
{
	world.value[field] = value;
	world.known[field] = true;
}

static void add(uint32_t field, uint64_t bits)
{
	set(field, world.value[field] | bits);
}

static const char *check(void)
{
	const struct vmx_check c = {.caps = &world.caps, .read = read_field, .vmcs = &world};

	return v3_vmx_check(&c);
}

static void set_seg(unsigned seg, uint16_t sel, uint64_t base, uint32_t limit, uint32_t rights)
{
	set(VMCS_GUEST_SEL(seg), sel);
	set(VMCS_GUEST_BASE(seg), base);
	set(VMCS_GUEST_LIMIT(seg), limit);
	set(VMCS_GUEST_RIGHTS(seg), rights);
}

static void set_host(void)
{
	static const uint32_t zero[] = {
		VMCS_HOST_ES_SEL,    VMCS_HOST_DS_SEL,	     VMCS_HOST_FS_SEL,
		VMCS_HOST_GS_SEL,    VMCS_HOST_SYSENTER_ESP, VMCS_HOST_SYSENTER_EIP,
		VMCS_HOST_FS_BASE,   VMCS_HOST_GS_BASE,	     VMCS_HOST_TR_BASE,
		VMCS_HOST_GDTR_BASE, VMCS_HOST_IDTR_BASE,
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(zero); i++)
		set(zero[i], 0);
	set(VMCS_HOST_CS_SEL, 8);
	set(VMCS_HOST_SS_SEL, 0);
	set(VMCS_HOST_TR_SEL, 0x18);
	set(VMCS_HOST_CR0, 0x80050033);
	set(VMCS_HOST_CR3, 0x1000);
	set(VMCS_HOST_CR4, V3_CR4_PAE | V3_CR4_VMXE);
	set(VMCS_HOST_PAT, 0x0007040600070406ull);
	set(VMCS_HOST_EFER, V3_EFER_LMA | V3_EFER_LME | V3_EFER_NXE);
	set(VMCS_HOST_RIP, 0xffffffff81000000ull);
}

static void set_controls(void)
{
	set(VMCS_PIN_CONTROLS, world.ctl.pin);
	set(VMCS_PROC_CONTROLS, world.ctl.proc);
	set(VMCS_PROC2_CONTROLS, world.ctl.proc2);
	set(VMCS_EXIT_CONTROLS, world.ctl.exit);
	set(VMCS_ENTRY_CONTROLS, world.ctl.entry);
	set(VMCS_CR3_TARGET_COUNT, 0);
	set(VMCS_MSR_BITMAP, 0x5000);
	set(VMCS_VPID, 1);
	set(VMCS_PML_ADDR, 0x6000);
	set(VMCS_EPTP, 0x7000 | VMX_EPTP_LEVELS(4) | VMX_EPTP_WB);
	set(VMCS_EXIT_MSR_STORE_COUNT, 0);
	set(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	set(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	set(VMCS_ENTRY_INTR_INFO, 0);
}

/* Real mode after RESET, as the hardware sees it: the guest may do that because it is unrestricted. */
static void state_real(void)
{
	for (unsigned seg = V3_ES; seg <= V3_GS; seg++)
		set_seg(seg, 0, 0, 0xffff, REAL_16);
	set_seg(V3_CS, 0xf000, 0xffff0000, 0xffff, REAL_16 | 8);
	set_seg(V3_LDTR, 0, 0, 0xffff, LDT);
	set_seg(V3_TR, 0, 0, 0xffff, TSS_BUSY);
	set(VMCS_GUEST_CR0, V3_CR0_ET | V3_CR0_NE);
	set(VMCS_GUEST_CR3, 0);
	set(VMCS_GUEST_CR4, V3_CR4_VMXE);
	set(VMCS_GUEST_DR7, 0x400);
	set(VMCS_GUEST_RIP, 0xfff0);
	set(VMCS_GUEST_RFLAGS, V3_RFLAGS_ONE);
	set(VMCS_GUEST_EFER, 0);
	set(VMCS_GUEST_PAT, 0x0007040600070406ull);
	set(VMCS_GUEST_DEBUGCTL, 0);
	set(VMCS_GUEST_SYSENTER_ESP, 0);
	set(VMCS_GUEST_SYSENTER_EIP, 0);
	set(VMCS_GUEST_GDTR_BASE, 0);
	set(VMCS_GUEST_IDTR_BASE, 0);
	set(VMCS_GUEST_GDTR_LIMIT, 0xffff);
	set(VMCS_GUEST_IDTR_LIMIT, 0xffff);
	set(VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_ACTIVE);
	set(VMCS_GUEST_INTERRUPTIBILITY, 0);
	set(VMCS_GUEST_PENDING_DEBUG, 0);
	set(VMCS_LINK_POINTER, ~0ull);
}

static void state_long(void)
{
	state_real();
	for (unsigned seg = V3_ES; seg <= V3_GS; seg++)
		set_seg(seg, 0x10, 0, 0xffffffff, DATA_32);
	set_seg(V3_CS, 8, 0, 0xffffffff, CODE_64);
	set_seg(V3_LDTR, 0, 0, 0, UNUSABLE);
	set_seg(V3_TR, 0x18, 0xffff888000001000ull, 0x67, TSS_BUSY);
	set(VMCS_GUEST_CR0, V3_CR0_PE | V3_CR0_ET | V3_CR0_NE | V3_CR0_WP | V3_CR0_PG);
	set(VMCS_GUEST_CR3, 0x9000);
	set(VMCS_GUEST_CR4, V3_CR4_VMXE | V3_CR4_PAE);
	set(VMCS_GUEST_EFER, V3_EFER_LMA | V3_EFER_LME | V3_EFER_NXE | V3_EFER_SCE);
	set(VMCS_GUEST_RIP, 0xffffffff81234567ull);
	add(VMCS_ENTRY_CONTROLS, VMX_ENTRY_CTL_GUEST_64);
}

/* 32-bit code at privilege 3 with PAE paging. */
static void state_pae(void)
{
	state_real();
	for (unsigned seg = V3_ES; seg <= V3_GS; seg++)
		set_seg(seg, 0x13, 0x1000, 0xffffffff, DATA_32 | DPL(3));
	set_seg(V3_CS, 0x0b, 0, 0xffffffff, CODE_32 | DPL(3));
	set_seg(V3_GS, 0, 0, 0, UNUSABLE);
	set_seg(V3_LDTR, 0x20, 0x2000, 0xff, LDT);
	set_seg(V3_TR, 0x18, 0x1000, 0x67, TSS_BUSY);
	set(VMCS_GUEST_CR0, V3_CR0_PE | V3_CR0_ET | V3_CR0_NE | V3_CR0_PG);
	set(VMCS_GUEST_CR4, V3_CR4_VMXE | V3_CR4_PAE);
	set(VMCS_GUEST_RFLAGS, V3_RFLAGS_ONE | V3_RFLAGS_IF);
	set(VMCS_GUEST_PDPTE0, 0xa001);
	set(VMCS_GUEST_PDPTE1, 0);
	set(VMCS_GUEST_PDPTE2, 0xfff0000000000000ull); /* not present: nothing is looked at */
	set(VMCS_GUEST_PDPTE3, 0xb019);
}

static void state_v86(void)
{
	state_pae();
	for (unsigned seg = V3_ES; seg <= V3_GS; seg++)
		set_seg(seg, (uint16_t)(0x1000 + seg), 0x10000 + 16 * seg, 0xffff, 0xf3);
	set(VMCS_GUEST_CR4, V3_CR4_VMXE);
	set(VMCS_GUEST_RFLAGS, V3_RFLAGS_ONE | V3_RFLAGS_VM);
}

/* Without unrestricted guest, so that rules it lifts hold. */
static void state_strict(void)
{
	state_long();
	set(VMCS_PROC2_CONTROLS, world.ctl.proc2 & ~VMX_PROC2_UNRESTRICTED);
}

/* Everything a newer CPU may have is on, with all that it asks for. */
static void state_full(void)
{
	static const uint32_t pages[] = {
		VMCS_IO_BITMAP_A,      VMCS_IO_BITMAP_B,  VMCS_VIRTUAL_APIC_ADDR,
		VMCS_APIC_ACCESS_ADDR, VMCS_PML_ADDR,	  VMCS_VMREAD_BITMAP,
		VMCS_VMWRITE_BITMAP,   VMCS_VE_INFO_ADDR, VMCS_EPTP_LIST,
	};

	state_long();
	for (unsigned i = 0; i < V3_ARRAY_SIZE(pages); i++)
		set(pages[i], 0x20000 + i * 0x1000);
	add(VMCS_PIN_CONTROLS, VMX_PIN_POSTED_INTR | VMX_PIN_PREEMPTION_TIMER);
	add(VMCS_PROC_CONTROLS, VMX_PROC_IO_BITMAPS | VMX_PROC_TPR_SHADOW | VMX_PROC_NMI_WINDOW);
	add(VMCS_PROC2_CONTROLS, VMX_PROC2_APIC_ACCESS | VMX_PROC2_APIC_REGS | VMX_PROC2_VIRT_INTR |
					 VMX_PROC2_VMFUNC | VMX_PROC2_SHADOW_VMCS | VMX_PROC2_PML |
					 VMX_PROC2_VE | VMX_PROC2_MODE_EXEC | VMX_PROC2_SPP);
	add(VMCS_EXIT_CONTROLS, VMX_EXIT_CTL_SAVE_PREEMPTION);
	add(VMCS_ENTRY_CONTROLS, VMX_ENTRY_CTL_LOAD_BNDCFGS);
	set(VMCS_POSTED_INTR_VECTOR, 0xf2);
	set(VMCS_POSTED_INTR_DESC, 0x30040);
	set(VMCS_VM_FUNCTIONS, 1);
	set(VMCS_GUEST_BNDCFGS, 0x12345003);
	set(VMCS_EXIT_MSR_STORE_COUNT, 2);
	set(VMCS_EXIT_MSR_LOAD_COUNT, 2);
	set(VMCS_ENTRY_MSR_LOAD_COUNT, 2);
	set(VMCS_EXIT_MSR_STORE_ADDR, 0x31000);
	set(VMCS_EXIT_MSR_LOAD_ADDR, 0x31020);
	set(VMCS_ENTRY_MSR_LOAD_ADDR, 0x31040);
}

typedef void (*state_fn)(void);

/* Controls, host, and the guest state @p state. */
static void begin(state_fn state)
{
	const struct vmx_model *m = &vmx_models[V3_ARRAY_SIZE(vmx_models) - 1];
	const char *missing;

	memset(&world, 0, sizeof(world));
	for (uint32_t i = 0; i < VMX_MODEL_MSRS; i++)
		if (m->msr[i])
			fake_msr_set(0x480 + i, m->msr[i]);
	v3_vmx_caps_read(&world.caps);
	world.caps.pa_bits = 40;
	CHECK_EQ(v3_vmx_caps_controls(&world.caps, &world.ctl, &missing), V3_OK);
	set_controls();
	set_host();
	if (state == state_full) { /* of no model yet */
		world.caps.pinbased |= 0xffffffffull << 32;
		world.caps.procbased2 |= 0xffffffffull << 32;
		world.caps.entry |= 0xffffffffull << 32;
	}
	state();
}

static void test_vmx_check_accepts_every_mode(void)
{
	static const state_fn states[] = {state_real, state_long,   state_pae,
					  state_v86,  state_strict, state_full};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(states); i++) {
		begin(states[i]);
		CHECK_STR(check() ? check() : "sound", "sound");
	}
}

/* Sound variations: each is what a rule almost forbids. */
static void test_vmx_check_accepts_the_edges(void)
{
	static const struct {
		state_fn state;
		struct {
			uint32_t field;
			uint64_t value;
		} set[3];
	} cases[] = {
		/* events in every state that takes them */
		{state_real, {{VMCS_ENTRY_INTR_INFO, VMX_INTR_VALID | 0x30d}}}, /* #GP, no code */
		{state_long,
		 {{VMCS_ENTRY_INTR_INFO, VMX_INTR_VALID | VMX_INTR_ERROR | 0x30e},
		  {VMCS_ENTRY_INTR_ERROR, 0xffff}}},
		{state_long, {{VMCS_ENTRY_INTR_INFO, VMX_INTR_VALID | 0x202}}},
		{state_pae, {{VMCS_ENTRY_INTR_INFO, VMX_INTR_VALID | 0x0ff}}},
		{state_long,
		 {{VMCS_ENTRY_INTR_INFO, VMX_INTR_VALID | 0x480}, {VMCS_ENTRY_INSN_LEN, 2}}},
		{state_long, /* soft interrupt of length 0: this model can */
		 {{VMCS_ENTRY_INTR_INFO, VMX_INTR_VALID | 0x603}, {VMCS_ENTRY_INSN_LEN, 0}}},
		{state_long,
		 {{VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_HLT},
		  {VMCS_ENTRY_INTR_INFO, VMX_INTR_VALID | 0x202}}},
		{state_long,
		 {{VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_HLT},
		  {VMCS_ENTRY_INTR_INFO, VMX_INTR_VALID | 0x301}}},
		{state_long,
		 {{VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_SHUTDOWN},
		  {VMCS_ENTRY_INTR_INFO, VMX_INTR_VALID | 0x312}}},
		{state_long, {{VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_WAIT_SIPI}}},
		/* blocking */
		{state_pae, {{VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCK_STI}}},
		{state_long, {{VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCK_MOV_SS | VMX_BLOCK_NMI}}},
		{state_long, /* steps, after MOV SS: the trap is pending */
		 {{VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCK_MOV_SS},
		  {VMCS_GUEST_RFLAGS, V3_RFLAGS_ONE | V3_RFLAGS_TF},
		  {VMCS_GUEST_PENDING_DEBUG, VMX_DEBUG_BS}}},
		{state_long,
		 {{VMCS_GUEST_PENDING_DEBUG, VMX_DEBUG_RTM | VMX_DEBUG_ENABLED_BP | 1}}},
		/* segments */
		{state_long, {{VMCS_GUEST_DS_RIGHTS, UNUSABLE}, {VMCS_GUEST_DS_BASE, ~0ull}}},
		{state_long, {{VMCS_GUEST_CS_RIGHTS, CODE_64 | 0xf}}}, /* conforming */
		{state_long, {{VMCS_GUEST_LDTR_BASE, WRONG_VA}, {VMCS_GUEST_LDTR_SEL, 4}}},
		{state_pae, {{VMCS_GUEST_ES_RIGHTS, CODE_32 | DPL(3)}}},
		{state_pae, {{VMCS_GUEST_TR_RIGHTS, 3 | VMX_RIGHTS_P}}},
		{state_real, {{VMCS_GUEST_CS_RIGHTS, REAL_16}}},
		/* the first address that is not canonical may be where RIP has run to */
		{state_long, {{VMCS_GUEST_RIP, 1ull << 47}}},
		{state_long, {{VMCS_LINK_POINTER, 0x3000}}},
		{state_full, {{VMCS_EPTP, 0x7000 | VMX_EPTP_LEVELS(4) | VMX_EPTP_AD}}}, /* UC */
	};

	for (unsigned i = 0; i < V3_ARRAY_SIZE(cases); i++) {
		begin(cases[i].state);
		for (unsigned k = 0; k < 3 && cases[i].set[k].field; k++)
			set(cases[i].set[k].field, cases[i].set[k].value);
		CHECK_MSG(!check(), "case %u: %s", i, check());
	}
}

/* ---- violations ---- */

enum how { NOTHING, SET, OR, CLEAR };

struct change {
	uint32_t field;
	enum how how;
	uint64_t value;
};

#define MOST_CHANGES 4

struct violation {
	state_fn state;
	const char *text; /* after "SDM 3C " */
	struct change change[MOST_CHANGES];
};

/* clang-format off */
static const struct violation violations[] = {
	{state_long, "27.2.1.1: pin-based controls: reserved bits", {{VMCS_PIN_CONTROLS, CLEAR, 2}}},
	{state_long, "27.2.1.1: pin-based controls: reserved bits", {{VMCS_PIN_CONTROLS, OR, 1u << 30}}},
	{state_long, "27.2.1.1: primary controls: reserved bits", {{VMCS_PROC_CONTROLS, CLEAR, 2}}},
	{state_long, "27.2.1.1: secondary controls: reserved bits", {{VMCS_PROC2_CONTROLS, OR, 1u << 29}}},
	{state_long, "27.2.1.1: too many CR3 targets", {{VMCS_CR3_TARGET_COUNT, SET, 5}}},
	{state_full, "27.2.1.1: I/O bitmap A must be a page below the physical address width",
	 {{VMCS_IO_BITMAP_A, SET, 0x123}}},
	{state_full, "27.2.1.1: I/O bitmap B must be a page below the physical address width",
	 {{VMCS_IO_BITMAP_B, SET, WIDE_PA}}},
	{state_long, "27.2.1.1: MSR bitmap must be a page below the physical address width",
	 {{VMCS_MSR_BITMAP, SET, 0x800}}},
	{state_full, "27.2.1.1: virtual-APIC page must be a page below the physical address width",
	 {{VMCS_VIRTUAL_APIC_ADDR, SET, 8}}},
	{state_full, "27.2.1.1: TPR threshold must be 15 at most",
	 {{VMCS_PROC2_CONTROLS, CLEAR, VMX_PROC2_VIRT_INTR}, {VMCS_TPR_THRESHOLD, SET, 16}}},
	{state_long, "27.2.1.1: virtual NMIs need NMI exiting", {{VMCS_PIN_CONTROLS, CLEAR, VMX_PIN_NMI}}},
	{state_long, "27.2.1.1: NMI-window exiting needs virtual NMIs",
	 {{VMCS_PIN_CONTROLS, CLEAR, VMX_PIN_VIRTUAL_NMI}, {VMCS_PROC_CONTROLS, OR, VMX_PROC_NMI_WINDOW}}},
	{state_full, "27.2.1.1: APIC-access page must be a page below the physical address width",
	 {{VMCS_APIC_ACCESS_ADDR, SET, 8}}},
	{state_full, "27.2.1.1: virtual x2APIC mode needs a TPR shadow",
	 {{VMCS_PROC_CONTROLS, CLEAR, VMX_PROC_TPR_SHADOW}, {VMCS_PROC2_CONTROLS, OR, VMX_PROC2_X2APIC}}},
	{state_full, "27.2.1.1: APIC-register virtualization needs a TPR shadow",
	 {{VMCS_PROC_CONTROLS, CLEAR, VMX_PROC_TPR_SHADOW}}},
	{state_full, "27.2.1.1: virtual-interrupt delivery needs a TPR shadow",
	 {{VMCS_PROC_CONTROLS, CLEAR, VMX_PROC_TPR_SHADOW}, {VMCS_PROC2_CONTROLS, CLEAR, VMX_PROC2_APIC_REGS}}},
	{state_full, "27.2.1.1: virtual x2APIC mode excludes virtual APIC accesses",
	 {{VMCS_PROC2_CONTROLS, OR, VMX_PROC2_X2APIC}}},
	{state_full, "27.2.1.1: virtual-interrupt delivery needs external-interrupt exiting",
	 {{VMCS_PIN_CONTROLS, CLEAR, VMX_PIN_EXT_INTR}}},
	{state_full, "27.2.1.1: posted interrupts need virtual-interrupt delivery and acknowledging on exit",
	 {{VMCS_PROC2_CONTROLS, CLEAR, VMX_PROC2_VIRT_INTR}, {VMCS_TPR_THRESHOLD, SET, 0}}},
	{state_full, "27.2.1.1: posted interrupts need virtual-interrupt delivery and acknowledging on exit",
	 {{VMCS_EXIT_CONTROLS, CLEAR, VMX_EXIT_CTL_ACK_INTR}}},
	{state_full, "27.2.1.1: posted-interrupt vector above 255", {{VMCS_POSTED_INTR_VECTOR, SET, 256}}},
	{state_full, "27.2.1.1: posted-interrupt descriptor: not aligned or above the physical address width",
	 {{VMCS_POSTED_INTR_DESC, SET, 0x30020}}},
	{state_long, "27.2.1.1: VPID must not be 0", {{VMCS_VPID, SET, 0}}},
	{state_long, "27.2.1.1: EPT pointer: type, levels, reserved bits or address",
	 {{VMCS_EPTP, SET, 0x7000 | VMX_EPTP_LEVELS(4) | 4}}},
	{state_long, "27.2.1.1: EPT pointer: type, levels, reserved bits or address",
	 {{VMCS_EPTP, SET, 0x7000 | VMX_EPTP_LEVELS(3) | VMX_EPTP_WB}}},
	{state_long, "27.2.1.1: EPT pointer: type, levels, reserved bits or address",
	 {{VMCS_EPTP, SET, 0x7000 | VMX_EPTP_LEVELS(5) | VMX_EPTP_WB}}},
	{state_long, "27.2.1.1: EPT pointer: type, levels, reserved bits or address",
	 {{VMCS_EPTP, OR, 0x800}}},
	{state_long, "27.2.1.1: EPT pointer: type, levels, reserved bits or address",
	 {{VMCS_EPTP, OR, WIDE_PA}}},
	{state_long, "27.2.1.1: unrestricted guest needs EPT", {{VMCS_PROC2_CONTROLS, CLEAR, VMX_PROC2_EPT}}},
	{state_full, "27.2.1.1: page-modification logging needs EPT",
	 {{VMCS_PROC2_CONTROLS, CLEAR, VMX_PROC2_EPT | VMX_PROC2_UNRESTRICTED}}},
	{state_full, "27.2.1.1: mode-based execute control needs EPT",
	 {{VMCS_PROC2_CONTROLS, CLEAR, VMX_PROC2_EPT | VMX_PROC2_UNRESTRICTED | VMX_PROC2_PML}}},
	{state_full, "27.2.1.1: sub-page write permissions need EPT",
	 {{VMCS_PROC2_CONTROLS, CLEAR,
	   VMX_PROC2_EPT | VMX_PROC2_UNRESTRICTED | VMX_PROC2_PML | VMX_PROC2_MODE_EXEC}}},
	{state_full, "27.2.1.1: PML page must be a page below the physical address width",
	 {{VMCS_PML_ADDR, OR, 1}}},
	{state_full, "27.2.1.1: VM-function controls: reserved bits", {{VMCS_VM_FUNCTIONS, OR, 2}}},
	{state_full, "27.2.1.1: EPTP switching needs EPT and a list", {{VMCS_EPTP_LIST, OR, 0x10}}},
	{state_full, "27.2.1.1: VMREAD bitmap must be a page below the physical address width",
	 {{VMCS_VMREAD_BITMAP, OR, 0x10}}},
	{state_full, "27.2.1.1: VMWRITE bitmap must be a page below the physical address width",
	 {{VMCS_VMWRITE_BITMAP, OR, 0x10}}},
	{state_full, "27.2.1.1: virtualization-exception area must be a page below the physical address width",
	 {{VMCS_VE_INFO_ADDR, OR, 0x10}}},

	{state_long, "27.2.1.2: exit controls: reserved bits", {{VMCS_EXIT_CONTROLS, CLEAR, 2}}},
	{state_full, "27.2.1.2: saving the preemption timer needs the timer",
	 {{VMCS_PIN_CONTROLS, CLEAR, VMX_PIN_PREEMPTION_TIMER}}},
	{state_full, "27.2.1.2: MSR-store area: address", {{VMCS_EXIT_MSR_STORE_ADDR, OR, 8}}},
	{state_full, "27.2.1.2: MSR-load area: address", {{VMCS_EXIT_MSR_LOAD_ADDR, SET, WIDE_PA - 16}}},
	{state_long, "27.2.1.3: entry controls: reserved bits", {{VMCS_ENTRY_CONTROLS, CLEAR, 2}}},
	{state_full, "27.2.1.3: MSR-load area: address", {{VMCS_ENTRY_MSR_LOAD_ADDR, OR, WIDE_PA}}},
	{state_full, "27.2.1.3: controls that belong to SMM", {{VMCS_ENTRY_CONTROLS, OR, VMX_ENTRY_CTL_SMM}}},
	{state_full, "27.2.1.3: controls that belong to SMM",
	 {{VMCS_ENTRY_CONTROLS, OR, VMX_ENTRY_CTL_DUAL_MONITOR}}},
	{state_long, "27.2.1.3: injected event: reserved type",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_TYPE(1)}}},
	{state_long, "27.2.1.3: injected event: vector and type",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_TYPE(2) | 3}}},
	{state_long, "27.2.1.3: injected event: vector and type",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_TYPE(3) | 32}}},
	{state_long, "27.2.1.3: injected event: error code where there is none, or none where there is one",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_TYPE(3) | 14}}},
	{state_long, "27.2.1.3: injected event: error code where there is none, or none where there is one",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_ERROR | VMX_INTR_TYPE(3) | 6}}},
	{state_real, "27.2.1.3: injected event: error code where there is none, or none where there is one",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_ERROR | VMX_INTR_TYPE(3) | 13}}},
	{state_pae, "27.2.1.3: injected event: error code where there is none, or none where there is one",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_ERROR | 0x40}}},
	{state_pae, "27.2.1.3: injected event: reserved bits",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | 0x40 | 1u << 12}}},
	{state_long, "27.2.1.3: injected error code: bits 31:16",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_ERROR | VMX_INTR_TYPE(3) | 13},
	  {VMCS_ENTRY_INTR_ERROR, SET, 0x10000}}},
	{state_long, "27.2.1.3: injected event: instruction length",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_TYPE(4) | 0x80}, {VMCS_ENTRY_INSN_LEN, SET, 16}}},

	{state_long, "27.2.2: host CR0: bits that VMX fixes", {{VMCS_HOST_CR0, CLEAR, V3_CR0_NE}}},
	{state_long, "27.2.2: host CR4: bits that VMX fixes", {{VMCS_HOST_CR4, CLEAR, V3_CR4_VMXE}}},
	{state_long, "27.2.2: host CR4: bits that VMX fixes", {{VMCS_HOST_CR4, OR, V3_CR4_PKE}}},
	{state_long, "27.2.2: host CR3: bits above the physical address width", {{VMCS_HOST_CR3, OR, WIDE_PA}}},
	{state_long, "27.2.2: host SYSENTER_ESP must be canonical", {{VMCS_HOST_SYSENTER_ESP, SET, WRONG_VA}}},
	{state_long, "27.2.2: host SYSENTER_EIP must be canonical", {{VMCS_HOST_SYSENTER_EIP, SET, WRONG_VA}}},
	{state_long, "27.2.2: host PAT: reserved memory type", {{VMCS_HOST_PAT, SET, 0x0207040600070406ull}}},
	{state_long, "27.2.2: host EFER: reserved bits, or LMA and LME", {{VMCS_HOST_EFER, OR, 2}}},
	{state_long, "27.2.2: host EFER: reserved bits, or LMA and LME", {{VMCS_HOST_EFER, CLEAR, V3_EFER_LMA}}},
	{state_long, "27.2.3: host ES: RPL and TI must be 0", {{VMCS_HOST_ES_SEL, SET, 0x13}}},
	{state_long, "27.2.3: host CS: RPL and TI must be 0", {{VMCS_HOST_CS_SEL, SET, 9}}},
	{state_long, "27.2.3: host SS: RPL and TI must be 0", {{VMCS_HOST_SS_SEL, SET, 4}}},
	{state_long, "27.2.3: host DS: RPL and TI must be 0", {{VMCS_HOST_DS_SEL, SET, 4}}},
	{state_long, "27.2.3: host FS: RPL and TI must be 0", {{VMCS_HOST_FS_SEL, SET, 4}}},
	{state_long, "27.2.3: host GS: RPL and TI must be 0", {{VMCS_HOST_GS_SEL, SET, 4}}},
	{state_long, "27.2.3: host TR: RPL and TI must be 0", {{VMCS_HOST_TR_SEL, SET, 0x1c}}},
	{state_long, "27.2.3: host CS must not be null", {{VMCS_HOST_CS_SEL, SET, 0}}},
	{state_long, "27.2.3: host TR must not be null", {{VMCS_HOST_TR_SEL, SET, 0}}},
	{state_long, "27.2.3: host FS base must be canonical", {{VMCS_HOST_FS_BASE, SET, WRONG_VA}}},
	{state_long, "27.2.3: host GS base must be canonical", {{VMCS_HOST_GS_BASE, SET, WRONG_VA}}},
	{state_long, "27.2.3: host TR base must be canonical", {{VMCS_HOST_TR_BASE, SET, WRONG_VA}}},
	{state_long, "27.2.3: host GDTR base must be canonical", {{VMCS_HOST_GDTR_BASE, SET, WRONG_VA}}},
	{state_long, "27.2.3: host IDTR base must be canonical", {{VMCS_HOST_IDTR_BASE, SET, WRONG_VA}}},
	{state_long, "27.2.4: a 64-bit host needs host address-space size",
	 {{VMCS_EXIT_CONTROLS, CLEAR, VMX_EXIT_CTL_HOST_64}, {VMCS_HOST_EFER, SET, 0}}},
	{state_long, "27.2.4: host CR4.PAE must be 1", {{VMCS_HOST_CR4, CLEAR, V3_CR4_PAE}}},
	{state_long, "27.2.4: host RIP must be canonical", {{VMCS_HOST_RIP, SET, WRONG_VA}}},

	{state_long, "27.3.1.1: CR0: bits that VMX fixes", {{VMCS_GUEST_CR0, CLEAR, V3_CR0_NE}}},
	{state_long, "27.3.1.1: CR0: bits that VMX fixes", {{VMCS_GUEST_CR0, OR, 1ull << 32}}},
	{state_strict, "27.3.1.1: CR0: bits that VMX fixes", {{VMCS_GUEST_CR0, CLEAR, V3_CR0_PG}}},
	{state_long, "27.3.1.1: CR0.PG needs CR0.PE", {{VMCS_GUEST_CR0, CLEAR, V3_CR0_PE}}},
	{state_long, "27.3.1.1: CR4: bits that VMX fixes", {{VMCS_GUEST_CR4, CLEAR, V3_CR4_VMXE}}},
	{state_long, "27.3.1.1: DEBUGCTL: reserved bits", {{VMCS_GUEST_DEBUGCTL, SET, 8}}},
	{state_long, "27.3.1.1: a 64-bit guest needs CR0.PG and CR4.PAE", {{VMCS_GUEST_CR4, CLEAR, V3_CR4_PAE}}},
	{state_long, "27.3.1.1: a 64-bit guest needs CR0.PG and CR4.PAE", {{VMCS_GUEST_CR0, CLEAR, V3_CR0_PG}}},
	{state_pae, "27.3.1.1: CR4.PCIDE needs a 64-bit guest", {{VMCS_GUEST_CR4, OR, V3_CR4_PCIDE}}},
	{state_long, "27.3.1.1: CR3: bits above the physical address width", {{VMCS_GUEST_CR3, OR, WIDE_PA}}},
	{state_long, "27.3.1.1: DR7: bits 63:32", {{VMCS_GUEST_DR7, OR, 1ull << 32}}},
	{state_long, "27.3.1.1: SYSENTER_ESP must be canonical", {{VMCS_GUEST_SYSENTER_ESP, SET, WRONG_VA}}},
	{state_long, "27.3.1.1: SYSENTER_EIP must be canonical", {{VMCS_GUEST_SYSENTER_EIP, SET, WRONG_VA}}},
	{state_long, "27.3.1.1: PAT: reserved memory type", {{VMCS_GUEST_PAT, SET, 0x03}}},
	{state_long, "27.3.1.1: PAT: reserved memory type", {{VMCS_GUEST_PAT, SET, 0x0800}}},
	{state_long, "27.3.1.1: EFER: reserved bits", {{VMCS_GUEST_EFER, OR, V3_EFER_SVME}}},
	{state_long, "27.3.1.1: EFER: LMA, LME and 64-bit guest do not agree",
	 {{VMCS_GUEST_EFER, CLEAR, V3_EFER_LMA}}},
	{state_long, "27.3.1.1: EFER: LMA, LME and 64-bit guest do not agree",
	 {{VMCS_GUEST_EFER, CLEAR, V3_EFER_LME}}},
	{state_full, "27.3.1.1: BNDCFGS: reserved bits or address", {{VMCS_GUEST_BNDCFGS, SET, 4}}},

	{state_long, "27.3.1.2: TR selector must be in the GDT", {{VMCS_GUEST_TR_SEL, OR, 4}}},
	{state_pae, "27.3.1.2: LDTR selector must be in the GDT", {{VMCS_GUEST_LDTR_SEL, OR, 4}}},
	{state_strict, "27.3.1.2: SS and CS must have the same RPL", {{VMCS_GUEST_SS_SEL, OR, 3}}},
	{state_v86, "27.3.1.2: CS base in virtual-8086 mode", {{VMCS_GUEST_CS_BASE, SET, 0}}},
	{state_v86, "27.3.1.2: SS base in virtual-8086 mode", {{VMCS_GUEST_SS_BASE, SET, 0}}},
	{state_v86, "27.3.1.2: DS base in virtual-8086 mode", {{VMCS_GUEST_DS_BASE, SET, 0}}},
	{state_v86, "27.3.1.2: ES base in virtual-8086 mode", {{VMCS_GUEST_ES_BASE, SET, 0}}},
	{state_v86, "27.3.1.2: FS base in virtual-8086 mode", {{VMCS_GUEST_FS_BASE, SET, 0}}},
	{state_v86, "27.3.1.2: GS base in virtual-8086 mode", {{VMCS_GUEST_GS_BASE, SET, 0}}},
	{state_long, "27.3.1.2: TR base must be canonical", {{VMCS_GUEST_TR_BASE, SET, WRONG_VA}}},
	{state_long, "27.3.1.2: FS base must be canonical", {{VMCS_GUEST_FS_BASE, SET, WRONG_VA}}},
	{state_long, "27.3.1.2: GS base must be canonical", {{VMCS_GUEST_GS_BASE, SET, WRONG_VA}}},
	{state_pae, "27.3.1.2: LDTR base must be canonical", {{VMCS_GUEST_LDTR_BASE, SET, WRONG_VA}}},
	{state_long, "27.3.1.2: CS base: bits 63:32", {{VMCS_GUEST_CS_BASE, SET, 1ull << 32}}},
	{state_long, "27.3.1.2: SS base: bits 63:32", {{VMCS_GUEST_SS_BASE, SET, 1ull << 32}}},
	{state_long, "27.3.1.2: DS base: bits 63:32", {{VMCS_GUEST_DS_BASE, SET, 1ull << 32}}},
	{state_long, "27.3.1.2: ES base: bits 63:32", {{VMCS_GUEST_ES_BASE, SET, 1ull << 32}}},
	{state_v86, "27.3.1.2: CS limit in virtual-8086 mode", {{VMCS_GUEST_CS_LIMIT, SET, 0xfffff}}},
	{state_v86, "27.3.1.2: SS limit in virtual-8086 mode", {{VMCS_GUEST_SS_LIMIT, SET, 0xfffff}}},
	{state_v86, "27.3.1.2: DS limit in virtual-8086 mode", {{VMCS_GUEST_DS_LIMIT, SET, 0xfffff}}},
	{state_v86, "27.3.1.2: ES limit in virtual-8086 mode", {{VMCS_GUEST_ES_LIMIT, SET, 0xfffff}}},
	{state_v86, "27.3.1.2: FS limit in virtual-8086 mode", {{VMCS_GUEST_FS_LIMIT, SET, 0xfffff}}},
	{state_v86, "27.3.1.2: GS limit in virtual-8086 mode", {{VMCS_GUEST_GS_LIMIT, SET, 0xfffff}}},
	{state_v86, "27.3.1.2: CS rights in virtual-8086 mode", {{VMCS_GUEST_CS_RIGHTS, SET, 0xfb}}},
	{state_v86, "27.3.1.2: SS rights in virtual-8086 mode", {{VMCS_GUEST_SS_RIGHTS, SET, 0x93}}},
	{state_v86, "27.3.1.2: DS rights in virtual-8086 mode", {{VMCS_GUEST_DS_RIGHTS, SET, UNUSABLE}}},
	{state_v86, "27.3.1.2: ES rights in virtual-8086 mode", {{VMCS_GUEST_ES_RIGHTS, SET, UNUSABLE}}},
	{state_v86, "27.3.1.2: FS rights in virtual-8086 mode", {{VMCS_GUEST_FS_RIGHTS, SET, UNUSABLE}}},
	{state_v86, "27.3.1.2: GS rights in virtual-8086 mode", {{VMCS_GUEST_GS_RIGHTS, SET, UNUSABLE}}},
	{state_long, "27.3.1.2: CS type must be accessed code (or 3 if unrestricted)",
	 {{VMCS_GUEST_CS_RIGHTS, CLEAR, 1}}},
	{state_strict, "27.3.1.2: CS type must be accessed code (or 3 if unrestricted)",
	 {{VMCS_GUEST_CS_RIGHTS, SET, DATA_32}}},
	{state_long, "27.3.1.2: SS type must be accessed, writable data", {{VMCS_GUEST_SS_RIGHTS, CLEAR, 2}}},
	{state_long, "27.3.1.2: DS type must be accessed, and readable if code", {{VMCS_GUEST_DS_RIGHTS, CLEAR, 1}}},
	{state_pae, "27.3.1.2: ES type must be accessed, and readable if code",
	 {{VMCS_GUEST_ES_RIGHTS, SET, (CODE_32 | DPL(3)) & ~2u}}},
	{state_long, "27.3.1.2: FS type must be accessed, and readable if code", {{VMCS_GUEST_FS_RIGHTS, CLEAR, 1}}},
	{state_long, "27.3.1.2: GS type must be accessed, and readable if code", {{VMCS_GUEST_GS_RIGHTS, CLEAR, 1}}},
	{state_long, "27.3.1.2: CS must not be a system segment", {{VMCS_GUEST_CS_RIGHTS, CLEAR, VMX_RIGHTS_S}}},
	{state_long, "27.3.1.2: SS must not be a system segment", {{VMCS_GUEST_SS_RIGHTS, CLEAR, VMX_RIGHTS_S}}},
	{state_long, "27.3.1.2: DS must not be a system segment", {{VMCS_GUEST_DS_RIGHTS, CLEAR, VMX_RIGHTS_S}}},
	{state_long, "27.3.1.2: ES must not be a system segment", {{VMCS_GUEST_ES_RIGHTS, CLEAR, VMX_RIGHTS_S}}},
	{state_long, "27.3.1.2: FS must not be a system segment", {{VMCS_GUEST_FS_RIGHTS, CLEAR, VMX_RIGHTS_S}}},
	{state_long, "27.3.1.2: GS must not be a system segment", {{VMCS_GUEST_GS_RIGHTS, CLEAR, VMX_RIGHTS_S}}},
	{state_pae, "27.3.1.2: CS DPL does not fit its type and the DPL of SS",
	 {{VMCS_GUEST_CS_RIGHTS, SET, CODE_32}}},
	{state_long, "27.3.1.2: CS DPL does not fit its type and the DPL of SS",
	 {{VMCS_GUEST_CS_RIGHTS, SET, CODE_64 | 0xf | DPL(1)}}},
	{state_real, "27.3.1.2: CS DPL does not fit its type and the DPL of SS",
	 {{VMCS_GUEST_CS_RIGHTS, SET, REAL_16 | DPL(3)}}},
	{state_strict, "27.3.1.2: SS DPL must be its RPL, and 0 in real mode",
	 {{VMCS_GUEST_SS_RIGHTS, OR, DPL(3)}, {VMCS_GUEST_CS_RIGHTS, OR, DPL(3)}}},
	{state_real, "27.3.1.2: SS DPL must be its RPL, and 0 in real mode",
	 {{VMCS_GUEST_SS_RIGHTS, OR, DPL(3)}, {VMCS_GUEST_CS_RIGHTS, OR, DPL(3)}}},
	{state_real, "27.3.1.2: SS DPL must be its RPL, and 0 in real mode",
	 {{VMCS_GUEST_SS_RIGHTS, OR, DPL(3)}, {VMCS_GUEST_CS_RIGHTS, SET, REAL_16},
	  {VMCS_GUEST_CR0, OR, V3_CR0_PE}}},
	{state_strict, "27.3.1.2: DS DPL must not be below its RPL", {{VMCS_GUEST_DS_SEL, OR, 3}}},
	{state_strict, "27.3.1.2: ES DPL must not be below its RPL", {{VMCS_GUEST_ES_SEL, OR, 3}}},
	{state_strict, "27.3.1.2: FS DPL must not be below its RPL", {{VMCS_GUEST_FS_SEL, OR, 3}}},
	{state_strict, "27.3.1.2: GS DPL must not be below its RPL", {{VMCS_GUEST_GS_SEL, OR, 3}}},
	{state_long, "27.3.1.2: CS must be present", {{VMCS_GUEST_CS_RIGHTS, CLEAR, VMX_RIGHTS_P}}},
	{state_long, "27.3.1.2: SS must be present", {{VMCS_GUEST_SS_RIGHTS, CLEAR, VMX_RIGHTS_P}}},
	{state_long, "27.3.1.2: DS must be present", {{VMCS_GUEST_DS_RIGHTS, CLEAR, VMX_RIGHTS_P}}},
	{state_long, "27.3.1.2: ES must be present", {{VMCS_GUEST_ES_RIGHTS, CLEAR, VMX_RIGHTS_P}}},
	{state_long, "27.3.1.2: FS must be present", {{VMCS_GUEST_FS_RIGHTS, CLEAR, VMX_RIGHTS_P}}},
	{state_long, "27.3.1.2: GS must be present", {{VMCS_GUEST_GS_RIGHTS, CLEAR, VMX_RIGHTS_P}}},
	{state_long, "27.3.1.2: CS rights: reserved bits", {{VMCS_GUEST_CS_RIGHTS, OR, 0x100}}},
	{state_long, "27.3.1.2: SS rights: reserved bits", {{VMCS_GUEST_SS_RIGHTS, OR, 0x20000}}},
	{state_long, "27.3.1.2: DS rights: reserved bits", {{VMCS_GUEST_DS_RIGHTS, OR, 0x800}}},
	{state_long, "27.3.1.2: ES rights: reserved bits", {{VMCS_GUEST_ES_RIGHTS, OR, 0x800}}},
	{state_long, "27.3.1.2: FS rights: reserved bits", {{VMCS_GUEST_FS_RIGHTS, OR, 0x800}}},
	{state_long, "27.3.1.2: GS rights: reserved bits", {{VMCS_GUEST_GS_RIGHTS, OR, 0x800}}},
	{state_long, "27.3.1.2: CS.D must be 0 in 64-bit code", {{VMCS_GUEST_CS_RIGHTS, OR, VMX_RIGHTS_DB}}},
	{state_long, "27.3.1.2: CS limit and granularity", {{VMCS_GUEST_CS_LIMIT, SET, 0xfffffffe}}},
	{state_long, "27.3.1.2: SS limit and granularity", {{VMCS_GUEST_SS_RIGHTS, CLEAR, VMX_RIGHTS_G}}},
	{state_long, "27.3.1.2: DS limit and granularity", {{VMCS_GUEST_DS_LIMIT, SET, 0}}},
	{state_long, "27.3.1.2: ES limit and granularity", {{VMCS_GUEST_ES_LIMIT, SET, 0}}},
	{state_long, "27.3.1.2: FS limit and granularity", {{VMCS_GUEST_FS_LIMIT, SET, 0}}},
	{state_long, "27.3.1.2: GS limit and granularity", {{VMCS_GUEST_GS_LIMIT, SET, 0}}},
	{state_long, "27.3.1.2: TR must be usable", {{VMCS_GUEST_TR_RIGHTS, OR, UNUSABLE}}},
	{state_long, "27.3.1.2: TR type must be a busy TSS", {{VMCS_GUEST_TR_RIGHTS, SET, 3 | VMX_RIGHTS_P}}},
	{state_pae, "27.3.1.2: TR type must be a busy TSS", {{VMCS_GUEST_TR_RIGHTS, SET, 9 | VMX_RIGHTS_P}}},
	{state_long, "27.3.1.2: TR rights or granularity", {{VMCS_GUEST_TR_RIGHTS, CLEAR, VMX_RIGHTS_P}}},
	{state_long, "27.3.1.2: TR rights or granularity", {{VMCS_GUEST_TR_RIGHTS, OR, VMX_RIGHTS_S}}},
	{state_long, "27.3.1.2: TR rights or granularity", {{VMCS_GUEST_TR_LIMIT, SET, 0x100000}}},
	{state_pae, "27.3.1.2: LDTR type must be LDT", {{VMCS_GUEST_LDTR_RIGHTS, OR, 1}}},
	{state_pae, "27.3.1.2: LDTR rights or granularity", {{VMCS_GUEST_LDTR_RIGHTS, OR, 0x100}}},

	{state_long, "27.3.1.3: GDTR base must be canonical", {{VMCS_GUEST_GDTR_BASE, SET, WRONG_VA}}},
	{state_long, "27.3.1.3: IDTR base must be canonical", {{VMCS_GUEST_IDTR_BASE, SET, WRONG_VA}}},
	{state_long, "27.3.1.3: GDTR limit: bits 31:16", {{VMCS_GUEST_GDTR_LIMIT, SET, 0x10000}}},
	{state_long, "27.3.1.3: IDTR limit: bits 31:16", {{VMCS_GUEST_IDTR_LIMIT, SET, 0x10000}}},

	{state_long, "27.3.1.4: RIP does not fit the mode", {{VMCS_GUEST_RIP, SET, 1ull << 48}}},
	{state_pae, "27.3.1.4: RIP does not fit the mode", {{VMCS_GUEST_RIP, SET, 1ull << 32}}},
	{state_long, "27.3.1.4: RFLAGS: reserved bits", {{VMCS_GUEST_RFLAGS, OR, 8}}},
	{state_long, "27.3.1.4: RFLAGS: reserved bits", {{VMCS_GUEST_RFLAGS, CLEAR, 2}}},
	{state_v86, "27.3.1.4: RFLAGS.VM outside 32-bit protected mode",
	 {{VMCS_GUEST_CR0, CLEAR, V3_CR0_PE | V3_CR0_PG}}},
	{state_v86, "27.3.1.4: RFLAGS.VM outside 32-bit protected mode",
	 {{VMCS_ENTRY_CONTROLS, OR, VMX_ENTRY_CTL_GUEST_64}, {VMCS_GUEST_CR4, OR, V3_CR4_PAE},
	  {VMCS_GUEST_EFER, SET, V3_EFER_LMA | V3_EFER_LME}}},
	{state_long, "27.3.1.4: an interrupt is injected with RFLAGS.IF clear",
	 {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | 0x40}}},

	{state_long, "27.3.1.5: activity that the CPU cannot enter", {{VMCS_GUEST_ACTIVITY, SET, 4}}},
	{state_pae, "27.3.1.5: HLT with SS.DPL above 0", {{VMCS_GUEST_ACTIVITY, SET, VMX_ACTIVITY_HLT}}},
	{state_long, "27.3.1.5: inactive while blocking by STI or MOV SS",
	 {{VMCS_GUEST_ACTIVITY, SET, VMX_ACTIVITY_HLT}, {VMCS_GUEST_INTERRUPTIBILITY, SET, VMX_BLOCK_MOV_SS}}},
	{state_long, "27.3.1.5: an event is injected that the activity blocks",
	 {{VMCS_GUEST_ACTIVITY, SET, VMX_ACTIVITY_HLT},
	  {VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_TYPE(3) | 6}}},
	{state_long, "27.3.1.5: an event is injected that the activity blocks",
	 {{VMCS_GUEST_ACTIVITY, SET, VMX_ACTIVITY_SHUTDOWN}, {VMCS_GUEST_RFLAGS, OR, V3_RFLAGS_IF},
	  {VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | 0x40}}},
	{state_long, "27.3.1.5: an event is injected that the activity blocks",
	 {{VMCS_GUEST_ACTIVITY, SET, VMX_ACTIVITY_WAIT_SIPI},
	  {VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | VMX_INTR_TYPE(2) | 2}}},
	{state_long, "27.3.1.5: interruptibility: reserved bits", {{VMCS_GUEST_INTERRUPTIBILITY, SET, 0x20}}},
	{state_long, "27.3.1.5: interruptibility: reserved bits", {{VMCS_GUEST_INTERRUPTIBILITY, SET, 0x10}}},
	{state_pae, "27.3.1.5: blocking by STI and by MOV SS at once", {{VMCS_GUEST_INTERRUPTIBILITY, SET, 3}}},
	{state_long, "27.3.1.5: blocking by STI with RFLAGS.IF clear", {{VMCS_GUEST_INTERRUPTIBILITY, SET, 1}}},
	{state_pae, "27.3.1.5: an interrupt is injected while blocking by STI or MOV SS",
	 {{VMCS_GUEST_INTERRUPTIBILITY, SET, 1}, {VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | 0x40}}},
	{state_pae, "27.3.1.5: an NMI is injected while blocking by MOV SS",
	 {{VMCS_GUEST_INTERRUPTIBILITY, SET, 2}, {VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | 0x202}}},
	{state_long, "27.3.1.5: blocking by SMI outside SMM", {{VMCS_GUEST_INTERRUPTIBILITY, SET, 4}}},
	{state_long, "27.3.1.5: an NMI is injected while NMIs are blocked",
	 {{VMCS_GUEST_INTERRUPTIBILITY, SET, 8}, {VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | 0x202}}},
	{state_long, "27.3.1.5: pending debug exceptions: reserved bits", {{VMCS_GUEST_PENDING_DEBUG, SET, 0x10}}},
	{state_long, "27.3.1.5: pending debug exceptions: reserved bits", {{VMCS_GUEST_PENDING_DEBUG, SET, 0x10000}}},
	{state_long, "27.3.1.5: pending debug exceptions: reserved bits",
	 {{VMCS_GUEST_PENDING_DEBUG, SET, 0x11000}, {VMCS_GUEST_INTERRUPTIBILITY, SET, VMX_BLOCK_MOV_SS}}},
	{state_long, "27.3.1.5: pending debug exceptions: BS does not fit RFLAGS.TF",
	 {{VMCS_GUEST_INTERRUPTIBILITY, SET, 2}, {VMCS_GUEST_RFLAGS, OR, V3_RFLAGS_TF}}},
	{state_long, "27.3.1.5: pending debug exceptions: BS does not fit RFLAGS.TF",
	 {{VMCS_GUEST_ACTIVITY, SET, VMX_ACTIVITY_HLT}, {VMCS_GUEST_PENDING_DEBUG, SET, VMX_DEBUG_BS}}},
	{state_long, "27.3.1.5: pending debug exceptions: BS does not fit RFLAGS.TF",
	 {{VMCS_GUEST_INTERRUPTIBILITY, SET, 2}, {VMCS_GUEST_RFLAGS, OR, V3_RFLAGS_TF},
	  {VMCS_GUEST_PENDING_DEBUG, SET, VMX_DEBUG_BS}, {VMCS_GUEST_DEBUGCTL, SET, 2}}},
	{state_long, "27.3.1.5: VMCS link pointer: address", {{VMCS_LINK_POINTER, SET, 0}, {VMCS_LINK_POINTER, OR, 8}}},
	{state_long, "27.3.1.5: VMCS link pointer: address", {{VMCS_LINK_POINTER, SET, WIDE_PA}}},
	{state_pae, "27.3.1.6: PDPTE 0: reserved bits", {{VMCS_GUEST_PDPTE0, OR, 2}}},
	{state_pae, "27.3.1.6: PDPTE 1: reserved bits", {{VMCS_GUEST_PDPTE1, SET, 0x21}}},
	{state_pae, "27.3.1.6: PDPTE 2: reserved bits", {{VMCS_GUEST_PDPTE2, OR, 1}}},
	{state_pae, "27.3.1.6: PDPTE 3: reserved bits", {{VMCS_GUEST_PDPTE3, OR, 1ull << 63}}},
};
/* clang-format on */

static void apply(const struct change *c)
{
	switch (c->how) {
	case NOTHING:
		break;
	case SET:
		set(c->field, c->value);
		break;
	case OR:
		add(c->field, c->value);
		break;
	case CLEAR:
		set(c->field, world.value[c->field] & ~c->value);
		break;
	}
}

static const char *violate(const struct violation *v)
{
	begin(v->state);
	for (unsigned k = 0; k < MOST_CHANGES && v->change[k].how; k++)
		apply(&v->change[k]);
	return check();
}

static void test_vmx_check_names_the_rule(void)
{
	for (size_t i = 0; i < V3_ARRAY_SIZE(violations); i++) {
		const char *why = violate(&violations[i]);

		CHECK_MSG(why && !strncmp(why, "SDM 3C ", 7) &&
				  !strcmp(why + 7, violations[i].text),
			  "expected \"%s\", got \"%s\"", violations[i].text, why ? why : "nothing");
	}
}

static bool is_tested(const char *text)
{
	for (size_t i = 0; i < V3_ARRAY_SIZE(violations); i++)
		if (!strcmp(text + strlen("SDM 3C "), violations[i].text))
			return true;
	return false;
}

static void test_vmx_check_every_rule_has_a_violation(void)
{
	const struct vmx_rule *rule;
	unsigned n = 0;

	for (rule = v3_vmx_control_rules; rule->holds; rule++, n++)
		CHECK_MSG(is_tested(rule->text), "no violation of: %s", rule->text);
	for (rule = v3_vmx_guest_rules; rule->holds; rule++, n++)
		CHECK_MSG(is_tested(rule->text), "no violation of: %s", rule->text);
	CHECK(n > 150);
}

/* What CPU models differ in. */
static void test_vmx_check_asks_the_capabilities(void)
{
	const struct violation soft = {state_long,
				       "",
				       {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | 0x480},
					{VMCS_ENTRY_INSN_LEN, SET, 0}}};
	const struct violation gp = {
		state_long, "", {{VMCS_ENTRY_INTR_INFO, SET, VMX_INTR_VALID | 0x30d}}};
	const struct violation halted = {
		state_long, "", {{VMCS_GUEST_ACTIVITY, SET, VMX_ACTIVITY_HLT}}};
	const struct violation aged = {state_long, "", {{VMCS_EPTP, OR, VMX_EPTP_AD}}};

	CHECK(!violate(&soft));
	world.caps.misc &= ~VMX_MISC_SOFT_LEN0;
	CHECK_STR(check(), "SDM 3C 27.2.1.3: injected event: instruction length");
	CHECK(violate(&gp));
	world.caps.basic |= VMX_BASIC_ANY_ERRORCODE;
	CHECK(!check());
	CHECK(!violate(&halted));
	world.caps.misc &= ~VMX_MISC_HLT;
	CHECK_STR(check(), "SDM 3C 27.3.1.5: activity that the CPU cannot enter");
	CHECK(!violate(&aged));
	world.caps.ept_vpid &= ~VMX_EPT_AD;
	CHECK_STR(check(), "SDM 3C 27.2.1.1: EPT pointer: type, levels, reserved bits or address");
}

static const struct tap_test tests[] = {
	TAP(test_vmx_check_accepts_every_mode),	   TAP(test_vmx_check_accepts_the_edges),
	TAP(test_vmx_check_names_the_rule),	   TAP(test_vmx_check_every_rule_has_a_violation),
	TAP(test_vmx_check_asks_the_capabilities),
};
TAP_MAIN(tests)
