/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file doctor.c
 * "v3 doctor": one row per thing a guest needs, each failure with its remedy. Asks the CPU (AMD APM 24594,
 * CPUID Fn8000_0001 and Fn8000_000A), /proc, /sys and the device; changes nothing.
 */
#include "v3.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CPUID_FEATURE_VMX	 (1u << 5)  /* Fn0000_0001 ECX, Intel */
#define CPUID_FEATURE_HYPERVISOR (1u << 31) /* Fn0000_0001 ECX: we are a guest ourselves */
#define CPUID_AMD_SVM		 (1u << 2)  /* Fn8000_0001 ECX */
#define CPUID_SVM_NESTED_PAGING	 (1u << 0)  /* Fn8000_000A EDX */
#define MSR_VM_CR		 0xc0010114 /* AMD APM 24593 section 15.30.1 */
#define VM_CR_SVMDIS		 (1u << 4)

#define KERNEL_MAJOR 6 /* the kernel series the module is built and tested for */
#define KERNEL_MINOR 1
#define MEMORY_MIN   (256ull << 20) /* free bytes below which no Linux guest fits */

enum verdict { ROW_GOOD, ROW_WARN, ROW_BAD };

struct row {
	const char *name; /* stable: scripts look for it */
	enum verdict verdict;
	char found[160];
	char remedy[320];
};

__attribute__((format(printf, 3, 4))) static void row_set(struct row *row, enum verdict verdict,
							  const char *fmt, ...)
{
	va_list ap;

	row->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(row->found, sizeof(row->found), fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 2, 3))) static void row_remedy(struct row *row, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(row->remedy, sizeof(row->remedy), fmt, ap);
	va_end(ap);
}

static bool doctor_is_guest(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & CPUID_FEATURE_HYPERVISOR);
}

static bool doctor_has_svm(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & CPUID_AMD_SVM);
}

static void doctor_cpu(struct row *row)
{
	unsigned a, b, c, d, svm = 0;

	if (doctor_has_svm()) {
		if (__get_cpuid(0x8000000a, &a, &b, &c, &d))
			svm = d;
		if (svm & CPUID_SVM_NESTED_PAGING) {
			row_set(row, ROW_GOOD, "AMD SVM with nested paging, %u address space ids",
				b);
			return;
		}
		row_set(row, ROW_BAD, "AMD SVM, but no nested paging");
		row_remedy(row, doctor_is_guest()
					? "Turn on nested paging (npt) for this virtual machine."
					: "A CPU with nested paging is needed.");
		return;
	}
	if (__get_cpuid(1, &a, &b, &c, &d) && (c & CPUID_FEATURE_VMX)) {
		row_set(row, ROW_BAD, "Intel VMX: this version drives AMD SVM only");
		row_remedy(row, "Use a machine with an AMD CPU.");
		return;
	}
	row_set(row, ROW_BAD, "no hardware virtualization");
	row_remedy(row, doctor_is_guest() ? "This is a virtual machine: turn on nested "
					    "virtualization for it (in QEMU "
					    "-cpu max or -cpu EPYC,+svm,+npt)."
					  : "Turn on SVM in the firmware's setup; if it has no "
					    "such switch, the CPU is "
					    "too old.");
}

/* SVMDIS of VM_CR, which firmware sets and locks. @return 0 or 1; -1: nobody lets us look */
static int doctor_svm_disabled(void)
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

static bool doctor_module_loaded(void)
{
	return !access("/sys/module/palacios", F_OK);
}

static void doctor_firmware(struct row *row)
{
	int disabled;

	if (!doctor_has_svm()) {
		row_set(row, ROW_WARN, "unknown without SVM in the CPU");
		return;
	}
	disabled = doctor_svm_disabled();
	if (disabled > 0) {
		row_set(row, ROW_BAD, "the firmware disabled SVM (VM_CR.SVMDIS)");
		row_remedy(row, "Turn on SVM (AMD-V, virtualization) in the firmware's setup and "
				"switch the "
				"power off and on.");
	} else if (!disabled) {
		row_set(row, ROW_GOOD, "SVM is enabled");
	} else if (doctor_module_loaded()) {
		row_set(row, ROW_GOOD, "SVM is enabled: the module took it");
	} else {
		row_set(row, ROW_WARN, "cannot tell: the CPU's register VM_CR is not readable");
		row_remedy(row, "To know before the module is loaded: as root, modprobe msr, then "
				"v3 doctor.");
	}
}

/* Users of a module by /proc/modules. @return -1: not loaded */
static int doctor_module_users(const char *name)
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

static void doctor_others(struct row *row)
{
	static const char *const names[] = {"kvm_amd", "kvm_intel", "vboxdrv", "vmmon", "mshv"};
	unsigned i;
	int users;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		users = doctor_module_users(names[i]);
		if (users < 0)
			continue;
		row_set(row, users ? ROW_BAD : ROW_WARN, "module %s is loaded, %s", names[i],
			users ? "and virtual machines use it" : "with no user now");
		row_remedy(row,
			   "%sAs root: modprobe -r %s. To keep it away: echo 'blacklist %s' > "
			   "/etc/modprobe.d/palacios.conf",
			   users ? "End its virtual machines. " : "", names[i], names[i]);
		return;
	}
	if (!access("/sys/module/kvm_amd", F_OK)) {
		row_set(row, ROW_WARN, "KVM is built into this kernel");
		row_remedy(
			row,
			"Run no KVM guest at the same time: only one of the two can have the CPU.");
		return;
	}
	row_set(row, ROW_GOOD, "no other hypervisor is loaded");
}

static void doctor_kernel(struct row *row)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2) {
		row_set(row, ROW_BAD, "not a Linux kernel I understand");
		row_remedy(row, "Use Debian 12.");
	} else if (strcmp(u.machine, "x86_64")) {
		row_set(row, ROW_BAD, "Linux %s on %s", u.release, u.machine);
		row_remedy(row, "Use an x86_64 kernel.");
	} else if (major == KERNEL_MAJOR && minor == KERNEL_MINOR) {
		row_set(row, ROW_GOOD, "Linux %s", u.release);
	} else if (major < KERNEL_MAJOR) {
		row_set(row, ROW_BAD, "Linux %s is older than %u.%u", u.release, KERNEL_MAJOR,
			KERNEL_MINOR);
		row_remedy(row, "Use Debian 12, whose kernel is %u.%u.", KERNEL_MAJOR,
			   KERNEL_MINOR);
	} else {
		row_set(row, ROW_WARN, "Linux %s: the module is tested with %u.%u", u.release,
			KERNEL_MAJOR, KERNEL_MINOR);
		row_remedy(row, "If the module does not build or load here, use Debian 12.");
	}
}

static void doctor_memory(struct row *row)
{
	unsigned long long kib = 0, total = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "MemTotal: %llu", &total);
		sscanf(line, "MemAvailable: %llu", &kib);
	}
	if (f)
		fclose(f);
	if (!kib) {
		row_set(row, ROW_WARN, "cannot tell: /proc/meminfo does not say");
		row_remedy(row, "Mount /proc.");
		return;
	}
	row_set(row, kib << 10 < MEMORY_MIN ? ROW_BAD : ROW_GOOD,
		"%llu of %llu MiB available to guests", kib >> 10, total >> 10);
	if (row->verdict)
		row_remedy(row, "A small Linux guest needs %llu MiB: end something.",
			   MEMORY_MIN >> 20);
}

/* Lockdown takes unsigned modules away; it comes with Secure Boot. */
static bool doctor_locked_down(void)
{
	char line[128] = "";
	FILE *f = fopen("/sys/kernel/security/lockdown", "re");

	if (f) {
		if (!fgets(line, sizeof(line), f))
			line[0] = 0;
		fclose(f);
	}
	return strstr(line, "[integrity]") || strstr(line, "[confidentiality]");
}

static void doctor_module(struct row *row)
{
	if (doctor_module_loaded()) {
		row_set(row, ROW_GOOD, "palacios is loaded");
		return;
	}
	row_set(row, ROW_BAD, "palacios is not loaded%s",
		doctor_locked_down() ? ", and this kernel takes signed modules only" : "");
	row_remedy(row, doctor_locked_down()
				? "Sign palacios.ko with a key this machine trusts, or turn off "
				  "Secure Boot."
				: "As root: modprobe palacios, or insmod linux_module/palacios.ko "
				  "where it was "
				  "built. A refusal says why in the kernel's log (dmesg).");
}

static void doctor_abi(struct row *row, int fd)
{
	struct palacios_version v;

	memset(&v, 0, sizeof(v));
	if (ioctl(fd, PALACIOS_VERSION, &v)) {
		row_set(row, ROW_BAD, "%s does not answer: %s", PALACIOS_DEVICE, strerror(errno));
		row_remedy(row, "Another driver made this file? As root: rmmod palacios; modprobe "
				"palacios.");
	} else if (v.abi != PALACIOS_ABI) {
		row_set(row, ROW_BAD, "the module speaks version %u, this command %u", v.abi,
			PALACIOS_ABI);
		row_remedy(row, "Install module and command of the same build; then, as root: "
				"rmmod palacios; "
				"modprobe palacios.");
	} else {
		row_set(row, ROW_GOOD, "%s answers: version %u, %.15s, %u CPUs", PALACIOS_DEVICE,
			v.abi, v.backend, v.cpus);
	}
}

static void doctor_device(struct row *row)
{
	struct stat st;
	int fd;

	if (stat(PALACIOS_DEVICE, &st)) {
		row_set(row, ROW_BAD, "%s does not exist", PALACIOS_DEVICE);
		row_remedy(row, doctor_module_loaded() ? "Mount devtmpfs on /dev or start udev."
						       : "It comes with the module.");
		return;
	}
	fd = open(PALACIOS_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		doctor_abi(row, fd);
		close(fd);
		return;
	}
	row_set(row, ROW_BAD, "%s: %s", PALACIOS_DEVICE, strerror(errno));
	if (errno == EACCES || errno == EPERM)
		row_remedy(row,
			   "As root: usermod -a -G palacios USER; then log in again. Or use sudo.");
	else
		row_remedy(row, "The kernel's log (dmesg) tells more.");
}

static int doctor_print(const struct row *rows, unsigned n)
{
	static const char *const words[] = {"ok", "warn", "FAIL"};
	unsigned i, bad = 0;

	if (v3_opt.json) {
		v3_json_open(NULL, '{');
		v3_json_open("rows", '[');
	}
	for (i = 0; i < n; i++) {
		bad += rows[i].verdict == ROW_BAD;
		if (v3_opt.json) {
			v3_json_open(NULL, '{');
			v3_json_text("name", rows[i].name);
			v3_json_text("verdict", words[rows[i].verdict]);
			v3_json_text("found", rows[i].found);
			v3_json_text("remedy", rows[i].remedy);
			v3_json_close();
			continue;
		}
		printf("%-5s %-9s %s\n", words[rows[i].verdict], rows[i].name, rows[i].found);
		if (rows[i].remedy[0])
			printf("%-15s -> %s\n", "", rows[i].remedy);
	}
	if (v3_opt.json) {
		v3_json_close();
		v3_json_bool("ready", !bad);
		v3_json_close();
	} else {
		printf(bad ? "%u of %u requirements are not met.\n"
			   : "This machine can run guests.\n",
		       bad, n);
	}
	return bad ? V3_EXIT_NO : V3_EXIT_GOOD;
}

int v3_doctor(char **args)
{
	static const struct {
		const char *name;
		void (*check)(struct row *row);
	} checks[] = {
		{"cpu", doctor_cpu},	   {"firmware", doctor_firmware}, {"others", doctor_others},
		{"kernel", doctor_kernel}, {"memory", doctor_memory},	  {"module", doctor_module},
		{"device", doctor_device},
	};
	struct row rows[sizeof(checks) / sizeof(checks[0])];
	unsigned i;

	(void)args;
	memset(rows, 0, sizeof(rows));
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		rows[i].name = checks[i].name;
		checks[i].check(&rows[i]);
	}
	return doctor_print(rows, i);
}
