/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file test_vmx_caps.c
 * VMX capabilities: reading the MSRs and computing controls, on the recorded MSRs of several CPU models
 * (vmx_models.h) and on models from which one thing was taken away.
 */
#include "arch/vmx/caps.h"
#include "fake_arch.h"
#include "fake_host.h"
#include "tap.h"
#include "vmx_models.h"

#define FIRST_MSR 0x480u

static const struct vmx_model *model(const char *name)
{
	for (size_t i = 0; i < V3_ARRAY_SIZE(vmx_models); i++)
		if (!strcmp(vmx_models[i].name, name))
			return &vmx_models[i];
	FAIL("no model %s", name);
	return NULL;
}

/* MSRs that the model has not got are not given to the simulated CPU: reading one fails the test. */
static struct vmx_caps read_model(const struct vmx_model *m)
{
	struct vmx_caps caps;

	for (uint32_t i = 0; i < VMX_MODEL_MSRS; i++)
		if (m->msr[i])
			fake_msr_set(FIRST_MSR + i, m->msr[i]);
	v3_vmx_caps_read(&caps);
	return caps;
}

static uint64_t msr_of(const struct vmx_model *m, uint32_t msr)
{
	return m->msr[msr - FIRST_MSR];
}

static bool word_fits(uint64_t word, uint32_t on)
{
	return ((uint32_t)word & ~on) == 0 && (on & ~(uint32_t)(word >> 32)) == 0;
}

/* A.3.1 to A.5: what must be 1 is 1, and nothing else than what may. */
static void check_fits(const char *name, const struct vmx_caps *caps,
		       const struct vmx_controls *ctl)
{
	CHECK_MSG(word_fits(caps->pinbased, ctl->pin), "%s: pin %#x", name, ctl->pin);
	CHECK_MSG(word_fits(caps->procbased, ctl->proc), "%s: proc %#x", name, ctl->proc);
	CHECK_MSG(word_fits(caps->procbased2, ctl->proc2), "%s: proc2 %#x", name, ctl->proc2);
	CHECK_MSG(word_fits(caps->exit, ctl->exit), "%s: exit %#x", name, ctl->exit);
	CHECK_MSG(word_fits(caps->entry, ctl->entry), "%s: entry %#x", name, ctl->entry);
}

#define OLD_PROC2                                                                                  \
	(VMX_PROC2_EPT | VMX_PROC2_UNRESTRICTED | VMX_PROC2_VPID | VMX_PROC2_WBINVD |              \
	 VMX_PROC2_RDTSCP)

static const struct {
	const char *name, *refusal; /* refusal NULL: runs guests */
	uint32_t proc2;
} expected[] = {
	{"core2_penryn_t9600", "this CPU's VMX has no extended page tables: a newer CPU is needed",
	 0},
	{"corei5_lynnfield_750",
	 "this CPU's VMX has no unrestricted guest (real mode): a newer CPU is needed", 0},
	{"corei5_arrandale_m520", NULL, OLD_PROC2},
	{"corei7_sandy_bridge_2600k", NULL, OLD_PROC2},
	{"corei7_ivy_bridge_3770k", NULL, OLD_PROC2},
	{"corei7_haswell_4770", NULL, OLD_PROC2 | VMX_PROC2_PAUSE_LOOP | VMX_PROC2_INVPCID},
	{"broadwell_ult", NULL, OLD_PROC2 | VMX_PROC2_PAUSE_LOOP | VMX_PROC2_INVPCID},
	{"corei7_skylake_x", NULL,
	 OLD_PROC2 | VMX_PROC2_PAUSE_LOOP | VMX_PROC2_INVPCID | VMX_PROC2_PML | VMX_PROC2_XSAVES},
};

static void test_vmx_caps_of_each_model(void)
{
	_Static_assert(V3_ARRAY_SIZE(expected) == V3_ARRAY_SIZE(vmx_models), "one row a model");
	for (size_t i = 0; i < V3_ARRAY_SIZE(expected); i++) {
		struct vmx_caps caps = read_model(&vmx_models[i]);
		struct vmx_controls ctl = {0};
		const char *missing = NULL;
		int err = v3_vmx_caps_controls(&caps, &ctl, &missing);

		CHECK_STR(vmx_models[i].name, expected[i].name);
		if (expected[i].refusal) {
			CHECK_EQ(err, V3_ENODEV);
			CHECK_STR(missing, expected[i].refusal);
			continue;
		}
		CHECK_EQ(err, V3_OK);
		CHECK(!missing);
		CHECK_EQ(ctl.proc2, expected[i].proc2);
		check_fits(expected[i].name, &caps, &ctl);
	}
}

static void test_vmx_caps_controls_of_skylake(void)
{
	struct vmx_caps caps = read_model(model("corei7_skylake_x"));
	struct vmx_controls ctl = {0};
	const char *missing;

	REQUIRE_EQ(v3_vmx_caps_controls(&caps, &ctl, &missing), V3_OK);
	CHECK_EQ(ctl.pin, 0x16 | VMX_PIN_EXT_INTR | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMI);
	CHECK_EQ(ctl.proc, 0x04006172 | VMX_PROC_SECONDARY | VMX_PROC_TSC_OFFSET | VMX_PROC_HLT |
				   VMX_PROC_MWAIT | VMX_PROC_RDPMC | VMX_PROC_CR8_LOAD |
				   VMX_PROC_CR8_STORE | VMX_PROC_MOV_DR | VMX_PROC_UNCOND_IO |
				   VMX_PROC_MSR_BITMAPS | VMX_PROC_MONITOR);
	CHECK_EQ(ctl.exit, 0x36dfb | VMX_EXIT_CTL_SAVE_DEBUG | VMX_EXIT_CTL_HOST_64 |
				   VMX_EXIT_CTL_ACK_INTR | VMX_EXIT_CTL_SAVE_PAT |
				   VMX_EXIT_CTL_LOAD_PAT | VMX_EXIT_CTL_SAVE_EFER |
				   VMX_EXIT_CTL_LOAD_EFER);
	CHECK_EQ(ctl.entry, 0x11fb | VMX_ENTRY_CTL_LOAD_DEBUG | VMX_ENTRY_CTL_LOAD_PAT |
				    VMX_ENTRY_CTL_LOAD_EFER);
	/* windows and 64-bit guests are switched later */
	CHECK(!(ctl.proc & (VMX_PROC_INTR_WINDOW | VMX_PROC_NMI_WINDOW)));
	CHECK(!(ctl.entry & VMX_ENTRY_CTL_GUEST_64));
}

static void test_vmx_caps_reads_true_msrs(void)
{
	const struct vmx_model *m = model("corei7_haswell_4770");
	struct vmx_caps caps = read_model(m);

	CHECK_EQ(caps.basic, msr_of(m, VMX_MSR_BASIC));
	CHECK_EQ(caps.misc, msr_of(m, VMX_MSR_MISC));
	CHECK_EQ(caps.pinbased, msr_of(m, VMX_MSR_TRUE_PINBASED));
	CHECK_EQ(caps.procbased, msr_of(m, VMX_MSR_TRUE_PROCBASED));
	CHECK_EQ(caps.procbased2, msr_of(m, VMX_MSR_PROCBASED2));
	CHECK_EQ(caps.exit, msr_of(m, VMX_MSR_TRUE_EXIT));
	CHECK_EQ(caps.entry, msr_of(m, VMX_MSR_TRUE_ENTRY));
	CHECK_EQ(caps.cr0_fixed0, msr_of(m, VMX_MSR_CR0_FIXED0));
	CHECK_EQ(caps.cr0_fixed1, msr_of(m, VMX_MSR_CR0_FIXED1));
	CHECK_EQ(caps.cr4_fixed0, msr_of(m, VMX_MSR_CR4_FIXED0));
	CHECK_EQ(caps.cr4_fixed1, msr_of(m, VMX_MSR_CR4_FIXED1));
	CHECK_EQ(caps.ept_vpid, msr_of(m, VMX_MSR_EPT_VPID_CAP));
	CHECK_EQ(caps.vmfunc, msr_of(m, VMX_MSR_VMFUNC));
	CHECK_EQ(caps.pa_bits, 48); /* of the simulated CPU */
	CHECK_EQ(caps.la_bits, 48);
}

/* The first CPUs: no TRUE MSRs (so CR3 accesses must exit), no secondary controls. */
static void test_vmx_caps_without_newer_msrs(void)
{
	struct vmx_model m = *model("core2_penryn_t9600");
	struct vmx_controls ctl;
	const char *missing;
	struct vmx_caps caps;

	m.msr[0] &= ~VMX_BASIC_TRUE;
	m.msr[VMX_MSR_PROCBASED - FIRST_MSR] &= ~((uint64_t)VMX_PROC_SECONDARY << 32);
	for (uint32_t msr = VMX_MSR_PROCBASED2; msr <= VMX_MSR_VMFUNC; msr++)
		m.msr[msr - FIRST_MSR] = 0; /* reading one would fail the test */
	caps = read_model(&m);
	CHECK_EQ(caps.pinbased, msr_of(&m, VMX_MSR_PINBASED));
	CHECK_EQ(caps.procbased, msr_of(&m, VMX_MSR_PROCBASED));
	CHECK_EQ(caps.exit, msr_of(&m, VMX_MSR_EXIT));
	CHECK_EQ(caps.entry, msr_of(&m, VMX_MSR_ENTRY));
	CHECK_EQ(caps.procbased2, 0);
	CHECK_EQ(caps.ept_vpid, 0);
	CHECK_EQ(caps.vmfunc, 0);
	CHECK_EQ(v3_vmx_caps_controls(&caps, &ctl, &missing), V3_ENODEV);
	CHECK_STR(missing, "this CPU's VMX has no secondary controls: a newer CPU is needed");
}

enum word { PIN, PROC, PROC2, EXIT, ENTRY };

static uint64_t *word_of(struct vmx_caps *caps, enum word word)
{
	switch (word) {
	case PIN:
		return &caps->pinbased;
	case PROC:
		return &caps->procbased;
	case PROC2:
		return &caps->procbased2;
	case EXIT:
		return &caps->exit;
	case ENTRY:
		return &caps->entry;
	}
	return NULL;
}

/* Each control that guests cannot run without, and the words that its absence is refused with. */
static const struct {
	enum word word;
	uint32_t bit;
	const char *name;
} required[] = {
	{PROC, VMX_PROC_SECONDARY, "secondary controls"},
	{PROC2, VMX_PROC2_EPT, "extended page tables"},
	{PROC2, VMX_PROC2_UNRESTRICTED, "unrestricted guest"},
	{PROC2, VMX_PROC2_WBINVD, "WBINVD exiting"},
	{PIN, VMX_PIN_EXT_INTR, "external-interrupt exiting"},
	{PIN, VMX_PIN_NMI, "NMI exiting"},
	{PIN, VMX_PIN_VIRTUAL_NMI, "virtual NMIs"},
	{PROC, VMX_PROC_INTR_WINDOW, "interrupt-window"},
	{PROC, VMX_PROC_TSC_OFFSET, "TSC offsetting"},
	{PROC, VMX_PROC_HLT, "HLT exiting"},
	{PROC, VMX_PROC_MWAIT, "MWAIT exiting"},
	{PROC, VMX_PROC_RDPMC, "RDPMC exiting"},
	{PROC, VMX_PROC_CR8_LOAD, "CR8-load"},
	{PROC, VMX_PROC_CR8_STORE, "CR8-store"},
	{PROC, VMX_PROC_NMI_WINDOW, "NMI-window"},
	{PROC, VMX_PROC_MOV_DR, "MOV-DR"},
	{PROC, VMX_PROC_UNCOND_IO, "I/O exiting"},
	{PROC, VMX_PROC_MSR_BITMAPS, "MSR bitmaps"},
	{PROC, VMX_PROC_MONITOR, "MONITOR"},
	{EXIT, VMX_EXIT_CTL_SAVE_DEBUG, "saving of debug controls"},
	{EXIT, VMX_EXIT_CTL_HOST_64, "64-bit hosts"},
	{EXIT, VMX_EXIT_CTL_ACK_INTR, "acknowledging"},
	{EXIT, VMX_EXIT_CTL_SAVE_PAT, "saving of IA32_PAT"},
	{EXIT, VMX_EXIT_CTL_LOAD_PAT, "IA32_PAT on exit"},
	{EXIT, VMX_EXIT_CTL_SAVE_EFER, "saving of IA32_EFER"},
	{EXIT, VMX_EXIT_CTL_LOAD_EFER, "IA32_EFER on exit"},
	{ENTRY, VMX_ENTRY_CTL_LOAD_DEBUG, "loading of debug controls"},
	{ENTRY, VMX_ENTRY_CTL_GUEST_64, "64-bit guests"},
	{ENTRY, VMX_ENTRY_CTL_LOAD_PAT, "loading of IA32_PAT"},
	{ENTRY, VMX_ENTRY_CTL_LOAD_EFER, "loading of IA32_EFER"},
};

static void test_vmx_caps_names_what_is_missing(void)
{
	const struct vmx_caps sound = read_model(model("corei7_skylake_x"));

	for (size_t i = 0; i < V3_ARRAY_SIZE(required); i++) {
		struct vmx_caps caps = sound;
		struct vmx_controls ctl;
		const char *missing = NULL;

		*word_of(&caps, required[i].word) &= ~((uint64_t)required[i].bit << 32);
		CHECK_EQ(v3_vmx_caps_controls(&caps, &ctl, &missing), V3_ENODEV);
		CHECK_MSG(missing && strstr(missing, required[i].name), "%s: refused with \"%s\"",
			  required[i].name, missing ? missing : "(null)");
	}
}

/* Controls that must be 1 on the CPU but are not to be for guests. */
static const struct {
	enum word word;
	uint32_t bit;
	const char *name;
} forced[] = {
	{PIN, VMX_PIN_PREEMPTION_TIMER, "preemption timer"},
	{PROC, VMX_PROC_INVLPG, "INVLPG"},
	{PROC, VMX_PROC_RDTSC, "RDTSC"},
	{PROC, VMX_PROC_CR3_LOAD, "CR3-load"},
	{PROC, VMX_PROC_CR3_STORE, "CR3-store"},
	{PROC, VMX_PROC_PAUSE, "PAUSE"},
	{PROC, VMX_PROC_INTR_WINDOW, "interrupt-window"},
	{PROC, VMX_PROC_NMI_WINDOW, "NMI-window"},
	{ENTRY, VMX_ENTRY_CTL_GUEST_64, "64-bit guests"},
};

static void test_vmx_caps_names_what_cannot_be_off(void)
{
	const struct vmx_caps sound = read_model(model("corei7_skylake_x"));

	for (size_t i = 0; i < V3_ARRAY_SIZE(forced); i++) {
		struct vmx_caps caps = sound;
		struct vmx_controls ctl;
		const char *missing = NULL;

		*word_of(&caps, forced[i].word) |= forced[i].bit;
		CHECK_EQ(v3_vmx_caps_controls(&caps, &ctl, &missing), V3_ENODEV);
		CHECK_MSG(missing && strstr(missing, forced[i].name), "%s: refused with \"%s\"",
			  forced[i].name, missing ? missing : "(null)");
	}
}

static void check_fact(uint64_t basic_set, uint64_t basic_clear, uint64_t ept_clear,
		       const char *words)
{
	struct vmx_caps caps = read_model(model("corei7_skylake_x"));
	const char *missing = NULL;
	struct vmx_controls ctl;

	caps.basic = (caps.basic | basic_set) & ~basic_clear;
	caps.ept_vpid &= ~ept_clear;
	CHECK_EQ(v3_vmx_caps_controls(&caps, &ctl, &missing), V3_ENODEV);
	CHECK_MSG(missing && strstr(missing, words), "%s: refused with \"%s\"", words,
		  missing ? missing : "(null)");
}

static void test_vmx_caps_other_facts(void)
{
	check_fact(VMX_BASIC_32BIT, 0, 0, "64-bit addresses");
	check_fact(0, 15ull << 50, 0, "write-back VMCS");
	check_fact(0, 0, VMX_EPT_WALK4, "4-level");
	check_fact(0, 0, VMX_EPT_WB, "write-back extended");
	check_fact(0, 0, VMX_EPT_2M, "2 MiB");
	check_fact(0, 0, VMX_EPT_INVEPT, "INVEPT");
	check_fact(0, 0, VMX_EPT_INVEPT_SINGLE, "single-context INVEPT");
	check_fact(0, 0, VMX_EPT_INVEPT_ALL, "all-context INVEPT");
}

static void test_vmx_caps_no_vpid_without_invvpid(void)
{
	struct vmx_caps caps = read_model(model("corei7_skylake_x"));
	struct vmx_controls ctl;
	const char *missing;

	caps.ept_vpid &= ~VMX_VPID_INVVPID_SINGLE;
	REQUIRE_EQ(v3_vmx_caps_controls(&caps, &ctl, &missing), V3_OK);
	CHECK(!(ctl.proc2 & VMX_PROC2_VPID));
	CHECK(ctl.proc2 & VMX_PROC2_EPT);
}

/* CPUs of the future: more bits that may be 1, other reserved bits that must. */
static void test_vmx_caps_leaves_unknown_controls_alone(void)
{
	struct vmx_caps caps = read_model(model("corei7_skylake_x"));
	struct vmx_controls ctl, plain;
	const char *missing;

	REQUIRE_EQ(v3_vmx_caps_controls(&caps, &plain, &missing), V3_OK);
	for (enum word w = PIN; w <= ENTRY; w++)
		*word_of(&caps, w) |= 0xffffffffull << 32;
	REQUIRE_EQ(v3_vmx_caps_controls(&caps, &ctl, &missing), V3_OK);
	CHECK_MEM(&ctl, &plain, sizeof(ctl));
	caps.procbased2 |= 1u << 29;
	REQUIRE_EQ(v3_vmx_caps_controls(&caps, &ctl, &missing), V3_OK);
	CHECK_EQ(ctl.proc2, plain.proc2 | 1u << 29);
	check_fits("future", &caps, &ctl);
}

static void test_vmx_caps_fixed_bits(void)
{
	struct vmx_caps caps = read_model(model("corei7_skylake_x"));

	/* an unrestricted guest runs without PE and PG; NE is always on */
	CHECK_EQ(v3_vmx_caps_guest_cr0(&caps, V3_CR0_ET), V3_CR0_ET | V3_CR0_NE);
	CHECK_EQ(v3_vmx_caps_guest_cr0(&caps, V3_CR0_PG | V3_CR0_PE | 1ull << 40),
		 V3_CR0_PG | V3_CR0_PE | V3_CR0_NE);
	CHECK_EQ(v3_vmx_caps_guest_cr4(&caps, V3_CR4_PAE), V3_CR4_PAE | V3_CR4_VMXE);
	CHECK_EQ(v3_vmx_caps_guest_cr4(&caps, V3_CR4_PKE), V3_CR4_VMXE);
}

static const struct tap_test tests[] = {
	TAP(test_vmx_caps_of_each_model),
	TAP(test_vmx_caps_controls_of_skylake),
	TAP(test_vmx_caps_reads_true_msrs),
	TAP(test_vmx_caps_without_newer_msrs),
	TAP(test_vmx_caps_names_what_is_missing),
	TAP(test_vmx_caps_names_what_cannot_be_off),
	TAP(test_vmx_caps_other_facts),
	TAP(test_vmx_caps_no_vpid_without_invvpid),
	TAP(test_vmx_caps_leaves_unknown_controls_alone),
	TAP(test_vmx_caps_fixed_bits),
};
TAP_MAIN(tests)
