/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file check.c
 * Consistency of a VMCB: a list of rules. Called after a VMRUN that failed, and before every entry if the
 * embedder wants checks (v3_init_params). AMD APM vol. 2 15.5.1, 15.20, 15.25.
 */
#include "arch/svm/check.h"

#define CHECK_IOPM_BYTES  0x3000u
#define CHECK_MSRPM_BYTES 0x2000u
#define CHECK_EFER	  0x36fd01ull /* 3.1.7: bits that some CPU has */
#define CHECK_CR4                                                                                  \
	(0x7ffull | V3_CR4_UMIP | V3_CR4_LA57 | V3_CR4_FSGSBASE | V3_CR4_PCIDE | V3_CR4_OSXSAVE |  \
	 V3_CR4_SMEP | V3_CR4_SMAP | V3_CR4_PKE | (1ull << 23)) /* CET */

static bool check_in_width(uint64_t pa, unsigned pa_bits)
{
	return !(pa >> pa_bits);
}

/* Long mode will be active: paging with EFER.LME. */
static bool check_is_long(const struct svm_vmcb *vmcb)
{
	return (vmcb->efer & V3_EFER_LME) && (vmcb->cr0 & V3_CR0_PG);
}

static bool check_svme(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return vmcb->efer & V3_EFER_SVME;
}

static bool check_cache(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return (vmcb->cr0 & V3_CR0_CD) || !(vmcb->cr0 & V3_CR0_NW);
}

static bool check_cr0(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return !(vmcb->cr0 >> 32);
}

static bool check_cr3(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	return !check_is_long(vmcb) || check_in_width(vmcb->cr3, pa_bits);
}

static bool check_cr4(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return !(vmcb->cr4 & ~CHECK_CR4);
}

static bool check_dr6(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return !(vmcb->dr6 >> 32);
}

static bool check_dr7(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return !(vmcb->dr7 >> 32);
}

static bool check_efer(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return !(vmcb->efer & ~CHECK_EFER);
}

static bool check_long_pae(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return !check_is_long(vmcb) || (vmcb->cr4 & V3_CR4_PAE);
}

static bool check_long_pe(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return !check_is_long(vmcb) || (vmcb->cr0 & V3_CR0_PE);
}

static bool check_long_cs(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return !check_is_long(vmcb) || !(vmcb->cr4 & V3_CR4_PAE) || !(vmcb->cs.attr & V3_SEG_L) ||
	       !(vmcb->cs.attr & V3_SEG_DB);
}

static bool check_vmrun(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return vmcb->misc2 & SVM_MISC2_VMRUN;
}

static bool check_iopm(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	return !(vmcb->misc1 & SVM_MISC1_IOIO) ||
	       check_in_width(vmcb->iopm_pa + CHECK_IOPM_BYTES - 1, pa_bits);
}

static bool check_msrpm(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	return !(vmcb->misc1 & SVM_MISC1_MSR) ||
	       check_in_width(vmcb->msrpm_pa + CHECK_MSRPM_BYTES - 1, pa_bits);
}

static bool check_asid(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	(void)pa_bits;
	return vmcb->asid;
}

static bool check_event_type(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	unsigned type = SVM_EVENT_GET(vmcb->eventinj);

	(void)pa_bits;
	return !(vmcb->eventinj & SVM_EVENT_VALID) || type == SVM_EVENT_INTR ||
	       (type >= SVM_EVENT_NMI && type <= SVM_EVENT_SOFT);
}

/* The vector, if an exception is to be injected; else -1. */
static int check_exception(const struct svm_vmcb *vmcb)
{
	if (!(vmcb->eventinj & SVM_EVENT_VALID) ||
	    SVM_EVENT_GET(vmcb->eventinj) != SVM_EVENT_EXCEPTION)
		return -1;
	return (int)(vmcb->eventinj & 0xff);
}

static bool check_event_vector(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	int vector = check_exception(vmcb);

	(void)pa_bits;
	return vector < 32 && vector != V3_VEC_NMI;
}

static bool check_event_mode(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	int vector = check_exception(vmcb);

	(void)pa_bits;
	return (vector != V3_VEC_BR && vector != V3_VEC_OF) || !check_is_long(vmcb) ||
	       !(vmcb->cs.attr & V3_SEG_L);
}

static bool check_ncr3(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	return !(vmcb->np_enable & 1) ||
	       (check_in_width(vmcb->ncr3, pa_bits) && !(vmcb->ncr3 & 0xfe7));
}

static bool check_pat(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	uint64_t pat = vmcb->np_enable & 1 ? vmcb->pat : 0;

	(void)pa_bits;
	for (; pat; pat >>= 8)
		if ((pat & 0xff) > 7 || (pat & 0xfe) == 2)
			return false;
	return true;
}

#define STATE "APM vol. 2 15.5.1: "
#define EVENT "APM vol. 2 15.20: "

const struct svm_rule v3_svm_rules[] = {
	{check_svme, STATE "EFER.SVME must be 1"},
	{check_cache, STATE "CR0.NW without CR0.CD"},
	{check_cr0, STATE "CR0: bits 63:32"},
	{check_cr3, STATE "CR3: bits above the physical address width"},
	{check_cr4, STATE "CR4: reserved bits"},
	{check_dr6, STATE "DR6: bits 63:32"},
	{check_dr7, STATE "DR7: bits 63:32"},
	{check_efer, STATE "EFER: reserved bits"},
	{check_long_pae, STATE "long mode needs CR4.PAE"},
	{check_long_pe, STATE "long mode needs CR0.PE"},
	{check_long_cs, STATE "CS.D must be 0 in 64-bit code"},
	{check_vmrun, STATE "VMRUN must be intercepted"},
	{check_iopm, STATE "I/O permission map beyond the physical address width"},
	{check_msrpm, STATE "MSR permission map beyond the physical address width"},
	{check_asid, STATE "ASID must not be 0"},
	{check_event_type, EVENT "injected event: reserved type"},
	{check_event_vector, EVENT "injected exception: no such vector"},
	{check_event_mode, EVENT "injected exception: #BR and #OF do not exist in 64-bit code"},
	{check_ncr3, "APM vol. 2 15.25.3: nested CR3: reserved bits or address"},
	{check_pat, "APM vol. 2 15.25.4: guest PAT: reserved memory type"},
	{NULL, NULL},
};

const char *v3_svm_check(const struct svm_vmcb *vmcb, unsigned pa_bits)
{
	const struct svm_rule *rule;

	for (rule = v3_svm_rules; rule->holds; rule++)
		if (!rule->holds(vmcb, pa_bits))
			return rule->text;
	return NULL;
}
