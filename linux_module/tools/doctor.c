/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file doctor.c
 * "v3 doctor": one row per thing a guest needs, each failure with its remedy. Asks the CPU (doctor_cpu.c), /proc, /sys
 * and the device; needs no privilege and changes nothing.
 */
#include "doctor.h"
#include "v3.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#define KERNEL_MAJOR 6 /* the kernel series the module is built and tested for */
#define KERNEL_MINOR 1
#define MEMORY_MIN   (256ull << 20) /* free bytes below which no Linux guest fits */

void v3_row_set(struct v3_row *row, enum v3_verdict verdict, const char *fmt, ...)
{
	va_list ap;

	row->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(row->found, sizeof(row->found), fmt, ap);
	va_end(ap);
}

void v3_row_remedy(struct v3_row *row, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(row->remedy, sizeof(row->remedy), fmt, ap);
	va_end(ap);
}

bool v3_doctor_module_loaded(void)
{
	return !access("/sys/module/palacios", F_OK);
}

static void doctor_kernel(struct v3_row *row)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2) {
		v3_row_set(row, V3_ROW_BAD, "not a Linux kernel I understand");
		v3_row_remedy(row, "Use Debian 12.");
	} else if (strcmp(u.machine, "x86_64")) {
		v3_row_set(row, V3_ROW_BAD, "Linux %s on %s", u.release, u.machine);
		v3_row_remedy(row, "Use an x86_64 kernel.");
	} else if (major == KERNEL_MAJOR && minor == KERNEL_MINOR) {
		v3_row_set(row, V3_ROW_GOOD, "Linux %s", u.release);
	} else if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR)) {
		v3_row_set(row, V3_ROW_BAD, "Linux %s is older than %u.%u", u.release, KERNEL_MAJOR,
			   KERNEL_MINOR);
		v3_row_remedy(row, "Use Debian 12, whose kernel is %u.%u.", KERNEL_MAJOR,
			      KERNEL_MINOR);
	} else {
		v3_row_set(row, V3_ROW_WARN, "Linux %s: the module is tested with %u.%u", u.release,
			   KERNEL_MAJOR, KERNEL_MINOR);
		v3_row_remedy(row, "If the module does not build or load here, use Debian 12.");
	}
}

/* @return 0, or the errno that the device refuses to be opened or to answer with */
static int doctor_version(struct palacios_version *v)
{
	int fd = open(PALACIOS_DEVICE, O_RDWR | O_CLOEXEC), err = 0;

	memset(v, 0, sizeof(*v));
	if (fd < 0)
		return errno;
	if (ioctl(fd, PALACIOS_VERSION, v))
		err = errno;
	close(fd);
	return err;
}

/* What was reserved at load is not in the kernel's figures any more. @return bytes free there */
static unsigned long long doctor_pool(char *text, size_t size)
{
	struct palacios_version v;
	char all[16], rest[16];

	*text = 0;
	if (doctor_version(&v) || !(v.features & PALACIOS_FEATURE_POOL))
		return 0;
	snprintf(text, size, ", and %s of the %s reserved for them",
		 v3_size_text(rest, v.pool_free), v3_size_text(all, v.pool_size));
	return v.pool_free;
}

static void doctor_memory(struct v3_row *row)
{
	unsigned long long kib = 0, total = 0, pool;
	char line[128], text[80];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "MemTotal: %llu", &total);
		sscanf(line, "MemAvailable: %llu", &kib);
	}
	if (f)
		fclose(f);
	if (!total) {
		v3_row_set(row, V3_ROW_WARN, "cannot tell: /proc/meminfo does not say");
		v3_row_remedy(row, "Mount /proc.");
		return;
	}
	pool = doctor_pool(text, sizeof(text));
	v3_row_set(row, (kib << 10) + pool < MEMORY_MIN ? V3_ROW_BAD : V3_ROW_GOOD,
		   "%llu of %llu MiB available to guests%s", kib >> 10, total >> 10, text);
	if (row->verdict)
		v3_row_remedy(row, "A small Linux guest needs %llu MiB: end something.",
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

static void doctor_module(struct v3_row *row)
{
	if (v3_doctor_module_loaded()) {
		v3_row_set(row, V3_ROW_GOOD, "palacios is loaded");
		return;
	}
	v3_row_set(row, V3_ROW_BAD, "palacios is not loaded%s",
		   doctor_locked_down() ? ", and this kernel takes signed modules only" : "");
	v3_row_remedy(row,
		      doctor_locked_down()
			      ? "Sign palacios.ko with a key this machine trusts, or turn off "
				"Secure Boot."
			      : "As root: modprobe palacios, or insmod palacios.ko where it was "
				"built. A refusal says why in the kernel's log (dmesg).");
}

static void doctor_no_device(struct v3_row *row, int err)
{
	v3_row_set(row, V3_ROW_BAD, "%s: %s", PALACIOS_DEVICE, strerror(err));
	if (err == EACCES || err == EPERM)
		v3_row_remedy(row, "As root: usermod -a -G palacios USER; then log in again. "
				   "Or use sudo.");
	else if (err != ENOENT)
		v3_row_remedy(row,
			      "Another driver's file? As root: modprobe -r palacios; rm %s; "
			      "modprobe palacios.",
			      PALACIOS_DEVICE);
	else if (v3_doctor_module_loaded())
		v3_row_remedy(row, "Mount devtmpfs on /dev or start udev.");
	else
		v3_row_remedy(row, "It comes with the module.");
}

static void doctor_device(struct v3_row *row)
{
	struct palacios_version v;
	int err = doctor_version(&v);

	if (err) {
		doctor_no_device(row, err);
	} else if (v.abi != PALACIOS_ABI) {
		v3_row_set(row, V3_ROW_BAD, "the module speaks version %u, this command %u", v.abi,
			   PALACIOS_ABI);
		v3_row_remedy(row, "Install module and command of the same build; then, as root: "
				   "modprobe -r palacios; modprobe palacios.");
	} else {
		v3_row_set(row, V3_ROW_GOOD, "%s answers: version %u, %.15s, %u CPUs, %u VMs",
			   PALACIOS_DEVICE, v.abi, v.backend, v.cpus, v.vms);
	}
}

static int doctor_print(const struct v3_row *rows, unsigned n)
{
	static const char *const words[] = {"ok", "warn", "FAIL"};
	unsigned i, bad = 0;

	if (v3_opt.json) {
		v3_json_open(NULL, '{');
		v3_json_open("rows", '[');
	}
	for (i = 0; i < n; i++) {
		bad += rows[i].verdict == V3_ROW_BAD;
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
		void (*check)(struct v3_row *row);
	} checks[] = {
		{"cpu", v3_doctor_cpu},	      {"firmware", v3_doctor_firmware},
		{"others", v3_doctor_others}, {"kernel", doctor_kernel},
		{"memory", doctor_memory},    {"module", doctor_module},
		{"device", doctor_device},
	};
	struct v3_row rows[sizeof(checks) / sizeof(checks[0])];
	unsigned i;

	(void)args;
	memset(rows, 0, sizeof(rows));
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		rows[i].name = checks[i].name;
		checks[i].check(&rows[i]);
	}
	return doctor_print(rows, i);
}
