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

void v3_doctor_cpu(struct v3_row *row)
{
	unsigned a, b, c, d, svm = 0;

	if (cpu_has_svm()) {
		if (__get_cpuid(0x8000000a, &a, &b, &c, &d))
			svm = d;
		if (svm & CPUID_SVM_NESTED_PAGING) {
			v3_row_set(row, V3_ROW_GOOD,
				   "AMD SVM with nested paging, %u address space ids", b);
			return;
		}
		v3_row_set(row, V3_ROW_BAD, "AMD SVM, but no nested paging");
		v3_row_remedy(row, cpu_is_guest()
					   ? "Turn on nested paging (npt) for this virtual machine."
					   : "A CPU with nested paging is needed.");
		return;
	}
	if (__get_cpuid(1, &a, &b, &c, &d) && (c & CPUID_FEATURE_VMX)) {
		v3_row_set(row, V3_ROW_BAD, "Intel VMX: this version drives AMD SVM only");
		v3_row_remedy(row, "Use a machine with an AMD CPU.");
		return;
	}
	v3_row_set(row, V3_ROW_BAD, "no hardware virtualization");
	v3_row_remedy(row, cpu_is_guest() ? "This is a virtual machine: turn on nested "
					    "virtualization for it (in QEMU "
					    "-cpu max or -cpu EPYC,+svm,+npt)."
					  : "Turn on SVM in the firmware's setup; if it has no "
					    "such switch, the CPU is "
					    "too old.");
}

/* SVMDIS of VM_CR, which firmware sets and locks. @return 0 or 1; -1: nobody lets us look */
static int cpu_svm_disabled(void)
{
	uint64_t value;
	ssize_t n;
	int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	n = pread(fd, &value, sizeof(value), MSR_VM_CR);
	close(fd);
	return n == (ssize_t)sizeof(value) ? (value & VM_CR_SVMDIS) != 0 : -1;
}

void v3_doctor_firmware(struct v3_row *row)
{
	int disabled;

	if (!cpu_has_svm()) {
		v3_row_set(row, V3_ROW_WARN, "unknown without SVM in the CPU");
		return;
	}
	disabled = cpu_svm_disabled();
	if (disabled > 0) {
		v3_row_set(row, V3_ROW_BAD, "the firmware disabled SVM (VM_CR.SVMDIS)");
		v3_row_remedy(row,
			      "Turn on SVM (AMD-V, virtualization) in the firmware's setup and "
			      "switch the "
			      "power off and on.");
	} else if (!disabled) {
		v3_row_set(row, V3_ROW_GOOD, "SVM is enabled");
	} else if (v3_doctor_module_loaded()) {
		v3_row_set(row, V3_ROW_GOOD, "SVM is enabled: the module took it");
	} else {
		v3_row_set(row, V3_ROW_WARN,
			   "cannot tell: the CPU's register VM_CR is not readable");
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
