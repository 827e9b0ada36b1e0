/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file doctor_cpu.c
 * What "v3 doctor" finds out about the CPU: AMD APM 24594, CPUID Fn8000_0001 and Fn8000_000A; APM 24593 section
 * 15.30.1 for the firmware's switch; and which other hypervisor may hold it.
 */
#include "doctor.h"

#include <cpuid.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CPUID_FEATURE_VMX	 (1u << 5)  /* Fn0000_0001 ECX, Intel */
#define CPUID_FEATURE_HYPERVISOR (1u << 31) /* Fn0000_0001 ECX: we are a guest ourselves */
#define CPUID_AMD_SVM		 (1u << 2)  /* Fn8000_0001 ECX */
#define CPUID_SVM_NESTED_PAGING	 (1u << 0)  /* Fn8000_000A EDX */
#define MSR_VM_CR		 0xc0010114
#define VM_CR_SVMDIS		 (1u << 4)
#define MSR_FEATURE_CONTROL	 0x3a
#define FEATURE_LOCKED		 (1u << 0)
#define FEATURE_VMX		 (1u << 2) /* outside SMX */
#define MSR_VMX_PROCBASED2	 0x48b
#define VMX_NEEDED		 ((1u << 1) | (1u << 7)) /* EPT, unrestricted guest */

static bool cpu_is_guest(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & CPUID_FEATURE_HYPERVISOR);
}

static bool cpu_has_svm(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & CPUID_AMD_SVM);
}

static bool cpu_has_vmx(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & CPUID_FEATURE_VMX);
}

/* @return false: nobody lets us look, or there is no such MSR */
static bool cpu_read_msr(uint32_t msr, uint64_t *value)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = pread(fd, value, sizeof(*value), msr);
	close(fd);
	return n == (ssize_t)sizeof(*value);
}

static void cpu_row_svm(struct v3_row *row)
{
	unsigned a, b = 0, c, d = 0;

	__get_cpuid(0x8000000a, &a, &b, &c, &d);
	if (d & CPUID_SVM_NESTED_PAGING) {
		v3_row_set(row, V3_ROW_GOOD, "AMD SVM with nested paging, %u address space ids", b);
		return;
	}
	v3_row_set(row, V3_ROW_BAD, "AMD SVM, but no nested paging");
	v3_row_remedy(row, cpu_is_guest() ? "Turn on nested paging (npt) for this virtual machine."
					  : "A CPU with nested paging is needed.");
}

/* What may be set in the secondary controls is in the upper half: SDM 3D A.3.3. */
static void cpu_row_vmx(struct v3_row *row)
{
	uint64_t controls;

	if (!cpu_read_msr(MSR_VMX_PROCBASED2, &controls)) {
		v3_row_set(row, V3_ROW_GOOD,
			   "Intel VMX; whether with EPT and unrestricted guest, the "
			   "module will tell");
		return;
	}
	if ((controls >> 32 & VMX_NEEDED) == VMX_NEEDED) {
		v3_row_set(row, V3_ROW_GOOD, "Intel VMX with EPT and unrestricted guest");
		return;
	}
	v3_row_set(row, V3_ROW_BAD, "Intel VMX, but without EPT or without unrestricted guest");
	v3_row_remedy(row, cpu_is_guest()
				   ? "Turn on ept and unrestricted_guest for this virtual machine."
				   : "A CPU with both is needed (Westmere or later).");
}

void v3_doctor_cpu(struct v3_row *row)
{
	if (cpu_has_svm()) {
		cpu_row_svm(row);
		return;
	}
	if (cpu_has_vmx()) {
		cpu_row_vmx(row);
		return;
	}
	v3_row_set(row, V3_ROW_BAD, "no hardware virtualization");
	v3_row_remedy(row, cpu_is_guest() ? "This is a virtual machine: turn on nested "
					    "virtualization for it (in QEMU "
					    "-cpu max or -cpu EPYC,+svm,+npt)."
					  : "Turn on SVM or VMX in the firmware's setup; if it has "
					    "no such switch, the CPU is "
					    "too old.");
}

/* The vendors' names for the same switch. */
struct cpu_switch {
	const char *name, *firmware, *where;
	uint32_t msr;
	uint64_t mask, disabled; /* disabled if the bits of mask are so */
};

void v3_doctor_firmware(struct v3_row *row)
{
	/* IA32_FEATURE_CONTROL locked without VMX outside SMX: SDM 3C 24.7. */
	static const struct cpu_switch svm = {"SVM",	 "SVM, AMD-V", "VM_CR.SVMDIS",
					      MSR_VM_CR, VM_CR_SVMDIS, VM_CR_SVMDIS};
	static const struct cpu_switch vmx = {"VMX",
					      "VMX, VT-x",
					      "IA32_FEATURE_CONTROL",
					      MSR_FEATURE_CONTROL,
					      FEATURE_LOCKED | FEATURE_VMX,
					      FEATURE_LOCKED};
	const struct cpu_switch *s = cpu_has_svm() ? &svm : &vmx;
	uint64_t value;

	if (!cpu_has_svm() && !cpu_has_vmx()) {
		v3_row_set(row, V3_ROW_WARN, "unknown without SVM or VMX in the CPU");
	} else if (cpu_read_msr(s->msr, &value)) {
		if ((value & s->mask) != s->disabled) {
			v3_row_set(row, V3_ROW_GOOD, "%s is enabled", s->name);
			return;
		}
		v3_row_set(row, V3_ROW_BAD, "the firmware disabled %s (%s)", s->name, s->where);
		v3_row_remedy(row,
			      "Turn on %s (virtualization) in the firmware's setup and switch the "
			      "power off and on.",
			      s->firmware);
	} else if (v3_doctor_module_loaded()) {
		v3_row_set(row, V3_ROW_GOOD, "%s is enabled: the module took it", s->name);
	} else {
		v3_row_set(row, V3_ROW_WARN,
			   "cannot tell: the CPU's register for it is not readable");
		v3_row_remedy(row,
			      "To know before the module is loaded: as root, modprobe msr, then "
			      "v3 doctor.");
	}
}

/* Users of a module by /proc/modules. @return -1: not loaded */
static int cpu_module_users(const char *name)
{
	char line[512], found[64];
	int users = -1, n;
	FILE *f = fopen("/proc/modules", "re");

	if (!f)
		return -1;
	while (users < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %*s %d", found, &n) == 2 && !strcmp(found, name))
			users = n;
	}
	fclose(f);
	return users;
}

void v3_doctor_others(struct v3_row *row)
{
	static const char *const names[] = {"kvm_amd", "kvm_intel", "vboxdrv", "vmmon", "mshv"};
	unsigned i;
	int users;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		users = cpu_module_users(names[i]);
		if (users < 0)
			continue;
		v3_row_set(row, users ? V3_ROW_BAD : V3_ROW_WARN, "module %s is loaded, %s",
			   names[i], users ? "and virtual machines use it" : "with no user now");
		v3_row_remedy(row,
			      "%sAs root: modprobe -r %s. To keep it away: echo 'blacklist %s' >> "
			      "/etc/modprobe.d/palacios.conf",
			      users ? "End its virtual machines. " : "", names[i], names[i]);
		return;
	}
	if (!access("/sys/module/kvm_amd", F_OK)) {
		v3_row_set(row, V3_ROW_WARN, "KVM is built into this kernel");
		v3_row_remedy(
			row,
			"Run no KVM guest at the same time: only one of the two can have the CPU.");
		return;
	}
	v3_row_set(row, V3_ROW_GOOD, "no other hypervisor is loaded");
}
